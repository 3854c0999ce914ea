//! Copies: which node fetches a chunk from which, and what comes of it.

use super::history::Deed;
use super::judge::Standing;
use super::{Copy, Urgency};
use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::dfs::ask::{Holder, ReplicaDeed, ReplicaState};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkVersion, CopyId, OpId};
use crate::dfs::placement::{self, ReliabilityLevel, Wish};
use crate::dfs::token::WriteToken;
use crate::event::Event;
use crate::ids::NodeId;
use crate::membership::Slot;
use crate::message::{CopyEnded, CopyReplica, Message};
use crate::time::Timestamp;

impl Controller {
    /// Has a node fetch a chunk.
    pub(super) fn begin_copy(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        urgency: Urgency,
        standing: &Standing,
    ) {
        let Some(view) = self.names().chunk_version(version) else {
            return;
        };
        let (len, digest) = (view.len(), view.digest());
        let streams = self.files.repairs.streams();
        let most = self.limits.copies_per_node.max(1);
        // The source that has the most hands free, whatever the log's order.
        let from = |slot: Slot| streams.from.get(&slot).copied().unwrap_or_default();
        let mut sources: Vec<(NodeId, Slot)> = standing.readable().collect();
        let salvage = sources.is_empty();
        if salvage {
            sources.clone_from(&standing.damaged);
        }
        sources.sort_by_key(|(_, slot)| (from(*slot), *slot));
        let Some(&(_, source)) = sources.first() else {
            return;
        };
        if from(source) >= most {
            return;
        }
        let busy = streams.to.iter().filter(|(_, count)| **count >= most);
        let busy = busy.map(|(slot, _)| *slot);
        let clearing = self.members.data_nodes();
        let clearing = clearing.filter(|slot| self.files.stocks[*slot].is_clearing(version));
        let busy: Vec<Slot> = busy.chain(clearing).collect();
        // One that could not take it the last time is tried again only if there is no other.
        let want = self.files.repairs.wanted.get(version.chunk);
        let failed_at = want.and_then(|want| want.failed_at);
        let mut avoid = busy.clone();
        avoid.extend(failed_at);
        let target = match self.target_for(len, urgency, standing, &avoid) {
            Err(_) if failed_at.is_some() => self.target_for(len, urgency, standing, &busy),
            target => target,
        };
        let target = match target {
            Ok(target) => target,
            Err(_) if !busy.is_empty() => return,
            Err(reason) => {
                let chunk = version.chunk;
                self.files.repairs.wanted.failed(now, chunk, reason, None);
                return;
            }
        };
        let why = self.why(urgency, standing);
        if self.planted.count_copies_ordered
            && let Some(node) = self.node_of(target)
            && standing.gone.iter().all(|(gone, _)| *gone != node)
        {
            let gone = standing.gone.first().map(|(gone, _)| *gone);
            self.change_replicas(now, version, &[node], gone.as_slice());
        }
        // Where it only moves from one disk of a node to another, nobody else need be asked.
        sources.sort_by_key(|(_, slot)| *slot != target || from(*slot) >= most);
        let source = sources.first().map_or(source, |it| it.1);
        let sources: Vec<NodeId> = sources.iter().map(|(node, _)| *node).collect();
        let copy = Copy {
            version,
            len,
            source,
            target,
            moved_from: None,
            since: now,
            why,
        };
        if self.order_copy(copy, digest, &sources, salvage) {
            self.files.repairs.wanted.begin(version.chunk);
        }
    }

    /// Orders a copy. Returns whether there is anybody to order it of, and nothing of that version is still to go
    /// from where it is to come.
    pub(in crate::controller::files) fn order_copy(
        &mut self,
        copy: Copy,
        digest: Digest,
        sources: &[NodeId],
        salvage: bool,
    ) -> bool {
        if self.files.stocks[copy.target].is_clearing(copy.version) {
            return false;
        }
        let Copy {
            version,
            len,
            target,
            ..
        } = copy;
        let (Some(node), Some(cluster)) = (self.node_of(target), self.state.cluster) else {
            return false;
        };
        let Some(place) = self.replica_place(node, ReplicaState::Good) else {
            return false;
        };
        self.files.repairs.last_copy += 1;
        let id = CopyId(self.files.repairs.last_copy);
        let token = WriteToken {
            cluster,
            controller_epoch: self.epoch,
            op: OpId::of_copy(self.epoch, id),
            version,
            max_len: len,
            replicas: vec![(node, place.epoch)],
            mac: [0; 16],
        };
        let state = match salvage {
            false => ReplicaState::Good,
            true => ReplicaState::Corrupt,
        };
        let sources = sources.iter();
        let order = CopyReplica {
            copy: id,
            token: self.files.key.sign(token),
            len,
            digest,
            sources: sources
                .filter_map(|node| self.replica_place(*node, state))
                .collect(),
            salvage,
        };
        self.files.candidates.took(target, len);
        self.files.repairs.insert(id, copy);
        self.tell(target, Message::CopyReplica(order));
        true
    }

