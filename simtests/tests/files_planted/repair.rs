//! Bugs planted in what makes replicas anew, and in what empties nodes.

use std::time::Duration;

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::files::Clients;
use simtests::vaquita::{
    MASTER, Vaquita, VaquitaWorld, all_online, controller, nodes, order, row, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::Verb;
use vaquita_core::dfs::ask::Ask;
use vaquita_core::disk::FileName;
use vaquita_core::message::ReplicaEntry;
use vaquita_core::state::Duty;

use crate::{Hunt, named, put, seconds};

/// Nodes are waited for so long.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// All that a node has is read in so long.
pub(crate) const SCRUB: Duration = Duration::from_secs(100);

/// The node that things are done to: alone on its host, so that another host can stand in.
pub(crate) const NODE: &str = "P2-NODE1";

pub(crate) fn set(world: &mut VaquitaWorld, duty: Duty) {
    let nodes = nodes(&[NODE]);
    order(world, Verb::SetDuty { nodes, duty });
}

pub(crate) fn write_some(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for number in 0..12 {
        clients.have(world, put(&format!("/f{number}"), number + 1, 5_000))?;
    }
    Ok(())
}

pub(crate) fn is_drained(world: &VaquitaWorld) -> bool {
    row(world, NODE).is_some_and(|row| row.admin == "drained")
}

/// Something that the log says of replicas and that is not so. Where no disk fails it never says that
/// a node has what it has not, nor names fewer nodes than a chunk is to have replicas.
pub(crate) fn untrue(world: &VaquitaWorld) -> Option<String> {
    let (_, machine) = controller(world)?;
    let factor = world.factory().cluster.files.factor;
    let running = world.nodes().filter_map(|node| match world.machine(node)? {
        Vaquita::DataNode(it) => Some((it.identity().0.node, it.entries())),
        _ => None,
    });
    let running: Vec<_> = running.collect();
    for chunk in machine.state().namespace.chunks_after(None) {
        let named = chunk.holder_count();
        if named < factor {
            return Some(format!("the log names {named} replicas of a chunk"));
        }
        let is_it = |entry: &ReplicaEntry| entry.version == chunk.version();
        let absent = running
            .iter()
            .any(|(node, has)| chunk.is_held_by(*node) && !has.iter().any(is_it));
        if absent {
            return Some("the log names a node that has no replica".to_owned());
        }
    }
    None
}

/// Lets time pass, and fails the run as soon as the log says what is not so.
fn watch(world: &mut VaquitaWorld, clients: &mut Clients, time: Duration) -> Result<(), Failure> {
    let until = world.now().after(time);
    while world.now() < until {
        clients.run_for(world, Duration::from_millis(1))?;
        if let Some(what) = untrue(world) {
            world.fail(None, what);
            return world.finish();
        }
    }
    Ok(())
}

/// Writes are under way for seconds, and nothing else is on the node.
fn drain_amid_writes(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    for name in ["P1-NODE1", "P3-NODE1", "P4-NODE1"] {
        let node = format!("{name}/0");
        let what = DiskStep::Slow(1000);
        world.disturb(&Step::Disk { node, what });
    }
    for nth in 0..6 {
        clients.begin(world, None, put(&format!("/f{nth}"), nth + 1, 2_000));
    }
    clients.run_for(world, Duration::from_millis(3))?;
    set(world, Duty::Drain);
    clients.finish(world)?;
    wait_until(world, "it is drained", is_drained)
}

fn write_beside_a_drained_node(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    set(world, Duty::Drain);
    wait_until(world, "it is drained", is_drained)?;
    write_some(world, clients)?;
    expect(
        world,
        is_drained(world),
        "something was put on a drained node",
    )
}

fn drain(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    set(world, Duty::Drain);
    watch(world, clients, seconds(3))?;
    wait_until(world, "it is drained", is_drained)
}

fn a_host_is_lost(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    let lost = world.host("h2").expect("it is there");
    world.power_cut(lost);
    clients.run_for(world, seconds(7) + WAIT)?;
    watch(world, clients, seconds(8))?;
    world.power_on(lost);
    wait_until(world, "all online", all_online)
}

fn a_host_is_away_for_a_moment(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    let away = world.host("h2").expect("it is there");
    world.power_cut(away);
    clients.run_for(world, seconds(8) + WAIT / 2)?;
    world.power_on(away);
    wait_until(world, "all online", all_online)?;
    let idle = world.mark("repair.copied") == 0;
    expect(
        world,
        idle,
        "a node that was away for a moment was replaced",
    )
}

fn repair_is_suspended(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    let suspend = |suspend| Verb::Dfs(Ask::SuspendRepair { suspend });
    order(world, suspend(true));
    let lost = world.host("h2").expect("it is there");
    world.power_cut(lost);
    clients.run_for(world, seconds(15) + WAIT)?;
    let idle = world.mark("repair.copied") == 0;
    expect(
        world,
        idle,
        "something was copied although an operator forbade it",
    )?;
    order(world, suspend(false));
    world.power_on(lost);
    wait_until(world, "all online", all_online)
}

fn the_controller_dies_amid_a_drain(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    set(world, Duty::Drain);
    clients.run_for(world, Duration::from_millis(5))?;
    world.kill(named(world, MASTER));
    wait_until(world, "all online", all_online)?;
    clients.run_for(world, seconds(620))?;
    expect(world, is_drained(world), "an order was forgotten")
}

fn a_maintenance_is_over(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    write_some(world, clients)?;
    set(world, Duty::Maintenance { for_ms: 30_000 });
    clients.run_for(world, seconds(31))?;
    let over = row(world, NODE).is_some_and(|row| row.admin == "none");
    expect(world, over, "a maintenance does not end")
}

/// Nodes differ by little, as they do.
fn nothing_is_moved_for_little(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    clients.run_for(world, seconds(60))?;
    let idle = world.mark("repair.copied") == 0;
    expect(world, idle, "something was moved for little")
}

pub(crate) fn bytes_rot_unread(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    write_some(world, clients)?;
    for _ in 0..20 {
        let node = format!("{NODE}/0");
        let what = DiskStep::Rot;
        world.disturb(&Step::Disk { node, what });
        clients.run_for(world, Duration::from_millis(1))?;
    }
    clients.run_for(world, 2 * SCRUB + seconds(60))?;
    let found = world.mark("volume.damaged_chunk") > 0;
    expect(world, found, "nobody has found what is rotten")
}

pub(crate) fn a_label_rots(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let (node, now) = (named(world, NODE), world.now());
    let file = FileName::fixed("vaquita.vol");
    let disk = world.volume_mut(node, 0).expect("it has a volume");
    let good = disk.files();
    let mut files = good.clone();
    files.get_mut(&file).expect("it is labelled")[20] ^= 1;
    disk.replace(now, &files);
    clients.run_for(world, SCRUB + seconds(2))?;
    let disk = world.volume(node, 0).expect("it has a volume");
    let mended = disk.files().get(&file) == good.get(&file);
    expect(world, mended, "nobody has mended the label")
}

pub(crate) fn somebody_removes_a_label(
    world: &mut VaquitaWorld,
    clients: &mut Clients,
) -> Result<(), Failure> {
    let (node, now) = (named(world, NODE), world.now());
    let disk = world.volume_mut(node, 0).expect("it has a volume");
    let good = disk.files();
    let mut files = good.clone();
    files.retain(|name, _| !name.as_str().starts_with("vaquita.vol"));
    disk.replace(now, &files);
    clients.run_for(world, SCRUB + seconds(2))?;
    let disk = world.volume_mut(node, 0).expect("it has a volume");
    let left_alone = disk.files() == files;
    disk.replace(now, &good);
    expect(
        world,
        left_alone,
        "a label that somebody removed was written",
    )
}

pub(crate) fn expect(world: &mut VaquitaWorld, so: bool, what: &str) -> Result<(), Failure> {
    if !so {
        world.fail(None, what.to_owned());
    }
    world.finish()
}

pub(crate) const HUNTS: &[Hunt] = &[
    Hunt {
        bug: "drained_early",
        plant: |bugs| bugs.drained_early = true,
        drive: drain_amid_writes,
        shows: "told to be drained",
        without: &[],
        within: 4,
    },
    Hunt {
        bug: "place_on_draining",
        plant: |bugs| bugs.place_on_draining = true,
        drive: write_beside_a_drained_node,
        shows: "drained",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "drain_without_copies",
        plant: |bugs| bugs.drain_without_copies = true,
        drive: drain,
        shows: "the log names 2 replicas",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "count_copies_ordered",
        plant: |bugs| bugs.count_copies_ordered = true,
        drive: a_host_is_lost,
        shows: "the log names a node that has no replica",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "give_up_absent",
        plant: |bugs| bugs.give_up_absent = true,
        drive: a_host_is_lost,
        shows: "the log names 2 replicas",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "await_nobody",
        plant: |bugs| bugs.await_nobody = true,
        drive: a_host_is_away_for_a_moment,
        shows: "was away for a moment was replaced",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "repair_regardless",
        plant: |bugs| bugs.repair_regardless = true,
        drive: repair_is_suspended,
        shows: "although an operator forbade it",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "forget_duties",
        plant: |bugs| bugs.forget_duties = true,
        drive: the_controller_dies_amid_a_drain,
        shows: "an order was forgotten",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "endless_balance",
        plant: |bugs| bugs.endless_balance = true,
        drive: nothing_is_moved_for_little,
        shows: "something was moved for little",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "scrub_nothing",
        plant: |bugs| bugs.scrub_nothing = true,
        drive: bytes_rot_unread,
        shows: "nobody has found what is rotten",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "leave_labels",
        plant: |bugs| bugs.leave_labels = true,
        drive: a_label_rots,
        shows: "nobody has mended the label",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "relabel_regardless",
        plant: |bugs| bugs.relabel_regardless = true,
        drive: somebody_removes_a_label,
        shows: "a label that somebody removed was written",
        without: &[],
        within: 2,
    },
    Hunt {
        bug: "endless_maintenance",
        plant: |bugs| bugs.endless_maintenance = true,
        drive: a_maintenance_is_over,
        shows: "a maintenance does not end",
        without: &[],
        within: 2,
    },
];
