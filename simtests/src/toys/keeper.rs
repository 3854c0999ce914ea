//! A keeper starts workers, notices when they end, and finds them again after its own restart.

use std::time::Duration;

use vaquita_core::disk::{DiskBatch, FileName};
use vaquita_core::ids::{Alias, DiskTicket, Endpoint};
use vaquita_core::io::{Effect, ExitCode, Input, Machine};
use vaquita_core::process::{Inspection, PortState, ProcessEvent, ProcessIdentity, ProcessOrder};
use vaquita_core::time::Timestamp;

use super::Out;
use crate::disk::Files;

/// Wait before an ended worker is started again, and before a taken port is probed again.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Until then.
    Resting(Timestamp),
    Probing,
    Launching,
    Inspecting,
    Running(ProcessIdentity),
    /// Its port is held by a process of its name that is written down nowhere: the keeper ended
    /// between the launch and the writing. It lets it be, and looks again then.
    Orphaned(Timestamp),
}

impl Stage {
    const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Resting(until) | Self::Orphaned(until) => Some(*until),
            Self::Probing | Self::Launching | Self::Inspecting | Self::Running(_) => None,
        }
    }
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    alias: Alias,
    stage: Stage,
    /// What is written down of its process.
    identity: Option<ProcessIdentity>,
}

/// Keeps workers running.
#[derive(Debug)]
pub struct Keeper {
    workers: Vec<Kept>,
    saving: Option<DiskTicket>,
    unsaved: bool,
    out: Out,
}

fn table() -> FileName {
    FileName::fixed("keeper.table")
}

impl Keeper {
    pub(super) fn new(workers: Vec<(Alias, Endpoint)>, files: &Files, now: Timestamp) -> Self {
        let text = files
            .get(&table())
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let known = text.unwrap_or_default();
        let mut out = Out::default();
        let workers = workers
            .into_iter()
            .map(|(alias, endpoint)| {
                let identity = known.lines().find_map(|line| parse(line, &alias));
                let stage = match &identity {
                    Some(identity) => {
                        let order = ProcessOrder::Inspect {
                            alias: alias.clone(),
                            identity: identity.clone(),
                        };
                        out.push(Effect::Process(order));
                        Stage::Inspecting
                    }
                    None => Stage::Resting(now),
                };
                Kept {
                    endpoint,
                    alias,
                    stage,
                    identity,
                }
            })
            .collect();
        let mut keeper = Self {
            workers,
            saving: None,
            unsaved: false,
            out,
        };
        keeper.due(now);
        keeper
    }

    /// How many workers run as far as it knows.
    #[must_use]
    pub fn running(&self) -> usize {
        let runs = |kept: &&Kept| matches!(kept.stage, Stage::Running(_) | Stage::Orphaned(_));
        self.workers.iter().filter(runs).count()
    }

    fn due(&mut self, now: Timestamp) {
        for kept in &mut self.workers {
            if kept.stage.until().is_some_and(|until| until <= now) {
                kept.stage = Stage::Probing;
                self.out.push(Effect::Process(ProcessOrder::ProbePort {
                    alias: kept.alias.clone(),
                    endpoint: kept.endpoint.clone(),
                }));
            }
        }
    }

    fn save(&mut self) {
        self.unsaved = true;
        if self.saving.is_some() {
            return;
        }
        self.unsaved = false;
        let mut text = String::new();
        for kept in &self.workers {
            if let Some(ProcessIdentity {
                pid,
                start_ticks,
                boot_id,
                executable,
            }) = &kept.identity
            {
                let (device, inode) = executable;
                let alias = &kept.alias;
                text.push_str(&format!(
                    "{alias} {pid} {start_ticks} {boot_id} {device} {inode}\n"
                ));
            }
        }
        let ticket = self.out.ticket();
        let batch = DiskBatch::replace_file(ticket, &table(), text.into_bytes());
        self.saving = Some(ticket);
        self.out.push(Effect::Disk(batch));
    }

