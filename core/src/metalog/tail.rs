//! Whether an unreadable record was cut short by a crash, or is damage to what was once durable.
//!
//! The record that should have index *m* stands at offset *x* of the last segment and cannot be
//! read. If it was never synced it was never promised, and cutting the segment at *x* loses
//! nothing. If it was synced, cutting it loses what somebody relies on. The bytes decide, in this
//! order:
//!
//! 1. Somebody knows that record *m* was durable: a checkpoint contains it, or the caller says so.
//!    It is damage.
//! 2. More lies behind *x* than one batch can be long. Only one batch is ever unsynced, so it is
//!    damage.
//! 3. A later record of this segment stands behind *x* (its head proves itself, see `record.rs`),
//!    and its `durable_index` is *m* or more. It was written after *m* had been synced: damage.
//! 4. A later record stands behind *x*, of the same batch as *m*. Then the batch was written as a
//!    whole, and either its sync was cut short by a crash or it was damaged since. A crash leaves a
//!    sector that was not written as it was, which behind the end of a file means zeros: if a
//!    sector between *x* and that record is all zeros, the batch was never completely on the disk
//!    and never synced, so it is a torn tail. If none is, the crash alone does not explain it, and
//!    it counts as damage.
//! 5. Nothing valid stands behind *x*. It is a torn tail: a cut, zeros, stale sectors, doubled
//!    sectors.
//!
//! Rule 5 can be wrong in one case only, the very last record ever written being damaged after it
//! was synced: on one disk no one can tell, because nothing was written later. The witnesses of the
//! last index outside this disk are for that, and rule 1 is where they come in.

use core::fmt;

use super::record::{HEAD_LEN, Head, RECORD_MAX};
use super::{BATCH_BYTES, SECTOR};
use crate::ids::LogIndex;

/// Most bytes that one batch puts into a segment.
const BATCH_MAX: usize = BATCH_BYTES + RECORD_MAX;

/// What proves that an unreadable record is damage and not the end of an interrupted write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A later segment exists, and none is created before all records of this one are synced.
    LaterSegment,
    /// The record was durable according to a checkpoint or to the caller.
    KnownDurable {
        /// The last record known to have been durable.
        known: LogIndex,
    },
    /// More bytes follow than one batch can have.
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// A later record says that this one was durable when it was written.
    SyncedBefore {
        /// The later record.
        index: LogIndex,
        /// Where it stands.
        offset: usize,
    },
    /// A later record of the same batch follows, and no part between them was left unwritten.
    BatchWritten {
        /// The later record.
        index: LogIndex,
        /// Where it stands.
        offset: usize,
    },
    /// The record's checksums hold, and yet it cannot follow the record before.
    Contradiction,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LaterSegment => f.write_str(
                "a later segment exists, and it was created only when this one was complete",
            ),
            Self::KnownDurable { known } => {
                write!(
                    f,
                    "all records up to {known} are known to have been durable"
                )
            }
            Self::TooLong { bytes } => {
                write!(f, "{bytes} bytes follow, more than one write can have left")
            }
            Self::SyncedBefore { index, offset } => write!(
                f,
                "record {index} at byte {offset} was written after this one had become durable"
            ),
            Self::BatchWritten { index, offset } => write!(
                f,
                "record {index} at byte {offset}, of the same write, is there, \
                 and nothing between is blank as after a power failure"
            ),
            Self::Contradiction => {
                f.write_str("its checksums are right, but its numbers do not follow the last ones")
            }
        }
    }
}

/// An unreadable record of the last segment, and what is known about its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable<'a> {
    /// The whole segment.
    pub(super) segment: &'a [u8],
    /// The checksum of its header.
    pub(super) segment_crc: u32,
    /// Where the record begins.
    pub(super) offset: usize,
    /// The index it should have.
    pub(super) missing: LogIndex,
    /// The last record known to have been durable from elsewhere.
    pub(super) known: LogIndex,
}

impl Unreadable<'_> {
    /// Applies the rules of this module.
    ///
    /// # Errors
    /// With the evidence, if the record is damage.
    pub(super) fn is_torn(&self) -> Result<(), Evidence> {
        if self.missing <= self.known {
            return Err(Evidence::KnownDurable { known: self.known });
        }
        let bytes = self.segment.len() - self.offset;
        if bytes > BATCH_MAX {
            return Err(Evidence::TooLong { bytes });
        }
        let mut same_batch = None;
        for (offset, head) in self.later_heads() {
            let index = head.index;
            if head.durable_index >= self.missing {
                return Err(Evidence::SyncedBefore { index, offset });
            }
            same_batch = same_batch.or(Some((index, offset)));
        }
        match same_batch {
            Some((index, offset)) if !self.unwritten_sector_before(offset) => {
                Err(Evidence::BatchWritten { index, offset })
            }
            _ => Ok(()),
        }
    }

    /// The heads behind the record that were written in this segment and have a higher index.
    ///
    /// One look at each multiple of 8; the checksum is computed only where the index fits.
    fn later_heads(&self) -> impl Iterator<Item = (usize, Head)> {
        (self.offset..self.segment.len().saturating_sub(HEAD_LEN - 1))
            .step_by(8)
            .filter_map(|offset| {
                let bytes = self.segment.get(offset..)?;
                let head = Head::parse(bytes).filter(|head| head.index > self.missing)?;
                head.is_of_segment(bytes, self.segment_crc)
                    .then_some((offset, head))
            })
    }

    /// Whether a sector that the record reaches into, before the one in which `later` stands, is
    /// still blank from the record's first byte on.
    ///
    /// The sector of `later` itself was written, for `later` is in it. That of the record's first
    /// byte, if written, begins with a length, which is not zero.
    fn unwritten_sector_before(&self, later: usize) -> bool {
        let end = later / SECTOR * SECTOR;
        let mut start = self.offset;
        while start < end {
            let next = (start / SECTOR + 1) * SECTOR;
            if self.segment[start..next].iter().all(|byte| *byte == 0) {
                return true;
            }
            start = next;
        }
        false
    }
}
