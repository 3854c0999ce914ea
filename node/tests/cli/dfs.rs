use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::{Value, json};
use vaquita_core::admin::NodeState;
use vaquita_core::dfs::digest::Digest;

use crate::cluster::FakeCluster;
use crate::files::Manner;
use crate::program::Place;

fn rows(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Bytes of which no two pieces are alike.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// A cluster in which the first node that is tried behaves in a manner, and another one well.
async fn with_a_first_node(manner: Manner) -> (FakeCluster, Place) {
    let cluster = FakeCluster::settled();
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, manner)
        .await;
    cluster
        .serve_data_node("P2-NODE1", NodeState::Suspect, Manner::Well)
        .await;
    let place = cluster.logged_in().await;
    (cluster, place)
}

#[tokio::test]
async fn a_directory_is_listed_by_name_as_a_table_and_as_json() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    cluster.files().set_page(2);
    cluster.files().write("/data/a.csv", bytes(1536));
    cluster.files().write("/data/old/b.csv", b"x");
    cluster.files().write("/data/old/c d", b"");
    cluster.files().write("/data/z", b"123");
    assert_eq!(place.run("dfs ls").await.ok(), "data/\n");
    assert_eq!(
        place.run("dfs ls dfs://data").await.ok(),
        "a.csv\nold/\nz\n"
    );
    assert_eq!(place.run("dfs ls /data/z").await.ok(), "z\n");
    assert_eq!(
        place.run("dfs ls -R dfs://data").await.ok(),
        "a.csv\nold/\nold/b.csv\nold/c d\nz\n"
    );
    assert_eq!(
        place.run("dfs ls -lR dfs://data").await.ok(),
        "TYPE     SIZE  CHUNKS  REPLICAS  MODIFIED             NAME\n\
         file  1.5 KiB       1         2  2026-11-26 11:00:00  a.csv\n\
         dir         -       -         -  2026-11-26 11:00:00  old/\n\
         file      1 B       1         2  2026-11-26 11:00:00  old/b.csv\n\
         file      0 B       0         2  2026-11-26 11:00:00  old/c d\n\
         file      3 B       1         2  2026-11-26 11:00:00  z\n"
    );
    let out = place.run("dfs ls -l --bytes /data/a.csv").await.ok();
    assert!(out.contains("file  1536 "), "{out}");
    let listed = rows(&place.run("dfs ls --json dfs://data").await.ok());
    assert_eq!(listed.len(), 3);
    assert_eq!(
        listed[2],
        json!({
            "path": "dfs://data/z", "kind": "file", "inode": 1, "version": 1, "len": 3,
            "modified_unix_ms": 1_795_690_800_000_u64, "count": 1,
            "digest": Digest::of(b"123").to_string(), "replicas": 2,
        })
    );
    let err = place.run("dfs ls dfs://dota").await.failed(1);
    assert_eq!(
        err,
        "error: there is nothing at dfs://dota; `vaquita dfs ls dfs://` shows what there is\n"
    );
}

#[tokio::test]
async fn what_is_at_a_path_is_shown() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    cluster.files().write("/data/a.csv", bytes(1536));
    let digest = Digest::of(&bytes(1536));
    assert_eq!(
        place.run("dfs stat dfs://data/a.csv").await.ok(),
        format!(
            "path      dfs://data/a.csv\n\
             kind      file\n\
             size      1.5 KiB (1536 bytes)\n\
             chunks    1\n\
             replicas  2\n\
             modified  2026-11-26 11:00:00\n\
             digest    {digest}\n\
             version   1\n"
        )
    );
    assert_eq!(
        place.run("dfs stat dfs://data").await.ok(),
        "path      dfs://data\n\
         kind      directory\n\
         entries   1\n\
         made      2026-11-26 11:00:00\n\
         version   1\n"
    );
    let out = place.run("dfs stat --json /data/a.csv").await.ok();
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["digest"], digest.to_string());
    let err = place.run("dfs stat dfs://nowhere/x").await.failed(1);
    assert!(err.contains("there is nothing at dfs://nowhere/x"), "{err}");
}

