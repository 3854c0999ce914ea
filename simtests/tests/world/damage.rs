//! Homes whose bytes changed, were lost, or belong to somebody else, or to an earlier day.

use std::collections::BTreeSet;

use simtests::disk::Files;
use simtests::streams::Stream;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, all_settled, bring_online, controller, nodes, order,
    row, wait_until,
};
use simtests::world::{Ended, Failure, Life, NodeIx};
use vaquita_core::admin::{NodeState, Response, Verb};
use vaquita_core::disk::FileName;
use vaquita_core::io::ExitCode;
use vaquita_core::metalog;
use vaquita_core::state::ClusterState;

use crate::story::{self, Story, epochs, expect, pids, ready, run, seconds};

/// A cluster whose controller sets no space aside: that file is never synced, and most of these stories
/// tell what is durable from what is not by whether anything is left to sync.
fn small(seed: u64) -> Cluster {
    without_reserve(story::small(seed))
}

fn tiny(seed: u64) -> Cluster {
    without_reserve(story::tiny(seed))
}

fn without_reserve(mut cluster: Cluster) -> Cluster {
    cluster.limits.reserve_bytes = 0;
    cluster
}

fn master(world: &VaquitaWorld) -> NodeIx {
    world.node(MASTER).expect("there is a controller")
}

/// A cluster with a past: orders to and fro, so that the log has some length.
fn live(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    for round in 0..4 {
        let name = Cluster::node_name(1 + round % 3, 1);
        order(world, Verb::StopNodes(nodes(&[&name])));
        world.run_for(seconds(2))?;
        order(world, Verb::StartNodes(nodes(&[&name])));
        world.run_for(seconds(2))?;
    }
    order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
    world.run_for(seconds(12))
}

/// Switches the controller's host off, with everything synced, and returns what its state was.
fn switch_off(world: &mut VaquitaWorld) -> Result<ClusterState, Failure> {
    let state = controller(world).map(|(_, it)| it.state().clone());
    let state = state.expect("the controller runs");
    let dirty = world.disk(master(world)).is_dirty();
    expect(world, !dirty, "a quiet controller has synced everything")?;
    let host = world.host("h0").expect("there is a host");
    world.power_cut(host);
    Ok(state)
}

/// Puts files in the place of those of a node's home, durable and in order.
fn install(world: &mut VaquitaWorld, node: NodeIx, files: &Files) {
    world.disk_mut(node).wipe();
    for (file, bytes) in files {
        world.disk_mut(node).install(file.clone(), bytes.clone());
    }
}

fn switch_on(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let host = world.host("h0").expect("there is a host");
    world.power_on(host);
    world.run_for(seconds(30))
}

/// Flips a bit in a file of the controller.
fn rot(world: &mut VaquitaWorld, file: &FileName) {
    let (now, master) = (world.now(), master(world));
    let number = world.seed() + world.disk(master).incidents().len() as u64;
    let mut draw = world.streams().at(Stream::Fault, u64::MAX, number);
    let hit = world.disk_mut(master).rot(now, Some(file), &mut draw);
    assert!(hit.is_some(), "there is no {file}, or it is empty");
}

/// The files of the controller whose names begin with `prefix`, oldest first.
fn files_of(world: &VaquitaWorld, prefix: &str) -> Vec<FileName> {
    let files = world.disk(master(world)).files().into_keys();
    files
        .filter(|file| file.as_str().starts_with(prefix))
        .collect()
}

/// The controller has refused to start: once, for the reason that it must have, with its home as it
/// was, and nothing else stopped for it.
fn refused(world: &mut VaquitaWorld, home: &Files, words: &[&str]) -> Result<(), Failure> {
    let node = master(world);
    let ends: Vec<Ended> = (world.ended().iter())
        .filter(|ended| ended.node == node)
        .cloned()
        .collect();
    let message = ends
        .last()
        .map_or(String::new(), |ended| ended.reason.message.clone());
    let refused = ends.len() == 1 && ends[0].reason.code == ExitCode::CorruptData;
    let what = format!("a damaged home is refused, once: {ends:?}");
    expect(world, refused, &what)?;
    for word in words.iter().chain(&["othing was changed"]) {
        let what = format!("`{word}` does not stand in: {message}");
        expect(world, message.contains(word), &what)?;
    }
    let same = world.disk(node).files() == *home;
    expect(world, same, "a refused start changed the home")?;
    let run_on = world
        .nodes()
        .filter(|it| *it != node && world.alias(*it).as_str() != "P1-NODE1")
        .all(|it| world.life(it) == Life::Running);
    expect(world, run_on, "the others run on without a controller")
}

