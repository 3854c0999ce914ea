//! Files, directories and chunks.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, Uri};
use vaquita_core::admin::{Refusal, Response as Told, Right};
use vaquita_core::dfs::ask::{Answer as Said, Ask, Entry, EntryKind, Expect, Usage, VolumeRow};
use vaquita_core::dfs::ids::ChunkId;
use vaquita_core::dfs::path::DfsPath;
use vaquita_web::format;
use vaquita_web::pages::{
    ChunkPage, ChunkView, DirectoryPage, EntryView, FilePage, crumbs, name_of,
};
use vaquita_web::words::fill;

use super::storage::history;
use super::{Answer, Form, Segments, Shared, Visit, page, tell};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::handlers::dfs::{ask, entry};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::percent;

/// Entries of a directory, or chunks of a file, on a page.
const ROWS: u32 = 100;

/// The address of the page of a path.
fn href(path: &DfsPath) -> String {
    percent::file_target(path).replacen("/dfs", "/files", 1)
}

pub(in crate::http) async fn show<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    uri: Uri,
) -> Answer {
    let query = Query::parse(uri.query(), &["after"])?;
    let path = path_of(&uri)?;
    let there = Ask::Stat { path };
    let entry = entry(&app, visit.caller.clone(), there).await?;
    match entry.kind {
        EntryKind::Directory => directory(&app, visit, entry, &query).await,
        EntryKind::File => file(&app, visit, entry, &query).await,
    }
}

fn path_of(uri: &Uri) -> Result<DfsPath, Problem> {
    let text = uri.path().strip_prefix("/files/").unwrap_or_default();
    let invalid = |what: String| Problem::from(Refusal::NotFound { what });
    let names = text.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(DfsPath::root(), |path, name| {
        let name = percent::decoded(name).map_err(|error| invalid(error.to_string()))?;
        path.join(&name).map_err(|error| invalid(error.to_string()))
    })
}

async fn directory<F: Front>(app: &App<F>, visit: Visit, entry: Entry, query: &Query) -> Answer {
    let path = entry.path;
    let listed = Ask::List {
        path: path.clone(),
        after: query.get("after").map(str::to_owned),
        limit: ROWS,
    };
    let listing = match ask(app, visit.caller.clone(), listed).await? {
        Said::Listing(listing) => listing,
        other => return Err(unexpected(&Told::Dfs(other))),
    };
    let measured = Ask::Usage { path: path.clone() };
    let usage = match ask(app, visit.caller.clone(), measured).await {
        Ok(Said::Usage(usage)) => Some(in_words(visit.frame.t.usage_line, &usage)),
        _ => None,
    };
    let last = listing.entries.last().filter(|_| listing.more);
    let more = last.map(|last| {
        let name = name_of(&last.path);
        let after = form_urlencoded::Serializer::new(String::new())
            .append_pair("after", &name)
            .finish();
        format!("{}?{after}", href(&path))
    });
    let view =
        |entry: &Entry| EntryView::new(entry, href(&entry.path), percent::file_target(&entry.path));
    let target = percent::file_target(&path);
    let drawn = DirectoryPage {
        crumbs: crumbs(&path, href),
        name: name_of(&path),
        path: path.to_string(),
        usage,
        entries: listing.entries.iter().map(view).collect(),
        more,
        target: format!("{}/", target.trim_end_matches('/')),
        may_write: visit.has(Right::DfsWrite),
        f: visit.frame,
    };
    Ok(page(StatusCode::OK, &drawn))
}

fn in_words(line: &str, usage: &Usage) -> String {
    let parts = [
        format::count(usage.files),
        format::bytes(usage.bytes),
        format::bytes(usage.stored_bytes),
    ];
    fill(line, &parts.each_ref().map(String::as_str))
}

