//! A body for fuzzers: requests of all kinds to the real router, in front of a real controller.
//!
//! Compiled always, as all such bodies: [`vaquita_core::fuzzing`] says why.

mod machine;
mod request;
mod shelf;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;
use vaquita_core::prng::Seed;

use self::machine::{FOUNDED, Machine};
use self::request::{Drawn, Shown, draw};
use self::shelf::Shelf;
use super::app::{HttpSettings, Peer};
use super::pages::Ending;
use super::{AllowedHosts, HttpLimits, HttpServer, Metrics, Passage, serve_connection};

/// Name of the cookie with a session.
const COOKIE: &str = "vq8990";

/// No answer takes that long: the machine answers at once.
const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing of the system");
}

/// Sends the requests that `data` describes: bytes on a connection, or requests past the parser, by
/// nobody, by a user without rights, or by an administrator.
///
/// # Panics
/// If an answer is a fault of the process, or lacks a header that all have; if a request changes the
/// cluster that was sent by nobody, that only reads, or that a browser was made to send by another's
/// page; if a user without rights changes more than their own password and tokens; or if another part of a
/// file is sent than is said.
pub fn fuzz_requests(data: &[u8]) {
    let mut input = Unstructured::new(data);
    RUNTIME.with(|runtime| {
        // Input that runs out ends the conversation.
        let _ = runtime.block_on(converse(&mut input));
    });
}

async fn converse(input: &mut Unstructured<'_>) -> Result<()> {
    let machine = FOUNDED.start();
    let server = server(&machine, input.arbitrary()?);
    let as_admin = input.arbitrary()?;
    let token = match as_admin {
        true => &FOUNDED.admin,
        false => &FOUNDED.plain,
    };
    let all = [
        Shown::Nothing,
        Shown::MadeUp,
        Shown::Token,
        Shown::CookieAlone,
        Shown::CookieAndProof,
    ];
    if input.ratio(1, 6)? {
        let before = machine.state();
        speak(&server, input.bytes(input.len())?).await;
        assert!(machine.state() == before, "nobody changed something");
        return Ok(());
    }
    for _ in 0..4 {
        let shown = *input.choose(&all)?;
        let Some(drawn) = draw(input, shown, token, COOKIE)? else {
            continue;
        };
        let said = format!("{:?}", drawn.request);
        let method = drawn.request.method().clone();
        // One page is no exception here only for want of a node that is online: to show what a node says of
        // itself, `GET /nodes/{alias}/own` makes a token for a minute that opens nothing, and voids it.
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&method);
        let is_sent_by_page = drawn.shown == Shown::Token || drawn.shown == Shown::CookieAndProof;
        let (before, of_others) = (machine.state(), machine.state_of_others());
        let (status, headers, body) = ask(&server, drawn).await;
        check_answer(&said, status, &headers, &body);
        shelf::check(&method, status, &headers, &body);
        if is_safe || !is_sent_by_page {
            assert!(
                machine.state() == before,
                "{status} changed something: {said}"
            );
        } else if !as_admin {
            assert!(
                machine.state_of_others() == of_others,
                "{status} took a right: {said}"
            );
        }
    }
    Ok(())
}

fn server(machine: &Machine, has_files: bool) -> HttpServer {
    let settings = HttpSettings {
        title: "controller master".to_owned(),
        allowed_hosts: AllowedHosts::new(["10.1.1.7:8990"]),
        web_workers: 2,
        strict_defaults: false,
        allow_plain_http: false,
        session_cookie: COOKIE.to_owned(),
        https: None,
        passage: Passage::default(),
        manager: None,
        desk: None,
        limits: HttpLimits::default(),
        seed: Seed::from_number(1),
    };
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let (machine, registry) = (machine.clone(), Arc::new(registry));
    match has_files {
        true => HttpServer::with_files(machine, Shelf, settings, metrics, registry),
        false => HttpServer::new(machine, settings, metrics, registry),
    }
}

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50000))
}

async fn ask(server: &HttpServer, drawn: Drawn) -> (StatusCode, HeaderMap, Bytes) {
    let Drawn { mut request, .. } = drawn;
    let (ends, ending) = watch::channel(false);
    request.extensions_mut().insert(Peer(peer()));
    request.extensions_mut().insert(Ending(ending));
    let answered = timeout(PATIENCE, async {
        let Ok(response) = server.router().oneshot(request).await;
        // The one answer that has no end otherwise.
        ends.send_replace(true);
        let (head, body) = Response::<Body>::into_parts(response);
        let body = body.collect().await.expect("bodies are made in memory");
        (head.status, head.headers, body.to_bytes())
    });
    answered.await.expect("every request is answered")
}

fn check_answer(said: &str, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
    // What other processes would have to answer is not available here.
    let is_fault = status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE;
    let text = String::from_utf8_lossy(body);
    assert!(!is_fault, "{status} to {said}: {text}");
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "cache-control",
    ] {
        assert!(
            headers.contains_key(name),
            "{status} to {said} without {name}"
        );
    }
    let is_json = headers
        .get("content-type")
        .is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    if is_json && !body.is_empty() {
        let parsed = serde_json::from_slice::<serde_json::Value>(body);
        assert!(parsed.is_ok(), "{status} to {said}: {text}");
    }
}

/// Bytes on a connection, which ends when all were sent.
async fn speak(server: &HttpServer, bytes: &[u8]) {
    let (mut ours, theirs) = tokio::io::duplex(1024 * 1024);
    let served = serve_connection(
        theirs,
        Bytes::new(),
        peer(),
        server.clone(),
        std::future::pending(),
    );
    let spoken = async {
        // The other side may have had enough before all was sent.
        let _ = ours.write_all(bytes).await;
        let _ = ours.shutdown().await;
        let mut answers = Vec::new();
        let _ = ours.read_to_end(&mut answers).await;
        assert!(
            answers.is_empty() || answers.starts_with(b"HTTP/1."),
            "what comes back is HTTP"
        );
        let text = String::from_utf8_lossy(&answers);
        assert!(!text.contains("HTTP/1.1 500"), "{text}");
    };
    let both = async { tokio::join!(served, spoken) };
    (timeout(PATIENCE, both).await).expect("a connection that has ended is given up");
}
