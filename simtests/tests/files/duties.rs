//! Nodes that are drained, and nodes in maintenance.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{Refusal, Reply, Response, Verb};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::state::Duty;

use crate::repair::{
    WAIT, all_whole, expect_whole, host, impatient, read_all, repairs, write_some,
};
use crate::story::{assert_served, expect, get, named, put, run, seconds, small, stop, work};

const DRAINED: &str = "P2-NODE1";

fn set(world: &mut VaquitaWorld, names: &[&str], duty: Duty) -> Result<Reply, Failure> {
    let nodes = nodes(names);
    let id = order(world, Verb::SetDuty { nodes, duty }).expect("there is a controller");
    let master = named(world, MASTER);
    wait_until(world, "the order is answered", |world| {
        world.answer(master, id).is_some()
    })?;
    let answer = world.answer(master, id).and_then(|it| it.reply.clone());
    Ok(answer.expect("it was there just now"))
}

/// Gives an order that nothing forbids.
fn have(world: &mut VaquitaWorld, name: &str, duty: Duty) -> Result<(), Failure> {
    let reply = set(world, &[name], duty)?;
    let done = matches!(reply, Ok(Response::Ordered(_)));
    expect(world, done, &format!("{name}: {reply:?}"))
}

fn is_drained(world: &VaquitaWorld) -> bool {
    row(world, DRAINED).is_some_and(|row| row.admin == "drained")
}

/// How many contents a node has.
pub(crate) fn has(world: &VaquitaWorld, name: &str) -> usize {
    contents(world, name).len()
}

pub(crate) fn contents(world: &VaquitaWorld, name: &str) -> Vec<ChunkVersion> {
    match world.node(name).and_then(|node| world.machine(node)) {
        Some(Vaquita::DataNode(it)) => it.entries().iter().map(|entry| entry.version).collect(),
        _ => Vec::new(),
    }
}

/// What was on the drained node is no more: nothing must be missed.
fn lose_it(world: &mut VaquitaWorld) -> Result<(), Failure> {
    stop(world, &[DRAINED])?;
    let node = format!("{DRAINED}/0");
    let what = DiskStep::Wipe;
    world.disturb(&Step::Disk { node, what });
    Ok(())
}

/// A drained node has nothing that is needed, while clients work on.
#[test]
fn a_drained_node_is_empty_and_nothing_is_lost_with_it() {
    let summary = run(
        10,
        "duties::a_drained_node_is_empty_and_nothing_is_lost_with_it",
        impatient,
        |world, clients| {
            write_some(world, clients, 16)?;
            expect(world, has(world, DRAINED) > 0, "there is nothing to drain")?;
            have(world, DRAINED, Duty::Drain)?;
            let work = work(world, clients, 0..20, Duration::from_millis(200))?;
            clients.finish(world)?;
            wait_until(world, "it is drained", is_drained)?;
            work.is_served(world, clients, 60)?;
            wait_until(world, "it has nothing", |world| has(world, DRAINED) == 0)?;
            expect_whole(world)?;
            lose_it(world)?;
            for number in 100..110 {
                let done = clients.have(world, put(&format!("/d/g{number}"), number, 5_000))?;
                let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
                let what = format!("with three nodes that serve a write ended so: {done:?}");
                expect(world, whole, &what)?;
            }
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect(world, has(world, DRAINED) == 0, "it was given something")?;
            expect_whole(world)
        },
    );
    assert_served(&summary);
}

/// Writes that were given places before the order commit there after it: the node is not empty before
/// they have ended and what they left there has another place (HDFS-17658).
#[test]
fn a_node_is_not_drained_while_writes_are_under_way_there() {
    run(
        16,
        "duties::a_node_is_not_drained_while_writes_are_under_way_there",
        impatient,
        |world, clients| {
            let mut writes = Vec::new();
            for number in 0..12_u64 {
                // Not through the node that goes: who writes through it is told that it ended.
                let entry = ["P1-NODE1", "P3-NODE1", "P4-NODE1"][number as usize % 3];
                let entry = Some(named(world, entry));
                let order = put(&format!("/d/f{number}"), number, 20_000);
                writes.push(clients.begin(world, entry, order));
            }
            let mut draw = world.streams().at(Stream::Workload, 0xd4a1, 0);
            clients.run_for(world, Duration::from_micros(draw.below(8_000)))?;
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "it is drained", is_drained)?;
            lose_it(world)?;
            clients.finish(world)?;
            clients.run_for(world, seconds(20))?;
            for (number, ticket) in (0..).zip(writes) {
                // Some clients leave half way.
                if let Some(Done::Written(_)) = clients.done(ticket) {
                    let read = clients.have(world, get(&format!("/d/f{number}")))?;
                    let what = format!("/d/f{number} reads as {read:?}");
                    expect(world, read == Done::Read(number), &what)?;
                }
            }
            expect_whole(world)?;
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)
        },
    );
}

