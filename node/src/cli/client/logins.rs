//! The tokens of this user's logins, in a file of the user's own.
//!
//! The file is `vaquita/logins.json` under `XDG_CONFIG_HOME`, else under `~/.config`. A token is as
//! good as a password until it expires, so the file is for its owner alone and one that others can
//! read is not used.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dial::Known;
use crate::cli::exit::{Failure, Status};
use crate::cli::shell;

/// One login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Login {
    /// `host:port`.
    pub(in crate::cli) server: String,
    /// The user's name at that server.
    pub(in crate::cli) user: String,
    /// The token.
    pub(in crate::cli) token: String,
}

/// What the file holds. Fields that a later version adds are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    /// The server of the last login.
    current: Option<String>,
    /// One login a server and user; of a server's the first is the one that commands use.
    #[serde(default)]
    logins: Vec<Login>,
    /// By what servers that speak HTTPS are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    known: BTreeMap<String, Known>,
}

/// The logins, and the file they came from.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Logins {
    path: Option<PathBuf>,
    content: Content,
}

impl Logins {
    /// Reads this user's file. A user without one has no logins.
    pub(in crate::cli) fn read() -> Result<Self, Failure> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let base = variable("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".config")));
        match base {
            Some(base) => Self::read_from(base.join("vaquita").join("logins.json")),
            None => Ok(Self {
                path: None,
                content: Content::default(),
            }),
        }
    }

    pub(super) fn read_from(path: PathBuf) -> Result<Self, Failure> {
        let shown = path.display();
        let content = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                return Err(Failure::new(
                    Status::Denied,
                    format!("the logins in {shown} cannot be read: {error}"),
                ));
            }
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(Failure::new(
                        Status::Denied,
                        format!(
                            "other users may read the logins in {shown} (mode {mode:03o}), so they \
                             are not used: `chmod 600 {}`, and log in again if somebody else \
                             may have seen them",
                            shell::word(&path)
                        ),
                    ));
                }
                let text = fs::read_to_string(&path).map_err(|error| {
                    Failure::new(
                        Status::Denied,
                        format!("the logins in {shown} cannot be read: {error}"),
                    )
                })?;
                serde_json::from_str(&text).map_err(|error| {
                    Failure::new(
                        Status::Damaged,
                        format!(
                            "the logins in {shown} are damaged (line {}, column {}); remove the \
                             file and log in again",
                            error.line(),
                            error.column()
                        ),
                    )
                })?
            }
        };
        Ok(Self {
            path: Some(path),
            content,
        })
    }

    /// The server of the last login.
    pub(in crate::cli) fn current(&self) -> Option<&str> {
        self.content.current.as_deref()
    }

    /// The login at a server: of this user, or the one made last.
    pub(in crate::cli) fn find(&self, server: &str, user: Option<&str>) -> Option<&Login> {
        let mut logins = self.content.logins.iter();
        logins.find(|it| it.server == server && user.is_none_or(|user| user == it.user))
    }

    /// By what a server is known that speaks HTTPS.
    pub(in crate::cli) fn known(&self, server: &str) -> Option<&Known> {
        self.content.known.get(server)
    }

    /// Keeps by what a server is known, with the next login that is kept.
    pub(in crate::cli) fn know(&mut self, server: String, known: Known) {
        self.content.known.insert(server, known);
    }

    /// Keeps a login as the one that commands use from now on.
    pub(in crate::cli) fn keep(&mut self, login: Login) -> Result<(), Failure> {
        self.content.current = Some(login.server.clone());
        self.forget_entry(&login.server, &login.user);
        self.content.logins.insert(0, login);
        self.write()
    }

    /// Keeps a login for each of these other servers of the same cluster, which take the same token.
    /// The server that commands go to stays.
    pub(in crate::cli) fn keep_beside(
        &mut self,
        login: &Login,
        servers: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        for server in servers {
            self.forget_entry(&server, &login.user);
            let login = Login {
                server,
                ..login.clone()
            };
            self.content.logins.insert(0, login);
        }
        self.write()
    }

    /// Keeps a login behind those that were made by hand: it is used by whoever asks for its user.
    pub(in crate::cli) fn keep_aside(&mut self, login: Login) -> Result<(), Failure> {
        self.forget_entry(&login.server, &login.user);
        self.content.logins.push(login);
        self.write()
    }

    /// Forgets a login. The server stays the one that commands go to, the next `login` too.
    pub(in crate::cli) fn forget(&mut self, server: &str, user: &str) -> Result<(), Failure> {
        self.forget_entry(server, user);
        self.write()
    }

    fn forget_entry(&mut self, server: &str, user: &str) {
        let logins = &mut self.content.logins;
        logins.retain(|it| !(it.server == server && it.user == user));
    }

    /// Replaces the file as a whole, so that another command that reads it at this moment sees the
    /// old one or the new one.
    fn write(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else {
            return Err(Failure::new(
                Status::Disk,
                "there is no place for the login: set HOME or XDG_CONFIG_HOME, or log in by \
                 VAQUITA_USER and VAQUITA_PASSWORD",
            ));
        };
        let text = serde_json::to_string_pretty(&self.content).map_err(|error| {
            Failure::new(
                Status::Bug,
                format!("the logins cannot be written: {error}"),
            )
        })?;
        replace_private(path, text.as_bytes()).map_err(|error| {
            let shown = path.display();
            Failure::new(
                Status::Disk,
                format!("the login cannot be kept in {shown}: {error}"),
            )
        })
    }
}

/// Writes a file that only its owner may read, in one step, its directories too.
fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
