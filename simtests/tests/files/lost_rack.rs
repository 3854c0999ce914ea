//! A rack of many is lost.

use std::time::Duration;

use simtests::run::{Scenario, check};
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done, Order};
use simtests::vaquita::{Cluster, VaquitaFactory, VaquitaWorld, all_online, controller, order};
use simtests::world::Failure;
use vaquita_core::admin::{Selection, Verb};
use vaquita_core::dfs::placement::ReliabilityLevel;

use crate::repair::{WAIT, host, repairs};
use crate::story::{expect, put, seconds};

/// Hosts, two nodes on each; files, of so many chunks each; hosts of the rack.
struct Size {
    hosts: u32,
    files: u64,
    chunks: u64,
    rack: u32,
}

const CHUNK: u64 = 512;
/// Copies under way at a time.
const AT_A_TIME: usize = 64;

/// A thousand nodes and a hundred thousand chunks where `VAQUITA_RACK` is `full`, and a tenth of the nodes
/// where not. The full size takes more than three minutes of a processor; it has not been waited for to its end
/// yet, and its bounds are those that the small one keeps.
fn size() -> Size {
    match std::env::var("VAQUITA_RACK").as_deref() {
        Ok("full") => Size {
            hosts: 500,
            files: 200,
            chunks: 500,
            rack: 40,
        },
        _ => Size {
            hosts: 50,
            files: 40,
            chunks: 50,
            rack: 4,
        },
    }
}

fn cluster(size: &Size) -> Cluster {
    let mut cluster = Cluster::of(size.hosts).with_files();
    cluster.nodes_per_host = 2;
    cluster.recovery_wait = Some(WAIT);
    cluster.files.factor = 2;
    cluster.files.level = ReliabilityLevel::NeverShare;
    cluster.files.recovery_concurrency = AT_A_TIME;
    cluster.settings.invariants_every = 0;
    cluster.limits.chunk_bytes = CHUNK;
    cluster.limits.packed_max = CHUNK;
    cluster.limits.connections_max = 8 * size.hosts as usize;
    cluster.limits.report_page_entries = 1_000;
    cluster
}

/// Effects of all machines, as a measure of what they have to do with each other.
fn effects_within(
    world: &mut VaquitaWorld,
    span: Duration,
    mut ended: impl FnMut(&VaquitaWorld) -> bool,
) -> Result<(u64, Duration), Failure> {
    let since = world.now();
    let until = since.after(span);
    let mut effects = 0;
    let mut look = since;
    while world.step(until)? {
        effects += world.last_step().effects as u64;
        // It costs a look at everything.
        if world.now().since(look) >= Duration::from_millis(500) {
            look = world.now();
            if ended(world) {
                break;
            }
        }
    }
    Ok((effects, world.now().since(since)))
}

fn write_all(world: &mut VaquitaWorld, clients: &mut Clients, size: &Size) -> Result<(), Failure> {
    let len = usize::try_from(size.chunks * CHUNK).unwrap_or(0);
    let mut tickets = Vec::new();
    for number in 0..size.files {
        tickets.push(clients.begin(world, None, put(&format!("/d/f{number}"), number, len)));
        clients.run_for(world, Duration::from_millis(50))?;
    }
    clients.finish(world)?;
    let written = |it| matches!(clients.done(it), Some(Done::Written(_)));
    let all = tickets.into_iter().all(written);
    expect(world, all, "on a healthy cluster a write fails")
}

/// Those who look at everything, with each of ten thousand records.
const COSTLY: [&str; 5] = [
    "chunks",
    "nothing needed is given up",
    "promises are durable",
    "logs keep promises",
    "the state is what the log says",
];

/// Waits until everybody is online, with a look at all of them every second.
fn wait_for_all(world: &mut VaquitaWorld) -> Result<(), Failure> {
    for _ in 0..60 {
        world.run_for(seconds(1))?;
        if all_online(world) {
            return Ok(());
        }
    }
    expect(world, false, "not all are online within a minute")
}

