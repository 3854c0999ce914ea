//! What the handlers share: the way to the machine, the settings, the workers and the counters.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use vaquita_core::admin::{Caller, Refusal, Reply, Request, Response, StatusReport, UserRow, Verb};
use vaquita_core::dfs::ids::OpId;
use vaquita_core::prng::{SecretPrng, Seed};

use super::basic::Exchanged;
use super::front::Front;
use super::hosts::AllowedHosts;
use super::limits::HttpLimits;
use super::metrics::Metrics;
use super::passage::Passage;
use super::problem::Problem;
use super::pulse::Pulse;
use super::recent::Recent;
use super::rolling::Rolling;
use super::session::{self, Sessions};
use crate::config_desk::ConfigDesk;
use crate::tls::Serving;

/// What the configuration says about the HTTP interface.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// What this process is, for the page at `/`: `controller master`.
    pub title: String,
    /// The names that requests may be for.
    pub allowed_hosts: AllowedHosts,
    /// `webWorkerNum`: how many requests are worked on at a time.
    pub web_workers: usize,
    /// `strictDefaults`: whether a login that crosses the network in the clear is refused.
    pub strict_defaults: bool,
    /// `allowPlainHttp`: whether such a login comes without a warning.
    pub allow_plain_http: bool,
    /// Name of the cookie that carries a browser's session: cookies do not tell ports apart, so that it
    /// names the port.
    pub session_cookie: String,
    /// What this process shows to those who connect, if it serves HTTPS; then it serves nothing else.
    pub https: Option<Serving>,
    /// The way of a browser's files to data nodes, on a controller.
    pub passage: Passage,
    /// Where the cluster manager is, on a process that is not it: `10.1.1.7:8990`.
    pub manager: Option<String>,
    /// The controller's files; `None` where there are none.
    pub desk: Option<ConfigDesk>,
    /// What clients may send, and how slowly.
    pub limits: HttpLimits,
    /// From which operations that the client has not named are named.
    pub seed: Seed,
}

impl HttpSettings {
    /// How the addresses of this cluster's processes begin.
    pub(super) const fn scheme(&self) -> &'static str {
        match self.https {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Whether what that client sends can be read on its way: what it sends to an HTTPS port in the
    /// clear never gets as far as to whoever asks this.
    pub(super) fn is_in_the_clear(&self, peer: SocketAddr) -> bool {
        self.https.is_none() && !peer.ip().to_canonical().is_loopback()
    }
}

pub(super) struct App<F> {
    pub(super) front: F,
    pub(super) settings: HttpSettings,
    pub(super) metrics: Metrics,
    pub(super) registry: Arc<Registry>,
    /// One permit for each request that is worked on or waits.
    admission: Semaphore,
    pub(super) exchanged: Exchanged,
    pub(super) recent: Recent,
    pub(super) sessions: Arc<Sessions>,
    pub(super) pulse: Pulse,
    pub(super) rolling: Rolling,
    workers: Semaphore,
    names: std::sync::Mutex<SecretPrng>,
    known: Mutex<Option<(Instant, Known)>>,
}

impl<F> fmt::Debug for App<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The other side's address, put beside each request of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who asks, once the gate has let the request through; put beside the request.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    pub(super) caller: Caller,
    /// Not known where it was only asked whether the caller has a right on files: a data node has
    /// no list of users.
    pub(super) user: Option<UserRow>,
    /// The token, where a browser's cookie brought it.
    pub(super) session: Option<String>,
}

impl SignedIn {
    /// Somebody whose token stood in a header: no browser sends that by itself.
    pub(super) const fn with_token(caller: Caller, user: Option<UserRow>) -> Self {
        Self {
            caller,
            user,
            session: None,
        }
    }

    /// Refuses what a browser was made to send by a page that is not of this session.
    pub(super) fn proves_its_page(&self, shown: Option<&str>) -> Result<(), Problem> {
        let Some(token) = &self.session else {
            return Ok(());
        };
        if shown.is_some_and(|shown| session::is_csrf(token, shown)) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "no-proof-of-page",
            "a request that changes something and brings its session in a cookie has to show that it comes \
             from a page of this session: load the page anew and try again",
        ))
    }
}

/// How long what everybody may know is good for. Anybody may ask, so that asking often must not
/// cost the machine anything.
const KNOWN_FOR: Duration = Duration::from_millis(250);

/// What everybody may know.
#[derive(Clone, Copy, Default)]
struct Known {
    is_ready: bool,
    has_first_password: bool,
}

