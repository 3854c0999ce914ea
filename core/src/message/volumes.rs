//! What data nodes and the controller say to each other about volumes.

use minicbor::{Decode, Encode};

use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{VolumeId, VolumeSlot};
use crate::ids::{Alias, LogIndex, NodeId, RequestId};
use crate::store::Label;

/// How a volume of a node is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeFacts {
    /// Its position among the node's volumes.
    #[n(0)]
    pub slot: VolumeSlot,
    /// Its directory.
    #[n(1)]
    pub path: String,
    /// Its identity, where it could be opened.
    #[n(2)]
    pub id: Option<VolumeId>,
    /// How it is.
    #[n(3)]
    pub state: VolumeState,
    /// Bytes of its file system.
    #[n(4)]
    pub capacity: u64,
    /// Bytes free there.
    #[n(5)]
    pub free: u64,
    /// Bytes that are promised and not written yet.
    #[n(6)]
    pub promised: u64,
    /// Why it is not well and what to do; empty when it is.
    #[n(7)]
    pub reason: String,
    /// Chunks on it.
    #[n(8)]
    pub chunks: u64,
    /// Bytes of these chunks.
    #[n(9)]
    pub chunk_bytes: u64,
    /// For how long it has been as it is, in milliseconds, as far as the node's process knows.
    #[cbor(n(10), default)]
    pub for_ms: u64,
    /// What its label says, where that can be read.
    #[cbor(n(11), default)]
    pub label: Option<Label>,
    /// Whether it is in `volumes` no more: the node used it before, and has not opened it.
    #[cbor(n(12), default)]
    pub removed: bool,
    /// The order by which the node drains it: it puts nothing new there.
    #[cbor(n(13), default)]
    pub draining: Option<LogIndex>,
}

impl VolumeFacts {
    /// Whether new chunks may be put there.
    #[must_use]
    pub const fn takes_chunks(&self) -> bool {
        self.state.is_writable() && self.draining.is_none()
    }
}

/// Who owns a volume that was given to a node by order: another node's label on it counts no more, nor
/// does a copy of the disk from before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeOwner {
    /// The volume.
    #[n(0)]
    pub volume: VolumeId,
    /// Its owner.
    #[n(1)]
    pub node: NodeId,
    /// The record of the controller's log that says so; grows with each owner.
    #[n(2)]
    pub epoch: LogIndex,
    /// The directory at which it was when it was given: the disk that is there is meant, and no copy.
    #[n(3)]
    pub path: String,
    /// The owner's name, for people.
    #[n(4)]
    pub alias: Alias,
}

/// The controller tells every data node which volumes were given to whom, and which are drained,
/// whenever that has changed. [`Registered`](super::Registered) says it as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct VolumeOrders {
    /// All that were given.
    #[n(0)]
    pub owners: Vec<VolumeOwner>,
    /// All that are drained, whosever they are.
    #[cbor(n(1), default)]
    pub draining: Vec<VolumeDrain>,
}

/// A volume is to be emptied by order: nothing new is put there, and what is there goes elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeDrain {
    /// The volume.
    #[n(0)]
    pub volume: VolumeId,
    /// The record of the controller's log that says so.
    #[n(1)]
    pub order: LogIndex,
}

/// The controller wants a node to open again each volume that is not open. Answered by
/// [`VolumesRescanned`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RescanVolumes {
    /// Comes back in the answer.
    #[n(0)]
    pub id: RequestId,
    /// As in [`VolumeOrders`].
    #[n(1)]
    pub owners: Vec<VolumeOwner>,
    /// A directory whose volume the node is to forget first: an empty directory there may become a new
    /// one, and nobody misses the one before.
    #[n(2)]
    pub forget: Option<String>,
    /// As in [`VolumeOrders`].
    #[cbor(n(3), default)]
    pub draining: Vec<VolumeDrain>,
    /// The directory that the order is about, if it is about one: another one, of which the node has let
    /// go by order, is left alone.
    #[cbor(n(4), default)]
    pub named: Option<String>,
}

/// What came of opening volumes again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumesRescanned {
    /// Of the order.
    #[n(0)]
    pub id: RequestId,
    /// Every volume of the node, in the order of its configuration.
    #[n(1)]
    pub volumes: Vec<RescannedVolume>,
    /// Why the node did not do what it was asked; empty when it did.
    #[n(2)]
    pub refused: String,
}

/// A volume before and after an order to open it again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RescannedVolume {
    /// How it was.
    #[n(0)]
    pub was: VolumeState,
    /// Whether it was opened again; one that is in use, or is just being read, is left alone.
    #[n(1)]
    pub opened: bool,
    /// How it is.
    #[n(2)]
    pub now: VolumeFacts,
}

/// How a node's volumes are, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumesNow {
    /// The volumes.
    #[n(0)]
    pub volumes: Vec<VolumeFacts>,
}
