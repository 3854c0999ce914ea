//! Giving up what chunks have too many, at a pace that nobody notices.
//!
//! All chunks of a cluster can have a replica too many at once: the factor was lowered, perhaps by mistake.
//! Each of them costs a record of the log, a message, and work at a disk; none of it is urgent, and what is in
//! the trash for long enough is gone. So it is bounded in three ways:
//!
//! 1. So many chunks in a tick, and a quarter of them while anything waits for the log's disk.
//! 2. None at a node that has yet to throw away as many contents as are allowed: its disk decides.
//! 3. Nothing that lacks replicas waits for it: it is the last in the order of urgency.

use core::time::Duration;
use std::collections::BTreeMap;

use super::history::Deed;
use super::judge::Standing;
use crate::controller::Controller;
use crate::dfs::ask::ReplicaDeed;
use crate::dfs::ids::ChunkVersion;
use crate::event::Event;
use crate::ids::NodeId;
use crate::membership::Slot;
use crate::time::Timestamp;

/// What part of the pace is left while others wait for the log.
const WHILE_BUSY: usize = 4;

/// What may still be given up in this tick.
#[derive(Clone, Debug, Default)]
pub(super) struct SurplusPace {
    /// Chunks.
    left: usize,
    /// Contents of the nodes that were asked about.
    room: BTreeMap<Slot, usize>,
}

impl Controller {
    /// Another tick begins.
    pub(super) fn renew_surplus_pace(&mut self) {
        let (synced, appended) = self.log_positions();
        let most = self.limits.surplus_per_tick.max(1);
        let left = match synced < appended {
            true => most.div_ceil(WHILE_BUSY),
            false => most,
        };
        let room = BTreeMap::new();
        self.files.repairs.surplus = SurplusPace { left, room };
    }

    /// Whether these nodes may be relieved of a chunk now. If not, it has its turn later.
    fn take_surplus_turn(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        nodes: &[NodeId],
    ) -> bool {
        if self.files.repairs.surplus.left == 0 {
            return false;
        }
        let most = self.limits.surplus_per_node.max(1);
        let slots = nodes.iter().filter_map(|node| self.slot_of(*node));
        let slots: Vec<Slot> = slots.collect();
        for slot in &slots {
            let pace = &mut self.files.repairs.surplus;
            let stock = &self.files.stocks[*slot];
            let room = (pace.room.entry(*slot))
                .or_insert_with(|| most.saturating_sub(stock.to_throw_away()));
            if *room == 0 {
                // Others come up meanwhile, at other nodes.
                self.files.repairs.wanted.wait(now, version.chunk);
                return false;
            }
        }
        let pace = &mut self.files.repairs.surplus;
        pace.left -= 1;
        for slot in slots {
            if let Some(room) = pace.room.get_mut(&slot) {
                *room -= 1;
            }
        }
        true
    }

    /// Gives up places where there is nothing, or a replica too many.
    pub(super) fn give_up_surplus(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        standing: &Standing,
    ) {
        let factor = self.files.config.factor;
        // A good replica is given up only when all others are known to be good.
        let surplus = standing.good.len() > factor && standing.awaited.is_empty();
        let dispensed: Vec<NodeId> = standing.dispensed().collect();
        let removed: Vec<NodeId> = if dispensed.is_empty() {
            let dispensable = self.dispensable(&standing.good).filter(|_| surplus);
            dispensable.map(|(node, _)| node).into_iter().collect()
        } else if standing.good.len() >= factor
            || self.planted.drain_without_copies
            || self.planted.give_up_absent
        {
            dispensed
        } else {
            Vec::new()
        };
        if removed.is_empty() {
            self.files.repairs.wanted.forget(version.chunk);
            return;
        }
        if !self.planted.trim_without_bound && !self.take_surplus_turn(now, version, &removed) {
            return;
        }
        self.files.repairs.done.given_up += removed.len() as u64;
        let why = format!(
            "it has {} good replicas and needs {factor}",
            standing.good.len()
        );
        let given_up: Vec<String> = removed.iter().map(|node| self.name_of(*node)).collect();
        let text = format!(
            "chunk {version}: {} need not keep it, since {why}",
            given_up.join(", ")
        );
        self.out.notify(Event::info("repair.given_up", text));
        let deed = Deed {
            version,
            len: self.names().chunk_version(version).map_or(0, |it| it.len()),
            what: ReplicaDeed::GivenUp,
            from: None,
            to: None,
            given_up,
            took: Duration::ZERO,
            why,
        };
        self.files.repairs.history.add(now, deed);
        self.change_replicas(now, version, &[], &removed);
        self.look_at_chunk(now, version.chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::files::stock::Extra;
    use crate::dfs::ids::{ChunkId, Generation};
    use crate::ideal::Ideal;
    use crate::state::{NodeDesired, Record};

    fn version(chunk: u64) -> ChunkVersion {
        ChunkVersion {
            chunk: ChunkId(chunk),
            generation: Generation(1),
        }
    }

    /// How many chunks a node, if one is named, is relieved of in one tick.
    fn in_a_tick(controller: &mut Controller, node: Option<NodeId>) -> usize {
        controller.renew_surplus_pace();
        let nodes = node.as_slice();
        let turns = (0..1000)
            .map(version)
            .take_while(|version| controller.take_surplus_turn(Timestamp::ZERO, *version, nodes));
        turns.count()
    }

    #[test]
    fn so_many_chunks_are_given_up_in_a_tick_and_fewer_while_others_wait_for_the_log() {
        let mut cluster = Ideal::running(2);
        cluster.run_for(Duration::from_secs(6));
        let controller = cluster.controller();
        let most = controller.limits.surplus_per_tick;
        assert_eq!(in_a_tick(controller, None), most);
        let alias = controller.members.all[0].member.site.alias.clone();
        controller.append(&Record::NodeDesired(NodeDesired { alias, run: true }));
        assert_eq!(in_a_tick(controller, None), most / WHILE_BUSY);
    }

    #[test]
    fn a_node_that_has_much_to_throw_away_is_told_of_nothing_more() {
        let mut cluster = Ideal::running(2);
        cluster.run_for(Duration::from_secs(6));
        let controller = cluster.controller();
        let slot = controller
            .members
            .data_nodes()
            .next()
            .expect("there is one");
        let node = controller.node_of(slot).expect("it has registered");
        assert!(in_a_tick(controller, Some(node)) > 3);
        let most = controller.limits.surplus_per_node;
        for number in 0..most - 3 {
            let (entry, released) = (None, None);
            let extra = Extra { entry, released };
            let extras = &mut controller.files.stocks[slot].extras;
            extras.insert(version(5000 + number as u64), extra);
        }
        assert_eq!(in_a_tick(controller, Some(node)), 3);
    }
}
