//! The configuration files: looked at, checked, changed, taken up.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use vaquita_config::Diagnostic;
use vaquita_config::keys::{self, Key};
use vaquita_core::admin::{Refusal, Right};
use vaquita_web::pages::{
    ConfigFilePage, ConfigFileView, ConfigPage, FindingView, MemberView, PendingView, SettingView,
    StandingView, VersionView, diff_lines,
};
use vaquita_web::words::{Words, fill};
use vaquita_web::{Flash, Live, State as How, Tone, format};

use super::{Answer, Form, Segments, Shared, Visit, page, tell};
use crate::config_desk::{
    Author, Change, Checked, Condition, ConfigDesk, ConfigFile, DeskError, Edit, LineMeaning,
    NodeStanding, Reloaded, Shown, Written,
};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::limits::HttpLimits;
use crate::http::problem::Problem;

/// Data nodes that one form adds.
const ADDED_MAX: u32 = 64;

fn desk<F: Front>(app: &App<F>) -> Result<&ConfigDesk, Problem> {
    app.settings.desk.as_ref().ok_or_else(|| {
        let here = app.settings.title.clone();
        let site = app.settings.manager.clone();
        Refusal::NotHere { here, site }.into()
    })
}

fn about(t: &Words, file: ConfigFile) -> &'static str {
    match file {
        ConfigFile::Controller => t.about_controller,
        ConfigFile::Nodes => t.about_nodes,
        ConfigFile::Cluster => t.about_cluster,
    }
}

