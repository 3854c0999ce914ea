//! The space that is set aside for a full disk.

use super::choices::for_all;
use super::disk::Crash;
use super::rig::{Rig, tiny_limits};
use crate::disk::{DiskFaultKind, DiskOp, FileName, Lane};
use crate::ids::LogIndex;
use crate::limits::Limits;
use crate::metalog::{LogProgress, SpaceMode};
use crate::planted::Planted;

/// What the tests set aside: less than a twentieth of [`CAPACITY`].
const RESERVE: usize = 400;
/// The size of their disks.
const CAPACITY: usize = 10_000;

fn rig() -> Rig {
    let limits = Limits {
        group_commit_records: 1,
        reserve_bytes: RESERVE as u64,
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    rig.disk.capacity = Some(CAPACITY);
    rig
}

fn file() -> FileName {
    FileName::fixed("reserve.bin")
}

fn set_aside(rig: &Rig) -> Option<usize> {
    rig.disk.contents().get(&file()).map(Vec::len)
}

fn used(rig: &Rig) -> usize {
    rig.disk.contents().values().map(Vec::len).sum()
}

fn count(rig: &Rig, what: fn(&LogProgress) -> bool) -> usize {
    rig.progress
        .iter()
        .filter(|progress| what(progress))
        .count()
}

fn no_reserve(progress: &LogProgress) -> bool {
    matches!(progress, LogProgress::NoReserve(_))
}

/// Appends until the disk is full, and on to where the reserve is used.
fn fill(rig: &mut Rig) {
    rig.disk.capacity = Some(used(rig) + 20);
    rig.append(8);
    rig.run();
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly);
    assert_eq!(set_aside(rig), None, "the reserve was given up");
    assert_eq!(rig.acked, rig.log.appended(), "and made room");
}

#[test]
fn the_reserve_is_made_at_the_start_and_holds_up_no_record() {
    let mut rig = rig();
    let index = rig.append(8);
    while rig.step(Lane::Foreground) {}
    assert_eq!(rig.acked, index, "nobody waited for it");
    assert_eq!(set_aside(&rig), None);
    assert!(rig.log.lacks_reserve());
    rig.run();
    assert_eq!(set_aside(&rig), Some(RESERVE));
    assert!(!rig.log.lacks_reserve());
    assert_eq!(count(&rig, |p| *p == LogProgress::Reserved), 0, "no news");
    assert!(
        rig.trace
            .iter()
            .all(|op| !matches!(op, DiskOp::Sync { file } if *file == self::file())),
        "and nobody syncs it"
    );
}

#[test]
fn a_twentieth_of_a_small_disk_is_enough() {
    let mut rig = rig();
    rig.disk.capacity = Some(2_000);
    rig.run();
    assert_eq!(set_aside(&rig), Some(100));
}

#[test]
fn no_space_for_a_reserve_is_told_once_and_does_not_matter() {
    let mut rig = rig();
    rig.disk.others = CAPACITY - RESERVE;
    for _ in 0..3 {
        rig.append(8);
        rig.run();
        rig.log.want_reserve();
    }
    assert_eq!(set_aside(&rig), None);
    assert_eq!(count(&rig, no_reserve), 1, "told once");
    assert_eq!(rig.acked, LogIndex(3), "the log goes on");
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    rig.disk.others = 0;
    rig.log.want_reserve();
    rig.run();
    assert_eq!(set_aside(&rig), Some(RESERVE));
    assert_eq!(count(&rig, |p| *p == LogProgress::Reserved), 1);
}

#[test]
fn a_full_disk_takes_work_again_once_there_is_room_for_the_reserve_and_as_much_again() {
    let mut rig = rig();
    rig.append(8);
    rig.run();
    fill(&mut rig);
    for free in [10, RESERVE, 2 * RESERVE - 1] {
        // The disk as a whole is as big as before: somebody else has the rest.
        rig.disk.others = CAPACITY - used(&rig) - free;
        rig.disk.capacity = Some(CAPACITY);
        rig.log.space_returned();
        rig.run();
        assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly, "{free} are free");
        assert_eq!(set_aside(&rig), None);
    }
    rig.disk.others -= 1;
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    assert_eq!(set_aside(&rig), Some(RESERVE), "for the next time");
    assert_eq!(count(&rig, |p| *p == LogProgress::Reserved), 1);
    assert_eq!(count(&rig, no_reserve), 1, "told once");

    rig.disk.others = 0;
    fill(&mut rig);
}

