//! What a client can do to a connection, and how little that costs. Time is tokio's and paused.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use vaquita_core::admin::{Reply, Request, Response};

use super::harness::{
    ADMIN, FakeFront, PLAIN, connect, loopback, parse, request, server_with, settings,
};
use crate::http::{Front, HttpLimits, HttpServer, HttpSettings, Metrics, serve_connection};

const PLAIN_GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn server() -> HttpServer {
    server_with(&FakeFront::default(), settings())
}

async fn read_to_end(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    // A reset counts as an end.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// Reads one answer of a connection that stays open.
async fn read_one(stream: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with("ok\n") {
        let mut buffer = [0; 1024];
        let len = stream.read(&mut buffer).await.unwrap();
        assert_ne!(len, 0, "ended early: {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_loses_the_connection_in_ten_seconds() {
    let started = Instant::now();
    let mut stream = connect(&server(), loopback());
    read_to_end(&mut stream).await;
    let waited = started.elapsed();
    assert!(
        (Duration::from_secs(10)..Duration::from_secs(11)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_header_and_one_byte_a_second_are_waited_for_no_longer() {
    for (first, then) in [
        ("GET / HTTP/1.1\r\nHost: loc", ""),
        ("", "G"),
        (PLAIN_GET, "G"),
    ] {
        let started = Instant::now();
        let stream = connect(&server(), loopback());
        let (mut reading, mut writing) = tokio::io::split(stream);
        writing.write_all(first.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            while writing.write_all(then.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut bytes = Vec::new();
        let _ = reading.read_to_end(&mut bytes).await;
        let waited = started.elapsed();
        assert!(
            waited < Duration::from_secs(12),
            "{first:?} {then:?}: {waited:?}"
        );
        dripping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn headers_without_end_are_refused() {
    let mut many = String::from("GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
    for number in 0..80 {
        many.push_str(&format!("X-{number}: y\r\n"));
    }
    many.push_str("\r\n");
    let large = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    for text in [many, large] {
        let mut stream = connect(&server(), loopback());
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = parse(&read_to_end(&mut stream).await);
        assert_eq!(answer.status, 431);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_slowly_is_not_waited_for() {
    for (gap, chunk) in [
        (Duration::from_secs(3600), ""),
        (Duration::from_secs(1), " "),
    ] {
        let started = Instant::now();
        let stream = connect(&server(), loopback());
        let (mut reading, mut writing) = tokio::io::split(stream);
        let head = "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\n\
                    Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
        writing.write_all(head.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            while writing.write_all(chunk.as_bytes()).await.is_ok() {
                tokio::time::sleep(gap).await;
            }
        });
        let mut bytes = Vec::new();
        let _ = reading.read_to_end(&mut bytes).await;
        let answer = parse(&String::from_utf8(bytes).unwrap());
        assert_eq!((answer.status, answer.kind().as_str()), (408, "too-slow"));
        assert!(
            started.elapsed() < Duration::from_secs(7),
            "{:?}",
            started.elapsed()
        );
        dripping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_loses_the_connection() {
    let front = FakeFront::telling([Ok(Response::Log(vaquita_core::admin::LogPiece {
        bytes: vec![b'x'; 200_000],
        ..Default::default()
    }))]);
    let server = server_with(&front, settings());
    let (mut ours, theirs) = duplex(1024);
    let served = tokio::spawn(serve_connection(
        theirs,
        Bytes::new(),
        loopback(),
        server,
        pending(),
    ));
    let text = format!(
        "GET /api/v1/nodes/A/log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    );
    ours.write_all(text.as_bytes()).await.unwrap();
    let started = Instant::now();
    served.await.unwrap();
    let waited = started.elapsed();
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(31)).contains(&waited),
        "{waited:?}"
    );
}

#[tokio::test]
async fn bytes_that_were_read_to_recognise_http_are_part_of_the_request() {
    for split in [1, 4, 20, PLAIN_GET.len()] {
        let (head, rest) = PLAIN_GET.split_at(split);
        let (mut ours, theirs) = duplex(4096);
        let already_read = Bytes::copy_from_slice(head.as_bytes());
        tokio::spawn(serve_connection(
            theirs,
            already_read,
            loopback(),
            server(),
            pending(),
        ));
        ours.write_all(rest.as_bytes()).await.unwrap();
        let text = read_one(&mut ours).await;
        assert_eq!(parse(&text).status, 200, "{split}");
    }
}

#[tokio::test]
async fn a_connection_carries_many_requests_and_the_last_says_so() {
    let limits = HttpLimits {
        requests_per_connection: 3,
        ..HttpLimits::default()
    };
    let server = server_with(
        &FakeFront::default(),
        HttpSettings {
            limits,
            ..settings()
        },
    );
    let mut stream = connect(&server, loopback());
    for _ in 0..2 {
        stream.write_all(PLAIN_GET.as_bytes()).await.unwrap();
        let answer = parse(&read_one(&mut stream).await);
        assert_eq!(answer.header("connection"), None);
    }
    stream.write_all(PLAIN_GET.as_bytes()).await.unwrap();
    let answer = parse(&read_to_end(&mut stream).await);
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
}

#[tokio::test]
async fn closing_ends_an_idle_connection_and_finishes_a_running_request() {
    let front = Gated::default();
    let server = gated_server(&front, 4);
    let close = watch::Sender::new(false);
    let connect = || {
        let (ours, theirs) = duplex(64 * 1024);
        let mut closing = close.subscribe();
        let closing = async move { _ = closing.wait_for(|closing| *closing).await };
        let server = server.clone();
        tokio::spawn(async move {
            serve_connection(theirs, Bytes::new(), loopback(), server, closing).await;
        });
        ours
    };
    let mut idle = connect();
    idle.write_all(PLAIN_GET.as_bytes()).await.unwrap();
    read_one(&mut idle).await;
    let mut busy = connect();
    busy.write_all(nodes_request().as_bytes()).await.unwrap();
    front.arrived.notified().await;
    close.send_replace(true);
    assert_eq!(read_to_end(&mut idle).await, "");
    front.release.notify_one();
    assert_eq!(parse(&read_to_end(&mut busy).await).status, 200);
}

#[tokio::test]
async fn a_target_longer_than_its_limit_is_refused() {
    let path = format!("/api/v1/me?{}", "x".repeat(4096));
    let answer = request("GET", path)
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (414, "too-long"));
}

#[tokio::test]
async fn what_is_no_http_is_answered_with_400_and_the_end() {
    for text in [
        "\r\n\r\nNONSENSE\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = connect(&server(), loopback());
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = parse(&read_to_end(&mut stream).await);
        assert_eq!(answer.status, 400, "{text:?}");
    }
}

/// A machine that answers `ListNodes` only when it is let.
#[derive(Clone, Default)]
struct Gated {
    arrived: Arc<Notify>,
    release: Arc<Notify>,
}

impl Front for Gated {
    async fn ask(&self, request: Request) -> Reply {
        if request.verb == vaquita_core::admin::Verb::ListNodes {
            self.arrived.notify_one();
            self.release.notified().await;
            return Ok(Response::Nodes(Vec::new()));
        }
        FakeFront::default().ask(request).await
    }
}

fn gated_server(front: &Gated, web_workers: usize) -> HttpServer {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = Metrics::register(&mut registry);
    let settings = HttpSettings {
        web_workers,
        ..settings()
    };
    HttpServer::new(front.clone(), settings, metrics, Arc::new(registry))
}

fn nodes_request() -> String {
    format!(
        "GET /api/v1/nodes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {PLAIN}\r\n\r\n"
    )
}

#[tokio::test(start_paused = true)]
async fn web_workers_bound_what_is_worked_on_and_nothing_else() {
    let front = Gated::default();
    let server = gated_server(&front, 1);
    let mut first = connect(&server, loopback());
    first.write_all(nodes_request().as_bytes()).await.unwrap();
    front.arrived.notified().await;
    // The one worker is taken: a second request waits its ten seconds and is sent away, while the
    // probes, the refusals and who one is do not need a worker.
    let (busy, alive, refused, me) = tokio::join!(
        request("GET", "/api/v1/nodes").token(PLAIN).to(&server),
        request("GET", "/healthz").to(&server),
        request("GET", "/api/v1/nodes").to(&server),
        request("GET", "/api/v1/me").token(PLAIN).to(&server),
    );
    assert_eq!((busy.status, busy.kind().as_str()), (503, "unavailable"));
    assert!(busy.message().contains("webWorkerNum"), "{busy:?}");
    assert_eq!(busy.header("retry-after"), Some("1"));
    assert_eq!((alive.status, refused.status, me.status), (200, 401, 200));
    front.release.notify_one();
    let mut buffer = [0; 4096];
    let len = first.read(&mut buffer).await.unwrap();
    assert!(buffer[..len].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_answers_does_not_hang_its_clients() {
    let front = FakeFront {
        hang: true,
        ..FakeFront::default()
    };
    let started = Instant::now();
    let answer = request("GET", "/api/v1/nodes")
        .token(PLAIN)
        .send(&front)
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (503, "unavailable")
    );
    assert!(started.elapsed() <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_idle_connections_do_not_hold_up_a_request() {
    let server = server();
    let mut idle: Vec<_> = (0..200).map(|_| connect(&server, loopback())).collect();
    for stream in &mut idle {
        stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    }
    let started = Instant::now();
    assert_eq!(request("GET", "/healthz").to(&server).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(1));
    for mut stream in idle {
        read_to_end(&mut stream).await;
    }
    assert!(started.elapsed() < Duration::from_secs(12));
}
