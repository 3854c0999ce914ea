//! The volumes of nodes: how they are, opening them again, and giving one to another node.
//!
//! A node opens again what is not open when it is told to, and tells what came of it. Nothing of that
//! is kept here, but for who waits for the answer.
//!
//! A volume belongs to the node that its label names. To give it to another one is a record of the log
//! ([`VolumeOwned`]), and the record's index is the volume's epoch from then on. All data nodes are told
//! who owns what when they register, and whenever it changes; the new owner writes its label by that,
//! also if it, or this controller, died in between.

use std::collections::BTreeSet;

use super::Controller;
use crate::access::{Identity, Need};
use crate::admin::{Refusal, Reply, RescanRow, Response, Right, Selection};
use crate::audit::AuditEntry;
use crate::controller::commit::Continuation;
use crate::controller::members::Presence;
use crate::dfs::ask::{VolumeRow, VolumeState};
use crate::dfs::ids::{ChunkVersion, VolumeId};
use crate::event::Event;
use crate::ids::{LogIndex, NodeId, RequestId, Role};
use crate::membership::Slot;
use crate::message::{
    Message, RescanVolumes, RescannedVolume, VolumeFacts, VolumeOrders, VolumeOwner,
    VolumesRescanned,
};
use crate::state::{Record, VolumeOwned};
use crate::store::Label;
use crate::time::Timestamp;

/// Orders that are carried out at a time.
const RESCANS_MAX: usize = 64;

/// An order to open volumes again that nodes are carrying out.
#[derive(Clone, Debug)]
pub(super) struct Rescan {
    /// Who waits for the answer.
    request: RequestId,
    until: Timestamp,
    /// Who has not answered yet.
    waiting: BTreeSet<Slot>,
    rows: Vec<RescanRow>,
    goal: Goal,
}

/// What an order to open volumes again is for.
#[derive(Clone, Debug)]
enum Goal {
    /// To have them opened.
    Open,
    /// To have the volume at a directory given to the node that has it, if that may be.
    Give {
        path: String,
        /// Who ordered it, and has to have the right still when it is done.
        by: Identity,
        /// Its entry in the audit.
        entry: Option<Box<AuditEntry>>,
    },
    /// To have it taken into use by the node that it was given to.
    Given { path: String },
}

/// The one spelling of a directory.
pub(super) fn spelling(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        trimmed => trimmed,
    }
}

impl Controller {
    // ---- opening again ----

