//! Replicas that are lost and made anew.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, controller, nodes, order, wait_until,
};
use simtests::world::{Failure, HostIx};
use vaquita_core::admin::Verb;
use vaquita_core::dfs::ask::RepairStatus;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::time::Timestamp;

use crate::story::{
    assert_served, expect, get, named, put, remove, run, seconds, small, stop, suspend_repair, work,
};

/// Nodes are waited for so long.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// Four hosts, three replicas, and little patience.
pub(crate) fn impatient(seed: u64) -> Cluster {
    Cluster {
        recovery_wait: Some(WAIT),
        ..small(seed)
    }
}

pub(crate) fn repairs(world: &VaquitaWorld) -> Option<RepairStatus> {
    let (_, machine) = controller(world)?;
    Some(machine.repairs(Timestamp::ZERO))
}

/// Whether every chunk has as many good replicas as it should, by what the controller knows.
pub(crate) fn all_whole(world: &VaquitaWorld) -> bool {
    let status = repairs(world);
    let whole = status.is_some_and(|it| {
        it.holds.is_empty()
            && !it.surveying
            && it.copies.is_empty()
            && it.last_copy + it.degraded + it.leaving + it.misplaced + it.surplus == 0
    });
    whole && fewest_replicas(world) >= world.factory().cluster.files.factor
}

pub(crate) fn expect_whole(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let whole = all_whole(world);
    let what = format!("not every chunk is whole: {:?}", repairs(world));
    expect(world, whole, &what)
}

/// The fewest good replicas that a chunk has, by the machines of the nodes themselves.
fn fewest_replicas(world: &VaquitaWorld) -> usize {
    let Some((_, machine)) = controller(world) else {
        return 0;
    };
    let there: Vec<_> = world
        .nodes()
        .filter_map(|node| match world.machine(node)? {
            simtests::vaquita::Vaquita::DataNode(it) => Some((it.identity().0.node, it.entries())),
            _ => None,
        })
        .collect();
    let names = &machine.state().namespace;
    let counts = names.chunks_after(None).map(|chunk| {
        let has = |node, entries: &[vaquita_core::message::ReplicaEntry]| {
            chunk.is_held_by(node)
                && entries.iter().any(|it| {
                    (it.version, it.len, it.digest)
                        == (chunk.version(), chunk.len(), chunk.digest())
                })
        };
        there.iter().filter(|(node, all)| has(*node, all)).count()
    });
    counts.min().unwrap_or(usize::MAX)
}

pub(crate) fn write_some(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    files: u64,
) -> Result<(), Failure> {
    for number in 0..files {
        let len = if number % 2 == 0 { 2_000 } else { 9_000 };
        let done = clients.have(world, put(&format!("/d/f{number}"), number, len))?;
        let written = matches!(done, Done::Written(_));
        expect(world, written, "on a healthy cluster a write fails")?;
    }
    Ok(())
}

pub(crate) fn read_all(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    files: u64,
) -> Result<(), Failure> {
    for number in 0..files {
        let read = clients.have(world, get(&format!("/d/f{number}")))?;
        let what = format!("/d/f{number} reads as {read:?}");
        expect(world, read == Done::Read(number), &what)?;
    }
    Ok(())
}

pub(crate) fn host(world: &VaquitaWorld, name: &str) -> HostIx {
    world.host(name).expect("there is such a host")
}

/// 3: a node that is away for less than `dfsRecoveryWaitTime` costs nothing; one that is away for longer
/// has its replicas made anew; when it comes back nothing is left over.
#[test]
fn a_node_that_is_away_for_long_is_replaced_and_one_that_is_not_is_waited_for() {
    run(
        8,
        "repair::a_node_that_is_away_for_long_is_replaced_and_one_that_is_not_is_waited_for",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            // It is seen to be offline after T.
            clients.run_for(world, seconds(8) + WAIT / 2)?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            let idle = world.mark("repair.copied") == 0 && world.mark("repair.node_given_up") == 0;
            expect(
                world,
                idle,
                "a node that was away for a moment was replaced",
            )?;
            world.power_cut(lost);
            clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
            let copied = world.mark("repair.copied") > 0;
            expect(world, copied, "a node that is lost was not replaced")?;
            expect_whole(world)?;
            read_all(world, clients, 12)?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect_whole(world)
        },
    );
}

