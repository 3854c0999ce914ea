//! One volume, as the machine of a data node sees it.
//!
//! ```text
//!            packed    ┌────────────┐ one Append a chunk, one Sync for all
//!  admit ─────────────►│ foreground │──────────────────────────► Durable
//!    │                 └────────────┘  the next batch takes what has gathered
//!    │ alone: a file is made, the driver fills it
//!    │                 ┌────────────┐ checksums and footer, Sync, Rename, SyncDir
//!    └── put ─────────►│ background │──────────────────────────► Durable
//!                      └────────────┘ also: seals, purges, compaction
//! ```
//!
//! # What always holds
//!
//! 1. A chunk is [`Durable`](StoreEvent::Durable), a release [`Trashed`](StoreEvent::Trashed), only
//!    when a sync that began after it was written has succeeded, and the name of its file too.
//! 2. Every act has a *serial*, which grows. What holds of a chunk is the act with the highest one,
//!    wherever its record lies and however often it was copied.
//! 3. A process never writes to a segment that an earlier process wrote to, but for its end: what a
//!    crash has torn is never behind something that was durable.
//! 4. What was found is told to nobody before it is known to be on the disk: the process before may
//!    have been killed between a write and its sync.
//! 5. A segment is removed only when all that holds in it, and every tombstone that something
//!    elsewhere needs, is durable in another.
//! 6. After a failed sync, or any fault but a full disk, nothing more is written.
//!
//! A released chunk gets a tombstone record, also one that has a file of its own: the release shares
//! a sync with whatever else is written, the file keeps its name for whoever is reading it, and a
//! crash leaves it released or not. The file is removed when its time is over; as long as it is
//! there, so is the tombstone.

mod background;
mod book;
mod compaction;
mod foreground;
mod space;

use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use book::{Book, Trash};
use compaction::Compaction;
use foreground::{Cut, OpenSegment, Pending, opening_ops};

use super::format::alone::alone_size;
use super::format::record::record_size;
use super::scan::{Found, Gap, GapKind, Opened};
use super::{Extent, Fill, Form, files};
use crate::admin::Refusal;
use crate::dfs::ask::VolumeState;
use crate::dfs::digest::{Digest, Summary};
use crate::dfs::ids::{ChunkVersion, OpId, StageId, VolumeId};
use crate::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName, Lane};
use crate::ids::DiskTicket;
use crate::limits::Limits;
use crate::planted::Planted;
use crate::time::Timestamp;

/// How a volume is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRules {
    /// Its directory, for people.
    pub path: String,
    /// Its identity, from the label.
    pub volume: VolumeId,
    /// Whether the bytes of chunks are synced before they are acknowledged. Without it a power
    /// failure may take chunks that were; names, releases and seals are synced all the same.
    pub data_sync: bool,
}

/// Something that the owner of a volume should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// What was found is on the disk and may be reported; chunks may be admitted.
    Ready,
    /// The file of a large chunk is there: the driver may write into it.
    Made {
        /// As it was admitted.
        stage: StageId,
        /// The file.
        form: Form,
    },
    /// A chunk is on the disk. Its stage is used up.
    Durable {
        /// As it was admitted.
        stage: StageId,
        /// The content.
        version: ChunkVersion,
        /// What there was of it before.
        before: Before,
        /// Whether it counts. It does not if it was released while it came.
        counts: bool,
    },
    /// A chunk will not be on the disk. Its stage is to be dropped.
    Failed {
        /// As it was admitted.
        stage: StageId,
        /// Why.
        refusal: Refusal,
    },
    /// A release is on the disk: the content is not counted any more, and can be read for a while.
    Trashed {
        /// The content.
        version: ChunkVersion,
    },
    /// A released content is gone for good.
    Removed {
        /// The content.
        version: ChunkVersion,
    },
    /// The bytes of a content could not be copied: they should be read and verified.
    Suspect {
        /// The content.
        version: ChunkVersion,
        /// What was met.
        reason: String,
    },
    /// [`Volume::state`] has changed.
    StateChanged,
}

