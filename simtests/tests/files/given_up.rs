//! What is given up, and what must not be.

use std::time::Duration;

use simtests::net::Cut;
use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::Done;
use simtests::vaquita::{MASTER, all_online, wait_until};
use vaquita_core::dfs::ids::ChunkVersion;

use crate::duties::{contents, has};
use crate::repair::{WAIT, expect_whole, host, impatient, read_all, write_some};
use crate::story::{expect, named, put, run, seconds, small, until};

/// S9: a replica is prepared, and the entry does not hear of it. The write counts with the others, and
/// what is there beside them is what the chunk lacks: it counts as well, and is not thrown away to be
/// copied anew.
#[test]
fn an_answer_that_is_lost_costs_no_replica() {
    run(
        6,
        "given_up::an_answer_that_is_lost_costs_no_replica",
        |seed| {
            // As many nodes as replicas: there is no other place.
            let mut cluster = small(seed);
            cluster.hosts = 3;
            cluster
        },
        |world, clients| {
            clients.tries = 1;
            let what = DiskStep::Slow(400);
            let node = "P1-NODE1/0".to_owned();
            world.disturb(&Step::Disk { node, what });
            let entry = Some(named(world, "P2-NODE1"));
            let ticket = clients.begin(world, entry, put("/d/f0", 0, 2_000));
            // The bytes are there, and are being written.
            clients.run_for(world, Duration::from_millis(5))?;
            let (from, to) = ("h1".to_owned(), "h2".to_owned());
            world.disturb(&Step::Cut {
                from: from.clone(),
                to: to.clone(),
                what: Cut::All,
            });
            until(world, clients, "it is prepared", |world| {
                has(world, "P1-NODE1") == 1
            })?;
            let done = clients.wait(world, ticket)?;
            let degraded = matches!(&done, Done::Written(it) if it.degraded_chunks == 1);
            let what = format!("the entry has heard of all replicas: {done:?}");
            expect(world, degraded, &what)?;
            for _ in 0..100 {
                clients.run_for(world, Duration::from_millis(20))?;
                let there = has(world, "P1-NODE1") == 1;
                expect(world, there, "a good replica was thrown away")?;
            }
            let adopted = world.mark("repair.adopted") == 1 && world.mark("repair.copied") == 0;
            expect(world, adopted, "it was not adopted")?;
            world.disturb(&Step::HealAll);
            expect_whole(world)?;
            read_all(world, clients, 1)
        },
    );
}

/// S16: a write of before the controller's start has left something; its time is over while many nodes
/// are away at once. Nobody judges it before they are back.
#[test]
fn a_mass_failure_gives_nothing_up() {
    run(
        6,
        "given_up::a_mass_failure_gives_nothing_up",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.hosts = 6;
            // Each node is a replica of the only chunk.
            cluster.files.factor = 6;
            cluster
        },
        |world, clients| {
            clients.tries = 1;
            let what = DiskStep::Slow(4_000);
            let node = "P6-NODE1/0".to_owned();
            world.disturb(&Step::Disk { node, what });
            let entry = named(world, "P5-NODE1");
            clients.begin(world, Some(entry), put("/d/f0", 0, 2_000));
            until(world, clients, "a replica is prepared", |world| {
                has(world, "P1-NODE1") == 1
            })?;
            world.kill(entry);
            world.kill(named(world, MASTER));
            let began = world.now();
            wait_until(world, "all online", all_online)?;
            let grace = world.factory().cluster.limits.orphan_grace;
            clients.run_for(world, grace - world.now().since(began) - seconds(20))?;
            let left = has(world, "P1-NODE1");
            expect(world, left == 1, "nothing is left over of the write")?;
            let lost = ["h2", "h3", "h4"].map(|name| host(world, name));
            lost.iter().for_each(|host| world.power_cut(*host));
            clients.run_for(world, seconds(60))?;
            let seen = world.mark("cluster.mass_event") > 0;
            expect(world, seen, "nobody sees that many are away")?;
            let kept = has(world, "P1-NODE1") == 1;
            expect(
                world,
                kept,
                "something was given up while many nodes are away",
            )?;
            lost.iter().for_each(|host| world.power_on(*host));
            wait_until(world, "all online", all_online)?;
            wait_until(world, "it is given up", |world| has(world, "P1-NODE1") == 0)
        },
    );
}

/// S9: a node that was replaced comes back just when another one is away. What it has is one too many
/// if the other is counted, and is kept, since the other cannot be.
#[test]
fn what_comes_back_while_others_are_away_is_kept() {
    run(
        6,
        "given_up::what_comes_back_while_others_are_away_is_kept",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let before: Vec<ChunkVersion> = contents(world, "P2-NODE1");
            let (first, second) = (host(world, "h2"), host(world, "h3"));
            world.power_cut(first);
            clients.run_for(world, seconds(8) + WAIT + seconds(20))?;
            expect_whole(world)?;
            world.power_cut(second);
            clients.run_for(world, seconds(11))?;
            world.power_on(first);
            clients.run_for(world, seconds(8))?;
            let back = contents(world, "P2-NODE1");
            let what = format!("of {} replicas {} were kept", before.len(), back.len());
            expect(world, !before.is_empty() && back == before, &what)?;
            world.power_on(second);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            read_all(world, clients, 12)
        },
    );
}
