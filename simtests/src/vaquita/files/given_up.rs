//! Nothing is given up that is needed, and nothing at a time at which nobody can know that it is not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vaquita_core::controller::Controller;
use vaquita_core::datanode::DataNode;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::ChunkVersion;
use vaquita_core::ids::LogIndex;
use vaquita_core::membership::Health;
use vaquita_core::time::Timestamp;

use super::checkers::was_between;
use crate::checker::Checker;
use crate::time::SimTime;
use crate::vaquita::{Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::world::{NodeIx, StepKind, StepRecord};

/// What a content is.
type What = (u64, Digest);

/// Looked at when the controller tells a node to give something up, and when the node does it.
///
/// Of what a file has, no good replica is given up while there are fewer others than the chunk is to
/// have: others that are there by their own machines, on nodes that have reported and are heard. What
/// no client gave up (a replica too many, what writes of before this controller have left) is left
/// alone before all have reported, while many nodes are away at once, and by a controller that is
/// behind what the node has seen. And a node gives nothing up by itself.
///
/// It looks with other eyes than the controller: at what the machines of all nodes have at that
/// moment, where the controller goes by what it was told.
#[derive(Debug, Default)]
pub struct GivenUp {
    /// What each node has, by its own machine.
    nodes: BTreeMap<NodeIx, Kept>,
    /// The controller's process, and when it began by its own clock.
    process: u32,
    began: Timestamp,
    /// Whether every node that has chunks has told this process what it has.
    heard_all: bool,
    appended: LogIndex,
    /// Contents that some file had at some time under this process: what became of them is its
    /// clients' doing.
    files_had: BTreeSet<ChunkVersion>,
    /// Those that some file has since this very moment: which places of them are not used is the word
    /// of whoever wrote them.
    fresh: BTreeSet<ChunkVersion>,
    /// Where the log has grown by more than one record from one look to the next, lately.
    jumps: VecDeque<(LogIndex, LogIndex)>,
    /// Who was told to give up what, by any process.
    told: BTreeSet<(NodeIx, ChunkVersion)>,
}

#[derive(Debug, Default)]
struct Kept {
    start: u32,
    inventory: (u64, u64),
    has: BTreeMap<ChunkVersion, What>,
    /// What the disk has lost, and when: the controller may not have heard of it yet.
    lost: BTreeMap<ChunkVersion, (What, SimTime)>,
}

/// How long the news of a loss may be on its way.
const NEWS_MAX: Duration = Duration::from_secs(11);
/// Chunks of a cluster above which nobody looks: each of them would be looked at with every record.
const CHUNKS_MAX: usize = 2_000;

/// Growths of the log by several records at once that are remembered.
const JUMPS_MAX: usize = 64;

impl GivenUp {
    /// Whether a file has had a content that nobody could see: it was written and replaced by messages
    /// that came together.
    fn had_for_a_moment(&self, world: &VaquitaWorld, version: ChunkVersion) -> bool {
        let mut jumps = self.jumps.iter();
        jumps.any(|jump| {
            was_between(world, *jump, |state| {
                state.namespace.chunk_version(version).is_some()
            })
        })
    }

    /// A node has changed what it has, maybe.
    fn note(
        &mut self,
        world: &VaquitaWorld,
        node: NodeIx,
        machine: &DataNode,
        step: &StepRecord,
    ) -> Result<(), String> {
        let start = world.starts(node);
        let kept = self.nodes.entry(node).or_default();
        let inventory = machine.inventory();
        if (kept.start, kept.inventory) == (start, inventory) {
            return Ok(());
        }
        let entries = machine.entries().into_iter();
        let now: BTreeMap<ChunkVersion, What> = entries
            .map(|entry| (entry.version, (entry.len, entry.digest)))
            .collect();
        let same_process = kept.start == start;
        (kept.start, kept.inventory) = (start, inventory);
        let before = std::mem::replace(&mut kept.has, now);
        kept.lost.retain(|_, (_, at)| step.at.since(*at) < NEWS_MAX);
        let gone: Vec<(ChunkVersion, What)> = before
            .into_iter()
            .filter(|(version, _)| !kept.has.contains_key(version))
            .collect();
        // A message is the only reason there is to give something up; all else is the disk's doing.
        if same_process && step.kind == StepKind::Connection {
            for (version, what) in gone {
                self.obeyed(world, node, machine, version, what)?;
            }
        } else {
            let lost = gone.into_iter();
            kept.lost
                .extend(lost.map(|(version, what)| (version, (what, step.at))));
        }
        Ok(())
    }

    /// A node has given something up on the word of a controller.
    fn obeyed(
        &self,
        world: &VaquitaWorld,
        node: NodeIx,
        machine: &DataNode,
        version: ChunkVersion,
        what: What,
    ) -> Result<(), String> {
        let Some((_, master)) = controller(world) else {
            return Ok(());
        };
        let alias = world.alias(node);
        let (seen, known) = (machine.identity().0.witness.index, master.log_positions().0);
        if known < seen {
            return Err(format!(
                "{alias} has seen log index {seen}, and gave up {version} for a controller that knows \
                 of {known}"
            ));
        }
        let chunk = master.state().namespace.chunk_version(version);
        let good = chunk.is_some_and(|it| (it.len(), it.digest()) == what);
        let factor = master.files_config().factor;
        if good
            && !self.told.contains(&(node, version))
            && self.others(world, master, node, version, what) < factor
        {
            return Err(format!("{alias} gave up {version} and was not told to"));
        }
        Ok(())
    }

    /// How many nodes beside this one have a content, of those that the controller hears and that have
    /// told it what they have.
    fn others(
        &self,
        world: &VaquitaWorld,
        master: &Controller,
        but: NodeIx,
        version: ChunkVersion,
        what: What,
    ) -> usize {
        let has = |kept: &Kept| {
            kept.has.get(&version) == Some(&what)
                || kept.lost.get(&version).is_some_and(|(it, _)| *it == what)
        };
        let counts = |node: NodeIx| {
            let alias = world.alias(node);
            let heard = matches!(master.health_of(alias), Some(Health::Alive));
            heard && master.stock_of(alias).is_some_and(|it| it.reports > 0)
        };
        let others = self.nodes.iter().filter(|(node, _)| **node != but);
        others
            .filter(|(node, kept)| has(kept) && counts(**node))
            .count()
    }

    /// What keeps a controller from judging what no client has judged.
    fn doubts(&self, world: &VaquitaWorld, master: &Controller, now: Timestamp) -> Option<String> {
        let limits = &world.factory().cluster.limits;
        if !self.heard_all && now.since(self.began) < limits.safe_mode_max {
            return Some("not all nodes have reported".to_owned());
        }
        let doubts = master.sees_mass_event();
        doubts.then(|| "many nodes are away at once".to_owned())
    }

    /// The controller tells a node to give something up.
    fn ordered(
        &mut self,
        world: &VaquitaWorld,
        master: &Controller,
        node: NodeIx,
        version: ChunkVersion,
        now: Timestamp,
    ) -> Result<(), String> {
        self.told.insert((node, version));
        let alias = world.alias(node);
        let epoch = master.epoch().0;
        if version.chunk.epoch() > epoch {
            return Err(format!(
                "{alias} is to give up {version}, which a later controller has allocated"
            ));
        }
        let Some(chunk) = master.state().namespace.chunk_version(version) else {
            if version.chunk.epoch() == epoch || self.files_had.contains(&version) {
                return Ok(());
            }
            let limits = &world.factory().cluster.limits;
            let young = now.since(self.began) < limits.orphan_grace;
            let young = young.then(|| "a write of before may still commit it".to_owned());
            return match self.doubts(world, master, now).or(young) {
                Some(_) if self.had_for_a_moment(world, version) => Ok(()),
                Some(doubt) => Err(format!("{alias} is to give up {version}, and {doubt}")),
                None => Ok(()),
            };
        };
        let what = (chunk.len(), chunk.digest());
        let kept = self.nodes.get(&node);
        let good = kept.is_some_and(|it| it.has.get(&version) == Some(&what));
        let factor = master.files_config().factor;
        let others = self.others(world, master, node, version, what);
        if good && others < factor {
            return Err(format!(
                "{alias} is to give up {version}, of which {others} other replicas are good; {factor} \
                 are to be"
            ));
        }
        let registered = master.state().registry.get(alias);
        let is_holder = registered.is_some_and(|it| chunk.is_held_by(it.node));
        match self.doubts(world, master, now) {
            Some(_) if self.fresh.contains(&version) && !is_holder => Ok(()),
            Some(doubt) => Err(format!(
                "{alias} is to give up its replica of {version}, and {doubt}"
            )),
            None => Ok(()),
        }
    }

    fn look(
        &mut self,
        world: &VaquitaWorld,
        node: NodeIx,
        master: &Controller,
    ) -> Result<(), String> {
        let Some(now) = world.local_time(node) else {
            return Ok(());
        };
        if world.starts(node) != self.process {
            self.process = world.starts(node);
            (self.began, self.heard_all) = (now, false);
            self.appended = LogIndex(0);
            self.files_had.clear();
            self.jumps.clear();
        }
        let names = &master.state().namespace;
        let appended = master.log_positions().1;
        if appended != self.appended {
            let before = std::mem::replace(&mut self.appended, appended);
            if before > LogIndex(0) && appended.0 > before.0 + 1 {
                self.jumps.push_back((before, appended));
                if self.jumps.len() > JUMPS_MAX {
                    self.jumps.pop_front();
                }
            }
            let chunks = names.chunks_after(None).take(CHUNKS_MAX);
            let had = &self.files_had;
            let fresh = chunks.map(|it| it.version()).filter(|it| !had.contains(it));
            self.fresh = fresh.collect();
            self.files_had.extend(&self.fresh);
            if before == LogIndex(0) {
                // What a process finds when it starts is not of this moment.
                self.fresh.clear();
            }
        } else {
            self.fresh.clear();
        }
        if self.files_had.len() >= CHUNKS_MAX {
            return Ok(());
        }
        if !self.heard_all && master.epoch().1 {
            let mut registry = master.state().registry.iter();
            self.heard_all = registry.all(|(alias, it)| {
                names.chunks_on_count(it.node) == 0
                    || master.stock_of(alias).is_some_and(|it| it.reports > 0)
            });
        }
        for (alias, version) in master.given_up_now(now) {
            if let Some(node) = world.node(alias.as_str()) {
                self.ordered(world, master, node, version, now)?;
            }
        }
        Ok(())
    }
}

impl Checker<VaquitaFactory> for GivenUp {
    fn name(&self) -> &'static str {
        "nothing needed is given up"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        match world.machine(node) {
            Some(Vaquita::DataNode(machine)) => self.note(world, node, machine, step),
            Some(Vaquita::Controller(master)) => self.look(world, node, master),
            Some(Vaquita::Agent(_) | Vaquita::Rebuild(_)) | None => Ok(()),
        }
    }
}
