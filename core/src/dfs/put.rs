//! The writing of one file, from its first byte to its commit: what the entry of a client does.
//!
//! A [`Put`] is a machine of its own, one for each write, driven like the others: an input, then
//! effects until there are none, then the moment of the next timer. It never sees a byte. The driver
//! reads the client's body, tells where chunks begin and end, sends each chunk to the replicas that
//! the machine names, all at once, and says what became of each.
//!
//! ```text
//!  ChunkBegins ─▶ Allocate ─▶ Write ─▶ every replica has prepared it, or failed
//!                                │            │ too few, and the bytes are still there
//!                                └── Replace ◀┘
//!  BodyEnded, all chunks settled ─▶ Commit ─▶ Finished
//! ```
//!
//! Every question to the controller carries the operation's id and can be asked again: an answer
//! that is lost is asked for once more, and what was done is not done twice. A write whose outcome
//! cannot be learnt in time is reported as unknown, never as failed.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ask::{Answer, Ask, Commit, Committed, Expect, Holder, ReplicaPlace, WrittenChunk};
use super::digest::Digest;
use super::ids::{ChunkVersion, OpId};
use super::path::DfsPath;
use super::token::WriteToken;
use crate::admin::Refusal;
use crate::ids::{Alias, NodeId};
use crate::limits::Limits;
use crate::time::Timestamp;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOrder {
    /// By which a repetition of the whole write is recognised.
    pub op: OpId,
    /// The file.
    pub path: DfsPath,
    /// What has to be there.
    pub expect: Expect,
    /// Date by the entry's clock, for display.
    pub unix_ms: u64,
}

/// What a [`Put`] is told.
#[derive(Clone, Debug, PartialEq)]
pub enum PutInput {
    /// The next chunk of the body is about to be read; it has `max_len` bytes at most.
    ChunkBegins {
        /// See above.
        max_len: u64,
    },
    /// The controller's answer to the question that is open.
    Answered(Result<Answer, Refusal>),
    /// All bytes of a chunk were read.
    ChunkEnds {
        /// Its number, from 0.
        number: usize,
        /// How many bytes it has.
        len: u64,
        /// Their digest.
        digest: Digest,
    },
    /// A replica has prepared a chunk, and these are the length and the digest it made.
    Prepared {
        /// The chunk's number.
        number: usize,
        /// The replica's word.
        holder: Holder,
        /// How many bytes it has.
        len: u64,
        /// Their digest.
        digest: Digest,
    },
    /// A replica has not.
    Failed {
        /// The chunk's number.
        number: usize,
        /// The replica.
        node: NodeId,
        /// Why, in words.
        reason: String,
        /// Whether the replica itself said that it has no room ([`Refusal::NoRoom`]).
        no_room: bool,
        /// Whether the driver still has the chunk's bytes and can send them elsewhere.
        bytes_kept: bool,
    },
    /// The body is complete; no further chunk begins.
    BodyEnded,
    /// The client left, or its body broke off.
    GivenUp,
    /// The moment of [`Put::poll_timeout`] has come.
    Deadline,
}

/// What a [`Put`] wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum PutEffect {
    /// Ask the controller. One question is open at a time, but for an [`Ask::Abort`], whose answer
    /// is not waited for.
    Ask(Ask),
    /// Send a chunk to these replicas, each by itself.
    Write {
        /// The chunk's number.
        number: usize,
        /// What to show them.
        token: WriteToken,
        /// Who.
        replicas: Vec<ReplicaPlace>,
        /// Whether these are replacements: the bytes are sent again from the beginning.
        again: bool,
    },
    /// The chunk is settled: its bytes are needed no longer.
    Settled {
        /// The chunk's number.
        number: usize,
    },
    /// The write has ended. Nothing more is wanted, and nothing more is told.
    Finished(Result<Committed, Refusal>),
}

/// The writing of one file. See the [module](self).
#[derive(Clone, Debug)]
pub struct Put {
    order: PutOrder,
    answer_patience: Duration,
    retry_min: Duration,
    retry_max: Duration,
    /// How long the next wait is: questions are not showered on a controller that is away.
    retry_after: Duration,
    chunks: Vec<Chunk>,
    /// How large a chunk is; known from the first allocation.
    chunk_bytes: Option<u64>,
    min_write: usize,
    factor: usize,
    /// Replicas that failed once are not asked for again in this write.
    failed_nodes: BTreeSet<NodeId>,
    /// What the nodes that were asked are called.
    names: BTreeMap<NodeId, Alias>,
    /// Questions in the order in which they are asked; the first is open if `asking`.
    questions: VecDeque<Question>,
    asking: bool,
    /// Until when the first question may be asked again, and when that is due.
    patience_ends: Option<Timestamp>,
    retry_at: Option<Timestamp>,
    renew_at: Timestamp,
    renew_every: Duration,
    body_ended: bool,
    committing: bool,
    finished: bool,
    effects: VecDeque<PutEffect>,
}

