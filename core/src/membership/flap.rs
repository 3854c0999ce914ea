//! Holds back nodes that come and go.
//!
//! The damping of RFC 2439 (Villamizar, Chandra and Govindan, 1998), section 4.2, with one penalty
//! a departure, in whole thousandths so that every platform computes the same.

use core::time::Duration;

use crate::time::Timestamp;

/// How unsteady a node has been.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlapDamper {
    /// Departures, in thousandths, halved every half-life.
    penalty: u32,
    as_of: Timestamp,
    /// Quarantines so far; each lasts twice as long as the one before.
    quarantines: u32,
    quarantined_until: Timestamp,
}

/// The penalty of one departure.
const DEPARTURE: u32 = 1000;
/// The penalty at which a node is quarantined.
const QUARANTINE_AT: u32 = 3 * DEPARTURE;
/// The first quarantine.
const QUARANTINE_MIN: Duration = Duration::from_secs(60);
/// The longest quarantine.
const QUARANTINE_MAX: Duration = Duration::from_secs(3600);

impl FlapDamper {
    /// Notes that the node went offline without having been told to. Returns whether it is
    /// quarantined from now on.
    pub fn departed(&mut self, now: Timestamp, half_life: Duration) -> bool {
        self.decay(now, half_life);
        self.penalty = self.penalty.saturating_add(DEPARTURE);
        if self.penalty < QUARANTINE_AT {
            return false;
        }
        let length = QUARANTINE_MIN * 2u32.saturating_pow(self.quarantines.min(10));
        self.quarantines += 1;
        self.quarantined_until = now.after(length.min(QUARANTINE_MAX));
        self.penalty = QUARANTINE_AT - DEPARTURE;
        true
    }

    /// Whether the node is held back at present: alive, read last, not placed on.
    #[must_use]
    pub fn is_quarantined(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    fn decay(&mut self, now: Timestamp, half_life: Duration) {
        let halves = now.since(self.as_of).as_nanos() / half_life.as_nanos().max(1);
        if halves > 0 {
            let halves = u32::try_from(halves).unwrap_or(u32::MAX);
            self.penalty = self.penalty.checked_shr(halves).unwrap_or(0);
            self.as_of = now;
            if self.penalty == 0 {
                self.quarantines = 0;
            }
        }
    }
}
