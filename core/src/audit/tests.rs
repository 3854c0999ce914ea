//! The chain, the pages, and how refusals are counted together.

use core::time::Duration;

use super::meters::Meters;
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
        ordered: false,
    }
}

fn trail(entries: u64) -> AuditTrail {
    let mut trail = AuditTrail::default();
    for number in 1..=entries {
        trail.apply(LogIndex(number * 10), &entry(number), None);
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
        before: Some(Link::default()),
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
        before: None,
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
        whole.apply(LogIndex(number), &entry(number), Some(whole.head()));
        resumed.apply(LogIndex(number), &entry(number), Some(resumed.head()));
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
    let tampers: [(&str, Tamper); 10] = [
        ("date", |it| it.forge(4, |entry| entry.unix_ms += 1)),
        ("actor", |it| it.forge(4, |entry| entry.actor.push('x'))),
        ("means", |it| {
            it.forge(4, |entry| entry.means = Means::Console)
        }),
        ("address", |it| it.forge(4, |entry| entry.address = None)),
        ("action", |it| it.forge(4, |entry| entry.action.push('x'))),
        ("object", |it| it.forge(4, |entry| entry.object.clear())),
        ("result", |it| it.forge(4, |entry| entry.refused.push('x'))),
        ("whether it was done", |it| {
            it.forge(4, |entry| entry.ordered = true);
        }),
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

fn refused_of(user: &str, address: u64) -> AuditEntry {
    AuditEntry {
        actor: user.to_owned(),
        ..refused(address)
    }
}

#[test]
fn refusals_of_an_address_are_written_once_and_then_counted() {
    let mut now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    assert!(refusals.note(now, refused(1), true).is_some());
    for _ in 0..5 {
        assert_eq!(refusals.note(now, refused(1), true), None);
    }
    assert!(refusals.due(now).is_empty());
    now = now.after(Duration::from_secs(30));
    let due = refusals.due(now);
    assert_eq!(due.iter().map(|it| it.count).collect::<Vec<_>>(), [5]);
    now = now.after(Duration::from_secs(60));
    assert!(refusals.due(now).is_empty());
    assert!(
        refusals.note(now, refused(1), true).is_some(),
        "it is quiet again"
    );
}

#[test]
fn what_one_user_is_refused_does_not_hide_what_another_one_is() {
    let now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    for _ in 0..100 {
        refusals.note(now, refused_of("mallory", 1), true);
    }
    let bob = refusals.note(now, refused_of("bob", 1), true);
    assert_eq!(bob.map(|it| it.actor), Some("bob".to_owned()));
    // Not even by being refused something for a day.
    let (mut now, mut written) = (now, 0);
    for _ in 0..24 * 60 {
        now = now.after(Duration::from_secs(60));
        written += usize::from(refusals.note(now, refused_of("mallory", 1), true).is_some());
        written += refusals.due(now).len();
    }
    assert!((24..60).contains(&written), "{written} entries of one user");
    assert!(refusals.note(now, refused_of("bob", 1), true).is_some());
}

#[test]
fn an_address_with_many_users_does_not_use_up_what_others_are_counted_by() {
    let mut now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    for user in 0..1000 {
        refusals.note(now, refused_of(&format!("user{user}"), 1), true);
    }
    now = now.after(Duration::from_secs(1));
    let other = refusals.note(now, refused_of("bob", 2), true);
    assert!(other.is_some(), "the one of bob is written at once");
}

#[test]
fn what_is_refused_while_the_log_is_full_is_written_once_there_is_room() {
    let now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    for _ in 0..3 {
        assert_eq!(refusals.note(now, refused(1), false), None);
    }
    let due = refusals.due(now);
    assert_eq!(due.iter().map(|it| it.count).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_day_of_guesses_from_everywhere_writes_few_entries_and_counts_all() {
    let mut now = Timestamp::ZERO;
    let mut refusals = Refusals::new(now);
    let (mut written, mut counted, mut made) = (0, 0, 0);
    for second in 0..86_400_u64 {
        for address in [second % 7, second] {
            made += 1;
            if let Some(entry) = refusals.note(now, refused(address), true) {
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
    for _ in 0..24 {
        now = now.after(Duration::from_secs(3600));
        counted += refusals.due(now).iter().map(|it| it.count).sum::<u32>();
    }
    let held = made - counted;
    assert!(held == 0, "{held} of {made} refusals are not counted");
}

#[test]
fn a_user_who_logs_in_and_out_all_day_pushes_nothing_out() {
    let mut now = Timestamp::ZERO;
    let mut meters = Meters::default();
    let (mut written, mut counted, mut made) = (0, 0, 0);
    for _ in 0..86_400 {
        for action in ["login", "logout"] {
            made += 1;
            let entry = AuditEntry {
                action: action.to_owned(),
                ..entry(1)
            };
            let now_written = meters.counted(now, entry).into_iter();
            for entry in now_written.chain(meters.due(now)) {
                written += 1;
                counted += entry.count;
            }
        }
        now = now.after(Duration::from_secs(1));
    }
    assert!(written < 1600, "{written} entries in a day");
    now = now.after(Duration::from_secs(3600));
    counted += meters.due(now).iter().map(|it| it.count).sum::<u32>();
    assert_eq!(counted, made);
    // Another user is none the worse for it.
    let bob = AuditEntry {
        actor: "bob".to_owned(),
        ..entry(1)
    };
    assert!(meters.counted(now, bob).is_some());
}

#[test]
fn a_user_gives_so_many_orders_and_then_one_in_a_while() {
    let mut now = Timestamp::ZERO;
    let mut meters = Meters::default();
    let mut given = 0;
    while meters.wait(now, "mallory").is_none() {
        meters.ordered(now, "mallory");
        given += 1;
    }
    assert_eq!(given, 256);
    assert_eq!(meters.wait(now, "bob"), None);
    let wait = meters.wait(now, "mallory").unwrap();
    now = now.after(wait);
    assert_eq!(meters.wait(now, "mallory"), None);
    meters.ordered(now, "mallory");
    assert!(meters.wait(now, "mallory").is_some());
    // However many names there are, what is remembered is bounded, and those who have used up their share
    // are not forgotten for those who have not.
    for user in 0..5000 {
        meters.ordered(now, &format!("user{user}"));
    }
    assert!(meters.wait(now, "mallory").is_some());
}

#[test]
fn an_entry_is_bounded_after_it_is_escaped() {
    for text in ["\u{1b}".repeat(500), "\\".repeat(299), "数".repeat(301)] {
        let shown = AuditEntry::text(&text);
        let length = shown.chars().count();
        assert!((290..=OBJECT_MAX).contains(&length), "{length}: {shown}");
    }
    assert_eq!(AuditEntry::text(&"a".repeat(300)), "a".repeat(300));
    assert_eq!(
        AuditEntry::text(&"a".repeat(301)),
        format!("{}…", "a".repeat(299))
    );
}

#[test]
fn names_that_have_no_room_are_counted_and_doubles_take_none() {
    let names = |names: &[&str]| AuditEntry::names(names.iter().copied(), 60);
    assert_eq!(names(&["A", "B"]), "A, B");
    assert_eq!(names(&[]), "");
    // What is repeated cannot push out what matters.
    let mut repeated = vec!["P1-NODE1"; 100];
    repeated.push("P2-NODE1");
    assert_eq!(names(&repeated), "P1-NODE1, P2-NODE1");
    let many: Vec<String> = (0..100).map(|it| format!("P{it}-NODE1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        names(&many),
        "P0-NODE1, P1-NODE1, P2-NODE1, P3-NODE1 and 96 more"
    );
    let long = names(&["\u{1b}".repeat(400).as_str(), "B"]);
    assert!(
        long.ends_with("… and 1 more") || long.ends_with("…, B"),
        "{long}"
    );
    assert!(long.chars().count() <= 60, "{long}");
}

/// Somebody changes a record behind the newest checkpoint, and makes its checksum good.
#[test]
fn a_record_that_was_changed_in_the_log_shows_at_the_next_one() {
    let mut written = Vec::new();
    let mut trail = AuditTrail::default();
    for number in 1..=9 {
        let before = trail.head();
        trail.apply(LogIndex(number), &entry(number), Some(before));
        written.push((LogIndex(number), entry(number), before));
    }
    assert_eq!(trail.verify(), Ok(()));
    let replay = |written: &[(LogIndex, AuditEntry, Link)]| {
        let mut trail = AuditTrail::default();
        for (index, entry, before) in written {
            trail.apply(*index, entry, Some(*before));
        }
        trail
    };
    assert_eq!(replay(&written), trail);
    let mut forged = written.clone();
    forged[4].1.actor = "somebody else".to_owned();
    let forged = replay(&forged);
    assert!(forged.verify().is_err());
    assert!(!page(&forged, None, 1).intact);
    let later: AuditTrail = codec::decode("checkpoint", &codec::encode(&forged)).unwrap();
    assert!(
        later.verify().is_err(),
        "a checkpoint does not make it good"
    );
    let mut left_out = written;
    left_out.remove(4);
    assert!(replay(&left_out).verify().is_err());
}

/// As the first version wrote it: without what came later, and with the same hash as then.
#[test]
fn an_entry_of_the_first_version_reads_as_it_did() {
    const BYTES: &str = "83891b000001a3185c500065616c696365820281056831302e312e312e396a6e6f64652e737461\
        72746850312d4e4f4445316762792068616e646001044b826850312d4e4f444531f5";
    let bytes: Vec<u8> = (0..BYTES.len() / 2)
        .map(|at| u8::from_str_radix(&BYTES[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let Ok(Record::Audited(audited)) = Record::decode(14, &bytes) else {
        panic!("it is not read");
    };
    assert_eq!((audited.before, audited.entry.ordered), (None, false));
    assert!(audited.change.is_some());
    let mut trail = AuditTrail::default();
    trail.apply(LogIndex(7), &audited.entry, audited.before);
    assert_eq!(trail.verify(), Ok(()));
    assert_eq!(
        trail.head().to_string(),
        "b1a0d0c39dfa208f90a6cd0bd08b9455449c7796abc757854cab49c359a59566"
    );
}
