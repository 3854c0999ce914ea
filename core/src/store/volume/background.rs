//! What takes longer: large chunks, and what nobody waits for.

use super::book::{Entry, Place};
use super::compaction::Copying;
use super::foreground::{Cut, Job};
use super::{ChunkVersion, Form, Sealing, StageId, Step, StoreEvent, Volume};
use crate::disk::{DiskFault, DiskFaultKind, DiskOp, FileName};
use crate::store::format::alone::{AloneFooter, AloneHeader, alone_size};
use crate::store::format::encode_table;
use crate::store::format::record::{Record, RecordKind};
use crate::store::{ALONE_HEADER, files};
use crate::time::Timestamp;

/// Large chunks that share a sync of the directory, at most. Each has a sync of its own before it.
const FINISH_AT_ONCE: usize = 8;

/// Files that are removed in one batch, at most.
const REMOVE_AT_ONCE: usize = 64;

/// What the background lane is doing.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Finishing(Vec<Finished>),
    Purging(Vec<ChunkVersion>),
    Discarding,
    Sealing(Sealing),
    Copying(Copying),
    Dropping(u64),
    Cutting(Cut),
}

/// A large chunk as it will be.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    stage: StageId,
    version: ChunkVersion,
    pub(super) entry: Entry,
}

impl Volume {
    pub(super) fn next_background(&mut self) -> Option<(Work, Job)> {
        if !self.is_ready() {
            return None;
        }
        // Large chunks and the rest take turns, so that neither waits for ever.
        if self.finished_last {
            self.finished_last = false;
            let work = self.next_chore();
            return work.or_else(|| self.finish());
        }
        let work = self.finish();
        self.finished_last = work.is_some();
        work.or_else(|| self.next_chore())
    }

    fn next_chore(&mut self) -> Option<(Work, Job)> {
        self.purge_files()
            .or_else(|| self.discard())
            .or_else(|| self.seal())
            .or_else(|| self.compact())
    }

    fn finish(&mut self) -> Option<(Work, Job)> {
        let count = self.finishing.len().min(FINISH_AT_ONCE);
        let stages: Vec<StageId> = self.finishing.drain(..count).collect();
        let (mut appends, mut syncs, mut renames) = (Vec::new(), Vec::new(), Vec::new());
        let mut finished = Vec::new();
        for stage in stages {
            let Some(promise) = self.promises.get(&stage) else {
                continue;
            };
            let (Form::Alone { file }, Step::Putting { serial, summary }) =
                (&promise.form, &promise.step)
            else {
                continue;
            };
            let header = AloneHeader {
                volume: self.rules.volume,
                version: promise.version,
                op: promise.op,
            };
            let (mut bytes, table_crc) = encode_table(&summary.blocks);
            let footer = AloneFooter {
                serial: *serial,
                len: summary.len,
                digest: summary.digest,
                table_crc,
            };
            bytes.extend(footer.encode(header.seed()));
            appends.push(DiskOp::Append {
                file: file.clone(),
                offset: ALONE_HEADER + summary.len,
                bytes,
            });
            if self.rules.data_sync && !self.planted.store_skip_sync {
                syncs.push(DiskOp::Sync { file: file.clone() });
            }
            renames.push(DiskOp::Rename {
                from: file.clone(),
                to: files::alone(promise.version),
            });
            finished.push(Finished {
                stage,
                version: promise.version,
                entry: Entry {
                    op: promise.op,
                    len: summary.len,
                    digest: summary.digest,
                    table_crc,
                    serial: *serial,
                    place: Place::Alone,
                    trash: None,
                },
            });
        }
        if finished.is_empty() {
            return None;
        }
        let ops = [appends, syncs, renames, vec![DiskOp::SyncDir]].concat();
        Some((Work::Finishing(finished), Job::of(ops)))
    }

    /// Whether a large chunk is on its way to its name.
    pub(super) fn is_finishing(&self, stage: StageId) -> bool {
        match &self.background {
            Some((_, Work::Finishing(finished))) => {
                finished.iter().any(|finished| finished.stage == stage)
            }
            _ => false,
        }
    }

    /// Removes the files of large chunks whose time is over.
    fn purge_files(&mut self) -> Option<(Work, Job)> {
        if self.purging.is_empty() {
            return None;
        }
        let versions: Vec<ChunkVersion> =
            self.purging.iter().take(REMOVE_AT_ONCE).copied().collect();
        let names = versions.iter().map(|version| files::alone(*version));
        let ops = removal(names.collect());
        Some((Work::Purging(versions), Job::of(ops)))
    }

    fn discard(&mut self) -> Option<(Work, Job)> {
        let count = self.discarded.len().min(REMOVE_AT_ONCE);
        let names: Vec<FileName> = self.discarded.drain(..count).collect();
        (!names.is_empty()).then(|| (Work::Discarding, Job::of(removal(names))))
    }

