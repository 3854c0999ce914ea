use crate::ids::{ClusterId, Incarnation, Role};
use crate::wire::codec;
use crate::wire::frame::{FrameFault, write};
use crate::wire::handshake::{
    GOODBYE, Goodbye, GoodbyeCode, HELLO, Hello, KeySchedule, PROOF, ProtocolRange, Side,
    Transcript,
};
use crate::wire::session::{
    Claim, Introduction, Session, SessionEvent, SessionFault, SessionOptions,
};

use super::{Pair, alias, controller, data_node, events, keyring, no_keyring, output};

fn the_controller() -> Claim {
    Claim {
        role: Role::Controller,
        alias: alias("ctl8990"),
    }
}

fn the_node() -> Claim {
    Claim {
        role: Role::DataNode,
        alias: alias("P1-NODE1"),
    }
}

fn speaking(min: u16, max: u16) -> SessionOptions {
    SessionOptions {
        protocols: ProtocolRange { min, max },
        ..SessionOptions::default()
    }
}

#[test]
fn each_side_learns_who_the_other_is() {
    for keyring in [keyring(1), no_keyring()] {
        let pair = Pair::established(&keyring, &keyring);
        assert_eq!(
            (pair.dialer.protocol(), pair.acceptor.protocol()),
            (Some(1), Some(1))
        );
    }
}

#[test]
fn a_handshake_survives_any_cut() {
    let keyring = keyring(1);
    let mut pair = Pair::new(&keyring, &keyring);
    loop {
        let there = output(&mut pair.dialer);
        there
            .iter()
            .for_each(|byte| pair.acceptor.receive(&[*byte]).unwrap());
        let back = output(&mut pair.acceptor);
        back.iter()
            .for_each(|byte| pair.dialer.receive(&[*byte]).unwrap());
        if there.is_empty() && back.is_empty() {
            break;
        }
    }
    assert_eq!(events(&mut pair.dialer).len(), 1);
    assert_eq!(events(&mut pair.acceptor).len(), 1);
}

#[test]
fn a_knock_costs_the_acceptor_no_byte() {
    let mut acceptor = Session::accept(&keyring(1), controller(), [1; 32]);
    assert_eq!(acceptor.poll_output(), None);
}

#[test]
fn a_secret_at_the_acceptor_only_is_named_on_both_sides() {
    let (dialer, acceptor) = Pair::new(&no_keyring(), &keyring(1)).refused();
    assert_eq!(
        dialer,
        SessionFault::SecretMissingHere {
            peer: the_controller()
        }
    );
    assert_eq!(
        acceptor,
        SessionFault::SecretMissingThere { peer: the_node() }
    );
    assert_eq!(
        dialer.to_string(),
        "this process has no cluster secret and the controller ctl8990 has one: run `vaquita \
         secret`, copy it to each host, this one included, and start this process again"
    );
}

#[test]
fn a_secret_at_the_dialer_only_is_named_on_both_sides() {
    let (dialer, acceptor) = Pair::new(&keyring(1), &no_keyring()).refused();
    assert_eq!(
        dialer,
        SessionFault::SecretMissingThere {
            peer: the_controller()
        }
    );
    assert_eq!(
        acceptor,
        SessionFault::SecretMissingHere { peer: the_node() }
    );
    assert_eq!(
        dialer.to_string(),
        "this process has a cluster secret and the controller ctl8990 has none: run `vaquita \
         secret`, copy it to each host, that of the controller ctl8990 included, and start that \
         process again"
    );
}

#[test]
fn different_secrets_are_named_on_both_sides() {
    let (dialer, acceptor) = Pair::new(&keyring(1), &keyring(2)).refused();
    assert_eq!(
        dialer,
        SessionFault::SecretsDiffer {
            peer: the_controller()
        }
    );
    assert_eq!(acceptor, SessionFault::SecretsDiffer { peer: the_node() });
}

