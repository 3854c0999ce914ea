use tokio::net::UdpSocket;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::{Destination, Effect, Input};

use super::{Setup, idle, soon};

#[tokio::test]
async fn a_datagram_is_answered_from_the_same_port() {
    let mut driver = Setup::new()
        .start(|toy, _, input| {
            if let Input::Datagram { from, bytes } = input {
                let mut bytes = bytes.clone();
                bytes.reverse();
                let to = Destination::Address(*from);
                toy.emit(Effect::SendDatagram { to, bytes });
            }
        })
        .await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"beat", driver.address).await.unwrap();
    let Input::Datagram { from, bytes } = driver.told().await else {
        panic!("no datagram");
    };
    assert_eq!(from, socket.local_addr().unwrap());
    assert_eq!(bytes, b"beat");
    let mut buffer = [0; 64];
    let (len, from) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..len], b"taeb");
    assert_eq!(from, driver.address);
}

#[tokio::test]
async fn datagrams_to_a_name_wait_for_its_address_and_no_longer() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = Endpoint {
        host: "localhost".to_owned(),
        port: socket.local_addr().unwrap().port(),
    };
    let send = |text: &str| Effect::SendDatagram {
        to: Destination::Endpoint(to.clone()),
        bytes: text.into(),
    };
    // Two wait while the name is looked up; the oldest gave way.
    let driver = Setup::new()
        .limits(|limits| limits.unresolved_datagrams = 2)
        .first(vec![send("first"), send("second"), send("third")])
        .start({
            let later = send("later");
            move |toy, _, input| {
                if *input == Input::Terminate {
                    toy.emit(later.clone());
                }
            }
        })
        .await;
    let mut buffer = [0; 64];
    for expected in ["second", "third"] {
        let (len, _) = soon(socket.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..len], expected.as_bytes());
    }
    driver.terminator.terminate();
    let (len, _) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..len], b"later");
}

#[tokio::test]
async fn a_name_without_an_address_costs_its_own_datagrams_only() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let nowhere = Endpoint {
        host: "x".repeat(300),
        port: 1,
    };
    let _driver = Setup::new()
        .first(vec![
            Effect::SendDatagram {
                to: Destination::Endpoint(nowhere),
                bytes: b"lost".to_vec(),
            },
            Effect::SendDatagram {
                to: Destination::Address(socket.local_addr().unwrap()),
                bytes: b"arrives".to_vec(),
            },
        ])
        .start(idle)
        .await;
    let mut buffer = [0; 64];
    let (len, _) = soon(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..len], b"arrives");
}
