//! What is wrong with a chunk, by what is known of its replicas.

use super::Urgency;
use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::dfs::ask::ReplicaState;
use crate::dfs::ids::ChunkVersion;
use crate::dfs::namespace::ChunkView;
use crate::dfs::placement::{HostGroup, ReliabilityLevel};
use crate::ids::{HostId, NodeId};
use crate::membership::{Health, Slot};
use crate::time::Timestamp;

/// What is known of the replicas that the log says a chunk has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// They can be read, and their nodes are to keep them.
    pub(super) good: Vec<(NodeId, Slot)>,
    /// They can be read, and their nodes, or the volumes they lie on, are being drained.
    pub(super) leaving: Vec<(NodeId, Slot)>,
    /// Their nodes are away, or have not reported, and are waited for.
    pub(super) awaited: Vec<NodeId>,
    /// There is nothing to wait for: the node is lost, or says that it does not have it, or only in
    /// damaged form, or it is to be drained and does not answer. With the member that the node is, if it
    /// is one.
    pub(super) gone: Vec<(NodeId, Option<Slot>)>,
    /// Those among them whose nodes have it in damaged form.
    pub(super) damaged: Vec<(NodeId, Slot)>,
}

impl Standing {
    /// Replicas that are there, or will be, and stay.
    pub(super) fn expected(&self) -> usize {
        self.good.len() + self.awaited.len()
    }

    /// Replicas that can be read, those that stay before those that leave.
    pub(super) fn readable(&self) -> impl Iterator<Item = (NodeId, Slot)> + '_ {
        self.good.iter().chain(&self.leaving).copied()
    }

    /// Nodes that need not keep a replica, or have none, once there are enough others.
    pub(super) fn dispensed(&self) -> impl Iterator<Item = NodeId> + '_ {
        let gone = self.gone.iter().map(|it| it.0);
        gone.chain(self.leaving.iter().map(|it| it.0))
    }

    /// Whether with one good replica more there are enough without those that leave. Those that are
    /// merely waited for do not count: nothing is given up on the strength of them.
    pub(super) fn is_enough_with_one_more(&self, factor: usize) -> bool {
        self.good.len() + 1 >= factor
    }
}

impl Controller {
    pub(super) fn standing(&self, now: Timestamp, view: &ChunkView<'_>) -> Standing {
        let mut standing = Standing::default();
        for node in view.holders() {
            let slot = self.slot_of(node);
            let leaves = slot.is_some_and(|slot| self.is_draining(slot));
            match self.replica_state(node, view.version()) {
                ReplicaState::Good
                    if leaves || self.is_on_draining_volume(slot, view.version()) =>
                {
                    standing.leaving.extend(slot.map(|slot| (node, slot)));
                }
                ReplicaState::Good => standing.good.extend(slot.map(|slot| (node, slot))),
                // Whoever leaves anyway is not waited for.
                ReplicaState::Suspect | ReplicaState::Unconfirmed if leaves => {
                    standing.gone.push((node, slot));
                }
                ReplicaState::Suspect | ReplicaState::Unconfirmed => standing.awaited.push(node),
                ReplicaState::Away if !leaves && self.is_awaited(now, node, slot) => {
                    standing.awaited.push(node);
                }
                ReplicaState::Corrupt => {
                    standing.gone.push((node, slot));
                    standing.damaged.extend(slot.map(|slot| (node, slot)));
                }
                ReplicaState::Away | ReplicaState::Missing => standing.gone.push((node, slot)),
            }
        }
        standing
    }

    /// Whether a node has a content on a volume that is drained.
    fn is_on_draining_volume(&self, slot: Option<Slot>, version: ChunkVersion) -> bool {
        slot.is_some_and(|slot| self.files.stocks[slot].draining.contains(&version))
    }

    /// Whether a node that is away is still waited for: for `dfsRecoveryWaitTime`, and longer while so
    /// many are away that the cause is likely not theirs, or while it is in maintenance. One whose name
    /// was given to another is not.
    pub(super) fn is_awaited(&self, now: Timestamp, node: NodeId, slot: Option<Slot>) -> bool {
        if slot.is_none() && !self.state.registry.iter().any(|(_, it)| it.node == node) {
            return false;
        }
        if self.planted.await_nobody {
            return false;
        }
        if self.planted.await_for_ever {
            return true;
        }
        if slot.is_some_and(|slot| self.is_in_maintenance(slot)) {
            return true;
        }
        let Some(wait) = self.detector.thresholds().lost else {
            return true;
        };
        let since = match slot {
            // It is in no file any more: it was away from the start.
            None => self.files.started,
            Some(slot) => match self.detector.health(slot) {
                Health::Lost { .. } => return false,
                Health::Offline { .. } => return true,
                Health::Unwatched | Health::Alive | Health::Suspect => {
                    let member = &self.members.all[slot];
                    if member.presence != Presence::Away {
                        return true;
                    }
                    // One that left in good order, or was not seen yet, is lost as well in time.
                    self.away_since(slot)
                }
            },
        };
        now.since(since) < wait || self.mass_event
    }

