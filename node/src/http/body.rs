//! Reading what a client sends, as much as it may send and no slower than it may.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::limits::HttpLimits;
use super::problem::Problem;

/// The JSON object in a request's body.
pub(super) async fn read_json<T: DeserializeOwned>(
    request: Request<Body>,
    limits: &HttpLimits,
) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send JSON, with the header `Content-Type: application/json`",
        ));
    }
    let bytes = read(&head.headers, body, limits).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let (status, kind) = if error.is_data() {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
        } else {
            (StatusCode::BAD_REQUEST, "malformed")
        };
        // serde quotes values that do not fit; a password must not travel back in an error.
        let message = if error.is_data() {
            let text = error.to_string();
            let field_names_only =
                text.starts_with("unknown field") || text.starts_with("missing field");
            if field_names_only {
                format!("the body does not have the form that this route takes: {text}")
            } else {
                format!(
                    "a value in the body is not of the type that this route takes (line {}, \
                     column {}); see /api/v1/openapi.json",
                    error.line(),
                    error.column()
                )
            }
        } else {
            format!(
                "the body is no JSON: it breaks off or goes wrong at line {}, column {}",
                error.line(),
                error.column()
            )
        };
        Problem::new(status, kind, message)
    })
}

/// The bytes of a request's body.
pub(super) async fn read_bytes(
    request: Request<Body>,
    limits: &HttpLimits,
) -> Result<Vec<u8>, Problem> {
    let (head, body) = request.into_parts();
    read(&head.headers, body, limits).await
}

/// Whether the body is declared to be JSON. A form of a foreign page cannot declare that without
/// the browser asking first, and that question is never answered with yes.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limits: &HttpLimits,
) -> Result<Vec<u8>, Problem> {
    let too_long = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("a body may be {} bytes long", limits.body_bytes),
        )
        .and_close()
    };
    let too_slow = || {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "the body came too slowly and was not waited for",
        )
        .and_close()
    };
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|len| len > limits.body_bytes as u64) {
        return Err(too_long());
    }
    let started = Instant::now();
    let end = started + limits.body_timeout;
    let mut bytes = Vec::new();
    loop {
        let earned = bytes.len() as u64 / limits.body_bytes_per_second.max(1);
        let patience = started + limits.body_grace + Duration::from_secs(earned);
        let frame = match timeout_at(patience.min(end), body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    format!("the body broke off: {error}"),
                )
                .and_close());
            }
        };
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limits.body_bytes {
                return Err(too_long());
            }
            bytes.extend_from_slice(&data);
        }
    }
}
