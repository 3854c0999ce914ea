//! Puts and gets of a cluster of real processes, beside the same client with plain files.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin load
//! cargo run --release -p vaquita-bench --bin load -- --sizes 4KiB --clients 8 --seconds 2
//! cargo run --release -p vaquita-bench --bin load -- --server 10.1.1.7:8990 --token vqt_…
//! ```
//!
//! Each row is one size and one number of clients: so many threads, each with one connection to a data
//! node, one request at a time, for some seconds. Gets read the files that the puts before them wrote,
//! out of the page cache as a rule, and every byte is compared. The plain files are written by the same
//! threads, as many copies of each as the cluster keeps replicas, each synced and then its directory.
//! Each size and each `dataSync` has a fresh cluster, and what the machine still has to write is
//! written before each measurement.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

mod cells;
mod plain;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;
use vaquita_bench::cluster::{Access, Cluster, Plan};
use vaquita_bench::command;
use vaquita_bench::content::Content;
use vaquita_bench::servers::Servers;
use vaquita_bench::stop::Stop;

use cells::{Cell, Kind, Measured, Place};
use report::Report;

/// Measure puts and gets of files
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Sizes of the files
    #[arg(long, value_delimiter = ',', value_parser = size, default_value = "4KiB,1MiB,64MiB")]
    sizes: Vec<usize>,
    /// Numbers of clients at a time
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    clients: Vec<usize>,
    /// Whether chunks are synced: 1, 0 or both; a cluster that runs already has its own way
    #[arg(long, value_delimiter = ',', default_value = "1,0", value_parser = clap::value_parser!(u8).range(0..=1))]
    data_sync: Vec<u8>,
    /// Seconds for which operations are begun, a measurement
    #[arg(long, value_parser = seconds, default_value = "5")]
    seconds: Duration,
    /// Hosts of the cluster
    #[arg(long, default_value_t = 4)]
    hosts: u8,
    /// Replicas of each chunk, and copies of each plain file
    #[arg(long, default_value_t = 2)]
    replicas: usize,
    #[command(flatten)]
    place: command::Place,
    /// Use the cluster of this controller, which runs already
    #[arg(long, value_name = "HOST:PORT", requires = "token")]
    server: Option<String>,
    /// A token for that cluster that may read and write files
    #[arg(long)]
    token: Option<String>,
    /// Count the processor time of the server processes that name this directory on their command
    /// lines, for a cluster that runs already
    #[arg(long, value_name = "DIR", requires = "server")]
    processes_of: Option<PathBuf>,
    /// Leave out the plain files
    #[arg(long)]
    no_plain: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Reads `4096`, `4KiB` or `64MiB`.
fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let unit = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("write a number of bytes, or one with KiB, MiB or GiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "that is no number".to_owned())?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "that is too much".to_owned())
}

/// Reads seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "that is no number".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| Run::new(&options, stop)?.all())
}

