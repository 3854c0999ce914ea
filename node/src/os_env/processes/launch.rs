//! Starting a data node: this very program again, with arguments that follow from the alias.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::warn;
use vaquita_core::ids::Alias;
use vaquita_core::process::ProcessIdentity;

use super::identity;
use crate::env::HostFolders;
use crate::os_env::disk::create_private;
use crate::os_env::proc::stat;
use crate::os_env::{Program, threads};

/// What a node finds in its environment, if the agent has it: language and time zone, and what
/// developers set to see more. Anything else could carry a secret or change what runs.
const ENVIRONMENT: [&str; 4] = ["LANG", "TZ", "RUST_BACKTRACE", "RUST_LOG"];

/// The most that is read of what a node printed.
const LAST_WORDS_BYTES: u64 = 16 * 1024;

/// The arguments of a node's process.
pub(in crate::os_env) type Arguments = fn(&HostFolders, &Alias) -> Vec<OsString>;

/// Starts processes, on a thread of its own that has given up gaining privileges by `exec`; its
/// children inherit that.
#[derive(Debug)]
pub(in crate::os_env) struct Launcher {
    orders: mpsc::Sender<Order>,
}

/// A process that runs: who it is, and a handle to it.
type Launched = Result<(ProcessIdentity, OwnedFd), String>;

struct Order {
    alias: Alias,
    node_cfg: String,
    launched: oneshot::Sender<Launched>,
}

impl Launcher {
    pub(super) fn start(program: Arc<Program>, folders: HostFolders) -> io::Result<Self> {
        Self::with_arguments(program, folders, arguments)
    }

    pub(in crate::os_env) fn with_arguments(
        program: Arc<Program>,
        folders: HostFolders,
        arguments: Arguments,
    ) -> io::Result<Self> {
        let (orders, mut queue) = mpsc::channel::<Order>(64);
        threads::spawn("vaquita-launch", move || {
            if let Err(error) = rustix::thread::set_no_new_privs(true) {
                warn!(
                    "nodes started here could gain privileges by running other programs: {error}"
                );
            }
            while let Some(order) = queue.blocking_recv() {
                let Order {
                    alias,
                    node_cfg,
                    launched,
                } = order;
                let result = launch(&program, &folders, arguments, &alias, &node_cfg);
                // When nobody waits for it any more, the node runs on and is found by its lock.
                let _ = launched.send(result);
            }
        })?;
        Ok(Self { orders })
    }

    /// Writes a node's configuration and starts it.
    pub(super) async fn launch(&self, alias: Alias, node_cfg: String) -> Launched {
        let (launched, result) = oneshot::channel();
        let order = Order {
            alias,
            node_cfg,
            launched,
        };
        let lost = "the thread that starts processes ended by a bug in this program; start this \
                    agent again, its nodes run on";
        self.orders.send(order).await.map_err(|_| lost)?;
        result.await.map_err(|_| lost)?
    }
}

/// A data node's arguments, in this order and no others.
pub(in crate::os_env) fn arguments(folders: &HostFolders, alias: &Alias) -> Vec<OsString> {
    let home = folders.home.join(alias.as_str());
    let config = home.join("node.cfg");
    let log = folders.logs.join(format!("{alias}.log"));
    let pairs: [(&str, OsString); 5] = [
        ("-mode", "datanode".into()),
        ("-alias", alias.as_str().into()),
        ("-home", home.into()),
        ("-config", config.into()),
        ("-logFile", log.into()),
    ];
    pairs
        .into_iter()
        .flat_map(|(flag, value)| [flag.into(), value])
        .collect()
}

/// Where a node's standard output and error go: what it prints before it has a log, and the last
/// words of one that crashes.
pub(super) fn output_file(folders: &HostFolders, alias: &Alias) -> PathBuf {
    folders.logs.join(format!("{alias}.out"))
}

fn launch(
    program: &Program,
    folders: &HostFolders,
    arguments: Arguments,
    alias: &Alias,
    node_cfg: &str,
) -> Launched {
    let home = folders.home.join(alias.as_str());
    let at = |action: &str, path: &Path, error: io::Error| {
        format!("cannot {action} {}: {error}", path.display())
    };
    create_private(&home).map_err(|error| at("create the home", &home, error))?;
    create_private(&folders.logs)
        .map_err(|error| at("create the log folder", &folders.logs, error))?;
    let config = home.join("node.cfg");
    write_private(&config, node_cfg.as_bytes()).map_err(|error| at("write", &config, error))?;
    let words = output_file(folders, alias);
    let output = create(&words).map_err(|error| at("create", &words, error))?;
    let second = output
        .try_clone()
        .map_err(|error| at("open", &words, error))?;

    // The open file, not its path: what runs is what this process runs, even after an upgrade put
    // another file there.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where processes are started"
    )]
    let mut command = Command::new(format!("/proc/self/fd/{}", program.file.as_raw_fd()));
    command
        .arg0("vaquita")
        .args(arguments(folders, alias))
        .env_clear()
        .envs(
            ENVIRONMENT
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .current_dir(&home)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(second)
        // A group of its own, so that Ctrl-C in the agent's terminal is not for the nodes.
        .process_group(0);
    let child = command
        .spawn()
        .map_err(|error| format!("cannot start {alias}: {error}"))?;
    // From here on the process exists, and nobody but this one waits for it: its id stays its own
    // until the watcher has taken its status.
    let pid = child.id();
    let handle = identity::open(pid)
        .map_err(|error| error.to_string())
        .and_then(|handle| handle.ok_or_else(|| "it is gone".to_owned()));
    let started = stat(pid)
        .map_err(|error| error.to_string())
        .and_then(|stat| stat.ok_or_else(|| "it is gone".to_owned()));
    match (handle, started) {
        (Ok(pidfd), Ok(stat)) => {
            let identity = ProcessIdentity {
                pid,
                start_ticks: stat.start_ticks,
                boot_id: program.boot_id.clone(),
                executable: program.id,
            };
            Ok((identity, pidfd))
        }
        (Err(reason), _) | (_, Err(reason)) => {
            // A process that cannot be told from others must not run. As it is a child that nobody
            // has waited for, its id is certain.
            let mut child = child;
            let _ = child.kill();
            let _ = child.wait();
            Err(format!(
                "{alias} was started as pid {pid} and ended again, because it could not be \
                 identified: {reason}"
            ))
        }
    }
}

/// Replaces a file that only this user may read, durably and so that no half of it is ever seen.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("cfg.tmp");
    let mut file = create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Creates a file for this user alone, or empties it. A symbolic link is refused.
fn create(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(i32::from_ne_bytes(no_follow.to_ne_bytes()))
        .open(path)?;
    // One that existed keeps its mode; a configuration may name secrets.
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600))?;
    Ok(file)
}

/// The last lines that a node printed.
pub(super) fn last_words(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // A node that never printed anything has no such file worth speaking of.
    let bytes = read().unwrap_or_default();
    crate::logging::last_lines(&bytes, lines)
}
