//! A controller's home that is lost, or was exchanged for an old copy of itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use simtests::disk::Files;
use simtests::plan::{DiskStep, Step};
use simtests::run::run_one;
use simtests::trace::TraceMode;
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, Rebuilding, Vaquita, VaquitaWorld, all_online, controller, nodes, order,
    wait_until,
};
use simtests::world::{Ended, Failure, NodeIx, TRAP_SPRUNG};
use vaquita_core::admin::Verb;
use vaquita_core::ids::LogIndex;
use vaquita_core::io::ExitCode;
use vaquita_core::message::ReplicaEntry;
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state::ClusterState;

use crate::story::{Story, expect, get, put, run, run_without_rest, seconds, stop, until};

/// Four hosts, three replicas, copies of a log of short segments on two nodes.
fn cluster(seed: u64) -> Cluster {
    let mut cluster = Cluster::of(4).with_tiny_limits().with_files();
    cluster.mirrors = 2;
    cluster.limits.mirror_piece = [100, 4096][usize::try_from(seed % 2).unwrap_or(0)];
    cluster.limits.mirror_log_bytes = 2000;
    cluster
}

fn complete(world: &VaquitaWorld) -> bool {
    let Some((master, controller)) = controller(world) else {
        return false;
    };
    let now = world.local_time(master).unwrap_or_default();
    let (synced, appended) = controller.log_positions();
    let copies = controller.status(now).log_copies;
    synced == appended
        && copies.len() == 2
        && copies
            .iter()
            .all(|copy| copy.complete && copy.upto == synced)
}

fn state(world: &VaquitaWorld) -> ClusterState {
    controller(world)
        .map(|(_, it)| it.state().clone())
        .unwrap_or_default()
}

/// What the nodes have.
fn entries(world: &VaquitaWorld) -> Vec<Vec<ReplicaEntry>> {
    let machines = world.nodes().filter_map(|node| world.machine(node));
    machines
        .filter_map(|machine| match machine {
            Vaquita::DataNode(machine) => Some(machine.entries()),
            _ => None,
        })
        .collect()
}

/// Stops the controller for good, and takes its disk away for another.
fn lose_home(world: &mut VaquitaWorld, other: Option<&Files>) {
    let master = world.node(MASTER).expect("there is a controller");
    // What comes up in its place only asks, and is told so before it comes.
    world.factory_mut().cluster.rebuild = Some(ASK);
    world.kill(master);
    world.disk_mut(master).wipe();
    if let Some(files) = other {
        let now = world.now();
        world.disk_mut(master).replace(now, files);
    }
}

/// Runs a rebuild to its end, which has to be this one.
fn rebuild(
    world: &mut VaquitaWorld,
    how: Rebuilding,
    code: ExitCode,
    words: &str,
) -> Result<(), Failure> {
    let ended = run_rebuild(world, how)?;
    let so = ended_with(&ended, code, words);
    let what = format!(
        "a rebuild that should say {words:?} ended so: {:?}",
        ended.reason
    );
    expect(world, so, &what)
}

/// Runs a rebuild to whatever end.
fn run_rebuild(world: &mut VaquitaWorld, how: Rebuilding) -> Result<Ended, Failure> {
    let master = world.node(MASTER).expect("there is a controller");
    world.factory_mut().cluster.rebuild = Some(how);
    run_anew(world, master);
    let before = world.ended().len();
    let ended = |world: &VaquitaWorld| {
        let of_master = |it: &&Ended| it.node == master;
        world.ended()[before..].iter().find(of_master).cloned()
    };
    wait_until(world, "the rebuild has ended", |world| {
        ended(world).is_some()
    })?;
    Ok(ended(world).expect("it has ended"))
}

/// Has a process of the node begin anew, whether one runs or not.
fn run_anew(world: &mut VaquitaWorld, node: NodeIx) {
    world.kill(node);
    world.start(node);
}

