//! Files of the controller that are changed while it runs.

use std::fs;

use serde_json::Value;

use crate::rig::{Cluster, KIB, assert_same, content, hang_up, kill};

/// What `config show` tells of all files.
async fn overview(cluster: &Cluster) -> Value {
    let out = cluster.vaquita("config show --json").await.ok();
    serde_json::from_str(&out).unwrap()
}

/// How a data node stands to what the files say.
async fn standing(cluster: &Cluster, alias: &str) -> String {
    let shown = overview(cluster).await;
    let mut nodes = shown["nodes"].as_array().unwrap().iter();
    let row = nodes.find(|row| row["alias"] == alias);
    row.unwrap_or_else(|| panic!("no {alias} in {shown}"))["standing"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn pids(cluster: &Cluster, of: &[&str]) -> Vec<Option<u32>> {
    let rows = cluster.rows().await;
    of.iter()
        .map(|alias| rows.iter().find(|row| row.alias == *alias).unwrap().pid)
        .collect()
}

#[tokio::test]
async fn a_host_is_added_to_a_running_cluster_without_restarting_anything() {
    let mut cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster.until_volumes(2).await;
    let bytes = content(1, 30 * KIB);
    cluster.put("1:8961", "a", &bytes).await.with(201);
    let old = ["P1-agent", "P1-NODE1", "P2-agent", "P2-NODE1"];
    let before = pids(&cluster, &old).await;
    let controller = cluster.servers["P4"].pid;

    // The agent is there first, and asks until the file has it.
    cluster.start_agent("P3");
    cluster
        .until_log(
            "P4/log/controller.log",
            "there is no `P3-agent` in cluster.nodes",
        )
        .await;
    let subnet = cluster.subnet.clone();
    let rows = format!("{subnet}.5:8960:P3-agent,agent {subnet}.5:8961:P3-NODE1,datanode");
    let said = cluster
        .vaquita(&format!("config add-member {rows} --comment third"))
        .await
        .ok();
    assert!(said.contains("P3-NODE1,datanode is a member"), "{said}");
    cluster
        .until_row("P3-agent", |row| row.state == "online")
        .await;
    cluster.vaquita("node start P3-NODE1 --wait").await.ok();
    cluster.until_volumes(3).await;
    cluster.put("5:8961", "b", &bytes).await.with(201);
    let got = cluster.get_file("5:8961", "a").await.with(200);
    assert_same(&got.body, &bytes, "a");
    assert_eq!(pids(&cluster, &old).await, before);
    assert_eq!(cluster.servers["P4"].pid, controller);
    assert_eq!(standing(&cluster, "P3-NODE1").await, "current");

    // A volume that is added counts after a restart of its node, and until then it is told.
    let volume = cluster.path("P3/more");
    let own = cluster.path("P3/data/P3-NODE1/storage");
    let key = "P3-NODE1.volumes";
    let value = format!("{},{}", own.display(), volume.display());
    let set = ["config", "set", "cluster.cfg", key, value.as_str()];
    cluster.place.run_words(&set, "").await.ok();
    assert_eq!(standing(&cluster, "P3-NODE1").await, "restart-pending");
    assert_eq!(standing(&cluster, "P1-NODE1").await, "current");
    cluster.vaquita("node stop P3-NODE1 --wait").await.ok();
    cluster.vaquita("node start P3-NODE1 --wait").await.ok();
    assert_eq!(standing(&cluster, "P3-NODE1").await, "current");
    cluster.until_volumes(4).await;

    // While the node holds something, its row stays; nothing is written.
    let text = cluster.read("P4/config/cluster.nodes");
    let refused = cluster
        .vaquita("config remove-member P3-NODE1")
        .await
        .failed(1);
    assert!(refused.contains("P3-NODE1 cannot go"), "{refused}");
    assert_eq!(cluster.read("P4/config/cluster.nodes"), text);
    // A start reads the same.
    cluster.take("P4").stop().await;
    cluster.start_controller();
    cluster
        .until_row("P3-NODE1", |row| row.state == "online")
        .await;
    cluster.until_volumes(4).await;
}

#[tokio::test]
async fn an_editor_and_sighup_are_as_good_as_the_api() {
    let cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let controller = cluster.servers["P4"].pid;
    let file = "P4/config/controller.cfg";
    cluster.add_line(file, "dfsRecoveryWaitTime=61000");
    cluster.replace(file, "workerNum=4", "workerNum=5");
    let shown = overview(&cluster).await;
    assert_eq!(shown["files"][0]["taken_up"], false, "{shown}");
    hang_up(controller);
    for words in [
        "dfsRecoveryWaitTime is 61000 from now on",
        "SIGHUP: the files were taken up",
        "workerNum=5 counts after a controller restart",
    ] {
        cluster.until_log("P4/log/controller.log", words).await;
    }
    let shown = overview(&cluster).await;
    assert_eq!(shown["files"][0]["taken_up"], true, "{shown}");
    let pending = shown["pending"].as_array().unwrap();
    let keys: Vec<_> = pending.iter().map(|row| &row["key"]).collect();
    assert!(keys.contains(&&Value::from("workerNum")), "{shown}");

    // A file with an error changes nothing, and is told with its line.
    cluster.add_line("P4/config/cluster.cfg", "P1-NODE1.workerNum=many");
    let refused = cluster.vaquita("config reload").await.failed(1);
    assert!(refused.contains("cluster.cfg:6:"), "{refused}");
    cluster.replace("P4/config/cluster.cfg", "many", "3");
    let said = cluster.vaquita("config reload").await.ok();
    assert!(
        said.contains("P1-NODE1 has another configuration"),
        "{said}"
    );
    assert_eq!(standing(&cluster, "P1-NODE1").await, "restart-pending");
    assert_eq!(standing(&cluster, "P2-NODE1").await, "current");
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    assert_eq!(standing(&cluster, "P1-NODE1").await, "current");
    let node_cfg = cluster.read("P1/data/P1-NODE1/node.cfg");
    assert!(node_cfg.contains("workerNum=3"), "{node_cfg}");

    // What was changed by hand can be changed on over the API, and undone.
    cluster
        .vaquita("config set cluster.cfg P1-NODE1.workerNum 2 --comment less")
        .await
        .ok();
    let said = cluster.vaquita("config history cluster.cfg").await.ok();
    assert!(said.contains("changed by admin (+1 -1): less"), "{said}");
    cluster.vaquita("config undo cluster.cfg").await.ok();
    assert!(
        cluster
            .read("P4/config/cluster.cfg")
            .ends_with("P1-NODE1.workerNum=3\n")
    );
    let left = fs::read_dir(cluster.path("P4/config")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(left.count(), 0);
    let refused = cluster
        .vaquita("config set controller.cfg insecureCluster 1")
        .await
        .failed(77);
    assert!(
        refused.contains("on the controller's host alone"),
        "{refused}"
    );
}

/// Files that were to take the place of others, and have not.
fn half_written(folder: &std::path::Path) -> usize {
    let names = fs::read_dir(folder).unwrap();
    let hidden = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    hidden.count()
}

#[tokio::test]
async fn a_controller_that_is_killed_while_it_writes_leaves_the_old_text_or_the_new_one() {
    let mut cluster = Cluster::of_two_hosts().await;
    let folder = cluster.path("P4/config");
    let file = "P4/config/cluster.cfg";
    for round in 0..6 {
        let old = cluster.read(file);
        let line = format!("P1-%.maxConnections={}", 100 + round);
        let new = match old.lines().find(|it| it.starts_with("P1-%")) {
            Some(before) => old.replace(before, &line),
            None => format!("{old}{line}\n"),
        };
        let pid = cluster.servers["P4"].pid;
        let command = line.replace('=', " ");
        let command = format!("config set cluster.cfg {command}");
        let ended = std::cell::Cell::new(false);
        let writing = async {
            let ran = cluster.vaquita(&command).await;
            ended.set(true);
            ran
        };
        // Killed as soon as the new text is there beside the old one; now and then it is too fast for that.
        let killing = async {
            while !ended.get() {
                if half_written(&folder) > 0 {
                    kill(pid);
                    return;
                }
                tokio::task::yield_now().await;
            }
            kill(pid);
        };
        tokio::join!(writing, killing);
        cluster.take("P4").kill().await;
        cluster.start_controller();
        cluster
            .until_row("P1-agent", |row| row.state == "online")
            .await;
        let shown = overview(&cluster).await;
        assert_eq!(shown["findings"], serde_json::json!([]), "{shown}");
        let text = cluster.read(file);
        assert!(text == old || text == new, "{text}");
        assert_eq!(half_written(&folder), 0);
    }
}
