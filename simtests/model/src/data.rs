//! Files: a client that writes one, and the bytes of chunks between the drivers of data nodes.
//!
//! What a driver does between a question and its answer is done here as the real one does it: it asks
//! its machine whether bytes may come, keeps them, says that they are there, and tells the asker when
//! the machine says that they are durable.

use std::collections::BTreeSet;

use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::{Committed, Expect, Holder};
use vaquita_core::dfs::digest::{Digest, Summary};
use vaquita_core::dfs::ids::{ChunkVersion, OpId, StageId};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::dfs::put::{Put, PutOrder};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::ids::{NodeId, RequestId};
use vaquita_core::message::CopyReplica;

use crate::process::Who;
use crate::setup::Place;

/// The bytes that an attempt of the client writes; those of another version of the file differ.
#[must_use]
pub fn content(version: u8) -> Vec<u8> {
    vec![b'a' + version; 8]
}

/// The path of the only file.
#[must_use]
pub fn path() -> DfsPath {
    DfsPath::parse("/file").expect("the path is one")
}

/// Somebody who wants one file written, by whichever data node, until it is told that it is.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The attempt under way.
    pub attempt: Option<Attempt>,
    /// Which content it writes; each is another operation.
    pub version: u8,
    /// Attempts so far: each is at the next node.
    pub attempts: u8,
    /// What it was told.
    pub told: Option<Committed>,
}

/// One attempt, at one entry: it ends with the entry's process.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The entry.
    pub entry: Who,
    /// The machine of the write.
    pub put: Put,
    /// What it has asked the controller and was not told, through the entry.
    pub asks: BTreeSet<RequestId>,
}

/// What is to be written by an attempt.
#[must_use]
pub fn order(version: u8) -> PutOrder {
    PutOrder {
        op: OpId([version + 1; 16]),
        path: path(),
        expect: Expect::Anything,
        unix_ms: 0,
    }
}

/// A question of one data node's driver to another's, and its answer.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Who asks.
    pub from: Who,
    /// Who is asked.
    pub to: Place,
    /// What.
    pub wanted: Wanted,
    /// What for.
    pub purpose: Purpose,
    /// How far it has come.
    pub progress: Progress,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Keep these bytes.
    Store {
        /// The controller's word that they may come.
        token: Box<WriteToken>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Send a chunk.
    Fetch(ChunkVersion),
}

/// What a transfer is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// A replica of what a client writes.
    Write {
        /// The chunk of the file.
        number: usize,
        /// The node that is to have it.
        node: NodeId,
    },
    /// The bytes of a chunk that is to be copied, from its first source.
    Fetch(Box<CopyReplica>),
    /// The keeping of these bytes.
    Keep(Box<CopyReplica>),
}

/// How far a transfer has come.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The question is on its way.
    Asking,
    /// The machine of the asked process has been asked whether bytes may come, or where they are.
    Admitting {
        /// Which process that is.
        at: Who,
        /// What its machine was asked.
        question: RequestId,
    },
    /// The bytes have come, and are on their way to the disk.
    Staged {
        /// Which process has them.
        at: Who,
        /// What its machine was asked.
        question: RequestId,
        /// By which they are named there.
        stage: StageId,
        /// Their length and digest.
        summary: Summary,
    },
    /// The answer is on its way.
    Answering(Box<Carried>),
}

impl Progress {
    /// The process that works on it.
    #[must_use]
    pub const fn at(&self) -> Option<Who> {
        match self {
            Self::Admitting { at, .. } | Self::Staged { at, .. } => Some(*at),
            Self::Asking | Self::Answering(_) => None,
        }
    }

    /// What a machine was asked.
    #[must_use]
    pub const fn question(&self) -> Option<RequestId> {
        match self {
            Self::Admitting { question, .. } | Self::Staged { question, .. } => Some(*question),
            Self::Asking | Self::Answering(_) => None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Carried {
    /// The bytes are durable.
    Prepared {
        /// Who has them.
        holder: Holder,
        /// How many.
        len: u64,
        /// Their digest.
        digest: Digest,
    },
    /// A chunk's bytes.
    Bytes(Vec<u8>),
    /// It is not done.
    Refused(Refusal),
    /// The connection is no more.
    Broken,
}