async fn file<F: Front>(app: &App<F>, visit: Visit, entry: Entry, query: &Query) -> Answer {
    let after = match query.get("after") {
        None => None,
        Some(text) => ChunkId::parse(text),
    };
    let listed = Ask::Chunks {
        after,
        limit: ROWS,
        unwell_only: false,
        below: Some(entry.path.clone()),
    };
    let chunks = match ask(app, visit.caller.clone(), listed).await? {
        Said::Chunks(chunks) => chunks,
        other => return Err(unexpected(&Told::Dfs(other))),
    };
    let volumes = volumes(app, &visit).await;
    let t = visit.frame.t;
    let mut facts = vec![
        (
            t.size,
            format!(
                "{} ({})",
                format::bytes(entry.len),
                format::count(entry.len)
            ),
        ),
        (t.chunks, format::count(entry.count)),
    ];
    facts.extend(entry.replicas.map(|it| (t.replicas, it.to_string())));
    let moment = format::moment(entry.modified_unix_ms);
    facts.extend(moment.map(|it| (t.modified, it.human)));
    facts.extend(entry.digest.map(|it| (t.digest, it.to_string())));
    let upto = chunks.upto.filter(|_| chunks.more);
    let rows = chunks.rows.into_iter();
    let parent = entry
        .path
        .split_last()
        .map_or_else(DfsPath::root, |it| it.0);
    let drawn = FilePage {
        crumbs: crumbs(&entry.path, href),
        name: name_of(&entry.path),
        parent: parent.to_string(),
        download: percent::file_target(&entry.path),
        facts,
        chunks: rows.map(|row| ChunkView::new(t, row, &volumes)).collect(),
        more: upto.map(|chunk| format!("{}?after={chunk}", href(&entry.path))),
        may_write: visit.has(Right::DfsWrite),
        f: visit.frame,
    };
    Ok(page(StatusCode::OK, &drawn))
}

/// The volumes, where they can be had just now: they only say in which directory a replica lies.
async fn volumes<F: Front>(app: &App<F>, visit: &Visit) -> Vec<VolumeRow> {
    match ask(app, visit.caller.clone(), Ask::Volumes).await {
        Ok(Said::Volumes(rows)) => rows,
        _ => Vec::new(),
    }
}

pub(in crate::http) async fn chunk<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    path: Segments,
) -> Answer {
    let no_such = || {
        let what = "there is no such chunk".to_owned();
        Problem::from(Refusal::NotFound { what })
    };
    let chunk = ChunkId::parse(path.named("chunk")).ok_or_else(no_such)?;
    let row = match ask(&app, visit.caller.clone(), Ask::Chunk { chunk }).await? {
        Said::Chunks(page) => page.rows.into_iter().next().ok_or_else(no_such)?,
        other => return Err(unexpected(&Told::Dfs(other))),
    };
    let history = history(&app, &visit, Some(chunk), None).await?;
    let volumes = volumes(&app, &visit).await;
    let file = row.path.as_ref().map(href).unwrap_or_default();
    let view = ChunkView::new(visit.frame.t, row, &volumes);
    let drawn = ChunkPage::new(visit.frame, view, file, history);
    Ok(page(StatusCode::OK, &drawn))
}

pub(in crate::http) async fn order<F: Front>(
    State(app): Shared<F>,
    visit: Visit,
    request: Request<Body>,
) -> Answer {
    let form = Form::of(&visit, request, &app.settings.limits).await?;
    let path = DfsPath::parse(form.get("path").unwrap_or("dfs://"));
    let path = path.map_err(|error| Problem::invalid(error.to_string()))?;
    let outcome = carry_out(&app, &visit, &form, &path).await;
    tell(&app, &visit, outcome, &href(&path))
}

async fn carry_out<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
    path: &DfsPath,
) -> Result<Vec<String>, Problem> {
    let t = visit.frame.t;
    let below = |name: &str| {
        path.join(name)
            .map_err(|error| Problem::invalid(error.to_string()))
    };
    let caller = || visit.caller.clone();
    match form.need("do")? {
        "mkdir" => {
            let made = Ask::MakeDir {
                op: app.draw(),
                path: below(form.need("name")?)?,
                parents: false,
                // The driver's to fill in: this interface has no clock.
                unix_ms: 0,
            };
            let made = entry(app, caller(), made).await?;
            Ok(vec![fill(t.made_directory, &[&made.path.to_string()])])
        }
        "rename" => {
            let renamed = Ask::Rename {
                op: app.draw(),
                from: below(form.need("entry")?)?,
                to: below(form.need("name")?)?,
                replace: false,
            };
            let renamed = entry(app, caller(), renamed).await?;
            Ok(vec![fill(t.renamed_to, &[&renamed.path.to_string()])])
        }
        "remove" => {
            let mut removed = Vec::new();
            for name in form.all("entry") {
                let gone = Ask::Remove {
                    op: app.draw(),
                    path: below(name)?,
                    recursive: true,
                    expect: Expect::Anything,
                };
                // What was removed before a refusal is gone; the page shows what is left.
                ask(app, caller(), gone).await?;
                removed.push(name);
            }
            if removed.is_empty() {
                return Err(Problem::invalid(t.nothing_selected));
            }
            Ok(vec![fill(t.removed_n, &[&removed.join(", ")])])
        }
        _ => Err(form.no_such_order()),
    }
}
