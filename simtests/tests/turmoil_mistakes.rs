//! A whole cluster of the product's own processes, configured wrongly: what is wrong is named, where
//! it is wrong, and nothing is left half alive.

use std::slice;
use std::time::Duration;

use simtests::cluster::{CONTROLLER, Cluster, PORT, Program, site};
use vaquita_core::admin::NodeState;
use vaquita_core::io::ExitCode;
use vaquita_core::uplink::NodeFacts;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn facts_of(program: &mut Program) -> &mut NodeFacts {
    program.facts_mut().expect("an agent or a data node")
}

/// Scenario 32: the alias in `controllerSite` is a label. A wrong one is named and does no harm.
#[test]
fn a_wrong_alias_in_controller_site_is_accepted_and_named() {
    let mut cluster = Cluster::of(2).seed(51).build();
    cluster.reconfigure("P1-agent", |program| {
        facts_of(program).controller_site.alias = site("mastr").alias;
    });
    cluster.bring_up();
    cluster.run_for(seconds(20));
    assert!(cluster.all_online());
    let row = cluster.row("P1-agent");
    let text = "controllerSite of P1-agent is master:8990:mastr, localSite of the controller is \
                master:8990:master: write the same in both places";
    assert_eq!(row.conditions, [text]);
    let told = cluster.events(CONTROLLER, "node.configuration_differs");
    assert_eq!(told.len(), 1, "{told:?}");
    let there = cluster.events("P1-agent", "uplink.remark");
    assert_eq!(there[0].message, text);
    assert_eq!(cluster.row("P2-agent").conditions, [""; 0]);
}

/// Scenario 32: a second process under a name that is taken is kept out for as long as the first
/// one lives, and takes over when it does not.
#[test]
fn the_first_of_two_processes_with_one_alias_keeps_it() {
    let mut cluster = Cluster::of(2).stray("COPY").seed(52).build();
    cluster.reconfigure("COPY", |program| {
        facts_of(program).site = site("P1-NODE1");
    });
    cluster.bring_up();
    let first = cluster.pid("P1-NODE1");
    let mark = cluster.mark();
    cluster.start("COPY");
    cluster.run_for(seconds(60));
    assert!(cluster.all_online());
    assert_eq!(cluster.row("P1-NODE1").pid, first);
    assert_eq!(cluster.events_since(mark, "P1-NODE1", "uplink.fenced"), []);
    let there = cluster.events("COPY", "uplink.refused");
    assert_eq!(there.len(), 1, "{there:?}");
    assert!(
        there[0]
            .message
            .contains("P1-NODE1 is taken by a living process"),
        "{}",
        there[0].message
    );
    let told = cluster.events_since(mark, CONTROLLER, "node.refused");
    assert!(!told.is_empty());
    assert!(told.len() <= 10, "{} lines in a minute", told.len());
    assert!(!cluster.status("COPY").ready);
}

/// Scenario 32: another program has the port. It is named, and once it is gone the node starts by
/// itself.
#[test]
fn a_held_port_is_named_and_the_node_starts_once_it_is_free() {
    let mut cluster = Cluster::of(2).seed(53).build();
    cluster.hold_port("P1-NODE1", PORT, Some("pid 4711 (nginx)"));
    cluster.start(CONTROLLER);
    cluster.start_agents();
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.order_start(&cluster.data_nodes());
    cluster.until_state("P1-NODE1", NodeState::Failed, seconds(10));
    let reason = cluster.row("P1-NODE1").reason;
    assert!(
        reason.contains("Failed to bind the socket on 8990"),
        "{reason}"
    );
    assert!(reason.contains("pid 4711 (nginx)"), "{reason}");
    assert_eq!(cluster.state("P2-NODE1"), NodeState::Online);
    assert!(!cluster.runs("P1-NODE1"));
    let told = cluster.events("P1-agent", "child.port_held").len();
    assert_eq!(told, 1);
    cluster.run_for(seconds(20));
    assert_eq!(cluster.events("P1-agent", "child.port_held").len(), told);
    cluster.hold_port("P1-NODE1", PORT, None);
    cluster.until_all_online(seconds(5));
}

/// Scenario 32: the controller's own port is held for longer than it waits.
#[test]
fn a_controller_whose_port_is_held_names_the_holder_and_ends() {
    let mut cluster = Cluster::of(1).seed(54).build();
    cluster.hold_port(CONTROLLER, PORT, Some("pid 12 (postgres)"));
    cluster.start(CONTROLLER);
    cluster.run_for(seconds(35));
    assert!(!cluster.runs(CONTROLLER));
    let exits = cluster.exits(CONTROLLER);
    assert_eq!(exits[0].code, ExitCode::Unavailable);
    assert!(
        exits[0].message.contains("is held by pid 12 (postgres)"),
        "{}",
        exits[0].message
    );
}

