use serde_json::Value;
use vaquita_core::admin::{NodeState, Right};

use crate::cluster::{AUDITED, FakeCluster};
use crate::program::Place;

async fn logged_in(cluster: &FakeCluster) -> Place {
    let place = cluster.serve().await;
    place
        .run_with("login --password-stdin", "long enough\n")
        .await
        .ok();
    place
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_cure() {
    let err = Place::new()
        .run("node list --server 127.0.0.1:1")
        .await
        .failed(69);
    assert!(err.contains("nothing listens at 127.0.0.1:1"), "{err}");
    assert!(err.contains("is the controller started?"), "{err}");
    let err = Place::new()
        .run("status --server no-such-host.invalid:1")
        .await
        .failed(69);
    assert!(err.contains("no host `no-such-host.invalid`"), "{err}");
}

#[tokio::test]
async fn what_listens_and_is_no_vaquita_is_told_as_such() {
    #[expect(clippy::disallowed_methods, reason = "a server of another kind")]
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                .await;
        }
    });
    let err = Place::new()
        .run(&format!("node list --server {address}"))
        .await
        .failed(70);
    assert!(err.contains("Is it a Vaquita process"), "{err}");
}

#[tokio::test]
async fn without_a_login_a_command_says_how_to_log_in() {
    let place = FakeCluster::settled().serve().await;
    let err = place.run("node list").await.failed(77);
    assert!(err.contains("vaquita login"), "{err}");
    assert!(err.contains("VAQUITA_USER"), "{err}");
}

#[tokio::test]
async fn the_first_password_is_good_for_its_own_change_alone() {
    let place = FakeCluster::new().serve().await;
    let ran = place.run_with("login --password-stdin", "123456\n").await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("vaquita user passwd admin"), "{ran:?}");
    let err = place.run("node list").await.failed(77);
    assert!(err.contains("has to be changed"), "{err}");
    let change = "123456\nlong enough\n";
    place
        .run_with("user passwd --password-stdin", change)
        .await
        .ok();
    place.run("node list").await.ok();
}

#[tokio::test]
async fn a_first_password_is_changed_without_a_login_before() {
    let cluster = FakeCluster::new();
    let place = cluster.serve().await;
    let change = "123456\nlong enough\n";
    place
        .run_with("user passwd admin --password-stdin", change)
        .await
        .ok();
    place.run("node list").await.ok();
    let err = place
        .run_with("user passwd --password-stdin", change)
        .await
        .failed(77);
    assert!(err.contains("wrong user name or password"), "{err}");
}

#[tokio::test]
async fn a_setup_code_is_taken_from_the_flag_or_the_line_after_the_passwords() {
    let cluster = FakeCluster::new();
    cluster.setup_code("ABCDE-FGHIJ");
    let place = cluster.serve().await;
    let err = place
        .run_with("login --password-stdin", "123456\n")
        .await
        .failed(77);
    assert!(err.contains("setup code"), "{err}");
    assert!(err.contains("the controller's log"), "{err}");
    assert!(err.contains("meta/setup-code"), "{err}");
    assert!(err.contains("--setup-code"), "{err}");
    let err = place
        .run_with(
            "login --password-stdin --setup-code AAAAA-AAAAA",
            "123456\n",
        )
        .await
        .failed(77);
    assert!(err.contains("not the setup code"), "{err}");
    for (line, input) in [
        (
            "login --password-stdin --setup-code ABCDE-FGHIJ",
            "123456\n",
        ),
        ("login --password-stdin", "123456\nABCDE-FGHIJ\n"),
    ] {
        let ran = place.run_with(line, input).await;
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.err.contains("vaquita user passwd admin"), "{ran:?}");
    }
    let change = "123456\nlong enough\n";
    place
        .run_with("user passwd admin --password-stdin", change)
        .await
        .failed(77);
    place
        .run_with(
            "user passwd admin --password-stdin",
            &format!("{change}ABCDE-FGHIJ\n"),
        )
        .await
        .ok();
    place.run("node list").await.ok();
    // Whoever has a password of their own is not asked.
    place
        .run_with("login --password-stdin", "long enough\n")
        .await
        .ok();
}

