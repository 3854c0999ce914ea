//! What has to happen, and within which time: the bounds L2 to L12 of `docs/simulation.md`. Those that are
//! not here are held by the tests that stand in its list.

use std::time::Duration;

use simtests::net::LinkProfile;
use simtests::plan::{Step, Swarm};
use simtests::run::check;
use simtests::streams::{Rate, Stream};
use simtests::time::SimTime;
use simtests::vaquita::files::Done;
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::{Failure, StepKind};
use vaquita_core::admin::{NodeState, Verb};

use crate::repair::{
    WAIT, all_whole, expect_whole, host, impatient, read_all, repairs, write_some,
};
use crate::story::{Story, expect, get, named, put, run, seconds, small, stop, timed, work};

/// Fails the run unless something is so within a bound. Returns how long it took.
fn within(
    world: &mut VaquitaWorld,
    bound: Duration,
    what: &str,
    reached: impl FnMut(&VaquitaWorld) -> bool,
) -> Result<Duration, Failure> {
    let since = world.now();
    let so = world.run_until_reached(bound, reached)?;
    let took = world.now().since(since);
    expect(world, so, &format!("not within {bound:?}: {what}"))?;
    Ok(took)
}

/// L2: whoever can be reached is online within 15 s, whatever kept it away.
#[test]
fn whoever_is_reachable_is_online_within_15_s() {
    run(
        8,
        "liveness::whoever_is_reachable_is_online_within_15_s",
        small,
        |world, clients| {
            write_some(world, clients, 4)?;
            let away = |world: &VaquitaWorld| {
                row(world, "P2-NODE1").is_some_and(|row| row.state != NodeState::Online)
            };
            let lost = host(world, "h2");
            for nth in 0..4 {
                match (world.seed() + nth) % 4 {
                    0 => world.power_cut(lost),
                    1 => world.disturb(&Step::Isolate("h2".to_owned())),
                    2 => world.pause(named(world, "P2-NODE1")),
                    _ => world.kill(named(world, "P2-NODE1")),
                }
                within(world, seconds(11), "it is seen to be away", away)?;
                clients.run_for(world, seconds(10))?;
                world.power_on(lost);
                world.disturb(&Step::Rejoin("h2".to_owned()));
                world.resume(named(world, "P2-NODE1"));
                within(world, seconds(15), "it is back", all_online)?;
            }
            Ok(())
        },
    );
}

/// L2: a hundred nodes are online within 30 s of their controller's start, with what they have.
#[test]
fn a_hundred_nodes_are_online_within_30_s_of_their_controllers_start() {
    run(
        1,
        "liveness::a_hundred_nodes_are_online_within_30_s_of_their_controllers_start",
        |_| {
            let mut cluster = Cluster::of(50).with_files();
            cluster.nodes_per_host = 2;
            cluster.settings.invariants_every = 0;
            cluster
        },
        |world, clients| {
            clients.looks_at_disks = false;
            write_some(world, clients, 20)?;
            world.kill(named(world, MASTER));
            clients.run_for(world, Duration::from_millis(100))?;
            let took = within(world, seconds(30), "all are online", all_online)?;
            expect(world, took > Duration::ZERO, "the controller did not end")
        },
    );
}

/// L3: once faults are over each write has an outcome within 30 s, and where enough nodes are there it is
/// written.
#[test]
fn every_write_has_an_outcome_within_30_s_once_faults_are_over() {
    run(
        8,
        "liveness::every_write_has_an_outcome_within_30_s_once_faults_are_over",
        small,
        |world, clients| {
            let span = seconds(60);
            let shape = world.factory().cluster.shape(span);
            let begun = world.now().since(SimTime::ZERO);
            let plan = Swarm::of(&world.streams()).plan(&shape);
            let plan = plan.later(begun).before(world.now().after(span));
            if let Err(what) = world.load(&plan) {
                world.fail(None, what);
            }
            let amid = work(world, clients, 0..30, seconds(2))?;
            world.disturb(&Step::HealAll);
            clients.finish(world)?;
            amid.tell(world, clients);
            order(world, Verb::StartNodes(vaquita_core::admin::Selection::All));
            wait_until(world, "all online", all_online)?;
            for number in 0..6 {
                let order = put(&format!("/d/l{number}"), 500 + number, 20_000);
                let (done, took) = timed(world, clients, order)?;
                let so = matches!(done, Done::Written(_)) && took < seconds(30);
                expect(world, so, &format!("after {took:?}: {done:?}"))?;
            }
            Ok(())
        },
    );
}

