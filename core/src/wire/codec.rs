//! Bodies: values with numbered fields as CBOR (RFC 8949), and back.
//!
//! The rules that let versions of the program read each other: a field's number is never used
//! again; a reader skips fields it does not know; what may be missing is an `Option` or has a
//! default. What a body may *not* have is bytes behind its value: they would be a way to carry
//! something that one reader sees and another does not.

use core::fmt;

use minicbor::{Decode, Encode};

use crate::wire::text::printable;

/// The most characters of a decoder's complaint that are kept: it may quote the peer.
const REASON_CHARS: usize = 240;

/// Bytes that are not the value they should be.
///
/// Nothing was changed by them. From a peer of the same version this is a bug or an attack, from a
/// disk damage; there is nothing to gain by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is malformed at byte {at}: {reason}")]
pub struct Malformed {
    /// What the bytes should have been.
    pub what: String,
    /// Offset of the first byte that does not fit.
    pub at: usize,
    /// What is wrong with it; safe to print.
    pub reason: String,
}

impl Malformed {
    /// A complaint about `what` at offset `at`. `reason` is cut and escaped.
    #[must_use]
    pub fn new(what: &str, at: usize, reason: &impl fmt::Display) -> Self {
        Self {
            what: what.to_owned(),
            at,
            reason: printable(&reason.to_string(), REASON_CHARS),
        }
    }

    /// The kind in front of a `what` is one that this version does not know and cannot skip.
    #[must_use]
    pub fn unknown_kind(what: &str, kind: u16) -> Self {
        let reason = format!("kind {kind:#06x} is unknown; a newer version may have written it");
        Self::new(what, 0, &reason)
    }
}

/// The bytes of `value`.
///
/// # Panics
/// If the value's own [`Encode`] refuses it, which is a bug of that type: memory takes any bytes.
#[must_use]
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("a value of the protocol can always be encoded into memory")
}

/// Reads the one value that `bytes` must be, all of it.
///
/// `what` names the value for the error. Memory use is bounded by the length of `bytes` times the
/// size of an element, whatever lengths the bytes claim.
///
/// # Errors
/// If the bytes end early, hold something else, or go on behind the value.
pub fn decode<'b, T: Decode<'b, ()>>(what: &str, bytes: &'b [u8]) -> Result<T, Malformed> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|error: minicbor::decode::Error| {
        let at = error.position().unwrap_or_else(|| decoder.position());
        Malformed::new(what, at, &error)
    })?;
    let end = decoder.position();
    let extra = bytes.len().saturating_sub(end);
    if extra == 0 {
        Ok(value)
    } else {
        Err(Malformed::new(
            what,
            end,
            &format!("{extra} bytes follow the value"),
        ))
    }
}
