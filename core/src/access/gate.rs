//! The gate: who asks, whether that one may, and the steps of what takes a password.

use core::net::IpAddr;
use core::time::Duration;

use super::password;
use super::state::{AccessRecord, AccessState, TOKEN_PREFIX, digest};
use super::throttle::Throttle;
use crate::admin::{Caller, Refusal, Reply, Response, Right, UserRow, Verb};
use crate::ids::Alias;
use crate::io::{Job, JobOutcome};
use crate::prng::SecretPrng;
use crate::secret::Password;
use crate::time::Timestamp;

/// What a verb takes of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: it is how one becomes somebody.
    Nothing,
    /// To be logged in, even with a password that has to be changed.
    Token,
    /// To be logged in for real.
    User,
    /// To have a right.
    Right(Right),
}

/// The one table of what each verb takes.
#[must_use]
pub const fn needed(verb: &Verb) -> Needed {
    match verb {
        Verb::Login { .. } => Needed::Nothing,
        Verb::Logout | Verb::WhoAmI => Needed::Token,
        // Whether it is the caller's own password or another's is decided where it is set.
        Verb::ChangePassword { .. } => Needed::Token,
        Verb::Status | Verb::ListNodes => Needed::User,
        Verb::ReadLog { .. } => Needed::Right(Right::LogRead),
        Verb::StartNodes(_)
        | Verb::StopNodes(_)
        | Verb::ListUsers
        | Verb::AddUser { .. }
        | Verb::RemoveUser { .. }
        | Verb::Grant { .. }
        | Verb::Revoke { .. } => Needed::Right(Right::Admin),
    }
}

/// Whoever asks, once known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody yet; may only log in.
    Nobody,
    /// Whoever sits at the process's console.
    Console,
    /// A user with a token.
    User {
        /// The name.
        name: String,
        /// The id of the token.
        token: String,
    },
}

/// What to do next about a request.
#[derive(Debug)]
pub enum Step {
    /// Answer it.
    Reply(Reply),
    /// Compute something, then hand the outcome to [`Access::finish`].
    Compute(Job, Pending),
    /// Log these, and answer when they are durable.
    Append(Vec<AccessRecord>, Response),
}

/// A request in the middle of a computation.
#[derive(Debug)]
pub struct Pending(Continue);

#[derive(Debug)]
enum Continue {
    /// Log in if the password is right.
    Login {
        user: String,
        from: IpAddr,
        unix_ms: u64,
        valid_for: Duration,
    },
    /// Hash the new password if the old one is right.
    Change {
        user: String,
        from: IpAddr,
        token: Option<String>,
        new: Password,
    },
    /// Set the hash.
    Set { user: String, token: Option<String> },
    /// Add the user with the hash.
    Add { user: String, admin: bool },
}

/// The longest that a token may be good for.
const TOKEN_VALID_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The gate.
#[derive(Debug, Default)]
pub struct Access {
    throttle: Throttle,
}

impl Access {
    /// A gate at which nobody has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says who asks, if that one may ask this.
    ///
    /// # Errors
    /// The refusal; nothing else about the request has been looked at.
    pub fn authorize(
        &self,
        state: &AccessState,
        caller: &Caller,
        verb: &Verb,
    ) -> Result<Identity, Refusal> {
        let (token, unix_ms) = match caller {
            Caller::Console => return Ok(Identity::Console),
            Caller::Remote { token, unix_ms, .. } => (token, *unix_ms),
        };
        let needed = needed(verb);
        if needed == Needed::Nothing {
            return Ok(Identity::Nobody);
        }
        let known = token
            .as_deref()
            .and_then(|token| state.token_user(token, unix_ms));
        let Some((name, id)) = known else {
            return Err(Refusal::Unauthenticated);
        };
        let Some(user) = state.user(name) else {
            return Err(Refusal::Unauthenticated);
        };
        if user.must_change && needed != Needed::Token {
            return Err(Refusal::PasswordChangeRequired {
                user: name.to_owned(),
            });
        }
        match needed {
            Needed::Right(right) if !user.admin && !user.rights.contains(&right) => {
                Err(Refusal::Forbidden {
                    user: name.to_owned(),
                    right,
                })
            }
            _ => Ok(Identity::User {
                name: name.to_owned(),
                token: id.to_owned(),
            }),
        }
    }

    /// Begins what concerns users and logins. `identity` is what [`Access::authorize`] returned
    /// for this very request.
    pub fn begin(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        identity: &Identity,
        caller: &Caller,
        verb: Verb,
        aliases: &[Alias],
    ) -> Step {
        match self.try_begin(now, state, identity, caller, verb, aliases) {
            Ok(step) => step,
            Err(refusal) => Step::Reply(Err(refusal)),
        }
    }

