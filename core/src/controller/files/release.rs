//! Telling nodes what nobody has a use for any more.
//!
//! A node is told once the record that gave it up is synced, and again until it says that the content
//! is gone. What a node has and nobody knows is judged here too: left alone while a write that may
//! still be committed could want it, and never given up by a controller that may not know all.

use std::collections::BTreeMap;

use super::stock::Extra;
use crate::controller::Controller;
use crate::dfs::ids::{ChunkVersion, OpId};
use crate::dfs::writes::OpenChunk;
use crate::event::Event;
use crate::ids::NodeId;
use crate::membership::Slot;
use crate::message::{Message, Release};
use crate::time::Timestamp;

/// How often what was found beside the log is looked through.
const SWEEP_PERIOD: core::time::Duration = core::time::Duration::from_secs(1);
/// Time after which a node is told again.
const AGAIN_AFTER: core::time::Duration = core::time::Duration::from_secs(10);
/// Contents named in one message.
const VERSIONS_MAX: usize = 4096;

impl Controller {
    /// Tells nodes that these contents are of no use.
    pub(in crate::controller) fn release(
        &mut self,
        now: Timestamp,
        released: &BTreeMap<NodeId, Vec<ChunkVersion>>,
    ) {
        for (node, versions) in released {
            if let Some(slot) = self.slot_of(*node) {
                self.release_at(now, slot, versions);
            }
        }
    }

    /// The record that gives these contents up is synced.
    pub(in crate::controller) fn release_synced(
        &mut self,
        now: Timestamp,
        released: &BTreeMap<NodeId, Vec<ChunkVersion>>,
    ) {
        let synced = self.log.synced();
        let giving_up = &mut self.files.giving_up;
        for version in released.values().flatten() {
            if giving_up.get(version).is_some_and(|index| *index <= synced) {
                giving_up.remove(version);
            }
        }
        // What a node has by the log again, or still, is not given up; nor what others may need, since
        // some of them were lost while the record was on its way to the disk. The sweep looks at these
        // again.
        let names = self.names();
        let mut released = released.clone();
        for (node, versions) in &mut released {
            versions.retain(|version| {
                let view = names.chunk_version(*version);
                view.is_none_or(|view| {
                    let lacks = self.lacks_good_replicas(now, &view) && !self.planted.drain_in_hope;
                    !view.is_held_by(*node) && !lacks && self.may_judge()
                })
            });
        }
        released.retain(|_, versions| !versions.is_empty());
        self.release(now, &released);
    }

    fn release_at(&mut self, now: Timestamp, slot: Slot, versions: &[ChunkVersion]) {
        for version in versions {
            if let Some(extra) = self.files.stocks[slot].extras.get_mut(version) {
                extra.released = Some(now);
            }
        }
        for part in versions.chunks(VERSIONS_MAX) {
            let release = Release {
                as_of: self.log.synced(),
                versions: part.to_vec(),
            };
            self.tell(slot, Message::Release(release));
        }
    }

    /// Gives up a write: what was prepared for it is of no use.
    pub(super) fn give_up_write(&mut self, now: Timestamp, op: OpId, why: &str) {
        let Some(write) = self.files.writes.close(op) else {
            return;
        };
        self.give_up_places(now, write.chunks);
        let text = format!("a write was given up ({why}): operation {op}");
        self.out.notify(Event::debug("files.write_given_up", text));
    }

    /// Gives up chunks of a write, whose entry is at it no more.
    pub(super) fn give_up_chunks(&mut self, now: Timestamp, op: OpId, versions: &[ChunkVersion]) {
        let chunks = self.files.writes.give_up(op, versions);
        if chunks.is_empty() {
            return;
        }
        let text = format!(
            "{} chunks of a write were given up by its entry: operation {op}",
            chunks.len()
        );
        self.out.notify(Event::debug("files.write_given_up", text));
        self.give_up_places(now, chunks);
    }

    /// Has what was written for these chunks forgotten.
    fn give_up_places(&mut self, now: Timestamp, chunks: Vec<OpenChunk>) {
        let mut released: BTreeMap<NodeId, Vec<ChunkVersion>> = BTreeMap::new();
        for chunk in chunks {
            for (node, _) in chunk.places {
                released.entry(node).or_default().push(chunk.version);
                if let Some(slot) = self.slot_of(node) {
                    self.files.candidates.gave_back(slot, chunk.max_len);
                }
            }
        }
        self.release(now, &released);
    }

