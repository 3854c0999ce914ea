//! Runs a machine as a server process.
//!
//! One task owns the machine and does nothing but the round of the calling contract: wait for
//! something to happen, tell the machine, start what it asks for, look when it wants to be woken.
//! It never waits for a peer, a disk or a person. Whatever may take time has a task of its own that
//! brings its result back through a bounded channel:
//!
//! ```text
//!  UDP ──> reader ─────────────┐                      ┌──> socket (at once or not at all)
//!  TCP ──> acceptor ── sniff ──┤                      ├──> connection's outbox ──> TCP
//!             └──> HTTP, data  ├──> loop ── machine ──┼──> lane of the disk
//!  disk, processes, jobs ──────┤                      ├──> processes, jobs, volumes
//!  Front, signals ─────────────┘                      └──> log, replies
//! ```
//!
//! The sources are looked at in a fixed order, heartbeats before connections before the disk before
//! requests, each within its turn, so that neither a browser nor a flood delays the others.
//!
//! The loop is generic over [`Env`]: the same code runs on the operating system and on a simulated
//! one. It needs a tokio runtime with time and nothing else of it.

mod acceptor;
mod bind;
mod connection;
mod datagrams;
mod effects;
mod front;
mod http;
mod jobs;
mod lanes;
mod limits;
mod measure;
mod places;
mod rewound;
mod sniff;
mod terminate;
mod throttle;
mod turns;
mod volumes;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info};
use vaquita_core::event::Event;
use vaquita_core::io::{ExitCode, ExitReason, Input, Machine};
use vaquita_core::time::Timestamp;

pub use bind::{Port, bind};
pub(crate) use connection::close_reason;
pub use front::{Front, Questions, front};
pub use http::{HttpService, NoHttp, Transport};
pub(crate) use jobs::hash_password;
pub use jobs::{BuildCheckpoint, PasswordCost};
pub use lanes::SealedFile;
pub use limits::DriverLimits;
pub use places::Place;
pub(crate) use places::Places;
pub use rewound::Rewound;
pub use terminate::{Closing, Termination, Terminator, terminator};

use crate::data::DataEnd;
use crate::env::{Env, Processes};
use crate::tls::PortTls;
use acceptor::Acceptor;
use effects::Hands;
use lanes::Lanes;
pub(crate) use terminate::Close;
use turns::{Source, Turns};
use volumes::Volumes;

/// What is told about each event beside the log; counts them, usually.
pub type EventObserver = Box<dyn Fn(&Event) + Send + Sync>;

/// What a driver needs beside the machine.
pub struct Wiring<E: Env, H> {
    /// Its bounds.
    pub limits: DriverLimits,
    /// The sockets, from [`bind`].
    pub port: Port<E>,
    /// The machine's directory, locked.
    pub disk: E::Disk,
    /// The processes of this host, for a role that supervises some.
    pub processes: Option<E::Processes>,
    /// The volumes and what carries chunks to and from them, from [`data()`](crate::data::data), for
    /// a role that keeps some.
    pub data: Option<DataEnd<E>>,
    /// What serves connections that speak HTTP.
    pub http: H,
    /// What is shown to connections that begin with TLS.
    pub tls: PortTls,
    /// Requests, from [`front`].
    pub questions: Questions,
    /// Calls to end, from [`terminator`].
    pub termination: Termination,
    /// What a password hash costs.
    pub password_cost: PasswordCost,
    /// Builds checkpoints, for a role that keeps a log.
    pub build_checkpoint: Option<BuildCheckpoint>,
    /// Told of each event beside the log.
    pub on_event: Option<EventObserver>,
}

