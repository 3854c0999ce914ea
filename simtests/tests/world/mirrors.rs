//! Copies of the controller's log on data nodes.

use simtests::plan::{DiskStep, Step};
use simtests::vaquita::{
    Cluster, MASTER, VaquitaWorld, bring_online, controller, nodes, order, wait_until,
};
use simtests::world::Failure;
use vaquita_core::admin::{MirrorRow, Verb};
use vaquita_core::ids::{ClusterId, LogIndex};
use vaquita_core::io::ExitCode;
use vaquita_core::mirror::words::MirrorCopy;
use vaquita_core::mirror::{self, Shelf, is_mirror};

use crate::story::{Story, expect, ready, run, seconds};

/// A log of short segments and checkpoints, with copies on two nodes.
fn cluster(seed: u64) -> Cluster {
    let mut cluster = Cluster::of(4).with_tiny_limits();
    cluster.mirrors = 2;
    cluster.limits.mirror_piece = [64, 200, 4096][usize::try_from(seed % 3).unwrap_or(0)];
    cluster.limits.mirror_log_bytes = 1500;
    cluster
}

/// The copies as the controller shows them.
fn copies(world: &VaquitaWorld) -> Vec<MirrorRow> {
    let Some((master, controller)) = controller(world) else {
        return Vec::new();
    };
    let now = world.local_time(master).unwrap_or_default();
    controller.status(now).log_copies
}

fn synced(world: &VaquitaWorld) -> LogIndex {
    controller(world).map_or(LogIndex(0), |(_, it)| it.log_positions().0)
}

/// Whether so many copies have all that the log has.
fn complete(world: &VaquitaWorld, wanted: usize) -> bool {
    let copies = copies(world);
    copies.len() == wanted
        && (copies.iter()).all(|copy| copy.complete && copy.upto == synced(world))
}

/// What a node's disk has of the log.
fn on_disk(world: &VaquitaWorld, name: &str, shelf: Shelf) -> MirrorCopy {
    let node = world.node(name).expect("there is such a node");
    let cluster = controller(world).and_then(|(_, it)| it.state().cluster);
    let cluster = cluster.unwrap_or(ClusterId::new([0; 16]));
    mirror::survey(&world.disk(node).files(), shelf, cluster, false)
}

/// Holds what the copies are said to be against what is on the disks.
fn compare(world: &mut VaquitaWorld) -> Result<(), Failure> {
    for row in copies(world) {
        let copy = on_disk(world, row.alias.as_str(), Shelf::Present);
        let end = copy.end.as_ref().map(|end| end.index);
        let so = end >= Some(row.upto);
        let what = format!(
            "{} is said to have {} and has {copy:?}",
            row.alias, row.upto
        );
        expect(world, so, &what)?;
    }
    Ok(())
}

/// Has something written into the log, so often.
fn write(world: &mut VaquitaWorld, times: u32) -> Result<(), Failure> {
    write_about(world, times, |_| true)
}

/// The same, about some of the nodes.
fn write_about(
    world: &mut VaquitaWorld,
    times: u32,
    about: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    for round in 0..times {
        let name = Cluster::node_name(1 + round % 4, 1);
        if !about(&name) {
            continue;
        }
        let verb = if round % 8 < 4 {
            Verb::StopNodes(nodes(&[&name]))
        } else {
            Verb::StartNodes(nodes(&[&name]))
        };
        order(world, verb);
        world.run_for(std::time::Duration::from_millis(700))?;
    }
    Ok(())
}

/// What the log says is on two data nodes a moment later, and what is said of it is so; whatever
/// process is killed and started again meanwhile.
#[test]
fn copies_of_the_log_follow_it() {
    let summary = run(
        20,
        Story {
            name: "mirrors::copies_of_the_log_follow_it",
            cluster,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                wait_until(world, "two copies are complete", |it| complete(it, 2))?;
                compare(world)?;
                let mut names: Vec<String> = copies(world)
                    .iter()
                    .map(|it| it.alias.to_string())
                    .collect();
                names.push(MASTER.to_owned());
                for name in names.iter().cycle().take(9) {
                    write(world, 4)?;
                    world.disturb(&Step::Kill(name.clone()));
                    world.run_for(seconds(3))?;
                    compare(world)?;
                }
                write(world, 8)?;
                order(world, Verb::StartNodes(vaquita_core::admin::Selection::All));
                wait_until(world, "both are complete again", |it| complete(it, 2))?;
                compare(world)
            },
        },
    );
    assert!(
        summary.count("mirror.complete") > 0,
        "none of the runs came to mirror.complete"
    );
    assert!(
        summary.count("metalog.checkpoint") > 0,
        "none of the runs came to metalog.checkpoint"
    );
}

