//! Where replicas are.

use simtests::net::Cut;
use simtests::plan::Step;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::placement::ReliabilityLevel;

use crate::duties::contents;
use crate::repair::impatient;
use crate::story::{expect, named, put, run, seconds, stop, until};

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
        "placement::level_0_uses_every_node",
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
            stop(world, &["P2-NODE1", "P3-NODE1"])?;
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
        "placement::level_1_never_shares_a_host",
        |_| uneven(ReliabilityLevel::NeverShare),
        |world, clients| {
            write_many(world, clients)?;
            stop(world, &["P3-NODE1"])?;
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
        "placement::level_2_prefers_other_hosts",
        |_| uneven(ReliabilityLevel::PreferApart),
        |world, clients| {
            write_many(world, clients)?;
            let apart = hosts_of_chunks(world).iter().all(|hosts| !shared(hosts));
            expect(world, apart, "a host is shared though there were others")?;
            stop(world, &["P3-NODE1"])?;
            let done = clients.have(world, put("/d/shared", 50, 9_000))?;
            let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
            expect(world, whole, "three nodes on two hosts are enough")?;
            order(world, Verb::StartNodes(nodes(&["P3-NODE1"])));
            wait_until(world, "it is back", all_online)
        },
    );
}

/// 4: a firewall lets datagrams pass between the controller and a node, and nothing else, for good. The node
/// lives; nothing new is put on it, and somebody is told; once the firewall is gone all is as it was.
#[test]
fn a_node_that_only_datagrams_reach_gets_nothing_new() {
    const NAME: &str = "P2-NODE1";
    run(
        6,
        "placement::a_node_that_only_datagrams_reach_gets_nothing_new",
        |seed| Cluster {
            hosts: 4,
            ..impatient(seed)
        },
        |world, clients| {
            write_many(world, clients)?;
            let blocked = |world: &VaquitaWorld| {
                row(world, NAME)
                    .is_some_and(|row| row.conditions.iter().any(|it| it == "tcp-blocked"))
            };
            let epoch = row(world, NAME).and_then(|row| row.epoch);
            let ways = [("h0", "h2"), ("h2", "h0")];
            for (from, to) in ways {
                let (from, to, what) = (from.to_owned(), to.to_owned(), Cut::Tcp);
                world.disturb(&Step::Cut { from, to, what });
            }
            clients.run_for(world, seconds(30))?;
            let told = blocked(world);
            expect(world, told, "nobody is told within half a minute")?;
            let before = contents(world, NAME);
            for number in 12..30 {
                let done = clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
                let written = matches!(done, Done::Written(_));
                expect(world, written, "three nodes are enough")?;
            }
            clients.run_for(world, seconds(300))?;
            let same = contents(world, NAME) == before;
            expect(world, same, "something new was put on it")?;
            let registered =
                row(world, NAME).and_then(|row| row.epoch) == epoch && all_online(world);
            expect(world, registered, "it was given up for that")?;
            for (from, to) in ways {
                let (from, to) = (from.to_owned(), to.to_owned());
                world.disturb(&Step::Heal { from, to });
            }
            until(world, clients, "it is reached again", |world| {
                !blocked(world) && all_online(world)
            })?;
            for number in 30..48 {
                clients.have(world, put(&format!("/d/f{number}"), number, 9_000))?;
            }
            let used = contents(world, NAME).len() > before.len();
            expect(world, used, "it is not used any more")
        },
    );
}