/// Lets a controller start again.
fn start_controller(world: &mut VaquitaWorld) -> Result<(), Failure> {
    let master = world.node(MASTER).expect("there is a controller");
    world.factory_mut().cluster.rebuild = None;
    run_anew(world, master);
    wait_until(world, "a controller serves", |world| {
        controller(world).is_some_and(|(_, it)| it.epoch().1)
    })
}

fn ended_with(ended: &Ended, code: ExitCode, words: &str) -> bool {
    ended.reason.code == code && ended.reason.message.contains(words)
}

const ASK: Rebuilding = Rebuilding {
    write: false,
    accept_loss: false,
    from: None,
};
const WRITE: Rebuilding = Rebuilding {
    write: true,
    accept_loss: false,
    from: None,
};
const ACCEPT: Rebuilding = Rebuilding {
    write: true,
    accept_loss: true,
    from: None,
};

fn some_files(world: &mut VaquitaWorld, clients: &mut Clients, from: u64) -> Result<(), Failure> {
    for number in from..from + 4 {
        let len = [300, 5000, 20_000, 0][usize::try_from(number % 4).unwrap_or(0)];
        let written = clients.have(world, put(&format!("/d/f{number}"), number, len))?;
        let written = matches!(written, Done::Written(_));
        expect(world, written, "a file could not be written")?;
    }
    Ok(())
}

fn read_files(world: &mut VaquitaWorld, clients: &mut Clients, from: u64) -> Result<(), Failure> {
    for number in from..from + 4 {
        let read = clients.have(world, get(&format!("/d/f{number}")))?;
        let read = matches!(read, Done::Read(_));
        expect(world, read, "a file could not be read")?;
    }
    Ok(())
}

/// The disk of the controller's home is lost. What the nodes keep of the log makes it anew: the same
/// names, rights and chunks; the nodes follow it, and every file is read.
#[test]
fn a_lost_home_is_rebuilt_from_the_nodes() {
    let summary = run(
        20,
        "rebuilt::a_lost_home_is_rebuilt_from_the_nodes",
        cluster,
        |world, clients| {
            some_files(world, clients, 0)?;
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            lose_home(world, None);
            rebuild(world, ASK, ExitCode::Success, "nothing was changed")?;
            rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
            rebuild(world, WRITE, ExitCode::Success, "nothing is to be done")?;
            start_controller(world)?;
            let after = state(world);
            expect(
                world,
                after.namespace == before.namespace,
                "names are the same",
            )?;
            expect(world, after.access == before.access, "rights are the same")?;
            wait_until(world, "all are online", all_online)?;
            read_files(world, clients, 0)?;
            some_files(world, clients, 10)?;
            wait_until(world, "two copies are complete again", complete)
        },
    );
    assert!(summary.count("rebuild.choice") > 0);
}

/// The newest records are on no node when the home is lost.
fn lose_the_newest_records(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    some_files(world, clients, 0)?;
    wait_until(world, "two copies are complete", complete)?;
    let before = state(world);
    // No copy gets on any more: what is written now is in the controller's home alone.
    world.factory_mut().cluster.mirrors = 0;
    let master = world.node(MASTER).expect("there is a controller");
    world.kill(master);
    wait_until(world, "all are online", |world| {
        controller(world).is_some() && all_online(world)
    })?;
    some_files(world, clients, 10)?;
    world.run_for(seconds(10))?;
    world.factory_mut().cluster.mirrors = 2;
    let had = entries(world);
    lose_home(world, None);
    rebuild(world, WRITE, ExitCode::Refused, "--i-accept-loss")?;
    rebuild(world, ACCEPT, ExitCode::Success, "start the controller")?;
    start_controller(world)?;
    expect(
        world,
        state(world).namespace == before.namespace,
        "names are as the copies had them",
    )?;
    wait_until(world, "all follow", all_online)?;
    // Longer than anything that is of no use is kept otherwise.
    world.run_for(seconds(300))?;
    expect(
        world,
        entries(world) == had,
        "what the lost records named was given up",
    )?;
    read_files(world, clients, 0)?;
    Ok(())
}

