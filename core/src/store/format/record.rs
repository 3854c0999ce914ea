//! A record of a segment in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic        "VQRC"
//!      4    2  version      1
//!      6    2  kind         1 a chunk, 2 a tombstone, 3 the end of a segment
//!      8    8  chunk        zero in an end
//!     16    4  generation
//!     20    4  blocks       checksums between this header and the payload
//!     24    8  serial       position among all that was ever done on the volume
//!     32    8  synced       bytes of the segment that were known to be durable
//!     40   16  op           the write that brought the chunk
//!     56   16  digest       of the payload
//!     72    8  len          of the payload
//!     80    4  table_crc    CRC-32 of the checksums
//!     84    8               zero
//!     92    4  header_crc   CRC-32 of the offset in the segment and [0..92], continued from the
//!                           header_crc of the segment
//!     96       CRC-32 of each 64 KiB of the payload, then the payload
//! ```
//!
//! `serial` decides what holds when several records speak of a chunk; a record that is copied to
//! another segment keeps it.
//!
//! `synced` tells what a crash may have left in pieces from what has rotted: above it, a bad place
//! is a write that nobody was promised; below it, something was lost. In the end of a segment it is
//! where the first bad place of the first kind begins, or the offset of the end if there is none.

use super::{Fault, LEN_MAX, blocks, table_len};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId};
use crate::metalog::fields::{bytes_at, crc, put, u16_at, u32_at, u64_at};

/// Bytes of a record in front of its checksums.
pub(in crate::store) const HEADER_LEN: u64 = 96;

const LEN: usize = HEADER_LEN as usize;

/// What a record begins with: what a reader that has lost its way looks for.
pub(in crate::store) const MAGIC: [u8; 4] = *b"VQRC";

const VERSION: u16 = 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A chunk's bytes.
    Chunk,
    /// A chunk that was here is released.
    Tombstone,
    /// All of the segment before is durable and was verified.
    End,
}

/// What a record says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The chunk.
    pub version: ChunkVersion,
    /// Position among all that was ever done on the volume.
    pub serial: u64,
    /// Bytes of the segment that were known to be durable when it was written.
    pub synced: u64,
    /// The write that brought the chunk.
    pub op: OpId,
    /// Bytes of the payload.
    pub len: u64,
    /// Digest of the payload.
    pub digest: Digest,
    /// Checksum over the checksums of the blocks.
    pub table_crc: u32,
}

impl Record {
    /// One that has no payload.
    pub(in crate::store) fn bare(kind: RecordKind, version: ChunkVersion, serial: u64) -> Self {
        Self {
            kind,
            version,
            serial,
            synced: 0,
            op: OpId([0; 16]),
            len: 0,
            digest: Digest::default(),
            table_crc: 0,
        }
    }

    /// Bytes on disk, the payload included.
    pub(in crate::store) const fn size(&self) -> u64 {
        record_size(self.len)
    }

    /// Offset behind the record's own of its payload.
    #[must_use]
    pub const fn payload_at(&self) -> u64 {
        HEADER_LEN + table_len(self.len)
    }

    /// The bytes of the header of a record at `offset` of the segment with this seed.
    pub(in crate::store) fn encode(&self, seed: u32, offset: u64) -> [u8; LEN] {
        let kind: u16 = match self.kind {
            RecordKind::Chunk => 1,
            RecordKind::Tombstone => 2,
            RecordKind::End => 3,
        };
        let blocks = u32::try_from(blocks(self.len)).expect("a chunk is shorter than 2^40 bytes");
        let mut bytes = [0; LEN];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &VERSION.to_le_bytes());
        put(&mut bytes, 6, &kind.to_le_bytes());
        put(&mut bytes, 8, &self.version.chunk.0.to_le_bytes());
        put(&mut bytes, 16, &self.version.generation.0.to_le_bytes());
        put(&mut bytes, 20, &blocks.to_le_bytes());
        put(&mut bytes, 24, &self.serial.to_le_bytes());
        put(&mut bytes, 32, &self.synced.to_le_bytes());
        put(&mut bytes, 40, &self.op.0);
        put(&mut bytes, 56, &self.digest.0);
        put(&mut bytes, 72, &self.len.to_le_bytes());
        put(&mut bytes, 80, &self.table_crc.to_le_bytes());
        let header_crc = crc(seed, &[&offset.to_le_bytes(), &bytes[..92]]);
        put(&mut bytes, 92, &header_crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`, which stand at `offset` of the segment with this
    /// seed.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub(in crate::store) fn decode(bytes: &[u8], seed: u32, offset: u64) -> Result<Self, Fault> {
        let bytes: &[u8; LEN] = bytes.first_chunk().ok_or(Fault::Damaged)?;
        let sum = || crc(seed, &[&offset.to_le_bytes(), &bytes[..92]]);
        if bytes_at(bytes, 0) != MAGIC || u32_at(bytes, 92) != sum() {
            return Err(Fault::Damaged);
        }
        let version = u16_at(bytes, 4);
        let kind = match (version, u16_at(bytes, 6)) {
            (VERSION, 1) => RecordKind::Chunk,
            (VERSION, 2) => RecordKind::Tombstone,
            (VERSION, 3) => RecordKind::End,
            _ => return Err(Fault::Version(version)),
        };
        let len = u64_at(bytes, 72);
        if len > LEN_MAX || blocks(len) != u64::from(u32_at(bytes, 20)) {
            return Err(Fault::Damaged);
        }
        Ok(Self {
            kind,
            version: ChunkVersion {
                chunk: ChunkId(u64_at(bytes, 8)),
                generation: Generation(u32_at(bytes, 16)),
            },
            serial: u64_at(bytes, 24),
            synced: u64_at(bytes, 32),
            op: OpId(bytes_at(bytes, 40)),
            len,
            digest: Digest(bytes_at(bytes, 56)),
            table_crc: u32_at(bytes, 80),
        })
    }
}

/// Bytes that a record with a payload of `len` bytes takes on disk.
pub(in crate::store) const fn record_size(len: u64) -> u64 {
    HEADER_LEN + table_len(len) + len
}
