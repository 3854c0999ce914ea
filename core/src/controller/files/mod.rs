//! The file system at the controller: what clients ask, what nodes have, and what follows from both.
//!
//! Names, and which chunks are whose, are state of the log ([`Namespace`]). What is kept here is
//! soft: open writes ([`Writes`]), what the nodes have said of what they have ([`Stock`]), and the
//! nodes as places for replicas ([`Candidates`]). It starts empty with each process; nothing is given
//! up on the strength of what is merely not known yet.

mod ask;
mod balance;
mod drain;
mod duty;
mod fit;
mod release;
mod repair;
mod rows;
mod stock;
mod stocktaking;
#[cfg(test)]
mod tests;
mod unknown;
mod volumes;
mod write;

use std::collections::BTreeMap;

use crate::dfs::ask::VolumeAdmin;
use crate::dfs::ids::{ChunkId, ChunkVersion, VolumeSlot};
use crate::dfs::namespace::Namespace;
use crate::dfs::placement::{Candidate, Candidates, Fitness, ReliabilityLevel, Space, Unfit};
use crate::dfs::placement::{VolumeChoice, VolumeRules};
use crate::dfs::token::TokenKey;
use crate::dfs::writes::Writes;
use crate::ids::{Alias, ConnId, ControllerEpoch, LogIndex, NodeId, RequestId, Role};
use crate::membership::{Health, Slot};
use crate::message::VolumeFacts;
use crate::prng::Prng;
use crate::state::Duty;
use crate::time::Timestamp;
use crate::wire::keys::Keyring;

use super::Controller;
use super::members::Presence;
use balance::Balance;
use repair::Repairs;
pub(super) use stock::Stock;

/// What a controller is told about the file system when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesConfig {
    /// `dfsReplicationFactor`: replicas that each chunk is to have.
    pub factor: usize,
    /// `dfsMinWriteReplicas`: replicas that must be on disk before a write counts.
    pub min_write: usize,
    /// `dfsReplicaReliabilityLevel`: whether replicas may share a host.
    pub level: ReliabilityLevel,
    /// `dfsRecoveryConcurrency`: copies under way at a time, when replicas are made anew.
    pub recovery_concurrency: usize,
    /// `dfsRebalanceConcurrency`: copies under way at a time, when replicas are moved to emptier nodes; none
    /// are if it is zero.
    pub rebalance_concurrency: usize,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            factor: 2,
            min_write: 2,
            level: ReliabilityLevel::default(),
            recovery_concurrency: 8,
            rebalance_concurrency: 0,
        }
    }
}

/// Who asked something about files, and how the answer gets there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A person or program at this process.
    Here(RequestId),
    /// A data node, on behalf of its client.
    Node {
        conn: ConnId,
        slot: Slot,
        id: RequestId,
    },
}

/// The soft state of the file system.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) config: FilesConfig,
    key: TokenKey,
    writes: Writes,
    candidates: Candidates,
    volume_rules: VolumeRules,
    /// What each member has said of what it has; agents have nothing.
    pub(super) stocks: Vec<Stock>,
    draws: Prng,
    started: Timestamp,
    next_sweep: Timestamp,
    /// Whether every data node that the log knows has reported, or was waited for long enough.
    settled: bool,
    balance: Balance,
    /// When the maintenance of a node is over.
    maintenance_ends: BTreeMap<Slot, Timestamp>,
    /// Nodes that are being drained and have nothing any more.
    emptied: BTreeMap<Slot, duty::Emptied>,
    /// A node has seen more of the history than this controller knows.
    pub(super) rolled_back: bool,
    /// Contents that a record gives up which is not synced yet, with the last such record: a crash would
    /// bring them back.
    giving_up: BTreeMap<ChunkVersion, LogIndex>,
    repairs: Repairs,
    /// Orders to open volumes again that wait for nodes.
    rescans: BTreeMap<RequestId, volumes::Rescan>,
    last_rescan: u64,
}

impl Files {
    pub(super) fn new(
        config: FilesConfig,
        keyring: &Keyring,
        epoch: ControllerEpoch,
        members: usize,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        let mut stocks = Vec::new();
        stocks.resize_with(members, Stock::default);
        Self {
            repairs: Repairs::new(config.recovery_concurrency, now),
            config,
            key: TokenKey::new(keyring),
            writes: Writes::new(epoch),
            candidates: Candidates::new(),
            volume_rules: VolumeRules::default(),
            stocks,
            draws: Prng::new(seed),
            started: now,
            next_sweep: now,
            settled: false,
            balance: Balance::default(),
            maintenance_ends: BTreeMap::new(),
            emptied: BTreeMap::new(),
            rolled_back: false,
            giving_up: BTreeMap::new(),
            rescans: BTreeMap::new(),
            last_rescan: 0,
        }
    }

