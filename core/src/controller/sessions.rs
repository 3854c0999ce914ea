//! What members say, and what they are answered.

use core::net::SocketAddr;
use core::time::Duration;

use super::commit::Continuation;
use super::members::{BeatKeys, Presence};
use super::{Controller, Phase};
use crate::event::Event;
use crate::ids::{ConnId, NodeEpoch, Role};
use crate::io::{Destination, Effect};
use crate::later_version;
use crate::links::{LinkEvent, LinkFault};
use crate::membership::{Admission, Circumstances, Health, Slot};
use crate::message::{
    Beat, BeatAck, ChildAnswered, ChildPhase, ChildStatus, Children, Envelope, Fenced, Message,
    Pong, Probe, ProbeReply, Register, Registered, RegistrationRefusal, RegistrationRefused,
    Report, ReportApplied, RollbackSeen,
};
use crate::state::Record;
use crate::time::Timestamp;
use crate::wire::datagram::{self, Direction};

/// Controller epochs whose beginnings are announced to a node.
const EPOCHS_ANNOUNCED: usize = 64;
/// Who is refused asks again and again; the same refusal is told again after that time.
const REFUSAL_TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Refusals that are remembered.
const REFUSALS_MAX: usize = 64;

impl Controller {
    pub(super) fn take_link_events(&mut self, now: Timestamp) {
        loop {
            let events = self.links.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                match event {
                    LinkEvent::Up { conn, .. } => self.probe_up(conn),
                    LinkEvent::Message {
                        conn,
                        envelope,
                        message,
                    } => {
                        self.message(now, conn, &envelope, *message);
                    }
                    LinkEvent::Down {
                        conn,
                        reason,
                        fault,
                    } => {
                        self.link_down(now, conn, &reason, fault);
                    }
                }
            }
        }
    }

    fn link_down(&mut self, now: Timestamp, conn: ConnId, reason: &str, fault: LinkFault) {
        if let Some(slot) = self.members.of_session(conn) {
            // Not a verdict: heartbeats may go on, and the member may connect again.
            self.members.set_session(slot, None);
        }
        self.probe_down(now, conn, reason, fault);
    }

    fn message(&mut self, now: Timestamp, conn: ConnId, envelope: &Envelope, message: Message) {
        if self.phase != Phase::Serving {
            return;
        }
        match message {
            Message::Register(ask) => self.register(now, conn, envelope, &ask),
            Message::Beat(beat) => {
                if let Some(slot) = self.accept_beat(now, envelope, &beat) {
                    let ack = self.ack(&beat);
                    self.say(conn, Some(slot), ack);
                }
            }
            Message::ProbeReply(reply) => self.probe_answered(conn, &reply),
            Message::RollbackSeen(seen) => self.rollback_seen(conn, &seen),
            other => self.registered_message(now, conn, envelope, other),
        }
    }

    /// A message that only a registered member may send, on the connection it registered on.
    fn registered_message(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        message: Message,
    ) {
        let Some(slot) = self.members.of_session(conn) else {
            let fenced = Fenced {
                reason: "this connection is not registered".to_owned(),
            };
            self.say(conn, None, Message::Fenced(fenced));
            return;
        };
        if !self.is_current(slot, envelope) {
            let fenced = Fenced {
                reason: "a message under an epoch that is void".to_owned(),
            };
            self.say(conn, Some(slot), Message::Fenced(fenced));
            return;
        }
        self.heard(now, slot);
        let role = self.members.all[slot].member.role;
        match message {
            Message::Report(report) => self.report(now, conn, slot, report),
            Message::Ping(ping) => {
                self.say(conn, Some(slot), Message::Pong(Pong { nonce: ping.nonce }));
            }
            Message::Pong(_) => {}
            Message::Leaving(leaving) => self.leaving(now, slot, &leaving.reason),
            Message::Children(children) if role == Role::Agent => {
                self.children(now, slot, children);
            }
            Message::ChildAnswered(answered) if role == Role::Agent => {
                self.child_answered(now, slot, &answered);
            }
            Message::LogRead(read) if role == Role::Agent => self.log_read(read),
            other => {
                let text = format!(
                    "ignored {} from {}: a {role} may not send it",
                    other.name(),
                    self.members.all[slot].member.site.alias
                );
                self.out
                    .notify(Event::warning("controller.not_allowed", text));
            }
        }
    }

    /// Whether a member speaks under the epochs that are in force.
    fn is_current(&mut self, slot: Slot, envelope: &Envelope) -> bool {
        let alias = &self.members.all[slot].member.site.alias;
        let Some(registration) = self.state.registry.get(alias) else {
            return false;
        };
        let known =
            Some(registration.node) == envelope.node && envelope.cluster == self.state.cluster;
        let of_this_controller = envelope.controller_epoch == self.epoch;
        let of_this_registration = registration.epoch == envelope.node_epoch;
        let taken = known
            && (of_this_controller || self.planted.ignore_controller_epoch)
            && (of_this_registration || self.planted.ignore_node_epoch);
        if taken && !(of_this_controller && of_this_registration) {
            self.wrongly_taken += 1;
        }
        taken
    }

    fn heard(&mut self, now: Timestamp, slot: Slot) {
        if self.detector.heard(now, slot) {
            let text = format!("{} answers again", self.members.all[slot].member.site.alias);
            self.out.notify(Event::info("node.unsuspected", text));
        }
    }

    // ---- registration ----

    fn register(&mut self, now: Timestamp, conn: ConnId, envelope: &Envelope, ask: &Register) {
        let alias = &ask.site.alias;
        let introduced = self
            .links
            .peer(conn)
            .is_some_and(|peer| peer.alias == *alias && peer.role == ask.role);
        let (Some(node), Some(cluster), true) = (envelope.node, self.state.cluster, introduced)
        else {
            let text = "the registration does not fit the connection it came on".to_owned();
            self.refuse(now, conn, ask, RegistrationRefusal::WrongSite, text);
            return;
        };
        let slot = self.members.slot(alias);
        let aliases = self.members.aliases();
        let around = Circumstances {
            cluster,
            claimed_cluster: envelope.cluster,
            node,
            member: slot.map(|slot| {
                let member = &self.members.all[slot].member;
                (&member.site, member.role)
            }),
            aliases: &aliases,
            holder_lives: slot.is_some_and(|slot| self.holder_lives(now, slot, node, ask)),
            holder_chunks: slot.map_or(0, |slot| self.members.all[slot].chunks),
        };
        match self.state.registry.judge(ask, &around) {
            Admission::Refuse(refusal, text) => {
                if let Some(slot) = slot {
                    if refusal == RegistrationRefusal::DuplicateAlias {
                        self.ping(slot);
                    }
                    self.members.all[slot].probing.finding.clone_from(&text);
                }
                self.refuse(now, conn, ask, refusal, text);
            }
            Admission::Known(epoch) => {
                let Some(slot) = slot else { return };
                let void = matches!(
                    self.detector.health(slot),
                    Health::Offline { .. } | Health::Lost { .. }
                );
                if void {
                    let reason = self.members.all[slot].why_away.clone();
                    self.say(conn, Some(slot), Message::Fenced(Fenced { reason }));
                    return;
                }
                self.note_configuration(slot, ask);
                let granted = Continuation::Granted { conn, slot, epoch };
                self.when_synced(now, crate::ids::LogIndex(epoch.0), granted);
            }
            Admission::Grant(registered) => {
                let Some(slot) = slot else { return };
                self.note_configuration(slot, ask);
                let index = self.append(&Record::NodeRegistered(registered));
                let granted = Continuation::Granted {
                    conn,
                    slot,
                    epoch: NodeEpoch(index.0),
                };
                self.when_synced(now, index, granted);
            }
        }
    }

    /// Whether the process that holds the alias is alive, as far as is known.
    ///
    /// A process with the same home on the same host cannot live beside the one that asks: the lock
    /// on the home is held for life. So once its connection is gone it is dead, and a node that was
    /// killed and started again does not wait for a time-out.
    fn holder_lives(
        &self,
        now: Timestamp,
        slot: Slot,
        node: crate::ids::NodeId,
        ask: &Register,
    ) -> bool {
        let member = &self.members.all[slot];
        let Some(held) = self.state.registry.get(&member.member.site.alias) else {
            return false;
        };
        if self.planted.admit_duplicates {
            return false;
        }
        let same_home = held.node == node && held.host == ask.host;
        match self.detector.health(slot) {
            Health::Alive | Health::Suspect => member.session.is_some() || !same_home,
            // Nothing was heard of it since this controller started, which is no proof of death
            // until it has had the time to be heard.
            Health::Unwatched => {
                let had_time = now.since(self.started) >= self.thresholds.offline;
                !same_home && !had_time && !member.left && !self.exit_attested(slot)
            }
            Health::Offline { .. } | Health::Lost { .. } => false,
        }
    }

    /// Whether the agent of its host saw the registered process of this slot end.
    fn exit_attested(&self, slot: Slot) -> bool {
        let member = &self.members.all[slot];
        let registered = self
            .state
            .registry
            .get(&member.member.site.alias)
            .map(|held| held.pid);
        let seen = member
            .child
            .as_ref()
            .and_then(|child| child.last_exit.as_ref());
        seen.is_some_and(|exit| Some(exit.process.pid) == registered)
    }

    fn refuse(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        ask: &Register,
        refusal: RegistrationRefusal,
        text: String,
    ) {
        self.tell_refusal(now, conn, ask, &text);
        let refused = RegistrationRefused {
            incarnation: ask.incarnation,
            attempt: ask.attempt,
            refusal,
            text,
            retry_after_ms: 200,
        };
        self.say(conn, None, Message::RegistrationRefused(refused));
    }

    /// Tells the operator of a refusal, unless it was told just so a moment ago.
    fn tell_refusal(&mut self, now: Timestamp, conn: ConnId, ask: &Register, text: &str) {
        let told = self.refusals_told.get(&ask.site.alias);
        if told.is_some_and(|(told, at)| told == text && now.since(*at) < REFUSAL_TOLD_AGAIN) {
            return;
        }
        while self.refusals_told.len() >= REFUSALS_MAX {
            self.refusals_told.pop_first();
        }
        let alias = ask.site.alias.clone();
        self.refusals_told.insert(alias, (text.to_owned(), now));
        let remote = self
            .links
            .remote(conn)
            .map(|at| format!(" (from {at})"))
            .unwrap_or_default();
        let message = format!("refused {},{}{remote}: {text}", ask.site, ask.role);
        self.out.notify(Event::warning("node.refused", message));
    }

    /// Notes where a node's configuration differs from the controller's.
    fn note_configuration(&mut self, slot: Slot, ask: &Register) {
        let mut remarks = Vec::new();
        if ask.controller_site != self.site {
            remarks.push(format!(
                "controllerSite of {} is {}, localSite of the controller is {}: write the same in \
                 both places",
                ask.site.alias, ask.controller_site, self.site
            ));
        }
        if ask.lan_cluster != self.lan_cluster {
            remarks.push(format!(
                "lanCluster is {} at {} and {} at the controller, whose value rules: write the same \
                 in controller.cfg, agent.cfg and cluster.cfg",
                u8::from(ask.lan_cluster),
                ask.site.alias,
                u8::from(self.lan_cluster)
            ));
        }
        for remark in &remarks {
            if !self.members.all[slot].remarks.contains(remark) {
                self.out
                    .notify(Event::warning("node.configuration_differs", remark.clone()));
            }
        }
        let member = &mut self.members.all[slot];
        member.remarks = remarks;
        member.process = Some(ask.process.clone());
    }

    /// A registration is durable: the node is told.
    pub(super) fn granted(&mut self, now: Timestamp, conn: ConnId, slot: Slot, epoch: NodeEpoch) {
        let alias = self.members.all[slot].member.site.alias.clone();
        let Some(registration) = self.state.registry.get(&alias) else {
            return;
        };
        if registration.epoch != epoch || self.links.peer(conn).is_none() {
            // Another registration came meanwhile, or nobody is there any more.
            return;
        }
        let registration = registration.clone();
        let keyring = self.links.keyring();
        let keys = BeatKeys {
            node: registration.node,
            beat: keyring.datagram_key(Direction::ToController, registration.node),
            ack: keyring.datagram_key(Direction::ToNode, registration.node),
        };
        self.members.set_keys(slot, keys);
        if let Some(before) = self.members.set_session(slot, Some(conn)) {
            self.links.close(before, &mut self.out);
        }
        let member = &mut self.members.all[slot];
        member.presence = Presence::Joining;
        if member.beats_of != epoch {
            // The same registration goes on counting its beats; only a new one begins anew.
            member.newest_beat = 0;
            member.beats_of = epoch;
        }
        member.udp_blocked = false;
        member.deaf_since = None;
        member.left = false;
        member.why_away.clear();
        member.probing.finding.clear();
        let remarks = member.remarks.clone();
        self.detector.watch(now, slot);
        let starts = &self.state.epoch_starts;
        let skip = starts.len().saturating_sub(EPOCHS_ANNOUNCED);
        let answer = Registered {
            incarnation: registration.incarnation,
            attempt: registration.attempt,
            node_epoch: epoch,
            cluster: self
                .state
                .cluster
                .expect("a controller that serves has founded its cluster"),
            lineage: self
                .state
                .lineage
                .expect("a controller that serves has founded its cluster"),
            instance: self.instance,
            controller: self.site.alias.clone(),
            timeout_ms: u64::try_from(self.thresholds.offline.as_millis()).unwrap_or(u64::MAX),
            lan_cluster: self.lan_cluster,
            commit_index: self.log.synced(),
            epoch_starts: starts.iter().skip(skip).map(|(&e, &i)| (e, i)).collect(),
            members: u64::try_from(self.members.len()).unwrap_or(u64::MAX),
            remarks,
        };
        let text = format!(
            "{alias} registered under epoch {epoch} (pid {} at {})",
            registration.pid, registration.site.endpoint
        );
        self.out.notify(Event::info("node.registered", text));
        self.say(conn, Some(slot), Message::Registered(answer));
    }

    fn report(&mut self, now: Timestamp, conn: ConnId, slot: Slot, report: Report) {
        let member = &mut self.members.all[slot];
        member.chunks = report.chunks;
        let was = core::mem::replace(&mut member.presence, Presence::Online);
        member.well_since = now;
        let applied = ReportApplied {
            report: report.report,
        };
        self.say(conn, Some(slot), Message::ReportApplied(applied));
        if was != Presence::Online {
            let text = format!("{} is online", self.members.all[slot].member.site.alias);
            self.out.notify(Event::info("node.online", text));
        }
        if self.members.all[slot].member.role == Role::Agent {
            self.tell_agent(now, slot);
        }
        self.note_all_green(now);
    }

    fn leaving(&mut self, now: Timestamp, slot: Slot, reason: &str) {
        let alias = self.members.all[slot].member.site.alias.clone();
        let text = format!("{alias} leaves in good order ({reason})");
        self.out.notify(Event::info("node.left", text));
        self.detector.unwatch(slot);
        self.members.set_session(slot, None);
        let member = &mut self.members.all[slot];
        member.presence = Presence::Away;
        member.left = true;
        member.why_away.clear();
        member.well_since = now;
    }

    // ---- heartbeats ----

    pub(super) fn datagram(&mut self, now: Timestamp, from: SocketAddr, bytes: &[u8]) {
        if self.phase != Phase::Serving {
            return;
        }
        let Ok(unverified) = datagram::parse(bytes) else {
            return;
        };
        let Ok(Some((envelope, Message::Beat(beat)))) =
            Message::decode(unverified.kind(), unverified.body())
        else {
            return;
        };
        // Cheap checks first, so that a flood of strangers costs little; the tag after them, before
        // anything is concluded.
        let Some(slot) = envelope.node.and_then(|node| self.members.of_node(node)) else {
            return;
        };
        let Some(keys) = &self.members.all[slot].keys else {
            return;
        };
        if unverified.verify(&keys.beat).is_err() && !self.planted.believe_datagrams {
            return;
        }
        if self.accept_beat(now, &envelope, &beat).is_none() {
            return;
        }
        let ack = self.ack(&beat);
        let kind = ack.kind();
        let later = self.planted.speak_later_version;
        let body = ack.encode_for(self.envelope(Some(slot)), later);
        if let Some(keys) = &self.members.all[slot].keys {
            let to = Destination::Address(from);
            if later {
                let (kind, body) = (later_version::UNKNOWN_KIND, later_version::UNKNOWN_BODY);
                let bytes = datagram::seal(&keys.ack, kind, beat.seq, body);
                let to = to.clone();
                self.out.push(Effect::SendDatagram { to, bytes });
            }
            let bytes = datagram::seal(&keys.ack, kind, beat.seq, &body);
            self.out.push(Effect::SendDatagram { to, bytes });
        }
    }

    fn ack(&self, beat: &Beat) -> Message {
        Message::BeatAck(BeatAck {
            seq: beat.seq,
            commit_index: self.log.synced(),
        })
    }

    /// Takes a beat from either transport. Returns the member if the beat is one of its present
    /// epoch and was not seen before.
    fn accept_beat(&mut self, now: Timestamp, envelope: &Envelope, beat: &Beat) -> Option<Slot> {
        let slot = self.members.of_node(envelope.node?)?;
        if !self.is_current(slot, envelope) || self.members.all[slot].presence == Presence::Away {
            return None;
        }
        let member = &mut self.members.all[slot];
        if beat.seq <= member.newest_beat {
            if !self.planted.accept_replays {
                return None;
            }
            self.wrongly_taken += 1;
        }
        let member = &mut self.members.all[slot];
        member.newest_beat = member.newest_beat.max(beat.seq);
        let was_blocked = core::mem::replace(&mut member.udp_blocked, beat.udp_blocked);
        member.deaf_since = beat.self_fenced.then(|| member.deaf_since.unwrap_or(now));
        // Who says for half of T that no answer arrives is heard no longer, and answered no longer:
        // then nothing that it still may hear renews it, and it is given up for its silence like
        // one that cannot be heard. It has fenced itself long before.
        let patience = self.thresholds.offline / 2;
        if member
            .deaf_since
            .is_some_and(|since| now.since(since) >= patience)
        {
            return None;
        }
        if was_blocked != beat.udp_blocked {
            let alias = &member.member.site.alias;
            let event = if beat.udp_blocked {
                Event::warning(
                    "node.udp_blocked",
                    format!(
                        "UDP heartbeats blocked from {alias}; running on TCP; open UDP port {} \
                         between the hosts, or set lanCluster=0 in controller.cfg, agent.cfg and \
                         cluster.cfg to silence this",
                        self.site.endpoint.port
                    ),
                )
            } else {
                Event::info(
                    "node.udp_back",
                    format!("UDP heartbeats pass again from {alias}"),
                )
            };
            self.out.notify(event);
        }
        self.heard(now, slot);
        Some(slot)
    }

    // ---- agents ----

    /// An agent's table of processes.
    fn children(&mut self, now: Timestamp, agent: Slot, children: Children) {
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
    fn child_answered(&mut self, now: Timestamp, agent: Slot, answered: &ChildAnswered) {
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

    // ---- why does a member not come? ----

    fn probe_up(&mut self, conn: ConnId) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        if let Some(slot) = probed {
            let probe = Probe {
                controller: self.site.clone(),
                expected: self.members.all[slot].member.site.clone(),
            };
            self.say(conn, None, Message::Probe(probe));
        }
    }

    fn probe_answered(&mut self, conn: ConnId, reply: &ProbeReply) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        let Some(slot) = probed else { return };
        let expected = self.members.all[slot].member.site.clone();
        let finding = if reply.site != expected {
            format!(
                "cluster.nodes has `{expected}`, and the process that listens there calls itself \
                 `{}`; write the same in both places",
                reply.site
            )
        } else if reply.controller_site.endpoint != self.site.endpoint {
            format!(
                "its controllerSite is {}, localSite of this controller is {}; write the same in \
                 both places",
                reply.controller_site, self.site
            )
        } else {
            format!("it runs and is not registered: {}", reply.state)
        };
        self.probe_found(slot, finding);
        self.members.all[slot].probing.conn = None;
        self.links.close(conn, &mut self.out);
    }

    fn probe_down(&mut self, _now: Timestamp, conn: ConnId, reason: &str, fault: LinkFault) {
        let probed = self
            .members
            .all
            .iter()
            .position(|m| m.probing.conn == Some(conn));
        let Some(slot) = probed else { return };
        self.members.all[slot].probing.conn = None;
        let endpoint = self.members.all[slot].member.site.endpoint.clone();
        let finding = match fault {
            LinkFault::Refused => format!(
                "nothing listens at {endpoint}: start the agent on that host, or correct its row in \
                 cluster.nodes"
            ),
            LinkFault::Silent => format!(
                "no answer from {endpoint}: a firewall between the hosts (open TCP and UDP port {}), \
                 a wrong address in cluster.nodes, or the host is down",
                endpoint.port
            ),
            LinkFault::UnknownHost => format!(
                "the host name `{}` in cluster.nodes has no address; correct it or the name service",
                endpoint.host
            ),
            LinkFault::Protocol | LinkFault::Ended => {
                format!("{endpoint} takes connections and ended this one: {reason}")
            }
        };
        self.probe_found(slot, finding);
    }

    fn probe_found(&mut self, slot: Slot, finding: String) {
        let member = &mut self.members.all[slot];
        if member.presence != Presence::Away || member.probing.finding == finding {
            return;
        }
        let text = format!("{} does not come: {finding}", member.member.site.alias);
        self.out.notify(Event::warning("node.absent", text));
        member.probing.finding = finding;
    }

    fn rollback_seen(&mut self, conn: ConnId, seen: &RollbackSeen) {
        let who = self
            .links
            .peer(conn)
            .map(|peer| peer.alias.to_string())
            .unwrap_or_default();
        let text = format!("{who} refuses this controller: {}", seen.text);
        if !self.alarms.contains(&text) {
            self.out
                .notify(Event::error("controller.rollback_seen", text.clone()));
            self.alarms.push(text);
        }
    }
}
