//! What anybody may see: that the process lives, whether it can work, and what it is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;

use super::{Answer, Shared};
use crate::http::front::Front;
use crate::http::metrics;
use crate::http::openapi;
use crate::http::problem::Problem;

/// The process runs its event loop. It says nothing about the cluster, so that a supervisor does
/// not restart a healthy process because its peers are away.
pub(super) async fn alive() -> Response {
    plain(StatusCode::OK, "ok\n")
}

/// Whether the process can do its work: for load balancers.
pub(super) async fn ready<F: Front>(State(app): Shared<F>) -> Response {
    if app.is_ready().await {
        plain(StatusCode::OK, "ready\n")
    } else {
        plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready; `vaquita status` says why\n",
        )
    }
}

pub(super) async fn metrics<F: Front>(State(app): Shared<F>) -> Answer {
    if let Some(status) = app.own_status().await {
        app.metrics.observe(&status);
    }
    let mut text = String::new();
    encode(&mut text, &app.registry).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "bug",
            "the metrics cannot be written as text; please report it",
        )
    })?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

pub(super) async fn openapi() -> Response {
    (
        [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-cache"),
        ],
        openapi::DOCUMENT,
    )
        .into_response()
}

pub(super) async fn front_page<F: Front>(State(app): Shared<F>) -> Response {
    let title = escaped(&app.settings.title);
    let page = format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Vaquita: {title}</title></head>\n\
         <body>\n\
         <h1>Vaquita: {title}</h1>\n\
         <p>This process belongs to a Vaquita storage cluster.</p>\n\
         <p>Programs talk to it under <code>/api/v1/</code>; \
         <a href=\"/api/v1/openapi.json\">openapi.json</a> describes every call. On a command \
         line, <code>vaquita login</code> and <code>vaquita status</code> do the same.</p>\n\
         <p><a href=\"/healthz\">healthz</a> says that the process lives, \
         <a href=\"/readyz\">readyz</a> whether it can work.</p>\n\
         </body>\n\
         </html>\n"
    );
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}
