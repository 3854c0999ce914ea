use crate::wire::codec;
use crate::wire::frame::{FrameFault, write};
use crate::wire::handshake::{GOODBYE, Goodbye, GoodbyeCode, HELLO, KeySchedule, Side, Transcript};
use crate::wire::session::{BodyTooLong, Session, SessionEvent, SessionFault, SessionOptions};

use super::{
    Pair, controller, data_node, events, flip, keyring, no_keyring, output, with_checksum,
};

fn frame(kind: u16, body: &[u8]) -> SessionEvent {
    SessionEvent::Frame {
        kind,
        body: body.to_vec(),
    }
}

#[test]
fn frames_arrive_in_order_in_both_directions() {
    for keyring in [keyring(1), no_keyring()] {
        let mut pair = Pair::established(&keyring, &keyring);
        let there = [pair.dialer.seal(0x10, b"one"), pair.dialer.seal(0x11, b"")].concat();
        let back = pair.acceptor.seal(0xffff, b"two");
        assert_eq!(pair.acceptor.receive(&there), Ok(()));
        assert_eq!(pair.dialer.receive(&back), Ok(()));
        assert_eq!(
            events(&mut pair.acceptor),
            [frame(0x10, b"one"), frame(0x11, b"")]
        );
        assert_eq!(events(&mut pair.dialer), [frame(0xffff, b"two")]);
    }
}

#[test]
fn the_longest_body_passes() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let body = vec![7; pair.dialer.body_max()];
    let bytes = pair.dialer.seal(0x10, &body);
    for piece in bytes.chunks(65_536) {
        pair.acceptor.receive(piece).unwrap();
    }
    assert_eq!(events(&mut pair.acceptor), [frame(0x10, &body)]);
}

#[test]
fn a_frame_sent_back_to_its_sender_is_refused() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let bytes = pair.dialer.seal(0x10, b"order");
    let fault = pair.dialer.receive(&bytes).unwrap_err();
    let bad_tag = FrameFault::BadTag {
        kind: 0x10,
        counter: 2,
    };
    assert_eq!(fault, SessionFault::Frame(bad_tag));
}

#[test]
fn a_frame_of_another_session_is_refused() {
    let keyring = keyring(1);
    let mut one = Pair::established(&keyring, &keyring);
    let recorded = one.dialer.seal(0x10, b"order");
    // The same two processes again: only the nonce of the acceptor differs.
    let mut two = Pair::new(&keyring, &keyring);
    two.acceptor = Session::accept(&keyring, controller(), [0xad; 32]);
    assert_eq!(two.settle(), (Ok(()), Ok(())));
    events(&mut two.acceptor);
    let bad_tag = FrameFault::BadTag {
        kind: 0x10,
        counter: 2,
    };
    assert_eq!(
        two.acceptor.receive(&recorded),
        Err(SessionFault::Frame(bad_tag))
    );
    assert_eq!(events(&mut two.acceptor), []);
}

#[test]
fn a_frame_that_is_repeated_left_out_or_moved_ends_the_session() {
    for keyring in [keyring(1), no_keyring()] {
        let first_counter = if keyring.key_id() == 0 { 1 } else { 2 };
        let gap = |expected: u64, found: u64| {
            Err(SessionFault::Frame(FrameFault::CounterGap {
                expected: first_counter + expected,
                found: first_counter + found,
            }))
        };
        let sealed = || {
            let mut pair = Pair::established(&keyring, &keyring);
            let bytes = [0x10, 0x11, 0x12].map(|kind| pair.dialer.seal(kind, b"x"));
            (pair.acceptor, bytes)
        };
        let (mut acceptor, [first, ..]) = sealed();
        assert_eq!(acceptor.receive(&first), Ok(()));
        assert_eq!(acceptor.receive(&first), gap(1, 0), "repeated");
        assert_eq!(events(&mut acceptor), [frame(0x10, b"x")]);
        let (mut acceptor, [first, _, third]) = sealed();
        assert_eq!(
            acceptor.receive(&[first, third].concat()),
            gap(1, 2),
            "left out"
        );
        let (mut acceptor, [_, second, _]) = sealed();
        assert_eq!(acceptor.receive(&second), gap(0, 1), "moved");
        assert_eq!(events(&mut acceptor), []);
    }
}

