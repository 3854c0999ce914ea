//! Values to bytes and back: CBOR (RFC 8949) with numbered fields.
//!
//! A reader skips fields it does not know and fills in those that are missing, so that processes of
//! neighbouring versions understand each other. What follows a value is refused: it would be
//! something that somebody meant and nobody read.

use minicbor::{Decode, Encode};
use thiserror::Error;

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed {what} at byte {at}: {why}")]
pub struct Malformed {
    /// What they should have been.
    pub what: String,
    /// Where reading stopped.
    pub at: usize,
    /// What was wrong there.
    pub why: String,
}

impl Malformed {
    /// A number for a kind of thing that this version does not know.
    #[must_use]
    pub fn unknown_kind(what: &str, kind: u16) -> Self {
        Self {
            what: what.to_owned(),
            at: 0,
            why: format!("kind {kind} is not known"),
        }
    }
}

/// The bytes of a value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    minicbor::encode(value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// The value that `bytes` are; `what` names it in the error.
///
/// # Errors
/// If they are not such a value, or go on after it.
pub fn decode<'b, T: Decode<'b, ()>>(what: &str, bytes: &'b [u8]) -> Result<T, Malformed> {
    let malformed = |at: usize, why: String| Malformed {
        what: what.to_owned(),
        at,
        why,
    };
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder
        .decode()
        .map_err(|error| malformed(error.position().unwrap_or(0), error.to_string()))?;
    let read = decoder.position();
    if read == bytes.len() {
        Ok(value)
    } else {
        Err(malformed(
            read,
            format!("{} bytes follow it", bytes.len() - read),
        ))
    }
}
