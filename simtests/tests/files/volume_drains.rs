//! Volumes that are emptied by order, so that their disks can be taken away.

use std::collections::{BTreeMap, BTreeSet};

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{Response, Verb};
use vaquita_core::dfs::ids::{ChunkVersion, VolumeSlot};
use vaquita_core::ids::NodeId;

use crate::repair::{all_whole, read_all, write_some};
use crate::rescans::{answer, disk, forget, refused, until_state, volume};
use crate::story::{expect, get, named, put, remove, run, seconds, small, stop};
use vaquita_core::dfs::ask::VolumeState;

/// The node of whose two volumes one is drained.
const NODE: &str = "P2-NODE1";
/// That one, and the other one.
const LEAVES: usize = 1;
const STAYS: usize = 0;

/// Four hosts with a node each, of two volumes each.
///
/// More copies may be under way than one node may fetch: what its hands are full for has to wait, and goes
/// nowhere else.
fn two_volumes(seed: u64) -> Cluster {
    let mut cluster = Cluster {
        volumes: 2,
        ..small(seed)
    };
    cluster.files.recovery_concurrency = 12;
    cluster
}

/// The same with one replica of each chunk.
fn one_replica(seed: u64) -> Cluster {
    let mut cluster = two_volumes(seed);
    cluster.files.factor = 1;
    cluster.files.min_write = 1;
    cluster
}

fn set_duty(node: &str, slot: usize, drain: bool) -> Verb {
    Verb::SetVolumeDuty {
        node: node.to_owned(),
        path: format!("/{node}/{slot}"),
        drain,
    }
}

/// The order is taken.
fn ordered(world: &mut VaquitaWorld, verb: Verb) -> Result<(), Failure> {
    let answer = answer(world, verb)?;
    let so = matches!(&answer, Ok(Response::Ordered(rows)) if rows.len() == 1);
    expect(
        world,
        so,
        &format!("the order was answered with {answer:?}"),
    )
}

fn is_drained(world: &VaquitaWorld, node: &str, slot: usize) -> bool {
    let drained = controller(world).map(|(_, it)| it.drained_volumes());
    drained.is_some_and(|all| {
        let is_it = |it: &(vaquita_core::ids::Alias, VolumeSlot)| {
            it.0.as_str() == node && usize::from(it.1.0) == slot
        };
        all.iter().any(is_it)
    })
}

fn until_drained(world: &mut VaquitaWorld, node: &str, slot: usize) -> Result<(), Failure> {
    wait_until(world, "the volume is drained", |world| {
        is_drained(world, node, slot)
    })
}

