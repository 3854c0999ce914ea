//! The server processes of a cluster, found by their command lines and told by handles on them, never by
//! number alone.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(10);
/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server processes that name a path in one directory on their command lines.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The directory with a slash behind it.
    below: Vec<u8>,
}

/// A handle on one server that no other process can come to stand for.
#[derive(Debug)]
pub struct Server {
    pid: u32,
    handle: OwnedFd,
}

impl Servers {
    /// Those of a directory, which goes by its path without links, as with `vaquita local`.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn of(directory: &Path) -> Result<Self, String> {
        let directory = directory
            .canonicalize()
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut below = directory.as_os_str().as_bytes().to_owned();
        below.push(b'/');
        Ok(Self { below })
    }

    /// Their ids in rising order. One that has ended and waits for its parent to look is not running.
    fn running(&self) -> Result<Vec<u32>, String> {
        let entries = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut pids: Vec<u32> = pids.filter(|&pid| self.is_one(pid)).collect();
        pids.sort_unstable();
        Ok(pids)
    }

    fn is_one(&self, pid: u32) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word == b"-mode") && words.any(|word| word.starts_with(&self.below))
    }

    /// Their ids in rising order.
    ///
    /// # Errors
    /// If there is none: what is said of no process would pass for a figure.
    pub fn pids(&self) -> Result<Vec<u32>, String> {
        let pids = self.running()?;
        if pids.is_empty() {
            let below = String::from_utf8_lossy(&self.below);
            return Err(format!("no server process runs below {below}"));
        }
        Ok(pids)
    }

    /// Looks whether they are the same as before.
    ///
    /// # Errors
    /// If one has ended or begun: what it used is in no sum then.
    pub fn are_still(&self, before: &[u32]) -> Result<(), String> {
        let after = self.pids()?;
        if after == before {
            return Ok(());
        }
        Err(format!(
            "servers have ended or begun meanwhile: pid {before:?} before, pid {after:?} after"
        ))
    }

    /// A handle on the one with this id; `None` if it is not one of them, or not any more.
    ///
    /// # Errors
    /// If the operating system gives none.
    pub fn open(&self, pid: u32) -> Result<Option<Server>, String> {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let handle = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(format!("pid {pid}: {errno}")),
        };
        // Looked at with the handle in hand: the id may have become another's before.
        Ok(self.is_one(pid).then_some(Server { pid, handle }))
    }

    /// The id of the one with this mode.
    ///
    /// # Errors
    /// If there is not exactly one.
    pub fn of_mode(&self, mode: &str) -> Result<u32, String> {
        let mut found: Vec<u32> = self.running()?;
        found.retain(|&pid| arguments(pid).iter().any(|word| word == mode));
        match found.as_slice() {
            &[pid] => Ok(pid),
            _ => Err(format!("not one {mode} but pid {found:?}")),
        }
    }

    /// Kills one and starts the same program anew with the same arguments, as an operator does.
    ///
    /// # Errors
    /// If it is not one of these, or cannot be killed or started.
    pub fn kill_and_revive(&self, pid: u32) -> Result<Revived, String> {
        self.revive(pid, None, Duration::ZERO)
    }

    /// Kills one and then another one, which it would look after, and starts the first anew after a while.
    ///
    /// # Errors
    /// As [`Servers::kill_and_revive`].
    pub fn kill_with(&self, pid: u32, other: u32, after: Duration) -> Result<Revived, String> {
        self.revive(pid, Some(other), after)
    }

    fn revive(&self, pid: u32, other: Option<u32>, after: Duration) -> Result<Revived, String> {
        let failed = |error: std::io::Error| format!("pid {pid} cannot be revived: {error}");
        let server = self.open(pid)?;
        let server = server.ok_or_else(|| format!("pid {pid} is none of this cluster"))?;
        let words = arguments(pid);
        let program = fs::read_link(format!("/proc/{pid}/exe")).map_err(failed)?;
        let directory = fs::read_link(format!("/proc/{pid}/cwd")).map_err(failed)?;
        server.signal(Signal::KILL)?;
        server.ended();
        if let Some(other) = other
            && let Some(other) = self.open(other)?
        {
            other.signal(Signal::KILL)?;
            other.ended();
        }
        thread::sleep(after);
        let child = Command::new(program)
            .args(words.iter().skip(1))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        child.map(Revived).map_err(failed)
    }

    /// Kills all of them, again and again until none is left: an agent starts a node anew. Returns
    /// those that were killed.
    ///
    /// # Errors
    /// If some are left when `patience` is over.
    pub fn kill(&self, patience: Duration) -> Result<BTreeSet<u32>, String> {
        let begun = Instant::now();
        let mut killed = BTreeSet::new();
        loop {
            let left = self.running()?;
            if left.is_empty() {
                return Ok(killed);
            }
            if begun.elapsed() > patience {
                return Err(format!("cannot be killed: pid {left:?}"));
            }
            for pid in left {
                // What fails is looked at again, and told when the patience is over.
                if let Ok(Some(server)) = self.open(pid)
                    && server.signal(Signal::KILL).is_ok()
                {
                    killed.insert(pid);
                }
            }
            thread::sleep(PERIOD);
        }
    }
}

