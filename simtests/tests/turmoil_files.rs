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
    let path = DfsPath::parse(path).expect("a path");
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

/// Reads until the answer is about the file: an entry that cannot ask at present says so (503).
fn get_when_possible(cluster: &mut Cluster, entry: &str, path: &str) -> Answered {
    let deadline = cluster.elapsed() + seconds(60);
    loop {
        let answered = get(cluster, entry, path);
        if answered.status != 503 {
            return answered;
        }
        assert!(
            cluster.elapsed() < deadline,
            "{path} at {entry}: {}",
            answered.text()
        );
        cluster.run_for(millis(500));
    }
}

/// What must hold of a file of which one write is known to have been sent: the client was told that
/// it is there, and then it is read everywhere; or it was not, and then it is there whole or not at
/// all.
fn assert_whole_or_absent(cluster: &mut Cluster, path: &str, bytes: &[u8], told: bool) {
    for entry in NODES {
        let answered = get_when_possible(cluster, entry, path);
        match answered.status {
            200 => assert!(answered.body == bytes, "{path} at {entry} has other bytes"),
            404 => assert!(!told, "{path} at {entry} is gone, and was acknowledged"),
            status => panic!("{path} at {entry}: {status} {}", answered.text()),
        }
    }
}

fn was_put(answer: &Result<Answered, String>) -> bool {
    matches!(answer, Ok(answered) if matches!(answered.status, 200 | 201))
}

/// A replica that the entry cannot reach: a chunk whose bytes the entry still has goes to another
/// node, and both replicas are there in the end.
#[test]
fn a_replica_that_the_entry_cannot_reach_is_replaced_by_another() {
    let mut cluster = cluster(302);
    cluster.partition(&["P1"], &["P2"]);
    let files: Vec<(String, Vec<u8>)> = (0..8)
        .map(|n| (format!("/small-{n}"), content(n, chunks(1) / 8)))
        .collect();
    let mut replaced = 0;
    for (path, bytes) in &files {
        let begun = cluster.elapsed();
        let answered = put(&mut cluster, NODES[0], path, bytes);
        assert_eq!(answered.header("x-vaquita-degraded"), None, "{path}");
        replaced += u32::from(answered.at - begun > seconds(1));
    }
    assert!(replaced > 0, "no write ran into the partition");
    cluster.heal(&["P1"], &["P2"]);
    cluster.until_all_online(seconds(30));
    for (path, bytes) in &files {
        assert_whole_or_absent(&mut cluster, path, bytes, true);
    }
    cluster.until("every chunk is well", seconds(30), |cluster| {
        unwell(cluster).rows.is_empty()
    });
}

/// The partition comes while the bytes are under way. A chunk that is on one replica by then may
/// count or not; what is never read is something else than what was written.
#[test]
fn a_partition_amid_a_put_degrades_it_or_ends_it_and_nothing_wrong_is_read() {
    let mut outcomes = Vec::new();
    for min_write in [1, 2] {
        let mut cluster = with_minimum(303, min_write);
        let before = content(0, chunks(2));
        put(&mut cluster, NODES[2], "/file", &before);
        let bytes = content(1, chunks(4));
        let slow = Errand::put(NODES[0], "/file", bytes.clone()).in_pieces(4096, millis(20));
        let call = cluster.send(slow);
        cluster.run_for(millis(500));
        cluster.partition(&["P1"], &["P2"]);
        cluster.partition(&["P1"], &["P3"]);
        let answer = cluster.answer(call);
        let told = was_put(&answer);
        outcomes.push(told);
        cluster.heal(&["P1"], &["P2", "P3"]);
        cluster.until_all_online(seconds(30));
        for entry in NODES {
            let answered = get(&mut cluster, entry, "/file");
            assert_eq!(answered.status, 200, "{}", answered.text());
            let expected = if told { &bytes } else { &before };
            assert!(
                answered.body == *expected,
                "{answer:?}, and at {entry} other bytes"
            );
        }
    }
    assert!(
        !outcomes[1],
        "two replicas were waited for, and one was reached"
    );
}

