//! What the controller does by itself as time goes by.

use core::time::Duration;

use super::commit::Continuation;
use super::members::Presence;
use super::{Controller, Phase};
use crate::admin::{NodeState, Refusal};
use crate::event::Event;
use crate::ids::{Alias, LogIndex, Role};
use crate::io::ExitCode;
use crate::membership::{FailureDetector, Slot, Verdict};
use crate::message::{AskChild, Desired, DesiredNode, Fenced, Message, Ping, RestartPolicy};
use crate::metalog::SpaceMode;
use crate::state::{NodeDesired, Record};
use crate::time::Timestamp;

/// How often an agent is told again what is wanted of it: an order that was lost is lost no longer.
const DESIRED_PERIOD: Duration = Duration::from_secs(5);
/// How often a full disk is tried again.
const SPACE_PERIOD: Duration = Duration::from_secs(5);
/// How often the reserve is asked for again, if there was no space for it.
const RESERVE_PERIOD: Duration = Duration::from_secs(60);
/// How long an agent may take to register before the controller asks why it does not.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Time between two such questions.
const PROBE_PERIOD: Duration = Duration::from_secs(5);

impl Controller {
    /// Tries again what a full disk did not take.
    fn ask_for_space(&mut self, now: Timestamp) {
        let is_full = self.log.space_mode() == SpaceMode::ReadOnly || self.home_unsaved;
        if !is_full || now.since(self.space_asked) < SPACE_PERIOD {
            return;
        }
        self.space_asked = now;
        if self.home_unsaved {
            self.save_home();
        }
        if self.log.space_mode() == SpaceMode::ReadOnly {
            self.log.space_returned();
            self.start_checkpoint();
            self.note_space();
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.next_tick = now.after(FailureDetector::TICK);
        self.links.expire(now, &self.limits, &mut self.out);
        // One that has not begun to serve waits for space as well: its first record has to be written.
        if matches!(self.phase, Phase::Opening | Phase::Serving) {
            self.ask_for_space(now);
        }
        if self.phase != Phase::Serving {
            return;
        }
        if self.log.lacks_reserve() && now.since(self.space_asked) >= RESERVE_PERIOD {
            self.space_asked = now;
            self.log.want_reserve();
        }
        for (slot, verdict) in self.detector.tick(now) {
            self.act_on(now, slot, verdict);
        }
        self.note_mass_event(now);
        self.tend_sessions(now);
        self.refresh_places(now);
        self.sweep_files(now);
        self.tend_duties(now);
        self.tend_chunks(now);
        self.tend_orphans();
        self.tend_balance(now);
        self.tend_mirrors(now);
        self.probe_absent_agents(now);
        self.restart_after_interval(now);
        self.give_up_log_reads(now);
        self.give_up_rescans(now);
        self.note_figures(now);
        self.tend_audit(now);
        let due: Vec<Slot> = self
            .members
            .agents()
            .filter(|&slot| {
                let agent = &self.members.all[slot];
                agent.presence == Presence::Online
                    && now.since(agent.desired_sent) >= DESIRED_PERIOD
            })
            .collect();
        for slot in due {
            self.tell_agent(now, slot);
        }
    }

    fn act_on(&mut self, now: Timestamp, slot: Slot, verdict: Verdict) {
        let alias = self.members.all[slot].member.site.alias.clone();
        let silence = self
            .detector
            .silence(slot, now)
            .unwrap_or_default()
            .as_millis();
        match verdict {
            Verdict::Suspect => {
                let text = format!("{alias} is suspected: nothing heard for {silence} ms; asking");
                self.out.notify(Event::info("node.suspect", text));
                self.ping(slot);
            }
            Verdict::Offline => {
                let reason = format!(
                    "nothing heard for {silence} ms, over UDP, TCP or its agent: the node hangs, its \
                     host is down, or the network is cut"
                );
                let text = format!("{alias} has gone offline: {reason}");
                self.out.notify(Event::warning("node.offline", text));
                self.went_offline(now, slot, reason);
            }
            Verdict::Lost => {
                let text = if self.is_in_maintenance(slot) {
                    format!("{alias} is away for long; it is in maintenance, and waited for")
                } else {
                    format!("{alias} is lost: nobody waits for it any more")
                };
                self.out.notify(Event::warning("node.lost", text));
            }
        }
    }

    /// Asks a member, and through its agent, whether it is there.
    pub(super) fn ping(&mut self, slot: Slot) {
        let nonce = self.secrets.next_u64();
        self.tell(slot, Message::Ping(Ping { nonce }));
        let member = &self.members.all[slot];
        if let Some(agent) = member.agent {
            let alias = member.member.site.alias.clone();
            self.tell(agent, Message::AskChild(AskChild { alias }));
        }
    }

    /// Voids a member's registration.
    pub(super) fn went_offline(&mut self, now: Timestamp, slot: Slot, reason: String) {
        self.tell(
            slot,
            Message::Fenced(Fenced {
                reason: reason.clone(),
            }),
        );
        if let Some(conn) = self.members.set_session(slot, None) {
            self.links.close(conn, &mut self.out);
        }
        self.files.forget(slot);
        self.forget_copies_of(now, slot);
        let half_life = self.limits.flap_half_life;
        let member = &mut self.members.all[slot];
        member.presence = Presence::Away;
        member.why_away = reason;
        member.well_since = now;
        member.probing.next = now.after(PROBE_AFTER);
        if member.flap.departed(now, half_life) {
            let text = format!(
                "{} comes and goes: quarantined, so that nothing new is put on it for a while",
                member.member.site.alias
            );
            self.out.notify(Event::warning("node.quarantined", text));
        }
        if self.members.all[slot].member.role == Role::DataNode {
            self.refresh_place(now, slot);
        }
    }

    fn note_mass_event(&mut self, now: Timestamp) {
        let mass_event = self.detector.mass_event(now);
        if mass_event && !self.mass_event {
            let text = "many nodes went offline at once: likely the network or a power line and not \
                        the nodes; nothing is given up as lost for now";
            self.out.notify(Event::error("cluster.mass_event", text));
        }
        self.mass_event = mass_event;
    }

    fn probe_absent_agents(&mut self, now: Timestamp) {
        if now.since(self.started) < PROBE_AFTER {
            return;
        }
        let absent: Vec<Slot> = self
            .members
            .agents()
            .filter(|&slot| {
                let agent = &self.members.all[slot];
                agent.presence == Presence::Away
                    && agent.probing.conn.is_none()
                    && now >= agent.probing.next
            })
            .collect();
        for slot in absent {
            let endpoint = self.members.all[slot].member.site.endpoint.clone();
            let conn = self.links.dial(now, endpoint, &mut self.out);
            let probing = &mut self.members.all[slot].probing;
            probing.conn = Some(conn);
            probing.next = now.after(PROBE_PERIOD);
        }
    }

    /// `datanodeRestartInterval`: data nodes that nobody stopped, and with the level OFFLINE also
    /// the others, are started when they have been away for so long.
    fn restart_after_interval(&mut self, now: Timestamp) {
        let RestartPolicy::After(interval_ms) = self.restart else {
            return;
        };
        let interval = Duration::from_millis(interval_ms);
        let due: Vec<Alias> = self
            .members
            .data_nodes()
            .filter(|&slot| {
                let member = &self.members.all[slot];
                let order = self.state.orders.get(&member.member.site.alias);
                let wanted = match order {
                    None => true,
                    Some(order) => !order.run && self.restart_stopped,
                };
                // Nobody can start what has no configuration, or is refused.
                let may = !member.orphaned
                    && self
                        .state
                        .registry
                        .removed_by(&member.member.site.alias)
                        .is_none();
                wanted
                    && may
                    && member.presence == Presence::Away
                    && now.since(member.well_since) >= interval
            })
            .map(|slot| self.members.all[slot].member.site.alias.clone())
            .collect();
        for alias in due {
            let text = format!("starting {alias}: away for datanodeRestartInterval");
            self.out.notify(Event::info("node.auto_start", text));
            let index = self.append(&Record::NodeDesired(NodeDesired { alias, run: true }));
            self.when_synced(now, index, Continuation::TellAgents);
        }
    }

    fn give_up_log_reads(&mut self, now: Timestamp) {
        let late: Vec<_> = self
            .log_reads
            .iter()
            .filter(|(_, waiting)| now >= waiting.until)
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            if let Some(waiting) = self.log_reads.remove(&id) {
                let reason = format!("{} did not answer in time; ask again", waiting.from);
                self.reply(waiting.request, Err(Refusal::Unavailable { reason }));
            }
        }
    }

