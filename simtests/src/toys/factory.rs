//! Toys as a cluster: how they are made, what is checked of them, and a scenario with all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use vaquita_core::admin::{Caller as Who, Request, Response, Verb};
use vaquita_core::ids::{Alias, Endpoint};
use vaquita_core::io::{ExitCode, ExitReason};
use vaquita_core::prng::{Prng, SecretPrng};
use vaquita_core::secret::Password;

use super::{Beacon, Bug, Caller, Echo, Hub, Keeper, Ledger, Toy, Worker};
use crate::checker::{Bounds, Checker, LogsKeepPromises};
use crate::disk::{DiskProfile, FailedSync, Tear};
use crate::plan::{Plan, Shape, Swarm};
use crate::run::Scenario;
use crate::streams::{Draw, Stream};
use crate::time::SimTime;
use crate::trace::TraceMode;
use crate::world::{
    Factory, Failure, NodeIx, NodeSpec, Settings, Start, StepKind, StepRecord, World,
};

/// Makes toys. The first word of a node's configuration says which:
/// `hub`, `beacon HOST PORT`, `echo`, `caller HOST PORT`, `ledger`, `keeper ALIAS:PORT…`, `worker`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToyFactory {
    /// The mistake that every toy makes which can.
    pub bug: Option<Bug>,
}

fn refused(message: String) -> ExitReason {
    ExitReason {
        code: ExitCode::Usage,
        message,
    }
}

impl ToyFactory {
    fn endpoint(words: &[&str]) -> Result<Endpoint, ExitReason> {
        let [host, port] = words else {
            return Err(refused(format!("`{}` is no place", words.join(" "))));
        };
        let port = port
            .parse()
            .map_err(|_| refused(format!("`{port}` is no port")))?;
        Ok(Endpoint {
            host: (*host).to_owned(),
            port,
        })
    }

    fn worker(host: &str, word: &str) -> Result<(Alias, Endpoint), ExitReason> {
        let wrong = || refused(format!("`{word}` is no worker; write it as ALIAS:PORT"));
        let (alias, port) = word.split_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let alias = Alias::new(alias).map_err(|_| wrong())?;
        Ok((
            alias,
            Endpoint {
                host: host.to_owned(),
                port,
            },
        ))
    }
}

impl Factory for ToyFactory {
    type Machine = Toy;

    fn start(&mut self, start: &Start<'_>) -> Result<Toy, ExitReason> {
        let bug = self.bug;
        let words: Vec<&str> = start.config.split_whitespace().collect();
        let mut entropy = SecretPrng::new(start.seed.clone());
        let prng = Prng::new(entropy.next_u64());
        match words.as_slice() {
            ["hub"] => Ok(Toy::Hub(Hub::new(start.now, bug))),
            ["beacon", place @ ..] => {
                let hub = Self::endpoint(place)?;
                let (node, incarnation) = (start.node.index() as u64, u64::from(start.starts) + 1);
                let beacon = Beacon::new(hub, node, incarnation, prng, start.now, bug);
                Ok(Toy::Beacon(beacon))
            }
            ["echo"] => Ok(Toy::Echo(Echo::default())),
            ["caller", place @ ..] => {
                let echo = Self::endpoint(place)?;
                Ok(Toy::Caller(Caller::new(echo, prng, start.now)))
            }
            ["ledger"] => Ok(Toy::Ledger(Ledger::new(start.files, bug))),
            ["keeper", workers @ ..] => {
                let worker = |word: &&str| Self::worker(start.host, word);
                let workers = workers.iter().map(worker).collect::<Result<Vec<_>, _>>()?;
                Ok(Toy::Keeper(Keeper::new(workers, start.files, start.now)))
            }
            ["worker"] => Ok(Toy::Worker(Worker::default())),
            _ => Err(refused(format!("`{}` is no toy", start.config))),
        }
    }

    fn request(&mut self, text: &str, draw: &mut Draw) -> Result<Request, String> {
        let verb = match text {
            "add" => Verb::AddUser {
                user: format!("n{}", draw.below(500)),
                password: Password::new("none".to_owned()),
                admin: false,
            },
            "list" => Verb::ListUsers,
            _ => return Err(unknown(text)),
        };
        Ok(Request {
            caller: Who::CONSOLE,
            verb,
        })
    }

    fn check_request(&self, text: &str) -> Result<(), String> {
        match text {
            "add" | "list" => Ok(()),
            _ => Err(unknown(text)),
        }
    }

