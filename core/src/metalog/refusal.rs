//! Why a log is not opened.

use core::fmt;

use thiserror::Error;

use super::checkpoint::CheckpointFault;
use super::tail::Evidence;
use crate::disk::FileName;
use crate::ids::{ClusterId, LogIndex};

/// Where reading stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: FileName,
    /// The byte in it.
    pub offset: usize,
    /// The last record that could be read; all before it could be read too, or are contained in a
    /// checkpoint.
    pub last_good: LogIndex,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at byte {} (the last good record is {})",
            self.file, self.offset, self.last_good
        )
    }
}

/// What a person can do about it; the same for all refusals.
struct Choices<'a>(&'a Place);

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "Nothing was changed. The choices: copy the damaged files back from a mirror of this \
             log; restore a backup, which begins a new lineage; or ",
        )?;
        match self.0.last_good {
            LogIndex(0) => f.write_str(
                "begin a new cluster, for not one record would be left if those that cannot be \
                 read were given up.",
            ),
            last_good => write!(
                f,
                "give up all records behind the last good one with `vaquita meta repair --home DIR \
                 --truncate-at {last_good} --i-accept-loss`, which begins a new lineage too."
            ),
        }
    }
}

/// The log was not opened, because records that were promised may be missing from it.
///
/// No file was changed, and none may be: whatever the cure is, it needs the files as they are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecoveryRefusal {
    /// A record that was durable cannot be read any more: the disk lost or changed it.
    #[error(
        "{at}: the next record is damaged, and it had been durable: {evidence}. {}",
        Choices(at)
    )]
    DamagedRecord {
        /// Where.
        at: Place,
        /// What proves it.
        evidence: Evidence,
    },
    /// The header of a segment that has, or must have, records cannot be read.
    #[error(
        "{at}: the header of this segment is damaged, so that its records cannot be trusted. {}",
        Choices(at)
    )]
    DamagedHeader {
        /// Where.
        at: Place,
    },
    /// A file is of another cluster; somebody mixed two homes.
    #[error(
        "{at}: this file belongs to cluster {found}, and the home to {expected}. {}",
        Choices(at)
    )]
    ForeignFile {
        /// Where.
        at: Place,
        /// The cluster of the file.
        found: ClusterId,
        /// The cluster of the home.
        expected: ClusterId,
    },
    /// A file was written by a later version of this program.
    #[error(
        "{at}: this file has format version {version}, which this program does not know: start \
         the version that wrote it. Nothing was changed."
    )]
    UnknownVersion {
        /// Where.
        at: Place,
        /// The version of the file.
        version: u16,
    },
    /// A file has the name of another one.
    #[error(
        "{at}: by its name this file has index {named}, by its contents {found}: it was renamed \
         or overwritten. {}",
        Choices(at)
    )]
    Misplaced {
        /// Where.
        at: Place,
        /// The index in the name.
        named: LogIndex,
        /// The index in the header.
        found: LogIndex,
    },
    /// A segment, or a checkpoint, does not continue the record in front of it.
    #[error(
        "{at}: the checksum of record {last} is not the one with which the log goes on: the \
         files come from two histories. {}",
        Choices(at),
        last = at.last_good
    )]
    BrokenChain {
        /// Where.
        at: Place,
    },
    /// A segment is not there, and what is there shows that it once was.
    #[error("{at}: the segment with record {missing} is missing. {}", Choices(at))]
    MissingSegment {
        /// The file that shows it: the next segment there is, or the checkpoint.
        at: Place,
        /// The first record that no file has.
        missing: LogIndex,
    },
    /// The log ends before a record that is known to have been durable.
    #[error(
        "{at}: the log ends there, and records up to {known} are known to have been durable. {}",
        Choices(at)
    )]
    EndsEarly {
        /// Where it ends.
        at: Place,
        /// The last record known to have been durable.
        known: LogIndex,
    },
    /// There is not a single file of the log, and the cluster has a history.
    #[error(
        "the home has no log at all, and records up to {known} are known to have been durable: \
         the wrong directory, or its files are lost. Nothing was changed. The choices: name the \
         right home; copy the files back from a mirror of this log; or restore a backup, which \
         begins a new lineage."
    )]
    Absent {
        /// The last record known to have been durable.
        known: LogIndex,
    },
    /// A checkpoint cannot be read, and the log does not reach back to one that can.
    #[error(
        "{at}: this checkpoint cannot be used, for {fault}, and no older one can take its \
         place, for the log begins with record {log_begins}. {}",
        Choices(at)
    )]
    NoCheckpoint {
        /// The newest checkpoint.
        at: Place,
        /// What is wrong with it.
        fault: CheckpointFault,
        /// The first record of the oldest segment; zero if there is none.
        log_begins: LogIndex,
    },
}

impl RecoveryRefusal {
    /// Where reading stopped, unless there was nothing to read.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::DamagedRecord { at, .. }
            | Self::DamagedHeader { at }
            | Self::ForeignFile { at, .. }
            | Self::UnknownVersion { at, .. }
            | Self::Misplaced { at, .. }
            | Self::BrokenChain { at }
            | Self::MissingSegment { at, .. }
            | Self::EndsEarly { at, .. }
            | Self::NoCheckpoint { at, .. } => Some(at),
            Self::Absent { .. } => None,
        }
    }
}
