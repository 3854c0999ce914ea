//! A ledger of names: what it has answered *done* to, it never forgets.

use std::collections::{BTreeSet, VecDeque};

use vaquita_core::admin::{Refusal, Response, UserRow, Verb};
use vaquita_core::disk::{DiskOp, FileName};
use vaquita_core::ids::{DiskTicket, RequestId};
use vaquita_core::io::{Effect, ExitCode, Input, Machine};
use vaquita_core::time::Timestamp;

use super::{Bug, Out, seal, unseal};
use crate::disk::Files;

/// A record on disk: length of what follows, checksum, name.
const LENGTH: usize = 1;

#[derive(Debug)]
enum Phase {
    /// The file is being written anew, so that what was read is durable for certain.
    Repairing(DiskTicket),
    Serving,
    Dead,
}

/// A durable set of names.
#[derive(Debug)]
pub struct Ledger {
    phase: Phase,
    /// Names that are in the log or on their way there.
    names: BTreeSet<String>,
    len: u64,
    waiting: VecDeque<(RequestId, String)>,
    writing: Option<(DiskTicket, Vec<RequestId>)>,
    /// Asked for before the repair was done.
    early: Vec<(RequestId, Verb)>,
    bug: Option<Bug>,
    out: Out,
}

fn log() -> FileName {
    FileName::fixed("ledger.log")
}

impl Ledger {
    pub(super) fn new(files: &Files, bug: Option<Bug>) -> Self {
        let empty = Vec::new();
        let found = files.get(&log()).unwrap_or(&empty);
        let (mut names, mut valid) = read(found);
        if bug == Some(Bug::CutsTooMuch)
            && valid < found.len()
            && let Some((last, len)) = names.pop()
        {
            drop(last);
            valid -= len;
        }
        let mut out = Out::default();
        let mut bytes = found.clone();
        bytes.truncate(valid);
        let len = bytes.len() as u64;
        let trusts = bug == Some(Bug::TrustsCache) && files.contains_key(&log());
        let ops = if trusts {
            vec![
                DiskOp::Truncate { file: log(), len },
                DiskOp::Sync { file: log() },
            ]
        } else {
            let temporary = log().temporary();
            let mut ops = vec![
                DiskOp::CreateOrEmpty {
                    file: temporary.clone(),
                },
                DiskOp::Append {
                    file: temporary.clone(),
                    offset: 0,
                    bytes,
                },
                DiskOp::Sync {
                    file: temporary.clone(),
                },
                DiskOp::Rename {
                    from: temporary,
                    to: log(),
                },
                DiskOp::SyncDir,
            ];
            if bug == Some(Bug::ForgetsDirectory) {
                ops.pop();
            }
            ops
        };
        let ticket = out.disk(ops);
        Self {
            phase: Phase::Repairing(ticket),
            names: names.into_iter().map(|(name, _)| name).collect(),
            len,
            waiting: VecDeque::new(),
            writing: None,
            early: Vec::new(),
            bug,
            out,
        }
    }

    /// The names it knows.
    #[must_use]
    pub const fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Whether it answers.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    fn request(&mut self, id: RequestId, verb: Verb) {
        if matches!(self.phase, Phase::Repairing(_)) {
            self.early.push((id, verb));
            return;
        }
        match verb {
            Verb::AddUser { user, .. } => {
                self.waiting.push_back((id, user));
                self.write();
            }
            Verb::ListUsers => {
                let row = |name: &String| UserRow {
                    user: name.clone(),
                    role: vaquita_core::admin::UserRole::Viewer,
                    admin: false,
                    rights: Vec::new(),
                    must_change_password: false,
                };
                let rows = self.names.iter().map(row).collect();
                self.out.push(Effect::Reply {
                    id,
                    reply: Ok(Response::Users(rows)),
                });
            }
            _ => {
                let reason = "a ledger takes names and lists them".to_owned();
                self.out.push(Effect::Reply {
                    id,
                    reply: Err(Refusal::Invalid { reason }),
                });
            }
        }
    }

    /// Writes everything that waits with one sync, unless one is under way.
    fn write(&mut self) {
        if self.writing.is_some() || self.waiting.is_empty() || !self.serves() {
            return;
        }
        let mut bytes = Vec::new();
        let mut ids = Vec::new();
        for (id, name) in self.waiting.drain(..) {
            // A name that is there already is answered with the sync that covers it at the latest.
            if self.names.insert(name.clone()) {
                let record = seal(name.as_bytes());
                bytes.push(u8::try_from(record.len()).unwrap_or(u8::MAX));
                bytes.extend(record);
            }
            ids.push(id);
        }
        let offset = self.len;
        self.len += bytes.len() as u64;
        let ticket = self.out.disk(vec![
            DiskOp::Append {
                file: log(),
                offset,
                bytes,
            },
            DiskOp::Sync { file: log() },
        ]);
        if self.bug == Some(Bug::AnswersBeforeSync) {
            self.done(std::mem::take(&mut ids));
        }
        self.writing = Some((ticket, ids));
    }

    fn done(&mut self, ids: Vec<RequestId>) {
        for id in ids {
            self.out.push(Effect::Reply {
                id,
                reply: Ok(Response::Done),
            });
        }
    }
}

/// The names in a log, each with the length of its record, and where the valid part ends.
fn read(log: &[u8]) -> (Vec<(String, usize)>, usize) {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(len) = log.get(at).copied().map(usize::from) {
        let record = log.get(at + LENGTH..at + LENGTH + len).and_then(unseal);
        let Some((name, true)) = record else { break };
        let Ok(name) = String::from_utf8(name.to_vec()) else {
            break;
        };
        names.push((name, LENGTH + len));
        at += LENGTH + len;
    }
    (names, at)
}

impl Machine for Ledger {
    fn handle(&mut self, _: Timestamp, input: Input) {
        match input {
            Input::Request { id, request } if !matches!(self.phase, Phase::Dead) => {
                self.request(id, request.verb);
            }
            Input::DiskDone {
                result: Err(fault), ..
            } => {
                self.phase = Phase::Dead;
                self.out.notify("ledger.fault", fault.to_string());
                self.out.exit(ExitCode::DiskFault, fault.to_string());
            }
            Input::DiskDone { ticket, .. } => {
                if matches!(self.phase, Phase::Repairing(repair) if repair == ticket) {
                    self.phase = Phase::Serving;
                    for (id, verb) in std::mem::take(&mut self.early) {
                        self.request(id, verb);
                    }
                } else if let Some((_, ids)) =
                    self.writing.take_if(|(writing, _)| *writing == ticket)
                {
                    self.done(ids);
                    self.write();
                }
            }
            Input::Terminate => self.out.exit(ExitCode::Success, "asked to end"),
            _ => {}
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.out.next()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn check_invariants(&self) {
        assert!(
            self.writing.is_some() || self.waiting.is_empty() || !self.serves(),
            "what waits is written as soon as nothing else is"
        );
    }
}
