//! What the log asks of the disk, and in which order.

use super::rig::{CLUSTER, LINEAGE, Rig, checkpoint_file, expected, segment_file, tiny_limits};
use crate::disk::{DiskBatch, DiskOp, Lane};
use crate::ids::{ControllerEpoch, DiskTicket, LogIndex};
use crate::limits::Limits;
use crate::metalog::checkpoint::CheckpointFault;
use crate::metalog::fuzz::Files;
use crate::metalog::{CheckpointPlan, LogProgress, MetaLog, recover};
use crate::planted::Planted;

const EPOCH: ControllerEpoch = ControllerEpoch(1);

fn log_with(limits: &Limits) -> MetaLog {
    let files = Files::new();
    let end = recover(&files, &expected(LogIndex(0))).unwrap().end;
    MetaLog::resume(end, LINEAGE, limits, Planted::default())
}

fn poll(log: &mut MetaLog, ticket: u64) -> Option<DiskBatch> {
    log.poll_batch(|| DiskTicket(ticket))
}

/// What is appended in a batch to a segment that is open already.
fn appended(batch: &DiskBatch) -> &[u8] {
    match &batch.ops[batch.ops.len() - 2] {
        DiskOp::Append { bytes, .. } => bytes,
        other => panic!("{other:?} where records are written"),
    }
}

/// Which operations there are, without what they are about.
fn verbs(ops: &[DiskOp]) -> Vec<&'static str> {
    ops.iter()
        .map(|op| match op {
            DiskOp::CreateNew { .. } => "create",
            DiskOp::CreateOrEmpty { .. } => "empty",
            DiskOp::Append { .. } => "append",
            DiskOp::Truncate { .. } => "truncate",
            DiskOp::Sync { .. } => "sync",
            DiskOp::Rename { .. } => "rename",
            DiskOp::Remove { .. } => "remove",
            DiskOp::Reserve { .. } => "reserve",
            DiskOp::SyncDir => "syncdir",
        })
        .collect()
}

#[test]
fn a_lone_record_is_written_at_once() {
    let mut log = log_with(&tiny_limits());
    assert_eq!(log.append(EPOCH, 1, b"one"), LogIndex(1));
    let batch = poll(&mut log, 5).expect("nothing is waited for");
    assert_eq!(batch.lane, Lane::Foreground);
    assert_eq!(
        verbs(&batch.ops),
        ["create", "append", "sync", "syncdir", "append", "sync"],
        "a segment is durable before a record goes in"
    );
    assert_eq!((log.synced(), log.appended()), (LogIndex(0), LogIndex(1)));
    let upto = LogIndex(1);
    assert_eq!(
        log.disk_done(DiskTicket(5), Ok(())),
        Some(LogProgress::Synced { upto })
    );
    assert_eq!(log.synced(), upto);
}

#[test]
fn records_gather_while_a_batch_is_on_the_disk() {
    let mut log = log_with(&tiny_limits());
    log.append(EPOCH, 1, b"first");
    poll(&mut log, 1).unwrap();
    for _ in 0..7 {
        log.append(EPOCH, 1, b"later");
    }
    assert_eq!(poll(&mut log, 2), None, "one batch at a time");
    let mut upto = 1;
    for (ticket, gathered) in [(2, 3), (3, 3), (4, 1)] {
        log.disk_done(DiskTicket(ticket - 1), Ok(())).unwrap();
        assert_eq!(log.synced(), LogIndex(upto));
        let batch = poll(&mut log, ticket).unwrap();
        assert_eq!(appended(&batch).len(), gathered * 48);
        upto += gathered as u64;
    }
    log.disk_done(DiskTicket(4), Ok(())).unwrap();
    assert_eq!(log.synced(), LogIndex(8));
    assert_eq!(poll(&mut log, 5), None);
}

#[test]
fn a_batch_is_bounded_in_bytes_too() {
    let mut log = log_with(&Limits::default());
    for _ in 0..4 {
        log.append(EPOCH, 1, &vec![0; 600 * 1024]);
    }
    let batch = poll(&mut log, 1).unwrap();
    assert_eq!(appended(&batch).len(), 2 * (600 * 1024 + 40));
}

