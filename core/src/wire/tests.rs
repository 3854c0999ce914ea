#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;

use super::datagram::{self, Direction, ReplayWindow, Verdict};
use super::frame::{self, FrameFault};
use super::keys::Keyring;
use super::session::{Introduction, Session, SessionEvent, SessionFault};
use crate::ids::{Alias, ClusterId, Incarnation, NodeId, Role};
use crate::secret::ClusterSecret;

fn secret(n: u8) -> ClusterSecret {
    let mut bytes = [n; 32];
    bytes[0] = !n;
    ClusterSecret::new(bytes).unwrap()
}

fn keyring(n: u8) -> Keyring {
    Keyring::new(Some(&secret(n)))
}

fn who(role: Role, alias: &str) -> Introduction {
    Introduction {
        role,
        cluster: Some(ClusterId::new([1; 16])),
        alias: Alias::new(alias).unwrap(),
        incarnation: Incarnation::new([2; 16]),
        build: "0.1.0".to_owned(),
    }
}

fn pair(dialer: &Keyring, acceptor: &Keyring) -> (Session, Session) {
    (
        Session::dial(dialer, who(Role::Agent, "P1-agent"), [3; 32]),
        Session::accept(acceptor, who(Role::Controller, "master"), [4; 32]),
    )
}

/// Carries bytes to and fro, `cut` at a time, until nobody has any.
fn shake(
    a: &mut Session,
    b: &mut Session,
    cut: usize,
) -> (Option<SessionFault>, Option<SessionFault>) {
    let (mut fault_a, mut fault_b) = (None, None);
    loop {
        let from_a: Vec<u8> = core::iter::from_fn(|| a.poll_output()).flatten().collect();
        let from_b: Vec<u8> = core::iter::from_fn(|| b.poll_output()).flatten().collect();
        if from_a.is_empty() && from_b.is_empty() {
            return (fault_a, fault_b);
        }
        for piece in from_a.chunks(cut) {
            fault_b = fault_b.or(b.receive(piece).err());
        }
        for piece in from_b.chunks(cut) {
            fault_a = fault_a.or(a.receive(piece).err());
        }
    }
}

fn established(session: &mut Session) -> Option<String> {
    match session.poll_event()? {
        SessionEvent::Established { peer } => Some(peer.alias.to_string()),
        SessionEvent::Frame { .. } => None,
    }
}

fn ready(n: u8) -> (Session, Session) {
    let (mut a, mut b) = pair(&keyring(n), &keyring(n));
    assert_eq!(shake(&mut a, &mut b, 4096), (None, None));
    established(&mut a).unwrap();
    established(&mut b).unwrap();
    (a, b)
}

#[test]
fn both_sides_learn_who_the_other_is_however_the_bytes_are_cut() {
    for cut in [1, 2, 7, 24, 4096] {
        let (mut a, mut b) = pair(&keyring(9), &keyring(9));
        assert_eq!(shake(&mut a, &mut b, cut), (None, None), "cut at {cut}");
        assert_eq!(established(&mut a).as_deref(), Some("master"));
        assert_eq!(established(&mut b).as_deref(), Some("P1-agent"));
    }
}

#[test]
fn without_a_secret_on_both_sides_there_is_no_proof_and_it_works() {
    let none = Keyring::new(None);
    let (mut a, mut b) = pair(&none, &none);
    assert_eq!(shake(&mut a, &mut b, 10), (None, None));
    assert!(a.is_established() && b.is_established());
}

#[test]
fn a_secret_on_one_side_is_named_on_both_with_the_cure() {
    let none = Keyring::new(None);
    let (mut a, mut b) = pair(&none, &keyring(1));
    let (fault_a, fault_b) = shake(&mut a, &mut b, 4096);
    assert!(
        matches!(fault_b, Some(SessionFault::PeerLacksSecret { .. })),
        "{fault_b:?}"
    );
    let told = fault_a.unwrap().to_string();
    assert!(
        told.contains("this process has none") && told.contains("cluster.secret"),
        "{told}"
    );
    assert!(told.contains("controller master"), "{told}");

    let (mut a, mut b) = pair(&keyring(1), &none);
    let (fault_a, fault_b) = shake(&mut a, &mut b, 4096);
    assert!(
        matches!(fault_b, Some(SessionFault::SecretMissingHere { .. })),
        "{fault_b:?}"
    );
    let told = fault_a.unwrap().to_string();
    assert!(
        told.contains("controller master has no cluster secret"),
        "{told}"
    );
}

