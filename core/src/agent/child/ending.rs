//! How a child ended, and what follows: nothing, another start at once or later, or giving up.

use core::time::Duration;

use super::{Around, Child, Phase};
use crate::event::Event;
use crate::io::ExitCode;
use crate::message::{ExitNotice, RestartPolicy};
use crate::process::{ProcessExit, ProcessIdentity};

impl Child {
    /// A process has ended.
    pub(crate) fn ended(
        &mut self,
        process: &ProcessIdentity,
        exit: ProcessExit,
        log_tail: Vec<String>,
        around: &mut Around<'_>,
    ) {
        let current = match &self.phase {
            Phase::Running {
                process: current, ..
            }
            | Phase::Stopping {
                process: current, ..
            }
            | Phase::Inspecting { process: current }
            | Phase::Unproven {
                process: current, ..
            } => current == process,
            _ => false,
        };
        if !current {
            return;
        }
        let was_stopping = matches!(self.phase, Phase::Stopping { .. });
        self.last_exit = Some(ExitNotice {
            process: process.clone(),
            exit,
        });
        let wanted = self.wanted();
        self.went_down();
        if was_stopping {
            let text = format!("{} ({process}) stopped: {exit}", self.alias);
            around.out.notify(Event::info("child.stopped", text));
            self.reason.clear();
            self.log_tail.clear();
            if around.planted.restart_after_stop
                && let Some(desired) = &mut self.desired
            {
                desired.run = true;
            }
        } else {
            self.log_tail = log_tail;
            self.judge_exit(process, exit, wanted, around);
        }
        self.reconcile(around);
    }

    /// Decides what follows from an end that nobody ordered.
    fn judge_exit(
        &mut self,
        process: &ProcessIdentity,
        exit: ProcessExit,
        wanted: Option<bool>,
        around: &mut Around<'_>,
    ) {
        let alias = self.alias.clone();
        match exit {
            ProcessExit::Code(0) | ProcessExit::Signal(15) => {
                self.settle();
                self.reason = format!(
                    "{alias} ({process}) ended with {exit}, as after a SIGTERM by hand; \
                     `vaquita node start {alias}` starts it again"
                );
                around
                    .out
                    .notify(Event::info("child.ended_by_hand", self.reason.clone()));
            }
            ProcessExit::Code(code) if !ExitCode::worth_a_restart(code) => {
                self.settle();
                self.phase = Phase::Failed;
                self.reason = format!(
                    "{alias} ({process}) gave up with {exit} ({}); see its log, mend the cause, then \
                     `vaquita node start {alias}`",
                    exit_code_meaning(code)
                );
                around
                    .out
                    .notify(Event::error("child.failed", self.reason.clone()));
            }
            _ => {
                let text = format!("{alias} ({process}) crashed with {exit}");
                around
                    .out
                    .notify(Event::warning("child.crashed", text.clone()));
                if wanted == Some(true) {
                    self.crashed(text, around);
                } else {
                    self.reason = text;
                }
            }
        }
    }

    pub(super) fn crashed(&mut self, what: String, around: &mut Around<'_>) {
        self.went_down();
        self.crashes = self.crashes.saturating_add(1);
        self.recent_crashes.push_back(around.now);
        while self.recent_crashes.len() > around.limits.crash_loop_exits {
            self.recent_crashes.pop_front();
        }
        let wait = match around.policy {
            RestartPolicy::Never => {
                self.settle();
                self.reason = format!(
                    "{what}; datanodeRestartInterval=0 says not to start it again: `vaquita node \
                     start {}`",
                    self.alias
                );
                return;
            }
            RestartPolicy::After(ms) => Duration::from_millis(ms),
            RestartPolicy::Backoff => match self.crashes {
                0 | 1 => Duration::ZERO,
                n => {
                    let doublings = (n - 2).min(16);
                    (around.limits.restart_min * 2u32.pow(doublings)).min(around.limits.restart_max)
                }
            },
        };
        self.reason = format!("{what}; crash {} in a row", self.crashes);
        self.phase = Phase::Waiting {
            until: around.now.after(wait),
        };
    }

    pub(super) fn settle(&mut self) {
        if let Some(desired) = &self.desired {
            self.record.settled = self.record.settled.max(desired.version);
            self.dirty = true;
        }
    }
}

const fn exit_code_meaning(code: i32) -> &'static str {
    match code {
        64 => "its command line or configuration is wrong",
        65 => "a file of its home is damaged",
        73 => "another process has its home or its alias",
        77 => "the cluster secret is exposed to others, or kept from it",
        78 => "the controller refuses it",
        _ => "it cannot go on",
    }
}
