//! What agents ask of their hosts.

use vaquita_core::admin::{LogPiece, LogRange};
use vaquita_core::ids::{Alias, Endpoint};
use vaquita_core::io::Input;
use vaquita_core::process::{
    Inspection, PortState, ProcessEvent, ProcessIdentity, ProcessOrder, StopSignal,
};

use super::event::Event;
use super::lifecycle::Exit;
use super::{Factory, HostIx, NodeIx, NodeSpec, World};
use crate::disk::Latency;
use crate::host::{Running, holder_words};
use crate::streams::Stream;

impl<F: Factory> World<F> {
    /// An agent's order is carried out a moment later, and not before those it gave earlier.
    pub(super) fn order(&mut self, agent: NodeIx, order: ProcessOrder) {
        let slot = &mut self.nodes[agent.index()];
        let Some(start) = slot.process.as_ref().map(|process| process.start) else {
            return;
        };
        slot.counters.orders += 1;
        let mut draw = self
            .streams
            .at(Stream::Process, agent.index() as u64, slot.counters.orders);
        let begins = slot.orders_until.max(self.now);
        let at = begins.after_nanos(self.settings.processes.order.draw(&mut draw).max(1));
        slot.orders_until = at;
        self.schedule(
            agent,
            at,
            Event::Order {
                node: agent,
                start,
                order: Box::new(order),
            },
        );
    }

    pub(super) fn order_is_due(&mut self, agent: NodeIx, start: u32, order: Box<ProcessOrder>) {
        let host = self.host_of(agent);
        let Some(process) = self.nodes[agent.index()].process_of(start) else {
            return;
        };
        if process.paused {
            process.frozen.push(Event::Order {
                node: agent,
                start,
                order,
            });
            return;
        }
        let event = match *order {
            ProcessOrder::ProbePort { alias, endpoint } => {
                let state = self.probe(host, &endpoint);
                Some(ProcessEvent::PortProbed { alias, state })
            }
            ProcessOrder::Launch { alias, node_cfg } => {
                let result = self.launch((agent, start), host, &alias, node_cfg);
                Some(ProcessEvent::Launched { alias, result })
            }
            ProcessOrder::Inspect { alias, identity } => {
                let inspection = self.inspect((agent, start), host, &identity);
                Some(ProcessEvent::Inspected {
                    alias,
                    identity,
                    inspection,
                })
            }
            ProcessOrder::Signal {
                identity, signal, ..
            } => {
                self.signal(agent, host, &identity, signal);
                None
            }
            ProcessOrder::ReadLog {
                id,
                alias,
                generation,
                range,
            } => {
                let result = self.read_log(host, &alias, generation, range);
                Some(ProcessEvent::LogRead { id, result })
            }
        };
        if let Some(event) = event {
            self.report_arrives(agent, start, event);
        }
    }

    /// Reports something to an agent a little later.
    pub(super) fn report(
        &mut self,
        agent: NodeIx,
        start: u32,
        latency: Latency,
        event: ProcessEvent,
    ) {
        let counters = &mut self.nodes[agent.index()].counters;
        counters.orders += 1;
        let mut draw = self
            .streams
            .at(Stream::Process, agent.index() as u64, counters.orders);
        let at = self.now.after_nanos(latency.draw(&mut draw));
        let event = Box::new(event);
        self.schedule(
            agent,
            at,
            Event::Report {
                node: agent,
                start,
                event,
            },
        );
    }

    pub(super) fn report_arrives(&mut self, agent: NodeIx, start: u32, event: ProcessEvent) {
        self.tell(agent, start, Input::Process(event));
    }

    fn probe(&self, host: HostIx, endpoint: &Endpoint) -> PortState {
        if self.resolve(host, &endpoint.host) != Some(host) {
            let reason = "Cannot assign requested address (os error 99)".to_owned();
            return PortState::Refused { reason };
        }
        match self.hosts[host.index()].port(endpoint.port) {
            None => PortState::Free,
            Some(holder) => {
                let holder = holder_words(holder, |node| self.alias(node).clone());
                PortState::Held {
                    holder: Some(holder),
                }
            }
        }
    }

