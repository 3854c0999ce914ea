//! Volumes that are emptied by order, so that their disks can be taken away.
//!
//! The order is a record of the log, about the volume and not about the node that has it: it holds
//! wherever the disk is. All data nodes are told. A node puts nothing new on such a volume, and says so
//! with how the volume is; in its report the controller sees what lies there. Such a replica is good and
//! is to leave, like one on a node that is drained: repair has it made anew, on another volume of the same
//! node where there is room, else on another node, and only then is it given up. The volume is drained
//! when its node, knowing of the order, has nothing on it any more.

use super::Controller;
use super::volumes::spelling;
use crate::admin::{OrderRow, Refusal, Reply, Response};
use crate::controller::commit::Continuation;
use crate::dfs::ask::VolumeAdmin;
use crate::dfs::ids::VolumeId;
use crate::event::Event;
use crate::ids::{LogIndex, RequestId};
use crate::membership::Slot;
use crate::message::{VolumeDrain, VolumeFacts};
use crate::state::{Record, VolumeDuty};
use crate::time::Timestamp;

impl Controller {
    /// Carries out an operator's order.
    pub(in crate::controller) fn set_volume_duty(
        &mut self,
        now: Timestamp,
        id: RequestId,
        name: &str,
        path: &str,
        drain: bool,
        by: String,
    ) -> Option<Reply> {
        let path = spelling(path);
        let (slot, volume) = match self.volume_at(name, path) {
            Ok(found) => found,
            Err(refusal) => return Some(Err(refusal)),
        };
        let changed = self.state.draining_volumes.contains_key(&volume) != drain;
        if drain
            && changed
            && let Some(refusal) = self.refused_drain(slot, volume, path)
        {
            return Some(Err(refusal));
        }
        let alias = self.members.all[slot].member.site.alias.clone();
        if changed {
            let what = match drain {
                true => "is to be emptied: what is on it is made anew elsewhere",
                false => "takes new chunks again",
            };
            let text = format!("volume {volume} at {path} of {alias} {what}, by order of {by}");
            self.out.notify(Event::info("volume.duty", text));
            self.append(&Record::VolumeDuty(VolumeDuty {
                volume,
                drain,
                alias: alias.clone(),
                path: path.to_owned(),
                by,
            }));
        }
        let facts = self.facts_at(slot, path);
        let note = match (drain, changed) {
            (false, true) => format!("{path} takes new chunks again"),
            (false, false) => format!("{path} takes new chunks as it is"),
            (true, false) if facts.is_some_and(|it| self.is_volume_drained(slot, it)) => {
                format!("{path} is drained already: nothing is lost with it")
            }
            (true, _) => format!(
                "{path} is being drained, with {} chunks; `vaquita volume list` shows when it is empty",
                facts.map_or(0, |it| it.chunks)
            ),
        };
        let reply = Ok(Response::Ordered(vec![OrderRow {
            alias,
            changed,
            note,
        }]));
        // Also where nothing has changed: the order before this one may not be synced.
        let index = self.log.appended();
        self.when_synced(now, index, Continuation::VolumeDuty { id, reply });
        None
    }

    /// The order is synced: the nodes are told, and what they say then is looked at.
    pub(in crate::controller) fn volume_duty_noted(
        &mut self,
        now: Timestamp,
        id: RequestId,
        reply: Reply,
    ) {
        self.tell_about_volumes(None);
        self.refresh_places(now);
        self.reply(id, reply);
    }

    /// The volume that a data node has, or had when it was last heard, at a directory.
    fn volume_at(&self, name: &str, path: &str) -> Result<(Slot, VolumeId), Refusal> {
        let slot = self.node_with_volumes(name)?;
        let alias = &self.members.all[slot].member.site.alias;
        let Some(facts) = self.facts_at(slot, path) else {
            let known = &self.files.stocks[slot].volumes;
            let paths: Vec<&str> = known.iter().map(|it| it.path.as_str()).collect();
            let what = match paths.is_empty() {
                true => format!("{alias} has not said which volumes it has: start it first"),
                false => format!(
                    "{alias} has no volume at {path}, but at {}",
                    paths.join(", ")
                ),
            };
            return Err(Refusal::NotFound { what });
        };
        match facts.id {
            Some(volume) if !facts.removed => Ok((slot, volume)),
            _ => Err(Refusal::Conflict {
                reason: format!(
                    "the volume at {path} of {alias} is not in use ({}), so that nothing can be ordered \
                     for it; what is missing with it is made anew elsewhere by itself. {}",
                    facts.state.as_str(),
                    facts.reason
                ),
            }),
        }
    }

