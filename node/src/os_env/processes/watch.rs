//! How a process ended.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::error;
use vaquita_core::process::ProcessExit;

/// Waits until the process behind a handle has ended.
///
/// How it ended is told to its parent alone; for a process that an earlier agent started, it is
/// [`ProcessExit::Unknown`].
pub(super) async fn exit(pidfd: OwnedFd) -> ProcessExit {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types whose descriptor may change; an OwnedFd's \
                  does not"
    )]
    let registered = AsyncFd::with_interest(pidfd, Interest::READABLE);
    let pidfd = match registered {
        Ok(pidfd) => pidfd,
        Err(failure) => {
            // Without the kernel's word no end may be reported.
            error!("cannot watch a process: {failure}; its end will not be noticed");
            return std::future::pending().await;
        }
    };
    // A handle stays readable once its process has ended.
    if let Err(failure) = pidfd.readable().await {
        error!("cannot watch a process: {failure}; its end will not be noticed");
        return std::future::pending().await;
    }
    status(pidfd.get_ref())
}

/// Takes the status of a child that has ended, so that nothing is left of it.
fn status(pidfd: &OwnedFd) -> ProcessExit {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let waited = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options));
    let Ok(Some(status)) = waited else {
        return ProcessExit::Unknown;
    };
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ProcessExit::Code(code),
        (None, Some(signal)) => ProcessExit::Signal(signal),
        (None, None) => ProcessExit::Unknown,
    }
}
