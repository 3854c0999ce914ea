//! Files at `/dfs/<path>`: on a data node, and where there are none.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vaquita_core::admin::{Caller, NodeState, Refusal, Reply, Request, Response, Verb};
use vaquita_core::dfs::ask::{Answer, Ask, Committed, Entry, Expect, Listing, Outcome, Usage};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{FileVersion, OpId};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::Role;

use super::dfs::{directory, file, path, tells};
use super::harness::{
    Answered, FILES, FakeFront, PLAIN, connect, exchange, loopback, node, parse, request, settings,
};
use crate::http::files::{FileBytes, Files, OpenFile, Put, PutError, Upload};
use crate::http::{Front, HttpServer, Metrics};

/// The body of a write, or why it did not come.
type Received = Result<Vec<u8>, String>;

/// A file system that is a map.
#[derive(Clone, Default)]
struct FakeFiles {
    files: Arc<Mutex<BTreeMap<DfsPath, Entry>>>,
    bytes: Bytes,
    breaks_at: Option<usize>,
    puts: Arc<Mutex<Vec<Put>>>,
    refusal: Option<Refusal>,
    received: Arc<Mutex<Vec<Received>>>,
}

struct FakeFile {
    entry: Entry,
    files: FakeFiles,
}

struct FakeBytes {
    bytes: Bytes,
    breaks_at: Option<usize>,
    given: usize,
}

impl Files for FakeFiles {
    type File = FakeFile;

    async fn open(&self, _: Caller, path: DfsPath) -> Result<FakeFile, Refusal> {
        let files = self.files.lock().unwrap();
        let entry = files.get(&path).cloned().ok_or_else(|| Refusal::NotFound {
            what: format!("there is no {path}"),
        })?;
        let files = self.clone();
        Ok(FakeFile { entry, files })
    }

    async fn put(&self, put: Put, mut body: Upload) -> Result<Committed, PutError> {
        self.puts.lock().unwrap().push(put.clone());
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone().into());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(error) => {
                    self.received.lock().unwrap().push(Err(error.to_string()));
                    return Err(error.into());
                }
            }
        }
        let entry = Entry {
            path: put.path.clone(),
            ..file("/", &bytes)
        };
        self.received.lock().unwrap().push(Ok(bytes));
        let before = self.files.lock().unwrap().insert(put.path, entry.clone());
        Ok(Committed {
            entry,
            degraded_chunks: u32::from(put.len == Some(4)),
            created: before.is_none(),
        })
    }
}

impl OpenFile for FakeFile {
    type Bytes = FakeBytes;

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn chunk_bytes(&self) -> u64 {
        64
    }

    fn remark(&self) -> Option<&str> {
        Some("one replica was rewritten")
    }

    fn read(self, range: Range<u64>) -> FakeBytes {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        FakeBytes {
            bytes: self.files.bytes.slice(range),
            breaks_at: self.files.breaks_at,
            given: 0,
        }
    }
}

impl FileBytes for FakeBytes {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        if self.breaks_at.is_some_and(|at| self.given >= at) {
            let reason = "no replica answers".to_owned();
            return Some(Err(Refusal::Unavailable { reason }));
        }
        if self.bytes.is_empty() {
            return None;
        }
        let piece = self.bytes.split_to(self.bytes.len().min(3));
        self.given += piece.len();
        Some(Ok(piece))
    }
}

const CONTENT: &[u8] = b"0123456789";

impl FakeFiles {
    /// One file, `dfs://data/a.csv`, and the directory that it is in.
    fn new() -> Self {
        let files = Self {
            bytes: Bytes::from_static(CONTENT),
            ..Self::default()
        };
        let mut map = files.files.lock().unwrap();
        map.insert(path("/data/a.csv"), file("/data/a.csv", CONTENT));
        map.insert(path("/data"), directory("/data"));
        drop(map);
        files
    }

    fn server(&self, front: &FakeFront) -> HttpServer {
        self.server_of(front.clone())
    }

