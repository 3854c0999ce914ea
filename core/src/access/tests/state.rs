use std::collections::BTreeSet;

use super::*;
use crate::wire::codec;

fn issued(id: u64, user: &str, expires_unix_ms: u64) -> AccessRecord {
    AccessRecord::TokenIssued {
        token: TokenId::new(id),
        digest: TokenDigest::new([7; 32]),
        user: name(user),
        issued_unix_ms: TODAY,
        expires_unix_ms,
        scope: None,
    }
}

#[test]
fn the_first_account_is_an_administrator_who_must_change_the_well_known_password() {
    let mut state = AccessState::default();
    assert!(state.is_empty() && !state.has_well_known_password());
    for record in initial_records(phc("123456")) {
        state.apply(&record);
    }
    let admin = state.user("admin").unwrap();
    assert!(!state.is_empty() && state.has_well_known_password());
    assert!(admin.must_change_password());
    assert!(Right::ALL.into_iter().all(|right| admin.has(right)));

    state.apply(&AccessRecord::PasswordSet {
        user: name("admin"),
        hash: PasswordHash::new(phc(GOOD)),
        must_change: false,
    });
    assert!(!state.has_well_known_password());
    assert!(!state.user("admin").unwrap().must_change_password());
}

#[test]
fn a_bootstrapped_account_has_its_token_and_nothing_to_change() {
    let token = Token::draw(&mut SecretPrng::new(Seed::from_number(3)));
    let bootstrap = Bootstrap {
        password_hash: phc(GOOD),
        token: token.reveal(),
        token_expires_unix_ms: TODAY + 1000,
    };
    let mut desk = Desk::founded();
    desk.state = AccessState::default();
    desk.append(bootstrap_records(&bootstrap));
    assert!(!desk.state.has_well_known_password());
    let admin = caller(1, Some(&token.reveal()));
    assert_eq!(desk.ask(&admin, add_user("bob", false)), Ok(Response::Done));
    assert!(desk.ask(&caller(1, None), login("admin", GOOD)).is_ok());
    let user = desk.state.user("admin").unwrap();
    assert!(user.has(Right::DfsRead) && user.has(Right::DfsWrite));
    assert_eq!(
        desk.who_am_i(&Caller::Remote {
            address: address(1),
            token: Some(token.reveal()),
            unix_ms: TODAY + 1000
        }),
        Err(Refusal::Unauthenticated)
    );
}

#[test]
fn a_bootstrap_token_that_is_none_leaves_an_account_to_log_in_to() {
    let bootstrap = Bootstrap {
        password_hash: phc(GOOD),
        token: "vqt_short".to_owned(),
        token_expires_unix_ms: u64::MAX,
    };
    let mut desk = Desk::founded();
    desk.state = AccessState::default();
    desk.append(bootstrap_records(&bootstrap));
    assert_eq!(
        desk.who_am_i(&caller(1, Some("vqt_short"))),
        Err(Refusal::Unauthenticated)
    );
    assert!(desk.ask(&caller(1, None), login("admin", GOOD)).is_ok());
}

#[test]
fn records_that_make_no_sense_change_nothing() {
    let desk = Desk::with_users(&["bob"]);
    let hash = PasswordHash::new("other".to_owned());
    let user_again = AccessRecord::UserAdded {
        user: name("bob"),
        hash: hash.clone(),
        admin: true,
        rights: BTreeSet::from(Right::ALL),
        must_change: false,
        well_known: false,
    };
    let nonsense = [
        user_again,
        AccessRecord::UserRemoved {
            user: name("nobody"),
        },
        AccessRecord::UserRemoved {
            user: name("admin"),
        },
        AccessRecord::PasswordSet {
            user: name("nobody"),
            hash,
            must_change: true,
        },
        AccessRecord::Granted {
            user: name("nobody"),
            right: Right::Admin,
        },
        AccessRecord::Granted {
            user: name("admin"),
            right: Right::Admin,
        },
        AccessRecord::Revoked {
            user: name("admin"),
            right: Right::Admin,
        },
        AccessRecord::Revoked {
            user: name("bob"),
            right: Right::DfsRead,
        },
        issued(1, "nobody", TODAY + 1),
        AccessRecord::TokenRevoked {
            token: TokenId::new(99),
        },
    ];
    for record in nonsense {
        let mut state = desk.state.clone();
        state.apply(&record);
        assert_eq!(state, desk.state, "{record:?}");
    }
}

#[test]
fn the_first_of_two_tokens_with_one_id_stands() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    desk.append(vec![
        issued(1, "bob", TODAY + 1),
        issued(1, "eve", TODAY + 9),
    ]);
    let token = desk.state.token(TokenId::new(1)).unwrap();
    assert_eq!(token.user().as_str(), "bob");
    assert_eq!(token.expires_unix_ms(), TODAY + 1);
    assert_eq!(token.issued_unix_ms(), TODAY);
}

