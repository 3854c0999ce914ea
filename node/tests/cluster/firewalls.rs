//! Packets that nobody answers, between hosts with the addresses of the example.
//!
//! Where the kernel does not let a test have networks of its own (a container without user
//! namespaces, say) these tests say so and end: there is no other way to lose a packet for real.
//! The simulations show the same with simulated networks.

use crate::rig::{Cluster, TwoNetworks, skip};

/// A cluster whose controller is in one network and whose other hosts are in another, with a secret
/// on each host, as it has to be beyond loopback. Nothing runs yet.
pub(crate) async fn joined() -> Option<(TwoNetworks, Cluster)> {
    let networks = match TwoNetworks::join(&[1, 3, 5, 9]).await {
        Ok(networks) => networks,
        Err(reason) => {
            let why = format!("this machine lets a test have no networks of its own: {reason}");
            skip("networks", &why);
            return None;
        }
    };
    let mut cluster = Cluster::at("10.1.1", None);
    cluster.keep_two_hosts();
    let secret = cluster.path("P4/config/cluster.secret");
    let mut command = cluster.place.command();
    let made = command.args(["secret", "generate"]).arg(&secret).output();
    assert!(made.await.unwrap().status.success());
    for host in ["P1", "P2"] {
        let copy = cluster.path(&format!("{host}/config/cluster.secret"));
        std::fs::copy(&secret, copy).unwrap();
    }
    cluster.place.launcher = networks.near_launcher();
    Some((networks, cluster))
}

/// Starts every server where it belongs, and logs in from the controller's host.
async fn start(networks: &TwoNetworks, cluster: &mut Cluster) {
    cluster.place.launcher = networks.far_launcher();
    cluster.start_agents();
    cluster.place.launcher = networks.near_launcher();
    cluster.start_controller();
    cluster.log_in().await;
}

#[tokio::test]
async fn the_example_is_green_with_its_own_addresses_and_a_secret() {
    let Some((networks, mut cluster)) = joined().await else {
        return;
    };
    start(&networks, &mut cluster).await;
    cluster.vaquita("node start --all --wait").await.ok();
}

#[tokio::test]
async fn a_firewall_before_the_controller_is_suspected_with_its_port() {
    let Some((networks, mut cluster)) = joined().await else {
        return;
    };
    networks.drop_at_controller("ipproto tcp dport 8990").await;
    cluster.place.launcher = networks.far_launcher();
    cluster.start_agent("P1");
    let line = cluster
        .until_log("P1/log/agent.log", "no answer from the controller")
        .await;
    for part in [
        "10.1.1.7:8990:master",
        "a firewall between the hosts (open TCP and UDP port 8990)",
        "controllerSite",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    // The agent tries on: nothing but the firewall has to be changed.
    networks.pass_at_controller().await;
    cluster.place.launcher = networks.near_launcher();
    cluster.start_controller();
    cluster.log_in().await;
    cluster
        .until_row("P1-agent", |row| row.state == "online")
        .await;
}

#[tokio::test]
async fn a_firewall_before_an_agent_is_shown_in_its_row() {
    let Some((networks, mut cluster)) = joined().await else {
        return;
    };
    // What P1's port answers is dropped; its agent does not run, and nobody can tell.
    networks
        .drop_at_controller("ipproto tcp from 10.1.1.1 sport 8960")
        .await;
    cluster.place.launcher = networks.far_launcher();
    cluster.start_agent("P2");
    cluster.place.launcher = networks.near_launcher();
    cluster.start_controller();
    cluster.log_in().await;
    cluster
        .until_row("P2-agent", |row| row.state == "online")
        .await;
    let row = cluster
        .until_row("P1-agent", |row| row.reason.contains("no answer from"))
        .await;
    for part in [
        "10.1.1.1:8960",
        "a firewall between the hosts (open TCP and UDP port 8960)",
        "cluster.nodes",
    ] {
        assert!(row.reason.contains(part), "no {part:?} in {row:?}");
    }
    let out = cluster.vaquita("node start P1-NODE1").await.ok();
    assert!(out.contains("its agent P1-agent is not connected"), "{out}");
    networks.pass_at_controller().await;
    cluster
        .until_row("P1-agent", |row| row.reason.contains("nothing listens at"))
        .await;
    cluster.place.launcher = networks.far_launcher();
    cluster.start_agent("P1");
    cluster.place.launcher = networks.near_launcher();
    cluster
        .until_row("P1-NODE1", |row| row.state == "online")
        .await;
}

#[tokio::test]
async fn blocked_udp_is_noticed_named_and_worked_around() {
    let Some((networks, mut cluster)) = joined().await else {
        return;
    };
    networks.drop_at_controller("ipproto udp").await;
    start(&networks, &mut cluster).await;
    cluster.vaquita("node start --all --wait").await.ok();
    let line = cluster
        .until_log(
            "P4/log/controller.log",
            "UDP heartbeats blocked from P1-agent",
        )
        .await;
    for part in ["running on TCP", "open UDP port 8990", "lanCluster=0"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let line = cluster
        .until_log("P1/log/agent.log", "UDP is blocked")
        .await;
    for part in ["10.1.1.7:8990", "open UDP port 8990", "lanCluster=0"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    for alias in ["P1-agent", "P1-NODE1", "P2-agent", "P2-NODE1"] {
        let blocked = cluster
            .until_row(alias, |row| row.conditions == ["udp-blocked"])
            .await;
        assert_eq!(blocked.state, "online");
    }
    let log = cluster.read("P4/log/controller.log");
    assert!(!log.contains("gone offline"), "nobody was given up:\n{log}");
    let status = cluster.vaquita("status").await.ok();
    assert!(status.contains("udp-blocked"), "{status}");
}

#[tokio::test]
async fn lan_cluster_0_needs_no_udp() {
    let Some((networks, mut cluster)) = joined().await else {
        return;
    };
    networks.drop_at_controller("ipproto udp").await;
    for name in ["P4/config/controller.cfg", "P4/config/cluster.cfg"] {
        cluster.add_line(name, "lanCluster=0");
    }
    for host in ["P1", "P2"] {
        cluster.add_line(&format!("{host}/config/agent.cfg"), "lanCluster=0");
    }
    start(&networks, &mut cluster).await;
    cluster.vaquita("node start --all --wait").await.ok();
    // Long enough for the lack of datagrams to be noticed, had any been sent.
    cluster
        .until("the controller has been up for 7 s", async || {
            let status = cluster.vaquita("status --json").await.ok();
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            (status["uptime_ms"].as_u64().unwrap() >= 7_000).then_some(())
        })
        .await;
    for row in cluster.rows().await {
        assert_eq!((row.state.as_str(), row.conditions.len()), ("online", 0));
    }
    let log = cluster.read("P4/log/controller.log");
    assert!(!log.contains("UDP") && !log.contains("offline"), "{log}");
}