pub(in crate::http) async fn overview<F: Front>(State(app): Shared<F>, mut visit: Visit) -> Answer {
    let overview = desk(&app)?.overview(&visit.caller).await?;
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
            // Whoever asked may go away meanwhile: what was begun is brought to its end.
            let reloading = tokio::spawn(async move { desk.reload(caller).await });
            match ended(reloading.await) {
                Ok(reloaded) => Ok(taken_up(visit.frame.t, visit.frame.t.reloaded, &reloaded)),
                Err(error) => Err(error.into()),
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

fn ended<T>(outcome: Result<Result<T, DeskError>, tokio::task::JoinError>) -> Result<T, DeskError> {
    // A panic is a bug, and goes on as one: the connection ends, the process lives.
    outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
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

fn file_of(path: &Segments) -> Result<ConfigFile, Problem> {
    ConfigFile::named(path.named("file")).ok_or_else(|| {
        let what = "there is no such configuration file".to_owned();
        Refusal::NotFound { what }.into()
    })
}

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
) -> Answer {
    let file = file_of(&path)?;
    draw(&app, visit, file, Draft::default()).await
}

/// What somebody is at.
#[derive(Debug, Default)]
struct Draft {
    /// Another text than the file's.
    text: Option<String>,
    comment: String,
    outcome: Option<Flash>,
    checked: Option<Checked>,
    status: Option<StatusCode>,
}

async fn draw<F: Front>(app: &App<F>, visit: Visit, file: ConfigFile, draft: Draft) -> Answer {
    let desk = desk(app)?;
    let shown = desk.show(file).await?;
    let history = desk.history(file).await?;
    let t = visit.frame.t;
    let versions = history.versions.into_iter().map(|row| VersionView {
        number: row.number,
        by: row.by.unwrap_or_default(),
        at: row.unix_ms.and_then(format::moment),
        comment: row.comment.unwrap_or_default(),
        diff: diff_lines(&row.diff.unified),
    });
    let members = shown.lines.iter().filter_map(|line| match &line.meaning {
        LineMeaning::Member { site, alias, mode } => Some(MemberView {
            alias: alias.clone(),
            site: site.clone(),
            mode: mode.clone(),
        }),
        _ => None,
    });
    let members: Vec<MemberView> = members.collect();
    let usable = file.kind().map(|kind| {
        let keys = keys::of_file(kind).filter(|key| !key.is_protected());
        keys.map(|key| key.name).collect()
    });
    let checked = draft.checked.as_ref();
    let drawn = ConfigFilePage {
        name: file.to_string(),
        about: about(t, file),
        path: shown.row.path.clone().unwrap_or_default(),
        etag: shown.row.etag.clone(),
        settings: settings(t, file, &shown),
        findings: findings(checked.map_or(&shown.findings, |it| &it.findings)),
        diff: checked.map_or_else(Vec::new, |it| diff_lines(&it.diff.unified)),
        previewed: checked.is_some_and(|it| it.acceptable && it.changed),
        text: draft.text.unwrap_or(shown.text),
        comment: draft.comment,
        outcome: draft.outcome,
        keys: usable.unwrap_or_default(),
        qualified: file == ConfigFile::Cluster,
        members: (file == ConfigFile::Nodes).then_some(members),
        versions: versions.collect(),
        may_edit: visit.has(Right::Admin) && shown.row.path.is_some(),
        f: visit.frame,
    };
    Ok(page(draft.status.unwrap_or(StatusCode::OK), &drawn))
}

/// What a key does, its unit and range, and what a change of it takes.
fn described(key: &Key) -> String {
    let range = key
        .range
        .map_or_else(String::new, |range| format!(", {range}"));
    format!("{} ({}{range})", key.meaning, key.kind.description())
}

/// The settings of a file: of the controller's all keys that count, of the data nodes' what stands there.
fn settings(t: &Words, file: ConfigFile, shown: &Shown) -> Vec<SettingView> {
    let lines = shown.lines.iter().filter_map(|line| match &line.meaning {
        LineMeaning::Setting {
            key,
            qualifier,
            value,
            protected,
            rules_for,
            ..
        } => {
            let known = keys::find(key);
            let rules = match rules_for {
                None => String::new(),
                Some(rules) if rules.count == 0 => t.rules_nobody.to_owned(),
                Some(rules) => {
                    let names = rules.names.join(", ");
                    fill(t.rules_for, &[&rules.count.to_string(), &names])
                }
            };
            Some(SettingView {
                key: match qualifier {
                    Some(qualifier) => format!("{qualifier}.{key}"),
                    None => key.clone(),
                },
                line: Some(line.line),
                value: value.clone(),
                running: String::new(),
                about: known.map(described).unwrap_or_default(),
                default: known.map_or("", |key| key.default.description()).to_owned(),
                rules,
                protected: *protected,
            })
        }
        _ => None,
    });
    let lines: Vec<SettingView> = lines.collect();
    if file != ConfigFile::Controller {
        return lines;
    }
    let rows = shown.keys.iter().map(|row| {
        // The last line of a key is the one that counts.
        let line = lines.iter().rev().find(|line| line.key == row.key);
        let known = keys::find(row.key);
        SettingView {
            key: row.key.to_owned(),
            line: line.and_then(|it| it.line),
            value: line.map(|it| it.value.clone()).unwrap_or_default(),
            running: row.running.clone(),
            about: known.map(described).unwrap_or_default(),
            default: row.default.to_owned(),
            rules: match row.pending {
                true => format!("{}: {}", t.needs, row.needs),
                false => String::new(),
            },
            protected: row.protected,
        }
    });
    let mut rows: Vec<SettingView> = rows.collect();
    // What stands in the file comes first.
    rows.sort_by_key(|row| row.line.is_none());
    rows
}

pub(in crate::http) async fn change<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let limits = HttpLimits {
        body_bytes: app.settings.limits.config_body_bytes,
        ..app.settings.limits.clone()
    };
    let form = Form::of(&visit, request, &limits).await?;
    let file = file_of(&path)?;
    let condition = Condition(vec![form.need("etag")?.to_owned()]);
    let comment = form.get("comment").unwrap_or_default().to_owned();
    let author = Author {
        by: visit.user.user.clone(),
        comment: comment.clone(),
        caller: visit.caller.clone(),
    };
    let desk = desk(&app)?.clone();
    match form.need("do")? {
        "save" => {
            let text = text_of(&desk, file, &form).await?;
            let change = Change::Text(text.clone());
            let writing = async move { desk.write(file, change, condition, author).await };
            let outcome = ended(tokio::spawn(writing).await);
            written(&app, visit, file, outcome, Some(text), comment).await
        }
        "undo" => {
            let version = form.need("version")?.parse().ok();
            let writing = async move { desk.undo(file, version, condition, author).await };
            let outcome = ended(tokio::spawn(writing).await);
            written(&app, visit, file, outcome, None, comment).await
        }
        "preview" => {
            let text = text_of(&desk, file, &form).await?;
            preview(
                &app,
                visit,
                file,
                Change::Text(text.clone()),
                condition,
                Some(text),
                comment,
            )
            .await
        }
        _ => {
            let change = Change::Edits(edits(&form)?);
            preview(&app, visit, file, change, condition, None, comment).await
        }
    }
}

/// The text of a form, with the ends of lines that the file has: browsers send their own.
async fn text_of(desk: &ConfigDesk, file: ConfigFile, form: &Form) -> Result<String, Problem> {
    let typed = form.get("text").unwrap_or_default();
    let shown = desk.show(file).await?;
    Ok(match shown.text.contains("\r\n") {
        true => typed.to_owned(),
        false => typed.replace("\r\n", "\n"),
    })
}

/// The edits that a form stands for.
fn edits(form: &Form) -> Result<Vec<Edit>, Problem> {
    let line = match form.get("line") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::invalid("no such line"))?),
    };
    match form.need("do")? {
        "set" => {
            let key = form.need("key")?.trim().to_owned();
            let value = form.get("value").unwrap_or_default().trim().to_owned();
            Ok(vec![match (value.is_empty(), line) {
                (false, line) => Edit::Set { key, value, line },
                (true, Some(line)) => Edit::RemoveLine { line },
                (true, None) => Edit::Unset { key },
            }])
        }
        "remove-line" => match line {
            Some(line) => Ok(vec![Edit::RemoveLine { line }]),
            None => Err(Problem::invalid("say which line")),
        },
        "remove-member" => {
            let alias = form.need("node")?.to_owned();
            Ok(vec![Edit::RemoveMember { alias }])
        }
        "add-members" => added(form),
        _ => Err(form.no_such_order()),
    }
}