#[test]
fn a_record_says_what_was_durable_when_it_was_written_not_when_it_was_appended() {
    let mut rig = Rig::new(
        Limits {
            segment_bytes: 10_000,
            ..tiny_limits()
        },
        Planted::default(),
    );
    rig.append(1);
    assert!(rig.step(Lane::Foreground), "the first batch is under way");
    rig.append(1);
    rig.append(1);
    rig.run();
    let files = rig.disk.contents();
    let recovered = rig.check_recovery(&files).unwrap();
    let durable: Vec<u64> = (recovered.records.iter())
        .map(|record| record.durable_index.0)
        .collect();
    assert_eq!(durable, [0, 1, 1]);
}

#[test]
fn a_full_segment_is_followed_by_a_durable_new_one() {
    let mut rig = Rig::tiny();
    for _ in 0..4 {
        rig.append(20);
        rig.run();
    }
    let roll = ["create", "append", "sync", "syncdir", "append", "sync"];
    let plain = ["append", "sync"];
    assert_eq!(
        verbs(&rig.trace),
        [&roll[..], &plain, &plain, &roll].concat()
    );
    assert!(rig.disk.contents().contains_key(&segment_file(4)));
}

#[test]
fn completions_of_others_and_repeated_ones_mean_nothing() {
    let mut log = log_with(&tiny_limits());
    log.append(EPOCH, 1, b"one");
    poll(&mut log, 5).unwrap();
    assert!(log.owns(DiskTicket(5)) && !log.owns(DiskTicket(6)));
    assert_eq!(log.disk_done(DiskTicket(6), Ok(())), None);
    assert_eq!(log.synced(), LogIndex(0));
    assert!(log.disk_done(DiskTicket(5), Ok(())).is_some());
    assert_eq!(log.disk_done(DiskTicket(5), Ok(())), None);
}

#[test]
#[should_panic(expected = "a record of controller epoch 1 cannot follow one of 2")]
fn an_epoch_that_falls_is_a_bug() {
    let mut log = log_with(&tiny_limits());
    log.append(ControllerEpoch(2), 1, b"");
    log.append(ControllerEpoch(1), 1, b"");
}

#[test]
fn a_checkpoint_is_due_after_so_many_records() {
    let mut rig = Rig::new(
        Limits {
            segment_bytes: 10_000,
            ..tiny_limits()
        },
        Planted::default(),
    );
    for number in 1..=9 {
        rig.append(1);
        assert!(
            !rig.log.checkpoint_due() || number == 5 || number == 9,
            "record {number}"
        );
        rig.run();
        assert_eq!(rig.log.checkpoint_due(), number % 4 == 0, "record {number}");
        if rig.log.checkpoint_due() {
            assert!(rig.begin_checkpoint() && rig.build_checkpoint());
            assert!(!rig.log.checkpoint_due(), "one at a time");
            assert!(!rig.begin_checkpoint());
            rig.run();
        }
    }
    assert_eq!(rig.log.checkpointed(), LogIndex(8));
}

#[test]
fn a_checkpoint_is_due_after_a_segment_of_long_records() {
    let mut rig = Rig::new(
        Limits {
            checkpoint_records: 1000,
            ..tiny_limits()
        },
        Planted::default(),
    );
    rig.append(100);
    rig.run();
    assert!(!rig.log.checkpoint_due());
    rig.append(100);
    rig.run();
    assert!(rig.log.checkpoint_due());
}

#[test]
fn a_checkpoint_is_not_begun_while_a_batch_is_on_the_disk() {
    let mut rig = Rig::tiny();
    for _ in 0..5 {
        rig.append(1);
    }
    assert!(rig.step(Lane::Foreground));
    assert!(!rig.log.checkpoint_due() && !rig.begin_checkpoint());
    rig.run();
    assert!(rig.log.checkpoint_due() && rig.begin_checkpoint());
    assert!(
        !rig.begin_checkpoint(),
        "nor while another is in the making"
    );
}

