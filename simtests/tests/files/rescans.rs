//! Volumes that are opened again, given to another node, or taken out of the configuration, while the
//! cluster works on.

use simtests::plan::{DiskStep, Step};
use simtests::streams::Stream;
use simtests::vaquita::files::Done;
use simtests::vaquita::{
    Cluster, MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, rows, wait_until,
};
use simtests::world::{AtOp, Failure, NodeIx};
use vaquita_core::admin::{Refusal, RescanRow, Response, Selection, Verb};
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::ids::Alias;
use vaquita_core::message::VolumeFacts;
use vaquita_core::store::ALONE_HEADER;

use crate::repair::{all_whole, read_all, write_some};
use crate::story::{expect, named, put, reads_at, run, seconds, small, stop, suspend_repair};

/// Four hosts with a node each, of two volumes each.
fn two_volumes(seed: u64) -> Cluster {
    Cluster {
        volumes: 2,
        ..small(seed)
    }
}

/// What a node tells of one of its volumes.
pub(crate) fn volume(world: &VaquitaWorld, node: &str, slot: usize) -> Option<VolumeFacts> {
    let alias = Alias::new(node).ok()?;
    let known = controller(world)?.1.stock_of(&alias)?;
    known.volumes.get(slot).cloned()
}

fn state(world: &VaquitaWorld, node: &str, slot: usize) -> Option<VolumeState> {
    volume(world, node, slot).map(|it| it.state)
}

pub(crate) fn until_state(
    world: &mut VaquitaWorld,
    node: &str,
    slot: usize,
    wanted: VolumeState,
) -> Result<(), Failure> {
    let what = format!("volume {slot} of {node} is {}", wanted.as_str());
    wait_until(world, &what, |world| {
        state(world, node, slot) == Some(wanted)
    })
}

/// Has something ordered, and waits for the answer.
pub(crate) fn answer(
    world: &mut VaquitaWorld,
    verb: Verb,
) -> Result<Result<Response, Refusal>, Failure> {
    let master = named(world, MASTER);
    let id = order(world, verb).expect("there is a controller");
    wait_until(world, "the order is answered", |world| {
        world.answer(master, id).is_some()
    })?;
    let answer = world.answer(master, id).and_then(|it| it.reply.clone());
    let gone = || Refusal::Unavailable {
        reason: "the controller ended without an answer".to_owned(),
    };
    Ok(answer.unwrap_or_else(|| Err(gone())))
}

/// What came of an order, by volume.
fn rescanned(world: &mut VaquitaWorld, verb: Verb) -> Result<Vec<RescanRow>, Failure> {
    match answer(world, verb)? {
        Ok(Response::Rescanned(rows)) => Ok(rows),
        other => {
            world.fail(None, format!("the order was answered with {other:?}"));
            world.finish()?;
            Ok(Vec::new())
        }
    }
}

fn rescan(world: &mut VaquitaWorld, name: &str) -> Result<Vec<RescanRow>, Failure> {
    rescanned(world, Verb::RescanVolumes(nodes(&[name])))
}

fn adopt(node: &str, path: &str) -> Verb {
    Verb::AdoptVolume {
        node: node.to_owned(),
        path: path.to_owned(),
    }
}

pub(crate) fn forget(node: &str, path: &str) -> Verb {
    Verb::ForgetVolume {
        node: node.to_owned(),
        path: path.to_owned(),
    }
}

/// The order is refused in these words.
pub(crate) fn refused(world: &mut VaquitaWorld, verb: Verb, words: &str) -> Result<(), Failure> {
    let answer = answer(world, verb)?;
    let so = answer
        .as_ref()
        .is_err_and(|it| it.to_string().contains(words));
    let what = format!("wanted is a refusal with `{words}`, and the answer is {answer:?}");
    expect(world, so, &what)
}

pub(crate) fn disk(world: &mut VaquitaWorld, disk: &str, what: DiskStep) {
    let node = disk.to_owned();
    world.disturb(&Step::Disk { node, what });
}

