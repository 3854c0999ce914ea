//! Whether the namespace contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Namespace;
use super::inode::{Chunk, Content, Directory, sum};
use crate::dfs::ask::Usage;
use crate::dfs::ids::InodeId;
use crate::ids::NodeId;

impl Namespace {
    /// Panics with a sentence if the state contradicts itself. Looks at everything.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.inodes.check_invariants();
        self.chunks.check_invariants();
        self.ops.check_invariants();
        let (inodes, chunks) = self.check_tree();
        assert_eq!(inodes, self.inodes.len(), "an inode is in no directory");
        assert_eq!(chunks, self.chunks.len(), "a chunk is in no file");
        self.check_replicas();
    }

    /// Whether both have the same names and chunks, whatever operations they remember.
    pub(crate) fn is_same_tree(&self, other: &Self) -> bool {
        self.inodes == other.inodes && self.chunks == other.chunks && self.nodes == other.nodes
    }

    /// Walks the tree; returns how many inodes and chunks are in it.
    fn check_tree(&self) -> (usize, usize) {
        let root = self.inodes.get(&InodeId::ROOT).expect("there is a root");
        assert_eq!(root.parent, InodeId::ROOT, "the root is in something");
        assert!(self.is_directory(InodeId::ROOT), "the root is a file");
        let mut seen = BTreeSet::from([InodeId::ROOT]);
        let mut open = vec![InodeId::ROOT];
        let mut chunks = 0;
        while let Some(id) = open.pop() {
            assert!(self.path(id).is_some(), "inode {id} has no path");
            let inode = self.inodes.get(&id).expect("it was found by its name");
            match &inode.content {
                Content::Directory(directory) => {
                    self.check_sums(id, directory);
                    for (_, child) in directory.children.iter() {
                        assert!(seen.insert(*child), "inode {child} is named twice");
                        open.push(*child);
                    }
                }
                content => {
                    self.check_offsets(id, content);
                    chunks += content.chunk_count();
                }
            }
        }
        (seen.len(), chunks)
    }

    fn check_sums(&self, id: InodeId, directory: &Directory) {
        directory.children.check_invariants();
        let mut usage = Usage {
            directories: 1,
            ..Usage::default()
        };
        for (name, child) in directory.children.iter() {
            let inode = self.inodes.get(child).expect("an entry is an inode");
            assert_eq!(inode.parent, id, "inode {child} is in two directories");
            assert_eq!(inode.name, *name, "inode {child} has two names");
            usage = sum(usage, self.usage_of(*child));
        }
        assert_eq!(directory.usage, usage, "usage of directory {id}");
    }

    fn check_offsets(&self, id: InodeId, content: &Content) {
        let mut end = 0_u64;
        for (number, chunk_id) in (0_u32..).zip(content.chunks()) {
            let chunk = self.chunks.get(&chunk_id).expect("a file's chunk is known");
            assert_eq!(chunk.file, id, "chunk {chunk_id} has two files");
            assert_eq!(chunk.number, number, "chunk {chunk_id} is at two places");
            end = end.checked_add(chunk.len).expect("a file ends below 2^64");
            if let Content::Chunks(list) = content {
                let entry = list.chunks.get(number as usize);
                assert_eq!(entry, Some(&(chunk_id, end)), "offsets of file {id}");
            }
        }
    }

    fn check_replicas(&self) {
        let mut counts: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (id, Chunk { replicas, .. }) in self.chunks.iter() {
            let handles = replicas.handles();
            assert!(!handles.is_empty(), "nobody has chunk {id}");
            let nodes: BTreeSet<_> = handles
                .iter()
                .map(|handle| self.nodes.node(*handle).expect("a handle is a node's"))
                .collect();
            assert_eq!(nodes.len(), handles.len(), "a node has chunk {id} twice");
            for node in nodes {
                *counts.entry(node).or_default() += 1;
            }
        }
        assert_eq!(
            counts,
            self.nodes.iter().collect(),
            "replicas were counted wrong"
        );
    }
}