#[tokio::test]
async fn how_much_there_is_is_summed_up() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    cluster.files().write("/data/a.csv", bytes(1536));
    cluster.files().write("/data/old/b.csv", b"x");
    assert_eq!(
        place.run("dfs du -h dfs://data").await.ok(),
        "   SIZE   STORED  FILES  CHUNKS  PATH\n\
         1.5 KiB  3.0 KiB      1       1  dfs://data/a.csv\n    \
             1 B      2 B      1       1  dfs://data/old\n\
         1.5 KiB  3.0 KiB      2       2  dfs://data\n"
    );
    assert_eq!(
        place.run("dfs du -s --bytes").await.ok(),
        "SIZE  STORED  FILES  CHUNKS  PATH\n1537    3074      2       2  dfs://\n"
    );
    assert_eq!(
        rows(&place.run("dfs du -sh --json dfs://data/old").await.ok()),
        [json!({
            "path": "dfs://data/old", "files": 1, "directories": 1, "bytes": 1,
            "stored_bytes": 2, "chunks": 1,
        })]
    );
    assert!(place.run("dfs du --help").await.ok().contains("Examples"));
}

#[tokio::test]
async fn directories_are_made_and_things_moved_and_removed() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    assert_eq!(
        place.run("dfs mkdir dfs://data").await.ok(),
        "made dfs://data\n"
    );
    let err = place.run("dfs mkdir dfs://x/y").await.failed(1);
    assert!(
        err.contains("there is no directory dfs://x; `--parents`"),
        "{err}"
    );
    let err = place.run("dfs mkdir dfs://data").await.failed(1);
    assert!(err.contains("dfs://data is there already"), "{err}");
    place.run("dfs mkdir -p dfs://x/y dfs://data").await.ok();
    cluster.files().write("/a", b"1");
    cluster.files().write("/b", b"22");
    // Into a directory that is there, else to the name.
    assert_eq!(
        place.run("dfs mv dfs://a dfs://data").await.ok(),
        "dfs://a is dfs://data/a now\n"
    );
    let err = place.run("dfs mv dfs://b dfs://data/a").await.failed(73);
    assert!(
        err.contains("is there already; `--force` replaces a file"),
        "{err}"
    );
    place.run("dfs mv -f dfs://b dfs://data/a").await.ok();
    assert_eq!(cluster.files().read("/data/a").unwrap(), b"22");
    let err = place.run("dfs mv dfs://nothing dfs://c").await.failed(1);
    assert!(err.contains("nothing at dfs://nothing"), "{err}");

    assert_eq!(
        place.run("dfs rm dfs://data/a").await.ok(),
        "removed dfs://data/a (2 B)\n"
    );
    let err = place.run("dfs rm dfs://data/a").await.failed(1);
    assert!(
        err.contains("there is nothing at dfs://data/a; `vaquita dfs ls dfs://data`"),
        "{err}"
    );
    place.run("dfs rm -f dfs://data/a").await.ok();
    place.run("dfs rm dfs://x").await.failed(1);
    cluster.files().write("/x/y/z", b"123");
    let ran = place.run("dfs rm -r dfs://nothing dfs://x").await;
    assert_eq!(ran.out, "removed dfs://x (2 directories, 1 file, 3 B)\n");
    assert!(ran.failed(1).contains("dfs://nothing"));
    assert_eq!(cluster.files().paths(), ["dfs://data"]);
}

#[tokio::test]
async fn a_file_is_put_and_got() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    let content = bytes(3 << 20);
    fs::write(place.path("a.bin"), &content).unwrap();
    let ran = place.run("dfs put a.bin dfs://x.bin").await;
    assert_eq!(ran.ok(), "dfs://x.bin  3.0 MiB, new\n");
    assert_eq!(cluster.files().read("/x.bin").unwrap(), content);
    assert_eq!(
        place.run("dfs get dfs://x.bin copy").await.ok(),
        "copy  3.0 MiB\n"
    );
    assert_eq!(fs::read(place.path("copy")).unwrap(), content);
    // Into a directory that is there.
    fs::create_dir(place.path("here")).unwrap();
    place.run("dfs get dfs://x.bin here").await.ok();
    place.run("dfs get dfs://x.bin").await.ok();
    assert_eq!(fs::read(place.path("here/x.bin")).unwrap(), content);
    assert_eq!(fs::read(place.path("x.bin")).unwrap(), content);
    assert_eq!(names(&place), ["a.bin", "copy", "here", "home", "x.bin"]);
    let err = place.run("dfs get dfs://x.bin no/such/").await.failed(1);
    assert!(err.contains("there is no directory no/such/ here"), "{err}");
    place.run("dfs get dfs://y.bin").await.failed(1);
}