/// Nothing was copied: what was there was counted.
fn nothing_copied(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let copied = world.mark("repair.copied");
    let what = format!("{copied} chunks were copied that were there already");
    expect(world, copied == 0, &what)
}

fn start(world: &mut VaquitaWorld, names: &[&str]) -> Result<(), Failure> {
    order(world, Verb::StartNodes(nodes(names)));
    wait_until(world, "they are back", all_online)
}

/// 20: a volume fails amid writes, its disk is mended, and the volume opened again while the node runs:
/// what is on it is read anew and counts.
#[test]
fn a_volume_that_failed_is_opened_again_and_counts() {
    run(
        12,
        "rescans::a_volume_that_failed_is_opened_again_and_counts",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 12)?;
            for nth in 0..8 {
                let len = if nth % 2 == 0 { 2_000 } else { 9_000 };
                clients.begin(world, None, put(&format!("/d/g{nth}"), 100 + nth, len));
            }
            let mut draw = world.streams().at(Stream::Workload, 0x5ca9, 0);
            clients.run_for(world, core::time::Duration::from_micros(draw.below(9_000)))?;
            let what = match world.seed() % 3 {
                0 => DiskStep::Die,
                1 => DiskStep::FailSync,
                _ => DiskStep::FailOp,
            };
            disk(world, "P2-NODE1/1", what);
            let mut number = 200;
            while state(world, "P2-NODE1", 1) != Some(VolumeState::Failed) {
                clients.have(world, put("/d/h", number, 9_000))?;
                number += 1;
                expect(world, number < 260, "no fault was met")?;
            }
            clients.finish(world)?;
            // While it is broken, it stays what it is.
            if world.seed().is_multiple_of(3) {
                let rows = rescan(world, "P2-NODE1")?;
                let so = rows
                    .iter()
                    .any(|it| it.now == Some(VolumeState::Failed) && it.opened);
                expect(world, so, &format!("a dead disk is opened as {rows:?}"))?;
            }
            disk(world, "P2-NODE1/1", DiskStep::Well);
            let rows = rescan(world, "P2-NODE1")?;
            let told: Vec<_> = rows.iter().map(|it| (it.was, it.now, it.opened)).collect();
            let good = Some(VolumeState::Good);
            let wanted = [(good, good, false), (Some(VolumeState::Failed), good, true)];
            expect(world, told == wanted, &format!("told was {rows:?}"))?;
            let back = world.mark("volume.back");
            expect(world, back == 1, &format!("it came back {back} times"))?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 12)
        },
    );
}

/// The same amid writes to the very volume: what is under way there comes back before it is read.
#[test]
fn a_volume_is_read_again_when_nothing_is_on_its_way_to_it() {
    run(
        8,
        "rescans::a_volume_is_read_again_when_nothing_is_on_its_way_to_it",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 6)?;
            disk(world, "P2-NODE1/1", DiskStep::Slow(3_000));
            for nth in 0..12 {
                let len = if nth % 2 == 0 { 2_000 } else { 9_000 };
                clients.begin(world, None, put(&format!("/d/g{nth}"), 100 + nth, len));
            }
            clients.run_for(world, seconds(1))?;
            disk(world, "P2-NODE1/1", DiskStep::FailOp);
            let failed =
                |world: &VaquitaWorld| state(world, "P2-NODE1", 1) == Some(VolumeState::Failed);
            for _ in 0..40 {
                clients.run_for(world, core::time::Duration::from_millis(500))?;
                if failed(world) {
                    break;
                }
            }
            order(world, Verb::RescanVolumes(Selection::All));
            clients.run_for(world, seconds(20))?;
            world.disturb(&Step::HealAll);
            clients.finish(world)?;
            rescan(world, "P2-NODE1")?;
            until_state(world, "P2-NODE1", 1, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 6)
        },
    );
}

