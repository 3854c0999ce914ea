//! Homes that are not opened, and what an operator is told.

use super::recovery::home;
use super::rig::{CLUSTER, LINEAGE, Rig, checkpoint_file, expected, segment_file, tiny_limits};
use crate::ids::{ClusterId, ControllerEpoch, LogIndex};
use crate::limits::Limits;
use crate::metalog::fuzz::Files;
use crate::metalog::segment::SegmentHeader;
use crate::metalog::{Evidence, Expected, RecoveryRefusal, record, recover};
use crate::planted::Planted;

fn refusal(files: &Files) -> RecoveryRefusal {
    recover(files, &expected(LogIndex(1))).expect_err("this log is not in order")
}

#[test]
fn an_unfinished_segment_that_does_not_continue_the_log_is_refused() {
    let (_, mut files) = home();
    files.insert(segment_file(14), vec![0; 10]);
    let RecoveryRefusal::MissingSegment { at, missing } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!((at.file, missing), (segment_file(14), LogIndex(13)));

    let files = Files::from([(segment_file(14), Vec::new())]);
    assert!(matches!(
        recover(&files, &expected(LogIndex(0))),
        Err(RecoveryRefusal::MissingSegment {
            missing: LogIndex(1),
            ..
        })
    ));
    let files = Files::from([(segment_file(1), Vec::new())]);
    assert!(
        recover(&files, &expected(LogIndex(0))).is_ok(),
        "a first start that was cut short"
    );
    assert_eq!(
        refusal(&files),
        RecoveryRefusal::Absent { known: LogIndex(0) }
    );
}

#[test]
fn a_home_without_a_log_is_new_only_to_a_new_cluster() {
    let files = Files::new();
    let fresh = recover(&files, &expected(LogIndex(0))).unwrap();
    assert!(fresh.records.is_empty() && fresh.checkpoint.is_none() && fresh.repairs().is_empty());
    assert_eq!(fresh.end.last_index(), LogIndex(0));
    assert_eq!(
        refusal(&files),
        RecoveryRefusal::Absent { known: LogIndex(0) }
    );
}

#[test]
fn a_missing_segment_is_refused() {
    let (_, mut files) = home();
    files.remove(&segment_file(9));
    let RecoveryRefusal::MissingSegment { at, missing } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!((at.file, missing), (segment_file(11), LogIndex(9)));
    assert_eq!(at.last_good, LogIndex(8));
}

#[test]
fn a_log_without_any_segment_is_refused() {
    let (_, mut files) = home();
    files.retain(|name, _| name.as_str().starts_with("snap"));
    let RecoveryRefusal::MissingSegment { at, missing } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!(
        (at.file, missing),
        (checkpoint_file(LogIndex(8)), LogIndex(8))
    );
}

#[test]
fn a_log_that_ends_before_its_newest_checkpoint_is_refused() {
    let (_, mut files) = home();
    for first in [7, 9, 11] {
        files.remove(&segment_file(first));
    }
    let RecoveryRefusal::EndsEarly { known, .. } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!(known, LogIndex(8));
}

#[test]
fn damage_in_a_segment_with_a_successor_is_refused_even_at_its_end() {
    let (_, files) = home();
    let len = files[&segment_file(9)].len();
    for change in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1),
        |bytes: &mut Vec<u8>| bytes.truncate(70),
        |bytes: &mut Vec<u8>| bytes.push(0),
    ] {
        let mut files = files.clone();
        change(files.get_mut(&segment_file(9)).unwrap());
        let RecoveryRefusal::DamagedRecord { at, evidence } = refusal(&files) else {
            panic!("{}", refusal(&files));
        };
        assert_eq!(evidence, Evidence::LaterSegment);
        assert!(at.file == segment_file(9) && at.offset <= len);
    }
    let mut files = files;
    files.get_mut(&segment_file(9)).unwrap().clear();
    assert!(matches!(
        refusal(&files),
        RecoveryRefusal::DamagedHeader { .. }
    ));
}

#[test]
fn two_bad_checkpoints_are_refused() {
    let (_, mut files) = home();
    files.get_mut(&checkpoint_file(LogIndex(8))).unwrap()[65] ^= 4;
    files.get_mut(&checkpoint_file(LogIndex(4))).unwrap()[3] ^= 1;
    let RecoveryRefusal::NoCheckpoint { at, log_begins, .. } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!(at.file, checkpoint_file(LogIndex(8)));
    assert_eq!(log_begins, LogIndex(5));
    let text = refusal(&files).to_string();
    assert!(
        !text.contains("--truncate-at"),
        "it would leave nothing: {text}"
    );
}

