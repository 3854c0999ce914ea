//! Slows down guessing without locking anybody out.
//!
//! Only failures count. An account that is guessed at answers ever later, a source that guesses
//! gets few tries a minute, and nobody is locked out for good: that would be a gift to whoever wants
//! the only administrator out of the way.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Timestamp;

/// Failures of an account that cost nothing.
const FREE_FAILURES: u32 = 5;
/// Longest wait of an account.
const ACCOUNT_WAIT_MAX: Duration = Duration::from_secs(60);
/// Time after which an account's failures are forgotten.
const ACCOUNT_MEMORY: Duration = Duration::from_secs(15 * 60);
/// Failures a source has at once, and how often it gets one back.
const SOURCE_BURST: u32 = 10;
const SOURCE_REFILL: Duration = Duration::from_secs(6);
/// Accounts and sources remembered.
const ENTRIES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Account {
    failures: u32,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    spent: u32,
    since: Timestamp,
}

/// Who has failed, and how often.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    accounts: BTreeMap<String, Account>,
    sources: BTreeMap<[u8; 16], Source>,
}

impl Throttle {
    /// How long this account and this source still have to wait.
    pub(super) fn wait(&self, now: Timestamp, user: &str, from: IpAddr) -> Option<Duration> {
        let account = self.accounts.get(user).and_then(|account| {
            let excess = account.failures.checked_sub(FREE_FAILURES)?;
            let wait = Duration::from_secs(1 << excess.min(6)).min(ACCOUNT_WAIT_MAX);
            remaining(now, account.last, wait)
        });
        let source = self.sources.get(&source_key(from)).and_then(|source| {
            let source = source.refilled(now);
            (source.spent >= SOURCE_BURST)
                .then(|| remaining(now, source.since, SOURCE_REFILL).unwrap_or(SOURCE_REFILL))
        });
        account.max(source)
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, now: Timestamp, user: &str, from: IpAddr) {
        make_room(&mut self.accounts, |account| account.last);
        make_room(&mut self.sources, |source| source.since);
        let fresh = Account {
            failures: 0,
            last: now,
        };
        let account = self.accounts.entry(user.to_owned()).or_insert(fresh);
        if now.since(account.last) >= ACCOUNT_MEMORY {
            *account = fresh;
        }
        *account = Account {
            failures: account.failures.saturating_add(1),
            last: now,
        };
        let fresh = Source {
            spent: 0,
            since: now,
        };
        let source = self.sources.entry(source_key(from)).or_insert(fresh);
        *source = source.refilled(now);
        source.spent += 1;
    }

    /// Forgets an account's failures: its owner is here.
    pub(super) fn succeeded(&mut self, user: &str) {
        self.accounts.remove(user);
    }
}

impl Source {
    fn refilled(self, now: Timestamp) -> Self {
        let refills = now.since(self.since).as_nanos() / SOURCE_REFILL.as_nanos();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        match self.spent.checked_sub(refills) {
            Some(spent) if spent > 0 => Self {
                spent,
                since: self.since.after(SOURCE_REFILL.saturating_mul(refills)),
            },
            _ => Self {
                spent: 0,
                since: now,
            },
        }
    }
}

fn remaining(now: Timestamp, since: Timestamp, wait: Duration) -> Option<Duration> {
    wait.checked_sub(now.since(since))
        .filter(|left| !left.is_zero())
}

/// An IPv4 address, or the /64 that an IPv6 address is in: who has one of those has them all.
fn source_key(from: IpAddr) -> [u8; 16] {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let mut key = address.octets();
            key[8..].fill(0);
            key
        }
    }
}

fn make_room<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, age: impl Fn(&V) -> Timestamp) {
    if map.len() >= ENTRIES_MAX
        && let Some(oldest) = map
            .iter()
            .min_by_key(|(_, value)| age(value))
            .map(|(k, _)| k.clone())
    {
        map.remove(&oldest);
    }
}
