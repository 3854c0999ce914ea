//! A log on a model disk, with an owner that knows what it was promised.

use std::collections::VecDeque;

use super::choices::Choices;
use super::disk::{Crash, ModelDisk};
use crate::disk::{DiskFault, DiskFaultKind, DiskOp, FileName, Lane};
use crate::ids::{ClusterId, ControllerEpoch, DiskTicket, LineageId, LogIndex};
use crate::limits::Limits;
use crate::metalog::fuzz::Files;
use crate::metalog::{
    CheckpointPlan, Expected, LogProgress, MetaLog, Recovered, RecoveryRefusal, recover, replay,
};
use crate::planted::Planted;
use crate::prng::mix;

pub(super) const CLUSTER: ClusterId = ClusterId::new([0xaa; 16]);
pub(super) const LINEAGE: LineageId = LineageId::new([0xbb; 16]);

/// Limits so small that every boundary is met within a few records.
pub(super) fn tiny_limits() -> Limits {
    Limits {
        group_commit_records: 3,
        segment_bytes: 200,
        checkpoint_records: 4,
        reserve_bytes: 0,
        ..Limits::default()
    }
}

/// The state of the owner: a sum over all records, which depends on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) last: LogIndex,
    pub(super) sum: u64,
}

/// In a history in the place of each index that no record of the owner has.
const LEFT_OUT: &[u8] = &[0];

impl State {
    fn apply(&mut self, payload: &[u8]) {
        self.last = self.last.next();
        if payload == LEFT_OUT {
            return;
        }
        self.sum = payload
            .iter()
            .fold(mix(self.sum ^ self.last.0), |sum, byte| {
                mix(sum ^ u64::from(*byte))
            });
    }

    /// The state after the first `count` records of a history.
    pub(super) fn after(history: &[Vec<u8>], count: LogIndex) -> Self {
        let mut state = Self::default();
        for payload in &history[..count.0 as usize] {
            state.apply(payload);
        }
        state
    }

    pub(super) fn encode(self) -> Vec<u8> {
        [self.last.0.to_le_bytes(), self.sum.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        Self {
            last: LogIndex(number(0)),
            sum: number(8),
        }
    }

    /// The state that a checkpoint and the records behind it lead to, up to `upto`. `history` tells which
    /// indexes no record has.
    pub(super) fn replayed(
        history: &[Vec<u8>],
        checkpoint: Option<(LogIndex, &[u8])>,
        records: &[crate::metalog::Record<'_>],
        upto: LogIndex,
    ) -> Self {
        let left_out = |index: LogIndex| history[index.0 as usize - 1] == LEFT_OUT;
        let mut state = checkpoint.map_or_else(Self::default, |(index, bytes)| {
            let state = Self::decode(bytes);
            assert_eq!(state.last, index, "a checkpoint is at the index it says");
            state
        });
        let pass = |state: &mut Self, before: u64| {
            while state.last.0 < before && left_out(state.last.next()) {
                state.apply(LEFT_OUT);
            }
        };
        for record in records {
            pass(&mut state, record.index.0 - 1);
            assert_eq!(record.index, state.last.next(), "indexes are contiguous");
            assert!(record.durable_index < record.index, "durable is before");
            state.apply(record.payload);
        }
        pass(&mut state, upto.0);
        state
    }
}

/// A batch that a lane carries out.
#[derive(Clone, Debug)]
struct UnderWay {
    ticket: DiskTicket,
    ops: VecDeque<DiskOp>,
    done: usize,
}

/// The log, its disk and its owner.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) disk: ModelDisk,
    pub(super) log: MetaLog,
    pub(super) limits: Limits,
    pub(super) planted: Planted,
    /// Every payload appended, by index.
    pub(super) history: Vec<Vec<u8>>,
    /// The record behind which indexes were left out, and the next index.
    pub(super) skipped: Option<(LogIndex, LogIndex)>,
    /// Up to where the owner was told that records are durable.
    pub(super) acked: LogIndex,
    /// What the log reported, in order.
    pub(super) progress: Vec<LogProgress>,
    pub(super) plan: Option<CheckpointPlan>,
    lanes: [Option<UnderWay>; 2],
    next_ticket: u64,
    epoch: ControllerEpoch,
    /// Operations carried out.
    pub(super) ops: usize,
    /// Every operation carried out, for tests of their order.
    pub(super) trace: Vec<DiskOp>,
    /// The operation that fails, and how.
    pub(super) fault: Option<(usize, DiskFaultKind)>,
    /// The operation that failed.
    pub(super) failed: Option<DiskOp>,
}

impl Rig {
    pub(super) fn new(limits: Limits, planted: Planted) -> Self {
        let files = Files::new();
        let fresh = recover(&files, &expected(LogIndex(0))).unwrap();
        Self {
            log: MetaLog::resume(fresh.end, LINEAGE, &limits, planted),
            disk: ModelDisk::default(),
            limits,
            planted,
            history: Vec::new(),
            skipped: None,
            acked: LogIndex(0),
            progress: Vec::new(),
            plan: None,
            lanes: [None, None],
            next_ticket: 0,
            epoch: ControllerEpoch(1),
            ops: 0,
            trace: Vec::new(),
            fault: None,
            failed: None,
        }
    }

