//! Memory that transfers may take, in all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use vaquita_core::admin::Refusal;

/// The unit in which memory is counted.
const UNIT: usize = 1024;

/// A bounded amount of memory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: u32,
    patience: Duration,
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _units: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(bytes: usize, patience: Duration) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let units = usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            total,
            patience,
        }
    }

    /// Takes `bytes`, or all there is if that is less, and waits a while for them.
    pub(crate) async fn take(&self, bytes: usize) -> Result<Share, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.total);
        let taking = Arc::clone(&self.units).acquire_many_owned(units);
        match timeout(self.patience, taking).await {
            Ok(Ok(units)) => Ok(Share { _units: units }),
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy {
                reason: format!(
                    "transfers have taken all of the {} MiB of memory they may have \
                     (`maxMemSize`)",
                    usize::try_from(self.total).unwrap_or(usize::MAX) / UNIT
                ),
                retry_after: Duration::from_secs(1),
            }),
        }
    }
}
