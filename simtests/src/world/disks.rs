//! Disk operations on their way.

use vaquita_core::disk::{DiskBatch, Lane};
use vaquita_core::io::Input;

use super::event::Event;
use super::faults::AtOp;
use super::{Factory, NodeIx, World};
use crate::disk::Progress;
use crate::streams::{Draw, Stream};

impl<F: Factory> World<F> {
    pub(super) fn submit(&mut self, node: NodeIx, batch: DiskBatch) {
        let lane = batch.lane;
        self.nodes[node.index()].disk.submit(batch);
        self.begin_disk_op(node, lane);
    }

    fn disk_draw(&mut self, node: NodeIx) -> Draw {
        let counters = &mut self.nodes[node.index()].counters;
        counters.disk += 1;
        self.streams
            .at(Stream::Disk, node.index() as u64, counters.disk)
    }

    fn begin_disk_op(&mut self, node: NodeIx, lane: Lane) {
        let mut draw = self.disk_draw(node);
        let slot = &mut self.nodes[node.index()];
        let Some(start) = slot.process.as_ref().map(|process| process.start) else {
            return;
        };
        if let Some(after) = slot.disk.begin(lane, &mut draw) {
            let at = self.now.after_nanos(after.max(1));
            self.schedule(node, at, Event::Disk { node, start, lane });
        }
    }

    /// A disk that hung goes on.
    pub(super) fn resume_disk(&mut self, node: NodeIx) {
        for lane in [Lane::Foreground, Lane::Background] {
            self.begin_disk_op(node, lane);
        }
    }

    pub(super) fn disk_op_ends(&mut self, node: NodeIx, start: u32, lane: Lane) {
        let slot = &mut self.nodes[node.index()];
        let Some(process) = slot.process_of(start) else {
            return;
        };
        if process.paused {
            process.frozen.push(Event::Disk { node, start, lane });
            return;
        }
        if slot.disk.hung {
            // What had begun when the disk began to hang ends when it goes on.
            slot.disk.lane(lane).busy = false;
            return;
        }
        let due = slot.at_op.filter(|trap| trap.op == slot.disk.ops_done());
        if let Some(trap @ AtOp { after: false, .. }) = due {
            self.spring(node, trap);
            return;
        }
        let mut draw = self.disk_draw(node);
        let progress = self.nodes[node.index()].disk.finish(lane, &mut draw);
        if let Some(trap) = due {
            self.spring(node, trap);
            return;
        }
        self.begin_disk_op(node, lane);
        if let Some(Progress::Done(ticket, result)) = progress {
            self.tell(node, start, Input::DiskDone { ticket, result });
        }
    }
}
