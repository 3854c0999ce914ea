//! The controller's configuration files.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json as object;
use tokio::task::JoinError;
use vaquita_config::keys::{self, Key};
use vaquita_core::admin::Refusal;

use super::{Answer, Segments, Shared, json};
use crate::config_desk::{
    Author, Change, Condition, ConfigDesk, ConfigFile, DeskError, Edit, Written,
};
use crate::http::app::{App, SignedIn};
use crate::http::body::read_json;
use crate::http::conditions::Tags;
use crate::http::front::Front;
use crate::http::limits::HttpLimits;
use crate::http::problem::Problem;

pub(super) async fn overview<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    let desk = desk(&app)?;
    let _worker = app.worker().await?;
    Ok(json(&desk.overview(&caller).await?))
}

/// The table of keys, which every form is made from.
pub(super) async fn keys() -> Response {
    let keys: Vec<&Key> = keys::TABLE.iter().collect();
    json(&object!({ "keys": keys }))
}

pub(super) async fn reload<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    let desk = desk(&app)?.clone();
    let _worker = app.worker().await?;
    let reloading = tokio::spawn(async move { desk.reload(caller).await });
    Ok(json(&ended(reloading.await)?))
}

pub(super) async fn show<F: Front>(State(app): Shared<F>, path: Segments) -> Answer {
    let desk = desk(&app)?;
    let file = file(&path)?;
    let _worker = app.worker().await?;
    let shown = desk.show(file).await?;
    Ok(with_etag(json(&shown), &shown.row.etag))
}

/// What a file is to become: `{"text": "…"}` or `{"edits": [{"op": "set", …}]}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposed {
    text: Option<String>,
    edits: Option<Vec<Edit>>,
    comment: Option<String>,
}

impl Proposed {
    fn change(self) -> Result<(Change, String), Problem> {
        let change = match (self.text, self.edits) {
            (Some(text), None) => Change::Text(text),
            (None, Some(edits)) => Change::Edits(edits),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("send `text` or `edits`, not both"));
            }
            (None, None) => {
                return Err(Problem::invalid(
                    "say what the file is to become: `{\"text\": \"…\"}`, or \
                     `{\"edits\": [{\"op\": \"set\", \"key\": \"workerNum\", \"value\": \"8\"}]}`",
                ));
            }
        };
        Ok((change, self.comment.unwrap_or_default()))
    }
}

pub(super) async fn check<F: Front>(
    State(app): Shared<F>,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let desk = desk(&app)?.clone();
    let file = file(&path)?;
    let condition = condition(request.headers())?;
    let condition = Some(condition).filter(|condition| !condition.0.is_empty());
    let proposed: Proposed = read_json(request, &limits(&app)).await?;
    let (change, _) = proposed.change()?;
    let _worker = app.worker().await?;
    Ok(json(&desk.check(file, change, condition).await?))
}

pub(super) async fn write<F: Front>(
    State(app): Shared<F>,
    Extension(signed_in): Extension<SignedIn>,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let desk = desk(&app)?.clone();
    let file = file(&path)?;
    let condition = condition(request.headers())?;
    let proposed: Proposed = read_json(request, &limits(&app)).await?;
    let (change, comment) = proposed.change()?;
    let author = author(&signed_in, comment);
    let _worker = app.worker().await?;
    // Whoever asked may go away meanwhile: what was begun is brought to its end.
    let writing = async move { desk.write(file, change, condition, author).await };
    written(tokio::spawn(writing).await)
}

pub(super) async fn history<F: Front>(State(app): Shared<F>, path: Segments) -> Answer {
    let desk = desk(&app)?;
    let file = file(&path)?;
    let _worker = app.worker().await?;
    Ok(json(&desk.history(file).await?))
}

/// Which text is brought back: `{"version": 7}`; the newest without a number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undone {
    version: Option<u64>,
    comment: Option<String>,
}

