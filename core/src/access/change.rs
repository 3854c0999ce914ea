//! Changes of users, rights and passwords: checked, hashed where needed, checked again, logged.

use std::collections::BTreeSet;

use super::gate::{Access, Asker, Identity, Need, Pending, Step, bewildered, overloaded};
use super::login::Guess;
use super::name::UserName;
use super::password::{PasswordHash, check_new_password};
use super::record::AccessRecord;
use super::service;
use super::state::{AccessState, USERS_MAX};
use crate::admin::{Refusal, Response, Right};
use crate::event::Event;
use crate::ids::Alias;
use crate::io::{Job, JobOutcome};
use crate::secret::Password;
use crate::time::Timestamp;

/// A change whose password is being checked or hashed.
#[derive(Clone, Debug)]
pub struct Change {
    by: Asker,
    kind: Kind,
}

impl Change {
    fn pending(self) -> Pending {
        Pending::Change(Box::new(self))
    }
}

#[derive(Clone, Debug)]
enum Kind {
    /// The password of a user to be is being hashed.
    Add { user: UserName, admin: bool },
    /// A user's present password is being checked; the new one is next.
    Confirm { guess: Guess, new: Password },
    /// A user's own new password is being hashed. That the token still lives when it is done says
    /// that the password is still the one that was confirmed.
    Replace { user: UserName },
    /// The password that an administrator sets for another is being hashed.
    Reset { user: UserName },
}

impl Kind {
    /// What the change needs of whoever makes it, the moment it is made.
    fn need(&self) -> Need<'_> {
        match self {
            Self::Confirm { .. } | Self::Replace { .. } => Need::Login,
            Self::Add { .. } => Need::Right(Right::Admin),
            Self::Reset { user } => Need::BeOr {
                user: user.as_str(),
                right: Right::Admin,
            },
        }
    }
}

/// Adds a user.
///
/// The password need not be changed before anything else: it has passed the rules, unlike the one
/// that everybody knows, and programs have accounts too, which could not change it.
pub(super) fn plan_add(
    state: &AccessState,
    by: &Asker,
    user: &str,
    password: Password,
    admin: bool,
    aliases: &[Alias],
) -> Step {
    let user = match UserName::new(user) {
        Ok(user) => user,
        Err(error) => {
            return Step::refuse(Refusal::Invalid {
                reason: error.to_string(),
            });
        }
    };
    if let Err(refusal) = room_for(state, &user) {
        return Step::refuse(refusal);
    }
    if let Err(refusal) = check_new_password(&password, user.as_str(), aliases) {
        return Step::refuse(refusal);
    }
    let by = by.clone();
    let kind = Kind::Add { user, admin };
    Step::Compute(
        Job::HashPassword { password },
        Change { by, kind }.pending(),
    )
}

/// Removes a user.
pub(super) fn plan_remove(state: &AccessState, user: &str) -> Step {
    let user = match existing(state, user) {
        Ok(user) => user,
        Err(refusal) => return Step::refuse(refusal),
    };
    if state.is_last_admin(user.as_str()) {
        return Step::refuse(last_admin(&user, "removed"));
    }
    Step::Append(vec![AccessRecord::UserRemoved { user }], Response::Done)
}

/// Gives a user a right. To give it twice is no error and changes nothing.
pub(super) fn plan_grant(state: &AccessState, user: &str, right: Right) -> Step {
    match existing(state, user) {
        Err(refusal) => Step::refuse(refusal),
        Ok(user) if holds(state, &user, right) => Step::Reply(Ok(Response::Done)),
        Ok(user) => Step::Append(vec![AccessRecord::Granted { user, right }], Response::Done),
    }
}

