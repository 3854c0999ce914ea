use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vaquita_core::ids::{ConnId, Endpoint};
use vaquita_core::io::{CloseReason, Effect, Input};

use super::{Running, Setup, accepted, idle, read_to_end, soon};

async fn peer() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, endpoint(address))
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

/// All bytes that arrive on a connection until it has so many.
async fn received(driver: &mut Running, conn: ConnId, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        match driver.told().await {
            Input::Received { conn: from, bytes } => {
                assert_eq!(from, conn);
                all.extend_from_slice(&bytes);
            }
            other => panic!("{other:?}"),
        }
    }
    all
}

#[tokio::test]
async fn an_accepted_connection_has_an_odd_name_and_all_its_bytes() {
    let mut driver = Setup::new().start(idle).await;
    for expected in [ConnId(1), ConnId(3)] {
        let mut stream = driver.dial().await;
        // The magic arrives in pieces.
        stream.set_nodelay(true).unwrap();
        for byte in b"VQT" {
            stream.write_all(&[*byte]).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(b"1 and more").await.unwrap();
        let Input::Accepted { conn, from } = driver.told().await else {
            panic!("it was not accepted");
        };
        assert_eq!(conn, expected);
        assert_eq!(from, stream.local_addr().unwrap());
        let bytes = received(&mut driver, conn, 13).await;
        assert_eq!(bytes, b"VQT1 and more");
        drop(stream);
        let reason = CloseReason::Ended;
        assert_eq!(driver.told().await, Input::Closed { conn, reason });
    }
}

#[tokio::test]
async fn a_connection_is_opened_used_and_closed() {
    let (listener, to) = peer().await;
    let conn = ConnId(2);
    let mut driver = Setup::new()
        .first(vec![Effect::Connect { conn, to }])
        .start(move |toy, _, input| match input {
            Input::Connected { conn, .. } => {
                for piece in [b"one ".as_slice(), b"two ", b"three"] {
                    toy.emit(Effect::Send {
                        conn: *conn,
                        bytes: piece.to_vec(),
                    });
                }
            }
            Input::Received { conn, .. } => toy.emit(Effect::Close { conn: *conn }),
            _ => {}
        })
        .await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let peer = listener.local_addr().unwrap();
    assert_eq!(driver.told().await, Input::Connected { conn, peer });
    let mut bytes = [0; 13];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"one two three");
    stream.write_all(b"bye").await.unwrap();
    assert_eq!(received(&mut driver, conn, 3).await, b"bye");
    assert_eq!(soon(stream.read(&mut bytes)).await.unwrap(), 0);
    // A connection that the machine closed is not told of again.
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}

#[tokio::test]
async fn where_nothing_listens_a_connection_is_refused() {
    let (listener, to) = peer().await;
    drop(listener);
    let conn = ConnId(4);
    let mut driver = Setup::new()
        .first(vec![Effect::Connect { conn, to }])
        .start(idle)
        .await;
    let reason = CloseReason::Refused;
    assert_eq!(driver.told().await, Input::Closed { conn, reason });
}

#[tokio::test]
async fn a_connection_closed_while_it_is_opened_is_never_told_of() {
    let (listener, to) = peer().await;
    let conn = ConnId(2);
    let mut driver = Setup::new()
        .first(vec![Effect::Connect { conn, to }, Effect::Close { conn }])
        .start(idle)
        .await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    assert!(read_to_end(&mut stream).await.is_empty());
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}

#[tokio::test]
async fn all_that_was_sent_arrives_before_the_end() {
    const LEN: usize = 3_000_000;
    let driver = Setup::new()
        .start(|toy, _, input| {
            if let Some(conn) = accepted(input) {
                for number in 0..30_u8 {
                    let bytes = vec![number; LEN / 30];
                    toy.emit(Effect::Send { conn, bytes });
                }
                toy.emit(Effect::Close { conn });
            }
        })
        .await;
    let mut stream = driver.dial().await;
    // More than the driver will ever read, so that closing would reset if it were careless.
    stream.write_all(b"VQT1").await.unwrap();
    stream.write_all(&[1; 10_000]).await.unwrap();
    let bytes = read_to_end(&mut stream).await;
    assert_eq!(bytes.len(), LEN);
    let expected = (0..30_u8).flat_map(|number| vec![number; LEN / 30]);
    assert!(bytes.into_iter().eq(expected));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off_and_not_waited_for() {
    let mut driver = Setup::new()
        .limits(|limits| limits.send_queue_bytes = 100_000)
        .start(|toy, _, input| {
            if let Some(conn) = accepted(input) {
                // More than all buffers of the operating system take.
                for _ in 0..1000 {
                    let bytes = vec![0; 50_000];
                    toy.emit(Effect::Send { conn, bytes });
                }
            }
        })
        .await;
    let mut stream = driver.dial().await;
    stream.write_all(b"VQT1").await.unwrap();
    let conn = accepted(&driver.told().await).unwrap();
    // Bytes that were read before may still come first.
    let reason = loop {
        match driver.told().await {
            Input::Closed { conn: of, reason } => {
                assert_eq!(of, conn);
                break reason;
            }
            Input::Received { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    let CloseReason::Broken(words) = reason else {
        panic!("{reason:?}");
    };
    assert!(words.contains("reads too slowly"), "{words}");
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}

#[tokio::test]
async fn a_peer_that_resets_is_broken_or_gone_but_told_once() {
    let mut driver = Setup::new().start(idle).await;
    let stream = driver.dial().await;
    stream.set_zero_linger().unwrap();
    let mut stream = stream;
    stream.write_all(b"VQT1").await.unwrap();
    let conn = accepted(&driver.told().await).unwrap();
    received(&mut driver, conn, 4).await;
    drop(stream);
    let Input::Closed { conn: of, reason } = driver.told().await else {
        panic!("its end was not told");
    };
    assert_eq!(of, conn);
    assert!(matches!(reason, CloseReason::Broken(_)), "{reason:?}");
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}

#[tokio::test]
async fn bytes_for_a_connection_that_never_was_vanish() {
    let conn = ConnId(99);
    let bytes = b"to nobody".to_vec();
    let mut driver = Setup::new()
        .first(vec![Effect::Send { conn, bytes }, Effect::Close { conn }])
        .start(idle)
        .await;
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
}
