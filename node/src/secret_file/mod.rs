//! The file with the secret that all processes of a cluster share.
//!
//! One line: 32 random bytes in base64. Made once by [`generate`], copied to every host, readable
//! by the user of the cluster's processes and by nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64ct::{Base64, Encoding};
use thiserror::Error;
use vaquita_core::io::ExitCode;
use vaquita_core::secret::ClusterSecret;
use zeroize::Zeroizing;

use crate::cli::shell;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// More than any well-formed file has.
const FILE_MAX: u64 = 4096;

/// Why a secret cannot be read or made.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// There is no such file.
    #[error(
        "there is no cluster secret at {path}: make one with `vaquita secret` and copy it to every \
         host, or name the file with clusterSecretFile"
    )]
    Missing {
        /// The file.
        path: String,
    },
    /// Others may read or change it, so it may be known to others. Nothing in it was used.
    #[error(
        "the cluster secret {path} can be read or changed by others (mode {mode:04o}): if nobody \
         has, `chmod 600 {}` is enough; else make a new one with `vaquita secret` and copy it \
         to every host",
        shell::word(Path::new(path))
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// It does not hold one line of base64 for 32 bytes.
    #[error(
        "{path} holds no cluster secret: {problem}; copy the file again from a host where it \
         works, or make a new one with `vaquita secret` and copy that to every host"
    )]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong, without anything of the contents.
        problem: String,
    },
    /// A file is there already and is not touched.
    #[error(
        "{path} exists: a new secret would cut off every host that has the old one. To replace it, \
         stop the cluster, move the file away, make a new one and copy it to every host"
    )]
    Exists {
        /// The file.
        path: String,
    },
    /// The operating system refused.
    #[error("cannot {action} the cluster secret {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The operating system's words.
        source: io::Error,
    },
}

impl SecretFileError {
    /// The exit status of a process that cannot go on because of it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Missing { .. } => ExitCode::Usage,
            Self::Exposed { .. } => ExitCode::Denied,
            Self::Malformed { .. } => ExitCode::CorruptData,
            Self::Exists { .. } => ExitCode::AlreadyRunning,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ExitCode::Denied
            }
            Self::Io { .. } => ExitCode::DiskFault,
        }
    }
}

/// Reads the secret.
///
/// # Errors
/// If there is none, if others may read or change it, or if it is not 32 random bytes in base64.
pub fn read(path: &Path) -> Result<ClusterSecret, SecretFileError> {
    let shown = || path.display().to_string();
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound {
            return SecretFileError::Missing { path: shown() };
        }
        SecretFileError::Io {
            action: "read",
            path: shown(),
            source,
        }
    };
    let malformed = |problem: &str| SecretFileError::Malformed {
        path: shown(),
        problem: problem.to_owned(),
    };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file: the one of the name could be exchanged in between.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(malformed("it is not a regular file"));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Exposed {
            path: shown(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(FILE_MAX).read_to_end(&mut text).map_err(failed)?;
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    let decoded = Base64::decode(text.trim_ascii(), bytes.as_mut_slice())
        .map_err(|_| malformed("it is not one line of base64 (44 characters) for 32 bytes"))?;
    if decoded.len() != SECRET_BYTES {
        let len = decoded.len();
        return Err(malformed(&format!("it holds {len} bytes instead of 32")));
    }
    ClusterSecret::new(*bytes)
        .ok_or_else(|| malformed("its bytes are all alike, so nobody drew them at random"))
}

/// Makes a secret and writes it to a new file that only this user may read.
///
/// # Errors
/// If the file exists, or cannot be written durably; then there is none.
pub fn generate(path: &Path) -> Result<(), SecretFileError> {
    let shown = || path.display().to_string();
    let failed = |action| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => SecretFileError::Exists { path: shown() },
            _ => SecretFileError::Io {
                action,
                path: shown(),
                source,
            },
        }
    };
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| failed("draw")(io::Error::other(error.to_string())))?;
    let mut line = Zeroizing::new(Base64::encode_string(bytes.as_slice()));
    line.push('\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create"))?;
    let written = file
        .write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
    written.map_err(|error| {
        // Half a secret must not be found by the next start.
        let _ = std::fs::remove_file(path);
        failed("write")(error)
    })
}

#[cfg(test)]
mod tests;