#[test]
fn a_file_of_another_cluster_is_refused() {
    let (_, files) = home();
    let other = Expected {
        cluster: ClusterId::new([9; 16]),
        durable: None,
    };
    for checkpoints in [true, false] {
        let mut files = files.clone();
        files.retain(|name, _| checkpoints || name.as_str().starts_with("seg"));
        files.retain(|name, _| checkpoints || *name > segment_file(10));
        let refusal = if checkpoints {
            recover(&files, &other).unwrap_err()
        } else {
            let renamed = last_as_first(&files);
            recover(&renamed, &other).unwrap_err()
        };
        assert!(
            matches!(refusal, RecoveryRefusal::ForeignFile { found, .. } if found == CLUSTER),
            "{refusal}"
        );
    }
}

/// A home that has the last segment alone, under the name of a first one.
fn last_as_first(files: &Files) -> Files {
    let bytes = files.values().next_back().unwrap().clone();
    Files::from([(segment_file(1), bytes)])
}

#[test]
fn a_renamed_segment_is_refused() {
    let (_, mut files) = home();
    let bytes = files.remove(&segment_file(11)).unwrap();
    files.insert(segment_file(9), bytes);
    assert!(matches!(
        refusal(&files),
        RecoveryRefusal::Misplaced { named, found, .. }
            if (named, found) == (LogIndex(9), LogIndex(11))
    ));
}

#[test]
fn a_file_of_a_later_version_is_refused_and_not_called_damaged() {
    let (_, mut files) = home();
    for name in [segment_file(11), checkpoint_file(LogIndex(8))] {
        let bytes = files.get_mut(&name).unwrap();
        bytes[4] = 9;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        let refusal = refusal(&files);
        assert!(
            matches!(&refusal, RecoveryRefusal::UnknownVersion { at, version: 9 }
                if at.file == name),
            "{refusal}"
        );
    }
}

#[test]
fn a_segment_of_another_history_is_refused() {
    let (_, mut files) = home();
    let mut fork = Rig::new(
        Limits {
            segment_bytes: 130,
            ..tiny_limits()
        },
        Planted::default(),
    );
    for _ in 0..12 {
        fork.append(9);
        fork.run();
    }
    let forked = fork.disk.contents();
    files.insert(segment_file(11), forked[&segment_file(11)].clone());
    let RecoveryRefusal::BrokenChain { at } = refusal(&files) else {
        panic!("{}", refusal(&files));
    };
    assert_eq!((at.file, at.offset), (segment_file(11), 0));
    // The same behind a checkpoint, whose segment would be the first one read.
    files.insert(segment_file(9), forked[&segment_file(9)].clone());
    assert!(
        matches!(refusal(&files), RecoveryRefusal::BrokenChain { at }
        if at.file == segment_file(9))
    );
}

#[test]
fn a_checkpoint_of_another_history_than_the_log_is_refused() {
    let (_, mut files) = home();
    for first in [9, 11] {
        files.remove(&segment_file(first));
    }
    // The log ends with the record that the checkpoint ends with, and it is another one.
    let mut fork = Rig::new(
        Limits {
            segment_bytes: 130,
            ..tiny_limits()
        },
        Planted::default(),
    );
    for _ in 0..8 {
        fork.append(9);
        fork.run();
    }
    files.insert(
        segment_file(7),
        fork.disk.contents()[&segment_file(7)].clone(),
    );
    assert!(
        matches!(refusal(&files), RecoveryRefusal::BrokenChain { at }
        if at.file == segment_file(7) && at.offset > 64)
    );
}

/// A segment of its own making: each record as given, with good checksums.
fn forged(records: &[(u64, u64, u64)]) -> Files {
    let header = SegmentHeader {
        cluster: CLUSTER,
        lineage: LINEAGE,
        first_index: LogIndex(1),
        previous_crc: 0,
    };
    let (bytes, segment_crc) = header.encode();
    let mut bytes = bytes.to_vec();
    let mut chain = segment_crc;
    for (index, epoch, durable) in records {
        let mut one = Vec::new();
        record::push(
            &mut one,
            LogIndex(*index),
            ControllerEpoch(*epoch),
            1,
            b"forged",
        );
        chain = record::seal(&mut one, LogIndex(*durable), segment_crc, chain);
        bytes.extend(one);
    }
    Files::from([(segment_file(1), bytes)])
}

