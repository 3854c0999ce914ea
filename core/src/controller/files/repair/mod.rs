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
//!  lost, back, ────▶ survey of all ────┘  (by urgency)└─▶ give up a replica too many
//!  drained
//! ```
//!
//! A copy is asked of the node that is to have it, which fetches the bytes from a good replica,
//! verifies them against the digest of the log, and says when they are durable. Only then does a
//! record name it, in the place of a replica that is gone. Nothing is removed before that record is
//! synced, and what a node has beside what the log says is left alone as long as it may be needed
//! (`release.rs`).
//!
//! What is too many is given up last, a few chunks in each tick, and fewer while others wait for the log
//! (`surplus.rs`): whoever lowers the factor by mistake has time to notice.
//!
//! Nothing is begun while it is not known what nodes have, while so many are away that the cause is
//! likely not theirs, or by a controller that is behind what a node has seen.

mod copies;
mod history;
mod judge;
mod status;
mod surplus;
mod wanted;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::dfs::ask::ReplicaDeed;
use crate::dfs::ids::{ChunkId, ChunkVersion, CopyId};
use crate::dfs::namespace::DfsRecord;
use crate::dfs::placement::{Fitness, ReliabilityLevel, Unfit};
use crate::event::Event;
use crate::ids::{NodeId, Role};
use crate::membership::Slot;
use crate::state::Record;
use crate::time::Timestamp;

use history::{Deed, History};
use surplus::SurplusPace;
use wanted::WantedChunks;

/// How much it hurts that something is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// One more failure, and the chunk is lost.
    LastCopy,
    /// It has fewer replicas than it should.
    Degraded,
    /// It has enough replicas, and some are on nodes that are being drained.
    Leaving,
    /// Its replicas share a host although they need not.
    Misplaced,
    /// It has more than it needs.
    Surplus,
}

