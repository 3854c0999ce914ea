//! The files and the command lines of the deployment guide, as they stand there.

use crate::rig::{Cluster, Row, SEED_HOSTS};

/// Whether a table of members has all of the example, each one online.
fn is_green(rows: &[Row]) -> bool {
    rows.len() == 2 * SEED_HOSTS.len() && rows.iter().all(|row| row.state == "online")
}

async fn starts_green(cluster: &Cluster) {
    cluster.vaquita("node start --all --wait").await.ok();
    let rows = cluster.rows().await;
    assert!(is_green(&rows), "{rows:?}");
    for row in rows {
        assert_eq!((row.reason, row.conditions), (String::new(), Vec::new()));
    }
}

#[tokio::test]
async fn agents_first_then_the_controller_as_the_guide_has_it() {
    let mut cluster = Cluster::of_seed();
    cluster.start_agents();
    for (host, _) in SEED_HOSTS {
        let log = format!("{host}/log/agent.log");
        // Each knows already what it waits for.
        cluster.until_log(&log, "nothing listens at").await;
    }
    cluster.start_controller();
    cluster.log_in().await;
    starts_green(&cluster).await;
}

#[tokio::test]
async fn the_controller_first_and_the_agents_after_it() {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster.log_in().await;
    cluster
        .until_row("P1-agent", |row| row.reason.contains("nothing listens at"))
        .await;
    // An order that nobody can carry out yet is kept.
    let out = cluster.vaquita("node start --all").await.ok();
    assert!(out.contains("P1-NODE1: ordered"), "{out}");
    cluster.start_agents();
    starts_green(&cluster).await;
}

#[tokio::test]
async fn heartbeats_over_tcp_alone_with_lan_cluster_0_in_all_three_files() {
    let mut cluster = Cluster::of_seed();
    cluster.add_line("P4/config/controller.cfg", "lanCluster=0");
    cluster.add_line("P4/config/cluster.cfg", "lanCluster=0");
    for (host, _) in SEED_HOSTS {
        cluster.add_line(&format!("{host}/config/agent.cfg"), "lanCluster=0");
    }
    cluster.start_all().await;
    starts_green(&cluster).await;
    // Nobody misses the datagrams: no node is in doubt of the controller, nor it of them.
    let status = cluster.vaquita("status").await.ok();
    assert!(!status.contains(" ! "), "{status}");
}

#[tokio::test]
async fn the_servers_end_in_good_order_on_sigterm_and_the_data_nodes_run_on() {
    let mut cluster = Cluster::green().await;
    let pids: Vec<Option<u32>> = cluster.rows().await.iter().map(|row| row.pid).collect();
    assert!(pids.iter().all(Option::is_some), "{pids:?}");
    for host in ["P1", "P2", "P3", "P5", "P4"] {
        cluster.take(host).stop().await;
    }
    assert_eq!(cluster.processes().len(), 4);
    cluster.start_agents();
    cluster.start_controller();
    cluster.log_in_again().await;
    for (host, _) in SEED_HOSTS {
        cluster
            .until_row(&format!("{host}-NODE1"), |row| row.state == "online")
            .await;
    }
    let rows = cluster.rows().await;
    let nodes = rows
        .iter()
        .zip(&pids)
        .filter(|(row, _)| row.mode == "datanode");
    for (row, pid) in nodes {
        assert_eq!(row.pid, *pid, "{row:?}");
    }
}