/// 82: the drained node dies half way. It is not waited for: the others make up for it, and when it
/// comes back it is drained at once.
#[test]
fn a_node_that_dies_amid_its_drain_is_made_up_for_at_once() {
    run(
        10,
        "duties::a_node_that_dies_amid_its_drain_is_made_up_for_at_once",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.files.recovery_concurrency = 1;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "a first copy", |world| {
                world.mark("repair.copied") > 0
            })?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            clients.run_for(world, seconds(8) + WAIT / 2)?;
            expect_whole(world)?;
            expect(world, is_drained(world), "it was waited for")?;
            read_all(world, clients, 20)?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect(world, is_drained(world), "it is not drained any more")?;
            expect(world, has(world, DRAINED) == 0, "it kept something")?;
            expect_whole(world)
        },
    );
}

/// A cluster of two replicas with one file on two of the nodes, and with the drained node empty and slow.
/// One replica is lost, and only the drained node can have another: it is fetching it, and is drained.
/// Returns the host of the other replica and the nodes that are in maintenance.
fn drained_amid_a_copy_to_it(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(String, Vec<&'static str>), Failure> {
    stop(world, &[DRAINED])?;
    let done = clients.have(world, put("/d/f0", 0, 5_000))?;
    expect(world, matches!(done, Done::Written(_)), "it is not written")?;
    order(world, Verb::StartNodes(nodes(&[DRAINED])));
    wait_until(world, "all online", all_online)?;
    let others = [
        "P1-NODE1", "P3-NODE1", "P4-NODE1", "P5-NODE1", "P6-NODE1", "P7-NODE1",
    ];
    let (holders, idle): (Vec<&str>, Vec<&str>) =
        others.into_iter().partition(|name| has(world, name) > 0);
    let [lost, kept] = holders[..] else {
        expect(world, false, &format!("the replicas are on {holders:?}"))?;
        return Ok((String::new(), Vec::new()));
    };
    for name in &idle {
        have(world, name, Duty::Maintenance { for_ms: 3_600_000 })?;
    }
    let node = format!("{DRAINED}/0");
    let what = DiskStep::Slow(1000);
    world.disturb(&Step::Disk { node, what });
    let host_of = |name: &str| format!("h{}", &name[1..2]);
    world.power_cut(host(world, &host_of(lost)));
    let mut is_fetching = false;
    for _ in 0..40_000 {
        clients.run_for(world, Duration::from_millis(1))?;
        let status = repairs(world).unwrap_or_default();
        is_fetching = status.copies.iter().any(|it| it.to.as_str() == DRAINED);
        if is_fetching {
            break;
        }
    }
    expect(world, is_fetching, "nothing is copied there")?;
    let reply = set(world, &[DRAINED], Duty::Drain)?;
    let waits = match &reply {
        Ok(Response::Ordered(rows)) => rows[0].note.contains("on their way there"),
        _ => false,
    };
    expect(world, waits, &format!("the copy is passed over: {reply:?}"))?;
    Ok((host_of(kept), idle))
}

fn power_on_all(world: &mut VaquitaWorld) {
    for number in 1..=7 {
        let host = host(world, &format!("h{number}"));
        world.power_on(host);
    }
}

fn two_replicas(seed: u64) -> Cluster {
    let mut cluster = impatient(seed);
    cluster.hosts = 7;
    cluster.files.factor = 2;
    cluster
}

/// A copy that was ordered before the drain ends after it. It is needed, and counts until others have it.
#[test]
fn a_copy_that_ends_on_a_node_that_is_drained_is_moved_on() {
    run(
        6,
        "duties::a_copy_that_ends_on_a_node_that_is_drained_is_moved_on",
        two_replicas,
        |world, clients| {
            let (_, idle) = drained_amid_a_copy_to_it(world, clients)?;
            have(world, idle[0], Duty::Serve)?;
            wait_until(world, "it is drained", is_drained)?;
            expect_whole(world)?;
            lose_it(world)?;
            read_all(world, clients, 1)?;
            power_on_all(world);
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)
        },
    );
}

