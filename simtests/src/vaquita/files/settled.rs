//! What must hold once nothing is wrong any more and nobody wants anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vaquita_core::controller::{Controller, StockView};
use vaquita_core::dfs::ask::EntryKind;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkId, ChunkVersion};
use vaquita_core::dfs::path::DfsPath;
use vaquita_core::ids::{Alias, NodeId};
use vaquita_core::store::scan::scan;
use vaquita_core::time::Timestamp;

use super::checkers::contents;
use super::clients::{Clients, Done, Order};
use crate::disk::Cached;
use crate::vaquita::{Vaquita, VaquitaWorld, controller};
use crate::world::{Failure, NodeIx};

/// What is still on its way, or does not agree: `None` if the cluster is at rest and what the
/// controller knows is what a look at all disks gives.
///
/// Chunks that are missing are no unrest if the controller knows of them and the node has had a bad
/// disk: a good one keeps what was acknowledged.
#[must_use]
pub fn unrest(world: &VaquitaWorld) -> Option<String> {
    let Some((_, machine)) = controller(world) else {
        return Some("there is no controller".to_owned());
    };
    if machine.open_writes() > 0 {
        return Some(format!("{} writes are open", machine.open_writes()));
    }
    if world.transfers() > 0 {
        return Some(format!("{} transfers are under way", world.transfers()));
    }
    let (taken_up, files) = (machine.files_config(), &world.factory().cluster.files);
    if taken_up != files {
        return Some(format!(
            "the controller keeps files as {taken_up:?}, and its configuration says {files:?}"
        ));
    }
    let repairs = machine.repairs(Timestamp::ZERO);
    if let Some(copy) = repairs.copies.first() {
        return Some(format!("chunk {} is being copied", copy.chunk));
    }
    let wanted = [
        repairs.last_copy,
        repairs.degraded,
        repairs.leaving,
        repairs.misplaced,
        repairs.surplus,
    ];
    let wanted: u64 = wanted.iter().sum();
    if repairs.surveying || wanted > repairs.stuck.len() as u64 {
        return Some(format!(
            "{wanted} chunks are to be tended: {:?}",
            repairs.stuck
        ));
    }
    let names = &machine.state().namespace;
    for node in world.nodes() {
        let Some(Vaquita::DataNode(data_node)) = world.machine(node) else {
            continue;
        };
        let alias = world.alias(node);
        let (identity, _, spoken, _) = data_node.identity();
        let registered = machine.state().registry.get(alias).map(|it| it.epoch);
        if registered != Some(spoken) || identity.witness.epoch != machine.epoch().0 {
            return Some(format!(
                "{alias} speaks under epoch {spoken} to controller epoch {}; granted were {registered:?} \
                 under {}",
                identity.witness.epoch,
                machine.epoch().0
            ));
        }
        if !data_node.is_idle() || world.stages(node) > 0 {
            return Some(format!(
                "{alias} is not idle and its driver holds {} stages",
                world.stages(node)
            ));
        }
        let entries: BTreeMap<ChunkVersion, (u64, Digest)> = data_node
            .entries()
            .into_iter()
            .map(|entry| (entry.version, (entry.len, entry.digest)))
            .collect();
        let id: NodeId = data_node.identity().0.node;
        let sum = data_node
            .entries()
            .iter()
            .fold(0_u64, |sum, entry| sum.wrapping_add(entry.fingerprint()));
        let Some(stock) = machine.stock_of(alias) else {
            return Some(format!("the controller knows nothing of what {alias} has"));
        };
        if stock.reports == 0 {
            return Some(format!("{alias} has not reported"));
        }
        if stock.sum != sum {
            return Some(format!(
                "the sums of what {alias} has differ: {} by the controller, {sum} of what its volumes \
                 have, {:?} by its news",
                stock.sum,
                data_node.inventory()
            ));
        }
        let mut missing: BTreeSet<ChunkId> = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for chunk in names.chunks_on(id) {
            let what = (chunk.len(), chunk.digest());
            wanted.insert(chunk.version());
            if entries.get(&chunk.version()) != Some(&what) {
                missing.insert(chunk.version().chunk);
            }
        }
        let known: BTreeSet<ChunkId> = stock.missing.iter().copied().collect();
        if known != missing {
            return Some(format!(
                "{alias} is missing {missing:?}, and the controller knows of {known:?}"
            ));
        }
        if !missing.is_empty() && !had_a_bad_disk(world, node) {
            return Some(format!(
                "{alias} lost {missing:?}, and its disks have done nothing wrong"
            ));
        }
        let beside: Vec<&ChunkVersion> = entries.keys().filter(|it| !wanted.contains(it)).collect();
        if !beside.is_empty() || !stock.extras.is_empty() {
            return Some(format!(
                "{alias} has {beside:?} beside what the log says; the controller knows of {:?}",
                stock.extras
            ));
        }
        if let Some(what) = uses_anothers_volume(machine, alias, id, &stock) {
            return Some(what);
        }
        if let Some(what) = disks_differ(world, node, &stock, &entries) {
            return Some(format!("{alias}: {what}"));
        }
    }
    None
}