    fn event(&mut self, now: Timestamp, event: ProcessEvent) {
        let alias = match &event {
            ProcessEvent::PortProbed { alias, .. }
            | ProcessEvent::Launched { alias, .. }
            | ProcessEvent::Inspected { alias, .. }
            | ProcessEvent::Exited { alias, .. } => alias.clone(),
            ProcessEvent::LogRead { .. } => return,
        };
        let Some(kept) = self.workers.iter_mut().find(|kept| kept.alias == alias) else {
            return;
        };
        match event {
            ProcessEvent::PortProbed { state, .. } if kept.stage == Stage::Probing => match state {
                PortState::Free => {
                    kept.stage = Stage::Launching;
                    let node_cfg = "worker".to_owned();
                    self.out
                        .push(Effect::Process(ProcessOrder::Launch { alias, node_cfg }));
                }
                PortState::Held { holder } => {
                    let holder = holder.unwrap_or_default();
                    let until = now.after(PAUSE);
                    if holder == format!("vaquita {alias}") {
                        kept.stage = Stage::Orphaned(until);
                        self.out
                            .notify("keeper.orphan", format!("{alias} runs already"));
                    } else {
                        kept.stage = Stage::Resting(until);
                        let text = format!("{holder} has the port of {alias}");
                        self.out.notify("keeper.port_held", text);
                    }
                }
                PortState::Refused { reason } => {
                    kept.stage = Stage::Resting(now.after(PAUSE));
                    self.out.notify("keeper.port_refused", reason);
                }
            },
            ProcessEvent::Launched { result, .. } if kept.stage == Stage::Launching => match result
            {
                Ok(identity) => {
                    kept.stage = Stage::Running(identity.clone());
                    kept.identity = Some(identity);
                    self.save();
                }
                Err(reason) => {
                    kept.stage = Stage::Resting(now.after(PAUSE));
                    self.out.notify("keeper.launch_failed", reason);
                }
            },
            ProcessEvent::Inspected {
                identity,
                inspection,
                ..
            } if kept.stage == Stage::Inspecting => match inspection {
                Inspection::Running => {
                    self.out
                        .notify("keeper.adopted", format!("{alias} runs as {identity}"));
                    kept.stage = Stage::Running(identity);
                }
                Inspection::Gone => kept.stage = Stage::Resting(now),
                Inspection::Unproven { reason } => {
                    self.out.notify("keeper.unproven", reason);
                    kept.stage = Stage::Resting(now.after(PAUSE));
                }
            },
            ProcessEvent::Exited { identity, exit, .. } => {
                if matches!(&kept.stage, Stage::Running(running) if *running == identity) {
                    self.out
                        .notify("keeper.worker_ended", format!("{alias} ended: {exit}"));
                    kept.stage = Stage::Resting(now.after(PAUSE));
                }
            }
            _ => {}
        }
    }
}

fn parse(line: &str, alias: &Alias) -> Option<ProcessIdentity> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, pid, ticks, boot, device, inode] = words.as_slice() else {
        return None;
    };
    (*name == alias.as_str()).then_some(())?;
    Some(ProcessIdentity {
        pid: pid.parse().ok()?,
        start_ticks: ticks.parse().ok()?,
        boot_id: (*boot).to_owned(),
        executable: (device.parse().ok()?, inode.parse().ok()?),
    })
}

impl Machine for Keeper {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Process(event) => self.event(now, event),
            Input::DiskDone { ticket, result } if self.saving == Some(ticket) => match result {
                Ok(()) => {
                    self.saving = None;
                    if self.unsaved {
                        self.save();
                    }
                }
                Err(fault) => self.out.exit(ExitCode::DiskFault, fault.to_string()),
            },
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            _ => {}
        }
        self.due(now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.workers
            .iter()
            .filter_map(|kept| kept.stage.until())
            .min()
    }

    fn check_invariants(&self) {
        let saved = self.saving.is_some() || !self.unsaved;
        assert!(saved, "a change of the table is being written");
    }
}

/// Does nothing, until it is told to end.
#[derive(Debug, Default)]
pub struct Worker {
    out: Out,
}

impl Machine for Worker {
    fn handle(&mut self, _: Timestamp, input: Input) {
        if input == Input::Terminate {
            self.out.exit(ExitCode::Success, "asked to end");
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn check_invariants(&self) {}
}
