//! What is configured changes while files are kept, and nodes come and go too fast.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::membership::FailureDetector;

use crate::repair::{expect_whole, host, impatient, read_all, repairs, write_some};
use crate::story::{expect, named, put, remove, run, seconds, stop, timed};

/// The controller is started anew with another configuration.
fn restart_with(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    change: fn(&mut Cluster),
) -> Result<(), Failure> {
    change(&mut world.factory_mut().cluster);
    world.kill(named(world, MASTER));
    clients.run_for(world, seconds(3))?;
    wait_until(world, "all online", all_online)
}

/// Chunks whose replicas share a host.
fn sharing(world: &VaquitaWorld) -> usize {
    let Some((_, machine)) = simtests::vaquita::controller(world) else {
        return 0;
    };
    let registry = &machine.state().registry;
    let host = |node| {
        registry
            .iter()
            .find(|(_, it)| it.node == node)
            .map(|(_, it)| it.host)
    };
    let chunks = machine.state().namespace.chunks_after(None);
    let shares = chunks.filter(|chunk| {
        let mut hosts: Vec<_> = chunk.holders().map(host).collect();
        hosts.sort_unstable();
        hosts.windows(2).any(|pair| pair[0] == pair[1])
    });
    shares.count()
}

/// 79: replicas may share hosts, and then they must not: those that do are moved apart until none does.
#[test]
fn a_level_that_is_raised_moves_replicas_apart() {
    run(
        4,
        "changed::a_level_that_is_raised_moves_replicas_apart",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.uneven = vec![3, 1, 1, 1];
            cluster.files.level = ReliabilityLevel::MayShare;
            cluster
        },
        |world, clients| {
            // Two hosts for three replicas.
            stop(world, &["P3-NODE1", "P4-NODE1"])?;
            write_some(world, clients, 20)?;
            let before = sharing(world);
            expect(world, before >= 20, "no replicas share a host")?;
            order(world, Verb::StartNodes(nodes(&["P3-NODE1", "P4-NODE1"])));
            wait_until(world, "all online", all_online)?;
            restart_with(world, clients, |cluster| {
                cluster.files.level = ReliabilityLevel::NeverShare;
            })?;
            clients.run_for(world, seconds(60))?;
            let left = sharing(world);
            expect(
                world,
                left == 0,
                &format!("of {before} chunks {left} still share"),
            )?;
            expect_whole(world)?;
            read_all(world, clients, 20)
        },
    );
}

/// 80, L5: fewer replicas are wanted than there are, and then as many as before. What is too many goes,
/// never below what is wanted (a checker holds that), and what is missing is made.
#[test]
fn a_factor_that_is_lowered_and_raised_is_followed() {
    run(
        4,
        "changed::a_factor_that_is_lowered_and_raised_is_followed",
        impatient,
        |world, clients| {
            write_some(world, clients, 20)?;
            restart_with(world, clients, |cluster| cluster.files.factor = 2)?;
            clients.run_for(world, seconds(60))?;
            let status = repairs(world).unwrap_or_default();
            let what = format!("what is too many is not given up: {status:?}");
            expect(world, status.given_up > 0 && status.surplus == 0, &what)?;
            expect_whole(world)?;
            restart_with(world, clients, |cluster| cluster.files.factor = 3)?;
            clients.run_for(world, seconds(120))?;
            expect_whole(world)?;
            read_all(world, clients, 20)
        },
    );
}

/// The most contents that a node has yet to throw away, of chunks of which the log does not say any more
/// that it has them.
fn most_to_throw_away(world: &VaquitaWorld) -> usize {
    let Some((_, master)) = controller(world) else {
        return 0;
    };
    let names = &master.state().namespace;
    let left = world.nodes().filter_map(|node| {
        let Vaquita::DataNode(machine) = world.machine(node)? else {
            return None;
        };
        let node = machine.identity().0.node;
        let mut entries = machine.entries();
        entries.retain(|entry| {
            let chunk = names.chunk_version(entry.version);
            chunk.is_some_and(|chunk| !chunk.is_held_by(node))
        });
        Some(entries.len())
    });
    left.max().unwrap_or(0)
}