/// Takes a right from a user. To take what the user does not have is no error and changes nothing.
pub(super) fn plan_revoke(state: &AccessState, user: &str, right: Right) -> Step {
    let user = match existing(state, user) {
        Ok(user) => user,
        Err(refusal) => return Step::refuse(refusal),
    };
    if right == Right::Admin && state.is_last_admin(user.as_str()) {
        return Step::refuse(last_admin(&user, "deprived of that"));
    }
    if holds(state, &user, right) {
        return Step::Append(vec![AccessRecord::Revoked { user, right }], Response::Done);
    }
    let has_it_with = state
        .user(user.as_str())
        .and_then(|account| account.held().find(|held| held.implies(right)));
    if let Some(wider) = has_it_with {
        return Step::refuse(Refusal::Conflict {
            reason: format!(
                "`{user}` has the right `{}` with the right `{wider}`; take that away instead: \
                 `vaquita user revoke {user} {wider}`",
                right.as_str(),
                wider = wider.as_str()
            ),
        });
    }
    Step::Reply(Ok(Response::Done))
}

impl Access {
    /// Sets a password: one's own after the present one was checked, another's at once.
    #[expect(clippy::too_many_arguments, reason = "the fields of one request")]
    pub(super) fn plan_password(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        by: &Asker,
        user: Option<String>,
        old: Option<Password>,
        new: Password,
        aliases: &[Alias],
    ) -> Step {
        let own = user.as_deref().is_none_or(|user| by.identity.is(user));
        if own {
            let step = self.plan_own_password(now, state, by, old, new, aliases);
            return step.unwrap_or_else(Step::refuse);
        }
        let user = match existing(state, user.as_deref().unwrap_or_default()) {
            Ok(user) => user,
            Err(refusal) => return Step::refuse(refusal),
        };
        if let Err(refusal) = check_new_password(&new, user.as_str(), aliases) {
            return Step::refuse(refusal);
        }
        let by = by.clone();
        let kind = Kind::Reset { user };
        Step::Compute(
            Job::HashPassword { password: new },
            Change { by, kind }.pending(),
        )
    }

    fn plan_own_password(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        by: &Asker,
        old: Option<Password>,
        new: Password,
        aliases: &[Alias],
    ) -> Result<Step, Refusal> {
        let invalid = |reason: &str| Refusal::Invalid {
            reason: reason.to_owned(),
        };
        let Identity::User(session) = &by.identity else {
            return Err(invalid("say whose password: the console has none"));
        };
        let old = old.ok_or_else(|| invalid("the present password is needed as well"))?;
        check_new_password(&new, session.user.as_str(), aliases)?;
        if old == new {
            return Err(invalid("the new password is the present one"));
        }
        // Whoever has found somebody's token must not guess the password with it.
        let user = session.user.clone();
        let (job, guess) = self.begin_guess(now, state, by, user, old)?;
        let by = by.clone();
        let kind = Kind::Confirm { guess, new };
        Ok(Step::Compute(job, Change { by, kind }.pending()))
    }

    /// Goes on with a change whose job is done.
    pub(super) fn finish_change(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        change: Change,
        outcome: JobOutcome,
    ) -> Step {
        let Change { by, kind } = change;
        // A guess is counted whatever has become of the one who made it.
        if let Kind::Confirm { guess, .. } = &kind
            && let Err(refusal) = self.finish_guess(now, state, guess, &outcome)
        {
            return Step::refuse(refusal);
        }
        if let Err(refusal) = by.identity.meets(state, kind.need()) {
            return Step::refuse(refusal);
        }
        let (kind, hash) = match (kind, outcome) {
            (Kind::Confirm { new, .. }, _) => return hash_own_password(by, new),
            (_, JobOutcome::Overloaded) => return Step::refuse(overloaded()),
            (kind, JobOutcome::PasswordHashed(phc)) => (kind, PasswordHash::new(phc)),
            (_, _) => return Step::refuse(bewildered()),
        };
        match change_record(state, kind, hash) {
            Ok(record) => self.announced(&by, Step::Append(vec![record], Response::Done)),
            Err(refusal) => Step::refuse(refusal),
        }
    }
}

/// The second half of a change of one's own password.
fn hash_own_password(by: Asker, new: Password) -> Step {
    let Identity::User(session) = &by.identity else {
        return Step::refuse(bewildered());
    };
    let user = session.user.clone();
    let kind = Kind::Replace { user };
    Step::Compute(
        Job::HashPassword { password: new },
        Change { by, kind }.pending(),
    )
}

