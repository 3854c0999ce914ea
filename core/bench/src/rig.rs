//! A controller with data nodes that are registered, and nothing of a network between them: the real
//! machine, told by the real frames, without what a process and a kernel cost.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use vaquita_core::controller::{Bootstrap, Controller, ControllerConfig, FilesConfig, Member};
use vaquita_core::dfs::ask::{
    Answer, Ask, ChunkGrant, Commit, Expect, Holder, VolumeState, WrittenChunk,
};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{OpId, VolumeId, VolumeSlot};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::disk::{DiskBatch, DiskFault, FileName};
use vaquita_core::ids::{
    Alias, ConnId, Endpoint, HostId, Incarnation, NodeId, RequestId, Role, Site,
};
use vaquita_core::io::{Effect, Input, Job, JobOutcome, Machine as _};
use vaquita_core::limits::Limits;
use vaquita_core::message::{
    DfsAsk, Envelope, Message, Register, ReplicaChange, ReplicaEntry, ReplicaNews, Report,
    RestartPolicy, VolumeFacts, Witness,
};
use vaquita_core::metalog::CheckpointPlan;
use vaquita_core::planted::Planted;
use vaquita_core::prng::Seed;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::time::Timestamp;
use vaquita_core::wire::datagram::DatagramKey;
use vaquita_core::wire::datagram::Direction;
use vaquita_core::wire::keys::Keyring;
use vaquita_core::wire::session::{Introduction, Session, SessionEvent};
use vaquita_node::env::{Disk as _, Env as _};
use vaquita_node::os_env::{OsDisk, OsEnv};

use crate::content::scatter;

/// The token that the nodes' clients show: the administrator's, in force for ever.
pub const TOKEN: &str = concat!(
    "vqt_0123456789abcdef_",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
);
/// The date of everything.
const UNIX_MS: u64 = 1_800_000_000_000;
/// Bytes of every file.
const FILE_BYTES: u64 = 4096;

fn site(host: String, port: u16, alias: &str) -> Site {
    Site {
        endpoint: Endpoint { host, port },
        alias: Alias::new(alias).expect("a legal alias"),
    }
}

fn controller_site() -> Site {
    site("10.0.0.1".to_owned(), 8990, "master")
}

/// The name of a data node.
#[must_use]
pub fn alias(number: u16) -> String {
    format!("node{number}")
}

fn node_site(number: u16) -> Site {
    let [high, low] = number.to_be_bytes();
    site(format!("10.1.{high}.{low}"), 8961, &alias(number))
}

fn identity_of(number: u16) -> [u8; 16] {
    u128::from(number + 1).to_be_bytes()
}

fn address(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([10, 1, high, low], 8961))
}

/// What keeps a controller's files.
pub trait Disk {
    /// Carries out a batch.
    ///
    /// # Errors
    /// As the disk does.
    fn apply(&mut self, batch: DiskBatch) -> Result<(), DiskFault>;

    /// The checkpoint that a plan asks for; `None` where none is made.
    fn checkpoint(&mut self, plan: &CheckpointPlan) -> Option<Result<Vec<u8>, String>>;
}

/// A disk that keeps nothing and takes no time: what remains is what the code costs.
#[derive(Clone, Copy, Debug)]
pub struct NoDisk;

impl Disk for NoDisk {
    fn apply(&mut self, _: DiskBatch) -> Result<(), DiskFault> {
        Ok(())
    }

    fn checkpoint(&mut self, _: &CheckpointPlan) -> Option<Result<Vec<u8>, String>> {
        None
    }
}

/// A directory on a real disk, as the product's driver works on it: with every sync, and a thread
/// that is woken for each batch.
#[derive(Debug)]
pub struct Directory {
    runtime: Runtime,
    disk: OsDisk,
}

impl Directory {
    /// Makes a directory and locks it.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let disk = runtime.block_on(async {
            let env = OsEnv::new().map_err(failed)?;
            let disk = env.open_disk(path).await;
            disk.map_err(|error| error.to_string())
        })?;
        Ok(Self { runtime, disk })
    }
}

impl Disk for Directory {
    fn apply(&mut self, batch: DiskBatch) -> Result<(), DiskFault> {
        self.runtime.block_on(self.disk.apply(batch))
    }

    fn checkpoint(&mut self, plan: &CheckpointPlan) -> Option<Result<Vec<u8>, String>> {
        let mut files = BTreeMap::new();
        for name in plan.base.iter().chain(&plan.segments) {
            match self.runtime.block_on(self.disk.read(name)) {
                Ok(bytes) => files.insert(name.clone(), bytes),
                Err(error) => return Some(Err(error.to_string())),
            };
        }
        let files = files
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.as_slice()))
            .collect();
        Some(vaquita_core::state::build_checkpoint(plan, &files))
    }
}