#[test]
fn every_flipped_bit_of_a_frame_ends_the_session_and_delivers_nothing() {
    for keyring in [keyring(1), no_keyring()] {
        let sealed = || {
            let mut pair = Pair::established(&keyring, &keyring);
            let bytes = pair.dialer.seal(0x10, b"some body");
            (pair.acceptor, bytes)
        };
        let bits = 8 * sealed().1.len();
        for bit in 0..bits {
            let (mut acceptor, bytes) = sealed();
            let flipped = flip(&bytes, bit);
            // A length that grew makes the receiver wait for bytes that the next frames will fill:
            // give it as many as it asks for, up to the limit.
            let mut result = acceptor.receive(&flipped);
            if result.is_ok() {
                result = acceptor.receive(&vec![0; 1 << 20]);
            }
            assert!(result.is_err(), "bit {bit}");
            assert_eq!(events(&mut acceptor), [], "bit {bit}");
        }
    }
}

#[test]
fn a_frame_forged_with_a_right_checksum_ends_the_session() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let bytes = pair.dialer.seal(0x10, b"trim chunk 1");
    let body = 8 * (20 + 11);
    let forged = with_checksum(flip(&bytes, body), 17);
    let bad_tag = FrameFault::BadTag {
        kind: 0x10,
        counter: 2,
    };
    assert_eq!(
        pair.acceptor.receive(&forged),
        Err(SessionFault::Frame(bad_tag))
    );
}

#[test]
fn an_untagged_frame_is_refused_once_the_proof_was_given() {
    let keyring = keyring(1);
    for kind in [0x10, GOODBYE, HELLO] {
        let mut pair = Pair::established(&keyring, &keyring);
        let injected = write(kind, 2, b"", None);
        let untagged = Err(SessionFault::Frame(FrameFault::Untagged { kind }));
        assert_eq!(pair.acceptor.receive(&injected), untagged);
    }
}

#[test]
fn a_tagged_frame_is_refused_where_there_is_no_secret() {
    let with = keyring(1);
    let sealed = Pair::established(&with, &with).dialer.seal(0x10, b"x");
    let mut pair = Pair::established(&no_keyring(), &no_keyring());
    let unexpected = FrameFault::UnexpectedTag {
        kind: 0x10,
        key_id: 1,
    };
    assert_eq!(
        pair.acceptor.receive(&sealed),
        Err(SessionFault::Frame(unexpected))
    );
}

#[test]
fn a_tag_of_another_key_id_is_refused_by_name() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let mut sealed = pair.dialer.seal(0x10, b"x");
    let key_id = sealed.len() - 17;
    sealed[key_id] = 2;
    let unknown = FrameFault::UnknownKey {
        found: 2,
        expected: 1,
    };
    assert_eq!(
        pair.acceptor.receive(&sealed),
        Err(SessionFault::Frame(unknown))
    );
}

#[test]
fn the_kinds_of_the_session_are_refused_once_it_stands() {
    for kind in [0, HELLO, 0x02, 0x04, 0x0f] {
        let mut pair = Pair::established(&no_keyring(), &no_keyring());
        let result = pair.acceptor.receive(&write(kind, 1, b"", None));
        assert_eq!(
            result,
            Err(SessionFault::UnexpectedKind {
                kind,
                due: "a message"
            })
        );
    }
}

#[test]
fn what_came_before_a_fault_is_delivered_and_the_fault_stays() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let good = pair.dialer.seal(0x10, b"good");
    let bad = flip(&pair.dialer.seal(0x11, b"bad"), 8 * 21);
    let fault = SessionFault::Frame(FrameFault::BadChecksum { kind: 0x11 });
    assert_eq!(
        pair.acceptor.receive(&[good, bad].concat()),
        Err(fault.clone())
    );
    assert_eq!(events(&mut pair.acceptor), [frame(0x10, b"good")]);
    let late = pair.dialer.seal(0x12, b"late");
    assert_eq!(pair.acceptor.receive(&late), Err(fault));
    assert_eq!(events(&mut pair.acceptor), []);
}

