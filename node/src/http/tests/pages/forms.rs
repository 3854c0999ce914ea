//! What a browser may be made to do.

use std::time::Duration;

use vaquita_core::admin::{Refusal, Response, Selection, TokenKind, TokenRow, Verb};
use vaquita_core::dfs::ask::{Answer, Ask, RepairStatus};

use super::super::harness::{ADMIN, FILES, FakeFront, PLAIN, request, server_with, settings};
use super::{FORM, cookie, location, logged_in, ordered, sample};
use crate::http::session::csrf;
use crate::http::{ROUTES, Route};

/// The routes that change something, as a browser is made to use them.
fn changing() -> impl Iterator<Item = &'static Route> {
    let changes =
        |route: &&Route| route.method != "GET" && route.path != "/login" && route.path != "/enter";
    let by_cookie = |route: &&Route| route.path != "/api/v1/login";
    ROUTES.iter().filter(changes).filter(by_cookie)
}

fn method(route: &Route) -> &'static str {
    ["POST", "PUT", "DELETE"]
        .into_iter()
        .find(|it| route.method == *it)
        .expect("no other method changes something")
}

#[tokio::test]
async fn nothing_is_changed_by_a_cookie_alone() {
    for route in changing() {
        for proof in [None, Some(csrf("another session")), Some(String::new())] {
            for user in [ADMIN, FILES] {
                let front = FakeFront::default();
                let mut sent = request(method(route), sample(route))
                    .header("Cookie", &cookie(user))
                    .header("Content-Type", FORM);
                let mut body = "do=start&node=P1-NODE1&user=u&path=dfs://&name=a".to_owned();
                if let Some(proof) = &proof {
                    sent = sent.header("X-VQ-CSRF", proof);
                    body.push_str(&format!("&csrf={proof}"));
                }
                let answer = sent.raw(&body).send(&front).await;
                assert_eq!(
                    answer.status, 403,
                    "{} {}: {answer:?}",
                    route.method, route.path
                );
                assert!(front.verbs().is_empty(), "{} {}", route.method, route.path);
            }
        }
    }
}

#[tokio::test]
async fn a_form_of_the_sessions_own_page_is_carried_out_and_told_once() {
    let front = FakeFront::telling([Ok(ordered("P1-NODE1", "starting <now>"))]);
    let server = server_with(&front, settings());
    let proof = csrf(ADMIN);
    let answer = request("POST", "/ui/nodes")
        .header("Cookie", &cookie(ADMIN))
        .header("Content-Type", FORM)
        .header("Origin", "http://localhost:8990")
        .raw(&format!(
            "csrf={proof}&do=start&node=P1-NODE1&node=P2-NODE1"
        ))
        .to(&server)
        .await;
    assert_eq!((answer.status, location(&answer)), (303, "/"));
    let both = ["P1-NODE1", "P2-NODE1"].map(str::to_owned).to_vec();
    assert_eq!(front.verbs(), [Verb::StartNodes(Selection::Aliases(both))]);
    let look = || request("GET", "/account").header("Cookie", &cookie(ADMIN));
    let told = "P1-NODE1: starting &#60;now&#62;";
    let live = look().header("X-VQ-Live", "1").to(&server).await;
    assert!(
        !live.body.contains(told),
        "not to a page that draws itself anew"
    );
    assert!(look().to(&server).await.body.contains(told));
    assert!(!look().to(&server).await.body.contains(told), "once");
}

#[tokio::test]
async fn scripts_of_the_sessions_own_page_use_the_api() {
    let front = FakeFront::telling([Ok(ordered("P1-NODE1", "starting"))]);
    let answer = request("POST", "/api/v1/nodes/start")
        .header("Cookie", &cookie(ADMIN))
        .header("X-VQ-CSRF", &csrf(ADMIN))
        .json(r#"{"aliases":["P1-NODE1"]}"#)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200);
    let answer = request("GET", "/api/v1/me")
        .header("Cookie", &cookie(PLAIN))
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200, "reading takes no proof");
}

#[tokio::test]
async fn a_token_in_a_header_comes_before_a_cookie() {
    let answer = request("GET", "/api/v1/me")
        .header("Cookie", &cookie(ADMIN))
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.json()["user"], "plain");
}

#[tokio::test]
async fn a_refused_order_is_told_on_the_page_that_follows() {
    let reason = "there is no room".to_owned();
    let front = FakeFront::telling([Err(Refusal::Conflict { reason })]);
    let server = server_with(&front, settings());
    let proof = csrf(ADMIN);
    let answer = request("POST", "/ui/nodes")
        .header("Cookie", &cookie(ADMIN))
        .header("Content-Type", FORM)
        .raw(&format!(
            "csrf={proof}&do=drain&node=P1-NODE1&next=/account"
        ))
        .to(&server)
        .await;
    assert_eq!(location(&answer), "/account");
    let look = request("GET", "/account").header("Cookie", &cookie(ADMIN));
    let page = look.to(&server).await.body;
    assert!(page.contains("there is no room") && page.contains("flash bad"));
}

