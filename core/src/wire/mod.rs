//! The wire: bytes in, frames out, and the proof of who sent them.
//!
//! This module knows how a frame is laid out, how two processes prove to each other that they
//! share the cluster's secret, and how a datagram is sealed. It must not know what the bodies of
//! the application's frames mean, what a clock is, or what is done about a peer that is refused.
//!
//! ```text
//!   message (CBOR)      codec      named fields to bytes and back, nothing left over
//!        │
//!   session / datagram             who says it: handshake, keys, counters, replays
//!        │
//!   frame                          where it begins and ends, whether it is whole
//!        │
//!   bytes of a connection, cut anywhere, or of one datagram
//! ```
//!
//! Invariants, which the tests cite:
//!
//! 1. No bytes, from anybody, in any order, cause a panic, or memory use beyond the limits.
//! 2. The frames that a connection delivers do not depend on how the network cut its bytes.
//! 3. With a secret, the frames a session delivers are a prefix of those that the other side
//!    sealed for that session, in order, each once.
//! 4. A process with a secret and one without never hold a session, and both can say why.
//! 5. What a peer wrote reaches a log only cut and with its control characters escaped.

// Bytes from the network are taken apart by patterns and checked conversions only.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice
)]

pub mod codec;
mod conversation;
pub mod datagram;
mod fault;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod handshake;
pub mod keys;
mod replay;
pub mod session;
pub(crate) mod text;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice
)]
mod tests;
