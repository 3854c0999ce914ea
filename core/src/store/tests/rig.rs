//! A volume on a model disk, with an owner that knows what it was promised.

use std::collections::{BTreeMap, VecDeque};

use crate::dfs::digest::{BLOCK, Digest, Summary};
use crate::dfs::ids::{ChunkId, ChunkVersion, OpId, StageId};
use crate::disk::{DiskFault, DiskFaultKind, DiskOp, Lane};
use crate::ids::DiskTicket;
use crate::limits::Limits;
use crate::metalog::tests::choices::Choices;
use crate::metalog::tests::disk::{Crash, ModelDisk};
use crate::planted::Planted;
use crate::prng::mix;
pub(crate) use crate::store::fuzz::good_label;
use crate::store::fuzz::{Files, filled, rules, tiny_limits};
use crate::store::label::label_batch;
use crate::store::scan::scan_planted;
use crate::store::volume::{Admission, Putting, StoreEvent, Volume, VolumeRules};
use crate::store::{ALONE_HEADER, Extent, Fill, Form, Opened};
use crate::time::Timestamp;

pub(super) const CAPACITY: u64 = 1 << 40;

/// What the owner knows of a version.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    pub(super) bytes: Vec<u8>,
    /// Somebody was told that it is on the disk.
    pub(super) durable: bool,
    /// It was released, and perhaps is.
    pub(super) trash_asked: bool,
    /// Somebody was told that it is released.
    pub(super) trashed: bool,
    /// Its time may be over.
    pub(super) purgeable: bool,
    /// It was put again after a release: the release may hold or not.
    pub(super) again: bool,
    /// This process found it released.
    found_trashed: bool,
}

/// A batch that a lane carries out.
#[derive(Clone, Debug)]
struct UnderWay {
    ticket: DiskTicket,
    ops: VecDeque<DiskOp>,
    fills: BTreeMap<usize, Fill>,
    done: usize,
}

/// The volume, its disk and its owner.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(super) disk: ModelDisk,
    pub(crate) volume: Volume,
    pub(super) limits: Limits,
    pub(super) planted: Planted,
    pub(super) rules: VolumeRules,
    pub(super) fates: BTreeMap<ChunkVersion, Fate>,
    stages: BTreeMap<StageId, Vec<u8>>,
    coming: BTreeMap<StageId, ChunkVersion>,
    next_stage: u64,
    next_chunk: u64,
    lanes: [Option<UnderWay>; 2],
    next_ticket: u64,
    pub(super) now: Timestamp,
    /// Operations carried out.
    pub(super) ops: usize,
    /// Every operation carried out, for tests of their order.
    pub(super) trace: Vec<DiskOp>,
    /// The operation that fails, and how.
    pub(super) fault: Option<(usize, DiskFaultKind)>,
    /// What the volume told, in order.
    pub(super) events: Vec<StoreEvent>,
}

/// A disk with a label and nothing else.
pub(super) fn labelled() -> ModelDisk {
    let mut disk = ModelDisk::default();
    for op in label_batch(DiskTicket(0), &good_label()).ops {
        disk.carry_out(&op).expect("has space");
    }
    disk
}

impl Rig {
    pub(super) fn new(limits: Limits, planted: Planted) -> Self {
        Self::on(labelled(), limits, planted, rules(), Timestamp::ZERO)
    }

    pub(crate) fn tiny() -> Self {
        let mut rig = Self::new(tiny_limits(), Planted::default());
        rig.run();
        rig
    }

    /// A new process on what `disk` holds.
    pub(super) fn on(
        disk: ModelDisk,
        limits: Limits,
        planted: Planted,
        rules: VolumeRules,
        now: Timestamp,
    ) -> Self {
        let opened = open(&disk.contents(), planted);
        Self {
            volume: Volume::new(rules.clone(), &opened, &limits, planted, now),
            disk,
            limits,
            planted,
            rules,
            fates: BTreeMap::new(),
            stages: BTreeMap::new(),
            coming: BTreeMap::new(),
            next_stage: 0,
            next_chunk: 0,
            lanes: [None, None],
            next_ticket: 0,
            now,
            ops: 0,
            trace: Vec::new(),
            fault: None,
            events: Vec::new(),
        }
    }

