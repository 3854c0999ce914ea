//! The names of the log's files.
//!
//! ```text
//! seg-<first index, 20 digits>.log      a segment
//! snap-<last index, 20 digits>.snap     a checkpoint
//! *.snap.tmp                            a checkpoint in the making
//! torn-<index>-<offset>.bin             what recovery cut off a segment, kept for people
//! lost-<lineage>-*                      what a repair took out of the log, which began that lineage
//! reserve.bin                           space that a full disk gets back
//! ```
//!
//! Twenty digits hold every 64-bit number, so that names sort as indexes do.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::record::INDEX_MAX;
use crate::disk::FileName;
use crate::ids::{LineageId, LogIndex};

/// A file of the log that counts: what a copy of the log is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum LogPart {
    /// A checkpoint, by the index of the last record it covers.
    #[n(0)]
    Checkpoint(#[n(0)] LogIndex),
    /// A segment, by the index of its first record.
    #[n(1)]
    Segment(#[n(0)] LogIndex),
}

impl LogPart {
    /// The part that has this name, if it is one.
    #[must_use]
    pub fn of(name: &FileName) -> Option<Self> {
        match classify(name)? {
            LogFile::Segment(first) => Some(Self::Segment(first)),
            LogFile::Checkpoint(last) => Some(Self::Checkpoint(last)),
            LogFile::Unfinished => None,
        }
    }

    /// Its file in a controller's home.
    #[must_use]
    pub fn file(self) -> FileName {
        match self {
            Self::Segment(first) => segment(first),
            Self::Checkpoint(last) => checkpoint(last),
        }
    }
}

/// What a name says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFile {
    /// A segment, by the index of its first record.
    Segment(LogIndex),
    /// A checkpoint, by the index of the last record it covers.
    Checkpoint(LogIndex),
    /// A checkpoint that was never finished.
    Unfinished,
}

/// Whether [`recover`](super::recover) wants to see a file of this name.
#[must_use]
pub fn belongs_to_log(name: &FileName) -> bool {
    classify(name).is_some()
}

/// Whether a file of this name is only kept: for people, or for its space. Nobody has to read it.
#[must_use]
pub fn is_ballast(name: &FileName) -> bool {
    let text = name.as_str();
    *name == reserve() || text.starts_with("torn-") || text.starts_with("lost-")
}

/// The last record that the names of `files` show to have been durable: a checkpoint is named by the
/// last one it covers, and a segment begins behind what had been synced.
pub(crate) fn named_last<B>(files: &BTreeMap<FileName, B>) -> LogIndex {
    let named = |name| match classify(name) {
        Some(LogFile::Segment(first)) => Some(LogIndex(first.0 - 1)),
        Some(LogFile::Checkpoint(last)) => Some(last),
        Some(LogFile::Unfinished) | None => None,
    };
    files.keys().filter_map(named).max().unwrap_or_default()
}

/// What `name` stands for; `None` if it is nothing recovery needs.
pub(super) fn classify(name: &FileName) -> Option<LogFile> {
    let text = name.as_str();
    if let Some(digits) = text
        .strip_prefix("seg-")
        .and_then(|rest| rest.strip_suffix(".log"))
    {
        return index(digits).map(LogFile::Segment);
    }
    let rest = text.strip_prefix("snap-")?;
    if let Some(digits) = rest.strip_suffix(".snap") {
        return index(digits).map(LogFile::Checkpoint);
    }
    index(rest.strip_suffix(".snap.tmp")?).map(|_| LogFile::Unfinished)
}

/// The index in a name. Zero names no record, and the upper half of the numbers will not be
/// reached; leaving it out means that arithmetic on an index read from a disk cannot overflow.
fn index(digits: &str) -> Option<LogIndex> {
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| well_formed)?;
    (1..=INDEX_MAX)
        .contains(&number)
        .then_some(LogIndex(number))
}

/// The name of the segment whose first record is `first`.
pub(super) fn segment(first: LogIndex) -> FileName {
    named(format!("seg-{first:020}.log"))
}

/// The name of the checkpoint that covers all records up to `last`.
pub(super) fn checkpoint(last: LogIndex) -> FileName {
    named(format!("snap-{last:020}.snap"))
}

/// The name under which the tail that began with record `missing` at `offset` is kept.
pub(super) fn torn(missing: LogIndex, offset: usize) -> FileName {
    named(format!("torn-{missing}-{offset}.bin"))
}

/// The name under which `file` is kept that a repair took out of the log.
pub(crate) fn lost(lineage: LineageId, file: &FileName) -> FileName {
    named(format!("lost-{}-{file}", hex(lineage)))
}

/// The name under which the end of the segment `first` is kept that a repair cut off at `offset`.
pub(super) fn lost_tail(lineage: LineageId, first: LogIndex, offset: usize) -> FileName {
    named(format!(
        "lost-{}-seg-{first:020}-from-{offset}.bin",
        hex(lineage)
    ))
}

/// A lineage in digits alone, as names want it.
fn hex(lineage: LineageId) -> String {
    let digits = lineage.as_bytes().iter();
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// Space that is given back when the disk is full.
pub(super) fn reserve() -> FileName {
    FileName::fixed("reserve.bin")
}

fn named(text: String) -> FileName {
    FileName::new(&text).expect("letters, digits, a dash and a dot make a file name")
}