    /// Carries out an operator's order.
    pub(in crate::controller) fn rescan_volumes(
        &mut self,
        now: Timestamp,
        id: RequestId,
        selection: &Selection,
    ) -> Option<Reply> {
        match self.selected(selection) {
            Ok(slots) => self.rescan(now, id, &slots, None, Goal::Open),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Has a node forget which volume was at a directory, and open what is there.
    pub(in crate::controller) fn forget_volume(
        &mut self,
        now: Timestamp,
        id: RequestId,
        name: &str,
        path: String,
    ) -> Option<Reply> {
        let path = spelling(&path).to_owned();
        match self.online_data_node(now, name) {
            Ok(slot) => self.rescan(now, id, &[slot], Some(path), Goal::Open),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// A data node, whether or not it is there.
    pub(super) fn node_with_volumes(&self, name: &str) -> Result<Slot, Refusal> {
        let slot = self.find(name)?;
        let member = &self.members.all[slot].member;
        match member.role {
            Role::DataNode => Ok(slot),
            _ => Err(Refusal::Invalid {
                reason: format!("{} is an agent: agents have no volumes", member.site.alias),
            }),
        }
    }

    /// A data node that is there to be ordered something.
    fn online_data_node(&self, now: Timestamp, name: &str) -> Result<Slot, Refusal> {
        let slot = self.node_with_volumes(name)?;
        let member = &self.members.all[slot];
        let alias = &member.member.site.alias;
        if member.presence != Presence::Online || member.session.is_none() {
            let state = self.outlook(now).state(slot).0.as_str();
            let reason = format!(
                "{alias} is {state}, and it is the node itself that has to do that: start it, and order \
                 it again. Nothing was changed"
            );
            return Err(Refusal::Unavailable { reason });
        }
        Ok(slot)
    }

    fn rescan(
        &mut self,
        now: Timestamp,
        request: RequestId,
        slots: &[Slot],
        forget: Option<String>,
        goal: Goal,
    ) -> Option<Reply> {
        if self.files.rescans.len() >= RESCANS_MAX {
            let reason = "too many orders to open volumes again are being carried out".to_owned();
            let retry_after = self.limits.rescan_timeout;
            return Some(Err(Refusal::Busy {
                reason,
                retry_after,
            }));
        }
        self.files.last_rescan += 1;
        let id = RequestId(self.files.last_rescan);
        let named = match (&forget, &goal) {
            (Some(path), _) | (None, Goal::Give { path, .. } | Goal::Given { path }) => {
                Some(path.clone())
            }
            (None, Goal::Open) => None,
        };
        let mut rescan = Rescan {
            request,
            until: now.after(self.limits.rescan_timeout),
            waiting: BTreeSet::new(),
            rows: Vec::new(),
            goal,
        };
        for &slot in slots {
            let alias = self.members.all[slot].member.site.alias.to_string();
            match self.online_data_node(now, &alias) {
                Ok(slot) => {
                    rescan.waiting.insert(slot);
                    let order = RescanVolumes {
                        id,
                        owners: self.volume_owners(),
                        forget: forget.clone(),
                        draining: self.draining_volumes(),
                        named: named.clone(),
                    };
                    self.tell(slot, Message::RescanVolumes(order));
                }
                Err(refusal) => rescan.rows.push(self.no_answer(slot, refusal.to_string())),
            }
        }
        if rescan.waiting.is_empty() {
            return Some(Ok(Response::Rescanned(rescan.rows)));
        }
        self.files.rescans.insert(id, rescan);
        None
    }

    /// The row of a node of which nothing was learnt.
    fn no_answer(&self, slot: Slot, reason: String) -> RescanRow {
        RescanRow {
            node: self.members.all[slot].member.site.alias.clone(),
            path: String::new(),
            was: None,
            now: None,
            opened: false,
            chunks: 0,
            reason,
        }
    }

    /// A node has opened its volumes again.
    pub(in crate::controller) fn volumes_rescanned(
        &mut self,
        now: Timestamp,
        slot: Slot,
        done: VolumesRescanned,
    ) {
        let node = self.members.all[slot].member.site.alias.clone();
        let Some(rescan) = self.files.rescans.get_mut(&done.id) else {
            return;
        };
        if !rescan.waiting.remove(&slot) {
            return;
        }
        if !done.refused.is_empty() {
            let request = rescan.request;
            self.files.rescans.remove(&done.id);
            let reason = done.refused;
            self.reply(request, Err(Refusal::Conflict { reason }));
            return;
        }
        let row = |it: &RescannedVolume| RescanRow {
            node: node.clone(),
            path: it.now.path.clone(),
            was: Some(it.was),
            now: Some(it.now.state),
            opened: it.opened,
            chunks: it.now.chunks,
            reason: it.now.reason.clone(),
        };
        rescan.rows.extend(done.volumes.iter().map(row));
        if !rescan.waiting.is_empty() {
            return;
        }
        let Some(rescan) = self.files.rescans.remove(&done.id) else {
            return;
        };
        let Goal::Give { path, by, entry } = rescan.goal else {
            self.answer_rescan(rescan);
            return;
        };
        let facts: Vec<VolumeFacts> = done.volumes.into_iter().map(|it| it.now).collect();
        // Rights may have been taken, and the disk filled up, while the node was looking.
        let label = (by.meets(&self.state.access, Need::Right(Right::Admin)))
            .and_then(|()| self.may_change_files())
            .and_then(|()| self.may_give(slot, &facts, &path));
        match label {
            Ok(Some(label)) => {
                self.auditing.set(now, entry);
                let by = by.name().to_owned();
                self.give_volume(now, rescan.request, slot, &label, &path, by);
                self.auditing.clear();
            }
            // It is this node's as it is.
            Ok(None) => self.reply(rescan.request, Ok(Response::Rescanned(rescan.rows))),
            Err(refusal) => {
                if let Some(entry) = entry {
                    self.audit_refusal(now, *entry, &refusal);
                }
                self.reply(rescan.request, Err(refusal));
            }
        }
    }

    fn answer_rescan(&mut self, mut rescan: Rescan) {
        // In the order of the nodes file, whoever was the first to answer; and of each node in that of
        // its configuration.
        let mut rows = core::mem::take(&mut rescan.rows);
        rows.sort_by_key(|row| self.members.slot(&row.node));
        self.reply(rescan.request, Ok(Response::Rescanned(rows)));
    }

    /// Answers those who have waited long enough.
    pub(in crate::controller) fn give_up_rescans(&mut self, now: Timestamp) {
        let late: Vec<RequestId> = self
            .files
            .rescans
            .iter()
            .filter(|(_, rescan)| now >= rescan.until)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            let Some(mut rescan) = self.files.rescans.remove(&id) else {
                continue;
            };
            for slot in core::mem::take(&mut rescan.waiting) {
                let reason = format!(
                    "no answer within {} s: its volumes are still being read, or it has gone; `vaquita \
                     volume list` shows what becomes of them",
                    self.limits.rescan_timeout.as_secs()
                );
                let row = self.no_answer(slot, reason);
                rescan.rows.push(row);
            }
            self.answer_rescan(rescan);
        }
    }

    // ---- giving a volume to another node ----

    /// Gives the volume at a directory of a node to that node, once the node has looked at what is there.
    pub(in crate::controller) fn adopt_volume(
        &mut self,
        now: Timestamp,
        id: RequestId,
        name: &str,
        path: String,
        by: Identity,
    ) -> Option<Reply> {
        if let Err(refusal) = self.may_change_files() {
            return Some(Err(refusal));
        }
        let path = spelling(&path).to_owned();
        match self.online_data_node(now, name) {
            Ok(slot) => {
                let entry = self.auditing.take();
                let goal = Goal::Give { path, by, entry };
                self.rescan(now, id, &[slot], None, goal)
            }
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// The label of the volume at a directory, if it is another node's and may be given to this one;
    /// `None` if it is this node's.
    fn may_give(
        &self,
        slot: Slot,
        facts: &[VolumeFacts],
        path: &str,
    ) -> Result<Option<Label>, Refusal> {
        let alias = &self.members.all[slot].member.site.alias;
        let conflict = |reason: String| Err(Refusal::Conflict { reason });
        let Some(volume) = facts.iter().find(|it| it.path == path) else {
            let paths: Vec<&str> = facts.iter().map(|it| it.path.as_str()).collect();
            let what = format!(
                "{alias} has no volume at {path}, but at {}: put it into `volumes` first, and start the \
                 node anew",
                paths.join(", ")
            );
            return Err(Refusal::NotFound { what });
        };
        if volume.state.is_readable() {
            return Ok(None);
        }
        let Some(label) = volume.label.clone() else {
            return conflict(format!(
                "there is no volume at {path} of {alias} that could be given to it: {}",
                volume.reason
            ));
        };
        if Some(label.cluster) != self.state.cluster {
            return conflict(format!(
                "the volume at {path} of {alias} belongs to another cluster, {}: it is given to nobody \
                 here. If what is on it is not needed, empty the directory, and `vaquita volume rescan \
                 {alias}` makes a new volume there",
                label.cluster
            ));
        }
        if volume.state != VolumeState::Foreign {
            return conflict(format!(
                "the volume at {path} of {alias} is {}, and to whom it belongs is not what is wrong: {}",
                volume.state.as_str(),
                volume.reason
            ));
        }
        if let Some(twin) = self.in_use_elsewhere(slot, facts, path, label.volume) {
            return conflict(format!(
                "volume {} is at {twin} as well, where it is in use or has the same label: one is a \
                 copy of the other. Stop that node, or take the disk away that is not to count, and order \
                 it again. Nothing was changed",
                label.volume
            ));
        }
        if self.log.appended().next() <= label.epoch {
            return conflict(format!(
                "the label at {path} of {alias} was written under log index {}, which this controller \
                 has not reached: its home is an old copy. Nothing was changed",
                label.epoch
            ));
        }
        Ok(Some(label))
    }

    /// Where else a volume is: in use at another node, or at another directory of this one.
    fn in_use_elsewhere(
        &self,
        slot: Slot,
        facts: &[VolumeFacts],
        path: &str,
        volume: VolumeId,
    ) -> Option<String> {
        let is_it = |it: &VolumeFacts| it.label.as_ref().is_some_and(|it| it.volume == volume);
        if let Some(twin) = facts.iter().find(|it| it.path != path && is_it(it)) {
            let alias = &self.members.all[slot].member.site.alias;
            return Some(format!("{} of {alias}", twin.path));
        }
        let others = self.members.data_nodes().filter(|&other| other != slot);
        let here = others.filter(|&other| self.members.all[other].presence != Presence::Away);
        here.into_iter().find_map(|other| {
            let mut volumes = self.files.stocks[other].volumes.iter();
            let twin = volumes.find(|it| is_it(it) && it.state.is_readable())?;
            let alias = &self.members.all[other].member.site.alias;
            Some(format!("{} of {alias}", twin.path))
        })
    }

    fn give_volume(
        &mut self,
        now: Timestamp,
        id: RequestId,
        slot: Slot,
        label: &Label,
        path: &str,
        by: String,
    ) {
        let Some(node) = self.node_of(slot) else {
            return;
        };
        let alias = self.members.all[slot].member.site.alias.clone();
        let text = format!(
            "volume {} of {} ({}) is given to {alias} at {path}, by order of {by}: what is on it counts \
             there, and a copy of it anywhere else does not",
            label.volume, label.alias, label.owner
        );
        self.out.notify(Event::warning("volume.given", text));
        let index = self.append(&Record::VolumeOwned(VolumeOwned {
            volume: label.volume,
            node,
            alias,
            path: path.to_owned(),
            before: label.owner,
            by,
        }));
        let path = path.to_owned();
        self.when_synced(now, index, Continuation::VolumeGiven { id, slot, path });
    }

    /// The record that gives a volume to a node is synced.
    pub(in crate::controller) fn volume_given(
        &mut self,
        now: Timestamp,
        id: RequestId,
        slot: Slot,
        path: String,
    ) {
        self.tell_about_volumes(Some(slot));
        // The order says it to the new owner.
        if let Some(reply) = self.rescan(now, id, &[slot], None, Goal::Given { path }) {
            self.reply(id, reply);
        }
    }

    /// Tells all data nodes but one which volumes were given to whom, and which are drained.
    pub(super) fn tell_about_volumes(&mut self, but: Option<Slot>) {
        let told = VolumeOrders {
            owners: self.volume_owners(),
            draining: self.draining_volumes(),
        };
        let nodes: Vec<Slot> = (self.members.data_nodes())
            .filter(|it| Some(*it) != but)
            .collect();
        for slot in nodes {
            self.tell(slot, Message::VolumeOrders(told.clone()));
        }
    }

    /// Which volumes were given to which nodes, by records that are synced.
    pub(in crate::controller) fn volume_owners(&self) -> Vec<VolumeOwner> {
        let synced: LogIndex = self.log.synced();
        let owners = self.state.owners.values();
        owners.filter(|it| it.epoch <= synced).cloned().collect()
    }

    /// Whether a content lies on a volume that was given to the node.
    pub(super) fn is_on_given_volume(
        &self,
        slot: Slot,
        node: NodeId,
        version: ChunkVersion,
    ) -> bool {
        let stock = &self.files.stocks[slot];
        let entry = stock.claims(version);
        let volume = entry.and_then(|entry| stock.volume_of(entry)?.id);
        let owner = volume.and_then(|volume| self.state.owners.get(&volume));
        owner.is_some_and(|owner| owner.node == node)
    }

    // ---- how volumes are ----

    pub(super) fn volume_rows(&self, now: Timestamp) -> Vec<VolumeRow> {
        let mut rows = Vec::new();
        for slot in self.members.data_nodes() {
            let stock = &self.files.stocks[slot];
            let old = u64::try_from(now.since(stock.volumes_at).as_millis()).unwrap_or(u64::MAX);
            for volume in &stock.volumes {
                rows.push(VolumeRow {
                    node: self.members.all[slot].member.site.alias.clone(),
                    slot: volume.slot,
                    path: volume.path.clone(),
                    id: volume.id,
                    state: volume.state,
                    capacity: volume.capacity,
                    free: volume.free,
                    chunks: volume.chunks,
                    chunk_bytes: volume.chunk_bytes,
                    reason: volume.reason.clone(),
                    for_ms: volume.for_ms.saturating_add(old),
                    doing: self.doing_about(slot, volume),
                    admin: self.volume_admin(slot, volume),
                });
            }
        }
        rows
    }

    /// What is being done about a volume that is not well.
    fn doing_about(&self, slot: Slot, volume: &VolumeFacts) -> String {
        let alias = &self.members.all[slot].member.site.alias;
        match volume.state {
            _ if self.drain_of(volume).is_some() && volume.state.is_readable() => {
                self.doing_about_drain(slot, volume)
            }
            VolumeState::Good => String::new(),
            VolumeState::Opening => {
                "it is being read; its chunks count as soon as that is done".to_owned()
            }
            VolumeState::High | VolumeState::Full => {
                "new chunks go elsewhere; what is removed makes room after ten minutes".to_owned()
            }
            VolumeState::Slow => {
                "new chunks go elsewhere where they can, and are read from other nodes first"
                    .to_owned()
            }
            VolumeState::Missing | VolumeState::Foreign | VolumeState::Failed => {
                let missing = self.files.stocks[slot].missing.len();
                let holds = self.holds();
                match (missing, holds.first()) {
                    (0, _) => format!(
                        "nothing is to be done: every chunk that {alias} should have is there or has \
                         its replicas elsewhere"
                    ),
                    (_, Some(hold)) => format!(
                        "{missing} chunks that {alias} should have are not there, and nothing is begun \
                         about them: {hold}"
                    ),
                    (_, None) => format!(
                        "{missing} chunks that {alias} should have are not there, and are made anew \
                         from other replicas"
                    ),
                }
            }
        }
    }

    /// What an operator should look at.
    pub(in crate::controller) fn volume_alarms(&self, now: Timestamp) -> Vec<String> {
        let mut alarms = Vec::new();
        for slot in self.members.data_nodes() {
            if self.members.all[slot].presence != Presence::Online {
                continue;
            }
            let stock = &self.files.stocks[slot];
            let told = now.since(stock.volumes_at);
            for volume in &stock.volumes {
                let unwell = matches!(
                    volume.state,
                    VolumeState::Missing | VolumeState::Foreign | VolumeState::Failed
                );
                if !unwell {
                    continue;
                }
                let state = match volume.removed {
                    true => "gone from the configuration".to_owned(),
                    false => {
                        let since = told.as_secs() + volume.for_ms / 1000;
                        format!("{} for {since} s", volume.state.as_str())
                    }
                };
                alarms.push(format!(
                    "{}: volume {} is {state}: {}. What is done about it: {}",
                    self.members.all[slot].member.site.alias,
                    volume.path,
                    volume.reason,
                    self.doing_about(slot, volume)
                ));
            }
        }
        alarms
    }
}
