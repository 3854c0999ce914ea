//! Writes: where chunks may go, and when they count.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::admin::Refusal;
use crate::controller::Controller;
use crate::dfs::ask::{
    Allocation, Answer, ChunkGrant, Commit, Committed, Entry, EntryKind, Expect, Holder,
    ReplicaPlace, ReplicaState, WrittenChunk, file_digest,
};
use crate::dfs::ids::{ChunkVersion, FileVersion, InodeId, OpId};
use crate::dfs::namespace::{ChunkRecord, DfsRecord};
use crate::dfs::path::DfsPath;
use crate::dfs::placement::{self, Fitness, NoPlace, ReliabilityLevel, Unfit, Wish};
use crate::dfs::token::WriteToken;
use crate::ids::{HostId, LogIndex, NodeEpoch, NodeId};
use crate::membership::Slot;
use crate::time::Timestamp;

use super::Asker;
use super::ask::stale_write;

/// Chunks that can be allocated with one question.
const GRANTS_MAX: usize = 64;

/// How long after a start of the controller data nodes are likely to be on their way.
const RETURN_WAIT: Duration = Duration::from_secs(5);

impl Controller {
    #[expect(clippy::too_many_arguments, reason = "the fields of one question")]
    pub(super) fn allocate(
        &mut self,
        now: Timestamp,
        asker: Asker,
        op: OpId,
        path: &DfsPath,
        expect: Expect,
        lens: &[u64],
        avoid: &[NodeId],
    ) -> Option<Result<Answer, Refusal>> {
        if let Some(index) = self.done_before(op) {
            let committed = self.committed_before(path, index);
            return self.answer_when(now, asker, index, Answer::Committed(committed));
        }
        Some(self.try_allocate(now, op, path, expect, lens, avoid))
    }

    fn try_allocate(
        &mut self,
        now: Timestamp,
        op: OpId,
        path: &DfsPath,
        expect: Expect,
        lens: &[u64],
        avoid: &[NodeId],
    ) -> Result<Answer, Refusal> {
        self.names().plan_put(path, expect)?;
        let open = self.files.writes.get(op);
        let allocated = open.map_or(0, |write| write.chunks.len());
        self.check_lens(lens, allocated)?;
        if open.is_none() && self.files.writes.len() >= self.limits.dfs_writes_max {
            return Err(Refusal::Busy {
                reason: format!("{} writes are open already", self.files.writes.len()),
                retry_after: Duration::from_secs(1),
            });
        }
        let avoid = self.slots_of(avoid);
        let mut grants = Vec::with_capacity(lens.len());
        for &len in lens {
            let places = self
                .places_for(len, &[], &avoid, self.files.config.factor)
                .map_err(|none| self.no_place(now, none))?;
            let epochs = epochs_of(&places);
            let version = self
                .files
                .writes
                .allocate(now, op, len, epochs)
                .ok_or_else(ids_used_up)?;
            grants.push(self.grant(op, version, len, places));
        }
        Ok(Answer::Allocated(self.allocation(grants)))
    }

    fn check_lens(&self, lens: &[u64], allocated: usize) -> Result<(), Refusal> {
        let chunk_bytes = self.limits.chunk_bytes;
        let reason = if lens.is_empty() || lens.len() > GRANTS_MAX {
            format!("places are given for 1 to {GRANTS_MAX} chunks at a time")
        } else if lens.iter().any(|len| *len > chunk_bytes) {
            format!("a chunk has at most {chunk_bytes} bytes")
        } else if allocated + lens.len() > self.file_chunks_max() {
            let most = self.file_chunks_max() as u64 * chunk_bytes;
            format!("a file has at most {most} bytes; split it")
        } else {
            return Ok(());
        };
        Err(Refusal::Invalid { reason })
    }

    /// Other places for a chunk that could not be written everywhere.
    pub(super) fn replace_places(
        &mut self,
        now: Timestamp,
        op: OpId,
        chunk: ChunkVersion,
        len: u64,
        failed: &[NodeId],
        written: &[NodeId],
    ) -> Result<Answer, Refusal> {
        let open = self.files.writes.get(op).ok_or_else(stale_write)?;
        let asked_before: Vec<NodeId> = open
            .chunks
            .iter()
            .filter(|it| it.version == chunk)
            .flat_map(|it| it.places.iter().map(|(node, _)| *node))
            .filter(|node| !written.contains(node))
            .collect();
        let missing = self.files.config.factor.saturating_sub(written.len());
        let beside = self.slots_of(written);
        let mut avoid = self.slots_of(failed);
        avoid.extend(self.slots_of(&asked_before));
        self.check_lens(&[len], 0)?;
        let places = self.places_for(len, &beside, &avoid, missing)?;
        if !self
            .files
            .writes
            .extend(now, op, chunk, &epochs_of(&places))
        {
            return Err(stale_write());
        }
        let grant = self.grant(op, chunk, len, places);
        Ok(Answer::Allocated(self.allocation(vec![grant])))
    }

