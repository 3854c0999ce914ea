//! Threads that read and write one directory beside its lanes.
//!
//! They are the directory's own, so that a disk that hangs holds these and nobody else's.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::os_env::threads::spawn;

/// Threads of one directory at most; who uses it asks for no more at a time.
const THREADS_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of a directory, started when there is work for one more. They end with the pool.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    jobs: Mutex<Receiver<Job>>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    threads: usize,
    /// Jobs that wait or run.
    unfinished: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        let (jobs, receiver) = channel();
        let shared = Arc::new(Shared {
            jobs: Mutex::new(receiver),
            counts: Mutex::default(),
        });
        Self { jobs, shared }
    }

    /// Runs `work` on a thread of the pool.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, outcome) = oneshot::channel();
        self.submit(Box::new(move || {
            // Whoever waited may be gone; the work is done all the same.
            let _ = done.send(work());
        }))?;
        outcome
            .await
            .map_err(|_| io::Error::other("what read the disk ended by a bug in this program"))
    }

    fn submit(&self, job: Job) -> io::Result<()> {
        let mut counts = self.shared.counts();
        if counts.threads <= counts.unfinished && counts.threads < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            match spawn("vaquita-disk-io", move || shared.work()) {
                Ok(()) => counts.threads += 1,
                // Those that run will come to it.
                Err(_) if counts.threads > 0 => {}
                Err(error) => return Err(error),
            }
        }
        counts.unfinished += 1;
        drop(counts);
        self.jobs
            .send(job)
            .map_err(|_| io::Error::other("the threads of the disk are gone"))
    }
}

impl Shared {
    /// The life of a thread.
    fn work(&self) {
        loop {
            let next = self
                .jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(job) = next else { return };
            // Whoever waits for it sees its way back dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
            self.counts().unfinished -= 1;
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
