//! A cluster of real processes on disks of their own that is written to and read from without a rest while
//! one thing after the other is taken from it or done to it: how long it takes until every chunk is well
//! again, how many bytes that moved, and whether what was acknowledged is there afterwards.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin heal        as root: it makes and mounts file systems
//! ```
//!
//! Nodes are waited for 1 s (`dfsRecoveryWaitTime`), so that what is measured is the repair and not the
//! waiting. It fails if a file that was acknowledged cannot be had or has other bytes, or if the cluster does
//! not come back by itself.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

mod disk;
mod large;
mod steps;
mod watch;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;
use vaquita_bench::cluster::{Cluster, Member, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::http::Client;
use vaquita_bench::load::{Load, until_well};
use vaquita_bench::servers::Revived;
use vaquita_bench::stop::Stop;

use disk::{Disk, text, write_limit};
use large::Large;
use watch::{Over, Watch, is_well, lock, what_is_wrong};

/// Take nodes, disks and hosts from a cluster while files are put and got
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Clients that write, and as many that read
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Milliseconds that a writer rests after each file
    #[arg(long, default_value_t = 25)]
    pause: u64,
    /// Seconds of load before the first step, and after each
    #[arg(long, default_value_t = 4)]
    between: u64,
    /// Files of 64 MiB that are put before the first step
    #[arg(long, default_value_t = 0)]
    large: u64,
    /// MiB of each data node's disk
    #[arg(long, default_value_t = 2048)]
    disk: u64,
    /// Leave out steps whose number is below this one
    #[arg(long, default_value_t = 0)]
    from: usize,
    /// Leave out steps from this number on
    #[arg(long, default_value_t = STEPS.len())]
    before: usize,
    #[command(flatten)]
    place: Place,
}

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(20);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a host is away: nobody tells of its end, so that its silence has to be noticed first.
const HOST_AWAY: Duration = Duration::from_secs(20);
/// Length of a large file, which is a chunk.
const LARGE: usize = 64 << 20;
/// Where the files are.
const DIRECTORY: &str = "heal";
/// Data nodes, each on a host of its own; the last one joins late.
const NODES: [&str; 6] = [
    "P1-NODE1", "P2-NODE1", "P3-NODE1", "P5-NODE1", "P6-NODE1", "P7-NODE1",
];
const LATE: &str = NODES[5];

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let room = options.place.room("vaquita-heal-")?;
    let mut disks = Vec::new();
    for node in NODES {
        disks.push(Disk::make(room.path(), node, options.disk)?);
    }
    let limit = write_limit(&disks[0])?;
    println!("the disk writes {limit:.0} MB/s, synced, through one of the file systems");
    let plan = Plan {
        vaquita: options.place.program()?,
        directory: room.path().join("0"),
        hosts: 6,
        lines: vec![
            "dfsRecoveryWaitTime=1000".to_owned(),
            "dfsReplicationFactor=2".to_owned(),
            "dfsReplicaReliabilityLevel=0".to_owned(),
        ],
        node_lines: vec![
            format!("volumes={}/disk/<ALIAS>", room.path().display()),
            "scrubPeriod=20".to_owned(),
        ],
    };
    let cluster = Cluster::start(&plan, stop)?;
    println!("start: {}", cluster.green);
    let mut trial = Trial {
        cluster,
        disks,
        limit,
        between: Duration::from_secs(options.between),
        revived: Vec::new(),
    };
    let healed = trial.run(options, stop);
    // `vaquita local` ends those that it has started; these are this program's own.
    let revived = std::mem::take(&mut trial.revived);
    let ended: Result<(), String> = revived.into_iter().try_for_each(Revived::end);
    let stopped = trial.cluster.stop();
    healed.and(ended).and(stopped)
}

/// The cluster, what was taken from it, and what is known of it.
struct Trial {
    cluster: Cluster,
    disks: Vec<Disk>,
    limit: f64,
    between: Duration,
    revived: Vec<Revived>,
}

/// What is done, and by what name it is told.
type Step = (
    &'static str,
    fn(&mut Trial, &mut Client, &Stop) -> Result<(), String>,
);

const STEPS: [Step; 13] = [
    ("a node is killed for good", Trial::kill_for_good),
    ("it comes back", Trial::bring_back),
    ("a volume is filled, and freed", Trial::fill),
    (
        "a volume is unmounted, and mounted again",
        Trial::take_mount,
    ),
    ("a volume becomes read-only, and writable", Trial::read_only),
    ("bits of chunks are flipped", Trial::flip),
    ("a disk is lost and a new one put in", Trial::wipe),
    ("two nodes' disks are exchanged", Trial::exchange),
    ("a host is lost", Trial::lose_host),
    ("an empty node joins", Trial::join),
    ("a node is drained, and serves again", Trial::drain),
    ("level 0 to 1", Trial::raise_level),
    ("factor 2 to 3", Trial::raise_factor),
];