#[test]
fn the_newest_common_version_is_spoken() {
    let keyring = keyring(1);
    for (dialer, acceptor, spoken) in [
        ((1, 3), (2, 5), 3),
        ((2, 5), (1, 3), 3),
        ((1, 9), (4, 4), 4),
        ((2, 2), (1, 2), 2),
    ] {
        let mut pair = Pair::with(
            &keyring,
            speaking(dialer.0, dialer.1),
            &keyring,
            speaking(acceptor.0, acceptor.1),
        );
        assert_eq!(pair.settle(), (Ok(()), Ok(())));
        assert_eq!(pair.dialer.protocol(), Some(spoken));
        assert_eq!(pair.acceptor.protocol(), Some(spoken));
    }
}

#[test]
fn without_a_common_version_each_side_says_which_is_too_old() {
    for keyring in [keyring(1), no_keyring()] {
        let pair = Pair::with(&keyring, speaking(1, 2), &keyring, speaking(3, 3));
        let (dialer, acceptor) = pair.refused();
        assert_eq!(
            dialer.to_string(),
            "this process speaks protocol version 1 to 2 and the controller ctl8990 speaks 3: \
             bring this process up to date"
        );
        assert_eq!(
            acceptor.to_string(),
            "this process speaks protocol version 3 and the datanode P1-NODE1 speaks 1 to 2: \
             bring that process up to date"
        );
    }
}

#[test]
fn a_range_of_versions_that_is_none_has_no_common_version() {
    let absurd = ProtocolRange { min: 9, max: 1 };
    let wide = ProtocolRange {
        min: 0,
        max: u16::MAX,
    };
    assert_eq!(absurd.newest_common(wide), None);
    assert_eq!(wide.newest_common(absurd), None);
}

/// The dialer's Hello with some fields changed on the way, everything else as it should be.
fn altered(change: impl FnOnce(&mut Hello)) -> (Session, Session) {
    let keyring = keyring(1);
    let options = speaking(1, 2);
    let mut dialer = Session::dial_with(&keyring, data_node(), [1; 32], options.clone());
    let mut acceptor = Session::accept_with(&keyring, controller(), [2; 32], options);
    let sent = output(&mut dialer);
    let mut hello: Hello = codec::decode("Hello", &sent[20..sent.len() - 4]).unwrap();
    change(&mut hello);
    acceptor
        .receive(&write(HELLO, 0, &codec::encode(&hello), None))
        .unwrap();
    (dialer, acceptor)
}

#[test]
fn a_downgrade_on_the_way_fails_both_proofs() {
    let (mut dialer, mut acceptor) = altered(|hello| hello.proto_max = 1);
    let answer = output(&mut acceptor);
    assert_eq!(
        dialer.receive(&answer),
        Err(SessionFault::SecretsDiffer {
            peer: the_controller()
        })
    );
    assert_eq!(
        acceptor.receive(&output(&mut dialer)),
        Err(SessionFault::SecretsDiffer { peer: the_node() })
    );
}

#[test]
fn a_changed_name_role_or_incarnation_fails_the_proof() {
    let changes: [fn(&mut Hello); 4] = [
        |hello| hello.alias = alias("P2-NODE1"),
        |hello| hello.role = Role::Agent,
        |hello| hello.incarnation = Incarnation::new([0; 16]),
        |hello| hello.cluster = controller().cluster,
    ];
    for change in changes {
        let (mut dialer, mut acceptor) = altered(change);
        assert!(dialer.receive(&output(&mut acceptor)).is_err());
        assert!(acceptor.receive(&output(&mut dialer)).is_err());
        assert_eq!(events(&mut acceptor), []);
    }
}

#[test]
fn a_key_that_this_process_does_not_have_is_named() {
    let keyring = keyring(1);
    let mut dialer = Session::dial(&keyring, data_node(), [1; 32]);
    let hello = Hello::new(controller(), ProtocolRange::CURRENT, 2, [2; 32]);
    let fault = dialer
        .receive(&write(HELLO, 0, &codec::encode(&hello), None))
        .unwrap_err();
    assert_eq!(
        fault,
        SessionFault::KeysDiffer {
            ours: 1,
            theirs: 2,
            peer: the_controller()
        }
    );
}

