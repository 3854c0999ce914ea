//! Scenarios of the real machines in the World, one a test. The numbers are those of the list in
//! `docs/simulation.md`.

use std::time::Duration;

use simtests::net::{Bursts, Cut, LinkProfile};
use simtests::plan::{DiskStep, Plan, Step, Swarm, Timed};
use simtests::run::{Scenario, check};
use simtests::streams::Rate;
use simtests::time::SimTime;
use simtests::trace::TraceMode;
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::files::{Clients, Done, Expected, Order};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaFactory, VaquitaWorld, all_online, all_settled, at, bring_online,
    controller, nodes, order, row, rows, wait_until,
};
use simtests::world::{Failure, Life};
use vaquita_core::admin::{NodeState, Refusal, Reply, Response, Selection, Verb};

/// A scenario from two closures.
struct Story {
    name: &'static str,
    cluster: fn(u64) -> Cluster,
    prepare: fn(&mut VaquitaWorld),
    drive: fn(&mut VaquitaWorld) -> Result<(), Failure>,
}

impl Scenario for Story {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn target(&self) -> &'static str {
        "world"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut cluster = (self.cluster)(seed);
        cluster.settings.trace = trace;
        let mut world = cluster.build(seed);
        (self.prepare)(&mut world);
        world
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        (self.drive)(world)?;
        world.finish()
    }
}

fn small(_: u64) -> Cluster {
    Cluster::of(4)
}

fn tiny(_: u64) -> Cluster {
    Cluster::of(3).with_tiny_limits()
}

fn ready(_: &mut VaquitaWorld) {}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Fails the run unless something is so.
fn expect(world: &mut VaquitaWorld, so: bool, what: &str) -> Result<(), Failure> {
    if !so {
        world.fail(None, what.to_owned());
    }
    world.finish()
}

fn pids(world: &VaquitaWorld) -> Vec<Option<u32>> {
    rows(world).iter().map(|row| row.pid).collect()
}

fn epochs(world: &VaquitaWorld) -> Vec<u64> {
    rows(world)
        .iter()
        .map(|row| row.epoch.map_or(0, |epoch| epoch.0))
        .collect()
}

fn run(seeds: u64, story: Story) -> simtests::run::Summary {
    check(&story, seeds)
}

