//! Telling a machine something, and holding it to the calling contract.

use std::panic::{AssertUnwindSafe, catch_unwind};

use vaquita_core::io::{CloseReason, Effect, Input, Machine};
use vaquita_core::time::Timestamp;

use super::event::{Event, Waiting};
use super::{Factory, NodeIx, StepKind, World};
use crate::streams::Stream;
use crate::time::{SimTime, nanos};
use crate::trace::Kind;

/// How long a process takes from one waiting input to the next, in nanoseconds.
const MAILBOX_PACE: u64 = 20_000;
/// How often in a row a machine may ask, when its timer fires, to be woken at once.
const AT_ONCE_MAX: u32 = 8;

impl<F: Factory> World<F> {
    /// Tells a process something, unless it is another process by now. One that is paused finds it
    /// when it goes on.
    pub(super) fn tell(&mut self, node: NodeIx, start: u32, input: Input) {
        let Some(process) = self.nodes[node.index()].process_of(start) else {
            return;
        };
        if process.paused || !process.mailbox.is_empty() {
            process.mailbox.push_back(Waiting::Input(input));
            return;
        }
        self.feed(node, Some(input));
    }

    /// Tells a process that a connection has ended, unless it has closed it meanwhile.
    pub(super) fn tell_closed(
        &mut self,
        node: NodeIx,
        start: u32,
        conn: vaquita_core::ids::ConnId,
        reason: CloseReason,
    ) {
        let Some(process) = self.nodes[node.index()].process_of(start) else {
            return;
        };
        if process.paused || !process.mailbox.is_empty() {
            process.mailbox.push_back(Waiting::Closed(conn, reason));
            return;
        }
        if process.connections.remove(&conn).is_some() {
            self.feed(node, Some(Input::Closed { conn, reason }));
        }
    }

    /// A process that was paused reads what has waited, one thing after the other.
    pub(super) fn next_waiting(&mut self, node: NodeIx, start: u32) {
        let Some(process) = self.nodes[node.index()].process_of(start) else {
            return;
        };
        if process.paused {
            return;
        }
        let Some(waiting) = process.mailbox.pop_front() else {
            return;
        };
        let more = !process.mailbox.is_empty();
        let input = match waiting {
            Waiting::Input(Input::Received { conn, bytes }) => process
                .connections
                .contains_key(&conn)
                .then_some(Input::Received { conn, bytes }),
            Waiting::Input(input) => {
                if matches!(input, Input::Datagram { .. }) {
                    process.datagrams_waiting -= 1;
                }
                Some(input)
            }
            Waiting::Closed(conn, reason) => process
                .connections
                .remove(&conn)
                .map(|_| Input::Closed { conn, reason }),
        };
        if more {
            let at = self.now.after_nanos(MAILBOX_PACE);
            self.schedule(node, at, Event::Mailbox { node, start });
        }
        if let Some(input) = input {
            self.feed(node, Some(input));
        }
    }

    /// What a process's own clock shows.
    #[must_use]
    pub fn local_time(&self, node: NodeIx) -> Option<Timestamp> {
        let node = &self.nodes[node.index()];
        let process = node.process.as_ref()?;
        let reading = self.hosts[node.spec.host.index()].clock.reading(self.now);
        Some(Timestamp::from_nanos(
            reading.saturating_sub(process.clock_zero),
        ))
    }

    /// One round of the calling contract: an input (none right after the start), all effects, the
    /// next deadline.
    pub(super) fn feed(&mut self, node: NodeIx, input: Option<Input>) {
        let Some(now) = self.local_time(node) else {
            return;
        };
        self.record.node = Some(node);
        self.record.kind = step_kind(input.as_ref());
        self.trace_input(node, input.as_ref());

        let by_timer = matches!(input, Some(Input::Deadline));
        let check = self.settings.invariants_every != 0
            && self
                .steps
                .is_multiple_of(u64::from(self.settings.invariants_every));
        let most = self.settings.effects_per_input;
        let mut effects = std::mem::take(&mut self.scratch);
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        if now < process.last_now {
            let what = format!("its clock went back from {} to {now}", process.last_now);
            self.fail(Some(node), what);
            return;
        }
        process.last_now = now;
        let overdue = process.deadline.filter(|deadline| *deadline < now);
        let machine = &mut process.machine;
        let round = catch_unwind(AssertUnwindSafe(|| {
            if let Some(input) = input {
                machine.handle(now, input);
            }
            while effects.len() <= most
                && let Some(effect) = machine.poll_effect()
            {
                effects.push(effect);
            }
            let deadline = machine.poll_timeout();
            if check {
                machine.check_invariants();
            }
            deadline
        }));
        let deadline = match round {
            Ok(deadline) => deadline,
            Err(panic) => {
                self.fail(
                    Some(node),
                    format!("the machine panicked: {}", words(panic.as_ref())),
                );
                return;
            }
        };
        self.record.effects = effects.len();
        if effects.len() > most {
            self.fail(
                Some(node),
                format!("one input led to more than {most} effects"),
            );
            return;
        }
        if let Some(what) = self.spins(node, now, by_timer, overdue, deadline) {
            self.fail(Some(node), what);
            return;
        }
        self.set_deadline(node, deadline);
        for effect in effects.drain(..) {
            self.trace_effect(node, &effect);
            self.carry_out(node, effect);
            if self.nodes[node.index()]
                .process
                .as_ref()
                .is_none_or(|p| p.exit.is_some())
            {
                break;
            }
        }
        self.scratch = effects;
        self.scratch.clear();
        self.trace_status(node);
        self.exit_if_asked(node);
    }

