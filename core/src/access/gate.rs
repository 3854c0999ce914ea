//! The one door: who asks, what that needs, and the three steps from a request to its records.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use super::change::{self, Change};
use super::login::{Credentials, LoginAttempt};
use super::name::UserName;
use super::record::AccessRecord;
use super::service;
use super::setup_code::Setup;
use super::state::{AccessState, IssuedToken};
use super::throttle::{Hold, Throttle, ThrottleRules};
use super::token::{Token, TokenId};
use crate::admin::{Caller, Refusal, Reply, Response, Right, UserRole, UserRow, Verb};
use crate::dfs::ask::Ask;
use crate::event::Event;
use crate::ids::Alias;
use crate::io::{Job, JobOutcome};
use crate::prng::SecretPrng;
use crate::time::Timestamp;

/// What a request needs of whoever makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// Nothing.
    Nothing,
    /// A valid token, even of a user who has to change the password first.
    Token,
    /// A login, even of a user who has to change the password first: a program's token does not do.
    Login,
    /// A valid token of a user who does not.
    Settled,
    /// A login of a user who does not.
    SettledLogin,
    /// A right.
    Right(Right),
    /// One of these rights.
    AnyOf(&'static [Right]),
    /// A login as this user, even one who has to change the password first; a login and a right
    /// otherwise.
    BeOr {
        /// The user.
        user: &'a str,
        /// What anybody else needs.
        right: Right,
    },
}

/// What each request needs: the one table.
///
/// It has no wildcard: a verb that is added does not compile before somebody has said who may use
/// it.
#[must_use]
pub fn need(verb: &Verb) -> Need<'_> {
    match verb {
        Verb::Login { .. } => Need::Nothing,
        Verb::Logout | Verb::WhoAmI | Verb::NoteRefusal { .. } => Need::Token,
        Verb::ChangePassword { user: None, .. } => Need::Login,
        Verb::ChangePassword {
            user: Some(user), ..
        } => Need::BeOr {
            user,
            right: Right::Admin,
        },
        Verb::Status
        | Verb::ListNodes
        | Verb::Figures { .. }
        | Verb::ListTokens { all: false }
        | Verb::RevokeToken { .. } => Need::Settled,
        Verb::IssueToken(_) => Need::SettledLogin,
        Verb::ReadLog { .. } | Verb::ListConfigurations => Need::Right(Right::LogRead),
        Verb::Dfs(ask) => ask_need(ask),
        Verb::StartNodes(_)
        | Verb::StopNodes(_)
        | Verb::SetDuty { .. }
        | Verb::RescanVolumes(_)
        | Verb::SetVolumeDuty { .. } => Need::Right(Right::Operate),
        Verb::ReplaceNode { .. }
        | Verb::RemoveNode { .. }
        | Verb::AdoptVolume { .. }
        | Verb::ForgetVolume { .. }
        | Verb::ListTokens { all: true }
        | Verb::ListAudit(_)
        | Verb::Reconfigure { .. }
        | Verb::ListUsers
        | Verb::AddUser { .. }
        | Verb::RemoveUser { .. }
        | Verb::Grant { .. }
        | Verb::Revoke { .. } => Need::Right(Right::Admin),
    }
}

/// What each question or order about the file system needs.
#[must_use]
pub const fn ask_need(ask: &Ask) -> Need<'static> {
    match ask.rights() {
        // For whoever has a token.
        [] => Need::Token,
        [right] => Need::Right(*right),
        rights => Need::AnyOf(rights),
    }
}

/// Who asks, once that is established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Whoever sits at the process's own console; an administrator.
    Console,
    /// Whoever may send the process a signal; an administrator, too.
    Signal,
    /// The process itself, which puts in order what somebody began through it.
    Process,
    /// Somebody who has not logged in. May log in.
    Stranger,
    /// A user.
    User(Session),
}

/// A user who carries a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name.
    pub user: UserName,
    /// Which token.
    pub token: TokenId,
}