    // ---- what is wanted of agents ----

    pub(super) fn tell_agents(&mut self, now: Timestamp) {
        let agents: Vec<Slot> = self.members.agents().collect();
        for slot in agents {
            if self.members.all[slot].presence == Presence::Online {
                self.tell_agent(now, slot);
            }
        }
    }

    /// Sends an agent the whole set of what is wanted of it.
    pub(super) fn tell_agent(&mut self, now: Timestamp, agent: Slot) {
        let synced = self.log.synced();
        let order = |alias: &Alias| self.state.orders.get(alias).copied();
        // An orphan has no configuration to run with. Left out, what runs goes on; it can be stopped. One
        // that is no member any more was stopped before its row went, and its agent may not have heard it.
        let can_be_told = |slot: &Slot| {
            let member = &self.members.all[*slot];
            let is_listed = !member.orphaned && !member.gone;
            is_listed || order(&member.member.site.alias).is_some_and(|order| !order.run)
        };
        let nodes: Vec<DesiredNode> = self
            .members
            .children_of(agent)
            .filter(can_be_told)
            .map(|slot| {
                let member = &self.members.all[slot].member;
                let order = order(&member.site.alias);
                DesiredNode {
                    alias: member.site.alias.clone(),
                    version: order.map_or(LogIndex(0), |order| order.version),
                    run: order.is_some_and(|order| order.run),
                    endpoint: member.site.endpoint.clone(),
                    node_cfg: member.node_cfg.clone(),
                }
            })
            .collect();
        if nodes.iter().any(|node| node.version > synced) {
            // An order that is not durable is not given; its continuation comes here again.
            return;
        }
        self.members.all[agent].desired_sent = now;
        let desired = Desired {
            as_of: synced,
            restart: self.restart,
            nodes,
        };
        self.tell(agent, Message::Desired(desired));
    }

    /// Notes the moment when, for the first time, everything runs that should.
    pub(super) fn note_all_green(&mut self, now: Timestamp) {
        if self.all_green_after.is_some() {
            return;
        }
        let mut any = false;
        for slot in self.members.data_nodes() {
            let alias = &self.members.all[slot].member.site.alias;
            if self.members.all[slot].orphaned {
                continue;
            }
            if self.state.orders.get(alias).is_some_and(|order| order.run) {
                any = true;
                if self.outlook(now).state(slot).0 != NodeState::Online {
                    return;
                }
            }
        }
        if any {
            let after = now.since(self.started);
            self.all_green_after = Some(after);
            let text = format!(
                "every data node that should run is online, {} ms after the start",
                after.as_millis()
            );
            self.out.notify(Event::info("cluster.all_green", text));
        }
    }

    pub(super) fn terminate(&mut self) {
        // What was acknowledged is durable; what was not, its asker will ask again.
        self.out.notify(Event::info(
            "controller.ending",
            "ending; the cluster runs on",
        ));
        self.out.exit(ExitCode::Success, "ended as ordered");
    }
}
