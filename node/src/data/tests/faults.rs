//! Peers that die, dawdle, lie and garble.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, DuplexStream};
use vaquita_core::dfs::ask::Holder;
use vaquita_core::dfs::digest::{BLOCK, Summary};
use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::dfs::transfer::{KIND_REPLY, KIND_WORKING, TransferReply, TransferRequest};
use vaquita_core::ids::{Incarnation, NodeEpoch, NodeId, Role};
use vaquita_core::wire::keys::Keyring;
use vaquita_core::wire::session::{Introduction, Session};

use super::net::{MemoryEnv, MemoryListener, endpoint};
use super::node::{Node, Setup, peer};
use super::transfers::{all, store, wanted};
use super::{MIB, bytes, secret, token};
use crate::data::link::Link;
use crate::data::{DataLimits, Fetching, TransferFault};
use crate::env::{Env, Listener};

/// A peer that the test plays itself.
struct Played {
    listener: MemoryListener,
}

impl Played {
    async fn listen(env: &MemoryEnv, port: u16) -> Self {
        let listener = env.listen(&endpoint(port)).await.unwrap();
        Self { listener }
    }

    /// The next connection, the session established, as the node of `port`.
    async fn accept(&mut self, port: u16) -> Link<DuplexStream> {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut magic = [0; 4];
        stream.read_exact(&mut magic).await.unwrap();
        assert_eq!(&magic, b"VQD1");
        let me = Introduction {
            role: Role::DataNode,
            cluster: None,
            alias: peer(port).alias,
            incarnation: Incarnation::new([port as u8; 16]),
            build: "played".to_owned(),
        };
        let keyring = Keyring::new(Some(&secret(1)));
        let session = Session::accept(&keyring, me, [port as u8; 32]);
        let limits = DataLimits::default();
        let mut link = Link::new(stream, session, &limits, limits.asker_timeout);
        link.introduce().await.unwrap();
        link
    }
}

async fn request(link: &mut Link<DuplexStream>) -> TransferRequest {
    let patience = DataLimits::default().serve_idle_timeout;
    let (_, body) = link.frame(patience).await.unwrap();
    TransferRequest::decode(&body).unwrap()
}

async fn reply(link: &mut Link<DuplexStream>, reply: TransferReply) {
    link.send(KIND_REPLY, &reply.encode()).await.unwrap();
}

fn prepared(summary: &Summary) -> TransferReply {
    let holder = Holder {
        node: NodeId::new([2; 16]),
        epoch: NodeEpoch(1),
        volume: VolumeSlot(0),
    };
    TransferReply::prepared(holder, summary)
}

/// Begins to read a whole chunk from the played peer.
async fn fetch(node: &Node, content: &[u8]) -> Result<Fetching<MemoryEnv>, TransferFault> {
    let wanted = wanted(1, content);
    node.data.fetch(&peer(3), wanted, 0, u64::MAX).await
}

