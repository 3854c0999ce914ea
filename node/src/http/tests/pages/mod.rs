//! The pages: who gets in, what a browser may be made to do, and that no text becomes a script.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vaquita_core::admin::{
    LogPiece, NodeState, OrderRow, Refusal, Response, Selection, TokenKind, TokenRow, UserRow, Verb,
};
use vaquita_core::audit::{AuditPage, AuditRow};
use vaquita_core::dfs::ask::{
    Answer, Entry, EntryKind, HistoryPage, Listing, RepairStatus, StuckRow, Usage, VolumeAdmin,
    VolumeRow, VolumeState,
};
use vaquita_core::dfs::ids::{ChunkId, FileVersion, InodeId, VolumeSlot};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::{Alias, LogIndex, Role};

use super::harness::{
    ADMIN, Answered, FILES, FRESH, FakeFront, PLAIN, connect, loopback, node, request, server_with,
    settings, status,
};
use crate::http::session::csrf;
use crate::http::{ROUTES, Route};

const FORM: &str = "application/x-www-form-urlencoded";

fn cookie(token: &str) -> String {
    format!("vq8990={token}")
}

fn location(answer: &Answered) -> &str {
    answer.header("location").unwrap_or("nowhere")
}

fn logged_in(must_change_password: bool) -> Response {
    Response::LoggedIn {
        token: "vqt_0_1".to_owned(),
        must_change_password,
    }
}

fn ordered(alias: &str, note: &str) -> Response {
    Response::Ordered(vec![OrderRow {
        alias: Alias::new(alias).unwrap(),
        changed: true,
        note: note.to_owned(),
    }])
}

// ---- logging in ----

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

// ---- what a browser may be made to do ----

/// The routes that change something, as a browser is made to use them.
fn changing() -> impl Iterator<Item = &'static Route> {
    let changes = |route: &&Route| route.method != "GET" && route.path != "/login";
    let by_cookie = |route: &&Route| route.path != "/api/v1/login";
    ROUTES.iter().filter(changes).filter(by_cookie)
}

