//! A process with a network, mounts and processes of its own, so that nothing that is done there is seen by the
//! machine, and all of it is gone with the process, however that ends.
//!
//! The program is started once more for each part:
//!
//! ```text
//! the one that was called: has the namespaces of mounts and network, and waits
//!  ├─ guard: thaws what is frozen when the next one has ended
//!  └─ init: the first one of the namespace of processes; when it ends, the kernel kills all others
//!      └─ the nemesis, and all that it starts
//! ```
//!
//! Whichever of them is killed, init ends: with the one that was called, since it asks the kernel for it, and
//! with the nemesis, for which it waits. Mounts, loop devices and interfaces are gone with the last process that
//! has these namespaces. What is frozen would not be: the guard, which is in none of init's namespace, sees to it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal, wait,
};

use super::guard::{self, Frozen, Guard};
use super::signals::on_signals;
use super::tools::run;

/// Says what a process was started for, and which namespaces it must not have: `ROLE MOUNTS NETWORK`. A variable
/// that was left over from elsewhere is not believed.
pub(super) const MARK: &str = "VAQUITA_NEMESIS_ALONE";

/// What a process was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To wait for init.
    Waits,
    /// To be the first of its namespace of processes.
    Init,
    /// To do the work, with processes of its own.
    Alone,
    /// To do the work among the machine's processes, where mounts and networks alone can be had.
    Among,
}

impl Role {
    const ALL: [Self; 4] = [Self::Waits, Self::Init, Self::Alone, Self::Among];

    const fn name(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Init => "init",
            Self::Alone => "alone",
            Self::Among => "among",
        }
    }
}

/// The namespaces of mounts and network of this process.
fn namespaces() -> Option<[String; 2]> {
    let of = |kind| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        Some(link.to_str()?.to_owned())
    };
    Some([of("mnt")?, of("net")?])
}

/// What a mark says to a process with these namespaces.
fn role_of(mark: &str, own: &[String; 2]) -> Option<Role> {
    let mut words = mark.split(' ');
    let name = words.next()?;
    let role = Role::ALL.into_iter().find(|it| it.name() == name)?;
    let [mounts, network] = own;
    (words.next()? != mounts && words.next()? != network).then_some(role)
}

fn role() -> Option<Role> {
    role_of(std::env::var(MARK).ok()?.as_str(), &namespaces()?)
}

/// The mark of this process, for another role.
fn mark_for(role: Role) -> Option<String> {
    let mark = std::env::var(MARK).ok()?;
    let (_, others) = mark.split_once(' ')?;
    Some(format!("{} {others}", role.name()))
}

/// Whether this process has a network and mounts of its own.
#[must_use]
pub fn is_alone() -> bool {
    matches!(role(), Some(Role::Alone | Role::Among))
}

/// Whether the processes that this one starts are its own, so that they end with it.
#[must_use]
pub fn has_own_processes() -> bool {
    role() == Some(Role::Alone)
}

/// How namespaces are had: as the administrator, whose mounts may be of loop devices, or as anybody.
const WAYS: [&[&str]; 2] = [
    &["--mount", "--net", "--propagation", "private"],
    &["--user", "--map-root-user", "--mount", "--net"],
];
/// How a namespace of processes is tried out; it is not to be had where `/proc` is veiled.
const PROCESSES: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];

/// The command that starts this program once more, with these words, a network, mounts and processes of its own. The
/// program has to call [`attend`] at its begin.
///
/// # Errors
/// Why the machine gives no namespaces.
pub fn again<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Command, String> {
    let own = own_path()?;
    let [mounts, network] = namespaces().ok_or("the kernel tells of no namespaces")?;
    let mut complaint = String::new();
    for way in WAYS {
        for (role, more) in [(Role::Waits, PROCESSES), (Role::Among, &[])] {
            let tried = Command::new("unshare")
                .args(way)
                .args(more)
                .args(["ip", "link", "set", "lo", "up"])
                .stdin(Stdio::null())
                .output();
            match tried {
                Ok(ran) if ran.status.success() => {
                    let mut command = Command::new("unshare");
                    let mark = format!("{} {mounts} {network}", role.name());
                    command.args(way).arg(own).args(words).env(MARK, mark);
                    return Ok(command);
                }
                Ok(ran) => complaint = String::from_utf8_lossy(&ran.stderr).trim().to_owned(),
                Err(error) => complaint = error.to_string(),
            }
        }
    }
    Err(format!("unshare: {complaint}"))
}