#[test]
fn a_dialer_that_reaches_itself_or_a_mirror_notices() {
    for keyring in [keyring(1), no_keyring()] {
        let mut dialer = Session::dial(&keyring, data_node(), [1; 32]);
        let hello = output(&mut dialer);
        assert_eq!(dialer.receive(&hello), Err(SessionFault::Reflected));
    }
}

#[test]
fn a_process_that_is_led_to_its_own_port_notices_on_both_ends() {
    for keyring in [keyring(1), no_keyring()] {
        let mut dialer = Session::dial(&keyring, data_node(), [1; 32]);
        let mut acceptor = Session::accept(&keyring, data_node(), [2; 32]);
        assert_eq!(
            acceptor.receive(&output(&mut dialer)),
            Err(SessionFault::Reflected)
        );
        assert_eq!(
            dialer.receive(&output(&mut acceptor)),
            Err(SessionFault::Reflected)
        );
    }
}

#[test]
fn a_nonce_sent_back_is_not_taken_for_a_fresh_one() {
    let mut dialer = Session::dial(&keyring(1), data_node(), [1; 32]);
    let hello = Hello::new(controller(), ProtocolRange::CURRENT, 1, [1; 32]);
    let answer = write(HELLO, 0, &codec::encode(&hello), None);
    assert_eq!(dialer.receive(&answer), Err(SessionFault::Reflected));
}

#[test]
fn two_clusters_are_kept_apart_and_each_side_says_so() {
    let (ours, theirs) = (ClusterId::new([0xc1; 16]), ClusterId::new([0xc2; 16]));
    for keyring in [keyring(1), no_keyring()] {
        let mut foreign = data_node();
        foreign.cluster = Some(theirs);
        let mut pair = Pair::new(&keyring, &keyring);
        pair.dialer = Session::dial(&keyring, foreign, [1; 32]);
        let (dialer, acceptor) = pair.refused();
        assert_eq!(
            acceptor,
            SessionFault::OtherCluster {
                ours,
                theirs,
                peer: the_node()
            }
        );
        assert_eq!(
            dialer,
            SessionFault::OtherCluster {
                ours: theirs,
                theirs: ours,
                peer: the_controller()
            }
        );
    }
}

#[test]
fn another_start_of_the_same_node_is_not_itself() {
    let mut before = data_node();
    before.incarnation = Incarnation::new([0; 16]);
    let mut acceptor = Session::accept(&no_keyring(), before, [2; 32]);
    let hello = output(&mut Session::dial(&no_keyring(), data_node(), [1; 32]));
    assert_eq!(acceptor.receive(&hello), Ok(()));
}

#[test]
fn a_proof_sent_back_to_its_sender_is_refused() {
    let keyring = keyring(1);
    let mut dialer = Session::dial(&keyring, data_node(), [1; 32]);
    output(&mut dialer);
    // A mirror that changes nonce and incarnation gets past the first checks, not past the proof.
    let mut mirror = data_node();
    mirror.incarnation = Incarnation::new([0; 16]);
    let mirrored = Hello::new(mirror, ProtocolRange::CURRENT, 1, [2; 32]);
    dialer
        .receive(&write(HELLO, 0, &codec::encode(&mirrored), None))
        .unwrap();
    let proof = output(&mut dialer);
    assert_eq!(&proof[6..8], &PROOF.to_le_bytes());
    assert_eq!(
        proof[12], 1,
        "the dialer's second frame, as the second frame of its peer"
    );
    assert_eq!(
        dialer.receive(&proof),
        Err(SessionFault::SecretsDiffer { peer: the_node() })
    );
}

#[test]
fn a_recorded_handshake_opens_no_second_session() {
    let keyring = keyring(1);
    let mut dialer = Session::dial(&keyring, data_node(), [1; 32]);
    let mut acceptor = Session::accept(&keyring, controller(), [2; 32]);
    let hello = output(&mut dialer);
    acceptor.receive(&hello).unwrap();
    dialer.receive(&output(&mut acceptor)).unwrap();
    let proof = output(&mut dialer);
    acceptor.receive(&proof).unwrap();
    let mut again = Session::accept(&keyring, controller(), [3; 32]);
    again.receive(&hello).unwrap();
    assert_eq!(
        again.receive(&proof),
        Err(SessionFault::SecretsDiffer { peer: the_node() })
    );
    assert_eq!(events(&mut again), []);
}

