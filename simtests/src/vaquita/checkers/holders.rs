//! Who speaks under which registration.

use std::collections::BTreeMap;

use vaquita_core::ids::NodeEpoch;

use crate::checker::Checker;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld};
use crate::world::{NodeIx, StepRecord};

/// A registration belongs to one process for ever: no second one ever speaks under it, neither the
/// next process of that node nor an impostor.
#[derive(Debug, Default)]
pub struct OneHolder {
    holders: BTreeMap<NodeEpoch, (NodeIx, u32)>,
}

impl Checker<VaquitaFactory> for OneHolder {
    fn name(&self) -> &'static str {
        "a registration has one holder"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        let Some(Vaquita::DataNode(machine)) = world.machine(node) else {
            return Ok(());
        };
        let (_, _, spoken, _) = machine.identity();
        if spoken == NodeEpoch(0) {
            return Ok(());
        }
        let process = (node, world.starts(node));
        let (holder, start) = *self.holders.entry(spoken).or_insert(process);
        if (holder, start) == process {
            return Ok(());
        }
        Err(format!(
            "process {} of {} speaks under epoch {spoken}, which process {start} of {} had",
            process.1,
            world.alias(node),
            world.alias(holder)
        ))
    }
}
