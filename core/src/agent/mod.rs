//! The agent: starts, watches and stops the data nodes of its host.
//!
//! The controller tells it what is wanted, the whole set each time, so that lost, repeated and late
//! orders do no harm. What it has started outlives it: after a restart it finds its nodes again by
//! what it wrote down, and by the nodes themselves, which keep a connection to it.
//!
//! An agent decides that a *process* has ended. It never decides that a *node* is dead because it
//! cannot reach it.

mod child;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use child::{Around, Child, ChildRecord};

use crate::admin::{Refusal, Request, Response, StatusReport, Verb};
use crate::disk::FileName;
use crate::event::Event;
use crate::ids::{Alias, ConnId, ControllerEpoch, Incarnation, LogIndex, Role};
use crate::io::{Effect, ExitCode, ExitReason, Input, Machine};
use crate::limits::Limits;
use crate::message::{
    Attach, Attached, ChildAnswered, Children, Desired, DesiredNode, Envelope, LogRead, Message,
    Ping, Report, RestartPolicy,
};
use crate::mirror::words::{MirrorCopy, MirrorSurvey, MirrorSurveyed};
use crate::node_machine::{Base, Files, Other, read};
use crate::planted::Planted;
use crate::prng::Seed;
use crate::process::{ProcessEvent, ProcessOrder};
use crate::secret::ClusterSecret;
use crate::state_file::StateFile;
use crate::time::Timestamp;
use crate::uplink::{NodeFacts, UplinkEvent};
use crate::wire::codec;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Who and where it is.
    pub facts: NodeFacts,
    /// The cluster secret, if there is one.
    pub secret: Option<ClusterSecret>,
    /// Lines that the configuration file of every data node of this host gets beside those the
    /// controller sends: where the host's secret is, what the host is called.
    pub node_lines: String,
    /// Bounds and periods.
    pub limits: Limits,
    /// Bugs to be found by the simulator; none in production.
    #[doc(hidden)]
    pub planted: Planted,
}

/// What an agent keeps on disk: what it has started, and how far it has followed the controller.
///
/// Not what it was told to do. An agent that was away starts nothing before it has asked: the order
/// may have been taken back meanwhile, and a stop that was acknowledged has to stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct AgentState {
    /// The epoch and index of the newest orders.
    #[n(0)]
    as_of: (ControllerEpoch, LogIndex),
    /// The processes.
    #[n(1)]
    children: BTreeMap<Alias, ChildRecord>,
}

/// An agent.
#[derive(Clone, Debug)]
pub struct Agent {
    base: Base,
    node_lines: String,
    state: AgentState,
    /// The newest orders, once the controller has been asked.
    orders: BTreeMap<Alias, DesiredNode>,
    /// What happens to a node that crashed.
    restart: RestartPolicy,
    file: StateFile,
    children: BTreeMap<Alias, Child>,
    /// Data nodes that keep a connection to this agent.
    attached: BTreeMap<Alias, (ConnId, Incarnation)>,
    /// Questions of the controller that a node has not answered yet, by nonce.
    questions: BTreeMap<u64, Alias>,
    last_nonce: u64,
    tables_sent: u64,
    table_changed: bool,
    /// The last table that went out, to send no copies.
    last_table: Vec<crate::message::ChildStatus>,
}

fn state_file() -> FileName {
    FileName::fixed("agent.state")
}

impl Agent {
    /// Reads the home and begins.
    ///
    /// # Errors
    /// If a file of the home is damaged or belongs to another node. Nothing was changed.
    pub fn new(
        config: AgentConfig,
        files: &Files,
        seed: Seed,
        now: Timestamp,
    ) -> Result<Self, ExitReason> {
        let AgentConfig {
            facts,
            secret,
            node_lines,
            limits,
            planted,
        } = config;
        let state: AgentState = read(files, &state_file())?.unwrap_or_default();
        let mut base = Base::new(facts, secret.as_ref(), limits, planted, files, seed, now)?;
        base.uplink.start(now, &mut base.links, &mut base.out);
        let mut agent = Self {
            base,
            node_lines,
            state,
            orders: BTreeMap::new(),
            restart: RestartPolicy::Backoff,
            file: StateFile::new(state_file()),
            children: BTreeMap::new(),
            attached: BTreeMap::new(),
            questions: BTreeMap::new(),
            last_nonce: 0,
            tables_sent: 0,
            table_changed: true,
            last_table: Vec::new(),
        };
        agent.recover_children(now);
        agent.settle(now);
        Ok(agent)
    }

