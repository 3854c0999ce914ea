//! Disturbing things on order, and putting them right again.

use std::time::Duration;

use vaquita_core::dfs::ids::VolumeSlot;

use super::disks::{Which, disk_key};
use super::event::Event;
use super::lifecycle::Exit;
use super::{Factory, HostIx, Life, NodeIx, StepKind, World};
use crate::host::{PortHolder, Running};
use crate::net::Cut;
use crate::plan::{DiskStep, Plan, Step};
use crate::streams::{Stream, index};
use crate::time::SimTime;

/// What happens at a certain operation of a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtOp {
    /// The operation, counted from the disk's first.
    pub op: u64,
    /// After the operation, but before anybody is told of it; else instead of it.
    pub after: bool,
    /// The host loses power; else the process is killed.
    pub power: bool,
}

/// Counted whenever what was to happen at an operation of a disk has happened.
pub const TRAP_SPRUNG: &str = "world.trap_sprung";

impl<F: Factory> World<F> {
    /// Has a plan carried out from now on; its times count from the beginning of the World.
    ///
    /// # Errors
    /// If it names a host or node that there is not, or contains a step this World cannot do.
    pub fn load(&mut self, plan: &Plan) -> Result<(), String> {
        for timed in plan.steps() {
            self.check(&timed.step)
                .map_err(|what| format!("{timed}: {what}"))?;
        }
        for (at, timed) in plan.steps().iter().enumerate() {
            let tie = self.streams.at(Stream::Tie, u64::MAX, at as u64).bits();
            let when = timed.at.max(self.now);
            self.queue
                .push(when, tie, Event::Plan(Box::new(timed.step.clone())));
        }
        Ok(())
    }

    fn check(&self, step: &Step) -> Result<(), String> {
        for host in step.hosts() {
            self.host(host)
                .ok_or_else(|| format!("there is no host {host}"))?;
        }
        for name in step.nodes() {
            let (node, which) = self.disk_named(name);
            let volume = which.is_none_or(|slot| {
                let node = self.node(node);
                node.is_some_and(|node| slot.0 < self.volumes(node))
            });
            if !volume {
                return Err(format!("there is no volume {name}"));
            }
            // A node that an agent will launch may not be there yet.
            if self.node(node).is_none()
                && !matches!(step, Step::Kill(_) | Step::Pause(_) | Step::Resume(_))
            {
                return Err(format!("there is no node {node}"));
            }
        }
        if let Step::Ask { text, .. } = step {
            self.factory.check_request(text)?;
        }
        Ok(())
    }

    /// Carries out one step of a plan, now.
    pub fn disturb(&mut self, step: &Step) {
        self.trace
            .debug(self.now, usize::MAX, crate::trace::Kind::Fault, 0, step);
        if self.trace.keeps_lines() {
            self.trace_line(None, "!!", &step.to_string());
        }
        if let Some(recorder) = &self.recorder {
            recorder.lock().faults.push((self.now, step.to_string()));
        }
        self.try_disturb(step);
    }

