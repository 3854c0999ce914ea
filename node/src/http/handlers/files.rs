//! Files themselves, at `/dfs/<path>`.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::time::timeout;
use vaquita_core::admin::{Caller, Refusal, Response as Told, Verb};
use vaquita_core::dfs::ask::{self, Ask, Committed, Entry, EntryKind, Expect, Outcome};
use vaquita_core::dfs::ids::OpId;
use vaquita_core::dfs::path::DfsPath;

use super::away::away;
use super::dfs::{ask, entry, page};
use super::{Answer, Shared, done, json};
use crate::http::app::{App, SignedIn};
use crate::http::conditions::{Part, Tags, etag};
use crate::http::download::Download;
use crate::http::files::{Files, OpenFile, Put, PutError, Upload};
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::operation;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::percent;

/// How many chunks of a file that was written have fewer replicas than they should.
const DEGRADED: HeaderName = HeaderName::from_static("x-vaquita-degraded");
/// Length of a file's chunks but the last: its digest is made of theirs.
const CHUNK_BYTES: HeaderName = HeaderName::from_static("x-vaquita-chunk-bytes");
/// What has happened to a file that its readers should know.
const REMARK: HeaderName = HeaderName::from_static("x-vaquita-remark");

pub(super) async fn read<F: Front, D: Files>(
    State(app): Shared<F>,
    Extension(signed_in): Extension<SignedIn>,
    Extension(files): Extension<Option<D>>,
    request: Request<Body>,
) -> Answer {
    let path = path_of(request.uri())?;
    let Some(files) = files else {
        return away(&app, signed_in, request).await;
    };
    let caller = signed_in.caller;
    let (head, _) = request.into_parts();
    let (method, uri, headers) = (head.method, head.uri, head.headers);
    let query = Query::parse(uri.query(), &["after", "limit"])?;
    if method == Method::HEAD {
        let entry = entry(&app, caller, Ask::Stat { path }).await?;
        return match refused_by_condition(&headers, &entry)? {
            Some(answer) => Ok(answer),
            None => Ok(head_of(&entry)),
        };
    }
    if uri.path().ends_with('/') {
        return page(&app, caller, path, &query).await;
    }
    let patience = app.settings.limits.request_timeout;
    let file = timeout(patience, files.open(caller.clone(), path.clone()))
        .await
        .map_err(|_| no_answer("the places of the file", patience))??;
    if file.entry().kind == EntryKind::Directory {
        return page(&app, caller, path, &query).await;
    }
    if uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::invalid(
            "`after` and `limit` are for directories, and this is a file; `Range` reads a part of it",
        ));
    }
    if let Some(answer) = refused_by_condition(&headers, file.entry())? {
        return Ok(answer);
    }
    contents(file, &headers, patience).await
}

/// The answer that the conditions of a request give in place of a content: 304 or 412.
fn refused_by_condition(headers: &HeaderMap, entry: &Entry) -> Result<Option<Response>, Problem> {
    let Some(digest) = entry.digest else {
        return Ok(None);
    };
    if let Some(wanted) = Tags::of(headers, &header::IF_MATCH)?
        && !wanted.name(digest)
    {
        return Err(another_content(entry));
    }
    if let Some(known) = Tags::of(headers, &header::IF_NONE_MATCH)?
        && known.name_roughly(digest)
    {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), entry);
        return Ok(Some(response));
    }
    Ok(None)
}

fn another_content(entry: &Entry) -> Problem {
    let there = entry.digest.map_or_else(|| "a directory".to_owned(), etag);
    Problem::from(Refusal::Precondition {
        reason: format!(
            "{} has another content than the request expects: it is {there}; nothing was changed",
            entry.path
        ),
    })
}

/// What HEAD tells.
fn head_of(entry: &Entry) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    describe(headers, entry);
    if entry.kind == EntryKind::File {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(entry.len));
    } else {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    response
}

