//! The way of records to the disk, on the foreground lane.
//!
//! Records gather while a batch is on the disk, and the next batch takes all that have gathered. No
//! timer is involved; a lone record is written at once, and under load the time of a sync decides
//! how many share the next one (group commit: DeWitt et al., "Implementation techniques for main
//! memory database systems", SIGMOD 1984).
//!
//! ```text
//!            opened             batch                 synced
//!  Opening ─────────► Idle ─────────────► Writing ─────────────► Idle
//!                      ▲                     │ no space
//!                      │ the reserve         ▼
//!                      ├─ was given up ── CuttingBack ─────────► Full
//!                      └──────────────────── space returned ──────┘
//!
//!  any other fault, anywhere ──► Halted
//! ```

use super::files;
use super::record;
use super::recovery::OpenSegment;
use super::segment::{HEADER_LEN, SegmentHeader};
use super::writer::{LogProgress, MetaLog};
use crate::disk::{DiskFault, DiskFaultKind, DiskOp};
use crate::ids::LogIndex;

/// Records that will be written and synced together.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    pub(super) records: usize,
    /// The index of the first of them.
    pub(super) first: LogIndex,
    pub(super) last: LogIndex,
}

/// A batch on the disk.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) pending: Pending,
    /// The segment it goes to, as it will be once it is written.
    pub(super) segment: OpenSegment,
    /// The checksum of its last record.
    pub(super) last_crc: u32,
    /// Where in the batch the segment is created, if it is: its header is written next.
    pub(super) creates_at: Option<usize>,
    /// Where in the batch the records are written: a segment that this batch creates is durable
    /// before.
    pub(super) records_at: usize,
}

/// What the foreground lane is doing.
#[derive(Clone, Debug)]
pub(super) enum Foreground {
    /// Nothing may be written before the repairs are made and what was read is known to be on the
    /// disk.
    Opening {
        ops: Vec<DiskOp>,
        upto: LogIndex,
    },
    Idle,
    Writing(Box<Write>),
    /// The remains of a batch that did not fit must go before anything else is written.
    CuttingBack {
        ops: Vec<DiskOp>,
        then: AfterCut,
    },
    /// Nothing fits.
    Full,
    Halted,
}

/// What follows when the remains of a batch are gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum AfterCut {
    /// The reserve is free now: try again.
    Retry,
    /// Wait for space.
    Wait,
}

/// What is known of the space there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    Ample,
    /// The disk was full, and the reserve file was given up.
    Short,
    /// The owner says that there is space. Making the reserve again will show it, or, for a log
    /// without one, the next batch.
    Probing,
}

impl MetaLog {
    /// The operations of the next foreground batch.
    pub(super) fn foreground_ops(&mut self) -> Option<Vec<DiskOp>> {
        match &mut self.foreground {
            Foreground::Opening { ops, .. } | Foreground::CuttingBack { ops, .. } => {
                Some(core::mem::take(ops))
            }
            Foreground::Idle => {
                let pending = self.pending.pop_front()?;
                Some(self.write(pending))
            }
            Foreground::Writing(_) | Foreground::Full | Foreground::Halted => None,
        }
    }

    /// The operations that write and sync a batch, in a new segment if the open one is full.
    fn write(&mut self, mut pending: Pending) -> Vec<DiskOp> {
        let mut ops = Vec::new();
        if let (true, Some(open)) = (self.planted.ack_before_sync, self.open) {
            ops.push(DiskOp::Sync {
                file: files::segment(open.first),
            });
        }
        let creates_at = ops.len();
        let open = self.open.filter(|open| self.has_room(open));
        let mut segment = open.unwrap_or_else(|| self.create_segment(pending.first, &mut ops));
        let file = files::segment(segment.first);

        let chain = if is_empty(&segment) {
            segment.crc
        } else {
            self.last_crc
        };
        let last_crc = record::seal(&mut pending.bytes, self.synced, segment.crc, chain);
        let records_at = ops.len();
        ops.push(DiskOp::Append {
            file: file.clone(),
            offset: segment.len,
            // The records are needed again if there is no space for them.
            bytes: pending.bytes.clone(),
        });
        if !self.planted.ack_before_sync && !self.planted.skip_sync {
            ops.push(DiskOp::Sync { file });
        }
        segment.len += pending.bytes.len() as u64;
        self.foreground = Foreground::Writing(Box::new(Write {
            pending,
            segment,
            last_crc,
            creates_at: open.is_none().then_some(creates_at),
            records_at,
        }));
        ops
    }