    /// Whether the machine asks for a moment that has passed, or for the present one again and
    /// again: its driver would do nothing but wake it.
    fn spins(
        &mut self,
        node: NodeIx,
        now: Timestamp,
        by_timer: bool,
        overdue: Option<Timestamp>,
        deadline: Option<Timestamp>,
    ) -> Option<String> {
        let process = self.nodes[node.index()].process.as_mut()?;
        let deadline = deadline.filter(|deadline| *deadline <= now);
        match deadline {
            // To go on at once, once or twice, is legitimate.
            Some(deadline) if by_timer && deadline == now => process.at_once += 1,
            _ if by_timer => process.at_once = 0,
            _ => {}
        }
        // A deadline that was due already may stand until the timer itself was handled.
        let stands = !by_timer && overdue == deadline;
        if process.at_once > AT_ONCE_MAX {
            return Some(format!(
                "asks again and again to be woken at once at {now}: it spins"
            ));
        }
        let passed = deadline.filter(|deadline| *deadline < now && !stands)?;
        Some(format!(
            "asks at {now} to be woken at {passed}, which has passed: it would spin"
        ))
    }

    /// A timer fires, if it is the one the process waits for.
    pub(super) fn wake(&mut self, node: NodeIx, start: u32) {
        let now = self.now;
        let Some(process) = self.nodes[node.index()].process_of(start) else {
            return;
        };
        if process.wake_at != now {
            return;
        }
        process.wake_at = SimTime::NEVER;
        if process.paused {
            return;
        }
        let Some(deadline) = process.deadline else {
            return;
        };
        if self.local_time(node).is_some_and(|local| local >= deadline) {
            self.feed(node, Some(Input::Deadline));
        } else {
            self.arm(node);
        }
    }

    fn set_deadline(&mut self, node: NodeIx, deadline: Option<Timestamp>) {
        let Some(process) = self.nodes[node.index()].process.as_mut() else {
            return;
        };
        let waits = process.wake_at != SimTime::NEVER;
        if process.deadline == deadline && waits {
            return;
        }
        process.deadline = deadline;
        self.arm(node);
    }

