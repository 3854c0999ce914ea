//! The whole course of a local cluster, with fake processes and a fake machine behind the real API.

use std::fs;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use rustix::process::{Pid, Signal, kill_process};
use vaquita_core::admin::{
    NodeRow, NodeState, OrderRow, Refusal, Reply, Request, Response, UserRow, Verb,
};
use vaquita_core::ids::{Alias, Role};

use super::{fake_program, until_running, written};
use crate::cli::client::Api;
use crate::cli::exit::Status;
use crate::cli::local::cluster::Cluster;
use crate::cli::local::layout::Layout;
use crate::cli::local::processes::running_under;
use crate::cli::terminal::testing::captured;
use crate::http::{
    AllowedHosts, Front, HttpLimits, HttpServer, HttpSettings, Metrics, Passage, serve_connection,
};

/// A controller whose nodes do at once what they are told.
#[derive(Clone)]
struct Controller {
    layout: Layout,
    token: String,
    password: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    started: bool,
    failing: bool,
    verbs: Vec<Verb>,
}

impl Controller {
    fn rows(&self) -> Vec<NodeRow> {
        let State {
            started, failing, ..
        } = *self.state.lock().unwrap();
        let agents = self
            .layout
            .hosts
            .iter()
            .map(|host| (&host.agent, Role::Agent));
        let nodes = self
            .layout
            .data_nodes
            .iter()
            .map(|site| (site, Role::DataNode));
        agents
            .chain(nodes)
            .map(|(site, mode)| NodeRow {
                alias: Alias::new(&site.alias).unwrap(),
                mode,
                host: site.host.clone(),
                port: site.port,
                site: site.to_string(),
                state: match mode {
                    Role::Agent => NodeState::Online,
                    _ if failing => NodeState::Failed,
                    _ if started => NodeState::Online,
                    _ => NodeState::Stopped,
                },
                agent: None,
                reason: if failing {
                    "disk full".to_owned()
                } else {
                    String::new()
                },
                admin: "none",
                admin_reason: String::new(),
                conditions: Vec::new(),
                pid: None,
                epoch: None,
                silent_ms: None,
                figures: None,
            })
            .collect()
    }
}

impl Front for Controller {
    async fn ask(&self, request: Request) -> Reply {
        let vaquita_core::admin::Caller::Remote { token, .. } = &request.caller else {
            return Err(Refusal::Unauthenticated);
        };
        if request.verb == Verb::WhoAmI {
            return if token.as_ref() == Some(&self.token) {
                Ok(Response::You(UserRow {
                    user: "admin".to_owned(),
                    role: vaquita_core::admin::UserRole::Admin,
                    admin: true,
                    rights: Vec::new(),
                    must_change_password: false,
                }))
            } else {
                Err(Refusal::Unauthenticated)
            };
        }
        self.state.lock().unwrap().verbs.push(request.verb.clone());
        let ordered = |started: bool| {
            self.state.lock().unwrap().started = started;
            let rows = self
                .rows()
                .into_iter()
                .filter(|row| row.mode == Role::DataNode);
            let rows = rows.map(|row| OrderRow {
                alias: row.alias,
                changed: true,
                note: String::new(),
            });
            Ok(Response::Ordered(rows.collect()))
        };
        match request.verb {
            Verb::ListNodes => Ok(Response::Nodes(self.rows())),
            Verb::StartNodes(_) => ordered(true),
            Verb::StopNodes(_) => ordered(false),
            Verb::Login { password, .. } => {
                if password.reveal() == self.password {
                    Ok(Response::LoggedIn {
                        token: self.token.clone(),
                        must_change_password: false,
                    })
                } else {
                    Err(Refusal::WrongPassword)
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

struct Rig {
    directory: tempfile::TempDir,
    layout: Layout,
    controller: Controller,
}

impl Rig {
    /// A cluster of two hosts whose API listens on a port of its own.
    async fn new() -> Self {
        let (directory, mut layout) = written(2);
        #[expect(
            clippy::disallowed_methods,
            reason = "the API that a controller would serve"
        )]
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        layout.controller.port = listener.local_addr().unwrap().port();
        let bootstrap = super::read_bootstrap(&layout).unwrap();
        let controller = Controller {
            layout: layout.clone(),
            token: bootstrap.token,
            password: bootstrap.admin_password,
            state: Arc::default(),
        };
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let settings = HttpSettings {
            title: "controller".to_owned(),
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
        };
        let server = HttpServer::new(controller.clone(), settings, metrics, Arc::new(registry));
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let never = std::future::pending();
                let server = server.clone();
                tokio::spawn(serve_connection(stream, Bytes::new(), peer, server, never));
            }
        });
        Self {
            directory,
            layout,
            controller,
        }
    }

