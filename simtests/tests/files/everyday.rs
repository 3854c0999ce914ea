//! Files on a cluster in which little or nothing goes wrong.

use std::time::Duration;

use simtests::plan::Step;
use simtests::vaquita::files::Done;
use simtests::vaquita::{MASTER, all_online, nodes, order, wait_until};
use vaquita_core::admin::{Refusal, Verb};

use crate::story::{
    Work, assert_served, dirty, expect, get, named, put, run, seconds, small, stop, work,
};

/// Files are written, read, replaced, renamed and removed, at any entry; nothing is left over.
#[test]
fn files_are_written_read_and_removed() {
    let summary = run(
        4,
        "everyday::files_are_written_read_and_removed",
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

/// On a network that loses, doubles, delays and damages: what is read was written, and what was
/// acknowledged is there.
#[test]
fn a_dirty_network_damages_no_file() {
    let summary = run(
        8,
        "everyday::a_dirty_network_damages_no_file",
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

/// 25, without the repair: there are fewer nodes than replicas are wanted. Writes that reach the
/// least number are taken as degraded, others are refused; nodes that come later are used.
#[test]
fn a_factor_above_the_number_of_nodes() {
    run(
        4,
        "everyday::a_factor_above_the_number_of_nodes",
        small,
        |world, clients| {
            clients.tries = 2;
            stop(world, &["P3-NODE1", "P4-NODE1"])?;
            let done = clients.have(world, put("/d/two", 1, 9_000))?;
            let degraded = matches!(&done, Done::Written(it) if it.degraded_chunks == 2);
            expect(
                world,
                degraded,
                "two of three replicas are a degraded write",
            )?;
            stop(world, &["P2-NODE1"])?;
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

/// 43: members of this version and of one to come write, report and release; what is not understood
/// is skipped, and nothing is lost by that.
#[test]
fn files_between_members_of_two_versions() {
    let summary = run(
        4,
        "everyday::files_between_members_of_two_versions",
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
