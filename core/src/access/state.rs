//! Users, rights and tokens as the log replays them.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::password::FIRST_USER;
use crate::admin::{Right, UserRow};

/// What every token begins with, so that one is recognised where it should not be.
pub const TOKEN_PREFIX: &str = "vqt_";

/// The first account of a cluster, where it is not `admin` with the well-known password.
#[derive(Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// PHC string of the administrator's password.
    pub password_hash: String,
    /// A token for the administrator, in the form in which it is sent.
    pub token: String,
    /// When the token stops working, in milliseconds since 1970.
    pub token_expires_unix_ms: u64,
}

impl core::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Bootstrap(..)")
    }
}

/// One change.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum AccessRecord {
    /// A user was created.
    #[n(0)]
    UserAdded {
        /// The name.
        #[n(0)]
        user: String,
        /// PHC string of the password.
        #[n(1)]
        password_hash: String,
        /// Whether the user may do everything.
        #[n(2)]
        admin: bool,
        /// Whether the password has to be changed before anything else.
        #[n(3)]
        must_change: bool,
    },
    /// A user was removed.
    #[n(1)]
    UserRemoved {
        /// The name.
        #[n(0)]
        user: String,
    },
    /// A password was set. All tokens of the user are void, but one.
    #[n(2)]
    PasswordSet {
        /// Whose.
        #[n(0)]
        user: String,
        /// PHC string of the password.
        #[n(1)]
        password_hash: String,
        /// Whether it has to be changed before anything else.
        #[n(2)]
        must_change: bool,
        /// Id of the token with which it was set; it stays.
        #[n(3)]
        keep_token: Option<String>,
    },
    /// A right was given.
    #[n(3)]
    Granted {
        /// To whom.
        #[n(0)]
        user: String,
        /// Which.
        #[n(1)]
        right: Right,
    },
    /// A right was taken.
    #[n(4)]
    Revoked {
        /// From whom.
        #[n(0)]
        user: String,
        /// Which.
        #[n(1)]
        right: Right,
    },
    /// A token was given out.
    #[n(5)]
    TokenIssued {
        /// Its id: the part that may be seen.
        #[n(0)]
        id: String,
        /// SHA-256 of its secret part.
        #[cbor(n(1), with = "minicbor::bytes")]
        secret_digest: [u8; 32],
        /// To whom.
        #[n(2)]
        user: String,
        /// When it stops working, in milliseconds since 1970.
        #[n(3)]
        expires_unix_ms: u64,
    },
    /// A token was voided.
    #[n(6)]
    TokenRevoked {
        /// Its id.
        #[n(0)]
        id: String,
    },
}

impl core::fmt::Debug for AccessRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UserAdded { user, .. } => write!(f, "UserAdded({user})"),
            Self::UserRemoved { user } => write!(f, "UserRemoved({user})"),
            Self::PasswordSet { user, .. } => write!(f, "PasswordSet({user})"),
            Self::Granted { user, right } => write!(f, "Granted({user}, {})", right.as_str()),
            Self::Revoked { user, right } => write!(f, "Revoked({user}, {})", right.as_str()),
            Self::TokenIssued { user, .. } => write!(f, "TokenIssued({user})"),
            Self::TokenRevoked { .. } => f.write_str("TokenRevoked"),
        }
    }
}

#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct User {
    #[n(0)]
    pub(super) password_hash: String,
    #[n(1)]
    pub(super) admin: bool,
    #[n(2)]
    pub(super) must_change: bool,
    #[n(3)]
    pub(super) rights: BTreeSet<Right>,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct Token {
    #[cbor(n(0), with = "minicbor::bytes")]
    secret_digest: [u8; 32],
    #[n(1)]
    user: String,
    #[n(2)]
    expires_unix_ms: u64,
}

/// Tokens kept a user; the one that expires first gives way.
const TOKENS_PER_USER: usize = 64;

/// Everything the log says about access.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccessState {
    #[n(0)]
    users: BTreeMap<String, User>,
    #[n(1)]
    tokens: BTreeMap<String, Token>,
    /// Counts the changes of users and rights, so that a cached answer can be recognised as old.
    #[n(2)]
    version: u64,
}

impl core::fmt::Debug for AccessState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AccessState")
            .field("users", &self.users.keys())
            .field("tokens", &self.tokens.len())
            .field("version", &self.version)
            .finish()
    }
}

/// The records of the account that a new cluster has: `admin`, with the password everybody knows,
/// good for nothing but changing it.
#[must_use]
pub fn initial_records(password_hash: String) -> Vec<AccessRecord> {
    let user = FIRST_USER.to_owned();
    vec![AccessRecord::UserAdded {
        user,
        password_hash,
        admin: true,
        must_change: true,
    }]
}

