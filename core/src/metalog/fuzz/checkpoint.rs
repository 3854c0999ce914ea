//! A body for fuzzers: the reader of checkpoints.

use arbitrary::{Result, Unstructured};

use crate::ids::{ClusterId, LineageId, LogIndex};
use crate::metalog::checkpoint::CheckpointHeader;

/// Reads `data` as a checkpoint, or as what a good one says and how it is changed.
///
/// # Panics
/// If a checkpoint does not read as it was written, if it passes for another one's, if one that was
/// changed passes for whole, or if one that passes is not what would be written.
pub fn fuzz_checkpoint(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Bytes that run out end the list of changes.
    let _ = read_or_change(&mut input);
}

fn read_or_change(input: &mut Unstructured<'_>) -> Result<()> {
    let header = CheckpointHeader {
        cluster: ClusterId::new(input.arbitrary()?),
        lineage: LineageId::new(input.arbitrary()?),
        last_index: LogIndex(input.arbitrary()?),
        last_crc: input.arbitrary()?,
    };
    let (cluster, last) = (header.cluster, header.last_index);
    if input.arbitrary()? {
        let bytes = input.bytes(input.len())?;
        if let Ok((header, payload)) = CheckpointHeader::verify(bytes, cluster, last) {
            assert_eq!(header.encode(payload), bytes, "one state, one file");
        }
        return Ok(());
    }
    // Long ones by repetition, so that there are several blocks.
    let piece_len = input.int_in_range(0..=40)?;
    let piece = input.bytes(piece_len)?;
    let payload = piece.repeat(input.int_in_range(0..=6000)?);
    let written = header.encode(&payload);
    let read = CheckpointHeader::verify(&written, cluster, last);
    assert_eq!(
        read,
        Ok((header, payload.as_slice())),
        "it reads as it was written"
    );
    let elsewhere = CheckpointHeader::verify(&written, cluster, LogIndex(last.0 ^ 1));
    assert!(elsewhere.is_err(), "it passes for one of another record");
    let mut changed = written.clone();
    // Each look reads all of the file.
    for _ in 0..8 {
        change(&mut changed, input)?;
        let verdict = CheckpointHeader::verify(&changed, cluster, last);
        assert_eq!(
            verdict.is_ok(),
            changed == written,
            "whole is what was not changed, and nothing else"
        );
    }
    Ok(())
}

/// Changes a few bytes, cuts the file, or has it grow.
fn change(bytes: &mut Vec<u8>, input: &mut Unstructured<'_>) -> Result<()> {
    let at = input.int_in_range(0..=bytes.len())?;
    match input.int_in_range(0..=5)? {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, input.arbitrary()?),
        2 => bytes.extend_from_within(at..bytes.len().min(at + 64)),
        3 => drop(bytes.drain(at..bytes.len().min(at + 8))),
        // Near the end is where the table and the footer are.
        what => {
            let at = if what == 4 {
                at
            } else {
                bytes.len().saturating_sub(at % 160 + 1)
            };
            let with: u8 = input.arbitrary()?;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= with;
            }
        }
    }
    Ok(())
}