/// What becomes of a chunk that may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its bytes may come now.
    Now(Form),
    /// Its bytes may come after [`StoreEvent::Made`].
    WhenMade,
}

/// What a volume had of a content that becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing, or what was released for good.
    Nothing,
    /// The same content, which counts: two writes of it were under way.
    Same,
    /// The same content, whose release was not durable yet. It will not be: the content is back.
    Leaving,
}

/// What becomes of a chunk that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Putting {
    /// [`StoreEvent::Durable`] or [`StoreEvent::Failed`] will tell.
    UnderWay,
    /// The same content is on the disk already. The stage is to be dropped.
    Already,
}

/// Operations on the volume, and what goes behind which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeBatch {
    /// The operations.
    pub batch: DiskBatch,
    /// As in [`Effect::Volume`](crate::io::Effect::Volume).
    pub fills: Vec<(usize, Fill)>,
}

/// A content that the volume has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Which.
    pub version: ChunkVersion,
    /// How many bytes.
    pub len: u64,
    /// Digest of them.
    pub digest: Digest,
    /// The write that brought it.
    pub op: OpId,
}

/// A bad place that was found when the volume was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: FileName,
    /// Where in it; `None` for a large chunk's own file.
    pub gap: Option<Gap>,
    /// Chunks that are lost there, as far as can be told.
    pub lost: Vec<ChunkVersion>,
    /// What is wrong, in words.
    pub reason: String,
}

/// A volume in use.
///
/// Ask [`Volume::poll_batch`] and [`Volume::poll_event`] until they return `None` after each call of
/// another method, carry the batches out, and report each to [`Volume::disk_done`].
#[derive(Clone, Debug)]
pub struct Volume {
    rules: VolumeRules,
    bounds: Bounds,
    planted: Planted,
    phase: Phase,
    space: space::Space,
    book: Book,
    damage: Vec<Damage>,
    /// Contents that are lost and not known to be whole elsewhere on the volume.
    lost: BTreeSet<ChunkVersion>,
    /// Number of the next segment.
    next_number: u64,
    next_serial: u64,
    promises: BTreeMap<StageId, Promise>,
    events: VecDeque<StoreEvent>,

    foreground: Option<(DiskTicket, foreground::Work)>,
    /// Files to be made for large chunks.
    making: VecDeque<StageId>,
    /// What is to be written to the open segment.
    pending: VecDeque<Pending>,
    open: Option<OpenSegment>,
    cut: Option<Cut>,

    background: Option<(DiskTicket, background::Work)>,
    /// Large chunks whose bytes have all come.
    finishing: VecDeque<StageId>,
    /// Unfinished files that nobody wants.
    discarded: Vec<FileName>,
    /// Segments that get no further record.
    sealing: VecDeque<Sealing>,
    /// Releases, by the time when they are over.
    trashed: BTreeSet<(Timestamp, ChunkVersion)>,
    /// Large chunks whose time is over.
    purging: BTreeSet<ChunkVersion>,
    compaction: Compaction,
    /// Whether the last background batch was one of large chunks.
    finished_last: bool,
}

/// Where the volume is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// What was found is not known to be durable yet; the operations that make it so.
    Opening(Vec<DiskOp>),
    Ready,
    Failed(String),
}

/// The limits it keeps to.
#[derive(Clone, Debug)]
struct Bounds {
    packed_max: u64,
    segment_bytes: u64,
    batch_records: usize,
    batch_bytes: u64,
    copy_bytes: u64,
    dead_percent: u64,
    trash_hold: Duration,
}

/// A segment to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sealing {
    number: u64,
    len: u64,
    /// Where the first place is that a crash has torn.
    whole: u64,
}

/// A chunk that may come.
#[derive(Clone, Debug)]
struct Promise {
    version: ChunkVersion,
    op: OpId,
    /// The most bytes it may have.
    len: u64,
    form: Form,
    step: Step,
    /// Serial of the release, if the chunk was released while it came.
    released: Option<u64>,
}

