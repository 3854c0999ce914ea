use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vaquita_core::ids::ConnId;
use vaquita_core::time::Timestamp;

use crate::driver::DriverLimits;
use crate::driver::connection::{ConnEvent, converse, line};
use crate::driver::rewound::Rewound;
use crate::driver::sniff::{Protocol, Unknown, classify, sniff};
use crate::driver::throttle::Throttle;
use crate::driver::turns::{Source, Turns};

#[test]
fn the_first_bytes_tell_the_protocol_or_that_more_are_needed() {
    assert_eq!(classify(b""), None);
    assert_eq!(classify(b"V"), None);
    assert_eq!(classify(b"VQT"), None);
    assert_eq!(classify(b"VQT1"), Some(Protocol::Node));
    assert_eq!(classify(b"VQT1\0\0"), Some(Protocol::Node));
    assert_eq!(classify(b"VQ"), None);
    assert_eq!(classify(b"VQD"), None);
    assert_eq!(classify(b"VQD1"), Some(Protocol::Data));
    assert_eq!(classify(b"VQD2"), Some(Protocol::Http));
    assert_eq!(classify(b"VQT2"), Some(Protocol::Http));
    assert_eq!(classify(b"VERSION-CONTROL /"), Some(Protocol::Http));
    assert_eq!(classify(b"A"), None);
    assert_eq!(classify(b"API"), Some(Protocol::Api));
    assert_eq!(classify(b"ACL / HTTP/1.1"), Some(Protocol::Http));
    assert_eq!(classify(b"\x16"), Some(Protocol::Tls));
    assert_eq!(classify(b"G"), Some(Protocol::Http));
    assert_eq!(classify(b"\xff\xfe"), Some(Protocol::Http));
}

proptest! {
    #[test]
    fn four_bytes_are_always_enough(first: [u8; 4]) {
        prop_assert!(classify(&first).is_some());
    }

    #[test]
    fn more_bytes_never_change_the_answer(first: Vec<u8>, more: Vec<u8>) {
        if let Some(protocol) = classify(&first) {
            let longer = [first, more].concat();
            prop_assert_eq!(classify(&longer), Some(protocol));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up_in_time() {
    let (mut stream, _peer) = duplex(64);
    let begun = Instant::now();
    let patience = Duration::from_secs(5);
    assert_eq!(sniff(&mut stream, patience).await, Err(Unknown::Silent));
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_trickles_is_given_up_as_well() {
    let (mut stream, mut peer) = duplex(64);
    let begun = Instant::now();
    let trickle = async {
        for byte in b"VQT" {
            peer.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        sniffed = sniff(&mut stream, Duration::from_secs(5)) => {
            assert_eq!(sniffed, Err(Unknown::Silent));
        }
        () = trickle => {}
    }
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_connection_that_ends_early_is_no_protocol() {
    let (mut stream, mut peer) = duplex(64);
    peer.write_all(b"VQ").await.unwrap();
    drop(peer);
    let sniffed = sniff(&mut stream, Duration::from_secs(5)).await;
    assert_eq!(sniffed, Err(Unknown::Left));
}

#[tokio::test]
async fn bytes_put_back_come_first_whatever_the_size_of_the_reads() {
    let (stream, mut peer) = duplex(64);
    let mut stream = Rewound::new(Bytes::from_static(b"abcdef"), stream);
    peer.write_all(b"ghi").await.unwrap();
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"ab");
    drop(peer);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"cdefghi");
}

#[test]
fn a_source_that_never_dries_up_waits_for_the_others() {
    let mut turns = Turns::new();
    let mut served = 0;
    while turns.may(Source::Datagrams) {
        turns.took(Source::Datagrams);
        served += 1;
    }
    assert_eq!(served, 64);
    assert!(turns.somebody_waits());
    assert!(turns.may(Source::Requests));
    turns.next_round();
    assert!(turns.may(Source::Datagrams));
    assert!(!turns.somebody_waits());
}

#[test]
fn a_line_that_strangers_can_cause_is_written_now_and_then() {
    let mut throttle = Throttle::default();
    let at = |seconds| Timestamp::ZERO.after(Duration::from_secs(seconds));
    assert_eq!(throttle.admit(at(1)).as_deref(), Some(""));
    assert_eq!(throttle.admit(at(2)), None);
    assert_eq!(throttle.admit(at(10)), None);
    let text = throttle.admit(at(11)).unwrap();
    assert_eq!(text, " (and 2 more like it since the last such line)");
    assert_eq!(throttle.admit(at(60)).as_deref(), Some(""));
}

#[tokio::test]
async fn a_closed_connection_is_read_on_so_that_nothing_is_taken_back() {
    let (stream, mut peer) = duplex(64);
    let limits = DriverLimits::default();
    let (line, outbox) = line(&limits);
    let (events, _told) = mpsc::channel(64);
    let task = tokio::spawn(async move {
        converse(ConnId(1), stream, Bytes::new(), outbox, &events, &limits).await;
    });
    line.send(vec![7; 1000], &DriverLimits::default()).unwrap();
    drop(line);
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, [7; 1000]);
    // More than fits between the two: somebody still reads.
    peer.write_all(&[1; 1000]).await.unwrap();
    drop(peer);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_not_read_on_for_ever() {
    let (stream, mut peer) = duplex(64);
    let limits = DriverLimits::default();
    let (line, outbox) = line(&limits);
    let (events, _told) = mpsc::channel(64);
    drop(line);
    let begun = Instant::now();
    converse(ConnId(1), stream, Bytes::new(), outbox, &events, &limits).await;
    assert_eq!(begun.elapsed(), limits.linger);
    assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_in_time() {
    let (stream, _peer) = duplex(64);
    let limits = DriverLimits::default();
    let (line, outbox) = line(&limits);
    let (events, mut told) = mpsc::channel(64);
    line.send(vec![7; 1000], &limits).unwrap();
    let begun = Instant::now();
    converse(ConnId(1), stream, Bytes::new(), outbox, &events, &limits).await;
    assert_eq!(begun.elapsed(), limits.write_timeout);
    let Some(ConnEvent::Ended { reason, .. }) = told.recv().await else {
        panic!("its end was not told");
    };
    assert_eq!(reason.to_string(), "the peer took no bytes for 10 s");
}
