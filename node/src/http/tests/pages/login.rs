//! Who gets in, and how.

use std::time::Duration;

use vaquita_core::admin::{Refusal, Response, Verb};

use super::super::harness::{
    FRESH, FakeFront, PLAIN, connect, loopback, request, server_with, settings,
};
use super::{FORM, cookie, location, logged_in, sample};
use crate::http::ROUTES;
use crate::http::session::csrf;

#[tokio::test]
async fn a_login_gives_a_cookie_that_scripts_cannot_read_and_other_sites_cannot_send() {
    for (must_change, next, leads_to) in [
        (false, "/volumes", "/volumes"),
        (false, "//evil.example", "/"),
        (true, "/volumes", "/password"),
    ] {
        let front = FakeFront::telling([Ok(logged_in(must_change))]);
        let answer = request("POST", "/login")
            .header("Content-Type", FORM)
            .raw(&format!("user=admin&password=secret+word&next={next}"))
            .send(&front)
            .await;
        assert_eq!((answer.status, location(&answer)), (303, leads_to));
        assert_eq!(
            answer.header("set-cookie"),
            Some("vq8990=vqt_0_1; Path=/; HttpOnly; SameSite=Strict")
        );
        let verbs = front.verbs();
        let [Verb::Login { user, password, .. }] = &verbs[..] else {
            panic!("{verbs:?}");
        };
        assert_eq!((user.as_str(), password.reveal()), ("admin", "secret word"));
    }
}

#[tokio::test]
async fn a_failed_login_says_why_keeps_the_name_and_never_the_password() {
    let refusals = [
        (
            Refusal::WrongPassword,
            401,
            "wrong user name or password",
            false,
        ),
        (Refusal::SetupCodeRequired, 401, "setup code", true),
        (
            Refusal::Busy {
                reason: "too many failures".to_owned(),
                retry_after: Duration::from_secs(7),
            },
            429,
            "try again in 7 s",
            false,
        ),
    ];
    for (refusal, status, says, asks_code) in refusals {
        let front = FakeFront::telling([Err(refusal)]);
        let answer = request("POST", "/login")
            .header("Content-Type", FORM)
            .raw("user=eve%22%3E%3Cb%3E&password=hunter22222")
            .send(&front)
            .await;
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(says), "{}", answer.body);
        assert!(answer.body.contains("value=\"eve&#34;&#62;&#60;b&#62;\""));
        assert!(!answer.body.contains("hunter"));
        assert_eq!(answer.body.contains("name=\"setup_code\""), asks_code);
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("retry-after").is_some(), status == 429);
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_log_anybody_in() {
    let front = FakeFront::default();
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let answer = request("POST", "/login")
            .header("Content-Type", FORM)
            .header(name, value)
            .raw("user=eve&password=hunter22222")
            .send(&front)
            .await;
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert!(front.verbs().is_empty());
}

#[tokio::test]
async fn who_has_to_log_in_is_led_there_and_back() {
    let front = FakeFront::default();
    let answer = request("GET", "/logs/P1-NODE1?q=a%20b").send(&front).await;
    assert_eq!(answer.status, 303);
    assert_eq!(
        location(&answer),
        "/login?next=%2Flogs%2FP1-NODE1%3Fq%3Da%2520b"
    );
    let answer = request("GET", "/")
        .header("Cookie", &cookie("made-up"))
        .send(&front)
        .await;
    assert_eq!(location(&answer), "/login?why=ended");
    let ended = answer.header("set-cookie").unwrap();
    assert!(ended.contains("Max-Age=0"), "{ended}");
    let page = request("GET", "/login?why=ended").send(&front).await;
    assert!(page.body.contains("Your session has ended"));
}

#[tokio::test]
async fn whoever_has_the_first_password_gets_to_no_page_but_that_which_changes_it() {
    for route in ROUTES
        .iter()
        .filter(|it| it.is_page() && it.method == "GET")
    {
        let path = sample(route);
        let open = ["/login", "/password", "/static/0/app.css", "/ui/events"];
        if open.contains(&path.as_str()) {
            continue;
        }
        let answer = request("GET", path.clone())
            .header("Cookie", &cookie(FRESH))
            .send(&FakeFront::default())
            .await;
        let forbidden = answer.status == 403 || location(&answer) == "/password";
        assert!(forbidden, "{path}: {answer:?}");
    }
    let answer = request("GET", "/password")
        .header("Cookie", &cookie(FRESH))
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("choose a password of your own"));
    assert!(!answer.body.contains("<nav"), "there is nowhere else to go");
}

#[tokio::test]
async fn a_changed_password_ends_the_session_and_a_refused_one_says_why() {
    let change = |front: FakeFront, new: &'static str, again: &'static str| async move {
        let proof = csrf(FRESH);
        request("POST", "/password")
            .header("Cookie", &cookie(FRESH))
            .header("Content-Type", FORM)
            .raw(&format!("csrf={proof}&old=123456&new={new}&again={again}"))
            .send(&front)
            .await
    };
    let done = FakeFront::telling([Ok(Response::Done)]);
    let answer = change(done, "a-good-one-1", "a-good-one-1").await;
    assert_eq!(location(&answer), "/login?why=changed");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    let reason = "too short <b>".to_owned();
    let refused = FakeFront::telling([Err(Refusal::Invalid { reason })]);
    let answer = change(refused, "short", "short").await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("too short &#60;b&#62;"));
    let answer = change(FakeFront::default(), "one-of-them", "the-other-1").await;
    assert!(answer.body.contains("are not the same"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_uses_ends_at_the_controller_too() {
    let front = FakeFront::telling([Ok(Response::Done)]);
    let server = server_with(&front, settings());
    let look = |live: bool| {
        let sent = request("GET", "/password").header("Cookie", &cookie(PLAIN));
        match live {
            true => sent.header("X-VQ-Live", "1"),
            false => sent,
        }
    };
    assert_eq!(look(false).to(&server).await.status, 200);
    tokio::time::advance(Duration::from_secs(29 * 60)).await;
    assert_eq!(look(true).to(&server).await.status, 200);
    tokio::time::advance(Duration::from_secs(60)).await;
    let answer = look(true).to(&server).await;
    assert_eq!(location(&answer), "/login?next=%2Fpassword&why=ended");
    assert_eq!(front.verbs(), [Verb::Logout]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_is_not_somebody_who_uses_the_session() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let front = FakeFront::default();
    let server = server_with(&front, settings());
    let listen = || async {
        let mut stream = connect(&server, loopback());
        let asked = format!(
            "GET /ui/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
            cookie(PLAIN)
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut bytes = [0; 1024];
        let len = stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let look = request("GET", "/password").header("Cookie", &cookie(PLAIN));
    assert_eq!(look.to(&server).await.status, 200);
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(14 * 60)).await;
        assert!(listen().await.starts_with("HTTP/1.1 200"));
    }
    front.script.lock().unwrap().push_back(Ok(Response::Done));
    tokio::time::advance(Duration::from_secs(2 * 60)).await;
    assert!(!listen().await.starts_with("HTTP/1.1 200"));
}
