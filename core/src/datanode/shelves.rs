//! The volumes of a node: opening them ([`opening`]), and again by order ([`again`]), putting chunks on
//! them ([`coming`]), taking chunks off, mending their labels ([`relabelling`]), and telling how they are
//! ([`facts`]).

mod again;
mod coming;
mod doubles;
mod facts;
mod opening;
mod relabelling;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use again::{Again, Rescan};
use doubles::Kept;
use facts::Seen;

use super::labels::Labels;
use super::news::News;
use super::pace::Pace;
use crate::admin::Refusal;
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{ChunkVersion, StageId, VolumeId, VolumeSlot};
use crate::dfs::placement::{self};
use crate::disk::DiskFault;
use crate::event::Event;
use crate::ids::{Alias, ClusterId, DiskTicket, LogIndex, NodeEpoch, NodeId, RequestId};
use crate::io::Effect;
use crate::limits::Limits;
use crate::message::{ReplicaChange, ReplicaEntry, VolumeOwner};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::Prng;
use crate::store::volume::{Before, Content, StoreEvent, Volume};
use crate::store::{Label, Opened, StoreAnswer, StoreReply};
use crate::time::Timestamp;

/// What a node is told about its volumes when it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumesConfig {
    /// Their directories, absolute, in the order of the configuration.
    pub paths: Vec<String>,
    /// `dataSync`: whether the bytes of chunks are synced before they are acknowledged.
    pub data_sync: bool,
    /// Which volume takes a chunk.
    pub choice: placement::VolumeRules,
    /// `scrubPeriod`: how long it takes to read every chunk once; never if zero.
    pub scrub_period: Duration,
}

/// What the shelves are lent while they act.
pub(super) struct ShelvesAround<'a> {
    pub(super) limits: &'a Limits,
    pub(super) planted: &'a Planted,
    pub(super) news: &'a mut News,
    pub(super) out: &'a mut Outbox,
}

/// The volumes, and the chunks on their way to one.
#[derive(Clone, Debug)]
pub(super) struct Shelves {
    config: VolumesConfig,
    shelves: Vec<Shelf>,
    labels: Labels,
    stages: BTreeMap<StageId, Stage>,
    /// Replicas whose release is on its way to the disk.
    leaving: BTreeMap<(VolumeSlot, ChunkVersion), Leaving>,
    /// Replicas that were found damaged: neither served nor counted. Damage is a replica's on its volume:
    /// the same content may be whole on another one.
    corrupt: BTreeSet<(VolumeSlot, ChunkVersion)>,
    draws: Prng,
    last_stage: u64,
    /// Under which registration chunks are prepared at present.
    node: NodeId,
    alias: Alias,
    epoch: NodeEpoch,
    cluster: Option<ClusterId>,
    /// Which volumes were given to which nodes by order, as far as this node was told.
    owners: BTreeMap<VolumeId, VolumeOwner>,
    /// Which volumes are drained by order, as far as this node was told: nothing new is put there.
    draining: BTreeMap<VolumeId, LogIndex>,
    /// Volumes that were drained and let go of by order, so that their disks can be taken away.
    let_go_of: BTreeSet<VolumeSlot>,
    /// Batches that were handed out and have not come back. What is read while one of them is on its way
    /// to the disk may change behind the reader.
    under_way: BTreeMap<DiskTicket, VolumeSlot>,
    /// Labels of volumes in use that are being written again.
    relabelling: BTreeMap<DiskTicket, VolumeSlot>,
    /// Volumes that are just being opened again.
    again: BTreeMap<VolumeSlot, Again>,
    /// Orders whose answers wait for that.
    rescans: Vec<Rescan>,
    /// How often volumes were opened again.
    round: u64,
    /// How each volume was when that was last looked at, and since when.
    seen: Vec<Seen>,
    counted: Timestamp,
    /// Whether the controller was told of contents by this process.
    reported: bool,
    facts_changed: bool,
    /// A volume came into use, or is not in use any more, since the report: what the node has is told
    /// as a whole.
    contents_changed: bool,
}

/// A volume, as far as it was got.
#[derive(Clone, Debug)]
enum Shelf {
    /// The driver reads it.
    Opening,
    /// It was read, and the node does not know yet which cluster it is in.
    Read(Box<Opened>),
    /// Its label is being written.
    Labelling {
        ticket: DiskTicket,
        label: Label,
        opened: Box<Opened>,
    },
    /// It is in use.
    Open(Box<InUse>),
    /// It cannot be had.
    Out {
        state: VolumeState,
        reason: String,
        /// What its label says, if that could be read.
        label: Option<Label>,
    },
}