    fn launch(
        &mut self,
        agent: (NodeIx, u32),
        host: HostIx,
        alias: &Alias,
        node_cfg: String,
    ) -> Result<ProcessIdentity, String> {
        let node = self.place(host, alias, &node_cfg)?;
        self.nodes[node.index()].spec.config = node_cfg;
        let pid = self
            .fork(host, node, Some(agent))
            .ok_or("Resource temporarily unavailable (os error 11)")?;
        let table = &self.hosts[host.index()];
        let process = table.process(pid).ok_or("the process ended at once")?;
        Ok(table.identity(process))
    }

    /// The node of this name on this host; a new one, if it is the first time.
    fn place(&mut self, host: HostIx, alias: &Alias, node_cfg: &str) -> Result<NodeIx, String> {
        let here = |node: &NodeIx| self.host_of(*node) == host && self.alias(*node) == alias;
        if let Some(node) = self.nodes().find(here) {
            return Ok(node);
        }
        let name = self.hosts[host.index()].name.clone();
        let port = self.factory.launch(&name, alias, node_cfg)?;
        if self.node(alias.as_str()).is_some() {
            return Err(format!("{alias} has its home on another host"));
        }
        Ok(self.add_node(NodeSpec::new(alias.as_str(), host, port).launched()))
    }

    fn inspect(
        &mut self,
        agent: (NodeIx, u32),
        host: HostIx,
        identity: &ProcessIdentity,
    ) -> Inspection {
        let table = &mut self.hosts[host.index()];
        let Some(found) = table
            .process(identity.pid)
            .map(|process| table.identity(process))
        else {
            return Inspection::Gone;
        };
        if found.boot_id != identity.boot_id || found.start_ticks != identity.start_ticks {
            return Inspection::Gone;
        }
        if found.executable != identity.executable {
            let reason = format!(
                "pid {} runs another program than the one that was started",
                identity.pid
            );
            return Inspection::Unproven { reason };
        }
        if let Some(process) = table.process_mut(identity.pid)
            && process.parent != Some(agent)
            && !process.watchers.contains(&agent)
        {
            process.watchers.push(agent);
        }
        Inspection::Running
    }

    /// Sends a signal to the very process that is meant; to no other, whoever has its id now.
    fn signal(
        &mut self,
        agent: NodeIx,
        host: HostIx,
        identity: &ProcessIdentity,
        signal: StopSignal,
    ) {
        let table = &self.hosts[host.index()];
        let Some(process) = table.process(identity.pid) else {
            return;
        };
        if table.identity(process) != *identity {
            return;
        }
        match (&process.running, signal) {
            (Running::Foreign(name), _) => {
                let what = format!("sends a signal to {name}, which is none of its nodes");
                self.fail(Some(agent), what);
            }
            (_, StopSignal::Kill) => self.end(host, identity.pid, Exit::Signal(9)),
            (Running::Beginning(_), StopSignal::Terminate) => {
                self.end(host, identity.pid, Exit::Signal(15));
            }
            (Running::Node(node, _), StopSignal::Terminate) => {
                let node = *node;
                self.terminate(node);
            }
        }
    }

    fn read_log(
        &self,
        host: HostIx,
        alias: &Alias,
        generation: u32,
        range: LogRange,
    ) -> Result<LogPiece, String> {
        let here = |node: &NodeIx| self.host_of(*node) == host && self.alias(*node) == alias;
        let missing = || format!("there is no log file {alias}.log.{generation}");
        let node = self
            .nodes()
            .find(here)
            .filter(|_| generation == 0)
            .ok_or_else(missing)?;
        let mut text = String::new();
        for line in &self.nodes[node.index()].log {
            text.push_str(line);
            text.push('\n');
        }
        let len = text.len();
        let (from, to) = match range {
            LogRange::From { offset, len: most } => {
                let from = usize::try_from(offset).unwrap_or(len).min(len);
                (from, from.saturating_add(most as usize).min(len))
            }
            LogRange::Tail { len: most } => (len.saturating_sub(most as usize), len),
        };
        let bytes = text.as_bytes()[from..to].to_vec();
        Ok(LogPiece {
            offset: from as u64,
            file_len: len as u64,
            bytes,
        })
    }
}
