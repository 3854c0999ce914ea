//! An end before the end: Ctrl-C and SIGTERM.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants it to end, and what has to be broken off for that.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: AtomicBool,
    next: AtomicU64,
    /// Connections on which somebody may be waiting.
    connections: Mutex<Vec<(u64, TcpStream)>>,
}

/// A connection that is broken off by a stop, as long as this lives.
#[derive(Debug)]
pub struct Watched {
    shared: Arc<Shared>,
    number: u64,
}

impl Stop {
    /// One that SIGINT, SIGTERM and SIGHUP set.
    ///
    /// # Errors
    /// If the operating system gives no thread, or no signals.
    pub fn by_signals() -> Result<Self, String> {
        let stop = Self::default();
        let theirs = stop.clone();
        let failed = |error: std::io::Error| format!("signals cannot be watched: {error}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let mut signals = {
            let _inside = runtime.enter();
            [
                signal(SignalKind::interrupt()).map_err(failed)?,
                signal(SignalKind::terminate()).map_err(failed)?,
                signal(SignalKind::hangup()).map_err(failed)?,
            ]
        };
        let watch = move || {
            runtime.block_on(async {
                let [interrupt, terminate, hangup] = &mut signals;
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
            });
            theirs.stop();
        };
        let watcher = thread::Builder::new().name("signals".to_owned());
        watcher.spawn(watch).map_err(failed)?;
        Ok(stop)
    }

    /// Has everything end.
    pub fn stop(&self) {
        self.shared.wanted.store(true, Ordering::SeqCst);
        for (_, connection) in self.shared.connections().iter() {
            // One that is gone already needs no end.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Whether everything is to end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::SeqCst)
    }

    /// Sleeps, but not beyond the wish to end.
    pub fn sleep(&self, time: Duration) {
        let begun = Instant::now();
        while !self.is_wanted() {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    /// Has a connection broken off when everything is to end.
    ///
    /// # Errors
    /// If everything is to end already, or the process has no more descriptors.
    pub fn watch(&self, connection: &TcpStream) -> std::io::Result<Watched> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let other = connection.try_clone()?;
        self.shared.connections().push((number, other));
        let watched = Watched {
            shared: Arc::clone(&self.shared),
            number,
        };
        if self.is_wanted() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Ok(watched)
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<(u64, TcpStream)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut connections = self.shared.connections();
        connections.retain(|(number, _)| *number != self.number);
    }
}
