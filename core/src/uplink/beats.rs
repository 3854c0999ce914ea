//! Heartbeats, and the choice between UDP and TCP for them.
//!
//! They go over UDP. Where nothing comes back over UDP while TCP answers, the node beats over TCP
//! too, on a connection of its own so that a long report does not delay a beat, until a datagram
//! comes back.

use core::time::Duration;
use std::collections::VecDeque;

use super::{Uplink, UplinkAround};
use crate::event::Event;
use crate::ids::{ConnId, NodeEpoch};
use crate::io::{Destination, Effect};
use crate::later_version;
use crate::message::{Beat, BeatAck, Message};
use crate::outbox::Outbox;
use crate::time::Timestamp;
use crate::wire::datagram::{self, DatagramKey, Direction};

/// How many times as often an unanswered node beats.
const HURRY: u32 = 5;
/// Unacknowledged beats whose times are remembered: more than fit into any time-out.
const SENT_BEATS_MAX: usize = 256;

/// The beats of a registration.
#[derive(Clone, Debug, Default)]
pub(super) struct Beats {
    pub(super) key: Option<DatagramKey>,
    pub(super) ack_key: Option<DatagramKey>,
    pub(super) seq: u64,
    pub(super) acked: u64,
    /// When the newest beats were sent, oldest first.
    pub(super) sent: VecDeque<(u64, Timestamp)>,
    /// The newest beat that was acknowledged over UDP.
    pub(super) udp_acked: u64,
    pub(super) next: Timestamp,
    /// The last datagram that came back.
    pub(super) udp_heard: Timestamp,
    /// Datagrams sent since then.
    pub(super) udp_unanswered: u32,
    pub(super) udp_blocked: bool,
    pub(super) tcp: TcpBeats,
    pub(super) planned: Timestamp,
    /// From the newest answered beat to its answer.
    pub(super) latency: Duration,
    /// The sum of these.
    pub(super) latency_total: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) enum TcpBeats {
    #[default]
    Off,
    Waiting {
        until: Timestamp,
    },
    Dialing(ConnId),
    Up(ConnId),
}

impl Uplink {
    /// Prepares the beats of a granted registration. Under the same registration as before they go
    /// on being counted: a number that was used is never used again.
    pub(super) fn start_beats(
        &mut self,
        now: Timestamp,
        before: NodeEpoch,
        around: &UplinkAround<'_>,
    ) {
        let keyring = around.links.keyring();
        let node = self.identity.node;
        self.beats.key = Some(keyring.datagram_key(Direction::ToController, node));
        self.beats.ack_key = Some(keyring.datagram_key(Direction::ToNode, node));
        if self.identity.epoch != before {
            self.beats.seq = 0;
            self.beats.acked = 0;
            self.beats.udp_acked = 0;
            self.beats.sent.clear();
        }
        self.beats.next = now;
        self.beats.planned = now;
        self.beats.udp_heard = now;
        self.beats.udp_unanswered = 0;
        if !self.lan_cluster {
            self.beats.udp_blocked = false;
        }
    }

    const fn over_tcp(&self) -> bool {
        !self.lan_cluster || self.beats.udp_blocked
    }

    pub(super) fn beat(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let lag = now.since(self.beats.planned);
        // An unanswered node asks more often for as long as it may still be heard in time: under
        // heavy loss the chance that all of many datagrams are lost is what decides.
        let silence = now.since(self.answered);
        let hurried = silence >= self.thresholds.suspect && silence < self.thresholds.offline;
        let period = around.limits.heartbeat_period / if hurried { HURRY } else { 1 };
        let period = self
            .prng
            .jitter(period, around.limits.heartbeat_jitter_percent);
        self.beats.next = now.after(period);
        self.beats.planned = self.beats.next;
        if self.over_tcp() {
            match self.beats.tcp {
                TcpBeats::Up(conn) => {
                    let message = Message::Beat(self.next_beat(now, lag));
                    around
                        .links
                        .send(conn, self.envelope(), message, around.out);
                }
                TcpBeats::Off => self.dial_beats(now, around),
                TcpBeats::Waiting { until } if now >= until => self.dial_beats(now, around),
                TcpBeats::Waiting { .. } | TcpBeats::Dialing(_) => {}
            }
        }
        // Datagrams go on even where nothing comes back: they cost nothing, they show at once when
        // UDP passes again, and a network that loses much is easily taken for one that passes
        // nothing, where the better transport must not be given up.
        if self.lan_cluster {
            let beat = self.next_beat(now, lag);
            let message = Message::Beat(beat);
            let kind = message.kind();
            let later = around.planted.speak_later_version;
            let body = message.encode_for(self.envelope(), later);
            if let Some(key) = &self.beats.key {
                let bytes = datagram::seal(key, kind, beat.seq, &body);
                let to = Destination::Endpoint(self.facts.controller_site.endpoint.clone());
                if later {
                    let (kind, body) = (later_version::UNKNOWN_KIND, later_version::UNKNOWN_BODY);
                    let bytes = datagram::seal(key, kind, beat.seq, body);
                    let to = to.clone();
                    around.out.push(Effect::SendDatagram { to, bytes });
                }
                around.out.push(Effect::SendDatagram { to, bytes });
                self.beats.udp_unanswered = self.beats.udp_unanswered.saturating_add(1);
            }
        }
    }

