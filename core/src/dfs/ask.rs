//! What the file system is asked, and what it answers: the words between a client's entry (a data
//! node, the HTTP interface) and the controller.
//!
//! They travel as they are in [`DfsAsk`](crate::message::DfsAsk) and
//! [`DfsAnswer`](crate::message::DfsAnswer), so that fields are numbered and never reused.

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::digest::Digest;
use super::ids::{ChunkId, ChunkVersion, FileVersion, InodeId, OpId, VolumeId, VolumeSlot};
use super::path::DfsPath;
use super::token::WriteToken;
use crate::admin::Right;
use crate::ids::{Alias, Endpoint, NodeEpoch, NodeId};

/// One question or order about the file system.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Ask {
    /// What is at a path. Answered by [`Answer::Entry`].
    #[n(0)]
    Stat {
        /// The path.
        #[n(0)]
        path: DfsPath,
    },
    /// What is in a directory. Answered by [`Answer::Listing`].
    #[n(1)]
    List {
        /// The directory.
        #[n(0)]
        path: DfsPath,
        /// The last name of the page before; names come in the order of their bytes.
        #[n(1)]
        after: Option<String>,
        /// How many entries at most.
        #[n(2)]
        limit: u32,
    },
    /// How much is at and below a path. Answered by [`Answer::Usage`].
    #[n(2)]
    Usage {
        /// The path.
        #[n(0)]
        path: DfsPath,
    },
    /// Make a directory. Answered by [`Answer::Entry`].
    #[n(3)]
    MakeDir {
        /// By which a repetition is recognised.
        #[n(0)]
        op: OpId,
        /// The directory.
        #[n(1)]
        path: DfsPath,
        /// Whether missing directories above are made too, and one that is there already is fine.
        #[n(2)]
        parents: bool,
        /// Date by the asker's clock, for display.
        #[n(3)]
        unix_ms: u64,
    },
    /// Remove a file or directory. Answered by [`Answer::Removed`].
    #[n(4)]
    Remove {
        /// By which a repetition is recognised.
        #[n(0)]
        op: OpId,
        /// What to remove.
        #[n(1)]
        path: DfsPath,
        /// Whether a directory goes with all that is in it.
        #[n(2)]
        recursive: bool,
        /// Which content has to be there, for a file.
        #[n(3)]
        expect: Expect,
    },
    /// Rename a file or directory. Answered by [`Answer::Entry`].
    #[n(5)]
    Rename {
        /// By which a repetition is recognised.
        #[n(0)]
        op: OpId,
        /// The present path.
        #[n(1)]
        from: DfsPath,
        /// The new path; its directory must be there.
        #[n(2)]
        to: DfsPath,
        /// Whether a file that has the new name is replaced.
        #[n(3)]
        replace: bool,
    },
    /// The chunks of a file and where they are. Answered by [`Answer::File`], or by
    /// [`Answer::Entry`] where there is a directory.
    #[n(6)]
    Lookup {
        /// The file.
        #[n(0)]
        path: DfsPath,
        /// First chunk of the page.
        #[n(1)]
        first_chunk: u32,
        /// How many chunks at most.
        #[n(2)]
        chunks: u32,
    },
    /// Places for the next chunks of a file that is being written. Answered by
    /// [`Answer::Allocated`]. Renews the operation.
    #[n(7)]
    Allocate {
        /// The write, from its first allocation to its commit.
        #[n(0)]
        op: OpId,
        /// The file.
        #[n(1)]
        path: DfsPath,
        /// What has to be there now, so that a write that cannot be committed fails early.
        #[n(2)]
        expect: Expect,
        /// The most bytes that each of the chunks will have.
        #[n(3)]
        lens: Vec<u64>,
        /// Nodes that are not to be used: the client could not reach them.
        #[n(4)]
        avoid: Vec<NodeId>,
    },
    /// Other places for a chunk of which some replicas could not be written. Answered by
    /// [`Answer::Allocated`] with one grant that names only new places.
    #[n(8)]
    Replace {
        /// The write.
        #[n(0)]
        op: OpId,
        /// The chunk.
        #[n(1)]
        chunk: ChunkVersion,
        /// The most bytes that it will have.
        #[n(2)]
        len: u64,
        /// Where it could not be written.
        #[n(3)]
        failed: Vec<NodeId>,
        /// Where it was written.
        #[n(4)]
        written: Vec<NodeId>,
    },
    /// The write goes on, however slowly. Answered by [`Answer::Done`].
    #[n(9)]
    Renew {
        /// The write.
        #[n(0)]
        op: OpId,
    },
    /// Everything is written: make it the file. Answered by [`Answer::Committed`].
    #[n(10)]
    Commit(#[n(0)] Commit),
    /// These chunks of a write are given up: whoever was writing them is. Another entry may be at
    /// the same write. Answered by [`Answer::Done`].
    #[n(11)]
    Abort {
        /// The write.
        #[n(0)]
        op: OpId,
        /// The chunks.
        #[n(1)]
        chunks: Vec<ChunkVersion>,
    },
    /// What became of an operation whose answer was lost. Answered by [`Answer::Outcome`].
    #[n(12)]
    Outcome {
        /// The operation.
        #[n(0)]
        op: OpId,
    },
    /// Chunks, one row each, in the order of their ids. Answered by [`Answer::Chunks`].
    #[n(13)]
    Chunks {
        /// The last chunk of the page before.
        #[n(0)]
        after: Option<ChunkId>,
        /// How many rows at most.
        #[n(1)]
        limit: u32,
        /// Whether chunks that are well are left out.
        #[n(2)]
        unwell_only: bool,
        /// Only chunks of files at or below this path.
        #[n(3)]
        below: Option<DfsPath>,
    },
    /// One chunk. Answered by [`Answer::Chunks`] with one row.
    #[n(14)]
    Chunk {
        /// The chunk.
        #[n(0)]
        chunk: ChunkId,
    },
    /// The volumes of all nodes. Answered by [`Answer::Volumes`].
    #[n(15)]
    Volumes,
    /// Whether the caller has a right. Answered by [`Answer::Done`].
    #[n(16)]
    Authorize {
        /// The right.
        #[n(0)]
        right: Right,
    },
    /// What chunks lack, and what is being done about it. Answered by [`Answer::Repairs`].
    #[n(17)]
    Repairs,
    /// Have repair wait, or go on. Answered by [`Answer::Repairs`]. Forgotten when the controller ends.
    #[n(18)]
    SuspendRepair {
        /// Whether it is to wait.
        #[n(0)]
        suspend: bool,
    },
    /// Contents that nodes have and no file does, and that are kept since records may be lost which named
    /// them. Answered by [`Answer::Unknown`].
    #[n(19)]
    Unknown {
        /// The last chunk of the page before.
        #[n(0)]
        after: Option<ChunkId>,
        /// How many rows at most.
        #[n(1)]
        limit: u32,
    },
    /// Give these up. Answered by [`Answer::Repairs`].
    #[n(20)]
    SettleLoss,
}

