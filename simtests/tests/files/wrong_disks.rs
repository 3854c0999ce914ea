//! Disks that are not what they should be: another's, an older one, one that wrote elsewhere or not at
//! all, one that hangs, and a node that has lost all it had.

use std::time::Duration;

use simtests::disk::Files;
use simtests::plan::{DiskStep, Step};
use simtests::run::check;
use simtests::vaquita::files::Done;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::{Failure, Transfer};
use vaquita_core::admin::{NodeState, Verb};
use vaquita_core::dfs::digest::BLOCK;
use vaquita_core::ids::Endpoint;
use vaquita_core::store::ALONE_HEADER;

use crate::duties::{contents, has};
use crate::repair::{WAIT, all_whole, expect_whole, host, impatient, read_all, write_some};
use crate::story::{
    Story, chunks_on_disks, expect, get, named, put, remove, run, seconds, small, stop, until,
};

fn volume(world: &VaquitaWorld, name: &str) -> Files {
    let node = named(world, name);
    world
        .volume(node, 0)
        .map(|disk| disk.files())
        .unwrap_or_default()
}

/// Another disk is where that of a node was.
fn put_in(world: &mut VaquitaWorld, name: &str, files: &Files) {
    let (node, now) = (named(world, name), world.now());
    if let Some(disk) = world.volume_mut(node, 0) {
        disk.replace(now, files);
    }
}

fn start(world: &mut VaquitaWorld, names: &[&str]) -> Result<(), Failure> {
    order(world, Verb::StartNodes(nodes(names)));
    wait_until(world, "all online", all_online)
}

fn five(seed: u64) -> Cluster {
    let mut cluster = impatient(seed);
    cluster.hosts = 5;
    cluster
}

/// 23: two nodes have each other's disk. Neither uses what is not its own, nor writes to it; what they had
/// is made anew elsewhere; and when the disks are where they belong they count again.
#[test]
fn exchanged_disks_are_left_alone_and_made_up_for() {
    run(
        6,
        "wrong_disks::exchanged_disks_are_left_alone_and_made_up_for",
        five,
        |world, clients| {
            write_some(world, clients, 12)?;
            let pair = ["P2-NODE1", "P3-NODE1"];
            stop(world, &pair)?;
            let (one, other) = (volume(world, pair[0]), volume(world, pair[1]));
            put_in(world, pair[0], &other);
            put_in(world, pair[1], &one);
            start(world, &pair)?;
            for name in pair {
                let used = has(world, name);
                let what = format!("{name} counts {used} chunks of another node's disk");
                expect(world, used == 0, &what)?;
            }
            clients.run_for(world, seconds(40))?;
            let made = world.mark("repair.copied");
            expect(world, made > 0, "nothing was made anew")?;
            read_all(world, clients, 12)?;
            let untouched = volume(world, pair[0]) == other && volume(world, pair[1]) == one;
            expect(world, untouched, "a disk of another node was written to")?;
            stop(world, &pair)?;
            put_in(world, pair[0], &one);
            put_in(world, pair[1], &other);
            start(world, &pair)?;
            clients.run_for(world, seconds(60))?;
            let back = pair
                .iter()
                .all(|name| world.volume(named(world, name), 0).is_some());
            expect(world, back, "the disks are not there")?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}

/// 20: a disk comes back as it was some time ago. What files have still counts, what they have no more
/// goes, and what is not on it is made anew; nobody reads what was replaced since.
#[test]
fn a_disk_of_an_earlier_day_is_judged_by_its_contents() {
    run(
        8,
        "wrong_disks::a_disk_of_an_earlier_day_is_judged_by_its_contents",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let old = volume(world, "P2-NODE1");
            let held = contents(world, "P2-NODE1");
            for number in 0..4 {
                clients.have(world, put(&format!("/d/f{number}"), 50 + number, 9_000))?;
                clients.have(world, remove(&format!("/d/f{}", number + 8)))?;
                clients.have(world, put(&format!("/d/h{number}"), 70 + number, 9_000))?;
            }
            let newer = contents(world, "P2-NODE1");
            let differ = held.iter().any(|it| !newer.contains(it))
                && newer.iter().any(|it| !held.contains(it));
            expect(world, differ, "nothing has changed there meanwhile")?;
            stop(world, &["P2-NODE1"])?;
            put_in(world, "P2-NODE1", &old);
            start(world, &["P2-NODE1"])?;
            for number in 0..4 {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                let what = format!("a file that was replaced reads as {read:?}");
                expect(world, read == Done::Read(50 + number), &what)?;
            }
            clients.run_for(world, seconds(60))?;
            let stale = contents(world, "P2-NODE1");
            let gone = held
                .iter()
                .filter(|it| !newer.contains(it))
                .all(|it| !stale.contains(it));
            expect(world, gone, "what no file has is still there")?;
            expect_whole(world)
        },
    );
}

/// All that a node has on disk: its home and its volume.
fn machine(world: &VaquitaWorld, name: &str) -> (Files, Files) {
    let home = world.disk(named(world, name)).files();
    (home, volume(world, name))
}

/// Another machine is where that of a node was.
fn put_machine(world: &mut VaquitaWorld, name: &str, (home, files): &(Files, Files)) {
    let (node, now) = (named(world, name), world.now());
    world.disk_mut(node).replace(now, home);
    put_in(world, name, files);
}

/// A machine was copied with all its disks. While the original is off, the copy runs in its place, and then
/// the original again: each has only what it has, and counts for nothing else.
#[test]
fn a_copied_machine_and_its_original_in_turn_lose_nothing() {
    run(
        8,
        "wrong_disks::a_copied_machine_and_its_original_in_turn_lose_nothing",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            stop(world, &["P2-NODE1"])?;
            let copy = machine(world, "P2-NODE1");
            start(world, &["P2-NODE1"])?;
            for number in 0..4 {
                clients.have(world, put(&format!("/d/f{number}"), 50 + number, 9_000))?;
                clients.have(world, remove(&format!("/d/f{}", number + 8)))?;
            }
            stop(world, &["P2-NODE1"])?;
            let original = machine(world, "P2-NODE1");
            put_machine(world, "P2-NODE1", &copy);
            start(world, &["P2-NODE1"])?;
            for number in 0..4 {
                clients.have(world, put(&format!("/d/f{number}"), 90 + number, 9_000))?;
                clients.have(world, put(&format!("/d/h{number}"), 70 + number, 9_000))?;
            }
            clients.run_for(world, seconds(60))?;
            expect_whole(world)?;
            stop(world, &["P2-NODE1"])?;
            put_machine(world, "P2-NODE1", &original);
            start(world, &["P2-NODE1"])?;
            for number in 0..4 {
                for (name, wanted) in [("f", 90 + number), ("h", 70 + number)] {
                    let read = clients.have(world, get(&format!("/d/{name}{number}")))?;
                    let what = format!("/d/{name}{number} reads as {read:?}");
                    expect(world, read == Done::Read(wanted), &what)?;
                }
            }
            clients.run_for(world, seconds(60))?;
            expect_whole(world)
        },
    );
}