/// How far it has come.
#[derive(Clone, Debug)]
enum Step {
    /// Its file is being made.
    Making,
    /// Its file is being made and will not be needed.
    Unwanted,
    /// Its bytes are coming.
    Coming,
    /// All bytes have come.
    Putting { serial: u64, summary: Summary },
}

impl Promise {
    /// Bytes that it takes on the disk at most.
    const fn size(&self) -> u64 {
        size_on_disk(&self.form, self.len)
    }
}

/// Bytes that a chunk takes on a disk at most, in whichever form.
pub(crate) const fn most_on_disk(len: u64) -> u64 {
    let (packed, alone) = (record_size(len), alone_size(len));
    if packed > alone { packed } else { alone }
}

const fn size_on_disk(form: &Form, len: u64) -> u64 {
    match form {
        Form::Packed => record_size(len),
        Form::Alone { .. } => alone_size(len),
    }
}

impl Volume {
    /// Takes a volume into use whose label is right.
    #[must_use]
    pub fn new(
        rules: VolumeRules,
        opened: &Opened,
        limits: &Limits,
        planted: Planted,
        now: Timestamp,
    ) -> Self {
        let found = &opened.found;
        let book = Book::new(found, now.after(limits.trash_hold));
        let highest = found.segments.last().map_or(0, |segment| segment.number);
        let next_number = highest + 1;
        let records = found.segments.iter().flat_map(|found| &found.records);
        let packed = records.map(|(_, record)| record.serial);
        let alone = found
            .alone
            .iter()
            .filter_map(|alone| alone.result.as_ref().ok());
        let newest = packed.chain(alone.map(|record| record.serial)).max();
        let trashed = (book.entries.iter())
            .filter_map(|(version, entry)| Some((entry.trash?.until, *version)))
            .collect();
        let mut volume = Self {
            phase: Phase::Opening(opening_ops(found, rules.data_sync)),
            space: space::Space::new(limits, opened.capacity, opened.free),
            damage: damage(found),
            lost: BTreeSet::new(),
            next_number,
            // Higher than what a damaged record may have had: each process begins a segment of its
            // own before it writes 2^32 records.
            next_serial: newest
                .map_or(0, |serial| serial.saturating_add(1))
                .max(next_number << 32),
            promises: BTreeMap::new(),
            events: VecDeque::new(),
            foreground: None,
            making: VecDeque::new(),
            pending: VecDeque::new(),
            open: None,
            cut: None,
            background: None,
            finishing: VecDeque::new(),
            discarded: Vec::new(),
            sealing: VecDeque::new(),
            trashed,
            purging: BTreeSet::new(),
            compaction: Compaction::default(),
            finished_last: false,
            bounds: Bounds {
                packed_max: limits.packed_max,
                segment_bytes: limits.volume_segment_bytes,
                batch_records: limits.group_commit_records.max(1),
                batch_bytes: limits.volume_batch_bytes,
                copy_bytes: limits.volume_copy_bytes,
                dead_percent: limits.volume_dead_percent,
                trash_hold: limits.trash_hold,
            },
            book,
            rules,
            planted,
        };
        let lost = volume.damage.iter().flat_map(|damage| &damage.lost);
        volume.lost = lost
            .filter(|version| !volume.book.entries.contains_key(version))
            .copied()
            .collect();
        volume.take_over(found);
        volume
    }

    /// Segments of earlier processes get no further record: they are sealed.
    fn take_over(&mut self, found: &Found) {
        for segment in found.segments.iter().filter(|segment| !segment.sealed) {
            if self.planted.store_reuse_torn {
                self.open = Some(OpenSegment {
                    number: segment.number,
                    len: segment.len,
                    synced: segment.len,
                });
                continue;
            }
            let torn = segment.gaps.iter().find(|gap| gap.kind == GapKind::Torn);
            self.sealing.push_back(Sealing {
                number: segment.number,
                len: segment.len,
                whole: torn.map_or(segment.len, |gap| gap.from),
            });
        }
    }