    /// Where another replica of a chunk goes.
    fn target_for(
        &mut self,
        len: u64,
        urgency: Urgency,
        standing: &Standing,
        busy: &[Slot],
    ) -> Result<Slot, String> {
        // What is to leave a volume moves to another one of its node, if there is room. Then nothing changes
        // in the log, and one whose hands are full is waited for.
        if urgency == Urgency::Leaving
            && let Some(stays) = self.moves_within(len, standing)
        {
            return match busy.contains(&stays) {
                true => Err("its node has no hands free to move it to another volume".to_owned()),
                false => Ok(stays),
            };
        }
        // Where it takes the place of those that leave, it may be on their hosts.
        let leave = standing.is_enough_with_one_more(self.files.config.factor);
        let leaving = standing.leaving.iter().filter(|_| !leave);
        let stay = standing.good.iter().chain(leaving);
        let mut beside: Vec<Slot> = stay.map(|(_, slot)| *slot).collect();
        // Who is waited for has it when it comes back: neither that node nor, where hosts are not
        // shared, its host.
        let awaited = standing.awaited.iter();
        beside.extend(awaited.filter_map(|node| self.slot_of(*node)));
        let avoid = busy.to_vec();
        // A node that had it and is well otherwise is as good as any, and the log stays as it is.
        let prefer = (standing.gone.iter())
            .filter_map(|(_, slot)| *slot)
            .find(|slot| !avoid.contains(slot) && !beside.contains(slot));
        let level = match self.files.config.level {
            _ if self.planted.share_hosts => ReliabilityLevel::MayShare,
            // It is moved for the sake of being apart.
            ReliabilityLevel::PreferApart if urgency == Urgency::Misplaced => {
                ReliabilityLevel::NeverShare
            }
            level => level,
        };
        let wish = Wish {
            factor: 1,
            min: 1,
            level,
            size: len,
            beside: &beside,
            avoid: &avoid,
            prefer,
        };
        let files = &mut self.files;
        let draws = &mut files.draws;
        if level == ReliabilityLevel::PreferApart && !busy.is_empty() {
            // Who has no hands free now is better than one on a host that has a replica already.
            let apart = |avoid| Wish {
                level: ReliabilityLevel::NeverShare,
                avoid,
                ..wish
            };
            let mut place =
                |wish| placement::place(&files.candidates, &wish, &mut || draws.next_u64());
            if place(apart(&avoid)).is_err() && place(apart(&[])).is_ok() {
                return Err("a node on another host has no hands free".to_owned());
            }
        }
        let placed = placement::place(&files.candidates, &wish, &mut || draws.next_u64());
        match placed.as_ref().map(|placed| placed.slots().first()) {
            Ok(Some(slot)) => Ok(*slot),
            Ok(None) => Err("no node has room for another replica".to_owned()),
            Err(none) => Err(none.to_string()),
        }
    }

    /// A node that has a content on a volume which is drained, and has room on another one.
    fn moves_within(&self, len: u64, standing: &Standing) -> Option<Slot> {
        let mut leaving = standing.leaving.iter().map(|(_, slot)| *slot);
        leaving.find(|slot| {
            let candidate = self.files.candidates.get(*slot);
            !self.is_draining(*slot) && candidate.is_some_and(|it| it.takes(len))
        })
    }

