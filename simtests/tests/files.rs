//! Scenarios of the file system in the World, one a test. The numbers are those of the list in
//! `docs/simulation.md`; rulings are those of the architecture.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use simtests::disk::Cached;
use simtests::net::LinkProfile;
use simtests::plan::{DiskStep, Plan, Step, Swarm, Timed};
use simtests::run::{Scenario, Summary, check};
use simtests::streams::{Rate, Stream};
use simtests::time::SimTime;
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done, Expected, Order, Ticket, bring_to_rest};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaFactory, VaquitaWorld, all_online, all_settled, bring_online,
    controller, nodes, order, wait_until,
};
use simtests::world::{Failure, NodeIx, TRAP_SPRUNG};
use vaquita_core::admin::{Refusal, Verb};
use vaquita_core::dfs::ask::{Answer, Ask, Outcome};
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::dfs::placement::ReliabilityLevel;
use vaquita_core::store::RecordKind;
use vaquita_core::store::scan::scan;

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

/// Has something done, and says how long it took in the World.
fn timed(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    order: Order,
) -> Result<(Done, Duration), Failure> {
    let since = world.now();
    let done = clients.have(world, order)?;
    Ok((done, world.now().since(since)))
}

/// Waits until those that were ordered to stop have stopped.
fn stopped(world: &mut VaquitaWorld) -> Result<(), Failure> {
    wait_until(world, "the order has been taken", |world| {
        controller(world).is_some_and(|(_, it)| !all_online(world) && !it.state().orders.is_empty())
    })?;
    wait_until(world, "all as ordered", all_settled)
}

fn named(world: &VaquitaWorld, name: &str) -> NodeIx {
    world.node(name).expect("there is such a node")
}

/// Orders that nothing forbids: whoever is served has them done.
#[derive(Default)]
struct Work {
    /// Writes that expect nothing of what is there.
    writes: Vec<Ticket>,
    reads: Vec<Ticket>,
}

impl Work {
    fn begin(&mut self, world: &mut VaquitaWorld, clients: &mut Clients, order: Order) {
        let list = match &order {
            Order::Put {
                expect: Expected::Anything,
                ..
            } => Some(&mut self.writes),
            Order::Get { .. } => Some(&mut self.reads),
            _ => None,
        };
        let ticket = clients.begin(world, None, order);
        list.into_iter().for_each(|list| list.push(ticket));
    }

    /// How many of these are done so.
    fn count(clients: &Clients, list: &[Ticket], so: fn(&Done) -> bool) -> usize {
        let done = list.iter().filter_map(|it| clients.done(*it));
        done.filter(|it| so(it)).count()
    }

    /// Counts, for the summary of all runs, how many have written a file and how many have read one.
    fn tell(&self, world: &mut VaquitaWorld, clients: &Clients) {
        let written = Self::count(clients, &self.writes, |it| matches!(it, Done::Written(_)));
        let read = Self::count(clients, &self.reads, |it| matches!(it, Done::Read(_)));
        world.count(WRITTEN, written as u64);
        world.count(READ, read as u64);
    }

    /// Fails the run unless this many of a hundred writes, and of a hundred reads, have what they
    /// wanted: where nobody is served, nothing is said about what clients get. A read may rightly find
    /// no file.
    fn is_served(
        &self,
        world: &mut VaquitaWorld,
        clients: &Clients,
        percent: usize,
    ) -> Result<(), Failure> {
        self.tell(world, clients);
        let written = Self::count(clients, &self.writes, |it| matches!(it, Done::Written(_)));
        let read = Self::count(clients, &self.reads, |it| {
            matches!(it, Done::Read(_) | Done::Nothing)
        });
        let (writes, reads) = (self.writes.len(), self.reads.len());
        let so = written > 0 && 100 * written >= percent * writes && 100 * read >= percent * reads;
        let what = format!("{written} of {writes} writes were done, and {read} of {reads} reads");
        expect(world, so, &what)
    }
}

/// In all runs together some file was written, and some was read.
fn assert_served(summary: &Summary) {
    for mark in [WRITTEN, READ] {
        let count = summary.marks.get(mark).copied().unwrap_or(0);
        assert!(count > 0, "{mark}: no client was served in any run");
    }
}

const WRITTEN: &str = "clients.written";
const READ: &str = "clients.read";

