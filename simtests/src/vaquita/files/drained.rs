//! A volume that is told to be drained can be taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use vaquita_core::controller::Controller;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkVersion, VolumeSlot};
use vaquita_core::dfs::namespace::ChunkView;
use vaquita_core::ids::Alias;
use vaquita_core::store::scan::scan;

use super::checkers::{contents, place_of};
use crate::checker::Checker;
use crate::disk::{Cached, SimDisk};
use crate::time::SimTime;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::world::{NodeIx, StepRecord};

/// What a controller tells of a volume that is drained is so: nothing is lost if its disk is taken away.
/// Its node has nothing on it; and if it cannot be read, what is on its disk all the same is there
/// elsewhere.
#[derive(Debug, Default)]
pub struct DrainedIsEmpty {
    /// As of the last look, which is dear where disks are read.
    told: Vec<(Alias, VolumeSlot)>,
    /// Since when those that could not be read have something again: a node has read a disk anew, and found what
    /// it had given up and could not forget. Its word of that is on its way.
    regained: BTreeMap<(Alias, VolumeSlot), SimTime>,
}

/// How long such a word may take, over a network that is cut for a while.
const WORD_MAX: Duration = Duration::from_secs(30);

fn left(world: &VaquitaWorld, node: NodeIx, slot: VolumeSlot) -> usize {
    match world.machine(node) {
        Some(Vaquita::DataNode(machine)) => machine.count_on(slot),
        _ => 0,
    }
}

/// Whether the controller goes by the word of this very process: one that was not let in yet may have
/// found again what the one before had given up.
fn is_of_its_registration(world: &VaquitaWorld, master: &Controller, node: NodeIx) -> bool {
    let Some(Vaquita::DataNode(machine)) = world.machine(node) else {
        return false;
    };
    let registry = &master.state().registry;
    let registered = registry.get(world.alias(node)).map(|it| it.epoch);
    registered == Some(machine.identity().2)
}

/// A chunk on a volume's disk that some file has, and that is nowhere else in the same form: not with a
/// running node, and not on a disk of one that does not run. Where any other disk was ever bad, it may be
/// nowhere else without anybody's fault.
fn nowhere_else(
    world: &VaquitaWorld,
    master: &Controller,
    node: NodeIx,
    slot: VolumeSlot,
) -> Option<ChunkVersion> {
    let volumes = |node| (0..world.volumes(node)).map(VolumeSlot);
    let on_disk = |node, slot: VolumeSlot| {
        let scanned = world.volume(node, slot.0).map(|disk| scan(&Cached(disk)));
        let found = scanned.and_then(Result::ok);
        found.map_or_else(BTreeMap::new, |(_, found)| contents(&found))
    };
    let elsewhere = |version: ChunkVersion, what: (u64, Digest)| {
        world.nodes().any(|other| match world.machine(other) {
            Some(Vaquita::DataNode(machine)) => machine.entries().into_iter().any(|it| {
                let is_it = it.version == version && (it.len, it.digest) == what;
                is_it && (other, it.volume) != (node, slot)
            }),
            _ => {
                let mut others = volumes(other).filter(|it| (other, *it) != (node, slot));
                others.any(|it| on_disk(other, it).get(&version) == Some(&what))
            }
        })
    };
    let names = &master.state().namespace;
    // What another holder had may be gone with its disk.
    let excused = |chunk: ChunkView<'_>| {
        let holders = chunk.holders();
        let mut places = holders.filter_map(|holder| place_of(world, master.state(), holder));
        places.any(|place| {
            volumes(place).any(|it| (place, it) != (node, slot) && was_faulty(world, place, it))
        })
    };
    let needed = on_disk(node, slot).into_iter().filter(|(version, what)| {
        let chunk = names.chunk_version(*version);
        chunk.is_some_and(|chunk| (chunk.len(), chunk.digest()) == *what && !excused(chunk))
    });
    let mut lost = needed.filter(|(version, what)| !elsewhere(*version, *what));
    lost.next().map(|(version, _)| version)
}

fn was_faulty(world: &VaquitaWorld, node: NodeIx, slot: VolumeSlot) -> bool {
    world.volume(node, slot.0).is_none_or(SimDisk::was_faulty)
}

/// Whether the controller takes a volume for one that can be read.
fn is_readable(master: &Controller, alias: &Alias, slot: VolumeSlot) -> bool {
    let stock = master.stock_of(alias);
    let volumes = stock.map(|stock| stock.volumes).unwrap_or_default();
    volumes
        .iter()
        .any(|it| it.slot == slot && it.state.is_readable())
}

impl Checker<VaquitaFactory> for DrainedIsEmpty {
    fn name(&self) -> &'static str {
        "what is drained is empty"
    }

    fn after_step(&mut self, world: &VaquitaWorld, _: &StepRecord) -> Result<(), String> {
        let Some((_, master)) = controller(world) else {
            return Ok(());
        };
        if master.state().draining_volumes.is_empty() {
            return Ok(());
        }
        let told = master.drained_volumes();
        for (alias, slot) in &told {
            let Some(node) = world.node(alias.as_str()) else {
                continue;
            };
            let left = match is_of_its_registration(world, master, node) {
                true => left(world, node, *slot),
                false => 0,
            };
            let fresh = !self.told.contains(&(alias.clone(), *slot));
            let regained = &mut self.regained;
            let late = match left {
                0 => {
                    regained.remove(&(alias.clone(), *slot));
                    false
                }
                _ => {
                    let since = *regained
                        .entry((alias.clone(), *slot))
                        .or_insert(world.now());
                    let awaited = !is_readable(master, alias, *slot);
                    fresh || !awaited || world.now().since(since) > WORD_MAX
                }
            };
            if late {
                return Err(format!(
                    "volume {} of {alias} is told to be drained, and has {left} chunks",
                    slot.0
                ));
            }
            if fresh && let Some(version) = nowhere_else(world, master, node, *slot) {
                return Err(format!(
                    "volume {} of {alias} is told to be drained, and its disk alone has {version}",
                    slot.0
                ));
            }
        }
        self.told = told;
        Ok(())
    }
}
