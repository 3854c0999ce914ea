use core::time::Duration;

use crate::admin::{
    ConfigurationRow, NodeRow, NodeState, ReconfiguredRow, Refusal, Response, Selection, Verb,
};
use crate::controller::members::Members;
use crate::controller::{FilesConfig, Member, Reconfiguration};
use crate::ideal::{Ideal, alias};
use crate::ids::Role;
use crate::time::Timestamp;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn reload(
    cluster: &mut Ideal,
    config: &Reconfiguration,
    dry_run: bool,
) -> Result<Vec<ReconfiguredRow>, Refusal> {
    let config = Box::new(config.clone());
    match cluster.ask(Verb::Reconfigure { config, dry_run })? {
        Response::Reconfigured(rows) => Ok(rows),
        other => panic!("{other:?}"),
    }
}

fn configuration(cluster: &mut Ideal, name: &str) -> ConfigurationRow {
    match cluster.ask(Verb::ListConfigurations) {
        Ok(Response::Configurations(rows)) => rows
            .into_iter()
            .find(|row| row.alias == alias(name))
            .expect("a data node of the files"),
        other => panic!("{other:?}"),
    }
}

fn order(cluster: &mut Ideal, name: &str, run: bool) {
    let selection = Selection::Aliases(vec![name.to_owned()]);
    let verb = match run {
        true => Verb::StartNodes(selection),
        false => Verb::StopNodes(selection),
    };
    cluster.ask(verb).expect("the console may order");
    cluster.run_for(seconds(2));
}

fn changes(rows: &[ReconfiguredRow]) -> Vec<(&str, &str, &str)> {
    rows.iter()
        .map(|row| (row.subject.as_str(), row.change, row.needs))
        .collect()
}

fn member<'a>(config: &'a mut Reconfiguration, name: &str) -> &'a mut Member {
    let mut members = config.members.iter_mut();
    members
        .find(|member| member.site.alias == alias(name))
        .expect("a row of the files")
}

