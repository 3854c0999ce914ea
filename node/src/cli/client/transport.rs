//! One HTTP request to one server, with a deadline on each step.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, IF_MATCH};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::address::Server;
use super::dial::dial;
use crate::tls::{Trust, Untrusted};

/// How long a connection may take to be accepted.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take. Longer than any wait of the server, so that its own words about
/// what hangs arrive.
const ANSWER: Duration = Duration::from_secs(75);
/// Longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// What a server answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a server is asked.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) json: Option<String>,
    /// By which a repetition is recognised.
    pub(super) key: Option<&'a str>,
    /// The entity tag of what it replaces.
    pub(super) if_match: Option<&'a str>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum TransportError {
    /// Nothing listens there.
    Refused(Server),
    /// No packet came back.
    Silent(Server),
    /// The name has no address.
    UnknownHost(Server),
    /// The connection was accepted, and the answer did not come in time.
    NoAnswer(Server),
    /// It is not known to be the right one, or speaks no TLS.
    Untrusted(Server, Untrusted),
    /// Something else, in the operating system's words.
    Broken(Server, String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(server) => write!(
                f,
                "nothing listens at {server}: is the controller started? `--server` or \
                 VAQUITA_SERVER names another address, `vaquita local` starts a cluster here"
            ),
            Self::Silent(server) => write!(
                f,
                "{server} does not answer: is the address right, does the machine run, and does a \
                 firewall let port {} through?",
                server.port
            ),
            Self::UnknownHost(server) => write!(
                f,
                "there is no host `{}`: is the name spelt right, and does this machine know it?",
                server.host
            ),
            Self::NoAnswer(server) => write!(
                f,
                "{server} accepted the connection and gave no answer for {} s: the process hangs \
                 or is overloaded; see its log. Whether an order was carried out is not known",
                ANSWER.as_secs()
            ),
            Self::Untrusted(server, Untrusted::Certificate { seen, why }) => write!(
                f,
                "{server} is not trusted: {why}. It showed a certificate with the SHA-256 fingerprint \
                 {seen}. If its log tells the same one (a line with `HTTPS:`, at each start), go on with \
                 `vaquita login --server {server} --fingerprint {seen}`; `--ca FILE` takes the \
                 certificate itself, <home>/keys/server.crt on that host, or that of who issued it"
            ),
            Self::Untrusted(server, Untrusted::Plain) => write!(
                f,
                "{server} does not speak HTTPS: has the process been restarted with `enableHTTPS=1`? \
                 If it is to speak plain HTTP, use http://{}",
                server.authority()
            ),
            Self::Untrusted(server, Untrusted::Broken(words)) => write!(
                f,
                "no TLS connection with {server} came about: {words}. Is it a Vaquita process that \
                 listens there?"
            ),
            Self::Broken(server, words) => write!(
                f,
                "the conversation with {server} broke off: {words}. Is it a Vaquita process that \
                 listens there?"
            ),
        }
    }
}

impl TransportError {
    /// Whether it is the wrong server that answers, or one that nobody here knows.
    pub(super) const fn is_stranger(&self) -> bool {
        matches!(self, Self::Untrusted(_, Untrusted::Certificate { .. }))
    }

    /// What happened, without what to do next: for one of several servers.
    pub(super) fn in_short(&self) -> String {
        match self {
            Self::Refused(_) => "nothing listens there".to_owned(),
            Self::Silent(_) => "it does not answer".to_owned(),
            Self::UnknownHost(server) => format!("there is no host `{}`", server.host),
            Self::NoAnswer(_) => "it gave no answer".to_owned(),
            Self::Untrusted(_, untrusted) => untrusted.to_string(),
            Self::Broken(_, words) => words.clone(),
        }
    }
}

/// Sends a request and reads the whole answer.
pub(super) async fn exchange(
    server: &Server,
    trust: &Trust,
    token: Option<&str>,
    call: Call<'_>,
) -> Result<Answer, TransportError> {
    let Call {
        method,
        path,
        json,
        key,
        if_match,
    } = call;
    let broken =
        |error: &dyn fmt::Display| TransportError::Broken(server.clone(), error.to_string());
    let stream = dial(server, trust, CONNECT).await?;
    let conversation = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // Ends with the conversation: the sender is dropped then.
        let driving = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, server.authority())
            .header(ACCEPT, "application/json, text/plain")
            .header(CONNECTION, "close");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(etag) = if_match {
            request = request.header(IF_MATCH, etag);
        }
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(json.unwrap_or_default())))
            .map_err(|error| broken(&error))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| broken(&error))?
            .to_bytes();
        driving.abort();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    };
    timeout(ANSWER, conversation)
        .await
        .unwrap_or_else(|_| Err(TransportError::NoAnswer(server.clone())))
}

pub(super) fn unconnected(server: &Server, error: &io::Error) -> TransportError {
    let server = server.clone();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => TransportError::Refused(server),
        io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => TransportError::Silent(server),
        // What getaddrinfo says has no operating system error number.
        _ if error.raw_os_error().is_none() => TransportError::UnknownHost(server),
        _ => TransportError::Broken(server, error.to_string()),
    }
}