impl Shelf {
    /// Whether it is known what is on it, or that it cannot be had.
    fn is_settled(&self) -> bool {
        match self {
            Self::Opening | Self::Read(_) | Self::Labelling { .. } => false,
            Self::Open(shelf) => shelf.volume.state() != VolumeState::Opening,
            Self::Out { .. } => true,
        }
    }

    /// How it is.
    fn state(&self) -> VolumeState {
        match self {
            Self::Opening | Self::Read(_) | Self::Labelling { .. } => VolumeState::Opening,
            Self::Open(shelf) => shelf.state(),
            Self::Out { state, .. } => *state,
        }
    }

    /// Whether this is the batch that writes its label.
    const fn awaits(&self, batch: DiskTicket) -> bool {
        matches!(self, Self::Labelling { ticket, .. } if ticket.0 == batch.0)
    }
}

/// A volume in use, and the room on its file system.
#[derive(Clone, Debug)]
struct InUse {
    volume: Volume,
    label: Label,
    /// By which opening it came into use: 0 for that of the start.
    round: u64,
    capacity: u64,
    free: u64,
    /// Bytes of the chunks that count.
    chunk_bytes: u64,
    pace: Pace,
}

impl InUse {
    /// How it is. What the volume itself says comes first.
    fn state(&self) -> VolumeState {
        match self.volume.state() {
            VolumeState::Good if self.pace.is_slow() => VolumeState::Slow,
            state => state,
        }
    }

    /// Why it is not well, and what to do; empty when it is.
    fn reason(&self) -> String {
        match self.state() {
            VolumeState::Slow => Pace::REASON.to_owned(),
            _ => self.volume.reason(),
        }
    }
}

/// A content whose release is on its way to the disk.
#[derive(Clone, Debug)]
struct Leaving {
    entry: ReplicaEntry,
    /// Whether the controller was told that the node has it, and has to hear that it is gone.
    told: bool,
}

/// A chunk on its way to a volume.
#[derive(Clone, Debug)]
struct Stage {
    slot: VolumeSlot,
    version: ChunkVersion,
    /// Who waits for an answer: whether the bytes may come, or whether they are on the disk.
    waiting: Option<RequestId>,
}

impl Shelves {
    pub(super) fn new(
        config: VolumesConfig,
        labels: Labels,
        node: NodeId,
        alias: Alias,
        cluster: Option<ClusterId>,
        seed: u64,
        out: &mut Outbox,
    ) -> Self {
        let mut shelves = Vec::new();
        for slot in slots(config.paths.len()) {
            shelves.push(Shelf::Opening);
            out.push(Effect::OpenVolume { slot });
        }
        Self {
            config,
            shelves,
            labels,
            stages: BTreeMap::new(),
            leaving: BTreeMap::new(),
            corrupt: BTreeSet::new(),
            draws: Prng::new(seed),
            last_stage: 0,
            node,
            alias,
            epoch: NodeEpoch(0),
            cluster,
            owners: BTreeMap::new(),
            draining: BTreeMap::new(),
            let_go_of: BTreeSet::new(),
            under_way: BTreeMap::new(),
            relabelling: BTreeMap::new(),
            again: BTreeMap::new(),
            rescans: Vec::new(),
            round: 0,
            seen: Vec::new(),
            counted: Timestamp::ZERO,
            reported: false,
            facts_changed: false,
            contents_changed: false,
        }
    }

    pub(super) fn path(&self, slot: VolumeSlot) -> &str {
        self.config
            .paths
            .get(usize::from(slot.0))
            .map_or("?", String::as_str)
    }

    fn shelf(&mut self, slot: VolumeSlot) -> Option<&mut Shelf> {
        self.shelves.get_mut(usize::from(slot.0))
    }

    fn volume(&mut self, slot: VolumeSlot) -> Option<&mut Volume> {
        match self.shelf(slot)? {
            Shelf::Open(shelf) => Some(&mut shelf.volume),
            _ => None,
        }
    }

    fn in_use(&self) -> impl Iterator<Item = (VolumeSlot, &InUse)> {
        slots(self.shelves.len())
            .zip(&self.shelves)
            .filter_map(|(slot, shelf)| match shelf {
                Shelf::Open(shelf) => Some((slot, &**shelf)),
                _ => None,
            })
    }

