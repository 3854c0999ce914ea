//! A crash at every operation, and everything that it may leave.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::choices::{Choices, for_all};
use super::disk::Crash;
use super::rig::{Rig, tiny_limits};
use crate::disk::Lane;
use crate::ids::LogIndex;
use crate::limits::Limits;
use crate::metalog::{Evidence, RecoveryRefusal};
use crate::planted::Planted;
use crate::prng::Prng;

/// Crashes a rig here in every way, and counts them.
fn crash_here(rig: &Rig, crash: Crash, most: usize) -> usize {
    for_all(most, rig.ops as u64, |choices| {
        let refusal = rig.check_crash(crash, choices);
        let explained = match (&refusal, crash) {
            (None, _) => true,
            // Garbage in the middle of a batch that was written to its end looks like damage to
            // records that were promised, and no rule could tell.
            (Some(RecoveryRefusal::DamagedRecord { evidence, .. }), Crash::Garbage) => {
                matches!(evidence, Evidence::BatchWritten { .. })
            }
            _ => false,
        };
        assert!(explained, "a mere crash was refused: {refusal:?}");
    })
}

/// Appends records in groups of one to three, with checkpoints between, crashing everywhere.
fn a_life_of_crashes(limits: &Limits, planted: Planted, crash: Crash, len: usize) -> usize {
    let mut rig = Rig::new(limits.clone(), planted);
    let mut crashes = 0;
    for round in 0..9 {
        for _ in 0..=round % 3 {
            rig.append(len + round);
        }
        rig.run_all(|rig| crashes += crash_here(rig, crash, 300));
        if rig.log.checkpoint_due() && rig.begin_checkpoint() {
            rig.append(len);
            rig.step(Lane::Foreground);
            rig.build_checkpoint();
            rig.run_all(|rig| crashes += crash_here(rig, crash, 300));
        }
    }
    assert!(
        rig.log.checkpointed() > LogIndex(4),
        "there were checkpoints"
    );
    crashes
}

#[test]
fn what_was_promised_survives_a_crash_at_any_operation() {
    for group_commit_records in 1..=3 {
        let limits = Limits {
            group_commit_records,
            ..tiny_limits()
        };
        let crashes = a_life_of_crashes(&limits, Planted::default(), Crash::Garbage, 5);
        assert!(crashes > 500, "only {crashes} crashes were tried");
    }
}

#[test]
fn a_batch_of_many_sectors_survives_in_any_part_or_not_at_all() {
    let limits = Limits {
        segment_bytes: 2000,
        ..tiny_limits()
    };
    let crashes = a_life_of_crashes(&limits, Planted::default(), Crash::OldOrNew, 700);
    assert!(crashes > 2000, "only {crashes} crashes were tried");
    a_life_of_crashes(&limits, Planted::default(), Crash::Garbage, 700);
}

/// Leaves indexes out behind so many records, with a crash at every operation before and after.
fn a_life_with_a_skip(limits: &Limits, before: u64) -> usize {
    let mut rig = Rig::new(limits.clone(), Planted::default());
    let mut crashes = 0;
    for _ in 0..before {
        rig.append(5);
    }
    rig.run();
    rig.append(6);
    rig.skip_to(LogIndex(before + 40));
    if before.is_multiple_of(2) {
        // What is behind is in the same write.
        rig.append(7);
    }
    rig.run_all(|rig| crashes += crash_here(rig, Crash::Garbage, 300));
    for round in 0..8 {
        if rig.begin_checkpoint() {
            rig.build_checkpoint();
        }
        rig.append(5 + round);
        rig.run_all(|rig| crashes += crash_here(rig, Crash::Garbage, 300));
        let disk = rig.disk.clone();
        rig.restart(disk);
    }
    assert!(rig.acked > LogIndex(before + 40), "the log went on behind");
    crashes
}

#[test]
fn indexes_that_are_left_out_survive_a_crash_at_any_operation() {
    for group_commit_records in 1..=3 {
        for before in 0..7 {
            for segment_bytes in [64, 200] {
                let limits = Limits {
                    group_commit_records,
                    segment_bytes,
                    ..tiny_limits()
                };
                let crashes = a_life_with_a_skip(&limits, before);
                assert!(crashes > 50, "only {crashes} crashes were tried");
            }
        }
    }
}

/// One life by chance: appends, operations of either lane in any order, checkpoints, kills and
/// power failures.
fn a_life_by_chance(seed: u64, planted: Planted) {
    let mut prng = Prng::new(seed);
    let limits = Limits {
        group_commit_records: 1 + prng.below(3) as usize,
        segment_bytes: 100 + prng.below(2000),
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, planted);
    let longest = [30, 900][prng.below(2) as usize];
    for _ in 0..150 {
        match prng.below(20) {
            0..4 => {
                rig.append(prng.below(longest) as usize);
            }
            4..12 => {
                rig.step(Lane::Foreground);
            }
            12..16 => {
                rig.step(Lane::Background);
            }
            16 => {
                rig.begin_checkpoint();
            }
            17 => {
                rig.build_checkpoint();
            }
            // Killed: what was written is there, synced or not.
            18 => {
                let disk = rig.disk.clone();
                rig.restart(disk);
            }
            _ => {
                let mut choices = Choices::random(prng.next_u64());
                let disk = rig.disk.crash(Crash::OldOrNew, &mut choices);
                rig.restart(disk);
            }
        }
        crash_here(&rig, Crash::OldOrNew, 4);
    }
    rig.run();
    assert_eq!(
        rig.acked.0,
        rig.history.len() as u64,
        "all is durable in the end"
    );
}

#[test]
fn what_was_promised_survives_lives_of_kills_and_power_failures() {
    for seed in 0..150 {
        a_life_by_chance(seed, Planted::default());
    }
}

/// What the first test above says about a log with these bugs.
fn complaint(planted: Planted) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| {
        a_life_of_crashes(&tiny_limits(), planted, Crash::OldOrNew, 5)
    }))
    .err()
    .map(|payload| *payload.downcast::<String>().expect("a sentence"))
}

/// Whether that is about the loss of what was promised.
fn is_noticed(planted: Planted) -> bool {
    complaint(planted).is_some_and(|text| {
        [
            "was promised and",
            "known to have been durable",
            "with a bad checkpoint",
        ]
        .iter()
        .any(|part| text.contains(part))
    })
}

#[test]
fn a_log_without_planted_bugs_passes_the_test_that_finds_them() {
    assert_eq!(complaint(Planted::default()), None);
}

#[test]
fn the_crash_test_notices_a_commit_without_sync() {
    assert!(is_noticed(Planted {
        skip_sync: true,
        ..Planted::default()
    }));
}

#[test]
fn the_crash_test_notices_a_name_without_sync_of_the_directory() {
    assert!(is_noticed(Planted {
        skip_dir_sync: true,
        ..Planted::default()
    }));
}

#[test]
fn the_crash_test_notices_a_promise_before_the_sync() {
    assert!(is_noticed(Planted {
        ack_before_sync: true,
        ..Planted::default()
    }));
}

#[test]
fn the_crash_test_notices_an_early_removal_of_a_checkpoint() {
    assert!(is_noticed(Planted {
        remove_checkpoint_early: true,
        ..Planted::default()
    }));
}
