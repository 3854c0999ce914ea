//! Whether a volume may be used: label or refuse.
//!
//! A directory that the node has used before and that has no label is a disk that is not mounted:
//! writing there would fill the disk below and leave the chunks behind when the mount comes back. A
//! directory with files of somebody else is left alone. Both are refused; only an empty directory
//! that the node never used becomes a new volume.
//!
//! The label is written first and remembered afterwards: a crash between the two leaves a labelled
//! volume, which is recognised, and never a remembered one without a label.

use super::files;
use super::format::label;
use super::scan::LabelFound;
use super::{Label, VolumeTrouble, VolumeTroubleKind};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeId;
use crate::disk::{DiskBatch, DiskOp, Lane};
use crate::ids::{ClusterId, DiskTicket, NodeId};

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
}

/// What is to be done with a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Use {
        /// What the label says.
        label: Label,
        /// Why its first copy has to be written again ([`label_batch`]); `None` if it is good.
        heal: Option<String>,
        /// Another volume of this node was there before.
        instead_of: Option<VolumeId>,
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
        LabelFound::Backup { label, reason } => judge_label(claim, label, Some(reason.clone())),
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
    if label.owner != claim.node {
        return foreign(format!(
            "volume {path} belongs to node {} ({}), and this is node {}. Nothing on it was changed. \
             Start that node on it, mount the right disk, or name an empty directory in `volumes`",
            label.alias, label.owner, claim.node
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
                 mounted. Mount it, and the node goes on; nothing was written to the directory. If \
                 the disk is lost, name another directory in `volumes`"
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
    let copies = [files::label(), files::label_backup()];
    let ops: Vec<DiskOp> = copies
        .iter()
        .flat_map(|file| DiskBatch::replace_file(ticket, file, bytes.clone()).ops)
        .collect();
    DiskBatch {
        ticket,
        lane: Lane::Foreground,
        ops,
    }
}