    /// Returns `None` if the step is about a host or node that there is not.
    fn try_disturb(&mut self, step: &Step) -> Option<()> {
        let now = self.now;
        match step {
            Step::Start(node) => self.start(self.node(node)?),
            Step::Kill(node) => self.kill(self.node(node)?),
            Step::Terminate(node) => self.terminate(self.node(node)?),
            Step::Pause(node) => self.pause(self.node(node)?),
            Step::Resume(node) => self.resume(self.node(node)?),
            Step::PowerCut(host) => self.power_cut(self.host(host)?),
            Step::PowerOn(host) => self.power_on(self.host(host)?),
            Step::Cut { from, to, what } => {
                let (from, to) = (self.host(from)?, self.host(to)?);
                self.net.set_cut(from, to, *what, true);
            }
            Step::Heal { from, to } => {
                let (from, to) = (self.host(from)?, self.host(to)?);
                self.net.set_cut(from, to, Cut::All, false);
            }
            Step::Isolate(host) => self.set_isolated(self.host(host)?, true),
            Step::Rejoin(host) => self.set_isolated(self.host(host)?, false),
            Step::Weather(profile) => self.net.weather = *profile,
            Step::Link { from, to, profile } => {
                let (from, to) = (self.host(from)?, self.host(to)?);
                self.net.set_profile(from, to, *profile);
            }
            Step::ClockJump { host, ahead } => {
                let host = self.host(host)?;
                self.hosts[host.index()].clock.jump(now, *ahead);
                self.clock_changed(host);
            }
            Step::ClockDrift { host, ppm } => {
                let host = self.host(host)?;
                self.hosts[host.index()].clock.set_drift(now, *ppm);
                self.clock_changed(host);
            }
            Step::ClockFreeze(host) => self.set_clock_frozen(self.host(host)?, true),
            Step::ClockThaw(host) => self.set_clock_frozen(self.host(host)?, false),
            Step::WallJump { host, ms } => {
                let host = self.host(host)?;
                let offset = &mut self.hosts[host.index()].wall_clock_offset_ms;
                *offset = offset.saturating_add(*ms);
            }
            Step::Disk { node, what } => {
                let (node, which) = self.disk_named(node);
                self.disturb_disk(self.node(node)?, which, what)?;
            }
            Step::AtOp {
                node,
                skip,
                after,
                power,
            } => {
                let (node, which) = self.disk_named(node);
                let node = self.node(node)?;
                let disk = self.nodes[node.index()].disk_of(which)?;
                let op = disk.ops_done().saturating_add(*skip);
                self.at_op_of(
                    node,
                    which,
                    AtOp {
                        op,
                        after: *after,
                        power: *power,
                    },
                );
            }
            Step::Ask { node, text } => {
                let node = self.node(node)?;
                // By moment and not by number: a request less leaves the others as they were.
                let key = !(node.index() as u64);
                let mut draw = self.streams.at(Stream::Workload, key, now.as_nanos());
                match self.factory.request(text, &mut draw) {
                    Ok(request) => drop(self.request(node, request)),
                    Err(what) => self.fail(Some(node), what),
                }
            }
            Step::HoldPort { host, port } => {
                let host = self.host(host)?;
                let table = &mut self.hosts[host.index()];
                if table.port(*port).is_none() {
                    let holder = format!("pid {} (nginx)", 90_000 + u32::from(*port));
                    table.take_port(*port, PortHolder::Foreign(holder));
                }
            }
            Step::FreePort { host, port } => {
                let host = self.host(host)?;
                let table = &mut self.hosts[host.index()];
                if matches!(table.port(*port), Some(PortHolder::Foreign(_))) {
                    table.release_port(*port);
                }
            }
            Step::ReusePid(node) => self.reuse_pid(self.node(node)?),
            Step::ForksFail { host, fail } => {
                let host = self.host(host)?;
                self.hosts[host.index()].forks_fail = *fail;
            }
            Step::HealAll => self.heal_all(),
        }
        Some(())
    }

    /// Has something happen at an operation of a node's disk.
    pub fn at_op(&mut self, node: NodeIx, trap: AtOp) {
        self.at_op_of(node, None, trap);
    }

    /// Has something happen at an operation of one of a node's volumes.
    pub fn at_op_of_volume(&mut self, node: NodeIx, slot: u16, trap: AtOp) {
        self.at_op_of(node, Some(VolumeSlot(slot)), trap);
    }

    fn at_op_of(&mut self, node: NodeIx, which: Which, trap: AtOp) {
        if let Some(place) = self.nodes[node.index()].trap(which) {
            *place = Some(trap);
        }
    }

