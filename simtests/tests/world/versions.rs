//! Processes of this version among processes of a version to come.

use std::time::Duration;

use simtests::net::Cut;
use simtests::plan::Step;
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, all_settled, bring_online, nodes, order, rows,
    wait_until,
};
use simtests::world::{Failure, Life};
use vaquita_core::admin::{LogRange, NodeState, Response, Selection, Verb};

use crate::story::{Story, expect, pids, ready, run, seconds, small};

/// The processes that start from now on are of this version, or of one to come: what they send has
/// fields that this version does not know, and messages of an unknown kind stand between.
fn speak(world: &mut VaquitaWorld, later: bool) {
    world.factory_mut().cluster.planted.speak_later_version = later;
}

/// Nothing was lost on the way: what is not understood was skipped, and nothing else was.
fn understood(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let malformed = world.mark("wire.malformed");
    let what = format!("{malformed} messages of a later version were not understood");
    expect(world, malformed == 0, &what)?;
    let skipped = world.mark("wire.unknown_kind") > 0;
    expect(world, skipped, "no message of an unknown kind came by")?;
    let broken = ["uplink.refused", "controller.not_allowed", "node.refused"];
    let broken: Vec<_> = broken.iter().filter(|it| world.mark(it) > 0).collect();
    let what = format!("{broken:?} between versions");
    expect(world, broken.is_empty(), &what)
}

/// Everything that members say to each other at least once: orders, exits, adoption, questions by
/// way of agents, logs, heartbeats over either transport, goodbyes.
fn a_day(world: &mut VaquitaWorld) -> Result<(), Failure> {
    order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
    world.run_for(seconds(1))?;
    wait_until(world, "a stop is followed", all_settled)?;
    order(world, Verb::StartNodes(Selection::All));
    world.run_for(seconds(1))?;
    wait_until(world, "a start is followed", all_online)?;
    let master = world.node(MASTER).expect("it runs");
    let alias = world
        .alias(world.node("P2-NODE1").expect("it runs"))
        .clone();
    let asked = order(
        world,
        Verb::ReadLog {
            alias,
            generation: 0,
            range: LogRange::From {
                offset: 0,
                len: 1_000,
            },
        },
    );
    world.run_for(seconds(2))?;
    let read = asked.and_then(|id| world.answer(master, id)?.reply.clone());
    let read = matches!(read, Some(Ok(Response::Log(_))));
    expect(world, read, "a node's log is read by way of its agent")?;
    for name in ["P2-NODE1", "P3-agent", MASTER] {
        let node = world.node(name).expect("it runs");
        world.kill(node);
        world.run_for(seconds(4))?;
        wait_until(world, "all online after a kill", all_online)?;
    }
    // A node alone is not heard, and its agent is asked to ask it.
    let paused = world.node("P4-NODE1").expect("it runs");
    world.pause(paused);
    world.run_for(seconds(5))?;
    world.resume(paused);
    world.run_for(seconds(5))?;
    for (from, to) in [("h0", "h1"), ("h1", "h0")] {
        let (from, to) = (from.to_owned(), to.to_owned());
        let what = Cut::Udp;
        world.disturb(&Step::Cut { from, to, what });
    }
    world.run_for(seconds(20))?;
    let over_tcp =
        (rows(world).iter()).any(|row| row.conditions.iter().any(|it| it == "udp-blocked"));
    expect(world, over_tcp, "heartbeats take TCP where UDP is blocked")?;
    world.disturb(&Step::HealAll);
    world.run_for(seconds(70))?;
    // Of an agent, whose end nobody else reports.
    let leaving = world.node("P4-agent").expect("it runs");
    world.terminate(leaving);
    world.run_for(seconds(3))?;
    let left = world.mark("node.left") > 0;
    expect(world, left, "a goodbye is understood")?;
    world.start(leaving);
    order(world, Verb::StartNodes(Selection::All));
    world.run_for(seconds(1))?;
    wait_until(world, "all online at the end", all_online)
}

/// 43: a cluster of a later version, a controller of one among older nodes, and nodes of one under
/// an older controller do what a cluster of one version does.
#[test]
fn what_a_later_version_adds_is_skipped() {
    run(
        9,
        Story {
            name: "versions::what_a_later_version_adds_is_skipped",
            cluster: small,
            prepare: ready,
            drive: |world| {
                let (controller, others) = match world.seed() % 3 {
                    0 => (true, true),
                    1 => (true, false),
                    _ => (false, true),
                };
                let master = world.node(MASTER).expect("there is a controller");
                speak(world, controller);
                world.start(master);
                world.run_for(seconds(1))?;
                speak(world, others);
                bring_online(world)?;
                a_day(world)?;
                understood(world)
            },
        },
    );
}

/// 43: an upgrade on the fly, host by host, the controller first, in the middle or last: nobody is
/// taken for offline by it, and no data node but the restarted one has another process.
#[test]
fn a_rolling_upgrade_disturbs_nobody() {
    run(
        6,
        Story {
            name: "versions::a_rolling_upgrade_disturbs_nobody",
            cluster: small,
            prepare: |world| {
                let except = (1..=4).map(|host| Cluster::node_name(host, 1)).collect();
                world.add_checker(NobodyOffline { except });
            },
            drive: |world| {
                bring_online(world)?;
                speak(world, true);
                let at = world.seed() % 5;
                for host in 0..=4_u64 {
                    let before = pids(world);
                    let mut restarted = Vec::new();
                    if host == at {
                        restarted.push(MASTER.to_owned());
                    }
                    if host > 0 {
                        let number = u32::try_from(host).unwrap_or(1);
                        restarted.push(Cluster::agent_name(number));
                        restarted.push(Cluster::node_name(number, 1));
                    }
                    for name in &restarted {
                        let node = world.node(name).expect("it runs");
                        world.kill(node);
                        world.run_for(Duration::from_millis(3_000))?;
                        wait_until(world, "all online after a step", all_online)?;
                    }
                    let kept = rows(world).iter().zip(before).all(|(row, pid)| {
                        row.pid == pid || restarted.iter().any(|name| name == row.alias.as_str())
                    });
                    expect(world, kept, "an upgrade restarted a node of another host")?;
                }
                let alive = world.nodes().all(|node| world.life(node) == Life::Running);
                expect(world, alive, "everything runs")?;
                let online = (rows(world).iter()).all(|row| row.state == NodeState::Online);
                expect(world, online, "everything is online")?;
                understood(world)
            },
        },
    );
}