fn names(place: &Place) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_empty_file_is_put_and_got() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place.write("empty", "");
    assert_eq!(
        place.run("dfs put empty dfs://e").await.ok(),
        "dfs://e  0 B, new\n"
    );
    assert_eq!(cluster.files().read("/e").unwrap(), b"");
    place.run("dfs get dfs://e f").await.ok();
    assert_eq!(place.read("f"), "");
    assert_eq!(place.run("dfs get dfs://e -").await.ok(), "");
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_told_to() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place.write("a", "new");
    cluster.files().write("/a", b"old");
    let err = place.run("dfs put a dfs://a").await.failed(73);
    assert_eq!(
        err,
        "error: dfs://a is there already: `--force` replaces it, `--no-clobber` passes over it\n"
    );
    let out = place.run("dfs put --no-clobber a dfs://a").await.ok();
    assert!(
        out.starts_with("0 files, 0 B in ") && out.contains("1 that were there"),
        "{out}"
    );
    assert_eq!(cluster.files().read("/a").unwrap(), b"old");
    let out = place.run("dfs put --force --json a dfs://a").await.ok();
    assert_eq!(
        rows(&out),
        [json!({
            "path": "dfs://a", "len": 3, "digest": Digest::of(b"new").to_string(), "version": 1,
            "created": false, "degraded_chunks": 0,
        })]
    );
    let err = place.run("dfs get dfs://a a").await.failed(73);
    assert!(err.contains("a is there already: `--force`"), "{err}");
    place.write("a", "local");
    place.run("dfs get --no-clobber dfs://a a").await.ok();
    assert_eq!(place.read("a"), "local");
    let out = place.run("dfs get --force --json dfs://a a").await.ok();
    assert_eq!(
        rows(&out),
        [json!({
            "path": "dfs://a", "local": "a", "len": 3,
            "digest": Digest::of(b"new").to_string(),
        })]
    );
    assert_eq!(place.read("a"), "new");
    place
        .run("dfs put --force --no-clobber a dfs://a")
        .await
        .failed(64);
}

#[tokio::test]
async fn directories_are_put_and_got_with_all_that_is_in_them() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    for (name, text) in [
        ("logs/one.log", "1"),
        ("logs/deep/er/two.log", "22"),
        ("logs/grün.log", "333"),
    ] {
        place.write(name, text);
    }
    fs::create_dir(place.path("logs/none")).unwrap();
    std::os::unix::fs::symlink("deep", place.path("logs/link")).unwrap();
    let err = place.run("dfs put logs dfs://backup").await.failed(64);
    assert!(err.contains("logs is a directory: `-r`"), "{err}");
    let ran = place.run("dfs put -r logs dfs://backup").await;
    assert!(
        ran.err
            .contains("logs/link is a link to a directory and was left out"),
        "{ran:?}"
    );
    let out = ran.ok();
    assert!(out.starts_with("3 files, 6 B in "), "{out}");
    let there = [
        "dfs://backup",
        "dfs://backup/deep",
        "dfs://backup/deep/er",
        "dfs://backup/deep/er/two.log",
        "dfs://backup/grün.log",
        "dfs://backup/none",
        "dfs://backup/one.log",
    ];
    assert_eq!(cluster.files().paths(), there);
    // Once more: into the directory that is there now.
    let out = place
        .run("dfs put -r -v logs dfs://backup --jobs 1")
        .await
        .ok();
    assert!(
        out.contains("dfs://backup/logs/grün.log  3 B, new\n"),
        "{out}"
    );
    let err = place.run("dfs get dfs://backup copy").await.failed(64);
    assert!(err.contains("`-r` gets directories"), "{err}");
    let out = place
        .run("dfs get -r --json dfs://backup/logs copy")
        .await
        .ok();
    assert_eq!(rows(&out).len(), 3);
    assert_eq!(place.read("copy/deep/er/two.log"), "22");
    assert_eq!(place.read("copy/grün.log"), "333");
    assert!(place.path("copy/none").is_dir());
    place.run("dfs get -r dfs://backup/logs copy").await.ok();
    assert_eq!(place.read("copy/logs/one.log"), "1");
}

