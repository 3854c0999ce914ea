//! A cluster that is a list of nodes and users, behind the real HTTP interface.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use vaquita_core::admin::{
    Caller, LogPiece, LogRange, MirrorRow, NodeRow, NodeState, OrderRow, Refusal, Reply, Request,
    RescanRow, Response, Right, Selection, StatusReport, TokenKind, TokenRow, UserRole, UserRow,
    Verb,
};
use vaquita_core::audit::{AuditPage, AuditRow};
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::figures::NodeFigures;
use vaquita_core::ids::{Alias, LogIndex, Role};
use vaquita_core::secret::Password;
use vaquita_core::state::Duty;
use vaquita_node::http::{
    AllowedHosts, Front, HttpLimits, HttpServer, HttpSettings, Metrics, Passage, serve_connection,
};

use crate::files::{FakeFiles, Manner};
use crate::program::Place;

/// A controller to talk to.
#[derive(Clone, Default)]
pub(crate) struct FakeCluster {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    users: BTreeMap<String, User>,
    tokens: BTreeMap<String, String>,
    /// Tokens for programs, by what is sent.
    programs: BTreeMap<String, TokenRow>,
    audit_is_forged: bool,
    logins: usize,
    nodes: BTreeMap<String, NodeState>,
    /// What nodes are used for; each that is drained is empty at once.
    duties: BTreeMap<String, Duty>,
    /// States that a started node passes, one at each look.
    course: Vec<NodeState>,
    reason: String,
    log: Vec<u8>,
    /// What every login needs, if anything.
    setup_code: Option<Password>,
    files: FakeFiles,
    /// Where data nodes are served.
    sites: BTreeMap<String, SocketAddr>,
}

#[derive(Clone)]
struct User {
    password: String,
    row: UserRow,
}

impl FakeCluster {
    /// A cluster with `admin`, whose password is the first one, and two stopped data nodes.
    pub(crate) fn new() -> Self {
        let cluster = Self::default();
        cluster.add("admin", "123456", true);
        {
            let mut state = cluster.state.lock().unwrap();
            state
                .users
                .get_mut("admin")
                .unwrap()
                .row
                .must_change_password = true;
            for alias in ["P1-NODE1", "P2-NODE1"] {
                state.nodes.insert(alias.to_owned(), NodeState::Stopped);
            }
            state.course = vec![NodeState::Online];
        }
        cluster
    }

    /// A cluster whose administrator has changed the password to `long enough`.
    pub(crate) fn settled() -> Self {
        let cluster = Self::new();
        cluster.add("admin", "long enough", true);
        cluster
    }

    /// Somebody changes an entry of the audit.
    pub(crate) fn forge_audit(&self) {
        self.state.lock().unwrap().audit_is_forged = true;
    }

    pub(crate) fn add(&self, name: &str, password: &str, admin: bool) {
        let row = UserRow {
            user: name.to_owned(),
            role: UserRole::of(admin, &[]),
            admin,
            rights: Vec::new(),
            must_change_password: false,
        };
        let password = password.to_owned();
        let mut state = self.state.lock().unwrap();
        state.users.insert(name.to_owned(), User { password, row });
    }

    /// What a node passes through when it is started.
    pub(crate) fn course(&self, states: &[NodeState], reason: &str) {
        let mut state = self.state.lock().unwrap();
        state.course = states.to_vec();
        state.reason = reason.to_owned();
    }

    /// Has logins need this code, as those from another machine do.
    pub(crate) fn setup_code(&self, code: &str) {
        self.state.lock().unwrap().setup_code = Some(Password::new(code.to_owned()));
    }

    pub(crate) fn log(&self, text: &str) {
        self.state.lock().unwrap().log = text.as_bytes().to_vec();
    }

    pub(crate) fn logins(&self) -> usize {
        self.state.lock().unwrap().logins
    }

    pub(crate) fn forget_tokens(&self) {
        self.state.lock().unwrap().tokens.clear();
    }

    pub(crate) fn rights_of(&self, user: &str) -> Vec<Right> {
        self.state.lock().unwrap().users[user].row.rights.clone()
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.state.lock().unwrap().users.keys().cloned().collect()
    }

    /// The files of the cluster.
    pub(crate) fn files(&self) -> FakeFiles {
        self.state.lock().unwrap().files.clone()
    }

