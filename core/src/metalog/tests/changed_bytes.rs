//! Disks that change what was written: which changes are refused, and which only cut a tail off.

use super::rig::{CLUSTER, LINEAGE, Rig, checkpoint_file, expected, segment_file, tiny_limits};
use crate::disk::{DiskOp, FileName};
use crate::ids::LogIndex;
use crate::limits::Limits;
use crate::metalog::fuzz::Files;
use crate::metalog::record::HEAD_LEN;
use crate::metalog::segment::{HEADER_LEN, SegmentHeader};
use crate::metalog::{Evidence, Expected, Recovered, RecoveryRefusal, Tail, recover};
use crate::planted::Planted;

/// A log all of which was promised, and where its last segment and records are.
struct Promised {
    rig: Rig,
    files: Files,
    last_file: FileName,
    /// Where the records of the last segment begin, and where the last one ends.
    starts: Vec<usize>,
}

impl Promised {
    /// A log whose batches have these numbers of records of `len` bytes, all in one segment behind
    /// two checkpoints and some records.
    fn new(batches: &[usize], len: usize) -> Self {
        let limits = Limits {
            segment_bytes: 100_000,
            ..tiny_limits()
        };
        let mut rig = Rig::new(limits, Planted::default());
        for _ in 0..2 {
            rig.append(10);
            rig.append(20);
            rig.run();
            assert!(rig.begin_checkpoint() && rig.build_checkpoint());
            rig.run();
        }
        let before = rig.acked;
        let mut starts = vec![HEADER_LEN];
        for records in batches {
            for _ in 0..*records {
                rig.append(len);
                let next = starts[starts.len() - 1] + (HEAD_LEN + len).next_multiple_of(8);
                starts.push(next);
            }
            rig.run();
        }
        let files = rig.disk.contents();
        let last_file = segment_file(before.0 + 1);
        assert_eq!(files[&last_file].len(), starts[starts.len() - 1]);
        assert_eq!(rig.acked.0, rig.history.len() as u64);
        Self {
            rig,
            files,
            last_file,
            starts,
        }
    }

