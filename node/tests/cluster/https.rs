//! A cluster that serves HTTPS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vaquita_node::tls::{Connector, Trust};

use crate::rig::{Cluster, KIB, SECRET, assert_same, content, hang_up};

const LOG: &str = "P4/log/controller.log";
const DENIED: i32 = 77;

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Two hosts whose processes all serve HTTPS, started; commands are told to use it.
async fn started() -> Cluster {
    let mut cluster = Cluster::of_seed();
    cluster.keep_two_hosts();
    cluster.serve_https(&["P1", "P2"]);
    cluster.start_agents();
    cluster.start_controller();
    cluster
}

/// The fingerprint in the last line of the controller's log that tells one.
fn fingerprint(cluster: &Cluster) -> String {
    let log = cluster.read(LOG);
    let mut lines = log.lines().rev();
    let line = lines
        .find(|line| line.contains("SHA-256 fingerprint"))
        .unwrap();
    let (_, rest) = line.split_once("fingerprint ").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

/// Changes the first password at a server that is known by its fingerprint.
async fn change_password(cluster: &Cluster, print: &str) {
    let line = format!("user passwd admin --password-stdin --fingerprint {print}");
    let passwords = "123456\nlong enough\n";
    let changed = cluster.until("the controller answers", async || {
        let ran = cluster.place.run_with(&line, passwords).await;
        (ran.status == 0).then_some(())
    });
    changed.await;
}

#[tokio::test]
async fn everything_goes_over_https_and_nothing_that_came_in_the_clear_is_done() {
    let cluster = started().await;
    cluster.until_log(LOG, "SHA-256 fingerprint").await;

    // Whoever knows nothing of the server is told what it showed, and has sent no password.
    let refused = cluster.until("the controller answers", async || {
        let ran = cluster
            .place
            .run_with("login --password-stdin", "123456\n")
            .await;
        (ran.status == DENIED).then_some(ran)
    });
    let refused = refused.await.failed(DENIED);
    let print = fingerprint(&cluster);
    assert!(refused.contains(&print), "{refused}");
    assert!(refused.contains("--fingerprint"), "{refused}");
    let wrong = print.replace('A', "B").replace('0', "1");
    let line = format!("login --password-stdin --fingerprint {wrong}");
    let refused = cluster.place.run_with(&line, "123456\n").await;
    refused.failed(DENIED);

    // What the log tells is enough, once; the data nodes are known by the controller's word.
    change_password(&cluster, &print).await;
    cluster.vaquita("node start --all --wait").await.ok();
    let bytes = content(1, 300 * KIB);
    fs::write(cluster.path("a file"), &bytes).unwrap();
    let from = cluster.path("a file").display().to_string();
    let to = cluster.path("another").display().to_string();
    let put = cluster.until("the volumes are there", async || {
        let put = ["dfs", "put", &from, "/a"];
        let ran = cluster.place.run_words(&put, "").await;
        (ran.status == 0).then_some(())
    });
    put.await;
    cluster
        .place
        .run_words(&["dfs", "get", "/a", &to], "")
        .await
        .ok();
    assert_same(&fs::read(&to).unwrap(), &bytes, "a");

    // All processes of a host share a certificate, and its key is for nobody else.
    let keys = fs::read_dir(cluster.path("P1/data/keys")).unwrap();
    let mut keys: Vec<_> = keys.map(|it| it.unwrap().file_name()).collect();
    keys.sort();
    assert_eq!(keys, ["server.crt", "server.pem"]);
    let ca = cluster
        .path("P1/data/keys/server.crt")
        .display()
        .to_string();
    // Whoever begins at a data node is led to the controller, and knows it by what the node says.
    let node = format!("https://{}.1:8961", cluster.subnet);
    let words = ["login", "--password-stdin", "--server", &node, "--ca", &ca];
    let by_node = cluster.place.run_words(&words, "long enough\n").await.ok();
    let controller = format!("logged in at https://{}.7:8990", cluster.subnet);
    assert!(by_node.contains(&controller), "{by_node}");
    cluster.vaquita("node list").await.ok();

    // In the clear: a reader is led on, an order is not carried out.
    let authority = format!("{}.7:8990", cluster.subnet);
    let mut reader = cluster.connect("7:8990").await;
    let answer = reader.get("/api/v1/nodes", &authority).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let place = format!("location: https://{authority}/api/v1/nodes");
    assert!(answer.to_lowercase().contains(&place), "{answer}");
    let shown = cluster.get("7:8990", "/api/v1/nodes").await;
    assert!(shown.starts_with("HTTP/1.1 403 "), "{shown}");
    let order = r#"{"all":true}"#;
    let request = format!(
        "POST /api/v1/nodes/stop HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{order}",
        cluster.token(),
        order.len()
    );
    let answer = cluster.connect("7:8990").await.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("https-required"), "{answer}");
    let rows = cluster.rows().await;
    assert!(rows.iter().all(|row| row.state == "online"), "{rows:?}");
    let plain = format!("node list --server http://{authority}");
    let refused = cluster.vaquita(&plain).await.failed(DENIED);
    assert!(
        refused.contains("not logged in") || refused.contains("https"),
        "{refused}"
    );
    // Without a scheme, what was logged in to is meant.
    cluster
        .vaquita(&format!("node list --server {authority}"))
        .await
        .ok();

    // A browser's files come through the controller, which knows its data nodes by the cluster's key.
    let answer = by_browser(&cluster, &print, "/dfs/a").await;
    let head_end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..head_end]);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_same(&answer[head_end + 4..], &bytes, "a");
}

