//! Whether what came is what was stored.

use vaquita_core::dfs::ask::file_digest;
use vaquita_core::dfs::digest::{Digest, Summing};

/// Makes the digest of a file of bytes that come piece by piece: that of its only chunk, or of the
/// digests of all of them.
#[derive(Clone, Debug)]
pub(in crate::cli) struct FileSumming {
    chunk_bytes: u64,
    done: Vec<(u64, Digest)>,
    current: Summing,
}

impl FileSumming {
    /// For a file whose chunks but the last have so many bytes; 0 if there is one chunk at most.
    pub(in crate::cli) fn new(chunk_bytes: u64) -> Self {
        Self {
            chunk_bytes: if chunk_bytes == 0 {
                u64::MAX
            } else {
                chunk_bytes
            },
            done: Vec::new(),
            current: Summing::default(),
        }
    }

    /// Takes the next bytes.
    pub(in crate::cli) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.chunk_bytes - self.current.len());
            let (now, later) = bytes.split_at(room.unwrap_or(usize::MAX).min(bytes.len()));
            self.current.update(now);
            bytes = later;
            if self.current.len() == self.chunk_bytes {
                self.end_chunk();
            }
        }
    }

    fn end_chunk(&mut self) {
        let summary = std::mem::take(&mut self.current).finish();
        self.done.push((summary.len, summary.digest));
    }

    /// The digest of all of them.
    pub(in crate::cli) fn finish(mut self) -> Digest {
        if !self.current.is_empty() {
            self.end_chunk();
        }
        file_digest(self.done.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_file_is_made_of_its_chunks() {
        let bytes: Vec<u8> = (0..=255).collect();
        let chunk = |range: std::ops::Range<usize>| {
            let part = &bytes[range];
            (part.len() as u64, Digest::of(part))
        };
        let several = file_digest([chunk(0..100), chunk(100..200), chunk(200..256)].into_iter());
        for piece in [1, 7, 100, 150, 256] {
            let mut summing = FileSumming::new(100);
            bytes.chunks(piece).for_each(|part| summing.update(part));
            assert_eq!(summing.finish(), several, "{piece}");
        }
        for chunk_bytes in [0, 256, 1000] {
            let mut summing = FileSumming::new(chunk_bytes);
            summing.update(&bytes);
            assert_eq!(summing.finish(), Digest::of(&bytes), "{chunk_bytes}");
        }
        assert_eq!(FileSumming::new(0).finish(), Digest::of(b""));
    }
}
