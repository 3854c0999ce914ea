//! World time, and the clocks of hosts, which follow it only roughly.
//!
//! World time belongs to the simulator. No machine ever sees it: a machine is told the reading of
//! its own host's clock since its own start, and that clock may run fast, slow, jump or stand.

use std::fmt;
use std::time::Duration;

/// A moment of a simulation, in nanoseconds since it began.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(u64);

impl SimTime {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// Later than every moment of a run.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many nanoseconds after the beginning.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many milliseconds after the beginning.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// So many seconds after the beginning.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `delay` later.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(nanos(delay)))
    }

    /// The moment so many nanoseconds later.
    #[must_use]
    pub const fn after_nanos(self, delay: u64) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// The time since `earlier`; zero if that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{}.{:06}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000 / 1_000
        );
        f.pad(&text)
    }
}

impl fmt::Debug for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A duration in nanoseconds; the longest there is if it does not fit.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

const BILLION: i64 = 1_000_000_000;

/// The monotonic clock of one host.
///
/// Its reading never goes back. It may run at another rate than world time, stand still, and jump
/// ahead (as it does when a virtual machine was suspended).
#[derive(Clone, Debug)]
pub struct Clock {
    /// Since when the present rate is in force, and the reading then.
    since: SimTime,
    reading: u64,
    /// Parts in a billion by which it runs fast, or slow if negative.
    drift: i64,
    frozen: bool,
}

impl Clock {
    /// A clock that shows `reading` at the beginning and keeps world time.
    #[must_use]
    pub const fn new(reading: u64) -> Self {
        Self {
            since: SimTime::ZERO,
            reading,
            drift: 0,
            frozen: false,
        }
    }

    /// What it shows at `now`, in nanoseconds.
    #[must_use]
    pub fn reading(&self, now: SimTime) -> u64 {
        let elapsed = now.0.saturating_sub(self.since.0);
        let advance = match (self.frozen, self.drift) {
            (true, _) => 0,
            (false, 0) => elapsed,
            (false, _) => {
                let scaled = u128::from(elapsed) * u128::from(self.rate()) / BILLION as u128;
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        self.reading.saturating_add(advance)
    }

    /// The first moment at which it shows `reading` or more; `None` while it stands and has not got
    /// there.
    #[must_use]
    pub fn when(&self, reading: u64) -> Option<SimTime> {
        let missing = reading.saturating_sub(self.reading);
        if missing == 0 {
            return Some(self.since);
        }
        if self.frozen {
            return None;
        }
        if self.drift == 0 {
            return Some(self.since.after_nanos(missing));
        }
        let rate = u128::from(self.rate());
        let elapsed = (u128::from(missing) * BILLION as u128).div_ceil(rate);
        Some(
            self.since
                .after_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX)),
        )
    }

    /// Lets it run fast by `ppm` parts in a million from now on, or slow if negative.
    pub fn set_drift(&mut self, now: SimTime, ppm: i32) {
        self.rebase(now);
        self.drift = i64::from(ppm.clamp(-500_000, 500_000)) * 1_000;
    }

    /// Moves it ahead.
    pub fn jump(&mut self, now: SimTime, ahead: Duration) {
        self.rebase(now);
        self.reading = self.reading.saturating_add(nanos(ahead));
    }

    /// Stops it, or lets it go on from where it stands.
    pub fn set_frozen(&mut self, now: SimTime, frozen: bool) {
        self.rebase(now);
        self.frozen = frozen;
    }

    /// Whether it stands.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn rebase(&mut self, now: SimTime) {
        self.reading = self.reading(now);
        self.since = now;
    }

    fn rate(&self) -> u64 {
        u64::try_from(BILLION + self.drift).expect("drift is at most half of the rate")
    }
}

#[cfg(test)]
mod tests;