    fn facts_at(&self, slot: Slot, path: &str) -> Option<&VolumeFacts> {
        let volumes = &self.files.stocks[slot].volumes;
        volumes.iter().find(|it| it.path == path)
    }

    /// Why a volume cannot be done without: it is the last of its node, and the node cannot be done
    /// without.
    fn refused_drain(&self, slot: Slot, volume: VolumeId, path: &str) -> Option<Refusal> {
        let others = self.files.stocks[slot].volumes.iter();
        let stays = |it: &VolumeFacts| {
            let drains = it
                .id
                .is_some_and(|id| self.state.draining_volumes.contains_key(&id));
            it.id != Some(volume) && it.state.is_writable() && !drains
        };
        if others.into_iter().any(stays) {
            return None;
        }
        let alias = &self.members.all[slot].member.site.alias;
        let refusal = self.too_few_to_drain(slot)?;
        let reason = format!("{path} is the last volume of {alias} that takes chunks: {refusal}");
        Some(Refusal::Conflict { reason })
    }

    /// Whether a node keeps nothing, since each volume that it has is drained.
    pub(super) fn drains_all_volumes(&self, slot: Slot) -> bool {
        let volumes = self.files.stocks[slot].volumes.iter();
        let mut in_use = volumes.filter(|it| it.state.is_readable()).peekable();
        in_use.peek().is_some() && in_use.all(|it| self.drain_of(it).is_some())
    }

    /// The volumes that are drained, by records that are synced.
    pub(in crate::controller) fn draining_volumes(&self) -> Vec<VolumeDrain> {
        let synced: LogIndex = self.log.synced();
        let drains = self.state.draining_volumes.iter();
        drains
            .filter(|(_, order)| **order <= synced)
            .map(|(&volume, &order)| VolumeDrain { volume, order })
            .collect()
    }

    /// By which order a volume is drained, if it is.
    pub(super) fn drain_of(&self, volume: &VolumeFacts) -> Option<LogIndex> {
        self.state.draining_volumes.get(&volume.id?).copied()
    }

    /// Whether nothing is on a volume, and nothing will come there: so its node says, which knows of the
    /// order.
    ///
    /// What is on a volume that cannot be read is not counted by its node. It may be read again, and is not
    /// done without before others have all that its node should have.
    fn is_volume_drained(&self, slot: Slot, volume: &VolumeFacts) -> bool {
        let order = self.drain_of(volume);
        let heeded = volume.draining == order || self.planted.drained_unheard;
        let stock = &self.files.stocks[slot];
        let told = stock.is_known() && (volume.state.is_readable() || stock.missing.is_empty());
        order.is_some() && heeded && told && volume.chunks == 0 && volume.promised == 0
    }

    pub(super) fn volume_admin(&self, slot: Slot, volume: &VolumeFacts) -> VolumeAdmin {
        match self.drain_of(volume) {
            None => VolumeAdmin::None,
            Some(_) if self.is_volume_drained(slot, volume) => VolumeAdmin::Drained,
            Some(_) => VolumeAdmin::Draining,
        }
    }

    /// How far a drain is, in words.
    pub(super) fn doing_about_drain(&self, slot: Slot, volume: &VolumeFacts) -> String {
        let alias = &self.members.all[slot].member.site.alias;
        if self.is_volume_drained(slot, volume) {
            return format!(
                "it is drained: nothing is lost with it. `vaquita volume forget {alias} {}` has the node \
                 let go of it; take it out of `volumes` as well, unless another disk is to come there",
                volume.path
            );
        }
        let missing = self.files.stocks[slot].missing.len();
        if !volume.state.is_readable() && missing > 0 {
            let chunks = if missing == 1 { "chunk" } else { "chunks" };
            return format!(
                "it is being drained, and cannot be read: {missing} {chunks} that {alias} should have are not \
                 found, and may be on it. `vaquita volume rescan {alias}` has it opened again; do not take the \
                 disk away"
            );
        }
        let left = match volume.chunks {
            1 => "1 chunk is left".to_owned(),
            chunks => format!("{chunks} chunks are left"),
        };
        let stuck = self.files.stocks[slot].draining.iter().find_map(|version| {
            let want = self.files.repairs.wanted(version.chunk)?;
            (!want.is_empty()).then_some(want)
        });
        match (self.holds().first(), stuck) {
            (Some(hold), _) => {
                format!("it is being drained, and {left}; nothing is begun at present: {hold}")
            }
            (None, Some(stuck)) => {
                format!("it is being drained, and {left}; what stands against it: {stuck}")
            }
            (None, None) => format!(
                "it is being drained, and {left}: they go to other volumes of {alias}, or to other nodes"
            ),
        }
    }
}