#[tokio::test]
async fn flags_may_stand_among_what_is_put_and_where_to() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place.write("a", "1");
    place.write("b", "2");
    place.run("dfs put a --parents dfs://x/").await.ok();
    place.run("dfs put a --force b dfs://x -r").await.ok();
    let paths = cluster.files().paths();
    assert_eq!(paths, ["dfs://x", "dfs://x/a", "dfs://x/b"]);
    // Of two places the first is taken for a file, which is not there.
    let err = place.run("dfs put a dfs://x -rp dfs://y").await.failed(2);
    assert!(err.contains("dfs://x cannot be read"), "{err}");
}

#[tokio::test]
async fn what_looks_like_a_flag_is_put_behind_two_dashes() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place.write("-a.csv", "1");
    place.write("--b", "2");
    place.run("dfs put -p -- -a.csv dfs://data/").await.ok();
    place
        .run("dfs put -- --b -a.csv dfs://data")
        .await
        .failed(73);
    let paths = cluster.files().paths();
    assert_eq!(paths, ["dfs://data", "dfs://data/--b", "dfs://data/-a.csv"]);
    // Behind them nothing else is a flag either.
    let err = place.run("dfs put -- --b --force").await.failed(64);
    assert!(err.contains("--force"), "{err}");
    let err = place.run("dfs put -a.csv dfs://data/").await.failed(64);
    assert!(err.contains("unexpected argument"), "{err}");
}

#[tokio::test]
async fn what_is_put_has_a_place_that_a_path_can_say() {
    for line in ["dfs put a", "dfs put --force a", "dfs put -"] {
        let err = Place::new().run(line).await.failed(64);
        let help = "say last of all where to, as in `vaquita dfs put a.csv dfs://data/`";
        assert!(err.contains(help), "{line}: {err}");
    }
    let err = Place::new().run("dfs put").await.failed(64);
    assert!(err.contains("<LOCAL>... <DFS_PATH>"), "{err}");

    let place = Place::new();
    let mut command = place.command();
    command.args(["dfs", "put", "a"]);
    command.arg(OsStr::from_bytes(b"dfs://data/\xff"));
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(64));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("is not UTF-8"), "{err}");
}

#[tokio::test]
async fn several_files_go_into_a_directory() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place.write("a", "1");
    place.write("b", "2");
    let err = place.run("dfs put a b dfs://data").await.failed(1);
    assert!(
        err.contains("there is no directory dfs://data: `--parents`"),
        "{err}"
    );
    place
        .run("dfs put --parents a b dfs://data/2026")
        .await
        .ok();
    assert_eq!(
        cluster.files().paths(),
        [
            "dfs://data",
            "dfs://data/2026",
            "dfs://data/2026/a",
            "dfs://data/2026/b"
        ]
    );
    let err = place.run("dfs put a b dfs://data/2026/a").await.failed(73);
    assert!(
        err.contains("is a file, and a directory is needed"),
        "{err}"
    );
    let err = place.run("dfs put a dfs://none/a").await.failed(1);
    assert!(err.contains("there is no directory dfs://none"), "{err}");
    place.run("dfs put -p a dfs://none/a").await.ok();
    let err = place.run("dfs put missing dfs://data").await.failed(2);
    assert!(err.contains("missing cannot be read"), "{err}");
    // One that fails does not keep the others.
    let ran = place.run("dfs put a b dfs://data/2026/ --jobs 1").await;
    let err = ran.failed(73);
    assert!(err.ends_with("error: 2 of 2 files failed\n"), "{err}");
}

