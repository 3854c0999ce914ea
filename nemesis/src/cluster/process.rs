//! Processes, found by what they are and told by handles on them, never by number alone.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A handle on a process that no other one can come to stand for.
#[derive(Debug)]
pub(crate) struct Handle {
    pid: u32,
    handle: OwnedFd,
}

impl Handle {
    /// A handle on a process of a server with this mode that names something in this directory on its command
    /// line; `None` if it is none, or not any more.
    fn open(pid: u32, mode: &str, directory: &Path) -> Option<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let handle = pidfd_open(raw, PidfdFlags::empty()).ok()?;
        // Looked at with the handle in hand: the id may have become another's before.
        is_one(pid, mode, directory).then_some(Self { pid, handle })
    }

    /// Sends a signal; one that has ended needs none.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(format!("pid {}: {errno}", self.pid)),
        }
    }
}

fn is_one(pid: u32, mode: &str, directory: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    let mut below = directory.as_os_str().as_bytes().to_owned();
    below.push(b'/');
    words.any(|word| word == b"-mode")
        && words.next() == Some(mode.as_bytes())
        && words.any(|word| word.starts_with(&below))
}

/// The processes of servers with this mode that name something in this directory.
pub(crate) fn running(mode: &str, directory: &Path) -> Vec<Handle> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let pids = pids.filter(|&pid| is_one(pid, mode, directory));
    pids.filter_map(|pid| Handle::open(pid, mode, directory))
        .collect()
}
