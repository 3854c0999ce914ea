//! What the namespace is asked.

use thiserror::Error;

use super::Namespace;
use super::inode::{Chunk, Content, Directory, Inode, sum};
use super::ops::OpEntry;
use crate::admin::Refusal;
use crate::dfs::ask::{Entry, EntryKind, Listing, Usage};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, InodeId, OpId};
use crate::dfs::path::DfsPath;
use crate::ids::NodeId;

/// Why there is nothing at a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// This path is the first that does not exist, of those that lead there.
    #[error("{at} does not exist{}", like.as_ref().map(|name| format!("; there is `{name}`")).unwrap_or_default())]
    Absent {
        /// The path asked for, or one above it.
        at: DfsPath,
        /// A name that is much like the one that is missing.
        like: Option<String>,
    },
    /// The path leads through a file.
    #[error("{0} is a file, so that nothing can be in it")]
    UnderFile(DfsPath),
}

impl From<Missing> for Refusal {
    fn from(missing: Missing) -> Self {
        Self::NotFound {
            what: missing.to_string(),
        }
    }
}

/// A chunk as the log knows it.
#[derive(Clone, Copy, Debug)]
pub struct ChunkView<'a> {
    namespace: &'a Namespace,
    id: ChunkId,
    chunk: &'a Chunk,
}

impl<'a> ChunkView<'a> {
    /// Which content of which chunk.
    #[must_use]
    pub const fn version(&self) -> ChunkVersion {
        ChunkVersion {
            chunk: self.id,
            generation: self.chunk.generation,
        }
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.chunk.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunk.len == 0
    }

    /// Digest of the bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.chunk.digest
    }

    /// The file that it belongs to.
    #[must_use]
    pub const fn file(&self) -> InodeId {
        self.chunk.file
    }

    /// Position among the file's chunks, from 0.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.chunk.number
    }

    /// Who has it, by the log: at least one node, none twice, in the order in which they came.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> + use<'a> {
        let Self {
            namespace, chunk, ..
        } = *self;
        let handles = chunk.replicas.handles().iter();
        handles.filter_map(|handle| namespace.nodes.node(*handle))
    }

    /// How many nodes have it, by the log.
    #[must_use]
    pub fn holder_count(&self) -> usize {
        self.chunk.replicas.handles().len()
    }

    /// Whether this node has it, by the log.
    #[must_use]
    pub fn is_held_by(&self, node: NodeId) -> bool {
        self.holders().any(|holder| holder == node)
    }
}

/// A chunk at its place in a file.
#[derive(Clone, Copy, Debug)]
pub struct FileChunk<'a> {
    /// Offset in the file of its first byte.
    pub offset: u64,
    /// The chunk.
    pub chunk: ChunkView<'a>,
}

