//! What says that bytes are the right ones.
//!
//! Each block of a chunk has a crc32, kept beside the bytes: cheap enough for every read, and fine
//! enough to read a part. The whole chunk has a [`Digest`], kept in the controller's metadata,
//! *outside* of the data it protects: a block that was written to the wrong place, or never written,
//! has a checksum that fits it and a digest that does not fit the chunk.

use core::fmt;

use minicbor::{Decode, Encode};

/// Bytes under one crc32.
pub const BLOCK: usize = 64 * 1024;

/// The first 128 bits of the BLAKE3 hash of a chunk's bytes.
///
/// (O'Connor, Aumasson, Neves and Wilcox-O'Hearn, "BLAKE3: one function, fast everywhere", 2020.)
/// Half of the hash tells accidents apart as surely as all of it; chunks are not looked up by it, so
/// that nothing is gained by making two collide.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Digest(#[cbor(with = "minicbor::bytes")] pub [u8; 16]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::cut(&blake3::hash(bytes))
    }

    fn cut(hash: &blake3::Hash) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&hash.as_bytes()[..16]);
        Self(first)
    }

    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        super::ids::OpId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the bytes of a chunk are recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Summary {
    /// How many bytes.
    #[n(0)]
    pub len: u64,
    /// Digest of all of them.
    #[n(1)]
    pub digest: Digest,
    /// The crc32 of each [`BLOCK`]; the last block may be shorter. None for no bytes.
    #[n(2)]
    pub blocks: Vec<u32>,
}

impl Summary {
    /// The summary of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut summing = Summing::default();
        summing.update(bytes);
        summing.finish()
    }
}

/// Makes a [`Summary`] of bytes that come piece by piece.
#[derive(Clone, Default)]
pub struct Summing {
    hasher: blake3::Hasher,
    crc: crc32fast::Hasher,
    in_block: usize,
    summary: Summary,
}

impl Summing {
    /// Takes the next bytes, cut anywhere.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.hasher.update(bytes);
        self.summary.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.in_block));
            self.crc.update(now);
            self.in_block += now.len();
            if self.in_block == BLOCK {
                self.end_block();
            }
            bytes = later;
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.summary.len
    }

    /// Whether no bytes were taken yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.summary.len == 0
    }

    /// The summary of all bytes taken.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        if self.in_block > 0 {
            self.end_block();
        }
        self.summary.digest = Digest::cut(&self.hasher.finalize());
        self.summary
    }

    fn end_block(&mut self) {
        let crc = core::mem::take(&mut self.crc);
        self.summary.blocks.push(crc.finalize());
        self.in_block = 0;
    }
}

impl fmt::Debug for Summing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summing")
            .field("len", &self.summary.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_summary_of_the_whole() {
        let bytes: Vec<u8> = (0..BLOCK * 2 + 17).map(|n| (n % 251) as u8).collect();
        let whole = Summary::of(&bytes);
        assert_eq!(whole.blocks.len(), 3);
        assert_eq!(whole.blocks[2], crc32fast::hash(&bytes[2 * BLOCK..]));
        for piece in [1, 7, 4096, BLOCK - 1, BLOCK, BLOCK + 1, bytes.len()] {
            let mut summing = Summing::default();
            bytes.chunks(piece).for_each(|part| summing.update(part));
            assert_eq!(summing.finish(), whole, "pieces of {piece}");
        }
    }

    #[test]
    fn a_full_block_is_not_followed_by_an_empty_one() {
        assert_eq!(Summary::of(&[1; BLOCK]).blocks.len(), 1);
        assert_eq!(Summary::of(&[]).blocks.len(), 0);
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"vaquita");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("+0000000000000000000000000000000"), None);
    }
}
