//! The log records about names and chunks.

use minicbor::{Decode, Encode};

use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkVersion, InodeId, OpId};
use crate::ids::NodeId;

/// One change of the [`Namespace`](super::Namespace).
///
/// Places are named by the directory and a name in it, and never by a path: what a record means
/// does not depend on what its directory is called by the time that it is replayed.
///
/// Readers skip fields that they do not know; a variant that a reader does not know is an error,
/// because to skip it would be to lose a change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DfsRecord {
    /// A directory was made. It is known by the record's index.
    #[n(0)]
    DirMade {
        /// On whose behalf.
        #[n(0)]
        op: OpId,
        /// The directory that it is in.
        #[n(1)]
        parent: InodeId,
        /// Its name there, which was free.
        #[n(2)]
        name: String,
        /// Date by the asker's clock, in milliseconds since 1970, for display.
        #[n(3)]
        unix_ms: u64,
    },
    /// A write was committed: the file has this content. The record's index is the content's
    /// version and, if there was no such file, what the file is known by.
    #[n(1)]
    FilePut {
        /// On whose behalf.
        #[n(0)]
        op: OpId,
        /// The directory that it is in.
        #[n(1)]
        parent: InodeId,
        /// Its name there, which was free or a file's.
        #[n(2)]
        name: String,
        /// The chunks in order. None for an empty file.
        #[n(3)]
        chunks: Vec<ChunkRecord>,
        /// Date by the writer's clock, in milliseconds since 1970, for display.
        #[n(4)]
        unix_ms: u64,
    },
    /// A file was removed, or a directory with all that was in it.
    #[n(2)]
    Removed {
        /// On whose behalf.
        #[n(0)]
        op: OpId,
        /// The directory that it was in.
        #[n(1)]
        parent: InodeId,
        /// Its name there.
        #[n(2)]
        name: String,
    },
    /// A file or directory has another name, or is in another directory. A file that had the new
    /// name is gone.
    #[n(3)]
    Renamed {
        /// On whose behalf.
        #[n(0)]
        op: OpId,
        /// The directory that it was in.
        #[n(1)]
        from_parent: InodeId,
        /// Its name there.
        #[n(2)]
        from_name: String,
        /// The directory that it is in.
        #[n(3)]
        to_parent: InodeId,
        /// Its name there.
        #[n(4)]
        to_name: String,
    },
    /// A chunk is kept by other nodes than before.
    #[n(4)]
    ReplicasChanged {
        /// The chunk; a record about a content that is not the present one changes nothing.
        #[n(0)]
        chunk: ChunkVersion,
        /// Who has it now, too.
        #[cbor(n(1), with = "nodes")]
        added: Vec<NodeId>,
        /// Who has it no more. Who is also in `added` has it.
        #[cbor(n(2), with = "nodes")]
        removed: Vec<NodeId>,
    },
    /// Somebody was told that an operation was not carried out and never will be. It changes
    /// nothing else.
    #[n(5)]
    OpGivenUp {
        /// The operation.
        #[n(0)]
        op: OpId,
    },
}

/// A chunk of a file that was committed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkRecord {
    /// The chunk.
    #[n(0)]
    pub version: ChunkVersion,
    /// How many bytes.
    #[n(1)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(2)]
    pub digest: Digest,
    /// Who has it on disk; at least one.
    #[cbor(n(3), with = "nodes")]
    pub holders: Vec<NodeId>,
}

impl DfsRecord {
    /// On whose behalf the change was made; `None` for one that the controller made by itself.
    #[must_use]
    pub const fn op(&self) -> Option<OpId> {
        match self {
            Self::DirMade { op, .. }
            | Self::FilePut { op, .. }
            | Self::Removed { op, .. }
            | Self::Renamed { op, .. }
            | Self::OpGivenUp { op } => Some(*op),
            Self::ReplicasChanged { .. } => None,
        }
    }
}

/// Nodes as one string of bytes, 16 for each.
mod nodes {
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    use crate::ids::NodeId;

    pub(super) fn encode<C, W: Write>(
        nodes: &[NodeId],
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let mut bytes = Vec::with_capacity(nodes.len() * 16);
        for node in nodes {
            bytes.extend_from_slice(node.as_bytes());
        }
        encoder.bytes(&bytes)?.ok()
    }

    pub(super) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<Vec<NodeId>, Error> {
        let at = decoder.position();
        match decoder.bytes()?.as_chunks() {
            (nodes, []) => Ok(nodes.iter().copied().map(NodeId::new).collect()),
            _ => Err(Error::message("nodes are 16 bytes each").at(at)),
        }
    }
}
