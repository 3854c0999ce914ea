//! The end of the log that grows, as its owner sees it. What is written, and when, is in
//! `commit.rs` and `checkpointer.rs`.

use std::collections::VecDeque;

use super::checkpoint::{CheckpointFault, CheckpointHeader};
use super::checkpointer::{CheckpointPlan, Checkpointer, Step};
use super::commit::{Foreground, Pending, Space, is_empty};
use super::recovery::{LogEnd, OpenSegment};
use super::reserve::{self, Reserve};
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
    /// The reserve is there again: it had been given up, or there had been no space for it.
    Reserved,
    /// The log goes without a reserve: there is no space for one, or the disk cannot have it. Told
    /// once, until it is there.
    NoReserve(DiskFault),
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

/// The files of a running log, for whoever copies them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFiles {
    /// The checkpoints that are durable, by their last index, oldest first.
    pub checkpoints: Vec<LogIndex>,
    /// The segments by their first index, oldest first.
    pub segments: Vec<LogIndex>,
    /// How many bytes of the last segment are durable, while it grows; the others change no more.
    pub open: Option<(LogIndex, u64)>,
    /// The last durable record, which is in the last segment or the newest checkpoint.
    pub synced: LogIndex,
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

/// The metadata log of a running controller.
///
/// Ask [`MetaLog::poll_batch`] until it returns `None` after each call of another method, carry the
/// batches out, and report each to [`MetaLog::disk_done`]. Between the two, ask
/// [`MetaLog::checkpoint_due`].
#[derive(Clone, Debug)]
pub struct MetaLog {
    pub(super) cluster: ClusterId,
    pub(super) lineage: LineageId,
    pub(super) batch_records: usize,
    pub(super) segment_bytes: u64,
    pub(super) checkpoint_records: u64,
    pub(super) planted: Planted,

    pub(super) appended: LogIndex,
    /// The index of the next record that is appended.
    pub(super) next: LogIndex,
    pub(super) synced: LogIndex,
    pub(super) epoch: ControllerEpoch,
    /// The checksum of the last record that was synced.
    pub(super) last_crc: u32,
    pub(super) pending: VecDeque<Pending>,

    pub(super) open: Option<OpenSegment>,
    /// The first indexes of all segments, the open one included.
    pub(super) segments: Vec<LogIndex>,
    /// The open segment takes no further record.
    pub(super) sealed: bool,
    pub(super) foreground: Foreground,
    pub(super) foreground_ticket: Option<DiskTicket>,
    pub(super) space: Space,
    pub(super) reserve: Reserve,

