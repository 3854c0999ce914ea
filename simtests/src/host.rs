//! A host: a clock, a table of processes, and ports.
//!
//! Process ids are given out in turn from a small range, so that within one run the id of a dead
//! process comes to belong to another; start ticks and boot ids are what tells them apart.

use vaquita_core::ids::Alias;
use vaquita_core::process::ProcessIdentity;

use crate::streams::{Stream, Streams};
use crate::time::{Clock, SimTime};
use crate::world::{HostIx, NodeIx};

/// Nanoseconds in a tick of the kernel's clock: 100 a second.
const TICK: u64 = 10_000_000;
/// The first process id given out.
const FIRST_PID: u32 = 300;
/// Device and inode of the one program of the cluster.
const PROGRAM: (u64, u64) = (2049, 131_072);

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortHolder {
    /// A process of this node.
    Node(NodeIx),
    /// Another program's process, with its id and name.
    Foreign(String),
}

/// What a process of a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// A node's process that has not got its home and port yet.
    Beginning(NodeIx),
    /// The `start`-th process of a node.
    Node(NodeIx, u32),
    /// Another program.
    Foreign(String),
}

/// A process in a host's table.
#[derive(Clone, Debug)]
pub(crate) struct HostProcess {
    pub(crate) pid: u32,
    start_ticks: u64,
    executable: (u64, u64),
    pub(crate) running: Running,
    /// The agent's process that launched it.
    pub(crate) parent: Option<(NodeIx, u32)>,
    /// Agents' processes that found it running and want to know of its end.
    pub(crate) watchers: Vec<(NodeIx, u32)>,
}

/// A host.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its monotonic clock.
    pub clock: Clock,
    /// Whether it has power.
    pub powered: bool,
    /// By how much its wall clock is wrong.
    pub wall_clock_offset_ms: i64,
    /// Whether no process can be started.
    pub forks_fail: bool,
    pub(crate) processes: Vec<HostProcess>,
    ports: Vec<(u16, PortHolder)>,
    ix: HostIx,
    streams: Streams,
    boots: u64,
    booted_at: SimTime,
    next_pid: u32,
    pid_range: u32,
}

impl Host {
    pub(crate) fn new(name: &str, ix: HostIx, streams: Streams, pid_range: u32) -> Self {
        Self {
            name: name.to_owned(),
            clock: Clock::new(0),
            powered: true,
            wall_clock_offset_ms: 0,
            forks_fail: false,
            processes: Vec::new(),
            ports: Vec::new(),
            ix,
            streams,
            boots: 1,
            booted_at: SimTime::ZERO,
            next_pid: 0,
            pid_range: pid_range.max(2),
        }
    }

    /// The kernel's random id of this boot.
    #[must_use]
    pub fn boot_id(&self) -> String {
        let mut draw = self
            .streams
            .at(Stream::Process, self.ix.index() as u64, !self.boots);
        format!("{:016x}{:016x}", draw.bits(), draw.bits())
    }

    /// Processes that run, foreign ones included.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Who has a port, if anybody.
    #[must_use]
    pub fn port(&self, port: u16) -> Option<&PortHolder> {
        self.ports
            .iter()
            .find(|(held, _)| *held == port)
            .map(|(_, holder)| holder)
    }

    /// Processes of a node, those that have not come far yet included.
    #[must_use]
    pub fn processes_of(&self, node: NodeIx) -> usize {
        let of_node = |process: &&HostProcess| match process.running {
            Running::Beginning(of) | Running::Node(of, _) => of == node,
            Running::Foreign(_) => false,
        };
        self.processes.iter().filter(of_node).count()
    }

    pub(crate) fn foreign_ports(&self) -> Vec<u16> {
        let foreign = |(port, holder): &(u16, PortHolder)| match holder {
            PortHolder::Foreign(_) => Some(*port),
            PortHolder::Node(_) => None,
        };
        self.ports.iter().filter_map(foreign).collect()
    }