/// What clients do all day: a mixture of everything on a few paths, the orders of these numbers at
/// `pace`.
fn work(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    orders: Range<u64>,
    pace: Duration,
) -> Result<Work, Failure> {
    let paths = (orders.end - orders.start) / 12 + 3;
    let mut work = Work::default();
    for nth in orders {
        let mut draw = world.streams().at(Stream::Workload, 0xf11e, nth);
        let path = format!("/d/f{}", draw.below(paths));
        let len = match draw.below(6) {
            0 => 0,
            1 => 16 + draw.below(200),
            2 => 3 * 1024,
            3 => 3 * 1024 + 1,
            4 => 16 + draw.below(8 * 1024),
            _ => 16 + draw.below(30 * 1024),
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
        work.begin(world, clients, order);
        clients.run_for(world, pace)?;
    }
    Ok(work)
}

/// Files are written, read, replaced, renamed and removed, at any entry; nothing is left over.
#[test]
fn files_are_written_read_and_removed() {
    let summary = run(
        4,
        "files_are_written_read_and_removed",
        small,
        |world, clients| {
            for (number, len) in [(0, 0), (2, 100), (3, 3 * 1024), (4, 5000), (5, 30_000)] {
                let path = format!("/d/a{number}");
                let written = clients.have(world, put(&path, number, len))?;
                let written = matches!(written, Done::Written(_));
                expect(world, written, "a healthy cluster did not write a file")?;
                let read = clients.have(world, get(&path))?;
                expect(world, read == Done::Read(number), "a file reads otherwise")?;
            }
            let work = work(world, clients, 0..40, Duration::from_millis(200))?;
            clients.finish(world)?;
            work.is_served(world, clients, 100)
        },
    );
    eprintln!("{:?}", summary.marks);
    assert_served(&summary);
}

/// A network that loses, doubles, delays and damages.
fn dirty() -> LinkProfile {
    LinkProfile {
        loss: Rate::percent(5),
        duplicates: Rate::percent(30),
        corruption: Rate::percent(10),
        truncation: Rate::percent(5),
        jitter: Duration::from_millis(20),
        ..LinkProfile::default()
    }
}

/// On a network that loses, doubles, delays and damages: what is read was written, and what was
/// acknowledged is there.
#[test]
fn a_dirty_network_damages_no_file() {
    let summary = run(
        8,
        "a_dirty_network_damages_no_file",
        small,
        |world, clients| {
            world.disturb(&Step::Weather(dirty()));
            let work = work(world, clients, 0..60, Duration::from_millis(300))?;
            clients.finish(world)?;
            work.is_served(world, clients, 75)?;
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
    assert_served(&summary);
}

/// 24: the entry, a replica or the controller is killed at a random moment of the writing; the
/// write ends one way or the other, and what was acknowledged stays.
#[test]
fn kills_in_the_midst_of_writes_lose_nothing() {
    let summary = run(
        16,
        "kills_in_the_midst_of_writes_lose_nothing",
        tiny,
        |world, clients| {
            let mut work = Work::default();
            for round in 0..8 {
                let mut draw = world.streams().at(Stream::Workload, 0x4111, round);
                for nth in 0..4 {
                    let len = usize::try_from(16 + draw.below(20_000)).unwrap_or(0);
                    let order = put(&format!("/d/f{nth}"), 100 * round + nth, len);
                    work.begin(world, clients, order);
                }
                let pause = Duration::from_micros(draw.below(30_000));
                clients.run_for(world, pause)?;
                let victims = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1", MASTER];
                let victim = named(world, draw.pick::<&str>(&victims));
                world.kill(victim);
                clients.run_for(world, seconds(6))?;
                for nth in 0..4 {
                    let order = get(&format!("/d/f{nth}"));
                    work.begin(world, clients, order);
                }
                clients.finish(world)?;
            }
            work.is_served(world, clients, 75)?;
            wait_until(world, "all online", all_online)
        },
    );
    assert_served(&summary);
}

/// The power fails at an operation of a disk while one file is written, at one after the other: a
/// chunk that is packed, and one that has a file of its own; the controller's disk, a replica's
/// volume, that of another, and a replica's home. A write does not touch a home, but a registration
/// does: there the node is killed in the midst of each write, and registers anew.
fn power_fails_at_an_operation(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    let seed = world.seed();
    let disks = ["master", "P1-NODE1/0", "P2-NODE1/0", "P1-NODE1"];
    let disk = disks[usize::try_from(seed % 4).unwrap_or(0)];
    let len = if (seed / 4).is_multiple_of(2) {
        2_000
    } else {
        8_000
    };
    let skip = seed / 16 % 14;
    clients.have(world, put("/d/f", 1, 5_000))?;
    world.disturb(&Step::AtOp {
        node: disk.to_owned(),
        skip,
        after: (seed / 8).is_multiple_of(2),
        power: true,
    });
    for number in 2..5 {
        clients.begin(world, None, put("/d/f", number, len));
        if let "P1-NODE1" = disk {
            let mut draw = world.streams().at(Stream::Workload, 0x40e, number);
            clients.run_for(world, Duration::from_micros(draw.below(4_000)))?;
            let node = named(world, disk);
            world.kill(node);
        }
        clients.run_for(world, seconds(1))?;
        clients.begin(world, None, get("/d/f"));
        clients.run_for(world, seconds(3))?;
    }
    let sprung = world.mark(TRAP_SPRUNG) == 1;
    expect(world, sprung, "there was no such operation of that disk")?;
    for host in world.hosts().collect::<Vec<_>>() {
        world.power_on(host);
    }
    clients.finish(world)?;
    world.disturb(&Step::HealAll);
    wait_until(world, "all online", all_online)?;
    let read = clients.have(world, get("/d/f"))?;
    let there = matches!(read, Done::Read(_));
    expect(world, there, "a file that was there cannot be read")
}

/// 15, for files: see there.
#[test]
fn a_power_cut_at_every_operation_of_a_write() {
    run(
        224,
        "a_power_cut_at_every_operation_of_a_write",
        |_| Cluster::of(3).with_tiny_limits().with_files(),
        power_fails_at_an_operation,
    );
}

/// Ruling 2: the controller ends between the moment at which replicas have prepared a chunk and the
/// commit. The next one commits what the replicas themselves report, or nothing.
#[test]
fn a_controller_that_ends_before_the_commit() {
    let summary = run(
        24,
        "a_controller_that_ends_before_the_commit",
        tiny,
        |world, clients| {
            for number in 0..4 {
                let path = format!("/d/f{number}");
                let before = chunks_on_disks(world);
                let ticket = clients.begin(world, None, put(&path, number, 20_000));
                let mut draw = world.streams().at(Stream::Workload, 0xc0, number);
                clients.run_for(world, Duration::from_micros(1_000 + draw.below(6_000)))?;
                let prepared = chunks_on_disks(world) > before;
                let between = prepared && clients.done(ticket).is_none();
                world.count(KILLED_BETWEEN, u64::from(between));
                let master = named(world, MASTER);
                world.kill(master);
                clients.finish(world)?;
                let read = clients.have(world, get(&path))?;
                let done = clients.done(ticket);
                let written = matches!(done, Some(Done::Written(_)));
                let what = format!("a write that was tried again: {done:?}, and reads {read:?}");
                expect(world, written && read == Done::Read(number), &what)?;
            }
            wait_until(world, "all online", all_online)
        },
    );
    let between = summary.marks.get(KILLED_BETWEEN).copied().unwrap_or(0);
    let what = format!("{between} of {} writes were cut in two", 4 * summary.runs);
    assert!(summary.runs < 10 || between > summary.runs, "{what}");
}

const KILLED_BETWEEN: &str = "killed.between_prepared_and_told";

/// 21: volumes fill up while files are written: writes go elsewhere or fail with a reason, and what
/// was removed makes room again.
#[test]
fn full_volumes_refuse_and_recover() {
    run(
        6,
        "full_volumes_refuse_and_recover",
        |_| {
            let mut cluster = Cluster::of(3).with_files();
            cluster.settings.volume.capacity = 600 * 1024;
            cluster.files.factor = 2;
            cluster
        },
        |world, clients| {
            clients.tries = 2;
            let mut refused = 0;
            for number in 0..60 {
                let path = format!("/d/f{number}");
                let done = clients.have(world, put(&path, number, 24_000))?;
                refused += u32::from(!matches!(done, Done::Written(_)));
                if refused > 3 {
                    break;
                }
            }
            expect(world, refused > 0, "a full cluster took everything")?;
            for number in 0..60 {
                clients.have(world, remove(&format!("/d/f{number}")))?;
            }
            clients.run_for(world, seconds(60))?;
            let done = clients.have(world, put("/d/after", 999, 24_000))?;
            let written = matches!(done, Done::Written(_));
            expect(world, written, "what was removed did not make room")
        },
    );
}

/// 25, without the repair: there are fewer nodes than replicas are wanted. Writes that reach the
/// least number are taken as degraded, others are refused; nodes that come later are used.
#[test]
fn a_factor_above_the_number_of_nodes() {
    run(
        4,
        "a_factor_above_the_number_of_nodes",
        small,
        |world, clients| {
            clients.tries = 2;
            let stop = |names: &[&str]| Verb::StopNodes(nodes(names));
            order(world, stop(&["P3-NODE1", "P4-NODE1"]));
            stopped(world)?;
            let done = clients.have(world, put("/d/two", 1, 9_000))?;
            let degraded = matches!(&done, Done::Written(it) if it.degraded_chunks == 2);
            expect(
                world,
                degraded,
                "two of three replicas are a degraded write",
            )?;
            order(world, stop(&["P2-NODE1"]));
            stopped(world)?;
            let done = clients.have(world, put("/d/one", 2, 9_000))?;
            let refused = matches!(done, Done::Refused(Refusal::NoPlace(_)));
            expect(
                world,
                refused,
                "one replica of two that are needed was written",
            )?;
            order(
                world,
                Verb::StartNodes(nodes(&["P2-NODE1", "P3-NODE1", "P4-NODE1"])),
            );
            wait_until(world, "all are back", all_online)?;
            clients.run_for(world, seconds(2))?;
            let done = clients.have(world, put("/d/three", 3, 9_000))?;
            let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
            expect(world, whole, "new nodes are not used")
        },
    );
}

fn uneven(level: ReliabilityLevel) -> Cluster {
    let mut cluster = Cluster::of(3).with_files();
    cluster.uneven = vec![3, 1, 1];
    cluster.files.level = level;
    cluster
}

/// Hosts of the replicas of each chunk of the cluster.
fn hosts_of_chunks(world: &VaquitaWorld) -> Vec<Vec<usize>> {
    let Some((_, machine)) = controller(world) else {
        return Vec::new();
    };
    let registry = &machine.state().registry;
    let host = |id| {
        let alias = registry
            .iter()
            .find(|(_, it)| it.node == id)
            .map(|it| it.0)?;
        Some(world.host_of(world.node(alias.as_str())?).index())
    };
    let chunks = machine.state().namespace.chunks_after(None);
    chunks
        .map(|chunk| chunk.holders().filter_map(host).collect())
        .collect()
}

fn shared(hosts: &[usize]) -> bool {
    hosts
        .iter()
        .enumerate()
        .any(|(at, host)| hosts[..at].contains(host))
}

fn write_many(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for number in 0..12 {
        let done = clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
        let written = matches!(done, Done::Written(_));
        expect(world, written, "a healthy cluster did not write")?;
    }
    Ok(())
}

/// 26, level 0: hosts may be shared: now and then they are though there are others, which neither of
/// the other levels does; and one host that is left takes all replicas, which level 1 forbids.
#[test]
fn level_0_uses_every_node() {
    run(
        3,
        "level_0_uses_every_node",
        |_| uneven(ReliabilityLevel::MayShare),
        |world, clients| {
            for number in 0..10 {
                // Of 25 chunks: a host that has a replica seldom gets another one.
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 200_000))?;
                let written = matches!(done, Done::Written(_));
                expect(world, written, "a healthy cluster did not write")?;
            }
            let hosts = hosts_of_chunks(world);
            let whole = hosts.iter().all(|hosts| hosts.len() == 3);
            expect(world, whole, "a chunk has not three replicas")?;
            let sharing = hosts.iter().filter(|hosts| shared(hosts)).count();
            let some = 0 < sharing && 4 * sharing < hosts.len();
            let what = format!("{sharing} of {} chunks share a host", hosts.len());
            expect(world, some, &what)?;
            let cluster = world.factory().cluster.clone();
            let idle = cluster.node_names().find(|name| {
                let disk = world.volume(named(world, name), 0);
                disk.is_none_or(|disk| disk.used() < 100_000)
            });
            expect(world, idle.is_none(), "a node is not used")?;
            order(world, Verb::StopNodes(nodes(&["P2-NODE1", "P3-NODE1"])));
            stopped(world)?;
            let done = clients.have(world, put("/d/one", 50, 9_000))?;
            let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
            expect(world, whole, "three nodes on one host are enough")?;
            order(world, Verb::StartNodes(nodes(&["P2-NODE1", "P3-NODE1"])));
            wait_until(world, "they are back", all_online)
        },
    );
}

/// 26, level 1: no two replicas share a host, whatever is lost; a checker holds that at every
/// commit. With two hosts, two replicas are written and no more.
#[test]
fn level_1_never_shares_a_host() {
    run(
        3,
        "level_1_never_shares_a_host",
        |_| uneven(ReliabilityLevel::NeverShare),
        |world, clients| {
            write_many(world, clients)?;
            order(world, Verb::StopNodes(nodes(&["P3-NODE1"])));
            stopped(world)?;
            let done = clients.have(world, put("/d/less", 50, 9_000))?;
            let degraded = matches!(&done, Done::Written(it) if it.degraded_chunks == 2);
            expect(world, degraded, "two hosts are enough for two replicas")?;
            order(world, Verb::StartNodes(nodes(&["P3-NODE1"])));
            wait_until(world, "it is back", all_online)
        },
    );
}

/// 26, level 2: hosts are shared only while there is no other.
#[test]
fn level_2_prefers_other_hosts() {
    run(
        3,
        "level_2_prefers_other_hosts",
        |_| uneven(ReliabilityLevel::PreferApart),
        |world, clients| {
            write_many(world, clients)?;
            let apart = hosts_of_chunks(world).iter().all(|hosts| !shared(hosts));
            expect(world, apart, "a host is shared though there were others")?;
            order(world, Verb::StopNodes(nodes(&["P3-NODE1"])));
            stopped(world)?;
            let done = clients.have(world, put("/d/shared", 50, 9_000))?;
            let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
            expect(world, whole, "three nodes on two hosts are enough")?;
            order(world, Verb::StartNodes(nodes(&["P3-NODE1"])));
            wait_until(world, "it is back", all_online)
        },
    );
}

/// 20: a volume dies, or loses its bytes, while the node runs on; what is left serves the reads.
#[test]
fn a_volume_that_fails_is_read_around() {
    run(
        12,
        "a_volume_that_fails_is_read_around",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            cluster.volumes = 2;
            cluster
        },
        |world, clients| {
            let mut before = Duration::ZERO;
            for number in 0..10 {
                let order = put(&format!("/d/f{number}"), number, 9_000);
                let (_, took) = timed(world, clients, order)?;
                before = before.max(took);
            }
            let what = match world.seed() % 4 {
                0 => DiskStep::Die,
                1 => DiskStep::FailSync,
                2 => DiskStep::FailOp,
                _ => DiskStep::Slow(100),
            };
            let slow = matches!(what, DiskStep::Slow(_));
            let disk = "P2-NODE1/1".to_owned();
            world.disturb(&Step::Disk { node: disk, what });
            let mut slowest = Duration::ZERO;
            for number in 0..10 {
                let path = format!("/d/f{number}");
                let read = clients.have(world, get(&path))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
                let (done, took) = timed(world, clients, put(&path, 100 + number, 9_000))?;
                slowest = slowest.max(took);
                let written = matches!(done, Done::Written(_));
                expect(world, written, "one failed volume of eight stops writes")?;
            }
            // A node says that a volume has failed; that one is slow shows in the time alone.
            let struck = match slow {
                true => slowest > 4 * before,
                false => world.mark("volume.state") > 0,
            };
            let what =
                format!("nothing came of the fault; writes took {before:?}, then {slowest:?}");
            expect(world, struck, &what)?;
            clients.run_for(world, seconds(10))?;
            world.disturb(&Step::HealAll);
            let node = named(world, "P2-NODE1");
            world.kill(node);
            clients.run_for(world, seconds(10))?;
            wait_until(world, "all online", all_online)
        },
    );
}

