//! A connection whose two ends have proven to each other that they know the cluster's secret.
//!
//! ```text
//!  dialer                                   acceptor
//!    │ Hello{versions, nonce, who, key id} ───▶ │
//!    │ ◀─── Hello{versions, nonce, who, key id} │
//!    │ Proof{HMAC(secret, both Hellos, "dialer")} ─▶ │
//!    │ ◀─ Proof{HMAC(secret, both Hellos, "acceptor")} │
//!    │ frames, counted and tagged with keys made from both Hellos ◀─▶ │
//! ```
//!
//! Both Hellos, whole, are under both proofs: neither the versions nor the names can be changed on
//! the way. The nonces make the keys those of this connection, so that a frame of another one, or of
//! the other direction, does not verify. Without a secret on both sides there are no proofs and no
//! tags; with a secret on one side only, both sides say which one lacks it.
//!
//! What is protected is who speaks and that nothing is changed, repeated, left out or moved. What is
//! said can be read by whoever sees the bytes; that takes TLS around it.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::codec;
use super::frame::{self, FrameBuffer, FrameFault};
use super::keys::{FrameKey, Keyring, NO_KEY};
use crate::ids::{Alias, ClusterId, Incarnation, Role};

/// The versions of the protocol that this program speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// See [`PROTOCOL_MIN`].
pub const PROTOCOL_MAX: u16 = 1;

const HELLO: u16 = 1;
const PROOF: u16 = 2;
const GOODBYE: u16 = 3;
/// Kinds below are the session's own.
const FIRST_MESSAGE: u16 = 0x10;

/// Bytes of a body before the peer has proven itself.
const HANDSHAKE_BODY_MAX: usize = 1024;
/// Bytes of a body after it has.
const BODY_MAX: usize = 1 << 20;
/// Bytes an unproven peer may have sent in all.
const HANDSHAKE_BYTES_MAX: usize = 4096;
/// Characters kept of a text that a peer sent.
const PEER_TEXT_MAX: usize = 300;

/// Who is on one side of a connection. Proven, if the cluster has a secret.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Introduction {
    /// What the process is for.
    #[n(0)]
    pub role: Role,
    /// The cluster it belongs to, if it knows one.
    #[n(1)]
    pub cluster: Option<ClusterId>,
    /// Its name.
    #[n(2)]
    pub alias: Alias,
    /// This start of the process.
    #[n(3)]
    pub incarnation: Incarnation,
    /// Program version.
    #[n(4)]
    pub build: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Hello {
    #[n(0)]
    protocol_min: u16,
    #[n(1)]
    protocol_max: u16,
    #[n(2)]
    key_id: u8,
    #[cbor(n(3), with = "minicbor::bytes")]
    nonce: [u8; 32],
    #[n(4)]
    who: Introduction,
}

#[derive(Clone, Debug, Encode, Decode)]
struct Proof {
    #[cbor(n(0), with = "minicbor::bytes")]
    proof: [u8; 32],
}

/// The last frame of a connection that one side ends for a reason.
#[derive(Clone, Debug, Encode, Decode)]
struct Goodbye {
    #[n(0)]
    text: String,
}

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionFault {
    /// The bytes are no frames of this connection.
    #[error("{0}")]
    Frame(#[from] FrameFault),
    /// A frame is not what its kind says.
    #[error("{0}")]
    Malformed(#[from] codec::Malformed),
    /// A frame that is out of place.
    #[error("a frame of kind {kind} is out of place {when}")]
    OutOfPlace {
        /// The frame's kind.
        kind: u16,
        /// Where the handshake had come to.
        when: &'static str,
    },
    /// The peer sent more than a handshake takes.
    #[error("more bytes than a handshake takes, from a peer that has not proven itself")]
    TooMuch,
    /// No version is spoken by both.
    #[error(
        "protocol versions {theirs_min} to {theirs_max} there and {PROTOCOL_MIN} to {PROTOCOL_MAX} \
         here have none in common; upgrade the older side"
    )]
    NoCommonVersion {
        /// The peer's oldest.
        theirs_min: u16,
        /// The peer's newest.
        theirs_max: u16,
    },
    /// Here is a secret, there is none.
    #[error(
        "{peer} has no cluster secret, this process has one; run `vaquita secret`, copy the file to \
         each host and restart the process that lacks it"
    )]
    PeerLacksSecret {
        /// The peer, in its own words.
        peer: String,
    },
    /// There is a secret, here is none.
    #[error(
        "{peer} has a cluster secret, this process has none; copy `cluster.secret` from that host \
         beside the configuration file here and restart"
    )]
    SecretMissingHere {
        /// The peer, in its own words.
        peer: String,
    },
    /// Two different secrets, or somebody in between.
    #[error("{peer} has another cluster secret; copy the same `cluster.secret` to each host")]
    WrongSecret {
        /// The peer, in its own words.
        peer: String,
    },
    /// The peer belongs to another cluster.
    #[error("{peer} belongs to cluster {theirs}, this process to {ours}")]
    OtherCluster {
        /// The peer, in its own words.
        peer: String,
        /// Its cluster.
        theirs: ClusterId,
        /// This process's cluster.
        ours: ClusterId,
    },
    /// The peer ended the connection and said why.
    #[error("the other side says: {0}")]
    Goodbye(String),
}