#[test]
fn proofs_and_keys_depend_on_everything_they_should() {
    let with = |transcript, dialer_nonce, side, role| {
        let keyring = keyring(1);
        let schedule = KeySchedule {
            keyring: &keyring,
            transcript,
            dialer_nonce,
            acceptor_nonce: [2; 32],
        };
        (
            schedule.proof(side, role).unwrap().mac,
            schedule.tag_key(side, role).unwrap().tag(b"x"),
        )
    };
    let transcript = Transcript::new(b"one", b"two");
    let base = with(transcript, [1; 32], Side::Dialer, Role::Agent);
    for (proof, tag) in [
        with(
            Transcript::new(b"onet", b"wo"),
            [1; 32],
            Side::Dialer,
            Role::Agent,
        ),
        with(transcript, [1; 32], Side::Acceptor, Role::Agent),
        with(transcript, [1; 32], Side::Dialer, Role::DataNode),
    ] {
        assert_ne!(proof, base.0);
        assert_ne!(tag, base.1);
    }
    assert_ne!(
        with(transcript, [9; 32], Side::Dialer, Role::Agent).1,
        base.1
    );
}

#[test]
fn a_stranger_may_send_a_limited_number_of_bytes() {
    let keyring = keyring(1);
    let options = SessionOptions {
        handshake_bytes_max: 300,
        ..SessionOptions::default()
    };
    let session = || Session::accept_with(&keyring, controller(), [2; 32], options.clone());

    // One frame that says it is longer than all that may come.
    let mut acceptor = session();
    let long = write(HELLO, 0, &[0; 301], None);
    assert_eq!(
        acceptor.receive(&long[..24]),
        Err(SessionFault::Frame(FrameFault::TooLong {
            len: 301,
            max: 300
        }))
    );
    // One that is just too long with its header, while it is incomplete.
    let mut acceptor = session();
    let long = write(HELLO, 0, &[0; 290], None);
    assert_eq!(acceptor.receive(&long[..300]), Ok(()));
    assert_eq!(
        acceptor.receive(&long[300..301]),
        Err(SessionFault::HandshakeTooLong { max: 300 })
    );
    // Several that are too long together.
    let mut acceptor = session();
    let hello = output(&mut Session::dial(&keyring, data_node(), [1; 32]));
    acceptor.receive(&hello).unwrap();
    let proof = write(PROOF, 1, &vec![0; 301 - hello.len() - 24], None);
    assert_eq!(
        acceptor.receive(&proof),
        Err(SessionFault::HandshakeTooLong { max: 300 })
    );
}

#[test]
fn a_handshake_of_exactly_the_limit_passes() {
    let keyring = keyring(1);
    let hello = output(&mut Session::dial(&keyring, data_node(), [1; 32]));
    let proof = 59;
    for (spare, passes) in [(0, true), (1, false)] {
        let small = SessionOptions {
            handshake_bytes_max: hello.len() + proof - spare,
            ..SessionOptions::default()
        };
        let mut pair = Pair::with(&keyring, SessionOptions::default(), &keyring, small);
        assert_eq!(pair.settle().1.is_ok(), passes, "{spare} bytes less");
    }
}