    pub(crate) fn take_port(&mut self, port: u16, holder: PortHolder) {
        self.release_port(port);
        self.ports.push((port, holder));
    }

    pub(crate) fn release_port(&mut self, port: u16) {
        self.ports.retain(|(held, _)| *held != port);
    }

    /// Adds a process; `None` if none can be started.
    pub(crate) fn fork(
        &mut self,
        now: SimTime,
        running: Running,
        parent: Option<(NodeIx, u32)>,
    ) -> Option<u32> {
        if self.forks_fail || !self.powered {
            return None;
        }
        let free = (0..self.pid_range)
            .map(|step| FIRST_PID + (self.next_pid + step) % self.pid_range)
            .find(|pid| self.process(*pid).is_none())?;
        self.next_pid = free - FIRST_PID + 1;
        self.insert(now, free, running, parent);
        Some(free)
    }

    /// Gives out a certain process id, if it is free.
    pub(crate) fn fork_as(&mut self, now: SimTime, pid: u32, running: Running) -> bool {
        let free = self.powered && self.process(pid).is_none();
        if free {
            self.insert(now, pid, running, None);
        }
        free
    }

    /// Puts another program in the place of a process: same id, same start.
    #[cfg(test)]
    pub(crate) fn replace_program(&mut self, pid: u32, name: &str) {
        if let Some(process) = self.process_mut(pid) {
            process.executable = (2049, 1);
            process.running = Running::Foreign(name.to_owned());
        }
    }

    fn insert(&mut self, now: SimTime, pid: u32, running: Running, parent: Option<(NodeIx, u32)>) {
        let executable = match &running {
            Running::Foreign(name) => (2049, u64::from(crc32fast::hash(name.as_bytes()))),
            Running::Beginning(_) | Running::Node(..) => PROGRAM,
        };
        let since_boot = now.as_nanos() - self.booted_at.as_nanos();
        let start_ticks = since_boot / TICK;
        let watchers = Vec::new();
        self.processes.push(HostProcess {
            pid,
            start_ticks,
            executable,
            running,
            parent,
            watchers,
        });
    }

    pub(crate) fn process(&self, pid: u32) -> Option<&HostProcess> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    pub(crate) fn process_mut(&mut self, pid: u32) -> Option<&mut HostProcess> {
        self.processes.iter_mut().find(|process| process.pid == pid)
    }

    pub(crate) fn remove(&mut self, pid: u32) -> Option<HostProcess> {
        let at = self
            .processes
            .iter()
            .position(|process| process.pid == pid)?;
        Some(self.processes.remove(at))
    }

    /// The process of a node that an order is about: the one that runs, else one that begins.
    pub(crate) fn pid_of(&self, node: NodeIx) -> Option<u32> {
        let running =
            |process: &&HostProcess| matches!(process.running, Running::Node(of, _) if of == node);
        let beginning = |process: &&HostProcess| process.running == Running::Beginning(node);
        let found = self.processes.iter().find(running);
        found
            .or_else(|| self.processes.iter().find(beginning))
            .map(|process| process.pid)
    }

    pub(crate) fn identity(&self, process: &HostProcess) -> ProcessIdentity {
        ProcessIdentity {
            pid: process.pid,
            start_ticks: process.start_ticks,
            boot_id: self.boot_id(),
            executable: process.executable,
        }
    }

    pub(crate) fn power_off(&mut self) {
        self.powered = false;
        self.processes.clear();
        self.ports
            .retain(|(_, holder)| matches!(holder, PortHolder::Foreign(_)));
    }

    pub(crate) fn power_on(&mut self, now: SimTime) {
        self.powered = true;
        self.boots += 1;
        self.booted_at = now;
        self.next_pid = 0;
    }
}

/// How a process is called where its owner is named: `pid 312 (vaquita data node D1)`.
pub(crate) fn holder_words(holder: &PortHolder, alias: impl Fn(NodeIx) -> Alias) -> String {
    match holder {
        PortHolder::Node(node) => format!("vaquita {}", alias(*node)),
        PortHolder::Foreign(name) => name.clone(),
    }
}
