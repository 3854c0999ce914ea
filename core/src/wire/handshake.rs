//! The handshake's messages, and the keys that come out of it, as pure functions.
//!
//! Which message comes when is the [session](super::session)'s business.

use core::fmt;

use hkdf::Hkdf;
use hmac::Mac;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::{Alias, ClusterId, Incarnation, Role};
use crate::wire::keys::{KeyRole, Keyring, TagKey, expand, hmac};
use crate::wire::text::cut;

/// Frame kinds of the session itself. All below [`KIND_FREE`] are reserved for it.
pub(crate) const HELLO: u16 = 0x0001;
/// See [`HELLO`].
pub(crate) const PROOF: u16 = 0x0002;
/// See [`HELLO`].
pub(crate) const GOODBYE: u16 = 0x0003;
/// The first kind that belongs to whoever uses the session.
pub(crate) const KIND_FREE: u16 = 0x0010;

/// Longest program version that is announced, in bytes.
const BUILD_MAX: usize = 128;

/// Longest text of a [`Goodbye`], in bytes.
const GOODBYE_TEXT_MAX: usize = 512;

/// Which side of a connection a process is: the one that opened it or the one that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It opened the connection.
    Dialer,
    /// It took the connection.
    Acceptor,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dialer => "dialer",
            Self::Acceptor => "acceptor",
        })
    }
}

/// The versions of the node protocol that a build speaks, from the oldest to the newest.
///
/// Not to be confused with the version of a frame's layout: this one says which messages there are
/// and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolRange {
    /// The oldest version spoken.
    pub min: u16,
    /// The newest version spoken.
    pub max: u16,
}

impl ProtocolRange {
    /// What this build speaks.
    pub const CURRENT: Self = Self { min: 1, max: 1 };

    /// The newest version that both sides speak, if there is one.
    #[must_use]
    pub fn newest_common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.max)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

/// Who a process says it is.
///
/// With a secret it comes from a process that has it; without one it is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// What the process is for.
    pub role: Role,
    /// The cluster it belongs to; absent until it has joined one. Two processes that both know
    /// theirs, and not the same, hold no session.
    pub cluster: Option<ClusterId>,
    /// Its name.
    pub alias: Alias,
    /// This start of it.
    pub incarnation: Incarnation,
    /// Its program version. From a peer it is cut and safe to print.
    pub build: String,
}

/// The first frame of each side.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Hello {
    #[n(0)]
    pub(crate) proto_min: u16,
    #[n(1)]
    pub(crate) proto_max: u16,
    #[n(2)]
    pub(crate) build: String,
    #[n(3)]
    pub(crate) role: Role,
    #[n(4)]
    pub(crate) cluster: Option<ClusterId>,
    #[n(5)]
    pub(crate) key_id: u8,
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) nonce: [u8; 32],
    #[n(7)]
    pub(crate) alias: Alias,
    #[n(8)]
    pub(crate) incarnation: Incarnation,
}

impl Hello {
    pub(crate) fn new(
        me: Introduction,
        protocols: ProtocolRange,
        key_id: u8,
        nonce: [u8; 32],
    ) -> Self {
        Self {
            proto_min: protocols.min,
            proto_max: protocols.max,
            build: cut(&me.build, BUILD_MAX).to_owned(),
            role: me.role,
            cluster: me.cluster,
            key_id,
            nonce,
            alias: me.alias,
            incarnation: me.incarnation,
        }
    }

    pub(crate) const fn protocols(&self) -> ProtocolRange {
        ProtocolRange {
            min: self.proto_min,
            max: self.proto_max,
        }
    }
}

/// Says that its sender has the secret, in answer to a nonce of the receiver.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Proof {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) mac: [u8; 32],
}

/// The last frame of a side that refuses the other.
#[derive(Encode, Decode)]
pub(crate) struct Goodbye {
    #[n(0)]
    pub(crate) code: u16,
    #[n(1)]
    pub(crate) text: String,
}

impl Goodbye {
    pub(crate) fn new(code: GoodbyeCode, text: &str) -> Self {
        Self {
            code: code.number(),
            text: cut(text, GOODBYE_TEXT_MAX).to_owned(),
        }
    }
}