/// 80: the factor is lowered over many chunks. What is too many goes a little at a time, the log and each node
/// have little to do for it at any moment, and clients are served as always.
#[test]
fn what_is_too_many_is_given_up_at_a_pace() {
    const PER_TICK: u64 = 2;
    const PER_NODE: usize = 3;
    run(
        4,
        "changed::what_is_too_many_is_given_up_at_a_pace",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.limits.surplus_per_tick = usize::try_from(PER_TICK).unwrap_or(1);
            cluster.limits.surplus_per_node = PER_NODE;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 60)?;
            restart_with(world, clients, |cluster| cluster.files.factor = 2)?;
            let wait = |world: &VaquitaWorld| repairs(world).unwrap_or_default();
            let all = |world: &VaquitaWorld| wait(world).given_up + wait(world).surplus;
            let many = all(world);
            expect(world, many > 80, &format!("there are only {many}"))?;
            // One disk takes long to throw something away.
            if world.seed() % 2 == 0 {
                let (node, what) = ("P2-NODE1/0".to_owned(), DiskStep::Slow(200));
                world.disturb(&Step::Disk { node, what });
            }
            let began = world.now();
            let mut before = (began, wait(world).given_up);
            let mut number = 100;
            while wait(world).surplus > 0 && world.now().since(began) < seconds(300) {
                for _ in 0..10 {
                    clients.run_for(world, Duration::from_millis(100))?;
                    let left = most_to_throw_away(world);
                    let what = format!("{left} contents wait at a node, and {PER_NODE} may");
                    expect(world, left <= PER_NODE, &what)?;
                }
                let now = (world.now(), wait(world).given_up);
                let (took, given_up) = (now.0.since(before.0), now.1 - before.1);
                let ticks = took.as_nanos() / FailureDetector::TICK.as_nanos() + 1;
                let what = format!("{given_up} were given up in {took:?}");
                expect(
                    world,
                    u128::from(given_up) <= ticks * u128::from(PER_TICK),
                    &what,
                )?;
                before = now;
                let (done, took) = timed(world, clients, put("/d/new", number, 2_000))?;
                let served = matches!(done, Done::Written(_)) && took < seconds(2);
                expect(world, served, &format!("a write took {took:?}: {done:?}"))?;
                number += 1;
            }
            let status = wait(world);
            let what = format!("what is too many is not given up: {status:?}");
            let gone = status.surplus == 0 && status.given_up >= many;
            expect(world, gone, &what)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            read_all(world, clients, 60)
        },
    );
}

/// 84: files are removed and replaced while their chunks are copied: the copies come to nothing, and
/// nothing of them is left.
#[test]
fn what_is_removed_amid_its_copy_leaves_nothing_over() {
    run(
        8,
        "changed::what_is_removed_amid_its_copy_leaves_nothing_over",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.files.recovery_concurrency = 2;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            wait_until(world, "a copy is under way", |world| {
                repairs(world).is_some_and(|it| !it.copies.is_empty())
            })?;
            for number in 0..20 {
                clients.begin(world, None, remove(&format!("/d/f{number}")));
            }
            clients.finish(world)?;
            clients.run_for(world, seconds(20))?;
            let status = repairs(world).unwrap_or_default();
            let quiet = status.copies.is_empty() && status.last_copy + status.degraded == 0;
            expect(world, quiet, &format!("it goes on: {status:?}"))?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)
        },
    );
}

/// 76, L8: a node goes and comes again every quarter of a minute. Each time it is waited for: nothing is
/// copied around for its sake, new chunks go elsewhere, and it is taken in again when it stays.
#[test]
fn a_node_that_comes_and_goes_moves_nothing() {
    run(
        2,
        "changed::a_node_that_comes_and_goes_moves_nothing",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let flaps = host(world, "h2");
            for _ in 0..20 {
                world.power_cut(flaps);
                clients.run_for(world, seconds(15))?;
                world.power_on(flaps);
                clients.run_for(world, seconds(15))?;
            }
            let offline = world.mark("node.offline");
            expect(world, offline >= 20, "nobody has seen it go")?;
            let moved = world.mark("repair.copied");
            expect(world, moved == 0, &format!("{moved} chunks were copied"))?;
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, Duration::from_secs(1))?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}