impl Ask {
    /// The operation that it is part of; `None` for a question.
    #[must_use]
    pub const fn op(&self) -> Option<OpId> {
        match self {
            Self::MakeDir { op, .. }
            | Self::Remove { op, .. }
            | Self::Rename { op, .. }
            | Self::Allocate { op, .. }
            | Self::Replace { op, .. }
            | Self::Renew { op }
            | Self::Abort { op, .. } => Some(*op),
            Self::Commit(commit) => Some(commit.op),
            Self::Stat { .. }
            | Self::List { .. }
            | Self::Usage { .. }
            | Self::Lookup { .. }
            | Self::Outcome { .. }
            | Self::Chunks { .. }
            | Self::Chunk { .. }
            | Self::Volumes
            | Self::Authorize { .. }
            | Self::Repairs
            | Self::SuspendRepair { .. }
            | Self::Unknown { .. }
            | Self::SettleLoss => None,
        }
    }

    /// Whether it changes nothing, so that it may be asked once more whatever became of it.
    #[must_use]
    pub const fn is_question(&self) -> bool {
        match self {
            Self::Stat { .. }
            | Self::List { .. }
            | Self::Usage { .. }
            | Self::Lookup { .. }
            | Self::Chunks { .. }
            | Self::Chunk { .. }
            | Self::Volumes
            | Self::Authorize { .. }
            | Self::Repairs
            | Self::Unknown { .. } => true,
            // What is told of an outcome is made to stand.
            Self::Outcome { .. }
            | Self::MakeDir { .. }
            | Self::Remove { .. }
            | Self::Rename { .. }
            | Self::Allocate { .. }
            | Self::Replace { .. }
            | Self::Renew { .. }
            | Self::Abort { .. }
            | Self::Commit(_)
            | Self::SuspendRepair { .. }
            | Self::SettleLoss => false,
        }
    }

