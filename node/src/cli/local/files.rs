//! Writing the files of a new local cluster. Nothing that exists is ever overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::{Host, Layout};
use crate::cli::commands::secret;
use crate::cli::exit::{Failure, Status};
use crate::secret_file;

/// What the controller is told at its first start and nobody else ever.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bootstrap {
    /// The password of `admin`, in the place of the one that everybody knows.
    pub(super) admin_password: String,
    /// A token of `admin`, so that the first start needs no login.
    pub(super) token: String,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bootstrap(..)")
    }
}

/// The name of `controller.cfg` while it is written.
pub(super) const LAST_IN_THE_MAKING: &str = "controller.cfg.new";

/// Writes everything. `draw` gives random bytes.
pub(super) fn write(
    layout: &Layout,
    draw: impl Fn(&mut [u8]) -> Result<(), Failure>,
) -> Result<Bootstrap, Failure> {
    directory(&layout.directory)?;
    directory(&layout.controller_home())?;
    directory(&layout.directory.join("log"))?;
    create(
        &layout.directory.join("cluster.nodes"),
        0o640,
        &cluster_nodes(layout),
    )?;
    let workers = workers(layout);
    create(
        &layout.directory.join("cluster.cfg"),
        0o640,
        &cluster_cfg(workers),
    )?;
    let secret_path = layout.directory.join(secret::NAME);
    secret_file::generate(&secret_path).map_err(secret::failed)?;
    let secret_text = fs::read_to_string(&secret_path)
        .map_err(|error| failed(&secret_path, "cannot be read", &error))?;
    for host in &layout.hosts {
        directory(&host.directory)?;
        directory(&host.directory.join("data"))?;
        directory(&host.directory.join("log"))?;
        let copy = host.directory.join(secret::NAME);
        create(&copy, 0o600, &secret_text)?;
        create(&host.agent_cfg, 0o640, &agent_cfg(layout, host))?;
    }
    let bootstrap = Bootstrap {
        admin_password: password(&draw)?,
        token: token(&draw)?,
    };
    let password_line = format!("{}\n", bootstrap.admin_password);
    create(&layout.password_file(), 0o600, &password_line)?;
    let json = serde_json::to_string(&bootstrap).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the bootstrap file cannot be written: {error}"),
        )
    })?;
    create(&layout.bootstrap(), 0o600, &json)?;
    // The last one, and there as a whole or not at all: a directory with a controller.cfg is
    // complete.
    let making = layout.directory.join(LAST_IN_THE_MAKING);
    create(&making, 0o640, &controller_cfg(layout, workers))?;
    let last = layout.directory.join("controller.cfg");
    fs::rename(&making, &last)
        .and_then(|()| File::open(&layout.directory)?.sync_all())
        .map_err(|error| failed(&last, "cannot be written", &error))?;
    Ok(bootstrap)
}

/// The bootstrap file, as long as the controller has not taken it.
pub(super) fn read_bootstrap(layout: &Layout) -> Option<Bootstrap> {
    let text = fs::read_to_string(layout.bootstrap()).ok()?;
    serde_json::from_str(&text).ok()
}

/// Removes the bootstrap file; succeeds if there is none.
pub(super) fn remove_bootstrap(layout: &Layout) -> Result<(), Failure> {
    let path = layout.bootstrap();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(&path, "cannot be removed", &error))
        }
        _ => Ok(()),
    }
}

/// The password that was generated for `admin`, if the file is still there.
pub(super) fn read_password(layout: &Layout) -> Option<String> {
    let text = fs::read_to_string(layout.password_file()).ok()?;
    let line = text.lines().next()?.to_owned();
    (!line.is_empty()).then_some(line)
}

/// Threads that each process gets to work with. All of them share one machine: with as many each as
/// the machine has processors, they would mostly take turns.
fn workers(layout: &Layout) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / (1 + layout.data_nodes.len())).max(1)
}

fn controller_cfg(layout: &Layout, workers: usize) -> String {
    format!(
        "# The controller of a cluster on one machine, written by `vaquita local`.\n\
         # `vaquita explain --key NAME` tells about each key; changes count from the next start on.\n\
         localSite={}\n\
         dfsReplicationFactor=2\n\
         workerNum={workers}\n\
         webWorkerNum=4\n",
        layout.controller
    )
}

fn cluster_nodes(layout: &Layout) -> String {
    let mut text = String::from("localSite,mode\n");
    // As in the tutorial: the agent of a host, then its data nodes.
    for host in &layout.hosts {
        text.push_str(&format!("{},agent\n", host.agent));
        let nodes = layout.data_nodes.iter();
        for node in nodes.filter(|node| node.same_host(&host.agent.host)) {
            text.push_str(&format!("{node},datanode\n"));
        }
    }
    text
}

fn cluster_cfg(workers: usize) -> String {
    format!(
        "# The settings of all data nodes, written by `vaquita local`.\n\
         # A line for one node is written `P1-NODE1.workerNum=2`, for several `P1-%.workerNum=2`.\n\
         # All processes share this machine; a node with one of its own needs no `workerNum`.\n\
         maxMemSize=1\n\
         workerNum={workers}\n"
    )
}

fn agent_cfg(layout: &Layout, host: &Host) -> String {
    let label = host
        .directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!(
        "# The agent of one host, written by `vaquita local`. The label keeps replicas apart as if\n\
         # this were a machine of its own.\n\
         localSite={}\n\
         controllerSite={}\n\
         workerNum=1\n\
         hostLabel={label}\n",
        host.agent, layout.controller
    )
}

/// Twenty letters and digits that cannot be taken for one another: 99 bits.
fn password(draw: &impl Fn(&mut [u8]) -> Result<(), Failure>) -> Result<String, Failure> {
    const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut password = String::new();
    while password.len() < 20 {
        let mut byte = [0];
        draw(&mut byte)?;
        // Above the largest multiple of 31 some letters would come more often than others.
        if byte[0] < 248 {
            password.push(char::from(LETTERS[usize::from(byte[0] % 31)]));
        }
    }
    Ok(password)
}

fn token(draw: &impl Fn(&mut [u8]) -> Result<(), Failure>) -> Result<String, Failure> {
    let mut id = [0; 8];
    let mut secret = [0; 32];
    draw(&mut id)?;
    draw(&mut secret)?;
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    Ok(format!("vqt_{}_{}", hex(&id), hex(&secret)))
}

fn directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| failed(path, "cannot be created", &error))
}

pub(super) fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file: File| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| failed(path, "cannot be written", &error))
}

pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> Failure {
    let status = if error.kind() == io::ErrorKind::AlreadyExists {
        Status::Exists
    } else {
        Status::Disk
    };
    Failure::new(status, format!("{}: {what}: {error}", path.display()))
}
