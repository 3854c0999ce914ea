//! Processes that do not outlive their test.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A server process that a test started.
pub(crate) struct Server {
    pub(crate) pid: u32,
    child: Child,
    /// What it printed, on either stream.
    output: PathBuf,
}

/// How a server process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status, or the negative number of the signal.
    pub(crate) status: i32,
    pub(crate) printed: String,
}

/// How long an end is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
    /// Starts a process as `nohup … &` does: nothing on its standard input, the rest in a file.
    pub(crate) fn start(mut command: Command, output: PathBuf) -> Self {
        let file = File::create(&output).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            pid: child.id().unwrap(),
            child,
            output,
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let printed = fs::read_to_string(&self.output).unwrap();
        let status: ExitStatus = status
            .unwrap_or_else(|_| panic!("pid {} does not end; it printed {printed}", self.pid))
            .unwrap();
        Ended {
            status: status
                .code()
                .unwrap_or_else(|| -status.signal().unwrap_or_default()),
            printed,
        }
    }

    /// SIGTERM, and the end in good order that follows.
    pub(crate) async fn stop(self) {
        terminate(self.pid);
        let ended = self.ended().await;
        assert_eq!(ended.status, 0, "{ended:?}");
    }

    /// SIGKILL.
    pub(crate) async fn kill(self) {
        kill(self.pid);
        let ended = self.ended().await;
        assert_eq!(ended.status, -9, "{ended:?}");
    }
}

impl Ended {
    /// What a process said that ended with a status.
    #[track_caller]
    pub(crate) fn with(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.printed
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).unwrap();
    // It may be gone already.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Sends SIGKILL.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends SIGSTOP, or SIGCONT.
pub(crate) fn freeze(pid: u32, frozen: bool) {
    signal(pid, if frozen { Signal::STOP } else { Signal::CONT });
}

/// Sends SIGTERM.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Sends SIGHUP.
pub(crate) fn hang_up(pid: u32) {
    signal(pid, Signal::HUP);
}

/// Sends SIGINT, as Ctrl-C does.
pub(crate) fn interrupt(pid: u32) {
    signal(pid, Signal::INT);
}

/// Kills, when it is dropped, whatever runs in a directory or names it on its command line: data
/// nodes too, which are children of agents and outlive them.
pub(crate) struct Sweeper {
    directory: PathBuf,
}

impl Sweeper {
    pub(crate) fn of(directory: &Path) -> Self {
        // As /proc shows it.
        let directory = directory.canonicalize().unwrap();
        Self { directory }
    }

    /// The processes that belong to the directory.
    pub(crate) fn found(&self) -> Vec<u32> {
        let name = self.directory.to_str().unwrap();
        let own = std::process::id();
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let entry = entry.ok()?;
            entry.file_name().to_str()?.parse().ok()
        });
        pids.filter(|&pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let place = fs::read_link(format!("/proc/{pid}/cwd"));
            let named = String::from_utf8_lossy(&words).contains(name);
            let inside = place.is_ok_and(|place| place.starts_with(&self.directory));
            pid != own && !words.is_empty() && (named || inside)
        })
        .collect()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // An agent that is killed last may have started one more meanwhile, hence more than once;
        // a few rounds, lest a process that cannot be killed hang the test.
        for _ in 0..1000 {
            let found = self.found();
            if found.is_empty() {
                return;
            }
            found.into_iter().for_each(kill);
            std::thread::yield_now();
        }
    }
}
