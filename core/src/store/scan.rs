//! What is on a volume, read from its bytes.

use super::Label;

/// What a driver finds when it opens a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What the label says, or why it says nothing.
    pub label: LabelFound,
    /// Bytes of the file system in all.
    pub capacity: u64,
    /// Bytes free there for this user.
    pub free: u64,
}

/// A volume's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFound {
    /// It is there.
    Here(Label),
    /// There is none.
    None {
        /// What else lies in the directory, by name; a volume that was never used has nothing.
        others: Vec<String>,
    },
    /// It is there and cannot be read.
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
}
