use std::time::Duration;

use vaquita_core::admin::Verb;

use super::harness::{FakeFront, PLAIN, request, server_with, settings};
use crate::http::{HttpLimits, HttpSettings};

#[tokio::test]
async fn metrics_count_requests_events_and_nodes() {
    let server = server_with(&FakeFront::default(), settings());
    request("GET", "/api/v1/nodes/secret-name/log")
        .to(&server)
        .await;
    request("BREW", "/made/up/1").to(&server).await;
    let answer = request("GET", "/metrics").token(PLAIN).to(&server).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    for line in [
        r#"vaquita_http_requests_total{method="GET",route="/api/v1/nodes/{alias}/log",status="401"} 1"#,
        r#"vaquita_http_requests_total{method="other",route="unmatched",status="401"} 1"#,
        r#"vaquita_events_total{name="node.offline"} 1"#,
        r#"vaquita_nodes{mode="datanode",state="online"} 2"#,
        r#"vaquita_nodes{mode="datanode",state="failed"} 1"#,
        r#"vaquita_nodes{mode="datanode",state="lost"} 0"#,
        r#"vaquita_nodes{mode="agent",state="online"} 1"#,
        "vaquita_alarms 1",
        "vaquita_ready 1",
        "vaquita_commit_index 42",
        "vaquita_uptime_milliseconds 1234",
        "vaquita_cpu_microseconds_total 4321",
        "vaquita_memory_bytes 1048576",
        "vaquita_sent_bytes_total 99",
        "# EOF",
    ] {
        assert!(answer.body.contains(line), "no {line} in:\n{}", answer.body);
    }
    assert!(
        !answer.body.contains("secret-name"),
        "a path became a label"
    );
}

#[tokio::test]
async fn a_node_that_changed_its_state_is_counted_once() {
    let server = server_with(&FakeFront::default(), settings());
    for _ in 0..3 {
        let answer = request("GET", "/metrics").token(PLAIN).to(&server).await;
        let line = r#"vaquita_nodes{mode="datanode",state="online"} 2"#;
        assert!(answer.body.contains(line), "{}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_web_worker_in_a_queue_that_has_an_end() {
    let front = FakeFront {
        hang: true,
        ..FakeFront::default()
    };
    let settings = HttpSettings {
        web_workers: 2,
        limits: HttpLimits {
            requests_waiting: 1,
            ..HttpLimits::default()
        },
        ..settings()
    };
    let server = server_with(&front, settings);
    let ask = || {
        let server = server.clone();
        tokio::spawn(async move {
            let list = request("GET", "/api/v1/nodes").token(PLAIN);
            list.to(&server).await
        })
    };
    let asked = [ask(), ask(), ask()];
    // Every task runs until it waits before this one goes on: the clock stands still meanwhile.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = ask().await.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.message().contains("webWorkerNum"), "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(front.verbs(), [Verb::ListNodes, Verb::ListNodes]);
    for answer in asked {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
    }
}
