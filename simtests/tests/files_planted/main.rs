//! Bugs planted on purpose in what the file system rests on, each of which the World has to find
//! within a stated number of seeds, and a story that ends well without it.

mod mirrors;
mod orphans;
mod repair;
mod upkeep;
mod volumes;

use std::time::Duration;

use simtests::hunt::{Found, assert_plants, hunt};
use simtests::net::Cut;
use simtests::plan::{DiskStep, Step};
use simtests::run::{Scenario, run_one};
use simtests::streams::Stream;
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done, Expected, Order, bring_to_rest};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaFactory, VaquitaWorld, all_online, bring_online, controller, wait_until,
};
use simtests::world::{Failure, NodeIx};
use vaquita_core::dfs::ask::{Answer, Ask, Outcome};
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::planted::Planted;

type Drive = fn(&mut VaquitaWorld, &mut Clients) -> Result<(), Failure>;

/// A bug, and the story in which it shows.
struct Hunt {
    bug: &'static str,
    plant: fn(&mut Planted),
    /// The story as it must end well without the bug, too.
    drive: Drive,
    /// Words of the failure by which it is found.
    shows: &'static str,
    /// Checkers that would find it sooner, and nothing of files.
    without: &'static [&'static str],
    /// Seeds within which the bug has to be found.
    within: u64,
}

/// A hunt with its bug, or without.
struct Hunted<'a> {
    hunt: &'a Hunt,
    planted: bool,
    /// `dfsRecoveryWaitTime`, where the story is about repair.
    recovery_wait: Option<Duration>,
    /// Volumes of each node.
    volumes: u16,
}

impl Scenario for Hunted<'_> {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.hunt.bug
    }

    fn target(&self) -> &'static str {
        "files_planted"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut cluster = Cluster::of(4).with_tiny_limits().with_files();
        cluster.uneven = vec![2];
        cluster.volumes = self.volumes;
        cluster.files.level = ReliabilityLevel::NeverShare;
        if self.recovery_wait.is_some() {
            cluster.recovery_wait = self.recovery_wait;
            cluster.scrub_period = repair::SCRUB;
            cluster.files.rebalance_concurrency = 2;
        }
        if self.planted {
            (self.hunt.plant)(&mut cluster.planted);
        }
        let mut world = cluster.traced(trace).build(seed);
        for name in self.hunt.without {
            world.remove_checker(name);
        }
        world
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        (self.hunt.drive)(world, &mut clients)?;
        wait_until(world, "all online", all_online)?;
        bring_to_rest(world, &mut clients)
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn named(world: &VaquitaWorld, name: &str) -> NodeIx {
    world.node(name).expect("there is such a node")
}

fn put(path: &str, number: u64, len: usize) -> Order {
    Order::Put {
        path: path.to_owned(),
        number,
        len,
        expect: Expected::Anything,
    }
}

fn get(path: &str) -> Order {
    Order::Get {
        path: path.to_owned(),
    }
}

fn remove(path: &str) -> Order {
    Order::Remove {
        path: path.to_owned(),
    }
}

const NODES: [&str; 5] = ["P1-NODE1", "P1-NODE2", "P2-NODE1", "P3-NODE1", "P4-NODE1"];

/// Files are written, replaced and removed; nothing else happens.
fn a_good_day(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for number in 1..12 {
        let path = format!("/f{}", number % 4);
        clients.have(world, put(&path, number, 4_000))?;
        clients.have(world, get(&path))?;
    }
    let path = "/f1".to_owned();
    clients.have(world, Order::Remove { path })?;
    clients.have(world, get("/f1")).map(|_| ())
}

/// Two hosts are left: there is no place for a third replica.
fn two_hosts_are_left(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for host in ["h3", "h4"] {
        world.disturb(&Step::Isolate(host.to_owned()));
    }
    clients.run_for(world, seconds(12))?;
    let entry = named(world, "P1-NODE1");
    for number in 1..4 {
        let ticket = clients.begin(world, Some(entry), put("/f", number, 4_000));
        clients.wait(world, ticket)?;
    }
    world.disturb(&Step::HealAll);
    Ok(())
}

