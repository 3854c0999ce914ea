//! Starts what the machine asks for, and turns what comes back into inputs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};
use vaquita_core::admin::{Caller, Refusal, Reply, Verb};
use vaquita_core::dfs::ask::Ask;
use vaquita_core::disk::DiskBatch;
use vaquita_core::event::{Event, Severity};
use vaquita_core::ids::{ConnId, Endpoint, JobId, RequestId};
use vaquita_core::io::{
    CloseReason, Destination, Effect, ExitCode, ExitReason, Input, Job, JobOutcome,
};
use vaquita_core::process::ProcessOrder;

use super::connection::{ConnEvent, Line, TooSlow, converse, line};
use super::datagrams::{Addresses, send};
use super::front::Question;
use super::jobs::{BuildCheckpoint, PasswordCost, compute};
use super::lanes::Lanes;
use super::volumes::Volumes;
use super::{DriverLimits, EventObserver};
use crate::env::Env;

/// Everything that carries out effects.
pub(super) struct Hands<E: Env> {
    pub(super) env: E,
    pub(super) limits: Arc<DriverLimits>,
    pub(super) udp: Arc<E::Udp>,
    pub(super) addresses: Addresses<E>,
    pub(super) lines: BTreeMap<ConnId, Line>,
    /// Connections that the machine opened.
    pub(super) dials: JoinSet<()>,
    pub(super) conn_events: mpsc::Sender<ConnEvent>,
    pub(super) lanes: Lanes,
    pub(super) disk: E::Disk,
    pub(super) orders: Option<mpsc::Sender<ProcessOrder>>,
    /// In a process that keeps chunks.
    pub(super) volumes: Option<Volumes<E>>,
    pub(super) asked: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    pub(super) next_request: u64,
    pub(super) jobs: JoinSet<(JobId, JobOutcome)>,
    pub(super) password_cost: PasswordCost,
    pub(super) build_checkpoint: Option<BuildCheckpoint>,
    pub(super) on_event: Option<EventObserver>,
    /// What carrying out an effect brought about at once; told to the machine next.
    pub(super) own_inputs: VecDeque<Input>,
}

