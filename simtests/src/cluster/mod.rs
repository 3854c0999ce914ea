//! A whole cluster of the product's own processes, on simulated sockets, disks and clocks.
//!
//! Each process (the controller `master`, the agents `P1-agent`, `P2-agent` …, the data nodes
//! `P1-NODE1` …) is a host of [turmoil] of its own name and runs what the binary runs: the role's
//! entry point, the driver, the machine. Only [`Env`](vaquita_node::env::Env) is another one. A
//! physical host (`P1`) is all simulated hosts whose names begin with it; agent and data nodes are
//! separate so that each can die alone.
//!
//! A data node's host runs nothing until its agent launches it. What an agent orders is carried out
//! between two steps of the simulation.
//!
//! Time passes in [`Cluster::run_for`] and in the methods that wait for something, a tick at a time.
//! Everything follows from the seed. When a scenario fails, what led to it is printed with the
//! command that runs it again.
//!
//! What turmoil does not do, this module does or avoids:
//! - Datagrams are lost one at a time in [`UdpFaults`]; turmoil's `fail_rate` would cut links and
//!   heal one-way cuts.
//! - A connection across a cut never comes about, instead of being refused.
//! - A killed process leaves a host behind that refuses connections; a power cut leaves silence, no
//!   `FIN`, and on the disk only what was synced.
//! - A process ends within its host, which drops its tasks in their order. turmoil's `crash` drops a
//!   whole runtime, whose tasks then go in the order of their numbers; those are counted for all
//!   simulations of a test binary together, so that no two runs would be alike.
//! - [`Cluster::pause`] stops a process as `SIGSTOP` does.
//!
//! TCP on turmoil does not retransmit: a connection that loses a segment is silent for ever, also
//! after the network has healed. The product has to find out by its own time-outs.

mod builder;
mod diary;
mod disk;
mod env;
mod faults;
mod host;
mod panics;
mod program;
mod report;
mod shared;
mod sockets;
#[cfg(test)]
mod tests;
mod view;
mod web;

use std::fmt;
use std::time::{Duration, Instant};

use vaquita_core::process::ProcessExit;

pub use builder::{Builder, CHUNK_BYTES};
pub use diary::Entry;
pub use disk::TurmoilDisk;
pub use env::{TurmoilEnv, TurmoilProcesses};
pub use program::{PORT, Program, site};
pub use shared::Shared;
pub use sockets::{ALL, TurmoilListener, TurmoilUdp, UdpFaults};
pub use web::{Answered, Call, Errand};

use shared::Wish;

/// A simulation may take that long by the wall clock, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// A cluster in a simulation.
pub struct Cluster {
    sim: turmoil::Sim<'static>,
    shared: Shared,
    layout: Layout,
    scenario: String,
    seed: u64,
    begun: Instant,
    panics_before: u64,
    asked: u64,
}

/// Which hosts there are.
#[derive(Clone, Debug, Default)]
struct Layout {
    agents: Vec<String>,
    data_nodes: Vec<String>,
    /// Hosts that are no members.
    strays: Vec<String>,
    /// The host of whoever reads and writes files.
    client: Option<String>,
}

/// The simulated host of the controller.
pub const CONTROLLER: &str = "master";
/// The simulated host of whoever reads and writes files.
pub const CLIENT: &str = "client";

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("scenario", &self.scenario)
            .field("seed", &self.seed)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster of so many physical hosts, each with an agent and a data node.
    #[must_use]
    pub fn of(hosts: usize) -> Builder {
        Builder::new(hosts)
    }

    /// Time that has passed in the simulation.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// The agents' hosts.
    #[must_use]
    pub fn agents(&self) -> Vec<String> {
        self.layout.agents.clone()
    }

    /// The data nodes' hosts.
    #[must_use]
    pub fn data_nodes(&self) -> Vec<String> {
        self.layout.data_nodes.clone()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.step();
        }
    }

    /// Lets time pass until something holds.
    ///
    /// # Panics
    /// If it does not within that time.
    pub fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) {
        let deadline = self.sim.elapsed() + within;
        while !holds(self) {
            assert!(
                self.sim.elapsed() < deadline,
                "not within {within:?}: {what}"
            );
            for _ in 0..LOOK_EVERY {
                self.step();
            }
        }
    }

    /// One tick of all hosts, and then what their agents ordered.
    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("the simulation failed: {error}");
        }
        for wish in self.shared.take_wishes() {
            match wish {
                Wish::Start(host) => self.sim.bounce(host),
                Wish::Kill(host, signal) => self.kill_with(&host, signal),
            }
        }
        assert_eq!(
            panics::on_this_thread(),
            self.panics_before,
            "a simulated process panicked, see above"
        );
        assert!(
            self.begun.elapsed() < PATIENCE,
            "the simulation takes more than {PATIENCE:?} by the wall clock: something spins, or \
             waits for ever"
        );
    }

    // ---- processes ----

    /// Starts a process by hand, or by the init system of its host.
    ///
    /// # Panics
    /// If it runs already.
    pub fn start(&mut self, host: &str) {
        self.note(format!("start {host}"));
        assert!(
            self.shared.start(host),
            "{host} runs already, or is no host"
        );
        self.sim.bounce(host);
    }

    /// Starts all agents, in the order of the nodes file.
    pub fn start_agents(&mut self) {
        for agent in self.layout.agents.clone() {
            self.start(&agent);
        }
    }

    /// `SIGTERM`.
    ///
    /// # Panics
    /// If the process does not run.
    pub fn terminate(&mut self, host: &str) {
        self.note(format!("SIGTERM to {host}"));
        let state = self.shared.state();
        let running = state.hosts.get(host).and_then(|host| host.process.as_ref());
        let terminator = running.and_then(|running| running.terminator.as_ref());
        terminator.expect("a running process").terminate();
    }

    /// `SIGKILL`: the process ends without a word, its host says so to its peers. Takes a tick.
    ///
    /// # Panics
    /// If the process does not run.
    pub fn kill(&mut self, host: &str) {
        self.note(format!("SIGKILL to {host}"));
        let pid = self.pid(host);
        assert!(pid.is_some(), "{host} does not run");
        self.kill_with(host, 9);
        // Its agent may have started the next one before the tick is over.
        while self.pid(host) == pid {
            self.step();
        }
    }

    fn kill_with(&self, host: &str, signal: i32) {
        if !self.shared.kill(host, signal) {
            // It has not come so far as to run.
            self.shared.end(host, ProcessExit::Signal(signal), None);
        }
    }

    /// Whether a process runs there.
    #[must_use]
    pub fn runs(&self, host: &str) -> bool {
        self.shared.pid(host).is_some()
    }

    /// Changes what a host's process is started with the next time.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn reconfigure(&mut self, host: &str, change: impl FnOnce(&mut Program)) {
        let mut state = self.shared.state();
        let entry = state.hosts.get_mut(host).expect("a host of the simulation");
        change(&mut entry.program);
    }

    /// Has the process of one host work in the home of another's, as after a slip of the pen.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn share_home(&mut self, host: &str, owner: &str) {
        let home = self.shared.home(owner);
        let mut state = self.shared.state();
        let entry = state.hosts.get_mut(host).expect("a host of the simulation");
        entry.home = home;
    }

    fn note(&self, message: String) {
        self.shared.note_fault(self.sim.elapsed(), message);
    }
}

/// Steps between two looks at what a scenario waits for.
const LOOK_EVERY: usize = 5;