#[test]
fn the_other_side_hears_why_a_session_was_ended_and_believes_it() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let bad = flip(&pair.dialer.seal(0x10, b"bad"), 8 * 21);
    let fault = pair.acceptor.receive(&bad).unwrap_err();
    let goodbye = output(&mut pair.acceptor);
    assert_eq!(goodbye[5], 1, "tagged");
    let code = GoodbyeCode::Protocol;
    let text = fault.to_string();
    assert_eq!(
        pair.dialer.receive(&goodbye),
        Err(SessionFault::RefusedByPeer { code, text })
    );
}

#[test]
fn a_goodbye_of_a_side_that_has_proven_itself_is_believed_only_with_its_tag() {
    // The dialer is through; the acceptor gets a spoilt proof and says so.
    let keyring = keyring(1);
    let mut pair = Pair::new(&keyring, &keyring);
    pair.acceptor.receive(&output(&mut pair.dialer)).unwrap();
    pair.dialer.receive(&output(&mut pair.acceptor)).unwrap();
    assert_eq!(events(&mut pair.dialer).len(), 1);
    let spoilt = flip(&output(&mut pair.dialer), 8 * 30);
    pair.acceptor.receive(&spoilt).unwrap_err();
    let told = pair
        .dialer
        .receive(&output(&mut pair.acceptor))
        .unwrap_err();
    assert!(matches!(
        told,
        SessionFault::RefusedByPeer {
            code: GoodbyeCode::Protocol,
            ..
        }
    ));
}

#[test]
fn a_session_that_has_ended_sends_nothing_more() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    pair.acceptor.receive(b"garbage!").unwrap_err();
    assert_eq!(pair.acceptor.seal(0x10, b"late"), b"");
    assert_eq!(
        pair.acceptor.poll_output(),
        None,
        "a stranger's bytes are not answered"
    );
}

#[test]
#[should_panic(expected = "a frame of kind 0x0010 is for a peer that has proven nothing")]
fn sealing_before_the_proof_is_a_bug_of_the_caller() {
    let _ = Session::dial(&keyring(1), data_node(), [1; 32]).seal(0x10, b"");
}

#[test]
#[should_panic(expected = "kind 0x000f is the session's own")]
fn sealing_a_kind_of_the_session_is_a_bug_of_the_caller() {
    let _ = Session::dial(&keyring(1), data_node(), [1; 32]).seal(0x0f, b"");
}

#[test]
#[should_panic(expected = "a message of kind 0x0010 has 11 bytes, and a frame carries 10")]
fn sealing_more_than_the_limit_is_a_bug_of_the_caller() {
    let options = SessionOptions {
        frame_body_max: 10,
        ..SessionOptions::default()
    };
    let mut session = Session::dial_with(&keyring(1), data_node(), [1; 32], options);
    let _ = session.seal(0x10, &[0; 11]);
}

#[test]
fn a_body_that_turns_out_too_long_leaves_the_session_as_it_was() {
    let keyring = keyring(1);
    let mut pair = Pair::established(&keyring, &keyring);
    let max = pair.dialer.body_max();
    let too_long = BodyTooLong {
        kind: 0x10,
        len: max + 1,
        max,
    };
    assert_eq!(pair.dialer.try_seal(0x10, &vec![0; max + 1]), Err(too_long));
    let bytes = pair.dialer.try_seal(0x10, b"short").unwrap();
    assert_eq!(pair.acceptor.receive(&bytes), Ok(()));
    assert_eq!(events(&mut pair.acceptor), [frame(0x10, b"short")]);
}