impl Urgency {
    pub(super) const ALL: [Self; 5] = [
        Self::LastCopy,
        Self::Degraded,
        Self::Leaving,
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
#[derive(Clone, Debug)]
pub(super) struct Repairs {
    /// `dfsRecoveryConcurrency`: copies under way at a time.
    concurrency: usize,
    /// Copies that were under way beyond that when it was lowered: they go on.
    beyond: usize,
    wanted: WantedChunks,
    copies: BTreeMap<CopyId, Copy>,
    /// By what is copied: one copy of a content at a time.
    copied: BTreeMap<ChunkVersion, CopyId>,
    last_copy: u64,
    survey: Survey,
    /// Data nodes that are given up at present; changes when one is lost, or comes back.
    given_up: BTreeSet<Slot>,
    /// Whether an operator has it wait.
    suspended: bool,
    done: Done,
    history: History,
    pace: Pace,
    surplus: SurplusPace,
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
pub(in crate::controller::files) struct Copy {
    pub(in crate::controller::files) version: ChunkVersion,
    pub(in crate::controller::files) len: u64,
    pub(in crate::controller::files) source: Slot,
    pub(in crate::controller::files) target: Slot,
    /// Whose replica is given up for it, if that is only moved for the sake of balance.
    pub(in crate::controller::files) moved_from: Option<NodeId>,
    pub(in crate::controller::files) since: Timestamp,
    /// Why it is made, for the log.
    pub(in crate::controller::files) why: String,
}

impl Copy {
    fn is_overdue(&self, now: Timestamp) -> bool {
        now.since(self.since) >= PATIENCE + Duration::from_secs(self.len / SLOWEST)
    }
}

/// Copies under way, by the nodes that they come from and go to.
#[derive(Debug, Default)]
pub(in crate::controller::files) struct Streams {
    pub(in crate::controller::files) from: BTreeMap<Slot, usize>,
    pub(in crate::controller::files) to: BTreeMap<Slot, usize>,
}

/// A walk over all chunks.
#[derive(Clone, Debug)]
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
    /// Copies under way at a time, from now on; those that are go on.
    pub(super) fn set_concurrency(&mut self, concurrency: usize) {
        self.concurrency = concurrency.max(1);
        self.beyond = self.under_way().0.saturating_sub(self.concurrency);
    }

    pub(super) fn new(concurrency: usize, now: Timestamp) -> Self {
        Self {
            concurrency: concurrency.max(1),
            beyond: 0,
            wanted: WantedChunks::default(),
            copies: BTreeMap::new(),
            copied: BTreeMap::new(),
            last_copy: 0,
            survey: Survey {
                at: None,
                again: false,
                next: now.after(SURVEY_PERIOD),
            },
            given_up: BTreeSet::new(),
            suspended: false,
            done: Done::default(),
            history: History::default(),
            pace: Pace::default(),
            surplus: SurplusPace::default(),
        }
    }

    /// Whether a node is just fetching a content.
    pub(super) fn is_fetching(&self, slot: Slot, version: ChunkVersion) -> bool {
        let copy = self.copied.get(&version).and_then(|id| self.copies.get(id));
        copy.is_some_and(|copy| copy.target == slot)
    }

    /// Why nothing could be done about a chunk the last time; empty if nothing stands against it.
    pub(super) fn wanted(&self, chunk: ChunkId) -> Option<&str> {
        self.wanted.get(chunk).map(|want| want.reason.as_str())
    }

    /// Whether a node is waited for no longer.
    pub(super) fn is_given_up(&self, slot: Slot) -> bool {
        self.given_up.contains(&slot)
    }

    /// Bytes that come to nodes by moves for balance that are under way, and those that leave.
    pub(super) fn bytes_moved(&self) -> BTreeMap<Slot, i64> {
        let mut moved: BTreeMap<Slot, i64> = BTreeMap::new();
        let moves = self.copies.values().filter(|it| it.moved_from.is_some());
        for it in moves {
            let len = i64::try_from(it.len).unwrap_or(i64::MAX);
            let came = moved.entry(it.target).or_default();
            *came = came.saturating_add(len);
            let left = moved.entry(it.source).or_default();
            *left = left.saturating_sub(len);
        }
        moved
    }

    /// How many copies are on their way to a node.
    pub(super) fn copies_to(&self, slot: Slot) -> usize {
        self.copies.values().filter(|it| it.target == slot).count()
    }

    /// How many copies are under way for want of replicas, and how many for balance.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let moves = self.copies.values().filter(|it| it.moved_from.is_some());
        let moves = moves.count();
        (self.copies.len() - moves, moves)
    }

    /// Whether nothing is to be done that could be done now: what is left waits for something.
    pub(super) fn is_quiet(&self) -> bool {
        self.survey.at.is_none() && self.under_way().0 == 0 && self.wanted.ready(1).is_empty()
    }

    /// How many chunks have fewer good replicas than they are to have.
    pub(super) const fn degraded(&self) -> u64 {
        self.wanted.count(Urgency::LastCopy) + self.wanted.count(Urgency::Degraded)
    }

    pub(super) const fn last_copies(&self) -> u64 {
        self.wanted.count(Urgency::LastCopy)
    }

    /// Whether something is to be done about a chunk.
    pub(super) fn is_wanted(&self, chunk: ChunkId) -> bool {
        self.wanted.get(chunk).is_some()
    }

    /// Whether a copy of a content is under way anywhere.
    pub(super) fn is_copied(&self, version: ChunkVersion) -> bool {
        self.copied.contains_key(&version)
    }

    fn insert(&mut self, id: CopyId, copy: Copy) {
        self.copied.insert(copy.version, id);
        self.copies.insert(id, copy);
    }

    fn remove(&mut self, id: CopyId) -> Option<Copy> {
        let copy = self.copies.remove(&id)?;
        self.copied.remove(&copy.version);
        Some(copy)
    }

    /// How many copies each node is the source of, and the target of.
    pub(super) fn streams(&self) -> Streams {
        let mut streams = Streams::default();
        for copy in self.copies.values() {
            *streams.from.entry(copy.source).or_default() += 1;
            *streams.to.entry(copy.target).or_default() += 1;
        }
        streams
    }

    /// Something about many chunks may have changed.
    pub(super) fn survey(&mut self) {
        self.survey.want();
        self.wanted.hurry();
    }

    /// A node takes new replicas, or does not. What found no place may find one now.
    pub(super) fn note_fitness(&mut self, before: Option<Fitness>, now: Fitness) {
        let takes = |fitness: Fitness| !matches!(fitness, Fitness::Unfit(_));
        if before == Some(Fitness::Unfit(Unfit::Suspect)) {
            // It was there all the time. What it has to give away was passed over meanwhile.
            if now == Fitness::Unfit(Unfit::Draining) {
                self.survey();
            }
            return;
        }
        if takes(now) && !before.is_some_and(takes) {
            self.survey();
        }
    }

    pub(super) fn load(&self) -> usize {
        self.copies.len()
    }

    pub(super) fn check_invariants(&self) {
        self.wanted.check_invariants();
        let (copies, _) = self.under_way();
        assert!(
            copies <= self.concurrency + self.beyond,
            "{copies} copies are under way, and {} may be",
            self.concurrency
        );
        assert_eq!(
            self.copies.len(),
            self.copied.len(),
            "a content is copied twice at a time"
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
        if self.members.all[slot].member.role == Role::DataNode {
            self.files.repairs.survey();
        }
    }

    /// Why nothing is begun at present; empty if nothing stands against it.
    pub(super) fn holds(&self) -> Vec<&'static str> {
        if self.planted.repair_regardless {
            return Vec::new();
        }
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
        self.renew_surplus_pace();
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
            // What a node is just fetching may be the replica that is too many.
            Urgency::Surplus if self.files.repairs.is_copied(version) => {}
            Urgency::Surplus => self.give_up_surplus(now, version, &standing),
            Urgency::LastCopy | Urgency::Degraded | Urgency::Leaving | Urgency::Misplaced => {
                let giving_up = self.files.giving_up.contains_key(&version);
                let repairs = &self.files.repairs;
                let full = repairs.under_way().0 >= repairs.concurrency
                    && !self.planted.copy_without_bound;
                if !repairs.is_copied(version) && !giving_up && self.adopt_from_any(now, version) {
                    return;
                }
                if !full && !self.files.repairs.is_copied(version) && !giving_up {
                    self.begin_copy(now, version, urgency, &standing);
                }
            }
        }
    }

