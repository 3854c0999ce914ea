use std::io::{self, IoSlice};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;

use super::soon;
use crate::env::{Env, Listener, Udp};
use crate::os_env::OsEnv;

fn at(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port,
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    at(&address.ip().to_string(), address.port())
}

#[tokio::test]
async fn several_nodes_share_a_port_number_on_different_addresses() {
    let env = OsEnv::new().unwrap();
    let first = env.listen(&at("127.0.0.2", 0)).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = env.listen(&at("127.0.0.3", port)).await.unwrap();
    assert_eq!(
        second.local_addr().unwrap(),
        SocketAddr::from(([127, 0, 0, 3], port))
    );
    let again = env.listen(&at("127.0.0.2", port)).await.unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_port_is_free_at_once_after_a_restart() {
    let env = OsEnv::new().unwrap();
    let mut listener = env.listen(&at("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, _) = env.connect(&endpoint(address)).await.unwrap();
    let (server, _) = soon(listener.accept()).await.unwrap();
    // Who closes first keeps the connection in TIME_WAIT.
    drop(server);
    drop(listener);
    let mut client = client;
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap(), 0);
    drop(client);
    env.listen(&endpoint(address)).await.unwrap();
}

#[tokio::test]
async fn nothing_that_listens_is_a_refusal() {
    let env = OsEnv::new().unwrap();
    let listener = env.listen(&at("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = env.connect(&endpoint(address)).await.unwrap_err();
    assert_eq!(refused, CloseReason::Refused);
}

#[tokio::test]
async fn a_name_without_an_address_is_said_to_be_one() {
    let env = OsEnv::new().unwrap();
    // A label longer than any name may have, so that no name service is asked.
    let nowhere = at(&"x".repeat(300), 1);
    let reason = soon(env.connect(&nowhere)).await.unwrap_err();
    assert_eq!(reason, CloseReason::UnknownHost);
    let error = soon(env.listen(&nowhere)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn the_first_datagram_of_a_process_is_sent_at_once() {
    let env = OsEnv::new().unwrap();
    let sender = env.bind_udp(&at("127.0.0.1", 0)).await.unwrap();
    // Nothing has been awaited since, so that no reactor can have looked at the socket.
    sender
        .try_send_to(b"beat", SocketAddr::from(([127, 0, 0, 1], 9)))
        .unwrap();
}

#[tokio::test]
async fn dropped_datagrams_are_counted() {
    let env = OsEnv::new().unwrap();
    let listener = env.listen(&at("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = env.bind_udp(&endpoint(address)).await.unwrap();
    let sender = env.bind_udp(&at("127.0.0.1", 0)).await.unwrap();
    // Nobody reads, and no buffer takes 100,000 datagrams.
    let datagram = [0; 1200];
    for _ in 0..100_000 {
        sender.try_send_to(&datagram, address).unwrap();
    }
    let mut buffer = [0; 2048];
    let mut read = 0;
    // What came before the first one was dropped knows nothing of it; what comes now does.
    while receiver.dropped() == 0 {
        let (len, from) = soon(receiver.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(len, 1200);
        assert_eq!(from.ip(), address.ip());
        read += 1;
        if read % 1000 == 0 {
            sender.try_send_to(&datagram, address).unwrap();
        }
    }
    assert!(receiver.dropped() < 100_000);
    assert!(receiver.dropped() + read <= 100_000 + read / 1000);
}

#[tokio::test]
async fn the_holder_of_a_port_is_named() {
    let env = OsEnv::new().unwrap();
    let listener = env.listen(&at("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let holder = soon(env.port_holder(&endpoint(address))).await.unwrap();
    let own = format!("pid {} (", std::process::id());
    assert!(holder.starts_with(&own), "{holder}");
}

#[test]
fn time_does_not_stand_still_and_seeds_differ() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let env = OsEnv::new().unwrap();
        let earlier = env.now();
        while env.now() == earlier {}
        assert!(env.now() > earlier);
        assert_ne!(env.seed(), env.seed());
        // After the first of January 2024.
        assert!(env.unix_ms() > 1_704_000_000_000);
    });
}

#[tokio::test]
async fn what_goes_through_sockets_is_counted_and_open_connections_are() {
    let env = OsEnv::new().unwrap();
    let mut listener = env.listen(&at("127.0.0.1", 0)).await.unwrap();
    let to = endpoint(listener.local_addr().unwrap());
    let before = env.usage();
    let (mut client, _) = env.connect(&to).await.unwrap();
    let (mut server, _) = soon(listener.accept()).await.unwrap();
    client.write_all(b"twelve bytes").await.unwrap();
    let parts = [IoSlice::new(b"and "), IoSlice::new(b"four")];
    assert_eq!(client.write_vectored(&parts).await.unwrap(), 8);
    let mut bytes = [0; 20];
    soon(server.read_exact(&mut bytes)).await.unwrap();
    let udp = env.bind_udp(&at("127.0.0.1", 0)).await.unwrap();
    udp.try_send_to(b"lost", "127.0.0.1:9".parse().unwrap())
        .unwrap();
    let now = env.usage();
    assert_eq!(now.sent_bytes - before.sent_bytes, 24);
    assert_eq!(now.received_bytes - before.received_bytes, 20);
    assert_eq!(now.connections, 1, "the one that was accepted");
    drop(server);
    assert_eq!(env.usage().connections, 0);
}
