//! Many clients at a time, and the cluster goes on as if there were none. How long heartbeats are on their
//! way meanwhile is measured by `crowd` of `vaquita-bench`.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::rig::{Cluster, Connection};

const SLOW: usize = 200;
const ASKERS: usize = 4;
/// Together some thousands: as many as a server takes in a few seconds.
const POLLS_OF_EACH: usize = 1500;
/// A connection carries a thousand requests at most.
const POLLS_OF_A_CONNECTION: usize = 900;

#[tokio::test]
async fn two_hundred_slow_clients_and_thousands_of_polls_delay_no_heartbeat() {
    let mut cluster = Cluster::of_seed();
    let file = "P4/config/controller.cfg";
    cluster.replace(file, "maxConnections=128", "maxConnections=512");
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let before = cluster.rows().await;

    // Each has begun a request and never gets on with it. There are more of them than places.
    let site = format!("{}.7:8990", cluster.subnet);
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        #[expect(clippy::disallowed_methods, reason = "a client of its own")]
        let mut stream = TcpStream::connect(&site).await.unwrap();
        // One that has given way to others by now may be written to in vain.
        let _ = stream
            .write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: loc")
            .await;
        slow.push(stream);
    }
    // Whoever asks properly finds room, again and again.
    let token = cluster.token();
    let askers = (0..ASKERS).map(|_| tokio::spawn(ask(site.clone(), token.clone())));
    let askers: Vec<_> = askers.collect();
    // A byte more now and then keeps the slow ones slow, not idle.
    for byte in [b"a", b"l", b"h", b"o", b"s", b"t"] {
        for stream in &mut slow {
            // The server may have given up on one by now, which is its right.
            let _ = stream.write_all(byte).await;
        }
        tokio::task::yield_now().await;
    }
    for asker in askers {
        asker.await.unwrap();
    }
    // Nobody was taken for slow, let alone for dead: the processes are the same, with the same leases.
    let after = cluster.rows().await;
    for (was, is) in before.iter().zip(&after) {
        assert_eq!((&is.alias, is.state.as_str()), (&was.alias, "online"));
        assert_eq!((is.pid, is.epoch), (was.pid, was.epoch), "{}", is.alias);
    }
    let log = cluster.read("P4/log/controller.log");
    assert!(!log.contains("has gone offline"), "{log}");
    drop(slow);
}

/// Asks for the state again and again; each answer says that all nodes are there.
async fn ask(site: String, token: String) {
    let request = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: {site}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut connection = Connection::open(&site).await;
    for nth in 1..=POLLS_OF_EACH {
        let answer = connection.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: serde_json::Value = serde_json::from_str(body).unwrap();
        for row in status["nodes"].as_array().unwrap() {
            let serves = row["state"] == "online" || row["state"] == "suspect";
            assert!(serves, "{row}");
        }
        if nth % POLLS_OF_A_CONNECTION == 0 {
            connection = Connection::open(&site).await;
        }
    }
}