    /// Serves a data node of that name, in that state and manner.
    pub(crate) async fn serve_data_node(
        &self,
        alias: &str,
        state: NodeState,
        manner: Manner,
    ) -> SocketAddr {
        let files = self.files().in_manner(manner);
        let address = match manner {
            Manner::Hangs => listening().await.1,
            _ => serve(with_files(self.clone(), files)).await,
        };
        let mut cluster = self.state.lock().unwrap();
        cluster.nodes.insert(alias.to_owned(), state);
        cluster.sites.insert(alias.to_owned(), address);
        address
    }

    /// A cluster of one data node, `P1-NODE1`, that serves well, and somebody who is logged in.
    pub(crate) async fn with_one_data_node() -> (Self, Place) {
        let cluster = Self::settled();
        cluster
            .serve_data_node("P1-NODE1", NodeState::Online, Manner::Well)
            .await;
        let place = cluster.logged_in().await;
        (cluster, place)
    }

    /// Serves the cluster, and a place whose user is logged in there.
    pub(crate) async fn logged_in(&self) -> Place {
        let mut place = self.serve().await;
        place.set("TZ", "UTC");
        let login = "login --password-stdin";
        place.run_with(login, "long enough\n").await.ok();
        place
    }

    /// Serves the cluster, and a place whose commands find it by VAQUITA_SERVER.
    pub(crate) async fn serve(&self) -> Place {
        let (metrics, registry) = counters();
        let server = HttpServer::new(self.clone(), settings("controller"), metrics, registry);
        let address = serve(server).await;
        let mut place = Place::new();
        place.set("VAQUITA_SERVER", &address.to_string());
        place
    }
}

fn with_files(cluster: FakeCluster, files: FakeFiles) -> HttpServer {
    let (metrics, registry) = counters();
    let front = DataNodeFront(cluster);
    HttpServer::with_files(front, files, settings("datanode"), metrics, registry)
}

fn counters() -> (Metrics, Arc<Registry>) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (metrics, Arc::new(registry))
}

fn settings(title: &str) -> HttpSettings {
    HttpSettings {
        title: title.to_owned(),
        allowed_hosts: AllowedHosts::default(),
        web_workers: 4,
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

/// A port on which connections are accepted by the system, and by nobody else. It is listened on
/// for as long as the test runs.
async fn listening() -> (Arc<tokio::net::TcpListener>, SocketAddr) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the port that a driver would serve"
    )]
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Arc::new(listener);
    let kept = listener.clone();
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(kept);
    });
    (listener, address)
}

async fn serve(server: HttpServer) -> SocketAddr {
    let (listener, address) = listening().await;
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let never = std::future::pending();
            let server = server.clone();
            tokio::spawn(serve_connection(stream, Bytes::new(), peer, server, never));
        }
    });
    address
}

fn figures() -> NodeFigures {
    NodeFigures {
        age_ms: Some(900),
        uptime_ms: 61_000,
        cpu_milli: Some(6),
        memory_bytes: 20 << 20,
        connections: 2,
        connections_max: 64,
        disk_free: Some(1 << 40),
        ..NodeFigures::default()
    }
}

fn not_found(what: &str) -> Refusal {
    let what = what.to_owned();
    Refusal::NotFound { what }
}

impl State {
    fn caller(&self, caller: &Caller) -> Result<UserRow, Refusal> {
        let Caller::Remote { token, .. } = caller else {
            return Err(Refusal::Unauthenticated);
        };
        let user = token.as_ref().and_then(|token| self.tokens.get(token));
        let user = user.ok_or(Refusal::Unauthenticated)?;
        Ok(self.users[user].row.clone())
    }

