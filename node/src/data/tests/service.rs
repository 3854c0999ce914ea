//! What strangers and careless members send to a node's port.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout};
use vaquita_core::dfs::transfer::{KIND_REPLY, KIND_REQUEST, TransferReply, TransferRequest};
use vaquita_core::ids::{Incarnation, Role};
use vaquita_core::store::StoreAsk;
use vaquita_core::wire::keys::Keyring;
use vaquita_core::wire::session::{Introduction, Session};

use super::net::{MemoryEnv, endpoint};
use super::node::{Node, Setup, peer};
use super::{MIB, bytes, secret, token, version};
use crate::data::DataLimits;
use crate::data::link::Link;
use crate::env::Env;

/// A member that a test plays.
async fn member(env: &MemoryEnv, port: u16, role: Role) -> Link<DuplexStream> {
    let (stream, _) = env.connect(&endpoint(port)).await.unwrap();
    let me = Introduction {
        role,
        cluster: None,
        alias: peer(9).alias,
        incarnation: Incarnation::new([9; 16]),
        build: "played".to_owned(),
    };
    let keyring = Keyring::new(Some(&secret(1)));
    let session = Session::dial(&keyring, me, env.seed_bytes());
    let limits = DataLimits::default();
    let mut link = Link::new(stream, session, &limits, limits.asker_timeout);
    link.outbound.raw(b"VQD1").await.unwrap();
    let met = link.introduce().await.unwrap();
    assert_eq!(met.alias, peer(port).alias);
    link
}

async fn answer(link: &mut Link<DuplexStream>) -> Option<TransferReply> {
    let (kind, body) = link.frame(Duration::from_secs(600)).await.ok()?;
    assert_eq!(kind, KIND_REPLY);
    Some(TransferReply::decode(&body).unwrap())
}

async fn ask(link: &mut Link<DuplexStream>, request: TransferRequest) {
    link.send(KIND_REQUEST, &request.encode()).await.unwrap();
}

