//! What records do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Namespace;
use super::inode::{Chunk, Content, Directory, Inode, Replicas, difference, sum};
use super::nodes::Handle;
use super::ops::Unfit;
use super::record::{ChunkRecord, DfsRecord};
use crate::dfs::ask::Usage;
use crate::dfs::ids::{ChunkId, ChunkVersion, FileVersion, InodeId};
use crate::dfs::path::{self, DfsPath};
use crate::ids::{LogIndex, NodeId};

/// The most nodes that may keep one chunk.
const HOLDERS_MAX: usize = 255;

/// What a record did, for the controller's next steps. Not part of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "nodes are told what they need not keep"]
pub struct Applied {
    /// Why the record changed nothing; `None` if it was carried out.
    pub unfit: Option<Unfit>,
    /// What no file has any more.
    pub released: Released,
}

/// Contents of chunks that no file has any more, by the nodes that keep them.
pub type Released = BTreeMap<NodeId, Vec<ChunkVersion>>;

impl Namespace {
    /// Makes the change that the record at `index` stands for.
    ///
    /// Total: a record that does not fit changes nothing, and its operation is noted as refused.
    /// Which records those are is part of the log's format.
    ///
    /// Takes time in proportion to the chunks that the record names or releases, and to the depth of
    /// the path. A directory that gets a longer path is walked, since paths below it may become too
    /// long.
    pub fn apply(&mut self, index: LogIndex, record: &DfsRecord) -> Applied {
        let mut released = Released::new();
        let result = match record {
            DfsRecord::DirMade {
                parent,
                name,
                unix_ms,
                ..
            } => self.make_dir(index, *parent, name, *unix_ms),
            DfsRecord::FilePut {
                parent,
                name,
                chunks,
                unix_ms,
                ..
            } => self.put(index, (*parent, name), chunks, *unix_ms, &mut released),
            DfsRecord::Removed { parent, name, .. } => self.remove(*parent, name, &mut released),
            DfsRecord::Renamed {
                from_parent,
                from_name,
                to_parent,
                to_name,
                ..
            } => self.rename(
                (*from_parent, from_name),
                (*to_parent, to_name),
                &mut released,
            ),
            DfsRecord::ReplicasChanged {
                chunk,
                added,
                removed,
            } => self.change_replicas(*chunk, added, removed),
            DfsRecord::OpGivenUp { .. } => Err(Unfit::GivenUp),
        };
        let unfit = result.err();
        if let Some(op) = record.op() {
            self.ops.note(op, index, unfit);
        }
        Applied { unfit, released }
    }

    fn make_dir(
        &mut self,
        index: LogIndex,
        parent: InodeId,
        name: &str,
        unix_ms: u64,
    ) -> Result<(), Unfit> {
        self.check_place(parent, name)?;
        if self.child(parent, name).is_some() {
            return Err(Unfit::Taken);
        }
        let id = self.unused(index)?;
        let made = Inode {
            parent,
            name: Arc::from(name),
            version: FileVersion(id.0),
            unix_ms,
            content: Content::Directory(Box::new(Directory::empty())),
        };
        self.link(id, parent, made.name.clone());
        self.inodes.insert(id, made);
        self.add_usage(parent, self.usage_of(id));
        Ok(())
    }

    fn put(
        &mut self,
        index: LogIndex,
        (parent, name): (InodeId, &str),
        chunks: &[ChunkRecord],
        unix_ms: u64,
        released: &mut Released,
    ) -> Result<(), Unfit> {
        self.check_place(parent, name)?;
        let existing = self.child(parent, name);
        if existing.is_some_and(|id| self.is_directory(id)) {
            return Err(Unfit::Taken);
        }
        let id = match existing {
            Some(id) => id,
            None => self.unused(index)?,
        };
        let content = self.content(chunks)?;
        for (number, chunk) in (0..).zip(chunks) {
            self.add_chunk(id, number, chunk)?;
        }
        if let Some(inode) = self.inodes.get(&id) {
            let before = self.usage_of(id);
            for chunk in inode.content.chunks().collect::<Vec<_>>() {
                self.release(chunk, released);
            }
            self.take_usage(parent, before);
        }
        match self.inodes.get_mut(&id) {
            Some(inode) => {
                inode.version = FileVersion(index.0);
                inode.unix_ms = unix_ms;
                inode.content = content;
            }
            None => {
                let made = Inode {
                    parent,
                    name: Arc::from(name),
                    version: FileVersion(index.0),
                    unix_ms,
                    content,
                };
                self.link(id, parent, made.name.clone());
                self.inodes.insert(id, made);
            }
        }
        self.add_usage(parent, self.usage_of(id));
        Ok(())
    }

