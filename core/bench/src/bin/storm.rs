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

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use vaquita_bench::cluster::{Cluster, Member, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::content::{Content, scatter};
use vaquita_bench::http::{Client, Failure};
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
/// How long a client rests after an error, as one that is to be a good citizen does.
const REST: Duration = Duration::from_millis(10);
/// Where the files are.
const DIRECTORY: &str = "storm";
/// Longest file: some in sixteen are of this order, others are small.
const LEN_MAX: usize = 2 << 20;

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
    let load = Load {
        content: Content::new(LEN_MAX),
        in_flight: entries.iter().map(|_| AtomicUsize::new(0)).collect(),
        entries,
        acknowledged: Mutex::default(),
        tallies: Mutex::default(),
        avoided: AtomicUsize::new(usize::MAX),
        ends: AtomicBool::new(false),
    };
    let done = thread::scope(|scope| {
        for number in 0..options.clients {
            let load = &load;
            scope.spawn(move || load.run(access, stop, |client| client.write(number)));
            scope.spawn(move || load.run(access, stop, |client| client.read(number)));
        }
        // Whatever becomes of it: the scope waits for the clients.
        let _ends = Ends(&load.ends);
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

/// Ends the clients when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What is done, by what, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    Put,
    Get,
}

/// What became of the operations of one kind in one phase.
#[derive(Clone, Debug, Default)]
struct Tally {
    done: u64,
    failed: BTreeMap<Failure, u64>,
    slowest: Duration,
}

/// A file that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct File {
    writer: usize,
    number: u64,
    entry: usize,
}

impl File {
    fn path(self) -> String {
        format!("{DIRECTORY}/w{}-{}", self.writer, self.number)
    }

    const fn seed(self) -> u64 {
        self.number << 8 | self.writer as u64
    }

    fn len(self) -> usize {
        let drawn = usize::try_from(scatter(self.seed()) >> 16).unwrap_or_default();
        let below = if self.number.is_multiple_of(16) {
            LEN_MAX
        } else {
            64 << 10
        };
        drawn % below + 1
    }
}

/// What the clients do, and what was seen of it.
struct Load {
    content: Content,
    entries: Vec<String>,
    acknowledged: Mutex<Vec<File>>,
    /// By phase in the order of their begin.
    tallies: Mutex<Vec<(String, BTreeMap<Op, Tally>)>>,
    /// Requests that are on their way through each entry.
    in_flight: Vec<AtomicUsize>,
    /// The entry that stands still: whoever is stopped answers nobody, so that clients go elsewhere.
    avoided: AtomicUsize,
    ends: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client with a connection to each entry.
struct LoadClient<'a> {
    load: &'a Load,
    stop: &'a Stop,
    clients: Vec<Client>,
}

impl Load {
    fn run(
        &self,
        access: &vaquita_bench::cluster::Access,
        stop: &Stop,
        work: impl Fn(&mut LoadClient<'_>),
    ) {
        let clients = self.entries.iter().map(|entry| {
            Client::new(entry, Some(&access.token), stop).expect("the address of a data node")
        });
        work(&mut LoadClient {
            load: self,
            stop,
            clients: clients.collect(),
        });
    }

    fn begin_phase(&self, what: String) {
        lock(&self.tallies).push((what, BTreeMap::new()));
    }

    fn count(&self, op: Op, elapsed: Duration, result: Result<(), Failure>) {
        let mut tallies = lock(&self.tallies);
        let Some((_, phase)) = tallies.last_mut() else {
            return;
        };
        let tally = phase.entry(op).or_default();
        tally.slowest = tally.slowest.max(elapsed);
        match result {
            Ok(()) => tally.done += 1,
            Err(failure) => *tally.failed.entry(failure).or_default() += 1,
        }
    }

    /// Has clients go elsewhere, and waits until nothing is on its way through an entry.
    fn avoid(&self, entry: usize) {
        self.avoided.store(entry, Ordering::SeqCst);
        while self
            .in_flight
            .get(entry)
            .is_some_and(|it| it.load(Ordering::SeqCst) > 0)
        {
            thread::sleep(PERIOD);
        }
    }

    fn print(&self) {
        println!("| phase | op | done | slowest | failed, by kind |");
        println!("|---|---|---|---|---|");
        for (what, phase) in lock(&self.tallies).iter() {
            for (op, tally) in phase {
                let failed = tally.failed.iter();
                let failed: Vec<String> = failed
                    .map(|(failure, count)| format!("{count} × {failure}"))
                    .collect();
                let failed = if failed.is_empty() {
                    "none".to_owned()
                } else {
                    failed.join(", ")
                };
                let op = match op {
                    Op::Put => "put",
                    Op::Get => "get",
                };
                let (done, slowest) = (tally.done, tally.slowest.as_millis());
                println!("| {what} | {op} | {done} | {slowest} ms | {failed} |");
            }
        }
    }

    /// Whether clients were served in each phase, each error has told its reason, and none was wrong bytes
    /// or a file that is not there.
    fn judge(&self) -> Result<(), String> {
        for (what, phase) in lock(&self.tallies).iter() {
            for op in [Op::Put, Op::Get] {
                if phase.get(&op).is_none_or(|tally| tally.done == 0) {
                    return Err(format!("{what}: nobody was served: {op:?}"));
                }
            }
            for (op, tally) in phase {
                for failure in tally.failed.keys() {
                    let is_bad = match failure {
                        Failure::Refused(status, kind) => *status == 404 || kind.is_empty(),
                        Failure::WrongBytes | Failure::Disk(_) => true,
                        Failure::Broken(why) => why.is_empty(),
                    };
                    if is_bad {
                        return Err(format!("{what}: {op:?}: {failure}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads each file that was acknowledged through another node than it was written by.
    fn verify(&self, cluster: &Cluster, stop: &Stop) -> Result<(), String> {
        let token = Some(cluster.access.token.as_str());
        let clients = self
            .entries
            .iter()
            .map(|entry| Client::new(entry, token, stop));
        let mut clients = clients.collect::<Result<Vec<Client>, String>>()?;
        let files = lock(&self.acknowledged);
        let mut bytes = 0;
        for file in files.iter() {
            let other = (file.entry + 1) % clients.len();
            let wanted = self.content.of(file.seed(), file.len());
            clients[other]
                .get(&file.path(), wanted)
                .map_err(|failure| format!("{} was acknowledged: {failure}", file.path()))?;
            bytes += wanted.len();
        }
        println!(
            "afterwards: {} acknowledged files with {} MiB read through other nodes, all equal",
            files.len(),
            bytes >> 20
        );
        Ok(())
    }
}

impl LoadClient<'_> {
    fn is_over(&self) -> bool {
        self.load.ends.load(Ordering::SeqCst) || self.stop.is_wanted()
    }

    /// Does something through an entry, another one if that stands still.
    fn through(
        &mut self,
        entry: usize,
        op: Op,
        ask: impl FnOnce(&mut Client) -> Result<(), Failure>,
    ) -> Option<usize> {
        let load = self.load;
        let count = self.clients.len();
        let mut entry = entry % count;
        loop {
            load.in_flight[entry].fetch_add(1, Ordering::SeqCst);
            // Looked at once it is counted: who avoids an entry waits for those that are counted.
            if load.avoided.load(Ordering::SeqCst) != entry {
                break;
            }
            load.in_flight[entry].fetch_sub(1, Ordering::SeqCst);
            entry = (entry + 1) % count;
        }
        let begun = Instant::now();
        let result = ask(&mut self.clients[entry]);
        let is_done = result.is_ok();
        load.in_flight[entry].fetch_sub(1, Ordering::SeqCst);
        if !self.stop.is_wanted() {
            load.count(op, begun.elapsed(), result);
        }
        if !is_done {
            thread::sleep(REST);
        }
        is_done.then_some(entry)
    }

    fn write(&mut self, writer: usize) {
        let load = self.load;
        for number in 0.. {
            if self.is_over() {
                return;
            }
            let mut file = File {
                writer,
                number,
                entry: writer + usize::try_from(number).unwrap_or_default(),
            };
            let bytes = load.content.of(file.seed(), file.len());
            let put = self.through(file.entry, Op::Put, |client| {
                client.put(&file.path(), bytes)
            });
            if let Some(entry) = put {
                file.entry = entry;
                lock(&load.acknowledged).push(file);
            }
        }
    }

    fn read(&mut self, reader: usize) {
        let load = self.load;
        for number in 0.. {
            if self.is_over() {
                return;
            }
            let picked = {
                let files = lock(&load.acknowledged);
                let drawn = scatter(number << 8 | reader as u64);
                let nth = usize::try_from(drawn).unwrap_or_default();
                nth.checked_rem(files.len()).map(|nth| files[nth])
            };
            let Some(file) = picked else {
                thread::sleep(PERIOD);
                continue;
            };
            let bytes = load.content.of(file.seed(), file.len());
            let entry = reader + usize::try_from(number).unwrap_or_default();
            self.through(entry, Op::Get, |client| client.get(&file.path(), bytes));
        }
    }
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

/// Waits until no chunk lacks anything.
fn until_well(cluster: &Cluster, stop: &Stop) -> Result<(), String> {
    let mut controller = cluster.access.controller(stop)?;
    let begun = Instant::now();
    let mut left = 0;
    while begun.elapsed() < PATIENCE && !stop.is_wanted() {
        let unwell = controller
            .json("/api/v1/chunks?unwell=true")
            .map_err(|failure| format!("the controller does not list its chunks: {failure}"))?;
        let rows = unwell["rows"].as_array();
        left = rows.ok_or("the list of chunks has no rows")?.len();
        if left == 0 {
            println!(
                "afterwards: every chunk is well, {:.1} s later",
                begun.elapsed().as_secs_f64()
            );
            return Ok(());
        }
        stop.sleep(PERIOD * 20);
    }
    Err(format!("{left} chunks or more are not well"))
}