/// 22: a disk that was not mounted at the node's start is mounted, and opened again: what is on it counts
/// at once and nothing is copied.
#[test]
fn a_disk_that_is_mounted_late_counts_at_once() {
    run(
        6,
        "rescans::a_disk_that_is_mounted_late_counts_at_once",
        small,
        |world, clients| {
            write_some(world, clients, 10)?;
            let node = named(world, "P2-NODE1");
            suspend_repair(world, true)?;
            stop(world, &["P2-NODE1"])?;
            let files = world.volume(node, 0).map(|disk| disk.files());
            disk(world, "P2-NODE1/0", DiskStep::Wipe);
            start(world, &["P2-NODE1"])?;
            until_state(world, "P2-NODE1", 0, VolumeState::Missing)?;
            let reason = volume(world, "P2-NODE1", 0).map(|it| it.reason);
            let cure = "vaquita volume rescan P2-NODE1";
            let so = reason.as_ref().is_some_and(|it| it.contains(cure));
            expect(world, so, &format!("the reason names no cure: {reason:?}"))?;
            let rows = rescan(world, "P2-NODE1")?;
            let missing = Some(VolumeState::Missing);
            let so = rows.iter().all(|it| it.was == missing && it.now == missing);
            expect(world, so, &format!("what is not mounted is {rows:?}"))?;
            clients.run_for(world, seconds(7))?;
            let since = volume(world, "P2-NODE1", 0).map_or(0, |it| it.for_ms);
            let what = format!("it has been missing for {since} ms, by its word");
            expect(world, since > 5_000, &what)?;
            let now = world.now();
            if let (Some(disk), Some(files)) = (world.volume_mut(node, 0), files) {
                disk.replace(now, &files);
            }
            let rows = rescan(world, "P2-NODE1")?;
            let so = rows
                .iter()
                .all(|it| it.now == Some(VolumeState::Good) && it.chunks > 0);
            expect(world, so, &format!("what is mounted is {rows:?}"))?;
            clients.run_for(world, seconds(1))?;
            suspend_repair(world, false)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            nothing_copied(world)?;
            read_all(world, clients, 10)
        },
    );
}

/// 22: a disk is lost for good, and an empty one is mounted in its place: by order, the node forgets the
/// one and takes the other into use.
#[test]
fn a_lost_disk_is_forgotten_and_a_new_one_is_used_in_its_place() {
    run(
        6,
        "rescans::a_lost_disk_is_forgotten_and_a_new_one_is_used_in_its_place",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 10)?;
            refused(world, forget("P2-NODE1", "/P2-NODE1/1"), "is in use")?;
            stop(world, &["P2-NODE1"])?;
            disk(world, "P2-NODE1/1", DiskStep::Wipe);
            start(world, &["P2-NODE1"])?;
            until_state(world, "P2-NODE1", 1, VolumeState::Missing)?;
            refused(world, forget("P2-NODE1", "/elsewhere"), "no volume at")?;
            refused(world, forget("P2-agent", "/P2-NODE1/1"), "is an agent")?;
            let rows = rescanned(world, forget("P2-NODE1", "/P2-NODE1/1/"))?;
            let so = rows.iter().all(|it| it.now == Some(VolumeState::Good));
            expect(world, so, &format!("a new disk is {rows:?}"))?;
            wait_until(world, "every chunk is whole", all_whole)?;
            for nth in 0..20 {
                clients.have(world, put(&format!("/d/g{nth}"), 100 + nth, 2_000))?;
            }
            let used = volume(world, "P2-NODE1", 1).map_or(0, |it| it.chunks);
            clients.run_for(world, seconds(6))?;
            let used = used.max(volume(world, "P2-NODE1", 1).map_or(0, |it| it.chunks));
            expect(world, used > 0, "nothing comes to the new disk")?;
            read_all(world, clients, 10)
        },
    );
}

