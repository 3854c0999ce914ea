//! What whoever starts a run wants of it.

use std::path::PathBuf;
use std::time::Duration;

use crate::fault::Kind;

/// How a run is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is tested.
    pub vaquita: PathBuf,
    /// A directory in which nothing is yet; what is left in it is the caller's.
    pub room: PathBuf,
    /// From which the faults follow, and what clients want.
    pub seed: u64,
    /// How long there are faults.
    pub time: Duration,
    /// The kinds that there may be; those that the machine cannot have are left out, and told.
    pub kinds: Vec<Kind>,
    /// Hosts with an agent and a data node, beside the controller's.
    pub hosts: usize,
    /// Clients at once.
    pub clients: u64,
    /// How long all may take to be well again.
    pub heal: Duration,
    /// Whether what is of no use is waited for until it has to be gone.
    pub graces: bool,
    /// Where what is said is written to as well.
    pub report: Option<PathBuf>,
    /// Harm that has to be found.
    pub plant: Option<Plant>,
}

/// Harm that no cluster survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// All replicas of one file are overwritten on the disks.
    DestroyAFile,
}
