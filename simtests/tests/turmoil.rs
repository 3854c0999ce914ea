//! A whole cluster of the product's own processes on simulated sockets: starts and restarts.

use std::time::Duration;

use simtests::cluster::{CONTROLLER, Cluster};
use vaquita_core::admin::NodeState;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Process id and registration of each member.
fn identities(cluster: &mut Cluster) -> Vec<(String, Option<u32>, Option<u64>)> {
    let rows = cluster.rows().into_iter();
    rows.map(|row| {
        let epoch = row.epoch.map(|epoch| epoch.0);
        (row.alias.to_string(), row.pid, epoch)
    })
    .collect()
}

/// Scenario 1: agents first, as after a power cut of the controller's host.
#[test]
fn agents_that_start_before_their_controller_come_online() {
    let mut cluster = Cluster::of(3).seed(1).build();
    cluster.start_agents();
    cluster.run_for(seconds(15));
    for agent in cluster.agents() {
        let told = cluster.events(&agent, "uplink.down");
        assert_eq!(told.len(), 1, "one line for a wait of 15 s: {told:?}");
        let text = &told[0].message;
        assert!(
            text.contains("nothing listens at master:8990:master: start the controller there"),
            "{text}"
        );
    }
    cluster.start(CONTROLLER);
    let begun = cluster.elapsed();
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.order_start(&cluster.data_nodes());
    cluster.until_all_online(seconds(10));
    let took = cluster.elapsed() - begun;
    assert!(took < seconds(5), "an agent redials every 2 s: {took:?}");
}

/// Scenario 1: the controller first.
#[test]
fn agents_that_start_after_their_controller_come_online() {
    let mut cluster = Cluster::of(3).seed(1).build();
    cluster.start(CONTROLLER);
    cluster.run_for(seconds(10));
    for agent in cluster.agents() {
        let row = cluster.row(&agent);
        assert_eq!(row.state, NodeState::Stopped);
        assert!(row.reason.contains("nothing listens at"), "{}", row.reason);
    }
    for row in cluster.order_start(&cluster.data_nodes()) {
        assert!(row.note.contains("is not connected"), "{}", row.note);
    }
    cluster.start_agents();
    let begun = cluster.elapsed();
    cluster.until_all_online(seconds(10));
    let took = cluster.elapsed() - begun;
    assert!(took < seconds(2), "nobody waited for a timer: {took:?}");
    assert_eq!(cluster.events(CONTROLLER, "node.offline"), []);
    for node in cluster.data_nodes() {
        assert_eq!(cluster.row(&node).pid, cluster.pid(&node));
    }
}

/// What is the same after each kind of restart of the controller.
fn survives_a_controller_restart(
    cluster: &mut Cluster,
    restart: impl FnOnce(&mut Cluster),
    within: Duration,
) {
    cluster.bring_up();
    let before = identities(cluster);
    let mark = cluster.mark();
    restart(cluster);
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.until_all_online(within);
    cluster.run_for(seconds(20));
    assert_eq!(
        identities(cluster),
        before,
        "processes and registrations outlive the controller"
    );
    for agent in cluster.agents() {
        assert_eq!(cluster.events_since(mark, &agent, "child.started"), []);
        assert_eq!(cluster.events_since(mark, &agent, "child.stopped"), []);
    }
    for name in ["node.offline", "node.refused", "node.quarantined"] {
        assert_eq!(cluster.events_since(mark, CONTROLLER, name), []);
    }
}

/// Scenario 2: killed and started again by its init system.
#[test]
fn a_killed_controller_finds_its_cluster_as_it_was() {
    let mut cluster = Cluster::of(3).seed(2).build();
    let restart = |cluster: &mut Cluster| {
        cluster.kill(CONTROLLER);
        cluster.run_for(seconds(1));
        cluster.start(CONTROLLER);
    };
    survives_a_controller_restart(&mut cluster, restart, seconds(5));
}

/// Scenario 2: an upgrade.
#[test]
fn a_controller_that_ends_in_good_order_finds_its_cluster_as_it_was() {
    let mut cluster = Cluster::of(3).seed(3).build();
    let restart = |cluster: &mut Cluster| {
        cluster.terminate(CONTROLLER);
        cluster.run_for(seconds(3));
        assert!(!cluster.runs(CONTROLLER));
        cluster.start(CONTROLLER);
    };
    survives_a_controller_restart(&mut cluster, restart, seconds(5));
}

/// Scenario 2: the controller's host goes and comes back, with what was synced on its disk.
#[test]
fn a_controller_finds_its_cluster_as_it_was_after_a_power_cut() {
    let mut cluster = Cluster::of(3).seed(4).build();
    let restart = |cluster: &mut Cluster| {
        cluster.power_cut(&[CONTROLLER]);
        cluster.run_for(seconds(30));
        for node in cluster.data_nodes() {
            let fenced = cluster.events(&node, "uplink.self_fenced");
            assert_eq!(fenced.len(), 1, "{node} takes no writes alone: {fenced:?}");
        }
        cluster.power_on(&[CONTROLLER]);
        cluster.start(CONTROLLER);
    };
    survives_a_controller_restart(&mut cluster, restart, seconds(8));
    for node in cluster.data_nodes() {
        assert_eq!(cluster.events(&node, "uplink.unfenced").len(), 1);
    }
}

/// Scenario 29: what an agent started outlives it, and its successor takes it over.
#[test]
fn a_restarted_agent_adopts_its_running_nodes() {
    let mut cluster = Cluster::of(2).nodes_per_host(2).seed(5).build();
    cluster.bring_up();
    let before: Vec<_> = cluster
        .data_nodes()
        .iter()
        .map(|node| cluster.pid(node))
        .collect();
    let mark = cluster.mark();
    cluster.kill("P1-agent");
    cluster.run_for(seconds(12));
    assert_eq!(cluster.state("P1-agent"), NodeState::Offline);
    for node in cluster.data_nodes() {
        assert_eq!(cluster.state(&node), NodeState::Online, "{node} runs on");
    }
    cluster.start("P1-agent");
    cluster.until_all_online(seconds(5));
    cluster.run_for(seconds(10));
    let after: Vec<_> = cluster
        .data_nodes()
        .iter()
        .map(|node| cluster.pid(node))
        .collect();
    assert_eq!(after, before);
    assert_eq!(
        cluster
            .events_since(mark, "P1-agent", "child.adopted")
            .len(),
        2
    );
    assert_eq!(cluster.events_since(mark, "P1-agent", "child.started"), []);
    // What was adopted obeys like what was started.
    cluster.order_stop(&["P1-NODE2"]);
    cluster.until_state("P1-NODE2", NodeState::Stopped, seconds(5));
    assert!(!cluster.runs("P1-NODE2"));
    cluster.order_start(&["P1-NODE2"]);
    cluster.until_state("P1-NODE2", NodeState::Online, seconds(5));
}

/// Scenario 29: the node dies while nobody watches it, and is started again.
#[test]
fn a_node_that_died_while_its_agent_was_away_is_started_again() {
    let mut cluster = Cluster::of(2).seed(6).build();
    cluster.bring_up();
    let before = cluster.pid("P1-NODE1");
    cluster.kill("P1-agent");
    cluster.run_for(seconds(1));
    cluster.kill("P1-NODE1");
    cluster.run_for(seconds(1));
    cluster.start("P1-agent");
    cluster.until_all_online(seconds(10));
    assert_ne!(cluster.pid("P1-NODE1"), before);
    assert_eq!(cluster.events("P1-agent", "child.crashed").len(), 1);
}
