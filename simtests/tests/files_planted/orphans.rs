//! Bugs planted in what becomes of nodes that have no row in the nodes file any more, or are removed.

use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{MASTER, VaquitaWorld, all_online, controller, order, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::ids::Alias;

use crate::repair::{NODE, expect, write_some};
use crate::{Hunt, get, named, seconds};

fn unlist(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
    names: &[&'static str],
) -> Result<(), Failure> {
    world.factory_mut().cluster.unlisted = names.to_vec();
    world.kill(named(world, MASTER));
    clients.run_for(world, seconds(20))
}

/// The rows of all nodes go but those of one host, and some chunks are nowhere on it.
fn rows_go(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    unlist(world, clients, &["P2-NODE1", "P3-NODE1", "P4-NODE1"])?;
    for number in 0..12 {
        let read = clients.have(world, get(&format!("/f{number}")))?;
        let so = matches!(read, Done::Read(_));
        expect(world, so, "what only orphans have is not read")?;
    }
    unlist(world, clients, &[])?;
    wait_until(world, "all online", all_online)
}

/// The row of one node goes, and it is emptied.
fn an_orphan_is_emptied(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    unlist(world, clients, &[NODE])?;
    write_some(world, clients)?;
    clients.run_for(world, seconds(60))?;
    let alias = Alias::new(NODE).expect("it is an alias");
    let left = controller(world).map(|(_, machine)| {
        let state = machine.state();
        let held = state.registry.get(&alias).map(|it| it.node);
        held.map_or(0, |node| state.namespace.chunks_on_count(node))
    });
    expect(world, left == Some(0), "an orphan keeps what it has")?;
    unlist(world, clients, &[])?;
    wait_until(world, "all online", all_online)
}

/// Somebody wants to remove a node that serves.
fn a_serving_node_stays(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    let remove = Verb::RemoveNode {
        node: NODE.to_owned(),
        accept_loss: Some(NODE.to_owned()),
    };
    let id = order(world, remove).expect("there is a controller");
    clients.run_for(world, seconds(1))?;
    let master = named(world, MASTER);
    let reply = world.answer(master, id).and_then(|it| it.reply.clone());
    let refused = matches!(reply, Some(Err(_)));
    expect(world, refused, "a node that serves was removed")
}

pub(crate) const HUNTS: &[Hunt] = &[
    Hunt {
        bug: "forget_orphans",
        plant: |bugs| bugs.forget_orphans = true,
        drive: rows_go,
        shows: "what only orphans have is not read",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "orphans_serve",
        plant: |bugs| bugs.orphans_serve = true,
        drive: an_orphan_is_emptied,
        shows: "an orphan keeps what it has",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "remove_regardless",
        plant: |bugs| bugs.remove_regardless = true,
        drive: a_serving_node_stays,
        shows: "a node that serves was removed",
        without: &[],
        within: 1,
    },
];
