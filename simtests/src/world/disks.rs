//! Disk operations on their way.

use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::disk::{DiskBatch, Lane};
use vaquita_core::io::Input;

use super::event::Event;
use super::faults::AtOp;
use super::node::Node;
use super::{Factory, NodeIx, World};
use crate::disk::{Progress, SimDisk};
use crate::streams::{Draw, Stream};

/// Which of a node's disks: its home's, or a volume's.
pub(super) type Which = Option<VolumeSlot>;

impl<M> Node<M> {
    /// One of its disks; `None` for a volume that it does not have.
    pub(super) fn disk_of(&self, which: Which) -> Option<&SimDisk> {
        match which {
            None => Some(&self.disk),
            Some(slot) => Some(&self.volumes.get(usize::from(slot.0))?.disk),
        }
    }

    /// The same, to be changed.
    pub(super) fn disk_of_mut(&mut self, which: Which) -> Option<&mut SimDisk> {
        match which {
            None => Some(&mut self.disk),
            Some(slot) => Some(&mut self.volumes.get_mut(usize::from(slot.0))?.disk),
        }
    }

    /// What happens at a certain operation of one of its disks.
    pub(super) fn trap(&mut self, which: Which) -> Option<&mut Option<AtOp>> {
        match which {
            None => Some(&mut self.at_op),
            Some(slot) => Some(&mut self.volumes.get_mut(usize::from(slot.0))?.at_op),
        }
    }

    /// Every disk that it has.
    pub(super) fn disks(&self) -> impl Iterator<Item = Which> + use<M> {
        let slots = u16::try_from(self.volumes.len()).unwrap_or(u16::MAX);
        std::iter::once(None).chain((0..slots).map(|slot| Some(VolumeSlot(slot))))
    }
}

/// By what the decisions about a disk are told from those about others.
pub(super) fn disk_key(node: NodeIx, which: Which) -> u64 {
    let slot = which.map_or(0, |slot| u64::from(slot.0) + 1);
    slot << 32 | node.index() as u64
}

impl<F: Factory> World<F> {
    pub(super) fn submit(&mut self, node: NodeIx, batch: DiskBatch) {
        let lane = batch.lane;
        self.nodes[node.index()].disk.submit(batch);
        self.begin_disk_op(node, None, lane);
    }

    pub(super) fn disk_draw(&mut self, node: NodeIx, which: Which) -> Draw {
        let slot = &mut self.nodes[node.index()];
        let number = match which.map(|which| slot.volumes.get_mut(usize::from(which.0))) {
            Some(Some(volume)) => &mut volume.draws,
            Some(None) | None => &mut slot.counters.disk,
        };
        *number += 1;
        self.streams
            .at(Stream::Disk, disk_key(node, which), *number)
    }

    pub(super) fn begin_disk_op(&mut self, node: NodeIx, which: Which, lane: Lane) {
        let mut draw = self.disk_draw(node, which);
        let slot = &mut self.nodes[node.index()];
        let Some(start) = slot.process.as_ref().map(|process| process.start) else {
            return;
        };
        let Some(disk) = slot.disk_of_mut(which) else {
            return;
        };
        if let Some(after) = disk.begin(lane, &mut draw) {
            let at = self.now.after_nanos(after.max(1));
            self.schedule(
                node,
                at,
                Event::Disk {
                    node,
                    start,
                    which,
                    lane,
                },
            );
        }
    }

    /// A disk that hung goes on.
    pub(super) fn resume_disk(&mut self, node: NodeIx, which: Which) {
        for lane in [Lane::Foreground, Lane::Background] {
            self.begin_disk_op(node, which, lane);
        }
    }

    pub(super) fn disk_op_ends(&mut self, node: NodeIx, start: u32, which: Which, lane: Lane) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process_of(start) else {
            return;
        };
        if process.paused {
            process.frozen.push(Event::Disk {
                node,
                start,
                which,
                lane,
            });
            return;
        }
        let Some(disk) = slot.disk_of_mut(which) else {
            return;
        };
        if disk.hung {
            // What had begun when the disk began to hang ends when it goes on.
            disk.lane(lane).busy = false;
            return;
        }
        let due = self.trap_due(node, which);
        if let Some(trap @ AtOp { after: false, .. }) = due {
            self.spring(node, which, trap);
            return;
        }
        let mut draw = self.disk_draw(node, which);
        let disk = self.nodes[node.index()].disk_of_mut(which);
        let progress = disk.and_then(|disk| disk.finish(lane, &mut draw));
        if let Some(trap) = due {
            self.spring(node, which, trap);
            return;
        }
        self.begin_disk_op(node, which, lane);
        if let Some(Progress::Done(ticket, result)) = progress {
            let input = match which {
                None => Input::DiskDone { ticket, result },
                Some(slot) => Input::VolumeDone {
                    slot,
                    ticket,
                    result,
                },
            };
            self.tell(node, start, input);
        }
    }

    /// What is to happen at the operation of a disk that is about to end.
    pub(super) fn trap_due(&mut self, node: NodeIx, which: Which) -> Option<AtOp> {
        let slot = &mut self.nodes[node.index()];
        let done = slot.disk_of(which)?.ops_done();
        slot.trap(which)?.filter(|trap| trap.op == done)
    }
}
