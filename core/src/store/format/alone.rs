//! A chunk in a file of its own, in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic        "VQCH"
//!      4    2  version      1
//!      6    2               zero
//!      8   16  volume       from the label
//!     24    8  chunk        also in the file's name
//!     32    4  generation   also in the file's name
//!     36    4               zero
//!     40   16  op           the write that brought the chunk
//!     56 4036               zero
//!   4092    4  header_crc   CRC-32 of [0..4092]
//!   4096       the bytes, then the CRC-32 of each 64 KiB of them, then the footer
//!
//!      0    4  magic        "VQCF"
//!      4    2  version      1
//!      6    2               zero
//!      8    8  serial       position among all that was ever done on the volume
//!     16    8  len          of the bytes
//!     24   16  digest       of the bytes
//!     40    4  table_crc    CRC-32 of the checksums
//!     44   16               zero
//!     60    4  footer_crc   CRC-32 of [0..60], continued from header_crc
//! ```
//!
//! What is only known when all bytes have come stands behind them, so that they are written once.

use super::{Fault, LEN_MAX, table_len};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId, VolumeId};
use crate::metalog::fields::{bytes_at, crc, put, u16_at, u32_at, u64_at};
use crate::store::ALONE_HEADER;

/// Bytes of the file behind the checksums.
pub(in crate::store) const FOOTER_LEN: u64 = 64;

const HEADER: usize = ALONE_HEADER as usize;
const FOOTER: usize = FOOTER_LEN as usize;
const HEADER_MAGIC: [u8; 4] = *b"VQCH";
const FOOTER_MAGIC: [u8; 4] = *b"VQCF";
const VERSION: u16 = 1;

/// What the file says in front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct AloneHeader {
    pub(in crate::store) volume: VolumeId,
    pub(in crate::store) version: ChunkVersion,
    pub(in crate::store) op: OpId,
}

impl AloneHeader {
    /// The bytes of the header.
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut bytes = [0; HEADER];
        put(&mut bytes, 0, &HEADER_MAGIC);
        put(&mut bytes, 4, &VERSION.to_le_bytes());
        put(&mut bytes, 8, &self.volume.0);
        put(&mut bytes, 24, &self.version.chunk.0.to_le_bytes());
        put(&mut bytes, 32, &self.version.generation.0.to_le_bytes());
        put(&mut bytes, 40, &self.op.0);
        let header_crc = crc(0, &[&bytes[..4092]]);
        put(&mut bytes, 4092, &header_crc.to_le_bytes());
        bytes.to_vec()
    }

    /// What the footer's checksum begins with.
    pub(in crate::store) fn seed(&self) -> u32 {
        let bytes = self.encode();
        crc(0, &[&bytes[..4092]])
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(Fault::Damaged)?;
        if bytes_at(bytes, 0) != HEADER_MAGIC || crc(0, &[&bytes[..4092]]) != u32_at(bytes, 4092) {
            return Err(Fault::Damaged);
        }
        match u16_at(bytes, 4) {
            VERSION => Ok(Self {
                volume: VolumeId(bytes_at(bytes, 8)),
                version: ChunkVersion {
                    chunk: ChunkId(u64_at(bytes, 24)),
                    generation: Generation(u32_at(bytes, 32)),
                },
                op: OpId(bytes_at(bytes, 40)),
            }),
            other => Err(Fault::Version(other)),
        }
    }
}

/// What the file says behind the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct AloneFooter {
    pub(in crate::store) serial: u64,
    pub(in crate::store) len: u64,
    pub(in crate::store) digest: Digest,
    pub(in crate::store) table_crc: u32,
}

impl AloneFooter {
    /// The bytes of the footer behind a header with this seed.
    pub(in crate::store) fn encode(&self, seed: u32) -> [u8; FOOTER] {
        let mut bytes = [0; FOOTER];
        put(&mut bytes, 0, &FOOTER_MAGIC);
        put(&mut bytes, 4, &VERSION.to_le_bytes());
        put(&mut bytes, 8, &self.serial.to_le_bytes());
        put(&mut bytes, 16, &self.len.to_le_bytes());
        put(&mut bytes, 24, &self.digest.0);
        put(&mut bytes, 40, &self.table_crc.to_le_bytes());
        let footer_crc = crc(seed, &[&bytes[..60]]);
        put(&mut bytes, 60, &footer_crc.to_le_bytes());
        bytes
    }

    /// Reads the footer at the start of `bytes`.
    ///
    /// # Errors
    /// If there is none that continues a header with this seed, or it is of another version.
    pub(in crate::store) fn decode(bytes: &[u8], seed: u32) -> Result<Self, Fault> {
        let bytes: &[u8; FOOTER] = bytes.first_chunk().ok_or(Fault::Damaged)?;
        if bytes_at(bytes, 0) != FOOTER_MAGIC || crc(seed, &[&bytes[..60]]) != u32_at(bytes, 60) {
            return Err(Fault::Damaged);
        }
        match u16_at(bytes, 4) {
            VERSION if u64_at(bytes, 16) <= LEN_MAX => Ok(Self {
                serial: u64_at(bytes, 8),
                len: u64_at(bytes, 16),
                digest: Digest(bytes_at(bytes, 24)),
                table_crc: u32_at(bytes, 40),
            }),
            VERSION => Err(Fault::Damaged),
            other => Err(Fault::Version(other)),
        }
    }
}

/// Bytes that a chunk of `len` bytes takes in a file of its own.
pub(in crate::store) const fn alone_size(len: u64) -> u64 {
    ALONE_HEADER + len + table_len(len) + FOOTER_LEN
}