#[test]
fn two_secrets_do_not_meet() {
    let (mut a, mut b) = pair(&keyring(1), &keyring(2));
    let (fault_a, fault_b) = shake(&mut a, &mut b, 4096);
    assert!(
        matches!(fault_b, Some(SessionFault::WrongSecret { .. })),
        "{fault_b:?}"
    );
    assert!(fault_a.is_some());
    assert!(!a.is_established() && !b.is_established());
}

#[test]
fn another_cluster_is_refused() {
    let mut stranger = who(Role::Agent, "P1-agent");
    stranger.cluster = Some(ClusterId::new([8; 16]));
    let mut a = Session::dial(&keyring(1), stranger, [3; 32]);
    let mut b = Session::accept(&keyring(1), who(Role::Controller, "master"), [4; 32]);
    let (_, fault_b) = shake(&mut a, &mut b, 4096);
    assert!(
        matches!(fault_b, Some(SessionFault::OtherCluster { .. })),
        "{fault_b:?}"
    );
}

#[test]
fn messages_arrive_in_order_and_once() {
    let (mut a, mut b) = ready(1);
    let first = a.seal(0x10, b"one");
    let second = a.seal(0x11, b"two");
    b.receive(&[first.clone(), second].concat()).unwrap();
    assert_eq!(
        b.poll_event(),
        Some(SessionEvent::Frame {
            kind: 0x10,
            body: b"one".to_vec()
        })
    );
    assert_eq!(
        b.poll_event(),
        Some(SessionEvent::Frame {
            kind: 0x11,
            body: b"two".to_vec()
        })
    );
    let again = b.receive(&first);
    assert_eq!(
        again,
        Err(SessionFault::Frame(FrameFault::CounterGap {
            expected: 2,
            got: 0
        })),
        "a frame that is repeated ends the connection"
    );
}

#[test]
fn a_frame_left_out_ends_the_connection() {
    let (mut a, mut b) = ready(1);
    let _lost = a.seal(0x10, b"one");
    let second = a.seal(0x10, b"two");
    let fault = b.receive(&second);
    assert_eq!(
        fault,
        Err(SessionFault::Frame(FrameFault::CounterGap {
            expected: 0,
            got: 1
        }))
    );
}

#[test]
fn a_frame_thrown_back_or_from_another_connection_proves_nothing() {
    let (mut a, mut b) = ready(1);
    let mine = a.seal(0x10, b"one");
    assert_eq!(
        a.receive(&mine),
        Err(SessionFault::Frame(FrameFault::BadTag))
    );

    let mut dialer = Session::dial(&keyring(1), who(Role::Agent, "P1-agent"), [30; 32]);
    let mut acceptor = Session::accept(&keyring(1), who(Role::Controller, "master"), [40; 32]);
    shake(&mut dialer, &mut acceptor, 4096);
    let elsewhere = dialer.seal(0x10, b"one");
    assert_eq!(
        b.receive(&elsewhere),
        Err(SessionFault::Frame(FrameFault::BadTag))
    );
}

#[test]
fn a_flood_before_the_proof_is_cut_off() {
    let (_, mut b) = pair(&keyring(1), &keyring(1));
    let long = frame::seal(1, 0, &[0; 2000], None);
    let fault = b.receive(&long);
    assert!(
        matches!(fault, Err(SessionFault::Frame(FrameFault::TooLong { .. }))),
        "{fault:?}"
    );
}

#[test]
fn a_message_before_the_proof_is_refused() {
    let (_, mut b) = pair(&keyring(1), &keyring(1));
    let early = frame::seal(0x10, 0, b"start everything", None);
    assert!(matches!(
        b.receive(&early),
        Err(SessionFault::OutOfPlace { kind: 0x10, .. })
    ));
    assert_eq!(b.poll_event(), None);
}

