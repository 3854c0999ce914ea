//! Homes as operators meet them.

use super::rig::{LINEAGE, Rig, State, checkpoint_file, expected, segment_file, tiny_limits};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ControllerEpoch, DiskTicket, LineageId, LogIndex};
use crate::limits::Limits;
use crate::metalog::fuzz::{Files, apply};
use crate::metalog::{CheckpointFault, MetaLog, Tail, recover, replay};
use crate::planted::Planted;

/// A log of twelve records in segments of two, with checkpoints at 4 and 8.
pub(super) fn home() -> (Rig, Files) {
    let limits = Limits {
        segment_bytes: 130,
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    for number in 1..=12 {
        rig.append(8);
        rig.run();
        if number % 4 == 0 && number < 12 {
            assert!(rig.begin_checkpoint() && rig.build_checkpoint());
            rig.run();
        }
    }
    let files = rig.disk.contents();
    let names: Vec<&str> = files.keys().map(FileName::as_str).collect();
    assert_eq!(
        names,
        [
            "seg-00000000000000000005.log",
            "seg-00000000000000000007.log",
            "seg-00000000000000000009.log",
            "seg-00000000000000000011.log",
            "snap-00000000000000000004.snap",
            "snap-00000000000000000008.snap",
        ]
    );
    (rig, files)
}

#[test]
fn a_log_in_order_is_read_from_its_newest_checkpoint_on() {
    let (rig, files) = home();
    let recovered = recover(&files, &expected(rig.acked)).unwrap();
    assert_eq!(recovered.tail, Tail::Clean);
    assert_eq!(recovered.checkpoint.unwrap().0, LogIndex(8));
    assert_eq!(recovered.records.len(), 4);
    assert_eq!(recovered.records[0].index, LogIndex(9));
    assert_eq!(recovered.records[0].kind, 7);
    assert_eq!(recovered.lineage, Some(LINEAGE));
    assert_eq!(recovered.end.epoch(), ControllerEpoch(1));
    assert!(recovered.repairs().is_empty());
}

#[test]
fn the_state_from_any_checkpoint_is_the_state_from_all_records() {
    let (rig, mut files) = home();
    let whole = State::after(&rig.history, rig.acked);
    let state = |files: &Files| {
        let recovered = recover(files, &expected(LogIndex(1))).unwrap();
        State::replayed(
            &rig.history,
            recovered.checkpoint,
            &recovered.records,
            rig.acked,
        )
    };
    assert_eq!(state(&files), whole);
    files.remove(&checkpoint_file(LogIndex(8)));
    assert_eq!(state(&files), whole);
}

#[test]
fn files_of_others_are_ignored() {
    let (_, mut files) = home();
    for name in ["users.db", "seg-1.log", "torn-5-64.bin", "reserve.bin"] {
        files.insert(FileName::fixed(name), vec![9; 100]);
    }
    let recovered = recover(&files, &expected(LogIndex(1))).unwrap();
    assert_eq!(recovered.end.last_index(), LogIndex(12));
    assert!(recovered.repairs().is_empty());
}

#[test]
fn an_unfinished_checkpoint_is_removed() {
    let (_, mut files) = home();
    let leftover = FileName::fixed("snap-00000000000000000012.snap.tmp");
    files.insert(leftover.clone(), vec![1; 10]);
    let recovered = recover(&files, &expected(LogIndex(1))).unwrap();
    let repairs = [DiskOp::Remove { file: leftover }, DiskOp::SyncDir];
    assert_eq!(recovered.repairs(), repairs);
}

#[test]
fn segments_that_no_checkpoint_needs_may_be_missing_or_damaged() {
    let (_, mut files) = home();
    // A crash in the middle of their removal may leave any of them.
    files.insert(segment_file(1), vec![0; 70]);
    files.get_mut(&segment_file(5)).unwrap()[70] ^= 1;
    files.remove(&segment_file(7));
    let recovered = recover(&files, &expected(LogIndex(1))).unwrap();
    assert_eq!(recovered.end.last_index(), LogIndex(12));
}

#[test]
fn a_bad_checkpoint_is_replaced_by_the_older_one_and_a_longer_log() {
    let (rig, mut files) = home();
    files.get_mut(&checkpoint_file(LogIndex(8))).unwrap()[65] ^= 4;
    let recovered = recover(&files, &expected(rig.acked)).unwrap();
    assert_eq!(recovered.checkpoint.unwrap().0, LogIndex(4));
    assert_eq!(recovered.records.len(), 8);
    assert_eq!(
        recovered.damaged_checkpoints,
        [(
            checkpoint_file(LogIndex(8)),
            CheckpointFault::DamagedBlock { offset: 64 }
        )]
    );
    assert!(recovered.repairs().is_empty(), "nothing is thrown away");
}

#[test]
fn a_bad_older_checkpoint_is_reported_while_the_newest_is_good() {
    let (rig, mut files) = home();
    files.get_mut(&checkpoint_file(LogIndex(4))).unwrap()[65] ^= 4;
    let recovered = recover(&files, &expected(rig.acked)).unwrap();
    assert_eq!(recovered.checkpoint.unwrap().0, LogIndex(8));
    assert_eq!(
        recovered.damaged_checkpoints[0].0,
        checkpoint_file(LogIndex(4))
    );
}

#[test]
fn a_segment_that_a_checkpoint_ends_with_is_not_written_to_again() {
    for damaged in [false, true] {
        let (mut rig, mut files) = home();
        for first in [9, 11] {
            files.remove(&segment_file(first));
        }
        if damaged {
            files.get_mut(&checkpoint_file(LogIndex(8))).unwrap()[65] ^= 4;
        }
        rig.acked = LogIndex(8);
        rig.limits.segment_bytes = 10_000;
        rig.restart(super::disk::ModelDisk::of(&files));
        rig.append(8);
        rig.run();
        let contents = rig.disk.contents();
        assert_eq!(contents[&segment_file(7)], files[&segment_file(7)]);
        assert!(contents.contains_key(&segment_file(9)));
    }
}

#[test]
fn the_only_checkpoint_being_bad_the_whole_log_is_replayed() {
    let mut rig = Rig::tiny();
    for _ in 0..5 {
        rig.append(8);
        rig.run();
    }
    assert!(rig.begin_checkpoint() && rig.build_checkpoint());
    rig.append(8);
    rig.run();
    let mut files = rig.disk.contents();
    files
        .get_mut(&checkpoint_file(LogIndex(5)))
        .unwrap()
        .truncate(80);
    let recovered = rig.check_recovery(&files).unwrap();
    assert!(recovered.checkpoint.is_none());
    assert_eq!(recovered.records.len(), 6);
}

#[test]
fn a_checkpoint_made_after_a_bad_one_replaces_it() {
    let (mut rig, mut files) = home();
    files.get_mut(&checkpoint_file(LogIndex(8))).unwrap()[65] ^= 4;
    rig.restart(super::disk::ModelDisk::of(&files));
    rig.run();
    assert!(
        rig.log.checkpoint_due(),
        "eight records are behind the good one"
    );
    for number in [12, 13] {
        assert!(rig.begin_checkpoint() && rig.build_checkpoint());
        rig.run();
        let files = rig.disk.contents();
        let bad_one_stays = files.contains_key(&checkpoint_file(LogIndex(8)));
        assert_eq!(bad_one_stays, number == 12, "it goes with its age");
        rig.check_recovery(&files).unwrap();
        rig.append(8);
        rig.run();
    }
}

#[test]
fn what_was_read_counts_as_durable_only_after_it_was_synced_again() {
    let mut rig = Rig::tiny();
    rig.append(8);
    rig.run();
    rig.append(8);
    // Written by a process that is killed before the sync: the next one reads it from a cache.
    assert!(rig.step(crate::disk::Lane::Foreground));
    let disk = rig.disk.clone();
    rig.restart(disk);
    assert_eq!(rig.log.appended(), LogIndex(2));
    assert!(rig.log.synced() < LogIndex(2));
    assert_eq!(rig.append(8), LogIndex(3));
    rig.run();
    assert_eq!(rig.acked, LogIndex(3));
    let order = [
        DiskOp::Sync {
            file: segment_file(1),
        },
        DiskOp::SyncDir,
    ];
    assert_eq!(rig.trace[..2], order, "before anything else");
}

#[test]
fn another_lineage_begins_with_a_segment_of_its_own() {
    let (rig, mut files) = home();
    let lineage = LineageId::new([0xcc; 16]);
    for (round, epoch) in [(1, ControllerEpoch(2)), (2, ControllerEpoch(3))] {
        let recovered = recover(&files, &expected(rig.acked)).unwrap();
        let mut log = MetaLog::resume(recovered.end, lineage, &tiny_limits(), Planted::default());
        let index = log.append(epoch, 1, b"a new start");
        while let Some(batch) = log.poll_batch(|| DiskTicket(1)) {
            apply(&mut files, &batch.ops);
            log.disk_done(batch.ticket, Ok(()));
        }
        assert_eq!(index, LogIndex(12 + round));
        let recovered = recover(&files, &expected(rig.acked)).unwrap();
        assert_eq!(recovered.end.last_index(), index);
        assert_eq!(recovered.lineage, Some(lineage));
    }
    assert!(files.contains_key(&segment_file(13)));
    assert!(!files.contains_key(&segment_file(14)), "only once");
}

#[test]
fn another_lineage_replaces_an_empty_segment() {
    let (rig, mut files) = home();
    let last = files.get_mut(&segment_file(11)).unwrap();
    last.truncate(64);
    let lineage = LineageId::new([0xcc; 16]);
    let recovered = recover(&files, &expected(rig.acked)).unwrap();
    let mut log = MetaLog::resume(recovered.end, lineage, &tiny_limits(), Planted::default());
    let index = log.append(ControllerEpoch(2), 1, b"a new start");
    assert_eq!(index, LogIndex(11));
    while let Some(batch) = log.poll_batch(|| DiskTicket(1)) {
        apply(&mut files, &batch.ops);
        log.disk_done(batch.ticket, Ok(()));
    }
    let recovered = recover(&files, &expected(LogIndex(1))).unwrap();
    assert_eq!(recovered.end.last_index(), index);
    assert_eq!(recovered.lineage, Some(lineage));
}

#[test]
fn a_replay_for_a_checkpoint_notices_what_was_changed_since() {
    let (mut rig, files) = home();
    let plan = rig.log.begin_checkpoint().unwrap();
    assert_eq!(plan.base, Some(checkpoint_file(LogIndex(8))));
    assert_eq!(plan.segments, [segment_file(9), segment_file(11)]);
    assert_eq!(plan.upto, LogIndex(12));
    let replayed = replay(&plan, &files).unwrap();
    assert_eq!(
        State::replayed(
            &rig.history,
            replayed.checkpoint,
            &replayed.records,
            LogIndex(12)
        ),
        State::after(&rig.history, LogIndex(12))
    );
    for name in plan.segments.iter().chain(&plan.base) {
        let mut files = files.clone();
        let bytes = files.get_mut(name).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(replay(&plan, &files).is_err(), "{name} was changed");
        files.remove(name);
        assert!(replay(&plan, &files).is_err(), "{name} is gone");
    }
    let mut files = files;
    files.get_mut(&segment_file(11)).unwrap().truncate(64);
    assert!(replay(&plan, &files).is_err(), "the last records are gone");
}
