//! The restart of a controller that knows a million files of one chunk and two replicas each.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p vaquita-bench --bin million
//! ```
//!
//! The home is written by the controller's own machine, with log and checkpoints as they come about in
//! operation, and in a directory on a real disk. Then the real process is started on it, again and
//! again, beside one with a single file. No data node runs: what they report is not part of it.
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};
use vaquita_bench::command::{self, Place};
use vaquita_bench::cpu::{self, Memory};
use vaquita_bench::http::{Client, Failure};
use vaquita_bench::rig::{Directory, Puts, Rig, TOKEN, alias};
use vaquita_bench::stop::Stop;
use vaquita_core::wire::keys::Keyring;

/// Measure the restart of a controller with many files
#[derive(Clone, Debug, Parser)]
struct Options {
    /// How many files
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// How often it is started
    #[arg(long, default_value_t = 3)]
    restarts: usize,
    #[command(flatten)]
    place: Place,
}

/// Data nodes that have the replicas.
const NODES: u16 = 4;
/// Puts that are committed together.
const PUTS_TOGETHER: u64 = 256;
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let options = Options::parse();
    command::main(|stop| measure(&options, stop))
}

fn measure(options: &Options, stop: &Stop) -> Result<(), String> {
    let program = options.place.program()?;
    let room = options.place.room("vaquita-million-")?;
    let number = std::process::id();
    let subnet = format!("127.{}.{}", 64 + number / 250 % 32, 1 + number % 250);
    let mut with_one = Memory::default();
    for (name, files) in [("one", 1), ("many", options.files)] {
        let home = Home::make(&room.path().join(name), &subnet)?;
        home.fill(files, stop)?;
        for _ in 0..options.restarts.max(1) {
            let start = home.start(&program, stop)?;
            start.tell(files);
            if files == 1 {
                with_one = start.memory;
            } else {
                let more = start
                    .memory
                    .anonymous_kib
                    .saturating_sub(with_one.anonymous_kib);
                println!(
                    "  {:.0} bytes a file more than with one, names and operations included",
                    more as f64 * 1024.0 / files as f64
                );
            }
        }
    }
    Ok(())
}

/// The directory of a controller.
struct Home {
    directory: PathBuf,
    subnet: String,
}

/// What a start came to.
struct Start {
    /// From the start of the process to its first answer about a path.
    serves: Duration,
    /// Processor time until then, and a little longer.
    cpu: Duration,
    memory: Memory,
}

impl Start {
    fn tell(&self, files: u64) {
        let mib = |kib: u64| kib as f64 / 1024.0;
        println!(
            "{files} files: serves after {:.0} ms, {:.0} ms of processor time; memory {:.1} MiB \
             (of its own {:.1}, at most {:.1})",
            self.serves.as_secs_f64() * 1e3,
            self.cpu.as_secs_f64() * 1e3,
            mib(self.memory.resident_kib),
            mib(self.memory.anonymous_kib),
            mib(self.memory.peak_kib),
        );
    }
}

impl Home {
    /// Writes the configuration.
    fn make(directory: &Path, subnet: &str) -> Result<Self, String> {
        let home = Self {
            directory: directory.to_owned(),
            subnet: subnet.to_owned(),
        };
        let mut nodes = String::from("localSite,mode\n");
        for number in 0..NODES {
            let host = format!("{subnet}.{}", number + 2);
            nodes += &format!("{host}:8960:agent{number},agent\n");
            nodes += &format!("{host}:8961:{},datanode\n", alias(number));
        }
        let controller = format!("localSite={}:master\n", home.server());
        let written = fs::create_dir_all(home.meta())
            .and_then(|()| fs::write(home.file("controller.cfg"), controller))
            .and_then(|()| fs::write(home.file("cluster.nodes"), nodes))
            .and_then(|()| fs::write(home.file("cluster.cfg"), ""));
        written.map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(home)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn meta(&self) -> PathBuf {
        self.directory.join("data").join("master").join("meta")
    }

    fn server(&self) -> String {
        format!("{}.1:8990", self.subnet)
    }

    /// Puts so many files.
    fn fill(&self, files: u64, stop: &Stop) -> Result<(), String> {
        let began = Instant::now();
        let keyring = Keyring::new(None);
        let mut rig = Rig::new(None, NODES, Directory::open(&self.meta())?);
        let nodes = rig.register_all(NODES, &keyring);
        let mut puts = Puts::new(nodes);
        while puts.begun() < files {
            if stop.is_wanted() {
                return Err("stopped".to_owned());
            }
            let count = PUTS_TOGETHER.min(files - puts.begun());
            puts.make_directories(&mut rig, count);
            let mut begun = Vec::new();
            for (number, frame) in puts.allocations(count) {
                begun.push(number);
                rig.tell(frame);
            }
            let open = puts.places(&mut rig, &begun);
            for frame in puts.commits(open) {
                rig.tell(frame);
            }
            rig.settle();
            let committed = puts.answers(&mut rig).len() as u64;
            if committed != count {
                return Err(format!("{committed} of {count} puts were committed"));
            }
        }
        println!(
            "{files} files committed in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        let entries = fs::read_dir(self.meta()).map_err(|error| error.to_string())?;
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let len = entry.metadata().map_or(0, |it| it.len());
            if len > 1 << 20 {
                println!("  {name} {:.1} MB", len as f64 / 1e6);
            }
        }
        Ok(())
    }

    /// Starts the controller, looks, and ends it.
    fn start(&self, program: &Path, stop: &Stop) -> Result<Start, String> {
        let path = |name: &str| self.file(name).to_string_lossy().into_owned();
        let output = File::create(self.file("controller.out"))
            .map_err(|error| format!("{}: {error}", self.directory.display()))?;
        let failed = |error: std::io::Error| format!("{}: {error}", program.display());
        let began = Instant::now();
        let child = Command::new(program)
            .args(["-mode", "controller", "-console", "0"])
            .args(["-home", &path("data"), "-config", &path("controller.cfg")])
            .args(["-clusterConfig", &path("cluster.cfg")])
            .args(["-nodesFile", &path("cluster.nodes")])
            .args(["-logFile", &path("controller.log")])
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut running = Running(Some(child));
        // `/readyz` may answer what was true a quarter of a second ago.
        let mut client = Client::new(&self.server(), Some(TOKEN), stop)?;
        while let Err(failure) = client.json("/api/v1/dfs/stat?path=/d0") {
            // It does not listen yet, or says that it does not serve yet.
            if !matches!(failure, Failure::Broken(_) | Failure::Refused(503, _)) {
                return Err(format!("the controller does not know /d0: {failure}"));
            }
            if stop.is_wanted() || began.elapsed() > PATIENCE || running.has_ended() {
                let said = fs::read_to_string(self.file("controller.out")).unwrap_or_default();
                let log = fs::read_to_string(self.file("controller.log")).unwrap_or_default();
                return Err(format!("the controller does not serve: {said}{log}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let serves = began.elapsed();
        let pid = running.pid();
        let start = Start {
            serves,
            cpu: cpu::of(&[pid]),
            memory: cpu::memory(pid),
        };
        running.stop();
        Ok(start)
    }
}

/// A process that does not outlive this value.
struct Running(Option<Child>);

impl Running {
    fn pid(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    fn has_ended(&mut self) -> bool {
        let child = self.0.as_mut();
        child.is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it in good order.
    fn stop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        // It was not waited for yet, so that its id is its own still.
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill().and_then(|()| child.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
