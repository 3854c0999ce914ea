//! Little-endian numbers at fixed offsets of fixed-size headers.

/// Copies `bytes` to `at`.
pub(crate) fn put<const N: usize>(header: &mut [u8; N], at: usize, bytes: &[u8]) {
    header[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The `M` bytes at `at`.
pub(crate) fn bytes_at<const N: usize, const M: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    let mut bytes = [0; M];
    bytes.copy_from_slice(&header[at..at + M]);
    bytes
}

/// The 16-bit number at `at`.
pub(crate) fn u16_at<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(header, at))
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(header, at))
}

/// The 64-bit number at `at`.
pub(crate) fn u64_at<const N: usize>(header: &[u8; N], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(header, at))
}

/// CRC-32 of `parts` one after the other, continued from `seed`.
pub(crate) fn crc(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}