    /// Ends a segment that gets no further record. All of it is durable first: the end says so.
    fn seal(&mut self) -> Option<(Work, Job)> {
        if self.space.is_blocked() {
            return None;
        }
        let sealing = self.sealing.pop_front()?;
        let file = files::segment(sealing.number);
        let version = ChunkVersion::first(crate::dfs::ids::ChunkId(0));
        let end = Record {
            synced: sealing.whole,
            ..Record::bare(RecordKind::End, version, 0)
        };
        let bytes = end.encode(self.seed(sealing.number), sealing.len);
        let sync = DiskOp::Sync { file: file.clone() };
        let append = DiskOp::Append {
            file,
            offset: sealing.len,
            bytes: bytes.to_vec(),
        };
        let ops = vec![sync.clone(), append, sync];
        Some((Work::Sealing(sealing), Job::of(ops)))
    }

    pub(super) fn background_done(
        &mut self,
        work: Work,
        result: Result<(), DiskFault>,
        now: Timestamp,
    ) {
        match (work, result) {
            (Work::Finishing(finished), Ok(())) => {
                for finished in finished {
                    self.wrote(alone_size(finished.entry.len));
                    let released = self.book.trash_of(finished.version);
                    let before = self.book.before(finished.version);
                    self.book.supersede(finished.version, finished.entry);
                    self.durable(finished.stage, before, released, now);
                }
                self.purge_due(now);
            }
            (Work::Purging(versions), Ok(())) => {
                for version in versions {
                    self.purging.remove(&version);
                    self.removed(version);
                }
            }
            (Work::Discarding, Ok(())) => {}
            (Work::Sealing(sealing), Ok(())) => self.sealed(sealing),
            (Work::Copying(copying), Ok(())) => self.copied(copying),
            (Work::Dropping(number), Ok(())) => self.dropped(number),
            (Work::Cutting(cut), Ok(())) => self.compaction.cut_back(cut),
            (Work::Finishing(finished), Err(fault))
                if fault.kind == DiskFaultKind::NoSpace && fault.failed_op < finished.len() =>
            {
                self.exhausted(now);
            }
            // The end of a segment did not fit: the next process seals it.
            (Work::Sealing(_), Err(fault))
                if fault.kind == DiskFaultKind::NoSpace && fault.failed_op == 1 => {}
            (Work::Copying(copying), Err(fault)) => self.copy_failed(copying, &fault, now),
            (_, Err(fault)) => self.fail(&fault),
        }
    }

    fn sealed(&mut self, sealing: Sealing) {
        if let Some(segment) = self.book.segments.get_mut(&sealing.number) {
            segment.closed = true;
            segment.len = sealing.len + crate::store::format::record::HEADER_LEN;
        }
        self.compaction.look();
    }

    /// Lets go what has been released long enough, or all that was, where room is short.
    pub(super) fn purge_due(&mut self, now: Timestamp) {
        if !self.is_ready() {
            return;
        }
        let tight = self.space.is_tight();
        let due: Vec<ChunkVersion> = (self.trashed.iter())
            .take_while(|(until, _)| tight || *until <= now)
            .map(|(_, version)| *version)
            .filter(|version| self.may_purge(*version))
            .collect();
        for version in due {
            let entry = self.book.entries.get(&version);
            if entry.is_some_and(|entry| entry.place == Place::Alone) {
                self.purging.insert(version);
            } else {
                self.removed(version);
            }
        }
    }

    /// Whether a release is durable and nothing else happens to the chunk.
    ///
    /// Where not a byte can be written, the removal of a file stands for its own tombstone, if it
    /// is the last that is there of the chunk.
    pub(super) fn may_purge(&self, version: ChunkVersion) -> bool {
        let Some(entry) = self.book.entries.get(&version) else {
            return false;
        };
        let stands_alone = entry.place == Place::Alone && !self.book.has_ghosts(version);
        let durable = entry.trash.is_some_and(|trash| trash.durable)
            || self.space.is_blocked() && entry.trash.is_some() && stands_alone;
        let comes = (self.promises.values()).any(|promise| promise.version == version);
        durable && !comes && !self.purging.contains(&version)
    }

    fn removed(&mut self, version: ChunkVersion) {
        let Some(entry) = self.book.forget(version) else {
            return;
        };
        if let Some(trash) = entry.trash {
            self.trashed.remove(&(trash.until, version));
            if !trash.durable {
                // Its removal stands for its tombstone, and is what its owner waits for.
                self.events.push_back(StoreEvent::Trashed { version });
            }
        }
        self.compaction.look();
        self.events.push_back(StoreEvent::Removed { version });
    }
}

/// Removes files for good.
fn removal(names: Vec<FileName>) -> Vec<DiskOp> {
    let mut ops: Vec<DiskOp> = names
        .into_iter()
        .map(|file| DiskOp::Remove { file })
        .collect();
    ops.push(DiskOp::SyncDir);
    ops
}