/// What lies on a volume by the machine of its node.
fn on(world: &VaquitaWorld, node: &str, slot: usize) -> BTreeSet<ChunkVersion> {
    match world.machine(named(world, node)) {
        Some(Vaquita::DataNode(it)) => {
            let entries = it.entries();
            let here = entries.iter().filter(|it| usize::from(it.volume.0) == slot);
            here.map(|it| it.version).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Who has each chunk, by the log.
fn holders(world: &VaquitaWorld) -> BTreeMap<ChunkVersion, BTreeSet<NodeId>> {
    let Some((_, machine)) = controller(world) else {
        return BTreeMap::new();
    };
    let names = &machine.state().namespace;
    let chunks = names.chunks_after(None);
    chunks
        .map(|view| (view.version(), view.holders().collect()))
        .collect()
}

/// Large chunks and small ones, until each volume of the node has some.
fn fill(world: &mut VaquitaWorld, clients: &mut Clients, mut files: u64) -> Result<u64, Failure> {
    write_some(world, clients, files)?;
    while on(world, NODE, LEAVES).len() < 2 || on(world, NODE, STAYS).is_empty() {
        let len = if files.is_multiple_of(2) {
            2_000
        } else {
            9_000
        };
        let path = format!("/d/f{files}");
        let done = clients.have(world, put(&path, files, len))?;
        let written = matches!(done, Done::Written(_));
        expect(world, written, "on a healthy cluster a write fails")?;
        files += 1;
        expect(world, files < 200, "a volume gets nothing")?;
    }
    Ok(files)
}

/// A volume beside another one is drained amid writes: what is on it moves to the other one, the log stays
/// as it is, and the disk can be taken away.
#[test]
fn a_volume_is_emptied_onto_another_one_of_its_node() {
    run(
        12,
        "volume_drains::a_volume_is_emptied_onto_another_one_of_its_node",
        two_volumes,
        |world, clients| {
            let files = 24;
            let files = fill(world, clients, files)?;
            let before = holders(world);
            let moved = on(world, NODE, LEAVES);
            for nth in 0..6 {
                let len = if nth % 2 == 0 { 2_000 } else { 9_000 };
                clients.begin(world, None, put(&format!("/d/g{nth}"), 300 + nth, len));
            }
            order(world, set_duty(NODE, LEAVES, true));
            clients.finish(world)?;
            until_drained(world, NODE, LEAVES)?;
            let after = holders(world);
            let stayed = before
                .iter()
                .all(|(chunk, at)| after.get(chunk) == Some(at));
            expect(world, stayed, "what stays on its node was given to another")?;
            let there = on(world, NODE, STAYS);
            let so = moved.is_subset(&there);
            expect(world, so, &format!("of {moved:?} there are {there:?}"))?;
            // It is used for nothing any more.
            for nth in 0..8 {
                clients.have(world, put(&format!("/d/h{nth}"), 400 + nth, 5_000))?;
            }
            let left = on(world, NODE, LEAVES);
            expect(world, left.is_empty(), &format!("{left:?} came afterwards"))?;
            // One that is in use is not let go of; this one is, while the node runs or stands still.
            let path = |slot| format!("/{NODE}/{slot}");
            refused(world, forget(NODE, &path(STAYS)), "is in use")?;
            if world.seed().is_multiple_of(2) {
                answer(world, forget(NODE, &path(LEAVES)))?.ok();
                until_state(world, NODE, LEAVES, VolumeState::Missing)?;
                let node = named(world, NODE);
                if let Some(disk) = world.volume_mut(node, LEAVES as u16) {
                    disk.wipe();
                }
                answer(world, Verb::RescanVolumes(nodes(&[NODE])))?.ok();
            } else {
                stop(world, &[NODE])?;
                disk(world, &format!("{NODE}/{LEAVES}"), DiskStep::Wipe);
                order(world, Verb::StartNodes(nodes(&[NODE])));
                wait_until(world, "it is back", all_online)?;
                until_state(world, NODE, LEAVES, VolumeState::Missing)?;
                answer(world, forget(NODE, &path(LEAVES)))?.ok();
            }
            until_state(world, NODE, LEAVES, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            // The new disk is another volume, and serves.
            let draining = volume(world, NODE, LEAVES).and_then(|it| it.draining);
            expect(
                world,
                draining.is_none(),
                "the new volume is drained as well",
            )?;
            read_all(world, clients, files)
        },
    );
}

/// The same with one replica of each chunk, which nobody else has; and the controller, or the node, ends
/// in the middle.
#[test]
fn the_only_replica_moves_and_a_crash_costs_nothing() {
    run(
        12,
        "volume_drains::the_only_replica_moves_and_a_crash_costs_nothing",
        one_replica,
        |world, clients| {
            let files = fill(world, clients, 8)?;
            ordered(world, set_duty(NODE, LEAVES, true))?;
            let mut draw = world.streams().at(Stream::Workload, 0xd4a1, 0);
            clients.run_for(world, core::time::Duration::from_micros(draw.below(60_000)))?;
            match world.seed() % 3 {
                0 => {}
                1 => world.disturb(&Step::Kill(MASTER.to_owned())),
                _ => world.disturb(&Step::Kill(NODE.to_owned())),
            }
            clients.run_for(world, seconds(2))?;
            wait_until(world, "all online", all_online)?;
            until_drained(world, NODE, LEAVES)?;
            let there = on(world, NODE, STAYS);
            expect(world, !there.is_empty(), "nothing went to the other volume")?;
            read_all(world, clients, files)
        },
    );
}

/// All nodes have one of their volumes drained at the same time: there is no node to spare, and every chunk
/// finds its place beside where it was.
#[test]
fn every_node_may_drain_a_volume_at_once() {
    run(
        8,
        "volume_drains::every_node_may_drain_a_volume_at_once",
        two_volumes,
        |world, clients| {
            let files = fill(world, clients, 16)?;
            let before = holders(world);
            let all = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1"];
            for node in all {
                ordered(world, set_duty(node, LEAVES, true))?;
            }
            for node in all {
                until_drained(world, node, LEAVES)?;
            }
            expect(
                world,
                holders(world) == before,
                "a chunk went to another node",
            )?;
            read_all(world, clients, files)
        },
    );
}

/// While a volume is emptied, files on it are removed and replaced, the drain is called off and ordered
/// anew, and a replica on it turns out to be damaged.
#[test]
fn what_happens_to_a_chunk_on_its_way_is_not_forgotten() {
    run(
        16,
        "volume_drains::what_happens_to_a_chunk_on_its_way_is_not_forgotten",
        two_volumes,
        |world, clients| {
            let files = fill(world, clients, 20)?;
            let mut draw = world.streams().at(Stream::Workload, 0xd4a2, 0);
            let mut some = || core::time::Duration::from_micros(draw.below(20_000));
            let node = named(world, NODE);
            if world.seed().is_multiple_of(2) {
                disk(world, &format!("{NODE}/{LEAVES}"), DiskStep::Rot);
            }
            ordered(world, set_duty(NODE, LEAVES, true))?;
            clients.run_for(world, some())?;
            for nth in 0..files / 2 {
                let path = format!("/d/f{nth}");
                match nth % 3 {
                    0 => clients.begin(world, None, remove(&path)),
                    1 => clients.begin(world, Some(node), put(&path, 500 + nth, 7_000)),
                    _ => clients.begin(world, Some(node), get(&path)),
                };
            }
            clients.run_for(world, some())?;
            if world.seed() % 4 < 2 {
                order(world, set_duty(NODE, LEAVES, false));
                clients.run_for(world, some())?;
                order(world, set_duty(NODE, LEAVES, true));
            }
            clients.finish(world)?;
            // Whatever rots is found when all of it is read.
            for nth in files / 2..files {
                clients.have(world, get(&format!("/d/f{nth}")))?;
            }
            until_drained(world, NODE, LEAVES)?;
            wait_until(world, "every chunk is whole", all_whole)
        },
    );
}

/// Where the node has no other volume, what is on it goes to other nodes; and a drain is called off.
#[test]
fn the_last_volume_of_a_node_goes_to_other_nodes() {
    run(
        6,
        "volume_drains::the_last_volume_of_a_node_goes_to_other_nodes",
        small,
        |world, clients| {
            write_some(world, clients, 10)?;
            ordered(world, set_duty(NODE, 0, true))?;
            until_drained(world, NODE, 0)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            // Without it there are as few nodes as a chunk has replicas.
            let last = set_duty("P3-NODE1", 0, true);
            refused(world, last, "is the last volume of P3-NODE1")?;
            ordered(world, set_duty(NODE, 0, false))?;
            for nth in 0..40 {
                clients.have(world, put(&format!("/d/h{nth}"), 400 + nth, 5_000))?;
            }
            let back = on(world, NODE, 0).len();
            expect(world, back > 0, "the node takes nothing new")?;
            read_all(world, clients, 10)
        },
    );
}

/// What is refused is refused in words that help.
#[test]
fn what_cannot_be_drained_is_refused() {
    run(
        2,
        "volume_drains::what_cannot_be_drained_is_refused",
        two_volumes,
        |world, _| {
            refused(
                world,
                set_duty(NODE, 7, true),
                "has no volume at /P2-NODE1/7",
            )?;
            let agent = set_duty("P2-agent", 0, true);
            refused(world, agent, "agents have no volumes")?;
            ordered(world, set_duty(NODE, LEAVES, true))?;
            ordered(world, set_duty(NODE, LEAVES, true))
        },
    );
}

/// A volume that cannot be read has chunks of which no other replica is there. It is not told to be drained,
/// with which nothing were lost: it may be read again, and then they are copied.
#[test]
fn a_volume_that_cannot_be_read_is_not_drained_while_it_alone_has_something() {
    run(
        8,
        "volume_drains::a_volume_that_cannot_be_read_is_not_drained_while_it_alone_has_something",
        one_replica,
        |world, clients| {
            let files = fill(world, clients, 8)?;
            let there = on(world, NODE, LEAVES);
            expect(world, !there.is_empty(), "nothing is on it")?;
            disk(world, &format!("{NODE}/{LEAVES}"), DiskStep::Die);
            let mut number = 500;
            while volume(world, NODE, LEAVES).is_some_and(|it| it.state != VolumeState::Failed) {
                clients.have(world, put("/d/new", number, 9_000))?;
                number += 1;
                expect(world, number < 600, "no fault was met")?;
            }
            ordered(world, set_duty(NODE, LEAVES, true))?;
            if world.seed() % 2 == 0 {
                world.disturb(&Step::Kill(MASTER.to_owned()));
            }
            for _ in 0..60 {
                clients.run_for(world, seconds(1))?;
                let told = is_drained(world, NODE, LEAVES);
                expect(world, !told, "it is told to be drained")?;
            }
            disk(world, &format!("{NODE}/{LEAVES}"), DiskStep::Well);
            let rescanned = answer(world, Verb::RescanVolumes(nodes(&[NODE])))?;
            expect(world, rescanned.is_ok(), &format!("{rescanned:?}"))?;
            until_drained(world, NODE, LEAVES)?;
            clients.finish(world)?;
            read_all(world, clients, files)
        },
    );
}
