//! From a machine's configuration to a running process, for each role and on any [`Env`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use vaquita_core::agent::{Agent, AgentConfig};
use vaquita_core::controller::{Controller, ControllerConfig};
use vaquita_core::datanode::{DataNode, DataNodeConfig};
use vaquita_core::disk::FileName;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::metalog;
use vaquita_core::mirror;
use vaquita_core::node_machine::Files;
use vaquita_core::rebuild::{Rebuild, RebuildConfig};

use crate::data::DataEnd;
use crate::driver::{
    self, BuildCheckpoint, DriverLimits, EventObserver, HttpService, PasswordCost, Questions,
    Termination, Wiring, bind,
};
use crate::env::{Disk, Env, HostFolders, OpenDiskError};
use crate::tls::PortTls;

/// What a role needs beside its configuration.
pub struct Start<H> {
    /// The machine's directory; made if need be, and locked for the life of the process.
    pub directory: PathBuf,
    /// The folders of this host's data nodes and logs, for a role that looks after some.
    pub folders: Option<HostFolders>,
    /// Bounds of the driver.
    pub limits: DriverLimits,
    /// What serves HTTP.
    pub http: H,
    /// What is shown to connections that begin with TLS.
    pub tls: PortTls,
    /// Requests, from [`driver::front`].
    pub questions: Questions,
    /// Calls to end, from [`driver::terminator`].
    pub termination: Termination,
    /// What a password hash costs.
    pub password_cost: PasswordCost,
    /// Told of each event beside the log.
    pub on_event: Option<EventObserver>,
}

impl<H> std::fmt::Debug for Start<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// Runs a controller until it exits.
pub async fn run_controller<E, H>(env: E, config: ControllerConfig, start: Start<H>) -> ExitReason
where
    E: Env,
    H: HttpService,
{
    match controller(env, config, start).await {
        Ok(reason) | Err(reason) => reason,
    }
}

async fn controller<E, H>(
    env: E,
    config: ControllerConfig,
    start: Start<H>,
) -> Result<ExitReason, ExitReason>
where
    E: Env,
    H: HttpService,
{
    // The lock on the home comes first: whoever has it is to be named, not whoever has the port.
    let disk = open(&env, &start).await?;
    let port = bind(&env, &config.site.endpoint, &start.limits).await?;
    let machine = {
        let files = read_log(&disk, &start).await?;
        Controller::new(config, &files, env.seed(), env.now())?
    };
    let build: BuildCheckpoint = Arc::new(|plan, files| {
        let files: BTreeMap<FileName, &[u8]> = files
            .iter()
            .map(|(name, bytes)| ((*name).clone(), *bytes))
            .collect();
        vaquita_core::state::build_checkpoint(plan, &files)
    });
    Ok(drive(env, machine, disk, port, None, start, Some(build)).await)
}

/// Rebuilds a controller's home; returns how that ended.
pub(super) async fn run_rebuild<E, H>(env: E, config: RebuildConfig, start: Start<H>) -> ExitReason
where
    E: Env,
    H: HttpService,
{
    let run = async {
        let disk = open(&env, &start).await?;
        // It is nobody's controller: nothing is to be found at its port.
        let anywhere = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let port = bind(&env, &anywhere, &start.limits).await?;
        let machine = {
            let files = read_log(&disk, &start).await?;
            Rebuild::new(config, &files, env.seed(), env.now())
        };
        Ok(drive(env.clone(), machine, disk, port, None, start, None).await)
    };
    match run.await {
        Ok(reason) | Err(reason) => reason,
    }
}

/// Runs an agent until it exits.
pub async fn run_agent<E, H>(env: E, config: AgentConfig, start: Start<H>) -> ExitReason
where
    E: Env,
    H: HttpService,
{
    let run = async {
        let disk = open(&env, &start).await?;
        let port = bind(&env, &config.facts.site.endpoint, &start.limits).await?;
        let files = read_all(&disk, &start).await?;
        let machine = Agent::new(config, &files, env.seed(), env.now())?;
        Ok(drive(env.clone(), machine, disk, port, None, start, None).await)
    };
    match run.await {
        Ok(reason) | Err(reason) => reason,
    }
}

/// Runs a data node until it exits. `data` is the driver's end of its data plane, from
/// [`data()`](crate::data::data).
pub async fn run_data_node<E, H>(
    env: E,
    config: DataNodeConfig,
    data: DataEnd<E>,
    start: Start<H>,
) -> ExitReason
where
    E: Env,
    H: HttpService,
{
    let run = async {
        let disk = open(&env, &start).await?;
        let port = bind(&env, &config.facts.site.endpoint, &start.limits).await?;
        let files = read_all(&disk, &start).await?;
        let machine = DataNode::new(config, &files, env.seed(), env.now())?;
        let (identity, ..) = machine.identity();
        if let Some(cluster) = identity.cluster {
            data.data.join(cluster);
        }
        Ok(drive(env.clone(), machine, disk, port, Some(data), start, None).await)
    };
    match run.await {
        Ok(reason) | Err(reason) => reason,
    }
}

