//! Volumes of data nodes: where they are, whose they are, and what happens when one is not well.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::rig::{Cluster, DATA_NODES, KIB, MIB, Tree, assert_same, content, skip};

/// Two hosts with a replica each, after a change of the files.
pub(crate) async fn of_two(change: impl FnOnce(&Cluster)) -> Cluster {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    cluster.keep_two_hosts();
    change(&cluster);
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster
}

pub(crate) const FIRST: &str = DATA_NODES[0].1;
const SECOND: &str = DATA_NODES[1].1;

/// The only volume of P1-NODE1 as the controller shows it, once it is as wanted.
pub(crate) async fn until_volume(cluster: &Cluster, state: &str) -> Value {
    cluster
        .until(&format!("the volume of P1-NODE1 is {state}"), async || {
            let mut rows = cluster.json("volume list").await;
            rows.retain(|row| row["node"] == "P1-NODE1" && row["state"] == state);
            rows.pop()
        })
        .await
}

fn reason(row: &Value) -> String {
    row["reason"].as_str().unwrap().to_owned()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

pub(crate) fn home_volume(cluster: &Cluster, host: &str) -> PathBuf {
    cluster.path(&format!("{host}/data/{host}-NODE1/storage"))
}

#[tokio::test]
async fn volumes_are_given_by_node_by_pattern_and_by_alias() {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    let room = cluster.path("disks");
    fs::create_dir(&room).unwrap();
    let there = room.display();
    for line in [
        format!("volumes={there}/VOL1/<ALIAS>,{there}/VOL2/<ALIAS>"),
        format!("P3-NOD?1.volumes={there}/SSD3/"),
        format!("%5-NODE1.volumes={there}/SSD5/"),
        format!("P2-NODE1.volumes={there}/DFS/P2-NODE1"),
    ] {
        cluster.add_line("P4/config/cluster.cfg", &line);
    }
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster.until_volumes(5).await;
    let rows = cluster.json("volume list").await;
    let shown: Vec<(String, String)> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("node"), text("path"))
        })
        .collect();
    let wanted = [
        ("P1-NODE1", "VOL1/P1-NODE1"),
        ("P1-NODE1", "VOL2/P1-NODE1"),
        ("P2-NODE1", "DFS/P2-NODE1"),
        ("P3-NODE1", "SSD3"),
        ("P5-NODE1", "SSD5"),
    ]
    .map(|(node, path)| (node.to_owned(), format!("{there}/{path}")));
    assert_eq!(shown, wanted);
    // Both volumes of P1-NODE1 are on one file system: the one that was seen emptier, by whatever
    // little, is drawn three times of four. That the other gets nothing of some 150 chunks is a
    // matter of one in 10^18.
    let paths = wanted.map(|(_, path)| PathBuf::from(path));
    let mut chunks: Vec<PathBuf> = Vec::new();
    for number in 0..300 {
        let bytes = content(number, 2 * MIB);
        let (_, site) = DATA_NODES[number as usize % 4];
        cluster
            .put(site, &format!("f{number}"), &bytes)
            .await
            .with(201);
        // A file a chunk, two replicas of each, and all of them where the configuration says.
        let files = Tree::of(&cluster.path("")).into_files();
        chunks = files
            .into_keys()
            .filter(|path| path.extension().is_some_and(|it| it == "chunk"))
            .collect();
        assert_eq!(chunks.len() as u64, 2 * (number + 1), "{chunks:?}");
        assert!(chunks.iter().all(|path| path.starts_with(&room)));
        if paths.iter().all(|path| holds_any(path, &chunks)) {
            break;
        }
    }
    for path in &paths {
        assert!(holds_any(path, &chunks), "nothing in {path:?}: {chunks:?}");
    }
}

fn holds_any(directory: &Path, chunks: &[PathBuf]) -> bool {
    chunks.iter().any(|chunk| chunk.starts_with(directory))
}

