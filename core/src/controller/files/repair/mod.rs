//! Bringing chunks back to as many replicas as they should have, on the hosts where they should be.
//!
//! Nothing here is durable but the records that come of it. What is to be done follows from the log
//! and from what nodes say of themselves: a chunk is looked at when something about it was heard,
//! and all of them are surveyed, a slice at a time, when a node is lost or comes back. So a
//! controller that starts anew knows within seconds what its predecessor knew.
//!
//! ```text
//!  news, commits ──▶ look at one chunk ┐              ┌─▶ copy: a node fetches it from another
//!                                      ├─▶ wanted ──▶ ├─▶ adopt: a node has it already
//!  lost, back ─────▶ survey of all ────┘  (by urgency)└─▶ give up a replica too many
//! ```
//!
//! A copy is asked of the node that is to have it, which fetches the bytes from a good replica,
//! verifies them against the digest of the log, and says when they are durable. Only then does a
//! record name it, in the place of a replica that is gone. Nothing is removed before that record is
//! synced, and what a node has beside what the log says is left alone as long as it may be needed
//! (`release.rs`).
//!
//! Nothing is begun while it is not known what nodes have, while so many are away that the cause is
//! likely not theirs, or by a controller that is behind what a node has seen.

mod judge;
mod status;
mod wanted;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::dfs::ask::{Holder, ReplicaPlace, ReplicaState};
use crate::dfs::ids::{ChunkId, ChunkVersion, CopyId, OpId};
use crate::dfs::namespace::DfsRecord;
use crate::dfs::placement::{self, Fitness, ReliabilityLevel, Wish};
use crate::dfs::token::WriteToken;
use crate::event::Event;
use crate::ids::NodeId;
use crate::membership::Slot;
use crate::message::{CopyEnded, CopyReplica, Message};
use crate::time::Timestamp;

use judge::Standing;
use wanted::WantedChunks;

/// How much it hurts that something is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// One more failure, and the chunk is lost.
    LastCopy,
    /// It has fewer replicas than it should.
    Degraded,
    /// Its replicas share a host although they need not.
    Misplaced,
    /// It has more than it needs.
    Surplus,
}

impl Urgency {
    pub(super) const ALL: [Self; 4] = [
        Self::LastCopy,
        Self::Degraded,
        Self::Misplaced,
        Self::Surplus,
    ];
}

/// Chunks that one round looks at, of those that may be taken up. When all of these have to wait for
/// a node that is busy, those behind them do as well.
const LOOKED_AT: usize = 64;
/// Time without news after which a copy is given up, beside what its bytes take at [`SLOWEST`].
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes a second below which a copy is not worth waiting for.
const SLOWEST: u64 = 1024 * 1024;
/// How often all chunks are surveyed although nothing was heard: a net, if the rest misses something.
const SURVEY_PERIOD: Duration = Duration::from_secs(600);

/// The soft state.
#[derive(Debug)]
pub(super) struct Repairs {
    /// `dfsRecoveryConcurrency`: copies under way at a time.
    concurrency: usize,
    wanted: WantedChunks,
    copies: BTreeMap<CopyId, Copy>,
    last_copy: u64,
    survey: Survey,
    /// Data nodes that are given up at present; changes when one is lost, or comes back.
    given_up: BTreeSet<Slot>,
    /// Whether an operator has it wait.
    suspended: bool,
    done: Done,
    pace: Pace,
}

/// How fast it goes: bytes of the present while, and of the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    begun: Timestamp,
    bytes: u64,
    before: u64,
}

impl Pace {
    const WHILE: Duration = Duration::from_secs(10);
}

/// What was done since this controller started.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    copies: u64,
    bytes: u64,
    adopted: u64,
    given_up: u64,
    failed: u64,
}

/// A copy under way.
#[derive(Clone, Debug)]
struct Copy {
    version: ChunkVersion,
    len: u64,
    source: Slot,
    target: Slot,
    /// Whose place it takes; `None` if there are merely too few.
    instead_of: Option<NodeId>,
    since: Timestamp,
    /// Why it is made, for the log.
    why: String,
}