impl Trial {
    fn run(&mut self, options: &Options, stop: &Stop) -> Result<(), String> {
        self.cluster.vaquita(&["node", "stop", LATE, "--wait"])?;
        let access = self.cluster.access.clone();
        access.make_directory(DIRECTORY, stop)?;
        access.until_files_are_taken(DIRECTORY, stop)?;
        let entries = access.data_nodes(stop)?;
        let large = Large::new(options.large);
        large.put(&access, &entries, stop)?;
        let load = Load::new(DIRECTORY, Duration::from_millis(options.pause), entries);
        let done = load.during(options.clients, &access, stop, || {
            load.begin_phase("no step".to_owned());
            println!(
                "| step | it took | of it, until all was well behind it | copied | while copies were under \
                 way | so fast, of what the disk writes |"
            );
            println!("|---|---|---|---|---|---|");
            stop.sleep(self.between * 3);
            for (number, (what, step)) in STEPS.iter().enumerate() {
                if !(options.from..options.before).contains(&number) {
                    continue;
                }
                load.begin_phase((*what).to_owned());
                self.take(what, *step, stop)
                    .map_err(|why| format!("{what}: {why}"))?;
                stop.sleep(self.between);
                if stop.is_wanted() {
                    return Err("stopped".to_owned());
                }
            }
            Ok(())
        });
        println!();
        load.print();
        done?;
        load.judge()?;
        load.verify(&self.cluster, stop)?;
        large.verify(&access, stop)?;
        until_well(&self.cluster, stop)
    }

    /// Takes a step and waits until every chunk is well.
    fn take(
        &mut self,
        what: &str,
        step: fn(&mut Self, &mut Client, &Stop) -> Result<(), String>,
        stop: &Stop,
    ) -> Result<(), String> {
        let access = self.cluster.access.clone();
        let mut controller = access.controller(stop)?;
        let watch = Watch::default();
        let (begun, took) = thread::scope(|scope| {
            let watcher = scope.spawn(|| watch.look(access.controller(stop)?, stop));
            let over = Over(&watch.over);
            let begun = Instant::now();
            let stepped = step(self, &mut controller, stop);
            let done = Instant::now();
            stepped
                .and_then(|()| self.until(stop, "well again", || is_well(&mut controller)))
                .map_err(|why| format!("{why}: {}", what_is_wrong(&mut controller)))?;
            drop(over);
            watcher
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, String>((begun.elapsed(), done.elapsed()))
        })?;
        let seen = lock(&watch.seen);
        let (copies, bytes) = (seen.copies, seen.bytes as f64 / 1e6);
        let busy = seen.busy.as_secs_f64();
        let rate = if busy > 0.0 { bytes / busy } else { 0.0 };
        println!(
            "| {what} | {:.1} s | {:.1} s | {copies} chunks, {bytes:.0} MB | {busy:.1} s | {rate:.0} MB/s, \
             {:.0} % |",
            begun.as_secs_f64(),
            took.as_secs_f64(),
            100.0 * rate / self.limit
        );
        Ok(())
    }

    fn until<T>(
        &self,
        stop: &Stop,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !stop.is_wanted() {
            if let Some(found) = look() {
                return Ok(found);
            }
            stop.sleep(PERIOD);
        }
        Err(format!("not {what} within {} s", PATIENCE.as_secs()))
    }

    fn until_member(
        &self,
        controller: &mut Client,
        stop: &Stop,
        alias: &str,
        is_so: impl Fn(&Member) -> bool,
    ) -> Result<(), String> {
        self.until(stop, &format!("{alias} as it should be"), || {
            let members = self.cluster.access.members(controller).ok()?;
            members
                .iter()
                .any(|member| member.alias == alias && is_so(member))
                .then_some(())
        })
    }

    fn disk(&self, node: &str) -> &Disk {
        let nth = NODES.iter().position(|it| *it == node).unwrap_or_default();
        &self.disks[nth]
    }

    fn stop_node(&self, node: &str) -> Result<(), String> {
        self.cluster
            .vaquita(&["node", "stop", node, "--wait"])
            .map(drop)
    }

    fn start_node(&self, node: &str) -> Result<(), String> {
        self.cluster
            .vaquita(&["node", "start", node, "--wait"])
            .map(drop)
    }

    /// Waits until a volume of a node is in a state.
    fn until_volume(
        &self,
        controller: &mut Client,
        stop: &Stop,
        node: &str,
        is_so: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let place = text(&self.disk(node).place)?.to_owned();
        let mut last = String::new();
        let found = self.until(stop, "as it should be", || {
            let rows = controller.json("/api/v1/volumes").ok()?;
            let of_node = |row: &&Value| row["node"] == node && row["path"] == place.as_str();
            let row = rows.as_array()?.iter().find(of_node)?.clone();
            last = row.to_string();
            is_so(row["state"].as_str()?).then_some(())
        });
        found.map_err(|why| format!("the volume of {node} is {why}: {last}"))
    }
}
