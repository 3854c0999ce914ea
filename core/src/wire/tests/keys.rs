use std::collections::BTreeSet;

use crate::ids::{NodeId, Role};
use crate::wire::datagram::Direction;
use crate::wire::keys::{KeyRole, Keyring, NO_SECRET, SHARED_SECRET};
use crate::wire::session::Session;

use super::{data_node, keyring, no_keyring, secret};

const ROLES: [KeyRole; 4] = [
    KeyRole::Process(Role::Controller),
    KeyRole::Process(Role::Agent),
    KeyRole::Process(Role::DataNode),
    KeyRole::ClientToken,
];

/// RFC 5869, appendix A.3, speaks for the function; this one, computed apart from this program
/// with Python's `hmac`, speaks for the label.
#[test]
fn a_key_is_hkdf_of_the_documented_label() {
    let key = keyring(0)
        .derive(KeyRole::Process(Role::DataNode), "proof")
        .unwrap();
    let hex: String = key
        .reveal()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "6086e18804c18aebf61e42a840369ecf2a5053f30e4ca81a33afa65ab1671516"
    );
}

#[test]
fn each_role_and_purpose_and_secret_has_a_key_of_its_own() {
    let mut keys = BTreeSet::new();
    for first in [0, 1] {
        for role in ROLES {
            for purpose in ["proof", "session"] {
                keys.insert(*keyring(first).derive(role, purpose).unwrap().reveal());
            }
        }
    }
    assert_eq!(keys.len(), 16);
}

#[test]
fn without_a_secret_there_is_no_key() {
    assert_eq!(no_keyring().key_id(), NO_SECRET);
    assert_eq!(keyring(1).key_id(), SHARED_SECRET);
    assert!(
        ROLES
            .iter()
            .all(|&role| no_keyring().derive(role, "proof").is_none())
    );
}

#[test]
fn nothing_that_holds_a_key_prints_it() {
    let keyring = Keyring::new(Some(&secret(0)));
    let derived = keyring.derive(KeyRole::ClientToken, "read").unwrap();
    let session = Session::dial(&keyring, data_node(), [0; 32]);
    let datagram_key = keyring.datagram_key(Direction::ToNode, NodeId::new([1; 16]));
    assert_eq!(format!("{keyring:?}"), "Keyring { key_id: 1, .. }");
    assert_eq!(format!("{derived:?}"), "DerivedKey(..)");
    assert_eq!(
        format!("{datagram_key:?}"),
        "DatagramKey { tag_key: Some(TagKey { key_id: 1, .. }) }"
    );
    let shown = format!("{session:?}");
    assert!(
        shown.contains("keyring: Keyring { key_id: 1, .. }"),
        "{shown}"
    );
}