impl<E: Env, H> std::fmt::Debug for Wiring<E, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiring")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Runs a machine until it exits, and returns why it did.
///
/// A panic of the machine ends the run with [`ExitCode::Bug`]; a second call to end ends it at
/// once. Connections and replies get [`DriverLimits::farewell`] to be delivered. Started processes
/// live on.
pub async fn run<E, M, H>(env: E, machine: M, wiring: Wiring<E, H>) -> ExitReason
where
    E: Env,
    M: Machine,
    H: HttpService,
{
    let Wiring {
        limits,
        port,
        disk,
        processes,
        data,
        http,
        tls,
        mut questions,
        mut termination,
        password_cost,
        build_checkpoint,
        on_event,
    } = wiring;
    let limits = Arc::new(limits);
    let udp = port.udp;

    let (close, closing) = Close::new();
    let (conn_events, mut connections) = mpsc::channel(limits.inputs_max.max(1));
    let (datagram_sender, mut datagrams) = mpsc::channel(limits.inputs_max.max(1));
    let (completion_sender, mut completions) = mpsc::channel(limits.inputs_max.max(1));
    let (orders, order_receiver) = mpsc::channel(limits.orders_max.max(1));
    let (process_sender, mut process_events) = mpsc::channel(limits.inputs_max.max(1));

    let mut helpers = JoinSet::new();
    helpers.spawn(datagrams::read_datagrams(
        env.clone(),
        Arc::clone(&udp),
        datagram_sender,
        limits.drop_report_period,
    ));
    let has_processes = processes.is_some();
    if let Some(processes) = processes {
        helpers.spawn(processes.run(order_receiver, process_sender));
    }
    let volumes = data.as_ref().map(|end| Volumes::new(end.data.clone()));
    let data_service = data.as_ref().map(|end| end.data.clone());
    let (mut store_questions, mut volume_events) = match data {
        Some(end) => (Some(end.questions), Some(end.events)),
        None => (None, None),
    };
    let keeps_files = data_service.is_some();
    let http_places = Arc::new(Places::new(
        limits.http_connections_max,
        limits.http_connections_per_address,
    ));
    let (measured_sender, mut measured) = mpsc::channel(1);
    helpers.spawn(measure::measure(
        env.clone(),
        data_service.clone(),
        Arc::clone(&limits),
        measured_sender,
    ));
    let acceptor = Acceptor {
        env: env.clone(),
        http,
        tls,
        data: data_service,
        events: conn_events.clone(),
        closing,
        http_places: Arc::clone(&http_places),
        limits: Arc::clone(&limits),
    };
    let mut accepting = JoinSet::new();
    accepting.spawn(acceptor.run(port.listener));

    let mut hands = Hands {
        addresses: datagrams::Addresses::new(env.clone(), Arc::clone(&limits)),
        lines: Default::default(),
        dials: JoinSet::new(),
        conn_events,
        lanes: Lanes::start(&disk, limits.disk_batches_max, &completion_sender),
        disk,
        orders: has_processes.then_some(orders),
        volumes,
        asked: Default::default(),
        next_request: 1,
        jobs: JoinSet::new(),
        password_cost,
        build_checkpoint,
        on_event,
        own_inputs: Default::default(),
        udp,
        limits: Arc::clone(&limits),
        env: env.clone(),
    };
    let mut core = Core { machine, due: None };

    // Whoever writes a file has sent bytes that nobody else has: it is let finish, and only then is
    // the machine told to end, without which no write can.
    let mut draining = false;
    let mut drained = pin!(async { drop(timeout(limits.drain, http_places.all_left()).await) });

    let mut calls_to_end = 0_u32;
    let mut turns = Turns::new();
    let mut timer = pin!(sleep(Duration::ZERO));
    let mut timer_set_for = None;
    let mut outcome = core.begin(&mut hands);
    let exit = loop {
        if let Some(exit) = outcome {
            break exit;
        }
        if core.due != timer_set_for {
            timer_set_for = core.due;
            if let Some(due) = core.due {
                timer.as_mut().reset(Instant::now() + wait(&env, due));
            }
        }
        let input = tokio::select! {
            biased;
            Some(()) = termination.calls.recv() => {
                calls_to_end += 1;
                if calls_to_end > 1 {
                    break ExitReason {
                        code: ExitCode::Success,
                        message: "ended at once by a second call to end".to_owned(),
                    };
                }
                info!("asked to end; a second call ends at once");
                if keeps_files {
                    close.begin();
                    draining = true;
                    continue;
                }
                Input::Terminate
            }
            () = &mut drained, if draining => {
                draining = false;
                Input::Terminate
            }
            () = &mut timer, if timer_set_for.is_some() && turns.may(Source::Timer) => {
                turns.took(Source::Timer);
                // The machine may ask for the same moment again; the timer has to be set again.
                timer_set_for = None;
                if core.due.is_some_and(|due| due > env.now()) {
                    continue;
                }
                Input::Deadline
            }
            Some(input) = datagrams.recv(), if turns.may(Source::Datagrams) => {
                turns.took(Source::Datagrams);
                input
            }
            found = hands.addresses.lookup_ended(), if turns.may(Source::Lookups) => {
                turns.took(Source::Lookups);
                hands.addresses.take(&hands.udp, found);
                continue;
            }
            Some(event) = connections.recv(), if turns.may(Source::Connections) => {
                turns.took(Source::Connections);
                match hands.connection_input(event) {
                    Some(input) => input,
                    None => continue,
                }
            }
            Some((ticket, result)) = completions.recv(), if turns.may(Source::Disk) => {
                turns.took(Source::Disk);
                Input::DiskDone { ticket, result }
            }
            Some(input) = next(&mut volume_events), if turns.may(Source::Volumes) => {
                turns.took(Source::Volumes);
                input
            }
            Some(event) = process_events.recv(), if turns.may(Source::Processes) => {
                turns.took(Source::Processes);
                Input::Process(event)
            }
            Some(done) = hands.jobs.join_next(),
                if turns.may(Source::Jobs) && !hands.jobs.is_empty() =>
            {
                turns.took(Source::Jobs);
                match done {
                    Ok((job, outcome)) => Input::JobDone { job, outcome },
                    Err(failure) => {
                        error!("a computation ended by a bug in this program: {failure}");
                        continue;
                    }
                }
            }
            Some(question) = next(&mut store_questions), if turns.may(Source::Chunks) => {
                turns.took(Source::Chunks);
                match &mut hands.volumes {
                    Some(volumes) => volumes.question_input(question),
                    None => continue,
                }
            }
            Some(question) = questions.receiver.recv(), if turns.may(Source::Requests) => {
                turns.took(Source::Requests);
                match hands.request_input(question) {
                    Some(input) => input,
                    None => continue,
                }
            }
            Some(input) = measured.recv(), if turns.may(Source::Figures) => {
                turns.took(Source::Figures);
                input
            }
            // Whoever is left over has used up its turns.
            () = std::future::ready(()), if turns.somebody_waits() => {
                turns.next_round();
                continue;
            }
        };
        outcome = core.step(input, &mut hands);
    };

    // The machine is gone. What it has said is still delivered, if the peers take it soon; unless
    // somebody who has called twice waits for this process to be gone.
    if calls_to_end > 1 {
        return exit;
    }
    drop(core);
    drop(connections);
    drop((store_questions, volume_events));
    close.begin();
    let mut dials = hands.farewell();
    let delivered = async {
        while accepting.join_next().await.is_some() {}
        while dials.join_next().await.is_some() {}
    };
    let _ = timeout(limits.farewell, delivered).await;
    exit
}

