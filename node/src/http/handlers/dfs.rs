//! Names of the file system: what is there, and changes that move no bytes.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;
use vaquita_core::admin::{Caller, Response as Told, Verb};
use vaquita_core::dfs::ask::{self, Ask, Expect};
use vaquita_core::dfs::ids::{FileVersion, OpId};
use vaquita_core::dfs::path::DfsPath;

use super::{Answer, Shared, json};
use crate::http::app::{App, SignedIn};
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::operation;
use crate::http::problem::Problem;
use crate::http::query::Query;

pub(super) async fn stat<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["path"])?;
    let path = path_of(&query)?;
    let entry = entry(&app, caller, Ask::Stat { path }).await?;
    Ok(json(&entry))
}

pub(super) async fn list<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["path", "after", "limit"])?;
    let path = path_of(&query)?;
    page(&app, caller, path, &query).await
}

/// One page of a directory, as `after` and `limit` say.
pub(super) async fn page<F: Front>(
    app: &App<F>,
    caller: Caller,
    path: DfsPath,
    query: &Query,
) -> Answer {
    let verb = Ask::List {
        path,
        after: query.get("after").map(str::to_owned),
        limit: query.count("limit", app.settings.limits.page_rows)?,
    };
    match ask(app, caller, verb).await? {
        ask::Answer::Listing(listing) => Ok(json(&listing)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

pub(super) async fn usage<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref(), &["path"])?;
    let path = path_of(&query)?;
    match ask(&app, caller, Ask::Usage { path }).await? {
        ask::Answer::Usage(usage) => Ok(json(&usage)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDirectory {
    path: String,
    #[serde(default)]
    parents: bool,
}

pub(super) async fn make_directory<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let headers = request.headers().clone();
    let new: NewDirectory = read_json(request, &app.settings.limits).await?;
    let path = parsed(&new.path)?;
    let verb = Ask::MakeDir {
        op: operation(&app, &headers, &format!("mkdir {path}"))?,
        path,
        parents: new.parents,
        // The driver's to fill in: this interface has no clock.
        unix_ms: 0,
    };
    let entry = entry(&app, caller, verb).await?;
    Ok((StatusCode::CREATED, json(&entry)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    path: String,
    #[serde(default)]
    recursive: bool,
    /// Which content has to be there, for a file.
    version: Option<u64>,
}

pub(super) async fn remove<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let headers = request.headers().clone();
    let removal: Removal = read_json(request, &app.settings.limits).await?;
    let path = parsed(&removal.path)?;
    let verb = Ask::Remove {
        op: operation(&app, &headers, &format!("remove {path}"))?,
        path,
        recursive: removal.recursive,
        expect: removal.version.map_or(Expect::Anything, |version| {
            Expect::Version(FileVersion(version))
        }),
    };
    match ask(&app, caller, verb).await? {
        ask::Answer::Removed(usage) => Ok(json(&usage)),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renaming {
    from: String,
    to: String,
    #[serde(default)]
    replace: bool,
}

pub(super) async fn rename<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    request: Request<Body>,
) -> Answer {
    let headers = request.headers().clone();
    let renaming: Renaming = read_json(request, &app.settings.limits).await?;
    let (from, to) = (parsed(&renaming.from)?, parsed(&renaming.to)?);
    let verb = Ask::Rename {
        op: operation(&app, &headers, &format!("rename {from} {to}"))?,
        from,
        to,
        replace: renaming.replace,
    };
    let entry = entry(&app, caller, verb).await?;
    Ok(json(&entry))
}

/// Has one of the web workers ask something about the file system.
pub(in crate::http) async fn ask<F: Front>(
    app: &App<F>,
    caller: Caller,
    ask: Ask,
) -> Result<ask::Answer, Problem> {
    match app.work(caller, Verb::Dfs(ask)).await? {
        Told::Dfs(answer) => Ok(answer),
        other => Err(unexpected(&other)),
    }
}

/// The same, of which the answer is what is at a path.
pub(in crate::http) async fn entry<F: Front>(
    app: &App<F>,
    caller: Caller,
    verb: Ask,
) -> Result<ask::Entry, Problem> {
    match ask(app, caller, verb).await? {
        ask::Answer::Entry(entry) => Ok(entry),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

/// The operation that the client has named, or one that nobody else has.
pub(super) fn operation<F: Front>(
    app: &App<F>,
    headers: &HeaderMap,
    what: &str,
) -> Result<OpId, Problem> {
    Ok(operation::named(headers, what)?.unwrap_or_else(|| app.draw()))
}

fn parsed(text: &str) -> Result<DfsPath, Problem> {
    DfsPath::parse(text).map_err(|error| Problem::invalid(error.to_string()))
}

fn path_of(query: &Query) -> Result<DfsPath, Problem> {
    query
        .path("path")?
        .ok_or_else(|| Problem::invalid("say which path: `?path=/data/a.csv`"))
}
