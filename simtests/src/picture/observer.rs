//! What can be seen of a run from outside, for its recording.

use std::collections::BTreeMap;

use vaquita_core::time::Timestamp;

use super::recording::{Recorder, Told};
use crate::checker::Checker;
use crate::net::Traffic;
use crate::time::SimTime;
use crate::vaquita::{VaquitaFactory, VaquitaWorld, controller};
use crate::world::{Factory as _, HostIx, Life, NodeIx, StepKind, StepRecord};

/// Looks on and writes into a recording. It finds nothing wrong with anything.
#[derive(Debug)]
pub struct Observer {
    recorder: Recorder,
    states: BTreeMap<NodeIx, String>,
    cut: BTreeMap<(HostIx, HostIx), bool>,
    power: BTreeMap<HostIx, bool>,
    chunks: [u64; 4],
    chunks_at: SimTime,
}

/// How often chunks are counted.
const COUNT_EVERY_MS: u64 = 50;

impl Observer {
    /// One that writes into a recording of this World.
    #[must_use]
    pub fn new(recorder: Recorder, world: &VaquitaWorld) -> Self {
        let mut recording = recorder.lock();
        let name = |host| world.host_state(host).name.clone();
        recording.hosts = world.hosts().map(name).collect();
        let nodes = world.nodes();
        recording.nodes = nodes
            .map(|node| (world.alias(node).to_string(), name(world.host_of(node))))
            .collect();
        drop(recording);
        Self {
            recorder,
            states: BTreeMap::new(),
            cut: BTreeMap::new(),
            power: BTreeMap::new(),
            chunks: [0; 4],
            chunks_at: SimTime::ZERO,
        }
    }

    fn note_state(&mut self, world: &VaquitaWorld, node: NodeIx, at: SimTime) {
        let state = match (world.life(node), world.machine(node)) {
            (Life::Running, Some(machine)) => world.factory().status(machine),
            (life, _) => format!("{life:?}").to_lowercase(),
        };
        // The controller's says how long its log is, with each record.
        let state = state.split(" log ").next().unwrap_or_default().to_owned();
        if self.states.get(&node) != Some(&state) {
            self.states.insert(node, state.clone());
            self.recorder.lock().states.push((at, node, state));
        }
    }

    fn note_network(&mut self, world: &VaquitaWorld, at: SimTime) {
        for from in world.hosts() {
            let powered = world.host_state(from).powered;
            if self.power.insert(from, powered).unwrap_or(true) != powered {
                self.recorder.lock().power.push((at, from, powered));
            }
            for to in world.hosts() {
                let udp = world.net().is_cut(from, to, Traffic::Udp);
                let cut = udp || world.net().is_cut(from, to, Traffic::Tcp);
                if self.cut.insert((from, to), cut).unwrap_or(false) != cut {
                    self.recorder.lock().cuts.push((at, from, to, cut));
                }
            }
        }
    }

    fn count_chunks(&mut self, world: &VaquitaWorld, at: SimTime) {
        if at < self.chunks_at {
            return;
        }
        self.chunks_at = at.after_nanos(COUNT_EVERY_MS * 1_000_000);
        let Some((_, machine)) = controller(world) else {
            return;
        };
        let repairs = machine.repairs(Timestamp::ZERO);
        let all = machine.state().namespace.chunks_after(None).count() as u64;
        let otherwise = repairs.leaving + repairs.misplaced + repairs.surplus;
        let ill = repairs.degraded + repairs.last_copy + otherwise;
        let counts = [
            all.saturating_sub(ill),
            repairs.degraded,
            repairs.last_copy,
            otherwise,
        ];
        if counts != self.chunks {
            self.chunks = counts;
            self.recorder.lock().chunks.push((at, counts));
        }
    }
}

impl Checker<VaquitaFactory> for Observer {
    fn name(&self) -> &'static str {
        "an observer"
    }

    fn after_step(&mut self, world: &VaquitaWorld, step: &StepRecord) -> Result<(), String> {
        match (step.kind, step.node) {
            (StepKind::Fault | StepKind::Process | StepKind::Start, _) => {
                for node in world.nodes() {
                    self.note_state(world, node, step.at);
                }
                self.note_network(world, step.at);
            }
            (_, Some(node)) => self.note_state(world, node, step.at),
            (_, None) => {}
        }
        let told = world.told();
        for it in &told[told.len().saturating_sub(step.told)..] {
            self.recorder.lock().told.push(Told {
                at: it.at,
                node: it.node,
                name: it.notice.name,
                severity: it.notice.severity as u8,
                words: it.notice.message.clone(),
            });
        }
        self.count_chunks(world, step.at);
        Ok(())
    }
}
