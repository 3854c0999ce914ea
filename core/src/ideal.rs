//! A cluster in which nothing goes wrong by itself: no latency, no loss, a disk that keeps what it
//! is given. The tests of this crate tell stories of the machines in it; what happens when things do
//! go wrong is for the simulators.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::admin::{Caller, NodeRow, NodeState, Reply, Request, Selection, Verb};
use crate::agent::{Agent, AgentConfig};
use crate::controller::{
    Controller, ControllerConfig, FilesConfig, Member, Reconfiguration, plan_home_repair,
};
use crate::datanode::{DataNode, DataNodeConfig, VolumesConfig};
use crate::disk::FileName;
use crate::event::Event;
use crate::figures::Figures;
use crate::ids::{Alias, ConnId, Endpoint, HostId, LineageId, LogIndex, RequestId, Role, Site};
use crate::io::{
    CloseReason, Destination, Effect, ExitReason, Input, Job, JobOutcome, Machine, Piece,
};
use crate::limits::Limits;
use crate::message::RestartPolicy;
use crate::mirror::{self, Shelf};
use crate::node_machine::Files;
use crate::planted::Planted;
use crate::prng::Seed;
use crate::process::{
    Inspection, PortState, ProcessEvent, ProcessExit, ProcessIdentity, ProcessOrder,
};
use crate::state;
use crate::time::Timestamp;
use crate::uplink::NodeFacts;

/// A machine of any role.
#[derive(Debug)]
pub(crate) enum Any {
    Controller(Box<Controller>),
    Agent(Box<Agent>),
    DataNode(Box<DataNode>),
}

impl Any {
    fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Self::Controller(controller) => &mut **controller,
            Self::Agent(agent) => &mut **agent,
            Self::DataNode(node) => &mut **node,
        }
    }

    fn timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Controller(controller) => controller.poll_timeout(),
            Self::Agent(agent) => agent.poll_timeout(),
            Self::DataNode(node) => node.poll_timeout(),
        }
    }
}

#[derive(Debug)]
struct Process {
    machine: Any,
    identity: ProcessIdentity,
    /// Handles nothing while it is stopped by a signal.
    frozen: bool,
}

/// The cluster.
#[derive(Debug)]
pub(crate) struct Ideal {
    pub(crate) now: Timestamp,
    processes: BTreeMap<SocketAddr, Process>,
    disks: BTreeMap<SocketAddr, Files>,
    queue: VecDeque<(SocketAddr, Input)>,
    pipes: BTreeMap<(SocketAddr, ConnId), (SocketAddr, ConnId)>,
    last_conn: u64,
    last_pid: u32,
    last_seed: u64,
    pub(crate) events: Vec<(SocketAddr, Event)>,
    pub(crate) exits: Vec<(SocketAddr, ExitReason)>,
    replies: BTreeMap<RequestId, Reply>,
    last_request: u64,
    /// Ports that a stranger holds.
    pub(crate) held: BTreeMap<u16, String>,
    /// Whether datagrams arrive.
    pub(crate) udp_passes: bool,
    /// A process whose connections carry nothing, to whom and from whom it may be, nor their end.
    pub(crate) without_tcp: Option<SocketAddr>,
    pub(crate) limits: Limits,
    pub(crate) planted: Planted,
    pub(crate) restart: RestartPolicy,
    /// How many hosts the files name.
    pub(crate) hosts: u8,
}

pub(crate) fn alias(text: &str) -> Alias {
    Alias::new(text).expect("a test's alias is legal")
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], port))
}

fn site(host: u8, port: u16, name: &str) -> Site {
    Site {
        endpoint: Endpoint {
            host: format!("127.0.0.{host}"),
            port,
        },
        alias: alias(name),
    }
}

pub(crate) const CONTROLLER: u8 = 1;
const CONTROLLER_PORT: u16 = 8990;
const AGENT_PORT: u16 = 8960;
const NODE_PORT: u16 = 8961;

impl Ideal {
    /// A cluster of `hosts` hosts with an agent and a data node each; nothing runs yet.
    pub(crate) fn of(hosts: u8) -> Self {
        Self {
            now: Timestamp::ZERO,
            processes: BTreeMap::new(),
            disks: BTreeMap::new(),
            queue: VecDeque::new(),
            pipes: BTreeMap::new(),
            last_conn: 1,
            last_pid: 100,
            last_seed: 0,
            events: Vec::new(),
            exits: Vec::new(),
            replies: BTreeMap::new(),
            last_request: 0,
            held: BTreeMap::new(),
            udp_passes: true,
            without_tcp: None,
            limits: Limits {
                reserve_bytes: 4096,
                ..Limits::default()
            },
            planted: Planted::default(),
            restart: RestartPolicy::Backoff,
            hosts,
        }
    }

