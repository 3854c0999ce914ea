//! Looking at a chunk of this node's own: because somebody says that its bytes do not fit, or because
//! it is its turn.
//!
//! A reader cannot tell a disk that changed bytes from a network, or a memory, that did. So its word
//! has the whole chunk read here, and what is found counts. Otherwise one reader with a bad memory
//! would take good replicas out of service all over the cluster.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tracing::{info, warn};
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::digest::{BLOCK, Summing};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::io::Input;

use super::Data;
use super::read::{Reading, find};
use crate::env::Env;

/// Chunks that may wait to be looked at. A suspicion beyond them is dropped: it comes again when the
/// chunk is read again.
const SUSPECTS_MAX: usize = 64;

/// The chunks that are suspected of being damaged and have not been looked at.
#[derive(Debug)]
pub(super) struct Suspects {
    waiting: Mutex<BTreeSet<ChunkVersion>>,
    /// One at a time: many suspicions must not keep the disks from those who read and write.
    turn: Arc<Semaphore>,
}

impl Default for Suspects {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Suspects {
    /// Whether the chunk waits from now on, and did not before.
    fn add(&self, version: ChunkVersion) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.len() < SUSPECTS_MAX && waiting.insert(version)
    }

    /// How many have not been looked at.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn remove(&self, version: ChunkVersion) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&version);
    }
}

/// A chunk that waits, until this is dropped.
struct Waiting<E: Env> {
    data: Data<E>,
    version: ChunkVersion,
}

impl<E: Env> Drop for Waiting<E> {
    fn drop(&mut self) {
        self.data.shared.suspects.remove(self.version);
    }
}

impl<E: Env> Data<E> {
    /// Has a chunk of this node read and verified, in its turn. If it is damaged, the machine is told.
    pub(super) fn look_at(&self, version: ChunkVersion) {
        if !self.shared.suspects.add(version) {
            return;
        }
        let waiting = Waiting {
            data: self.clone(),
            version,
        };
        tokio::spawn(async move {
            let data = &waiting.data;
            let turn = Arc::clone(&data.shared.suspects.turn);
            // Nobody closes the semaphore.
            let _turn = turn.acquire_owned().await;
            match data.verify(version).await {
                Ok(()) => info!("chunk {version} was suspected of being damaged, and is whole"),
                Err(refusal) => warn!(
                    "chunk {version} was suspected of being damaged, and was not found whole: {refusal}"
                ),
            }
        });
    }

    /// Begins to read a chunk of this node from the disk and to verify it; the machine is told of the end.
    pub(crate) fn scrub(&self, version: ChunkVersion) {
        let data = self.clone();
        tokio::spawn(async move {
            let reader = data.clone();
            let reading = tokio::spawn(async move { reader.verify_on_disk(version).await });
            let result = match reading.await {
                Ok(result) => result.map_err(|refusal| refusal.to_string()),
                // The machine waits for an answer, whatever it is.
                Err(failure) => Err(format!("a bug in this program: {failure}")),
            };
            if let Err(reason) = &result {
                warn!("chunk {version} was read through, and not found whole: {reason}");
            }
            let scrubbed = Input::Scrubbed { version, result };
            data.shared.volumes.tell(scrubbed).await;
        });
    }

    #[cfg(test)]
    pub(super) fn suspects(&self) -> usize {
        self.shared.suspects.len()
    }

    /// Reads a chunk whole, from the disk and not from what the operating system remembers.
    async fn verify_on_disk(&self, version: ChunkVersion) -> Result<(), Refusal> {
        let (volume, extent) = find(self, version, false).await?;
        let table = extent.len.div_ceil(BLOCK as u64).saturating_mul(4);
        // Both lie side by side, in one order or the other. Their pages are forgotten as a whole only.
        let begin = extent.crcs_at.min(extent.offset);
        let end =
            (extent.crcs_at.saturating_add(table)).max(extent.offset.saturating_add(extent.len));
        let volumes = &self.shared.volumes;
        volumes
            .forget_cached(volume, &extent.file, begin, end.saturating_sub(begin))
            .await;
        self.verify(version).await
    }

    /// Reads a chunk whole. Blocks that do not fit are told to the machine on the way.
    async fn verify(&self, version: ChunkVersion) -> Result<(), Refusal> {
        let mut offset = 0;
        let mut summing = Summing::default();
        loop {
            let mut reading = Reading::open(self, version, offset, u64::MAX, false).await?;
            while let Some(bytes) = reading.next().await? {
                summing.update(&bytes);
                offset += bytes.len() as u64;
            }
            if reading.len() > 0 && offset < reading.chunk_len() {
                // One reading covers a part of a very long chunk only.
                continue;
            }
            let found = summing.finish().digest;
            return if found == reading.digest() {
                Ok(())
            } else {
                Err(reading.digest_differs(found))
            };
        }
    }
}