/// 56: a block of one chunk was written into another: neither checksum nor digest fits, nobody reads it,
/// and it is made anew.
#[test]
fn bytes_that_were_written_elsewhere_are_never_read() {
    run(
        6,
        "wrong_disks::bytes_that_were_written_elsewhere_are_never_read",
        |seed| Cluster {
            hosts: 3,
            scrub_period: seconds(60),
            ..impatient(seed)
        },
        |world, clients| {
            for number in 0..6 {
                clients.have(world, put(&format!("/d/f{number}"), number, 8_000))?;
            }
            let mut files = volume(world, "P2-NODE1");
            let alone = files
                .keys()
                .filter(|file| file.as_str().ends_with(".chunk"));
            let names: Vec<_> = alone.cloned().collect();
            expect(world, names.len() == 6, "there are not six large chunks")?;
            let from = usize::try_from(ALONE_HEADER).expect("it is short");
            let len = 4_000.min(BLOCK);
            let strayed = files[&names[0]][from..from + len].to_vec();
            let hit = files.get_mut(&names[1]).expect("it is there");
            hit[from..from + len].copy_from_slice(&strayed);
            put_in(world, "P2-NODE1", &files);
            read_all(world, clients, 6)?;
            clients.run_for(world, seconds(150))?;
            let found = world.mark("volume.damaged_chunk");
            expect(
                world,
                found == 1,
                &format!("{found} chunks were found damaged"),
            )?;
            expect_whole(world)?;
            read_all(world, clients, 6)
        },
    );
}