    /// By which order a volume that is in use is drained, if it is.
    fn drain_order(&self, slot: VolumeSlot) -> Option<LogIndex> {
        match self.shelves.get(usize::from(slot.0)) {
            Some(Shelf::Open(shelf)) => self.draining.get(&shelf.label.volume).copied(),
            _ => None,
        }
    }

    fn is_draining(&self, slot: VolumeSlot) -> bool {
        self.drain_order(slot).is_some()
    }

    fn open(&self) -> impl Iterator<Item = (VolumeSlot, &Volume)> {
        self.in_use().map(|(slot, shelf)| (slot, &shelf.volume))
    }

    /// Whether it is known of each volume what is on it, or that it cannot be had. One that is opened
    /// again holds up nobody: what is on it is told when it is there.
    pub(super) fn are_settled(&self) -> bool {
        let mut all = slots(self.shelves.len()).zip(&self.shelves);
        all.all(|(slot, shelf)| self.again.contains_key(&slot) || shelf.is_settled())
    }

    /// Whether nothing is on its way to a disk.
    pub(super) fn are_idle(&self) -> bool {
        self.stages.is_empty() && self.leaving.is_empty()
    }

    // ---- chunks that are here ----

    /// Where a content is: on a volume that can be read, if it is on one. What is on another volume may
    /// still be had, and never hides what is whole.
    pub(super) fn find(
        &self,
        version: ChunkVersion,
        even_damaged: bool,
        planted: &Planted,
    ) -> StoreReply {
        let mut damaged = false;
        let mut best = None;
        for (slot, volume) in self.open() {
            let Some(extent) = volume.find(version) else {
                continue;
            };
            let readable = volume.state().is_readable() || planted.seek_on_failed_volumes;
            let is_damaged = self.is_damaged(slot, version);
            damaged |= is_damaged;
            if is_damaged && !even_damaged {
                continue;
            }
            // What was released from one volume may have come to another since.
            let counts = volume.content(version).is_some();
            let rank = (!readable, is_damaged, !counts);
            if best.as_ref().is_none_or(|(best, _)| rank < *best) {
                let volume = slot;
                best = Some((rank, StoreAnswer::Found { volume, extent }));
            }
        }
        match best {
            Some((_, found)) => Ok(found),
            None if damaged => Err(Refusal::Unavailable {
                reason: format!("chunk {version} was found damaged here"),
            }),
            None => Err(Refusal::NotFound {
                what: format!("chunk {version} is not here"),
            }),
        }
    }

    /// The volume that has a content in damaged form, and can take another one in its place.
    fn damaged_at(&self, version: ChunkVersion) -> Option<VolumeSlot> {
        let mut there = self.replicas(version).map(|(slot, _)| slot);
        there.find(|slot| self.is_damaged(*slot, version))
    }

    /// A replica was read, and found damaged. One on a volume that cannot be read counts nowhere, and
    /// what is wrong with it is the volume.
    pub(super) fn damaged(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        version: ChunkVersion,
        reason: &str,
        around: &mut ShelvesAround<'_>,
    ) {
        let mut there = self.replicas(version);
        let Some((_, content)) = there.find(|(at, _)| *at == slot) else {
            return;
        };
        drop(there);
        if !self.corrupt.insert((slot, version)) {
            return;
        }
        let text = format!(
            "chunk {version} on {} is damaged and is served no more: {reason}",
            self.path(slot)
        );
        around
            .out
            .notify(Event::error("volume.damaged_chunk", text));
        if around.planted.keep_damage_quiet {
            return;
        }
        let change = ReplicaChange::Corrupt(entry(slot, &content));
        around.news.add(now, change, around.limits);
    }

    /// Volumes that can be read, with the bytes of their chunks.
    pub(super) fn readable(&self) -> impl Iterator<Item = (VolumeSlot, &Volume, u64)> {
        let readable = self
            .in_use()
            .filter(|(_, it)| it.volume.state().is_readable());
        readable.map(|(slot, it)| (slot, &it.volume, it.chunk_bytes))
    }

    /// Whether the replica on this volume was found damaged.
    pub(super) fn is_damaged(&self, slot: VolumeSlot, version: ChunkVersion) -> bool {
        self.corrupt.contains(&(slot, version))
    }

    pub(super) fn scrub_period(&self) -> Duration {
        self.config.scrub_period
    }

