//! Processes that begin and end, and hosts that lose power.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::prng::Seed;
use vaquita_core::process::{ProcessEvent, ProcessExit};
use vaquita_core::time::Timestamp;

use super::disks::disk_key;
use super::event::Event;
use super::node::Process;
use super::{Ended, Factory, HostIx, NodeIx, Start, StepKind, World};
use crate::host::{HostProcess, PortHolder, Running};
use crate::net::address;
use crate::streams::Stream;
use crate::time::SimTime;

/// Lines of a process's log that are reported with its end.
const LOG_TAIL: usize = 10;
/// How long a process has run before there is a machine, at most.
const AGE_AT_START: u64 = 50_000_000;

impl<F: Factory> World<F> {
    /// Starts a node as an operator or a service manager does. Nothing happens if its host is off.
    pub fn start(&mut self, node: NodeIx) {
        self.schedule(node, self.now, Event::Start { node });
    }

    /// Starts every node that starts at boot.
    pub fn start_all(&mut self) {
        for node in self.nodes() {
            if self.nodes[node.index()].spec.at_boot {
                self.start(node);
            }
        }
    }

    pub(super) fn fork_by_host(&mut self, node: NodeIx) {
        let host = self.host_of(node);
        // A service manager does not start what it has started already.
        if self.hosts[host.index()].processes_of(node) == 0 {
            self.fork(host, node, None);
        }
    }

    /// Forks a process for a node; it takes a while until it has its port and its machine.
    pub(super) fn fork(
        &mut self,
        host: HostIx,
        node: NodeIx,
        parent: Option<(NodeIx, u32)>,
    ) -> Option<u32> {
        let pid = self.hosts[host.index()].fork(self.now, Running::Beginning(node), parent)?;
        let counters = &mut self.nodes[node.index()].counters;
        counters.orders += 1;
        let mut draw = self
            .streams
            .at(Stream::Process, node.index() as u64, counters.orders);
        let at = self
            .now
            .after_nanos(self.settings.processes.startup.draw(&mut draw));
        self.schedule(
            node,
            at,
            Event::Ready {
                host,
                pid,
                since: at,
            },
        );
        Some(pid)
    }

    /// A process takes its home and its port, and gets its machine.
    pub(super) fn process_ready(&mut self, host: HostIx, pid: u32, since: SimTime) {
        let table = &self.hosts[host.index()];
        let Some(HostProcess {
            running: Running::Beginning(node),
            ..
        }) = table.process(pid)
        else {
            return;
        };
        let node = *node;
        let spec = &self.nodes[node.index()].spec;
        let port = spec.port;
        if self.nodes[node.index()].process.is_some() {
            let message = "another process has the home".to_owned();
            self.end(
                host,
                pid,
                Exit::Own(ExitReason {
                    code: ExitCode::AlreadyRunning,
                    message,
                }),
            );
            return;
        }
        if table.port(port).is_some() {
            let patience = self.settings.processes.bind_patience;
            if self.now.since(since) < patience {
                let again = self.now.after(Duration::from_secs(1));
                self.schedule(node, again, Event::Ready { host, pid, since });
                return;
            }
            let message = format!("port {port} is taken");
            self.end(
                host,
                pid,
                Exit::Own(ExitReason {
                    code: ExitCode::Unavailable,
                    message,
                }),
            );
            return;
        }
        self.begin(host, pid, node);
    }

