//! What must hold of a cluster whatever happens to it, seen from where no machine stands.

mod figures;
mod history;
mod holders;
mod mirrors;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use figures::FiguresOfTheLiving;
pub use history::StateIsItsLog;
pub use holders::OneHolder;
pub use mirrors::MirrorsFollow;

use vaquita_core::admin::{Selection, Verb};
use vaquita_core::ids::{Alias, ControllerEpoch, LogIndex, NodeEpoch};
use vaquita_core::membership::Health;
use vaquita_core::metalog::{self, Expected};
use vaquita_core::state;

use super::{TIMEOUT, Vaquita, VaquitaFactory, VaquitaWorld, controller};
use crate::checker::Checker;
use crate::disk::Files;
use crate::time::SimTime;
use crate::world::{Life, NodeIx, StepKind, StepRecord, Told};

/// Whether a disk itself has changed a log, so that a controller cannot know what it had promised.
fn history_is_scarred(world: &VaquitaWorld, node: NodeIx) -> bool {
    let disk = world.disk(node);
    let mut files = disk.files().into_keys();
    files.any(|file| metalog::belongs_to_log(&file) && disk.is_scarred(&file))
}

/// Epochs only grow: those that a controller grants, those that nodes hold, those of controllers.
#[derive(Debug, Default)]
pub struct Epochs {
    granted: BTreeMap<Alias, NodeEpoch>,
    held: BTreeMap<NodeIx, (NodeEpoch, ControllerEpoch)>,
    acting: ControllerEpoch,
    acting_process: u32,
    seen_process: u32,
}

impl Checker<VaquitaFactory> for Epochs {
    fn name(&self) -> &'static str {
        "epochs grow"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        match world.machine(node) {
            Some(Vaquita::Controller(controller)) => {
                let (epoch, serving) = controller.epoch();
                let process = world.starts(node);
                if process != self.seen_process {
                    // What a dead process had appended and not synced was granted to nobody.
                    self.seen_process = process;
                    self.granted.clear();
                }
                if serving && process != self.acting_process && !history_is_scarred(world, node) {
                    if epoch <= self.acting {
                        return Err(format!(
                            "a controller acts under epoch {epoch} after one that acted under {}",
                            self.acting
                        ));
                    }
                    (self.acting, self.acting_process) = (epoch, process);
                }
                for (alias, registration) in controller.state().registry.iter() {
                    let before = self.granted.insert(alias.clone(), registration.epoch);
                    if before.is_some_and(|before| before > registration.epoch) {
                        return Err(format!("the epoch of {alias} went back"));
                    }
                }
                Ok(())
            }
            Some(Vaquita::DataNode(machine)) => {
                // What it speaks under; what it was granted and had not written yet, a crash takes.
                let (identity, _, spoken, _) = machine.identity();
                if spoken == NodeEpoch(0) {
                    return Ok(());
                }
                let now = (spoken, identity.witness.epoch);
                let before = self.held.insert(node, now);
                if before.is_some_and(|before| before.0 > now.0 || before.1 > now.1) {
                    let name = world.alias(node);
                    return Err(format!("{name} went back from {before:?} to {now:?}"));
                }
                Ok(())
            }
            Some(Vaquita::Agent(_) | Vaquita::Rebuild(_)) | None => Ok(()),
        }
    }
}

/// What a node was promised survives a loss of power at that very moment: the registration it holds
/// and the controller's epoch it was told are in the part of the log that the disk has promised.
#[derive(Debug, Default)]
pub struct Promises {
    seen: BTreeMap<NodeIx, (NodeEpoch, ControllerEpoch)>,
}

impl Checker<VaquitaFactory> for Promises {
    fn name(&self) -> &'static str {
        "promises are durable"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        let Some(Vaquita::DataNode(machine)) = world.machine(node) else {
            return Ok(());
        };
        let (identity, ..) = machine.identity();
        let now = (identity.epoch, identity.witness.epoch);
        if now.0 == NodeEpoch(0) || self.seen.insert(node, now) == Some(now) {
            return Ok(());
        }
        let Some(master) = world.node(super::MASTER) else {
            return Ok(());
        };
        if history_is_scarred(world, master) {
            // Without what the disk itself has destroyed the rest says nothing.
            return Ok(());
        }
        let disk = world.disk(master);
        let files: Files = disk
            .files()
            .into_keys()
            .filter(|file| metalog::belongs_to_log(file) && disk.name_promised(file))
            .filter_map(|file| {
                disk.promised(&file)
                    .map(|bytes| (file.clone(), bytes.to_vec()))
            })
            .collect();
        let Some(cluster) = identity.cluster else {
            return Ok(());
        };
        let expected = Expected {
            cluster,
            durable: None,
        };
        let name = world.alias(node);
        let recovered = metalog::recover(&files, &expected)
            .map_err(|refusal| format!("{name} was promised something, and {refusal}"))?;
        let state = state::replay(recovered.checkpoint, &recovered.records)
            .map_err(|malformed| malformed.to_string())?;
        let held = state
            .registry
            .get(name)
            .map(|registration| registration.epoch);
        if held < Some(now.0) {
            return Err(format!(
                "{name} holds epoch {}, and a loss of power now would leave {held:?}",
                now.0
            ));
        }
        if state.controller_epoch() < now.1 {
            return Err(format!(
                "{name} was told of controller epoch {}, and a loss of power now would leave {}",
                now.1,
                state.controller_epoch()
            ));
        }
        Ok(())
    }
}

/// A stop by an operator stands: a node whose stop was acknowledged, and which has ended with its agent
/// knowing of the order, does not start again before another one.
///
/// While its agent has not heard of it, one that has crashed may be started once more, and is stopped then.
#[derive(Debug, Default)]
pub struct StopStands {
    /// Acknowledged, and not seen to be carried out; each with its order.
    ordered: BTreeMap<Alias, LogIndex>,
    stopped: BTreeSet<Alias>,
}