#[derive(Clone, Debug, PartialEq)]
enum Question {
    Allocate { number: usize },
    Replace { number: usize },
    Renew,
    Commit,
}

#[derive(Clone, Debug)]
struct Chunk {
    max_len: u64,
    version: Option<ChunkVersion>,
    /// Length and digest of what the client sent.
    sent: Option<(u64, Digest)>,
    /// Replicas that were asked to take it and have said nothing yet.
    open: BTreeSet<NodeId>,
    prepared: Vec<(Holder, u64, Digest)>,
    failures: Vec<(NodeId, String)>,
    /// Whether something else than want of room was the reason of one of them, so that to try again
    /// may help.
    may_pass: bool,
    bytes_kept: bool,
    /// How often other places were asked for.
    rounds: u32,
    settled: bool,
}

/// How often other places are asked for, for one chunk.
const ROUNDS: u32 = 2;

impl Put {
    /// Begins.
    #[must_use]
    pub fn new(order: PutOrder, limits: &Limits, now: Timestamp) -> Self {
        Self {
            order,
            answer_patience: limits.dfs_answer_patience,
            retry_min: limits.redial_min,
            retry_max: limits.redial_max,
            retry_after: limits.redial_min,
            chunks: Vec::new(),
            chunk_bytes: None,
            min_write: 1,
            factor: 1,
            failed_nodes: BTreeSet::new(),
            names: BTreeMap::new(),
            questions: VecDeque::new(),
            asking: false,
            patience_ends: None,
            retry_at: None,
            renew_at: now.after(limits.dfs_renew_period),
            renew_every: limits.dfs_renew_period,
            body_ended: false,
            committing: false,
            finished: false,
            effects: VecDeque::new(),
        }
    }

    /// How large chunks are, once the controller has said so. The body is cut at this length, the
    /// first chunk as well, whose `max_len` may have been larger.
    #[must_use]
    pub const fn chunk_bytes(&self) -> Option<u64> {
        self.chunk_bytes
    }

    /// Takes an input. Any is legal at any moment; one that comes too late is passed over.
    pub fn handle(&mut self, now: Timestamp, input: PutInput) {
        if self.finished {
            return;
        }
        match input {
            PutInput::ChunkBegins { max_len } => self.chunk_begins(max_len),
            PutInput::Answered(answer) => self.answered(now, answer),
            PutInput::ChunkEnds {
                number,
                len,
                digest,
            } => {
                if let Some(chunk) = self.chunks.get_mut(number) {
                    chunk.sent = Some((len, digest));
                }
                self.settle(number);
            }
            PutInput::Prepared {
                number,
                holder,
                len,
                digest,
            } => {
                if let Some(chunk) = self.chunks.get_mut(number)
                    && chunk.open.remove(&holder.node)
                {
                    chunk.prepared.push((holder, len, digest));
                }
                self.settle(number);
            }
            PutInput::Failed {
                number,
                node,
                reason,
                no_room,
                bytes_kept,
            } => {
                if let Some(chunk) = self.chunks.get_mut(number)
                    && chunk.open.remove(&node)
                {
                    chunk.failures.push((node, reason));
                    chunk.may_pass |= !no_room;
                    chunk.bytes_kept = bytes_kept;
                    self.failed_nodes.insert(node);
                }
                self.settle(number);
            }
            PutInput::BodyEnded => self.body_ended = true,
            PutInput::GivenUp if self.committing => {
                self.finish(Err(Refusal::Unavailable {
                    reason: format!(
                        "the client left while {} was being committed: whether it was written is not \
                         known",
                        self.order.path
                    ),
                }));
                return;
            }
            PutInput::GivenUp => {
                self.give_up(Refusal::Invalid {
                    reason: "the client left before all bytes had come; nothing was written"
                        .to_owned(),
                });
                return;
            }
            PutInput::Deadline => {}
        }
        if self.finished {
            return;
        }
        self.commit_if_complete();
        self.renew_if_due(now);
        self.ask_next(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<PutEffect> {
        self.effects.pop_front()
    }

    /// When to tell it [`PutInput::Deadline`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.finished {
            return None;
        }
        let renew = (!self.chunks.is_empty() && !self.committing).then_some(self.renew_at);
        [self.retry_at, renew].into_iter().flatten().min()
    }

