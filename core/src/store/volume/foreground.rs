//! What somebody waits for: packed chunks, releases, and files for large chunks.
//!
//! Chunks and releases gather while a batch is on the disk, and the next one takes all that have
//! gathered, under one sync; there is no timer (group commit: DeWitt et al., "Implementation
//! techniques for main memory database systems", SIGMOD 1984).

use super::book::{Entry, Trash};
use super::{Before, Form, Phase, Promise, Sealing, Step, StoreEvent, Volume};
use crate::dfs::ids::{ChunkVersion, StageId};
use crate::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, Lane};
use crate::ids::DiskTicket;
use crate::planted::Planted;
use crate::store::format::alone::AloneHeader;
use crate::store::format::encode_table;
use crate::store::format::record::{Record, RecordKind};
use crate::store::format::segment::{HEADER_LEN, SegmentHeader};
use crate::store::scan::Found;
use crate::store::{Fill, files};
use crate::time::Timestamp;

/// A batch in the making.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) ops: Vec<DiskOp>,
    pub(super) fills: Vec<(usize, Fill)>,
}

impl Job {
    /// A batch without chunk bytes.
    pub(super) const fn of(ops: Vec<DiskOp>) -> Self {
        Self {
            ops,
            fills: Vec::new(),
        }
    }

    /// Adds an append with chunk bytes behind its own.
    pub(super) fn append(&mut self, op: DiskOp, fill: Option<Fill>) {
        self.fills.extend(fill.map(|fill| (self.ops.len(), fill)));
        self.ops.push(op);
    }

    pub(super) fn batch(
        mut self,
        ticket: DiskTicket,
        lane: Lane,
        planted: Planted,
    ) -> super::VolumeBatch {
        if planted.store_skip_dir_sync {
            self.ops.retain(|op| *op != DiskOp::SyncDir);
        }
        super::VolumeBatch {
            batch: DiskBatch {
                ticket,
                lane,
                ops: self.ops,
            },
            fills: self.fills,
        }
    }
}

/// A segment that is being written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenSegment {
    pub(super) number: u64,
    pub(super) len: u64,
    /// Bytes that are known to be durable.
    pub(super) synced: u64,
}

impl From<OpenSegment> for Sealing {
    /// The segment was written to its end by this process, so that nothing in it is torn.
    fn from(open: OpenSegment) -> Self {
        Self {
            number: open.number,
            len: open.len,
            whole: open.len,
        }
    }
}

/// Something to be written to the open segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pending {
    Chunk(StageId),
    Tombstone { version: ChunkVersion, serial: u64 },
}

/// The remains of a batch that did not fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The segment as it was before.
    pub(super) segment: OpenSegment,
    /// Whether the batch created it.
    pub(super) created: bool,
}

impl Cut {
    /// What removes them. Nobody was promised what they hold.
    pub(super) fn ops(&self) -> Vec<DiskOp> {
        let file = files::segment(self.segment.number);
        if self.created {
            return vec![DiskOp::Remove { file }, DiskOp::SyncDir];
        }
        let len = self.segment.len;
        vec![
            DiskOp::Truncate {
                file: file.clone(),
                len,
            },
            DiskOp::Sync { file },
        ]
    }

    /// The segment to go on with.
    pub(super) fn rest(&self) -> Option<OpenSegment> {
        (!self.created).then_some(self.segment)
    }
}

/// Records on their way to a segment.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    /// The segment as it was before.
    pub(super) before: OpenSegment,
    pub(super) created: bool,
    /// Its length behind them.
    pub(super) len: u64,
    pub(super) records: Vec<(u64, Record, Option<StageId>)>,
    /// Position in the batch behind the writes.
    pub(super) writes: usize,
    /// Whether the batch syncs them.
    pub(super) syncs: bool,
}

impl Writing {
    /// How many bytes are written.
    pub(super) const fn bytes(&self) -> u64 {
        self.len - self.before.len
    }

    /// Whether a fault is a full disk met while writing, which harms nothing that was there.
    ///
    /// From a sync the same words mean something else: bytes that had been taken are lost.
    pub(super) fn did_not_fit(&self, fault: &DiskFault) -> bool {
        fault.kind == DiskFaultKind::NoSpace && fault.failed_op < self.writes
    }

    pub(super) const fn cut(&self) -> Cut {
        Cut {
            segment: self.before,
            created: self.created,
        }
    }

    /// The segment as it is now.
    pub(super) const fn after(&self) -> OpenSegment {
        OpenSegment {
            number: self.before.number,
            len: self.len,
            synced: if self.syncs {
                self.len
            } else {
                self.before.synced
            },
        }
    }
}

/// What the foreground lane is doing.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Opening,
    Making(Vec<StageId>),
    Writing(Writing),
    Cutting(Cut),
}