    /// Has a good replica count that a node has beside what the log says, if there is one: it need not
    /// be copied.
    fn adopt_from_any(&mut self, now: Timestamp, version: ChunkVersion) -> bool {
        let slots: Vec<Slot> = self.members.data_nodes().collect();
        let claims = |slot: &Slot| self.files.stocks[*slot].claims(version).is_some();
        let slots: Vec<Slot> = slots.into_iter().filter(claims).collect();
        slots.into_iter().any(|slot| self.adopt(now, slot, version))
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
        let mut with: Vec<(NodeId, Slot)> = standing.readable().collect();
        with.push((node, slot));
        let given = self.is_on_given_volume(slot, node, version);
        if given {
            // Those that are away have a host as well.
            let awaited = standing.awaited.iter();
            with.extend(awaited.filter_map(|it| Some((*it, self.slot_of(*it)?))));
        }
        let apart =
            self.files.config.level != ReliabilityLevel::NeverShare || !self.shares_a_host(&with);
        // One that is drained helps as well where there are too few that can be read: it is given away
        // from there.
        let leaving = match self.is_draining(slot) {
            true => standing.leaving.len(),
            false => 0,
        };
        // What came with a volume that was given to the node counts although whoever had the volume is
        // waited for: it will not come back with it.
        let expected = match given {
            true => standing.good.len(),
            false => standing.expected(),
        };
        let wanted = expected + leaving < self.files.config.factor;
        let busy =
            self.files.repairs.is_copied(version) || self.files.giving_up.contains_key(&version);
        if !(same && wanted && apart) || busy {
            return false;
        }
        let gone = standing.gone.first().map(|(gone, _)| *gone);
        let len = view.len();
        self.files.repairs.done.adopted += 1;
        let alias = self.members.all[slot].member.site.alias.clone();
        let why = format!(
            "it had it already, and {} of {} replicas were there",
            standing.expected(),
            self.files.config.factor
        );
        let text = format!("{alias} counts as a holder of chunk {version} from now on: {why}");
        self.out.notify(Event::info("repair.adopted", text));
        let deed = Deed {
            version,
            len,
            what: ReplicaDeed::Adopted,
            from: None,
            to: Some(alias),
            given_up: gone.map(|gone| self.name_of(gone)).into_iter().collect(),
            took: Duration::ZERO,
            why,
        };
        self.files.repairs.history.add(now, deed);
        self.change_replicas(now, version, &[node], gone.as_slice());
        self.look_at_chunk(now, version.chunk);
        true
    }

    /// Notes in the log that a chunk is kept by other nodes than before. Those that need not keep it
    /// any more are told once the record is synced.
    pub(super) fn change_replicas(
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
        if self.planted.change_past_log {
            let index = self.log.appended();
            self.state.apply(index, &Record::Dfs(record));
            return;
        }
        let released = (removed.iter()).map(|node| (*node, vec![chunk])).collect();
        self.append_releasing(now, &record, released);
        for node in added {
            if let Some(slot) = self.slot_of(*node) {
                self.files.stocks[slot].committed(chunk);
                self.files.emptied.remove(&slot);
            }
        }
    }
}