/// Why a side ended a session, as a number that later versions know as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoodbyeCode {
    /// 1: there is no version of the protocol that both sides speak.
    VersionsDisjoint,
    /// 2: the acceptor has a cluster secret and the dialer has none.
    DialerLacksSecret,
    /// 3: the dialer has a cluster secret and the acceptor has none.
    AcceptorLacksSecret,
    /// 4: each side has a secret, and they are not the same.
    SecretsDiffer,
    /// 5: the sides use keys of different ids.
    KeysDiffer,
    /// 6: the receiver's frames cannot be read or come at the wrong time.
    Protocol,
    /// 7: the receiver sent more than a stranger may.
    HandshakeTooLong,
    /// 8: the sides belong to different clusters.
    OtherCluster,
    /// A reason that this version does not know.
    Other(u16),
}

impl GoodbyeCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::VersionsDisjoint => 1,
            Self::DialerLacksSecret => 2,
            Self::AcceptorLacksSecret => 3,
            Self::SecretsDiffer => 4,
            Self::KeysDiffer => 5,
            Self::Protocol => 6,
            Self::HandshakeTooLong => 7,
            Self::OtherCluster => 8,
            Self::Other(number) => number,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::VersionsDisjoint,
            2 => Self::DialerLacksSecret,
            3 => Self::AcceptorLacksSecret,
            4 => Self::SecretsDiffer,
            5 => Self::KeysDiffer,
            6 => Self::Protocol,
            7 => Self::HandshakeTooLong,
            8 => Self::OtherCluster,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for GoodbyeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionsDisjoint => f.write_str("no common version of the protocol"),
            Self::DialerLacksSecret => f.write_str("the dialling side has no cluster secret"),
            Self::AcceptorLacksSecret => f.write_str("the accepting side has no cluster secret"),
            Self::SecretsDiffer => f.write_str("the cluster secrets differ"),
            Self::KeysDiffer => f.write_str("the sides use different keys"),
            Self::Protocol => f.write_str("what it received makes no sense"),
            Self::HandshakeTooLong => f.write_str("too many bytes before a proof"),
            Self::OtherCluster => f.write_str("the sides belong to different clusters"),
            Self::Other(number) => write!(f, "reason {number}, unknown to this version"),
        }
    }
}

/// The hash of both Hellos as they went over the wire, with fields that only one side knows: what
/// the proofs speak of, and the name of the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transcript([u8; 32]);

impl Transcript {
    /// Takes the two bodies in the order of the sides, whoever computes it.
    pub(crate) fn new(dialer_hello: &[u8], acceptor_hello: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"vaquita/v1/transcript");
        for hello in [dialer_hello, acceptor_hello] {
            // The length keeps a byte from wandering from one Hello to the other.
            hash.update(u64::try_from(hello.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(hello);
        }
        Self(hash.finalize().into())
    }
}

/// The keys of one session.
pub(crate) struct KeySchedule<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) transcript: Transcript,
    pub(crate) dialer_nonce: [u8; 32],
    pub(crate) acceptor_nonce: [u8; 32],
}

impl KeySchedule<'_> {
    /// What `side`, which is a `role`, has to prove itself with. `None` without a secret.
    pub(crate) fn proof(&self, side: Side, role: Role) -> Option<Proof> {
        let key = self.keyring.derive(KeyRole::Process(role), "proof")?;
        let mut mac = hmac(key.reveal());
        mac.update(&self.transcript.0);
        mac.update(role.to_string().as_bytes());
        mac.update(b"/");
        mac.update(side.to_string().as_bytes());
        Some(Proof {
            mac: mac.finalize().into_bytes().into(),
        })
    }

    /// What the frames that `side`, which is a `role`, sends are tagged with. `None` without a
    /// secret.
    pub(crate) fn tag_key(&self, side: Side, role: Role) -> Option<TagKey> {
        let input = self.keyring.derive(KeyRole::Process(role), "session")?;
        let mut salt = [0; 64];
        let nonces = self.dialer_nonce.iter().chain(&self.acceptor_nonce);
        salt.iter_mut()
            .zip(nonces)
            .for_each(|(to, from)| *to = *from);
        let label = format!("vaquita/v1/session/{side}");
        let prk = Hkdf::<Sha256>::new(Some(&salt), input.reveal());
        let key = expand(&prk, &[label.as_bytes(), &self.transcript.0]);
        // One block of SHA-256: the session's name, then the direction.
        let mut context = [0; 64];
        let words = self.transcript.0.iter().chain(label.as_bytes());
        context
            .iter_mut()
            .zip(words)
            .for_each(|(to, from)| *to = *from);
        Some(TagKey::new(self.keyring.key_id(), &key, &context))
    }
}

impl Proof {
    /// Compares in a time that does not tell how much is right.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.mac.ct_eq(&other.mac).into()
    }
}
