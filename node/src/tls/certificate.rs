//! A certificate chain and its key, read from files and looked at before anything relies on them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use vaquita_core::io::ExitCode;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

use super::provider;
use crate::cli::shell;

/// More than any chain needs.
const FILE_MAX: u64 = 1024 * 1024;
const CHAIN_MAX: usize = 16;

/// The SHA-256 of a certificate, as browsers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// That of a certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    /// 64 hexadecimal digits with or without colons, blanks, and `SHA256:` before them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let digits = match trimmed.get(..7) {
            Some(word) if word.eq_ignore_ascii_case("sha256:") => &trimmed[7..],
            _ => trimmed,
        };
        let digits: String = digits.chars().filter(|it| !" :".contains(*it)).collect();
        hex(&digits)
            .map(Self)
            .ok_or("a fingerprint is 64 hexadecimal digits, with colons between them or without")
    }
}

/// 32 bytes from 64 hexadecimal digits.
pub(super) fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|it| it.to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    if digits.len() == 64 {
        bytes.try_into().ok()
    } else {
        None
    }
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// When it begins to hold, in seconds since 1970.
    pub not_before: u64,
    /// When it ends.
    pub not_after: u64,
}

/// Why a certificate is not used, or should not be.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}; {cure}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The operating system's words.
        source: io::Error,
        /// What helps.
        cure: &'static str,
    },
    /// Others may read the key, so it may be known to others.
    #[error(
        "the private key in {path} can be read or changed by others (mode {mode:04o}): whoever has it \
         can pose as this host. If nobody has read it, `chmod 600 {}` is enough; else have a new \
         certificate made",
        shell::word(Path::new(path))
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} cannot be used: {problem}; {cure}")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// What helps.
        cure: &'static str,
    },
    /// Certificate and key are not of each other.
    #[error(
        "the private key in {key} is not the one of the certificate in {certificate}: no client could \
         connect. Name the key that the certificate was requested with in `tlsKey`; if the file has \
         several certificates, the one of this host comes first"
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// Its time is over.
    #[error(
        "the certificate in {path} ended at {at}: browsers and commands refuse it. Have it renewed and \
         put the new one in its place; it is taken up without a restart"
    )]
    Expired {
        /// The file.
        path: String,
        /// When.
        at: String,
    },
    /// Its time has not begun.
    #[error(
        "the certificate in {path} begins to hold at {at}: until then browsers and commands refuse it. \
         Is the clock of this host right?"
    )]
    NotYet {
        /// The file.
        path: String,
        /// When.
        at: String,
    },
    /// It is for other hosts.
    #[error(
        "the certificate in {path} is for {} and for none of the names of this process ({wanted}): \
         browsers and commands refuse it. Have one made with these names, or set `publicName` to a \
         name that it has",
        listed(names)
    )]
    OtherNames {
        /// The file.
        path: String,
        /// The names it has.
        names: Vec<String>,
        /// The names it should have.
        wanted: String,
    },
}

impl CertificateError {
    /// The exit status of a process that cannot go on because of it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Exposed { .. } => ExitCode::Denied,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ExitCode::Denied
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => ExitCode::Usage,
            Self::Io { .. } => ExitCode::DiskFault,
            _ => ExitCode::Usage,
        }
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "no host at all (it has no subject alternative names)".to_owned(),
        len if len > SHOWN => {
            format!("{} and {} more", names[..SHOWN].join(", "), len - SHOWN)
        }
        _ => names.join(", "),
    }
}

/// The text of a certificate and of its key.
pub(super) struct Texts {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
}

