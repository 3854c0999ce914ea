//! The file system's names, chunks and volumes over the API.

use serde_json::json;
use vaquita_core::admin::{Refusal, Response, Verb};
use vaquita_core::dfs::ask::{
    Answer, Ask, ChunkPage, ChunkRow, ChunkState, Entry, EntryKind, Expect, Listing, ReplicaRow,
    ReplicaState, Usage, VolumeAdmin, VolumeRow, VolumeState,
};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{
    ChunkId, FileVersion, Generation, InodeId, OpId, VolumeId, VolumeSlot,
};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::Alias;

use super::harness::{FILES, FakeFront, request};

pub(super) fn path(text: &str) -> DfsPath {
    DfsPath::parse(text).unwrap()
}

pub(super) fn file(at: &str, bytes: &[u8]) -> Entry {
    Entry {
        path: path(at),
        kind: EntryKind::File,
        inode: InodeId(7),
        version: FileVersion(42),
        len: bytes.len() as u64,
        modified_unix_ms: 784_111_777_000,
        count: 1,
        digest: Some(Digest::of(bytes)),
        replicas: Some(2),
    }
}

pub(super) fn directory(at: &str) -> Entry {
    Entry {
        kind: EntryKind::Directory,
        len: 0,
        count: 3,
        digest: None,
        replicas: None,
        ..file(at, b"")
    }
}

pub(super) fn tells(answer: Answer) -> FakeFront {
    FakeFront::telling([Ok(Response::Dfs(answer))])
}

#[tokio::test]
async fn what_is_at_a_path_is_told() {
    let front = tells(Answer::Entry(file("/data/a b.csv", b"x")));
    let answer = request("GET", "/api/v1/dfs/stat?path=dfs://data/a%20b.csv")
        .token(FILES)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "path": "dfs://data/a b.csv",
            "kind": "file",
            "inode": 7,
            "version": 42,
            "len": 1,
            "modified_unix_ms": 784_111_777_000_u64,
            "count": 1,
            "digest": Digest::of(b"x").to_string(),
            "replicas": 2,
        })
    );
    let stat = Ask::Stat {
        path: path("/data/a b.csv"),
    };
    assert_eq!(front.verbs(), [Verb::Dfs(stat)]);
}

#[tokio::test]
async fn a_path_in_a_query_is_decoded_once() {
    for (given, meant) in [
        ("/a%2Fb", "/a/b"),
        ("%2Fa+b", "/a b"),
        ("/a%2Bb", "/a+b"),
        ("/a%252e%252e", "/a%2e%2e"),
        ("/gr%C3%BCn", "/grün"),
        ("dfs://", "/"),
    ] {
        let front = tells(Answer::Entry(directory("/")));
        let answer = request("GET", format!("/api/v1/dfs/stat?path={given}"))
            .token(FILES)
            .send(&front)
            .await;
        assert_eq!(answer.status, 200, "{given}: {answer:?}");
        let stat = Ask::Stat { path: path(meant) };
        assert_eq!(front.verbs(), [Verb::Dfs(stat)], "{given}");
    }
}

#[tokio::test]
async fn what_is_no_path_is_refused_before_anybody_is_asked() {
    for (given, why) in [
        ("path=/a/%2e%2e/b", "no fixed place"),
        ("path=/a/..%2fb", "no fixed place"),
        ("path=%2e", "begins with"),
        ("path=/a%00b", "control character"),
        ("path=/a%0ab", "control character"),
        ("path=/%ff", "UTF-8"),
        ("path=/%c0%af", "UTF-8"),
        ("path=/%zz", "hexadecimal"),
        ("path=a", "begins with"),
        ("path=C:%5Ca", "begins with"),
        ("path=", "begins with"),
        ("", "say which path"),
        ("path=/a&path=/b", "given twice"),
        ("path=/a&depth=1", "no parameter `depth`"),
    ] {
        let front = FakeFront::default();
        let answer = request("GET", format!("/api/v1/dfs/stat?{given}"))
            .token(FILES)
            .send(&front)
            .await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (422, "invalid"),
            "{given}"
        );
        assert!(answer.message().contains(why), "{given}: {answer:?}");
        assert_eq!(front.verbs(), [], "{given}");
    }
}