    /// The content that these chunks make up, if all of them can be taken.
    fn content(&self, chunks: &[ChunkRecord]) -> Result<Content, Unfit> {
        let mut ids = BTreeSet::new();
        for chunk in chunks {
            let id = chunk.version.chunk;
            let holders = 1..=HOLDERS_MAX;
            if !holders.contains(&chunk.holders.len())
                || self.chunks.get(&id).is_some()
                || !ids.insert(id)
            {
                return Err(Unfit::BadChunks);
            }
        }
        if u32::try_from(chunks.len()).is_err() {
            return Err(Unfit::BadChunks);
        }
        let holders = chunks.iter().flat_map(|chunk| &chunk.holders);
        if !self.nodes.has_room_for(holders) {
            return Err(Unfit::TooManyNodes);
        }
        let parts: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.version.chunk, chunk.len, chunk.digest))
            .collect();
        Content::of(&parts).ok_or(Unfit::BadChunks)
    }

    /// Takes in a chunk that [`Namespace::content`] has let pass.
    fn add_chunk(&mut self, file: InodeId, number: u32, record: &ChunkRecord) -> Result<(), Unfit> {
        let replicas = self.take_nodes(&record.holders)?;
        let chunk = Chunk {
            len: record.len,
            digest: record.digest,
            file,
            generation: record.version.generation,
            number,
            replicas,
        };
        self.chunks.insert(record.version.chunk, chunk);
        Ok(())
    }

    /// Counts a replica on each of these nodes, once.
    fn take_nodes(&mut self, nodes: &[NodeId]) -> Result<Replicas, Unfit> {
        let mut handles: Vec<Handle> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let known = self.nodes.handle(*node);
            if known.is_none_or(|known| !handles.contains(&known)) {
                handles.push(self.nodes.take(*node).ok_or(Unfit::TooManyNodes)?);
            }
        }
        Ok(Replicas::new(&handles))
    }

    fn remove(
        &mut self,
        parent: InodeId,
        name: &str,
        released: &mut Released,
    ) -> Result<(), Unfit> {
        self.check_directory(parent)?;
        let id = self.child(parent, name).ok_or(Unfit::NotThere)?;
        self.take_usage(parent, self.usage_of(id));
        self.unlink(parent, name);
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            let Some(inode) = self.inodes.remove(&id) else {
                continue;
            };
            if let Some(directory) = inode.directory() {
                doomed.extend(directory.children.iter().map(|(_, child)| *child));
            }
            for chunk in inode.content.chunks() {
                self.release(chunk, released);
            }
        }
        Ok(())
    }

    fn rename(
        &mut self,
        (from_parent, from_name): (InodeId, &str),
        (to_parent, to_name): (InodeId, &str),
        released: &mut Released,
    ) -> Result<(), Unfit> {
        self.check_directory(from_parent)?;
        let id = self.child(from_parent, from_name).ok_or(Unfit::NotThere)?;
        self.check_place(to_parent, to_name)?;
        let there = self.child(to_parent, to_name);
        if there == Some(id) {
            return Ok(());
        }
        let moves_directory = self.is_directory(id);
        if moves_directory && self.is_within(to_parent, id) {
            return Err(Unfit::IntoItself);
        }
        if there.is_some_and(|there| moves_directory || self.is_directory(there)) {
            return Err(Unfit::Taken);
        }
        if !self.fits_below(id, to_parent, to_name) {
            return Err(Unfit::BadName);
        }
        if there.is_some() {
            self.remove(to_parent, to_name, released)?;
        }
        let usage = self.usage_of(id);
        self.take_usage(from_parent, usage);
        self.unlink(from_parent, from_name);
        let name: Arc<str> = Arc::from(to_name);
        self.link(id, to_parent, name.clone());
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.parent = to_parent;
            inode.name = name;
        }
        self.add_usage(to_parent, usage);
        Ok(())
    }

    /// A record that would leave nobody is unfit: who had the last replica is who to wait for.
    fn change_replicas(
        &mut self,
        version: ChunkVersion,
        added: &[NodeId],
        removed: &[NodeId],
    ) -> Result<(), Unfit> {
        let chunk = self.chunks.get(&version.chunk).ok_or(Unfit::NotThere)?;
        if chunk.generation != version.generation {
            return Err(Unfit::NotThere);
        }
        let before = chunk.replicas.handles().to_vec();
        let mut nodes: Vec<NodeId> = before
            .iter()
            .filter_map(|handle| self.nodes.node(*handle))
            .filter(|node| !removed.contains(node))
            .collect();
        for node in added {
            if !nodes.contains(node) {
                nodes.push(*node);
            }
        }
        if nodes.is_empty() || nodes.len() > HOLDERS_MAX {
            return Err(Unfit::BadChunks);
        }
        if !self.nodes.has_room_for(nodes.iter()) {
            return Err(Unfit::TooManyNodes);
        }
        let replicas = self.take_nodes(&nodes)?;
        for handle in before {
            self.nodes.give_back(handle);
        }
        if let Some(chunk) = self.chunks.get_mut(&version.chunk) {
            let old = chunk.usage();
            chunk.replicas = replicas;
            let (file, new) = (chunk.file, chunk.usage());
            self.add_usage(file, difference(new, old));
        }
        Ok(())
    }

    /// Forgets a chunk, and says who has it.
    fn release(&mut self, id: ChunkId, released: &mut Released) {
        let Some(chunk) = self.chunks.remove(&id) else {
            return;
        };
        let version = ChunkVersion {
            chunk: id,
            generation: chunk.generation,
        };
        for handle in chunk.replicas.handles() {
            if let Some(node) = self.nodes.node(*handle) {
                released.entry(node).or_default().push(version);
            }
            self.nodes.give_back(*handle);
        }
    }

    /// The id of what the record at `index` makes.
    fn unused(&self, index: LogIndex) -> Result<InodeId, Unfit> {
        let id = InodeId::made_at(index);
        match self.inodes.get(&id) {
            None => Ok(id),
            Some(_) => Err(Unfit::IndexUsed),
        }
    }

    fn check_directory(&self, id: InodeId) -> Result<(), Unfit> {
        if self.is_directory(id) {
            Ok(())
        } else {
            Err(Unfit::NoDirectory)
        }
    }

    /// Whether there can be something of this name in this directory.
    fn check_place(&self, parent: InodeId, name: &str) -> Result<(), Unfit> {
        self.check_directory(parent)?;
        path::check_name(name).map_err(|_| Unfit::BadName)?;
        let (depth, len) = self.extent(parent);
        if fits(depth + 1, len + 1 + name.len()) {
            Ok(())
        } else {
            Err(Unfit::BadName)
        }
    }

    /// Names and bytes in the path of an inode.
    pub(super) fn extent(&self, mut id: InodeId) -> (usize, usize) {
        let (mut depth, mut len) = (0, 0);
        while id != InodeId::ROOT
            && let Some(inode) = self.inodes.get(&id)
        {
            depth += 1;
            len += 1 + inode.name.len();
            id = inode.parent;
        }
        (depth, len)
    }

    /// Whether all paths at and below `id` are allowed when it is `name` in `parent`.
    pub(super) fn fits_below(&self, id: InodeId, parent: InodeId, name: &str) -> bool {
        let (depth, len) = self.extent(parent);
        let (depth, len) = (depth + 1, len + 1 + name.len());
        let (old_depth, old_len) = self.extent(id);
        if depth <= old_depth && len <= old_len {
            return true;
        }
        let mut open = vec![(id, depth, len)];
        while let Some((id, depth, len)) = open.pop() {
            if !fits(depth, len) {
                return false;
            }
            let directory = self.inodes.get(&id).and_then(Inode::directory);
            for (name, child) in directory.iter().flat_map(|there| there.children.iter()) {
                open.push((*child, depth + 1, len + 1 + name.len()));
            }
        }
        true
    }

    /// Enters an inode into its directory.
    fn link(&mut self, id: InodeId, parent: InodeId, name: Arc<str>) {
        if let Some(directory) = self.directory_mut(parent) {
            directory.children.insert(name, id);
        }
    }

    fn unlink(&mut self, parent: InodeId, name: &str) {
        if let Some(directory) = self.directory_mut(parent) {
            directory.children.remove(name);
        }
    }

    fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        self.inodes.get_mut(&id)?.directory_mut()
    }

    /// Adds to the usage of a directory and all above it. What is no directory is passed over.
    fn add_usage(&mut self, mut id: InodeId, usage: Usage) {
        while let Some(inode) = self.inodes.get_mut(&id) {
            let parent = inode.parent;
            if let Some(directory) = inode.directory_mut() {
                directory.usage = sum(directory.usage, usage);
            }
            if id == InodeId::ROOT {
                return;
            }
            id = parent;
        }
    }

    fn take_usage(&mut self, id: InodeId, usage: Usage) {
        self.add_usage(id, difference(Usage::default(), usage));
    }
}

const fn fits(depth: usize, len: usize) -> bool {
    depth <= DfsPath::MAX_DEPTH && len <= DfsPath::MAX_LEN
}