    /// What a writer is told where there is no place. A controller that has just started knows of none
    /// before its data nodes are there again: that passes.
    fn no_place(&self, now: Timestamp, none: NoPlace) -> Refusal {
        let is_young = now.since(self.files.started) < RETURN_WAIT;
        let is_on_its_way = |slot: Slot| {
            let candidate = self.files.candidates.get(slot);
            let fitness = candidate.map(|it| it.fitness);
            let absent = [Unfit::Offline, Unfit::Unreported].map(Fitness::Unfit);
            self.node_of(slot).is_some() && fitness.is_none_or(|it| absent.contains(&it))
        };
        if !is_young || !self.members.data_nodes().any(is_on_its_way) {
            return none.into();
        }
        Refusal::Unavailable {
            reason: format!(
                "the controller has just started, and not all data nodes are there again; ask again \
                 in a moment: {none}"
            ),
        }
    }

    /// Chooses nodes for the replicas of a chunk that is `missing` replicas.
    fn places_for(
        &mut self,
        len: u64,
        beside: &[Slot],
        avoid: &[Slot],
        missing: usize,
    ) -> Result<Vec<ReplicaPlace>, NoPlace> {
        let config = &self.files.config;
        let min = config.min_write.saturating_sub(beside.len()).max(1);
        let wish = Wish {
            factor: missing,
            min,
            level: match config.level {
                _ if self.planted.share_hosts => ReliabilityLevel::MayShare,
                level => level,
            },
            size: len,
            beside,
            avoid,
            prefer: None,
        };
        let files = &mut self.files;
        let draws = &mut files.draws;
        let placed = placement::place(&files.candidates, &wish, &mut || draws.next_u64())?;
        for slot in placed.slots() {
            files.candidates.took(*slot, len);
        }
        let places = placed.slots().iter().filter_map(|slot| {
            let node = self.node_of(*slot)?;
            self.replica_place(node, ReplicaState::Good)
        });
        Ok(places.collect())
    }

    fn grant(
        &self,
        op: OpId,
        version: ChunkVersion,
        max_len: u64,
        replicas: Vec<ReplicaPlace>,
    ) -> ChunkGrant {
        let token = WriteToken {
            cluster: self.identity.cluster,
            controller_epoch: self.epoch,
            op,
            version,
            max_len,
            replicas: epochs_of(&replicas),
            mac: [0; 16],
        };
        ChunkGrant {
            token: self.files.key.sign(token),
            replicas,
        }
    }

    fn allocation(&self, grants: Vec<ChunkGrant>) -> Allocation {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Allocation {
            grants,
            factor: number(self.files.config.factor),
            min_write: number(self.files.config.min_write),
            chunk_bytes: self.limits.chunk_bytes,
        }
    }

    fn slots_of(&self, nodes: &[NodeId]) -> Vec<Slot> {
        nodes
            .iter()
            .filter_map(|node| self.slot_of(*node))
            .collect()
    }

    // ---- the commit ----

    pub(super) fn commit_write(
        &mut self,
        now: Timestamp,
        asker: Asker,
        commit: Commit,
    ) -> Option<Result<Answer, Refusal>> {
        if let Some(index) = self.done_before(commit.op) {
            let committed = self.committed_before(&commit.path, index);
            return self.answer_when(now, asker, index, Answer::Committed(committed));
        }
        match self.try_commit(now, &commit) {
            Ok((index, committed)) => {
                self.answer_when(now, asker, index, Answer::Committed(committed))
            }
            Err(refusal) => {
                // What can pass by waiting is asked again; the rest ends the write.
                let passing = matches!(refusal, Refusal::Unavailable { .. } | Refusal::Busy { .. });
                if !passing {
                    self.give_up_write(now, commit.op, "its commit was refused");
                }
                Some(Err(refusal))
            }
        }
    }