/// Power cuts and lost bytes at the nodes with copies: what a crash left behind is cut off and gone on
/// from, what is damaged is put aside and made anew.
#[test]
fn a_copy_survives_power_cuts_and_is_made_anew_when_it_rots() {
    let summary = run(
        20,
        Story {
            name: "mirrors::a_copy_survives_power_cuts_and_is_made_anew_when_it_rots",
            cluster,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                wait_until(world, "two copies are complete", |it| complete(it, 2))?;
                for round in 0..6_u32 {
                    let name = copies(world)[0].alias.to_string();
                    let host = world.host_of(world.node(&name).expect("it is there"));
                    let host = world.host_state(host).name.clone();
                    order(world, Verb::StopNodes(nodes(&["P4-NODE1"])));
                    world.disturb(&Step::PowerCut(host.clone()));
                    if round % 2 == 1 {
                        let node = world.node(&name).expect("it is there");
                        let mut mirrors = world.disk(node).files().into_keys().filter(is_mirror);
                        let victim = mirrors.next_back().expect("it has a copy");
                        world.count("test.rotten", 1);
                        rot(world, &name, victim.as_str());
                    }
                    world.run_for(seconds(1))?;
                    world.disturb(&Step::PowerOn(host));
                    order(world, Verb::StartNodes(nodes(&["P4-NODE1"])));
                    wait_until(world, "there are two copies again", |it| complete(it, 2))?;
                    compare(world)?;
                }
                Ok(())
            },
        },
    );
    assert!(
        summary.count("test.rotten") > 0,
        "none of the runs came to test.rotten"
    );
    assert!(
        summary.count("mirror.anew") > 0,
        "none of the runs came to mirror.anew"
    );
}

/// Flips bits of a file.
fn rot(world: &mut VaquitaWorld, name: &str, file: &str) {
    let node = world.node(name).expect("there is such a node");
    let mut bytes = {
        let file = vaquita_core::disk::FileName::new(file).expect("a name");
        world.disk(node).read(&file).expect("it is there").to_vec()
    };
    let at = bytes.len() / 3;
    bytes[at] ^= 0x40;
    let file = vaquita_core::disk::FileName::new(file).expect("a name");
    let mut files = world.disk(node).files();
    files.insert(file, bytes);
    let now = world.now();
    world.disk_mut(node).replace(now, &files);
}

/// A node with a copy is gone for good: another one takes its place, and the copies on nodes that are
/// not needed are removed.
#[test]
fn another_node_takes_the_place_of_one_that_is_gone() {
    run(
        10,
        Story {
            name: "mirrors::another_node_takes_the_place_of_one_that_is_gone",
            cluster,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                wait_until(world, "two copies are complete", |it| complete(it, 2))?;
                let first = copies(world)[0].alias.to_string();
                order(world, Verb::StopNodes(nodes(&[&first])));
                wait_until(world, "it is replaced", |it| {
                    complete(it, 2) && copies(it).iter().all(|row| row.alias.as_str() != first)
                })?;
                compare(world)?;
                order(world, Verb::StartNodes(nodes(&[&first])));
                world.run_for(seconds(10))?;
                let stays = complete(world, 2);
                expect(world, stays, "its return changes nothing")?;
                let left = on_disk(world, &first, Shelf::Present);
                let removed = left == MirrorCopy::default();
                expect(world, removed, "its old copy is removed")
            },
        },
    );
}

/// A node's home is full: its copy is given up and not the node, and is made again when there is room.
#[test]
fn a_full_disk_costs_the_copy_and_not_the_node() {
    let summary = run(
        10,
        Story {
            name: "mirrors::a_full_disk_costs_the_copy_and_not_the_node",
            cluster,
            prepare: ready,
            drive: |world| {
                bring_online(world)?;
                wait_until(world, "two copies are complete", |it| complete(it, 2))?;
                let name = copies(world)[0].alias.to_string();
                let node = world.node(&name).expect("it is there");
                let room = |bytes| Step::Disk {
                    node: name.clone(),
                    what: DiskStep::Room(bytes),
                };
                // For the node's own small files, and not for much of a log.
                world.disturb(&room(300));
                for _ in 0..10 {
                    if world.mark("mirror.disk") == 0 {
                        write_about(world, 8, |it| it != name)?;
                    }
                }
                let full = world.mark("mirror.disk") > 0;
                expect(world, full, "the disk does not get full")?;
                order(world, Verb::StartNodes(vaquita_core::admin::Selection::All));
                wait_until(world, "another has taken its place", |it| {
                    let fit = |row: &MirrorRow| row.complete && row.alias.as_str() != name;
                    copies(it).iter().filter(|row| fit(row)).count() == 2
                })?;
                world.disturb(&room(1 << 20));
                wait_until(world, "there are two copies again", |it| complete(it, 2))?;
                compare(world)?;
                let mut ended = world.ended().iter().filter(|it| it.node == node);
                let died = ended.any(|it| it.reason.code == ExitCode::DiskFault);
                expect(world, !died, "the node died of it")
            },
        },
    );
    assert!(
        summary.count("mirror.disk") > 0,
        "none of the runs came to mirror.disk"
    );
}
