//! Much at once: many pages, many nodes, many faults.

use std::time::Duration;

use simtests::net::LinkProfile;
use simtests::plan::{Step, Swarm};
use simtests::time::SimTime;
use simtests::vaquita::files::{Clients, Done, READ_BACK_REQUIRED};
use simtests::vaquita::{Cluster, MASTER, VaquitaWorld, all_online, controller, order, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::ids::Alias;

use crate::story::{
    assert_served, chunks_on_disks, dirty, expect, named, put, remove, run, seconds, small, tiny,
    work,
};

/// Nodes are killed and report what they have, in many pages, with news going on.
fn many_pages(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    weather: LinkProfile,
) -> Result<(), Failure> {
    world.disturb(&Step::Weather(weather));
    for number in 0..40 {
        clients.begin(world, None, put(&format!("/d/f{number}"), number, 9_000));
        clients.run_for(world, Duration::from_millis(20))?;
    }
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
}

/// Three nodes that tell two contents a page.
fn small_pages(_: u64) -> Cluster {
    let mut cluster = Cluster::of(3).with_files();
    cluster.limits.report_page_entries = 2;
    cluster
}

/// 35: a report of many pages, with news going on.
#[test]
fn a_report_of_many_pages() {
    run(
        4,
        "many::a_report_of_many_pages",
        small_pages,
        |world, clients| many_pages(world, clients, LinkProfile::default()),
    );
}

/// 35: the same on a network that loses, doubles, delays and damages.
#[test]
fn a_report_of_many_pages_on_a_dirty_network() {
    run(
        20,
        "many::a_report_of_many_pages_on_a_dirty_network",
        small_pages,
        |world, clients| many_pages(world, clients, dirty()),
    );
}

/// Nodes that report anew once ten changes wait to be told.
fn little_news(seed: u64) -> Cluster {
    let mut cluster = small(seed);
    cluster.limits.news_max = 10;
    cluster
}

/// Reports that the controller has taken in, of all nodes under their present registrations.
fn reports(world: &VaquitaWorld) -> u64 {
    let Some((_, machine)) = controller(world) else {
        return 0;
    };
    let names = world.factory().cluster.node_names();
    let aliases = names.filter_map(|name| Alias::new(&name).ok());
    let known = aliases.filter_map(|alias| machine.stock_of(&alias));
    known.map(|stock| stock.reports).sum()
}

/// 35: a node has so much to tell that it reports anew, amid writes. What it has prepared since the
/// report was begun is not in it, and counts all the same.
#[test]
fn a_report_amid_a_write_takes_no_replica_from_it() {
    run(
        4,
        "many::a_report_amid_a_write_takes_no_replica_from_it",
        little_news,
        |world, clients| {
            let before = reports(world);
            for number in 0..10 {
                let order = put(&format!("/d/f{number}"), number, 200_000);
                let done = clients.have(world, order)?;
                let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
                let what = format!("on a healthy cluster a write ended so: {done:?}");
                expect(world, whole, &what)?;
            }
            let anew = reports(world) > before;
            expect(world, anew, "nobody has reported anew")
        },
    );
}

/// 35: a node has so much to tell that it reports anew, while chunks are given up. What is neither in
/// the report nor gone yet is not subtracted from what was never added.
#[test]
fn a_report_amid_releases_counts_each_chunk_once() {
    run(
        4,
        "many::a_report_amid_releases_counts_each_chunk_once",
        little_news,
        |world, clients| {
            for number in 0..30 {
                clients.have(world, put(&format!("/d/f{number}"), number, 20_000))?;
            }
            clients.run_for(world, Duration::from_secs(2))?;
            let before = reports(world);
            for number in 0..30 {
                clients.begin(world, None, remove(&format!("/d/f{number}")));
            }
            clients.finish(world)?;
            // The chunks are told to go once the removals are durable.
            clients.run_for(world, Duration::from_secs(2))?;
            let anew = reports(world) > before;
            expect(world, anew, "nobody has reported anew")
        },
    );
}

/// 41, without the loss of a rack: thousands of chunks on a hundred nodes.
#[test]
fn thousands_of_chunks_on_a_hundred_nodes() {
    let summary = run(
        1,
        "many::thousands_of_chunks_on_a_hundred_nodes",
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
        "many::a_swarm_of_faults_and_clients",
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
            let plan = Swarm::of(&world.streams()).plan(&shape);
            let begun = world.now().since(SimTime::ZERO);
            let plan = plan.later(begun).before(world.now().after(span));
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
    summary.say();
    assert_served(&summary);
    let required = summary.runs < 4 || summary.count(READ_BACK_REQUIRED) > 0;
    assert!(required, "no file had to be readable in the end");
}