    /// The right that it takes. The one table: there is no wildcard.
    #[must_use]
    pub const fn right(&self) -> Right {
        match self {
            Self::Stat { .. }
            | Self::List { .. }
            | Self::Usage { .. }
            | Self::Lookup { .. }
            | Self::Chunks { .. }
            | Self::Chunk { .. }
            | Self::Volumes
            | Self::Repairs
            | Self::Unknown { .. } => Right::DfsRead,
            Self::MakeDir { .. }
            | Self::Remove { .. }
            | Self::Rename { .. }
            | Self::Allocate { .. }
            | Self::Replace { .. }
            | Self::Renew { .. }
            | Self::Commit(_)
            | Self::Abort { .. }
            | Self::Outcome { .. } => Right::DfsWrite,
            Self::Authorize { right } => *right,
            Self::SuspendRepair { .. } | Self::SettleLoss => Right::Admin,
        }
    }
}

/// Which content of a file has to be there for an operation to be carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Expect {
    /// Any, or none.
    #[default]
    #[n(0)]
    Anything,
    /// None: the name must be free.
    #[n(1)]
    Nothing,
    /// Any, but the file must be there.
    #[n(2)]
    Something,
    /// Exactly this one.
    #[n(3)]
    Version(#[n(0)] FileVersion),
}

/// The end of a write.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commit {
    /// The write.
    #[n(0)]
    pub op: OpId,
    /// The file.
    #[n(1)]
    pub path: DfsPath,
    /// What has to be there.
    #[n(2)]
    pub expect: Expect,
    /// The chunks in order. None for an empty file.
    #[n(3)]
    pub chunks: Vec<WrittenChunk>,
    /// Date by the writer's clock, in milliseconds since 1970, for display.
    #[n(4)]
    pub unix_ms: u64,
}

/// A chunk that was written, and where.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WrittenChunk {
    /// The chunk.
    #[n(0)]
    pub version: ChunkVersion,
    /// How many bytes.
    #[n(1)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(2)]
    pub digest: Digest,
    /// Who has it on disk, by their own word.
    #[n(3)]
    pub holders: Vec<Holder>,
}

impl WrittenChunk {
    /// The most bytes that one with so many holders takes in a message.
    #[must_use]
    pub const fn encoded_len_max(holders: usize) -> usize {
        // Ids and digests have 16 bytes behind a head of one, numbers at most 9, arrays of up to 255
        // items a head of two.
        const HOLDER: usize = 2 + 17 + 9 + 9;
        const BESIDE: usize = 2 + (2 + 9 + 9) + 9 + 17 + 2;
        BESIDE + holders * HOLDER
    }
}

/// A node that has prepared a chunk: all bytes are on its disk, and whether they count is the
/// controller's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Holder {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The registration under which it said so.
    #[n(1)]
    pub epoch: NodeEpoch,
    /// The volume.
    #[n(2)]
    pub volume: VolumeSlot,
}

