//! Each route does what it says.

use std::time::Duration;

use serde_json::json;
use vaquita_core::admin::{
    Caller, LogPiece, LogRange, NodeState, OrderRow, Refusal, RescanRow, Response, Right,
    Selection, Verb,
};
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::figures::FiguresReport;
use vaquita_core::ids::{Alias, Role};
use vaquita_core::secret::Password;
use vaquita_core::state::Duty;

use super::harness::{ADMIN, FRESH, FakeFront, PLAIN, READER, node, request, user};

fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

#[tokio::test]
async fn login_exchanges_name_and_password_for_a_token() {
    let front = FakeFront::telling([Ok(Response::LoggedIn {
        token: "vqt_1_2".to_owned(),
        must_change_password: true,
    })]);
    let answer = request("POST", "/api/v1/login")
        .json(r#"{"user":"admin","password":"123456","valid_for_s":60}"#)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json(),
        json!({"token": "vqt_1_2", "expires_in_s": 60, "must_change_password": true})
    );
    assert_eq!(
        front.verbs(),
        [Verb::Login {
            user: "admin".to_owned(),
            password: password("123456"),
            valid_for: Duration::from_secs(60),
            setup_code: None,
        }]
    );
}

#[tokio::test]
async fn a_setup_code_is_handed_on_and_its_want_has_a_kind_of_its_own() {
    let front = FakeFront::telling([
        Err(Refusal::SetupCodeRequired),
        Err(Refusal::WrongSetupCode { replaced: false }),
    ]);
    let login = |body: &str| {
        request("POST", "/api/v1/login")
            .peer("10.1.1.99:40000")
            .json(body)
    };
    let answer = login(r#"{"user":"admin","password":"123456"}"#)
        .send(&front)
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (401, "setup-code-required")
    );
    let answer = login(r#"{"user":"admin","password":"123456","setup_code":"AB-CD"}"#)
        .send(&front)
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (401, "wrong-setup-code")
    );
    let codes: Vec<_> = front
        .verbs()
        .into_iter()
        .map(|verb| match verb {
            Verb::Login { setup_code, .. } => setup_code,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, [None, Some(password("AB-CD"))]);
    let asked = front.asked.lock().unwrap().pop().unwrap();
    assert!(
        matches!(asked.caller, Caller::Remote { address, .. } if !address.is_loopback()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_caller_is_the_socket_address_and_the_token_and_no_header_changes_that() {
    let front = FakeFront::telling([Ok(Response::Done)]);
    request("POST", "/api/v1/logout")
        .token(PLAIN)
        .header("X-Forwarded-For", "10.9.9.9")
        .peer("[::ffff:10.1.1.1]:40000")
        .send(&front)
        .await;
    let asked = front.asked.lock().unwrap().pop().unwrap();
    assert_eq!(
        asked.caller,
        Caller::Remote {
            address: "10.1.1.1".parse().unwrap(),
            token: Some(PLAIN.to_owned()),
            unix_ms: 0,
        }
    );
}

#[tokio::test]
async fn a_token_in_the_query_is_no_token() {
    let path = format!("/api/v1/me?token={ADMIN}&access_token={ADMIN}");
    let answer = request("GET", path).send(&FakeFront::default()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_login_across_the_network_works_with_a_warning_unless_defaults_are_strict() {
    let front = FakeFront::telling([Ok(Response::LoggedIn {
        token: "t".to_owned(),
        must_change_password: false,
    })]);
    let login = || {
        request("POST", "/api/v1/login")
            .peer("10.1.1.99:40000")
            .json(r#"{"user":"admin","password":"x"}"#)
    };
    let answer = login().send(&front).await;
    assert_eq!(answer.status, 200);
    let warning = answer.json()["warning"].as_str().unwrap().to_owned();
    assert!(warning.contains("unencrypted"), "{warning}");

    let allowing = crate::http::HttpSettings {
        allow_plain_http: true,
        ..super::harness::settings()
    };
    let front = FakeFront::telling([Ok(Response::LoggedIn {
        token: "t".to_owned(),
        must_change_password: false,
    })]);
    let server = super::harness::server_with(&front, allowing);
    assert_eq!(login().to(&server).await.json().get("warning"), None);

    let strict = crate::http::HttpSettings {
        strict_defaults: true,
        ..super::harness::settings()
    };
    let server = super::harness::server_with(&front, strict);
    let answer = login().to(&server).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "insecure-login")
    );
}

#[tokio::test]
async fn me_tells_who_the_token_belongs_to_even_before_the_first_password_change() {
    let answer = request("GET", "/api/v1/me")
        .token(FRESH)
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "user": "fresh",
            "role": "admin",
            "admin": true,
            "rights": [],
            "must_change_password": true,
        })
    );
}

#[tokio::test]
async fn logout_voids_the_token() {
    let front = FakeFront::telling([Ok(Response::Done)]);
    let answer = request("POST", "/api/v1/logout")
        .token(PLAIN)
        .send(&front)
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(front.verbs(), [Verb::Logout]);
}

#[tokio::test]
async fn nodes_are_listed_with_the_fields_that_scripts_rely_on() {
    let row = node("P1-NODE1", Role::DataNode, NodeState::Online);
    let front = FakeFront::telling([Ok(Response::Nodes(vec![row]))]);
    let answer = request("GET", "/api/v1/nodes")
        .token(PLAIN)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.json(),
        json!([{
            "alias": "P1-NODE1", "mode": "datanode", "host": "127.0.0.2", "port": 8961,
            "site": "127.0.0.2:8961:P1-NODE1", "state": "online", "agent": "P1-agent",
            "reason": "", "admin": "none", "admin_reason": "", "conditions": [], "pid": 4711, "epoch": null,
            "silent_ms": 12, "figures": null,
        }])
    );
}

#[tokio::test]
async fn charts_are_told_of_a_node_or_of_the_cluster() {
    let report = |node: Option<Alias>| FiguresReport {
        node,
        step_ms: 10_000,
        newest_age_ms: Some(4),
        newest_unix_ms: Some(1_700_000_000_000),
        series: [("cpu", vec![None, Some(6)])].into(),
    };
    let front = FakeFront::telling([
        Ok(Response::Figures(report(Some(alias("P1-NODE1"))))),
        Ok(Response::Figures(report(None))),
    ]);
    let answer = request("GET", "/api/v1/figures?node=P1-NODE1&names=cpu,memory")
        .token(PLAIN)
        .send(&front)
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "node": "P1-NODE1", "step_ms": 10_000, "newest_age_ms": 4,
            "newest_unix_ms": 1_700_000_000_000_u64, "series": {"cpu": [null, 6]},
        })
    );
    let all = request("GET", "/api/v1/figures").token(PLAIN);
    assert_eq!(all.send(&front).await.json()["node"], json!(null));
    let verb = |node: Option<&str>, names: &[&str]| Verb::Figures {
        node: node.map(str::to_owned),
        names: names.iter().map(|&name| name.to_owned()).collect(),
    };
    let asked = [verb(Some("P1-NODE1"), &["cpu", "memory"]), verb(None, &[])];
    assert_eq!(front.verbs(), asked);
    let wrong = request("GET", "/api/v1/figures?alias=P1-NODE1").token(PLAIN);
    assert_eq!(wrong.send(&FakeFront::default()).await.status, 422);
}

