use super::{duration, screen};
use crate::cli::client::StatusView;
use crate::cli::terminal::testing::captured;

fn status(json: &str) -> StatusView {
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_screen_names_alarms_before_nodes() {
    let status = status(
        r#"{"alias": "master", "mode": "controller", "summary": "1 of 2 data nodes is online",
            "ready": true, "alarms": ["P2-NODE1 failed: port 8961 is held by pid 4711 (nginx)"],
            "commit_index": 42, "uptime_ms": 61000, "all_green_after_ms": 431,
            "nodes": [
              {"alias": "P1-NODE1", "mode": "datanode", "site": "127.0.0.2:8961:P1-NODE1",
               "state": "online", "agent": "P1-agent"},
              {"alias": "P2-NODE1", "mode": "datanode", "site": "127.0.0.3:8961:P2-NODE1",
               "state": "failed", "agent": "P2-agent", "reason": "port taken",
               "conditions": ["crash-loop"], "admin": "none"}]}"#,
    );
    let (terminal, _, _) = captured();
    assert_eq!(
        screen(&status, &terminal),
        "controller master: 1 of 2 data nodes is online\n\
         up 61 s, all green 431 ms after its start, log index 42\n  \
         ! P2-NODE1 failed: port 8961 is held by pid 4711 (nginx)\n\
         \n\
         ALIAS     MODE      SITE                     STATE   AGENT     REASON\n\
         P1-NODE1  datanode  127.0.0.2:8961:P1-NODE1  online  P1-agent\n\
         P2-NODE1  datanode  127.0.0.3:8961:P2-NODE1  failed  P2-agent  port taken [crash-loop]\n"
    );
}

#[test]
fn copies_of_the_log_are_shown_with_what_is_wrong_with_them() {
    let status = status(
        r#"{"alias": "master", "mode": "controller", "summary": "all 2 data nodes are online",
            "ready": true, "commit_index": 42, "uptime_ms": 61000, "log_copies": [
              {"alias": "P1-NODE1", "upto": 42, "complete": true, "state": ""},
              {"alias": "P2-NODE1", "upto": 7, "complete": false, "state": "being sent"}]}"#,
    );
    let (terminal, _, _) = captured();
    assert_eq!(
        screen(&status, &terminal),
        "controller master: all 2 data nodes are online\n\
         up 61 s, log index 42\n\
         log copied to P1-NODE1 up to 42\n\
         log copied to P2-NODE1 up to 7 (being sent)\n"
    );
}

#[test]
fn durations_are_told_in_the_units_that_matter() {
    for (ms, text) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_250, "1.2 s"),
        (59_999, "59 s"),
        (120_000, "2 min"),
        (7_260_000, "2 h 1 min"),
        (180_000_000, "2 d 2 h"),
    ] {
        assert_eq!(duration(ms), text);
    }
}