    pub(super) fn tiny() -> Self {
        Self::new(tiny_limits(), Planted::default())
    }

    /// Appends a record of `len` bytes that no other record has.
    pub(super) fn append(&mut self, len: usize) -> LogIndex {
        let salt = mix(self.history.len() as u64 ^ (self.epoch.0 << 32));
        let payload: Vec<u8> = (0..len as u64)
            .map(|at| mix(salt ^ at).to_le_bytes()[0] | 1)
            .collect();
        let index = self.log.append(self.epoch, 7, &payload);
        if self.skipped.is_some_and(|(_, next)| next == index) {
            self.history.resize(index.0 as usize - 1, LEFT_OUT.to_vec());
        }
        self.history.push(payload);
        assert_eq!(index.0, self.history.len() as u64, "indexes are contiguous");
        index
    }

    /// Leaves indexes out.
    pub(super) fn skip_to(&mut self, next: LogIndex) {
        self.log.skip_to(self.epoch, next);
        self.history.push(LEFT_OUT.to_vec());
        self.skipped = Some((self.log.appended(), next));
    }

    /// Hands the next batches to idle lanes.
    fn poll(&mut self) {
        let Self {
            log, next_ticket, ..
        } = self;
        while let Some(batch) = log.poll_batch(|| {
            *next_ticket += 1;
            DiskTicket(*next_ticket)
        }) {
            let lane = &mut self.lanes[usize::from(batch.lane == Lane::Background)];
            assert!(lane.is_none(), "one batch of a lane is under way");
            assert!(log.owns(batch.ticket));
            *lane = Some(UnderWay {
                ticket: batch.ticket,
                ops: batch.ops.into(),
                done: 0,
            });
        }
    }

    /// Carries out the next operation of a lane; false if it has none.
    pub(super) fn step(&mut self, lane: Lane) -> bool {
        self.poll();
        let slot = usize::from(lane == Lane::Background);
        let Some(under_way) = &mut self.lanes[slot] else {
            return false;
        };
        let mut result = Ok(());
        if let Some(op) = under_way.ops.pop_front() {
            let outcome = match self.fault {
                Some((at, kind)) if at == self.ops => {
                    self.disk.fail(&op);
                    self.failed = Some(op.clone());
                    Err(kind)
                }
                _ => self.disk.carry_out(&op),
            };
            self.ops += 1;
            self.trace.push(op.clone());
            result = outcome.map_err(|kind| DiskFault {
                kind,
                failed_op: under_way.done,
                op: format!("{op:?}"),
                message: "injected".to_owned(),
            });
            under_way.done += 1;
        }
        if result.is_err() || under_way.ops.is_empty() {
            let ticket = under_way.ticket;
            self.lanes[slot] = None;
            let progress = self.log.disk_done(ticket, result);
            self.log.check_invariants();
            if let Some(LogProgress::Synced { upto }) = progress {
                assert!(upto >= self.acked, "what is durable only grows");
                assert_eq!(upto, self.log.synced());
                self.acked = upto;
            }
            self.progress.extend(progress);
        }
        true
    }

    /// Carries out everything, calling `after` behind each operation.
    pub(super) fn run_all(&mut self, mut after: impl FnMut(&Self)) {
        while self.step(Lane::Foreground) || self.step(Lane::Background) {
            after(self);
        }
    }

    pub(super) fn run(&mut self) {
        self.run_all(|_| {});
    }

    /// Begins a checkpoint if that is possible.
    pub(super) fn begin_checkpoint(&mut self) -> bool {
        if self.plan.is_some() {
            return false;
        }
        self.plan = self.log.begin_checkpoint();
        self.plan.is_some()
    }

    /// Builds the checkpoint that was begun, from the files.
    pub(super) fn build_checkpoint(&mut self) -> bool {
        let Some(plan) = self.plan.take() else {
            return false;
        };
        let files = self.disk.contents();
        let replayed = replay(&plan, &files).unwrap_or_else(|refusal| panic!("{refusal}"));
        let state = State::replayed(
            &self.history,
            replayed.checkpoint,
            &replayed.records,
            plan.upto,
        );
        assert_eq!(state, State::after(&self.history, plan.upto));
        let image = plan.encode(&state.encode());
        self.log.checkpoint_built(image).unwrap();
        true
    }

