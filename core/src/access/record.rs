//! The log records about users, rights and tokens, and those that found a cluster.

use core::fmt;
use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::name::UserName;
use super::network::Network;
use super::password::PasswordHash;
use super::token::{Token, TokenDigest, TokenId};
use crate::admin::Right;

/// One change of [`AccessState`](super::AccessState).
///
/// Readers skip fields that they do not know; a variant that a reader does not know is an error,
/// because to skip it would be to lose a change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AccessRecord {
    /// A user was created.
    #[n(0)]
    UserAdded {
        /// The name.
        #[n(0)]
        user: UserName,
        /// Hash of the password.
        #[n(1)]
        hash: PasswordHash,
        /// Whether the user administers the cluster.
        #[n(2)]
        admin: bool,
        /// The rights beside.
        #[n(3)]
        rights: BTreeSet<Right>,
        /// Whether the password must be changed before anything else.
        #[n(4)]
        must_change: bool,
        /// Whether the password is the one that everybody knows.
        #[n(5)]
        well_known: bool,
    },
    /// A user was removed, with all tokens.
    #[n(1)]
    UserRemoved {
        /// The name.
        #[n(0)]
        user: UserName,
    },
    /// A user has another password; the user's tokens are void.
    #[n(2)]
    PasswordSet {
        /// The name.
        #[n(0)]
        user: UserName,
        /// Hash of the new password.
        #[n(1)]
        hash: PasswordHash,
        /// Whether this one must be changed again before anything else.
        #[n(2)]
        must_change: bool,
    },
    /// A user was given a right; the user's tokens are void.
    #[n(3)]
    Granted {
        /// The name.
        #[n(0)]
        user: UserName,
        /// The right.
        #[n(1)]
        right: Right,
    },
    /// A right was taken from a user; the user's tokens are void.
    #[n(4)]
    Revoked {
        /// The name.
        #[n(0)]
        user: UserName,
        /// The right.
        #[n(1)]
        right: Right,
    },
    /// A user logged in, or made a token for a program.
    #[n(5)]
    TokenIssued {
        /// Which token.
        #[n(0)]
        token: TokenId,
        /// What proves it.
        #[n(1)]
        digest: TokenDigest,
        /// Whose.
        #[n(2)]
        user: UserName,
        /// When, in milliseconds since 1970; 0 if nobody noted it.
        #[n(3)]
        issued_unix_ms: u64,
        /// From when on it is void, in milliseconds since 1970.
        #[n(4)]
        expires_unix_ms: u64,
        /// What it is for, if it is a program's; `None` for a login.
        #[cbor(n(5), default)]
        scope: Option<TokenScope>,
    },
    /// A user logged out, or a token was revoked.
    #[n(6)]
    TokenRevoked {
        /// Which token.
        #[n(0)]
        token: TokenId,
    },
}

/// What a token that a user made for a program is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenScope {
    /// What its user calls it.
    #[n(0)]
    pub label: String,
    /// The rights of the user that it carries; `None` for all.
    #[n(1)]
    pub rights: Option<BTreeSet<Right>>,
    /// From where it may be used; from everywhere if there are none.
    #[n(2)]
    pub networks: Vec<Network>,
}

/// The first account of a cluster, where it is not `admin` with the well-known password.
#[derive(Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// PHC string of the administrator's password.
    pub password_hash: String,
    /// A token for the administrator, in the form in which it is sent. One that
    /// [`Token::parse`] does not read is left out: the administrator has to log in.
    pub token: String,
    /// From when on the token is void, in milliseconds since 1970.
    pub token_expires_unix_ms: u64,
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bootstrap(..)")
    }
}

/// The records that found a cluster whose first account has the password of
/// [`first_password`](super::first_password); `phc` is its hash.
#[must_use]
pub fn initial_records(phc: String) -> Vec<AccessRecord> {
    vec![first_account(PasswordHash::new(phc), true)]
}

/// The records that found a cluster whose first account somebody chose a password for.
#[must_use]
pub fn bootstrap_records(bootstrap: &Bootstrap) -> Vec<AccessRecord> {
    let hash = PasswordHash::new(bootstrap.password_hash.clone());
    let mut records = vec![first_account(hash, false)];
    if let Some(token) = Token::parse(&bootstrap.token) {
        records.push(AccessRecord::TokenIssued {
            token: token.id(),
            digest: token.digest(),
            user: UserName::first(),
            issued_unix_ms: 0,
            expires_unix_ms: bootstrap.token_expires_unix_ms,
            scope: None,
        });
    }
    records
}

/// The first administrator may also read and write files; later ones are granted that.
fn first_account(hash: PasswordHash, well_known: bool) -> AccessRecord {
    AccessRecord::UserAdded {
        user: UserName::first(),
        hash,
        admin: true,
        rights: BTreeSet::from([Right::DfsRead, Right::DfsWrite]),
        must_change: well_known,
        well_known,
    }
}