    fn rows(&mut self) -> Vec<NodeRow> {
        let row = |alias: &str, mode, state| NodeRow {
            alias: Alias::new(alias).unwrap(),
            mode,
            host: "10.1.1.1".to_owned(),
            port: 8961,
            site: format!("10.1.1.1:8961:{alias}"),
            state,
            agent: (mode == Role::DataNode).then(|| Alias::new("P1-agent").unwrap()),
            reason: match state {
                NodeState::Failed => self.reason.clone(),
                _ => String::new(),
            },
            admin: match self.duties.get(alias) {
                None | Some(Duty::Serve) => "none",
                Some(Duty::Drain) => "drained",
                Some(Duty::Maintenance { .. }) => "maintenance",
            },
            admin_reason: String::new(),
            conditions: Vec::new(),
            pid: None,
            epoch: None,
            silent_ms: None,
            figures: (alias == "P1-NODE1").then(figures).map(Box::new),
        };
        let mut rows = vec![row("P1-agent", Role::Agent, NodeState::Online)];
        rows.extend(self.nodes.iter().map(|(alias, state)| {
            let row = row(alias, Role::DataNode, *state);
            match self.sites.get(alias) {
                Some(at) => NodeRow {
                    host: at.ip().to_string(),
                    port: at.port(),
                    site: format!("{at}:{alias}"),
                    ..row
                },
                None => row,
            }
        }));
        // Each look moves the started nodes on.
        for state in self.nodes.values_mut() {
            let position = self.course.iter().position(|it| it == state);
            if let Some(next) = position.and_then(|at| self.course.get(at + 1)) {
                *state = *next;
            }
        }
        rows
    }

    fn order(&mut self, selection: &Selection, start: bool) -> Reply {
        let aliases: Vec<String> = match selection {
            Selection::All => self.nodes.keys().cloned().collect(),
            Selection::Aliases(aliases) => aliases.clone(),
        };
        if let Some(unknown) = aliases.iter().find(|it| !self.nodes.contains_key(*it)) {
            return Err(not_found(&format!(
                "there is no data node `{unknown}`; did you mean `P1-NODE1`?"
            )));
        }
        let rows = aliases.into_iter().map(|alias| {
            let goal = if start {
                self.course[0]
            } else {
                NodeState::Stopped
            };
            let before = self.nodes.insert(alias.clone(), goal);
            OrderRow {
                alias: Alias::new(&alias).unwrap(),
                changed: before != Some(goal),
                note: if start {
                    "starting".to_owned()
                } else {
                    String::new()
                },
            }
        });
        Ok(Response::Ordered(rows.collect()))
    }

    fn set_duty(&mut self, selection: &Selection, duty: Duty) -> Reply {
        let aliases: Vec<String> = match selection {
            Selection::All => self.nodes.keys().cloned().collect(),
            Selection::Aliases(aliases) => aliases.clone(),
        };
        if duty == Duty::Drain && aliases.len() == self.nodes.len() {
            let reason = "0 data nodes would be left".to_owned();
            return Err(Refusal::Conflict { reason });
        }
        let rows = aliases.into_iter().map(|alias| OrderRow {
            changed: self.duties.insert(alias.clone(), duty) != Some(duty),
            alias: Alias::new(&alias).unwrap(),
            note: format!("{duty:?}"),
        });
        Ok(Response::Ordered(rows.collect()))
    }