    fn begin(&mut self, host: HostIx, pid: u32, node: NodeIx) {
        let table = &self.hosts[host.index()];
        let Some(process) = table.process(pid).map(|process| table.identity(process)) else {
            return;
        };
        let slot = &mut self.nodes[node.index()];
        slot.starts += 1;
        let starts = slot.starts;
        let mut draw = self
            .streams
            .at(Stream::Entropy, node.index() as u64, u64::from(starts));
        let seed = Seed::from_number(draw.bits());
        let now = Timestamp::from_nanos(draw.below(AGE_AT_START));
        let reading = self.hosts[host.index()].clock.reading(self.now);
        if self.settings.reads_past_cache {
            slot.disk.drop_clean_cache();
        }
        let files = slot.disk.files();
        let made = self.factory.start(&Start {
            node,
            host: &self.hosts[host.index()].name,
            address: std::net::SocketAddr::new(address(host), slot.spec.port),
            alias: &slot.spec.alias,
            process,
            starts: starts - 1,
            config: &slot.spec.config,
            files: &files,
            seed,
            now,
        });
        let machine = match made {
            Ok(machine) => machine,
            Err(reason) => {
                self.end(host, pid, Exit::Own(reason));
                return;
            }
        };
        slot.process = Some(Process {
            machine,
            start: starts,
            pid,
            clock_zero: reading.saturating_sub(now.as_nanos()),
            last_now: now,
            deadline: None,
            wake_at: SimTime::NEVER,
            at_once: 0,
            paused: false,
            mailbox: VecDeque::new(),
            datagrams_waiting: 0,
            datagrams_dropped: 0,
            connections: BTreeMap::new(),
            next_accepted: 1,
            jobs: BTreeMap::new(),
            stages: BTreeMap::new(),
            opened: BTreeSet::new(),
            measured: BTreeSet::new(),
            frozen: Vec::new(),
            exit: None,
        });
        let port = slot.spec.port;
        let table = &mut self.hosts[host.index()];
        table.take_port(port, PortHolder::Node(node));
        if let Some(process) = table.process_mut(pid) {
            process.running = Running::Node(node, starts);
        }
        self.feed(node, None);
        if self.settings.measures {
            self.process_is_measured(node, starts);
        }
    }

