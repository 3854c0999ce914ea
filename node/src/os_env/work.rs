//! Bounded pools for computations.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::error;

use super::threads::blocking;
use crate::env::Effort;

/// How many computations of one effort run and wait.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// One permit for each that runs or waits.
    admission: Arc<Semaphore>,
    /// One permit for each that runs.
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(effort: Effort) -> Self {
        Self {
            admission: Arc::new(Semaphore::new(effort.at_a_time() + effort.waiting())),
            turns: Arc::new(Semaphore::new(effort.at_a_time())),
        }
    }

    /// Runs `work` in its turn; `None` if too much is waiting, or if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let admission = Arc::clone(&self.admission).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let done = blocking(move || {
            // The permits live as long as the work, which nobody can stop once it has begun.
            let _permits = (admission, turn);
            work()
        });
        match done.await {
            Ok(result) => Some(result),
            Err(panic) => {
                error!("a computation ended by a bug in this program: {panic}");
                None
            }
        }
    }
}