    /// A version that no other chunk has.
    pub(super) fn new_version(&mut self) -> ChunkVersion {
        self.next_chunk += 1;
        ChunkVersion::first(ChunkId(1 << 40 | self.next_chunk))
    }

    /// Bytes that no other chunk has.
    pub(super) fn bytes_for(version: ChunkVersion, len: usize) -> Vec<u8> {
        let salt = mix(version.chunk.0);
        (0..len as u64)
            .map(|at| mix(salt ^ at).to_le_bytes()[0] | 1)
            .collect()
    }

    /// Begins a put of a new chunk of `len` bytes; a packed one goes all the way to the queue.
    pub(super) fn put(&mut self, len: usize) -> ChunkVersion {
        let version = self.new_version();
        self.put_version(version, len);
        version
    }

    pub(crate) fn put_version(&mut self, version: ChunkVersion, len: usize) -> StageId {
        let stage = self.admit(version, len).expect("there is room");
        let packed = len as u64 <= self.limits.packed_max;
        if packed {
            self.bytes_came(stage);
        }
        stage
    }

    pub(super) fn admit(
        &mut self,
        version: ChunkVersion,
        len: usize,
    ) -> Result<StageId, crate::admin::Refusal> {
        self.next_stage += 1;
        let stage = StageId(self.next_stage);
        let admission = self
            .volume
            .admit(stage, version, OpId([3; 16]), len as u64)?;
        let packed = len as u64 <= self.limits.packed_max;
        assert_eq!(admission == Admission::Now(Form::Packed), packed);
        self.stages.insert(stage, Self::bytes_for(version, len));
        self.coming.insert(stage, version);
        Ok(stage)
    }

    /// The driver has all bytes.
    pub(super) fn bytes_came(&mut self, stage: StageId) {
        let version = self.coming.remove(&stage).expect("admitted");
        let bytes = self.stages[&stage].clone();
        let summary = Summary::of(&bytes);
        let fate = self.fates.entry(version).or_default();
        let putting = self.volume.put(stage, &summary, false);
        match putting {
            Ok(Putting::Already) => assert!(fate.durable, "it was told before"),
            Ok(Putting::UnderWay) => {
                fate.again = fate.trash_asked;
                fate.bytes = bytes;
                fate.trash_asked = false;
                fate.trashed = false;
                fate.durable = false;
            }
            Err(_) => {}
        }
    }

    pub(super) fn trash(&mut self, version: ChunkVersion) {
        self.volume.trash(version, self.now);
        if let Some(fate) = self.fates.get_mut(&version) {
            fate.trash_asked = true;
        }
    }

    /// Time passes.
    pub(super) fn wait(&mut self, by: core::time::Duration) {
        self.now = self.now.after(by);
        for fate in self.fates.values_mut() {
            fate.purgeable |= fate.trash_asked;
        }
        self.volume.tick(self.now);
        self.drain_events();
    }

    /// All releases are over.
    pub(super) fn outwait(&mut self) {
        self.wait(self.limits.trash_hold);
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.volume.poll_event() {
            match &event {
                StoreEvent::Ready => {
                    for (version, fate) in &mut self.fates {
                        fate.durable |= self.volume.find(*version).is_some();
                        fate.trashed |= core::mem::take(&mut fate.found_trashed);
                    }
                }
                StoreEvent::Durable { version, .. } => {
                    let fate = self.fates.get_mut(version).expect("was put");
                    fate.durable = true;
                    fate.again = false;
                }
                StoreEvent::Trashed { version } => {
                    let fate = self.fates.get_mut(version).expect("was put");
                    fate.trashed = fate.trash_asked;
                }
                StoreEvent::Removed { version } => {
                    let fate = self.fates.get_mut(version).expect("was put");
                    fate.trashed = true;
                    fate.purgeable = true;
                }
                StoreEvent::Made {
                    stage,
                    form: Form::Alone { file },
                } => {
                    let bytes = self.stages[stage].clone();
                    let half = bytes.len() / 2;
                    for (offset, part) in [(0, &bytes[..half]), (half, &bytes[half..])] {
                        let append = DiskOp::Append {
                            file: file.clone(),
                            offset: ALONE_HEADER + offset as u64,
                            bytes: part.to_vec(),
                        };
                        self.disk.carry_out(&append).expect("has space");
                    }
                    self.bytes_came(*stage);
                }
                _ => {}
            }
            self.events.push(event);
        }
    }

