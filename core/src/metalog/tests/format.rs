//! The bytes, held against the tables in the modules that write them.

use sha2::{Digest, Sha256};

use super::rig::{CLUSTER, LINEAGE};
use crate::disk::FileName;
use crate::ids::{ClusterId, ControllerEpoch, LogIndex};
use crate::metalog::checkpoint::{CheckpointFault, CheckpointHeader};
use crate::metalog::files::{self, LogFile, classify};
use crate::metalog::record;
use crate::metalog::segment::{HeaderFault, SegmentHeader};
use crate::metalog::{PAYLOAD_MAX, belongs_to_log};

fn header() -> SegmentHeader {
    SegmentHeader {
        cluster: CLUSTER,
        lineage: LINEAGE,
        first_index: LogIndex(0x0102),
        previous_crc: 0xdead_beef,
    }
}

#[test]
fn a_segment_header_has_its_fields_where_the_table_says() {
    let (bytes, crc) = header().encode();
    assert_eq!(bytes[0..4], *b"VQML");
    assert_eq!(bytes[4..8], [1, 0, 0, 0]);
    assert_eq!(bytes[8..24], [0xaa; 16]);
    assert_eq!(bytes[24..40], [0xbb; 16]);
    assert_eq!(bytes[40..48], [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[48..52], [0xef, 0xbe, 0xad, 0xde]);
    assert_eq!(bytes[52..60], [0; 8]);
    assert_eq!(bytes[60..64], crc.to_le_bytes());
    assert_eq!(crc, crc32fast::hash(&bytes[..60]));
    assert_eq!(SegmentHeader::decode(&bytes), Ok((header(), crc)));
}

#[test]
fn a_segment_header_with_any_bit_changed_is_damaged() {
    let (bytes, _) = header().encode();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SegmentHeader::decode(&changed), Err(HeaderFault::Damaged));
    }
    assert_eq!(
        SegmentHeader::decode(&bytes[..63]),
        Err(HeaderFault::Damaged)
    );
}

#[test]
fn a_segment_header_of_another_version_is_told_from_damage() {
    let (mut bytes, _) = header().encode();
    bytes[4] = 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Version(2)));
}

/// Two records behind each other, and the two checksums they were continued from.
fn two_records() -> (Vec<u8>, u32, u32) {
    let mut bytes = Vec::new();
    record::push(
        &mut bytes,
        LogIndex(9),
        ControllerEpoch(3),
        0x0605,
        b"payload",
    );
    record::push(&mut bytes, LogIndex(10), ControllerEpoch(3), 0x0605, b"");
    let (segment_crc, chain) = (0x1234_5678, 0x9abc_def0);
    record::seal(&mut bytes, LogIndex(8), segment_crc, chain);
    (bytes, segment_crc, chain)
}