#[tokio::test]
async fn a_login_is_kept_for_its_owner_and_for_the_commands_that_follow() {
    let cluster = FakeCluster::settled();
    let mut place = logged_in(&cluster).await;
    let server = place.read("home/.config/vaquita/logins.json");
    assert!(server.contains("token-1"), "{server}");
    // The login names the server: the variable is no longer needed.
    place.set("VAQUITA_SERVER", "");
    let out = place.run("node list").await.ok();
    assert!(out.contains("P1-NODE1"), "{out}");
    place.run("logout").await.ok();
    let kept = place.read("home/.config/vaquita/logins.json");
    assert!(!kept.contains("token-1"), "{kept}");
    // The next login goes to the same cluster.
    place
        .run_with("login --password-stdin", "long enough\n")
        .await
        .ok();
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_nothing_kept() {
    let place = FakeCluster::settled().serve().await;
    let err = place
        .run_with("login --password-stdin", "guess\n")
        .await
        .failed(77);
    assert!(err.contains("wrong user name or password"), "{err}");
    assert!(!place.path("home/.config/vaquita/logins.json").exists());
    let err = place
        .run_with("login --password-stdin", "")
        .await
        .failed(64);
    assert!(err.contains("standard input ended"), "{err}");
}

#[tokio::test]
async fn the_environment_logs_in_once_for_many_commands() {
    let cluster = FakeCluster::settled();
    let mut place = cluster.serve().await;
    place.set("VAQUITA_USER", "admin");
    place.set("VAQUITA_PASSWORD", "long enough");
    for _ in 0..3 {
        place.run("node list").await.ok();
    }
    assert_eq!(cluster.logins(), 1);
    // A token that the server has forgotten is replaced without a word.
    cluster.forget_tokens();
    place.run("node list").await.ok();
    assert_eq!(cluster.logins(), 2);
    place.set("VAQUITA_PASSWORD", "wrong");
    cluster.forget_tokens();
    place.run("node list").await.failed(77);
}

#[tokio::test]
async fn nodes_are_listed_as_a_table_and_as_json() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let out = place.run("node list").await.ok();
    assert_eq!(
        out,
        "ALIAS     MODE      SITE                    STATE    AGENT     REASON\n\
         P1-agent  agent     10.1.1.1:8961:P1-agent  online\n\
         P1-NODE1  datanode  10.1.1.1:8961:P1-NODE1  stopped  P1-agent\n\
         P2-NODE1  datanode  10.1.1.1:8961:P2-NODE1  stopped  P1-agent\n"
    );
    let out = place.run("node list --json").await.ok();
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(rows.len(), 3);
    for field in [
        "alias", "mode", "host", "port", "site", "state", "agent", "reason",
    ] {
        assert!(rows[0].get(field).is_some(), "no {field}");
    }
    assert_eq!(rows[0]["figures"], Value::Null);
    assert_eq!(rows[1]["figures"]["disk_free"], 1_u64 << 40);
    let out = place.run("node list --wide").await.ok();
    let row = |alias: &str| out.lines().find(|line| line.starts_with(alias)).unwrap();
    for part in ["0.6%", "20 MiB", "2/64", "1.0 TiB"] {
        assert!(row("P1-NODE1").contains(part), "no {part} in:\n{out}");
    }
    assert!(row("P1-agent").ends_with(" -"), "{out}");
    let out = place.run("node list P2-NODE1 --json").await.ok();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&out).unwrap().len(), 1);
    let err = place.run("node list P2-NODE2").await.failed(1);
    assert!(err.contains("did you mean `P2-NODE1`?"), "{err}");
}

#[tokio::test]
async fn a_start_is_ordered_and_told_a_line_a_node() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let out = place.run("node start P1-NODE1").await.ok();
    assert_eq!(out, "P1-NODE1: starting\n");
    let out = place.run("node stop P1-NODE1 P2-NODE1").await.ok();
    assert_eq!(out, "P1-NODE1: ordered\nP2-NODE1: nothing to do\n");
    let out = place.run("node replace P2-NODE1").await.ok();
    assert!(out.starts_with("P2-NODE1: "), "{out}");
    let err = place.run("node replace").await.failed(64);
    assert!(err.contains("ALIAS"), "{err}");
    let out = place.run("node start --all --json").await.ok();
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[1]["alias"], "P2-NODE1");
    assert_eq!(rows[1]["changed"], true);
}

