//! What the file system is asked, and what it answers: the words between a client's entry (a data
//! node, the HTTP interface) and the controller.
//!
//! They travel as they are in [`DfsAsk`](crate::message::DfsAsk) and
//! [`DfsAnswer`](crate::message::DfsAnswer), so that fields are numbered and never reused.

mod rows;

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::digest::Digest;
use super::ids::{ChunkId, ChunkVersion, FileVersion, InodeId, OpId, VolumeSlot};
use super::path::DfsPath;
use super::token::WriteToken;
use crate::admin::{Right, UserRole, UserRow};
use crate::ids::{Alias, Endpoint, NodeEpoch, NodeId};

pub use rows::{
    AwaitedRow, ChunkPage, ChunkRow, ChunkState, CopyRow, HistoryPage, HistoryRow, RepairStatus,
    ReplicaDeed, ReplicaRow, StuckRow, UnknownPage, UnknownRow, VolumeAdmin, VolumeRow,
    VolumeState,
};

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
    /// What was done about replicas lately, and why. Answered by [`Answer::History`].
    #[n(21)]
    History {
        /// Only what was done about this chunk.
        #[n(0)]
        chunk: Option<ChunkId>,
        /// The number of the last row of the page before.
        #[n(1)]
        before: Option<u64>,
        /// How many rows at most.
        #[n(2)]
        limit: u32,
    },
    /// Who the caller is. Answered by [`Answer::You`].
    #[n(22)]
    WhoAmI,
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
            | Self::SettleLoss
            | Self::WhoAmI
            | Self::History { .. } => None,
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
            | Self::WhoAmI
            | Self::Chunk { .. }
            | Self::Volumes
            | Self::Authorize { .. }
            | Self::Repairs
            | Self::Unknown { .. }
            | Self::History { .. } => true,
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

    /// The rights of which it takes one. The one table: there is no wildcard.
    ///
    /// Who runs the cluster sees where chunks are and what is wrong with them, but not whose they are:
    /// an answer to somebody without [`Right::DfsRead`] goes through [`Answer::hide_names`].
    #[must_use]
    pub const fn rights(&self) -> &'static [Right] {
        const UPKEEP: &[Right] = &[Right::DfsRead, Right::Operate];
        match self {
            Self::Stat { .. }
            | Self::List { .. }
            | Self::Usage { .. }
            | Self::Lookup { .. }
            | Self::Chunks { below: Some(_), .. } => &[Right::DfsRead],
            Self::Chunks { below: None, .. }
            | Self::Chunk { .. }
            | Self::Volumes
            | Self::Repairs
            | Self::Unknown { .. }
            | Self::History { .. } => UPKEEP,
            Self::MakeDir { .. }
            | Self::Remove { .. }
            | Self::Rename { .. }
            | Self::Allocate { .. }
            | Self::Replace { .. }
            | Self::Renew { .. }
            | Self::Commit(_)
            | Self::Abort { .. }
            | Self::Outcome { .. } => &[Right::DfsWrite],
            Self::Authorize { right } => match right {
                Right::Admin => &[Right::Admin],
                Right::DfsRead => &[Right::DfsRead],
                Right::DfsWrite => &[Right::DfsWrite],
                Right::LogRead => &[Right::LogRead],
                Right::Operate => &[Right::Operate],
            },
            Self::SuspendRepair { .. } => &[Right::Operate],
            Self::SettleLoss => &[Right::Admin],
            // Of whoever has a token.
            Self::WhoAmI => &[],
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
    /// What was done about replicas.
    #[n(13)]
    History(#[n(0)] HistoryPage),
    /// Who the caller is.
    #[n(14)]
    You(#[n(0)] Who),
}

impl Answer {
    /// Leaves out which files chunks belong to: for whoever runs the cluster and may not read files.
    pub fn hide_names(&mut self) {
        match self {
            Self::Chunks(page) => page.rows.iter_mut().for_each(|row| row.path = None),
            Self::Repairs(status) => status.copies.iter_mut().for_each(|copy| copy.path = None),
            Self::Done
            | Self::Entry(_)
            | Self::Listing(_)
            | Self::Usage(_)
            | Self::Removed(_)
            | Self::File(_)
            | Self::Allocated(_)
            | Self::Committed(_)
            | Self::Outcome(_)
            | Self::Volumes(_)
            | Self::Unknown(_)
            | Self::You(_)
            | Self::History(_) => {}
        }
    }
}

/// A user, as a data node that passes a question on is told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Who {
    /// The name.
    #[n(0)]
    pub user: String,
    /// Whether the user administers the cluster.
    #[n(1)]
    pub admin: bool,
    /// The rights given.
    #[n(2)]
    pub rights: Vec<Right>,
    /// Whether the user still has to change a first password.
    #[n(3)]
    pub must_change_password: bool,
}

impl From<UserRow> for Who {
    fn from(row: UserRow) -> Self {
        Self {
            user: row.user,
            admin: row.admin,
            rights: row.rights,
            must_change_password: row.must_change_password,
        }
    }
}

impl From<Who> for UserRow {
    fn from(who: Who) -> Self {
        Self {
            role: UserRole::of(who.admin, &who.rights),
            user: who.user,
            admin: who.admin,
            rights: who.rights,
            must_change_password: who.must_change_password,
        }
    }
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
