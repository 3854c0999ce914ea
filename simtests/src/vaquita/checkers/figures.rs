//! What the controller shows of processes.

use super::super::{Vaquita, VaquitaFactory, VaquitaWorld};
use crate::checker::Checker;
use crate::world::StepRecord;

/// Nobody who is given up, has left or was fenced is shown with figures as if it were there.
#[derive(Clone, Copy, Debug, Default)]
pub struct FiguresOfTheLiving;

impl Checker<VaquitaFactory> for FiguresOfTheLiving {
    fn name(&self) -> &'static str {
        "figures are of the living"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        let Some(Vaquita::Controller(controller)) = world.machine(node) else {
            return Ok(());
        };
        let Some(now) = world.local_time(node) else {
            return Ok(());
        };
        let shown = controller.figures_shown(now);
        let wrong = shown.iter().find(|(_, present, lives)| *lives && !present);
        match wrong {
            Some((alias, ..)) => Err(format!("{alias} is away and shown with figures")),
            None => Ok(()),
        }
    }
}
