//! What members say, and what they are answered.

mod agents;
mod beats;
mod probes;
mod registration;

use super::members::Presence;
use super::{Controller, Phase};
use crate::event::Event;
use crate::ids::{ConnId, Role};
use crate::links::{LinkEvent, LinkFault};
use crate::membership::Slot;
use crate::message::{Envelope, Fenced, Message, Pong, RollbackSeen};
use crate::time::Timestamp;

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
        self.carried(now, slot);
        if let Message::Figures(figures) = message {
            // No sign of life: what tells whether a node lives is the same with figures and without.
            self.take_figures(now, slot, &figures);
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
            Message::DfsAsk(ask) if role == Role::DataNode => self.node_asks(now, conn, slot, ask),
            Message::ReplicaNews(news) if role == Role::DataNode => {
                self.news(now, conn, slot, &news);
            }
            Message::VolumesNow(volumes) if role == Role::DataNode => {
                self.volumes_now(now, slot, volumes);
            }
            Message::MirrorHas(has) if role == Role::DataNode => self.mirror_has(now, slot, &has),
            Message::MirrorKept(kept) if role == Role::DataNode => {
                self.mirror_kept(now, slot, &kept);
            }
            Message::CopyEnded(ended) if role == Role::DataNode => {
                self.copy_ended(now, slot, &ended);
            }
            Message::VolumesRescanned(done) if role == Role::DataNode => {
                self.volumes_rescanned(now, slot, done);
            }
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
        if member.member.role == Role::DataNode {
            self.forget_copies_of(now, slot);
            self.refresh_place(now, slot);
        }
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
            self.files.rolled_back = true;
        }
    }
}
