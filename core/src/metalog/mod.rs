//! The controller's metadata log.

/// Which files a checkpoint is to be built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPlan {
    /// The newest complete checkpoint, if there is one.
    pub base: Option<crate::disk::FileName>,
    /// The sealed segments behind it, oldest first.
    pub segments: Vec<crate::disk::FileName>,
    /// The last index the checkpoint covers.
    pub upto: crate::ids::LogIndex,
}
