//! Values that must not be seen: they compare in constant time and print as dots.

use core::fmt;

use subtle::ConstantTimeEq;

/// A password on its way to be hashed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The longest password, in bytes: more would only cost hashing time.
    pub const MAX_LEN: usize = 128;

    /// Wraps a password.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The password itself, for the hash function and nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The secret that all processes of a cluster share: 32 random bytes.
#[derive(Clone)]
pub struct ClusterSecret([u8; 32]);

impl ClusterSecret {
    /// Wraps the bytes.
    ///
    /// Returns `None` for bytes nobody drew at random (all alike).
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Option<Self> {
        let drawn = bytes.iter().any(|&byte| byte != bytes[0]);
        drawn.then_some(Self(bytes))
    }

    /// The bytes, for key derivation and nobody else.
    #[must_use]
    pub const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ClusterSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ClusterSecret {}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}
