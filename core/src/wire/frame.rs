//! Frames: where a message begins and ends, and whether it arrived whole.
//!
//! A connection is a sequence of frames; a datagram is one frame.
//!
//! ```text
//!  offset  size  field
//!       0     4  magic     "VQT1"
//!       4     1  version   1: this layout
//!       5     1  flags     bit 0: tagged; the other bits are 0
//!       6     2  kind      what the body is, u16
//!       8     4  length    of the body, u32, n below
//!      12     8  counter   of the frames of this sender in this session, u64
//!      20     n  body
//!    20+n     4  checksum  CRC-32 (IEEE) of bytes 0 to 20+n
//!    24+n     1  key id    of the key that made the tag       ┐ only where
//!    25+n    16  tag       of bytes 0 to 25+n, see `TagKey`   ┘ flags say so
//! ```
//!
//! Numbers are little-endian. The checksum stands beside the tag for two reasons: it protects
//! clusters without a secret from bad memory and bad switches (TCP's own sum is 16 bits wide), and
//! it tells damage, which is common, from forgery, which is not.

use thiserror::Error;

use crate::wire::keys::{TAG_LEN, TagKey};

/// The first bytes of every frame, by which a port shared with HTTP and TLS recognises it.
pub const MAGIC: [u8; 4] = *b"VQT1";

/// The version of the layout above.
pub const VERSION: u8 = 1;

/// Bytes in front of a body.
pub const HEADER_LEN: usize = 20;

/// Bytes that a frame without a tag takes beside its body.
pub const OVERHEAD: usize = HEADER_LEN + CHECKSUM_LEN;

/// Bytes that a frame with a tag takes beside its body.
pub const OVERHEAD_TAGGED: usize = OVERHEAD + SEAL_LEN;

/// Set where a key id and a tag follow the checksum.
const TAGGED: u8 = 0b0000_0001;

const CHECKSUM_LEN: usize = 4;

/// Key id and tag.
const SEAL_LEN: usize = 1 + TAG_LEN;

/// Capacity that a decoder keeps while it has nothing to hold, so that one long frame on each of a
/// thousand connections does not stay in memory for good.
const IDLE_CAPACITY: usize = 64 * 1024;

/// Why bytes are no frame, or a frame is not to be believed. Each is the sender's fault or the
/// network's.
///
/// Nothing of the frame has taken effect. On a connection the position of the next frame is lost,
/// so that the connection has to be closed; a datagram is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The other side speaks something else.
    #[error(
        "the other side does not speak the node protocol: a frame begins with `VQT1`, not with \
         `{}`; check the address and the port",
        found.escape_ascii()
    )]
    BadMagic {
        /// The bytes in place of the magic, as many as there are.
        found: Vec<u8>,
    },
    /// The other side uses a layout of frames that this build does not know.
    #[error(
        "a frame has layout version {found}, and this build reads version {VERSION}: the two \
         processes are of releases too far apart; bring the older one up to date"
    )]
    UnsupportedVersion {
        /// The version in the frame.
        found: u8,
    },
    /// A flag is set that this layout does not define.
    #[error("a frame has the flags {found:#04x}, of which this build knows only 0x01")]
    UnknownFlags {
        /// The flags in the frame.
        found: u8,
    },
    /// The frame says that it is longer than any may be, or the datagram is.
    #[error("a frame of {len} bytes is longer than the {max} that are allowed")]
    TooLong {
        /// The length of the body; of the whole for a datagram.
        len: u64,
        /// The longest that is accepted.
        max: usize,
    },
    /// A datagram ends within its frame.
    #[error("a datagram of {len} bytes ends within its frame")]
    Truncated {
        /// The length of the datagram.
        len: usize,
    },
    /// A datagram goes on behind its frame.
    #[error("{extra} bytes follow the frame of a datagram")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// The frame was changed on its way.
    #[error(
        "the checksum of a frame of kind {kind:#06x} does not match its bytes: they were changed \
         on the way; suspect the network or the memory of either host"
    )]
    BadChecksum {
        /// The kind in the frame, which may be what was changed.
        kind: u16,
    },
    /// The frame bears no tag, and has to.
    #[error(
        "a frame of kind {kind:#06x} bears no tag where all frames must: it was not sent by a \
         process that has the cluster secret"
    )]
    Untagged {
        /// The kind in the frame.
        kind: u16,
    },
    /// The frame bears a tag that nobody here can check.
    #[error(
        "a frame of kind {kind:#06x} bears a tag of key {key_id} where none is expected: its \
         sender has a cluster secret that this process does not use"
    )]
    UnexpectedTag {
        /// The kind in the frame.
        kind: u16,
        /// The key the tag claims to be of.
        key_id: u8,
    },
    /// The tag is of another key than the one in use.
    #[error("a frame is tagged with key {found}, and key {expected} is in use")]
    UnknownKey {
        /// The key in the frame.
        found: u8,
        /// The key in use.
        expected: u8,
    },
    /// The tag is wrong: forged, of another session, of the other direction, or changed with a
    /// matching checksum.
    #[error(
        "the tag of a frame of kind {kind:#06x} with counter {counter} is wrong: it was not sent \
         for this receiver by a process that has the same cluster secret"
    )]
    BadTag {
        /// The kind in the frame.
        kind: u16,
        /// The counter in the frame.
        counter: u64,
    },
    /// A frame of the connection was left out, repeated or moved.
    #[error(
        "a frame has counter {found} where {expected} was due: frames were lost, repeated or \
         reordered on a connection that does none of this by itself"
    )]
    CounterGap {
        /// The counter that was due.
        expected: u64,
        /// The counter in the frame.
        found: u64,
    },
}

