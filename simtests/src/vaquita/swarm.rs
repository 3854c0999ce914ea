//! A swarm of faults: each run leaves whole classes of them out and mixes the rest.

use std::time::Duration;

use super::{Cluster, VaquitaFactory, VaquitaWorld, all_settled, bring_online};
use crate::plan::Swarm;
use crate::run::Scenario;
use crate::time::SimTime;
use crate::trace::TraceMode;
use crate::world::Failure;

/// How long things go wrong.
const SPAN: Duration = Duration::from_secs(180);

/// How long the cluster may take afterwards to be as it was ordered.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plan of its seed, in a cluster of four hosts, or of three with tiny limits. When all is
/// healed, the cluster is as ordered within two minutes.
#[derive(Clone, Copy, Debug)]
pub struct SwarmOfFaults {
    /// The test's name.
    pub name: &'static str,
    /// The test's file.
    pub target: &'static str,
}

impl Scenario for SwarmOfFaults {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn target(&self) -> &'static str {
        self.target
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let cluster = if seed.is_multiple_of(2) {
            Cluster::of(3).with_tiny_limits()
        } else {
            Cluster::of(4)
        };
        cluster.traced(trace).build(seed)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let shape = world.factory().cluster.shape(SPAN);
        let plan = Swarm::of(&world.streams()).plan(&shape);
        let plan = plan.later(world.now().since(SimTime::ZERO));
        let until = world.now().after(SPAN);
        world.run_plan(&plan, until, PATIENCE, all_settled)
    }
}
