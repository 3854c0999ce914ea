//! A fake machine, and a client that speaks bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use vaquita_core::admin::{
    Caller, MirrorRow, NodeRow, NodeState, Refusal, Reply, Request, Response, Right, StatusReport,
    UserRole, UserRow, Verb,
};
use vaquita_core::dfs::ask::{Answer, Ask};
use vaquita_core::figures::Figures;
use vaquita_core::figures::FiguresReport;
use vaquita_core::ids::{Alias, LogIndex, Role};

use crate::http::{
    AllowedHosts, Front, HttpLimits, HttpServer, HttpSettings, Metrics, Passage, serve_connection,
};

/// Tokens that the fake machine knows.
pub(super) const ADMIN: &str = "token-of-admin";
pub(super) const READER: &str = "token-of-reader";
pub(super) const PLAIN: &str = "token-of-plain";
pub(super) const FRESH: &str = "token-of-fresh";
pub(super) const FILES: &str = "token-of-files";
pub(super) const OPERATOR: &str = "token-of-operator";

/// Answers `WhoAmI` and the usual questions by itself and everything else from a script.
#[derive(Clone, Default)]
pub(super) struct FakeFront {
    pub(super) asked: Arc<Mutex<Vec<Request>>>,
    pub(super) script: Arc<Mutex<VecDeque<Reply>>>,
    pub(super) hang: bool,
}

impl FakeFront {
    pub(super) fn telling(replies: impl IntoIterator<Item = Reply>) -> Self {
        let front = Self::default();
        front.script.lock().unwrap().extend(replies);
        front
    }

    /// What was asked beside who asks.
    pub(super) fn verbs(&self) -> Vec<Verb> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|request| request.verb.clone())
            .filter(|verb| {
                !matches!(
                    verb,
                    Verb::WhoAmI | Verb::NoteRefusal { .. } | Verb::Dfs(Ask::Authorize { .. })
                )
            })
            .collect()
    }
}

pub(super) fn user(name: &str, admin: bool, rights: &[Right]) -> UserRow {
    UserRow {
        user: name.to_owned(),
        role: UserRole::of(admin, rights),
        admin,
        rights: rights.to_vec(),
        must_change_password: false,
    }
}

fn who(caller: &Caller) -> Reply {
    let Caller::Remote { token, .. } = caller else {
        return Ok(Response::You(user("console", true, &[])));
    };
    let row = match token.as_deref() {
        Some(ADMIN) => user("admin", true, &[]),
        Some(READER) => user("reader", false, &[Right::LogRead]),
        Some(OPERATOR) => user("operator", false, &[Right::Operate]),
        Some(PLAIN) => user("plain", false, &[]),
        Some(FILES) => user("files", false, &[Right::DfsRead, Right::DfsWrite]),
        Some(FRESH) => UserRow {
            must_change_password: true,
            ..user("fresh", true, &[])
        },
        _ => return Err(Refusal::Unauthenticated),
    };
    Ok(Response::You(row))
}

/// Whether the caller has a right on files.
fn authorize(caller: &Caller, right: Right) -> Reply {
    let Response::You(user) = who(caller)? else {
        panic!("asked who");
    };
    if user.must_change_password {
        return Err(Refusal::PasswordChangeRequired { user: user.user });
    }
    let admin = user.admin.then_some(Right::Admin);
    let mut held = user.rights.iter().copied().chain(admin);
    if !held.any(|held| held.implies(right)) {
        return Err(Refusal::Forbidden {
            user: user.user,
            right,
        });
    }
    Ok(Response::Dfs(Answer::Done))
}

impl Front for FakeFront {
    async fn ask(&self, request: Request) -> Reply {
        self.asked.lock().unwrap().push(request.clone());
        if request.verb == Verb::WhoAmI {
            return who(&request.caller);
        }
        if let Verb::Dfs(Ask::Authorize { right }) = request.verb {
            return authorize(&request.caller, right);
        }
        if let Verb::NoteRefusal { .. } = request.verb {
            return Ok(Response::Done);
        }
        if self.hang {
            std::future::pending::<()>().await;
        }
        let scripted = self.script.lock().unwrap().pop_front();
        match (scripted, &request.verb) {
            (Some(reply), _) => reply,
            (None, Verb::Status) => Ok(Response::Status(Box::new(status()))),
            (None, Verb::ListTokens { .. }) => Ok(Response::Tokens(Vec::new())),
            (None, Verb::ListNodes) => Ok(Response::Nodes(status().nodes)),
            (None, Verb::Figures { node, .. }) => Ok(Response::Figures(charts(node.is_some()))),
            (None, verb) => panic!("the script has no reply to {verb:?}"),
        }
    }
}

