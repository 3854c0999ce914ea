//! Scenarios of the file system in the World, one a test. The numbers are those of the list in
//! `docs/simulation.md`; rulings are those of the architecture.

use std::time::Duration;

use simtests::net::LinkProfile;
use simtests::plan::{DiskStep, Plan, Step, Swarm, Timed};
use simtests::run::{Scenario, Summary, check};
use simtests::streams::{Rate, Stream};
use simtests::time::SimTime;
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done, Expected, Order, bring_to_rest};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaFactory, VaquitaWorld, all_online, all_settled, bring_online,
    controller, nodes, order, row, wait_until,
};
use simtests::world::{Failure, NodeIx};
use vaquita_core::admin::{Refusal, Verb};
use vaquita_core::controller::FilesConfig;
use vaquita_core::dfs::placement::ReliabilityLevel;

type Drive = fn(&mut VaquitaWorld, &mut Clients) -> Result<(), Failure>;

/// A scenario from two closures.
struct Story {
    name: &'static str,
    cluster: fn(u64) -> Cluster,
    drive: Drive,
}

impl Scenario for Story {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn target(&self) -> &'static str {
        "files"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut cluster = (self.cluster)(seed);
        cluster.settings.trace = trace;
        cluster.build(seed)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        clients.have(world, mkdir("/d"))?;
        (self.drive)(world, &mut clients)?;
        bring_to_rest(world, &mut clients)?;
        world.finish()
    }
}

fn run(seeds: u64, name: &'static str, cluster: fn(u64) -> Cluster, drive: Drive) -> Summary {
    let story = Story {
        name,
        cluster,
        drive,
    };
    check(&story, seeds)
}

/// Four hosts with a node each, three replicas, of which two are needed.
fn small(_: u64) -> Cluster {
    Cluster::of(4).with_files()
}

/// The same with a controller's log of which each segment has a handful of records.
fn tiny(_: u64) -> Cluster {
    Cluster::of(4).with_tiny_limits().with_files()
}

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

fn mkdir(path: &str) -> Order {
    Order::Ask(vaquita_core::dfs::ask::Ask::MakeDir {
        op: vaquita_core::dfs::ids::OpId([0xd1; 16]),
        path: vaquita_core::dfs::path::DfsPath::parse(path).expect("it is a path"),
        parents: true,
        unix_ms: 0,
    })
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

fn named(world: &VaquitaWorld, name: &str) -> NodeIx {
    world.node(name).expect("there is such a node")
}

/// What clients do all day: a mixture of everything on a few paths, `count` orders at `pace`.
fn work(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    count: u64,
    pace: Duration,
) -> Result<(), Failure> {
    for nth in 0..count {
        let mut draw = world.streams().at(Stream::Workload, 0xf11e, nth);
        let path = format!("/d/f{}", draw.below(count / 12 + 3));
        let len = match draw.below(6) {
            0 => 0,
            1 => 1 + draw.below(200),
            2 => 3 * 1024,
            3 => 3 * 1024 + 1,
            4 => draw.below(8 * 1024),
            _ => draw.below(30 * 1024),
        };
        let len = usize::try_from(len).unwrap_or(0);
        let order = match draw.below(10) {
            0..=3 => put(&path, 1000 + nth, len),
            4 => Order::Put {
                path,
                number: 1000 + nth,
                len,
                expect: if draw.chance(Rate::percent(50)) {
                    Expected::Nothing
                } else {
                    Expected::Something
                },
            },
            5..=7 => get(&path),
            8 => remove(&path),
            _ => Order::Rename {
                to: format!("{path}r"),
                from: path,
                replace: draw.chance(Rate::percent(50)),
            },
        };
        clients.begin(world, None, order);
        clients.run_for(world, pace)?;
    }
    Ok(())
}

/// Files are written, read, replaced, renamed and removed, at any entry; nothing is left over.
#[test]
fn files_are_written_read_and_removed() {
    let summary = run(
        4,
        "files_are_written_read_and_removed",
        small,
        |world, clients| {
            for (number, len) in [(1, 0), (2, 100), (3, 3 * 1024), (4, 5000), (5, 30_000)] {
                let path = format!("/d/a{number}");
                let written = clients.have(world, put(&path, number, len))?;
                let written = matches!(written, Done::Written(_));
                expect(world, written, "a healthy cluster did not write a file")?;
                let read = clients.have(world, get(&path))?;
                expect(world, read == Done::Read(number), "a file reads otherwise")?;
            }
            work(world, clients, 40, Duration::from_millis(200))
        },
    );
    eprintln!("{:?}", summary.marks);
}

/// A network that loses, doubles, delays and damages: what is read was written, and what was
/// acknowledged is there.
#[test]
fn a_dirty_network_damages_no_file() {
    run(
        8,
        "a_dirty_network_damages_no_file",
        small,
        |world, clients| {
            world.disturb(&Step::Weather(LinkProfile {
                loss: Rate::percent(5),
                duplicates: Rate::percent(30),
                corruption: Rate::percent(10),
                truncation: Rate::percent(5),
                jitter: Duration::from_millis(20),
                ..LinkProfile::default()
            }));
            work(world, clients, 60, Duration::from_millis(300))?;
            clients.finish(world)?;
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
}
