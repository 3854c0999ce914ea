//! The writes that are open at the controller: soft state, gone with the process.
//!
//! Nothing rests on it but convenience. A write that the controller has forgotten can still be
//! committed, if the replicas themselves say what they have; one that it remembers costs a little
//! memory until it ends or nothing is heard of it.

use core::time::Duration;
use std::collections::BTreeMap;

use super::ids::{ChunkId, ChunkVersion, OpId};
use crate::ids::{ControllerEpoch, NodeEpoch, NodeId};
use crate::time::Timestamp;

/// The open writes, and the ids that chunks are given.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    epoch: ControllerEpoch,
    minted: u64,
    open: BTreeMap<OpId, OpenWrite>,
    /// Which write an uncommitted chunk belongs to.
    chunks: BTreeMap<ChunkId, OpId>,
}

/// A write that has been given places.
#[derive(Clone, Debug)]
pub(crate) struct OpenWrite {
    /// The chunks that were allocated, in order.
    pub(crate) chunks: Vec<OpenChunk>,
    heard: Timestamp,
}

/// A chunk of an open write.
#[derive(Clone, Debug)]
pub(crate) struct OpenChunk {
    pub(crate) version: ChunkVersion,
    /// The most bytes it may have.
    pub(crate) max_len: u64,
    /// Who may have it, each under the registration it was chosen under.
    pub(crate) places: Vec<(NodeId, NodeEpoch)>,
    /// Those of them of whom the writer's word is too old to count.
    doubts: Vec<Doubt>,
}

/// A node has said of itself what it has, or has no more, since it was given a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    node: NodeId,
    /// When it reported all that it has, and the chunk was not known yet to be in it; `None` if it has
    /// said that it does not have this chunk.
    reported: Option<Timestamp>,
}

impl OpenChunk {
    /// Whether the writer's word counts for a replica at this place.
    pub(crate) fn vouches_for(&self, node: NodeId, epoch: NodeEpoch) -> bool {
        self.places.contains(&(node, epoch)) && self.doubts.iter().all(|it| it.node != node)
    }

    /// Whether a node has reported so lately that what it prepared since may still be on its way here.
    pub(crate) fn may_still_say(
        &self,
        now: Timestamp,
        patience: Duration,
        node: NodeId,
        epoch: NodeEpoch,
    ) -> bool {
        let lately = |at: Timestamp| now.since(at) < patience;
        let mut doubts = self.doubts.iter();
        self.places.contains(&(node, epoch))
            && doubts.any(|it| it.node == node && it.reported.is_some_and(lately))
    }

    fn doubt(&mut self, doubt: Doubt) {
        if !self.places.iter().any(|(node, _)| *node == doubt.node) {
            return;
        }
        self.doubts.retain(|it| it.node != doubt.node);
        self.doubts.push(doubt);
    }
}

impl Writes {
    pub(crate) const fn new(epoch: ControllerEpoch) -> Self {
        Self {
            epoch,
            minted: 0,
            open: BTreeMap::new(),
            chunks: BTreeMap::new(),
        }
    }

    /// How many writes are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many open writes may commit something that a node has.
    pub(crate) fn count_at(&self, node: NodeId) -> usize {
        let at = |chunk: &OpenChunk| chunk.places.iter().any(|place| place.0 == node);
        let writes = self.open.values();
        writes.filter(|write| write.chunks.iter().any(at)).count()
    }

    /// A write of which something is known.
    pub(crate) fn get(&self, op: OpId) -> Option<&OpenWrite> {
        self.open.get(&op)
    }

    /// Whether a chunk belongs to an open write.
    pub(crate) fn is_open(&self, chunk: ChunkId) -> bool {
        self.chunks.contains_key(&chunk)
    }

    /// Something was heard of a write.
    pub(crate) fn renew(&mut self, now: Timestamp, op: OpId) -> bool {
        match self.open.get_mut(&op) {
            Some(write) => {
                write.heard = now;
                true
            }
            None => false,
        }
    }