/// The records of a first account whose password somebody has chosen already.
#[must_use]
pub fn bootstrap_records(bootstrap: &Bootstrap) -> Vec<AccessRecord> {
    let user = FIRST_USER.to_owned();
    let mut records = vec![AccessRecord::UserAdded {
        user: user.clone(),
        password_hash: bootstrap.password_hash.clone(),
        admin: true,
        must_change: false,
    }];
    if let Some((id, secret)) = split_token(&bootstrap.token) {
        records.push(AccessRecord::TokenIssued {
            id: id.to_owned(),
            secret_digest: digest(secret),
            user,
            expires_unix_ms: bootstrap.token_expires_unix_ms,
        });
    }
    records
}

pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The id and the secret of `vqt_<id>_<secret>`.
pub(super) fn split_token(token: &str) -> Option<(&str, &str)> {
    token
        .strip_prefix(TOKEN_PREFIX)?
        .split_once('_')
        .filter(|(id, secret)| {
            !id.is_empty() && id.len() <= 64 && !secret.is_empty() && secret.len() <= 128
        })
}

impl AccessState {
    /// Whether there is no user yet: the cluster is being founded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Counts the changes of users and rights.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Makes a change. What concerns a user or token that is not there changes nothing.
    pub fn apply(&mut self, record: &AccessRecord) {
        if !matches!(
            record,
            AccessRecord::TokenIssued { .. } | AccessRecord::TokenRevoked { .. }
        ) {
            self.version += 1;
        }
        match record {
            AccessRecord::UserAdded {
                user,
                password_hash,
                admin,
                must_change,
            } => {
                let added = User {
                    password_hash: password_hash.clone(),
                    admin: *admin,
                    must_change: *must_change,
                    rights: BTreeSet::new(),
                };
                self.users.insert(user.clone(), added);
            }
            AccessRecord::UserRemoved { user } => {
                self.users.remove(user);
                self.void_tokens(user, None);
            }
            AccessRecord::PasswordSet {
                user,
                password_hash,
                must_change,
                keep_token,
            } => {
                if let Some(known) = self.users.get_mut(user) {
                    known.password_hash.clone_from(password_hash);
                    known.must_change = *must_change;
                    self.void_tokens(user, keep_token.as_deref());
                }
            }
            AccessRecord::Granted { user, right } => {
                if let Some(known) = self.users.get_mut(user) {
                    if *right == Right::Admin {
                        known.admin = true;
                    } else {
                        known.rights.insert(*right);
                    }
                }
            }
            AccessRecord::Revoked { user, right } => {
                if let Some(known) = self.users.get_mut(user) {
                    if *right == Right::Admin {
                        known.admin = false;
                    } else {
                        known.rights.remove(right);
                    }
                    // Whoever holds a token from before must log in again and see what is left.
                    self.void_tokens(user, None);
                }
            }
            AccessRecord::TokenIssued {
                id,
                secret_digest,
                user,
                expires_unix_ms,
            } => {
                self.make_room_for_token(user);
                let token = Token {
                    secret_digest: *secret_digest,
                    user: user.clone(),
                    expires_unix_ms: *expires_unix_ms,
                };
                self.tokens.insert(id.clone(), token);
            }
            AccessRecord::TokenRevoked { id } => {
                self.tokens.remove(id);
            }
        }
    }

    fn void_tokens(&mut self, user: &str, keep: Option<&str>) {
        self.tokens
            .retain(|id, token| token.user != user || keep == Some(id));
    }

    fn make_room_for_token(&mut self, user: &str) {
        let of_user = |(_, token): &(&String, &Token)| token.user == user;
        if self.tokens.iter().filter(of_user).count() >= TOKENS_PER_USER {
            let first = self
                .tokens
                .iter()
                .filter(of_user)
                .min_by_key(|(_, t)| t.expires_unix_ms);
            if let Some(id) = first.map(|(id, _)| id.clone()) {
                self.tokens.remove(&id);
            }
        }
    }

    pub(super) fn user(&self, user: &str) -> Option<&User> {
        self.users.get(user)
    }

    pub(super) fn admins(&self) -> usize {
        self.users.values().filter(|user| user.admin).count()
    }

    /// The user that a token belongs to, if it is whole, known and not expired.
    pub(super) fn token_user(&self, token: &str, unix_ms: u64) -> Option<(&str, &str)> {
        let (id, secret) = split_token(token)?;
        let (id, known) = self.tokens.get_key_value(id)?;
        let right: bool = known.secret_digest.ct_eq(&digest(secret)).into();
        (right && unix_ms < known.expires_unix_ms && self.users.contains_key(&known.user))
            .then_some((known.user.as_str(), id.as_str()))
    }

    /// A user as lists show it.
    pub(super) fn row(&self, name: &str) -> Option<UserRow> {
        self.users.get(name).map(|user| row(name, user))
    }

    /// Every user as lists show it, by name.
    #[must_use]
    pub fn rows(&self) -> Vec<UserRow> {
        self.users
            .iter()
            .map(|(name, user)| row(name, user))
            .collect()
    }
}

fn row(name: &str, user: &User) -> UserRow {
    UserRow {
        user: name.to_owned(),
        admin: user.admin,
        rights: user.rights.iter().copied().collect(),
        must_change_password: user.must_change,
    }
}