/// Whether a node uses a volume that was given to another, or that another uses as well.
fn uses_anothers_volume(
    machine: &Controller,
    alias: &Alias,
    node: NodeId,
    stock: &StockView,
) -> Option<String> {
    let in_use = stock.volumes.iter().filter(|it| it.state.is_readable());
    for volume in in_use.filter_map(|it| it.id) {
        let owner = machine.state().owners.get(&volume);
        if owner.is_some_and(|owner| owner.node != node) {
            return Some(format!(
                "{alias} uses volume {volume}, which was given to another node"
            ));
        }
        let rows = machine.rows(Timestamp::ZERO).into_iter();
        let others = rows.map(|row| row.alias).filter(|it| it != alias);
        for other in others {
            let theirs = machine.stock_of(&other).map(|it| it.volumes);
            let mut theirs = theirs.into_iter().flatten();
            if theirs.any(|it| it.state.is_readable() && it.id == Some(volume)) {
                return Some(format!("{alias} and {other} use the same volume, {volume}"));
            }
        }
    }
    None
}

/// Whether a node may miss what it once had.
fn had_a_bad_disk(world: &VaquitaWorld, node: NodeIx) -> bool {
    (0..world.volumes(node)).any(|slot| {
        world
            .volume(node, slot)
            .is_none_or(crate::disk::SimDisk::was_faulty)
    })
}

/// Files that are read back at most when a run ends.
const READ_BACK: usize = 200;

/// Files that had to be readable when a run ended. One that is never counted says that every file was
/// excused.
pub const READ_BACK_REQUIRED: &str = "files.read_back_required";

/// Every file that the controller knows of reads as what was written, unless every replica of one of
/// its chunks was on bad disks.
///
/// # Errors
/// If a file does not, or the run goes wrong.
fn read_back(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    let files = files_of(world);
    let every = files.len().div_ceil(READ_BACK).max(1);
    for (path, excused) in files.into_iter().step_by(every) {
        let read = clients.have(world, Order::Get { path: path.clone() })?;
        world.count(READ_BACK_REQUIRED, u64::from(!excused));
        if !matches!(read, Done::Read(_)) && !excused {
            let what = format!("{path} is in the namespace and cannot be read: {read:?}");
            world.fail(None, what);
            return world.finish();
        }
    }
    Ok(())
}

/// Every file that the controller knows of, and whether it may be unreadable.
fn files_of(world: &VaquitaWorld) -> Vec<(String, bool)> {
    let Some((_, machine)) = controller(world) else {
        return Vec::new();
    };
    let names = &machine.state().namespace;
    let good: BTreeSet<NodeId> = world
        .nodes()
        .filter(|node| !had_a_bad_disk(world, *node))
        .filter_map(|node| match world.machine(node) {
            Some(Vaquita::DataNode(it)) => Some(it.identity().0.node),
            _ => None,
        })
        .collect();
    let mut files = Vec::new();
    let mut directories = vec![DfsPath::root()];
    while let Some(directory) = directories.pop() {
        let listing = names.list(&directory, None, usize::MAX);
        for entry in listing.map(|it| it.entries).unwrap_or_default() {
            if entry.kind == EntryKind::Directory {
                directories.push(entry.path);
                continue;
            }
            let excused = names
                .file_chunks(entry.inode, 0)
                .any(|it| !it.chunk.holders().any(|holder| good.contains(&holder)));
            files.push((entry.path.as_str().to_owned(), excused));
        }
    }
    files
}

/// Whether a look at a node's disks gives something else than its machine says.
fn disks_differ(
    world: &VaquitaWorld,
    node: NodeIx,
    stock: &StockView,
    entries: &BTreeMap<ChunkVersion, (u64, Digest)>,
) -> Option<String> {
    let mut there = BTreeMap::new();
    for slot in 0..world.volumes(node) {
        let known = stock.volumes.iter().find(|it| it.slot.0 == slot);
        if known.is_some_and(|it| !it.state.is_readable()) {
            // It is not in use, and what is on it is none of the node's business.
            continue;
        }
        let disk = world.volume(node, slot)?;
        if disk.used() > disk.profile.capacity {
            return Some(format!("volume {slot} is fuller than it can be"));
        }
        if disk.dead || disk.incidents().iter().next().is_some() {
            // What it does is not the machine's doing.
            return None;
        }
        let Ok((_, found)) = scan(&Cached(disk)) else {
            return Some(format!("volume {slot} cannot be read"));
        };
        for (version, what) in contents(&found) {
            if there.insert(version, what).is_some() {
                return Some(format!("chunk {version} is on two of its volumes"));
            }
        }
    }
    (there != *entries).then(|| {
        let disks: Vec<_> = there
            .keys()
            .filter(|it| !entries.contains_key(it))
            .collect();
        let machine: Vec<_> = entries
            .keys()
            .filter(|it| !there.contains_key(it))
            .collect();
        format!("only on its disks: {disks:?}; only in its machine: {machine:?}")
    })
}

/// Lets time pass until the cluster is at rest: no orphan, no open write, and everybody agrees. Then
/// reads every file.
///
/// # Errors
/// If that takes longer than the times after which things are given up, or a file cannot be read.
pub fn bring_to_rest(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    clients.finish(world)?;
    let limits = &world.factory().cluster.limits;
    let patience = limits.orphan_grace.max(limits.safe_mode_max)
        + limits.dfs_write_timeout
        + Duration::from_secs(60);
    let until = world.now().after(patience);
    let mut rested = unrest(world);
    while rested.is_some() && world.now() < until {
        clients.run_for(world, Duration::from_secs(1))?;
        rested = unrest(world);
    }
    if let Some(what) = rested {
        let secs = patience.as_secs();
        world.fail(None, format!("not at rest after {secs} s: {what}"));
    }
    read_back(world, clients)?;
    if let Err(wrongs) = clients.history().check() {
        for wrong in wrongs {
            world.fail(None, wrong.to_string());
        }
    }
    world.finish()
}
