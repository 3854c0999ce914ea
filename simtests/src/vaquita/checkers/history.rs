//! The controller's state against its log.

use vaquita_core::disk::FileName;
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state;

use crate::checker::Checker;
use crate::disk::Files;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld};
use crate::world::{StepKind, StepRecord};

/// The state that the controller works with is the one that its files give: whoever reads the newest
/// checkpoint and the records behind it has all of it and nothing else. Looked at when the first
/// write of each process has ended, and now and then later.
#[derive(Debug, Default)]
pub struct StateIsItsLog {
    /// Writes until the next look.
    writes_left: u64,
}

impl StateIsItsLog {
    /// Ended writes between two looks.
    const EVERY: u64 = 16;
}

impl Checker<VaquitaFactory> for StateIsItsLog {
    fn name(&self) -> &'static str {
        "the state is what the log says"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        let Some(Vaquita::Controller(controller)) = world.machine(node) else {
            return Ok(());
        };
        match step.kind {
            StepKind::Start => self.writes_left = 0,
            StepKind::DiskDone(true) => self.writes_left = self.writes_left.saturating_sub(1),
            _ => return Ok(()),
        }
        let (synced, appended) = controller.log_positions();
        let Some(cluster) = controller.state().cluster else {
            return Ok(());
        };
        if self.writes_left > 0 || synced != appended {
            return Ok(());
        }
        self.writes_left = Self::EVERY;
        let files: Files = world.disk(node).files();
        let is_log = |file: &FileName| metalog::belongs_to_log(file);
        let files: Files = files.into_iter().filter(|(file, _)| is_log(file)).collect();
        let expected = Expected {
            cluster,
            durable: None,
        };
        let recovered = metalog::recover(&files, &expected).map_err(|it| it.to_string())?;
        let replayed = state::replay(recovered.checkpoint, &recovered.records)
            .map_err(|malformed| malformed.to_string())?;
        if replayed == *controller.state() {
            Ok(())
        } else {
            Err(format!(
                "at log index {synced} the controller has {:?}, and its files give {replayed:?}",
                controller.state()
            ))
        }
    }
}