const KEPT: &str = "rebuilt::what_the_lost_records_named_is_kept";

/// What the lost records named is kept for as long as no operator gives it up; everything before them is
/// there.
#[test]
fn what_the_lost_records_named_is_kept() {
    let summary = run_without_rest(20, KEPT, cluster, lose_the_newest_records);
    assert!(summary.count("rebuild.choice") > 0);
}

/// The story above finds a controller that gives such chunks up.
#[test]
fn what_is_given_up_after_a_loss_is_missed() {
    let careless = |seed| {
        let mut cluster = cluster(seed);
        cluster.planted.forget_accepted_loss = true;
        cluster
    };
    let story = Story::new(KEPT, careless, lose_the_newest_records).without_rest();
    for seed in 0..3 {
        let outcome = run_one(&story, seed, TraceMode::Fingerprint);
        let failure = outcome.failure.expect("it is found");
        assert!(failure.what.contains("was given up"), "{failure}");
    }
}

/// The last record of the log that was told to anybody.
fn end(world: &VaquitaWorld) -> LogIndex {
    controller(world).map_or(LogIndex(0), |(_, it)| it.log_positions().0)
}

/// No record that was made since the home was rebuilt has an index that a lost record had.
fn indexes_are_new(world: &mut VaquitaWorld, lost: LogIndex) -> Result<(), Failure> {
    let state = state(world);
    let kept = state.fork.map(|fork| fork.at).unwrap_or_default();
    let registered = state.registry.iter().map(|(_, it)| LogIndex(it.epoch.0));
    let ordered = state.orders.values().map(|order| order.version);
    let begun = state.epoch_starts.values().copied();
    let mut given = registered.chain(ordered).chain(begun);
    let twice = given.find(|index| *index > kept && *index <= lost);
    expect(
        world,
        twice.is_none(),
        &format!(
            "index {} was given a second time: the lost records had those from {} to {lost}",
            twice.unwrap_or_default(),
            kept.next()
        ),
    )
}

/// The newest records are lost, an order to a node among them that its agent knows, and that a person has
/// acted against since. The node obeys what is ordered afterwards.
fn order_after_a_loss(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    some_files(world, clients, 0)?;
    wait_until(world, "two copies are complete", complete)?;
    world.factory_mut().cluster.mirrors = 0;
    let master = world.node(MASTER).expect("there is a controller");
    world.kill(master);
    wait_until(world, "all are online", |world| {
        controller(world).is_some() && all_online(world)
    })?;
    for round in 0..4 {
        some_files(world, clients, 10 + 4 * round)?;
    }
    stop(world, &["P1-NODE1"])?;
    // What a person starts by hand stays, whatever was ordered before.
    let by_hand = world.node("P1-NODE1").expect("there is such a node");
    world.start(by_hand);
    wait_until(world, "all are online", all_online)?;
    let lost = end(world);
    lose_home(world, None);
    rebuild(world, ACCEPT, ExitCode::Success, "start the controller")?;
    start_controller(world)?;
    wait_until(world, "all follow", all_online)?;
    stop(world, &["P1-NODE1"])?;
    indexes_are_new(world, lost)?;
    // The log that goes on so is a log like others: it is read back, and copied.
    world.factory_mut().cluster.mirrors = 2;
    start_controller(world)?;
    order(world, Verb::StartNodes(nodes(&["P1-NODE1"])));
    wait_until(world, "all are online", all_online)?;
    some_files(world, clients, 40)?;
    wait_until(world, "two copies are complete", complete)?;
    let before = state(world).namespace;
    let gone = end(world);
    lose_home(world, None);
    rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
    start_controller(world)?;
    let same = state(world).namespace == before;
    expect(world, same, "names are the same")?;
    wait_until(world, "all are online", all_online)?;
    indexes_are_new(world, gone)?;
    read_files(world, clients, 40)
}

const OBEYED: &str = "rebuilt::an_index_that_a_lost_record_had_is_never_given_again";

