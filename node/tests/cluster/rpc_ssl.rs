//! A cluster whose processes speak TLS with one another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::rig::{Cluster, KIB, assert_same, content};

/// The bytes from 0 to 31, and from 1 to 32.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const OTHER: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n";

fn give_secret(cluster: &Cluster, host: &str, secret: &str) {
    let path = cluster.path(&format!("{host}/config/cluster.secret"));
    fs::write(&path, secret).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Two hosts with the secret, and with the key in the files of these.
fn two_hosts(with_tls: &[&str]) -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    for host in ["P4", "P1", "P2"] {
        give_secret(&cluster, host, SECRET);
        let file = match host {
            "P4" => "controller.cfg",
            _ => "agent.cfg",
        };
        if with_tls.contains(&host) {
            cluster.add_line(&format!("{host}/config/{file}"), "enableRpcSSL=1");
        }
    }
    cluster
}

#[tokio::test]
async fn processes_that_speak_tls_keep_files_on_several_hosts() {
    let mut cluster = two_hosts(&["P4", "P1", "P2"]);
    cluster.replace(
        "P4/config/controller.cfg",
        "dfsReplicationFactor=1",
        "dfsReplicationFactor=2",
    );
    cluster.start_all().await;
    cluster.vaquita("node start --all --wait").await.ok();
    let bytes = content(1, 300 * KIB);
    fs::write(cluster.path("a file"), &bytes).unwrap();
    let from = cluster.path("a file").display().to_string();
    // The second replica goes from one data node to the other.
    let put = cluster.until("both volumes are there", async || {
        let put = ["dfs", "put", &from, "/a"];
        let ran = cluster.place.run_words(&put, "").await;
        (ran.status == 0).then_some(())
    });
    put.await;
    for node in ["1:8961", "3:8961"] {
        let server = format!("{}.{node}", cluster.subnet);
        let to = cluster.path(node).display().to_string();
        let get = ["dfs", "get", "/a", &to, "--server", &server];
        let words = ["login", "--password-stdin", "--server", &server];
        cluster.place.run_words(&words, "long enough\n").await.ok();
        cluster.place.run_words(&get, "").await.ok();
        assert_same(&fs::read(&to).unwrap(), &bytes, "a");
    }
    // An agent that is started anew finds its data node again, as one that spoke plainly would.
    let agent = cluster.take("P1");
    crate::rig::kill(agent.pid);
    drop(agent);
    cluster.start_agent("P1");
    cluster
        .until_row("P1-agent", |row| row.state == "online")
        .await;
    cluster.vaquita("node stop P1-NODE1 --wait").await.ok();
    cluster.vaquita("node start P1-NODE1 --wait").await.ok();
}

#[tokio::test]
async fn one_that_speaks_plainly_is_refused_by_those_that_speak_tls_and_their_log_says_why() {
    let mut cluster = two_hosts(&["P4", "P1"]);
    cluster.start_all().await;
    cluster
        .until_row("P1-agent", |row| row.state == "online")
        .await;
    let told = cluster.until_log(
        "P4/log/controller.log",
        "a process that does not speak TLS with others",
    );
    assert!(told.await.contains("enableRpcSSL=1"));
    assert_ne!(cluster.row("P2-agent").await.state, "online");
}

#[tokio::test]
async fn one_that_speaks_tls_is_refused_by_those_that_speak_plainly_and_both_say_why() {
    let mut cluster = two_hosts(&["P1"]);
    cluster.start_all().await;
    cluster
        .until_row("P2-agent", |row| row.state == "online")
        .await;
    cluster
        .until_log("P4/log/controller.log", "`enableRpcSSL` has to be the same")
        .await;
    cluster
        .until_log("P1/log/agent.log", "`enableRpcSSL` has to be the same")
        .await;
    assert_ne!(cluster.row("P1-agent").await.state, "online");
}

#[tokio::test]
async fn one_with_another_secret_is_refused_in_the_handshake() {
    let mut cluster = two_hosts(&["P4", "P1", "P2"]);
    give_secret(&cluster, "P2", OTHER);
    cluster.start_all().await;
    cluster
        .until_row("P1-agent", |row| row.state == "online")
        .await;
    cluster
        .until_log("P2/log/agent.log", "it has another cluster secret")
        .await;
    assert_ne!(cluster.row("P2-agent").await.state, "online");
}
