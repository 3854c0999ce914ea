//! The volumes of data nodes: opening them, and carrying out what their machines ask.
//!
//! Each is a disk of its own, with real bytes: what a machine calls a stage is bytes that its driver
//! holds, and ends up behind the bytes of the operation that names it.

use std::time::Duration;

use vaquita_core::dfs::ids::{StageId, VolumeSlot};
use vaquita_core::disk::{DiskBatch, DiskOp};
use vaquita_core::ids::DiskTicket;
use vaquita_core::io::Input;
use vaquita_core::store::label::read_copies;
use vaquita_core::store::scan::ScanFault;
use vaquita_core::store::{Fill, Opened, VolumeTrouble, VolumeTroubleKind};

use super::event::Event;
use super::{Factory, NodeIx, World};
use crate::disk::{Cached, SimDisk};
use crate::time::SimTime;

/// How long a driver waits for a disk that does not answer before it gives the volume up.
const OPEN_PATIENCE: Duration = Duration::from_secs(30);
/// How often a driver tells how much room there is.
const SPACE_PERIOD: Duration = Duration::from_secs(5);
/// What it takes to look at a file, in nanoseconds; its bytes take a nanosecond each.
const PER_FILE: u64 = 50_000;

impl<F: Factory> World<F> {
    pub(super) fn open_volume(&mut self, node: NodeIx, slot: VolumeSlot) {
        let Some(start) = self.running_start(node) else {
            return;
        };
        let since = self.now;
        let Some(disk) = self.nodes[node.index()].disk_of(Some(slot)) else {
            self.fail(
                Some(node),
                format!("opens volume {slot}, which is not there"),
            );
            return;
        };
        let busy = disk.batches_waiting();
        let files = disk.file_count() as u64;
        let took = PER_FILE * (files + 1) + disk.used();
        let took = took.saturating_mul(u64::from(disk.profile.slow_down.max(1)));
        let at = self.now.after_nanos(took);
        let event = Event::VolumeOpens {
            node,
            start,
            slot,
            since,
        };
        self.schedule(node, at, event);
        let process = self.nodes[node.index()].process.as_mut();
        let again = process.is_some_and(|it| !it.opened.insert(slot));
        if again && busy > 0 {
            let what =
                format!("opens volume {slot} again while {busy} batches are on their way to it");
            self.fail(Some(node), what);
        }
    }

    pub(super) fn volume_opens(
        &mut self,
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
        since: SimTime,
    ) {
        let event = Event::VolumeOpens {
            node,
            start,
            slot,
            since,
        };
        let Some(answers) = self.disk_answers(node, start, slot, since, event) else {
            return;
        };
        let Some(disk) = self.nodes[node.index()].disk_of_mut(Some(slot)) else {
            return;
        };
        let result = if answers {
            if self.settings.reads_past_cache {
                disk.drop_clean_cache();
            }
            let (capacity, free) = room(disk);
            match self.factory.scan(disk) {
                Ok((label, found)) => Ok(Opened {
                    label,
                    capacity,
                    free,
                    found,
                }),
                Err(fault) => Err(trouble(&fault)),
            }
        } else {
            Err(VolumeTrouble {
                kind: VolumeTroubleKind::Hung,
                reason: format!("the disk of volume {slot} does not answer"),
            })
        };
        let opened = result.is_ok();
        self.tell(node, start, Input::VolumeOpened { slot, result });
        let process = self.nodes[node.index()].process_of(start);
        let first = process.is_some_and(|it| opened && it.measured.insert(slot));
        if first {
            self.space_is_told(node, start, slot);
        }
    }

    pub(super) fn read_label(&mut self, node: NodeIx, slot: VolumeSlot, ticket: DiskTicket) {
        let Some(start) = self.running_start(node) else {
            return;
        };
        let place = &self.nodes[node.index()];
        let slow_down = place
            .disk_of(Some(slot))
            .map_or(1, |disk| disk.profile.slow_down);
        let took = 2 * PER_FILE * u64::from(slow_down.max(1));
        let event = Event::LabelRead {
            node,
            start,
            slot,
            ticket,
            since: self.now,
        };
        self.schedule(node, self.now.after_nanos(took), event);
    }

    pub(super) fn label_is_read(
        &mut self,
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
        ticket: DiskTicket,
        since: SimTime,
    ) {
        let event = Event::LabelRead {
            node,
            start,
            slot,
            ticket,
            since,
        };
        let Some(answers) = self.disk_answers(node, start, slot, since, event) else {
            return;
        };
        let Some(disk) = self.nodes[node.index()].disk_of_mut(Some(slot)) else {
            return;
        };
        let result = if answers {
            if self.settings.reads_past_cache {
                disk.drop_clean_cache();
            }
            read_copies(&Cached(disk)).map_err(|fault| fault.to_string())
        } else {
            Err(format!("the disk of volume {slot} does not answer"))
        };
        let input = Input::LabelRead {
            slot,
            ticket,
            result,
        };
        self.tell(node, start, input);
    }

    /// Whether the disk answers that a driver has been reading `since` then. `None` if nothing comes of it now:
    /// there is no such process any more, it stands still, or the disk does and is still waited for; `event`
    /// comes again then.
    fn disk_answers(
        &mut self,
        node: NodeIx,
        start: u32,
        slot: VolumeSlot,
        since: SimTime,
        event: Event,
    ) -> Option<bool> {
        let (now, again) = (self.now, self.now.after(Duration::from_secs(1)));
        let place = &mut self.nodes[node.index()];
        let process = place.process_of(start)?;
        if process.paused {
            process.frozen.push(event);
            return None;
        }
        let hangs = place.disk_of(Some(slot))?.hung;
        if hangs && now.since(since) < OPEN_PATIENCE {
            self.schedule(node, again, event);
            return None;
        }
        Some(!hangs)
    }

