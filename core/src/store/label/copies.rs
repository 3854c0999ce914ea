//! The two copies of a label on the disk.
//!
//! Who opens a volume goes by the first copy, or by the second where the first says nothing, and makes
//! both good. One that rots while the volume is in use would be noticed by nobody until it is opened
//! again, and by then the other one may have rotten as well. So both are looked at from time to time, by
//! one who knows what they have to say.

use super::super::files;
use super::super::format::{Fault, label};
use super::super::scan::{ReadFault, VolumeRead};
use super::Label;
use crate::disk::FileName;

/// The longest label file that is read, in bytes.
pub const LABEL_BYTES_MAX: usize = label::LEN_MAX;

/// Which files hold a label: the first copy, and the second.
#[must_use]
pub fn label_files() -> [FileName; 2] {
    [files::label(), files::label_backup()]
}

/// One copy of a label, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelCopy {
    /// It is whole, and says this.
    Says(Label),
    /// There is no such file.
    Missing,
    /// It cannot be read, or its checksum is wrong; in words.
    Damaged(String),
    /// A later version of the program wrote it; its number.
    Newer(u16),
}

impl LabelCopy {
    /// What the bytes of a label file say, of which [`LABEL_BYTES_MAX`] are enough; `None` if there is
    /// no such file, and an error in words if it cannot be read.
    #[must_use]
    pub fn of(file: &FileName, bytes: Result<Option<&[u8]>, String>) -> Self {
        match bytes {
            Ok(None) => Self::Missing,
            Err(reason) => Self::Damaged(reason),
            Ok(Some(bytes)) => match label::decode(bytes) {
                Ok(label) => Self::Says(label),
                Err(Fault::Version(version)) => Self::Newer(version),
                Err(Fault::Damaged) => Self::Damaged(format!("the checksum of {file} is wrong")),
            },
        }
    }

    /// Why it says nothing, in words; `None` if it does, or a later version would know.
    pub(in crate::store) fn trouble(&self, file: &FileName) -> Option<String> {
        match self {
            Self::Says(_) | Self::Newer(_) => None,
            Self::Missing => Some(format!("{file} is not there")),
            Self::Damaged(reason) => Some(reason.clone()),
        }
    }
}

/// Reads both copies of a volume's label.
///
/// # Errors
/// If the directory cannot be read. A copy that cannot be read is no error.
pub fn read_copies(read: &impl VolumeRead) -> Result<[LabelCopy; 2], ReadFault> {
    Ok(copies_among(read, &read.list()?))
}

/// Reads both copies of the label of a volume that has files of these names.
pub(in crate::store) fn copies_among(read: &impl VolumeRead, names: &[String]) -> [LabelCopy; 2] {
    label_files().map(|file| {
        if !names.iter().any(|name| name == file.as_str()) {
            return LabelCopy::Missing;
        }
        let mut bytes = [0; LABEL_BYTES_MAX];
        let read = read.read_at(&file, 0, &mut bytes);
        let read = read.map(|len| Some(&bytes[..len.min(LABEL_BYTES_MAX)]));
        LabelCopy::of(&file, read.map_err(|fault| fault.to_string()))
    })
}

/// What is to be done about the copies of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: both are as they have to be.
    Whole,
    /// Write both again ([`label_batch`](super::label_batch)); why, in words.
    Heal(String),
    /// Somebody else has had a hand in them: leave them alone, and tell; what they are, in words.
    Changed(String),
}

/// Decides about the copies of a label, by what it has to say.
///
/// What a disk does to a label is mended: bytes that changed, also in both copies, a copy that is gone,
/// and one that a crash left behind the other. What no disk does is not: a good label that says something
/// else, or none at all in a directory that this process holds, is somebody's doing, and may be meant.
pub(crate) fn standing(label: &Label, copies: &[LabelCopy; 2]) -> Standing {
    let mut reasons = Vec::new();
    for (file, copy) in label_files().iter().zip(copies) {
        match copy {
            LabelCopy::Says(other) if other == label => {}
            LabelCopy::Says(other) if is_from_before(other, label) => {
                reasons.push(format!("{file} says whose it was before ({})", other.alias));
            }
            LabelCopy::Says(other) => {
                return Standing::Changed(format!(
                    "{file} says {}, and the volume is {}",
                    in_words(other),
                    in_words(label)
                ));
            }
            LabelCopy::Newer(version) => {
                return Standing::Changed(format!(
                    "{file} was written by a later version of the program (format {version})"
                ));
            }
            LabelCopy::Missing | LabelCopy::Damaged(_) => reasons.extend(copy.trouble(file)),
        }
    }
    let is_gone = |copy: &LabelCopy| *copy == LabelCopy::Missing;
    match reasons.is_empty() {
        true => Standing::Whole,
        false if copies.iter().all(is_gone) => {
            Standing::Changed("neither copy of it is there any more".to_owned())
        }
        false => Standing::Heal(reasons.join("; ")),
    }
}

/// Whether `other` is what `label` said before the volume was given to its present owner.
fn is_from_before(other: &Label, label: &Label) -> bool {
    let Label {
        cluster,
        volume,
        epoch,
        ..
    } = other;
    *cluster == label.cluster && *volume == label.volume && *epoch < label.epoch
}

fn in_words(label: &Label) -> String {
    let Label {
        cluster,
        volume,
        owner,
        alias,
        epoch,
    } = label;
    format!("{volume} of node {alias} ({owner}), log index {epoch}, in the cluster {cluster}")
}
