//! What the controller's log says about names and chunks.
//!
//! [`Namespace::apply`] is the only way to change it. It is total and looks at nothing but the state
//! and the record, so that two replays agree byte for byte. Queries read it, and what a client wants
//! changed is first *planned*: a plan is a pure function of the state that says which records to
//! append, or why not.
//!
//! ```text
//!  client's order ──▶ plan_… ──▶ refusal, or records ──▶ append ──▶ apply ──▶ released chunks
//!                     (state)                             (log)    (state)
//! ```
//!
//! # Memory
//!
//! Everything that there are millions of lies in two ordered tables, inodes and chunks, whose
//! entries have 64 bytes each; a directory has 24 bytes for each entry beside the name. Replicas
//! name nodes by a number of two bytes. A checkpoint is written and read in one pass, see
//! `encoding.rs`. The example `namespace_size` measures both: a file of one chunk with two replicas
//! takes about 160 bytes beside its name.
//!
//! # Invariants
//!
//! 1. Inodes are a tree whose root is [`InodeId::ROOT`]; each is named once, by its directory.
//! 2. A chunk belongs to one file, at one position, and has at least one holder.
//! 3. The usage of a directory is that of all that is in it, and itself.

mod apply;
mod blocks;
mod check;
mod encoding;
mod inode;
mod nodes;
mod ops;
mod plan;
mod query;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::blocks::Blocks;
use self::inode::{Chunk, Content, Directory, Inode};
use self::nodes::NodeTable;
use self::ops::OpTable;
use super::ids::{ChunkId, FileVersion, InodeId};

pub use apply::{Applied, Released};
pub use ops::{OPS_MAX, OpEntry, Unfit};
pub use plan::PutPlan;
pub use query::{ChunkView, FileChunk, Missing};
pub use record::{ChunkRecord, DfsRecord};

/// All names and chunks of a cluster. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    inodes: Blocks<InodeId, Inode>,
    chunks: Blocks<ChunkId, Chunk>,
    nodes: NodeTable,
    ops: OpTable,
}

/// An empty root directory.
impl Default for Namespace {
    fn default() -> Self {
        let mut inodes = Blocks::default();
        inodes.insert(InodeId::ROOT, root(Directory::empty()));
        Self {
            inodes,
            chunks: Blocks::default(),
            nodes: NodeTable::default(),
            ops: OpTable::default(),
        }
    }
}

fn root(directory: Directory) -> Inode {
    Inode {
        parent: InodeId::ROOT,
        name: Arc::from(""),
        version: FileVersion(InodeId::ROOT.0),
        unix_ms: 0,
        content: Content::Directory(Box::new(directory)),
    }
}
