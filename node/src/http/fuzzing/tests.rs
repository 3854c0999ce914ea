//! What holds for all requests, and that the body would see it if it did not.

use arbitrary::Unstructured;
use axum::body::Body;
use axum::http::Request;
use proptest::collection::vec;
use proptest::prelude::*;

use super::machine::FOUNDED;
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
/// than users.
async fn make_directory(token: &str, shown: Shown) -> (u16, bool, bool) {
    let machine = FOUNDED.start();
    let body = r#"{"path":"/data"}"#;
    let mut request = Request::post("/api/v1/dfs/mkdir")
        .header("host", "localhost:8990")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    show(request.headers_mut(), shown, token, COOKIE);
    let (before, own) = (machine.state(false), machine.state(true));
    let (status, _, _) = ask(&server(&machine, false), Drawn { request, shown }).await;
    let changed = machine.state(false) != before;
    (status.as_u16(), changed, machine.state(true) != own)
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
