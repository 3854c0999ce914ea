//! Why a session ends, on the side that found it.

use core::fmt;

use thiserror::Error;

use crate::ids::{Alias, ClusterId, Role};
use crate::wire::codec::Malformed;
use crate::wire::frame::FrameFault;
use crate::wire::handshake::{GoodbyeCode, ProtocolRange, Side};

/// How a process calls itself before it has proven anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it says it is for.
    pub role: Role,
    /// What it says it is called.
    pub alias: Alias,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.alias)
    }
}

/// Why a session ended. It stays ended; the connection is to be closed.
///
/// Frames that were delivered before are good. Everything but [`SessionFault::RefusedByPeer`] was
/// found on this side, and the other side is told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionFault {
    /// The bytes are no frames, or not to be believed.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// A frame of the handshake holds something else than it should.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no version of the protocol that both sides speak.
    #[error(
        "this process speaks protocol version {ours} and the {peer} speaks {theirs}: bring {} up \
         to date",
        older(*ours, *theirs)
    )]
    VersionsDisjoint {
        /// What this process speaks.
        ours: ProtocolRange,
        /// What the other side speaks.
        theirs: ProtocolRange,
        /// The other side.
        peer: Claim,
    },
    /// The other side has a secret and this one has none.
    #[error(
        "this process has no cluster secret and the {peer} has one: run `vaquita secret`, copy it \
         to each host, this one included, and start this process again"
    )]
    SecretMissingHere {
        /// The other side.
        peer: Claim,
    },
    /// This side has a secret and the other one has none.
    #[error(
        "this process has a cluster secret and the {peer} has none: run `vaquita secret`, copy it \
         to each host, that of the {peer} included, and start that process again"
    )]
    SecretMissingThere {
        /// The other side.
        peer: Claim,
    },
    /// Both sides have a secret, and not the same.
    #[error(
        "the {peer} has another cluster secret than this process: copy the same `cluster.secret` \
         to each host; or somebody between the two changes what they say"
    )]
    SecretsDiffer {
        /// The other side.
        peer: Claim,
    },
    /// Both sides have a secret, under different numbers.
    #[error(
        "this process uses key {ours} and the {peer} uses key {theirs}: bring both to the same \
         release and give both the same `cluster.secret`"
    )]
    KeysDiffer {
        /// The key of this process.
        ours: u8,
        /// The key of the other side.
        theirs: u8,
        /// The other side.
        peer: Claim,
    },
    /// Both sides belong to a cluster, and not to the same.
    #[error(
        "the {peer} belongs to cluster {theirs} and this process to cluster {ours}: check the \
         address that was dialled; a node that is to change its cluster needs an empty home"
    )]
    OtherCluster {
        /// The cluster of this process.
        ours: ClusterId,
        /// The cluster of the other side.
        theirs: ClusterId,
        /// The other side.
        peer: Claim,
    },
    /// This process has reached itself, or a mirror of its words.
    #[error(
        "this process is connected with itself: the address that was dialled leads back to it, or \
         to something that echoes; check the address and the port"
    )]
    Reflected,
    /// The other side has sent more than a stranger may and has proven nothing.
    #[error("the other side sent more than {max} bytes and has proven nothing")]
    HandshakeTooLong {
        /// The most it may send.
        max: usize,
    },
    /// A frame that has no place where it came.
    #[error("a frame of kind {kind:#06x} came where {due} was due")]
    UnexpectedKind {
        /// What came.
        kind: u16,
        /// What was due, in words.
        due: &'static str,
    },
    /// The other side ended the session, in its own words if it has any.
    #[error("the other side ended the session: {code}{}", quoted(text))]
    RefusedByPeer {
        /// Its reason.
        code: GoodbyeCode,
        /// Its sentence, cut and safe to print. Before a session is established anybody may have
        /// written it.
        text: String,
    },
}

fn older(ours: ProtocolRange, theirs: ProtocolRange) -> &'static str {
    if ours.max < theirs.max {
        "this process"
    } else {
        "that process"
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" (it says: {text})")
    }
}

impl SessionFault {
    /// What the other side is told. `None` if it has ended the session itself, or would not
    /// understand.
    pub(crate) fn goodbye(&self, side: Side) -> Option<GoodbyeCode> {
        let lacks = |side| match side {
            Side::Dialer => GoodbyeCode::DialerLacksSecret,
            Side::Acceptor => GoodbyeCode::AcceptorLacksSecret,
        };
        match self {
            Self::RefusedByPeer { .. } | Self::Frame(FrameFault::BadMagic { .. }) => None,
            Self::VersionsDisjoint { .. } => Some(GoodbyeCode::VersionsDisjoint),
            Self::SecretMissingHere { .. } => Some(lacks(side)),
            Self::SecretMissingThere { .. } => Some(lacks(side.other())),
            Self::SecretsDiffer { .. } => Some(GoodbyeCode::SecretsDiffer),
            Self::KeysDiffer { .. } => Some(GoodbyeCode::KeysDiffer),
            Self::OtherCluster { .. } => Some(GoodbyeCode::OtherCluster),
            Self::HandshakeTooLong { .. } => Some(GoodbyeCode::HandshakeTooLong),
            Self::Frame(_) | Self::Malformed(_) | Self::Reflected | Self::UnexpectedKind { .. } => {
                Some(GoodbyeCode::Protocol)
            }
        }
    }
}
