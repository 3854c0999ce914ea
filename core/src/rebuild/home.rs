//! The home that is rebuilt: what is in it, and what makes it another one.
//!
//! A home must never be used half rebuilt. As with a repair, its identity is put aside before anything
//! else is touched and comes back as the last thing. A home without a log has no identity to put aside;
//! a controller that finds a log and no identity refuses to start.

use core::fmt;
use std::collections::BTreeMap;

use super::findings::{Choice, Source};
use crate::controller::{HomeIdentity, home_file, repair_file};
use crate::disk::{DiskOp, FileName};
use crate::ids::{ClusterId, ControllerEpoch, LineageId, LogIndex};
use crate::metalog::{self, CHECKPOINT_SLICE, Expected, LogPart, Recovered};
use crate::mirror::words::MirrorEnd;
use crate::node_machine;
use crate::state::{self, AcceptedLoss, ClusterState};
use crate::state_file;
use crate::wire::codec;

/// What is in the home.
#[derive(Clone, Debug)]
pub(super) struct OwnHome {
    identity: Option<HomeIdentity>,
    /// Whether a repair, or a rebuild, was begun and not finished.
    unfinished: bool,
    /// The files of the log that is there, newest first.
    files: Vec<FileName>,
    /// The last record that their names show to have been durable.
    named_last: LogIndex,
    /// How far the log goes; in words, if it cannot be used.
    pub(super) log: Result<Option<MirrorEnd>, String>,
}

impl OwnHome {
    pub(super) fn read<B: AsRef<[u8]>>(files: &BTreeMap<FileName, B>) -> Self {
        let read = |name: &FileName| node_machine::read::<HomeIdentity, B>(files, name);
        let (identity, unfinished) = match (read(&home_file()), read(&repair_file())) {
            (Ok(Some(identity)), _) => (Ok(Some(identity)), false),
            (Err(reason), _) => (Err(reason.message), false),
            (Ok(None), Ok(begun)) => {
                let unfinished = begun.is_some();
                (Ok(begun), unfinished)
            }
            (Ok(None), Err(reason)) => (Err(reason.message), true),
        };
        let mut names: Vec<FileName> = (files.keys())
            .filter(|name| metalog::belongs_to_log(name))
            .cloned()
            .collect();
        names.reverse();
        let log = match &identity {
            Err(fault) => Err(fault.clone()),
            Ok(None) if names.is_empty() => Ok(None),
            Ok(None) => Err(format!("there is a log, and no {}", home_file())),
            Ok(Some(identity)) => {
                let expected = Expected {
                    cluster: identity.cluster,
                    durable: identity.durable,
                };
                match metalog::recover(files, &expected) {
                    Ok(recovered) => {
                        match state::replay(recovered.checkpoint, &recovered.records) {
                            Ok(state) => Ok((recovered.lineage)
                                .map(|lineage| reaches(lineage, &recovered, &state))),
                            Err(malformed) => {
                                Err(format!("the metadata log cannot be replayed: {malformed}"))
                            }
                        }
                    }
                    Err(refusal) => Err(refusal.to_string()),
                }
            }
        };
        Self {
            identity: identity.ok().flatten(),
            unfinished,
            files: names,
            named_last: metalog::named_last(files),
            log,
        }
    }