/// The files are copied back from a mirror, and everything goes on as if nothing had been.
fn mend(world: &mut VaquitaWorld, good: &Files, before: &ClusterState) -> Result<(), Failure> {
    let master = master(world);
    install(world, master, good);
    world.start(master);
    world.run_for(seconds(30))?;
    goes_on(world, before)
}

/// The controller goes on from `before`: nothing of it is lost, nobody had to register anew.
fn goes_on(world: &mut VaquitaWorld, before: &ClusterState) -> Result<(), Failure> {
    wait_until(world, "all as ordered", all_settled)?;
    let Some(now) = controller(world).map(|(_, it)| it.state().clone()) else {
        return expect(world, false, "the controller runs");
    };
    let same = now.registry == before.registry
        && now.orders == before.orders
        && now.access == before.access
        && (before.epoch_starts.iter()).all(|start| now.epoch_starts.iter().any(|it| it == start));
    let what = format!("the state is {now:?} after {before:?}");
    expect(world, same, &what)
}

/// 18: a bit flipped in the newest checkpoint. The older one and a longer log give the same state;
/// the operator is told.
#[test]
fn a_rotten_checkpoint_is_replaced_by_the_older_one() {
    run(
        10,
        Story {
            name: "damage::a_rotten_checkpoint_is_replaced_by_the_older_one",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let checkpoints = files_of(world, "snap-");
                expect(world, checkpoints.len() == 2, "there are two checkpoints")?;
                rot(world, &checkpoints[1]);
                switch_on(world)?;
                goes_on(world, &before)?;
                let told = world.mark("metalog.damaged_checkpoint");
                expect(world, told == 1, "a damaged checkpoint is told")
            },
        },
    );
}

/// 18: a bit flipped in each checkpoint. The log does not reach back to the beginning, so that there
/// is nothing to start from: the controller names the file and starts nothing.
#[test]
fn two_rotten_checkpoints_are_refused() {
    run(
        10,
        Story {
            name: "damage::two_rotten_checkpoints_are_refused",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let good = world.disk(master(world)).files();
                for checkpoint in files_of(world, "snap-") {
                    rot(world, &checkpoint);
                }
                let home = world.disk(master(world)).files();
                let newest = files_of(world, "snap-").pop().expect("there are some");
                switch_on(world)?;
                let words = [newest.as_str(), "no older one can take its place", "mirror"];
                refused(world, &home, &words)?;
                mend(world, &good, &before)
            },
        },
    );
}

/// 18: a bit flipped in the newest checkpoint and one in the part of the log that would have to take
/// its place.
#[test]
fn a_rotten_checkpoint_and_a_rotten_log_are_refused() {
    run(
        10,
        Story {
            name: "damage::a_rotten_checkpoint_and_a_rotten_log_are_refused",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let good = world.disk(master(world)).files();
                let checkpoint = files_of(world, "snap-").pop().expect("there are some");
                rot(world, &checkpoint);
                let segment = files_of(world, "seg-").remove(0);
                rot(world, &segment);
                let home = world.disk(master(world)).files();
                switch_on(world)?;
                refused(world, &home, &[segment.as_str(), "at byte", "mirror"])?;
                mend(world, &good, &before)
            },
        },
    );
}

/// 18: a bit flipped in a log without a checkpoint, anywhere but in its last record: what was
/// written later proves that it had been durable.
#[test]
fn a_rotten_log_is_refused() {
    run(
        20,
        Story {
            name: "damage::a_rotten_log_is_refused",
            cluster: small,
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let master = master(world);
                let good = world.disk(master).files();
                let segment = files_of(world, "seg-").remove(0);
                rot(world, &segment);
                let (was, is) = (&good[&segment], &world.disk(master).files()[&segment]);
                let at = was.iter().zip(is).position(|(was, is)| was != is);
                if at.is_none_or(|at| at + LAST_RECORD > was.len()) {
                    // See the next scenario.
                    return Ok(());
                }
                let home = world.disk(master).files();
                switch_on(world)?;
                refused(world, &home, &[segment.as_str(), "at byte", "mirror"])?;
                mend(world, &good, &before)
            },
        },
    );
}

