//! Bodies for fuzzers: each takes any bytes and panics if the wire layer breaks a promise.
//!
//! The numbers in the messages are those of the invariants in the [module documentation](super).

use crate::ids::{Alias, Incarnation, NodeId, Role};
use crate::secret::ClusterSecret;
use crate::wire::codec;
use crate::wire::datagram::{self, Direction};
use crate::wire::frame::{self, FrameDecoder, FrameFault};
use crate::wire::handshake::KIND_FREE;
use crate::wire::keys::{Keyring, NO_SECRET};
use crate::wire::session::{Introduction, Session, SessionEvent, SessionFault};

/// Bodies above this are refused, so that a fuzzer meets the limit.
const BODY_MAX: usize = 256;

/// Any bytes as a connection: all cuts give the same frames and the same fault, and what was read
/// is what would have been written.
///
/// # Panics
/// If invariant 1 or 2 is broken.
pub fn fuzz_frames(data: &[u8]) {
    let (&first, stream) = data.split_first().unwrap_or((&0, &[]));
    let whole = decode_in_pieces(stream, stream.len().max(1));
    let pieces = decode_in_pieces(stream, usize::from(first).max(1));
    assert_eq!(
        whole, pieces,
        "invariant 2: the cuts of a stream must not matter"
    );
    let mut rest = stream;
    for (kind, counter, body, tagged) in whole.0 {
        if !tagged {
            let again = frame::write(kind, counter, &body, None);
            assert!(
                rest.starts_with(&again),
                "a frame reads back as what was not written"
            );
        }
        let overhead = if tagged {
            frame::OVERHEAD_TAGGED
        } else {
            frame::OVERHEAD
        };
        rest = rest
            .get(body.len().saturating_add(overhead)..)
            .unwrap_or_default();
    }
}

/// A frame as it was read: kind, counter, body, and whether there is a tag.
type Read = (u16, u64, Vec<u8>, bool);

fn decode_in_pieces(stream: &[u8], len: usize) -> (Vec<Read>, Option<FrameFault>) {
    let mut decoder = FrameDecoder::new(BODY_MAX);
    let mut frames = Vec::new();
    for piece in stream.chunks(len) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push((
                    frame.kind(),
                    frame.counter(),
                    frame.body().to_vec(),
                    frame.is_tagged(),
                )),
                Ok(None) => break,
                // How much of a bad magic is there to be quoted depends on the cut; what is wrong
                // does not.
                Err(FrameFault::BadMagic { .. }) => {
                    return (frames, Some(FrameFault::BadMagic { found: Vec::new() }));
                }
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}

/// A conversation in which the bytes are cut, changed, dropped and repeated on the way as `data`
/// says, then any bytes as a peer.
///
/// # Panics
/// If invariant 1, 3 or 4 is broken.
pub fn fuzz_session(data: &[u8]) {
    let _ = delivered(data);
    let mode = data.first().copied().unwrap_or(0);
    let (dialers, acceptors) = keyrings(mode);
    for mut session in [
        Session::dial(&dialers, introduction(Role::DataNode), [1; 32]),
        Session::accept(&acceptors, introduction(Role::Controller), [2; 32]),
    ] {
        for piece in data.chunks(usize::from(mode).max(1)) {
            if session.receive(piece).is_err() {
                break;
            }
        }
        while session.poll_output().is_some() {}
    }
    one_frame_at_a_time(data);
}