    /// Hands the next batches to idle lanes.
    fn poll(&mut self) {
        let Self {
            volume,
            next_ticket,
            ..
        } = self;
        while let Some(batch) = volume.poll_batch(|| {
            *next_ticket += 1;
            DiskTicket(*next_ticket)
        }) {
            let lane = &mut self.lanes[usize::from(batch.batch.lane == Lane::Background)];
            assert!(lane.is_none(), "one batch of a lane is under way");
            assert!(volume.owns(batch.batch.ticket));
            assert!(batch.fills.is_sorted_by_key(|(position, _)| *position));
            *lane = Some(UnderWay {
                ticket: batch.batch.ticket,
                ops: batch.batch.ops.into(),
                fills: batch.fills.into_iter().collect(),
                done: 0,
            });
        }
    }

    /// Carries out the next operation of a lane; false if it has none.
    pub(super) fn step(&mut self, lane: Lane) -> bool {
        self.drain_events();
        self.poll();
        let slot = usize::from(lane == Lane::Background);
        let Some(mut under_way) = self.lanes[slot].take() else {
            return false;
        };
        let mut result = Ok(());
        if let Some(op) = under_way.ops.pop_front() {
            let op = self.fill(op, under_way.fills.get(&under_way.done));
            let outcome = match self.fault {
                Some((at, kind)) if at == self.ops => {
                    if kind != DiskFaultKind::Unreadable {
                        self.disk.fail(&op);
                    }
                    Err(kind)
                }
                _ => self.disk.carry_out(&op),
            };
            self.ops += 1;
            self.trace.push(op.clone());
            result = outcome.map_err(|kind| DiskFault {
                kind,
                failed_op: under_way.done,
                op: "an operation".to_owned(),
                message: "injected".to_owned(),
            });
            under_way.done += 1;
        }
        if result.is_err() || under_way.ops.is_empty() {
            (self.volume).disk_done(under_way.ticket, result, self.now);
            self.volume.check_invariants();
            self.drain_events();
        } else {
            self.lanes[slot] = Some(under_way);
        }
        true
    }

    fn fill(&self, op: DiskOp, fill: Option<&Fill>) -> DiskOp {
        let Some(fill) = fill else {
            return op;
        };
        let batch = crate::store::volume::VolumeBatch {
            batch: crate::disk::DiskBatch {
                ticket: DiskTicket(0),
                lane: Lane::Foreground,
                ops: vec![op],
            },
            fills: vec![(0, fill.clone())],
        };
        filled(&batch, &self.stages, &self.disk.contents()).remove(0)
    }

    /// Carries out everything, calling `after` behind each operation.
    pub(super) fn run_all(&mut self, mut after: impl FnMut(&Self)) {
        let begin = self.ops;
        while self.step(Lane::Foreground) || self.step(Lane::Background) {
            assert!(self.ops < begin + 10_000, "a volume comes to rest");
            after(self);
        }
    }

    pub(crate) fn run(&mut self) {
        self.run_all(|_| {});
    }

    /// The process is gone; another one starts on what `disk` holds.
    pub(super) fn restart(&mut self, disk: ModelDisk) {
        self.check(&disk.contents());
        let (limits, rules) = (self.limits.clone(), self.rules.clone());
        let mut next = Self::on(disk, limits, self.planted, rules, self.now);
        next.fates = core::mem::take(&mut self.fates);
        next.next_stage = self.next_stage;
        next.next_chunk = self.next_chunk;
        next.ops = self.ops;
        // What was not told may be there or not, and is as it is once the volume is ready.
        next.fates.retain(|version, fate| {
            let here = next.volume.find(*version).is_some();
            fate.found_trashed = here && next.volume.content(*version).is_none();
            fate.trash_asked = fate.found_trashed;
            fate.purgeable = false;
            fate.again = false;
            here
        });
        *self = next;
    }

