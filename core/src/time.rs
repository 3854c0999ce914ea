//! Time as the machines know it: readings of one monotonic clock, handed in by the driver.
//!
//! This module knows nothing of wall clocks. A date never meets a [`Timestamp`]: deadlines that
//! were computed from a wall clock are how clusters lose all their nodes at once when somebody
//! corrects the time.

use core::fmt;
use core::time::Duration;

/// A reading of one process's monotonic clock, in nanoseconds since that process started.
///
/// Readings of two processes cannot be compared, so a `Timestamp` is never encoded; what travels
/// is a [`Duration`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment the process started.
    pub const ZERO: Self = Self(0);
    /// Later than every moment a process will see (584 years).
    pub const NEVER: Self = Self(u64::MAX);

    /// The reading of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the process started.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `delay` later; saturates at [`Timestamp::NEVER`].
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000 / 1_000
        )
    }
}
