//! What nobody reads is read through.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::Done;
use simtests::vaquita::{Cluster, VaquitaWorld, all_online, nodes, order, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::digest::BLOCK;
use vaquita_core::disk::FileName;
use vaquita_core::store::ALONE_HEADER;

use crate::duties::has;
use crate::repair::{expect_whole, impatient, read_all, repairs, write_some};
use crate::story::{expect, named, put, run, seconds, stop};

const PERIOD: Duration = Duration::from_secs(120);

/// As many nodes as replicas, which read all that they have in two minutes.
fn scrubbing(seed: u64) -> Cluster {
    Cluster {
        hosts: 3,
        scrub_period: PERIOD,
        ..impatient(seed)
    }
}

/// 20: bytes rot on the disks of one node, and no client reads. They are found and made anew, and a
/// second look finds nothing any more.
#[test]
fn rot_that_nobody_reads_is_found_and_made_anew() {
    run(
        8,
        "scrub::rot_that_nobody_reads_is_found_and_made_anew",
        scrubbing,
        |world, clients| {
            write_some(world, clients, 8)?;
            for _ in 0..20 {
                let node = "P2-NODE1/0".to_owned();
                let what = DiskStep::Rot;
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            // A pass begins within the first pause, and the one that was under way may have been past it.
            clients.run_for(world, 2 * PERIOD + seconds(60))?;
            let found = world.mark("volume.damaged_chunk");
            expect(world, found > 0, "nobody has found what is rotten")?;
            expect_whole(world)?;
            let passes = world.mark("scrub.pass");
            wait_for_passes(world, passes + 6)?;
            let again = world.mark("volume.damaged_chunk");
            let what = format!(
                "{found} chunks were found damaged, and then {}",
                again - found
            );
            expect(world, again == found, &what)?;
            read_all(world, clients, 8)
        },
    );
}

fn wait_for_passes(world: &mut VaquitaWorld, passes: u64) -> Result<(), Failure> {
    for _ in 0..10 {
        if world.mark("scrub.pass") >= passes {
            return Ok(());
        }
        world.run_for(PERIOD / 2)?;
    }
    wait_until(world, "everything is read through twice more", |world| {
        world.mark("scrub.pass") >= passes
    })
}

/// Chunks come and go, nodes die and disks are slow: each pass ends, and finds nothing where nothing is
/// wrong.
#[test]
fn scrubbing_amid_work_finds_nothing_and_ends() {
    run(
        6,
        "scrub::scrubbing_amid_work_finds_nothing_and_ends",
        |seed| Cluster {
            hosts: 4,
            scrub_period: Duration::from_secs(5),
            ..impatient(seed)
        },
        |world, clients| {
            let work = crate::story::work(world, clients, 0..60, Duration::from_millis(300))?;
            world.kill(crate::story::named(world, "P3-NODE1"));
            let more = crate::story::work(world, clients, 60..90, Duration::from_millis(300))?;
            clients.finish(world)?;
            work.is_served(world, clients, 60)?;
            more.tell(world, clients);
            write_some(world, clients, 8)?;
            clients.run_for(world, seconds(20))?;
            let found = world.mark("volume.damaged_chunk");
            expect(
                world,
                found == 0,
                "a good chunk was taken for a damaged one",
            )?;
            let passes = world.mark("scrub.pass");
            expect(world, passes >= 8, &format!("{passes} passes have ended"))
        },
    );
}

/// A chunk of eight blocks, and no third replica.
fn of_blocks(seed: u64) -> Cluster {
    let mut cluster = scrubbing(seed);
    cluster.scrub_period = Duration::from_secs(60);
    cluster.files.factor = 2;
    cluster.limits.chunk_bytes = 600 * 1024;
    cluster.limits.packed_max = 200 * 1024;
    cluster.settings.volume.capacity = 40 << 20;
    cluster
}

/// Flips a bit of the only chunk there is, in one block of the first replica and in another of the second.
/// Returns the hosts that have replicas.
fn flip_blocks(world: &mut VaquitaWorld, blocks: [usize; 2]) -> Vec<u32> {
    let now = world.now();
    let mut holders = Vec::new();
    for host in 1..=world.factory().cluster.hosts {
        let node = named(world, &format!("P{host}-NODE1"));
        let Some(disk) = world.volume_mut(node, 0) else {
            continue;
        };
        let mut files = disk.files();
        let mut names = files.iter_mut();
        let Some((_, bytes)) = names.find(|(name, _)| name.as_str().ends_with(".chunk")) else {
            continue;
        };
        if let Some(block) = blocks.get(holders.len()) {
            let header = usize::try_from(ALONE_HEADER).expect("it is short");
            bytes[header + block * BLOCK + 17] ^= 4;
            disk.replace(now, &files);
        }
        holders.push(host);
    }
    holders
}

/// Both replicas are damaged, in different blocks: the chunk is put together from what each still has.
#[test]
fn replicas_that_are_damaged_at_different_blocks_are_put_together() {
    run(
        6,
        "scrub::replicas_that_are_damaged_at_different_blocks_are_put_together",
        of_blocks,
        |world, clients| {
            let done = clients.have(world, put("/d/f0", 0, 500_000))?;
            expect(world, matches!(done, Done::Written(_)), "it is not written")?;
            let last = usize::try_from(world.seed() % 3).unwrap_or(0) + 5;
            let holders = flip_blocks(world, [2, last]);
            expect(
                world,
                holders.len() == 2,
                &format!("replicas on {holders:?}"),
            )?;
            clients.run_for(world, seconds(200))?;
            let found = world.mark("volume.damaged_chunk");
            expect(
                world,
                found == 2,
                &format!("{found} replicas were found damaged"),
            )?;
            expect_whole(world)?;
            read_all(world, clients, 1)
        },
    );
}

/// They are damaged in one and the same block: nothing can be put together, nothing is thrown away, and the
/// reason is told. A node that was away has it whole: then it is made anew.
#[test]
fn a_block_that_is_whole_nowhere_is_waited_for() {
    run(
        4,
        "scrub::a_block_that_is_whole_nowhere_is_waited_for",
        |seed| {
            let mut cluster = of_blocks(seed);
            cluster.hosts = 4;
            cluster.files.factor = 3;
            cluster
        },
        |world, clients| {
            let done = clients.have(world, put("/d/f0", 0, 500_000))?;
            expect(world, matches!(done, Done::Written(_)), "it is not written")?;
            let holders = flip_blocks(world, [3, 3]);
            expect(
                world,
                holders.len() == 3,
                &format!("replicas on {holders:?}"),
            )?;
            let away = world
                .host(&format!("h{}", holders[2]))
                .expect("it is there");
            world.power_cut(away);
            clients.run_for(world, seconds(200))?;
            let status = repairs(world).unwrap_or_default();
            let mut stuck = status.stuck.iter();
            let told = stuck.any(|row| row.reason.contains("whole nowhere"));
            expect(world, told, &format!("the reason is not told: {status:?}"))?;
            world.power_on(away);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect_whole(world)?;
            read_all(world, clients, 1)
        },
    );
}

/// Flips a bit in each of these files of the volume of P2-NODE1.
fn damage(world: &mut VaquitaWorld, names: &[&'static str]) {
    let (node, now) = (named(world, "P2-NODE1"), world.now());
    let disk = world.volume_mut(node, 0).expect("it has a volume");
    let mut files = disk.files();
    for name in names {
        let bytes = files.get_mut(&FileName::fixed(name)).expect("it is there");
        bytes[20] ^= 1;
    }
    disk.replace(now, &files);
}

fn label(world: &VaquitaWorld) -> Vec<Option<Vec<u8>>> {
    let node = named(world, "P2-NODE1");
    let files = world.volume(node, 0).map(|disk| disk.files());
    let files = files.unwrap_or_default();
    let copies = ["vaquita.vol", "vaquita.vol.bak"].map(FileName::fixed);
    copies.map(|file| files.get(&file).cloned()).to_vec()
}

/// P2-NODE1 gets a new process.
fn start_anew(world: &mut VaquitaWorld) -> Result<(), Failure> {
    stop(world, &["P2-NODE1"])?;
    order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
    wait_until(world, "all online", all_online)
}

/// 66: a label rots while its volume is in use, one copy after the other or both at once. It is mended by the
/// process that knows what it said, so that the next one takes the volume with all that is on it.
#[test]
fn a_label_that_rots_is_mended_while_its_volume_is_in_use() {
    const COPIES: [&str; 2] = ["vaquita.vol", "vaquita.vol.bak"];
    run(
        6,
        "scrub::a_label_that_rots_is_mended_while_its_volume_is_in_use",
        scrubbing,
        |world, clients| {
            write_some(world, clients, 8)?;
            let (before, chunks) = (label(world), has(world, "P2-NODE1"));
            for which in [&COPIES[..1], &COPIES[1..], &COPIES[..]] {
                damage(world, which);
                clients.run_for(world, PERIOD + seconds(2))?;
                let mended = label(world) == before;
                expect(world, mended, &format!("{which:?} was not mended"))?;
            }
            let told = world.mark("volume.label");
            // Of each that it was written again, and that it is good again.
            expect(world, told == 6, &format!("it was told {told} times"))?;
            start_anew(world)?;
            let after = has(world, "P2-NODE1");
            expect(world, after == chunks, &format!("{after} chunks are left"))?;
            read_all(world, clients, 8)
        },
    );
}

/// Somebody removes both copies of a label while its volume is in use. That is told and left alone, the volume
/// goes on, and its node's next process does not take it for an empty one.
#[test]
fn a_label_that_somebody_removes_is_told_and_left_alone() {
    run(
        3,
        "scrub::a_label_that_somebody_removes_is_told_and_left_alone",
        scrubbing,
        |world, clients| {
            write_some(world, clients, 8)?;
            let before = has(world, "P2-NODE1");
            let (node, now) = (named(world, "P2-NODE1"), world.now());
            let disk = world.volume_mut(node, 0).expect("it has a volume");
            let good = disk.files();
            let mut files = good.clone();
            files.retain(|name, _| !name.as_str().starts_with("vaquita.vol"));
            disk.replace(now, &files);
            clients.run_for(world, PERIOD + seconds(2))?;
            let told = world.mark("volume.label");
            expect(world, told == 1, &format!("it was told {told} times"))?;
            let after = has(world, "P2-NODE1");
            expect(world, after == before, &format!("{after} chunks are left"))?;
            start_anew(world)?;
            let after = has(world, "P2-NODE1");
            let what = format!("a directory without a label has {after} chunks");
            expect(world, after == 0, &what)?;
            let gone = label(world) == [None, None];
            expect(world, gone, "a label was written")?;
            // The operator finds it again.
            let disk = world.volume_mut(node, 0).expect("it has a volume");
            disk.replace(now, &good);
            start_anew(world)?;
            let after = has(world, "P2-NODE1");
            expect(world, after == before, &format!("{after} chunks are back"))?;
            read_all(world, clients, 8)
        },
    );
}

/// What meets a fault of its disk is the volume, also where nothing but its label is written: nothing more is
/// written there until an operator has it read again, and then the label is mended.
#[test]
fn a_label_that_cannot_be_written_fails_its_volume() {
    run(
        4,
        "scrub::a_label_that_cannot_be_written_fails_its_volume",
        scrubbing,
        |world, clients| {
            write_some(world, clients, 8)?;
            let (good, before) = (label(world), has(world, "P2-NODE1"));
            damage(world, &["vaquita.vol"]);
            let what = match world.seed() % 2 {
                0 => DiskStep::FailSync,
                _ => DiskStep::FailOp,
            };
            let node = "P2-NODE1/0".to_owned();
            world.disturb(&Step::Disk { node, what });
            clients.run_for(world, PERIOD + seconds(2))?;
            let after = has(world, "P2-NODE1");
            let what = format!("a volume whose disk has failed has {after} chunks");
            expect(world, after == 0, &what)?;
            order(world, Verb::RescanVolumes(nodes(&["P2-NODE1"])));
            clients.run_for(world, seconds(10))?;
            let after = has(world, "P2-NODE1");
            expect(world, after == before, &format!("{after} chunks are back"))?;
            let mended = label(world) == good;
            expect(world, mended, "the label was not mended")?;
            read_all(world, clients, 8)
        },
    );
}
