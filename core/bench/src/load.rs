//! Clients that put and get files without a rest while things happen to a cluster, and what became of
//! each request.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::{Access, Cluster};
use crate::content::{Content, scatter};
use crate::http::{Client, Failure};
use crate::stop::Stop;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(5);
/// How long chunks may take to be well again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client rests after an error, as one that is to be a good citizen does.
const REST: Duration = Duration::from_millis(10);
/// Longest file: some in sixteen are of this order, others are small.
const LEN_MAX: usize = 2 << 20;

/// What is done, by what, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A file is written.
    Put,
    /// A file is read.
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
    fn path(self, directory: &str) -> String {
        format!("{directory}/w{}-{}", self.writer, self.number)
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
#[derive(Debug)]
pub struct Load {
    directory: String,
    /// How long a writer rests after each file.
    pause: Duration,
    content: Content,
    /// `HOST:PORT` of each data node.
    pub entries: Vec<String>,
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
#[derive(Debug)]
struct LoadClient<'a> {
    load: &'a Load,
    stop: &'a Stop,
    clients: Vec<Client>,
}

impl Load {
    /// Clients of these nodes, with files in a directory that is there.
    #[must_use]
    pub fn new(directory: &str, pause: Duration, entries: Vec<String>) -> Self {
        Self {
            directory: directory.to_owned(),
            pause,
            content: Content::new(LEN_MAX),
            in_flight: entries.iter().map(|_| AtomicUsize::new(0)).collect(),
            entries,
            acknowledged: Mutex::default(),
            tallies: Mutex::default(),
            avoided: AtomicUsize::new(usize::MAX),
            ends: AtomicBool::new(false),
        }
    }

    /// Has so many clients write and as many read, while `work` runs.
    ///
    /// # Errors
    /// That of the work.
    pub fn during<T>(
        &self,
        clients: usize,
        access: &Access,
        stop: &Stop,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        thread::scope(|scope| {
            for number in 0..clients {
                scope.spawn(move || self.run(access, stop, |client| client.write(number)));
                scope.spawn(move || self.run(access, stop, |client| client.read(number)));
            }
            // Whatever becomes of it: the scope waits for the clients.
            let _ends = Ends(&self.ends);
            work()
        })
    }

    fn run(&self, access: &Access, stop: &Stop, work: impl Fn(&mut LoadClient<'_>)) {
        let clients = self.entries.iter().map(|entry| {
            Client::new(entry, Some(&access.token), stop).expect("the address of a data node")
        });
        work(&mut LoadClient {
            load: self,
            stop,
            clients: clients.collect(),
        });
    }

    /// What follows is counted under this name.
    pub fn begin_phase(&self, what: String) {
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
    pub fn avoid(&self, entry: usize) {
        self.avoided.store(entry, Ordering::SeqCst);
        while self
            .in_flight
            .get(entry)
            .is_some_and(|it| it.load(Ordering::SeqCst) > 0)
        {
            thread::sleep(PERIOD);
        }
    }

    /// Prints what became of the requests.
    pub fn print(&self) {
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
    ///
    /// # Errors
    /// What was otherwise.
    pub fn judge(&self) -> Result<(), String> {
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
    ///
    /// # Errors
    /// Which one is not there, or has other bytes.
    pub fn verify(&self, cluster: &Cluster, stop: &Stop) -> Result<(), String> {
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
                .get(&file.path(&self.directory), wanted)
                .map_err(|failure| {
                    format!("{} was acknowledged: {failure}", file.path(&self.directory))
                })?;
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
                client.put(&file.path(&load.directory), bytes)
            });
            if let Some(entry) = put {
                file.entry = entry;
                lock(&load.acknowledged).push(file);
            }
            self.stop.sleep(load.pause);
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
            self.through(entry, Op::Get, |client| {
                client.get(&file.path(&load.directory), bytes)
            });
        }
    }
}

/// Ends the clients when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits until no chunk lacks anything.
///
/// # Errors
/// If that takes too long.
pub fn until_well(cluster: &Cluster, stop: &Stop) -> Result<(), String> {
    let mut controller = cluster.access.controller(stop)?;
    let begun = Instant::now();
    let mut left = 0;
    while begun.elapsed() < PATIENCE && !stop.is_wanted() {
        left = some_unwell(&mut controller)?.len();
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

/// Chunks that are not as they should be, as the controller lists them: none only if all were looked
/// at. A page of the list covers a bounded number of chunks, well or not, so that an empty one says
/// nothing of those behind it.
///
/// # Errors
/// If the controller does not answer.
pub fn some_unwell(controller: &mut Client) -> Result<Vec<Value>, String> {
    let mut after = String::new();
    loop {
        let mut page = controller
            .json(&format!("/api/v1/chunks?unwell=true{after}"))
            .map_err(|failure| format!("the controller does not list its chunks: {failure}"))?;
        let Value::Array(rows) = page["rows"].take() else {
            return Err("the list of chunks has no rows".to_owned());
        };
        if !rows.is_empty() || page["more"] == false {
            return Ok(rows);
        }
        let upto = page["upto"].as_str();
        let upto = upto.ok_or("a page of chunks does not say how far it goes")?;
        after = format!("&after={upto}");
    }
}
