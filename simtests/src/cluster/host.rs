//! The life of a simulated host: one process, or none.

use std::future::{Future, pending, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::{mpsc, oneshot};
use vaquita_core::admin::Request;
use vaquita_core::event::{Event, Severity};
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::process::ProcessExit;
use vaquita_node::data::{DataSettings, data};
use vaquita_node::driver::{
    self, DriverLimits, EventObserver, Front, NoHttp, PasswordCost, Questions, Termination,
};
use vaquita_node::env::HostFolders;
use vaquita_node::server::{Start, run_agent, run_controller, run_data_node};

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
            reason = pausable(&host, &shared, run(program, env, start)) => Ok(reason),
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

async fn run(program: Program, env: TurmoilEnv, mut start: Start<NoHttp>) -> ExitReason {
    match program {
        Program::Controller(config) => run_controller(env, config, start).await,
        Program::Agent(config) => run_agent(env, config, start).await,
        Program::DataNode(config) => {
            start.folders = None;
            let settings = DataSettings {
                alias: config.facts.site.alias.clone(),
                build: config.facts.build.clone(),
                secret: config.secret.clone(),
                volumes: vec![start.directory.with_file_name("storage")],
                limits: start.limits.data.clone(),
            };
            let (_data, data_end) = data(&env, settings);
            run_data_node(env, config, data_end, start).await
        }
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