    fn cluster(&self, failing: &str) -> Cluster {
        // The fake lies outside the cluster's directory, in which nothing else may run.
        let program = fake_program(self.directory.path(), failing);
        Cluster::new(self.layout.clone(), program)
    }

    fn api(&self, token: Option<&str>) -> Api {
        Api::for_local(&self.layout.server(), None, token.map(str::to_owned)).unwrap()
    }
}

/// No process outlives its test, however that ends.
impl Drop for Rig {
    fn drop(&mut self) {
        for running in running_under(&self.layout.directory) {
            let pid = Pid::from_raw(running.pid.cast_signed()).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn a_cluster_starts_says_what_it_does_and_stops_without_a_rest() {
    let rig = Rig::new().await;
    let mut cluster = rig.cluster("nobody");
    let mut api = rig.api(Some(&rig.controller.token));
    let (mut terminal, out, _) = captured();
    cluster.start(&mut api, &mut terminal).await.unwrap();
    cluster.told_green(&mut terminal).unwrap();
    let running = until_running(&rig.layout.directory, 3).await;
    assert_eq!(running[2].mode, vaquita_config::Mode::Controller);
    for line in [
        "master started (pid ",
        "P2-agent started (pid ",
        "the controller answers (",
        "P2-NODE1 is online (",
        "all green after ",
        ": 1 controller, 2 agents, 2 data nodes",
    ] {
        assert!(out.text().contains(line), "no {line:?} in\n{}", out.text());
    }
    cluster.stop(&mut api, &mut terminal).await.unwrap();
    assert_eq!(running_under(&rig.layout.directory), []);
    let text = out.text();
    let position = |line: &str| {
        text.find(line)
            .unwrap_or_else(|| panic!("no {line}\n{text}"))
    };
    let order = [
        position("stopping the data nodes"),
        position("stopping the agents"),
        position("stopping the controller"),
        position("everything has stopped"),
    ];
    assert!(order.is_sorted(), "{text}");
    let verbs = &rig.controller.state.lock().unwrap().verbs;
    assert!(verbs.contains(&Verb::StopNodes(vaquita_core::admin::Selection::All)));
}

#[tokio::test]
async fn a_void_token_is_replaced_by_a_login_with_the_kept_password() {
    let rig = Rig::new().await;
    let mut cluster = rig.cluster("nobody");
    let mut api = rig.api(Some("vqt_of_another_time"));
    let (mut terminal, _, _) = captured();
    cluster.start(&mut api, &mut terminal).await.unwrap();
    cluster.stop(&mut api, &mut terminal).await.unwrap();
    let verbs = &rig.controller.state.lock().unwrap().verbs;
    let logins = verbs
        .iter()
        .filter(|verb| matches!(verb, Verb::Login { .. }));
    assert_eq!(logins.count(), 1);
}

#[tokio::test]
async fn a_password_that_was_changed_is_asked_for() {
    let rig = Rig::new().await;
    fs::write(rig.layout.password_file(), "outdated\n").unwrap();
    let mut cluster = rig.cluster("nobody");
    let mut api = rig.api(Some("vqt_of_another_time"));
    let (mut terminal, _, _) = captured();
    let failure = cluster.start(&mut api, &mut terminal).await.unwrap_err();
    assert_eq!(failure.status, Status::Denied);
    assert!(failure.message.contains("admin.password"), "{failure}");
    cluster.stop(&mut api, &mut terminal).await.unwrap();
}

#[tokio::test]
async fn a_process_that_dies_while_starting_is_shown_with_its_last_words() {
    let mut rig = Rig::new().await;
    // Nobody answers there, so that the death is what ends the start.
    rig.layout.controller.port = 1;
    let mut cluster = rig.cluster("agent");
    let mut api = rig.api(None);
    let (mut terminal, _, _) = captured();
    let failure = cluster.start(&mut api, &mut terminal).await.unwrap_err();
    assert_eq!(failure.status, Status::Unavailable);
    let failure = failure.message;
    assert!(
        failure.contains("-agent ended (exit status: 69)"),
        "{failure}"
    );
    assert!(failure.contains("no such port"), "{failure}");
    cluster.stop(&mut api, &mut terminal).await.unwrap();
    assert_eq!(running_under(&rig.layout.directory), []);
}

#[tokio::test]
async fn a_node_that_fails_ends_the_start_with_its_reason() {
    let rig = Rig::new().await;
    rig.controller.state.lock().unwrap().failing = true;
    let mut cluster = rig.cluster("nobody");
    let mut api = rig.api(Some(&rig.controller.token));
    let (mut terminal, _, _) = captured();
    let failure = cluster.start(&mut api, &mut terminal).await.unwrap_err();
    assert_eq!(failure.status, Status::Unavailable);
    assert!(
        failure.message.contains("P1-NODE1 failed: disk full"),
        "{failure}"
    );
    cluster.stop(&mut api, &mut terminal).await.unwrap();
}
