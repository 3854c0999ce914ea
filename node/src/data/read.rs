//! Reading the bytes of a chunk out, on the node that keeps it: nothing leaves unverified.

use bytes::Bytes;
use tracing::warn;
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::digest::{BLOCK, Digest};
use vaquita_core::dfs::ids::{ChunkVersion, VolumeSlot};
use vaquita_core::disk::DiskFaultKind;
use vaquita_core::store::{Extent, StoreAnswer, StoreAsk};

use super::Data;
use super::asks::odd;
use super::budget::Share;
use super::volumes::VolumeFault;
use crate::env::Env;

/// Most blocks that one reading covers: their checksums travel in one frame.
const BLOCKS_MAX: u64 = 64 * 1024;
const BLOCK_LEN: u64 = BLOCK as u64;

/// A run of whole blocks of a chunk, being read.
pub(crate) struct Reading<E: Env> {
    data: Data<E>,
    version: ChunkVersion,
    even_damaged: bool,
    volume: VolumeSlot,
    extent: Extent,
    /// Offset in the chunk of the first byte.
    begin: u64,
    /// Offset in the chunk of the next byte to read.
    next: u64,
    end: u64,
    /// Checksums of the blocks from the first on.
    crcs: Vec<u32>,
    /// Bytes that came with the checksums: the first piece, not verified yet.
    came_along: Option<Bytes>,
    _share: Share,
}

/// Why bytes cannot be sent.
enum Unfit {
    /// They are not what was written, or the disk does not give them back any more.
    Damaged(String),
    /// They could not be had at present, which says nothing of them.
    Unavailable(String),
}

impl<E: Env> Reading<E> {
    /// Finds a chunk and begins to read all blocks that the range touches. One that is known to be
    /// damaged is found only if its whole blocks are wanted all the same.
    pub(crate) async fn open(
        data: &Data<E>,
        version: ChunkVersion,
        offset: u64,
        len: u64,
        even_damaged: bool,
    ) -> Result<Self, Refusal> {
        let (volume, extent) = find(data, version, even_damaged).await?;
        if offset > extent.len {
            return Err(Refusal::Invalid {
                reason: format!(
                    "chunk {version} has {} bytes, and those from {offset} on were asked for",
                    extent.len
                ),
            });
        }
        let begin = offset - offset % BLOCK_LEN;
        let asked = offset.saturating_add(len).min(extent.len);
        let blocks = if asked > offset {
            (asked - begin).div_ceil(BLOCK_LEN).min(BLOCKS_MAX)
        } else {
            0
        };
        let end = (begin + blocks * BLOCK_LEN).min(extent.len).max(begin);
        let share = data
            .shared
            .serving
            .take(data.shared.limits.piece_max)
            .await?;
        let mut reading = Self {
            data: data.clone(),
            version,
            even_damaged,
            volume,
            extent,
            begin,
            next: begin,
            end,
            crcs: Vec::new(),
            came_along: None,
            _share: share,
        };
        if let Err(unfit) = reading.begin_reading(blocks).await {
            reading.moved_or(unfit).await?;
            let again = reading.begin_reading(blocks).await;
            again.map_err(|unfit| reading.give_up(&unfit))?;
        }
        data.tally().chunk_read();
        Ok(reading)
    }

    /// Length of the whole chunk.
    pub(crate) const fn chunk_len(&self) -> u64 {
        self.extent.len
    }

    /// Digest of the whole chunk.
    pub(crate) const fn digest(&self) -> Digest {
        self.extent.digest
    }

    /// Offset in the chunk of the first byte that is read.
    pub(crate) const fn begin(&self) -> u64 {
        self.begin
    }

    /// How many bytes are read in all.
    pub(crate) const fn len(&self) -> u64 {
        self.end - self.begin
    }

    /// The crc32 of each block that is read.
    pub(crate) fn crcs(&self) -> &[u32] {
        &self.crcs
    }

    /// Whether a piece is still to come.
    pub(crate) const fn has_more(&self) -> bool {
        self.next < self.end
    }

