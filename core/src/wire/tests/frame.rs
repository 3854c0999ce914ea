use crate::wire::frame::{
    Frame, FrameDecoder, FrameFault, HEADER_LEN, OVERHEAD, OVERHEAD_TAGGED, read_only, write,
};
use crate::wire::keys::TagKey;

use super::{flip, with_checksum};

const BODY_MAX: usize = 64;

fn key() -> TagKey {
    TagKey::new(1, &[3; 32], &[])
}

/// What a decoder says of bytes that come in pieces of `len`.
fn decode(bytes: &[u8], len: usize) -> Result<Vec<(u16, u64, Vec<u8>)>, FrameFault> {
    let mut decoder = FrameDecoder::new(BODY_MAX);
    let mut frames = Vec::new();
    for piece in bytes.chunks(len) {
        decoder.push(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push((frame.kind(), frame.counter(), frame.body().to_vec()));
        }
    }
    Ok(frames)
}

fn only(bytes: &[u8]) -> Result<Frame<'_>, FrameFault> {
    read_only(bytes, 1000, BODY_MAX)
}

#[test]
fn a_frame_lies_in_memory_as_documented() {
    let bytes = write(0x1234, 0x0102_0304_0506_0708, b"body", Some(&key()));
    assert_eq!(&bytes[0..4], b"VQT1");
    assert_eq!(bytes[4], 1);
    assert_eq!(bytes[5], 1);
    assert_eq!(&bytes[6..8], &[0x34, 0x12]);
    assert_eq!(&bytes[8..12], &[4, 0, 0, 0]);
    assert_eq!(&bytes[12..20], &[8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(&bytes[20..24], b"body");
    assert_eq!(&bytes[24..28], &crc32fast::hash(&bytes[..24]).to_le_bytes());
    assert_eq!(bytes[28], 1);
    assert_eq!(&bytes[29..], &key().tag(&bytes[..29]));
    assert_eq!(bytes.len(), 4 + OVERHEAD_TAGGED);
    assert_eq!(write(1, 0, b"body", None).len(), 4 + OVERHEAD);
}

#[test]
fn the_longest_body_passes_and_one_byte_more_is_refused_by_its_header_alone() {
    let longest = write(7, 0, &[9; BODY_MAX], None);
    assert_eq!(decode(&longest, 1000).unwrap().len(), 1);
    let longer = write(7, 0, &[9; BODY_MAX + 1], None);
    let fault = decode(&longer[..HEADER_LEN], 1000).unwrap_err();
    assert_eq!(fault, FrameFault::TooLong { len: 65, max: 64 });
}

#[test]
fn a_claimed_length_of_four_gigabytes_reserves_nothing() {
    let mut frame = write(7, 0, b"", None);
    frame[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut decoder = FrameDecoder::new(BODY_MAX);
    decoder.push(&frame);
    let fault = decoder.next_frame().unwrap_err();
    assert_eq!(
        fault,
        FrameFault::TooLong {
            len: u64::from(u32::MAX),
            max: 64
        }
    );
    assert_eq!(decoder.buffered(), frame.len());
}

#[test]
fn a_stranger_is_told_off_at_the_first_wrong_byte() {
    let fault = decode(b"G", 1).unwrap_err();
    assert_eq!(
        fault,
        FrameFault::BadMagic {
            found: b"G".to_vec()
        }
    );
    let fault = decode(b"VQT2....", 1000).unwrap_err();
    assert_eq!(
        fault,
        FrameFault::BadMagic {
            found: b"VQT2".to_vec()
        }
    );
    let text = decode(b"\x16\x03\x01\x02", 1000).unwrap_err().to_string();
    assert!(
        text.contains(r"not with `\x16\x03\x01\x02`; check the address and the port"),
        "{text}"
    );
    assert_eq!(decode(b"VQT", 1), Ok(vec![]));
}

#[test]
fn another_layout_and_undefined_flags_are_refused_before_the_rest_has_come() {
    assert_eq!(
        decode(b"VQT1\x02", 1000).unwrap_err(),
        FrameFault::UnsupportedVersion { found: 2 }
    );
    for flag in 1..8 {
        let found = 1 << flag;
        let bytes = [b"VQT1\x01".as_slice(), &[found]].concat();
        assert_eq!(
            decode(&bytes, 1000).unwrap_err(),
            FrameFault::UnknownFlags { found }
        );
    }
}

#[test]
fn behind_a_fault_nothing_is_found_any_more() {
    let mut decoder = FrameDecoder::new(BODY_MAX);
    let good = write(7, 0, b"good", None);
    let bad = flip(&good, 8 * HEADER_LEN);
    decoder.push(&bad);
    assert_eq!(
        decoder.next_frame(),
        Err(FrameFault::BadChecksum { kind: 7 })
    );
    decoder.push(&good);
    assert_eq!(
        decoder.next_frame(),
        Err(FrameFault::BadChecksum { kind: 7 })
    );
    assert_eq!(
        decoder.buffered(),
        bad.len(),
        "what follows a fault is not kept"
    );
}

#[test]
fn all_cuts_of_a_stream_give_the_same_frames() {
    let key = key();
    let stream = [
        write(7, 0, b"", None),
        write(8, 1, &[1; BODY_MAX], Some(&key)),
        write(9, 2, b"VQT1", None),
        write(10, 3, b"last", Some(&key)),
    ]
    .concat();
    let whole = decode(&stream, stream.len()).unwrap();
    assert_eq!(whole.len(), 4);
    for len in 1..stream.len() {
        assert_eq!(decode(&stream, len).unwrap(), whole, "in pieces of {len}");
    }
    for cut in 0..=stream.len() {
        let mut decoder = FrameDecoder::new(BODY_MAX);
        let mut found = 0;
        for piece in [&stream[..cut], &stream[cut..]] {
            decoder.push(piece);
            while decoder.next_frame().unwrap().is_some() {
                found += 1;
            }
        }
        assert_eq!((found, decoder.buffered()), (4, 0), "cut at {cut}");
    }
}

#[test]
fn a_handed_out_frame_leaves_nothing_behind() {
    let mut decoder = FrameDecoder::new(1 << 20);
    decoder.push(&write(7, 0, &vec![1; 1 << 20], None));
    assert!(decoder.next_frame().unwrap().is_some());
    assert_eq!(decoder.buffered(), 0);
    decoder.push(b"V");
    assert_eq!(decoder.buffered(), 1);
    assert!(
        decoder.capacity() <= 64 * 1024,
        "an idle decoder holds {}",
        decoder.capacity()
    );
}

#[test]
fn every_flipped_bit_of_a_frame_on_a_stream_is_noticed() {
    let key = key();
    for tag_with in [None, Some(&key)] {
        let frame = write(0x0203, 5, b"some body", tag_with);
        // A length that grew swallows the next bytes: give it some.
        let behind = vec![0; 2 * BODY_MAX];
        for bit in 0..8 * frame.len() {
            let mut decoder = FrameDecoder::new(BODY_MAX);
            decoder.push(&[flip(&frame, bit), behind.clone()].concat());
            let noticed = match decoder.next_frame() {
                Ok(Some(frame)) => frame.verify(tag_with).is_err(),
                Ok(None) => false,
                Err(_) => true,
            };
            assert!(noticed, "bit {bit}");
        }
    }
}

#[test]
fn every_byte_an_attacker_changes_is_noticed_though_the_checksum_is_right() {
    let key = key();
    let frame = write(0x0203, 5, b"some body", Some(&key));
    for bit in 8 * 6..8 * (HEADER_LEN + 9) {
        let forged = with_checksum(flip(&frame, bit), OVERHEAD_TAGGED - OVERHEAD);
        if let Ok(frame) = only(&forged) {
            assert!(
                matches!(frame.verify(Some(&key)), Err(FrameFault::BadTag { .. })),
                "bit {bit}"
            );
        } else {
            assert!(
                (8 * 8..8 * 12).contains(&bit),
                "only a length is noticed earlier: bit {bit}"
            );
        }
    }
}

#[test]
fn a_frame_must_be_protected_as_agreed() {
    let key = key();
    let other_id = TagKey::new(2, &[3; 32], &[]);
    let other_key = TagKey::new(1, &[4; 32], &[]);
    let other_context = TagKey::new(1, &[3; 32], &[0; 64]);
    let plain = write(7, 0, b"x", None);
    let tagged = write(7, 0, b"x", Some(&key));
    let verify = |bytes: &[u8], key| only(bytes).unwrap().verify(key);
    assert_eq!(verify(&plain, None), Ok(()));
    assert_eq!(verify(&tagged, Some(&key)), Ok(()));
    assert_eq!(
        verify(&plain, Some(&key)),
        Err(FrameFault::Untagged { kind: 7 })
    );
    assert_eq!(
        verify(&tagged, None),
        Err(FrameFault::UnexpectedTag { kind: 7, key_id: 1 })
    );
    assert_eq!(
        verify(&tagged, Some(&other_id)),
        Err(FrameFault::UnknownKey {
            found: 1,
            expected: 2
        })
    );
    for wrong in [&other_key, &other_context] {
        let fault = Err(FrameFault::BadTag {
            kind: 7,
            counter: 0,
        });
        assert_eq!(verify(&tagged, Some(wrong)), fault);
    }
}

#[test]
fn a_tag_cannot_be_taken_off() {
    let key = key();
    let mut stripped = write(7, 0, b"x", Some(&key));
    stripped.truncate(stripped.len() - (OVERHEAD_TAGGED - OVERHEAD));
    stripped[5] = 0;
    let stripped = with_checksum(stripped, 0);
    let frame = only(&stripped).unwrap();
    assert!(!frame.is_tagged());
    assert_eq!(
        frame.verify(Some(&key)),
        Err(FrameFault::Untagged { kind: 7 })
    );
}

#[test]
fn a_datagram_is_one_whole_frame() {
    let frame = write(7, 0, b"beat", Some(&key()));
    assert_eq!(only(&frame).unwrap().body(), b"beat");
    for len in 0..frame.len() {
        assert_eq!(only(&frame[..len]), Err(FrameFault::Truncated { len }));
    }
    let longer = [frame, vec![0; 3]].concat();
    assert_eq!(only(&longer), Err(FrameFault::TrailingBytes { extra: 3 }));
    let fault = read_only(&longer, longer.len() - 1, BODY_MAX).unwrap_err();
    assert_eq!(
        fault,
        FrameFault::TooLong {
            len: longer.len() as u64,
            max: longer.len() - 1
        }
    );
}
