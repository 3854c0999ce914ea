//! Bytes on the wire: the only place where they are made and read.
//!
//! * [`codec`]: values to bytes and back, in CBOR with numbered fields.
//! * [`frame`]: one message with its length, its kind and a checksum.
//! * [`keys`]: what is derived from the cluster's secret, one key a purpose.
//! * [`session`]: a connection whose two ends have proven that they know the secret.
//! * [`datagram`]: a single message that proves itself.
//!
//! Everything in here takes bytes that anybody may have sent. Nothing in here panics on them,
//! indexes into them or believes a length they name.

#![deny(clippy::indexing_slicing, clippy::as_conversions)]

pub mod codec;
pub mod datagram;
pub mod frame;
pub mod keys;
pub mod session;
#[cfg(test)]
mod tests;

pub use codec::Malformed;