/// A frame that arrived whole. Who sent it is not known yet: the checksum proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    kind: u16,
    counter: u64,
    body: &'a [u8],
    seal: Option<Seal<'a>>,
    wire_len: usize,
}

/// Key id and tag of a frame, with what the tag covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seal<'a> {
    key_id: u8,
    tag: &'a [u8; TAG_LEN],
    covered: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What the body is.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        self.kind
    }

    /// The frame's place among those of its sender.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether the frame bears a tag, right or wrong.
    #[must_use]
    pub const fn is_tagged(&self) -> bool {
        self.seal.is_some()
    }

    /// Bytes that the frame took on the wire.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        self.wire_len
    }

    /// Checks that the frame is protected as it has to be: by a right tag of `key`, or, without a
    /// key, by none.
    pub(crate) fn verify(&self, key: Option<&TagKey>) -> Result<(), FrameFault> {
        let kind = self.kind;
        match (&self.seal, key) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(FrameFault::Untagged { kind }),
            (Some(seal), None) => Err(FrameFault::UnexpectedTag {
                kind,
                key_id: seal.key_id,
            }),
            (Some(seal), Some(key)) if seal.key_id != key.key_id() => Err(FrameFault::UnknownKey {
                found: seal.key_id,
                expected: key.key_id(),
            }),
            (Some(seal), Some(key)) => {
                if key.matches(seal.covered, seal.tag) {
                    Ok(())
                } else {
                    let counter = self.counter;
                    Err(FrameFault::BadTag { kind, counter })
                }
            }
        }
    }
}

/// The bytes of a frame, tagged if there is a key.
///
/// # Panics
/// If the body is longer than 4 GiB; callers hold it to limits far below.
pub(crate) fn write(kind: u16, counter: u64, body: &[u8], key: Option<&TagKey>) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("a frame's body is held to a limit below 4 GiB");
    let flags = if key.is_some() { TAGGED } else { 0 };
    let mut bytes = Vec::with_capacity(OVERHEAD_TAGGED.saturating_add(body.len()));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, flags]);
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&counter.to_le_bytes());
    bytes.extend_from_slice(body);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    if let Some(key) = key {
        bytes.push(key.key_id());
        let tag = key.tag(&bytes);
        bytes.extend_from_slice(&tag);
    }
    bytes
}

/// The fields in front of a body, checked as far as they can be without it.
#[derive(Clone, Copy, Debug)]
struct Header {
    tagged: bool,
    kind: u16,
    body_len: usize,
    counter: u64,
}

impl Header {
    /// Reads a header, or returns `None` if it is not all there yet.
    ///
    /// What is there is judged at once: a stranger is told off at the first wrong byte, and a
    /// length is compared with `body_max` before anything is kept for it.
    fn read(bytes: &[u8], body_max: usize) -> Result<Option<Self>, FrameFault> {
        if !bytes.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic) {
            let found = bytes.iter().copied().take(MAGIC.len()).collect();
            return Err(FrameFault::BadMagic { found });
        }
        if let Some(&version) = bytes.get(4)
            && version != VERSION
        {
            return Err(FrameFault::UnsupportedVersion { found: version });
        }
        if let Some(&flags) = bytes.get(5)
            && flags & !TAGGED != 0
        {
            return Err(FrameFault::UnknownFlags { found: flags });
        }
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let [_, _, _, _, _, flags, rest @ ..] = header;
        let [k0, k1, l0, l1, l2, l3, c0, c1, c2, c3, c4, c5, c6, c7] = *rest;
        let claimed = u32::from_le_bytes([l0, l1, l2, l3]);
        let body_len = usize::try_from(claimed)
            .ok()
            .filter(|&len| len <= body_max)
            .ok_or(FrameFault::TooLong {
                len: u64::from(claimed),
                max: body_max,
            })?;
        Ok(Some(Self {
            tagged: flags & TAGGED != 0,
            kind: u16::from_le_bytes([k0, k1]),
            body_len,
            counter: u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        }))
    }

    /// Bytes of the whole frame.
    const fn wire_len(self) -> usize {
        let overhead = if self.tagged {
            OVERHEAD_TAGGED
        } else {
            OVERHEAD
        };
        self.body_len.saturating_add(overhead)
    }
}

