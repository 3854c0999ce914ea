//! The end of the log that grows.
//!
//! The foreground half: records gather while a batch is on the disk, and the next batch takes all
//! that have gathered. No timer is involved; a lone record is written at once, and under load the
//! time of a sync decides how many share the next one (group commit: DeWitt et al.,
//! "Implementation techniques for main memory database systems", SIGMOD 1984).
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

use std::collections::VecDeque;

use super::checkpoint::{CheckpointFault, CheckpointHeader};
use super::checkpointer::{CheckpointPlan, Checkpointer, Step};
use super::recovery::{LogEnd, OpenSegment};
use super::segment::{HEADER_LEN, SegmentHeader};
use super::{BATCH_BYTES, files, record};
use crate::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, Lane};
use crate::ids::{ClusterId, ControllerEpoch, DiskTicket, LineageId, LogIndex};
use crate::limits::Limits;
use crate::planted::Planted;

/// What the completion of a batch means to the log's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogProgress {
    /// All records up to here are durable: what depends on them may be told.
    Synced {
        /// The last of them.
        upto: LogIndex,
    },
    /// The disk is full. The records of the batch are kept and will be written later; the log is
    /// now in [`SpaceMode::ReadOnly`].
    NoSpace(DiskFault),
    /// A checkpoint is durable; the files that it replaces are being removed.
    CheckpointDurable {
        /// The last record it covers.
        index: LogIndex,
    },
    /// The disk is too full for a checkpoint. Nothing is lost; the log stays as long as it is.
    CheckpointAbandoned(DiskFault),
    /// What the disk holds is unknown now. Nothing more is written, and nothing that is not
    /// synced yet may ever be promised: the process must end, with
    /// [`ExitCode::DiskFault`](crate::io::ExitCode::DiskFault).
    Fatal(DiskFault),
}

/// Whether new work should be taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpaceMode {
    /// There is space as far as the log knows.
    Writable,
    /// The disk was full. Until [`MetaLog::space_returned`] the owner should append only what
    /// frees space or keeps the cluster together.
    ReadOnly,
}

/// Records that will be written and synced together.
#[derive(Debug)]
struct Pending {
    bytes: Vec<u8>,
    records: usize,
    last: LogIndex,
}

/// A batch on the disk.
#[derive(Debug)]
struct Write {
    pending: Pending,
    /// The segment it goes to, as it will be once it is written.
    segment: OpenSegment,
    /// The checksum of its last record.
    last_crc: u32,
    /// Where in the batch the segment is created, if it is: its header is written next.
    creates_at: Option<usize>,
    /// Where in the batch the records are written: a segment that this batch creates is durable
    /// before.
    records_at: usize,
}

/// What the foreground lane is doing.
#[derive(Debug)]
enum Foreground {
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
enum AfterCut {
    /// The reserve is free now: try again.
    Retry,
    /// Wait for space.
    Wait,
}

/// Which reserves there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Ample,
    /// The disk was full, and the reserve file was given up.
    Short,
    /// The owner says that there is space, and the next batch will show it.
    Probing,
}

/// The metadata log of a running controller.
///
/// Ask [`MetaLog::poll_batch`] until it returns `None` after each call of another method, carry the
/// batches out, and report each to [`MetaLog::disk_done`]. Between the two, ask
/// [`MetaLog::checkpoint_due`].
#[derive(Debug)]
pub struct MetaLog {
    cluster: ClusterId,
    lineage: LineageId,
    batch_records: usize,
    segment_bytes: u64,
    checkpoint_records: u64,
    planted: Planted,

    appended: LogIndex,
    synced: LogIndex,
    epoch: ControllerEpoch,
    /// The checksum of the last record that was synced.
    last_crc: u32,
    pending: VecDeque<Pending>,

    open: Option<OpenSegment>,
    /// The first indexes of all segments, the open one included.
    segments: Vec<LogIndex>,
    /// The open segment takes no further record.
    sealed: bool,
    foreground: Foreground,
    foreground_ticket: Option<DiskTicket>,
    space: Space,

    checkpointer: Checkpointer,
    background_ticket: Option<DiskTicket>,
    /// The last record when the last checkpoint was begun.
    attempted: LogIndex,
    bytes_since: u64,
    /// A checkpoint would free space that is needed.
    overdue: bool,
    /// The last one found no space.
    abandoned: bool,
}