/// A data node as far as the controller knows it.
pub struct Node {
    /// Where its datagrams come from.
    pub at: SocketAddr,
    /// What its messages are sent under.
    pub envelope: Envelope,
    /// What its datagrams are tagged with.
    pub key: DatagramKey,
    conn: ConnId,
    session: Session,
    last_ask: u64,
    news_told: u64,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// A frame with a question that a client of this node asks.
    pub fn ask(&mut self, ask: Ask) -> Input {
        self.last_ask += 1;
        self.seal(Message::DfsAsk(DfsAsk {
            id: RequestId(self.last_ask),
            token: Some(TOKEN.to_owned()),
            address: "10.9.9.9".to_owned(),
            unix_ms: UNIX_MS,
            ask,
        }))
    }

    fn seal(&mut self, message: Message) -> Input {
        let kind = message.kind();
        let body = message.encode(self.envelope.clone());
        Input::Received {
            conn: self.conn,
            bytes: self.session.seal(kind, &body),
        }
    }
}

/// A controller, its disk, and the frames that it has sent.
#[derive(Debug)]
pub struct Rig<D> {
    /// The machine.
    pub controller: Controller,
    /// Its time, which passes as the measurement says.
    pub now: Timestamp,
    disk: D,
    sent: Vec<(ConnId, Vec<u8>)>,
    /// What the disk has not been handed yet.
    batches: VecDeque<DiskBatch>,
    jobs: VecDeque<Input>,
}

impl<D: Disk> Rig<D> {
    /// The controller of a new cluster with so many data nodes, none of them registered.
    ///
    /// # Panics
    /// If the home is not new.
    #[must_use]
    pub fn new(secret: Option<&ClusterSecret>, nodes: u16, disk: D) -> Self {
        let members = (0..nodes).map(|number| {
            let site = node_site(number);
            Member {
                host: site.endpoint.host.clone(),
                site,
                role: Role::DataNode,
                node_cfg: String::new(),
            }
        });
        let config = ControllerConfig {
            site: controller_site(),
            members: members.collect(),
            heartbeat_timeout: Duration::from_secs(8),
            recovery_wait: None,
            lan_cluster: true,
            restart: RestartPolicy::Backoff,
            restart_stopped: false,
            secret: secret.cloned(),
            bootstrap: Some(Bootstrap {
                password_hash: String::new(),
                token: TOKEN.to_owned(),
                token_expires_unix_ms: u64::MAX,
            }),
            files: FilesConfig::default(),
            mirrors: 0,
            build: "bench".to_owned(),
            limits: Limits::default(),
            planted: Planted::default(),
        };
        let files: BTreeMap<FileName, Vec<u8>> = BTreeMap::new();
        let now = Timestamp::ZERO;
        let controller = Controller::new(config, &files, Seed::from_number(1), now)
            .expect("an empty home is a new cluster");
        let mut rig = Self {
            controller,
            now,
            disk,
            sent: Vec::new(),
            batches: VecDeque::new(),
            jobs: VecDeque::new(),
        };
        rig.settle();
        rig
    }

    /// Tells the controller something, and keeps what it wants of the disk for later.
    pub fn tell(&mut self, input: Input) {
        self.controller.handle(self.now, input);
        self.take_effects();
    }

    fn take_effects(&mut self) {
        while let Some(effect) = self.controller.poll_effect() {
            match effect {
                Effect::Disk(batch) => self.batches.push_back(batch),
                Effect::Send { conn, bytes } => self.sent.push((conn, bytes)),
                Effect::Job {
                    job,
                    work: Job::BuildCheckpoint(plan),
                } => {
                    if let Some(built) = self.disk.checkpoint(&plan) {
                        let outcome = JobOutcome::CheckpointBuilt(built);
                        self.jobs.push_back(Input::JobDone { job, outcome });
                    }
                }
                other => drop(other),
            }
        }
    }

    /// Lets the disk do all that is asked of it, and what follows from that.
    pub fn settle(&mut self) {
        // What the machine wanted when it was made, too.
        self.take_effects();
        loop {
            if let Some(batch) = self.batches.pop_front() {
                let ticket = batch.ticket;
                let result = self.disk.apply(batch);
                self.tell(Input::DiskDone { ticket, result });
            } else if let Some(done) = self.jobs.pop_front() {
                self.tell(done);
            } else {
                return;
            }
        }
    }

    /// The frames that were sent since this was last asked, and to whom.
    pub fn take_sent(&mut self) -> Vec<(ConnId, Vec<u8>)> {
        std::mem::take(&mut self.sent)
    }