impl Copy {
    fn is_overdue(&self, now: Timestamp) -> bool {
        now.since(self.since) >= PATIENCE + Duration::from_secs(self.len / SLOWEST)
    }
}

/// A walk over all chunks.
#[derive(Debug)]
struct Survey {
    /// The last chunk that was looked at; `None` when it stands still.
    at: Option<Option<ChunkId>>,
    /// Whether something has changed behind it.
    again: bool,
    /// When the next one begins by itself.
    next: Timestamp,
}

impl Survey {
    /// Something about many chunks has changed.
    fn want(&mut self) {
        match self.at {
            Some(_) => self.again = true,
            None => self.at = Some(None),
        }
    }
}

impl Repairs {
    pub(super) fn new(concurrency: usize, now: Timestamp) -> Self {
        Self {
            concurrency: concurrency.max(1),
            wanted: WantedChunks::default(),
            copies: BTreeMap::new(),
            last_copy: 0,
            survey: Survey {
                at: None,
                again: false,
                next: now.after(SURVEY_PERIOD),
            },
            given_up: BTreeSet::new(),
            suspended: false,
            done: Done::default(),
            pace: Pace::default(),
        }
    }

    /// Whether a node is just fetching a content.
    pub(super) fn is_fetching(&self, slot: Slot, version: ChunkVersion) -> bool {
        (self.copies.values()).any(|copy| copy.target == slot && copy.version == version)
    }

    /// Whether a copy of a content is under way anywhere.
    fn is_copied(&self, version: ChunkVersion) -> bool {
        self.copies.values().any(|copy| copy.version == version)
    }

    /// Copies from, and to, a node.
    fn streams(&self, slot: Slot) -> (usize, usize) {
        let from = self.copies.values().filter(|copy| copy.source == slot);
        let to = self.copies.values().filter(|copy| copy.target == slot);
        (from.count(), to.count())
    }

    /// Something about many chunks may have changed.
    pub(super) fn survey(&mut self) {
        self.survey.want();
        self.wanted.hurry();
    }

    /// A node takes new replicas, or does not. What found no place may find one now.
    pub(super) fn note_fitness(&mut self, before: Option<Fitness>, now: Fitness) {
        let takes = |fitness: Fitness| !matches!(fitness, Fitness::Unfit(_));
        if takes(now) && !before.is_some_and(takes) {
            self.survey();
        }
    }

    pub(super) fn load(&self) -> usize {
        self.copies.len()
    }

    pub(super) fn check_invariants(&self) {
        self.wanted.check_invariants();
        assert!(
            self.copies.len() <= self.concurrency,
            "{} copies are under way, and {} may be",
            self.copies.len(),
            self.concurrency
        );
    }
}

impl Controller {
    /// Looks at a chunk about which something was heard.
    pub(in crate::controller) fn look_at_chunk(&mut self, now: Timestamp, chunk: ChunkId) {
        let urgency = (self.names().chunk(chunk)).and_then(|view| self.urgency(now, &view));
        match urgency {
            Some(urgency) => self.files.repairs.wanted.want(now, chunk, urgency),
            None => self.files.repairs.wanted.forget(chunk),
        }
    }

