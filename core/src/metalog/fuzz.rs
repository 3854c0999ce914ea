//! Bodies for fuzzers: recovery and the reader of checkpoints meet files that nobody wrote.

mod checkpoint;

use std::collections::BTreeMap;

pub use self::checkpoint::fuzz_checkpoint;
use super::recovery::{Expected, Recovered, recover};
use super::repair::plan_repair;
use super::replay::replay;
use super::writer::MetaLog;
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, ControllerEpoch, DiskTicket, LineageId, LogIndex};
use crate::limits::Limits;
use crate::planted::Planted;

/// Files of a home in memory, in which everything is durable at once.
pub(crate) type Files = BTreeMap<FileName, Vec<u8>>;

/// The cluster of the good log.
pub(crate) const CLUSTER: ClusterId = ClusterId::new([0xc1; 16]);
const LINEAGE: LineageId = LineageId::new([0x11; 16]);
/// How many records the good log has.
pub(crate) const RECORDS: u64 = 24;

/// Reads `data` as a home, or as a list of changes to a good one, and recovers it.
///
/// # Panics
/// If recovery of a changed log yields a record that was not written, if the repairs do not lead
/// to a clean log with the same records, or if the log cannot be continued; if a log that is cut by
/// order does not end where it should, or a byte of it is lost.
pub fn fuzz_recovery(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    let invented = mode & 1 == 0;
    let mut files = if invented {
        invent(rest)
    } else {
        damaged_home(rest).0
    };
    let expected = Expected {
        cluster: CLUSTER,
        durable: (mode & 2 == 0).then_some(LogIndex(u64::from(mode >> 4))),
    };
    cut_by_order(&files, LogIndex(u64::from(mode >> 3)), invented);
    let Ok(recovered) = recover(&files, &expected) else {
        return;
    };
    if !invented {
        assert_prefix(&recovered);
    }
    let mut repaired = files.clone();
    apply(&mut repaired, recovered.repairs());
    let again = recover(&repaired, &expected).expect("what was repaired can be recovered");
    assert!(again.repairs().is_empty(), "repairs are made once");
    assert!(
        again.records == recovered.records && again.checkpoint == recovered.checkpoint,
        "repairs change no record"
    );
    assert_eq!(
        again.end.repaired(),
        recovered.end.repaired(),
        "repairs change no place"
    );

    let mut log = MetaLog::resume(recovered.end, LINEAGE, &limits(), Planted::default());
    let next = log.append(ControllerEpoch(u64::MAX), 7, b"goes on");
    run(&mut log, &mut files);
    let third = recover(&files, &expected).expect("a continued log can be recovered");
    assert_eq!(third.end.last_index(), next, "the log goes on");
}

/// Cuts the log behind a record, as an operator has it done who gives up what is behind.
fn cut_by_order(files: &Files, upto: LogIndex, invented: bool) {
    let lineage = LineageId::new([0x22; 16]);
    let Ok(repair) = plan_repair(files, CLUSTER, upto, lineage) else {
        return;
    };
    let mut cut = files.clone();
    apply(&mut cut, &repair.ops);
    let expected = Expected {
        cluster: CLUSTER,
        durable: Some(upto),
    };
    let recovered = recover(&cut, &expected).expect("a log that was cut can be recovered");
    assert_eq!(recovered.end.last_index(), upto, "it ends where it should");
    if !invented {
        assert_prefix(&recovered);
    }
    for given_up in &repair.given_up {
        let was = &files[&given_up.file][given_up.from..];
        let kept = cut.get(&given_up.kept_as).map(Vec::as_slice);
        assert_eq!(kept, Some(was), "what is given up is kept");
    }
}

/// The good log with changes, and as it was: 6 bytes make a change.
pub(crate) fn damaged_home(changes: &[u8]) -> (Files, Files) {
    let written = good_home();
    let mut files = written.clone();
    (changes.chunks(6)).for_each(|change| damage(&mut files, change));
    (files, written)
}

fn limits() -> Limits {
    Limits {
        group_commit_records: 3,
        segment_bytes: 300,
        checkpoint_records: u64::MAX,
        reserve_bytes: 0,
        ..Limits::default()
    }
}