/// 23: two nodes have each other's disks. Neither touches what it has; by order each becomes the owner,
/// and nothing is copied. The power fails at the one or the other while labels are written.
#[test]
fn exchanged_disks_are_refused_and_adopted_by_order() {
    run(
        16,
        "rescans::exchanged_disks_are_refused_and_adopted_by_order",
        small,
        |world, clients| {
            write_some(world, clients, 10)?;
            suspend_repair(world, true)?;
            let (one, other) = (named(world, "P1-NODE1"), named(world, "P2-NODE1"));
            stop(world, &["P1-NODE1", "P2-NODE1"])?;
            world.swap_volumes((one, 0), (other, 0));
            start(world, &["P1-NODE1", "P2-NODE1"])?;
            for (name, owner) in [("P1-NODE1", "P2-NODE1"), ("P2-NODE1", "P1-NODE1")] {
                until_state(world, name, 0, VolumeState::Foreign)?;
                let reason = volume(world, name, 0).map_or(String::new(), |it| it.reason);
                let cure = format!("vaquita volume adopt {name} /{name}/0");
                let so = reason.contains(owner) && reason.contains(&cure);
                expect(world, so, &format!("the reason is no help: {reason}"))?;
            }
            let mut draw = world.streams().at(Stream::Workload, 0xad09, 0);
            let crash = draw.below(14);
            // A controller that starts anew knows nothing of repair's being suspended.
            let holds = !(10..12).contains(&crash);
            if crash < 10 {
                let trap = AtOp {
                    op: world.volume(one, 0).map_or(0, |disk| disk.ops_done()) + crash,
                    after: draw.below(2) == 0,
                    power: draw.below(2) == 0,
                };
                world.at_op_of_volume(one, 0, trap);
            } else if crash < 12 {
                let master = named(world, MASTER);
                order(world, adopt("P1-NODE1", "/P1-NODE1/0"));
                clients.run_for(world, core::time::Duration::from_micros(draw.below(30_000)))?;
                world.kill(master);
                wait_until(world, "the controller is back", |world| {
                    !rows(world).is_empty()
                })?;
                wait_until(world, "all online", all_online)?;
            }
            for name in ["P1-NODE1", "P2-NODE1"] {
                order(world, adopt(name, &format!("/{name}/0")));
                clients.run_for(world, seconds(5))?;
            }
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)?;
            // A crash ends the order, and never what was decided.
            for name in ["P1-NODE1", "P2-NODE1"] {
                rescanned(world, adopt(name, &format!("/{name}/0")))?;
                until_state(world, name, 0, VolumeState::Good)?;
            }
            suspend_repair(world, false)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            if holds {
                nothing_copied(world)?;
            }
            let copied = world.mark("repair.copied");
            // Nothing of it is lost with the next start.
            stop(world, &["P1-NODE1"])?;
            start(world, &["P1-NODE1"])?;
            until_state(world, "P1-NODE1", 0, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            let more = world.mark("repair.copied") - copied;
            expect(
                world,
                more == 0,
                &format!("{more} chunks were copied once more"),
            )?;
            read_all(world, clients, 10)
        },
    );
}