fn conflict(outcome: Result<Vec<ReconfiguredRow>, Refusal>) -> String {
    match outcome {
        Err(Refusal::Conflict { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// What does not depend on when a process began.
fn lasting(rows: Vec<NodeRow>) -> Vec<(String, String, NodeState, Option<String>)> {
    rows.into_iter()
        .map(|row| {
            let agent = row.agent.map(|agent| agent.to_string());
            (row.alias.to_string(), row.site, row.state, agent)
        })
        .collect()
}

#[test]
fn a_host_that_is_added_is_let_in_and_its_node_runs_without_a_restart() {
    let mut cluster = Ideal::running(2);
    let before: Vec<_> = cluster.rows().iter().map(|row| row.epoch).collect();
    cluster.start_agent(4);
    cluster.run_for(seconds(3));
    assert!(cluster.count("node.refused") > 0, "nobody knows it yet");
    cluster.hosts = 3;
    let config = cluster.configuration();
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(
        changes(&rows),
        [
            ("P3-agent", "member-added", "nothing"),
            ("P3-NODE1", "member-added", "nothing")
        ]
    );
    cluster.run_for(seconds(5));
    assert_eq!(cluster.state("P3-agent"), NodeState::Online);
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Stopped);
    order(&mut cluster, "P3-NODE1", true);
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Online);
    // Long enough for all that is kept of each member.
    cluster.run_for(seconds(60));
    let after: Vec<_> = cluster.rows().iter().map(|row| row.epoch).collect();
    assert_eq!(after[..4], before, "nobody else had to register anew");
    // A restart reads the same files.
    let reloaded = lasting(cluster.rows());
    cluster.kill(Ideal::controller_at());
    cluster.start_controller();
    cluster.run_for(seconds(5));
    assert_eq!(lasting(cluster.rows()), reloaded);
}

#[test]
fn the_same_files_again_change_nothing() {
    let mut cluster = Ideal::running(3);
    let config = cluster.configuration();
    assert_eq!(reload(&mut cluster, &config, false).unwrap(), []);
    cluster.run_for(seconds(20));
    for row in cluster.rows() {
        assert_eq!(row.state, NodeState::Online, "{row:?}");
    }
}

#[test]
fn a_dry_run_tells_the_same_and_changes_nothing() {
    let mut cluster = Ideal::running(2);
    let before = lasting(cluster.rows());
    cluster.hosts = 3;
    let mut config = cluster.configuration();
    config.files.factor = 1;
    config.files.min_write = 1;
    let told = reload(&mut cluster, &config, true).unwrap();
    assert_eq!(lasting(cluster.rows()), before);
    assert_eq!(reload(&mut cluster, &config, true).unwrap(), told);
    assert_eq!(reload(&mut cluster, &config, false).unwrap(), told);
    assert_eq!(reload(&mut cluster, &config, false).unwrap(), []);
}

#[test]
fn another_configuration_counts_from_the_nodes_next_start_and_is_told_until_then() {
    let mut cluster = Ideal::running(2);
    let started = configuration(&mut cluster, "P1-NODE1");
    assert_eq!(started.started_with, Some(started.next));
    let mut config = cluster.configuration();
    member(&mut config, "P1-NODE1").node_cfg = "workerNum=8\n".to_owned();
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(
        changes(&rows),
        [("P1-NODE1", "node-configuration", "node-restart")]
    );
    cluster.run_for(seconds(20));
    let waiting = configuration(&mut cluster, "P1-NODE1");
    assert!(waiting.runs);
    assert_eq!(waiting.started_with, Some(started.next));
    assert_ne!(waiting.next, started.next);
    // An agent that is started anew knows with what its node was started.
    cluster.kill(Ideal::agent_at(2));
    cluster.start_agent(2);
    cluster.run_for(seconds(5));
    assert_eq!(configuration(&mut cluster, "P1-NODE1"), waiting);
    order(&mut cluster, "P1-NODE1", false);
    let stopped = configuration(&mut cluster, "P1-NODE1");
    assert_eq!((stopped.runs, stopped.started_with), (false, None));
    order(&mut cluster, "P1-NODE1", true);
    let again = configuration(&mut cluster, "P1-NODE1");
    assert_eq!(again.started_with, Some(waiting.next));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
}

#[test]
fn a_row_cannot_go_or_move_under_a_node_that_runs() {
    let mut cluster = Ideal::running(3);
    let before = lasting(cluster.rows());
    let mut without = cluster.configuration();
    without
        .members
        .retain(|row| row.site.alias != alias("P1-NODE1"));
    let why = conflict(reload(&mut cluster, &without, false));
    assert!(why.contains("`vaquita node stop P1-NODE1`"), "{why}");
    let mut moved = cluster.configuration();
    member(&mut moved, "P1-NODE1").site.endpoint.port = 8971;
    let why = conflict(reload(&mut cluster, &moved, false));
    assert!(why.contains("stop it first"), "{why}");
    let mut moved = cluster.configuration();
    member(&mut moved, "P1-agent").site.endpoint.port = 8970;
    let why = conflict(reload(&mut cluster, &moved, false));
    assert!(why.contains("stop the agent first"), "{why}");
    // Without its agent nobody could stop the node.
    let mut without = cluster.configuration();
    without
        .members
        .retain(|row| row.site.alias != alias("P2-agent"));
    let why = conflict(reload(&mut cluster, &without, false));
    assert!(why.contains("P2-NODE1 on its host"), "{why}");
    cluster.run_for(seconds(20));
    assert_eq!(lasting(cluster.rows()), before);
}

/// The files without a member.
fn without(cluster: &Ideal, name: &str) -> Reconfiguration {
    let mut config = cluster.configuration();
    config.members.retain(|row| row.site.alias != alias(name));
    config
}

#[test]
fn the_rows_of_a_host_that_burnt_down_can_go_once_nothing_has_been_heard_for_long_enough() {
    let mut cluster = Ideal::running(3);
    cluster.kill(Ideal::agent_at(4));
    cluster.kill(Ideal::node_at(4));
    cluster.hosts = 2;
    let config = cluster.configuration();
    // Until then it is not known that it burnt down.
    for _ in 0..7 {
        let why = conflict(reload(&mut cluster, &config, true));
        assert!(why.contains("P3-NODE1 cannot go"), "{why}");
        cluster.run_for(seconds(1));
    }
    cluster.run_for(seconds(3));
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Offline);
    let why = conflict(reload(&mut cluster, &config, false));
    assert!(why.contains("`vaquita node stop P3-NODE1`"), "{why}");
    order(&mut cluster, "P3-NODE1", false);
    assert!(!configuration(&mut cluster, "P3-NODE1").runs);
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(
        changes(&rows),
        [
            ("P3-agent", "member-removed", "nothing"),
            ("P3-NODE1", "member-removed", "nothing")
        ]
    );
    assert_eq!(cluster.rows().len(), 4);
}

#[test]
fn a_controller_that_has_just_started_lets_no_row_go_of_what_it_has_not_heard_of_yet() {
    let mut cluster = Ideal::running(3);
    cluster.kill(Ideal::controller_at());
    cluster.kill(Ideal::agent_at(4));
    cluster.start_controller();
    cluster.run_for(Duration::from_millis(10));
    let config = without(&cluster, "P3-NODE1");
    order(&mut cluster, "P3-NODE1", false);
    cluster.kill(Ideal::controller_at());
    cluster.freeze(Ideal::node_at(4), true);
    cluster.start_controller();
    cluster.run_for(seconds(1));
    let why = conflict(reload(&mut cluster, &config, false));
    assert!(why.contains("not known whether its process runs"), "{why}");
    let agent = without(&cluster, "P3-agent");
    let why = conflict(reload(&mut cluster, &agent, false));
    assert!(why.contains("P3-NODE1 on its host"), "{why}");
    cluster.freeze(Ideal::node_at(4), false);
    cluster.run_for(seconds(5));
    // It has come, and nobody is there to end it.
    let why = conflict(reload(&mut cluster, &config, false));
    assert!(why.contains("its agent P3-agent is not there"), "{why}");
    cluster.kill(Ideal::node_at(4));
    cluster.run_for(seconds(10));
    reload(&mut cluster, &config, false).unwrap();
}

#[test]
fn a_row_cannot_go_while_the_order_that_its_node_should_run_stands() {
    let mut cluster = Ideal::running(3);
    // Somebody ends it by hand, which the order outlives.
    cluster.terminate(Ideal::node_at(4));
    cluster.run_for(seconds(2));
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Stopped);
    let config = without(&cluster, "P3-NODE1");
    let why = conflict(reload(&mut cluster, &config, false));
    assert!(why.contains("`vaquita node stop P3-NODE1`"), "{why}");
    order(&mut cluster, "P3-NODE1", false);
    reload(&mut cluster, &config, false).unwrap();
    // Whoever gets the name later is not started before somebody says so.
    let config = cluster.configuration();
    reload(&mut cluster, &config, false).unwrap();
    cluster.run_for(seconds(20));
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Stopped);
    assert!(!cluster.runs(Ideal::node_at(4)));
}

