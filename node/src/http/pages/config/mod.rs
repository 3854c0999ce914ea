//! The configuration files: looked at, checked, changed, taken up.

mod edits;
mod file;
mod settings;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_config::Diagnostic;
use vaquita_core::admin::Right;
use vaquita_web::pages::{ConfigFileView, ConfigPage, FindingView, PendingView, StandingView};
use vaquita_web::words::{Words, fill};
use vaquita_web::{Live, State as How, Tone};

pub(in crate::http) use file::{change, show};

use super::{Answer, Form, Shared, Visit, page, tell};
use crate::config_desk::{ConfigFile, NodeStanding, Reloaded};
use crate::http::front::Front;
use crate::http::handlers::config::{desk, ended};

fn about(t: &Words, file: ConfigFile) -> &'static str {
    match file {
        ConfigFile::Controller => t.about_controller,
        ConfigFile::Nodes => t.about_nodes,
        ConfigFile::Cluster => t.about_cluster,
    }
}

pub(in crate::http) async fn overview<F: Front>(State(app): Shared<F>, mut visit: Visit) -> Answer {
    let desk = desk(&app)?;
    let overview = {
        let _worker = app.worker().await?;
        desk.overview(&visit.caller).await?
    };
    let t = visit.frame.t;
    let files = overview.files.iter().map(|row| {
        let (tone, word) = match (row.exists, row.taken_up) {
            (false, _) => (Tone::Idle, t.no_file),
            (true, Some(false)) => (Tone::Warn, t.not_in_force),
            (true, _) => (Tone::Good, t.in_force),
        };
        let counts = [row.errors.to_string(), row.warnings.to_string()];
        ConfigFileView {
            name: row.file.to_string(),
            about: about(t, row.file),
            path: row.path.clone().unwrap_or_default(),
            state: How { tone, word },
            findings: fill(t.n_findings, &counts.each_ref().map(String::as_str)),
        }
    });
    let pending = overview.pending.iter().map(|row| PendingView {
        key: row.key.to_owned(),
        running: row.running.clone(),
        next: row.next.clone(),
        needs: row.needs,
    });
    let nodes = overview.nodes.iter().map(|row| {
        let (tone, word) = match row.standing {
            NodeStanding::Current => (Tone::Good, t.standing_current),
            NodeStanding::RestartPending => (Tone::Warn, t.standing_restart),
            NodeStanding::Stopped => (Tone::Idle, t.standing_stopped),
            NodeStanding::Unknown => (Tone::Idle, t.standing_unknown),
            NodeStanding::ReloadPending => (Tone::Warn, t.standing_reload),
        };
        StandingView {
            alias: row.alias.clone(),
            state: How { tone, word },
        }
    });
    let waits = |standing| {
        let rows = overview.nodes.iter();
        let rows = rows.filter(move |row| row.standing == standing);
        rows.map(|row| row.alias.clone())
    };
    visit.frame.live = Live::Ticks;
    let drawn = ConfigPage {
        files: files.collect(),
        findings: findings(&overview.findings),
        pending: pending.collect(),
        nodes: nodes.collect(),
        outdated: waits(NodeStanding::RestartPending).collect(),
        reloads: overview.files.iter().any(|row| row.taken_up == Some(false)),
        rolling: app.rolling.told(t),
        may_edit: visit.has(Right::Admin),
        f: visit.frame,
    };
    Ok(page(StatusCode::OK, &drawn))
}

pub(in crate::http) async fn order<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let desk = desk(&app)?.clone();
    let outcome = match form.need("do")? {
        "reload" => {
            let caller = visit.caller.clone();
            let _worker = app.worker().await?;
            // Whoever asked may go away meanwhile: what was begun is brought to its end.
            let reloading = tokio::spawn(async move { desk.reload(caller).await });
            match ended(reloading.await) {
                Ok(reloaded) => Ok(taken_up(visit.frame.t, visit.frame.t.reloaded, &reloaded)),
                Err(problem) => Err(problem),
            }
        }
        _ => return Err(form.no_such_order()),
    };
    tell(&app, &visit, outcome, "/config")
}

/// What came of taking up files, in sentences.
fn taken_up(t: &Words, said: &'static str, reloaded: &Reloaded) -> Vec<String> {
    let mut lines = vec![said.to_owned()];
    lines.extend(reloaded.taken_up.iter().map(|row| row.text.clone()));
    if !reloaded.pending.is_empty() {
        let keys: Vec<&str> = reloaded.pending.iter().map(|row| row.key).collect();
        lines.push(format!("{}: {}", t.pending, keys.join(", ")));
    }
    lines
}

fn findings(all: &[Diagnostic]) -> Vec<FindingView> {
    let view = |finding: &Diagnostic| FindingView {
        tone: match finding.is_error() {
            true => Tone::Bad,
            false => Tone::Warn,
        },
        place: finding.place().to_string(),
        code: finding.code,
        text: finding.text.clone(),
        message: finding.message.clone(),
        help: finding.help.clone(),
    };
    all.iter().map(view).collect()
}
