//! A checkpoint in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic          "VQCP"
//!      4    2  version        1
//!      6    2                 zero
//!      8   16  cluster_id
//!     24   16  lineage_id
//!     40    8  last_index     the last record that the state contains, also in the file's name
//!     48    4  last_crc       the crc of that record
//!     52    8                 zero
//!     60    4  header_crc     CRC-32 of [0..60]
//!     64    n  payload        the owner's encoded state
//!   64+n 0..7  padding        zeros, up to a multiple of 8
//!            the table: for each 64 KiB of the payload, the last piece being what is left,
//!         4    block_crc      CRC-32 of the piece, continued from header_crc
//!            the footer, which ends the file:
//!   +0    8    payload_len    n
//!   +8    8    last_index     as in the header
//!  +16    4    block_count    entries of the table
//!  +20    4    last_crc       as in the header
//!  +24   32    digest         SHA-256 of the payload
//!  +56    4    table_crc      CRC-32 of the table, continued from header_crc
//!  +60    4    footer_crc     CRC-32 of [+0..+60], continued from header_crc
//! ```
//!
//! The payload is in one piece so that a mapped file can be decoded where it lies. The table tells
//! which block is bad, for the person who has to find out why; the digest is what the state is
//! known by. A file that was cut has no footer, a file that grew has none at its end.

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::fields::{bytes_at, crc, put, u16_at, u32_at, u64_at};
use crate::ids::{ClusterId, LineageId, LogIndex};

const MAGIC: [u8; 4] = *b"VQCP";
const VERSION: u16 = 1;
const HEADER_LEN: usize = 64;
const FOOTER_LEN: usize = 64;
const BLOCK: usize = 64 * 1024;

/// What a checkpoint says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckpointHeader {
    pub(super) cluster: ClusterId,
    pub(super) lineage: LineageId,
    pub(super) last_index: LogIndex,
    pub(super) last_crc: u32,
}

/// Why a file is no usable checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// The part named is cut short, or its checksum is wrong.
    #[error("{part} is damaged")]
    Damaged {
        /// Which part, in words.
        part: &'static str,
    },
    /// A piece of the payload is damaged.
    #[error("the 64 KiB at byte {offset} are damaged")]
    DamagedBlock {
        /// Where the piece begins in the file.
        offset: usize,
    },
    /// It is of a version that this program does not know.
    #[error("its format has version {version}, and this program knows {VERSION}")]
    Version {
        /// The version it has.
        version: u16,
    },
    /// It belongs to another cluster.
    #[error("it belongs to cluster {found}")]
    Foreign {
        /// That cluster.
        found: ClusterId,
    },
    /// It ends at another record than its name, or the plan it was made for, says.
    #[error("it says that it ends at record {found}")]
    Misplaced {
        /// The record it ends at.
        found: LogIndex,
    },
}

const fn damaged(part: &'static str) -> CheckpointFault {
    CheckpointFault::Damaged { part }
}

/// Whether `bytes` are the whole checkpoint of `cluster` that covers all records up to `last`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn verify_checkpoint(
    bytes: &[u8],
    cluster: ClusterId,
    last: LogIndex,
) -> Result<(), CheckpointFault> {
    CheckpointHeader::verify(bytes, cluster, last).map(|_| ())
}

