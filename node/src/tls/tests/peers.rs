use std::io;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::TempDir;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex,
};
use tokio_rustls::TlsAcceptor;

use super::{identity, serving_in};
use crate::tls::{Peers, Untrusted};

fn peers(number: u8) -> Peers {
    Peers::new(&identity(number)).unwrap()
}

/// Accepts as a process of that cluster, and sends back what comes.
async fn echo(peers: Peers, stream: DuplexStream) -> io::Result<usize> {
    let acceptor = TlsAcceptor::from(peers.accepting());
    let mut stream = acceptor.accept(stream).await?;
    let mut word = [0; 4];
    let read = stream.read_exact(&mut word).await?;
    stream.write_all(&word).await?;
    stream.shutdown().await?;
    Ok(read)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<Vec<u8>> {
    stream.write_all(b"word").await?;
    stream.flush().await?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await?;
    Ok(back)
}

#[tokio::test]
async fn processes_with_one_secret_speak_and_what_they_say_cannot_be_read_on_the_way() {
    let (ours, mut near) = duplex(64 * 1024);
    let (mut far, theirs) = duplex(64 * 1024);
    let server = tokio::spawn(echo(peers(1), theirs));
    // Somebody in between passes everything on, and keeps a copy.
    let between = tokio::spawn(async move {
        let mut seen = Vec::new();
        let (mut one, mut two) = ([0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                Ok(len @ 1..) = near.read(&mut one) => {
                    seen.extend_from_slice(&one[..len]);
                    if far.write_all(&one[..len]).await.is_err() { break; }
                }
                Ok(len @ 1..) = far.read(&mut two) => {
                    seen.extend_from_slice(&two[..len]);
                    if near.write_all(&two[..len]).await.is_err() { break; }
                }
                else => break,
            }
        }
        seen
    });
    let stream = peers(1).connect(ours).await.unwrap();
    assert_eq!(say(stream).await.unwrap(), b"word");
    server.await.unwrap().unwrap();
    let seen = between.await.unwrap();
    assert!(seen.len() > 500);
    assert!(!seen.windows(4).any(|window| window == b"word"));
}

#[tokio::test]
async fn a_process_of_another_secret_is_refused_by_the_one_that_dials() {
    let (ours, theirs) = duplex(64 * 1024);
    let server = tokio::spawn(echo(peers(2), theirs));
    let refused = peers(1).connect(ours).await.unwrap_err();
    assert!(
        matches!(refused, Untrusted::Certificate { .. }),
        "{refused:?}"
    );
    assert!(server.await.unwrap().is_err());
}

#[tokio::test]
async fn who_shows_no_key_of_the_cluster_is_refused_by_the_one_that_accepts() {
    let other = SingleCertAndKey::from(identity(2).certified.clone());
    let strangers: [(Arc<dyn ResolvesClientCert>, &str); 2] = [
        (Arc::new(other), "UnknownIssuer"),
        (Arc::new(Nothing), "no certificates"),
    ];
    for (shown, why) in strangers {
        let (ours, theirs) = duplex(64 * 1024);
        let server = tokio::spawn(echo(peers(1), theirs));
        let said = match peers(1).showing(shown).connect(ours).await {
            // In TLS 1.3 the one that dials learns of it with the first answer.
            Ok(stream) => say(stream).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        assert!(said.is_err(), "{said:?}");
        let refused = server.await.unwrap().unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

/// Shows no certificate.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_man_in_the_middle_who_ends_the_tls_himself_is_refused() {
    // Without the secret the best he has is a certificate of his own.
    let home = TempDir::new().unwrap();
    let his = serving_in(home.path());
    let (ours, theirs) = duplex(64 * 1024);
    let server = tokio::spawn(async move { his.accept(theirs).await.map(drop) });
    assert!(peers(1).connect(ours).await.is_err());
    assert!(server.await.unwrap().is_err());
}

#[tokio::test]
async fn a_process_that_speaks_no_tls_is_told_as_such_each_time() {
    let peers = peers(1);
    for _ in 0..2 {
        let (ours, mut theirs) = duplex(64 * 1024);
        let server = tokio::spawn(async move {
            let mut hello = [0; 5];
            theirs.read_exact(&mut hello).await.unwrap();
        });
        assert_eq!(peers.connect(ours).await.unwrap_err(), Untrusted::Plain);
        server.await.unwrap();
        let (ours, theirs) = duplex(64 * 1024);
        let server = tokio::spawn(echo(peers.clone(), theirs));
        say(peers.connect(ours).await.unwrap()).await.unwrap();
        server.await.unwrap().unwrap();
    }
}