/// Power goes at a replica while bytes stream to it, and comes back: what was acknowledged is read
/// whole from whoever has it, and the replica serves again what it had synced.
#[test]
fn a_replica_that_loses_power_amid_a_stream_comes_back_with_what_it_had_promised() {
    let mut cluster = with_minimum(304, 1);
    let kept = content(0, chunks(3) + 5);
    put(&mut cluster, NODES[1], "/kept", &kept);
    let bytes = content(1, chunks(6));
    let slow = Errand::put(NODES[0], "/streamed", bytes.clone()).in_pieces(8192, millis(20));
    let call = cluster.send(slow);
    cluster.run_for(millis(400));
    cluster.power_cut(&["P2"]);
    let answer = cluster.answer(call);
    let told = was_put(&answer);
    for entry in [NODES[0], NODES[2]] {
        let answered = get(&mut cluster, entry, "/streamed");
        match answered.status {
            200 => assert!(answered.body == bytes, "other bytes at {entry}"),
            status => assert!(!told, "{status} at {entry} after {answer:?}"),
        }
    }
    cluster.run_for(seconds(5));
    cluster.power_on(&["P2"]);
    cluster.start("P2-agent");
    cluster.until_all_online(seconds(60));
    until_volumes_are_good(&mut cluster);
    assert_whole_or_absent(&mut cluster, "/kept", &kept, true);
    assert_whole_or_absent(&mut cluster, "/streamed", &bytes, told);
    // What it lost was never counted: nothing that the log says it has is missing there.
    let lost: Vec<_> = unwell(&mut cluster)
        .rows
        .into_iter()
        .filter(|row| {
            row.replicas
                .iter()
                .any(|place| place.node.as_str() == NODES[1])
        })
        .collect();
    assert_eq!(lost, []);
}

/// The controller dies at some moment of a put, from its first question to behind its commit, and
/// comes back: the put is committed once, or not at all and can be sent again.
#[test]
fn a_put_whose_controller_dies_is_committed_once_or_not_at_all() {
    let mut cluster = cluster(305);
    let mut ended = [0, 0];
    for round in 0..14 {
        let path = format!("/file-{round}");
        let bytes = content(round, chunks(2) + 100);
        let errand = Errand::put(NODES[(round % 3) as usize], &path, bytes.clone())
            .named(&format!("round {round}"));
        let call = cluster.send(errand.clone());
        cluster.run_for(millis(40 + 20 * round));
        cluster.kill(CONTROLLER);
        cluster.run_for(millis(50));
        cluster.start(CONTROLLER);
        cluster.until_serving(CONTROLLER, seconds(10));
        let answer = cluster.answer(call);
        let told = was_put(&answer);
        ended[usize::from(told)] += 1;
        cluster.until_all_online(seconds(30));
        let first = stat(&mut cluster, &path);
        assert!(first.is_some() || !told, "{path}: {answer:?}");
        assert_whole_or_absent(&mut cluster, &path, &bytes, told);
        // The same operation again: what was done is not done twice.
        let again = cluster.call(errand);
        assert!(was_put(&again), "{path}: {again:?} after {answer:?}");
        let second = stat(&mut cluster, &path).expect("it was put");
        if let Some(first) = first {
            assert_eq!(second.version, first.version, "{path} was committed twice");
        }
        assert_whole_or_absent(&mut cluster, &path, &bytes, true);
    }
    assert!(ended[1] > 0, "each write was lost");
}

/// Scenario 37: a replica that stands still and a reader that hardly reads cost those who need them
/// a time-out at most, and everybody else nothing.
#[test]
fn a_peer_that_stands_still_and_a_slow_reader_hold_up_nobody_else() {
    let mut cluster = cluster(306);
    let large = content(0, chunks(16));
    put(&mut cluster, NODES[0], "/large", &large);
    let readers: Vec<_> = NODES
        .iter()
        .map(|entry| cluster.send(Errand::get(entry, "/large").read_slowly(millis(400))))
        .collect();
    cluster.run_for(millis(200));
    cluster.pause(NODES[2]);
    for n in 0..6 {
        let path = format!("/small-{n}");
        let bytes = content(1 + n, chunks(1) / 8);
        let begun = cluster.elapsed();
        let answered = put(&mut cluster, NODES[(n % 2) as usize], &path, &bytes);
        let took = answered.at - begun;
        assert!(took < seconds(12), "{path} took {took:?}");
        let begun = cluster.elapsed();
        assert_reads(&mut cluster, NODES[0], &path, &bytes);
        let took = cluster.elapsed() - begun;
        assert!(took < seconds(3), "{path} took {took:?} to be read");
    }
    cluster.resume(NODES[2]);
    cluster.until_all_online(seconds(30));
    for call in readers {
        let answered = cluster.answer(call).expect("a slow reader is served");
        assert_eq!(answered.status, 200);
        assert!(answered.body == large);
    }
}

