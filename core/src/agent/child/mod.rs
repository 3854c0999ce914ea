//! One data node as its agent runs it: a level-triggered machine from what is wanted to what is.
//!
//! ```text
//!            order: run                durable            port free          launched
//!   Down ─────────────▶ Recording ───────────▶ Probing ─────────▶ Launching ─────────▶ Running
//!    ▲                                            │ ▲ port held                          │ │
//!    │ exit 0, SIGTERM by hand                    ▼ │                                    │ │ order: stop
//!    ├──────────────────────────────────────── PortHeld                                  │ ▼
//!    │                         Waiting ◀──────── crash ──────────────────────────────────┘ Stopping
//!    │                            └──▶ Recording                                              │
//!    └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! After a restart of the agent a recorded process is *inspected* before anything is concluded: it
//! may run on (and is adopted), may be gone, or its pid may belong to somebody else by now.
//!
//! Three rules keep data from being written by two processes of one alias and other people's
//! processes from being killed:
//! 1. A start is recorded durably before the process is launched.
//! 2. A recorded start without a process id is waited for, not repeated at once: the node may run
//!    and be about to attach.
//! 3. Nothing is signalled but a process whose identity was proven.

mod ending;
mod status;

use core::time::Duration;
use std::collections::VecDeque;

use minicbor::{Decode, Encode};

use crate::dfs::digest::Digest;
use crate::event::Event;
use crate::ids::{Alias, LogIndex};
use crate::io::Effect;
use crate::limits::Limits;
use crate::message::{DesiredNode, ExitNotice, RestartPolicy};
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::process::{
    Inspection, PortState, ProcessExit, ProcessIdentity, ProcessOrder, StopSignal,
};
use crate::time::Timestamp;

/// What an agent keeps on disk about a child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ChildRecord {
    /// Whether a start has begun that no end is known of.
    #[n(0)]
    pub(crate) started: bool,
    /// The process, once it was launched.
    #[n(1)]
    pub(crate) process: Option<ProcessIdentity>,
    /// Orders up to this version are settled: a person did something else since, or the start
    /// failed for good. Only a newer order counts.
    #[n(2)]
    pub(crate) settled: LogIndex,
    /// What the process was started with; `None` for one that was started by hand, or by an earlier
    /// version.
    #[cbor(n(3), default)]
    pub(crate) config: Option<Digest>,
}

/// Where a child is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    /// The start is being written to disk.
    Recording,
    /// The port is being probed.
    Probing,
    /// Another process has the port.
    PortHeld {
        next_probe: Timestamp,
    },
    Launching,
    Running {
        process: ProcessIdentity,
        since: Timestamp,
    },
    Stopping {
        process: ProcessIdentity,
        since: Timestamp,
        killed: bool,
    },
    /// Crashed; starts again at that moment.
    Waiting {
        until: Timestamp,
    },
    Failed,
    /// Recorded before the agent's restart; being looked for.
    Inspecting {
        process: ProcessIdentity,
    },
    /// A start was recorded and its process was not: it may attach until that moment.
    Orphaned {
        until: Timestamp,
    },
    /// Something has the recorded pid, and it is not certain what.
    Unproven {
        process: ProcessIdentity,
        next_look: Timestamp,
    },
}

/// One data node of the agent's host.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    alias: Alias,
    desired: Option<DesiredNode>,
    record: ChildRecord,
    phase: Phase,
    /// When the present start began.
    start_began: Timestamp,
    /// Set while a change of the record waits to be written: the number of the state that has it.
    awaiting_save: Option<u64>,
    dirty: bool,
    last_exit: Option<ExitNotice>,
    crashes: u32,
    recent_crashes: VecDeque<Timestamp>,
    reason: String,
    log_tail: Vec<String>,
}

/// What the whole agent shares with its children while one of them acts.
pub(crate) struct Around<'a> {
    pub(crate) now: Timestamp,
    pub(crate) limits: &'a Limits,
    pub(crate) policy: RestartPolicy,
    pub(crate) planted: &'a Planted,
    pub(crate) node_lines: &'a str,
    pub(crate) out: &'a mut Outbox,
}