/// Bits rot on one node's volume: whoever reads gets the right bytes from another replica, and the
/// controller learns of what is damaged.
#[test]
fn rotten_bytes_are_never_read() {
    run(
        12,
        "rotten_bytes_are_never_read",
        small,
        |world, clients| {
            for number in 0..8 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            for _ in 0..20 {
                let disk = "P2-NODE1/0".to_owned();
                let what = DiskStep::Rot;
                world.disturb(&Step::Disk { node: disk, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for number in (0..8).chain(0..8) {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            // The rotten replicas were met, and the controller is told of them.
            let met = world.mark("volume.damaged_chunk") > 0;
            expect(world, met, "nobody has met a rotten byte")?;
            clients.run_for(world, seconds(1))?;
            let node = named(world, "P2-NODE1");
            let alias = world.alias(node).clone();
            let known = controller(world).and_then(|(_, machine)| machine.stock_of(&alias));
            let told = known.is_some_and(|stock| !stock.corrupt.is_empty());
            expect(
                world,
                told,
                "the controller knows nothing of what is damaged",
            )?;
            world.kill(node);
            clients.run_for(world, seconds(10))?;
            wait_until(world, "all online", all_online)?;
            for number in 0..8 {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            Ok(())
        },
    );
}

/// 22, for a volume: it is empty after a restart. That is a disk which is not mounted: the node does
/// not use it, and the controller knows what is missing.
#[test]
fn a_wiped_volume_is_missed_and_not_used() {
    run(
        4,
        "a_wiped_volume_is_missed_and_not_used",
        small,
        |world, clients| {
            for number in 0..8 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            order(world, Verb::StopNodes(nodes(&["P2-NODE1"])));
            stopped(world)?;
            let disk = "P2-NODE1/0".to_owned();
            let what = DiskStep::Wipe;
            world.disturb(&Step::Disk { node: disk, what });
            order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
            wait_until(world, "it is back", all_online)?;
            let node = named(world, "P2-NODE1");
            let used = world
                .volume(node, 0)
                .is_some_and(|disk| disk.file_count() > 0);
            expect(
                world,
                !used,
                "something was written where a disk is not mounted",
            )?;
            for number in 0..8 {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            let alias = world.alias(node).clone();
            let known = controller(world).and_then(|(_, machine)| machine.stock_of(&alias));
            let missing = known.is_some_and(|stock| !stock.missing.is_empty());
            expect(world, missing, "nobody misses what was on the disk")
        },
    );
}

/// Two clients replace one file, both of what they have read: one of them is refused.
#[test]
fn of_two_who_replace_the_same_content_one_is_refused() {
    run(
        10,
        "of_two_who_replace_the_same_content_one_is_refused",
        small,
        |world, clients| {
            clients.have(world, put("/d/f", 1, 5_000))?;
            for round in 1..6 {
                let replace = |number| Order::Put {
                    path: "/d/f".to_owned(),
                    number,
                    len: 5_000,
                    expect: Expected::Number(round),
                };
                let one = clients.begin(world, None, replace(round + 1));
                let other = clients.begin(world, None, replace(round + 100));
                clients.finish(world)?;
                let written = |ticket| matches!(clients.done(ticket), Some(Done::Written(_)));
                let count = usize::from(written(one)) + usize::from(written(other));
                expect(world, count == 1, "not exactly one of two was taken")?;
                let expect = Expected::Anything;
                let path = "/d/f".to_owned();
                let (number, len) = (round + 1, 5_000);
                let again = Order::Put {
                    path,
                    number,
                    len,
                    expect,
                };
                clients.have(world, again)?;
            }
            Ok(())
        },
    );
}

/// Ruling 6: the controller's home is an old copy. Nodes refuse to give up what it does not know,
/// and report it; what was written since is still on the disks.
#[test]
fn a_controller_from_an_old_copy_deletes_nothing() {
    let story = Story {
        name: "a_controller_from_an_old_copy_deletes_nothing",
        cluster: small,
        drive: |world, clients| {
            clients.have(world, put("/d/old", 1, 9_000))?;
            let master = named(world, MASTER);
            let copy = world.disk(master).files();
            for name in ["logs keep promises", "promises are durable", "epochs grow"] {
                world.remove_checker(name);
            }
            for number in 2..6 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            clients.run_for(world, seconds(5))?;
            let before = chunks_on_disks(world);
            let host = world.host("h0").expect("there is a host");
            world.power_cut(host);
            world.disk_mut(master).wipe();
            for (file, bytes) in copy {
                world.disk_mut(master).install(file, bytes);
            }
            world.power_on(host);
            for _ in 0..3 {
                clients.run_for(world, seconds(50))?;
            }
            let after = chunks_on_disks(world);
            expect(
                world,
                before == after,
                "an old controller had chunks removed",
            )?;
            let said = world
                .told()
                .iter()
                .any(|it| it.notice.name == "controller.rollback_seen");
            expect(
                world,
                said,
                "nobody says that the controller is an old copy",
            )
        },
    };
    check(&Unrested(story), 6);
}

fn chunks_on_disks(world: &VaquitaWorld) -> usize {
    let entries = world.nodes().filter_map(|node| match world.machine(node)? {
        simtests::vaquita::Vaquita::DataNode(machine) => Some(machine.entries().len()),
        _ => None,
    });
    entries.sum()
}

/// A story after which the cluster is not at rest.
struct Unrested(Story);

impl Scenario for Unrested {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.0.name
    }

    fn target(&self) -> &'static str {
        self.0.target()
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        self.0.build(seed, trace)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        clients.have(world, mkdir("/d"))?;
        (self.0.drive)(world, &mut clients)?;
        world.finish()
    }
}

/// Ruling 2: who asks what became of a write is told that it was not carried out only when it never
/// can be, whoever still has it on the way; and that it was, only when that is durable.
fn an_outcome_stands(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let entry = named(world, "P4-NODE1");
    clients.tries = 1;
    let ticket = clients.begin(world, Some(entry), put("/d/f", 1, 6_000));
    let mut draw = world.streams().at(Stream::Workload, 0x0c0e, 0);
    clients.run_for(world, Duration::from_micros(200 + draw.below(4_000)))?;
    match world.seed() % 3 {
        0 => world.kill(entry),
        1 => {
            let master = named(world, MASTER);
            world.kill(master);
        }
        _ => world.pause(entry),
    }
    let op = clients.op(ticket).expect("it was asked for");
    let mut outcome = Outcome::Unknown;
    for _ in 0..60 {
        let asker = named(world, "P1-NODE1");
        let asked = clients.begin(world, Some(asker), Order::Ask(Ask::Outcome { op }));
        if let Done::Answered(answer) = clients.wait(world, asked)?
            && let Answer::Outcome(told) = *answer
        {
            outcome = told;
        }
        if matches!(outcome, Outcome::Done { .. } | Outcome::Aborted) {
            break;
        }
        clients.run_for(world, seconds(3))?;
    }
    let told = matches!(outcome, Outcome::Done { .. } | Outcome::Aborted);
    expect(world, told, "an outcome stays unknown")?;
    world.resume(entry);
    clients.run_for(world, seconds(40))?;
    clients.finish(world)?;
    wait_until(world, "all online", all_online)?;
    clients.tries = 6;
    let again = clients.again(world, ticket);
    let again = clients.wait(world, again)?;
    let read = clients.have(world, get("/d/f"))?;
    let (written, there) = (matches!(again, Done::Written(_)), read == Done::Read(1));
    let done = matches!(outcome, Outcome::Done { .. });
    let stands = written == done && there == done;
    let what = format!("told {outcome:?}, and then {again:?}, {read:?}");
    expect(world, stands, &what)
}

/// Ruling 2, the client's side.
#[test]
fn what_was_told_of_an_outcome_stands() {
    run(
        24,
        "what_was_told_of_an_outcome_stands",
        small,
        an_outcome_stands,
    );
}

/// 35: a report of many pages, on a dirty network, with news going on.
#[test]
fn a_report_of_many_pages() {
    run(
        4,
        "a_report_of_many_pages",
        |_| {
            let mut cluster = Cluster::of(3).with_files();
            cluster.limits.report_page_entries = 2;
            cluster
        },
        |world, clients| {
            world.disturb(&Step::Weather(dirty()));
            for number in 0..40 {
                clients.begin(world, None, put(&format!("/d/f{number}"), number, 9_000));
                clients.run_for(world, Duration::from_millis(20))?;
            }
            // News go on while the reports come.
            for round in 0..4 {
                let node = named(world, &Cluster::node_name(1 + round % 3, 1));
                world.kill(node);
                for nth in 0..10 {
                    let number = 1000 + u64::from(10 * round + nth);
                    clients.begin(world, None, put(&format!("/d/f{nth}"), number, 5_000));
                    clients.run_for(world, Duration::from_millis(100))?;
                }
            }
            clients.finish(world)?;
            let many = chunks_on_disks(world) > 3 * 20 * 2;
            expect(world, many, "there is too little for so many pages")?;
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
}

/// Chunks of several blocks, packed and alone, on a rotting disk and a network that damages: what is
/// read is right, also behind compaction, which copies what is left of a segment.
#[test]
fn chunks_of_many_blocks_are_read_whole() {
    let summary = run(
        4,
        "chunks_of_many_blocks_are_read_whole",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            let limits = &mut cluster.limits;
            limits.chunk_bytes = 600 * 1024;
            limits.packed_max = 200 * 1024;
            limits.volume_segment_bytes = 500 * 1024;
            limits.volume_batch_bytes = 400 * 1024;
            limits.volume_copy_bytes = 400 * 1024;
            cluster.settings.volume.capacity = 40 << 20;
            cluster
        },
        |world, clients| {
            world.disturb(&Step::Weather(LinkProfile {
                corruption: Rate::percent(5),
                ..LinkProfile::default()
            }));
            for number in 1..13 {
                let len = [150_000, 70_000, 800_000][usize::try_from(number % 3).unwrap_or(0)];
                clients.have(world, put(&format!("/d/f{number}"), number, len))?;
            }
            let before = segments_of_chunks(world);
            for number in [1, 2, 4, 5, 7, 8] {
                clients.have(world, remove(&format!("/d/f{number}")))?;
            }
            clients.run_for(world, seconds(60))?;
            let copied = segments_of_chunks(world)
                .into_iter()
                .filter(|(chunk, segment)| before.get(chunk).is_some_and(|it| it != segment))
                .count();
            expect(world, copied > 0, "nothing of a segment was copied")?;
            for _ in 0..6 {
                let (node, what) = ("P1-NODE1/0".to_owned(), DiskStep::Rot);
                world.disturb(&Step::Disk { node, what });
                clients.run_for(world, Duration::from_millis(1))?;
            }
            for number in [3, 6, 9, 10, 11, 12] {
                let read = clients.have(world, get(&format!("/d/f{number}")))?;
                expect(world, read == Done::Read(number), "a file cannot be read")?;
            }
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
    let met = summary.marks.contains_key("volume.damaged_chunk");
    assert!(summary.runs < 4 || met, "nobody has met a rotten byte");
}

/// In which segment of which node's volume each packed chunk is.
fn segments_of_chunks(world: &VaquitaWorld) -> BTreeMap<(NodeIx, ChunkVersion), u64> {
    let mut found = BTreeMap::new();
    for node in world.nodes() {
        let Some(disk) = world.volume(node, 0) else {
            continue;
        };
        let Ok((_, there)) = scan(&Cached(disk)) else {
            continue;
        };
        for segment in there.segments {
            for (_, record) in segment.records {
                if record.kind == RecordKind::Chunk {
                    found.insert((node, record.version), segment.number);
                }
            }
        }
    }
    found
}

/// `dataSync=0`: bytes of chunks are not synced. A loss of power may take them; the end of a process
/// takes nothing.
#[test]
fn without_data_sync_a_kill_loses_nothing() {
    run(
        6,
        "without_data_sync_a_kill_loses_nothing",
        |_| {
            let mut cluster = Cluster::of(4).with_files();
            cluster.data_sync = false;
            cluster
        },
        |world, clients| {
            clients.looks_at_disks = false;
            for round in 0..5 {
                for nth in 0..4 {
                    let number = 10 * round + nth;
                    clients.begin(world, None, put(&format!("/d/f{nth}"), number, 7_000));
                }
                let mut draw = world.streams().at(Stream::Workload, 0xda7a, round);
                clients.run_for(world, Duration::from_micros(draw.below(5_000)))?;
                for name in ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1"] {
                    let node = named(world, name);
                    world.kill(node);
                }
                clients.run_for(world, seconds(5))?;
                clients.finish(world)?;
                wait_until(world, "all online", all_online)?;
                for nth in 0..4 {
                    let read = clients.have(world, get(&format!("/d/f{nth}")))?;
                    let there = matches!(read, Done::Read(_));
                    expect(world, there, "a killed process took a file")?;
                }
            }
            wait_until(world, "all online", all_online)
        },
    );
}

/// What a look at a file has shown is durable: a controller whose disk is slow loses power, and what
/// somebody has read is not taken back. What it replaces is given up when that is durable, and not
/// before.
#[test]
fn nothing_is_read_or_given_up_that_is_not_durable() {
    run(
        8,
        "nothing_is_read_or_given_up_that_is_not_durable",
        small,
        |world, clients| {
            clients.have(world, put("/d/f", 1, 5_000))?;
            let node = MASTER.to_owned();
            let what = DiskStep::Slow(8_000);
            world.disturb(&Step::Disk { node, what });
            clients.tries = 1;
            clients.begin(world, None, put("/d/f", 2, 5_000));
            clients.run_for(world, Duration::from_millis(100))?;
            clients.begin(world, None, get("/d/f"));
            let mut draw = world.streams().at(Stream::Workload, 0xd1e7, 0);
            clients.run_for(world, Duration::from_millis(1_000 + draw.below(300)))?;
            let host = world.host("h0").expect("it is there");
            world.power_cut(host);
            clients.run_for(world, seconds(40))?;
            world.disturb(&Step::HealAll);
            clients.finish(world)?;
            clients.tries = 6;
            wait_until(world, "all online", all_online)?;
            let read = clients.have(world, get("/d/f"))?;
            let there = matches!(read, Done::Read(_));
            expect(world, there, "what was not replaced for good was given up")
        },
    );
}

/// 43: members of this version and of one to come write, report and release; what is not understood
/// is skipped, and nothing is lost by that.
#[test]
fn files_between_members_of_two_versions() {
    let summary = run(
        4,
        "files_between_members_of_two_versions",
        small,
        |world, clients| {
            let mut all = Work::default();
            for round in 0..3 {
                let later = (world.seed() + round).is_multiple_of(2);
                world.factory_mut().cluster.planted.speak_later_version = later;
                let nodes = [MASTER, "P1-NODE1", "P2-NODE1"];
                let node = named(world, nodes[usize::try_from(round).unwrap_or(0)]);
                world.kill(node);
                let work = work(
                    world,
                    clients,
                    15 * round..15 * (round + 1),
                    Duration::from_millis(300),
                )?;
                all.writes.extend(work.writes);
                all.reads.extend(work.reads);
            }
            clients.finish(world)?;
            all.is_served(world, clients, 75)?;
            wait_until(world, "all online", all_online)?;
            let malformed = world.mark("wire.malformed");
            expect(world, malformed == 0, "a later version was not understood")?;
            let skipped = world.mark("wire.unknown_kind") > 0;
            expect(world, skipped, "no message of an unknown kind came by")
        },
    );
    assert_served(&summary);
}

/// 37, as far as the World can show it: a replica whose disk is slow, or hangs, or whose process stands
/// still, holds up nobody but itself. A reader has its bytes from another one at once. A writer waits
/// for it as long as for any peer from which nothing comes, which is ten seconds, and once, however
/// many write at the same time; from a slow one something comes now and then.
#[test]
fn a_slow_disk_holds_up_nobody_else() {
    run(
        9,
        "a_slow_disk_holds_up_nobody_else",
        small,
        |world, clients| {
            clients.have(world, put("/d/before", 77, 9_000))?;
            let what = match world.seed() % 3 {
                0 => Some(DiskStep::Slow(2_000)),
                1 => Some(DiskStep::Hang),
                _ => None,
            };
            let (node, disk) = ("P3-NODE1".to_owned(), "P3-NODE1/0".to_owned());
            world.disturb(&match what {
                Some(what) => Step::Disk { node: disk, what },
                None => Step::Pause(node),
            });
            let entry = named(world, "P1-NODE1");
            let since = world.now();
            let writes: Vec<Ticket> = (0..6)
                .map(|nth| {
                    clients.begin(world, Some(entry), put(&format!("/d/f{nth}"), nth, 9_000))
                })
                .collect();
            let mut slowest = Duration::ZERO;
            while writes.iter().any(|it| clients.done(*it).is_none()) {
                slowest = slowest.max(reads_at(world, clients, entry, "/d/before", 77)?);
                clients.run_for(world, Duration::from_millis(200))?;
            }
            let took = world.now().since(since);
            let written = |it: &Ticket| matches!(clients.done(*it), Some(Done::Written(_)));
            let all = writes.iter().all(written);
            expect(world, all, "a slow replica stops the writing")?;
            for nth in 0..6 {
                slowest = slowest.max(reads_at(world, clients, entry, &format!("/d/f{nth}"), nth)?);
            }
            let what = format!("a slow replica: writes took {took:?}, a read took {slowest:?}");
            let struck = took > Duration::from_millis(300);
            let soon = took < seconds(15) && slowest < seconds(1);
            expect(world, struck && soon, &what)?;
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)
        },
    );
}

/// Reads a file at this entry, and says how long it took in the World.
fn reads_at(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    entry: NodeIx,
    path: &str,
    number: u64,
) -> Result<Duration, Failure> {
    let since = world.now();
    let ticket = clients.begin(world, Some(entry), get(path));
    let read = clients.wait(world, ticket)?;
    let what = format!("{path} reads as {read:?}");
    expect(world, read == Done::Read(number), &what)?;
    Ok(world.now().since(since))
}

/// 41, without the loss of a rack: thousands of chunks on a hundred nodes.
#[test]
fn thousands_of_chunks_on_a_hundred_nodes() {
    let summary = run(
        1,
        "thousands_of_chunks_on_a_hundred_nodes",
        |_| {
            let mut cluster = Cluster::of(50).with_files();
            cluster.nodes_per_host = 2;
            cluster.settings.invariants_every = 0;
            cluster.limits.chunk_bytes = 512;
            cluster
        },
        |world, clients| {
            clients.looks_at_disks = false;
            for number in 0..60 {
                clients.begin(world, None, put(&format!("/d/f{number}"), number, 25_000));
                clients.run_for(world, Duration::from_millis(50))?;
            }
            clients.finish(world)?;
            let chunks = controller(world).map_or(0, |(_, machine)| {
                machine.state().namespace.chunks_after(None).count()
            });
            expect(world, chunks == 60 * 49, "not every chunk is there")?;
            let master = named(world, MASTER);
            world.kill(master);
            clients.run_for(world, seconds(20))?;
            wait_until(world, "all online", all_online)
        },
    );
    eprintln!("{} steps", summary.steps);
}

/// Everything at once: classes of faults are left out of a run and the rest is mixed, with clients
/// at work. When all is healed, the cluster comes to rest and what was told can be explained.
#[test]
fn a_swarm_of_faults_and_clients() {
    let summary = run(
        30,
        "a_swarm_of_faults_and_clients",
        |seed| {
            let mut cluster = if seed.is_multiple_of(2) {
                tiny(seed)
            } else {
                small(seed)
            };
            cluster.volumes = 1 + u16::try_from(seed % 2).unwrap_or(0);
            cluster
        },
        |world, clients| {
            let span = seconds(100);
            let cluster = world.factory().cluster.clone();
            let mut shape = cluster.shape(span);
            shape.asks.retain(|(_, text)| text.starts_with("start"));
            shape.disks.extend(cluster.node_names());
            let volumes = cluster.node_names().map(|name| format!("{name}/0"));
            shape.disks.extend(volumes);
            let plan: Plan = Swarm::of(&world.streams()).plan(&shape);
            let begun = world.now().since(SimTime::ZERO);
            let steps = plan.steps().iter().map(|timed| Timed {
                at: timed.at.after(begun),
                step: timed.step.clone(),
            });
            let until = world.now().after(span);
            let plan = Plan::new(steps.collect()).before(until);
            if let Err(what) = world.load(&plan) {
                world.fail(None, what);
            }
            let work = work(world, clients, 0..90, Duration::from_millis(1_100))?;
            clients.run_for(world, seconds(2))?;
            world.disturb(&Step::HealAll);
            clients.finish(world)?;
            work.tell(world, clients);
            // A failed volume is used again by the next process only.
            clients.run_for(world, seconds(30))?;
            for name in cluster.node_names() {
                if let Some(node) = world.node(&name) {
                    world.kill(node);
                }
            }
            clients.run_for(world, seconds(10))?;
            order(world, Verb::StartNodes(vaquita_core::admin::Selection::All));
            wait_until(world, "all online", all_online)
        },
    );
    eprintln!(
        "{} runs, {} simulated s",
        summary.runs,
        summary.simulated.as_secs()
    );
    for (mark, count) in &summary.marks {
        eprintln!("{count:>8}  {mark}");
    }
    assert_served(&summary);
}
