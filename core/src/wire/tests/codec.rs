use minicbor::{Decode, Encode};
use proptest::prelude::*;

use crate::ids::Alias;
use crate::wire::codec::{Malformed, decode, encode};

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Old {
    #[n(0)]
    alias: String,
    #[n(1)]
    free_mib: u64,
}

/// What [`Old`] may become.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct New {
    #[n(0)]
    alias: String,
    #[n(1)]
    free_mib: u64,
    #[n(2)]
    volumes: Option<Vec<(u8, String)>>,
    #[n(4)]
    draining: Option<bool>,
}

fn old() -> Old {
    Old {
        alias: "P1-NODE1".to_owned(),
        free_mib: 70_000,
    }
}

#[test]
fn an_old_reader_skips_what_is_new_and_a_new_one_does_without() {
    let new = New {
        alias: "P1-NODE1".to_owned(),
        free_mib: 70_000,
        volumes: Some(vec![(1, "/VOL1".to_owned())]),
        draining: Some(true),
    };
    assert_eq!(decode("Old", &encode(&new)), Ok(old()));
    let filled = New {
        volumes: None,
        draining: None,
        ..new
    };
    assert_eq!(decode("New", &encode(&old())), Ok(filled));
}

#[test]
fn bytes_behind_a_value_are_refused() {
    let mut bytes = encode(&old());
    let end = bytes.len();
    bytes.extend([0xf6, 0xf6]);
    let malformed = decode::<Old>("Old", &bytes).unwrap_err();
    assert_eq!((malformed.what.as_str(), malformed.at), ("Old", end));
    let text = format!("Old is malformed at byte {end}: 2 bytes follow the value");
    assert_eq!(malformed.to_string(), text);
}

#[test]
fn every_beginning_of_a_value_is_refused() {
    let bytes = encode(&old());
    for len in 0..bytes.len() {
        let malformed = decode::<Old>("Old", &bytes[..len]).unwrap_err();
        assert!(malformed.at <= len, "cut at {len}: {malformed}");
    }
}

#[test]
fn the_place_of_a_wrong_type_is_told() {
    let bytes = encode(&("P1-NODE1", "many"));
    let malformed = decode::<Old>("Old", &bytes).unwrap_err();
    assert_eq!(malformed.at, 10, "{malformed}");
}

#[test]
fn what_a_peer_wrote_is_escaped_in_the_complaint() {
    let bytes = encode(&"node\n2026-11-24 ERROR forged");
    let malformed = decode::<Alias>("Alias", &bytes).unwrap_err();
    assert!(malformed.reason.contains(r"node\n2026"), "{malformed}");
    assert!(!malformed.to_string().contains('\n'));
    let longer = encode(&"x\n".repeat(10_000));
    assert!(
        decode::<Alias>("Alias", &longer)
            .unwrap_err()
            .to_string()
            .len()
            < 1000
    );
}

#[test]
fn a_claimed_length_of_a_list_reserves_nothing() {
    // An array of 2^63 - 1 elements, and none there.
    let bytes = [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(decode::<Vec<u64>>("list", &bytes).is_err());
    assert!(decode::<Vec<String>>("list", &bytes).is_err());
}

#[test]
fn deeply_nested_bytes_do_not_exhaust_the_stack() {
    for nest in [0x81, 0x9f, 0xa1, 0xbf, 0xc1, 0xd8] {
        let mut bytes = encode(&("P1-NODE1", 1));
        bytes[0] = 0x83; // a third field, which nobody knows
        bytes.extend(vec![nest; 1 << 20]);
        assert!(decode::<Old>("Old", &bytes).is_err());
    }
}

#[test]
fn an_unknown_kind_says_so() {
    let malformed = Malformed::unknown_kind("log record", 0x0102);
    assert_eq!(
        malformed.to_string(),
        "log record is malformed at byte 0: kind 0x0102 is unknown; a newer version may have \
         written it"
    );
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_was(
        alias in ".{0,40}",
        free_mib: u64,
        volumes: Option<Vec<(u8, String)>>,
        draining: Option<bool>,
    ) {
        let value = New { alias, free_mib, volumes, draining };
        prop_assert_eq!(decode("New", &encode(&value)), Ok(value));
    }

    #[test]
    fn any_bytes_are_a_value_or_a_complaint(bytes: Vec<u8>) {
        let at = match decode::<New>("New", &bytes) {
            Ok(_) => 0,
            Err(malformed) => malformed.at,
        };
        prop_assert!(at <= bytes.len());
    }
}
