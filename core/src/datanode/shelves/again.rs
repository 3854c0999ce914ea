//! Opening volumes again while the node runs.
//!
//! A volume that is not in use is opened as at the start of the process: what the node knew of it is
//! forgotten, its label is read and judged, and its files are read from the disk. It is never gone on
//! with: after a fault nobody knows what of its last writes is there. It is read when all that was
//! handed out for it has come back, so that nothing changes behind the reader.

use std::collections::BTreeMap;

use super::{InUse, Shelf, Shelves, ShelvesAround, slots};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{VolumeId, VolumeSlot};
use crate::event::Event;
use crate::ids::{LogIndex, RequestId};
use crate::io::Effect;
use crate::message::{RescanVolumes, RescannedVolume, VolumeOrders, VolumeOwner, VolumesRescanned};
use crate::outbox::Outbox;
use crate::store::label::Verdict;
use crate::store::scan::LabelFound;
use crate::store::volume::Volume;
use crate::time::Timestamp;

/// Orders that wait for their answers at most: whoever asks more often hears nothing of the oldest.
const RESCANS_MAX: usize = 16;

/// A volume that is being opened again.
#[derive(Clone, Debug)]
pub(super) struct Again {
    was: VolumeState,
    reason: String,
    /// Whether it is being read; before, what was handed out for it has to come back.
    pub(super) reads: bool,
}

impl Again {
    /// How it was, and why.
    pub(super) fn why(&self) -> String {
        match self.reason.is_empty() {
            true => format!("it was {}", self.was.as_str()),
            false => format!("it was {} ({})", self.was.as_str(), self.reason),
        }
    }
}

/// An order that is being carried out.
#[derive(Clone, Debug)]
pub(super) struct Rescan {
    id: RequestId,
    /// How each volume was, and whether it is opened again.
    before: Vec<(VolumeState, bool)>,
    refused: String,
}

impl Shelves {
    /// Opens again each volume that is not in use, by order.
    pub(in crate::datanode) fn rescan(
        &mut self,
        now: Timestamp,
        order: RescanVolumes,
        around: &mut ShelvesAround<'_>,
    ) {
        let RescanVolumes {
            id,
            owners,
            forget,
            draining,
            named,
        } = order;
        self.round += 1;
        // Before anything else, so that it is told how each volume was before it was given away.
        let states: Vec<VolumeState> = self.shelves.iter().map(Shelf::state).collect();
        self.take_orders(now, VolumeOrders { owners, draining }, around);
        let forgotten = forget.map(|path| self.forget(&path, around.out));
        let (refused, let_go) = match forgotten {
            Some(Err(refused)) => (refused, None),
            Some(Ok(let_go)) => (String::new(), let_go),
            None => (String::new(), None),
        };
        let mut before = Vec::new();
        for (slot, was) in slots(self.shelves.len()).zip(states) {
            // What was let go of stays so until it is meant, or all are.
            let spared = match let_go {
                Some(just_now) if just_now == slot => true,
                _ => named.as_deref().is_some_and(|named| {
                    self.let_go_of.contains(&slot) && self.path(slot) != named
                }),
            };
            if refused.is_empty() && !spared && self.may_open_again(slot) {
                self.open_again(slot, around);
            }
            before.push((was, self.again.contains_key(&slot)));
        }
        if self.rescans.len() >= RESCANS_MAX {
            self.rescans.remove(0);
        }
        self.rescans.push(Rescan {
            id,
            before,
            refused,
        });
    }

    /// Whether a volume is neither in use nor just being opened.
    fn may_open_again(&mut self, slot: VolumeSlot) -> bool {
        match self.shelf(slot) {
            Some(Shelf::Out { .. }) => true,
            Some(Shelf::Open(shelf)) => shelf.volume.state() == VolumeState::Failed,
            _ => false,
        }
    }

    /// Forgets which volume was at a directory. One that is drained is let go of, so that its disk can be
    /// taken away while the node runs; returns that one.
    ///
    /// # Errors
    /// If it is in use, or nothing is known of one there.
    fn forget(&mut self, path: &str, out: &mut Outbox) -> Result<Option<VolumeSlot>, String> {
        let slot = slots(self.shelves.len()).find(|slot| self.path(*slot) == path);
        let drained = slot.filter(|slot| self.is_drained(*slot));
        if let Some(slot) = drained {
            let reason = format!(
                "it was drained, and let go of by order: its disk can be taken away. Another one that is \
                 mounted there is used after `vaquita volume rescan {}`",
                self.alias
            );
            self.put_out(slot, VolumeState::Missing, reason, None, out);
            self.let_go_of.insert(slot);
        }
        if let Some(slot) = slot
            && !self.may_open_again(slot)
        {
            return Err(format!(
                "the volume {path} is in use, or just being opened: nothing was forgotten. Take its \
                 line out of `volumes` first, or take its disk away"
            ));
        }
        if !self.labels.forget(path, out) && slot.is_none() {
            return Err(format!(
                "this node knows of no volume at {path}: `vaquita volume list` shows those that it knows"
            ));
        }
        let text = format!("the volume that was at {path} is missed no longer, by order");
        out.notify(Event::warning("volume.forgotten", text));
        self.facts_changed = true;
        Ok(drained)
    }