    fn answer(&mut self, request: &Request) -> Reply {
        if let Verb::Login {
            user,
            password,
            setup_code,
            ..
        } = &request.verb
        {
            let known = self
                .users
                .get(user)
                .filter(|it| it.password == password.reveal());
            let must_change_password = match known {
                Some(user) => user.row.must_change_password,
                None => return Err(Refusal::WrongPassword),
            };
            if must_change_password && self.setup_code.is_some() {
                match setup_code {
                    None => return Err(Refusal::SetupCodeRequired),
                    code if *code != self.setup_code => {
                        return Err(Refusal::WrongSetupCode { replaced: false });
                    }
                    Some(_) => {}
                }
            }
            self.logins += 1;
            let token = format!("token-{}", self.logins);
            self.tokens.insert(token.clone(), user.clone());
            return Ok(Response::LoggedIn {
                token,
                must_change_password,
            });
        }
        let me = self.caller(&request.caller)?;
        match &request.verb {
            Verb::Login { .. } => unreachable!("answered above"),
            Verb::Dfs(ask) => self.files.answer(ask).map(Response::Dfs),
            Verb::Logout => {
                if let Caller::Remote {
                    token: Some(token), ..
                } = &request.caller
                {
                    self.tokens.remove(token);
                }
                Ok(Response::Done)
            }
            Verb::WhoAmI => Ok(Response::You(me)),
            Verb::NoteRefusal { .. } => Ok(Response::Done),
            Verb::Reconfigure { .. } => Ok(Response::Reconfigured(Vec::new())),
            Verb::ListConfigurations => Ok(Response::Configurations(Vec::new())),
            Verb::Status => Ok(Response::Status(Box::new(StatusReport {
                alias: Alias::new("master").unwrap(),
                mode: Role::Controller,
                summary: "all is well".to_owned(),
                ready: true,
                nodes: self.rows(),
                alarms: Vec::new(),
                first_password: false,
                commit_index: Some(LogIndex(7)),
                log_copies: vec![MirrorRow {
                    alias: Alias::new("P1-NODE1").unwrap(),
                    upto: LogIndex(6),
                    complete: true,
                    state: String::new(),
                }],
                uptime_ms: 5000,
                all_green_after_ms: None,
                figures: None,
            }))),
            Verb::ListNodes => Ok(Response::Nodes(self.rows())),
            Verb::Figures { .. } => Err(not_found("charts")),
            Verb::StartNodes(selection) => self.order(selection, true),
            Verb::StopNodes(selection) => self.order(selection, false),
            Verb::ReplaceNode { node } => {
                let nodes = Selection::Aliases(vec![node.clone()]);
                self.order(&nodes, false)
            }
            Verb::RemoveNode { node, .. } => {
                let nodes = Selection::Aliases(vec![node.clone()]);
                self.order(&nodes, false)
            }
            Verb::SetDuty { nodes, duty } => self.set_duty(nodes, *duty),
            Verb::RescanVolumes(selection) => {
                let aliases: Vec<String> = match selection {
                    Selection::All => self.nodes.keys().cloned().collect(),
                    Selection::Aliases(aliases) => aliases.clone(),
                };
                let rows = aliases.iter().flat_map(|alias| rescanned(alias));
                Ok(Response::Rescanned(rows.collect()))
            }
            Verb::AdoptVolume { node, path } if path == "/disk1" => {
                Ok(Response::Rescanned(rescanned(node).into()))
            }
            Verb::AdoptVolume { path, .. } | Verb::ForgetVolume { path, .. } => {
                let reason = format!("{path} is in use");
                Err(Refusal::Conflict { reason })
            }
            Verb::SetVolumeDuty { node, path, drain } => Ok(Response::Ordered(vec![OrderRow {
                alias: Alias::new(node).unwrap(),
                changed: true,
                note: match drain {
                    true => format!("{path} is being drained, with 12 chunks"),
                    false => format!("{path} takes new chunks again"),
                },
            }])),
            Verb::ReadLog { range, .. } => {
                let LogRange::Tail { len } = *range else {
                    panic!("{range:?}");
                };
                let offset = self.log.len().saturating_sub(len as usize);
                Ok(Response::Log(LogPiece {
                    offset: offset as u64,
                    file_len: self.log.len() as u64,
                    bytes: self.log[offset..].to_vec(),
                }))
            }
            Verb::ListUsers => {
                let rows = self.users.values().map(|user| user.row.clone());
                Ok(Response::Users(rows.collect()))
            }
            Verb::AddUser {
                user,
                password,
                admin,
            } => {
                if self.users.contains_key(user) {
                    let reason = format!("there is a user `{user}` already");
                    return Err(Refusal::Conflict { reason });
                }
                let password = password.reveal().to_owned();
                let row = UserRow {
                    user: user.clone(),
                    role: UserRole::of(*admin, &[]),
                    admin: *admin,
                    rights: Vec::new(),
                    must_change_password: true,
                };
                self.users.insert(user.clone(), User { password, row });
                Ok(Response::Done)
            }
            Verb::IssueToken(new) => {
                let number = self.programs.len() + 1;
                let token = format!("vqt_{number:016x}_{number:064x}");
                let row = TokenRow {
                    id: format!("{number:016x}"),
                    kind: TokenKind::Token,
                    label: Some(new.label.clone()),
                    user: me.user.clone(),
                    issued_unix_ms: 1_800_000_000_000,
                    expires_unix_ms: 1_800_000_000_000
                        + u64::try_from(new.valid_for.as_millis()).unwrap(),
                    rights: new.rights.clone(),
                    networks: new.networks.clone(),
                    current: false,
                };
                self.tokens.insert(token.clone(), me.user);
                self.programs.insert(token.clone(), row.clone());
                Ok(Response::TokenIssued { token, row })
            }
            Verb::ListTokens { all } => {
                let rows = self.programs.values();
                let rows = rows.filter(|row| *all || row.user == me.user);
                Ok(Response::Tokens(rows.cloned().collect()))
            }
            Verb::RevokeToken { token } => {
                let id = token.to_string();
                let found = self.programs.iter().find(|(_, row)| row.id == id);
                let Some(token) = found.map(|(token, _)| token.clone()) else {
                    return Err(not_found(&format!("there is no token {id}")));
                };
                self.programs.remove(&token);
                self.tokens.remove(&token);
                Ok(Response::Done)
            }
            Verb::ListAudit(query) => {
                let before = query.before.unwrap_or(AUDITED + 1);
                let mut rows: Vec<AuditRow> = (1..before.min(AUDITED + 1))
                    .rev()
                    .map(audited)
                    .filter(|row| query.actor.as_ref().is_none_or(|it| *it == row.actor))
                    .collect();
                let more = rows.len() > query.limit as usize;
                rows.truncate(query.limit as usize);
                Ok(Response::Audit(AuditPage {
                    rows,
                    more,
                    oldest: 1,
                    newest: AUDITED,
                    head: format!("{AUDITED:064x}"),
                    intact: !self.audit_is_forged,
                }))
            }
            Verb::RemoveUser { user } => match self.users.remove(user) {
                Some(_) => Ok(Response::Done),
                None => Err(not_found(&format!("there is no user `{user}`"))),
            },
            Verb::ChangePassword { user, old, new } => {
                let name = user.clone().unwrap_or_else(|| me.user.clone());
                let Some(user) = self.users.get_mut(&name) else {
                    return Err(not_found(&format!("there is no user `{name}`")));
                };
                let old = old.as_ref().map(|old| old.reveal());
                if name == me.user && old != Some(user.password.as_str()) {
                    return Err(Refusal::WrongPassword);
                }
                user.password = new.reveal().to_owned();
                user.row.must_change_password = false;
                self.tokens.retain(|_, user| *user != name);
                Ok(Response::Done)
            }
            Verb::Grant { user, right } => {
                let user = self
                    .users
                    .get_mut(user)
                    .ok_or_else(|| not_found("no such user"))?;
                user.row.rights.push(*right);
                Ok(Response::Done)
            }
            Verb::Revoke { user, right } => {
                let user = self
                    .users
                    .get_mut(user)
                    .ok_or_else(|| not_found("no such user"))?;
                user.row.rights.retain(|it| it != right);
                Ok(Response::Done)
            }
        }
    }
}

