//! Bugs that tests plant, to see that the tests for them can fail.

/// Which protections are left out. None, except where a test proves that another test needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// The metadata log commits without `Sync`.
    pub skip_sync: bool,
    /// The metadata log creates and renames without `SyncDir`.
    pub skip_dir_sync: bool,
    /// The metadata log reports records as durable when they are written, and syncs them later.
    pub ack_before_sync: bool,
    /// The metadata log removes what a checkpoint replaces before the checkpoint has its name.
    pub remove_checkpoint_early: bool,
}
