//! How often something may be written.

use core::time::Duration;

use crate::time::Timestamp;

/// How many at once, and how long it takes until one more may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) refill: Duration,
}

/// What of a rate is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    credit: u32,
    refilled: Timestamp,
}

impl Bucket {
    pub(super) const fn full(now: Timestamp, rate: Rate) -> Self {
        let Rate { burst: credit, .. } = rate;
        Self {
            rate,
            credit,
            refilled: now,
        }
    }

    pub(super) fn refill(&mut self, now: Timestamp) {
        let Rate { burst, refill } = self.rate;
        while self.credit < burst && now.since(self.refilled) >= refill {
            self.credit += 1;
            self.refilled = self.refilled.after(refill);
        }
        if self.credit >= burst {
            self.refilled = now;
        }
    }

    pub(super) const fn credit(&self) -> u32 {
        self.credit
    }

    pub(super) const fn is_full(&self) -> bool {
        self.credit >= self.rate.burst
    }

    /// How long it takes until there is some again, if there is none.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let refill = self.rate.refill;
        (self.credit == 0).then(|| refill.saturating_sub(now.since(self.refilled)))
    }

    /// Takes one, if there is one.
    pub(super) const fn spend(&mut self) -> bool {
        match self.credit.checked_sub(1) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}
