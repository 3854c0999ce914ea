//! The reading of a file: where it is, and its chunks one after the other.

use vaquita_core::dfs::ask::FileLayout;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::fetch::{Fetch, FetchEffect, FetchInput};
use vaquita_core::time::Timestamp;

use super::{Clients, Done, Purpose, Ticket, Work, stamp};
use crate::streams::index;
use crate::vaquita::VaquitaWorld;
use crate::world::{Carried, NodeIx, Transfer, TransferId};

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) layout: FileLayout,
    pub(super) chunk: usize,
    pub(super) bytes: Vec<u8>,
    /// Bytes of the present chunk.
    pub(super) part: Vec<u8>,
    pub(super) fetch: Option<Fetch>,
    /// Where each attempt is, and its stream.
    pub(super) attempts: Vec<(u64, TransferId, usize)>,
}

impl Clients {
    /// Goes on with the reading of a file. Returns whether there may be more to do.
    pub(super) fn read_on(
        &mut self,
        world: &mut VaquitaWorld,
        ticket: Ticket,
        entry: NodeIx,
    ) -> bool {
        let now = stamp(world.now());
        let Some(Work::Reading(reading)) = self.tasks.get_mut(&ticket).map(|task| &mut task.work)
        else {
            return false;
        };
        let Some(place) = reading.layout.chunks.get(reading.chunk).cloned() else {
            let wanted = reading.layout.entry.digest;
            let parts: Vec<_> = self.limits_cut(ticket);
            let digest = vaquita_core::dfs::ask::file_digest(parts.iter().copied());
            let number = self.known.get(&digest).copied();
            match number.filter(|_| wanted == Some(digest)) {
                Some(number) => self.end(world, ticket, Done::Read(number)),
                None => {
                    let what = format!("a read gave bytes that nobody wrote: {wanted:?}");
                    world.fail(Some(entry), what);
                    self.end(world, ticket, Done::Unknown(String::new()));
                }
            }
            return false;
        };
        let Some(fetch) = &mut reading.fetch else {
            reading.fetch = Some(Fetch::new(
                place.len,
                place.replicas.len(),
                &self.limits,
                now,
            ));
            reading.attempts.clear();
            reading.part.clear();
            return true;
        };
        let Some(effect) = fetch.poll_effect() else {
            return false;
        };
        match effect {
            FetchEffect::Start {
                attempt,
                replica,
                offset,
            } => {
                let transfer = Transfer::Fetch {
                    version: place.version,
                    offset,
                    len: place.len - offset,
                    even_damaged: false,
                };
                let id = world.carry(entry, &place.replicas[replica].endpoint, transfer);
                reading.attempts.push((offset, id, replica));
                let chunk = reading.chunk;
                self.transfers
                    .insert(id, (ticket, Purpose::Read { chunk, attempt }));
            }
            FetchEffect::Stop { attempt } => {
                if let Some((_, id, _)) = reading.attempts.get(attempt) {
                    self.transfers.remove(id);
                    world.drop_transfer(*id);
                }
            }
            FetchEffect::Finished => {
                let part = std::mem::take(&mut reading.part);
                if Digest::of(&part) != place.digest {
                    let version = place.version;
                    let what = format!("a read of chunk {version} gave other bytes than committed");
                    world.fail(Some(entry), what);
                }
                reading.bytes.extend_from_slice(&part);
                reading.fetch = None;
                reading.chunk += 1;
            }
            FetchEffect::GaveUp(failures) => {
                let why = format!(
                    "no replica of chunk {} delivers: {failures:?}",
                    place.version
                );
                self.try_failed(world, ticket, &why);
                return false;
            }
        }
        true
    }

    /// Lengths and digests of the chunks of what was read.
    fn limits_cut(&self, ticket: Ticket) -> Vec<(u64, Digest)> {
        let Some(Work::Reading(reading)) = self.tasks.get(&ticket).map(|task| &task.work) else {
            return Vec::new();
        };
        let parts = self.cut(&reading.bytes);
        let parts = parts.iter();
        parts
            .map(|part| (part.len() as u64, Digest::of(part)))
            .collect()
    }
}

impl Reading {
    pub(super) fn arrived(&mut self, now: Timestamp, attempt: usize, what: Carried) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some((at, _, _)) = self.attempts.get_mut(attempt) else {
            return;
        };
        match what {
            Carried::Bytes { offset, bytes, .. } => {
                if !fetch.leads(attempt) {
                    return;
                }
                // The first piece begins where its block does.
                let skip = index(at.saturating_sub(offset)).min(bytes.len());
                let fresh = &bytes[skip..];
                *at += fresh.len() as u64;
                self.part.extend_from_slice(fresh);
                let bytes = fresh.len() as u64;
                fetch.handle(now, FetchInput::Arrived { attempt, bytes });
            }
            other => {
                let reason = format!("{other:?}");
                fetch.handle(now, FetchInput::Failed { attempt, reason });
            }
        }
    }
}
