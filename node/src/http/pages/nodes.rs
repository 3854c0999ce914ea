//! One node, and orders for nodes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_core::admin::{NodeRow, OrderRow, Refusal, Response as Told, Right, Selection, Verb};
use vaquita_core::dfs::ask::{Answer as Said, Ask};
use vaquita_core::figures::FiguresReport;
use vaquita_core::ids::Role;
use vaquita_core::state::Duty;
use vaquita_web::Live;
use vaquita_web::pages::{NodePage, VolumeView};

use super::{Answer, Form, Segments, Shared, Visit, page, tell};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::dfs::ask;
use crate::http::problem::Problem;
use crate::http::{reenter, rolling};

/// How long nodes are left in peace by the button that says so.
const MAINTENANCE_MS: u64 = 3_600_000;

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    mut visit: Visit,
    path: Segments,
) -> Answer {
    let alias = path.named("alias");
    let rows = rows(&app, &visit).await?;
    let row = rows.into_iter().find(|row| row.alias.as_str() == alias);
    let row = row.ok_or_else(|| {
        let alias: String = alias.chars().take(80).collect();
        let what = format!("there is no node `{alias}`");
        Refusal::NotFound { what }
    })?;
    let t = visit.frame.t;
    let shows_volumes =
        row.mode == Role::DataNode && (visit.has(Right::DfsRead) || visit.has(Right::Operate));
    let volumes = match shows_volumes {
        false => None,
        true => match ask(&app, visit.caller.clone(), Ask::Volumes).await? {
            Said::Volumes(volumes) => Some(
                volumes
                    .into_iter()
                    .filter(|volume| volume.node == row.alias)
                    .map(|volume| VolumeView::new(t, volume))
                    .collect(),
            ),
            other => return Err(unexpected(&Told::Dfs(other))),
        },
    };
    let (may_operate, may_read_logs) = (visit.has(Right::Operate), visit.has(Right::LogRead));
    visit.frame.live = Live::Ticks;
    let figures = figures(&app, &visit, Some(row.alias.to_string())).await;
    let figures = figures.as_ref();
    let drawn = NodePage::new(
        visit.frame,
        row,
        figures,
        volumes,
        may_operate,
        may_read_logs,
    );
    Ok(page(StatusCode::OK, &drawn))
}

pub(super) async fn rows<F: Front>(app: &App<F>, visit: &Visit) -> Result<Vec<NodeRow>, Problem> {
    match app.work(visit.caller.clone(), Verb::ListNodes).await? {
        Told::Nodes(rows) => Ok(rows),
        other => Err(unexpected(&other)),
    }
}

/// The charts of a node, or of the cluster. Without them a page still says what matters.
pub(super) async fn figures<F: Front>(
    app: &App<F>,
    visit: &Visit,
    node: Option<String>,
) -> Option<FiguresReport> {
    let names = Vec::new();
    let verb = Verb::Figures { node, names };
    match app.work(visit.caller.clone(), verb).await {
        Ok(Told::Figures(report)) => Some(report),
        _ => None,
    }
}

pub(in crate::http) async fn order<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let outcome = carry_out(&app, &visit, &form).await;
    let next = form.get("next").unwrap_or("/").to_owned();
    tell(&app, &visit, outcome, &next)
}

async fn carry_out<F: Front>(
    app: &Arc<App<F>>,
    visit: &Visit,
    form: &Form,
) -> Result<Vec<String>, Problem> {
    let names: Vec<String> = form.all("node").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Problem::invalid(visit.frame.t.nothing_selected));
    }
    if form.get("do") == Some("restart") {
        return rolling::begin(app, visit.caller.clone(), names, visit.frame.t).await;
    }
    if let (what @ ("remove" | "replace"), [node]) = (form.need("do")?, &names[..]) {
        return give_up(app, visit, form, what, node).await;
    }
    let nodes = Selection::Aliases(names);
    let verb = match form.need("do")? {
        "start" => Verb::StartNodes(nodes),
        "stop" => Verb::StopNodes(nodes),
        "drain" => duty(nodes, Duty::Drain),
        "serve" => duty(nodes, Duty::Serve),
        "maintain" => {
            let for_ms = MAINTENANCE_MS;
            duty(nodes, Duty::Maintenance { for_ms })
        }
        _ => return Err(form.no_such_order()),
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Ordered(rows) => Ok(lines(&rows)),
        other => Err(unexpected(&other)),
    }
}

/// Takes one node out of the cluster, or gives its name away.
async fn give_up<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
    what: &str,
    node: &str,
) -> Result<Vec<String>, Problem> {
    reenter::prove(app, visit, form).await?;
    let node = node.to_owned();
    let verb = match what {
        "remove" => Verb::RemoveNode {
            node,
            accept_loss: form.get("accept_loss_of").map(str::to_owned),
        },
        _ => Verb::ReplaceNode { node },
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Ordered(rows) => Ok(lines(&rows)),
        other => Err(unexpected(&other)),
    }
}

const fn duty(nodes: Selection, duty: Duty) -> Verb {
    Verb::SetDuty { nodes, duty }
}

pub(super) fn lines(rows: &[OrderRow]) -> Vec<String> {
    rows.iter()
        .map(|row| format!("{}: {}", row.alias, row.note))
        .collect()
}
