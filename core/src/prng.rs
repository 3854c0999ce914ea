//! Randomness without a source: generators that expand a seed the driver handed in.
//!
//! Two kinds, never mixed. [`Prng`] spreads timers and breaks ties; whoever has seen some of its
//! output can tell the rest. [`SecretPrng`] makes identities, nonces and tokens; nobody can.

use core::fmt;
use core::time::Duration;

use sha2::{Digest, Sha256};

/// A small, fast, predictable generator for jitter and tie-breaking.
///
/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
/// 2014, figure 13. Its whole state is one number, so that it can be shown in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prng {
    state: u64,
}

impl Prng {
    /// The generator that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number in `0..bound`; zero if `bound` is zero.
    ///
    /// Takes the high half of a product instead of drawing until it fits: one draw, whatever the
    /// bound, for a bias below `bound / 2^64`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// `period` lengthened or shortened by up to `percent` of itself.
    pub fn jitter(&mut self, period: Duration, percent: u32) -> Duration {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let swing = period / 100 * u64::from(percent.min(100));
        let low = period - swing;
        Duration::from_nanos(low.saturating_add(self.below(swing.saturating_mul(2).max(1))))
    }
}

/// The finaliser of SplitMix64: a bijection of 64 bits in which each input bit reaches each
/// output bit.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Thirty-two bytes of entropy that a driver drew for one process start.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Wraps bytes that the operating system, or a simulator, drew.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed for simulations, spread from one number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let mut prng = Prng::new(number);
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&prng.next_u64().to_le_bytes());
        }
        Self(bytes)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A generator whose output cannot be told from its earlier output: SHA-256 over the seed and a
/// counter.
///
/// A clone draws the numbers that its original draws. Machines are cloned where they are searched, with
/// all that is in them, and never where they serve.
#[derive(Clone)]
pub struct SecretPrng {
    seed: Seed,
    counter: u64,
}

impl SecretPrng {
    /// The generator that expands `seed`.
    #[must_use]
    pub const fn new(seed: Seed) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next 32 bytes.
    pub fn next_32(&mut self) -> [u8; 32] {
        self.counter += 1;
        let mut hash = Sha256::new();
        hash.update(b"vaquita/prng");
        hash.update(self.seed.0);
        hash.update(self.counter.to_le_bytes());
        hash.finalize().into()
    }

    /// The next 16 bytes, enough for an identity nobody else has.
    pub fn next_16(&mut self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.next_32()[..16]);
        half
    }

    /// A seed for a [`Prng`].
    pub fn next_u64(&mut self) -> u64 {
        let mut eighth = [0; 8];
        eighth.copy_from_slice(&self.next_32()[..8]);
        u64::from_le_bytes(eighth)
    }
}

impl fmt::Debug for SecretPrng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretPrng")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}
