//! Refusals as a client sees them: a status, and one JSON object that says what to do.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use vaquita_core::admin::Refusal;

/// Why a request is not answered as it wished: `{"error": {"kind", "message", …}}`.
///
/// `kind` is stable and for programs; `message` is for people and may change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    message: String,
    details: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            details: Map::new(),
            headers: Vec::new(),
        }
    }

    /// The request is well-formed and asks for something that makes no sense.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// The request came too slowly, or too much of it. What is left of it on the connection cannot
    /// be told from a next request, so the connection ends.
    pub(super) fn and_close(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    pub(super) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
            .detail("retry_after_s", seconds)
    }

    pub(super) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && self.kind == "unauthenticated"
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What a program is told beside the message.
    pub(super) fn text_detail(&self, name: &str) -> Option<&str> {
        self.details.get(name)?.as_str()
    }

    /// The headers that belong to it.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let challenge = HeaderValue::from_static("Bearer realm=\"vaquita\"");
        match refusal {
            Refusal::Unauthenticated => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
                    .header(WWW_AUTHENTICATE, challenge)
            }
            Refusal::WrongPassword => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-password", message)
                    .header(WWW_AUTHENTICATE, challenge)
            }
            Refusal::SetupCodeRequired => {
                Self::new(StatusCode::UNAUTHORIZED, "setup-code-required", message)
                    .header(WWW_AUTHENTICATE, challenge)
            }
            Refusal::WrongSetupCode { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-setup-code", message)
                    .header(WWW_AUTHENTICATE, challenge)
            }
            Refusal::Forbidden { user, right } => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", message)
                    .detail("user", user)
                    .detail("right", right.as_str())
            }
            Refusal::PasswordChangeRequired { user } => {
                Self::new(StatusCode::FORBIDDEN, "password-change-required", message)
                    .detail("user", user)
            }
            Refusal::LoginRequired => Self::new(StatusCode::FORBIDDEN, "login-required", message),
            Refusal::Invalid { .. } => Self::invalid(message),
            Refusal::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not-found", message),
            Refusal::Conflict { .. } => Self::new(StatusCode::CONFLICT, "conflict", message),
            Refusal::Busy { retry_after, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).retry_after(retry_after)
            }
            Refusal::Unavailable { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            Refusal::NotHere { site, .. } => {
                let problem = Self::new(StatusCode::MISDIRECTED_REQUEST, "not-here", message);
                match site {
                    Some(site) => problem.detail("site", site),
                    None => problem,
                }
            }
            Refusal::Precondition { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "precondition", message)
            }
            Refusal::NoPlace(place) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no-place", message)
                    .detail("need", place.need)
                    .detail("have", place.have)
            }
            Refusal::NoRoom { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", message)
            }
            Refusal::Stale { .. } => Self::new(StatusCode::CONFLICT, "stale", message),
            // The core may learn refusals that this interface has no status for yet.
            _ => Self::new(StatusCode::CONFLICT, "refused", message),
        }
    }
}

impl IntoResponse for Problem {
    /// As JSON. The problem itself goes along, for whoever tells it otherwise.
    fn into_response(self) -> Response {
        let problem = self.clone();
        let mut error = self.details;
        error.insert("kind".to_owned(), self.kind.into());
        error.insert("message".to_owned(), self.message.into());
        let mut response = (self.status, Json(json!({ "error": error }))).into_response();
        response.headers_mut().extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        response.extensions_mut().insert(problem);
        response
    }
}
