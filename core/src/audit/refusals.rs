//! What was refused, counted together, so that a stranger cannot make the log grow.

use core::time::Duration;
use std::collections::BTreeMap;

use super::bucket::{Bucket, Rate};
use super::entry::AuditEntry;
use crate::time::Timestamp;

/// For so long after an entry about somebody, more about them are counted and not written. It doubles with
/// each entry, so that nobody uses up what all have.
const WINDOW: Duration = Duration::from_secs(30);
/// The longest that becomes.
const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// Whoever was refused nothing for so long after the last window is forgotten.
const QUIET: Duration = Duration::from_secs(3600);
/// How many are counted by themselves; all others are counted together.
const KEYS: usize = 64;
/// How many users of one address are counted by themselves; the others there are counted together.
const USERS_OF_ADDRESS: usize = 8;
/// Some three hundred entries in a day, of the ten thousand that are kept.
const RATE: Rate = Rate {
    burst: 32,
    refill: Duration::from_secs(300),
};

/// Who was refused something: an address, and the user there; no user stands for more users than are counted
/// by themselves, and neither for all others.
type Who = (Option<String>, Option<String>);

/// Refusals that are not written yet.
#[derive(Clone, Debug)]
pub(crate) struct Refusals {
    lately: BTreeMap<Who, Lately>,
    bucket: Bucket,
}

#[derive(Clone, Debug)]
struct Lately {
    until: Timestamp,
    window: Duration,
    held: Option<AuditEntry>,
}

impl Refusals {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            lately: BTreeMap::new(),
            bucket: Bucket::full(now, RATE),
        }
    }

    /// Notes a refusal, and returns the entry if it is to be written at once: never if the log takes
    /// nothing (`writable`).
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        entry: AuditEntry,
        writable: bool,
    ) -> Option<AuditEntry> {
        self.bucket.refill(now);
        let mut who = self.who(&entry);
        let known = self.lately.contains_key(&who);
        if !known && self.lately.len() >= KEYS && !self.make_room(now) {
            who = (None, None);
        }
        let lately = self.lately.entry(who).or_insert(Lately {
            until: now,
            window: WINDOW,
            held: None,
        });
        if writable && lately.held.is_none() && now >= lately.until && self.bucket.spend() {
            lately.begin(now);
            return Some(entry);
        }
        hold(&mut lately.held, entry);
        None
    }

    /// What is to be written by now: one entry for all that somebody was refused within a window.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<AuditEntry> {
        self.bucket.refill(now);
        let mut waiting: Vec<(Timestamp, &mut Lately)> = (self.lately.values_mut())
            .filter(|it| it.held.is_some() && now >= it.until)
            .map(|it| (it.until, it))
            .collect();
        // Whoever has waited for longest comes first.
        waiting.sort_by_key(|(until, _)| *until);
        let mut due = Vec::new();
        for (_, lately) in waiting {
            if self.bucket.spend() {
                due.extend(lately.held.take());
                lately.begin(now);
            }
        }
        (self.lately).retain(|_, it| it.held.is_some() || now < it.until.after(QUIET));
        due
    }

    /// Who that is. A login has no actor yet, but may have a user who was meant.
    fn who(&self, entry: &AuditEntry) -> Who {
        let user = match entry.actor.is_empty() {
            true => &entry.object,
            false => &entry.actor,
        };
        let who = (entry.address.clone(), Some(user.clone()));
        if self.lately.contains_key(&who) {
            return who;
        }
        let here = self.lately.keys().filter(|(it, _)| *it == entry.address);
        match here.count() < USERS_OF_ADDRESS {
            true => who,
            false => (entry.address.clone(), None),
        }
    }

    /// Forgets whoever has been quiet for longest.
    fn make_room(&mut self, now: Timestamp) -> bool {
        let quiet = self.lately.iter();
        let quiet = quiet.filter(|(_, it)| it.held.is_none() && now >= it.until);
        let longest = quiet.min_by_key(|(_, it)| it.until);
        let Some(who) = longest.map(|(who, _)| who.clone()) else {
            return false;
        };
        self.lately.remove(&who).is_some()
    }
}

impl Lately {
    /// An entry is written: the next one has to wait, the longer the more there were.
    fn begin(&mut self, now: Timestamp) {
        self.until = now.after(self.window);
        self.window = (self.window * 2).min(WINDOW_MAX);
    }
}

/// The newest of what is held speaks for all, with how many there were.
pub(super) fn hold(held: &mut Option<AuditEntry>, mut entry: AuditEntry) {
    if let Some(before) = held {
        entry.count = entry.count.saturating_add(before.count);
        let alike = before.actor == entry.actor
            && before.action == entry.action
            && before.object == entry.object
            && before.address == entry.address
            && before.detail == entry.detail;
        if !alike {
            "the last of several".clone_into(&mut entry.detail);
        }
    }
    *held = Some(entry);
}