#[tokio::test]
async fn a_relative_path_is_no_volume() {
    let cluster = Cluster::of_seed();
    cluster.add_line("P4/config/cluster.cfg", "P1-NODE1.volumes=disks/one");
    let refused = cluster.run_controller("controller.out").ended().await;
    let refused = refused.with(64);
    assert!(refused.contains("disks/one"), "{refused}");
    assert!(refused.contains("absolute"), "{refused}");
    let config = cluster.path("P4/config");
    let mut command = cluster.place.command();
    let output = command.arg("check").arg(config).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("cluster.cfg:6"), "{said}");
    assert!(said.contains("absolute"), "{said}");
}

#[tokio::test]
async fn a_directory_with_somebodys_files_is_no_volume() {
    let mut directory = PathBuf::new();
    let cluster = of_two(|cluster| {
        directory = cluster.path("photos");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("summer.jpg"), "a photo").unwrap();
        let line = format!("P1-NODE1.volumes={}", directory.display());
        cluster.add_line("P4/config/cluster.cfg", &line);
    })
    .await;
    let reason = reason(&until_volume(&cluster, "foreign").await);
    assert!(reason.contains("not empty (summer.jpg)"), "{reason}");
    let refused = cluster.put(FIRST, "f", b"x").await.with(507);
    assert!(refused.text().contains("P1-NODE1: no volume takes chunks"));
    cluster.place.write("a.csv", "1,2\n");
    let said = cluster.vaquita("dfs put a.csv dfs://").await.failed(1);
    assert!(said.contains("P1-NODE1: no volume takes chunks"), "{said}");
    let left = Tree::of(&directory).without("LOCK").into_files();
    assert_eq!(left.len(), 1);
    assert_eq!(left[&directory.join("summer.jpg")], b"a photo");
}

#[tokio::test]
async fn a_volume_of_another_node_is_left_alone() {
    let mut cluster = of_two(|_| ()).await;
    cluster.put(FIRST, "f", &content(1, MIB)).await.with(201);
    cluster.vaquita("node stop --all --wait").await.ok();
    let theirs = home_volume(&cluster, "P2");
    let before = Tree::of(&theirs).without("LOCK");
    let line = format!("P1-NODE1.volumes={}", theirs.display());
    cluster.add_line("P4/config/cluster.cfg", &line);
    cluster.take("P4").stop().await;
    cluster.start_controller();
    cluster.log_in_again().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let reason = reason(&until_volume(&cluster, "foreign").await);
    assert!(reason.contains("belongs to node P2-NODE1"), "{reason}");
    Tree::of(&theirs).without("LOCK").assert_same(&before);
}

#[tokio::test]
async fn a_volume_that_is_not_mounted_is_missing_and_nothing_is_written_below() {
    let cluster = of_two(|_| ()).await;
    let bytes = content(1, 3 * MIB);
    cluster.put(FIRST, "f", &bytes).await.with(201);
    let mounted = home_volume(&cluster, "P1");
    let away = cluster.path("P1/away");
    for point_is_there in [true, false] {
        cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
        fs::rename(&mounted, &away).unwrap();
        if point_is_there {
            fs::create_dir(&mounted).unwrap();
        }
        cluster.vaquita("node start P1-NODE1 --wait").await.ok();
        let reason = reason(&until_volume(&cluster, "missing").await);
        assert!(reason.contains("not mounted"), "{reason}");
        let refused = cluster.put(SECOND, "g", b"x").await.with(507);
        assert!(refused.text().contains("P1-NODE1: no volume takes chunks"));
        let got = cluster.get_file(FIRST, "f").await.with(200);
        assert_same(&got.body, &bytes, "from the other replica");
        cluster
            .until("the replica is shown as gone", async || {
                let rows = cluster.json("chunk list --unwell").await;
                (rows.len() == 1).then_some(())
            })
            .await;
        cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
        if mounted.exists() {
            let left = names(&mounted);
            assert!(
                left.iter().all(|name| name.to_str() == Some("LOCK")),
                "{left:?}"
            );
            fs::remove_dir_all(&mounted).unwrap();
        }
        fs::rename(&away, &mounted).unwrap();
        cluster.vaquita("node start P1-NODE1 --wait").await.ok();
        until_volume(&cluster, "good").await;
        cluster
            .until("all is well", async || {
                let rows = cluster.json("chunk list --unwell").await;
                rows.is_empty().then_some(())
            })
            .await;
    }
    cluster.put(SECOND, "g", b"x").await.with(201);
}