/// 1: agents before the controller, as the tutorial has it, and the other way round.
#[test]
fn cold_start_in_either_order() {
    run(
        10,
        Story {
            name: "cold_start_in_either_order",
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
            name: "a_controllers_restart_changes_nothing",
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

/// 5, 36: old, doubled, damaged and foreign datagrams change nothing.
#[test]
fn a_dirty_network_changes_nothing() {
    run(
        6,
        Story {
            name: "a_dirty_network_changes_nothing",
            cluster: small,
            prepare: |world| world.add_checker(NobodyOffline::default()),
            drive: |world| {
                bring_online(world)?;
                world.disturb(&Step::Weather(LinkProfile {
                    loss: Rate::percent(5),
                    duplicates: Rate::percent(30),
                    corruption: Rate::percent(10),
                    truncation: Rate::percent(5),
                    stragglers: Rate::percent(5),
                    straggling: seconds(300),
                    jitter: Duration::from_millis(20),
                    ..LinkProfile::default()
                }));
                world.run_for(seconds(1800))?;
                let calm = all_online(world);
                expect(world, calm, "a dirty network took somebody offline")
            },
        },
    );
}

/// 6: one direction is cut. The node fences itself before the controller gives it up (a checker
/// holds that), and heals by itself.
#[test]
fn one_way_cuts_fence_and_heal() {
    run(
        12,
        Story {
            name: "one_way_cuts_fence_and_heal",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let (here, there) = ("h0".to_owned(), "h2".to_owned());
                let (from, to) = if world.seed().is_multiple_of(2) {
                    (here, there)
                } else {
                    (there, here)
                };
                let what = Cut::All;
                world.disturb(&Step::Cut {
                    from: from.clone(),
                    to: to.clone(),
                    what,
                });
                world.run_for(seconds(30))?;
                let state = row(world, "P2-NODE1").map(|row| row.state);
                expect(
                    world,
                    state == Some(NodeState::Offline),
                    "a cut node is offline",
                )?;
                let others = rows(world)
                    .iter()
                    .filter(|row| row.host != rows(world)[3].host)
                    .all(|row| row.state == NodeState::Online);
                expect(world, others, "the others are not concerned")?;
                world.disturb(&Step::Heal { from, to });
                wait_until(world, "all online again", all_online)
            },
        },
    );
}

/// 7: wall clocks jump, monotonic clocks drift and leap: nothing but availability suffers.
#[test]
fn clocks_that_jump_and_drift() {
    run(
        6,
        Story {
            name: "clocks_that_jump_and_drift",
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
            name: "a_paused_node_comes_back_under_a_new_epoch",
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
            name: "a_controller_that_stood_still_blames_nobody",
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

/// 14: the power of the whole site fails, and everything starts again by itself.
#[test]
fn a_power_cut_of_the_whole_site() {
    run(
        20,
        Story {
            name: "a_power_cut_of_the_whole_site",
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

/// 15, 17: the controller's power fails at an operation of its disk, one after the other: while the
/// log is written, a segment is begun, a checkpoint replaces another. What nodes were promised is
/// there afterwards (a checker holds that at every promise).
#[test]
fn a_power_cut_at_every_operation_of_the_controllers_disk() {
    run(
        120,
        Story {
            name: "a_power_cut_at_every_operation_of_the_controllers_disk",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                // Orders that write many records, with the trap at the operation that the seed says.
                let skip = world.seed() % 90;
                let after = world.seed().is_multiple_of(3);
                let power = !world.seed().is_multiple_of(5);
                let node = MASTER.to_owned();
                world.disturb(&Step::AtOp {
                    node,
                    skip,
                    after,
                    power,
                });
                for round in 0..6 {
                    let names = Cluster::node_name(1 + round % 3, 1);
                    order(world, Verb::StopNodes(nodes(&[&names])));
                    world.run_for(seconds(2))?;
                    order(world, Verb::StartNodes(nodes(&[&names])));
                    world.run_for(seconds(2))?;
                    if let Some(host) = world.host("h0") {
                        world.power_on(host);
                    }
                }
                wait_until(world, "all as ordered", all_settled)
            },
        },
    );
}

/// 19: a sync of the controller's log fails: the process ends at once and promises nothing more;
/// the next one reads what is really there.
#[test]
fn a_failed_sync_ends_the_controller_and_loses_nothing() {
    run(
        20,
        Story {
            name: "a_failed_sync_ends_the_controller_and_loses_nothing",
            cluster: tiny,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let master = world.node(MASTER).expect("it runs");
                let starts = world.starts(master);
                world.disk_mut(master).fail_next_sync = true;
                order(world, Verb::StopNodes(nodes(&["P1-NODE1"])));
                world.run_for(seconds(10))?;
                let again = world.starts(master) > starts;
                expect(world, again, "a controller whose sync failed goes on")?;
                wait_until(world, "all as ordered", all_settled)
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
            name: "an_agents_restart_adopts",
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
            name: "a_pid_that_was_given_out_again_is_left_alone",
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

/// 42: in a quiet day nothing happens and nothing grows.
#[test]
fn a_quiet_day() {
    run(
        1,
        Story {
            name: "a_quiet_day",
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

/// 11: links are clogged one by one and released in another order.
/// 44: with every limit at its minimum.
/// Everything else, too: the swarm leaves whole classes of faults out of a run and mixes the rest.
/// When all is healed, the cluster is as ordered within two minutes.
#[test]
fn a_swarm_of_faults() {
    let story = Story {
        name: "a_swarm_of_faults",
        cluster: |seed| {
            if seed.is_multiple_of(2) {
                tiny(seed)
            } else {
                small(seed)
            }
        },
        prepare: ready,
        drive: |world| {
            bring_online(world)?;
            let span = seconds(180);
            let shape = world.factory().cluster.shape(span);
            let plan: Plan = Swarm::of(&world.streams()).plan(&shape);
            let begun = world.now().since(SimTime::ZERO);
            let plan = Plan::new(
                plan.steps()
                    .iter()
                    .map(|timed| Timed {
                        at: timed.at.after(begun),
                        step: timed.step.clone(),
                    })
                    .collect(),
            );
            let until = world.now().after(span);
            world.run_plan(&plan, until, seconds(120), all_settled)
        },
    };
    let summary = run(60, story);
    eprintln!(
        "{} runs, {} simulated s",
        summary.runs,
        summary.simulated.as_secs()
    );
    for (mark, count) in &summary.marks {
        eprintln!("{count:>8}  {mark}");
    }
}

/// How many seeds and hours the loss campaign takes: all of it by command, a sample in the test run.
fn campaign() -> (u64, u64) {
    match std::env::var("VAQUITA_CAMPAIGN").as_deref() {
        Ok("loss") => (100, 24),
        _ => (2, 2),
    }
}

/// 4: losses of 0, 1, 5, 20 and 40 % on UDP, delays of the same losses on TCP, eight nodes: nobody
/// is taken for offline.
#[test]
fn losses_take_nobody_offline() {
    let (seeds, _) = campaign();
    for percent in [0, 1, 5, 20, 40] {
        let story: Story = match percent {
            0 => loss_story(|world| lossy(world, 0)),
            1 => loss_story(|world| lossy(world, 1)),
            5 => loss_story(|world| lossy(world, 5)),
            20 => loss_story(|world| lossy(world, 20)),
            _ => loss_story(|world| lossy(world, 40)),
        };
        let summary = run(seeds, story);
        eprintln!(
            "{percent} % loss: {} runs, {} simulated h, {} suspicions, no false verdict",
            summary.runs,
            summary.simulated.as_secs() / 3600,
            summary.marks.get("node.suspect").unwrap_or(&0),
        );
    }
}

fn loss_story(drive: fn(&mut VaquitaWorld) -> Result<(), Failure>) -> Story {
    Story {
        name: "losses_take_nobody_offline",
        cluster: |_| Cluster {
            hosts: 4,
            nodes_per_host: 2,
            ..Cluster::default()
        },
        prepare: |world| world.add_checker(NobodyOffline::default()),
        drive,
    }
}

fn lossy(world: &mut VaquitaWorld, percent: u32) -> Result<(), Failure> {
    bring_online(world)?;
    let loss = Rate::percent(percent);
    world.disturb(&Step::Weather(LinkProfile {
        loss,
        ..LinkProfile::default()
    }));
    let (_, hours) = campaign();
    world.run_for(seconds(hours * 3600))
}

/// 4, the other half: a node that is really dead is found out within T and a quarter of a second at
/// any loss; one whose agent sees it end, within a second.
#[test]
fn deaths_are_seen_in_time() {
    run(
        20,
        Story {
            name: "deaths_are_seen_in_time",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let percent = [0, 1, 5, 20, 40][usize::try_from(world.seed() % 5).unwrap_or(0)];
                let loss = Rate::percent(percent);
                world.disturb(&Step::Weather(LinkProfile {
                    loss,
                    ..LinkProfile::default()
                }));
                world.run_for(seconds(30))?;
                let host = world.host("h2").expect("there is a host");
                world.power_cut(host);
                let died = world.now();
                let bound = Duration::from_millis(8_250 + 50);
                let seen = world.run_until_reached(bound, |world| {
                    row(world, "P2-NODE1").is_some_and(|row| row.state == NodeState::Offline)
                })?;
                let took = world.now().since(died);
                let what = format!("a dead node was not seen within {bound:?} but {took:?}");
                expect(world, seen, &what)
            },
        },
    );
}

/// Bursts of total loss, five seconds each on average: nodes may be suspected and given up, since
/// they cannot be reached; they come back, and nothing else happens.
#[test]
fn bursts_of_loss_heal() {
    run(
        6,
        Story {
            name: "bursts_of_loss_heal",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                let bursts = Bursts {
                    good: seconds(60),
                    bad: seconds(5),
                    loss: Rate::percent(100),
                };
                let weather = LinkProfile {
                    bursts: Some(bursts),
                    ..LinkProfile::default()
                };
                world.disturb(&Step::Weather(weather));
                world.run_for(seconds(3600))?;
                world.disturb(&Step::HealAll);
                wait_until(world, "all online again", all_online)?;
                let alive = world.nodes().all(|node| world.life(node) == Life::Running);
                expect(world, alive, "a burst killed a process")
            },
        },
    );
}

/// The clock of the scenarios: a moment exists.
#[test]
fn moments_are_counted_from_the_beginning() {
    assert_eq!(at(2).since(SimTime::ZERO), seconds(2));
}

/// The newest refusal that the controller told of.
fn refusal(world: &VaquitaWorld) -> String {
    let mut told = world.told().iter().rev();
    told.find(|told| told.notice.name == "node.refused")
        .map(|told| told.notice.message.clone())
        .unwrap_or_default()
}

/// Orders something and waits for the answer.
fn answered(world: &mut VaquitaWorld, verb: Verb) -> Result<Reply, Failure> {
    let master = world.node(MASTER).expect("there is a controller");
    let id = order(world, verb).expect("there is a controller");
    wait_until(world, "an answer", |world| {
        world.answer(master, id).is_some()
    })?;
    let answer = world
        .answer(master, id)
        .and_then(|answer| answer.reply.clone());
    Ok(answer.expect("the controller lives"))
}

/// 22: a node's disk is lost. The empty one is not given the name by itself; an operator
/// gives it, and the old identity stays out from then on.
#[test]
fn a_lost_disk_is_replaced_by_order_and_the_old_identity_stays_out() {
    run(
        10,
        Story {
            name: "a_lost_disk_is_replaced_by_order_and_the_old_identity_stays_out",
            cluster: |_| {
                let mut cluster = Cluster::of(3).with_tiny_limits().with_files();
                cluster.files.factor = 3;
                cluster
            },
            prepare: ready,
            drive: |world| {
                let name = "P2-NODE1";
                let is = |state| {
                    move |world: &VaquitaWorld| {
                        row(world, "P2-NODE1").is_some_and(|row| row.state == state)
                    }
                };
                let (start, stop) = (
                    || Verb::StartNodes(nodes(&["P2-NODE1"])),
                    || Verb::StopNodes(nodes(&["P2-NODE1"])),
                );
                let replace = || Verb::ReplaceNode {
                    node: "P2-NODE1".to_owned(),
                };
                bring_online(world)?;
                // Three replicas on three nodes: each has all chunks.
                let mut clients = Clients::new(world);
                for number in 0..3 {
                    let path = format!("/f{number}");
                    let len = 4_000;
                    let expected = Expected::Anything;
                    let written = clients.have(
                        world,
                        Order::Put {
                            path,
                            number,
                            len,
                            expect: expected,
                        },
                    )?;
                    let whole = matches!(written, Done::Written(it) if it.degraded_chunks == 0);
                    expect(world, whole, "a healthy cluster did not write")?;
                }
                let node = world.node(name).expect("there is such a node");
                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                order(world, start());
                wait_until(world, "it is online with its chunks", is(NodeState::Online))?;
                let early = answered(world, replace())?;
                let refused = matches!(early, Err(Refusal::Conflict { .. }));
                expect(world, refused, "a node that is online was replaced")?;

                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                let old = world.disk(node).files();
                for disk in [name.to_owned(), format!("{name}/0")] {
                    let what = DiskStep::Wipe;
                    world.disturb(&Step::Disk { node: disk, what });
                }
                order(world, start());
                wait_until(world, "it fails", is(NodeState::Failed))?;
                let cure = refusal(world).contains("vaquita node replace P2-NODE1");
                expect(
                    world,
                    cure,
                    "an empty disk is refused, and the cure is named",
                )?;

                let before = row(world, name).and_then(|row| row.epoch);
                let given = answered(world, replace())?;
                let given = matches!(given, Ok(Response::Ordered(rows)) if rows[0].changed);
                expect(world, given, "the alias was not given away")?;
                if world.seed() % 2 == 1 {
                    let master = world.node(MASTER).expect("there is a controller");
                    world.kill(master);
                    wait_until(world, "the controller is back", |world| {
                        !rows(world).is_empty()
                    })?;
                    world.run_for(seconds(10))?;
                }
                order(world, start());
                wait_until(world, "the new one is online", is(NodeState::Online))?;
                let after = row(world, name).and_then(|row| row.epoch);
                expect(world, after > before, "it has an epoch of its own")?;

                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                world.disk_mut(node).wipe();
                for (file, bytes) in old {
                    world.disk_mut(node).install(file, bytes);
                }
                order(world, start());
                wait_until(world, "the old one fails", is(NodeState::Failed))?;
                let told = refusal(world).contains("was replaced by an operator, since log index");
                expect(
                    world,
                    told,
                    "the old identity is refused for having been replaced",
                )
            },
        },
    );
}
