//! Why a transfer failed.

use std::time::Duration;

use thiserror::Error;
use vaquita_core::admin::Refusal;
use vaquita_core::ids::Alias;

/// Why a transfer with one peer failed. The words name the peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransferFault {
    /// The peer said no, with a reason.
    #[error("{peer} refused: {refusal}")]
    Refused {
        /// The peer.
        peer: Alias,
        /// What it said.
        refusal: Refusal,
    },
    /// No connection came about. Nothing was sent.
    #[error("{peer} could not be reached: {reason}")]
    Unreachable {
        /// The peer.
        peer: Alias,
        /// Why.
        reason: String,
    },
    /// The peer, or this process, could not be authenticated. Nothing was sent.
    #[error("no session with {peer}: {reason}")]
    NotAMember {
        /// The peer.
        peer: Alias,
        /// Why.
        reason: String,
    },
    /// Nothing moved for too long.
    #[error("{peer} made no progress for {} s", after.as_secs())]
    Slow {
        /// The peer.
        peer: Alias,
        /// For how long.
        after: Duration,
    },
    /// The connection ended in the middle. Whether the peer has the bytes is not known.
    #[error("the connection to {peer} broke: {reason}")]
    Broken {
        /// The peer.
        peer: Alias,
        /// In the operating system's words.
        reason: String,
    },
    /// The peer says something that has no place there.
    #[error("{peer} does not keep to the protocol: {reason}")]
    Protocol {
        /// The peer.
        peer: Alias,
        /// What it said.
        reason: String,
    },
    /// The bytes are not the ones they should be: the peer's disk, or the network, changed them.
    #[error("the bytes of {peer} are wrong: {reason}")]
    Mismatch {
        /// The peer.
        peer: Alias,
        /// What differs.
        reason: String,
    },
    /// This process has no memory or no connection left for it at present. Nothing was sent.
    #[error("this process is busy: {reason}")]
    Busy {
        /// What is too much.
        reason: String,
    },
    /// Whoever had the bytes stopped giving them.
    #[error("the source of the bytes ended before all of them had come")]
    SourceEnded,
}

impl TransferFault {
    /// Whether the fault says that this replica's bytes are wrong.
    #[must_use]
    pub const fn is_mismatch(&self) -> bool {
        matches!(self, Self::Mismatch { .. })
    }

    /// Whether the peer has no room for the bytes.
    #[must_use]
    pub const fn is_want_of_room(&self) -> bool {
        let Self::Refused { refusal, .. } = self else {
            return false;
        };
        matches!(refusal, Refusal::NoRoom { .. })
    }

    /// Whether it is certain that the peer has kept nothing.
    #[must_use]
    pub const fn nothing_was_sent(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::NotAMember { .. } | Self::Busy { .. }
        )
    }
}
