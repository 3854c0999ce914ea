//! Whether a process id still means the process it once did.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use vaquita_core::process::ProcessIdentity;

use crate::os_env::proc::{executable, stat};

/// What became of a process.
#[derive(Debug)]
pub(super) enum Found {
    /// It runs; here is a handle to it and to no other.
    Running(OwnedFd),
    /// It has certainly ended.
    Gone,
    /// The id, start time and boot match, and the rest does not or cannot be seen.
    Unproven(String),
}

/// Looks for a process.
///
/// The order matters. The handle is opened first; what `/proc` then says about the id is about the
/// process behind the handle as long as that has not ended, which is looked at last.
pub(super) fn find(identity: &ProcessIdentity, boot_id: &str) -> Found {
    if identity.boot_id != boot_id {
        return Found::Gone;
    }
    let pidfd = match open(identity.pid) {
        Ok(Some(pidfd)) => pidfd,
        Ok(None) => return Found::Gone,
        Err(error) => return Found::Unproven(format!("{identity} cannot be opened: {error}")),
    };
    let start_ticks = match stat(identity.pid) {
        Ok(Some(stat)) => stat.start_ticks,
        Ok(None) => return Found::Gone,
        Err(error) => return Found::Unproven(format!("{identity} cannot be inspected: {error}")),
    };
    if start_ticks != identity.start_ticks {
        return Found::Gone;
    }
    let runs = executable(identity.pid);
    match has_ended(&pidfd) {
        Ok(true) => return Found::Gone,
        Ok(false) => {}
        Err(error) => return Found::Unproven(format!("{identity} cannot be watched: {error}")),
    }
    match runs {
        Ok(id) if id == identity.executable => Found::Running(pidfd),
        Ok(_) => Found::Unproven(format!("{identity} runs another program now")),
        Err(error) => Found::Unproven(format!(
            "the program that {identity} runs cannot be seen: {error}"
        )),
    }
}

/// A handle to a process that exists.
pub(super) fn open(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process behind a handle has ended. A process that nobody has waited for yet has.
fn has_ended(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let at_once = Timespec::default();
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&at_once)))?;
    Ok(fds[0].revents().contains(PollFlags::IN))
}
