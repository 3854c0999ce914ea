//! A controller behind the interface: the real machine, on a disk in memory, with nobody around it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use vaquita_core::admin::{Caller, Refusal, Reply, Request, Response, Verb};
use vaquita_core::audit::AuditTrail;
use vaquita_core::controller::Controller;
use vaquita_core::disk::FileName;
use vaquita_core::fuzzing::controller_config;
use vaquita_core::ids::RequestId;
use vaquita_core::io::{CloseReason, Effect, Input, Job, JobOutcome, Machine as _};
use vaquita_core::prng::Seed;
use vaquita_core::secret::Password;
use vaquita_core::state::{self, ClusterState};
use vaquita_core::time::Timestamp;
use vaquita_core::wire::codec;

use crate::http::front::Front;

type Files = BTreeMap<FileName, Vec<u8>>;

/// A cluster that was founded, with an administrator and a user without rights who have logged in.
#[derive(Clone)]
pub(super) struct Founded {
    files: Files,
    /// The administrator's session.
    pub(super) admin: String,
    /// The other user's.
    pub(super) plain: String,
}

/// It is founded once: whoever wants to change it starts a controller of their own on its files.
pub(super) static FOUNDED: LazyLock<Founded> = LazyLock::new(found);

fn found() -> Founded {
    let machine = Machine::start(Files::new());
    let console = |verb| machine.ask_as(Caller::CONSOLE, verb);
    let password = |text: &str| Password::new(text.to_owned());
    let settled = [
        Verb::ChangePassword {
            user: Some("admin".to_owned()),
            old: None,
            new: password("seventeen wet otters"),
        },
        Verb::AddUser {
            user: "plain".to_owned(),
            password: password("nineteen dry beavers"),
            admin: false,
        },
    ];
    for verb in settled {
        console(verb).expect("the console may do that");
    }
    let log_in = |user: &str, with: &str| {
        let caller = Caller::Remote {
            address: [127, 0, 0, 1].into(),
            token: None,
            unix_ms: 0,
        };
        let login = Verb::Login {
            user: user.to_owned(),
            password: password(with),
            valid_for: Duration::from_secs(3600),
            setup_code: None,
        };
        match machine.ask_as(caller, login) {
            Ok(Response::LoggedIn { token, .. }) => token,
            other => panic!("{user} cannot log in: {other:?}"),
        }
    };
    let admin = log_in("admin", "seventeen wet otters");
    let first = log_in("plain", "nineteen dry beavers");
    // The password that somebody else has set serves for nothing but to set one's own.
    let own = Verb::ChangePassword {
        user: None,
        old: Some(password("nineteen dry beavers")),
        new: password("a hundred sleepy newts"),
    };
    let caller = Caller::Remote {
        address: [127, 0, 0, 1].into(),
        token: Some(first),
        unix_ms: 0,
    };
    (machine.ask_as(caller, own)).expect("one may set one's own password");
    let plain = log_in("plain", "a hundred sleepy newts");
    let files = machine.lock().files.clone();
    Founded {
        files,
        admin,
        plain,
    }
}

impl Founded {
    /// A controller on a copy of the files.
    pub(super) fn start(&self) -> Machine {
        Machine::start(self.files.clone())
    }
}

/// A controller that answers at once or says that it cannot.
#[derive(Clone)]
pub(super) struct Machine(Arc<Mutex<Inner>>);

struct Inner {
    controller: Box<Controller>,
    files: Files,
    inputs: VecDeque<Input>,
    last_request: u64,
    replies: BTreeMap<RequestId, Reply>,
}

impl Machine {
    fn start(files: Files) -> Self {
        let seed = Seed::from_number(files.len() as u64);
        let controller = Controller::new(controller_config(), &files, seed, Timestamp::ZERO);
        let mut inner = Inner {
            controller: Box::new(controller.expect("these files are a controller's own")),
            files,
            inputs: VecDeque::new(),
            last_request: 0,
            replies: BTreeMap::new(),
        };
        inner.settle();
        Self(Arc::new(Mutex::new(inner)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask_as(&self, caller: Caller, verb: Verb) -> Reply {
        let mut inner = self.lock();
        inner.last_request += 1;
        let id = RequestId(inner.last_request);
        let request = Request { caller, verb };
        inner.inputs.push_back(Input::Request { id, request });
        inner.settle();
        inner.controller.check_invariants();
        inner.replies.remove(&id).unwrap_or_else(|| {
            let reason = "the nodes that would answer are not there".to_owned();
            Err(Refusal::Unavailable { reason })
        })
    }

    /// What the cluster is, in bytes, without the audit, in which attempts are counted too.
    pub(super) fn state(&self) -> Vec<u8> {
        codec::encode(&self.audited_elsewhere())
    }

    /// The same without what is `plain`'s own to change.
    pub(super) fn state_of_others(&self) -> Vec<u8> {
        let mut state = self.audited_elsewhere();
        state.access = state.access.without_own_of("plain");
        codec::encode(&state)
    }

    fn audited_elsewhere(&self) -> ClusterState {
        let mut state = self.lock().controller.state().clone();
        state.audit = AuditTrail::default();
        state
    }
}

impl Front for Machine {
    async fn ask(&self, request: Request) -> Reply {
        self.ask_as(request.caller, request.verb)
    }
}

impl Inner {
    /// Until nothing more comes of what was asked; the clock stands still.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.controller.poll_effect() {
                self.carry_out(effect);
            }
            let Some(input) = self.inputs.pop_front() else {
                return;
            };
            self.controller.handle(Timestamp::ZERO, input);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let input = match effect {
            Effect::Disk(batch) => {
                (batch.ops.iter()).for_each(|op| op.apply_in_memory(&mut self.files));
                Input::DiskDone {
                    ticket: batch.ticket,
                    result: Ok(()),
                }
            }
            Effect::Connect { conn, .. } => Input::Closed {
                conn,
                reason: CloseReason::Refused,
            },
            Effect::Job { job, work } => Input::JobDone {
                job,
                outcome: self.outcome(work),
            },
            Effect::Reply { id, reply } => {
                self.replies.insert(id, reply);
                return;
            }
            Effect::Exit(reason) => panic!("a request has ended the process: {reason:?}"),
            _ => return,
        };
        self.inputs.push_back(input);
    }

    /// Passwords are not hashed: that takes long by design.
    fn outcome(&self, work: Job) -> JobOutcome {
        let hash = |password: &Password| format!("hash of {}", password.reveal());
        match work {
            Job::HashPassword { password } => JobOutcome::PasswordHashed(hash(&password)),
            Job::VerifyPassword { password, stored } => {
                JobOutcome::PasswordVerified(stored == Some(hash(&password)))
            }
            Job::BuildCheckpoint(plan) => {
                JobOutcome::CheckpointBuilt(state::build_checkpoint(&plan, &self.files))
            }
            Job::ReadPiece(ask) => JobOutcome::PieceRead(Err(format!("there is no {}", ask.file))),
            Job::SurveyMirrors { .. } => {
                JobOutcome::MirrorsSurveyed(Err("a controller has no mirror".to_owned()))
            }
        }
    }
}
