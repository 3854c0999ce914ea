//! What is ordered is in the audit, and what is refused is counted there.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use super::{seconds, start, stop};
use crate::access::UserName;
use crate::admin::{Caller, NewToken, Refusal, Reply, Response, Right, Selection, Verb};
use crate::audit::{AuditPage, AuditQuery, AuditRow};
use crate::dfs::ask::Ask;
use crate::ideal::Ideal;
use crate::secret::Password;

const NOW: u64 = 1_800_000_000_000;
const GOOD: &str = "purple-anchor-42";

fn remote(last: u8, token: Option<&str>) -> Caller {
    Caller::Remote {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        token: token.map(str::to_owned),
        unix_ms: NOW,
    }
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn audit(cluster: &mut Ideal) -> AuditPage {
    let query = AuditQuery {
        limit: 1000,
        ..AuditQuery::default()
    };
    match cluster.ask(Verb::ListAudit(query)) {
        Ok(Response::Audit(page)) => page,
        other => panic!("no audit: {other:?}"),
    }
}

/// The entries, the oldest first, as `who action object: result`.
fn told(cluster: &mut Ideal) -> Vec<String> {
    let line = |row: &AuditRow| {
        format!(
            "{} {} {}: {}",
            row.actor, row.action, row.object, row.result
        )
    };
    audit(cluster).rows.iter().rev().map(line).collect()
}

/// A user of this name, and somebody logged in as it.
fn user(cluster: &mut Ideal, name: &str, right: Right) -> Caller {
    let add = Verb::AddUser {
        user: name.to_owned(),
        password: password(GOOD),
        admin: false,
    };
    cluster.ask(add).unwrap();
    let user = name.to_owned();
    cluster.ask(Verb::Grant { user, right }).unwrap();
    match log_in(cluster, 1, name, GOOD) {
        Ok(Response::LoggedIn { token, .. }) => remote(1, Some(&token)),
        other => panic!("no login: {other:?}"),
    }
}

fn log_in(cluster: &mut Ideal, last: u8, name: &str, text: &str) -> Reply {
    let verb = Verb::Login {
        user: name.to_owned(),
        password: password(text),
        valid_for: Duration::from_secs(3600),
        setup_code: None,
    };
    cluster.ask_as(remote(last, None), verb)
}

#[test]
fn what_is_ordered_is_in_the_audit_with_who_ordered_it() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::Operate);
    cluster.ask_as(alice.clone(), stop(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(1));
    cluster.ask_as(alice.clone(), start(&["P1-NODE1"])).unwrap();
    cluster.run_for(seconds(1));
    // An order that changes nothing leaves nothing.
    cluster.ask_as(alice.clone(), start(&["P1-NODE1"])).unwrap();
    let suspend = Verb::Dfs(Ask::SuspendRepair { suspend: true });
    cluster.ask_as(alice.clone(), suspend).unwrap();
    cluster
        .ask_as(alice.clone(), Verb::RescanVolumes(Selection::All))
        .unwrap();
    let new = NewToken {
        label: "backup".to_owned(),
        valid_for: Duration::from_secs(60),
        rights: None,
        networks: Vec::new(),
    };
    cluster
        .ask_as(alice.clone(), Verb::IssueToken(new))
        .unwrap();
    cluster.ask_as(alice, Verb::Logout).unwrap();
    assert_eq!(
        told(&mut cluster),
        [
            "console node.start all: done",
            "console user.add alice: done",
            "console user.grant alice: done",
            "alice login alice: done",
            "alice node.stop P1-NODE1: done",
            "alice node.start P1-NODE1: done",
            "alice repair.suspend : ordered",
            "alice volume.rescan all: ordered",
            "alice token.create backup: done",
            "alice logout : done",
        ]
    );
    let page = audit(&mut cluster);
    assert!(page.intact);
    let row = &page.rows[0];
    assert_eq!((row.means, row.unix_ms), ("session", NOW));
    assert_eq!(row.address.as_deref(), Some("10.0.0.1"));
}

#[test]
fn an_entry_outlives_the_process_with_what_it_tells_of() {
    let mut cluster = Ideal::running(1);
    cluster.ask(stop(&["P1-NODE1"])).unwrap();
    let before = audit(&mut cluster);
    cluster.kill(Ideal::controller_at());
    cluster.start_controller();
    cluster.run_for(seconds(1));
    assert_eq!(audit(&mut cluster), before);
}