    /// The process is gone; another one starts on what `disk` holds.
    pub(super) fn restart(&mut self, disk: ModelDisk) {
        let files = disk.contents();
        let recovered = self.check_recovery(&files).unwrap_or_else(|refusal| {
            panic!(
                "{refusal}\nafter {} of {} records were promised",
                self.acked,
                self.history.len()
            )
        });
        self.history.truncate(recovered.end.last_index().0 as usize);
        let mut next = Self::new(self.limits.clone(), self.planted);
        next.log = MetaLog::resume(recovered.end, LINEAGE, &self.limits, self.planted);
        next.disk = disk;
        next.history = core::mem::take(&mut self.history);
        next.skipped = self.skipped;
        next.acked = self.acked;
        next.epoch = self.epoch.next();
        next.ops = self.ops;
        next.fault = self.fault;
        *self = next;
    }

    /// Recovers `files` and checks that the log is a prefix of what was appended with all that was
    /// promised.
    pub(super) fn check_recovery<'a>(
        &self,
        files: &'a Files,
    ) -> Result<Recovered<'a>, RecoveryRefusal> {
        let recovered = recover(files, &expected(self.acked))?;
        let last = recovered.end.last_index();
        assert!(
            last >= self.acked,
            "record {} was promised and {last} is the last one recovered",
            self.acked
        );
        assert!(
            last.0 <= self.history.len() as u64,
            "{} records were appended and {last} recovered",
            self.history.len()
        );
        let state = State::replayed(
            &self.history,
            recovered.checkpoint,
            &recovered.records,
            last,
        );
        assert_eq!(state, State::after(&self.history, last), "records differ");
        Ok(recovered)
    }

    /// Holds everything that recovery claims against one way a crash may have left the disk:
    /// a prefix, the same again after the repairs, also when they are cut short, and a log that
    /// goes on.
    pub(super) fn check_crash(
        &self,
        crash: Crash,
        choices: &mut Choices,
    ) -> Option<RecoveryRefusal> {
        let crashed = self.disk.crash(crash, choices);
        let files = crashed.contents();
        let recovered = match self.check_recovery(&files) {
            Ok(recovered) => recovered,
            Err(refusal) => return Some(refusal),
        };
        let last = recovered.end.last_index();
        if let Some((index, _)) = recovered.checkpoint {
            let mut files = files.clone();
            let newest = files.get_mut(&checkpoint_file(index)).expect("was read");
            newest[64] ^= 1;
            let fallen_back = (self.check_recovery(&files))
                .unwrap_or_else(|refusal| panic!("with a bad checkpoint: {refusal}"));
            assert_eq!(fallen_back.end.last_index(), last, "the log reaches back");
            assert_eq!(fallen_back.damaged_checkpoints.len(), 1);
        }
        let same = |disk: &ModelDisk, when: &str| {
            let files = disk.contents();
            let again = self
                .check_recovery(&files)
                .unwrap_or_else(|refusal| panic!("{when}: {refusal}"));
            assert_eq!(again.end.repaired(), recovered.end.repaired(), "{when}");
            again.repairs().is_empty()
        };
        let mut disk = crashed;
        for op in recovered.repairs() {
            disk.carry_out(op).expect("has space");
            same(&disk, "killed while repairing");
            same(&disk.crash(crash, choices), "power failed while repairing");
        }
        assert!(same(&disk, "repaired"), "repairs are made once");

        let mut next = Self::new(self.limits.clone(), self.planted);
        next.history = self.history[..last.0 as usize].to_vec();
        next.skipped = self.skipped.filter(|(at, _)| *at <= last);
        next.acked = self.acked;
        next.epoch = ControllerEpoch(u64::MAX);
        next.log = MetaLog::resume(recovered.end, LINEAGE, &self.limits, self.planted);
        next.disk = ModelDisk::of(&files);
        let appended = next.append(9);
        next.run();
        assert_eq!(next.acked, appended, "a recovered log goes on");
        let files = next.disk.crash(crash, choices).contents();
        next.check_recovery(&files)
            .unwrap_or_else(|refusal| panic!("continued: {refusal}"));
        None
    }
}

/// The name of the checkpoint that ends at `index`.
pub(super) fn checkpoint_file(index: LogIndex) -> FileName {
    FileName::new(&format!("snap-{:020}.snap", index.0)).unwrap()
}

/// The name of the segment that begins at `index`.
pub(super) fn segment_file(index: u64) -> FileName {
    FileName::new(&format!("seg-{index:020}.log")).unwrap()
}

/// What the owner tells recovery: whether there was ever a log, and nothing that would help it.
pub(super) fn expected(acked: LogIndex) -> Expected {
    Expected {
        cluster: CLUSTER,
        durable: (acked > LogIndex(0)).then_some(LogIndex(0)),
    }
}
