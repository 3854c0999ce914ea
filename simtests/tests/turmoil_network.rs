//! A whole cluster of the product's own processes on a network that fails.

use std::time::Duration;

use simtests::cluster::{ALL, CONTROLLER, Cluster, UdpFaults};
use vaquita_core::admin::NodeState;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn pids(cluster: &Cluster) -> Vec<Option<u32>> {
    let nodes = cluster.data_nodes();
    nodes.iter().map(|node| cluster.pid(node)).collect()
}

/// A cut in one direction: the node stops taking writes before the controller gives it up, and
/// comes back by itself, with the same process.
fn one_way_cut(seed: u64, from: &str, to: &str) {
    let mut cluster = Cluster::of(3).seed(seed).build();
    cluster.bring_up();
    let pid = cluster.pid("P1-NODE1");
    let mark = cluster.mark();
    let begun = cluster.elapsed();
    cluster.cut(&[from], &[to]);
    cluster.until_state("P1-NODE1", NodeState::Offline, seconds(20));
    let fenced = cluster.events_since(mark, "P1-NODE1", "uplink.self_fenced");
    let offline = cluster.events_since(mark, CONTROLLER, "node.offline");
    let offline: Vec<_> = offline
        .iter()
        .filter(|entry| entry.message.starts_with("P1-NODE1"))
        .collect();
    assert_eq!((fenced.len(), offline.len()), (1, 1));
    assert!(
        fenced[0].at + Duration::from_millis(500) < offline[0].at,
        "fenced at {:?}, given up at {:?}",
        fenced[0].at,
        offline[0].at
    );
    assert!(fenced[0].at - begun < seconds(8));
    cluster.run_for(seconds(20));
    for other in ["P2-NODE1", "P3-NODE1"] {
        assert_eq!(cluster.state(other), NodeState::Online, "{other}");
    }
    cluster.uncut(&[from], &[to]);
    cluster.until_all_online(seconds(15));
    cluster.run_for(seconds(10));
    assert!(cluster.all_online());
    assert_eq!(cluster.pid("P1-NODE1"), pid, "it was never restarted");
    assert!(cluster.status("P1-NODE1").ready);
    assert_eq!(
        cluster
            .events_since(mark, "P1-NODE1", "uplink.unfenced")
            .len(),
        1
    );
}

/// Scenario 6: what the host sends is lost.
#[test]
fn a_node_that_is_not_heard_fences_itself_and_comes_back() {
    one_way_cut(11, "P1", CONTROLLER);
}

/// Scenario 6: what is sent to the host is lost.
#[test]
fn a_node_that_hears_nothing_fences_itself_and_comes_back() {
    one_way_cut(12, CONTROLLER, "P1");
}

/// Scenario 6: what the node alone sends is lost, while its agent is heard.
#[test]
fn a_node_that_only_its_agent_hears_does_not_stay_half_alive() {
    one_way_cut(24, "P1-NODE1", CONTROLLER);
}

/// Scenario 6: what is sent to the node alone is lost, while its agent is reached.
#[test]
fn a_node_that_only_its_agent_reaches_does_not_stay_half_alive() {
    one_way_cut(25, CONTROLLER, "P1-NODE1");
}

/// Scenario 9: the controller stands still for longer than any time-out and blames itself.
fn stand_still(seed: u64, suspend: impl FnOnce(&mut Cluster), wake: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::of(3).seed(seed).build();
    cluster.bring_up();
    let before = pids(&cluster);
    let mark = cluster.mark();
    suspend(&mut cluster);
    cluster.run_for(seconds(30));
    wake(&mut cluster);
    cluster.run_for(seconds(10));
    assert!(cluster.all_online());
    cluster.run_for(seconds(30));
    assert!(cluster.all_online());
    assert_eq!(cluster.events_since(mark, CONTROLLER, "node.offline"), []);
    assert_eq!(pids(&cluster), before);
}

/// Scenario 9: the process is stopped; what is sent to it waits in its sockets.
#[test]
fn nobody_is_blamed_for_a_controller_that_stood_still() {
    stand_still(
        13,
        |cluster| cluster.pause(CONTROLLER),
        |cluster| cluster.resume(CONTROLLER),
    );
}

/// Scenario 9: the virtual machine is suspended; what is sent to it is lost.
#[test]
fn nobody_is_blamed_for_a_controller_whose_machine_was_suspended() {
    stand_still(
        26,
        |cluster| {
            cluster.pause(CONTROLLER);
            cluster.isolate(&[CONTROLLER]);
        },
        |cluster| {
            cluster.rejoin(&[CONTROLLER]);
            cluster.resume(CONTROLLER);
        },
    );
}

