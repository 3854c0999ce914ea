//! A whole cluster of the product's own processes that start, stop, crash and end.

use std::time::Duration;

use simtests::cluster::{CONTROLLER, Cluster};
use vaquita_core::admin::{NodeState, Selection, Verb};
use vaquita_core::io::ExitCode;
use vaquita_core::message::RestartPolicy;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Scenario 13: every data node is stopped and started by order, one after the other.
#[test]
fn a_rolling_restart_moves_one_node_at_a_time() {
    let mut cluster = Cluster::of(4).seed(31).build();
    cluster.bring_up();
    let mark = cluster.mark();
    for node in cluster.data_nodes() {
        let before = cluster.pid(&node);
        assert_eq!(cluster.order_stop(&[&node])[0].note, "stopping");
        cluster.until_state(&node, NodeState::Stopped, seconds(5));
        let row = cluster.row(&node);
        assert_eq!((row.reason.as_str(), row.pid), ("", None));
        for other in cluster.data_nodes() {
            if other != node {
                assert_eq!(cluster.state(&other), NodeState::Online, "{other}");
            }
        }
        assert_eq!(cluster.order_start(&[&node])[0].note, "starting");
        cluster.until_state(&node, NodeState::Online, seconds(5));
        assert_ne!(cluster.pid(&node), before);
        let exits = cluster.exits(&node);
        assert_eq!(exits.len(), 1, "{exits:?}");
        assert_eq!(exits[0].code, ExitCode::Success);
    }
    assert!(cluster.all_online());
    for name in ["node.offline", "node.failed", "node.refused"] {
        assert_eq!(cluster.events_since(mark, CONTROLLER, name), []);
    }
    for agent in cluster.agents() {
        assert_eq!(cluster.events_since(mark, &agent, "child.crashed"), []);
    }
}

/// Scenario 30: the same order again starts nothing.
#[test]
fn a_start_that_is_ordered_twice_happens_once() {
    let mut cluster = Cluster::of(2).seed(32).build();
    cluster.start(CONTROLLER);
    cluster.start_agents();
    cluster.until_serving(CONTROLLER, seconds(5));
    let first = cluster.order_start(&["P1-NODE1"]);
    let second = cluster.order_start(&["P1-NODE1"]);
    assert!(first[0].changed);
    // Until the agent has said that it follows the first order, the second one is logged too: it may
    // be the one that counts. Either way the node is started once.
    assert!(!second[0].note.is_empty(), "{second:?}");
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(10));
    let third = cluster.order_start(&["P1-NODE1"]);
    assert_eq!(third[0].note, "is online already");
    cluster.run_for(seconds(20));
    assert_eq!(cluster.events("P1-agent", "child.started").len(), 1);
    assert_eq!(cluster.exits("P1-NODE1"), []);
    assert_eq!(cluster.state("P2-NODE1"), NodeState::Stopped);
}

/// Scenario 30: whatever the moment at which a stop meets a start, the last order holds.
#[test]
fn the_last_of_two_orders_holds_whenever_they_meet() {
    let mut cluster = Cluster::of(2).seed(33).build();
    cluster.start(CONTROLLER);
    cluster.start_agents();
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.run_for(seconds(2));
    for pause in [0, 10, 20, 30, 50, 80, 120, 200] {
        cluster.order_start(&["P1-NODE1"]);
        cluster.run_for(Duration::from_millis(pause));
        cluster.order_stop(&["P1-NODE1"]);
        cluster.run_for(seconds(3));
        assert_eq!(cluster.state("P1-NODE1"), NodeState::Stopped, "{pause} ms");
        assert!(!cluster.runs("P1-NODE1"), "{pause} ms");

        cluster.order_start(&["P1-NODE1"]);
        cluster.run_for(seconds(3));
        assert_eq!(cluster.state("P1-NODE1"), NodeState::Online, "{pause} ms");
        cluster.order_stop(&["P1-NODE1"]);
        cluster.run_for(Duration::from_millis(pause));
        cluster.order_start(&["P1-NODE1"]);
        cluster.run_for(seconds(3));
        assert_eq!(cluster.state("P1-NODE1"), NodeState::Online, "{pause} ms");
        cluster.order_stop(&["P1-NODE1"]);
        cluster.run_for(seconds(3));
    }
    assert_eq!(cluster.events("P1-agent", "child.launch_failed"), []);
}

/// Scenario 30: a process that is dead already is stopped by saying so.
#[test]
fn a_stop_for_a_dead_process_is_no_trouble() {
    let mut cluster = Cluster::of(2).seed(34).build();
    cluster.bring_up();
    // The node dies and is stopped while its agent is away.
    cluster.kill("P1-agent");
    cluster.kill("P1-NODE1");
    let told = cluster.order_stop(&["P1-NODE1"]);
    assert!(told[0].changed);
    cluster.start("P1-agent");
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(10));
    cluster.run_for(seconds(15));
    assert!(!cluster.runs("P1-NODE1"));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Stopped);
    // And once more, now that it is known to be down.
    let told = cluster.order_stop(&["P1-NODE1"]);
    assert_eq!(told[0].note, "is stopped already");
}