/// One host after the other loses power in the midst of writes; what is there is read.
fn hosts_lose_power(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for round in 0..6_u64 {
        for nth in 0..4 {
            let number = 10 * round + nth + 1;
            clients.begin(world, None, put(&format!("/f{nth}"), number, 2_500));
        }
        let mut draw = world.streams().at(Stream::Workload, 0x9acf, round);
        clients.run_for(world, Duration::from_micros(500 + draw.below(6_000)))?;
        let host = world.host(&format!("h{}", 1 + round % 4)).expect("it is");
        world.power_cut(host);
        clients.run_for(world, seconds(2))?;
        world.power_on(host);
        clients.finish(world)?;
    }
    Ok(())
}

/// The controller is killed in the midst of writes; answers are lost and asked for again.
fn the_controller_is_killed(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    for round in 0..8_u64 {
        for nth in 0..3 {
            let number = 10 * round + nth + 1;
            clients.begin(world, None, put(&format!("/f{nth}"), number, 12_000));
        }
        let path = "/f0".to_owned();
        clients.begin(world, None, Order::Remove { path });
        let mut draw = world.streams().at(Stream::Workload, 0x9ad1, round);
        clients.run_for(world, Duration::from_micros(1_000 + draw.below(9_000)))?;
        let master = named(world, MASTER);
        world.kill(master);
        clients.finish(world)?;
        for nth in 0..3 {
            clients.have(world, get(&format!("/f{nth}")))?;
        }
    }
    Ok(())
}

/// The same on disks so slow that a sync takes longer than a way through the network.
fn a_good_day_on_slow_disks(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    a_good_day_on_disks(world, clients, &NODES, 200)
}

/// Of the replicas of each chunk some are ready seconds before the others.
fn a_good_day_on_unequal_disks(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    a_good_day_on_disks(world, clients, &["P2-NODE1", "P3-NODE1"], 1000)
}

fn a_good_day_on_disks(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    slow: &[&str],
    factor: u32,
) -> Result<(), Failure> {
    for name in slow {
        let node = format!("{name}/0");
        let what = DiskStep::Slow(factor);
        world.disturb(&Step::Disk { node, what });
    }
    for number in 1..4 {
        clients.have(world, put("/small", number, 2_000))?;
        clients.have(world, put("/large", 10 + number, 30_000))?;
        clients.have(world, get("/large"))?;
    }
    Ok(())
}

/// While the entry of a write does not reach the controller, all other nodes lose their disks, and
/// come back. What they had prepared is no more.
fn replicas_lose_what_they_prepared(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    prepared_is_lost(world, clients, false)
}

/// The same, and the controller is killed meanwhile: what it had allocated is an earlier one's.
fn replicas_lose_what_they_prepared_and_the_controller_its_life(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    prepared_is_lost(world, clients, true)
}

fn prepared_is_lost(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    the_controller_dies: bool,
) -> Result<(), Failure> {
    let entry = named(world, "P4-NODE1");
    let ticket = clients.begin(world, Some(entry), put("/f", 1, 8_000));
    let mut draw = world.streams().at(Stream::Workload, 0x9ad0, 0);
    clients.run_for(world, Duration::from_micros(1_200 + draw.below(1_500)))?;
    let cut = |from: &str, to: &str| Step::Cut {
        from: from.to_owned(),
        to: to.to_owned(),
        what: Cut::All,
    };
    world.disturb(&cut("h4", "h0"));
    world.disturb(&cut("h0", "h4"));
    clients.run_for(world, Duration::from_millis(5))?;
    let master = named(world, MASTER);
    let is_over = clients.done(ticket).is_some();
    if !is_over {
        clients.run_for(world, Duration::from_millis(5))?;
    }
    // A commit that is in the log already is an acknowledgement on its way.
    let in_log = |world: &VaquitaWorld| {
        let names = controller(world).map(|(_, it)| &it.state().namespace);
        names.is_some_and(|names| names.chunks_after(None).count() > 0)
    };
    if is_over || in_log(world) {
        // It came too late for this.
        world.disturb(&Step::HealAll);
        return Ok(());
    }
    for name in &NODES[..4] {
        let node = named(world, name);
        world.kill(node);
        if let Some(disk) = world.volume_mut(node, 0) {
            disk.wipe();
        }
    }
    if the_controller_dies {
        world.kill(master);
    }
    clients.run_for(world, seconds(5))?;
    world.disturb(&Step::HealAll);
    clients.tries = 1;
    clients.finish(world)
}

