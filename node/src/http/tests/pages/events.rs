//! What tells open pages.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vaquita_core::admin::{NodeState, Response};

use super::super::harness::{
    ADMIN, FILES, FakeFront, PLAIN, connect, loopback, server_with, settings, status,
};
use super::cookie;

#[tokio::test(start_paused = true)]
async fn an_open_page_hears_of_a_change_and_of_the_time() {
    let failed = || {
        let mut changed = status();
        changed.nodes[1].state = NodeState::Failed;
        Ok(Response::Status(Box::new(changed)))
    };
    let calm = || Ok(Response::Status(Box::new(status())));
    let front = FakeFront::telling([calm()].into_iter().chain((0..9).map(|_| failed())));
    let server = server_with(&front, settings());
    let mut stream = connect(&server, loopback());
    let asked = format!(
        "GET /ui/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
        cookie(PLAIN)
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut bytes = [0; 1024];
    while !heard.contains("event: tick") {
        let len = stream.read(&mut bytes).await.unwrap();
        assert!(len > 0, "ended: {heard}");
        heard.push_str(str::from_utf8(&bytes[..len]).unwrap());
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    let at = |text: &str| {
        heard
            .find(text)
            .unwrap_or_else(|| panic!("no {text}: {heard}"))
    };
    assert!(at("event: nodes") < at("event: tick"));
    assert_eq!(
        heard.matches("event: nodes").count(),
        1,
        "nothing else has changed"
    );
}

#[tokio::test(start_paused = true)]
async fn many_open_pages_ask_the_machine_once_a_second_and_too_many_of_one_are_refused() {
    let front = FakeFront::default();
    let server = server_with(&front, settings());
    let mut open = Vec::new();
    let mut bytes = [0; 1024];
    let tokens = [PLAIN, ADMIN, FILES].into_iter();
    let turns = tokens.flat_map(|token| (0..5).map(move |nth| (token, nth)));
    for (token, nth) in turns {
        let asked = format!(
            "GET /ui/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
            cookie(token)
        );
        let mut stream = connect(&server, loopback());
        stream.write_all(asked.as_bytes()).await.unwrap();
        let len = stream.read(&mut bytes).await.unwrap();
        let status: &[u8] = if nth < 4 {
            b"HTTP/1.1 200"
        } else {
            b"HTTP/1.1 503"
        };
        assert!(bytes[..len].starts_with(status), "{token}, {nth}");
        open.push(stream);
    }
    let before = front.verbs().len();
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    let asked = front.verbs().len() - before;
    assert!((9..=12).contains(&asked), "{asked} times in ten seconds");
}