#[tokio::test]
async fn a_directory_is_listed_in_pages() {
    let listing = Listing {
        path: path("/data"),
        entries: vec![directory("/data/old"), file("/data/x", b"x")],
        more: true,
    };
    let front = tells(Answer::Listing(listing));
    let answer = request("GET", "/api/v1/dfs/list?path=/data&after=new&limit=2")
        .token(FILES)
        .send(&front)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["more"], true);
    assert_eq!(answer.json()["entries"][0]["kind"], "directory");
    assert_eq!(answer.json()["entries"][0]["digest"], json!(null));
    let list = Ask::List {
        path: path("/data"),
        after: Some("new".to_owned()),
        limit: 2,
    };
    assert_eq!(front.verbs(), [Verb::Dfs(list)]);
    for limit in ["0", "1001", "-1", "many"] {
        let answer = request("GET", format!("/api/v1/dfs/list?path=/&limit={limit}"))
            .token(FILES)
            .send(&FakeFront::default())
            .await;
        assert_eq!(answer.status, 422, "{limit}");
        assert!(answer.message().contains("from 1 to 1000"), "{answer:?}");
    }
}

#[tokio::test]
async fn usage_is_told() {
    let usage = Usage {
        files: 3,
        directories: 1,
        bytes: 10,
        stored_bytes: 20,
        chunks: 3,
    };
    let answer = request("GET", "/api/v1/dfs/usage?path=/")
        .token(FILES)
        .send(&tells(Answer::Usage(usage)))
        .await;
    assert_eq!(
        answer.json(),
        json!({ "files": 3, "directories": 1, "bytes": 10, "stored_bytes": 20, "chunks": 3 })
    );
}

#[tokio::test]
async fn directories_are_made_and_things_renamed_and_removed() {
    let key = "00112233445566778899aabbccddeeff";
    let op = OpId::parse(key).unwrap();
    let front = FakeFront::telling([
        Ok(Response::Dfs(Answer::Entry(directory("/a/b")))),
        Ok(Response::Dfs(Answer::Entry(directory("/c")))),
        Ok(Response::Dfs(Answer::Removed(Usage::default()))),
    ]);
    let send = async |path: &'static str, body: &str| {
        request("POST", path)
            .token(FILES)
            .header("Idempotency-Key", key)
            .json(body)
            .send(&front)
            .await
    };
    let answer = send(
        "/api/v1/dfs/mkdir",
        r#"{"path":"dfs://a/b","parents":true}"#,
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["path"]),
        (201, &json!("dfs://a/b"))
    );
    let answer = send(
        "/api/v1/dfs/rename",
        r#"{"from":"/a/b","to":"/c","replace":true}"#,
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["path"]),
        (200, &json!("dfs://c"))
    );
    let answer = send(
        "/api/v1/dfs/remove",
        r#"{"path":"/c","recursive":true,"version":42}"#,
    )
    .await;
    assert_eq!((answer.status, &answer.json()["files"]), (200, &json!(0)));
    assert_eq!(
        front.verbs(),
        [
            Verb::Dfs(Ask::MakeDir {
                op,
                path: path("/a/b"),
                parents: true,
                unix_ms: 0
            }),
            Verb::Dfs(Ask::Rename {
                op,
                from: path("/a/b"),
                to: path("/c"),
                replace: true
            }),
            Verb::Dfs(Ask::Remove {
                op,
                path: path("/c"),
                recursive: true,
                expect: Expect::Version(FileVersion(42))
            }),
        ]
    );
}

fn op_of(front: &FakeFront) -> OpId {
    match front.verbs().as_slice() {
        [Verb::Dfs(Ask::MakeDir { op, .. })] => *op,
        other => panic!("{other:?}"),
    }
}

async fn made(directory_path: &str, key: Option<&str>) -> OpId {
    let front = tells(Answer::Entry(directory("/a")));
    let mut sent = request("POST", "/api/v1/dfs/mkdir").token(FILES);
    if let Some(key) = key {
        sent = sent.header("Idempotency-Key", key);
    }
    let answer = sent
        .json(&json!({ "path": directory_path }).to_string())
        .send(&front)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    op_of(&front)
}

