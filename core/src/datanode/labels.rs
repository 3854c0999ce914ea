//! Which volume was in which directory when the node last used it, kept in the node's home.
//!
//! It tells a disk that is not mounted from a directory that was never used.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::dfs::ids::VolumeId;
use crate::disk::{DiskFault, FileName};
use crate::event::Event;
use crate::ids::{DiskTicket, LogIndex};
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
    /// The highest epoch of a volume that was used in each directory; those are left out that have
    /// none but 0.
    #[cbor(n(1), default)]
    pub(super) epochs: BTreeMap<String, LogIndex>,
    /// How many chunks there were in each, some minutes ago at most.
    #[cbor(n(2), default)]
    pub(super) chunks: BTreeMap<String, u64>,
}

/// Name of the file it is kept in.
pub(super) fn file() -> FileName {
    FileName::fixed("volumes.state")
}

/// The memory of the node's volumes, and the source of new identities.
#[derive(Clone, Debug)]
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

    /// The highest epoch of a volume that was used in a directory.
    pub(super) fn epoch_of(&self, path: &str) -> LogIndex {
        self.remembered
            .epochs
            .get(path)
            .copied()
            .unwrap_or_default()
    }

    /// A volume is used in a directory from now on.
    pub(super) fn remember(
        &mut self,
        path: &str,
        volume: VolumeId,
        epoch: LogIndex,
        out: &mut Outbox,
    ) {
        let before = self.remembered.volumes.insert(path.to_owned(), volume);
        let newer = epoch > self.epoch_of(path);
        if newer {
            self.remembered.epochs.insert(path.to_owned(), epoch);
        }
        if before != Some(volume) || newer {
            self.save(out);
        }
    }

    /// Nothing was ever used in a directory. Returns whether something was.
    pub(super) fn forget(&mut self, path: &str, out: &mut Outbox) -> bool {
        let known = self.remembered.volumes.remove(path).is_some();
        // The epoch is kept: it tells a copy of a disk whatever else is forgotten.
        self.remembered.chunks.remove(path);
        if known {
            self.save(out);
        }
        known
    }

    /// How many chunks there are in directories.
    pub(super) fn count(&mut self, chunks: BTreeMap<String, u64>, out: &mut Outbox) {
        let mut all = self.remembered.chunks.clone();
        all.extend(chunks);
        if all != self.remembered.chunks {
            self.remembered.chunks = all;
            self.save(out);
        }
    }

    /// Volumes that were used and are at none of these directories: where, which, and about how many
    /// chunks they had.
    pub(super) fn beside(&self, paths: &[String]) -> Vec<(&str, VolumeId, u64)> {
        let all = &self.remembered.volumes;
        let elsewhere = |volume: &VolumeId| paths.iter().any(|it| all.get(it) == Some(volume));
        all.iter()
            .filter(|(path, volume)| !paths.contains(path) && !elsewhere(volume))
            .map(|(path, volume)| {
                let chunks = self.remembered.chunks.get(path).copied();
                (path.as_str(), *volume, chunks.unwrap_or_default())
            })
            .collect()
    }

    fn save(&mut self, out: &mut Outbox) {
        self.file.save(&codec::encode(&self.remembered), out);
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
