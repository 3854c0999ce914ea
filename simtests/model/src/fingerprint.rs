//! What states are told apart by.

use core::fmt;

/// 128 bits of a digest. Two values with the same one are taken for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Of everything that a value's `Debug` text has.
    #[must_use]
    pub fn of_debug(value: &impl fmt::Debug) -> Self {
        Self::of_bytes(format!("{value:?}").as_bytes())
    }

    /// Of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut sum = Summing::default();
        sum.add(bytes);
        sum.finish()
    }
}

/// A fingerprint of several parts, in order, none of which can be taken for a piece of another.
#[derive(Debug, Default)]
pub struct Summing(blake3::Hasher);

impl Summing {
    /// The next part.
    pub fn add(&mut self, part: &[u8]) {
        self.number(part.len() as u64);
        self.0.update(part);
    }

    /// The next part, a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// The next part, a fingerprint.
    pub fn part(&mut self, part: Fingerprint) {
        self.0.update(&part.0.to_le_bytes());
    }

    /// The fingerprint of all parts.
    #[must_use]
    pub fn finish(&self) -> Fingerprint {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Fingerprint(u128::from_le_bytes(half))
    }
}
