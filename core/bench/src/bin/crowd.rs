//! A cluster of real processes whose controller is looked at by a crowd: clients that begin a request and
//! never get on with it, and others that ask for its state again and again. How long the controller has not
//! heard each node is looked at all the while, first without the crowd and then with it.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin crowd
//! ```
//!
//! It fails if a node is taken for anything but online, or if the crowd was smaller than wanted.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::io::Write as _;
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use vaquita_bench::cluster::{Access, Cluster, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::stop::Stop;

/// Look at heartbeats while a crowd asks the controller
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Clients that begin a request and never get on with it
    #[arg(long, default_value_t = 200)]
    slow: usize,
    /// Times a second that the state is asked for, by all of them together
    #[arg(long, default_value_t = 1000)]
    polls: u64,
    /// Seconds of each phase
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    #[command(flatten)]
    place: Place,
}

/// Clients among which the polls are divided.
const ASKERS: u64 = 4;
/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(2);
/// Time between two bytes of a slow client.
const DRIP: Duration = Duration::from_secs(1);
/// Requests of one connection, at most.
const REQUESTS: u64 = 900;

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let room = options.place.room("vaquita-crowd-")?;
    let plan = Plan {
        vaquita: options.place.program()?,
        directory: room.path().join("0"),
        hosts: 4,
        lines: vec!["maxConnections=1024".to_owned()],
        node_lines: Vec::new(),
    };
    let mut cluster = Cluster::start(&plan, stop)?;
    println!("start: {}", cluster.green);
    let seen = both(&cluster.access, options, stop);
    let stopped = cluster.stop();
    seen.and(stopped)
}

fn both(access: &Access, options: &Options, stop: &Stop) -> Result<(), String> {
    let time = Duration::from_secs(options.seconds);
    let alone = look(access, time, stop)?;
    println!("alone:      {alone}");
    let ends = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    let begun = Instant::now();
    let each = options.polls.div_ceil(ASKERS);
    let (crowded, rate) = thread::scope(|scope| {
        let slow = scope.spawn(|| drip(&access.server, options.slow, &ends));
        let askers = (0..ASKERS)
            .map(|_| scope.spawn(|| ask(access, each, &ends, &answered, &refused, stop)));
        let askers: Vec<_> = askers.collect();
        let crowded = look(access, time, stop);
        ends.store(true, Ordering::Relaxed);
        let polls = answered.load(Ordering::Relaxed) as f64;
        let rate = polls / begun.elapsed().as_secs_f64();
        slow.join().map_err(|_| "a thread has panicked")??;
        for asker in askers {
            asker.join().map_err(|_| "a thread has panicked")??;
        }
        Ok::<_, String>((crowded?, rate))
    })?;
    println!(
        "in a crowd: {crowded}; {} slow clients, {rate:.0} polls/s, {} refused for want of room",
        options.slow,
        refused.load(Ordering::Relaxed)
    );
    println!(
        "longest silence in a crowd to that alone: {:.2}",
        crowded.longest() / alone.longest()
    );
    if rate < options.polls as f64 * 0.9 {
        return Err(format!("{rate:.0} polls/s are fewer than wanted"));
    }
    Ok(())
}

/// How long nodes had not been heard, in milliseconds, at many moments.
struct Silences(Vec<u64>);

impl Silences {
    fn part(&self, part: f64) -> u64 {
        let at = (self.0.len() - 1) as f64 * part;
        self.0[at as usize]
    }

    fn longest(&self) -> f64 {
        self.part(1.0) as f64
    }
}

impl std::fmt::Display for Silences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (half, most, all) = (self.part(0.5), self.part(0.99), self.part(1.0));
        write!(
            f,
            "nodes not heard for {half} ms (half of {} looks), {most} ms (99 %), {all} ms (longest)",
            self.0.len()
        )
    }
}

/// Looks at the nodes for a while.
fn look(access: &Access, time: Duration, stop: &Stop) -> Result<Silences, String> {
    let mut silences = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let mut client = access.controller(stop)?;
        for _ in 0..REQUESTS {
            // There may be no room for one client more: then a new connection is tried.
            let Ok(rows) = client.json("/api/v1/nodes") else {
                stop.sleep(PERIOD);
                break;
            };
            for row in rows.as_array().into_iter().flatten() {
                if row["state"] != "online" {
                    return Err(format!("a node is not online: {row}"));
                }
                silences.extend(row["silent_ms"].as_u64());
            }
            if begun.elapsed() >= time || stop.is_wanted() {
                break;
            }
            stop.sleep(PERIOD);
        }
        if stop.is_wanted() {
            return Err("stopped".to_owned());
        }
    }
    silences.sort_unstable();
    match silences.is_empty() {
        true => Err("no node was seen".to_owned()),
        false => Ok(Silences(silences)),
    }
}

/// Asks for the state so many times a second.
fn ask(
    access: &Access,
    rate: u64,
    ends: &AtomicBool,
    answered: &AtomicU64,
    refused: &AtomicU64,
    stop: &Stop,
) -> Result<(), String> {
    let begun = Instant::now();
    let mut asked = 0;
    while !ends.load(Ordering::Relaxed) {
        let mut client = access.controller(stop)?;
        for _ in 0..REQUESTS {
            if client.json("/api/v1/status").is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
                stop.sleep(PERIOD);
                break;
            }
            answered.fetch_add(1, Ordering::Relaxed);
            asked += 1;
            let due = Duration::from_secs_f64(asked as f64 / rate as f64);
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                stop.sleep(early);
            }
            if ends.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    Ok(())
}

/// Holds connections with a request each that comes a byte at a time; one that the server has ended is
/// opened again.
fn drip(controller: &str, count: usize, ends: &AtomicBool) -> Result<(), String> {
    let open = || {
        let stream = TcpStream::connect(controller).map_err(|it| it.to_string())?;
        stream.set_nodelay(true).map_err(|it| it.to_string())?;
        Ok::<_, String>(stream)
    };
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = open()?;
        // One that there is no room for is told so and ended.
        let _ = stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: ");
        streams.push(stream);
    }
    while !ends.load(Ordering::Relaxed) {
        for stream in &mut streams {
            if stream.write_all(b"a").is_err() {
                *stream = open()?;
            }
        }
        thread::sleep(DRIP);
    }
    Ok(())
}
