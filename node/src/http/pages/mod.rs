//! The cluster manager: pages for people, drawn by [`vaquita_web`] from what the machine says.
//!
//! Each handler asks the same questions and gives the same orders as those of the API, with the same
//! rights: what a page shows and does, `curl` can too. What an order led to is told on the page that
//! follows, which a redirect leads to, so that loading it anew orders nothing twice.

pub(super) mod assets;
pub(super) mod audit;
pub(super) mod config;
pub(super) mod events;
pub(super) mod files;
pub(super) mod form;
pub(super) mod login;
pub(super) mod logs;
pub(super) mod nodes;
pub(super) mod overview;
pub(super) mod own;
mod reader;
pub(super) mod storage;
pub(super) mod users;
mod visit;

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use vaquita_web::{Flash, Tone};

pub(super) use form::Form;
pub(super) use reader::{Ending, Reader};
pub(super) use visit::Visit;

use super::app::App;
use super::front::Front;
use super::handlers::{Answer, Segments, Shared};
use super::problem::Problem;

/// A page.
fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let html_type = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(CONTENT_TYPE, html_type)], html).into_response()
        }
        // Only writing can fail, and a String takes what it is given.
        Err(error) => {
            tracing::error!("a page cannot be drawn: {error}; this is a bug");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Leads a browser elsewhere, whatever it had asked for.
fn see_other(address: &str) -> Response {
    let place = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}

/// The address of a page of this very process, or the first one: nobody is led elsewhere by an address
/// that somebody made up.
fn local(address: &str) -> &str {
    let fine = address.starts_with('/')
        && !address.starts_with("//")
        && address
            .bytes()
            .all(|it| it.is_ascii_graphic() && it != b'\\');
    if fine { address } else { "/" }
}

/// Leads to the page that tells what came of an order.
fn tell<F: Front>(
    app: &App<F>,
    visit: &Visit,
    outcome: Result<Vec<String>, Problem>,
    next: &str,
) -> Answer {
    let (tone, lines) = match outcome {
        Ok(lines) => (Tone::Good, lines),
        // Somebody who has to log in again is told there.
        Err(problem) if problem.is_unauthenticated() || visit.token.is_none() => {
            return Err(problem);
        }
        Err(problem) => (Tone::Bad, vec![problem.message().to_owned()]),
    };
    if let Some(token) = &visit.token {
        app.sessions.tell(token, Flash { tone, lines });
    }
    Ok(see_other(local(next)))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_led_to_another_host() {
        for fine in ["/", "/nodes/P1-NODE1", "/files/a%20b?after=x"] {
            assert_eq!(local(fine), fine);
        }
        for other in [
            "",
            "//evil",
            "https://evil",
            "/\\evil",
            "/a\r\nSet-Cookie: b",
            "/a b",
        ] {
            assert_eq!(local(other), "/");
        }
    }
}