/// The disk of a node that is down is moved to another node, and a copy of it stays behind. Once the
/// other node has it by order, the copy counts nowhere.
#[test]
fn a_copy_of_an_adopted_disk_is_refused() {
    run(
        10,
        "rescans::a_copy_of_an_adopted_disk_is_refused",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 12)?;
            let (one, other) = (named(world, "P1-NODE1"), named(world, "P2-NODE1"));
            stop(world, &["P1-NODE1", "P2-NODE1"])?;
            world.copy_volume((other, 1), (one, 1));
            start_while_others_are_away(world, "P1-NODE1", one)?;
            until_state(world, "P1-NODE1", 1, VolumeState::Foreign)?;
            let rows = rescanned(world, adopt("P1-NODE1", "/P1-NODE1/1"))?;
            let so = rows
                .get(1)
                .is_some_and(|it| it.now == Some(VolumeState::Good));
            expect(world, so, &format!("what came of it: {rows:?}"))?;
            // Once more: there is nothing to do.
            let rows = rescanned(world, adopt("P1-NODE1", "/P1-NODE1/1"))?;
            let so = rows.get(1).is_some_and(|it| !it.opened);
            expect(
                world,
                so,
                &format!("what is its own is opened again: {rows:?}"),
            )?;
            start(world, &["P2-NODE1"])?;
            until_state(world, "P2-NODE1", 1, VolumeState::Foreign)?;
            let reason = volume(world, "P2-NODE1", 1).map_or(String::new(), |it| it.reason);
            let so = reason.contains("was given to node P1-NODE1 by order");
            expect(world, so, &format!("a copy is refused because {reason}"))?;
            let words = "is in use or has the same label";
            refused(world, adopt("P2-NODE1", "/P2-NODE1/1"), words)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 12)
        },
    );
}

/// Starts a node while another one is down.
fn start_while_others_are_away(
    world: &mut VaquitaWorld,
    name: &str,
    node: NodeIx,
) -> Result<(), Failure> {
    order(world, Verb::StartNodes(nodes(&[name])));
    let alias = world.alias(node).clone();
    wait_until(world, "it is back", |world| {
        let known = controller(world).and_then(|(_, machine)| machine.stock_of(&alias));
        known.is_some_and(|it| it.reports > 0)
    })
}

/// What may not be adopted: a volume that its owner has in use, the copy of one that is on the same node,
/// one that nobody labelled. Two copies on one node are refused both, until one is taken away.
#[test]
fn what_is_in_use_or_twice_there_is_not_adopted() {
    run(
        6,
        "rescans::what_is_in_use_or_twice_there_is_not_adopted",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 10)?;
            let (one, other) = (named(world, "P1-NODE1"), named(world, "P2-NODE1"));
            refused(world, adopt("P1-agent", "/P1-NODE1/1"), "is an agent")?;
            refused(
                world,
                adopt("P1-NODE1", "/elsewhere"),
                "has no volume at /elsewhere",
            )?;
            stop(world, &["P1-NODE1"])?;
            refused(
                world,
                adopt("P1-NODE1", "/P1-NODE1/1"),
                "P1-NODE1 is stopped",
            )?;
            world.copy_volume((other, 1), (one, 1));
            start(world, &["P1-NODE1"])?;
            let words = "is in use or has the same label";
            refused(world, adopt("P1-NODE1", "/P1-NODE1/1"), words)?;
            stop(world, &["P1-NODE1"])?;
            world.copy_volume((one, 0), (one, 1));
            start(world, &["P1-NODE1"])?;
            for slot in [0, 1] {
                until_state(world, "P1-NODE1", slot, VolumeState::Foreign)?;
            }
            // As long as both are there, neither is used.
            let rows = rescan(world, "P1-NODE1")?;
            let foreign = Some(VolumeState::Foreign);
            let so = rows
                .iter()
                .all(|it| it.now == foreign && it.reason.contains("same label"));
            expect(world, so, &format!("two copies are opened as {rows:?}"))?;
            stop(world, &["P1-NODE1"])?;
            disk(world, "P1-NODE1/1", DiskStep::Wipe);
            start(world, &["P1-NODE1"])?;
            until_state(world, "P1-NODE1", 0, VolumeState::Good)?;
            refused(world, adopt("P1-NODE1", "/P1-NODE1/1"), "is not mounted")?;
            rescanned(world, forget("P1-NODE1", "/P1-NODE1/1"))?;
            until_state(world, "P1-NODE1", 1, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 10)
        },
    );
}

