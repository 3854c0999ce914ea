//! What a logged-in user carries: `vqt_<id>_<secret>`.
//!
//! The id, 16 hexadecimal digits, says which token it is and is no secret: it stands in the log and
//! may be shown. The secret, 64 digits, is 256 random bits; the cluster keeps their SHA-256 alone.
//! A slow hash would add nothing, since nobody can try 2^256 secrets at any speed.

use core::fmt;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::prng::SecretPrng;

/// Names a token without giving it away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenId(u64);

impl TokenId {
    /// The id with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Reads an id as it is shown.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_DIGITS || !is_lower_hex(text) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A whole token, as its owner has it.
#[derive(Clone)]
pub struct Token {
    id: TokenId,
    secret: [u8; 32],
}

/// What stands before every token, so that a leaked one is found by whoever searches for it.
const PREFIX: &str = "vqt_";
/// Hexadecimal digits of the id.
const ID_DIGITS: usize = 16;

impl Token {
    /// Draws a token that nobody has seen.
    pub fn draw(secrets: &mut SecretPrng) -> Self {
        Self {
            id: TokenId(secrets.next_u64()),
            secret: secrets.next_32(),
        }
    }

    /// Reads a token as it is sent. There is one way to write it; anything else is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = TokenId::parse(id)?;
        if secret.len() != 64 || !is_lower_hex(secret) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(secret.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self { id, secret: bytes })
    }

    /// Which token this is.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// What the cluster keeps of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.secret).into())
    }

    /// The token as it is sent, for its owner and nobody else.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut text = format!("{PREFIX}{}_", self.id);
        for byte in self.secret {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| HEX.contains(&byte))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ..)", self.id)
    }
}

/// SHA-256 of a token's secret. Compares in constant time.
#[derive(Clone, Copy, Encode, Decode)]
#[cbor(transparent)]
pub struct TokenDigest(#[cbor(with = "minicbor::bytes")] [u8; 32]);

impl TokenDigest {
    /// Wraps a digest that was computed elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}