/// Scenario 32: a node that the nodes file does not have is turned away for good, with the nearest
/// name there is.
#[test]
fn an_unknown_node_is_refused_and_ends() {
    let mut cluster = Cluster::of(2).stray("P1-NODE11").seed(55).build();
    cluster.bring_up();
    cluster.start("P1-NODE11");
    cluster.run_for(seconds(5));
    assert!(!cluster.runs("P1-NODE11"));
    let exits = cluster.exits("P1-NODE11");
    assert_eq!(exits[0].code, ExitCode::Refused);
    assert!(
        exits[0].message.contains("did you mean `P1-NODE1`?"),
        "{}",
        exits[0].message
    );
    let told = cluster.events(CONTROLLER, "node.refused");
    assert_eq!(told.len(), 1);
    assert!(cluster.all_online());
    assert_eq!(cluster.rows().len(), 4);
}

/// Scenario 33: a changed configuration takes effect at the next start of a node and disturbs none
/// that runs.
#[test]
fn a_changed_configuration_reaches_a_node_at_its_next_start() {
    let mut cluster = Cluster::of(2).seed(56).build();
    cluster.bring_up();
    let pids: Vec<_> = cluster
        .data_nodes()
        .iter()
        .map(|node| cluster.pid(node))
        .collect();
    cluster.terminate(CONTROLLER);
    cluster.run_for(seconds(2));
    cluster.reconfigure(CONTROLLER, |program| {
        for member in &mut program.controller_mut().members {
            if !member.node_cfg.is_empty() {
                member.node_cfg.push_str("dfsVolumeReservedSize=2G\n");
            }
        }
    });
    cluster.start(CONTROLLER);
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.until_all_online(seconds(5));
    cluster.run_for(seconds(10));
    let after: Vec<_> = cluster
        .data_nodes()
        .iter()
        .map(|node| cluster.pid(node))
        .collect();
    assert_eq!(after, pids);
    assert!(
        !cluster
            .node_cfg("P1-NODE1")
            .contains("dfsVolumeReservedSize")
    );
    cluster.kill("P1-NODE1");
    cluster.run_for(seconds(1));
    cluster.until_all_online(seconds(5));
    assert!(
        cluster
            .node_cfg("P1-NODE1")
            .ends_with("dfsVolumeReservedSize=2G\n")
    );
    assert!(
        !cluster
            .node_cfg("P2-NODE1")
            .contains("dfsVolumeReservedSize")
    );
}

/// Scenario 34: the controller's value of `lanCluster` rules; who has another one says so, on both
/// sides, and serves all the same.
fn lan_cluster_differs(seed: u64, at_the_controller: bool) {
    let mut cluster = Cluster::of(2).seed(seed).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().lan_cluster = at_the_controller;
    });
    cluster.reconfigure("P1-agent", |program| {
        facts_of(program).lan_cluster = !at_the_controller;
    });
    for name in ["P2-agent", "P1-NODE1", "P2-NODE1"] {
        cluster.reconfigure(name, |program| {
            facts_of(program).lan_cluster = at_the_controller;
        });
    }
    cluster.reconfigure(CONTROLLER, |program| {
        let config = program.controller_mut();
        let value = u8::from(config.lan_cluster);
        for member in &mut config.members {
            let line = format!("lanCluster={value}\n");
            member.node_cfg = member.node_cfg.replace("lanCluster=1\n", &line);
        }
    });
    cluster.bring_up();
    cluster.run_for(seconds(90));
    assert!(cluster.all_online());
    let (here, there) = (u8::from(at_the_controller), u8::from(!at_the_controller));
    let text = format!(
        "lanCluster is {there} at P1-agent and {here} at the controller, whose value rules: write \
         the same in controller.cfg, agent.cfg and cluster.cfg"
    );
    assert_eq!(
        cluster.row("P1-agent").conditions[..],
        *slice::from_ref(&text)
    );
    assert_eq!(cluster.events("P1-agent", "uplink.remark")[0].message, text);
    for other in ["P2-agent", "P1-NODE1", "P2-NODE1"] {
        assert_eq!(cluster.row(other).conditions, [""; 0], "{other}");
    }
    for name in ["node.offline", "node.suspect", "node.udp_blocked"] {
        assert_eq!(cluster.events(CONTROLLER, name), []);
    }
}

/// Scenario 34.
#[test]
fn an_agent_without_lan_cluster_in_a_cluster_with_it_serves_and_is_named() {
    lan_cluster_differs(57, true);
}

/// Scenario 34.
#[test]
fn an_agent_with_lan_cluster_in_a_cluster_without_it_serves_and_is_named() {
    lan_cluster_differs(58, false);
}

/// A second controller on the first one's home does not touch it.
#[test]
fn a_home_that_is_in_use_is_not_opened_twice() {
    let mut cluster = Cluster::of(1).stray("OTHER").seed(59).build();
    cluster.bring_up();
    cluster.share_home("OTHER", "P1-NODE1");
    cluster.reconfigure("OTHER", |program| {
        if let Program::DataNode(config) = program {
            config.facts.site = site("P1-NODE1");
        }
    });
    cluster.start("OTHER");
    cluster.run_for(seconds(2));
    let exits = cluster.exits("OTHER");
    assert_eq!(exits[0].code, ExitCode::AlreadyRunning, "{exits:?}");
    assert!(
        exits[0].message.contains("is in use by another process"),
        "{}",
        exits[0].message
    );
    assert!(cluster.all_online());
}