/// A volume is taken out of the configuration and its node started anew: its replicas are made anew
/// elsewhere, and it is said what is gone. Put back, it counts again.
#[test]
fn a_volume_that_is_taken_out_of_the_configuration_is_missed_and_comes_back() {
    run(
        6,
        "rescans::a_volume_that_is_taken_out_of_the_configuration_is_missed_and_comes_back",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 12)?;
            // How many chunks there are is noted once a minute.
            clients.run_for(world, seconds(70))?;
            let there = volume(world, "P2-NODE1", 1).map_or(0, |it| it.chunks);
            stop(world, &["P2-NODE1"])?;
            world.factory_mut().cluster.volumes = 1;
            start(world, &["P2-NODE1"])?;
            wait_until(world, "it is said to be gone", |world| {
                volume(world, "P2-NODE1", 1).is_some_and(|it| it.removed)
            })?;
            let gone = volume(world, "P2-NODE1", 1);
            let so = gone.as_ref().is_some_and(|it| {
                it.chunks == there && it.reason.contains("/P2-NODE1/1 is not in `volumes`")
            });
            expect(world, so, &format!("{there} chunks were there: {gone:?}"))?;
            wait_until(world, "every chunk is whole", all_whole)?;
            let copied = world.mark("repair.copied");
            let what = format!("{copied} chunks were made anew, of {there}");
            expect(world, copied >= there.min(1), &what)?;
            read_all(world, clients, 12)?;
            if world.seed().is_multiple_of(2) {
                rescanned(world, forget("P2-NODE1", "/P2-NODE1/1"))?;
                clients.run_for(world, seconds(6))?;
                let left = volume(world, "P2-NODE1", 1);
                expect(world, left.is_none(), "what was forgotten is still told")?;
            }
            stop(world, &["P2-NODE1"])?;
            world.factory_mut().cluster.volumes = 2;
            start(world, &["P2-NODE1"])?;
            until_state(world, "P2-NODE1", 1, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 12)
        },
    );
}

/// Orders at the edge: nodes that are down, a disk that hangs, many orders at a time.
#[test]
fn an_order_to_open_again_is_always_answered() {
    run(
        6,
        "rescans::an_order_to_open_again_is_always_answered",
        two_volumes,
        |world, clients| {
            write_some(world, clients, 6)?;
            stop(world, &["P3-NODE1"])?;
            disk(world, "P2-NODE1/1", DiskStep::FailSync);
            let mut number = 200;
            while state(world, "P2-NODE1", 1) != Some(VolumeState::Failed) {
                let done = clients.have(world, put("/d/h", number, 9_000))?;
                let written = matches!(done, Done::Written(_));
                expect(world, written && number < 260, "no fault was met")?;
                number += 1;
            }
            disk(world, "P2-NODE1/1", DiskStep::Hang);
            let asked: Vec<_> = (0..20)
                .filter_map(|_| order(world, Verb::RescanVolumes(Selection::All)))
                .collect();
            clients.run_for(world, seconds(25))?;
            let master = named(world, MASTER);
            for id in asked {
                let answer = world.answer(master, id).and_then(|it| it.reply.clone());
                let Some(Ok(Response::Rescanned(rows))) = answer else {
                    let what = format!("an order was answered with {answer:?}");
                    return expect(world, false, &what);
                };
                let silent = |name: &str| {
                    let mut rows = rows.iter().filter(|it| it.node.as_str() == name);
                    rows.all(|it| it.now.is_none() && !it.reason.is_empty())
                };
                let well = rows
                    .iter()
                    .any(|it| it.node.as_str() == "P1-NODE1" && !it.opened);
                let so = silent("P2-NODE1") && silent("P3-NODE1") && well;
                expect(world, so, &format!("rows of one that hangs: {rows:?}"))?;
            }
            world.disturb(&Step::HealAll);
            start(world, &["P3-NODE1"])?;
            rescan(world, "P2-NODE1")?;
            until_state(world, "P2-NODE1", 1, VolumeState::Good)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            read_all(world, clients, 6)
        },
    );
}

