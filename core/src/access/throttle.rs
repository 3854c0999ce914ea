//! Slows down whoever guesses passwords.
//!
//! Only wrong guesses count, and they count three times: against the account, against the address
//! they came from, and against the whole cluster. Nothing locks for good, because a lock would let
//! anybody keep the only administrator out. For the same reason an account's delay does not hold
//! for the address from which that account logged in within the last day: whoever guesses at
//! `admin` all night from elsewhere delays nobody at the usual desk, and at that desk the address's
//! own limit still holds.
//!
//! Whether an account exists plays no part, so that a delay does not give it away.
//!
//! The limits of addresses and of the whole are virtual scheduling, the "generic cell rate
//! algorithm" of ITU-T I.371: a bucket is one moment, the one at which it would be full again.
//! A guess that was let in before others failed may put a bucket into debt; the debt is waited for.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::BTreeMap;

use super::name::UserName;
use crate::time::Timestamp;

/// How many wrong guesses are let in, and how much is remembered of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleRules {
    /// Wrong guesses at an account that cost nothing.
    pub account_free: u32,
    /// The wait after the first guess beyond; doubles with each one more.
    pub account_delay_min: Duration,
    /// The longest such wait.
    pub account_delay_max: Duration,
    /// Time without a wrong guess after which an account's are forgotten.
    pub account_memory: Duration,
    /// Wrong guesses that one address may make at once.
    pub source_burst: u32,
    /// Time after which an address may make one more.
    pub source_period: Duration,
    /// Wrong guesses that all together may make at once.
    pub whole_burst: u32,
    /// Time after which all together may make one more.
    pub whole_period: Duration,
    /// How long an address is known for a login that succeeded.
    pub trust: Duration,
    /// Passwords checked or waiting to be checked at once: what the hashing pool takes, two at work
    /// and eight queued.
    pub checks: usize,
    /// Time after which a check that nobody answered is given up.
    pub check_timeout: Duration,
    /// Accounts and addresses remembered, each. A thousand wrong guesses are let in within
    /// [`ThrottleRules::account_memory`], so that nobody flushes a table by filling it.
    pub table: usize,
}

impl Default for ThrottleRules {
    fn default() -> Self {
        Self {
            account_free: 5,
            account_delay_min: Duration::from_secs(1),
            account_delay_max: Duration::from_secs(60),
            account_memory: Duration::from_secs(15 * 60),
            source_burst: 5,
            source_period: Duration::from_secs(6),
            whole_burst: 60,
            whole_period: Duration::from_secs(1),
            trust: Duration::from_secs(24 * 60 * 60),
            checks: 10,
            check_timeout: Duration::from_secs(60),
            table: 4096,
        }
    }
}

/// Where a guess comes from: an IPv4 address, or the /64 that one IPv6 customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    V4(Ipv4Addr),
    V6Prefix(u64),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6Prefix((address.to_bits() >> 64) as u64),
        }
    }
}

/// Why a guess is not looked at, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) reason: &'static str,
    pub(super) retry_after: Duration,
}

/// What a wrong guess led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toll {
    /// How long the account now waits, if it does.
    pub(super) account_delay: Option<Duration>,
    /// Whether this guess used up what all together may make.
    pub(super) whole_exhausted: bool,
}

/// Names one check of a password until its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CheckId(u64);

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    rules: ThrottleRules,
    accounts: BTreeMap<UserName, Account>,
    sources: BTreeMap<Source, Origin>,
    whole: Bucket,
    checks: BTreeMap<CheckId, Check>,
    last_check: u64,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    failures: u32,
    last_failure: Timestamp,
    closed_until: Timestamp,
}

#[derive(Clone, Debug)]
struct Origin {
    bucket: Bucket,
    /// Whose login succeeded last from here, and when.
    success: Option<(Timestamp, UserName)>,
    touched: Timestamp,
}

#[derive(Clone, Debug)]
struct Check {
    begun: Timestamp,
    user: UserName,
}

impl Throttle {
    pub(super) fn new(rules: ThrottleRules) -> Self {
        Self {
            rules,
            accounts: BTreeMap::new(),
            sources: BTreeMap::new(),
            whole: Bucket::default(),
            checks: BTreeMap::new(),
            last_check: 0,
        }
    }

