//! The first account of a new cluster, left by whoever set the cluster up.
//!
//! `vaquita local` puts the file `bootstrap` into the controller's home, so that the first start
//! needs nobody to log in with a password that everybody knows. It counts at the first start and
//! never again; whoever left it may remove it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;
use vaquita_core::controller::Bootstrap;
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::secret::Password;

use crate::driver::{PasswordCost, hash_password};
use crate::env::{Effort, Env};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    admin_password: String,
    token: String,
}

/// How long the token is good for: as long as any may be.
const TOKEN_LIFE_MS: u64 = 365 * 24 * 3600 * 1000;

/// Reads the file, if there is one.
pub(super) async fn read<E: Env>(home: &Path, env: &E) -> Result<Option<Bootstrap>, ExitReason> {
    let path = home.join("bootstrap");
    let refused = |code: ExitCode, why: String| ExitReason {
        code,
        message: format!("{}: {why}; remove it, or write it anew", path.display()),
    };
    let wrong = |why: String| refused(ExitCode::Usage, why);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let mode = fs::metadata(&path)
        .map_err(|error| wrong(error.to_string()))?
        .mode();
    if mode & 0o077 != 0 {
        let why = format!(
            "others than its owner may read it (mode {:04o}), and it holds a password",
            mode & 0o7777
        );
        return Err(refused(ExitCode::Denied, why));
    }
    let file: File = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("is not a bootstrap file: {error}")))?;
    let password = Password::new(file.admin_password);
    let seed = env.seed();
    let hash = env
        .compute(Effort::Password, move || {
            hash_password(PasswordCost::default(), &password, seed)
        })
        .await
        .ok_or_else(|| wrong("the password could not be hashed".to_owned()))?;
    Ok(Some(Bootstrap {
        password_hash: hash,
        token: file.token,
        token_expires_unix_ms: env.unix_ms().saturating_add(TOKEN_LIFE_MS),
    }))
}