impl<F: Front> App<F> {
    pub(super) fn new(
        front: F,
        settings: HttpSettings,
        metrics: Metrics,
        registry: Arc<Registry>,
    ) -> Self {
        let workers = settings.web_workers.max(1);
        metrics.pool("web", workers);
        // What may be there later is there from the start, for whoever draws graphs.
        drop((
            metrics.web_request("working"),
            metrics.web_request("waiting"),
        ));
        Self {
            admission: Semaphore::new(workers + settings.limits.requests_waiting),
            workers: Semaphore::new(workers),
            names: std::sync::Mutex::new(SecretPrng::new(settings.seed.clone())),
            exchanged: Exchanged::default(),
            recent: Recent::default(),
            sessions: Arc::default(),
            pulse: Pulse::default(),
            rolling: Rolling::default(),
            known: Mutex::new(None),
            front,
            settings,
            metrics,
            registry,
        }
    }

    /// Whoever sends a request with these headers from that address. The date is the driver's to
    /// fill in: this interface has no clock.
    pub(super) fn caller(&self, peer: SocketAddr, headers: &HeaderMap) -> Caller {
        self.caller_with(peer, bearer_token(headers))
    }

    /// Whoever sends a request from that address, with a token that stood elsewhere.
    pub(super) fn caller_with(&self, peer: SocketAddr, token: Option<String>) -> Caller {
        Caller::Remote {
            address: peer.ip().to_canonical(),
            token,
            unix_ms: 0,
        }
    }

    /// The name of an operation that its client has not named.
    pub(super) fn draw(&self) -> OpId {
        // A draw cannot panic half way, so that a poisoned lock is as good as any.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        OpId(names.next_16())
    }

    /// Asks the machine, without waiting for a worker: for what decides whether a request is
    /// worked on at all.
    pub(super) async fn ask(&self, caller: Caller, verb: Verb) -> Reply {
        let request = Request { caller, verb };
        let patience = self.settings.limits.request_timeout;
        timeout(patience, self.front.ask(request))
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::Unavailable {
                    reason: format!(
                        "no answer within {} s; the process is overloaded or ending",
                        patience.as_secs()
                    ),
                })
            })
    }

    /// Has one of the web workers carry out a verb.
    pub(super) async fn work(&self, caller: Caller, verb: Verb) -> Result<Response, Problem> {
        let _worker = self.worker().await?;
        self.ask(caller, verb).await.map_err(Problem::from)
    }

    /// One of the web workers, for as long as the value lives.
    pub(super) async fn worker(&self) -> Result<impl Sized + Send + '_, Problem> {
        let Ok(admitted) = self.admission.try_acquire() else {
            let waiting = self.settings.limits.requests_waiting;
            return Err(self.too_busy(&format!("and {waiting} requests wait for one already")));
        };
        let waits = self.metrics.web_request("waiting");
        let wait = self.settings.limits.worker_wait;
        let Ok(Ok(worker)) = timeout(wait, self.workers.acquire()).await else {
            return Err(self.too_busy(&format!("for {} s", wait.as_secs())));
        };
        drop(waits);
        Ok((admitted, worker, self.metrics.web_request("working")))
    }

    fn too_busy(&self, how: &str) -> Problem {
        let workers = self.settings.web_workers.max(1);
        let reason = match workers {
            1 => format!("the web worker is busy {how}; `webWorkerNum` gives more"),
            _ => format!("all {workers} web workers are busy {how}; `webWorkerNum` gives more"),
        };
        Problem::from(Refusal::Unavailable { reason }).retry_after(Duration::from_secs(1))
    }

    /// The state of the process, for its own use.
    pub(super) async fn own_status(&self) -> Option<Box<StatusReport>> {
        match self.ask(Caller::PROCESS, Verb::Status).await {
            Ok(Response::Status(status)) => Some(status),
            _ => None,
        }
    }

    /// Whether the process can do its work, at most [`KNOWN_FOR`] ago.
    pub(super) async fn is_ready(&self) -> bool {
        self.known().await.is_ready
    }

    /// Whether somebody can log in with the password that every new cluster has, likewise.
    pub(super) async fn has_first_password(&self) -> bool {
        self.known().await.has_first_password
    }

    async fn known(&self) -> Known {
        let mut known = self.known.lock().await;
        if let Some((at, known)) = *known
            && at.elapsed() < KNOWN_FOR
        {
            return known;
        }
        let now = match self.own_status().await {
            Some(status) => Known {
                is_ready: status.ready,
                has_first_password: status.first_password,
            },
            None => Known::default(),
        };
        *known = Some((Instant::now(), now));
        now
    }
}

/// The token of an `Authorization: Bearer …` header. Nowhere else is a token looked for: what
/// stands in a path or a query ends up in logs and histories.
fn bearer_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}
