//! A machine of any role.

use vaquita_core::agent::Agent;
use vaquita_core::controller::Controller;
use vaquita_core::datanode::DataNode;
use vaquita_core::io::{Effect, Input, Machine};
use vaquita_core::rebuild::Rebuild;
use vaquita_core::time::Timestamp;

/// A machine of any role.
#[derive(Debug)]
pub enum Vaquita {
    /// The controller.
    Controller(Box<Controller>),
    /// An agent.
    Agent(Box<Agent>),
    /// A data node.
    DataNode(Box<DataNode>),
    /// What runs in the place of a controller whose home is lost.
    Rebuild(Box<Rebuild>),
}

impl Machine for Vaquita {
    fn handle(&mut self, now: Timestamp, input: Input) {
        match self {
            Self::Controller(machine) => machine.handle(now, input),
            Self::Agent(machine) => machine.handle(now, input),
            Self::DataNode(machine) => machine.handle(now, input),
            Self::Rebuild(machine) => machine.handle(now, input),
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        match self {
            Self::Controller(machine) => machine.poll_effect(),
            Self::Agent(machine) => machine.poll_effect(),
            Self::DataNode(machine) => machine.poll_effect(),
            Self::Rebuild(machine) => machine.poll_effect(),
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Controller(machine) => machine.poll_timeout(),
            Self::Agent(machine) => machine.poll_timeout(),
            Self::DataNode(machine) => machine.poll_timeout(),
            Self::Rebuild(machine) => machine.poll_timeout(),
        }
    }

    fn check_invariants(&self) {
        match self {
            Self::Controller(machine) => machine.check_invariants(),
            Self::Agent(machine) => machine.check_invariants(),
            Self::DataNode(machine) => machine.check_invariants(),
            Self::Rebuild(machine) => machine.check_invariants(),
        }
    }
}
