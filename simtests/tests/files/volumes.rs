//! Volumes that are full, fail, rot, are wiped, or slow.

use std::collections::BTreeMap;
use std::time::Duration;

use simtests::disk::Cached;
use simtests::net::LinkProfile;
use simtests::plan::{DiskStep, Step};
use simtests::streams::Rate;
use simtests::vaquita::files::{Clients, Done, Ticket};
use simtests::vaquita::{Cluster, VaquitaWorld, all_online, controller, nodes, order, wait_until};
use simtests::world::{Failure, NodeIx};
use vaquita_core::admin::Verb;
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::ids::Alias;
use vaquita_core::store::RecordKind;
use vaquita_core::store::scan::scan;

use crate::repair::all_whole;
use crate::story::{
    expect, get, named, put, reads_at, remove, run, seconds, small, stop, suspend_repair, timed,
};

/// 21: volumes fill up while files are written: writes go elsewhere or fail with a reason, and what
/// was removed makes room again.
#[test]
fn full_volumes_refuse_and_recover() {
    run(
        6,
        "volumes::full_volumes_refuse_and_recover",
        |_| {
            let mut cluster = Cluster::of(3).with_files();
            cluster.settings.volume.capacity = 600 * 1024;
            cluster.files.factor = 2;
            cluster
        },
        |world, clients| {
            clients.tries = 2;
            let mut refused = 0;
            for number in 0..60 {
                let path = format!("/d/f{number}");
                let done = clients.have(world, put(&path, number, 24_000))?;
                refused += u32::from(!matches!(done, Done::Written(_)));
                if refused > 3 {
                    break;
                }
            }
            expect(world, refused > 0, "a full cluster took everything")?;
            for number in 0..60 {
                clients.have(world, remove(&format!("/d/f{number}")))?;
            }
            clients.run_for(world, seconds(60))?;
            let done = clients.have(world, put("/d/after", 999, 24_000))?;
            let written = matches!(done, Done::Written(_));
            expect(world, written, "what was removed did not make room")
        },
    );
}

/// 20: a volume dies, or loses its bytes, while the node runs on; what is left serves the reads.
#[test]
fn a_volume_that_fails_is_read_around() {
    run(
        12,
        "volumes::a_volume_that_fails_is_read_around",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            cluster.volumes = 2;
            cluster
        },
        |world, clients| {
            let mut before = Duration::ZERO;
            for number in 0..10 {
                let order = put(&format!("/d/f{number}"), number, 9_000);
                let (_, took) = timed(world, clients, order)?;
                before = before.max(took);
            }
            let what = match world.seed() % 4 {
                0 => DiskStep::Die,
                1 => DiskStep::FailSync,
                2 => DiskStep::FailOp,
                _ => DiskStep::Slow(100),
            };
            let slow = matches!(what, DiskStep::Slow(_));
            let told = world.mark("volume.state");
            let disk = "P2-NODE1/1".to_owned();
            world.disturb(&Step::Disk { node: disk, what });
            let mut slowest = Duration::ZERO;
            for number in 0..10 {
                let path = format!("/d/f{number}");
                let read = clients.have(world, get(&path))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
                let (done, took) = timed(world, clients, put(&path, 100 + number, 9_000))?;
                slowest = slowest.max(took);
                let written = matches!(done, Done::Written(_));
                expect(world, written, "one failed volume of eight stops writes")?;
            }
            // A node says that a volume has failed; that one is slow shows in the time alone.
            let struck = match slow {
                true => slowest > 4 * before,
                false => world.mark("volume.state") > told,
            };
            let what =
                format!("nothing came of the fault; writes took {before:?}, then {slowest:?}");
            expect(world, struck, &what)?;
            clients.run_for(world, seconds(10))?;
            world.disturb(&Step::HealAll);
            let node = named(world, "P2-NODE1");
            world.kill(node);
            clients.run_for(world, seconds(10))?;
            wait_until(world, "all online", all_online)
        },
    );
}