/// The record that a change with a hashed password comes to, if the state still allows it.
fn change_record(
    state: &AccessState,
    kind: Kind,
    hash: PasswordHash,
) -> Result<AccessRecord, Refusal> {
    match kind {
        Kind::Add { user, admin } => {
            room_for(state, &user)?;
            Ok(AccessRecord::UserAdded {
                user,
                hash,
                admin,
                rights: BTreeSet::new(),
                must_change: false,
                well_known: false,
            })
        }
        Kind::Reset { user } | Kind::Replace { user } => {
            existing(state, user.as_str())?;
            Ok(AccessRecord::PasswordSet {
                user,
                hash,
                must_change: false,
            })
        }
        Kind::Confirm { .. } => Err(bewildered()),
    }
}

/// Whether a user was given a right, as opposed to having it as an administrator.
fn holds(state: &AccessState, user: &UserName, right: Right) -> bool {
    state
        .user(user.as_str())
        .is_some_and(|account| match right {
            Right::Admin => account.admin,
            right => account.rights.contains(&right),
        })
}

/// Whether a user of this name may be added.
fn room_for(state: &AccessState, user: &UserName) -> Result<(), Refusal> {
    let twin = state
        .names()
        .find(|name| name.as_str().eq_ignore_ascii_case(user.as_str()));
    if let Some(twin) = twin {
        let reason = if twin == user {
            format!("there is a user `{user}` already")
        } else {
            format!("there is a user `{twin}` already; two names may not differ in case alone")
        };
        return Err(Refusal::Conflict { reason });
    }
    if state.user_count() >= USERS_MAX {
        return Err(Refusal::Conflict {
            reason: format!(
                "the cluster has {USERS_MAX} users, as many as it can; remove one that is not \
                 needed: `vaquita user list`"
            ),
        });
    }
    Ok(())
}

/// The name of a user who exists.
fn existing(state: &AccessState, user: &str) -> Result<UserName, Refusal> {
    let found = UserName::new(user)
        .ok()
        .filter(|name| state.user(name.as_str()).is_some());
    found.ok_or_else(|| {
        let shown: String = user.chars().take(UserName::MAX_LEN).collect();
        let nearest = state
            .names()
            .map(|name| (strsim::osa_distance(name.as_str(), &shown), name))
            .min()
            .filter(|(distance, _)| *distance <= 2);
        let hint = nearest.map(|(_, name)| format!("; did you mean `{name}`?"));
        Refusal::NotFound {
            what: format!(
                "there is no user `{}`{}",
                shown.escape_debug(),
                hint.unwrap_or_default()
            ),
        }
    })
}

fn last_admin(user: &UserName, what: &str) -> Refusal {
    Refusal::Conflict {
        reason: format!(
            "`{user}` is the only administrator and cannot be {what}; make another first: \
             `vaquita user grant NAME {}`",
            Right::Admin.as_str()
        ),
    }
}

/// What a change is called in the log.
pub(super) fn event(by: &Asker, record: &AccessRecord) -> Event {
    let info = |name, text: String| Event::info(name, format!("{text}, by {by}"));
    match record {
        AccessRecord::UserAdded { user, admin, .. } => {
            let what = if *admin { "administrator" } else { "user" };
            info("access.user_added", format!("{what} `{user}` was added"))
        }
        AccessRecord::UserRemoved { user } => {
            info("access.user_removed", format!("user `{user}` was removed"))
        }
        AccessRecord::PasswordSet { user, .. } => info(
            "access.password_set",
            format!("`{user}` has a new password and has to log in again"),
        ),
        AccessRecord::Granted { user, right } => info(
            "access.granted",
            format!(
                "`{user}` was given the right `{}` and has to log in again",
                right.as_str()
            ),
        ),
        AccessRecord::Revoked { user, right } => info(
            "access.revoked",
            format!(
                "the right `{}` was taken from `{user}`, who has to log in again",
                right.as_str()
            ),
        ),
        AccessRecord::TokenIssued {
            token, user, scope, ..
        } => info(
            "access.token_issued",
            service::event_text(*token, user.as_str(), scope.as_ref()),
        ),
        AccessRecord::TokenRevoked { token } => {
            info("access.logout", format!("token {token} was revoked"))
        }
    }
}

/// A text that somebody chose, for a line of the log.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}