/// What a browser that has compared the fingerprint gets of the controller, with its session's cookie.
async fn by_browser(cluster: &Cluster, print: &str, path: &str) -> Vec<u8> {
    let host = format!("{}.7", cluster.subnet);
    #[expect(clippy::disallowed_methods, reason = "a client of its own")]
    let stream = tokio::net::TcpStream::connect((host.as_str(), 8990))
        .await
        .unwrap();
    let connector = Connector::new(Trust::Fingerprint(print.parse().unwrap()));
    let mut stream = connector.connect(&host, stream).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:8990\r\nCookie: __Host-vq8990={}\r\nConnection: \
         close\r\n\r\n",
        cluster.token()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_certificate_that_changes_is_taken_up_without_a_restart_and_a_bad_one_is_not() {
    let cluster = started().await;
    cluster.until_log(LOG, "SHA-256 fingerprint").await;
    let old = fingerprint(&cluster);
    change_password(&cluster, &old).await;
    let controller = cluster.servers["P4"].pid;

    let pair = cluster.path("P4/data/keys/server.pem");
    let good = fs::read(&pair).unwrap();
    fs::write(&pair, "half a certif").unwrap();
    hang_up(controller);
    cluster
        .until_log(LOG, "the new certificate is not taken up")
        .await;
    cluster.vaquita("status").await.ok();

    fs::write(&pair, good).unwrap();
    fs::remove_file(&pair).unwrap();
    cluster.vaquita("config reload").await.ok();
    cluster
        .until_log(LOG, "a new certificate was taken up")
        .await;
    let new = fingerprint(&cluster);
    assert_ne!(new, old);
    let refused = cluster.vaquita("status").await.failed(DENIED);
    assert!(refused.contains(&new), "{refused}");
    let ca = cluster
        .path("P4/data/keys/server.crt")
        .display()
        .to_string();
    let login = ["login", "--password-stdin", "--ca", &ca];
    cluster.place.run_words(&login, "long enough\n").await.ok();
    cluster.vaquita("status").await.ok();
    assert_eq!(cluster.servers["P4"].pid, controller);
}

#[tokio::test]
async fn a_start_with_a_key_of_another_certificate_says_which_files_do_not_belong_together() {
    let cluster = Cluster::of_seed();
    private(&cluster.path("P4/config/cluster.secret"), SECRET);
    let other = rcgen(&cluster, "other");
    let own = rcgen(&cluster, "own");
    for line in [
        "enableHTTPS=1".to_owned(),
        format!("tlsCert={}", own.0),
        format!("tlsKey={}", other.1),
    ] {
        cluster.add_line("P4/config/controller.cfg", &line);
    }
    let server = cluster.run_controller("controller.out");
    cluster
        .until("the controller ends", async || {
            let said = fs::read_to_string(cluster.path("P4/controller.out")).unwrap_or_default();
            (said.contains(&own.0) && said.contains(&other.1)).then_some(())
        })
        .await;
    drop(server);
}

/// A certificate as an operator gives it: its file and that of its key.
fn rcgen(cluster: &Cluster, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = cluster.path(&format!("{name}.crt"));
    let key = cluster.path(&format!("{name}.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    private(&key, &made.signing_key.serialize_pem());
    (certificate.display().to_string(), key.display().to_string())
}