impl Identity {
    /// Who that is, for the record of what was ordered.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Console => "the controller's console",
            Self::Signal => "SIGHUP",
            Self::Process => "the controller itself",
            Self::Stranger => "somebody who has not logged in",
            Self::User(session) => session.user.as_str(),
        }
    }

    /// Whether this is the user of that name.
    #[must_use]
    pub fn is(&self, user: &str) -> bool {
        matches!(self, Self::User(session) if session.user.as_str() == user)
    }

    /// Whether this identity has a right at present: its user has it, and the token carries it.
    #[must_use]
    pub fn has(&self, state: &AccessState, right: Right) -> bool {
        match self {
            Self::Console | Self::Signal | Self::Process => true,
            Self::Stranger => false,
            Self::User(session) => {
                let issued = state.token(session.token);
                let user = state.user(session.user.as_str());
                issued.is_some_and(|it| *it.user() == session.user && it.carries(right))
                    && user.is_some_and(|it| it.has(right))
            }
        }
    }

    /// Whether this identity meets a need at present.
    ///
    /// Asked when a request comes in and again when a job of it is done: a token that was revoked
    /// in between meets none.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn meets(&self, state: &AccessState, need: Need<'_>) -> Result<(), Refusal> {
        let session = match self {
            Self::Console | Self::Signal | Self::Process => return Ok(()),
            Self::Stranger if need == Need::Nothing => return Ok(()),
            Self::Stranger => return Err(Refusal::Unauthenticated),
            Self::User(session) => session,
        };
        let issued = state.token(session.token);
        let (issued, user) = issued
            .filter(|issued| *issued.user() == session.user)
            .and_then(|issued| Some((issued, state.user(session.user.as_str())?)))
            .ok_or(Refusal::Unauthenticated)?;
        if issued.label().is_some()
            && matches!(need, Need::Login | Need::SettledLogin | Need::BeOr { .. })
        {
            return Err(Refusal::LoginRequired);
        }
        let rights = match &need {
            Need::Nothing | Need::Token | Need::Login => return Ok(()),
            Need::BeOr { user, .. } if self.is(user) => return Ok(()),
            Need::Settled | Need::SettledLogin => &[],
            Need::Right(right) | Need::BeOr { right, .. } => core::slice::from_ref(right),
            Need::AnyOf(rights) => *rights,
        };
        let name = || session.user.as_str().to_owned();
        if user.must_change_password() {
            return Err(Refusal::PasswordChangeRequired { user: name() });
        }
        match rights.first() {
            Some(first) if !rights.iter().any(|right| self.has(state, *right)) => {
                Err(Refusal::Forbidden {
                    user: name(),
                    right: *first,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Who asks, and where from.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) identity: Identity,
    pub(super) origin: Option<Origin>,
}

/// Where a request comes from, and the date there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    pub(super) unix_ms: u64,
}

impl Asker {
    fn new(identity: &Identity, caller: &Caller) -> Self {
        let origin = match caller {
            Caller::Console { .. } | Caller::Signal { .. } | Caller::Process { .. } => None,
            Caller::Remote {
                address, unix_ms, ..
            } => Some(Origin {
                address: *address,
                unix_ms: *unix_ms,
            }),
        };
        Self {
            identity: identity.clone(),
            origin,
        }
    }
}

impl fmt::Display for Asker {
    /// For the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Identity::Console => f.write_str("the console")?,
            Identity::Signal => f.write_str("SIGHUP")?,
            Identity::Process => f.write_str("the controller itself")?,
            Identity::Stranger => f.write_str("somebody")?,
            Identity::User(session) => write!(f, "`{}`", session.user)?,
        }
        match self.origin {
            Some(origin) => write!(f, " at {}", origin.address),
            None => Ok(()),
        }
    }
}

/// What a request leads to.
#[derive(Debug)]
pub enum Step {
    /// Answer now. Nothing changes.
    Reply(Reply),
    /// Compute something, and come back with its outcome to [`Access::finish`].
    Compute(Job, Pending),
    /// Append these records, and give this answer once the last of them is durable.
    Append(Vec<AccessRecord>, Response),
}

impl Step {
    pub(super) const fn refuse(refusal: Refusal) -> Self {
        Self::Reply(Err(refusal))
    }
}

/// A request whose job is under way. To drop it is to give the request up.
#[derive(Clone, Debug)]
pub enum Pending {
    /// Somebody wants to log in.
    Login(Box<LoginAttempt>),
    /// Somebody changes users or passwords.
    Change(Box<Change>),
}