impl Child {
    /// A child of which nothing is known but its name.
    pub(crate) fn new(alias: Alias, now: Timestamp) -> Self {
        Self {
            alias,
            desired: None,
            record: ChildRecord::default(),
            phase: Phase::Down,
            start_began: now,
            awaiting_save: None,
            dirty: false,
            last_exit: None,
            crashes: 0,
            recent_crashes: VecDeque::new(),
            reason: String::new(),
            log_tail: Vec::new(),
        }
    }

    /// A child as an earlier process of the agent left it.
    pub(crate) fn recovered(alias: Alias, record: ChildRecord, around: &mut Around<'_>) -> Self {
        let mut child = Self::new(alias, around.now);
        child.record = record;
        if !child.record.started || around.planted.forget_children {
            return child;
        }
        match child.record.process.clone() {
            Some(process) if around.planted.adopt_unproven => {
                child.phase = Phase::Running {
                    process,
                    since: around.now,
                };
            }
            Some(process) => child.inspect(process, around),
            None => {
                let until = around.now.after(around.limits.launch_timeout);
                child.phase = Phase::Orphaned { until };
            }
        }
        child
    }

    pub(crate) const fn record(&self) -> &ChildRecord {
        &self.record
    }

    /// Whether the record has changed since it was last asked for.
    pub(crate) fn take_dirty(&mut self) -> bool {
        core::mem::take(&mut self.dirty)
    }

    /// The record, as it is now, will be on disk once state number `save` is.
    pub(crate) fn saving(&mut self, save: u64) {
        if self.phase == Phase::Recording && self.awaiting_save.is_none() {
            self.awaiting_save = Some(save);
        }
    }

    /// Takes a new order.
    pub(crate) fn order(&mut self, desired: DesiredNode, around: &mut Around<'_>) {
        let newer = self
            .desired
            .as_ref()
            .is_none_or(|old| desired.version > old.version);
        if newer && desired.version > self.record.settled {
            self.crashes = 0;
            self.recent_crashes.clear();
            if matches!(self.phase, Phase::Failed | Phase::Waiting { .. }) {
                self.phase = Phase::Down;
                self.reason.clear();
                self.log_tail.clear();
            }
        }
        self.desired = Some(desired);
        self.reconcile(around);
    }

    /// Whether the node should run now, or `None` if nobody says.
    fn wanted(&self) -> Option<bool> {
        let desired = self.desired.as_ref()?;
        (desired.version > self.record.settled).then_some(desired.run)
    }

    /// Takes the next step from what is to what should be, if there is one to take.
    pub(crate) fn reconcile(&mut self, around: &mut Around<'_>) {
        let wanted = self.wanted();
        match (&self.phase, wanted) {
            (Phase::Down, Some(true)) => self.begin_start(around),
            (Phase::Waiting { until }, Some(true)) if around.now >= *until => {
                self.begin_start(around);
            }
            (
                Phase::Recording
                | Phase::Probing
                | Phase::PortHeld { .. }
                | Phase::Waiting { .. }
                | Phase::Failed,
                Some(false),
            ) => {
                self.reason.clear();
                self.log_tail.clear();
                self.went_down();
            }
            (Phase::Down, Some(false)) => self.reason.clear(),
            (Phase::PortHeld { next_probe }, _) if around.now >= *next_probe => {
                self.probe_port(around);
            }
            (Phase::Running { process, .. }, Some(false)) => {
                let process = process.clone();
                self.signal(&process, StopSignal::Terminate, around);
                self.phase = Phase::Stopping {
                    process,
                    since: around.now,
                    killed: false,
                };
                self.reason.clear();
            }
            (Phase::Running { since, .. }, _)
                if self.crashes > 0 && around.now.since(*since) >= around.limits.restart_reset =>
            {
                self.crashes = 0;
                self.recent_crashes.clear();
            }
            (
                Phase::Stopping {
                    process,
                    since,
                    killed: false,
                },
                _,
            ) if around.now.since(*since) >= around.limits.stop_timeout => {
                let (process, since) = (process.clone(), *since);
                self.signal(&process, StopSignal::Kill, around);
                let text = format!(
                    "{} ({process}) did not end within {} s of SIGTERM; it was killed",
                    self.alias,
                    around.limits.stop_timeout.as_secs()
                );
                around.out.notify(Event::warning("child.killed", text));
                self.phase = Phase::Stopping {
                    process,
                    since,
                    killed: true,
                };
            }
            (Phase::Orphaned { until }, _) if around.now >= *until => {
                // Whoever was started has had time to attach. Should it run all the same, the lock
                // on its home keeps a second one from starting.
                self.went_down();
                self.reconcile(around);
            }
            (Phase::Unproven { process, next_look }, _) if around.now >= *next_look => {
                let process = process.clone();
                around.out.push(Effect::Process(ProcessOrder::Inspect {
                    alias: self.alias.clone(),
                    identity: process.clone(),
                }));
                let next_look = around.now.after(UNPROVEN_LOOK);
                self.phase = Phase::Unproven { process, next_look };
            }
            _ => {}
        }
    }

