//! On which hosts replicas are.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::Place;
use crate::rig::{Cluster, DATA_NODES};

/// The example with two replicas that may not share a host, P1 and P2 on one, P3 and P5 on another.
async fn of_two_labels() -> Cluster {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    cluster.replace(file, "ReliabilityLevel=0", "ReliabilityLevel=1");
    for (host, label) in [
        ("P1", "north"),
        ("P2", "north"),
        ("P3", "south"),
        ("P5", "south"),
    ] {
        let line = format!("hostLabel={label}");
        cluster.add_line(&format!("{host}/config/agent.cfg"), &line);
    }
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster
}

fn label(node: &str) -> &'static str {
    match node {
        "P1-NODE1" | "P2-NODE1" => "north",
        _ => "south",
    }
}

/// The nodes that have a chunk.
fn nodes(row: &Value) -> BTreeSet<String> {
    let replicas = row["replicas"].as_array().unwrap().iter();
    replicas
        .map(|replica| replica["node"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn at_level_1_replicas_are_never_on_one_host() {
    let cluster = of_two_labels().await;
    for number in 0..40 {
        let (_, site) = DATA_NODES[number % 4];
        cluster
            .put(site, &format!("f{number}"), b"somewhere")
            .await
            .with(201);
    }
    let rows = cluster.json("chunk list").await;
    assert_eq!(rows.len(), 40);
    let mut used = BTreeSet::new();
    for row in &rows {
        let nodes = nodes(row);
        let labels: BTreeSet<&str> = nodes.iter().map(|node| label(node)).collect();
        assert_eq!((nodes.len(), labels.len()), (2, 2), "{row}");
        assert_eq!(row["state"], "healthy", "{row}");
        used.extend(nodes);
    }
    assert_eq!(used.len(), 4, "all nodes have their share: {used:?}");
}

#[tokio::test]
async fn with_one_host_left_writes_are_refused_until_another_returns() {
    let cluster = of_two_labels().await;
    cluster.put("1:8961", "before", b"x").await.with(201);
    cluster
        .vaquita("node stop P3-NODE1 P5-NODE1 --wait")
        .await
        .ok();
    let refused = cluster.put("1:8961", "f", b"x").await.with(507);
    assert_eq!(refused.kind(), "no-place");
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["need"], &error["have"]),
        (&2.into(), &1.into()),
        "{error}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("host"), "{message}");
    cluster.place.write("a.csv", "1,2\n");
    let said = cluster.vaquita("dfs put a.csv dfs://").await;
    let said = said.failed(1);
    assert!(said.contains("host"), "{said}");
    // What is there can be read, and removed.
    let got = cluster.get_file("3:8961", "before").await.with(200);
    assert_eq!(got.body, b"x");
    cluster.vaquita("node start P5-NODE1 --wait").await.ok();
    cluster.put("1:8961", "f", b"x").await.with(201);
    cluster.vaquita("dfs put a.csv dfs://").await.ok();
}

#[tokio::test]
async fn at_level_0_one_host_is_enough() {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    for host in ["P1", "P2", "P3", "P5"] {
        cluster.add_line(&format!("{host}/config/agent.cfg"), "hostLabel=all");
    }
    cluster.start_all().await;
    cluster
        .vaquita("node start P1-NODE1 P2-NODE1 --wait")
        .await
        .ok();
    cluster.put("1:8961", "f", b"x").await.with(201);
}

#[tokio::test]
async fn local_spreads_replicas_over_the_hosts_that_it_pretends() {
    let place = Place::new();
    let addresses = crate::rig::Addresses::take();
    let _sweeper = crate::rig::Sweeper::of(&place.path(""));
    let terminal = crate::local::Terminal::open(&place, &addresses.subnet()).await;
    for host in ["P1", "P2", "P3", "P5"] {
        let file = place.read(&format!("{}/{host}/agent.cfg", crate::local::DIRECTORY));
        assert!(
            file.lines().any(|line| line == format!("hostLabel={host}")),
            "{file}"
        );
    }
    place.write("a.csv", "1,2\n");
    for number in 0..12 {
        let line = format!("dfs put a.csv dfs://f{number}");
        place.run(&line).await.ok();
    }
    let out = place.run("chunk list --json").await.ok();
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(rows.len(), 12);
    for row in &rows {
        assert_eq!(nodes(row).len(), 2, "{row}");
    }
    terminal.interrupt().await;
}
