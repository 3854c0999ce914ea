//! A node: a place where a process may run, and the process that runs there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vaquita_core::dfs::ids::{StageId, VolumeSlot};
use vaquita_core::ids::{Alias, ConnId, JobId};
use vaquita_core::io::{ExitReason, Job};
use vaquita_core::time::Timestamp;

use super::HostIx;
use super::event::{Event, Waiting};
use super::faults::AtOp;
use crate::disk::{DiskProfile, SimDisk};
use crate::net::tcp::ConnNumber;
use crate::time::SimTime;

/// What a node is, apart from its state.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name.
    pub alias: Alias,
    /// Where it runs.
    pub host: HostIx,
    /// Where it listens.
    pub port: u16,
    /// What its process is told, unless an agent launches it with another text.
    pub config: String,
    /// Whether it starts when its host gets power.
    pub at_boot: bool,
    /// Directories of its volumes, each on a disk of its own.
    pub volumes: u16,
    /// After which time it is started again when it ended with a status that makes this worth
    /// while, or was killed; as a service manager does.
    pub restarted_after: Option<Duration>,
}

impl NodeSpec {
    /// A node that starts at boot and is not restarted.
    ///
    /// # Panics
    /// If `alias` is no alias.
    #[must_use]
    pub fn new(alias: &str, host: HostIx, port: u16) -> Self {
        Self {
            alias: Alias::new(alias).expect("a World's node has a well-formed alias"),
            host,
            port,
            config: String::new(),
            at_boot: true,
            volumes: 0,
            restarted_after: None,
        }
    }

    /// Left for an agent to launch.
    #[must_use]
    pub const fn launched(mut self) -> Self {
        self.at_boot = false;
        self
    }

    /// With so many volumes.
    #[must_use]
    pub const fn volumes(mut self, count: u16) -> Self {
        self.volumes = count;
        self
    }

    /// Told this.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    /// Started again by the host when it has ended.
    #[must_use]
    pub const fn restarted_after(mut self, pause: Duration) -> Self {
        self.restarted_after = Some(pause);
        self
    }
}

/// Whether a node's process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No process.
    Down,
    /// A process that runs.
    Running,
    /// A process that is stopped and does not know it.
    Paused,
}

/// How many lines of a process's log are kept.
const LOG_LINES: usize = 50;

#[derive(Debug)]
pub(super) struct Node<M> {
    pub(super) spec: NodeSpec,
    pub(super) disk: SimDisk,
    pub(super) volumes: Vec<SimVolume>,
    pub(super) process: Option<Process<M>>,
    pub(super) starts: u32,
    pub(super) requests: u64,
    pub(super) log: VecDeque<String>,
    /// Numbers decisions about this node, one counter a stream that needs one.
    pub(super) counters: Counters,
    /// What happens at a certain operation of its disk.
    pub(super) at_op: Option<AtOp>,
    /// When its host gets to the next order.
    pub(super) orders_until: SimTime,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) ties: u64,
    pub(super) timers: u64,
    pub(super) disk: u64,
    pub(super) jobs: u64,
    pub(super) orders: u64,
}

/// A volume of a node: a disk of its own.
#[derive(Debug)]
pub(super) struct SimVolume {
    pub(super) disk: SimDisk,
    /// What happens at a certain operation of it.
    pub(super) at_op: Option<AtOp>,
    /// Numbers decisions about it.
    pub(super) draws: u64,
}

impl SimVolume {
    fn new(profile: DiskProfile) -> Self {
        Self {
            disk: SimDisk::new(profile),
            at_op: None,
            draws: 0,
        }
    }
}

/// A process that runs, or is paused.
#[derive(Debug)]
pub(super) struct Process<M> {
    pub(super) machine: M,
    /// Which start of the node this is.
    pub(super) start: u32,
    pub(super) pid: u32,
    /// What its host's clock showed when its own showed zero.
    pub(super) clock_zero: u64,
    pub(super) last_now: Timestamp,
    pub(super) deadline: Option<Timestamp>,
    /// The earliest timer that waits in the queue.
    pub(super) wake_at: SimTime,
    /// How often in a row it asked, when its timer fired, for the present moment.
    pub(super) at_once: u32,
    pub(super) paused: bool,
    pub(super) mailbox: VecDeque<Waiting>,
    pub(super) datagrams_waiting: usize,
    pub(super) datagrams_dropped: u64,
    pub(super) connections: BTreeMap<ConnId, ConnNumber>,
    pub(super) next_accepted: u64,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Bytes of chunks that its driver holds.
    pub(super) stages: BTreeMap<StageId, Vec<u8>>,
    /// Volumes that it has had opened.
    pub(super) opened: BTreeSet<VolumeSlot>,
    /// Volumes of which its driver tells how much room there is.
    pub(super) measured: BTreeSet<VolumeSlot>,
    /// What the kernel had begun for it when it was paused.
    pub(super) frozen: Vec<Event>,
    pub(super) exit: Option<ExitReason>,
}

impl<M> Node<M> {
    pub(super) fn new(spec: NodeSpec, disk: DiskProfile, volume: &DiskProfile) -> Self {
        let volumes = (0..spec.volumes)
            .map(|_| SimVolume::new(volume.clone()))
            .collect();
        Self {
            spec,
            disk: SimDisk::new(disk),
            volumes,
            process: None,
            starts: 0,
            requests: 0,
            log: VecDeque::new(),
            counters: Counters::default(),
            at_op: None,
            orders_until: SimTime::ZERO,
        }
    }

    pub(super) const fn life(&self) -> Life {
        match &self.process {
            None => Life::Down,
            Some(process) if process.paused => Life::Paused,
            Some(_) => Life::Running,
        }
    }

    /// The process, if it is the `start`-th.
    pub(super) fn process_of(&mut self, start: u32) -> Option<&mut Process<M>> {
        self.process
            .as_mut()
            .filter(|process| process.start == start)
    }

    pub(super) fn log_line(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }
}