    /// Whether a volume is drained by order, and has nothing.
    fn is_drained(&mut self, slot: VolumeSlot) -> bool {
        let drains = self.is_draining(slot);
        let comes = self.stages.values().any(|it| it.slot == slot);
        let empty = |volume: &mut Volume| volume.is_empty() && volume.promised() == 0;
        drains && !comes && self.volume(slot).is_some_and(empty)
    }

    /// Forgets all that is known of a volume, and has it opened.
    pub(super) fn open_again(&mut self, slot: VolumeSlot, around: &mut ShelvesAround<'_>) {
        let Some(shelf) = self.shelf(slot) else {
            return;
        };
        let was = shelf.state();
        let reason = match shelf {
            Shelf::Open(shelf) => shelf.reason(),
            Shelf::Out { reason, .. } => reason.clone(),
            _ => String::new(),
        };
        self.let_go(slot, &reason, around.out);
        self.let_go_of.remove(&slot);
        if let Some(shelf) = self.shelf(slot) {
            *shelf = Shelf::Opening;
        }
        let again = Again {
            was,
            reason,
            reads: false,
        };
        self.again.insert(slot, again);
        self.facts_changed = true;
        self.go_on_opening(slot, around);
    }

    /// Has a volume read that is to be opened again, once nothing is on its way to it.
    pub(super) fn go_on_opening(&mut self, slot: VolumeSlot, around: &mut ShelvesAround<'_>) {
        let busy = self.under_way.values().any(|it| *it == slot);
        if let Some(again) = self.again.get_mut(&slot)
            && !again.reads
            && (!busy || around.planted.reopen_amid_writes)
        {
            again.reads = true;
            around.out.push(Effect::OpenVolume { slot });
        }
    }

    /// A volume that was read may be used: what is on it counts.
    pub(super) fn is_ready(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        around: &mut ShelvesAround<'_>,
    ) {
        self.facts_changed = true;
        self.drop_doubles(now, slot, around.out);
        if let Some(again) = self.again.remove(&slot) {
            let chunks = self.volume(slot).map_or(0, |volume| volume.len());
            let text = format!(
                "{} is in use again, with {chunks} chunks: {}",
                self.path(slot),
                again.why()
            );
            around.out.notify(Event::info("volume.back", text));
        }
        if self.reported && !around.planted.report_nothing_reopened {
            self.contents_changed = true;
        }
    }

    /// Takes note of which volumes were given to whom, and which are drained. What is in use here and is
    /// another node's by now is put out; what was given to this node is opened again. Of a volume that is
    /// drained from now on, or no more, the controller has to hear what is on it.
    pub(in crate::datanode) fn take_orders(
        &mut self,
        now: Timestamp,
        told: VolumeOrders,
        around: &mut ShelvesAround<'_>,
    ) {
        let VolumeOrders { owners, draining } = told;
        let draining = draining.iter().map(|it| (it.volume, it.order)).collect();
        let before = core::mem::replace(&mut self.draining, draining);
        let of = |drains: &BTreeMap<VolumeId, LogIndex>, it: &InUse| {
            drains.get(&it.label.volume).copied()
        };
        if self
            .in_use()
            .any(|(_, it)| of(&before, it) != of(&self.draining, it))
        {
            self.contents_changed = true;
            self.facts_changed = true;
        }
        let node = self.node;
        let heeds = |it: &VolumeOwner| !around.planted.ignore_volume_owners || it.node == node;
        let owners = owners.into_iter().filter(heeds);
        self.owners = owners.map(|it| (it.volume, it)).collect();
        for slot in slots(self.shelves.len()) {
            let (label, in_use) = match self.shelf(slot) {
                Some(Shelf::Open(shelf)) => (shelf.label.clone(), true),
                Some(Shelf::Out {
                    label: Some(label), ..
                }) => (label.clone(), false),
                _ => continue,
            };
            match self.judge(slot, &LabelFound::Here(label.clone())) {
                Verdict::Refuse { state, reason } if in_use => {
                    self.put_out(slot, state, reason, Some(label), around.out);
                }
                Verdict::Adopt { .. } => self.open_again(slot, around),
                _ => {}
            }
        }
        self.drain_at(now, around);
    }

    /// The answers to orders that have been carried out.
    pub(in crate::datanode) fn take_rescanned(&mut self, now: Timestamp) -> Vec<VolumesRescanned> {
        if self.rescans.is_empty() || !self.again.is_empty() {
            return Vec::new();
        }
        let facts = self.facts(now);
        let done = core::mem::take(&mut self.rescans).into_iter();
        let answer = |rescan: Rescan| VolumesRescanned {
            id: rescan.id,
            volumes: rescan
                .before
                .into_iter()
                .zip(&facts)
                .map(|((was, opened), now)| RescannedVolume {
                    was,
                    opened,
                    now: now.clone(),
                })
                .collect(),
            refused: rescan.refused,
        };
        done.map(answer).collect()
    }
}
