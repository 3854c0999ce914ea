//! Homes that two processes want, and homes whose files are damaged.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use crate::rig::{Cluster, Tree};

/// A controller with some history that has ended in good order.
async fn stopped_controller() -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster.log_in().await;
    for name in ["alice", "bob", "carol"] {
        cluster
            .place
            .run_with(
                &format!("user add {name} --password-stdin"),
                "a first password\n",
            )
            .await
            .ok();
    }
    cluster.take("P4").stop().await;
    cluster
}

#[tokio::test]
async fn a_second_agent_on_a_home_is_refused_and_the_first_one_named() {
    let mut cluster = Cluster::of_seed();
    cluster.start_agent("P1");
    cluster
        .until_log("P1/log/agent.log", "nothing listens at")
        .await;
    let first = cluster.servers["P1"].pid;
    let printed = cluster.run_agent("P1", "second.out").ended().await.with(73);
    assert!(printed.contains(&format!("pid {first}")), "{printed}");
    assert!(printed.contains("P1-agent"), "{printed}");
}

#[tokio::test]
async fn a_data_node_started_by_hand_beside_itself_is_refused() {
    let cluster = Cluster::of_two_hosts().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    let before = cluster.row("P1-NODE1").await;
    let words = "-console 0 -mode datanode -alias P1-NODE1 -home data/P1-NODE1 -config \
                 data/P1-NODE1/node.cfg -logFile log/by-hand.log";
    let words: Vec<&str> = words.split(' ').collect();
    let second = cluster.run("P1", &words, "second.out");
    let printed = second.ended().await.with(73);
    let holder = format!("pid {}", before.pid.unwrap());
    assert!(printed.contains(&holder), "{printed}");
    assert_eq!(cluster.row("P1-NODE1").await, before);
}

#[tokio::test]
async fn a_second_controller_on_a_home_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::of_seed();
    cluster.start_controller();
    cluster.log_in().await;
    let before = Tree::of(&cluster.path("P4/data"));
    let printed = cluster.run_controller("second.out").ended().await.with(73);
    let holder = format!("pid {}", cluster.servers["P4"].pid);
    assert!(printed.contains(&holder), "{printed}");
    assert!(printed.contains("meta"), "{printed}");
    before.assert_same(&Tree::of(&cluster.path("P4/data")));
    cluster.vaquita("user list").await.ok();
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_told() {
    let mut cluster = stopped_controller().await;
    let segment = cluster.newest_segment();
    let whole = fs::metadata(&segment).unwrap().len();
    let mut file = OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(b"half of a record that a crash cut short")
        .unwrap();
    cluster.start_controller();
    cluster.log_in_again().await;
    let users = cluster.vaquita("user list").await.ok();
    assert!(
        users.contains("carol"),
        "nothing acknowledged is lost: {users}"
    );
    let log = cluster.read("P4/log/controller.log");
    let line = log
        .lines()
        .find(|line| line.contains("<WARNING>") && line.contains("39 bytes"))
        .unwrap_or_else(|| panic!("nothing about the cut in\n{log}"));
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(line.contains(name), "{line}");
    assert!(line.contains(&format!("byte {whole}")), "{line}");
}

#[tokio::test]
async fn a_last_record_cut_short_is_given_up_and_told() {
    let mut cluster = stopped_controller().await;
    let segment = cluster.newest_segment();
    let whole = fs::metadata(&segment).unwrap().len();
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(whole - 3).unwrap();
    cluster.start_controller();
    cluster.log_in_again().await;
    let users = cluster.vaquita("user list").await.ok();
    assert!(users.contains("bob"), "{users}");
    let log = cluster.read("P4/log/controller.log");
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(
        log.lines()
            .any(|line| line.contains("<WARNING>") && line.contains(name)),
        "{log}"
    );
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_of_the_log_ends_the_start_and_changes_nothing() {
    let mut cluster = stopped_controller().await;
    let segment = cluster.newest_segment();
    let len = fs::metadata(&segment).unwrap().len();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&segment)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, len / 2).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], len / 2).unwrap();
    // The lock names the last process that had it, which is no part of the metadata.
    let before = Tree::of(&cluster.path("P4/data")).without("LOCK");
    let printed = cluster
        .run_controller("controller.out")
        .ended()
        .await
        .with(65);
    let name = segment.file_name().unwrap().to_str().unwrap();
    let place = format!("{name} at byte ");
    for part in [
        place.as_str(),
        "the next record is damaged, and it had been durable",
        "Nothing was changed. The choices: copy the damaged files back from a mirror",
        "restore a backup",
    ] {
        assert!(printed.contains(part), "no {part:?} in {printed}");
    }
    let (_, rest) = printed.split_once(&place).unwrap();
    let digits = rest.find(|it: char| !it.is_ascii_digit()).unwrap();
    let offset: u64 = rest[..digits].parse().unwrap();
    assert!(offset <= len / 2, "the damage is at {}: {printed}", len / 2);
    before.assert_same(&Tree::of(&cluster.path("P4/data")).without("LOCK"));
    assert!(cluster.read("P4/log/controller.log").contains(&place));
    // Whoever tries again is told the same.
    let again = cluster.run_controller("controller.out").ended().await;
    assert_eq!(again.with(65), printed);
    cluster.servers.clear();
}
