//! What a volume does on a disk without faults.

use super::rig::{CAPACITY, Rig, open};
use crate::admin::Refusal;
use crate::dfs::ask::VolumeState;
use crate::dfs::digest::Summary;
use crate::dfs::ids::{OpId, StageId};
use crate::disk::DiskOp;
use crate::limits::Limits;
use crate::planted::Planted;
use crate::store::fuzz::tiny_limits;
use crate::store::volume::{Before, Putting, StoreEvent};

fn syncs(rig: &Rig, from: usize) -> usize {
    let is_sync = |op: &&DiskOp| matches!(op, DiskOp::Sync { .. });
    rig.trace[from..].iter().filter(is_sync).count()
}

#[test]
fn chunks_that_gather_share_a_sync() {
    let mut rig = Rig::new(
        Limits {
            group_commit_records: 100,
            volume_segment_bytes: 1 << 20,
            volume_batch_bytes: 1 << 20,
            ..tiny_limits()
        },
        Planted::default(),
    );
    rig.run();
    let begin = rig.ops;
    for _ in 0..50 {
        rig.put(200);
    }
    rig.run();
    assert_eq!(syncs(&rig, begin), 1);
    assert_eq!(rig.volume.len(), 50);
}

#[test]
fn the_same_content_again_is_a_success_and_another_one_a_conflict() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    let again = rig.admit(version, 100).unwrap();
    rig.run();
    assert_eq!(
        rig.volume
            .put(again, &Summary::of(&Rig::bytes_for(version, 100)), false),
        Ok(Putting::Already)
    );
    let other = rig.admit(version, 100).unwrap();
    let refusal = rig.volume.put(other, &Summary::of(b"other"), false);
    assert!(
        matches!(refusal, Err(Refusal::Conflict { .. })),
        "{refusal:?}"
    );
    assert_eq!(rig.volume.promised(), 0);
}

#[test]
fn two_contents_on_their_way_are_a_conflict_too() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    let other = rig.admit(version, 100).unwrap();
    let refusal = rig.volume.put(other, &Summary::of(b"other"), false);
    assert!(
        matches!(refusal, Err(Refusal::Conflict { .. })),
        "{refusal:?}"
    );
    rig.run();
    assert!(rig.fates[&version].durable);
}

#[test]
fn a_cancelled_large_chunk_leaves_no_file_whenever_it_is_cancelled() {
    for steps in 0..4 {
        let mut rig = Rig::tiny();
        let version = rig.new_version();
        let stage = StageId(77);
        rig.volume
            .admit(stage, version, OpId([1; 16]), 5000)
            .unwrap();
        // Not through the rig, whose driver would send the bytes.
        let mut left = steps;
        while let Some(batch) = rig.volume.poll_batch(|| crate::ids::DiskTicket(900)) {
            for op in &batch.batch.ops {
                if left == 0 {
                    rig.volume.cancel(stage);
                }
                left -= i32::from(left >= 0);
                rig.disk.carry_out(op).unwrap();
            }
            rig.volume.disk_done(batch.batch.ticket, Ok(()), rig.now);
            rig.volume.cancel(stage);
        }
        let files = rig.disk.contents();
        assert!(
            files.keys().all(|name| !name.as_str().ends_with(".tmp")),
            "after {steps}: {:?}",
            files.keys()
        );
        assert_eq!(rig.volume.promised(), 0);
    }
}

#[test]
fn a_released_chunk_stays_readable_until_its_time_is_over() {
    let mut rig = Rig::tiny();
    let (small, large) = (rig.put(100), rig.put(900));
    rig.run();
    for version in [small, large] {
        rig.trash(version);
    }
    rig.run();
    assert!(rig.volume.is_empty());
    for version in [small, large] {
        assert!(rig.volume.find(version).is_some());
        assert!(rig.events.contains(&StoreEvent::Trashed { version }));
    }
    let due = rig.volume.next_deadline().unwrap();
    assert_eq!(due, rig.now.after(rig.limits.trash_hold));
    rig.outwait();
    rig.run();
    for version in [small, large] {
        assert!(rig.volume.find(version).is_none());
        assert!(rig.events.contains(&StoreEvent::Removed { version }));
    }
    assert_eq!(rig.volume.next_deadline(), None);
}

#[test]
fn above_high_water_released_chunks_go_at_once() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    rig.run();
    rig.volume.space(CAPACITY, CAPACITY / 10, rig.now);
    assert_eq!(rig.volume.state(), VolumeState::High);
    assert!(rig.volume.reason().contains("high-water"));
    rig.trash(version);
    rig.run();
    assert!(rig.events.contains(&StoreEvent::Removed { version }));
}

#[test]
fn a_volume_is_full_above_one_mark_and_takes_chunks_again_below_another() {
    let mut rig = Rig::tiny();
    let percent = |free: u64| CAPACITY / 100 * free;
    let steps = [
        (14, VolumeState::High),
        (6, VolumeState::High),
        (4, VolumeState::Full),
        (8, VolumeState::Full),
        (12, VolumeState::High),
        (40, VolumeState::Good),
    ];
    for (free, state) in steps {
        rig.volume.space(CAPACITY, percent(free), rig.now);
        assert_eq!(rig.volume.state(), state, "with {free} % free");
    }
}