    /// Why a chunk gets another replica, for people.
    fn why(&self, urgency: Urgency, standing: &Standing) -> String {
        if urgency == Urgency::Misplaced {
            return "its replicas share a host".to_owned();
        }
        let gone: Vec<String> = (standing.gone.iter())
            .map(|&(node, slot)| {
                let away = slot.is_none_or(|it| self.members.all[it].presence != Presence::Online);
                let what = match away {
                    true if slot.is_some_and(|it| self.is_draining(it)) => {
                        "is away and was draining"
                    }
                    true => "is lost",
                    false => "has it no more",
                };
                format!("{} {what}", self.name_of(node))
            })
            .chain(
                standing
                    .leaving
                    .iter()
                    .map(|&(node, slot)| match self.is_draining(slot) {
                        true => format!("{} is being drained", self.name_of(node)),
                        false => format!("a volume of {} is being drained", self.name_of(node)),
                    }),
            )
            .collect();
        if standing.readable().next().is_none() {
            return format!(
                "all of its {} replicas are damaged: it is put together from what each still has",
                standing.damaged.len()
            );
        }
        let counts = format!(
            "{} of {} replicas are there",
            standing.expected(),
            self.files.config.factor
        );
        match gone.is_empty() {
            true => counts,
            false => format!("{counts}: {}", gone.join(", ")),
        }
    }

    /// What people call a node.
    pub(super) fn name_of(&self, node: NodeId) -> String {
        match (self.slot_of(node), self.state.registry.former_alias(node)) {
            (Some(slot), _) => self.members.all[slot].member.site.alias.to_string(),
            (None, Some(alias)) => format!("the former {alias}"),
            (None, None) => format!("node {node}, which is in no file"),
        }
    }

    /// A node has fetched a chunk, or has not.
    pub(in crate::controller) fn copy_ended(
        &mut self,
        now: Timestamp,
        slot: Slot,
        ended: &CopyEnded,
    ) {
        let copy = self.files.repairs.copies.get(&ended.copy);
        let ours = |copy: &&Copy| {
            (copy.target, copy.version) == (slot, ended.version) && ended.epoch == self.epoch
        };
        let Some(copy) = copy.filter(ours).cloned() else {
            // It was given up meanwhile. What has come is found by the sweep.
            return;
        };
        match &ended.holder {
            Some(holder) => self.copied(now, ended.copy, &copy, holder),
            None => self.copy_failed(now, ended.copy, ended.reason.clone()),
        }
        self.begin_copies(now);
    }

    fn copied(&mut self, now: Timestamp, id: CopyId, copy: &Copy, holder: &Holder) {
        self.files.repairs.remove(id);
        let Some(node) = self
            .node_of(copy.target)
            .filter(|node| *node == holder.node)
        else {
            let reason = "the node has another identity now".to_owned();
            let chunk = copy.version.chunk;
            self.files.repairs.wanted.failed(now, chunk, reason, None);
            return;
        };
        if self.files.rolled_back || self.may_change_files().is_err() {
            // It is there, and counts once the log may say so.
            let reason = "the log takes no changes at present".to_owned();
            let chunk = copy.version.chunk;
            self.files.repairs.wanted.failed(now, chunk, reason, None);
            return;
        }
        self.files.repairs.done.copies += 1;
        self.files.repairs.done.bytes += copy.len;
        self.files.repairs.pace.add(now, copy.len);
        let chunk = copy.version.chunk;
        self.files.repairs.wanted.again(chunk);
        let Some(view) = self.names().chunk_version(copy.version) else {
            // The file is gone; so is this, with the next sweep.
            self.files.repairs.wanted.forget(chunk);
            return;
        };
        let path = self.names().path(view.file()).unwrap_or_default();
        let is_holder = view.is_held_by(node);
        if is_holder
            || self.files.stocks[copy.target]
                .corrupt
                .contains(&copy.version)
        {
            // What was missing or damaged there is no more once its news say so, in a moment.
            self.files.repairs.wanted.wait(now, chunk);
        }
        let mut given_up = Vec::new();
        if !is_holder {
            match self.in_place_of(now, copy, node) {
                Ok(removed) => {
                    given_up.extend(removed.iter().map(|node| self.name_of(*node)));
                    if copy.moved_from.is_some_and(|from| removed.contains(&from)) {
                        let until = now.after(self.limits.trash_hold);
                        let balance = &mut self.files.balance;
                        balance.moved(copy.source, copy.target, copy.len, until);
                    }
                    self.change_replicas(now, copy.version, &[node], &removed);
                }
                Err(reason) => {
                    if copy.moved_from.is_some() {
                        let balance = &mut self.files.balance;
                        balance.failed(now, copy.source, copy.target);
                    }
                    self.files.repairs.wanted.failed(now, chunk, reason, None);
                    return;
                }
            }
        }
        let name = |slot: Slot| &self.members.all[slot].member.site.alias;
        let text = format!(
            "chunk {chunk} of {path} ({} bytes) was copied from {} to {} in {} ms: {}",
            copy.len,
            name(copy.source),
            name(copy.target),
            now.since(copy.since).as_millis(),
            copy.why
        );
        self.out.notify(Event::info("repair.copied", text));
        self.note_copy(now, copy, ReplicaDeed::Copied, given_up, copy.why.clone());
        self.look_at_chunk(now, chunk);
    }

