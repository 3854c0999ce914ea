//! Only requests for this process, from pages of this process.

use super::harness::{ADMIN, FakeFront, exchange, loopback, request, server_with, settings};

#[tokio::test]
async fn known_names_are_answered_whatever_their_port_and_case() {
    for host in [
        "localhost",
        "LOCALHOST:1",
        "localhost.:8990",
        "127.0.0.1:8990",
        "127.9.9.9",
        "[::1]:8990",
        "10.1.1.7",
        "10.1.1.7:8990",
        "cluster.example:443",
        "CLUSTER.example.",
    ] {
        let answer = request("GET", "/healthz")
            .host(host)
            .send(&FakeFront::default())
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn unknown_names_are_misdirected_on_every_route_even_the_login() {
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8990",
        "10.1.1.70",
        "127.0.0.1.evil.example",
        "[::2]",
        "user@localhost",
        "localhost@evil.example",
        "",
        "%6cocalhost",
    ] {
        let answer = request("POST", "/api/v1/login")
            .host(host)
            .json("{}")
            .send(&FakeFront::default())
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (421, "unknown-host"),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_is_refused() {
    let server = server_with(&FakeFront::default(), settings());
    for text in [
        "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let answer = exchange(&server, loopback(), text).await;
        assert_eq!(answer.status, 400, "{text}");
    }
}

#[tokio::test]
async fn an_absolute_target_does_not_get_around_the_list() {
    let server = server_with(&FakeFront::default(), settings());
    let text = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\
                Connection: close\r\n\r\n";
    assert_eq!(exchange(&server, loopback(), text).await.status, 421);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:9999"),
        ("Origin", "http://localhost.evil.example:8990"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let front = FakeFront::default();
        let answer = request("POST", "/api/v1/nodes/stop")
            .token(ADMIN)
            .header(name, value)
            .json(r#"{"all":true}"#)
            .send(&front)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (403, "cross-origin"),
            "{value}"
        );
        assert_eq!(front.verbs(), [], "{value}");
    }
}

#[tokio::test]
async fn a_page_of_this_origin_and_a_program_change_what_they_may() {
    for headers in [
        vec![],
        vec![
            ("Origin", "http://localhost:8990"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        vec![("Origin", "https://LOCALHOST:8990")],
        vec![("Sec-Fetch-Site", "none")],
    ] {
        let front = FakeFront::telling([Ok(vaquita_core::admin::Response::Ordered(vec![]))]);
        let mut sent = request("POST", "/api/v1/nodes/stop").token(ADMIN);
        for (name, value) in headers {
            sent = sent.header(name, value);
        }
        let answer = sent.json(r#"{"all":true}"#).send(&front).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn reading_from_a_foreign_page_is_left_to_the_browser_to_hide() {
    let answer = request("GET", "/healthz")
        .header("Origin", "http://evil.example")
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
