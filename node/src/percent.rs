//! Percent signs in addresses: names are encoded once, and decoded exactly once.

use std::fmt::Write as _;

use thiserror::Error;
use vaquita_core::dfs::path::DfsPath;

/// Why a text of an address stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    /// A percent sign without two hexadecimal digits behind it.
    #[error(
        "a `%` in it is not followed by two hexadecimal digits; a percent sign itself is `%25`"
    )]
    Escape,
    /// The bytes are no text.
    #[error("its `%` signs do not spell UTF-8")]
    Utf8,
}

/// A name as one segment of a path: no name leads anywhere else.
pub(crate) fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The address of a file or directory on a data node: `/dfs/a/b`, and `/dfs/` for the root.
pub(crate) fn file_target(path: &DfsPath) -> String {
    let mut target = String::from("/dfs");
    for name in path.names() {
        target.push('/');
        // A dot within a name means nothing to anybody, and file names are read by people.
        target.push_str(&segment(name).replace("%2E", "."));
    }
    if path.is_root() {
        target.push('/');
    }
    target
}

/// The text that `text` stands for.
pub(crate) fn decoded(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(rest.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(Malformed::Escape);
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| Malformed::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_comes_back_as_it_was() {
        for name in ["a.csv", "a b", "100%", "%2f", "grün", "日本", "?#&=+", "\0"] {
            assert_eq!(decoded(&segment(name)).as_deref(), Ok(name));
        }
    }

    #[test]
    fn decoding_is_done_once() {
        assert_eq!(decoded("%252f").as_deref(), Ok("%2f"));
        assert_eq!(decoded("a+b").as_deref(), Ok("a+b"));
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        for text in ["%", "a%2", "%zz", "%+1", "%%41"] {
            assert_eq!(decoded(text), Err(Malformed::Escape), "{text}");
        }
        // A lone continuation, an overlong slash, half of a pair.
        for text in ["%ff", "%c0%af", "%ed%a0%80"] {
            assert_eq!(decoded(text), Err(Malformed::Utf8), "{text}");
        }
    }

    #[test]
    fn the_address_of_a_file_is_readable() {
        let target = |text: &str| file_target(&DfsPath::parse(text).unwrap());
        assert_eq!(target("dfs://data/a.csv"), "/dfs/data/a.csv");
        assert_eq!(target("dfs://a b/50%"), "/dfs/a%20b/50%25");
        assert_eq!(target("dfs://"), "/dfs/");
    }
}
