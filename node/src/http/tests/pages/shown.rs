//! What a page shows, and that no text becomes a script.

use vaquita_core::admin::{LogPiece, NodeState, Response, TokenKind, TokenRow, UserRow};
use vaquita_core::audit::{AuditPage, AuditRow};
use vaquita_core::dfs::ask::{
    Answer, Entry, EntryKind, HistoryPage, Listing, RepairStatus, StuckRow, Usage, VolumeAdmin,
    VolumeRow, VolumeState,
};
use vaquita_core::dfs::ids::{ChunkId, FileVersion, InodeId, VolumeSlot};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::{Alias, LogIndex, Role};

use super::super::harness::{
    ADMIN, FILES, FakeFront, PLAIN, node, request, server_with, settings, status,
};
use super::{cookie, location};

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

/// An entry that was written before anything was done.
#[tokio::test]
async fn what_was_ordered_is_not_shown_as_done() {
    let row = AuditRow {
        sequence: 7,
        index: LogIndex(9),
        unix_ms: 1_800_000_000_000,
        actor: "alice".to_owned(),
        means: "session",
        token: None,
        address: None,
        action: "repair.suspend".to_owned(),
        object: String::new(),
        detail: String::new(),
        result: "ordered",
        reason: String::new(),
        count: 1,
        hash: String::new(),
    };
    let audit = AuditPage {
        rows: vec![row],
        more: false,
        oldest: 7,
        newest: 7,
        head: String::new(),
        intact: true,
    };
    for (language, shown, not) in [
        ("en", ">ordered<", ">done<"),
        ("zh-CN", ">已下令<", ">成功<"),
    ] {
        let front = FakeFront::telling([Ok(Response::Audit(audit.clone()))]);
        let answer = request("GET", "/audit")
            .header("Cookie", &cookie(ADMIN))
            .header("Accept-Language", language)
            .send(&front)
            .await;
        assert!(answer.body.contains(shown), "{}", answer.body);
        assert!(!answer.body.contains(not), "{}", answer.body);
        assert!(!answer.body.contains("refused"), "{}", answer.body);
    }
}