    pub(super) checkpointer: Checkpointer,
    pub(super) background_ticket: Option<DiskTicket>,
    /// The last record when the last checkpoint was begun.
    pub(super) attempted: LogIndex,
    pub(super) bytes_since: u64,
    /// A checkpoint would free space that is needed.
    pub(super) overdue: bool,
    /// The last one found no space.
    pub(super) abandoned: bool,
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
            next: end.next_index,
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
            reserve: Reserve::new(limits.reserve_bytes),
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
        self.add(epoch, |batch, index| {
            record::push(batch, index, epoch, kind, payload);
        })
    }

    /// Leaves indexes out: the next record has the index `next`. A record of the log's own says so, which
    /// its owner does not see.
    ///
    /// # Panics
    /// If `next` is not higher than the index of that record, or so high that no record may have it.
    pub fn skip_to(&mut self, epoch: ControllerEpoch, next: LogIndex) {
        assert!(
            next > self.next && next.0 <= record::INDEX_MAX,
            "the index behind record {} cannot be {next}",
            self.next
        );
        self.add(epoch, |batch, index| {
            record::push_skip(batch, index, epoch, next);
        });
        self.next = next;
    }

    fn add(
        &mut self,
        epoch: ControllerEpoch,
        push: impl FnOnce(&mut Vec<u8>, LogIndex),
    ) -> LogIndex {
        assert!(
            epoch >= self.epoch,
            "a record of controller epoch {epoch} cannot follow one of {}",
            self.epoch
        );
        self.epoch = epoch;
        self.appended = self.next;
        self.next = self.appended.next();
        let fits =
            |batch: &Pending| batch.records < self.batch_records && batch.bytes.len() < BATCH_BYTES;
        if !self.pending.back().is_some_and(fits) {
            self.pending.push_back(Pending {
                bytes: Vec::new(),
                records: 0,
                first: self.appended,
                last: self.appended,
            });
        }
        let batch = self.pending.back_mut().expect("a batch was just made");
        push(&mut batch.bytes, self.appended);
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

    /// Which files there are, and how far they are durable. Meaningful once the first batch of a
    /// start is done: what was read before is not known to be on the disk.
    #[must_use]
    pub fn files(&self) -> LogFiles {
        LogFiles {
            checkpoints: self.checkpointer.durable().to_vec(),
            segments: self.segments.clone(),
            open: self.open.map(|open| (open.first, open.len)),
            synced: self.synced,
        }
    }

    /// Bytes of records behind the newest checkpoint.
    #[must_use]
    pub const fn bytes_since_checkpoint(&self) -> u64 {
        self.bytes_since
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
    /// try. A full log writes what it kept and makes its reserve again. Once the reserve is there,
    /// it is writable; a log without one, once what it kept is written.
    pub fn space_returned(&mut self) {
        self.reserve.want();
        if self.abandoned {
            self.abandoned = false;
            self.overdue = true;
        }
        if self.space != Space::Short {
            return;
        }
        let nothing_to_show = self.appended == self.synced && !self.reserve.is_missing();
        self.space = if nothing_to_show {
            Space::Ample
        } else {
            Space::Probing
        };
        if matches!(self.foreground, Foreground::Full) {
            self.foreground = Foreground::Idle;
        }
    }

    /// Tries again to make the reserve, if it is missing. For a log that is writable: another does
    /// so when [`MetaLog::space_returned`].
    pub fn want_reserve(&mut self) {
        if self.space == Space::Ample {
            self.reserve.want();
        }
    }

    /// Whether there should be a reserve and is none.
    #[must_use]
    pub const fn lacks_reserve(&self) -> bool {
        self.reserve.is_missing()
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
        // A checkpoint frees space and goes first.
        let ops = (self.checkpointer.next_ops(&self.segments)).or_else(|| self.reserve_ops())?;
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

    /// The next batch of the reserve's: when the log is open, and not where it could take the space
    /// that a checkpoint in the making needs.
    fn reserve_ops(&mut self) -> Option<Vec<DiskOp>> {
        let open = !matches!(self.foreground, Foreground::Opening { .. });
        let free = open && self.checkpointer.is_idle();
        free.then(|| self.reserve.next_ops(self.space == Space::Short))?
    }

    fn background_done(&mut self, result: Result<(), DiskFault>) -> Option<LogProgress> {
        if self.reserve.is_under_way() {
            return self.reserve_done(result);
        }
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

    fn reserve_done(&mut self, result: Result<(), DiskFault>) -> Option<LogProgress> {
        let probing = self.space == Space::Probing;
        match self.reserve.done(result, self.space == Space::Short) {
            reserve::Outcome::Made { again } => {
                if probing {
                    self.space = Space::Ample;
                }
                again.then_some(LogProgress::Reserved)
            }
            reserve::Outcome::NoSpace { news } => {
                if probing {
                    self.space = Space::Short;
                }
                news.map(LogProgress::NoReserve)
            }
            reserve::Outcome::Unusable(fault) => {
                if probing && self.appended == self.synced {
                    self.space = Space::Ample;
                }
                Some(LogProgress::NoReserve(fault))
            }
            reserve::Outcome::Nothing => None,
        }
    }

    pub(super) fn halt(&mut self, fault: DiskFault) -> LogProgress {
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
        assert!(
            self.appended < self.next,
            "record {} is appended, and the next one would be {}",
            self.appended,
            self.next
        );
        let under_way = match &self.foreground {
            Foreground::Writing(write) => Some(&write.pending),
            _ => None,
        };
        let counted = !matches!(
            self.foreground,
            Foreground::Opening { .. } | Foreground::Halted
        );
        let mut before = self.synced;
        for batch in under_way.into_iter().chain(&self.pending) {
            assert!(
                !counted || before < batch.first && batch.first <= batch.last,
                "records {} to {} wait behind {before}",
                batch.first,
                batch.last
            );
            before = batch.last;
        }
        assert!(
            !counted || before == self.appended,
            "what is synced, under way and waiting ends with {before}, and {} is appended",
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