    /// The next beat. Each has a number of its own, whichever way it takes: the controller drops
    /// the second of two alike.
    fn next_beat(&mut self, now: Timestamp, lag: Duration) -> Beat {
        self.beats.seq += 1;
        self.beats.sent.push_back((self.beats.seq, now));
        if self.beats.sent.len() > SENT_BEATS_MAX {
            self.beats.sent.pop_front();
        }
        Beat {
            seq: self.beats.seq,
            acked: self.beats.acked,
            udp_blocked: self.beats.udp_blocked,
            self_fenced: self.self_fenced,
            lag_ms: u32::try_from(lag.as_millis()).unwrap_or(u32::MAX),
            seen_index: self.identity.witness.index,
            inventory: self.inventory.sum,
            news: self.inventory.news,
        }
    }

    fn dial_beats(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let to = self.facts.controller_site.endpoint.clone();
        self.beats.tcp = TcpBeats::Dialing(around.links.dial(now, to, around.out));
    }

    /// A datagram arrived.
    pub(crate) fn datagram(&mut self, now: Timestamp, bytes: &[u8], around: &mut UplinkAround<'_>) {
        let Some(key) = &self.beats.ack_key else {
            return;
        };
        let Ok(unverified) = datagram::parse(bytes) else {
            return;
        };
        let Ok(letter) = unverified.verify(key) else {
            return;
        };
        let Ok(Some((envelope, Message::BeatAck(ack)))) = Message::decode(letter.kind, letter.body)
        else {
            return;
        };
        let current = envelope.controller_epoch == self.identity.witness.epoch
            && envelope.node_epoch == self.identity.epoch
            && self.epoch() != NodeEpoch(0);
        if current && ack.seq <= self.beats.seq && ack.seq > self.beats.udp_acked {
            self.beats.udp_acked = ack.seq;
            self.beats.udp_heard = now;
            self.beats.udp_unanswered = 0;
            if self.beats.udp_blocked {
                self.beats.udp_blocked = false;
                if let TcpBeats::Dialing(conn) | TcpBeats::Up(conn) = self.beats.tcp {
                    around.links.close(conn, around.out);
                }
                self.beats.tcp = TcpBeats::Off;
                let text = "UDP passes again; heartbeats are back on it";
                around.out.notify(Event::info("uplink.udp_back", text));
            }
            self.beat_acked(now, ack, around.out);
        }
    }

    pub(super) fn beat_acked(&mut self, now: Timestamp, ack: BeatAck, out: &mut Outbox) {
        if ack.seq > self.beats.seq || ack.seq <= self.beats.acked {
            return;
        }
        self.beats.acked = ack.seq;
        let sent = self
            .beats
            .sent
            .iter()
            .find(|(seq, _)| *seq == ack.seq)
            .map(|(_, at)| *at);
        self.beats.sent.retain(|(seq, _)| *seq > ack.seq);
        let witness = &mut self.identity.witness;
        witness.index = witness.index.max(ack.commit_index);
        if let Some(sent) = sent {
            self.beats.latency = now.since(sent);
            self.beats.latency_total = self.beats.latency_total.saturating_add(now.since(sent));
            self.renew(now, sent, out);
        }
    }

    /// Leaves UDP when nothing comes back over it while TCP answers.
    pub(super) fn choose_transport(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let udp_silence = now.since(self.beats.udp_heard);
        let tcp_answers = now.since(self.answered) < self.thresholds.suspect;
        if self.lan_cluster
            && !self.beats.udp_blocked
            && udp_silence >= around.limits.udp_blocked_after
            && self.beats.udp_unanswered >= around.limits.udp_blocked_probes
            && tcp_answers
            && !around.planted.no_tcp_beats
        {
            self.beats.udp_blocked = true;
            self.beats.next = now;
            let text = format!(
                "no heartbeat comes back over UDP from {} for {} ms while TCP answers: UDP is \
                 blocked. Heartbeats go over TCP from now on; open UDP port {}, or set lanCluster=0 \
                 in controller.cfg, agent.cfg and cluster.cfg",
                self.facts.controller_site,
                udp_silence.as_millis(),
                self.facts.controller_site.endpoint.port
            );
            around
                .out
                .notify(Event::warning("uplink.udp_blocked", text));
        }
    }
}
