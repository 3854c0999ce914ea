//! Small numbers for the nodes that keep chunks.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::ids::NodeId;

/// A node, as chunks name it. Means something only beside its [`NodeTable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub(super) struct Handle(u16);

/// Which node each handle stands for, and how many replicas the node has.
///
/// A node is in it while it has one. Handles are given lowest first, so that they follow from the
/// log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeTable {
    /// By handle. The last one is not free.
    slots: Vec<Option<Slot>>,
    handles: BTreeMap<NodeId, Handle>,
    free: BTreeSet<Handle>,
}

#[derive(Clone, Debug, PartialEq)]
struct Slot {
    node: NodeId,
    replicas: u64,
}

/// How many nodes may have chunks at one time.
const NODES_MAX: usize = 1 << 16;

impl NodeTable {
    /// Whether all of these nodes can have chunks.
    pub(super) fn has_room_for<'a>(&self, nodes: impl Iterator<Item = &'a NodeId>) -> bool {
        let mut unknown = nodes.filter(|node| !self.handles.contains_key(*node));
        let room = NODES_MAX - self.handles.len();
        let Some(first) = unknown.next() else {
            return true;
        };
        let mut distinct = BTreeSet::from([first]);
        distinct.extend(unknown);
        distinct.len() <= room
    }

    /// Counts one replica more on a node. `None` if there is no room for another node.
    pub(super) fn take(&mut self, node: NodeId) -> Option<Handle> {
        let handle = match self.handles.get(&node) {
            Some(handle) => *handle,
            None => self.admit(node)?,
        };
        self.hold(handle).then_some(handle)
    }

    fn admit(&mut self, node: NodeId) -> Option<Handle> {
        let slot = Some(Slot { node, replicas: 0 });
        let handle = match self.free.pop_first() {
            Some(handle) => {
                *self.slots.get_mut(usize::from(handle.0))? = slot;
                handle
            }
            None => {
                let handle = Handle(u16::try_from(self.slots.len()).ok()?);
                self.slots.push(slot);
                handle
            }
        };
        self.handles.insert(node, handle);
        Some(handle)
    }

    /// Counts one replica more on the node of a handle. Returns whether there is such a node.
    pub(super) fn hold(&mut self, handle: Handle) -> bool {
        match self.slots.get_mut(usize::from(handle.0)) {
            Some(Some(slot)) => {
                slot.replicas += 1;
                true
            }
            _ => false,
        }
    }

    /// Counts one replica less, and forgets a node that has none left.
    pub(super) fn give_back(&mut self, handle: Handle) {
        let Some(place) = self.slots.get_mut(usize::from(handle.0)) else {
            return;
        };
        let Some(slot) = place else { return };
        slot.replicas = slot.replicas.saturating_sub(1);
        if slot.replicas > 0 {
            return;
        }
        self.handles.remove(&slot.node);
        *place = None;
        self.free.insert(handle);
        while let Some(None) = self.slots.last() {
            self.slots.pop();
            self.free.pop_last();
        }
    }

    /// The node of a handle.
    pub(super) fn node(&self, handle: Handle) -> Option<NodeId> {
        let slot = self.slots.get(usize::from(handle.0))?;
        slot.as_ref().map(|slot| slot.node)
    }

    /// The handle of a node; `None` if it has no replicas.
    pub(super) fn handle(&self, node: NodeId) -> Option<Handle> {
        self.handles.get(&node).copied()
    }

    /// Nodes with replicas, each with how many.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, u64)> {
        self.slots
            .iter()
            .flatten()
            .map(|slot| (slot.node, slot.replicas))
    }

    /// How many replicas a node has.
    pub(super) fn replicas(&self, node: NodeId) -> u64 {
        let slot = self
            .handle(node)
            .and_then(|handle| self.slots.get(usize::from(handle.0)));
        slot.and_then(Option::as_ref)
            .map_or(0, |slot| slot.replicas)
    }

    /// What a checkpoint says of it. The counts follow from the chunks.
    pub(super) fn to_list(&self) -> Vec<Option<NodeId>> {
        self.slots
            .iter()
            .map(|slot| slot.as_ref().map(|slot| slot.node))
            .collect()
    }

    /// The table that a checkpoint says, without replicas yet; `None` if it is none.
    pub(super) fn from_list(list: &[Option<NodeId>]) -> Option<Self> {
        let mut table = Self::default();
        for (number, node) in list.iter().enumerate() {
            let handle = Handle(u16::try_from(number).ok()?);
            match node {
                Some(node) => {
                    if table.handles.insert(*node, handle).is_some() {
                        return None;
                    }
                }
                None => {
                    table.free.insert(handle);
                }
            }
            table
                .slots
                .push(node.map(|node| Slot { node, replicas: 0 }));
        }
        (!matches!(table.slots.last(), Some(None))).then_some(table)
    }
}
