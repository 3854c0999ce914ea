//! A node whose disk is lost, and the operator's word that another takes its place.

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::{Clients, Done, Expected, Order};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, bring_online, nodes, order, row, rows, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{NodeState, Refusal, Reply, Response, Verb};

use crate::story::{Story, expect, ready, run, seconds};

/// The newest refusal that the controller told of.
fn refusal(world: &VaquitaWorld) -> String {
    let mut told = world.told().iter().rev();
    told.find(|told| told.notice.name == "node.refused")
        .map(|told| told.notice.message.clone())
        .unwrap_or_default()
}

/// Orders something and waits for the answer.
fn answered(world: &mut VaquitaWorld, verb: Verb) -> Result<Reply, Failure> {
    let master = world.node(MASTER).expect("there is a controller");
    let id = order(world, verb).expect("there is a controller");
    wait_until(world, "an answer", |world| {
        world.answer(master, id).is_some()
    })?;
    let answer = world
        .answer(master, id)
        .and_then(|answer| answer.reply.clone());
    Ok(answer.expect("the controller lives"))
}

/// 22: a node's disk is lost. The empty one is not given the name by itself; an operator
/// gives it, and the old identity stays out from then on.
#[test]
fn a_lost_disk_is_replaced_by_order_and_the_old_identity_stays_out() {
    run(
        10,
        Story {
            name: "replaced::a_lost_disk_is_replaced_by_order_and_the_old_identity_stays_out",
            cluster: |_| Cluster::of(3).with_files().with_tiny_limits(),
            prepare: ready,
            drive: |world| {
                let name = "P2-NODE1";
                let is = |state| {
                    move |world: &VaquitaWorld| {
                        row(world, "P2-NODE1").is_some_and(|row| row.state == state)
                    }
                };
                let (start, stop) = (
                    || Verb::StartNodes(nodes(&["P2-NODE1"])),
                    || Verb::StopNodes(nodes(&["P2-NODE1"])),
                );
                let replace = || Verb::ReplaceNode {
                    node: "P2-NODE1".to_owned(),
                };
                bring_online(world)?;
                // With as many replicas as nodes, each of them has the file.
                let mut clients = Clients::new(world);
                let written = clients.have(
                    world,
                    Order::Put {
                        path: "dfs://kept".to_owned(),
                        number: 1,
                        len: 1000,
                        expect: Expected::Nothing,
                    },
                )?;
                let kept = matches!(written, Done::Written(_));
                expect(world, kept, "a file could not be written")?;
                let node = world.node(name).expect("there is such a node");
                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                order(world, start());
                wait_until(world, "it is online with its chunks", is(NodeState::Online))?;
                let early = answered(world, replace())?;
                let refused = matches!(early, Err(Refusal::Conflict { .. }));
                expect(world, refused, "a node that is online was replaced")?;

                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                let old = world.disk(node).files();
                world.disturb(&Step::Disk {
                    node: name.to_owned(),
                    what: DiskStep::Wipe,
                });
                order(world, start());
                wait_until(world, "it fails", is(NodeState::Failed))?;
                let cure = refusal(world).contains("vaquita node replace P2-NODE1");
                expect(
                    world,
                    cure,
                    "an empty disk is refused, and the cure is named",
                )?;

                let before = row(world, name).and_then(|row| row.epoch);
                let given = answered(world, replace())?;
                let given = matches!(given, Ok(Response::Ordered(rows)) if rows[0].changed);
                expect(world, given, "the alias was not given away")?;
                if world.seed() % 2 == 1 {
                    let master = world.node(MASTER).expect("there is a controller");
                    world.kill(master);
                    wait_until(world, "the controller is back", |world| {
                        !rows(world).is_empty()
                    })?;
                    world.run_for(seconds(10))?;
                }
                order(world, start());
                wait_until(world, "the new one is online", is(NodeState::Online))?;
                let after = row(world, name).and_then(|row| row.epoch);
                expect(world, after > before, "it has an epoch of its own")?;

                order(world, stop());
                wait_until(world, "it has stopped", is(NodeState::Stopped))?;
                world.disk_mut(node).wipe();
                for (file, bytes) in old {
                    world.disk_mut(node).install(file, bytes);
                }
                order(world, start());
                wait_until(world, "the old one fails", is(NodeState::Failed))?;
                let told = refusal(world).contains("was replaced by an operator, since log index");
                expect(
                    world,
                    told,
                    "the old identity is refused for having been replaced",
                )
            },
        },
    );
}
