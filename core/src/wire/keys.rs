//! Keys: everything that is derived from the cluster's secret, and how it is derived.
//!
//! HKDF-SHA256 (RFC 5869) with one label a use, `vaquita/v1/<role>/<purpose>`, so that a key found
//! out in one place opens nothing in another. No key is ever printed, compared in variable time,
//! or sent.
//!
//! On the wire a key goes by a number, the *key id*. 0 says that there is no secret; 1 is the
//! shared secret of the cluster. Other numbers are free for a second secret during a rotation and
//! for keys of single nodes: an id that a process does not have is refused by name.

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::ids::{NodeId, Role};
use crate::secret::ClusterSecret;
use crate::wire::datagram::{DatagramKey, Direction};

/// The key id of a process without a secret.
pub const NO_SECRET: u8 = 0;

/// The key id of the secret that all processes of a cluster share.
pub const SHARED_SECRET: u8 = 1;

/// Length of a tag in bytes: HMAC-SHA256 cut to its left half (RFC 2104, section 5).
pub const TAG_LEN: usize = 16;

/// Whose key one is: the `<role>` of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// A process of the cluster, by what it is for.
    Process(Role),
    /// A client that holds a token of the controller.
    ClientToken,
    /// The cluster as a whole: whoever has its secret, towards others who have it not.
    Cluster,
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(role) => fmt::Display::fmt(role, f),
            Self::ClientToken => f.pad("client-token"),
            Self::Cluster => f.pad("cluster"),
        }
    }
}

/// A 32-byte key for one role and one purpose.
#[derive(Clone)]
pub struct DerivedKey([u8; 32]);

impl DerivedKey {
    /// The bytes, for a MAC and nobody else.
    #[must_use]
    pub const fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(..)")
    }
}

/// The keys of one process: those of the cluster's secret, or none.
#[derive(Clone)]
pub struct Keyring {
    shared: Option<Hkdf<Sha256>>,
}

impl Keyring {
    /// The keys that follow from a secret. Without one there are none, and nothing is
    /// authenticated.
    #[must_use]
    pub fn new(secret: Option<&ClusterSecret>) -> Self {
        Self {
            shared: secret.map(|secret| Hkdf::new(None, secret.reveal())),
        }
    }

    /// The key id that this process announces.
    #[must_use]
    pub const fn key_id(&self) -> u8 {
        if self.shared.is_some() {
            SHARED_SECRET
        } else {
            NO_SECRET
        }
    }

    /// The key with the label `vaquita/v1/<role>/<purpose>`; `None` without a secret.
    #[must_use]
    pub fn derive(&self, role: KeyRole, purpose: &str) -> Option<DerivedKey> {
        let label = format!("vaquita/v1/{role}/{purpose}");
        let shared = self.shared.as_ref()?;
        Some(DerivedKey(expand(shared, &[label.as_bytes()])))
    }

    /// The key of the datagrams that go in one direction between the controller and one node.
    ///
    /// Deriving it costs several times what sealing a datagram does; keep it with the node.
    #[must_use]
    pub fn datagram_key(&self, direction: Direction, node: NodeId) -> DatagramKey {
        let tag_key = self.shared.as_ref().map(|shared| {
            let label = format!("vaquita/v1/udp/{direction}/");
            let key = expand(shared, &[label.as_bytes(), node.as_bytes()]);
            TagKey::new(SHARED_SECRET, &key, &[])
        });
        DatagramKey::new(tag_key)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("key_id", &self.key_id())
            .finish_non_exhaustive()
    }
}

/// 32 bytes of HKDF-Expand under a label given in parts.
pub(crate) fn expand(prk: &Hkdf<Sha256>, label: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    prk.expand_multi_info(label, &mut key)
        .expect("HKDF-SHA256 yields up to 8,160 bytes, and this asks for 32");
    key
}

/// HMAC-SHA256 keyed with `key`.
pub(crate) fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// A key that tags frames, with the context of the frames already absorbed.
#[derive(Clone)]
pub(crate) struct TagKey {
    key_id: u8,
    mac: Hmac<Sha256>,
}

impl TagKey {
    /// `context` stands in front of every tagged frame without being sent: what the frame is bound
    /// to beside its own bytes. It must have one length for all uses of a key; a multiple of 64
    /// costs nothing for each frame.
    pub(crate) fn new(key_id: u8, key: &[u8; 32], context: &[u8]) -> Self {
        let mut mac = hmac(key);
        mac.update(context);
        Self { key_id, mac }
    }

    /// The number under which the key goes on the wire.
    pub(crate) const fn key_id(&self) -> u8 {
        self.key_id
    }

    /// The tag of `bytes`.
    pub(crate) fn tag(&self, bytes: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = self.mac.clone();
        mac.update(bytes);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let (tag, _) = whole
            .split_first_chunk()
            .expect("HMAC-SHA256 is longer than a tag");
        *tag
    }

    /// Whether `tag` is the tag of `bytes`, in a time that does not tell how much of it is right.
    pub(crate) fn matches(&self, bytes: &[u8], tag: &[u8; TAG_LEN]) -> bool {
        self.tag(bytes).ct_eq(tag).into()
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