/// Scenario 31: without an interval, a crashed node is back at once and a crash loop slows down.
#[test]
fn a_crashed_node_is_started_again_at_once_and_then_later_and_later() {
    let mut cluster = Cluster::of(2).seed(35).build();
    cluster.bring_up();
    let begun = cluster.elapsed();
    cluster.kill("P1-NODE1");
    cluster.run_for(Duration::from_millis(100));
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(5));
    assert!(
        cluster.elapsed() - begun < seconds(2),
        "{:?}",
        cluster.elapsed() - begun
    );
    for _ in 0..4 {
        cluster.until("it runs", seconds(20), |cluster| {
            cluster.runs("P1-NODE1") && cluster.state("P1-NODE1") == NodeState::Online
        });
        cluster.kill("P1-NODE1");
        cluster.run_for(Duration::from_millis(200));
    }
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Failed);
    assert!(row.reason.contains("crash 5 in a row"), "{}", row.reason);
    assert_eq!(row.conditions, ["quarantined", "crash-loop"]);
    let started = cluster.events("P1-agent", "child.started");
    let gaps: Vec<_> = started
        .windows(2)
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    assert!(gaps[3] > gaps[1] + seconds(2), "{gaps:?}");
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(20));
}

/// Scenario 31: with an interval, a crashed node stays down for so long.
#[test]
fn a_crashed_node_waits_for_the_configured_interval() {
    let mut cluster = Cluster::of(2).seed(36).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().restart = RestartPolicy::After(10_000);
    });
    cluster.bring_up();
    let begun = cluster.elapsed();
    cluster.kill("P1-NODE1");
    cluster.run_for(seconds(9));
    assert!(!cluster.runs("P1-NODE1"));
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(5));
    let took = cluster.elapsed() - begun;
    assert!(took >= seconds(10), "{took:?}");
}

/// Scenario 31: an interval of nothing leaves it to an operator.
#[test]
fn a_crashed_node_stays_down_where_restarts_are_off() {
    let mut cluster = Cluster::of(2).seed(37).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().restart = RestartPolicy::Never;
    });
    cluster.bring_up();
    cluster.kill("P1-NODE1");
    cluster.run_for(seconds(60));
    assert!(!cluster.runs("P1-NODE1"));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Stopped, "{row:?}");
    assert!(
        row.reason
            .contains("datanodeRestartInterval=0 says not to start it again"),
        "{}",
        row.reason
    );
    cluster.order_start(&["P1-NODE1"]);
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(5));
}

/// Scenario 31: at the level CRASH, what an operator has stopped stays stopped.
#[test]
fn an_operators_stop_stands_at_the_level_crash() {
    let mut cluster = Cluster::of(2).seed(38).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().restart = RestartPolicy::After(5_000);
    });
    cluster.bring_up();
    cluster.order_stop(&["P1-NODE1"]);
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(5));
    cluster.run_for(seconds(60));
    assert!(!cluster.runs("P1-NODE1"));
    assert_eq!(cluster.events(CONTROLLER, "node.auto_start"), []);
}

/// Scenario 31: at the level OFFLINE, also what was stopped is started after the interval.
#[test]
fn a_stopped_node_is_started_again_at_the_level_offline() {
    let mut cluster = Cluster::of(2).seed(39).build();
    cluster.reconfigure(CONTROLLER, |program| {
        let config = program.controller_mut();
        config.restart = RestartPolicy::After(15_000);
        config.restart_stopped = true;
    });
    cluster.bring_up();
    let begun = cluster.elapsed();
    cluster.order_stop(&["P1-NODE1"]);
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(5));
    cluster.run_for(seconds(10));
    assert!(!cluster.runs("P1-NODE1"));
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(10));
    assert!(cluster.elapsed() - begun >= seconds(15));
    assert_eq!(cluster.events(CONTROLLER, "node.auto_start").len(), 1);
}

/// Scenario 40: a data node that gets SIGTERM by hand says goodbye and stays down.
#[test]
fn a_data_node_that_is_ended_by_hand_leaves_and_stays_down() {
    let mut cluster = Cluster::of(2).seed(40).build();
    cluster.bring_up();
    let mark = cluster.mark();
    cluster.terminate("P1-NODE1");
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(3));
    cluster.run_for(seconds(30));
    let row = cluster.row("P1-NODE1");
    assert_eq!(row.state, NodeState::Stopped);
    assert!(
        row.reason
            .contains("as after a SIGTERM by hand; `vaquita node start P1-NODE1`"),
        "{}",
        row.reason
    );
    assert_eq!(cluster.events_since(mark, CONTROLLER, "node.left").len(), 1);
    assert_eq!(cluster.events_since(mark, CONTROLLER, "node.offline"), []);
    assert_eq!(cluster.exits("P1-NODE1")[0].code, ExitCode::Success);
    cluster.order_start(&["P1-NODE1"]);
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(5));
}