struct Rack;

impl Scenario for Rack {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        "lost_rack::a_rack_of_many_hosts_is_made_up_for_within_bounds"
    }

    fn target(&self) -> &'static str {
        "files"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut world = cluster(&size()).traced(trace).build(seed);
        for name in COSTLY {
            world.remove_checker(name);
        }
        world
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        world.start_all();
        world.run_for(seconds(10))?;
        order(world, Verb::StartNodes(Selection::All));
        wait_for_all(world)?;
        let mut clients = Clients::new(world);
        let clients = &mut clients;
        clients.have(world, Order::make_directory("/d"))?;
        let size = size();
        clients.looks_at_disks = false;
        write_all(world, clients, &size)?;
        let chunks = size.files * size.chunks;
        let known = controller(world).map_or(0, |(_, machine)| {
            machine.state().namespace.chunks_after(None).count() as u64
        });
        expect(world, known == chunks, "not every chunk is there")?;
        let span = seconds(20);
        let (quiet, _) = effects_within(world, span, |_| false)?;
        let lost: Vec<String> = (1..=size.rack).map(Cluster::host_name).collect();
        let names: Vec<String> = (1..=size.rack)
            .flat_map(|host| [1, 2].map(|nth| Cluster::node_name(host, nth)))
            .collect();
        let held: u64 = controller(world).map_or(0, |(_, machine)| {
            let state = machine.state();
            let nodes = state.registry.iter();
            let there = nodes.filter(|(alias, _)| names.iter().any(|it| alias.as_str() == it));
            there
                .map(|(_, it)| state.namespace.chunks_on_count(it.node))
                .sum()
        });
        for name in &lost {
            let host = host(world, name);
            world.power_cut(host);
        }
        // A copy takes some milliseconds here, and is begun with a tick of 200 ms at the latest.
        let rounds = u32::try_from(held.div_ceil(AT_A_TIME as u64)).unwrap_or(u32::MAX);
        let bound = seconds(10) + WAIT + rounds * Duration::from_millis(200) + seconds(60);
        let since = world.now();
        let (effects, took) = effects_within(world, bound, |world| {
            if world.now().since(since) < seconds(12) + WAIT {
                return false;
            }
            let status = repairs(world).unwrap_or_default();
            let left = status.last_copy + status.degraded + status.surplus;
            status.copied > 0 && left == 0 && status.copies.is_empty() && !status.surveying
        })?;
        let status = repairs(world).unwrap_or_default();
        let left = status.last_copy + status.degraded + status.surplus;
        let what = format!(
            "after {took:?} {left} of {held} are left: {:?}",
            status.stuck.first()
        );
        expect(world, left == 0 && took < bound, &what)?;
        let copied = status.copied;
        let what = format!("{copied} copies for {held} replicas");
        // Of some chunks both replicas were in the rack: they wait for it.
        let fair = copied <= held && copied * 10 >= held * 8;
        expect(world, fair, &what)?;
        let usual = quiet * u64::try_from(took.as_millis()).unwrap_or(u64::MAX) / 20_000;
        let each = effects.saturating_sub(usual) / copied.max(1);
        let what = format!("{effects} effects, {usual} in a quiet time, {each} for each copy");
        expect(world, each <= 40, &what)?;
        world.count("rack.copied", copied);
        for name in &lost {
            let host = host(world, name);
            world.power_on(host);
        }
        wait_for_all(world)
    }
}

/// 41: a rack of eight in a hundred nodes is lost at once. What was on it is made anew within the wait, the
/// time that so many copies take at the bound on their number, and a minute; at a cost in messages that goes
/// with the number of copies, and none of it twice.
#[test]
fn a_rack_of_many_hosts_is_made_up_for_within_bounds() {
    check(&Rack, 1).say();
}
