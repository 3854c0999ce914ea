//! Bytes to write and to recognise when they are read back.

/// Bytes that do not repeat, from which files of any length up to a limit are cut.
///
/// Files begin at different places of the same bytes: so many gigabytes are written from so little
/// memory, while neither a file that was taken for another one nor a block that was passes for right.
#[derive(Debug)]
pub struct Content {
    bytes: Vec<u8>,
    len_max: usize,
}

/// Places at which files begin: one for each byte of the length by which the pool is longer than the
/// longest file.
const BEGINNINGS: usize = 1 << 20;

impl Content {
    /// Content for files of up to `len_max` bytes.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        let len = len_max + BEGINNINGS;
        let mut bytes = Vec::with_capacity(len + 8);
        let mut at = 0;
        while bytes.len() < len {
            bytes.extend_from_slice(&scatter(at).to_le_bytes());
            at += 1;
        }
        bytes.truncate(len);
        Self { bytes, len_max }
    }

    /// The bytes of file number `file`.
    ///
    /// # Panics
    /// If it is longer than the longest that there is content for.
    #[must_use]
    pub fn of(&self, file: u64, len: usize) -> &[u8] {
        assert!(len <= self.len_max, "content is made for shorter files");
        let at = usize::try_from(scatter(file) % BEGINNINGS as u64).unwrap_or_default();
        &self.bytes[at..at + len]
    }
}

/// A number that looks drawn at random (the finaliser of SplitMix64: Steele, Lea and Flood, 2014).
#[must_use]
pub const fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_same_bytes_again_and_another_file_has_others() {
        let content = Content::new(5000);
        assert_eq!(content.of(1, 5000), content.of(1, 5000));
        assert_ne!(content.of(1, 100), content.of(2, 100));
        assert_eq!(content.of(1, 5000)[..100], *content.of(1, 100));
    }
}
