//! Nodes that are drained, and nodes in maintenance.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::Done;
use simtests::vaquita::{
    MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{Refusal, Reply, Response, Verb};
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
fn has(world: &VaquitaWorld, name: &str) -> usize {
    match world.node(name).and_then(|node| world.machine(node)) {
        Some(Vaquita::DataNode(it)) => it.entries().len(),
        _ => 0,
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

/// A copy that was ordered before the drain ends after it: it does not count.
#[test]
fn a_copy_that_ends_on_a_node_that_is_drained_does_not_count() {
    run(
        8,
        "duties::a_copy_that_ends_on_a_node_that_is_drained_does_not_count",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.hosts = 5;
            cluster
        },
        |world, clients| {
            // The node has nothing yet: it is drained as soon as it is told to be.
            stop(world, &[DRAINED])?;
            write_some(world, clients, 12)?;
            order(world, Verb::StartNodes(nodes(&[DRAINED])));
            wait_until(world, "all online", all_online)?;
            let node = format!("{DRAINED}/0");
            let what = DiskStep::Slow(1000);
            world.disturb(&Step::Disk { node, what });
            world.power_cut(host(world, "h3"));
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
            have(world, DRAINED, Duty::Drain)?;
            wait_until(world, "it is drained", is_drained)?;
            let waits = repairs(world).is_some_and(|it| !it.copies.is_empty());
            expect(
                world,
                waits,
                "no copy was under way when it was told to be drained",
            )?;
            clients.run_for(world, seconds(60))?;
            expect(world, is_drained(world), "it is not drained any more")?;
            expect_whole(world)?;
            read_all(world, clients, 12)?;
            world.power_on(host(world, "h3"));
            wait_until(world, "all online", all_online)
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
            let waits = row(world, DRAINED).is_some_and(|row| {
                row.admin == "draining" && row.conditions.iter().any(|it| it.contains("writes"))
            });
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
