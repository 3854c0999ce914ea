//! One record in bytes.
//!
//! ```text
//! offset size
//!      0    4  len            40 + payload bytes; the padding is not counted
//!      4    4  crc            CRC-32 of [0..4] and [8..end of padding], continued from the crc of
//!                             the record before, or of the segment header
//!      8    8  index          that of the record before, plus 1; or what that record says
//!     16    8  ctrl_epoch     under which the record was appended; never falls
//!     24    8  durable_index  all records up to here were durable when this one was written
//!     32    2  kind           the owner's
//!     34    2  flags          1 if the payload is the index of the next record; else zero
//!     36    4  head_crc       CRC-32 of [0..4] and [8..36], continued from the segment header's
//!     40    n  payload        the owner's; behind flag 1 eight bytes of the log's own
//!   40+n 0..7  padding        zeros, up to a multiple of 8
//! ```
//!
//! The two checksums do different work. `crc` proves that the record is the one that follows the
//! record before; it can be checked only when the record before is known. `head_crc` proves that
//! the record was once written in this segment; it can be checked alone, which is how recovery
//! finds out what stands behind a record it cannot read. Being continued from the header of the
//! segment, with the identities in it, it cannot be met by bytes of another file, or by a payload
//! whose author does not know them.
//!
//! Numbers are little-endian. A record is written at a multiple of 8.

use super::fields::{bytes_at, crc, u16_at, u32_at, u64_at};
use crate::ids::{ControllerEpoch, LogIndex};

/// Bytes of a record in front of its payload.
pub(super) const HEAD_LEN: usize = 40;

/// Longest record. A length above it is damage, so that no damage makes recovery read for long.
pub(super) const RECORD_MAX: usize = 16 * 1024 * 1024;

/// Longest payload of a record, in bytes.
pub const PAYLOAD_MAX: usize = RECORD_MAX - HEAD_LEN;

/// The flag of a record that is the log's own: its payload says which index the next record has. So a
/// hole in the indexes is part of the chain, and any other is a record that is missing.
const SKIP: u16 = 1;

/// The highest index that a record may have: names of files hold no higher ones, and arithmetic on an
/// index cannot overflow.
pub(super) const INDEX_MAX: u64 = u64::MAX / 2;

/// A record as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its position in the log.
    pub index: LogIndex,
    /// The start of the controller that appended it.
    pub epoch: ControllerEpoch,
    /// All records up to this one were durable when this record was written.
    pub durable_index: LogIndex,
    /// What the owner said it is.
    pub kind: u16,
    /// What the owner put into it.
    pub payload: &'a [u8],
}

/// The bytes of a record in front of its payload, not yet believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) crc: u32,
    pub(super) index: LogIndex,
    pub(super) epoch: ControllerEpoch,
    pub(super) durable_index: LogIndex,
    pub(super) kind: u16,
    pub(super) flags: u16,
    head_crc: u32,
}

impl Head {
    /// Reads a head; `None` if `bytes` are too few for one or its length is impossible.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD_LEN] = bytes.first_chunk()?;
        let len = usize::try_from(u32_at(head, 0)).ok()?;
        (HEAD_LEN..=RECORD_MAX).contains(&len).then(|| Self {
            len,
            crc: u32_at(head, 4),
            index: LogIndex(u64_at(head, 8)),
            epoch: ControllerEpoch(u64_at(head, 16)),
            durable_index: LogIndex(u64_at(head, 24)),
            kind: u16_at(head, 32),
            flags: u16_at(head, 34),
            head_crc: u32_at(head, 36),
        })
    }

    /// Whether this head, which stands at the start of `bytes`, was written in the segment whose
    /// header has the checksum `segment_crc`.
    pub(super) fn is_of_segment(&self, bytes: &[u8], segment_crc: u32) -> bool {
        head_crc(bytes, segment_crc) == Some(self.head_crc)
    }

    /// Whether the record is the log's own, and nothing that its owner appended.
    pub(super) const fn is_skip(&self) -> bool {
        self.flags == SKIP
    }

    /// Bytes the whole record takes, the padding included.
    pub(super) const fn padded_len(&self) -> usize {
        self.len.next_multiple_of(8)
    }
}

