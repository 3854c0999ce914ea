//! A label in bytes.
//!
//! ```text
//! offset size
//!      0    4  magic     "VQVL"
//!      4    2  version   1
//!      6    2            zero
//!      8    4  len       of the fields
//!     12    4  crc       CRC-32 of [0..12] and the fields
//!     16       the fields of a Label, in CBOR
//! ```

use super::Fault;
use crate::metalog::fields::{bytes_at, crc, put, u16_at, u32_at};
use crate::store::Label;
use crate::wire::codec;

/// The longest label file that is read.
pub(in crate::store) const LEN_MAX: usize = 4096;

const HEADER: usize = 16;
const MAGIC: [u8; 4] = *b"VQVL";
const VERSION: u16 = 1;

/// The bytes of a label file.
pub(in crate::store) fn encode(label: &Label) -> Vec<u8> {
    let fields = codec::encode(label);
    let len = u32::try_from(fields.len()).expect("a label has some hundred bytes");
    let mut header = [0; HEADER];
    put(&mut header, 0, &MAGIC);
    put(&mut header, 4, &VERSION.to_le_bytes());
    put(&mut header, 8, &len.to_le_bytes());
    let sum = crc(0, &[&header[..12], &fields]);
    put(&mut header, 12, &sum.to_le_bytes());
    [header.as_slice(), &fields].concat()
}

/// Reads a label file.
///
/// # Errors
/// If it is none, or of another version.
pub(in crate::store) fn decode(bytes: &[u8]) -> Result<Label, Fault> {
    let (header, fields) = bytes.split_first_chunk::<HEADER>().ok_or(Fault::Damaged)?;
    let whole = bytes_at(header, 0) == MAGIC
        && usize::try_from(u32_at(header, 8)) == Ok(fields.len())
        && crc(0, &[&header[..12], fields]) == u32_at(header, 12);
    if !whole {
        return Err(Fault::Damaged);
    }
    match u16_at(header, 4) {
        VERSION => codec::decode("Label", fields).map_err(|_| Fault::Damaged),
        other => Err(Fault::Version(other)),
    }
}
