//! Files while processes are killed or stand still.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::files::of_two_replicas;
use crate::rig::{Cluster, DATA_NODES, KIB, MIB, Reply, assert_same, content, freeze, kill};

const FIRST: &str = DATA_NODES[0].1;
const SECOND: &str = DATA_NODES[1].1;

#[tokio::test]
async fn a_client_that_dies_half_way_leaves_nothing() {
    let cluster = of_two_replicas().await;
    let headers = [("Content-Length", "136314880")];
    let mut sending = cluster
        .begin(FIRST, "PUT /dfs/half", &headers)
        .await
        .unwrap();
    sending.send(&content(1, 70 * MIB)).await.unwrap();
    cluster.until_chunks(2).await;
    drop(sending);
    cluster.until_chunks(0).await;
    cluster.get_file(SECOND, "half").await.with(404);
    assert_eq!(cluster.json("chunk list").await.len(), 0);
    cluster.put(SECOND, "half", b"whole").await.with(201);
}

#[tokio::test]
async fn an_entry_that_is_killed_half_way_leaves_nothing_visible() {
    let cluster = of_two_replicas().await;
    let headers = [("Content-Length", "136314880")];
    let mut sending = cluster
        .begin(FIRST, "PUT /dfs/half", &headers)
        .await
        .unwrap();
    sending.send(&content(1, 70 * MIB)).await.unwrap();
    cluster.until_chunks(2).await;
    let before = cluster.row("P1-NODE1").await.pid;
    kill(before.unwrap());
    assert!(sending.answer().await.is_err());
    cluster.get_file(SECOND, "half").await.with(404);
    assert_eq!(cluster.json("chunk list").await.len(), 0);
    cluster
        .until_row("P1-NODE1", |row| row.state == "online" && row.pid != before)
        .await;
    cluster.get_file(FIRST, "half").await.with(404);
    // What was prepared is given up once nothing was heard of the write for ten minutes. It keeps
    // nobody from writing the file anew.
    cluster.put(SECOND, "half", b"whole").await.with(201);
    let got = cluster.get_file(FIRST, "half").await.with(200);
    assert_eq!(got.body, b"whole");
}

async fn kill_everything(cluster: &mut Cluster) {
    loop {
        let running = cluster.processes();
        if running.is_empty() {
            break;
        }
        running.into_iter().for_each(kill);
        tokio::task::yield_now().await;
    }
    for host in ["P4", "P1", "P2", "P3", "P5"] {
        let ended = cluster.take(host).ended().await;
        assert_eq!(ended.status, -9, "{ended:?}");
    }
}

/// Starts all again and waits for the data nodes.
async fn start_again(cluster: &mut Cluster) {
    cluster.start_controller();
    cluster.start_agents();
    cluster.log_in_again().await;
    for (alias, _) in DATA_NODES {
        cluster.until_row(alias, |row| row.state == "online").await;
    }
}

#[tokio::test]
async fn everything_killed_at_once_comes_back_with_every_file() {
    let mut cluster = of_two_replicas().await;
    let mut wanted = BTreeMap::new();
    for number in 0..40_u64 {
        let len = if number == 39 {
            70 * MIB
        } else {
            997 * KIB / 40 * number as usize
        };
        let bytes = content(number, len);
        let path = format!("d/f{number}");
        if number == 0 {
            let body = serde_json::json!({ "path": "dfs://d" });
            cluster.post(FIRST, "mkdir", &body).await.with(201);
        }
        let (_, site) = DATA_NODES[number as usize % 4];
        cluster.put(site, &path, &bytes).await.with(201);
        wanted.insert(path, bytes);
    }
    for round in 0..2 {
        kill_everything(&mut cluster).await;
        start_again(&mut cluster).await;
        for (number, (path, bytes)) in wanted.iter().enumerate() {
            let (_, site) = DATA_NODES[(number + round) % 4];
            let got = cluster.get_file(site, path).await.with(200);
            assert_same(&got.body, bytes, path);
        }
        cluster
            .until("all is well", async || {
                cluster
                    .json("chunk list --unwell")
                    .await
                    .is_empty()
                    .then_some(())
            })
            .await;
    }
}