    /// Scans `files` and holds what is found against what was promised.
    pub(super) fn check(&self, files: &Files) -> Volume {
        let opened = open(files, self.planted);
        let volume = Volume::new(
            self.rules.clone(),
            &opened,
            &self.limits,
            self.planted,
            Timestamp::ZERO,
        );
        volume.check_invariants();
        assert!(
            volume.damage().is_empty(),
            "a mere crash damages nothing: {:?}",
            volume.damage()
        );
        for content in volume.entries() {
            let fate = self.fates.get(&content.version);
            assert!(fate.is_some(), "{} was never put", content.version);
        }
        for (version, fate) in &self.fates {
            let extent = volume.find(*version);
            let counts = volume.content(*version).is_some();
            if let Some(extent) = &extent {
                assert!(
                    read(files, extent).as_ref() == Some(&fate.bytes),
                    "{version} has wrong bytes and was reported as good"
                );
            }
            if fate.durable && !fate.trash_asked {
                assert!(counts, "{version} was promised and is not there");
            }
            if (fate.durable || fate.again) && !fate.purgeable {
                assert!(extent.is_some(), "{version} was promised and is gone");
            }
            if fate.trashed && !fate.again {
                assert!(!counts, "{version} was released and is back");
            }
        }
        volume
    }

    /// Holds everything against one way a crash may have left the disk, also when the opening is
    /// cut short, and goes on from there.
    pub(super) fn check_crash(&self, crash: Crash, choices: &mut Choices) {
        let disk = self.disk.crash(crash, choices);
        let files = disk.contents();
        let volume = self.check(&files);
        assert_eq!(
            open(&files, self.planted),
            open(&files, self.planted),
            "a scan changes nothing"
        );
        let before: Vec<_> = volume.entries().collect();
        let (limits, rules) = (self.limits.clone(), self.rules.clone());
        let mut next = Self::on(disk, limits, self.planted, rules, self.now);
        next.fates.clone_from(&self.fates);
        // A process that was only killed may have seen releases that the power failure takes.
        (next.fates.values_mut()).for_each(|fate| fate.found_trashed = false);
        next.next_chunk = 1000;
        // The owner is told nothing before the volume is ready.
        while !next.volume.is_ready() {
            assert!(next.step(Lane::Foreground), "a volume gets ready");
            let crashed = next.disk.crash(crash, choices);
            let again: Vec<_> = self.check(&crashed.contents()).entries().collect();
            assert!(
                !next.volume.is_ready() || again == before,
                "what a ready volume reports survives the next crash"
            );
        }
        let version = next.put(20);
        next.run();
        assert!(next.fates[&version].durable, "a recovered volume goes on");
        next.check(&next.disk.crash(crash, choices).contents());
    }
}

/// What a driver tells of a directory.
pub(super) fn open(files: &Files, planted: Planted) -> Opened {
    let (label, found) = scan_planted(files, planted).expect("the files can be read");
    Opened {
        label,
        capacity: CAPACITY,
        free: CAPACITY / 2,
        found,
    }
}

/// A chunk's bytes, if they fit their checksums and their digest.
pub(super) fn read(files: &Files, extent: &Extent) -> Option<Vec<u8>> {
    let file = files.get(&extent.file)?;
    let range = |from: u64, len: usize| file.get(from as usize..from as usize + len);
    let bytes = range(extent.offset, extent.len as usize)?;
    let blocks = bytes.chunks(BLOCK).map(crc32fast::hash);
    let table: Vec<u8> = blocks.flat_map(u32::to_le_bytes).collect();
    let good = range(extent.crcs_at, table.len())? == table && Digest::of(bytes) == extent.digest;
    good.then(|| bytes.to_vec())
}