/// 57: a disk says that it has synced, and has not; then its power fails. What was lost on it is missed and
/// made anew, and every file is read from the others.
#[test]
fn a_disk_that_lies_loses_its_own_replicas_only() {
    run(
        8,
        "wrong_disks::a_disk_that_lies_loses_its_own_replicas_only",
        impatient,
        |world, clients| {
            let node = "P2-NODE1/0".to_owned();
            let what = DiskStep::Lie;
            world.disturb(&Step::Disk { node, what });
            write_some(world, clients, 12)?;
            let before = has(world, "P2-NODE1");
            let lost = host(world, "h2");
            world.power_cut(lost);
            world.disturb(&Step::Disk {
                node: "P2-NODE1/0".to_owned(),
                what: DiskStep::Well,
            });
            clients.run_for(world, seconds(2))?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            let lied = has(world, "P2-NODE1") < before;
            expect(world, lied, "nothing was lost of what was not synced")?;
            read_all(world, clients, 12)?;
            clients.run_for(world, seconds(40))?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}

/// 61: a disk answers no more for a minute, and then does. Writes go on without it, its node stays online,
/// and what waited for it is done or of no use. That it is given up after half a minute is the driver's
/// doing, which has other tests.
#[test]
fn a_disk_that_hangs_for_a_minute_costs_nobody_else() {
    run(
        6,
        "wrong_disks::a_disk_that_hangs_for_a_minute_costs_nobody_else",
        |seed| Cluster {
            volumes: 2,
            ..five(seed)
        },
        |world, clients| {
            write_some(world, clients, 12)?;
            let offline = world.mark("node.offline");
            let node = "P2-NODE1/1".to_owned();
            let what = DiskStep::Hang;
            world.disturb(&Step::Disk { node, what });
            let hung = world.now();
            let waits = |world: &VaquitaWorld| world.stages(named(world, "P2-NODE1")) > 0;
            for number in 20..60 {
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
                let what = format!("a hung disk stops writes: {done:?}");
                expect(world, matches!(done, Done::Written(_)), &what)?;
                if waits(world) && number >= 30 {
                    break;
                }
            }
            let waits = waits(world);
            expect(world, waits, "nothing waits for the disk")?;
            let past = world.now().since(hung);
            clients.run_for(world, seconds(60).saturating_sub(past))?;
            let stays = world.mark("node.offline") == offline;
            expect(world, stays, "its node went offline")?;
            let (node, what) = ("P2-NODE1/1".to_owned(), DiskStep::Well);
            world.disturb(&Step::Disk { node, what });
            clients.run_for(world, seconds(60))?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 12)
        },
    );
}

/// 22: a node has lost its home and its volume. Where it had chunks the alias is given to the empty one by
/// order only; its replicas are made anew meanwhile, and the new node serves.
#[test]
fn a_node_that_has_lost_everything_is_made_up_for_and_replaced_by_order() {
    run(
        6,
        "wrong_disks::a_node_that_has_lost_everything_is_made_up_for_and_replaced_by_order",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            stop(world, &["P2-NODE1"])?;
            for node in ["P2-NODE1", "P2-NODE1/0"] {
                let (node, what) = (node.to_owned(), DiskStep::Wipe);
                world.disturb(&Step::Disk { node, what });
            }
            order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
            let is = |world: &VaquitaWorld, state| {
                row(world, "P2-NODE1").is_some_and(|row| row.state == state)
            };
            wait_until(world, "it is refused", |world| is(world, NodeState::Failed))?;
            clients.run_for(world, WAIT)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            let node = "P2-NODE1".to_owned();
            order(world, Verb::ReplaceNode { node });
            clients.run_for(world, seconds(1))?;
            start(world, &["P2-NODE1"])?;
            for number in 20..30 {
                clients.have(world, put(&format!("/d/f{number}"), number, 5_000))?;
            }
            expect(
                world,
                has(world, "P2-NODE1") > 0,
                "the new one takes nothing",
            )?;
            read_all(world, clients, 12)?;
            wait_until(world, "every chunk is whole", all_whole)
        },
    );
}

