//! A session behind the frames: who has said what, and what is due.

use core::fmt;
use std::collections::VecDeque;

use crate::wire::codec;
use crate::wire::fault::{Claim, SessionFault};
use crate::wire::frame::{self, Frame, FrameFault};
use crate::wire::handshake::{
    GOODBYE, Goodbye, GoodbyeCode, HELLO, Hello, Introduction, KIND_FREE, KeySchedule, PROOF,
    Proof, Side, Transcript,
};
use crate::wire::keys::{Keyring, NO_SECRET, TagKey};
use crate::wire::session::SessionEvent;
use crate::wire::text::printable;

/// The most characters of a peer's text that are kept.
const PEER_TEXT_CHARS: usize = 256;

/// The most characters of a peer's program version that are kept.
const PEER_BUILD_CHARS: usize = 64;

/// One side of a handshake and of what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    side: Side,
    keyring: Keyring,
    me: Hello,
    state: State,
    sender: Sender,
    /// Counter due on the next frame of the other side.
    due: u64,
    /// What the other side's frames have to be tagged with: nothing before its Proof.
    verify_with: Option<TagKey>,
    protocol: Option<u16>,
    events: VecDeque<SessionEvent>,
}

/// The way out.
#[derive(Clone, Debug, Default)]
struct Sender {
    /// Counter of the next frame.
    next: u64,
    /// What the frames are tagged with: nothing up to the own Proof.
    seal_with: Option<TagKey>,
    output: VecDeque<Vec<u8>>,
}

#[derive(Clone)]
enum State {
    AwaitHello,
    AwaitProof(Box<Awaited>),
    Established,
    Ended(SessionFault),
}

/// What a Hello has led to expect.
#[derive(Clone)]
struct Awaited {
    peer: Introduction,
    /// The only right one.
    proof: Proof,
    /// What the frames behind the proof are tagged with.
    verify_with: TagKey,
}

impl Conversation {
    /// A conversation in which a dialer has said Hello and an acceptor nothing.
    pub(crate) fn new(side: Side, keyring: Keyring, me: Hello) -> Self {
        let mut sender = Sender::default();
        if side == Side::Dialer {
            sender.queue(HELLO, &codec::encode(&me));
        }
        Self {
            side,
            keyring,
            me,
            state: State::AwaitHello,
            sender,
            due: 0,
            verify_with: None,
            protocol: None,
            events: VecDeque::new(),
        }
    }

    pub(crate) fn next_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    pub(crate) fn next_output(&mut self) -> Option<Vec<u8>> {
        self.sender.output.pop_front()
    }

    pub(crate) const fn protocol(&self) -> Option<u16> {
        self.protocol
    }

    /// Why the conversation is over, if it is.
    pub(crate) const fn ended(&self) -> Option<&SessionFault> {
        match &self.state {
            State::Ended(fault) => Some(fault),
            State::AwaitHello | State::AwaitProof(_) | State::Established => None,
        }
    }

    /// A frame for the other side, behind all that was not fetched yet; nothing once the
    /// conversation is over.
    ///
    /// # Panics
    /// If the other side has proven nothing yet.
    pub(crate) fn seal(&mut self, kind: u16, body: &[u8]) -> Vec<u8> {
        match self.state {
            State::Established => self.sender.send(kind, body),
            State::Ended(_) => Vec::new(),
            State::AwaitHello | State::AwaitProof(_) => {
                panic!("a frame of kind {kind:#06x} is for a peer that has proven nothing")
            }
        }
    }

    /// Whether the other side has proven nothing yet.
    pub(crate) const fn is_stranger(&self) -> bool {
        matches!(self.state, State::AwaitHello | State::AwaitProof(_))
    }

