//! What was refused, counted together, so that a stranger cannot make the log grow.

use core::time::Duration;
use std::collections::BTreeMap;

use super::entry::AuditEntry;
use crate::time::Timestamp;

/// For so long after an entry about an address, more from there are counted and not written.
const WINDOW: Duration = Duration::from_secs(30);
/// Addresses that are counted by themselves; all others are counted together.
const ADDRESSES: usize = 64;
/// Entries that may be written at once.
const BURST: u32 = 32;
/// How long it takes until one more may be: some three hundred in a day, of the ten thousand that are
/// kept.
const REFILL: Duration = Duration::from_secs(300);

/// Refusals that are not written yet.
#[derive(Debug)]
pub(crate) struct Refusals {
    addresses: BTreeMap<Option<String>, Lately>,
    others: Option<AuditEntry>,
    credit: u32,
    refilled: Timestamp,
}

#[derive(Debug)]
struct Lately {
    until: Timestamp,
    held: Option<AuditEntry>,
}

impl Refusals {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            addresses: BTreeMap::new(),
            others: None,
            credit: BURST,
            refilled: now,
        }
    }

    /// Notes a refusal, and returns the entry if it is to be written at once.
    pub(crate) fn note(&mut self, now: Timestamp, entry: AuditEntry) -> Option<AuditEntry> {
        self.refill(now);
        if let Some(lately) = self.addresses.get_mut(&entry.address) {
            hold(&mut lately.held, entry);
            return None;
        }
        if self.addresses.len() >= ADDRESSES || !self.spend() {
            hold(&mut self.others, entry);
            return None;
        }
        let lately = Lately {
            until: now.after(WINDOW),
            held: None,
        };
        self.addresses.insert(entry.address.clone(), lately);
        Some(entry)
    }

    /// What is to be written by now: one entry for all that an address was refused within its window.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<AuditEntry> {
        self.refill(now);
        let ended: Vec<Option<String>> = (self.addresses.iter())
            .filter(|(_, lately)| now >= lately.until)
            .map(|(address, _)| address.clone())
            .collect();
        let mut due = Vec::new();
        for address in ended {
            let Some(lately) = self.addresses.get_mut(&address) else {
                continue;
            };
            match lately.held.take() {
                None => drop(self.addresses.remove(&address)),
                Some(held) => {
                    lately.until = now.after(WINDOW);
                    match self.spend() {
                        true => due.push(held),
                        false => hold(&mut self.others, held),
                    }
                }
            }
        }
        if self.others.is_some() && self.spend() {
            due.extend(self.others.take());
        }
        due
    }

    fn refill(&mut self, now: Timestamp) {
        while self.credit < BURST && now.since(self.refilled) >= REFILL {
            self.credit += 1;
            self.refilled = self.refilled.after(REFILL);
        }
        if self.credit >= BURST {
            self.refilled = now;
        }
    }

    fn spend(&mut self) -> bool {
        let left = self.credit.checked_sub(1);
        self.credit = left.unwrap_or_default();
        left.is_some()
    }
}

/// The newest of what is held speaks for all, with how many there were.
fn hold(held: &mut Option<AuditEntry>, mut entry: AuditEntry) {
    if let Some(before) = held {
        entry.count = entry.count.saturating_add(before.count);
        let alike = before.actor == entry.actor
            && before.action == entry.action
            && before.object == entry.object
            && before.address == entry.address;
        if !alike {
            "the last of several".clone_into(&mut entry.detail);
        }
    }
    *held = Some(entry);
}
