//! What a scan says of damage.

use super::rig::{Rig, open};
use crate::dfs::ids::ChunkVersion;
use crate::disk::FileName;
use crate::limits::Limits;
use crate::planted::Planted;
use crate::store::files;
use crate::store::fuzz::{Files, tiny_limits};
use crate::store::scan::{GapKind, SegmentFound};

/// A segment with three chunks of 100 bytes, each under its own sync: records at 64, 264 and 464.
fn three() -> (Rig, [ChunkVersion; 3], FileName) {
    let limits = Limits {
        volume_segment_bytes: 1 << 20,
        ..tiny_limits()
    };
    let mut rig = Rig::new(limits, Planted::default());
    rig.run();
    let versions = [(); 3].map(|()| {
        let version = rig.put(100);
        rig.run();
        version
    });
    (rig, versions, files::segment(1))
}

fn segment(files: &Files) -> SegmentFound {
    open(files, Planted::default()).found.segments.remove(0)
}

#[test]
fn a_damaged_header_is_a_gap_and_what_follows_is_found() {
    let (rig, versions, file) = three();
    let mut files = rig.disk.contents();
    files.get_mut(&file).unwrap()[264 + 10] ^= 1;
    let found = segment(&files);
    let here: Vec<_> = found
        .records
        .iter()
        .map(|(_, record)| record.version)
        .collect();
    assert_eq!(here, [versions[0], versions[2]]);
    assert_eq!(found.gaps.len(), 1);
    assert_eq!((found.gaps[0].from, found.gaps[0].to), (264, 464));
    assert_eq!(found.gaps[0].kind, GapKind::Damaged);
    assert!(found.lost.is_empty(), "whose it was is unknown");
}

#[test]
fn a_damaged_payload_that_was_durable_is_a_lost_chunk_and_in_the_last_batch_a_torn_one() {
    let (rig, versions, file) = three();
    let mut files = rig.disk.contents();
    files.get_mut(&file).unwrap()[264 + 150] ^= 1;
    let found = segment(&files);
    assert_eq!(found.lost, [(264, versions[1])]);
    assert_eq!(found.gaps[0].kind, GapKind::Damaged);

    let mut files = rig.disk.contents();
    files.get_mut(&file).unwrap()[464 + 150] ^= 1;
    let found = segment(&files);
    assert!(found.lost.is_empty());
    assert_eq!(found.gaps[0].kind, GapKind::Torn);
    assert!(!found.is_damaged());
}

#[test]
fn a_damaged_segment_header_loses_no_record() {
    let (rig, _, file) = three();
    let mut files = rig.disk.contents();
    files.get_mut(&file).unwrap()[30] ^= 1;
    assert_eq!(segment(&files).records.len(), 3);
}

#[test]
fn a_chunk_whose_bytes_look_like_records_is_not_read_as_records() {
    let (rig, _, file) = three();
    let files = rig.disk.contents();
    let whole = files[&file].clone();
    let mut bait = files;
    // The segment's own bytes behind a broken header, at another offset.
    let contents = bait.get_mut(&file).unwrap();
    contents.extend(&whole);
    let found = segment(&bait);
    assert_eq!(found.records.len(), 3);
    assert_eq!(found.gaps.len(), 1);
}

#[test]
fn a_large_chunk_in_the_wrong_place_is_damaged() {
    let mut rig = Rig::tiny();
    let (one, two) = (rig.put(900), rig.put(900));
    rig.run();
    let mut files = rig.disk.contents();
    let bytes = files[&files::alone(one)].clone();
    files.insert(files::alone(two), bytes);
    let opened = open(&files, Planted::default());
    assert!(opened.found.alone[0].result.is_ok());
    let reason = opened.found.alone[1].result.clone().unwrap_err();
    assert!(reason.contains("wrong place"), "{reason}");
    for cut in [10, 4095, 4096 + 900 + 4 + 63] {
        let mut files = rig.disk.contents();
        files.get_mut(&files::alone(one)).unwrap().truncate(cut);
        let opened = open(&files, Planted::default());
        assert!(opened.found.alone[0].result.is_err(), "cut to {cut}");
    }
}

#[test]
fn strangers_are_listed_and_left_alone() {
    let mut files = Rig::tiny().disk.contents();
    for name in ["notes.txt", "seg-1.seg", "chunk-1-1.chunk", "other.tmp"] {
        files.insert(FileName::fixed(name), vec![1]);
    }
    files.insert(FileName::fixed("seg-5.seg.tmp"), vec![1]);
    let found = open(&files, Planted::default()).found;
    assert_eq!(
        found.strangers,
        ["chunk-1-1.chunk", "notes.txt", "other.tmp", "seg-1.seg"]
    );
    assert_eq!(found.leftovers, [FileName::fixed("seg-5.seg.tmp")]);
}