/// The volumes of a node, as the controller shows them.
async fn volumes_of(cluster: &Cluster, node: &str) -> Vec<Value> {
    let mut rows = cluster.json("volume list").await;
    rows.retain(|row| row["node"] == node);
    rows
}

/// The process id of a node.
async fn pid_of(cluster: &Cluster, node: &str) -> Value {
    let rows = cluster.json("node list").await;
    let row = rows.iter().find(|row| row["alias"] == node).unwrap();
    row["pid"].clone()
}

/// Orders something of the volume at a directory, and returns what was said. Paths here have blanks.
async fn order_of_volume(cluster: &Cluster, order: &str, node: &str, path: &Path) -> String {
    order_volume(cluster, &[order], node, path).await.unwrap()
}

/// The same; what was said is an error if it was refused.
async fn order_volume(
    cluster: &Cluster,
    order: &[&str],
    node: &str,
    path: &Path,
) -> Result<String, String> {
    let mut command = cluster.place.command();
    command.arg("volume").args(order).arg(node).arg(path);
    let output = command.output().await.unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

async fn copied(cluster: &Cluster) -> Value {
    let out = cluster.vaquita("repair status --json").await.ok();
    let status: Value = serde_json::from_str(&out).unwrap();
    status["copied"].clone()
}

#[tokio::test]
async fn a_volume_that_is_mounted_while_its_node_runs_is_opened_again() {
    let cluster = of_two(|_| ()).await;
    let sizes = [("small", 200 * KIB), ("large", 3 * MIB)];
    for (path, len) in sizes {
        let bytes = content(len as u64, len);
        cluster.put(FIRST, path, &bytes).await.with(201);
    }
    let (mounted, away) = (home_volume(&cluster, "P1"), cluster.path("P1/away"));
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    fs::rename(&mounted, &away).unwrap();
    fs::create_dir(&mounted).unwrap();
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    until_volume(&cluster, "missing").await;
    let pid = pid_of(&cluster, "P1-NODE1").await;
    let listed = cluster.vaquita("volume list").await.ok();
    assert!(listed.contains("missing for"), "{listed}");
    assert!(
        listed.contains("vaquita volume rescan P1-NODE1"),
        "{listed}"
    );
    assert!(listed.contains("what is done: "), "{listed}");
    let status = cluster.vaquita("status").await.out;
    assert!(status.contains("is missing for"), "{status}");
    let rescanned = cluster.vaquita("volume rescan P1-NODE1").await;
    assert!(
        rescanned.out.contains("missing  missing"),
        "{}",
        rescanned.out
    );
    rescanned.failed(1);
    // The process holds nothing of what it does not use.
    fs::remove_dir_all(&mounted).unwrap();
    fs::rename(&away, &mounted).unwrap();
    let rescanned = cluster.vaquita("volume rescan --all").await.ok();
    assert!(rescanned.contains("missing  good"), "{rescanned}");
    assert!(rescanned.contains("left alone"), "{rescanned}");
    until_volume(&cluster, "good").await;
    until_well(&cluster).await;
    assert_eq!(copied(&cluster).await, 0);
    assert_eq!(pid_of(&cluster, "P1-NODE1").await, pid);
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    for (path, len) in sizes {
        let got = cluster.get_file(FIRST, path).await.with(200);
        assert_same(&got.body, &content(len as u64, len), path);
    }
}

#[tokio::test]
async fn disks_that_were_exchanged_are_adopted_by_order() {
    let cluster = of_two(|_| ()).await;
    let sizes = [("small", 200 * KIB), ("large", 3 * MIB)];
    for (path, len) in sizes {
        let bytes = content(len as u64, len);
        cluster.put(FIRST, path, &bytes).await.with(201);
    }
    cluster.vaquita("repair suspend").await.ok();
    cluster.vaquita("node stop --all --wait").await.ok();
    let (one, other) = (home_volume(&cluster, "P1"), home_volume(&cluster, "P2"));
    let between = cluster.path("between");
    fs::rename(&one, &between).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(&between, &other).unwrap();
    cluster.vaquita("node start --all --wait").await.ok();
    let told = reason(&until_volume(&cluster, "foreign").await);
    let cure = format!("vaquita volume adopt P1-NODE1 {}", one.display());
    assert!(told.contains("belongs to node P2-NODE1"), "{told}");
    assert!(told.contains(&cure), "{told}");
    let err = cluster
        .vaquita("volume adopt P1-NODE1 /elsewhere")
        .await
        .failed(1);
    assert!(err.contains("has no volume at /elsewhere"), "{err}");
    for (node, path) in [("P1-NODE1", &one), ("P2-NODE1", &other)] {
        let said = order_of_volume(&cluster, "adopt", node, path).await;
        assert!(said.contains("foreign  good"), "{said}");
    }
    cluster.vaquita("repair resume").await.ok();
    until_well(&cluster).await;
    assert_eq!(copied(&cluster).await, 0);
    cluster
        .until_log("P4/log/controller.log", "is given to P1-NODE1")
        .await;
    // It stands, whatever starts anew.
    cluster.vaquita("node stop --all --wait").await.ok();
    cluster.vaquita("node start --all --wait").await.ok();
    until_volume(&cluster, "good").await;
    until_well(&cluster).await;
    for (site, (path, len)) in [FIRST, SECOND].into_iter().zip(sizes) {
        let got = cluster.get_file(site, path).await.with(200);
        assert_same(&got.body, &content(len as u64, len), path);
    }
}

#[tokio::test]
async fn a_volume_that_is_taken_out_is_told_and_a_new_one_is_used() {
    let mut cluster = of_two(|_| ()).await;
    let bytes = content(1, 3 * MIB);
    cluster.put(FIRST, "f", &bytes).await.with(201);
    let (before, fresh) = (home_volume(&cluster, "P1"), cluster.path("P1/fresh"));
    fs::create_dir(&fresh).unwrap();
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    let line = format!("P1-NODE1.volumes={}", fresh.display());
    cluster.add_line("P4/config/cluster.cfg", &line);
    cluster.take("P4").stop().await;
    cluster.start_controller();
    cluster.log_in_again().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let rows = cluster
        .until("both are told", async || {
            let rows = volumes_of(&cluster, "P1-NODE1").await;
            let states: Vec<&Value> = rows.iter().map(|row| &row["state"]).collect();
            (states == ["good", "missing"]).then_some(rows)
        })
        .await;
    assert_eq!(rows[0]["path"], fresh.display().to_string());
    assert_eq!(rows[1]["path"], before.display().to_string());
    let told = reason(&rows[1]);
    assert!(
        told.contains("is not in `volumes` of this node any more"),
        "{told}"
    );
    let status = cluster.vaquita("status").await.out;
    assert!(status.contains("gone from the configuration"), "{status}");
    // What was on it is made anew, and nothing of it was touched.
    until_well(&cluster).await;
    assert_eq!(copied(&cluster).await, 1);
    let left = Tree::of(&before).into_files();
    assert!(
        left.keys()
            .any(|path| path.extension().is_some_and(|it| it == "chunk"))
    );
    order_of_volume(&cluster, "forget", "P1-NODE1", &before).await;
    cluster
        .until("it is missed no longer", async || {
            let rows = volumes_of(&cluster, "P1-NODE1").await;
            (rows.len() == 1).then_some(())
        })
        .await;
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let got = cluster.get_file(FIRST, "f").await.with(200);
    assert_same(&got.body, &bytes, "from the new volume");
}

/// Turns one bit of a content over on P1's disk.
fn flip(cluster: &Cluster, bytes: &[u8]) {
    flip_at(cluster, "P1", bytes, bytes.len() / 2);
}

/// Turns one bit of a content over on a host's disk, in the byte at `offset`.
fn flip_at(cluster: &Cluster, host: &str, bytes: &[u8], offset: usize) {
    let volume = home_volume(cluster, host);
    let part = &bytes[offset..][..64];
    for (path, mut there) in Tree::of(&volume).into_files() {
        if let Some(at) = there.windows(part.len()).position(|it| it == part) {
            there[at] ^= 0x10;
            return fs::write(path, there).unwrap();
        }
    }
    panic!("the content is not in {}", volume.display());
}

#[tokio::test]
async fn a_flipped_bit_is_noticed_the_other_replica_read_and_this_one_made_anew() {
    let cluster = of_two(|_| ()).await;
    // So that there is time to look at it.
    cluster.vaquita("repair suspend").await.ok();
    // One in a segment with others, and one in a file of its own.
    for (path, len) in [("small", 200 * KIB), ("large", 3 * MIB)] {
        let bytes = content(len as u64, len);
        cluster.put(FIRST, path, &bytes).await.with(201);
        flip(&cluster, &bytes);
        for site in [FIRST, SECOND, FIRST] {
            let got = cluster.get_file(site, path).await.with(200);
            assert_same(&got.body, &bytes, &format!("{path} at {site}"));
        }
        let row = cluster
            .until("the damage is shown", async || {
                let line = format!("chunk list --unwell --below dfs://{path}");
                cluster.json(&line).await.pop()
            })
            .await;
        assert_eq!(row["state"], "degraded", "{row}");
        let replicas = row["replicas"].as_array().unwrap();
        let damaged = replicas.iter().find(|it| it["node"] == "P1-NODE1");
        assert_eq!(damaged.unwrap()["state"], "corrupt", "{row}");
    }
    let table = cluster.vaquita("chunk list --unwell").await.ok();
    assert!(table.contains("P1-NODE1"), "{table}");
    assert!(table.contains("dfs://small"), "{table}");
    let said = cluster.vaquita("repair status").await.ok();
    assert!(
        said.contains("2 chunks: with one good replica left"),
        "{said}"
    );
    assert!(
        said.contains("nothing is begun at present: an operator has suspended it"),
        "{said}"
    );
    cluster.vaquita("repair resume").await.ok();
    until_well(&cluster).await;
    // There is no other node: it was made anew in its place.
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    for (path, len) in [("small", 200 * KIB), ("large", 3 * MIB)] {
        let got = cluster.get_file(FIRST, path).await.with(200);
        assert_same(&got.body, &content(len as u64, len), path);
    }
}

/// A bit is flipped in a replica that nobody reads: the node finds it by itself.
#[tokio::test]
async fn a_flipped_bit_that_nobody_reads_is_found_and_made_anew() {
    let cluster = of_two(|cluster| {
        cluster.add_line("P4/config/cluster.cfg", "scrubPeriod=2");
    })
    .await;
    for (path, len) in [("small", 200 * KIB), ("large", 3 * MIB)] {
        let bytes = content(len as u64, len);
        cluster.put(FIRST, path, &bytes).await.with(201);
        flip(&cluster, &bytes);
    }
    cluster
        .until("both are found and made anew", async || {
            let out = cluster.vaquita("repair status --json").await.ok();
            let status: serde_json::Value = serde_json::from_str(&out).unwrap();
            (status["copied"] == 2).then_some(())
        })
        .await;
    until_well(&cluster).await;
    cluster
        .until_log("P1/log/P1-NODE1.log", "was read through in")
        .await;
    // What was made anew is what was written.
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    for (path, len) in [("small", 200 * KIB), ("large", 3 * MIB)] {
        let got = cluster.get_file(FIRST, path).await.with(200);
        assert_same(&got.body, &content(len as u64, len), path);
    }
}

/// Both replicas are damaged, each in another block: together they have all that there was.
#[tokio::test]
async fn two_damaged_replicas_are_put_together() {
    let cluster = of_two(|cluster| {
        cluster.add_line("P4/config/cluster.cfg", "scrubPeriod=2");
    })
    .await;
    cluster.vaquita("repair suspend").await.ok();
    let sizes = [("small", 400 * KIB), ("large", 3 * MIB)];
    for (path, len) in sizes {
        let bytes = content(len as u64, len);
        cluster.put(FIRST, path, &bytes).await.with(201);
        flip_at(&cluster, "P1", &bytes, len / 8);
        flip_at(&cluster, "P2", &bytes, len - len / 8);
    }
    cluster
        .until("no replica can be read", async || {
            let rows = cluster.json("chunk list --unwell").await;
            let lost = rows.iter().filter(|row| row["state"] == "unavailable");
            (lost.count() == 2).then_some(())
        })
        .await;
    cluster.get_file(FIRST, "large").await.with(503);
    cluster.vaquita("repair resume").await.ok();
    until_well(&cluster).await;
    cluster
        .until_log(
            "P4/log/controller.log",
            "put together from what each still has",
        )
        .await;
    for (path, len) in sizes {
        for site in [FIRST, SECOND] {
            let got = cluster.get_file(site, path).await.with(200);
            assert_same(&got.body, &content(len as u64, len), path);
        }
    }
}

async fn until_well(cluster: &Cluster) {
    cluster
        .until("every chunk is well", async || {
            let rows = cluster.json("chunk list --unwell").await;
            rows.is_empty().then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_segment_that_is_cut_short_costs_what_was_in_it_and_no_more() {
    let cluster = of_two(|_| ()).await;
    cluster.vaquita("repair suspend").await.ok();
    let contents: Vec<Vec<u8>> = (0..20).map(|seed| content(seed, 50 * KIB)).collect();
    for (number, bytes) in contents.iter().enumerate() {
        cluster
            .put(SECOND, &format!("f{number}"), bytes)
            .await
            .with(201);
    }
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    let volume = home_volume(&cluster, "P1");
    let mut files = Tree::of(&volume).into_files();
    files.retain(|path, _| path.extension().is_some_and(|it| it == "seg"));
    let (segment, bytes) = files.pop_last().unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&segment, &bytes[..end / 2]).unwrap();
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let unwell = cluster
        .until("what is lost is shown", async || {
            let rows = cluster.json("chunk list --unwell").await;
            (!rows.is_empty()).then_some(rows.len())
        })
        .await;
    assert!((5..=15).contains(&unwell), "{unwell} of 20");
    for (number, bytes) in contents.iter().enumerate() {
        let path = format!("f{number}");
        let got = cluster.get_file(FIRST, &path).await.with(200);
        assert_same(&got.body, bytes, &path);
    }
    cluster.put(FIRST, "more", b"x").await.with(201);
}

/// A file system of its own for P1's agent and what it starts, and the words that make it.
fn small_disk(directory: &Path) -> Vec<OsString> {
    let script = format!(
        "mount -t tmpfs -o size=300m disk '{}' && exec \"$0\" \"$@\"",
        directory.display()
    );
    [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
    ]
    .map(OsString::from)
    .into_iter()
    .chain([script.into()])
    .collect()
}

#[tokio::test]
async fn a_full_volume_takes_nothing_more_and_loses_nothing() {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=2");
    cluster.keep_two_hosts();
    let directory = cluster.path("P1/disk");
    fs::create_dir(&directory).unwrap();
    let line = format!("P1-NODE1.volumes={}", directory.display());
    cluster.add_line("P4/config/cluster.cfg", &line);
    cluster.place.launcher = small_disk(&directory);
    let probe = cluster.vaquita("--version").await;
    if probe.status != 0 {
        let reason = probe.err.trim();
        let why = format!("this machine lets a test have no disk of its own: {reason}");
        skip("mounts", &why);
        return;
    }
    cluster.start_agent("P1");
    cluster.place.launcher.clear();
    cluster.start_agent("P2");
    cluster.start_controller();
    cluster.log_in().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let row = until_volume(&cluster, "good").await;
    assert_eq!(row["capacity"], 300 * MIB, "{row}");
    let mut written = Vec::new();
    let refused = loop {
        let number = written.len() as u64;
        assert!(number < 10, "more than there is room for");
        let bytes = content(number, 40 * MIB);
        let path = format!("f{number}");
        let (_, site) = DATA_NODES[number as usize % 2];
        let reply = cluster.put(site, &path, &bytes).await;
        if reply.status != 201 {
            break reply;
        }
        written.push((path, bytes));
    };
    assert!(written.len() >= 3, "{} files", written.len());
    let text = refused.with(507).text();
    assert!(text.contains("P1-NODE1"), "{text}");
    for (path, bytes) in &written {
        for site in [FIRST, SECOND] {
            let got = cluster.get_file(site, path).await.with(200);
            assert_same(&got.body, bytes, path);
        }
    }
    assert_eq!(cluster.row("P1-NODE1").await.state, "online");
    // What is removed makes room: a volume above its high-water mark does not keep it for long.
    for (path, _) in &written {
        cluster.vaquita(&format!("dfs rm dfs://{path}")).await.ok();
    }
    cluster
        .until("there is room again", async || {
            let reply = cluster.put(FIRST, "again", b"x").await;
            (reply.status == 201).then_some(())
        })
        .await;
}

/// One of two volumes is drained while files are there: what is on it moves to the other one, on the same
/// node; its directory can be taken away then, and the node does without.
#[tokio::test]
async fn a_volume_is_drained_and_taken_away() {
    let cluster = of_two(|cluster| {
        let there = cluster.path("").join("disks");
        fs::create_dir(&there).unwrap();
        let (one, two) = (there.join("one"), there.join("two"));
        let line = format!("P1-NODE1.volumes={},{}", one.display(), two.display());
        cluster.add_line("P4/config/cluster.cfg", &line);
    })
    .await;
    cluster.until_volumes(3).await;
    let leaves = cluster.path("disks/two");
    let shown = leaves.to_str().unwrap().to_owned();
    let chunks_there = || {
        let names = names(&leaves);
        let is_chunk =
            |name: &&OsString| Path::new(name).extension().is_some_and(|it| it == "chunk");
        names.iter().filter(is_chunk).count()
    };
    let mut files = Vec::new();
    while chunks_there() < 2 {
        let number = files.len() as u64;
        assert!(number < 200, "the volume gets nothing");
        let len = if number.is_multiple_of(2) {
            2 * MIB
        } else {
            20 * KIB
        };
        let (path, bytes) = (format!("f{number}"), content(number, len));
        cluster.put(FIRST, &path, &bytes).await.with(201);
        files.push((path, bytes));
    }
    let wrong = cluster.vaquita("volume drain P1-NODE1 /nowhere").await;
    assert_eq!(wrong.status, 1, "{}", wrong.err);
    assert!(
        wrong.err.contains("has no volume at /nowhere, but at "),
        "{}",
        wrong.err
    );
    let said = order_volume(&cluster, &["drain", "--wait"], "P1-NODE1", &leaves).await;
    let said = said.unwrap();
    assert!(said.contains(&format!("{shown} is drained  (")), "{said}");
    let rows = cluster.json("volume list").await;
    let row = rows
        .iter()
        .find(|row| row["path"] == shown.as_str())
        .unwrap();
    assert_eq!(
        (&row["admin"], &row["chunks"]),
        (&"drained".into(), &0.into()),
        "{row}"
    );
    let list = cluster.vaquita("volume list").await.ok();
    assert!(list.contains("good [drained]"), "{list}");
    assert!(
        list.contains("it is drained: nothing is lost with it"),
        "{list}"
    );
    // It moved within the node: both nodes have every chunk, as before.
    for row in cluster.json("chunk list").await {
        let replicas = row["replicas"].as_array().unwrap();
        assert_eq!(
            (replicas.len(), &row["state"]),
            (2, &"healthy".into()),
            "{row}"
        );
    }
    let deeds = cluster.json("repair history").await;
    let within = |deed: &&Value| {
        deed["what"] == "copied" && deed["from"] == "P1-NODE1" && deed["to"] == "P1-NODE1"
    };
    assert!(deeds.iter().filter(within).count() >= 2, "{deeds:?}");
    // The last one cannot go: there are two hosts, and two replicas.
    let last = cluster.path("disks/one");
    let refused = order_volume(&cluster, &["drain"], "P1-NODE1", &last).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("is the last volume of P1-NODE1"),
        "{refused}"
    );
    // The node lets go of it while it runs, and the disk is taken away.
    let pid = pid_of(&cluster, "P1-NODE1").await;
    let said = order_of_volume(&cluster, "forget", "P1-NODE1", &leaves).await;
    assert!(said.contains("let go of"), "{said}");
    // Its threads end a moment later.
    cluster
        .until("nothing of it is open any more", async || {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let mut targets = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
            (!targets.any(|it| it.starts_with(&leaves))).then_some(())
        })
        .await;
    fs::remove_dir_all(&leaves).unwrap();
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    for (path, bytes) in &files {
        let got = cluster.get_file(FIRST, path).await.with(200);
        assert_same(&got.body, bytes, path);
    }
}