impl MetaLog {
    /// Goes on where [`recover`](super::recover) ended, under `lineage`.
    ///
    /// A lineage other than that of the last record begins with a segment of its own.
    #[must_use]
    pub fn resume(end: LogEnd, lineage: LineageId, limits: &Limits, planted: Planted) -> Self {
        let mut segments = end.segments;
        let mut open = end.open;
        let mut ops = end.repairs;
        let other_lineage = end.lineage.is_some_and(|last| last != lineage);
        let empty = open.is_none_or(|segment| is_empty(&segment));
        if let Some(segment) = open {
            let file = files::segment(segment.first);
            if other_lineage && empty {
                segments.pop();
                open = None;
                ops.push(DiskOp::Remove { file });
            } else {
                ops.push(DiskOp::Sync { file });
            }
        }
        // The process before this one may have been killed between creating or renaming a file and
        // syncing the directory: the name is there and may yet be lost.
        if !segments.is_empty() || !ops.is_empty() {
            ops.push(DiskOp::SyncDir);
        }
        if planted.skip_dir_sync {
            ops.retain(|op| *op != DiskOp::SyncDir);
        }
        let newest = end.checkpoints.last().copied().unwrap_or_default();
        let covered =
            [end.checkpoints.last(), end.damaged.first()].contains(&Some(&end.last_index));
        Self {
            cluster: end.cluster,
            lineage,
            batch_records: limits.group_commit_records.max(1),
            segment_bytes: limits.segment_bytes,
            checkpoint_records: limits.checkpoint_records.max(1),
            planted,
            appended: end.last_index,
            synced: if ops.is_empty() {
                end.last_index
            } else {
                end.durable
            },
            epoch: end.epoch,
            last_crc: end.last_crc,
            pending: VecDeque::new(),
            sealed: !empty && (other_lineage || covered),
            open,
            segments,
            foreground: if ops.is_empty() {
                Foreground::Idle
            } else {
                Foreground::Opening {
                    ops,
                    upto: end.last_index,
                }
            },
            foreground_ticket: None,
            space: Space::Ample,
            checkpointer: Checkpointer::new(end.checkpoints, end.damaged, planted),
            background_ticket: None,
            attempted: newest,
            bytes_since: end.bytes_since,
            overdue: false,
            abandoned: false,
        }
    }

    /// Adds a record behind all others and returns its index. It is promised to nobody before
    /// [`MetaLog::synced`] has reached that index.
    ///
    /// # Panics
    /// If the payload is longer than [`PAYLOAD_MAX`](super::PAYLOAD_MAX), or `epoch` is lower than
    /// that of an earlier record.
    pub fn append(&mut self, epoch: ControllerEpoch, kind: u16, payload: &[u8]) -> LogIndex {
        assert!(
            epoch >= self.epoch,
            "a record of controller epoch {epoch} cannot follow one of {}",
            self.epoch
        );
        self.epoch = epoch;
        self.appended = self.appended.next();
        let fits =
            |batch: &Pending| batch.records < self.batch_records && batch.bytes.len() < BATCH_BYTES;
        if !self.pending.back().is_some_and(fits) {
            self.pending.push_back(Pending {
                bytes: Vec::new(),
                records: 0,
                last: self.synced,
            });
        }
        let batch = self.pending.back_mut().expect("a batch was just made");
        record::push(&mut batch.bytes, self.appended, epoch, kind, payload);
        batch.records += 1;
        batch.last = self.appended;
        self.appended
    }

    /// The index of the last record that was appended.
    #[must_use]
    pub const fn appended(&self) -> LogIndex {
        self.appended
    }

    /// The index up to which all records are durable.
    #[must_use]
    pub const fn synced(&self) -> LogIndex {
        self.synced
    }

    /// Whether the disk was full.
    #[must_use]
    pub const fn space_mode(&self) -> SpaceMode {
        match self.space {
            Space::Ample => SpaceMode::Writable,
            Space::Short | Space::Probing => SpaceMode::ReadOnly,
        }
    }

    /// Tells that there may be space again: because somebody measured it, or because it is time to
    /// try. A full log writes what it kept; if that succeeds, or nothing was kept, it is writable.
    pub fn space_returned(&mut self) {
        if self.abandoned {
            self.abandoned = false;
            self.overdue = true;
        }
        if self.space != Space::Short {
            return;
        }
        self.space = if self.appended == self.synced {
            Space::Ample
        } else {
            Space::Probing
        };
        if matches!(self.foreground, Foreground::Full) {
            self.foreground = Foreground::Idle;
        }
    }

    /// The next batch for the disk, if there is one. At most one of each lane is under way.
    pub fn poll_batch(&mut self, mut next_ticket: impl FnMut() -> DiskTicket) -> Option<DiskBatch> {
        if self.foreground_ticket.is_none()
            && let Some(ops) = self.foreground_ops()
        {
            let ticket = next_ticket();
            self.foreground_ticket = Some(ticket);
            return Some(DiskBatch {
                ticket,
                lane: Lane::Foreground,
                ops,
            });
        }
        if matches!(self.foreground, Foreground::Halted) || self.background_ticket.is_some() {
            return None;
        }
        let ops = self.checkpointer.next_ops(&self.segments)?;
        let ticket = next_ticket();
        self.background_ticket = Some(ticket);
        Some(DiskBatch {
            ticket,
            lane: Lane::Background,
            ops,
        })
    }

    /// Whether `ticket` names a batch of this log that is under way.
    #[must_use]
    pub fn owns(&self, ticket: DiskTicket) -> bool {
        self.foreground_ticket == Some(ticket) || self.background_ticket == Some(ticket)
    }