    /// The controller has no use for a content any more.
    pub(super) fn release(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        around: &mut ShelvesAround<'_>,
    ) {
        let counted: Vec<(VolumeSlot, Content)> = self.replicas(version).collect();
        // It may be on its way, also beside one that is here.
        for (slot, shelf) in slots(self.shelves.len()).zip(&mut self.shelves) {
            if let Shelf::Open(shelf) = shelf
                && counted.iter().all(|(at, _)| *at != slot)
            {
                shelf.volume.trash(version, now);
            }
        }
        for (slot, content) in &counted {
            let entry = entry(*slot, content);
            if let Some(volume) = self.volume(*slot)
                && volume.trash(version, now)
            {
                let leaving = Leaving { entry, told: true };
                self.leaving.insert((*slot, version), leaving);
            }
        }
        self.drain(around);
    }

    /// Where a content counts: on volumes that can be read. One that has failed may have it as well,
    /// and nobody takes its word for that.
    fn replicas(&self, version: ChunkVersion) -> impl Iterator<Item = (VolumeSlot, Content)> {
        self.readable()
            .filter_map(move |(slot, volume, _)| Some((slot, volume.content(version)?)))
    }

    /// What the node has, for a report. What is leaving is not among it, and so is not told to be gone
    /// either.
    pub(super) fn report(&mut self) -> Vec<ReplicaEntry> {
        self.reported = true;
        for leaving in self.leaving.values_mut() {
            leaving.told = false;
        }
        self.entries()
    }

    /// What the node has, in the order of versions.
    pub(super) fn entries(&self) -> Vec<ReplicaEntry> {
        let mut entries: Vec<ReplicaEntry> = self
            .open()
            .filter(|(_, volume)| volume.state().is_readable())
            .flat_map(|(slot, volume)| volume.entries().map(move |content| entry(slot, &content)))
            .filter(|entry| !self.is_damaged(entry.volume, entry.version))
            .collect();
        entries.sort_unstable_by_key(|entry| (entry.version, entry.volume));
        entries.dedup_by_key(|entry| entry.version);
        entries
    }

    /// What the node has in damaged form, and not among these, which are whole.
    pub(super) fn damaged_only(&self, whole: &[ReplicaEntry]) -> Vec<ChunkVersion> {
        let counts = |(slot, version): &&(VolumeSlot, ChunkVersion)| {
            let mut there = self.replicas(*version);
            there.any(|(at, _)| at == *slot)
        };
        let damaged = self.corrupt.iter().filter(counts).map(|it| it.1);
        let is_whole = |it: &ChunkVersion| whole.binary_search_by_key(it, |it| it.version).is_ok();
        let only: BTreeSet<ChunkVersion> = damaged.filter(|it| !is_whole(it)).collect();
        only.into_iter().collect()
    }

    /// A disk completion of the node's home, which may be that of the memory of volumes.
    pub(super) fn memory_saved(
        &mut self,
        ticket: DiskTicket,
        result: &Result<(), DiskFault>,
        out: &mut Outbox,
    ) {
        self.labels.disk_done(ticket, result, out);
    }

    /// Whether contents came or were lost with a whole volume since this was last asked.
    pub(super) fn take_contents_changed(&mut self) -> bool {
        core::mem::take(&mut self.contents_changed)
    }

    // ---- disks and time ----

    pub(super) fn disk_done(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        ticket: DiskTicket,
        result: Result<(), DiskFault>,
        around: &mut ShelvesAround<'_>,
    ) {
        self.under_way.remove(&ticket);
        match self.relabelling.remove(&ticket) {
            Some(_) => self.relabelled(slot, &result, around),
            None => self.batch_done(now, slot, ticket, result, around),
        }
        self.go_on_opening(slot, around);
        self.drain_at(now, around);
    }

    /// A batch of the volume itself, or the label of one that is being opened.
    fn batch_done(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        ticket: DiskTicket,
        result: Result<(), DiskFault>,
        around: &mut ShelvesAround<'_>,
    ) {
        match self.shelf(slot) {
            Some(Shelf::Open(shelf)) => {
                shelf.pace.end(ticket, now);
                shelf.volume.disk_done(ticket, result, now);
            }
            Some(shelf) if shelf.awaits(ticket) => {
                let Shelf::Labelling { label, opened, .. } =
                    core::mem::replace(shelf, Shelf::Opening)
                else {
                    return;
                };
                match result {
                    Ok(()) => self.take_into_use(now, slot, label, &opened, around),
                    Err(fault) => {
                        let reason = format!(
                            "its label could not be written ({fault}): mend the disk, or give the \
                             node's user the directory, and `vaquita volume rescan {}`",
                            self.alias
                        );
                        let label = opened.label.label().cloned();
                        self.put_out(slot, VolumeState::Failed, reason, label, around.out);
                    }
                }
            }
            _ => {}
        }
    }

