//! What controller and data nodes say to each other about mirrors.

use core::fmt;

use minicbor::{Decode, Encode};

use crate::ids::{ControllerEpoch, Incarnation, LineageId, LogIndex};
use crate::message::Witness;
use crate::metalog::LogPart;
use crate::state::ClusterState;

/// The controller wants a node to keep a mirror, or to keep none. Answered by [`MirrorHas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorOpen {
    /// Comes back in every answer; a new one voids those before.
    #[n(0)]
    pub session: u64,
    /// Whether a mirror is wanted. If not, what there is of one is removed.
    #[n(1)]
    pub keep: bool,
}

/// A part of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartHeld {
    /// Which.
    #[n(0)]
    pub part: LogPart,
    /// Its bytes, as far as they are good.
    #[n(1)]
    pub len: u64,
}

/// How far a mirror reaches.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorEnd {
    /// The history of its last segment.
    #[n(0)]
    pub lineage: LineageId,
    /// Its last record.
    #[n(1)]
    pub index: LogIndex,
    /// The newest controller epoch in the records behind its checkpoint; zero if there are none.
    #[n(2)]
    pub epoch: ControllerEpoch,
    /// The process that had each of the last controller epochs, oldest first. Only where all of the log
    /// was replayed, as for a rebuild.
    #[cbor(n(3), default)]
    pub instances: Vec<(ControllerEpoch, Incarnation)>,
    /// The record with which each of these epochs began.
    #[cbor(n(4), default)]
    pub starts: Vec<(ControllerEpoch, LogIndex)>,
}

impl MirrorEnd {
    /// Takes in which controllers the replayed log knows.
    pub(crate) fn know_controllers(&mut self, state: &ClusterState) {
        self.epoch = self.epoch.max(state.controller_epoch());
        let known = state.instances.iter();
        self.instances = known.map(|(epoch, instance)| (*epoch, *instance)).collect();
        let starts = state.epoch_starts.iter();
        self.starts = starts
            .filter(|(epoch, _)| state.instances.contains_key(epoch))
            .map(|(epoch, start)| (*epoch, *start))
            .collect();
    }
}

/// What a directory holds of a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MirrorCopy {
    /// Its parts, checkpoints first, each kind in the order of the log.
    #[n(0)]
    pub parts: Vec<PartHeld>,
    /// How far it reaches. `None` if there is nothing, or it cannot be read as a log.
    #[n(1)]
    pub end: Option<MirrorEnd>,
    /// CRC-32 of the good bytes of its last segment, by which the controller knows that they are its
    /// own.
    #[n(2)]
    pub last_sum: u32,
    /// Why it cannot be read as a log; empty if it can, or if there is nothing.
    #[n(3)]
    pub fault: String,
}

/// What a node has of a mirror. Answers [`MirrorOpen`], and the [`MirrorPiece`] that completes a
/// checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorHas {
    /// The session.
    #[n(0)]
    pub session: u64,
    /// What there is.
    #[n(1)]
    pub copy: MirrorCopy,
}

/// Bytes for a mirror. Answered by [`MirrorKept`].
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct MirrorPiece {
    /// The session.
    #[n(0)]
    pub session: u64,
    /// The part they belong to.
    #[n(1)]
    pub part: LogPart,
    /// Where they begin, which is where the part ends at the node.
    #[n(2)]
    pub offset: u64,
    /// The bytes.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// All records up to here are in the mirror then; zero if that is not known.
    #[n(4)]
    pub upto: LogIndex,
    /// Whether what there is is put aside first.
    #[n(5)]
    pub anew: bool,
    /// Whether these are the last bytes of a checkpoint: it gets its name, and is answered by
    /// [`MirrorHas`].
    #[n(6)]
    pub complete: bool,
}

/// Says how many bytes there are, and not which: the log contains what passwords can be guessed with.
impl fmt::Debug for MirrorPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorPiece")
            .field("session", &self.session)
            .field("part", &self.part)
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .field("upto", &self.upto)
            .field("anew", &self.anew)
            .field("complete", &self.complete)
            .finish()
    }
}

/// Bytes of a mirror are on the node's disk, or could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorKept {
    /// The session.
    #[n(0)]
    pub session: u64,
    /// The part they belong to.
    #[n(1)]
    pub part: LogPart,
    /// How many bytes of it there are now.
    #[n(2)]
    pub len: u64,
    /// Why they are not there; empty if they are. The session is over then.
    #[n(3)]
    pub fault: String,
}

/// The mirror is complete: what was put aside for it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorSettled {
    /// The session.
    #[n(0)]
    pub session: u64,
}

/// Whoever rebuilds a controller's home asks a node what it has and has seen. Answered by
/// [`MirrorSurveyed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorSurvey {
    /// Comes back in the answer.
    #[n(0)]
    pub nonce: u64,
}

/// What a node has of mirrors, and has seen of controllers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorSurveyed {
    /// That of the question.
    #[n(0)]
    pub nonce: u64,
    /// The newest state of a controller that the node has seen.
    #[n(1)]
    pub witness: Witness,
    /// The mirror that is kept up to date.
    #[n(2)]
    pub present: MirrorCopy,
    /// The one that was put aside.
    #[n(3)]
    pub aside: MirrorCopy,
    /// Whether the node hears a controller at present.
    #[n(4)]
    pub hears_controller: bool,
}

/// Whoever rebuilds a controller's home wants bytes of a mirror. Answered by [`MirrorBytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MirrorRead {
    /// Comes back in the answer.
    #[n(0)]
    pub nonce: u64,
    /// Whether the mirror that was put aside is meant.
    #[n(1)]
    pub aside: bool,
    /// The part.
    #[n(2)]
    pub part: LogPart,
    /// The first byte.
    #[n(3)]
    pub offset: u64,
    /// How many at most.
    #[n(4)]
    pub len: u32,
}

/// Bytes of a mirror.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct MirrorBytes {
    /// That of the question.
    #[n(0)]
    pub nonce: u64,
    /// The bytes; fewer than were asked for at the end of the part.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// Why there are none; empty if there are.
    #[n(2)]
    pub fault: String,
}

/// Says how many bytes there are, and not which.
impl fmt::Debug for MirrorBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorBytes")
            .field("nonce", &self.nonce)
            .field("bytes", &self.bytes.len())
            .field("fault", &self.fault)
            .finish()
    }
}
