//! A case as it is played.

use std::time::Duration;

use vaquita_core::admin::{Selection, Verb};
use vaquita_core::dfs::ask::Ask;
use vaquita_core::state::Duty;

use super::case::{Case, Noise, What};
use super::states::States;
use crate::disk::Latency;
use crate::picture::{Observer, Recorder};
use crate::plan::{Plan, Step, Timed};
use crate::run::Scenario;
use crate::time::SimTime;
use crate::trace::TraceMode;
use crate::vaquita::files::{Clients, Done, Order, Ticket, bring_to_rest};
use crate::vaquita::{
    Cluster, VaquitaFactory, VaquitaWorld, agents_there, all_online, bring_online, order,
    settled_on, wait_until,
};
use crate::world::Failure;

/// A case as a scenario: its seed is its own, whatever it is run with.
#[derive(Clone, Copy, Debug)]
pub struct Play<'a> {
    /// The case.
    pub case: &'a Case,
    /// Where the states that are reached are noted.
    pub states: Option<&'a States>,
    /// Where it is recorded.
    pub recorder: Option<&'a Recorder>,
    /// The file that it was read from.
    pub file: Option<&'a str>,
}

impl<'a> Play<'a> {
    /// The case, watched by nobody.
    #[must_use]
    pub const fn of(case: &'a Case) -> Self {
        Self {
            case,
            states: None,
            recorder: None,
            file: None,
        }
    }
}

/// How long those that were put right may take to get on while a host stays broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counted when a client has written a file.
pub const WRITTEN: &str = "clients.written";
/// Counted when a client has read one.
pub const READ: &str = "clients.read";
/// Counted when a client has removed or renamed one.
const DONE: &str = "clients.done";
/// Counted when a client was told that there is none.
const NOTHING: &str = "clients.nothing";
/// Counted when nothing is known of what became of a client's order.
const UNKNOWN: &str = "clients.unknown";
/// Counted when a client's order was refused.
const REFUSED: &str = "clients.refused";

impl Scenario for Play<'_> {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        "campaign"
    }

    fn target(&self) -> &'static str {
        "campaign"
    }

    fn replay(&self, seed: u64) -> String {
        if let Some(file) = self.file {
            return format!("cargo run -p simtests -- replay {file}");
        }
        // A file says itself what is planted.
        let planted = self
            .case
            .planted
            .names()
            .map(|bug| format!(" --plant {bug}"));
        let planted: String = planted.collect();
        format!("cargo run -p simtests -- replay {seed}{planted}")
    }

    fn build(&self, _: u64, trace: TraceMode) -> VaquitaWorld {
        let mut world = cluster(self.case).traced(trace).build(self.case.seed);
        if let Some(recorder) = self.recorder {
            world.add_checker(Observer::new(recorder.clone(), &world));
            world.record(recorder.clone());
        }
        world
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        if let Some(recorder) = self.recorder {
            clients.record(recorder.clone());
        }
        clients.have(world, Order::make_directory("/d"))?;
        let tickets = self.disturb(world, &mut clients)?;
        if let Some(broken) = &self.case.broken {
            self.get_on_without(world, &mut clients, &broken.host)?;
        }
        put_right(world, &mut clients)?;
        tell(world, &clients, &tickets);
        bring_to_rest(world, &mut clients)?;
        self.note(world);
        world.finish()
    }
}

/// The cluster of a case, with what is calm about it.
fn cluster(case: &Case) -> Cluster {
    let mut cluster = case.setup.cluster();
    cluster.planted = case.planted;
    let settings = &mut cluster.settings;
    for noise in &case.calm {
        match noise {
            Noise::Timers => settings.timer_slack = Duration::ZERO,
            Noise::Disks => {
                for disk in [&mut settings.disk, &mut settings.volume] {
                    still(&mut disk.write);
                    still(&mut disk.sync);
                }
                still(&mut settings.checkpoint);
            }
            Noise::Links => settings.weather.jitter = Duration::ZERO,
            Noise::Processes => {
                let processes = &mut settings.processes;
                still(&mut processes.order);
                still(&mut processes.startup);
                still(&mut processes.reaping);
            }
        }
    }
    cluster
}

/// Always as long as it was on average.
fn still(latency: &mut Latency) {
    latency.least += latency.mean_extra;
    latency.mean_extra = Duration::ZERO;
}

