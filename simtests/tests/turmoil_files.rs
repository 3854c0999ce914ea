//! Files in a whole cluster of the product's own processes: what the client was told is what it
//! reads, whatever becomes of hosts, processes and the network.

use std::time::Duration;

use simtests::cluster::{Answered, CHUNK_BYTES, CONTROLLER, Cluster, Errand};
use vaquita_core::admin::{Response, Verb};
use vaquita_core::controller::FilesConfig;
use vaquita_core::dfs::ask::{Answer, Ask, ChunkPage, Entry, VolumeRow, VolumeState};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::prng::mix;

const NODES: [&str; 3] = ["P1-NODE1", "P2-NODE1", "P3-NODE1"];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Three hosts, two replicas, both of which a write waits for.
fn cluster(seed: u64) -> Cluster {
    with_minimum(seed, 2)
}

fn with_minimum(seed: u64, min_write: usize) -> Cluster {
    let files = FilesConfig {
        factor: 2,
        min_write,
        ..FilesConfig::default()
    };
    let mut cluster = Cluster::of(3).seed(seed).files(files).build();
    cluster.bring_up();
    until_volumes_are_good(&mut cluster);
    cluster
}

fn ask(cluster: &mut Cluster, ask: Ask) -> Answer {
    match cluster.ask(CONTROLLER, Verb::Dfs(ask)) {
        Response::Dfs(answer) => answer,
        other => panic!("the answer about files is {other:?}"),
    }
}

fn volumes(cluster: &mut Cluster) -> Vec<VolumeRow> {
    match ask(cluster, Ask::Volumes) {
        Answer::Volumes(rows) => rows,
        other => panic!("the volumes are {other:?}"),
    }
}

fn until_volumes_are_good(cluster: &mut Cluster) {
    cluster.until("each volume takes chunks", seconds(60), |cluster| {
        let rows = volumes(cluster);
        rows.len() == NODES.len() && rows.iter().all(|row| row.state == VolumeState::Good)
    });
}

fn unwell(cluster: &mut Cluster) -> ChunkPage {
    let chunks = Ask::Chunks {
        after: None,
        limit: 1000,
        unwell_only: true,
        below: None,
    };
    match ask(cluster, chunks) {
        Answer::Chunks(page) => page,
        other => panic!("the chunks are {other:?}"),
    }
}

/// What the controller says of a path, if anything is there.
fn stat(cluster: &mut Cluster, path: &str) -> Option<Entry> {
    let path = DfsPath::parse(path).unwrap();
    match cluster.try_ask(CONTROLLER, Verb::Dfs(Ask::Stat { path }))? {
        Ok(Response::Dfs(Answer::Entry(entry))) => Some(entry),
        _ => None,
    }
}

/// Bytes that no other content has.
fn content(of: u64, len: usize) -> Vec<u8> {
    let words = (0..).flat_map(|at: u64| mix(of ^ mix(at)).to_le_bytes());
    words.take(len).collect()
}

const fn chunks(n: usize) -> usize {
    CHUNK_BYTES as usize * n
}

fn put(cluster: &mut Cluster, entry: &str, path: &str, bytes: &[u8]) -> Answered {
    let answered = cluster.call(Errand::put(entry, path, bytes.to_vec()));
    let answered = answered.unwrap_or_else(|reason| panic!("{path} at {entry}: {reason}"));
    assert!(
        matches!(answered.status, 200 | 201),
        "{path} at {entry}: {} {}",
        answered.status,
        answered.text()
    );
    answered
}

fn get(cluster: &mut Cluster, entry: &str, path: &str) -> Answered {
    let answered = cluster.call(Errand::get(entry, path));
    answered.unwrap_or_else(|reason| panic!("{path} at {entry}: {reason}"))
}

fn assert_reads(cluster: &mut Cluster, entry: &str, path: &str, bytes: &[u8]) {
    let answered = get(cluster, entry, path);
    assert_eq!(
        answered.status,
        200,
        "{path} at {entry}: {}",
        answered.text()
    );
    assert!(answered.body == bytes, "{path} at {entry} has other bytes");
}

#[test]
fn files_put_at_one_entry_are_read_at_every_other() {
    let mut cluster = cluster(301);
    let files = [
        ("/empty", 0),
        ("/one-byte", 1),
        ("/packed", chunks(1) / 4),
        ("/alone", chunks(1) / 4 + 1),
        ("/whole", chunks(1)),
        ("/many", chunks(5) + 17),
    ];
    for (number, (path, len)) in files.into_iter().enumerate() {
        let bytes = content(number as u64, len);
        let answered = put(&mut cluster, NODES[number % 3], path, &bytes);
        assert_eq!(answered.status, 201, "{path}");
        assert_eq!(answered.header("x-vaquita-degraded"), None, "{path}");
        for entry in NODES {
            assert_reads(&mut cluster, entry, path, &bytes);
        }
    }
    let replaced = content(99, chunks(2));
    assert_eq!(put(&mut cluster, NODES[2], "/many", &replaced).status, 200);
    for entry in NODES {
        assert_reads(&mut cluster, entry, "/many", &replaced);
    }
    assert_eq!(unwell(&mut cluster).rows, []);
}
