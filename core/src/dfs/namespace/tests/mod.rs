//! The namespace, record by record and against a naive model.

use super::*;
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkVersion, OpId};
use crate::dfs::path::DfsPath;
use crate::ids::{LogIndex, NodeId};
use crate::wire::codec;

mod apply;
mod blocks;
mod format;
mod model;
mod plan;
mod query;

fn path(text: &str) -> DfsPath {
    DfsPath::parse(text).unwrap()
}

fn op(number: u64) -> OpId {
    OpId(u128::from(number).to_be_bytes())
}

fn node(number: u8) -> NodeId {
    NodeId::new([number; 16])
}

/// A chunk of `len` bytes on these nodes.
fn chunk(id: u64, len: u64, holders: &[u8]) -> ChunkRecord {
    ChunkRecord {
        version: ChunkVersion::first(ChunkId(id)),
        len,
        digest: Digest::of(&id.to_le_bytes()),
        holders: holders.iter().copied().map(node).collect(),
    }
}

/// A namespace with a log.
#[derive(Default)]
struct Tree {
    state: Namespace,
    log: Vec<DfsRecord>,
}

impl Tree {
    fn next(&self) -> LogIndex {
        LogIndex(self.log.len() as u64 + 1)
    }

    fn apply(&mut self, record: DfsRecord) -> Applied {
        let applied = self.state.apply(self.next(), &record);
        self.log.push(record);
        self.state.check_invariants();
        applied
    }

    /// Applies a record that must fit, and returns what it released.
    #[track_caller]
    fn done(&mut self, record: DfsRecord) -> Released {
        let applied = self.apply(record);
        assert_eq!(applied.unfit, None);
        applied.released
    }

    /// Makes a directory and those above it.
    fn dir(&mut self, text: &str) {
        let next = self.next();
        let plan = self
            .state
            .plan_make_dir(next, op(next.0), &path(text), true, 7);
        for record in plan.unwrap() {
            self.done(record);
        }
    }

    /// Puts a file.
    fn put(&mut self, text: &str, chunks: Vec<ChunkRecord>) -> Released {
        let record = self.put_record(text, chunks);
        self.done(record)
    }

    fn put_record(&self, text: &str, chunks: Vec<ChunkRecord>) -> DfsRecord {
        let plan = self
            .state
            .plan_put(&path(text), Default::default())
            .unwrap();
        DfsRecord::FilePut {
            op: op(self.next().0),
            parent: plan.parent,
            name: plan.name,
            chunks,
            unix_ms: 9,
        }
    }

    #[track_caller]
    fn remove(&mut self, text: &str) -> Released {
        let plan = self
            .state
            .plan_remove(op(self.next().0), &path(text), true, Default::default());
        self.done(plan.unwrap().0)
    }

    #[track_caller]
    fn rename(&mut self, from: &str, to: &str) -> Released {
        let plan = self
            .state
            .plan_rename(op(self.next().0), &path(from), &path(to), true);
        match plan.unwrap() {
            Some(record) => self.done(record),
            None => Released::new(),
        }
    }

    #[track_caller]
    fn id(&self, text: &str) -> InodeId {
        self.state.resolve(&path(text)).unwrap()
    }

    /// The names in a directory, in order.
    fn names(&self, text: &str) -> Vec<String> {
        let listing = self.state.list(&path(text), None, usize::MAX).unwrap();
        listing
            .entries
            .iter()
            .map(|entry| entry.path.as_str().rsplit('/').next().unwrap().to_owned())
            .collect()
    }
}