/// The same, and the source of the copy dies as soon as it is done: the drained node has the only replica.
/// It is not called drained, and the replica is made anew from there.
#[test]
fn the_last_replica_on_a_node_that_is_drained_is_not_forgotten() {
    run(
        6,
        "duties::the_last_replica_on_a_node_that_is_drained_is_not_forgotten",
        two_replicas,
        |world, clients| {
            let (kept, idle) = drained_amid_a_copy_to_it(world, clients)?;
            wait_until(world, "the copy is there", |world| has(world, DRAINED) > 0)?;
            world.power_cut(host(world, &kept));
            clients.run_for(world, seconds(30))?;
            expect(world, !is_drained(world), "the only replica is given away")?;
            have(world, idle[0], Duty::Serve)?;
            wait_until(world, "another node has it", |world| {
                has(world, idle[0]) > 0
            })?;
            read_all(world, clients, 1)?;
            power_on_all(world);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect(world, is_drained(world), "it is not drained")?;
            expect_whole(world)
        },
    );
}

/// The other holders of what is drained are away, and waited for: what is readable is not given up on the
/// strength of them.
#[test]
fn a_drain_gives_nothing_up_in_hope() {
    run(
        6,
        "duties::a_drain_gives_nothing_up_in_hope",
        |seed| Cluster {
            recovery_wait: Some(seconds(600)),
            ..two_replicas(seed)
        },
        |world, clients| {
            write_some(world, clients, 16)?;
            let leaving = contents(world, DRAINED);
            let away = host(world, "h3");
            world.power_cut(away);
            clients.run_for(world, seconds(12))?;
            have(world, DRAINED, Duty::Drain)?;
            clients.run_for(world, seconds(30))?;
            // Where the other replica is away, the one that leaves is kept beside the new one.
            for version in leaving {
                let count = readable(world, version);
                let what = format!("{count} replicas of {version} can be read");
                expect(world, count >= 2, &what)?;
            }
            let node = named(world, "P3-NODE1");
            if let Some(disk) = world.volume_mut(node, 0) {
                disk.wipe();
            }
            read_all(world, clients, 16)?;
            world.power_on(away);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            wait_until(world, "it is drained", is_drained)?;
            expect_whole(world)?;
            read_all(world, clients, 16)
        },
    );
}

/// The drained node does not answer for a moment, and another holder is away. What the drained node has is
/// not given up for the sake of one new replica: it may be read in a moment.
#[test]
fn a_drained_node_that_does_not_answer_keeps_what_others_lack() {
    run(
        6,
        "duties::a_drained_node_that_does_not_answer_keeps_what_others_lack",
        |seed| Cluster {
            hosts: 7,
            recovery_wait: Some(seconds(600)),
            ..small(seed)
        },
        |world, clients| {
            write_some(world, clients, 16)?;
            let away = host(world, "h3");
            let kept: Vec<ChunkVersion> = contents(world, DRAINED)
                .into_iter()
                .filter(|it| contents(world, "P3-NODE1").contains(it))
                .collect();
            expect(world, !kept.is_empty(), "the two have nothing in common")?;
            world.power_cut(away);
            clients.run_for(world, seconds(12))?;
            world.disturb(&Step::Isolate("h2".to_owned()));
            clients.run_for(world, seconds(4))?;
            have(world, DRAINED, Duty::Drain)?;
            clients.run_for(world, seconds(2))?;
            let copied = world.mark("repair.copied") > 0;
            expect(world, copied, "nothing was copied meanwhile")?;
            for version in kept {
                let count = readable(world, version);
                let what = format!("{count} replicas of {version} can be read once it answers");
                expect(world, count >= 3, &what)?;
            }
            world.disturb(&Step::HealAll);
            world.power_on(away);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(30))?;
            wait_until(world, "it is drained", is_drained)?;
            expect_whole(world)?;
            read_all(world, clients, 16)
        },
    );
}

/// How many replicas of a content the log names and are there.
fn readable(world: &VaquitaWorld, version: ChunkVersion) -> usize {
    let Some((_, machine)) = controller(world) else {
        return 0;
    };
    let names = &machine.state().namespace;
    let Some(chunk) = names.chunk_version(version) else {
        return 0;
    };
    let there = world.nodes().filter(|node| match world.machine(*node) {
        Some(Vaquita::DataNode(it)) => {
            let has = it.entries().iter().any(|entry| entry.version == version);
            has && chunk.is_held_by(it.identity().0.node)
        }
        _ => false,
    });
    there.count()
}

