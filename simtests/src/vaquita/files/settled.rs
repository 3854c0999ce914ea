//! What must hold once nothing is wrong any more and nobody wants anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkId, ChunkVersion};
use vaquita_core::ids::NodeId;
use vaquita_core::store::scan::scan;

use super::checkers::contents;
use super::clients::Clients;
use crate::disk::Cached;
use crate::vaquita::{Vaquita, VaquitaWorld, controller};
use crate::world::Failure;

/// What is still on its way, or does not agree: `None` if the cluster is at rest and what the
/// controller knows is what a look at all disks gives.
///
/// Chunks that are missing, since a disk was lost, are no unrest if the controller knows of them.
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
    let names = &machine.state().namespace;
    for node in world.nodes() {
        let Some(Vaquita::DataNode(data_node)) = world.machine(node) else {
            continue;
        };
        let alias = world.alias(node);
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
        let stock = machine.stock_of(alias)?;
        if !stock.known {
            return Some(format!("{alias} has not reported"));
        }
        if stock.sum != sum {
            return Some(format!("the sums of what {alias} has differ"));
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
        let beside: Vec<&ChunkVersion> = entries.keys().filter(|it| !wanted.contains(it)).collect();
        if !beside.is_empty() || !stock.extras.is_empty() {
            return Some(format!(
                "{alias} has {beside:?} beside what the log says; the controller knows of {:?}",
                stock.extras
            ));
        }
        if let Some(what) = disks_differ(world, node, &entries) {
            return Some(format!("{alias}: {what}"));
        }
    }
    None
}

/// Whether a look at a node's disks gives something else than its machine says.
fn disks_differ(
    world: &VaquitaWorld,
    node: crate::world::NodeIx,
    entries: &BTreeMap<ChunkVersion, (u64, Digest)>,
) -> Option<String> {
    let mut there = BTreeMap::new();
    for slot in 0..world.volumes(node) {
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
        there.extend(contents(&found));
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

/// Lets time pass until the cluster is at rest: no orphan, no open write, and everybody agrees.
///
/// # Errors
/// If that takes longer than the times after which things are given up.
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
    if let Err(what) = clients.history().check() {
        world.fail(None, what);
    }
    world.finish()
}
