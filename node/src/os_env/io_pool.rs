//! The threads that read from disks: as many as `localExecutors` says.
//!
//! They are there from the start, named, so that `ls /proc/PID/task` shows what the setting came to.
//! The lanes of a machine's directory have threads of their own beside them: a commit waits for
//! nobody's reading.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::threads::spawn;

/// Name of these threads for the kernel.
const NAME: &str = "vaquita-io";
/// Pieces of work that may wait; whoever brings one more waits before the queue.
const WAITING: usize = 256;

type Work = Box<dyn FnOnce() + Send>;

/// A handle on the threads; they end with the last one.
#[derive(Clone, Debug)]
pub(super) struct IoPool {
    queue: mpsc::Sender<Work>,
}

impl IoPool {
    /// Starts the threads, one at least.
    pub(super) fn start(workers: usize) -> io::Result<Self> {
        let (queue, work) = mpsc::channel(WAITING);
        let work = Arc::new(Mutex::new(work));
        for _ in 0..workers.max(1) {
            let work = Arc::clone(&work);
            spawn(NAME, move || serve(&work))?;
        }
        Ok(Self { queue })
    }

    /// Does something that may wait for a disk, in its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, outcome) = oneshot::channel();
        let work = Box::new(move || {
            // Whoever waited may be gone.
            let _ = done.send(work());
        });
        let lost = || io::Error::other("the work ended by a bug in this program");
        self.queue.send(work).await.map_err(|_| lost())?;
        outcome.await.map_err(|_| lost())
    }
}

/// The life of a thread.
fn serve(queue: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        // The lock is held while waiting for work, which is no loss: one thread gets it in any case.
        let next = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(work) = next else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            error!("work on a disk ended by a bug in this program");
        }
    }
}