impl Server {
    /// Sends a signal; one that has ended needs none.
    ///
    /// # Errors
    /// If it may not be sent.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(format!("pid {}: {errno}", self.pid)),
        }
    }
}

fn arguments(pid: u32) -> Vec<OsString> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let words = line.split(|byte| *byte == 0);
    words.map(|word| OsStr::from_bytes(word).into()).collect()
}

impl Server {
    /// Waits until it has ended, its locks and its port included.
    fn ended(&self) {
        let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
        // An interruption is no end.
        while poll(&mut handle, None).is_err() {}
    }
}

/// A server that was started anew by this program, and is killed when this is dropped.
#[derive(Debug)]
pub struct Revived(Child);

impl Revived {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// If it has ended by itself, or does not end.
    pub fn end(mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("a revived server cannot be ended: {error}");
        if let Some(status) = self.0.try_wait().map_err(failed)? {
            return Err(format!("a revived server has ended by itself ({status})"));
        }
        // It was not waited for yet, so that its id is its own still.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|errno| failed(errno.into()))?;
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.0.try_wait().map_err(failed)?.is_some() {
                return Ok(());
            }
            thread::sleep(PERIOD);
        }
        Err("a revived server did not end and was killed".to_owned())
    }
}

impl Drop for Revived {
    fn drop(&mut self) {
        // Nothing to do where it has ended.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// A process that looks like a server with this home, and waits.
    fn server(home: &Path) -> Child {
        let mut command = Command::new("sh");
        command.arg0("vaquita").args(["-c", "read line", "-mode"]);
        command.arg("datanode").arg("-home").arg(home);
        command.stdin(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn servers_are_found_behind_a_link_and_killed_and_no_others() {
        let room = tempfile::tempdir().unwrap();
        let (real, link) = (room.path().join("real"), room.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let servers = Servers::of(&link).unwrap();
        assert!(servers.pids().unwrap_err().contains("no server process"));

        let real = real.canonicalize().unwrap();
        let (mut one, mut other) = (server(&real.join("data")), server(room.path()));
        while servers.pids() != Ok(vec![one.id()]) {
            thread::sleep(PERIOD);
        }
        assert!(servers.open(other.id()).unwrap().is_none());
        assert!(servers.are_still(&[one.id()]).is_ok());
        assert!(servers.are_still(&[one.id(), other.id()]).is_err());

        let killed = servers.kill(Duration::from_secs(10)).unwrap();
        assert_eq!(killed, BTreeSet::from([one.id()]));
        assert_eq!(one.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