/// A volume dies, and what was on it is made anew on the other volume of the same node. With the other
/// holders down, it is read there: what failed hides nothing that is whole. The disk is mended and opened
/// again: what is there twice by then is kept once.
#[test]
fn what_was_made_anew_beside_a_dead_volume_is_read() {
    run(
        6,
        "volumes::what_was_made_anew_beside_a_dead_volume_is_read",
        |_| {
            let mut cluster = Cluster::of(3).with_files();
            cluster.volumes = 2;
            cluster
        },
        |world, clients| {
            for number in 0..12 {
                let len = if number % 2 == 0 { 2_000 } else { 9_000 };
                clients.have(world, put(&format!("/d/f{number}"), number, len))?;
            }
            // What is looked at in the order of volumes meets the dead one first, or last.
            let dead = usize::from(world.seed().is_multiple_of(3));
            let disk = format!("P2-NODE1/{dead}");
            world.disturb(&Step::Disk {
                node: disk.clone(),
                what: DiskStep::Die,
            });
            let state = |world: &VaquitaWorld| -> Option<VolumeState> {
                let alias = Alias::new("P2-NODE1").ok()?;
                let known = controller(world)?.1.stock_of(&alias)?;
                Some(known.volumes.get(dead)?.state)
            };
            let mut number = 200;
            while state(world) != Some(VolumeState::Failed) {
                clients.have(world, put("/d/h", number, 9_000))?;
                number += 1;
                expect(world, number < 260, "no fault was met")?;
            }
            wait_until(world, "every chunk is whole", all_whole)?;
            let made = world.mark("repair.copied");
            expect(world, made > 0, "nothing was made anew")?;
            let damaged = world.mark("volume.damaged_chunk");
            stop(world, &["P1-NODE1", "P3-NODE1"])?;
            let left = named(world, "P2-NODE1");
            for number in 0..12 {
                reads_at(world, clients, left, &format!("/d/f{number}"), number)?;
            }
            let taken = world.mark("volume.damaged_chunk") - damaged;
            let what = format!("{taken} good replicas were taken for damaged ones");
            expect(world, taken == 0, &what)?;
            let what = DiskStep::Well;
            world.disturb(&Step::Disk { node: disk, what });
            order(world, Verb::RescanVolumes(nodes(&["P2-NODE1"])));
            wait_until(world, "the volume is back", |world| {
                state(world) == Some(VolumeState::Good)
            })?;
            for number in 0..12 {
                reads_at(world, clients, left, &format!("/d/f{number}"), number)?;
            }
            order(world, Verb::StartNodes(nodes(&["P1-NODE1", "P3-NODE1"])));
            wait_until(world, "all online", all_online)?;
            wait_until(world, "every chunk is whole", all_whole)
        },
    );
}

