//! One file: what a process reads back, what the platter holds, and what was promised.

use crate::streams::{Draw, index};

/// The unit that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// What a power cut makes of writes that no sync had covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// They reached the platter in order, up to some sector.
    Prefix,
    /// Any of their sectors did, in any order.
    Subset,
    /// As [`Tear::Subset`], and some sectors hold what nobody wrote.
    Garbage,
}

/// What the page cache shows after a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// The written bytes, marked clean: they read well, no later sync writes them, and a power cut
    /// loses them (ext4).
    KeepsCache,
    /// What the platter has (btrfs).
    DropsCache,
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct SimFile {
    /// What a read returns.
    cache: Vec<u8>,
    /// What survives a power cut for certain.
    platter: Vec<u8>,
    /// What a successful sync said is durable, as far as the process has not cut it off since.
    promised: Vec<u8>,
    /// From where on the cache holds bytes that no sync has covered; `None` if it holds none.
    dirty_from: Option<usize>,
    /// From where on the cache differs from what was promised.
    unpromised_from: usize,
}

impl SimFile {
    pub(super) fn read(&self) -> &[u8] {
        &self.cache
    }

    pub(super) fn promised(&self) -> &[u8] {
        &self.promised
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty_from.is_some()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.touch(self.cache.len());
        self.cache.extend_from_slice(bytes);
    }

    /// Sets the length; a process that cuts bytes off gives up the promise about them.
    pub(super) fn set_len(&mut self, len: usize) {
        if len == self.cache.len() {
            return;
        }
        self.touch(len.min(self.cache.len()));
        self.cache.resize(len, 0);
        self.promised.truncate(len);
        self.unpromised_from = self.unpromised_from.min(self.promised.len());
    }

    fn touch(&mut self, from: usize) {
        self.dirty_from = Some(self.dirty_from.map_or(from, |dirty| dirty.min(from)));
        self.unpromised_from = self.unpromised_from.min(from);
    }

    /// A sync that succeeds; a lying one writes nothing.
    pub(super) fn sync(&mut self, lying: bool) {
        if !lying && let Some(from) = self.dirty_from.take() {
            // Where an earlier sync failed, the platter may end before the first byte that is
            // still to be written.
            self.platter.resize(from, 0);
            self.platter.extend_from_slice(&self.cache[from..]);
        }
        let known = self.unpromised_from.min(self.promised.len());
        self.promised.truncate(known);
        self.promised.extend_from_slice(&self.cache[known..]);
        self.unpromised_from = self.cache.len();
    }

    /// A sync that fails: some of the bytes got to the platter, and none of them counts as dirty
    /// any more.
    pub(super) fn fail_sync(&mut self, tear: Tear, how: FailedSync, draw: &mut Draw) {
        self.platter = self.torn(tear, draw);
        self.dirty_from = None;
        if how == FailedSync::DropsCache {
            self.cache.clone_from(&self.platter);
            self.unpromised_from = self.unpromised_from.min(self.cache.len());
        }
    }

    /// Reads come from the platter from now on, unless there is something to be written.
    pub(super) fn drop_clean_cache(&mut self) {
        if self.dirty_from.is_none() && self.cache != self.platter {
            self.cache.clone_from(&self.platter);
            self.unpromised_from = self.unpromised_from.min(self.cache.len());
        }
    }

    /// The power is cut. Returns the offset of the first byte that was promised and is not there.
    pub(super) fn power_cut(&mut self, tear: Tear, draw: &mut Draw) -> Option<usize> {
        let left = self.torn(tear, draw);
        let kept = self
            .promised
            .iter()
            .zip(&left)
            .take_while(|(was, is)| was == is)
            .count();
        let lost = (kept < self.promised.len()).then_some(kept);
        self.platter.clone_from(&left);
        self.promised.truncate(kept);
        self.unpromised_from = kept;
        self.cache = left;
        self.dirty_from = None;
        lost
    }

    /// Flips one bit, wherever the byte is kept.
    pub(super) fn rot(&mut self, draw: &mut Draw) -> Option<usize> {
        let len = self.platter.len().min(self.cache.len());
        if len == 0 {
            return None;
        }
        let at = index(draw.below(len as u64));
        let bit = 1 << draw.below(8);
        self.platter[at] ^= bit;
        self.cache[at] ^= bit;
        if let Some(byte) = self.promised.get_mut(at) {
            *byte ^= bit;
        }
        Some(at)
    }

    /// What the platter holds if the dirty bytes reached it as `tear` says.
    ///
    /// Bytes in front of the first dirty one survive even within a sector that is written again: a
    /// disk that destroys what it had acknowledged is another fault, and has its own name.
    fn torn(&self, tear: Tear, draw: &mut Draw) -> Vec<u8> {
        let Some(from) = self.dirty_from else {
            return self.platter.clone();
        };
        let first = from / SECTOR;
        let longest = self.cache.len().max(self.platter.len());
        let sectors = longest.div_ceil(SECTOR);
        // The length is metadata: it may be the old one, the new one, or lie where writing stopped.
        let len = match draw.below(4) {
            0 => self.platter.len(),
            1 => self.cache.len(),
            _ => {
                let short = self.cache.len().min(self.platter.len()).max(from);
                let at = index(draw.between(short as u64, longest.max(short) as u64));
                match draw.below(2) {
                    0 => at.next_multiple_of(SECTOR).min(longest),
                    _ => at,
                }
            }
        };
        let stop = first + index(draw.below((sectors - first.min(sectors)) as u64 + 1));
        let mut bytes = self.platter.clone();
        bytes.resize(longest, 0);
        for sector in first..sectors {
            let start = (sector * SECTOR).max(from);
            let end = ((sector + 1) * SECTOR).min(longest);
            let fate = match tear {
                Tear::Prefix if sector < stop => Fate::New,
                Tear::Prefix => Fate::Old,
                Tear::Subset => *draw.pick(&[Fate::Old, Fate::New]),
                Tear::Garbage => *draw.pick(&[Fate::Old, Fate::New, Fate::New, Fate::Garbage]),
            };
            match fate {
                Fate::Old => {}
                Fate::New => {
                    let new = self.cache.get(start..).unwrap_or_default();
                    let len = new.len().min(end - start);
                    bytes[start..start + len].copy_from_slice(&new[..len]);
                    bytes[start + len..end].fill(0);
                }
                Fate::Garbage => {
                    for byte in &mut bytes[start..end] {
                        *byte = draw.below(256).to_le_bytes()[0];
                    }
                }
            }
        }
        bytes.truncate(len);
        bytes
    }
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Old,
    New,
    Garbage,
}
