//! Making room: what lives in a segment that is mostly dead is copied, and the segment goes.
//!
//! The driver copies within the volume and holds the bytes against their checksums; the core sees
//! none of them. A record keeps its serial, so that nothing depends on which copies a crash leaves.
//!
//! The segment with the highest number is never dropped: numbers, and with them the checksums of
//! records, are not used a second time.

use std::collections::VecDeque;

use super::book::{Kept, Place, Segment};
use super::foreground::{Cut, Job, OpenSegment, Writing};
use super::{StoreEvent, Volume};
use crate::disk::{DiskFault, DiskFaultKind, DiskOp};
use crate::store::format::record::{HEADER_LEN, Record, RecordKind, record_size};
use crate::store::format::segment;
use crate::store::{Fill, files};
use crate::time::Timestamp;

use super::background::Work;

/// Where room is short, a segment is worth copying when so much of it, in percent, is dead.
const TIGHT_PERCENT: u64 = 20;

/// Bytes of a sealed segment that are no record of anything.
const OVERHEAD: u64 = segment::HEADER_LEN + HEADER_LEN;

/// How far compaction is.
#[derive(Clone, Debug, Default)]
pub(super) struct Compaction {
    /// Something has died since it was last looked for a segment.
    look: bool,
    /// The last copy found no space.
    paused: bool,
    plan: Option<Plan>,
    /// The segment it writes to.
    target: Option<OpenSegment>,
    cut: Option<Cut>,
}

/// A segment that goes, and the records in it that are still to be copied.
#[derive(Clone, Debug)]
struct Plan {
    victim: u64,
    left: VecDeque<u64>,
}

/// Records on their way to another segment.
#[derive(Clone, Debug)]
pub(super) struct Copying {
    writing: Writing,
    victim: u64,
    /// Where the records were.
    from: Vec<u64>,
    /// Positions of the records' operations in the batch.
    first_op: usize,
}

impl Compaction {
    /// Something has died.
    pub(super) const fn look(&mut self) {
        self.look = true;
    }

    /// There may be space again.
    pub(super) const fn resume(&mut self) {
        self.paused = false;
        self.look = true;
    }

    /// What did not fit is gone.
    pub(super) fn cut_back(&mut self, cut: Cut) {
        self.target = cut.rest();
    }
}

impl Volume {
    pub(super) fn compact(&mut self) -> Option<(Work, Job)> {
        if let Some(cut) = self.compaction.cut.take() {
            return Some((Work::Cutting(cut), Job::of(cut.ops())));
        }
        if self.compaction.plan.is_none() && self.compaction.look {
            self.compaction.look = false;
            self.compaction.plan = self.choose();
        }
        let plan = self.compaction.plan.take()?;
        if plan.left.is_empty() {
            let file = files::segment(plan.victim);
            let ops = vec![DiskOp::Remove { file }, DiskOp::SyncDir];
            return Some((Work::Dropping(plan.victim), Job::of(ops)));
        }
        if self.compaction.paused || self.space.is_blocked() {
            self.compaction.plan = Some(plan);
            return None;
        }
        self.copy(plan)
    }

    /// The segment of which most is dead, if that is worth it.
    fn choose(&self) -> Option<Plan> {
        let highest = *self.book.segments.keys().next_back()?;
        let percent = if self.space.is_tight() {
            TIGHT_PERCENT.min(self.bounds.dead_percent)
        } else {
            self.bounds.dead_percent
        };
        let mut best: Option<(u64, Plan)> = None;
        for (number, segment) in &self.book.segments {
            if !segment.closed || segment.kept || *number == highest {
                continue;
            }
            // Without what every segment has: a copy must be smaller than what it replaces, or
            // compaction would never end.
            let len = segment.len.saturating_sub(OVERHEAD).max(1);
            if segment.live.saturating_mul(100) >= len.saturating_mul(100 - percent) {
                continue;
            }
            let left: VecDeque<u64> = self.living(*number, segment).collect();
            let size = |at: &u64| {
                segment
                    .records
                    .get(at)
                    .map_or(0, |kept| record_size(kept.len))
            };
            let copied: u64 = left.iter().map(size).sum();
            let share = copied.saturating_mul(100) / len;
            let worth = copied == 0 || share < 100 - percent;
            if worth && best.as_ref().is_none_or(|(least, _)| share < *least) {
                let victim = *number;
                best = Some((share, Plan { victim, left }));
            }
        }
        best.map(|(_, plan)| plan)
    }

    /// Offsets of the records that must outlive their segment.
    fn living(&self, number: u64, segment: &Segment) -> impl Iterator<Item = u64> {
        (segment.records.iter())
            .filter(move |(offset, kept)| self.lives(number, **offset, kept))
            .map(|(offset, _)| *offset)
    }