/// Scenario 9: the controller's network stands still and then delivers everything at once.
#[test]
fn nodes_come_back_after_the_controllers_network_was_held() {
    let mut cluster = Cluster::of(3).seed(14).build();
    cluster.bring_up();
    let before = pids(&cluster);
    let all = ["P1", "P2", "P3"];
    cluster.hold(&[CONTROLLER], &all);
    cluster.run_for(seconds(30));
    cluster.release(&[CONTROLLER], &all);
    cluster.until_all_online(seconds(15));
    cluster.run_for(seconds(30));
    assert!(cluster.all_online());
    assert_eq!(pids(&cluster), before);
}

/// Scenario 10: a link that goes and comes faster than the time-out costs nobody its registration.
#[test]
fn a_link_that_flaps_fast_moves_nobody_and_fills_no_log() {
    let mut cluster = Cluster::of(3).seed(15).build();
    cluster.bring_up();
    let mark = cluster.mark();
    let flaps = 10;
    for _ in 0..flaps {
        cluster.isolate(&["P1"]);
        cluster.run_for(seconds(4));
        cluster.rejoin(&["P1"]);
        cluster.run_for(seconds(8));
    }
    cluster.until_all_online(seconds(10));
    assert_eq!(cluster.events_since(mark, CONTROLLER, "node.offline"), []);
    let diary = cluster.diary();
    let told = diary[mark..].iter().filter(|entry| entry.host != "harness");
    let told = told.count();
    // Connections do not outlive a cut here, where nothing is sent twice: each process registers anew.
    assert!(
        told <= flaps * 13,
        "{told} events for {flaps} flaps of two processes"
    );
}

/// Scenario 10: a node that is given up again and again is quarantined, and told so once.
#[test]
fn a_node_that_comes_and_goes_is_quarantined() {
    let mut cluster = Cluster::of(3).seed(16).build();
    cluster.bring_up();
    for _ in 0..4 {
        cluster.isolate(&["P1"]);
        cluster.until_state("P1-NODE1", NodeState::Offline, seconds(12));
        cluster.rejoin(&["P1"]);
        cluster.until_all_online(seconds(15));
    }
    let row = cluster.row("P1-NODE1");
    assert!(
        row.conditions
            .iter()
            .any(|condition| condition == "quarantined"),
        "{row:?}"
    );
    let told = cluster.events(CONTROLLER, "node.quarantined");
    let told = told
        .iter()
        .filter(|entry| entry.message.starts_with("P1-NODE1"));
    assert!((1..=2).contains(&told.count()));
    let other = cluster.row("P2-NODE1");
    assert_eq!(other.conditions, [""; 0]);
}

/// Scenario 12: half the cluster goes at once. That is the network and not the nodes, so nobody is
/// given up as lost, however long it takes.
#[test]
fn half_a_cluster_that_is_cut_off_is_not_given_up_as_lost() {
    let mut cluster = Cluster::of(4).seed(17).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().recovery_wait = Some(seconds(20));
    });
    cluster.bring_up();
    cluster.isolate(&["P1", "P2"]);
    cluster.until_state("P1-NODE1", NodeState::Offline, seconds(12));
    cluster.run_for(seconds(60));
    let alarms = cluster.status(CONTROLLER).alarms;
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.contains("many nodes went offline at once")),
        "{alarms:?}"
    );
    for node in ["P1-NODE1", "P2-NODE1"] {
        assert_eq!(cluster.state(node), NodeState::Offline, "{node}");
    }
    assert_eq!(cluster.events(CONTROLLER, "node.lost"), []);
    assert_eq!(cluster.events(CONTROLLER, "cluster.mass_event").len(), 1);
    cluster.rejoin(&["P1", "P2"]);
    cluster.until_all_online(seconds(15));
    cluster.run_for(seconds(2));
    // Nobody has logged in to this cluster yet, and that is all.
    let first =
        "admin can be logged in as with the password that everybody knows: log in and change it";
    assert_eq!(cluster.status(CONTROLLER).alarms, [first]);
}

/// Scenario 12: one host alone is given up after its time, and welcome again.
#[test]
fn a_single_host_that_is_cut_off_is_lost_after_its_time_and_heals() {
    let mut cluster = Cluster::of(4).seed(18).build();
    cluster.reconfigure(CONTROLLER, |program| {
        program.controller_mut().recovery_wait = Some(seconds(20));
    });
    cluster.bring_up();
    cluster.isolate(&["P1"]);
    cluster.until_state("P1-NODE1", NodeState::Lost, seconds(32));
    assert_eq!(cluster.events(CONTROLLER, "cluster.mass_event"), []);
    cluster.rejoin(&["P1"]);
    cluster.until_all_online(seconds(15));
}