    /// State number `durable` of the agent is on disk.
    pub(crate) fn saved(&mut self, durable: u64, around: &mut Around<'_>) {
        if self.awaiting_save.is_some_and(|save| save <= durable) {
            self.awaiting_save = None;
            if self.phase == Phase::Recording {
                self.probe_port(around);
            }
        }
    }

    /// When [`Child::reconcile`] has something to do by itself.
    pub(crate) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        match &self.phase {
            Phase::Waiting { until } | Phase::Orphaned { until } => Some(*until),
            Phase::PortHeld { next_probe } => Some(*next_probe),
            Phase::Unproven { next_look, .. } => Some(*next_look),
            Phase::Stopping {
                since,
                killed: false,
                ..
            } => Some(since.after(limits.stop_timeout)),
            Phase::Running { since, .. } if self.crashes > 0 => {
                Some(since.after(limits.restart_reset))
            }
            _ => None,
        }
    }

    /// The result of a port probe.
    pub(crate) fn port_probed(&mut self, state: PortState, around: &mut Around<'_>) {
        if self.phase != Phase::Probing {
            return;
        }
        let Some(desired) = &self.desired else { return };
        let port = desired.endpoint.port;
        let next_probe = around.now.after(around.limits.port_probe_period);
        let obstacle = match state {
            PortState::Free => {
                self.record.config = Some(Digest::of(desired.node_cfg.as_bytes()));
                let node_cfg = format!("{}{}", desired.node_cfg, around.node_lines);
                self.phase = Phase::Launching;
                let alias = self.alias.clone();
                around
                    .out
                    .push(Effect::Process(ProcessOrder::Launch { alias, node_cfg }));
                return;
            }
            PortState::Held { holder } => {
                let holder = holder.map_or_else(
                    || "another program (its owner hides which)".to_owned(),
                    |holder| format!("another program, {holder}"),
                );
                format!(
                    "Failed to bind the socket on {port}: {} is held by {holder}; end that program \
                     or give {} another port in cluster.nodes. It starts by itself once the port is \
                     free",
                    desired.endpoint, self.alias
                )
            }
            PortState::Refused { reason } => format!(
                "Failed to bind the socket on {port}: {} cannot be bound on this host ({reason}); \
                 correct the address of {} in cluster.nodes",
                desired.endpoint, self.alias
            ),
        };
        if self.reason != obstacle {
            around
                .out
                .notify(Event::error("child.port_held", obstacle.clone()));
            self.reason = obstacle;
        }
        self.phase = Phase::PortHeld { next_probe };
    }

    /// The result of a launch.
    pub(crate) fn launched(
        &mut self,
        result: Result<ProcessIdentity, String>,
        around: &mut Around<'_>,
    ) {
        if self.phase != Phase::Launching {
            return;
        }
        match result {
            Ok(process) => {
                let text = format!("{} started ({process})", self.alias);
                around.out.notify(Event::info("child.started", text));
                self.runs(process, around);
            }
            Err(reason) => {
                let text = format!("{} could not be started: {reason}", self.alias);
                around
                    .out
                    .notify(Event::error("child.launch_failed", text.clone()));
                self.crashed(text, around);
            }
        }
        self.reconcile(around);
    }

    /// The node itself says that it runs.
    pub(crate) fn attached(&mut self, process: &ProcessIdentity, around: &mut Around<'_>) {
        match &self.phase {
            Phase::Orphaned { .. } => self.inspect(process.clone(), around),
            // Somebody started it by hand. It is watched like the others, and no order that was
            // given before touches it.
            Phase::Down | Phase::Failed => {
                if let Some(desired) = &self.desired {
                    self.record.settled = desired.version;
                }
                self.record.started = true;
                self.record.config = None;
                self.inspect(process.clone(), around);
            }
            _ => {}
        }
    }

    /// The result of an inspection.
    pub(crate) fn inspected(
        &mut self,
        process: &ProcessIdentity,
        inspection: Inspection,
        around: &mut Around<'_>,
    ) {
        let asked = matches!(
            &self.phase,
            Phase::Inspecting { process: asked } | Phase::Unproven { process: asked, .. }
                if asked == process
        );
        if !asked {
            return;
        }
        match inspection {
            Inspection::Running => {
                let text = format!("{} runs on ({process}); taken over", self.alias);
                around.out.notify(Event::info("child.adopted", text));
                self.runs(process.clone(), around);
                self.reconcile(around);
            }
            Inspection::Gone => self.ended(process, ProcessExit::Unknown, Vec::new(), around),
            Inspection::Unproven { reason } => {
                self.reason = format!(
                    "{process} has the process id recorded for {}, and is not certainly that node \
                     ({reason}); it is left alone. End it by hand if it is a left-over",
                    self.alias
                );
                around
                    .out
                    .notify(Event::warning("child.unproven", self.reason.clone()));
                let next_look = around.now.after(UNPROVEN_LOOK);
                self.phase = Phase::Unproven {
                    process: process.clone(),
                    next_look,
                };
            }
        }
    }

    fn begin_start(&mut self, around: &Around<'_>) {
        self.record.started = true;
        self.record.process = None;
        self.record.config = None;
        self.dirty = true;
        self.awaiting_save = None;
        self.start_began = around.now;
        self.phase = Phase::Recording;
    }

    fn probe_port(&mut self, around: &mut Around<'_>) {
        if let Some(desired) = &self.desired {
            around.out.push(Effect::Process(ProcessOrder::ProbePort {
                alias: self.alias.clone(),
                endpoint: desired.endpoint.clone(),
            }));
            self.phase = Phase::Probing;
        }
    }

    fn inspect(&mut self, process: ProcessIdentity, around: &mut Around<'_>) {
        around.out.push(Effect::Process(ProcessOrder::Inspect {
            alias: self.alias.clone(),
            identity: process.clone(),
        }));
        self.phase = Phase::Inspecting { process };
    }

    fn runs(&mut self, process: ProcessIdentity, around: &Around<'_>) {
        self.record.started = true;
        self.record.process = Some(process.clone());
        self.dirty = true;
        self.phase = Phase::Running {
            process,
            since: around.now,
        };
        self.reason.clear();
        self.log_tail.clear();
    }

    fn went_down(&mut self) {
        self.record.started = false;
        self.record.process = None;
        self.dirty = true;
        self.awaiting_save = None;
        self.phase = Phase::Down;
    }

    fn signal(&self, process: &ProcessIdentity, signal: StopSignal, around: &mut Around<'_>) {
        around.out.push(Effect::Process(ProcessOrder::Signal {
            alias: self.alias.clone(),
            identity: process.clone(),
            signal,
        }));
    }

    /// The order by which it is not to run, where nothing is under way that will start it all the same.
    pub(crate) fn stopped_by(&self) -> Option<LogIndex> {
        let starts = matches!(
            self.phase,
            Phase::Recording | Phase::Probing | Phase::PortHeld { .. } | Phase::Launching
        );
        let desired = self.desired.as_ref().filter(|it| !it.run && !starts)?;
        Some(desired.version)
    }

    /// The running process, if there is one for certain.
    pub(crate) const fn running(&self) -> Option<&ProcessIdentity> {
        match &self.phase {
            Phase::Running { process, .. } | Phase::Stopping { process, .. } => Some(process),
            _ => None,
        }
    }
}

/// Time between two looks at a process that may or may not be ours.
const UNPROVEN_LOOK: Duration = Duration::from_secs(5);