    /// May a chunk of at most `len` bytes come? From then on the owner owes a [`Volume::put`] or a
    /// [`Volume::cancel`], except after [`StoreEvent::Failed`].
    ///
    /// # Errors
    /// If the volume takes no chunks at present, or there is no room for so many bytes.
    pub fn admit(
        &mut self,
        stage: StageId,
        version: ChunkVersion,
        op: OpId,
        len: u64,
    ) -> Result<Admission, Refusal> {
        let form = if len <= self.bounds.packed_max {
            Form::Packed
        } else {
            Form::Alone {
                file: files::staging(version, stage),
            }
        };
        self.may_come(version, size_on_disk(&form, len))?;
        let packed = form == Form::Packed;
        let promise = Promise {
            version,
            op,
            len,
            form: form.clone(),
            step: if packed { Step::Coming } else { Step::Making },
            released: None,
        };
        self.promises.insert(stage, promise);
        if packed {
            return Ok(Admission::Now(form));
        }
        self.making.push_back(stage);
        Ok(Admission::WhenMade)
    }

    fn may_come(&self, version: ChunkVersion, size: u64) -> Result<(), Refusal> {
        if !self.state().is_writable() {
            let reason = self.reason();
            return Err(Refusal::Unavailable { reason });
        }
        if self.purging.contains(&version) {
            return Err(Refusal::Busy {
                reason: format!("the released copy of chunk {version} is just being removed"),
                retry_after: Duration::from_secs(1),
            });
        }
        if size > self.room() {
            return Err(Refusal::NoRoom {
                reason: format!(
                    "volume {} has room for {} bytes beside what is promised and its reserve, and \
                     the chunk takes {size}: free space there, or add a volume",
                    self.rules.path,
                    self.room()
                ),
            });
        }
        Ok(())
    }

    /// All bytes of a chunk have come. One that is here already is kept as it is, unless the new bytes
    /// are to take its place because it is damaged.
    ///
    /// # Errors
    /// If they are not those that were admitted, another content with the name of this version is
    /// there, or the volume takes no chunks any more. The stage is to be dropped.
    pub fn put(
        &mut self,
        stage: StageId,
        summary: &Summary,
        replaces: bool,
    ) -> Result<Putting, Refusal> {
        let Some(promise) = self.promises.get(&stage) else {
            return Err(Refusal::Stale {
                reason: format!(
                    "stage {stage} was not admitted to volume {}: send the chunk again",
                    self.rules.path
                ),
            });
        };
        let checked = self.may_put(stage, promise, summary, replaces);
        if !matches!(checked, Ok(Putting::UnderWay)) {
            self.withdraw(stage);
            return checked;
        }
        let serial = self.take_serial();
        let Some(promise) = self.promises.get_mut(&stage) else {
            return checked;
        };
        promise.step = Step::Putting {
            serial,
            summary: summary.clone(),
        };
        match promise.form {
            Form::Packed => self.pending.push_back(Pending::Chunk(stage)),
            Form::Alone { .. } => self.finishing.push_back(stage),
        }
        checked
    }

    fn may_put(
        &self,
        stage: StageId,
        promise: &Promise,
        summary: &Summary,
        replaces: bool,
    ) -> Result<Putting, Refusal> {
        let version = promise.version;
        if !matches!(promise.step, Step::Coming) {
            return Err(Refusal::Invalid {
                reason: format!("stage {stage} of chunk {version} cannot be put at present"),
            });
        }
        if promise.released.is_some() {
            return Err(Refusal::Stale {
                reason: format!("chunk {version} was released while its bytes came"),
            });
        }
        if let Phase::Failed(reason) = &self.phase {
            let reason = reason.clone();
            return Err(Refusal::Unavailable { reason });
        }
        if summary.len > promise.len {
            return Err(Refusal::Invalid {
                reason: format!(
                    "chunk {version} has {} bytes, and {} were admitted",
                    summary.len, promise.len
                ),
            });
        }
        let same = (summary.len, summary.digest);
        let others = (self.promises.values()).filter_map(|other| match &other.step {
            Step::Putting { summary, .. } if other.version == version => {
                Some((summary.len, summary.digest))
            }
            _ => None,
        });
        let present = self.book.entries.get(&version);
        // What was released is nobody's any more.
        let present = present.filter(|entry| entry.counts());
        let present = present.map(|entry| (entry.len, entry.digest));
        if let Some((len, digest)) = others.chain(present).find(|other| *other != same) {
            return Err(Refusal::Conflict {
                reason: format!(
                    "chunk {version} is on volume {} with {len} bytes and digest {digest}; {} bytes \
                     with digest {} came now. A version has one content: nothing was changed",
                    self.rules.path, summary.len, summary.digest
                ),
            });
        }
        let held = self.book.entries.get(&version);
        if held.is_some_and(|entry| entry.trash.is_none()) && !replaces {
            return Ok(Putting::Already);
        }
        if self.space.is_exhausted() {
            let reason = self.reason();
            return Err(Refusal::Unavailable { reason });
        }
        Ok(Putting::UnderWay)
    }

