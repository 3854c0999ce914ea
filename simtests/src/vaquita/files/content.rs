//! What clients write: bytes that follow from a number, so that whoever reads them knows whose they
//! are.

use vaquita_core::prng::{Prng, mix};

/// The content number `number`, of so many bytes.
#[must_use]
pub fn content(seed: u64, number: u64, len: usize) -> Vec<u8> {
    let mut prng = Prng::new(mix(seed ^ mix(number)));
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&prng.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
