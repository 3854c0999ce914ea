//! Reading back what a checkpoint is made from, beside the running log.

use std::collections::BTreeMap;

use super::checkpointer::CheckpointPlan;
use super::files;
use super::home::Home;
use super::record::Record;
use super::refusal::{Place, RecoveryRefusal};
use super::walk::Walk;
use crate::disk::FileName;
use crate::ids::LogIndex;

/// What a [`CheckpointPlan`] names, read.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// The checkpoint to begin with: the last record it covers, and the encoded state.
    pub checkpoint: Option<(LogIndex, &'a [u8])>,
    /// The records that the new checkpoint covers and the old one does not.
    pub records: Vec<Record<'a>>,
}

/// Reads the files of `plan`, every byte of which was durable when the plan was made.
///
/// Takes milliseconds for a short log and seconds for a long one: work for a thread of its own.
///
/// # Errors
/// If a file was changed since, or is not in `files`. The log itself goes on; the next start will
/// meet the same damage and refuse, so an operator should hear of it now.
pub fn replay<'a, B: AsRef<[u8]>>(
    plan: &CheckpointPlan,
    files: &'a BTreeMap<FileName, B>,
) -> Result<Replayed<'a>, RecoveryRefusal> {
    let mut home = Home::of(files);
    home.segments
        .retain(|segment| plan.segments.contains(segment.file));
    home.checkpoints
        .retain(|file| Some(file.file) == plan.base.as_ref());
    let bases = home.verify_checkpoints(plan.cluster)?;
    let missing = |missing| RecoveryRefusal::MissingSegment {
        at: Place {
            file: files::segment(missing),
            offset: 0,
            last_good: bases.base().index,
        },
        missing,
    };
    if let Some((file, fault)) = bases.damaged.first() {
        return Err(RecoveryRefusal::NoCheckpoint {
            at: file.place(),
            fault: fault.clone(),
            log_begins: home.log_begins(),
        });
    }
    let Some(begin) = home.segments.first() else {
        return Err(missing(bases.base().index.next()));
    };
    let mut walk = Walk::new(plan.cluster, bases.base(), home.first_needed(&bases)?);
    for segment in &home.segments {
        walk.sealed(segment)?;
    }
    let (last_index, last_crc) = walk.end();
    if last_index < plan.upto {
        return Err(missing(last_index.next()));
    }
    if (last_index, last_crc) != (plan.upto, plan.upto_crc) {
        let at = walk.place(home.segments.last().unwrap_or(begin), 0);
        return Err(RecoveryRefusal::BrokenChain { at });
    }
    Ok(Replayed {
        checkpoint: bases.state(),
        records: walk.records,
    })
}
