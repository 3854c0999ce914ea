//! The certificate that a host makes for itself.
//!
//! All processes of one home share it: `<home>/keys/server.pem`, certificate and key in one file, so
//! that there is never one without the other. `server.crt` beside it is the certificate alone, to be
//! given to browsers and commands.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tracing::error;
use zeroize::Zeroizing;

use super::certificate::{Certificate, CertificateError, Texts};

const DAY: u64 = 24 * 3600;
/// How long it holds: some systems take no longer ones than 825 days, whoever made them.
const LIFE: u64 = 730 * DAY;
/// How long before its end a new one is made.
pub(super) const RENEWAL: u64 = 30 * DAY;

/// Certificate and key.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("server.pem")
}

/// The certificate alone.
pub(super) fn public_path(folder: &Path) -> PathBuf {
    folder.join("server.crt")
}

/// The certificate of that folder for these names: the one that is there, or else a new one.
pub(super) fn keep(
    folder: &Path,
    names: &[String],
    now: u64,
) -> Result<(Texts, Certificate), CertificateError> {
    let path = path(folder);
    let there = match Texts::read(&path, &path) {
        Ok(texts) => {
            let known = Certificate::parse(&texts, &path, &path).map_err(|error| {
                CertificateError::Unusable {
                    path: path.display().to_string(),
                    problem: error.to_string(),
                    cure: "it was made by this program: remove it, and a new one is made",
                }
            })?;
            if known.lacks(names).is_empty() && good_for_a_while(&known, now) {
                if let Err(error) = publish(folder, &texts) {
                    // It is there for people alone.
                    error!("the copy of the certificate for browsers cannot be written: {error}");
                }
                return Ok((texts, known));
            }
            Some((texts, known))
        }
        Err(CertificateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            None
        }
        Err(error) => return Err(error),
    };
    // Another process of this home may need other names: each adds its own and takes away none.
    let mut all: BTreeSet<String> = names.iter().cloned().collect();
    if let Some((_, there)) = &there {
        all.extend(there.facts.names.iter().cloned());
    }
    let renewed = (|| {
        write(folder, &path, &make(&all, now, &path)?, there.is_some())?;
        // Perhaps another process was faster: what lies there counts.
        let texts = Texts::read(&path, &path)?;
        let certificate = Certificate::parse(&texts, &path, &path)?;
        publish(folder, &texts)?;
        Ok((texts, certificate))
    })();
    match (renewed, there) {
        // A date, or a name more, is no reason to serve nothing.
        (Err(error), Some(there)) => {
            error!(
                "the certificate in {} is to be made anew, and cannot be: {error}. The present one is shown on",
                path.display()
            );
            Ok(there)
        }
        (renewed, _) => renewed,
    }
}

fn good_for_a_while(certificate: &Certificate, now: u64) -> bool {
    let facts = &certificate.facts;
    now >= facts.not_before && now.saturating_add(RENEWAL) < facts.not_after
}

/// The text of a new certificate and its key.
fn make(
    names: &BTreeSet<String>,
    now: u64,
    path: &Path,
) -> Result<Zeroizing<String>, CertificateError> {
    let failed = |error: rcgen::Error| CertificateError::Unusable {
        path: path.display().to_string(),
        problem: format!("a certificate cannot be made ({error})"),
        cure: "give one with `tlsCert` and `tlsKey`",
    };
    // What cannot stand in a certificate nobody can ask for either.
    let names: Vec<String> = names
        .iter()
        .filter(|name| super::can_be_certified(name))
        .cloned()
        .collect();
    // By this people tell it from others in the lists of a browser.
    let is_loopback = |name: &str| ["localhost", "127.0.0.1", "::1"].contains(&name);
    let called = names.iter().find(|name| !is_loopback(name));
    let called = called.map_or("localhost", String::as_str);
    let mut common_name = format!("Vaquita on {called}");
    // That is what the field takes, and names have no wider letters.
    common_name.truncate(64);
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks of clients are behind this one at times.
    let (year, month, day) = date_of(now.saturating_sub(DAY));
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date_of(now.saturating_add(LIFE));
    params.not_after = date_time_ymd(year, month, day);
    let pair = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&pair).map_err(failed)?;
    let key = Zeroizing::new(pair.serialize_pem());
    Ok(Zeroizing::new(format!("{}{}", certificate.pem(), *key)))
}

/// Year, month and day of a moment.
fn date_of(seconds: u64) -> (i32, u8, u8) {
    let stamp = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    let date = stamp
        .unwrap_or_default()
        .to_zoned_datetime(jiff::tz::TimeZone::UTC)
        .date();
    let small = |number: i8| u8::try_from(number).unwrap_or(1);
    (date.year().into(), small(date.month()), small(date.day()))
}

/// Writes the pair, whole or not at all. One that is to be new does not replace another's.
fn write(folder: &Path, path: &Path, text: &str, replaces: bool) -> Result<(), CertificateError> {
    let failed = |action| {
        move |source| CertificateError::Io {
            action,
            path: path.display().to_string(),
            source,
            cure: "the home has to be writable; or give a certificate with `tlsCert` and `tlsKey`",
        }
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed("create the directory of"))?;
    let temporary = temporary(path);
    let placed = written(&temporary, 0o600, text.as_bytes()).and_then(|()| {
        if replaces {
            return fs::rename(&temporary, path);
        }
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    });
    let _ = fs::remove_file(&temporary);
    placed
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(failed("write"))
}

/// Has the certificate lie beside the pair, as that has it.
fn publish(folder: &Path, texts: &Texts) -> Result<(), CertificateError> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let path = public_path(folder);
    let text = &texts.certificate;
    let end = text.windows(END.len()).position(|window| window == END);
    let mut certificate = text[..end.map_or(0, |at| at + END.len())].to_vec();
    certificate.push(b'\n');
    if fs::read(&path).is_ok_and(|there| there == certificate) {
        return Ok(());
    }
    let temporary = temporary(&path);
    let placed = written(&temporary, 0o644, &certificate)
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| File::open(folder)?.sync_all());
    placed.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        CertificateError::Io {
            action: "write",
            path: path.display().to_string(),
            source,
            cure: "the home has to be writable",
        }
    })
}

pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.tmp", std::process::id()))
}

fn written(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    // One of an earlier process of this number, which died over it.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
