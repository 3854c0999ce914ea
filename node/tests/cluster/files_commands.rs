//! Files by the commands of the program, as a person uses them.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::files::of_two_replicas;
use crate::rig::{Cluster, Tree, content, interrupt, terminate};

const FILES: usize = 300;

/// Makes a few hundred small files in some directories.
fn make_files(cluster: &Cluster) -> u64 {
    let mut bytes = 0;
    for number in 0..FILES {
        let folder = cluster.place.path(&format!("many/d{}/e", number % 7));
        fs::create_dir_all(&folder).unwrap();
        let len = number * 37 % 9000;
        bytes += len as u64;
        fs::write(
            folder.join(format!("f{number}")),
            content(number as u64, len),
        )
        .unwrap();
    }
    bytes
}

fn number(row: &Value, name: &str) -> u64 {
    row[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {row}"))
}

#[tokio::test]
async fn hundreds_of_files_go_there_and_back_and_the_lists_tell_the_truth() {
    let cluster = of_two_replicas().await;
    let bytes = make_files(&cluster);
    cluster.vaquita("dfs put -r many dfs://").await.ok();
    cluster.vaquita("dfs get -r dfs://many back").await.ok();
    let (there, back) = (
        Tree::of(&cluster.place.path("many")),
        Tree::of(&cluster.place.path("back")),
    );
    let below = |tree: Tree, top: &str| -> Vec<(String, Vec<u8>)> {
        let top = cluster.place.path(top);
        let files = tree.into_files().into_iter();
        files
            .map(|(path, bytes)| {
                let name = path.strip_prefix(&top).unwrap().display().to_string();
                (name, bytes)
            })
            .collect()
    };
    let (there, back) = (below(there, "many"), below(back, "back"));
    assert_eq!(there.len(), FILES);
    assert!(there == back, "what came back is not what was sent");

    let listed = cluster.vaquita("dfs ls -l dfs://many/d3/e").await.ok();
    // Every seventh from 3 on, and a heading.
    assert_eq!(listed.lines().count(), 1 + (3..FILES).step_by(7).count());
    let usage = cluster.json("dfs du dfs://many").await;
    let total = usage.iter().find(|row| row["path"] == "dfs://many");
    let total = total.unwrap_or_else(|| panic!("{usage:?}"));
    assert_eq!(number(total, "files"), FILES as u64);
    assert_eq!(number(total, "bytes"), bytes);
    assert_eq!(number(total, "stored_bytes"), 2 * bytes);

    // The only empty file has no chunk.
    let empty = (0..FILES).filter(|number| number * 37 % 9000 == 0).count();
    let chunks = cluster.json("chunk list").await;
    assert_eq!(chunks.len(), FILES - empty);
    assert_eq!(
        chunks.iter().map(|row| number(row, "len")).sum::<u64>(),
        bytes
    );
    for row in &chunks {
        assert_eq!(row["state"], "healthy", "{row}");
    }
    let unwell = cluster.json("chunk list --unwell").await;
    assert!(unwell.is_empty(), "{unwell:?}");
    // Nodes tell now and then how full their volumes are.
    cluster
        .until("the volumes are as full as the chunks say", async || {
            let rows = cluster.json("volume list").await;
            let sum = |name: &str| rows.iter().map(|row| number(row, name)).sum::<u64>();
            let told = (sum("chunks"), sum("chunk_bytes"));
            (told == (2 * chunks.len() as u64, 2 * bytes)).then_some(())
        })
        .await;
    cluster.vaquita("dfs rm -r dfs://many").await.ok();
    assert_eq!(cluster.json("chunk list").await.len(), 0);
}

#[tokio::test]
async fn a_put_that_is_interrupted_leaves_nothing() {
    let mut cluster = of_two_replicas().await;
    let bytes = content(1, 70 * 1024 * 1024);
    for (signal, number) in [(interrupt as fn(u32), 2), (terminate, 15)] {
        // Whoever runs the tests in the background may have SIGINT ignored, and a program keeps what it
        // inherits.
        cluster.place.launcher = ["env", "--default-signal=INT"].map(Into::into).to_vec();
        let mut command = cluster.place.command();
        cluster.place.launcher.clear();
        let mut putting = command
            .args(["dfs", "put", "-", "dfs://half"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = putting.stdin.take().unwrap();
        // More than a chunk has gone when this is through.
        stdin.write_all(&bytes).await.unwrap();
        cluster.until_chunks(2).await;
        signal(putting.id().unwrap());
        let ended = putting.wait().await.unwrap();
        // As a shell wants it of a program that is interrupted, or told to stop.
        assert_eq!(ended.signal(), Some(number), "{ended}");
        drop(stdin);
        let gone = cluster.vaquita("dfs stat dfs://half").await.failed(1);
        assert!(gone.contains("there is nothing at dfs://half"), "{gone}");
        cluster.until_chunks(0).await;
    }
}

#[tokio::test]
async fn who_may_only_read_is_told_which_right_is_missing() {
    let cluster = of_two_replicas().await;
    cluster.place.write("a.csv", "1,2\n");
    cluster.vaquita("dfs put a.csv dfs://").await.ok();
    cluster
        .place
        .run_with("user add bob --password-stdin", "his first one\n")
        .await
        .ok();
    cluster.vaquita("user grant bob dfs-read").await.ok();
    cluster
        .place
        .run_with("login --user bob --password-stdin", "his first one\n")
        .await
        .ok();
    let listed = cluster.vaquita("dfs ls").await.ok();
    assert!(listed.contains("a.csv"), "{listed}");
    cluster.vaquita("dfs get dfs://a.csv b.csv").await.ok();
    assert_eq!(cluster.place.read("b.csv"), "1,2\n");
    for line in [
        "dfs put a.csv dfs://b.csv",
        "dfs rm dfs://a.csv",
        "dfs mv dfs://a.csv dfs://b.csv",
        "dfs mkdir dfs://d",
    ] {
        let said = cluster.vaquita(line).await.failed(77);
        assert!(
            said.contains("lacks the right `dfs-write`"),
            "{line}: {said}"
        );
    }
    let files = cluster.vaquita("dfs ls").await.ok();
    assert_eq!(files, listed);
}

#[tokio::test]
async fn any_data_node_takes_the_login_and_the_commands_of_a_user() {
    let cluster = of_two_replicas().await;
    cluster.place.write("a.csv", "1,2\n");
    let server = format!("--server {}.3:8961", cluster.subnet);
    let line = format!("login --password-stdin {server}");
    cluster.place.run_with(&line, "long enough\n").await.ok();
    cluster
        .vaquita(&format!("dfs put a.csv dfs:// {server}"))
        .await
        .ok();
    let listed = cluster.vaquita(&format!("dfs ls {server}")).await.ok();
    assert!(listed.contains("a.csv"), "{listed}");
}
