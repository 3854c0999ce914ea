//! What a data node keeps on its volumes, and what it says to its driver about it.
//!
//! A volume is one directory. Small chunks are packed into append-only *segments*, many under one
//! sync; a large one gets a file of its own. What is where follows from the bytes on the disk alone:
//! the index is rebuilt from them, and nothing else has to survive.

mod files;
mod format;
mod fuzz;
pub mod label;
pub mod scan;
pub mod volume;

#[cfg(test)]
pub(crate) mod tests;

use minicbor::{Decode, Encode};

pub use format::record::{Record, RecordKind};
#[doc(hidden)]
pub use fuzz::{fuzz_headers, fuzz_label, fuzz_scan};
pub use scan::Opened;
pub use volume::Volume;

use crate::admin::Refusal;
use crate::dfs::ask::Holder;
use crate::dfs::digest::{Digest, Summary};
use crate::dfs::ids::{ChunkVersion, StageId, VolumeSlot};
use crate::dfs::token::WriteToken;
use crate::disk::FileName;

/// What the driver asks a data node's machine on the way of a chunk. Answered by a [`StoreAnswer`].
#[derive(Clone, Debug, PartialEq)]
pub enum StoreAsk {
    /// May these bytes come? Answered by [`StoreAnswer::Admitted`]: from then on the driver owes a
    /// [`StoreAsk::Staged`] or a [`StoreAsk::Cancel`].
    Admit {
        /// What the sender showed.
        token: WriteToken,
        /// How many bytes come, where the sender said.
        len: Option<u64>,
    },
    /// All bytes have come, and wait under the stage's name. Answered by [`StoreAnswer::Prepared`]
    /// once they are durable.
    Staged {
        /// As it was admitted.
        stage: StageId,
        /// What came.
        summary: Summary,
    },
    /// The bytes will not come. Answered by [`StoreAnswer::Done`].
    Cancel {
        /// As it was admitted.
        stage: StageId,
    },
    /// Where is this content? Answered by [`StoreAnswer::Found`].
    Find {
        /// The content.
        version: ChunkVersion,
        /// Whether it is wanted also if it was found damaged: for the blocks of it that are whole.
        even_damaged: bool,
    },
    /// The driver has read a content here and found it damaged: its bytes do not fit their checksums,
    /// or the disk does not give them back. Answered by [`StoreAnswer::Done`]: it is served no more,
    /// and the controller is told. What somebody else says of it, the driver looks at first.
    Damaged {
        /// The volume that it was read from: the content may be whole on another one.
        volume: VolumeSlot,
        /// The content.
        version: ChunkVersion,
        /// What is wrong with it, in words.
        reason: String,
    },
}

/// What a data node's machine answers its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreAnswer {
    /// The bytes may come.
    Admitted {
        /// By which they are named from now on.
        stage: StageId,
        /// Where they will go.
        volume: VolumeSlot,
        /// In which form.
        form: Form,
    },
    /// The bytes are durable.
    Prepared(Holder),
    /// Where they are.
    Found {
        /// The volume.
        volume: VolumeSlot,
        /// Where on it.
        extent: Extent,
    },
    /// Done; nothing to tell.
    Done,
}

/// The answer to a [`StoreAsk`].
pub type StoreReply = Result<StoreAnswer, Refusal>;

/// In which form bytes go to a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The driver keeps them in memory; the machine says later behind which bytes of which segment
    /// to write them ([`Effect::Volume`](crate::io::Effect::Volume)).
    Packed,
    /// The driver writes them as they come into this file, which the machine has had created, from
    /// offset [`ALONE_HEADER`] on, and waits for each write. It does not sync.
    Alone {
        /// The file.
        file: FileName,
    },
}

/// Bytes before the chunk in a file of its own.
pub const ALONE_HEADER: u64 = 4096;

/// What a driver puts behind an [`Append`](crate::disk::DiskOp::Append)'s own bytes: the core never
/// sees the bytes of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All bytes of a stage, which is used up by it, whatever becomes of the batch.
    Stage(StageId),
    /// A run of bytes of a file of the same volume, as they are: checksums and the chunk that they
    /// are of. The driver holds each block against its checksum; if one does not fit, or the bytes
    /// cannot be read, it appends nothing and the batch ends with
    /// [`DiskFaultKind::Unreadable`](crate::disk::DiskFaultKind::Unreadable).
    Copy {
        /// The file.
        file: FileName,
        /// Offset of the first checksum, four bytes each in little-endian order.
        crcs_at: u64,
        /// Bytes of the chunk, directly behind the checksums.
        len: u64,
    },
}

impl Fill {
    /// How many bytes a copy takes; `None` for a stage.
    #[must_use]
    pub const fn copied(&self) -> Option<u64> {
        match self {
            Self::Stage(_) => None,
            Self::Copy { len, .. } => Some(format::table_len(*len) + *len),
        }
    }
}

/// Where a chunk's bytes lie on a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The file.
    pub file: FileName,
    /// Offset of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// Digest of all of them.
    pub digest: Digest,
    /// Offset in the file of the crc32 of the first block, four bytes each in little-endian order.
    pub crcs_at: u64,
}

/// What a volume's label says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Label {
    /// The cluster.
    #[n(0)]
    pub cluster: crate::ids::ClusterId,
    /// The volume.
    #[n(1)]
    pub volume: crate::dfs::ids::VolumeId,
    /// The node it belongs to.
    #[n(2)]
    pub owner: crate::ids::NodeId,
    /// The node's name when it was labelled, for people.
    #[n(3)]
    pub alias: crate::ids::Alias,
    /// The record of the controller's log by which the volume was given to its owner; 0 for the node
    /// that made it. It grows with each owner, so that a copy of the disk from before is known.
    #[cbor(n(4), default)]
    pub epoch: crate::ids::LogIndex,
}

/// Why a volume cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeTrouble {
    /// What kind of trouble it is.
    pub kind: VolumeTroubleKind,
    /// What happened, where, and what to do.
    pub reason: String,
}

/// What kind of trouble a volume is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeTroubleKind {
    /// The directory is not there and may not be made.
    Missing,
    /// Another process has it.
    InUse,
    /// The operating system refuses access, or the device failed.
    Failed,
    /// No answer from the disk in good time.
    Hung,
}
