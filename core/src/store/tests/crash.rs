//! A crash at every operation, and everything that it may leave.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::rig::Rig;
use crate::disk::Lane;
use crate::limits::Limits;
use crate::metalog::tests::choices::{Choices, for_all};
use crate::metalog::tests::disk::Crash;
use crate::planted::Planted;
use crate::prng::Prng;
use crate::store::fuzz::tiny_limits;

/// Crashes a rig here in every way, and counts them.
fn crash_here(rig: &Rig, crash: Crash, most: usize) -> usize {
    for_all(most, rig.ops as u64, |choices| {
        rig.check_crash(crash, choices)
    })
}

/// Puts alone and together, small and large, releases, purges and compaction, crashing everywhere.
fn a_life_of_crashes(limits: &Limits, planted: Planted, crash: Crash, most: usize) -> usize {
    let mut rig = Rig::new(limits.clone(), planted);
    let mut crashes = 0;
    let mut all = Vec::new();
    rig.run_all(|rig| crashes += crash_here(rig, crash, most));
    for round in 0..6_usize {
        for _ in 0..=round % 3 {
            all.push(rig.put(100 + 40 * round));
        }
        if round % 2 == 1 {
            all.push(rig.put(1200));
        }
        rig.run_all(|rig| crashes += crash_here(rig, crash, most));
        // Released before, and once while it is on its way.
        rig.trash(all[round]);
        if round % 2 == 1 {
            rig.outwait();
        }
        let late = rig.put(200);
        if round == 3 {
            rig.trash(late);
        }
        rig.run_all(|rig| crashes += crash_here(rig, crash, most));
        if round % 2 == 0 {
            rig.outwait();
            rig.run_all(|rig| crashes += crash_here(rig, crash, most));
        }
    }
    let again = all[1];
    rig.put_version(again, 140);
    rig.run_all(|rig| crashes += crash_here(rig, crash, most));
    for version in &all[3..8] {
        rig.trash(*version);
    }
    rig.run_all(|rig| crashes += crash_here(rig, crash, most));
    rig.outwait();
    rig.run_all(|rig| crashes += crash_here(rig, crash, most));
    crashes
}

#[test]
fn what_was_promised_survives_a_crash_at_any_operation() {
    let crashes = a_life_of_crashes(&tiny_limits(), Planted::default(), Crash::Garbage, 40);
    assert!(crashes > 1000, "only {crashes} crashes were tried");
}

#[test]
fn what_was_promised_survives_whatever_shares_a_batch() {
    for group_commit_records in [1, 2, 5] {
        let limits = Limits {
            group_commit_records,
            ..tiny_limits()
        };
        a_life_of_crashes(&limits, Planted::default(), Crash::OldOrNew, 12);
    }
}

/// One life by chance: puts, releases, operations of either lane in any order, waiting, kills and
/// power failures.
fn a_life_by_chance(seed: u64) {
    let mut prng = Prng::new(seed);
    let limits = Limits {
        group_commit_records: 1 + prng.below(4) as usize,
        volume_segment_bytes: 300 + prng.below(2000),
        volume_copy_bytes: 1 + prng.below(800),
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    for _ in 0..120 {
        let ready = rig.volume.is_ready();
        let known: Vec<_> = rig.fates.keys().copied().collect();
        match prng.below(24) {
            0..4 if ready => {
                rig.put(1 + prng.below(400) as usize);
            }
            4 if ready => {
                rig.put(701 + prng.below(900) as usize);
            }
            5..8 if !known.is_empty() => {
                rig.trash(known[prng.below(known.len() as u64) as usize]);
            }
            8..14 => {
                rig.step(Lane::Foreground);
            }
            14..20 => {
                rig.step(Lane::Background);
            }
            20 => rig.wait(rig.limits.trash_hold / 2),
            // Killed: what was written is there, synced or not.
            21 => {
                let disk = rig.disk.clone();
                rig.restart(disk);
            }
            22 => {
                let mut choices = Choices::random(prng.next_u64());
                let disk = rig.disk.crash(Crash::OldOrNew, &mut choices);
                rig.restart(disk);
            }
            _ => {
                crash_here(&rig, Crash::OldOrNew, 2);
            }
        }
    }
    rig.run();
    rig.check(&rig.disk.contents());
    assert!(
        rig.fates.values().all(|fate| fate.durable),
        "all is durable in the end"
    );
}

#[test]
fn what_was_promised_survives_lives_of_kills_and_power_failures() {
    for seed in 0..150 {
        a_life_by_chance(seed);
    }
}

/// What the first test above says about a volume with these bugs.
fn complaint(planted: Planted) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| {
        a_life_of_crashes(&tiny_limits(), planted, Crash::OldOrNew, 24)
    }))
    .err()
    .map(|payload| match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a sentence")).to_owned(),
    })
}

fn assert_noticed(planted: Planted, parts: &[&str]) {
    let text = complaint(planted).expect("the bug is noticed");
    assert!(
        parts.iter().any(|part| text.contains(part)),
        "noticed as something else: {text}"
    );
}

#[test]
fn a_volume_without_planted_bugs_passes_the_test_that_finds_them() {
    assert_eq!(complaint(Planted::default()), None);
}

#[test]
fn the_crash_test_notices_a_segment_without_sync() {
    let planted = Planted {
        store_skip_sync: true,
        ..Planted::default()
    };
    assert_noticed(planted, &["was promised and", "wrong bytes"]);
}

#[test]
fn the_crash_test_notices_a_name_without_sync_of_the_directory() {
    let planted = Planted {
        store_skip_dir_sync: true,
        ..Planted::default()
    };
    assert_noticed(planted, &["was promised and", "survives the next crash"]);
}

#[test]
fn the_crash_test_notices_a_promise_before_the_sync() {
    let planted = Planted {
        store_ack_before_sync: true,
        ..Planted::default()
    };
    assert_noticed(planted, &["was promised and"]);
}

#[test]
fn the_crash_test_notices_trust_in_a_header_alone() {
    let planted = Planted {
        store_trust_headers: true,
        ..Planted::default()
    };
    assert_noticed(planted, &["wrong bytes"]);
}

#[test]
fn the_crash_test_notices_a_purge_before_the_tombstone() {
    let planted = Planted {
        store_purge_early: true,
        ..Planted::default()
    };
    assert_noticed(planted, &["was released and is back"]);
}

#[test]
fn the_crash_test_notices_a_torn_segment_in_use() {
    let planted = Planted {
        store_reuse_torn: true,
        ..Planted::default()
    };
    assert_noticed(
        planted,
        &["a mere crash damages nothing", "was promised and"],
    );
}
