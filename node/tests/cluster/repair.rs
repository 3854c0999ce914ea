//! Replicas that are lost and made anew.

use serde_json::Value;

use crate::rig::{Cluster, DATA_NODES, KIB, MIB, assert_same, content};

/// Four data nodes with two replicas, and so much patience with a node that is away.
pub(crate) async fn of_four(wait_ms: u32) -> Cluster {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    cluster.add_line(file, &format!("dfsRecoveryWaitTime={wait_ms}"));
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster.until_volumes(4).await;
    cluster
}

/// How repair is.
pub(crate) async fn status(cluster: &Cluster) -> Value {
    let out = cluster.vaquita("repair status --json").await.ok();
    serde_json::from_str(&out).unwrap()
}

/// Small files and a large one, through all nodes.
pub(crate) async fn write(cluster: &Cluster) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for number in 0..24 {
        let len = if number == 5 { 3 * MIB } else { 20 * KIB };
        let (path, bytes) = (format!("f{number}"), content(number as u64, len));
        let (_, site) = DATA_NODES[number % 4];
        cluster.put(site, &path, &bytes).await.with(201);
        files.push((path, bytes));
    }
    files
}

pub(crate) async fn read_all(cluster: &Cluster, site: &str, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        let got = cluster.get_file(site, path).await.with(200);
        assert_same(&got.body, bytes, path);
    }
}

pub(crate) async fn chunks_on(cluster: &Cluster, node: &str) -> u64 {
    let rows = cluster.json("volume list").await;
    let own = rows.iter().filter(|row| row["node"] == node);
    own.map(|row| row["chunks"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn what_was_on_a_node_that_is_gone_is_made_anew_and_nothing_is_left_over_when_it_returns() {
    let cluster = of_four(1000).await;
    let files = write(&cluster).await;
    let rows = cluster.json("chunk list").await;
    let on_it = |row: &Value| {
        let replicas = row["replicas"].as_array().unwrap();
        replicas.iter().any(|it| it["node"] == "P2-NODE1")
    };
    let lost = rows.iter().filter(|row| on_it(row)).count();
    assert!(lost > 0);
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let done = cluster
        .until("all is made anew", async || {
            let well = cluster.json("chunk list --unwell").await.is_empty();
            // In this order: what is counted before the last copy would be less.
            let status = status(&cluster).await;
            (well && status["copied"] != 0).then_some(status)
        })
        .await;
    assert_eq!(done["copied"], lost as u64, "{done}");
    assert_eq!(
        (&done["failed"], &done["degraded"]),
        (&0.into(), &0.into()),
        "{done}"
    );
    let rows = cluster.json("chunk list").await;
    assert!(!rows.iter().any(on_it), "{rows:?}");
    read_all(&cluster, "1:8961", &files).await;
    let said = cluster.vaquita("repair status").await.ok();
    assert!(
        said.contains("every chunk has the replicas that it should have"),
        "{said}"
    );
    cluster
        .until_log("P4/log/controller.log", "P2-NODE1 is lost")
        .await;
    let deeds = cluster.json("repair history --limit 1000").await;
    let copied = deeds.iter().filter(|deed| deed["what"] == "copied");
    let copied: Vec<&Value> = copied.collect();
    assert_eq!(copied.len(), lost, "{deeds:?}");
    for deed in copied {
        assert_eq!(deed["given_up"], serde_json::json!(["P2-NODE1"]), "{deed}");
        let said = deed["reason"].as_str().unwrap();
        assert!(said.contains("P2-NODE1 is lost"), "{deed}");
        let row = rows.iter().find(|row| row["chunk"] == deed["chunk"]);
        let row = row.unwrap_or_else(|| panic!("{deed}"));
        let holds = |name: &Value| {
            let replicas = row["replicas"].as_array().unwrap();
            replicas.iter().any(|it| it["node"] == *name)
        };
        assert!(holds(&deed["from"]) && holds(&deed["to"]), "{deed}: {row}");
    }
    let one = deeds[0]["chunk"].as_str().unwrap();
    let line = format!("repair history --chunk {one}");
    let said = cluster.vaquita(&line).await.ok();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains(one) && said.contains("P2-NODE1"), "{said}");

    cluster.vaquita("node start P2-NODE1 --wait").await.ok();
    cluster
        .until("it keeps nothing of the old", async || {
            (chunks_on(&cluster, "P2-NODE1").await == 0).then_some(())
        })
        .await;
    assert!(cluster.json("chunk list --unwell").await.is_empty());
    read_all(&cluster, "3:8961", &files).await;
}

#[tokio::test]
async fn a_node_that_is_away_for_a_moment_is_waited_for() {
    let cluster = of_four(600_000).await;
    write(&cluster).await;
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let said = cluster.vaquita("repair status").await.ok();
    assert!(said.contains("P2-NODE1, which has "), "{said}");
    assert!(
        said.contains("its replicas are made anew elsewhere in 9 min"),
        "{said}"
    );
    let awaited = status(&cluster).await["awaited"].clone();
    assert_eq!(awaited[0]["node"], "P2-NODE1", "{awaited}");
    cluster.vaquita("node start P2-NODE1 --wait").await.ok();
    cluster
        .until("all is well", async || {
            let rows = cluster.json("chunk list --unwell").await;
            rows.is_empty().then_some(())
        })
        .await;
    let after = status(&cluster).await;
    assert_eq!(after["copied"], 0, "{after}");
}