/// What makes sure that what was found is on the disk.
pub(super) fn opening_ops(found: &Found, data_sync: bool) -> Vec<DiskOp> {
    let leftovers = found.leftovers.iter().cloned();
    let mut ops: Vec<DiskOp> = leftovers.map(|file| DiskOp::Remove { file }).collect();
    if data_sync {
        let open = found.segments.iter().filter(|segment| !segment.sealed);
        ops.extend(open.map(|segment| DiskOp::Sync {
            file: files::segment(segment.number),
        }));
    }
    ops.push(DiskOp::SyncDir);
    ops
}

impl Volume {
    pub(super) fn next_foreground(&mut self) -> Option<(Work, Job)> {
        if let Phase::Opening(ops) = &mut self.phase {
            return Some((Work::Opening, Job::of(core::mem::take(ops))));
        }
        if let Some(cut) = self.cut.take() {
            return Some((Work::Cutting(cut), Job::of(cut.ops())));
        }
        if !self.making.is_empty() {
            return Some(self.make_files());
        }
        let blocked = self.space.is_blocked() || self.pending.is_empty();
        (!blocked).then(|| self.write_pending())
    }

    fn make_files(&mut self) -> (Work, Job) {
        let count = self.making.len().min(self.bounds.batch_records);
        let stages: Vec<StageId> = self.making.drain(..count).collect();
        let mut job = Job::default();
        for promise in stages.iter().filter_map(|stage| self.promises.get(stage)) {
            let Form::Alone { file } = &promise.form else {
                continue;
            };
            let header = AloneHeader {
                volume: self.rules.volume,
                version: promise.version,
                op: promise.op,
            };
            job.ops.extend([
                DiskOp::CreateOrEmpty { file: file.clone() },
                DiskOp::Append {
                    file: file.clone(),
                    offset: 0,
                    bytes: header.encode(),
                },
            ]);
        }
        (Work::Making(stages), job)
    }

    /// The segment to write to: `open`, or a new one where that is full or missing.
    pub(super) fn segment_for(
        &mut self,
        open: Option<OpenSegment>,
        job: &mut Job,
    ) -> (OpenSegment, bool, u64) {
        if let Some(open) = open {
            if open.len < self.bounds.segment_bytes {
                return (open, false, open.len);
            }
            self.sealing.push_back(open.into());
        }
        let number = self.next_number;
        self.next_number += 1;
        let file = files::segment(number);
        let header = SegmentHeader {
            volume: self.rules.volume,
            number,
        };
        job.ops.extend([
            DiskOp::CreateNew { file: file.clone() },
            DiskOp::Append {
                file,
                offset: 0,
                bytes: header.encode().to_vec(),
            },
        ]);
        let open = OpenSegment {
            number,
            len: 0,
            synced: 0,
        };
        (open, true, HEADER_LEN)
    }

    fn write_pending(&mut self) -> (Work, Job) {
        let mut job = Job::default();
        if let (true, Some(open)) = (self.planted.store_ack_before_sync, self.open) {
            job.ops.push(DiskOp::Sync {
                file: files::segment(open.number),
            });
        }
        let open = self.open.take();
        let (before, created, mut len) = self.segment_for(open, &mut job);
        let file = files::segment(before.number);
        let seed = self.seed(before.number);
        let mut records = Vec::new();
        let mut releases = false;
        let begin = len;
        while records.len() < self.bounds.batch_records && len - begin < self.bounds.batch_bytes {
            let Some(pending) = self.pending.pop_front() else {
                break;
            };
            let (mut record, table, stage) = match pending {
                Pending::Tombstone { version, serial } => {
                    releases = true;
                    let record = Record::bare(RecordKind::Tombstone, version, serial);
                    (record, Vec::new(), None)
                }
                Pending::Chunk(stage) => {
                    let Some((record, table)) = self.record_of(stage) else {
                        continue;
                    };
                    (record, table, Some(stage))
                }
            };
            record.synced = before.synced;
            let append = DiskOp::Append {
                file: file.clone(),
                offset: len,
                bytes: [record.encode(seed, len).as_slice(), &table].concat(),
            };
            job.append(append, stage.map(Fill::Stage));
            records.push((len, record, stage));
            len += record.size();
        }
        let writes = job.ops.len();
        let syncs = self.rules.data_sync || releases;
        if syncs && !self.planted.store_skip_sync && !self.planted.store_ack_before_sync {
            job.ops.push(DiskOp::Sync { file });
        }
        if created {
            job.ops.push(DiskOp::SyncDir);
        }
        let writing = Writing {
            before,
            created,
            len,
            records,
            writes,
            syncs,
        };
        (Work::Writing(writing), job)
    }

    /// What the checksums of the records of a segment begin with.
    pub(super) fn seed(&self, number: u64) -> u32 {
        let volume = self.rules.volume;
        SegmentHeader { volume, number }.seed()
    }

