//! A process: a machine, and what its driver holds for it.

use core::fmt;
use std::collections::{BTreeMap, VecDeque};

use vaquita_core::controller::Controller;
use vaquita_core::datanode::DataNode;
use vaquita_core::dfs::ids::StageId;
use vaquita_core::disk::{DiskBatch, Lane};
use vaquita_core::io::{Effect, Input, Machine as _};
use vaquita_core::time::Timestamp;

use crate::setup::Place;

/// A machine of one of the two roles.
#[derive(Clone, Debug)]
pub enum Machine {
    /// The controller.
    Controller(Box<Controller>),
    /// A data node.
    Node(Box<DataNode>),
}

impl Machine {
    /// Tells it something.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match self {
            Self::Controller(machine) => machine.handle(now, input),
            Self::Node(machine) => machine.handle(now, input),
        }
    }

    /// What it wants next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        match self {
            Self::Controller(machine) => machine.poll_effect(),
            Self::Node(machine) => machine.poll_effect(),
        }
    }

    /// When its next timer is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Controller(machine) => machine.poll_timeout(),
            Self::Node(machine) => machine.poll_timeout(),
        }
    }

    /// Panics if its state contradicts itself.
    pub fn check_invariants(&self) {
        match self {
            Self::Controller(machine) => machine.check_invariants(),
            Self::Node(machine) => machine.check_invariants(),
        }
    }
}

/// One start of a process at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Where.
    pub place: Place,
    /// Which start there, from 1.
    pub start: u32,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {} at place {}", self.start, self.place.0)
    }
}

/// Which of a process's directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Directory {
    /// Its home.
    Home,
    /// Its volume.
    Volume,
}

/// A running process.
#[derive(Clone, Debug)]
pub struct Process {
    /// What it is.
    pub machine: Machine,
    /// Which start at its place.
    pub start: u32,
    /// What it has asked of its disks and has not been done; a queue for each lane.
    pub batches: BTreeMap<(Directory, Lane), VecDeque<DiskBatch>>,
    /// Bytes of chunks that its driver holds.
    pub stages: BTreeMap<StageId, Vec<u8>>,
    /// Connections that it was given a number for.
    pub accepted: u64,
    /// Questions that its driver has asked it.
    pub questions: u64,
}

impl Process {
    /// A process that has just started.
    #[must_use]
    pub fn new(machine: Machine, start: u32) -> Self {
        Self {
            machine,
            start,
            batches: BTreeMap::new(),
            stages: BTreeMap::new(),
            accepted: 0,
            questions: 0,
        }
    }

    /// The controller, if it is one.
    #[must_use]
    pub fn controller(&self) -> Option<&Controller> {
        match &self.machine {
            Machine::Controller(machine) => Some(machine),
            Machine::Node(_) => None,
        }
    }

    /// The data node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<&DataNode> {
        match &self.machine {
            Machine::Node(machine) => Some(machine),
            Machine::Controller(_) => None,
        }
    }
}
