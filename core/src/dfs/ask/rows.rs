//! Chunks, volumes and repair as lists show them.

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, Generation, VolumeId, VolumeSlot};
use crate::dfs::path::DfsPath;
use crate::ids::Alias;

use super::ReplicaState;

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
    pub generation: Generation,
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

/// What was done about replicas, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct HistoryPage {
    /// The rows.
    #[n(0)]
    pub rows: Vec<HistoryRow>,
    /// Whether more follow: ask again before the last row.
    #[n(1)]
    pub more: bool,
    /// How many, since this controller started, are too old to be kept here. Its log file has them.
    #[n(2)]
    pub forgotten: u64,
}

/// Something that was done about a chunk's replicas.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct HistoryRow {
    /// Its number among those of this controller's life, from 1.
    #[n(0)]
    pub number: u64,
    /// Milliseconds since then.
    #[n(1)]
    pub ago_ms: u64,
    /// What was done.
    #[n(2)]
    pub what: ReplicaDeed,
    /// The chunk.
    #[n(3)]
    pub chunk: ChunkId,
    /// Which content.
    #[n(4)]
    pub generation: Generation,
    /// How many bytes.
    #[n(5)]
    pub len: u64,
    /// Where the bytes came from, if any did.
    #[n(6)]
    pub from: Option<Alias>,
    /// The node that has it then, or was to have it.
    #[n(7)]
    pub to: Option<Alias>,
    /// The nodes whose replicas count no more: they are lost, damaged, too many, or leave.
    #[n(8)]
    pub given_up: Vec<String>,
    /// Milliseconds that it took.
    #[n(9)]
    pub took_ms: u64,
    /// Why.
    #[n(10)]
    pub reason: String,
}

/// What is done about a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum ReplicaDeed {
    /// A node fetched it, and it counts, in the place of those that are given up.
    #[n(0)]
    Copied,
    /// A node was to fetch it, and that failed.
    #[n(1)]
    NotCopied,
    /// A node had it beside what the log said, and it counts from now on.
    #[n(2)]
    Adopted,
    /// It counts no more, and what is there is removed.
    #[n(3)]
    GivenUp,
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
    /// The file it belongs to; `None` for whoever may not read files.
    #[n(1)]
    pub path: Option<DfsPath>,
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
    pub generation: Generation,
    /// The file it belongs to; `None` for whoever may not read files.
    #[n(2)]
    pub path: Option<DfsPath>,
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
    /// What is being done about what is not well, or how far a drain is; empty where there is neither.
    #[cbor(n(11), default)]
    pub doing: String,
    /// What an operator has ordered.
    #[cbor(n(12), default)]
    pub admin: VolumeAdmin,
}

/// What an operator has ordered for a volume, and what has become of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum VolumeAdmin {
    /// It serves.
    #[n(0)]
    #[default]
    None,
    /// It is to be emptied, and has chunks.
    #[n(1)]
    Draining,
    /// It is empty, and nothing comes there: nothing is lost with it.
    #[n(2)]
    Drained,
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