#[test]
fn an_agent_that_comes_back_ends_what_was_stopped_and_lost_its_row_meanwhile() {
    let mut cluster = Ideal::running(3);
    cluster.freeze(Ideal::agent_at(4), true);
    cluster.freeze(Ideal::node_at(4), true);
    cluster.run_for(seconds(10));
    order(&mut cluster, "P3-NODE1", false);
    let config = without(&cluster, "P3-NODE1");
    reload(&mut cluster, &config, false).unwrap();
    cluster.freeze(Ideal::agent_at(4), false);
    cluster.freeze(Ideal::node_at(4), false);
    cluster.run_for(seconds(10));
    assert_eq!(cluster.state("P3-agent"), NodeState::Online);
    assert!(!cluster.runs(Ideal::node_at(4)), "nobody ended it");
    assert_eq!(cluster.rows().len(), 5);
}

#[test]
fn of_two_agents_on_a_host_the_first_by_name_has_the_nodes_whatever_the_order_of_the_rows() {
    let mut cluster = Ideal::running(2);
    let add = |config: &mut Reconfiguration, at: usize, name: &str, port: u16| {
        let mut row = member(config, "P1-agent").clone();
        row.site.alias = alias(name);
        row.site.endpoint.port = port;
        config.members.insert(at, row);
    };
    let agent = |cluster: &Ideal| cluster.row("P1-NODE1").agent.map(|it| it.to_string());
    let mut config = cluster.configuration();
    add(&mut config, 0, "Z-agent", 8971);
    let end = config.members.len();
    add(&mut config, end, "Y-agent", 8972);
    reload(&mut cluster, &config, false).unwrap();
    assert_eq!(agent(&cluster).as_deref(), Some("P1-agent"));
    config.members.reverse();
    reload(&mut cluster, &config, false).unwrap();
    assert_eq!(agent(&cluster).as_deref(), Some("P1-agent"));
    // It would be started once more by the other one.
    add(&mut config, end, "A-agent", 8973);
    let why = conflict(reload(&mut cluster, &config, false));
    assert!(
        why.contains("P1-NODE1 cannot pass from its agent P1-agent to A-agent"),
        "{why}"
    );
    order(&mut cluster, "P1-NODE1", false);
    reload(&mut cluster, &config, false).unwrap();
    assert_eq!(agent(&cluster).as_deref(), Some("A-agent"));
}