    /// A new chunk for a write. `None` once the ids of this epoch are used up.
    pub(crate) fn allocate(
        &mut self,
        now: Timestamp,
        op: OpId,
        max_len: u64,
        places: Vec<(NodeId, NodeEpoch)>,
    ) -> Option<ChunkVersion> {
        let chunk = ChunkId::new(self.epoch, self.minted)?;
        self.minted += 1;
        let version = ChunkVersion::first(chunk);
        let write = self.open.entry(op).or_insert_with(|| OpenWrite {
            chunks: Vec::new(),
            heard: now,
        });
        write.heard = now;
        write.chunks.push(OpenChunk {
            version,
            max_len,
            places,
            doubts: Vec::new(),
        });
        self.chunks.insert(chunk, op);
        Some(version)
    }

    /// More places for a chunk of a write. Returns whether there is such a chunk.
    pub(crate) fn extend(
        &mut self,
        now: Timestamp,
        op: OpId,
        version: ChunkVersion,
        places: &[(NodeId, NodeEpoch)],
    ) -> bool {
        let Some(write) = self.open.get_mut(&op) else {
            return false;
        };
        write.heard = now;
        let chunk = write.chunks.iter_mut().find(|it| it.version == version);
        match chunk {
            Some(chunk) => {
                chunk.places.extend_from_slice(places);
                true
            }
            None => false,
        }
    }

    /// A node has said all that it has: from now on its own word counts, and nobody else's.
    pub(crate) fn doubt_all(&mut self, now: Timestamp, node: NodeId) {
        let reported = Some(now);
        for write in self.open.values_mut() {
            for chunk in &mut write.chunks {
                chunk.doubt(Doubt { node, reported });
            }
        }
    }

    /// A node has said that it has a content no more, or not whole.
    pub(crate) fn doubt(&mut self, node: NodeId, version: ChunkVersion) {
        let op = self.chunks.get(&version.chunk);
        let Some(write) = op.and_then(|op| self.open.get_mut(op)) else {
            return;
        };
        for chunk in &mut write.chunks {
            if chunk.version == version {
                let reported = None;
                chunk.doubt(Doubt { node, reported });
            }
        }
    }