    /// The same with everything running and online.
    pub(crate) fn running(hosts: u8) -> Self {
        let mut cluster = Self::of(hosts);
        cluster.start_controller();
        for host in 2..2 + hosts {
            cluster.start_agent(host);
        }
        cluster.run_for(Duration::from_secs(1));
        cluster
            .ask(Verb::StartNodes(Selection::All))
            .expect("the console may start nodes");
        cluster.run_for(Duration::from_secs(1));
        for row in cluster.rows() {
            assert_eq!(row.state, NodeState::Online, "{row:?}");
        }
        cluster
    }

    fn seed(&mut self) -> Seed {
        self.last_seed += 1;
        Seed::from_number(self.last_seed)
    }

    fn identity(&mut self) -> ProcessIdentity {
        self.last_pid += 1;
        ProcessIdentity {
            pid: self.last_pid,
            start_ticks: u64::from(self.last_pid) * 7,
            boot_id: "boot-1".to_owned(),
            executable: (1, 2),
        }
    }

    /// What the files say, as a start reads them.
    pub(crate) fn configuration(&self) -> Reconfiguration {
        let mut members = Vec::new();
        for host in 2..2 + self.hosts {
            let node = host - 1;
            members.push(Member {
                site: site(host, AGENT_PORT, &format!("P{node}-agent")),
                role: Role::Agent,
                host: format!("127.0.0.{host}"),
                node_cfg: String::new(),
            });
            members.push(Member {
                site: site(host, NODE_PORT, &format!("P{node}-NODE1")),
                role: Role::DataNode,
                host: format!("127.0.0.{host}"),
                node_cfg: "workerNum=4\n".to_owned(),
            });
        }
        Reconfiguration {
            members,
            recovery_wait: Some(Duration::from_secs(300)),
            restart: self.restart,
            restart_stopped: false,
            files: FilesConfig::default(),
        }
    }

    pub(crate) fn start_controller(&mut self) {
        self.try_start_controller().expect("it starts");
    }

    pub(crate) fn try_start_controller(&mut self) -> Result<(), ExitReason> {
        let Reconfiguration {
            members,
            recovery_wait,
            restart,
            restart_stopped,
            files: kept,
        } = self.configuration();
        let config = ControllerConfig {
            site: site(CONTROLLER, CONTROLLER_PORT, "master"),
            members,
            heartbeat_timeout: Duration::from_secs(8),
            recovery_wait,
            lan_cluster: true,
            restart,
            restart_stopped,
            secret: None,
            bootstrap: None,
            files: kept,
            mirrors: 0,
            build: "test".to_owned(),
            limits: self.limits.clone(),
            planted: self.planted,
        };
        let at = address(CONTROLLER, CONTROLLER_PORT);
        let files = self.disks.entry(at).or_default().clone();
        let seed = self.seed();
        let controller = Controller::new(config, &files, seed, self.now)?;
        self.insert(at, Any::Controller(Box::new(controller)));
        Ok(())
    }

    fn facts(&mut self, site: Site, role: Role, host: u8) -> NodeFacts {
        NodeFacts {
            site,
            role,
            controller_site: self::site(CONTROLLER, CONTROLLER_PORT, "master"),
            lan_cluster: true,
            host: HostId::new([host; 16]),
            process: self.identity(),
            build: "test".to_owned(),
        }
    }

    pub(crate) fn start_agent(&mut self, host: u8) {
        let at = address(host, AGENT_PORT);
        let name = format!("P{}-agent", host - 1);
        let config = AgentConfig {
            facts: self.facts(site(host, AGENT_PORT, &name), Role::Agent, host),
            secret: None,
            node_lines: String::new(),
            limits: self.limits.clone(),
            planted: self.planted,
        };
        let files = self.disks.entry(at).or_default().clone();
        let seed = self.seed();
        let agent = Agent::new(config, &files, seed, self.now).expect("it starts");
        self.insert(at, Any::Agent(Box::new(agent)));
    }

