//! From a name and a password to a token.

use core::time::Duration;

use super::gate::{Access, Asker, Pending, Step, bewildered, busy, overloaded};
use super::name::UserName;
use super::password::PasswordHash;
use super::record::AccessRecord;
use super::state::AccessState;
use super::throttle::{CheckId, Source, Toll};
use super::token::Token;
use crate::admin::{Refusal, Response};
use crate::event::Event;
use crate::io::{Job, JobOutcome};
use crate::prng::SecretPrng;
use crate::secret::Password;
use crate::time::Timestamp;

/// The longest life of a token.
pub(super) const TOKEN_LIFE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A login whose password is being checked.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    guess: Guess,
    unix_ms: u64,
    valid_for: Duration,
}

/// What somebody who logs in shows.
pub(super) struct Credentials {
    pub(super) password: Password,
    pub(super) setup_code: Option<Password>,
}

/// One password that is being checked against one account.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    user: UserName,
    asker: Asker,
    source: Source,
    check: CheckId,
    /// What the password is compared with; `None` if there is no such user.
    stored: Option<PasswordHash>,
}

impl Access {
    /// Starts a login.
    ///
    /// An unknown user costs what a known one does: the same throttle, the same job, the same
    /// answer. What cannot be a name or a password of anybody, going by its form alone, is answered
    /// at once.
    pub(super) fn begin_login(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        asker: &Asker,
        user: &str,
        shown: Credentials,
        valid_for: Duration,
    ) -> Step {
        let Credentials {
            password,
            setup_code,
        } = shown;
        let Some(origin) = asker.origin else {
            return Step::refuse(Refusal::Conflict {
                reason: "the console needs no login: it may do everything".to_owned(),
            });
        };
        if valid_for.is_zero() || valid_for > TOKEN_LIFE_MAX {
            return Step::refuse(Refusal::Invalid {
                reason: format!(
                    "a token is good for 1 to {} seconds",
                    TOKEN_LIFE_MAX.as_secs()
                ),
            });
        }
        let Ok(user) = UserName::new(user) else {
            return Step::refuse(Refusal::WrongPassword);
        };
        let code = setup_code.as_ref();
        let started = self
            .check_setup_code(now, state, asker, &user, &password, code)
            .and_then(|()| self.begin_guess(now, state, asker, user, password));
        match started {
            Ok((job, guess)) => Step::Compute(
                job,
                Pending::Login(Box::new(LoginAttempt {
                    guess,
                    unix_ms: origin.unix_ms,
                    valid_for,
                })),
            ),
            Err(refusal) => Step::refuse(refusal),
        }
    }

    /// Ends a login.
    pub(super) fn finish_login(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        attempt: LoginAttempt,
        outcome: &JobOutcome,
        secrets: &mut SecretPrng,
    ) -> Step {
        let LoginAttempt {
            guess,
            unix_ms,
            valid_for,
        } = attempt;
        if let Err(refusal) = self.finish_guess(now, state, &guess, outcome) {
            return Step::refuse(refusal);
        }
        let Guess { user, asker, .. } = guess;
        let must_change_password = state
            .user(user.as_str())
            .is_some_and(|account| account.must_change_password());
        let mut token = Token::draw(secrets);
        while state.token(token.id()).is_some() {
            token = Token::draw(secrets);
        }
        let valid_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
        self.notify(Event::info(
            "access.login",
            format!("`{user}` logged in: {asker}, token {}", token.id()),
        ));
        let record = AccessRecord::TokenIssued {
            token: token.id(),
            digest: token.digest(),
            user,
            issued_unix_ms: unix_ms,
            expires_unix_ms: unix_ms.saturating_add(valid_ms.max(1)),
            scope: None,
        };
        let response = Response::LoggedIn {
            token: token.reveal(),
            must_change_password,
        };
        Step::Append(vec![record], response)
    }

    /// Has a password checked, unless somebody has guessed too much lately.
    pub(super) fn begin_guess(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        asker: &Asker,
        user: UserName,
        password: Password,
    ) -> Result<(Job, Guess), Refusal> {
        let origin = asker.origin.ok_or_else(bewildered)?;
        let length = password.reveal().len();
        if length == 0 || length > Password::MAX_LEN {
            return Err(Refusal::WrongPassword);
        }
        let source = Source::from(origin.address);
        let check = self.throttle.admit(now, source, &user).map_err(busy)?;
        let stored = state
            .user(user.as_str())
            .map(|account| account.hash.clone());
        let job = Job::VerifyPassword {
            password,
            stored: stored.as_ref().map(|hash| hash.reveal().to_owned()),
        };
        let guess = Guess {
            user,
            asker: asker.clone(),
            source,
            check,
            stored,
        };
        Ok((job, guess))
    }

    /// Judges a guess by the outcome of its job.
    ///
    /// The password that was checked must still be the account's: it may have been changed, and the
    /// user removed, while the job ran.
    pub(super) fn finish_guess(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        guess: &Guess,
        outcome: &JobOutcome,
    ) -> Result<(), Refusal> {
        let right = match outcome {
            JobOutcome::PasswordVerified(right) => *right,
            JobOutcome::Overloaded => {
                self.throttle.void(guess.check);
                return Err(overloaded());
            }
            JobOutcome::PasswordHashed(_)
            | JobOutcome::CheckpointBuilt(_)
            | JobOutcome::PieceRead(_)
            | JobOutcome::MirrorsSurveyed(_) => {
                self.throttle.void(guess.check);
                return Err(bewildered());
            }
        };
        let current = state.user(guess.user.as_str()).map(|account| &account.hash);
        let unchanged = current.is_some() && current == guess.stored.as_ref();
        let Guess {
            user,
            asker,
            source,
            check,
            ..
        } = guess;
        if right && unchanged {
            self.throttle.passed(now, *check, *source, user);
            return Ok(());
        }
        let toll = self.throttle.failed(now, *check, *source, user);
        self.notify(Event::info(
            "access.login_failed",
            format!("wrong user name or password for `{user}`: {asker}"),
        ));
        self.tell_toll(&toll, user, asker);
        Err(Refusal::WrongPassword)
    }

    /// Tells the operator what a wrong guess has brought about, if anything.
    pub(super) fn tell_toll(&mut self, toll: &Toll, user: &UserName, asker: &Asker) {
        if let Some(delay) = toll.account_delay {
            self.notify(Event::warning(
                "access.throttled",
                format!(
                    "somebody guesses the password of `{user}`, last {asker}: the next attempt \
                     is looked at in {} s. Tokens keep working, and so does a login from where \
                     `{user}` logged in within the last day",
                    delay.as_secs()
                ),
            ));
        }
        if toll.whole_exhausted {
            self.notify(Event::warning(
                "access.throttled",
                format!(
                    "too many wrong passwords in one minute, last for `{user}`: {asker}. Until \
                     it ends, only addresses from which somebody logged in within the last day \
                     are let in; tokens keep working"
                ),
            ));
        }
    }
}