    /// Takes the outcome of a batch. Tickets of others mean nothing here.
    pub fn disk_done(
        &mut self,
        ticket: DiskTicket,
        result: Result<(), DiskFault>,
    ) -> Option<LogProgress> {
        if self.foreground_ticket == Some(ticket) {
            self.foreground_ticket = None;
            self.foreground_done(result)
        } else if self.background_ticket == Some(ticket) {
            self.background_ticket = None;
            self.background_done(result)
        } else {
            None
        }
    }

    /// Whether a checkpoint should, and can, be begun now.
    ///
    /// It can while no batch is on the disk, that is between a [`MetaLog::disk_done`] and the next
    /// [`MetaLog::poll_batch`].
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        let records = self.synced.0.saturating_sub(self.attempted.0);
        let long = records >= self.checkpoint_records || self.bytes_since >= self.segment_bytes;
        self.may_begin_checkpoint() && (records > 0 && long || self.overdue)
    }

    /// Begins a checkpoint of all records that are synced; the open segment gets no further one.
    ///
    /// `None` if it is not the moment (see [`MetaLog::checkpoint_due`]), another one is in the
    /// making, or there is nothing new.
    pub fn begin_checkpoint(&mut self) -> Option<CheckpointPlan> {
        if !self.may_begin_checkpoint() {
            return None;
        }
        self.attempted = self.synced;
        self.bytes_since = 0;
        self.overdue = false;
        self.abandoned = false;
        self.sealed = self.open.is_some_and(|open| !is_empty(&open));
        let header = CheckpointHeader {
            cluster: self.cluster,
            lineage: self.lineage,
            last_index: self.synced,
            last_crc: self.last_crc,
        };
        Some(self.checkpointer.begin(header, &self.segments))
    }

    /// Takes the file that [`CheckpointPlan::encode`] made for the plan.
    ///
    /// # Errors
    /// If it is another file. The checkpoint is given up; another will be due in time.
    pub fn checkpoint_built(&mut self, image: Vec<u8>) -> Result<(), CheckpointFault> {
        self.checkpointer.built(image)
    }

    /// Gives up a checkpoint that could not be built; another will be due in time.
    pub fn checkpoint_failed(&mut self) {
        self.checkpointer.give_up();
    }

    /// The last record that the newest durable checkpoint covers; zero if there is none.
    #[must_use]
    pub fn checkpointed(&self) -> LogIndex {
        self.checkpointer.newest()
    }

    fn may_begin_checkpoint(&self) -> bool {
        matches!(self.foreground, Foreground::Idle | Foreground::Full)
            && self.checkpointer.is_idle()
            && self.synced > self.checkpointer.newest()
    }

    /// The operations of the next foreground batch.
    fn foreground_ops(&mut self) -> Option<Vec<DiskOp>> {
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
        let mut segment = open.unwrap_or_else(|| self.create_segment(&mut ops));
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

    /// Adds the creation of the segment for the next record: header and name are durable before
    /// the record is written.
    fn create_segment(&self, ops: &mut Vec<DiskOp>) -> OpenSegment {
        let first = self.synced.next();
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

    fn foreground_done(&mut self, result: Result<(), DiskFault>) -> Option<LogProgress> {
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
        if self.space == Space::Probing {
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
        let then = if self.space == Space::Ample {
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

    fn background_done(&mut self, result: Result<(), DiskFault>) -> Option<LogProgress> {
        match result {
            Ok(()) => match self.checkpointer.done(&mut self.segments) {
                Step::Durable(index) => Some(LogProgress::CheckpointDurable { index }),
                Step::Taken => None,
            },
            Err(fault)
                if fault.kind == DiskFaultKind::NoSpace
                    && self.checkpointer.no_space(fault.failed_op) =>
            {
                self.abandoned = true;
                Some(LogProgress::CheckpointAbandoned(fault))
            }
            Err(fault) => Some(self.halt(fault)),
        }
    }

    fn halt(&mut self, fault: DiskFault) -> LogProgress {
        self.foreground = Foreground::Halted;
        LogProgress::Fatal(fault)
    }

    /// Panics with a sentence if the log contradicts itself.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        assert!(
            self.synced <= self.appended,
            "{} records are synced and {} appended",
            self.synced,
            self.appended
        );
        let under_way = match &self.foreground {
            Foreground::Writing(write) => write.pending.records,
            _ => 0,
        };
        let waiting: usize = self.pending.iter().map(|batch| batch.records).sum();
        let counted = !matches!(
            self.foreground,
            Foreground::Opening { .. } | Foreground::Halted
        );
        assert!(
            !counted || self.synced.0 + (under_way + waiting) as u64 == self.appended.0,
            "{} synced, {under_way} under way and {waiting} waiting are not {} appended",
            self.synced,
            self.appended
        );
        assert!(
            self.segments.is_sorted_by(|a, b| a < b),
            "segments are in order: {:?}",
            self.segments
        );
        assert!(
            self.open
                .is_none_or(|open| self.segments.last() == Some(&open.first)),
            "the open segment is the last one"
        );
        self.checkpointer.check_invariants(self.appended);
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
const fn is_empty(segment: &OpenSegment) -> bool {
    segment.len <= HEADER_LEN as u64
}