#[tokio::test]
async fn nodes_are_started_by_alias_and_stopped_all_at_once() {
    let row = OrderRow {
        alias: alias("P1-NODE1"),
        changed: true,
        note: "starting".to_owned(),
    };
    let front = FakeFront::telling([
        Ok(Response::Ordered(vec![row.clone()])),
        Ok(Response::Ordered(vec![row])),
    ]);
    let answer = request("POST", "/api/v1/nodes/start")
        .token(ADMIN)
        .json(r#"{"aliases":["P1-NODE1"]}"#)
        .send(&front)
        .await;
    assert_eq!(
        answer.json(),
        json!([{"alias": "P1-NODE1", "changed": true, "note": "starting"}])
    );
    let answer = request("POST", "/api/v1/nodes/stop")
        .token(ADMIN)
        .json(r#"{"all":true}"#)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        front.verbs(),
        [
            Verb::StartNodes(Selection::Aliases(vec!["P1-NODE1".to_owned()])),
            Verb::StopNodes(Selection::All),
        ]
    );
}

#[tokio::test]
async fn volumes_are_opened_again_adopted_and_forgotten() {
    let named = || ("P1-NODE1".to_owned(), "/disk1".to_owned());
    let rescan = Verb::RescanVolumes(Selection::Aliases(vec!["P1-NODE1".to_owned()]));
    let (node, path) = named();
    let adopt = Verb::AdoptVolume { node, path };
    let (node, path) = named();
    let forget = Verb::ForgetVolume { node, path };
    let one = r#"{"node":"P1-NODE1","path":"/disk1"}"#;
    for (order, body, verb) in [
        ("rescan", r#"{"aliases":["P1-NODE1"]}"#, rescan),
        ("adopt", one, adopt),
        ("forget", one, forget),
    ] {
        let row = RescanRow {
            node: Alias::new("P1-NODE1").unwrap(),
            path: "/disk1".to_owned(),
            was: Some(VolumeState::Missing),
            now: Some(VolumeState::Good),
            opened: true,
            chunks: 7,
            reason: String::new(),
        };
        let front = FakeFront::telling([Ok(Response::Rescanned(vec![row]))]);
        let answer = request("POST", format!("/api/v1/volumes/{order}"))
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        let told = json!([{
            "node": "P1-NODE1", "path": "/disk1", "was": "missing", "now": "good", "opened": true,
            "chunks": 7, "reason": "",
        }]);
        assert_eq!(answer.json(), told, "{order}");
        assert_eq!(front.verbs(), [verb]);
    }
    for (order, body) in [
        ("rescan", "{}"),
        ("rescan", one),
        ("adopt", r#"{"node":"P1-NODE1"}"#),
        ("adopt", r#"{"all":true}"#),
        ("forget", r#"{"node":"P1-NODE1","path":7}"#),
    ] {
        let front = FakeFront::telling([]);
        let answer = request("POST", format!("/api/v1/volumes/{order}"))
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.status, 422, "{order} {body}");
        assert!(front.verbs().is_empty());
    }
}

#[tokio::test]
async fn nodes_are_given_duties() {
    let nodes = || Selection::Aliases(vec!["P1-NODE1".to_owned()]);
    let drain = Verb::SetDuty {
        nodes: nodes(),
        duty: Duty::Drain,
    };
    let serve = Verb::SetDuty {
        nodes: Selection::All,
        duty: Duty::Serve,
    };
    let maintain = Verb::SetDuty {
        nodes: nodes(),
        duty: Duty::Maintenance { for_ms: 900_000 },
    };
    for (path, body, verb) in [
        ("drain", r#"{"aliases":["P1-NODE1"]}"#, drain),
        ("serve", r#"{"all":true}"#, serve),
        (
            "maintenance",
            r#"{"aliases":["P1-NODE1"],"seconds":900}"#,
            maintain,
        ),
    ] {
        let front = FakeFront::telling([Ok(Response::Ordered(Vec::new()))]);
        let answer = request("POST", format!("/api/v1/nodes/{path}"))
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.json(), json!([]), "{path}");
        assert_eq!(front.verbs(), [verb]);
    }
    for (path, body) in [
        ("drain", "{}"),
        ("drain", r#"{"aliases":["A"],"seconds":1}"#),
        ("maintenance", r#"{"aliases":["A"]}"#),
        ("maintenance", r#"{"seconds":900}"#),
        ("maintenance", r#"{"all":true,"seconds":-1}"#),
        ("serve", r#"{"aliases":[]}"#),
    ] {
        let front = FakeFront::default();
        let answer = request("POST", format!("/api/v1/nodes/{path}"))
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.status, 422, "{path} {body}");
    }
}

#[tokio::test]
async fn the_alias_of_one_node_is_given_away() {
    let row = OrderRow {
        alias: Alias::new("P1-NODE1").unwrap(),
        changed: true,
        note: "given away".to_owned(),
    };
    let front = FakeFront::telling([Ok(Response::Ordered(vec![row]))]);
    let answer = request("POST", "/api/v1/nodes/replace")
        .token(ADMIN)
        .json(r#"{"alias":"P1-NODE1"}"#)
        .send(&front)
        .await;
    assert_eq!(
        answer.json(),
        json!([{"alias": "P1-NODE1", "changed": true, "note": "given away"}])
    );
    let node = "P1-NODE1".to_owned();
    assert_eq!(front.verbs(), [Verb::ReplaceNode { node }]);
    for body in ["{}", r#"{"all":true}"#, r#"{"alias":["P1-NODE1"]}"#] {
        let front = FakeFront::default();
        let answer = request("POST", "/api/v1/nodes/replace")
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.status, 422, "{body}");
    }
}

#[tokio::test]
async fn one_node_is_removed_and_a_loss_is_accepted_by_its_name() {
    for (body, loss) in [
        (r#"{"alias":"P1-NODE1"}"#, None),
        (
            r#"{"alias":"P1-NODE1","accept_loss_of":"P1-NODE1"}"#,
            Some("P1-NODE1"),
        ),
    ] {
        let front = FakeFront::telling([Ok(Response::Ordered(Vec::new()))]);
        let answer = request("POST", "/api/v1/nodes/remove")
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.json(), json!([]));
        let (node, accept_loss) = ("P1-NODE1".to_owned(), loss.map(str::to_owned));
        assert_eq!(front.verbs(), [Verb::RemoveNode { node, accept_loss }]);
    }
    for body in [
        "{}",
        r#"{"all":true}"#,
        r#"{"alias":"A","accept_loss_of":true}"#,
        r#"{"alias":"A","i_accept_loss":"A"}"#,
    ] {
        let front = FakeFront::default();
        let answer = request("POST", "/api/v1/nodes/remove")
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(answer.status, 422, "{body}");
    }
}

#[tokio::test]
async fn an_order_for_no_node_or_for_two_choices_is_refused() {
    for body in [
        "{}",
        r#"{"all":false}"#,
        r#"{"aliases":[]}"#,
        r#"{"aliases":["A"],"all":true}"#,
        r#"{"aliases":"A"}"#,
        r#"{"alias":["A"]}"#,
        "[]",
    ] {
        let front = FakeFront::default();
        let answer = request("POST", "/api/v1/nodes/start")
            .token(ADMIN)
            .json(body)
            .send(&front)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (422, "invalid"),
            "{body}"
        );
        assert_eq!(front.verbs(), [], "{body}");
    }
}

#[tokio::test]
async fn a_piece_of_a_log_is_plain_text_with_its_place_in_the_headers() {
    let front = FakeFront::telling([Ok(Response::Log(LogPiece {
        offset: 5,
        file_len: 1000,
        bytes: b"<script>alert(1)</script>\n".to_vec(),
    }))]);
    let answer = request("GET", "/api/v1/nodes/P1-NODE1/log?gen=2&offset=5&len=100")
        .token(READER)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, "<script>alert(1)</script>\n");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-log-offset"), Some("5"));
    assert_eq!(answer.header("x-log-length"), Some("1000"));
    assert_eq!(
        front.verbs(),
        [Verb::ReadLog {
            alias: alias("P1-NODE1"),
            generation: 2,
            range: LogRange::From {
                offset: 5,
                len: 100
            },
        }]
    );
}

#[tokio::test]
async fn log_parameters_choose_the_piece() {
    let from = |offset, len| LogRange::From { offset, len };
    for (query, generation, range) in [
        ("", 0, LogRange::Tail { len: 65_536 }),
        ("?tail=10", 0, LogRange::Tail { len: 10 }),
        ("?gen=1&tail=262144", 1, LogRange::Tail { len: 262_144 }),
        ("?offset=18446744073709551615", 0, from(u64::MAX, 262_144)),
        ("?len=7", 0, from(0, 7)),
    ] {
        let front = FakeFront::telling([Ok(Response::Log(LogPiece::default()))]);
        request("GET", format!("/api/v1/nodes/A/log{query}"))
            .token(ADMIN)
            .send(&front)
            .await;
        let expected = Verb::ReadLog {
            alias: alias("A"),
            generation,
            range,
        };
        assert_eq!(front.verbs(), [expected], "{query}");
    }
}

#[tokio::test]
async fn log_parameters_out_of_range_are_refused() {
    for query in [
        "tail=262145",
        "len=262145",
        "tail=1&offset=2",
        "tail=1&len=2",
        "tail=-1",
        "offset=18446744073709551616",
        "len=",
        "gen=99999",
        "tail=1&tail=1",
        "file=/etc/passwd",
    ] {
        let front = FakeFront::default();
        let answer = request("GET", format!("/api/v1/nodes/A/log?{query}"))
            .token(ADMIN)
            .send(&front)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (422, "invalid"),
            "{query}"
        );
        assert_eq!(front.verbs(), [], "{query}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_leaves_the_log_of_a_node() {
    for segment in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "..",
        "..%5c",
        "%5cetc",
        "A%00",
        "%c0%ae%c0%ae",
        "%ef%bc%8e%ef%bc%8e",
        "A%2f..",
        "%2fetc%2fpasswd",
        "C%3a%5c",
        "A%zz",
        "A%ff",
    ] {
        let front = FakeFront::default();
        let answer = request("GET", format!("/api/v1/nodes/{segment}/log"))
            .token(ADMIN)
            .send(&front)
            .await;
        assert_eq!(answer.status, 404, "{segment}: {answer:?}");
        assert_eq!(front.verbs(), [], "{segment}");
    }
}

#[tokio::test]
async fn users_are_listed_added_removed_and_given_rights() {
    let front = FakeFront::telling([
        Ok(Response::Users(vec![user("a", false, &[Right::DfsRead])])),
        Ok(Response::Done),
        Ok(Response::Done),
        Ok(Response::Done),
        Ok(Response::Done),
    ]);
    let answer = request("GET", "/api/v1/users")
        .token(ADMIN)
        .send(&front)
        .await;
    assert_eq!(
        answer.json(),
        json!([{
            "user": "a",
            "role": "viewer",
            "admin": false,
            "rights": ["dfs-read"],
            "must_change_password": false,
        }])
    );
    let answer = request("POST", "/api/v1/users")
        .token(ADMIN)
        .json(r#"{"user":"b","password":"a good password"}"#)
        .send(&front)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some("/api/v1/users/b"));
    for (method, path) in [
        ("PUT", "/api/v1/users/b/rights/dfs-write"),
        ("DELETE", "/api/v1/users/b/rights/dfs-write"),
        ("DELETE", "/api/v1/users/b"),
    ] {
        let answer = request(method, path).token(ADMIN).send(&front).await;
        assert_eq!(answer.status, 204, "{method} {path}");
    }
    let named = || "b".to_owned();
    let right = Right::DfsWrite;
    assert_eq!(
        front.verbs(),
        [
            Verb::ListUsers,
            Verb::AddUser {
                user: named(),
                password: password("a good password"),
                admin: false,
            },
            Verb::Grant {
                user: named(),
                right
            },
            Verb::Revoke {
                user: named(),
                right
            },
            Verb::RemoveUser { user: named() },
        ]
    );
}

#[tokio::test]
async fn a_user_with_a_first_password_may_change_it() {
    let front = FakeFront::telling([Ok(Response::Done)]);
    let answer = request("PUT", "/api/v1/users/fresh/password")
        .token(FRESH)
        .json(r#"{"old":"123456","new":"a good password"}"#)
        .send(&front)
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        front.verbs(),
        [Verb::ChangePassword {
            user: Some("fresh".to_owned()),
            old: Some(password("123456")),
            new: password("a good password"),
        }]
    );
}

#[tokio::test]
async fn an_unknown_right_is_not_found_and_the_known_ones_are_named() {
    let answer = request("PUT", "/api/v1/users/b/rights/root")
        .token(ADMIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().contains("`dfs-read`"), "{answer:?}");
}

#[tokio::test]
async fn status_is_the_report_of_the_process() {
    let answer = request("GET", "/api/v1/status")
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    let status = answer.json();
    assert_eq!(status["summary"], "2 of 3 data nodes are online");
    assert_eq!(status["nodes"].as_array().unwrap().len(), 4);
    assert_eq!(status["commit_index"], 42);
    assert_eq!(status["log_copies"][0]["alias"], "P1-NODE1");
    assert_eq!(status["log_copies"][0]["upto"], 40);
}

#[tokio::test]
async fn a_process_is_alive_without_asking_its_machine() {
    let front = FakeFront::default();
    let answer = request("GET", "/healthz").send(&front).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert_eq!(front.verbs(), []);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_machines_word_and_asked_for_at_most_four_times_a_second() {
    let unready = vaquita_core::admin::StatusReport {
        ready: false,
        ..super::harness::status()
    };
    let front = FakeFront::telling([Ok(Response::Status(Box::new(unready)))]);
    let server = super::harness::server_with(&front, super::harness::settings());
    for _ in 0..10 {
        let answer = request("GET", "/readyz").to(&server).await;
        assert_eq!(answer.status, 503);
    }
    assert_eq!(front.verbs().len(), 1);
    tokio::time::advance(Duration::from_millis(250)).await;
    let answer = request("GET", "/readyz").to(&server).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let answer = request("HEAD", "/healthz")
        .send(&FakeFront::default())
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-length"), Some("3"));
}
