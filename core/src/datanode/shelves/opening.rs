//! Opening volumes: which are this node's, which are new, and which are left alone.

use super::super::pace::Pace;
use super::{InUse, Shelf, Shelves, ShelvesAround, slots};
use crate::admin::Refusal;
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{StageId, VolumeId, VolumeSlot};
use crate::event::Event;
use crate::ids::{ClusterId, NodeEpoch};
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::store::label::{self, Claim, Verdict};
use crate::store::volume::{Volume, VolumeRules};
use crate::store::{Label, Opened, VolumeTrouble};
use crate::time::Timestamp;

impl Shelves {
    /// The registration under which chunks are prepared from now on, and the cluster that it is in.
    pub(in crate::datanode) fn registered(
        &mut self,
        now: Timestamp,
        epoch: NodeEpoch,
        cluster: Option<ClusterId>,
        around: &mut ShelvesAround<'_>,
    ) {
        self.epoch = epoch;
        self.cluster = cluster;
        for slot in slots(self.shelves.len()) {
            let Some(shelf) = self.shelf(slot) else {
                continue;
            };
            if let Shelf::Read(_) = shelf
                && let Shelf::Read(opened) = core::mem::replace(shelf, Shelf::Opening)
            {
                self.judge_label(now, slot, opened, around);
            }
        }
    }

    /// The driver has read a volume, or could not.
    pub(in crate::datanode) fn opened(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        result: Result<Opened, VolumeTrouble>,
        around: &mut ShelvesAround<'_>,
    ) {
        match result {
            Ok(opened) => self.judge_label(now, slot, Box::new(opened), around),
            Err(trouble) => {
                let state = label::state_of(&trouble);
                self.put_out(slot, state, trouble.reason, around.out);
            }
        }
    }

    fn judge_label(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        opened: Box<Opened>,
        around: &mut ShelvesAround<'_>,
    ) {
        let path = self.path(slot).to_owned();
        let claim = Claim {
            node: self.node,
            cluster: self.cluster,
            path: &path,
            remembered: self.labels.of(&path),
        };
        match label::judge(&claim, &opened.label) {
            Verdict::Use {
                label,
                heal: None,
                instead_of,
            } => {
                self.tell_exchange(slot, label.volume, instead_of, around.out);
                self.take_into_use(now, slot, label.volume, &opened, around);
            }
            Verdict::Use {
                label,
                heal: Some(reason),
                instead_of,
            } => {
                self.tell_exchange(slot, label.volume, instead_of, around.out);
                let text = format!("a copy of the label of {path} is written again: {reason}");
                around.out.notify(Event::warning("volume.label", text));
                self.write_label(slot, &label, opened, around.out);
            }
            Verdict::Label => {
                let Some(cluster) = self.cluster else { return };
                let label = Label {
                    cluster,
                    volume: self.labels.draw(),
                    owner: self.node,
                    alias: self.alias.clone(),
                };
                let text = format!("{path} is empty and becomes volume {}", label.volume);
                around.out.notify(Event::info("volume.new", text));
                self.write_label(slot, &label, opened, around.out);
            }
            Verdict::Wait => {
                if let Some(shelf) = self.shelf(slot) {
                    *shelf = Shelf::Read(opened);
                }
            }
            Verdict::Refuse { state, reason } => self.put_out(slot, state, reason, around.out),
        }
    }

    /// Says that another volume of this node was at a path before: disks were exchanged, or one was
    /// mounted in the place of another. What was on that one is not here.
    fn tell_exchange(
        &self,
        slot: VolumeSlot,
        volume: VolumeId,
        before: Option<VolumeId>,
        out: &mut Outbox,
    ) {
        let Some(before) = before else { return };
        let text = format!(
            "{} is volume {volume} now, and was volume {before}: what is on that one is read if it is \
             at another configured path",
            self.path(slot)
        );
        out.notify(Event::warning("volume.exchanged", text));
    }

    fn write_label(
        &mut self,
        slot: VolumeSlot,
        label: &Label,
        opened: Box<Opened>,
        out: &mut Outbox,
    ) {
        let ticket = out.ticket();
        out.push(Effect::Volume {
            slot,
            batch: label::label_batch(ticket, label),
            fills: Vec::new(),
        });
        if let Some(shelf) = self.shelf(slot) {
            *shelf = Shelf::Labelling {
                ticket,
                volume: label.volume,
                opened,
            };
        }
    }

    pub(super) fn take_into_use(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        volume: VolumeId,
        opened: &Opened,
        around: &mut ShelvesAround<'_>,
    ) {
        let rules = VolumeRules {
            path: self.path(slot).to_owned(),
            volume,
            data_sync: self.config.data_sync,
        };
        self.labels.remember(&rules.path, volume, around.out);
        let volume = Volume::new(rules, opened, around.limits, *around.planted, now);
        for damage in volume.damage() {
            let text = format!("{}: {}", volume.rules().path, damage.reason);
            around.out.notify(Event::error("volume.damage", text));
        }
        let chunk_bytes = volume.entries().map(|content| content.len).sum();
        let shelf = InUse {
            volume,
            capacity: opened.capacity,
            free: opened.free,
            chunk_bytes,
            pace: Pace::default(),
        };
        if let Some(place) = self.shelf(slot) {
            *place = Shelf::Open(Box::new(shelf));
        }
        self.facts_changed = true;
        self.drain_at(now, around);
    }

    pub(super) fn put_out(
        &mut self,
        slot: VolumeSlot,
        state: VolumeState,
        reason: String,
        out: &mut Outbox,
    ) {
        let text = format!("volume {} is {}: {reason}", self.path(slot), state.as_str());
        out.notify(Event::error("volume.out", text));
        let stages: Vec<StageId> = self
            .stages
            .iter()
            .filter(|(_, coming)| coming.slot == slot)
            .map(|(stage, _)| *stage)
            .collect();
        for stage in stages {
            let refusal = Refusal::Unavailable {
                reason: reason.clone(),
            };
            self.answer(stage, Err(refusal), out);
            out.push(Effect::DropStage { stage });
        }
        if let Some(shelf) = self.shelf(slot) {
            let was_open = matches!(shelf, Shelf::Open(_));
            *shelf = Shelf::Out { state, reason };
            self.contents_lost |= was_open;
        }
        self.leaving.retain(|_, it| it.entry.volume != slot);
        self.facts_changed = true;
    }
}