    /// Carries bytes between a session and the controller until both are silent, and returns what
    /// the controller said.
    fn talk(&mut self, conn: ConnId, session: &mut Session) -> Vec<(Envelope, Message)> {
        let mut heard = Vec::new();
        loop {
            while let Some(bytes) = session.poll_output() {
                self.tell(Input::Received { conn, bytes });
            }
            self.settle();
            let sent = self.take_sent();
            if sent.is_empty() {
                return heard;
            }
            for (_, bytes) in sent {
                session.receive(&bytes).expect("a proven session");
            }
            heard.extend(events(session));
        }
    }

    /// Registers a data node with one volume of a terabyte.
    ///
    /// # Panics
    /// If the controller does not take it.
    pub fn register(&mut self, number: u16, keyring: &Keyring) -> Node {
        let conn = ConnId(u64::from(number) * 2 + 1);
        let site = node_site(number);
        let id = identity_of(number);
        let me = Introduction {
            role: Role::DataNode,
            cluster: None,
            alias: site.alias.clone(),
            incarnation: Incarnation::new(id),
            build: "bench".to_owned(),
        };
        let mut nonce = [0; 32];
        nonce[..16].copy_from_slice(&id);
        let mut session = Session::dial(keyring, me, nonce);
        let from = address(number);
        self.tell(Input::Accepted { conn, from });
        self.talk(conn, &mut session);
        let envelope = Envelope {
            node: Some(NodeId::new(id)),
            ..Envelope::default()
        };
        let mut node = Node {
            at: from,
            envelope,
            key: keyring.datagram_key(Direction::ToController, NodeId::new(id)),
            conn,
            session,
            last_ask: 0,
            news_told: 0,
        };
        let register = node.seal(Message::Register(Register {
            role: Role::DataNode,
            site,
            incarnation: Incarnation::new(id),
            attempt: 1,
            host: HostId::new(id),
            controller_site: controller_site(),
            lan_cluster: true,
            build: "bench".to_owned(),
            process: ProcessIdentity {
                pid: u32::from(number) + 100,
                start_ticks: 1,
                boot_id: "boot".to_owned(),
                executable: (1, 1),
            },
            witness: Witness::default(),
        }));
        self.tell(register);
        for (from, message) in self.talk(conn, &mut node.session) {
            if let Message::Registered(registered) = message {
                node.envelope.cluster = Some(registered.cluster);
                node.envelope.controller_epoch = from.controller_epoch;
                node.envelope.node_epoch = registered.node_epoch;
            }
        }
        let report = node.seal(Message::Report(Report {
            report: 1,
            page: 0,
            pages: 1,
            chunks: 0,
            as_of: 0,
            entries: Vec::new(),
            damaged: Vec::new(),
            volumes: vec![VolumeFacts {
                draining: None,
                slot: VolumeSlot(0),
                path: "/volume".to_owned(),
                id: Some(VolumeId(id)),
                state: VolumeState::Good,
                capacity: 1 << 40,
                free: 1 << 40,
                promised: 0,
                reason: String::new(),
                chunks: 0,
                chunk_bytes: 0,
                for_ms: 0,
                label: None,
                removed: false,
            }],
        }));
        self.tell(report);
        let applied = self.talk(conn, &mut node.session);
        let applied = applied
            .iter()
            .any(|(_, message)| matches!(message, Message::ReportApplied(_)));
        assert!(applied, "node{number} is registered");
        node
    }

    /// Registers so many data nodes.
    pub fn register_all(&mut self, nodes: u16, keyring: &Keyring) -> Vec<Node> {
        (0..nodes)
            .map(|number| self.register(number, keyring))
            .collect()
    }
}

fn events(session: &mut Session) -> Vec<(Envelope, Message)> {
    let mut heard = Vec::new();
    while let Some(event) = session.poll_event() {
        if let SessionEvent::Frame { kind, body } = event {
            let letter = Message::decode(kind, &body).expect("a well-formed message");
            heard.extend(letter);
        }
    }
    heard
}

/// Clients that put small files, a new one with each put, through all data nodes by turns.
#[derive(Debug)]
pub struct Puts {
    /// The entries.
    pub nodes: Vec<Node>,
    next: u64,
    directories: u64,
}

/// A file that is being put.
#[derive(Clone, Debug)]
pub struct OpenPut {
    number: u64,
    grant: ChunkGrant,
}

/// Files in one directory.
const FILES_PER_DIRECTORY: u64 = 1000;

impl Puts {
    /// Clients of these nodes.
    #[must_use]
    pub const fn new(nodes: Vec<Node>) -> Self {
        Self {
            nodes,
            next: 0,
            directories: 0,
        }
    }

    /// How many files were begun.
    #[must_use]
    pub const fn begun(&self) -> u64 {
        self.next
    }

    fn entry(&mut self, number: u64) -> &mut Node {
        let at = number % self.nodes.len() as u64;
        &mut self.nodes[usize::try_from(at).unwrap_or_default()]
    }

