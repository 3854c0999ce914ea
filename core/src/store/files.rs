//! The names of a volume's files.
//!
//! ```text
//! vaquita.vol                                the label
//! vaquita.vol.bak                            its second copy
//! seg-<number, 20 digits>.seg                a segment of packed chunks
//! chunk-<chunk, 16 digits>-<generation>.chunk    a large chunk
//! *.tmp                                      a file in the making
//! ```

use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, StageId};
use crate::disk::FileName;

/// Numbers of segments stay below this, so that arithmetic on a number read from a disk cannot
/// overflow: at one segment a second it takes 68 years to get there.
pub(super) const SEGMENT_NUMBERS: u64 = 1 << 31;

/// What a name says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFile {
    /// The label or its second copy.
    Label,
    /// A segment, by its number.
    Segment(u64),
    /// A chunk in a file of its own.
    Alone(ChunkVersion),
    /// What was never finished.
    Leftover,
}

/// What `name` stands for; `None` if it is nothing of ours.
pub(super) fn classify(name: &FileName) -> Option<StoreFile> {
    let text = name.as_str();
    if *name == label() || *name == label_backup() {
        return Some(StoreFile::Label);
    }
    if is_leftover(text) {
        return Some(StoreFile::Leftover);
    }
    let between = |prefix: &str, suffix: &str| {
        text.strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix))
    };
    if let Some(digits) = between("seg-", ".seg") {
        let number = number(digits).filter(|_| digits.len() == 20)?;
        return (1..SEGMENT_NUMBERS)
            .contains(&number)
            .then_some(StoreFile::Segment(number));
    }
    let (chunk, generation) = between("chunk-", ".chunk")?.split_once('-')?;
    let version = ChunkVersion {
        chunk: ChunkId::parse(chunk)?,
        generation: Generation(u32::try_from(number(generation)?).ok()?),
    };
    // Only the one spelling: two files never stand for the same chunk.
    (*name == alone(version)).then_some(StoreFile::Alone(version))
}

/// Whether a file of this name is what a crash left of a file in the making.
fn is_leftover(text: &str) -> bool {
    let ours = ["vaquita.", "seg-", "chunk-"];
    text.ends_with(".tmp") && ours.iter().any(|prefix| text.starts_with(prefix))
}

fn number(digits: &str) -> Option<u64> {
    let well_formed = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| well_formed)
}

/// The label.
pub(super) fn label() -> FileName {
    FileName::fixed("vaquita.vol")
}

/// The label's second copy.
pub(super) fn label_backup() -> FileName {
    FileName::fixed("vaquita.vol.bak")
}

/// The name of segment `number`.
pub(super) fn segment(number: u64) -> FileName {
    named(&format!("seg-{number:020}.seg"))
}

/// The name of a chunk in a file of its own.
pub(super) fn alone(version: ChunkVersion) -> FileName {
    named(&format!(
        "chunk-{}-{}.chunk",
        version.chunk, version.generation
    ))
}

/// The name under which such a file is written.
pub(super) fn staging(version: ChunkVersion, stage: StageId) -> FileName {
    named(&format!(
        "chunk-{}-{}-{stage}.tmp",
        version.chunk, version.generation
    ))
}

fn named(text: &str) -> FileName {
    FileName::new(text).expect("letters, digits, dashes and a dot make a file name")
}
