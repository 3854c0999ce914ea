//! When a node must stop: fenced by its controller, or by itself because nothing is answered.
//!
//! The node doubts the silence before it acts on it: after 3/8 T it asks over TCP, and only at
//! 4/5 T, before the controller gives it up at T, does it fence itself.

use core::time::Duration;

use super::{Doubt, Phase, Uplink, UplinkAround};
use crate::event::Event;
use crate::ids::ConnId;
use crate::message::{Envelope, Fenced, Message, Ping};
use crate::outbox::Outbox;
use crate::time::Timestamp;

impl Uplink {
    /// The registration is void: ask for a new one, on the same connection.
    pub(super) fn fenced(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        envelope: &Envelope,
        fenced: Fenced,
        around: &mut UplinkAround<'_>,
    ) {
        if self.control() != Some(conn) || envelope.node_epoch < self.identity.epoch {
            return;
        }
        let text = format!(
            "fenced by the controller ({}); registering anew",
            fenced.reason
        );
        around.out.notify(Event::warning("uplink.fenced", text));
        self.registered = false;
        self.attempt += 1;
        self.register(now, conn, around.links, around.out);
    }

    /// Takes no more writes once nothing was answered for 4/5 T.
    pub(super) fn fence_itself_if_unanswered(&mut self, now: Timestamp, out: &mut Outbox) {
        let silence = now.since(self.answered);
        if silence >= self.thresholds.self_fence && !self.self_fenced && self.attempt_made() {
            self.self_fenced = true;
            let text = format!(
                "nothing answered by the controller for {} ms; this node takes no writes until it \
                 answers",
                silence.as_millis()
            );
            out.notify(Event::warning("uplink.self_fenced", text));
        }
    }

    /// The controller has answered something that was sent at `sent`.
    pub(super) fn renew(&mut self, now: Timestamp, sent: Timestamp, out: &mut Outbox) {
        self.answered = self.answered.max(sent);
        self.asked = None;
        self.alive(now, out);
    }

    /// The controller is there: what went wrong before is over.
    pub(super) fn alive(&mut self, now: Timestamp, out: &mut Outbox) {
        self.redial_wait = Duration::ZERO;
        self.told.clear();
        if self.self_fenced && now.since(self.answered) < self.thresholds.self_fence {
            self.self_fenced = false;
            out.notify(Event::info(
                "uplink.unfenced",
                "the controller answers again",
            ));
        }
    }

    /// Whether this process was ever registered.
    pub(super) const fn attempt_made(&self) -> bool {
        self.beats.key.is_some()
    }

    /// A question that went over the session was not answered in time. Heartbeats go another way and
    /// may be answered while the session carries nothing any more: it is asked for a sign of life.
    pub(crate) fn doubt_session(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let patience = around.limits.answer_timeout;
        self.doubt(now, patience, around);
    }

    /// Asks a session for a sign of life over which nothing has come for T. It may take another T: what this
    /// node sends, a whole report it may be, goes before the question.
    pub(super) fn doubt_if_quiet(&mut self, now: Timestamp, around: &mut UplinkAround<'_>) {
        let patience = self.thresholds.offline;
        if now.since(self.heard) >= patience {
            self.doubt(now, patience, around);
        }
    }

    /// A session by which a report is awaited is not asked: what was sent last is a question already.
    fn doubt(&mut self, now: Timestamp, patience: Duration, around: &mut UplinkAround<'_>) {
        let Phase::Online { conn } = self.phase else {
            return;
        };
        if let Some(doubt) = self.doubted.as_mut().filter(|it| it.conn == conn) {
            doubt.patience = doubt.patience.min(now.since(doubt.asked) + patience);
            return;
        }
        let nonce = self.prng.next_u64();
        self.doubted = Some(Doubt {
            conn,
            asked: now,
            patience,
        });
        let ping = Message::Ping(Ping { nonce });
        around.links.send(conn, self.envelope(), ping, around.out);
    }

    /// Gives a doubted session up that has given no sign of life, if what was sent after the question by other
    /// ways was answered: a controller that stands still, or a node that does, hears nothing at all.
    pub(super) fn close_if_mute(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        around: &mut UplinkAround<'_>,
    ) {
        let overdue = self.doubted.is_some_and(|doubt| {
            doubt.conn == conn
                && now.since(doubt.asked) >= doubt.patience
                && self.answered > doubt.asked
        });
        if overdue && self.control() == Some(conn) {
            self.doubted = None;
            around.links.close(conn, around.out);
            let text = format!(
                "the session with the controller at {} carries nothing any more, while heartbeats \
                 are answered; connecting anew",
                self.facts.controller_site
            );
            self.trouble(now, "uplink.mute", text, around.out);
        }
    }

    /// Asks over TCP when nothing was answered for 3/8 T, and gives the connection up when nothing
    /// was for 4/5 T: the peer is gone and its kernel cannot say so.
    pub(super) fn ask_if_silent(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        around: &mut UplinkAround<'_>,
    ) {
        let silence = now.since(self.answered);
        match self.asked {
            None if silence >= self.thresholds.suspect => {
                let nonce = self.prng.next_u64();
                self.asked = Some((now, nonce));
                let ping = Message::Ping(Ping { nonce });
                around.links.send(conn, self.envelope(), ping, around.out);
            }
            Some((asked, _))
                if silence >= self.thresholds.self_fence
                    && now.since(asked) >= around.limits.answer_timeout =>
            {
                self.asked = None;
                around.links.close(conn, around.out);
                let text = format!(
                    "the controller at {} has not answered for {} ms; connecting anew",
                    self.facts.controller_site,
                    silence.as_millis()
                );
                self.trouble(now, "uplink.silent", text, around.out);
            }
            _ => {}
        }
    }
}
