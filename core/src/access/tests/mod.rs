//! A cluster's users, with the jobs done by a make-believe hash.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use super::*;
use crate::admin::{Caller, Refusal, Reply, Response, Right, Verb};
use crate::ids::Alias;
use crate::io::{Job, JobOutcome};
use crate::prng::{SecretPrng, Seed};
use crate::secret::Password;
use crate::time::Timestamp;

mod change;
mod gate;
mod login;
mod password;
mod replay;
mod secrets;
mod service;
mod setup_code;
mod state;
mod throttle;
mod token;

/// A password that the rules accept.
const GOOD: &str = "purple-anchor-42";
/// Another one.
const BETTER: &str = "seventeen wet otters";
/// The date of every test, unless it says otherwise.
const TODAY: u64 = 1_800_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn phc(password: &str) -> String {
    format!("phc of {password}")
}

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A login with the password that everybody knows and a setup code.
fn first_login(code: Option<&str>) -> Verb {
    Verb::Login {
        user: "admin".to_owned(),
        password: first_password(),
        valid_for: HOUR,
        setup_code: code.map(password),
    }
}

/// What the driver's pool would answer.
fn compute(job: &Job) -> JobOutcome {
    match job {
        Job::HashPassword { password } => JobOutcome::PasswordHashed(phc(password.reveal())),
        Job::VerifyPassword { password, stored } => {
            JobOutcome::PasswordVerified(stored.as_deref() == Some(&phc(password.reveal())))
        }
        Job::BuildCheckpoint(_) | Job::ReadPiece(_) | Job::SurveyMirrors { .. } => {
            unreachable!("no user asks for that")
        }
    }
}

fn login(user: &str, text: &str) -> Verb {
    Verb::Login {
        user: user.to_owned(),
        password: password(text),
        valid_for: HOUR,
        setup_code: None,
    }
}

fn set_own_password(old: &str, new: &str) -> Verb {
    Verb::ChangePassword {
        user: None,
        old: Some(password(old)),
        new: password(new),
    }
}

fn reset_password(user: &str, new: &str) -> Verb {
    Verb::ChangePassword {
        user: Some(user.to_owned()),
        old: None,
        new: password(new),
    }
}

fn add_user(user: &str, admin: bool) -> Verb {
    Verb::AddUser {
        user: user.to_owned(),
        password: password(GOOD),
        admin,
    }
}

fn remove_user(user: &str) -> Verb {
    Verb::RemoveUser {
        user: user.to_owned(),
    }
}

fn grant(user: &str, right: Right) -> Verb {
    Verb::Grant {
        user: user.to_owned(),
        right,
    }
}

fn revoke(user: &str, right: Right) -> Verb {
    Verb::Revoke {
        user: user.to_owned(),
        right,
    }
}

/// The record of a user; one with the well-known password must change it.
fn user_added(user: &str, text: &str, admin: bool) -> AccessRecord {
    let well_known = password(text) == first_password();
    AccessRecord::UserAdded {
        user: name(user),
        hash: PasswordHash::new(phc(text)),
        admin,
        rights: std::collections::BTreeSet::new(),
        must_change: well_known,
        well_known,
    }
}

/// Somebody at 10.0.0.`last`, with or without a token.
fn caller(last: u8, token: Option<&str>) -> Caller {
    Caller::Remote {
        address: address(last),
        token: token.map(str::to_owned),
        unix_ms: TODAY,
    }
}

/// The user administration as a controller runs it.
struct Desk {
    now: Timestamp,
    state: AccessState,
    access: Access,
    secrets: SecretPrng,
    aliases: Vec<Alias>,
    log: Vec<AccessRecord>,
    /// The file with the setup code.
    setup_file: Option<String>,
}

impl Desk {
    /// A cluster that was just founded.
    fn founded() -> Self {
        let mut desk = Self {
            now: Timestamp::ZERO,
            state: AccessState::default(),
            access: Access::new(),
            secrets: SecretPrng::new(Seed::from_number(7)),
            aliases: vec![Alias::new("storage-node-one").unwrap()],
            log: Vec::new(),
            setup_file: None,
        };
        desk.append(initial_records(phc("123456")));
        desk
    }

    /// A cluster whose administrator has chosen a password, [`GOOD`].
    fn settled() -> Self {
        let mut desk = Self::founded();
        let reset = desk.ask(&Caller::CONSOLE, reset_password("admin", GOOD));
        assert_eq!(reset, Ok(Response::Done));
        desk
    }

