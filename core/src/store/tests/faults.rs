//! Disks that fail, and disks that are full.

use super::rig::{CAPACITY, Rig};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::ChunkVersion;
use crate::disk::{DiskFaultKind, DiskOp};
use crate::metalog::tests::choices::Choices;
use crate::metalog::tests::disk::Crash;
use crate::store::volume::StoreEvent;

fn failures(rig: &Rig) -> usize {
    let failed = |event: &&StoreEvent| matches!(event, StoreEvent::Failed { .. });
    rig.events.iter().filter(failed).count()
}

/// A rig with two packed chunks and a large one on their way.
fn busy() -> Rig {
    let mut rig = Rig::tiny();
    rig.put(100);
    rig.run();
    rig.put(100);
    rig.put(200);
    rig.put(900);
    rig
}

#[test]
fn after_a_fault_at_any_operation_nothing_is_promised_and_nothing_written() {
    let clean = {
        let mut rig = busy();
        let begin = rig.ops;
        rig.run();
        begin..rig.ops
    };
    for at in clean {
        for kind in [DiskFaultKind::Io, DiskFaultKind::Denied] {
            let mut rig = busy();
            rig.fault = Some((at, kind));
            rig.run();
            assert_eq!(rig.volume.state(), VolumeState::Failed, "at {at}");
            assert!(rig.volume.reason().contains("/disk"), "the place is named");
            let begun = rig.ops;
            let refused = rig.admit(
                crate::dfs::ids::ChunkVersion::first(crate::dfs::ids::ChunkId(99)),
                10,
            );
            assert!(refused.is_err());
            rig.run();
            assert_eq!(rig.ops, begun, "nothing more is written");
            for seed in 0..20 {
                let crashed = rig.disk.crash(Crash::OldOrNew, &mut Choices::random(seed));
                rig.check(&crashed.contents());
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_what_waits_and_takes_chunks_again_when_there_is_room() {
    let clean = {
        let mut rig = busy();
        let begin = rig.ops;
        rig.run();
        begin..rig.ops
    };
    let mut full = 0;
    for at in clean {
        let mut rig = busy();
        rig.fault = Some((at, DiskFaultKind::NoSpace));
        rig.run();
        rig.check(&rig.disk.contents());
        if rig.volume.state() != VolumeState::Full {
            // A sync that finds no space has lost bytes; so has the making of a name.
            let op = &rig.trace[at];
            let writes = matches!(op, DiskOp::Append { .. } | DiskOp::CreateNew { .. });
            assert!(!writes || rig.volume.state() == VolumeState::Good, "{op:?}");
            continue;
        }
        full += 1;
        assert!(failures(&rig) > 0, "at {at}");
        rig.volume.space(CAPACITY, CAPACITY / 2, rig.now);
        assert_eq!(
            rig.volume.state(),
            VolumeState::Good,
            "full leaves by itself"
        );
        let version = rig.put(50);
        rig.run();
        assert!(rig.fates[&version].durable);
        for seed in 0..20 {
            let crashed = rig.disk.crash(Crash::OldOrNew, &mut Choices::random(seed));
            rig.check(&crashed.contents());
        }
    }
    assert!(full >= 4, "only {full} operations found no space");
}

#[test]
fn a_release_that_found_no_space_is_made_when_there_is_some() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    rig.run();
    rig.trash(version);
    rig.fault = Some((rig.ops, DiskFaultKind::NoSpace));
    rig.run();
    assert!(!rig.fates[&version].trashed);
    rig.volume.space(CAPACITY, CAPACITY / 2, rig.now);
    rig.run();
    assert!(rig.fates[&version].trashed);
    rig.check(&rig.disk.contents());
}

#[test]
fn where_not_a_byte_fits_a_released_large_chunk_goes_without_a_tombstone() {
    let mut rig = Rig::tiny();
    let version = rig.put(900);
    rig.run();
    rig.trash(version);
    rig.fault = Some((rig.ops, DiskFaultKind::NoSpace));
    rig.run();
    assert!(rig.events.contains(&StoreEvent::Removed { version }));
    rig.check(&rig.disk.contents());
}

/// A volume with a segment of which most is dead, before anything of it is copied; with its chunks, and
/// the operation that copies the first that lives.
fn before_a_copy() -> (Rig, Vec<ChunkVersion>, usize) {
    let prepare = || {
        let mut rig = Rig::tiny();
        let all: Vec<_> = (0..12).map(|_| rig.put(300)).collect();
        rig.run();
        for version in &all[1..6] {
            rig.trash(*version);
        }
        rig.run();
        rig.outwait();
        (rig, all)
    };
    let (mut probe, _) = prepare();
    let begin = probe.ops;
    probe.run();
    let is_copy = |op: &DiskOp| matches!(op, DiskOp::Append { bytes, .. } if bytes.len() > 300);
    let at = probe.trace[begin..].iter().position(is_copy);
    let (rig, all) = prepare();
    assert_eq!(rig.ops, begin);
    (rig, all, at.expect("copies") + begin)
}

fn suspects(rig: &Rig) -> Vec<ChunkVersion> {
    let suspect = |event: &StoreEvent| match event {
        StoreEvent::Suspect { version, .. } => Some(*version),
        _ => None,
    };
    rig.events.iter().filter_map(suspect).collect()
}

#[test]
fn a_segment_that_cannot_be_copied_is_kept_and_the_chunk_suspected() {
    let (mut rig, all, at) = before_a_copy();
    rig.fault = Some((at, DiskFaultKind::Unreadable));
    rig.run();
    assert_eq!(suspects(&rig), [all[0]]);
    assert_eq!(rig.volume.state(), VolumeState::Good);
    rig.check(&rig.disk.contents());
    let version = rig.put(50);
    rig.run();
    assert!(rig.fates[&version].durable);
}

/// Too many open files, for instance: nothing is wrong with the chunk, and it is copied later.
#[test]
fn what_cannot_be_copied_at_present_is_copied_later() {
    let (mut rig, _, at) = before_a_copy();
    rig.fault = Some((at, DiskFaultKind::NotNow));
    rig.run();
    assert_eq!(suspects(&rig), []);
    assert_eq!(rig.volume.state(), VolumeState::Good);
    let removals = |rig: &Rig| {
        let is_removal = |op: &&DiskOp| matches!(op, DiskOp::Remove { .. });
        rig.trace.iter().filter(is_removal).count()
    };
    let before = removals(&rig);
    rig.check(&rig.disk.contents());
    rig.fault = None;
    rig.volume.space(CAPACITY, CAPACITY / 2, rig.now);
    rig.run();
    assert!(removals(&rig) > before, "the segment is still there");
    assert_eq!(suspects(&rig), []);
    rig.check(&rig.disk.contents());
}
