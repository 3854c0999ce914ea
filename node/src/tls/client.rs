//! Whom a client trusts.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::Fingerprint;
use super::identity::{CLUSTER_NAME, ClusterKey};
use super::provider;

/// By what a client knows that it talks to the right server.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The certificate is for the server's name, and one of these has issued it, or is it.
    Roots(Arc<RootCertStore>),
    /// It is this certificate, whatever it says.
    Fingerprint(Fingerprint),
    /// The server has the cluster's secret, and shows it by this key.
    Cluster(ClusterKey),
}

impl Trust {
    /// Nobody: for whoever opens no TLS connection.
    #[must_use]
    pub fn nobody() -> Self {
        Self::Roots(Arc::new(RootCertStore::empty()))
    }
}

/// Why a file of authorities is of no use.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct TrustError(String);

/// The certificates of a file, as authorities.
///
/// # Errors
/// If it cannot be read, or holds none.
pub fn read_roots(path: &Path) -> Result<Trust, TrustError> {
    let shown = path.display();
    let wrong = |why: &dyn fmt::Display| {
        TrustError(format!(
            "{shown} cannot be used: {why}; it should hold the certificate of the server, or of who \
             issued it, as PEM text"
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"no certificate is in it"));
    }
    Ok(Trust::Roots(Arc::new(roots)))
}

/// The authorities that this system trusts; perhaps none.
#[must_use]
pub fn system_roots() -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Trust::Roots(Arc::new(roots))
}

/// Why there is no TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// The server showed a certificate that is not trusted.
    Certificate {
        /// Its fingerprint.
        seen: Fingerprint,
        /// What is wrong with it.
        why: String,
    },
    /// The server speaks no TLS.
    Plain,
    /// Something else, in the library's words.
    Broken(String),
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { seen, why } => {
                write!(f, "its certificate is not trusted: {why} (SHA-256 {seen})")
            }
            Self::Plain => f.write_str("it does not speak HTTPS"),
            Self::Broken(words) => f.write_str(words),
        }
    }
}

/// Makes TLS connections.
#[derive(Clone, Debug)]
pub struct Connector {
    trust: Trust,
}

impl Connector {
    /// With this trust.
    #[must_use]
    pub const fn new(trust: Trust) -> Self {
        Self { trust }
    }

    /// Makes a connection a TLS connection with the server of that name or address. The caller sets the
    /// time-out.
    ///
    /// # Errors
    /// If the server is not the right one, or speaks no TLS.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Untrusted>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let broken = |error: &dyn fmt::Display| Untrusted::Broken(error.to_string());
        let host = match &self.trust {
            Trust::Cluster(_) => CLUSTER_NAME,
            _ => host,
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
        let looker = Arc::new(Looker::new(&self.trust).map_err(|error| broken(&error))?);
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| broken(&error))?
            .dangerous()
            .with_custom_certificate_verifier(looker.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        connecting.await.map_err(|error| looker.told(&error))
    }
}

/// Looks at the server's certificate, and remembers it.
#[derive(Debug)]
pub(super) struct Looker {
    by: By,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

#[derive(Debug)]
enum By {
    Roots(Arc<WebPkiServerVerifier>),
    /// There is nobody to ask.
    Nobody,
    Fingerprint(Fingerprint),
    Cluster(ClusterKey),
}

impl Looker {
    pub(super) fn new(trust: &Trust) -> Result<Self, rustls::client::VerifierBuilderError> {
        let provider = provider();
        let by = match trust {
            Trust::Roots(roots) if roots.is_empty() => By::Nobody,
            Trust::Roots(roots) => By::Roots(
                WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .build()?,
            ),
            Trust::Fingerprint(fingerprint) => By::Fingerprint(*fingerprint),
            Trust::Cluster(key) => By::Cluster(*key),
        };
        Ok(Self {
            by,
            provider,
            seen: Mutex::default(),
        })
    }

    /// Why a handshake failed.
    pub(super) fn told(&self, error: &io::Error) -> Untrusted {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (inner, seen) {
            (Some(rustls::Error::InvalidCertificate(why)), Some(seen)) => Untrusted::Certificate {
                seen,
                why: in_words(why, &self.by),
            },
            (Some(rustls::Error::InvalidMessage(_)), None) => Untrusted::Plain,
            (None, None) if error.kind() == io::ErrorKind::UnexpectedEof => Untrusted::Plain,
            _ => Untrusted::Broken(error.to_string()),
        }
    }
}

fn in_words(error: &CertificateError, by: &By) -> String {
    let words = match (error, by) {
        (CertificateError::UnknownIssuer, By::Fingerprint(wanted)) => {
            return format!("it should have the fingerprint {wanted}");
        }
        (CertificateError::UnknownIssuer, By::Cluster(_)) => {
            "it is not of this cluster, or the cluster has another secret by now"
        }
        // It may be of a known issuer's name, and not of its key.
        (CertificateError::UnknownIssuer | CertificateError::BadSignature, _) => {
            "nobody known here has issued it"
        }
        (
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            _,
        ) => "it is for other hosts",
        (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
            "it has expired"
        }
        (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
            "it does not hold yet, by the clock here"
        }
        _ => return error.to_string(),
    };
    words.to_owned()
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        let known = match &self.by {
            By::Roots(verifier) => {
                return verifier.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                );
            }
            By::Nobody => false,
            By::Fingerprint(wanted) => *wanted == fingerprint,
            By::Cluster(key) => {
                key.is(&ParsedCertificate::try_from(end_entity)?.subject_public_key_info())
            }
        };
        if known {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    // Whoever shows a certificate has to have its key, by whatever it is known.
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
