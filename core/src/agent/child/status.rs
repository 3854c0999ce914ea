//! A child in the words in which the controller is told of it.

use super::{Child, Phase};
use crate::ids::LogIndex;
use crate::limits::Limits;
use crate::message::{ChildPhase, ChildStatus};
use crate::time::Timestamp;

impl Child {
    /// The child as the controller is told of it.
    pub(crate) fn status(&self, now: Timestamp, limits: &Limits) -> ChildStatus {
        let process = match &self.phase {
            Phase::Running { process, .. }
            | Phase::Stopping { process, .. }
            | Phase::Inspecting { process }
            | Phase::Unproven { process, .. } => Some(process.clone()),
            _ => None,
        };
        let held_long = now.since(self.start_began) >= limits.port_wait;
        let phase = match &self.phase {
            Phase::Down => ChildPhase::Down,
            Phase::PortHeld { .. } | Phase::Probing if held_long && !self.reason.is_empty() => {
                ChildPhase::Failed
            }
            Phase::Recording
            | Phase::Probing
            | Phase::PortHeld { .. }
            | Phase::Launching
            | Phase::Orphaned { .. }
            | Phase::Inspecting { .. } => ChildPhase::Starting,
            Phase::Running { .. } => ChildPhase::Running,
            Phase::Stopping { .. } => ChildPhase::Stopping,
            Phase::Waiting { .. } => ChildPhase::Waiting,
            Phase::Failed => ChildPhase::Failed,
            Phase::Unproven { .. } => ChildPhase::Unproven,
        };
        let crash_loop = self.recent_crashes.len() >= limits.crash_loop_exits
            && self
                .recent_crashes
                .front()
                .is_some_and(|&first| now.since(first) <= limits.crash_loop_window);
        let process_known = process.is_some();
        ChildStatus {
            alias: self.alias.clone(),
            phase,
            version: self
                .desired
                .as_ref()
                .map_or(LogIndex(0), |desired| desired.version),
            process,
            last_exit: self.last_exit.clone(),
            crashes: self.crashes,
            crash_loop,
            reason: self.reason_to_tell(),
            log_tail: self.log_tail.clone(),
            config: self.record.config.filter(|_| process_known),
        }
    }

    /// Why the child is as it is. What an earlier process of the agent knew is gone but for the
    /// fact that the order is settled, which still has to be told: else the node would seem to be
    /// starting for ever.
    fn reason_to_tell(&self) -> String {
        match &self.desired {
            Some(desired)
                if self.reason.is_empty()
                    && self.phase == Phase::Down
                    && desired.run
                    && desired.version <= self.record.settled =>
            {
                format!(
                    "{alias} was ended by hand, or gave up, before its agent was started; \
                     `vaquita node start {alias}` starts it again",
                    alias = self.alias
                )
            }
            _ => self.reason.clone(),
        }
    }
}