/// What a session reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The peer has proven itself.
    Established {
        /// Who it is.
        peer: Introduction,
    },
    /// A message, whole and in order.
    Frame {
        /// What it is.
        kind: u16,
        /// Its body.
        body: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dialer,
    Acceptor,
}

#[derive(Debug)]
enum Stage {
    ExpectHello,
    ExpectProof {
        peer: Introduction,
        keys: Box<SessionKeys>,
    },
    Established(Option<Box<SessionKeys>>),
    Over,
}

#[derive(Debug)]
struct SessionKeys {
    /// What the peer's proof has to be.
    expected_proof: [u8; 32],
    sending: FrameKey,
    receiving: FrameKey,
}

/// One side of a connection. Bytes in, bytes out.
#[derive(Debug)]
pub struct Session {
    side: Side,
    keyring: Keyring,
    my_hello: Vec<u8>,
    me: Introduction,
    stage: Stage,
    buffer: FrameBuffer,
    received: u64,
    sent: u64,
    events: VecDeque<SessionEvent>,
    output: VecDeque<Vec<u8>>,
}

impl Session {
    /// The side that opened the connection. `nonce` must never have been used before.
    #[must_use]
    pub fn dial(keyring: &Keyring, me: Introduction, nonce: [u8; 32]) -> Self {
        Self::new(Side::Dialer, keyring, me, nonce)
    }

    /// The side that was connected to. `nonce` must never have been used before.
    #[must_use]
    pub fn accept(keyring: &Keyring, me: Introduction, nonce: [u8; 32]) -> Self {
        Self::new(Side::Acceptor, keyring, me, nonce)
    }