/// Orders, versions of files and epochs of volumes are indexes of the log, and those who were told of them
/// keep them. A log that goes on without its newest records gives no other record the same ones.
#[test]
fn an_index_that_a_lost_record_had_is_never_given_again() {
    let summary = run_without_rest(20, OBEYED, cluster, order_after_a_loss);
    assert!(summary.count("metalog.skip") > 0);
}

/// The story above finds a controller that gives them a second time.
#[test]
fn an_index_that_is_given_again_is_missed() {
    let careless = |seed| {
        let mut cluster = cluster(seed);
        cluster.planted.reuse_indexes = true;
        cluster
    };
    let story = Story::new(OBEYED, careless, |world, clients| {
        // It sees that epochs of nodes are given again, which is part of the same.
        world.remove_checker("epochs grow");
        order_after_a_loss(world, clients)
    });
    let story = story.without_rest();
    for seed in 0..3 {
        let outcome = run_one(&story, seed, TraceMode::Fingerprint);
        let failure = outcome.failure.expect("it is found");
        let words = "what was ordered to stop has stopped";
        assert!(failure.what.contains(words), "{failure}");
    }
}

/// Somebody restores yesterday's copy of the home. No node follows, nothing is given up, and what is
/// missing is told; the rebuild finds the newest history at the nodes.
#[test]
fn an_old_copy_of_the_home_gives_nothing_up_and_is_brought_up_to_date() {
    let summary = run(
        20,
        "rebuilt::an_old_copy_of_the_home_gives_nothing_up_and_is_brought_up_to_date",
        cluster,
        |world, clients| {
            some_files(world, clients, 0)?;
            let master = world.node(MASTER).expect("there is a controller");
            let old = world.disk(master).files();
            let old_end = controller(world).map_or(LogIndex(0), |(_, it)| it.log_positions().0);
            some_files(world, clients, 10)?;
            if world.seed() % 2 == 1 {
                // The lost controller had another epoch, too.
                world.disturb(&Step::Kill(MASTER.to_owned()));
                wait_until(world, "all are online", |world| {
                    controller(world).is_some() && all_online(world)
                })?;
                some_files(world, clients, 20)?;
            }
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            let had = entries(world);
            lose_home(world, Some(&old));
            start_controller(world)?;
            world.run_for(seconds(200))?;
            expect(
                world,
                entries(world) == had,
                "an old copy gave something up",
            )?;
            let (_, restored) = controller(world).expect("it runs");
            let now = world.local_time(master).unwrap_or_default();
            let alarms = restored.status(now).alarms;
            let told = alarms
                .iter()
                .any(|alarm| alarm.contains("refuses this controller"));
            expect(world, told, "nobody said that the home is an old copy")?;
            // The old copy may have begun a segment under a name that the newest history has as well: it is
            // kept under another one.
            world.remove_checker("logs keep promises");
            rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
            start_controller(world)?;
            let after = state(world);
            expect(
                world,
                after.namespace == before.namespace,
                "names are the newest",
            )?;
            expect(
                world,
                after.epoch_starts.values().any(|start| *start > old_end),
                "its history is the newest",
            )?;
            wait_until(world, "all are online", all_online)?;
            expect(world, entries(world) == had, "something was given up")
        },
    );
    assert!(summary.count("controller.rollback_seen") > 0);
}

/// The last record of a log as a process reads it.
fn last_record(world: &VaquitaWorld, files: &Files) -> LogIndex {
    let expected = Expected {
        cluster: state(world).cluster.expect("there is a cluster"),
        durable: None,
    };
    metalog::recover(files, &expected).map_or(LogIndex(0), |it| it.end.last_index())
}