impl Texts {
    /// Reads both; they may be one file.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let (text, _) = read(certificate)?;
        let (key_text, mode) = read(key)?;
        // The group may read it: that is how several services share one.
        if mode & 0o037 != 0 {
            return Err(CertificateError::Exposed {
                path: key.display().to_string(),
                mode,
            });
        }
        Ok(Self {
            certificate: text,
            key: Zeroizing::new(key_text),
        })
    }

    /// By which two pairs of texts are told apart.
    pub(super) fn sum(&self) -> [u8; 32] {
        let mut sum = Sha256::new();
        sum.update((self.certificate.len() as u64).to_le_bytes());
        sum.update(&self.certificate);
        sum.update(&self.key);
        sum.finalize().into()
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, u32), CertificateError> {
    let failed = |source: io::Error| CertificateError::Io {
        action: "read",
        path: path.display().to_string(),
        source,
        cure: "`tlsCert` names the file with the certificate and `tlsKey` the one with its key; without \
               them, a certificate is made",
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut text = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_MAX {
        return Err(unusable(
            path,
            format!("it has more than {FILE_MAX} bytes"),
            PEM,
        ));
    }
    Ok((text, metadata.permissions().mode() & 0o7777))
}

const PEM: &str = "it should hold PEM text, which begins with `-----BEGIN CERTIFICATE-----`, the \
                   certificate of this host first and those of its issuers after it";
const KEY: &str = "it should hold a private key as PEM text, without a passphrase";

fn unusable(path: &Path, problem: impl Into<String>, cure: &'static str) -> CertificateError {
    CertificateError::Unusable {
        path: path.display().to_string(),
        problem: problem.into(),
        cure,
    }
}

/// A chain that a server can show.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

impl Certificate {
    /// Takes texts apart and looks whether they belong together. `certificate` and `key` name the files.
    pub(super) fn parse(
        texts: &Texts,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&texts.certificate)
                .collect::<Result<_, _>>()
                .map_err(|error| unusable(certificate, error.to_string(), PEM))?;
        if chain.is_empty() {
            return Err(unusable(certificate, "no certificate is in it", PEM));
        }
        if chain.len() > CHAIN_MAX {
            let problem = format!("it has {} certificates", chain.len());
            return Err(unusable(certificate, problem, PEM));
        }
        let facts = facts_of(&chain, certificate)?;
        let private = PrivateKeyDer::from_pem_slice(&texts.key)
            .map_err(|error| unusable(key, format!("no private key is in it ({error})"), KEY))?;
        let signing = provider()
            .key_provider
            .load_private_key(private)
            .map_err(|error| unusable(key, error.to_string(), KEY))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(CertificateError::Mismatch {
                    certificate: certificate.display().to_string(),
                    key: key.display().to_string(),
                });
            }
            Err(error) => return Err(unusable(certificate, error.to_string(), PEM)),
        }
        Ok(Self {
            certified: Arc::new(certified),
            facts,
        })
    }

    /// Which of these names it is not for.
    pub(super) fn lacks<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        let parsed = self.certified.cert.first().map(ParsedCertificate::try_from);
        let Some(Ok(parsed)) = parsed else {
            return names.iter().map(String::as_str).collect();
        };
        let covers = |name: &str| {
            ServerName::try_from(name).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        };
        let names = names.iter().map(String::as_str);
        names.filter(|name| !covers(name)).collect()
    }

    /// Whether clients that look closely would take it now, under one of these names.
    pub(super) fn judge(
        &self,
        path: &Path,
        names: &[String],
        now: u64,
    ) -> Result<(), CertificateError> {
        let path = || path.display().to_string();
        if now >= self.facts.not_after {
            let at = date(self.facts.not_after);
            return Err(CertificateError::Expired { path: path(), at });
        }
        if now < self.facts.not_before {
            let at = date(self.facts.not_before);
            return Err(CertificateError::NotYet { path: path(), at });
        }
        if !names.is_empty() && self.lacks(names).len() == names.len() {
            return Err(CertificateError::OtherNames {
                path: path(),
                names: self.facts.names.clone(),
                wanted: names.join(", "),
            });
        }
        Ok(())
    }
}

/// A moment for people.
pub(super) fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}

fn facts_of(chain: &[CertificateDer<'_>], path: &Path) -> Result<Facts, CertificateError> {
    let wrong = |problem: String| unusable(path, problem, PEM);
    let parsed: Vec<x509_cert::Certificate> = chain
        .iter()
        .map(|der| x509_cert::Certificate::from_der(der))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("a certificate in it is damaged ({error})")))?;
    let in_order = parsed
        .windows(2)
        .all(|pair| pair[0].tbs_certificate().issuer() == pair[1].tbs_certificate().subject());
    if !in_order {
        return Err(wrong(
            "its certificates are not each issued by the next one".to_owned(),
        ));
    }
    let Some(leaf) = parsed.first().map(x509_cert::Certificate::tbs_certificate) else {
        return Err(wrong("no certificate is in it".to_owned()));
    };
    let names = leaf
        .get_extension::<SubjectAltName>()
        .map_err(|error| wrong(format!("its names cannot be read ({error})")))?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let validity = leaf.validity();
    Ok(Facts {
        fingerprint: Fingerprint::of(&chain[0]),
        names: names.iter().filter_map(shown).collect(),
        not_before: validity.not_before.to_unix_duration().as_secs(),
        not_after: validity.not_after.to_unix_duration().as_secs(),
    })
}

fn shown(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => {
            let bytes = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
            let v6 = <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