    /// Tells how much room there is, and again after a while.
    pub(super) fn space_is_told(&mut self, node: NodeIx, start: u32, slot: VolumeSlot) {
        let at = self.now.after(SPACE_PERIOD);
        let place = &mut self.nodes[node.index()];
        if place.process_of(start).is_none() {
            return;
        }
        let Some(disk) = place.disk_of(Some(slot)) else {
            return;
        };
        let (hung, (capacity, free)) = (disk.hung, room(disk));
        self.schedule(node, at, Event::VolumeSpace { node, start, slot });
        if !hung {
            let input = Input::VolumeSpace {
                slot,
                capacity,
                free,
            };
            self.tell(node, start, input);
        }
    }

    pub(super) fn submit_to_volume(
        &mut self,
        node: NodeIx,
        slot: VolumeSlot,
        mut batch: DiskBatch,
        fills: Vec<(usize, Fill)>,
    ) {
        let lane = batch.lane;
        let mut copies = Vec::new();
        for (at, fill) in fills {
            let stage = match fill {
                Fill::Stage(stage) => stage,
                copy @ Fill::Copy { .. } => {
                    copies.push((at, copy));
                    continue;
                }
            };
            let process = self.nodes[node.index()].process.as_mut();
            let held = process.and_then(|process| process.stages.remove(&stage));
            match (batch.ops.get_mut(at), held) {
                (Some(DiskOp::Append { bytes, .. }), Some(held)) => bytes.extend_from_slice(&held),
                (_, None) => {
                    let what =
                        format!("writes the bytes of stage {stage}, which there are none of");
                    self.fail(Some(node), what);
                }
                _ => {
                    let what = "puts bytes of a chunk behind what is no append".to_owned();
                    self.fail(Some(node), what);
                }
            }
        }
        if let Some(disk) = self.nodes[node.index()].disk_of_mut(Some(slot)) {
            disk.submit_with(batch, copies);
            self.begin_disk_op(node, Some(slot), lane);
        }
    }

    pub(super) fn drop_stage(&mut self, node: NodeIx, stage: StageId) {
        if let Some(process) = self.nodes[node.index()].process.as_mut() {
            process.stages.remove(&stage);
        }
    }

    pub(super) fn running_start(&self, node: NodeIx) -> Option<u32> {
        let process = self.nodes[node.index()].process.as_ref()?;
        Some(process.start)
    }

    /// A node's volume.
    #[must_use]
    pub fn volume(&self, node: NodeIx, slot: u16) -> Option<&SimDisk> {
        self.nodes[node.index()].disk_of(Some(VolumeSlot(slot)))
    }

    /// A node's volume, to be disturbed.
    pub fn volume_mut(&mut self, node: NodeIx, slot: u16) -> Option<&mut SimDisk> {
        self.nodes[node.index()].disk_of_mut(Some(VolumeSlot(slot)))
    }

    /// Exchanges the disks of two volumes, with all that is on them. No process of either node runs.
    pub fn swap_volumes(&mut self, one: (NodeIx, u16), other: (NodeIx, u16)) {
        let runs = |it: &(NodeIx, u16)| self.nodes[it.0.index()].process.is_some();
        if runs(&one) || runs(&other) {
            self.fail(Some(one.0), "its disk is taken out while it runs");
            return;
        }
        let mut take = |(node, slot): (NodeIx, u16)| {
            let fresh = self.settings.volume.clone();
            let volumes = &mut self.nodes[node.index()].volumes;
            let place = volumes.get_mut(usize::from(slot))?;
            Some(std::mem::replace(&mut place.disk, SimDisk::new(fresh)))
        };
        let disks = [take(one), take(other)];
        for ((node, slot), disk) in [other, one].into_iter().zip(disks) {
            let volumes = &mut self.nodes[node.index()].volumes;
            if let (Some(place), Some(disk)) = (volumes.get_mut(usize::from(slot)), disk) {
                place.disk = disk;
            }
        }
    }

    /// Makes the disk of a volume a copy of another's, as of now.
    pub fn copy_volume(&mut self, from: (NodeIx, u16), to: (NodeIx, u16)) {
        let Some(files) = self.volume(from.0, from.1).map(SimDisk::files) else {
            return;
        };
        let now = self.now;
        if let Some(disk) = self.volume_mut(to.0, to.1) {
            disk.replace(now, &files);
        }
    }

    /// How many volumes a node has.
    #[must_use]
    pub fn volumes(&self, node: NodeIx) -> u16 {
        self.nodes[node.index()].spec.volumes
    }

    /// How many chunks the driver of a node's process holds the bytes of.
    #[must_use]
    pub fn stages(&self, node: NodeIx) -> usize {
        let process = self.nodes[node.index()].process.as_ref();
        process.map_or(0, |process| process.stages.len())
    }
}

fn room(disk: &SimDisk) -> (u64, u64) {
    let capacity = disk.profile.capacity;
    (capacity, capacity.saturating_sub(disk.used()))
}

fn trouble(fault: &ScanFault) -> VolumeTrouble {
    VolumeTrouble {
        kind: VolumeTroubleKind::Failed,
        reason: fault.to_string(),
    }
}
