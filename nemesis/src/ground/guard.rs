//! Who puts right what a nemesis that was killed has left: a process that does nothing before.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io::{BufRead as _, BufReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::alone::MARK;
use super::mounts::{Mount, Mounts};
use super::tools::run;
use crate::cluster::process;

/// What [`MARK`] says to a guard.
const GUARD: &str = "guard";
/// Names the directory whose servers a guard kills; those of a namespace are killed with it.
const ROOM: &str = "VAQUITA_NEMESIS_GUARD_ROOM";
/// What a guard says when it has looked around.
const READY: &str = "the guard is ready";
/// What the list of processes calls a guard.
const NAME: &CStr = c"chaos-guard";
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(20);
/// How long a guard goes on.
const PATIENCE: Duration = Duration::from_secs(60);

/// File systems on loop devices that have been mounted since, below a directory.
#[derive(Debug)]
pub(super) struct Frozen {
    mounts: Mounts,
    before: BTreeSet<PathBuf>,
    below: PathBuf,
}

impl Frozen {
    pub(super) fn from_now_on(below: &Path) -> Result<Self, String> {
        let mut mounts = Mounts::open()?;
        let before = mounts.read()?.into_iter().map(|it| it.at).collect();
        let below = below.to_owned();
        Ok(Self {
            mounts,
            before,
            below,
        })
    }

    /// Thaws them all.
    pub(super) fn thaw(&mut self) {
        let mounts = self.mounts.read().unwrap_or_default();
        let is_ours = |it: &Mount| it.kind == "ext4" && it.source.starts_with("/dev/loop");
        let is_new = |it: &Mount| it.at.starts_with(&self.below) && !self.before.contains(&it.at);
        let ours = mounts.iter().filter(|it| is_ours(it) && is_new(it));
        for path in ours.filter_map(|it| it.at.to_str()) {
            // Most are not frozen, which is a failure too.
            let _ = run("fsfreeze", &["--unfreeze", path]);
        }
    }
}

/// A guard, by the one who has started it.
#[derive(Debug)]
pub struct Guard {
    process: Child,
    /// Until its last copy is closed, the guard waits. Not here any more when somebody else has one.
    bell: Option<PipeWriter>,
}

impl Guard {
    /// Starts one, and waits until it has looked around. When this process has ended, it kills the servers that have
    /// something in `room`, and thaws what was mounted meanwhile.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(room: Option<&Path>) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the guard: {error}");
        let (hears, bell) = std::io::pipe().map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .args(std::env::args_os().skip(1))
            .env(MARK, GUARD)
            .env_remove(ROOM)
            .stdin(hears)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // It is not ended by what ends the others.
            .process_group(0);
        if let Some(room) = room {
            command.env(ROOM, room);
        }
        let mut process = command.spawn().map_err(failed)?;
        let says = process.stdout.take().ok_or("the guard says nothing")?;
        let mut lines = BufReader::new(says).lines();
        if lines.any(|line| line.is_ok_and(|line| line == READY)) {
            let bell = Some(bell);
            return Ok(Self { process, bell });
        }
        drop(bell);
        let ended = process.wait().map_err(failed)?;
        Err(format!("the guard has ended, {ended}"))
    }

    /// A copy of the bell, for somebody else to hold.
    pub(super) fn bell(&self) -> Result<OwnedFd, String> {
        let bell = self.bell.as_ref().ok_or("the guard's bell is not here")?;
        let copy = bell.try_clone();
        Ok(copy.map_err(|error| format!("the guard: {error}"))?.into())
    }

    /// Leaves it to this process, which has a copy of the bell, to have it act by its end. It goes on until all of the
    /// namespace of that process has ended: who waits there for a frozen disk keeps it from being over, so that this
    /// process cannot wait for that first.
    pub(super) fn watch(&mut self, pid: Pid) -> Result<(), String> {
        let mut bell = self.bell.take().ok_or("the guard's bell is not here")?;
        let told = writeln!(bell, "{}", pid.as_raw_nonzero());
        told.map_err(|error| format!("the guard: {error}"))
    }

    /// Has it act, if that is not left to another process, and waits until it has.
    pub fn ended(mut self) {
        drop(self.bell);
        // Whether it was there to the end: it has said what it could.
        let _ = self.process.wait();
    }
}

/// Whether this process is a guard.
pub(super) fn is_wanted() -> bool {
    std::env::var_os(MARK).is_some_and(|it| it == GUARD)
}

/// Waits until nobody is left who could ring, and puts right what is left.
pub(super) fn stand() {
    let room = std::env::var_os(ROOM).map(PathBuf::from);
    // Whoever ends programs by the name of this one does not mean the one that cleans up behind them.
    let _ = rustix::thread::set_name(NAME);
    // Where mounts are the machine's too, only those of the room are this one's.
    let below = room.as_deref().unwrap_or(Path::new("/"));
    // Before it is said that this is ready: where `/proc` is another's, this process is not in it any more.
    let Ok(mut frozen) = Frozen::from_now_on(below) else {
        return;
    };
    if writeln!(std::io::stdout(), "\n{READY}").is_err() {
        return;
    }
    let mut bell = BufReader::new(std::io::stdin());
    let mut line = String::new();
    // Nobody's, or nothing, if it has ended before it was told of.
    let _ = bell.read_line(&mut line);
    let pid = line.trim().parse().ok().and_then(Pid::from_raw);
    let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let _ = bell.read_to_end(&mut Vec::new());
    let begun = Instant::now();
    loop {
        // Who waits for a frozen disk cannot be killed.
        frozen.thaw();
        let left = room.as_deref().map_or(0, kill_servers);
        let is_over = left == 0 && process.as_ref().is_none_or(has_ended);
        if is_over || begun.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(PERIOD);
    }
    // The last one may have frozen something still.
    frozen.thaw();
}

fn has_ended(process: &OwnedFd) -> bool {
    const NOW: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut ready = [PollFd::new(process, PollFlags::IN)];
    poll(&mut ready, Some(&NOW)).is_ok_and(|count| count > 0)
}

/// Kills the servers that have something in a directory; returns how many there were.
fn kill_servers(room: &Path) -> usize {
    let modes = ["agent", "controller", "datanode"].into_iter();
    let servers: Vec<_> = modes
        .flat_map(|mode| process::running(mode, room))
        .collect();
    for server in &servers {
        // One that has ended needs none.
        let _ = server.signal(Signal::KILL);
    }
    servers.len()
}
