//! Whether a volume may be used: label or refuse.
//!
//! A directory that the node has used before and that has no label is a disk that is not mounted:
//! writing there would fill the disk below and leave the chunks behind when the mount comes back. A
//! directory with files of somebody else is left alone. Both are refused; only an empty directory
//! that the node never used becomes a new volume.
//!
//! The label is written first and remembered afterwards: a crash between the two leaves a labelled
//! volume, which is recognised, and never a remembered one without a label.
//!
//! A volume changes its owner by an order alone, which is a record of the controller's log. The record
//! is made first and the label written afterwards, with the record's index as the volume's *epoch*: a
//! crash between the two leaves a label that is behind the record, and whoever the record names writes
//! it. A label with a lower epoch than the record is a copy of the disk from before; it is used by
//! nobody, except at the directory that the order named, and there once.

mod copies;

use std::collections::BTreeMap;

pub(super) use copies::copies_among;
pub use copies::{LABEL_BYTES_MAX, LabelCopy, label_files, read_copies};
pub(crate) use copies::{Standing, standing};

use super::format::label;
use super::scan::LabelFound;
use super::{Label, VolumeTrouble, VolumeTroubleKind};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeId;
use crate::disk::{DiskBatch, DiskOp, Lane};
use crate::ids::{Alias, ClusterId, DiskTicket, LogIndex, NodeId};
use crate::message::VolumeOwner;

/// Who wants to use a volume, and what it remembers of it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The node.
    pub node: NodeId,
    /// Its cluster; `None` before it has registered for the first time.
    pub cluster: Option<ClusterId>,
    /// The volume's directory.
    pub path: &'a str,
    /// The volume that was there when the node last used the directory.
    pub remembered: Option<VolumeId>,
    /// The node's name.
    pub alias: &'a Alias,
    /// The highest epoch of a volume that the node used in the directory.
    pub epoch: LogIndex,
    /// Which volumes were given to which nodes by order, as far as the node was told.
    pub owners: &'a BTreeMap<VolumeId, VolumeOwner>,
}

/// What is to be done with a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Use {
        /// What the label says.
        label: Label,
        /// Why a copy of it has to be written again ([`label_batch`]); `None` if it is good.
        heal: Option<String>,
        /// Another volume of this node was there before.
        instead_of: Option<VolumeId>,
    },
    /// It was given to this node by order, and its label does not say so yet: write this one
    /// ([`label_batch`]), and use it.
    Adopt {
        /// What the label is to say.
        label: Label,
        /// Whose it was, by what it says now.
        from: Alias,
    },
    /// It is new: write a label ([`label_batch`]), remember it, and use it.
    Label,
    /// It is new, and the node does not know its cluster yet: ask again when it does.
    Wait,
    /// Do not touch it.
    Refuse {
        /// How it is to be shown.
        state: VolumeState,
        /// What is wrong, and the cure.
        reason: String,
    },
}

/// Decides about a volume by its label.
#[must_use]
pub fn judge(claim: &Claim<'_>, found: &LabelFound) -> Verdict {
    match found {
        LabelFound::Here(label) => judge_label(claim, label, None),
        LabelFound::OneCopy { label, reason } => judge_label(claim, label, Some(reason.clone())),
        LabelFound::Damaged { reason } => Verdict::Refuse {
            state: VolumeState::Failed,
            reason: format!(
                "both copies of the label of volume {} are damaged ({reason}); what is on it was \
                 left as it is. Check the disk; restore vaquita.vol from a copy, or empty the \
                 directory, and the node fills it again from other replicas",
                claim.path
            ),
        },
        LabelFound::None { others } => judge_unlabelled(claim, others),
    }
}