#[test]
fn records_whose_checksums_hold_and_whose_numbers_do_not_are_refused() {
    let good = [(1, 3, 0), (2, 3, 1), (3, 4, 1)];
    assert!(recover(&forged(&good), &expected(LogIndex(1))).is_ok());
    for (what, records) in [
        ("an index is left out", [(1, 3, 0), (3, 3, 1), (4, 4, 1)]),
        ("an index comes twice", [(1, 3, 0), (1, 3, 0), (2, 4, 1)]),
        ("the epoch falls", [(1, 3, 0), (2, 2, 1), (3, 4, 1)]),
        (
            "a record was durable before it was written",
            [(1, 3, 0), (2, 3, 2), (3, 4, 2)],
        ),
        (
            "a record is no longer durable",
            [(1, 3, 0), (2, 3, 1), (3, 4, 0)],
        ),
    ] {
        let refusal = refusal(&forged(&records));
        assert!(
            matches!(
                refusal,
                RecoveryRefusal::DamagedRecord {
                    evidence: Evidence::Contradiction,
                    ..
                }
            ),
            "{what}: {refusal}"
        );
    }
}

#[test]
fn a_record_with_flags_that_mean_nothing_yet_is_refused() {
    let mut files = forged(&[(1, 3, 0), (2, 3, 1)]);
    let bytes = files.get_mut(&segment_file(1)).unwrap();
    bytes[64 + 34] = 2;
    let segment_crc = u32::from_le_bytes(bytes[60..64].try_into().unwrap());
    record::seal(&mut bytes[64..], LogIndex(0), segment_crc, segment_crc);
    assert!(matches!(
        refusal(&files),
        RecoveryRefusal::DamagedRecord {
            evidence: Evidence::Contradiction,
            ..
        }
    ));
}

/// A log whose second record says that the index behind it is that of `payload`, and whose third has the
/// index 9.
fn skipping(payload: &[u8]) -> Files {
    let mut files = Files::new();
    let mut bytes = Vec::new();
    let header = SegmentHeader {
        cluster: CLUSTER,
        lineage: LINEAGE,
        first_index: LogIndex(1),
        previous_crc: 0,
    };
    let (head, segment_crc) = header.encode();
    bytes.extend_from_slice(&head);
    let epoch = ControllerEpoch(3);
    record::push(&mut bytes, LogIndex(1), epoch, 7, b"first");
    let at = bytes.len();
    record::push(&mut bytes, LogIndex(2), epoch, 0, payload);
    bytes[at + 34] = 1;
    record::push(&mut bytes, LogIndex(9), epoch, 7, b"third");
    record::seal(&mut bytes[64..], LogIndex(0), segment_crc, segment_crc);
    files.insert(segment_file(1), bytes);
    files
}

#[test]
fn a_hole_in_the_indexes_is_as_the_record_before_it_says_or_refused() {
    let files = skipping(&9_u64.to_le_bytes());
    let recovered = recover(&files, &expected(LogIndex(0))).expect("it is as it says");
    let indexes: Vec<u64> = recovered.records.iter().map(|it| it.index.0).collect();
    assert_eq!(indexes, [1, 9], "the owner sees its own records");
    for (what, payload) in [
        ("another index", 8_u64.to_le_bytes().to_vec()),
        ("an earlier index", 2_u64.to_le_bytes().to_vec()),
        ("no index", b"short".to_vec()),
        (
            "an index that none may have",
            u64::MAX.to_le_bytes().to_vec(),
        ),
    ] {
        let refusal = refusal(&skipping(&payload));
        assert!(
            matches!(
                refusal,
                RecoveryRefusal::DamagedRecord {
                    evidence: Evidence::Contradiction,
                    ..
                }
            ),
            "{what}: {refusal}"
        );
    }
}

#[test]
fn a_refusal_says_where_what_it_means_and_what_the_choices_are() {
    let (_, mut files) = home();
    files.get_mut(&segment_file(9)).unwrap()[110] ^= 1;
    let text = refusal(&files).to_string();
    for part in [
        "seg-00000000000000000009.log at byte 64",
        "the last good record is 8",
        "a later segment exists",
        "Nothing was changed",
        "mirror",
        "backup",
        "vaquita meta repair --home DIR --truncate-at 8 --i-accept-loss",
        "new lineage",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(refusal(&files).place().unwrap().offset, 64);
}
