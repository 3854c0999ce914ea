//! Names and numbers of the file system.

use core::fmt;

use minicbor::{Decode, Encode};

use super::digest::Digest;
use crate::ids::{ControllerEpoch, LogIndex};

/// A chunk: a run of bytes of one file, kept whole on each of its replicas.
///
/// The upper 24 bits are the controller epoch that minted it and the lower 40 count within that
/// epoch. An epoch is durable before it is used, so the count need not be: no two chunks of a
/// cluster's life have the same id, and whoever sees one knows under which controller its writing
/// began.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ChunkId(pub u64);

impl ChunkId {
    const COUNT_BITS: u32 = 40;

    /// The chunk that is number `count` of its epoch.
    ///
    /// Returns `None` when the epoch's ids, or the epochs, are used up: after 2^40 chunks without a
    /// restart of the controller, or 2^24 restarts.
    #[must_use]
    pub const fn new(epoch: ControllerEpoch, count: u64) -> Option<Self> {
        if epoch.0 >> (64 - Self::COUNT_BITS) != 0 || count >> Self::COUNT_BITS != 0 {
            return None;
        }
        Some(Self(epoch.0 << Self::COUNT_BITS | count))
    }

    /// The controller epoch under which it was allocated.
    #[must_use]
    pub const fn epoch(self) -> ControllerEpoch {
        ControllerEpoch(self.0 >> Self::COUNT_BITS)
    }

    /// Its number within the epoch.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 & ((1 << Self::COUNT_BITS) - 1)
    }

    /// Reads what [`ChunkId`]'s `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = well_formed.then(|| u64::from_str_radix(text, 16).ok())??;
        Some(Self(id))
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.epoch(), self.count())
    }
}

impl serde::Serialize for ChunkId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which content of a chunk: files are replaced by new chunks, so that it is 1 until there are
/// chunks that change in place.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, serde::Serialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// The first content of a chunk.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One immutable content of a chunk. Reads, deletions and reports all name it exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, serde::Serialize)]
pub struct ChunkVersion {
    /// The chunk.
    #[n(0)]
    pub chunk: ChunkId,
    /// Which content.
    #[n(1)]
    pub generation: Generation,
}

impl ChunkVersion {
    /// The first content of a chunk.
    #[must_use]
    pub const fn first(chunk: ChunkId) -> Self {
        Self {
            chunk,
            generation: Generation::FIRST,
        }
    }
}

impl fmt::Display for ChunkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.chunk, self.generation)
    }
}

impl fmt::Debug for ChunkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}g{}", self.chunk, self.generation)
    }
}

/// A directory or a file for as long as it lives, whatever it is called: the log index of the
/// record that made it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    serde::Serialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct InodeId(pub u64);

impl InodeId {
    /// The root directory, which no record made.
    pub const ROOT: Self = Self(0);

    /// What the record at `index` made.
    #[must_use]
    pub const fn made_at(index: LogIndex) -> Self {
        Self(index.0)
    }
}

impl fmt::Display for InodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which content of a file: the log index of the record that committed it. Grows with each
/// replacement, and two contents of a cluster's life never share one.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    serde::Serialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct FileVersion(pub u64);

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Defines a 128-bit name drawn at random.
macro_rules! random_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(with = "minicbor::bytes")] pub [u8; 16]);

        impl $name {
            /// Reads 32 hexadecimal digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.as_bytes();
                if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u128::from_str_radix(text, 16)
                    .ok()
                    .map(|value| Self(value.to_be_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        /// The first eight digits: enough to tell two apart in a trace.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

random_name! {
    /// One thing that a client wants done once: asked again, it is answered and not done again.
    OpId
}

impl OpId {
    /// The name of one of several things that are done for this one before it is done itself.
    #[must_use]
    pub fn part(self, number: u32) -> Self {
        let Digest(name) = Digest::of(&[&self.0[..], &number.to_be_bytes()].concat());
        Self(name)
    }
}

impl OpId {
    /// The name of a copy that a controller has made: it is no client's operation, and as little to be
    /// mixed up with another.
    #[must_use]
    pub fn of_copy(epoch: ControllerEpoch, copy: CopyId) -> Self {
        let name = [&b"copy"[..], &epoch.0.to_be_bytes(), &copy.0.to_be_bytes()];
        let Digest(name) = Digest::of(&name.concat());
        Self(name)
    }
}

/// A copy of a chunk that a controller wants made. Counts from 1 in each controller epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CopyId(pub u64);

impl fmt::Display for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

random_name! {
    /// A volume, as its label knows it: drawn when the label is written, never changed.
    VolumeId
}

/// Position of a volume in its node's list `volumes`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    serde::Serialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct VolumeSlot(pub u16);

impl fmt::Display for VolumeSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Bytes of one chunk that the driver holds on their way to a volume. The core never sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u64);

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
