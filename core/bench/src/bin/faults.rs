//! A cluster of real processes that starts, idles, and loses data nodes.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin faults
//! ```
//!
//! The start is what `vaquita local` says of itself: from its first process on until all are online. All
//! other times are those that a client sees that looks every other millisecond.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use vaquita_bench::cluster::{Cluster, Member, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::content::Content;
use vaquita_bench::cpu;
use vaquita_bench::http::Client;
use vaquita_bench::servers::Server;
use vaquita_bench::stop::Stop;

/// Measure the start of a cluster, its idling, and what its clients see of a data node that dies
#[derive(Clone, Debug, Parser)]
struct Options {
    /// How often each thing is done
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of idling
    #[arg(long, default_value_t = 120)]
    idle: u64,
    #[command(flatten)]
    place: Place,
}

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(2);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files that are read while a node stands still.
const FILES: u64 = 32;
const FILE_BYTES: usize = 64 * 1024;
/// Where they are.
const DIRECTORY: &str = "faults";

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let vaquita = options.place.program()?;
    let room = options.place.room("vaquita-faults-")?;
    let plan = |number: usize| Plan {
        vaquita: vaquita.clone(),
        directory: room.path().join(number.to_string()),
        hosts: 4,
        lines: Vec::new(),
        node_lines: Vec::new(),
    };
    for round in 1..options.rounds {
        let mut cluster = Cluster::start(&plan(round), stop)?;
        println!("start: {}", cluster.green);
        cluster.stop()?;
    }
    let mut cluster = Cluster::start(&plan(0), stop)?;
    println!("start: {}", cluster.green);
    let looked = look(&cluster, options, stop);
    let stopped = cluster.stop();
    looked.and(stopped)
}

fn look(cluster: &Cluster, options: &Options, stop: &Stop) -> Result<(), String> {
    let mut look = Look::new(cluster, stop)?;
    look.idle(Duration::from_secs(options.idle))?;
    look.write()?;
    for round in 0..options.rounds {
        look.kill(round)?;
    }
    for round in 0..options.rounds {
        look.freeze(round)?;
    }
    Ok(())
}

/// Who looks at a cluster.
struct Look<'a> {
    cluster: &'a Cluster,
    stop: &'a Stop,
    controller: Client,
    content: Content,
}

impl<'a> Look<'a> {
    fn new(cluster: &'a Cluster, stop: &'a Stop) -> Result<Self, String> {
        Ok(Self {
            cluster,
            stop,
            controller: cluster.access.controller(stop)?,
            content: Content::new(FILE_BYTES),
        })
    }

    /// What it takes to do nothing.
    fn idle(&self, time: Duration) -> Result<(), String> {
        // What the start has left to do.
        self.stop.sleep(Duration::from_secs(3));
        let pids = self.cluster.servers().pids()?;
        let (before, begun) = (cpu::of(&pids), Instant::now());
        self.stop.sleep(time);
        let (after, elapsed) = (cpu::of(&pids), begun.elapsed());
        if self.stop.is_wanted() {
            return Err("stopped".to_owned());
        }
        self.cluster.servers().are_still(&pids)?;
        let used = after.saturating_sub(before);
        let memory = pids.iter().map(|&pid| cpu::memory(pid));
        let (resident, proportional) = memory.fold((0, 0), |(resident, proportional), it| {
            (
                resident + it.resident_kib,
                proportional + it.proportional_kib,
            )
        });
        println!(
            "idle: {} processes, {:.2} % of a core; {:.1} MiB resident, {:.1} MiB with shared pages \
             counted once",
            pids.len(),
            used.as_secs_f64() / elapsed.as_secs_f64() * 100.0,
            resident as f64 / 1024.0,
            proportional as f64 / 1024.0,
        );
        Ok(())
    }

    fn client(&self, server: &str) -> Result<Client, String> {
        Client::new(server, Some(&self.cluster.access.token), self.stop)
    }

    /// Files for the reads.
    fn write(&self) -> Result<(), String> {
        let access = &self.cluster.access;
        access.make_directory(DIRECTORY, self.stop)?;
        access.until_files_are_taken(DIRECTORY, self.stop)?;
        let nodes = access.data_nodes(self.stop)?;
        for file in 0..FILES {
            let node = &nodes[usize::try_from(file).unwrap_or_default() % nodes.len()];
            let bytes = self.content.of(file, FILE_BYTES);
            let put = self
                .client(node)?
                .put(&format!("{DIRECTORY}/{file}"), bytes);
            put.map_err(|failure| format!("file {file} cannot be written: {failure}"))?;
        }
        Ok(())
    }

    fn data_nodes(&mut self) -> Result<Vec<Member>, String> {
        let members = self.cluster.access.members(&mut self.controller)?;
        let nodes = members.into_iter().filter(|it| it.mode == "datanode");
        Ok(nodes.collect())
    }

