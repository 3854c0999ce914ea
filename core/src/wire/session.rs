//! Sessions: one connection between two processes, each of which has proven that it belongs.
//!
//! ```text
//!   dialer                                   acceptor
//!     │ Hello ─────────────────────────────────▶ │
//!     │ ◀──────────────────────────────── Hello  │
//!     │ ◀──────────────────────────────── Proof  │  with a secret only
//!     │ Proof ─────────────────────────────────▶ │
//!     │                                          │
//!     │ ◀═════════ frames, each tagged ════════▶ │
//!     │                                          │
//!     │ ◀──────── Goodbye, from either ────────▶ │  if something is refused
//! ```
//!
//! The dialer speaks first, so that a connection that is only a knock costs the acceptor nothing.
//! Each side's Hello carries 32 fresh random bytes; each side's Proof is a MAC over both Hellos,
//! its own role and its side. A recorded Proof fits no other pair of nonces; one sent back to its
//! sender has the wrong side; a Hello that was changed on the way, the range of versions included,
//! fails both Proofs.
//!
//! Behind its Proof, everything that a side sends is tagged with a key of this session and this
//! direction, and counted from 0 without a gap. Without a secret on either side there are no
//! Proofs and no tags; the frames are counted and summed all the same. A secret on one side only
//! is refused by both, and so are two clusters, and a process that was led to its own port.
//!
//! A session does no I/O and knows no time: what has not proven itself in time is the caller's to
//! close, and so is the connection once [`Session::receive`] has returned a fault and
//! [`Session::poll_output`] is drained.
//!
//! Nothing here is secret: who sees the connection can read it, and secrecy is what TLS below the
//! session is for.

use thiserror::Error;

use crate::limits::Limits;
use crate::wire::conversation::Conversation;
pub use crate::wire::fault::{Claim, SessionFault};
use crate::wire::frame::FrameDecoder;
pub use crate::wire::handshake::{GoodbyeCode, Introduction, ProtocolRange, Side};
use crate::wire::handshake::{Hello, KIND_FREE};
use crate::wire::keys::Keyring;

/// What two sessions may differ in. Production uses the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The versions of the protocol to offer.
    pub protocols: ProtocolRange,
    /// Most bytes the other side may send before it has proven itself.
    pub handshake_bytes_max: usize,
    /// Longest frame body after that, in bytes.
    pub frame_body_max: usize,
}

impl From<&Limits> for SessionOptions {
    fn from(limits: &Limits) -> Self {
        Self {
            protocols: ProtocolRange::CURRENT,
            handshake_bytes_max: limits.handshake_bytes_max,
            frame_body_max: limits.frame_body_max,
        }
    }
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The other side has proven itself, or, without a secret, has introduced itself. From now on
    /// frames may be sent.
    Established {
        /// Who it is.
        peer: Introduction,
    },
    /// A frame arrived.
    Frame {
        /// What the body is; 0x0010 at least.
        kind: u16,
        /// The body.
        body: Vec<u8>,
    },
}

/// A message that no frame can carry. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a message of kind {kind:#06x} has {len} bytes, and a frame carries {max}: it has to be sent in \
     parts, or made shorter"
)]
pub struct BodyTooLong {
    /// What the message is.
    pub kind: u16,
    /// Its length in bytes.
    pub len: usize,
    /// The longest that a frame carries.
    pub max: usize,
}

/// One side of one connection.
///
/// ```
/// use vaquita_core::wire::session::{Session, SessionEvent, SessionFault};
///
/// # fn work(session: &mut Session, received: &[u8], send: fn(&[u8])) -> Result<(), SessionFault> {
/// let outcome = session.receive(received);
/// while let Some(event) = session.poll_event() {
///     match event {
///         SessionEvent::Established { peer } => println!("this is {}", peer.alias),
///         SessionEvent::Frame { kind, body } => println!("kind {kind}, {} bytes", body.len()),
///     }
/// }
/// while let Some(bytes) = session.poll_output() {
///     send(&bytes);
/// }
/// outcome // on a fault: close the connection, after what was to be sent
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    decoder: FrameDecoder,
    options: SessionOptions,
    /// Bytes of the handshake frames that were taken so far.
    handshake_bytes: usize,
    talk: Conversation,
}

impl Session {
    /// The side that opened the connection. Its Hello is ready at once.
    ///
    /// `nonce` is 32 random bytes that were never used before.
    #[must_use]
    pub fn dial(keyring: &Keyring, me: Introduction, nonce: [u8; 32]) -> Self {
        Self::dial_with(keyring, me, nonce, SessionOptions::default())
    }

    /// [`Session::dial`] with other limits or versions.
    #[must_use]
    pub fn dial_with(
        keyring: &Keyring,
        me: Introduction,
        nonce: [u8; 32],
        options: SessionOptions,
    ) -> Self {
        Self::new(Side::Dialer, keyring, me, nonce, options)
    }

    /// The side that took the connection. It waits for the other's Hello.
    ///
    /// `nonce` is 32 random bytes that were never used before.
    #[must_use]
    pub fn accept(keyring: &Keyring, me: Introduction, nonce: [u8; 32]) -> Self {
        Self::accept_with(keyring, me, nonce, SessionOptions::default())
    }

    /// [`Session::accept`] with other limits or versions.
    #[must_use]
    pub fn accept_with(
        keyring: &Keyring,
        me: Introduction,
        nonce: [u8; 32],
        options: SessionOptions,
    ) -> Self {
        Self::new(Side::Acceptor, keyring, me, nonce, options)
    }