/// An answer that is no refusal.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Answer {
    /// Done; nothing to tell.
    #[n(0)]
    Done,
    /// A file or directory.
    #[n(1)]
    Entry(#[n(0)] Entry),
    /// A page of a directory.
    #[n(2)]
    Listing(#[n(0)] Listing),
    /// How much there is.
    #[n(3)]
    Usage(#[n(0)] Usage),
    /// What was removed.
    #[n(4)]
    Removed(#[n(0)] Usage),
    /// A file's chunks.
    #[n(5)]
    File(#[n(0)] FileLayout),
    /// Places to write to.
    #[n(6)]
    Allocated(#[n(0)] Allocation),
    /// The write is durable.
    #[n(7)]
    Committed(#[n(0)] Committed),
    /// What became of an operation.
    #[n(8)]
    Outcome(#[n(0)] Outcome),
    /// Rows of chunks.
    #[n(9)]
    Chunks(#[n(0)] ChunkPage),
    /// Rows of volumes.
    #[n(10)]
    Volumes(#[n(0)] Vec<VolumeRow>),
    /// How repair is.
    #[n(11)]
    Repairs(#[n(0)] RepairStatus),
    /// Rows of contents that no file has.
    #[n(12)]
    Unknown(#[n(0)] UnknownPage),
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Entry {
    /// The path.
    #[n(0)]
    pub path: DfsPath,
    /// What it is.
    #[n(1)]
    pub kind: EntryKind,
    /// Which file or directory, whatever it is called.
    #[n(2)]
    pub inode: InodeId,
    /// Which content; for a directory, the record that made it.
    #[n(3)]
    pub version: FileVersion,
    /// Bytes of a file; 0 for a directory.
    #[n(4)]
    pub len: u64,
    /// When it was written, by the writer's clock, in milliseconds since 1970.
    #[n(5)]
    pub modified_unix_ms: u64,
    /// Chunks of a file; entries of a directory.
    #[n(6)]
    pub count: u64,
    /// Digest of a file's content; see [`file_digest`]. `None` for a directory.
    #[n(7)]
    pub digest: Option<Digest>,
    /// The fewest live replicas among a file's chunks; `None` for a directory or an empty file.
    #[n(8)]
    pub replicas: Option<u32>,
}

/// What kind of thing is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A directory.
    #[n(0)]
    Directory,
    /// A file.
    #[n(1)]
    File,
}

/// A page of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Listing {
    /// The directory.
    #[n(0)]
    pub path: DfsPath,
    /// Its entries in the order of their names.
    #[n(1)]
    pub entries: Vec<Entry>,
    /// Whether more follow: ask again after the last of these.
    #[n(2)]
    pub more: bool,
}

/// How much there is at and below a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Usage {
    /// Files.
    #[n(0)]
    pub files: u64,
    /// Directories, the path itself included if it is one.
    #[n(1)]
    pub directories: u64,
    /// Bytes of the files.
    #[n(2)]
    pub bytes: u64,
    /// Bytes on disks: each file's times its replicas.
    #[n(3)]
    pub stored_bytes: u64,
    /// Chunks.
    #[n(4)]
    pub chunks: u64,
}

/// Chunks of a file and where they are.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileLayout {
    /// The file.
    #[n(0)]
    pub entry: Entry,
    /// Number of the first chunk in `chunks`.
    #[n(1)]
    pub first_chunk: u32,
    /// Offset in the file of that chunk's first byte.
    #[n(2)]
    pub first_offset: u64,
    /// The chunks.
    #[n(3)]
    pub chunks: Vec<ChunkPlace>,
    /// What has happened to chunks of this file that readers should know, in words.
    #[n(4)]
    pub remark: Option<String>,
}

/// A chunk and where it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkPlace {
    /// Which content of which chunk.
    #[n(0)]
    pub version: ChunkVersion,
    /// How many bytes.
    #[n(1)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(2)]
    pub digest: Digest,
    /// Who has it, the best to ask first.
    #[n(3)]
    pub replicas: Vec<ReplicaPlace>,
}

/// A node that has a chunk, or should.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReplicaPlace {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its name.
    #[n(1)]
    pub alias: Alias,
    /// Where it listens.
    #[n(2)]
    pub endpoint: Endpoint,
    /// Its registration.
    #[n(3)]
    pub epoch: NodeEpoch,
    /// What the controller knows of this replica.
    #[n(4)]
    pub state: ReplicaState,
}

/// What the controller knows of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaState {
    /// Its node is online and has reported exactly this content.
    #[n(0)]
    Good,
    /// Its node is online and has not reported since it registered, or the controller started.
    #[n(1)]
    Unconfirmed,
    /// Its node has not been heard for a while.
    #[n(2)]
    Suspect,
    /// Its node is away.
    #[n(3)]
    Away,
    /// Its node is online and does not have it.
    #[n(4)]
    Missing,
    /// Its node has found it damaged.
    #[n(5)]
    Corrupt,
}

/// Places for chunks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Allocation {
    /// One for each chunk asked for, in order.
    #[n(0)]
    pub grants: Vec<ChunkGrant>,
    /// How many replicas the configuration wants.
    #[n(1)]
    pub factor: u32,
    /// How many must be written before the write counts.
    #[n(2)]
    pub min_write: u32,
    /// The size of a chunk, in bytes: only the last of a file has fewer.
    #[n(3)]
    pub chunk_bytes: u64,
}

/// Where a chunk is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkGrant {
    /// What a replica is shown.
    #[n(0)]
    pub token: WriteToken,
    /// The replicas to write, in the order of the token's.
    #[n(1)]
    pub replicas: Vec<ReplicaPlace>,
}

/// A write that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Committed {
    /// The file as it is now.
    #[n(0)]
    pub entry: Entry,
    /// Chunks that have fewer replicas than the configuration wants.
    #[n(1)]
    pub degraded_chunks: u32,
    /// Whether there was no file before.
    #[n(2)]
    pub created: bool,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// It was carried out; the record with this index says so.
    #[n(0)]
    Done {
        /// The record.
        #[n(0)]
        version: FileVersion,
    },
    /// It is under way.
    #[n(1)]
    Open,
    /// It was not carried out, and never will be.
    #[n(2)]
    Aborted,
    /// It is not known, and may still be carried out: ask again.
    #[n(3)]
    Unknown,
}

/// Rows of chunks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ChunkPage {
    /// The rows.
    #[n(0)]
    pub rows: Vec<ChunkRow>,
    /// Whether more follow: ask again after `upto`.
    #[n(1)]
    pub more: bool,
    /// The last chunk that was looked at, whether or not it has a row.
    #[n(2)]
    pub upto: Option<ChunkId>,
}

/// Some contents that no file has, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct UnknownPage {
    /// The rows.
    #[n(0)]
    pub rows: Vec<UnknownRow>,
    /// Whether more follow: ask again after the last row.
    #[n(1)]
    pub more: bool,
}

