//! The header of a segment in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic        "VQSG"
//!      4    2  version      1
//!      6    2               zero
//!      8   16  volume       from the label
//!     24    8  number       also in the file's name
//!     32   28               zero
//!     60    4  header_crc   CRC-32 of [0..60]
//!     64       records, one directly behind the other
//! ```
//!
//! The header follows from the volume and the number. Nothing is lost with it: that it is damaged is
//! noticed, and the records are read all the same, since each continues the checksum that the header
//! should have.

use super::Fault;
use crate::dfs::ids::VolumeId;
use crate::metalog::fields::{bytes_at, crc, put, u16_at, u32_at, u64_at};

/// Bytes of a segment in front of its first record.
pub(in crate::store) const HEADER_LEN: u64 = 64;

const LEN: usize = HEADER_LEN as usize;
const MAGIC: [u8; 4] = *b"VQSG";
const VERSION: u16 = 1;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct SegmentHeader {
    pub(in crate::store) volume: VolumeId,
    pub(in crate::store) number: u64,
}

impl SegmentHeader {
    /// The bytes of the header.
    pub(in crate::store) fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &VERSION.to_le_bytes());
        put(&mut bytes, 8, &self.volume.0);
        put(&mut bytes, 24, &self.number.to_le_bytes());
        let header_crc = crc(0, &[&bytes[..60]]);
        put(&mut bytes, 60, &header_crc.to_le_bytes());
        bytes
    }

    /// What the checksums of the records in it begin with.
    pub(in crate::store) fn seed(self) -> u32 {
        u32_at(&self.encode(), 60)
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes: &[u8; LEN] = bytes.first_chunk().ok_or(Fault::Damaged)?;
        if bytes_at(bytes, 0) != MAGIC || crc(0, &[&bytes[..60]]) != u32_at(bytes, 60) {
            return Err(Fault::Damaged);
        }
        match u16_at(bytes, 4) {
            VERSION => Ok(Self {
                volume: VolumeId(bytes_at(bytes, 8)),
                number: u64_at(bytes, 24),
            }),
            other => Err(Fault::Version(other)),
        }
    }
}