/// What this process remembers of logins: nothing that outlives it.
#[derive(Clone, Debug)]
pub struct Access {
    pub(super) throttle: Throttle,
    pub(super) setup: Setup,
    events: VecDeque<Event>,
}

/// Events kept for a caller who does not fetch them; the oldest gives way.
const EVENTS_MAX: usize = 256;

impl Default for Access {
    fn default() -> Self {
        Self::new()
    }
}

impl Access {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_rules(ThrottleRules::default())
    }

    /// Remembers nothing yet, and throttles by other rules than the default ones.
    #[must_use]
    pub fn with_rules(rules: ThrottleRules) -> Self {
        Self {
            throttle: Throttle::new(rules),
            setup: Setup::default(),
            events: VecDeque::new(),
        }
    }

    /// Who asks, if `verb` may be asked by them.
    ///
    /// Comes before all else: it looks at nothing of the request but who sends it and what kind it
    /// is, and no throttle holds it up.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn authorize(
        &self,
        state: &AccessState,
        caller: &Caller,
        verb: &Verb,
    ) -> Result<Identity, Refusal> {
        self.admit(state, caller, need(verb))
    }

    /// As [`Access::authorize`], for what needs that.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn admit(
        &self,
        state: &AccessState,
        caller: &Caller,
        need: Need<'_>,
    ) -> Result<Identity, Refusal> {
        let identity = match caller {
            Caller::Console { .. } => Identity::Console,
            Caller::Signal { .. } => Identity::Signal,
            Caller::Process { .. } => Identity::Process,
            Caller::Remote { .. } if need == Need::Nothing => Identity::Stranger,
            Caller::Remote {
                address,
                token,
                unix_ms,
            } => Identity::User(authenticate(state, token.as_deref(), *address, *unix_ms)?),
        };
        identity.meets(state, need)?;
        Ok(identity)
    }

    /// Takes up a request that [`Access::authorize`] let through; `identity` is what it returned.
    /// `aliases` are the names of the cluster's nodes, which make poor passwords.
    ///
    /// Only requests about logins, users and tokens belong here; any other is refused.
    #[expect(clippy::too_many_arguments, reason = "what the owner lends it")]
    pub fn begin(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        identity: &Identity,
        caller: &Caller,
        verb: Verb,
        aliases: &[Alias],
        secrets: &mut SecretPrng,
    ) -> Step {
        if let Err(refusal) = identity.meets(state, need(&verb)) {
            return Step::refuse(refusal);
        }
        let asker = &Asker::new(identity, caller);
        match verb {
            Verb::Login {
                user,
                password,
                valid_for,
                setup_code,
            } => {
                let shown = Credentials {
                    password,
                    setup_code,
                };
                self.begin_login(now, state, asker, &user, shown, valid_for)
            }
            Verb::Logout => self.logout(asker),
            Verb::WhoAmI => Step::Reply(who_am_i(state, identity).map(Response::You)),
            Verb::ListUsers => Step::Reply(Ok(Response::Users(state.rows()))),
            Verb::AddUser {
                user,
                password,
                admin,
            } => change::plan_add(state, asker, &user, password, admin, aliases),
            Verb::RemoveUser { user } => {
                let step = change::plan_remove(state, &user);
                self.announced(asker, step)
            }
            Verb::ChangePassword { user, old, new } => {
                self.plan_password(now, state, asker, user, old, new, aliases)
            }
            Verb::Grant { user, right } => {
                let step = change::plan_grant(state, &user, right);
                self.announced(asker, step)
            }
            Verb::Revoke { user, right } => {
                let step = change::plan_revoke(state, &user, right);
                self.announced(asker, step)
            }
            Verb::ListTokens { all } => Step::Reply(service::list(state, identity, all)),
            Verb::IssueToken(wish) => self.plan_issue(state, asker, wish, secrets),
            Verb::RevokeToken { token } => self.plan_revoke_token(state, asker, token),
            Verb::Status
            | Verb::ListNodes
            | Verb::Figures { .. }
            | Verb::StartNodes(_)
            | Verb::StopNodes(_)
            | Verb::ReplaceNode { .. }
            | Verb::RemoveNode { .. }
            | Verb::SetDuty { .. }
            | Verb::RescanVolumes(_)
            | Verb::AdoptVolume { .. }
            | Verb::ForgetVolume { .. }
            | Verb::SetVolumeDuty { .. }
            | Verb::Reconfigure { .. }
            | Verb::ListConfigurations
            | Verb::ReadLog { .. }
            | Verb::ListAudit(_)
            | Verb::NoteRefusal { .. }
            | Verb::Dfs(_) => Step::refuse(Refusal::Unavailable {
                reason: "a request about nodes was handed to the user administration; this is a \
                         bug, please report it"
                    .to_owned(),
            }),
        }
    }

    /// Goes on with a request whose job is done. `state` is that of this moment.
    pub fn finish(
        &mut self,
        now: Timestamp,
        state: &AccessState,
        pending: Pending,
        outcome: JobOutcome,
        secrets: &mut SecretPrng,
    ) -> Step {
        match pending {
            Pending::Login(attempt) => self.finish_login(now, state, *attempt, &outcome, secrets),
            Pending::Change(change) => self.finish_change(now, state, *change, outcome),
        }
    }

    /// The next thing the operator should know of, oldest first. To be drained after each call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn notify(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Notes a change for the log, if a step is one.
    pub(super) fn announced(&mut self, asker: &Asker, step: Step) -> Step {
        if let Step::Append(records, _) = &step {
            for record in records {
                self.notify(change::event(asker, record));
            }
        }
        step
    }

    fn logout(&mut self, asker: &Asker) -> Step {
        match &asker.identity {
            Identity::User(session) => {
                let token = session.token;
                let record = AccessRecord::TokenRevoked { token };
                self.announced(asker, Step::Append(vec![record], Response::Done))
            }
            Identity::Console | Identity::Signal | Identity::Process | Identity::Stranger => {
                Step::refuse(Refusal::Conflict {
                    reason: "nobody is logged in here: the console needs no login".to_owned(),
                })
            }
        }
    }
}

