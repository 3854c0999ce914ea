//! The bytes on disk, which later versions must read.

use crate::dfs::digest::{BLOCK, Digest, Summary};
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId, VolumeId};
use crate::store::format::alone::{AloneFooter, AloneHeader, alone_size};
use crate::store::format::record::{Record, RecordKind, record_size};
use crate::store::format::segment::SegmentHeader;
use crate::store::format::{Fault, encode_table, label};
use crate::store::fuzz::good_label;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn version() -> ChunkVersion {
    ChunkVersion {
        chunk: ChunkId(0x0102_0304_0506_0708),
        generation: Generation(9),
    }
}

fn record() -> Record {
    Record {
        kind: RecordKind::Chunk,
        version: version(),
        serial: 0x11,
        synced: 0x22,
        op: OpId([0x33; 16]),
        len: BLOCK as u64 + 1,
        digest: Digest([0x44; 16]),
        table_crc: 0x5566_7788,
    }
}

const SEGMENT: SegmentHeader = SegmentHeader {
    volume: VolumeId([0xaa; 16]),
    number: 7,
};

fn alone() -> AloneHeader {
    AloneHeader {
        volume: VolumeId([0xaa; 16]),
        version: version(),
        op: OpId([0x33; 16]),
    }
}

const FOOTER: AloneFooter = AloneFooter {
    serial: 0x11,
    len: 5,
    digest: Digest([0x44; 16]),
    table_crc: 0x5566_7788,
};

#[test]
fn a_segment_header_has_these_bytes() {
    let bytes = SEGMENT.encode();
    assert_eq!(
        hex(&bytes),
        concat!(
            "5651534701000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0700000000000000",
            "00000000000000000000000000000000000000000000000000000000630bdf3d"
        )
    );
    assert_eq!(SegmentHeader::decode(&bytes), Ok(SEGMENT));
}

#[test]
fn a_record_header_has_these_bytes() {
    let bytes = record().encode(SEGMENT.seed(), 64);
    assert_eq!(
        hex(&bytes),
        concat!(
            "5651524301000100080706050403020109000000020000001100000000000000",
            "2200000000000000333333333333333333333333333333334444444444444444",
            "444444444444444401000100000000008877665500000000000000002006ad85"
        )
    );
    assert_eq!(Record::decode(&bytes, SEGMENT.seed(), 64), Ok(record()));
    assert_eq!(record().size(), 96 + 8 + 65537);
    assert_eq!(record_size(0), 96);
}

#[test]
fn a_large_chunks_header_and_footer_have_these_bytes() {
    let bytes = alone().encode();
    assert_eq!(bytes.len(), 4096);
    assert_eq!(
        hex(&bytes[..56]),
        concat!(
            "5651434801000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0807060504030201",
            "090000000000000033333333333333333333333333333333"
        )
    );
    assert!(bytes[56..4092].iter().all(|byte| *byte == 0));
    assert_eq!(hex(&bytes[4092..]), "e9882420");
    assert_eq!(AloneHeader::decode(&bytes), Ok(alone()));
    let bytes = FOOTER.encode(alone().seed());
    assert_eq!(
        hex(&bytes),
        concat!(
            "5651434601000000110000000000000005000000000000004444444444444444",
            "44444444444444448877665500000000000000000000000000000000591c7cb6"
        )
    );
    assert_eq!(AloneFooter::decode(&bytes, alone().seed()), Ok(FOOTER));
    assert_eq!(alone_size(5), 4096 + 5 + 4 + 64);
}

#[test]
fn a_label_has_these_bytes() {
    let bytes = label::encode(&good_label());
    assert_eq!(
        hex(&bytes),
        concat!(
            "5651564c0100000038000000b48a11ff8550c1c1c1c1c1c1c1c1c1c1c1c1c1c1",
            "c1c1507e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e500a0a0a0a0a0a0a0a0a0a0a0a",
            "0a0a0a0a62443100"
        )
    );
    assert_eq!(label::decode(&bytes), Ok(good_label()));
}

#[test]
fn a_label_from_before_there_were_epochs_has_none() {
    let bytes = unhex(concat!(
        "5651564c0100000037000000733b9e0a8450c1c1c1c1c1c1c1c1c1c1c1c1c1c1",
        "c1c1507e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e500a0a0a0a0a0a0a0a0a0a0a0a",
        "0a0a0a0a624431"
    ));
    assert_eq!(label::decode(&bytes), Ok(good_label()));
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn a_table_is_the_checksums_in_little_endian_order() {
    let (bytes, crc) = encode_table(&Summary::of(b"vaquita").blocks);
    assert_eq!(bytes, crc32fast::hash(b"vaquita").to_le_bytes());
    assert_eq!(crc, crc32fast::hash(&bytes));
    assert_eq!(encode_table(&[]), (Vec::new(), 0));
}

#[test]
fn every_changed_bit_of_a_header_is_noticed() {
    let seed = SEGMENT.seed();
    type IsRefused = fn(&[u8], u32) -> bool;
    let headers: [(Vec<u8>, IsRefused); 5] = [
        (SEGMENT.encode().to_vec(), |bytes, _| {
            SegmentHeader::decode(bytes) == Err(Fault::Damaged)
        }),
        (record().encode(seed, 64).to_vec(), |bytes, seed| {
            Record::decode(bytes, seed, 64) == Err(Fault::Damaged)
        }),
        (alone().encode(), |bytes, _| {
            AloneHeader::decode(bytes) == Err(Fault::Damaged)
        }),
        (FOOTER.encode(seed).to_vec(), |bytes, seed| {
            AloneFooter::decode(bytes, seed) == Err(Fault::Damaged)
        }),
        (label::encode(&good_label()), |bytes, _| {
            label::decode(bytes) == Err(Fault::Damaged)
        }),
    ];
    for (good, is_refused) in headers {
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                is_refused(&bytes, seed),
                "bit {bit} of {} bytes",
                good.len()
            );
        }
        for len in 0..good.len() {
            assert!(is_refused(&good[..len], seed), "cut to {len} bytes");
        }
    }
}

#[test]
fn a_record_is_bound_to_its_volume_segment_and_offset() {
    let bytes = record().encode(SEGMENT.seed(), 64);
    let elsewhere = [
        (SEGMENT.seed(), 65),
        (
            SegmentHeader {
                number: 8,
                ..SEGMENT
            }
            .seed(),
            64,
        ),
        (
            SegmentHeader {
                volume: VolumeId([0xab; 16]),
                ..SEGMENT
            }
            .seed(),
            64,
        ),
    ];
    for (seed, offset) in elsewhere {
        assert_eq!(Record::decode(&bytes, seed, offset), Err(Fault::Damaged));
    }
}

#[test]
fn a_later_version_is_told_from_damage() {
    let mut bytes = SEGMENT.encode();
    bytes[4] = 2;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&bytes), Err(Fault::Version(2)));
    let mut bytes = label::encode(&good_label());
    bytes[4] = 3;
    let crc = crc32fast::hash(&[&bytes[..12], &bytes[16..]].concat());
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(label::decode(&bytes), Err(Fault::Version(3)));
}