    /// Whose places a new replica takes, as things stand now: those of all that leave or have none, if
    /// with it there are enough good ones; else that of one that has none.
    ///
    /// # Errors
    /// If it is not to count, with the reason: it was ordered when things stood otherwise.
    fn in_place_of(
        &self,
        now: Timestamp,
        copy: &Copy,
        node: NodeId,
    ) -> Result<Vec<NodeId>, String> {
        let Some(view) = self.names().chunk_version(copy.version) else {
            return Ok(Vec::new());
        };
        let standing = self.standing(now, &view);
        let factor = self.files.config.factor;
        let (mut with, removed): (Vec<(NodeId, Slot)>, Vec<NodeId>) =
            if self.is_draining(copy.target) {
                // It was ordered before the drain. It is welcome only where there are too few.
                if standing.expected() + standing.leaving.len() >= factor {
                    return Err("the node that fetched it is being drained meanwhile".to_owned());
                }
                (standing.readable().collect(), Vec::new())
            } else if standing.is_enough_with_one_more(factor)
                || (self.planted.drain_in_hope && standing.expected() + 1 >= factor)
            {
                // One that is moved for balance goes with them, if there are enough without it.
                let moved = copy.moved_from.filter(|_| standing.good.len() >= factor);
                let mut stay = standing.good.clone();
                stay.retain(|it| Some(it.0) != moved);
                (stay, standing.dispensed().chain(moved).collect())
            } else {
                // One that is drained and merely does not answer may be read in a moment.
                let drains = |slot: Option<Slot>| slot.is_some_and(|it| self.is_draining(it));
                let mut gone = standing.gone.iter();
                let gone = gone.find(|(_, slot)| !drains(*slot)).map(|it| it.0);
                (standing.readable().collect(), gone.into_iter().collect())
            };
        // Those that are away have a host as well.
        let awaited = standing.awaited.iter();
        with.extend(awaited.map(|node| (*node, copy.target)));
        let apart = self.files.config.level == ReliabilityLevel::NeverShare;
        // Others may share one among themselves: that is what it is to put right.
        let shares = with
            .iter()
            .any(|it| self.host_of(it.0) == self.host_of(node));
        if apart && !self.planted.share_hosts && shares {
            return Err(
                "other replicas were lost meanwhile, and it shares a host with one that \
                        has to stay for that"
                    .to_owned(),
            );
        }
        Ok(removed)
    }

    fn note_copy(
        &mut self,
        now: Timestamp,
        copy: &Copy,
        what: ReplicaDeed,
        given_up: Vec<String>,
        why: String,
    ) {
        let alias = |slot: Slot| self.members.all[slot].member.site.alias.clone();
        let deed = Deed {
            version: copy.version,
            len: copy.len,
            what,
            from: Some(alias(copy.source)),
            to: Some(alias(copy.target)),
            given_up,
            took: now.since(copy.since),
            why,
        };
        self.files.repairs.history.add(now, deed);
    }

    pub(super) fn copy_failed(&mut self, now: Timestamp, id: CopyId, reason: String) {
        let Some(copy) = self.files.repairs.remove(id) else {
            return;
        };
        self.files.repairs.done.failed += 1;
        self.files.candidates.gave_back(copy.target, copy.len);
        if copy.moved_from.is_some() {
            self.files.balance.failed(now, copy.source, copy.target);
        }
        let name = |slot: Slot| &self.members.all[slot].member.site.alias;
        let text = format!(
            "chunk {} ({} bytes) was not copied from {} to {}, after {} ms: {reason}. It was for: {}",
            copy.version,
            copy.len,
            name(copy.source),
            name(copy.target),
            now.since(copy.since).as_millis(),
            copy.why
        );
        // One a copy: when a node goes there are many, and what they mean is told of the node. What does
        // not get on stands in the status.
        self.out.notify(Event::info("repair.failed", text));
        let why = format!("{reason}; it was for: {}", copy.why);
        self.note_copy(now, &copy, ReplicaDeed::NotCopied, Vec::new(), why);
        let chunk = copy.version.chunk;
        let at = Some(copy.target);
        self.files.repairs.wanted.failed(now, chunk, reason, at);
        if self.planted.retry_at_once {
            self.files.repairs.wanted.again(chunk);
        }
    }
}
