//! One event after the other, and what the checkers are told about each.

use std::time::Duration;

use super::event::Event;
use super::{Failure, NodeIx, World};
use crate::checker::Checker;
use crate::streams::Stream;
use crate::time::SimTime;
use crate::world::Factory;

/// What a step was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepKind {
    /// Nothing that anybody could see.
    #[default]
    Nothing,
    /// A process began.
    Start,
    /// A timer.
    Deadline,
    /// A datagram arrived.
    Datagram,
    /// A connection was opened, carried bytes, or ended.
    Connection,
    /// A disk batch ended; whether it succeeded.
    DiskDone(bool),
    /// A host reported about a process.
    Process,
    /// A client asked.
    Request,
    /// A computation ended.
    Job,
    /// Somebody asked the process to end.
    Terminate,
    /// The plan disturbed something.
    Fault,
    /// An asker was told something about a transfer.
    Transfer,
    /// Whoever drives the run wanted to be told.
    Alarm,
}

/// One step, as checkers see it.
///
/// What the machine answered and told in this step are the last [`StepRecord::answers`] of
/// [`World::answers`], and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepRecord {
    /// When.
    pub at: SimTime,
    /// Which machine was told something, if one was.
    pub node: Option<NodeIx>,
    /// What it was told.
    pub kind: StepKind,
    /// Effects it emitted.
    pub effects: usize,
    /// Answers it gave, or failed to give by ending.
    pub answers: usize,
    /// Notices it gave.
    pub told: usize,
    /// Processes that ended by their own decision.
    pub ended: usize,
}

/// How many steps pass between two reports to the watchdog.
const PROGRESS_EVERY: u64 = 1_024;

impl<F: Factory> World<F> {
    /// Lets the next event happen, if there is one before `until`. Returns whether there was.
    ///
    /// # Errors
    /// If the run has gone wrong, now or before.
    pub fn step(&mut self, until: SimTime) -> Result<bool, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        loop {
            let Some((at, event)) = self.queue.pop_until(until) else {
                return Ok(false);
            };
            if at < self.now {
                self.fail(
                    None,
                    format!("an event of {at} was still waiting at {}", self.now),
                );
            }
            self.now = self.now.max(at);
            self.record = StepRecord {
                at: self.now,
                ..StepRecord::default()
            };
            self.happen(event);
            if self.record.kind != StepKind::Nothing {
                break;
            }
            if self.failure.is_some() {
                break;
            }
        }
        self.steps += 1;
        if self.steps.is_multiple_of(PROGRESS_EVERY)
            && let Some(progress) = &self.progress
        {
            progress.report(self.now, self.steps);
        }
        self.look();
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(true),
        }
    }

    /// Lets everything happen that happens up to `until`, and moves the time there.
    ///
    /// # Errors
    /// If the run has gone wrong.
    pub fn run_until(&mut self, until: SimTime) -> Result<(), Failure> {
        while self.step(until)? {}
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets everything happen that happens within `span`.
    ///
    /// # Errors
    /// If the run has gone wrong.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Failure> {
        self.run_until(self.now.after(span))
    }

    /// Lets things happen until `reached` holds, for `span` at most. Returns whether it does.
    ///
    /// # Errors
    /// If the run has gone wrong.
    pub fn run_until_reached(
        &mut self,
        span: Duration,
        mut reached: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Failure> {
        let until = self.now.after(span);
        loop {
            if reached(self) {
                return Ok(true);
            }
            if !self.step(until)? {
                self.now = until;
                return Ok(reached(self));
            }
        }
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_event_at(&self) -> Option<SimTime> {
        self.queue.next_at()
    }

    /// Has the checkers look at the end of a run.
    ///
    /// # Errors
    /// If one finds something wrong.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.ask_checkers(|checker, world, _| checker.at_end(world));
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    fn look(&mut self) {
        self.ask_checkers(|checker, world, record| checker.after_step(world, record));
        self.trim_history();
    }

    fn ask_checkers(
        &mut self,
        mut ask: impl FnMut(&mut dyn Checker<F>, &Self, &StepRecord) -> Result<(), String>,
    ) {
        if self.checkers.is_empty() || self.failure.is_some() {
            return;
        }
        let mut checkers = std::mem::take(&mut self.checkers);
        let record = self.record;
        for checker in &mut checkers {
            if let Err(what) = ask(checker.as_mut(), self, &record) {
                let what = format!("{}: {what}", checker.name());
                self.fail(record.node, what);
                break;
            }
        }
        self.checkers = checkers;
    }

    fn trim_history(&mut self) {
        fn trim<T>(history: &mut Vec<T>, max: usize) {
            if history.len() > max.max(2) {
                history.drain(..max / 2);
            }
        }
        let max = self.settings.history_max;
        trim(&mut self.answers, max);
        trim(&mut self.told, max);
        trim(&mut self.ended, max);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node, start } => self.wake(node, start),
            Event::Datagram { from, to, bytes } => self.datagram_arrives(from, to, bytes),
            Event::Connection(number, event) => self.connection_event(number, event),
            Event::Disk {
                node,
                start,
                which,
                lane,
            } => self.disk_op_ends(node, start, which, lane),
            Event::VolumeOpens {
                node,
                start,
                slot,
                since,
            } => self.volume_opens(node, start, slot, since),
            Event::LabelRead {
                node,
                start,
                slot,
                ticket,
                since,
            } => self.label_is_read(node, start, slot, ticket, since),
            Event::VolumeSpace { node, start, slot } => self.space_is_told(node, start, slot),
            Event::Measure { node, start } => self.process_is_measured(node, start),
            Event::Data(id, event) => self.data_happens(id, event),
            Event::Alarm => self.record.kind = StepKind::Alarm,
            Event::Job { node, start, job } => self.job_ends(node, start, job),
            Event::Request(request) => {
                let (node, id, request) = *request;
                self.request_arrives(node, id, request);
            }
            Event::Order { node, start, order } => self.order_is_due(node, start, order),
            Event::Report { node, start, event } => self.report_arrives(node, start, *event),
            Event::Ready { host, pid, since } => self.process_ready(host, pid, since),
            Event::Start { node } => self.fork_by_host(node),
            Event::Mailbox { node, start } => self.next_waiting(node, start),
            Event::Plan(step) => {
                self.record.kind = StepKind::Fault;
                self.disturb(&step);
            }
        }
    }

    /// Queues an event that concerns a node. Which of several events of one moment comes first is
    /// drawn by node, so that what happens at one does not reorder what happens at another.
    pub(super) fn schedule(&mut self, node: NodeIx, at: SimTime, event: Event) {
        let counters = &mut self.nodes[node.index()].counters;
        counters.ties += 1;
        let tie = self
            .streams
            .at(Stream::Tie, node.index() as u64, counters.ties)
            .bits();
        self.queue.push(at, tie, event);
    }
}