#[test]
fn records_that_were_kept_are_written_before_there_is_room_for_a_reserve() {
    let mut rig = rig();
    rig.append(8);
    rig.run();
    fill(&mut rig);
    while rig.acked == rig.log.appended() {
        rig.append(60);
        rig.run();
    }
    let kept = rig.log.appended();
    rig.disk.others = CAPACITY - used(&rig) - 200;
    rig.disk.capacity = Some(CAPACITY);
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.acked, kept, "what was taken on is written");
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly, "nothing new is");
    rig.disk.others = 0;
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
}

#[test]
fn a_reserve_that_is_made_while_the_disk_becomes_full_goes_again() {
    let mut rig = rig();
    rig.append(8);
    // The batch of the reserve is on its way to the disk when a record finds the disk full.
    while rig.step(Lane::Foreground) {}
    rig.disk.others = CAPACITY - used(&rig) - 20;
    rig.append(8);
    while rig.log.space_mode() == SpaceMode::Writable {
        assert!(rig.step(Lane::Foreground));
    }
    rig.disk.others = 0;
    assert!(rig.step(Lane::Background));
    assert_eq!(set_aside(&rig), Some(RESERVE));
    rig.run();
    assert_eq!(set_aside(&rig), None);
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly);
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    assert_eq!(set_aside(&rig), Some(RESERVE));
}

#[test]
fn a_disk_that_cannot_set_space_aside_is_used_without() {
    for kind in [DiskFaultKind::Io, DiskFaultKind::Denied] {
        let mut rig = rig();
        rig.append(8);
        while rig.step(Lane::Foreground) {}
        rig.fault = Some((rig.ops, kind));
        rig.run();
        assert!(matches!(rig.failed, Some(DiskOp::Reserve { .. })));
        assert_eq!(count(&rig, no_reserve), 1);
        assert_eq!(count(&rig, |p| matches!(p, LogProgress::Fatal(_))), 0);
        rig.fault = None;

        rig.disk.capacity = Some(used(&rig));
        rig.append(8);
        rig.run();
        assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly);
        rig.disk.capacity = Some(CAPACITY);
        rig.log.space_returned();
        rig.run();
        assert_eq!(
            rig.log.space_mode(),
            SpaceMode::Writable,
            "a write shows it"
        );
        assert_eq!(rig.acked, rig.log.appended());
        assert_eq!(set_aside(&rig), None);
    }
}

#[test]
fn a_full_disk_is_freed_by_a_checkpoint_and_every_crash_on_the_way_is_survived() {
    let mut rig = rig();
    let mut crashes = 0;
    let mut check = |rig: &Rig| {
        for_all(10, rig.ops as u64, |choices| {
            crashes += 1;
            assert_eq!(rig.check_crash(Crash::OldOrNew, choices), None);
        });
    };
    for _ in 0..2 {
        for _ in 0..6 {
            rig.append(8);
            rig.run_all(&mut check);
        }
        assert!(rig.begin_checkpoint() && rig.build_checkpoint());
        rig.run_all(&mut check);
    }
    for _ in 0..3 {
        rig.append(8);
        rig.run();
    }
    fill(&mut rig);
    let full = used(&rig);
    assert!(rig.log.checkpoint_due(), "a checkpoint frees the log");
    assert!(rig.begin_checkpoint() && rig.build_checkpoint());
    rig.run_all(&mut check);
    assert!(used(&rig) < full, "old segments went");
    rig.disk.capacity = Some(CAPACITY);
    rig.log.space_returned();
    rig.run_all(&mut check);
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    assert_eq!(set_aside(&rig), Some(RESERVE));
    let index = rig.append(8);
    rig.run_all(&mut check);
    assert_eq!(rig.acked, index);
    assert!(crashes > 100, "{crashes} crashes were tried");
}