/// Scenario 38: a host loses power. Nobody closes its connections; its silence is what tells.
#[test]
fn a_host_without_power_is_found_by_its_silence() {
    let mut cluster = Cluster::of(3).seed(19).build();
    cluster.bring_up();
    let begun = cluster.elapsed();
    cluster.power_cut(&["P1"]);
    cluster.until_state("P1-NODE1", NodeState::Offline, seconds(12));
    let told = cluster.events(CONTROLLER, "node.offline");
    let at = told
        .iter()
        .find(|entry| entry.message.starts_with("P1-NODE1"))
        .map(|entry| entry.at - begun);
    let at = at.expect("told");
    // T, less the time since the last beat, plus the detector's own period.
    assert!(
        (seconds(7)..=Duration::from_millis(8250)).contains(&at),
        "{at:?}"
    );
    cluster.run_for(seconds(20));
    cluster.power_on(&["P1"]);
    cluster.start("P1-agent");
    cluster.until_all_online(seconds(15));
}

/// Scenario 38: the other way round. A node whose controller's host lost power asks, closes the
/// dead connection and dials until somebody answers.
#[test]
fn nodes_find_out_by_themselves_that_their_controller_has_no_power() {
    let mut cluster = Cluster::of(2).seed(20).build();
    cluster.bring_up();
    let begun = cluster.elapsed();
    cluster.power_cut(&[CONTROLLER]);
    cluster.run_for(seconds(10));
    for node in cluster.data_nodes() {
        let silent = cluster.events(&node, "uplink.silent");
        assert_eq!(silent.len(), 1, "{node}: {silent:?}");
        let after = silent[0].at - begun;
        assert!(after <= seconds(7), "{node} noticed after {after:?}");
        assert!(!cluster.status(&node).ready);
    }
    cluster.power_on(&[CONTROLLER]);
    cluster.start(CONTROLLER);
    cluster.run_for(seconds(10));
    assert!(cluster.all_online());
}

/// No datagram passes: the heartbeats go over TCP by themselves, which is said, and come back.
#[test]
fn heartbeats_take_tcp_where_udp_is_blocked() {
    let mut cluster = Cluster::of(3).seed(21).build();
    cluster.udp(UdpFaults {
        lost: ALL,
        ..UdpFaults::default()
    });
    cluster.bring_up();
    cluster.run_for(seconds(60));
    assert!(cluster.all_online());
    assert_eq!(cluster.events(CONTROLLER, "node.offline"), []);
    for node in cluster.data_nodes() {
        let row = cluster.row(&node);
        assert_eq!(row.conditions, ["udp-blocked"], "{node}");
        let told = cluster.events(&node, "uplink.udp_blocked");
        assert_eq!(told.len(), 1);
        assert!(
            told[0].message.contains("open UDP port 8990"),
            "{}",
            told[0]
        );
        assert_eq!(cluster.events(&node, "uplink.self_fenced"), []);
    }
    let told = cluster.events(CONTROLLER, "node.udp_blocked");
    assert_eq!(told.len(), 6, "once for each member: {told:?}");
    cluster.udp(UdpFaults::default());
    cluster.run_for(seconds(65));
    for row in cluster.rows() {
        assert_eq!((row.state, row.conditions), (NodeState::Online, vec![]));
    }
}

/// One datagram in five is lost, some are doubled or damaged: nobody is wrongly given up. That ten
/// beats in a row go unanswered happens now and then, and may send one member to TCP for a minute.
#[test]
fn lossy_datagrams_cost_nobody_its_registration() {
    let mut cluster = Cluster::of(4).seed(22).build();
    cluster.udp(UdpFaults {
        lost: ALL / 5,
        doubled: ALL / 20,
        damaged: ALL / 50,
    });
    cluster.bring_up();
    cluster.run_for(seconds(300));
    assert!(cluster.all_online());
    for name in ["node.offline", "node.quarantined"] {
        assert_eq!(cluster.events(CONTROLLER, name), []);
    }
    let blocked = cluster.events(CONTROLLER, "node.udp_blocked");
    assert!(blocked.len() <= 2, "{blocked:?}");
    for node in cluster.data_nodes() {
        assert_eq!(cluster.events(&node, "uplink.self_fenced"), []);
    }
}
