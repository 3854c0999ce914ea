//! A cluster of real processes that is written to and read from without a rest while its processes are
//! killed and stand still, one after the other: what was done, what failed and why, how long it took, and
//! whether what was acknowledged is there afterwards.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin storm
//! ```
//!
//! It fails if a file that was acknowledged cannot be had or has other bytes, if an error gives no reason,
//! or if a chunk is not well again in the end.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use vaquita_bench::cluster::{Cluster, Member, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::http::Client;
use vaquita_bench::load::{Load, until_well};
use vaquita_bench::servers::Revived;
use vaquita_bench::stop::Stop;

/// Put and get files without a rest while processes are killed and stand still
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Clients that write, and as many that read
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Seconds of load before the first fault, and from the end of each to the next
    #[arg(long, default_value_t = 5)]
    between: u64,
    /// Seconds for which a data node stands still
    #[arg(long, default_value_t = 20)]
    still: u64,
    #[command(flatten)]
    place: Place,
}

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(5);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the files are.
const DIRECTORY: &str = "storm";

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let room = options.place.room("vaquita-storm-")?;
    let plan = Plan {
        vaquita: options.place.program()?,
        directory: room.path().join("0"),
        hosts: 4,
        lines: Vec::new(),
        node_lines: Vec::new(),
    };
    let mut cluster = Cluster::start(&plan, stop)?;
    println!("start: {}", cluster.green);
    let mut revived = Vec::new();
    let weathered = weather(&cluster, options, stop, &mut revived);
    // `vaquita local` ends those that it has started; these are this program's own.
    let ended: Result<(), String> = revived.into_iter().try_for_each(Revived::end);
    let stopped = cluster.stop();
    weathered.and(ended).and(stopped)
}

fn weather(
    cluster: &Cluster,
    options: &Options,
    stop: &Stop,
    revived: &mut Vec<Revived>,
) -> Result<(), String> {
    let access = &cluster.access;
    access.make_directory(DIRECTORY, stop)?;
    access.until_files_are_taken(DIRECTORY, stop)?;
    let entries = access.data_nodes(stop)?;
    let load = Load::new(DIRECTORY, Duration::ZERO, entries);
    let done = load.during(options.clients, access, stop, || {
        let mut nemesis = Nemesis {
            cluster,
            load: &load,
            stop,
            controller: access.controller(stop)?,
            between: Duration::from_secs(options.between),
        };
        nemesis.strike(Duration::from_secs(options.still), revived)
    });
    load.print();
    done?;
    if stop.is_wanted() {
        return Err("stopped".to_owned());
    }
    load.judge()?;
    load.verify(cluster, stop)?;
    until_well(cluster, stop)
}

/// Who does harm.
struct Nemesis<'a> {
    cluster: &'a Cluster,
    load: &'a Load,
    stop: &'a Stop,
    controller: Client,
    between: Duration,
}

impl Nemesis<'_> {
    fn strike(&mut self, still: Duration, revived: &mut Vec<Revived>) -> Result<(), String> {
        self.load.begin_phase("no fault".to_owned());
        self.stop.sleep(self.between);
        let members = self.members()?;
        let nodes: Vec<&Member> = members.iter().filter(|it| it.mode == "datanode").collect();
        for node in &nodes {
            self.load
                .begin_phase(format!("kill -9 of data node {}", node.alias));
            self.kill_data_node(node)?;
            self.stop.sleep(self.between);
        }
        self.load
            .begin_phase("kill -9 of the controller".to_owned());
        let servers = self.cluster.servers();
        revived.push(servers.kill_and_revive(servers.of_mode("controller")?)?);
        self.until_green()?;
        self.stop.sleep(self.between);
        let agent = members.iter().find(|it| it.mode == "agent");
        let agent = agent.ok_or("there is no agent")?;
        self.load
            .begin_phase(format!("kill -9 of agent {}", agent.alias));
        let pid = agent.pid.ok_or("the agent has no process")?;
        revived.push(servers.kill_and_revive(pid)?);
        self.until_green()?;
        self.stop.sleep(self.between);
        let frozen = nodes.last().ok_or("there is no data node")?;
        self.load.begin_phase(format!(
            "SIGSTOP of data node {} for {} s",
            frozen.alias,
            still.as_secs()
        ));
        self.freeze(&frozen.alias, still)?;
        self.load.begin_phase("SIGCONT".to_owned());
        self.until_green()?;
        self.stop.sleep(self.between);
        Ok(())
    }

    fn members(&mut self) -> Result<Vec<Member>, String> {
        self.cluster.access.members(&mut self.controller)
    }

    fn kill_data_node(&mut self, node: &Member) -> Result<(), String> {
        let server = self.server(node)?;
        server.signal(Signal::KILL)?;
        self.until("started anew", |members| {
            let mut members = members.iter();
            members.any(|it| it.alias == node.alias && it.state == "online" && it.pid != node.pid)
        })
    }

    fn freeze(&mut self, alias: &str, still: Duration) -> Result<(), String> {
        let members = self.members()?;
        let node = members.iter().find(|it| it.alias == alias);
        let node = node.ok_or_else(|| format!("there is no {alias}"))?;
        let server = self.server(node)?;
        let mut entries = self.load.entries.iter();
        let entry = entries.position(|it| *it == node.server);
        self.load.avoid(entry.unwrap_or(usize::MAX));
        server.signal(Signal::STOP)?;
        self.stop.sleep(still);
        server.signal(Signal::CONT)?;
        self.load.avoid(usize::MAX);
        Ok(())
    }

    fn server(&self, node: &Member) -> Result<vaquita_bench::servers::Server, String> {
        let alias = &node.alias;
        let pid = node.pid.ok_or_else(|| format!("{alias} has no process"))?;
        let server = self.cluster.servers().open(pid)?;
        server.ok_or_else(|| format!("pid {pid} of {alias} is none of this cluster"))
    }

    fn until_green(&mut self) -> Result<(), String> {
        self.until("all green", |members| {
            members.iter().all(|it| it.state == "online")
        })
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&[Member]) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !self.stop.is_wanted() {
            // A controller that is not there yet is asked again.
            if self.members().is_ok_and(|members| is_so(&members)) {
                return Ok(());
            }
            thread::sleep(PERIOD);
        }
        Err(format!("the cluster is not {what}"))
    }
}
