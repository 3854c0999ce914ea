//! What data nodes keep of the controller's log.

use std::collections::BTreeMap;

use vaquita_core::metalog::LogPart;
use vaquita_core::mirror::Shelf;

use crate::checker::Checker;
use crate::vaquita::{MASTER, VaquitaFactory, VaquitaWorld};
use crate::world::{StepKind, StepRecord};

/// A mirror has nothing that was not durable at the controller before: what a node's disk has promised
/// of a part of the log is how that part began once, on the disk of a controller that had promised it.
#[derive(Debug, Default)]
pub struct MirrorsFollow {
    /// What the parts of the log have been, as far as they were promised. More than one only where the
    /// log was cut or exchanged.
    been: BTreeMap<LogPart, Vec<Vec<u8>>>,
}

impl MirrorsFollow {
    fn note(&mut self, part: LogPart, promised: &[u8]) {
        let been = self.been.entry(part).or_default();
        if been.iter().any(|it| it.starts_with(promised)) {
            return;
        }
        match been.iter_mut().find(|it| promised.starts_with(it)) {
            Some(shorter) => promised.clone_into(shorter),
            None => been.push(promised.to_vec()),
        }
    }
}

impl Checker<VaquitaFactory> for MirrorsFollow {
    fn name(&self) -> &'static str {
        "mirrors follow the log"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        if world.factory().cluster.mirrors == 0 || !matches!(step.kind, StepKind::DiskDone(_)) {
            return Ok(());
        }
        let disk = world.disk(node);
        if world.alias(node).as_str() == MASTER {
            for file in disk.files().keys() {
                if let (Some(part), Some(promised)) = (LogPart::of(file), disk.promised(file)) {
                    self.note(part, promised);
                }
            }
            return Ok(());
        }
        for file in disk.files().keys() {
            // What was put aside may have been so for its damage.
            let Some(part) = Shelf::Present.part(file) else {
                continue;
            };
            let Some(kept) = disk.promised(file).filter(|_| !disk.is_scarred(file)) else {
                continue;
            };
            let been = self.been.get(&part).into_iter().flatten();
            if !been.clone().any(|it| it.starts_with(kept)) {
                return Err(format!(
                    "{} keeps {} bytes as {file} that the controller's disk has never promised so",
                    world.alias(node),
                    kept.len()
                ));
            }
        }
        Ok(())
    }
}
