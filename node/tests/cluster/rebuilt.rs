//! A controller's home that is lost, old, or copied away in time.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::Ran;
use crate::repair::{of_four, read_all, write};
use crate::rig::{Cluster, MIB, assert_same, content};

/// A rebuild with the files of the controller's own start.
async fn rebuild(cluster: &Cluster, more: &str) -> Ran {
    let home = cluster.path("P4/data");
    let config = cluster.path("P4/config/controller.cfg");
    let (home, config) = (home.to_str().unwrap(), config.to_str().unwrap());
    let mut words = vec!["meta", "rebuild", "--home", home, "--config", config];
    words.extend(more.split_whitespace());
    cluster.place.run_words(&words, "").await
}

async fn back_up(cluster: &Cluster) -> Ran {
    let (home, to) = (cluster.path("P4/data"), cluster.path("backup"));
    let (home, to) = (home.to_str().unwrap(), to.to_str().unwrap());
    let words = ["meta", "backup", "--home", home, "--to", to];
    cluster.place.run_words(&words, "").await
}

/// Waits until two nodes have the whole log; returns its last record.
async fn copied(cluster: &Cluster) -> u64 {
    cluster
        .until("two nodes have all of the log", async || {
            let out = cluster.vaquita("status --json").await.ok();
            let status: Value = serde_json::from_str(&out).unwrap();
            let copies = status["log_copies"].as_array().unwrap();
            let has =
                |copy: &Value| copy["complete"] == true && copy["upto"] == status["commit_index"];
            let all = copies.len() == 2 && copies.iter().all(has);
            all.then(|| status["commit_index"].as_u64().unwrap())
        })
        .await
}

async fn online(cluster: &Cluster) {
    for (alias, _) in crate::rig::DATA_NODES {
        cluster.until_row(alias, |row| row.state == "online").await;
    }
}

/// Every directory and file, with its length and digest.
async fn names(cluster: &Cluster) -> String {
    cluster.vaquita("dfs ls -R --json /").await.ok()
}

/// The disk with the controller's home is gone. Two nodes have its log: the same names, users and
/// passwords come back, and every file is read.
#[tokio::test]
async fn a_lost_home_is_rebuilt_from_the_nodes() {
    let mut cluster = of_four(600_000).await;
    let files = write(&cluster).await;
    let before = names(&cluster).await;
    let last = copied(&cluster).await;
    let told = rebuild(&cluster, "--timeout 2").await.failed(73);
    assert!(told.contains("pid"), "it runs: {told}");

    cluster.take("P4").kill().await;
    fs::remove_dir_all(cluster.path("P4/data")).unwrap();
    let asked = rebuild(&cluster, "").await.ok();
    assert!(asked.contains("there is no log in it"), "{asked}");
    assert!(
        asked.contains(&format!("a copy up to record {last}")),
        "{asked}"
    );
    assert!(asked.contains("nothing was changed"), "{asked}");
    let done = rebuild(&cluster, "--write").await.ok();
    assert!(done.contains("start the controller"), "{done}");

    cluster.start_controller();
    cluster.log_in_again().await;
    online(&cluster).await;
    assert_eq!(names(&cluster).await, before);
    read_all(&cluster, "1:8961", &files).await;
    let bytes = content(99, MIB);
    cluster.put("3:8961", "later", &bytes).await.with(201);
    let got = cluster.get_file("5:8961", "later").await.with(200);
    assert_same(&got.body, &bytes, "later");
    // Records may have been lost: none of their indexes is given again.
    let now = copied(&cluster).await;
    assert!(now > last + 1_000_000_000_000, "{now} follows {last}");
    let unwell = cluster.json("chunk list --unwell").await;
    assert!(unwell.is_empty(), "{unwell:?}");
}

/// A backup is put in the place of a newer home: no node follows it, it gives nothing up and says what
/// it misses; then what the nodes have brings it up to date.
#[tokio::test]
async fn a_controller_from_an_old_copy_gives_nothing_up_and_is_brought_up_to_date() {
    let mut cluster = of_four(600_000).await;
    cluster.put("1:8961", "early", b"early").await.with(201);
    let told = back_up(&cluster).await.ok();
    assert!(told.contains("up to record"), "{told}");
    let again = back_up(&cluster).await.failed(73);
    assert!(again.contains("is not empty"), "{again}");
    let files = write(&cluster).await;
    let before = names(&cluster).await;
    let last = copied(&cluster).await;
    let replicas = |rows: Vec<Value>| -> u64 {
        let of = |row: &Value| row["replicas"].as_array().unwrap().len() as u64;
        rows.iter().map(of).sum()
    };
    let had = replicas(cluster.json("chunk list").await);
    cluster.until_chunks(had).await;

    cluster.take("P4").kill().await;
    let home = cluster.metadata();
    fs::remove_dir_all(&home).unwrap();
    copy(&cluster.path("backup"), &home);
    cluster.start_controller();
    cluster.log_in_again().await;
    let alarm = cluster
        .until("a node says what it has seen", async || {
            let out = cluster.vaquita("status --json").await.ok();
            let status: Value = serde_json::from_str(&out).unwrap();
            let alarms = status["alarms"].as_array().unwrap();
            alarms.iter().find_map(|it| {
                let alarm = it.as_str()?;
                alarm
                    .contains("refuses this controller")
                    .then(|| alarm.to_owned())
            })
        })
        .await;
    assert!(alarm.contains("vaquita meta rebuild"), "{alarm}");
    let refused = cluster.put("1:8961", "meanwhile", b"x").await;
    assert_eq!(refused.status, 503, "{}", refused.text());

    cluster.take("P4").stop().await;
    let done = rebuild(&cluster, "--write").await.ok();
    assert!(done.contains(&format!("up to record {last}")), "{done}");
    assert!(done.contains("of the home is kept as lost-"), "{done}");
    cluster.start_controller();
    cluster.log_in_again().await;
    online(&cluster).await;
    assert_eq!(names(&cluster).await, before);
    read_all(&cluster, "3:8961", &files).await;
    cluster.until_chunks(had).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
