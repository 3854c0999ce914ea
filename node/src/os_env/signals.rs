//! Signals that end the process in good order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use tracing::error;
use vaquita_core::io::ExitCode;

use crate::driver::Terminator;

/// SIGHUP, SIGINT and SIGTERM by number, for the mask in `/proc/self/status`.
const WATCHED: [(u32, SignalKind); 3] = [
    (1, SignalKind::hangup()),
    (2, SignalKind::interrupt()),
    (15, SignalKind::terminate()),
];

/// What SIGHUP means.
#[derive(Clone, Debug, Default)]
pub enum Hangup {
    /// The terminal was closed: the process ends.
    #[default]
    Ends,
    /// The process has no terminal, and takes up its files.
    Calls(Arc<Notify>),
}

/// Calls `terminator` at each SIGTERM and SIGINT (Ctrl-C), and does what `hangup` says at SIGHUP.
///
/// Signals that whoever started this process wants ignored stay so: `nohup` does it for SIGHUP, a
/// shell for SIGINT when it starts something in the background. But SIGHUP is heard where it does not end
/// the process: `nohup` means that it should live on, and it does.
///
/// The first call ends the machine, the second one the driver. Whoever sends a third sees neither
/// happen, so it ends the process on the spot.
///
/// # Errors
/// If the kernel refuses.
pub fn watch_signals(terminator: &Terminator, hangup: &Hangup) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let received = Arc::new(AtomicU32::new(0));
    for (number, kind) in WATCHED {
        if stays_ignored(&status, number, hangup) {
            continue;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where signals are watched"
        )]
        let mut arrivals = signal(kind)?;
        if let (1, Hangup::Calls(calls)) = (number, hangup) {
            let calls = Arc::clone(calls);
            tokio::spawn(async move {
                while arrivals.recv().await.is_some() {
                    calls.notify_one();
                }
            });
            continue;
        }
        let terminator = terminator.clone();
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                terminator.terminate();
                if received.fetch_add(1, Ordering::Relaxed) >= 2 {
                    error!("ended by a third signal: this process hung");
                    std::process::exit(i32::from(ExitCode::Bug.number()));
                }
            }
        });
    }
    Ok(())
}

/// Whether a signal is left ignored, as whoever started this process has had it.
pub(super) fn stays_ignored(status: &str, signal: u32, hangup: &Hangup) -> bool {
    let ends = match hangup {
        Hangup::Ends => true,
        Hangup::Calls(_) => signal != 1,
    };
    ends && is_ignored(status, signal)
}

/// Whether a signal is among those that this process ignores.
pub(super) fn is_ignored(status: &str, signal: u32) -> bool {
    // Bit 0 stands for signal 1.
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .and_then(|mask| mask.checked_shr(signal.checked_sub(1)?))
        .is_some_and(|mask| mask & 1 == 1)
}