/// Writers and readers that never rest, and what they were told.
#[derive(Default)]
struct Load {
    /// Files that were acknowledged, with the seeds of their contents.
    acknowledged: RefCell<BTreeMap<String, u64>>,
    ends: Cell<bool>,
    reads: Cell<usize>,
}

impl Load {
    fn len_of(seed: u64) -> usize {
        seed as usize * 7919 % (300 * KIB) + 1
    }

    /// An error that has a reason.
    #[track_caller]
    fn refused(reply: &Reply) {
        let error = &reply.json()["error"];
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.len() > 10, "{}: {}", reply.status, reply.text());
        assert!(!reply.kind().is_empty(), "{}: {error}", reply.status);
    }

    async fn write(&self, cluster: &Cluster, writer: u64) {
        for number in 0.. {
            if self.ends.get() {
                return;
            }
            let seed = writer * 1_000_000 + number;
            let path = format!("w{writer}-{number}");
            let (_, site) = DATA_NODES[(writer + number) as usize % 4];
            let bytes = content(seed, Self::len_of(seed));
            let request = format!("PUT /dfs/{path}");
            match cluster.try_ask(site, &request, &[], &bytes).await {
                // 200 where the answer to the commit was lost and asked for once more.
                Ok(reply) if matches!(reply.status, 200 | 201) => {
                    self.acknowledged.borrow_mut().insert(path, seed);
                }
                Ok(reply) => Self::refused(&reply),
                // The entry was killed: whether it was done is not known.
                Err(_) => (),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn read(&self, cluster: &Cluster, reader: usize) {
        for number in 0.. {
            if self.ends.get() {
                return;
            }
            tokio::task::yield_now().await;
            let picked = {
                let acknowledged = self.acknowledged.borrow();
                let nth = (number * 31 + reader) % acknowledged.len().max(1);
                let picked = acknowledged.iter().nth(nth);
                picked.map(|(path, seed)| (path.clone(), *seed))
            };
            let Some((path, seed)) = picked else { continue };
            let (_, site) = DATA_NODES[(number + reader) % 4];
            let request = format!("GET /dfs/{path}");
            match cluster.try_ask(site, &request, &[], b"").await {
                Ok(reply) if reply.status == 200 => {
                    self.reads.set(self.reads.get() + 1);
                    assert_same(&reply.body, &content(seed, Self::len_of(seed)), &path);
                }
                Ok(reply) => {
                    assert_ne!(
                        reply.status,
                        404,
                        "{path} was acknowledged: {}",
                        reply.text()
                    );
                    Self::refused(&reply);
                }
                Err(_) => (),
            }
        }
    }

    /// Waits until so many more writes and reads have gone well.
    async fn goes_on(&self, cluster: &Cluster) {
        let count = || (self.acknowledged.borrow().len(), self.reads.get());
        let (writes, reads) = count();
        cluster
            .until("writes and reads go on", async || {
                let now = count();
                (now.0 >= writes + 10 && now.1 >= reads + 10).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn no_acknowledged_file_is_lost_while_data_node_after_data_node_is_killed() {
    let cluster = of_two_replicas().await;
    let load = Load::default();
    let killing = async {
        load.goes_on(&cluster).await;
        for (alias, _) in DATA_NODES {
            let before = cluster.row(alias).await.pid;
            kill(before.unwrap());
            load.goes_on(&cluster).await;
            cluster
                .until_row(alias, |row| row.state == "online" && row.pid != before)
                .await;
        }
        load.goes_on(&cluster).await;
        load.ends.set(true);
    };
    tokio::join!(
        killing,
        load.write(&cluster, 1),
        load.write(&cluster, 2),
        load.read(&cluster, 1),
        load.read(&cluster, 2),
    );
    check_all(&cluster, &load).await;
}

/// Every acknowledged file is at every node as it was written.
async fn check_all(cluster: &Cluster, load: &Load) {
    let acknowledged = load.acknowledged.borrow().clone();
    for (number, (path, seed)) in acknowledged.iter().enumerate() {
        let (_, site) = DATA_NODES[number % 4];
        let got = cluster.get_file(site, path).await.with(200);
        assert_same(&got.body, &content(*seed, Load::len_of(*seed)), path);
    }
}

#[tokio::test]
async fn no_acknowledged_file_is_lost_while_the_controller_and_an_agent_are_killed() {
    let mut cluster = of_two_replicas().await;
    let load = Load::default();
    for host in ["P4", "P1", "P4"] {
        let server = cluster.take(host);
        load.ends.set(false);
        let killing = async {
            load.goes_on(&cluster).await;
            server.kill().await;
            // An agent's death stops nothing.
            if host == "P1" {
                load.goes_on(&cluster).await;
            }
            let again = match host {
                "P4" => cluster.run_controller("controller.out"),
                host => cluster.run_agent(host, "agent.out"),
            };
            cluster.log_in_again().await;
            load.goes_on(&cluster).await;
            load.ends.set(true);
            again
        };
        // Each round has writers of its own: a name is written once.
        let round = load.acknowledged.borrow().len() as u64 + 10;
        let (again, ..) = tokio::join!(
            killing,
            load.write(&cluster, round),
            load.write(&cluster, round + 1),
            load.read(&cluster, 1),
            load.read(&cluster, 2),
        );
        cluster.servers.insert(host.to_owned(), again);
    }
    check_all(&cluster, &load).await;
}

#[tokio::test]
async fn a_data_node_that_stands_still_holds_up_neither_reads_nor_writes() {
    let cluster = of_two_replicas().await;
    let mut wanted = Vec::new();
    for number in 0..40_u64 {
        let bytes = content(number, 20 * KIB);
        let (_, site) = DATA_NODES[number as usize % 4];
        let path = format!("f{number}");
        cluster.put(site, &path, &bytes).await.with(201);
        wanted.push((path, bytes));
    }
    let chunks = cluster.json("chunk list").await;
    let on_second = chunks
        .iter()
        .filter(|row| row.to_string().contains("P2-NODE1"));
    assert!(on_second.count() >= 5, "it has no part in this");
    let pid = cluster.row("P2-NODE1").await.pid.unwrap();
    freeze(pid, true);
    // How soon is a matter of simulated time: `a_peer_that_stands_still_and_a_slow_reader_hold_up_nobody_else`
    // of turmoil_files.rs bounds it for the same drivers. Here the machine may be as slow as it likes, and
    // nobody is held up until the node goes on.
    for (number, (path, bytes)) in wanted.iter().enumerate() {
        let (_, site) = DATA_NODES[[0, 2, 3][number % 3]];
        let got = cluster.get_file(site, path).await.with(200);
        assert_same(&got.body, bytes, path);
    }
    for number in 0..20_u64 {
        let (_, site) = DATA_NODES[[0, 2, 3][number as usize % 3]];
        let written = cluster.put(site, &format!("g{number}"), b"meanwhile").await;
        written.with(201);
    }
    for row in cluster.json("chunk list --below dfs://g19").await {
        assert!(!row.to_string().contains("P2-NODE1"), "{row}");
    }
    // A command that happens to begin with it goes on with another one.
    for number in 0..4 {
        let line = format!("dfs get dfs://f{number} back{number}");
        cluster.vaquita(&line).await.ok();
    }
    freeze(pid, false);
    cluster
        .until_row("P2-NODE1", |row| row.state == "online")
        .await;
    for (path, bytes) in &wanted {
        let got = cluster.get_file(SECOND, path).await.with(200);
        assert_same(&got.body, bytes, path);
    }
}