impl<E: Env> Hands<E> {
    /// Starts one effect. Returns why the process ends, if it does.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<ExitReason> {
        match effect {
            Effect::SendDatagram { to, bytes } => match to {
                Destination::Address(address) => {
                    send(&*self.udp, address, &bytes);
                }
                Destination::Endpoint(endpoint) => {
                    self.addresses.send(&self.udp, &endpoint, bytes);
                }
            },
            Effect::Connect { conn, to } => self.connect(conn, to),
            Effect::Send { conn, bytes } => self.send(conn, bytes),
            Effect::Close { conn } => {
                // Its task writes what is queued and ends.
                self.lines.remove(&conn);
            }
            Effect::Disk(batch) => return self.write(batch),
            Effect::Process(order) => return self.order(order),
            Effect::Reply { id, reply } => {
                if let Some(asker) = self.asked.remove(&id) {
                    // Whoever asked may have left.
                    let _ = asker.send(reply);
                }
            }
            Effect::Job { job, work } => self.compute(job, work),
            Effect::Notify(event) => self.notify(&event),
            Effect::StoreReply { id, reply } => {
                self.about_volumes(|volumes| volumes.answer(id, reply));
            }
            Effect::OpenVolume { slot } => self.about_volumes(|volumes| {
                volumes.open(slot);
                None
            }),
            Effect::CloseVolume { slot } => self.about_volumes(|volumes| {
                volumes.close(slot);
                None
            }),
            Effect::Volume { slot, batch, fills } => {
                self.about_volumes(|volumes| volumes.write(slot, batch, fills))
            }
            Effect::DropStage { stage } => self.about_volumes(|volumes| {
                volumes.drop_stage(stage);
                None
            }),
            Effect::Copy(order) => self.about_volumes(|volumes| {
                volumes.copy(order);
                None
            }),
            Effect::Scrub { version } => self.about_volumes(|volumes| {
                volumes.scrub(version);
                None
            }),
            Effect::ReadLabel { slot, ticket } => self.about_volumes(|volumes| {
                volumes.read_label(slot, ticket);
                None
            }),
            Effect::Exit(reason) => return Some(reason),
        }
        None
    }

    /// What an event of a connection is to the machine; nothing, once the machine has closed it or
    /// has been told of its end.
    pub(super) fn connection_input(&mut self, event: ConnEvent) -> Option<Input> {
        self.reap();
        match event {
            ConnEvent::Accepted { conn, from, line } => {
                self.lines.insert(conn, line);
                Some(Input::Accepted { conn, from })
            }
            ConnEvent::Connected { conn, peer } => self
                .lines
                .contains_key(&conn)
                .then_some(Input::Connected { conn, peer }),
            ConnEvent::Received { conn, bytes } => self
                .lines
                .contains_key(&conn)
                .then_some(Input::Received { conn, bytes }),
            ConnEvent::Ended { conn, reason } => self
                .lines
                .remove(&conn)
                .map(|_| Input::Closed { conn, reason }),
        }
    }

    /// Gives a question its number. A question that nobody waits for any more is dropped, and one
    /// too many is refused.
    pub(super) fn request_input(&mut self, question: Question) -> Option<Input> {
        let Question { mut request, reply } = question;
        if reply.is_closed() {
            return None;
        }
        if self.asked.len() >= self.limits.replies_max {
            self.asked.retain(|_, asker| !asker.is_closed());
        }
        if self.asked.len() >= self.limits.replies_max {
            let _ = reply.send(Err(Refusal::Busy {
                reason: format!("{} requests are waiting already", self.asked.len()),
                retry_after: std::time::Duration::from_secs(1),
            }));
            return None;
        }
        let (Caller::Remote { unix_ms, .. }
        | Caller::Console { unix_ms }
        | Caller::Signal { unix_ms }
        | Caller::Process { unix_ms }) = &mut request.caller;
        *unix_ms = self.env.unix_ms();
        if let Verb::Dfs(Ask::MakeDir { unix_ms, .. }) = &mut request.verb {
            *unix_ms = self.env.unix_ms();
        }
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.asked.insert(id, reply);
        Some(Input::Request { id, request })
    }

    /// Lets every connection end in good order; returns those that the machine opened, still
    /// writing.
    pub(super) fn farewell(self) -> JoinSet<()> {
        self.dials
    }

    fn connect(&mut self, conn: ConnId, to: Endpoint) {
        let (line, outbox) = line(&self.limits);
        self.lines.insert(conn, line);
        let env = self.env.clone();
        let events = self.conn_events.clone();
        let limits = Arc::clone(&self.limits);
        self.dials.spawn(async move {
            let dialled = timeout(limits.connect_timeout, env.connect(&to)).await;
            match dialled.unwrap_or(Err(CloseReason::TimedOut)) {
                Ok((stream, peer)) => {
                    let connected = ConnEvent::Connected { conn, peer };
                    if events.send(connected).await.is_ok() {
                        converse(conn, stream, Bytes::new(), outbox, &events, &limits).await;
                    }
                }
                Err(reason) => {
                    let _ = events.send(ConnEvent::Ended { conn, reason }).await;
                }
            }
        });
    }

    fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(line) = self.lines.get(&conn) else {
            // It has ended, and the machine will be told or has been.
            return;
        };
        if let Err(TooSlow { queued }) = line.send(bytes, &self.limits) {
            if let Some(line) = self.lines.remove(&conn) {
                line.cut();
            }
            self.own_inputs.push_back(Input::Closed {
                conn,
                reason: CloseReason::Broken(format!(
                    "the peer reads too slowly: {queued} bytes were waiting to be sent"
                )),
            });
        }
    }

    fn write(&mut self, batch: DiskBatch) -> Option<ExitReason> {
        let refused = self.lanes.submit(batch).err()?;
        Some(ExitReason {
            code: ExitCode::DiskFault,
            message: format!(
                "{} batches of the lane {:?} wait for the disk and none gets done: the disk under \
                 the home hangs. Check it (dmesg), then start this process again",
                self.limits.disk_batches_max, refused.lane
            ),
        })
    }

    fn order(&mut self, order: ProcessOrder) -> Option<ExitReason> {
        let Some(orders) = &self.orders else {
            error!("this role supervises no processes, and was asked to: {order:?}");
            return None;
        };
        orders.try_send(order).err()?;
        Some(ExitReason {
            code: ExitCode::Bug,
            message: format!(
                "{} orders about processes wait and none gets done: this host does not start or \
                 inspect processes any more. Its processes run on; start this one again",
                self.limits.orders_max
            ),
        })
    }

    /// Does something about volumes, and keeps what it brought about at once.
    fn about_volumes(&mut self, work: impl FnOnce(&mut Volumes<E>) -> Option<Input>) {
        match &mut self.volumes {
            Some(volumes) => self.own_inputs.extend(work(volumes)),
            None => error!("this process has no volumes, and its machine asks for some"),
        }
    }

    fn compute(&mut self, job: JobId, work: Job) {
        let env = self.env.clone();
        let disk = self.disk.clone();
        let cost = self.password_cost;
        let build = self.build_checkpoint.clone();
        self.jobs
            .spawn(async move { (job, compute(env, disk, cost, build, work).await) });
    }

    fn notify(&self, event: &Event) {
        log(event);
        if let Some(observer) = &self.on_event {
            observer(event);
        }
    }

    /// Forgets the tasks of connections that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.dials.try_join_next() {
            if let Err(failure) = ended {
                error!("a connection ended by a bug in this program: {failure}");
            }
        }
    }
}

/// Writes an event to the log. Its name is a field, for programs; the line has the sentence.
fn log(event: &Event) {
    let Event { name, message, .. } = event;
    match event.severity {
        Severity::Debug => debug!(name, "{message}"),
        Severity::Info => info!(name, "{message}"),
        Severity::Warning => warn!(name, "{message}"),
        Severity::Error => error!(name, "{message}"),
    }
}