    fn try_begin(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        identity: &Identity,
        caller: &Caller,
        verb: Verb,
        aliases: &[Alias],
    ) -> Result<Step, Refusal> {
        Ok(match verb {
            Verb::Login {
                user,
                password,
                valid_for,
            } => {
                return self.login(now, state, caller, user, password, valid_for);
            }
            Verb::Logout => match identity {
                Identity::User { token, .. } => {
                    let revoked = AccessRecord::TokenRevoked { id: token.clone() };
                    Step::Append(vec![revoked], Response::Done)
                }
                Identity::Console | Identity::Nobody => Step::Reply(Ok(Response::Done)),
            },
            Verb::WhoAmI => Step::Reply(Ok(Response::You(who(state, identity)))),
            Verb::ListUsers => Step::Reply(Ok(Response::Users(state.rows()))),
            Verb::AddUser {
                user,
                password,
                admin,
            } => {
                password::check_user(&user)?;
                if state.user(&user).is_some() {
                    let reason = format!("there is a user `{user}` already");
                    return Err(Refusal::Conflict { reason });
                }
                password::check(&password, &user, aliases)?;
                let add = Continue::Add { user, admin };
                Step::Compute(Job::HashPassword { password }, Pending(add))
            }
            Verb::RemoveUser { user } => {
                known(state, &user)?;
                not_the_last_admin(state, &user)?;
                Step::Append(vec![AccessRecord::UserRemoved { user }], Response::Done)
            }
            Verb::Grant { user, right } => {
                known(state, &user)?;
                Step::Append(vec![AccessRecord::Granted { user, right }], Response::Done)
            }
            Verb::Revoke { user, right } => {
                known(state, &user)?;
                if right == Right::Admin {
                    not_the_last_admin(state, &user)?;
                }
                Step::Append(vec![AccessRecord::Revoked { user, right }], Response::Done)
            }
            Verb::ChangePassword { user, old, new } => {
                return self.change(now, state, identity, caller, user, old, new, aliases);
            }
            Verb::Status
            | Verb::ListNodes
            | Verb::StartNodes(_)
            | Verb::StopNodes(_)
            | Verb::ReadLog { .. } => {
                let reason = "this is not a question about users".to_owned();
                return Err(Refusal::Invalid { reason });
            }
        })
    }

    fn login(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        caller: &Caller,
        user: String,
        password: Password,
        valid_for: Duration,
    ) -> Result<Step, Refusal> {
        let Caller::Remote {
            address, unix_ms, ..
        } = caller
        else {
            let reason = "the console needs no login".to_owned();
            return Err(Refusal::Invalid { reason });
        };
        self.not_too_often(now, &user, *address)?;
        if password.reveal().len() > Password::MAX_LEN {
            return Err(Refusal::WrongPassword);
        }
        let stored = state.user(&user).map(|user| user.password_hash.clone());
        let login = Continue::Login {
            user,
            from: *address,
            unix_ms: *unix_ms,
            valid_for,
        };
        Ok(Step::Compute(
            Job::VerifyPassword { password, stored },
            Pending(login),
        ))
    }

