//! Bugs planted on purpose, each of which the World has to find within a stated number of seeds. A
//! simulator that finds none of them is broken, however green it is.
//!
//! One more, `remove_checkpoint_early`, is left to the crash tests of the metadata log, which stop at
//! every operation of a checkpoint.

use std::fs;
use std::path::Path;
use std::time::Duration;

use simtests::disk::SimDisk;
use simtests::hunt::{Found, assert_plants, hunt};
use simtests::net::{Cut, LinkProfile};
use simtests::plan::Step;
use simtests::run::{Scenario, run_one};
use simtests::streams::Rate;
use simtests::time::SimTime;
use simtests::trace::TraceMode;
use simtests::vaquita::checkers::FiguresOfTheLiving;
use simtests::vaquita::forged::forged_datagrams;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaFactory, VaquitaWorld, all_online, all_settled, bring_online,
    controller, nodes, order, row, rows, wait_until,
};
use simtests::world::{Failure, NodeSpec};
use vaquita_core::admin::{NodeState, Verb};
use vaquita_core::io::ExitCode;
use vaquita_core::metalog;
use vaquita_core::planted::Planted;

type Drive = fn(&mut VaquitaWorld) -> Result<(), Failure>;

/// A bug, and the story in which it shows.
struct Hunt {
    bug: &'static str,
    plant: fn(&mut Planted),
    /// The story as it must end well without the bug, too.
    drive: Drive,
    /// Words of the failure by which it is found.
    shows: &'static str,
    /// Seeds within which the bug has to be found.
    within: u64,
}

/// A hunt with its bug, or without.
struct Hunted<'a> {
    hunt: &'a Hunt,
    planted: bool,
}

impl Scenario for Hunted<'_> {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.hunt.bug
    }

    fn target(&self) -> &'static str {
        "planted"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut cluster = Cluster::of(3).with_tiny_limits();
        cluster.settings.measures = self.hunt.bug.ends_with("_old_figures");
        if self.planted {
            (self.hunt.plant)(&mut cluster.planted);
        }
        cluster.traced(trace).build(seed)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        (self.hunt.drive)(world)?;
        world.finish()
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn expect(world: &mut VaquitaWorld, so: bool, what: &str) -> Result<(), Failure> {
    if !so {
        world.fail(None, what.to_owned());
    }
    world.finish()
}

/// Orders to and fro, with the controller's power failing at an operation that the seed says.
fn power_fails_while_orders_are_logged(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    let skip = world.seed() % 100;
    let node = MASTER.to_owned();
    world.disturb(&Step::AtOp {
        node,
        skip,
        after: true,
        power: true,
    });
    for round in 0..6 {
        let name = Cluster::node_name(1 + round % 3, 1);
        order(world, Verb::StopNodes(nodes(&[&name])));
        world.run_for(seconds(1))?;
        order(world, Verb::StartNodes(nodes(&[&name])));
        world.run_for(seconds(1))?;
        if let Some(host) = world.host("h0") {
            world.power_on(host);
        }
    }
    wait_until(world, "all as ordered", all_settled)
}

/// Datagrams come twice and very late, while nodes and the controller are restarted.
fn late_and_doubled_datagrams(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    world.disturb(&Step::Weather(LinkProfile {
        duplicates: Rate::percent(30),
        stragglers: Rate::percent(30),
        straggling: seconds(30),
        ..LinkProfile::default()
    }));
    for round in 0..3 {
        world.run_for(seconds(10))?;
        if let Some(node) = world.node(&Cluster::node_name(1 + round, 1)) {
            world.kill(node);
        }
        world.run_for(seconds(10))?;
        if let Some(master) = world.node(MASTER) {
            world.kill(master);
        }
    }
    world.run_for(seconds(40))?;
    world.disturb(&Step::HealAll);
    wait_until(world, "all online again", all_online)
}

/// A node measures itself, stands still for so long that it is given up, and comes back.
fn a_node_stands_still(world: &mut VaquitaWorld) -> Result<(), Failure> {
    world.add_checker(FiguresOfTheLiving::default());
    bring_online(world)?;
    world.run_for(seconds(15))?;
    world.disturb(&Step::Pause("P2-NODE1".to_owned()));
    world.run_for(seconds(30))?;
    world.disturb(&Step::Resume("P2-NODE1".to_owned()));
    wait_until(world, "all online again", all_online)
}

