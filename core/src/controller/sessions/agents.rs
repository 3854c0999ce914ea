//! What agents say about the processes of their hosts.

use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::event::Event;
use crate::membership::Slot;
use crate::message::{ChildAnswered, ChildPhase, ChildStatus, Children};
use crate::time::Timestamp;

impl Controller {
    /// An agent's table of processes.
    pub(super) fn children(&mut self, now: Timestamp, agent: Slot, children: Children) {
        if children.seq <= self.members.all[agent].table_seq && children.seq != 1 {
            return;
        }
        self.members.all[agent].table_seq = children.seq;
        for status in children.table {
            let Some(slot) = self.members.slot(&status.alias) else {
                continue;
            };
            // An agent speaks for the processes of its own host and no other.
            if self.members.all[slot].agent == Some(agent) {
                self.child_status(now, slot, status);
            }
        }
    }

    fn child_status(&mut self, now: Timestamp, slot: Slot, status: ChildStatus) {
        let alias = status.alias.clone();
        let reason = status.reason.clone();
        let failed = matches!(status.phase, ChildPhase::Failed | ChildPhase::Unproven);
        let news = self.members.all[slot]
            .child
            .as_ref()
            .is_none_or(|old| old.reason != reason);
        let exit = status.last_exit.clone();
        let log_tail = status.log_tail.last().cloned();
        self.members.all[slot].child = Some(status);
        if news && failed {
            let tail = log_tail
                .map(|line| format!(" Its log ends: {line}"))
                .unwrap_or_default();
            self.out
                .notify(Event::error("node.failed", format!("{reason}{tail}")));
        }
        if let Some(exit) = exit
            && self.exit_attested(slot)
        {
            let member = &self.members.all[slot];
            let same = member
                .process
                .as_ref()
                .is_none_or(|process| *process == exit.process);
            if same && member.presence != Presence::Away && self.detector.exited(now, slot) {
                self.went_offline(now, slot, format!("its process ended with {}", exit.exit));
                let text = format!(
                    "{alias} has gone offline: its process ended with {}",
                    exit.exit
                );
                self.out.notify(Event::warning("node.offline", text));
            }
        }
        self.note_all_green(now);
    }

    /// The node itself answered its agent, under the epoch it is registered with.
    pub(super) fn child_answered(&mut self, now: Timestamp, agent: Slot, answered: &ChildAnswered) {
        let Some(slot) = self.members.slot(&answered.alias) else {
            return;
        };
        let registered = self.state.registry.get(&answered.alias);
        let current =
            registered.is_some_and(|r| r.node == answered.node && r.epoch == answered.node_epoch);
        if self.members.all[slot].agent == Some(agent) && current {
            self.heard(now, slot);
        }
    }
}
