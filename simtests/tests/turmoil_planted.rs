//! Bugs are planted that the scenarios are there to find, and they do find them.

use std::time::Duration;

use simtests::cluster::{ALL, CONTROLLER, Cluster, Program, UdpFaults};
use vaquita_core::planted::Planted;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn plant(cluster: &mut Cluster, host: &str, bug: impl FnOnce(&mut Planted)) {
    cluster.reconfigure(host, |program| {
        bug(match program {
            Program::Controller(config) => &mut config.planted,
            Program::Agent(config) => &mut config.planted,
            Program::DataNode(config) => &mut config.planted,
        });
    });
}

/// See `nobody_is_blamed_for_a_controller_whose_machine_was_suspended`.
#[test]
fn a_controller_that_never_doubts_itself_blames_its_nodes() {
    let mut cluster = Cluster::of(3).seed(26).build();
    plant(&mut cluster, CONTROLLER, |planted| {
        planted.never_doubt_itself = true;
    });
    cluster.bring_up();
    cluster.pause(CONTROLLER);
    cluster.isolate(&[CONTROLLER]);
    cluster.run_for(seconds(30));
    cluster.rejoin(&[CONTROLLER]);
    cluster.resume(CONTROLLER);
    cluster.run_for(seconds(5));
    assert!(!cluster.events(CONTROLLER, "node.offline").is_empty());
}

/// See `heartbeats_take_tcp_where_udp_is_blocked`.
#[test]
fn nodes_that_stay_on_blocked_udp_depend_on_being_asked() {
    let mut cluster = Cluster::of(3).seed(21).build();
    for host in cluster.data_nodes() {
        plant(&mut cluster, &host, |planted| planted.no_tcp_beats = true);
    }
    cluster.udp(UdpFaults {
        lost: ALL,
        ..UdpFaults::default()
    });
    cluster.bring_up();
    cluster.run_for(seconds(60));
    assert_ne!(cluster.row("P1-NODE1").conditions, ["udp-blocked"]);
    assert!(cluster.events(CONTROLLER, "node.suspect").len() > 10);
}

/// See `a_restarted_agent_adopts_its_running_nodes`.
#[test]
fn an_agent_that_forgets_its_nodes_adopts_none() {
    let mut cluster = Cluster::of(2).seed(5).build();
    plant(&mut cluster, "P1-agent", |planted| {
        planted.forget_children = true;
    });
    cluster.bring_up();
    cluster.kill("P1-agent");
    cluster.run_for(seconds(2));
    let mark = cluster.mark();
    cluster.start("P1-agent");
    cluster.run_for(seconds(10));
    // The host keeps the twin from starting: its port is held, by the node that was forgotten.
    assert!(
        !cluster
            .events_since(mark, "P1-agent", "child.port_held")
            .is_empty()
    );
}
