//! The fuzzers' bodies over bytes that a property test draws, and over some that get far.

use proptest::prelude::*;

use crate::message::fuzzing::fuzz_message;
use crate::wire::frame::{FrameDecoder, write};
use crate::wire::fuzzing::{delivered, fuzz_datagram, fuzz_frames, fuzz_session};
use crate::wire::keys::TagKey;
use crate::wire::session::SessionEvent;

use super::{Pair, events, keyring};

/// Streams that are frames often enough to get past the first check.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let tag_key = TagKey::new(1, &[1; 32], &[]);
    let piece = prop_oneof![
        4 => (any::<u16>(), any::<u64>(), body())
            .prop_map(|(kind, counter, body)| write(kind, counter, &body, None)),
        4 => (any::<u16>(), any::<u64>(), body())
            .prop_map(move |(kind, counter, body)| write(kind, counter, &body, Some(&tag_key))),
        1 => body(),
        1 => Just(b"VQT1\x01\x00".to_vec()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #[test]
    fn any_stream_reads_the_same_however_it_is_cut(cut: u8, stream in stream()) {
        fuzz_frames(&[&[cut], &stream[..]].concat());
    }

    #[test]
    fn any_bytes_are_frames_or_a_fault(bytes: Vec<u8>) {
        fuzz_frames(&bytes);
    }

    #[test]
    fn any_disturbance_leaves_a_session_that_delivers_a_prefix(
        script in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        fuzz_session(&script);
    }

    #[test]
    fn any_bytes_are_a_datagram_or_a_fault(bytes: Vec<u8>, stream in stream()) {
        fuzz_datagram(&bytes);
        fuzz_datagram(&stream);
    }

    #[test]
    fn any_bytes_are_a_message_that_comes_back_or_none(what: u8, bytes: Vec<u8>) {
        fuzz_message(&[&[what], &bytes[..]].concat());
    }

    #[test]
    fn any_frames_come_back_as_they_were_written(
        frames in proptest::collection::vec(
            (any::<u16>(), any::<u64>(), body(), any::<bool>()),
            0..5,
        ),
        cut in 1_usize..400,
    ) {
        let key = TagKey::new(7, &[1; 32], b"context");
        let tag = |tagged: bool| tagged.then_some(&key);
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|(kind, counter, body, tagged)| write(*kind, *counter, body, tag(*tagged)))
            .collect();
        let mut decoder = FrameDecoder::new(300);
        let mut due = frames.iter();
        for piece in stream.chunks(cut) {
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                let (kind, counter, body, tagged) = due.next().unwrap();
                prop_assert_eq!(frame.kind(), *kind);
                prop_assert_eq!(frame.counter(), *counter);
                prop_assert_eq!(frame.body(), &body[..]);
                prop_assert_eq!(frame.verify(tag(*tagged)), Ok(()));
            }
        }
        prop_assert!(due.next().is_none());
        prop_assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn any_messages_of_a_session_arrive(
        messages in proptest::collection::vec((0x10_u16.., body()), 0..8),
        cut in 1_usize..2000,
    ) {
        let keyring = keyring(1);
        let mut pair = Pair::established(&keyring, &keyring);
        let stream: Vec<u8> =
            messages.iter().flat_map(|(kind, body)| pair.acceptor.seal(*kind, body)).collect();
        for piece in stream.chunks(cut) {
            pair.dialer.receive(piece).unwrap();
        }
        let got: Vec<_> = events(&mut pair.dialer);
        let sent: Vec<_> = messages
            .into_iter()
            .map(|(kind, body)| SessionEvent::Frame { kind, body })
            .collect();
        prop_assert_eq!(got, sent);
    }
}

/// The oracle of the session fuzzer must not be idle: undisturbed, both sides get through.
#[test]
fn an_undisturbed_run_of_the_session_fuzzer_delivers_messages() {
    assert_eq!(delivered(&[0]), (8, 8));
    assert_eq!(delivered(&[3]), (8, 8));
    assert_eq!(delivered(&[1]), (0, 0));
}
