//! What a machine may ask of the directory it owns, and what can go wrong there.
//!
//! A machine never touches a file. It emits [`DiskBatch`]es; the driver carries out the batches of
//! a [`Lane`] one after the other, in the order in which they were emitted, and reports each by its
//! ticket. Within a batch the operations run in order and the first failure ends it, so that a
//! `Sync` behind a failed `Append` is never reached.
//!
//! The vocabulary is that of POSIX, with its traps made explicit: data is durable after
//! [`DiskOp::Sync`] of its file, a name only after [`DiskOp::SyncDir`], and a failed sync says
//! nothing about which bytes reached the platter (Rebello et al., "Can applications recover from
//! fsync failures?", USENIX ATC 2020). A batch whose sync failed is therefore never repeated.

#[cfg(test)]
mod tests;

use core::fmt;
use std::collections::BTreeMap;

use thiserror::Error;

use crate::ids::DiskTicket;

/// Name of a file directly in a machine's directory.
///
/// Lower-case letters, digits, `.`, `-` and `_`, not beginning with a dot: nothing that could leave
/// the directory or differ between file systems.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// Checks a name.
    ///
    /// Returns `None` for a name that breaks the grammar above; names found on a disk are other
    /// people's and may do so.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let legal =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let well_formed = !name.is_empty()
            && name.len() <= 100
            && !name.starts_with('.')
            && name.bytes().all(legal);
        well_formed.then(|| Self(name.to_owned()))
    }

    /// A name known when the program was written.
    ///
    /// # Panics
    /// If it breaks the grammar.
    #[must_use]
    pub fn fixed(name: &'static str) -> Self {
        Self::new(name).expect("a file name in the source follows the grammar of FileName")
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which this file is prepared before it is renamed into place.
    #[must_use]
    pub fn temporary(&self) -> Self {
        Self(format!("{}.tmp", self.0))
    }

    /// Whether it is such a name: what has it at a start is a leftover.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.ends_with(".tmp")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One operation on the machine's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Creates an empty file; fails if the name is taken.
    CreateNew {
        /// The file.
        file: FileName,
    },
    /// Creates an empty file, or empties the one that has the name. For temporary files, whose
    /// leftovers mean nothing.
    CreateOrEmpty {
        /// The file.
        file: FileName,
    },
    /// Writes all of `bytes` at `offset`, which is the file's present length.
    Append {
        /// The file.
        file: FileName,
        /// Where the bytes go.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Cuts the file to `len` bytes.
    Truncate {
        /// The file.
        file: FileName,
        /// The length that stays.
        len: u64,
    },
    /// Gives the file real space, made if need be: `len` bytes, or a [twentieth](RESERVE_SHARE) of
    /// the file system where that is less. What they read as does not matter.
    ///
    /// Fails for want of space unless as much again stays free. A file that has that much already
    /// is left as it is, however full the disk.
    Reserve {
        /// The file.
        file: FileName,
        /// Its length.
        len: u64,
    },
    /// Makes the file's bytes and length durable (`fdatasync`).
    Sync {
        /// The file.
        file: FileName,
    },
    /// Renames a file, replacing what has the new name.
    Rename {
        /// The present name.
        from: FileName,
        /// The new name.
        to: FileName,
    },
    /// Removes a file; succeeds if there is none.
    Remove {
        /// The file.
        file: FileName,
    },
    /// Makes creations, renames and removals durable (`fsync` of the directory).
    SyncDir,
}

impl DiskOp {
    /// Carries the operation out on a directory in memory, in which everything is durable at once and
    /// space never ends. For clusters in which the disk has no faults.
    ///
    /// # Panics
    /// If a file system would refuse it: a name is taken, a file is not there, bytes do not go to its end,
    /// or a cut would make it longer.
    #[doc(hidden)]
    pub fn apply_in_memory(&self, files: &mut BTreeMap<FileName, Vec<u8>>) {
        let in_memory = |len: u64| usize::try_from(len).expect("a length in memory");
        match self {
            Self::CreateNew { file } => {
                let taken = files.insert(file.clone(), Vec::new());
                assert!(taken.is_none(), "{file} is created, and there is one");
            }
            Self::CreateOrEmpty { file } => {
                files.insert(file.clone(), Vec::new());
            }
            Self::Append {
                file,
                offset,
                bytes,
            } => {
                let contents = there(files, file);
                let end = contents.len() as u64;
                assert_eq!(end, *offset, "{file} is written at its end");
                contents.extend_from_slice(bytes);
            }
            Self::Truncate { file, len } => {
                let contents = there(files, file);
                let (is, becomes) = (contents.len(), in_memory(*len));
                assert!(becomes <= is, "{file} has {is} bytes and is cut to {len}");
                contents.truncate(becomes);
            }
            Self::Reserve { file, len } => {
                let contents = files.entry(file.clone()).or_default();
                contents.resize(contents.len().max(in_memory(*len)), 0);
            }
            Self::Sync { file } => {
                there(files, file);
            }
            Self::Rename { from, to } => {
                let contents = core::mem::take(there(files, from));
                files.remove(from);
                files.insert(to.clone(), contents);
            }
            Self::Remove { file } => {
                files.remove(file);
            }
            Self::SyncDir => {}
        }
    }
}

/// What a file has that must be there.
fn there<'a>(files: &'a mut BTreeMap<FileName, Vec<u8>>, file: &FileName) -> &'a mut Vec<u8> {
    let contents = files.get_mut(file);
    contents.unwrap_or_else(|| panic!("there is no {file}"))
}

