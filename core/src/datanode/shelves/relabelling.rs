//! Mending the labels of volumes in use.

use super::{Shelf, Shelves, ShelvesAround};
use crate::dfs::ids::VolumeSlot;
use crate::disk::DiskFault;
use crate::event::Event;
use crate::io::Effect;
use crate::store::label::{LabelCopy, Standing, label_batch, standing};

impl Shelves {
    /// Both copies of the label of a volume were read while it is in use. Whatever a disk has done to
    /// them is made good. Returns whether that has to be looked at again soon.
    pub(in crate::datanode) fn label_read(
        &mut self,
        slot: VolumeSlot,
        copies: &[LabelCopy; 2],
        around: &mut ShelvesAround<'_>,
    ) -> bool {
        let shelf = match self.shelves.get(usize::from(slot.0)) {
            // Nothing is written any more to one that has failed.
            Some(Shelf::Open(shelf)) if shelf.volume.state().is_readable() => shelf,
            _ => return false,
        };
        let path = self.path(slot);
        match standing(&shelf.label, copies) {
            Standing::Whole => false,
            Standing::Changed(what) if !around.planted.relabel_regardless => {
                let text = format!(
                    "somebody has changed the label of {path} while the volume is in use: {what}. \
                     Nothing was written. This process goes on with the volume; the next one goes by \
                     vaquita.vol, or by vaquita.vol.bak if the first cannot be read, and uses no volume \
                     that is not its own. Put the right label back, or have what is on the volume \
                     brought elsewhere before this node ends: `vaquita volume drain {} {path}`",
                    self.alias
                );
                around.out.notify(Event::error("volume.label", text));
                false
            }
            // A disk that takes its time with one label gets no second one.
            _ if self.relabelling.values().any(|it| *it == slot) => true,
            Standing::Heal(reason) | Standing::Changed(reason) => {
                let text = format!("the label of {path} is written again: {reason}");
                around.out.notify(Event::warning("volume.label", text));
                let ticket = around.out.ticket();
                let batch = label_batch(ticket, &shelf.label);
                around.out.push(Effect::Volume {
                    slot,
                    batch,
                    fills: Vec::new(),
                });
                self.under_way.insert(ticket, slot);
                self.relabelling.insert(ticket, slot);
                true
            }
        }
    }

    /// A label was written again, or could not be. A fault of the disk is one of the volume, as with all
    /// that is written there.
    pub(super) fn relabelled(
        &mut self,
        slot: VolumeSlot,
        result: &Result<(), DiskFault>,
        around: &mut ShelvesAround<'_>,
    ) {
        let path = self.path(slot).to_owned();
        let Some(Shelf::Open(shelf)) = self.shelf(slot) else {
            // It was put out meanwhile, and the reason was told.
            return;
        };
        let event = match result {
            Ok(()) => {
                let text = format!("both copies of the label of {path} are good again");
                Event::info("volume.label", text)
            }
            Err(fault) => {
                shelf.volume.met_beside(fault);
                let text = format!(
                    "the label of {path} could not be written again ({fault}): a volume without a \
                     good label is not used by the next process of its node. It is tried again soon, \
                     unless the volume has failed with it"
                );
                Event::error("volume.label", text)
            }
        };
        around.out.notify(event);
    }
}
