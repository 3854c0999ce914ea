//! The chain, the pages, and how refusals are counted together.

use core::time::Duration;

use super::refusals::Refusals;
use super::*;
use crate::access::TokenId;
use crate::ids::{Alias, LogIndex};
use crate::state::{ClusterState, NodeDesired, Record};
use crate::time::Timestamp;
use crate::wire::codec;

fn entry(number: u64) -> AuditEntry {
    AuditEntry {
        unix_ms: 1_800_000_000_000 + number,
        actor: ["alice", "bob"][usize::from(number.is_multiple_of(2))].to_owned(),
        means: Means::Session(TokenId::new(number)),
        address: Some("10.0.0.1".to_owned()),
        action: ["node.start", "node.stop", "login"][(number % 3) as usize].to_owned(),
        object: format!("P{number}"),
        detail: String::new(),
        refused: String::new(),
        count: 1,
    }
}

fn trail(entries: u64) -> AuditTrail {
    let mut trail = AuditTrail::default();
    for number in 1..=entries {
        trail.apply(LogIndex(number * 10), &entry(number));
    }
    trail
}

fn page(trail: &AuditTrail, before: Option<u64>, limit: u32) -> AuditPage {
    let query = AuditQuery {
        before,
        limit,
        ..AuditQuery::default()
    };
    trail.page(&query, LogIndex(u64::MAX))
}

#[test]
fn an_entry_and_its_change_are_one_record() {
    let desired = NodeDesired {
        alias: Alias::new("P1-NODE1").unwrap(),
        run: true,
    };
    let record = Record::Audited(Box::new(Audited {
        entry: entry(1),
        change: Some(Record::NodeDesired(desired.clone())),
    }));
    let (kind, bytes) = record.encode();
    assert_eq!(Record::decode(kind, &bytes), Ok(record.clone()));
    let mut state = ClusterState::default();
    state.apply(LogIndex(7), &record);
    let order = state.orders[&desired.alias];
    assert_eq!((order.run, order.version), (true, LogIndex(7)));
    assert_eq!(state.audit.newest(), 1);
    // An entry within an entry is none that this program writes.
    let nested = Record::Audited(Box::new(Audited {
        entry: entry(2),
        change: Some(record),
    }));
    let (kind, bytes) = nested.encode();
    assert!(Record::decode(kind, &bytes).is_err());
}

#[test]
fn a_chain_holds_across_a_checkpoint_and_two_replays_agree() {
    let mut whole = AuditTrail::default();
    let mut resumed = AuditTrail::default();
    let entries = ENTRIES_KEPT as u64 + 20;
    for number in 1..=entries {
        whole.apply(LogIndex(number), &entry(number));
        resumed.apply(LogIndex(number), &entry(number));
        if number == ENTRIES_KEPT as u64 + 7 {
            resumed = codec::decode("checkpoint", &codec::encode(&resumed)).unwrap();
        }
    }
    assert_eq!(whole.verify(), Ok(()));
    assert_eq!(whole, resumed);
    let newest = page(&whole, None, 1);
    assert_eq!((newest.oldest, newest.newest), (21, entries));
    assert_eq!(newest.rows[0].hash, newest.head);
}

/// How somebody changes the trail behind the cluster's back.
type Tamper = fn(&mut AuditTrail);

#[test]
fn whatever_is_changed_behind_its_back_breaks_the_chain_there() {
    let tampers: [(&str, Tamper); 9] = [
        ("date", |it| it.forge(4, |entry| entry.unix_ms += 1)),
        ("actor", |it| it.forge(4, |entry| entry.actor.push('x'))),
        ("means", |it| {
            it.forge(4, |entry| entry.means = Means::Console)
        }),
        ("address", |it| it.forge(4, |entry| entry.address = None)),
        ("action", |it| it.forge(4, |entry| entry.action.push('x'))),
        ("object", |it| it.forge(4, |entry| entry.object.clear())),
        ("result", |it| it.forge(4, |entry| entry.refused.push('x'))),
        ("count", |it| it.forge(4, |entry| entry.count = 0)),
        ("text that moved", |it| {
            it.forge(4, |entry| {
                entry.detail = core::mem::take(&mut entry.object);
            });
        }),
    ];
    for (what, tamper) in tampers {
        let mut trail = trail(9);
        tamper(&mut trail);
        assert_eq!(trail.verify(), Err(Broken { sequence: 5 }), "{what}");
        assert!(!page(&trail, None, 1).intact, "{what}");
    }
    // One that is left out: what stands in its place was not written there.
    let mut trail = trail(9);
    trail.drop_entry(4);
    assert!(trail.verify().is_err());
}

#[test]
fn pages_go_back_and_filters_leave_out() {
    let trail = trail(25);
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = page(&trail, before, 10);
        seen.extend(page.rows.iter().map(|row| row.sequence));
        before = page.rows.last().map(|row| row.sequence);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<u64>>());
    let query = AuditQuery {
        limit: 100,
        actor: Some("alice".to_owned()),
        action: Some("node.".to_owned()),
        ..AuditQuery::default()
    };
    let rows = trail.page(&query, LogIndex(u64::MAX)).rows;
    assert!(!rows.is_empty());
    assert!(
        rows.iter()
            .all(|row| row.actor == "alice" && row.action.starts_with("node."))
    );
}

#[test]
fn what_is_not_durable_is_not_shown() {
    let trail = trail(5);
    let query = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    let page = trail.page(&query, LogIndex(30));
    assert_eq!(page.newest, 3);
    assert_eq!(page.rows[0].sequence, 3);
    assert_eq!(page.rows[0].hash, page.head);
    let none = trail.page(&query, LogIndex(9));
    assert_eq!((none.newest, none.rows.len()), (0, 0));
}

fn refused(address: u64) -> AuditEntry {
    AuditEntry {
        address: Some(format!("10.0.0.{address}")),
        action: "login.failed".to_owned(),
        refused: "wrong user name or password".to_owned(),
        ..entry(1)
    }
}

#[test]
fn refusals_of_an_address_are_written_once_and_then_counted() {
    let mut now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    assert!(refusals.note(now, refused(1)).is_some());
    for _ in 0..5 {
        assert_eq!(refusals.note(now, refused(1)), None);
    }
    assert!(refusals.due(now).is_empty());
    now = now.after(Duration::from_secs(30));
    let due = refusals.due(now);
    assert_eq!(due.iter().map(|it| it.count).collect::<Vec<_>>(), [5]);
    now = now.after(Duration::from_secs(30));
    assert!(refusals.due(now).is_empty());
    assert!(
        refusals.note(now, refused(1)).is_some(),
        "it is quiet again"
    );
}

#[test]
fn a_day_of_guesses_from_everywhere_writes_few_entries_and_counts_all() {
    let mut now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    let (mut written, mut counted, mut made) = (0, 0, 0);
    for second in 0..86_400_u64 {
        for address in [second % 7, second] {
            made += 1;
            if let Some(entry) = refusals.note(now, refused(address)) {
                written += 1;
                counted += entry.count;
            }
        }
        now = now.after(Duration::from_secs(1));
        for entry in refusals.due(now) {
            written += 1;
            counted += entry.count;
        }
    }
    assert!(written < 330, "{written} entries in a day");
    let last = refusals.due(now.after(Duration::from_secs(3600)));
    counted += last.iter().map(|it| it.count).sum::<u32>();
    let held = made - counted;
    assert!(held == 0, "{held} of {made} refusals are not counted");
}
