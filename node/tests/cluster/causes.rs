//! The reasons for which a node does not start, each provoked on this machine and told with its
//! cause, its place and its cure. Those that need a firewall are in [`crate::firewalls`].

use std::net::TcpListener;

use crate::rig::Cluster;

/// A program that has a port.
fn hold(address: &str) -> TcpListener {
    #[expect(clippy::disallowed_methods, reason = "the other program")]
    let listener = TcpListener::bind(address).unwrap();
    listener
}

#[tokio::test]
async fn a_taken_port_of_a_data_node_names_its_holder_and_is_taken_once_free() {
    let cluster = Cluster::of_two_hosts().await;
    let site = format!("{}.1:8961", cluster.subnet);
    let held = hold(&site);
    cluster.vaquita("node start P1-NODE1").await.ok();
    let row = cluster
        .until_row("P1-NODE1", |row| row.reason.contains("Failed to bind"))
        .await;
    let holder = format!("pid {}", std::process::id());
    for part in [
        "Failed to bind the socket on 8961",
        site.as_str(),
        holder.as_str(),
        "end that program or give P1-NODE1 another port in cluster.nodes",
    ] {
        assert!(row.reason.contains(part), "no {part:?} in {row:?}");
    }
    let line = cluster
        .until_log("P1/log/agent.log", "Failed to bind the socket on 8961")
        .await;
    assert!(line.contains(&holder), "{line}");
    let status = cluster.vaquita("status").await.ok();
    assert!(status.contains(&holder), "{status}");
    drop(held);
    cluster
        .until_row("P1-NODE1", |row| row.state == "online")
        .await;
}

#[tokio::test]
async fn a_port_of_which_udp_alone_is_taken_names_its_holder_too() {
    let cluster = Cluster::of_two_hosts().await;
    let site = format!("{}.1:8961", cluster.subnet);
    #[expect(clippy::disallowed_methods, reason = "the other program")]
    let held = std::net::UdpSocket::bind(&site).unwrap();
    cluster.vaquita("node start P1-NODE1").await.ok();
    let row = cluster
        .until_row("P1-NODE1", |row| row.reason.contains("Failed to bind"))
        .await;
    let holder = format!("pid {}", std::process::id());
    assert!(row.reason.contains(&holder), "{row:?}");
    drop(held);
    cluster
        .until_row("P1-NODE1", |row| row.state == "online")
        .await;
}

#[tokio::test]
async fn a_taken_port_of_a_server_names_its_holder_and_is_waited_for() {
    let mut cluster = Cluster::of_seed();
    let site = format!("{}.1:8960", cluster.subnet);
    let held = hold(&site);
    cluster.start_agent("P1");
    let line = cluster
        .until_log("P1/log/agent.log", "port 8960 is held by")
        .await;
    let holder = format!("pid {}", std::process::id());
    assert!(line.contains(&holder), "{line}");
    drop(held);
    cluster
        .until_log("P1/log/agent.log", "nothing listens at")
        .await;
}

#[tokio::test]
async fn a_blank_first_line_of_cluster_nodes_is_read_with_a_warning_in_the_known_words() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.edit("P4/config/cluster.nodes", |text| format!("\n{text}"));
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let log = cluster.read("P4/log/controller.log");
    let line = log
        .lines()
        .find(|line| line.contains("The input file is empty."))
        .unwrap_or_else(|| panic!("no warning in\n{log}"));
    for part in [
        "WARNING",
        "Failed to load the nodes file [",
        "cluster.nodes] with error: The input file is empty.",
        "cluster.nodes:1:1",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

#[tokio::test]
async fn the_alias_macro_with_an_exact_alias_is_expanded_with_both_remedies() {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    let volumes = cluster.path("volumes");
    let line = format!("P1-NODE1.volumes={}/<ALIAS>", volumes.display());
    cluster.add_line("P4/config/cluster.cfg", &line);
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let log = cluster.read("P4/log/controller.log");
    let warning = log
        .lines()
        .find(|line| line.contains("<ALIAS>"))
        .unwrap_or_else(|| panic!("no warning in\n{log}"));
    let exact = format!("P1-NODE1.volumes={}/P1-NODE1", volumes.display());
    let for_all = format!("volumes={}/<ALIAS>", volumes.display());
    for part in ["WARNING", "cluster.cfg:6:", &exact, &for_all] {
        assert!(warning.contains(part), "no {part:?} in {warning}");
    }
    let node = cluster.read("P1/data/P1-NODE1/node.cfg");
    let expanded = format!("volumes={}/P1-NODE1\n", volumes.display());
    assert!(node.contains(&expanded), "{node}");
}
