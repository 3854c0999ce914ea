//! Replicas that are moved to emptier nodes.

use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{Cluster, Vaquita, VaquitaWorld, all_online, nodes, order, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::placement::ReliabilityLevel;

use crate::repair::{expect_whole, read_all};
use crate::story::{expect, put, run, seconds, small, stop, suspend_repair, work};

const FILES: u64 = 80;
const LEN: usize = 30_000;

/// Twelve hosts, two replicas, and every limit of production on four moves at a time.
fn of_twelve(seed: u64) -> Cluster {
    let mut cluster = small(seed);
    cluster.hosts = 12;
    cluster.files.factor = 2;
    cluster.files.rebalance_concurrency = 4;
    cluster.files.level = match seed % 3 {
        0 => ReliabilityLevel::MayShare,
        1 => ReliabilityLevel::NeverShare,
        _ => ReliabilityLevel::PreferApart,
    };
    cluster
}

fn name(number: u32) -> String {
    format!("P{number}-NODE1")
}

/// Bytes of the chunks that each node has.
fn bytes(world: &VaquitaWorld) -> Vec<u64> {
    let nodes = world.nodes();
    nodes
        .filter_map(|node| match world.machine(node)? {
            Vaquita::DataNode(it) => Some(it.entries().iter().map(|entry| entry.len).sum()),
            _ => None,
        })
        .collect()
}

/// Four nodes are filled by more than a third, and eight empty ones come.
fn scale_out(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let new: Vec<String> = (5..=12).map(name).collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    stop(world, &new)?;
    for number in 0..FILES {
        let done = clients.have(world, put(&format!("/d/f{number}"), number, LEN))?;
        expect(
            world,
            matches!(done, Done::Written(_)),
            &format!("{done:?}"),
        )?;
    }
    order(world, Verb::StartNodes(nodes(&new)));
    wait_until(world, "all online", all_online)
}

/// 27: eight empty nodes come to four: all become about as full, in not many more moves than it takes, and
/// then nothing is moved any more.
#[test]
fn empty_nodes_that_come_are_filled_and_then_nothing_is_moved() {
    run(
        6,
        "balance::empty_nodes_that_come_are_filled_and_then_nothing_is_moved",
        of_twelve,
        |world, clients| {
            scale_out(world, clients)?;
            clients.run_for(world, seconds(300))?;
            let all = bytes(world);
            let mean = all.iter().sum::<u64>() / all.len() as u64;
            // Of a volume of 4 MiB 3 % are four chunks.
            let most = mean + 5 * LEN as u64;
            let least = mean.saturating_sub(5 * LEN as u64);
            let even = all.iter().all(|it| (least..=most).contains(it));
            expect(world, even, &format!("{all:?}, on the mean {mean}"))?;
            expect_whole(world)?;
            let moves = world.mark("repair.copied");
            // Two thirds of the replicas of all chunks belong on the new nodes.
            let chunk_bytes = world.factory().cluster.limits.chunk_bytes;
            let chunks = FILES * (LEN as u64).div_ceil(chunk_bytes);
            let needed = 2 * chunks * 2 / 3;
            let what = format!("{moves} moves, where {needed} would do");
            expect(world, moves <= needed + needed / 4, &what)?;
            clients.run_for(world, seconds(600))?;
            let again = world.mark("repair.copied") - moves;
            expect(
                world,
                again == 0,
                &format!("{again} chunks were moved again"),
            )?;
            read_all(world, clients, FILES)
        },
    );
}

/// Nodes die amid it, an operator suspends it, and clients work on: no replica is lost.
#[test]
fn whoever_dies_amid_moves_they_lose_nothing() {
    run(
        6,
        "balance::whoever_dies_amid_moves_they_lose_nothing",
        of_twelve,
        |world, clients| {
            scale_out(world, clients)?;
            wait_until(world, "a first move", |world| {
                world.mark("repair.copied") > 0
            })?;
            suspend_repair(world, true)?;
            clients.run_for(world, seconds(2))?;
            let moved = world.mark("repair.copied");
            clients.run_for(world, seconds(10))?;
            let waits = world.mark("repair.copied") == moved;
            expect(world, waits, "it goes on although it is suspended")?;
            suspend_repair(world, false)?;
            for victim in [2, 7, 9, 3] {
                world.kill(crate::story::named(world, &name(victim)));
                let work = work(world, clients, 0..6, seconds(1))?;
                work.tell(world, clients);
                clients.finish(world)?;
            }
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(300))?;
            expect_whole(world)
        },
    );
}

/// One chunk is more than a twentieth of a node's room: it is moved where that makes nodes more alike, and
/// not back again.
#[test]
fn chunks_that_are_large_beside_a_node_are_not_moved_to_and_fro() {
    run(
        6,
        "balance::chunks_that_are_large_beside_a_node_are_not_moved_to_and_fro",
        |seed| {
            let mut cluster = of_twelve(seed);
            cluster.hosts = 4;
            cluster.limits.chunk_bytes = 400 * 1024;
            cluster.limits.volume_copy_bytes = 400 * 1024;
            cluster.settings.volume.capacity = 6 << 20;
            cluster
        },
        |world, clients| {
            stop(world, &["P4-NODE1"])?;
            for number in 0..9 {
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 390_000))?;
                expect(
                    world,
                    matches!(done, Done::Written(_)),
                    &format!("{done:?}"),
                )?;
            }
            order(world, Verb::StartNodes(nodes(&["P4-NODE1"])));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(120))?;
            let moves = world.mark("repair.copied");
            expect(world, (2..=6).contains(&moves), &format!("{moves} moves"))?;
            clients.run_for(world, seconds(900))?;
            let again = world.mark("repair.copied") - moves;
            expect(
                world,
                again == 0,
                &format!("{again} chunks were moved again"),
            )?;
            expect_whole(world)?;
            read_all(world, clients, 9)
        },
    );
}
