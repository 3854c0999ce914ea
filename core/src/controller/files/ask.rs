//! What clients ask about files, and the questions that change nothing.

use crate::access::{Identity, Writing, ask_deed, ask_need};
use crate::admin::{Caller, Refusal, Reply, Response, Right};
use crate::controller::audit::Ordered;
use crate::controller::commit::Continuation;
use crate::controller::members::Presence;
use crate::controller::{Controller, Phase};
use crate::dfs::ask::{
    Answer, Ask, ChunkPlace, Entry, EntryKind, FileLayout, Outcome, ReplicaPlace, ReplicaState,
    Usage,
};
use crate::dfs::ids::{ChunkVersion, FileVersion, OpId};
use crate::dfs::namespace::{ChunkView, DfsRecord, Released};
use crate::dfs::path::DfsPath;
use crate::ids::{LogIndex, NodeId};
use crate::membership::{Health, Slot};
use crate::message::{DfsAnswer, DfsAsk, Message};
use crate::metalog::SpaceMode;
use crate::state::Record;
use crate::time::Timestamp;

use super::Asker;

/// Chunks of a file told in one answer.
const LAYOUT_CHUNKS_MAX: u32 = 1024;
/// Entries of a directory, or rows, told in one answer.
const PAGE_MAX: u32 = 1000;

