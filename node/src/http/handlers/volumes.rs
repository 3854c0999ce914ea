//! The volumes of data nodes, and orders for them.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use serde::Deserialize;
use vaquita_core::admin::{Caller, Response as Told, Verb};
use vaquita_core::dfs::ask::{Answer as Said, Ask};

use super::dfs::ask;
use super::nodes::Chosen;
use super::{Answer, Shared, json};
use crate::http::app::{App, SignedIn};
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    match ask(&app, caller, Ask::Volumes).await? {
        Said::Volumes(rows) => Ok(json(&rows)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

pub(super) async fn rescan<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let chosen: Chosen = read_json(request, &app.settings.limits).await?;
    let verb = Verb::RescanVolumes(chosen.selection()?);
    rescanned(app.work(caller, verb).await?)
}

/// One volume: `{"node": "P1-NODE1", "path": "/disk1/P1-NODE1"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    node: String,
    path: String,
}

pub(super) async fn adopt<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let Named { node, path } = read_json(request, &app.settings.limits).await?;
    let verb = Verb::AdoptVolume { node, path };
    rescanned(app.work(caller, verb).await?)
}

pub(super) async fn forget<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let Named { node, path } = read_json(request, &app.settings.limits).await?;
    let verb = Verb::ForgetVolume { node, path };
    rescanned(app.work(caller, verb).await?)
}

pub(super) async fn drain<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    set_duty(&app, caller, request, true).await
}

pub(super) async fn serve<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    set_duty(&app, caller, request, false).await
}

async fn set_duty<F: Front>(
    app: &App<F>,
    caller: Caller,
    request: Request<Body>,
    drain: bool,
) -> Answer {
    let Named { node, path } = read_json(request, &app.settings.limits).await?;
    let verb = Verb::SetVolumeDuty { node, path, drain };
    match app.work(caller, verb).await? {
        Told::Ordered(rows) => Ok(json(&rows)),
        other => Err(unexpected(&other)),
    }
}

fn rescanned(told: Told) -> Answer {
    match told {
        Told::Rescanned(rows) => Ok(json(&rows)),
        other => Err(unexpected(&other)),
    }
}
