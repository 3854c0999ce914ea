//! Which volume was in which directory when the node last used it, kept in the node's home.
//!
//! It tells a disk that is not mounted from a directory that was never used.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::dfs::ids::VolumeId;
use crate::disk::{DiskFault, FileName};
use crate::event::Event;
use crate::ids::DiskTicket;
use crate::outbox::Outbox;
use crate::prng::SecretPrng;
use crate::state_file::StateFile;
use crate::wire::codec;

/// What the home remembers of the node's volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Remembered {
    /// The volume that was last used in each directory.
    #[n(0)]
    pub(super) volumes: BTreeMap<String, VolumeId>,
}

/// Name of the file it is kept in.
pub(super) fn file() -> FileName {
    FileName::fixed("volumes.state")
}

/// The memory of the node's volumes, and the source of new identities.
#[derive(Debug)]
pub(super) struct Labels {
    remembered: Remembered,
    file: StateFile,
    names: SecretPrng,
}

impl Labels {
    pub(super) fn new(remembered: Option<Remembered>, names: SecretPrng) -> Self {
        Self {
            remembered: remembered.unwrap_or_default(),
            file: StateFile::new(file()),
            names,
        }
    }

    /// The volume that was last used in a directory.
    pub(super) fn of(&self, path: &str) -> Option<VolumeId> {
        self.remembered.volumes.get(path).copied()
    }

    /// An identity for a new volume.
    pub(super) fn draw(&mut self) -> VolumeId {
        VolumeId(self.names.next_16())
    }

    /// A volume is used in a directory from now on.
    pub(super) fn remember(&mut self, path: &str, volume: VolumeId, out: &mut Outbox) {
        let before = self.remembered.volumes.insert(path.to_owned(), volume);
        if before != Some(volume) {
            self.file.save(&codec::encode(&self.remembered), out);
        }
    }

    /// A disk completion. Returns whether it was this file's.
    pub(super) fn disk_done(
        &mut self,
        ticket: DiskTicket,
        result: &Result<(), DiskFault>,
        out: &mut Outbox,
    ) -> bool {
        match self.file.disk_done(ticket, result, out) {
            None => false,
            Some(Ok(())) => true,
            Some(Err(fault)) => {
                let text = format!(
                    "{} could not be written ({fault}): a volume that is not mounted at the next start \
                     may not be recognised as such",
                    file()
                );
                out.notify(Event::error("volume.memory", text));
                true
            }
        }
    }
}