impl Controller {
    /// A data node asks on behalf of a client.
    pub(in crate::controller) fn node_asks(
        &mut self,
        now: Timestamp,
        conn: crate::ids::ConnId,
        slot: Slot,
        ask: DfsAsk,
    ) {
        let asker = Asker::Node {
            conn,
            slot,
            id: ask.id,
        };
        // Without a token nobody is anybody, whatever the address.
        let caller = Caller::Remote {
            address: ask
                .address
                .parse()
                .unwrap_or(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED)),
            token: ask.token,
            unix_ms: ask.unix_ms,
        };
        let ask = ask.ask;
        let state = &self.state.access;
        let result = match self.access.admit(state, &caller, ask_need(&ask)) {
            Ok(identity) => self.ask_files_for(now, &caller, &identity, asker, ask),
            Err(refusal) => {
                self.audit_at_the_door(now, &caller, ask_deed(&ask).as_ref(), &refusal);
                Some(Err(refusal))
            }
        };
        if let Some(result) = result {
            self.answer_files(asker, result);
        }
    }

    /// Gives an answer to whoever asked.
    pub(in crate::controller) fn answer_files(
        &mut self,
        asker: Asker,
        result: Result<Answer, Refusal>,
    ) {
        match asker {
            Asker::Here(id) => {
                let reply: Reply = result.map(Response::Dfs);
                self.reply(id, reply);
            }
            Asker::Node { conn, slot, id } => {
                let (answer, refusal) = match result {
                    Ok(answer) => (Some(answer), None),
                    Err(refusal) => (None, Some(refusal)),
                };
                let answer = DfsAnswer {
                    id,
                    answer,
                    refusal,
                };
                // An answer for a connection that is gone is asked for again.
                if self.members.of_session(conn) == Some(slot)
                    && !self.say(conn, Some(slot), Message::DfsAnswer(answer))
                {
                    let answer = DfsAnswer {
                        id,
                        answer: None,
                        refusal: Some(too_long()),
                    };
                    self.say(conn, Some(slot), Message::DfsAnswer(answer));
                }
            }
        }
    }

    /// As [`Controller::ask_files`], with its entry in the audit, and without what the asker may not see.
    pub(in crate::controller) fn ask_files_for(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        identity: &Identity,
        asker: Asker,
        ask: Ask,
    ) -> Option<Result<Answer, Refusal>> {
        let deed = ask_deed(&ask);
        if let Some(refusal) = self.refused_unaudited(deed.as_ref()) {
            return Some(Err(refusal));
        }
        if ask == Ask::WhoAmI {
            let you = crate::access::who_am_i(&self.state.access, identity);
            return Some(you.map(|row| Answer::You(row.into())));
        }
        let Some(deed) = deed else {
            return self.ask_files_in_view(now, identity, asker, ask);
        };
        let entry = self.draft(caller, identity, &deed);
        if let Some(refusal) = self.refused_for_many(now, identity, &deed) {
            self.count_refusal(now, *entry, &refusal);
            return Some(Err(refusal));
        }
        if deed.writing != Writing::WithChange {
            let (index, ordered) = self.write_first(now, entry);
            let then = Continuation::FilesAudited {
                asker,
                ask: Box::new(ask),
                identity: identity.clone(),
                ordered,
            };
            self.when_synced(now, index, then);
            return None;
        }
        self.auditing.set(now, Some(entry.clone()));
        let result = self.ask_files_in_view(now, identity, asker, ask);
        self.auditing.clear();
        if let Some(Err(refusal)) = &result {
            self.audit_refusal(now, *entry, refusal);
        }
        result
    }

    /// The entry of a question or order is durable: it is carried out, if whoever asked still may.
    pub(in crate::controller) fn ask_files_audited(
        &mut self,
        now: Timestamp,
        asker: Asker,
        ask: Ask,
        identity: &Identity,
        ordered: Option<Ordered>,
    ) {
        let result = match identity.meets(&self.state.access, ask_need(&ask)) {
            Ok(()) => self.ask_files_in_view(now, identity, asker, ask),
            Err(refusal) => Some(Err(refusal)),
        };
        if let (Some(Err(refusal)), Some(ordered)) = (&result, ordered) {
            self.audit_outcome(ordered, refusal);
        }
        if let Some(result) = result {
            self.answer_files(asker, result);
        }
    }

    /// As [`Controller::ask_files`], and leaves out what the asker may not see.
    fn ask_files_in_view(
        &mut self,
        now: Timestamp,
        identity: &Identity,
        asker: Asker,
        ask: Ask,
    ) -> Option<Result<Answer, Refusal>> {
        let mut result = self.ask_files(now, asker, ask);
        if let Some(Ok(answer)) = &mut result
            && !identity.has(&self.state.access, Right::DfsRead)
        {
            answer.hide_names();
        }
        result
    }

    /// Answers a question about files, or returns `None` if the answer comes later.
    pub(in crate::controller) fn ask_files(
        &mut self,
        now: Timestamp,
        asker: Asker,
        ask: Ask,
    ) -> Option<Result<Answer, Refusal>> {
        debug_assert_eq!(self.phase, Phase::Serving, "nobody is let in before");
        let looks = matches!(
            ask,
            Ask::Stat { .. } | Ask::List { .. } | Ask::Usage { .. } | Ask::Lookup { .. }
        );
        let answer = self.look_or_change(now, asker, ask);
        // What a look has shown must not be taken back by a crash, nor what a refusal says of a path. A
        // disk that is full may stay so for long, and takes no changes meanwhile: looking is what is
        // left.
        let index = self.log.appended();
        let shows = match &answer {
            Some(Err(refusal)) => tells_of_files(refusal),
            _ => looks,
        };
        if !shows || index <= self.log.synced() || self.log.space_mode() == SpaceMode::ReadOnly {
            return answer;
        }
        self.when_synced(
            now,
            index,
            Continuation::Look {
                asker,
                result: answer?,
            },
        );
        None
    }

    fn look_or_change(
        &mut self,
        now: Timestamp,
        asker: Asker,
        ask: Ask,
    ) -> Option<Result<Answer, Refusal>> {
        match ask {
            Ask::Stat { path } => Some(self.stat(&path).map(Answer::Entry)),
            Ask::List { path, after, limit } => {
                let limit = limit.clamp(1, PAGE_MAX) as usize;
                let listing = self.names().list(&path, after.as_deref(), limit);
                Some(listing.map(|mut listing| {
                    for entry in &mut listing.entries {
                        entry.replicas = self.fewest_replicas(entry);
                    }
                    listing.more |= self.cut_page(&mut listing.entries);
                    Answer::Listing(listing)
                }))
            }
            Ask::Usage { path } => {
                let usage = self.names().usage(&path);
                Some(usage.map(Answer::Usage).map_err(Refusal::from))
            }
            Ask::Lookup {
                path,
                first_chunk,
                chunks,
            } => Some(self.layout(&path, first_chunk, chunks)),
            Ask::Outcome { op } => self.outcome(now, asker, op),
            Ask::Chunks {
                after,
                limit,
                unwell_only,
                below,
            } => {
                let limit = limit.clamp(1, PAGE_MAX) as usize;
                let page = self.chunk_page(after, limit, unwell_only, below.as_ref());
                Some(page.map(Answer::Chunks))
            }
            Ask::Chunk { chunk } => Some(self.chunk_row(chunk).map(Answer::Chunks)),
            Ask::Volumes => Some(Ok(Answer::Volumes(self.volume_rows(now)))),
            Ask::Repairs => Some(Ok(Answer::Repairs(self.repair_status(now)))),
            Ask::SuspendRepair { suspend } => {
                self.suspend_repair(now, suspend);
                Some(Ok(Answer::Repairs(self.repair_status(now))))
            }
            Ask::Unknown { after, limit } => {
                let limit = limit.clamp(1, PAGE_MAX) as usize;
                Some(Ok(Answer::Unknown(self.unknown_page(after, limit))))
            }
            Ask::History {
                chunk,
                before,
                limit,
            } => {
                let limit = limit.clamp(1, PAGE_MAX) as usize;
                let page = self.repair_history(now, chunk, before, limit);
                Some(Ok(Answer::History(page)))
            }
            Ask::Authorize { .. } => Some(Ok(Answer::Done)),
            // Answered before, where it is known who asks.
            Ask::WhoAmI => Some(Err(Refusal::Unauthenticated)),
            change => {
                if let Err(refusal) = self.may_change_files() {
                    return Some(Err(refusal));
                }
                self.change_files(now, asker, change)
            }
        }
    }

    /// Whether anything about files may be changed at present.
    pub(super) fn may_change_files(&self) -> Result<(), Refusal> {
        let reason = if self.files.rolled_back {
            "a data node has seen more of this cluster's history than the controller knows: its home \
             was restored from an old copy, or its disk lost records. Nothing is written until that \
             is settled; `vaquita status` shows who says so"
        } else if self.log.space_mode() == SpaceMode::ReadOnly {
            "the disk of the controller's home is full: free some space there, and writes are taken \
             again"
        } else {
            return Ok(());
        };
        Err(Refusal::Unavailable {
            reason: reason.to_owned(),
        })
    }

    fn change_files(
        &mut self,
        now: Timestamp,
        asker: Asker,
        ask: Ask,
    ) -> Option<Result<Answer, Refusal>> {
        if ask
            .op()
            .is_some_and(|op| self.given_up_before(op).is_some())
        {
            return Some(Err(Refusal::Stale {
                reason: "this operation was given up, and somebody was told so; begin it again \
                         under another id"
                    .to_owned(),
            }));
        }
        match ask {
            Ask::SettleLoss => self.settle_loss(now, asker),
            Ask::MakeDir {
                op,
                path,
                parents,
                unix_ms,
            } => self.make_dir(now, asker, op, &path, parents, unix_ms),
            Ask::Remove {
                op,
                path,
                recursive,
                expect,
            } => {
                if let Some(index) = self.done_before(op) {
                    let answer = Answer::Removed(Usage::default());
                    return self.answer_when(now, asker, index, answer);
                }
                let planned = self.names().plan_remove(op, &path, recursive, expect);
                let (record, usage) = match planned {
                    Ok(planned) => planned,
                    Err(refusal) => return Some(Err(refusal)),
                };
                let index = self.append_files(now, &record);
                self.answer_when(now, asker, index, Answer::Removed(usage))
            }
            Ask::Rename {
                op,
                from,
                to,
                replace,
            } => {
                let index = match self.done_before(op) {
                    Some(index) => index,
                    None => match self.names().plan_rename(op, &from, &to, replace) {
                        Ok(Some(record)) => self.append_files(now, &record),
                        // It is so already; what made it so may not be on disk yet.
                        Ok(None) => self.log.appended(),
                        Err(refusal) => return Some(Err(refusal)),
                    },
                };
                self.answer_with_entry(now, asker, index, &to)
            }
            Ask::Allocate {
                op,
                path,
                expect,
                lens,
                avoid,
            } => self.allocate(now, asker, op, &path, expect, &lens, &avoid),
            Ask::Replace {
                op,
                chunk,
                len,
                failed,
                written,
            } => Some(self.replace_places(now, op, chunk, len, &failed, &written)),
            Ask::Renew { op } => Some(if self.files.writes.renew(now, op) {
                Ok(Answer::Done)
            } else {
                Err(stale_write())
            }),
            Ask::Commit(commit) => self.commit_write(now, asker, commit),
            Ask::Abort { op, chunks } => {
                self.give_up_chunks(now, op, &chunks);
                Some(Ok(Answer::Done))
            }
            // Those that change nothing were answered before.
            _ => None,
        }
    }

    fn make_dir(
        &mut self,
        now: Timestamp,
        asker: Asker,
        op: OpId,
        path: &DfsPath,
        parents: bool,
        unix_ms: u64,
    ) -> Option<Result<Answer, Refusal>> {
        let index = match self.done_before(op) {
            Some(index) => index,
            None => {
                let next = self.log.appended().next();
                let planned = self.names().plan_make_dir(next, op, path, parents, unix_ms);
                let records = match planned {
                    Ok(records) => records,
                    Err(refusal) => return Some(Err(refusal)),
                };
                // With nothing to do, what made it so may not be on disk yet.
                let mut index = self.log.appended();
                for record in &records {
                    index = self.append_files(now, record);
                }
                index
            }
        };
        self.answer_with_entry(now, asker, index, path)
    }

    // ---- records, and answers that wait for them ----

    /// The record by which an operation was carried out before, if it was.
    pub(super) fn done_before(&self, op: OpId) -> Option<LogIndex> {
        let entry = self.names().op(op).filter(|_| !self.planted.forget_ops)?;
        entry.unfit.is_none().then_some(entry.index)
    }

    /// The record by which an operation was given up, if it was.
    fn given_up_before(&self, op: OpId) -> Option<LogIndex> {
        let entry = self.names().op(op)?;
        entry.unfit.is_some().then_some(entry.index)
    }

    /// Appends and applies a record. What it gives up is told to the nodes once it is synced.
    pub(super) fn append_files(&mut self, now: Timestamp, record: &DfsRecord) -> LogIndex {
        self.append_releasing(now, record, Released::new())
    }

    /// As [`Controller::append_files`], for a record after which nodes need not keep `more`, beside
    /// what follows from the record itself.
    pub(super) fn append_releasing(
        &mut self,
        now: Timestamp,
        record: &DfsRecord,
        more: Released,
    ) -> LogIndex {
        let index = self.append(&Record::Dfs(record.clone()));
        let mut released = core::mem::take(&mut self.released);
        for (node, versions) in more {
            released.entry(node).or_default().extend(versions);
        }
        if released.is_empty() {
            return index;
        }
        for (node, versions) in &released {
            if let Some(slot) = self.slot_of(*node) {
                for version in versions {
                    self.files.stocks[slot].given_up(*version);
                }
            }
        }
        if self.planted.release_before_synced {
            self.release(now, &released);
            return index;
        }
        let versions = released.values().flatten();
        let given_up = versions.map(|version| (*version, index));
        self.files.giving_up.extend(given_up);
        self.when_synced(now, index, Continuation::Release(released));
        index
    }

    /// Gives an answer once `index` is synced.
    pub(super) fn answer_when(
        &mut self,
        now: Timestamp,
        asker: Asker,
        index: LogIndex,
        answer: Answer,
    ) -> Option<Result<Answer, Refusal>> {
        self.when_synced(now, index, Continuation::File { asker, answer });
        None
    }

    fn answer_with_entry(
        &mut self,
        now: Timestamp,
        asker: Asker,
        index: LogIndex,
        path: &DfsPath,
    ) -> Option<Result<Answer, Refusal>> {
        match self.stat(path) {
            Ok(entry) => self.answer_when(now, asker, index, Answer::Entry(entry)),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    // ---- questions ----

    fn stat(&self, path: &DfsPath) -> Result<Entry, Refusal> {
        let mut entry = self.names().stat(path)?;
        entry.replicas = self.fewest_replicas(&entry);
        Ok(entry)
    }

    /// The fewest good replicas among the chunks of a file.
    fn fewest_replicas(&self, entry: &Entry) -> Option<u32> {
        if entry.kind == EntryKind::Directory {
            return None;
        }
        let chunks = self.names().file_chunks(entry.inode, 0);
        chunks.map(|it| self.good_replicas(&it.chunk)).min()
    }

    /// How many replicas of a chunk are good, as far as is known.
    pub(super) fn good_replicas(&self, chunk: &ChunkView<'_>) -> u32 {
        let version = chunk.version();
        let good = chunk
            .holders()
            .filter(|node| self.replica_state(*node, version) == ReplicaState::Good);
        u32::try_from(good.count()).unwrap_or(u32::MAX)
    }

    /// What is known of the replica that a node has by the log.
    pub(in crate::controller) fn replica_state(
        &self,
        node: NodeId,
        version: ChunkVersion,
    ) -> ReplicaState {
        let Some(slot) = self.slot_of(node) else {
            return ReplicaState::Away;
        };
        match self.members.all[slot].presence {
            Presence::Away => return ReplicaState::Away,
            Presence::Joining => return ReplicaState::Unconfirmed,
            Presence::Online => {}
        }
        let stock = &self.files.stocks[slot];
        if stock.corrupt.contains(&version) {
            ReplicaState::Corrupt
        } else if !stock.is_known() {
            ReplicaState::Unconfirmed
        } else if stock.missing.contains(&version.chunk) {
            ReplicaState::Missing
        } else if self.detector.health(slot) == Health::Alive {
            ReplicaState::Good
        } else {
            ReplicaState::Suspect
        }
    }

    fn layout(&mut self, path: &DfsPath, first_chunk: u32, chunks: u32) -> Result<Answer, Refusal> {
        let entry = self.stat(path)?;
        if entry.kind == EntryKind::Directory {
            return Ok(Answer::Entry(entry));
        }
        let limit = chunks.clamp(1, LAYOUT_CHUNKS_MAX) as usize;
        // Readers begin at different replicas, so that all of them work.
        let turn = self.files.draws.next_u64();
        let mut first_offset = 0;
        let mut places = Vec::new();
        for (nth, it) in (0_u64..).zip(
            self.names()
                .file_chunks(entry.inode, first_chunk)
                .take(limit),
        ) {
            if nth == 0 {
                first_offset = it.offset;
            }
            places.push(self.place_of(&it.chunk, turn.wrapping_add(nth)));
        }
        // What is left out is asked for again.
        self.cut_page(&mut places);
        Ok(Answer::File(FileLayout {
            entry,
            first_chunk,
            first_offset,
            chunks: places,
            remark: None,
        }))
    }

    /// Where a chunk can be read, the best place first.
    pub(super) fn place_of(&self, chunk: &ChunkView<'_>, turn: u64) -> ChunkPlace {
        let version = chunk.version();
        let mut replicas: Vec<ReplicaPlace> = chunk
            .holders()
            .filter_map(|node| self.replica_place(node, self.replica_state(node, version)))
            .filter(|place| place.state != ReplicaState::Corrupt)
            .collect();
        if !replicas.is_empty() {
            let by = turn % replicas.len() as u64;
            replicas.rotate_left(usize::try_from(by).unwrap_or(0));
        }
        // Of two that are as good, the one whose disks are not slow.
        let is_slow = |node| {
            self.slot_of(node)
                .is_some_and(|slot| self.files.stocks[slot].is_slow())
        };
        replicas.sort_by_key(|place| (place.state, is_slow(place.node)));
        ChunkPlace {
            version,
            len: chunk.len(),
            digest: chunk.digest(),
            replicas,
        }
    }

    /// A node as a place of a replica.
    pub(super) fn replica_place(&self, node: NodeId, state: ReplicaState) -> Option<ReplicaPlace> {
        let slot = self.slot_of(node)?;
        let site = &self.members.all[slot].member.site;
        let registration = self.state.registry.get(&site.alias)?;
        Some(ReplicaPlace {
            node,
            alias: site.alias.clone(),
            endpoint: site.endpoint.clone(),
            epoch: registration.epoch,
            state,
        })
    }

    /// What became of an operation. One of which nothing is known is given up by a record before that
    /// is told: what was asked on its behalf may still be on its way here, from an entry that stood
    /// still, and would be carried out otherwise.
    fn outcome(
        &mut self,
        now: Timestamp,
        asker: Asker,
        op: OpId,
    ) -> Option<Result<Answer, Refusal>> {
        let told = |outcome| Some(Ok(Answer::Outcome(outcome)));
        if let Some(index) = self.done_before(op) {
            let version = FileVersion(index.0);
            let answer = Answer::Outcome(Outcome::Done { version });
            return self.answer_when(now, asker, index, answer);
        }
        if let Some(index) = self.given_up_before(op) {
            return self.answer_when(now, asker, index, Answer::Outcome(Outcome::Aborted));
        }
        if self.files.writes.get(op).is_some() {
            return told(Outcome::Open);
        }
        // A write that an earlier controller allocated may still be committed for a while.
        if now.since(self.files.started) < self.limits.orphan_grace
            || self.may_change_files().is_err()
        {
            return told(Outcome::Unknown);
        }
        if self.planted.abort_by_word {
            return told(Outcome::Aborted);
        }
        let index = self.append_files(now, &DfsRecord::OpGivenUp { op });
        self.answer_when(now, asker, index, Answer::Outcome(Outcome::Aborted))
    }
}

/// Whether a refusal rests on the records up to now, some of which may not be on disk yet.
const fn tells_of_files(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NotFound { .. }
            | Refusal::Conflict { .. }
            | Refusal::Precondition { .. }
            | Refusal::Stale { .. }
            | Refusal::Invalid { .. }
    )
}

fn too_long() -> Refusal {
    Refusal::Invalid {
        reason: "the answer is too long for a message between members: ask the controller itself"
            .to_owned(),
    }
}

/// The refusal of what belongs to a write that has ended.
pub(super) fn stale_write() -> Refusal {
    Refusal::Stale {
        reason:
            "this write is not open: it was given up after a long silence, or the controller was \
                 started anew; begin it again"
                .to_owned(),
    }
}
