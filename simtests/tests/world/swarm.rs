//! Everything at once, and nothing at all.

use std::time::Duration;

use simtests::net::{Cut, LinkProfile};
use simtests::plan::{Plan, Step, Swarm, Timed};
use simtests::run::check;
use simtests::streams::Rate;
use simtests::time::SimTime;
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::swarm::SwarmOfFaults;
use simtests::vaquita::{
    Cluster, MASTER, all_settled, bring_online, controller, nodes, order, settled_on, wait_until,
};
use vaquita_core::admin::{Selection, Verb};

use crate::story::{Story, expect, ready, run, seconds, small};

/// 42: in a quiet day nothing happens and nothing grows.
#[test]
fn a_quiet_day() {
    run(
        1,
        Story {
            name: "swarm::a_quiet_day",
            cluster: small,
            prepare: |world| world.add_checker(NobodyOffline::default()),
            drive: |world| {
                bring_online(world)?;
                world.run_for(seconds(60))?;
                let told = world.told().len();
                let log = controller(world).map(|(_, it)| it.log_positions());
                let load = controller(world).map(|(_, it)| it.load());
                world.run_for(seconds(24 * 3600))?;
                let quiet = world.told().len() == told;
                expect(world, quiet, "something was told in a quiet day")?;
                let same_log = controller(world).map(|(_, it)| it.log_positions()) == log;
                expect(world, same_log, "the log grew in a quiet day")?;
                let same_load = controller(world).map(|(_, it)| it.load()) == load;
                expect(world, same_load, "something grew in a quiet day")
            },
        },
    );
}

/// Everything that a plan can do, mixed anew for each seed; every second one with limits of one and
/// two.
#[test]
fn a_swarm_of_faults() {
    let story = SwarmOfFaults {
        name: "swarm::a_swarm_of_faults",
        target: "world",
    };
    let summary = check(&story, 60);
    summary.say();
}

/// 44: every limit at its minimum: a segment and a checkpoint for each record, one record a sync,
/// one request at a time, no spare connection. Light faults on top.
#[test]
fn every_limit_at_its_minimum() {
    run(
        12,
        Story {
            name: "swarm::every_limit_at_its_minimum",
            cluster: |_| Cluster::of(3).with_every_limit_at_its_minimum(),
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.disturb(&Step::Weather(LinkProfile {
                    loss: Rate::percent(5),
                    duplicates: Rate::percent(5),
                    jitter: Duration::from_millis(5),
                    ..LinkProfile::default()
                }));
                for round in 0..6 {
                    let name = Cluster::node_name(1 + round % 3, 1);
                    order(world, Verb::StopNodes(nodes(&[&name])));
                    world.run_for(seconds(4))?;
                    order(world, Verb::StartNodes(nodes(&[&name])));
                    world.run_for(seconds(4))?;
                    let killed = match round % 3 {
                        0 => MASTER.to_owned(),
                        1 => Cluster::agent_name(1 + round % 2),
                        _ => Cluster::node_name(2, 1),
                    };
                    world.disturb(&Step::Kill(killed));
                    world.run_for(seconds(8))?;
                }
                world.disturb(&Step::HealAll);
                world.run_for(seconds(30))?;
                order(world, Verb::StartNodes(Selection::All));
                world.run_for(seconds(2))?;
                wait_until(world, "all as ordered", all_settled)?;
                let checkpoints = world.mark("metalog.checkpoint");
                expect(
                    world,
                    checkpoints > 10,
                    "there is a checkpoint for each record",
                )
            },
        },
    );
}

/// 45: everything that a plan can do, and then only some hosts are put right, the controller's among
/// them. The rest stays as it is: without power, cut off, half cut off, with a full disk. Those that
/// were put right get on without it.
#[test]
fn a_healed_core_gets_on_while_the_rest_stays_broken() {
    run(
        30,
        Story {
            name: "swarm::a_healed_core_gets_on_while_the_rest_stays_broken",
            cluster: |_| Cluster::of(5),
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let span = seconds(120);
                let shape = world.factory().cluster.shape(span);
                let begun = world.now().since(SimTime::ZERO);
                let plan = Swarm::of(&world.streams()).plan(&shape);
                let steps = plan.steps().iter().map(|timed| Timed {
                    at: timed.at.after(begun),
                    step: timed.step.clone(),
                });
                let until = world.now().after(span);
                let loaded = world.load(&Plan::new(steps.collect()).before(until));
                expect(world, loaded.is_ok(), "the plan is one for this cluster")?;
                world.run_until(until)?;
                for step in [
                    Step::Isolate("h4".to_owned()),
                    Step::Cut {
                        from: "h5".to_owned(),
                        to: "h0".to_owned(),
                        what: Cut::All,
                    },
                ] {
                    world.disturb(&step);
                }
                let core = ["h0", "h1", "h2", "h3"];
                let hosts: Vec<_> = core.iter().filter_map(|host| world.host(host)).collect();
                world.heal_core(&hosts);
                let settled = world.run_until_reached(seconds(120), |world| {
                    settled_on(world, |host| core.contains(&host))
                })?;
                expect(
                    world,
                    settled,
                    "the healed hosts are as ordered within two minutes",
                )
            },
        },
    );
}