/// The controller and the replicas of a write lose power; its entry lives, and commits afterwards.
fn the_entry_alone_survives(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    for round in 0..16_u64 {
        let entry = named(world, "P4-NODE1");
        clients.begin(world, Some(entry), put("/f", round + 1, 2_900));
        let mut draw = world.streams().at(Stream::Workload, 0x9ad4, round);
        clients.run_for(world, Duration::from_micros(900 + draw.below(1_500)))?;
        for name in ["h0", "h1", "h2", "h3"] {
            let host = world.host(name).expect("it is there");
            world.power_cut(host);
            world.power_on(host);
        }
        clients.finish(world)?;
        wait_until(world, "all online", all_online)?;
        clients.have(world, get("/f"))?;
    }
    Ok(())
}

/// An entry dies when its client's write is in the log, and before the client is told. Others write
/// and read before the client asks again.
fn an_answer_is_lost(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for round in 0..4_u64 {
        let entry = named(world, NODES[usize::try_from(round % 5).unwrap_or(0)]);
        let appended = |world: &VaquitaWorld| controller(world).map(|(_, it)| it.log_positions().1);
        let before = appended(world);
        clients.begin(world, Some(entry), put("/f", 10 * round + 1, 2_000));
        while appended(world) == before {
            clients.run_for(world, Duration::from_micros(50))?;
        }
        world.kill(entry);
        clients.run_for(world, Duration::from_millis(5))?;
        clients.have(world, get("/f"))?;
        clients.have(world, put("/f", 10 * round + 2, 2_000))?;
        clients.have(world, get("/f"))?;
        clients.finish(world)?;
        clients.have(world, get("/f"))?;
        wait_until(world, "all online", all_online)?;
    }
    Ok(())
}

/// The controller's host loses power in the midst of replacements, and stays away for longer than
/// what is released can be read.
fn the_controller_loses_power(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    for round in 0..6_u64 {
        for nth in 0..4 {
            let number = 10 * round + nth + 1;
            clients.have(world, put(&format!("/f{nth}"), number, 2_000))?;
        }
        clients.tries = 1;
        for nth in 0..4 {
            let number = 10 * round + nth + 5;
            clients.begin(world, None, put(&format!("/f{nth}"), number, 2_000));
        }
        let mut draw = world.streams().at(Stream::Workload, 0x9ad2, round);
        clients.run_for(world, Duration::from_micros(1_500 + draw.below(2_000)))?;
        let host = world.host("h0").expect("it is there");
        world.power_cut(host);
        clients.run_for(world, seconds(40))?;
        world.power_on(host);
        clients.finish(world)?;
        clients.tries = 6;
        wait_until(world, "all online", all_online)?;
        for nth in 0..4 {
            let read = clients.have(world, get(&format!("/f{nth}")))?;
            if matches!(read, Done::Refused(_)) {
                world.fail(None, format!("a file cannot be read any more: {read:?}"));
                world.finish()?;
            }
        }
    }
    Ok(())
}