/// More than the longest record that a controller without users writes.
const LAST_RECORD: usize = 400;

/// 18: bits flipped in one, two or three files of the home, wherever they fall. Either the
/// controller refuses and changes nothing, or it has all that was promised. The one thing that a
/// disk alone cannot tell is whether its very last record was ever synced; then the nodes know.
#[test]
fn a_rotten_home_is_refused_or_harmless() {
    let summary = run(
        60,
        Story {
            name: "damage::a_rotten_home_is_refused_or_harmless",
            cluster: |seed| {
                if seed.is_multiple_of(3) {
                    small(seed)
                } else {
                    tiny(seed)
                }
            },
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let master = master(world);
                let good = world.disk(master).files();
                let mut draw = world.streams().at(Stream::Fault, u64::MAX, 0);
                for _ in 0..=draw.below(3) {
                    let files: Vec<FileName> = world.disk(master).files().into_keys().collect();
                    rot(world, draw.pick(&files));
                }
                let home = world.disk(master).files();
                switch_on(world)?;
                if world.life(master) != Life::Running {
                    refused(world, &home, &[])?;
                    return mend(world, &good, &before);
                }
                if world.mark("metalog.torn") == 0 {
                    return goes_on(world, &before);
                }
                let named = alarms(world);
                let named = named.iter().any(|alarm| alarm.contains("log records"));
                expect(
                    world,
                    named,
                    "a lost record is named by those who had seen it",
                )
            },
        },
    );
    let (torn, older) = ("metalog.torn", "metalog.damaged_checkpoint");
    eprintln!(
        "{:?} {:?}",
        summary.marks.get(torn),
        summary.marks.get(older)
    );
}

/// What the controller has its operator look at.
fn alarms(world: &mut VaquitaWorld) -> Vec<String> {
    let master = master(world);
    let Some(id) = order(world, Verb::Status) else {
        return Vec::new();
    };
    // A World that went wrong says so at the next look.
    let _ = world.run_for(seconds(1));
    match world.answer(master, id).and_then(|it| it.reply.clone()) {
        Some(Ok(Response::Status(report))) => report.alarms,
        _ => Vec::new(),
    }
}

/// 18: the log is gone and the rest of the home is there. It is no new cluster.
#[test]
fn a_home_without_its_log_is_refused() {
    run(
        3,
        Story {
            name: "damage::a_home_without_its_log_is_refused",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                live(world)?;
                let before = switch_off(world)?;
                let master = master(world);
                let good = world.disk(master).files();
                let home: Files = (good.iter())
                    .filter(|(file, _)| !metalog::belongs_to_log(file))
                    .map(|(file, bytes)| (file.clone(), bytes.clone()))
                    .collect();
                install(world, master, &home);
                switch_on(world)?;
                refused(
                    world,
                    &home,
                    &["no log at all", "known to have been durable"],
                )?;
                mend(world, &good, &before)
            },
        },
    );
}

/// 18: a bit flipped in what an agent or a data node keeps. It refuses and changes nothing; nobody
/// else is concerned.
#[test]
fn a_rotten_home_of_a_member_is_refused() {
    run(
        12,
        Story {
            name: "damage::a_rotten_home_of_a_member_is_refused",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(12))?;
                let name = if world.seed().is_multiple_of(2) {
                    "P2-agent"
                } else {
                    "P2-NODE1"
                };
                let node = world.node(name).expect("it runs");
                world.kill(node);
                let now = world.now();
                let mut draw = world.streams().at(Stream::Fault, u64::MAX, 0);
                let hit = world.disk_mut(node).rot(now, None, &mut draw);
                let (file, _) = hit.expect("a member keeps something");
                let home = world.disk(node).files();
                world.run_for(seconds(30))?;
                let end = world
                    .ended()
                    .iter()
                    .rfind(|ended| ended.node == node)
                    .cloned();
                let precise = end.as_ref().is_some_and(|ended| {
                    ended.reason.code == ExitCode::CorruptData
                        && ended.reason.message.contains(file.as_str())
                        && ended.reason.message.contains("nothing was changed")
                });
                let what = format!("a rotten {file} is refused by its name: {end:?}");
                expect(world, precise, &what)?;
                let same = world.disk(node).files() == home;
                expect(world, same, "a refused start changed the home")?;
                let others = ["P1-NODE1", "P3-NODE1", "P4-NODE1"];
                let online =
                    |name| row(world, name).is_some_and(|row| row.state == NodeState::Online);
                let online = others.iter().all(|name| online(name));
                expect(world, online, "the others are not concerned")
            },
        },
    );
}

