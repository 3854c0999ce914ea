//! What clients write: bytes that follow from a number and begin with it, so that whoever reads them knows whose
//! they are, and that nothing of them is missing or another's.

use bytes::Bytes;
use vaquita_core::prng::{Prng, mix};

/// One content in so many is longer than a packed chunk, and gets a file of its own on its volumes.
const LARGE_IN: u64 = 64;
const LARGE: u64 = 1_200_000;
const SMALL_MAX: u64 = 24_000;
/// The number, in hexadecimal digits, and a line's end.
const HEAD: usize = 17;

/// The bytes of a content.
pub(crate) fn content(number: u64) -> Bytes {
    let mut prng = Prng::new(mix(number));
    let len = match prng.below(LARGE_IN) {
        0 => LARGE + prng.below(SMALL_MAX),
        _ => HEAD as u64 + prng.below(SMALL_MAX),
    };
    let len = usize::try_from(len).unwrap_or_default();
    let mut bytes = format!("{number:016x}\n").into_bytes();
    bytes.reserve(len);
    while bytes.len() < len {
        bytes.extend_from_slice(&prng.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// Which content these bytes are.
///
/// # Errors
/// If they are none, as a whole.
pub(crate) fn number_of(bytes: &[u8]) -> Result<u64, String> {
    let head = bytes.get(..HEAD - 1);
    let digits = head.and_then(|head| std::str::from_utf8(head).ok());
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let number = number.ok_or_else(|| {
        let len = bytes.len();
        format!("{len} bytes that no client has written")
    })?;
    let right = content(number);
    if right == bytes {
        return Ok(number);
    }
    let same = right.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} bytes that begin like content {number}, which has {}, and differ from byte {same} on",
        bytes.len(),
        right.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_known_by_its_bytes_and_nothing_else_is_one() {
        for number in 0..200 {
            let bytes = content(number);
            assert_eq!(number_of(&bytes), Ok(number));
            assert!(number_of(&bytes[..bytes.len() - 1]).is_err());
            let mut other = bytes.to_vec();
            *other.last_mut().unwrap() ^= 1;
            assert!(number_of(&other).is_err());
        }
        assert!(number_of(b"").is_err());
        assert!((0..200).any(|number| content(number).len() > 1 << 20));
    }
}
