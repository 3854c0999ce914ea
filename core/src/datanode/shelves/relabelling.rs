//! Mending the labels of volumes in use.

use super::{Shelf, Shelves};
use crate::dfs::ids::VolumeSlot;
use crate::disk::DiskFault;
use crate::event::Event;
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::store::label::{LabelCopy, Standing, label_batch, standing};

impl Shelves {
    /// Both copies of the label of a volume were read while it is in use. Whatever a disk has done to
    /// them is made good.
    pub(in crate::datanode) fn label_read(
        &mut self,
        slot: VolumeSlot,
        copies: &[LabelCopy; 2],
        out: &mut Outbox,
    ) {
        let Some(Shelf::Open(shelf)) = self.shelves.get(usize::from(slot.0)) else {
            return;
        };
        let path = self.path(slot);
        match standing(&shelf.label, copies) {
            Standing::Whole => {}
            Standing::Heal(reason) => {
                let text = format!("the label of {path} is written again: {reason}");
                out.notify(Event::warning("volume.label", text));
                let ticket = out.ticket();
                let batch = label_batch(ticket, &shelf.label);
                out.push(Effect::Volume {
                    slot,
                    batch,
                    fills: Vec::new(),
                });
                self.under_way.insert(ticket, slot);
                self.relabelling.insert(ticket);
            }
            Standing::Changed(what) => {
                let text = format!(
                    "somebody has changed the label of {path} while the volume is in use: {what}. \
                     Nothing was written. This process goes on with the volume, and the next one will \
                     not take it: put vaquita.vol back from a copy, or have what is on it brought \
                     elsewhere before this node ends, with `vaquita volume drain {} {path}`",
                    self.alias
                );
                out.notify(Event::error("volume.label", text));
            }
        }
    }

    /// A label was written again, or could not be.
    pub(super) fn relabelled(
        &self,
        slot: VolumeSlot,
        result: &Result<(), DiskFault>,
        out: &mut Outbox,
    ) {
        if let Err(fault) = result {
            let text = format!(
                "the label of {} could not be written again ({fault}). It is tried again when it is \
                 looked at the next time; check the disk before this node ends, since a volume without \
                 a good label is not used",
                self.path(slot)
            );
            out.notify(Event::error("volume.label", text));
        }
    }
}