/// Which part of a file system, one in so many, [`DiskOp::Reserve`] sets aside at most: what is kept
/// for the worst case must not be what fills a small disk.
pub const RESERVE_SHARE: u64 = 20;

/// Which queue of the directory a batch waits in.
///
/// Batches of one lane are carried out strictly in order; the lanes do not wait for each other, so
/// that writing a large checkpoint does not delay a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What somebody waits for.
    Foreground,
    /// What nobody waits for: checkpoints and the removal of what they replace.
    Background,
}

/// Operations that run in order until one fails, reported as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskBatch {
    /// By which the completion is recognised.
    pub ticket: DiskTicket,
    /// The queue it waits in.
    pub lane: Lane,
    /// What to do.
    pub ops: Vec<DiskOp>,
}

impl DiskBatch {
    /// The operations that replace a whole small file so that a crash leaves the old one or the
    /// new one, and so that after success it is the new one.
    #[must_use]
    pub fn replace_file(ticket: DiskTicket, file: &FileName, bytes: Vec<u8>) -> Self {
        let temporary = file.temporary();
        let ops = vec![
            DiskOp::CreateOrEmpty {
                file: temporary.clone(),
            },
            DiskOp::Append {
                file: temporary.clone(),
                offset: 0,
                bytes,
            },
            DiskOp::Sync {
                file: temporary.clone(),
            },
            DiskOp::Rename {
                from: temporary,
                to: file.clone(),
            },
            DiskOp::SyncDir,
        ];
        Self {
            ticket,
            lane: Lane::Foreground,
            ops,
        }
    }
}

impl DiskFault {
    /// Whether a batch of [`DiskBatch::replace_file`] found no space, and the file that it was to replace is
    /// as it was: there was none for the bytes beside it. From a sync the same words mean something else.
    #[must_use]
    pub fn no_space_to_replace(&self) -> bool {
        self.kind == DiskFaultKind::NoSpace && self.failed_op <= 1
    }
}

/// What kind of fault a disk operation met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFaultKind {
    /// No space, or a quota: freeing some is the cure.
    NoSpace,
    /// The operating system refused access.
    Denied,
    /// What was to be copied could not be read, or its checksums do not fit; nothing of this
    /// operation was written.
    Unreadable,
    /// What was to be copied could not be read at present, which says nothing of it; nothing of this
    /// operation was written.
    NotNow,
    /// Anything else: the device, or the file system, failed.
    Io,
}

/// A failed batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{op}: {message}")]
pub struct DiskFault {
    /// What kind of fault it was.
    pub kind: DiskFaultKind,
    /// Position in the batch of the operation that failed; all before it succeeded.
    pub failed_op: usize,
    /// That operation in words, with the file's path.
    pub op: String,
    /// The operating system's words.
    pub message: String,
}
