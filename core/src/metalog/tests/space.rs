//! Disks that are full, and disks that fail.

use super::choices::for_all;
use super::disk::Crash;
use super::rig::{Rig, segment_file, tiny_limits};
use crate::disk::{DiskFaultKind, DiskOp, FileName, Lane};
use crate::ids::LogIndex;
use crate::limits::Limits;
use crate::metalog::{LogProgress, SpaceMode};
use crate::planted::Planted;

/// A life with everything in it, the same each time: segments, checkpoints, removals.
fn a_life(rig: &mut Rig, mut after: impl FnMut(&Rig)) {
    for round in 0..7 {
        rig.append(5);
        rig.append(6 + round);
        rig.run_all(&mut after);
        if round % 2 == 1 && rig.begin_checkpoint() {
            rig.build_checkpoint();
            rig.run_all(&mut after);
        }
    }
}

/// How many operations that life has.
fn operations() -> usize {
    let mut rig = Rig::tiny();
    a_life(&mut rig, |_| {});
    assert!(rig.log.checkpointed() == LogIndex(12));
    rig.ops
}

fn fatal(rig: &Rig) -> usize {
    (rig.progress.iter())
        .filter(|progress| matches!(progress, LogProgress::Fatal(_)))
        .count()
}

#[test]
fn any_failed_operation_ends_the_log_for_this_process() {
    for at in 0..operations() {
        let mut rig = Rig::tiny();
        rig.fault = Some((at, DiskFaultKind::Io));
        a_life(&mut rig, |_| {});
        let failed = rig.failed.clone().expect("the fault was met");
        assert_eq!(fatal(&rig), 1, "{failed:?}");
        assert_eq!(rig.ops, at + 1, "nothing is asked for after {failed:?}");
        assert!(!rig.step(Lane::Foreground) && !rig.step(Lane::Background));
        assert!(!rig.log.checkpoint_due() && rig.log.begin_checkpoint().is_none());
        rig.log.space_returned();
        assert!(!rig.step(Lane::Foreground), "nor after {failed:?} later");

        // The next process finds what a power failure would have left, in the worst case.
        for_all(50, at as u64, |choices| {
            assert_eq!(
                rig.check_crash(Crash::OldOrNew, choices),
                None,
                "{failed:?}"
            );
        });
    }
}

#[test]
fn no_space_for_a_write_is_survived_and_for_anything_else_fatal() {
    let (mut survived, mut abandoned) = (0, 0);
    for at in 0..operations() {
        let mut rig = Rig::tiny();
        rig.fault = Some((at, DiskFaultKind::NoSpace));
        a_life(&mut rig, |rig| {
            for_all(20, rig.ops as u64, |choices| {
                assert_eq!(rig.check_crash(Crash::OldOrNew, choices), None);
            });
        });
        let failed = rig.failed.clone().expect("the fault was met");
        let writes = matches!(
            failed,
            DiskOp::CreateNew { .. } | DiskOp::CreateOrEmpty { .. } | DiskOp::Append { .. }
        ) || matches!(failed, DiskOp::Rename { .. });
        assert_eq!(fatal(&rig), usize::from(!writes), "{failed:?}");
        if !writes {
            continue;
        }
        rig.log.space_returned();
        rig.run();
        assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
        assert_eq!(
            rig.acked,
            LogIndex(14),
            "all is written in the end: {failed:?}"
        );
        let files = rig.disk.contents();
        assert_eq!(
            rig.check_recovery(&files).unwrap().end.last_index(),
            rig.acked
        );
        assert!(files.keys().all(|name| !name.as_str().ends_with(".tmp")));
        for progress in &rig.progress {
            match progress {
                LogProgress::NoSpace(_) => survived += 1,
                LogProgress::CheckpointAbandoned(_) => abandoned += 1,
                _ => {}
            }
        }
    }
    assert!(survived > 10, "{survived} commits met a full disk");
    assert!(abandoned > 5, "{abandoned} checkpoints met a full disk");
}