/// Nodes that measure themselves are killed, and started again at once by their agents.
fn nodes_are_others_soon_after(world: &mut VaquitaWorld) -> Result<(), Failure> {
    world.add_checker(FiguresOfTheLiving::default());
    bring_online(world)?;
    for round in 0..3 {
        world.run_for(seconds(13))?;
        if let Some(node) = world.node(&Cluster::node_name(1 + round, 1)) {
            world.kill(node);
        }
    }
    world.run_for(seconds(10))?;
    wait_until(world, "all online again", all_online)
}

/// A copied configuration is started on another machine.
fn an_impostor(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let host = world.host("h3").expect("there are three hosts");
    let impostor = NodeSpec::new("impostor", host, 9999).config("impostor of host 1");
    world.add_node(impostor.launched());
    // It knows members by the names of their nodes, and an impostor is a member by another's.
    world.remove_checker("promises are durable");
    bring_online(world)?;
    let before = row(world, "P1-NODE1").map(|row| (row.pid, row.epoch));
    if let Some(node) = world.node("impostor") {
        world.start(node);
    }
    world.run_for(seconds(20))?;
    let after = row(world, "P1-NODE1").map(|row| (row.pid, row.epoch));
    expect(
        world,
        before == after,
        "the first holder of an alias lost it to a second one",
    )
}

/// No datagram passes.
fn udp_is_blocked(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    for host in ["h1", "h2", "h3"] {
        let (from, to) = (host.to_owned(), "h0".to_owned());
        let what = Cut::Udp;
        world.disturb(&Step::Cut {
            from: from.clone(),
            to: to.clone(),
            what,
        });
        world.disturb(&Step::Cut {
            from: to,
            to: from,
            what,
        });
    }
    world.run_for(seconds(30))?;
    let named = row(world, "P2-NODE1").is_some_and(|row| {
        row.state == NodeState::Online && row.conditions.iter().any(|it| it == "udp-blocked")
    });
    expect(
        world,
        named,
        "blocked UDP is noticed, named and worked around",
    )
}

/// The agent and its node die, and the node's pid is given to a stranger.
fn a_reused_pid(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    if let Some(agent) = world.node("P2-agent") {
        world.kill(agent);
    }
    world.disturb(&Step::ReusePid("P2-NODE1".to_owned()));
    world.run_for(seconds(20))?;
    order(world, Verb::StopNodes(nodes(&["P2-NODE1"])));
    world.run_for(seconds(10))?;
    order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
    wait_until(world, "all online again", all_online)
}

/// The agent dies and comes back; its node runs on.
fn an_agent_comes_back(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    if let Some(agent) = world.node("P1-agent") {
        world.kill(agent);
    }
    world.run_for(seconds(5))?;
    wait_until(world, "all online", all_online)?;
    let blamed = world.mark("child.port_held") > 0;
    expect(world, !blamed, "an agent tried to start a node that runs")?;
    let adopted = world.mark("child.adopted") > 0;
    expect(
        world,
        adopted,
        "an agent did not take over what it had started",
    )
}

/// A node is stopped.
fn a_stop(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    order(world, Verb::StopNodes(nodes(&["P3-NODE1"])));
    world.run_for(seconds(20))?;
    let stopped = row(world, "P3-NODE1").is_some_and(|row| row.state == NodeState::Stopped);
    expect(world, stopped, "a node that was stopped is stopped")
}

/// What a host sends is lost, for half a minute.
fn a_one_way_cut(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    world.run_for(seconds(10))?;
    let (from, to) = ("h2".to_owned(), "h0".to_owned());
    let what = Cut::All;
    world.disturb(&Step::Cut {
        from: from.clone(),
        to: to.clone(),
        what,
    });
    world.run_for(seconds(30))?;
    world.disturb(&Step::Heal { from, to });
    wait_until(world, "all online again", all_online)
}

/// The controller's host is switched off, `change` is done to its disk, and it is switched on again.
fn with_another_home(
    world: &mut VaquitaWorld,
    change: impl FnOnce(&mut SimDisk, SimTime),
) -> Result<(), Failure> {
    let (Some(host), Some(master)) = (world.host("h0"), world.node(MASTER)) else {
        return Ok(());
    };
    world.power_cut(host);
    let now = world.now();
    change(world.disk_mut(master), now);
    world.power_on(host);
    world.run_for(seconds(30))?;
    let followed = rows(world).iter().any(|row| row.state == NodeState::Online);
    expect(
        world,
        !followed,
        "a controller without its history is followed",
    )
}