/// Scenario 40: an agent's end leaves its data nodes running.
#[test]
fn an_agent_that_ends_leaves_its_nodes_running() {
    let mut cluster = Cluster::of(2).seed(41).build();
    cluster.bring_up();
    let before = cluster.pid("P1-NODE1");
    let mark = cluster.mark();
    cluster.terminate("P1-agent");
    cluster.until_state("P1-agent", NodeState::Stopped, seconds(3));
    cluster.run_for(seconds(20));
    let row = cluster.row("P1-agent");
    assert!(row.reason.contains("its nodes run on"), "{}", row.reason);
    assert_eq!(cluster.exits("P1-agent")[0].code, ExitCode::Success);
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Online);
    assert_eq!(cluster.events_since(mark, CONTROLLER, "node.offline"), []);
    let told = cluster.order_stop(&["P1-NODE1"]);
    assert!(
        told[0].note.contains("its agent P1-agent is not connected"),
        "{}",
        told[0].note
    );
    cluster.order_start(&["P1-NODE1"]);
    cluster.start("P1-agent");
    cluster.until_all_online(seconds(5));
    assert_eq!(
        cluster.pid("P1-NODE1"),
        before,
        "stopped and started on paper only"
    );
}

/// Scenario 40: a controller that ends has kept what it acknowledged.
#[test]
fn a_controller_that_ends_keeps_its_orders() {
    let mut cluster = Cluster::of(2).seed(42).build();
    cluster.bring_up();
    cluster.order_stop(&["P1-NODE1"]);
    cluster.terminate(CONTROLLER);
    cluster.run_for(seconds(3));
    let exits = cluster.exits(CONTROLLER);
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].code, ExitCode::Success, "{}", exits[0].message);
    cluster.start(CONTROLLER);
    cluster.until_serving(CONTROLLER, seconds(5));
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(5));
    assert!(!cluster.runs("P1-NODE1"));
    cluster.until_state("P2-NODE1", NodeState::Online, seconds(5));
}

/// Scenario 40: whoever sends SIGTERM twice gets the end, once, and of each role.
#[test]
fn a_second_sigterm_changes_nothing_for_who_ends_anyway() {
    let mut cluster = Cluster::of(2).seed(43).build();
    cluster.bring_up();
    for host in ["P1-NODE1", "P1-agent", CONTROLLER] {
        cluster.terminate(host);
        cluster.terminate(host);
        cluster.run_for(seconds(3));
        assert!(!cluster.runs(host), "{host}");
        let exits = cluster.exits(host);
        assert_eq!(exits.len(), 1, "{host}");
        assert_eq!(exits[0].code, ExitCode::Success, "{host}");
    }
    assert!(cluster.runs("P2-NODE1"));
}

/// A process that stands still cannot end in good order: its agent waits, and then ends it.
#[test]
fn a_node_that_does_not_end_is_killed() {
    let mut cluster = Cluster::of(2).seed(44).build();
    cluster.bring_up();
    cluster.pause("P1-NODE1");
    cluster.order_stop(&["P1-NODE1"]);
    cluster.run_for(seconds(15));
    assert!(cluster.runs("P1-NODE1"));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Stopping);
    cluster.until_state("P1-NODE1", NodeState::Stopped, seconds(10));
    assert!(!cluster.runs("P1-NODE1"));
    let told = cluster.events("P1-agent", "child.killed");
    assert_eq!(told.len(), 1);
    assert!(
        told[0].message.contains("within 20 s of SIGTERM"),
        "{}",
        told[0]
    );
    cluster.resume("P1-NODE1");
    cluster.order_start(&["P1-NODE1"]);
    cluster.until_state("P1-NODE1", NodeState::Online, seconds(5));
}

/// A data node that hangs is offline although its process lives; it comes back when it wakes up.
#[test]
fn a_node_that_hangs_is_offline_and_comes_back_by_itself() {
    let mut cluster = Cluster::of(2).seed(45).build();
    cluster.bring_up();
    let before = cluster.pid("P1-NODE1");
    cluster.pause("P1-NODE1");
    cluster.until_state("P1-NODE1", NodeState::Offline, seconds(10));
    cluster.run_for(seconds(30));
    assert_eq!(cluster.state("P1-NODE1"), NodeState::Offline);
    assert_eq!(cluster.state("P1-agent"), NodeState::Online);
    cluster.resume("P1-NODE1");
    cluster.until_all_online(seconds(10));
    assert_eq!(cluster.pid("P1-NODE1"), before);
    assert!(cluster.status("P1-NODE1").ready);
}

/// An order that cannot be meant is refused before anything happens.
#[test]
fn an_order_for_an_unknown_node_names_the_nearest() {
    let mut cluster = Cluster::of(2).seed(46).build();
    cluster.bring_up();
    let verb = Verb::StopNodes(Selection::Aliases(vec!["P1-NODE2".to_owned()]));
    let refusal = cluster.refusal(verb).to_string();
    assert!(
        refusal.contains("there is no node `P1-NODE2`; did you mean `P1-NODE1`?"),
        "{refusal}"
    );
    assert!(cluster.all_online());
}
