//! The file of the cluster's secret: 32 random bytes as base64, readable by its owner alone.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::commands::secret::failed;
use super::exit::{Failure, Status};

/// Its usual name, beside the file of `-config`.
pub(super) const NAME: &str = "cluster.secret";

/// Draws a secret and writes it to a new file; returns the text, for copies.
pub(super) fn generate(path: &Path) -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            Status::Unavailable,
            format!("this system gives no random numbers: {error}"),
        )
    })?;
    let text = format!("{}\n", base64(&bytes));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::new(
                Status::Exists,
                format!(
                    "{} is there already and stays as it is: processes that know one another by it \
                     would lose one another; remove it by hand if no cluster uses it",
                    path.display()
                ),
            ),
            _ => failed(path, "cannot be written", &error),
        })?;
    Ok(text)
}

/// Whether processes would take the file.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            Status::No,
            format!("there is no {}; `vaquita secret` makes one", path.display()),
        ),
        _ => failed(path, "cannot be looked at", &error),
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(
            Status::Denied,
            format!(
                "other users may read {0} (mode {mode:03o}), and processes refuse it: `chmod 600 \
                 {0}`, and make a new one if somebody may have seen it",
                path.display()
            ),
        ));
    }
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = bits >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}
