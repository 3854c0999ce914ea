//! The page of one file: its text, what is in it, and changes of it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_config::keys;
use vaquita_core::admin::Right;
use vaquita_web::pages::{AddedView, ConfigFilePage, MemberView, VersionView, diff_lines};
use vaquita_web::words::fill;
use vaquita_web::{Flash, Tone, format};

use super::super::{Answer, Form, Segments, Shared, Visit, page, tell};
use super::edits::{edits, typed};
use super::settings::settings;
use super::{about, findings, taken_up};
use crate::config_desk::{
    Author, Change, Checked, Condition, ConfigDesk, ConfigFile, DeskError, LineMeaning, Shown,
    Written,
};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::handlers::config::{desk, ended, file};
use crate::http::limits::HttpLimits;
use crate::http::problem::Problem;

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
) -> Answer {
    let file = file(&path)?;
    let _worker = app.worker().await?;
    draw(&app, visit, file, Draft::default()).await
}

/// What somebody is at.
#[derive(Debug, Default)]
struct Draft {
    /// The entity tag of the text that it was begun with.
    begun_with: Option<String>,
    /// Another text than the file's.
    text: Option<String>,
    comment: String,
    outcome: Option<Flash>,
    checked: Option<Checked>,
    status: Option<StatusCode>,
    /// Fields of a change that could not be made, to be typed on.
    added: AddedView,
    setting: (String, String),
    on_line: Option<(usize, String)>,
}

async fn draw<F: Front>(app: &App<F>, visit: Visit, file: ConfigFile, draft: Draft) -> Answer {
    let desk = desk(app)?;
    let is_file = draft.text.is_none();
    let shown = match draft.text {
        Some(text) => desk.show_draft(file, text).await?,
        None => desk.show(file).await?,
    };
    let history = desk.history(file).await?;
    let t = visit.frame.t;
    let versions = history.versions.into_iter().map(|row| VersionView {
        number: row.number,
        by: row.by.unwrap_or_default(),
        at: row.unix_ms.and_then(format::moment),
        comment: row.comment.unwrap_or_default(),
        diff: diff_lines(&row.diff.unified),
    });
    let usable = file.kind().map(|kind| {
        let keys = keys::of_file(kind).filter(|key| !key.is_protected());
        keys.map(|key| key.name).collect()
    });
    let mut settings = settings(t, file, &shown);
    if let Some((line, value)) = draft.on_line {
        let same = settings.iter_mut().find(|row| row.line == Some(line));
        same.into_iter()
            .for_each(|row| row.value.clone_from(&value));
    }
    let checked = draft.checked.as_ref();
    // What is saved takes the place of the text that the difference was shown to, and of no other.
    let etag = checked.map(|it| it.replaces.clone());
    let etag = etag
        .or(draft.begun_with)
        .unwrap_or_else(|| shown.row.etag.clone());
    let drawn = ConfigFilePage {
        name: file.to_string(),
        reader: visit.user.user.clone(),
        about: about(t, file),
        path: shown.row.path.clone().unwrap_or_default(),
        etag,
        settings,
        new_setting: draft.setting,
        findings: findings(checked.map_or(&shown.findings, |it| &it.findings)),
        diff: checked.map_or_else(Vec::new, |it| diff_lines(&it.diff.unified)),
        previewed: checked.is_some_and(|it| it.acceptable && it.changed),
        is_file,
        comment: draft.comment,
        outcome: draft.outcome,
        keys: usable.unwrap_or_default(),
        qualified: file == ConfigFile::Cluster,
        members: (file == ConfigFile::Nodes).then(|| members(&shown)),
        added: draft.added,
        versions: versions.collect(),
        may_edit: visit.has(Right::Admin) && shown.row.path.is_some(),
        text: shown.text,
        f: visit.frame,
    };
    Ok(page(draft.status.unwrap_or(StatusCode::OK), &drawn))
}

fn members(shown: &Shown) -> Vec<MemberView> {
    let members = shown.lines.iter().filter_map(|line| match &line.meaning {
        LineMeaning::Member { site, alias, mode } => Some(MemberView {
            alias: alias.clone(),
            site: site.clone(),
            mode: mode.clone(),
        }),
        _ => None,
    });
    members.collect()
}

pub(in crate::http) async fn change<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let limits = HttpLimits {
        body_bytes: app.settings.limits.config_form_bytes,
        ..app.settings.limits.clone()
    };
    let form = Form::of(&visit, request, &limits).await?;
    let file = file(&path)?;
    let etag = form.need("etag")?.to_owned();
    let condition = Condition(vec![etag.clone()]);
    let comment = form.get("comment").unwrap_or_default().to_owned();
    let author = Author {
        by: visit.user.user.clone(),
        comment: comment.clone(),
        caller: visit.caller.clone(),
    };
    let mut draft = Draft {
        begun_with: Some(etag),
        comment,
        ..Draft::default()
    };
    let desk = desk(&app)?.clone();
    let _worker = app.worker().await?;
    match form.need("do")? {
        "save" => {
            let text = text_of(&desk, file, form.text("text").unwrap_or_default()).await?;
            draft.text = Some(text.clone());
            let change = Change::Text(text);
            let writing = async move { desk.write(file, change, condition, author).await };
            let outcome = tokio::spawn(writing).await;
            written(&app, visit, file, outcome, draft).await
        }
        "undo" => {
            let version = form.need("version")?.parse().ok();
            let version = version.ok_or_else(|| Problem::invalid("there is no such version"))?;
            let writing = async move { desk.undo(file, Some(version), condition, author).await };
            let outcome = tokio::spawn(writing).await;
            written(&app, visit, file, outcome, draft).await
        }
        "preview" => {
            let text = text_of(&desk, file, form.text("text").unwrap_or_default()).await?;
            draft.text = Some(text.clone());
            preview(&app, visit, file, Change::Text(text), condition, draft).await
        }
        what => {
            // Beside a text that somebody is at, the change is one of that text.
            if let Some(text) = form.text("text") {
                draft.text = Some(text_of(&desk, file, text).await?);
            }
            let outcome = match edits(&form) {
                Ok(edits) => {
                    let change = match draft.text.clone() {
                        Some(text) => Change::Draft { text, edits },
                        None => Change::Edits(edits),
                    };
                    look(&desk, file, change, condition).await
                }
                Err(problem) => Err(problem),
            };
            if outcome.is_err() {
                let field = |name| form.get(name).unwrap_or_default().to_owned();
                let line = form.get("line").and_then(|line| line.parse().ok());
                match (what, line) {
                    ("add-members", _) => draft.added = typed(&form),
                    ("set", None) => draft.setting = (field("key"), field("value")),
                    ("set", Some(line)) => draft.on_line = Some((line, field("value"))),
                    _ => {}
                }
            }
            previewed(&app, visit, file, outcome, draft).await
        }
    }
}

