use tempfile::TempDir;
use vaquita_core::admin::{Response, Verb};

use super::harness::{ADMIN, Answered, FILES, FakeFront, request, server_with, settings};
use crate::driver::Transport;
use crate::http::{HttpServer, HttpSettings};
use crate::tls::Serving;

const FAR: &str = "10.1.1.99:40000";

/// A server of HTTPS, with the certificate that it shows.
struct Secured {
    server: HttpServer,
    serving: Serving,
    _home: TempDir,
}

fn secured(front: &FakeFront, change: impl FnOnce(&mut HttpSettings)) -> Secured {
    let home = TempDir::new().unwrap();
    let serving = crate::tls::tests::serving_in(home.path());
    let mut settings = HttpSettings {
        https: Some(serving.clone()),
        session_cookie: "__Host-vq8990".to_owned(),
        ..settings()
    };
    change(&mut settings);
    Secured {
        server: server_with(front, settings),
        serving,
        _home: home,
    }
}

impl Secured {
    fn in_the_clear(&self) -> HttpServer {
        self.server.for_transport(Transport::Plain)
    }

    fn through_tls(&self) -> HttpServer {
        self.server.for_transport(Transport::Tls)
    }
}

fn logged_in() -> FakeFront {
    FakeFront::telling([Ok(Response::LoggedIn {
        token: "vqt_1_2".to_owned(),
        must_change_password: false,
    })])
}

#[tokio::test]
async fn who_asks_for_something_in_the_clear_is_led_to_https_under_the_same_name() {
    let front = FakeFront::default();
    let server = secured(&front, |_| {}).in_the_clear();
    for (method, host, path) in [
        ("GET", "10.1.1.7:8990", "/"),
        ("GET", "cluster.example", "/files/a%20b?page=2"),
        ("GET", "[::1]:8990", "//evil.example/"),
        ("HEAD", "localhost:8990", "/dfs/a"),
    ] {
        let answer = request(method, path).host(host).to(&server).await;
        assert_eq!(answer.status, 308, "{path}");
        let place = format!("https://{host}{path}");
        assert_eq!(answer.header("Location"), Some(place.as_str()));
        assert_eq!(answer.header("Connection"), Some("close"));
    }
    // Who has shown a secret on the way hears of it, and is not led on as if nothing had happened.
    let shown = request("GET", "/dfs/a").token(ADMIN).to(&server).await;
    assert_eq!(shown.status, 403);
    assert_eq!(shown.header("Location"), None);
    assert!(shown.body.contains("void it"), "{}", shown.body);
    assert!(front.asked.lock().unwrap().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn nobody_is_led_to_a_name_that_this_process_has_not() {
    let server = secured(&FakeFront::default(), |_| {}).in_the_clear();
    for host in [
        "evil.example",
        "evil.example:8990",
        "localhost@evil.example",
        "",
    ] {
        let answer = request("GET", "/").host(host).to(&server).await;
        assert_eq!(answer.status, 421, "{host}");
        assert_eq!(answer.header("Location"), None);
    }
}

#[tokio::test]
async fn an_order_that_came_in_the_clear_is_not_carried_out() {
    let front = FakeFront::default();
    let secured = secured(&front, |_| {});
    let order = r#"{"aliases":["P1-NODE1"]}"#;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = request(method, "/api/v1/nodes/start")
            .token(ADMIN)
            .json(order)
            .to(&secured.in_the_clear())
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (403, "https-required")
        );
        assert_eq!(answer.header("Location"), None);
        let message = answer.message();
        for part in ["https://localhost:8990", "void it"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let login = request("POST", "/api/v1/login")
        .json(r#"{"user":"admin","password":"x"}"#)
        .to(&secured.in_the_clear())
        .await;
    assert_eq!(login.kind(), "https-required");
    assert!(front.asked.lock().unwrap().is_empty(), "nobody was asked");

    front
        .script
        .lock()
        .unwrap()
        .push_back(Ok(Response::Ordered(Vec::new())));
    let answer = request("POST", "/api/v1/nodes/start")
        .token(ADMIN)
        .json(order)
        .to(&secured.through_tls())
        .await;
    assert_eq!(answer.status, 200);
    assert!(matches!(front.verbs()[..], [Verb::StartNodes { .. }]));
}

#[tokio::test]
async fn a_session_over_https_is_in_a_cookie_that_goes_over_https_alone() {
    let front = logged_in();
    let server = secured(&front, |_| {}).through_tls();
    let answer = request("POST", "/login")
        .peer(FAR)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", "https://localhost:8990")
        .raw("user=admin&password=x")
        .to(&server)
        .await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(
        answer.header("Set-Cookie"),
        Some("__Host-vq8990=vqt_1_2; Path=/; HttpOnly; SameSite=Strict; Secure")
    );
    let page = request("GET", "/login").peer(FAR).to(&server).await;
    assert!(
        !page.body.contains("not loaded over HTTPS"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_page_that_came_in_the_clear_changes_nothing() {
    let front = FakeFront::default();
    let server = secured(&front, |_| {}).through_tls();
    let answer = request("POST", "/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", "http://localhost:8990")
        .raw("user=admin&password=x")
        .to(&server)
        .await;
    assert_eq!(answer.status, 403);
    assert!(front.verbs().is_empty());
}

#[tokio::test]
async fn a_login_over_https_from_elsewhere_is_neither_warned_of_nor_refused() {
    let front = logged_in();
    let server = secured(&front, |settings| settings.strict_defaults = true).through_tls();
    let answer = request("POST", "/api/v1/login")
        .peer(FAR)
        .json(r#"{"user":"admin","password":"x"}"#)
        .to(&server)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json().get("warning"), None);
}

#[tokio::test]
async fn a_name_and_a_password_with_a_request_are_taken_from_elsewhere_over_https() {
    let send = async |server: HttpServer| -> Answered {
        let basic = "Basic ZmlsZXM6bG9uZzplbm91Z2g=";
        let request = request("GET", "/dfs/a").peer(FAR);
        request.header("Authorization", basic).to(&server).await
    };
    let refused = send(server_with(&FakeFront::default(), settings())).await;
    assert_eq!(refused.kind(), "insecure-login");
    let front = FakeFront::telling([Ok(Response::LoggedIn {
        token: FILES.to_owned(),
        must_change_password: false,
    })]);
    let answer = send(secured(&front, |_| {}).through_tls()).await;
    assert_eq!((answer.status, answer.kind().as_str()), (307, "elsewhere"));
    let place = answer.header("Location").unwrap();
    assert_eq!(place, "https://127.0.0.2:8961/dfs/a");
}

#[tokio::test]
async fn what_a_process_shows_is_told_to_everybody() {
    let answer = request("GET", "/api/v1/tls")
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.json(), serde_json::json!({ "https": false }));
    let secured = secured(&FakeFront::default(), |_| {});
    let told = request("GET", "/api/v1/tls")
        .to(&secured.through_tls())
        .await;
    let told = told.json();
    let facts = secured.serving.facts();
    assert_eq!(told["https"], true);
    assert_eq!(
        told["cluster_key"],
        secured.serving.cluster_key().to_string()
    );
    assert_eq!(told["certificate"]["sha256"], facts.fingerprint.to_string());
    assert_eq!(told["certificate"]["not_after_s"], facts.not_after);
    assert_eq!(told["certificate"]["names"], serde_json::json!(facts.names));
}
