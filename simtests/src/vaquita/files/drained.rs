//! A volume that is told to be drained has nothing.

use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::ids::Alias;

use crate::checker::Checker;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::world::StepRecord;

/// What a controller tells of a volume that is drained is so at its node: its disk can be taken away.
#[derive(Debug, Default)]
pub struct DrainedIsEmpty;

fn left(world: &VaquitaWorld, alias: &Alias, slot: VolumeSlot) -> usize {
    let machine = world.node(alias.as_str()).and_then(|it| world.machine(it));
    let Some(Vaquita::DataNode(machine)) = machine else {
        return 0;
    };
    machine.count_on(slot)
}

impl Checker<VaquitaFactory> for DrainedIsEmpty {
    fn name(&self) -> &'static str {
        "what is drained is empty"
    }

    fn after_step(&mut self, world: &VaquitaWorld, _: &StepRecord) -> Result<(), String> {
        let Some((_, machine)) = controller(world) else {
            return Ok(());
        };
        if machine.state().draining_volumes.is_empty() {
            return Ok(());
        }
        for (alias, slot) in machine.drained_volumes() {
            let left = left(world, &alias, slot);
            if left > 0 {
                return Err(format!(
                    "volume {} of {alias} is told to be drained, and has {left} chunks",
                    slot.0
                ));
            }
        }
        Ok(())
    }
}