    fn not_too_often(&self, now: Timestamp, user: &str, from: IpAddr) -> Result<(), Refusal> {
        match self.throttle.wait(now, user, from) {
            None => Ok(()),
            Some(retry_after) => {
                let reason = "too many failed logins".to_owned();
                Err(Refusal::Busy {
                    reason,
                    retry_after,
                })
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one verb, and what judges them"
    )]
    fn change(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        identity: &Identity,
        caller: &Caller,
        user: Option<String>,
        old: Option<Password>,
        new: Password,
        aliases: &[Alias],
    ) -> Result<Step, Refusal> {
        let (own, token) = match identity {
            Identity::User { name, token } => (Some(name.clone()), Some(token.clone())),
            Identity::Console | Identity::Nobody => (None, None),
        };
        let Some(user) = user.or_else(|| own.clone()) else {
            let reason = "say whose password".to_owned();
            return Err(Refusal::Invalid { reason });
        };
        let is_own = own.as_ref() == Some(&user);
        if let Some(name) = own
            && !is_own
        {
            let caller = state.user(&name);
            if caller.is_some_and(|caller| caller.must_change) {
                return Err(Refusal::PasswordChangeRequired { user: name });
            }
            if !caller.is_some_and(|caller| caller.admin) {
                return Err(Refusal::Forbidden {
                    user: name,
                    right: Right::Admin,
                });
            }
        }
        known(state, &user)?;
        password::check(&new, &user, aliases)?;
        if !is_own {
            let set = Continue::Set { user, token: None };
            return Ok(Step::Compute(
                Job::HashPassword { password: new },
                Pending(set),
            ));
        }
        let (Some(old), Caller::Remote { address, .. }) = (old, caller) else {
            let reason = "the present password is needed to set a new one".to_owned();
            return Err(Refusal::Invalid { reason });
        };
        if old == new {
            let reason = "the new password is the present one".to_owned();
            return Err(Refusal::Invalid { reason });
        }
        self.not_too_often(now, &user, *address)?;
        let stored = state.user(&user).map(|user| user.password_hash.clone());
        let change = Continue::Change {
            user,
            from: *address,
            token,
            new,
        };
        Ok(Step::Compute(
            Job::VerifyPassword {
                password: old,
                stored,
            },
            Pending(change),
        ))
    }

    /// Goes on with a request whose computation is done.
    pub fn finish(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        pending: Pending,
        outcome: JobOutcome,
        secrets: &mut SecretPrng,
    ) -> Step {
        match (pending.0, outcome) {
            (
                Continue::Login {
                    user,
                    from,
                    unix_ms,
                    valid_for,
                },
                JobOutcome::PasswordVerified(ok),
            ) => {
                let Some(known) = state.user(&user).filter(|_| ok) else {
                    self.throttle.failed(now, &user, from);
                    return Step::Reply(Err(Refusal::WrongPassword));
                };
                self.throttle.succeeded(&user);
                let must_change_password = known.must_change;
                let valid_for = valid_for.min(TOKEN_VALID_MAX);
                let valid_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
                let (id, secret) = (hex(&secrets.next_16()[..8]), hex(&secrets.next_32()));
                let issued = AccessRecord::TokenIssued {
                    id: id.clone(),
                    secret_digest: digest(&secret),
                    user,
                    expires_unix_ms: unix_ms.saturating_add(valid_ms),
                };
                let token = format!("{TOKEN_PREFIX}{id}_{secret}");
                Step::Append(
                    vec![issued],
                    Response::LoggedIn {
                        token,
                        must_change_password,
                    },
                )
            }
            (
                Continue::Change {
                    user,
                    from,
                    token,
                    new,
                },
                JobOutcome::PasswordVerified(ok),
            ) => {
                if !ok {
                    self.throttle.failed(now, &user, from);
                    return Step::Reply(Err(Refusal::WrongPassword));
                }
                let set = Continue::Set { user, token };
                Step::Compute(Job::HashPassword { password: new }, Pending(set))
            }
            (Continue::Set { user, token }, JobOutcome::PasswordHashed(password_hash)) => {
                if let Err(refusal) = known(state, &user) {
                    return Step::Reply(Err(refusal));
                }
                let set = AccessRecord::PasswordSet {
                    user,
                    password_hash,
                    must_change: false,
                    keep_token: token,
                };
                Step::Append(vec![set], Response::Done)
            }
            (Continue::Add { user, admin }, JobOutcome::PasswordHashed(password_hash)) => {
                if state.user(&user).is_some() {
                    let reason = format!("there is a user `{user}` already");
                    return Step::Reply(Err(Refusal::Conflict { reason }));
                }
                let must_change = false;
                let added = AccessRecord::UserAdded {
                    user,
                    password_hash,
                    admin,
                    must_change,
                };
                Step::Append(vec![added], Response::Done)
            }
            (_, _) => {
                let reason = "too many passwords are being checked".to_owned();
                let retry_after = Duration::from_secs(2);
                Step::Reply(Err(Refusal::Busy {
                    reason,
                    retry_after,
                }))
            }
        }
    }
}

fn who(state: &AccessState, identity: &Identity) -> UserRow {
    let row = match identity {
        Identity::User { name, .. } => state.row(name),
        Identity::Console | Identity::Nobody => None,
    };
    row.unwrap_or_else(|| UserRow {
        user: "console".to_owned(),
        admin: true,
        rights: Vec::new(),
        must_change_password: false,
    })
}

fn known(state: &AccessState, user: &str) -> Result<(), Refusal> {
    if state.user(user).is_some() {
        return Ok(());
    }
    let shown: String = user.chars().take(40).collect();
    let what = format!(
        "there is no user `{}`; `vaquita user list`",
        shown.escape_debug()
    );
    Err(Refusal::NotFound { what })
}

fn not_the_last_admin(state: &AccessState, user: &str) -> Result<(), Refusal> {
    let is_admin = state.user(user).is_some_and(|user| user.admin);
    if is_admin && state.admins() == 1 {
        let reason = format!(
            "`{user}` is the last administrator: make somebody else one first, `vaquita user grant \
             NAME admin`"
        );
        return Err(Refusal::Conflict { reason });
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