#[tokio::test]
async fn standard_input_and_output_stand_for_files() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    place
        .run_with("dfs put - dfs://in", "from a pipe")
        .await
        .ok();
    assert_eq!(cluster.files().read("/in").unwrap(), b"from a pipe");
    assert_eq!(place.run("dfs get dfs://in -").await.ok(), "from a pipe");
    // More than is kept to be sent once more.
    let long = "x".repeat(9 << 20);
    let ran = place.run_with("dfs put --force - dfs://in", &long).await;
    assert_eq!(ran.ok(), "dfs://in  9.0 MiB, replaced\n");
    assert_eq!(cluster.files().read("/in").unwrap().len(), 9 << 20);
    let err = place.run_with("dfs put - dfs://", "x").await.failed(64);
    assert!(err.contains("standard input has no name"), "{err}");
    let err = place.run("dfs get --json dfs://in -").await.failed(64);
    assert!(err.contains("standard output takes one file"), "{err}");
}

#[tokio::test]
async fn a_node_that_hangs_is_left_for_the_next_one() {
    let (cluster, place) = with_a_first_node(Manner::Hangs).await;
    place.write("a", "one");
    let ran = place.run("dfs put a dfs://a").await;
    assert_eq!((ran.err.as_str(), ran.status), ("", 0), "{ran:?}");
    assert_eq!(cluster.files().read("/a").unwrap(), b"one");
    let ran = place.run("dfs get -v dfs://a b").await;
    assert!(ran.err.contains("P1-NODE1"), "{ran:?}");
    assert!(
        ran.err
            .contains("gave no sign for 3 s; going on with the next node"),
        "{ran:?}"
    );
    ran.ok();
    assert_eq!(place.read("b"), "one");
}

#[tokio::test]
async fn a_node_that_cannot_reach_its_controller_is_left_for_the_next_one() {
    let (cluster, place) = with_a_first_node(Manner::Cut).await;
    place.write("a", "one");
    let ran = place.run("dfs put -v a dfs://a").await;
    assert!(ran.err.contains("the controller is not heard"), "{ran:?}");
    ran.ok();
    assert_eq!(place.run("dfs get dfs://a -").await.ok(), "one");
    assert_eq!(cluster.files().puts(), 2);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_done_twice() {
    let (cluster, place) = with_a_first_node(Manner::Forgets).await;
    place.write("a", "one");
    let out = place.run("dfs put --json a dfs://a").await.ok();
    assert_eq!(rows(&out)[0]["version"], 1);
    assert_eq!(cluster.files().puts(), 2);
    assert_eq!(cluster.files().read("/a").unwrap(), b"one");
}

/// The next node refuses what the first one, whose answer is lost, has done.
#[tokio::test]
async fn a_write_that_is_refused_after_an_answer_was_lost_is_not_called_undone() {
    for (next, status, reason) in [
        (Manner::Full, 1, "2 data nodes are needed"),
        (Manner::Cut, 69, "not heard"),
    ] {
        let cluster = FakeCluster::settled();
        for (alias, state, manner) in [
            ("P1-NODE1", NodeState::Online, Manner::Forgets),
            ("P2-NODE1", NodeState::Suspect, next),
        ] {
            cluster.serve_data_node(alias, state, manner).await;
        }
        let place = cluster.logged_in().await;
        place.write("a", "one");
        let err = place.run("dfs put a dfs://a").await.failed(status);
        assert!(err.contains(reason), "{err}");
        assert!(
            err.contains("may have written dfs://a all the same"),
            "{err}"
        );
        assert!(err.contains("vaquita dfs stat dfs://a"), "{err}");
        assert_eq!(cluster.files().read("/a").unwrap(), b"one");
        // Where nobody has had all bytes nothing is in doubt.
        let cluster = FakeCluster::settled();
        cluster
            .serve_data_node("P1-NODE1", NodeState::Online, next)
            .await;
        let place = cluster.logged_in().await;
        place.write("a", "one");
        let err = place.run("dfs put a dfs://a").await.failed(status);
        assert!(!err.contains("all the same"), "{err}");
    }
}

/// More than can be sent once more, of which all bytes had gone out when the answer was lost.
#[tokio::test]
async fn standard_input_whose_answer_is_lost_is_not_called_unwritten() {
    let cluster = FakeCluster::settled();
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, Manner::Forgets)
        .await;
    let place = cluster.logged_in().await;
    let long = "x".repeat(9 << 20);
    let ran = place.run_with("dfs put - dfs://in", &long).await;
    let err = ran.failed(69);
    assert!(
        err.contains("may have written dfs://in all the same"),
        "{err}"
    );
    assert!(
        err.contains("standard input cannot be read once more"),
        "{err}"
    );
    assert!(!err.contains("was not written"), "{err}");
    assert_eq!(cluster.files().read("/in").unwrap().len(), 9 << 20);
}