    /// Sets the timer of a process, unless one that fires no later is set already.
    pub(super) fn arm(&mut self, node: NodeIx) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process.as_mut() else {
            return;
        };
        let Some(deadline) = process
            .deadline
            .filter(|deadline| *deadline != Timestamp::NEVER)
        else {
            return;
        };
        let clock = &self.hosts[slot.spec.host.index()].clock;
        let reading = process.clock_zero.saturating_add(deadline.as_nanos());
        // A clock that stands reaches nothing; whoever lets it go on sets the timers.
        let Some(due) = clock.when(reading) else {
            return;
        };
        let due = due.max(self.now);
        if due >= process.wake_at {
            return;
        }
        slot.counters.timers += 1;
        let mut draw = self
            .streams
            .at(Stream::Timer, node.index() as u64, slot.counters.timers);
        let at = due.after_nanos(draw.below(nanos(self.settings.timer_slack)));
        if at >= process.wake_at {
            return;
        }
        process.wake_at = at;
        let start = process.start;
        self.schedule(node, at, Event::Wake { node, start });
    }

    /// A host's clock was set: what waits for it waits for another moment now.
    pub(super) fn clock_changed(&mut self, host: super::HostIx) {
        let here: Vec<NodeIx> = self
            .nodes()
            .filter(|node| self.host_of(*node) == host)
            .collect();
        for node in here {
            if let Some(process) = self.nodes[node.index()].process.as_mut() {
                process.wake_at = SimTime::NEVER;
                self.arm(node);
            }
        }
    }

    fn trace_input(&mut self, node: NodeIx, input: Option<&Input>) {
        let start = self.nodes[node.index()].starts;
        let (kind, number) = (Kind::Input, u64::from(start));
        let trace = &mut self.trace;
        let at = node.index();
        match input {
            None => trace.event(self.now, at, Kind::Start, number, &[]),
            Some(Input::Deadline) => trace.event(self.now, at, Kind::Deadline, number, &[]),
            Some(Input::Datagram { bytes, .. }) => {
                trace.event(self.now, at, Kind::Datagram, number, bytes);
            }
            Some(Input::Received { conn, bytes }) => {
                trace.event(self.now, at, Kind::Received, conn.0, bytes);
            }
            Some(other) => trace.debug(self.now, at, kind, number, other),
        }
        if self.trace.keeps_lines() {
            let what = match input {
                None => "begins".to_owned(),
                Some(Input::Datagram { from, bytes }) => {
                    format!("datagram of {} bytes from {from}", bytes.len())
                }
                Some(Input::Received { conn, bytes }) => {
                    format!("received {} bytes on connection {conn}", bytes.len())
                }
                Some(other) => format!("{other:?}"),
            };
            self.trace_line(Some(node), "<-", &what);
        }
    }

    fn trace_effect(&mut self, node: NodeIx, effect: &Effect) {
        let at = node.index();
        match effect {
            Effect::SendDatagram { bytes, .. } => {
                self.trace.event(self.now, at, Kind::SendDatagram, 0, bytes);
            }
            Effect::Send { conn, bytes } => {
                self.trace.event(self.now, at, Kind::Send, conn.0, bytes);
            }
            other => self.trace.debug(self.now, at, Kind::Effect, 0, other),
        }
        if self.trace.keeps_lines() {
            let what = match effect {
                Effect::SendDatagram { to, bytes } => {
                    format!("datagram of {} bytes to {to:?}", bytes.len())
                }
                Effect::Send { conn, bytes } => {
                    format!("sends {} bytes on connection {conn}", bytes.len())
                }
                Effect::Notify(event) => format!("[{}] {event}", event.name),
                other => format!("{other:?}"),
            };
            self.trace_line(Some(node), "->", &what);
        }
    }

    fn trace_status(&mut self, node: NodeIx) {
        if !self.trace.keeps_lines() {
            return;
        }
        let Some(process) = self.nodes[node.index()].process.as_ref() else {
            return;
        };
        let status = self.factory.status(&process.machine);
        if !status.is_empty() {
            self.trace_line(Some(node), "==", &status);
        }
    }

    /// Writes a line of the trace, if lines are kept.
    pub(super) fn trace_line(&mut self, node: Option<NodeIx>, arrow: &str, what: &str) {
        if !self.trace.keeps_lines() {
            return;
        }
        let (alias, start) = match node {
            Some(node) => {
                let node = &self.nodes[node.index()];
                (node.spec.alias.as_str(), node.starts)
            }
            None => ("-", 0),
        };
        self.trace.line(self.now, alias, start, arrow, what);
    }
}

const fn step_kind(input: Option<&Input>) -> StepKind {
    match input {
        None => StepKind::Start,
        Some(Input::Deadline) => StepKind::Deadline,
        Some(Input::Datagram { .. } | Input::DatagramsDropped { .. }) => StepKind::Datagram,
        Some(
            Input::Accepted { .. }
            | Input::Connected { .. }
            | Input::Received { .. }
            | Input::Closed { .. },
        ) => StepKind::Connection,
        Some(Input::DiskDone { result, .. } | Input::VolumeDone { result, .. }) => {
            StepKind::DiskDone(result.is_ok())
        }
        Some(Input::VolumeOpened { result, .. }) => StepKind::DiskDone(result.is_ok()),
        Some(Input::VolumeSpace { .. }) => StepKind::DiskDone(true),
        Some(Input::LabelRead { result, .. }) => StepKind::DiskDone(result.is_ok()),
        Some(Input::Process(_)) => StepKind::Process,
        Some(Input::Request { .. } | Input::Store { .. }) => StepKind::Request,
        Some(Input::CopyEnded { .. } | Input::Scrubbed { .. }) => StepKind::Transfer,
        Some(Input::JobDone { .. }) => StepKind::Job,
        Some(Input::Measured(_)) => StepKind::Deadline,
        Some(Input::Terminate) => StepKind::Terminate,
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic
        .downcast_ref::<String>()
        .map_or_else(|| "without a word".to_owned(), Clone::clone)
}
