//! What the namespace keeps of a directory, a file and a chunk. Sizes matter: there are millions.

use std::sync::Arc;

use super::blocks::Blocks;
use super::nodes::Handle;
use crate::dfs::ask::Usage;
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, FileVersion, Generation, InodeId};

/// A directory or a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inode {
    /// The directory that it is in; the root is in itself.
    pub(super) parent: InodeId,
    /// Its name there, shared with the directory.
    pub(super) name: Arc<str>,
    /// Which content; for a directory, the record that made it.
    pub(super) version: FileVersion,
    /// Date by a client's clock.
    pub(super) unix_ms: u64,
    pub(super) content: Content,
}

/// What is in an inode. Most files have one chunk, which is all that they cost.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Directory(Box<Directory>),
    NoChunk,
    OneChunk(ChunkId),
    Chunks(Box<ChunkList>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Directory {
    pub(super) children: Blocks<Arc<str>, InodeId>,
    /// Of the directory and all below it.
    pub(super) usage: Usage,
}

/// The chunks of a file that has several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChunkList {
    /// Each chunk, with the offset in the file behind its last byte.
    pub(super) chunks: Box<[(ChunkId, u64)]>,
    /// Of the whole file.
    pub(super) digest: Digest,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) len: u64,
    pub(super) digest: Digest,
    /// The file it belongs to.
    pub(super) file: InodeId,
    pub(super) generation: Generation,
    /// Position among the file's chunks.
    pub(super) number: u32,
    pub(super) replicas: Replicas,
}

/// Replicas that lie in the chunk itself.
const FEW: usize = 6;

/// Who has a chunk: at least one node, and none twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Replicas {
    /// How many, and which; the rest is zero.
    Few(u8, [Handle; FEW]),
    Many(Box<Spilt>),
}

/// More replicas than lie in a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spilt(Vec<Handle>);

const _: () = assert!(size_of::<(InodeId, Inode)>() == 64);
const _: () = assert!(size_of::<(ChunkId, Chunk)>() == 64);

impl Inode {
    pub(super) const fn directory(&self) -> Option<&Directory> {
        match &self.content {
            Content::Directory(directory) => Some(directory),
            Content::NoChunk | Content::OneChunk(_) | Content::Chunks(_) => None,
        }
    }

    pub(super) const fn directory_mut(&mut self) -> Option<&mut Directory> {
        match &mut self.content {
            Content::Directory(directory) => Some(directory),
            Content::NoChunk | Content::OneChunk(_) | Content::Chunks(_) => None,
        }
    }
}

impl Directory {
    /// One with nothing in it.
    pub(super) fn empty() -> Self {
        Self {
            children: Blocks::default(),
            usage: Usage {
                directories: 1,
                ..Usage::default()
            },
        }
    }
}

impl Content {
    /// The content of a file with these chunks: each with its length and digest. `None` if the
    /// lengths together are beyond 2^64.
    pub(super) fn of(chunks: &[(ChunkId, u64, Digest)]) -> Option<Self> {
        let mut end = 0_u64;
        let mut list = Vec::with_capacity(chunks.len());
        for (chunk, len, _) in chunks {
            end = end.checked_add(*len)?;
            list.push((*chunk, end));
        }
        Some(match list.as_slice() {
            [] => Self::NoChunk,
            [(chunk, _)] => Self::OneChunk(*chunk),
            _ => {
                let parts = chunks.iter().map(|(_, len, digest)| (*len, *digest));
                Self::Chunks(Box::new(ChunkList {
                    chunks: list.into_boxed_slice(),
                    digest: crate::dfs::ask::file_digest(parts),
                }))
            }
        })
    }

    /// How many chunks a file has; none for a directory.
    pub(super) fn chunk_count(&self) -> usize {
        match self {
            Self::Directory(_) | Self::NoChunk => 0,
            Self::OneChunk(_) => 1,
            Self::Chunks(list) => list.chunks.len(),
        }
    }

    /// The chunk at a position.
    pub(super) fn chunk(&self, number: usize) -> Option<ChunkId> {
        match self {
            Self::Directory(_) | Self::NoChunk => None,
            Self::OneChunk(chunk) => (number == 0).then_some(*chunk),
            Self::Chunks(list) => list.chunks.get(number).map(|(chunk, _)| *chunk),
        }
    }

    /// All chunks of a file in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = ChunkId> {
        (0..self.chunk_count()).filter_map(|number| self.chunk(number))
    }
}

impl Replicas {
    /// These replicas.
    pub(super) fn new(handles: &[Handle]) -> Self {
        let mut few = [Handle::default(); FEW];
        match (few.get_mut(..handles.len()), u8::try_from(handles.len())) {
            (Some(place), Ok(count)) => {
                place.copy_from_slice(handles);
                Self::Few(count, few)
            }
            _ => Self::Many(Box::new(Spilt(handles.to_vec()))),
        }
    }

    pub(super) fn handles(&self) -> &[Handle] {
        match self {
            Self::Few(count, few) => few.get(..usize::from(*count)).unwrap_or_default(),
            Self::Many(spilt) => &spilt.0,
        }
    }
}

impl Chunk {
    /// What it adds to its file's usage.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            bytes: self.len,
            stored_bytes: self.len.wrapping_mul(self.replicas.handles().len() as u64),
            chunks: 1,
            ..Usage::default()
        }
    }
}

/// Both together. Sums wrap: the log may say what no disk holds, and a sum that has wrapped comes
/// back when the summands go.
pub(super) const fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        files: a.files.wrapping_add(b.files),
        directories: a.directories.wrapping_add(b.directories),
        bytes: a.bytes.wrapping_add(b.bytes),
        stored_bytes: a.stored_bytes.wrapping_add(b.stored_bytes),
        chunks: a.chunks.wrapping_add(b.chunks),
    }
}

/// The first without the second.
pub(super) const fn difference(a: Usage, b: Usage) -> Usage {
    Usage {
        files: a.files.wrapping_sub(b.files),
        directories: a.directories.wrapping_sub(b.directories),
        bytes: a.bytes.wrapping_sub(b.bytes),
        stored_bytes: a.stored_bytes.wrapping_sub(b.stored_bytes),
        chunks: a.chunks.wrapping_sub(b.chunks),
    }
}
