//! The World, tested with a probe: a machine that does what a script says and writes down what it is
//! told.

mod connections;
mod contract;
mod processes;
mod time;

use std::collections::BTreeMap;
use std::time::Duration;

use vaquita_core::io::{Effect, ExitReason, Input, Machine};
use vaquita_core::time::Timestamp;

use vaquita_core::ids::Alias;

use super::*;

/// Does what its script says, and writes down what it is told.
#[derive(Debug, Default)]
struct Probe {
    script: Vec<(Timestamp, Effect)>,
    done: usize,
    due: usize,
    told: Vec<(Timestamp, Input)>,
    /// Asks to be woken then, whatever happens.
    stubborn: Option<Timestamp>,
    /// Asks so many times to be woken at once.
    eager: u32,
    panics: bool,
    floods: bool,
}

impl Probe {
    fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.told
            .iter()
            .map(|(_, input)| input)
            .filter(|input| **input != Input::Deadline)
    }
}

impl Machine for Probe {
    fn handle(&mut self, now: Timestamp, input: Input) {
        assert!(
            !self.panics || input != Input::Deadline,
            "the probe was told to panic"
        );
        self.told.push((now, input));
        self.due = self.script.iter().take_while(|(at, _)| *at <= now).count();
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        if self.floods {
            return self.script.first().map(|(_, effect)| effect.clone());
        }
        let (_, effect) = self.script[..self.due].get(self.done)?;
        self.done += 1;
        Some(effect.clone())
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.eager > 0 {
            let deadlines = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
            return match self.told.last() {
                None => Some(Timestamp::ZERO.after(50 * MS)),
                Some((now, _)) => (deadlines <= self.eager).then_some(*now),
            };
        }
        self.stubborn
            .or_else(|| self.script.get(self.done).map(|(at, _)| *at))
    }

    fn check_invariants(&self) {}
}

type Make = Box<dyn Fn(&Start<'_>) -> Result<Probe, ExitReason>>;

/// Makes probes with the scripts that the tests give them.
#[derive(Default)]
struct Probes {
    scripts: BTreeMap<&'static str, Vec<(Duration, Effect)>>,
    make: BTreeMap<&'static str, Make>,
}

impl Factory for Probes {
    type Machine = Probe;

    fn start(&mut self, start: &Start<'_>) -> Result<Probe, ExitReason> {
        if let Some(make) = self.make.get(start.alias.as_str()) {
            return make(start);
        }
        let script = self
            .scripts
            .get(start.alias.as_str())
            .cloned()
            .unwrap_or_default();
        let script = script
            .into_iter()
            .map(|(after, effect)| (start.now.after(after), effect))
            .collect();
        Ok(Probe {
            script,
            ..Probe::default()
        })
    }

    fn launch(&mut self, _: &str, alias: &Alias, _: &str) -> Result<u16, String> {
        match alias.as_str() {
            "new" => Ok(7_000),
            _ => Err(format!("{alias} is not known")),
        }
    }
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A World of probes, one a host: `a` on h0, `b` on h1, and so on, each on port 7000.
struct Bench {
    world: World<Probes>,
}

impl Bench {
    fn of(aliases: &[&str]) -> Self {
        let mut world = World::new(1, Settings::default(), Probes::default());
        for (number, alias) in aliases.iter().enumerate() {
            let host = world.add_host(&format!("h{number}"));
            world.add_node(NodeSpec::new(alias, host, 7_000));
        }
        Self { world }
    }

    fn script(mut self, alias: &'static str, script: &[(Duration, Effect)]) -> Self {
        self.world
            .factory_mut()
            .scripts
            .insert(alias, script.to_vec());
        self
    }

    fn make(
        mut self,
        alias: &'static str,
        make: impl Fn(&Start<'_>) -> Result<Probe, ExitReason> + 'static,
    ) -> Self {
        self.world.factory_mut().make.insert(alias, Box::new(make));
        self
    }

    /// Starts everybody and waits until all run.
    fn start(mut self) -> Self {
        self.world.start_all();
        self.run(100 * MS);
        self
    }

    fn run(&mut self, span: Duration) {
        self.world.run_for(span).unwrap();
    }

    fn node(&self, alias: &str) -> NodeIx {
        self.world.node(alias).unwrap()
    }

    fn probe(&self, alias: &str) -> &Probe {
        self.world
            .machine(self.node(alias))
            .expect("the probe runs")
    }

    fn inputs(&self, alias: &str) -> Vec<Input> {
        self.probe(alias).inputs().cloned().collect()
    }

    fn step(&mut self, text: &str) {
        let step: crate::plan::Step = text.parse().unwrap();
        self.world.disturb(&step);
    }

    /// Moves to a moment after the beginning of the World.
    fn until(&mut self, at: Duration) {
        self.world.run_until(SimTime::ZERO.after(at)).unwrap();
    }
}
