//! A body for fuzzers: a node's home holds a copy of the log that somebody changed.

use std::collections::BTreeMap;

use super::{Shelf, survey};
use crate::disk::FileName;
use crate::metalog::{CLUSTER, LogPart, RECORDS, damaged_home};

/// Changes a good log as `data` says, puts it on a shelf, and looks through it.
///
/// # Panics
/// If a part that is said to be good has a byte that was not written, if what is said of the end is not
/// so, or if a deep look finds something else than a shallow one.
pub fn fuzz_survey(data: &[u8]) {
    let Some((mode, changes)) = data.split_first() else {
        return;
    };
    let shelf = match mode & 1 {
        0 => Shelf::Present,
        _ => Shelf::Aside,
    };
    let (files, written) = damaged_home(changes);
    let home: BTreeMap<FileName, Vec<u8>> = (files.into_iter())
        .filter_map(|(name, bytes)| Some((shelf.file(LogPart::of(&name)?), bytes)))
        .collect();
    let copy = survey(&home, shelf, CLUSTER, false);
    let other = match shelf {
        Shelf::Present => Shelf::Aside,
        Shelf::Aside => Shelf::Present,
    };
    assert_eq!(
        survey(&home, other, CLUSTER, false).parts,
        [],
        "the shelves are not mixed up"
    );
    let deep = survey(&home, shelf, CLUSTER, true);
    assert_eq!(
        (&copy.parts, copy.last_sum),
        (&deep.parts, deep.last_sum),
        "how deep a look is makes no difference to the bytes"
    );
    let Some(end) = copy.end else {
        return;
    };
    for held in &copy.parts {
        let there = &home[&shelf.file(held.part)];
        let len = usize::try_from(held.len).expect("a length in memory");
        assert!(len <= there.len(), "no part is longer than its file");
        // What lies in front of the newest good checkpoint is not looked at.
        let is_last = Some(held) == copy.parts.last();
        let good = &written[&held.part.file()];
        assert!(
            !is_last || good.starts_with(&there[..len]),
            "{:?} is said to be good",
            held.part
        );
        if is_last {
            assert_eq!(copy.last_sum, crc32fast::hash(&good[..len]));
        }
    }
    assert!(end.index.0 <= RECORDS, "no record is invented");
}