    fn try_commit(
        &mut self,
        now: Timestamp,
        commit: &Commit,
    ) -> Result<(LogIndex, Committed), Refusal> {
        let expect = match commit.expect {
            _ if self.planted.ignore_expectations => Expect::Anything,
            expect => expect,
        };
        let plan = self.names().plan_put(&commit.path, expect)?;
        let mut chunks = Vec::with_capacity(commit.chunks.len());
        let mut degraded = 0;
        let mut named = BTreeSet::new();
        for chunk in &commit.chunks {
            if !named.insert(chunk.version.chunk) {
                return Err(Refusal::Invalid {
                    reason: format!("chunk {} is named twice", chunk.version.chunk),
                });
            }
            let holders = self.valid_holders(commit.op, chunk)?;
            self.check_replicas(chunk, &holders)?;
            if holders.len() < self.files.config.factor {
                self.wait_for_word(now, commit.op, chunk, &holders)?;
                degraded += 1;
            }
            chunks.push(ChunkRecord {
                version: chunk.version,
                len: chunk.len,
                digest: chunk.digest,
                holders,
            });
        }
        let holders: Vec<(ChunkVersion, Vec<NodeId>)> = chunks
            .iter()
            .map(|chunk| (chunk.version, chunk.holders.clone()))
            .collect();
        let created = plan.existing.is_none();
        let record = DfsRecord::FilePut {
            op: commit.op,
            parent: plan.parent,
            name: plan.name,
            chunks,
            unix_ms: commit.unix_ms,
        };
        let index = self.append_files(now, &record);
        if let Some(unfit) = self.names().op(commit.op).and_then(|it| it.unfit) {
            return Err(Refusal::Invalid {
                reason: format!("the namespace does not take this commit: {unfit}"),
            });
        }
        let mut drains = false;
        for (version, nodes) in holders {
            for slot in self.slots_of(&nodes) {
                drains |= self.files.stocks[slot].committed(version);
            }
        }
        // Places that were given and not used are told below that they have nothing to keep.
        self.close_committed(now, commit);
        if degraded > 0 || drains {
            for chunk in &commit.chunks {
                self.look_at_chunk(now, chunk.version.chunk);
            }
        }
        let inode = plan.existing.map_or(InodeId::made_at(index), |(id, _)| id);
        let entry = committed_entry(commit, inode, index);
        Ok((
            index,
            Committed {
                entry,
                degraded_chunks: degraded,
                created,
            },
        ))
    }

    /// The nodes whose word for a chunk counts.
    ///
    /// The writer's list counts under the epoch that allocated the chunk, for nodes that were given
    /// the place under the registration they named, until they say themselves what they have: by a
    /// report, or by news that this chunk is gone or damaged. From then on, and for anything else,
    /// such as a chunk that an earlier controller allocated, a node must itself have said that it has
    /// exactly this content, and must not have been told since that it is of no use.
    fn valid_holders(&self, op: OpId, chunk: &WrittenChunk) -> Result<Vec<NodeId>, Refusal> {
        let mut valid: Vec<NodeId> = Vec::new();
        let open = self.files.writes.get(op);
        let allocated = open.and_then(|it| it.chunks.iter().find(|c| c.version == chunk.version));
        let of_this_epoch = chunk.version.chunk.epoch() == self.epoch;
        if of_this_epoch && allocated.is_none() {
            return Err(stale_write());
        }
        if allocated.is_some_and(|it| chunk.len > it.max_len) {
            return Err(Refusal::Invalid {
                reason: format!(
                    "chunk {} has {} bytes, which is more than was asked for",
                    chunk.version, chunk.len
                ),
            });
        }
        for holder in &chunk.holders {
            let given = allocated.is_some_and(|it| it.vouches_for(holder.node, holder.epoch));
            let given = given || (!of_this_epoch && self.planted.trust_old_lists);
            let named = allocated.is_some_and(|it| {
                let unchecked = self.planted.commit_unchecked_epochs;
                unchecked && it.places.iter().any(|(node, _)| *node == holder.node)
            });
            let counts = named
                || (given && (self.speaks_under(holder) || self.planted.trust_old_lists))
                || self.has_reported(holder, chunk);
            if counts && !valid.contains(&holder.node) {
                valid.push(holder.node);
            }
        }
        Ok(valid)
    }

    /// Puts a commit off by a moment that would leave out, and so throw away, a good replica whose node
    /// has just reported: what it has prepared since, it says next.
    fn wait_for_word(
        &self,
        now: Timestamp,
        op: OpId,
        chunk: &WrittenChunk,
        counted: &[NodeId],
    ) -> Result<(), Refusal> {
        let open = self.files.writes.get(op);
        let Some(open) = open.and_then(|it| it.chunks.iter().find(|c| c.version == chunk.version))
        else {
            return Ok(());
        };
        let patience = 2 * self.limits.news_resend;
        let waits = |holder: &&Holder| {
            !counted.contains(&holder.node)
                && open.may_still_say(now, patience, holder.node, holder.epoch)
        };
        match chunk.holders.iter().find(waits) {
            None => Ok(()),
            Some(holder) => Err(Refusal::Unavailable {
                reason: format!(
                    "node {} has just reported all that it has, and says within moments whether chunk \
                     {} is among what came since",
                    holder.node, chunk.version
                ),
            }),
        }
    }