/// A log on a disk with room for `free` more bytes beside a reserve of `reserve`.
fn nearly_full(free: usize, reserve: usize) -> Rig {
    let limits = Limits {
        group_commit_records: 1,
        segment_bytes: 1 << 20,
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    let file = FileName::fixed("reserve.bin");
    let bytes = vec![0; reserve];
    rig.disk
        .carry_out(&DiskOp::CreateNew { file: file.clone() })
        .unwrap();
    let append = DiskOp::Append {
        file: file.clone(),
        offset: 0,
        bytes,
    };
    rig.disk.carry_out(&append).unwrap();
    rig.disk.carry_out(&DiskOp::Sync { file }).unwrap();
    rig.disk.carry_out(&DiskOp::SyncDir).unwrap();
    rig.append(8);
    rig.run();
    let used: usize = rig.disk.contents().values().map(Vec::len).sum();
    rig.disk.capacity = Some(used + free);
    rig
}

#[test]
fn a_full_disk_gives_up_the_reserve_and_writes_what_was_kept() {
    let mut rig = nearly_full(20, 200);
    rig.append(8);
    rig.run();
    assert_eq!(rig.acked, LogIndex(2), "the reserve makes room");
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly, "and is the last");
    let files = rig.disk.contents();
    assert!(!files.contains_key(&FileName::fixed("reserve.bin")));
    let cut = DiskOp::Truncate {
        file: segment_file(1),
        len: 64 + 48,
    };
    let at = rig.trace.iter().position(|op| *op == cut).unwrap();
    let sync = DiskOp::Sync {
        file: segment_file(1),
    };
    assert_eq!(rig.trace[at + 1], sync, "the cut is durable first");
    assert!(rig.log.checkpoint_due(), "a checkpoint would free the log");

    rig.log.space_returned();
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
}

#[test]
fn a_full_disk_keeps_the_records_until_there_is_space() {
    let mut rig = nearly_full(20, 10);
    rig.append(8);
    rig.append(8);
    rig.run();
    assert_eq!(rig.acked, LogIndex(1));
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly);
    let faults = |rig: &Rig| {
        (rig.progress.iter())
            .filter(|progress| matches!(progress, LogProgress::NoSpace(_)))
            .count()
    };
    assert_eq!(
        faults(&rig),
        2,
        "once before and once after the reserve went"
    );
    let len = rig.disk.contents()[&segment_file(1)].len();
    assert_eq!(len, 64 + 48, "nothing half-written stays");

    rig.log.space_returned();
    rig.run();
    assert_eq!(faults(&rig), 3, "it was no use");
    assert_eq!(rig.log.space_mode(), SpaceMode::ReadOnly);
    assert_eq!(rig.append(8), LogIndex(4), "records may still be appended");
    assert!(!rig.step(Lane::Foreground), "and wait");

    rig.disk.capacity = None;
    rig.log.space_returned();
    assert_eq!(
        rig.log.space_mode(),
        SpaceMode::ReadOnly,
        "not before it is proved"
    );
    rig.run();
    assert_eq!(rig.acked, LogIndex(4));
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    let files = rig.disk.contents();
    assert_eq!(rig.check_recovery(&files).unwrap().records.len(), 4);
}

#[test]
fn space_that_returns_while_the_remains_are_removed_is_not_forgotten() {
    let mut rig = nearly_full(20, 10);
    rig.append(8);
    while rig.log.space_mode() == SpaceMode::Writable {
        rig.step(Lane::Foreground);
    }
    rig.disk.capacity = None;
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.acked, LogIndex(2));
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
}

#[test]
fn a_checkpoint_that_did_not_fit_is_due_when_there_is_space() {
    let mut rig = Rig::tiny();
    for _ in 0..4 {
        rig.append(8);
        rig.run();
    }
    rig.disk.capacity = Some(0);
    assert!(rig.begin_checkpoint() && rig.build_checkpoint());
    rig.run();
    assert!(matches!(
        rig.progress.last(),
        Some(LogProgress::CheckpointAbandoned(_))
    ));
    assert!(!rig.log.checkpoint_due(), "not before");
    rig.disk.capacity = None;
    rig.log.space_returned();
    assert!(rig.log.checkpoint_due());
    assert!(rig.begin_checkpoint() && rig.build_checkpoint());
    rig.run();
    assert_eq!(rig.log.checkpointed(), LogIndex(4));
}

#[test]
fn a_checkpoint_frees_a_full_disk() {
    let limits = Limits {
        group_commit_records: 1,
        segment_bytes: 100,
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    for _ in 0..2 {
        for _ in 0..6 {
            rig.append(8);
            rig.run();
        }
        assert!(rig.begin_checkpoint() && rig.build_checkpoint());
        rig.run();
    }
    rig.append(8);
    rig.run();
    let used: usize = rig.disk.contents().values().map(Vec::len).sum();
    rig.disk.capacity = Some(used + 300);
    while rig.log.space_mode() == SpaceMode::Writable {
        rig.append(8);
        rig.run();
    }
    assert!(rig.log.checkpoint_due());
    rig.disk.capacity = Some(used + 300 + 250);
    assert!(rig.begin_checkpoint() && rig.build_checkpoint());
    rig.run();
    rig.log.space_returned();
    rig.run();
    assert_eq!(rig.log.space_mode(), SpaceMode::Writable);
    assert_eq!(rig.acked, rig.log.appended());
}
