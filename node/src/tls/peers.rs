//! TLS between the processes of a cluster.
//!
//! Both sides show the certificate of the cluster's key and want to see it: who has not the cluster's
//! secret comes no further than to the handshake, and can neither read nor pass on what is said. The
//! sessions inside prove the secret once more, and who is who.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vaquita_core::ids::Endpoint;
use vaquita_core::io::CloseReason;
use vaquita_core::prng::Seed;
use vaquita_core::time::Timestamp;

use super::client::{Looker, Trust, Untrusted};
use super::identity::{CLUSTER_NAME, ClusterIdentity, ClusterKey};
use super::provider;
use crate::env::{Effort, Env, HostFolders, Listener, OpenDiskError, Usage};

/// The protocol that processes ask each other for inside TLS, by which a port tells them from browsers.
pub const PEER_PROTOCOL: &[u8] = b"vaquita";

/// What a process of the cluster needs to speak TLS with the others.
#[derive(Clone)]
pub struct Peers {
    accepting: Arc<ServerConfig>,
    dialing: ClientConfig,
    key: ClusterKey,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// Those who have the secret that this identity follows from.
    ///
    /// # Errors
    /// Never for an identity that could be made; the words are the library's.
    pub fn new(identity: &ClusterIdentity) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let own = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.certified)));
        let members = Arc::new(Members {
            key: identity.public(),
            provider: provider(),
        });
        let mut accepting = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| told(&error))?
            .with_client_cert_verifier(members)
            .with_cert_resolver(own.clone());
        accepting.alpn_protocols = vec![PEER_PROTOCOL.to_vec()];
        accepting.session_storage = Arc::new(NoServerSessionStorage {});
        accepting.send_tls13_tickets = 0;
        let looker = looker(identity.public()).map_err(|error| told(&error))?;
        let mut dialing = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| told(&error))?
            .dangerous()
            .with_custom_certificate_verifier(looker)
            .with_client_cert_resolver(own);
        dialing.alpn_protocols = vec![PEER_PROTOCOL.to_vec()];
        dialing.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            accepting: Arc::new(accepting),
            dialing,
            key: identity.public(),
        })
    }

    /// How the handshake of a peer is answered.
    pub(crate) fn accepting(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.accepting)
    }

    /// The same, showing another key than it wants to see, or none: what no process does.
    #[cfg(test)]
    pub(super) fn showing(mut self, shown: Arc<dyn rustls::client::ResolvesClientCert>) -> Self {
        self.dialing.client_auth_cert_resolver = shown;
        self
    }

    /// Makes a connection to a peer a TLS connection. The caller sets the time-out.
    ///
    /// # Errors
    /// If it is none of the cluster, or speaks no TLS.
    pub async fn connect<S>(&self, stream: S) -> Result<TlsStream<S>, Untrusted>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(CLUSTER_NAME)
            .map_err(|error| Untrusted::Broken(error.to_string()))?;
        // One that remembers what this peer showed, and no other.
        let looker = looker(self.key).map_err(|error| Untrusted::Broken(error.to_string()))?;
        let mut config = self.dialing.clone();
        config.dangerous().set_certificate_verifier(looker.clone());
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, stream).await;
        connected.map_err(|error| looker.told(&error))
    }
}

fn looker(key: ClusterKey) -> Result<Arc<Looker>, rustls::client::VerifierBuilderError> {
    Looker::new(&Trust::Cluster(key)).map(Arc::new)
}

/// Lets in who shows the cluster's key.
#[derive(Debug)]
struct Members {
    key: ClusterKey,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Members {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let shown = ParsedCertificate::try_from(end_entity)?;
        if self.key.is(&shown.subject_public_key_info()) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A connection as it was accepted, or one that was dialed, through TLS or not.
#[derive(Debug)]
pub enum PeerStream<S> {
    /// As it is.
    Plain(S),
    /// Through TLS.
    Secured(Box<TlsStream<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PeerStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PeerStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Secured(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secured(stream) => stream.is_write_vectored(),
        }
    }
}

/// A world in which peers are dialed through TLS. Everything else is as in the world inside.
#[derive(Clone, Debug)]
pub struct PeerEnv<E> {
    inner: E,
    peers: Option<Peers>,
}

impl<E> PeerEnv<E> {
    /// Dials as `peers` says, or in the clear without.
    pub const fn new(inner: E, peers: Option<Peers>) -> Self {
        Self { inner, peers }
    }
}

/// Accepts as the world inside does: what begins with TLS is for whoever looks at first bytes.
#[derive(Debug)]
pub struct PeerListener<L>(L);

impl<L> Listener for PeerListener<L>
where
    L: Listener,
    L::Stream: Send,
{
    type Stream = PeerStream<L::Stream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, std::net::SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((PeerStream::Plain(stream), from))
    }

    fn local_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.0.local_addr()
    }
}

impl<E: Env> Env for PeerEnv<E> {
    type Udp = E::Udp;
    type Listener = PeerListener<E::Listener>;
    type Stream = PeerStream<E::Stream>;
    type Disk = E::Disk;
    type Processes = E::Processes;

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn unix_ms(&self) -> u64 {
        self.inner.unix_ms()
    }

    fn seed(&self) -> Seed {
        self.inner.seed()
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    async fn bind_udp(&self, at: &Endpoint) -> io::Result<Self::Udp> {
        self.inner.bind_udp(at).await
    }

    async fn listen(&self, at: &Endpoint) -> io::Result<Self::Listener> {
        self.inner.listen(at).await.map(PeerListener)
    }

    async fn port_holder(&self, at: &Endpoint) -> Option<String> {
        self.inner.port_holder(at).await
    }

    async fn connect(
        &self,
        to: &Endpoint,
    ) -> Result<(Self::Stream, std::net::SocketAddr), CloseReason> {
        let (stream, address) = self.inner.connect(to).await?;
        let Some(peers) = &self.peers else {
            return Ok((PeerStream::Plain(stream), address));
        };
        match peers.connect(stream).await {
            Ok(stream) => Ok((PeerStream::Secured(Box::new(stream)), address)),
            Err(untrusted) => Err(CloseReason::Broken(match untrusted {
                Untrusted::Plain => {
                    "it speaks no TLS with other processes: `enableRpcSSL` has to be the same \
                                     in controller.cfg and in every agent.cfg"
                        .to_owned()
                }
                Untrusted::Certificate { .. } => {
                    "it has another cluster secret than this process (told by TLS)".to_owned()
                }
                Untrusted::Broken(words) => format!("no TLS: {words}"),
            })),
        }
    }

    async fn resolve(&self, to: &Endpoint) -> Result<std::net::SocketAddr, CloseReason> {
        self.inner.resolve(to).await
    }

    async fn open_disk(&self, directory: &Path) -> Result<Self::Disk, OpenDiskError> {
        self.inner.open_disk(directory).await
    }

    fn processes(&self, folders: HostFolders) -> io::Result<Self::Processes> {
        self.inner.processes(folders)
    }

    async fn compute<T: Send + 'static>(
        &self,
        effort: Effort,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.inner.compute(effort, work).await
    }
}
