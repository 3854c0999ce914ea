//! The server processes: controller, agent and data node on the operating system.

mod bootstrap;
mod desk;
mod https;
mod rebuild;
mod roles;
mod settings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinError;
use tracing::{error, info, warn};
use vaquita_config::{Mode, Resolved};
use vaquita_core::agent::AgentConfig;
use vaquita_core::datanode::DataNodeConfig;
use vaquita_core::ids::Role;
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::limits::Limits;
use vaquita_core::planted::Planted;
use vaquita_core::secret::ClusterSecret;

pub use rebuild::{Rebuilding, rebuild};
pub use roles::{Start, run_agent, run_controller, run_data_node};

use crate::cli::{Failure, ServerPlan, Status, Terminal};
use crate::config_desk::ConfigDesk;
use crate::console;
use crate::data::{self, DataEnd};
use crate::driver::{self, DriverLimits, Front, PasswordCost, Terminator};
use crate::env::{Env as _, HostFolders};
use crate::files::Coordinator;
use crate::http::{AllowedHosts, HttpLimits, HttpServer, HttpSettings, Metrics, Passage, Secured};
use crate::logging::{self, LogSettings, Target};
use crate::os_env::{self, OsEnv, stdin_lines, stdout_printer, threads, watch_signals};
use crate::secret_file::{self, SecretFileError};
use crate::tls::{PeerEnv, PortTls, Serving};

/// Runs a server process until it ends; returns its exit status.
///
/// # Errors
/// If it cannot even begin to log.
pub fn serve(plan: ServerPlan, terminal: &mut Terminal) -> Result<u8, Failure> {
    let unavailable = |message: String| Failure::new(Status::Unavailable, message);
    let log =
        logging::install(&log_settings(&plan)).map_err(|error| unavailable(error.to_string()))?;
    let workers = worker_threads(&plan.settings);
    let runtime = runtime(workers)
        .map_err(|error| unavailable(format!("cannot start the worker threads: {error}")))?;
    let mode = plan.mode;
    let reason = on_a_worker(workers, &runtime, run(plan))
        .map_err(|error| unavailable(format!("cannot start the worker thread: {error}")))?;
    if reason.code == ExitCode::Success {
        info!("MainServer shutdown");
    } else {
        error!("{}", reason.message);
        // Whoever started the process by hand looks here and not in the log.
        terminal.complain(&format!("the {mode} ends: {}", reason.message));
    }
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    log.flush();
    Ok(reason.code.number())
}

/// The threads that `workerNum` asks for.
fn worker_threads(settings: &Resolved) -> usize {
    settings::count(settings, "workerNum").unwrap_or(1)
}

/// What tasks run on. One worker needs no means by which workers hand tasks to each other, which cost
/// a system call or two each time that one wakes up.
fn runtime(workers: usize) -> io::Result<Runtime> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(workers)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name_fn(thread_names(if workers == 1 { 0 } else { workers }))
        .enable_all()
        .build()
}