    /// The node and the disk that a step names: `NODE` for its home, `NODE/0` for its first volume.
    fn disk_named<'a>(&self, name: &'a str) -> (&'a str, Which) {
        match name.split_once('/') {
            Some((node, slot)) => (node, Some(VolumeSlot(slot.parse().unwrap_or(u16::MAX)))),
            None => (name, None),
        }
    }

    pub(super) fn spring(&mut self, node: NodeIx, which: Which, trap: AtOp) {
        if let Some(place) = self.nodes[node.index()].trap(which) {
            *place = None;
        }
        self.record.kind = StepKind::Fault;
        self.count(TRAP_SPRUNG, 1);
        let host = self.host_of(node);
        if trap.power {
            self.power_cut(host);
        } else {
            self.kill(node);
        }
    }

    /// Kills a node's process and gives its process id to another program, in the same moment.
    fn reuse_pid(&mut self, node: NodeIx) {
        let host = self.host_of(node);
        let Some(pid) = self.hosts[host.index()].pid_of(node) else {
            return;
        };
        self.end(host, pid, Exit::Signal(9));
        let name = format!("pid {pid} (sleep)");
        self.hosts[host.index()].fork_as(self.now, pid, Running::Foreign(name));
    }

    /// Cuts every link from and to a host, or heals them.
    pub fn set_isolated(&mut self, host: HostIx, isolated: bool) {
        for peer in self.hosts().filter(|peer| *peer != host) {
            self.net.set_cut(host, peer, Cut::All, isolated);
            self.net.set_cut(peer, host, Cut::All, isolated);
        }
    }

    fn set_clock_frozen(&mut self, host: HostIx, frozen: bool) {
        self.hosts[host.index()].clock.set_frozen(self.now, frozen);
        self.clock_changed(host);
    }

    fn disturb_disk(&mut self, node: NodeIx, which: Which, what: &DiskStep) -> Option<()> {
        let now = self.now;
        let slot = &mut self.nodes[node.index()];
        let key = disk_key(node, which);
        let mut draw = self.streams.at(Stream::Fault, key, now.as_nanos());
        let (runs, starts) = (slot.process.is_some(), slot.starts);
        let disk = slot.disk_of_mut(which)?;
        match what {
            DiskStep::FailSync => disk.fail_next_sync = true,
            DiskStep::FailOp => disk.fail_next_op = true,
            DiskStep::Room(bytes) => disk.profile.capacity = disk.used().saturating_add(*bytes),
            DiskStep::Slow(times) => disk.profile.slow_down = *times,
            DiskStep::Hang => disk.hang(),
            DiskStep::Lie => disk.profile.lies = true,
            DiskStep::Rot => drop(disk.rot(now, None, &mut draw)),
            DiskStep::Wipe => {
                if !runs {
                    disk.exchange(now, starts);
                }
            }
            DiskStep::Die => disk.die_at(now),
            DiskStep::Well => self.heal_disk(node, which),
        }
        Some(())
    }

    fn heal_disk(&mut self, node: NodeIx, which: Which) {
        let healthy = match which {
            None => self.settings.disk.clone(),
            Some(_) => self.settings.volume.clone(),
        };
        let Some(disk) = self.nodes[node.index()].disk_of_mut(which) else {
            return;
        };
        disk.dead = false;
        disk.fail_next_op = false;
        disk.fail_next_sync = false;
        disk.profile = crate::disk::DiskProfile {
            lies: false,
            slow_down: 1,
            ..healthy
        };
        disk.profile.op_fails = crate::streams::Rate::NEVER;
        disk.profile.sync_fails = crate::streams::Rate::NEVER;
        if std::mem::replace(&mut disk.hung, false) {
            self.resume_disk(node, which);
        }
    }

    /// Puts everything right that a plan can disturb: the liveness phase of a run begins.
    pub fn heal_all(&mut self) {
        let hosts: Vec<HostIx> = self.hosts().collect();
        self.net.heal_all();
        self.heal_hosts(&hosts);
    }

    /// Puts right what concerns some of the hosts and the links between them, and leaves the rest
    /// broken for good: those that were healed have to get on by themselves.
    pub fn heal_core(&mut self, core: &[HostIx]) {
        self.net.weather = crate::net::LinkProfile::default();
        for from in core {
            for to in core.iter().filter(|to| *to != from) {
                self.net.set_cut(*from, *to, Cut::All, false);
                self.net.set_profile(*from, *to, None);
            }
        }
        self.heal_hosts(core);
    }

    fn heal_hosts(&mut self, hosts: &[HostIx]) {
        for host in hosts {
            let table = &mut self.hosts[host.index()];
            table.forks_fail = false;
            table.clock.set_frozen(self.now, false);
            table.clock.set_drift(self.now, 0);
            self.clock_changed(*host);
            self.power_on(*host);
        }
        let here = |world: &Self, node: &NodeIx| hosts.contains(&world.host_of(*node));
        for node in self
            .nodes()
            .filter(|node| here(self, node))
            .collect::<Vec<_>>()
        {
            for which in self.nodes[node.index()].disks() {
                let slot = &mut self.nodes[node.index()];
                slot.trap(which).into_iter().for_each(|trap| *trap = None);
                self.heal_disk(node, which);
            }
            self.resume(node);
            if self.nodes[node.index()].spec.at_boot {
                // Twice: one that was paused may find that it was asked to end.
                self.start(node);
                let later = self.now.after(Duration::from_secs(10));
                self.schedule(node, later, Event::Start { node });
            }
        }
        for host in hosts {
            let table = &mut self.hosts[host.index()];
            let foreign: Vec<u16> = table.foreign_ports();
            foreign
                .into_iter()
                .for_each(|port| table.release_port(port));
        }
    }

    /// Runs a plan in two phases: the plan with everything it disturbs, for safety; then everything
    /// is put right, and `goal` has to be reached within `patience`, for liveness. Steps of the
    /// plan that lie behind the first phase are left out.
    ///
    /// # Errors
    /// If the plan cannot be carried out, the run goes wrong, or the goal is not reached.
    pub fn run_plan(
        &mut self,
        plan: &Plan,
        until: SimTime,
        patience: Duration,
        goal: impl FnMut(&Self) -> bool,
    ) -> Result<(), super::Failure> {
        if let Err(what) = self.load(&plan.before(until)) {
            self.fail(None, what);
        }
        self.run_until(until)?;
        self.disturb(&Step::HealAll);
        if !self.run_until_reached(patience, goal)? {
            let secs = patience.as_secs();
            self.fail(
                None,
                format!("the goal is not reached {secs} s after everything was healed"),
            );
        }
        self.finish()
    }

    /// A node that runs, drawn at random; `None` if none does.
    #[must_use]
    pub fn any_running(&self, number: u64) -> Option<NodeIx> {
        let running: Vec<NodeIx> = self
            .nodes()
            .filter(|node| self.life(*node) == Life::Running)
            .collect();
        let mut draw = self.streams.at(Stream::Workload, u64::MAX, number);
        (!running.is_empty()).then(|| running[index(draw.below(running.len() as u64))])
    }
}