/// 3: it comes back while its replicas are made anew: what it has counts again, and nothing is left
/// over.
#[test]
fn a_node_that_comes_back_amid_its_repair_leaves_nothing_over() {
    run(
        12,
        "repair::a_node_that_comes_back_amid_its_repair_leaves_nothing_over",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.files.recovery_concurrency = 1;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            wait_until(world, "a first copy", |world| {
                world.mark("repair.copied") > 0
            })?;
            world.power_on(lost);
            let amid = !all_whole(world);
            expect(world, amid, "all was made anew before it came back")?;
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect_whole(world)?;
            read_all(world, clients, 20)
        },
    );
}

/// 24: sources, targets and the controller die while replicas are made anew, and clients write on.
#[test]
fn whoever_dies_amid_a_repair_it_ends() {
    let summary = run(
        16,
        "repair::whoever_dies_amid_a_repair_it_ends",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.hosts = 6;
            cluster.files.recovery_concurrency = 2;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            wait_until(world, "a first copy", |world| {
                world.mark("repair.copied") > 0
            })?;
            let names = [MASTER, "P1-NODE1", "P3-NODE1", "P4-NODE1", "P5-NODE1"];
            for nth in 0..6 {
                let mut draw = world.streams().at(Stream::Workload, 0x4ea1, nth);
                let victim = *draw.pick(&names);
                let pause = Duration::from_millis(20 + draw.below(3_000));
                world.kill(named(world, victim));
                let work = work(world, clients, nth * 3..nth * 3 + 3, pause)?;
                work.tell(world, clients);
            }
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.finish(world)?;
            wait_until(world, "every chunk is whole", all_whole)
        },
    );
    assert_served(&summary);
    let adopted = summary.runs < 4 || summary.count("repair.adopted") > 0;
    assert!(
        adopted,
        "no copy of which the controller did not hear was found in any run"
    );
}

/// 25: more replicas are wanted than there are nodes. When nodes come, the rest is made, not more than
/// so many at a time.
#[test]
fn what_was_written_with_few_nodes_is_completed_when_more_come() {
    run(
        6,
        "repair::what_was_written_with_few_nodes_is_completed_when_more_come",
        impatient,
        |world, clients| {
            stop(world, &["P3-NODE1", "P4-NODE1"])?;
            for number in 0..12 {
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 5_000))?;
                let so = matches!(&done, Done::Written(it) if it.degraded_chunks > 0);
                let what = format!("with two of three nodes a write ended so: {done:?}");
                expect(world, so, &what)?;
            }
            let status = repairs(world).unwrap_or_default();
            let known = status.degraded == 12 || status.stuck.len() == 12;
            let what = format!("what is degraded is not known: {status:?}");
            expect(world, known, &what)?;
            order(world, Verb::StartNodes(nodes(&["P3-NODE1", "P4-NODE1"])));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}

/// Damaged bytes are met by a reader, and made anew in their place.
#[test]
fn what_is_damaged_is_made_anew_in_its_place() {
    run(
        8,
        "repair::what_is_damaged_is_made_anew_in_its_place",
        |seed| {
            // As many nodes as replicas: there is no other place.
            let mut cluster = impatient(seed);
            cluster.hosts = 3;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 8)?;
            for _ in 0..20 {
                let node = "P2-NODE1/0".to_owned();
                let what = DiskStep::Rot;
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for _ in 0..5 {
                read_all(world, clients, 8)?;
            }
            let met = world.mark("volume.damaged_chunk");
            expect(world, met > 0, "nobody has met a rotten byte")?;
            clients.run_for(world, seconds(20))?;
            let made = world.mark("repair.copied");
            let what = format!("{met} replicas were damaged and {made} were made anew");
            expect(world, made >= met, &what)?;
            expect_whole(world)?;
            read_all(world, clients, 8)
        },
    );
}

