//! The life of a simulated host: one process, or none.

use std::future::{Future, pending, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use vaquita_core::admin::Request;
use vaquita_core::datanode::DataNodeConfig;
use vaquita_core::event::{Event, Severity};
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::process::ProcessExit;
use vaquita_node::data::{DataSettings, data};
use vaquita_node::driver::{
    self, DriverLimits, EventObserver, Front, NoHttp, PasswordCost, Questions, Termination,
};
use vaquita_node::env::{Env as _, HostFolders};
use vaquita_node::files::Coordinator;
use vaquita_node::http::{AllowedHosts, HttpLimits, HttpServer, HttpSettings, Metrics, Passage};
use vaquita_node::server::{Start, run_agent, run_controller, run_data_node};
use vaquita_node::tls::PortTls;

use super::env::{TurmoilEnv, elapsed};
use super::program::Program;
use super::shared::Shared;

/// The directory of a machine whose home this is.
pub(super) fn directory(home: &str) -> String {
    format!("{home}/meta")
}

/// What runs on a host: its process, if one is to run, and after its end nothing; the host itself
/// stays up, so that whoever connects is refused and not left without an answer.
pub(super) async fn live(host: String, shared: Shared) -> turmoil::Result {
    let limits = DriverLimits::default();
    let (front, questions) = driver::front(&limits);
    let (terminator, termination) = driver::terminator();
    let (killer, killed) = oneshot::channel();
    let (desk, requests) = mpsc::unbounded_channel();
    if let Some(program) = shared.begin(&host, terminator, killer, desk) {
        let pid = shared.pid(&host).unwrap_or(0);
        let env = TurmoilEnv::new(&host, pid, shared.clone());
        let start = start(&host, &shared, limits, questions, termination);
        let ended = tokio::select! {
            biased;
            Ok(signal) = killed => Err(signal),
            reason = pausable(&host, &shared, run(program, env, start, front.clone())) => Ok(reason),
            () = answer(front, requests, shared.clone()) => return Ok(()),
        };
        // The process is gone here, and so are its tasks once each had its turn.
        match ended {
            Ok(reason) => exited(&host, &shared, reason),
            Err(signal) => shared.end(&host, ProcessExit::Signal(signal), None),
        }
    }
    pending().await
}

fn start(
    host: &str,
    shared: &Shared,
    limits: DriverLimits,
    questions: Questions,
    termination: Termination,
) -> Start<NoHttp> {
    let observer: EventObserver = {
        let (host, shared) = (host.to_owned(), shared.clone());
        Box::new(move |event| shared.note(elapsed(), &host, event))
    };
    let home = shared.home(host);
    Start {
        directory: PathBuf::from(directory(&home)),
        folders: Some(HostFolders {
            home: PathBuf::from(home),
            logs: PathBuf::from("/logs"),
            own_log: None,
        }),
        limits,
        http: NoHttp,
        tls: PortTls::default(),
        questions,
        termination,
        // The algorithm's minimum: what a hash costs is not what is simulated.
        password_cost: PasswordCost {
            memory_kib: 8,
            passes: 1,
        },
        on_event: Some(observer),
    }
}

async fn run(
    program: Program,
    env: TurmoilEnv,
    mut start: Start<NoHttp>,
    front: Front,
) -> ExitReason {
    match program {
        Program::Controller(config) => run_controller(env, config, start).await,
        Program::Agent(config) => run_agent(env, config, start).await,
        Program::DataNode(config) => {
            start.folders = None;
            start.limits.data.packed_max = usize::try_from(config.limits.packed_max).unwrap_or(0);
            let settings = DataSettings {
                alias: config.facts.site.alias.clone(),
                build: config.facts.build.clone(),
                secret: config.secret.clone(),
                volumes: config.volumes.paths.iter().map(PathBuf::from).collect(),
                limits: start.limits.data.clone(),
            };
            let (data, data_end) = data(&env, settings);
            let files = Coordinator::new(env.clone(), front.clone(), data, config.limits.clone());
            let http = web_server(&config, &env, front, files);
            run_data_node(env, config, data_end, with_http(start, http)).await
        }
    }
}

/// What the program itself serves HTTP with.
fn web_server(
    config: &DataNodeConfig,
    env: &TurmoilEnv,
    front: Front,
    files: Coordinator<TurmoilEnv>,
) -> HttpServer {
    let site = &config.facts.site;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let settings = HttpSettings {
        title: site.alias.to_string(),
        allowed_hosts: AllowedHosts::new([&site.endpoint.host]),
        web_workers: 4,
        strict_defaults: false,
        allow_plain_http: true,
        session_cookie: format!("vq{}", site.endpoint.port),
        https: None,
        passage: Passage::default(),
        manager: None,
        desk: None,
        limits: HttpLimits::default(),
        seed: env.seed(),
    };
    HttpServer::with_files(front, files, settings, metrics, Arc::new(registry))
}

fn with_http<H>(start: Start<NoHttp>, http: H) -> Start<H> {
    let Start {
        directory,
        folders,
        limits,
        http: NoHttp,
        tls,
        questions,
        termination,
        password_cost,
        on_event,
    } = start;
    Start {
        directory,
        folders,
        limits,
        http,
        tls,
        questions,
        termination,
        password_cost,
        on_event,
    }
}

fn exited(host: &str, shared: &Shared, reason: ExitReason) {
    let severity = if reason.code == ExitCode::Success {
        Severity::Info
    } else {
        Severity::Error
    };
    let event = Event {
        severity,
        name: "exit",
        message: format!("{}: {}", reason.code.number(), reason.message),
    };
    shared.note(elapsed(), host, &event);
    let exit = ProcessExit::Code(i32::from(reason.code.number()));
    let last_words = Some(reason.message.clone());
    if let Some(host) = shared.state().hosts.get_mut(host) {
        host.exits.push(reason);
    }
    shared.end(host, exit, last_words);
}

/// A process that can be stopped and continued: while it is paused its loop does not run, its timers
/// come late, and what others send it waits in its sockets.
async fn pausable<T>(host: &str, shared: &Shared, process: impl Future<Output = T>) -> T {
    let mut process = pin!(process);
    poll_fn(|context| {
        {
            let mut state = shared.state();
            if let Some(host) = state.hosts.get_mut(host)
                && host.paused
            {
                host.parked.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        process.as_mut().poll(context)
    })
    .await
}

/// Hands in what the scenario asks, and puts the answers where the scenario finds them.
async fn answer(
    front: Front,
    mut requests: mpsc::UnboundedReceiver<(u64, Request)>,
    shared: Shared,
) {
    while let Some((number, request)) = requests.recv().await {
        let (front, shared) = (front.clone(), shared.clone());
        tokio::task::spawn_local(async move {
            let reply = front.ask(request).await;
            shared.state().replies.insert(number, reply);
        });
    }
    pending().await
}
