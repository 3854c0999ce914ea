//! A single message that proves itself, and the window that drops the second of two alike.
//!
//! A datagram is one frame. Its counter is the sequence number of the heartbeat in it, its key is
//! that of one node and one direction: an acknowledgement that is thrown back at its sender proves
//! nothing there. No datagram carries a command, and none is answered before it has been verified.

use super::frame::{self, CHECKSUM_LEN, FrameFault, FrameView, HEADER_LEN};
use super::keys::{FrameKey, TAG_LEN};

/// The longest datagram: what passes every path on which IPv6 works at all.
pub const DATAGRAM_MAX: usize = 1200;
const BODY_MAX: usize = DATAGRAM_MAX - HEADER_LEN - CHECKSUM_LEN - TAG_LEN;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A heartbeat.
    ToController,
    /// Its acknowledgement.
    ToNode,
}

/// The key of one node and one direction; keyless in a cluster without a secret.
#[derive(Clone, Debug)]
pub struct DatagramKey(Option<FrameKey>);

impl DatagramKey {
    pub(super) const fn new(key: Option<FrameKey>) -> Self {
        Self(key)
    }
}

/// The bytes of a datagram.
///
/// # Panics
/// If they would be more than [`DATAGRAM_MAX`]: heartbeats are made to fit.
#[must_use]
pub fn seal(key: &DatagramKey, kind: u16, counter: u64, body: &[u8]) -> Vec<u8> {
    assert!(
        body.len() <= BODY_MAX,
        "a datagram body of {} bytes is too long",
        body.len()
    );
    frame::seal(kind, counter, body, key.0.as_ref())
}

/// A datagram that is whole and may be anybody's.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a>(FrameView<'a>);

/// Reads a datagram. What it returns is whole; whose it is, only [`Unverified::verify`] tells.
///
/// # Errors
/// If it is not exactly one undamaged frame.
pub fn parse(bytes: &[u8]) -> Result<Unverified<'_>, FrameFault> {
    if bytes.len() > DATAGRAM_MAX {
        return Err(FrameFault::BadLength);
    }
    match frame::read(bytes, BODY_MAX)? {
        Some((view, len)) if len == bytes.len() => Ok(Unverified(view)),
        _ => Err(FrameFault::BadLength),
    }
}

impl<'a> Unverified<'a> {
    /// What the body claims to be.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        self.0.kind
    }

    /// The body, to find out whose key to verify with and for nothing else.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.0.body
    }

    /// The frame, if it was made with this key.
    ///
    /// # Errors
    /// If it was not. Without a secret there is nothing to compare, and everything passes that
    /// carries no tag.
    pub fn verify(self, key: &DatagramKey) -> Result<FrameView<'a>, FrameFault> {
        if let Some(key) = &key.0 {
            self.0.verify(key)?;
        }
        Ok(self.0)
    }
}

/// What a replay window says of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before.
    Fresh,
    /// Seen before.
    Duplicate,
    /// So far behind the newest that it cannot be told.
    TooOld,
}

/// The sequence numbers of one sender that were seen: the newest, and a bit for each of the 128
/// up to it (after RFC 4303, appendix A).
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    newest: u64,
    /// Bit `n` stands for `newest - n`.
    seen: u128,
}

impl ReplayWindow {
    /// Notes a sequence number, and says whether it is new.
    pub fn accept(&mut self, seq: u64) -> Verdict {
        if seq > self.newest {
            let ahead = u32::try_from(seq - self.newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = seq;
            return Verdict::Fresh;
        }
        let behind = u32::try_from(self.newest - seq).unwrap_or(u32::MAX);
        match 1u128.checked_shl(behind) {
            None => Verdict::TooOld,
            Some(bit) if self.seen & bit != 0 || seq == 0 => Verdict::Duplicate,
            Some(bit) => {
                self.seen |= bit;
                Verdict::Fresh
            }
        }
    }
}
