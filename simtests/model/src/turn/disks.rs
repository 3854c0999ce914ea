//! What a step does to disks.

use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::disk::{DiskBatch, DiskOp, Lane};
use vaquita_core::io::Input;
use vaquita_core::store::scan::{VolumeRead as _, scan_planted};
use vaquita_core::store::{Fill, Opened};

use super::Turn;
use crate::disk::Disk;
use crate::process::{Directory, Who};
use crate::setup::Place;
use crate::site::Shared;

/// Room on every volume.
const CAPACITY: u64 = 1 << 24;

impl Turn<'_> {
    pub(super) fn queue_batch(&mut self, who: Who, directory: Directory, batch: DiskBatch) {
        if let Some(process) = self.process_mut(who) {
            let lane = (directory, batch.lane);
            process.batches.entry(lane).or_default().push_back(batch);
        }
    }

    /// Puts the bytes of chunks where the machine wants them.
    pub(super) fn filled(
        &mut self,
        who: Who,
        mut batch: DiskBatch,
        fills: &mut Vec<(usize, Fill)>,
    ) -> DiskBatch {
        for (at, fill) in fills.drain(..) {
            let held = match fill {
                Fill::Stage(stage) => self
                    .process_mut(who)
                    .and_then(|process| process.stages.remove(&stage)),
                Fill::Copy {
                    ref file, crcs_at, ..
                } => {
                    let len = usize::try_from(fill.copied().unwrap_or(0)).unwrap_or(0);
                    let mut bytes = vec![0; len];
                    let volume = &self.site.spot(who.place).volume;
                    let read = volume.read_at(file, crcs_at, &mut bytes);
                    read.is_ok_and(|read| read == len).then_some(bytes)
                }
            };
            match (batch.ops.get_mut(at), held) {
                (Some(DiskOp::Append { bytes, .. }), Some(held)) => bytes.extend(held),
                _ => self.fail("writes bytes of a chunk that its driver does not have".to_owned()),
            }
        }
        batch
    }

    pub(super) fn disk_mut(&mut self, place: Place, directory: Directory) -> &mut Shared<Disk> {
        let spot = self.site.spot_mut(place);
        match directory {
            Directory::Home => &mut spot.home,
            Directory::Volume => &mut spot.volume,
        }
    }

    pub(super) fn carry_out(&mut self, place: Place, directory: Directory, batch: DiskBatch) {
        let disk = self.disk_mut(place, directory);
        let done = disk.change(Disk::fingerprint, |disk| {
            batch.ops.into_iter().try_for_each(|op| disk.apply(op))
        });
        if let Err(what) = done {
            let name = self.setup.name(place);
            self.fail(format!("{name} {what}"));
        }
    }

    /// The first batch of a lane is done, and its process is told so.
    pub(crate) fn finish_batch(&mut self, place: Place, lane: (Directory, Lane)) {
        let Some(who) = self.site.running(place) else {
            return;
        };
        let Some(process) = self.process_mut(who) else {
            return;
        };
        let Some(batches) = process.batches.get_mut(&lane) else {
            return;
        };
        let batch = batches.pop_front();
        if batches.is_empty() {
            process.batches.remove(&lane);
        }
        let Some(batch) = batch else { return };
        let ticket = batch.ticket;
        self.carry_out(place, lane.0, batch);
        let input = match lane.0 {
            Directory::Home => Input::DiskDone {
                ticket,
                result: Ok(()),
            },
            Directory::Volume => Input::VolumeDone {
                slot: VolumeSlot(0),
                ticket,
                result: Ok(()),
            },
        };
        self.tell(who, input);
    }

    /// Opening takes no time: nothing else is asked of a volume before it is open.
    pub(super) fn open_volume(&mut self, who: Who, slot: VolumeSlot) {
        let volume = &self.site.spot(who.place).volume;
        let scanned = scan_planted(&**volume, self.setup.planted);
        match scanned {
            Ok((label, found)) => {
                let opened = Opened {
                    label,
                    capacity: CAPACITY,
                    free: CAPACITY,
                    found,
                };
                let result = Ok(opened);
                self.queue
                    .push_back((who, Input::VolumeOpened { slot, result }));
            }
            Err(fault) => {
                let name = self.setup.name(who.place);
                self.fail(format!("{name} cannot read its volume: {fault}"));
            }
        }
    }
}
