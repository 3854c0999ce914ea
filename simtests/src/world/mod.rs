//! The World: a cluster in one thread, in simulated time.
//!
//! Hosts with clocks that drift, processes that are killed, paused and started again, a network
//! that loses, doubles, delays and damages, disks that tear what was not synced. It runs any
//! [`Machine`](vaquita_core::io::Machine) and knows no protocol: which machine a process is comes
//! from a [`Factory`].
//!
//! ```text
//!        ┌─────────── queue of events, by time; ties by hash ◄──────────┐
//!        ▼                                                              │
//!   one event ──► one machine: handle, drain its effects ──► net, disk, │ hosts
//!        │                                                              │
//!        ├──► trace hash                                                │
//!        └──► checkers, which see everything                ────────────┘
//! ```
//!
//! One event is one step; after each the checkers look. Everything random is a hash of the seed
//! and of what is decided ([`Streams`]), so that a run is a function of seed, plan and settings.

mod connections;
mod copies;
mod data;
mod datagrams;
mod disks;
mod effects;
mod event;
mod factory;
mod faults;
mod feed;
mod flows;
mod lifecycle;
mod measure;
mod node;
mod orders;
mod settings;
mod step;
#[cfg(test)]
mod tests;
mod view;
mod volumes;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use vaquita_core::admin::{Reply, Request};
use vaquita_core::event::Event as Notice;
use vaquita_core::ids::RequestId;
use vaquita_core::io::ExitReason;

use crate::checker::Checker;
use crate::host::Host;
use crate::net::SimNet;
use crate::net::tcp::{ConnNumber, Connection};
use crate::picture::Recorder;
use crate::run::Progress;
use crate::streams::{Stream, Streams};
use crate::time::SimTime;
use crate::trace::Trace;

pub use data::{Carried, Transfer, TransferId};
pub use factory::{Factory, Start};
pub use faults::{AtOp, TRAP_SPRUNG};
pub use node::{Life, NodeSpec};
pub use settings::{ProcessSettings, Settings};
pub use step::{StepKind, StepRecord};

pub(crate) use feed::words;

use event::Queue;
use node::Node;

/// Names a host of a World.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostIx(u32);

/// Names a node of a World: a place where a process may run, with a port and a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIx(u32);

macro_rules! numbered {
    ($name:ident) => {
        impl $name {
            /// Its position in the order of creation.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
numbered!(HostIx);
numbered!(NodeIx);

impl HostIx {
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// An answer that a machine gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Who gave it.
    pub node: NodeIx,
    /// To which request.
    pub id: RequestId,
    /// What was asked.
    pub request: Request,
    /// When.
    pub at: SimTime,
    /// The answer; `None` if the process ended without one.
    pub reply: Option<Reply>,
}

/// Something a machine told its operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Which node.
    pub node: NodeIx,
    /// When.
    pub at: SimTime,
    /// What.
    pub notice: Notice,
}

/// The end of a process by its own decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which node.
    pub node: NodeIx,
    /// When.
    pub at: SimTime,
    /// Why.
    pub reason: ExitReason,
}

/// A run went wrong: a machine broke a rule, or a checker found that it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: SimTime,
    /// At which node, if at one.
    pub node: Option<String>,
    /// What is wrong, in a sentence.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "at {}, {node}: {}", self.at, self.what),
            None => write!(f, "at {}: {}", self.at, self.what),
        }
    }
}

impl std::error::Error for Failure {}

/// A cluster in simulated time.
pub struct World<F: Factory> {
    factory: F,
    settings: Settings,
    seed: u64,
    streams: Streams,
    now: SimTime,
    queue: Queue,
    hosts: Vec<Host>,
    nodes: Vec<Node<F::Machine>>,
    net: SimNet,
    connections: BTreeMap<ConnNumber, Connection>,
    next_connection: ConnNumber,
    data: data::DataPlane,
    trace: Trace,
    checkers: Vec<Box<dyn Checker<F>>>,
    steps: u64,
    failure: Option<Failure>,
    answers: Vec<Answer>,
    /// Requests without an answer, and whether a process has been told.
    asked: BTreeMap<(NodeIx, RequestId), (Request, bool)>,
    told: Vec<Told>,
    ended: Vec<Ended>,
    /// How often each kind of notice was given.
    marks: BTreeMap<&'static str, u64>,
    /// Effects of the input being handled; kept to spare an allocation.
    scratch: Vec<vaquita_core::io::Effect>,
    /// The step being taken.
    record: StepRecord,
    progress: Option<Arc<Progress>>,
    recorder: Option<Recorder>,
}

