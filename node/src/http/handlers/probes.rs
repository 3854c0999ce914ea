//! What programs look at now and then: that the process lives, whether it can work, what it counts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use serde::Serialize;

use super::{Answer, Shared, json};
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

#[derive(Serialize)]
struct Tls {
    https: bool,
    /// By which those who know the cluster know each of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    sha256: String,
    names: Vec<String>,
    not_before_s: u64,
    not_after_s: u64,
}

/// What this process shows to those who connect. Nothing of it is secret, and a client wants to know it
/// before it has logged in.
pub(super) async fn tls<F: Front>(State(app): Shared<F>) -> Response {
    let told = app.settings.https.as_ref().map(|serving| {
        let facts = serving.facts();
        let shown = Shown {
            sha256: facts.fingerprint.to_string(),
            names: facts.names,
            not_before_s: facts.not_before,
            not_after_s: facts.not_after,
        };
        (serving.cluster_key().to_string(), shown)
    });
    let (cluster_key, certificate) = told.unzip();
    json(&Tls {
        https: certificate.is_some(),
        cluster_key,
        certificate,
    })
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

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