#[tokio::test]
async fn nodes_are_drained_left_in_peace_and_used_again() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let out = place.run("node drain P1-NODE1").await.ok();
    assert_eq!(out, "P1-NODE1: Drain\n");
    let ran = place.run("node drain P1-NODE1 --wait").await;
    assert!(ran.err.contains("P1-NODE1 is drained"), "{}", ran.err);
    ran.ok();
    let err = place.run("node drain --all").await.failed(1);
    assert!(err.contains("0 data nodes would be left"), "{err}");
    let out = place
        .run("node maintenance P2-NODE1 --for 2h --json")
        .await
        .ok();
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[0]["note"], "Maintenance { for_ms: 7200000 }");
    let out = place.run("node list").await.ok();
    let row = |alias: &str| out.lines().find(|line| line.starts_with(alias));
    assert!(row("P1-NODE1").unwrap().contains("[drained]"), "{out}");
    assert!(row("P2-NODE1").unwrap().contains("[maintenance]"), "{out}");
    let ran = place.run("node serve --all --wait").await;
    assert!(ran.err.contains("P2-NODE1 is in service"), "{}", ran.err);
    ran.ok();
    let err = place
        .run("node maintenance P2-NODE1 --for 25h")
        .await
        .failed(64);
    assert!(err.contains("1s to 24h"), "{err}");
    let err = place.run("node drain").await.failed(64);
    assert!(err.contains("ALIAS"), "{err}");
}

#[tokio::test]
async fn an_unknown_node_is_the_clusters_to_refuse() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let err = place.run("node start P1-NODE2").await.failed(1);
    assert!(err.contains("did you mean `P1-NODE1`?"), "{err}");
}

#[tokio::test]
async fn waiting_tells_each_state_and_ends_when_all_are_online() {
    let cluster = FakeCluster::settled();
    cluster.course(
        &[NodeState::Starting, NodeState::Joining, NodeState::Online],
        "",
    );
    let place = logged_in(&cluster).await;
    let ran = place.run("node start --all --wait --json").await;
    for line in [
        "P1-NODE1 is starting",
        "P1-NODE1 is joining",
        "P2-NODE1 is online",
    ] {
        assert!(ran.err.contains(line), "no {line} in\n{}", ran.err);
    }
    let rows: Vec<Value> = serde_json::from_str(&ran.ok()).unwrap();
    let states: Vec<&str> = rows
        .iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["online", "online"]);
}

#[tokio::test]
async fn waiting_ends_when_a_node_fails_and_says_why() {
    let cluster = FakeCluster::settled();
    let reason = "port 8961 is held by pid 4711 (nginx)";
    cluster.course(&[NodeState::Starting, NodeState::Failed], reason);
    let place = logged_in(&cluster).await;
    let err = place.run("node start P1-NODE1 --wait").await.failed(1);
    assert!(err.contains(reason), "{err}");
    assert!(err.contains("vaquita node log"), "{err}");
}

#[tokio::test]
async fn waiting_ends_at_its_time_out_with_what_is_missing() {
    let cluster = FakeCluster::settled();
    cluster.course(&[NodeState::Starting], "");
    let place = logged_in(&cluster).await;
    let err = place
        .run("node start P1-NODE1 --wait --timeout 0")
        .await
        .failed(1);
    assert!(
        err.contains("not all nodes are online after 0 s: P1-NODE1 is starting"),
        "{err}"
    );
}

#[tokio::test]
async fn the_end_of_a_log_is_printed() {
    let cluster = FakeCluster::settled();
    cluster.log("one\ntwo\nthree\n");
    let place = logged_in(&cluster).await;
    assert_eq!(
        place.run("node log P1-NODE1 --lines 2").await.ok(),
        "two\nthree\n"
    );
    assert_eq!(
        place.run("node log P1-NODE1").await.ok(),
        "one\ntwo\nthree\n"
    );
}

#[tokio::test]
async fn users_are_managed_from_end_to_end() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    place
        .run_with("user add alice --password-stdin", "her first one\n")
        .await
        .ok();
    assert_eq!(cluster.users(), ["admin", "alice"]);
    place.run("user grant alice log-read").await.ok();
    assert_eq!(cluster.rights_of("alice"), [Right::LogRead]);
    let out = place.run("user list").await.ok();
    assert_eq!(
        out,
        "USER   ROLE    RIGHTS    NOTE\n\
         admin  admin   admin\n\
         alice  viewer  log-read  has a first password\n"
    );
    // An administrator sets it without the old one: one line, or the second of two.
    place
        .run_with("user passwd alice --password-stdin", "her second one\n")
        .await
        .ok();
    place
        .run_with("user passwd alice --password-stdin", "-\nher third one\n")
        .await
        .ok();
    let login = "login --user alice --password-stdin";
    place.run_with(login, "her second one\n").await.failed(77);
    place.run_with(login, "her third one\n").await.ok();
    let err = place.run("user remove alice").await.failed(77);
    assert!(err.contains("lacks the right `admin`"), "{err}");
    place
        .run_with("login --password-stdin", "long enough\n")
        .await
        .ok();
    place.run("user revoke alice log-read").await.ok();
    assert_eq!(cluster.rights_of("alice"), []);
    place.run("user remove alice").await.ok();
    assert_eq!(cluster.users(), ["admin"]);
    let rows: Vec<Value> = serde_json::from_str(&place.run("user list --json").await.ok()).unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn the_status_is_one_screen_and_one_object() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let out = place.run("status").await.ok();
    assert!(
        out.starts_with("controller master: all is well\nup 5.0 s, log index 7\n"),
        "{out}"
    );
    assert!(out.contains("P2-NODE1"), "{out}");
    let value: Value = serde_json::from_str(&place.run("status --json").await.ok()).unwrap();
    assert_eq!(value["summary"], "all is well");
}

