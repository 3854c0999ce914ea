//! The files in `testdata/wire/v1`: frames as the first release writes them, which every later one
//! must read.
//!
//! `VAQUITA_UPDATE_EXPECTED=1 cargo test -p vaquita-core golden_files` writes them anew. Once a
//! release is out that is the wrong thing to do: a new layout gets a new directory.

use std::path::{Path, PathBuf};

use crate::ids::{NodeId, Role};
use crate::wire::codec;
use crate::wire::datagram::{self, Direction, Verified};
use crate::wire::frame::{Frame, read_only, write};
use crate::wire::handshake::{
    GOODBYE, Goodbye, GoodbyeCode, HELLO, Hello, KeySchedule, PROOF, Proof, ProtocolRange, Side,
    Transcript,
};
use crate::wire::keys::Keyring;
use crate::wire::session::{Introduction, SessionEvent};

use super::{Pair, controller, data_node, events, keyring, no_keyring, output};

const KIND: u16 = 0x0017;
const BODY: &[u8] = b"\x81\x18\x2a";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/wire/v1")
        .join(name)
}

#[expect(clippy::disallowed_methods, reason = "a test reads its own data")]
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test writes its own data, on demand"
)]
fn update(name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(path("")).unwrap();
    std::fs::write(path(name), bytes).unwrap();
}

/// What this build writes, under the names of the files.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let secret = keyring(1);
    let mut pair = Pair::new(&secret, &secret);
    let hello = output(&mut pair.dialer);
    pair.acceptor.receive(&hello).unwrap();
    let answer = pair.acceptor.poll_output().unwrap();
    let proof_answer = pair.acceptor.poll_output().unwrap();
    pair.dialer
        .receive(&[&answer[..], &proof_answer[..]].concat())
        .unwrap();
    let proof = output(&mut pair.dialer);
    let frame = pair.dialer.seal(KIND, BODY);

    let mut strangers = Pair::established(&no_keyring(), &no_keyring());
    let goodbye = Goodbye::new(GoodbyeCode::DialerLacksSecret, "run `vaquita secret`");
    let goodbye = write(GOODBYE, 1, &codec::encode(&goodbye), None);

    let datagram = |keyring: &Keyring| {
        let key = keyring.datagram_key(Direction::ToController, NodeId::new([0x5a; 16]));
        datagram::seal(&key, 0x0015, 42, BODY)
    };
    vec![
        ("hello.bin", hello),
        ("hello-answer.bin", answer),
        ("proof.bin", proof),
        ("proof-answer.bin", proof_answer),
        ("frame.bin", frame),
        ("frame-no-secret.bin", strangers.dialer.seal(KIND, BODY)),
        ("goodbye.bin", goodbye),
        ("datagram.bin", datagram(&secret)),
        ("datagram-no-secret.bin", datagram(&no_keyring())),
    ]
}

#[test]
fn this_build_writes_the_golden_files() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test looks whether it is to write"
    )]
    let updating = std::env::var("VAQUITA_UPDATE_EXPECTED").is_ok_and(|value| value == "1");
    for (name, bytes) in written() {
        if updating {
            update(name, &bytes);
        }
        assert_eq!(golden(name), bytes, "{name}");
    }
}

fn read(bytes: &[u8]) -> Frame<'_> {
    read_only(bytes, 4096, 4096).unwrap()
}

fn hello(bytes: &[u8], of: &Introduction, nonce: [u8; 32]) {
    let frame = read(bytes);
    assert_eq!((frame.kind(), frame.counter()), (HELLO, 0));
    let hello: Hello = codec::decode("Hello", frame.body()).unwrap();
    assert_eq!(
        hello,
        Hello::new(of.clone(), ProtocolRange { min: 1, max: 1 }, 1, nonce)
    );
}

/// Rests on the files alone, not on what this build would write: a later build, whose own Hello
/// says more, must still pass.
#[test]
fn the_golden_handshake_is_read_and_proves_what_it_did() {
    let (first, second) = (golden("hello.bin"), golden("hello-answer.bin"));
    hello(&first, &data_node(), [0xd1; 32]);
    hello(&second, &controller(), [0xac; 32]);

    let keyring = keyring(1);
    let schedule = KeySchedule {
        keyring: &keyring,
        transcript: Transcript::new(read(&first).body(), read(&second).body()),
        dialer_nonce: [0xd1; 32],
        acceptor_nonce: [0xac; 32],
    };
    for (name, side, role) in [
        ("proof.bin", Side::Dialer, Role::DataNode),
        ("proof-answer.bin", Side::Acceptor, Role::Controller),
    ] {
        let bytes = golden(name);
        let frame = read(&bytes);
        assert_eq!((frame.kind(), frame.counter()), (PROOF, 1), "{name}");
        let proof: Proof = codec::decode("Proof", frame.body()).unwrap();
        assert!(proof.is(&schedule.proof(side, role).unwrap()), "{name}");
    }

    let bytes = golden("frame.bin");
    let frame = read(&bytes);
    let key = schedule.tag_key(Side::Dialer, Role::DataNode);
    assert_eq!(frame.verify(key.as_ref()), Ok(()));
    assert_eq!(
        (frame.kind(), frame.counter(), frame.body()),
        (KIND, 2, BODY)
    );
}

#[test]
fn the_golden_frame_of_a_session_without_a_secret_is_delivered() {
    let mut pair = Pair::established(&no_keyring(), &no_keyring());
    pair.acceptor
        .receive(&golden("frame-no-secret.bin"))
        .unwrap();
    let body = BODY.to_vec();
    assert_eq!(
        events(&mut pair.acceptor),
        [SessionEvent::Frame { kind: KIND, body }]
    );
}

#[test]
fn the_golden_goodbye_is_read() {
    let bytes = golden("goodbye.bin");
    let frame = read(&bytes);
    assert_eq!(
        (frame.kind(), frame.counter(), frame.is_tagged()),
        (GOODBYE, 1, false)
    );
    let goodbye: Goodbye = codec::decode("Goodbye", frame.body()).unwrap();
    assert_eq!(
        GoodbyeCode::from_number(goodbye.code),
        GoodbyeCode::DialerLacksSecret
    );
    assert_eq!(goodbye.text, "run `vaquita secret`");
}

#[test]
fn the_golden_datagrams_are_read() {
    for (name, keyring) in [
        ("datagram.bin", keyring(1)),
        ("datagram-no-secret.bin", no_keyring()),
    ] {
        let key = keyring.datagram_key(Direction::ToController, NodeId::new([0x5a; 16]));
        let bytes = golden(name);
        let verified = datagram::parse(&bytes).unwrap().verify(&key);
        assert_eq!(
            verified,
            Ok(Verified {
                kind: 0x0015,
                seq: 42,
                body: BODY
            }),
            "{name}"
        );
    }
}

#[test]
fn a_golden_file_is_one_whole_frame() {
    for (name, _) in written() {
        let stored = golden(name);
        assert_eq!(read(&stored).wire_len(), stored.len(), "{name}");
    }
}