impl Namespace {
    /// What is at a path.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn resolve(&self, path: &DfsPath) -> Result<InodeId, Missing> {
        let mut at = InodeId::ROOT;
        for (depth, name) in path.names().enumerate() {
            let Some(directory) = self.inodes.get(&at).and_then(Inode::directory) else {
                return Err(Missing::UnderFile(first_names(path, depth)));
            };
            at = match directory.children.get(name) {
                Some(child) => *child,
                None => {
                    return Err(Missing::Absent {
                        at: first_names(path, depth + 1),
                        like: name_like(directory, name),
                    });
                }
            };
        }
        Ok(at)
    }

    /// What a directory has under a name.
    #[must_use]
    pub fn child(&self, directory: InodeId, name: &str) -> Option<InodeId> {
        let directory = self.inodes.get(&directory)?.directory()?;
        directory.children.get(name).copied()
    }

    /// Whether there is such an inode, and it is a directory.
    #[must_use]
    pub fn is_directory(&self, id: InodeId) -> bool {
        self.inodes.get(&id).and_then(Inode::directory).is_some()
    }

    /// Whether `id` is `directory` or below it.
    #[must_use]
    pub fn is_within(&self, mut id: InodeId, directory: InodeId) -> bool {
        while id != directory {
            match self.inodes.get(&id) {
                Some(inode) if id != InodeId::ROOT => id = inode.parent,
                _ => return false,
            }
        }
        true
    }

    /// The present path of an inode; `None` if there is no such inode.
    #[must_use]
    pub fn path(&self, mut id: InodeId) -> Option<DfsPath> {
        let mut names = Vec::new();
        while id != InodeId::ROOT {
            let inode = self.inodes.get(&id)?;
            names.push(&*inode.name);
            id = inode.parent;
        }
        names.push("");
        names.reverse();
        if names.len() == 1 {
            return Some(DfsPath::root());
        }
        DfsPath::parse(&names.join("/")).ok()
    }

    /// What is at a path, as it may be shown. `replicas` is left to whoever knows who is alive.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn stat(&self, path: &DfsPath) -> Result<Entry, Missing> {
        let id = self.resolve(path)?;
        self.entry(id, path.clone()).ok_or_else(|| Missing::Absent {
            at: path.clone(),
            like: None,
        })
    }

    /// An inode as it may be shown under `path`, which is its path. `replicas` is left to whoever
    /// knows who is alive. `None` if there is no such inode.
    #[must_use]
    pub fn entry(&self, id: InodeId, path: DfsPath) -> Option<Entry> {
        let inode = self.inodes.get(&id)?;
        let (len, digest) = match &inode.content {
            Content::Directory(_) => (0, None),
            Content::NoChunk => (0, Some(Digest::of(&[]))),
            Content::OneChunk(chunk) => {
                let chunk = self.chunks.get(chunk)?;
                (chunk.len, Some(chunk.digest))
            }
            Content::Chunks(list) => {
                let len = list.chunks.last().map_or(0, |(_, end)| *end);
                (len, Some(list.digest))
            }
        };
        let (kind, count) = match inode.directory() {
            Some(directory) => (EntryKind::Directory, directory.children.len()),
            None => (EntryKind::File, inode.content.chunk_count()),
        };
        Some(Entry {
            path,
            kind,
            inode: id,
            version: inode.version,
            len,
            modified_unix_ms: inode.unix_ms,
            count: count as u64,
            digest,
            replicas: None,
        })
    }

    /// Up to `limit` entries of a directory behind the name `after`. `replicas` is left to whoever
    /// knows who is alive.
    ///
    /// # Errors
    /// If there is nothing at the path, or a file.
    pub fn list(
        &self,
        path: &DfsPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing, Refusal> {
        let id = self.resolve(path)?;
        let Some(directory) = self.inodes.get(&id).and_then(Inode::directory) else {
            return Err(Refusal::Conflict {
                reason: format!("{path} is a file: `vaquita dfs stat {path}` shows it"),
            });
        };
        let mut children = directory.children.after(after);
        let entries = children
            .by_ref()
            .take(limit)
            .filter_map(|(name, child)| self.entry(*child, path.join(name).ok()?))
            .collect();
        let more = children.next().is_some();
        Ok(Listing {
            path: path.clone(),
            entries,
            more,
        })
    }

    /// How much is at and below a path.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn usage(&self, path: &DfsPath) -> Result<Usage, Missing> {
        Ok(self.usage_of(self.resolve(path)?))
    }

    /// How much is at and below an inode; nothing if there is no such inode. Directories keep it: it
    /// costs one step for each chunk of a file.
    #[must_use]
    pub fn usage_of(&self, id: InodeId) -> Usage {
        let Some(inode) = self.inodes.get(&id) else {
            return Usage::default();
        };
        if let Some(directory) = inode.directory() {
            return directory.usage;
        }
        let file = Usage {
            files: 1,
            ..Usage::default()
        };
        let chunks = inode.content.chunks();
        let chunks = chunks.filter_map(|chunk| self.chunks.get(&chunk));
        chunks.map(Chunk::usage).fold(file, sum)
    }

    /// How many chunks there are.
    #[must_use]
    pub const fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// A chunk; `None` if no file has it.
    #[must_use]
    pub fn chunk(&self, id: ChunkId) -> Option<ChunkView<'_>> {
        self.chunks.get(&id).map(|chunk| self.view(id, chunk))
    }

    /// A content of a chunk; `None` if no file has it.
    #[must_use]
    pub fn chunk_version(&self, version: ChunkVersion) -> Option<ChunkView<'_>> {
        self.chunk(version.chunk)
            .filter(|chunk| chunk.version() == version)
    }

    /// All chunks behind `after`, in the order of their ids.
    pub fn chunks_after(&self, after: Option<ChunkId>) -> impl Iterator<Item = ChunkView<'_>> {
        let chunks = self.chunks.after(after.as_ref());
        chunks.map(|(id, chunk)| self.view(*id, chunk))
    }

    /// The chunks that a node has by the log, in the order of their ids. Looks at all chunks.
    pub fn chunks_on(&self, node: NodeId) -> impl Iterator<Item = ChunkView<'_>> {
        let handle = self.nodes.handle(node);
        self.chunks
            .iter()
            .filter(move |(_, chunk)| {
                handle.is_some_and(|handle| chunk.replicas.handles().contains(&handle))
            })
            .map(|(id, chunk)| self.view(*id, chunk))
    }

    /// Nodes that have chunks by the log, each with how many.
    pub fn holders(&self) -> impl Iterator<Item = (NodeId, u64)> {
        self.nodes.iter()
    }

    /// How many chunks a node has by the log.
    #[must_use]
    pub fn chunks_on_count(&self, node: NodeId) -> u64 {
        self.nodes.replicas(node)
    }

    /// The chunks of a file from number `first` on, each with its offset. None for a directory.
    pub fn file_chunks(&self, file: InodeId, first: u32) -> impl Iterator<Item = FileChunk<'_>> {
        let inode = self.inodes.get(&file);
        let first = first as usize;
        let count = inode.map_or(0, |inode| inode.content.chunk_count());
        (first..count).filter_map(move |number| {
            let content = &inode?.content;
            let chunk = self.chunk(content.chunk(number)?)?;
            let offset = match content {
                Content::Chunks(list) => list.chunks.get(number)?.1 - chunk.len(),
                Content::Directory(_) | Content::NoChunk | Content::OneChunk(_) => 0,
            };
            Some(FileChunk { offset, chunk })
        })
    }

    /// The number of the chunk that has the byte at `offset` of a file; `None` behind its end.
    #[must_use]
    pub fn chunk_at(&self, file: InodeId, offset: u64) -> Option<u32> {
        match &self.inodes.get(&file)?.content {
            Content::Directory(_) | Content::NoChunk => None,
            Content::OneChunk(chunk) => (offset < self.chunks.get(chunk)?.len).then_some(0),
            Content::Chunks(list) => {
                let number = list.chunks.partition_point(|(_, end)| *end <= offset);
                let there = number < list.chunks.len();
                u32::try_from(number).ok().filter(|_| there)
            }
        }
    }

    /// What became of an operation; `None` if it is not among the newest
    /// [`OPS_MAX`](super::OPS_MAX) that the log knows.
    #[must_use]
    pub fn op(&self, op: OpId) -> Option<OpEntry> {
        self.ops.get(op)
    }

    const fn view<'a>(&'a self, id: ChunkId, chunk: &'a Chunk) -> ChunkView<'a> {
        ChunkView {
            namespace: self,
            id,
            chunk,
        }
    }
}

/// The first `count` names of a path.
fn first_names(path: &DfsPath, count: usize) -> DfsPath {
    let mut names = path.names().take(count);
    let walked = names.try_fold(DfsPath::root(), |walked, name| walked.join(name));
    walked.unwrap_or_else(|_| path.clone())
}

/// The name in a directory that is most like `name`, if one is. Looks at the first 200.
fn name_like(directory: &Directory, name: &str) -> Option<String> {
    let children = directory.children.iter().take(200);
    children
        .map(|(there, _)| (strsim::osa_distance(there, name), there))
        .min()
        .filter(|(distance, _)| *distance <= 2 && *distance < name.chars().count())
        .map(|(_, there)| there.to_string())
}
