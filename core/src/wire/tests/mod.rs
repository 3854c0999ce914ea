//! Claims about the wire layer. "Invariant n" is that of the module documentation.

mod codec;
mod datagram;
mod frame;
mod golden;
mod golden_messages;
mod golden_records;
mod handshake;
mod keys;
mod properties;
mod replay;
mod session;
mod text;

use crate::ids::{Alias, ClusterId, Incarnation, Role};
use crate::secret::ClusterSecret;
use crate::wire::keys::Keyring;
use crate::wire::session::{Introduction, Session, SessionEvent, SessionFault, SessionOptions};

/// A secret for tests, by its first byte.
fn secret(first: u8) -> ClusterSecret {
    let mut bytes: [u8; 32] = core::array::from_fn(|i| i as u8);
    bytes[0] = first;
    ClusterSecret::new(bytes).unwrap()
}

fn keyring(first: u8) -> Keyring {
    Keyring::new(Some(&secret(first)))
}

fn no_keyring() -> Keyring {
    Keyring::new(None)
}

fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

/// The controller of the tests.
fn controller() -> Introduction {
    Introduction {
        role: Role::Controller,
        cluster: Some(ClusterId::new([0xc1; 16])),
        alias: alias("ctl8990"),
        incarnation: Incarnation::new([0x11; 16]),
        build: "0.1.0".to_owned(),
    }
}

/// The data node of the tests.
fn data_node() -> Introduction {
    Introduction {
        role: Role::DataNode,
        cluster: None,
        alias: alias("P1-NODE1"),
        incarnation: Incarnation::new([0x22; 16]),
        build: "0.1.0".to_owned(),
    }
}

/// Everything a session wants to send, in one piece.
fn output(session: &mut Session) -> Vec<u8> {
    core::iter::from_fn(|| session.poll_output())
        .flatten()
        .collect()
}

/// Everything a session has to tell.
fn events(session: &mut Session) -> Vec<SessionEvent> {
    core::iter::from_fn(|| session.poll_event()).collect()
}

/// A data node that dials a controller, over a network that changes nothing unless told to.
struct Pair {
    dialer: Session,
    acceptor: Session,
}

impl Pair {
    fn new(dialers: &Keyring, acceptors: &Keyring) -> Self {
        Self::with(
            dialers,
            SessionOptions::default(),
            acceptors,
            SessionOptions::default(),
        )
    }

    fn with(
        dialers: &Keyring,
        dialer: SessionOptions,
        acceptors: &Keyring,
        acceptor: SessionOptions,
    ) -> Self {
        Self {
            dialer: Session::dial_with(dialers, data_node(), [0xd1; 32], dialer),
            acceptor: Session::accept_with(acceptors, controller(), [0xac; 32], acceptor),
        }
    }

    /// Carries bytes to and fro until there are none. Returns what each side's last `receive` said.
    fn settle(&mut self) -> (Result<(), SessionFault>, Result<(), SessionFault>) {
        let mut results = (Ok(()), Ok(()));
        loop {
            let there = output(&mut self.dialer);
            if !there.is_empty() {
                results.1 = self.acceptor.receive(&there);
            }
            let back = output(&mut self.acceptor);
            if !back.is_empty() {
                results.0 = self.dialer.receive(&back);
            }
            if there.is_empty() && back.is_empty() {
                return results;
            }
        }
    }

    /// Two sides that have proven themselves to each other, with all events drained.
    fn established(dialers: &Keyring, acceptors: &Keyring) -> Self {
        let mut pair = Self::new(dialers, acceptors);
        assert_eq!(pair.settle(), (Ok(()), Ok(())));
        let at_dialer = events(&mut pair.dialer);
        let at_acceptor = events(&mut pair.acceptor);
        assert_eq!(
            at_dialer,
            [SessionEvent::Established { peer: controller() }]
        );
        assert_eq!(
            at_acceptor,
            [SessionEvent::Established { peer: data_node() }]
        );
        pair
    }

    /// The faults with which both sides end.
    fn refused(mut self) -> (SessionFault, SessionFault) {
        let (dialer, acceptor) = self.settle();
        let established = |event: &SessionEvent| matches!(event, SessionEvent::Established { .. });
        assert!(!events(&mut self.acceptor).iter().any(established));
        assert!(!events(&mut self.dialer).iter().any(established));
        (dialer.unwrap_err(), acceptor.unwrap_err())
    }
}

/// `bytes` with one bit turned over.
fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// A frame with its checksum made right again: what an attacker without the key can do.
fn with_checksum(mut frame: Vec<u8>, trailer: usize) -> Vec<u8> {
    let end = frame.len() - trailer - 4;
    let checksum = crc32fast::hash(&frame[..end]);
    frame[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
    frame
}