/// 20, 22: a disk is gone for good, or empty: what was on it is made anew on other nodes.
#[test]
fn what_was_on_a_lost_disk_is_made_anew() {
    run(
        8,
        "repair::what_was_on_a_lost_disk_is_made_anew",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let node = "P2-NODE1/0".to_owned();
            if world.seed() % 2 == 0 {
                let what = DiskStep::Die;
                world.disturb(&Step::Disk { node, what });
                // Somebody has to touch it before it shows, and what was there stays wanted.
                for number in 20..32 {
                    clients.have(world, put(&format!("/d/f{number}"), number, 5_000))?;
                }
            } else {
                stop(world, &["P2-NODE1"])?;
                let what = DiskStep::Wipe;
                world.disturb(&Step::Disk { node, what });
                order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
                wait_until(world, "it is back", all_online)?;
            }
            clients.run_for(world, seconds(40))?;
            let made = world.mark("repair.copied") > 0;
            expect(world, made, "nothing was made anew")?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}

/// 26: level 1 holds for what is made anew: with one host left there is no place, and the reason says
/// so; when a host comes back it goes on.
#[test]
fn replicas_that_must_not_share_a_host_wait_for_one() {
    run(
        6,
        "repair::replicas_that_must_not_share_a_host_wait_for_one",
        |_| {
            let mut cluster = Cluster::of(3).with_files();
            cluster.uneven = vec![3, 1, 1];
            cluster.files.level = ReliabilityLevel::NeverShare;
            cluster.recovery_wait = Some(WAIT);
            cluster
        },
        |world, clients| {
            write_some(world, clients, 10)?;
            let lost = host(world, "h3");
            world.power_cut(lost);
            clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
            let status = repairs(world).unwrap_or_default();
            let what = format!("nothing waits for a host: {status:?}");
            let stuck = status.stuck.iter().any(|row| row.reason.contains("host"));
            expect(world, stuck && status.copied == 0, &what)?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)
        },
    );
}

/// 26: at level 2 replicas that had to share a host are moved apart once there is another, each chunk
/// once, and nothing is left over.
#[test]
fn replicas_that_had_to_share_a_host_are_moved_apart_once() {
    run(
        6,
        "repair::replicas_that_had_to_share_a_host_are_moved_apart_once",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            cluster.uneven = vec![2, 1, 1, 1];
            cluster.files.factor = 2;
            cluster.files.level = ReliabilityLevel::PreferApart;
            cluster
        },
        |world, clients| {
            let others = ["P2-NODE1", "P3-NODE1", "P4-NODE1"];
            stop(world, &others)?;
            for number in 0..10 {
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 2_000))?;
                let written = matches!(done, Done::Written(_));
                expect(world, written, "two nodes of one host take no write")?;
            }
            order(world, Verb::StartNodes(nodes(&others)));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(30))?;
            let status = repairs(world).unwrap_or_default();
            let what = format!("not each chunk was moved once: {status:?}");
            let once = status.copied == 10 && status.given_up == 10;
            expect(world, once, &what)?;
            expect_whole(world)?;
            read_all(world, clients, 10)
        },
    );
}

/// An operator has it wait: nothing is copied until it is resumed.
#[test]
fn suspended_repair_waits_until_it_is_resumed() {
    run(
        4,
        "repair::suspended_repair_waits_until_it_is_resumed",
        impatient,
        |world, clients| {
            write_some(world, clients, 8)?;
            suspend_repair(world, true)?;
            world.power_cut(host(world, "h2"));
            clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
            let status = repairs(world).unwrap_or_default();
            let what = format!("it goes on although it is suspended: {status:?}");
            let waits =
                world.mark("repair.copied") == 0 && !status.holds.is_empty() && status.degraded > 0;
            expect(world, waits, &what)?;
            suspend_repair(world, false)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            world.power_on(host(world, "h2"));
            wait_until(world, "all online", all_online)
        },
    );
}

/// Many nodes go at once: likely a switch, and nothing is copied around in vain.
#[test]
fn a_mass_failure_moves_nothing() {
    run(
        6,
        "repair::a_mass_failure_moves_nothing",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.hosts = 6;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 12)?;
            let lost: Vec<HostIx> = ["h2", "h3", "h4"].map(|name| host(world, name)).into();
            lost.iter().for_each(|host| world.power_cut(*host));
            clients.run_for(world, seconds(8) + 3 * WAIT)?;
            let what = format!("{:?}", repairs(world));
            let seen = world.mark("cluster.mass_event") > 0;
            expect(world, seen, "nobody sees that many are away")?;
            let idle = world.mark("repair.copied") == 0;
            expect(world, idle, &what)?;
            lost.iter().for_each(|host| world.power_on(*host));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            read_all(world, clients, 12)?;
            for number in 0..6 {
                clients.have(world, remove(&format!("/d/f{number}")))?;
            }
            Ok(())
        },
    );
}