/// A run of all measurements.
struct Run<'a> {
    options: &'a Options,
    stop: &'a Stop,
    content: Content,
    /// Everything that is written lies in it.
    room: TempDir,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, stop: &'a Stop) -> Result<Self, String> {
        let longest = options.sizes.iter().copied().max().unwrap_or_default();
        Ok(Self {
            options,
            stop,
            content: Content::new(longest),
            room: options.place.room("vaquita-load-")?,
            report: Report::new(options.json, !options.no_plain),
        })
    }

    fn all(&self) -> Result<(), String> {
        self.report.head();
        if let (Some(server), Some(token)) = (&self.options.server, &self.options.token) {
            let access = Access {
                server: server.clone(),
                token: token.clone(),
            };
            let directory = self.options.processes_of.as_deref();
            let servers = directory.map(Servers::of).transpose()?;
            for &size in &self.options.sizes {
                self.cells_of(&access, servers.as_ref(), size, None)?;
            }
            return Ok(());
        }
        for &data_sync in &self.options.data_sync {
            for &size in &self.options.sizes {
                self.with_own_cluster(size, data_sync)?;
            }
        }
        Ok(())
    }

    fn with_own_cluster(&self, size: usize, data_sync: u8) -> Result<(), String> {
        // A fresh one: what was removed before would still take room, and time to compact.
        let directory = self.room.path().join(format!("{size}-{data_sync}"));
        let plan = Plan {
            vaquita: self.options.place.program()?,
            directory: directory.clone(),
            hosts: self.options.hosts,
            node_lines: Vec::new(),
            lines: vec![
                format!("dataSync={data_sync}"),
                format!("dfsReplicationFactor={}", self.options.replicas),
            ],
        };
        let mut cluster = Cluster::start(&plan, self.stop)?;
        let access = cluster.access.clone();
        let measured = self.cells_of(&access, Some(cluster.servers()), size, Some(data_sync));
        let stopped = cluster.stop();
        measured.and(stopped).and_then(|()| remove(&directory))
    }

    /// All measurements of files of one size.
    fn cells_of(
        &self,
        access: &Access,
        servers: Option<&Servers>,
        size: usize,
        data_sync: Option<u8>,
    ) -> Result<(), String> {
        // As little known to anybody else as the name of the directory for temporary files.
        let name = self.room.path().file_name().unwrap_or_default();
        let directory = name.to_string_lossy().into_owned();
        access.make_directory(&directory, self.stop)?;
        let measured = access
            .until_files_are_taken(&directory, self.stop)
            .and_then(|()| self.rows_of(access, servers, size, data_sync, &directory));
        let removed = match self.stop.is_wanted() {
            // Its connections are broken off at once, and this has to be.
            true => access.remove(&directory, &Stop::default()),
            false => access.remove(&directory, self.stop),
        };
        measured.and(removed)
    }

    fn rows_of(
        &self,
        access: &Access,
        servers: Option<&Servers>,
        size: usize,
        data_sync: Option<u8>,
        directory: &str,
    ) -> Result<(), String> {
        let nodes = access.data_nodes(self.stop)?;
        for &clients in &self.options.clients {
            let cell = Cell {
                size,
                clients,
                time: self.options.seconds,
                content: &self.content,
                stop: self.stop,
            };
            let below = format!("{directory}/{clients}");
            access.make_directory(&below, self.stop)?;
            let dfs = Place::Cluster {
                nodes: &nodes,
                token: &access.token,
                directory: &below,
            };
            let below = self.room.path().join("plain");
            let copies = match self.options.no_plain {
                true => None,
                false => Some(plain::Copies::make(&below, self.options.replicas)?),
            };
            let plain = copies.as_ref().map(Place::Plain);
            let (mut written, mut plain_written) = (Vec::new(), Vec::new());
            for kind in [Kind::Put, Kind::Get] {
                // The plain files directly behind it: the machine may be another one a little later.
                let cluster = measure(&cell, kind, &dfs, &mut written, servers)?;
                let plain = plain
                    .as_ref()
                    .map(|plain| measure(&cell, kind, plain, &mut plain_written, None))
                    .transpose()?;
                self.report
                    .row(&cell, data_sync, kind, &cluster, plain.as_ref());
            }
            if copies.is_some() {
                remove(&below)?;
            }
        }
        Ok(())
    }
}

/// Measures puts, which tell what they have written, or gets of what was written.
fn measure(
    cell: &Cell<'_>,
    kind: Kind,
    place: &Place<'_>,
    files: &mut Vec<u64>,
    servers: Option<&Servers>,
) -> Result<Measured, String> {
    let (measured, done) = cell.run(kind, place, files, servers)?;
    if kind == Kind::Put {
        *files = done;
    }
    if files.is_empty() {
        let why = measured.errors.keys().next().cloned().unwrap_or_default();
        return Err(format!("no file could be written: {why}"));
    }
    Ok(measured)
}

fn remove(directory: &Path) -> Result<(), String> {
    std::fs::remove_dir_all(directory)
        .map_err(|error| format!("{} cannot be removed: {error}", directory.display()))
}
