//! The data plane on the operating system: real sockets, real files.

use std::path::Path;

use tempfile::TempDir;
use vaquita_core::dfs::digest::Summary;
use vaquita_core::ids::{Alias, Endpoint};

use super::node::{Node, Setup};
use super::{MIB, bytes, token, version};
use crate::data::{Peer, Wanted};
use crate::os_env::OsEnv;

async fn node(env: &OsEnv, name: &str, home: &Path) -> Node<OsEnv> {
    let peer = Peer {
        alias: Alias::new(name).unwrap(),
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 0,
        },
    };
    Node::on(env, peer, home, Setup::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_go_to_the_disks_of_two_nodes_and_come_back() {
    let env = OsEnv::new().unwrap();
    let homes = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let one = node(&env, "one", homes[0].path()).await;
    let two = node(&env, "two", homes[1].path()).await;
    let peers = [one.peer.clone(), two.peer.clone()];
    for (number, len) in [(1, 5000), (2, 3 * MIB + 5)] {
        let content = bytes(len);
        let len = Some(len as u64);
        let token = token(number, content.len());
        let mut storing = one.data.store(&token, &peers, len).await.unwrap();
        storing.write(content.clone()).await.unwrap();
        let stored = storing.finish().await;
        assert_eq!(stored.lost, []);
        let summary = Summary::of(&content);
        let wanted = Wanted {
            version: version(number),
            len: summary.len,
            digest: summary.digest,
            even_damaged: false,
        };
        for peer in &peers {
            let fetching = one.data.fetch(peer, wanted, 0, u64::MAX).await;
            let mut fetching = fetching.unwrap();
            let mut got = Vec::new();
            while let Some(piece) = fetching.next().await {
                got.extend_from_slice(&piece.unwrap());
            }
            assert!(got == content);
        }
    }
    let volume = homes[1].path().join("volume0");
    let files = std::fs::read_dir(volume).unwrap().count();
    // Two chunks and the lock.
    assert_eq!(files, 3);
    for node in [one, two] {
        node.terminator.terminate();
        node.exit.await.unwrap();
    }
}