/// 85: a replica has rotten and nobody knows. A node is lost, and the rotten one is copied from: what
/// arrives is not kept, another is asked, and the rotten one is made anew as well.
#[test]
fn a_source_that_is_rotten_is_found_by_who_copies_from_it() {
    run(
        8,
        "wrong_disks::a_source_that_is_rotten_is_found_by_who_copies_from_it",
        impatient,
        |world, clients| {
            write_some(world, clients, 24)?;
            for _ in 0..80 {
                let (node, what) = ("P3-NODE1/0".to_owned(), DiskStep::Rot);
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            let known = world.mark("volume.damaged_chunk");
            expect(world, known == 0, "somebody has read it already")?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            clients.run_for(world, seconds(8) + WAIT + seconds(40))?;
            let found = world.mark("volume.damaged_chunk");
            expect(world, found > 0, "no rotten source was met")?;
            read_all(world, clients, 24)?;
            clients.run_for(world, seconds(20))?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect_whole(world)
        },
    );
}

/// 93: somebody says of every replica of every chunk that it is damaged. Each node reads its own through,
/// finds it whole, and goes on serving it; nothing is copied and nothing is given up.
#[test]
fn who_says_that_all_replicas_are_damaged_is_not_believed() {
    run(
        4,
        "wrong_disks::who_says_that_all_replicas_are_damaged_is_not_believed",
        small,
        |world, clients| {
            write_some(world, clients, 8)?;
            let names = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1"];
            let mut accused = 0;
            for name in names {
                let address = world.address(named(world, name));
                let to = Endpoint {
                    host: address.ip().to_string(),
                    port: address.port(),
                };
                for version in contents(world, name) {
                    let liar = named(world, "P1-NODE1");
                    world.carry(liar, &to, Transfer::Suspect { version });
                    accused += 1;
                }
            }
            expect(world, accused > 24, "nobody was accused")?;
            clients.run_for(world, seconds(20))?;
            let believed = world.mark("volume.damaged_chunk") + world.mark("repair.copied");
            expect(
                world,
                believed == 0,
                "a good replica was given up on a word",
            )?;
            expect_whole(world)?;
            read_all(world, clients, 8)
        },
    );
}

/// 47, 58: see `scrub`; a rotten replica whose node dies before it is made anew is not missed twice.
#[test]
fn a_controller_that_ends_amid_the_mending_of_rot_mends_it_all_the_same() {
    run(
        6,
        "wrong_disks::a_controller_that_ends_amid_the_mending_of_rot_mends_it_all_the_same",
        |seed| Cluster {
            hosts: 3,
            ..impatient(seed)
        },
        |world, clients| {
            write_some(world, clients, 8)?;
            for _ in 0..40 {
                let (node, what) = ("P2-NODE1/0".to_owned(), DiskStep::Rot);
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for number in (0..8).chain(0..8) {
                clients.begin(world, None, get(&format!("/d/f{number}")));
            }
            until(world, clients, "a rotten byte is met", |world| {
                world.mark("volume.damaged_chunk") > 0
            })?;
            world.kill(named(world, MASTER));
            clients.finish(world)?;
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(40))?;
            expect_whole(world)?;
            read_all(world, clients, 8)
        },
    );
}

/// 70: the disk of the controller's home says that it has synced, and has not; then its power fails. Its next
/// process knows less than nodes have seen: they tell so and follow it in nothing, and every replica stays
/// where it is.
#[test]
fn a_controller_whose_disk_has_lied_gives_nothing_up() {
    let story = Story {
        name: "wrong_disks::a_controller_whose_disk_has_lied_gives_nothing_up",
        cluster: impatient,
        drive: |world, clients| {
            write_some(world, clients, 8)?;
            for name in ["logs keep promises", "promises are durable", "epochs grow"] {
                // The disk breaks them, and not the controller.
                world.remove_checker(name);
            }
            clients.looks_at_disks = false;
            let lies = |what| Step::Disk {
                node: MASTER.to_owned(),
                what,
            };
            world.disturb(&lies(DiskStep::Lie));
            for number in 20..28 {
                clients.have(world, put(&format!("/d/f{number}"), number, 5_000))?;
            }
            clients.run_for(world, seconds(5))?;
            let known = |world: &VaquitaWorld| {
                controller(world).map(|it| it.1.state().namespace.chunks_after(None).count())
            };
            let (before, replicas) = (known(world), chunks_on_disks(world));
            let lost = host(world, "h0");
            world.power_cut(lost);
            world.disturb(&lies(DiskStep::Well));
            clients.run_for(world, seconds(2))?;
            world.power_on(lost);
            clients.run_for(world, seconds(180))?;
            if known(world) >= before {
                // A loss of power may leave even what was never synced.
                return Ok(());
            }
            world.count("test.forgot", 1);
            // What is left of the log may be refused, too.
            let refused = controller(world).is_none();
            let told = refused || world.mark("controller.rollback_seen") > 0;
            expect(world, told, "nobody says that more has been seen")?;
            let now = chunks_on_disks(world);
            let what = format!("of {replicas} replicas {now} are left");
            expect(world, now == replicas, &what)
        },
        rests: false,
    };
    let summary = check(&story, 6);
    if summary.runs >= 4 {
        assert!(summary.count("test.forgot") >= 3, "disks forget too little");
        assert!(
            summary.count("controller.rollback_seen") > 0,
            "in no run did a controller start that knew too little"
        );
    }
}
