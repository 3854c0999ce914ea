//! Links that lose, damage, delay and fail.

use std::time::Duration;

use simtests::net::{Bursts, Cut, LinkProfile};
use simtests::plan::Step;
use simtests::streams::{Draw, Rate, Stream};
use simtests::vaquita::checkers::NobodyOffline;
use simtests::vaquita::forged::forged_datagrams;
use simtests::vaquita::{
    Cluster, MASTER, Vaquita, VaquitaWorld, all_online, bring_online, row, rows, wait_until,
};
use simtests::world::{Failure, Life};
use vaquita_core::admin::NodeState;

use crate::story::{Story, epochs, expect, pids, ready, run, seconds, small};

/// 5, 36: old, doubled, damaged and foreign datagrams change nothing.
#[test]
fn a_dirty_network_changes_nothing() {
    run(
        6,
        Story {
            name: "network::a_dirty_network_changes_nothing",
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

/// Every question takes two seconds until it is answered, from the start on, and then four: nobody is offline
/// for it.
#[test]
fn questions_that_take_seconds_take_nobody_offline() {
    run(
        6,
        Story {
            name: "network::questions_that_take_seconds_take_nobody_offline",
            cluster: small,
            prepare: |world| world.add_checker(NobodyOffline::default()),
            drive: |world| {
                for latency in [seconds(1), seconds(2)] {
                    world.disturb(&Step::Weather(LinkProfile {
                        latency,
                        ..LinkProfile::default()
                    }));
                    if latency == seconds(1) {
                        bring_online(world)?;
                    }
                    world.run_for(seconds(900))?;
                    let calm = all_online(world);
                    expect(world, calm, "long ways took somebody offline")?;
                }
                Ok(())
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
            name: "network::one_way_cuts_fence_and_heal",
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
        name: "network::losses_take_nobody_offline",
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
            name: "network::deaths_are_seen_in_time",
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
            name: "network::bursts_of_loss_heal",
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

/// 11: links are clogged one after the other and released in another order: hosts, single
/// directions, or links that merely take longer than anybody waits. Whoever could be reached all the
/// time is not taken for offline; everybody comes back, under a new registration only where the old
/// one was void.
#[test]
fn clogged_links_heal_in_any_order() {
    run(
        36,
        Story {
            name: "network::clogged_links_heal_in_any_order",
            cluster: |_| Cluster::of(6),
            prepare: |world| {
                let except = clogged(world)
                    .iter()
                    .flat_map(|host| [Cluster::agent_name(*host), Cluster::node_name(*host, 1)])
                    .collect();
                world.add_checker(NobodyOffline { except });
            },
            drive: |world| {
                bring_online(world)?;
                let (epochs_before, pids_before) = (epochs(world), pids(world));
                let mut draw = world.streams().at(Stream::Plan, 1, 0);
                let mut clogs: Vec<Clog> = clogged(world)
                    .into_iter()
                    .map(|host| Clog::of(host, world.seed(), &mut draw))
                    .collect();
                for clog in &clogs {
                    clog.set(world, true);
                    world.run_for(Duration::from_millis(draw.below(5_000)))?;
                }
                world.run_for(Duration::from_millis(draw.below(20_000)))?;
                while !clogs.is_empty() {
                    let next = usize::try_from(draw.below(clogs.len() as u64)).unwrap_or(0);
                    clogs.swap_remove(next).set(world, false);
                    world.run_for(Duration::from_millis(draw.below(5_000)))?;
                }
                world.run_for(seconds(30))?;
                wait_until(world, "all online again", all_online)?;
                let same = pids(world) == pids_before;
                expect(world, same, "a clogged link restarted a process")?;
                for (row, before) in rows(world).iter().zip(epochs_before) {
                    let now = row.epoch.map_or(0, |epoch| epoch.0);
                    let given_up = (world.told().iter()).any(|told| {
                        told.notice.name == "node.offline"
                            && told.notice.message.starts_with(&format!("{} ", row.alias))
                    });
                    let what = format!(
                        "{} has epoch {now} after {before}, given up: {given_up}",
                        row.alias
                    );
                    let right = if given_up {
                        now > before
                    } else {
                        now == before
                    };
                    expect(world, right, &what)?;
                    let spoken = world
                        .node(row.alias.as_str())
                        .and_then(|it| world.machine(it));
                    if let Some(Vaquita::DataNode(node)) = spoken {
                        let (_, _, spoken, fenced) = node.identity();
                        let agreed = spoken.0 == now && !fenced;
                        expect(world, agreed, "a node and its controller agree")?;
                    }
                }
                Ok(())
            },
        },
    );
}

/// Whose links are clogged: about half of the hosts, at least one.
fn clogged(world: &VaquitaWorld) -> Vec<u32> {
    let mut draw = world.streams().at(Stream::Plan, 0, 0);
    let mut hosts: Vec<u32> = (1..=6).filter(|_| draw.chance(Rate::percent(50))).collect();
    if hosts.is_empty() {
        hosts.push(1 + u32::try_from(draw.below(6)).unwrap_or(0));
    }
    // One after the other, but not in the order of the nodes file.
    for last in (1..hosts.len()).rev() {
        hosts.swap(
            last,
            usize::try_from(draw.below(last as u64 + 1)).unwrap_or(0),
        );
    }
    hosts
}

/// A clogged link.
enum Clog {
    /// Nothing comes or goes.
    Host(String),
    /// Some traffic in one direction is lost.
    Direction(String, String, Cut),
    /// What is sent in one direction arrives a quarter of a minute later.
    Slow(String, String),
}

impl Clog {
    fn of(host: u32, seed: u64, draw: &mut Draw) -> Self {
        let (host, master) = (Cluster::host_name(host), "h0".to_owned());
        let (from, to) = if draw.chance(Rate::percent(50)) {
            (host.clone(), master)
        } else {
            (master, host.clone())
        };
        match seed % 3 {
            0 => Self::Host(host),
            1 => Self::Direction(from, to, *draw.pick(&[Cut::All, Cut::Udp, Cut::Tcp])),
            _ => Self::Slow(from, to),
        }
    }

    fn set(&self, world: &mut VaquitaWorld, clogged: bool) {
        let step = match (self, clogged) {
            (Self::Host(host), true) => Step::Isolate(host.clone()),
            (Self::Host(host), false) => Step::Rejoin(host.clone()),
            (Self::Direction(from, to, what), true) => Step::Cut {
                from: from.clone(),
                to: to.clone(),
                what: *what,
            },
            (Self::Direction(from, to, _), false) => Step::Heal {
                from: from.clone(),
                to: to.clone(),
            },
            (Self::Slow(from, to), _) => Step::Link {
                from: from.clone(),
                to: to.clone(),
                profile: clogged.then(|| LinkProfile {
                    latency: seconds(15),
                    ..LinkProfile::default()
                }),
            },
        };
        world.disturb(&step);
    }
}

/// 5: heartbeats that come minutes late, twice and in any order, of processes that have ended since:
/// the next process of the node, and the next controller, take none of them for its own.
#[test]
fn heartbeats_of_the_dead_change_nothing() {
    run(
        8,
        Story {
            name: "network::heartbeats_of_the_dead_change_nothing",
            cluster: small,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                world.disturb(&Step::Weather(LinkProfile {
                    duplicates: Rate::percent(50),
                    stragglers: Rate::percent(40),
                    straggling: seconds(240),
                    jitter: Duration::from_millis(500),
                    ..LinkProfile::default()
                }));
                for round in 0..4 {
                    world.run_for(seconds(20))?;
                    let name = Cluster::node_name(1 + round, 1);
                    let node = world.node(&name).expect("it runs");
                    world.kill(node);
                    world.run_for(seconds(20))?;
                    if round % 2 == 1 {
                        let master = world.node(MASTER).expect("it runs");
                        world.kill(master);
                    }
                }
                world.run_for(seconds(30))?;
                wait_until(world, "all online again", all_online)?;
                // Now the weather clears, and the last of the late ones come in.
                world.disturb(&Step::Weather(LinkProfile::default()));
                let before = (epochs(world), pids(world), world.mark("node.offline"));
                world.run_for(seconds(300))?;
                let after = (epochs(world), pids(world), world.mark("node.offline"));
                let what = format!("{before:?} became {after:?}");
                expect(world, before == after && all_online(world), &what)
            },
        },
    );
}

/// 36: datagrams that no member has sent. Random bytes, pieces, heartbeats sealed with another
/// cluster's secret or with none, those of another cluster with the same secret, and heartbeats sent
/// back to their node: none keeps a dead node alive, none renews one that is cut off.
#[test]
fn forged_datagrams_keep_nobody_alive() {
    run(
        16,
        Story {
            name: "network::forged_datagrams_keep_nobody_alive",
            cluster: small,
            prepare: ready,
            drive: forged_datagrams,
        },
    );
}

/// 12: the network splits in two, and the controller has one half. That is no reason to move
/// anything, and afterwards everybody is back under the same processes.
#[test]
fn half_a_cluster_that_is_split_off_comes_back() {
    run(
        6,
        Story {
            name: "network::half_a_cluster_that_is_split_off_comes_back",
            cluster: |_| Cluster::of(6),
            prepare: |world| {
                let far = (1..=3)
                    .flat_map(|host| [Cluster::agent_name(host), Cluster::node_name(host, 1)]);
                world.add_checker(NobodyOffline {
                    except: far.collect(),
                });
            },
            drive: |world| {
                bring_online(world)?;
                let before = pids(world);
                let split = |world: &mut VaquitaWorld, cut: bool| {
                    for far in 1..=3 {
                        for near in [0, 4, 5, 6] {
                            let (a, b) = (Cluster::host_name(far), Cluster::host_name(near));
                            for (from, to) in [(a.clone(), b.clone()), (b, a)] {
                                let what = Cut::All;
                                world.disturb(&match cut {
                                    true => Step::Cut { from, to, what },
                                    false => Step::Heal { from, to },
                                });
                            }
                        }
                    }
                };
                split(world, true);
                world.run_for(seconds(120))?;
                let offline =
                    (rows(world).into_iter()).filter(|row| row.state == NodeState::Offline);
                let offline = offline.count();
                expect(
                    world,
                    offline == 6,
                    "the other half is offline, and not given up as lost",
                )?;
                split(world, false);
                wait_until(world, "all online again", all_online)?;
                let same = pids(world) == before;
                expect(world, same, "a split restarted a process")
            },
        },
    );
}