/// The user who carries `token`.
///
/// A token that is malformed, unknown, revoked, expired or used from elsewhere gets the same answer.
fn authenticate(
    state: &AccessState,
    token: Option<&str>,
    address: IpAddr,
    unix_ms: u64,
) -> Result<Session, Refusal> {
    let token = token
        .and_then(Token::parse)
        .ok_or(Refusal::Unauthenticated)?;
    let user = state
        .owner(&token, address, unix_ms)
        .ok_or(Refusal::Unauthenticated)?;
    Ok(Session {
        user: user.clone(),
        token: token.id(),
    })
}

pub(crate) fn who_am_i(state: &AccessState, identity: &Identity) -> Result<UserRow, Refusal> {
    match identity {
        Identity::Console | Identity::Signal | Identity::Process => Ok(UserRow {
            user: UserName::CONSOLE.to_owned(),
            role: UserRole::Admin,
            admin: true,
            rights: Vec::new(),
            must_change_password: false,
        }),
        Identity::Stranger => Err(Refusal::Unauthenticated),
        Identity::User(session) => {
            let mut row = state
                .row(session.user.as_str())
                .ok_or(Refusal::Unauthenticated)?;
            // Who carries less than the user has is told what that is.
            if let Some(rights) = state.token(session.token).and_then(IssuedToken::limits) {
                let user = state.user(session.user.as_str());
                let has = |right: &Right| user.is_some_and(|it| it.has(*right));
                let rights = rights.iter().copied().filter(has);
                row.rights = rights.filter(|it| *it != Right::Admin).collect();
                row.admin = identity.has(state, Right::Admin);
                row.role = UserRole::of(row.admin, &row.rights);
            }
            Ok(row)
        }
    }
}

/// The refusal for a request that comes too soon.
pub(super) fn busy(hold: Hold) -> Refusal {
    // Whole seconds, as the header of an HTTP answer has them, and never too few.
    let seconds = hold.retry_after.as_millis().div_ceil(1000);
    Refusal::Busy {
        reason: hold.reason.to_owned(),
        retry_after: Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)),
    }
}

/// The refusal where the hashing pool took no more.
pub(super) fn overloaded() -> Refusal {
    Refusal::Busy {
        reason: "too many passwords are being hashed".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}

/// The refusal where a job came back with something that was not asked for.
pub(super) fn bewildered() -> Refusal {
    Refusal::Unavailable {
        reason: "a password was to be hashed or checked and something else came back; nothing was \
                 changed. This is a bug, please report it"
            .to_owned(),
    }
}
