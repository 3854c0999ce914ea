mod files;
mod handshakes;
mod peers;

use std::path::Path;

use tempfile::TempDir;
use vaquita_core::secret::ClusterSecret;

use super::{ClusterIdentity, Serving, Source};

/// A day in the year 2026, in seconds since 1970.
pub(super) const NOW: u64 = 1_790_000_000;
pub(super) const DAY: u64 = 24 * 3600;

pub(crate) fn identity(number: u8) -> ClusterIdentity {
    let mut bytes = [number; 32];
    bytes[0] = !number;
    ClusterIdentity::derive(&ClusterSecret::new(bytes).unwrap()).unwrap()
}

/// The self-made certificate of a folder, for `localhost` and 127.0.0.1, good for real clients.
pub(crate) fn serving_in(folder: &Path) -> Serving {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    Serving::start(
        Source::Made(folder.to_path_buf()),
        names.to_vec(),
        &identity(7),
        real_now(),
    )
    .unwrap()
}

/// The date, for handshakes: what verifies a certificate looks at the clock of the host.
pub(crate) fn real_now() -> u64 {
    use crate::env::Env as _;
    crate::os_env::OsEnv::new().unwrap().unix_ms() / 1000
}

/// A certificate and its key as an operator gives them, for these names and days.
pub(super) fn give(folder: &TempDir, name: &str, hosts: &[&str], days: (i32, i32)) -> Source {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(hosts).unwrap();
    let (from, to) = days;
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = folder.path().join(format!("{name}.crt"));
    let key = folder.path().join(format!("{name}.key"));
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    private(&key, pair.serialize_pem().as_bytes());
    Source::Given { certificate, key }
}

pub(super) fn private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The files of a given certificate take the place of those of another one.
pub(super) fn replace(there: &Source, with: &Source) {
    let (
        Source::Given { certificate, key },
        Source::Given {
            certificate: c,
            key: k,
        },
    ) = (there, with)
    else {
        panic!("both are given");
    };
    std::fs::rename(c, certificate).unwrap();
    std::fs::rename(k, key).unwrap();
}
