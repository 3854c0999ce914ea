//! What the controller shows of processes.

use std::collections::BTreeMap;
use std::time::Duration;

use vaquita_core::ids::{Alias, NodeEpoch};

use super::super::{TIMEOUT, Vaquita, VaquitaFactory, VaquitaWorld};
use crate::checker::Checker;
use crate::time::SimTime;
use crate::world::{Life, StepRecord};

/// Time without a running process after which nothing of a member may be shown: the controller gives it up
/// after half of that.
const GIVEN_UP: Duration = Duration::from_secs(2 * TIMEOUT.as_secs());
/// A controller that did not look for that long has to be given the time anew.
const STALL: Duration = Duration::from_secs(1);
/// What clocks of a host and of the World may differ in over the age of figures.
const BLUR: Duration = Duration::from_secs(1);

/// Nobody is shown with figures as if it were there whose process has not run for long, as the World knows and
/// the controller has to find out; and of nobody what was measured before its present registration.
#[derive(Clone, Debug, Default)]
pub struct FiguresOfTheLiving {
    looked: SimTime,
    controller: u32,
    /// When each member was last seen to run.
    ran: BTreeMap<Alias, SimTime>,
    /// Since when it has had which registration.
    registered: BTreeMap<Alias, (NodeEpoch, SimTime)>,
}

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
        let process = world.starts(node);
        if process != self.controller || step.at.since(self.looked) > STALL {
            self.controller = process;
            self.ran.clear();
        }
        self.looked = step.at;
        for (alias, held) in controller.state().registry.iter() {
            let known = self.registered.get(alias);
            if known.is_none_or(|(epoch, _)| *epoch != held.epoch) {
                let since = (held.epoch, step.at);
                self.registered.insert(alias.clone(), since);
            }
        }
        for (alias, age) in controller.figures_shown(now) {
            let runs = world
                .node(alias.as_str())
                .is_some_and(|it| world.life(it) == Life::Running);
            if runs {
                self.ran.insert(alias.clone(), step.at);
            }
            let ran = *self.ran.entry(alias.clone()).or_insert(step.at);
            let Some(age) = age.map(Duration::from_millis) else {
                continue;
            };
            let gone = step.at.since(ran);
            if gone > GIVEN_UP {
                let gone = gone.as_secs();
                return Err(format!(
                    "{alias} has not run for {gone} s and is shown with figures"
                ));
            }
            if let Some((epoch, since)) = self.registered.get(&alias)
                && age > step.at.since(*since) + BLUR
            {
                let age = age.as_millis();
                return Err(format!(
                    "{alias} is shown under {epoch} with figures of {age} ms ago, of before"
                ));
            }
        }
        Ok(())
    }
}
