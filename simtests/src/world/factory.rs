//! What a World must be told about a protocol.

use std::net::SocketAddr;

use vaquita_core::admin::Request;
use vaquita_core::ids::Alias;
use vaquita_core::io::{ExitReason, Job, JobOutcome, Machine};
use vaquita_core::metalog::CheckpointPlan;
use vaquita_core::prng::Seed;
use vaquita_core::process::ProcessIdentity;
use vaquita_core::store::scan::{self, Found, LabelFound, ScanFault};
use vaquita_core::time::Timestamp;

use super::NodeIx;
use crate::disk::{Cached, Files, SimDisk};
use crate::streams::Draw;

/// Everything that a process knows when it starts.
#[derive(Debug)]
pub struct Start<'a> {
    /// Which node it is of.
    pub node: NodeIx,
    /// Its host's name.
    pub host: &'a str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its name.
    pub alias: &'a Alias,
    /// The process itself, as its host knows it.
    pub process: ProcessIdentity,
    /// Starts of this node before.
    pub starts: u32,
    /// The text of its configuration: what the agent wrote that launched it, or what its
    /// [`NodeSpec`](super::NodeSpec) says.
    pub config: &'a str,
    /// The files it finds.
    pub files: &'a Files,
    /// Its entropy.
    pub seed: Seed,
    /// Its clock. Not zero: a process has run for a while before there is a machine.
    pub now: Timestamp,
}

/// Makes the machines of a World, and knows of the protocol what the World does not.
pub trait Factory {
    /// What runs: one type, or an enum of several.
    type Machine: Machine;

    /// Makes the machine of a process that begins.
    ///
    /// # Errors
    /// Why the process ends at once instead; its disk is as it was.
    fn start(&mut self, start: &Start<'_>) -> Result<Self::Machine, ExitReason>;

    /// An agent launches a node of this name, for which there is no place yet: on which port will
    /// it listen?
    ///
    /// # Errors
    /// Why the launch fails.
    fn launch(&mut self, host: &str, alias: &Alias, node_cfg: &str) -> Result<u16, String> {
        let _ = (host, node_cfg);
        Err(format!("this World has no node {alias}"))
    }

    /// Builds a checkpoint from the files of a node's directory.
    ///
    /// # Errors
    /// Why there is none.
    fn build_checkpoint(
        &mut self,
        plan: &CheckpointPlan,
        files: &Files,
    ) -> Result<Vec<u8>, String> {
        let _ = (plan, files);
        Err("this World builds no checkpoints".to_owned())
    }

    /// Reads a volume.
    ///
    /// # Errors
    /// Why it cannot be taken into use.
    fn scan(&mut self, disk: &SimDisk) -> Result<(LabelFound, Found), ScanFault> {
        scan::scan(&Cached(disk))
    }

    /// What a job comes to, where that is not what [`World`](super::World) does by itself.
    fn job(&mut self, job: &Job, files: &Files) -> Option<JobOutcome> {
        let _ = (job, files);
        None
    }

    /// The request behind a plan's `ask NODE TEXT`.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn request(&mut self, text: &str, draw: &mut Draw) -> Result<Request, String> {
        let _ = draw;
        Err(format!("this World knows no request `{text}`"))
    }

    /// Whether [`Factory::request`] knows a text, without anything coming of it.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn check_request(&self, text: &str) -> Result<(), String> {
        Err(format!("this World knows no request `{text}`"))
    }

    /// The state of a machine in a few words, for the last column of the trace.
    fn status(&self, machine: &Self::Machine) -> String {
        let _ = machine;
        String::new()
    }
}
