//! What became of the newest operations.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::dfs::ids::OpId;
use crate::ids::LogIndex;

/// Operations whose outcome is kept, the newest. A constant and no limit of the configuration: two
/// replays of one log must agree.
pub const OPS_MAX: usize = 65_536;

/// What became of an operation that the log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpEntry {
    /// Its newest record.
    #[n(0)]
    pub index: LogIndex,
    /// Why that record changed nothing; `None` if it was carried out.
    #[n(1)]
    pub unfit: Option<Unfit>,
}

/// Why a record changes nothing: it does not fit the state. The controller appends no such record,
/// since it decides on the state to which the record is then applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Encode, Decode)]
#[cbor(index_only)]
pub enum Unfit {
    /// The directory is not there, or is a file.
    #[n(0)]
    #[error("its directory is not there")]
    NoDirectory,
    /// Something has that name which does not give way.
    #[n(1)]
    #[error("something else has that name")]
    Taken,
    /// Nothing has that name, or the chunk is unknown.
    #[n(2)]
    #[error("what it changes is not there")]
    NotThere,
    /// A directory would be in itself.
    #[n(3)]
    #[error("a directory would be in itself")]
    IntoItself,
    /// The name is not allowed, or the path too long or too deep.
    #[n(4)]
    #[error("its name is not allowed, or its path too long or too deep")]
    BadName,
    /// A chunk is known already, has no holders or too many, or there are too many bytes.
    #[n(5)]
    #[error("its chunks cannot be a file's")]
    BadChunks,
    /// 65,536 nodes have chunks.
    #[n(6)]
    #[error("too many nodes have chunks")]
    TooManyNodes,
    /// Something is known by the record's index.
    #[n(7)]
    #[error("something is known by its index")]
    IndexUsed,
    /// Its operation was given up before.
    #[n(8)]
    #[error("its operation was given up")]
    GivenUp,
}

/// The newest operations, by id and by age.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OpTable {
    by_op: BTreeMap<OpId, OpEntry>,
    /// By the index of the newest record.
    by_index: BTreeMap<LogIndex, OpId>,
}

/// A row of a checkpoint.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct OpRow {
    #[n(0)]
    op: OpId,
    #[n(1)]
    entry: OpEntry,
}

impl OpTable {
    pub(super) fn get(&self, op: OpId) -> Option<OpEntry> {
        self.by_op.get(&op).copied()
    }

    /// Notes what the record at `index` did for `op`. Of several records of one operation the
    /// newest counts, but a refusal never covers a success.
    pub(super) fn note(&mut self, op: OpId, index: LogIndex, unfit: Option<Unfit>) {
        if let Some(before) = self.by_op.get(&op) {
            if before.unfit.is_none() && unfit.is_some() {
                return;
            }
            self.by_index.remove(&before.index);
        }
        if let Some(other) = self.by_index.insert(index, op)
            && other != op
        {
            self.by_op.remove(&other);
        }
        self.by_op.insert(op, OpEntry { index, unfit });
        while self.by_op.len() > OPS_MAX
            && let Some((_, oldest)) = self.by_index.pop_first()
        {
            self.by_op.remove(&oldest);
        }
    }

    /// What a checkpoint says of it, the oldest first.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = OpRow> {
        self.by_index.iter().map(|(index, op)| OpRow {
            op: *op,
            entry: self.by_op.get(op).copied().unwrap_or(OpEntry {
                index: *index,
                unfit: None,
            }),
        })
    }

    /// The table that a checkpoint says; `None` if it is none.
    pub(super) fn from_rows(rows: Vec<OpRow>) -> Option<Self> {
        if rows.len() > OPS_MAX || !rows.is_sorted_by(|a, b| a.entry.index < b.entry.index) {
            return None;
        }
        let by_index = rows.iter().map(|row| (row.entry.index, row.op)).collect();
        let count = rows.len();
        let by_op: BTreeMap<_, _> = rows.into_iter().map(|row| (row.op, row.entry)).collect();
        (by_op.len() == count).then_some(Self { by_op, by_index })
    }

    /// Panics with a sentence if the table contradicts itself.
    pub(super) fn check_invariants(&self) {
        assert!(
            self.by_op.len() <= OPS_MAX,
            "{} operations are kept",
            self.by_op.len()
        );
        assert_eq!(self.by_op.len(), self.by_index.len(), "operations differ");
        for (index, op) in &self.by_index {
            assert_eq!(
                self.by_op.get(op).map(|entry| entry.index),
                Some(*index),
                "operation {op} is filed under another record"
            );
        }
    }
}
