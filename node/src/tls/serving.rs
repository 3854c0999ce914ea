//! What this process shows to those who connect, and how it changes while the process runs.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::{Certificate, CertificateError, Facts, Texts, date};
use super::identity::{CLUSTER_NAME, ClusterIdentity, ClusterKey};
use super::{made, provider};

const DAY: u64 = 24 * 3600;
/// How long before its end a certificate is complained about, and how often: once in each of these.
const WARNINGS: [u64; 3] = [30 * DAY, 7 * DAY, DAY];

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files that the operator gave.
    Given {
        /// The chain.
        certificate: PathBuf,
        /// Its key, which may be in the same file.
        key: PathBuf,
    },
    /// This directory, in which one is made.
    Made(PathBuf),
}

impl Source {
    fn path(&self) -> PathBuf {
        match self {
            Self::Given { certificate, .. } => certificate.clone(),
            Self::Made(folder) => made::path(folder),
        }
    }

    /// The file that may be given to others.
    fn public_path(&self) -> PathBuf {
        match self {
            Self::Given { certificate, .. } => certificate.clone(),
            Self::Made(folder) => made::public_path(folder),
        }
    }

    fn load(&self, names: &[String], now: u64) -> Result<(Texts, Certificate), CertificateError> {
        match self {
            Self::Given { certificate, key } => {
                let texts = Texts::read(certificate, key)?;
                let parsed = Certificate::parse(&texts, certificate, key)?;
                Ok((texts, parsed))
            }
            Self::Made(folder) => made::keep(folder, names, now),
        }
    }
}

/// What a look at the files came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// They say what they said.
    Same,
    /// They say something new, which new connections see from now on.
    Taken,
    /// They say something that is of no use; what was there before is still shown.
    Refused,
}

/// The certificates of this process. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct Serving {
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
    cluster: ClusterKey,
}

struct Shown {
    source: Source,
    names: Vec<String>,
    current: RwLock<Current>,
    cluster: Arc<CertifiedKey>,
    told: Mutex<Told>,
}

struct Current {
    certificate: Certificate,
    sum: [u8; 32],
}

/// What the log has heard, so that it hears it once.
#[derive(Default)]
struct Told {
    /// What was refused last.
    refused: Option<String>,
    /// How many of [`WARNINGS`] were given about the present certificate; one more once it is over.
    warnings: usize,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("source", &self.shown.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.server_name() == Some(CLUSTER_NAME) {
            return Some(Arc::clone(&self.cluster));
        }
        Some(Arc::clone(&self.current().certificate.certified))
    }
}