    /// Whether a password may be checked now; if so, it counts as being checked until
    /// [`Throttle::passed`], [`Throttle::failed`] or [`Throttle::void`].
    ///
    /// A refused guess costs nothing, here as in hashing, and makes nothing worse.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        source: Source,
        user: &UserName,
    ) -> Result<CheckId, Hold> {
        self.checks
            .retain(|_, check| now.since(check.begun) < self.rules.check_timeout);
        let holds = [
            self.account_hold(now, source, user),
            self.source_hold(now, source),
            self.whole_hold(now, source),
            self.pool_hold(),
        ];
        if let Some(hold) = holds.into_iter().flatten().max_by_key(|it| it.retry_after) {
            return Err(hold);
        }
        self.last_check += 1;
        let id = CheckId(self.last_check);
        let user = user.clone();
        self.checks.insert(id, Check { begun: now, user });
        Ok(id)
    }

    /// The password was right: the account's failures are forgotten, the address is known.
    pub(super) fn passed(
        &mut self,
        now: Timestamp,
        check: CheckId,
        source: Source,
        user: &UserName,
    ) {
        self.checks.remove(&check);
        self.accounts.remove(user);
        let origin = self.origin(now, source);
        origin.success = Some((now, user.clone()));
    }

    /// The password was wrong.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        check: CheckId,
        source: Source,
        user: &UserName,
    ) -> Toll {
        self.checks.remove(&check);
        let period = self.rules.source_period;
        self.origin(now, source).bucket.charge(now, period);
        let was_open = self.whole_wait(now).is_zero();
        self.whole.charge(now, self.rules.whole_period);
        Toll {
            account_delay: self.account_failed(now, user),
            whole_exhausted: was_open && !self.whole_wait(now).is_zero(),
        }
    }

    /// The password was not looked at.
    pub(super) fn void(&mut self, check: CheckId) {
        self.checks.remove(&check);
    }

    fn account_failed(&mut self, now: Timestamp, user: &UserName) -> Option<Duration> {
        let memory = self.rules.account_memory;
        self.accounts
            .retain(|_, account| now.since(account.last_failure) < memory);
        if !self.accounts.contains_key(user) && self.accounts.len() >= self.rules.table {
            let oldest = self
                .accounts
                .iter()
                .min_by_key(|(_, account)| account.last_failure);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.accounts.remove(&name);
            }
        }
        let account = self.accounts.entry(user.clone()).or_insert(Account {
            failures: 0,
            last_failure: now,
            closed_until: now,
        });
        account.failures = account.failures.saturating_add(1);
        account.last_failure = now;
        let beyond = account.failures.checked_sub(self.rules.account_free)?;
        let delay = self
            .rules
            .account_delay_min
            .saturating_mul(2_u32.saturating_pow(beyond))
            .min(self.rules.account_delay_max);
        account.closed_until = now.after(delay);
        Some(delay)
    }

    /// The row of an address; the one that was quiet longest gives way if there are too many.
    fn origin(&mut self, now: Timestamp, source: Source) -> &mut Origin {
        if !self.sources.contains_key(&source) {
            let trust = self.rules.trust;
            self.sources.retain(|_, origin| {
                !origin.bucket.is_full(now) || trusted_since(origin, now, trust).is_some()
            });
            if self.sources.len() >= self.rules.table {
                let quietest = self.sources.iter().min_by_key(|(_, origin)| origin.touched);
                if let Some(source) = quietest.map(|(source, _)| *source) {
                    self.sources.remove(&source);
                }
            }
        }
        let origin = self.sources.entry(source).or_insert_with(|| Origin {
            bucket: Bucket::default(),
            success: None,
            touched: now,
        });
        origin.touched = now;
        origin
    }

    fn account_hold(&self, now: Timestamp, source: Source, user: &UserName) -> Option<Hold> {
        let account = self.accounts.get(user)?;
        let forgotten = now.since(account.last_failure) >= self.rules.account_memory;
        if forgotten || account.failures < self.rules.account_free {
            return None;
        }
        let at_home = self.trust(now, source).is_some_and(|known| known == user);
        if at_home {
            return None;
        }
        let wait = account.closed_until.since(now);
        if !wait.is_zero() {
            return Some(Hold {
                reason: "too many wrong passwords for this user",
                retry_after: wait,
            });
        }
        // One guess a delay, not as many as arrive before the first of them has failed.
        let being_checked = self.checks.values().any(|check| check.user == *user);
        being_checked.then_some(Hold {
            reason: "another password for this user is being checked",
            retry_after: self.rules.account_delay_min,
        })
    }

    fn source_hold(&self, now: Timestamp, source: Source) -> Option<Hold> {
        let bucket = self.sources.get(&source)?.bucket;
        let rules = &self.rules;
        let wait = bucket.wait(now, rules.source_period, rules.source_burst);
        (!wait.is_zero()).then_some(Hold {
            reason: "too many wrong passwords from your address",
            retry_after: wait,
        })
    }

    fn whole_hold(&self, now: Timestamp, source: Source) -> Option<Hold> {
        let wait = self.whole_wait(now);
        (!wait.is_zero() && self.trust(now, source).is_none()).then_some(Hold {
            reason: "too many wrong passwords from everywhere",
            retry_after: wait,
        })
    }

    fn pool_hold(&self) -> Option<Hold> {
        (self.checks.len() >= self.rules.checks).then_some(Hold {
            reason: "too many passwords are being checked",
            retry_after: Duration::from_secs(1),
        })
    }

    fn whole_wait(&self, now: Timestamp) -> Duration {
        let rules = &self.rules;
        self.whole.wait(now, rules.whole_period, rules.whole_burst)
    }

    /// Who logged in last from an address, if that was lately.
    fn trust(&self, now: Timestamp, source: Source) -> Option<&UserName> {
        trusted_since(self.sources.get(&source)?, now, self.rules.trust)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.accounts.len(), self.sources.len(), self.checks.len())
    }
}

fn trusted_since(origin: &Origin, now: Timestamp, trust: Duration) -> Option<&UserName> {
    let (when, user) = origin.success.as_ref()?;
    (now.since(*when) < trust).then_some(user)
}

/// A bucket that refills by one unit a period.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// Takes one unit, into debt if there is none.
    fn charge(&mut self, now: Timestamp, period: Duration) {
        self.full_at = self.full_at.max(now).after(period);
    }

    /// How long until there is a unit to take, in a bucket of `burst` units.
    fn wait(self, now: Timestamp, period: Duration, burst: u32) -> Duration {
        let missing = self.full_at.since(now);
        missing.saturating_sub(period.saturating_mul(burst.saturating_sub(1)))
    }

    fn is_full(self, now: Timestamp) -> bool {
        self.full_at <= now
    }
}
