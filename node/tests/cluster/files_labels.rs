//! Labels of volumes that rot while their node runs.

use std::fs;

use crate::files_volumes::{FIRST, home_volume, of_two, until_volume};
use crate::rig::{KIB, assert_same, content};

/// A disk changes bytes of a label, in one copy, then in the other, then in both. The node mends it each time, so
/// that its next process takes the volume with what is on it.
#[tokio::test]
async fn a_damaged_label_is_mended_while_its_node_runs() {
    let cluster = of_two(|cluster| {
        cluster.add_line("P4/config/cluster.cfg", "scrubPeriod=1");
    })
    .await;
    let bytes = content(7, 200 * KIB);
    cluster.put(FIRST, "kept", &bytes).await.with(201);
    let volume = home_volume(&cluster, "P1");
    let copies = ["vaquita.vol", "vaquita.vol.bak"].map(|name| volume.join(name));
    let good = fs::read(&copies[0]).unwrap();
    let log = |words: &str| {
        let text = cluster.read("P1/log/P1-NODE1.log");
        text.lines().filter(|line| line.contains(words)).count()
    };
    let mended = || log("both copies of the label of");
    let first = "is written again: the checksum of vaquita.vol is wrong";
    let second = "is written again: the checksum of vaquita.vol.bak is wrong";
    let both = "the checksum of vaquita.vol is wrong; the checksum of vaquita.vol.bak is wrong";
    for (damaged, reason) in [
        (&copies[..1], first),
        (&copies[1..], second),
        (&copies[..], both),
    ] {
        // A look between the two writes finds one damaged copy only: then once more.
        while log(reason) == 0 {
            let before = mended();
            for copy in damaged {
                let mut there = good.clone();
                there[20] ^= 1;
                fs::write(copy, there).unwrap();
            }
            cluster
                .until("both copies of the label are good again", async || {
                    let are_good = copies
                        .iter()
                        .all(|it| fs::read(it).is_ok_and(|it| it == good));
                    (are_good && mended() > before).then_some(())
                })
                .await;
        }
    }

    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    until_volume(&cluster, "good").await;
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let got = cluster.get_file(FIRST, "kept").await.with(200);
    assert_same(&got.body, &bytes, "kept");
}
