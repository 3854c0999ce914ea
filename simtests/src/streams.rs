//! Randomness as a function: each decision of a run is a hash of the seed and of what is decided.
//!
//! A generator that is drawn from in turn couples everything to everything: one datagram more, and
//! every later decision is another. Here the n-th datagram from one host to another meets the same
//! fate whatever else happens, so that a fault can be taken out of a failing run without turning it
//! into a different run, and two runs can be compared event by event.

use std::fmt;
use std::str::FromStr;

use vaquita_core::prng::{Prng, mix};

/// What a decision is about. Decisions of different streams have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// The fate of the n-th datagram between two hosts.
    Datagram = 1,
    /// The fate of the n-th segment between two hosts.
    Segment,
    /// Where the n-th send on a connection is cut.
    Cut,
    /// How long a link stays in its good or bad state.
    Burst,
    /// The fate and duration of a disk's n-th operation.
    Disk,
    /// What a power cut leaves of a disk.
    PowerCut,
    /// How late a process's n-th timer is.
    Timer,
    /// Which of two events of the same moment comes first.
    Tie,
    /// What clients do.
    Workload,
    /// Which faults a plan consists of.
    Plan,
    /// What a fault that was planned does in detail.
    Fault,
    /// How clocks differ.
    Clock,
    /// How long a host takes to start, inspect or signal a process.
    Process,
    /// How long a computation takes, and its outcome where that is random.
    Job,
    /// The entropy a process starts with.
    Entropy,
    /// The shape and settings of a run.
    Settings,
}

/// All streams of a run.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed: mix(seed ^ 0x5661_7175_6974_6121),
        }
    }

    /// The decision number `counter` about `key`.
    #[must_use]
    pub const fn at(&self, stream: Stream, key: u64, counter: u64) -> Draw {
        let stream = mix(self.seed ^ (stream as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keyed = mix(stream ^ key.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Draw {
            prng: Prng::new(keyed ^ counter.wrapping_mul(0xa076_1d64_78bd_642f)),
        }
    }
}

/// One decision, or the handful of decisions that belong to one thing, in a fixed order.
#[derive(Clone, Debug)]
pub struct Draw {
    prng: Prng,
}

impl Draw {
    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.prng.next_u64()
    }

    /// A number in `0..bound`; zero if `bound` is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.prng.below(bound)
    }

    /// A number in `low..=high`; `low` if the range is empty.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.prng.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True at the given rate. Draws once whatever the rate is, so that a change of one rate leaves
    /// the decisions behind it alone.
    pub const fn chance(&mut self, rate: Rate) -> bool {
        self.prng.below(Rate::ONE as u64) < rate.0 as u64
    }

    /// A number with an exponential distribution of the given mean.
    ///
    /// In integers, since `ln` may differ in its last bit between platforms: the logarithm to base
    /// two is taken from the position of the highest bit and, within an octave, as a straight line,
    /// which is off by at most 0.09 of the mean.
    pub const fn exponential(&mut self, mean: u64) -> u64 {
        let bits = self.prng.next_u64() | 1;
        let zeros = bits.leading_zeros();
        // The bits behind the highest one, as a fraction of 2^32.
        let fraction = ((bits << zeros) << 1) >> 32;
        let log2 = ((zeros as u64 + 1) << 32) - fraction;
        // ln 2 = 2977044472 / 2^32, and both factors are scaled by 2^32.
        ((mean as u128 * log2 as u128 * 2_977_044_472) >> 64) as u64
    }

    /// One of several, each as likely as the other.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        assert!(!from.is_empty(), "one of no things cannot be picked");
        &from[index(self.below(from.len() as u64))]
    }
}

/// A number below a length, as an index.
pub(crate) fn index(number: u64) -> usize {
    usize::try_from(number).expect("a number drawn below a length fits an index")
}

/// How often something happens, in millionths.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(Self::ONE);
    const ONE: u32 = 1_000_000;

    /// So many in a hundred.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::millionths(percent.saturating_mul(10_000))
    }

    /// So many in a million.
    #[must_use]
    pub const fn millionths(millionths: u32) -> Self {
        Self(if millionths > Self::ONE {
            Self::ONE
        } else {
            millionths
        })
    }

    /// In millionths.
    #[must_use]
    pub const fn as_millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{rest:04}");
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate; write it as 0% to 100%, such as 2.5%");
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        if rest.len() > 4 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let rest: u32 = format!("{rest:0<4}").parse().map_err(|_| wrong())?;
        if whole > 100 || (whole == 100 && rest > 0) {
            return Err(wrong());
        }
        Ok(Self(whole * 10_000 + rest))
    }
}

#[cfg(test)]
mod tests;