/// An entry stands still with a write, and its client asks elsewhere what became of it.
fn an_outcome_is_asked_for(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let entry = named(world, "P4-NODE1");
    clients.tries = 1;
    let ticket = clients.begin(world, Some(entry), put("/f", 1, 6_000));
    let mut draw = world.streams().at(Stream::Workload, 0x0c0e, 0);
    clients.run_for(world, Duration::from_micros(200 + draw.below(1_000)))?;
    world.kill(entry);
    clients.run_for(world, seconds(70))?;
    let op = clients.op(ticket).expect("it was asked for");
    let asked = clients.have(world, Order::Ask(Ask::Outcome { op }))?;
    let aborted = matches!(&asked, Done::Answered(it) if **it == Answer::Outcome(Outcome::Aborted));
    clients.tries = 6;
    let again = clients.again(world, ticket);
    let again = clients.wait(world, again)?;
    if aborted && matches!(again, Done::Written(_)) {
        world.fail(
            None,
            "a write was done of which somebody was told that it never will be",
        );
    }
    world.finish()
}

/// Clients replace what they have read, several at once.
fn clients_race(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    clients.have(world, put("/f", 1, 3_000))?;
    for round in 1..6 {
        for nth in 0..3 {
            let replace = Order::Put {
                path: "/f".to_owned(),
                number: 100 * round + nth,
                len: 3_000,
                expect: Expected::Number(round),
            };
            clients.begin(world, None, replace);
        }
        clients.finish(world)?;
        clients.have(world, put("/f", round + 1, 3_000))?;
    }
    Ok(())
}

/// A node comes back without what it had.
fn a_volume_is_lost(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for number in 1..10 {
        clients.have(world, put(&format!("/f{number}"), number, 4_000))?;
    }
    let node = named(world, "P2-NODE1");
    world.kill(node);
    if let Some(disk) = world.volume_mut(node, 0) {
        disk.wipe();
    }
    clients.run_for(world, seconds(10))
}

const HUNTS: &[Hunt] = &[
    Hunt {
        bug: "store_skip_sync",
        plant: |bugs| bugs.store_skip_sync = true,
        drive: a_good_day,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 1,
    },
    Hunt {
        bug: "store_skip_dir_sync",
        plant: |bugs| bugs.store_skip_dir_sync = true,
        drive: a_good_day,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 1,
    },
    Hunt {
        bug: "store_ack_before_sync",
        plant: |bugs| bugs.store_ack_before_sync = true,
        drive: a_good_day_on_slow_disks,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "store_trust_headers",
        plant: |bugs| bugs.store_trust_headers = true,
        drive: the_entry_alone_survives,
        shows: "only on its disks: [c",
        without: &[],
        within: 120,
    },
    Hunt {
        bug: "store_reuse_torn",
        plant: |bugs| bugs.store_reuse_torn = true,
        drive: hosts_lose_power,
        shows: "only on its disks: [c",
        without: &[],
        within: 120,
    },
    Hunt {
        bug: "tell_before_synced",
        plant: |bugs| bugs.tell_before_synced = true,
        drive: a_good_day,
        shows: "which a loss of power now would take",
        without: &["promises are durable"],
        within: 4,
    },
    // The controller itself takes for synced what is not: the disk alone knows better.
    Hunt {
        bug: "skip_sync",
        plant: |bugs| bugs.skip_sync = true,
        drive: a_good_day,
        shows: "which a loss of power now would take",
        without: &["promises are durable"],
        within: 2,
    },
    Hunt {
        bug: "commit_unchecked_epochs",
        plant: |bugs| bugs.commit_unchecked_epochs = true,
        drive: replicas_lose_what_they_prepared,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 60,
    },
    Hunt {
        bug: "trust_old_lists",
        plant: |bugs| bugs.trust_old_lists = true,
        drive: replicas_lose_what_they_prepared_and_the_controller_its_life,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 60,
    },
    Hunt {
        bug: "forget_ops",
        plant: |bugs| bugs.forget_ops = true,
        drive: an_answer_is_lost,
        shows: "no order of events explains what clients were told",
        without: &[],
        within: 4,
    },
    Hunt {
        bug: "release_before_synced",
        plant: |bugs| bugs.release_before_synced = true,
        drive: the_controller_loses_power,
        shows: "a file cannot be read any more",
        without: &[],
        within: 40,
    },
    Hunt {
        bug: "release_open_writes",
        plant: |bugs| bugs.release_open_writes = true,
        drive: a_good_day_on_unequal_disks,
        shows: "was acknowledged, and a loss of power now would leave",
        without: &[],
        within: 12,
    },
    Hunt {
        bug: "share_hosts",
        plant: |bugs| bugs.share_hosts = true,
        drive: two_hosts_are_left,
        shows: "share a host",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "keep_orphans",
        plant: |bugs| bugs.keep_orphans = true,
        drive: the_controller_is_killed,
        shows: "beside what the log says",
        without: &[],
        within: 10,
    },
    Hunt {
        bug: "miss_nothing",
        plant: |bugs| bugs.miss_nothing = true,
        drive: a_volume_is_lost,
        shows: "and the controller knows of {}",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "abort_by_word",
        plant: |bugs| bugs.abort_by_word = true,
        drive: an_outcome_is_asked_for,
        shows: "told that it never will be",
        without: &[],
        within: 4,
    },
    Hunt {
        bug: "ignore_expectations",
        plant: |bugs| bugs.ignore_expectations = true,
        drive: clients_race,
        shows: "no order of events explains what clients were told",
        without: &[],
        within: 4,
    },
];

