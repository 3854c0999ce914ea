//! Processes killed without a word, and what the others make of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::rig::{Cluster, Row, kill};

fn data_nodes(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| row.mode == "datanode").collect()
}

#[tokio::test]
async fn a_killed_data_node_is_seen_within_a_second_and_started_again() {
    let cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let before = cluster.row("P1-NODE1").await;
    let killed = Instant::now();
    kill(before.pid.unwrap());
    let seen = cluster
        .until_log("P4/log/controller.log", "P1-NODE1 has gone offline")
        .await;
    let after = killed.elapsed();
    assert!(after < Duration::from_secs(1), "seen after {after:?}");
    assert!(
        seen.contains("SIGKILL") || seen.contains("signal 9"),
        "{seen}"
    );
    let now = cluster
        .until_row("P1-NODE1", |row| {
            row.state == "online" && row.pid != before.pid
        })
        .await;
    assert!(now.epoch > before.epoch, "{now:?} after {before:?}");
}

#[tokio::test]
async fn a_killed_agent_leaves_its_node_running_and_adopts_it_again() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let before = cluster.row("P1-NODE1").await;
    let agent = cluster.row("P1-agent").await;
    cluster.take("P1").kill().await;
    cluster.start_agent("P1");
    cluster
        .until_row("P1-agent", |row| {
            row.state == "online" && row.pid != agent.pid
        })
        .await;
    cluster.until_log("P1/log/agent.log", "taken over").await;
    let after = cluster.row("P1-NODE1").await;
    assert_eq!((after.pid, after.epoch), (before.pid, before.epoch));
    // It is looked after as before: this time the new agent sees it end.
    kill(after.pid.unwrap());
    cluster
        .until_row("P1-NODE1", |row| {
            row.state == "online" && row.pid != before.pid
        })
        .await;
    // And obeyed as before.
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    assert_eq!(cluster.row("P1-NODE1").await.state, "stopped");
}

#[tokio::test]
async fn a_node_that_died_while_its_agent_was_dead_is_started_again() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let before = cluster.row("P1-NODE1").await;
    cluster.take("P1").kill().await;
    kill(before.pid.unwrap());
    cluster.start_agent("P1");
    cluster
        .until_row("P1-NODE1", |row| {
            row.state == "online" && row.pid != before.pid
        })
        .await;
}

#[tokio::test]
async fn a_killed_controller_comes_back_with_the_same_epochs_processes_and_users() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster
        .place
        .run_with("user add alice --password-stdin", "her first one\n")
        .await
        .ok();
    let before = cluster.rows().await;
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster.log_in_again().await;
    let after = cluster
        .until("everything is online again", async || {
            let rows = cluster.rows().await;
            let online = rows.iter().all(|row| row.state == "online");
            (online && rows.len() == before.len()).then_some(rows)
        })
        .await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((after.pid, after.epoch), (before.pid, before.epoch));
    }
    assert_eq!(data_nodes(&after).len(), 2);
    for host in ["P1", "P2"] {
        let log = cluster.read(&format!("{host}/log/agent.log"));
        let started = log.matches("-NODE1 started (pid").count();
        assert_eq!(started, 1, "{log}");
    }
    let users = cluster.vaquita("user list").await.ok();
    assert!(
        users.contains("alice") && users.contains("admin"),
        "{users}"
    );
}

#[tokio::test]
async fn everything_killed_at_once_comes_back_with_the_same_orders() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let node = cluster.row("P1-NODE1").await.pid.unwrap();
    for host in ["P4", "P1", "P2"] {
        cluster.take(host).kill().await;
    }
    kill(node);
    cluster.start_controller();
    cluster.start_agents();
    cluster.log_in_again().await;
    cluster
        .until_row("P1-NODE1", |row| row.state == "online")
        .await;
    let idle = cluster
        .until_row("P2-NODE1", |row| row.state == "stopped")
        .await;
    assert_eq!(idle.pid, None);
}
