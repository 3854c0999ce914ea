//! The keys of the example's files, each with what can be seen of it. `localSite` and
//! `controllerSite` are in [`crate::sites`], `lanCluster` is in [`crate::firewalls`].

use std::cell::Cell;
use std::fs;

use crate::program::Ran;
use crate::rig::{Cluster, MIB, assert_same, content, freeze};

/// The controller and P1, its data node running, after a change of the files.
async fn changed(change: impl FnOnce(&Cluster)) -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.edit("P4/config/cluster.nodes", |text| {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("localSite") || line.contains("P1-"));
        lines.map(|line| format!("{line}\n")).collect()
    });
    change(&cluster);
    cluster.start_all().await;
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
    cluster
}

/// The line of a log that tells what the settings come to.
fn sizes(cluster: &Cluster, log: &str) -> String {
    let text = cluster.read(log);
    text.lines()
        .find(|line| line.contains("worker threads on"))
        .unwrap_or_else(|| panic!("no sizes in\n{text}"))
        .to_owned()
}

/// What `explain` says of a key of P1-NODE1, as the controller's files give it.
async fn explained(cluster: &Cluster, alias: &str, key: &str) -> String {
    let mut command = cluster.place.command();
    command
        .current_dir(cluster.path("P4"))
        .args(["explain", alias, "--key", key, "--config", "config"]);
    let output = command.output().await.unwrap();
    let ran = Ran {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    ran.ok()
}

const CONTROLLER: &str = "P4/log/controller.log";
const NODE: &str = "P1/log/P1-NODE1.log";

#[tokio::test]
async fn max_connections_refuses_the_next_connection_with_the_known_text() {
    let cluster = changed(|cluster| {
        cluster.replace(
            "P4/config/cluster.cfg",
            "maxConnections=128",
            "maxConnections=3",
        );
    })
    .await;
    let host = format!("{}.1", cluster.subnet);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = cluster.connect("1:8961").await;
        let answer = connection.get("/healthz", &host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        open.push(connection);
    }
    let refused = cluster.connect("1:8961").await.get("/healthz", &host).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let text = "Maximum connections 3 reached. Close unused connections or increase \
                maxConnections limit. RefId:S00006";
    assert!(refused.contains(text), "{refused}");
    cluster.until_log(NODE, text).await;
    open.clear();
    cluster
        .until("there is room again", async || {
            let answer = cluster.connect("1:8961").await.get("/healthz", &host).await;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    // The controller has its own, of controller.cfg.
    assert!(sizes(&cluster, CONTROLLER).contains("at most 128 connections"));
}

/// The pid of a member.
async fn pid(cluster: &Cluster, alias: &str) -> u32 {
    let row = cluster.row(alias).await;
    row.pid.unwrap_or_else(|| panic!("no pid: {row:?}"))
}

/// How many threads of a process have a name.
fn threads(pid: u32, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .filter(|task| {
            let file = task.as_ref().unwrap().path().join("comm");
            // A thread may end while they are counted.
            fs::read_to_string(file).is_ok_and(|it| it.trim_end() == name)
        })
        .count()
}

/// A number of the controller's metrics.
async fn metric(cluster: &Cluster, name: &str) -> Option<usize> {
    let text = cluster.get("7:8990", "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn worker_num_sizes_the_threads_that_run_requests() {
    let cluster = changed(|cluster| {
        cluster.replace("P4/config/controller.cfg", "workerNum=4", "workerNum=3");
    })
    .await;
    let controller = cluster.servers["P4"].pid;
    let node = pid(&cluster, "P1-NODE1").await;
    assert_eq!(threads(controller, "vaquita-worker"), 3);
    assert_eq!(threads(node, "vaquita-worker"), 8);
    // What waits for them is bounded accordingly.
    assert!(sizes(&cluster, CONTROLLER).contains("192 requests may wait"));
    assert!(sizes(&cluster, NODE).contains("512 requests may wait"));
    let shown = metric(&cluster, "vaquita_workers{pool=\"request\"}").await;
    assert_eq!(shown, Some(3));
    let log = cluster.read(NODE);
    assert!(log.contains("workerNum=8 ("), "{log}");
}

#[tokio::test]
async fn local_executors_size_the_threads_that_read_from_disks() {
    let cluster = changed(|cluster| {
        cluster.add_line("P4/config/cluster.cfg", "P1-%.localExecutors=5");
    })
    .await;
    let controller = cluster.servers["P4"].pid;
    let agent = cluster.servers["P1"].pid;
    assert_eq!(threads(controller, "vaquita-io"), 3);
    assert_eq!(threads(agent, "vaquita-io"), 2);
    // The pattern is closer than the line for all nodes.
    let node = pid(&cluster, "P1-NODE1").await;
    assert_eq!(threads(node, "vaquita-io"), 5);
    let shown = metric(&cluster, "vaquita_workers{pool=\"io\"}").await;
    assert_eq!(shown, Some(3));
}

#[tokio::test]
async fn web_worker_num_bounds_the_requests_worked_on_at_a_time() {
    const WORKING: &str = "vaquita_web_requests{stage=\"working\"}";
    const WAITING: &str = "vaquita_web_requests{stage=\"waiting\"}";
    for workers in [1, 3] {
        let cluster = changed(|cluster| {
            let by = format!("webWorkerNum={workers}");
            cluster.replace("P4/config/controller.cfg", "webWorkerNum=4", &by);
        })
        .await;
        let shown = metric(&cluster, "vaquita_workers{pool=\"web\"}").await;
        assert_eq!(shown, Some(workers));
        // An agent that does not answer: requests for its log keep their workers meanwhile.
        let agent = cluster.servers["P1"].pid;
        freeze(agent, true);
        let is_seen = Cell::new(false);
        let asking = async {
            // One that is given up before all four are seen is asked again.
            let log = async || loop {
                let answer = cluster.get("7:8990", "/api/v1/nodes/P1-agent/log").await;
                if is_seen.get() {
                    return answer;
                }
            };
            tokio::join!(log(), log(), log(), log())
        };
        let looking = async {
            let seen = cluster.until("all workers are busy", async || {
                let working = metric(&cluster, WORKING).await?;
                let waiting = metric(&cluster, WAITING).await?;
                (working + waiting == 4).then_some((working, waiting))
            });
            let seen = seen.await;
            is_seen.set(true);
            freeze(agent, false);
            seen
        };
        let (answers, seen) = tokio::join!(asking, looking);
        assert_eq!(seen, (workers, 4 - workers));
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        }
        let left = (
            metric(&cluster, WORKING).await,
            metric(&cluster, WAITING).await,
        );
        assert_eq!(left, (Some(0), Some(0)));
        assert!(sizes(&cluster, NODE).contains(" 2 web workers"));
        // agent.cfg does not have it: the default.
        assert!(sizes(&cluster, "P1/log/agent.log").contains(" 1 web workers"));
    }
}

#[tokio::test]
async fn max_mem_size_bounds_the_buffers_and_is_capped_at_the_hosts_memory() {
    let cluster = changed(|cluster| {
        let line = "maxMemSize=16";
        cluster.replace("P4/config/controller.cfg", line, "maxMemSize=1000000");
        // A quarter of 1 GB for 128 connections: 2 MB each.
        cluster.replace("P4/config/cluster.cfg", "maxMemSize=32", "maxMemSize=1");
    })
    .await;
    let log = cluster.read(CONTROLLER);
    let warning = log
        .lines()
        .filter(|line| line.contains("<WARNING>") && line.contains("`maxMemSize` is 1000000 GB"));
    let warning: Vec<&str> = warning.collect();
    assert_eq!(warning.len(), 1, "{log}");
    assert!(warning[0].contains("and the host has"), "{log}");
    assert!(warning[0].contains("controller.cfg:4:"), "{log}");
    assert!(!warning[0].contains(r"\n"), "one line: {}", warning[0]);
    let line = sizes(&cluster, NODE);
    assert!(line.contains("2048 KiB to be sent"), "{line}");
}

#[tokio::test]
async fn dfs_replication_factor_rules_at_the_controller_and_is_no_nodes_matter() {
    let cluster = changed(|cluster| {
        let file = "P4/config/controller.cfg";
        cluster.replace(file, "dfsReplicationFactor=1", "dfsReplicationFactor=3");
    })
    .await;
    let line = "dfsReplicationFactor=3";
    let node = cluster.read("P1/data/P1-NODE1/node.cfg");
    // With it each change would list all nodes as waiting for a restart that changes nothing.
    assert!(!node.contains("dfsReplicationFactor"), "{node}");
    let text = cluster.read(CONTROLLER);
    assert!(text.contains(&format!("{line} (")), "{text}");
    let explained = explained(&cluster, "master", "dfsReplicationFactor").await;
    assert!(explained.contains("controller.cfg:7:1"), "{explained}");
    // More copies than nodes: the controller says at its start which line asks for them.
    let log = cluster.read(CONTROLLER);
    let warned = log.lines().any(|line| {
        line.contains("<WARNING>") && line.contains("dfsReplicationFactor") && line.contains(":7:")
    });
    assert!(warned, "{log}");
}

#[tokio::test]
async fn dfs_replica_reliability_level_rules_at_the_controller() {
    let cluster = changed(|cluster| {
        let file = "P4/config/controller.cfg";
        cluster.replace(file, "ReliabilityLevel=0", "ReliabilityLevel=2");
    })
    .await;
    let log = cluster.read(CONTROLLER);
    assert!(log.contains("dfsReplicaReliabilityLevel=2 ("), "{log}");
    let explained = explained(&cluster, "master", "dfsReplicaReliabilityLevel").await;
    assert!(explained.contains("controller.cfg:8:1"), "{explained}");
    // What no level is ends the next start.
    cluster.replace(
        "P4/config/controller.cfg",
        "ReliabilityLevel=2",
        "ReliabilityLevel=3",
    );
    let refused = cluster.run_controller("second.out").ended().await.with(64);
    assert!(refused.contains("controller.cfg:8:"), "{refused}");
    assert!(refused.contains("dfsReplicaReliabilityLevel"), "{refused}");
}

#[tokio::test]
async fn public_name_is_answered_to_and_other_names_are_not() {
    let cluster = changed(|cluster| {
        cluster.add_line("P4/config/controller.cfg", "publicName=cluster.example.org");
        cluster.add_line("P4/config/cluster.cfg", "P1-%.publicName=19.56.128.21");
    })
    .await;
    for (site, name, others) in [
        ("7:8990", "cluster.example.org", "19.56.128.21"),
        ("1:8961", "19.56.128.21", "cluster.example.org"),
    ] {
        let answer = cluster.connect(site).await.get("/healthz", name).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let answer = cluster.connect(site).await.get("/healthz", others).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
        assert!(answer.contains("publicName"), "{answer}");
    }
    let explained = explained(&cluster, "P1-NODE1", "publicName").await;
    assert!(explained.contains("19.56.128.21"), "{explained}");
    assert!(explained.contains("cluster.cfg:6:"), "{explained}");
}

#[tokio::test]
async fn volumes_are_handed_to_the_nodes_they_are_for() {
    let mut there = String::new();
    let cluster = changed(|cluster| {
        there = cluster.path("VOL 1").display().to_string();
        cluster.add_line(
            "P4/config/cluster.cfg",
            &format!("volumes={there}/<ALIAS>,{there}/second/<ALIAS>"),
        );
    })
    .await;
    let line = format!("volumes={there}/P1-NODE1,{there}/second/P1-NODE1");
    let node = cluster.read("P1/data/P1-NODE1/node.cfg");
    assert!(node.lines().any(|it| it == line), "{node}");
    let log = cluster.read(NODE);
    assert!(log.contains(&line), "{log}");
    let explained = explained(&cluster, "P1-NODE1", "volumes").await;
    assert!(
        explained.contains(&format!("{there}/P1-NODE1")),
        "{explained}"
    );
}

#[tokio::test]
async fn a_value_on_the_command_line_outweighs_the_file() {
    let mut cluster = Cluster::of_seed();
    let words = "-console 0 -mode agent -home data -config config/agent.cfg -logFile log/agent.log \
                 -localExecutors 6";
    let words: Vec<&str> = words.split(' ').collect();
    let agent = cluster.run("P1", &words, "agent.out");
    cluster.servers.insert("P1".to_owned(), agent);
    cluster
        .until_log("P1/log/agent.log", "nothing listens at")
        .await;
    assert_eq!(threads(cluster.servers["P1"].pid, "vaquita-io"), 6);
}

/// The same with P2 as well, and files.
async fn changed_two(change: impl FnOnce(&Cluster)) -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    change(&cluster);
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    cluster
}

const SETTINGS: &str = "P4/config/controller.cfg";

#[tokio::test]
async fn dfs_replication_factor_is_the_number_of_replicas() {
    for factor in [1, 2] {
        let cluster = changed_two(|cluster| {
            let by = format!("dfsReplicationFactor={factor} # replicas");
            cluster.replace(SETTINGS, "dfsReplicationFactor=1", &by);
        })
        .await;
        cluster.put("1:8961", "f", b"x").await.with(201);
        let rows = cluster.json("chunk list").await;
        assert_eq!(rows[0]["replicas"].as_array().unwrap().len(), factor);
        assert_eq!(rows[0]["state"], "healthy", "{rows:?}");
    }
}

#[tokio::test]
async fn dfs_min_write_replicas_is_how_many_a_write_needs() {
    let both = |cluster: &Cluster| {
        let file = "dfsReplicationFactor=1";
        cluster.replace(SETTINGS, file, "dfsReplicationFactor=2");
    };
    let cluster = changed_two(both).await;
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let refused = cluster.put("1:8961", "f", b"x").await.with(507);
    let text = refused.text();
    assert!(text.contains("P2-NODE1: is not online"), "{text}");
    drop(cluster);

    let cluster = changed_two(|cluster| {
        both(cluster);
        cluster.add_line(SETTINGS, "dfsMinWriteReplicas=1");
    })
    .await;
    cluster.vaquita("node stop P2-NODE1 --wait").await.ok();
    let written = cluster.put("1:8961", "f", b"x").await.with(201);
    assert_eq!(written.header("x-vaquita-degraded"), Some("1"));
    let rows = cluster.json("chunk list --unwell").await;
    assert_eq!(rows[0]["state"], "degraded", "{rows:?}");
    cluster.place.write("a.csv", "1,2\n");
    let ran = cluster.vaquita("dfs put a.csv dfs://").await;
    let said = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.status, 0, "{said}");
    assert!(said.contains("fewer"), "{said}");
}

#[tokio::test]
async fn dfs_replica_reliability_level_rules_where_replicas_go() {
    let labelled = |level: u8| {
        move |cluster: &Cluster| {
            let by = format!("ReliabilityLevel={level}");
            cluster.edit(SETTINGS, |text| {
                let text = text.replace("ReliabilityLevel=0", &by);
                text.replace("dfsReplicationFactor=1", "dfsReplicationFactor=2")
            });
            for host in ["P1", "P2"] {
                cluster.add_line(&format!("{host}/config/agent.cfg"), "hostLabel=rack");
            }
        }
    };
    for level in [0, 2] {
        let cluster = changed_two(labelled(level)).await;
        cluster.put("1:8961", "f", b"x").await.with(201);
    }
    let cluster = changed_two(labelled(1)).await;
    let refused = cluster.put("1:8961", "f", b"x").await.with(507);
    let text = refused.text();
    assert!(text.contains("2 hosts are needed and 1"), "{text}");
}

#[tokio::test]
async fn data_sync_is_handed_on_to_the_nodes() {
    let cluster = changed(|cluster| cluster.add_line(SETTINGS, "dataSync=0")).await;
    let log = cluster.read(NODE);
    assert!(log.contains("dataSync=0 ("), "{log}");
    let explained = explained(&cluster, "P1-NODE1", "dataSync").await;
    assert!(explained.contains("controller.cfg:9:"), "{explained}");
    cluster.put("1:8961", "f", b"x").await.with(201);
    let got = cluster.get_file("1:8961", "f").await.with(200);
    assert_eq!(got.body, b"x");
}

/// Files that a process has open.
fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test]
async fn with_few_files_to_open_others_are_refused_and_the_way_to_the_controller_is_kept() {
    const OPEN_FILES: usize = 96;
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.replace(
        "P4/config/controller.cfg",
        "dfsReplicationFactor=1",
        "dfsReplicationFactor=2",
    );
    cluster.start_controller();
    cluster.start_agent("P2");
    let limited = format!("ulimit -n {OPEN_FILES}; exec \"$0\" \"$@\"");
    cluster.place.launcher = ["sh", "-c", &limited].map(Into::into).to_vec();
    cluster.start_agent("P1");
    cluster.place.launcher.clear();
    cluster.log_in().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let warned = cluster.until_log(NODE, "fewer than maxConnections").await;
    assert!(warned.contains("at most 36 connections"), "{warned}");
    assert!(warned.contains("LimitNOFILE"), "{warned}");

    let host = format!("{}.1", cluster.subnet);
    let pid = pid(&cluster, "P1-NODE1").await;
    let mut open = Vec::new();
    let refused = loop {
        let mut connection = cluster.connect("1:8961").await;
        let answer = connection.get("/healthz", &host).await;
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        open.push(connection);
        assert!(open.len() < OPEN_FILES, "all of them were let in");
    };
    assert!(
        refused.contains("Maximum connections 36 reached"),
        "{refused}"
    );
    assert!(refused.contains("more than 96 files open"), "{refused}");
    let left = OPEN_FILES - open_files(pid);
    assert!(
        open.len() <= 36 && left >= 24,
        "{} let in, {left} files left",
        open.len()
    );

    // As long as they stay: a new way to a new controller, bytes to and from a disk, and to its peer.
    cluster.take("P4").kill().await;
    cluster.start_controller();
    cluster.log_in_again().await;
    cluster
        .until_row("P1-NODE1", |row| row.state == "online")
        .await;
    let bytes = content(1, 3 * MIB);
    cluster.until_volumes(2).await;
    cluster.put("3:8961", "crowded", &bytes).await.with(201);
    let read = cluster.get_file("3:8961", "crowded").await.with(200);
    assert_same(
        &read.body,
        &bytes,
        "what was put while all places were taken",
    );
    cluster.until_chunks(2).await;
    drop(open);
}