/// Whether the agent of a node knows of this order to stop it, or a later one, and there is no process of it.
fn is_stopped(world: &VaquitaWorld, alias: &Alias, order: LogIndex) -> bool {
    let Some(node) = world.node(alias.as_str()) else {
        return false;
    };
    let here = world.host_of(node);
    let mut others = world.nodes().filter(|it| world.host_of(*it) == here);
    let stops = others.any(|it| match world.machine(it) {
        Some(Vaquita::Agent(agent)) => agent.stopped_by(alias) >= Some(order),
        _ => false,
    });
    stops && world.life(node) == Life::Down
}

impl Checker<VaquitaFactory> for StopStands {
    fn name(&self) -> &'static str {
        "a stop stands"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        // An order counts from when it is given, a stop only from when it was acknowledged: in
        // between either may be seen.
        if step.kind == StepKind::Request
            && let Some((_, controller)) = controller(world)
        {
            let running = controller
                .state()
                .orders
                .iter()
                .filter(|(_, order)| order.run);
            for (alias, _) in running {
                self.stopped.remove(alias);
                self.ordered.remove(alias);
            }
        }
        // A person may start it by hand; no agent may.
        let told = world.told();
        for told in &told[told.len() - step.told..] {
            let name = told.notice.message.split(' ').next().unwrap_or_default();
            if told.notice.name == "child.started"
                && self.stopped.iter().any(|alias| alias.as_str() == name)
            {
                return Err(format!(
                    "{name} was stopped by order, and was started again"
                ));
            }
        }
        self.ordered.retain(|alias, order| {
            let done = is_stopped(world, alias, *order);
            if done {
                self.stopped.insert(alias.clone());
            }
            !done
        });
        let answers = world.answers();
        for answer in &answers[answers.len() - step.answers..] {
            if let (Verb::StopNodes(selection), Some(Ok(_))) = (&answer.request.verb, &answer.reply)
            {
                for node in world.nodes() {
                    let alias = world.alias(node);
                    let meant = match selection {
                        Selection::All => alias.as_str().contains("NODE"),
                        Selection::Aliases(names) => {
                            names.iter().any(|name| name == alias.as_str())
                        }
                    };
                    let order = controller(world).and_then(|(_, controller)| {
                        let order = controller.state().orders.get(alias)?;
                        (!order.run).then_some(order.version)
                    });
                    if let Some(order) = order.filter(|_| meant) {
                        self.ordered.insert(alias.clone(), order);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A node that its controller gives up for its silence has fenced itself before: an asymmetric cut
/// turns into a symmetric one, and nobody writes who is taken for dead.
///
/// Holds for clocks that run: a paused process, or one whose clock stands, knows nothing; what it
/// sends later is refused by its epoch.
#[derive(Debug, Default)]
pub struct FenceFirst {
    given_up: BTreeSet<Alias>,
    disturbed: BTreeMap<NodeIx, SimTime>,
}

/// How far two clocks may have drifted apart in T at 200 ppm each, with the grain of timers.
const SLACK: Duration = Duration::from_millis(10);

impl Checker<VaquitaFactory> for FenceFirst {
    fn name(&self) -> &'static str {
        "the node fences first"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        if step.kind == StepKind::Fault || step.kind == StepKind::Start {
            // Whatever a plan did to whomever: silence since then may be its doing.
            for node in world.nodes() {
                if world.life(node) != Life::Running || step.kind == StepKind::Fault {
                    self.disturbed.insert(node, step.at);
                }
            }
        }
        let Some((master, machine)) = controller(world) else {
            return Ok(());
        };
        if step.node != Some(master) || step.kind != StepKind::Deadline {
            return Ok(());
        }
        for node in world.nodes() {
            let alias = world.alias(node);
            let offline = matches!(machine.health_of(alias), Some(Health::Offline { .. }));
            if !offline {
                self.given_up.remove(alias);
                continue;
            }
            if !self.given_up.insert(alias.clone()) {
                continue;
            }
            let Some(Vaquita::DataNode(data_node)) = world.machine(node) else {
                continue;
            };
            let quiet = self
                .disturbed
                .get(&node)
                .is_none_or(|at| step.at.since(*at) > TIMEOUT + SLACK);
            // A process that has not been let in yet has nothing to fence; what is taken for offline
            // is the one before it.
            let (_, _, spoken, fenced) = data_node.identity();
            let registered = machine.state().registry.get(alias).map(|it| it.epoch);
            let current = registered == Some(spoken);
            let runs = !world.host_state(world.host_of(node)).clock.is_frozen();
            let lives = world.life(node) == Life::Running && runs;
            if quiet && current && !fenced && lives {
                return Err(format!(
                    "{alias} is taken for offline for its silence, and has not fenced itself"
                ));
            }
        }
        Ok(())
    }
}

/// No node is taken for offline while nothing but the weather is against it.
#[derive(Debug, Default)]
pub struct NobodyOffline {
    /// Those for whom it may happen, for more than the weather is against them.
    pub except: BTreeSet<String>,
}

impl Checker<VaquitaFactory> for NobodyOffline {
    fn name(&self) -> &'static str {
        "nobody goes offline"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        let told = world.told();
        let wrong = |told: &&Told| {
            let name = told.notice.message.split(' ').next().unwrap_or_default();
            told.notice.name == "node.offline" && !self.except.contains(name)
        };
        match told[told.len() - step.told..].iter().find(wrong) {
            Some(told) => Err(format!("a false verdict: {}", told.notice)),
            None => Ok(()),
        }
    }
}
