use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Setup, idle, read_to_end, soon};
use crate::driver::{Closing, HttpService, Rewound, Transport};
use crate::tls::tests::serving_in;
use crate::tls::{Connector, Trust};

/// Says how each connection came, and waits for its end.
#[derive(Clone)]
struct TellsHow;

impl HttpService for TellsHow {
    async fn serve<S>(
        &self,
        mut stream: Rewound<S>,
        transport: Transport,
        _: SocketAddr,
        mut closing: Closing,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let words = format!("{transport:?}\n");
        stream.write_all(words.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut rest = Vec::new();
        tokio::select! {
            _ = stream.read_to_end(&mut rest) => {}
            () = closing.begun() => {}
        }
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn one_port_serves_tls_and_tells_what_came_in_the_clear_from_it() {
    let home = TempDir::new().unwrap();
    let serving = serving_in(home.path());
    let driver = Setup::new()
        .http(TellsHow)
        .tls(serving.clone())
        .start(idle)
        .await;
    let mut plain = driver.dial().await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    plain.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut plain).await, b"Plain\n");

    let connector = Connector::new(Trust::Fingerprint(serving.facts().fingerprint));
    let stream = driver.dial().await;
    let mut stream = soon(connector.connect("127.0.0.1", stream)).await.unwrap();
    let mut word = [0; 4];
    soon(stream.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"Tls\n");
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_handshake_that_stands_still_is_closed() {
    let home = TempDir::new().unwrap();
    let driver = Setup::new()
        .limits(|limits| limits.tls_timeout = Duration::from_millis(20))
        .http(TellsHow)
        .tls(serving_in(home.path()))
        .start(idle)
        .await;
    // The beginning of a record that never comes to its end.
    let mut stream = driver.dial().await;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_and_reaches_nobody() {
    let home = TempDir::new().unwrap();
    let driver = Setup::new()
        .http(TellsHow)
        .tls(serving_in(home.path()))
        .start(idle)
        .await;
    let mut stream = driver.dial().await;
    stream
        .write_all(b"\x16\x03\x01\x00\x05GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    // An alert at most.
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
}

#[tokio::test]
async fn a_handshake_takes_the_place_of_an_http_connection() {
    let home = TempDir::new().unwrap();
    let driver = Setup::new()
        .limits(|limits| limits.http_connections_max = 1)
        .http(TellsHow)
        .tls(serving_in(home.path()))
        .start(idle)
        .await;
    let mut holding = driver.dial().await;
    holding
        .write_all(b"\x16\x03\x01\x02\x00\x01")
        .await
        .unwrap();
    // Until the first one has been looked at there is room.
    loop {
        let mut plain = driver.dial().await;
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        plain.shutdown().await.unwrap();
        let answer = String::from_utf8(read_to_end(&mut plain).await).unwrap();
        if answer.contains("1 HTTP connections are open") {
            break;
        }
    }
    drop(holding);
    loop {
        let mut plain = driver.dial().await;
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        plain.shutdown().await.unwrap();
        if read_to_end(&mut plain).await == b"Plain\n" {
            break;
        }
    }
}

#[tokio::test]
async fn the_end_of_the_process_does_not_wait_for_a_handshake() {
    let home = TempDir::new().unwrap();
    let driver = Setup::new()
        .limits(|limits| limits.tls_timeout = Duration::from_secs(3600))
        .limits(|limits| limits.farewell = Duration::from_secs(3600))
        .http(TellsHow)
        .tls(serving_in(home.path()))
        .start(|toy, _, input| {
            if *input == vaquita_core::io::Input::Terminate {
                toy.exit("ends");
            }
        })
        .await;
    let mut stream = driver.dial().await;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    driver.terminator.terminate();
    driver.ended().await;
    assert!(read_to_end(&mut stream).await.is_empty());
}
