//! Reading segments one after the other, and what must hold between them.

use super::record::{self, Head, Record};
use super::refusal::{Place, RecoveryRefusal};
use super::segment::{HEADER_LEN, HeaderFault, SegmentHeader};
use super::tail::Evidence;
use crate::disk::FileName;
use crate::ids::{ClusterId, ControllerEpoch, LineageId, LogIndex};

/// A segment file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// The index in its name.
    pub(super) first: LogIndex,
    pub(super) file: &'a FileName,
    pub(super) bytes: &'a [u8],
}

/// The record that a walk begins behind: the last one of a checkpoint, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) index: LogIndex,
    pub(super) crc: u32,
}

impl Segment<'_> {
    /// Whether the creation of this segment was interrupted, provided that it is the last one.
    ///
    /// The header is durable before a record is written: without a byte behind a bad one there
    /// never was a record.
    pub(super) fn is_unfinished(&self) -> bool {
        self.bytes.len() <= HEADER_LEN
            && SegmentHeader::decode(self.bytes) == Err(HeaderFault::Damaged)
    }
}

/// How far a segment could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// The checksum of its header.
    pub(super) segment_crc: u32,
    /// Where its last record ends. What stands behind is not the next record.
    pub(super) good_len: usize,
}

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    cluster: ClusterId,
    base: Base,
    /// The index and checksum of the last record. The checksum is unknown only in front of a
    /// segment that begins in the middle of what the base covers.
    last: LogIndex,
    chain: Option<u32>,
    /// The index of the next record: the one behind the last, unless that says otherwise.
    next: LogIndex,
    /// The epoch of the last record.
    pub(super) epoch: ControllerEpoch,
    /// The highest index that a record called durable.
    pub(super) durable: LogIndex,
    /// The lineage of the last segment.
    pub(super) lineage: Option<LineageId>,
    /// The records behind the base.
    pub(super) records: Vec<Record<'a>>,
}

impl<'a> Walk<'a> {
    /// Begins behind `base`, with the segment whose first record is `first`.
    pub(super) fn new(cluster: ClusterId, base: Base, first: LogIndex) -> Self {
        let seam = first == base.index.next();
        Self {
            cluster,
            base,
            last: LogIndex(first.0.saturating_sub(1)),
            chain: match first {
                _ if seam => Some(base.crc),
                LogIndex(1) => Some(0),
                _ => None,
            },
            next: first,
            epoch: ControllerEpoch(0),
            durable: LogIndex(0),
            lineage: None,
            records: Vec::new(),
        }
    }

    /// The last record that is in a segment read so far, or in the base.
    pub(super) fn last_good(&self) -> LogIndex {
        self.last.max(self.base.index)
    }

    /// The last record read, and the checksum that the next one continues.
    pub(super) fn end(&self) -> (LogIndex, u32) {
        (self.last, self.chain.unwrap_or(0))
    }

    /// The index that the next record has.
    pub(super) const fn next(&self) -> LogIndex {
        self.next
    }

    /// Where in `segment` something was found.
    pub(super) fn place(&self, segment: &Segment<'_>, offset: usize) -> Place {
        Place {
            file: segment.file.clone(),
            offset,
            last_good: self.last_good(),
        }
    }

    /// Reads a segment that is followed by another, so that nothing in it can be unfinished.
    ///
    /// # Errors
    /// If it is not whole, or does not continue what was read before.
    pub(super) fn sealed(&mut self, segment: &Segment<'a>) -> Result<Reached, RecoveryRefusal> {
        let reached = self.read(segment)?;
        if reached.good_len < segment.bytes.len() {
            return Err(RecoveryRefusal::DamagedRecord {
                at: self.place(segment, reached.good_len),
                evidence: Evidence::LaterSegment,
            });
        }
        Ok(reached)
    }

    /// Reads a segment up to its end or to the first thing in it that is not the next record.
    ///
    /// # Errors
    /// If it does not continue what was read before, or contradicts itself.
    pub(super) fn read(&mut self, segment: &Segment<'a>) -> Result<Reached, RecoveryRefusal> {
        if segment.first != self.next {
            return Err(RecoveryRefusal::MissingSegment {
                at: self.place(segment, 0),
                missing: self.next,
            });
        }
        let segment_crc = match SegmentHeader::decode(segment.bytes) {
            Ok((header, segment_crc)) => {
                self.check_header(segment, &header)?;
                segment_crc
            }
            Err(HeaderFault::Version(version)) => {
                return Err(RecoveryRefusal::UnknownVersion {
                    at: self.place(segment, 0),
                    version,
                });
            }
            Err(HeaderFault::Damaged) => {
                return Err(RecoveryRefusal::DamagedHeader {
                    at: self.place(segment, 0),
                });
            }
        };

        let mut offset = HEADER_LEN;
        let mut chain = segment_crc;
        while let Some(bytes) = segment.bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let Some((record, head)) = record::read(bytes, segment_crc, chain) else {
                break;
            };
            let next = record::next_index(&record, &head).filter(|_| self.may_follow(&record));
            let Some(next) = next else {
                return Err(RecoveryRefusal::DamagedRecord {
                    at: self.place(segment, offset),
                    evidence: Evidence::Contradiction,
                });
            };
            chain = head.crc;
            offset += head.padded_len();
            self.take(record, &head, next);
            if self.last == self.base.index && chain != self.base.crc {
                return Err(RecoveryRefusal::BrokenChain {
                    at: self.place(segment, offset),
                });
            }
        }
        Ok(Reached {
            segment_crc,
            good_len: offset,
        })
    }

    fn check_header(
        &mut self,
        segment: &Segment<'_>,
        header: &SegmentHeader,
    ) -> Result<(), RecoveryRefusal> {
        let at = self.place(segment, 0);
        if header.cluster != self.cluster {
            return Err(RecoveryRefusal::ForeignFile {
                at,
                found: header.cluster,
                expected: self.cluster,
            });
        }
        if header.first_index != segment.first {
            return Err(RecoveryRefusal::Misplaced {
                at,
                named: segment.first,
                found: header.first_index,
            });
        }
        if self.chain.is_some_and(|chain| chain != header.previous_crc) {
            return Err(RecoveryRefusal::BrokenChain { at });
        }
        self.chain = Some(header.previous_crc);
        self.lineage = Some(header.lineage);
        Ok(())
    }

    /// Whether the numbers of a record make sense behind those of the record before.
    fn may_follow(&self, record: &Record<'_>) -> bool {
        record.index == self.next
            && record.epoch >= self.epoch
            && (self.durable..=self.last).contains(&record.durable_index)
    }

    fn take(&mut self, record: Record<'a>, head: &Head, next: LogIndex) {
        self.last = record.index;
        self.chain = Some(head.crc);
        self.next = next;
        self.epoch = record.epoch;
        self.durable = record.durable_index;
        if record.index > self.base.index && !head.is_skip() {
            self.records.push(record);
        }
    }
}
