//! Campaigns: that they find what is planted, make it small, show it, and find nothing else.

use std::process::Command;
use std::time::Duration;

use simtests::campaign::{
    Case, Plan, Play, READ, WRITTEN, campaign, crash_points, hunt, kind_of, never_reached, report,
    shrink,
};
use simtests::run::run_one;
use simtests::seeds::commit_seed;
use simtests::trace::TraceMode;
use simtests::world::TRAP_SPRUNG;
use vaquita_core::planted::Planted;

fn many(first: u64, count: u64) -> Plan {
    Plan {
        seeds: first..first + count,
        budget: None,
        jobs: 1,
        planted: Planted::default(),
        first_only: false,
    }
}

/// The standard list, and some of the commit's own: nothing goes wrong, and what should be reached is.
#[test]
fn a_short_campaign_finds_nothing_and_reaches_much() {
    let fresh = commit_seed().unwrap_or(1) >> 16;
    eprintln!("seeds 0..80, and 20 from {fresh} on, which is the commit's");
    let standard = campaign(&many(0, 80), |_| {});
    assert!(
        standard.failures.is_empty(),
        "{}",
        report(&standard, Planted::default())
    );
    let reached = |mark: &str| standard.marks.contains_key(mark);
    for mark in [
        WRITTEN,
        READ,
        TRAP_SPRUNG,
        "cluster.mass_event",
        "metalog.checkpoint",
        "node.quarantined",
        "repair.copied",
        "uplink.self_fenced",
        "volume.state",
    ] {
        assert!(
            reached(mark),
            "{mark} was not reached:\n{}",
            report(&standard, Planted::default())
        );
    }
    let missing = never_reached(&standard.marks);
    assert!(missing.len() < 40, "never reached: {missing:?}");
    let states: Vec<usize> = standard.states.iter().map(|(_, states)| *states).collect();
    assert!(
        states.is_sorted() && states.last() > Some(&100),
        "{states:?}"
    );

    let own = campaign(&many(fresh, 20), |_| {});
    assert!(
        own.failures.is_empty(),
        "{}",
        report(&own, Planted::default())
    );
}

#[test]
fn a_case_is_the_same_twice() {
    for seed in 0..6 {
        let case = Case::drawn(seed);
        let text = case.to_string();
        let read: Case = text.parse().expect("it reads as it is written");
        let [one, other] =
            [&case, &read].map(|case| run_one(&Play::of(case), seed, TraceMode::Fingerprint).hash);
        assert_eq!(one, other, "seed {seed}");
    }
}

/// A log that is not synced: found within a few seeds, and made so small that it can be told.
#[test]
fn what_is_planted_is_found_and_made_small() {
    let hunted = hunt("skip_sync", 1, 50, Duration::from_secs(600));
    let case = hunted.case.expect("it is found");
    assert!(case.steps.len() <= 10, "{case}");
    assert!(
        hunted.shows.contains("promise") || hunted.shows.contains("power"),
        "{}",
        hunted.shows
    );
    // It still fails as it did, and its text does.
    let read: Case = case.to_string().parse().expect("it reads as it is written");
    let failure = run_one(&Play::of(&read), read.seed, TraceMode::Fingerprint).failure;
    let failure = failure.expect("it fails");
    assert_eq!(failure.what, hunted.shows);
    // Nothing more can be taken away.
    let again = shrink(&case, None).expect("it fails");
    assert_eq!(again.case, case);
    assert_eq!(kind_of(&again.failure), kind_of(&failure));
}

/// The power fails, and the process is killed, at each operation of the controller's disk, of a node's home
/// and of its volume, in a case that has a disk do all that one has to: nothing is lost, and all comes to rest.
/// The program does the same for every disk.
#[test]
fn whatever_operation_of_a_disk_is_the_last_nothing_is_lost() {
    let text = include_str!("../cases/crash-points.plan");
    let case: Case = text.parse().expect("it is a case");
    for (disk, least) in [("master", 40), ("P2-NODE1", 3), ("P2-NODE1/0", 10)] {
        let points = crash_points(&case, disk).expect("it has no traps of its own");
        eprintln!("{disk}: {} operations", points.operations);
        assert!(points.operations >= least, "{disk}: {points:?}");
        assert_eq!(points.runs, 4 * points.operations, "{disk}");
        if let Some((case, failure)) = points.failures.first() {
            panic!("{failure}\n{case}");
        }
    }
}

/// What is forgotten shows at some operation.
#[test]
fn a_forgotten_sync_shows_at_some_operation() {
    let text = include_str!("../cases/crash-points.plan");
    let mut case: Case = text.parse().expect("it is a case");
    case.planted = Planted::default()
        .with("store_skip_sync")
        .expect("it can be planted");
    let points = crash_points(&case, "P2-NODE1/0").expect("it has no traps of its own");
    assert!(!points.failures.is_empty(), "{points:?}");
    let (trapped, _) = points.failures.last().expect("there is one");
    let refused = crash_points(trapped, "P2-NODE1/0").expect_err("it has one of its own");
    assert!(refused.contains("at-op"), "{refused}");
}

/// The program: a run is drawn and told, and its exit status says whether it went well.
#[test]
fn the_program_draws_a_run_and_says_how_it_ended() {
    let room = tempfile::tempdir().expect("there is room");
    let (page, told) = (room.path().join("run.html"), room.path().join("run.txt"));
    let simtests = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simtests"));
        command.args(arguments).output().expect("it starts")
    };
    let drawn = simtests(&[
        "replay",
        "3",
        "--lines",
        "5",
        "--html",
        page.to_str().expect("it is UTF-8"),
        "--transcript",
        told.to_str().expect("it is UTF-8"),
    ]);
    let said = String::from_utf8_lossy(&drawn.stdout).into_owned();
    assert!(drawn.status.success(), "{said}");
    assert!(
        said.contains("replay    cargo run -p simtests -- replay 3"),
        "{said}"
    );
    let page = std::fs::read_to_string(page).expect("it was drawn");
    let told = std::fs::read_to_string(told).expect("it was told");
    for lane in [
        "master",
        "P1-agent",
        "P1-NODE1",
        "\"Register\"",
        "\"messages\":[[",
    ] {
        assert!(page.contains(lane), "{lane} is not in the picture");
    }
    for words in ["client     wants put", "is online epoch", "!! "] {
        assert!(
            told.contains(words),
            "{words} is not in the transcript:\n{told}"
        );
    }
    let wrong = simtests(&["replay", "0", "--plant", "skip_sink"]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(
        said,
        "simtests: nothing that can be planted is called `skip_sink`\n"
    );
    let endless = simtests(&["campaign"]);
    assert_eq!(endless.status.code(), Some(2));
}
