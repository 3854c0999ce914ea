//! Files of the controller that change while it runs.

use std::time::Duration;

use simtests::streams::Stream;
use simtests::vaquita::files::Done;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{Refusal, Reply, Response, Verb};
use vaquita_core::state::Duty;

use crate::duties::has;
use crate::orphans::ask;
use crate::repair::{all_whole, expect_whole, impatient, read_all, write_some};
use crate::story::{assert_served, expect, named, put, run, seconds, stop, work};

const NEW: &str = "P4-NODE1";
const GOES: &str = "P2-NODE1";

/// Four hosts, of which the last has a data node that the nodes file does not name yet.
fn growing(seed: u64) -> Cluster {
    Cluster {
        unlisted: vec![NEW],
        ..impatient(seed)
    }
}

/// Two replicas on four hosts, so that a node can go and a third replica can come.
fn of_two(seed: u64) -> Cluster {
    let mut cluster = impatient(seed);
    cluster.files.factor = 2;
    cluster
}

/// The order to take up what the files say at present.
fn reload(world: &mut VaquitaWorld) -> Verb {
    Verb::Reconfigure {
        config: Box::new(world.factory_mut().configuration()),
        dry_run: false,
    }
}

fn taken_up(world: &mut VaquitaWorld, reply: &Reply, change: &str) -> Result<(), Failure> {
    let so = matches!(reply, Ok(Response::Reconfigured(rows))
        if rows.iter().any(|row| row.change == change));
    expect(world, so, &format!("no `{change}`: {reply:?}"))
}

fn refused(world: &mut VaquitaWorld, reply: &Reply, words: &str) -> Result<(), Failure> {
    let so = matches!(reply, Err(Refusal::Conflict { reason }) if reason.contains(words));
    expect(world, so, &format!("not refused with `{words}`: {reply:?}"))
}

/// A data node is added and started while clients write: they notice nothing, and it takes its share.
#[test]
fn a_node_that_is_added_while_clients_write_takes_its_share() {
    let summary = run(
        12,
        "reloads::a_node_that_is_added_while_clients_write_takes_its_share",
        growing,
        |world, clients| {
            expect(world, row(world, NEW).is_none(), "it is known already")?;
            let work = work(world, clients, 0..30, Duration::from_millis(150))?;
            world.factory_mut().cluster.unlisted.clear();
            let verb = reload(world);
            let reply = ask(world, verb)?;
            taken_up(world, &reply, "member-added")?;
            order(world, Verb::StartNodes(nodes(&[NEW])));
            clients.finish(world)?;
            work.is_served(world, clients, 60)?;
            wait_until(world, "all online", all_online)?;
            for number in 100..130 {
                let done = clients.have(world, put(&format!("/d/g{number}"), number, 5_000))?;
                let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
                expect(world, whole, &format!("{done:?}"))?;
            }
            expect(world, has(world, NEW) > 0, "it was given nothing")?;
            wait_until(world, "all are whole", all_whole)?;
            expect_whole(world)
        },
    );
    assert_served(&summary);
}

/// The controller ends at any moment around a reload. Whether it was taken up or not: the next one reads the
/// same files.
#[test]
fn a_reload_that_is_lost_in_a_crash_is_made_good_by_the_next_start() {
    run(
        16,
        "reloads::a_reload_that_is_lost_in_a_crash_is_made_good_by_the_next_start",
        growing,
        |world, clients| {
            write_some(world, clients, 12)?;
            world.factory_mut().cluster.unlisted.clear();
            let verb = reload(world);
            order(world, verb);
            let mut draw = world.streams().at(Stream::Workload, 0x4e10, 0);
            clients.run_for(world, Duration::from_micros(draw.below(6_000)))?;
            world.kill(named(world, MASTER));
            clients.run_for(world, seconds(1))?;
            wait_until(world, "the new node is known", |world| {
                let serves = controller(world).is_some_and(|(_, machine)| machine.epoch().1);
                serves && row(world, NEW).is_some()
            })?;
            // Once more is as good as once.
            let verb = reload(world);
            let reply = ask(world, verb)?;
            let nothing = matches!(&reply, Ok(Response::Reconfigured(rows)) if rows.is_empty());
            expect(world, nothing, &format!("{reply:?}"))?;
            order(world, Verb::StartNodes(nodes(&[NEW])));
            wait_until(world, "all online", all_online)?;
            read_all(world, clients, 12)?;
            wait_until(world, "all are whole", all_whole)?;
            expect_whole(world)
        },
    );
}