impl Play<'_> {
    /// The span in which things go wrong and clients work.
    fn disturb(
        &self,
        world: &mut VaquitaWorld,
        clients: &mut Clients,
    ) -> Result<Vec<Ticket>, Failure> {
        let begun = world.now();
        let mut faults = Vec::new();
        let mut orders = Vec::new();
        for happening in &self.case.steps {
            let at = begun.after(happening.at);
            match &happening.what {
                What::Step(step) => faults.push(Timed {
                    at,
                    step: step.clone(),
                }),
                What::Client(order) => orders.push((at, order)),
            }
        }
        if let Err(what) = world.load(&Plan::new(faults)) {
            world.fail(None, what);
        }
        let mut tickets = Vec::new();
        for (at, order) in orders {
            self.run_until(world, clients, at)?;
            tickets.push(clients.begin(world, None, order.clone()));
        }
        // Whatever is written down happens before everything is put right.
        let last = self.case.steps.iter().map(|it| it.at).max();
        let end = last.unwrap_or_default().max(self.case.span);
        self.run_until(world, clients, begun.after(end))?;
        clients.run_for(world, Duration::from_secs(2))?;
        Ok(tickets)
    }

    fn run_until(
        &self,
        world: &mut VaquitaWorld,
        clients: &mut Clients,
        until: SimTime,
    ) -> Result<(), Failure> {
        while world.now() < until {
            self.note(world);
            let slice = until.since(world.now()).min(Duration::from_millis(500));
            clients.run_for(world, slice)?;
        }
        Ok(())
    }

    fn note(&self, world: &VaquitaWorld) {
        if let Some(states) = self.states {
            states.note(world);
        }
    }

    /// All hosts but one are put right, and have to be as ordered and to serve without it.
    fn get_on_without(
        &self,
        world: &mut VaquitaWorld,
        clients: &mut Clients,
        host: &str,
    ) -> Result<(), Failure> {
        if let Some(broken) = &self.case.broken {
            world.disturb(&broken.how.step(host));
        }
        let names: Vec<String> = world
            .hosts()
            .map(|it| world.host_state(it).name.clone())
            .filter(|name| name != host)
            .collect();
        let core: Vec<_> = names.iter().filter_map(|name| world.host(name)).collect();
        world.heal_core(&core);
        let is_core = |name: &str| names.iter().any(|it| it == name);
        let settled = world.run_until_reached(PATIENCE, |world| settled_on(world, is_core))?;
        if !settled {
            let secs = PATIENCE.as_secs();
            let what = format!("without {host} the others are not as ordered within {secs} s");
            world.fail(None, what);
            return world.finish();
        }
        self.note(world);
        clients.finish(world)
    }
}

/// Everything is put right, and everybody is told to serve.
fn put_right(world: &mut VaquitaWorld, clients: &mut Clients) -> Result<(), Failure> {
    world.disturb(&Step::HealAll);
    clients.finish(world)?;
    wait_until(world, "every agent is online", agents_there)?;
    // A volume that has failed is not used any more by its process.
    let names: Vec<String> = world.factory().cluster.node_names().collect();
    let with_failed: Vec<String> = names
        .into_iter()
        .filter(|name| has_failed(world, name))
        .collect();
    for name in with_failed {
        if let Some(node) = world.node(&name) {
            world.kill(node);
        }
    }
    clients.run_for(world, Duration::from_secs(10))?;
    // One that was paused may have ended since: it was told to before.
    wait_until(world, "every agent is online again", agents_there)?;
    order(world, Verb::StartNodes(Selection::All));
    wait_until(world, "every node is online", all_online)?;
    // A controller that was not there when its files were changed has read them when it started, and one
    // that was paused may not have heard of it.
    let config = Box::new(world.factory_mut().configuration());
    let dry_run = false;
    order(world, Verb::Reconfigure { config, dry_run });
    order(world, Verb::Dfs(Ask::SuspendRepair { suspend: false }));
    order(
        world,
        Verb::SetDuty {
            nodes: Selection::All,
            duty: Duty::Serve,
        },
    );
    let cluster = world.factory().cluster.clone();
    for name in cluster.node_names() {
        for slot in 0..cluster.volumes {
            order(
                world,
                Verb::SetVolumeDuty {
                    node: name.clone(),
                    path: format!("/{name}/{slot}"),
                    drain: false,
                },
            );
        }
    }
    clients.run_for(world, Duration::from_secs(1))
}

/// Whether the controller knows of a volume of this node that cannot be read.
fn has_failed(world: &VaquitaWorld, name: &str) -> bool {
    let Some((_, machine)) = crate::vaquita::controller(world) else {
        return false;
    };
    let alias = vaquita_core::ids::Alias::new(name).ok();
    let stock = alias.and_then(|alias| machine.stock_of(&alias));
    stock.is_some_and(|stock| stock.volumes.iter().any(|it| !it.state.is_readable()))
}

/// Counts what became of the orders.
fn tell(world: &mut VaquitaWorld, clients: &Clients, tickets: &[Ticket]) {
    for ticket in tickets {
        let mark = match clients.done(*ticket) {
            Some(Done::Written(_)) => WRITTEN,
            Some(Done::Read(_)) => READ,
            Some(Done::Done) => DONE,
            Some(Done::Nothing) => NOTHING,
            Some(Done::Refused(_)) => REFUSED,
            Some(Done::Unknown(_)) => UNKNOWN,
            Some(Done::Answered(_)) | None => continue,
        };
        world.count(mark, 1);
    }
}