#[tokio::test]
async fn a_token_that_was_made_is_told_on_this_one_page_and_nowhere_else() {
    let row = TokenRow {
        id: "0".repeat(16),
        kind: TokenKind::Token,
        label: Some("backup".to_owned()),
        user: "plain".to_owned(),
        issued_unix_ms: 1,
        expires_unix_ms: 2,
        rights: None,
        networks: Vec::new(),
        current: false,
    };
    let token = "vqt_secret".to_owned();
    let front = FakeFront::telling([
        Ok(Response::Tokens(Vec::new())),
        Ok(Response::TokenIssued {
            token,
            row: row.clone(),
        }),
    ]);
    let server = server_with(&front, settings());
    let proof = csrf(PLAIN);
    let make = |right: &str| {
        request("POST", "/account")
            .header("Cookie", &cookie(PLAIN))
            .header("Content-Type", FORM)
            .raw(&format!(
                "csrf={proof}&label=backup&days=7&right={right}&networks=10.0.0.0/8,+::1"
            ))
    };
    let answer = make("dfs-read").to(&server).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("vqt_secret"));
    let verbs = front.verbs();
    let Some(Verb::IssueToken(wish)) = verbs.get(1) else {
        panic!("{verbs:?}");
    };
    assert_eq!(wish.valid_for, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(wish.networks, ["10.0.0.0/8", "::1"]);
    let look = request("GET", "/account").header("Cookie", &cookie(PLAIN));
    assert!(!look.to(&server).await.body.contains("vqt_secret"));
    // Loading the page of the answer anew sends the form again.
    let there = || Ok(Response::Tokens(vec![row.clone()]));
    front.script.lock().unwrap().push_back(there());
    let again = make("dfs-read").to(&server).await;
    assert_eq!(location(&again), "/account");
    // A right that nobody knows must not leave the token with all of them.
    let unknown = make("dfs-raed").to(&server).await;
    assert_eq!(location(&unknown), "/account");
    let made = |verb: &Verb| matches!(verb, Verb::IssueToken(_));
    assert_eq!(front.verbs().iter().filter(|it| made(it)).count(), 1);
}

#[tokio::test]
async fn what_gives_up_data_takes_the_password_once_more() {
    for (path, body) in [
        ("/api/v1/nodes/remove", r#"{"alias":"P1-NODE1"}"#),
        ("/api/v1/nodes/replace", r#"{"alias":"P1-NODE1"}"#),
        ("/api/v1/repair/settle", "{}"),
        ("/api/v1/volumes/forget", "{}"),
        ("/api/v1/tokens", "{}"),
        ("/api/v1/users", "{}"),
    ] {
        let front = FakeFront::default();
        let answer = request("POST", path)
            .header("Cookie", &cookie(ADMIN))
            .header("X-VQ-CSRF", &csrf(ADMIN))
            .json(body)
            .send(&front)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (403, "password-needed")
        );
        assert!(front.verbs().is_empty(), "{path}");
    }
    let orders = [
        (
            "/ui/nodes",
            "do=remove&node=P1-NODE1&accept_loss_of=P1-NODE1",
            Verb::RemoveNode {
                node: "P1-NODE1".to_owned(),
                accept_loss: Some("P1-NODE1".to_owned()),
            },
        ),
        (
            "/ui/nodes",
            "do=replace&node=P1-NODE1",
            Verb::ReplaceNode {
                node: "P1-NODE1".to_owned(),
            },
        ),
        ("/ui/repair", "do=settle", Verb::Dfs(Ask::SettleLoss)),
    ];
    for (path, fields, verb) in orders {
        let send = |front: FakeFront, password: &'static str| async move {
            let proof = csrf(ADMIN);
            request("POST", path)
                .header("Cookie", &cookie(ADMIN))
                .header("Content-Type", FORM)
                .raw(&format!("csrf={proof}&{fields}&own_password={password}"))
                .send(&front)
                .await
        };
        let without = FakeFront::default();
        assert_eq!(send(without.clone(), "").await.status, 303);
        assert!(without.verbs().is_empty(), "not even a guess: {fields}");
        let wrong = FakeFront::telling([Err(Refusal::WrongPassword)]);
        let answer = send(wrong.clone(), "a+guess").await;
        assert_eq!(answer.status, 303);
        assert!(
            matches!(&wrong.verbs()[..], [Verb::Login { .. }]),
            "{fields}"
        );

        let repaired = Response::Dfs(Answer::Repairs(RepairStatus::default()));
        let last = match &verb {
            Verb::Dfs(_) => repaired,
            _ => ordered("P1-NODE1", "is taken out"),
        };
        let right = FakeFront::telling([Ok(logged_in(false)), Ok(Response::Done), Ok(last)]);
        assert_eq!(send(right.clone(), "the+one").await.status, 303);
        let verbs = right.verbs();
        let [Verb::Login { user, password, .. }, Verb::Logout, done] = &verbs[..] else {
            panic!("{verbs:?}");
        };
        assert_eq!((user.as_str(), password.reveal()), ("admin", "the one"));
        assert_eq!(*done, verb);
    }
}

