//! What holds for every log, whatever it says.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::wire::codec;

fn any_user() -> impl Strategy<Value = UserName> {
    prop::sample::select(vec!["admin", "bob", "eve", "zoe"]).prop_map(name)
}

fn any_right() -> impl Strategy<Value = Right> {
    prop::sample::select(Right::ALL.to_vec())
}

fn any_hash() -> impl Strategy<Value = PasswordHash> {
    "[a-z$]{0,8}".prop_map(PasswordHash::new)
}

fn any_token() -> impl Strategy<Value = TokenId> {
    (0_u64..60).prop_map(TokenId::new)
}

fn any_record() -> impl Strategy<Value = AccessRecord> {
    let added = (
        any_user(),
        any_hash(),
        any::<bool>(),
        btree_set(any_right(), 0..4),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(user, hash, admin, rights, must_change, well_known)| {
            AccessRecord::UserAdded {
                user,
                hash,
                admin,
                rights,
                must_change,
                well_known,
            }
        });
    let issued = (
        any_token(),
        any_user(),
        any::<u64>(),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(token, user, issued_unix_ms, expires_unix_ms, labelled)| {
            AccessRecord::TokenIssued {
                token,
                digest: TokenDigest::new([1; 32]),
                user,
                issued_unix_ms,
                expires_unix_ms,
                scope: labelled.then(|| TokenScope {
                    label: "backup".to_owned(),
                    rights: None,
                    networks: Vec::new(),
                }),
            }
        });
    prop_oneof![
        3 => added,
        1 => any_user().prop_map(|user| AccessRecord::UserRemoved { user }),
        1 => (any_user(), any_hash(), any::<bool>()).prop_map(|(user, hash, must_change)| {
            AccessRecord::PasswordSet { user, hash, must_change }
        }),
        2 => (any_user(), any_right()).prop_map(|(user, right)| AccessRecord::Granted { user, right }),
        2 => (any_user(), any_right()).prop_map(|(user, right)| AccessRecord::Revoked { user, right }),
        20 => issued,
        2 => any_token().prop_map(|token| AccessRecord::TokenRevoked { token }),
    ]
}

fn admins(state: &AccessState) -> usize {
    state.rows().iter().filter(|row| row.admin).count()
}

proptest! {
    #[test]
    fn any_sequence_of_records_keeps_the_invariants(records in vec(any_record(), 0..200)) {
        let mut state = AccessState::default();
        for record in &records {
            let had_admin = admins(&state) > 0;
            let version = state.grant_version();
            state.apply(record);
            state.check_invariants();
            prop_assert!(admins(&state) > 0 || !had_admin, "{record:?} took the last administrator");
            prop_assert!(state.grant_version() >= version);
        }
    }

    #[test]
    fn a_checkpoint_is_the_state(records in vec(any_record(), 0..200), cut in 0_usize..200) {
        let cut = cut.min(records.len());
        let mut whole = AccessState::default();
        let mut before = AccessState::default();
        for (position, record) in records.iter().enumerate() {
            whole.apply(record);
            if position < cut {
                before.apply(record);
            }
        }
        let bytes = codec::encode(&before);
        let mut resumed: AccessState = codec::decode("checkpoint", &bytes).unwrap();
        prop_assert_eq!(&resumed, &before);
        for record in &records[cut..] {
            let bytes = codec::encode(record);
            resumed.apply(&codec::decode("AccessRecord", &bytes).unwrap());
        }
        prop_assert_eq!(codec::encode(&resumed), codec::encode(&whole));
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_in_peace(bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(record) = codec::decode::<AccessRecord>("AccessRecord", &bytes) {
            let mut state = AccessState::default();
            state.apply(&record);
            state.check_invariants();
        }
        if let Ok(state) = codec::decode::<AccessState>("checkpoint", &bytes) {
            prop_assert_eq!(codec::decode("checkpoint", &codec::encode(&state)), Ok(state));
        }
    }

    #[test]
    fn nobody_gets_in_but_by_the_password_or_a_token(
        texts in vec("\\PC{0,90}", 0..20),
        seed in any::<u64>(),
    ) {
        let mut desk = Desk::with_users(&["bob"]);
        desk.token("bob", GOOD);
        let forged = Token::draw(&mut SecretPrng::new(Seed::from_number(seed))).reveal();
        for text in texts.iter().chain([&forged]) {
            prop_assert_eq!(
                desk.who_am_i(&caller(1, Some(text))),
                Err(Refusal::Unauthenticated)
            );
            let reply = desk.ask(&caller(1, None), login("bob", text));
            prop_assert!(reply.is_err());
        }
    }
}

#[test]
fn what_a_controller_did_is_what_a_replay_gives() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    let admin = desk.session("admin", GOOD);
    let bob = desk.session("bob", GOOD);
    for (caller, verb) in [
        (&admin, grant("eve", Right::DfsRead)),
        (&admin, grant("bob", Right::Admin)),
        (&bob, Verb::Logout),
        (&admin, reset_password("eve", BETTER)),
        (&admin, remove_user("bob")),
        (&admin, set_own_password(GOOD, BETTER)),
    ] {
        drop(desk.ask(caller, verb));
    }
    desk.token("eve", BETTER);
    let mut replayed = AccessState::default();
    for record in &desk.log {
        let bytes = codec::encode(record);
        replayed.apply(&codec::decode("AccessRecord", &bytes).unwrap());
    }
    assert_eq!(replayed, desk.state);
    assert_eq!(codec::encode(&replayed), codec::encode(&desk.state));
}