#[tokio::test]
async fn a_read_that_breaks_off_goes_on_behind_the_last_byte() {
    let (cluster, place) = with_a_first_node(Manner::BreaksAfter(100_000)).await;
    cluster.files().set_chunk_bytes(70_000);
    let content = bytes(300_000);
    cluster.files().write("/a", &content);
    for line in ["dfs get dfs://a a", "dfs get -v --force dfs://a a"] {
        place.run(line).await.ok();
        assert_eq!(fs::read(place.path("a")).unwrap(), content);
    }
    let reads = cluster.files().reads();
    assert_eq!(reads.len(), 4, "{reads:?}");
    assert_eq!(reads[0], 0);
    assert!(reads[1] <= 100_000, "{reads:?}");
    assert_eq!(names(&place), ["a", "home"]);
}

#[tokio::test]
async fn when_no_node_does_it_each_is_named_with_its_reason() {
    let cluster = FakeCluster::settled();
    for alias in ["P1-NODE1", "P2-NODE1"] {
        cluster
            .serve_data_node(alias, NodeState::Online, Manner::Cut)
            .await;
    }
    let place = cluster.logged_in().await;
    place.write("a", "one");
    let err = place.run("dfs put a dfs://a").await.failed(69);
    for word in [
        "dfs://a was not written",
        "P1-NODE1 (127.0.0.1:",
        "P2-NODE1",
        "not heard",
    ] {
        assert!(err.contains(word), "no {word}: {err}");
    }
    let cluster = FakeCluster::settled();
    let place = cluster.logged_in().await;
    place.write("a", "one");
    let err = place.run("dfs put a dfs://a").await.failed(69);
    assert!(err.contains("none is online: `vaquita node list`"), "{err}");
}

#[tokio::test]
async fn what_was_read_in_part_is_kept_and_gone_on_with() {
    let cluster = FakeCluster::settled();
    let breaks = Manner::BreaksAfter(100_000);
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, breaks)
        .await;
    let place = cluster.logged_in().await;
    let content = bytes(1_000_000);
    cluster.files().write("/big", &content);
    let part = format!(".big.{}.part", Digest::of(&content));
    // What an earlier command has left; nothing of it is read once more.
    fs::write(place.path(&part), &content[..950_000]).unwrap();
    place.run("dfs get --continue dfs://big").await.ok();
    assert_eq!(fs::read(place.path("big")).unwrap(), content);
    assert_eq!(cluster.files().reads(), [950_000]);
    // All of it was there, but for its name.
    fs::write(place.path(&part), &content).unwrap();
    place.run("dfs get --continue --force dfs://big").await.ok();
    assert_eq!(cluster.files().reads()[1..], [999_999]);
    // What is damaged is found, and thrown away.
    let mut damaged = content[..950_000].to_vec();
    damaged[17] ^= 1;
    fs::write(place.path(&part), &damaged).unwrap();
    let err = place
        .run("dfs get --continue --force dfs://big")
        .await
        .failed(65);
    assert!(err.contains("what came is not what is stored"), "{err}");
    assert_eq!(names(&place), ["big", "home"]);
}