    /// A chunk will not come. After [`Volume::put`] it is too late: nothing happens.
    pub fn cancel(&mut self, stage: StageId) {
        let waiting = |promise: &Promise| !matches!(promise.step, Step::Putting { .. });
        if self.promises.get(&stage).is_some_and(waiting) {
            self.withdraw(stage);
        }
    }

    /// Takes a promise back, with the file that was made for it.
    fn withdraw(&mut self, stage: StageId) {
        let Some(mut promise) = self.promises.remove(&stage) else {
            return;
        };
        match (&promise.form, &promise.step) {
            (Form::Packed, _) => {}
            (Form::Alone { .. }, Step::Making) => {
                if self.making.contains(&stage) {
                    self.making.retain(|other| *other != stage);
                } else {
                    promise.step = Step::Unwanted;
                    self.promises.insert(stage, promise);
                }
            }
            (Form::Alone { file }, _) => self.discarded.push(file.clone()),
        }
    }

    /// Releases a content: it is not counted any more, stays readable for a while, and goes then.
    /// Returns whether it is here or on its way.
    pub fn trash(&mut self, version: ChunkVersion, now: Timestamp) -> bool {
        let mut here = false;
        // Of now: what is sent for a new write after this is not meant.
        let serial = self.take_serial();
        for promise in self.promises.values_mut() {
            if promise.version == version {
                promise.released.get_or_insert(serial);
                here = true;
            }
        }
        let lost = self.lost.remove(&version);
        let Some(entry) = self.book.entries.get(&version) else {
            let ruin = files::alone(version);
            if lost && self.damage.iter().any(|damage| damage.file == ruin) {
                self.discarded.push(ruin);
            }
            return here || lost;
        };
        if entry.trash.is_none() {
            self.release(version, serial, now);
        }
        true
    }

    fn release(&mut self, version: ChunkVersion, serial: u64, now: Timestamp) {
        let until = now.after(self.bounds.trash_hold);
        let Some(entry) = self.book.entries.get_mut(&version) else {
            return;
        };
        let durable = self.planted.store_purge_early;
        entry.trash = Some(Trash {
            serial,
            durable,
            until,
        });
        self.trashed.insert((until, version));
        self.pending
            .push_back(Pending::Tombstone { version, serial });
    }

