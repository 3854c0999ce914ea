//! The writing of a file: its chunks one after the other, and what the machine of a write wants done.

use vaquita_core::admin::Refusal;
use vaquita_core::dfs::ask::Ask;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::put::{Put, PutEffect, PutInput};

use super::{Clients, Done, Purpose, Ticket, Work, passes, stamp};
use crate::vaquita::VaquitaWorld;
use crate::world::{NodeIx, Transfer};

#[derive(Debug)]
pub(super) struct Putting {
    pub(super) put: Put,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) begun: usize,
    pub(super) keeps: bool,
    pub(super) committing: bool,
}

impl Clients {
    /// Begins the next chunk of a body, or ends it.
    pub(super) fn next_chunk(&mut self, world: &mut VaquitaWorld, ticket: Ticket) {
        let now = stamp(world.now());
        let Some(Work::Putting(putting)) = self.tasks.get_mut(&ticket).map(|task| &mut task.work)
        else {
            return;
        };
        match putting.chunks.get(putting.begun) {
            Some(bytes) => {
                putting.begun += 1;
                let max_len = bytes.len() as u64;
                putting.put.handle(now, PutInput::ChunkBegins { max_len });
            }
            None => putting.put.handle(now, PutInput::BodyEnded),
        }
    }

    pub(super) fn put_effect(
        &mut self,
        world: &mut VaquitaWorld,
        ticket: Ticket,
        entry: NodeIx,
        effect: PutEffect,
    ) {
        let now = stamp(world.now());
        let Some(task) = self.tasks.get_mut(&ticket) else {
            return;
        };
        let Work::Putting(putting) = &mut task.work else {
            return;
        };
        match effect {
            PutEffect::Ask(ask) => {
                if matches!(ask, Ask::Commit(_)) {
                    putting.committing = true;
                    task.committing_since = task.committing_since.min(world.now());
                }
                self.ask(world, ticket, entry, ask);
            }
            PutEffect::Write {
                number,
                token,
                replicas,
                again,
            } => {
                let bytes = putting.chunks[number].clone();
                let announced = token.version.chunk.count() % 3 != 0;
                if !again {
                    let (len, digest) = (bytes.len() as u64, Digest::of(&bytes));
                    let input = PutInput::ChunkEnds {
                        number,
                        len,
                        digest,
                    };
                    putting.put.handle(now, input);
                }
                for replica in replicas {
                    let transfer = Transfer::Store {
                        token: token.clone(),
                        bytes: bytes.clone(),
                        announced,
                    };
                    let id = world.carry(entry, &replica.endpoint, transfer);
                    let node = replica.node;
                    self.transfers
                        .insert(id, (ticket, Purpose::Write { number, node }));
                }
            }
            PutEffect::Settled { .. } => self.next_chunk(world, ticket),
            PutEffect::Finished(Ok(committed)) => {
                self.end(world, ticket, Done::Written(Box::new(committed)));
            }
            PutEffect::Finished(Err(refusal)) => {
                if passes(&refusal) || matches!(refusal, Refusal::Stale { .. }) {
                    // Only what can pass leaves open whether it was done.
                    putting.committing &= passes(&refusal);
                    let why = refusal.to_string();
                    task.last = Some(refusal);
                    self.try_failed(world, ticket, &why);
                } else if task.may_be_done {
                    // It says what became of this try. What an earlier one has asked may be on its way.
                    self.end(world, ticket, Done::Unknown(refusal.to_string()));
                } else {
                    self.end(world, ticket, Done::Refused(refusal));
                }
            }
        }
    }
}