/// A content that no file has.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct UnknownRow {
    /// The chunk.
    #[n(0)]
    pub chunk: ChunkId,
    /// Which content.
    #[n(1)]
    pub generation: super::ids::Generation,
    /// How many bytes.
    #[n(2)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(3)]
    pub digest: Digest,
    /// Who has it, of those that have reported.
    #[n(4)]
    pub nodes: Vec<Alias>,
}

/// What chunks lack, and what is being done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct RepairStatus {
    /// Why nothing is begun at present; empty while it goes on.
    #[n(0)]
    pub holds: Vec<String>,
    /// Whether all chunks are just being looked through: there may be more than is counted here.
    #[n(1)]
    pub surveying: bool,
    /// Chunks of which one good replica is left.
    #[n(2)]
    pub last_copy: u64,
    /// Chunks that have fewer replicas than they should, and more than one.
    #[n(3)]
    pub degraded: u64,
    /// Chunks whose replicas share a host although they need not.
    #[n(4)]
    pub misplaced: u64,
    /// Chunks that have a replica too many, or a place in the log where there is none.
    #[n(5)]
    pub surplus: u64,
    /// Bytes of the chunks that are to be copied.
    #[n(6)]
    pub bytes_left: u64,
    /// Copies under way, the oldest first; so many at the most as fit an answer.
    #[n(7)]
    pub copies: Vec<CopyRow>,
    /// Chunks for which nothing could be done so far, with the reasons; so many at the most as fit an
    /// answer.
    #[n(8)]
    pub stuck: Vec<StuckRow>,
    /// Copies that were made since the controller started.
    #[n(9)]
    pub copied: u64,
    /// Their bytes.
    #[n(10)]
    pub copied_bytes: u64,
    /// Copies that failed.
    #[n(11)]
    pub failed: u64,
    /// Replicas that were there already and count again.
    #[n(12)]
    pub adopted: u64,
    /// Replicas that were given up as too many.
    #[n(13)]
    pub given_up: u64,
    /// Milliseconds until all is copied, at the pace of the last while; `None` if that is not known.
    #[n(14)]
    pub left_ms: Option<u64>,
    /// Nodes that are away and waited for, with chunks that have fewer live replicas meanwhile.
    #[n(15)]
    pub awaited: Vec<AwaitedRow>,
    /// Chunks that have enough replicas, of which some are on nodes that are being drained.
    #[cbor(n(16), default)]
    pub leaving: u64,
    /// Contents that no file has and that are kept, since records may be lost which named them; one that
    /// several nodes have counts for each.
    #[cbor(n(17), default)]
    pub unknown: u64,
    /// Their bytes.
    #[cbor(n(18), default)]
    pub unknown_bytes: u64,
}