#[tokio::test]
async fn an_operation_is_named_by_its_client_or_by_nobody_else() {
    let hex = "00112233445566778899AABBCCDDEEFF";
    assert_eq!(made("/a", Some(hex)).await, OpId::parse(hex).unwrap());
    let text = made("/a", Some("nightly run 7")).await;
    assert_eq!(made("/a", Some("nightly run 7")).await, text);
    assert_ne!(made("/a", Some("nightly run 8")).await, text);
    // Somebody else's count of the same number is another operation.
    assert_ne!(made("/b", Some("nightly run 7")).await, text);
    let front =
        FakeFront::telling([(), ()].map(|()| Ok(Response::Dfs(Answer::Entry(directory("/a"))))));
    let server = super::harness::server_with(&front, super::harness::settings());
    for _ in 0..2 {
        let sent = request("POST", "/api/v1/dfs/mkdir").token(FILES);
        sent.json(r#"{"path":"/a"}"#).to(&server).await;
    }
    let ops: Vec<OpId> = front
        .verbs()
        .iter()
        .map(|verb| match verb {
            Verb::Dfs(Ask::MakeDir { op, .. }) => *op,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_ne!(ops[0], ops[1]);
    for key in ["", &"x".repeat(256)] {
        let answer = request("POST", "/api/v1/dfs/mkdir")
            .token(FILES)
            .header("Idempotency-Key", key)
            .json(r#"{"path":"/a"}"#)
            .send(&FakeFront::default())
            .await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_file_system_is_passed_on() {
    let what = "there is no `dfs://a`; did you mean `dfs://b`?".to_owned();
    let front = FakeFront::telling([Err(Refusal::NotFound { what: what.clone() })]);
    let answer = request("GET", "/api/v1/dfs/stat?path=/a")
        .token(FILES)
        .send(&front)
        .await;
    assert_eq!((answer.status, answer.message()), (404, what));
}

fn chunk(count: u64) -> ChunkRow {
    ChunkRow {
        chunk: ChunkId(1 << 40 | count),
        generation: Generation::FIRST,
        path: Some(path("/data/x")),
        number: 0,
        len: 1,
        digest: Digest::of(b"x"),
        state: ChunkState::Degraded,
        replicas: vec![ReplicaRow {
            node: Alias::new("P1-NODE1").unwrap(),
            state: ReplicaState::Good,
            volume: Some(VolumeSlot(0)),
        }],
        reason: "1 of 2 replicas; P2-NODE1 is away".to_owned(),
    }
}

#[tokio::test]
async fn chunks_are_listed_in_pages_and_shown_one_by_one() {
    let page = ChunkPage {
        rows: vec![chunk(1)],
        more: false,
        upto: None,
    };
    let front = tells(Answer::Chunks(page.clone()));
    let target = "/api/v1/chunks?after=0000010000000000&limit=10&unwell=true&below=/data";
    let answer = request("GET", target).token(FILES).send(&front).await;
    assert_eq!(
        answer.json(),
        json!({ "rows": [{
            "chunk": "0000010000000001",
            "generation": 1,
            "path": "dfs://data/x",
            "number": 0,
            "len": 1,
            "digest": Digest::of(b"x").to_string(),
            "state": "degraded",
            "replicas": [{ "node": "P1-NODE1", "state": "good", "volume": 0 }],
            "reason": "1 of 2 replicas; P2-NODE1 is away",
        }], "more": false, "upto": null })
    );
    let asked = Ask::Chunks {
        after: Some(ChunkId(1 << 40)),
        limit: 10,
        unwell_only: true,
        below: Some(path("/data")),
    };
    assert_eq!(front.verbs(), [Verb::Dfs(asked)]);
    let front = tells(Answer::Chunks(page));
    let answer = request("GET", "/api/v1/chunks/0000010000000001")
        .token(FILES)
        .send(&front)
        .await;
    assert_eq!(answer.json()["state"], "degraded");
    for (target, status) in [
        ("/api/v1/chunks/1", 404),
        ("/api/v1/chunks/..%2f..", 404),
        ("/api/v1/chunks?after=1", 422),
        ("/api/v1/chunks?unwell=yes", 422),
    ] {
        let front = FakeFront::default();
        let answer = request("GET", target).token(FILES).send(&front).await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn volumes_are_listed() {
    let row = VolumeRow {
        admin: VolumeAdmin::None,
        node: Alias::new("P1-NODE1").unwrap(),
        slot: VolumeSlot(1),
        path: "/disk1".to_owned(),
        id: Some(VolumeId([0xab; 16])),
        state: VolumeState::High,
        capacity: 1000,
        free: 90,
        chunks: 3,
        chunk_bytes: 800,
        reason: "91 % full".to_owned(),
        for_ms: 65_000,
        doing: "new chunks go elsewhere".to_owned(),
    };
    let answer = request("GET", "/api/v1/volumes")
        .token(FILES)
        .send(&tells(Answer::Volumes(vec![row])))
        .await;
    assert_eq!(
        answer.json(),
        json!([{
            "node": "P1-NODE1", "slot": 1, "path": "/disk1", "id": "ab".repeat(16),
            "state": "high", "capacity": 1000, "free": 90, "chunks": 3, "chunk_bytes": 800,
            "reason": "91 % full", "for_ms": 65_000, "doing": "new chunks go elsewhere",
            "admin": "none",
        }])
    );
}
