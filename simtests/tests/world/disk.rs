//! The controller's disk, which fails and fills, and the power, which fails.

use simtests::disk::{SECTOR, Tear};
use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, all_settled, bring_online, nodes, order, wait_until,
};
use simtests::world::TRAP_SPRUNG;
use vaquita_core::admin::{Selection, Verb};
use vaquita_core::disk::FileName;
use vaquita_core::io::ExitCode;

use crate::story::{Story, expect, ready, run, seconds, tiny};

/// 15, 17: the controller's power fails at an operation of its disk, one after the other: while the
/// log is written, a segment is begun, a checkpoint replaces another. What nodes were promised is
/// there afterwards (a checker holds that at every promise).
#[test]
fn a_power_cut_at_every_operation_of_the_controllers_disk() {
    run(
        120,
        Story {
            name: "disk::a_power_cut_at_every_operation_of_the_controllers_disk",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                // Orders that write many records, with the trap at the operation that the seed says.
                let skip = world.seed() % 90;
                let after = world.seed().is_multiple_of(3);
                let power = !world.seed().is_multiple_of(5);
                let node = MASTER.to_owned();
                world.disturb(&Step::AtOp {
                    node,
                    skip,
                    after,
                    power,
                });
                for round in 0..6 {
                    let names = Cluster::node_name(1 + round % 3, 1);
                    order(world, Verb::StopNodes(nodes(&[&names])));
                    world.run_for(seconds(2))?;
                    order(world, Verb::StartNodes(nodes(&[&names])));
                    world.run_for(seconds(2))?;
                    if let Some(host) = world.host("h0") {
                        world.power_on(host);
                    }
                }
                let sprung = world.mark(TRAP_SPRUNG) == 1;
                expect(world, sprung, "there was no such operation of the disk")?;
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
}

/// 19: a sync of the controller's log fails: the process ends at once and promises nothing more;
/// the next one reads what is really there.
#[test]
fn a_failed_sync_ends_the_controller_and_loses_nothing() {
    run(
        20,
        Story {
            name: "disk::a_failed_sync_ends_the_controller_and_loses_nothing",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                // The setup code is written soon after the start, and is no part of the log.
                world.run_for(seconds(2))?;
                let master = world.node(MASTER).expect("it runs");
                let starts = world.starts(master);
                world.disk_mut(master).fail_next_sync = true;
                order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                world.run_for(seconds(10))?;
                let again = world.starts(master) > starts;
                expect(world, again, "a controller whose sync failed goes on")?;
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
}

/// 16: the power fails while the end of the log is on its way to the disk, and whatever the disk
/// makes of it, everything promised is there: a beginning of the write, any of its sectors, or
/// sectors that nobody wrote. What was cut short is cut off and kept.
#[test]
fn a_torn_end_of_the_log_loses_nothing_promised() {
    for (tear, name) in [
        (Tear::Prefix, "a beginning"),
        (Tear::Subset, "any sectors"),
        (Tear::Garbage, "garbage"),
    ] {
        let summary = run(
            40,
            Story {
                name: "disk::a_torn_end_of_the_log_loses_nothing_promised",
                cluster: match tear {
                    Tear::Prefix => |_| many_nodes(Tear::Prefix),
                    Tear::Subset => |_| many_nodes(Tear::Subset),
                    Tear::Garbage => |_| many_nodes(Tear::Garbage),
                },
                prepare: ready,
                drive: |world| {
                    bring_online(world)?;
                    let node = MASTER.to_owned();
                    let (skip, after) = (world.seed() % 7, false);
                    world.disturb(&Step::AtOp {
                        node,
                        skip,
                        after,
                        power: true,
                    });
                    for _ in 0..2 {
                        order(world, Verb::StopNodes(Selection::All));
                        world.run_for(seconds(3))?;
                        order(world, Verb::StartNodes(Selection::All));
                        world.run_for(seconds(3))?;
                    }
                    let sprung = world.mark(TRAP_SPRUNG) == 1;
                    expect(world, sprung, "there was no such operation of the disk")?;
                    let host = world.host("h0").expect("there is a host");
                    let home = world
                        .disk(world.node(MASTER).expect("a controller"))
                        .files();
                    world.power_on(host);
                    world.run_for(seconds(30))?;
                    if refused_as_damage(world) {
                        // A disk that writes what nobody wrote is no disk that lost its power: the
                        // controller must not guess, and does not.
                        let garbage = world.settings().disk.tear == Tear::Garbage;
                        expect(world, garbage, "an interrupted write is taken for damage")?;
                        let master = world.node(MASTER).expect("a controller");
                        let same = world.disk(master).files() == home;
                        return expect(world, same, "a refused start changed the home");
                    }
                    order(world, Verb::StartNodes(Selection::All));
                    world.run_for(seconds(1))?;
                    wait_until(world, "all as ordered", all_settled)
                },
            },
        );
        let torn = summary.count("metalog.torn");
        eprintln!("{name}: {torn} torn ends in {} runs", summary.runs);
        assert!(summary.runs < 40 || torn > 0, "{name}: nothing was torn");
    }
}

/// Hosts with so many nodes that an order for all of them is a write of several sectors.
fn many_nodes(tear: Tear) -> Cluster {
    let mut cluster = Cluster {
        hosts: 3,
        nodes_per_host: 10,
        ..Cluster::default()
    };
    cluster.settings.disk.tear = tear;
    cluster
}

fn refused_as_damage(world: &VaquitaWorld) -> bool {
    let end = world.ended().last();
    end.is_some_and(|ended| ended.reason.code == ExitCode::CorruptData)
}

/// What a crash may leave of a write that was never synced.
#[derive(Clone, Copy, Debug)]
enum Remains {
    /// A beginning that ends within a record.
    CutWithinARecord,
    /// All of it but one sector in its middle, which is blank.
    AHoleInTheMiddle,
    /// All of it, and behind it what nobody wrote.
    GarbageBehindIt,
    /// None of it, and what nobody wrote in its place.
    GarbageInstead,
}

/// 16: the same, made by hand: a record cut in its middle; a sector missing amid the records of a
/// write that spans several; garbage behind the last record and in its place.
#[test]
fn whatever_is_left_of_an_unsynced_write_is_cut_off_and_kept() {
    run(
        24,
        Story {
            name: "disk::whatever_is_left_of_an_unsynced_write_is_cut_off_and_kept",
            cluster: |_| many_nodes(Tear::Subset),
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(12))?;
                let master = world.node(MASTER).expect("it runs");
                // Slow enough to be looked at between the write and its sync.
                let (node, what) = (MASTER.to_owned(), DiskStep::Slow(500));
                world.disturb(&Step::Disk { node, what });
                order(world, Verb::StopNodes(Selection::All));
                let written = world.run_until_reached(seconds(5), |world| {
                    unsynced(world)
                        .is_some_and(|(_, promised, all)| all.len() > promised.len() + 1_024)
                })?;
                expect(
                    world,
                    written,
                    "an order for thirty nodes is a write of a kilobyte",
                )?;
                let Some((file, promised, all)) = unsynced(world) else {
                    return expect(world, false, "it is not synced yet");
                };
                let mut draw = world.streams().at(Stream::Fault, u64::MAX, 0);
                let garbage: Vec<u8> = (0..300).map(|_| draw.below(256).to_le_bytes()[0]).collect();
                let middle = (promised.len() + 700) / SECTOR * SECTOR;
                let (remains, left) = match world.seed() % 4 {
                    0 => {
                        let most = (all.len() - promised.len()) as u64;
                        let cut =
                            promised.len() + 1 + usize::try_from(draw.below(most - 1)).unwrap_or(0);
                        // Records have lengths that are multiples of eight.
                        let cut = if cut.is_multiple_of(8) { cut - 1 } else { cut };
                        (Remains::CutWithinARecord, all[..cut].to_vec())
                    }
                    1 => {
                        let mut left = all.clone();
                        left[middle..middle + SECTOR].fill(0);
                        (Remains::AHoleInTheMiddle, left)
                    }
                    2 => (
                        Remains::GarbageBehindIt,
                        [all.as_slice(), &garbage].concat(),
                    ),
                    _ => (
                        Remains::GarbageInstead,
                        [promised.as_slice(), &garbage].concat(),
                    ),
                };
                let host = world.host("h0").expect("there is a host");
                world.power_cut(host);
                world.disk_mut(master).install(file.clone(), left.clone());
                let (node, what) = (MASTER.to_owned(), DiskStep::Well);
                world.disturb(&Step::Disk { node, what });
                world.power_on(host);
                world.run_for(seconds(10))?;
                let told = world.mark("metalog.torn");
                let what = format!("{remains:?} is taken for a torn end, once: {told}");
                expect(world, told == 1, &what)?;
                let files = world.disk(master).files();
                let begins = files[&file].starts_with(&promised);
                expect(world, begins, "what was promised is where it was")?;
                // What was cut off stands in a file of its own, for whoever wants to look.
                let kept = files.iter().any(|(name, bytes)| {
                    *name != file && !bytes.is_empty() && left.ends_with(bytes)
                });
                let what = format!(
                    "{remains:?}: what was cut off is not kept in {:?}",
                    files.keys()
                );
                expect(world, kept, &what)?;
                order(world, Verb::StartNodes(Selection::All));
                world.run_for(seconds(1))?;
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
}

/// The file of the controller's log that holds bytes that no sync has covered: its name, what was
/// promised of it, and all of it.
fn unsynced(world: &VaquitaWorld) -> Option<(FileName, Vec<u8>, Vec<u8>)> {
    let disk = world.disk(world.node(MASTER)?);
    let mut logs = disk.files().into_iter();
    logs.find_map(|(file, all)| {
        let promised = disk.promised(&file)?.to_vec();
        (file.as_str().starts_with("seg-") && all.len() > promised.len())
            .then_some((file, promised, all))
    })
}

/// 19: the controller's disk is full, during a record or during a checkpoint, as the seed has it.
/// Nobody goes offline by that, orders are refused with the reason or wait, and once there is space
/// everything goes on by itself.
#[test]
fn a_full_disk_stops_orders_and_nothing_else() {
    let summary = run(
        30,
        Story {
            name: "disk::a_full_disk_stops_orders_and_nothing_else",
            cluster: tiny,
            prepare: |world| {
                let except = ["P1-NODE1".to_owned()].into();
                world.add_checker(NobodyOffline { except });
            },
            drive: |world| {
                bring_online(world)?;
                let node = MASTER.to_owned();
                let room = 25 * world.seed().min(40);
                world.disturb(&Step::Disk {
                    node: node.clone(),
                    what: DiskStep::Room(room),
                });
                for _ in 0..8 {
                    order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                    world.run_for(seconds(2))?;
                    order(world, Verb::StartNodes(nodes(&["P1-NODE1"])));
                    world.run_for(seconds(2))?;
                }
                let what = DiskStep::Well;
                world.disturb(&Step::Disk { node, what });
                world.run_for(seconds(15))?;
                let taken = order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                world.run_for(seconds(2))?;
                let master = world.node(MASTER).expect("it runs");
                let reply = taken.and_then(|id| world.answer(master, id)?.reply.clone());
                let what = format!("orders are taken again once there is space: {reply:?}");
                expect(world, matches!(reply, Some(Ok(_))), &what)?;
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
    for mark in ["metalog.full", "metalog.checkpoint_failed"] {
        let told = summary.count(mark);
        eprintln!("{told:>8}  {mark}");
        assert!(summary.runs < 30 || told > 0, "{mark} was never told");
    }
}

/// 49: the controller is started, again and again, on a disk that is full: with room for its first record and not for
/// what follows, with room for neither, and with its reserve or without. A full disk ends no process, and once there is
/// space the one that is there serves, by itself.
#[test]
fn a_controller_that_starts_on_a_full_disk_serves_once_there_is_space() {
    let summary = run(
        60,
        Story {
            name: "disk::a_controller_that_starts_on_a_full_disk_serves_once_there_is_space",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                // The setup code is written soon after the start, and is no part of the log.
                world.run_for(seconds(2))?;
                let master = world.node(MASTER).expect("it runs");
                let starts = world.starts(master);
                // Less each time: the reserve is given up at the first start that needs it.
                for most in [260, 140, 70] {
                    world.disturb(&Step::Disk {
                        node: MASTER.to_owned(),
                        what: DiskStep::Room(7 * (world.seed() % 260) % most),
                    });
                    world.kill(master);
                    world.run_for(seconds(4))?;
                }
                world.disturb(&Step::Disk {
                    node: MASTER.to_owned(),
                    what: DiskStep::Well,
                });
                world.run_for(seconds(8))?;
                let ended = world.starts(master) - starts;
                let what = format!("three processes were killed, and {ended} have ended");
                expect(world, ended == 3, &what)?;
                wait_until(world, "all online", all_online)?;
                order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
    for mark in ["metalog.full", "controller.home"] {
        let told = summary.count(mark);
        eprintln!("{told:>8}  {mark}");
        assert!(summary.runs < 60 || told > 0, "{mark} was never told");
    }
}