impl CheckpointHeader {
    /// The bytes of a checkpoint file with this header and `payload`.
    pub(super) fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_LEN];
        put(&mut header, 0, &MAGIC);
        put(&mut header, 4, &VERSION.to_le_bytes());
        put(&mut header, 8, self.cluster.as_bytes());
        put(&mut header, 24, self.lineage.as_bytes());
        put(&mut header, 40, &self.last_index.0.to_le_bytes());
        put(&mut header, 48, &self.last_crc.to_le_bytes());
        let header_crc = crc(0, &[&header[..60]]);
        put(&mut header, 60, &header_crc.to_le_bytes());

        let table: Vec<u8> = payload
            .chunks(BLOCK)
            .flat_map(|block| crc(header_crc, &[block]).to_le_bytes())
            .collect();
        let blocks = u32::try_from(table.len() / 4).expect("a state is shorter than 256 TiB");

        let mut footer = [0; FOOTER_LEN];
        put(&mut footer, 0, &(payload.len() as u64).to_le_bytes());
        put(&mut footer, 8, &self.last_index.0.to_le_bytes());
        put(&mut footer, 16, &blocks.to_le_bytes());
        put(&mut footer, 20, &self.last_crc.to_le_bytes());
        put(&mut footer, 24, &Sha256::digest(payload));
        put(&mut footer, 56, &crc(header_crc, &[&table]).to_le_bytes());
        let footer_crc = crc(header_crc, &[&footer[..60]]);
        put(&mut footer, 60, &footer_crc.to_le_bytes());

        let body = (HEADER_LEN + payload.len()).next_multiple_of(8);
        let mut file = Vec::with_capacity(body + table.len() + FOOTER_LEN);
        file.extend_from_slice(&header);
        file.extend_from_slice(payload);
        file.resize(body, 0);
        file.extend_from_slice(&table);
        file.extend_from_slice(&footer);
        file
    }

    /// Reads the header alone, and its checksum.
    fn decode(file: &[u8]) -> Result<(Self, u32), CheckpointFault> {
        let header: &[u8; HEADER_LEN] = file.first_chunk().ok_or(damaged("the header"))?;
        let header_crc = u32_at(header, 60);
        if bytes_at(header, 0) != MAGIC || crc(0, &[&header[..60]]) != header_crc {
            return Err(damaged("the header"));
        }
        match u16_at(header, 4) {
            VERSION => Ok((
                Self {
                    cluster: ClusterId::new(bytes_at(header, 8)),
                    lineage: LineageId::new(bytes_at(header, 24)),
                    last_index: LogIndex(u64_at(header, 40)),
                    last_crc: u32_at(header, 48),
                },
                header_crc,
            )),
            version => Err(CheckpointFault::Version { version }),
        }
    }

    /// Whether the file begins with this header, which a driver that mixed up two checkpoints
    /// would get wrong. Cheap; the payload is not looked at.
    pub(super) fn begins(&self, file: &[u8]) -> Result<(), CheckpointFault> {
        let (found, _) = Self::decode(file)?;
        if found == *self {
            Ok(())
        } else {
            Err(CheckpointFault::Misplaced {
                found: found.last_index,
            })
        }
    }

    /// Reads a whole checkpoint and checks every byte of it.
    ///
    /// # Errors
    /// If any part is damaged, or it is another checkpoint than the one expected.
    pub(super) fn verify(
        file: &[u8],
        cluster: ClusterId,
        last_index: LogIndex,
    ) -> Result<(Self, &[u8]), CheckpointFault> {
        let (header, header_crc) = Self::decode(file)?;
        if header.cluster != cluster {
            return Err(CheckpointFault::Foreign {
                found: header.cluster,
            });
        }
        if header.last_index != last_index {
            return Err(CheckpointFault::Misplaced {
                found: header.last_index,
            });
        }
        let footer: &[u8; FOOTER_LEN] = file.last_chunk().ok_or(damaged("the footer"))?;
        let repeated = u64_at(footer, 8) == header.last_index.0
            && u32_at(footer, 20) == header.last_crc
            && crc(header_crc, &[&footer[..60]]) == u32_at(footer, 60);
        if !repeated {
            return Err(damaged("the footer"));
        }

        let payload_len = usize::try_from(u64_at(footer, 0)).unwrap_or(usize::MAX);
        let blocks = payload_len.div_ceil(BLOCK);
        let body = payload_len
            .checked_add(HEADER_LEN)
            .and_then(|len| len.checked_next_multiple_of(8));
        let total = body.and_then(|len| len.checked_add(blocks * 4 + FOOTER_LEN));
        let (Some(body), true) = (body, total == Some(file.len())) else {
            return Err(damaged("its length"));
        };
        let table = &file[body..body + blocks * 4];
        if u64::from(u32_at(footer, 16)) != blocks as u64
            || crc(header_crc, &[table]) != u32_at(footer, 56)
        {
            return Err(damaged("the table of checksums"));
        }

        let (payload, padding) = file[HEADER_LEN..body].split_at(payload_len);
        for (number, (block, sum)) in payload.chunks(BLOCK).zip(table.chunks(4)).enumerate() {
            if crc(header_crc, &[block]).to_le_bytes() != *sum {
                return Err(CheckpointFault::DamagedBlock {
                    offset: HEADER_LEN + number * BLOCK,
                });
            }
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged("the padding"));
        }
        let digest: [u8; 32] = bytes_at(footer, 24);
        if Sha256::digest(payload)[..] != digest {
            return Err(damaged("the digest"));
        }
        Ok((header, payload))
    }
}