/// A copy of the controller's home, as a backup takes it, that has records of which no sync has been
/// confirmed: they are read from a cache.
fn back_up_amid_a_write(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(Files, LogIndex), Failure> {
    let master = world.node(MASTER).expect("there is a controller");
    world.disturb(&Step::Disk {
        node: MASTER.to_owned(),
        what: DiskStep::Slow(100),
    });
    for number in 100..400 {
        clients.begin(world, None, put(&format!("/d/g{number}"), number, 300));
        for _ in 0..20 {
            clients.run_for(world, Duration::from_micros(300))?;
            let files = world.disk(master).files();
            let last = last_record(world, &files);
            if last > end(world) {
                return Ok((files, last));
            }
        }
    }
    world.fail(None, "no record was written and not synced".to_owned());
    Err(world.finish().expect_err("it has failed"))
}

/// Backups that had records which a loss of power took from the controller.
static AHEAD: AtomicUsize = AtomicUsize::new(0);

/// A backup is taken of records that are written and not synced, and then power fails. Where the controller
/// goes on, the backup is a copy of another history, and known as one; where its disk is gone, it is all that
/// was promised, and a little more that was promised to nobody.
#[test]
fn a_backup_that_is_ahead_of_its_log_does_no_harm() {
    run(
        24,
        "rebuilt::a_backup_that_is_ahead_of_its_log_does_no_harm",
        cluster,
        |world, clients| {
            some_files(world, clients, 0)?;
            wait_until(world, "two copies are complete", complete)?;
            let (backup, last) = back_up_amid_a_write(world, clients)?;
            world.disturb(&Step::PowerCut("h0".to_owned()));
            let master = world.node(MASTER).expect("there is a controller");
            let left = world.disk(master).files();
            let goes_on = world.seed() % 3 > 0;
            if !goes_on {
                lose_home(world, None);
                world.factory_mut().cluster.rebuild = None;
                // Nothing was promised that is not in it.
                for (file, bytes) in &backup {
                    world.disk_mut(master).install(file.clone(), bytes.clone());
                }
            }
            world.disturb(&Step::PowerOn("h0".to_owned()));
            until(world, clients, "all follow", |world| {
                controller(world).is_some() && all_online(world)
            })?;
            clients.finish(world)?;
            if !goes_on {
                let now = world.local_time(master).unwrap_or_default();
                // Nobody has logged in to this cluster yet, which is an alarm of its own.
                let fine = |alarm: &String| alarm.contains("the password that everybody knows");
                let alarms = controller(world).map(|(_, it)| it.status(now).alarms);
                let what = format!("it contradicts nothing that nodes know: {alarms:?}");
                expect(world, alarms.is_some_and(|it| it.iter().all(fine)), &what)?;
                return read_files(world, clients, 0);
            }
            if last_record(world, &left) < last {
                AHEAD.fetch_add(1, Ordering::Relaxed);
            }
            some_files(world, clients, 10)?;
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            let had = entries(world);
            lose_home(world, Some(&backup));
            start_controller(world)?;
            world.run_for(seconds(100))?;
            let same = entries(world) == had;
            expect(world, same, "a backup of another history gave something up")?;
            expect(world, !all_online(world), "it was followed")?;
            rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
            start_controller(world)?;
            let same = state(world).namespace == before.namespace;
            expect(world, same, "names are the newest")?;
            wait_until(world, "all are online", all_online)?;
            expect(world, entries(world) == had, "something was given up")
        },
    );
    let ahead = AHEAD.load(Ordering::Relaxed);
    assert!(ahead > 3, "only {ahead} backups were ahead");
}

/// A rebuild is killed at any operation of its disk, and run again.
#[test]
fn a_rebuild_that_is_cut_short_is_done_again() {
    let summary = run(
        40,
        "rebuilt::a_rebuild_that_is_cut_short_is_done_again",
        cluster,
        |world, clients| {
            some_files(world, clients, 0)?;
            let master = world.node(MASTER).expect("there is a controller");
            let old = world.disk(master).files();
            some_files(world, clients, 10)?;
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            let left = world.seed() % 3 > 0;
            lose_home(world, left.then_some(&old));
            world.factory_mut().cluster.rebuild = Some(WRITE);
            let trap = |skip| Step::AtOp {
                node: MASTER.to_owned(),
                skip,
                after: world.seed() % 2 == 0,
                power: world.seed() % 4 < 2,
            };
            let (now, never) = (trap(world.seed() % 23), trap(1 << 40));
            world.disturb(&now);
            world.run_for(seconds(15))?;
            world.disturb(&never);
            world.disturb(&Step::PowerOn("h0".to_owned()));
            world.run_for(Duration::from_secs(3))?;
            let done = run_rebuild(world, WRITE)?;
            let so = done.reason.code == ExitCode::Success;
            expect(
                world,
                so,
                &format!("it was not rebuilt: {}", done.reason.message),
            )?;
            start_controller(world)?;
            let after = state(world);
            expect(
                world,
                after.namespace == before.namespace,
                "names are the same",
            )?;
            wait_until(world, "all are online", all_online)
        },
    );
    assert!(summary.count(TRAP_SPRUNG) > 10, "the traps do not spring");
}

/// As long as a node that may know more does not answer, or one follows a controller, a rebuild does
/// not write.
#[test]
fn a_rebuild_waits_for_who_may_know_more() {
    run(
        10,
        "rebuilt::a_rebuild_waits_for_who_may_know_more",
        cluster,
        |world, clients| {
            some_files(world, clients, 0)?;
            wait_until(world, "two copies are complete", complete)?;
            lose_home(world, None);
            world.disturb(&Step::Isolate("h3".to_owned()));
            rebuild(world, WRITE, ExitCode::Refused, "P3-NODE1")?;
            world.disturb(&Step::HealAll);
            world.run_for(seconds(5))?;
            rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
            start_controller(world)?;
            wait_until(world, "all are online", all_online)
        },
    );
}

/// Somebody restores an old copy of the home, and then starts everything anew, again and again, as one does.
/// The old history grows no longer than the true one, is never followed, and is told from it.
#[test]
fn an_old_copy_that_goes_on_is_never_followed() {
    run(
        10,
        "rebuilt::an_old_copy_that_goes_on_is_never_followed",
        cluster,
        |world, clients| {
            // A controller from an old copy acts under epochs that others had: that is what this is about.
            world.remove_checker("epochs grow");
            world.remove_checker("logs keep promises");
            some_files(world, clients, 0)?;
            let master = world.node(MASTER).expect("there is a controller");
            let old = world.disk(master).files();
            world.disturb(&Step::Kill(MASTER.to_owned()));
            wait_until(world, "all are online", |world| {
                controller(world).is_some() && all_online(world)
            })?;
            some_files(world, clients, 10)?;
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            let had = entries(world);
            lose_home(world, Some(&old));
            start_controller(world)?;
            for round in 0..4 {
                for host in 1..=4 {
                    let node = world.node(&Cluster::node_name(host, 1));
                    world.kill(node.expect("there is such a node"));
                }
                if round == 2 {
                    run_anew(world, master);
                }
                world.run_for(seconds(15))?;
            }
            let nobody = !all_online(world);
            expect(world, nobody, "an old copy was followed")?;
            rebuild(world, WRITE, ExitCode::Success, "start the controller")?;
            start_controller(world)?;
            let same = state(world).namespace == before.namespace;
            expect(world, same, "names are the newest")?;
            wait_until(world, "all are online", all_online)?;
            expect(world, entries(world) == had, "something was given up")
        },
    );
}

/// A home is rebuilt with a loss from an old copy, and lost again; the same old copy is all there is once
/// more. What the nodes followed in between is left by an operator's word, and they follow that.
#[test]
fn a_home_is_rebuilt_twice_from_the_same_old_copy() {
    crate::story::run_without_rest(
        10,
        "rebuilt::a_home_is_rebuilt_twice_from_the_same_old_copy",
        |seed| {
            let mut cluster = cluster(seed);
            cluster.mirrors = 0;
            cluster
        },
        |world, clients| {
            some_files(world, clients, 0)?;
            let master = world.node(MASTER).expect("there is a controller");
            let old = world.disk(master).files();
            let early = state(world);
            let mut lost = LogIndex(0);
            for round in 0..2 {
                some_files(world, clients, 10 + 4 * round)?;
                world.run_for(seconds(10))?;
                let had = entries(world);
                lost = lost.max(end(world));
                lose_home(world, Some(&old));
                rebuild(world, WRITE, ExitCode::Refused, "--i-accept-loss")?;
                rebuild(world, ACCEPT, ExitCode::Success, "start the controller")?;
                start_controller(world)?;
                wait_until(world, "all follow", all_online)?;
                indexes_are_new(world, lost)?;
                let same = state(world).namespace == early.namespace;
                expect(world, same, "names are as the copy had them")?;
                world.run_for(seconds(120))?;
                expect(
                    world,
                    entries(world) == had,
                    "what lost records named was given up",
                )?;
            }
            Ok(())
        },
    );
}

/// Power fails everywhere, and the controller's disk forgets what it had confirmed. The nodes with copies come
/// up long after the others, which take their places. What only the copies show is never thrown away unseen.
#[test]
fn what_only_copies_show_is_not_thrown_away() {
    let summary = crate::story::run_without_rest(
        12,
        "rebuilt::what_only_copies_show_is_not_thrown_away",
        cluster,
        |world, clients| {
            world.remove_checker("epochs grow");
            world.remove_checker("logs keep promises");
            some_files(world, clients, 0)?;
            wait_until(world, "two copies are complete", complete)?;
            let master = world.node(MASTER).expect("there is a controller");
            let forgotten = world.disk(master).files();
            some_files(world, clients, 10)?;
            wait_until(world, "two copies are complete", complete)?;
            let before = state(world);
            let now = world.local_time(master).unwrap_or_default();
            let (_, machine) = controller(world).expect("it runs");
            let holders: Vec<String> = (machine.status(now).log_copies.iter())
                .map(|copy| copy.alias.to_string())
                .collect();
            for host in 0..=4 {
                world.disturb(&Step::PowerCut(format!("h{host}")));
            }
            let at = world.now();
            world.disk_mut(master).replace(at, &forgotten);
            let late: Vec<String> = holders
                .iter()
                .map(|name| format!("h{}", &name[1..2]))
                .collect();
            for host in 0..=4 {
                let host = format!("h{host}");
                if !late.contains(&host) {
                    world.disturb(&Step::PowerOn(host));
                }
            }
            start_controller(world)?;
            world.run_for(seconds(60))?;
            for host in late {
                world.disturb(&Step::PowerOn(host));
            }
            world.run_for(seconds(60))?;
            // Agents follow nobody, and so start nothing: a person starts the nodes by hand.
            for host in 1..=4 {
                let node = world.node(&Cluster::node_name(host, 1));
                world.start(node.expect("there is such a node"));
            }
            world.run_for(seconds(20))?;
            let now = world.local_time(master).unwrap_or_default();
            let (_, machine) = controller(world).expect("it runs");
            let alarms = machine.status(now).alarms;
            let told = alarms.iter().any(|alarm| {
                alarm.contains("refuses this controller") || alarm.contains("has a copy of")
            });
            expect(world, told, &format!("nobody was told: {alarms:?}"))?;
            // Where the lossy history went on, each has what the other has not: an operator chooses.
            let asked = run_rebuild(world, ASK)?;
            let parted = ended_with(
                &asked,
                ExitCode::Refused,
                "in a history that parted from it",
            );
            let plain = ended_with(&asked, ExitCode::Success, "nothing was changed");
            expect(
                world,
                parted || plain,
                &format!("a split was not told: {}", asked.reason.message),
            )?;
            let host = holders[0][1..2].parse().ok();
            let chosen = Rebuilding {
                from: host,
                ..ACCEPT
            };
            rebuild(world, chosen, ExitCode::Success, "start the controller")?;
            start_controller(world)?;
            let same = state(world).namespace == before.namespace;
            expect(world, same, "names are as the copies had them")?;
            wait_until(world, "all are online", all_online)
        },
    );
    assert!(summary.count("rebuild.choice") > 0);
}