    fn record_of(&self, stage: StageId) -> Option<(Record, Vec<u8>)> {
        let promise = self.promises.get(&stage)?;
        let Step::Putting { serial, summary } = &promise.step else {
            return None;
        };
        let (table, table_crc) = encode_table(&summary.blocks);
        let record = Record {
            op: promise.op,
            len: summary.len,
            digest: summary.digest,
            table_crc,
            ..Record::bare(RecordKind::Chunk, promise.version, *serial)
        };
        Some((record, table))
    }

    /// Whether a batch that is on the disk will decide about a stage.
    pub(super) fn is_under_way(&self, stage: StageId) -> bool {
        let foreground = match &self.foreground {
            Some((_, Work::Making(stages))) => stages.contains(&stage),
            Some((_, Work::Writing(writing))) => {
                let mut stages = writing.records.iter().filter_map(|(_, _, stage)| *stage);
                stages.any(|other| other == stage)
            }
            Some((_, Work::Opening | Work::Cutting(_))) | None => false,
        };
        foreground || self.is_finishing(stage)
    }

    pub(super) fn foreground_done(
        &mut self,
        work: Work,
        result: Result<(), DiskFault>,
        now: Timestamp,
    ) {
        match (work, result) {
            (Work::Opening, Ok(())) => {
                self.phase = Phase::Ready;
                self.events
                    .extend([StoreEvent::Ready, StoreEvent::StateChanged]);
                self.purge_due(now);
            }
            (Work::Making(stages), Ok(())) => stages.into_iter().for_each(|stage| self.made(stage)),
            (Work::Writing(writing), Ok(())) => self.written(writing, now),
            (Work::Cutting(cut), Ok(())) => self.open = cut.rest(),
            (Work::Writing(writing), Err(fault)) if writing.did_not_fit(&fault) => {
                self.cut = Some(writing.cut());
                for (_, record, _) in writing.records.iter().rev() {
                    if record.kind == RecordKind::Tombstone {
                        self.pending.push_front(Pending::Tombstone {
                            version: record.version,
                            serial: record.serial,
                        });
                    }
                }
                self.exhausted(now);
            }
            (Work::Making(_), Err(fault)) if fault.kind == DiskFaultKind::NoSpace => {
                self.exhausted(now);
            }
            (_, Err(fault)) => self.fail(&fault),
        }
    }

    fn made(&mut self, stage: StageId) {
        let Some(promise) = self.promises.get_mut(&stage) else {
            return;
        };
        if matches!(promise.step, Step::Unwanted) {
            if let Some(Promise {
                form: Form::Alone { file },
                ..
            }) = self.promises.remove(&stage)
            {
                self.discarded.push(file);
            }
            return;
        }
        promise.step = Step::Coming;
        let form = promise.form.clone();
        self.events.push_back(StoreEvent::Made { stage, form });
    }

    fn written(&mut self, writing: Writing, now: Timestamp) {
        let segment = writing.before.number;
        self.open = Some(writing.after());
        self.wrote(writing.len - writing.before.len);
        for (offset, record, stage) in &writing.records {
            match stage {
                Some(stage) => {
                    let released = self.book.trash_of(record.version);
                    let before = self.book.before(record.version);
                    self.book.add_chunk(segment, *offset, record);
                    self.durable(*stage, before, released, now);
                }
                None => {
                    self.book.add_other(segment, *offset, record);
                    self.tombstone_durable(record.version, record.serial);
                }
            }
        }
        self.purge_due(now);
    }

    /// A chunk is on the disk, and in the book. `released` is the release of the content that was there
    /// before it, if there was a released one.
    pub(super) fn durable(
        &mut self,
        stage: StageId,
        before: Before,
        released: Option<Trash>,
        now: Timestamp,
    ) {
        let Some(promise) = self.promises.remove(&stage) else {
            return;
        };
        let version = promise.version;
        self.lost.remove(&version);
        let of_now = self.book.trash_of(version);
        if let Some(released) = released
            && of_now.is_none_or(|trash| trash.until != released.until)
        {
            self.trashed.remove(&(released.until, version));
        }
        // Unless a later write of the same content counts already.
        let holds = self.book.entries.get(&version).map(|entry| entry.serial);
        let released = (promise.released).filter(|serial| holds.is_some_and(|it| it < *serial));
        let leaves = released.filter(|_| of_now.is_none());
        self.events.push_back(StoreEvent::Durable {
            stage,
            version,
            before,
            counts: leaves.is_none() && of_now.is_none(),
        });
        if let Some(serial) = leaves {
            self.release(version, serial, now);
        }
    }

    fn tombstone_durable(&mut self, version: ChunkVersion, serial: u64) {
        let entry: Option<&mut Entry> = self.book.entries.get_mut(&version);
        let trash: Option<&mut Trash> = entry.and_then(|entry| entry.trash.as_mut());
        if let Some(trash) = trash.filter(|trash| trash.serial == serial) {
            trash.durable = true;
            self.events.push_back(StoreEvent::Trashed { version });
        }
    }
}