impl Shown {
    fn current(&self) -> std::sync::RwLockReadGuard<'_, Current> {
        // A value is put in its place as a whole, so that a poisoned lock is as good as any.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Reads the certificate, or makes one. `names` are what this process is called; `now` is the date
    /// in seconds since 1970.
    ///
    /// A given certificate that clients will refuse, as it is too old or for other names, is used all
    /// the same and complained about: that a date has passed must not keep chunks from being served.
    ///
    /// # Errors
    /// If there is none that a connection could be made with.
    pub fn start(
        source: Source,
        names: Vec<String>,
        cluster: &ClusterIdentity,
        now: u64,
    ) -> Result<Self, CertificateError> {
        let (texts, certificate) = source.load(&names, now)?;
        if let Err(error) = certificate.judge(&source.path(), &names, now) {
            tracing::error!("{error}");
        }
        let shown = Arc::new(Shown {
            current: RwLock::new(Current {
                certificate,
                sum: texts.sum(),
            }),
            source,
            names,
            cluster: Arc::clone(&cluster.certified),
            told: Mutex::default(),
        });
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| CertificateError::Unusable {
                path: shown.source.path().display().to_string(),
                problem: error.to_string(),
                cure: "this is a bug; please report it",
            })?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is resumed would rest on the certificate it began with.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let serving = Self {
            shown,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            cluster: cluster.public(),
        };
        tracing::info!("HTTPS: {}", serving.described());
        serving.complain_of_names();
        serving.complain_of_age(now);
        Ok(serving)
    }

    /// Looks at the files, and takes up what is new in them if it is good; `now` as in
    /// [`Serving::start`]. Reads files, and makes a new certificate when a self-made one is about to end.
    #[must_use]
    pub fn look(&self, now: u64) -> Looked {
        let shown = &self.shown;
        let looked = match shown.source.load(&shown.names, now) {
            Ok((texts, certificate)) => self.consider(&texts, certificate, now),
            Err(error) => Err(error),
        };
        let looked = match looked {
            Ok(looked) => {
                self.told().refused = None;
                looked
            }
            Err(error) => {
                let words = error.to_string();
                let mut told = self.told();
                if told.refused.as_ref() != Some(&words) {
                    tracing::error!(
                        "the new certificate is not taken up, and the one from before is still shown: \
                         {words}"
                    );
                    told.refused = Some(words);
                }
                Looked::Refused
            }
        };
        self.complain_of_age(now);
        looked
    }

    fn consider(
        &self,
        texts: &Texts,
        certificate: Certificate,
        now: u64,
    ) -> Result<Looked, CertificateError> {
        let shown = &self.shown;
        let sum = texts.sum();
        if shown.current().sum == sum {
            return Ok(Looked::Same);
        }
        certificate.judge(&shown.source.path(), &shown.names, now)?;
        {
            let mut current = shown
                .current
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *current = Current { certificate, sum };
        }
        self.told().warnings = 0;
        tracing::info!(
            "a new certificate was taken up, for connections from now on: {}",
            self.described()
        );
        self.complain_of_names();
        Ok(Looked::Taken)
    }

    fn described(&self) -> String {
        let facts = self.facts();
        let kind = match self.shown.source {
            Source::Given { .. } => "the certificate",
            Source::Made(_) => "the self-made certificate",
        };
        format!(
            "{kind} {} has the SHA-256 fingerprint {} and holds until {}, for {}",
            self.shown.source.public_path().display(),
            facts.fingerprint,
            date(facts.not_after),
            facts.names.join(", ")
        )
    }

    fn complain_of_names(&self) {
        let current = self.shown.current();
        let lacking = current.certificate.lacks(&self.shown.names);
        // That it is for none of them was told already.
        if !lacking.is_empty() && lacking.len() < self.shown.names.len() {
            tracing::warn!(
                "the certificate {} is not for {}: whoever uses these names is warned or refused",
                self.shown.source.path().display(),
                lacking.join(", ")
            );
        }
    }

    fn complain_of_age(&self, now: u64) {
        let not_after = self.facts().not_after;
        let left = not_after.saturating_sub(now);
        let due = match left {
            0 => WARNINGS.len() + 1,
            left => WARNINGS.iter().filter(|&&warning| left < warning).count(),
        };
        let mut told = self.told();
        if due <= told.warnings {
            return;
        }
        told.warnings = due;
        drop(told);
        let path = self.shown.source.path();
        let (path, at) = (path.display(), date(not_after));
        if left == 0 {
            tracing::error!(
                "the certificate {path} ended at {at}: browsers and commands refuse it; put a new one in \
                 its place"
            );
        } else {
            tracing::warn!(
                "the certificate {path} ends at {at}, in {} days: put a new one in its place",
                left / DAY
            );
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.shown
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.shown.current().certificate.facts.clone()
    }

    /// The key by which those who know the cluster know this process.
    #[must_use]
    pub const fn cluster_key(&self) -> ClusterKey {
        self.cluster
    }

    /// How the handshake of a client is answered.
    pub(crate) fn accepting(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(self.acceptor.config())
    }

    /// Answers the handshake of a client. The caller sets the time-out.
    ///
    /// # Errors
    /// If the client breaks off, or speaks nothing that this process speaks.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }
}
