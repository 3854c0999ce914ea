//! One message on the wire.
//!
//! ```text
//! offset  bytes
//!      0      4  magic "VQT1"
//!      4      1  version, 1
//!      5      1  flags: bit 0 = a tag follows
//!      6      2  kind, little-endian like all numbers here
//!      8      4  length of the body, n
//!     12      8  counter
//!     20      n  body
//!   20+n      4  crc32 of all before it
//!   24+n     16  tag, where flag 0 is set
//! ```
//!
//! The checksum finds damage, the tag finds malice; a receiver looks at the checksum first because
//! it costs a tenth.

use thiserror::Error;

use super::keys::{FrameKey, TAG_LEN};

/// The first bytes of every frame, and of every connection of the node protocol.
pub const MAGIC: [u8; 4] = *b"VQT1";
/// The version of the layout above.
pub const VERSION: u8 = 1;
/// Bytes before the body.
pub const HEADER_LEN: usize = 20;
/// Bytes of the checksum behind the body.
pub const CHECKSUM_LEN: usize = 4;
const FLAG_TAGGED: u8 = 1;

/// Why bytes are no acceptable frame. Nothing in them was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// They do not begin as a frame does: another protocol, or the stream is out of step.
    #[error("not the node protocol")]
    BadMagic,
    /// A layout this version cannot read.
    #[error("frame layout {0} is not known here; upgrade the older side")]
    UnsupportedVersion(u8),
    /// Flags this version cannot read.
    #[error("frame flags {0:#04x} are not known here; upgrade the older side")]
    UnknownFlags(u8),
    /// The body is longer than the receiver takes.
    #[error("a body of {len} bytes is longer than {max}")]
    TooLong {
        /// The length named.
        len: usize,
        /// The longest taken.
        max: usize,
    },
    /// A datagram that is cut short, or goes on after its frame.
    #[error("the datagram is not exactly one frame")]
    BadLength,
    /// Damage on the way.
    #[error("checksum does not match")]
    BadChecksum,
    /// The sender does not know the key.
    #[error("authentication tag does not match")]
    BadTag,
    /// There is no tag where one is required.
    #[error("a frame without the authentication tag that is required here")]
    Untagged,
    /// A frame was lost, repeated or moved within a connection.
    #[error("frame {got} where frame {expected} was due")]
    CounterGap {
        /// The counter that was due.
        expected: u64,
        /// The counter that came.
        got: u64,
    },
}

/// A frame's parts, borrowed from the bytes they came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView<'a> {
    /// What the body is.
    pub kind: u16,
    /// Position in the connection, or the sequence number of a datagram.
    pub counter: u64,
    /// The body.
    pub body: &'a [u8],
    /// What the tag was made over.
    signed: &'a [u8],
    tag: Option<&'a [u8]>,
}

impl FrameView<'_> {
    /// Compares the tag with the one that `key` gives.
    ///
    /// # Errors
    /// If there is none, or it is another.
    pub fn verify(&self, key: &FrameKey) -> Result<(), FrameFault> {
        match self.tag {
            None => Err(FrameFault::Untagged),
            Some(tag) if key.verifies(self.signed, tag) => Ok(()),
            Some(_) => Err(FrameFault::BadTag),
        }
    }
}

/// The bytes of a frame, with a tag if there is a key.
///
/// # Panics
/// If the body is 4 GiB or longer: no sender makes such a body.
#[must_use]
pub fn seal(kind: u16, counter: u64, body: &[u8], key: Option<&FrameKey>) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("a body is far below 4 GiB");
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len() + CHECKSUM_LEN + TAG_LEN);
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.push(if key.is_some() { FLAG_TAGGED } else { 0 });
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&counter.to_le_bytes());
    bytes.extend_from_slice(body);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    if let Some(key) = key {
        let tag = key.tag(&bytes);
        bytes.extend_from_slice(&tag);
    }
    bytes
}

/// The frame at the beginning of `bytes`, and how many bytes it takes.
///
/// Returns `None` if more bytes are needed to tell.
///
/// # Errors
/// As soon as the bytes there are cannot become a frame with a body of at most `body_max`.
pub fn read(bytes: &[u8], body_max: usize) -> Result<Option<(FrameView<'_>, usize)>, FrameFault> {
    let known = bytes.len().min(MAGIC.len());
    if bytes.get(..known) != MAGIC.get(..known) {
        return Err(FrameFault::BadMagic);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let [
        _,
        _,
        _,
        _,
        version,
        flags,
        k0,
        k1,
        l0,
        l1,
        l2,
        l3,
        counter @ ..,
    ] = *header;
    if version != VERSION {
        return Err(FrameFault::UnsupportedVersion(version));
    }
    if flags & !FLAG_TAGGED != 0 {
        return Err(FrameFault::UnknownFlags(flags));
    }
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if len > body_max {
        return Err(FrameFault::TooLong { len, max: body_max });
    }
    let tag_len = if flags & FLAG_TAGGED == 0 { 0 } else { TAG_LEN };
    let whole = HEADER_LEN + len + CHECKSUM_LEN + tag_len;
    let signed_len = HEADER_LEN + len + CHECKSUM_LEN;
    let (Some(body), Some(signed), Some(after)) = (
        rest.get(..len),
        bytes.get(..signed_len),
        bytes.get(signed_len..whole),
    ) else {
        return Ok(None);
    };
    let (checked, checksum) = signed.split_at(HEADER_LEN + len);
    if crc32fast::hash(checked).to_le_bytes() != checksum {
        return Err(FrameFault::BadChecksum);
    }
    let view = FrameView {
        kind: u16::from_le_bytes([k0, k1]),
        counter: u64::from_le_bytes(counter),
        body,
        signed,
        tag: (tag_len > 0).then_some(after),
    };
    Ok(Some((view, whole)))
}

/// Collects the bytes of a connection until they are a frame.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// How many of them were handed out as frames.
    taken: usize,
}

impl FrameBuffer {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 && self.taken >= self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait to become a frame.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The next frame, if it is complete; `take` is called with it.
    ///
    /// # Errors
    /// What [`read`] finds, or `take` returns. The connection is of no use afterwards.
    pub fn next<T>(
        &mut self,
        body_max: usize,
        take: impl FnOnce(FrameView<'_>) -> Result<T, FrameFault>,
    ) -> Result<Option<T>, FrameFault> {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((view, len)) = read(waiting, body_max)? else {
            return Ok(None);
        };
        let taken = take(view)?;
        self.taken += len;
        Ok(Some(taken))
    }
}