    /// The next piece, whole blocks that fit their checksums; `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.has_more() {
            return Ok(None);
        }
        let bytes = match self.read_piece().await {
            Ok(bytes) => bytes,
            Err(unfit) => {
                self.moved_or(unfit).await?;
                let again = self.read_piece().await;
                again.map_err(|unfit| self.give_up(&unfit))?
            }
        };
        self.next += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Bytes of a piece at most.
    fn longest(&self) -> u64 {
        let piece_max = self.data.shared.limits.piece_max.max(BLOCK);
        (piece_max - piece_max % BLOCK) as u64
    }

    /// Reads the checksums, and the bytes with them where one reading gets both: going to the disk's
    /// threads and back costs more than a small chunk itself.
    async fn begin_reading(&mut self, blocks: u64) -> Result<(), Unfit> {
        let Extent {
            crcs_at,
            offset,
            len,
            ..
        } = self.extent;
        let table = len.div_ceil(BLOCK_LEN) * 4;
        let adjoining = crcs_at.checked_add(table) == Some(offset);
        if !adjoining || self.begin > 0 || self.end > self.longest() {
            self.crcs = self.read_crcs(blocks).await?;
            return Ok(());
        }
        let mut bytes = self.read(Some(crcs_at), table + self.end).await?;
        let behind = usize::try_from(table).unwrap_or(usize::MAX);
        let table = bytes.split_to(behind.min(bytes.len()));
        self.crcs = decode_crcs(&table);
        self.crcs
            .truncate(usize::try_from(blocks).unwrap_or(usize::MAX));
        self.came_along = Some(bytes);
        Ok(())
    }

    async fn read_piece(&mut self) -> Result<Bytes, Unfit> {
        let bytes = match self.came_along.take() {
            Some(bytes) => bytes,
            None => {
                let len = (self.end - self.next).min(self.longest());
                self.read(self.extent.offset.checked_add(self.next), len)
                    .await?
            }
        };
        let first = usize::try_from((self.next - self.begin) / BLOCK_LEN).unwrap_or(usize::MAX);
        let wrong = crcs_differ(&bytes, self.crcs.get(first..).unwrap_or_default());
        match wrong {
            None => Ok(bytes),
            Some(block) => Err(Unfit::Damaged(format!(
                "block {} of chunk {} does not fit its checksum",
                self.next / BLOCK_LEN + block as u64,
                self.version
            ))),
        }
    }

    async fn read_crcs(&self, blocks: u64) -> Result<Vec<u32>, Unfit> {
        let first = self.begin / BLOCK_LEN * 4;
        let at = self.extent.crcs_at.checked_add(first);
        let bytes = self.read(at, blocks * 4).await?;
        Ok(decode_crcs(&bytes))
    }

    async fn read(&self, at: Option<u64>, len: u64) -> Result<Bytes, Unfit> {
        let beyond = || Unfit::Damaged(format!("chunk {} lies beyond any file", self.version));
        let at = at.ok_or_else(beyond)?;
        let len = usize::try_from(len).map_err(|_| beyond())?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        let file = &self.extent.file;
        let reading = self.data.shared.volumes.read_at(self.volume, file, at, len);
        reading.await.map_err(|fault| match fault {
            VolumeFault::Disk {
                kind: DiskFaultKind::Unreadable,
                reason,
            } => Unfit::Damaged(reason),
            other => Unfit::Unavailable(other.to_string()),
        })
    }

    /// Bytes that do not fit may be those of another chunk, if this one was moved since it was
    /// found. Looks again, and gives up unless it was.
    async fn moved_or(&mut self, unfit: Unfit) -> Result<(), Refusal> {
        let (volume, extent) = find(&self.data, self.version, self.even_damaged).await?;
        let same_bytes = (extent.len, extent.digest) == (self.extent.len, self.extent.digest);
        let moved = (volume, &extent) != (self.volume, &self.extent);
        if !(moved && same_bytes) {
            return Err(self.give_up(&unfit));
        }
        (self.volume, self.extent) = (volume, extent);
        Ok(())
    }

    /// The blocks fit their checksums, and are together not what was committed.
    pub(crate) fn digest_differs(&self, found: Digest) -> Refusal {
        self.give_up(&Unfit::Damaged(format!(
            "chunk {} has the digest {found}, and should have {}",
            self.version,
            self.digest()
        )))
    }

    /// Tells the machine if the bytes are lost, and the reader in any case.
    fn give_up(&self, unfit: &Unfit) -> Refusal {
        let reason = match unfit {
            Unfit::Damaged(reason) => {
                self.data.shared.store.tell(StoreAsk::Damaged {
                    volume: self.volume,
                    version: self.version,
                    reason: reason.clone(),
                });
                reason
            }
            Unfit::Unavailable(reason) => {
                warn!("chunk {} cannot be read: {reason}", self.version);
                reason
            }
        };
        Refusal::Unavailable {
            reason: format!("{reason}; read another replica"),
        }
    }
}

pub(super) async fn find<E: Env>(
    data: &Data<E>,
    version: ChunkVersion,
    even_damaged: bool,
) -> Result<(VolumeSlot, Extent), Refusal> {
    let patience = data.shared.limits.answer_timeout;
    let ask = StoreAsk::Find {
        version,
        even_damaged,
    };
    match data.shared.store.ask(ask, patience).await? {
        StoreAnswer::Found { volume, extent } => Ok((volume, extent)),
        other => Err(odd(&other)),
    }
}

fn decode_crcs(bytes: &[u8]) -> Vec<u32> {
    let (crcs, _) = bytes.as_chunks();
    crcs.iter().map(|&crc| u32::from_le_bytes(crc)).collect()
}

/// The first block of `bytes` that does not fit its checksum, if there is one.
pub(crate) fn crcs_differ(bytes: &[u8], crcs: &[u32]) -> Option<usize> {
    let mut expected = crcs.iter();
    bytes
        .chunks(BLOCK)
        .position(|block| expected.next() != Some(&crc32fast::hash(block)))
}
