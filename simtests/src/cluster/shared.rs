//! What all hosts of a simulation share: disks, processes, faults, and what happened so far.
//!
//! The simulated hosts write into it while the simulation steps, and the harness between two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use vaquita_core::admin::{Reply, Request};
use vaquita_core::event::{Event, Severity};
use vaquita_core::ids::Alias;
use vaquita_core::io::ExitReason;
use vaquita_core::prng::mix;
use vaquita_core::process::{
    Inspection, PortState, ProcessEvent, ProcessExit, ProcessIdentity, ProcessOrder, StopSignal,
};
use vaquita_node::driver::Terminator;

use super::diary::Diary;
use super::disk::Store;
use super::program::{Program, home};
use super::sockets::{ALL, UdpFaults};
use super::web::{Answered, Errand};

/// A handle on the shared state. All clones are the same.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    seed: u64,
    draws: u64,
    pub(super) faults: UdpFaults,
    /// Directions in which nothing passes, from host to host.
    pub(super) cuts: BTreeSet<(String, String)>,
    disks: BTreeMap<String, Arc<Mutex<Store>>>,
    pub(super) hosts: BTreeMap<String, Host>,
    /// What agents want done to processes; carried out by the harness between two steps.
    wishes: Vec<Wish>,
    /// Ends of processes that were not reported yet, by the process id of the agent that watches.
    exits: BTreeMap<u32, Vec<ProcessEvent>>,
    /// Ports that a stranger holds, with the stranger's name.
    pub(super) held: BTreeMap<(String, u16), String>,
    next_pid: u32,
    pub(super) replies: BTreeMap<u64, Reply>,
    /// Where the client takes its errands from.
    pub(super) client: Option<mpsc::UnboundedSender<Errand>>,
    /// How errands have ended that the scenario has not looked at.
    pub(super) answers: BTreeMap<u64, Result<Answered, String>>,
    pub(super) diary: Diary,
}

/// A simulated host. It has one process, or none at present.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) program: Program,
    /// The directory of its process.
    pub(super) home: String,
    /// The text of the configuration file that the process was last launched with.
    pub(super) node_cfg: String,
    pub(super) process: Option<Running>,
    pub(super) exits: Vec<ExitReason>,
    pub(super) paused: bool,
    pub(super) parked: Vec<Waker>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) identity: ProcessIdentity,
    /// The agent process that launched it.
    parent: Option<u32>,
    /// The agent process that is told of its end.
    watcher: Option<u32>,
    /// What ends it, once it has come so far.
    pub(super) terminator: Option<Terminator>,
    /// What kills it, once it has come so far; takes the signal.
    killer: Option<oneshot::Sender<i32>>,
    /// Where requests for it are handed in.
    pub(super) desk: Option<mpsc::UnboundedSender<(u64, Request)>>,
}

impl Running {
    /// A process that has not come so far as to listen to anybody.
    const fn new(identity: ProcessIdentity, agent: Option<u32>) -> Self {
        Self {
            identity,
            parent: agent,
            watcher: agent,
            terminator: None,
            killer: None,
            desk: None,
        }
    }
}