#[test]
fn a_record_has_its_fields_where_the_table_says() {
    let (bytes, segment_crc, chain) = two_records();
    assert_eq!(bytes.len(), 48 + 40);
    assert_eq!(bytes[0..4], [47, 0, 0, 0]);
    assert_eq!(bytes[8..16], [9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[16..24], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[24..32], [8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[32..36], [5, 6, 0, 0]);
    assert_eq!(bytes[40..48], *b"payload\0");

    let continued = |seed: u32, parts: &[&[u8]]| {
        let mut hasher = crc32fast::Hasher::new_with_initial(seed);
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize().to_le_bytes()
    };
    let head_crc = continued(segment_crc, &[&bytes[0..4], &bytes[8..36]]);
    assert_eq!(bytes[36..40], head_crc);
    let first_crc = continued(chain, &[&bytes[0..4], &bytes[8..48]]);
    assert_eq!(bytes[4..8], first_crc);
    let first_crc = u32::from_le_bytes(first_crc);
    assert_eq!(
        bytes[52..56],
        continued(first_crc, &[&bytes[48..52], &bytes[56..88]])
    );
}

#[test]
fn a_record_is_read_back_as_it_was_pushed() {
    let (bytes, segment_crc, chain) = two_records();
    let (first, head) = record::read(&bytes, segment_crc, chain).unwrap();
    assert_eq!(
        (first.index, first.epoch),
        (LogIndex(9), ControllerEpoch(3))
    );
    assert_eq!((first.durable_index, first.kind), (LogIndex(8), 0x0605));
    assert_eq!(first.payload, b"payload");
    assert_eq!(head.padded_len(), 48);
    let (second, _) = record::read(&bytes[48..], segment_crc, head.crc).unwrap();
    assert_eq!((second.index, second.payload), (LogIndex(10), &b""[..]));
}

#[test]
fn a_record_with_any_bit_changed_or_at_another_place_is_not_read() {
    let (bytes, segment_crc, chain) = two_records();
    for bit in 0..48 * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(record::read(&changed, segment_crc, chain).map(|_| ()), None);
    }
    assert!(record::read(&bytes[..47], segment_crc, chain).is_none());
    assert!(record::read(&bytes, segment_crc, chain + 1).is_none());
    assert!(record::read(&bytes, segment_crc + 1, chain).is_none());
    assert!(record::read(&bytes[48..], segment_crc, chain).is_none());
}

#[test]
fn lengths_that_no_record_has_are_refused() {
    for len in [0_u32, 39, 16 * 1024 * 1024 + 1, u32::MAX] {
        let mut bytes = two_records().0;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        assert!(record::Head::parse(&bytes).is_none(), "{len}");
    }
}

#[test]
fn the_longest_payload_is_written_and_read() {
    let payload = vec![1; PAYLOAD_MAX];
    let mut bytes = Vec::new();
    record::push(&mut bytes, LogIndex(1), ControllerEpoch(1), 1, &payload);
    record::seal(&mut bytes, LogIndex(0), 5, 6);
    let (read, _) = record::read(&bytes, 5, 6).unwrap();
    assert_eq!(read.payload.len(), PAYLOAD_MAX);
}

#[test]
#[should_panic(expected = "a record's payload has 16777177 bytes")]
fn a_longer_payload_is_refused() {
    record::push(
        &mut Vec::new(),
        LogIndex(1),
        ControllerEpoch(1),
        1,
        &vec![0; PAYLOAD_MAX + 1],
    );
}

const CHECKPOINT: CheckpointHeader = CheckpointHeader {
    cluster: CLUSTER,
    lineage: LINEAGE,
    last_index: LogIndex(77),
    last_crc: 0x0bad_cafe,
};

#[test]
fn a_checkpoint_has_its_fields_where_the_table_says() {
    let payload = vec![7; 64 * 1024 + 3];
    let file = CHECKPOINT.encode(&payload);
    assert_eq!(file[0..4], *b"VQCP");
    assert_eq!(file[40..48], [77, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(file[48..52], 0x0bad_cafe_u32.to_le_bytes());
    let header_crc = crc32fast::hash(&file[..60]);
    assert_eq!(file[60..64], header_crc.to_le_bytes());

    let table = (64 + payload.len()).next_multiple_of(8);
    assert_eq!(file[64..64 + payload.len()], payload);
    let footer = &file[table + 8..];
    assert_eq!(footer.len(), 64, "two blocks have two checksums");
    assert_eq!(footer[0..8], (payload.len() as u64).to_le_bytes());
    assert_eq!(footer[8..16], file[40..48]);
    assert_eq!(footer[16..20], [2, 0, 0, 0]);
    assert_eq!(footer[20..24], file[48..52]);
    assert_eq!(footer[24..56], Sha256::digest(&payload)[..]);
    let mut sum = crc32fast::Hasher::new_with_initial(header_crc);
    sum.update(&payload[64 * 1024..]);
    assert_eq!(file[table + 4..table + 8], sum.finalize().to_le_bytes());
}

#[test]
fn a_checkpoint_of_any_length_is_read_back() {
    for len in [0, 1, 7, 8, 65_535, 65_536, 65_537, 200_000] {
        let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let file = CHECKPOINT.encode(&payload);
        assert_eq!(
            CheckpointHeader::verify(&file, CLUSTER, LogIndex(77)),
            Ok((CHECKPOINT, &payload[..])),
            "{len}"
        );
    }
}

#[test]
fn a_checkpoint_with_any_bit_changed_or_any_other_length_is_damaged() {
    let file = CHECKPOINT.encode(b"thirteen char");
    let verify = |file: &[u8]| CheckpointHeader::verify(file, CLUSTER, LogIndex(77)).map(|_| ());
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&changed).is_err(), "bit {bit}");
    }
    for len in 0..file.len() {
        assert!(verify(&file[..len]).is_err(), "cut to {len}");
    }
    for more in 1..100 {
        let grown = [&file[..], &vec![0; more]].concat();
        assert!(verify(&grown).is_err(), "{more} zeros behind it");
    }
}

