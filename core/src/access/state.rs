//! Users, rights and tokens as a replay of the log gives them.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use super::name::UserName;
use super::password::PasswordHash;
use super::record::{AccessRecord, TokenScope};
use super::token::{Token, TokenDigest, TokenId};
use crate::admin::{Right, UserRole, UserRow};

/// Users that a cluster may have. What is decided is checked against it before it is logged; a log
/// that has more is replayed as it is.
pub const USERS_MAX: usize = 1000;

/// Logins that a user may have at once. The one with the least life left gives way to a new one, so
/// that a script that logs in for every command costs nobody a long-lived token.
///
/// A constant and no limit of the configuration: two replays of one log must agree.
pub const TOKENS_PER_USER_MAX: usize = 32;

/// Tokens for programs that a user may have beside these. They give way to nothing: more are refused
/// before they are logged, and a log that has more is replayed as it is.
pub const SERVICE_TOKENS_PER_USER_MAX: usize = 32;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct User {
    #[n(0)]
    pub(super) hash: PasswordHash,
    #[n(1)]
    pub(super) admin: bool,
    /// Never contains [`Right::Admin`]: that is `admin`.
    #[n(2)]
    pub(super) rights: BTreeSet<Right>,
    #[n(3)]
    pub(super) must_change: bool,
    #[n(4)]
    pub(super) well_known: bool,
    #[n(5)]
    pub(super) grant_version: u64,
}

impl User {
    /// Whether the user administers the cluster.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether the user may do nothing but change the password.
    #[must_use]
    pub const fn must_change_password(&self) -> bool {
        self.must_change
    }

    /// Whether the password is the one that everybody knows.
    #[must_use]
    pub const fn has_well_known_password(&self) -> bool {
        self.well_known
    }

    /// Whether the user has a right, given as it is or with another one.
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.held().any(|held| held.implies(right))
    }

    /// The rights that the user was given.
    pub fn held(&self) -> impl Iterator<Item = Right> {
        let admin = self.admin.then_some(Right::Admin);
        admin.into_iter().chain(self.rights.iter().copied())
    }

    /// The [`AccessState::grant_version`] of the last change to this user.
    #[must_use]
    pub const fn grant_version(&self) -> u64 {
        self.grant_version
    }
}

/// A token as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IssuedToken {
    #[n(0)]
    pub(super) digest: TokenDigest,
    #[n(1)]
    pub(super) user: UserName,
    #[n(2)]
    pub(super) issued_unix_ms: u64,
    #[n(3)]
    pub(super) expires_unix_ms: u64,
    /// `None` for a login.
    #[cbor(n(4), default)]
    pub(super) scope: Option<TokenScope>,
}

impl IssuedToken {
    /// What its user calls it, if it was made for a program.
    #[must_use]
    pub fn label(&self) -> Option<&String> {
        self.scope.as_ref().map(|scope| &scope.label)
    }

    /// Whether it may be used from an address.
    #[must_use]
    pub fn is_welcome_from(&self, address: IpAddr) -> bool {
        let networks = self.scope.as_ref().map_or(&[][..], |it| &it.networks);
        networks.is_empty() || networks.iter().any(|it| it.contains(address))
    }

    /// The rights of its user's that it carries; `None` for all.
    #[must_use]
    pub fn limits(&self) -> Option<&BTreeSet<Right>> {
        self.scope.as_ref()?.rights.as_ref()
    }

    /// Whether it carries a right of its user's.
    #[must_use]
    pub fn carries(&self, right: Right) -> bool {
        let rights = self.limits();
        rights.is_none_or(|rights| rights.iter().any(|held| held.implies(right)))
    }

    /// Whose it is.
    #[must_use]
    pub const fn user(&self) -> &UserName {
        &self.user
    }

    /// When it was issued, in milliseconds since 1970; 0 if nobody noted it.
    #[must_use]
    pub const fn issued_unix_ms(&self) -> u64 {
        self.issued_unix_ms
    }

    /// From when on it is void, in milliseconds since 1970.
    #[must_use]
    pub const fn expires_unix_ms(&self) -> u64 {
        self.expires_unix_ms
    }
}

/// Everything the log says about users, rights and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccessState {
    #[n(0)]
    users: BTreeMap<UserName, User>,
    #[n(1)]
    tokens: BTreeMap<TokenId, IssuedToken>,
    #[n(2)]
    grant_version: u64,
}

