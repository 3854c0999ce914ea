//! What is derived from the cluster's secret.
//!
//! Every purpose has a key of its own (HKDF, RFC 5869, with SHA-256), so that a tag made for one
//! purpose proves nothing for another. Without a secret there are no keys and nothing is proven;
//! then processes listen on loopback only.

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::datagram::{DatagramKey, Direction};
use crate::ids::NodeId;
use crate::secret::ClusterSecret;

/// Length of a tag: half of an HMAC-SHA256.
pub const TAG_LEN: usize = 16;

/// The key id of a process without a secret.
pub const NO_KEY: u8 = 0;
/// The key id of the one secret that a cluster has now; more will be for rotation.
const FIRST_KEY: u8 = 1;

/// The keys of a process.
#[derive(Clone)]
pub struct Keyring {
    root: Option<Hkdf<Sha256>>,
}

impl Keyring {
    /// The keys that follow from the secret, or none.
    #[must_use]
    pub fn new(secret: Option<&ClusterSecret>) -> Self {
        Self {
            root: secret.map(|secret| Hkdf::new(None, secret.reveal())),
        }
    }

    /// By which the other side knows which secret is meant.
    #[must_use]
    pub const fn key_id(&self) -> u8 {
        if self.root.is_some() {
            FIRST_KEY
        } else {
            NO_KEY
        }
    }

    /// The key for a purpose; `None` without a secret.
    pub(super) fn derive(&self, purpose: &[&[u8]]) -> Option<FrameKey> {
        let mut okm = [0; 32];
        let info: Vec<&[u8]> = [b"vaquita/v1/".as_slice()]
            .iter()
            .chain(purpose)
            .copied()
            .collect();
        self.root
            .as_ref()?
            .expand_multi_info(&info, &mut okm)
            .expect("32 bytes are one block");
        Some(FrameKey::new(&okm))
    }

    /// The key of one node's heartbeats, or of their acknowledgements.
    #[must_use]
    pub fn datagram_key(&self, direction: Direction, node: NodeId) -> DatagramKey {
        let direction: &[u8] = match direction {
            Direction::ToController => b"udp/to-controller/",
            Direction::ToNode => b"udp/to-node/",
        };
        DatagramKey::new(self.derive(&[direction, node.as_bytes()]))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(key id {})", self.key_id())
    }
}

/// A key that makes and checks tags.
#[derive(Clone)]
pub struct FrameKey(Hmac<Sha256>);

impl FrameKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The tag of some bytes.
    #[must_use]
    pub fn tag(&self, bytes: &[u8]) -> [u8; TAG_LEN] {
        let full = self.full(&[bytes]);
        full.first_chunk()
            .copied()
            .expect("an HMAC-SHA256 has 32 bytes")
    }

    /// Whether `tag` is the tag of `bytes`, in time that does not depend on where they differ.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], tag: &[u8]) -> bool {
        self.tag(bytes).as_slice().ct_eq(tag).into()
    }

    pub(super) fn full(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameKey(..)")
    }
}
