//! A volume that is told to be drained can be taken away.

use std::collections::BTreeMap;

use vaquita_core::controller::Controller;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkVersion, VolumeSlot};
use vaquita_core::ids::Alias;
use vaquita_core::store::scan::scan;

use super::checkers::contents;
use crate::checker::Checker;
use crate::disk::Cached;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::world::{NodeIx, StepRecord};

/// What a controller tells of a volume that is drained is so: nothing is lost if its disk is taken away.
/// Its node has nothing on it; and if it cannot be read, what is on its disk all the same is there
/// elsewhere.
#[derive(Debug, Default)]
pub struct DrainedIsEmpty {
    /// As of the last look, which is dear where disks are read.
    told: Vec<(Alias, VolumeSlot)>,
}

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

/// A chunk on a volume's disk of which the files know, and which no running node has in the same form.
fn nowhere_else(
    world: &VaquitaWorld,
    master: &Controller,
    node: NodeIx,
    slot: VolumeSlot,
) -> Option<ChunkVersion> {
    let disk = world.volume(node, slot.0)?;
    let (_, found) = scan(&Cached(disk)).ok()?;
    let there: BTreeMap<ChunkVersion, (u64, Digest)> = contents(&found);
    let others = |version, what| {
        world.nodes().any(|other| match world.machine(other) {
            Some(Vaquita::DataNode(machine)) => {
                let mut entries = machine.entries().into_iter();
                entries.any(|it| it.version == version && (it.len, it.digest) == what)
            }
            _ => false,
        })
    };
    let names = &master.state().namespace;
    let id = match world.machine(node) {
        Some(Vaquita::DataNode(machine)) => machine.identity().0.node,
        _ => return None,
    };
    let needed = there.into_iter().filter(|(version, what)| {
        names.chunk_version(*version).is_some_and(|chunk| {
            // Where its node has nothing to do with it any more, others were found to have it.
            chunk.is_held_by(id) && (chunk.len(), chunk.digest()) == *what
        })
    });
    let mut lost = needed.filter(|(version, what)| !others(*version, *what));
    lost.next().map(|(version, _)| version)
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
            if left > 0 {
                return Err(format!(
                    "volume {} of {alias} is told to be drained, and has {left} chunks",
                    slot.0
                ));
            }
            let fresh = !self.told.contains(&(alias.clone(), *slot));
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