#[test]
fn failed_logins_are_counted_and_tell_no_password() {
    let mut cluster = Ideal::running(1);
    user(&mut cluster, "alice", Right::Operate);
    let before = audit(&mut cluster).newest;
    for _ in 0..4 {
        let reply = log_in(&mut cluster, 9, "alice", "wrong horse battery");
        assert_eq!(reply, Err(Refusal::WrongPassword));
        cluster.run_for(seconds(1));
    }
    // Somebody typed the password where the name belongs.
    UserName::new("hunter2hunter2").unwrap();
    let reply = log_in(&mut cluster, 8, "hunter2hunter2", "x");
    assert_eq!(reply, Err(Refusal::WrongPassword));
    cluster.run_for(seconds(70));
    let page = audit(&mut cluster);
    let rows: Vec<&AuditRow> = page.rows.iter().filter(|it| it.sequence > before).collect();
    let counted: u32 = rows.iter().map(|it| it.count).sum();
    assert_eq!((rows.len(), counted), (3, 5), "{rows:?}");
    assert!(
        rows.iter()
            .all(|it| it.action == "login.failed" && it.result == "refused")
    );
    let all = format!("{page:?}");
    for secret in ["hunter2", "horse", GOOD] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn a_stolen_token_that_is_used_from_elsewhere_is_told_of() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::Operate);
    let new = NewToken {
        label: "backup".to_owned(),
        valid_for: Duration::from_secs(60),
        rights: None,
        networks: vec!["10.0.0.4".to_owned()],
    };
    let Ok(Response::TokenIssued { token, row }) = cluster.ask_as(alice, Verb::IssueToken(new))
    else {
        panic!("no token");
    };
    assert!(
        cluster
            .ask_as(remote(4, Some(&token)), Verb::Status)
            .is_ok()
    );
    for _ in 0..10 {
        let reply = cluster.ask_as(remote(5, Some(&token)), Verb::Status);
        assert_eq!(reply, Err(Refusal::Unauthenticated));
    }
    let page = audit(&mut cluster);
    assert_eq!(page.rows[0].action, "token.astray");
    assert_eq!(page.rows[0].object, row.id);
    assert_eq!(page.rows[0].address.as_deref(), Some("10.0.0.5"));
    assert_eq!(
        page.rows[1].action, "token.create",
        "they are counted together"
    );
}

#[test]
fn who_may_not_leaves_one_entry_and_changes_nothing() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::LogRead);
    for _ in 0..10 {
        let reply = cluster.ask_as(alice.clone(), stop(&["P1-NODE1"]));
        assert!(matches!(reply, Err(Refusal::Forbidden { .. })), "{reply:?}");
    }
    let told = told(&mut cluster);
    assert_eq!(
        told.last().map(String::as_str),
        Some("alice node.stop P1-NODE1: refused")
    );
    assert_eq!(told.iter().filter(|it| it.contains("node.stop")).count(), 1);
}

#[test]
fn whoever_follows_a_log_is_noted_once_in_a_while() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::LogRead);
    let read = Verb::ReadLog {
        alias: crate::ideal::alias("P1-NODE1"),
        generation: 0,
        range: crate::admin::LogRange::Tail { len: 10 },
    };
    for _ in 0..30 {
        // Whether there is such a file is the agent's to say.
        drop(cluster.try_ask_as(alice.clone(), read.clone()));
        cluster.run_for(seconds(30));
    }
    let told = told(&mut cluster);
    let reads = told
        .iter()
        .filter(|it| it.contains("log.read P1-NODE1: ordered"));
    assert_eq!(reads.count(), 2, "{told:?}");
}

#[test]
fn an_entry_that_was_written_first_does_not_say_that_it_was_done() {
    let mut cluster = Ideal::running(1);
    let admin = user(&mut cluster, "alice", Right::Admin);
    let forget = Verb::ForgetVolume {
        node: "P9-NODE1".to_owned(),
        path: "/data".to_owned(),
    };
    let reply = cluster.ask_as(admin.clone(), forget);
    assert!(matches!(reply, Err(Refusal::NotFound { .. })), "{reply:?}");
    let suspend = Verb::Dfs(Ask::SuspendRepair { suspend: true });
    cluster.ask_as(admin, suspend).unwrap();
    let told = told(&mut cluster);
    assert_eq!(
        told[told.len() - 3..],
        [
            "alice volume.forget P9-NODE1 /data: ordered",
            "alice volume.forget P9-NODE1 /data: refused",
            "alice repair.suspend : ordered",
        ]
    );
    let page = audit(&mut cluster);
    let (refused, ordered) = (&page.rows[1], &page.rows[2]);
    assert_eq!(ordered.reason, "");
    assert!(refused.reason.contains("there is no node"), "{refused:?}");
    assert_eq!(
        refused.detail,
        format!("ordered in entry {}", ordered.sequence)
    );
}