    /// Forgets some chunks of a write, and the write if they were all it had.
    pub(crate) fn give_up(&mut self, op: OpId, versions: &[ChunkVersion]) -> Vec<OpenChunk> {
        let Some(write) = self.open.get_mut(&op) else {
            return Vec::new();
        };
        let all = core::mem::take(&mut write.chunks);
        let (given_up, kept): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|chunk| versions.contains(&chunk.version));
        let empty = kept.is_empty();
        write.chunks = kept;
        if empty {
            self.open.remove(&op);
        }
        for chunk in &given_up {
            self.chunks.remove(&chunk.version.chunk);
        }
        given_up
    }

    /// Forgets a write that has ended, one way or the other.
    pub(crate) fn close(&mut self, op: OpId) -> Option<OpenWrite> {
        let write = self.open.remove(&op)?;
        for chunk in &write.chunks {
            self.chunks.remove(&chunk.version.chunk);
        }
        Some(write)
    }

    /// The writes of which nothing was heard for so long.
    pub(crate) fn silent_for(&self, now: Timestamp, patience: Duration) -> Vec<OpId> {
        let silent = self
            .open
            .iter()
            .filter(|(_, write)| now.since(write.heard) >= patience);
        silent.map(|(op, _)| *op).collect()
    }

    pub(crate) fn check_invariants(&self) {
        let open: usize = self.open.values().map(|write| write.chunks.len()).sum();
        assert_eq!(
            open,
            self.chunks.len(),
            "chunks of writes that are not open"
        );
        for (chunk, op) in &self.chunks {
            let write = self.open.get(op);
            let listed =
                write.is_some_and(|w| w.chunks.iter().any(|it| it.version.chunk == *chunk));
            assert!(listed, "{chunk:?} is not among the chunks of its write");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs(s))
    }

    fn place(n: u8) -> (NodeId, NodeEpoch) {
        (NodeId::new([n; 16]), NodeEpoch(u64::from(n)))
    }

    #[test]
    fn chunks_of_two_epochs_never_share_an_id() {
        let mut first = Writes::new(ControllerEpoch(1));
        let mut second = Writes::new(ControllerEpoch(2));
        let op = OpId([1; 16]);
        let a = first.allocate(at(0), op, 1, vec![place(1)]).unwrap();
        let b = second.allocate(at(0), op, 1, vec![place(1)]).unwrap();
        assert_ne!(a, b);
        assert_eq!(a.chunk.epoch(), ControllerEpoch(1));
        assert!(b.chunk > a.chunk);
    }

    #[test]
    fn a_closed_write_leaves_nothing() {
        let mut writes = Writes::new(ControllerEpoch(1));
        let op = OpId([1; 16]);
        let one = writes.allocate(at(0), op, 9, vec![place(1)]).unwrap();
        let two = writes.allocate(at(1), op, 9, vec![place(2)]).unwrap();
        assert!(writes.extend(at(2), op, two, &[place(3)]));
        assert!(!writes.extend(at(2), OpId([2; 16]), two, &[place(3)]));
        writes.check_invariants();
        let closed = writes.close(op).unwrap();
        assert_eq!(closed.chunks.len(), 2);
        assert_eq!(closed.chunks[1].places, [place(2), place(3)]);
        assert!(!writes.is_open(one.chunk));
        assert!(writes.close(op).is_none());
        writes.check_invariants();
    }

    #[test]
    fn writes_are_counted_at_each_node_that_has_a_place_in_them() {
        let mut writes = Writes::new(ControllerEpoch(1));
        let (one, two) = (OpId([1; 16]), OpId([2; 16]));
        writes.allocate(at(0), one, 9, vec![place(1), place(2)]);
        writes.allocate(at(0), one, 9, vec![place(1)]);
        writes.allocate(at(0), two, 9, vec![place(2)]);
        let count = |writes: &Writes, n| writes.count_at(place(n).0);
        assert_eq!([1, 2, 3].map(|n| count(&writes, n)), [1, 2, 0]);
        writes.close(one);
        assert_eq!([1, 2].map(|n| count(&writes, n)), [0, 1]);
    }

    #[test]
    fn who_gives_up_its_chunks_leaves_those_of_another_entry() {
        let mut writes = Writes::new(ControllerEpoch(1));
        let op = OpId([1; 16]);
        let one = writes.allocate(at(0), op, 9, vec![place(1)]).unwrap();
        let two = writes.allocate(at(0), op, 9, vec![place(2)]).unwrap();
        assert_eq!(writes.give_up(op, &[one]).len(), 1);
        assert!(!writes.is_open(one.chunk) && writes.is_open(two.chunk));
        writes.check_invariants();
        assert!(writes.give_up(op, &[one]).is_empty());
        assert_eq!(writes.give_up(op, &[two]).len(), 1);
        assert!(writes.get(op).is_none());
        writes.check_invariants();
    }

    #[test]
    fn only_a_write_of_which_nothing_is_heard_is_silent() {
        let mut writes = Writes::new(ControllerEpoch(1));
        let (quiet, busy) = (OpId([1; 16]), OpId([2; 16]));
        writes.allocate(at(0), quiet, 9, vec![place(1)]);
        writes.allocate(at(0), busy, 9, vec![place(1)]);
        assert!(writes.renew(at(50), busy));
        assert!(!writes.renew(at(50), OpId([3; 16])));
        assert_eq!(writes.silent_for(at(60), Duration::from_secs(20)), [quiet]);
    }
}