/// Announces `content` and sends `pieces`.
async fn send(link: &mut Link<DuplexStream>, content: &[u8], pieces: &[&[u8]]) {
    let summary = Summary::of(content);
    reply(
        link,
        TransferReply::Sending {
            chunk_len: summary.len,
            digest: summary.digest,
            offset: 0,
            len: summary.len,
            blocks: summary.blocks,
        },
    )
    .await;
    for piece in pieces {
        link.outbound.piece(piece).await.unwrap();
        link.outbound.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_progress_is_dropped_and_the_others_go_on() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let mut played = Played::listen(&env, 3).await;
    let peers = [two.peer.clone(), peer(3), one.peer.clone()];
    let content = bytes(16 * MIB);
    let token = token(1, content.len());
    let len = Some(content.len() as u64);
    let mut storing = one.data.store(&token, &peers, len).await.unwrap();
    // It takes the request and reads not one byte more.
    let mut link = played.accept(3).await;
    request(&mut link).await;
    let begun = tokio::time::Instant::now();
    storing.write(content.clone()).await.unwrap();
    let stored = storing.finish().await;
    assert_eq!(stored.prepared.len(), 2);
    assert_eq!(
        stored.lost,
        [(
            peer(3),
            TransferFault::Slow {
                peer: peer(3).alias,
                after: DataLimits::default().progress_timeout
            }
        )]
    );
    assert_eq!(begun.elapsed(), DataLimits::default().progress_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_in_the_middle_is_told_and_the_others_go_on() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let content = bytes(8 * MIB);
    let token = token(1, content.len());
    let peers = [peer(3), one.peer.clone()];
    let len = Some(content.len() as u64);
    let mut storing = one.data.store(&token, &peers, len).await.unwrap();
    let dying = async {
        let mut link = played.accept(3).await;
        request(&mut link).await;
        for _ in 0..3 {
            link.inbound.piece().await.unwrap();
        }
    };
    let (written, ()) = tokio::join!(storing.write(content.clone()), dying);
    written.unwrap();
    let stored = storing.finish().await;
    assert_eq!(stored.prepared.len(), 1);
    assert!(
        matches!(&stored.lost[..], [(lost, TransferFault::Broken { .. })] if *lost == peer(3)),
        "{:?}",
        stored.lost
    );
}

/// What becomes of a write to a replica that takes all bytes, says for so many seconds that it is at work
/// on them, and then nothing more; and how long that took.
async fn never_done(len: usize, works_for: u64) -> (TransferFault, Duration) {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let token = token(1, len);
    let announced = Some(len as u64);
    let storing = one.data.store(&token, &[peer(3)], announced).await;
    let mut storing = storing.unwrap();
    let taking = async {
        let mut link = played.accept(3).await;
        request(&mut link).await;
        while link.inbound.piece().await.unwrap().is_some() {}
        for _ in 0..works_for {
            tokio::time::sleep(Duration::from_secs(1)).await;
            link.send(KIND_WORKING, &[]).await.unwrap();
        }
        link
    };
    let sending = async {
        storing.write(bytes(len)).await.unwrap();
        storing.finish().await
    };
    let begun = tokio::time::Instant::now();
    let (mut stored, _link) = tokio::join!(sending, taking);
    assert!(stored.prepared.is_empty());
    (stored.lost.remove(0).1, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stands_still_with_all_bytes_is_given_up_soon() {
    let limits = DataLimits::default();
    // Sent in one piece, and in many.
    for len in [100, 3 * MIB] {
        let (fault, after) = never_done(len, 0).await;
        assert!(matches!(fault, TransferFault::Slow { .. }), "{fault}");
        assert_eq!(after, limits.silence_timeout);
        let (_, after) = never_done(len, 5).await;
        assert_eq!(after, Duration::from_secs(5) + limits.silence_timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_at_work_for_ever_is_given_up_in_the_end() {
    let (fault, after) = never_done(100, 19).await;
    assert!(matches!(fault, TransferFault::Slow { .. }), "{fault}");
    assert_eq!(after, DataLimits::default().prepare_timeout);
}

/// The disk of a replica hangs. The replica says that it is at it until it gives its disk up, and then
/// why: it is not taken for one that stands still.
#[tokio::test(start_paused = true)]
async fn a_replica_with_a_slow_disk_is_waited_for_and_says_why_it_refuses() {
    let env = MemoryEnv::new();
    let patient = || {
        let mut setup = Setup::default();
        setup.limits.data.prepare_timeout = Duration::from_secs(60);
        setup
    };
    let one = Node::with(&env, 1, patient()).await;
    let two = Node::with(&env, 2, patient()).await;
    let content = bytes(100);
    store(&one, &[&two], 1, &content, 100).await;
    two.disk.begin_to_hang();
    let begun = tokio::time::Instant::now();
    let stored = store(&one, &[&two], 2, &content, 100).await;
    let [(_, TransferFault::Refused { refusal, .. })] = &stored.lost[..] else {
        panic!("{stored:?}");
    };
    assert!(
        refusal.to_string().contains("has not answered"),
        "{refusal}"
    );
    assert!(begun.elapsed() > DataLimits::default().prepare_timeout);
}

#[tokio::test(start_paused = true)]
async fn bytes_changed_on_the_way_to_a_replica_are_found_by_their_digest() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let content = bytes(1000);
    let token = token(1, 1000);
    let mut storing = one
        .data
        .store(&token, &[peer(3)], Some(1000))
        .await
        .unwrap();
    storing.write(content.clone()).await.unwrap();
    let garbling = async {
        let mut link = played.accept(3).await;
        request(&mut link).await;
        let mut got = Vec::new();
        while let Some(piece) = link.inbound.piece().await.unwrap() {
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, content);
        got[500] ^= 1;
        reply(&mut link, prepared(&Summary::of(&got))).await;
    };
    let (stored, ()) = tokio::join!(storing.finish(), garbling);
    let [(_, fault)] = &stored.lost[..] else {
        panic!("{stored:?}");
    };
    assert!(fault.is_mismatch(), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn bytes_changed_on_the_way_from_a_replica_are_found_and_it_is_told() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let content = bytes(3 * BLOCK);
    let mut garbled = content.to_vec();
    garbled[2 * BLOCK] ^= 1;
    let fetching = fetch(&one, &content);
    let mut link = None;
    let garbling = async {
        let link = link.insert(played.accept(3).await);
        request(link).await;
        send(link, &content, &[&garbled[..BLOCK], &garbled[BLOCK..]]).await;
    };
    let (fetching, ()) = tokio::join!(fetching, garbling);
    let mut fetching = fetching.unwrap();
    assert_eq!(fetching.next().await.unwrap().unwrap(), content[..BLOCK]);
    let fault = fetching.next().await.unwrap().unwrap_err();
    assert!(fault.is_mismatch(), "{fault}");
    assert!(fetching.next().await.is_none());
    // On a connection of its own, the replica hears of it.
    let mut link = played.accept(3).await;
    assert!(matches!(
        request(&mut link).await,
        TransferRequest::Suspect { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn another_content_with_checksums_that_fit_it_is_not_taken_for_the_chunk() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let content = bytes(2 * BLOCK);
    let other: Bytes = content.iter().map(|byte| byte ^ 1).collect();
    // It says so itself.
    let fetching = fetch(&one, &content);
    let sending = async {
        let mut link = played.accept(3).await;
        request(&mut link).await;
        send(&mut link, &other, &[]).await;
    };
    let (fetching, ()) = tokio::join!(fetching, sending);
    assert!(fetching.unwrap_err().is_mismatch());
    // Told of it, it claims the right digest; the last piece is not yielded.
    let mut link = played.accept(3).await;
    request(&mut link).await;
    reply(&mut link, TransferReply::Noted).await;
    while one.data.shared.pool.idle() == 0 {
        tokio::task::yield_now().await;
    }
    let fetching = fetch(&one, &content);
    let lying = async {
        request(&mut link).await;
        let summary = Summary::of(&other);
        reply(
            &mut link,
            TransferReply::Sending {
                chunk_len: summary.len,
                digest: Summary::of(&content).digest,
                offset: 0,
                len: summary.len,
                blocks: summary.blocks,
            },
        )
        .await;
        link.outbound.piece(&other).await.unwrap();
        link.outbound.flush().await.unwrap();
    };
    let (fetching, ()) = tokio::join!(fetching, lying);
    assert!(all(fetching.unwrap()).await.unwrap_err().is_mismatch());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_sends_what_was_not_asked_for_breaks_the_protocol() {
    let content = bytes(4 * BLOCK);
    let summary = Summary::of(&content);
    let len = summary.len;
    let changes: [fn(&mut u64, &mut u64, &mut Vec<u32>); 6] = [
        |offset, _, _| *offset = 1,
        |offset, _, _| *offset = u64::MAX,
        |_, len, _| *len = u64::MAX,
        |_, len, _| *len = 0,
        |_, len, _| *len -= 1,
        |_, _, blocks| blocks.push(0),
    ];
    for change in changes {
        let env = MemoryEnv::new();
        let one = Node::start(&env, 1).await;
        let mut played = Played::listen(&env, 3).await;
        let (mut offset, mut len, mut blocks) = (0, len, summary.blocks.clone());
        change(&mut offset, &mut len, &mut blocks);
        let fetching = fetch(&one, &content);
        let sending = async {
            let mut link = played.accept(3).await;
            request(&mut link).await;
            let sending = TransferReply::Sending {
                chunk_len: summary.len,
                digest: summary.digest,
                offset,
                len,
                blocks,
            };
            reply(&mut link, sending).await;
        };
        let (fetching, ()) = tokio::join!(fetching, sending);
        assert!(
            matches!(fetching, Err(TransferFault::Protocol { .. })),
            "{offset} {len}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_stops_sending_is_given_up_in_time() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let mut played = Played::listen(&env, 3).await;
    let content = bytes(3 * BLOCK);
    let fetching = fetch(&one, &content);
    let stalling = async {
        let mut link = played.accept(3).await;
        request(&mut link).await;
        send(&mut link, &content, &[&content[..BLOCK]]).await;
        link
    };
    let (fetching, _link) = tokio::join!(fetching, stalling);
    let begun = tokio::time::Instant::now();
    let fault = all(fetching.unwrap()).await.unwrap_err();
    assert!(matches!(fault, TransferFault::Slow { .. }), "{fault}");
    assert_eq!(begun.elapsed(), DataLimits::default().progress_timeout);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_and_somebody_else_there_are_told_apart() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    let fault = one.data.suspect(&peer(3), super::version(1)).await;
    let fault = fault.unwrap_err();
    assert!(fault.nothing_was_sent());
    assert_eq!(
        fault.to_string(),
        "node3 could not be reached: connection refused at memory:3"
    );
    let mut played = Played::listen(&env, 3).await;
    let asked = peer(3);
    let (fault, _) = tokio::join!(
        one.data.suspect(&asked, super::version(1)),
        // Another node has the address now.
        played.accept(4)
    );
    assert_eq!(
        fault.unwrap_err().to_string(),
        "node3 could not be reached: node4 is at memory:3 now"
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_another_secret_is_no_member() {
    let env = MemoryEnv::new();
    let one = Node::start(&env, 1).await;
    for other in [Some(secret(2)), None] {
        let setup = Setup {
            secret: other,
            ..Setup::default()
        };
        let two = Node::with(&env, 2, setup).await;
        for (from, to) in [(&one, &two), (&two, &one)] {
            let fault = from.data.suspect(&to.peer, super::version(1)).await;
            let fault = fault.unwrap_err();
            assert!(matches!(fault, TransferFault::NotAMember { .. }), "{fault}");
        }
        two.terminator.terminate();
        two.exit.await.unwrap();
    }
}