impl Front for FakeCluster {
    async fn ask(&self, request: Request) -> Reply {
        self.state.lock().unwrap().answer(&request)
    }
}

/// The same cluster, asked through a data node, which knows nothing of the others.
#[derive(Clone)]
struct DataNodeFront(FakeCluster);

impl Front for DataNodeFront {
    async fn ask(&self, request: Request) -> Reply {
        if request.verb == Verb::ListNodes {
            return Err(Refusal::NotHere {
                here: "data node P1-NODE1".to_owned(),
                site: Some("10.1.1.7:8990:master".to_owned()),
            });
        }
        self.0.ask(request).await
    }
}

/// How many entries the audit has: more than a page.
pub(crate) const AUDITED: u64 = 1500;

fn audited(sequence: u64) -> AuditRow {
    AuditRow {
        sequence,
        index: LogIndex(sequence * 3),
        unix_ms: 1_800_000_000_000 + sequence,
        actor: ["alice", "bob"][usize::from(sequence.is_multiple_of(2))].to_owned(),
        means: "session",
        token: Some("00000000000000aa".to_owned()),
        address: Some("10.1.1.9".to_owned()),
        action: "node.stop".to_owned(),
        object: format!("P{sequence}"),
        detail: String::new(),
        result: ["done", "ordered"][usize::from(sequence.is_multiple_of(3))],
        reason: String::new(),
        count: 1,
        hash: format!("{sequence:064x}"),
    }
}

/// A volume that is back, and one that is not.
fn rescanned(alias: &str) -> [RescanRow; 2] {
    let row = |path: &str, now, reason: &str| RescanRow {
        node: Alias::new(alias).unwrap(),
        path: path.to_owned(),
        was: Some(VolumeState::Missing),
        now: Some(now),
        opened: true,
        chunks: 12,
        reason: reason.to_owned(),
    };
    [
        row("/disk1", VolumeState::Good, ""),
        row(
            "/disk2",
            VolumeState::Missing,
            "it is not mounted: mount it",
        ),
    ]
}
