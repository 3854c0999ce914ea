//! What is handed to the machine, and what is made of its word.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vaquita_config::{ClusterFiles, Resolved, resolve_controller};
use vaquita_core::admin::{
    ConfigurationRow, ReconfiguredRow, Refusal, Reply, Request, Response, Verb,
};
use vaquita_core::controller::{FilesConfig, Member, Reconfiguration};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::ids::{Alias, Endpoint, Role, Site};
use vaquita_core::message::RestartPolicy;

use super::*;
use crate::config_desk::files::{Bytes, Reading};
use crate::config_desk::{NodeStanding, Running};

/// A machine that answers from a script, and what it was asked.
#[derive(Clone, Default)]
struct Machine {
    asked: Arc<Mutex<Vec<Verb>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Machine {
    fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let machine = Self::default();
        machine.replies.lock().unwrap().extend(replies);
        machine
    }

    /// Of each order to take up something: whether it was for show, and the waits and rows in it.
    fn handed(&self) -> Vec<(bool, Option<Duration>, usize)> {
        let asked = self.asked.lock().unwrap();
        let handed = asked.iter().filter_map(|verb| match verb {
            Verb::Reconfigure { config, dry_run } => {
                Some((*dry_run, config.recovery_wait, config.members.len()))
            }
            _ => None,
        });
        handed.collect()
    }

    /// A desk with this machine behind it, started with the files as they are.
    fn desk(&self, office: &Office) -> ConfigDesk {
        let mut bytes = Bytes::new();
        for file in ConfigFile::ALL {
            bytes.insert(file, fs::read(office.path(file)).unwrap());
        }
        let files = Reading::of(&bytes, &Beside::default(), false).files;
        let settings = resolve_controller(&files, &[], None);
        let machine = self.clone();
        let ask = move |request: Request| {
            machine.asked.lock().unwrap().push(request.verb);
            let reply = machine.replies.lock().unwrap().pop_front();
            async move { reply.unwrap_or(Ok(Response::Reconfigured(Vec::new()))) }
        };
        let running = Running::new(ask, Box::new(meaning), &files, settings);
        office.desk_of(Box::new(OsHand), Some(running))
    }
}

fn meaning(files: &ClusterFiles, settings: &Resolved) -> Result<Reconfiguration, String> {
    let rows = files
        .nodes
        .iter()
        .flat_map(|nodes| nodes.value.data_nodes());
    let members = rows.map(|row| Member {
        site: Site {
            endpoint: Endpoint {
                host: row.site.host.clone(),
                port: row.site.port,
            },
            alias: Alias::new(&row.site.alias).unwrap(),
        },
        role: Role::DataNode,
        host: row.site.host.clone(),
        node_cfg: format!("of {}", row.site.alias),
    });
    Ok(Reconfiguration {
        members: members.collect(),
        recovery_wait: settings.duration("dfsRecoveryWaitTime"),
        restart: RestartPolicy::Backoff,
        restart_stopped: false,
        files: FilesConfig::default(),
    })
}

fn row(subject: &str) -> ReconfiguredRow {
    ReconfiguredRow {
        subject: subject.to_owned(),
        change: "setting",
        needs: "nothing",
        text: format!("{subject} is new"),
    }
}

const MINUTES_5: Option<Duration> = Some(Duration::from_secs(300));
const MINUTE: Option<Duration> = Some(Duration::from_secs(60));

#[tokio::test]
async fn a_change_is_shown_to_the_machine_before_it_is_written_and_handed_to_it_after() {
    let office = Office::new();
    let told = || Ok(Response::Reconfigured(vec![row("dfsRecoveryWaitTime")]));
    let machine = Machine::replying([told(), told()]);
    let desk = machine.desk(&office);
    let change = set("dfsRecoveryWaitTime", "60000");
    let written = edit(&desk, ConfigFile::Controller, change).await.unwrap();
    assert_eq!(machine.handed(), [(true, MINUTE, 2), (false, MINUTE, 2)]);
    let reloaded = written.reloaded.unwrap();
    assert_eq!(reloaded.taken_up, [row("dfsRecoveryWaitTime")]);
    assert!(reloaded.pending.is_empty(), "{:?}", reloaded.pending);
    let shown = desk.show(ConfigFile::Controller).await.unwrap();
    assert_eq!(shown.row.taken_up, Some(true));
    let wait = shown.keys.iter().find(|it| it.key == "dfsRecoveryWaitTime");
    let wait = wait.unwrap();
    assert_eq!(
        (wait.running.as_str(), wait.pending, wait.needs),
        ("60000", false, "reload")
    );
}