fn judge_label(claim: &Claim<'_>, label: &Label, heal: Option<String>) -> Verdict {
    let path = claim.path;
    let foreign = |reason| Verdict::Refuse {
        state: VolumeState::Foreign,
        reason,
    };
    if let Some(cluster) = claim.cluster
        && cluster != label.cluster
    {
        return foreign(format!(
            "volume {path} belongs to another cluster, {}; this one is {cluster}. Nothing on it was \
             changed. Mount the right disk, or name an empty directory in `volumes`",
            label.cluster
        ));
    }
    // A list from before says nothing of a label that was written since.
    let owner = claim.owners.get(&label.volume);
    match owner.filter(|owner| owner.epoch >= label.epoch) {
        Some(owner) if owner.node != claim.node => {
            return foreign(format!(
                "volume {path} is a copy of volume {}, which was given to node {} by order (log index \
                 {}): it counts there alone. Nothing on it was changed. Take this disk away, or empty \
                 it; if this is the disk that is to count, `vaquita volume adopt {} {path}`",
                label.volume, owner.alias, owner.epoch, claim.alias
            ));
        }
        Some(owner) if owner.epoch > label.epoch => {
            if owner.path == path && claim.epoch < owner.epoch {
                return Verdict::Adopt {
                    label: Label {
                        owner: claim.node,
                        alias: claim.alias.clone(),
                        epoch: owner.epoch,
                        ..label.clone()
                    },
                    from: label.alias.clone(),
                };
            }
            return foreign(format!(
                "volume {path} is an older copy of volume {}, which was given to this node at {} (log \
                 index {}). Nothing on it was changed. Mount the disk that was given, or name an empty \
                 directory in `volumes`; if this is the disk that is to count, `vaquita volume adopt \
                 {} {path}`",
                label.volume, owner.path, owner.epoch, claim.alias
            ));
        }
        _ => {}
    }
    if label.owner != claim.node {
        return foreign(format!(
            "volume {path} belongs to node {} ({}), and this is node {}. Nothing on it was changed. \
             Start that node on it, mount the right disk, or name an empty directory in `volumes`; if \
             the disk is to stay here, `vaquita volume adopt {} {path}` makes it this node's, with \
             all that is on it",
            label.alias, label.owner, claim.node, claim.alias
        ));
    }
    Verdict::Use {
        label: label.clone(),
        heal,
        instead_of: claim.remembered.filter(|before| *before != label.volume),
    }
}

fn judge_unlabelled(claim: &Claim<'_>, others: &[String]) -> Verdict {
    let path = claim.path;
    if let Some(volume) = claim.remembered {
        return Verdict::Refuse {
            state: VolumeState::Missing,
            reason: format!(
                "volume {path} has no label, and was volume {volume} before: its disk is not \
                 mounted. Mount it, and `vaquita volume rescan {alias}` has the node go on; nothing \
                 was written to the directory. If the disk is lost, name another directory in \
                 `volumes`, or have a new disk there used: `vaquita volume forget {alias} {path}`",
                alias = claim.alias
            ),
        };
    }
    if !others.is_empty() {
        let first: Vec<&str> = others.iter().take(3).map(String::as_str).collect();
        let more = if others.len() > 3 { ", …" } else { "" };
        return Verdict::Refuse {
            state: VolumeState::Foreign,
            reason: format!(
                "volume {path} has no label and is not empty ({}{more}): a new volume takes an \
                 empty directory. Nothing in it was changed. Name an empty directory in `volumes`, \
                 or move these files away",
                first.join(", ")
            ),
        };
    }
    match claim.cluster {
        Some(_) => Verdict::Label,
        None => Verdict::Wait,
    }
}

/// How a volume is shown that could not be opened at all.
#[must_use]
pub const fn state_of(trouble: &VolumeTrouble) -> VolumeState {
    match trouble.kind {
        VolumeTroubleKind::Missing => VolumeState::Missing,
        VolumeTroubleKind::InUse => VolumeState::Foreign,
        VolumeTroubleKind::Failed | VolumeTroubleKind::Hung => VolumeState::Failed,
    }
}

/// Writes both copies of a label, one after the other, so that a crash leaves a whole one of the
/// two, or none of a volume that was never used. Also heals a damaged one.
#[must_use]
pub fn label_batch(ticket: DiskTicket, label: &Label) -> DiskBatch {
    let bytes = label::encode(label);
    let ops: Vec<DiskOp> = label_files()
        .iter()
        .flat_map(|file| DiskBatch::replace_file(ticket, file, bytes.clone()).ops)
        .collect();
    DiskBatch {
        ticket,
        lane: Lane::Foreground,
        ops,
    }
}