/// Adds a record to a batch, without what is known only when the batch is written.
///
/// # Panics
/// If the payload is longer than [`PAYLOAD_MAX`].
pub(super) fn push(
    batch: &mut Vec<u8>,
    index: LogIndex,
    epoch: ControllerEpoch,
    kind: u16,
    payload: &[u8],
) {
    push_flagged(batch, index, epoch, (kind, 0), payload);
}

/// Adds the record behind which the next one has the index `next`.
pub(super) fn push_skip(
    batch: &mut Vec<u8>,
    index: LogIndex,
    epoch: ControllerEpoch,
    next: LogIndex,
) {
    push_flagged(batch, index, epoch, (0, SKIP), &next.0.to_le_bytes());
}

fn push_flagged(
    batch: &mut Vec<u8>,
    index: LogIndex,
    epoch: ControllerEpoch,
    (kind, flags): (u16, u16),
    payload: &[u8],
) {
    assert!(
        payload.len() <= PAYLOAD_MAX,
        "a record's payload has {} bytes and may have {PAYLOAD_MAX}",
        payload.len()
    );
    let len = HEAD_LEN + payload.len();
    let written = u32::try_from(len).expect("the longest record is shorter than 2^32 bytes");
    batch.reserve(len.next_multiple_of(8));
    batch.extend_from_slice(&written.to_le_bytes());
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&index.0.to_le_bytes());
    batch.extend_from_slice(&epoch.0.to_le_bytes());
    batch.extend_from_slice(&[0; 8]);
    batch.extend_from_slice(&kind.to_le_bytes());
    batch.extend_from_slice(&flags.to_le_bytes());
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(payload);
    batch.resize(batch.len().next_multiple_of(8), 0);
}

/// Completes the records of a batch that is about to be written, and returns the checksum that the
/// record after them continues.
///
/// May be done again for another place in the log: nothing is read that it writes.
pub(super) fn seal(
    mut batch: &mut [u8],
    durable_index: LogIndex,
    segment_crc: u32,
    mut chain: u32,
) -> u32 {
    while !batch.is_empty() {
        let head = Head::parse(batch).expect("a batch is made of records pushed by `push`");
        let (record, rest) = batch.split_at_mut(head.padded_len());
        record[24..32].copy_from_slice(&durable_index.0.to_le_bytes());
        let own = head_crc(record, segment_crc).expect("a record begins with its head");
        record[36..40].copy_from_slice(&own.to_le_bytes());
        chain = chain_crc(record, chain).expect("a record begins with its head");
        record[4..8].copy_from_slice(&chain.to_le_bytes());
        batch = rest;
    }
    chain
}

/// The `crc` that the record in `bytes` must have behind one whose crc is `chain`.
fn chain_crc(bytes: &[u8], chain: u32) -> Option<u32> {
    Some(crc(chain, &[bytes.get(..4)?, bytes.get(8..)?]))
}

/// The `head_crc` that the record at the start of `bytes` must have.
fn head_crc(bytes: &[u8], segment_crc: u32) -> Option<u32> {
    let head: &[u8; HEAD_LEN] = bytes.first_chunk()?;
    let len: [u8; 4] = bytes_at(head, 0);
    let middle: [u8; 28] = bytes_at(head, 8);
    Some(crc(segment_crc, &[&len, &middle]))
}

/// The index of the record behind this one; `None` if it says what no log writes.
pub(super) fn next_index(record: &Record<'_>, head: &Head) -> Option<LogIndex> {
    match head.flags {
        0 => Some(record.index.next()),
        SKIP => {
            let next = LogIndex(u64::from_le_bytes(record.payload.try_into().ok()?));
            (next > record.index && next.0 <= INDEX_MAX).then_some(next)
        }
        _ => None,
    }
}

/// The record at the start of `bytes`, with its checksum and padded length, if it is whole, was
/// written in this segment and follows the record whose crc is `chain`.
///
/// Says nothing about whether its fields make sense there.
pub(super) fn read(bytes: &[u8], segment_crc: u32, chain: u32) -> Option<(Record<'_>, Head)> {
    let head = Head::parse(bytes)?;
    let whole = bytes.get(..head.padded_len())?;
    let genuine =
        head.is_of_segment(whole, segment_crc) && chain_crc(whole, chain) == Some(head.crc);
    let record = Record {
        index: head.index,
        epoch: head.epoch,
        durable_index: head.durable_index,
        kind: head.kind,
        payload: whole.get(HEAD_LEN..head.len)?,
    };
    genuine.then_some((record, head))
}