fn suspect() -> TransferRequest {
    TransferRequest::Suspect {
        version: version(1),
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_every_role_are_served() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    super::transfers::store(&node, &[&node], 1, &bytes(10), 10).await;
    let extent = node.extent(version(1));
    node.disk.rot(&extent.file, extent.offset as usize);
    for role in [Role::Controller, Role::Agent, Role::DataNode] {
        let mut link = member(&env, 1, role).await;
        ask(&mut link, suspect()).await;
        assert_eq!(answer(&mut link).await, Some(TransferReply::Noted));
        node.asked(|ask| matches!(ask, StoreAsk::Damaged { .. }))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_session_is_closed_and_reaches_no_machine() {
    let env = MemoryEnv::new();
    let _node = Node::start(&env, 1).await;
    let long = [&b"VQD1VQT1\x01\x00\x01\x00\xff\xff\x00\x00"[..], &[0; 8]].concat();
    for sent in [
        b"VQD1GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"VQD1VQD1".to_vec(),
        long,
        [&b"VQD1"[..], &bytes(10_000)].concat(),
    ] {
        let (mut stream, _) = env.connect(&endpoint(1)).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        let mut heard = Vec::new();
        let closed = timeout(Duration::from_secs(60), stream.read_to_end(&mut heard)).await;
        assert!(closed.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let env = MemoryEnv::new();
    let _node = Node::start(&env, 1).await;
    let (mut stream, _) = env.connect(&endpoint(1)).await.unwrap();
    stream.write_all(b"VQD1").await.unwrap();
    let begun = Instant::now();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(begun.elapsed(), DataLimits::default().handshake_timeout);
    // A member that goes silent is kept longer, and not for ever.
    let mut link = member(&env, 1, Role::DataNode).await;
    let begun = Instant::now();
    assert_eq!(answer(&mut link).await, None);
    assert_eq!(begun.elapsed(), DataLimits::default().serve_idle_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_no_request_ends_the_connection() {
    let env = MemoryEnv::new();
    let _node = Node::start(&env, 1).await;
    for (kind, body) in [
        (KIND_REPLY, suspect().encode()),
        (KIND_REQUEST, b"what?".to_vec()),
    ] {
        let mut link = member(&env, 1, Role::DataNode).await;
        link.send(kind, &body).await.unwrap();
        assert_eq!(answer(&mut link).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_is_too_long_ends_the_connection_and_cancels_the_write() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let mut link = member(&env, 1, Role::DataNode).await;
    let token = token(1, usize::MAX);
    let len = Some(u64::MAX);
    ask(&mut link, TransferRequest::Store { token, len }).await;
    let piece = bytes(MIB);
    link.outbound.piece(&piece).await.unwrap();
    link.outbound.flush().await.unwrap();
    let header = u32::try_from(MIB + 1).unwrap().to_be_bytes();
    link.outbound.raw(&header).await.unwrap();
    node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
        .await;
    assert_eq!(answer(&mut link).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_stalls_is_cut_and_its_write_cancelled() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let mut link = member(&env, 1, Role::DataNode).await;
    let token = token(1, 8 * MIB);
    let len = Some(8 * MIB as u64);
    ask(&mut link, TransferRequest::Store { token, len }).await;
    link.outbound.piece(&bytes(MIB)).await.unwrap();
    link.outbound.flush().await.unwrap();
    let begun = Instant::now();
    node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
        .await;
    assert_eq!(begun.elapsed(), DataLimits::default().asker_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_leaves_has_its_write_cancelled_at_once() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let mut link = member(&env, 1, Role::DataNode).await;
    let token = token(1, 8 * MIB);
    let len = Some(8 * MIB as u64);
    ask(&mut link, TransferRequest::Store { token, len }).await;
    link.outbound.piece(&bytes(MIB)).await.unwrap();
    link.outbound.flush().await.unwrap();
    let begun = Instant::now();
    drop(link);
    node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
        .await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_is_cut() {
    let env = MemoryEnv::new();
    let node = Node::start(&env, 1).await;
    let content = bytes(8 * MIB);
    super::transfers::store(&node, &[&node], 1, &content, MIB).await;
    let mut link = member(&env, 1, Role::DataNode).await;
    let fetch = TransferRequest::Fetch {
        version: version(1),
        offset: 0,
        len: u64::MAX,
        even_damaged: false,
    };
    ask(&mut link, fetch).await;
    assert!(matches!(
        answer(&mut link).await,
        Some(TransferReply::Sending { .. })
    ));
    tokio::time::sleep(Duration::from_secs(40)).await;
    // What was under way still arrives, and no more.
    let mut pieces = 0;
    while let Ok(Some(_)) = link.inbound.piece().await {
        pieces += 1;
    }
    assert!(pieces < 8);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_admitted_when_nobody_waits_any_more_is_cancelled() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    node.manners.lock().unwrap().is_late = true;
    let begun = Instant::now();
    let stored = super::transfers::store(&node, &[&node], 1, &bytes(10), 10).await;
    assert_eq!(begun.elapsed(), node.data.limits().answer_timeout);
    assert_eq!(stored.lost.len(), 1);
    // The machine admits it with the next question.
    node.data.suspect(&node.peer, version(2)).await.unwrap();
    node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_only_the_own_host_is_served() {
    let env = MemoryEnv::new();
    let setup = || Setup {
        secret: None,
        ..Setup::default()
    };
    let one = Node::with(&env, 1, setup()).await;
    let two = Node::with(&env, 2, setup()).await;
    one.data.suspect(&two.peer, version(1)).await.unwrap();
    env.come_from([192, 0, 2, 7].into());
    let three = Node::with(&env, 3, setup()).await;
    assert!(one.data.suspect(&three.peer, version(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_lets_go_of_connections_and_refuses_what_is_new() {
    let env = MemoryEnv::new();
    let node = Node::start(&env, 1).await;
    let mut link = member(&env, 1, Role::DataNode).await;
    node.terminator.terminate();
    node.exit.await.unwrap();
    assert_eq!(answer(&mut link).await, None);
    let wanted = super::transfers::wanted(1, &bytes(10));
    let fetching = node.data.fetch(&node.peer, wanted, 0, 10).await;
    let fault = fetching.unwrap_err();
    assert!(fault.to_string().contains("is ending"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn connections_above_the_limit_are_closed() {
    let env = MemoryEnv::new();
    let mut setup = Setup::default();
    setup.limits.data.connections_max = 1;
    let _node = Node::with(&env, 1, setup).await;
    let _first = member(&env, 1, Role::DataNode).await;
    let (mut stream, _) = env.connect(&endpoint(1)).await.unwrap();
    stream.write_all(b"VQD1").await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}