    fn server_of<F: Front>(&self, front: F) -> HttpServer {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        HttpServer::with_files(front, self.clone(), settings(), metrics, Arc::new(registry))
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Answered {
        let mut sent = request("GET", "/dfs/data/a.csv").token(FILES);
        for (name, value) in headers {
            sent = sent.header(name, value);
        }
        sent.to(&self.server(&FakeFront::default())).await
    }
}

fn tag() -> String {
    format!("\"{}\"", Digest::of(CONTENT))
}

#[tokio::test]
async fn a_file_is_read_with_what_there_is_to_know_about_it() {
    let answer = FakeFiles::new().get(&[]).await;
    assert_eq!((answer.status, answer.body.as_bytes()), (200, CONTENT));
    for (name, value) in [
        ("etag", tag().as_str()),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("accept-ranges", "bytes"),
        ("content-length", "10"),
        ("content-type", "application/octet-stream"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
        ("x-vaquita-chunk-bytes", "64"),
        ("x-vaquita-remark", "one replica was rewritten"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_range_is_read_and_one_behind_the_end_refused() {
    let files = FakeFiles::new();
    for (range, place, body) in [
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-1", "bytes 9-9/10", "9"),
    ] {
        let answer = files.get(&[("Range", range)]).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (206, body),
            "{range}"
        );
        assert_eq!(answer.header("content-range"), Some(place));
        assert_eq!(
            answer.header("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    let answer = files.get(&[("Range", "bytes=10-")]).await;
    assert_eq!((answer.status, answer.kind().as_str()), (416, "range"));
    assert_eq!(answer.header("content-range"), Some("bytes */10"));
    let range = ("Range", "bytes=0-0");
    let answer = files.get(&[range, ("If-Range", "\"other\"")]).await;
    assert_eq!((answer.status, answer.body.len()), (200, 10));
    let answer = files.get(&[range, ("If-Range", &tag())]).await;
    assert_eq!((answer.status, answer.body.len()), (206, 1));
}

#[tokio::test]
async fn conditions_decide_whether_there_is_anything_to_send() {
    let files = FakeFiles::new();
    for (name, value, status) in [
        ("If-None-Match", tag(), 304),
        ("If-None-Match", format!("W/{}", tag()), 304),
        ("If-None-Match", "*".to_owned(), 304),
        ("If-None-Match", "\"other\"".to_owned(), 200),
        ("If-Match", tag(), 200),
        ("If-Match", "*".to_owned(), 200),
        ("If-Match", "\"other\"".to_owned(), 412),
        ("If-Match", "other".to_owned(), 422),
    ] {
        let answer = files.get(&[(name, &value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        if status == 304 {
            assert_eq!(answer.header("etag"), Some(tag().as_str()));
            assert_eq!(answer.body, "");
        }
    }
}

#[tokio::test]
async fn head_tells_the_same_without_the_bytes() {
    let front = tells(Answer::Entry(file("/data/a.csv", CONTENT)));
    let answer = request("HEAD", "/dfs/data/a.csv")
        .token(FILES)
        .to(&FakeFiles::new().server(&front))
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-length"), Some("10"));
    assert_eq!(answer.header("etag"), Some(tag().as_str()));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn an_empty_file_is_read() {
    let files = FakeFiles::default();
    let empty = file("/data/a.csv", b"");
    files
        .files
        .lock()
        .unwrap()
        .insert(path("/data/a.csv"), empty);
    let answer = files.get(&[]).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("0"))
    );
}

#[tokio::test]
async fn a_directory_is_answered_with_its_listing() {
    for target in [
        "/dfs/data",
        "/dfs/data/",
        "/dfs/",
        "/dfs/data?limit=5&after=x",
    ] {
        let front = tells(Answer::Listing(Listing {
            path: path("/data"),
            entries: vec![file("/data/a.csv", CONTENT)],
            more: false,
        }));
        let answer = request("GET", target)
            .token(FILES)
            .to(&FakeFiles::new().server(&front))
            .await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(
            answer.json()["entries"][0]["path"],
            "dfs://data/a.csv",
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_to_its_end_breaks_off() {
    let files = FakeFiles {
        breaks_at: Some(6),
        ..FakeFiles::new()
    };
    let mut stream = connect(&files.server(&FakeFront::default()), loopback());
    let text = format!(
        "GET /dfs/data/a.csv HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {FILES}\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.len() < CONTENT.len(), "{text}");
}

#[tokio::test]
async fn a_file_of_which_nothing_can_be_read_is_refused_in_words() {
    let files = FakeFiles {
        breaks_at: Some(0),
        ..FakeFiles::new()
    };
    let answer = files.get(&[]).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (503, "unavailable")
    );
    assert!(
        answer.message().contains("no replica answers"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_path_is_decoded_once_and_leads_nowhere_else() {
    for (target, why) in [
        ("/dfs/%2e%2e/a", "no fixed place"),
        ("/dfs/a/%2E", "no fixed place"),
        ("/dfs/../a", "no fixed place"),
        ("/dfs/a%2fb", "no `/`"),
        ("/dfs/..%2fb", "no `/`"),
        ("/dfs/a%00b", "control character"),
        ("/dfs/a%0d%0ab", "control character"),
        ("/dfs/%ff", "UTF-8"),
        ("/dfs/%c0%ae%c0%ae/a", "UTF-8"),
        ("/dfs/100%", "hexadecimal"),
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let front = FakeFront::default();
            let answer = request(method, target)
                .token(FILES)
                .to(&FakeFiles::new().server(&front))
                .await;
            assert_eq!(answer.status, 422, "{method} {target}: {answer:?}");
            assert!(
                method == "HEAD" || answer.message().contains(why),
                "{answer:?}"
            );
            assert_eq!(front.verbs(), [], "{method} {target}");
        }
    }
    for (target, name) in [
        ("/dfs/a%252fb", "/a%2fb"),
        ("/dfs//a//b%20c", "/a/b c"),
        ("/dfs/a+b", "/a+b"),
        ("/dfs/a%5Cb", "/a\\b"),
        ("/dfs/gr%C3%BCn", "/grün"),
    ] {
        let files = FakeFiles::new();
        let answer = put(&files, target, &[], "x").await;
        assert_eq!(answer.status, 201, "{target}: {answer:?}");
        assert_eq!(files.puts.lock().unwrap()[0].path, path(name), "{target}");
    }
}

async fn put(files: &FakeFiles, target: &str, headers: &[(&str, &str)], body: &str) -> Answered {
    put_to(&files.server(&FakeFront::default()), target, headers, body).await
}

async fn put_to(
    server: &HttpServer,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answered {
    let mut sent = request("PUT", target).token(FILES).raw(body);
    for (name, value) in headers {
        sent = sent.header(name, value);
    }
    sent.to(server).await
}

#[tokio::test]
async fn a_file_is_written_and_then_replaced() {
    let files = FakeFiles::new();
    let key = "00112233445566778899aabbccddeeff";
    let answer = put(
        &files,
        "/dfs/new/b%20c.csv",
        &[("Idempotency-Key", key)],
        "one",
    )
    .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("location"), Some("/dfs/new/b%20c.csv"));
    let tag = format!("\"{}\"", Digest::of(b"one"));
    assert_eq!(answer.header("etag"), Some(tag.as_str()));
    assert_eq!(answer.header("x-vaquita-degraded"), None);
    assert_eq!(answer.json()["created"], true);
    assert_eq!(answer.json()["entry"]["len"], 3);
    let answer = put(&files, "/dfs/new/b%20c.csv", &[], "four").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-vaquita-degraded"), Some("1"));
    assert_eq!(answer.json()["degraded_chunks"], 1);
    let puts = files.puts.lock().unwrap();
    assert_eq!(
        (puts[0].op, puts[0].len),
        (OpId::parse(key).unwrap(), Some(3))
    );
    assert_ne!(puts[1].op, puts[0].op);
    assert_eq!(puts[0].expect, Expect::Anything);
}

#[tokio::test]
async fn a_body_may_be_longer_than_any_of_the_api_and_come_in_pieces_of_unknown_number() {
    let files = FakeFiles::new();
    let long = "x".repeat(3 * 1024 * 1024);
    let answer = put(&files, "/dfs/long", &[], &long).await;
    assert_eq!(
        (answer.status, &answer.json()["entry"]["len"]),
        (201, &(3 << 20).into())
    );
    let text = format!(
        "PUT /dfs/c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer \
         {FILES}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    let server = files.server(&FakeFront::default());
    let answer = exchange(&server, loopback(), &text).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(files.received.lock().unwrap()[1], Ok(b"abcde".to_vec()));
    assert_eq!(files.puts.lock().unwrap()[1].len, None);
}

#[tokio::test]
async fn what_has_to_be_there_is_said_by_conditions() {
    let there = || tells(Answer::Entry(file("/data/a.csv", CONTENT)));
    for (front, headers, expected) in [
        (
            FakeFront::default(),
            ("If-None-Match", "*".to_owned()),
            Expect::Nothing,
        ),
        (
            FakeFront::default(),
            ("If-Match", "*".to_owned()),
            Expect::Something,
        ),
        (
            there(),
            ("If-Match", tag()),
            Expect::Version(FileVersion(42)),
        ),
    ] {
        let files = FakeFiles::new();
        let headers = [(headers.0, headers.1.as_str())];
        let answer = put_to(&files.server(&front), "/dfs/data/a.csv", &headers, "x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(files.puts.lock().unwrap()[0].expect, expected);
    }
    let nothing = FakeFront::telling([Err(Refusal::NotFound {
        what: String::new(),
    })]);
    for (front, name, value, status) in [
        (there(), "If-Match", "\"other\"", 412),
        (nothing, "If-Match", "\"other\"", 412),
        (FakeFront::default(), "If-None-Match", "\"other\"", 422),
        (FakeFront::default(), "If-Match", "nonsense", 422),
    ] {
        let files = FakeFiles::new();
        let answer = put_to(
            &files.server(&front),
            "/dfs/data/a.csv",
            &[(name, value)],
            "x",
        )
        .await;
        assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
        assert_eq!(files.puts.lock().unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_write_that_was_done_before_is_answered_as_done_when_it_is_asked_again() {
    let key = ("Idempotency-Key", "00112233445566778899aabbccddeeff");
    let outcome = |outcome| Ok(Response::Dfs(Answer::Outcome(outcome)));
    let entry = || Ok(Response::Dfs(Answer::Entry(file("/data/a.csv", CONTENT))));
    let done = || Outcome::Done {
        version: FileVersion(42),
    };
    let other = Outcome::Done {
        version: FileVersion(41),
    };
    let refusing = FakeFiles {
        refusal: Some(Refusal::Precondition {
            reason: "dfs://data/a.csv is there already".to_owned(),
        }),
        ..FakeFiles::new()
    };
    for (script, headers, status) in [
        (vec![outcome(done()), entry()], vec![key], 200),
        (vec![outcome(other), entry()], vec![key], 412),
        (vec![outcome(Outcome::Aborted)], vec![key], 412),
        (vec![], vec![], 412),
    ] {
        let front = FakeFront::telling(script);
        let server = refusing.server(&front);
        let answer = put_to(&server, "/dfs/data/a.csv", &headers, "x").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    // By an entity tag that the write itself has made an old one.
    let front = FakeFront::telling([entry(), outcome(done()), entry()]);
    let server = FakeFiles::new().server(&front);
    let headers = [key, ("If-Match", "\"old\"")];
    let answer = put_to(&server, "/dfs/data/a.csv", &headers, "x").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("etag"), Some(tag().as_str()));
}

#[tokio::test]
async fn what_is_no_write_of_a_file_is_refused() {
    let files = FakeFiles::new();
    for (target, headers) in [
        ("/dfs/data/", vec![]),
        ("/dfs/a?recursive=true", vec![]),
        ("/dfs/a", vec![("Content-Range", "bytes 0-0/10")]),
        ("/dfs/a", vec![("Idempotency-Key", "")]),
    ] {
        let answer = put(&files, target, &headers, "x").await;
        assert_eq!(answer.status, 422, "{target}: {answer:?}");
    }
    let answer = put(&files, "/dfs/a", &[("Content-Encoding", "gzip")], "x").await;
    assert_eq!(answer.status, 415);
    assert_eq!(files.puts.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_body_is_asked_for_only_when_it_is_wanted() {
    let head = |token: &str| {
        format!(
            "PUT /dfs/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer \
             {token}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let files = FakeFiles::new();
    let server = files.server(&FakeFront::default());
    let mut stream = connect(&server, loopback());
    stream.write_all(head(FILES).as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(parse(&text).status, 201);
    for (token, status) in [("made-up", 401), (PLAIN, 403)] {
        let answer = exchange(&server, loopback(), &head(token)).await;
        assert_eq!(answer.status, status);
    }
    let refusing = FakeFiles {
        refusal: Some(Refusal::Precondition {
            reason: "it is there".to_owned(),
        }),
        ..files
    };
    let server = refusing.server(&FakeFront::default());
    let answer = exchange(&server, loopback(), &head(FILES)).await;
    assert_eq!(answer.status, 412, "without a 100 before it");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up_after_a_while_and_a_slow_one_is_not() {
    let files = FakeFiles::new();
    let server = files.server(&FakeFront::default());
    let mut stream = connect(&server, loopback());
    let head = format!(
        "PUT /dfs/b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {FILES}\r\n\
         Content-Length: 10\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let answer = parse(&text);
    assert_eq!((answer.status, answer.kind().as_str()), (408, "too-slow"));
    assert!(answer.message().contains("after the first 5"), "{answer:?}");
    let took = started.elapsed();
    assert_eq!(took.as_secs(), 5 * 29 + 30, "{took:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_to_the_writer() {
    let files = FakeFiles::new();
    let server = files.server(&FakeFront::default());
    let mut stream = connect(&server, loopback());
    let head = format!(
        "PUT /dfs/b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {FILES}\r\n\
         Content-Length: 10\r\n\r\nabc"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // Who sends no more may still listen, and is told; so is whoever was to carry the bytes.
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let answer = parse(&text);
    assert_eq!((answer.status, answer.kind().as_str()), (400, "malformed"));
    let message = answer.message();
    assert!(message.contains("broke off after 3 bytes"), "{message}");
    let received = files.received.lock().unwrap();
    let [Err(error)] = received.as_slice() else {
        panic!("{received:?}")
    };
    assert!(error.contains("broke off after 3 bytes"), "{error}");
}

#[tokio::test]
async fn files_and_directories_are_removed() {
    let there = || Ok(Response::Dfs(Answer::Entry(file("/data/a.csv", CONTENT))));
    let removed = || Ok(Response::Dfs(Answer::Removed(Usage::default())));
    for (target, tagged, recursive, expect) in [
        ("/dfs/data/a.csv", false, false, Expect::Anything),
        (
            "/dfs/data/a.csv?recursive=true",
            false,
            true,
            Expect::Anything,
        ),
        (
            "/dfs/data/a.csv",
            true,
            false,
            Expect::Version(FileVersion(42)),
        ),
    ] {
        let front = FakeFront::default();
        let mut sent = request("DELETE", target).token(FILES);
        if tagged {
            sent = sent.header("If-Match", &tag());
            front.script.lock().unwrap().push_back(there());
        }
        front.script.lock().unwrap().push_back(removed());
        let answer = sent.to(&FakeFiles::new().server(&front)).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        match front.verbs().last() {
            Some(Verb::Dfs(Ask::Remove {
                path: at,
                recursive: deep,
                expect: expected,
                ..
            })) => {
                assert_eq!(*at, path("/data/a.csv"));
                assert_eq!((*deep, *expected), (recursive, expect));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn where_there_are_no_files_the_way_to_a_data_node_is_shown() {
    let rows = vec![
        node("P1-agent", Role::Agent, NodeState::Online),
        node("P1-NODE1", Role::DataNode, NodeState::Online),
        node("P2-NODE1", Role::DataNode, NodeState::Failed),
    ];
    for method in ["GET", "PUT", "DELETE"] {
        let front = FakeFront::telling([Ok(Response::Nodes(rows.clone()))]);
        let answer = request(method, "/dfs/a%20b?x=1")
            .token(FILES)
            .send(&front)
            .await;
        assert_eq!((answer.status, answer.kind().as_str()), (307, "elsewhere"));
        assert_eq!(
            answer.header("location"),
            Some("http://127.0.0.2:8961/dfs/a%20b?x=1")
        );
        assert_eq!(answer.json()["error"]["nodes"][0], "127.0.0.2:8961");
    }
    let front = FakeFront::telling([Ok(Response::Nodes(rows[..1].to_vec()))]);
    let answer = request("GET", "/dfs/a").token(FILES).send(&front).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (503, "unavailable")
    );
    let front = FakeFront::default();
    let answer = request("GET", "/dfs/a").token(PLAIN).send(&front).await;
    assert_eq!(answer.status, 403);
    assert_eq!(front.verbs(), []);
}

/// Knows one user by a password, and counts the logins.
#[derive(Clone, Default)]
struct ByPassword {
    logins: Arc<Mutex<u32>>,
    voided: Arc<Mutex<bool>>,
}

impl Front for ByPassword {
    async fn ask(&self, request: Request) -> Reply {
        let Verb::Login { user, password, .. } = &request.verb else {
            if std::mem::take(&mut *self.voided.lock().unwrap()) {
                return Err(Refusal::Unauthenticated);
            }
            return FakeFront::default().ask(request).await;
        };
        *self.logins.lock().unwrap() += 1;
        if user != "files" || password.reveal() != "long:enough" {
            return Err(Refusal::WrongPassword);
        }
        Ok(Response::LoggedIn {
            token: FILES.to_owned(),
            must_change_password: false,
        })
    }
}

/// `files:long:enough`.
const BASIC: &str = "Basic ZmlsZXM6bG9uZzplbm91Z2g=";
/// `files:guess`.
const GUESS: &str = "Basic ZmlsZXM6Z3Vlc3M=";

#[tokio::test]
async fn a_password_with_a_request_is_exchanged_once_for_a_token() {
    let front = ByPassword::default();
    let server = FakeFiles::new().server_of(front.clone());
    let get = async |authorization: &str| {
        request("GET", "/dfs/data/a.csv")
            .header("Authorization", authorization)
            .to(&server)
            .await
    };
    for _ in 0..3 {
        assert_eq!(get(BASIC).await.status, 200);
    }
    assert_eq!(*front.logins.lock().unwrap(), 1);
    // A token that was voided in between is fetched anew.
    *front.voided.lock().unwrap() = true;
    assert_eq!(get(BASIC).await.status, 200);
    assert_eq!(*front.logins.lock().unwrap(), 2);
    for authorization in [GUESS, "Basic %%%", "Basic", "Basic  "] {
        assert_eq!(get(authorization).await.status, 401, "{authorization}");
    }
}

/// How often the front was asked whether its caller may do something to files.
fn authorizations(front: &FakeFront) -> usize {
    let asked = front.asked.lock().unwrap();
    let about_rights =
        |request: &&Request| matches!(request.verb, Verb::Dfs(Ask::Authorize { .. }));
    asked.iter().filter(about_rights).count()
}

#[tokio::test(start_paused = true)]
async fn who_was_let_through_a_moment_ago_is_not_asked_about_again() {
    let front = FakeFront::default();
    let server = FakeFiles::new().server(&front);
    let get = async |token: &'static str| {
        let sent = request("GET", "/dfs/data/a.csv").token(token);
        sent.to(&server).await.status
    };
    for _ in 0..3 {
        assert_eq!(get(FILES).await, 200);
    }
    assert_eq!(authorizations(&front), 1);
    // That somebody may read does not say that he may write, nor that others may read.
    let put = request("PUT", "/dfs/data/b").token(FILES).raw("b");
    assert_eq!(put.to(&server).await.status, 201);
    assert_eq!(authorizations(&front), 2);
    for _ in 0..2 {
        assert_eq!(get(PLAIN).await, 403);
        assert_eq!(get("made-up").await, 401);
    }
    assert_eq!(authorizations(&front), 6, "a refusal is not remembered");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(get(FILES).await, 200);
    assert_eq!(authorizations(&front), 7);
}

#[tokio::test]
async fn a_password_with_a_request_is_for_files_alone_and_never_crosses_the_network() {
    let front = ByPassword::default();
    let server = FakeFiles::new().server_of(front.clone());
    let answer = request("GET", "/dfs/data/a.csv")
        .header("Authorization", BASIC)
        .host("10.1.1.7")
        .peer("10.9.9.9:1")
        .to(&server)
        .await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (401, "insecure-login")
    );
    for target in ["/api/v1/me", "/api/v1/volumes", "/dfs"] {
        let answer = request("GET", target)
            .header("Authorization", BASIC)
            .to(&server)
            .await;
        assert_eq!(answer.status, 401, "{target}");
    }
    assert_eq!(*front.logins.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_path_that_is_long_once_encoded_is_taken() {
    let name = "ü".repeat(120);
    let target = format!("/dfs/{0}/{0}/{0}/{0}/{0}/{0}", "%C3%BC".repeat(120));
    assert!(target.len() > 4096);
    let files = FakeFiles::new();
    let answer = put(&files, &target, &[], "x").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let expected = format!("/{0}/{0}/{0}/{0}/{0}/{0}", name);
    assert_eq!(files.puts.lock().unwrap()[0].path, path(&expected));
}