    /// A member's registration is void: nothing that it was to fetch will come.
    pub(in crate::controller) fn forget_copies_of(&mut self, now: Timestamp, slot: Slot) {
        let copies = &self.files.repairs.copies;
        let ended: Vec<CopyId> = copies
            .iter()
            .filter(|(_, copy)| copy.target == slot)
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let reason = "the node that fetched it has gone".to_owned();
            self.copy_failed(now, id, reason);
        }
        self.files.repairs.survey();
    }

    /// Why nothing is begun at present; empty if nothing stands against it.
    fn holds(&self) -> Vec<&'static str> {
        let holds = [
            (
                self.files.repairs.suspended,
                "an operator has suspended it: `vaquita repair resume`",
            ),
            (
                !self.files.settled,
                "not all data nodes have reported what they have since the controller started",
            ),
            (
                self.files.rolled_back,
                "a data node has seen more of the cluster's history than this controller knows",
            ),
            (
                self.mass_event,
                "many nodes went away at once, so that the cause is likely the network or the power",
            ),
        ];
        let standing = holds.iter().filter(|(holds, _)| *holds);
        standing.map(|(_, why)| *why).collect()
    }

    /// Goes on with what is to be done.
    pub(in crate::controller) fn tend_chunks(&mut self, now: Timestamp) {
        self.note_given_up(now);
        self.survey_on(now);
        let overdue: Vec<CopyId> = (self.files.repairs.copies.iter())
            .filter(|(_, copy)| copy.is_overdue(now))
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            let reason = "nothing was heard of the copy for too long".to_owned();
            self.copy_failed(now, id, reason);
        }
        self.files.repairs.wanted.tick(now);
        self.begin_copies(now);
    }

    /// Sees which nodes are waited for no longer.
    fn note_given_up(&mut self, now: Timestamp) {
        let given_up: BTreeSet<Slot> = (self.members.data_nodes())
            .filter(|&slot| self.members.all[slot].presence == Presence::Away)
            .filter(|&slot| {
                let node = self.node_of(slot);
                node.is_some_and(|node| !self.is_awaited(now, node, Some(slot)))
            })
            .collect();
        let before = core::mem::replace(&mut self.files.repairs.given_up, given_up.clone());
        if before == given_up {
            return;
        }
        for slot in given_up.difference(&before) {
            let chunks = self
                .node_of(*slot)
                .map_or(0, |node| self.names().chunks_on_count(node));
            let text = format!(
                "{} is waited for no longer: {chunks} chunks get another replica elsewhere",
                self.members.all[*slot].member.site.alias
            );
            if chunks > 0 {
                self.out
                    .notify(Event::warning("repair.node_given_up", text));
            }
        }
        self.files.repairs.survey();
    }

    /// Goes on with the survey of all chunks.
    fn survey_on(&mut self, now: Timestamp) {
        let survey = &mut self.files.repairs.survey;
        if now >= survey.next {
            survey.want();
        }
        // Before all have reported, everything would seem to be missing.
        if !self.files.settled {
            return;
        }
        let Some(at) = self.files.repairs.survey.at else {
            return;
        };
        let slice = self.limits.survey_chunks.max(1);
        let mut judged = Vec::new();
        let mut upto = at;
        let mut seen = 0;
        for view in self.names().chunks_after(at).take(slice) {
            seen += 1;
            let chunk = view.version().chunk;
            upto = Some(chunk);
            let urgency = self.urgency(now, &view);
            if urgency.is_some() || self.files.repairs.wanted.get(chunk).is_some() {
                judged.push((chunk, urgency));
            }
        }
        for (chunk, urgency) in judged {
            match urgency {
                Some(urgency) => self.files.repairs.wanted.want(now, chunk, urgency),
                None => self.files.repairs.wanted.forget(chunk),
            }
        }
        let survey = &mut self.files.repairs.survey;
        survey.at = Some(upto);
        if seen < slice {
            survey.next = now.after(SURVEY_PERIOD);
            survey.at = core::mem::take(&mut survey.again).then_some(None);
        }
    }

    /// Takes up what is most urgent, as far as nodes have hands free.
    fn begin_copies(&mut self, now: Timestamp) {
        if !self.holds().is_empty() || self.may_change_files().is_err() {
            return;
        }
        for chunk in self.files.repairs.wanted.ready(LOOKED_AT) {
            self.tend(now, chunk);
        }
    }

    /// Does what is to be done about one chunk, or notes why not.
    fn tend(&mut self, now: Timestamp, chunk: ChunkId) {
        let judged = self.names().chunk(chunk).and_then(|view| {
            let urgency = self.urgency(now, &view)?;
            Some((urgency, view.version(), self.standing(now, &view)))
        });
        let Some((urgency, version, standing)) = judged else {
            self.files.repairs.wanted.forget(chunk);
            return;
        };
        self.files.repairs.wanted.want(now, chunk, urgency);
        match urgency {
            Urgency::Surplus => self.give_up_surplus(now, version, &standing),
            Urgency::LastCopy | Urgency::Degraded | Urgency::Misplaced => {
                let full = self.files.repairs.copies.len() >= self.files.repairs.concurrency;
                if !full {
                    self.begin_copy(now, version, urgency, &standing);
                }
            }
        }
    }

    /// Has a node fetch a chunk.
    fn begin_copy(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        urgency: Urgency,
        standing: &Standing,
    ) {
        let Some(view) = self.names().chunk_version(version) else {
            return;
        };
        let (len, digest) = (view.len(), view.digest());
        let repairs = &self.files.repairs;
        let most = self.limits.copies_per_node.max(1);
        // The source that has the most hands free, whatever the log's order.
        let free = |slot: Slot| (repairs.streams(slot).0, slot);
        let mut sources = standing.good.clone();
        sources.sort_by_key(|(_, slot)| free(*slot));
        let Some(&(_, source)) = sources.first() else {
            return;
        };
        if free(source).0 >= most {
            return;
        }
        let busy: Vec<Slot> = (self.members.data_nodes())
            .filter(|&slot| repairs.streams(slot).1 >= most)
            .collect();
        let target = match self.target_for(len, urgency, standing, &busy) {
            Ok(target) => target,
            Err(_) if !busy.is_empty() => return,
            Err(reason) => {
                let chunk = version.chunk;
                self.files.repairs.wanted.failed(now, chunk, reason);
                return;
            }
        };
        let (Some(node), Some(cluster)) = (self.node_of(target), self.state.cluster) else {
            return;
        };
        let Some(place) = self.replica_place(node, ReplicaState::Good) else {
            return;
        };
        self.files.repairs.last_copy += 1;
        let copy = CopyId(self.files.repairs.last_copy);
        let token = WriteToken {
            cluster,
            controller_epoch: self.epoch,
            op: OpId::of_copy(self.epoch, copy),
            version,
            max_len: len,
            replicas: vec![(node, place.epoch)],
            mac: [0; 16],
        };
        let sources: Vec<ReplicaPlace> = sources
            .iter()
            .filter_map(|(node, _)| self.replica_place(*node, ReplicaState::Good))
            .collect();
        let is_holder = standing.gone.iter().any(|(gone, _)| *gone == node);
        let instead_of = match standing.gone.first() {
            _ if is_holder => None,
            Some((gone, _)) => Some(*gone),
            None => None,
        };
        let why = self.why(urgency, standing);
        let order = CopyReplica {
            copy,
            token: self.files.key.sign(token),
            len,
            digest,
            sources,
        };
        self.files.candidates.took(target, len);
        let under_way = Copy {
            version,
            len,
            source,
            target,
            instead_of,
            since: now,
            why,
        };
        self.files.repairs.copies.insert(copy, under_way);
        self.files.repairs.wanted.begin(version.chunk);
        self.tell(target, Message::CopyReplica(order));
    }

    /// Where another replica of a chunk goes.
    fn target_for(
        &mut self,
        len: u64,
        urgency: Urgency,
        standing: &Standing,
        busy: &[Slot],
    ) -> Result<Slot, String> {
        let beside: Vec<Slot> = standing.good.iter().map(|(_, slot)| *slot).collect();
        let mut avoid = busy.to_vec();
        // Who is waited for has it when it comes back.
        avoid.extend(
            standing
                .awaited
                .iter()
                .filter_map(|node| self.slot_of(*node)),
        );
        // A node that had it and is well otherwise is as good as any, and the log stays as it is.
        let prefer = (standing.gone.iter())
            .filter_map(|(_, slot)| *slot)
            .find(|slot| !busy.contains(slot));
        let level = match self.files.config.level {
            _ if self.planted.share_hosts => ReliabilityLevel::MayShare,
            // It is moved for the sake of being apart.
            ReliabilityLevel::PreferApart if urgency == Urgency::Misplaced => {
                ReliabilityLevel::NeverShare
            }
            level => level,
        };
        let wish = Wish {
            factor: 1,
            min: 1,
            level,
            size: len,
            beside: &beside,
            avoid: &avoid,
            prefer,
        };
        let files = &mut self.files;
        let draws = &mut files.draws;
        let placed = placement::place(&files.candidates, &wish, &mut || draws.next_u64());
        match placed.as_ref().map(|placed| placed.slots().first()) {
            Ok(Some(slot)) => Ok(*slot),
            Ok(None) => Err("no node has room for another replica".to_owned()),
            Err(none) => Err(none.to_string()),
        }
    }

    /// Why a chunk gets another replica, for people.
    fn why(&self, urgency: Urgency, standing: &Standing) -> String {
        if urgency == Urgency::Misplaced {
            return "its replicas share a host".to_owned();
        }
        let name = |node: NodeId, slot: Option<Slot>| match slot {
            Some(slot) => self.members.all[slot].member.site.alias.to_string(),
            None => format!("node {node}, which is in no file,"),
        };
        let gone: Vec<String> = (standing.gone.iter())
            .map(|&(node, slot)| {
                let away = slot.is_none_or(|it| self.members.all[it].presence != Presence::Online);
                let what = if away { "is lost" } else { "has it no more" };
                format!("{} {what}", name(node, slot))
            })
            .collect();
        let counts = format!(
            "{} of {} replicas are there",
            standing.expected(),
            self.files.config.factor
        );
        match gone.is_empty() {
            true => counts,
            false => format!("{counts}: {}", gone.join(", ")),
        }
    }

    /// A node has fetched a chunk, or has not.
    pub(in crate::controller) fn copy_ended(
        &mut self,
        now: Timestamp,
        slot: Slot,
        ended: &CopyEnded,
    ) {
        let copy = self.files.repairs.copies.get(&ended.copy);
        let Some(copy) = copy.filter(|copy| copy.target == slot).cloned() else {
            // It was given up meanwhile. What has come is found by the sweep.
            return;
        };
        match &ended.holder {
            Some(holder) => self.copied(now, ended.copy, &copy, holder),
            None => self.copy_failed(now, ended.copy, ended.reason.clone()),
        }
        self.begin_copies(now);
    }

    fn copied(&mut self, now: Timestamp, id: CopyId, copy: &Copy, holder: &Holder) {
        self.files.repairs.copies.remove(&id);
        let Some(node) = self
            .node_of(copy.target)
            .filter(|node| *node == holder.node)
        else {
            let reason = "the node has another identity now".to_owned();
            self.files
                .repairs
                .wanted
                .failed(now, copy.version.chunk, reason);
            return;
        };
        self.files.repairs.done.copies += 1;
        self.files.repairs.done.bytes += copy.len;
        self.files.repairs.pace.add(now, copy.len);
        let chunk = copy.version.chunk;
        self.files.repairs.wanted.again(chunk);
        let Some(view) = self.names().chunk_version(copy.version) else {
            // The file is gone; so is this, with the next sweep.
            self.files.repairs.wanted.forget(chunk);
            return;
        };
        let path = self.names().path(view.file()).unwrap_or_default();
        let is_holder = view.is_held_by(node);
        let stock = &mut self.files.stocks[copy.target];
        stock.missing.remove(&chunk);
        stock.corrupt.remove(&copy.version);
        if !is_holder {
            let gone = copy
                .instead_of
                .filter(|gone| self.is_gone(now, copy.version, *gone));
            self.change_replicas(now, copy.version, &[node], gone.as_slice());
        }
        let name = |slot: Slot| &self.members.all[slot].member.site.alias;
        let text = format!(
            "chunk {chunk} of {path} ({} bytes) was copied from {} to {}: {}",
            copy.len,
            name(copy.source),
            name(copy.target),
            copy.why
        );
        self.out.notify(Event::info("repair.copied", text));
        self.look_at_chunk(now, chunk);
    }

    /// Whether the log still places a replica at a node that has none.
    fn is_gone(&self, now: Timestamp, version: ChunkVersion, node: NodeId) -> bool {
        self.names().chunk_version(version).is_some_and(|view| {
            let standing = self.standing(now, &view);
            standing.gone.iter().any(|(gone, _)| *gone == node)
        })
    }

    fn copy_failed(&mut self, now: Timestamp, id: CopyId, reason: String) {
        let Some(copy) = self.files.repairs.copies.remove(&id) else {
            return;
        };
        self.files.repairs.done.failed += 1;
        self.files.candidates.gave_back(copy.target, copy.len);
        let name = |slot: Slot| &self.members.all[slot].member.site.alias;
        let text = format!(
            "chunk {} was not copied from {} to {}: {reason}",
            copy.version,
            name(copy.source),
            name(copy.target)
        );
        self.out
            .notify(Event::warning("repair.failed", text.clone()));
        let chunk = copy.version.chunk;
        self.files.repairs.wanted.failed(now, chunk, reason);
    }

    /// Gives up places where there is nothing, or a replica too many.
    fn give_up_surplus(&mut self, now: Timestamp, version: ChunkVersion, standing: &Standing) {
        let factor = self.files.config.factor;
        // A good replica is given up only when all others are known to be good.
        let surplus = standing.good.len() > factor && standing.awaited.is_empty();
        let removed: Vec<NodeId> = if standing.gone.is_empty() {
            let dispensable = self.dispensable(&standing.good).filter(|_| surplus);
            dispensable.map(|(node, _)| node).into_iter().collect()
        } else if standing.good.len() >= factor {
            standing.gone.iter().map(|(node, _)| *node).collect()
        } else {
            Vec::new()
        };
        if removed.is_empty() {
            self.files.repairs.wanted.forget(version.chunk);
            return;
        }
        self.files.repairs.done.given_up += removed.len() as u64;
        let names: Vec<String> = removed
            .iter()
            .map(|node| match self.slot_of(*node) {
                Some(slot) => self.members.all[slot].member.site.alias.to_string(),
                None => node.to_string(),
            })
            .collect();
        let text = format!(
            "chunk {version} has {} good replicas and needs {factor}: {} need not keep it",
            standing.good.len(),
            names.join(", ")
        );
        self.out.notify(Event::info("repair.given_up", text));
        self.change_replicas(now, version, &[], &removed);
        self.look_at_chunk(now, version.chunk);
    }

    /// A node has a good replica beside what the log says, of a chunk that has too few: it counts from
    /// now on.
    pub(super) fn adopt(&mut self, now: Timestamp, slot: Slot, version: ChunkVersion) -> bool {
        if !self.holds().is_empty() || self.may_change_files().is_err() {
            return false;
        }
        let (Some(node), Some(view)) = (self.node_of(slot), self.names().chunk_version(version))
        else {
            return false;
        };
        let same = self.files.stocks[slot].claims(version);
        let same = same.is_some_and(|it| (it.len, it.digest) == (view.len(), view.digest()));
        let standing = self.standing(now, &view);
        let mut with = standing.good.clone();
        with.push((node, slot));
        let apart =
            self.files.config.level != ReliabilityLevel::NeverShare || !self.shares_a_host(&with);
        let wanted = standing.expected() < self.files.config.factor;
        if !(same && wanted && apart) || self.files.repairs.is_copied(version) {
            return false;
        }
        let gone = standing.gone.first().map(|(gone, _)| *gone);
        self.files.repairs.done.adopted += 1;
        let text = format!(
            "{} has a good replica of chunk {version}, of which {} of {} are there: it counts from \
             now on",
            self.members.all[slot].member.site.alias,
            standing.expected(),
            self.files.config.factor
        );
        self.out.notify(Event::info("repair.adopted", text));
        self.change_replicas(now, version, &[node], gone.as_slice());
        self.look_at_chunk(now, version.chunk);
        true
    }

    /// Notes in the log that a chunk is kept by other nodes than before. Those that need not keep it
    /// any more are told once the record is synced.
    fn change_replicas(
        &mut self,
        now: Timestamp,
        chunk: ChunkVersion,
        added: &[NodeId],
        removed: &[NodeId],
    ) {
        let record = DfsRecord::ReplicasChanged {
            chunk,
            added: added.to_vec(),
            removed: removed.to_vec(),
        };
        let released = (removed.iter()).map(|node| (*node, vec![chunk])).collect();
        self.append_releasing(now, &record, released);
        for node in added {
            if let Some(slot) = self.slot_of(*node) {
                self.files.stocks[slot].committed(chunk);
            }
        }
    }
}
