//! What is answered to whoever comes in the clear to a process that serves HTTPS.
//!
//! Nothing that came so is carried out, and whoever sent it is not even asked for: who is on the way may
//! have changed it. A browser that asks for something is led to the same address with `https`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, HeaderValue, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use super::app::App;
use super::front::Front;
use super::gate;
use super::problem::Problem;

/// Leads a reader to HTTPS, and refuses anything else. The body of a request is not read.
pub(super) async fn answer<F: Front>(State(app): State<Arc<App<F>>>, head: Parts) -> Problem {
    // The name is written into the answer: it has to be one of this process.
    if let Err(problem) = gate::admit_host(&app, &head) {
        return problem.and_close();
    }
    let host = head.headers.get(axum::http::header::HOST);
    let host = host.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    // Who shows a secret has to hear of it: led on silently, they would do so for ever.
    let shows = head.headers.contains_key(AUTHORIZATION);
    if reads && !shows {
        let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
        if let Ok(place) = HeaderValue::try_from(format!("https://{host}{target}")) {
            return Problem::new(
                StatusCode::PERMANENT_REDIRECT,
                "https-required",
                format!("this port serves HTTPS alone: ask https://{host}"),
            )
            .header(LOCATION, place)
            .and_close();
        }
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "https-required",
        format!(
            "nothing was done: this port serves HTTPS alone, so use https://{host}. What came along, such \
             as a token or a password, crossed the network in the clear: if others may have read it, \
             void it"
        ),
    )
    .and_close()
}