    /// The cluster that the home belongs to, if it says so.
    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.identity.as_ref().map(|identity| identity.cluster)
    }

    /// Whether a controller would start from it.
    pub(super) fn is_usable(&self) -> bool {
        !self.unfinished && matches!(self.log, Ok(Some(_)))
    }

    /// Whether it was rebuilt, and no controller has started from it since.
    pub(super) fn is_rebuilt(&self) -> bool {
        let lineage =
            |identity: &HomeIdentity| identity.accepted.as_ref().map(|_| identity.lineage);
        match (self.identity.as_ref().and_then(lineage), &self.log) {
            (Some(begun), Ok(Some(end))) => !self.unfinished && begun != end.lineage,
            _ => false,
        }
    }

    /// The highest epoch that this home has given out, as far as it can be read.
    pub(super) fn epoch(&self) -> ControllerEpoch {
        match &self.log {
            Ok(Some(end)) => end.epoch,
            _ => ControllerEpoch(0),
        }
    }

    /// The highest index that anything in this home shows, as far as it can be read.
    pub(super) fn highest_index(&self) -> LogIndex {
        let said = (self.identity.as_ref())
            .and_then(|identity| identity.durable)
            .unwrap_or_default();
        let read = match &self.log {
            Ok(Some(end)) => end.index,
            _ => LogIndex(0),
        };
        said.max(read).max(self.named_last)
    }

    /// What makes the home one whose log is what was chosen: `files` from a node, or, if it was the
    /// home's own, the one that is there. With it, what an operator should know of the result.
    ///
    /// # Errors
    /// If the result could not be read back. Nothing was changed.
    pub(super) fn plan(
        &self,
        choice: &Choice,
        files: BTreeMap<FileName, Vec<u8>>,
        lineage: LineageId,
    ) -> Result<(Vec<DiskOp>, Vec<String>), String> {
        let mut told = Vec::new();
        if matches!(choice.source, Source::Node { .. }) {
            told.push(read_back(choice, &files)?);
        }
        let rename = |from: FileName, to: FileName| [DiskOp::Rename { from, to }, DiskOp::SyncDir];
        let mut ops = Vec::new();
        let identified = self.identity.is_some();
        if identified && !self.unfinished {
            ops.extend(rename(home_file(), repair_file()));
        }
        if matches!(choice.source, Source::Node { .. }) {
            for file in &self.files {
                let kept_as = metalog::lost(lineage, file);
                told.push(format!("{file} of the home is kept as {kept_as}"));
                ops.extend(rename(file.clone(), kept_as));
            }
            for (file, bytes) in files {
                ops.extend(write_whole(&file, bytes));
            }
            ops.push(DiskOp::SyncDir);
        } else if let Some(last) = self.files.iter().find(|file| is_segment(file)) {
            // What is read is not always what a loss of power would leave.
            let file = last.clone();
            ops.extend([DiskOp::Sync { file }, DiskOp::SyncDir]);
        }
        let identity = HomeIdentity {
            cluster: choice.cluster,
            lineage,
            durable: Some(choice.end),
            accepted: Some(AcceptedLoss {
                epochs: choice.epochs,
                left: choice.left.clone(),
            }),
            index_floor: choice.index_floor,
        };
        ops.extend(write_whole(
            &home_file(),
            state_file::frame(&codec::encode(&identity)),
        ));
        ops.push(DiskOp::SyncDir);
        if identified {
            ops.extend(rename(repair_file(), metalog::lost(lineage, &home_file())));
        }
        Ok((ops, told))
    }
}

impl fmt::Display for OwnHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unfinished {
            f.write_str("a repair or rebuild of it was begun and not finished; ")?;
        }
        match &self.log {
            Ok(None) => f.write_str("there is no log in it"),
            Ok(Some(end)) => write!(
                f,
                "its log ends with record {} of lineage {}",
                end.index, end.lineage
            ),
            Err(fault) => write!(f, "its log cannot be used: {fault}"),
        }
    }
}

/// How far the home's own log goes.
fn reaches(lineage: LineageId, recovered: &Recovered<'_>, state: &ClusterState) -> MirrorEnd {
    let mut end = MirrorEnd {
        lineage,
        index: recovered.end.last_index(),
        epoch: recovered.end.epoch(),
        instances: Vec::new(),
        starts: Vec::new(),
    };
    end.know_controllers(state);
    end
}

fn is_segment(file: &FileName) -> bool {
    matches!(LogPart::of(file), Some(LogPart::Segment(_)))
}

/// Reads a log as a controller would, and says what is in it.
fn read_back(choice: &Choice, files: &BTreeMap<FileName, Vec<u8>>) -> Result<String, String> {
    let unusable = |why: String| {
        format!("the copy cannot be used: {why}. Nothing was changed; try again, or another copy")
    };
    let expected = Expected {
        cluster: choice.cluster,
        durable: Some(choice.end),
    };
    let recovered =
        metalog::recover(files, &expected).map_err(|refusal| unusable(refusal.to_string()))?;
    let end = recovered.end.last_index();
    if end != choice.end {
        return Err(unusable(format!(
            "it ends with record {end} and should end with {}",
            choice.end
        )));
    }
    let state = state::replay(recovered.checkpoint, &recovered.records)
        .map_err(|malformed| unusable(malformed.to_string()))?;
    if state.cluster != Some(choice.cluster) {
        return Err(unusable("it is the log of another cluster".to_owned()));
    }
    let usage = state.namespace.usage_of(crate::dfs::ids::InodeId::ROOT);
    Ok(format!(
        "read back: {} members, {} files in {} directories, up to {}",
        state.registry.iter().count(),
        usage.files,
        usage.directories,
        super::up_to(LogIndex(end.0))
    ))
}

/// The operations that write a file whole, or leave what was there; the name is durable with the next
/// sync of the directory.
fn write_whole(file: &FileName, bytes: Vec<u8>) -> Vec<DiskOp> {
    let temporary = file.temporary();
    let mut ops = vec![DiskOp::CreateOrEmpty {
        file: temporary.clone(),
    }];
    let slices = bytes.chunks(CHECKPOINT_SLICE).enumerate();
    ops.extend(slices.map(|(number, slice)| DiskOp::Append {
        file: temporary.clone(),
        offset: (number * CHECKPOINT_SLICE) as u64,
        bytes: slice.to_vec(),
    }));
    ops.extend([
        DiskOp::Sync {
            file: temporary.clone(),
        },
        DiskOp::Rename {
            from: temporary,
            to: file.clone(),
        },
    ]);
    ops
}