    fn lives(&self, number: u64, offset: u64, kept: &Kept) -> bool {
        match kept.kind {
            RecordKind::Chunk => {
                let entry = self.book.entries.get(&kept.version);
                let place = Place::Packed {
                    segment: number,
                    offset,
                };
                entry.is_some_and(|entry| entry.place == place)
            }
            RecordKind::Tombstone => self.book.is_needed(number, kept),
            RecordKind::End => false,
        }
    }

    fn copy(&mut self, mut plan: Plan) -> Option<(Work, Job)> {
        let mut job = Job::default();
        let target = self.compaction.target.take();
        let (before, created, mut len) = self.segment_for(target, &mut job);
        let first_op = job.ops.len();
        let (to, seed) = (files::segment(before.number), self.seed(before.number));
        let (mut records, mut from) = (Vec::new(), Vec::new());
        let begin = len;
        while len - begin < self.bounds.copy_bytes
            && records.len() < self.bounds.batch_records
            && let Some(at) = plan.left.pop_front()
        {
            let Some((mut record, fill)) = self.record_at(plan.victim, at) else {
                continue;
            };
            record.synced = before.synced;
            let append = DiskOp::Append {
                file: to.clone(),
                offset: len,
                bytes: record.encode(seed, len).to_vec(),
            };
            job.append(append, fill);
            records.push((len, record, None));
            from.push(at);
            len += record.size();
        }
        let writes = job.ops.len();
        job.ops.push(DiskOp::Sync { file: to });
        if created {
            job.ops.push(DiskOp::SyncDir);
        }
        let victim = plan.victim;
        self.compaction.plan = Some(plan);
        let writing = Writing {
            before,
            created,
            len,
            records,
            writes,
            syncs: true,
        };
        let copying = Copying {
            writing,
            victim,
            from,
            first_op,
        };
        Some((Work::Copying(copying), job))
    }

    /// A record that still has to be copied, and the bytes behind its header.
    fn record_at(&self, number: u64, offset: u64) -> Option<(Record, Option<Fill>)> {
        let kept = self.book.segments.get(&number)?.records.get(&offset)?;
        if !self.lives(number, offset, kept) {
            return None;
        }
        let bare = Record::bare(kept.kind, kept.version, kept.serial);
        if kept.kind != RecordKind::Chunk {
            return Some((bare, None));
        }
        let entry = self.book.entries.get(&kept.version)?;
        let record = Record {
            op: entry.op,
            len: entry.len,
            digest: entry.digest,
            table_crc: entry.table_crc,
            ..bare
        };
        let fill = Fill::Copy {
            file: files::segment(number),
            crcs_at: offset + HEADER_LEN,
            len: entry.len,
        };
        Some((record, (entry.len > 0).then_some(fill)))
    }

    pub(super) fn copied(&mut self, copying: Copying) {
        let Copying {
            writing,
            victim,
            from,
            ..
        } = copying;
        let number = writing.before.number;
        self.compaction.target = Some(writing.after());
        self.wrote(writing.len - writing.before.len);
        let slot = self.book.segments.entry(number).or_default();
        slot.len = slot.len.max(segment::HEADER_LEN);
        for (old, (new, record, _)) in from.into_iter().zip(&writing.records) {
            self.book.moved((victim, old), (number, *new), record);
        }
    }

    pub(super) fn dropped(&mut self, number: u64) {
        self.book.drop_segment(number);
        self.compaction.look();
    }

    pub(super) fn copy_failed(&mut self, copying: Copying, fault: &DiskFault, now: Timestamp) {
        let unreadable = fault.kind == DiskFaultKind::Unreadable;
        let not_now = fault.kind == DiskFaultKind::NotNow;
        if !unreadable && !not_now && !copying.writing.did_not_fit(fault) {
            self.fail(fault);
            return;
        }
        self.compaction.cut = Some(copying.writing.cut());
        if !unreadable {
            if let Some(plan) = &mut self.compaction.plan {
                copying
                    .from
                    .iter()
                    .rev()
                    .for_each(|at| plan.left.push_front(*at));
            }
            self.compaction.paused = true;
            if !not_now {
                self.exhausted(now);
            }
            return;
        }
        // Kept as it is: what cannot be copied must not go with the rest.
        self.compaction.plan = None;
        self.compaction.look = true;
        if let Some(segment) = self.book.segments.get_mut(&copying.victim) {
            segment.kept = true;
        }
        let position = fault.failed_op.checked_sub(copying.first_op);
        let record = position.and_then(|position| copying.writing.records.get(position));
        if let Some((_, record, _)) = record {
            self.events.push_back(StoreEvent::Suspect {
                version: record.version,
                reason: format!("{fault}, while its segment was compacted"),
            });
        }
    }
}
