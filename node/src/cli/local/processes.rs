//! The processes of a local cluster, found and ended by what they are and never by number alone.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use vaquita_config::Mode;

use crate::cli::server_flags::ServerFlags;

/// A process of the cluster that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) mode: Mode,
    pub(super) home: PathBuf,
}

/// Every process id of this machine.
pub(super) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process in words: `pid 4711 (nginx)`.
pub(super) fn describe(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("pid {pid}"),
        name => format!("pid {pid} ({})", crate::cli::terminal::harmless(name)),
    }
}

/// The server processes whose home lies under `directory`, whoever started them, in the order to
/// stop them in by signals: agents, data nodes, controller. An agent that saw its node end on a
/// signal would take that for the operator's wish, and not start it again.
pub(super) fn running_under(directory: &Path) -> Vec<Running> {
    let mut running: Vec<Running> = pids().filter_map(|pid| role_of(pid, directory)).collect();
    running.sort_by_key(|it| {
        let rank = match it.mode {
            Mode::Controller => 2,
            Mode::Agent => 0,
            _ => 1,
        };
        (rank, it.pid)
    });
    running
}

/// What every server process has on its command line.
const MODE: &[u8] = b"-mode";

/// What a process is, if it is a server process with its home under `directory`.
fn role_of(pid: u32, directory: &Path) -> Option<Running> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    // Most processes of a machine are something else, and their flags are not worth reading.
    if !line
        .windows(MODE.len())
        .any(|it| it.eq_ignore_ascii_case(MODE))
    {
        return None;
    }
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // Behind the program, and behind the interpreter if the program is a script.
    let flags = words.iter().position(|word| word.starts_with('-'))?;
    let arguments = &words[flags..];
    // The last argument ends with a NUL as well.
    let arguments = arguments
        .strip_suffix(&[String::new()])
        .unwrap_or(arguments);
    let flags = ServerFlags::parse(arguments).ok()?;
    let (mode, home) = (flags.mode?, flags.home?);
    // One that has ended and waits for its parent to look is not running.
    (home.starts_with(directory) && !is_zombie(pid)).then_some(Running { pid, mode, home })
}

fn is_zombie(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    // The name is in parentheses and may hold any character, parentheses too.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// A handle on one process that no other process can come to stand for.
#[derive(Debug)]
pub(super) struct Handle {
    pid: u32,
    fd: AsyncFd<OwnedFd>,
}

impl Handle {
    /// The process with this id; `None` if there is none any more.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; the descriptor is owned here and never replaced, which \
                  is all that it asks for"
    )]
    pub(super) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match pidfd_open(raw, PidfdFlags::NONBLOCK) {
            Ok(fd) => Ok(Some(Self {
                pid,
                fd: AsyncFd::new(fd)?,
            })),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; one that has ended needs none.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        // An error would mean that the descriptor is bad, which it cannot become.
        let _ = self.fd.readable().await;
    }

    /// Asks it to end.
    pub(super) fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Asks it to end and waits; after `patience` it is killed. Says which of the two it was.
    pub(super) async fn stop(&self, patience: Duration) -> io::Result<Stopped> {
        self.ask_to_end()?;
        if timeout(patience, self.ended()).await.is_ok() {
            return Ok(Stopped::ByItself);
        }
        self.signal(Signal::KILL)?;
        self.ended().await;
        Ok(Stopped::Killed)
    }

    /// Ends it at once.
    pub(super) async fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        self.ended().await;
        Ok(())
    }
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It finished what it was at.
    ByItself,
    /// It had to be killed.
    Killed,
}