/// Bits rot on one node's volume: whoever reads gets the right bytes from another replica, and the
/// controller learns of what is damaged.
#[test]
fn rotten_bytes_are_never_read() {
    run(
        12,
        "volumes::rotten_bytes_are_never_read",
        small,
        |world, clients| {
            for number in 0..8 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            // What is found is mended at once, and would be damaged no more.
            suspend_repair(world, true)?;
            for _ in 0..20 {
                let disk = "P2-NODE1/0".to_owned();
                let what = DiskStep::Rot;
                world.disturb(&Step::Disk { node: disk, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for number in (0..8).chain(0..8) {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            // The rotten replicas were met, and the controller is told of them.
            let met = world.mark("volume.damaged_chunk") > 0;
            expect(world, met, "nobody has met a rotten byte")?;
            clients.run_for(world, seconds(1))?;
            let node = named(world, "P2-NODE1");
            let alias = world.alias(node).clone();
            let known = controller(world).and_then(|(_, machine)| machine.stock_of(&alias));
            let told = known.is_some_and(|stock| !stock.corrupt.is_empty());
            expect(
                world,
                told,
                "the controller knows nothing of what is damaged",
            )?;
            suspend_repair(world, false)?;
            clients.run_for(world, seconds(5))?;
            let mended = world.mark("repair.copied") > 0;
            expect(world, mended, "no damaged replica was made anew")?;
            world.kill(node);
            clients.run_for(world, seconds(10))?;
            wait_until(world, "all online", all_online)?;
            for number in 0..8 {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            Ok(())
        },
    );
}

/// 22, for a volume: it is empty after a restart. That is a disk which is not mounted: the node does
/// not use it, and the controller knows what is missing.
#[test]
fn a_wiped_volume_is_missed_and_not_used() {
    run(
        4,
        "volumes::a_wiped_volume_is_missed_and_not_used",
        small,
        |world, clients| {
            for number in 0..8 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            // What is missed is made anew at once, and would be missed no more.
            suspend_repair(world, true)?;
            stop(world, &["P2-NODE1"])?;
            let disk = "P2-NODE1/0".to_owned();
            let what = DiskStep::Wipe;
            world.disturb(&Step::Disk { node: disk, what });
            order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
            wait_until(world, "it is back", all_online)?;
            let node = named(world, "P2-NODE1");
            let used = world
                .volume(node, 0)
                .is_some_and(|disk| disk.file_count() > 0);
            expect(
                world,
                !used,
                "something was written where a disk is not mounted",
            )?;
            for number in 0..8 {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            let alias = world.alias(node).clone();
            let known = controller(world).and_then(|(_, machine)| machine.stock_of(&alias));
            let missing = known.is_some_and(|stock| !stock.missing.is_empty());
            expect(world, missing, "nobody misses what was on the disk")?;
            suspend_repair(world, false)
        },
    );
}

/// Chunks of several blocks, packed and alone, on a rotting disk and a network that damages: what is
/// read is right, also behind compaction, which copies what is left of a segment.
#[test]
fn chunks_of_many_blocks_are_read_whole() {
    let summary = run(
        4,
        "volumes::chunks_of_many_blocks_are_read_whole",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            let limits = &mut cluster.limits;
            limits.chunk_bytes = 600 * 1024;
            limits.packed_max = 200 * 1024;
            limits.volume_segment_bytes = 500 * 1024;
            limits.volume_batch_bytes = 400 * 1024;
            limits.volume_copy_bytes = 400 * 1024;
            cluster.settings.volume.capacity = 40 << 20;
            cluster
        },
        |world, clients| {
            world.disturb(&Step::Weather(LinkProfile {
                corruption: Rate::percent(5),
                ..LinkProfile::default()
            }));
            for number in 1..13 {
                let len = [150_000, 70_000, 800_000][usize::try_from(number % 3).unwrap_or(0)];
                clients.have(world, put(&format!("/d/f{number}"), number, len))?;
            }
            let before = segments_of_chunks(world);
            for number in [1, 2, 4, 5, 7, 8] {
                clients.have(world, remove(&format!("/d/f{number}")))?;
            }
            clients.run_for(world, seconds(60))?;
            let copied = segments_of_chunks(world)
                .into_iter()
                .filter(|(chunk, segment)| before.get(chunk).is_some_and(|it| it != segment))
                .count();
            expect(world, copied > 0, "nothing of a segment was copied")?;
            for _ in 0..6 {
                let (node, what) = ("P1-NODE1/0".to_owned(), DiskStep::Rot);
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for number in [3, 6, 9, 10, 11, 12] {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
    let met = summary.marks.contains_key("volume.damaged_chunk");
    assert!(summary.runs < 4 || met, "nobody has met a rotten byte");
}

/// In which segment of which node's volume each packed chunk is.
fn segments_of_chunks(world: &VaquitaWorld) -> BTreeMap<(NodeIx, ChunkVersion), u64> {
    let mut found = BTreeMap::new();
    for node in world.nodes() {
        let Some(disk) = world.volume(node, 0) else {
            continue;
        };
        let Ok((_, there)) = scan(&Cached(disk)) else {
            continue;
        };
        for segment in there.segments {
            for (_, record) in segment.records {
                if record.kind == RecordKind::Chunk {
                    found.insert((node, record.version), segment.number);
                }
            }
        }
    }
    found
}

/// 37, as far as the World can show it: a replica whose disk is slow, or hangs, or whose process stands
/// still, holds up nobody but itself. A reader has its bytes from another one at once. A writer waits
/// for it as long as for any peer from which nothing comes, which is ten seconds, and once, however
/// many write at the same time; from a slow one something comes now and then.
#[test]
fn a_slow_disk_holds_up_nobody_else() {
    run(
        9,
        "volumes::a_slow_disk_holds_up_nobody_else",
        small,
        |world, clients| {
            clients.have(world, put("/d/before", 77, 9_000))?;
            let what = match world.seed() % 3 {
                0 => Some(DiskStep::Slow(2_000)),
                1 => Some(DiskStep::Hang),
                _ => None,
            };
            let has_a_bad_disk = what.is_some();
            let (node, disk) = ("P3-NODE1".to_owned(), "P3-NODE1/0".to_owned());
            world.disturb(&match what {
                Some(what) => Step::Disk { node: disk, what },
                None => Step::Pause(node),
            });
            let entry = named(world, "P1-NODE1");
            let since = world.now();
            let writes: Vec<Ticket> = (0..6)
                .map(|nth| {
                    clients.begin(world, Some(entry), put(&format!("/d/f{nth}"), nth, 9_000))
                })
                .collect();
            let mut slowest = Duration::ZERO;
            while writes.iter().any(|it| clients.done(*it).is_none()) {
                slowest = slowest.max(reads_at(world, clients, entry, "/d/before", 77)?);
                clients.run_for(world, Duration::from_millis(200))?;
            }
            let took = world.now().since(since);
            let written = |it: &Ticket| matches!(clients.done(*it), Some(Done::Written(_)));
            let all = writes.iter().all(written);
            expect(world, all, "a slow replica stops the writing")?;
            for nth in 0..6 {
                slowest = slowest.max(reads_at(world, clients, entry, &format!("/d/f{nth}"), nth)?);
            }
            let what = format!("a slow replica: writes took {took:?}, a read took {slowest:?}");
            let struck = took > Duration::from_millis(300);
            let soon = took < seconds(15) && slowest < seconds(1);
            expect(world, struck && soon, &what)?;
            if has_a_bad_disk {
                // The node with the bad disk is an entry like the others, if a slow one.
                let third = named(world, "P3-NODE1");
                let ticket = clients.begin(world, Some(third), put("/d/third", 88, 9_000));
                let done = clients.wait(world, ticket)?;
                let what = format!("through the node with the bad disk: {done:?}");
                expect(world, matches!(done, Done::Written(_)), &what)?;
                reads_at(world, clients, third, "/d/third", 88)?;
            }
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
}

/// A disk that answers, and takes long for it, is called slow after a minute or two. When it is fast
/// again it is as good as the others.
#[test]
fn a_disk_that_takes_long_is_called_slow_until_it_is_fast() {
    run(
        4,
        "volumes::a_disk_that_takes_long_is_called_slow_until_it_is_fast",
        small,
        |world, clients| {
            let state = |world: &VaquitaWorld| -> Option<VolumeState> {
                let alias = Alias::new("P3-NODE1").ok()?;
                let known = controller(world)?.1.stock_of(&alias)?;
                Some(known.volumes.first()?.state)
            };
            let mut written = 0;
            let mut write_for = |world: &mut VaquitaWorld, clients: &mut Clients, time: u64| {
                for _ in 0..time {
                    let path = format!("/d/f{written}");
                    clients.have(world, put(&path, written, 6_000))?;
                    written += 1;
                    clients.run_for(world, seconds(1))?;
                }
                Ok::<(), Failure>(())
            };
            let disk = "P3-NODE1/0".to_owned();
            let what = DiskStep::Slow(4_000);
            write_for(world, clients, 20)?;
            let good = state(world) == Some(VolumeState::Good);
            expect(world, good, "a disk like the others is not good")?;
            world.disturb(&Step::Disk { node: disk, what });
            write_for(world, clients, 130)?;
            let slow = state(world) == Some(VolumeState::Slow);
            let what = format!("a slow disk is called {:?}", state(world));
            expect(world, slow, &what)?;
            // It stays so while it is, and does no harm.
            write_for(world, clients, 60)?;
            let once = world.mark("volume.slow") == 1 && world.mark("volume.well") == 0;
            expect(world, once, "a slow disk is called slow and fast in turns")?;
            world.disturb(&Step::HealAll);
            write_for(world, clients, 130)?;
            let good = state(world) == Some(VolumeState::Good);
            expect(
                world,
                good,
                "a disk that is fast again is still called slow",
            )
        },
    );
}