    /// Such a cluster that has these users too, all with the password [`GOOD`].
    fn with_users(names: &[&str]) -> Self {
        let mut desk = Self::settled();
        for name in names {
            let added = desk.ask(&Caller::CONSOLE, add_user(name, false));
            assert_eq!(added, Ok(Response::Done), "{name}");
        }
        desk
    }

    fn append(&mut self, records: Vec<AccessRecord>) {
        for record in records {
            self.state.apply(&record);
            self.state.check_invariants();
            self.log.push(record);
        }
        self.tend_setup_code();
    }

    /// What a controller does after each step.
    fn tend_setup_code(&mut self) {
        match self.access.tend_setup_code(&self.state, &mut self.secrets) {
            None => {}
            Some(SetupFile::Write(line)) => self.setup_file = Some(line),
            Some(SetupFile::Remove) => self.setup_file = None,
        }
    }

    /// The setup code as the file has it.
    fn setup_code(&self) -> String {
        let line = self.setup_file.as_ref().expect("there is a setup code");
        line.trim_end().to_owned()
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// The first step of a request.
    fn begin(&mut self, caller: &Caller, verb: Verb) -> Step {
        match self.access.authorize(&self.state, caller, &verb) {
            Ok(identity) => self.access.begin(
                self.now,
                &self.state,
                &identity,
                caller,
                verb,
                &self.aliases,
                &mut self.secrets,
            ),
            Err(refusal) => Step::Reply(Err(refusal)),
        }
    }

    /// The first step of a request that must need a job.
    fn begin_job(&mut self, caller: &Caller, verb: Verb) -> (Job, Pending) {
        match self.begin(caller, verb) {
            Step::Compute(job, pending) => (job, pending),
            other => panic!("no job was asked for: {other:?}"),
        }
    }

    fn finish(&mut self, pending: Pending, outcome: JobOutcome) -> Step {
        self.access
            .finish(self.now, &self.state, pending, outcome, &mut self.secrets)
    }

    /// The rest of a request, all its jobs done.
    fn conclude(&mut self, mut step: Step) -> Reply {
        loop {
            step = match step {
                Step::Reply(reply) => return reply,
                Step::Append(records, response) => {
                    self.append(records);
                    return Ok(response);
                }
                Step::Compute(job, pending) => self.finish(pending, compute(&job)),
            };
        }
    }

    fn ask(&mut self, caller: &Caller, verb: Verb) -> Reply {
        let step = self.begin(caller, verb);
        let reply = self.conclude(step);
        self.tend_setup_code();
        reply
    }

    /// Logs in from 10.0.0.1 and returns the token.
    fn token(&mut self, user: &str, text: &str) -> String {
        let mut verb = login(user, text);
        if let Verb::Login { setup_code, .. } = &mut verb {
            *setup_code = self
                .setup_file
                .as_deref()
                .map(|line| password(line.trim_end()));
        }
        match self.ask(&caller(1, None), verb) {
            Ok(Response::LoggedIn { token, .. }) => token,
            other => panic!("{user} could not log in: {other:?}"),
        }
    }

    /// Logs in from 10.0.0.1 and returns who is then asking.
    fn session(&mut self, user: &str, text: &str) -> Caller {
        let token = self.token(user, text);
        caller(1, Some(&token))
    }

    /// Makes a token for a program of whoever asks, and returns who is then asking.
    fn program(&mut self, by: &Caller, rights: Option<Vec<Right>>) -> Caller {
        let wish = crate::admin::NewToken {
            label: format!("program {}", self.log.len()),
            valid_for: HOUR,
            rights,
            networks: Vec::new(),
        };
        match self.ask(by, Verb::IssueToken(wish)) {
            Ok(Response::TokenIssued { token, .. }) => caller(1, Some(&token)),
            other => panic!("no token: {other:?}"),
        }
    }

    fn who_am_i(&mut self, caller: &Caller) -> Reply {
        self.ask(caller, Verb::WhoAmI)
    }

    fn events(&mut self) -> Vec<(&'static str, String)> {
        core::iter::from_fn(|| self.access.poll_event())
            .map(|event| (event.name, event.message))
            .collect()
    }
}

/// Asserts that a request was refused because too much came too soon, and returns the wait.
#[track_caller]
fn assert_busy(reply: Reply) -> Duration {
    match reply {
        Err(Refusal::Busy { retry_after, .. }) => retry_after,
        other => panic!("expected a refusal for too much at once, got {other:?}"),
    }
}