#[test]
fn a_checkpoint_seals_the_segment_and_commits_go_on() {
    let mut rig = Rig::tiny();
    rig.append(1);
    rig.run();
    assert!(rig.begin_checkpoint());
    rig.append(1);
    rig.run();
    assert_eq!(rig.acked, LogIndex(2), "no commit waits for the checkpoint");
    assert!(rig.disk.contents().contains_key(&segment_file(2)));
    rig.build_checkpoint();
    assert!(rig.step(Lane::Background), "a slice is under way");
    rig.append(1);
    while rig.acked < LogIndex(3) {
        assert!(rig.step(Lane::Foreground));
    }
    assert_eq!(rig.log.checkpointed(), LogIndex(0));
    rig.run();
    assert_eq!(rig.log.checkpointed(), LogIndex(1));
    let durable = LogProgress::CheckpointDurable { index: LogIndex(1) };
    assert!(rig.progress.contains(&durable));
}

#[test]
fn a_checkpoint_that_fails_is_due_again_in_time() {
    let mut rig = Rig::new(
        Limits {
            segment_bytes: 10_000,
            ..tiny_limits()
        },
        Planted::default(),
    );
    for _ in 0..4 {
        rig.append(1);
        rig.run();
    }
    let plan = rig.log.begin_checkpoint().unwrap();
    rig.log.checkpoint_failed();
    assert!(!rig.log.checkpoint_due(), "not at once");
    for _ in 0..4 {
        rig.append(1);
        rig.run();
    }
    assert!(rig.log.checkpoint_due());
    assert!(rig.begin_checkpoint());
    let other = plan.encode(b"the state of another plan");
    assert_eq!(
        rig.log.checkpoint_built(other),
        Err(CheckpointFault::Misplaced { found: LogIndex(4) })
    );
    assert!(!rig.step(Lane::Background), "nothing of it is written");
}

/// The batches of a checkpoint with a state of `len` bytes, the third one of its log.
fn batches_of_a_checkpoint(len: usize) -> Vec<DiskBatch> {
    let mut rig = Rig::tiny();
    for _ in 0..2 {
        rig.append(1);
        rig.run();
        assert!(rig.begin_checkpoint() && rig.build_checkpoint());
        rig.run();
    }
    rig.append(1);
    rig.run();
    let plan = rig.log.begin_checkpoint().unwrap();
    rig.log
        .checkpoint_built(plan.encode(&vec![3; len]))
        .unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = poll(&mut rig.log, 1_000_000) {
        assert_eq!(batch.lane, Lane::Background);
        assert_eq!(poll(&mut rig.log, 2_000_000), None, "one at a time");
        let _ = rig.log.disk_done(batch.ticket, Ok(()));
        batches.push(batch);
    }
    batches
}

#[test]
fn a_checkpoint_is_written_in_slices_then_named_and_only_then_are_files_removed() {
    let batches = batches_of_a_checkpoint(2_500_000);
    let all: Vec<_> = batches.iter().map(|batch| verbs(&batch.ops)).collect();
    assert_eq!(
        all,
        [
            vec!["empty", "append", "sync"],
            vec!["append", "sync"],
            vec!["append", "sync"],
            vec!["rename", "syncdir"],
            vec!["remove", "remove", "syncdir"],
        ]
    );
    let mut written = 0;
    for op in batches.iter().flat_map(|batch| &batch.ops) {
        if let DiskOp::Append { offset, bytes, .. } = op {
            assert_eq!(*offset, written);
            assert!(bytes.len() <= 1024 * 1024);
            written += bytes.len() as u64;
        }
    }
    assert_eq!(
        batches[4].ops[..2],
        [
            DiskOp::Remove {
                file: checkpoint_file(LogIndex(1))
            },
            DiskOp::Remove {
                file: segment_file(2)
            },
        ],
        "two checkpoints and the log behind the older one stay"
    );
}

#[test]
fn a_checkpoint_of_exactly_one_slice_is_one_write() {
    let overhead = plan().encode(&[]).len() + 4 * 16;
    let batches = batches_of_a_checkpoint(1024 * 1024 - overhead);
    assert_eq!(verbs(&batches[0].ops), ["empty", "append", "sync"]);
    assert_eq!(verbs(&batches[1].ops), ["rename", "syncdir"]);
}

fn plan() -> CheckpointPlan {
    CheckpointPlan {
        base: None,
        segments: Vec::new(),
        upto: LogIndex(1),
        upto_crc: 0,
        cluster: CLUSTER,
        lineage: LINEAGE,
    }
}

#[test]
fn equal_states_make_equal_checkpoints() {
    assert_eq!(plan().encode(b"state"), plan().encode(b"state"));
}
