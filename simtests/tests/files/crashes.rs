//! Processes that are killed, and power that fails, amid writes.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{Cluster, MASTER, VaquitaWorld, all_online, wait_until};
use simtests::world::{Failure, TRAP_SPRUNG};

use crate::story::{
    Work, assert_served, chunks_on_disks, expect, get, named, put, run, seconds, small, tiny,
};

/// 24: the entry, a replica or the controller is killed at a random moment of the writing; the
/// write ends one way or the other, and what was acknowledged stays.
#[test]
fn kills_in_the_midst_of_writes_lose_nothing() {
    let summary = run(
        16,
        "crashes::kills_in_the_midst_of_writes_lose_nothing",
        tiny,
        |world, clients| {
            let mut work = Work::default();
            for round in 0..8 {
                let mut draw = world.streams().at(Stream::Workload, 0x4111, round);
                for nth in 0..4 {
                    let len = usize::try_from(16 + draw.below(20_000)).unwrap_or(0);
                    let order = put(&format!("/d/f{nth}"), 100 * round + nth, len);
                    work.begin(world, clients, order);
                }
                let pause = Duration::from_micros(draw.below(30_000));
                clients.run_for(world, pause)?;
                let victims = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1", MASTER];
                let victim = named(world, draw.pick::<&str>(&victims));
                world.kill(victim);
                clients.run_for(world, seconds(6))?;
                for nth in 0..4 {
                    let order = get(&format!("/d/f{nth}"));
                    work.begin(world, clients, order);
                }
                clients.finish(world)?;
            }
            work.is_served(world, clients, 75)?;
            wait_until(world, "all online", all_online)
        },
    );
    assert_served(&summary);
}

/// The power fails at an operation of a disk while one file is written, at one after the other: a
/// chunk that is packed, and one that has a file of its own; the controller's disk, a replica's
/// volume, that of another, and a replica's home. A write does not touch a home, but a registration
/// does: there the node is killed in the midst of each write, and registers anew.
fn power_fails_at_an_operation(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    let seed = world.seed();
    let disks = ["master", "P1-NODE1/0", "P2-NODE1/0", "P1-NODE1"];
    let disk = disks[usize::try_from(seed % 4).unwrap_or(0)];
    let len = if (seed / 4).is_multiple_of(2) {
        2_000
    } else {
        8_000
    };
    let skip = seed / 16 % 14;
    clients.have(world, put("/d/f", 1, 5_000))?;
    world.disturb(&Step::AtOp {
        node: disk.to_owned(),
        skip,
        after: (seed / 8).is_multiple_of(2),
        power: true,
    });
    for number in 2..5 {
        clients.begin(world, None, put("/d/f", number, len));
        if let "P1-NODE1" = disk {
            let mut draw = world.streams().at(Stream::Workload, 0x40e, number);
            clients.run_for(world, Duration::from_micros(draw.below(4_000)))?;
            let node = named(world, disk);
            world.kill(node);
        }
        clients.run_for(world, seconds(1))?;
        clients.begin(world, None, get("/d/f"));
        clients.run_for(world, seconds(3))?;
    }
    let sprung = world.mark(TRAP_SPRUNG) == 1;
    expect(world, sprung, "there was no such operation of that disk")?;
    for host in world.hosts().collect::<Vec<_>>() {
        world.power_on(host);
    }
    clients.finish(world)?;
    world.disturb(&Step::HealAll);
    wait_until(world, "all online", all_online)?;
    let read = clients.have(world, get("/d/f"))?;
    let there = matches!(read, Done::Read(_));
    expect(world, there, "a file that was there cannot be read")
}

/// 15, for files: see there.
#[test]
fn a_power_cut_at_every_operation_of_a_write() {
    run(
        224,
        "crashes::a_power_cut_at_every_operation_of_a_write",
        |_| Cluster::of(3).with_tiny_limits().with_files(),
        power_fails_at_an_operation,
    );
}

/// Ruling 2: the controller ends between the moment at which replicas have prepared a chunk and the
/// commit. The next one commits what the replicas themselves report, or nothing.
#[test]
fn a_controller_that_ends_before_the_commit() {
    let summary = run(
        24,
        "crashes::a_controller_that_ends_before_the_commit",
        tiny,
        |world, clients| {
            for number in 0..4 {
                let path = format!("/d/f{number}");
                let before = chunks_on_disks(world);
                let ticket = clients.begin(world, None, put(&path, number, 20_000));
                let mut draw = world.streams().at(Stream::Workload, 0xc0, number);
                clients.run_for(world, Duration::from_micros(1_000 + draw.below(6_000)))?;
                let prepared = chunks_on_disks(world) > before;
                let between = prepared && clients.done(ticket).is_none();
                world.count(KILLED_BETWEEN, u64::from(between));
                let master = named(world, MASTER);
                world.kill(master);
                clients.finish(world)?;
                let read = clients.have(world, get(&path))?;
                let done = clients.done(ticket);
                let written = matches!(done, Some(Done::Written(_)));
                let what = format!("a write that was tried again: {done:?}, and reads {read:?}");
                expect(world, written && read == Done::Read(number), &what)?;
            }
            wait_until(world, "all online", all_online)
        },
    );
    let between = summary.count(KILLED_BETWEEN);
    let what = format!("{between} of {} writes were cut in two", 4 * summary.runs);
    assert!(summary.runs < 10 || between > summary.runs, "{what}");
}