/// Does what this process was started for by [`again`], and ends it, if that is not the work itself.
pub fn attend() {
    if guard::is_wanted() {
        guard::stand();
        std::process::exit(0);
    }
    let done = match role() {
        Some(Role::Waits) => wait_for_init(),
        Some(Role::Init) => be_init(),
        Some(Role::Alone | Role::Among) | None => return,
    };
    let status = done.unwrap_or_else(|why| {
        use std::io::Write as _;
        // Where nobody reads it the status is what there is.
        let _ = writeln!(std::io::stderr(), "error: {why}");
        1
    });
    std::process::exit(status);
}

fn own_path() -> Result<std::path::PathBuf, String> {
    std::env::current_exe()
        .map_err(|error| format!("the path of this program is not known: {error}"))
}

/// This program with its words, in another role.
fn in_role(role: Role) -> Result<Command, String> {
    let mark = mark_for(role).ok_or("the namespaces of whoever started this are not known")?;
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut command = Command::new(own_path()?);
    command.args(words).env(MARK, mark);
    Ok(command)
}

/// Passes on what asks this process to end; before there is anybody to pass it to, it ends.
fn pass_on_signals(to: &Arc<OnceLock<OwnedFd>>) -> Result<(), String> {
    let to = Arc::clone(to);
    on_signals(move |signal: Signal| match to.get() {
        // One that has ended needs none; its id may be another's by now, its handle is not.
        Some(process) => drop(pidfd_send_signal(process, signal)),
        None => std::process::exit(1),
    })
}

/// A handle of a child that has not been waited for yet.
fn handle(pid: Pid) -> Result<OwnedFd, String> {
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| format!("{pid:?} cannot be held: {errno}"))
}

fn code(status: ExitStatus) -> i32 {
    let signal = || status.signal().map(|it| 128 + it);
    status.code().or_else(signal).unwrap_or(1)
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of descriptor tables, which are not taken apart here"
)]
fn unshare_processes() -> Result<(), String> {
    let flags = rustix::thread::UnshareFlags::NEWPID;
    rustix::thread::unshare(flags).map_err(|errno| format!("no processes of its own: {errno}"))
}

fn wait_for_init() -> Result<i32, String> {
    let failed = |error: std::io::Error| format!("init: {error}");
    let target = Arc::new(OnceLock::new());
    // Before the next one: whose children are another namespace's starts no more threads.
    pass_on_signals(&target)?;
    let mut guard = Guard::start(None)?;
    let mut command = in_role(Role::Init)?;
    command.stdin(guard.bell()?);
    unshare_processes()?;
    let mut init = command.spawn().map_err(failed)?;
    drop(command);
    let pid = i32::try_from(init.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or("init has no id")?;
    let process = handle(pid)?;
    target.get_or_init(|| process);
    guard.watch(pid)?;
    let status = init.wait().map_err(failed)?;
    guard.ended();
    Ok(code(status))
}

fn be_init() -> Result<i32, String> {
    let failed = |errno: Errno| format!("init: {errno}");
    // Whoever waits for this one takes all with it.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    let target = Arc::new(OnceLock::new());
    pass_on_signals(&target)?;
    // What is told there is of this namespace.
    run("mount", &["-t", "proc", "proc", "/proc"])?;
    let mut frozen = Frozen::from_now_on(Path::new("/"))?;
    let mut command = in_role(Role::Alone)?;
    let child = command.stdin(Stdio::null()).spawn();
    let child = child.map_err(|error| format!("init: {error}"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or("the nemesis has no id")?;
    let process = handle(pid)?;
    target.get_or_init(|| process);
    loop {
        // Also data nodes whose agents were killed are this one's children by now.
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => {
                // Whoever waits for a frozen disk could not be killed.
                frozen.thaw();
                return Ok(code(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_believed_by_processes_with_other_namespaces_alone() {
        let own = ["mnt:[3]".to_owned(), "net:[4]".to_owned()];
        let role = |mark| role_of(mark, &own);
        assert_eq!(role("alone mnt:[1] net:[2]"), Some(Role::Alone));
        assert_eq!(role("alone mnt:[3] net:[2]"), None);
        assert_eq!(role("alone mnt:[1] net:[4]"), None);
        assert_eq!(role("alone mnt:[1]"), None);
        assert_eq!(role("1"), None);
        assert_eq!(role(""), None);
    }
}