/// As many nodes as replicas, of two volumes each, which read all that they have in a minute.
fn three_that_scrub(_: u64) -> Cluster {
    Cluster {
        volumes: 2,
        scrub_period: core::time::Duration::from_secs(60),
        ..Cluster::of(3).with_files()
    }
}

/// Flips a bit of each chunk that one volume of a node has for itself and that another one has, too.
/// Returns how many.
fn rot_doubles(world: &mut VaquitaWorld, node: NodeIx, (rots, other): (u16, u16)) -> u64 {
    let counted: Vec<String> = match world.machine(node) {
        Some(Vaquita::DataNode(machine)) => {
            let entries = machine.entries().into_iter();
            let here = entries.filter(|it| it.volume.0 == rots);
            here.map(|it| format!("chunk-{}-{}.chunk", it.version.chunk, it.version.generation))
                .collect()
        }
        _ => Vec::new(),
    };
    let there = world.volume(node, other).map(|disk| disk.files());
    let there = there.unwrap_or_default();
    let now = world.now();
    let Some(disk) = world.volume_mut(node, rots) else {
        return 0;
    };
    let mut all = disk.files();
    let mut rotten = 0;
    for (name, bytes) in &mut all {
        let is_double = there.keys().any(|it| it == name);
        if is_double && counted.iter().any(|it| it == name.as_str()) {
            let header = usize::try_from(ALONE_HEADER).expect("it is short");
            bytes[header + 17] ^= 4;
            rotten += 1;
        }
    }
    disk.replace(now, &all);
    rotten
}

/// A volume fails, what was on it is made anew on the other one of the node, and rots there. The one that
/// failed is opened again: what is whole on it is kept, and not what was found damaged beside it.
#[test]
fn of_two_replicas_on_a_node_the_whole_one_is_kept() {
    run(
        6,
        "rescans::of_two_replicas_on_a_node_the_whole_one_is_kept",
        three_that_scrub,
        |world, clients| {
            for number in 0..12 {
                clients.have(world, put(&format!("/d/f{number}"), number, 6_000))?;
            }
            // The one that fails is looked at first, or last.
            let fails = u16::from(world.seed().is_multiple_of(2));
            let slot = usize::from(fails);
            let (bad, name) = (format!("P2-NODE1/{fails}"), "P2-NODE1");
            let node = named(world, name);
            disk(world, &bad, DiskStep::FailSync);
            let mut number = 200;
            while state(world, name, slot) != Some(VolumeState::Failed) {
                clients.have(world, put("/d/h", number, 6_000))?;
                number += 1;
                expect(world, number < 260, "no fault was met")?;
            }
            wait_until(world, "every chunk is whole", all_whole)?;
            suspend_repair(world, true)?;
            let rotten = rot_doubles(world, node, (1 - fails, fails));
            expect(world, rotten > 0, "nothing is there twice")?;
            clients.run_for(world, seconds(150))?;
            let found = world.mark("volume.damaged_chunk");
            let what = format!("{rotten} chunks are rotten, and {found} were found");
            expect(world, found == rotten, &what)?;
            disk(world, &bad, DiskStep::Well);
            rescan(world, name)?;
            until_state(world, name, slot, VolumeState::Good)?;
            stop(world, &["P1-NODE1", "P3-NODE1"])?;
            for number in 0..12 {
                reads_at(world, clients, node, &format!("/d/f{number}"), number)?;
            }
            start(world, &["P1-NODE1", "P3-NODE1"])?;
            let copied = world.mark("repair.copied");
            suspend_repair(world, false)?;
            wait_until(world, "every chunk is whole", all_whole)?;
            clients.run_for(world, seconds(150))?;
            let (again, more) = (
                world.mark("volume.damaged_chunk") - found,
                world.mark("repair.copied") - copied,
            );
            let what = format!("{again} rotten chunks were kept, {more} were made anew");
            expect(world, again == 0 && more == 0, &what)
        },
    );
}