/// A node that is away and waited for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct AwaitedRow {
    /// The node.
    #[n(0)]
    pub node: Alias,
    /// How many chunks it has by the log.
    #[n(1)]
    pub chunks: u64,
    /// For how long it is still waited for, in milliseconds; longer while many are away, as `holds`
    /// says then. `None` if until it returns or is replaced.
    #[n(2)]
    pub left_ms: Option<u64>,
}

/// A copy under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct CopyRow {
    /// The chunk.
    #[n(0)]
    pub chunk: ChunkId,
    /// The file it belongs to.
    #[n(1)]
    pub path: DfsPath,
    /// How many bytes.
    #[n(2)]
    pub len: u64,
    /// From where.
    #[n(3)]
    pub from: Alias,
    /// To where.
    #[n(4)]
    pub to: Alias,
    /// For how long, in milliseconds.
    #[n(5)]
    pub since_ms: u64,
    /// Why.
    #[n(6)]
    pub reason: String,
}

/// A chunk for which nothing could be done so far.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct StuckRow {
    /// The chunk.
    #[n(0)]
    pub chunk: ChunkId,
    /// For how long it has been wanted, in milliseconds.
    #[n(1)]
    pub since_ms: u64,
    /// Why not, and what helps.
    #[n(2)]
    pub reason: String,
}

/// A chunk, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ChunkRow {
    /// The chunk.
    #[n(0)]
    pub chunk: ChunkId,
    /// Which content.
    #[n(1)]
    pub generation: super::ids::Generation,
    /// The file it belongs to.
    #[n(2)]
    pub path: DfsPath,
    /// Position among the file's chunks, from 0.
    #[n(3)]
    pub number: u32,
    /// How many bytes.
    #[n(4)]
    pub len: u64,
    /// Digest of the bytes.
    #[n(5)]
    pub digest: Digest,
    /// How it is.
    #[n(6)]
    pub state: ChunkState,
    /// Its replicas.
    #[n(7)]
    pub replicas: Vec<ReplicaRow>,
    /// Why it is not well and what happens about it; empty when it is.
    #[n(8)]
    pub reason: String,
}