/// Reads the frame that `bytes` begin with, or returns `None` if it is not all there yet.
fn read_first(bytes: &[u8], body_max: usize) -> Result<Option<Frame<'_>>, FrameFault> {
    let Some(header) = Header::read(bytes, body_max)? else {
        return Ok(None);
    };
    let whole = bytes.get(..header.wire_len());
    whole
        .and_then(|whole| take_apart(header, whole))
        .transpose()
}

/// Takes a whole frame apart. `None` would mean that it is shorter than its header says.
fn take_apart(header: Header, whole: &[u8]) -> Option<Result<Frame<'_>, FrameFault>> {
    let kind = header.kind;
    let (summed, trailer) = whole.split_at_checked(HEADER_LEN.checked_add(header.body_len)?)?;
    let body = summed.get(HEADER_LEN..)?;
    let (checksum, seal) = trailer.split_first_chunk()?;
    if crc32fast::hash(summed) != u32::from_le_bytes(*checksum) {
        return Some(Err(FrameFault::BadChecksum { kind }));
    }
    let seal = if header.tagged {
        let (covered, tag) = whole.split_last_chunk::<TAG_LEN>()?;
        let &key_id = seal.first()?;
        Some(Seal {
            key_id,
            tag,
            covered,
        })
    } else {
        None
    };
    Some(Ok(Frame {
        kind,
        counter: header.counter,
        body,
        seal,
        wire_len: whole.len(),
    }))
}

/// Reads the one frame that `bytes` must be, all of it: at most `max` bytes, with a body of at most
/// `body_max`.
pub(crate) fn read_only(
    bytes: &[u8],
    max: usize,
    body_max: usize,
) -> Result<Frame<'_>, FrameFault> {
    if bytes.len() > max {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        return Err(FrameFault::TooLong { len, max });
    }
    let truncated = FrameFault::Truncated { len: bytes.len() };
    let frame = read_first(bytes, body_max)?.ok_or(truncated)?;
    match bytes.len().saturating_sub(frame.wire_len) {
        0 => Ok(frame),
        extra => Err(FrameFault::TrailingBytes { extra }),
    }
}

/// Finds the frames in the bytes of a connection, however the network cut them.
///
/// ```
/// use vaquita_core::wire::frame::{FrameDecoder, FrameFault};
///
/// # fn work(received: &[u8]) -> Result<(), FrameFault> {
/// let mut decoder = FrameDecoder::new(1024);
/// decoder.push(received);
/// while let Some(frame) = decoder.next_frame()? {
///     println!("kind {} with {} bytes", frame.kind(), frame.body().len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    /// Received bytes; those before `taken` belong to frames that were handed out.
    buffer: Vec<u8>,
    taken: usize,
    body_max: usize,
    /// The first fault. Behind it nothing can be found any more.
    fault: Option<FrameFault>,
}

impl FrameDecoder {
    /// A decoder that refuses bodies of more than `body_max` bytes.
    #[must_use]
    pub const fn new(body_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            body_max,
            fault: None,
        }
    }

    /// Refuses bodies of more than `body_max` bytes from the next frame on.
    pub const fn set_body_max(&mut self, body_max: usize) {
        self.body_max = body_max;
    }

    /// Takes the next bytes of the connection.
    ///
    /// Grows by what was received and never by what a header claims.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_CAPACITY {
            self.buffer.shrink_to(IDLE_CAPACITY);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes have come.
    ///
    /// # Errors
    /// If the bytes are no frame. Every later call returns the same fault: where the next frame
    /// begins is not known any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        match read_first(rest, self.body_max) {
            Ok(frame) => {
                let wire_len = frame.map_or(0, |frame| frame.wire_len);
                self.taken = self.taken.saturating_add(wire_len);
                Ok(frame)
            }
            Err(fault) => {
                self.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// Forgets the bytes that were received and not handed out, and returns how many they were. The
    /// caller has them still, and gives them to whoever they are for.
    pub(crate) fn forget_buffered(&mut self) -> usize {
        let buffered = self.buffered();
        self.buffer.truncate(self.taken);
        buffered
    }

    #[cfg(test)]
    pub(crate) const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that were received and not handed out: the beginning of a frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.taken)
    }
}
