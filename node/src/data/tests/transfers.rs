use std::time::Duration;

use bytes::Bytes;
use vaquita_core::dfs::digest::BLOCK;
use vaquita_core::dfs::digest::Summary;
use vaquita_core::store::StoreAsk;

use super::net::MemoryEnv;
use super::node::{Node, Setup};
use super::{MIB, bytes, token, version};
use crate::data::{Fetching, Stored, TransferFault, Wanted};

/// What a chunk of these bytes has to be.
pub(super) fn wanted(number: u64, content: &[u8]) -> Wanted {
    let summary = Summary::of(content);
    Wanted {
        version: version(number),
        len: summary.len,
        digest: summary.digest,
        even_damaged: false,
    }
}

/// Writes a chunk from one node to some, in pieces.
pub(super) async fn store(
    from: &Node,
    to: &[&Node],
    number: u64,
    content: &Bytes,
    piece: usize,
) -> Stored {
    let peers: Vec<_> = to.iter().map(|node| node.peer.clone()).collect();
    let token = token(number, content.len().max(1));
    let len = Some(content.len() as u64);
    let mut storing = from.data.store(&token, &peers, len).await.unwrap();
    for piece in content.chunks(piece) {
        let written = storing.write(Bytes::copy_from_slice(piece)).await;
        if written.is_err() {
            break;
        }
    }
    storing.finish().await
}

