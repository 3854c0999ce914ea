//! Data nodes whose rows go from `cluster.nodes` while they have chunks, and nodes that are removed.

use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{NodeState, Refusal, Reply, Response, Verb};
use vaquita_core::ids::Alias;
use vaquita_core::state::Duty;

use crate::duties::has;
use crate::repair::{
    WAIT, all_whole, expect_whole, host, impatient, read_all, repairs, write_some,
};
use crate::story::{expect, named, put, run, run_without_rest, seconds, stop};

const GONE: &str = "P2-NODE1";
const GONE_TOO: &str = "P3-NODE1";

/// Five hosts and two replicas: some chunks are on the two nodes alone that go.
fn of_two(seed: u64) -> Cluster {
    let mut cluster = impatient(seed);
    cluster.hosts = 5;
    cluster.files.factor = 2;
    cluster
}

/// Somebody takes rows out of the nodes file, and starts the controller anew.
fn unlist(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    names: &[&'static str],
) -> Result<(), Failure> {
    world.factory_mut().cluster.unlisted = names.to_vec();
    world.kill(named(world, MASTER));
    clients.run_for(world, seconds(1))
}

pub(crate) fn ask(world: &mut VaquitaWorld, verb: Verb) -> Result<Reply, Failure> {
    let id = order(world, verb).expect("there is a controller");
    let master = named(world, MASTER);
    wait_until(world, "the order is answered", |world| {
        world.answer(master, id).is_some()
    })?;
    let answer = world.answer(master, id).and_then(|it| it.reply.clone());
    Ok(answer.expect("it was there just now"))
}

fn remove(
    world: &mut VaquitaWorld,
    name: &str,
    accept_loss: Option<&str>,
) -> Result<Reply, Failure> {
    let node = name.to_owned();
    let accept_loss = accept_loss.map(str::to_owned);
    ask(world, Verb::RemoveNode { node, accept_loss })
}

/// Expects an order to be refused with these words.
fn refused(world: &mut VaquitaWorld, reply: &Reply, words: &str) -> Result<(), Failure> {
    let so = matches!(reply, Err(Refusal::Conflict { reason }) if reason.contains(words));
    expect(world, so, &format!("not refused with `{words}`: {reply:?}"))
}

/// Expects an order to have changed something, and to have said so.
fn done(world: &mut VaquitaWorld, reply: &Reply, words: &str) -> Result<(), Failure> {
    let so = matches!(reply, Ok(Response::Ordered(rows))
        if rows.iter().any(|row| row.changed && row.note.contains(words)));
    expect(world, so, &format!("not done with `{words}`: {reply:?}"))
}

fn is_orphaned(world: &VaquitaWorld, name: &str) -> bool {
    row(world, name).is_some_and(|row| row.conditions.iter().any(|it| it == "orphaned"))
}

fn is_drained(world: &VaquitaWorld, name: &str) -> bool {
    row(world, name).is_some_and(|row| row.admin == "drained")
}

/// How many chunks the log places on nodes of this name, and on nodes that were removed.
fn placed(world: &VaquitaWorld, name: &str) -> u64 {
    let Some((_, machine)) = controller(world) else {
        return 0;
    };
    let alias = Alias::new(name).expect("it is an alias");
    let state = machine.state();
    let node = state.registry.get(&alias).map(|it| it.node);
    node.map_or(0, |node| state.namespace.chunks_on_count(node))
}

fn alarms(world: &VaquitaWorld) -> Vec<String> {
    let Some((master, machine)) = controller(world) else {
        return Vec::new();
    };
    let now = world.local_time(master);
    now.map(|now| machine.status(now).alarms)
        .unwrap_or_default()
}

/// 86: the rows of two nodes go, and some chunks are nowhere else. All is read, all is made anew elsewhere,
/// and nothing new is put there; once they are drained and stopped, they are in no list any more.
#[test]
fn rows_that_go_from_the_nodes_file_lose_nothing() {
    run(
        8,
        "orphans::rows_that_go_from_the_nodes_file_lose_nothing",
        of_two,
        |world, clients| {
            write_some(world, clients, 60)?;
            let (before, too) = (has(world, GONE), has(world, GONE_TOO));
            expect(world, before > 0 && too > 0, "they have nothing")?;
            unlist(world, clients, &[GONE, GONE_TOO])?;
            wait_until(world, "all online", all_online)?;
            let orphaned = is_orphaned(world, GONE) && is_orphaned(world, GONE_TOO);
            expect(world, orphaned, "they are not shown as orphaned")?;
            let told = alarms(world);
            let so = told
                .iter()
                .any(|it| it.contains("is not in cluster.nodes but holds"));
            expect(world, so, &format!("no alarm: {told:?}"))?;
            // Its agent is the one who can stop it, and keeps its own row as long as it runs.
            let mut config = world.factory_mut().configuration();
            let agent = Cluster::agent_name(2);
            config.members.retain(|it| it.site.alias.as_str() != agent);
            let reply = ask(
                world,
                Verb::Reconfigure {
                    config: Box::new(config),
                    dry_run: true,
                },
            )?;
            let words = format!("{GONE} on its host could not be started or stopped");
            refused(world, &reply, &words)?;
            read_all(world, clients, 60)?;
            let serve = Verb::SetDuty {
                nodes: nodes(&[GONE]),
                duty: Duty::Serve,
            };
            let reply = ask(world, serve)?;
            refused(world, &reply, "Put the line `")?;
            for number in 100..110 {
                let written = clients.have(world, put(&format!("/d/g{number}"), number, 5_000))?;
                let so = matches!(&written, Done::Written(it) if it.degraded_chunks == 0);
                expect(world, so, &format!("{written:?}"))?;
            }
            // What an earlier controller allocated may be committed there for so long.
            clients.run_for(world, seconds(660))?;
            for name in [GONE, GONE_TOO] {
                let so = is_drained(world, name) && has(world, name) == 0;
                expect(
                    world,
                    so,
                    &format!("{name} is not empty: {:?}", row(world, name)),
                )?;
            }
            wait_until(world, "every chunk is whole", all_whole)?;
            let reply = ask(world, Verb::StartNodes(nodes(&[GONE])))?;
            refused(world, &reply, "cannot be started")?;
            order(world, Verb::StopNodes(nodes(&[GONE, GONE_TOO])));
            wait_until(world, "they are in no list", |world| {
                row(world, GONE).is_none() && row(world, GONE_TOO).is_none()
            })?;
            read_all(world, clients, 60)?;
            wait_until(world, "every chunk is whole without them", all_whole)
        },
    );
}

/// The row is put back: the node serves as before, with what it still has.
#[test]
fn a_row_that_is_put_back_makes_the_node_a_member_again() {
    run(
        6,
        "orphans::a_row_that_is_put_back_makes_the_node_a_member_again",
        of_two,
        |world, clients| {
            write_some(world, clients, 16)?;
            unlist(world, clients, &[GONE])?;
            wait_until(world, "it is there", |world| {
                all_online(world) && is_orphaned(world, GONE)
            })?;
            unlist(world, clients, &[])?;
            wait_until(world, "all online", all_online)?;
            let serves = row(world, GONE).is_some_and(|it| it.admin == "none");
            let so = serves && !is_orphaned(world, GONE);
            expect(world, so, "it does not serve again")?;
            clients.run_for(world, seconds(30))?;
            expect_whole(world)?;
            read_all(world, clients, 16)
        },
    );
}

/// An orphan that is away is not waited for. Alone with a chunk it is not removed but by a word that names
/// the loss; when it comes back, nothing was lost.
#[test]
fn an_orphan_that_alone_has_a_chunk_is_not_forgotten() {
    run(
        6,
        "orphans::an_orphan_that_alone_has_a_chunk_is_not_forgotten",
        of_two,
        |world, clients| {
            write_some(world, clients, 60)?;
            unlist(world, clients, &[GONE, GONE_TOO])?;
            for name in ["h2", "h3"] {
                world.power_cut(host(world, name));
            }
            clients.run_for(world, seconds(150))?;
            let left = placed(world, GONE).min(placed(world, GONE_TOO));
            expect(world, left > 0, "what only they have was forgotten")?;
            let told = alarms(world);
            let alone = format!("{left} of them with no other good replica");
            let so = told.iter().any(|it| it.contains(&alone));
            expect(world, so, &format!("no alarm says `{alone}`: {told:?}"))?;
            let reply = remove(world, GONE, None)?;
            refused(world, &reply, "--i-accept-loss P2-NODE1")?;
            for typed in ["P3-NODE1", "p2-node1", ""] {
                let reply = remove(world, GONE, Some(typed))?;
                let so = matches!(reply, Err(Refusal::Invalid { .. }));
                expect(world, so, &format!("`{typed}` was enough: {reply:?}"))?;
            }
            for name in ["h2", "h3"] {
                world.power_on(host(world, name));
            }
            clients.run_for(world, seconds(60))?;
            // Their agents have nothing to start them with; somebody does it by hand, with the row.
            unlist(world, clients, &[])?;
            order(world, Verb::StartNodes(nodes(&[GONE, GONE_TOO])));
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(60))?;
            expect_whole(world)?;
            read_all(world, clients, 60)
        },
    );
}

