//! Data nodes that have chunks by the log, and no row in the nodes file.
//!
//! Somebody has taken the row out too early, or by mistake. The log goes on naming the node, so it stays a
//! member: it may register and be read from, and is emptied as if its drain had been ordered. It has no
//! configuration: what runs goes on, and can be stopped, but not started. It is forgotten when it has
//! nothing any more, or by order (`remove.rs`), and is a node like any other once its row is back.

use std::collections::BTreeMap;

use super::Controller;
use super::members::{Member, Presence};
use crate::admin::{Refusal, Selection};
use crate::dfs::ask::ReplicaState;
use crate::dfs::ids::ChunkId;
use crate::event::Event;
use crate::ids::{Alias, NodeId, Role};
use crate::membership::Slot;
use crate::state::{ClusterState, Duty};

/// What is known of what orphans alone have.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    /// Whether an operator was told of them since this controller started.
    told: bool,
    /// The last chunk that was looked at.
    at: Option<ChunkId>,
    counting: BTreeMap<Slot, u64>,
    /// Chunks of which no other good replica is there, by the last look at all of them; `None` before it.
    alone: Option<BTreeMap<Slot, u64>>,
}

/// The data nodes that the log knows with chunks, and the nodes file does not.
pub(super) fn find(state: &ClusterState, members: &[Member], controller: &Alias) -> Vec<Member> {
    let listed = |alias: &Alias| {
        alias == controller || members.iter().any(|member| member.site.alias == *alias)
    };
    let registry = &state.registry;
    let orphans = registry.iter().filter(|(alias, held)| {
        held.role == Role::DataNode
            && !listed(alias)
            && !registry.is_vacant(alias)
            && state.namespace.chunks_on_count(held.node) > 0
    });
    // Whoever listens at the same address, its agent above all, says which host that is.
    let host = |address: &str| {
        let mut others = members.iter();
        let other = others.find(|member| member.site.endpoint.host == address);
        other.map_or_else(|| address.to_owned(), |other| other.host.clone())
    };
    let orphans = orphans.map(|(_, held)| Member {
        site: held.site.clone(),
        role: Role::DataNode,
        host: host(&held.site.endpoint.host),
        node_cfg: String::new(),
    });
    orphans.collect()
}

impl Controller {
    /// Whether a member has no row in the nodes file, and nothing is to be done about it any more.
    pub(super) fn is_forgotten(&self, slot: Slot) -> bool {
        let member = &self.members.all[slot];
        member.orphaned
            && self.node_of(slot).is_none_or(|node| {
                member.presence == Presence::Away && self.names().chunks_on_count(node) == 0
            })
    }

    /// Tells of orphans, and counts what they alone have: a slice of all chunks at a time.
    pub(super) fn tend_orphans(&mut self) {
        if !self.members.has_orphans() {
            return;
        }
        let orphans: BTreeMap<NodeId, Slot> = (self.members.orphans())
            .filter(|slot| !self.is_forgotten(*slot))
            .filter_map(|slot| Some((self.node_of(slot)?, slot)))
            .collect();
        if !core::mem::replace(&mut self.orphans.told, true) {
            for text in self.orphan_alarms() {
                self.out.notify(Event::warning("node.orphaned", text));
            }
        }
        // Before all have reported, no chunk would have another good replica.
        if orphans.is_empty() || !self.knows_what_nodes_have() {
            return;
        }
        let slice = self.limits.survey_chunks.max(1);
        let (mut seen, mut upto) = (0, None);
        let mut found: Vec<Slot> = Vec::new();
        for view in self.names().chunks_after(self.orphans.at).take(slice) {
            seen += 1;
            upto = Some(view.version().chunk);
            for (node, slot) in view
                .holders()
                .filter_map(|it| Some((it, *orphans.get(&it)?)))
            {
                let mut others = view.holders().filter(|other| *other != node);
                let good = |other| self.replica_state(other, view.version()) == ReplicaState::Good;
                if !others.any(good) {
                    found.push(slot);
                }
            }
        }
        for slot in found {
            *self.orphans.counting.entry(slot).or_default() += 1;
        }
        self.orphans.at = upto;
        if seen < slice {
            self.orphans.at = None;
            self.orphans.alone = Some(core::mem::take(&mut self.orphans.counting));
        }
    }

    /// What an operator has to know of nodes that have chunks and no row in the nodes file.
    pub(super) fn orphan_alarms(&self) -> Vec<String> {
        let orphans = self
            .members
            .orphans()
            .filter(|slot| !self.is_forgotten(*slot));
        let texts = orphans.filter_map(|slot| {
            let node = self.node_of(slot)?;
            let site = &self.members.all[slot].member.site;
            let alias = &site.alias;
            let chunks = self.names().chunks_on_count(node);
            if chunks == 0 {
                return Some(format!(
                    "{alias} is not in cluster.nodes and runs, with no chunk that the log places there: \
                     stop it (`vaquita node stop {alias}`) once it is drained"
                ));
            }
            let alone = self.orphans.alone.as_ref();
            let alone = match alone.map(|alone| alone.get(&slot).copied().unwrap_or_default()) {
                Some(alone) => format!("{} of them with no other good replica", alone.min(chunks)),
                None => "it is not known yet how many of them nobody else has".to_owned(),
            };
            let chunks = match chunks {
                1 => "1 chunk".to_owned(),
                _ => format!("{chunks} chunks"),
            };
            Some(format!(
                "{alias} is not in cluster.nodes but holds {chunks}, {alone}. It is read from and \
                 emptied. If its line went by mistake, put `{site},{}` back and have it taken up (`vaquita \
                 config reload`); else let it run until it is drained. If it cannot come back: `vaquita node remove \
                 {alias}`",
                Role::DataNode
            ))
        });
        texts.collect()
    }

    /// Leaves orphans out of an order to start all nodes, and refuses one for an orphan by name.
    pub(super) fn refused_start(
        &self,
        selection: &Selection,
        slots: &mut Vec<Slot>,
    ) -> Option<Refusal> {
        self.without_orphans(selection, slots, "started: its configuration is not known")
    }

    /// The same for what nodes are used for; an orphan is drained anyway.
    pub(super) fn refused_duty(
        &self,
        selection: &Selection,
        slots: &mut Vec<Slot>,
        duty: Duty,
    ) -> Option<Refusal> {
        if duty == Duty::Drain && *selection != Selection::All {
            return None;
        }
        self.without_orphans(selection, slots, "used for anything: it is emptied")
    }

    fn without_orphans(
        &self,
        selection: &Selection,
        slots: &mut Vec<Slot>,
        what: &str,
    ) -> Option<Refusal> {
        if *selection == Selection::All {
            slots.retain(|slot| !self.members.all[*slot].orphaned);
            return None;
        }
        let orphan = slots
            .iter()
            .find(|slot| self.members.all[**slot].orphaned)?;
        let site = &self.members.all[*orphan].member.site;
        Some(Refusal::Conflict {
            reason: format!(
                "{} is not in cluster.nodes and cannot be {what}. Put the line `{site},{}` back and \
                 have it taken up first: `vaquita config reload`",
                site.alias,
                Role::DataNode
            ),
        })
    }
}
