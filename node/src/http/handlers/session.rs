//! Logging in and out.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use vaquita_core::admin::{Refusal, Response as Told, Verb};
use vaquita_core::secret::Password;

use super::{Answer, Shared, done, json};
use crate::http::app::{App, Peer, SignedIn};
use crate::http::body::read_json;
use crate::http::front::Front;
use crate::http::gate::unexpected;
use crate::http::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: String,
    valid_for_s: Option<u64>,
    setup_code: Option<String>,
}

#[derive(Serialize)]
struct Token {
    token: String,
    expires_in_s: u64,
    must_change_password: bool,
    /// What the user should know about the way the password took.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

const IN_THE_CLEAR: &str = "the password crossed the network unencrypted; log in on the \
     controller's own machine or through a tunnel, or have it serve HTTPS (`enableHTTPS=1`)";

pub(super) async fn login<F: Front>(
    State(app): Shared<F>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Answer {
    let in_the_clear = app.settings.is_in_the_clear(peer);
    if in_the_clear && app.settings.strict_defaults {
        return Err(insecure());
    }
    let caller = app.caller(peer, request.headers());
    let limits = &app.settings.limits;
    let credentials: Credentials = read_json(request, limits).await?;
    let valid_for = credentials
        .valid_for_s
        .map_or(limits.token_life, Duration::from_secs);
    if valid_for.is_zero() || valid_for > limits.token_life_max {
        return Err(Problem::invalid(format!(
            "`valid_for_s` goes from 1 to {}",
            limits.token_life_max.as_secs()
        )));
    }
    let verb = Verb::Login {
        user: credentials.user,
        password: password(credentials.password)?,
        valid_for,
        setup_code: credentials.setup_code.map(password).transpose()?,
    };
    match app.work(caller, verb).await? {
        Told::LoggedIn {
            token,
            must_change_password,
        } => {
            let warns = warns_of_clear_text(&app, peer);
            Ok(json(&Token {
                token,
                expires_in_s: valid_for.as_secs(),
                must_change_password,
                warning: warns.then_some(IN_THE_CLEAR),
            }))
        }
        other => Err(unexpected(&other)),
    }
}

/// Whether a login came across the network in the clear, which is then told in the log.
pub(in crate::http) fn warns_of_clear_text<F>(app: &App<F>, peer: SocketAddr) -> bool {
    let warns = app.settings.is_in_the_clear(peer) && !app.settings.allow_plain_http;
    if warns {
        tracing::warn!("a login from {} came in the clear", peer.ip());
    }
    warns
}

/// The refusal of a login that crosses the network in the clear.
pub(in crate::http) fn insecure() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "insecure-login",
        "`strictDefaults=1` allows no login across the network in the clear; log in on the \
         controller's own machine or through a tunnel, or have it serve HTTPS (`enableHTTPS=1`)",
    )
}

pub(super) async fn logout<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
) -> Answer {
    match app.work(caller, Verb::Logout).await? {
        Told::Done => Ok(done()),
        other => Err(unexpected(&other)),
    }
}

/// The gate has asked already.
pub(super) async fn me(Extension(SignedIn { user, .. }): Extension<SignedIn>) -> Answer {
    match user {
        Some(user) => Ok(json(&user)),
        None => Err(Refusal::Unauthenticated.into()),
    }
}

/// A password short enough to be worth hashing.
pub(in crate::http) fn password(text: String) -> Result<Password, Problem> {
    if text.len() > Password::MAX_LEN {
        return Err(Problem::invalid(format!(
            "a password has at most {} bytes",
            Password::MAX_LEN
        )));
    }
    Ok(Password::new(text))
}