#[test]
fn a_place_names_the_member_that_has_a_row_before_one_that_has_none() {
    let rows = Ideal::of(1).configuration().members;
    let orphan = rows[1].clone();
    let mut members = Members::new(vec![rows[0].clone()], vec![orphan], Timestamp::ZERO);
    let place = rows[1].site.endpoint.to_string();
    assert_eq!(members.named(&place), Some(1));
    let mut new = rows[1].clone();
    new.site.alias = alias("NEW");
    let slot = members.take_row(1, new, Timestamp::ZERO);
    assert_eq!(members.named(&place), Some(slot));
    assert_eq!(members.named("P1-NODE1"), Some(1));
}

#[test]
fn a_node_without_chunks_that_is_stopped_goes_with_its_row_and_comes_back_with_it() {
    let mut cluster = Ideal::running(3);
    order(&mut cluster, "P3-NODE1", false);
    cluster.hosts = 2;
    let config = cluster.configuration();
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(
        changes(&rows),
        [
            ("P3-agent", "member-removed", "nothing"),
            ("P3-NODE1", "member-removed", "nothing")
        ]
    );
    cluster.run_for(seconds(10));
    assert_eq!(cluster.rows().len(), 4);
    assert!(cluster.count("node.refused") > 0, "the agent asks in vain");
    let all = cluster.ask(Verb::StartNodes(Selection::All));
    let Ok(Response::Ordered(rows)) = all else {
        panic!("{all:?}");
    };
    assert_eq!(rows.len(), 2, "{rows:?}");
    cluster.hosts = 3;
    let config = cluster.configuration();
    reload(&mut cluster, &config, false).unwrap();
    cluster.run_for(seconds(10));
    assert_eq!(cluster.state("P3-agent"), NodeState::Online);
    order(&mut cluster, "P3-NODE1", true);
    assert_eq!(cluster.state("P3-NODE1"), NodeState::Online);
    assert_eq!(cluster.rows().len(), 6);
}

#[test]
fn a_stopped_node_gets_another_port() {
    let mut cluster = Ideal::running(2);
    order(&mut cluster, "P2-NODE1", false);
    let mut config = cluster.configuration();
    member(&mut config, "P2-NODE1").site.endpoint.port = 8971;
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(changes(&rows), [("P2-NODE1", "member-moved", "nothing")]);
    assert_eq!(cluster.row("P2-NODE1").port, 8971);
}

#[test]
fn a_wait_that_is_taken_up_rules_from_then_on() {
    let mut cluster = Ideal::running(4);
    let mut config = cluster.configuration();
    config.recovery_wait = Some(seconds(20));
    let rows = reload(&mut cluster, &config, false).unwrap();
    assert_eq!(
        changes(&rows),
        [("dfsRecoveryWaitTime", "setting", "nothing")]
    );
    cluster.kill(Ideal::agent_at(2));
    cluster.kill(Ideal::node_at(2));
    cluster.run_for(seconds(20));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Offline);
    cluster.run_for(seconds(12));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Lost);
}

#[test]
fn what_makes_no_sense_is_refused_whole() {
    let mut cluster = Ideal::running(2);
    let good = cluster.configuration();
    let with = |change: &dyn Fn(&mut Reconfiguration)| {
        let mut config = good.clone();
        // So that something would be taken up.
        config.recovery_wait = None;
        change(&mut config);
        config
    };
    let row = good.members[1].clone();
    for config in [
        with(&|config| config.members.push(row.clone())),
        with(&|config| member(config, "P1-NODE1").role = Role::Controller),
        with(&|config| member(config, "P1-NODE1").site.alias = alias("master")),
        with(&|config| config.files.factor = 0),
        with(&|config| {
            config.files = FilesConfig {
                factor: 1,
                min_write: 2,
                ..config.files
            };
        }),
        with(&|config| {
            let many = (0..20_000).map(|n| {
                let mut row = row.clone();
                row.site.alias = alias(&format!("N{n}"));
                row
            });
            config.members.extend(many);
        }),
    ] {
        let outcome = reload(&mut cluster, &config, false);
        assert!(
            matches!(outcome, Err(Refusal::Invalid { .. })),
            "{outcome:?}"
        );
    }
    let other_role = with(&|config| member(config, "P1-NODE1").role = Role::Agent);
    let why = conflict(reload(&mut cluster, &other_role, false));
    assert!(why.contains("cannot become"), "{why}");
    assert_eq!(reload(&mut cluster, &good, true).unwrap(), []);
}