#[test]
fn a_parting_word_cannot_smuggle_control_characters_into_a_log() {
    let (mut a, mut b) = pair(&keyring(1), &Keyring::new(None));
    let _ = (a.poll_output(), b.poll_output());
    let hostile = super::codec::encode(&("\x1b[2J\nfake line".to_owned(),));
    let frame = frame::seal(3, 0, &hostile, None);
    match b.receive(&frame) {
        Err(SessionFault::Goodbye(text)) => assert!(!text.contains(['\x1b', '\n']), "{text:?}"),
        other => assert!(
            matches!(other, Err(SessionFault::Malformed(_))),
            "{other:?}"
        ),
    }
}

#[test]
fn every_flipped_bit_of_a_tagged_frame_is_noticed() {
    let key = keyring(1).derive(&[b"test"]).unwrap();
    let whole = frame::seal(0x15, 7, b"a heartbeat", Some(&key));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = match frame::read(&bytes, 1000) {
            Ok(Some((view, len))) => len == bytes.len() && view.verify(&key).is_ok(),
            Ok(None) | Err(_) => false,
        };
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn a_datagram_proves_its_node_and_its_direction() {
    let keyring = keyring(1);
    let node = NodeId::new([5; 16]);
    let beat = keyring.datagram_key(Direction::ToController, node);
    let bytes = datagram::seal(&beat, 0x15, 42, b"beat");
    let view = datagram::parse(&bytes).unwrap().verify(&beat).unwrap();
    assert_eq!(
        (view.kind, view.counter, view.body),
        (0x15, 42, b"beat".as_slice())
    );
    for other in [
        keyring.datagram_key(Direction::ToNode, node),
        keyring.datagram_key(Direction::ToController, NodeId::new([6; 16])),
        super::tests::keyring(2).datagram_key(Direction::ToController, node),
    ] {
        let refused = datagram::parse(&bytes).unwrap().verify(&other);
        assert_eq!(refused, Err(FrameFault::BadTag));
    }
    let keyless = Keyring::new(None).datagram_key(Direction::ToController, node);
    let untagged = datagram::seal(&keyless, 0x15, 42, b"beat");
    assert_eq!(
        datagram::parse(&untagged).unwrap().verify(&beat),
        Err(FrameFault::Untagged)
    );
}

#[test]
fn nothing_secret_is_printed() {
    let (a, _) = ready(0x5a);
    let shown = format!("{a:?} {:?} {:?}", keyring(0x5a), secret(0x5a));
    assert!(
        !shown.contains("90, 90, 90") && !shown.contains("5a5a"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn a_frame_reads_back_as_it_was_sealed(
        kind: u16, counter: u64, body in prop::collection::vec(any::<u8>(), 0..300), tagged: bool,
    ) {
        let key = keyring(1).derive(&[b"test"]).unwrap();
        let bytes = frame::seal(kind, counter, &body, tagged.then_some(&key));
        let (view, len) = frame::read(&bytes, 1000).unwrap().unwrap();
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!((view.kind, view.counter, view.body), (kind, counter, body.as_slice()));
        prop_assert_eq!(view.verify(&key).is_ok(), tagged);
        for cut in 0..bytes.len() {
            prop_assert_eq!(frame::read(&bytes[..cut], 1000), Ok(None));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = frame::read(&bytes, 100);
        let _ = datagram::parse(&bytes);
        let mut with_magic = frame::MAGIC.to_vec();
        with_magic.push(frame::VERSION);
        with_magic.extend_from_slice(&bytes);
        let _ = frame::read(&with_magic, 100);
        let (mut a, mut b) = pair(&keyring(1), &keyring(1));
        let _ = a.receive(&with_magic);
        let _ = b.receive(&bytes);
        let (mut a, _) = ready(1);
        let _ = a.receive(&with_magic);
    }

    #[test]
    fn the_window_agrees_with_a_set(seqs in prop::collection::vec(1u64..400, 0..300)) {
        let mut window = ReplayWindow::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut newest = 0;
        for seq in seqs {
            let expected = if seq > newest {
                Verdict::Fresh
            } else if newest - seq >= 128 {
                Verdict::TooOld
            } else if seen.contains(&seq) {
                Verdict::Duplicate
            } else {
                Verdict::Fresh
            };
            prop_assert_eq!(window.accept(seq), expected);
            seen.insert(seq);
            newest = newest.max(seq);
        }
    }
}