    fn new(side: Side, keyring: &Keyring, me: Introduction, nonce: [u8; 32]) -> Self {
        let hello = Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            key_id: keyring.key_id(),
            nonce,
            who: me.clone(),
        };
        let mut session = Self {
            side,
            keyring: keyring.clone(),
            my_hello: codec::encode(&hello),
            me,
            stage: Stage::ExpectHello,
            buffer: FrameBuffer::default(),
            received: 0,
            sent: 0,
            events: VecDeque::new(),
            output: VecDeque::new(),
        };
        if side == Side::Dialer {
            session.say_hello();
        }
        session
    }

    fn say_hello(&mut self) {
        let frame = frame::seal(HELLO, 0, &self.my_hello, None);
        self.output.push_back(frame);
    }

    /// Takes bytes that arrived, cut anywhere.
    ///
    /// # Errors
    /// If the connection cannot go on. What [`Session::poll_output`] still has tells the peer why;
    /// then the connection is to be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionFault> {
        if matches!(self.stage, Stage::Over) {
            return Ok(());
        }
        self.buffer.push(bytes);
        let result = self.read_frames();
        if let Err(fault) = &result {
            self.say_goodbye(fault);
            self.stage = Stage::Over;
        }
        result
    }

    fn read_frames(&mut self) -> Result<(), SessionFault> {
        loop {
            let established = matches!(self.stage, Stage::Established(_));
            if !established && self.buffer.waiting() > HANDSHAKE_BYTES_MAX {
                return Err(SessionFault::TooMuch);
            }
            let body_max = if established {
                BODY_MAX
            } else {
                HANDSHAKE_BODY_MAX
            };
            let due = self.received;
            let stage = &self.stage;
            let frame = self.buffer.next(body_max, |view| {
                match stage {
                    // A peer that lacks our key cannot tag its parting words; they are only shown.
                    Stage::Established(Some(keys)) if view.kind != GOODBYE => {
                        view.verify(&keys.receiving)?;
                    }
                    _ => {}
                }
                if established && view.kind != GOODBYE && view.counter != due {
                    return Err(FrameFault::CounterGap {
                        expected: due,
                        got: view.counter,
                    });
                }
                Ok((view.kind, view.body.to_vec()))
            })?;
            let Some((kind, body)) = frame else {
                return Ok(());
            };
            if established {
                self.received += 1;
            }
            self.frame(kind, body)?;
        }
    }

    fn frame(&mut self, kind: u16, body: Vec<u8>) -> Result<(), SessionFault> {
        if kind == GOODBYE {
            let goodbye: Goodbye = codec::decode("Goodbye", &body)?;
            return Err(SessionFault::Goodbye(printable(&goodbye.text)));
        }
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::ExpectHello if kind == HELLO => self.hello(&body),
            Stage::ExpectProof { peer, keys } if kind == PROOF => {
                let proof: Proof = codec::decode("Proof", &body)?;
                if !bool::from(proof.proof.ct_eq(&keys.expected_proof)) {
                    return Err(SessionFault::WrongSecret {
                        peer: describe(&peer),
                    });
                }
                self.establish(peer, Some(keys));
                Ok(())
            }
            Stage::Established(keys) if kind >= FIRST_MESSAGE => {
                self.stage = Stage::Established(keys);
                self.events.push_back(SessionEvent::Frame { kind, body });
                Ok(())
            }
            Stage::ExpectHello => Err(SessionFault::OutOfPlace {
                kind,
                when: "before a Hello",
            }),
            Stage::ExpectProof { .. } => Err(SessionFault::OutOfPlace {
                kind,
                when: "before a Proof",
            }),
            Stage::Established(_) | Stage::Over => Err(SessionFault::OutOfPlace {
                kind,
                when: "after the handshake",
            }),
        }
    }

    fn hello(&mut self, body: &[u8]) -> Result<(), SessionFault> {
        let hello: Hello = codec::decode("Hello", body)?;
        let peer = hello.who.clone();
        if hello.protocol_max < PROTOCOL_MIN || hello.protocol_min > PROTOCOL_MAX {
            return Err(SessionFault::NoCommonVersion {
                theirs_min: hello.protocol_min,
                theirs_max: hello.protocol_max,
            });
        }
        let mine = self.keyring.key_id();
        if hello.key_id == NO_KEY && mine != NO_KEY {
            return Err(SessionFault::PeerLacksSecret {
                peer: describe(&peer),
            });
        }
        if hello.key_id != NO_KEY && mine == NO_KEY {
            return Err(SessionFault::SecretMissingHere {
                peer: describe(&peer),
            });
        }
        if hello.key_id != mine {
            return Err(SessionFault::WrongSecret {
                peer: describe(&peer),
            });
        }
        if let (Some(theirs), Some(ours)) = (peer.cluster, self.me.cluster)
            && theirs != ours
        {
            return Err(SessionFault::OtherCluster {
                peer: describe(&peer),
                theirs,
                ours,
            });
        }
        if self.side == Side::Acceptor {
            self.say_hello();
        }
        let transcript = match self.side {
            Side::Dialer => transcript(&self.my_hello, body),
            Side::Acceptor => transcript(body, &self.my_hello),
        };
        let Some(prover) = self.keyring.derive(&[b"session/proof"]) else {
            self.establish(peer, None);
            return Ok(());
        };
        let key = |label: &[u8]| {
            self.keyring
                .derive(&[b"session/", label, b"/", &transcript])
                .expect("a keyring that derives one key derives them all")
        };
        let (mine, theirs): (&[u8], &[u8]) = match self.side {
            Side::Dialer => (b"dialer", b"acceptor"),
            Side::Acceptor => (b"acceptor", b"dialer"),
        };
        let keys = SessionKeys {
            expected_proof: prover.full(&[&transcript, theirs]),
            sending: key(mine),
            receiving: key(theirs),
        };
        let proof = Proof {
            proof: prover.full(&[&transcript, mine]),
        };
        let frame = frame::seal(PROOF, 0, &codec::encode(&proof), None);
        self.output.push_back(frame);
        self.stage = Stage::ExpectProof {
            peer,
            keys: Box::new(keys),
        };
        Ok(())
    }

    fn establish(&mut self, peer: Introduction, keys: Option<Box<SessionKeys>>) {
        self.stage = Stage::Established(keys);
        self.events.push_back(SessionEvent::Established { peer });
    }

    fn say_goodbye(&mut self, fault: &SessionFault) {
        if matches!(fault, SessionFault::Goodbye(_)) {
            return;
        }
        // From the other side's view, whose process lacks what is the other way round.
        let me = describe(&self.me);
        let text = match fault {
            SessionFault::PeerLacksSecret { .. } => {
                SessionFault::SecretMissingHere { peer: me }.to_string()
            }
            SessionFault::SecretMissingHere { .. } => {
                SessionFault::PeerLacksSecret { peer: me }.to_string()
            }
            SessionFault::WrongSecret { .. } => SessionFault::WrongSecret { peer: me }.to_string(),
            other => other.to_string(),
        };
        let frame = frame::seal(GOODBYE, self.sent, &codec::encode(&Goodbye { text }), None);
        self.output.push_back(frame);
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// The next bytes that have to go to the peer.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    /// The bytes of a message.
    ///
    /// # Panics
    /// If the session is not established, or the kind is one of the session's own.
    #[must_use]
    pub fn seal(&mut self, kind: u16, body: &[u8]) -> Vec<u8> {
        assert!(
            kind >= FIRST_MESSAGE,
            "kind {kind} belongs to the handshake"
        );
        let Stage::Established(keys) = &self.stage else {
            panic!("a message on a session that is not established");
        };
        let sending = keys.as_ref().map(|keys| &keys.sending);
        let bytes = frame::seal(kind, self.sent, body, sending);
        self.sent += 1;
        bytes
    }

    /// Whether messages can be sent.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        matches!(self.stage, Stage::Established(_))
    }
}

/// The digest of both Hellos, the dialer's first, each with its length.
fn transcript(dialer: &[u8], acceptor: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for hello in [dialer, acceptor] {
        hash.update(u64::try_from(hello.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(hello);
    }
    hash.finalize().into()
}

fn describe(who: &Introduction) -> String {
    format!("{} {}", who.role, who.alias)
}

/// A peer's text, fit for a log line.
fn printable(text: &str) -> String {
    text.chars()
        .take(PEER_TEXT_MAX)
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}