pub(super) fn node(alias: &str, mode: Role, state: NodeState) -> NodeRow {
    NodeRow {
        alias: Alias::new(alias).unwrap(),
        mode,
        host: "127.0.0.2".to_owned(),
        port: 8961,
        site: format!("127.0.0.2:8961:{alias}"),
        state,
        agent: Some(Alias::new("P1-agent").unwrap()),
        reason: String::new(),
        admin: "none",
        admin_reason: String::new(),
        conditions: Vec::new(),
        pid: Some(4711),
        epoch: None,
        silent_ms: Some(12),
        figures: None,
    }
}

pub(super) fn status() -> StatusReport {
    StatusReport {
        alias: Alias::new("master").unwrap(),
        mode: Role::Controller,
        summary: "2 of 3 data nodes are online".to_owned(),
        ready: true,
        nodes: vec![
            node("P1-agent", Role::Agent, NodeState::Online),
            node("P1-NODE1", Role::DataNode, NodeState::Online),
            node("P2-NODE1", Role::DataNode, NodeState::Online),
            node("P3-NODE1", Role::DataNode, NodeState::Failed),
        ],
        alarms: vec!["P3-NODE1 failed".to_owned()],
        first_password: false,
        commit_index: Some(LogIndex(42)),
        log_copies: vec![MirrorRow {
            alias: Alias::new("P1-NODE1").unwrap(),
            upto: LogIndex(40),
            complete: true,
            state: String::new(),
        }],
        uptime_ms: 1234,
        all_green_after_ms: Some(321),
        figures: Some(Box::new(Figures {
            cpu_us: 4321,
            memory_bytes: 1 << 20,
            sent_bytes: 99,
            ..Figures::default()
        })),
    }
}

fn charts(of_node: bool) -> FiguresReport {
    let points = vec![Some(1), None, Some(3)];
    FiguresReport {
        node: of_node.then(|| Alias::new("P1-NODE1").unwrap()),
        step_ms: 10_000,
        newest_age_ms: Some(0),
        newest_unix_ms: None,
        series: [("cpu", points)].into_iter().collect(),
    }
}

pub(super) fn settings() -> HttpSettings {
    HttpSettings {
        title: "controller <master>".to_owned(),
        allowed_hosts: AllowedHosts::new(["10.1.1.7:8990", "Cluster.Example"]),
        web_workers: 2,
        strict_defaults: false,
        allow_plain_http: false,
        session_cookie: "vq8990".to_owned(),
        https: None,
        passage: Passage::default(),
        manager: None,
        desk: None,
        limits: HttpLimits::default(),
        seed: vaquita_core::prng::Seed::from_number(1),
    }
}

pub(super) fn server_with(front: &FakeFront, settings: HttpSettings) -> HttpServer {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    metrics.event("node.offline");
    HttpServer::new(front.clone(), settings, metrics, Arc::new(registry))
}

pub(super) fn loopback() -> SocketAddr {
    "127.0.0.1:50000".parse().unwrap()
}

/// Opens a connection to a server.
pub(super) fn connect(server: &HttpServer, peer: SocketAddr) -> DuplexStream {
    let (ours, theirs) = duplex(1024 * 1024);
    tokio::spawn(serve_connection(
        theirs,
        Bytes::new(),
        peer,
        server.clone(),
        std::future::pending(),
    ));
    ours
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }

    pub(super) fn kind(&self) -> String {
        self.json()["error"]["kind"].as_str().unwrap().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

pub(super) fn parse(text: &str) -> Answered {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no end of headers: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answered {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Sends bytes on a connection of their own and reads to the end.
pub(super) async fn exchange(server: &HttpServer, peer: SocketAddr, bytes: &str) -> Answered {
    let mut stream = connect(server, peer);
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&String::from_utf8(answer).unwrap())
}

/// A request in the making.
pub(super) struct Sent {
    method: &'static str,
    path: String,
    host: &'static str,
    headers: String,
    body: Option<String>,
    peer: SocketAddr,
}

pub(super) fn request(method: &'static str, path: impl Into<String>) -> Sent {
    Sent {
        method,
        path: path.into(),
        host: "localhost:8990",
        headers: String::new(),
        body: None,
        peer: loopback(),
    }
}

impl Sent {
    pub(super) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(super) fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(super) fn peer(mut self, peer: &str) -> Self {
        self.peer = peer.parse().unwrap();
        self
    }

    pub(super) fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").raw(body)
    }

    pub(super) fn raw(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    pub(super) async fn send(self, front: &FakeFront) -> Answered {
        self.to(&server_with(front, settings())).await
    }

    pub(super) async fn to(self, server: &HttpServer) -> Answered {
        let Self {
            method,
            path,
            host,
            mut headers,
            body,
            peer,
        } = self;
        if let Some(body) = &body {
            headers.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let body = body.unwrap_or_default();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        exchange(server, peer, &text).await
    }
}
