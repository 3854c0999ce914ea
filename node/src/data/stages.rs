//! Bytes of chunks that wait in memory for their place on a volume.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use vaquita_core::dfs::ids::StageId;

use super::budget::Share;

/// What waits under the name of a stage.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) bytes: Bytes,
    /// The memory they take, given back once they are written.
    pub(crate) share: Option<Share>,
}

/// The bytes of all stages. Clones share them.
///
/// Only small chunks are here: the bytes of large ones are in their file already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stages(Arc<Mutex<BTreeMap<StageId, Staged>>>);

impl Stages {
    pub(crate) fn put(&self, stage: StageId, staged: Staged) {
        self.lock().insert(stage, staged);
    }

    pub(crate) fn take(&self, stage: StageId) -> Option<Staged> {
        self.lock().remove(&stage)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StageId, Staged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
