//! Processes and hosts that start, end and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use simtests::plan::Step;
use simtests::trace::TraceMode;
use simtests::vaquita::{
    Cluster, MASTER, all_online, bring_online, nodes, order, rows, wait_until,
};
use vaquita_core::admin::{NodeState, Selection, Verb};

use crate::story::{Story, epochs, expect, pids, ready, run, seconds, small, tiny};

/// 1: agents before the controller, as the tutorial has it, and the other way round.
#[test]
fn cold_start_in_either_order() {
    run(
        10,
        Story {
            name: "starts::cold_start_in_either_order",
            cluster: small,
            prepare: ready,
            drive: |world| {
                let controller_first = world.seed().is_multiple_of(2);
                let master = world.node(MASTER).expect("there is a controller");
                let agents: Vec<_> = (1..=4)
                    .filter_map(|n| world.node(&Cluster::agent_name(n)))
                    .collect();
                if controller_first {
                    world.start(master);
                    world.run_for(seconds(20))?;
                }
                for agent in agents {
                    world.start(agent);
                }
                if !controller_first {
                    world.run_for(seconds(20))?;
                    world.start(master);
                }
                wait_until(world, "every agent is online", |world| {
                    rows(world)
                        .iter()
                        .filter(|row| row.state == NodeState::Online)
                        .count()
                        == 4
                })?;
                order(world, Verb::StartNodes(Selection::All));
                wait_until(world, "every node is online", all_online)
            },
        },
    );
}

/// 2: the controller is killed and comes back; epochs, pids and orders are as before.
#[test]
fn a_controllers_restart_changes_nothing() {
    run(
        10,
        Story {
            name: "starts::a_controllers_restart_changes_nothing",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let (before, pids_before) = (epochs(world), pids(world));
                let master = world.node(MASTER).expect("there is a controller");
                world.kill(master);
                world.run_for(seconds(15))?;
                wait_until(world, "all online again", all_online)?;
                let (after, pids_after) = (epochs(world), pids(world));
                expect(world, before == after, "epochs changed")?;
                expect(world, pids_before == pids_after, "a node was restarted")
            },
        },
    );
}

/// 14: the power of the whole site fails, and everything starts again by itself.
#[test]
fn a_power_cut_of_the_whole_site() {
    run(
        20,
        Story {
            name: "starts::a_power_cut_of_the_whole_site",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                for host in world.hosts().collect::<Vec<_>>() {
                    world.power_cut(host);
                }
                world.run_for(seconds(5))?;
                for host in world.hosts().collect::<Vec<_>>() {
                    world.power_on(host);
                    world.run_for(Duration::from_millis(300))?;
                }
                wait_until(world, "all online again", all_online)
            },
        },
    );
}

/// 29: an agent is killed; when it comes back it takes over what runs, and starts no twin.
#[test]
fn an_agents_restart_adopts() {
    run(
        12,
        Story {
            name: "starts::an_agents_restart_adopts",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let before = pids(world);
                let agent = world.node("P1-agent").expect("it runs");
                world.kill(agent);
                world.run_for(seconds(30))?;
                wait_until(world, "all online", all_online)?;
                let after = pids(world);
                let same = before.iter().zip(&after).skip(1).all(|(a, b)| a == b);
                expect(world, same, "an agent's restart restarted a node")?;
                let node = world.node("P1-NODE1").expect("it runs");
                world.kill(node);
                world.run_for(seconds(5))?;
                wait_until(world, "an adopted node is watched", all_online)
            },
        },
    );
}

/// 29: the agent and its node die together and the node's pid goes to somebody else: nobody signals
/// the stranger (the World holds that), and the node is started anew.
#[test]
fn a_pid_that_was_given_out_again_is_left_alone() {
    run(
        12,
        Story {
            name: "starts::a_pid_that_was_given_out_again_is_left_alone",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let agent = world.node("P2-agent").expect("it runs");
                world.kill(agent);
                world.disturb(&Step::ReusePid("P2-NODE1".to_owned()));
                world.run_for(seconds(10))?;
                order(world, Verb::StopNodes(nodes(&["P2-NODE1"])));
                world.run_for(seconds(10))?;
                order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
                wait_until(world, "all online again", all_online)
            },
        },
    );
}

/// Members that dial within a tenth of a second after the controller has ended, of those there are.
fn dialled_at_once(hosts: u32, seed: u64) -> (usize, usize) {
    let mut cluster = Cluster::of(hosts);
    cluster.settings.trace = TraceMode::All;
    let mut world = cluster.build(seed);
    bring_online(&mut world).expect("nothing is wrong");
    world.run_for(seconds(5)).expect("nothing is wrong");
    let before = world.trace().lines().count();
    let master = world.node(MASTER).expect("it runs");
    world.kill(master);
    world
        .run_for(Duration::from_millis(100))
        .expect("nothing is wrong");
    let dialled: BTreeSet<&str> = (world.trace().lines().skip(before))
        .filter(|line| line.contains("-> Connect"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    (dialled.len(), world.nodes().count() - 1)
}

/// A lost session is dialled again at once, with one exception: where there are more than twenty
/// members, each waits for a random part of three seconds, so that a controller's return is no
/// stampede.
#[test]
fn only_many_members_wait_before_they_dial_again() {
    for seed in 0..3 {
        assert_eq!(dialled_at_once(5, seed), (10, 10), "seed {seed}");
        let (dialled, members) = dialled_at_once(15, seed);
        assert!(dialled < members / 3, "{dialled} of {members} at once");
    }
}