    /// There is one more member.
    pub(super) fn add_member(&mut self) {
        self.stocks.push(Stock::default());
    }

    /// A member is no place for replicas any more, and is named in no refusal.
    pub(super) fn forget_place(&mut self, slot: Slot) {
        self.candidates.forget(slot);
        self.stocks[slot] = Stock::default();
    }

    /// Files are kept otherwise from now on. What that means for the chunks there are is for the next
    /// survey to say.
    pub(super) fn reconfigure(&mut self, config: FilesConfig) {
        self.repairs.set_concurrency(config.recovery_concurrency);
        self.config = config;
    }

    /// Has all chunks looked at soon.
    pub(super) fn survey(&mut self) {
        self.repairs.survey();
    }

    /// A member's registration is void: what it said of what it has is old.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.stocks[slot].forget();
    }

    /// Something has come that may be of no use: it is looked at soon.
    fn hurry_sweep(&mut self, now: Timestamp) {
        self.next_sweep = self.next_sweep.min(now);
    }

    /// Sums that must stay bounded.
    pub(super) fn load(&self) -> usize {
        self.writes.len() + self.repairs.load() + self.rescans.len()
    }

    pub(super) fn check_invariants(&self) {
        self.writes.check_invariants();
        self.repairs.check_invariants();
    }
}

/// What room a node has, by what it said of its volumes.
fn space_of(volumes: &[VolumeFacts], rules: &VolumeRules) -> Space {
    let choices: Vec<VolumeChoice> = volumes
        .iter()
        .filter(|volume| volume.draining.is_none())
        .map(|volume| VolumeChoice {
            slot: volume.slot,
            state: volume.state,
            capacity: volume.capacity,
            free: volume.free.saturating_sub(volume.promised),
        })
        .collect();
    Space::of(&choices, rules)
}

/// What a controller knows of what one node has, for the checkers of the simulators.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct StockView {
    /// Reports under the node's present registration that were applied.
    pub reports: u64,
    /// Sum of the fingerprints of what it has.
    pub sum: u64,
    /// Chunks that the log says it has, and that it does not have.
    pub missing: Vec<ChunkId>,
    /// Contents that it found damaged.
    pub corrupt: Vec<ChunkVersion>,
    /// What it has beside what the log says.
    pub extras: Vec<ChunkVersion>,
    /// Its volumes.
    pub volumes: Vec<VolumeFacts>,
}

