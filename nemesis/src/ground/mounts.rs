//! What is mounted, as the kernel tells.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// A file system at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Such as `/dev/loop0`.
    pub(super) source: String,
    pub(super) at: PathBuf,
    /// Such as `ext4`.
    pub(super) kind: String,
}

/// The kernel's list. It is read anew each time, also where its path leads elsewhere by now.
#[derive(Debug)]
pub(super) struct Mounts(File);

const PATH: &str = "/proc/self/mounts";

impl Mounts {
    pub(super) fn open() -> Result<Self, String> {
        let file = File::open(PATH).map_err(|error| format!("{PATH}: {error}"))?;
        Ok(Self(file))
    }

    /// All of them, the oldest first.
    pub(super) fn read(&mut self) -> Result<Vec<Mount>, String> {
        let mut bytes = Vec::new();
        let read = self
            .0
            .rewind()
            .and_then(|()| self.0.read_to_end(&mut bytes));
        read.map_err(|error| format!("{PATH}: {error}"))?;
        Ok(bytes
            .split(|byte| *byte == b'\n')
            .filter_map(mount)
            .collect())
    }
}

/// What is mounted at a path, on top of whatever else is; the path is as [`std::fs::canonicalize`] has it.
pub(super) fn at(path: &Path) -> Result<Option<Mount>, String> {
    let mounts = Mounts::open()?.read()?;
    Ok(mounts.into_iter().rfind(|mount| mount.at == path))
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ').map(plain);
    Some(Mount {
        source: String::from_utf8_lossy(&words.next()?).into_owned(),
        at: OsString::from_vec(words.next()?).into(),
        kind: String::from_utf8_lossy(&words.next()?).into_owned(),
    })
}

/// A word of the list without its escapes: a blank, a tab, a line's end, `#` and `\` are a backslash and three
/// octal digits.
fn plain(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, more @ ..] = rest {
        let octal = match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &more[3..] } else { more };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_and_backslashes_is_what_it_was() {
        let line = br"/dev/loop3 /tmp/a\040b\134c\0119 ext4 rw,relatime 0 0";
        let expected = Mount {
            source: "/dev/loop3".to_owned(),
            at: PathBuf::from("/tmp/a b\\c\t9"),
            kind: "ext4".to_owned(),
        };
        assert_eq!(mount(line), Some(expected));
        assert_eq!(mount(b""), None);
    }

    #[test]
    fn the_kernel_tells_of_a_root() {
        assert!(at(Path::new("/")).is_ok_and(|it| it.is_some()));
        assert_eq!(at(Path::new("/proc/self/nothing here")), Ok(None));
    }
}