#[tokio::test]
async fn what_the_machine_would_refuse_is_not_written() {
    let office = Office::new();
    let reason = "P2-NODE1 has 12 chunks".to_owned();
    let machine = Machine::replying([Err(Refusal::Conflict { reason })]);
    let desk = machine.desk(&office);
    let alias = "P2-NODE1".to_owned();
    let refused = edit(&desk, ConfigFile::Nodes, Edit::RemoveMember { alias }).await;
    assert!(
        matches!(&refused, Err(DeskError::Refused(Refusal::Conflict { .. }))),
        "{refused:?}"
    );
    assert_eq!(office.text(ConfigFile::Nodes), NODES);
    assert_eq!(machine.handed(), [(true, MINUTES_5, 1)]);
    let history = desk.history(ConfigFile::Nodes).await.unwrap();
    assert!(history.versions.is_empty());
}

#[tokio::test]
async fn a_text_that_was_written_and_not_taken_up_is_told_so() {
    let office = Office::new();
    let reason = "the controller is ending".to_owned();
    let machine = Machine::replying([
        Ok(Response::Reconfigured(Vec::new())),
        Err(Refusal::Unavailable { reason }),
    ]);
    let desk = machine.desk(&office);
    let change = set("dfsRecoveryWaitTime", "60000");
    let written = edit(&desk, ConfigFile::Controller, change).await.unwrap();
    assert!(written.reloaded.is_none());
    assert!(written.not_taken_up.unwrap().contains("is ending"));
    let shown = desk.show(ConfigFile::Controller).await.unwrap();
    assert_eq!(shown.row.taken_up, Some(false));
    // Once it can, a reload is enough.
    desk.reload(Caller::CONSOLE).await.unwrap();
    let shown = desk.show(ConfigFile::Controller).await.unwrap();
    assert_eq!(shown.row.taken_up, Some(true));
}

#[tokio::test]
async fn what_a_reload_does_not_reach_is_told_as_pending_with_what_it_needs() {
    let office = Office::new();
    let machine = Machine::default();
    let desk = machine.desk(&office);
    let text = format!("{CONTROLLER}workerNum=7\nlanCluster=0\ndfsRecoveryWaitTime=60000\n");
    office.put(ConfigFile::Controller, text);
    let reloaded = desk.reload(Caller::CONSOLE).await.unwrap();
    let pending: Vec<_> = (reloaded.pending.iter())
        .filter(|row| ["workerNum", "lanCluster", "dfsRecoveryWaitTime"].contains(&row.key))
        .map(|row| (row.key, row.next.as_str(), row.needs))
        .collect();
    assert_eq!(
        pending,
        [
            ("lanCluster", "0", "cluster restart"),
            ("workerNum", "7", "controller restart")
        ]
    );
    assert_eq!(machine.handed(), [(false, MINUTE, 2)]);
}

#[tokio::test]
async fn files_with_an_error_are_not_handed_over() {
    let office = Office::new();
    let machine = Machine::default();
    let desk = machine.desk(&office);
    office.put(ConfigFile::Cluster, "workerNum=many\n");
    let refused = desk.reload(Caller::CONSOLE).await;
    let Err(DeskError::Unacceptable { file, findings }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((file, findings[0].line), (ConfigFile::Cluster, 1));
    assert!(machine.handed().is_empty());
}

#[tokio::test]
async fn each_data_node_is_told_with_how_it_stands_to_the_files() {
    let office = Office::new();
    let digest = |text: &str| Digest::of(text.as_bytes());
    let row = |alias: &str, runs: bool, next: &str, with: Option<&str>| ConfigurationRow {
        alias: Alias::new(alias).unwrap(),
        runs,
        next: digest(next),
        started_with: with.map(digest),
    };
    for (row, standing) in [
        (
            row("P1-NODE1", true, "of P1-NODE1", Some("of P1-NODE1")),
            NodeStanding::Current,
        ),
        (
            row("P1-NODE1", true, "of P1-NODE1", Some("earlier")),
            NodeStanding::RestartPending,
        ),
        (
            row("P1-NODE1", true, "of P1-NODE1", None),
            NodeStanding::Unknown,
        ),
        (
            row("P1-NODE1", false, "of P1-NODE1", None),
            NodeStanding::Stopped,
        ),
        (
            row("P1-NODE1", true, "earlier", Some("earlier")),
            NodeStanding::ReloadPending,
        ),
        (
            row("P9-NODE1", true, "of P1-NODE1", None),
            NodeStanding::ReloadPending,
        ),
    ] {
        let machine = Machine::replying([Ok(Response::Configurations(vec![row.clone()]))]);
        let desk = machine.desk(&office);
        let overview = desk.overview(&Caller::CONSOLE).await.unwrap();
        assert_eq!(overview.nodes[0].standing, standing, "{row:?}");
        assert_eq!(overview.nodes[0].alias, "P1-NODE1");
    }
}
