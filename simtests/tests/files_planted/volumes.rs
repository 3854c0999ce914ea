//! Bugs planted in what opens volumes again, and in what gives them to other nodes.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::{Clients, Done};
use simtests::vaquita::{VaquitaWorld, all_online, controller, nodes, order, row, wait_until};
use simtests::world::Failure;
use vaquita_core::admin::{NodeState, Selection, Verb};
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::time::Timestamp;

use crate::{Hunt, get, named, put, seconds};

/// The node whose disk fails, or is moved.
const NODE: &str = "P2-NODE1";
/// The node that gets it.
const OTHER: &str = "P3-NODE1";

fn write_some(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for number in 0..8 {
        clients.have(world, put(&format!("/f{number}"), number + 1, 5_000))?;
    }
    Ok(())
}

fn disk(world: &mut VaquitaWorld, what: DiskStep) {
    let node = format!("{NODE}/0");
    world.disturb(&Step::Disk { node, what });
}

fn state(world: &VaquitaWorld, name: &str) -> Option<VolumeState> {
    let alias = world.alias(named(world, name)).clone();
    let known = controller(world)?.1.stock_of(&alias)?;
    Some(known.volumes.first()?.state)
}

fn until_state(world: &mut VaquitaWorld, name: &str, wanted: VolumeState) -> Result<(), Failure> {
    let what = format!("the volume of {name} is {}", wanted.as_str());
    wait_until(world, &what, |world| state(world, name) == Some(wanted))
}

fn a_disk_is_mended(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    disk(world, DiskStep::FailOp);
    for number in 0..40 {
        clients.have(world, put("/g", 100 + number, 5_000))?;
        if state(world, NODE) == Some(VolumeState::Failed) {
            break;
        }
    }
    until_state(world, NODE, VolumeState::Failed)?;
    order(world, Verb::RescanVolumes(Selection::All));
    until_state(world, NODE, VolumeState::Good)
}

/// A slow disk fails while more is on its way to it.
fn a_disk_fails_amid_writes(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    disk(world, DiskStep::Slow(3_000));
    for nth in 0..12 {
        let len = if nth % 2 == 0 { 2_000 } else { 7_000 };
        clients.begin(world, None, put(&format!("/g{nth}"), 100 + nth, len));
    }
    clients.run_for(world, seconds(1))?;
    disk(world, DiskStep::FailOp);
    for _ in 0..60 {
        clients.run_for(world, Duration::from_millis(100))?;
        order(world, Verb::RescanVolumes(Selection::All));
    }
    world.disturb(&Step::HealAll);
    clients.finish(world)?;
    clients.run_for(world, seconds(25))?;
    order(world, Verb::RescanVolumes(Selection::All));
    until_state(world, NODE, VolumeState::Good)
}

fn until_stopped(world: &mut VaquitaWorld, names: &[&str]) -> Result<(), Failure> {
    wait_until(world, "they have stopped", |world| {
        let stopped =
            |name: &&str| row(world, name).is_some_and(|row| row.state == NodeState::Stopped);
        names.iter().all(stopped)
    })
}

/// Of three nodes one loses a volume: what was there is made anew on its other one, and is all there is
/// when the other nodes are down.
fn a_volume_dies_beside_another(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    let (away, others) = (["P1-NODE1", "P1-NODE2"], ["P3-NODE1", "P4-NODE1"]);
    order(world, Verb::StopNodes(nodes(&away)));
    until_stopped(world, &away)?;
    write_some(world, clients)?;
    disk(world, DiskStep::Die);
    for number in 0..40 {
        clients.have(world, put("/g", 100 + number, 5_000))?;
        if state(world, NODE) == Some(VolumeState::Failed) {
            break;
        }
    }
    until_state(world, NODE, VolumeState::Failed)?;
    wait_until(world, "every chunk is made anew", |world| {
        let status = controller(world).map(|(_, it)| it.repairs(Timestamp::ZERO));
        status.is_some_and(|it| {
            !it.surveying && it.copies.is_empty() && it.last_copy + it.degraded == 0
        })
    })?;
    order(world, Verb::StopNodes(nodes(&others)));
    until_stopped(world, &others)?;
    let entry = named(world, NODE);
    for number in 0..8 {
        let ticket = clients.begin(world, Some(entry), get(&format!("/f{number}")));
        let read = clients.wait(world, ticket)?;
        if read != Done::Read(number + 1) {
            world.fail(None, format!("a file cannot be read any more: {read:?}"));
            world.finish()?;
        }
    }
    disk(world, DiskStep::Well);
    order(world, Verb::RescanVolumes(nodes(&[NODE])));
    until_state(world, NODE, VolumeState::Good)?;
    order(world, Verb::StartNodes(Selection::All));
    wait_until(world, "all online", all_online)
}

/// A disk is moved to another node, which adopts it, and a copy stays where it was.
fn a_copy_stays_behind(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    order(world, Verb::StopNodes(nodes(&[NODE, OTHER])));
    until_stopped(world, &[NODE, OTHER])?;
    let (one, other) = (named(world, NODE), named(world, OTHER));
    world.copy_volume((one, 0), (other, 0));
    order(world, Verb::StartNodes(nodes(&[OTHER])));
    until_state(world, OTHER, VolumeState::Foreign)?;
    let adopt = Verb::AdoptVolume {
        node: OTHER.to_owned(),
        path: format!("/{OTHER}/0"),
    };
    order(world, adopt);
    until_state(world, OTHER, VolumeState::Good)?;
    order(world, Verb::StartNodes(nodes(&[NODE])));
    wait_until(world, "all online", all_online)
}

/// A volume is drained that its node was last heard of as empty, and more is written then.
fn a_volume_is_drained(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    let drain = Verb::SetVolumeDuty {
        node: NODE.to_owned(),
        path: format!("/{NODE}/0"),
        drain: true,
    };
    order(world, drain);
    clients.run_for(world, seconds(20))?;
    for nth in 0..12 {
        clients.have(world, put(&format!("/g{nth}"), 100 + nth, 5_000))?;
    }
    Ok(())
}

pub(crate) const HUNTS: &[Hunt] = &[
    Hunt {
        bug: "report_nothing_reopened",
        plant: |bugs| bugs.report_nothing_reopened = true,
        drive: a_disk_is_mended,
        shows: "chunks are to be tended",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "reopen_amid_writes",
        plant: |bugs| bugs.reopen_amid_writes = true,
        drive: a_disk_fails_amid_writes,
        shows: "batches are on their way to it",
        without: &[],
        within: 8,
    },
    Hunt {
        bug: "ignore_volume_owners",
        plant: |bugs| bugs.ignore_volume_owners = true,
        drive: a_copy_stays_behind,
        shows: "which was given to another node",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "drained_unheard",
        plant: |bugs| bugs.drained_unheard = true,
        drive: a_volume_is_drained,
        shows: "is told to be drained, and has",
        without: &[],
        within: 4,
    },
];

/// On nodes of two volumes each.
pub(crate) const OF_TWO: &[Hunt] = &[
    Hunt {
        bug: "seek_on_failed_volumes",
        plant: |bugs| bugs.seek_on_failed_volumes = true,
        drive: a_volume_dies_beside_another,
        shows: "a file cannot be read any more",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "put_on_drained_volumes",
        plant: |bugs| bugs.put_on_drained_volumes = true,
        drive: a_volume_is_drained,
        shows: "is told to be drained, and has",
        without: &[],
        within: 4,
    },
];