/// A drained alias with another identity behind it is a new node: it serves.
#[test]
fn a_new_disk_under_a_drained_alias_serves() {
    run(
        2,
        "duties::a_new_disk_under_a_drained_alias_serves",
        impatient,
        |world, clients| {
            write_some(world, clients, 8)?;
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "it is drained", is_drained)?;
            stop(world, &[DRAINED])?;
            for node in [DRAINED.to_owned(), format!("{DRAINED}/0")] {
                let what = DiskStep::Wipe;
                world.disturb(&Step::Disk { node, what });
            }
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)?;
            let serves = row(world, DRAINED).is_some_and(|row| row.admin == "none");
            expect(world, serves, "the new node inherits the drain")?;
            read_all(world, clients, 8)
        },
    );
}

/// Not so many nodes are in maintenance at a time that nothing can be written, and none that is drained.
#[test]
fn a_maintenance_leaves_enough_nodes_for_writes() {
    run(
        2,
        "duties::a_maintenance_leaves_enough_nodes_for_writes",
        small,
        |world, clients| {
            let duty = Duty::Maintenance { for_ms: 60_000 };
            let reply = set(world, &["P1-NODE1", "P3-NODE1", "P4-NODE1"], duty)?;
            let refused = |reply: &Reply, word: &str| match reply {
                Err(Refusal::Conflict { reason }) => reason.contains(word),
                _ => false,
            };
            let what = format!("{reply:?}");
            expect(world, refused(&reply, "dfsMinWriteReplicas"), &what)?;
            have(world, "P1-NODE1", duty)?;
            have(world, "P3-NODE1", duty)?;
            let reply = set(world, &["P4-NODE1"], duty)?;
            let what = format!("{reply:?}");
            expect(world, refused(&reply, "dfsMinWriteReplicas"), &what)?;
            let done = clients.have(world, put("/d/f", 1, 1000))?;
            let written = matches!(done, Done::Written(_));
            expect(
                world,
                written,
                &format!("two nodes take no write: {done:?}"),
            )?;
            clients.run_for(world, seconds(61))?;
            have(world, DRAINED, Duty::Drain)?;
            let reply = set(world, &[DRAINED], duty)?;
            let what = format!("{reply:?}");
            expect(world, refused(&reply, "being drained"), &what)?;
            have(world, DRAINED, Duty::Serve)
        },
    );
}

/// The order is a record of the log: a controller that starts anew amid the drain goes on with it. It
/// waits for writes that its predecessor knew of before it says that the node is empty.
#[test]
fn a_controller_that_starts_amid_a_drain_goes_on_with_it() {
    run(
        8,
        "duties::a_controller_that_starts_amid_a_drain_goes_on_with_it",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.files.recovery_concurrency = 1;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "a first copy", |world| {
                world.mark("repair.copied") > 0
            })?;
            world.kill(named(world, MASTER));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(30))?;
            expect_whole(world)?;
            let waits = row(world, DRAINED)
                .is_some_and(|row| row.admin == "draining" && row.admin_reason.contains("writes"));
            expect(world, waits, "writes of before are forgotten")?;
            clients.run_for(world, seconds(600))?;
            expect(world, is_drained(world), "it is not drained")?;
            lose_it(world)?;
            read_all(world, clients, 20)?;
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)
        },
    );
}

/// A drain that is called off stops where it is, and nothing is left over.
#[test]
fn a_drain_that_is_called_off_leaves_nothing_over() {
    run(
        8,
        "duties::a_drain_that_is_called_off_leaves_nothing_over",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.files.recovery_concurrency = 1;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "a first copy", |world| {
                world.mark("repair.copied") > 0
            })?;
            have(world, DRAINED, Duty::Serve)?;
            clients.run_for(world, seconds(20))?;
            let served = row(world, DRAINED).is_some_and(|row| row.admin == "none");
            expect(world, served, "it does not serve again")?;
            expect(
                world,
                has(world, DRAINED) > 0,
                "it was emptied all the same",
            )?;
            expect_whole(world)?;
            read_all(world, clients, 20)
        },
    );
}