#[tokio::test]
async fn a_failure_says_what_is_kept() {
    let cluster = FakeCluster::settled();
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, Manner::Well)
        .await;
    let place = cluster.logged_in().await;
    let content = bytes(200_000);
    cluster.files().write("/big", &content);
    let part = format!(".big.{}.part", Digest::of(&content));
    fs::write(place.path(&part), &content[..100_000]).unwrap();
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, Manner::Cut)
        .await;
    let err = place.run("dfs get --continue dfs://big").await.failed(69);
    assert!(err.contains("97 KiB of it are kept in ./.big."), "{err}");
    assert!(err.contains("`--continue` goes on behind them"), "{err}");
    assert_eq!(fs::read(place.path(&part)).unwrap().len(), 100_000);
}

#[tokio::test]
async fn damage_on_the_way_is_found() {
    let cluster = FakeCluster::settled();
    cluster
        .serve_data_node("P1-NODE1", NodeState::Online, Manner::Garbles)
        .await;
    let place = cluster.logged_in().await;
    cluster.files().write("/a", b"one");
    let err = place.run("dfs get dfs://a a").await.failed(65);
    assert!(err.contains("what came is not what is stored"), "{err}");
    assert!(!place.path("a").exists());
    let ran = place.run("dfs get dfs://a -").await;
    assert!(ran.failed(65).contains("must not be used"));
    place.write("b", "two");
    let err = place.run("dfs put b dfs://b").await.failed(65);
    assert!(err.contains("dfs://b was damaged on its way"), "{err}");
}

#[tokio::test]
async fn fewer_replicas_than_asked_for_are_told() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    cluster.files().set_degraded(1);
    place.write("a", "one");
    let ran = place.run("dfs put a dfs://a").await;
    assert_eq!(
        ran.err,
        "warning: dfs://a: 1 chunk has fewer replicas than the configuration asks for; \
         `vaquita chunk list --unwell` shows what becomes of it\n"
    );
    ran.ok();
}

#[tokio::test]
async fn chunks_are_listed_and_shown() {
    let (cluster, place) = FakeCluster::with_one_data_node().await;
    assert_eq!(place.run("chunk list").await.err, "there is no chunk\n");
    cluster.files().set_page(2);
    cluster.files().set_chunk_bytes(4);
    cluster.files().write("/data/a", b"0123456789");
    cluster.files().write("/z", b"0");
    assert_eq!(
        place.run("chunk list").await.ok(),
        "CHUNK             STATE     SIZE  REPLICAS                 FILE          NUMBER  REASON\n\
         0000010000000000  healthy    4 B  P1-NODE1,P2-NODE1        dfs://data/a       0\n\
         0000010000000001  degraded   4 B  P1-NODE1,P2-NODE1(away)  dfs://data/a       1  \
         1 of 2 replicas: P2-NODE1 is away\n\
         0000010000000002  healthy    2 B  P1-NODE1,P2-NODE1        dfs://data/a       2\n\
         0000010000000003  degraded   1 B  P1-NODE1,P2-NODE1(away)  dfs://z            0  \
         1 of 2 replicas: P2-NODE1 is away\n"
    );
    let listed = rows(
        &place
            .run("chunk list --unwell --below dfs://data --json")
            .await
            .ok(),
    );
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["chunk"], "0000010000000001");
    assert_eq!(listed[0]["replicas"][1]["state"], "away");
    assert_eq!(
        place.run("chunk show 0000010000000001").await.ok(),
        format!(
            "chunk       0000010000000001\n\
             file        dfs://data/a (chunk 1 of it, from 0)\n\
             size        4 B\n\
             generation  1\n\
             digest      {}\n\
             state       degraded\n\
             reason      1 of 2 replicas: P2-NODE1 is away\n\
             \n\
             REPLICA   VOLUME  STATE\n\
             P1-NODE1       0  good\n\
             P2-NODE1       -  away\n",
            Digest::of(b"4567")
        )
    );
    let shown = place.run("chunk show 0000010000000001 --json").await.ok();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), listed[0]);
    let err = place.run("chunk show 17").await.failed(1);
    assert!(err.contains("there is no chunk `17`"), "{err}");
    place.run("chunk show 00000100000000ff").await.failed(1);
}