/// A node that serves is not removed; one that is lost is, at once, where others have what it had. Its
/// identity is refused from then on, also by the next controller, and its row is shown as one too many.
#[test]
fn a_node_that_is_removed_stays_out() {
    run(
        8,
        "orphans::a_node_that_is_removed_stays_out",
        impatient,
        |world, clients| {
            write_some(world, clients, 16)?;
            let reply = remove(world, GONE, None)?;
            refused(world, &reply, "node drain P2-NODE1 --wait")?;
            // Not by that either: it is there.
            let reply = remove(world, GONE, Some(GONE))?;
            refused(world, &reply, "stop it first")?;
            let lost = host(world, "h2");
            world.power_cut(lost);
            wait_until(world, "it is offline", |world| {
                row(world, GONE).is_some_and(|it| it.state == NodeState::Offline)
            })?;
            let reply = remove(world, GONE, None)?;
            done(world, &reply, "out of cluster.nodes")?;
            // It is not waited for.
            clients.run_for(world, WAIT / 2)?;
            let status = repairs(world).unwrap_or_default();
            let what = format!("it is waited for: {status:?}");
            expect(world, status.last_copy + status.degraded == 0, &what)?;
            read_all(world, clients, 16)?;
            world.power_on(lost);
            for again in [false, true] {
                if again {
                    world.kill(named(world, MASTER));
                }
                clients.run_for(world, seconds(30))?;
                let shown = row(world, GONE);
                let so = shown.as_ref().is_some_and(|it| {
                    it.state == NodeState::Stopped
                        && it.reason.contains("take the line `")
                        && it.conditions.iter().any(|it| it == "removed")
                });
                expect(world, so, &format!("it is shown as {shown:?}"))?;
                expect(world, placed(world, GONE) == 0, "it was let in again")?;
            }
            unlist(world, clients, &[GONE])?;
            wait_until(world, "it is in no list", |world| {
                row(world, GONE).is_none() && all_online(world)
            })?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            read_all(world, clients, 16)
        },
    );
}