/// 81: where fewer nodes, or hosts, would be left than each chunk has replicas, a drain is refused.
#[test]
fn a_drain_that_leaves_too_few_is_refused() {
    run(
        2,
        "duties::a_drain_that_leaves_too_few_is_refused",
        |seed| {
            let mut cluster = small(seed);
            cluster.uneven = vec![2];
            if seed % 2 == 0 {
                cluster.files.level = ReliabilityLevel::NeverShare;
            }
            cluster
        },
        |world, clients| {
            write_some(world, clients, 4)?;
            let refused = |reply: &Reply| {
                let reason = match reply {
                    Err(Refusal::Conflict { reason }) => reason.clone(),
                    _ => String::new(),
                };
                reason.contains("dfsReplicationFactor")
            };
            // Five nodes on four hosts, and three replicas.
            let level = world.factory().cluster.files.level;
            let (few, many): (&[&str], &[&str]) = match level {
                ReliabilityLevel::NeverShare => (&["P1-NODE1", "P2-NODE1"], &["P3-NODE1"]),
                _ => (&["P1-NODE1"], &["P2-NODE1", "P3-NODE1"]),
            };
            let reply = set(world, few, Duty::Drain)?;
            expect(world, reply.is_ok(), &format!("{few:?}: {reply:?}"))?;
            let reply = set(world, many, Duty::Drain)?;
            expect(world, refused(&reply), &format!("{many:?}: {reply:?}"))?;
            let serves = many
                .iter()
                .all(|name| row(world, name).is_some_and(|row| row.admin == "none"));
            expect(world, serves, "what was refused was done")?;
            // Nor is it done where they are in maintenance.
            let reply = set(world, many, Duty::Maintenance { for_ms: 60_000 })?;
            expect(world, reply.is_ok(), &format!("{many:?}: {reply:?}"))?;
            let reply = set(world, many, Duty::Drain)?;
            expect(world, refused(&reply), &format!("{many:?}: {reply:?}"))?;
            let reply = set(world, many, Duty::Serve)?;
            expect(world, reply.is_ok(), &format!("{many:?}: {reply:?}"))?;
            // What is drained already may be ordered once more.
            let reply = set(world, few, Duty::Drain)?;
            let unchanged = matches!(&reply, Ok(Response::Ordered(rows)) if
                rows.iter().all(|row| !row.changed));
            expect(world, unchanged, &format!("{reply:?}"))?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 4)
        },
    );
}

/// A node in maintenance is waited for as long as that lasts, and after it as any other. A controller
/// that starts anew begins the maintenance anew.
#[test]
fn a_node_in_maintenance_is_waited_for_until_it_ends() {
    run(
        6,
        "duties::a_node_in_maintenance_is_waited_for_until_it_ends",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let length = seconds(8) + 3 * WAIT;
            let for_ms = u64::try_from(length.as_millis()).expect("it is short");
            for wrong in [0, 999, 24 * 3_600_000 + 1] {
                let duty = Duty::Maintenance { for_ms: wrong };
                let reply = set(world, &[DRAINED], duty)?;
                let refused = matches!(reply, Err(Refusal::Invalid { .. }));
                expect(world, refused, &format!("{wrong} ms: {reply:?}"))?;
            }
            have(world, DRAINED, Duty::Maintenance { for_ms })?;
            let done = clients.have(world, put("/d/during", 77, 5_000))?;
            let written = matches!(done, Done::Written(_));
            expect(world, written, "three nodes take no write")?;
            if world.seed() % 2 == 0 {
                clients.run_for(world, length / 2)?;
                world.kill(named(world, MASTER));
                wait_until(world, "all online", all_online)?;
            }
            let begun = world.now();
            world.power_cut(host(world, "h2"));
            clients.run_for(world, length - seconds(2))?;
            let idle = world.mark("repair.copied") == 0;
            let what = format!("it is not waited for: {:?}", repairs(world));
            expect(world, idle, &what)?;
            let status = repairs(world).unwrap_or_default();
            let told = status
                .awaited
                .iter()
                .any(|row| row.node.as_str() == DRAINED);
            expect(
                world,
                told,
                &format!("that it is waited for is not told: {status:?}"),
            )?;
            clients.run_for(world, seconds(30))?;
            let since = world.now().since(begun);
            let what = format!("{since:?} later: {:?}", repairs(world));
            expect(world, world.mark("repair.copied") > 0, &what)?;
            expect_whole(world)?;
            let over = row(world, DRAINED).is_some_and(|row| row.admin == "none");
            expect(world, over, "its maintenance does not end")?;
            let known = controller(world).is_some_and(|it| it.1.state().duties.is_empty());
            expect(world, known, "the log does not say so")?;
            world.power_on(host(world, "h2"));
            wait_until(world, "all online", all_online)
        },
    );
}