#[tokio::test]
async fn passwords_stay_out_of_every_output() {
    let cluster = FakeCluster::settled();
    let place = cluster.serve().await;
    for ran in [
        place
            .run_with("login --password-stdin", "long enough\n")
            .await,
        place
            .run_with("login --password-stdin", "canary-7431\n")
            .await,
        place
            .run_with("user add bob --password-stdin", "canary-7431\n")
            .await,
        place
            .run_with("user passwd --password-stdin", "canary-7431\ncanary-7431\n")
            .await,
    ] {
        assert!(!format!("{ran:?}").contains("canary-7431"), "{ran:?}");
    }
    assert!(
        !place
            .read("home/.config/vaquita/logins.json")
            .contains("long enough")
    );
}

#[tokio::test]
async fn a_program_has_a_token_of_its_own_until_it_is_revoked() {
    let cluster = FakeCluster::settled();
    let mut place = logged_in(&cluster).await;
    let made = place
        .run("token create backup --right operate --network 10.1.0.0/16 --expires-in 30d")
        .await;
    assert!(made.err.contains("shown this once"), "{made:?}");
    let token = made.ok().trim_end().to_owned();
    assert!(token.starts_with("vqt_"), "{token}");
    let list = place.run("token list --all").await.ok();
    for expected in ["0000000000000001", "backup", "operate", "10.1.0.0/16"] {
        assert!(list.contains(expected), "{list}");
    }
    let secret = token.rsplit('_').next().unwrap();
    let json = place.run("token list --json").await.ok();
    assert!(!list.contains(secret) && !json.contains(secret), "{json}");
    assert!(json.contains(r#""kind":"token""#), "{json}");

    // With it nobody needs to be logged in, and a password in the environment does not come first.
    place.run("logout").await.ok();
    place.run("node list").await.failed(77);
    place.set("VAQUITA_TOKEN", &token);
    place.set("VAQUITA_USER", "nobody");
    place.set("VAQUITA_PASSWORD", "nothing");
    place.run("node list").await.ok();
    place.run("token revoke 0000000000000001").await.ok();
    place.run("node list").await.failed(77);
    for wrong in ["0d", "366d", "soon"] {
        let line = format!("token create backup --expires-in {wrong}");
        place.run(&line).await.failed(64);
    }
}

#[tokio::test]
async fn the_audit_is_read_page_by_page_and_a_forged_one_is_told_of() {
    let cluster = FakeCluster::settled();
    let place = logged_in(&cluster).await;
    let short = place.run("audit --limit 2").await;
    assert!(short.err.contains(&format!("{AUDITED:064x}")), "{short:?}");
    let short = short.ok();
    assert_eq!(short.lines().count(), 3, "{short}");
    assert!(
        short.contains("P1500") && short.contains("P1499"),
        "{short}"
    );
    let results = ["ordered", "done"].map(|it| short.matches(it).count());
    assert_eq!(results, [1, 1], "{short}");
    let all = place.run("audit --all --json").await.ok();
    let rows: Vec<Value> = serde_json::from_str(&all).unwrap();
    let sequences: Vec<u64> = rows
        .iter()
        .map(|row| row["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, (1..=AUDITED).rev().collect::<Vec<_>>());
    let alice = place
        .run("audit --actor alice --limit 3 --before 10")
        .await
        .ok();
    assert!(alice.contains("P9") && !alice.contains("bob"), "{alice}");
    cluster.forge_audit();
    let err = place.run("audit --limit 1").await.failed(1);
    assert!(err.contains("changed behind the cluster's back"), "{err}");
}