/// L4: a host is lost. Every chunk has all its replicas again when the wait is over, and the time that its
/// copies take, and a minute at most.
#[test]
fn every_chunk_is_whole_within_a_minute_of_the_wait() {
    run(
        8,
        "liveness::every_chunk_is_whole_within_a_minute_of_the_wait",
        impatient,
        |world, clients| {
            write_some(world, clients, 30)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            within(world, seconds(11), "it is seen to be away", |world| {
                !all_online(world)
            })?;
            clients.run_for(world, WAIT / 2)?;
            let early = world.mark("repair.copied") > 0;
            expect(world, !early, "it was not waited for")?;
            within(
                world,
                WAIT / 2 + seconds(60),
                "every chunk is whole",
                |world| world.mark("repair.copied") > 0 && all_whole(world),
            )?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)
        },
    );
}

/// L6: clients, entries and controllers end in the midst of everything. When the times are over after which
/// things are given up, nothing is open that was not open before: no write, copy, question or session.
#[test]
fn nothing_stays_open_for_ever() {
    run(
        6,
        "liveness::nothing_stays_open_for_ever",
        small,
        |world, clients| {
            clients.run_for(world, seconds(5))?;
            let load = |world: &VaquitaWorld| controller(world).map_or(0, |it| it.1.load());
            let (before, connections) = (load(world), world.connections());
            let names = ["P1-NODE1", "P2-NODE1", "P3-NODE1", "P4-NODE1", MASTER];
            let mut most = 0;
            for nth in 0..10 {
                let mut draw = world.streams().at(Stream::Workload, 0x0be4, nth);
                for number in 0..4 {
                    let path = format!("/d/f{number}");
                    clients.begin(world, None, put(&path, 10 * nth + number, 20_000));
                    clients.begin(world, None, get(&path));
                }
                clients.run_for(world, Duration::from_micros(draw.below(20_000)))?;
                most = most.max(load(world));
                world.kill(named(world, draw.pick::<&str>(&names)));
                clients.run_for(world, seconds(3))?;
            }
            expect(world, most > before, "nothing was ever open")?;
            clients.finish(world)?;
            wait_until(world, "all online", all_online)?;
            // Half a minute after the longest of all times.
            let limits = &world.factory().cluster.limits;
            let longest = limits.dfs_write_timeout.max(limits.orphan_grace) + seconds(30);
            clients.run_for(world, longest)?;
            let (after, now) = (load(world), world.connections());
            let what = format!(
                "{before} were open before and {after} are; connections {connections}, {now}"
            );
            let so = after <= before && now <= connections && world.transfers() == 0;
            expect(world, so, &what)
        },
    );
}

/// L7: a controller that starts judges nothing before all that have chunks have reported, and is not kept
/// from it for longer than it may wait: at once when all are back, and in time when one stays away.
#[test]
fn a_controller_settles_when_all_have_reported_and_in_time_when_one_does_not() {
    run(
        6,
        "liveness::a_controller_settles_when_all_have_reported_and_in_time_when_one_does_not",
        impatient,
        |world, clients| {
            write_some(world, clients, 12)?;
            let settled = world.mark("files.settled");
            world.kill(named(world, MASTER));
            within(world, seconds(15), "it has settled", |world| {
                world.mark("files.settled") > settled
            })?;
            wait_until(world, "all online", all_online)?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            world.kill(named(world, MASTER));
            let wait = world.factory().cluster.limits.safe_mode_max;
            let holds = |world: &VaquitaWorld| {
                let holds = repairs(world).map(|it| it.holds).unwrap_or_default();
                holds.iter().any(|it| it.contains("reported"))
            };
            clients.run_for(world, wait - seconds(5))?;
            let early = world.mark("files.settled") > settled + 1;
            let waits = holds(world) && !early;
            expect(world, waits, "it judges before all have reported")?;
            within(world, seconds(15), "it has settled", |world| {
                world.mark("files.settled") > settled + 1
            })?;
            clients.run_for(world, WAIT + seconds(40))?;
            expect_whole(world)?;
            world.power_on(lost);
            wait_until(world, "all online", all_online)
        },
    );
}

/// L8, 42: an hour in which nothing happens costs heartbeats and nothing else: no state changes, no chunk is
/// moved, the log does not grow, and no more is sent than the heartbeats, the probes and what is said of
/// volumes; with scrubbing and balance at work.
#[test]
fn a_quiet_hour_costs_heartbeats_and_nothing_else() {
    run(
        2,
        "liveness::a_quiet_hour_costs_heartbeats_and_nothing_else",
        |seed| {
            let mut cluster = impatient(seed);
            cluster.scrub_period = seconds(600);
            cluster.files.rebalance_concurrency = 2;
            cluster
        },
        |world, clients| {
            write_some(world, clients, 20)?;
            clients.run_for(world, seconds(120))?;
            quiet_hour(world)?;
            let passes = world.mark("scrub.pass");
            expect(world, passes >= 16, &format!("{passes} passes have ended"))?;
            read_all(world, clients, 20)
        },
    );
}