const KILLED_BETWEEN: &str = "killed.between_prepared_and_told";

/// `dataSync=0`: bytes of chunks are not synced. A loss of power may take them; the end of a process
/// takes nothing.
#[test]
fn without_data_sync_a_kill_loses_nothing() {
    run(
        6,
        "crashes::without_data_sync_a_kill_loses_nothing",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            cluster.data_sync = false;
            cluster
        },
        |world, clients| {
            clients.looks_at_disks = false;
            for round in 0..5 {
                for nth in 0..4 {
                    let number = 10 * round + nth;
                    clients.begin(world, None, put(&format!("/d/f{nth}"), number, 7_000));
                }
                let mut draw = world.streams().at(Stream::Workload, 0xda7a, round);
                clients.run_for(world, Duration::from_micros(draw.below(5_000)))?;
                for name in ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1"] {
                    let node = named(world, name);
                    world.kill(node);
                }
                clients.run_for(world, seconds(5))?;
                clients.finish(world)?;
                wait_until(world, "all online", all_online)?;
                for nth in 0..4 {
                    let read = clients.have(world, get(&format!("/d/f{nth}")))?;
                    let there = matches!(read, Done::Read(_));
                    expect(world, there, "a killed process took a file")?;
                }
            }
            wait_until(world, "all online", all_online)
        },
    );
}

/// What a look at a file has shown is durable: a controller whose disk is slow loses power, and what
/// somebody has read is not taken back. What it replaces is given up when that is durable, and not
/// before.
#[test]
fn nothing_is_read_or_given_up_that_is_not_durable() {
    run(
        8,
        "crashes::nothing_is_read_or_given_up_that_is_not_durable",
        small,
        |world, clients| {
            clients.have(world, put("/d/f", 1, 5_000))?;
            let node = MASTER.to_owned();
            let what = DiskStep::Slow(8_000);
            world.disturb(&Step::Disk { node, what });
            clients.tries = 1;
            clients.begin(world, None, put("/d/f", 2, 5_000));
            clients.run_for(world, Duration::from_millis(100))?;
            clients.begin(world, None, get("/d/f"));
            let mut draw = world.streams().at(Stream::Workload, 0xd1e7, 0);
            clients.run_for(world, Duration::from_millis(1_000 + draw.below(300)))?;
            let host = world.host("h0").expect("it is there");
            world.power_cut(host);
            clients.run_for(world, seconds(40))?;
            world.disturb(&Step::HealAll);
            clients.finish(world)?;
            clients.tries = 6;
            wait_until(world, "all online", all_online)?;
            let read = clients.have(world, get("/d/f"))?;
            let there = matches!(read, Done::Read(_));
            expect(world, there, "what was not replaced for good was given up")
        },
    );
}

/// A controller that is started anew is gone for a moment: clients that ask just then wait for it, and
/// none is refused.
#[test]
fn questions_wait_for_a_controller_that_starts_anew() {
    run(
        12,
        "crashes::questions_wait_for_a_controller_that_starts_anew",
        |seed| {
            let mut cluster = small(seed);
            // A controller of the World is started anew after a second.
            cluster.limits.reconnect_wait = seconds(3);
            cluster
        },
        |world, clients| {
            for number in 0..4 {
                clients.have(world, put(&format!("/d/f{number}"), number, 4_000))?;
            }
            // A client that is refused does not ask again.
            clients.tries = 1;
            for round in 0..6_u64 {
                let mut tickets = Vec::new();
                for nth in 0..8 {
                    let order = get(&format!("/d/f{}", nth % 4));
                    tickets.push((nth % 4, clients.begin(world, None, order)));
                    if nth == 3 {
                        world.kill(named(world, MASTER));
                    }
                    let mut draw = world
                        .streams()
                        .at(Stream::Workload, 0xa117, 8 * round + nth);
                    clients.run_for(world, Duration::from_micros(draw.below(20_000)))?;
                }
                let begun = world.now();
                for (number, ticket) in tickets {
                    let read = clients.wait(world, ticket)?;
                    let what = format!("/d/f{number} reads as {read:?}");
                    expect(world, read == Done::Read(number), &what)?;
                }
                let took = world.now().since(begun);
                expect(world, took < seconds(2), &format!("reads took {took:?}"))?;
                wait_until(world, "all online", all_online)?;
                clients.run_for(world, seconds(3))?;
            }
            Ok(())
        },
    );
}