/// 23: two data nodes have each other's home. Neither takes it for its own.
#[test]
fn exchanged_homes_are_refused() {
    run(
        3,
        Story {
            name: "damage::exchanged_homes_are_refused",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(12))?;
                let pair = ["P1-NODE1", "P2-NODE1"].map(|name| world.node(name).expect("it runs"));
                order(world, Verb::StopNodes(nodes(&["P1-NODE1", "P2-NODE1"])));
                world.run_for(seconds(5))?;
                let homes = pair.map(|node| world.disk(node).files());
                for (node, home) in [(pair[0], &homes[1]), (pair[1], &homes[0])] {
                    install(world, node, home);
                }
                order(world, Verb::StartNodes(nodes(&["P1-NODE1", "P2-NODE1"])));
                world.run_for(seconds(20))?;
                for (node, home) in [(pair[0], &homes[1]), (pair[1], &homes[0])] {
                    let named = world.ended().iter().any(|ended| {
                        ended.node == node && ended.reason.message.contains("belongs to P")
                    });
                    expect(
                        world,
                        named,
                        "a home of another node is refused by its name",
                    )?;
                    let same = world.disk(node).files() == *home;
                    expect(world, same, "a refused start changed the home")?;
                }
                Ok(())
            },
        },
    );
}

/// The controller comes back with the home of an earlier day. Its nodes know more than it does: none
/// follows it, none is stopped or started by orders of that day, and both sides are told. With the
/// right home everything goes on.
#[test]
fn a_controller_from_an_earlier_day_is_followed_by_nobody() {
    run(
        12,
        Story {
            name: "damage::a_controller_from_an_earlier_day_is_followed_by_nobody",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(12))?;
                let master = master(world);
                let early = world.disk(master).files();
                // The day after: so many restarts later, with other orders.
                for _ in 0..world.seed() % 4 {
                    world.kill(master);
                    world.run_for(seconds(12))?;
                }
                order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                world.run_for(seconds(5))?;
                order(world, Verb::StopNodes(nodes(&["P2-NODE1"])));
                world.run_for(seconds(12))?;
                let running = pids(world);
                let before = switch_off(world)?;
                let good = world.disk(master).files();
                let now = world.now();
                world.disk_mut(master).replace(now, &early);
                switch_on(world)?;
                let online: Vec<String> = (simtests::vaquita::rows(world).iter())
                    .filter(|row| row.state == NodeState::Online)
                    .map(|row| row.alias.to_string())
                    .collect();
                let what = format!("{online:?} follow a controller that has forgotten");
                expect(world, online.is_empty(), &what)?;
                let started = ["P1-NODE1", "P2-NODE1"].map(|name| world.node(name));
                let started =
                    (started.into_iter().flatten()).any(|node| world.life(node) == Life::Running);
                expect(world, !started, "an order of an earlier day started a node")?;
                let named: BTreeSet<String> = (alarms(world).iter())
                    .filter_map(|alarm| alarm.split_once(" refuses this controller"))
                    .map(|(who, _)| who.to_owned())
                    .collect();
                let all = 4 + 2;
                let what = format!("of {all} members, {named:?} are named to the operator");
                expect(world, named.len() == all, &what)?;
                let host = world.host("h0").expect("there is a host");
                world.power_cut(host);
                install(world, master, &good);
                world.power_on(host);
                goes_on(world, &before)?;
                let same = pids(world) == running;
                expect(world, same, "a node was restarted")
            },
        },
    );
}

/// The other half: a controller that merely restarts is no controller of an earlier day.
#[test]
fn after_a_clean_restart_nobody_complains() {
    run(
        4,
        Story {
            name: "damage::after_a_clean_restart_nobody_complains",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let before = epochs(world);
                let master = master(world);
                for _ in 0..4 {
                    world.kill(master);
                    world.run_for(seconds(5))?;
                }
                wait_until(world, "all online again", all_online)?;
                let same = epochs(world) == before;
                expect(world, same, "a restart cost a registration")?;
                let told =
                    world.mark("uplink.rollback_seen") + world.mark("uplink.stale_controller");
                expect(
                    world,
                    told == 0,
                    "a restart was taken for a history that went back",
                )
            },
        },
    );
}