/// The session between an entry and the controller dies alone, as behind a firewall that forgets
/// it: heartbeats are answered all the time, and questions about files are not. The entry connects
/// anew instead of refusing its clients for ever.
#[test]
fn a_session_that_carries_nothing_any_more_is_replaced_though_heartbeats_are_answered() {
    let mut cluster = cluster(310);
    let bytes = content(0, chunks(2));
    put(&mut cluster, NODES[0], "/file", &bytes);
    cluster.cut(&[NODES[1]], &[CONTROLLER]);
    let call = cluster.send(Errand::get(NODES[1], "/file"));
    cluster.run_for(seconds(1));
    cluster.uncut(&[NODES[1]], &[CONTROLLER]);
    // What was lost is never sent again on these sockets.
    assert_eq!(cluster.answer(call).map(|it| it.status), Ok(503));
    let healed = cluster.elapsed();
    let answered = get_when_possible(&mut cluster, NODES[1], "/file");
    assert!(answered.body == bytes);
    let took = cluster.elapsed() - healed;
    assert!(took < seconds(10), "{took:?}");
    assert_eq!(cluster.events(NODES[1], "uplink.mute").len(), 1);
    assert_eq!(cluster.events(CONTROLLER, "node.offline"), []);
}

/// A `SIGTERM` lets what runs finish: the puts under way are answered, and the process ends in good
/// order behind them.
#[test]
fn an_entry_that_is_told_to_end_finishes_the_puts_under_way() {
    let mut cluster = cluster(307);
    let bytes = content(0, chunks(3));
    // 48 pieces of 4 KiB: two seconds, of the ten that a process has to end.
    let slow = |path: &str| Errand::put(NODES[0], path, bytes.clone()).in_pieces(4096, millis(40));
    let calls = [cluster.send(slow("/one")), cluster.send(slow("/two"))];
    cluster.run_for(millis(700));
    cluster.order_stop(&[NODES[0]]);
    for (call, path) in calls.into_iter().zip(["/one", "/two"]) {
        let answer = cluster.answer(call);
        assert!(was_put(&answer), "{path}: {answer:?}");
    }
    cluster.until("the entry ends", seconds(15), |cluster| {
        !cluster.runs(NODES[0])
    });
    let exits = cluster.exits(NODES[0]);
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].message, "ended as ordered");
    for path in ["/one", "/two"] {
        assert_reads(&mut cluster, NODES[1], path, &bytes);
    }
}

/// A little of everything, and then quiet.
fn story(seed: u64) -> Cluster {
    let mut cluster = cluster(seed);
    let mut expected = Vec::new();
    let mut calls = Vec::new();
    for n in 0..24_u64 {
        let path = format!("/file-{n}");
        let len = [0, 100, chunks(1) / 4, chunks(1), chunks(2) + 9][(n % 5) as usize];
        let bytes = content(n, len);
        let errand = Errand::put(NODES[(n % 3) as usize], &path, bytes.clone())
            .in_pieces(8192, millis(10))
            .named(&path);
        calls.push((cluster.send(errand), path, bytes));
        match n {
            4 => cluster.kill(NODES[1]),
            8 => cluster.partition(&["P1"], &["P3"]),
            12 => cluster.kill(CONTROLLER),
            13 => cluster.start(CONTROLLER),
            16 => cluster.heal(&["P1"], &["P3"]),
            18 => cluster.cut(&["P2"], &[CONTROLLER]),
            21 => cluster.uncut(&["P2"], &[CONTROLLER]),
            _ => {}
        }
        cluster.run_for(millis(150 * (1 + mix(n) % 5)));
    }
    for (call, path, bytes) in calls {
        let told = was_put(&cluster.answer(call));
        expected.push((path, bytes, told));
    }
    cluster.until_all_online(seconds(60));
    until_volumes_are_good(&mut cluster);
    let told = expected.iter().filter(|(.., told)| *told).count();
    assert!(told > 8, "{told} of {} writes were done", expected.len());
    for (path, bytes, told) in &expected {
        assert_whole_or_absent(&mut cluster, path, bytes, *told);
    }
    cluster
}

#[test]
fn when_all_is_healed_every_chunk_is_well_and_nothing_is_left_over() {
    let mut cluster = story(308);
    cluster.until("every chunk is well", seconds(60), |cluster| {
        unwell(cluster).rows.is_empty()
    });
    cluster.until("nothing is left over", seconds(120), |cluster| {
        let path = DfsPath::parse("/").expect("a path");
        let Answer::Usage(usage) = ask(cluster, Ask::Usage { path }) else {
            panic!("no usage");
        };
        let kept: u64 = volumes(cluster).iter().map(|row| row.chunks).sum();
        kept == usage.chunks * 2
    });
}

#[test]
fn a_seed_tells_the_same_story_of_files_twice() {
    let one = story(309);
    let other = story(309);
    for (one, other) in one.diary().iter().zip(&other.diary()) {
        assert_eq!(one, other, "the first difference");
    }
    assert_eq!(one.trace_hash(), other.trace_hash());
}