#[tokio::test]
async fn volumes_are_listed() {
    let (_cluster, place) = FakeCluster::with_one_data_node().await;
    assert_eq!(
        place.run("volume list").await.ok(),
        "NODE      SLOT  STATE    USED     FREE  CAPACITY  CHUNKS     DATA  PATH\n\
         P1-NODE1     0  good     25 %  768 GiB   1.0 TiB      12  5.0 GiB  /disk0\n\
         P1-NODE1     1  missing     -      0 B       0 B       0      0 B  /disk1\n\
         \n\
         P1-NODE1 /disk1: missing for 2 min\n\
         \x20 no label: is the disk mounted?\n\
         \x20 what is done: 7 chunks are made anew\n"
    );
    let listed = rows(&place.run("volume list --json").await.ok());
    assert_eq!(listed[1]["state"], "missing");
    assert_eq!(listed[1]["id"], Value::Null);
}

#[tokio::test]
async fn volumes_are_opened_again_adopted_and_forgotten() {
    let (_cluster, place) = FakeCluster::with_one_data_node().await;
    let rescanned = place.run("volume rescan P1-NODE1").await;
    assert_eq!(
        rescanned.out,
        "NODE      WAS      NOW      CHUNKS  PATH    WHAT\n\
         P1-NODE1  missing  good         12  /disk1  opened again\n\
         P1-NODE1  missing  missing      12  /disk2  opened again\n\
         \n\
         P1-NODE1 /disk2: it is not mounted: mount it\n"
    );
    let err = rescanned.failed(1);
    assert!(err.contains("one of them is not in use"), "{err}");
    let listed = rows(&place.run("volume rescan --all --json").await.out);
    assert_eq!(listed[0]["now"], "good");
    // The volume that was meant is in use.
    let adopted = place.run("volume adopt P1-NODE1 /disk1/").await.failed(1);
    assert!(adopted.contains("/disk1/ is in use"), "{adopted}");
    place.run("volume adopt P1-NODE1 /disk1").await.ok();
    let err = place.run("volume forget P1-NODE1 /disk3").await.failed(1);
    assert!(err.contains("/disk3 is in use"), "{err}");
    place.run("volume rescan").await.failed(64);
    place.run("volume adopt P1-NODE1").await.failed(64);
}

#[tokio::test]
async fn a_volume_is_drained_and_serves_again() {
    let (_cluster, place) = FakeCluster::with_one_data_node().await;
    let said = place.run("volume drain P1-NODE1 /disk0").await.ok();
    assert_eq!(said, "P1-NODE1: /disk0 is being drained, with 12 chunks\n");
    // The list says that it serves: somebody else has called it off.
    let err = place
        .run("volume drain P1-NODE1 /disk0/ --wait")
        .await
        .failed(1);
    assert!(
        err.contains("/disk0 is drained no more: the order was called off"),
        "{err}"
    );
    // This one is nowhere in the list.
    let err = place
        .run("volume drain P1-NODE1 /disk9 --wait --timeout 0")
        .await
        .failed(1);
    assert!(err.contains("/disk9 is not drained after "), "{err}");
    let said = place.run("volume serve P1-NODE1 /disk0").await.ok();
    assert_eq!(said, "P1-NODE1: /disk0 takes new chunks again\n");
    place.run("volume drain P1-NODE1").await.failed(64);
    place
        .run("volume drain P1-NODE1 /disk0 --timeout 3")
        .await
        .failed(64);
}

#[tokio::test]
async fn a_server_that_is_a_data_node_serves_by_itself() {
    let cluster = FakeCluster::settled();
    let address = cluster
        .serve_data_node("P1-NODE1", NodeState::Online, Manner::Well)
        .await;
    let mut place = Place::new();
    place.set("VAQUITA_SERVER", &address.to_string());
    place.set("VAQUITA_USER", "admin");
    place.set("VAQUITA_PASSWORD", "long enough");
    place.write("a", "one");
    place.run("node list").await.failed(1);
    place.run("dfs put a dfs://a").await.ok();
    assert_eq!(place.run("dfs get dfs://a -").await.ok(), "one");
    assert_eq!(place.run("dfs ls").await.ok(), "a\n");
}
