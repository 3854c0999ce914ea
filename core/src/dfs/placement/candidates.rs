//! The data nodes as places for replicas: what a controller keeps up to date, node by node.

use core::fmt;
use std::collections::BTreeMap;

use super::volume::Space;
use super::weights::Weights;
use super::{SLOW_BP, WHOLE_BP};
use crate::ids::Alias;
use crate::membership::Slot;

/// Capacity is weighed in units of 64 KiB, so that a weight stays below 2^50 up to a pebibyte.
const WEIGHT_UNIT_SHIFT: u32 = 16;

/// A host among those of [`Candidates`]: what two replicas of a chunk should not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostGroup(u32);

/// Whether a node takes new replicas, its space left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It does.
    Fit,
    /// It does, a quarter as often as a fit one of its size: it answers slowly.
    Slow,
    /// It does not.
    Unfit(Unfit),
}

/// Why a node takes no new replicas, its space left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// It is not online.
    Offline,
    /// It is online, and its first report of what it keeps is not applied yet.
    Unreported,
    /// It is suspected of being away.
    Suspect,
    /// Its heartbeats come, and it can be told nothing.
    Unreached,
    /// It is held back after it came and went too often.
    Quarantined,
    /// An operator has it in maintenance.
    Maintenance,
    /// An operator has it emptied.
    Draining,
}

impl Unfit {
    /// The words for it in a refusal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "is not online",
            Self::Unreported => "has not reported its chunks yet",
            Self::Suspect => "does not answer at present",
            Self::Unreached => "is not reached over TCP",
            Self::Quarantined => "is quarantined",
            Self::Maintenance => "is in maintenance",
            Self::Draining => "is being drained",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A data node as a place for replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is called, for refusals.
    pub alias: Alias,
    /// Its host, from [`Candidates::host`].
    pub host: HostGroup,
    /// Whether it takes new replicas at all.
    pub fitness: Fitness,
    /// What room its volumes have.
    pub space: Space,
}

/// The data nodes of a cluster as places for replicas, by their slots.
///
/// Slots that were never [set](Candidates::set), such as those of agents, are no places and are
/// named in no refusal. A change costs the logarithm of the number of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    all: Vec<Option<Candidate>>,
    hosts: BTreeMap<String, HostGroup>,
    /// Weights of the nodes below their high-water mark.
    ample: Weights,
    /// Weights of those above it.
    high: Weights,
}

impl Candidates {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The group of the host that is called `name`: the node's `hostLabel`, else the machine id that
    /// its agent told, else its address.
    ///
    /// # Panics
    /// If there are 2^32 hosts.
    pub fn host(&mut self, name: &str) -> HostGroup {
        if let Some(&known) = self.hosts.get(name) {
            return known;
        }
        let count = u32::try_from(self.hosts.len()).expect("a cluster has fewer than 2^32 hosts");
        self.hosts.insert(name.to_owned(), HostGroup(count));
        HostGroup(count)
    }

    /// The name of a host, for refusals.
    pub(super) fn host_name(&self, host: HostGroup) -> &str {
        let found = self.hosts.iter().find(|(_, group)| **group == host);
        found.map_or("?", |(name, _)| name)
    }

    /// Makes a slot what `candidate` says.
    pub fn set(&mut self, slot: Slot, candidate: Candidate) {
        if slot >= self.all.len() {
            self.all.resize(slot + 1, None);
        }
        self.all[slot] = Some(candidate);
        self.weigh(slot);
    }

    /// Makes a slot no place any more.
    pub fn forget(&mut self, slot: Slot) {
        self.set_fitness(slot, Fitness::Unfit(Unfit::Offline));
        if let Some(candidate) = self.all.get_mut(slot) {
            *candidate = None;
        }
    }

    /// Changes whether a node takes replicas. Does nothing for a slot that was never set.
    pub fn set_fitness(&mut self, slot: Slot, fitness: Fitness) {
        if let Some(Some(candidate)) = self.all.get_mut(slot) {
            candidate.fitness = fitness;
            self.weigh(slot);
        }
    }

    /// Changes the room of a node. Does nothing for a slot that was never set.
    pub fn set_space(&mut self, slot: Slot, space: Space) {
        if let Some(Some(candidate)) = self.all.get_mut(slot) {
            candidate.space = space;
            self.weigh(slot);
        }
    }

    /// Counts `size` bytes as used on a node until its volumes are told anew
    /// ([`Candidates::set_space`]): what was placed there and is not written yet must not be placed
    /// again.
    pub fn took(&mut self, slot: Slot, size: u64) {
        if let Some(Some(candidate)) = self.all.get_mut(slot) {
            candidate.space.take(size);
            self.weigh(slot);
        }
    }

    /// Counts `size` bytes as free again: what was placed there will not be written.
    pub fn gave_back(&mut self, slot: Slot, size: u64) {
        if let Some(Some(candidate)) = self.all.get_mut(slot) {
            candidate.space.give_back(size);
            self.weigh(slot);
        }
    }

    /// What is known of a slot.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Candidate> {
        self.all.get(slot)?.as_ref()
    }

    /// Every data node, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Candidate)> {
        let all = self.all.iter().enumerate();
        all.filter_map(|(slot, candidate)| Some((slot, candidate.as_ref()?)))
    }

    /// The weights of the nodes above their high-water mark, or of those below it.
    pub(super) const fn weights(&self, above_high_water: bool) -> &Weights {
        if above_high_water {
            &self.high
        } else {
            &self.ample
        }
    }

    fn weigh(&mut self, slot: Slot) {
        let Some(candidate) = self.get(slot) else {
            return;
        };
        let space = &candidate.space;
        let health = match candidate.fitness {
            Fitness::Unfit(_) => 0,
            Fitness::Slow => SLOW_BP,
            Fitness::Fit => WHOLE_BP,
        };
        let weight = if space.room == 0 {
            0
        } else {
            // Rounded up: the smallest volume can be drawn too.
            let units = (space.capacity >> WEIGHT_UNIT_SHIFT).saturating_add(1);
            units.saturating_mul(health)
        };
        let (ample, high) = if space.is_above_high_water() {
            (0, weight)
        } else {
            (weight, 0)
        };
        self.ample.set(slot, ample);
        self.high.set(slot, high);
    }
}

impl Candidate {
    /// Whether it takes a replica of `size` bytes.
    #[must_use]
    pub const fn takes(&self, size: u64) -> bool {
        !matches!(self.fitness, Fitness::Unfit(_)) && self.space.room >= size
    }

    /// The free share of its space after a write of `size` bytes, as a fraction: free bytes, and
    /// bytes in all.
    pub(super) const fn free_after(&self, size: u64) -> (u64, u64) {
        (
            self.space.free.saturating_sub(size),
            if self.space.capacity == 0 {
                1
            } else {
                self.space.capacity
            },
        )
    }
}