/// What an agent asks of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Start the process of that simulated host.
    Start(String),
    /// End it without its having a say; by that signal.
    Kill(String, i32),
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed,
            draws: 0,
            faults: UdpFaults::default(),
            cuts: BTreeSet::new(),
            disks: BTreeMap::new(),
            hosts: BTreeMap::new(),
            wishes: Vec::new(),
            exits: BTreeMap::new(),
            held: BTreeMap::new(),
            next_pid: 100,
            replies: BTreeMap::new(),
            client: None,
            answers: BTreeMap::new(),
            diary: Diary::default(),
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// A host on which nothing runs yet.
    pub(super) fn add_host(&self, name: &str, program: Program) {
        let host = Host {
            program,
            home: home(name),
            node_cfg: String::new(),
            process: None,
            exits: Vec::new(),
            paused: false,
            parked: Vec::new(),
        };
        self.state().hosts.insert(name.to_owned(), host);
    }

    /// A process is to run on a host, as the init system or a person has it. Returns whether none
    /// does already.
    pub(super) fn start(&self, host: &str) -> bool {
        let mut state = self.state();
        let identity = state.fresh_identity();
        let Some(host) = state.hosts.get_mut(host) else {
            return false;
        };
        let free = host.process.is_none();
        if free {
            host.process = Some(Running::new(identity, None));
        }
        free
    }

    /// The process of a host begins, if one is to run there.
    pub(super) fn begin(
        &self,
        host: &str,
        terminator: Terminator,
        killer: oneshot::Sender<i32>,
        desk: mpsc::UnboundedSender<(u64, Request)>,
    ) -> Option<Program> {
        let mut state = self.state();
        let host = state.hosts.get_mut(host)?;
        let running = host.process.as_mut()?;
        running.terminator = Some(terminator);
        running.killer = Some(killer);
        running.desk = Some(desk);
        let mut program = host.program.clone();
        if let Some(facts) = program.facts_mut() {
            facts.process = running.identity.clone();
        }
        Some(program)
    }

    /// Kills the process of a host with its next step. Returns whether it runs.
    pub(super) fn kill(&self, host: &str, signal: i32) -> bool {
        let mut state = self.state();
        let process = state
            .hosts
            .get_mut(host)
            .and_then(|host| host.process.as_mut());
        let killer = process.and_then(|process| process.killer.take());
        killer.is_some_and(|killer| killer.send(signal).is_ok())
    }

    /// The process of a host has ended; the agent that watches it, if there is one, is told.
    pub(super) fn end(&self, host: &str, exit: ProcessExit, last_words: Option<String>) {
        let mut state = self.state();
        let Some(entry) = state.hosts.get_mut(host) else {
            return;
        };
        let Some(running) = entry.process.take() else {
            return;
        };
        let (Some(watcher), Ok(alias)) = (running.watcher, Alias::new(host)) else {
            return;
        };
        // Only a parent learns how a process ended.
        let exit = if running.parent == running.watcher {
            exit
        } else {
            ProcessExit::Unknown
        };
        let event = ProcessEvent::Exited {
            alias,
            identity: running.identity,
            exit,
            log_tail: last_words.into_iter().collect(),
        };
        state.exits.entry(watcher).or_default().push(event);
    }

    /// The ends of processes that an agent has not heard of.
    pub(super) fn take_exits(&self, agent: u32) -> Vec<ProcessEvent> {
        self.state().exits.remove(&agent).unwrap_or_default()
    }

    /// What agents asked for since the last call.
    pub(super) fn take_wishes(&self) -> Vec<Wish> {
        core::mem::take(&mut self.state().wishes)
    }

    /// A directory, made if need be.
    pub(super) fn store(&self, directory: &str) -> Arc<Mutex<Store>> {
        let mut state = self.state();
        Arc::clone(state.disks.entry(directory.to_owned()).or_default())
    }

    /// The home of a host's process.
    pub(super) fn home(&self, host: &str) -> String {
        let state = self.state();
        state
            .hosts
            .get(host)
            .map_or_else(String::new, |host| host.home.clone())
    }

    /// The process id of a host's process.
    pub(super) fn pid(&self, host: &str) -> Option<u32> {
        let state = self.state();
        let running = state.hosts.get(host)?.process.as_ref()?;
        Some(running.identity.pid)
    }

    /// Whether nothing passes between two hosts in one direction at least. A connection cannot be
    /// opened then, and nobody is told that it cannot.
    pub(super) fn is_cut(&self, one: &str, other: &str) -> bool {
        let state = self.state();
        let cut = |from: &str, to: &str| state.cuts.contains(&(from.to_owned(), to.to_owned()));
        cut(one, other) || cut(other, one)
    }

    /// The datagrams that come of one that is sent.
    pub(super) fn suffer(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut state = self.state();
        let faults = state.faults;
        if state.falls(faults.lost) {
            return Vec::new();
        }
        let mut bytes = bytes.to_vec();
        if state.falls(faults.damaged) && !bytes.is_empty() {
            let bits = bytes.len() as u64 * 8;
            let bit = usize::try_from(state.draw() % bits).unwrap_or(0);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let copies = if state.falls(faults.doubled) { 2 } else { 1 };
        vec![bytes; copies]
    }

    /// A number that no other call gets.
    pub(super) fn draw(&self) -> u64 {
        self.state().draw()
    }

    pub(super) fn note(&self, at: Duration, host: &str, event: &Event) {
        self.state().diary.note(at, host, event);
    }

    /// Notes what the scenario does.
    pub(super) fn note_fault(&self, at: Duration, message: String) {
        let event = Event {
            severity: Severity::Info,
            name: "harness",
            message,
        };
        self.note(at, "harness", &event);
    }

    /// Carries out an agent's order; `agent` is the agent's process id.
    pub(super) fn order(&self, agent: u32, order: ProcessOrder) -> Option<ProcessEvent> {
        self.state().order(agent, order)
    }
}