#[test]
fn what_is_promised_is_not_promised_twice() {
    let mut rig = Rig::tiny();
    // The reserve is that of two segments: 5000 bytes are for chunks.
    rig.volume.space(20_000, 8000, rig.now);
    let mut admitted = 0;
    loop {
        let version = rig.new_version();
        if rig.admit(version, 500).is_err() {
            break;
        }
        admitted += 1;
    }
    assert_eq!(admitted, 8, "each takes 600 bytes of 5000");
    assert_eq!(rig.volume.promised(), 4800);
}

#[test]
fn compaction_makes_room_and_keeps_what_lives() {
    let mut rig = Rig::tiny();
    let all: Vec<_> = (0..40).map(|_| rig.put(300)).collect();
    rig.run();
    let size = |rig: &Rig| -> usize { rig.disk.contents().values().map(Vec::len).sum() };
    let before = size(&rig);
    for (number, version) in all.iter().enumerate() {
        if number % 8 != 0 {
            rig.trash(*version);
        }
    }
    rig.run();
    rig.outwait();
    rig.run();
    rig.check(&rig.disk.contents());
    assert_eq!(rig.volume.len(), 5);
    assert!(
        size(&rig) < before / 2,
        "{} of {before} bytes are left",
        size(&rig)
    );
    // Tombstones of what is gone go too, in the next lives.
    let disk = rig.disk.clone();
    rig.restart(disk);
    rig.run();
    assert_eq!(rig.volume.len(), 5);
}

#[test]
fn without_data_sync_only_names_and_seals_are_synced() {
    let mut rig = Rig::tiny();
    let (disk, limits) = (rig.disk.clone(), rig.limits.clone());
    let mut rules = rig.rules.clone();
    rules.data_sync = false;
    rig = Rig::on(disk, limits, Planted::default(), rules, rig.now);
    rig.run();
    let begin = rig.ops;
    let versions = [rig.put(100), rig.put(900)];
    rig.run();
    assert_eq!(syncs(&rig, begin), 0);
    assert!(versions.iter().all(|version| rig.fates[version].durable));
    assert!(rig.trace[begin..].contains(&DiskOp::SyncDir));
}

#[test]
fn segments_of_an_earlier_process_are_sealed_and_not_written_to() {
    let mut rig = Rig::tiny();
    rig.put(100);
    rig.run();
    let found = |rig: &Rig| open(&rig.disk.contents(), Planted::default()).found;
    assert!(!found(&rig).segments[0].sealed);
    let disk = rig.disk.clone();
    rig.restart(disk);
    rig.run();
    rig.put(100);
    rig.run();
    let segments = found(&rig).segments;
    assert_eq!(segments.len(), 2);
    assert!(segments[0].sealed && !segments[1].sealed);
}

/// What was told of the contents that became durable, and whether they count.
fn told(rig: &Rig) -> Vec<(Before, bool)> {
    let durable = rig.events.iter().filter_map(|event| match event {
        StoreEvent::Durable { before, counts, .. } => Some((*before, *counts)),
        _ => None,
    });
    durable.collect()
}

#[test]
fn a_content_that_comes_twice_at_once_is_new_once() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    rig.put_version(version, 100);
    rig.run();
    assert_eq!(told(&rig), [(Before::Nothing, true), (Before::Same, true)]);
    assert_eq!(rig.volume.len(), 1);
}

/// A release is of what was on its way when it came, and not of what is sent anew afterwards,
/// whichever is durable first, and whoever reads the disk later.
#[test]
fn a_content_that_is_sent_anew_after_its_release_stays() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    assert!(rig.volume.trash(version, rig.now));
    rig.put_version(version, 100);
    rig.run();
    assert_eq!(
        told(&rig),
        [(Before::Nothing, false), (Before::Leaving, true)]
    );
    assert!(rig.volume.content(version).is_some());
    let next = rig.check(&rig.disk.contents());
    assert!(next.content(version).is_some(), "the next process lost it");
}

#[test]
fn what_is_released_while_its_bytes_come_is_refused() {
    let mut rig = Rig::tiny();
    let version = rig.new_version();
    let stage = rig.admit(version, 100).unwrap();
    assert!(rig.volume.trash(version, rig.now));
    let refusal = rig
        .volume
        .put(stage, &Summary::of(&Rig::bytes_for(version, 100)), false);
    assert!(matches!(refusal, Err(Refusal::Stale { .. })), "{refusal:?}");
    assert_eq!(rig.volume.promised(), 0);
}

#[test]
fn what_is_damaged_is_written_anew_in_its_place() {
    let mut rig = Rig::tiny();
    let version = rig.put(100);
    rig.run();
    let before = rig.volume.find(version).unwrap();
    let stage = rig.admit(version, 100).unwrap();
    let summary = Summary::of(&Rig::bytes_for(version, 100));
    let put = rig.volume.put(stage, &summary, true);
    assert_eq!(put, Ok(Putting::UnderWay));
    rig.run();
    let after = rig.volume.find(version).unwrap();
    assert_ne!((before.file, before.offset), (after.file, after.offset));
    assert_eq!(rig.volume.len(), 1);
    assert_eq!(told(&rig), [(Before::Nothing, true), (Before::Same, true)]);
}
