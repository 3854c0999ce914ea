//! What the scenarios have in common.

use std::time::Duration;

use simtests::run::{Scenario, Summary, check};
use simtests::time::SimTime;
use simtests::trace::TraceMode;
use simtests::vaquita::{Cluster, VaquitaFactory, VaquitaWorld, at, rows};
use simtests::world::Failure;

/// A scenario from closures.
pub(crate) struct Story {
    /// The test's name with its module, by which a failure can be run again.
    pub(crate) name: &'static str,
    /// The cluster of a seed.
    pub(crate) cluster: fn(u64) -> Cluster,
    /// What is added before anything happens.
    pub(crate) prepare: fn(&mut VaquitaWorld),
    /// What happens, and what must come of it.
    pub(crate) drive: fn(&mut VaquitaWorld) -> Result<(), Failure>,
}

impl Scenario for Story {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn target(&self) -> &'static str {
        "world"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let mut world = (self.cluster)(seed).traced(trace).build(seed);
        (self.prepare)(&mut world);
        world
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        (self.drive)(world)?;
        world.finish()
    }
}

/// Runs a story under so many seeds and one more, or those that the environment asks for.
pub(crate) fn run(seeds: u64, story: Story) -> Summary {
    check(&story, seeds)
}

pub(crate) fn small(_: u64) -> Cluster {
    Cluster::of(4)
}

pub(crate) fn tiny(_: u64) -> Cluster {
    Cluster::of(3).with_tiny_limits()
}

pub(crate) fn ready(_: &mut VaquitaWorld) {}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Fails the run unless something is so.
pub(crate) fn expect(world: &mut VaquitaWorld, so: bool, what: &str) -> Result<(), Failure> {
    if !so {
        world.fail(None, what.to_owned());
    }
    world.finish()
}

/// The process id of each member.
pub(crate) fn pids(world: &VaquitaWorld) -> Vec<Option<u32>> {
    rows(world).iter().map(|row| row.pid).collect()
}

/// The registration of each member.
pub(crate) fn epochs(world: &VaquitaWorld) -> Vec<u64> {
    rows(world)
        .iter()
        .map(|row| row.epoch.map_or(0, |epoch| epoch.0))
        .collect()
}

/// The clock of the scenarios: a moment exists.
#[test]
fn moments_are_counted_from_the_beginning() {
    assert_eq!(at(2).since(SimTime::ZERO), seconds(2));
}