fn sample(route: &Route) -> String {
    route
        .path
        .replace("{alias}", "P1-NODE1")
        .replace("{user}", "u")
        .replace("{right}", "dfs-read")
        .replace("{chunk}", "0000010000000001")
        .replace("{file}", "cluster.cfg")
        .replace("{version}", "0")
        .replace("{name}", "app.css")
        .replace("{*path}", "data/a.csv")
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

// ---- what a page shows ----

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x";

fn entry(path: DfsPath, kind: EntryKind) -> Entry {
    Entry {
        path,
        kind,
        inode: InodeId(1),
        version: FileVersion(1),
        len: 10,
        modified_unix_ms: 1_000_000,
        count: 1,
        digest: None,
        replicas: Some(2),
    }
}

fn hostile_path() -> DfsPath {
    DfsPath::root().join("<script>alert(1)<").unwrap()
}

fn hostile_volume() -> VolumeRow {
    VolumeRow {
        node: Alias::new("P1-NODE1").unwrap(),
        slot: VolumeSlot(0),
        path: HOSTILE.to_owned(),
        id: None,
        state: VolumeState::Failed,
        capacity: 0,
        free: u64::MAX,
        chunks: 3,
        chunk_bytes: 4,
        reason: HOSTILE.to_owned(),
        for_ms: 0,
        doing: HOSTILE.to_owned(),
        admin: VolumeAdmin::Draining,
    }
}

#[tokio::test]
async fn whatever_nodes_and_people_say_is_shown_as_text() {
    let mut hostile = status();
    hostile.summary = HOSTILE.to_owned();
    hostile.alarms = vec![HOSTILE.to_owned()];
    hostile.log_copies[0].state = HOSTILE.to_owned();
    for row in &mut hostile.nodes {
        row.reason = HOSTILE.to_owned();
        row.admin_reason = HOSTILE.to_owned();
        row.host = HOSTILE.to_owned();
        row.site = HOSTILE.to_owned();
        row.conditions = vec![HOSTILE.to_owned()];
    }
    let dfs = |answer| Ok(Response::Dfs(answer));
    let repair = RepairStatus {
        holds: vec![HOSTILE.to_owned()],
        stuck: vec![StuckRow {
            chunk: ChunkId(1),
            since_ms: 1,
            reason: HOSTILE.to_owned(),
        }],
        ..RepairStatus::default()
    };
    let listing = Listing {
        path: DfsPath::root(),
        entries: vec![entry(hostile_path(), EntryKind::File)],
        more: true,
    };
    let user = UserRow {
        user: HOSTILE.to_owned(),
        role: vaquita_core::admin::UserRole::Viewer,
        admin: false,
        rights: Vec::new(),
        must_change_password: true,
    };
    let token = TokenRow {
        id: "0".repeat(16),
        kind: TokenKind::Token,
        label: Some(HOSTILE.to_owned()),
        user: HOSTILE.to_owned(),
        issued_unix_ms: 1,
        expires_unix_ms: 2,
        rights: None,
        networks: vec![HOSTILE.to_owned()],
        current: false,
    };
    let audit = AuditPage {
        rows: vec![AuditRow {
            sequence: 1,
            index: LogIndex(1),
            unix_ms: 1,
            actor: HOSTILE.to_owned(),
            means: "session",
            token: None,
            address: Some(HOSTILE.to_owned()),
            action: HOSTILE.to_owned(),
            object: HOSTILE.to_owned(),
            detail: HOSTILE.to_owned(),
            result: "refused",
            reason: HOSTILE.to_owned(),
            count: 2,
            hash: String::new(),
        }],
        more: true,
        oldest: 1,
        newest: 1,
        head: String::new(),
        intact: true,
    };
    let log = LogPiece {
        offset: 0,
        file_len: HOSTILE.len() as u64,
        bytes: HOSTILE.as_bytes().to_vec(),
    };
    let state = || Ok(Response::Status(Box::new(hostile.clone())));
    let pages = [
        (
            ADMIN,
            "/",
            vec![state(), Ok(Response::Nodes(hostile.nodes.clone()))],
        ),
        (
            ADMIN,
            "/nodes/P1-NODE1",
            vec![
                Ok(Response::Nodes(hostile.nodes.clone())),
                dfs(Answer::Volumes(vec![hostile_volume()])),
            ],
        ),
        (ADMIN, "/account", vec![Ok(Response::Tokens(vec![token]))]),
        (ADMIN, "/audit", vec![Ok(Response::Audit(audit))]),
        (ADMIN, "/logs", vec![state()]),
        (ADMIN, "/logs/P1-NODE1", vec![Ok(Response::Log(log))]),
        (ADMIN, "/users", vec![Ok(Response::Users(vec![user]))]),
        (
            FILES,
            "/volumes",
            vec![dfs(Answer::Volumes(vec![hostile_volume()]))],
        ),
        (
            FILES,
            "/repair",
            vec![
                dfs(Answer::Repairs(repair)),
                dfs(Answer::History(HistoryPage::default())),
            ],
        ),
        (
            FILES,
            "/files/",
            vec![
                dfs(Answer::Entry(entry(DfsPath::root(), EntryKind::Directory))),
                dfs(Answer::Listing(listing)),
                dfs(Answer::Usage(Usage::default())),
            ],
        ),
    ];
    for (user, path, script) in pages {
        let answer = request("GET", path)
            .header("Cookie", &cookie(user))
            .send(&FakeFront::telling(script))
            .await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.body.contains("&#60;script&#62;"), "{path} shows it");
        for inert in ["<script>", "<img", "\" onload"] {
            assert!(!answer.body.contains(inert), "{path}: {inert}");
        }
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn language_and_theme_are_chosen_once_and_remembered() {
    let front = FakeFront::default();
    let answer = request("GET", "/account?lang=zh&theme=dark&x=1")
        .header("Cookie", &cookie(PLAIN))
        .send(&front)
        .await;
    assert_eq!((answer.status, location(&answer)), (303, "/account?x=1"));
    assert!(answer.head.contains("vqlang=zh;") && answer.head.contains("vqtheme=dark;"));
    let look =
        |header: &'static str, value: String| request("GET", "/account").header(header, &value);
    let chosen = format!("{}; vqlang=zh; vqtheme=dark", cookie(PLAIN));
    let page = look("Cookie", chosen).send(&front).await.body;
    assert!(page.contains("lang=\"zh-Hans\"") && page.contains("data-theme=\"dark\""));
    assert!(page.contains("账户"));
    let page = request("GET", "/login")
        .header("Accept-Language", "fr, zh-CN;q=0.8, en;q=0.5")
        .send(&front)
        .await;
    assert!(page.body.contains("登录"), "{}", page.body);
}

#[tokio::test]
async fn the_table_is_sorted_filtered_and_remembered_as_the_reader_chose() {
    let answer = request("GET", "/?sort=-node&q=P&cols=state&cols=pid&cols=nonsense")
        .header("Cookie", &cookie(PLAIN))
        .send(&FakeFront::default())
        .await;
    assert_eq!(answer.status, 200);
    for cookie in ["vqsort=-node;", "vqfilter=P;", "vqcols=state.pid;"] {
        assert!(answer.head.contains(cookie), "{cookie}: {}", answer.head);
    }
    let at = |text: &str| {
        answer
            .body
            .find(text)
            .unwrap_or_else(|| panic!("no {text}"))
    };
    assert!(at("id=\"node-P3-NODE1\"") < at("id=\"node-P1-NODE1\""));
    assert!(answer.body.contains("4711") && !answer.body.contains("sort=port"));
    let remembered = format!("{}; vqfilter=failed; vqcols=state", cookie(PLAIN));
    let answer = request("GET", "/")
        .header("Cookie", &remembered)
        .send(&FakeFront::default())
        .await;
    assert!(answer.body.contains("node-P3-NODE1") && !answer.body.contains("node-P1-NODE1"));
}

#[tokio::test]
async fn buttons_are_shown_to_those_who_may_press_them() {
    for (token, may) in [(ADMIN, true), (PLAIN, false)] {
        let answer = request("GET", "/")
            .header("Cookie", &cookie(token))
            .send(&FakeFront::default())
            .await;
        assert_eq!(answer.body.contains("value=\"stop\""), may);
        assert_eq!(answer.body.contains("href=\"/users\""), may);
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_told_by_a_page() {
    for (path, token, status, says) in [
        ("/nodes/NOBODY", ADMIN, 404, "Not found"),
        ("/users", PLAIN, 403, "Not allowed"),
        ("/files/a%ff", FILES, 404, "Not found"),
    ] {
        let nodes = vec![node("P1-NODE1", Role::DataNode, NodeState::Online)];
        let answer = request("GET", path)
            .header("Cookie", &cookie(token))
            .send(&FakeFront::telling([Ok(Response::Nodes(nodes))]))
            .await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(says), "{path}");
        assert!(answer.body.starts_with("<!doctype html>"));
    }
    let html = request("GET", "/nope")
        .header("Accept", "text/html")
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    assert!(html.body.starts_with("<!doctype html>"));
    let json = request("GET", "/nope")
        .token(PLAIN)
        .send(&FakeFront::default())
        .await;
    assert_eq!(json.kind(), "not-found");
}

#[tokio::test]
async fn a_process_that_is_not_the_controller_says_where_that_is() {
    let mut elsewhere = settings();
    elsewhere.manager = Some("10.1.1.7:8990".to_owned());
    let server = server_with(&FakeFront::default(), elsewhere);
    let answer = request("GET", "/login").to(&server).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("href=\"http://10.1.1.7:8990/\""));
    assert!(!answer.body.contains("<input name=\"user\""));
}

#[tokio::test]
async fn what_pages_are_made_of_may_be_kept_for_ever_under_its_own_address() {
    let href = vaquita_web::assets::href("app.css");
    let answer = request("GET", href).send(&FakeFront::default()).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(
        answer
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    let old = request("GET", "/static/0/app.css")
        .send(&FakeFront::default())
        .await;
    assert_eq!(
        (old.status, old.header("cache-control")),
        (200, Some("no-store"))
    );
    let none = request("GET", "/static/0/..%2fapp.css")
        .send(&FakeFront::default())
        .await;
    assert_eq!(none.status, 404);
}

// ---- what tells open pages ----

#[tokio::test(start_paused = true)]
async fn an_open_page_hears_of_a_change_and_of_the_time() {
    let failed = || {
        let mut changed = status();
        changed.nodes[1].state = NodeState::Failed;
        Ok(Response::Status(Box::new(changed)))
    };
    let calm = || Ok(Response::Status(Box::new(status())));
    let front = FakeFront::telling([calm()].into_iter().chain((0..9).map(|_| failed())));
    let server = server_with(&front, settings());
    let mut stream = connect(&server, loopback());
    let asked = format!(
        "GET /ui/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
        cookie(PLAIN)
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut bytes = [0; 1024];
    while !heard.contains("event: tick") {
        let len = stream.read(&mut bytes).await.unwrap();
        assert!(len > 0, "ended: {heard}");
        heard.push_str(str::from_utf8(&bytes[..len]).unwrap());
    }
    assert!(heard.contains("content-type: text/event-stream"), "{heard}");
    let at = |text: &str| {
        heard
            .find(text)
            .unwrap_or_else(|| panic!("no {text}: {heard}"))
    };
    assert!(at("event: nodes") < at("event: tick"));
    assert_eq!(
        heard.matches("event: nodes").count(),
        1,
        "nothing else has changed"
    );
}

#[tokio::test(start_paused = true)]
async fn many_open_pages_ask_the_machine_once_a_second_and_too_many_of_one_are_refused() {
    let front = FakeFront::default();
    let server = server_with(&front, settings());
    let mut open = Vec::new();
    let mut bytes = [0; 1024];
    let tokens = [PLAIN, ADMIN, FILES].into_iter();
    let turns = tokens.flat_map(|token| (0..7).map(move |nth| (token, nth)));
    for (token, nth) in turns {
        let asked = format!(
            "GET /ui/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n",
            cookie(token)
        );
        let mut stream = connect(&server, loopback());
        stream.write_all(asked.as_bytes()).await.unwrap();
        let len = stream.read(&mut bytes).await.unwrap();
        let status: &[u8] = if nth < 6 {
            b"HTTP/1.1 200"
        } else {
            b"HTTP/1.1 503"
        };
        assert!(bytes[..len].starts_with(status), "{token}, {nth}");
        open.push(stream);
    }
    let before = front.verbs().len();
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    let asked = front.verbs().len() - before;
    assert!((9..=12).contains(&asked), "{asked} times in ten seconds");
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
    let front = FakeFront::telling([Ok(Response::TokenIssued { token, row })]);
    let server = server_with(&front, settings());
    let proof = csrf(PLAIN);
    let answer = request("POST", "/account")
        .header("Cookie", &cookie(PLAIN))
        .header("Content-Type", FORM)
        .raw(&format!(
            "csrf={proof}&label=backup&days=7&right=dfs-read&networks=10.0.0.0/8,+::1"
        ))
        .to(&server)
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("vqt_secret"));
    let verbs = front.verbs();
    let Some(Verb::IssueToken(wish)) = verbs.first() else {
        panic!("{verbs:?}");
    };
    assert_eq!(wish.valid_for, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(wish.networks, ["10.0.0.0/8", "::1"]);
    let look = request("GET", "/account").header("Cookie", &cookie(PLAIN));
    assert!(!look.to(&server).await.body.contains("vqt_secret"));
}
