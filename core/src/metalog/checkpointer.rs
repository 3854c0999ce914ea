//! The way of a checkpoint to the disk, on the background lane, and the removal of what it
//! replaces.
//!
//! ```text
//!          begin             built             last slice          durable
//!  Idle ──────────► Building ─────► Writing ────────────► Publishing ─────► Cleaning ──► Idle
//!                      │               │ no space            │ no space
//!                      └─ abandoned    └────────► Abandoning ◄
//! ```
//!
//! A crash between the rename and the sync of the directory may leave the old name or the new one;
//! both are good. A crash before the removals are durable leaves files that nobody needs. The one
//! mistake would be to remove a file on the strength of a name that is not durable yet: hence
//! *Publishing* is a batch of its own, and *Cleaning* is only begun when it has succeeded.

use super::checkpoint::{CheckpointFault, CheckpointHeader};
use super::{CHECKPOINT_SLICE, files};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, LineageId, LogIndex};
use crate::planted::Planted;

/// Which files a checkpoint is to be built from.
///
/// None of them changes any more: the segments are sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPlan {
    /// The newest complete checkpoint, if there is one.
    pub base: Option<FileName>,
    /// The sealed segments behind it, oldest first.
    pub segments: Vec<FileName>,
    /// The last index the checkpoint covers.
    pub upto: LogIndex,
    /// The checksum of that record.
    pub upto_crc: u32,
    /// The cluster of the log.
    pub cluster: ClusterId,
    /// The lineage of the log.
    pub lineage: LineageId,
}

impl CheckpointPlan {
    /// The bytes of the checkpoint's file around the owner's encoded state.
    ///
    /// Computes a digest over all of it: work for where the state was built.
    #[must_use]
    pub fn encode(&self, state: &[u8]) -> Vec<u8> {
        self.header().encode(state)
    }

    const fn header(&self) -> CheckpointHeader {
        CheckpointHeader {
            cluster: self.cluster,
            lineage: self.lineage,
            last_index: self.upto,
            last_crc: self.upto_crc,
        }
    }
}

/// How far a checkpoint has got.
#[derive(Clone, Debug)]
enum Stage {
    Idle,
    /// Its state is being computed elsewhere.
    Building(CheckpointHeader),
    /// Its temporary file is being written.
    Writing {
        index: LogIndex,
        image: Vec<u8>,
        written: usize,
    },
    /// The temporary file is durable and gets its name.
    Publishing(LogIndex),
    /// It is durable, and what it replaces goes.
    Cleaning(Vec<DiskOp>),
    /// The disk is full; the temporary file goes.
    Abandoning(LogIndex),
}

/// What the completion of a batch meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do, or nothing left.
    Taken,
    /// The checkpoint of this index is durable.
    Durable(LogIndex),
}

/// The checkpoints there are, and the one in the making.
#[derive(Clone, Debug)]
pub(super) struct Checkpointer {
    /// All that may be good, by their last index, oldest first.
    checkpoints: Vec<LogIndex>,
    /// All that recovery found damaged. They stay until they are as old as the files around them.
    damaged: Vec<LogIndex>,
    stage: Stage,
    planted: Planted,
}

impl Checkpointer {
    pub(super) const fn new(
        checkpoints: Vec<LogIndex>,
        damaged: Vec<LogIndex>,
        planted: Planted,
    ) -> Self {
        Self {
            checkpoints,
            damaged,
            stage: Stage::Idle,
            planted,
        }
    }

    /// The last record that the newest checkpoint covers; zero if there is none.
    pub(super) fn newest(&self) -> LogIndex {
        self.checkpoints.last().copied().unwrap_or_default()
    }

