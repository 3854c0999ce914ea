//! How many entries each user may cause, so that nobody pushes out what others did, nor what they did
//! themselves.

use core::time::Duration;
use std::collections::BTreeMap;

use super::bucket::{Bucket, Rate};
use super::entry::AuditEntry;
use super::refusals::hold;
use crate::time::Timestamp;

/// Orders of a user. More are refused for the moment.
const ORDERS: Rate = Rate {
    burst: 256,
    refill: Duration::from_secs(30),
};
/// What must not be refused: to log in and out, to void a token, to read a log. More is done, and counted
/// together in the audit.
const COUNTED: Rate = Rate {
    burst: 64,
    refill: Duration::from_secs(60),
};
/// Users that are remembered: more than there can be. Whoever has caused nothing of late is forgotten.
const USERS: usize = 1024;
/// Entries that are counted together, by user and action; all others are counted as one.
const HELD: usize = 256;

/// What of a user's share is left.
#[derive(Clone, Debug)]
struct Meter {
    orders: Bucket,
    counted: Bucket,
}

/// The shares of all users.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    users: BTreeMap<String, Meter>,
    /// What was done and is not written yet.
    held: BTreeMap<(String, String), AuditEntry>,
}

impl Meters {
    /// How long a user has to wait before the next order, if that is too soon.
    pub(crate) fn wait(&mut self, now: Timestamp, user: &str) -> Option<Duration> {
        self.of(now, user).orders.wait(now)
    }

    /// An order of a user is written. It was asked for before whether there is room for it; what comes
    /// on top of it is counted as far as there is.
    pub(crate) fn ordered(&mut self, now: Timestamp, user: &str) {
        self.of(now, user).orders.spend();
    }

    /// An order of a user gets a second entry, since it was refused after all.
    pub(crate) fn refused(&mut self, user: &str) {
        if let Some(meter) = self.users.get_mut(user) {
            meter.orders.spend();
        }
    }

    /// Something is done that must not be refused: returns its entry if it is to be written now.
    pub(crate) fn counted(&mut self, now: Timestamp, entry: AuditEntry) -> Option<AuditEntry> {
        let key = (entry.actor.clone(), entry.action.clone());
        // In order: what was held comes before what is new.
        let room = !self.held.contains_key(&key);
        if room && self.of(now, &entry.actor).counted.spend() {
            return Some(entry);
        }
        let known = self.held.contains_key(&key) || self.held.len() < HELD;
        let key = if known { key } else { Default::default() };
        let mut held = self.held.remove(&key);
        hold(&mut held, entry);
        if let Some(held) = held {
            self.held.insert(key, held);
        }
        None
    }

    /// What was counted together and may be written by now.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<AuditEntry> {
        let keys: Vec<(String, String)> = self.held.keys().cloned().collect();
        let mut due = Vec::new();
        for key in keys {
            if self.of(now, &key.0).counted.spend() {
                due.extend(self.held.remove(&key));
            }
        }
        due
    }

    fn of(&mut self, now: Timestamp, user: &str) -> &mut Meter {
        if !self.users.contains_key(user) && self.users.len() >= USERS {
            self.make_room(now);
        }
        let full = Meter {
            orders: Bucket::full(now, ORDERS),
            counted: Bucket::full(now, COUNTED),
        };
        let meter = self.users.entry(user.to_owned()).or_insert(full);
        meter.orders.refill(now);
        meter.counted.refill(now);
        meter
    }

    /// Forgets those whose share is whole again, or else whoever has the most left.
    fn make_room(&mut self, now: Timestamp) {
        self.users.retain(|_, meter| {
            meter.orders.refill(now);
            meter.counted.refill(now);
            !(meter.orders.is_full() && meter.counted.is_full())
        });
        if self.users.len() >= USERS {
            let left = |meter: &Meter| meter.orders.credit().min(meter.counted.credit());
            let most = self.users.iter().max_by_key(|(_, meter)| left(meter));
            if let Some(user) = most.map(|(user, _)| user.clone()) {
                self.users.remove(&user);
            }
        }
    }
}