    /// Whether a registration is still the node's newest.
    fn speaks_under(&self, holder: &Holder) -> bool {
        self.slot_of(holder.node)
            .and_then(|slot| {
                let alias = &self.members.all[slot].member.site.alias;
                self.state.registry.get(alias)
            })
            .is_some_and(|it| it.node == holder.node && it.epoch == holder.epoch)
    }

    /// Whether the node has reported exactly this content.
    fn has_reported(&self, holder: &Holder, chunk: &WrittenChunk) -> bool {
        self.slot_of(holder.node)
            .and_then(|slot| self.files.stocks[slot].claims(chunk.version))
            .is_some_and(|entry| (entry.len, entry.digest) == (chunk.len, chunk.digest))
    }

    /// Whether a chunk is on as many nodes, and hosts, as the configuration asks for.
    fn check_replicas(&self, chunk: &WrittenChunk, holders: &[NodeId]) -> Result<(), Refusal> {
        let config = &self.files.config;
        let hosts: BTreeSet<Option<HostId>> =
            holders.iter().map(|node| self.host_of(*node)).collect();
        let (have, of) = match config.level {
            ReliabilityLevel::NeverShare if !self.planted.share_hosts => (hosts.len(), "hosts"),
            _ => (holders.len(), "nodes"),
        };
        if have >= config.min_write {
            return Ok(());
        }
        Err(Refusal::Unavailable {
            reason: format!(
                "chunk {} is known to be on {have} {of} of {} that are needed: the others were \
                 started anew and have not reported yet, are away, or say that they do not have it",
                chunk.version, config.min_write
            ),
        })
    }

    pub(super) fn host_of(&self, node: NodeId) -> Option<HostId> {
        let alias = &self.members.all[self.slot_of(node)?].member.site.alias;
        self.state.registry.get(alias).map(|it| it.host)
    }

    /// Ends a write that was committed, and has what it did not use forgotten.
    fn close_committed(&mut self, now: Timestamp, commit: &Commit) {
        let Some(write) = self.files.writes.close(commit.op) else {
            return;
        };
        let mut unused: std::collections::BTreeMap<NodeId, Vec<ChunkVersion>> =
            std::collections::BTreeMap::new();
        for chunk in write.chunks {
            let view = self.names().chunk_version(chunk.version);
            // The answer of who is not among the holders may have been lost, and not what it was about.
            // Where replicas are lacking, the sweep judges by what the node says.
            if view.is_some_and(|view| self.lacks_good_replicas(now, &view)) {
                continue;
            }
            let used: Vec<NodeId> = view
                .map(|view| view.holders().collect())
                .unwrap_or_default();
            for (node, _) in chunk.places {
                if !used.contains(&node) {
                    unused.entry(node).or_default().push(chunk.version);
                }
            }
        }
        self.release(now, &unused);
        self.files.hurry_sweep(now);
    }

    /// What is said to somebody who asks for a write again that was committed before.
    fn committed_before(&self, path: &DfsPath, index: LogIndex) -> Committed {
        let version = FileVersion(index.0);
        let there = self.names().stat(path).ok();
        let entry = there.filter(|entry| entry.version == version);
        Committed {
            // It was replaced or removed since: what is certain is which record it was.
            entry: entry.unwrap_or_else(|| Entry {
                path: path.clone(),
                kind: EntryKind::File,
                inode: InodeId(0),
                version,
                len: 0,
                modified_unix_ms: 0,
                count: 0,
                digest: None,
                replicas: None,
            }),
            degraded_chunks: 0,
            created: false,
        }
    }
}

fn committed_entry(commit: &Commit, inode: InodeId, index: LogIndex) -> Entry {
    let parts = commit.chunks.iter().map(|chunk| (chunk.len, chunk.digest));
    let fewest = commit.chunks.iter().map(|chunk| chunk.holders.len()).min();
    Entry {
        path: commit.path.clone(),
        kind: EntryKind::File,
        inode,
        version: FileVersion(index.0),
        len: commit.chunks.iter().map(|chunk| chunk.len).sum(),
        modified_unix_ms: commit.unix_ms,
        count: commit.chunks.len() as u64,
        digest: Some(file_digest(parts)),
        replicas: fewest.and_then(|count| u32::try_from(count).ok()),
    }
}

fn epochs_of(places: &[ReplicaPlace]) -> Vec<(NodeId, NodeEpoch)> {
    places
        .iter()
        .map(|place| (place.node, place.epoch))
        .collect()
}

fn ids_used_up() -> Refusal {
    Refusal::Unavailable {
        reason: "the ids for chunks of this start of the controller are used up; start it anew"
            .to_owned(),
    }
}