impl AccessState {
    /// Whether there is no user yet: the cluster is being founded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many users there are.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// The user of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The names of all users, in order.
    pub fn names(&self) -> impl Iterator<Item = &UserName> {
        self.users.keys()
    }

    /// All users as they may be shown, by name.
    #[must_use]
    pub fn rows(&self) -> Vec<UserRow> {
        self.users
            .iter()
            .map(|(name, user)| row(name, user))
            .collect()
    }

    /// The user of this name as it may be shown.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<UserRow> {
        let (name, user) = self.users.get_key_value(name)?;
        Some(row(name, user))
    }

    /// A token that was issued and is not revoked; it may have expired.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<&IssuedToken> {
        self.tokens.get(&id)
    }

    /// All tokens that were issued and are not revoked, by id; some may have expired.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenId, &IssuedToken)> + Clone {
        self.tokens.iter().map(|(id, issued)| (*id, issued))
    }

    /// Whose token this is, if it is valid at `unix_ms` and may be used from `address`.
    ///
    /// The id is looked up as any key is, since it is no secret; the secret is compared in constant
    /// time.
    #[must_use]
    pub fn owner(&self, token: &Token, address: IpAddr, unix_ms: u64) -> Option<&UserName> {
        let issued = self.tokens.get(&token.id())?;
        let proven = issued.digest == token.digest();
        let valid = proven && unix_ms < issued.expires_unix_ms && issued.is_welcome_from(address);
        valid.then_some(&issued.user)
    }

    /// A token that is valid but for the address it is used from: somebody may have stolen it.
    #[must_use]
    pub fn is_astray(&self, token: &Token, address: IpAddr, unix_ms: u64) -> bool {
        let issued = self.tokens.get(&token.id());
        issued.is_some_and(|issued| {
            issued.digest == token.digest()
                && unix_ms < issued.expires_unix_ms
                && !issued.is_welcome_from(address)
        })
    }

    /// Grows whenever somebody may do less than before, or something else: what was remembered of
    /// anybody's rights under a lower version has to be asked again.
    #[must_use]
    pub const fn grant_version(&self) -> u64 {
        self.grant_version
    }

    /// Whether an account still has the password that everybody knows.
    #[must_use]
    pub fn has_well_known_password(&self) -> bool {
        self.users.values().any(|user| user.well_known)
    }

    /// Whether this user is an administrator, and the only one.
    #[must_use]
    pub fn is_last_admin(&self, name: &str) -> bool {
        let mut admins = self.users.iter().filter(|(_, user)| user.admin);
        admins.next().is_some_and(|(only, _)| only.as_str() == name) && admins.next().is_none()
    }

    /// Makes the change that a record stands for.
    ///
    /// Total: a record that makes no sense (an unknown user, a name that is taken, the end of the
    /// last administrator) changes nothing. Which records those are is part of the log's format.
    pub fn apply(&mut self, record: &AccessRecord) {
        match record {
            AccessRecord::UserAdded {
                user,
                hash,
                admin,
                rights,
                must_change,
                well_known,
            } => {
                if self.users.contains_key(user) {
                    return;
                }
                let mut rights = rights.clone();
                let admin = rights.remove(&Right::Admin) || *admin;
                let added = User {
                    hash: hash.clone(),
                    admin,
                    rights,
                    must_change: *must_change,
                    well_known: *well_known,
                    grant_version: self.next_grant_version(),
                };
                self.users.insert(user.clone(), added);
            }
            AccessRecord::UserRemoved { user } => {
                if !self.is_last_admin(user.as_str()) && self.users.remove(user).is_some() {
                    self.next_grant_version();
                    self.void_tokens_of(user);
                }
            }
            AccessRecord::PasswordSet {
                user,
                hash,
                must_change,
            } => self.change(user, |account| {
                account.hash = hash.clone();
                account.must_change = *must_change;
                account.well_known = false;
                true
            }),
            AccessRecord::Granted { user, right } => self.change(user, |account| match right {
                Right::Admin => !core::mem::replace(&mut account.admin, true),
                right => account.rights.insert(*right),
            }),
            AccessRecord::Revoked { user, right } => {
                if *right == Right::Admin && self.is_last_admin(user.as_str()) {
                    return;
                }
                self.change(user, |account| match right {
                    Right::Admin => core::mem::replace(&mut account.admin, false),
                    right => account.rights.remove(right),
                });
            }
            AccessRecord::TokenIssued {
                token,
                digest,
                user,
                issued_unix_ms,
                expires_unix_ms,
                scope,
            } => {
                if !self.users.contains_key(user) || self.tokens.contains_key(token) {
                    return;
                }
                if scope.is_none() {
                    self.make_room_for_a_login_of(user);
                }
                let issued = IssuedToken {
                    digest: *digest,
                    user: user.clone(),
                    issued_unix_ms: *issued_unix_ms,
                    expires_unix_ms: *expires_unix_ms,
                    scope: scope.clone(),
                };
                self.tokens.insert(*token, issued);
            }
            AccessRecord::TokenRevoked { token } => {
                if self.tokens.remove(token).is_some() {
                    self.next_grant_version();
                }
            }
        }
    }

    /// Changes a user and, if `change` did, voids the user's tokens: who logged in under other
    /// rights, or with another password, logs in again.
    fn change(&mut self, name: &UserName, change: impl FnOnce(&mut User) -> bool) {
        let version = self.grant_version.saturating_add(1);
        if let Some(user) = self.users.get_mut(name)
            && change(user)
        {
            user.grant_version = version;
            self.grant_version = version;
            self.void_tokens_of(name);
        }
    }

    fn void_tokens_of(&mut self, name: &UserName) {
        self.tokens.retain(|_, token| token.user != *name);
    }

    /// Expired tokens are not looked for: they have the least life left and go first anyway. A
    /// clock that is wrong for a moment thus costs nobody a token for good.
    fn make_room_for_a_login_of(&mut self, name: &UserName) {
        let mut least_life = None;
        let mut count = 0_usize;
        let is_one = |token: &IssuedToken| token.user == *name && token.scope.is_none();
        for (id, token) in self.tokens.iter().filter(|(_, token)| is_one(token)) {
            count += 1;
            let life = (token.expires_unix_ms, token.issued_unix_ms, *id);
            least_life = Some(least_life.map_or(life, |least| life.min(least)));
        }
        if let Some((_, _, id)) = least_life
            && count >= TOKENS_PER_USER_MAX
        {
            self.tokens.remove(&id);
            self.next_grant_version();
        }
    }

    fn next_grant_version(&mut self) -> u64 {
        self.grant_version = self.grant_version.saturating_add(1);
        self.grant_version
    }

    /// The same without what a user may change of it by themselves, for tests that nothing else was:
    /// password and tokens. Rights stay, and so do all other users with their tokens.
    #[doc(hidden)]
    #[must_use]
    pub fn without_own_of(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.tokens.retain(|_, token| token.user.as_str() != name);
        // A token of anybody's that ends raises it; whose it was is seen from the tokens.
        rest.grant_version = 0;
        if let Some(user) = rest.users.get_mut(name) {
            user.hash = PasswordHash::new(String::new());
            user.must_change = false;
            user.well_known = false;
            user.grant_version = 0;
        }
        rest
    }

    /// Panics with a sentence if the state contradicts itself.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let mut counts: BTreeMap<&UserName, usize> = BTreeMap::new();
        for (id, token) in &self.tokens {
            assert!(
                self.users.contains_key(&token.user),
                "token {id} belongs to {}, who does not exist",
                token.user
            );
            *counts.entry(&token.user).or_default() += usize::from(token.scope.is_none());
        }
        for (name, count) in counts {
            assert!(
                count <= TOKENS_PER_USER_MAX,
                "{name} has {count} logins, more than {TOKENS_PER_USER_MAX}"
            );
        }
        for (name, user) in &self.users {
            assert!(
                !user.rights.contains(&Right::Admin),
                "{name} has administration as a right beside the flag"
            );
            assert!(
                user.grant_version <= self.grant_version,
                "{name} was changed under version {} of {}",
                user.grant_version,
                self.grant_version
            );
        }
    }
}

fn row(name: &UserName, user: &User) -> UserRow {
    let rights: Vec<Right> = user.rights.iter().copied().collect();
    UserRow {
        user: name.as_str().to_owned(),
        role: UserRole::of(user.admin, &rights),
        admin: user.admin,
        rights,
        must_change_password: user.must_change,
    }
}