    /// The checkpoints that are durable and not known to be damaged, oldest first.
    pub(super) fn durable(&self) -> &[LogIndex] {
        &self.checkpoints
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Begins a checkpoint that covers all records up to `upto`.
    pub(super) fn begin(
        &mut self,
        header: CheckpointHeader,
        segments: &[LogIndex],
    ) -> CheckpointPlan {
        assert!(self.is_idle(), "one checkpoint is made at a time");
        let base = self.newest();
        let needed = segments.iter().enumerate().filter(|(position, first)| {
            let next = segments.get(position + 1);
            **first <= header.last_index && next.is_none_or(|next| *next > base.next())
        });
        self.stage = Stage::Building(header);
        CheckpointPlan {
            base: (base > LogIndex(0)).then(|| files::checkpoint(base)),
            segments: needed.map(|(_, first)| files::segment(*first)).collect(),
            upto: header.last_index,
            upto_crc: header.last_crc,
            cluster: header.cluster,
            lineage: header.lineage,
        }
    }

    /// Takes the file made for the plan.
    ///
    /// # Errors
    /// If it is not the file of that plan. The checkpoint is given up.
    pub(super) fn built(&mut self, image: Vec<u8>) -> Result<(), CheckpointFault> {
        let Stage::Building(header) = self.stage else {
            return Ok(());
        };
        self.stage = Stage::Idle;
        header.begins(&image)?;
        self.stage = Stage::Writing {
            index: header.last_index,
            image,
            written: 0,
        };
        Ok(())
    }

    /// Gives up a checkpoint whose state could not be computed.
    pub(super) fn give_up(&mut self) {
        if matches!(self.stage, Stage::Building(_)) {
            self.stage = Stage::Idle;
        }
    }

    /// The next batch, or `None` if there is nothing to do. `segments` are all there are.
    pub(super) fn next_ops(&self, segments: &[LogIndex]) -> Option<Vec<DiskOp>> {
        let mut ops = match &self.stage {
            Stage::Idle | Stage::Building(_) => return None,
            Stage::Writing {
                index,
                image,
                written,
            } => write_slice(*index, image, *written),
            Stage::Publishing(index) => {
                let file = files::checkpoint(*index);
                let mut ops = Vec::new();
                if self.planted.remove_checkpoint_early {
                    let mut checkpoints = self.checkpoints.clone();
                    checkpoints.push(*index);
                    ops.extend(superseded(&checkpoints, &self.damaged, segments));
                }
                ops.extend([
                    DiskOp::Rename {
                        from: file.temporary(),
                        to: file,
                    },
                    DiskOp::SyncDir,
                ]);
                ops
            }
            Stage::Cleaning(removals) => {
                let mut ops = removals.clone();
                ops.push(DiskOp::SyncDir);
                ops
            }
            Stage::Abandoning(index) => vec![
                DiskOp::Remove {
                    file: files::checkpoint(*index).temporary(),
                },
                DiskOp::SyncDir,
            ],
        };
        if self.planted.skip_dir_sync {
            ops.retain(|op| *op != DiskOp::SyncDir);
        }
        Some(ops)
    }

    /// Goes on after a batch that succeeded. Removed segments are taken out of `segments`.
    pub(super) fn done(&mut self, segments: &mut Vec<LogIndex>) -> Step {
        match core::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Writing {
                index,
                image,
                written,
            } => {
                let written = written.saturating_add(CHECKPOINT_SLICE);
                self.stage = if written < image.len() {
                    Stage::Writing {
                        index,
                        image,
                        written,
                    }
                } else {
                    Stage::Publishing(index)
                };
                Step::Taken
            }
            Stage::Publishing(index) => {
                // Falling back on an older checkpoint and then covering the same records again
                // replaces the damaged file.
                self.damaged.retain(|damaged| *damaged != index);
                self.checkpoints.push(index);
                let removals = superseded(&self.checkpoints, &self.damaged, segments);
                if !removals.is_empty() {
                    self.stage = Stage::Cleaning(removals);
                }
                Step::Durable(index)
            }
            Stage::Cleaning(_) => {
                let keep = keep_from(&self.checkpoints);
                let stay = segments.partition_point(|first| *first <= keep.next());
                segments.drain(..stay.saturating_sub(1));
                self.checkpoints.retain(|index| *index >= keep);
                self.damaged.retain(|index| *index >= keep);
                Step::Taken
            }
            Stage::Abandoning(_) => Step::Taken,
            stage @ (Stage::Idle | Stage::Building(_)) => {
                self.stage = stage;
                Step::Taken
            }
        }
    }

    /// Goes on after a batch whose operation `failed_op` found no space. Returns whether that is
    /// possible: a write that did not fit harms nothing that is needed, a sync says nothing.
    pub(super) fn no_space(&mut self, failed_op: usize) -> bool {
        let (index, writes) = match self.stage {
            Stage::Writing { index, written, .. } => (index, 1 + usize::from(written == 0)),
            Stage::Publishing(index) => (index, 1),
            _ => return false,
        };
        if failed_op < writes {
            self.stage = Stage::Abandoning(index);
        }
        failed_op < writes
    }

    /// Panics if the lists contradict each other.
    pub(super) fn check_invariants(&self, synced: LogIndex) {
        assert!(
            self.checkpoints.is_sorted_by(|a, b| a < b),
            "checkpoints are in order: {:?}",
            self.checkpoints
        );
        assert!(
            self.newest() <= synced,
            "the newest checkpoint covers {} of {synced} synced records",
            self.newest()
        );
    }
}

/// One slice of a checkpoint into its temporary file.
///
/// Each is synced by itself, so that a commit's sync never waits for a whole checkpoint's pages.
fn write_slice(index: LogIndex, image: &[u8], written: usize) -> Vec<DiskOp> {
    let file = files::checkpoint(index).temporary();
    let rest = &image[written..];
    let mut ops = Vec::new();
    if written == 0 {
        ops.push(DiskOp::CreateOrEmpty { file: file.clone() });
    }
    ops.extend([
        DiskOp::Append {
            file: file.clone(),
            offset: written as u64,
            bytes: rest[..rest.len().min(CHECKPOINT_SLICE)].to_vec(),
        },
        DiskOp::Sync { file },
    ]);
    ops
}

/// The last record of the older of the two newest checkpoints: all up to there may go. Zero while
/// there is only one, so that a log whose only checkpoint is bad can be replayed from its start.
fn keep_from(checkpoints: &[LogIndex]) -> LogIndex {
    (checkpoints.iter().rev())
        .nth(1)
        .copied()
        .unwrap_or_default()
}

/// The removal of all that is older than what [`keep_from`] keeps, oldest first.
fn superseded(
    checkpoints: &[LogIndex],
    damaged: &[LogIndex],
    segments: &[LogIndex],
) -> Vec<DiskOp> {
    let keep = keep_from(checkpoints);
    let replaced = (checkpoints.iter().chain(damaged))
        .filter(|index| **index < keep)
        .map(|index| files::checkpoint(*index));
    let covered = (segments.windows(2))
        .filter(|pair| pair[1] <= keep.next())
        .map(|pair| files::segment(pair[0]));
    replaced
        .chain(covered)
        .map(|file| DiskOp::Remove { file })
        .collect()
}