    /// Room on the file system of a volume.
    pub(super) fn space(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        capacity: u64,
        free: u64,
        around: &mut ShelvesAround<'_>,
    ) {
        if let Some(Shelf::Open(shelf)) = self.shelf(slot) {
            shelf.capacity = capacity;
            shelf.free = free;
            shelf.volume.space(capacity, free, now);
        }
        self.drain_at(now, around);
    }

    pub(super) fn tick(&mut self, now: Timestamp, around: &mut ShelvesAround<'_>) {
        let mut ticked = false;
        for shelf in &mut self.shelves {
            if let Shelf::Open(shelf) = shelf
                && shelf.volume.next_deadline().is_some_and(|due| now >= due)
            {
                shelf.volume.tick(now);
                ticked = true;
            }
        }
        if ticked {
            self.drain_at(now, around);
        }
        self.look_at_paces(now, around.out);
        self.look_at_states(now, around.out);
    }

    /// Sees which disks have become slow, or are so no more.
    fn look_at_paces(&mut self, now: Timestamp, out: &mut Outbox) {
        let mut changed = Vec::new();
        for (slot, shelf) in slots(self.shelves.len()).zip(&mut self.shelves) {
            if let Shelf::Open(shelf) = shelf
                && shelf.pace.tick(now)
            {
                changed.push((slot, shelf.pace.is_slow()));
            }
        }
        for (slot, is_slow) in changed {
            self.facts_changed = true;
            let path = self.path(slot);
            let event = if is_slow {
                Event::warning("volume.slow", format!("{path}: {}", Pace::REASON))
            } else {
                let text =
                    format!("the disk of {path} is not slow any more, or nothing was asked of it");
                Event::info("volume.well", text)
            };
            out.notify(event);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.open()
            .filter_map(|(_, volume)| volume.next_deadline())
            .min()
    }

    /// Hands out the volumes' batches. What they have to tell needs the time and waits for
    /// [`Shelves::drain_at`].
    fn drain(&mut self, around: &mut ShelvesAround<'_>) {
        for (slot, shelf) in slots(self.shelves.len()).zip(&mut self.shelves) {
            if let Shelf::Open(shelf) = shelf {
                while let Some(work) = shelf.volume.poll_batch(|| around.out.ticket()) {
                    if let Some(bytes) = shelf.volume.bytes_under_way(work.batch.lane) {
                        shelf.pace.begin(work.batch.ticket, bytes);
                    }
                    self.under_way.insert(work.batch.ticket, slot);
                    around.out.push(Effect::Volume {
                        slot,
                        batch: work.batch,
                        fills: work.fills,
                    });
                }
            }
        }
    }

    /// Takes what the volumes have to tell, and hands out their batches.
    pub(super) fn drain_at(&mut self, now: Timestamp, around: &mut ShelvesAround<'_>) {
        for slot in slots(self.shelves.len()) {
            while let Some(event) = self.volume(slot).and_then(Volume::poll_event) {
                self.take(now, slot, event, around);
            }
        }
        self.drain(around);
    }

    fn take(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        event: StoreEvent,
        around: &mut ShelvesAround<'_>,
    ) {
        match event {
            StoreEvent::Ready => self.is_ready(now, slot, around),
            StoreEvent::StateChanged => {
                self.facts_changed = true;
                let Some(volume) = self.volume(slot) else {
                    return;
                };
                let (state, reason) = (volume.state(), volume.reason());
                if !reason.is_empty() {
                    around.out.notify(Event::warning("volume.state", reason));
                }
                if state == VolumeState::Failed {
                    self.contents_changed = true;
                    self.again.remove(&slot);
                    // Nothing of it will become durable any more, and nobody waits for that.
                    self.leaving.retain(|_, it| it.entry.volume != slot);
                }
            }
            StoreEvent::Made { stage, form } => {
                let waiting = self
                    .stages
                    .get_mut(&stage)
                    .and_then(|coming| coming.waiting.take());
                if let Some(id) = waiting {
                    let answer = StoreAnswer::Admitted {
                        stage,
                        volume: slot,
                        form,
                    };
                    around.out.push(Effect::StoreReply {
                        id,
                        reply: Ok(answer),
                    });
                }
            }
            StoreEvent::Durable {
                stage,
                version,
                before,
                counts,
            } => {
                let which = counts.then(|| self.keep_once(now, slot, version, around.out));
                let content = self.volume(slot).and_then(|it| it.content(version));
                let kept = matches!(which, Some(Kept::Newcomer | Kept::Moved));
                if let Some(content) = content.filter(|_| kept) {
                    // Whether it is counted here, and whether the controller knows of it.
                    let (counted, known) = match before {
                        Before::Nothing => (false, false),
                        Before::Same => (true, true),
                        Before::Leaving => match self.leaving.remove(&(slot, version)) {
                            // A report that was made meanwhile does not have it.
                            Some(leaving) => (true, leaving.told),
                            None => (false, false),
                        },
                    };
                    if !counted {
                        self.count_bytes(slot, content.len, u64::wrapping_add);
                    }
                    let entry = entry(slot, &content);
                    // Where the controller knows that the node has it, it hears at most where.
                    let known_elsewhere = self.forget_release_elsewhere(slot, version);
                    let change = match known_elsewhere || which == Some(Kept::Moved) {
                        true => Some(ReplicaChange::Moved(entry)),
                        false => (self.corrupt.contains(&(slot, version)) || !known)
                            .then_some(ReplicaChange::Added(entry)),
                    };
                    self.corrupt.remove(&(slot, version));
                    if let Some(change) = change {
                        around.news.add(now, change, around.limits);
                    }
                }
                let reply = match which {
                    Some(Kept::Unequal) => Err(Refusal::Conflict {
                        reason: format!(
                            "another content of chunk {version} is here: this one is not kept. That is a \
                             fault of a memory or a bug; write the file once more"
                        ),
                    }),
                    Some(_) => Ok(StoreAnswer::Prepared(self.holder(slot))),
                    None => Err(Refusal::Stale {
                        reason: format!("chunk {version} was released while it was written"),
                    }),
                };
                self.answer(stage, reply, around.out);
            }
            StoreEvent::Failed { stage, refusal } => {
                self.answer(stage, Err(refusal), around.out);
                around.out.push(Effect::DropStage { stage });
            }
            StoreEvent::Trashed { version } => {
                let was_corrupt = self.corrupt.remove(&(slot, version));
                let Some(Leaving { entry, told }) = self.leaving.remove(&(slot, version)) else {
                    return;
                };
                self.count_bytes(slot, entry.len, u64::wrapping_sub);
                if told {
                    // What was damaged did not count any more.
                    let change = match was_corrupt {
                        true => ReplicaChange::Cleared(entry),
                        false => ReplicaChange::Removed(entry),
                    };
                    around.news.add(now, change, around.limits);
                }
            }
            StoreEvent::Removed { .. } => self.facts_changed = true,
            StoreEvent::Suspect { version, reason } => {
                self.damaged(now, slot, version, &reason, around);
            }
        }
    }

    /// Chunks on a volume, whether or not they count, for the checkers of the simulators.
    pub(super) fn count_on(&self, slot: VolumeSlot) -> usize {
        let mut open = self.open();
        open.find(|it| it.0 == slot)
            .map_or(0, |(_, volume)| volume.len())
    }

    fn count_bytes(&mut self, slot: VolumeSlot, len: u64, how: fn(u64, u64) -> u64) {
        if let Some(Shelf::Open(shelf)) = self.shelf(slot) {
            shelf.chunk_bytes = how(shelf.chunk_bytes, len);
        }
    }

    fn answer(&mut self, stage: StageId, reply: StoreReply, out: &mut Outbox) {
        let waiting = self.stages.remove(&stage).and_then(|it| it.waiting);
        if let Some(id) = waiting {
            out.push(Effect::StoreReply { id, reply });
        }
    }

    pub(super) fn check_invariants(&self) {
        for (_, volume) in self.open() {
            volume.check_invariants();
        }
        for (stage, coming) in &self.stages {
            assert!(
                usize::from(coming.slot.0) < self.shelves.len(),
                "stage {stage} is on its way to a volume that does not exist"
            );
        }
    }
}

fn slots(count: usize) -> impl Iterator<Item = VolumeSlot> {
    (0..=u16::MAX).take(count).map(VolumeSlot)
}

const fn entry(volume: VolumeSlot, content: &Content) -> ReplicaEntry {
    ReplicaEntry {
        version: content.version,
        len: content.len,
        digest: content.digest,
        volume,
    }
}
