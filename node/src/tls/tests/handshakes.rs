use std::fs;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::{give, identity, real_now, replace, serving_in};
use crate::tls::{Connector, Fingerprint, Looked, Serving, Trust, Untrusted, read_roots};

/// Connects with this trust, and sends a word to and fro.
async fn shake(serving: &Serving, trust: Trust, host: &str) -> Result<(), Untrusted> {
    let (ours, theirs) = duplex(64 * 1024);
    let serving = serving.clone();
    let server = tokio::spawn(async move {
        let Ok(mut stream) = serving.accept(theirs).await else {
            return;
        };
        let mut word = [0; 4];
        if stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let mut stream = Connector::new(trust).connect(host, ours).await?;
    stream.write_all(b"word").await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "word");
    server.await.unwrap();
    Ok(())
}

fn why(outcome: Result<(), Untrusted>) -> (Fingerprint, String) {
    match outcome {
        Err(Untrusted::Certificate { seen, why }) => (seen, why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_certificate_its_fingerprint_or_the_key_of_its_cluster() {
    let home = TempDir::new().unwrap();
    let serving = serving_in(home.path());
    let file = read_roots(&home.path().join("server.crt")).unwrap();
    let print = serving.facts().fingerprint;
    for host in ["localhost", "127.0.0.1"] {
        shake(&serving, file.clone(), host).await.unwrap();
    }
    for host in ["elsewhere", "10.9.9.9"] {
        let by_print = Trust::Fingerprint(print);
        shake(&serving, by_print, host).await.unwrap();
        let by_key = Trust::Cluster(identity(7).public());
        shake(&serving, by_key, host).await.unwrap();
        let (seen, why) = why(shake(&serving, file.clone(), host).await);
        assert_eq!(seen, print);
        assert_eq!(why, "it is for other hosts");
    }
}

#[tokio::test]
async fn strangers_are_refused_and_what_they_showed_is_told() {
    let (home, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let serving = serving_in(home.path());
    let stranger = serving_in(other.path());
    let print = serving.facts().fingerprint;
    let file = read_roots(&other.path().join("server.crt")).unwrap();
    for trust in [file, Trust::nobody()] {
        let (seen, why) = why(shake(&serving, trust, "localhost").await);
        assert_eq!(seen, print);
        assert_eq!(why, "nobody known here has issued it");
    }
    let wanted = stranger.facts().fingerprint;
    let (seen, words) = why(shake(&serving, Trust::Fingerprint(wanted), "localhost").await);
    assert_eq!(seen, print);
    assert!(words.contains(&wanted.to_string()), "{words}");
    let (_, words) = why(shake(&serving, Trust::Cluster(identity(8).public()), "localhost").await);
    assert!(words.contains("not of this cluster"), "{words}");
}

/// Shows a certificate of which it has not the key: that of the cluster, which anybody can see.
#[derive(Debug)]
struct Borrowed(std::sync::Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Borrowed {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn whoever_shows_the_clusters_certificate_without_its_key_is_refused() {
    let shown = identity(7).certified.cert.clone();
    let own = identity(8).certified.key.clone();
    let borrowed = Borrowed(std::sync::Arc::new(rustls::sign::CertifiedKey::new(
        shown, own,
    )));
    let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(std::sync::Arc::new(borrowed));
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let (ours, theirs) = duplex(64 * 1024);
    let server = tokio::spawn(async move { acceptor.accept(theirs).await.is_ok() });
    let connector = Connector::new(Trust::Cluster(identity(7).public()));
    assert!(connector.connect("localhost", ours).await.is_err());
    assert!(!server.await.unwrap());
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_is_not_trusted() {
    for answer in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b""] {
        let (ours, mut theirs) = duplex(64 * 1024);
        let server = tokio::spawn(async move {
            let mut hello = [0; 5];
            theirs.read_exact(&mut hello).await.unwrap();
            theirs.write_all(answer).await.unwrap();
        });
        let connected = Connector::new(Trust::nobody()).connect("host", ours).await;
        assert_eq!(connected.unwrap_err(), Untrusted::Plain);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn connections_after_a_reload_see_the_new_certificate_and_those_from_before_live_on() {
    let folder = TempDir::new().unwrap();
    let source = give(&folder, "live", &["localhost"], (2020, 2090));
    let names = vec!["localhost".to_owned()];
    let serving = Serving::start(source.clone(), names, &identity(7), real_now()).unwrap();
    let old = serving.facts().fingerprint;
    let (ours, theirs) = duplex(64 * 1024);
    let connector = Connector::new(Trust::Fingerprint(old));
    let (client, server) =
        tokio::join!(connector.connect("localhost", ours), serving.accept(theirs));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());

    replace(
        &source,
        &give(&folder, "next", &["localhost"], (2020, 2091)),
    );
    assert_eq!(serving.look(real_now()), Looked::Taken);
    let new = serving.facts().fingerprint;
    shake(&serving, Trust::Fingerprint(new), "localhost")
        .await
        .unwrap();
    let (seen, _) = why(shake(&serving, Trust::Fingerprint(old), "localhost").await);
    assert_eq!(seen, new);

    client.write_all(b"still").await.unwrap();
    let mut word = [0; 5];
    server.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"still");
}

#[test]
fn a_file_without_certificates_gives_nobody_to_trust() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ca.pem");
    for text in ["", "words"] {
        fs::write(&path, text).unwrap();
        let words = read_roots(&path).unwrap_err().to_string();
        assert!(words.contains("ca.pem"), "{words}");
    }
    fs::remove_file(&path).unwrap();
    assert!(read_roots(&path).is_err());
}