/// Runs the process itself on a worker, like everything else: on a thread of its own the machine would
/// cost each question two more wake-ups of a thread. Nothing on a worker takes longer than the
/// checksums of a piece.
fn on_a_worker(
    workers: usize,
    runtime: &Runtime,
    process: impl Future<Output = ExitReason> + Send + 'static,
) -> io::Result<ExitReason> {
    let process = runtime.spawn(process);
    let outcome = match workers {
        1 => std::thread::scope(|scope| {
            let worker = threads::scoped(scope, WORKER, || runtime.block_on(process))?;
            Ok(worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        }),
        _ => Ok(runtime.block_on(process)),
    };
    outcome.map(|outcome| outcome.unwrap_or_else(ended_by_a_bug))
}

fn ended_by_a_bug(failure: JoinError) -> ExitReason {
    let message = format!("ended by a bug in this program: {failure}");
    let code = ExitCode::Bug;
    ExitReason { code, message }
}

/// Name of the workers for the kernel.
const WORKER: &str = "vaquita-worker";

/// Names for the threads of the runtime, which starts its workers first.
fn thread_names(workers: usize) -> impl Fn() -> String {
    let started = AtomicUsize::new(0);
    move || {
        let nth = started.fetch_add(1, Ordering::Relaxed);
        let name = if nth < workers {
            WORKER
        } else {
            "vaquita-block"
        };
        name.to_owned()
    }
}

/// The threads of `localExecutors`, which read from disks.
fn io_workers(settings: &Resolved) -> usize {
    settings::count(settings, "localExecutors").unwrap_or(1)
}

/// The requests that `webWorkerNum` lets be worked on at a time.
fn web_workers(settings: &Resolved) -> usize {
    settings::count(settings, "webWorkerNum").unwrap_or(1)
}

/// Threads for what else blocks, at most: name look-ups, passwords, what `/proc` says. They come
/// when they are needed and go when they are not.
const BLOCKING_THREADS: usize = 8;

fn log_settings(plan: &ServerPlan) -> LogSettings {
    let settings = &plan.settings;
    let mut log = LogSettings::new(plan.log_file.clone());
    log.target = match settings.integer("stdoutLog") {
        Some(1) => Target::Stdout,
        Some(2) => Target::Both,
        _ => Target::File,
    };
    if let Some(level) = settings.word("logLevel").and_then(logging::level_from_word) {
        log.level = level;
    }
    if let Some(bytes) = settings.size("maxLogSize").filter(|bytes| *bytes > 0) {
        log.max_bytes = bytes;
    }
    log.retention = settings
        .duration("logRetentionTime")
        .filter(|age| !age.is_zero());
    log
}

async fn run(plan: ServerPlan) -> ExitReason {
    match try_run(plan).await {
        Ok(reason) | Err(reason) => reason,
    }
}

fn failed(code: ExitCode, message: impl Into<String>) -> ExitReason {
    ExitReason {
        code,
        message: message.into(),
    }
}

async fn try_run(plan: ServerPlan) -> Result<ExitReason, ExitReason> {
    let host = OsEnv::with_io_workers(io_workers(&plan.settings))
        .map_err(|error| failed(ExitCode::Unavailable, error.to_string()))?;
    OsEnv::name_process("vaquita");
    greet(&plan);
    let site = settings::site_of(&plan.settings, "localSite")?;
    let secret = secret(&plan)?;
    let identity = https::identity(&plan, secret.as_ref())?;
    let peers = https::peers(&plan.settings, identity.as_ref())?;
    // Processes of the cluster are dialed through this one, everything else through the host.
    let env = PeerEnv::new(host.clone(), peers.clone());
    let limits = settings::driver_limits(&plan.settings, os_env::memory_bytes())
        .with_open_files(os_env::raise_open_files());
    tell_sizes(&plan.settings, &limits);
    let (front, questions) = driver::front(&limits);
    let (terminator, termination) = driver::terminator();
    let hangups = Arc::new(Notify::new());
    watch_signals(&terminator, &desk::hangup(&plan, &hangups)).map_err(|error| {
        failed(
            ExitCode::Unavailable,
            format!("cannot watch signals: {error}"),
        )
    })?;
    let (files, data_end) = match plan.mode {
        Mode::Datanode => {
            let data_settings = settings::data(&plan.settings, secret.clone(), &limits)?;
            let (data, data_end) = data::data(&env, data_settings);
            let files = Coordinator::new(env.clone(), front.clone(), data, Limits::default());
            (Some(files), Some(data_end))
        }
        _ => (None, None),
    };
    let hosts = hosts(&plan.settings);
    let tls = https::serving(&plan, identity.as_ref(), &hosts, env.unix_ms() / 1000)?;
    let renewals = Arc::new(Notify::new());
    if let Some(serving) = tls.clone() {
        tokio::spawn(https::watch(env.clone(), serving, Arc::clone(&renewals)));
    }
    let desk = desk::desk(&plan, &host, &site, &front, &renewals);
    if let Some(files) = desk.clone() {
        tokio::spawn(desk::take_up_at(hangups, files, renewals));
    }
    let (http, metrics) = http(&plan, &front, &host, hosts, tls.clone(), files, desk);
    if plan.console {
        talk(&front, &terminator);
    }
    let logs = plan
        .log_file
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let folders = HostFolders {
        home: plan.home.clone(),
        logs,
        own_log: Some((site.alias.clone(), plan.log_file.clone())),
    };
    let directory = match plan.mode {
        // The home of a data node is its own; controllers and agents may share one.
        Mode::Datanode => plan.home.join("meta"),
        _ => plan.home.join(site.alias.as_str()).join("meta"),
    };
    let observed = metrics.clone();
    let start = Start {
        directory,
        folders: (plan.mode != Mode::Datanode).then_some(folders),
        limits,
        http,
        tls: PortTls { https: tls, peers },
        questions,
        termination,
        password_cost: PasswordCost::default(),
        on_event: Some(Box::new(move |event| observed.event(event.name))),
    };
    match plan.mode {
        Mode::Controller => {
            let bootstrap = bootstrap::read(&plan.home, &host).await?;
            let config =
                settings::controller(&plan.files, &plan.settings, secret, bootstrap.clone())?;
            info!(
                "controller {} with {} members",
                config.site,
                config.members.len()
            );
            Ok(run_controller(env, config, start).await)
        }
        Mode::Agent | Mode::Datanode => run_node(&plan, &host, env, secret, data_end, start).await,
        mode => Err(failed(
            ExitCode::Usage,
            format!("there is no process of the mode `{mode}`"),
        )),
    }
}

async fn run_node(
    plan: &ServerPlan,
    own_host: &OsEnv,
    env: PeerEnv<OsEnv>,
    secret: Option<ClusterSecret>,
    data_end: Option<DataEnd<PeerEnv<OsEnv>>>,
    start: Start<HttpServer>,
) -> Result<ExitReason, ExitReason> {
    let settings = &plan.settings;
    let role = match data_end {
        Some(_) => Role::DataNode,
        None => Role::Agent,
    };
    let process = own_host
        .own_identity()
        .map_err(|error| failed(ExitCode::Unavailable, format!("cannot see itself: {error}")))?;
    let own = settings::site_of(settings, "localSite")?;
    let label = settings.text("hostLabel");
    let host = os_env::host_id(label, &own.endpoint.host);
    let facts = settings::node_facts(settings, role, host, process)?;
    info!(
        "{role} {} of the controller {}",
        facts.site, facts.controller_site
    );
    let Some(data_end) = data_end else {
        let config = AgentConfig {
            facts,
            secret,
            node_lines: node_lines(plan, label)?,
            limits: Limits::default(),
            planted: Planted::default(),
        };
        return Ok(run_agent(env, config, start).await);
    };
    let agent = match settings.site("agentSite") {
        Some(agent) => Some(settings::site(agent)?.endpoint),
        None => None,
    };
    let config = DataNodeConfig {
        facts,
        agent,
        volumes: settings::volumes(settings),
        secret,
        limits: Limits::default(),
        planted: Planted::default(),
    };
    Ok(run_data_node(env, config, data_end, start).await)
}

/// What every data node of this agent's host is told beside what the controller sends.
fn node_lines(plan: &ServerPlan, label: Option<&str>) -> Result<String, ExitReason> {
    let mut lines = format!(
        "clusterSecretFile={}\nagentHome={}\n{}",
        plan.secret_file.display(),
        plan.home.display(),
        https::node_lines(&plan.settings)?
    );
    if let Some(label) = label {
        lines.push_str(&format!("hostLabel={label}\n"));
    }
    Ok(lines)
}

/// Settings that the log tells at each start, where a file or the command line gives them.
const GREETED: [&str; 18] = [
    "workerNum",
    "localExecutors",
    "webWorkerNum",
    "maxConnections",
    "maxMemSize",
    "lanCluster",
    "publicName",
    "enableHTTPS",
    "enableRpcSSL",
    "tlsCert",
    "tlsKey",
    "dfsReplicationFactor",
    "dfsReplicaReliabilityLevel",
    "dfsMinWriteReplicas",
    "dfsRecoveryWaitTime",
    "dfsRecoveryConcurrency",
    "volumes",
    "dataSync",
];

/// What the settings about size come to on this host, given or not.
fn tell_sizes(settings: &Resolved, limits: &DriverLimits) {
    info!(
        "{} worker threads on {} cores, {} I/O workers, {} web workers, at most {} connections; \
         {} requests may wait, and {} KiB to be sent on each connection",
        worker_threads(settings),
        os_env::cores(),
        io_workers(settings),
        web_workers(settings),
        limits.connections_max,
        limits.requests_max,
        limits.send_queue_bytes / 1024
    );
    if let Some(open_files) = limits.open_files {
        warn!(
            "at most {} connections, fewer than maxConnections says: this process may have {open_files} files open, \
             of which half are kept for its disks and its way to others. Raise that to three times maxConnections \
             (LimitNOFILE= of its systemd unit, ulimit -Hn in a shell).",
            limits.connections_max
        );
    }
}

/// The first lines of the log: which program, from which files, and what is odd about them.
fn greet(plan: &ServerPlan) {
    info!(
        "Vaquita {} starts as {} (pid {})",
        settings::BUILD,
        plan.mode,
        std::process::id()
    );
    info!(
        "home {}, log {}",
        plan.home.display(),
        plan.log_file.display()
    );
    for diagnostic in &plan.warnings.diagnostics {
        // A line of the log is one line; the cure belongs to it.
        warn!("{}", diagnostic.to_string().replace("\n  help: ", ": "));
    }
    for key in GREETED {
        if let Some(setting) = plan.settings.setting(key)
            && setting.is_set()
        {
            info!("{key}={} ({})", setting.text(), setting.origin);
        }
    }
    if rustix::process::geteuid().is_root() {
        warn!("running as root: give the cluster a user of its own");
    }
}

/// The cluster's secret, or none on loopback.
fn secret(plan: &ServerPlan) -> Result<Option<ClusterSecret>, ExitReason> {
    let error = match secret_file::read(&plan.secret_file) {
        Ok(secret) => return Ok(Some(secret)),
        Err(error) => error,
    };
    if !matches!(error, SecretFileError::Missing { .. }) {
        return Err(failed(error.exit_code(), error.to_string()));
    }
    let cure = format!(
        "run `vaquita secret` and copy the file to {} on each host",
        plan.secret_file.display()
    );
    if !is_loopback(&plan.settings) {
        return Err(failed(
            ExitCode::Usage,
            format!(
                "there is no cluster secret, and localSite is not a loopback address: anybody on the \
                 network could give orders to this process; {cure}"
            ),
        ));
    }
    warn!(
        "there is no cluster secret: peers are not authenticated, and only loopback is served; {cure}"
    );
    Ok(None)
}

fn is_loopback(settings: &Resolved) -> bool {
    settings
        .site("localSite")
        .is_some_and(vaquita_config::Site::is_loopback)
}

fn http(
    plan: &ServerPlan,
    front: &Front,
    env: &OsEnv,
    hosts: AllowedHosts,
    tls: Option<Serving>,
    files: Option<Coordinator<PeerEnv<OsEnv>>>,
    desk: Option<ConfigDesk>,
) -> (HttpServer, Metrics) {
    let settings = &plan.settings;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    metrics.pool("request", worker_threads(settings));
    metrics.pool("io", io_workers(settings));
    let alias = settings
        .site("localSite")
        .map_or("", |site| site.alias.as_str());
    let http_settings = HttpSettings {
        title: format!("{} {alias}", plan.mode),
        allowed_hosts: hosts,
        web_workers: web_workers(settings),
        strict_defaults: settings.flag("strictDefaults").unwrap_or(false),
        allow_plain_http: settings.flag("allowPlainHttp").unwrap_or(false),
        // What begins so a browser takes and sends over HTTPS alone.
        session_cookie: format!(
            "{}vq{}",
            if tls.is_some() { "__Host-" } else { "" },
            settings.site("localSite").map_or(0, |site| site.port)
        ),
        passage: match (plan.mode, &tls) {
            (Mode::Controller, Some(tls)) => {
                Passage::through(Secured::new(env.clone(), https::connector(tls)))
            }
            (Mode::Controller, None) => Passage::through(env.clone()),
            _ => Passage::default(),
        },
        https: tls,
        manager: (plan.mode != Mode::Controller)
            .then(|| settings.site("controllerSite"))
            .flatten()
            .map(|site| format!("{}:{}", site.host, site.port)),
        desk,
        limits: HttpLimits::default(),
        seed: env.seed(),
    };
    let (front, told, registry) = (front.clone(), metrics.clone(), Arc::new(registry));
    let server = match files {
        Some(files) => HttpServer::with_files(front, files, http_settings, told, registry),
        None => HttpServer::new(front, http_settings, told, registry),
    };
    (server, metrics)
}

/// The names that this process answers to.
fn hosts(settings: &Resolved) -> AllowedHosts {
    let site = settings.site("localSite").map(|site| site.host.clone());
    let public = settings.hosts("publicName").unwrap_or_default();
    let allowed = settings.text("allowedHosts").unwrap_or_default();
    let names = site.into_iter().chain(public.iter().cloned());
    AllowedHosts::new(names.chain(allowed.split(',').map(str::to_owned)))
}

/// Reads commands from the standard input, for as long as there is one.
fn talk(front: &Front, terminator: &Terminator) {
    match (stdin_lines(), stdout_printer()) {
        (Ok(lines), Ok(out)) => {
            tokio::spawn(console::run(front.clone(), lines, out, terminator.clone()));
        }
        (Err(error), _) | (_, Err(error)) => warn!("no console: {error}"),
    }
}
