//! Those who look on: they see the whole World, which no machine does.

use std::collections::BTreeMap;

use vaquita_core::disk::FileName;

use crate::time::SimTime;
use crate::world::{Factory, NodeIx, StepKind, StepRecord, World};

/// Looks at the World after every step.
pub trait Checker<F: Factory> {
    /// What it is called where it finds something.
    fn name(&self) -> &'static str;

    /// Looks. A large World can afford little here: [`StepRecord`] says what has changed.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn after_step(&mut self, world: &World<F>, step: &StepRecord) -> Result<(), String>;

    /// Looks once more at the end of the run.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn at_end(&mut self, world: &World<F>) -> Result<(), String> {
        let _ = world;
        Ok(())
    }
}

/// Time moves ahead and nothing grows without end: events, datagrams on their way, what waits for a
/// paused process, connections, batches of a disk.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Events that may wait, for each node.
    pub events: usize,
    /// Datagrams that may be on their way, for each node.
    pub datagrams: u64,
    /// Inputs that may wait for one paused process.
    pub mailbox: usize,
    /// Connections that may be known, for each node.
    pub connections: usize,
    /// Batches that may wait for one disk.
    pub batches: usize,
    last: SimTime,
    looks: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            events: 20_000,
            datagrams: 10_000,
            mailbox: 100_000,
            connections: 64,
            batches: 64,
            last: SimTime::ZERO,
            looks: 0,
        }
    }
}

impl Bounds {
    /// Steps between two looks at what costs time in proportion to the number of nodes.
    const THOROUGH_EVERY: u64 = 64;
}

impl<F: Factory> Checker<F> for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn after_step(&mut self, world: &World<F>, step: &StepRecord) -> Result<(), String> {
        if step.at < self.last {
            return Err(format!(
                "world time went back from {} to {}",
                self.last, step.at
            ));
        }
        self.last = step.at;
        let nodes = world.nodes().count().max(1);
        let datagrams = world.net().stats.in_flight;
        bounded(
            "events waiting",
            world.events_waiting(),
            self.events.saturating_mul(nodes),
        )?;
        bounded(
            "datagrams on their way",
            usize::try_from(datagrams).unwrap_or(usize::MAX),
            usize::try_from(self.datagrams)
                .unwrap_or(usize::MAX)
                .saturating_mul(nodes),
        )?;
        bounded(
            "connections",
            world.connections(),
            self.connections.saturating_mul(nodes),
        )?;
        self.looks += 1;
        if !self.looks.is_multiple_of(Self::THOROUGH_EVERY) {
            return Ok(());
        }
        for node in world.nodes() {
            let name = world.alias(node);
            bounded(
                &format!("inputs waiting for {name}"),
                world.mailbox(node),
                self.mailbox,
            )?;
            let batches = world.disk(node).batches_waiting();
            bounded(&format!("disk batches of {name}"), batches, self.batches)?;
        }
        Ok(())
    }
}

fn bounded(what: &str, is: usize, most: usize) -> Result<(), String> {
    if is > most {
        Err(format!("{is} {what}; {most} is the most"))
    } else {
        Ok(())
    }
}

/// A log keeps what was promised: while a file of this kind exists, it begins with the bytes of
/// which its process was told that they are durable, unless the disk itself broke its word.
///
/// The disk keeps its promises by construction, or says so ([`SimDisk::is_scarred`]); what this
/// finds is a *machine* that destroys what had been promised, as one does that takes whole records
/// for a torn tail.
///
/// [`SimDisk::is_scarred`]: crate::disk::SimDisk::is_scarred
#[derive(Debug)]
pub struct LogsKeepPromises {
    is_log: fn(&str) -> bool,
    promised: BTreeMap<(NodeIx, FileName), Vec<u8>>,
}

impl LogsKeepPromises {
    /// Watches the files whose names `is_log` accepts.
    #[must_use]
    pub const fn new(is_log: fn(&str) -> bool) -> Self {
        Self {
            is_log,
            promised: BTreeMap::new(),
        }
    }

    fn note<F: Factory>(&mut self, world: &World<F>, node: NodeIx) -> Result<(), String> {
        let disk = world.disk(node);
        let Some(promise) = disk.last_promise() else {
            return Ok(());
        };
        for (file, _) in promise
            .files
            .iter()
            .filter(|(file, _)| (self.is_log)(file.as_str()))
        {
            let Some(bytes) = disk.promised(file) else {
                continue;
            };
            let known = self.promised.entry((node, file.clone())).or_default();
            if !bytes.starts_with(known) && !disk.is_scarred(file) {
                return Err(destroyed(world, node, file, known.len()));
            }
            known.clear();
            known.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn compare<F: Factory>(&mut self, world: &World<F>, node: NodeIx) -> Result<(), String> {
        let disk = world.disk(node);
        let mut gone = Vec::new();
        let known = self.promised.iter().filter(|((of, _), _)| *of == node);
        for ((_, file), bytes) in known {
            match disk.read(file) {
                _ if disk.is_scarred(file) => gone.push(file.clone()),
                None => gone.push(file.clone()),
                Some(now) if now.starts_with(bytes) => {}
                Some(_) => return Err(destroyed(world, node, file, bytes.len())),
            }
        }
        for file in gone {
            self.promised.remove(&(node, file));
        }
        Ok(())
    }
}

fn destroyed<F: Factory>(world: &World<F>, node: NodeIx, file: &FileName, len: usize) -> String {
    let name = world.alias(node);
    format!("{file} of {name} no longer begins with the {len} bytes promised to be durable")
}

impl<F: Factory> Checker<F> for LogsKeepPromises {
    fn name(&self) -> &'static str {
        "logs keep promises"
    }

    fn after_step(&mut self, world: &World<F>, step: &StepRecord) -> Result<(), String> {
        match (step.node, step.kind) {
            (Some(node), StepKind::DiskDone(true)) => {
                self.compare(world, node)?;
                self.note(world, node)
            }
            (Some(node), StepKind::Start) => self.compare(world, node),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
