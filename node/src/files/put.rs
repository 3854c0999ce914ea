//! Writing a file: the client's body, cut into chunks, on its way to all replicas at once.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use vaquita_core::admin::{Caller, Refusal};
use vaquita_core::dfs::ask::{Ask, Committed, ReplicaPlace};
use vaquita_core::dfs::put::{Put, PutEffect, PutInput, PutOrder};
use vaquita_core::dfs::token::WriteToken;
use vaquita_core::ids::NodeId;

use super::Coordinator;
use crate::data::{Operation, Peer, Stored};
use crate::env::Env;
use crate::http::{self, PutError, Upload};

/// Writes a file.
pub(super) async fn put<E: Env>(
    coordinator: &Coordinator<E>,
    put: http::Put,
    body: Upload,
) -> Result<Committed, PutError> {
    let shared = &coordinator.shared;
    let under_way = shared.data.begin(Operation::Write);
    let order = PutOrder {
        op: put.op,
        path: put.path.clone(),
        expect: put.expect,
        unix_ms: shared.env.unix_ms(),
    };
    let mut writing = Writing {
        coordinator,
        caller: put.caller,
        machine: Put::new(order, &shared.limits, shared.env.now()),
        body: Body {
            upload: body,
            left_over: Bytes::new(),
            remaining: put.len,
            ended: false,
        },
        chunks: 0,
        committed: false,
    };
    let result = writing.run().await;
    writing.committed = result.is_ok();
    if writing.committed {
        under_way.finish();
    }
    result
}

struct Writing<'a, E: Env> {
    coordinator: &'a Coordinator<E>,
    caller: Caller,
    machine: Put,
    body: Body,
    chunks: usize,
    committed: bool,
}

/// A write that is dropped before it is committed is given up at the controller as well.
impl<E: Env> Drop for Writing<'_, E> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Some(abort) = self.machine.abort() {
            let (coordinator, caller) = (self.coordinator.clone(), self.caller.clone());
            // Nobody waits: a write of which nothing is heard is given up all the same.
            tokio::spawn(async move { coordinator.ask(&caller, abort).await });
        }
    }
}

/// What the machine wants next that takes bytes.
enum Step {
    Write {
        token: WriteToken,
        replicas: Vec<ReplicaPlace>,
    },
    Settled,
    Finished(Result<Committed, Refusal>),
}

/// How the writing of a chunk ended.
enum Outcome {
    Settled,
    Finished(Result<Committed, Refusal>),
}