    /// Makes the directories that the next `count` files go into.
    pub fn make_directories<D: Disk>(&mut self, rig: &mut Rig<D>, count: u64) {
        while self.directories * FILES_PER_DIRECTORY < self.next + count {
            let order = Ask::MakeDir {
                op: op(u64::MAX - self.directories),
                path: path(&format!("/d{}", self.directories)),
                parents: false,
                unix_ms: UNIX_MS,
            };
            let frame = self.entry(0).ask(order);
            rig.tell(frame);
            rig.settle();
            self.answers(rig);
            self.directories += 1;
        }
    }

    /// The frames that ask for places for the next `count` files.
    pub fn allocations(&mut self, count: u64) -> Vec<(u64, Input)> {
        let numbers = self.next..self.next + count;
        self.next += count;
        let ask = |number| Ask::Allocate {
            op: op(number),
            path: path_of(number),
            expect: Expect::Anything,
            lens: vec![FILE_BYTES],
            avoid: Vec::new(),
        };
        numbers
            .map(|number| (number, self.entry(number).ask(ask(number))))
            .collect()
    }

    /// The frames that commit files for which places were given.
    pub fn commits(&mut self, open: Vec<OpenPut>) -> Vec<Input> {
        let commit = |put: OpenPut| {
            let holders = put.grant.replicas.iter().map(|place| Holder {
                node: place.node,
                epoch: place.epoch,
                volume: VolumeSlot(0),
            });
            let chunk = WrittenChunk {
                version: put.grant.token.version,
                len: FILE_BYTES,
                digest: Digest(op(put.number).0),
                holders: holders.collect(),
            };
            let commit = Commit {
                op: op(put.number),
                path: path_of(put.number),
                expect: Expect::Anything,
                chunks: vec![chunk],
                unix_ms: UNIX_MS,
            };
            (put.number, Ask::Commit(commit))
        };
        open.into_iter()
            .map(commit)
            .map(|(number, ask)| self.entry(number).ask(ask))
            .collect()
    }

    /// The frames by which nodes tell that they have these files' chunks: one of each node.
    pub fn news(&mut self, open: &[OpenPut]) -> Vec<Input> {
        let mut frames = Vec::new();
        for node in &mut self.nodes {
            let held = open.iter().filter(|put| {
                let mut places = put.grant.replicas.iter();
                places.any(|place| Some(place.node) == node.envelope.node)
            });
            let added = held.map(|put| {
                ReplicaChange::Added(ReplicaEntry {
                    version: put.grant.token.version,
                    len: FILE_BYTES,
                    digest: Digest(op(put.number).0),
                    volume: VolumeSlot(0),
                })
            });
            let changes: Vec<ReplicaChange> = added.collect();
            if changes.is_empty() {
                continue;
            }
            let first = node.news_told + 1;
            node.news_told += changes.len() as u64;
            frames.push(node.seal(Message::ReplicaNews(ReplicaNews { first, changes })));
        }
        frames
    }

    /// What the controller has answered, in the order of the entries.
    ///
    /// # Panics
    /// If it has refused something.
    pub fn answers<D: Disk>(&mut self, rig: &mut Rig<D>) -> Vec<Answer> {
        for (conn, bytes) in rig.take_sent() {
            let node = self.nodes.iter_mut().find(|node| node.conn == conn);
            let node = node.expect("frames go to nodes");
            node.session.receive(&bytes).expect("a proven session");
        }
        let mut answers = Vec::new();
        for node in &mut self.nodes {
            for (_, message) in events(&mut node.session) {
                if let Message::DfsAnswer(answer) = message {
                    answers.push(answer.answer.unwrap_or_else(|| {
                        panic!("the controller refuses: {:?}", answer.refusal);
                    }));
                }
            }
        }
        answers
    }

    /// The places that the controller has given, each with the file that it is for.
    ///
    /// # Panics
    /// If it has given something else.
    pub fn places<D: Disk>(&mut self, rig: &mut Rig<D>, begun: &[u64]) -> Vec<OpenPut> {
        let by_op: BTreeMap<OpId, u64> = begun.iter().map(|&number| (op(number), number)).collect();
        let places = self.answers(rig).into_iter().map(|answer| match answer {
            Answer::Allocated(mut allocation) => {
                let grant = allocation.grants.pop().expect("a grant for each chunk");
                let number = by_op[&grant.token.op];
                OpenPut { number, grant }
            }
            other => panic!("no places but {other:?}"),
        });
        places.collect()
    }
}

fn op(number: u64) -> OpId {
    let (high, low) = (scatter(number), scatter(number ^ (1 << 63)));
    OpId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

fn path(text: &str) -> DfsPath {
    DfsPath::parse(text).expect("a legal path")
}

fn path_of(number: u64) -> DfsPath {
    path(&format!(
        "/d{}/part-{:016x}",
        number / FILES_PER_DIRECTORY,
        scatter(number)
    ))
}