/// The payload of record `index` in the good log.
fn payload(index: LogIndex) -> Vec<u8> {
    let len = usize::try_from(index.0 * 37 % 90).expect("less than 90");
    vec![u8::try_from(index.0 % 251).expect("less than 251"); len]
}

/// A log of some segments with two checkpoints.
fn good_home() -> Files {
    let mut files = Files::new();
    let expected = Expected {
        cluster: CLUSTER,
        durable: None,
    };
    let fresh = recover(&files, &expected).expect("an empty home is a new log");
    let mut log = MetaLog::resume(fresh.end, LINEAGE, &limits(), Planted::default());
    for number in 1..=RECORDS {
        log.append(ControllerEpoch(number / 8), 7, &payload(LogIndex(number)));
        if number % 5 != 4 {
            run(&mut log, &mut files);
        }
        if number == 9 || number == 17 {
            let plan = log.begin_checkpoint().expect("no batch is under way");
            let state = replay(&plan, &files).expect("the files are as they were written");
            assert!(
                state.checkpoint.is_some() == (number == 17),
                "one before the other"
            );
            log.checkpoint_built(plan.encode(&plan.upto.0.to_le_bytes()))
                .expect("the file is the plan's");
            run(&mut log, &mut files);
        }
    }
    run(&mut log, &mut files);
    files
}

/// Carries out all that the log wants done.
fn run(log: &mut MetaLog, files: &mut Files) {
    while let Some(batch) = log.poll_batch(|| DiskTicket(1)) {
        apply(files, &batch.ops);
        let _ = log.disk_done(batch.ticket, Ok(()));
        log.check_invariants();
    }
}

/// Carries out operations in memory.
pub(crate) fn apply(files: &mut Files, ops: &[DiskOp]) {
    ops.iter().for_each(|op| op.apply_in_memory(files));
}

/// Files of which not a byte was written by a log: each begins with a length.
fn invent(mut data: &[u8]) -> Files {
    let names = [
        "seg-00000000000000000001.log",
        "snap-00000000000000000004.snap",
        "seg-00000000000000000005.log",
        "snap-00000000000000000009.snap.tmp",
    ];
    let mut files = Files::new();
    for name in names {
        let Some((len, rest)) = data.split_first() else {
            break;
        };
        let (contents, rest) = rest.split_at(rest.len().min(usize::from(*len) * 4));
        files.insert(FileName::fixed(name), contents.to_vec());
        data = rest;
    }
    files
}

/// Applies one change: what, to which file, where (twice), how long, with what.
pub(crate) fn damage(files: &mut Files, change: &[u8]) {
    let &[what, which, high, low, len, value] = change else {
        return;
    };
    let Some(name) = files.keys().nth(usize::from(which) % files.len().max(1)) else {
        return;
    };
    let name = name.clone();
    let contents = files.entry(name.clone()).or_default();
    let at = usize::from(u16::from_be_bytes([high, low])) % (contents.len() + 1);
    let end = (at + usize::from(len)).min(contents.len());
    match what % 7 {
        0 => contents[at..end].iter_mut().for_each(|byte| *byte ^= value),
        1 => contents[at..end].fill(0),
        2 => contents.truncate(at),
        3 => contents.extend(core::iter::repeat_n(value, usize::from(len))),
        4 => contents.extend_from_within(at..end),
        5 => contents.copy_within(at..end, usize::from(value).min(at)),
        _ => {
            files.remove(&name);
        }
    }
}

/// Panics unless every record is the one that was written under its index.
fn assert_prefix(recovered: &Recovered<'_>) {
    let base = recovered.checkpoint.map_or(LogIndex(0), |(index, state)| {
        assert_eq!(
            state,
            index.0.to_le_bytes(),
            "the checkpoint is the one written"
        );
        index
    });
    for (position, record) in recovered.records.iter().enumerate() {
        let index = LogIndex(base.0 + position as u64 + 1);
        assert_eq!(record.index, index, "indexes are contiguous");
        assert_eq!(
            record.payload,
            payload(index),
            "record {index} is the one written"
        );
    }
    assert!(
        recovered.end.last_index() <= LogIndex(RECORDS),
        "no record is invented"
    );
}