#[test]
fn who_has_lost_the_right_to_adopt_a_volume_while_its_node_looked_does_not() {
    let mut cluster = Ideal::running(1);
    let admin = user(&mut cluster, "alice", Right::Admin);
    cluster.freeze(Ideal::node_at(2), true);
    let adopt = Verb::AdoptVolume {
        node: "P1-NODE1".to_owned(),
        path: "/data".to_owned(),
    };
    assert_eq!(cluster.try_ask_as(admin, adopt), None, "the node is asked");
    let revoke = Verb::Revoke {
        user: "alice".to_owned(),
        right: Right::Admin,
    };
    cluster.ask(revoke).unwrap();
    cluster.freeze(Ideal::node_at(2), false);
    cluster.run_for(seconds(1));
    let page = audit(&mut cluster);
    let row = &page.rows[0];
    assert_eq!(
        (row.action.as_str(), row.result),
        ("volume.adopt", "refused")
    );
    assert_eq!(row.reason, Refusal::Unauthenticated.to_string());
}

#[test]
fn a_user_who_makes_and_drops_tokens_in_a_loop_pushes_nothing_out() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::LogRead);
    let before = audit(&mut cluster).newest;
    let mut refused = 0;
    for _ in 0..400 {
        let new = NewToken {
            label: "loop".to_owned(),
            valid_for: Duration::from_secs(60),
            rights: None,
            networks: Vec::new(),
        };
        match cluster.ask_as(alice.clone(), Verb::IssueToken(new)) {
            Ok(Response::TokenIssued { row, .. }) => {
                let token = crate::access::TokenId::parse(&row.id).unwrap();
                let revoke = Verb::RevokeToken { token };
                cluster.ask_as(alice.clone(), revoke).unwrap();
            }
            Err(Refusal::Busy { reason, .. }) => {
                assert!(reason.contains("alice"), "{reason}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 100, "{refused} were refused");
    cluster.run_for(seconds(3600));
    let page = audit(&mut cluster);
    assert!(page.newest - before < 350, "{} entries", page.newest);
    let count = |action: &str| {
        let rows = page.rows.iter().filter(|row| row.action == action);
        rows.map(|row| row.count).sum::<u32>()
    };
    assert_eq!(
        (count("token.create"), count("token.revoke")),
        (400, 400 - refused),
        "all are counted"
    );
    assert!(cluster.ask(stop(&["P1-NODE1"])).is_ok());
}

#[test]
fn what_an_interface_refused_for_want_of_a_right_is_counted() {
    let mut cluster = Ideal::running(1);
    let alice = user(&mut cluster, "alice", Right::Operate);
    let note = |right| Verb::NoteRefusal {
        what: "POST /api/v1/users".to_owned(),
        right,
    };
    let before = audit(&mut cluster).newest;
    // She has this one: nothing was refused.
    cluster.ask_as(alice.clone(), note(Right::Operate)).unwrap();
    for _ in 0..10 {
        cluster.ask_as(alice.clone(), note(Right::Admin)).unwrap();
    }
    let nobody = cluster.ask_as(remote(3, None), note(Right::Admin));
    assert_eq!(nobody, Err(Refusal::Unauthenticated));
    cluster.run_for(seconds(40));
    let page = audit(&mut cluster);
    let rows: Vec<&AuditRow> = page.rows.iter().filter(|it| it.sequence > before).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row.action == "access.refused"
        && row.object == "POST /api/v1/users"
        && row.actor == "alice"
        && row.result == "refused"));
    assert_eq!(rows.iter().map(|row| row.count).sum::<u32>(), 10);
}

#[test]
fn the_console_a_signal_and_the_process_are_told_apart_and_have_their_dates() {
    let mut cluster = Ideal::running(1);
    let console = Caller::Console { unix_ms: NOW };
    cluster.ask_as(console, stop(&["P1-NODE1"])).unwrap();
    let reload = Verb::Reconfigure {
        config: Box::new(cluster.configuration()),
        dry_run: false,
    };
    let signal = Caller::Signal { unix_ms: NOW + 1 };
    cluster.ask_as(signal, reload).unwrap();
    let process = Caller::Process { unix_ms: NOW + 2 };
    cluster.ask_as(process, start(&["P1-NODE1"])).unwrap();
    let page = audit(&mut cluster);
    let of = |row: &AuditRow| (row.actor.clone(), row.means, row.unix_ms);
    assert_eq!(of(&page.rows[2]), ("console".to_owned(), "console", NOW));
    assert_eq!(of(&page.rows[1]), ("SIGHUP".to_owned(), "signal", NOW + 1));
    let itself = ("controller".to_owned(), "process", NOW + 2);
    assert_eq!(of(&page.rows[0]), itself);
}

#[test]
fn an_order_for_many_says_how_many_more_there_were() {
    let mut cluster = Ideal::running(3);
    let alice = user(&mut cluster, "alice", Right::Operate);
    let mut names = vec!["P1-NODE1"; 100];
    names.extend(["P2-NODE1", "P3-NODE1"]);
    cluster.ask_as(alice, stop(&names)).unwrap();
    let told = told(&mut cluster);
    assert_eq!(
        told.last().map(String::as_str),
        Some("alice node.stop P1-NODE1, P2-NODE1, P3-NODE1: done")
    );
}