impl Controller {
    /// What is known of what a member has, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn stock_of(&self, alias: &Alias) -> Option<StockView> {
        let stock = self.files.stocks.get(self.members.slot(alias)?)?;
        Some(StockView {
            reports: stock.reports,
            sum: stock.sum,
            missing: stock.missing.iter().copied().collect(),
            corrupt: stock.corrupt.iter().copied().collect(),
            extras: stock.extras.keys().copied().collect(),
            volumes: stock.volumes.clone(),
        })
    }

    /// Volumes that are told to be drained, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn drained_volumes(&self) -> Vec<(Alias, VolumeSlot)> {
        let mut drained = Vec::new();
        for slot in self.members.data_nodes() {
            let volumes = self.files.stocks[slot].volumes.iter();
            let alias = &self.members.all[slot].member.site.alias;
            let told = volumes.filter(|it| self.volume_admin(slot, it) == VolumeAdmin::Drained);
            drained.extend(told.map(|it| (alias.clone(), it.slot)));
        }
        drained
    }

    /// What members are told at this moment to give up of what they have, for the checkers of the
    /// simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn given_up_now(&self, now: Timestamp) -> Vec<(Alias, ChunkVersion)> {
        let mut told = Vec::new();
        for slot in self.members.data_nodes() {
            let extras = self.files.stocks[slot].extras.iter();
            for (version, _) in extras.filter(|(_, extra)| extra.released == Some(now)) {
                told.push((self.members.all[slot].member.site.alias.clone(), *version));
            }
        }
        told
    }

    /// Whether so many members are away that the cause is likely not theirs, for the checkers of the
    /// simulators.
    #[doc(hidden)]
    #[must_use]
    pub const fn sees_mass_event(&self) -> bool {
        self.mass_event
    }

    /// How files are kept, as far as it has been taken up, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub const fn files_config(&self) -> &FilesConfig {
        &self.files.config
    }

    /// What chunks lack, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn repairs(&self, now: Timestamp) -> crate::dfs::ask::RepairStatus {
        self.repair_status(now)
    }

    /// Writes that are open, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn open_writes(&self) -> usize {
        self.files.writes.len()
    }

    /// How many chunks have a single good replica and are to have more, as far as that is known.
    pub(super) const fn last_copies(&self) -> u64 {
        self.files.repairs.last_copies()
    }

    /// How many chunks have fewer good replicas than they are to have, as far as that is known.
    pub(super) const fn degraded_chunks(&self) -> u64 {
        self.files.repairs.degraded()
    }

    pub(super) const fn names(&self) -> &Namespace {
        &self.state.namespace
    }

    /// Whether a member takes new replicas.
    fn fitness(&self, now: Timestamp, slot: Slot) -> Fitness {
        let member = &self.members.all[slot];
        match member.presence {
            Presence::Away => return Fitness::Unfit(Unfit::Offline),
            Presence::Joining => return Fitness::Unfit(Unfit::Unreported),
            Presence::Online => {}
        }
        if !self.files.stocks[slot].is_known() {
            return Fitness::Unfit(Unfit::Unreported);
        }
        if self.detector.health(slot) != Health::Alive {
            return Fitness::Unfit(Unfit::Suspect);
        }
        if member.reach.is_blocked() {
            return Fitness::Unfit(Unfit::Unreached);
        }
        if member.flap.is_quarantined(now) {
            return Fitness::Unfit(Unfit::Quarantined);
        }
        match self.duty(slot) {
            Duty::Serve => {}
            Duty::Drain if self.planted.place_on_draining => {}
            Duty::Drain => return Fitness::Unfit(Unfit::Draining),
            Duty::Maintenance { .. } => return Fitness::Unfit(Unfit::Maintenance),
        }
        if self.files.stocks[slot].is_slow() {
            return Fitness::Slow;
        }
        Fitness::Fit
    }

    /// Brings the nodes as places for replicas up to date with what is known of them.
    pub(super) fn refresh_places(&mut self, now: Timestamp) {
        let slots: Vec<Slot> = self.members.data_nodes().collect();
        for slot in slots {
            let fitness = self.fitness(now, slot);
            let known = self.files.candidates.get(slot).map(|it| it.fitness);
            if known != Some(fitness) {
                self.refresh_place(now, slot);
            }
        }
    }

    /// Brings one node as a place for replicas up to date; an agent is none.
    pub(super) fn refresh_place(&mut self, now: Timestamp, slot: Slot) {
        let member = &self.members.all[slot];
        if member.member.role != Role::DataNode || member.gone {
            return;
        }
        let fitness = self.fitness(now, slot);
        let alias = self.members.all[slot].member.site.alias.clone();
        let host = self.host_name(slot);
        let files = &mut self.files;
        let host = files.candidates.host(&host);
        let space = space_of(&files.stocks[slot].volumes, &files.volume_rules);
        let before = files.candidates.get(slot).map(|it| it.fitness);
        files.repairs.note_fitness(before, fitness);
        files.candidates.set(
            slot,
            Candidate {
                alias,
                host,
                fitness,
                space,
            },
        );
    }

    /// What tells the host of a member from others: its identity, or what the nodes file says while
    /// that is not known.
    pub(super) fn host_name(&self, slot: Slot) -> String {
        let member = &self.members.all[slot].member;
        let registration = self.state.registry.get(&member.site.alias);
        registration.map_or_else(|| member.host.clone(), |it| it.host.to_string())
    }

    /// The member that a node of the log is at present.
    fn slot_of(&self, node: NodeId) -> Option<Slot> {
        self.members.of_node(node).or_else(|| {
            // A member that has not registered with this process yet.
            let known = self.state.registry.iter().find(|(_, it)| it.node == node);
            known.and_then(|(alias, _)| self.members.slot(alias))
        })
    }

    /// Replicas that each chunk is to have.
    pub(super) const fn replicas_wanted(&self) -> usize {
        self.files.config.factor
    }

    /// Whether all nodes that have chunks have said so, or were waited for long enough.
    pub(super) const fn knows_what_nodes_have(&self) -> bool {
        self.files.settled
    }

    /// Why it is not known at present of which chunks there are good replicas; `None` if it is.
    pub(super) const fn why_unknown(&self) -> Option<&'static str> {
        if !self.files.settled {
            return Some("not all data nodes have reported since the controller started");
        }
        if self.files.rolled_back {
            return Some(
                "a data node has seen more of the cluster's history than this controller knows",
            );
        }
        if self.mass_event {
            return Some("many nodes went away at once");
        }
        None
    }

    /// A member is none any more: what was known of its files is void.
    pub(super) fn forget_files_of(&mut self, now: Timestamp, slot: Slot) {
        self.files.forget(slot);
        self.files.emptied.remove(&slot);
        self.files.maintenance_ends.remove(&slot);
        self.forget_copies_of(now, slot);
        self.refresh_place(now, slot);
        self.files.repairs.survey();
    }

    pub(super) fn node_of(&self, slot: Slot) -> Option<NodeId> {
        let alias = &self.members.all[slot].member.site.alias;
        self.state.registry.get(alias).map(|it| it.node)
    }
}