    /// Waits until a node is as wanted; returns when that was seen.
    fn until(
        &mut self,
        alias: &str,
        what: &str,
        wanted: impl Fn(&Member) -> bool,
    ) -> Result<Instant, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !self.stop.is_wanted() {
            if let Some(node) = self.data_nodes()?.iter().find(|it| it.alias == alias)
                && wanted(node)
            {
                return Ok(Instant::now());
            }
            thread::sleep(PERIOD);
        }
        Err(format!("{alias} is not {what}"))
    }

    /// The process of a node: what the controller says, if it is one of this cluster's servers.
    fn server(&self, node: &Member) -> Result<Server, String> {
        let pid = node
            .pid
            .ok_or_else(|| format!("{} has no process", node.alias))?;
        let server = self.cluster.servers().open(pid)?;
        server.ok_or_else(|| format!("pid {pid} of {} is none of this cluster", node.alias))
    }

    /// One node to do harm to, and another one.
    fn pair(&mut self, round: usize) -> Result<(Member, Member), String> {
        let nodes = self.data_nodes()?;
        let at = |number: usize| nodes.get(number % nodes.len().max(1)).cloned();
        at(round)
            .zip(at(round + 1))
            .ok_or_else(|| "there are no data nodes".to_owned())
    }

    /// SIGKILL: until it is reported, until it is online again, until a file was read through it. Nothing
    /// is read before it is online.
    fn kill(&mut self, round: usize) -> Result<(), String> {
        let (node, _) = self.pair(round)?;
        let old = node.pid;
        let server = self.server(&node)?;
        let began = Instant::now();
        server.signal(Signal::KILL)?;
        let down = self.until(&node.alias, "down", |it| {
            it.state != "online" || it.pid != old
        })?;
        let up = self.until(&node.alias, "online again", |it| {
            it.state == "online" && it.pid.is_some() && it.pid != old
        })?;
        let mut client = self.client(&node.server)?;
        let name = format!("{DIRECTORY}/0");
        let bytes = self.content.of(0, FILE_BYTES);
        let mut failed = 0;
        while let Err(failure) = client.get(&name, bytes) {
            failed += 1;
            if began.elapsed() > PATIENCE || self.stop.is_wanted() {
                return Err(format!("{} serves no file: {failure}", node.alias));
            }
            thread::sleep(PERIOD);
        }
        let ms = |at: Instant| at.duration_since(began).as_secs_f64() * 1e3;
        println!(
            "kill -9 of {}: reported after {:.0} ms, online again after {:.0} ms, a file read through \
             it after {:.0} ms ({failed} reads failed since it is online)",
            node.alias,
            ms(down),
            ms(up),
            ms(Instant::now()),
        );
        Ok(())
    }

    /// SIGSTOP: the slowest read through another node meanwhile, and when it is reported.
    fn freeze(&mut self, round: usize) -> Result<(), String> {
        let (node, entry) = self.pair(round)?;
        let mut client = self.client(&entry.server)?;
        let frozen = Frozen::begin(self.server(&node)?)?;
        let began = Instant::now();
        let (mut slowest, mut reads, mut failed) = (Duration::ZERO, 0_u64, 0_u64);
        let (mut suspect, mut offline) = (None, None);
        while offline.is_none() && began.elapsed() < PATIENCE && !self.stop.is_wanted() {
            let file = reads % FILES;
            let asked = Instant::now();
            let bytes = self.content.of(file, FILE_BYTES);
            failed += u64::from(client.get(&format!("{DIRECTORY}/{file}"), bytes).is_err());
            slowest = slowest.max(asked.elapsed());
            reads += 1;
            let state = self
                .data_nodes()?
                .into_iter()
                .find(|it| it.alias == node.alias);
            let state = state.map(|it| it.state).unwrap_or_default();
            if state != "online" {
                suspect = suspect.or(Some(began.elapsed()));
            }
            if state == "offline" {
                offline = Some(began.elapsed());
            }
        }
        drop(frozen);
        let shown = |it: Option<Duration>| {
            it.map_or_else(|| "never".into(), |it| format!("{:.2} s", it.as_secs_f64()))
        };
        println!(
            "SIGSTOP of {}: slowest of {reads} reads through {} {:.0} ms, {failed} failed; suspect \
             after {}, offline after {}",
            node.alias,
            entry.alias,
            slowest.as_secs_f64() * 1e3,
            shown(suspect),
            shown(offline),
        );
        self.until(&node.alias, "online again", |it| it.state == "online")?;
        Ok(())
    }
}

/// A process that stands still while this lives.
struct Frozen(Server);

impl Frozen {
    fn begin(server: Server) -> Result<Self, String> {
        server.signal(Signal::STOP)?;
        Ok(Self(server))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let _ = self.0.signal(Signal::CONT);
    }
}