    fn has_room(&self, open: &OpenSegment) -> bool {
        is_empty(open) || !self.sealed && open.len < self.segment_bytes
    }

    /// Adds the creation of the segment whose first record is `first`: header and name are durable
    /// before the record is written.
    fn create_segment(&self, first: LogIndex, ops: &mut Vec<DiskOp>) -> OpenSegment {
        let file = files::segment(first);
        let header = SegmentHeader {
            cluster: self.cluster,
            lineage: self.lineage,
            first_index: first,
            previous_crc: self.last_crc,
        };
        let (bytes, crc) = header.encode();
        ops.extend([
            DiskOp::CreateNew { file: file.clone() },
            DiskOp::Append {
                file: file.clone(),
                offset: 0,
                bytes: bytes.to_vec(),
            },
        ]);
        if !self.planted.skip_sync {
            ops.push(DiskOp::Sync { file });
        }
        if !self.planted.skip_dir_sync {
            ops.push(DiskOp::SyncDir);
        }
        OpenSegment {
            first,
            len: HEADER_LEN as u64,
            crc,
        }
    }

    pub(super) fn foreground_done(&mut self, result: Result<(), DiskFault>) -> Option<LogProgress> {
        match (
            core::mem::replace(&mut self.foreground, Foreground::Idle),
            result,
        ) {
            (Foreground::Opening { upto, .. }, Ok(())) => {
                self.synced = upto;
                Some(LogProgress::Synced { upto })
            }
            (Foreground::Writing(write), Ok(())) => Some(self.written(&write)),
            (Foreground::CuttingBack { then, .. }, Ok(())) => {
                if matches!((then, self.space), (AfterCut::Wait, Space::Short)) {
                    self.foreground = Foreground::Full;
                }
                None
            }
            (Foreground::Writing(write), Err(fault)) if may_not_fit(&write, &fault) => {
                Some(self.cut_back(*write, fault))
            }
            (_, Err(fault)) => Some(self.halt(fault)),
            (other, Ok(())) => {
                self.foreground = other;
                None
            }
        }
    }

    fn written(&mut self, write: &Write) -> LogProgress {
        self.open_segment(write.segment, write.creates_at.is_some());
        self.last_crc = write.last_crc;
        self.synced = write.pending.last;
        self.bytes_since += write.pending.bytes.len() as u64;
        if self.space == Space::Probing && !self.reserve.is_missing() {
            self.space = Space::Ample;
        }
        LogProgress::Synced { upto: self.synced }
    }

    fn open_segment(&mut self, segment: OpenSegment, created: bool) {
        if created {
            self.segments.push(segment.first);
            self.sealed = false;
        }
        self.open = Some(segment);
    }

    /// Undoes what there is of a batch that did not fit, and keeps its records for later.
    fn cut_back(&mut self, write: Write, fault: DiskFault) -> LogProgress {
        let mut segment = write.segment;
        let file = files::segment(segment.first);
        let mut ops = Vec::new();
        if fault.failed_op == write.records_at {
            segment.len -= write.pending.bytes.len() as u64;
            ops.extend([
                DiskOp::Truncate {
                    file: file.clone(),
                    len: segment.len,
                },
                DiskOp::Sync { file },
            ]);
            self.open_segment(segment, write.creates_at.is_some());
        } else {
            ops.extend([DiskOp::Remove { file }, DiskOp::SyncDir]);
        }
        let then = if self.space == Space::Ample || self.reserve.is_kept() {
            self.reserve.given_up();
            ops.extend([
                DiskOp::Remove {
                    file: files::reserve(),
                },
                DiskOp::SyncDir,
            ]);
            AfterCut::Retry
        } else {
            AfterCut::Wait
        };
        self.pending.push_front(write.pending);
        self.space = Space::Short;
        self.overdue = true;
        self.foreground = Foreground::CuttingBack { ops, then };
        LogProgress::NoSpace(fault)
    }
}

/// Whether a fault is a full disk met while writing, which harms nothing that was there.
///
/// From a sync the same words mean something else: bytes that had been taken are lost.
fn may_not_fit(write: &Write, fault: &DiskFault) -> bool {
    let position = Some(fault.failed_op);
    let creating = [write.creates_at, write.creates_at.map(|at| at + 1)];
    let writing = position == Some(write.records_at) || creating.contains(&position);
    fault.kind == DiskFaultKind::NoSpace && writing
}

/// Whether a segment has no record yet.
pub(super) const fn is_empty(segment: &OpenSegment) -> bool {
    segment.len <= HEADER_LEN as u64
}
