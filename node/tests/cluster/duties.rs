//! Data nodes that are emptied, and such as are left in peace.

use std::fs;

use crate::repair::{chunks_on, of_four, read_all, status, write};
use crate::rig::{Cluster, DATA_NODES, KIB, content};

#[tokio::test]
async fn a_node_is_drained_while_files_are_written_and_nothing_is_lost_with_its_disk() {
    let mut cluster = of_four(600_000).await;
    let mut files = write(&cluster).await;
    let rows = cluster.json("chunk list").await;
    assert!(rows.iter().any(|row| row.to_string().contains("P2-NODE1")));
    let said = cluster.vaquita("node drain P2-NODE1").await.ok();
    assert!(said.contains("chunks are left"), "{said}");
    for number in 0..12 {
        let (path, bytes) = (format!("g{number}"), content(number, 40 * KIB));
        let (_, site) = DATA_NODES[number as usize % 4];
        cluster.put(site, &path, &bytes).await.with(201);
        files.push((path, bytes));
    }
    cluster.vaquita("node drain P2-NODE1 --wait").await.ok();
    let row = cluster.row("P2-NODE1").await;
    assert_eq!(
        (row.state.as_str(), row.admin.as_str()),
        ("online", "drained")
    );
    let said = cluster.vaquita("node list P2-NODE1").await.ok();
    assert!(said.contains("[drained]"), "{said}");
    assert!(cluster.json("chunk list --unwell").await.is_empty());
    let done = status(&cluster).await;
    assert_eq!(done["failed"], 0, "{done}");
    cluster
        .until_log("P4/log/controller.log", "P2-NODE1 is drained")
        .await;
    cluster
        .until("it keeps nothing", async || {
            (chunks_on(&cluster, "P2-NODE1").await == 0).then_some(())
        })
        .await;

    // Two of four nodes are left for two replicas: no third one may go at a time.
    cluster.vaquita("node drain P3-NODE1").await.ok();
    let refused = cluster.vaquita("node drain P1-NODE1").await.failed(1);
    assert!(refused.contains("1 data node would be left"), "{refused}");
    cluster.vaquita("node serve P3-NODE1 --wait").await.ok();

    // Whatever the disk still had is not needed.
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let disk = cluster.path("P2/data/P2-NODE1");
    assert!(disk.is_dir());
    fs::remove_dir_all(&disk).unwrap();
    for (alias, site) in DATA_NODES {
        if alias != "P2-NODE1" {
            read_all(&cluster, site, &files).await;
        }
    }
    assert!(cluster.json("chunk list --unwell").await.is_empty());

    // The order outlives the controller.
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster.log_in_again().await;
    let row = cluster
        .until_row("P2-NODE1", |row| row.state == "stopped")
        .await;
    assert_eq!(row.admin, "draining", "{}", row.admin_reason);
    assert!(
        row.admin_reason.contains("before the start"),
        "{}",
        row.admin_reason
    );
    cluster.vaquita("node serve P2-NODE1").await.ok();
    assert_eq!(cluster.row("P2-NODE1").await.admin, "none");
}

#[tokio::test]
async fn a_node_in_maintenance_is_waited_for_and_told_so() {
    let cluster = of_four(1000).await;
    write(&cluster).await;
    let said = cluster
        .vaquita("node maintenance P2-NODE1 --for 2h")
        .await
        .ok();
    assert!(said.contains("in maintenance: for 7200 s"), "{said}");
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let said = cluster.vaquita("repair status").await.ok();
    assert!(said.contains("made anew elsewhere in 119 min"), "{said}");
    assert_eq!(status(&cluster).await["copied"], 0);
    // As soon as it is over the node is like any other that is away.
    cluster.vaquita("node serve P2-NODE1").await.ok();
    cluster
        .until("it is replaced", async || {
            let well = cluster.json("chunk list --unwell").await.is_empty();
            (well && status(&cluster).await["copied"] != 0).then_some(())
        })
        .await;
}

