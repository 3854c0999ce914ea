//! Volumes and repair.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, Uri};
use vaquita_core::admin::{Response as Told, Right, Selection, Verb};
use vaquita_core::dfs::ask::{Answer as Said, Ask, HistoryPage};
use vaquita_core::dfs::ids::ChunkId;
use vaquita_web::Live;
use vaquita_web::pages::{RepairPage, VolumesPage};

use super::{Answer, Form, Shared, Visit, nodes, page, tell};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::dfs::ask;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::reenter;

/// Rows of history on a page.
const HISTORY_ROWS: u32 = 50;

pub(in crate::http) async fn volumes<F: Front>(State(app): Shared<F>, mut visit: Visit) -> Answer {
    let rows = match ask(&app, visit.caller.clone(), Ask::Volumes).await? {
        Said::Volumes(rows) => rows,
        other => return Err(unexpected(&Told::Dfs(other))),
    };
    visit.frame.live = Live::Ticks;
    let may_operate = visit.has(Right::Operate);
    let drawn = VolumesPage::new(visit.frame, rows, may_operate);
    Ok(page(StatusCode::OK, &drawn))
}

pub(in crate::http) async fn repair<F: Front>(
    State(app): Shared<F>,
    mut visit: Visit,
    uri: Uri,
) -> Answer {
    let query = Query::parse(uri.query(), &["before"])?;
    let before = query.get("before").and_then(|text| text.parse().ok());
    let status = match ask(&app, visit.caller.clone(), Ask::Repairs).await? {
        Said::Repairs(status) => status,
        other => return Err(unexpected(&Told::Dfs(other))),
    };
    let history = history(&app, &visit, None, before).await?;
    // Who reads older rows is not disturbed.
    visit.frame.live = match before {
        None => Live::Ticks,
        Some(_) => Live::Never,
    };
    let may_operate = visit.has(Right::Operate);
    let drawn = RepairPage::new(visit.frame, status, history, may_operate);
    Ok(page(StatusCode::OK, &drawn))
}

pub(super) async fn history<F: Front>(
    app: &App<F>,
    visit: &Visit,
    chunk: Option<ChunkId>,
    before: Option<u64>,
) -> Result<HistoryPage, Problem> {
    let limit = HISTORY_ROWS;
    let asked = Ask::History {
        chunk,
        before,
        limit,
    };
    match ask(app, visit.caller.clone(), asked).await? {
        Said::History(history) => Ok(history),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

pub(in crate::http) async fn order_repair<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let outcome = carry_out_repair(&app, &visit, &form).await;
    tell(&app, &visit, outcome, "/repair")
}

async fn carry_out_repair<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
) -> Result<Vec<String>, Problem> {
    let t = visit.frame.t;
    let (asked, said) = match form.need("do")? {
        "suspend" => (Ask::SuspendRepair { suspend: true }, t.repair_waits),
        "resume" => (Ask::SuspendRepair { suspend: false }, t.resume),
        "settle" => {
            reenter::prove(app, visit, form).await?;
            (Ask::SettleLoss, t.loss_settled)
        }
        _ => return Err(form.no_such_order()),
    };
    ask(app, visit.caller.clone(), asked).await?;
    Ok(vec![said.to_owned()])
}

pub(in crate::http) async fn order_volume<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let outcome = carry_out(&app, &visit, &form).await;
    let next = form.get("next").unwrap_or("/volumes").to_owned();
    tell(&app, &visit, outcome, &next)
}

async fn carry_out<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
) -> Result<Vec<String>, Problem> {
    let node = form.need("node")?.to_owned();
    let path = form.need("path")?.to_owned();
    let verb = match form.need("do")? {
        "rescan" => Verb::RescanVolumes(Selection::Aliases(vec![node])),
        "drain" => {
            let drain = true;
            Verb::SetVolumeDuty { node, path, drain }
        }
        "serve" => {
            let drain = false;
            Verb::SetVolumeDuty { node, path, drain }
        }
        _ => return Err(form.no_such_order()),
    };
    match app.work(visit.caller.clone(), verb).await? {
        Told::Ordered(rows) => Ok(nodes::lines(&rows)),
        Told::Rescanned(rows) => Ok(rows
            .iter()
            .map(|row| {
                let now = row.now.map_or("", |state| state.as_str());
                format!("{} {} {now} {}", row.node, row.path, row.reason)
            })
            .collect()),
        other => Err(unexpected(&other)),
    }
}