    /// Whether what nodes have can be judged by anybody but the clients who give it up: all have said
    /// what they have, as far as can be waited for, none knows more of the history than this
    /// controller, and not so many are away at once that things are likely not as they seem.
    const fn may_judge(&self) -> bool {
        let mass_event = self.mass_event && !self.planted.trim_in_mass_event;
        self.files.settled && !self.files.rolled_back && !mass_event
    }

    /// Looks through what nodes have beside what the log says.
    pub(in crate::controller) fn sweep_files(&mut self, now: Timestamp) {
        if now < self.files.next_sweep {
            return;
        }
        self.files.next_sweep = now.after(SWEEP_PERIOD);
        self.note_settled(now);
        let patience = self.limits.dfs_write_timeout;
        for op in self.files.writes.silent_for(now, patience) {
            self.give_up_write(now, op, "nothing was heard of it for too long");
        }
        if !self.may_judge() || self.planted.keep_orphans {
            return;
        }
        let data_nodes: Vec<Slot> = self.members.data_nodes().collect();
        for slot in data_nodes {
            self.adopt_extras(now, slot);
            let useless: Vec<ChunkVersion> = self.files.stocks[slot]
                .extras
                .iter()
                .filter(|(version, extra)| {
                    let again = extra
                        .released
                        .is_none_or(|told| now.since(told) >= AGAIN_AFTER);
                    again && self.is_useless(now, slot, **version, extra)
                })
                .map(|(version, _)| *version)
                .take(VERSIONS_MAX)
                .collect();
            if !useless.is_empty() {
                self.release_at(now, slot, &useless);
            }
        }
    }

    /// Has good replicas count of which the log does not know, where there are too few.
    fn adopt_extras(&mut self, now: Timestamp, slot: Slot) {
        let extras = &self.files.stocks[slot].extras;
        let known: Vec<ChunkVersion> = extras
            .iter()
            .filter(|(version, extra)| {
                extra.released.is_none() && self.names().chunk_version(**version).is_some()
            })
            .map(|(version, _)| *version)
            .take(VERSIONS_MAX)
            .collect();
        for version in known {
            self.adopt(now, slot, version);
        }
    }

    /// Whether a content that the log does not place at a node can be of no use to anybody.
    fn is_useless(&self, now: Timestamp, slot: Slot, version: ChunkVersion, extra: &Extra) -> bool {
        if self.files.writes.is_open(version.chunk) && !self.planted.release_open_writes {
            return false;
        }
        if self.files.giving_up.contains_key(&version)
            || self.files.repairs.is_fetching(slot, version)
        {
            return false;
        }
        if let Some(chunk) = self.names().chunk_version(version) {
            // A place that was given and not used, or bytes that were damaged on their way. As long
            // as a replica that counts is not there, a good one beside it is left alone.
            let placed = self
                .node_of(slot)
                .is_some_and(|node| chunk.is_held_by(node));
            let differs = extra
                .entry
                .is_some_and(|entry| (entry.len, entry.digest) != (chunk.len(), chunk.digest()));
            let enough = chunk.holder_count().max(self.files.config.factor);
            let good = match self.planted.trim_in_hope {
                true => chunk.holder_count(),
                false => self.good_replicas(&chunk) as usize,
            };
            let all_good = good >= enough;
            return !placed && (differs || all_good);
        }
        let epoch = version.chunk.epoch();
        if self.may_be_of_lost_records(version) && !self.planted.forget_accepted_loss {
            // The lost end of the log may have named it.
            return false;
        }
        if epoch == self.epoch {
            return true;
        }
        // A write that an earlier controller allocated may still be committed for a while; one of a
        // later controller is not this one's to judge.
        let grace = match self.planted.sweep_at_once {
            true => core::time::Duration::ZERO,
            false => self.limits.orphan_grace,
        };
        epoch < self.epoch && now.since(self.files.started) >= grace
    }

    /// Notes that all who can have reported, once that is so.
    fn note_settled(&mut self, now: Timestamp) {
        if self.files.settled {
            return;
        }
        let waited = now.since(self.files.started) >= self.limits.safe_mode_max;
        let all_here = self.members.data_nodes().all(|slot| {
            // Who has no chunk by the log need not be waited for.
            self.node_of(slot)
                .is_none_or(|node| self.names().chunks_on_count(node) == 0)
                || self.files.stocks[slot].is_known()
        });
        if waited || all_here {
            self.files.settled = true;
            let text = if all_here {
                "every data node that has chunks has reported them"
            } else {
                "some data nodes that have chunks have not reported; they are waited for no longer, \
                 and what only they have is left alone"
            };
            self.out.notify(Event::info("files.settled", text));
        }
    }
}
