//! What holds for all requests, and that the body would see it if it did not.

use arbitrary::Unstructured;
use axum::body::Body;
use axum::http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use vaquita_core::access::TokenId;
use vaquita_core::admin::{Caller, Response, Right, Verb};
use vaquita_core::secret::Password;

use super::machine::{FOUNDED, Machine};
use super::request::{Drawn, Shown, draw, show};
use super::{COOKIE, ask, fuzz_requests, server};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(150)
    })]

    #[test]
    fn any_requests_change_nothing_without_a_login(data in vec(any::<u8>(), 0..400)) {
        fuzz_requests(&data);
    }
}

/// Makes a directory as somebody; returns the status, and whether that changed the cluster, and more of it
/// than what a user may.
async fn make_directory(token: &str, shown: Shown) -> (u16, bool, bool) {
    let machine = FOUNDED.start();
    let body = r#"{"path":"/data"}"#;
    let mut request = Request::post("/api/v1/dfs/mkdir")
        .header("host", "localhost:8990")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    show(request.headers_mut(), shown, token, COOKIE);
    let (before, of_others) = (machine.state(), machine.state_of_others());
    let (status, _, _) = ask(&server(&machine, false), Drawn { request, shown }).await;
    let changed = machine.state() != before;
    let more = machine.state_of_others() != of_others;
    (status.as_u16(), changed, more)
}

/// The oracle must not be idle: who may change something changes it, and then it shows.
#[tokio::test]
async fn an_administrator_changes_the_state_and_others_do_not() {
    let (admin, plain) = (&FOUNDED.admin, &FOUNDED.plain);
    for shown in [Shown::Token, Shown::CookieAndProof] {
        assert_eq!(
            make_directory(admin, shown).await,
            (201, true, true),
            "{shown:?}"
        );
        assert_eq!(
            make_directory(plain, shown).await,
            (403, false, false),
            "{shown:?}"
        );
    }
    for shown in [Shown::Nothing, Shown::MadeUp] {
        assert_eq!(
            make_directory(admin, shown).await,
            (401, false, false),
            "{shown:?}"
        );
    }
    let by_another_page = make_directory(admin, Shown::CookieAlone).await;
    assert_eq!(by_another_page, (403, false, false));
}

/// Has the console do something; returns whether that changed the cluster, and more of it than what is the
/// user's own.
fn done(verb: impl FnOnce(&Machine) -> Verb) -> (bool, bool) {
    let machine = FOUNDED.start();
    let (before, of_others) = (machine.state(), machine.state_of_others());
    let verb = verb(&machine);
    (machine.ask_as(Caller::CONSOLE, verb)).expect("the console may do that");
    let changed = machine.state() != before;
    (changed, machine.state_of_others() != of_others)
}

fn password_of(user: &str) -> Verb {
    Verb::ChangePassword {
        user: Some(user.to_owned()),
        old: None,
        new: Password::new("twelve green kettles".to_owned()),
    }
}

fn token_of(user: &str, machine: &Machine) -> Verb {
    let told = machine.ask_as(Caller::CONSOLE, Verb::ListTokens { all: true });
    let Ok(Response::Tokens(rows)) = told else {
        panic!("the console may list all tokens: {told:?}");
    };
    let row = rows.iter().find(|row| row.user == user);
    let token = row.and_then(|row| TokenId::parse(&row.id));
    let token = token.expect("everybody has logged in");
    Verb::RevokeToken { token }
}

/// A user without rights who gets at one, or at somebody else's account, must not pass for one who changes
/// what is theirs.
#[test]
fn rights_and_the_accounts_of_others_are_nobodys_own() {
    let grant = |right| Verb::Grant {
        user: "plain".to_owned(),
        right,
    };
    let own = (true, false);
    let more = (true, true);
    assert_eq!(done(|_| grant(Right::Admin)), more);
    assert_eq!(done(|_| grant(Right::DfsRead)), more);
    assert_eq!(done(|_| password_of("admin")), more);
    assert_eq!(done(|machine| token_of("admin", machine)), more);
    let user = "plain".to_owned();
    assert_eq!(done(|_| Verb::RemoveUser { user }), more);
    assert_eq!(done(|_| password_of("plain")), own);
    assert_eq!(done(|machine| token_of("plain", machine)), own);
}

/// The same over the interface: it is theirs to change their own password.
#[tokio::test]
async fn ones_own_password_is_ones_own() {
    let machine = FOUNDED.start();
    let body = r#"{"old":"a hundred sleepy newts","new":"twelve green kettles"}"#;
    let mut request = Request::put("/api/v1/users/plain/password")
        .header("host", "localhost:8990")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let shown = Shown::Token;
    show(request.headers_mut(), shown, &FOUNDED.plain, COOKIE);
    let (before, of_others) = (machine.state(), machine.state_of_others());
    let (status, _, _) = ask(&server(&machine, false), Drawn { request, shown }).await;
    assert!(status.is_success(), "{status}");
    assert!(machine.state() != before);
    assert!(machine.state_of_others() == of_others);
}

/// Of drawn requests, many must get past the gate.
#[tokio::test]
async fn drawn_requests_reach_the_handlers() {
    let mut noise = vaquita_core::prng::Prng::new(7);
    let mut reached = 0;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..50)
            .flat_map(|_| noise.next_u64().to_le_bytes())
            .collect();
        let mut input = Unstructured::new(&bytes);
        let machine = FOUNDED.start();
        let drawn = draw(&mut input, Shown::Token, &FOUNDED.admin, COOKIE).unwrap();
        let Some(drawn) = drawn else { continue };
        let (status, _, _) = ask(&server(&machine, false), drawn).await;
        let is_turned_away = [400, 401, 403, 404, 405, 415, 421].contains(&status.as_u16());
        reached += usize::from(!is_turned_away);
    }
    assert!(reached >= 40, "only {reached} of 200");
}