/// A row goes from the file beside a drain and a removal: it is kept for as long as anything would be lost
/// with it, and goes when nothing is.
#[test]
fn a_row_goes_once_its_node_was_drained_and_removed_and_not_before() {
    run(
        8,
        "reloads::a_row_goes_once_its_node_was_drained_and_removed_and_not_before",
        of_two,
        |world, clients| {
            write_some(world, clients, 40)?;
            expect(world, has(world, GOES) > 0, "it has nothing")?;
            world.factory_mut().cluster.unlisted = vec![GOES];
            let verb = reload(world);
            let reply = ask(world, verb)?;
            refused(world, &reply, "P2-NODE1 cannot go: it has")?;
            let duty = Duty::Drain;
            let drain = Verb::SetDuty {
                nodes: nodes(&[GOES]),
                duty,
            };
            ask(world, drain)?
                .map_or_else(|it| expect(world, false, &it.to_string()), |_| Ok(()))?;
            let verb = reload(world);
            let reply = ask(world, verb)?;
            let refusal = matches!(&reply, Err(Refusal::Conflict { .. }));
            expect(world, refusal, &format!("while it is drained: {reply:?}"))?;
            let drained =
                |world: &VaquitaWorld| row(world, GOES).is_some_and(|row| row.admin == "drained");
            wait_until(world, "it is drained", drained)?;
            let verb = reload(world);
            let reply = ask(world, verb)?;
            refused(world, &reply, "stop it first")?;
            stop(world, &[GOES])?;
            let remove = Verb::RemoveNode {
                node: GOES.to_owned(),
                accept_loss: None,
            };
            let reply = ask(world, remove)?;
            let removed = matches!(&reply, Ok(Response::Ordered(rows)) if rows[0].changed);
            expect(world, removed, &format!("{reply:?}"))?;
            let verb = reload(world);
            let reply = ask(world, verb)?;
            taken_up(world, &reply, "member-removed")?;
            expect(world, row(world, GOES).is_none(), "it is listed")?;
            for number in 100..110 {
                let done = clients.have(world, put(&format!("/d/g{number}"), number, 5_000))?;
                let whole = matches!(&done, Done::Written(it) if it.degraded_chunks == 0);
                expect(world, whole, &format!("{done:?}"))?;
            }
            wait_until(world, "all are whole", all_whole)?;
            expect_whole(world)?;
            // A start by the same files knows it no more either.
            world.kill(named(world, MASTER));
            clients.run_for(world, seconds(1))?;
            wait_until(world, "all online", all_online)?;
            expect(world, row(world, GOES).is_none(), "it is back")?;
            read_all(world, clients, 40)
        },
    );
}

/// Another factor counts for what is there too, as after a restart.
#[test]
fn another_factor_is_made_good_while_clients_write() {
    let summary = run(
        8,
        "reloads::another_factor_is_made_good_while_clients_write",
        of_two,
        |world, clients| {
            write_some(world, clients, 20)?;
            let work = work(world, clients, 0..20, Duration::from_millis(150))?;
            world.factory_mut().cluster.files.factor = 3;
            let verb = reload(world);
            let reply = ask(world, verb)?;
            taken_up(world, &reply, "setting")?;
            // Fewer copies at a time than are under way by then.
            let mut draw = world.streams().at(Stream::Workload, 0xfac7, 0);
            clients.run_for(world, Duration::from_micros(draw.below(300_000)))?;
            world.factory_mut().cluster.files.recovery_concurrency = 1;
            let verb = reload(world);
            let reply = ask(world, verb)?;
            taken_up(world, &reply, "setting")?;
            clients.finish(world)?;
            work.is_served(world, clients, 60)?;
            wait_until(world, "all have three", all_whole)?;
            expect_whole(world)?;
            let stored: usize = (1..=4)
                .map(|host| has(world, &format!("P{host}-NODE1")))
                .sum();
            expect(world, stored >= 60, &format!("{stored} replicas"))
        },
    );
    assert_served(&summary);
}
