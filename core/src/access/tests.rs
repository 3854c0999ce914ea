use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::admin::{Caller, LogRange, Refusal, Response, Right, Selection, Verb};
use crate::ids::Alias;
use crate::io::{Job, JobOutcome};
use crate::prng::{SecretPrng, Seed};
use crate::secret::Password;
use crate::time::Timestamp;
use crate::wire::codec;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOON: u64 = 1_800_000_000_000;

/// A state, a gate, and jobs that take no time.
struct House {
    state: AccessState,
    gate: Access,
    secrets: SecretPrng,
    now: Timestamp,
}

fn hash(password: &Password) -> String {
    format!("hash of {}", password.reveal())
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn remote(token: Option<&str>) -> Caller {
    Caller::Remote {
        address: HOME,
        token: token.map(str::to_owned),
        unix_ms: NOON,
    }
}

impl House {
    fn new() -> Self {
        let mut state = AccessState::default();
        for record in initial_records(hash(&first_password())) {
            state.apply(&record);
        }
        let secrets = SecretPrng::new(Seed::from_number(1));
        Self {
            state,
            gate: Access::new(),
            secrets,
            now: Timestamp::ZERO,
        }
    }

    /// A house whose administrator has a real password, and a token.
    fn opened() -> (Self, String) {
        let mut house = Self::new();
        let token = house.login("admin", "123456").unwrap();
        let change = Verb::ChangePassword {
            user: None,
            old: Some(password("123456")),
            new: password("correct horse battery"),
        };
        house.ask(&remote(Some(&token)), change).unwrap();
        (house, token)
    }

    fn ask(&mut self, caller: &Caller, verb: Verb) -> Result<Response, Refusal> {
        let identity = self.gate.authorize(&self.state, caller, &verb)?;
        let aliases = [Alias::new("P1-NODE1-long").unwrap()];
        let mut step = self
            .gate
            .begin(self.now, &self.state, &identity, caller, verb, &aliases);
        loop {
            match step {
                Step::Reply(reply) => return reply,
                Step::Append(records, response) => {
                    for record in &records {
                        self.state.apply(record);
                    }
                    return Ok(response);
                }
                Step::Compute(job, pending) => {
                    let outcome = match job {
                        Job::HashPassword { password } => {
                            JobOutcome::PasswordHashed(hash(&password))
                        }
                        Job::VerifyPassword { password, stored } => {
                            JobOutcome::PasswordVerified(stored == Some(hash(&password)))
                        }
                        Job::BuildCheckpoint(_) => panic!("not a matter of access"),
                    };
                    let (state, secrets) = (&self.state, &mut self.secrets);
                    step = self.gate.finish(self.now, state, pending, outcome, secrets);
                }
            }
        }
    }

    fn login(&mut self, user: &str, text: &str) -> Result<String, Refusal> {
        let verb = Verb::Login {
            user: user.to_owned(),
            password: password(text),
            valid_for: Duration::from_secs(3600),
        };
        match self.ask(&remote(None), verb)? {
            Response::LoggedIn { token, .. } => Ok(token),
            other => panic!("{other:?}"),
        }
    }

    fn add(&mut self, token: &str, user: &str, admin: bool) -> String {
        let password = password("several unrelated words");
        let verb = Verb::AddUser {
            user: user.to_owned(),
            password,
            admin,
        };
        self.ask(&remote(Some(token)), verb).unwrap();
        self.login(user, "several unrelated words").unwrap()
    }
}

/// One verb of each kind.
fn every_verb() -> Vec<Verb> {
    let user = || "somebody".to_owned();
    vec![
        Verb::Login {
            user: user(),
            password: password("x"),
            valid_for: Duration::ZERO,
        },
        Verb::Logout,
        Verb::WhoAmI,
        Verb::Status,
        Verb::ListNodes,
        Verb::StartNodes(Selection::All),
        Verb::StopNodes(Selection::All),
        Verb::ReadLog {
            alias: Alias::new("A").unwrap(),
            generation: 0,
            range: LogRange::Tail { len: 1 },
        },
        Verb::ListUsers,
        Verb::AddUser {
            user: user(),
            password: password("x"),
            admin: false,
        },
        Verb::RemoveUser { user: user() },
        Verb::ChangePassword {
            user: None,
            old: None,
            new: password("x"),
        },
        Verb::Grant {
            user: user(),
            right: Right::DfsRead,
        },
        Verb::Revoke {
            user: user(),
            right: Right::DfsRead,
        },
    ]
}

#[test]
fn without_a_token_nothing_but_a_login_is_looked_at() {
    let house = House::new();
    for verb in every_verb() {
        let answer = house.gate.authorize(&house.state, &remote(None), &verb);
        if matches!(verb, Verb::Login { .. }) {
            assert_eq!(answer, Ok(Identity::Nobody));
        } else {
            assert_eq!(answer, Err(Refusal::Unauthenticated), "{verb:?}");
        }
    }
}

#[test]
fn the_first_password_opens_nothing_but_its_own_change() {
    let mut house = House::new();
    let token = house.login("admin", "123456").unwrap();
    for verb in every_verb() {
        let answer = house
            .gate
            .authorize(&house.state, &remote(Some(&token)), &verb);
        let allowed = matches!(
            verb,
            Verb::Login { .. } | Verb::Logout | Verb::WhoAmI | Verb::ChangePassword { .. }
        );
        assert_eq!(answer.is_ok(), allowed, "{verb:?}");
        if !allowed {
            assert_eq!(
                answer,
                Err(Refusal::PasswordChangeRequired {
                    user: "admin".to_owned()
                })
            );
        }
    }
    let another = Verb::ChangePassword {
        user: Some("admin2".to_owned()),
        old: None,
        new: password("correct horse battery"),
    };
    let refused = house.ask(&remote(Some(&token)), another);
    assert_eq!(
        refused,
        Err(Refusal::PasswordChangeRequired {
            user: "admin".to_owned()
        })
    );
}

#[test]
fn after_the_change_the_old_password_is_void_and_the_token_stays() {
    let (mut house, token) = House::opened();
    assert!(matches!(
        house.ask(&remote(Some(&token)), Verb::ListUsers),
        Ok(Response::Users(_))
    ));
    assert_eq!(house.login("admin", "123456"), Err(Refusal::WrongPassword));
    house.login("admin", "correct horse battery").unwrap();
}

#[test]
fn weak_passwords_are_refused_with_the_reason() {
    let (mut house, token) = House::opened();
    for (weak, why) in [
        ("123456", "10 to 128 bytes"),
        ("1234567890", "guessed first"),
        ("password123!", "tried first"),
        ("0987654321", "tried first"),
        ("aaaaaaaaaaaa", "tried first"),
        ("P1-NODE1-long", "name of a user or node"),
        ("tab\tin the middle", "control characters"),
    ] {
        let verb = Verb::AddUser {
            user: "eve".to_owned(),
            password: password(weak),
            admin: false,
        };
        match house.ask(&remote(Some(&token)), verb) {
            Err(Refusal::Invalid { reason }) => assert!(reason.contains(why), "{weak}: {reason}"),
            other => panic!("{weak}: {other:?}"),
        }
    }
}

#[test]
fn a_user_may_do_what_was_granted_and_nothing_else() {
    let (mut house, admin) = House::opened();
    let token = house.add(&admin, "eve", false);
    let read_log = || Verb::ReadLog {
        alias: Alias::new("A").unwrap(),
        generation: 0,
        range: LogRange::Tail { len: 1 },
    };
    let refused = house
        .gate
        .authorize(&house.state, &remote(Some(&token)), &read_log());
    let right = Right::LogRead;
    assert_eq!(
        refused,
        Err(Refusal::Forbidden {
            user: "eve".to_owned(),
            right
        })
    );
    house
        .ask(
            &remote(Some(&admin)),
            Verb::Grant {
                user: "eve".to_owned(),
                right,
            },
        )
        .unwrap();
    assert!(
        house
            .gate
            .authorize(&house.state, &remote(Some(&token)), &read_log())
            .is_ok()
    );
    house
        .ask(
            &remote(Some(&admin)),
            Verb::Revoke {
                user: "eve".to_owned(),
                right,
            },
        )
        .unwrap();
    let gone = house
        .gate
        .authorize(&house.state, &remote(Some(&token)), &read_log());
    assert_eq!(
        gone,
        Err(Refusal::Unauthenticated),
        "a token from before is void"
    );
}

#[test]
fn the_last_administrator_stays() {
    let (mut house, admin) = House::opened();
    let remove = || Verb::RemoveUser {
        user: "admin".to_owned(),
    };
    let refused = house.ask(&remote(Some(&admin)), remove());
    assert!(
        matches!(refused, Err(Refusal::Conflict { .. })),
        "{refused:?}"
    );
    let right = Right::Admin;
    let deprive = Verb::Revoke {
        user: "admin".to_owned(),
        right,
    };
    let refused = house.ask(&remote(Some(&admin)), deprive);
    assert!(
        matches!(refused, Err(Refusal::Conflict { .. })),
        "{refused:?}"
    );
    let second = house.add(&admin, "second", true);
    house.ask(&remote(Some(&second)), remove()).unwrap();
    assert_eq!(
        house
            .gate
            .authorize(&house.state, &remote(Some(&admin)), &Verb::WhoAmI),
        Err(Refusal::Unauthenticated),
        "a removed user's tokens are void"
    );
}

#[test]
fn a_token_expires_and_a_logout_voids_it() {
    let (mut house, admin) = House::opened();
    let later = Caller::Remote {
        address: HOME,
        token: Some(admin.clone()),
        unix_ms: NOON + 3_600_000,
    };
    assert_eq!(
        house.gate.authorize(&house.state, &later, &Verb::WhoAmI),
        Err(Refusal::Unauthenticated)
    );
    house.ask(&remote(Some(&admin)), Verb::Logout).unwrap();
    let after = house.ask(&remote(Some(&admin)), Verb::WhoAmI);
    assert_eq!(after, Err(Refusal::Unauthenticated));
}

#[test]
fn a_tokens_secret_counts_and_not_only_its_id() {
    let (house, admin) = House::opened();
    let mut forged = admin.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    for token in [forged.as_str(), "vqt__", "vqt_a_", "", "Bearer x"] {
        let answer = house
            .gate
            .authorize(&house.state, &remote(Some(token)), &Verb::WhoAmI);
        assert_eq!(answer, Err(Refusal::Unauthenticated), "{token}");
    }
}

#[test]
fn guessing_gets_slower_and_the_right_password_ends_it() {
    let (mut house, _) = House::opened();
    for _ in 0..5 {
        assert_eq!(house.login("admin", "guess"), Err(Refusal::WrongPassword));
    }
    let refused = house.login("admin", "correct horse battery");
    assert!(
        matches!(refused, Err(Refusal::Busy { .. })),
        "even the right one has to wait"
    );
    house.now = house.now.after(Duration::from_secs(2));
    house.login("admin", "correct horse battery").unwrap();
    assert_eq!(
        house.login("admin", "guess"),
        Err(Refusal::WrongPassword),
        "it starts anew"
    );
}

#[test]
fn a_source_that_guesses_at_many_accounts_is_slowed_too() {
    let (mut house, _) = House::opened();
    let mut refusals = 0;
    for n in 0..30 {
        match house.login(&format!("user{n}"), "guess") {
            Err(Refusal::Busy { retry_after, .. }) => {
                assert!(retry_after <= Duration::from_secs(6));
                refusals += 1;
            }
            other => assert_eq!(other, Err(Refusal::WrongPassword)),
        }
    }
    assert_eq!(refusals, 20, "ten at once, then one in six seconds");
}

#[test]
fn an_unknown_user_costs_the_same_computation() {
    let house = House::new();
    let mut gate = Access::new();
    let verb = Verb::Login {
        user: "nobody".to_owned(),
        password: password("x"),
        valid_for: Duration::from_secs(1),
    };
    let step = gate.begin(
        house.now,
        &house.state,
        &Identity::Nobody,
        &remote(None),
        verb,
        &[],
    );
    let Step::Compute(Job::VerifyPassword { stored: None, .. }, _) = step else {
        panic!("{step:?}");
    };
}

#[test]
fn nothing_secret_is_printed() {
    let mut house = House::new();
    let token = house.login("admin", "123456").unwrap();
    let (_, secret) = super::state::split_token(&token).unwrap();
    let shown = format!("{:?} {:?}", house.state, house.gate);
    assert!(
        !shown.contains(secret) && !shown.contains("hash of"),
        "{shown}"
    );
    let record = AccessRecord::UserAdded {
        user: "u".to_owned(),
        password_hash: "canary".to_owned(),
        admin: true,
        must_change: false,
    };
    assert!(!format!("{record:?}").contains("canary"));
    assert!(!format!("{:?}", password("canary")).contains("canary"));
}

#[test]
fn a_bootstrap_account_is_ready_to_use() {
    let mut state = AccessState::default();
    let bootstrap = Bootstrap {
        password_hash: hash(&password("chosen by somebody")),
        token: "vqt_0011_secret".to_owned(),
        token_expires_unix_ms: NOON + 1,
    };
    for record in bootstrap_records(&bootstrap) {
        state.apply(&record);
    }
    let gate = Access::new();
    let caller = remote(Some("vqt_0011_secret"));
    assert!(gate.authorize(&state, &caller, &Verb::ListUsers).is_ok());
}

fn any_record() -> impl Strategy<Value = AccessRecord> {
    let user = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    let right = prop::sample::select(Right::ALL.to_vec());
    let id = prop::sample::select(vec!["1", "2", "3"]).prop_map(str::to_owned);
    prop_oneof![
        (user.clone(), any::<bool>(), any::<bool>()).prop_map(|(user, admin, must_change)| {
            AccessRecord::UserAdded {
                user,
                password_hash: "h".to_owned(),
                admin,
                must_change,
            }
        }),
        user.clone()
            .prop_map(|user| AccessRecord::UserRemoved { user }),
        (user.clone(), any::<bool>(), prop::option::of(id.clone())).prop_map(
            |(user, must_change, keep_token)| AccessRecord::PasswordSet {
                user,
                password_hash: "g".to_owned(),
                must_change,
                keep_token,
            }
        ),
        (user.clone(), right.clone())
            .prop_map(|(user, right)| AccessRecord::Granted { user, right }),
        (user.clone(), right).prop_map(|(user, right)| AccessRecord::Revoked { user, right }),
        (id.clone(), user, any::<u64>()).prop_map(|(id, user, expires_unix_ms)| {
            AccessRecord::TokenIssued {
                id,
                secret_digest: [7; 32],
                user,
                expires_unix_ms,
            }
        }),
        id.prop_map(|id| AccessRecord::TokenRevoked { id }),
    ]
}

proptest! {
    #[test]
    fn any_records_replay_alike_and_survive_a_checkpoint(
        records in prop::collection::vec(any_record(), 0..60),
    ) {
        let mut state = AccessState::default();
        let mut again = AccessState::default();
        for record in &records {
            state.apply(record);
            let bytes = codec::encode(record);
            again.apply(&codec::decode("AccessRecord", &bytes).unwrap());
        }
        prop_assert_eq!(&state, &again);
        let bytes = codec::encode(&state);
        let restored: AccessState = codec::decode("AccessState", &bytes).unwrap();
        prop_assert_eq!(codec::encode(&restored), bytes);
        prop_assert_eq!(restored, state);
    }
}