    fn recover_children(&mut self, now: Timestamp) {
        let policy = self.restart;
        let mut around = Around {
            now,
            limits: &self.base.limits,
            policy,
            planted: &self.base.planted,
            node_lines: &self.node_lines,
            out: &mut self.base.out,
        };
        for (alias, record) in &self.state.children {
            let child = Child::recovered(alias.clone(), record.clone(), &mut around);
            self.children.insert(alias.clone(), child);
        }
    }

    /// Has one child act.
    fn with_child(
        &mut self,
        now: Timestamp,
        alias: &Alias,
        act: impl FnOnce(&mut Child, &mut Around<'_>),
    ) {
        let policy = self.restart;
        if let Some(child) = self.children.get_mut(alias) {
            let mut around = Around {
                now,
                limits: &self.base.limits,
                policy,
                planted: &self.base.planted,
                node_lines: &self.node_lines,
                out: &mut self.base.out,
            };
            act(child, &mut around);
            self.table_changed = true;
        }
    }

    // ---- what the controller says ----

    fn desired(&mut self, now: Timestamp, epoch: ControllerEpoch, desired: Desired) {
        let as_of = (epoch, desired.as_of);
        if as_of < self.state.as_of {
            return;
        }
        let changed = self.restart != desired.restart
            || self.orders.len() != desired.nodes.len()
            || desired
                .nodes
                .iter()
                .any(|node| self.orders.get(&node.alias) != Some(node));
        self.state.as_of = as_of;
        self.restart = desired.restart;
        if !changed {
            return;
        }
        self.orders = desired
            .nodes
            .iter()
            .map(|node| (node.alias.clone(), node.clone()))
            .collect();
        for node in desired.nodes {
            let alias = node.alias.clone();
            self.children
                .entry(alias.clone())
                .or_insert_with(|| Child::new(alias.clone(), now));
            self.with_child(now, &alias, |child, around| child.order(node, around));
        }
        self.save(true);
    }

    fn ask_child(&mut self, alias: Alias) {
        let Some((conn, _)) = self.attached.get(&alias) else {
            return;
        };
        self.last_nonce += 1;
        self.questions.insert(self.last_nonce, alias);
        while self.questions.len() > QUESTIONS_MAX {
            self.questions.pop_first();
        }
        let ping = Message::Ping(Ping {
            nonce: self.last_nonce,
        });
        let envelope = self.base.uplink.envelope();
        self.base
            .links
            .send(*conn, envelope, ping, &mut self.base.out);
    }

    // ---- what the nodes of this host say ----

    fn attach(&mut self, now: Timestamp, conn: ConnId, attach: &Attach) {
        let alias = attach.alias.clone();
        self.attached
            .insert(alias.clone(), (conn, attach.incarnation));
        self.children
            .entry(alias.clone())
            .or_insert_with(|| Child::new(alias.clone(), now));
        self.with_child(now, &alias, |child, around| {
            child.attached(&attach.process, around)
        });
        let attached = Message::Attached(Attached {
            incarnation: attach.incarnation,
        });
        let envelope = self.base.uplink.envelope();
        self.base
            .links
            .send(conn, envelope, attached, &mut self.base.out);
    }

    /// Whoever rebuilds a controller's home asks: an agent keeps no copy of the log, and has seen
    /// controllers as every node has.
    fn surveyed(&mut self, conn: ConnId, ask: MirrorSurvey) {
        let surveyed = MirrorSurveyed {
            nonce: ask.nonce,
            witness: self.base.uplink.identity().witness,
            present: MirrorCopy::default(),
            aside: MirrorCopy::default(),
            hears_controller: self.base.uplink.hears_controller(),
        };
        let envelope = self.base.uplink.envelope();
        let message = Message::MirrorSurveyed(surveyed);
        self.base
            .links
            .send(conn, envelope, message, &mut self.base.out);
    }

    fn pong(&mut self, conn: ConnId, envelope: &Envelope, nonce: u64) {
        let Some(alias) = self.questions.remove(&nonce) else {
            return;
        };
        let from_it = self
            .attached
            .get(&alias)
            .is_some_and(|(attached, _)| *attached == conn);
        if let Some(node) = envelope.node
            && from_it
        {
            let answered = ChildAnswered {
                alias,
                node,
                node_epoch: envelope.node_epoch,
            };
            let Base {
                uplink, links, out, ..
            } = &mut self.base;
            uplink.send(Message::ChildAnswered(answered), links, out);
        }
    }

    fn process(&mut self, now: Timestamp, event: ProcessEvent) {
        match event {
            ProcessEvent::PortProbed { alias, state } => {
                self.with_child(now, &alias, |child, around| {
                    child.port_probed(state, around)
                });
            }
            ProcessEvent::Launched { alias, result } => {
                self.with_child(now, &alias, |child, around| child.launched(result, around));
            }
            ProcessEvent::Inspected {
                alias,
                identity,
                inspection,
            } => {
                self.with_child(now, &alias, |child, around| {
                    child.inspected(&identity, inspection, around);
                });
            }
            ProcessEvent::Exited {
                alias,
                identity,
                exit,
                log_tail,
            } => {
                self.with_child(now, &alias, |child, around| {
                    child.ended(&identity, exit, log_tail, around);
                });
            }
            ProcessEvent::LogRead { id, result } => {
                let (piece, error) = match result {
                    Ok(piece) => (Some(piece), String::new()),
                    Err(error) => (None, error),
                };
                let Base {
                    uplink, links, out, ..
                } = &mut self.base;
                uplink.send(Message::LogRead(LogRead { id, piece, error }), links, out);
            }
        }
    }

    // ---- the course of things ----

    fn sort(&mut self, now: Timestamp) {
        for other in self.base.sort_link_events(now) {
            match other {
                Other::Up(..) => {}
                Other::Message(conn, envelope, message) => {
                    let from_node = self
                        .base
                        .links
                        .peer(conn)
                        .is_some_and(|peer| peer.role == Role::DataNode);
                    let from_controller = (self.base.links)
                        .peer(conn)
                        .is_some_and(|peer| peer.role == Role::Controller);
                    match *message {
                        Message::Attach(attach) if from_node => self.attach(now, conn, &attach),
                        Message::Pong(pong) if from_node => self.pong(conn, &envelope, pong.nonce),
                        Message::MirrorSurvey(ask) if from_controller => self.surveyed(conn, ask),
                        _ => {}
                    }
                }
                Other::Down(conn) => self.attached.retain(|_, (attached, _)| *attached != conn),
            }
        }
        for event in self.base.uplink.take_events() {
            match event {
                UplinkEvent::Registered { report, .. } => {
                    // An agent has nothing to report: one empty page says so.
                    let report = Message::Report(Report::page_of(report, 0, 1));
                    let Base {
                        uplink, links, out, ..
                    } = &mut self.base;
                    uplink.send(report, links, out);
                    self.table_changed = true;
                    self.last_table.clear();
                }
                UplinkEvent::Online => {}
                UplinkEvent::Message(message) => self.ordered(now, *message),
            }
        }
    }

    /// A message of the controller.
    fn ordered(&mut self, now: Timestamp, message: Message) {
        match message {
            Message::Desired(desired) => {
                let epoch = self.base.uplink.identity().witness.epoch;
                self.desired(now, epoch, desired);
            }
            Message::AskChild(ask) => self.ask_child(ask.alias),
            Message::ReadLog(read) => {
                self.base.out.push(Effect::Process(ProcessOrder::ReadLog {
                    id: read.id,
                    alias: read.alias,
                    generation: read.generation,
                    range: read.range,
                }));
            }
            _ => {}
        }
    }

    /// Brings everything up to date: children, disk, controller.
    fn settle(&mut self, now: Timestamp) {
        self.base.tick(now);
        let aliases: Vec<Alias> = self.children.keys().cloned().collect();
        let mut any_dirty = false;
        let policy = self.restart;
        for alias in &aliases {
            let Some(child) = self.children.get_mut(alias) else {
                continue;
            };
            let mut around = Around {
                now,
                limits: &self.base.limits,
                policy,
                planted: &self.base.planted,
                node_lines: &self.node_lines,
                out: &mut self.base.out,
            };
            child.reconcile(&mut around);
            if child.take_dirty() {
                any_dirty = true;
                self.state
                    .children
                    .insert(alias.clone(), child.record().clone());
            }
        }
        self.save(any_dirty);
        self.send_table(now);
    }

    fn save(&mut self, changed: bool) {
        if changed {
            let save = self
                .file
                .save(&codec::encode(&self.state), &mut self.base.out);
            for child in self.children.values_mut() {
                child.saving(save);
            }
            self.table_changed = true;
        }
    }

    fn send_table(&mut self, now: Timestamp) {
        if !core::mem::take(&mut self.table_changed) {
            return;
        }
        let table: Vec<_> = self
            .children
            .values()
            .map(|child| child.status(now, &self.base.limits))
            .collect();
        if table == self.last_table && !table.is_empty() {
            return;
        }
        let message = Message::Children(Children {
            seq: self.tables_sent + 1,
            table: table.clone(),
        });
        let Base {
            uplink, links, out, ..
        } = &mut self.base;
        if uplink.send(message, links, out) {
            self.tables_sent += 1;
            self.last_table = table;
        } else {
            self.table_changed = true;
        }
    }

    fn disk_done(
        &mut self,
        now: Timestamp,
        ticket: crate::ids::DiskTicket,
        result: &Result<(), crate::disk::DiskFault>,
    ) {
        match self.file.disk_done(ticket, result, &mut self.base.out) {
            None => {}
            Some(Err(fault)) => {
                let text = format!(
                    "the agent's list of processes could not be written: {fault}. Mend the disk or \
                     free space, then start the agent again; its nodes run on"
                );
                self.base
                    .out
                    .notify(Event::error("agent.disk", text.clone()));
                self.base.out.exit(ExitCode::DiskFault, text);
            }
            Some(Ok(())) => {
                let durable = self.file.durable();
                let aliases: Vec<Alias> = self.children.keys().cloned().collect();
                for alias in aliases {
                    self.with_child(now, &alias, |child, around| child.saved(durable, around));
                }
            }
        }
    }

    fn request(&self, now: Timestamp, request: &Request) -> Result<Response, Refusal> {
        match request.verb {
            Verb::Status => Ok(Response::Status(Box::new(self.status(now)))),
            _ => Err(Refusal::NotHere {
                here: format!("agent {}", self.base.uplink.facts().site.alias),
                site: Some(self.base.uplink.facts().controller_site.to_string()),
            }),
        }
    }

    /// The agent's own view of itself.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> StatusReport {
        let facts = self.base.uplink.facts();
        let children = self.children.values();
        let alarms = children
            .map(|child| child.status(now, &self.base.limits))
            .filter(|status| !status.reason.is_empty())
            .map(|status| format!("{}: {}", status.alias, status.reason))
            .collect();
        StatusReport {
            alias: facts.site.alias.clone(),
            mode: Role::Agent,
            summary: self.base.uplink.describe(),
            ready: self.base.uplink.is_online(),
            nodes: Vec::new(),
            alarms,
            first_password: false,
            commit_index: None,
            log_copies: Vec::new(),
            uptime_ms: u64::try_from(now.since(self.base.started).as_millis()).unwrap_or(u64::MAX),
            all_green_after_ms: None,
            figures: self.base.measured.clone(),
        }
    }