    fn chunk_begins(&mut self, max_len: u64) {
        let number = self.chunks.len();
        self.chunks.push(Chunk {
            max_len,
            version: None,
            sent: None,
            open: BTreeSet::new(),
            prepared: Vec::new(),
            failures: Vec::new(),
            may_pass: false,
            bytes_kept: false,
            rounds: 0,
            settled: false,
        });
        self.questions.push_back(Question::Allocate { number });
    }

    // ---- questions ----

    fn ask_next(&mut self, now: Timestamp) {
        if self.asking || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        let Some(question) = self.questions.front() else {
            return;
        };
        let ask = match *question {
            Question::Allocate { number } => Ask::Allocate {
                op: self.order.op,
                path: self.order.path.clone(),
                expect: self.order.expect,
                lens: vec![self.chunks[number].max_len],
                avoid: self.failed_nodes.iter().copied().collect(),
            },
            Question::Replace { number } => {
                let chunk = &self.chunks[number];
                let Some(version) = chunk.version else {
                    return;
                };
                Ask::Replace {
                    op: self.order.op,
                    chunk: version,
                    len: chunk.sent.map_or(chunk.max_len, |(len, _)| len),
                    failed: self.failed_nodes.iter().copied().collect(),
                    written: chunk.prepared.iter().map(|(h, ..)| h.node).collect(),
                }
            }
            Question::Renew => Ask::Renew { op: self.order.op },
            Question::Commit => Ask::Commit(self.commit()),
        };
        self.patience_ends
            .get_or_insert_with(|| now.after(self.answer_patience));
        self.asking = true;
        self.effects.push_back(PutEffect::Ask(ask));
    }

    fn answered(&mut self, now: Timestamp, answer: Result<Answer, Refusal>) {
        if !core::mem::take(&mut self.asking) {
            return;
        }
        let Some(question) = self.questions.front().cloned() else {
            return;
        };
        let refusal = match answer {
            Ok(answer) => {
                self.questions.pop_front();
                self.patience_ends = None;
                self.retry_after = self.retry_min;
                self.take(question, answer);
                return;
            }
            Err(refusal) => refusal,
        };
        let passing = matches!(refusal, Refusal::Unavailable { .. } | Refusal::Busy { .. });
        if passing && self.patience_ends.is_none_or(|end| now < end) {
            let wait = match refusal {
                Refusal::Busy { retry_after, .. } => retry_after,
                _ => {
                    let longer = (self.retry_after * 2).min(self.retry_max);
                    core::mem::replace(&mut self.retry_after, longer)
                }
            };
            self.retry_at = Some(now.after(wait));
            return;
        }
        match question {
            // The write goes on: what it costs, if anything, shows at the commit.
            Question::Renew => {
                self.questions.pop_front();
                self.patience_ends = None;
            }
            Question::Replace { number } => {
                self.questions.pop_front();
                self.patience_ends = None;
                // There are no other places: what there is has to do.
                self.chunks[number].rounds = ROUNDS;
                self.settle(number);
            }
            Question::Commit if passing => self.finish(Err(Refusal::Unavailable {
                reason: format!(
                    "whether {} was written is not known: the controller did not answer in {} s \
                     ({refusal}). Ask again with the same Idempotency-Key, or look what is there",
                    self.order.path,
                    self.answer_patience.as_secs()
                ),
            })),
            Question::Allocate { .. } | Question::Commit => self.give_up(refusal),
        }
    }