    pub(crate) fn start_node(&mut self, host: u8) -> ProcessIdentity {
        let at = address(host, NODE_PORT);
        let name = format!("P{}-NODE1", host - 1);
        let facts = self.facts(site(host, NODE_PORT, &name), Role::DataNode, host);
        let identity = facts.process.clone();
        let config = DataNodeConfig {
            facts,
            agent: Some(Endpoint {
                host: format!("127.0.0.{host}"),
                port: AGENT_PORT,
            }),
            volumes: VolumesConfig::default(),
            secret: None,
            limits: self.limits.clone(),
            planted: self.planted,
        };
        let files = self.disks.entry(at).or_default().clone();
        let seed = self.seed();
        let node = DataNode::new(config, &files, seed, self.now).expect("it starts");
        self.insert_as(at, Any::DataNode(Box::new(node)), identity.clone());
        identity
    }

    fn insert(&mut self, at: SocketAddr, machine: Any) {
        let identity = self.identity();
        self.insert_as(at, machine, identity);
    }

    fn insert_as(&mut self, at: SocketAddr, machine: Any, identity: ProcessIdentity) {
        assert!(!self.processes.contains_key(&at), "two processes at {at}");
        self.processes.insert(
            at,
            Process {
                machine,
                identity,
                frozen: false,
            },
        );
        self.drain(at);
    }

    pub(crate) fn node_at(host: u8) -> SocketAddr {
        address(host, NODE_PORT)
    }

    pub(crate) fn agent_at(host: u8) -> SocketAddr {
        address(host, AGENT_PORT)
    }

    pub(crate) fn controller_at() -> SocketAddr {
        address(CONTROLLER, CONTROLLER_PORT)
    }

    /// The controller that runs.
    pub(crate) fn controller(&mut self) -> &mut Controller {
        let process = self.processes.get_mut(&Self::controller_at());
        match &mut process.expect("it runs").machine {
            Any::Controller(controller) => controller,
            other => panic!("{other:?} is no controller"),
        }
    }

    /// The files of the process there, running or not.
    pub(crate) fn disk(&mut self, at: SocketAddr) -> &mut Files {
        self.disks.entry(at).or_default()
    }

    /// Gives up the controller's records behind `upto`.
    pub(crate) fn repair(&mut self, upto: LogIndex, lineage: LineageId) {
        let files = self.disk(Self::controller_at());
        let repair = plan_home_repair(files, upto, lineage).expect("the home can be repaired");
        repair.ops.iter().for_each(|op| op.apply_in_memory(files));
    }

    /// Whether a process runs there.
    pub(crate) fn runs(&self, at: SocketAddr) -> bool {
        self.processes.contains_key(&at)
    }

    pub(crate) fn pid(&self, at: SocketAddr) -> Option<u32> {
        self.processes.get(&at).map(|process| process.identity.pid)
    }

    /// Ends a process without its having a say.
    pub(crate) fn kill(&mut self, at: SocketAddr) {
        self.end(at, ProcessExit::Signal(9));
    }

    /// SIGSTOP, or SIGCONT.
    pub(crate) fn freeze(&mut self, at: SocketAddr, frozen: bool) {
        self.processes.get_mut(&at).expect("it runs").frozen = frozen;
    }

    /// SIGTERM by hand.
    pub(crate) fn terminate(&mut self, at: SocketAddr) {
        self.queue.push_back((at, Input::Terminate));
        self.settle();
    }

    fn end(&mut self, at: SocketAddr, exit: ProcessExit) {
        let Some(process) = self.processes.remove(&at) else {
            return;
        };
        let ends: Vec<_> = self
            .pipes
            .keys()
            .filter(|(side, _)| *side == at)
            .copied()
            .collect();
        for end in ends {
            if let Some((other, conn)) = self.pipes.remove(&end) {
                self.pipes.remove(&(other, conn));
                let reason = CloseReason::Broken("connection reset".to_owned());
                self.queue
                    .push_back((other, Input::Closed { conn, reason }));
            }
        }
        self.queue.retain(|(to, _)| *to != at);
        if let Any::DataNode(_) = process.machine {
            let agent = SocketAddr::new(at.ip(), AGENT_PORT);
            let last = at
                .ip()
                .to_string()
                .rsplit('.')
                .next()
                .expect("an address")
                .to_owned();
            let host: u8 = last.parse().expect("a host number");
            let event = ProcessEvent::Exited {
                alias: alias(&format!("P{}-NODE1", host - 1)),
                identity: process.identity,
                exit,
                log_tail: vec!["the last line".to_owned()],
            };
            self.queue.push_back((agent, Input::Process(event)));
        }
        self.settle();
    }

    /// Asks the controller from its console.
    pub(crate) fn ask(&mut self, verb: Verb) -> Reply {
        self.ask_as(Caller::CONSOLE, verb)
    }

    /// Asks the controller as somebody.
    pub(crate) fn ask_as(&mut self, caller: Caller, verb: Verb) -> Reply {
        self.try_ask_as(caller, verb)
            .expect("in an ideal cluster every request is answered at once")
    }

