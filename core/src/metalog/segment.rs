//! The header of a segment in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic          "VQML"
//!      4    2  version        1
//!      6    2                 zero
//!      8   16  cluster_id
//!     24   16  lineage_id
//!     40    8  first_index    the index of the first record, also in the file's name
//!     48    4  previous_crc   the crc of the record before the first; zero if there is none
//!     52    8                 zero
//!     60    4  header_crc     CRC-32 of [0..60]
//!     64       records, each at a multiple of 8, to the end of the file
//! ```
//!
//! The first record continues `header_crc`, which covers `previous_crc`: the chain of checksums
//! runs through the header, and the records are bound to the cluster and the lineage named in it.

use super::fields::{bytes_at, crc, put, u16_at, u32_at, u64_at};
use crate::ids::{ClusterId, LineageId, LogIndex};

/// Bytes of a segment in front of its first record.
pub(super) const HEADER_LEN: usize = 64;

const MAGIC: [u8; 4] = *b"VQML";
const VERSION: u16 = 1;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) cluster: ClusterId,
    pub(super) lineage: LineageId,
    pub(super) first_index: LogIndex,
    pub(super) previous_crc: u32,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Too short, or the checksum is wrong.
    Damaged,
    /// Whole, but of a version this program does not know.
    Version(u16),
}

impl SegmentHeader {
    /// The bytes of the header, and their checksum, which the first record continues.
    pub(super) fn encode(&self) -> ([u8; HEADER_LEN], u32) {
        let mut bytes = [0; HEADER_LEN];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &VERSION.to_le_bytes());
        put(&mut bytes, 8, self.cluster.as_bytes());
        put(&mut bytes, 24, self.lineage.as_bytes());
        put(&mut bytes, 40, &self.first_index.0.to_le_bytes());
        put(&mut bytes, 48, &self.previous_crc.to_le_bytes());
        let header_crc = crc(0, &[&bytes[..60]]);
        put(&mut bytes, 60, &header_crc.to_le_bytes());
        (bytes, header_crc)
    }

    /// Reads the header at the start of `bytes`, and its checksum.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u32), HeaderFault> {
        let bytes: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(HeaderFault::Damaged)?;
        let header_crc = u32_at(bytes, 60);
        if bytes_at(bytes, 0) != MAGIC || crc(0, &[&bytes[..60]]) != header_crc {
            return Err(HeaderFault::Damaged);
        }
        match u16_at(bytes, 4) {
            VERSION => Ok((
                Self {
                    cluster: ClusterId::new(bytes_at(bytes, 8)),
                    lineage: LineageId::new(bytes_at(bytes, 24)),
                    first_index: LogIndex(u64_at(bytes, 40)),
                    previous_crc: u32_at(bytes, 48),
                },
                header_crc,
            )),
            other => Err(HeaderFault::Version(other)),
        }
    }
}