impl State {
    fn draw(&mut self) -> u64 {
        self.draws += 1;
        mix(self.seed ^ mix(self.draws))
    }

    fn falls(&mut self, share: u32) -> bool {
        share > 0 && self.draw() % u64::from(ALL) < u64::from(share)
    }

    fn fresh_identity(&mut self) -> ProcessIdentity {
        self.next_pid += 1;
        ProcessIdentity {
            pid: self.next_pid,
            start_ticks: u64::from(self.next_pid),
            boot_id: "turmoil".to_owned(),
            executable: (1, 1),
        }
    }

    fn order(&mut self, agent: u32, order: ProcessOrder) -> Option<ProcessEvent> {
        match order {
            ProcessOrder::ProbePort { alias, endpoint } => {
                let host = alias.as_str().to_owned();
                let own = self.hosts.get(&host).and_then(|host| host.process.as_ref());
                let own = own.map(|own| format!("{} (vaquita)", own.identity));
                let stranger = self.held.get(&(host, endpoint.port)).cloned();
                let state = match stranger.or(own) {
                    Some(holder) => PortState::Held {
                        holder: Some(holder),
                    },
                    None => PortState::Free,
                };
                Some(ProcessEvent::PortProbed { alias, state })
            }
            ProcessOrder::Launch { alias, node_cfg } => {
                let result = self.launch(agent, alias.as_str(), node_cfg);
                Some(ProcessEvent::Launched { alias, result })
            }
            ProcessOrder::Inspect { alias, identity } => {
                let running = self.running(&alias, &identity);
                let inspection = match running {
                    Some(running) => {
                        running.watcher = Some(agent);
                        Inspection::Running
                    }
                    None => Inspection::Gone,
                };
                Some(ProcessEvent::Inspected {
                    alias,
                    identity,
                    inspection,
                })
            }
            ProcessOrder::Signal {
                alias,
                identity,
                signal,
            } => {
                let terminator = self.running(&alias, &identity)?.terminator.clone();
                let host = alias.as_str().to_owned();
                match (signal, terminator) {
                    (StopSignal::Terminate, Some(terminator)) => terminator.terminate(),
                    // Nobody catches the signal yet.
                    (StopSignal::Terminate, None) => self.wishes.push(Wish::Kill(host, 15)),
                    (StopSignal::Kill, _) => self.wishes.push(Wish::Kill(host, 9)),
                }
                None
            }
            ProcessOrder::ReadLog { id, .. } => Some(ProcessEvent::LogRead {
                id,
                result: Err("there are no log files in a simulation".to_owned()),
            }),
        }
    }

    fn running(&mut self, alias: &Alias, identity: &ProcessIdentity) -> Option<&mut Running> {
        let host = self.hosts.get_mut(alias.as_str())?;
        host.process
            .as_mut()
            .filter(|running| running.identity == *identity)
    }

    fn launch(
        &mut self,
        agent: u32,
        name: &str,
        node_cfg: String,
    ) -> Result<ProcessIdentity, String> {
        let identity = self.fresh_identity();
        let host = self
            .hosts
            .get_mut(name)
            .ok_or_else(|| format!("{name} has no simulated host"))?;
        host.program.configure(&node_cfg)?;
        host.node_cfg = node_cfg;
        if host.process.is_some() {
            // What an operating system would let happen and no scenario wants: two of one alias.
            return Err(format!("{name} runs already: its agent started a twin"));
        }
        host.process = Some(Running::new(identity.clone(), Some(agent)));
        self.wishes.push(Wish::Start(name.to_owned()));
        Ok(identity)
    }
}