/// The controller comes back with the home that it had before its last orders.
fn a_home_of_an_earlier_day(world: &mut VaquitaWorld) -> Result<(), Failure> {
    // Who follows such a controller starts what was stopped since, and that would be seen first.
    world.remove_checker("a stop stands");
    bring_online(world)?;
    world.run_for(seconds(12))?;
    let early = world.node(MASTER).map(|node| world.disk(node).files());
    for round in 0..2 {
        order(
            world,
            Verb::StopNodes(nodes(&[&Cluster::node_name(1 + round, 1)])),
        );
        world.run_for(seconds(12))?;
    }
    with_another_home(world, |disk, now| {
        disk.replace(now, &early.unwrap_or_default());
    })
}

/// The controller's log is gone, and the rest of its home is there.
fn a_lost_log(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    world.run_for(seconds(12))?;
    with_another_home(world, |disk, now| {
        let mut left = disk.files();
        left.retain(|file, _| !metalog::belongs_to_log(file));
        disk.replace(now, &left);
    })?;
    let refused = world
        .ended()
        .iter()
        .any(|ended| ended.reason.code == ExitCode::CorruptData);
    expect(
        world,
        refused,
        "a home that has lost its log is taken for new",
    )
}

/// Nodes are stopped and started by order, one after the other.
fn orders_are_given(world: &mut VaquitaWorld) -> Result<(), Failure> {
    bring_online(world)?;
    for round in 0..4 {
        let name = Cluster::node_name(1 + round % 2, 1);
        let verb = match round < 2 {
            true => Verb::StopNodes(nodes(&[&name])),
            false => Verb::StartNodes(nodes(&[&name])),
        };
        order(world, verb);
        world.run_for(seconds(10))?;
        let newest = controller(world).and_then(|(_, controller)| {
            let state = controller.state();
            let order = state.orders.values().map(|it| it.version).max()?;
            let entry = state.audit.entries().next_back();
            Some((order, entry.map(|(_, index, _)| index)))
        });
        let so = newest.is_some_and(|(order, entry)| entry == Some(order));
        expect(world, so, "an order is in the log, and not in the audit")?;
    }
    wait_until(world, "all as ordered", all_settled)
}