#[test]
fn the_token_with_the_least_life_left_gives_way() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    let long_lived = 1;
    let year = TODAY + 365 * 24 * 3_600_000;
    desk.append(vec![issued(long_lived, "bob", year), issued(2, "eve", 5)]);
    for id in 10..200 {
        let version = desk.state.grant_version();
        desk.append(vec![issued(id, "bob", TODAY + id)]);
        assert!(
            desk.state.token(TokenId::new(id)).is_some(),
            "a new token is never the one to go"
        );
        let full = id - 10 + 1 >= TOKENS_PER_USER_MAX as u64;
        assert_eq!(desk.state.grant_version() > version, full, "token {id}");
    }
    assert!(desk.state.token(TokenId::new(long_lived)).is_some());
    assert!(desk.state.token(TokenId::new(2)).is_some(), "eve's own");
    let left = (10..200).filter(|id| desk.state.token(TokenId::new(*id)).is_some());
    assert_eq!(left.count(), TOKENS_PER_USER_MAX - 1);
    // Even one with less life than all others is issued.
    desk.append(vec![issued(500, "bob", 1)]);
    assert!(desk.state.token(TokenId::new(500)).is_some());
}

#[test]
fn a_user_knows_the_version_of_the_last_change() {
    let mut desk = Desk::with_users(&["bob", "eve"]);
    let bob = desk.state.user("bob").unwrap().grant_version();
    desk.ask(&Caller::CONSOLE, grant("eve", Right::LogRead))
        .unwrap();
    let state = &desk.state;
    assert_eq!(state.user("bob").unwrap().grant_version(), bob);
    assert_eq!(
        state.user("eve").unwrap().grant_version(),
        state.grant_version()
    );
}

#[test]
fn users_are_listed_by_name_with_their_rights() {
    let mut desk = Desk::with_users(&["zoe", "bob"]);
    for right in [Right::DfsWrite, Right::DfsRead] {
        desk.ask(&Caller::CONSOLE, grant("zoe", right)).unwrap();
    }
    let Ok(Response::Users(rows)) = desk.ask(&Caller::CONSOLE, Verb::ListUsers) else {
        panic!("the console may list users");
    };
    let names: Vec<&str> = rows.iter().map(|row| row.user.as_str()).collect();
    assert_eq!(names, ["admin", "bob", "zoe"]);
    assert_eq!(rows[2].rights, [Right::DfsRead, Right::DfsWrite]);
}

#[test]
fn fields_of_a_later_version_are_skipped_and_records_of_one_are_not() {
    // TokenRevoked { token: 5 } with a second field that nobody knows yet.
    let newer = [0x82, 0x06, 0x82, 0x05, 0x63, b'n', b'e', b'w'];
    assert_eq!(
        codec::decode::<AccessRecord>("AccessRecord", &newer),
        Ok(AccessRecord::TokenRevoked {
            token: TokenId::new(5)
        })
    );
    let unknown = [0x82, 0x18, 99, 0x80];
    assert!(codec::decode::<AccessRecord>("AccessRecord", &unknown).is_err());
}

#[test]
fn the_bytes_of_each_record_are_those_that_logs_contain() {
    let user = || name("bob");
    let hash = || PasswordHash::new("$h".to_owned());
    let (token, digest) = (TokenId::new(5), TokenDigest::new([0xab; 32]));
    let golden = [
        (
            AccessRecord::UserAdded {
                user: user(),
                hash: hash(),
                admin: true,
                rights: BTreeSet::from([Right::DfsRead, Right::LogRead]),
                must_change: false,
                well_known: true,
            },
            "82008663626f6262 2468f5820103f4f5".replace(' ', ""),
        ),
        (
            AccessRecord::UserRemoved { user: user() },
            "82018163626f62".to_owned(),
        ),
        (
            AccessRecord::PasswordSet {
                user: user(),
                hash: hash(),
                must_change: true,
            },
            "82028363626f62622468f5".to_owned(),
        ),
        (
            AccessRecord::Granted {
                user: user(),
                right: Right::Admin,
            },
            "82038263626f6200".to_owned(),
        ),
        (
            AccessRecord::Revoked {
                user: user(),
                right: Right::DfsWrite,
            },
            "82048263626f6202".to_owned(),
        ),
        (
            AccessRecord::TokenIssued {
                token,
                digest,
                user: user(),
                issued_unix_ms: 1,
                expires_unix_ms: 2,
                scope: None,
            },
            format!("8205 85 05 5820{} 63626f62 01 02", "ab".repeat(32)).replace(' ', ""),
        ),
        (AccessRecord::TokenRevoked { token }, "82068105".to_owned()),
    ];
    for (record, expected) in golden {
        let bytes = codec::encode(&record);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{record:?}");
        assert_eq!(codec::decode("AccessRecord", &bytes), Ok(record));
    }
}
