//! What is said on a data connection, around the raw bytes of chunks.
//!
//! A data connection begins with the four bytes `VQD1`; what follows is a
//! [session](crate::wire::session) between two members. Its frames carry a [`TransferRequest`] one
//! way and a [`TransferReply`] the other, one request at a time. The bytes of a chunk travel raw
//! behind the frame that announces them: in a [`TransferRequest::Store`] from the asker, behind a
//! [`TransferReply::Sending`] to it. They are not tagged; what is checked is that both sides made
//! the same digest of them.

use minicbor::{Decode, Encode};

use super::ask::Holder;
use super::digest::{Digest, Summary};
use super::ids::ChunkVersion;
use super::token::WriteToken;
use crate::admin::Refusal;
use crate::wire::codec::{self, Malformed};

/// The first bytes of a data connection.
pub const MAGIC: &[u8; 4] = b"VQD1";

/// The kind of every frame that the asker sends.
pub const KIND_REQUEST: u16 = 0x0100;
/// The kind of every frame that the asked answers with.
pub const KIND_REPLY: u16 = 0x0101;
/// The kind of the empty frames by which the asked says, every second until it answers, that it is at
/// work on a [`TransferRequest::Store`]: a disk may take long, and whoever stands still says nothing.
pub const KIND_WORKING: u16 = 0x0102;

/// What one member wants of another.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum TransferRequest {
    /// Keep these bytes. Raw bytes follow, in pieces: four bytes of length in network order before
    /// each, and a length of zero behind the last. Answered by [`TransferReply::Prepared`] or a
    /// refusal; a refusal may come before all bytes were sent.
    #[n(0)]
    Store {
        /// The controller's word that they may come.
        #[n(0)]
        token: WriteToken,
        /// How many bytes come, where the sender knows.
        #[n(1)]
        len: Option<u64>,
    },
    /// Send bytes of a chunk. Answered by [`TransferReply::Sending`] and the raw bytes, or a
    /// refusal.
    #[n(1)]
    Fetch {
        /// Exactly which content.
        #[n(0)]
        version: ChunkVersion,
        /// First byte.
        #[n(1)]
        offset: u64,
        /// How many bytes at most.
        #[n(2)]
        len: u64,
        /// Whether blocks are wanted also of a chunk that was found damaged: those that fit their
        /// checksums.
        #[cbor(n(3), default)]
        even_damaged: bool,
    },
    /// A reader found that bytes of this replica do not fit. Answered by [`TransferReply::Noted`]:
    /// the node looks for itself.
    #[n(2)]
    Suspect {
        /// The content.
        #[n(0)]
        version: ChunkVersion,
    },
}

/// What the other member answers.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum TransferReply {
    /// All bytes are on disk, and what they were.
    #[n(0)]
    Prepared {
        /// Who has them.
        #[n(0)]
        holder: Holder,
        /// How many.
        #[n(1)]
        len: u64,
        /// Their digest, as the replica made it.
        #[n(2)]
        digest: Digest,
    },
    /// Raw bytes follow: all blocks that the asked-for range touches, whole, or the first of them.
    /// They come in pieces of whole blocks, as in a [`TransferRequest::Store`], until all of `len`
    /// have; a piece of no bytes says that the rest cannot be had, and a
    /// [`TransferReply::Refused`] follows it.
    #[n(1)]
    Sending {
        /// Length of the whole chunk.
        #[n(0)]
        chunk_len: u64,
        /// Digest of the whole chunk.
        #[n(1)]
        digest: Digest,
        /// Offset of the first byte that follows: the beginning of a block.
        #[n(2)]
        offset: u64,
        /// How many bytes follow.
        #[n(3)]
        len: u64,
        /// The crc32 of each block that follows.
        #[n(4)]
        blocks: Vec<u32>,
    },
    /// Taken note of.
    #[n(2)]
    Noted,
    /// It is not done.
    #[n(3)]
    Refused(#[n(0)] Refusal),
}

impl TransferRequest {
    /// The body of a frame that carries it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// If it is not a request.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        codec::decode("TransferRequest", body)
    }
}

impl TransferReply {
    /// The body of a frame that carries it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// If it is not a reply.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        codec::decode("TransferReply", body)
    }

    /// The reply to a chunk that is all on disk.
    #[must_use]
    pub const fn prepared(holder: Holder, summary: &Summary) -> Self {
        Self::Prepared {
            holder,
            len: summary.len,
            digest: summary.digest,
        }
    }
}
