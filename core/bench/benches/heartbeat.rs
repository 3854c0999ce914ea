//! How many heartbeats a controller handles in a second: what arrives as a datagram is parsed,
//! checked, counted for its node, and answered by a datagram. Time passes as if each node beat twice
//! a second, so that the work of the failure detector is part of it.
//!
//! `cargo bench -p vaquita-core --bench heartbeat`

use core::hint::black_box;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vaquita_core::controller::{Controller, ControllerConfig, FilesConfig, Member};
use vaquita_core::disk::FileName;
use vaquita_core::ids::{
    Alias, ConnId, Endpoint, HostId, Incarnation, LogIndex, NodeId, Role, Site,
};
use vaquita_core::io::{Effect, Input, Machine};
use vaquita_core::limits::Limits;
use vaquita_core::message::{Beat, Envelope, Message, Register, Report, RestartPolicy, Witness};
use vaquita_core::planted::Planted;
use vaquita_core::prng::Seed;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::time::Timestamp;
use vaquita_core::wire::datagram::{self, DatagramKey, Direction};
use vaquita_core::wire::keys::Keyring;
use vaquita_core::wire::session::{Introduction, Session, SessionEvent};

const NODES: u16 = 1000;
const PERIOD: Duration = Duration::from_millis(500);

fn site(host: String, port: u16, alias: &str) -> Site {
    Site {
        endpoint: Endpoint { host, port },
        alias: Alias::new(alias).expect("a legal alias"),
    }
}

fn controller_site() -> Site {
    site("10.0.0.1".to_owned(), 8990, "master")
}

fn node_site(number: u16) -> Site {
    let [high, low] = number.to_be_bytes();
    site(format!("10.1.{high}.{low}"), 8961, &format!("node{number}"))
}

fn identity_of(number: u16) -> [u8; 16] {
    u128::from(number + 1).to_be_bytes()
}

fn address(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([10, 1, high, low], 8961))
}

/// A node as far as its beats need one.
struct Node {
    at: SocketAddr,
    envelope: Envelope,
    key: DatagramKey,
    seq: u64,
}

impl Node {
    fn beat(&mut self) -> Input {
        self.seq += 1;
        let beat = Message::Beat(Beat {
            seq: self.seq,
            acked: self.seq - 1,
            udp_blocked: false,
            self_fenced: false,
            lag_ms: 0,
            seen_index: LogIndex(1000),
            inventory: 0x0123_4567_89ab_cdef,
            news: 1000,
        });
        let kind = beat.kind();
        let body = beat.encode(self.envelope.clone());
        Input::Datagram {
            from: self.at,
            bytes: datagram::seal(&self.key, kind, self.seq, &body),
        }
    }
}

/// A controller whose disk answers at once.
struct Rig {
    controller: Controller,
    now: Timestamp,
    /// What it sent on connections.
    sent: Vec<(ConnId, Vec<u8>)>,
}

impl Rig {
    fn new(secret: Option<&ClusterSecret>) -> Self {
        let members = (0..NODES).map(|number| {
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
            bootstrap: None,
            files: FilesConfig::default(),
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
            sent: Vec::new(),
        };
        rig.settle();
        rig
    }

    fn tell(&mut self, input: Input) {
        self.controller.handle(self.now, input);
        self.settle();
    }

    fn settle(&mut self) {
        let mut done = VecDeque::new();
        loop {
            while let Some(effect) = self.controller.poll_effect() {
                match effect {
                    Effect::Disk(batch) => done.push_back(Input::DiskDone {
                        ticket: batch.ticket,
                        result: Ok(()),
                    }),
                    Effect::Send { conn, bytes } => self.sent.push((conn, bytes)),
                    other => drop(other),
                }
            }
            let Some(input) = done.pop_front() else {
                return;
            };
            self.controller.handle(self.now, input);
        }
    }

    /// Carries bytes between a session and the controller until both are silent, and returns what
    /// the controller said.
    fn talk(&mut self, conn: ConnId, session: &mut Session) -> Vec<(Envelope, Message)> {
        let mut heard = Vec::new();
        loop {
            while let Some(bytes) = session.poll_output() {
                self.tell(Input::Received { conn, bytes });
            }
            let sent = core::mem::take(&mut self.sent);
            if sent.is_empty() {
                return heard;
            }
            for (_, bytes) in sent {
                session.receive(&bytes).expect("a proven session");
            }
            while let Some(event) = session.poll_event() {
                if let SessionEvent::Frame { kind, body } = event {
                    let letter = Message::decode(kind, &body).expect("a well-formed message");
                    heard.extend(letter);
                }
            }
        }
    }

    fn register(&mut self, number: u16, keyring: &Keyring) -> Node {
        let conn = ConnId(u64::from(number) + 1);
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
        let mut envelope = Envelope {
            node: Some(NodeId::new(id)),
            ..Envelope::default()
        };
        let register = Message::Register(Register {
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
        });
        let bytes = session.seal(register.kind(), &register.encode(envelope.clone()));
        self.tell(Input::Received { conn, bytes });
        for (from, message) in self.talk(conn, &mut session) {
            if let Message::Registered(registered) = message {
                envelope.cluster = Some(registered.cluster);
                envelope.controller_epoch = from.controller_epoch;
                envelope.node_epoch = registered.node_epoch;
            }
        }
        let report = Message::Report(Report {
            report: 1,
            page: 0,
            pages: 1,
            chunks: 0,
            as_of: 0,
            entries: Vec::new(),
            volumes: Vec::new(),
        });
        let bytes = session.seal(report.kind(), &report.encode(envelope.clone()));
        self.tell(Input::Received { conn, bytes });
        let applied = self.talk(conn, &mut session);
        let applied = applied
            .iter()
            .any(|(_, message)| matches!(message, Message::ReportApplied(_)));
        assert!(applied, "node{number} is registered");
        Node {
            at: from,
            envelope,
            key: keyring.datagram_key(Direction::ToController, NodeId::new(id)),
            seq: 0,
        }
    }

    /// Hands over one beat of each node, and returns how many were answered.
    fn round(&mut self, beats: Vec<Input>) -> u16 {
        let mut answered = 0;
        for beat in beats {
            self.now = self.now.after(PERIOD / u32::from(NODES));
            self.controller.handle(self.now, beat);
            while let Some(effect) = self.controller.poll_effect() {
                answered += u16::from(matches!(effect, Effect::SendDatagram { .. }));
                black_box(effect);
            }
        }
        answered
    }
}

fn beats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heartbeats_of_1000_nodes");
    group.throughput(Throughput::Elements(u64::from(NODES)));
    let secret = ClusterSecret::new(core::array::from_fn(|at| at as u8))
        .expect("bytes that are not all alike are a secret");
    for (name, secret) in [("without_tag", None), ("with_tag", Some(secret))] {
        let keyring = Keyring::new(secret.as_ref());
        let mut rig = Rig::new(secret.as_ref());
        let mut nodes: Vec<Node> = (0..NODES).map(|n| rig.register(n, &keyring)).collect();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || nodes.iter_mut().map(Node::beat).collect::<Vec<_>>(),
                |beats| assert_eq!(rig.round(beats), NODES, "every beat is answered"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, beats);
criterion_main!(benches);