#[test]
fn a_frame_above_the_limit_ends_the_session_by_its_header_alone() {
    let keyring = no_keyring();
    let small = SessionOptions {
        frame_body_max: 10,
        ..SessionOptions::default()
    };
    let mut pair = Pair::with(&keyring, SessionOptions::default(), &keyring, small);
    assert_eq!(pair.settle(), (Ok(()), Ok(())));
    let bytes = pair.dialer.seal(0x10, &[0; 11]);
    let too_long = FrameFault::TooLong { len: 11, max: 10 };
    assert_eq!(
        pair.acceptor.receive(&bytes[..20]),
        Err(SessionFault::Frame(too_long))
    );
}

#[test]
fn without_a_secret_a_text_of_the_peer_is_still_escaped() {
    let mut pair = Pair::established(&no_keyring(), &no_keyring());
    let goodbye = Goodbye::new(GoodbyeCode::Protocol, "a\nb");
    let bytes = write(GOODBYE, 1, &codec::encode(&goodbye), None);
    let text = r"a\nb".to_owned();
    let code = GoodbyeCode::Protocol;
    assert_eq!(
        pair.acceptor.receive(&bytes),
        Err(SessionFault::RefusedByPeer { code, text })
    );
}

#[test]
fn the_keys_of_the_two_directions_differ() {
    let keyring = keyring(1);
    let schedule = KeySchedule {
        keyring: &keyring,
        transcript: Transcript::new(b"", b""),
        dialer_nonce: [1; 32],
        acceptor_nonce: [2; 32],
    };
    let role = crate::ids::Role::Agent;
    let [there, back] =
        [Side::Dialer, Side::Acceptor].map(|side| schedule.tag_key(side, role).unwrap().tag(b"x"));
    assert_ne!(there, back);
}

#[test]
fn one_frame_is_taken_and_the_bytes_behind_it_are_left() {
    for keyring in [keyring(1), no_keyring()] {
        for cut in [1, 3, 50, 10_000] {
            let mut pair = Pair::established(&keyring, &keyring);
            let sent = [
                pair.dialer.seal(0x10, b"announces bytes"),
                b"VQT1: raw bytes that look like a frame".to_vec(),
            ];
            let all = sent.concat();
            let mut taken = 0;
            while events(&mut pair.acceptor).is_empty() {
                let end = all.len().min(taken + cut);
                taken += pair.acceptor.receive_one(&all[taken..end]).unwrap();
            }
            assert_eq!(taken, sent[0].len(), "cut into {cut}");
            // The session goes on behind the raw bytes.
            let next = pair.dialer.seal(0x11, b"next");
            assert_eq!(pair.acceptor.receive_one(&next), Ok(next.len()));
            assert_eq!(events(&mut pair.acceptor), [frame(0x11, b"next")]);
        }
    }
}

#[test]
fn a_handshake_can_be_taken_a_frame_at_a_time() {
    let keyring = keyring(1);
    let mut pair = Pair::new(&keyring, &keyring);
    let Pair { dialer, acceptor } = &mut pair;
    let carry = |from: &mut Session, to: &mut Session| {
        let bytes = output(from);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let taken = to.receive_one(rest).unwrap();
            rest = &rest[taken..];
        }
    };
    carry(dialer, acceptor);
    carry(acceptor, dialer);
    carry(dialer, acceptor);
    assert!(!events(&mut pair.dialer).is_empty());
    assert!(!events(&mut pair.acceptor).is_empty());
}

#[test]
fn a_stranger_is_held_to_its_bytes_a_frame_at_a_time_as_well() {
    let mut session = Session::accept(&keyring(1), controller(), [0xac; 32]);
    let max = SessionOptions::default().handshake_bytes_max;
    // The beginning of a frame whose body alone is as long as all that a stranger may send.
    let mut long = write(0x0001, 0, &vec![0; max], None);
    long.pop();
    assert_eq!(
        session.receive_one(&long),
        Err(SessionFault::HandshakeTooLong { max })
    );
    assert_eq!(
        session.receive_one(b""),
        Err(SessionFault::HandshakeTooLong { max })
    );
}
