//! A name and a password with each request, for programs that know nothing else.
//!
//! A password is worth more than a token and costs the cluster much more to look at. So it is
//! taken for files alone, only from this very machine unless they come through TLS, and exchanged for
//! a token that is kept for a short while.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;
use vaquita_core::admin::{Caller, Refusal, Response, Verb};
use vaquita_core::secret::Password;
use zeroize::Zeroizing;

use super::app::App;
use super::front::Front;
use super::gate::unexpected;
use super::problem::Problem;

/// How long a token serves for the password that it was given for.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// Life of such a token: long enough for a request that begins with it at the last moment.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How many are kept, the oldest giving way.
const KEPT: usize = 64;

/// A name and a password as a header gave them.
pub(super) struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// What an `Authorization: Basic …` header gives. One that cannot be read gives an empty name,
    /// which nobody has.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = Base64::decode_vec(encoded.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Zeroizing::new);
        let pair = text.as_ref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.unwrap_or_default();
        Some(Self {
            user: user.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        })
    }

    fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update((self.user.len() as u64).to_le_bytes());
        hash.update(self.user.as_bytes());
        hash.update(self.password.as_bytes());
        hash.finalize().into()
    }
}

struct Kept {
    key: [u8; 32],
    token: String,
    since: Instant,
}

/// The tokens that passwords were exchanged for, the oldest first.
#[derive(Default)]
pub(super) struct Exchanged {
    kept: Mutex<VecDeque<Kept>>,
}

impl Exchanged {
    /// The caller with a token for these credentials; `anew` forgets one that was kept.
    pub(super) async fn exchange<F: Front>(
        &self,
        app: &App<F>,
        peer: SocketAddr,
        credentials: &Credentials,
        anew: bool,
    ) -> Result<Caller, Problem> {
        if app.settings.is_in_the_clear(peer) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "insecure-login",
                "a name and a password with each request are taken from this machine alone, since \
                 they would cross the network in the clear: log in at the controller \
                 (POST /api/v1/login, or `vaquita login`) and send the token as \
                 `Authorization: Bearer …`, or have this process serve HTTPS (`enableHTTPS=1`)",
            ));
        }
        if credentials.user.is_empty() || credentials.password.len() > Password::MAX_LEN {
            return Err(Refusal::WrongPassword.into());
        }
        let key = credentials.key();
        // Held while somebody logs in: of many requests at once one exchanges, the others find.
        let mut kept = self.kept.lock().await;
        kept.retain(|it| it.since.elapsed() < KEPT_FOR && !(anew && it.key == key));
        let token = match kept.iter().find(|it| it.key == key) {
            Some(known) => known.token.clone(),
            None => {
                let verb = Verb::Login {
                    user: credentials.user.clone(),
                    password: Password::new(credentials.password.as_str().to_owned()),
                    valid_for: TOKEN_LIFE,
                    setup_code: None,
                };
                let token = match app.ask(app.caller_with(peer, None), verb).await {
                    Ok(Response::LoggedIn { token, .. }) => token,
                    Ok(other) => return Err(unexpected(&other)),
                    // A data node, which would have to send the password on in the clear.
                    Err(Refusal::NotHere { .. }) => {
                        return Err(Problem::new(
                            StatusCode::UNAUTHORIZED,
                            "token-required",
                            "a data node takes tokens and knows no passwords: log in at the \
                             controller (POST /api/v1/login, or `vaquita login`) and send the \
                             token as `Authorization: Bearer …`",
                        ));
                    }
                    Err(refusal) => return Err(refusal.into()),
                };
                if kept.len() >= KEPT {
                    kept.pop_front();
                }
                kept.push_back(Kept {
                    key,
                    token: token.clone(),
                    since: Instant::now(),
                });
                token
            }
        };
        Ok(app.caller_with(peer, Some(token)))
    }
}