    /// Ends a process whose machine has said so.
    pub(super) fn exit_if_asked(&mut self, node: NodeIx) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process.as_mut() else {
            return;
        };
        let Some(reason) = process.exit.take() else {
            return;
        };
        let (host, pid) = (slot.spec.host, process.pid);
        self.end(host, pid, Exit::Own(reason));
    }

    /// Kills a node's process, as `kill -9` does. What it wrote stays in the page cache; its
    /// connections are ended by the kernel.
    pub fn kill(&mut self, node: NodeIx) {
        let host = self.host_of(node);
        if let Some(pid) = self.hosts[host.index()].pid_of(node) {
            self.end(host, pid, Exit::Signal(9));
        }
    }

    /// Ends a process of a host.
    pub(super) fn end(&mut self, host: HostIx, pid: u32, how: Exit) {
        let Some(process) = self.hosts[host.index()].remove(pid) else {
            return;
        };
        let identity = self.hosts[host.index()].identity(&process);
        let (node, exit) = match (&process.running, &how) {
            (Running::Beginning(node) | Running::Node(node, _), Exit::Own(reason)) => {
                (*node, ProcessExit::Code(i32::from(reason.code.number())))
            }
            (Running::Beginning(node) | Running::Node(node, _), Exit::Signal(signal)) => {
                (*node, ProcessExit::Signal(*signal))
            }
            (Running::Foreign(_), _) => return,
        };
        if self.record.kind == StepKind::Nothing {
            self.record.kind = StepKind::Process;
        }
        self.trace_end(node, pid, &exit);
        if let Exit::Own(reason) = &how {
            self.nodes[node.index()].log_line(reason.message.clone());
            self.ended.push(Ended {
                node,
                at: self.now,
                reason: reason.clone(),
            });
            self.record.ended += 1;
        }
        if let Running::Node(_, start) = process.running {
            self.take_down(node, start);
            let port = self.nodes[node.index()].spec.port;
            self.hosts[host.index()].release_port(port);
            self.process_leaves_connections(node, start);
            self.process_leaves_transfers(node, start);
        }
        self.report_end(node, &process, &identity, exit);
        self.restart_by_host(node, &process, exit);
    }

    /// Drops a node's machine and what was under way for it.
    fn take_down(&mut self, node: NodeIx, start: u32) {
        let slot = &mut self.nodes[node.index()];
        if slot.process_of(start).is_none() {
            return;
        }
        slot.process = None;
        slot.counters.disk += 1;
        let mut draw = self
            .streams
            .at(Stream::Disk, node.index() as u64, slot.counters.disk);
        slot.disk.interrupt(&mut draw);
        for volume in &mut slot.volumes {
            volume.disk.interrupt(&mut draw);
        }
        self.drop_requests(node);
    }

    fn report_end(
        &mut self,
        node: NodeIx,
        process: &HostProcess,
        identity: &vaquita_core::process::ProcessIdentity,
        exit: ProcessExit,
    ) {
        let slot = &self.nodes[node.index()];
        let alias = slot.spec.alias.clone();
        let skip = slot.log.len().saturating_sub(LOG_TAIL);
        let log_tail: Vec<String> = slot.log.iter().skip(skip).cloned().collect();
        // Only the parent learns the status; whoever adopted the process learns that it ended.
        let told = process.parent.iter().map(|parent| (*parent, exit)).chain(
            process
                .watchers
                .iter()
                .map(|watcher| (*watcher, ProcessExit::Unknown)),
        );
        let told: Vec<((NodeIx, u32), ProcessExit)> = told.collect();
        for ((agent, start), exit) in told {
            let event = ProcessEvent::Exited {
                alias: alias.clone(),
                identity: identity.clone(),
                exit,
                log_tail: log_tail.clone(),
            };
            let latency = self.settings.processes.reaping;
            self.report(agent, start, latency, event);
        }
    }

    /// A service manager starts again what it had started, if that is worth while.
    fn restart_by_host(&mut self, node: NodeIx, process: &HostProcess, exit: ProcessExit) {
        let worth_it = match exit {
            ProcessExit::Code(code) => ExitCode::worth_a_restart(code),
            ProcessExit::Signal(_) | ProcessExit::Unknown => true,
        };
        let pause = self.nodes[node.index()].spec.restarted_after;
        if let Some(pause) = pause
            && worth_it
            && process.parent.is_none()
        {
            self.schedule(node, self.now.after(pause), Event::Start { node });
        }
    }

    /// Cuts a host's power: its processes are gone, its disks keep what was synced and some of the
    /// rest, and its peers are told nothing.
    pub fn power_cut(&mut self, host: HostIx) {
        if !self.hosts[host.index()].powered {
            return;
        }
        self.hosts[host.index()].power_off();
        self.trace_line(
            None,
            "!!",
            &format!("power cut on {}", self.hosts[host.index()].name),
        );
        for node in self
            .nodes()
            .filter(|node| self.host_of(*node) == host)
            .collect::<Vec<_>>()
        {
            let moment = self.now.as_nanos();
            let slot = &mut self.nodes[node.index()];
            let start = slot.process.take().map(|process| process.start);
            for which in slot.disks() {
                let key = disk_key(node, which);
                let mut draw = self.streams.at(Stream::PowerCut, key, moment);
                slot.trap(which).into_iter().for_each(|trap| *trap = None);
                if let Some(disk) = slot.disk_of_mut(which) {
                    disk.power_cut(self.now, &mut draw);
                    disk.hung = false;
                }
            }
            self.drop_requests(node);
            if let Some(start) = start {
                self.process_leaves_transfers(node, start);
            }
        }
        self.host_forgets_connections(host);
    }

    /// Gives a host its power back: another boot, and whatever starts at boot.
    pub fn power_on(&mut self, host: HostIx) {
        if self.hosts[host.index()].powered {
            return;
        }
        self.hosts[host.index()].power_on(self.now);
        for node in self
            .nodes()
            .filter(|node| self.host_of(*node) == host)
            .collect::<Vec<_>>()
        {
            if self.nodes[node.index()].spec.at_boot {
                self.start(node);
            }
        }
    }

    /// Stops a process without its knowledge: it finds what has come meanwhile, and its timers late,
    /// when it goes on.
    pub fn pause(&mut self, node: NodeIx) {
        if let Some(process) = self.nodes[node.index()].process.as_mut() {
            process.paused = true;
        }
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self, node: NodeIx) {
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        if std::mem::replace(&mut process.paused, false) {
            self.thaw(node);
        }
    }

    /// Asks a node's process to end, as SIGTERM does.
    pub fn terminate(&mut self, node: NodeIx) {
        let Some(process) = self.nodes[node.index()].process.as_ref() else {
            return;
        };
        let start = process.start;
        self.tell(node, start, vaquita_core::io::Input::Terminate);
    }

    fn trace_end(&mut self, node: NodeIx, pid: u32, exit: &ProcessExit) {
        let at = node.index();
        self.trace
            .debug(self.now, at, crate::trace::Kind::End, u64::from(pid), exit);
        self.trace_line(Some(node), "!!", &format!("process {pid} ended: {exit}"));
    }
}

/// How a process ends.
#[derive(Clone, Debug)]
pub(super) enum Exit {
    /// By its own decision.
    Own(ExitReason),
    /// By a signal.
    Signal(i32),
}
