//! Datagrams: one sealed frame each, told apart from forgeries and repetitions.
//!
//! A datagram has no handshake in front of it. Its key follows from the secret, the direction and
//! the node: a datagram of one node says nothing for another, and one sent back to its sender is
//! refused. Which node it is of stands in the body, so that a receiver first [parses](parse), then
//! looks up the node that the body names, then [verifies](Unverified::verify) with that node's
//! key, and only then believes anything.
//!
//! What is *not* protected: the bodies can be read by whoever sees them, and a recorded datagram
//! stays valid as long as the secret does. The receiver recognises repetitions by a
//! [`ReplayWindow`], and those from before its own start by the epochs in the body.

use core::fmt;

pub use crate::wire::frame::FrameFault;
use crate::wire::frame::{self, Frame, OVERHEAD_TAGGED};
use crate::wire::keys::TagKey;
pub use crate::wire::replay::{ReplayWindow, Verdict};

/// Longest datagram in bytes: it passes every path on which IPv6 works, tunnels included.
pub const DATAGRAM_MAX: usize = 1200;

/// Longest body of a datagram in bytes, whether it is tagged or not.
pub const BODY_MAX: usize = DATAGRAM_MAX - OVERHEAD_TAGGED;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From a node to the controller: heartbeats.
    ToController,
    /// From the controller to a node: acknowledgements.
    ToNode,
}

impl fmt::Display for Direction {
    /// As it stands in the label of a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ToController => "to-controller",
            Self::ToNode => "to-node",
        })
    }
}

/// What seals and verifies the datagrams of one direction between the controller and one node.
///
/// Made by [`Keyring::datagram_key`](crate::wire::keys::Keyring::datagram_key). Without a secret
/// it seals nothing, and accepts only what is not sealed.
#[derive(Clone, Debug)]
pub struct DatagramKey {
    tag_key: Option<TagKey>,
}

impl DatagramKey {
    pub(crate) const fn new(tag_key: Option<TagKey>) -> Self {
        Self { tag_key }
    }
}

/// The bytes of a datagram.
///
/// `seq` grows with each datagram of a sender under one epoch.
///
/// # Panics
/// If the body is longer than [`BODY_MAX`]. What goes into datagrams is of bounded size; a body
/// that is not belongs on a connection.
#[must_use]
pub fn seal(key: &DatagramKey, kind: u16, seq: u64, body: &[u8]) -> Vec<u8> {
    assert!(
        body.len() <= BODY_MAX,
        "the body of a datagram of kind {kind:#06x} has {} bytes, and {BODY_MAX} fit",
        body.len()
    );
    frame::write(kind, seq, body, key.tag_key.as_ref())
}

/// Takes a datagram apart. Costs a checksum and allocates nothing.
///
/// # Errors
/// If it is not one whole frame of at most [`DATAGRAM_MAX`] bytes. Nobody is to be answered.
pub fn parse(bytes: &[u8]) -> Result<Unverified<'_>, FrameFault> {
    frame::read_only(bytes, DATAGRAM_MAX, BODY_MAX).map(Unverified)
}

/// A datagram that arrived whole, from nobody knows whom.
///
/// Its fields serve to find the key with which to verify it, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverified<'a>(Frame<'a>);

impl<'a> Unverified<'a> {
    /// What the body claims to be.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        self.0.kind()
    }

    /// The sequence number that the datagram claims to have.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.0.counter()
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.0.body()
    }

    /// Checks that the datagram was sealed with `key`. Allocates nothing unless it fails.
    ///
    /// # Errors
    /// If the tag is wrong, of another key, missing, or there without a secret to check it.
    pub fn verify(&self, key: &DatagramKey) -> Result<Verified<'a>, FrameFault> {
        self.0.verify(key.tag_key.as_ref())?;
        Ok(Verified {
            kind: self.kind(),
            seq: self.seq(),
            body: self.body(),
        })
    }
}

/// A datagram of a process that has the key. It may still be a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// What the body is.
    pub kind: u16,
    /// The sequence number: for a [`ReplayWindow`].
    pub seq: u64,
    /// The body.
    pub body: &'a [u8],
}