impl<E: Env> Writing<'_, E> {
    async fn run(&mut self) -> Result<Committed, PutError> {
        // How long a body is, is not always said: then its first bytes tell whether it is empty.
        while self.has_more().await? {
            match self.chunk().await? {
                Outcome::Settled => {}
                Outcome::Finished(result) => return Ok(result?),
            }
        }
        self.tell(PutInput::BodyEnded);
        loop {
            match self.step().await {
                Step::Finished(result) => return Ok(result?),
                Step::Write { .. } | Step::Settled => {}
            }
        }
    }

    async fn has_more(&mut self) -> Result<bool, PutError> {
        match self.body.has_more().await {
            Ok(more) => Ok(more),
            Err(error) => {
                self.tell(PutInput::GivenUp);
                Err(error.into())
            }
        }
    }

    fn tell(&mut self, input: PutInput) {
        let now = self.coordinator.shared.env.now();
        self.machine.handle(now, input);
    }

    /// Carries out what the machine asks for, up to something that takes bytes.
    async fn step(&mut self) -> Step {
        loop {
            while let Some(effect) = self.machine.poll_effect() {
                match effect {
                    // Told when the write is dropped, which is soon.
                    PutEffect::Ask(Ask::Abort { .. }) => {}
                    PutEffect::Ask(ask) => {
                        let answer = self.coordinator.ask(&self.caller, ask).await;
                        self.tell(PutInput::Answered(answer));
                    }
                    PutEffect::Write {
                        token, replicas, ..
                    } => return Step::Write { token, replicas },
                    PutEffect::Settled { .. } => return Step::Settled,
                    PutEffect::Finished(result) => return Step::Finished(result),
                }
            }
            let now = self.coordinator.shared.env.now();
            let wait = self
                .machine
                .poll_timeout()
                .map_or(Duration::from_secs(1), |due| due.since(now));
            sleep(wait).await;
            self.tell(PutInput::Deadline);
        }
    }

    /// Lets the machine say that the write goes on, if that is due.
    async fn renew_if_due(&mut self) {
        let now = self.coordinator.shared.env.now();
        if self.machine.poll_timeout().is_some_and(|due| now >= due) {
            self.tell(PutInput::Deadline);
            while let Some(PutEffect::Ask(ask)) = self.machine.poll_effect() {
                let answer = self.coordinator.ask(&self.caller, ask).await;
                self.tell(PutInput::Answered(answer));
            }
        }
    }

    /// Writes the next chunk of the body.
    async fn chunk(&mut self) -> Result<Outcome, PutError> {
        let number = self.chunks;
        self.chunks += 1;
        let limits = &self.coordinator.shared.limits;
        let largest = self.machine.chunk_bytes().unwrap_or(limits.chunk_bytes);
        let exact = self.body.remaining.map(|left| left.min(largest));
        let max_len = exact.unwrap_or(largest);
        // A small chunk is kept until it is settled: it can be sent elsewhere.
        let keeps = max_len <= limits.packed_max;
        self.tell(PutInput::ChunkBegins { max_len });
        let (token, replicas) = match self.step().await {
            Step::Write { token, replicas } => (token, replicas),
            Step::Settled => return Ok(Outcome::Settled),
            Step::Finished(result) => return Ok(Outcome::Finished(result)),
        };
        let mut kept = Vec::new();
        self.send_body(number, &token, &replicas, exact, max_len, keeps, &mut kept)
            .await?;
        loop {
            match self.step().await {
                Step::Settled => return Ok(Outcome::Settled),
                Step::Finished(result) => return Ok(Outcome::Finished(result)),
                Step::Write { token, replicas } => {
                    self.send_again(number, &token, &replicas, &kept).await;
                }
            }
        }
    }

    /// Sends the next `max_len` bytes of the body, or what is left of it, to the replicas of a chunk.
    #[expect(clippy::too_many_arguments, reason = "one chunk on its way")]
    async fn send_body(
        &mut self,
        number: usize,
        token: &WriteToken,
        replicas: &[ReplicaPlace],
        exact: Option<u64>,
        max_len: u64,
        keeps: bool,
        kept: &mut Vec<Bytes>,
    ) -> Result<(), PutError> {
        let peers: Vec<Peer> = replicas.iter().map(Peer::from).collect();
        let began = self
            .coordinator
            .shared
            .data
            .store(token, &peers, exact)
            .await;
        let mut storing = match began {
            Ok(storing) => Some(storing),
            Err(fault) => {
                // No memory for it: nothing was sent, and nothing is read.
                let reason = fault.to_string();
                let retry_after = Duration::from_secs(1);
                return Err(PutError::Refused(Refusal::Busy {
                    reason,
                    retry_after,
                }));
            }
        };
        let mut lost = Vec::new();
        let mut sent = 0;
        while sent < max_len {
            let piece = match self.body.next(max_len - sent).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    self.tell(PutInput::GivenUp);
                    return Err(error.into());
                }
            };
            sent += piece.len() as u64;
            if keeps {
                kept.push(piece.clone());
            }
            if let Some(writing) = &mut storing
                && let Err(none) = writing.write(piece).await
            {
                lost = none.lost;
                storing = None;
                if !keeps {
                    break;
                }
            }
            self.renew_if_due().await;
        }
        match storing {
            Some(storing) => {
                let stored = storing.finish().await;
                self.told_of(number, replicas, stored, keeps);
            }
            None => {
                let summary = summary_of(kept);
                self.tell(PutInput::ChunkEnds {
                    number,
                    len: summary.len,
                    digest: summary.digest,
                });
                self.failed(number, replicas, &lost, keeps);
            }
        }
        Ok(())
    }

    /// Sends the bytes of a chunk that were kept to other replicas.
    async fn send_again(
        &mut self,
        number: usize,
        token: &WriteToken,
        replicas: &[ReplicaPlace],
        kept: &[Bytes],
    ) {
        let peers: Vec<Peer> = replicas.iter().map(Peer::from).collect();
        let len = kept.iter().map(|piece| piece.len() as u64).sum();
        let data = &self.coordinator.shared.data;
        let mut storing = match data.store(token, &peers, Some(len)).await {
            Ok(storing) => storing,
            Err(fault) => {
                let lost: Vec<_> = peers
                    .into_iter()
                    .map(|peer| (peer, fault.clone()))
                    .collect();
                self.failed(number, replicas, &lost, true);
                return;
            }
        };
        for piece in kept {
            if let Err(none) = storing.write(piece.clone()).await {
                self.failed(number, replicas, &none.lost, true);
                return;
            }
        }
        let stored = storing.finish().await;
        self.told_of(number, replicas, stored, true);
    }

    fn told_of(&mut self, number: usize, replicas: &[ReplicaPlace], stored: Stored, kept: bool) {
        self.tell(PutInput::ChunkEnds {
            number,
            len: stored.summary.len,
            digest: stored.summary.digest,
        });
        for (_, prepared) in &stored.prepared {
            self.tell(PutInput::Prepared {
                number,
                holder: prepared.holder,
                len: prepared.len,
                digest: prepared.digest,
            });
        }
        self.failed(number, replicas, &stored.lost, kept);
    }

    fn failed(
        &mut self,
        number: usize,
        replicas: &[ReplicaPlace],
        lost: &[crate::data::Lost],
        bytes_kept: bool,
    ) {
        for (peer, fault) in lost {
            if let Some(node) = node_of(replicas, peer) {
                self.tell(PutInput::Failed {
                    number,
                    node,
                    reason: fault.to_string(),
                    no_room: fault.is_want_of_room(),
                    bytes_kept,
                });
            }
        }
    }
}

