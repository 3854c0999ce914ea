//! The log's files in a home, before anything is read from the segments.

use std::collections::BTreeMap;

use super::checkpoint::{CheckpointFault, CheckpointHeader};
use super::files::{self, LogFile};
use super::refusal::{Place, RecoveryRefusal};
use super::walk::{Base, Segment};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, LogIndex};

/// A checkpoint file.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckpointFile<'a> {
    /// The index in its name.
    pub(super) last_index: LogIndex,
    pub(super) file: &'a FileName,
    pub(super) bytes: &'a [u8],
}

impl CheckpointFile<'_> {
    pub(super) fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            offset: 0,
            last_good: LogIndex(0),
        }
    }
}

/// The log's files, sorted by what they are and by index.
#[derive(Debug, Default)]
pub(super) struct Home<'a> {
    pub(super) segments: Vec<Segment<'a>>,
    pub(super) checkpoints: Vec<CheckpointFile<'a>>,
    unfinished: Vec<&'a FileName>,
}

/// The checkpoints that were looked at: the newest ones, until two were good.
#[derive(Debug, Default)]
pub(super) struct Bases<'a> {
    good: Option<(CheckpointHeader, &'a [u8])>,
    pub(super) damaged: Vec<(CheckpointFile<'a>, CheckpointFault)>,
}

impl<'a> Home<'a> {
    /// Sorts `files`; their names are in the order of their indexes already.
    pub(super) fn of<B: AsRef<[u8]>>(files: &'a BTreeMap<FileName, B>) -> Self {
        let mut home = Self::default();
        for (file, contents) in files {
            let bytes = contents.as_ref();
            match files::classify(file) {
                Some(LogFile::Segment(first)) => home.segments.push(Segment { first, file, bytes }),
                Some(LogFile::Checkpoint(last_index)) => home.checkpoints.push(CheckpointFile {
                    last_index,
                    file,
                    bytes,
                }),
                Some(LogFile::Unfinished) => home.unfinished.push(file),
                None => {}
            }
        }
        home
    }

    /// Takes out the last segment if its creation was interrupted. The log is then read as if it
    /// were gone already, so that it reads the same when it is.
    pub(super) fn take_unfinished(&mut self) -> Option<Segment<'a>> {
        self.segments.pop_if(|segment| segment.is_unfinished())
    }

    /// Finds the newest good checkpoint.
    ///
    /// A second one is checked too: it is what the log falls back on, and an operator should hear
    /// that it is bad while the newest one is still good. A checkpoint that is whole, but is not
    /// what it should be, was put there by somebody; that is not for this program to sort out.
    pub(super) fn verify_checkpoints(
        &self,
        cluster: ClusterId,
    ) -> Result<Bases<'a>, RecoveryRefusal> {
        let mut bases = Bases::default();
        let mut good = 0;
        for file in self.checkpoints.iter().rev() {
            let at = || file.place();
            match CheckpointHeader::verify(file.bytes, cluster, file.last_index) {
                Ok(state) => {
                    bases.good = bases.good.or(Some(state));
                    good += 1;
                }
                Err(CheckpointFault::Foreign { found }) => {
                    return Err(RecoveryRefusal::ForeignFile {
                        at: at(),
                        found,
                        expected: cluster,
                    });
                }
                Err(CheckpointFault::Version { version }) => {
                    return Err(RecoveryRefusal::UnknownVersion { at: at(), version });
                }
                Err(CheckpointFault::Misplaced { found }) => {
                    return Err(RecoveryRefusal::Misplaced {
                        at: at(),
                        named: file.last_index,
                        found,
                    });
                }
                Err(fault) => bases.damaged.push((*file, fault)),
            }
            if good == 2 {
                break;
            }
        }
        Ok(bases)
    }

    /// The first index of the segment in which the record behind the base is, or will be.
    pub(super) fn first_needed(&self, bases: &Bases<'_>) -> Result<LogIndex, RecoveryRefusal> {
        let missing = bases.base().index.next();
        let needed = (self.segments.iter().rev()).find(|segment| segment.first <= missing);
        match (needed, bases.damaged.first(), self.segments.first()) {
            (Some(segment), ..) => Ok(segment.first),
            (None, Some((file, fault)), _) => Err(RecoveryRefusal::NoCheckpoint {
                at: file.place(),
                fault: fault.clone(),
                log_begins: self.log_begins(),
            }),
            (None, None, Some(segment)) => Err(RecoveryRefusal::MissingSegment {
                at: Place {
                    file: segment.file.clone(),
                    offset: 0,
                    last_good: bases.base().index,
                },
                missing,
            }),
            (None, None, None) => Ok(missing),
        }
    }

    /// The first record of the oldest segment; zero if there is no segment.
    pub(super) fn log_begins(&self) -> LogIndex {
        (self.segments.first()).map_or(LogIndex(0), |segment| segment.first)
    }

    pub(super) fn remove_leftovers(&self) -> Vec<DiskOp> {
        let remove = |file: &&FileName| DiskOp::Remove {
            file: (*file).clone(),
        };
        self.unfinished.iter().map(remove).collect()
    }

    /// The checkpoints that are not known to be damaged.
    pub(super) fn undamaged(&self, bases: &Bases<'_>) -> Vec<LogIndex> {
        let damaged = |index| (bases.damaged.iter()).any(|(file, _)| file.last_index == index);
        (self.checkpoints.iter())
            .map(|file| file.last_index)
            .filter(|index| !damaged(*index))
            .collect()
    }
}

impl<'a> Bases<'a> {
    pub(super) fn base(&self) -> Base {
        self.good.map_or_else(Base::default, |(header, _)| Base {
            index: header.last_index,
            crc: header.last_crc,
        })
    }

    pub(super) fn state(&self) -> Option<(LogIndex, &'a [u8])> {
        self.good
            .map(|(header, payload)| (header.last_index, payload))
    }
}
