//! Every refusal has a status, a kind, and a sentence that says what to do.

use std::time::Duration;

use serde_json::json;
use vaquita_core::admin::{Refusal, Right};

use super::harness::{ADMIN, FakeFront, PLAIN, request, server_with, settings};
use crate::http::{HttpLimits, HttpSettings};

fn text() -> String {
    "what and why".to_owned()
}

#[tokio::test]
async fn each_refusal_has_its_status_and_its_kind() {
    for (refusal, status, kind) in [
        (Refusal::Unauthenticated, 401, "unauthenticated"),
        (Refusal::WrongPassword, 401, "wrong-password"),
        (
            Refusal::Forbidden {
                user: text(),
                right: Right::DfsRead,
            },
            403,
            "forbidden",
        ),
        (
            Refusal::PasswordChangeRequired { user: text() },
            403,
            "password-change-required",
        ),
        (Refusal::LoginRequired, 403, "login-required"),
        (Refusal::Invalid { reason: text() }, 422, "invalid"),
        (Refusal::NotFound { what: text() }, 404, "not-found"),
        (Refusal::Conflict { reason: text() }, 409, "conflict"),
        (
            Refusal::Busy {
                reason: text(),
                retry_after: Duration::from_secs(7),
            },
            429,
            "busy",
        ),
        (Refusal::Unavailable { reason: text() }, 503, "unavailable"),
        (
            Refusal::NotHere {
                here: text(),
                site: None,
            },
            421,
            "not-here",
        ),
    ] {
        let message = refusal.to_string();
        let front = FakeFront::telling([Err(refusal)]);
        let answer = request("GET", "/api/v1/nodes")
            .token(PLAIN)
            .send(&front)
            .await;
        assert_eq!((answer.status, answer.kind().as_str()), (status, kind));
        assert_eq!(answer.message(), message);
        assert_eq!(
            answer.header("www-authenticate").is_some(),
            status == 401,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn what_a_program_needs_of_a_refusal_stands_in_fields_of_its_own() {
    let ask = async |refusal| {
        let front = FakeFront::telling([Err(refusal)]);
        request("GET", "/api/v1/nodes")
            .token(PLAIN)
            .send(&front)
            .await
    };
    let busy = ask(Refusal::Busy {
        reason: "too many logins".to_owned(),
        retry_after: Duration::from_millis(2500),
    })
    .await;
    assert_eq!(busy.header("retry-after"), Some("2"));
    assert_eq!(busy.json()["error"]["retry_after_s"], 2);
    let forbidden = ask(Refusal::Forbidden {
        user: "u".to_owned(),
        right: Right::DfsWrite,
    })
    .await;
    assert_eq!(forbidden.json()["error"]["right"], "dfs-write");
    assert_eq!(forbidden.json()["error"]["user"], "u");
    let elsewhere = ask(Refusal::NotHere {
        here: "the data node P1-NODE1".to_owned(),
        site: Some("10.1.1.7:8990:master".to_owned()),
    })
    .await;
    assert_eq!(elsewhere.json()["error"]["site"], "10.1.1.7:8990:master");
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_answered_with_the_nearest_one() {
    let answer = request("GET", "/api/v1/node")
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (404, "not-found"));
    assert!(answer.message().contains("`/api/v1/nodes`"), "{answer:?}");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_named_with_those_it_takes() {
    let answer = request("DELETE", "/api/v1/users")
        .token(ADMIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (405, "method-not-allowed")
    );
    let allowed = answer.header("allow").unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
}

#[tokio::test]
async fn a_body_must_be_declared_to_be_json() {
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut sent = request("POST", "/api/v1/login").raw(r#"{"user":"a","password":"b"}"#);
        if let Some(content_type) = content_type {
            sent = sent.header("Content-Type", content_type);
        }
        let front = FakeFront::default();
        let answer = sent.send(&front).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (415, "unsupported-media-type")
        );
        assert_eq!(front.verbs(), []);
    }
}

#[tokio::test]
async fn an_encoded_body_is_not_decoded() {
    let answer = request("POST", "/api/v1/login")
        .header("Content-Encoding", "gzip")
        .json("x")
        .send(&FakeFront::default())
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (415, "unsupported-encoding")
    );
}

#[tokio::test]
async fn a_broken_body_is_told_by_line_and_column_and_never_repeated() {
    let secret = "correct horse battery";
    for (body, status) in [
        (format!("{{\"user\":\"a\",\n\"password\":\"{secret}\""), 400),
        (
            format!("{{\"user\":\"a\",\"password\":[\"{secret}\"]}}"),
            422,
        ),
        (
            format!("{{\"user\":\"a\",\"password\":\"b\",\"valid_for_s\":\"{secret}\"}}"),
            422,
        ),
        (format!("\"{secret}\""), 422),
        ("[".repeat(100_000), 422),
    ] {
        let answer = request("POST", "/api/v1/login")
            .json(&body)
            .send(&FakeFront::default())
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(!answer.body.contains(secret), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let answer = request("POST", "/api/v1/login")
        .json(r#"{"user":"a","password":"b","remember":true}"#)
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 422);
    assert!(answer.message().contains("`remember`"), "{answer:?}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_refused_beyond_it() {
    let limits = HttpLimits {
        body_bytes: 64,
        ..HttpLimits::default()
    };
    let server = server_with(
        &FakeFront::default(),
        HttpSettings {
            limits,
            ..settings()
        },
    );
    let body = |len: usize| format!("{{{}", " ".repeat(len - 1));
    let send = async |body: &str| {
        request("POST", "/api/v1/login")
            .json(body)
            .to(&server)
            .await
    };
    assert_eq!(send(&body(64)).await.status, 400, "read, and no JSON");
    let answer = send(&body(65)).await;
    assert_eq!((answer.status, answer.kind().as_str()), (413, "too-large"));
    let chunked = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n41\r\n{}\r\n0\r\n\r\n",
        " ".repeat(65)
    );
    let answer = super::harness::exchange(&server, super::harness::loopback(), &chunked).await;
    assert_eq!((answer.status, answer.kind().as_str()), (413, "too-large"));
}

#[tokio::test]
async fn a_password_longer_than_any_is_refused_before_it_is_hashed() {
    let front = FakeFront::default();
    let body = json!({"user": "a", "password": "x".repeat(129)}).to_string();
    let answer = request("POST", "/api/v1/login")
        .json(&body)
        .send(&front)
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (422, "invalid"));
    assert_eq!(front.verbs(), []);
}

#[tokio::test]
async fn a_token_cannot_be_asked_for_longer_than_a_year_or_for_no_time() {
    for life in ["0", "31536001"] {
        let answer = request("POST", "/api/v1/login")
            .json(&format!(
                r#"{{"user":"a","password":"b","valid_for_s":{life}}}"#
            ))
            .send(&FakeFront::default())
            .await;
        assert_eq!((answer.status, answer.kind().as_str()), (422, "invalid"));
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    for (sent, status) in [
        (request("GET", "/"), 303),
        (request("GET", "/login"), 200),
        (request("GET", "/api/v1/nodes"), 401),
        (request("GET", "/no/such/path").token(PLAIN), 404),
        (request("GET", "/healthz").host("evil.example"), 421),
    ] {
        let answer = sent.send(&FakeFront::default()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_a_bug_and_says_so() {
    let front = FakeFront::telling([Ok(vaquita_core::admin::Response::Done)]);
    let answer = request("GET", "/api/v1/nodes")
        .token(PLAIN)
        .send(&front)
        .await;
    assert_eq!((answer.status, answer.kind().as_str()), (500, "bug"));
}