#[test]
fn a_damaged_checkpoint_says_which_block_it_is() {
    let mut file = CHECKPOINT.encode(&vec![1; 200_000]);
    file[64 + 70_000] ^= 1;
    assert_eq!(
        CheckpointHeader::verify(&file, CLUSTER, LogIndex(77)),
        Err(CheckpointFault::DamagedBlock {
            offset: 64 + 65_536
        })
    );
}

#[test]
fn a_checkpoint_whose_payload_and_checksums_were_exchanged_together_fails_its_digest() {
    let whole = CHECKPOINT.encode(b"state");
    let mut file = CHECKPOINT.encode(b"STATE");
    let footer = file.len() - 64;
    file[footer + 24..footer + 56].copy_from_slice(&whole[footer + 24..footer + 56]);
    let mut sum = crc32fast::Hasher::new_with_initial(crc32fast::hash(&file[..60]));
    sum.update(&file[footer..footer + 60]);
    file[footer + 60..].copy_from_slice(&sum.finalize().to_le_bytes());
    assert_eq!(
        CheckpointHeader::verify(&file, CLUSTER, LogIndex(77)),
        Err(CheckpointFault::Damaged { part: "the digest" })
    );
}

#[test]
fn a_checkpoint_of_another_cluster_or_place_is_told_from_damage() {
    let file = CHECKPOINT.encode(b"state");
    let other = ClusterId::new([1; 16]);
    assert_eq!(
        CheckpointHeader::verify(&file, other, LogIndex(77)),
        Err(CheckpointFault::Foreign { found: CLUSTER })
    );
    assert_eq!(
        CheckpointHeader::verify(&file, CLUSTER, LogIndex(78)),
        Err(CheckpointFault::Misplaced {
            found: LogIndex(77)
        })
    );
}

#[test]
fn names_say_what_a_file_is() {
    let of = |text: &str| classify(&FileName::new(text).unwrap());
    assert_eq!(
        of("seg-00000000000000000042.log"),
        Some(LogFile::Segment(LogIndex(42)))
    );
    assert_eq!(
        of("snap-00000000000000000042.snap"),
        Some(LogFile::Checkpoint(LogIndex(42)))
    );
    assert_eq!(
        of("snap-00000000000000000042.snap.tmp"),
        Some(LogFile::Unfinished)
    );
    for other in [
        "seg-42.log",
        "seg-00000000000000000000.log",
        "seg-18446744073709551615.log",
        "seg-99999999999999999999.log",
        "seg-0000000000000000004a.log",
        "seg-00000000000000000042.log.tmp",
        "snap-.snap",
        "torn-5-64.bin",
        "reserve.bin",
    ] {
        assert_eq!(of(other), None, "{other}");
        assert!(!belongs_to_log(&FileName::new(other).unwrap()));
    }
    assert_eq!(
        of(files::segment(LogIndex(7)).as_str()),
        Some(LogFile::Segment(LogIndex(7)))
    );
}