/// Every story ends well without a bug, and each bug is found by the failure that it makes, and by
/// none that comes without it.
#[test]
fn planted_bugs_of_the_file_system_are_found() {
    find(HUNTS, None, 1);
}

/// The same for what repairs it, and empties nodes.
#[test]
fn planted_bugs_of_repair_are_found() {
    find(repair::HUNTS, Some(repair::WAIT), 1);
}

/// The same for copies of the controller's log.
#[test]
fn planted_bugs_of_mirrors_are_found() {
    find(mirrors::HUNTS, None, 1);
}

/// The same for volumes that are opened again, or given to other nodes.
#[test]
fn planted_bugs_of_volumes_are_found() {
    find(volumes::HUNTS, None, 1);
    find(volumes::OF_TWO, None, 2);
}

/// The same for nodes that leave the nodes file, or the cluster.
#[test]
fn planted_bugs_of_orphans_are_found() {
    find(orphans::HUNTS, Some(repair::WAIT), 1);
}

/// The same for what keeps replicas as they should be.
#[test]
fn planted_bugs_of_upkeep_are_found() {
    find(upkeep::HUNTS, Some(repair::WAIT), 1);
}

#[expect(
    clippy::print_stderr,
    reason = "which seed found what is worth knowing"
)]
fn find(hunts: &[Hunt], recovery_wait: Option<Duration>, volumes: u16) {
    let only = std::env::var("VAQUITA_HUNT").ok();
    let mut missed = Vec::new();
    for it in hunts {
        if only.as_deref().is_some_and(|only| only != it.bug) {
            continue;
        }
        let hunted = |planted| Hunted {
            hunt: it,
            planted,
            recovery_wait,
            volumes,
        };
        for seed in 0..2 {
            let outcome = run_one(&hunted(false), seed, TraceMode::Fingerprint);
            if let Some(failure) = outcome.failure {
                let bug = it.bug;
                missed.push(format!("{bug} seed {seed} fails without it: {failure}"));
            }
        }
        match hunt(&hunted(true), &hunted(false), it.shows, it.within) {
            Ok(Found { seed, failure, .. }) => {
                eprintln!("{:<24} seed {seed:>2}: {failure}", it.bug)
            }
            Err(what) => missed.push(what),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Each hunt plants the one bug that it is called by.
#[test]
fn hunts_plant_what_they_are_called_by() {
    let others = [
        mirrors::HUNTS,
        orphans::HUNTS,
        repair::HUNTS,
        upkeep::HUNTS,
        volumes::HUNTS,
        volumes::OF_TWO,
    ];
    for it in HUNTS.iter().chain(others.into_iter().flatten()) {
        assert_plants(it.bug, it.plant);
    }
}