#[tokio::test]
async fn a_node_is_opened_with_a_token_that_opens_nothing() {
    use super::super::config::Controller;
    let row = TokenRow {
        id: "0".repeat(16),
        kind: TokenKind::Token,
        label: Some("page of P1-NODE1".to_owned()),
        user: "admin".to_owned(),
        issued_unix_ms: 1,
        expires_unix_ms: 2,
        rights: Some(Vec::new()),
        networks: Vec::new(),
        current: false,
    };
    // Called the same by somebody, and good for something: it is nobody else's to end.
    let theirs = TokenRow {
        id: "1".repeat(16),
        issued_unix_ms: 0,
        rights: None,
        ..row.clone()
    };
    let token = "vqt_for_the_node".to_owned();
    let controller = Controller::new();
    controller.front.script.lock().unwrap().extend([
        Ok(Response::Nodes(super::super::harness::status().nodes)),
        Ok(Response::Tokens(vec![theirs, row.clone()])),
        Ok(Response::Done),
        Ok(Response::TokenIssued { token, row }),
    ]);
    let answer = request("POST", "/nodes/P1-NODE1/open")
        .header("Cookie", &cookie(ADMIN))
        .header("Content-Type", FORM)
        .raw(&format!("csrf={}", csrf(ADMIN)))
        .to(&controller.server)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .body
            .contains("action=\"http://127.0.0.2:8961/enter\"")
    );
    assert!(answer.body.contains("value=\"vqt_for_the_node\""));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' http://127.0.0.2:8961;"));
    let verbs = controller.front.verbs();
    let wish = verbs.iter().find_map(|verb| match verb {
        Verb::IssueToken(wish) => Some(wish),
        _ => None,
    });
    let wish = wish.unwrap();
    assert_eq!(wish.rights.as_deref(), Some(&[][..]));
    let mut revoked = verbs.iter().filter_map(|verb| match verb {
        Verb::RevokeToken { token } => Some(token.to_string()),
        _ => None,
    });
    assert_eq!(revoked.next(), Some("0".repeat(16)));
    assert_eq!(revoked.next(), None);
}

#[tokio::test]
async fn a_node_begins_a_session_by_a_token_alone_and_the_controller_never() {
    let enter = |token: &str| {
        request("POST", "/enter")
            .header("Origin", "http://10.1.1.7:8990")
            .header("Content-Type", FORM)
            .raw(&format!("token={token}"))
    };
    let mut elsewhere = settings();
    elsewhere.manager = Some("10.1.1.7:8990".to_owned());
    let server = server_with(&FakeFront::default(), elsewhere);
    let answer = enter(PLAIN).to(&server).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with(&format!("vq8990={PLAIN};")), "{set}");
    let look = request("GET", "/").header("Cookie", &cookie(PLAIN));
    let page = look.to(&server).await;
    assert_eq!(page.status, 200);
    assert!(
        page.body
            .contains("href=\"http://10.1.1.7:8990/nodes/master\"")
    );
    assert!(!page.body.contains("href=\"/users\""));
    let refused = enter("made-up").to(&server).await;
    assert_eq!(refused.header("set-cookie"), None);
    let manager = enter(PLAIN).send(&FakeFront::default()).await;
    assert_eq!((manager.status, manager.header("set-cookie")), (422, None));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_was_shown_counts_for_five_minutes_and_for_its_session_alone() {
    let front = FakeFront::telling([Ok(logged_in(false)), Ok(Response::Done)]);
    let server = server_with(&front, settings());
    let send = |fields: &'static str| {
        let proof = csrf(ADMIN);
        request("POST", "/ui/users")
            .header("Cookie", &cookie(ADMIN))
            .header("Content-Type", FORM)
            .raw(&format!("csrf={proof}&{fields}"))
    };
    let master = "do=grant&user=eve&right=admin";
    send(master).to(&server).await;
    assert!(front.verbs().is_empty(), "the session alone");
    send("do=prove&own_password=the+one").to(&server).await;
    front.script.lock().unwrap().push_back(Ok(Response::Done));
    send(master).to(&server).await;
    let grants = || {
        let verbs = front.verbs();
        verbs
            .iter()
            .filter(|it| matches!(it, Verb::Grant { .. }))
            .count()
    };
    assert_eq!(grants(), 1);
    tokio::time::advance(Duration::from_secs(5 * 60)).await;
    send(master).to(&server).await;
    assert_eq!(grants(), 1, "too late");
    // What makes nobody a master takes no more than the session.
    front.script.lock().unwrap().push_back(Ok(Response::Done));
    send("do=grant&user=eve&right=dfs-read").to(&server).await;
    assert_eq!(grants(), 2);
}
