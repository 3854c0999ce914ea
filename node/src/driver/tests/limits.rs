use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::{ExitCode, Input};

use super::{Setup, accepted, idle, read_to_end, soon};
use crate::driver::{Closing, DriverLimits, HttpService, Place, Rewound, Transport, bind};
use crate::env::Env;
use crate::os_env::OsEnv;

/// Answers each line with the line and the peer's address; ends when told to.
#[derive(Clone)]
struct EchoLines;

impl HttpService for EchoLines {
    async fn serve<S>(
        &self,
        mut stream: Rewound<S>,
        _: Transport,
        peer: SocketAddr,
        mut closing: Closing,
        _: Place,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut line = Vec::new();
        loop {
            let byte = tokio::select! {
                biased;
                () = closing.begun() => {
                    let _ = stream.write_all(b"closing\n").await;
                    let _ = stream.shutdown().await;
                    return;
                }
                byte = stream.read_u8() => byte,
            };
            match byte {
                Ok(b'\n') => {
                    let answer = format!("{} for {peer}\n", String::from_utf8_lossy(&line));
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    line.clear();
                }
                Ok(byte) => line.push(byte),
                Err(_) => return,
            }
        }
    }
}

async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    loop {
        match soon(stream.read_u8()).await.unwrap() {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

#[tokio::test]
async fn http_gets_the_bytes_that_were_looked_at() {
    let driver = Setup::new().http(EchoLines).start(idle).await;
    let mut stream = driver.dial().await;
    stream.write_all(b"GET / HTTP/1.1\n").await.unwrap();
    let own = stream.local_addr().unwrap();
    assert_eq!(line(&mut stream).await, format!("GET / HTTP/1.1 for {own}"));
}

#[tokio::test]
async fn http_is_told_that_the_process_ends_and_is_waited_for() {
    let driver = Setup::new()
        .http(EchoLines)
        .start(|toy, _, input| {
            if *input == Input::Terminate {
                toy.exit("done");
            }
        })
        .await;
    let mut stream = driver.dial().await;
    stream.write_all(b"GET\n").await.unwrap();
    line(&mut stream).await;
    driver.terminator.terminate();
    assert_eq!(line(&mut stream).await, "closing");
    assert_eq!(driver.ended().await.message, "done");
    // The port is free for the next process.
    assert!(
        TcpStream::connect(stream.peer_addr().unwrap())
            .await
            .is_err()
    );
}

/// Never ends of itself.
#[derive(Clone)]
struct Stubborn;

impl HttpService for Stubborn {
    async fn serve<S>(&self, _stream: Rewound<S>, _: Transport, _: SocketAddr, _: Closing, _: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_service_that_does_not_end_is_not_waited_for_after_a_second_call() {
    let mut driver = Setup::new()
        .limits(|limits| limits.farewell = Duration::from_secs(3600))
        .http(Stubborn)
        .start(idle)
        .await;
    let mut stream = driver.dial().await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    driver.terminator.terminate();
    assert_eq!(driver.told().await, Input::Terminate);
    driver.terminator.terminate();
    assert!(driver.ended().await.message.contains("second call"));
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn tls_and_the_reserved_protocol_are_closed_without_an_answer() {
    let driver = Setup::new().http(EchoLines).start(idle).await;
    for first in [b"\x16\x03\x01".as_slice(), b"API 0 8\nrest"] {
        let mut stream = driver.dial().await;
        stream.write_all(first).await.unwrap();
        assert!(read_to_end(&mut stream).await.is_empty());
    }
}

#[tokio::test]
async fn a_process_that_keeps_no_chunks_closes_data_connections() {
    let driver = Setup::new().http(EchoLines).start(idle).await;
    let mut stream = driver.dial().await;
    stream.write_all(b"VQD1VQT1").await.unwrap();
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_next_finds_room_again() {
    let driver = Setup::new()
        .limits(|limits| limits.connections_max = 2)
        .http(EchoLines)
        .start(idle)
        .await;
    let mut first = driver.dial().await;
    let mut second = driver.dial().await;
    for stream in [&mut first, &mut second] {
        stream.write_all(b"hello\n").await.unwrap();
        line(stream).await;
    }
    let mut third = driver.dial().await;
    third.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    third.shutdown().await.unwrap();
    let refusal = String::from_utf8(read_to_end(&mut third).await).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(
        refusal.ends_with(
            "Maximum connections 2 reached. Close unused connections or increase maxConnections \
             limit. RefId:S00006\n"
        ),
        "{refusal}"
    );
    first.shutdown().await.unwrap();
    assert!(read_to_end(&mut first).await.is_empty());
    // The place is free once the service has noticed; until then the answer is the refusal.
    loop {
        let mut stream = driver.dial().await;
        stream.write_all(b"again\n").await.unwrap();
        if line(&mut stream).await.starts_with("again") {
            break;
        }
    }
}

#[tokio::test]
async fn browsers_do_not_take_the_room_of_nodes() {
    let mut driver = Setup::new()
        .limits(|limits| limits.http_connections_max = 1)
        .http(EchoLines)
        .start(idle)
        .await;
    let mut browser = driver.dial().await;
    browser.write_all(b"hello\n").await.unwrap();
    line(&mut browser).await;
    let mut another = driver.dial().await;
    another.write_all(b"hello\n").await.unwrap();
    another.shutdown().await.unwrap();
    let refusal = String::from_utf8(read_to_end(&mut another).await).unwrap();
    assert!(
        refusal.contains("1 HTTP requests are under way"),
        "{refusal}"
    );
    let mut node = driver.dial().await;
    node.write_all(b"VQT1").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
}

#[tokio::test]
async fn where_others_have_all_the_room_members_come_in_and_nobody_else() {
    let mut driver = Setup::new()
        .limits(|limits| limits.connections_max = 1)
        .http(EchoLines)
        .start(idle)
        .await;
    let mut browser = driver.dial().await;
    browser.write_all(b"hello\n").await.unwrap();
    line(&mut browser).await;
    let mut node = driver.dial().await;
    node.write_all(b"VQT1").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
    let mut another = driver.dial().await;
    another.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    another.shutdown().await.unwrap();
    let refusal = String::from_utf8(read_to_end(&mut another).await).unwrap();
    assert!(
        refusal.contains("Maximum connections 1 reached"),
        "{refusal}"
    );
}

#[tokio::test]
async fn too_many_nodes_are_turned_away() {
    let mut driver = Setup::new()
        .limits(|limits| limits.node_connections_max = 1)
        .start(idle)
        .await;
    let mut first = driver.dial().await;
    first.write_all(b"VQT1").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
    let mut second = driver.dial().await;
    second.write_all(b"VQT1").await.unwrap();
    assert!(read_to_end(&mut second).await.is_empty());
}

#[tokio::test]
async fn of_those_who_say_nothing_the_oldest_gives_way() {
    let mut driver = Setup::new()
        .limits(|limits| limits.sniffing_max = 2)
        .start(idle)
        .await;
    let mut oldest = driver.dial().await;
    let mut second = driver.dial().await;
    let _third = driver.dial().await;
    assert!(read_to_end(&mut oldest).await.is_empty());
    second.write_all(b"VQT1").await.unwrap();
    assert!(accepted(&driver.told().await).is_some());
}

#[tokio::test]
async fn a_held_port_is_told_with_its_holder() {
    let env = OsEnv::new().unwrap();
    let limits = DriverLimits {
        bind_patience: Duration::ZERO,
        ..DriverLimits::default()
    };
    let at = Endpoint {
        host: "127.0.0.6".to_owned(),
        port: 0,
    };
    let first = bind(&env, &at, &limits).await.unwrap();
    let port = first.address().port();
    let at = Endpoint { port, ..at };
    let exit = bind(&env, &at, &limits).await.unwrap_err();
    assert_eq!(exit.code, ExitCode::Unavailable);
    let start = format!(
        "Failed to bind the socket on {port}: {at} is held by pid {} (",
        std::process::id()
    );
    assert!(exit.message.starts_with(&start), "{exit:?}");
}

#[tokio::test]
async fn a_port_that_only_udp_lacks_is_held_as_well() {
    let env = OsEnv::new().unwrap();
    let limits = DriverLimits {
        bind_patience: Duration::ZERO,
        ..DriverLimits::default()
    };
    let at = Endpoint {
        host: "127.0.0.7".to_owned(),
        port: 0,
    };
    let first = bind(&env, &at, &limits).await.unwrap();
    let at = Endpoint {
        port: first.address().port(),
        ..at
    };
    let crate::driver::Port { listener, udp, .. } = first;
    drop(listener);
    let exit = bind(&env, &at, &limits).await.unwrap_err();
    assert!(exit.message.contains("is held by pid"), "{exit:?}");
    drop(udp);
}

#[tokio::test]
async fn a_port_is_waited_for_while_its_holder_ends() {
    let env = OsEnv::new().unwrap();
    let limits = DriverLimits {
        bind_retry: Duration::from_millis(1),
        ..DriverLimits::default()
    };
    let at = Endpoint {
        host: "127.0.0.8".to_owned(),
        port: 0,
    };
    let first = bind(&env, &at, &limits).await.unwrap();
    let at = Endpoint {
        port: first.address().port(),
        ..at
    };
    let waiting = tokio::spawn({
        let env = env.clone();
        let at = at.clone();
        async move { bind(&env, &at, &limits).await }
    });
    // It has found the port held once it has looked for the holder, which takes several turns.
    assert!(soon(env.port_holder(&at)).await.is_some());
    assert!(!waiting.is_finished());
    drop(first);
    let second = soon(waiting).await.unwrap().unwrap();
    assert_eq!(second.address().port(), at.port);
}

#[tokio::test]
async fn an_address_of_another_host_is_refused_with_the_cure() {
    let env = OsEnv::new().unwrap();
    // An address for documentation, which no host has.
    let at = Endpoint {
        host: "192.0.2.1".to_owned(),
        port: 8990,
    };
    let exit = bind(&env, &at, &DriverLimits::default()).await.unwrap_err();
    assert_eq!(exit.code, ExitCode::Unavailable);
    assert!(
        exit.message.contains("correct the host in localSite"),
        "{exit:?}"
    );
}
