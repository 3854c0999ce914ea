//! Opening volumes: which are this node's, which are new, and which are left alone.

use super::super::pace::Pace;
use super::{InUse, Shelf, Shelves, ShelvesAround, slots};
use crate::admin::Refusal;
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::{StageId, VolumeId, VolumeSlot};
use crate::event::Event;
use crate::ids::{ClusterId, LogIndex, NodeEpoch};
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::store::label::{self, Claim, Verdict};
use crate::store::scan::LabelFound;
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
        let is_out = matches!(self.shelf(slot), Some(Shelf::Opening | Shelf::Out { .. }));
        match result {
            Ok(opened) if is_out => self.judge_label(now, slot, Box::new(opened), around),
            // It is in use, and nobody asked for it to be read.
            Ok(_) => {}
            // It is about to be read anew: what was wrong with it before says nothing of that.
            Err(_) if self.again.get(&slot).is_some_and(|again| !again.reads) => {}
            Err(trouble) => {
                let state = label::state_of(&trouble);
                self.put_out(slot, state, trouble.reason, None, around.out);
            }
        }
    }

    /// What a label means for this node.
    pub(super) fn judge(&self, slot: VolumeSlot, found: &LabelFound) -> Verdict {
        let path = self.path(slot);
        let claim = Claim {
            node: self.node,
            cluster: self.cluster,
            path,
            remembered: self.labels.of(path),
            alias: &self.alias,
            epoch: self.labels.epoch_of(path),
            owners: &self.owners,
        };
        label::judge(&claim, found)
    }

    fn judge_label(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        opened: Box<Opened>,
        around: &mut ShelvesAround<'_>,
    ) {
        let path = self.path(slot).to_owned();
        let verdict = self.judge(slot, &opened.label);
        if let Verdict::Use { label, .. } | Verdict::Adopt { label, .. } = &verdict
            && let Some(twin) = self.twin(slot, label.volume)
        {
            let label = label.clone();
            self.refuse_twins(slot, twin, &label, around.out);
            return;
        }
        match verdict {
            Verdict::Use {
                label,
                heal: None,
                instead_of,
            } => {
                self.tell_exchange(slot, label.volume, instead_of, around.out);
                self.take_into_use(now, slot, label, &opened, around);
            }
            Verdict::Adopt { label, from } => {
                let text = format!(
                    "{path} is volume {} of {from}, and becomes this node's by order (log index {}): \
                     what is on it counts here from now on",
                    label.volume, label.epoch
                );
                around.out.notify(Event::warning("volume.adopted", text));
                self.write_label(slot, &label, opened, around.out);
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
                    epoch: LogIndex(0),
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
            Verdict::Refuse { state, reason } => {
                let label = opened.label.label().cloned();
                self.put_out(slot, state, reason, label, around.out);
            }
        }
    }

    /// Another volume of this node that is in use, or about to be, under the same identity.
    fn twin(&self, slot: VolumeSlot, volume: VolumeId) -> Option<VolumeSlot> {
        let mut all = slots(self.shelves.len()).zip(&self.shelves);
        let twin = all.find(|(other, shelf)| {
            let known = match shelf {
                Shelf::Open(shelf) => Some(shelf.label.volume),
                Shelf::Labelling { label, .. } => Some(label.volume),
                _ => None,
            };
            *other != slot && known == Some(volume)
        });
        twin.map(|(other, _)| other)
    }

    /// Two volumes of this node have one identity: a disk was copied. Which of them is the copy nobody
    /// knows who finds both at the same time; one that was in use before is not doubted.
    fn refuse_twins(
        &mut self,
        slot: VolumeSlot,
        twin: VolumeSlot,
        label: &Label,
        out: &mut Outbox,
    ) {
        let reason = |path: &str, other: &str| {
            format!(
                "volume {path} has the same label as {other}, volume {}: one is a copy of the other. \
                 Nothing on it was changed. Take the copy away, or empty it, and `vaquita volume \
                 rescan {}`",
                label.volume, self.alias
            )
        };
        let (here, there) = (self.path(slot), self.path(twin));
        let (ours, theirs) = (reason(here, there), reason(there, here));
        let round = self.round_of(slot);
        let in_use_before = match self.shelves.get(usize::from(twin.0)) {
            Some(Shelf::Open(shelf)) => shelf.round != round,
            _ => false,
        };
        let foreign = VolumeState::Foreign;
        self.put_out(slot, foreign, ours, Some(label.clone()), out);
        if !in_use_before {
            self.put_out(twin, foreign, theirs, Some(label.clone()), out);
        }
    }

    /// The number of the opening that a volume is just subject to.
    fn round_of(&self, slot: VolumeSlot) -> u64 {
        match self.again.contains_key(&slot) {
            true => self.round,
            false => 0,
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
        self.under_way.insert(ticket, slot);
        out.push(Effect::Volume {
            slot,
            batch: label::label_batch(ticket, label),
            fills: Vec::new(),
        });
        if let Some(shelf) = self.shelf(slot) {
            *shelf = Shelf::Labelling {
                ticket,
                label: label.clone(),
                opened,
            };
        }
    }

    pub(super) fn take_into_use(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        label: Label,
        opened: &Opened,
        around: &mut ShelvesAround<'_>,
    ) {
        let rules = VolumeRules {
            path: self.path(slot).to_owned(),
            volume: label.volume,
            data_sync: self.config.data_sync,
        };
        self.labels
            .remember(&rules.path, label.volume, label.epoch, around.out);
        let volume = Volume::new(rules, opened, around.limits, *around.planted, now);
        for damage in volume.damage() {
            let text = format!("{}: {}", volume.rules().path, damage.reason);
            around.out.notify(Event::error("volume.damage", text));
        }
        let chunk_bytes = volume.entries().map(|content| content.len).sum();
        let shelf = InUse {
            volume,
            label,
            round: self.round_of(slot),
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
        label: Option<Label>,
        out: &mut Outbox,
    ) {
        let text = format!("volume {} is {}: {reason}", self.path(slot), state.as_str());
        out.notify(Event::error("volume.out", text));
        self.let_go(slot, &reason, out);
        out.push(Effect::CloseVolume { slot });
        if let Some(shelf) = self.shelf(slot) {
            *shelf = Shelf::Out {
                state,
                reason,
                label,
            };
        }
        self.again.remove(&slot);
        self.facts_changed = true;
    }

    /// Ends what is under way on a volume, and forgets what was known of it.
    pub(super) fn let_go(&mut self, slot: VolumeSlot, reason: &str, out: &mut Outbox) {
        let stages: Vec<StageId> = self
            .stages
            .iter()
            .filter(|(_, coming)| coming.slot == slot)
            .map(|(stage, _)| *stage)
            .collect();
        for stage in stages {
            let refusal = Refusal::Unavailable {
                reason: reason.to_owned(),
            };
            self.answer(stage, Err(refusal), out);
            out.push(Effect::DropStage { stage });
        }
        self.leaving.retain(|_, it| it.entry.volume != slot);
        // What was found damaged there may be whole, when it is read anew. What was found damaged on
        // another volume is so still.
        self.corrupt.retain(|(at, _)| *at != slot);
        if let Some(Shelf::Open(_)) = self.shelves.get(usize::from(slot.0)) {
            self.contents_changed = true;
        }
    }
}