impl<F: Factory> fmt::Debug for World<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("steps", &self.steps)
            .field("trace", &self.trace.hash())
            .finish_non_exhaustive()
    }
}

impl<F: Factory> World<F> {
    /// A World without hosts.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, factory: F) -> Self {
        let streams = Streams::new(seed);
        Self {
            factory,
            seed,
            streams,
            now: SimTime::ZERO,
            queue: Queue::default(),
            hosts: Vec::new(),
            nodes: Vec::new(),
            net: SimNet::new(streams, settings.weather),
            connections: BTreeMap::new(),
            next_connection: 0,
            data: data::DataPlane::default(),
            trace: Trace::new(settings.trace),
            checkers: Vec::new(),
            steps: 0,
            failure: None,
            answers: Vec::new(),
            asked: BTreeMap::new(),
            told: Vec::new(),
            ended: Vec::new(),
            marks: BTreeMap::new(),
            scratch: Vec::new(),
            record: StepRecord::default(),
            progress: None,
            recorder: None,
            settings,
        }
    }

    /// Adds a host, powered on. Its address follows from its number.
    ///
    /// # Panics
    /// If there is a host of that name.
    pub fn add_host(&mut self, name: &str) -> HostIx {
        assert!(
            self.host(name).is_none(),
            "there are two hosts called {name}"
        );
        let number = u32::try_from(self.hosts.len()).expect("a World has fewer than 2^32 hosts");
        let ix = HostIx(number);
        let mut draw = self.streams.at(Stream::Clock, u64::from(number), 0);
        let drift = self.settings.drift_ppm_max;
        let ppm = i32::try_from(draw.below(2 * u64::from(drift) + 1)).unwrap_or(0)
            - i32::try_from(drift).unwrap_or(0);
        let mut host = Host::new(name, ix, self.streams, self.settings.processes.pid_range);
        host.clock = crate::time::Clock::new(draw.below(1 << 50));
        host.clock.set_drift(self.now, ppm);
        self.hosts.push(host);
        ix
    }

    /// Adds a node, not running yet.
    ///
    /// # Panics
    /// If there is a node of that name, or its port is taken on its host by another node.
    pub fn add_node(&mut self, spec: NodeSpec) -> NodeIx {
        assert!(
            self.node(spec.alias.as_str()).is_none(),
            "there are two nodes called {}",
            spec.alias
        );
        let number = u32::try_from(self.nodes.len()).expect("a World has fewer than 2^32 nodes");
        self.nodes.push(Node::new(
            spec,
            self.settings.disk.clone(),
            &self.settings.volume,
        ));
        NodeIx(number)
    }

    /// Adds somebody who looks on after every step.
    pub fn add_checker(&mut self, checker: impl Checker<F> + 'static) {
        self.checkers.push(Box::new(checker));
    }

    /// Sends away those who look on for this: it is going to be so on purpose.
    pub fn remove_checker(&mut self, name: &str) {
        self.checkers.retain(|checker| checker.name() != name);
    }

    /// Asks a node something now; the answer is among [`World::answers`] later.
    pub fn request(&mut self, node: NodeIx, request: Request) -> RequestId {
        let slot = &mut self.nodes[node.index()];
        slot.requests += 1;
        let id = RequestId(slot.requests);
        self.asked.insert((node, id), (request.clone(), false));
        self.schedule_request(node, id, request);
        id
    }

    /// The moment by a host's wall clock, in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self, host: HostIx) -> u64 {
        // 2026-01-01, and what an operator has put on top.
        let base = 1_767_225_600_000 + self.now.as_nanos() / 1_000_000;
        base.saturating_add_signed(self.hosts[host.index()].wall_clock_offset_ms)
    }

    pub(crate) fn watch(&mut self, progress: Arc<Progress>) {
        self.progress = Some(progress);
    }

    /// Has packets and faults recorded from now on.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Records that the run has gone wrong. The first failure stands.
    pub fn fail(&mut self, node: Option<NodeIx>, what: impl Into<String>) {
        if self.failure.is_none() {
            let node = node.map(|node| self.alias(node).to_string());
            self.failure = Some(Failure {
                at: self.now,
                node,
                what: what.into(),
            });
        }
    }
}