    fn new(
        side: Side,
        keyring: &Keyring,
        me: Introduction,
        nonce: [u8; 32],
        options: SessionOptions,
    ) -> Self {
        let me = Hello::new(me, options.protocols, keyring.key_id(), nonce);
        Self {
            decoder: FrameDecoder::new(options.handshake_bytes_max),
            options,
            handshake_bytes: 0,
            talk: Conversation::new(side, keyring.clone(), me),
        }
    }

    /// Takes the next bytes of the connection, cut anywhere.
    ///
    /// Afterwards [`Session::poll_event`] and [`Session::poll_output`] are to be drained, after a
    /// fault as well: what came before it counts, and the other side is to hear why.
    ///
    /// # Errors
    /// If the other side is refused or refuses. Every later call returns the same fault.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionFault> {
        if let Some(fault) = self.talk.ended() {
            return Err(fault.clone());
        }
        self.decoder.push(bytes);
        self.take_frames().inspect_err(|fault| self.talk.end(fault))
    }

    /// [`Session::receive`] for a connection on which other bytes may follow a frame: takes the
    /// next bytes up to the end of the first whole frame, and returns how many it has taken. The
    /// rest is the caller's to keep, for the next call or for whoever it is for.
    ///
    /// All are taken if no frame ends within them.
    ///
    /// # Errors
    /// As of [`Session::receive`].
    pub fn receive_one(&mut self, bytes: &[u8]) -> Result<usize, SessionFault> {
        if let Some(fault) = self.talk.ended() {
            return Err(fault.clone());
        }
        self.decoder.push(bytes);
        match self.take_frame() {
            Ok(true) => {
                // Before this call there was no whole frame, so that what is behind one is of
                // `bytes`.
                let behind = self.decoder.forget_buffered();
                Ok(bytes.len().saturating_sub(behind))
            }
            Ok(false) => self
                .check_pending()
                .inspect_err(|fault| self.talk.end(fault))
                .map(|()| bytes.len()),
            Err(fault) => {
                self.talk.end(&fault);
                Err(fault)
            }
        }
    }

    fn take_frames(&mut self) -> Result<(), SessionFault> {
        while self.take_frame()? {}
        self.check_pending()
    }

    /// Takes the next frame, if it is all there.
    fn take_frame(&mut self) -> Result<bool, SessionFault> {
        let max = self.options.handshake_bytes_max;
        let Some(frame) = self.decoder.next_frame()? else {
            return Ok(false);
        };
        if self.talk.is_stranger() {
            self.handshake_bytes = self.handshake_bytes.saturating_add(frame.wire_len());
            if self.handshake_bytes > max {
                return Err(SessionFault::HandshakeTooLong { max });
            }
        }
        self.talk.frame(&frame)?;
        if !self.talk.is_stranger() {
            self.decoder.set_body_max(self.options.frame_body_max);
        }
        Ok(true)
    }

    /// Holds a stranger to what it may send, the beginning of a frame included.
    fn check_pending(&self) -> Result<(), SessionFault> {
        let max = self.options.handshake_bytes_max;
        let pending = self.handshake_bytes.saturating_add(self.decoder.buffered());
        if self.talk.is_stranger() && pending > max {
            return Err(SessionFault::HandshakeTooLong { max });
        }
        Ok(())
    }

    /// What happened, oldest first. Call until it returns `None` after each [`Session::receive`].
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.talk.next_event()
    }

    /// The next bytes to send. Call until it returns `None` when the connection stands and after
    /// each [`Session::receive`].
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.talk.next_output()
    }

    /// The bytes that carry a frame to the other side, to be sent in the order in which they were
    /// sealed.
    ///
    /// What [`Session::poll_output`] would still return comes first in them. On a session that has
    /// ended nothing goes out any more, and the result is empty.
    ///
    /// # Panics
    /// If the session was never [established](SessionEvent::Established), if `kind` is below
    /// 0x0010, or if the body is too long: the caller's bugs. Where the length of a body is not in
    /// the caller's hands, [`Session::try_seal`] is the one to call.
    #[must_use]
    pub fn seal(&mut self, kind: u16, body: &[u8]) -> Vec<u8> {
        self.try_seal(kind, body)
            .unwrap_or_else(|too_long| panic!("{too_long}"))
    }

    /// [`Session::seal`] for a body that may turn out too long.
    ///
    /// # Errors
    /// If the body is longer than [`Session::body_max`]. The session is as before.
    ///
    /// # Panics
    /// If the session was never [established](SessionEvent::Established), or if `kind` is below
    /// 0x0010.
    pub fn try_seal(&mut self, kind: u16, body: &[u8]) -> Result<Vec<u8>, BodyTooLong> {
        assert!(
            kind >= KIND_FREE,
            "kind {kind:#06x} is the session's own; an application's begin at {KIND_FREE:#06x}"
        );
        let (len, max) = (body.len(), self.body_max());
        if len > max {
            return Err(BodyTooLong { kind, len, max });
        }
        Ok(self.talk.seal(kind, body))
    }

    /// Longest body that may be sealed, in bytes.
    #[must_use]
    pub const fn body_max(&self) -> usize {
        self.options.frame_body_max
    }

    /// The version of the protocol that both sides settled on; `None` until they have.
    #[must_use]
    pub const fn protocol(&self) -> Option<u16> {
        self.talk.protocol()
    }
}