/// Waits until the controller answers again, and signs in.
async fn restart_controller(cluster: &mut Cluster) {
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster.log_in_again().await;
}

#[tokio::test]
async fn a_line_that_goes_from_cluster_nodes_orphans_its_node_and_loses_nothing() {
    let mut cluster = of_four(600_000).await;
    let files = write(&cluster).await;
    let nodes = "P4/config/cluster.nodes";
    let whole = cluster.read(nodes);
    let line = whole
        .lines()
        .find(|line| line.contains(":P2-NODE1,"))
        .expect("it has a line")
        .to_owned();
    let without: Vec<&str> = whole.lines().filter(|it| *it != line).collect();
    let without = without.join("\n") + "\n";
    cluster.edit(nodes, |_| without.clone());
    restart_controller(&mut cluster).await;
    let row = cluster
        .until_row("P2-NODE1", |row| row.state == "online")
        .await;
    assert!(row.conditions.contains(&"orphaned".to_owned()));
    let said = cluster.vaquita("status").await.ok();
    assert!(
        said.contains("P2-NODE1 is not in cluster.nodes but holds"),
        "{said}"
    );
    assert!(said.contains(&line), "{said}");
    for (_, site) in DATA_NODES {
        read_all(&cluster, site, &files).await;
    }
    cluster
        .until("it is emptied", async || {
            (chunks_on(&cluster, "P2-NODE1").await == 0).then_some(())
        })
        .await;
    let refused = cluster.vaquita("node serve P2-NODE1").await.failed(1);
    assert!(refused.contains("Put the line"), "{refused}");
    // The line is put back: it is a node like the others.
    cluster.edit(nodes, |_| whole.clone());
    restart_controller(&mut cluster).await;
    let row = cluster
        .until_row("P2-NODE1", |row| row.state == "online")
        .await;
    assert!(row.conditions.is_empty() && row.admin == "none", "{row:?}");
}

#[tokio::test]
async fn a_node_is_removed_and_stays_out() {
    let cluster = of_four(600_000).await;
    let files = write(&cluster).await;
    let refused = cluster.vaquita("node remove P2-NODE1").await.failed(1);
    assert!(refused.contains("node drain P2-NODE1 --wait"), "{refused}");
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let wrong = "node remove P2-NODE1 --i-accept-loss P3-NODE1";
    cluster.vaquita(wrong).await.failed(1);
    let said = cluster.vaquita("node remove P2-NODE1").await.ok();
    assert!(
        said.contains("out of cluster.nodes: `vaquita config remove-member P2-NODE1`"),
        "{said}"
    );
    cluster
        .until("what it had is made anew", async || {
            cluster
                .json("chunk list --unwell")
                .await
                .is_empty()
                .then_some(())
        })
        .await;
    for (alias, site) in DATA_NODES {
        if alias != "P2-NODE1" {
            read_all(&cluster, site, &files).await;
        }
    }
    cluster.vaquita("node start P2-NODE1").await.ok();
    cluster
        .until_log("P4/log/controller.log", "was removed by an operator")
        .await;
    let said = cluster.vaquita("node list P2-NODE1").await.ok();
    assert!(
        said.contains("[removed]") && said.contains("take the line"),
        "{said}"
    );
    // As it says; its process ends by itself, since nobody takes it, and must not be started again.
    cluster.until_row("P2-NODE1", |row| row.pid.is_none()).await;
    let refused = cluster
        .vaquita("config remove-member P2-NODE1")
        .await
        .failed(1);
    assert!(refused.contains("vaquita node stop P2-NODE1"), "{refused}");
    cluster.vaquita("node stop P2-NODE1").await.ok();
    cluster.vaquita("config remove-member P2-NODE1").await.ok();
    assert!(cluster.rows().await.iter().all(|it| it.alias != "P2-NODE1"));
}