/// A file's bytes, or those that were asked for.
async fn contents<O: OpenFile>(file: O, headers: &HeaderMap, patience: Duration) -> Answer {
    let entry = file.entry().clone();
    let chunk_bytes = file.chunk_bytes();
    let remark = file.remark().and_then(|it| HeaderValue::try_from(it).ok());
    let digest = entry.digest.unwrap_or_default();
    let (status, range) = match Part::of(headers, digest, entry.len) {
        Part::Whole => (StatusCode::OK, 0..entry.len),
        Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
        Part::Nothing => {
            let place = HeaderValue::try_from(format!("bytes */{}", entry.len));
            let problem = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range",
                format!(
                    "{} has {} bytes, and none of them in that range",
                    entry.path, entry.len
                ),
            );
            return Err(match place {
                Ok(place) => problem.header(header::CONTENT_RANGE, place),
                Err(_) => problem,
            });
        }
    };
    let place = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| format!("bytes {}-{}/{}", range.start, range.end - 1, entry.len))
        .and_then(|place| HeaderValue::try_from(place).ok());
    let len = range.end - range.start;
    let body = timeout(patience, Download::begin(file.read(range), len))
        .await
        .map_err(|_| no_answer("the first bytes of the file", patience))??;
    let mut response = (status, Body::new(body)).into_response();
    let headers = response.headers_mut();
    describe(headers, &entry);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if chunk_bytes > 0 {
        headers.insert(CHUNK_BYTES, HeaderValue::from(chunk_bytes));
    }
    for (name, value) in [(header::CONTENT_RANGE, place), (REMARK, remark)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// The headers that say which content it is.
fn describe(headers: &mut HeaderMap, entry: &Entry) {
    if entry.kind == EntryKind::File {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // A page that somebody has stored must not run here as one of ours.
        let bytes = HeaderValue::from_static("application/octet-stream");
        headers.insert(header::CONTENT_TYPE, bytes);
    }
    let asked_each_time = HeaderValue::from_static("private, no-cache");
    headers.insert(header::CACHE_CONTROL, asked_each_time);
    let etag = entry
        .digest
        .and_then(|it| HeaderValue::try_from(etag(it)).ok());
    let date = date(entry.modified_unix_ms).and_then(|it| HeaderValue::try_from(it).ok());
    for (name, value) in [(header::ETAG, etag), (header::LAST_MODIFIED, date)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

/// A date as HTTP writes it.
fn date(unix_ms: u64) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

pub(super) async fn write<F: Front, D: Files>(
    State(app): Shared<F>,
    Extension(signed_in): Extension<SignedIn>,
    Extension(files): Extension<Option<D>>,
    request: Request<Body>,
) -> Answer {
    let path = path_of(request.uri())?;
    let Some(files) = files else {
        return away(&app, signed_in, request).await;
    };
    let caller = signed_in.caller;
    let (head, body) = request.into_parts();
    Query::parse(head.uri.query(), &[])?;
    if path.is_root() || head.uri.path().ends_with('/') {
        return Err(Problem::invalid(
            "the path of a file ends in a name, not in `/`; directories are made by \
             POST /api/v1/dfs/mkdir, or `vaquita dfs mkdir`",
        ));
    }
    if head.headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::invalid(
            "a file is written as a whole, without `Content-Range`",
        ));
    }
    let named = operation::named(&head.headers, &format!("put {path}"))?;
    let op = named.unwrap_or_else(|| app.draw());
    let done_before = async || match named {
        Some(op) => committed_before(&app, &caller, op, &path).await,
        None => None,
    };
    let expect = match expected(&app, &caller, &head.headers, &path).await {
        Ok(expect) => expect,
        Err(problem) => {
            return match done_before().await {
                Some(committed) => Ok(written(&committed)),
                None => Err(problem),
            };
        }
    };
    let put = Put {
        caller: caller.clone(),
        op,
        path: path.clone(),
        expect,
        len: length(&head.headers),
    };
    let upload = Upload::new(body, app.settings.limits.file_stall);
    match files.put(put, upload).await {
        Ok(committed) => Ok(written(&committed)),
        Err(PutError::Upload(error)) => Err(upload_problem(&error)),
        Err(PutError::Refused(refusal)) => {
            let contradicts = matches!(
                refusal,
                Refusal::Precondition { .. } | Refusal::Conflict { .. } | Refusal::Stale { .. }
            );
            match contradicts {
                true => match done_before().await {
                    Some(committed) => Ok(written(&committed)),
                    None => Err(refusal.into()),
                },
                false => Err(refusal.into()),
            }
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

fn upload_problem(error: &crate::http::files::UploadError) -> Problem {
    use crate::http::files::UploadError;
    let message = format!("{error}; nothing was changed");
    match error {
        UploadError::Stalled { .. } => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", message)
        }
        UploadError::Broken { .. } => Problem::new(StatusCode::BAD_REQUEST, "malformed", message),
    }
    .and_close()
}

/// What has to be there for a change to be made, as the conditions of its request say.
///
/// Entity tags are of contents and the controller compares versions, so that a tag is looked up
/// first; what is changed in between is noticed by the version.
async fn expected<F: Front>(
    app: &App<F>,
    caller: &Caller,
    headers: &HeaderMap,
    path: &DfsPath,
) -> Result<Expect, Problem> {
    let wanted = Tags::of(headers, &header::IF_MATCH)?;
    let unwanted = Tags::of(headers, &header::IF_NONE_MATCH)?;
    match (wanted, unwanted) {
        (None, None) => Ok(Expect::Anything),
        (None, Some(Tags::Any)) => Ok(Expect::Nothing),
        (Some(Tags::Any), None) => Ok(Expect::Something),
        (Some(tags), None) => {
            let stat = Ask::Stat { path: path.clone() };
            let there = match app.work(caller.clone(), Verb::Dfs(stat)).await {
                Ok(Told::Dfs(ask::Answer::Entry(there))) => there,
                Ok(other) => return Err(unexpected(&other)),
                Err(problem) if problem.is_not_found() => {
                    return Err(Refusal::Precondition {
                        reason: format!("there is nothing at {path}; nothing was changed"),
                    }
                    .into());
                }
                Err(problem) => return Err(problem),
            };
            match there.digest {
                Some(digest) if tags.name(digest) => Ok(Expect::Version(there.version)),
                _ => Err(another_content(&there)),
            }
        }
        (_, Some(_)) => Err(Problem::invalid(
            "a change takes `If-Match` with `*` or an entity tag, or `If-None-Match: *`, not both",
        )),
    }
}

/// What a write did, if it was this operation that wrote what is there now: the answer to a client
/// that asks again because it has not heard the first one.
async fn committed_before<F: Front>(
    app: &App<F>,
    caller: &Caller,
    op: OpId,
    path: &DfsPath,
) -> Option<Committed> {
    let outcome = ask(app, caller.clone(), Ask::Outcome { op }).await.ok()?;
    let ask::Answer::Outcome(Outcome::Done { version }) = outcome else {
        return None;
    };
    let stat = Ask::Stat { path: path.clone() };
    let entry = entry(app, caller.clone(), stat).await.ok()?;
    (entry.version == version).then_some(Committed {
        entry,
        degraded_chunks: 0,
        created: false,
    })
}

fn written(committed: &Committed) -> Response {
    let mut response = json(committed);
    if committed.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    let entry = &committed.entry;
    let place = HeaderValue::try_from(percent::file_target(&entry.path)).ok();
    let etag = entry
        .digest
        .and_then(|it| HeaderValue::try_from(etag(it)).ok());
    let degraded = Some(committed.degraded_chunks)
        .filter(|chunks| *chunks > 0)
        .map(HeaderValue::from);
    for (name, value) in [
        (header::LOCATION, place),
        (header::ETAG, etag),
        (DEGRADED, degraded),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

pub(super) async fn remove<F: Front, D: Files>(
    State(app): Shared<F>,
    Extension(signed_in): Extension<SignedIn>,
    Extension(files): Extension<Option<D>>,
    request: Request<Body>,
) -> Answer {
    let path = path_of(request.uri())?;
    if files.is_none() {
        return away(&app, signed_in, request).await;
    }
    let caller = signed_in.caller;
    let headers = request.headers();
    let query = Query::parse(request.uri().query(), &["recursive"])?;
    let recursive = query.flag("recursive")?;
    let named = operation::named(headers, &format!("remove {path}"))?;
    let expect = expected(&app, &caller, headers, &path).await?;
    if expect == Expect::Nothing {
        return Err(Problem::invalid("`If-None-Match: *` has nothing removed"));
    }
    let verb = Ask::Remove {
        op: named.unwrap_or_else(|| app.draw()),
        path,
        recursive,
        expect,
    };
    match ask(&app, caller, verb).await? {
        ask::Answer::Removed(_) => Ok(done()),
        other => Err(unexpected(&Told::Dfs(other))),
    }
}

/// The path that an address names: the names behind `/dfs/`, each decoded once, so that no encoded
/// slash makes two names of one and no encoded dots lead anywhere.
fn path_of(uri: &Uri) -> Result<DfsPath, Problem> {
    let target = uri.path();
    let names = target.strip_prefix("/dfs/").unwrap_or_default();
    let mut path = DfsPath::root();
    for name in names.split('/').filter(|name| !name.is_empty()) {
        let name = percent::decoded(name)
            .map_err(|why| Problem::invalid(format!("the path cannot be read: {why}")))?;
        path = path
            .join(&name)
            .map_err(|error| Problem::invalid(error.to_string()))?;
    }
    Ok(path)
}

fn no_answer(what: &str, patience: Duration) -> Problem {
    Refusal::Unavailable {
        reason: format!("{what} could not be had within {} s", patience.as_secs()),
    }
    .into()
}
