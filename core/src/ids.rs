//! Names and numbers by which the cluster knows its members, its history and its files.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder};
use thiserror::Error;

/// Defines a 128-bit identity that is drawn at random once and never changes.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(with = "minicbor::bytes")] [u8; 16]);

        impl $name {
            /// Wraps 16 random bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        /// The first eight digits: enough to tell two apart in a trace.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

/// Defines a number that only grows.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Encode,
            Decode,
            serde::Serialize,
        )]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            ///
            /// # Panics
            /// After 2^64 steps.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("a 64-bit counter outlives the cluster"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

random_id! {
    /// The cluster, minted when a controller first starts on an empty home.
    ClusterId
}
random_id! {
    /// One unbroken history of a cluster's metadata. A restore from a backup starts a new one.
    LineageId
}
random_id! {
    /// A node as its disk knows it: drawn at the node's first start, kept in its home for ever.
    NodeId
}
random_id! {
    /// One start of one process (the term is SWIM's: Das, Gupta and Motivala, DSN 2002).
    Incarnation
}
random_id! {
    /// A physical host: what two replicas of a chunk should not share.
    HostId
}

counter! {
    /// Position of a record in the controller's log. The first record has index 1.
    LogIndex
}
counter! {
    /// Counts the starts of the controller: the fencing token of everything it orders.
    ControllerEpoch
}
counter! {
    /// The log index of a node's registration: the fencing token of everything it says.
    NodeEpoch
}
counter! {
    /// Names one connection of one process; chosen by whoever opens it, never reused.
    ConnId
}
counter! {
    /// Names a request on its way through a machine, so that the reply finds its asker.
    RequestId
}
counter! {
    /// Names a batch of disk operations until its completion came back.
    DiskTicket
}
counter! {
    /// Names a slow computation (a password hash, a checkpoint) until its result came back.
    JobId
}

/// The name an operator gave a node: case-sensitive, unique in the cluster, and used as the name
/// of a directory.
///
/// The grammar `[A-Za-z0-9][A-Za-z0-9_-]{0,62}` leaves no way to spell a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(Arc<str>);

/// Why a text is no alias.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no node alias: it takes 1 to 63 letters, digits, `-` and `_`, \
     the first a letter or a digit"
)]
pub struct AliasError {
    /// The refused text, cut to 80 characters.
    pub text: String,
}

impl Alias {
    /// The longest alias, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// If it is empty, too long, or contains anything but letters, digits, `-` and `_`.
    pub fn new(text: &str) -> Result<Self, AliasError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let starts_well = text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric);
        if starts_well && text.len() <= Self::MAX_LEN && text.bytes().all(legal) {
            Ok(Self(text.into()))
        } else {
            Err(AliasError {
                text: text.chars().take(80).collect(),
            })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, AliasError> {
        Self::new(text)
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Alias {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<C> Encode<C> for Alias {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Alias {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        let text = decoder.str()?;
        Self::new(text).map_err(|error| minicbor::decode::Error::message(error).at(at))
    }
}

/// Where a process listens: a host name or address, and the one port for everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Endpoint {
    /// Host name or address, as the operator wrote it.
    #[n(0)]
    pub host: String,
    /// TCP and UDP port.
    #[n(1)]
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A process of the cluster as the configuration files name it: `host:port:alias`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Site {
    /// Where it listens.
    #[n(0)]
    pub endpoint: Endpoint,
    /// What it is called.
    #[n(1)]
    pub alias: Alias,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.endpoint, self.alias)
    }
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Keeps the metadata and coordinates; exactly one a cluster.
    #[n(0)]
    Controller,
    /// Starts and stops the data nodes of its host.
    #[n(1)]
    Agent,
    /// Keeps chunks in volumes and serves clients.
    #[n(2)]
    DataNode,
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Role {
    /// The word that the configuration files use for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Controller => "controller",
            Self::Agent => "agent",
            Self::DataNode => "datanode",
        })
    }
}
