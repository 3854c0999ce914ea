//! What the scenarios have in common: the story, the clients' orders, and what is asked of both.

use std::ops::Range;
use std::time::Duration;

use simtests::net::LinkProfile;
use simtests::run::{Scenario, Summary, check};
use simtests::streams::{Rate, Stream};
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done, Expected, Order, Ticket, bring_to_rest};
use simtests::vaquita::{
    Cluster, VaquitaFactory, VaquitaWorld, bring_online, nodes, order, row, wait_until,
};
use simtests::world::{Failure, NodeIx};
use vaquita_core::admin::{NodeState, Verb};
use vaquita_core::dfs::ask::Ask;

pub(crate) type Drive = fn(&mut VaquitaWorld, &mut Clients) -> Result<(), Failure>;

/// A scenario from two closures.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) cluster: fn(u64) -> Cluster,
    pub(crate) drive: Drive,
    /// Whether the cluster comes to rest afterwards.
    pub(crate) rests: bool,
}

impl Story {
    pub(crate) fn new(name: &'static str, cluster: fn(u64) -> Cluster, drive: Drive) -> Self {
        Self {
            name,
            cluster,
            drive,
            rests: true,
        }
    }

    /// The same, that does not come to rest.
    pub(crate) fn without_rest(mut self) -> Self {
        self.rests = false;
        self
    }
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
        (self.cluster)(seed).traced(trace).build(seed)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        clients.have(world, Order::make_directory("/d"))?;
        (self.drive)(world, &mut clients)?;
        if self.rests {
            bring_to_rest(world, &mut clients)?;
        }
        world.finish()
    }
}

pub(crate) fn run(
    seeds: u64,
    name: &'static str,
    cluster: fn(u64) -> Cluster,
    drive: Drive,
) -> Summary {
    check(&Story::new(name, cluster, drive), seeds)
}

/// The same, without coming to rest: where something acknowledged is lost by an operator's word.
pub(crate) fn run_without_rest(
    seeds: u64,
    name: &'static str,
    cluster: fn(u64) -> Cluster,
    drive: Drive,
) -> Summary {
    check(&Story::new(name, cluster, drive).without_rest(), seeds)
}

/// Four hosts with a node each, three replicas, of which two are needed.
pub(crate) fn small(_: u64) -> Cluster {
    Cluster::of(4).with_files()
}

/// The same with a controller's log of which each segment has a handful of records.
pub(crate) fn tiny(_: u64) -> Cluster {
    Cluster::of(4).with_tiny_limits().with_files()
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Fails the run unless something is so.
pub(crate) fn expect(world: &mut VaquitaWorld, so: bool, what: &str) -> Result<(), Failure> {
    if !so {
        world.fail(None, what.to_owned());
    }
    world.finish()
}

pub(crate) fn put(path: &str, number: u64, len: usize) -> Order {
    Order::Put {
        path: path.to_owned(),
        number,
        len,
        expect: Expected::Anything,
    }
}

pub(crate) fn get(path: &str) -> Order {
    Order::Get {
        path: path.to_owned(),
    }
}

pub(crate) fn remove(path: &str) -> Order {
    Order::Remove {
        path: path.to_owned(),
    }
}

/// Has something done, and says how long it took in the World.
pub(crate) fn timed(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    order: Order,
) -> Result<(Done, Duration), Failure> {
    let since = world.now();
    let done = clients.have(world, order)?;
    Ok((done, world.now().since(since)))
}

/// Has these nodes stopped, and waits until they are.
pub(crate) fn stop(world: &mut VaquitaWorld, names: &[&str]) -> Result<(), Failure> {
    order(world, Verb::StopNodes(nodes(names)));
    wait_until(world, "what was ordered to stop has stopped", |world| {
        let stopped =
            |name: &&str| row(world, name).is_some_and(|row| row.state == NodeState::Stopped);
        names.iter().all(stopped)
    })
}

/// Lets time pass, with clients going on, until something is so; for a minute at most.
pub(crate) fn until(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    what: &str,
    so: impl Fn(&VaquitaWorld) -> bool,
) -> Result<(), Failure> {
    let end = world.now().after(seconds(60));
    while !so(world) && world.now() < end {
        clients.run_for(world, Duration::from_micros(500))?;
    }
    let reached = so(world);
    expect(world, reached, &format!("not within a minute: {what}"))
}

/// Has repair wait, or go on.
pub(crate) fn suspend_repair(world: &mut VaquitaWorld, suspend: bool) -> Result<(), Failure> {
    order(world, Verb::Dfs(Ask::SuspendRepair { suspend }));
    world.run_for(seconds(1))
}

pub(crate) fn named(world: &VaquitaWorld, name: &str) -> NodeIx {
    world.node(name).expect("there is such a node")
}

/// Orders that nothing forbids: whoever is served has them done.
#[derive(Default)]
pub(crate) struct Work {
    /// Writes that expect nothing of what is there.
    pub(crate) writes: Vec<Ticket>,
    pub(crate) reads: Vec<Ticket>,
}

impl Work {
    pub(crate) fn begin(&mut self, world: &mut VaquitaWorld, clients: &mut Clients, order: Order) {
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
    pub(crate) fn count(clients: &Clients, list: &[Ticket], so: fn(&Done) -> bool) -> usize {
        let done = list.iter().filter_map(|it| clients.done(*it));
        done.filter(|it| so(it)).count()
    }

    /// Counts, for the summary of all runs, how many have written a file and how many have read one.
    pub(crate) fn tell(&self, world: &mut VaquitaWorld, clients: &Clients) {
        let written = Self::count(clients, &self.writes, |it| matches!(it, Done::Written(_)));
        let read = Self::count(clients, &self.reads, |it| matches!(it, Done::Read(_)));
        world.count(WRITTEN, written as u64);
        world.count(READ, read as u64);
    }

    /// Fails the run unless this many of a hundred writes, and of a hundred reads, have what they
    /// wanted: where nobody is served, nothing is said about what clients get. A read may rightly find
    /// no file.
    pub(crate) fn is_served(
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
pub(crate) fn assert_served(summary: &Summary) {
    for mark in [WRITTEN, READ] {
        // In a single run, such as one that is repeated, nobody need have been.
        let served = summary.runs < 4 || summary.count(mark) > 0;
        assert!(served, "{mark}: no client was served in any run");
    }
}

pub(crate) const WRITTEN: &str = "clients.written";

pub(crate) const READ: &str = "clients.read";

/// What clients do all day: a mixture of everything on a few paths, the orders of these numbers at
/// `pace`.
pub(crate) fn work(
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

/// A network that loses, doubles, delays and damages.
pub(crate) fn dirty() -> LinkProfile {
    LinkProfile {
        loss: Rate::percent(5),
        duplicates: Rate::percent(30),
        corruption: Rate::percent(10),
        truncation: Rate::percent(5),
        jitter: Duration::from_millis(20),
        ..LinkProfile::default()
    }
}

pub(crate) fn chunks_on_disks(world: &VaquitaWorld) -> usize {
    let entries = world.nodes().filter_map(|node| match world.machine(node)? {
        simtests::vaquita::Vaquita::DataNode(machine) => Some(machine.entries().len()),
        _ => None,
    });
    entries.sum()
}

/// Reads a file at this entry, and says how long it took in the World.
pub(crate) fn reads_at(
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