/// Lets an hour pass, and counts what is sent.
pub(crate) fn quiet_hour(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let notices = |world: &VaquitaWorld| {
        let marks = world.marks().iter();
        let loud = marks.filter(|(name, _)| **name != "scrub.pass");
        loud.map(|(_, times)| times).sum::<u64>()
    };
    let log = |world: &VaquitaWorld| controller(world).map(|it| it.1.log_positions());
    let (told, positions) = (notices(world), log(world));
    let datagrams = world.net().stats.sent;
    let mut messages = 0_u64;
    let until = world.now().after(seconds(3600));
    while world.step(until)? {
        messages += u64::from(world.last_step().kind == StepKind::Connection);
    }
    world.run_until(until)?;
    let quiet = notices(world) == told && log(world) == positions;
    expect(world, quiet, "something was told or noted in a quiet hour")?;
    let members = 2 * u64::from(world.factory().cluster.hosts);
    // A heartbeat every 450 ms at most, and an answer.
    let beats = members * 3600 * 1000 / 450;
    let sent = world.net().stats.sent - datagrams;
    let what = format!("{sent} datagrams, where {} would do", 2 * beats);
    expect(world, sent <= 2 * beats + beats / 10, &what)?;
    // What each node says of its volumes every 5 s, what each agent is told every 5 s, and probes; a message
    // comes in a handful of pieces.
    let talk = members * 3600 / 5;
    let what = format!("{messages} pieces on connections, where {talk} messages would do");
    expect(world, messages <= 16 * talk, &what)
}

/// L11: another program has a node's port. The node is online within a minute of its end.
#[test]
fn a_node_is_as_ordered_within_a_minute_of_what_stood_in_its_way() {
    run(
        4,
        "liveness::a_node_is_as_ordered_within_a_minute_of_what_stood_in_its_way",
        small,
        |world, clients| {
            stop(world, &["P2-NODE1"])?;
            let (host, port) = ("h2".to_owned(), 8961);
            world.disturb(&Step::HoldPort {
                host: host.clone(),
                port,
            });
            order(world, Verb::StartNodes(nodes(&["P2-NODE1"])));
            clients.run_for(world, seconds(30 + 10 * (world.seed() % 4)))?;
            let kept = !all_online(world);
            expect(world, kept, "nothing stood in its way")?;
            world.disturb(&Step::FreePort { host, port });
            within(world, seconds(60), "it is online", all_online).map(|_| ())
        },
    );
}

/// L12: an hour of heavy loss, and a controller that ends every five minutes: nothing that is kept for it
/// grows, and a quiet minute later all is as it was.
#[test]
fn an_hour_of_loss_and_storms_makes_nothing_grow() {
    let story = Story {
        name: "liveness::an_hour_of_loss_and_storms_makes_nothing_grow",
        cluster: small,
        drive: |world, clients| {
            write_some(world, clients, 8)?;
            clients.run_for(world, seconds(60))?;
            let kept = |world: &VaquitaWorld| {
                let waiting: usize = world.nodes().map(|node| world.mailbox(node)).sum();
                let load = controller(world).map_or(0, |it| it.1.load());
                [load, world.connections(), world.events_waiting(), waiting]
            };
            let before = kept(world);
            world.disturb(&Step::Weather(LinkProfile {
                loss: Rate::percent(40),
                ..LinkProfile::default()
            }));
            let mut middle = [0; 4];
            for round in 0..12 {
                world.kill(named(world, MASTER));
                clients.run_for(world, seconds(300))?;
                let now = kept(world);
                if round == 5 {
                    middle = now;
                }
            }
            let after = kept(world);
            world.disturb(&Step::HealAll);
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            let calm = kept(world);
            let what = format!(
                "{before:?} before, {middle:?} amid it, {after:?} at its end, {calm:?} then"
            );
            let grown = |now: [usize; 4], than: [usize; 4]| {
                let mut pairs = now.iter().zip(than);
                pairs.any(|(now, than)| *now > than + than / 5 + 20)
            };
            let so = !grown(after, middle) && !grown(calm, before);
            expect(world, so, &what)?;
            read_all(world, clients, 8)
        },
        rests: true,
    };
    check(&story, 2);
}