    fn take_serial(&mut self) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        serial
    }

    /// Where a content lies, also a released one. A read that finds no file there any more asks
    /// again: the content may have been moved.
    #[must_use]
    pub fn find(&self, version: ChunkVersion) -> Option<Extent> {
        self.book.extent(version)
    }

    /// A content that counts: neither released nor on its way.
    #[must_use]
    pub fn content(&self, version: ChunkVersion) -> Option<Content> {
        let entry = self.book.entries.get(&version)?;
        entry.counts().then(|| entry.content(version))
    }

    /// All contents that count, in the order of their versions.
    pub fn entries(&self) -> impl Iterator<Item = Content> {
        let all = self.book.entries.iter();
        all.filter(|(_, entry)| entry.counts())
            .map(|(version, entry)| entry.content(*version))
    }

    /// The content that counts behind a version; the first if there is no version.
    #[must_use]
    pub fn content_after(&self, version: Option<ChunkVersion>) -> Option<Content> {
        let from = version.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.book.entries.range((from, Bound::Unbounded));
        let counting = behind.find(|(_, entry)| entry.counts());
        counting.map(|(version, entry)| entry.content(*version))
    }

    /// The version of the newest content that counts.
    #[must_use]
    pub fn newest_content(&self) -> Option<ChunkVersion> {
        let mut all = self.book.entries.iter().rev();
        let newest = all.find(|(_, entry)| entry.counts());
        newest.map(|(version, _)| *version)
    }

    /// How many contents count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.book.entries.len() - self.trashed.len()
    }

    /// Whether no content counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was found to be damaged when the volume was opened. Kept as it is.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Contents whose bytes are known to be lost, and which were not written again since.
    pub fn lost(&self) -> impl Iterator<Item = ChunkVersion> {
        self.lost.iter().copied()
    }

    /// The rules it is run by.
    #[must_use]
    pub const fn rules(&self) -> &VolumeRules {
        &self.rules
    }

    /// Whether what was found may be reported.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// How the volume is.
    #[must_use]
    pub fn state(&self) -> VolumeState {
        match &self.phase {
            Phase::Opening(_) => VolumeState::Opening,
            Phase::Ready => self.space.level(),
            Phase::Failed(_) => VolumeState::Failed,
        }
    }

    /// Why it is not well, and what to do; empty when it is.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.phase {
            Phase::Opening(_) => format!("volume {} is being read", self.rules.path),
            Phase::Ready => self.space.reason(&self.rules.path),
            Phase::Failed(reason) => reason.clone(),
        }
    }

    /// The next thing to be told.
    pub fn poll_event(&mut self) -> Option<StoreEvent> {
        self.events.pop_front()
    }

    /// The next batch to be carried out, named by a ticket from `ticket`.
    pub fn poll_batch(&mut self, mut ticket: impl FnMut() -> DiskTicket) -> Option<VolumeBatch> {
        if matches!(self.phase, Phase::Failed(_)) {
            return None;
        }
        if self.foreground.is_none()
            && let Some((work, job)) = self.next_foreground()
        {
            let ticket = ticket();
            self.foreground = Some((ticket, work));
            return Some(job.batch(ticket, Lane::Foreground, self.planted));
        }
        if self.background.is_none()
            && let Some((work, job)) = self.next_background()
        {
            let ticket = ticket();
            self.background = Some((ticket, work));
            return Some(job.batch(ticket, Lane::Background, self.planted));
        }
        None
    }

    /// Bytes of the chunks that the batch under way in a lane makes durable; `None` if it makes none.
    pub(crate) fn bytes_under_way(&self, lane: Lane) -> Option<u64> {
        match lane {
            Lane::Foreground => match &self.foreground {
                Some((_, foreground::Work::Writing(writing))) => Some(writing.bytes()),
                _ => None,
            },
            Lane::Background => match &self.background {
                Some((_, background::Work::Finishing(finished))) => {
                    Some(finished.iter().map(|it| it.entry.len).sum())
                }
                _ => None,
            },
        }
    }

    /// Whether a batch is this volume's.
    #[must_use]
    pub fn owns(&self, ticket: DiskTicket) -> bool {
        let is_it = |lane: Option<DiskTicket>| lane == Some(ticket);
        is_it(self.foreground.as_ref().map(|(ticket, _)| *ticket))
            || is_it(self.background.as_ref().map(|(ticket, _)| *ticket))
    }

    /// A batch was carried out, or met a fault.
    pub fn disk_done(&mut self, ticket: DiskTicket, result: Result<(), DiskFault>, now: Timestamp) {
        if let Some((_, work)) = self.foreground.take_if(|(own, _)| *own == ticket) {
            self.foreground_done(work, result, now);
        } else if let Some((_, work)) = self.background.take_if(|(own, _)| *own == ticket) {
            self.background_done(work, result, now);
        }
    }

    /// Time has come to [`Volume::next_deadline`], or gone on anyhow.
    pub fn tick(&mut self, now: Timestamp) {
        self.purge_due(now);
    }

    /// When to call [`Volume::tick`] next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.is_ready() {
            return None;
        }
        let purgeable = |(_, version): &&(Timestamp, ChunkVersion)| self.may_purge(*version);
        let next = self.trashed.iter().find(purgeable);
        next.map(|(until, _)| *until)
    }

    /// Something that the volume did not hand out itself, the writing of its label, met a fault on its
    /// disk. Whether a sync that fails tells of these bytes or of others is not known.
    pub fn met_beside(&mut self, fault: &DiskFault) {
        let of_the_disk = matches!(fault.kind, DiskFaultKind::Io | DiskFaultKind::Unreadable);
        if of_the_disk && !matches!(self.phase, Phase::Failed(_)) {
            self.fail(fault);
        }
    }

    /// A fault after which nothing is known: nothing more is written.
    fn fail(&mut self, fault: &DiskFault) {
        let reason = format!(
            "volume {} failed ({fault}): it takes nothing any more, and its chunks are read from \
             other replicas. Look at the disk; `vaquita volume rescan` has the node read it again",
            self.rules.path
        );
        self.phase = Phase::Failed(reason.clone());
        self.events.push_back(StoreEvent::StateChanged);
        let stages: Vec<StageId> = self.promises.keys().copied().collect();
        for stage in stages {
            self.fail_promise(stage, &reason);
        }
    }

    /// Refuses a chunk that somebody waits for, and takes back what was made for it.
    fn fail_promise(&mut self, stage: StageId, reason: &str) {
        // Nobody waits while the bytes come: the refusal follows the put.
        let coming = |promise: &Promise| matches!(promise.step, Step::Coming);
        if self.promises.get(&stage).is_none_or(coming) {
            return;
        }
        let Some(promise) = self.promises.remove(&stage) else {
            return;
        };
        self.pending
            .retain(|pending| !matches!(pending, Pending::Chunk(other) if *other == stage));
        self.making.retain(|other| *other != stage);
        self.finishing.retain(|other| *other != stage);
        if let Form::Alone { file } = promise.form {
            self.discarded.push(file);
        }
        if matches!(promise.step, Step::Unwanted) {
            return;
        }
        self.events.push_back(StoreEvent::Failed {
            stage,
            refusal: Refusal::Unavailable {
                reason: reason.to_owned(),
            },
        });
    }

    /// Panics with a sentence if the volume contradicts itself.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.book.check_invariants();
        let trashed: BTreeSet<_> = (self.book.entries.iter())
            .filter_map(|(version, entry)| Some((entry.trash?.until, *version)))
            .collect();
        assert_eq!(
            trashed, self.trashed,
            "the list of releases is that of the entries"
        );
    }
}

/// What cannot be read.
fn damage(found: &Found) -> Vec<Damage> {
    let segments = found.segments.iter().flat_map(|segment| {
        let bad = |gap: &&Gap| gap.kind == GapKind::Damaged;
        segment.gaps.iter().filter(bad).map(|gap| Damage {
            file: files::segment(segment.number),
            gap: Some(*gap),
            lost: (segment.lost.iter())
                .filter(|(at, _)| (gap.from..gap.to).contains(at))
                .map(|(_, version)| *version)
                .collect(),
            reason: format!(
                "bytes {} to {} of segment {} are damaged: they were durable and are no records any \
                 more. The segment is kept as it is",
                gap.from, gap.to, segment.number
            ),
        })
    });
    let alone = found.alone.iter().filter_map(|alone| {
        let reason = alone.result.as_ref().err()?;
        Some(Damage {
            file: files::alone(alone.version),
            gap: None,
            lost: vec![alone.version],
            reason: format!(
                "{reason}. The file is kept until the chunk is written again or released"
            ),
        })
    });
    segments.chain(alone).collect()
}
