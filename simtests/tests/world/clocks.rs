//! Clocks that jump, drift and stand, and processes that do.

use std::collections::BTreeSet;

use simtests::plan::Step;
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::{
    Cluster, MASTER, all_online, bring_online, controller, nodes, order, row, wait_until,
};
use vaquita_core::admin::{NodeState, Verb};

use crate::story::{Story, epochs, expect, pids, ready, run, seconds, small};

/// 7: wall clocks jump, monotonic clocks drift and leap: nothing but availability suffers.
#[test]
fn clocks_that_jump_and_drift() {
    run(
        6,
        Story {
            name: "clocks::clocks_that_jump_and_drift",
            cluster: small,
            prepare: |world| world.add_checker(NobodyOffline::default()),
            drive: |world| {
                bring_online(world)?;
                for (host, ms) in [("h0", 3_600_000), ("h1", -86_400_000), ("h2", 86_400_000)] {
                    world.disturb(&Step::WallJump {
                        host: host.to_owned(),
                        ms,
                    });
                }
                for (host, ppm) in [("h0", 200), ("h1", -200), ("h2", 200), ("h3", -200)] {
                    world.disturb(&Step::ClockDrift {
                        host: host.to_owned(),
                        ppm,
                    });
                }
                world.run_for(seconds(7200))?;
                let calm = all_online(world);
                expect(world, calm, "a clock took somebody offline")
            },
        },
    );
}

/// 8: a paused node is given up, and what it sends when it wakes is harmless; it comes back under a
/// new epoch.
#[test]
fn a_paused_node_comes_back_under_a_new_epoch() {
    run(
        8,
        Story {
            name: "clocks::a_paused_node_comes_back_under_a_new_epoch",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let before = row(world, "P3-NODE1").and_then(|row| row.epoch);
                let node = world.node("P3-NODE1").expect("it runs");
                world.pause(node);
                world.run_for(seconds(24))?;
                let state = row(world, "P3-NODE1").map(|row| row.state);
                expect(
                    world,
                    state == Some(NodeState::Offline),
                    "a paused node is offline",
                )?;
                world.resume(node);
                wait_until(world, "all online again", all_online)?;
                let after = row(world, "P3-NODE1").and_then(|row| row.epoch);
                expect(world, after > before, "it has a new epoch")
            },
        },
    );
}

/// 9: the controller stands still for a minute; nobody is blamed for it.
#[test]
fn a_controller_that_stood_still_blames_nobody() {
    run(
        8,
        Story {
            name: "clocks::a_controller_that_stood_still_blames_nobody",
            cluster: small,
            prepare: |world| world.add_checker(NobodyOffline::default()),
            drive: |world| {
                bring_online(world)?;
                let master = world.node(MASTER).expect("it runs");
                world.pause(master);
                world.run_for(seconds(60))?;
                world.resume(master);
                world.run_for(seconds(10))?;
                wait_until(world, "all online again", all_online)
            },
        },
    );
}

/// 7: the monotonic clock of a host stands still for half a minute, or jumps an hour ahead, as that
/// of a suspended machine. The controller then blames nobody but itself; a node is given up at most,
/// and comes back.
#[test]
fn clocks_that_stand_and_leap_cost_availability_at_most() {
    run(
        16,
        Story {
            name: "clocks::clocks_that_stand_and_leap_cost_availability_at_most",
            cluster: small,
            prepare: |world| {
                let mut except = BTreeSet::new();
                if world.seed() % 4 >= 2 {
                    except.extend(["P2-agent".to_owned(), "P2-NODE1".to_owned()]);
                }
                world.add_checker(NobodyOffline { except });
            },
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(5))?;
                let before = pids(world);
                let host = if world.seed() % 4 < 2 { "h0" } else { "h2" }.to_owned();
                if world.seed().is_multiple_of(2) {
                    world.disturb(&Step::ClockFreeze(host.clone()));
                    world.run_for(seconds(30))?;
                    world.disturb(&Step::ClockThaw(host));
                } else {
                    let ahead = seconds(3_600);
                    world.disturb(&Step::ClockJump { host, ahead });
                    world.run_for(seconds(30))?;
                }
                wait_until(world, "all online again", all_online)?;
                world.run_for(seconds(60))?;
                let calm = all_online(world) && pids(world) == before;
                expect(
                    world,
                    calm,
                    "a clock restarted a process, or took somebody offline for good",
                )
            },
        },
    );
}

/// The wall clock is for people: the same run with and without jumps of a day in either direction
/// gives the same registrations, the same log, the same state and the same notices at the same time.
#[test]
fn the_wall_clock_changes_nothing() {
    let outcome = |seed: u64, jumps: bool| {
        let mut world = small(seed).build(seed);
        bring_online(&mut world).expect("nothing is wrong");
        for round in 0..4 {
            if jumps {
                for host in ["h0", "h1", "h2", "h3", "h4"] {
                    let day = 86_400_000;
                    let ms = if round % 2 == 0 { day } else { -2 * day };
                    let host = host.to_owned();
                    world.disturb(&Step::WallJump { host, ms });
                }
            }
            let name = Cluster::node_name(1 + round % 3, 1);
            order(&mut world, Verb::StopNodes(nodes(&[&name])));
            world.run_for(seconds(5)).expect("nothing is wrong");
            order(&mut world, Verb::StartNodes(nodes(&[&name])));
            world.run_for(seconds(5)).expect("nothing is wrong");
        }
        let (_, machine) = controller(&world).expect("it runs");
        let told: Vec<String> = (world.told().iter())
            .map(|told| format!("{} {} {}", told.at, world.alias(told.node), told.notice))
            .collect();
        let state = machine.state().clone();
        (
            state,
            machine.log_positions(),
            epochs(&world),
            pids(&world),
            told,
        )
    };
    for seed in 0..3 {
        assert_eq!(outcome(seed, false), outcome(seed, true), "seed {seed}");
    }
}