/// What comes next through a channel, if there is one.
async fn next<T>(channel: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match channel {
        Some(channel) => channel.recv().await,
        None => None,
    }
}

/// How long until `due`. Long waits are cut into hours, which keeps them within what a timer can
/// hold.
fn wait<E: Env>(env: &E, due: Timestamp) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3600);
    due.since(env.now()).min(LONGEST)
}

/// The machine, with its panics caught.
struct Core<M> {
    machine: M,
    due: Option<Timestamp>,
}

impl<M: Machine> Core<M> {
    /// Carries out what the machine wants before it has been told anything.
    fn begin<E: Env>(&mut self, hands: &mut Hands<E>) -> Option<ExitReason> {
        self.round(None, hands).or_else(|| self.own_inputs(hands))
    }

    /// Tells the machine one thing and carries out what it asks for.
    fn step<E: Env>(&mut self, input: Input, hands: &mut Hands<E>) -> Option<ExitReason> {
        self.round(Some(input), hands)
            .or_else(|| self.own_inputs(hands))
    }

    /// Tells the machine what carrying out its effects brought about at once.
    fn own_inputs<E: Env>(&mut self, hands: &mut Hands<E>) -> Option<ExitReason> {
        while let Some(input) = hands.own_inputs.pop_front() {
            let exit = self.round(Some(input), hands);
            if exit.is_some() {
                return exit;
            }
        }
        None
    }

    /// One round of the calling contract.
    fn round<E: Env>(&mut self, input: Option<Input>, hands: &mut Hands<E>) -> Option<ExitReason> {
        let round = AssertUnwindSafe(|| {
            if let Some(input) = input {
                self.machine.handle(hands.env.now(), input);
            }
            let mut started = 0;
            while let Some(effect) = self.machine.poll_effect() {
                let exit = hands.carry_out(effect);
                if exit.is_some() {
                    return exit;
                }
                started += 1;
                assert!(
                    started < hands.limits.effects_per_input,
                    "one input caused {started} effects, and still more follow"
                );
            }
            self.due = self.machine.poll_timeout();
            None
        });
        // After a panic the machine is dropped without being asked anything again, so that a state
        // it left half changed is never seen.
        catch_unwind(round).unwrap_or_else(|panic| {
            let words = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no words were left");
            let message = format!(
                "ended by a bug in this program: {words}. Nothing unsynced was acknowledged. \
                 Please report it with the last lines of this log; starting again is safe"
            );
            error!("{message}");
            Some(ExitReason {
                code: ExitCode::Bug,
                message,
            })
        })
    }
}