    /// The processes this agent takes for its children, for the checkers of the simulators.
    #[doc(hidden)]
    pub fn running(&self) -> impl Iterator<Item = (&Alias, &crate::process::ProcessIdentity)> {
        self.children
            .iter()
            .filter_map(|(alias, child)| Some((alias, child.running()?)))
    }

    /// The newest order for a node that this agent knows, where that is not to run and the agent is not about
    /// to start it, for the checkers of the simulators.
    #[doc(hidden)]
    #[must_use]
    pub fn stopped_by(&self, alias: &Alias) -> Option<LogIndex> {
        self.children.get(alias)?.stopped_by()
    }

    fn terminate(&mut self) {
        let (uplink, around) = self.base.uplink();
        uplink.leave("SIGTERM", around.links, around.out);
        let text = "ending; the data nodes of this host run on";
        self.base.out.notify(Event::info("agent.ending", text));
        self.base.out.exit(ExitCode::Success, "ended as ordered");
    }
}

/// Unanswered questions kept.
const QUESTIONS_MAX: usize = 64;

impl Machine for Agent {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match self.base.handle(now, input) {
            Some(Input::Process(event)) => self.process(now, event),
            Some(Input::DiskDone { ticket, result }) => self.disk_done(now, ticket, &result),
            Some(Input::Request { id, request }) => {
                let reply = self.request(now, &request);
                self.base.out.reply(id, reply);
            }
            Some(Input::Terminate) => self.terminate(),
            Some(_) | None => {}
        }
        self.sort(now);
        self.settle(now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.base.out.pop()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let children = self
            .children
            .values()
            .filter_map(|child| child.next_deadline(&self.base.limits));
        children.chain(self.base.next_deadline()).min()
    }

    fn check_invariants(&self) {
        for (alias, child) in &self.children {
            if let Some(process) = child.running() {
                let holders = self
                    .children
                    .iter()
                    .filter(|(other, c)| *other != alias && c.running() == Some(process))
                    .count();
                assert!(
                    holders == 0,
                    "{alias} shares {process} with another data node"
                );
            }
        }
    }
}
