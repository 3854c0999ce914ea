//! The bytes of a volume's files, and back.
//!
//! Every header has a checksum of its own and is bound to its place: to the volume, and to the
//! segment and the offset, or to the chunk in the file's name. A block that a disk has written to
//! the wrong place, an old segment's sector that shines through in a new one, and a chunk whose
//! bytes look like a header are therefore all told from the real thing.
//!
//! Reading is total: any bytes give a value or a [`Fault`].

pub(super) mod alone;
pub(super) mod label;
pub(super) mod record;
pub(super) mod segment;

use crate::dfs::digest::BLOCK;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Too short, not of this place, or the checksum is wrong.
    Damaged,
    /// Whole, but of a version this program does not know.
    Version(u16),
}

/// The longest chunk that a header may speak of. Far above what is configured; it keeps arithmetic
/// on numbers read from a disk from overflowing.
pub(super) const LEN_MAX: u64 = 1 << 40;

/// How many blocks `len` bytes make.
pub(super) const fn blocks(len: u64) -> u64 {
    len.div_ceil(BLOCK as u64)
}

/// Bytes of the checksums of a chunk of `len` bytes.
pub(super) const fn table_len(len: u64) -> u64 {
    blocks(len) * 4
}

/// The checksums of a chunk's blocks as they are on disk, and the checksum over them.
pub(super) fn encode_table(blocks: &[u32]) -> (Vec<u8>, u32) {
    let bytes: Vec<u8> = blocks.iter().flat_map(|crc| crc.to_le_bytes()).collect();
    let crc = crc32fast::hash(&bytes);
    (bytes, crc)
}