/// A drained node is removed while it runs, and ends.
#[test]
fn a_drained_node_is_removed_while_it_runs() {
    run(
        6,
        "orphans::a_drained_node_is_removed_while_it_runs",
        impatient,
        |world, clients| {
            write_some(world, clients, 16)?;
            let drain = Verb::SetDuty {
                nodes: nodes(&[GONE]),
                duty: Duty::Drain,
            };
            ask(world, drain)?.expect("nothing forbids it");
            wait_until(world, "it is drained", |world| is_drained(world, GONE))?;
            let reply = remove(world, GONE, None)?;
            done(world, &reply, "removed. Take the line `")?;
            clients.run_for(world, seconds(20))?;
            let runs = world.machine(named(world, GONE)).is_some();
            expect(world, !runs, "it runs on")?;
            unlist(world, clients, &[GONE])?;
            wait_until(world, "all online", all_online)?;
            clients.run_for(world, seconds(20))?;
            expect_whole(world)?;
            read_all(world, clients, 16)
        },
    );
}

/// Two nodes with the only replicas are lost for good. Whoever types their names is believed, and told how
/// much is lost; what others have is made anew, and what nobody has is said to be lost.
#[test]
fn a_loss_is_accepted_by_name_alone() {
    run_without_rest(
        6,
        "orphans::a_loss_is_accepted_by_name_alone",
        of_two,
        |world, clients| {
            write_some(world, clients, 60)?;
            stop(world, &[GONE, GONE_TOO])?;
            clients.run_for(world, WAIT + seconds(30))?;
            let left = placed(world, GONE).min(placed(world, GONE_TOO));
            expect(world, left > 0, "nothing is only there")?;
            let reply = remove(world, GONE, None)?;
            refused(world, &reply, "with no good replica")?;
            let reply = remove(world, GONE, Some(GONE))?;
            done(world, &reply, "no good replica any more")?;
            let reply = remove(world, GONE_TOO, Some(GONE_TOO))?;
            done(world, &reply, "no good replica any more")?;
            let reply = remove(world, GONE_TOO, None)?;
            let again = matches!(&reply, Ok(Response::Ordered(rows))
                if rows.iter().all(|row| !row.changed && row.note.contains("removed already")));
            expect(world, again, &format!("{reply:?}"))?;
            clients.run_for(world, seconds(30))?;
            let status = repairs(world).unwrap_or_default();
            let so = status.last_copy + status.degraded == 0 && status.awaited.is_empty();
            expect(world, so, &format!("it goes on: {status:?}"))
        },
    );
}