    /// Takes the next frame of the other side.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Result<(), SessionFault> {
        frame.verify(self.verify_with.as_ref())?;
        if frame.counter() != self.due {
            return Err(SessionFault::Frame(FrameFault::CounterGap {
                expected: self.due,
                found: frame.counter(),
            }));
        }
        self.due = self.due.saturating_add(1);
        let kind = frame.kind();
        if kind == GOODBYE {
            let goodbye: Goodbye = codec::decode("Goodbye", frame.body())?;
            return Err(SessionFault::RefusedByPeer {
                code: GoodbyeCode::from_number(goodbye.code),
                text: printable(&goodbye.text, PEER_TEXT_CHARS),
            });
        }
        let due = match &self.state {
            State::AwaitHello if kind == HELLO => return self.hello(frame.body()),
            State::AwaitProof(awaited) if kind == PROOF => {
                let theirs: Proof = codec::decode("Proof", frame.body())?;
                let peer = awaited.peer.clone();
                if !awaited.proof.is(&theirs) {
                    let Introduction { role, alias, .. } = peer;
                    let peer = Claim { role, alias };
                    return Err(SessionFault::SecretsDiffer { peer });
                }
                self.verify_with = Some(awaited.verify_with.clone());
                self.establish(peer);
                return Ok(());
            }
            State::Established if kind >= KIND_FREE => {
                let body = frame.body().to_vec();
                self.events.push_back(SessionEvent::Frame { kind, body });
                return Ok(());
            }
            State::AwaitHello => "a Hello",
            State::AwaitProof(_) => "a Proof",
            State::Established => "a message",
            State::Ended(fault) => return Err(fault.clone()),
        };
        Err(SessionFault::UnexpectedKind { kind, due })
    }

    fn hello(&mut self, body: &[u8]) -> Result<(), SessionFault> {
        let theirs: Hello = codec::decode("Hello", body)?;
        let own_body = codec::encode(&self.me);
        if self.side == Side::Acceptor {
            // Sent before anything is judged, so that the dialer can judge for itself.
            self.sender.queue(HELLO, &own_body);
        }
        let protocol = self.judge(&theirs)?;
        let transcript = match self.side {
            Side::Dialer => Transcript::new(&own_body, body),
            Side::Acceptor => Transcript::new(body, &own_body),
        };
        let (dialer_nonce, acceptor_nonce) = match self.side {
            Side::Dialer => (self.me.nonce, theirs.nonce),
            Side::Acceptor => (theirs.nonce, self.me.nonce),
        };
        let schedule = KeySchedule {
            keyring: &self.keyring,
            transcript,
            dialer_nonce,
            acceptor_nonce,
        };
        let (here, there) = (self.side, self.side.other());
        let own_proof = schedule.proof(here, self.me.role);
        let seal_with = schedule.tag_key(here, self.me.role);
        let proof = schedule.proof(there, theirs.role);
        let verify_with = schedule.tag_key(there, theirs.role);
        let peer = Introduction {
            role: theirs.role,
            cluster: theirs.cluster,
            alias: theirs.alias,
            incarnation: theirs.incarnation,
            build: printable(&theirs.build, PEER_BUILD_CHARS),
        };
        self.protocol = Some(protocol);
        if let Some(own_proof) = own_proof {
            self.sender.queue(PROOF, &codec::encode(&own_proof));
        }
        // What follows the own Proof, a Goodbye included, is tagged.
        self.sender.seal_with = seal_with;
        if let (Some(proof), Some(verify_with)) = (proof, verify_with) {
            self.state = State::AwaitProof(Box::new(Awaited {
                peer,
                proof,
                verify_with,
            }));
        } else {
            self.establish(peer);
        }
        Ok(())
    }

    /// Whether a session with the other side can be: returns the version to speak.
    fn judge(&self, theirs: &Hello) -> Result<u16, SessionFault> {
        // The second half is the selfie attack on shared keys (Drucker and Gueron, "Selfie:
        // reflections on TLS 1.3 with PSK", 2019): a dialer that is led to its own port would
        // prove itself to itself.
        let is_self = theirs.role == self.me.role
            && theirs.alias == self.me.alias
            && theirs.incarnation == self.me.incarnation;
        if theirs.nonce == self.me.nonce || is_self {
            return Err(SessionFault::Reflected);
        }
        let peer = || Claim {
            role: theirs.role,
            alias: theirs.alias.clone(),
        };
        let (ours, range) = (self.me.protocols(), theirs.protocols());
        let protocol = ours
            .newest_common(range)
            .ok_or_else(|| SessionFault::VersionsDisjoint {
                ours,
                theirs: range,
                peer: peer(),
            })?;
        match (self.me.key_id, theirs.key_id) {
            (ours, theirs) if ours == theirs => {}
            (NO_SECRET, _) => return Err(SessionFault::SecretMissingHere { peer: peer() }),
            (_, NO_SECRET) => return Err(SessionFault::SecretMissingThere { peer: peer() }),
            (ours, theirs) => {
                return Err(SessionFault::KeysDiffer {
                    ours,
                    theirs,
                    peer: peer(),
                });
            }
        }
        match (self.me.cluster, theirs.cluster) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(SessionFault::OtherCluster {
                ours,
                theirs,
                peer: peer(),
            }),
            _ => Ok(protocol),
        }
    }

    fn establish(&mut self, peer: Introduction) {
        self.state = State::Established;
        self.events.push_back(SessionEvent::Established { peer });
    }

    /// Ends the conversation, and has the other side told why.
    pub(crate) fn end(&mut self, fault: &SessionFault) {
        if let Some(code) = fault.goodbye(self.side) {
            let goodbye = Goodbye::new(code, &fault.to_string());
            self.sender.queue(GOODBYE, &codec::encode(&goodbye));
        }
        self.state = State::Ended(fault.clone());
    }
}

impl Sender {
    fn frame(&mut self, kind: u16, body: &[u8]) -> Vec<u8> {
        let bytes = frame::write(kind, self.next, body, self.seal_with.as_ref());
        self.next = self.next.saturating_add(1);
        bytes
    }

    /// Makes a frame that [`Session::poll_output`] returns.
    fn queue(&mut self, kind: u16, body: &[u8]) {
        let bytes = self.frame(kind, body);
        self.output.push_back(bytes);
    }

    /// Makes a frame and returns it behind all that was queued and not fetched: the counters have
    /// to arrive in order.
    fn send(&mut self, kind: u16, body: &[u8]) -> Vec<u8> {
        let bytes = self.frame(kind, body);
        if self.output.is_empty() {
            return bytes;
        }
        self.output.push_back(bytes);
        core::mem::take(&mut self.output).make_contiguous().concat()
    }
}

impl fmt::Debug for State {
    /// Without the proof that is due: whoever reads a log could send it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwaitHello => f.write_str("AwaitHello"),
            Self::AwaitProof(awaited) => f
                .debug_struct("AwaitProof")
                .field("peer", &awaited.peer)
                .finish_non_exhaustive(),
            Self::Established => f.write_str("Established"),
            Self::Ended(fault) => f.debug_tuple("Ended").field(fault).finish(),
        }
    }
}