fn node_of(replicas: &[ReplicaPlace], peer: &Peer) -> Option<NodeId> {
    let place = replicas.iter().find(|place| place.alias == peer.alias)?;
    Some(place.node)
}

fn summary_of(pieces: &[Bytes]) -> vaquita_core::dfs::digest::Summary {
    let mut summing = vaquita_core::dfs::digest::Summing::default();
    pieces.iter().for_each(|piece| summing.update(piece));
    summing.finish()
}

/// The client's body, cut where chunks end.
struct Body {
    upload: Upload,
    /// Bytes of the last piece that belong to the next chunk.
    left_over: Bytes,
    /// How many bytes are still to come, where the client has said it.
    remaining: Option<u64>,
    ended: bool,
}

impl Body {
    /// Whether any bytes are left.
    async fn has_more(&mut self) -> Result<bool, crate::http::UploadError> {
        if let Some(remaining) = self.remaining {
            return Ok(remaining > 0);
        }
        if self.left_over.is_empty() && !self.ended {
            match self.upload.next().await {
                Some(piece) => self.left_over = piece?,
                None => self.ended = true,
            }
        }
        Ok(!self.left_over.is_empty())
    }

    /// The next bytes, `most` of them at the most; `None` at the end.
    async fn next(&mut self, most: u64) -> Result<Option<Bytes>, crate::http::UploadError> {
        if self.left_over.is_empty() && !self.ended {
            match self.upload.next().await {
                Some(piece) => self.left_over = piece?,
                None => self.ended = true,
            }
        }
        if self.left_over.is_empty() {
            self.remaining = self.remaining.map(|_| 0);
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let piece = self.left_over.split_to(self.left_over.len().min(most));
        self.remaining = self
            .remaining
            .map(|left| left.saturating_sub(piece.len() as u64));
        Ok(Some(piece))
    }
}