    fn status(&self, machine: &Toy) -> String {
        match machine {
            Toy::Beacon(beacon) => format!(
                "beacon sent {:<6} answered {}",
                beacon.sent, beacon.answered
            ),
            Toy::Hub(hub) => format!("hub    alive {}", hub.alive()),
            Toy::Echo(_) => String::new(),
            Toy::Caller(caller) => {
                format!(
                    "caller opened {:<4} returned {}",
                    caller.opened, caller.returned
                )
            }
            Toy::Ledger(ledger) => {
                let serves = if ledger.serves() { "serves" } else { "repairs" };
                format!("ledger {serves:<7} names {}", ledger.names().len())
            }
            Toy::Keeper(keeper) => format!("keeper running {}", keeper.running()),
            Toy::Worker(_) => String::new(),
        }
    }
}

/// What a ledger answered *done* to is among its names whenever it has started again, and in every
/// list it gives.
#[derive(Debug, Default)]
pub struct Acknowledged {
    names: BTreeSet<(NodeIx, String)>,
}

impl Checker<ToyFactory> for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged names"
    }

    fn after_step(&mut self, world: &World<ToyFactory>, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node else { return Ok(()) };
        if step.kind == StepKind::Start
            && let Some(Toy::Ledger(ledger)) = world.machine(node)
        {
            let acknowledged = self.names.iter().filter(|(of, _)| *of == node);
            for (_, name) in acknowledged {
                if !ledger.names().contains(name) {
                    return Err(format!(
                        "{name} was acknowledged and is gone after the restart"
                    ));
                }
            }
        }
        for answer in world.answers().iter().rev().take(step.answers) {
            match (&answer.request.verb, &answer.reply) {
                (Verb::AddUser { user, .. }, Some(Ok(Response::Done))) => {
                    self.names.insert((answer.node, user.clone()));
                }
                (Verb::ListUsers, Some(Ok(Response::Users(rows)))) => {
                    let listed: BTreeSet<&str> = rows.iter().map(|row| row.user.as_str()).collect();
                    let acknowledged = self.names.iter().filter(|(of, _)| *of == answer.node);
                    for (_, name) in acknowledged {
                        if !listed.contains(name.as_str()) {
                            return Err(format!("{name} was acknowledged and is not listed"));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A hub has counted no more beats of a beacon than the beacon has sent.
#[derive(Debug, Default)]
pub struct BeatsCountOnce;

impl Checker<ToyFactory> for BeatsCountOnce {
    fn name(&self) -> &'static str {
        "beats count once"
    }

    fn after_step(&mut self, world: &World<ToyFactory>, step: &StepRecord) -> Result<(), String> {
        let Some(node) = step.node.filter(|_| step.kind == StepKind::Datagram) else {
            return Ok(());
        };
        let Some(Toy::Hub(hub)) = world.machine(node) else {
            return Ok(());
        };
        for (number, heard) in hub.heard().iter().enumerate() {
            if heard.counted > heard.number {
                return Err(format!(
                    "{} beats of node {number} were counted and it has sent {}",
                    heard.counted, heard.number
                ));
            }
            let beacon = world
                .nodes()
                .nth(number)
                .and_then(|node| world.machine(node));
            if let Some(Toy::Beacon(beacon)) = beacon
                && heard.number > beacon.sent
                && u64::from(world.starts(world.nodes().nth(number).unwrap_or(node)))
                    == heard.incarnation
            {
                return Err(format!(
                    "beat {} of node {number} was counted and it has sent {}",
                    heard.number, beacon.sent
                ));
            }
        }
        Ok(())
    }
}

/// All toys together, under a plan and weather drawn from the seed, and then healed.
#[derive(Clone, Copy, Debug)]
pub struct Everything {
    /// The test's name.
    pub name: &'static str,
    /// The test's file.
    pub target: &'static str,
    /// The mistake they make.
    pub bug: Option<Bug>,
    /// How long they are disturbed.
    pub span: Duration,
}

const HOSTS: [&str; 4] = ["h0", "h1", "h2", "h3"];

impl Everything {
    /// What its plans are about.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let at = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(node, host)| ((*node).to_owned(), (*host).to_owned()))
                .collect()
        };
        Shape {
            hosts: names(&HOSTS),
            nodes: at(&[
                ("hub", "h0"),
                ("b1", "h1"),
                ("b2", "h2"),
                ("b3", "h3"),
                ("echo", "h0"),
                ("c1", "h1"),
                ("c2", "h2"),
                ("l1", "h3"),
                ("l1", "h3"),
                ("k1", "h2"),
                ("k1", "h2"),
            ]),
            disks: names(&["l1", "k1"]),
            // A keeper whose table is gone finds its workers' ports taken for ever.
            expendable: names(&["b1"]),
            ports: vec![("h2".to_owned(), 9_101), ("h0".to_owned(), 9_000)],
            asks: vec![
                ("l1".to_owned(), "add".to_owned()),
                ("l1".to_owned(), "list".to_owned()),
            ],
            span: self.span,
            disturbances: 12,
            requests: 200,
        }
    }

    /// The plan of a seed.
    #[must_use]
    pub fn plan(&self, world: &World<ToyFactory>) -> Plan {
        Swarm::of(&world.streams()).plan(&self.shape())
    }

    /// Runs a plan, then demands that everybody gets back to work.
    ///
    /// # Errors
    /// If something went wrong.
    pub fn drive_plan(&self, world: &mut World<ToyFactory>, plan: &Plan) -> Result<(), Failure> {
        world.start_all();
        let until = SimTime::ZERO.after(self.span);
        let mut returned = None;
        world.run_plan(plan, until, Duration::from_secs(240), |world| {
            let now = bytes_returned(world);
            let before = *returned.get_or_insert(now);
            now.iter().zip(&before).all(|(now, before)| now > before) && at_work(world)
        })
    }
}

fn bytes_returned(world: &World<ToyFactory>) -> [u64; 2] {
    ["c1", "c2"].map(
        |alias| match world.node(alias).and_then(|node| world.machine(node)) {
            Some(Toy::Caller(caller)) => caller.returned,
            _ => 0,
        },
    )
}

fn at_work(world: &World<ToyFactory>) -> bool {
    let machine = |alias: &str| world.node(alias).and_then(|node| world.machine(node));
    let hub = matches!(machine("hub"), Some(Toy::Hub(hub)) if hub.alive() == 3);
    let ledger = matches!(machine("l1"), Some(Toy::Ledger(ledger)) if ledger.serves());
    let keeper = matches!(machine("k1"), Some(Toy::Keeper(keeper)) if keeper.running() == 2);
    let workers = machine("w1").is_some() && machine("w2").is_some();
    hub && ledger && keeper && workers
}

impl Scenario for Everything {
    type Factory = ToyFactory;

    fn name(&self) -> &'static str {
        self.name
    }

    fn target(&self) -> &'static str {
        self.target
    }

    fn build(&self, seed: u64, trace: TraceMode) -> World<ToyFactory> {
        let mut draw = crate::streams::Streams::new(seed).at(Stream::Settings, 0, 0);
        let settings = Settings {
            trace,
            drift_ppm_max: 200,
            timer_slack: Duration::from_millis(1 + draw.below(10)),
            datagram_buffer: *draw.pick(&[2, 100, 3_000]),
            disk: DiskProfile {
                tear: *draw.pick(&[Tear::Prefix, Tear::Subset, Tear::Garbage]),
                failed_sync: *draw.pick(&[FailedSync::KeepsCache, FailedSync::DropsCache]),
                ..DiskProfile::default()
            },
            ..Settings::default()
        };
        let mut world = World::new(seed, settings, ToyFactory { bug: self.bug });
        let [h0, h1, h2, h3] = HOSTS.map(|name| world.add_host(name));
        let pause = Duration::from_secs(1);
        let mut add = |alias: &str, host, port, config: &str| {
            world.add_node(
                NodeSpec::new(alias, host, port)
                    .config(config)
                    .restarted_after(pause),
            )
        };
        add("hub", h0, 9_000, "hub");
        add("b1", h1, 9_000, "beacon h0 9000");
        add("b2", h2, 9_000, "beacon h0 9000");
        add("b3", h3, 9_000, "beacon h0 9000");
        add("echo", h0, 9_001, "echo");
        add("c1", h1, 9_002, "caller h0 9001");
        add("c2", h2, 9_002, "caller h0 9001");
        add("l1", h3, 9_003, "ledger");
        add("k1", h2, 9_100, "keeper w1:9101 w2:9102");
        world.add_node(NodeSpec::new("w1", h2, 9_101).launched());
        world.add_node(NodeSpec::new("w2", h2, 9_102).launched());
        world.add_checker(Bounds::default());
        world.add_checker(BeatsCountOnce);
        world.add_checker(Acknowledged::default());
        world.add_checker(LogsKeepPromises::new(|name| name == "ledger.log"));
        world
    }

    fn drive(&self, world: &mut World<ToyFactory>) -> Result<(), Failure> {
        let plan = self.plan(world);
        self.drive_plan(world, &plan)
    }
}

fn unknown(text: &str) -> String {
    format!("a toy knows `add` and `list`, and no `{text}`")
}
