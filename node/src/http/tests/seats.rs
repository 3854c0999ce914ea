//! Who gives way where all places are taken: a connection that waits for a request, and no other one. Time is
//! tokio's and paused.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use vaquita_core::admin::{LogPiece, Response};

use super::harness::{ADMIN, FakeFront, loopback, server_with, settings};
use crate::driver::{Close, Closing, HttpService as _, Places, Rewound, Transport};
use crate::http::HttpServer;

/// Bytes of a large answer, of which a client takes a few at a time.
const LARGE: usize = 200_000;

/// A server with a single place.
struct Room {
    server: HttpServer,
    places: Arc<Places>,
    closing: Closing,
    _close: Close,
}

impl Room {
    fn new() -> Self {
        let log = LogPiece {
            bytes: vec![b'x'; LARGE],
            ..LogPiece::default()
        };
        let (close, closing) = Close::new();
        Self {
            server: server_with(&FakeFront::telling([Ok(Response::Log(log))]), settings()),
            places: Arc::new(Places::new(1, 9)),
            closing,
            _close: close,
        }
    }

    /// Somebody comes; `None` if there is no place.
    async fn enter(&self) -> Option<(DuplexStream, JoinHandle<()>)> {
        let place = self.places.take(loopback().ip()).await.ok()?;
        let (ours, theirs) = duplex(1024);
        let (server, closing) = (self.server.clone(), self.closing.clone());
        let served = tokio::spawn(async move {
            let stream = Rewound::new(Bytes::new(), theirs);
            let plain = Transport::Plain;
            server
                .serve(stream, plain, loopback(), closing, place)
                .await;
        });
        // It has begun to wait.
        tokio::task::yield_now().await;
        Some((ours, served))
    }
}

fn asking(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n")
}

/// Reads the head of an answer.
async fn head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_its_first_request_gives_way() {
    let room = Room::new();
    let (_first, served) = room.enter().await.unwrap();
    let second = room.enter().await;
    assert!(second.is_some());
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_was_answered_gives_way() {
    let room = Room::new();
    let (mut first, served) = room.enter().await.unwrap();
    first
        .write_all(asking("/healthz").as_bytes())
        .await
        .unwrap();
    let head = head(&mut first).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = [0; 3];
    first.read_exact(&mut body).await.unwrap();
    assert!(room.enter().await.is_some());
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_whose_request_is_on_its_way_stays() {
    let room = Room::new();
    let (mut first, served) = room.enter().await.unwrap();
    let head = "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 50\r\n\r\n{\"user\":";
    first.write_all(head.as_bytes()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(room.enter().await.is_none());
    assert!(!served.is_finished());
}

/// The answer is complete, and most of it waits until its client takes it.
#[tokio::test(start_paused = true)]
async fn one_that_reads_its_answer_slowly_stays_until_it_has_all_of_it() {
    let room = Room::new();
    let (mut first, served) = room.enter().await.unwrap();
    let asked = asking("/api/v1/nodes/A/log");
    first.write_all(asked.as_bytes()).await.unwrap();
    let head = head(&mut first).await;
    assert!(head.contains(&format!("content-length: {LARGE}")), "{head}");
    assert!(room.enter().await.is_none());
    assert!(!served.is_finished());
    let mut body = vec![0; LARGE];
    first.read_exact(&mut body).await.unwrap();
    assert!(!served.is_finished());
    assert!(room.enter().await.is_some());
    served.await.unwrap();
}
