use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use vaquita_core::ids::Endpoint;
use vaquita_core::io::Input;

use super::{Setup, accepted, idle, read_to_end, soon};
use crate::driver::{Closing, HttpService, Place, Rewound, Transport};
use crate::env::Env as _;
use crate::os_env::OsEnv;
use crate::tls::tests::serving_in;
use crate::tls::{Connector, PeerEnv, Peers, Trust};

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
        _: Place,
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

/// What a client begins a TLS handshake with.
async fn greeting() -> Vec<u8> {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let client = tokio::spawn(async move {
        let connector = Connector::new(Trust::nobody());
        connector.connect("localhost", ours).await.is_err()
    });
    let mut first = vec![0; 16 * 1024];
    let len = theirs.read(&mut first).await.unwrap();
    first.truncate(len);
    drop(theirs);
    assert!(client.await.unwrap());
    first
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
    // A record that never comes to its end, and a greeting after which nothing more comes.
    for first in [b"\x16\x03\x01\x02\x00\x01".to_vec(), greeting().await] {
        let mut stream = driver.dial().await;
        stream.write_all(&first).await.unwrap();
        read_to_end(&mut stream).await;
    }
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
async fn a_handshake_takes_a_place_and_gives_way_to_a_request_but_not_the_other_way() {
    let home = TempDir::new().unwrap();
    let driver = Setup::new()
        .limits(|limits| limits.http_connections_max = 1)
        .http(TellsHow)
        .tls(serving_in(home.path()))
        .start(idle)
        .await;
    // Whoever keeps a handshake open keeps nobody out.
    let mut holding = driver.dial().await;
    holding.write_all(&greeting().await).await.unwrap();
    let mut plain = driver.dial().await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut told = [0; 6];
    plain.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"Plain\n");
    read_to_end(&mut holding).await;
    // The place is taken by a request now: no handshake is begun beside it.
    let mut late = driver.dial().await;
    late.write_all(&greeting().await).await.unwrap();
    assert!(read_to_end(&mut late).await.is_empty());
    drop(plain);
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

/// The processes of one cluster.
fn members(number: u8) -> Peers {
    Peers::new(&crate::tls::tests::identity(number)).unwrap()
}

#[tokio::test]
async fn processes_of_the_cluster_reach_the_machine_through_tls_and_browsers_beside_them() {
    let home = TempDir::new().unwrap();
    let serving = serving_in(home.path());
    let mut driver = Setup::new()
        .http(TellsHow)
        .tls(serving.clone())
        .peers(members(7))
        .start(idle)
        .await;
    let stream = driver.dial().await;
    let mut stream = soon(members(7).connect(stream)).await.unwrap();
    stream.write_all(b"VQT1 and more").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
    let Input::Received { bytes, .. } = driver.told().await else {
        panic!("bytes of the node");
    };
    assert_eq!(bytes, b"VQT1 and more");

    let connector = Connector::new(Trust::Fingerprint(serving.facts().fingerprint));
    let stream = driver.dial().await;
    let mut stream = soon(connector.connect("127.0.0.1", stream)).await.unwrap();
    let mut word = [0; 4];
    soon(stream.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"Tls\n");
}

#[tokio::test]
async fn where_processes_speak_tls_a_plain_one_and_one_of_another_secret_reach_nothing() {
    let mut driver = Setup::new().peers(members(7)).start(idle).await;
    for first in [b"VQT1".as_slice(), b"VQD1VQT1"] {
        let mut plain = driver.dial().await;
        plain.write_all(first).await.unwrap();
        assert!(read_to_end(&mut plain).await.is_empty());
    }
    let stream = driver.dial().await;
    assert!(soon(members(8).connect(stream)).await.is_err());
    // The first that the machine hears of is a member.
    let stream = driver.dial().await;
    let mut stream = soon(members(7).connect(stream)).await.unwrap();
    stream.write_all(b"VQT1").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
}

#[tokio::test]
async fn a_process_that_speaks_tls_is_refused_where_the_others_do_not() {
    let home = TempDir::new().unwrap();
    let with_https = Setup::new().tls(serving_in(home.path())).start(idle).await;
    let without = Setup::new().start(idle).await;
    for driver in [with_https, without] {
        let stream = driver.dial().await;
        let refused = soon(members(7).connect(stream)).await.unwrap_err();
        assert_eq!(refused, crate::tls::Untrusted::Plain);
    }
}

#[tokio::test]
async fn a_machine_dials_through_tls_what_its_world_has_it_dial_so() {
    let accepting = Setup::new().peers(members(7)).start(idle).await;
    let at = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: accepting.address.port(),
    };
    let host = OsEnv::new().unwrap();
    let reached = soon(PeerEnv::new(host.clone(), Some(members(7))).connect(&at)).await;
    let (mut stream, _) = reached.unwrap();
    stream.write_all(b"VQT1").await.unwrap();
    stream.flush().await.unwrap();
    let mut accepting = accepting;
    assert!(accepted(&accepting.told().await).is_some());

    let wrong = soon(PeerEnv::new(host.clone(), Some(members(8))).connect(&at)).await;
    let wrong = wrong.err().unwrap().to_string();
    assert!(wrong.contains("another cluster secret"), "{wrong}");
    let plain = Setup::new().start(idle).await;
    let at = Endpoint {
        port: plain.address.port(),
        ..at
    };
    let mixed = soon(PeerEnv::new(host, Some(members(7))).connect(&at)).await;
    let mixed = mixed.err().unwrap().to_string();
    assert!(mixed.contains("enableRpcSSL"), "{mixed}");
}