/// The text of a form, with the ends of lines that the file has: browsers send their own.
async fn text_of(desk: &ConfigDesk, file: ConfigFile, typed: &str) -> Result<String, Problem> {
    let shown = desk.show(file).await?;
    Ok(match shown.text.contains("\r\n") {
        true => typed.to_owned(),
        false => typed.replace("\r\n", "\n"),
    })
}

fn flash(tone: Tone, line: impl Into<String>) -> Option<Flash> {
    let lines = vec![line.into()];
    Some(Flash { tone, lines })
}

/// A change that was looked at.
struct Looked {
    checked: Checked,
    /// Whether somebody else has changed the file meanwhile: then the difference is to what is there now.
    stale: bool,
}

async fn look(
    desk: &ConfigDesk,
    file: ConfigFile,
    change: Change,
    condition: Condition,
) -> Result<Looked, Problem> {
    let looked = |checked, stale| Looked { checked, stale };
    match desk.check(file, change.clone(), Some(condition)).await {
        Ok(checked) => Ok(looked(checked, false)),
        Err(DeskError::Stale { .. }) => {
            let checked = desk.check(file, change, None).await?;
            Ok(looked(checked, true))
        }
        Err(error) => Err(error.into()),
    }
}

async fn preview<F: Front>(
    app: &Arc<App<F>>,
    visit: Visit,
    file: ConfigFile,
    change: Change,
    condition: Condition,
    draft: Draft,
) -> Answer {
    let outcome = look(desk(app)?, file, change, condition).await;
    previewed(app, visit, file, outcome, draft).await
}

/// Shows what would come of a change.
async fn previewed<F: Front>(
    app: &Arc<App<F>>,
    visit: Visit,
    file: ConfigFile,
    outcome: Result<Looked, Problem>,
    mut draft: Draft,
) -> Answer {
    let t = visit.frame.t;
    match outcome {
        Ok(Looked { checked, stale }) => {
            draft.outcome = match (stale, checked.acceptable, checked.changed) {
                (true, ..) => flash(Tone::Warn, t.stale),
                (false, false, _) => flash(Tone::Bad, refused(&checked)),
                (false, true, false) => flash(Tone::Idle, t.nothing_changes),
                (false, true, true) => flash(Tone::Busy, t.previewed),
            };
            draft.text = Some(checked.text.clone());
            draft.checked = Some(checked);
        }
        Err(problem) => {
            draft.outcome = flash(Tone::Bad, problem.message());
            draft.status = Some(problem.status());
        }
    }
    draw(app, visit, file, draft).await
}

/// Why a text would not be written.
fn refused(checked: &Checked) -> String {
    if checked.protected.is_empty() {
        let errors = checked.blocking.iter().map(|it| it.message.as_str());
        let errors: Vec<&str> = errors.collect();
        errors.join("; ")
    } else {
        let keys = checked.protected.clone();
        DeskError::Protected { keys }.to_string()
    }
}

/// Tells what came of a change. Whatever went wrong, the text that was typed is still there.
async fn written<F: Front>(
    app: &Arc<App<F>>,
    visit: Visit,
    file: ConfigFile,
    outcome: Result<Result<Written, DeskError>, tokio::task::JoinError>,
    mut draft: Draft,
) -> Answer {
    let t = visit.frame.t;
    let is_stale = matches!(&outcome, Ok(Err(DeskError::Stale { .. })));
    match ended(outcome) {
        Ok(written) => {
            let mut lines = match (&written.reloaded, written.changed) {
                (_, false) => vec![t.nothing_changes.to_owned()],
                (Some(reloaded), true) => taken_up(t, t.saved, reloaded),
                (None, true) => vec![t.saved.to_owned()],
            };
            if let Some(why) = &written.not_taken_up {
                lines.push(fill(t.not_taken_up, &[why]));
            }
            tell(app, &visit, Ok(lines), &format!("/config/{file}"))
        }
        Err(problem) => {
            if let Some(text) = draft.text.clone() {
                let checked = desk(app)?.check(file, Change::Text(text), None).await;
                draft.checked = checked.ok();
            }
            draft.outcome = match is_stale {
                true => flash(Tone::Warn, t.stale),
                false => flash(Tone::Bad, problem.message()),
            };
            draft.status = Some(problem.status());
            draw(app, visit, file, draft).await
        }
    }
}