pub(super) async fn undo<F: Front>(
    State(app): Shared<F>,
    Extension(signed_in): Extension<SignedIn>,
    path: Segments,
    request: Request<Body>,
) -> Answer {
    let desk = desk(&app)?.clone();
    let file = file(&path)?;
    let condition = condition(request.headers())?;
    let Undone { version, comment } = read_json(request, &limits(&app)).await?;
    let author = author(&signed_in, comment.unwrap_or_default());
    let _worker = app.worker().await?;
    let writing = async move { desk.undo(file, version, condition, author).await };
    written(tokio::spawn(writing).await)
}

/// What came of a change in a task of its own, which ends it though whoever asked went away.
pub(in crate::http) fn ended<T>(
    outcome: Result<Result<T, DeskError>, JoinError>,
) -> Result<T, Problem> {
    let outcome = outcome.map_err(|error| {
        let message = format!("the change ended by a bug in this program: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", message)
    })?;
    Ok(outcome?)
}

fn written(outcome: Result<Result<Written, DeskError>, JoinError>) -> Answer {
    let written = ended(outcome)?;
    Ok(with_etag(json(&written), &written.etag))
}

fn with_etag(mut response: Response, etag: &str) -> Response {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

/// The desk of this process, if it has the files of the cluster.
pub(in crate::http) fn desk<F: Front>(app: &App<F>) -> Result<&ConfigDesk, Problem> {
    app.settings.desk.as_ref().ok_or_else(|| {
        let here = format!(
            "the {}, which has no files of the cluster",
            app.settings.title
        );
        Refusal::NotHere { here, site: None }.into()
    })
}

pub(in crate::http) fn file(path: &Segments) -> Result<ConfigFile, Problem> {
    let name = path.named("file");
    ConfigFile::named(name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        let names = ConfigFile::ALL.map(ConfigFile::name).join(", ");
        let what = format!("there is no configuration file `{name}` here; there are {names}");
        Refusal::NotFound { what }.into()
    })
}

/// A text in JSON or in a form can be longer than the file it becomes.
pub(in crate::http) fn limits<F: Front>(app: &App<F>) -> HttpLimits {
    let limits = app.settings.limits.clone();
    HttpLimits {
        body_bytes: limits.config_body_bytes,
        ..limits
    }
}

/// What `If-Match` names. `*` would match what somebody else wrote a moment ago, so that it names nothing.
fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    Ok(match Tags::of(headers, &IF_MATCH)? {
        Some(Tags::These(tags)) => Condition(tags),
        Some(Tags::Any) | None => Condition::default(),
    })
}

fn author(signed_in: &SignedIn, comment: String) -> Author {
    let user = signed_in.user.as_ref();
    Author {
        by: user.map_or_else(|| "somebody".to_owned(), |user| user.user.clone()),
        comment,
        caller: signed_in.caller.clone(),
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        let message = error.to_string();
        match error {
            DeskError::NoFile { .. } | DeskError::NothingToUndo { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            DeskError::NoCondition { .. } => Self::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                message,
            ),
            DeskError::Stale { etag, text, .. } => {
                let value = HeaderValue::from_str(&etag).ok();
                let problem = Self::new(StatusCode::PRECONDITION_FAILED, "precondition", message)
                    .detail("etag", etag)
                    .detail("text", text);
                match value {
                    Some(value) => problem.header(ETAG, value),
                    None => problem,
                }
            }
            DeskError::BadEdit { nth, .. } => Self::invalid(message).detail("edit", nth),
            DeskError::BadComment { .. } => Self::invalid(message),
            DeskError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
            }
            DeskError::Protected { keys } => {
                Self::new(StatusCode::FORBIDDEN, "protected-key", message).detail("keys", keys)
            }
            DeskError::Unacceptable { findings, .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-configuration",
                message,
            )
            .detail("findings", object!(findings)),
            DeskError::NoVersion { .. } => Self::new(StatusCode::NOT_FOUND, "not-found", message),
            DeskError::Disk { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            DeskError::Busy => {
                let wait = std::time::Duration::from_secs(1);
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).retry_after(wait)
            }
            DeskError::Refused(refusal) => refusal.into(),
        }
    }
}