#[test]
fn each_fault_is_told_by_its_code_and_some_are_not_told() {
    let peer = the_node;
    let cluster = ClusterId::new([1; 16]);
    let range = ProtocolRange::CURRENT;
    let told = [
        (
            SessionFault::VersionsDisjoint {
                ours: range,
                theirs: range,
                peer: peer(),
            },
            1,
        ),
        (SessionFault::SecretMissingHere { peer: peer() }, 2),
        (SessionFault::SecretMissingThere { peer: peer() }, 3),
        (SessionFault::SecretsDiffer { peer: peer() }, 4),
        (
            SessionFault::KeysDiffer {
                ours: 1,
                theirs: 2,
                peer: peer(),
            },
            5,
        ),
        (SessionFault::Frame(FrameFault::Untagged { kind: 1 }), 6),
        (SessionFault::Reflected, 6),
        (SessionFault::UnexpectedKind { kind: 1, due: "" }, 6),
        (SessionFault::HandshakeTooLong { max: 1 }, 7),
        (
            SessionFault::OtherCluster {
                ours: cluster,
                theirs: cluster,
                peer: peer(),
            },
            8,
        ),
    ];
    for (fault, number) in told {
        let code = fault.goodbye(Side::Dialer).map(GoodbyeCode::number);
        assert_eq!(code, Some(number), "{fault:?}");
    }
    let text = String::new();
    let code = GoodbyeCode::Protocol;
    assert_eq!(
        SessionFault::RefusedByPeer { code, text }.goodbye(Side::Dialer),
        None
    );
    let magic = FrameFault::BadMagic { found: Vec::new() };
    assert_eq!(SessionFault::Frame(magic).goodbye(Side::Acceptor), None);
}

#[test]
fn frames_that_follow_the_proof_at_once_do_not_count_as_handshake() {
    let keyring = keyring(1);
    let mut pair = Pair::new(&keyring, &keyring);
    pair.acceptor.receive(&output(&mut pair.dialer)).unwrap();
    pair.dialer.receive(&output(&mut pair.acceptor)).unwrap();
    // The proof is not fetched: what is sealed carries it.
    let bytes = pair.dialer.seal(0x10, &vec![5; 100_000]);
    assert_eq!(pair.dialer.poll_output(), None);
    assert_eq!(pair.acceptor.receive(&bytes), Ok(()));
    let [established, frame] = &events(&mut pair.acceptor)[..] else {
        panic!("two events")
    };
    assert!(matches!(established, SessionEvent::Established { .. }));
    assert!(matches!(frame, SessionEvent::Frame { kind: 0x10, body } if body.len() == 100_000));
}

#[test]
fn nothing_but_the_due_frame_is_taken_in_a_handshake() {
    let keyring = keyring(1);
    for kind in [0, PROOF, 0x04, 0x0f, 0x10, 0xffff] {
        let mut acceptor = Session::accept(&keyring, controller(), [2; 32]);
        let fault = acceptor.receive(&write(kind, 0, b"", None)).unwrap_err();
        assert_eq!(
            fault,
            SessionFault::UnexpectedKind {
                kind,
                due: "a Hello"
            }
        );
    }
    for kind in [HELLO, 0x10] {
        let mut acceptor = Session::accept(&keyring, controller(), [2; 32]);
        acceptor
            .receive(&output(&mut Session::dial(&keyring, data_node(), [1; 32])))
            .unwrap();
        let fault = acceptor.receive(&write(kind, 1, b"", None)).unwrap_err();
        assert_eq!(
            fault,
            SessionFault::UnexpectedKind {
                kind,
                due: "a Proof"
            }
        );
    }
}

#[test]
fn a_hello_that_cannot_be_read_is_refused_and_told() {
    let mut acceptor = Session::accept(&keyring(1), controller(), [2; 32]);
    let fault = acceptor
        .receive(&write(HELLO, 0, b"\xff", None))
        .unwrap_err();
    assert!(matches!(&fault, SessionFault::Malformed(malformed) if malformed.what == "Hello"));
    let mut dialer = Session::dial(&keyring(1), data_node(), [1; 32]);
    let Err(SessionFault::RefusedByPeer { code, text }) = dialer.receive(&output(&mut acceptor))
    else {
        panic!("the dialer is told")
    };
    assert_eq!(code, GoodbyeCode::Protocol);
    assert_eq!(text, fault.to_string());
}

