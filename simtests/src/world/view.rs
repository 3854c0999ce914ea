//! What can be seen of a World, and a little that can be taken hold of.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use vaquita_core::ids::{Alias, RequestId};

use super::{
    Answer, Ended, Factory, Failure, HostIx, Life, NodeIx, Settings, StepRecord, Told, World,
};
use crate::disk::SimDisk;
use crate::host::Host;
use crate::net::SimNet;
use crate::streams::Streams;
use crate::time::SimTime;
use crate::trace::{Trace, TraceHash};

impl<F: Factory> World<F> {
    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The randomness of this run.
    #[must_use]
    pub const fn streams(&self) -> Streams {
        self.streams
    }

    /// Simulated time.
    #[must_use]
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// Events handled so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Events that wait.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.queue.len()
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings, to be changed as the run goes.
    pub const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// What makes the machines.
    #[must_use]
    pub const fn factory(&self) -> &F {
        &self.factory
    }

    /// What makes the machines.
    pub const fn factory_mut(&mut self) -> &mut F {
        &mut self.factory
    }

    /// The network.
    #[must_use]
    pub const fn net(&self) -> &SimNet {
        &self.net
    }

    /// The network, to be disturbed.
    pub const fn net_mut(&mut self) -> &mut SimNet {
        &mut self.net
    }

    /// Connections that some process or kernel still knows.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes sent on connections and not acknowledged by the other kernel.
    #[must_use]
    pub fn connection_bytes_in_flight(&self) -> usize {
        self.connections
            .values()
            .flat_map(|conn| &conn.flows)
            .map(|flow| flow.bytes())
            .sum()
    }

    /// Every host, in the order of creation.
    pub fn hosts(&self) -> impl Iterator<Item = HostIx> + use<F> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostIx)
    }

    /// Every node, in the order of creation.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIx> + use<F> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeIx)
    }

    /// The host of a name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<HostIx> {
        self.hosts()
            .find(|host| self.hosts[host.index()].name == name)
    }

    /// The node of a name.
    #[must_use]
    pub fn node(&self, alias: &str) -> Option<NodeIx> {
        self.nodes()
            .find(|node| self.nodes[node.index()].spec.alias.as_str() == alias)
    }

    /// The node that has this port of a host, running or not.
    pub(super) fn node_at(&self, host: HostIx, port: u16) -> Option<NodeIx> {
        self.nodes().find(|node| {
            let spec = &self.nodes[node.index()].spec;
            (spec.host, spec.port) == (host, port)
        })
    }

    /// A host: its clock, its processes, its ports.
    #[must_use]
    pub fn host_state(&self, host: HostIx) -> &Host {
        &self.hosts[host.index()]
    }

    /// A node's host.
    #[must_use]
    pub fn host_of(&self, node: NodeIx) -> HostIx {
        self.nodes[node.index()].spec.host
    }

    /// A node's name.
    #[must_use]
    pub fn alias(&self, node: NodeIx) -> &Alias {
        &self.nodes[node.index()].spec.alias
    }

    /// Where a node listens.
    #[must_use]
    pub fn address(&self, node: NodeIx) -> SocketAddr {
        let spec = &self.nodes[node.index()].spec;
        SocketAddr::new(crate::net::address(spec.host), spec.port)
    }

    /// Whether a node's process runs.
    #[must_use]
    pub fn life(&self, node: NodeIx) -> Life {
        self.nodes[node.index()].life()
    }

    /// How often a process of this node has begun.
    #[must_use]
    pub fn starts(&self, node: NodeIx) -> u32 {
        self.nodes[node.index()].starts
    }

    /// A node's machine, while its process runs.
    #[must_use]
    pub fn machine(&self, node: NodeIx) -> Option<&F::Machine> {
        self.nodes[node.index()]
            .process
            .as_ref()
            .map(|process| &process.machine)
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, node: NodeIx) -> &SimDisk {
        &self.nodes[node.index()].disk
    }

    /// A node's disk, to be disturbed.
    pub fn disk_mut(&mut self, node: NodeIx) -> &mut SimDisk {
        &mut self.nodes[node.index()].disk
    }

    /// Inputs that wait for a paused process.
    #[must_use]
    pub fn mailbox(&self, node: NodeIx) -> usize {
        self.nodes[node.index()]
            .process
            .as_ref()
            .map_or(0, |process| process.mailbox.len())
    }

    /// Every answer so far, in the order in which they were given.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// The answer to a request, once there is one.
    #[must_use]
    pub fn answer(&self, node: NodeIx, id: RequestId) -> Option<&Answer> {
        self.answers
            .iter()
            .rev()
            .find(|answer| answer.node == node && answer.id == id)
    }

    /// Requests that have not been answered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// What the machines told their operators.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Processes that ended by their own decision.
    #[must_use]
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// How often a kind of notice was given, by any node, or something else was counted.
    #[must_use]
    pub fn mark(&self, name: &str) -> u64 {
        self.marks.get(name).copied().unwrap_or(0)
    }

    /// How often each kind of notice was given, or something else was counted.
    #[must_use]
    pub const fn marks(&self) -> &BTreeMap<&'static str, u64> {
        &self.marks
    }

    /// Counts what a scenario has seen, beside the notices, so that the summary of all its runs can
    /// say that it was seen at all.
    pub fn count(&mut self, name: &'static str, times: u64) {
        *self.marks.entry(name).or_default() += times;
    }

    /// The step that was taken last.
    #[must_use]
    pub const fn last_step(&self) -> &StepRecord {
        &self.record
    }

    /// The trace.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The trace's fingerprint so far.
    #[must_use]
    pub const fn trace_hash(&self) -> TraceHash {
        self.trace.hash()
    }

    /// What went wrong, if something did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}