/// A connection read a frame at a time gives the same events and the same fault as one read at once.
fn one_frame_at_a_time(data: &[u8]) {
    let (dialers, acceptors) = keyrings(data.first().copied().unwrap_or(0));
    let sessions = || {
        [
            Session::dial(&dialers, introduction(Role::DataNode), [1; 32]),
            Session::accept(&acceptors, introduction(Role::Controller), [2; 32]),
        ]
    };
    for (mut whole, mut single) in sessions().into_iter().zip(sessions()) {
        let at_once = whole.receive(data);
        let mut rest = data;
        let in_turn = loop {
            match single.receive_one(rest) {
                Ok(taken) if taken < rest.len() => rest = rest.get(taken..).unwrap_or_default(),
                Ok(_) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        assert_eq!(at_once, in_turn, "invariant 2: the cuts must not matter");
        loop {
            let (one, other) = (whole.poll_event(), single.poll_event());
            assert_eq!(one, other, "invariant 2: the cuts must not matter");
            if one.is_none() {
                break;
            }
        }
    }
}

/// Who has a secret: bit 0 takes it from the dialer, bit 1 from the acceptor.
fn keyrings(mode: u8) -> (Keyring, Keyring) {
    let secret = ClusterSecret::new(core::array::from_fn(|i| u8::try_from(i).unwrap_or(0)));
    let keyring = |bit: u8| Keyring::new(secret.as_ref().filter(|_| mode & bit == 0));
    (keyring(1), keyring(2))
}

/// The first half of [`fuzz_session`]. Returns how many messages reached the dialer and the
/// acceptor.
pub(crate) fn delivered(data: &[u8]) -> (usize, usize) {
    let (&mode, script) = data.split_first().unwrap_or((&0, &[]));
    let (dialers, acceptors) = keyrings(mode);
    let mut dialer = End::new(Session::dial(
        &dialers,
        introduction(Role::DataNode),
        [1; 32],
    ));
    let mut acceptor = End::new(Session::accept(
        &acceptors,
        introduction(Role::Controller),
        [2; 32],
    ));
    let mut script = script.chunks_exact(3);
    for _ in 0_u8..24 {
        dialer.pass(&mut acceptor, &mut script);
        acceptor.pass(&mut dialer, &mut script);
    }
    if dialers.key_id() != acceptors.key_id() {
        let established = dialer.established || acceptor.established;
        assert!(!established, "invariant 4: a secret on one side only");
    } else if dialers.key_id() != NO_SECRET {
        for (to, from) in [(&dialer, &acceptor), (&acceptor, &dialer)] {
            assert!(
                from.sent.starts_with(&to.got),
                "invariant 3: what was delivered is no prefix of what was sent"
            );
        }
    }
    (dialer.got.len(), acceptor.got.len())
}

fn introduction(role: Role) -> Introduction {
    Introduction {
        role,
        cluster: None,
        alias: Alias::new("P1-NODE1").expect("a name of the manual is an alias"),
        incarnation: Incarnation::new([7; 16]),
        build: "0.1.0".to_owned(),
    }
}

/// One side of a conversation under disturbance.
struct End {
    session: Session,
    established: bool,
    fault: Option<SessionFault>,
    sent: Vec<Vec<u8>>,
    got: Vec<Vec<u8>>,
}

impl End {
    const fn new(session: Session) -> Self {
        Self {
            session,
            established: false,
            fault: None,
            sent: Vec::new(),
            got: Vec::new(),
        }
    }

    /// Sends what there is to send, disturbed by the next steps of the script.
    fn pass(&mut self, to: &mut Self, script: &mut core::slice::ChunksExact<'_, u8>) {
        let mut bytes = Vec::new();
        while let Some(output) = self.session.poll_output() {
            bytes.extend(output);
        }
        if self.established && self.fault.is_none() && self.sent.len() < 8 {
            let body = vec![b'm'; self.sent.len()];
            bytes.extend(self.session.seal(KIND_FREE, &body));
            self.sent.push(body);
        }
        if bytes.is_empty() {
            return;
        }
        if let Some(&[what, at, with]) = script.next() {
            disturb(&mut bytes, what, usize::from(at), with);
        }
        let cut = bytes.len() / 3;
        let (front, back) = bytes.split_at_checked(cut).unwrap_or((&bytes, &[]));
        for piece in [front, back] {
            to.receive(piece);
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.session.receive(bytes) {
            if let Some(before) = &self.fault {
                assert_eq!(before, &fault, "a session ends once");
            }
            self.fault = Some(fault);
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Established { .. } => {
                    assert!(!self.established, "a session is established once");
                    self.established = true;
                }
                SessionEvent::Frame { body, .. } => {
                    assert!(self.established, "a frame of a stranger was delivered");
                    self.got.push(body);
                }
            }
        }
    }
}

/// What a hostile or broken network does to bytes on their way.
fn disturb(bytes: &mut Vec<u8>, what: u8, at: usize, with: u8) {
    let at = at.checked_rem(bytes.len()).unwrap_or(0);
    match what % 8 {
        0 => bytes.truncate(at),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= with;
            }
        }
        2 => bytes.insert(at, with),
        3 => bytes.extend_from_within(at..),
        4 => bytes.clear(),
        _ => {}
    }
}

/// Any bytes as a datagram: what verifies was sealed, and seals to the same bytes again.
///
/// # Panics
/// If invariant 1 or 3 is broken.
pub fn fuzz_datagram(data: &[u8]) {
    let secret = ClusterSecret::new(core::array::from_fn(|i| u8::try_from(i).unwrap_or(0)));
    let node = NodeId::new([9; 16]);
    for keyring in [Keyring::new(secret.as_ref()), Keyring::new(None)] {
        let key = keyring.datagram_key(Direction::ToController, node);
        if let Ok(unverified) = datagram::parse(data)
            && let Ok(verified) = unverified.verify(&key)
        {
            let again = datagram::seal(&key, verified.kind, verified.seq, verified.body);
            assert_eq!(again, data, "a datagram verifies that was not sealed so");
        }
    }
    // Bodies are decoded before they are believed.
    let _ = codec::decode::<Vec<(u64, String, Option<Alias>)>>("fuzz", data);
}