/// All bytes that come, or the fault.
pub(super) async fn all(mut fetching: Fetching<MemoryEnv>) -> Result<Vec<u8>, TransferFault> {
    let mut all = Vec::new();
    while let Some(piece) = fetching.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

#[tokio::test(start_paused = true)]
async fn a_chunk_is_written_to_all_replicas_and_read_from_each() {
    let env = MemoryEnv::new();
    let (one, two, three) = (
        Node::start(&env, 1).await,
        Node::start(&env, 2).await,
        Node::start(&env, 3).await,
    );
    // Nothing, one byte, a block and its neighbours, the longest packed one, a long one.
    let lens = [
        0,
        1,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        MIB,
        MIB + 1,
        5 * MIB + 77,
    ];
    for (number, len) in lens.into_iter().enumerate() {
        let number = number as u64;
        let content = bytes(len);
        let stored = store(&one, &[&one, &two, &three], number, &content, 100_000).await;
        assert_eq!(stored.lost, [], "{len} bytes");
        assert_eq!(stored.prepared.len(), 3);
        assert_eq!(stored.summary, Summary::of(&content));
        for node in [&one, &two, &three] {
            let wanted = wanted(number, &content);
            let fetching = one
                .data
                .fetch(&node.peer, wanted, 0, u64::MAX)
                .await
                .unwrap();
            assert_eq!(fetching.len(), len as u64);
            assert!(all(fetching).await.unwrap() == content, "{len} bytes");
        }
    }
    // One connection to each of the others was enough.
    assert_eq!(env.dialled(), 2);
    assert_eq!(one.data.shared.pool.idle(), 2);
    assert_eq!(two.data.shared.stages.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn any_range_of_a_chunk_can_be_read() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let content = bytes(2 * MIB + 1000);
    store(&one, &[&one, &two], 1, &content, MIB).await;
    let len = content.len();
    let ranges = [
        (0, 1),
        (BLOCK - 1, 2),
        (BLOCK, BLOCK),
        (MIB - 5, MIB + 10),
        (len - 1, 1),
        (len - 3, 100),
        (len, 1),
        (5, 0),
        (len - 1001, 1001),
    ];
    for node in [&one, &two] {
        for (offset, count) in ranges {
            let wanted = wanted(1, &content);
            let fetching = one
                .data
                .fetch(&node.peer, wanted, offset as u64, count as u64)
                .await
                .unwrap();
            let end = len.min(offset + count);
            assert_eq!(fetching.len(), (end - offset) as u64);
            let got = all(fetching).await.unwrap();
            assert!(got == content[offset..end], "{offset}+{count}");
        }
        let beyond = one
            .data
            .fetch(&node.peer, wanted(1, &content), len as u64 + 1, 1)
            .await;
        assert!(matches!(beyond, Err(TransferFault::Refused { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_of_unknown_length_is_packed_if_it_turns_out_short() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    for (number, len, file) in [(1, MIB, "pack-"), (2, MIB + 1, "chunk-")] {
        let content = bytes(len);
        let token = token(number, 8 * MIB);
        let peers = [two.peer.clone()];
        let mut storing = one.data.store(&token, &peers, None).await.unwrap();
        storing.write(content.clone()).await.unwrap();
        let stored = storing.finish().await;
        assert_eq!(stored.lost, []);
        let extent = two.extent(version(number));
        assert!(extent.file.as_str().starts_with(file), "{extent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_not_there_is_refused_and_the_connection_serves_on() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    for _ in 0..3 {
        let fault = one
            .data
            .fetch(&two.peer, wanted(9, b"none"), 0, 4)
            .await
            .unwrap_err();
        assert_eq!(
            fault.to_string(),
            format!("node2 refused: there is no chunk {} here", version(9))
        );
    }
    assert_eq!(env.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_the_other_side_has_ended_is_replaced() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let content = bytes(100);
    store(&one, &[&two], 1, &content, 100).await;
    assert_eq!(env.dialled(), 1);
    two.terminator.terminate();
    two.exit.await.unwrap();
    let two = Node::start(&env, 2).await;
    let stored = store(&one, &[&two], 2, &content, 100).await;
    assert_eq!(stored.lost, []);
    assert_eq!(env.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_not_kept_for_ever() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    store(&one, &[&two], 1, &bytes(100), 100).await;
    tokio::time::sleep(one.data.limits().idle_timeout).await;
    store(&one, &[&two], 2, &bytes(100), 100).await;
    assert_eq!(env.dialled(), 2);
    assert_eq!(one.data.shared.pool.idle(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_is_cancelled_everywhere() {
    let env = MemoryEnv::new();
    let (mut one, mut two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let peers = [one.peer.clone(), two.peer.clone()];
    let token = token(1, 8 * MIB);
    let len = Some(8 * MIB as u64);
    let mut storing = one.data.store(&token, &peers, len).await.unwrap();
    storing.write(bytes(3 * MIB)).await.unwrap();
    for node in [&mut one, &mut two] {
        node.asked(|ask| matches!(ask, StoreAsk::Admit { .. }))
            .await;
    }
    drop(storing);
    for node in [&mut one, &mut two] {
        node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_before_all_bytes_were_sent() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    for node in [&one, &two] {
        node.manners.lock().unwrap().refuses = true;
    }
    let peers = [one.peer.clone(), two.peer.clone()];
    let len = 64 * MIB;
    let token = token(1, len);
    let mut storing = one
        .data
        .store(&token, &peers, Some(len as u64))
        .await
        .unwrap();
    let piece = bytes(MIB);
    let mut written = 0;
    let none_left = loop {
        match storing.write(piece.clone()).await {
            Ok(()) => written += 1,
            Err(none_left) => break none_left,
        }
    };
    assert!(written < 64);
    assert_eq!(none_left.lost.len(), 2);
    for (_, fault) in none_left.lost {
        assert!(fault.to_string().ends_with("the token is void"), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_or_fewer_bytes_than_were_announced_are_refused() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    for node in [&one, &two] {
        for (announced, sent, max) in [
            (Some(10), 11, 20),
            (Some(10), 9, 20),
            (Some(30), 30, 20),
            (None, 21, 20),
            (Some(3 * MIB), 4 * MIB, 8 * MIB),
            (Some(3 * MIB), 2 * MIB, 8 * MIB),
            (None, 4 * MIB, 3 * MIB),
        ] {
            let peers = [node.peer.clone()];
            let token = token(1, max);
            let announced = announced.map(|len| len as u64);
            let mut storing = one.data.store(&token, &peers, announced).await.unwrap();
            let _ = storing.write(bytes(sent)).await;
            let stored = storing.finish().await;
            assert!(
                matches!(&stored.lost[..], [(_, TransferFault::Refused { .. })]),
                "{announced:?} {sent} {max}: {stored:?}"
            );
        }
        assert_eq!(node.data.shared.stages.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_memory_a_write_waits_and_is_then_refused_as_busy() {
    let env = MemoryEnv::new();
    let mut setup = Setup::default();
    setup.limits.data.serve_bytes = MIB;
    let one = Node::start(&env, 1).await;
    let mut two = Node::with(&env, 2, setup).await;
    let token = token(1, MIB);
    let peers = [two.peer.clone()];
    let len = Some(MIB as u64);
    // Takes all the memory there is and does not go on.
    let holding = one.data.store(&token, &peers, len).await.unwrap();
    tokio::task::yield_now().await;
    let stored = store(&one, &[&two], 2, &bytes(MIB), MIB).await;
    let [(_, fault)] = &stored.lost[..] else {
        panic!("{stored:?}");
    };
    assert!(fault.to_string().contains("maxMemSize"), "{fault}");
    drop(holding);
    two.told_of(|input| matches!(input, vaquita_core::io::Input::VolumeSpace { .. }))
        .await;
    // The memory is free again.
    let stored = store(&one, &[&two], 3, &bytes(MIB), MIB).await;
    assert_eq!(stored.lost, []);
}

#[tokio::test(start_paused = true)]
async fn a_process_without_memory_for_a_window_says_so_at_once() {
    let env = MemoryEnv::new();
    let mut setup = Setup::default();
    setup.limits.data.send_bytes = 4 * MIB;
    let one = Node::with(&env, 1, setup).await;
    let token = token(1, MIB);
    let peers = [one.peer.clone()];
    let _first = one.data.store(&token, &peers, None).await.unwrap();
    let second = one.data.store(&token, &peers, None).await;
    assert!(matches!(second, Err(TransferFault::Busy { .. })));
}

/// Writes whose clients take their time hold their connections, and nobody's read waits for one.
#[tokio::test(start_paused = true)]
async fn a_read_does_not_wait_for_writes() {
    let env = MemoryEnv::new();
    let mut setup = Setup::default();
    setup.limits.data.peer_connections_max = 1;
    let one = Node::with(&env, 1, setup).await;
    let two = Node::start(&env, 2).await;
    let content = bytes(MIB);
    store(&one, &[&two], 1, &content, MIB).await;
    let peers = [two.peer.clone()];
    let token = token(2, MIB);
    let mut storing = one.data.store(&token, &peers, None).await.unwrap();
    storing.write(bytes(10)).await.unwrap();
    // The clock stands still until the write holds its connection.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let fetching = one.data.fetch(&two.peer, wanted(1, &content), 0, u64::MAX);
    assert!(all(fetching.await.unwrap()).await.unwrap() == content);
    assert_eq!(storing.finish().await.lost, []);
}

/// A client that sends byte by byte.
#[tokio::test(start_paused = true)]
async fn the_queue_of_a_replica_that_takes_nothing_is_short() {
    let env = MemoryEnv::new();
    let node = Node::start(&env, 1).await;
    node.manners.lock().unwrap().is_late = true;
    let peers = [node.peer.clone()];
    let token = token(1, 8 * MIB);
    // Longer than what is gathered before it is asked for a place.
    let len = Some(8 * MIB as u64);
    let mut storing = node.data.store(&token, &peers, len).await.unwrap();
    let mut taken = 0;
    while storing.write(bytes(1)).await.is_ok() {
        taken += 1;
    }
    let most = node.data.limits().window_bytes / 4096;
    assert!((most - 1..=most + 1).contains(&taken), "{taken} pieces");
}