/// How a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum ChunkState {
    /// As many good replicas as the configuration wants, where it wants them.
    #[n(0)]
    Healthy,
    /// Fewer good replicas than the configuration wants.
    #[n(1)]
    Degraded,
    /// Its replicas share a host, which the configuration forbids.
    #[n(2)]
    Misplaced,
    /// More replicas than the configuration wants.
    #[n(3)]
    Surplus,
    /// Not enough nodes have reported since the controller started.
    #[n(4)]
    Unconfirmed,
    /// No good replica is to be had at present.
    #[n(5)]
    Unavailable,
}

/// A replica, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ReplicaRow {
    /// The node.
    #[n(0)]
    pub node: Alias,
    /// What the controller knows of it.
    #[n(1)]
    pub state: ReplicaState,
    /// The volume, where the node has said it.
    #[n(2)]
    pub volume: Option<VolumeSlot>,
}

/// A volume, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct VolumeRow {
    /// Its node.
    #[n(0)]
    pub node: Alias,
    /// Its position among the node's volumes.
    #[n(1)]
    pub slot: VolumeSlot,
    /// Its directory on the node's host.
    #[n(2)]
    pub path: String,
    /// Its identity; `None` for one that could not be opened.
    #[n(3)]
    pub id: Option<VolumeId>,
    /// How it is.
    #[n(4)]
    pub state: VolumeState,
    /// Bytes of the file system it lies on.
    #[n(5)]
    pub capacity: u64,
    /// Bytes free there for this user.
    #[n(6)]
    pub free: u64,
    /// Chunks on it.
    #[n(7)]
    pub chunks: u64,
    /// Bytes of these chunks.
    #[n(8)]
    pub chunk_bytes: u64,
    /// Why it is not well and what to do; empty when it is.
    #[n(9)]
    pub reason: String,
    /// For how long it has been as it is, in milliseconds, as far as its node's process knows.
    #[cbor(n(10), default)]
    pub for_ms: u64,
    /// What is being done about what is not well; empty when it is.
    #[cbor(n(11), default)]
    pub doing: String,
}

/// How a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// It is being read.
    #[n(0)]
    Opening,
    /// It takes new chunks.
    #[n(1)]
    Good,
    /// Above its high-water mark: it takes new chunks only where there is nothing else.
    #[n(2)]
    High,
    /// It takes no new chunks until some are gone.
    #[n(3)]
    Full,
    /// Its disk answers slowly.
    #[n(4)]
    Slow,
    /// Its label is not there: the disk is not mounted.
    #[n(5)]
    Missing,
    /// It belongs to another node or another cluster.
    #[n(6)]
    Foreign,
    /// Its disk or file system met a fault.
    #[n(7)]
    Failed,
}

impl VolumeState {
    /// Whether chunks on it can be read.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Good | Self::High | Self::Full | Self::Slow)
    }

    /// Whether it takes new chunks.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Good | Self::High | Self::Slow)
    }

    /// The word for it in lists and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Good => "good",
            Self::High => "high",
            Self::Full => "full",
            Self::Slow => "slow",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Failed => "failed",
        }
    }
}

/// The digest of a file: its only chunk's, or the digest of all its chunks' lengths and digests.
#[must_use]
pub fn file_digest(chunks: impl ExactSizeIterator<Item = (u64, Digest)> + Clone) -> Digest {
    if chunks.len() == 1
        && let Some((_, digest)) = chunks.clone().next()
    {
        return digest;
    }
    let mut all = Vec::with_capacity(chunks.len() * 24);
    for (len, digest) in chunks {
        all.extend_from_slice(&len.to_le_bytes());
        all.extend_from_slice(&digest.0);
    }
    Digest::of(&all)
}