fn added(form: &Form) -> Result<Vec<Edit>, Problem> {
    let number = |name: &'static str, most: u32| {
        let number = form.need(name)?.trim().parse::<u32>().ok();
        number
            .filter(|number| *number <= most)
            .ok_or_else(|| Problem::invalid(format!("`{name}` is a number up to {most}")))
    };
    let host = form.need("host")?.trim();
    let (count, first) = (number("count", ADDED_MAX)?, number("number", 1_000_000)?);
    let port = number("port", 65_535)?;
    let row = |site: String, mode: &str| Edit::AddMember {
        site,
        mode: mode.to_owned(),
    };
    let mut edits = Vec::new();
    if let Some(agent) = form.get("agent") {
        edits.push(row(format!("{host}:{}", agent.trim()), "agent"));
    }
    if count > 0 {
        let prefix = form.need("prefix")?.trim();
        for nth in 0..count {
            let site = format!("{host}:{}:{prefix}{}", port + nth, first + nth);
            edits.push(row(site, "datanode"));
        }
    }
    Ok(edits)
}

fn flash(tone: Tone, line: impl Into<String>) -> Option<Flash> {
    let lines = vec![line.into()];
    Some(Flash { tone, lines })
}

/// Shows what would come of a change. A file that somebody else has changed meanwhile is told of, and the
/// difference is to what is there now.
async fn preview<F: Front>(
    app: &Arc<App<F>>,
    visit: Visit,
    file: ConfigFile,
    change: Change,
    condition: Condition,
    typed: Option<String>,
    comment: String,
) -> Answer {
    let t = visit.frame.t;
    let desk = desk(app)?;
    let mut stale = false;
    let mut checked = desk.check(file, change.clone(), Some(condition)).await;
    if matches!(checked, Err(DeskError::Stale { .. })) {
        stale = true;
        checked = desk.check(file, change, None).await;
    }
    let draft = match checked {
        Ok(checked) => Draft {
            text: Some(checked.text.clone()),
            outcome: match (stale, checked.acceptable, checked.changed) {
                (true, ..) => flash(Tone::Warn, t.stale),
                (false, false, _) => flash(Tone::Bad, refused(&checked)),
                (false, true, false) => flash(Tone::Idle, t.nothing_changes),
                (false, true, true) => flash(Tone::Busy, t.previewed),
            },
            comment,
            checked: Some(checked),
            status: None,
        },
        Err(error) => {
            let problem = Problem::from(error);
            Draft {
                text: typed,
                comment,
                outcome: flash(Tone::Bad, problem.message()),
                status: Some(problem.status()),
                checked: None,
            }
        }
    };
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
    outcome: Result<Written, DeskError>,
    typed: Option<String>,
    comment: String,
) -> Answer {
    let t = visit.frame.t;
    match outcome {
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
        Err(error) => {
            let stale = matches!(error, DeskError::Stale { .. });
            let problem = Problem::from(error);
            let checked = match &typed {
                Some(text) => desk(app)?
                    .check(file, Change::Text(text.clone()), None)
                    .await
                    .ok(),
                None => None,
            };
            let draft = Draft {
                text: typed,
                comment,
                outcome: match stale {
                    true => flash(Tone::Warn, t.stale),
                    false => flash(Tone::Bad, problem.message()),
                },
                status: Some(problem.status()),
                checked,
            };
            draw(app, visit, file, draft).await
        }
    }
}