    /// Since when a node is away, as far as this controller knows.
    pub(super) fn away_since(&self, slot: Slot) -> Timestamp {
        match self.detector.health(slot) {
            Health::Lost { since } | Health::Offline { since } => since,
            Health::Unwatched | Health::Alive | Health::Suspect => {
                self.members.all[slot].well_since.max(self.files.started)
            }
        }
    }

    /// Whether fewer of a chunk's replicas are known to be good, and to stay, than there should be.
    pub(in crate::controller::files) fn lacks_good_replicas(
        &self,
        now: Timestamp,
        view: &ChunkView<'_>,
    ) -> bool {
        self.standing(now, view).good.len() < self.files.config.factor
    }

    /// Whether a chunk has exactly the replicas that it should have, all of them good.
    pub(in crate::controller::files) fn is_well(
        &self,
        now: Timestamp,
        view: &ChunkView<'_>,
    ) -> bool {
        let standing = self.standing(now, view);
        let others = standing.awaited.len() + standing.gone.len() + standing.leaving.len();
        standing.good.len() == self.files.config.factor && others == 0
    }

    /// What is to be done about a chunk, if anything.
    pub(super) fn urgency(&self, now: Timestamp, view: &ChunkView<'_>) -> Option<Urgency> {
        let standing = self.standing(now, view);
        let factor = self.files.config.factor;
        if standing.expected() < factor {
            let leaving = standing.leaving.len();
            let hasty = self.planted.drain_without_copies && leaving > 0
                || self.planted.give_up_absent && !standing.gone.is_empty();
            if hasty && !standing.good.is_empty() {
                return Some(Urgency::Surplus);
            }
            return match standing.good.len() + leaving {
                // What is damaged in one place may be whole in another, or be read the next time.
                0 if !standing.damaged.is_empty() => Some(Urgency::LastCopy),
                // With no replica left to copy from there is nothing to do but to wait.
                0 => None,
                _ if standing.expected() + leaving >= factor => Some(Urgency::Leaving),
                1 if standing.awaited.is_empty() => Some(Urgency::LastCopy),
                _ => Some(Urgency::Degraded),
            };
        }
        let dispensed = standing.gone.len() + standing.leaving.len();
        if standing.good.len() >= factor && dispensed > 0 {
            return Some(Urgency::Surplus);
        }
        if !standing.awaited.is_empty() {
            return None;
        }
        if standing.good.len() > factor {
            // Also one that was copied to be apart: of those that share a host one is given up now.
            return Some(Urgency::Surplus);
        }
        let misplaced =
            self.shares_a_host(&standing.good) && self.could_be_apart(&standing.good, view.len());
        misplaced.then_some(Urgency::Misplaced)
    }

    /// Whether two of these nodes are on one host.
    pub(super) fn shares_a_host(&self, nodes: &[(NodeId, Slot)]) -> bool {
        let mut hosts: Vec<Option<HostId>> = nodes.iter().map(|it| self.host_of(it.0)).collect();
        hosts.sort_unstable();
        hosts.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Whether the configuration wants replicas apart, and there is a host for one of these to move to.
    fn could_be_apart(&self, nodes: &[(NodeId, Slot)], len: u64) -> bool {
        if self.files.config.level == ReliabilityLevel::MayShare {
            return false;
        }
        let candidates = &self.files.candidates;
        let host = |slot: Slot| candidates.get(slot).map(|it| it.host);
        let used: Vec<Option<HostGroup>> = nodes.iter().map(|it| host(it.1)).collect();
        let mut others = candidates.iter();
        others.any(|(_, it)| it.takes(len) && !used.contains(&Some(it.host)))
    }

    /// Which of these replicas one would give up, of a chunk that has one too many.
    ///
    /// The one that shares its host with another, else the one on the fullest node.
    pub(super) fn dispensable(&self, nodes: &[(NodeId, Slot)]) -> Option<(NodeId, Slot)> {
        let shares = |node: NodeId| {
            let host = self.host_of(node);
            nodes.iter().filter(|it| self.host_of(it.0) == host).count() > 1
        };
        let used_bp = |slot: Slot| {
            let candidate = self.files.candidates.get(slot);
            candidate.map_or(u64::MAX, |it| it.space.used_bp())
        };
        let keys = nodes
            .iter()
            .map(|&(node, slot)| (shares(node), used_bp(slot), node, slot));
        keys.max().map(|(.., node, slot)| (node, slot))
    }
}