    fn take(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (
                Question::Allocate { number } | Question::Replace { number },
                Answer::Allocated(mut allocation),
            ) => {
                self.chunk_bytes = Some(allocation.chunk_bytes);
                self.min_write = (allocation.min_write as usize).max(1);
                self.factor = (allocation.factor as usize).max(1);
                let Some(grant) = allocation.grants.pop() else {
                    self.chunks[number].rounds = ROUNDS;
                    self.settle(number);
                    return;
                };
                let chunk = &mut self.chunks[number];
                let again = chunk.version.is_some();
                chunk.version = Some(grant.token.version);
                chunk
                    .open
                    .extend(grant.replicas.iter().map(|replica| replica.node));
                let names = grant.replicas.iter();
                self.names
                    .extend(names.map(|replica| (replica.node, replica.alias.clone())));
                self.effects.push_back(PutEffect::Write {
                    number,
                    token: grant.token,
                    replicas: grant.replicas,
                    again,
                });
                self.settle(number);
            }
            (Question::Renew, _) => {}
            (Question::Commit, Answer::Committed(committed)) => self.finish(Ok(committed)),
            // The write was finished before: this is its repetition.
            (Question::Allocate { .. }, Answer::Committed(committed)) => self.finish(Ok(committed)),
            (_, other) => self.give_up(Refusal::Unavailable {
                reason: format!(
                    "the controller answered with something that was not asked for ({other:?}); \
                     this is a bug, please report it"
                ),
            }),
        }
    }

    fn renew_if_due(&mut self, now: Timestamp) {
        if now < self.renew_at || self.chunks.is_empty() || self.committing {
            return;
        }
        self.renew_at = now.after(self.renew_every);
        if self.questions.is_empty() {
            self.questions.push_back(Question::Renew);
        }
    }

    // ---- chunks ----

    /// Looks whether a chunk has got all the replicas that it can get.
    fn settle(&mut self, number: usize) {
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let Some((len, digest)) = chunk.sent else {
            return;
        };
        if chunk.settled || chunk.version.is_none() || !chunk.open.is_empty() {
            return;
        }
        // What arrived otherwise than it was sent is no replica of it.
        let (right, wrong): (Vec<_>, Vec<_>) = core::mem::take(&mut chunk.prepared)
            .into_iter()
            .partition(|(_, its_len, its_digest)| (*its_len, *its_digest) == (len, digest));
        chunk.prepared = right;
        for (holder, its_len, its_digest) in wrong {
            let reason = format!(
                "it got {its_len} bytes with the digest {its_digest}, and {len} with {digest} were \
                 sent"
            );
            chunk.failures.push((holder.node, reason));
            chunk.may_pass = true;
            self.failed_nodes.insert(holder.node);
        }
        if chunk.prepared.len() < self.factor
            && !chunk.failures.is_empty()
            && chunk.bytes_kept
            && chunk.rounds < ROUNDS
        {
            chunk.rounds += 1;
            self.questions.push_back(Question::Replace { number });
            return;
        }
        if chunk.prepared.len() >= self.min_write {
            chunk.settled = true;
            self.effects.push_back(PutEffect::Settled { number });
            return;
        }
        let failures: Vec<String> = chunk
            .failures
            .iter()
            .map(|(node, reason)| match self.names.get(node) {
                Some(name) if !reason.starts_with(name.as_str()) => format!("{name}: {reason}"),
                _ => reason.clone(),
            })
            .collect();
        let reason = format!(
            "only {} of {} replicas that are needed could be written ({})",
            chunk.prepared.len(),
            self.min_write,
            failures.join("; ")
        );
        let refusal = if chunk.may_pass || failures.is_empty() {
            let reason = format!("{reason}; try again");
            Refusal::Unavailable { reason }
        } else {
            Refusal::NoRoom { reason }
        };
        self.give_up(refusal);
    }

    fn commit_if_complete(&mut self) {
        let complete = self.body_ended && self.chunks.iter().all(|chunk| chunk.settled);
        if complete && !self.committing {
            self.committing = true;
            self.questions.push_back(Question::Commit);
        }
    }

    fn commit(&self) -> Commit {
        let chunks = self.chunks.iter().filter_map(|chunk| {
            let (len, digest) = chunk.sent?;
            Some(WrittenChunk {
                version: chunk.version?,
                len,
                digest,
                holders: chunk.prepared.iter().map(|(holder, ..)| *holder).collect(),
            })
        });
        Commit {
            op: self.order.op,
            path: self.order.path.clone(),
            expect: self.order.expect,
            chunks: chunks.collect(),
            unix_ms: self.order.unix_ms,
        }
    }

    // ---- the end ----

    /// Ends a write that will not be committed, and tells the controller, which need not listen: it
    /// forgets a write of which nothing is heard.
    fn give_up(&mut self, refusal: Refusal) {
        if let Some(abort) = self.abort() {
            self.effects.push_back(PutEffect::Ask(abort));
        }
        self.finish(Err(refusal));
    }

    /// What to tell the controller if the machine is dropped now; nothing if no place was given yet.
    /// Nobody has to wait for the answer.
    #[must_use]
    pub fn abort(&self) -> Option<Ask> {
        let chunks: Vec<ChunkVersion> = self.chunks.iter().filter_map(|it| it.version).collect();
        let op = self.order.op;
        (!chunks.is_empty()).then_some(Ask::Abort { op, chunks })
    }

    fn finish(&mut self, result: Result<Committed, Refusal>) {
        self.finished = true;
        self.questions.clear();
        self.effects.push_back(PutEffect::Finished(result));
    }
}

#[cfg(test)]
mod tests;