    /// Recovers the log with its last segment changed, with no help from outside the disk.
    fn recover_with(
        &self,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> (Files, Result<(LogIndex, Tail), RecoveryRefusal>) {
        let mut files = self.files.clone();
        change(files.get_mut(&self.last_file).unwrap());
        let outcome = recover(&files, &expected(LogIndex(1))).map(|recovered| {
            self.assert_prefix(&recovered);
            (recovered.end.last_index(), recovered.tail)
        });
        (files, outcome)
    }

    fn assert_prefix(&self, recovered: &Recovered<'_>) {
        let last = recovered.end.last_index();
        let state = super::rig::State::replayed(
            &self.rig.history,
            recovered.checkpoint,
            &recovered.records,
            last,
        );
        assert_eq!(state, super::rig::State::after(&self.rig.history, last));
    }

    fn last(&self) -> LogIndex {
        self.rig.acked
    }
}

#[test]
fn a_changed_bit_is_refused_or_costs_at_most_the_very_last_record() {
    let log = Promised::new(&[1, 3, 2, 3], 11);
    let last_record = log.starts[log.starts.len() - 2];
    let knowing = Expected {
        cluster: CLUSTER,
        durable: Some(log.last()),
    };
    for (name, bytes) in &log.files {
        for bit in 0..bytes.len() * 8 {
            let mut files = log.files.clone();
            files.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let in_last_record = *name == log.last_file && bit / 8 >= last_record;
            match recover(&files, &expected(LogIndex(1))) {
                Ok(recovered) => {
                    log.assert_prefix(&recovered);
                    let lost = log.last().0 - recovered.end.last_index().0;
                    assert_eq!(lost, u64::from(in_last_record), "bit {bit} of {name}");
                }
                Err(_) => assert!(!in_last_record, "bit {bit} of {name}"),
            }
            if in_last_record {
                let refusal = recover(&files, &knowing).unwrap_err();
                assert!(
                    matches!(
                        refusal,
                        RecoveryRefusal::DamagedRecord {
                            evidence: Evidence::KnownDurable { .. },
                            ..
                        }
                    ),
                    "a witness of the last index turns the loss into a refusal: {refusal}"
                );
            }
        }
    }
}

#[test]
fn a_changed_bit_in_the_needed_part_of_the_log_is_always_noticed() {
    let log = Promised::new(&[1, 3, 2, 3], 11);
    let whole = recover(&log.files, &expected(LogIndex(1))).unwrap();
    let base = whole.checkpoint.unwrap().0;
    for name in [log.last_file.clone(), checkpoint_file(base)] {
        for bit in 0..log.files[&name].len() * 8 {
            let mut files = log.files.clone();
            files.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let unnoticed = recover(&files, &expected(LogIndex(1))).is_ok_and(|recovered| {
                recovered.tail == Tail::Clean && recovered.damaged_checkpoints.is_empty()
            });
            assert!(!unnoticed, "bit {bit} of {name}");
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_records_starts_with_the_whole_ones() {
    let log = Promised::new(&[2, 1, 1, 1], 13);
    let count = log.starts.len() - 1;
    for len in log.starts[count - 3]..=log.starts[count] {
        let whole = log.starts[1..].iter().filter(|end| **end <= len).count();
        let (_, outcome) = log.recover_with(|bytes| bytes.truncate(len));
        let (last, tail) = outcome.unwrap();
        assert_eq!(
            last.0,
            log.last().0 - (count - whole) as u64,
            "cut to {len}"
        );
        assert_eq!(
            tail == Tail::Clean,
            log.starts.contains(&len),
            "cut to {len}"
        );
    }
}

#[test]
fn a_log_that_was_cut_is_refused_if_somebody_knows_better() {
    let log = Promised::new(&[2, 1, 1], 13);
    let knowing = Expected {
        cluster: CLUSTER,
        durable: Some(log.last()),
    };
    for len in log.starts[0]..log.starts[log.starts.len() - 1] {
        let mut files = log.files.clone();
        files.get_mut(&log.last_file).unwrap().truncate(len);
        let refusal = recover(&files, &knowing).unwrap_err();
        let at_a_record = log.starts.contains(&len);
        match refusal {
            RecoveryRefusal::EndsEarly { known, at } => {
                assert!(at_a_record && known == log.last() && at.offset == len);
            }
            RecoveryRefusal::DamagedRecord { evidence, .. } => {
                assert!(!at_a_record);
                assert_eq!(evidence, Evidence::KnownDurable { known: log.last() });
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn zeros_behind_the_last_record_are_cut_off() {
    let log = Promised::new(&[3, 2], 13);
    for zeros in [1, 7, 8, 39, 40, 512, 4096, 65_536] {
        let (_, outcome) = log.recover_with(|bytes| bytes.resize(bytes.len() + zeros, 0));
        let (last, tail) = outcome.unwrap();
        assert_eq!(last, log.last());
        assert!(matches!(tail, Tail::Torn { bytes, .. } if bytes == zeros));
    }
}

#[test]
fn more_behind_the_last_record_than_one_batch_is_refused() {
    let log = Promised::new(&[3], 13);
    let (_, outcome) = log.recover_with(|bytes| bytes.resize(bytes.len() + 18 * 1024 * 1024, 0));
    assert!(matches!(
        outcome,
        Err(RecoveryRefusal::DamagedRecord {
            evidence: Evidence::TooLong { .. },
            ..
        })
    ));
}

#[test]
fn stale_and_doubled_sectors_behind_the_end_are_never_read_as_records() {
    let log = Promised::new(&[3, 3, 2, 3], 150);
    let end = log.starts[log.starts.len() - 1];
    for from in (0..end).step_by(8) {
        for len in [96, 512, 2048] {
            let to = end.min(from + len);
            let (_, outcome) = log.recover_with(|bytes| bytes.extend_from_within(from..to));
            let (last, tail) = outcome.unwrap();
            assert_eq!(last, log.last(), "{from}..{to}");
            assert_ne!(tail, Tail::Clean, "{from}..{to}");
        }
    }
}

#[test]
fn a_stale_or_doubled_sector_amid_the_log_is_refused() {
    let log = Promised::new(&[3, 3, 3, 3, 3, 1], 150);
    let end = log.starts[log.starts.len() - 1];
    let last_batch = log.starts[log.starts.len() - 2];
    for at in (0..last_batch / 512 * 512).step_by(512) {
        for from in (0..end - 512).step_by(512).filter(|from| *from != at) {
            let (_, outcome) = log.recover_with(|bytes| bytes.copy_within(from..from + 512, at));
            assert!(outcome.is_err(), "sector at {from} copied to {at}");
        }
        let (_, outcome) = log.recover_with(|bytes| bytes[at..at + 512].fill(0));
        assert!(outcome.is_err(), "sector at {at} blank");
    }
}

#[test]
fn damage_before_the_last_batch_is_proved_by_what_was_written_later() {
    let log = Promised::new(&[1, 1, 1], 13);
    let (_, outcome) = log.recover_with(|bytes| bytes[log.starts[0] + HEAD_LEN] ^= 1);
    let Err(RecoveryRefusal::DamagedRecord { at, evidence }) = outcome else {
        panic!("{outcome:?}");
    };
    let damaged = log.last().0 - 2;
    assert_eq!((at.file, at.offset), (log.last_file.clone(), log.starts[0]));
    assert_eq!(at.last_good, LogIndex(damaged - 1));
    assert_eq!(
        evidence,
        Evidence::SyncedBefore {
            index: LogIndex(damaged + 1),
            offset: log.starts[1],
        }
    );
}

#[test]
fn a_blank_sector_in_the_last_batch_is_a_torn_tail() {
    let log = Promised::new(&[1, 3], 600);
    let first = log.starts[1];
    let blank = first.next_multiple_of(512);
    let (_, outcome) = log.recover_with(|bytes| bytes[blank..blank + 512].fill(0));
    let (last, tail) = outcome.unwrap();
    assert_eq!(last.0, log.last().0 - 3, "the batch was never promised");
    assert!(matches!(tail, Tail::Torn { offset, .. } if offset == first));
}

#[test]
fn a_changed_byte_in_a_last_batch_that_was_written_to_its_end_is_refused() {
    let log = Promised::new(&[1, 3], 600);
    for record in 1..3 {
        let at = log.starts[record] + HEAD_LEN + 100;
        let (_, outcome) = log.recover_with(|bytes| bytes[at] ^= 0x10);
        let Err(RecoveryRefusal::DamagedRecord { evidence, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(matches!(evidence, Evidence::BatchWritten { offset, .. }
            if offset == log.starts[record + 1]));
    }
}

#[test]
fn records_of_another_segment_prove_nothing_about_a_tail() {
    let log = Promised::new(&[2], 13);
    let other = SegmentHeader {
        cluster: CLUSTER,
        lineage: LINEAGE,
        first_index: log.last(),
        previous_crc: 1,
    };
    let mut foreign = Vec::new();
    let later = LogIndex(log.last().0 + 5);
    let epoch = crate::ids::ControllerEpoch(9);
    crate::metalog::record::push(&mut foreign, later, epoch, 1, b"misdirected");
    crate::metalog::record::seal(&mut foreign, LogIndex(later.0 - 1), other.encode().1, 5);
    let (_, outcome) = log.recover_with(|bytes| {
        bytes.extend_from_slice(&[0xee; 16]);
        bytes.extend_from_slice(&foreign);
    });
    assert_eq!(outcome.unwrap().0, log.last());
}

#[test]
fn the_torn_tail_is_kept_before_it_is_cut_off() {
    let log = Promised::new(&[2], 13);
    let end = log.starts[2];
    let (files, outcome) = log.recover_with(|bytes| bytes.extend_from_slice(b"torn"));
    let kept_as = FileName::new(&format!("torn-{}-{end}.bin", log.last().0 + 1)).unwrap();
    assert_eq!(
        outcome.unwrap().1,
        Tail::Torn {
            file: log.last_file.clone(),
            offset: end,
            bytes: 4,
            kept_as: kept_as.clone(),
        }
    );
    let recovered = recover(&files, &expected(LogIndex(1))).unwrap();
    let expected_ops = [
        DiskOp::CreateOrEmpty {
            file: kept_as.clone(),
        },
        DiskOp::Append {
            file: kept_as.clone(),
            offset: 0,
            bytes: b"torn".to_vec(),
        },
        DiskOp::Sync { file: kept_as },
        DiskOp::SyncDir,
        DiskOp::Truncate {
            file: log.last_file.clone(),
            len: end as u64,
        },
        DiskOp::Sync {
            file: log.last_file.clone(),
        },
    ];
    assert_eq!(recovered.repairs(), expected_ops);
}

#[test]
fn a_header_without_a_record_is_an_interrupted_creation_and_one_with_records_is_damage() {
    let log = Promised::new(&[1], 13);
    for len in 0..HEADER_LEN {
        let (_, outcome) = log.recover_with(|bytes| bytes.truncate(len));
        let (last, tail) = outcome.unwrap();
        assert_eq!(last.0, log.last().0 - 1);
        assert!(matches!(tail, Tail::Unfinished { .. }), "{len} bytes");
    }
    let (_, outcome) = log.recover_with(|bytes| {
        bytes.truncate(HEADER_LEN);
        bytes[20] ^= 1;
    });
    assert!(matches!(outcome.unwrap().1, Tail::Unfinished { .. }));
    let (_, outcome) = log.recover_with(|bytes| {
        bytes.truncate(HEADER_LEN + 1);
        bytes[20] ^= 1;
    });
    assert!(matches!(
        outcome,
        Err(RecoveryRefusal::DamagedHeader { .. })
    ));
}