    /// Asks the controller as somebody what may be answered later.
    pub(crate) fn try_ask_as(&mut self, caller: Caller, verb: Verb) -> Option<Reply> {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let request = Request { caller, verb };
        self.queue
            .push_back((Self::controller_at(), Input::Request { id, request }));
        self.settle();
        self.replies.remove(&id)
    }

    /// What a file of the controller's directory holds.
    pub(crate) fn controllers_file(&self, name: &'static str) -> Option<&[u8]> {
        let files = self.disks.get(&Self::controller_at())?;
        files.get(&FileName::fixed(name)).map(Vec::as_slice)
    }

    pub(crate) fn rows(&self) -> Vec<NodeRow> {
        match &self.processes[&Self::controller_at()].machine {
            Any::Controller(controller) => controller.rows(self.now),
            other => panic!("{other:?} at the controller's address"),
        }
    }

    pub(crate) fn row(&self, name: &str) -> NodeRow {
        let rows = self.rows();
        rows.into_iter()
            .find(|row| row.alias.as_str() == name)
            .expect("a known alias")
    }

    pub(crate) fn state(&self, name: &str) -> NodeState {
        self.row(name).state
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.events
            .iter()
            .filter(|(_, seen)| seen.name == event)
            .count()
    }

    /// A process is told what its driver has measured.
    pub(crate) fn measure(&mut self, at: SocketAddr, figures: Figures) {
        self.queue
            .push_back((at, Input::Measured(Box::new(figures))));
        self.settle();
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.settle();
        loop {
            let next = self
                .processes
                .iter()
                .filter(|(_, process)| !process.frozen)
                .filter_map(|(&at, process)| Some((process.machine.timeout()?, at)))
                .min();
            match next {
                Some((due, at)) if due <= end => {
                    self.now = self.now.max(due);
                    self.queue.push_back((at, Input::Deadline));
                    self.settle();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn settle(&mut self) {
        let mut steps = 0;
        let mut held_back = VecDeque::new();
        while let Some((to, input)) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "the machines talk without end");
            let Some(process) = self.processes.get_mut(&to) else {
                continue;
            };
            if process.frozen {
                held_back.push_back((to, input));
                continue;
            }
            process.machine.machine().handle(self.now, input);
            process.machine.machine().check_invariants();
            self.drain(to);
        }
        self.queue = held_back;
    }

    fn drain(&mut self, at: SocketAddr) {
        while let Some(process) = self.processes.get_mut(&at) {
            let Some(effect) = process.machine.machine().poll_effect() else {
                return;
            };
            self.carry_out(at, effect);
        }
    }

    /// Whether no connection between these two carries anything.
    fn is_cut(&self, one: SocketAddr, other: SocketAddr) -> bool {
        self.without_tcp.is_some_and(|it| it == one || it == other)
    }

    fn carry_out(&mut self, at: SocketAddr, effect: Effect) {
        match effect {
            Effect::SendDatagram { to, bytes } => {
                let to = match to {
                    Destination::Address(address) => address,
                    Destination::Endpoint(endpoint) => parse(&endpoint),
                };
                if self.udp_passes {
                    self.queue
                        .push_back((to, Input::Datagram { from: at, bytes }));
                }
            }
            Effect::Connect { conn, to } => {
                let to = parse(&to);
                if self.processes.contains_key(&to) && !self.is_cut(at, to) {
                    self.last_conn += 2;
                    let accepted = ConnId(self.last_conn);
                    self.pipes.insert((at, conn), (to, accepted));
                    self.pipes.insert((to, accepted), (at, conn));
                    self.queue.push_back((
                        to,
                        Input::Accepted {
                            conn: accepted,
                            from: at,
                        },
                    ));
                    self.queue
                        .push_back((at, Input::Connected { conn, peer: to }));
                } else {
                    let reason = CloseReason::Refused;
                    self.queue.push_back((at, Input::Closed { conn, reason }));
                }
            }
            Effect::Send { conn, bytes } => {
                if let Some(&(to, conn)) = self.pipes.get(&(at, conn))
                    && !self.is_cut(at, to)
                {
                    self.queue.push_back((to, Input::Received { conn, bytes }));
                }
            }
            Effect::Close { conn } => {
                if let Some((to, other)) = self.pipes.remove(&(at, conn)) {
                    self.pipes.remove(&(to, other));
                    if self.is_cut(at, to) {
                        return;
                    }
                    let reason = CloseReason::Ended;
                    self.queue.push_back((
                        to,
                        Input::Closed {
                            conn: other,
                            reason,
                        },
                    ));
                }
            }
            Effect::Disk(batch) => {
                let files = self.disks.entry(at).or_default();
                batch.ops.iter().for_each(|op| op.apply_in_memory(files));
                let done = Input::DiskDone {
                    ticket: batch.ticket,
                    result: Ok(()),
                };
                self.queue.push_back((at, done));
            }
            Effect::Process(order) => self.process_order(at, order),
            Effect::Reply { id, reply } => {
                self.replies.insert(id, reply);
            }
            Effect::Job { job, work } => {
                let outcome = match work {
                    Job::HashPassword { password } => {
                        JobOutcome::PasswordHashed(format!("hash of {}", password.reveal()))
                    }
                    Job::VerifyPassword { password, stored } => JobOutcome::PasswordVerified(
                        stored == Some(format!("hash of {}", password.reveal())),
                    ),
                    Job::BuildCheckpoint(plan) => {
                        let files = &self.disks[&at];
                        JobOutcome::CheckpointBuilt(state::build_checkpoint(&plan, files))
                    }
                    Job::ReadPiece(ask) => {
                        JobOutcome::PieceRead(match self.disks[&at].get(&ask.file) {
                            Some(bytes) => Ok(Piece::cut(bytes, &ask)),
                            None => Err(format!("there is no {}", ask.file)),
                        })
                    }
                    Job::SurveyMirrors { cluster, deep } => {
                        let files = &self.disks[&at];
                        let survey = |shelf| mirror::survey(files, shelf, cluster, deep);
                        let copies = (survey(Shelf::Present), survey(Shelf::Aside));
                        JobOutcome::MirrorsSurveyed(Ok(Box::new(copies)))
                    }
                };
                self.queue.push_back((at, Input::JobDone { job, outcome }));
            }
            Effect::Notify(event) => self.events.push((at, event)),
            Effect::StoreReply { .. }
            | Effect::OpenVolume { .. }
            | Effect::CloseVolume { .. }
            | Effect::Volume { .. }
            | Effect::DropStage { .. }
            | Effect::Copy(_)
            | Effect::Scrub { .. }
            | Effect::ReadLabel { .. } => {}
            Effect::Exit(reason) => {
                let exit = ProcessExit::Code(i32::from(reason.code.number()));
                self.exits.push((at, reason));
                self.end(at, exit);
            }
        }
    }

    fn process_order(&mut self, at: SocketAddr, order: ProcessOrder) {
        let event = match order {
            ProcessOrder::ProbePort { alias, endpoint } => {
                let state = match self.held.get(&endpoint.port) {
                    Some(holder) => PortState::Held {
                        holder: Some(holder.clone()),
                    },
                    None if self.processes.contains_key(&parse(&endpoint)) => PortState::Held {
                        holder: Some("the node itself".to_owned()),
                    },
                    None => PortState::Free,
                };
                ProcessEvent::PortProbed { alias, state }
            }
            ProcessOrder::Launch { alias, .. } => {
                let host = at
                    .ip()
                    .to_string()
                    .rsplit('.')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                let identity = self.start_node(host);
                ProcessEvent::Launched {
                    alias,
                    result: Ok(identity),
                }
            }
            ProcessOrder::Inspect { alias, identity } => {
                let mut same_pid = self.processes.values().map(|process| &process.identity);
                let inspection = match same_pid.find(|found| found.pid == identity.pid) {
                    Some(found) if *found == identity => Inspection::Running,
                    _ => Inspection::Gone,
                };
                ProcessEvent::Inspected {
                    alias,
                    identity,
                    inspection,
                }
            }
            ProcessOrder::Signal {
                identity, signal, ..
            } => {
                let target = self
                    .processes
                    .iter()
                    .find(|(_, process)| process.identity == identity)
                    .map(|(&at, _)| at);
                if let Some(target) = target {
                    match signal {
                        crate::process::StopSignal::Terminate => {
                            self.queue.push_back((target, Input::Terminate));
                        }
                        crate::process::StopSignal::Kill => {
                            self.end(target, ProcessExit::Signal(9));
                        }
                    }
                }
                return;
            }
            ProcessOrder::ReadLog { id, .. } => ProcessEvent::LogRead {
                id,
                result: Err("no log in this test".to_owned()),
            },
        };
        self.queue.push_back((at, Input::Process(event)));
    }
}

fn parse(endpoint: &Endpoint) -> SocketAddr {
    endpoint
        .to_string()
        .parse()
        .expect("the tests use addresses")
}
