//! The members of the cluster, and orders for them.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use serde::Deserialize;
use vaquita_core::admin::{Caller, Response as Told, Selection, Verb};
use vaquita_core::state::Duty;

use super::{Answer, Shared, json};
use crate::http::app::{App, SignedIn};
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;

pub(super) async fn status<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    match app.work(caller, Verb::Status).await? {
        Told::Status(status) => Ok(json(&status)),
        other => Err(unexpected(&other)),
    }
}

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    match app.work(caller, Verb::ListNodes).await? {
        Told::Nodes(nodes) => Ok(json(&nodes)),
        other => Err(unexpected(&other)),
    }
}

/// Which nodes an order is for: `{"aliases": ["P1-NODE1"]}` or `{"all": true}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    aliases: Option<Vec<String>>,
    all: Option<bool>,
}

impl Chosen {
    pub(super) fn selection(self) -> Result<Selection, Problem> {
        match (self.aliases, self.all.unwrap_or(false)) {
            (None, true) => Ok(Selection::All),
            (Some(aliases), false) if !aliases.is_empty() => Ok(Selection::Aliases(aliases)),
            (Some(_), true) => Err(Problem::invalid("send `aliases` or `all`, not both")),
            (Some(_), false) => Err(Problem::invalid(
                "`aliases` is empty; name the nodes, or send `{\"all\": true}`",
            )),
            (None, false) => Err(Problem::invalid(
                "say which nodes: `{\"aliases\": [\"P1-NODE1\"]}` or `{\"all\": true}`",
            )),
        }
    }
}

pub(super) async fn start<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let chosen: Chosen = read_json(request, &app.settings.limits).await?;
    let verb = Verb::StartNodes(chosen.selection()?);
    ordered(app.work(caller, verb).await?)
}

pub(super) async fn stop<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let chosen: Chosen = read_json(request, &app.settings.limits).await?;
    let verb = Verb::StopNodes(chosen.selection()?);
    ordered(app.work(caller, verb).await?)
}

/// Which node's alias is given away: `{"alias": "P1-NODE1"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replaced {
    alias: String,
}

pub(super) async fn replace<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let Replaced { alias } = read_json(request, &app.settings.limits).await?;
    let verb = Verb::ReplaceNode { node: alias };
    ordered(app.work(caller, verb).await?)
}

/// Which node is taken out of the cluster, and whose loss is accepted:
/// `{"alias": "P1-NODE1", "accept_loss_of": "P1-NODE1"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removed {
    alias: String,
    accept_loss_of: Option<String>,
}

pub(super) async fn remove<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let Removed {
        alias,
        accept_loss_of,
    } = read_json(request, &app.settings.limits).await?;
    let verb = Verb::RemoveNode {
        node: alias,
        accept_loss: accept_loss_of,
    };
    ordered(app.work(caller, verb).await?)
}

pub(super) async fn drain<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let chosen: Chosen = read_json(request, &app.settings.limits).await?;
    set_duty(&app, caller, chosen, Duty::Drain).await
}

pub(super) async fn serve<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let chosen: Chosen = read_json(request, &app.settings.limits).await?;
    set_duty(&app, caller, chosen, Duty::Serve).await
}

/// Which nodes are left in peace and for how long: `{"aliases": ["P1-NODE1"], "seconds": 900}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintained {
    aliases: Option<Vec<String>>,
    all: Option<bool>,
    seconds: u64,
}

pub(super) async fn maintain<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let maintained: Maintained = read_json(request, &app.settings.limits).await?;
    let Maintained {
        aliases,
        all,
        seconds,
    } = maintained;
    let for_ms = seconds.saturating_mul(1000);
    let duty = Duty::Maintenance { for_ms };
    set_duty(&app, caller, Chosen { aliases, all }, duty).await
}

async fn set_duty<F: Front>(app: &App<F>, caller: Caller, chosen: Chosen, duty: Duty) -> Answer {
    let nodes = chosen.selection()?;
    ordered(app.work(caller, Verb::SetDuty { nodes, duty }).await?)
}

fn ordered(told: Told) -> Answer {
    match told {
        Told::Ordered(rows) => Ok(json(&rows)),
        other => Err(unexpected(&other)),
    }
}