const HUNTS: [Hunt; 19] = [
    Hunt {
        bug: "leave_out_entries",
        plant: |it| it.leave_out_entries = true,
        drive: orders_are_given,
        shows: "an order is in the log, and not in the audit",
        within: 1,
    },
    Hunt {
        bug: "skip_sync",
        plant: |it| it.skip_sync = true,
        drive: power_fails_while_orders_are_logged,
        shows: "and a loss of power now would leave",
        within: 3,
    },
    Hunt {
        bug: "skip_dir_sync",
        plant: |it| it.skip_dir_sync = true,
        drive: power_fails_while_orders_are_logged,
        shows: "and a loss of power now would leave",
        within: 3,
    },
    Hunt {
        bug: "ack_before_sync",
        plant: |it| it.ack_before_sync = true,
        drive: power_fails_while_orders_are_logged,
        shows: "and a loss of power now would leave",
        within: 3,
    },
    Hunt {
        bug: "tell_before_synced",
        plant: |it| it.tell_before_synced = true,
        drive: power_fails_while_orders_are_logged,
        shows: "and a loss of power now would leave",
        within: 3,
    },
    Hunt {
        bug: "ignore_controller_epoch",
        plant: |it| it.ignore_controller_epoch = true,
        drive: late_and_doubled_datagrams,
        shows: "a message under a void epoch, or a beat seen before, changed the state",
        within: 10,
    },
    Hunt {
        bug: "ignore_node_epoch",
        plant: |it| it.ignore_node_epoch = true,
        drive: late_and_doubled_datagrams,
        shows: "a message under a void epoch, or a beat seen before, changed the state",
        within: 10,
    },
    Hunt {
        bug: "accept_replays",
        plant: |it| it.accept_replays = true,
        drive: late_and_doubled_datagrams,
        shows: "a message under a void epoch, or a beat seen before, changed the state",
        within: 3,
    },
    Hunt {
        bug: "admit_duplicates",
        plant: |it| it.admit_duplicates = true,
        drive: an_impostor,
        shows: "the first holder of an alias lost it to a second one",
        within: 3,
    },
    Hunt {
        bug: "show_old_figures",
        plant: |it| it.show_old_figures = true,
        drive: a_node_stands_still,
        shows: "and is shown with figures",
        within: 3,
    },
    Hunt {
        bug: "keep_old_figures",
        plant: |it| it.keep_old_figures = true,
        drive: nodes_are_others_soon_after,
        shows: "with figures of",
        within: 3,
    },
    Hunt {
        bug: "no_tcp_beats",
        plant: |it| it.no_tcp_beats = true,
        drive: udp_is_blocked,
        shows: "blocked UDP is noticed",
        within: 3,
    },
    Hunt {
        bug: "adopt_unproven",
        plant: |it| it.adopt_unproven = true,
        drive: a_reused_pid,
        shows: "P2-NODE1 is stopping",
        within: 3,
    },
    Hunt {
        bug: "forget_children",
        plant: |it| it.forget_children = true,
        drive: an_agent_comes_back,
        shows: "an agent tried to start a node that runs",
        within: 3,
    },
    Hunt {
        bug: "restart_after_stop",
        plant: |it| it.restart_after_stop = true,
        drive: a_stop,
        shows: "was stopped by order, and was started again",
        within: 3,
    },
    Hunt {
        bug: "never_fence",
        plant: |it| it.never_fence = true,
        drive: a_one_way_cut,
        shows: "has not fenced itself",
        within: 3,
    },
    Hunt {
        bug: "believe_datagrams",
        plant: |it| it.believe_datagrams = true,
        drive: forged_datagrams,
        shows: "after 9 s without a heartbeat",
        within: 6,
    },
    Hunt {
        bug: "ignore_witness",
        plant: |it| it.ignore_witness = true,
        drive: a_home_of_an_earlier_day,
        shows: "a controller without its history is followed",
        within: 3,
    },
    Hunt {
        bug: "forget_history",
        plant: |it| it.forget_history = true,
        drive: a_lost_log,
        shows: "a controller acts under epoch 1 after one that acted under 1",
        within: 3,
    },
];

/// Each is found by the failure that it makes, and by none that comes without it.
#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    eprintln!("{:<24} {:>6} {:>7}  what was seen", "bug", "seed", "within");
    for it in &HUNTS {
        let hunted = |planted| Hunted { hunt: it, planted };
        match hunt(&hunted(true), &hunted(false), it.shows, it.within) {
            Ok(Found { seed, failure, .. }) => {
                let what: String = failure.to_string().chars().take(110).collect();
                eprintln!("{:<24} {seed:>6} {:>7}  {what}", it.bug, it.within);
            }
            Err(what) => missed.push(what),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn without_a_bug_the_same_stories_end_well() {
    for hunt in &HUNTS {
        for seed in 0..hunt.within.min(5) {
            let outcome = run_one(
                &Hunted {
                    hunt,
                    planted: false,
                },
                seed,
                TraceMode::Fingerprint,
            );
            assert_eq!(outcome.failure, None, "{} under seed {seed}", hunt.bug);
        }
    }
}

/// Each hunt plants the one bug that it is called by.
#[test]
fn hunts_plant_what_they_are_called_by() {
    for it in &HUNTS {
        assert_plants(it.bug, it.plant);
    }
}

#[test]
fn nothing_is_planted_by_default() {
    let none = Planted::default();
    let mut one = none;
    one.skip_sync = true;
    assert_ne!(none, one);
    assert_eq!(format!("{none:?}").matches("true").count(), 0);
}

/// Nothing is planted in a process of the product: wherever its sources name what is planted, they
/// pass the empty set.
#[test]
fn the_binary_plants_nothing() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/src");
    let mut folders = vec![sources];
    let mut passed = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("the sources are there").path();
            if path.is_dir() {
                // Tests are no process of the product.
                if !path.ends_with("tests") && !path.ends_with("fuzzing") {
                    folders.push(path);
                }
                continue;
            }
            let text = fs::read_to_string(&path).expect("sources are text");
            for line in text.lines().filter(|line| line.contains("planted:")) {
                let right = line.trim() == "planted: Planted::default(),";
                let path = path.display();
                assert!(
                    right || line.trim_start().starts_with("use "),
                    "{path}: {line}"
                );
                passed += usize::from(right);
            }
        }
    }
    assert_eq!(passed, 3, "one for each role");
}
