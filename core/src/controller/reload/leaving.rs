//! Whether a member may lose its row or its place: what is known of its process.
//!
//! | who was heard last | its process |
//! |---|---|
//! | the member itself, and it is not given up | runs |
//! | its agent, which is here | what the agent says |
//! | its agent, which is away, with the word that nothing runs | has ended |
//! | nobody, for a shorter time than after which nodes fence themselves and are given up | may run |
//! | nobody, for longer | counts as ended |
//!
//! The last line is safe although a process may live on behind a network that is cut: it has fenced itself,
//! its registration is void, and without its row it is refused when it comes. Nothing is lost with it, since
//! a node that the log places chunks on keeps its row whatever becomes of it. Without that line nobody could
//! take out the row of a host that burnt down.

use core::time::Duration;

use crate::controller::Controller;
use crate::controller::members::{MemberState, Presence};
use crate::ids::Role;
use crate::membership::{Health, Slot};
use crate::message::{ChildPhase, ChildStatus};
use crate::time::Timestamp;

/// What is known of a member's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// It runs, or is about to.
    Runs,
    /// Whoever would know is away, for too short a time to conclude anything: ask again after this.
    MayRun(Duration),
    /// There is none, or none that counts.
    Ended,
}

fn is_down(child: &ChildStatus) -> bool {
    matches!(child.phase, ChildPhase::Down | ChildPhase::Failed) && child.process.is_none()
}

impl Controller {
    /// What is known of a member's process.
    pub(super) fn process_of(&self, now: Timestamp, slot: Slot) -> Process {
        let state = &self.members.all[slot];
        if state.presence != Presence::Away {
            return Process::Runs;
        }
        let agent = state.agent;
        let child = state.child.as_ref();
        match child {
            Some(child) if is_down(child) => return Process::Ended,
            Some(_) if self.agent_here(state).is_some() => return Process::Runs,
            Some(_) => {}
            // It said so itself, or nobody has ever heard of it.
            None if state.left => return Process::Ended,
            None => {
                let registry = &self.state.registry;
                let alias = &state.member.site.alias;
                if registry.get(alias).is_none() || registry.is_vacant(alias) {
                    return Process::Ended;
                }
            }
        }
        let quiet = core::iter::once(slot).chain(agent);
        let wait = quiet.map(|it| self.until_quiet(now, it)).max();
        match wait.unwrap_or_default() {
            Duration::ZERO => Process::Ended,
            wait => Process::MayRun(wait),
        }
    }

    /// The agent of a data node, if it is registered.
    fn agent_here(&self, state: &MemberState) -> Option<&MemberState> {
        let agent = &self.members.all[state.agent?];
        (agent.presence != Presence::Away).then_some(agent)
    }

    /// Time until a member that is away has been so for as long as it takes to give one up.
    fn until_quiet(&self, now: Timestamp, slot: Slot) -> Duration {
        let state = &self.members.all[slot];
        if state.presence != Presence::Away {
            // It would have told of the other.
            return Duration::ZERO;
        }
        match self.detector.health(slot) {
            Health::Offline { .. } | Health::Lost { .. } => Duration::ZERO,
            Health::Unwatched | Health::Alive | Health::Suspect => {
                let since = self.started.max(state.well_since);
                (self.thresholds.offline).saturating_sub(now.since(since))
            }
        }
    }

    /// Why a data node has to keep its row; `None` if nothing is lost with it.
    pub(super) fn why_kept(&self, now: Timestamp, slot: Slot) -> Option<String> {
        let state = &self.members.all[slot];
        let alias = &state.member.site.alias;
        let chunks = self
            .node_of(slot)
            .map_or(0, |node| self.names().chunks_on_count(node));
        if chunks > 0 {
            let lost = self.words_of_loss(slot);
            return Some(format!(
                "it has {chunks} chunks: {lost}. Put the row back, then empty the node and take it out: \
                 `vaquita node drain {alias} --wait`, `vaquita node remove {alias}`"
            ));
        }
        if let Some(why) = self.why_in_use(now, slot) {
            return Some(why);
        }
        // What an agent was told it does, and without the row nobody could take it back: it would start what
        // is no member once its port is free, and a node that gets the name later at once.
        let ordered = self.state.orders.get(alias).is_some_and(|order| order.run);
        ordered.then(|| {
            format!(
                "it is down, and the order that it should run stands. Take that back first: \
                 `vaquita node stop {alias}`"
            )
        })
    }

    /// Why a member may neither move nor pass to another agent; `None` if it may.
    pub(super) fn why_in_use(&self, now: Timestamp, slot: Slot) -> Option<String> {
        let state = &self.members.all[slot];
        let alias = &state.member.site.alias;
        let (now_is, reason) = self.outlook(now).state(slot);
        let now_is = now_is.as_str();
        match self.process_of(now, slot) {
            Process::Ended => None,
            Process::MayRun(wait) => {
                let all = self.thresholds.offline.as_millis();
                let wait = wait.as_secs() + 1;
                let who = match state.agent {
                    Some(agent) => format!(
                        "it and its agent {} are",
                        self.members.all[agent].member.site.alias
                    ),
                    None => "it is".to_owned(),
                };
                Some(format!(
                    "{who} away, and it is not known whether its process runs. It counts as ended once \
                     nothing has been heard for {all} ms: try again in {wait} s"
                ))
            }
            Process::Runs if state.member.role == Role::Agent => {
                Some(format!("it is {now_is}; stop the agent first"))
            }
            Process::Runs => {
                let unproven = state
                    .child
                    .as_ref()
                    .is_some_and(|child| child.phase == ChildPhase::Unproven);
                Some(match state.agent.map(|agent| &self.members.all[agent]) {
                    Some(agent) if agent.presence == Presence::Away => format!(
                        "it is {now_is}, and its agent {} is not there to stop it: start the agent again, \
                         or end the process on its host",
                        agent.member.site.alias
                    ),
                    None => {
                        format!("it is {now_is}, and has no agent: end the process on its host")
                    }
                    Some(_) if unproven => format!("it is {now_is}: {reason}"),
                    Some(_) => {
                        format!("it is {now_is}; stop it first: `vaquita node stop {alias}`")
                    }
                })
            }
        }
    }
}
