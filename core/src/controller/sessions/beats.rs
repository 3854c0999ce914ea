//! Heartbeats, over UDP and TCP alike.

use core::net::SocketAddr;

use crate::controller::members::Presence;
use crate::controller::{Controller, Phase};
use crate::event::Event;
use crate::io::{Destination, Effect};
use crate::later_version;
use crate::membership::Slot;
use crate::message::{Beat, BeatAck, Envelope, Message};
use crate::time::Timestamp;
use crate::wire::datagram;

impl Controller {
    pub(in crate::controller) fn datagram(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &[u8],
    ) {
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

    pub(super) fn ack(&self, beat: &Beat) -> Message {
        Message::BeatAck(BeatAck {
            seq: beat.seq,
            commit_index: self.log.synced(),
        })
    }

    /// Takes a beat from either transport. Returns the member if the beat is one of its present
    /// epoch and was not seen before.
    pub(super) fn accept_beat(
        &mut self,
        now: Timestamp,
        envelope: &Envelope,
        beat: &Beat,
    ) -> Option<Slot> {
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
        self.compare_inventory(slot, beat);
        Some(slot)
    }
}