#[test]
fn who_speaks_something_else_is_not_answered() {
    let mut dialer = Session::dial(&keyring(1), data_node(), [1; 32]);
    output(&mut dialer);
    let fault = dialer.receive(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
    assert!(matches!(
        fault,
        SessionFault::Frame(FrameFault::BadMagic { .. })
    ));
    assert_eq!(dialer.poll_output(), None);
}

#[test]
fn a_goodbye_is_not_answered_by_one() {
    let mut dialer = Session::dial(&keyring(1), data_node(), [1; 32]);
    output(&mut dialer);
    let goodbye = Goodbye::new(GoodbyeCode::Other(99), "later");
    let fault = dialer
        .receive(&write(GOODBYE, 0, &codec::encode(&goodbye), None))
        .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the other side ended the session: reason 99, unknown to this version (it says: later)"
    );
    assert_eq!(dialer.poll_output(), None);
}

#[test]
fn the_text_of_a_goodbye_is_cut_and_escaped() {
    let mut dialer = Session::dial(&no_keyring(), data_node(), [1; 32]);
    let goodbye = Goodbye {
        code: 6,
        text: "\n\u{1b}[31m".repeat(500),
    };
    let fault = dialer
        .receive(&write(GOODBYE, 0, &codec::encode(&goodbye), None))
        .unwrap_err();
    let shown = fault.to_string();
    assert!(shown.contains(r"\n\u{1b}[31m"), "{shown}");
    assert!(!shown.contains(['\n', '\u{1b}']));
    assert!(shown.chars().count() < 2000);
}

#[test]
fn a_build_from_a_peer_is_cut_and_escaped() {
    let mut me = data_node();
    me.build = format!("0.1\r\n{}", "é".repeat(4000));
    let mut dialer = Session::dial(&no_keyring(), me, [1; 32]);
    let mut acceptor = Session::accept(&no_keyring(), controller(), [2; 32]);
    acceptor.receive(&output(&mut dialer)).unwrap();
    let Some(SessionEvent::Established {
        peer: Introduction { build, .. },
    }) = acceptor.poll_event()
    else {
        panic!("established")
    };
    assert!(
        build.starts_with(r"0.1\r\né") && build.ends_with('…'),
        "{build}"
    );
}

#[test]
fn each_code_of_a_goodbye_has_one_number() {
    for number in 0..=u16::MAX {
        assert_eq!(GoodbyeCode::from_number(number).number(), number);
    }
    assert_eq!(GoodbyeCode::from_number(8), GoodbyeCode::OtherCluster);
    assert_eq!(GoodbyeCode::from_number(9), GoodbyeCode::Other(9));
}

#[test]
fn the_other_side_is_told_which_of_the_two_lacks_the_secret() {
    for (dialers, acceptors, code) in [
        (no_keyring(), keyring(1), GoodbyeCode::DialerLacksSecret),
        (keyring(1), no_keyring(), GoodbyeCode::AcceptorLacksSecret),
        (keyring(1), keyring(2), GoodbyeCode::SecretsDiffer),
    ] {
        let mut pair = Pair::new(&dialers, &acceptors);
        pair.acceptor.receive(&output(&mut pair.dialer)).ok();
        let told = output(&mut pair.acceptor);
        pair.dialer.receive(&told).unwrap_err();
        let told_back = output(&mut pair.dialer);
        for (side, bytes) in [("dialer", &told_back), ("acceptor", &told)] {
            if side == "acceptor" && code == GoodbyeCode::SecretsDiffer {
                continue; // it has not heard the dialer's proof yet
            }
            assert_eq!(last_goodbye(bytes), Some(code), "from the {side}");
        }
    }
}

/// The code of the Goodbye at the end of `bytes`.
fn last_goodbye(bytes: &[u8]) -> Option<GoodbyeCode> {
    let mut decoder = crate::wire::frame::FrameDecoder::new(4096);
    decoder.push(bytes);
    let mut code = None;
    while let Some(frame) = decoder.next_frame().unwrap() {
        code = (frame.kind() == GOODBYE).then(|| {
            let goodbye: Goodbye = codec::decode("Goodbye", frame.body()).unwrap();
            GoodbyeCode::from_number(goodbye.code)
        });
    }
    code
}
