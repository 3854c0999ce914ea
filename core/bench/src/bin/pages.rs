//! The pages of the cluster manager: how long each takes from the controller, and how long it is.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin pages
//! ```
//!
//! It fails if a page takes longer than a tenth of a second half of the time, or has more than 100 KB.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use vaquita_bench::cluster::{Access, Cluster, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::stop::Stop;

/// Measure each page of the cluster manager
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Times that each page is asked for
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// Files in the directory that is looked at
    #[arg(long, default_value_t = 300)]
    files: usize,
    #[command(flatten)]
    place: Place,
}

/// What a page may take.
const TARGET: Duration = Duration::from_millis(100);
/// How long it may be, in bytes.
const LEN_MAX: usize = 100 * 1000;

const PAGES: [&str; 16] = [
    "/login",
    "/",
    "/nodes/P1-NODE1",
    "/files/",
    "/files/pages",
    "/files/pages/0",
    "/volumes",
    "/repair",
    "/config",
    "/config/controller.cfg",
    "/config/cluster.nodes",
    "/config/cluster.cfg",
    "/logs",
    "/logs/P1-NODE1",
    "/users",
    "/audit",
];

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let room = options.place.room("vaquita-pages-")?;
    let plan = Plan {
        vaquita: options.place.program()?,
        directory: room.path().join("0"),
        hosts: 4,
        lines: Vec::new(),
        node_lines: Vec::new(),
    };
    let mut cluster = Cluster::start(&plan, stop)?;
    println!("start: {}", cluster.green);
    let seen = look(&cluster.access, options, stop);
    let stopped = cluster.stop();
    seen.and(stopped)
}

fn look(access: &Access, options: &Options, stop: &Stop) -> Result<(), String> {
    access.make_directory("pages", stop)?;
    access.until_files_are_taken("pages", stop)?;
    let nodes = access.data_nodes(stop)?;
    let mut node = vaquita_bench::http::Client::new(&nodes[0], Some(&access.token), stop)?;
    for file in 0..options.files {
        node.put(&format!("pages/{file}"), b"a file")
            .map_err(|failure| failure.to_string())?;
    }
    let mut slow = Vec::new();
    for page in PAGES {
        let mut times = Vec::new();
        let mut len = 0;
        let mut client = access.controller(stop)?;
        for _ in 0..options.times {
            let begun = Instant::now();
            let body = client.page(page).map_err(|it| format!("{page}: {it}"))?;
            times.push(begun.elapsed());
            len = body.len();
            if stop.is_wanted() {
                return Err("stopped".to_owned());
            }
        }
        times.sort_unstable();
        let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{page}: {half:.1?} (half), {most:.1?} (99 %), {:.1} % of {TARGET:?}; {} KB",
            half.as_secs_f64() / TARGET.as_secs_f64() * 100.0,
            len / 1000
        );
        if half > TARGET || len > LEN_MAX {
            slow.push(page);
        }
    }
    match slow.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} take longer than {TARGET:?}, or are longer than 100 KB",
            slow.join(", ")
        )),
    }
}
