//! Whether members that send heartbeats can be told anything.
//!
//! Heartbeats go by datagrams, and orders over a connection. A firewall may let the ones through and not the
//! other: such a member lives, serves whom it can serve, and is no place for anything new. A session that
//! carries nothing is asked for a sign of life, and is closed if it gives none; where no other one comes, the
//! member is told of. That is no verdict about the member: nobody fences it and nothing is given up.

use super::Controller;
use super::members::Presence;
use crate::event::Event;
use crate::membership::{FailureDetector, Health, Slot};
use crate::message::{Message, Ping};
use crate::time::Timestamp;

/// What is known of the way to a member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// Ticks since something came over its session. Ticks and no time: a controller that stood still has heard
    /// nothing because it did not listen.
    quiet: u32,
    /// It has been told that nothing comes.
    blocked: bool,
}

impl Reach {
    /// Whether the member sends heartbeats, and can be told nothing.
    pub(super) const fn is_blocked(self) -> bool {
        self.blocked
    }
}

impl Controller {
    /// Something came over the session of a member.
    pub(super) fn carried(&mut self, now: Timestamp, slot: Slot) {
        let before = core::mem::take(&mut self.members.all[slot].reach);
        if before.blocked {
            let alias = &self.members.all[slot].member.site.alias;
            let text = format!("{alias} is reached over TCP again");
            self.out.notify(Event::info("node.tcp_back", text));
            self.refresh_place(now, slot);
        }
    }

    /// Asks sessions for a sign of life that have carried nothing for T while heartbeats came, and closes those
    /// that give none. A member looks at its end of a session in the same way, for 2 T in all, and connects anew;
    /// only who is not back soon after that is told of.
    pub(super) fn tend_sessions(&mut self, now: Timestamp) {
        let ticks = |time: core::time::Duration| {
            let ticks = time.as_nanos() / FailureDetector::TICK.as_nanos();
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        let answer = ticks(self.limits.answer_timeout);
        let ask = ticks(self.thresholds.offline);
        let close = ask.saturating_add(answer);
        let tell = ask
            .saturating_mul(2)
            .saturating_add(answer)
            .saturating_add(ticks(self.limits.redial_spread));
        let members: Vec<Slot> = self
            .members
            .agents()
            .chain(self.members.data_nodes())
            .collect();
        for slot in members {
            let member = &mut self.members.all[slot];
            if member.presence == Presence::Away {
                member.reach = Reach::default();
                continue;
            }
            if self.detector.health(slot) != Health::Alive {
                // That it is silent altogether is for others to judge.
                continue;
            }
            member.reach.quiet = member.reach.quiet.saturating_add(1);
            let quiet = member.reach.quiet;
            if quiet == ask {
                let nonce = self.secrets.next_u64();
                self.tell(slot, Message::Ping(Ping { nonce }));
            }
            if quiet >= close
                && let Some(conn) = self.members.set_session(slot, None)
            {
                self.links.close(conn, &mut self.out);
            }
            if quiet >= tell {
                self.note_blocked(now, slot);
            }
        }
    }

    fn note_blocked(&mut self, now: Timestamp, slot: Slot) {
        let member = &mut self.members.all[slot];
        if core::mem::replace(&mut member.reach.blocked, true) {
            return;
        }
        let text = format!(
            "heartbeats come from {} and its session carries nothing, so that it can be told nothing; it is given \
             nothing new until it can. Look for a firewall: TCP port {} of {} has to be open to it",
            member.member.site.alias, self.site.endpoint.port, self.site.endpoint.host
        );
        self.out.notify(Event::warning("node.tcp_blocked", text));
        self.refresh_place(now, slot);
    }
}