async fn drive<E, M, H>(
    env: E,
    machine: M,
    disk: E::Disk,
    port: driver::Port<E>,
    data: Option<DataEnd<E>>,
    start: Start<H>,
    build_checkpoint: Option<BuildCheckpoint>,
) -> ExitReason
where
    E: Env,
    M: vaquita_core::io::Machine + Send,
    H: HttpService,
{
    let processes = match start
        .folders
        .map(|folders| env.processes(folders))
        .transpose()
    {
        Ok(processes) => processes,
        Err(error) => {
            let message = format!("cannot look after the processes of this host: {error}");
            return ExitReason {
                code: ExitCode::Unavailable,
                message,
            };
        }
    };
    let wiring = Wiring {
        limits: start.limits,
        port,
        disk,
        processes,
        data,
        http: start.http,
        tls: start.tls,
        questions: start.questions,
        termination: start.termination,
        password_cost: start.password_cost,
        build_checkpoint,
        on_event: start.on_event,
    };
    driver::run(env, machine, wiring).await
}

async fn open<E: Env, H>(env: &E, start: &Start<H>) -> Result<E::Disk, ExitReason> {
    env.open_disk(&start.directory).await.map_err(|error| {
        let code = match error {
            OpenDiskError::InUse { .. } => ExitCode::AlreadyRunning,
            OpenDiskError::Refused { .. } => ExitCode::Unavailable,
        };
        ExitReason {
            code,
            message: error.to_string(),
        }
    })
}

fn unreadable<H>(start: &Start<H>, what: &str, error: &std::io::Error) -> ExitReason {
    let message = format!(
        "cannot read {what} in {}: {error}; nothing was changed. Mend the disk or the permissions",
        start.directory.display()
    );
    ExitReason {
        code: ExitCode::Unavailable,
        message,
    }
}

/// Every file of a node's directory that its machine starts from; they are few and small. A mirror of
/// the controller's log is neither, and is read when it is asked for.
async fn read_all<D: Disk, H>(disk: &D, start: &Start<H>) -> Result<Files, ExitReason> {
    let listing = disk
        .list()
        .await
        .map_err(|error| unreadable(start, "the list of files", &error))?;
    let mut files = BTreeMap::new();
    for name in listing.files.into_keys() {
        // Of a leftover, and of a mirror, the name is enough.
        let bytes = if name.is_temporary() || mirror::is_mirror(&name) {
            Vec::new()
        } else {
            disk.read(&name)
                .await
                .map_err(|error| unreadable(start, name.as_str(), &error))?
        };
        files.insert(name, bytes);
    }
    Ok(files)
}

/// A file of the controller's home: sealed ones as the disk has them, the others, which recovery
/// may cut or replace, as a copy.
enum HomeFile<S> {
    Sealed(S),
    Copy(Vec<u8>),
}

impl<S: AsRef<[u8]>> AsRef<[u8]> for HomeFile<S> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Sealed(bytes) => bytes.as_ref(),
            Self::Copy(bytes) => bytes,
        }
    }
}

async fn read_log<D: Disk, H>(
    disk: &D,
    start: &Start<H>,
) -> Result<BTreeMap<FileName, HomeFile<D::Sealed>>, ExitReason> {
    let listing = disk
        .list()
        .await
        .map_err(|error| unreadable(start, "the list of files", &error))?;
    let of_log = |name: &&FileName| metalog::belongs_to_log(name);
    // Names sort as indexes do, so that the newest segment, the one not sealed, is the last.
    let is_segment = |name: &&FileName| name.as_str().starts_with("seg-");
    let newest = listing
        .files
        .keys()
        .filter(of_log)
        .rfind(is_segment)
        .cloned();
    let mut files = BTreeMap::new();
    let to_read = |name: &FileName| !metalog::is_ballast(name);
    for name in listing.files.into_keys().filter(to_read) {
        let sealed = metalog::belongs_to_log(&name) && Some(&name) != newest.as_ref();
        let file = if sealed {
            disk.open_sealed(&name).await.map(HomeFile::Sealed)
        } else {
            disk.read(&name).await.map(HomeFile::Copy)
        };
        let file = file.map_err(|error| unreadable(start, name.as_str(), &error))?;
        files.insert(name, file);
    }
    Ok(files)
}
