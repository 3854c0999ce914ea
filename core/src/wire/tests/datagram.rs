use proptest::prelude::*;

use crate::ids::NodeId;
use crate::limits::Limits;
use crate::wire::datagram::{
    BODY_MAX, DATAGRAM_MAX, DatagramKey, Direction, FrameFault, Verified, parse, seal,
};
use crate::wire::keys::Keyring;

use super::{flip, keyring, no_keyring, with_checksum};

fn node(first: u8) -> NodeId {
    NodeId::new([first; 16])
}

fn key(keyring: &Keyring) -> DatagramKey {
    keyring.datagram_key(Direction::ToController, node(1))
}

fn open<'a>(bytes: &'a [u8], key: &DatagramKey) -> Result<Verified<'a>, FrameFault> {
    parse(bytes)?.verify(key)
}

#[test]
fn what_was_sealed_opens_with_the_same_key_only() {
    let here = key(&keyring(1));
    let bytes = seal(&here, 0x15, 42, b"beat");
    let verified = Verified {
        kind: 0x15,
        seq: 42,
        body: b"beat".as_slice(),
    };
    assert_eq!(open(&bytes, &here), Ok(verified));
    let bad_tag = Err(FrameFault::BadTag {
        kind: 0x15,
        counter: 42,
    });
    let another_secret = key(&keyring(2));
    let another_node = keyring(1).datagram_key(Direction::ToController, node(2));
    let another_direction = keyring(1).datagram_key(Direction::ToNode, node(1));
    assert_eq!(open(&bytes, &another_secret), bad_tag);
    assert_eq!(open(&bytes, &another_node), bad_tag);
    assert_eq!(
        open(&bytes, &another_direction),
        bad_tag,
        "a datagram sent back to its sender"
    );
}

#[test]
fn a_secret_on_one_side_only_is_told_apart_from_forgery() {
    let (with, without) = (key(&keyring(1)), key(&no_keyring()));
    assert_eq!(
        open(&seal(&without, 0x15, 1, b""), &with),
        Err(FrameFault::Untagged { kind: 0x15 })
    );
    assert_eq!(
        open(&seal(&with, 0x15, 1, b""), &without),
        Err(FrameFault::UnexpectedTag {
            kind: 0x15,
            key_id: 1
        })
    );
    assert!(open(&seal(&without, 0x15, 1, b""), &without).is_ok());
}

#[test]
fn the_longest_body_fills_a_datagram_and_a_longer_one_is_no_datagram() {
    assert_eq!(Limits::default().datagram_max, DATAGRAM_MAX);
    let key = key(&keyring(1));
    let bytes = seal(&key, 0x15, 1, &[7; BODY_MAX]);
    assert_eq!(bytes.len(), DATAGRAM_MAX);
    assert!(open(&bytes, &key).is_ok());
    let longer = [bytes, vec![0]].concat();
    assert_eq!(
        parse(&longer),
        Err(FrameFault::TooLong {
            len: 1201,
            max: 1200
        })
    );
}

#[test]
#[should_panic(expected = "has 1160 bytes, and 1159 fit")]
fn a_body_that_does_not_fit_is_a_bug_of_the_sender() {
    let _ = seal(&key(&no_keyring()), 0x15, 1, &[7; BODY_MAX + 1]);
}

#[test]
fn every_flipped_bit_of_a_datagram_is_refused() {
    for keyring in [keyring(1), no_keyring()] {
        let key = key(&keyring);
        let bytes = seal(&key, 0x15, 42, b"some numbers of a node");
        for bit in 0..8 * bytes.len() {
            assert!(open(&flip(&bytes, bit), &key).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_bit_that_is_forged_with_a_right_checksum_is_refused() {
    let key = key(&keyring(1));
    let bytes = seal(&key, 0x15, 42, b"some numbers of a node");
    for bit in 0..8 * (bytes.len() - 21) {
        assert!(
            open(&with_checksum(flip(&bytes, bit), 17), &key).is_err(),
            "bit {bit}"
        );
    }
}

proptest! {
    #[test]
    fn any_datagram_comes_back_as_it_was_sealed(
        secret: Option<u8>,
        kind: u16,
        seq: u64,
        body in proptest::collection::vec(any::<u8>(), 0..=BODY_MAX),
    ) {
        let key = key(&secret.map_or_else(no_keyring, keyring));
        let bytes = seal(&key, kind, seq, &body);
        prop_assert!(bytes.len() <= DATAGRAM_MAX);
        prop_assert_eq!(open(&bytes, &key), Ok(Verified { kind, seq, body: &body }));
    }
}
