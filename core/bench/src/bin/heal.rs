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

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::Signal;
use serde_json::Value;
use vaquita_bench::cluster::{Access, Cluster, Member, Plan};
use vaquita_bench::command::{self, Place};
use vaquita_bench::content::Content;
use vaquita_bench::http::{Client, Failure};
use vaquita_bench::load::{Load, some_unwell, until_well};
use vaquita_bench::servers::Revived;
use vaquita_bench::stop::Stop;

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

/// A file system in a file, mounted where a node has its volume. Unmounted when it is dropped.
#[derive(Debug)]
struct Disk {
    image: PathBuf,
    place: PathBuf,
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let ran = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let line = words.join(" ");
    let said = String::from_utf8_lossy(&ran.stderr);
    let failed = || format!("{program} {line}: {}", said.trim());
    ran.status.success().then_some(()).ok_or_else(failed)
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("{} is no path in UTF-8", path.display()))
}

impl Disk {
    fn make(room: &Path, node: &str, mib: u64) -> Result<Self, String> {
        let disk = Self {
            image: room.join(format!("{node}.img")),
            place: room.join("disk").join(node),
        };
        let failed = |error: std::io::Error| format!("{}: {error}", disk.image.display());
        fs::create_dir_all(&disk.place).map_err(failed)?;
        File::create(&disk.image)
            .and_then(|file| file.set_len(mib << 20))
            .map_err(failed)?;
        disk.format()?;
        disk.mount()?;
        Ok(disk)
    }

    fn format(&self) -> Result<(), String> {
        run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&self.image)?])
    }

    fn mount(&self) -> Result<(), String> {
        self.mount_at(&self.place)
    }

    fn mount_at(&self, place: &Path) -> Result<(), String> {
        run(
            "mount",
            &[
                "-o",
                "loop,errors=remount-ro",
                text(&self.image)?,
                text(place)?,
            ],
        )
    }

    fn unmount(&self) -> Result<(), String> {
        run("umount", &[text(&self.place)?])
    }

    fn remount(&self, how: &str) -> Result<(), String> {
        run(
            "mount",
            &["-o", &format!("remount,{how}"), text(&self.place)?],
        )
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is not mounted needs nothing.
        let _ = self.unmount();
    }
}

/// What the disk writes at most, in MB/s.
fn write_limit(disk: &Disk) -> Result<f64, String> {
    let path = disk.place.join("limit");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let block = vec![0x5a; 1 << 20];
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let mut file = File::create(&path).map_err(failed)?;
        let begun = Instant::now();
        for _ in 0..256 {
            file.write_all(&block).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        let rate = 256.0 * 1.048_576 / begun.elapsed().as_secs_f64();
        best = best.max(rate);
        fs::remove_file(&path).map_err(failed)?;
    }
    Ok(best)
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

    // ---- the steps ----

    fn kill_for_good(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let members = self.cluster.access.members(controller)?;
        let node = members.iter().find(|it| it.alias == NODES[0]);
        let pid = node.and_then(|it| it.pid).ok_or("it has no process")?;
        let server = self.cluster.servers().open(pid)?.ok_or("it does not run")?;
        server.signal(Signal::KILL)?;
        // Its agent would start it again.
        self.cluster.vaquita(&["node", "stop", NODES[0]])?;
        self.until_member(controller, stop, NODES[0], |it| {
            it.state == "stopped" || it.state == "lost" || it.state == "offline"
        })
    }

    fn bring_back(&mut self, _: &mut Client, _: &Stop) -> Result<(), String> {
        self.start_node(NODES[0])
    }

    fn fill(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let ballast = self.disk(NODES[1]).place.join("ballast");
        let failed = |error: std::io::Error| format!("{}: {error}", ballast.display());
        let mut file = File::create(&ballast).map_err(failed)?;
        let block = vec![0; 1 << 20];
        while file.write_all(&block).is_ok() {}
        drop(file);
        self.until_volume(controller, stop, NODES[1], |state| state == "full")?;
        stop.sleep(self.between);
        fs::remove_file(&ballast).map_err(failed)?;
        self.until_volume(controller, stop, NODES[1], |state| state != "full")
    }

    fn take_mount(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let node = NODES[2];
        self.stop_node(node)?;
        self.disk(node).unmount()?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "missing")?;
        stop.sleep(self.between);
        self.disk(node).mount()?;
        self.cluster.vaquita(&["volume", "rescan", node])?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    fn read_only(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let node = NODES[3];
        // As a kernel does by itself when a disk fails under a file system.
        force_read_only(&self.disk(node).place)?;
        self.until_volume(controller, stop, node, |state| state != "good")?;
        stop.sleep(self.between);
        self.stop_node(node)?;
        // A file system that stopped for an error is checked before it is written again.
        self.disk(node).unmount()?;
        // Its status says that something was mended, which is what it is for.
        let _ = run("fsck.ext4", &["-p", text(&self.disk(node).image)?]);
        self.disk(node).mount()?;
        self.disk(node).remount("rw")?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    fn flip(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let before = repair(controller)?["copied"].as_u64().unwrap_or_default();
        let mut flipped = 0;
        for path in chunk_files(&self.disk(NODES[4]).place)?.iter().take(8) {
            flip_a_bit(path)?;
            flipped += 1;
        }
        if flipped == 0 {
            return Err("there is no chunk to be damaged".to_owned());
        }
        // Found by reading what nobody reads, within a scrub or so.
        self.until(stop, "found by scrub", || {
            let copied = repair(controller).ok()?["copied"].as_u64()?;
            (copied > before).then_some(())
        })?;
        stop.sleep(Duration::from_secs(20));
        Ok(())
    }

    fn wipe(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let node = NODES[1];
        self.stop_node(node)?;
        self.disk(node).unmount()?;
        self.disk(node).format()?;
        self.disk(node).mount()?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "missing")?;
        let place = text(&self.disk(node).place)?.to_owned();
        self.cluster.vaquita(&["volume", "forget", node, &place])?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    fn exchange(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let (one, other) = (NODES[2], NODES[3]);
        for node in [one, other] {
            self.stop_node(node)?;
            self.disk(node).unmount()?;
        }
        self.disk(one).mount_at(&self.disk(other).place)?;
        self.disk(other).mount_at(&self.disk(one).place)?;
        for node in [one, other] {
            self.start_node(node)?;
            self.until_volume(controller, stop, node, |state| state == "foreign")?;
        }
        stop.sleep(self.between);
        for node in [one, other] {
            let place = text(&self.disk(node).place)?.to_owned();
            self.cluster.vaquita(&["volume", "adopt", node, &place])?;
            self.until_volume(controller, stop, node, |state| state == "good")?;
        }
        Ok(())
    }

    fn lose_host(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let members = self.cluster.access.members(controller)?;
        let pid = |alias: &str| {
            let found = members.iter().find(|it| it.alias == alias);
            found
                .and_then(|it| it.pid)
                .ok_or_else(|| format!("{alias} has no process"))
        };
        let servers = self.cluster.servers();
        let (agent, node) = (pid("P6-agent")?, pid(NODES[4])?);
        // The agent first: it would start the node again.
        self.revived
            .push(servers.kill_with(agent, node, HOST_AWAY)?);
        self.until_member(controller, stop, NODES[4], |it| it.state == "online")
    }

    fn join(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.start_node(LATE)?;
        self.until_volume(controller, stop, LATE, |state| state == "good")?;
        // Balance begins by itself and ends by itself.
        stop.sleep(self.between * 2);
        Ok(())
    }

    fn drain(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.cluster.vaquita(&["node", "drain", NODES[0]])?;
        // It is called drained ten minutes after the controller's start at the earliest, since writes
        // from before may end there: what it keeps has to be elsewhere now.
        self.until(stop, "emptied", || {
            let now = repair(controller).ok()?;
            let idle = now["copies"].as_array()?.is_empty() && now["surveying"] == false;
            (now["leaving"] == 0 && idle).then_some(())
        })?;
        self.cluster.vaquita(&["node", "serve", NODES[0]]).map(drop)
    }

    fn raise_level(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.reconfigure("dfsReplicaReliabilityLevel=1", controller, stop)
    }

    fn raise_factor(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.reconfigure("dfsReplicationFactor=3", controller, stop)
    }

    /// Adds a line to the controller's configuration and starts it anew.
    fn reconfigure(
        &mut self,
        line: &str,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        self.cluster
            .configure("controller.cfg", &[line.to_owned()])?;
        let servers = self.cluster.servers();
        let controller_pid = servers.of_mode("controller")?;
        let revived = servers.kill_and_revive(controller_pid)?;
        // It may have been one that was started anew itself.
        self.revived.retain(|it| it.pid() != controller_pid);
        self.revived.push(revived);
        for node in NODES {
            self.until_member(controller, stop, node, |it| it.state == "online")?;
        }
        Ok(())
    }
}

/// Files that are there before the first step, and nobody changes.
#[derive(Debug)]
struct Large {
    count: u64,
    content: Option<Content>,
}

impl Large {
    fn new(count: u64) -> Self {
        let content = (count > 0).then(|| Content::new(LARGE));
        Self { count, content }
    }

    fn put(&self, access: &Access, entries: &[String], stop: &Stop) -> Result<(), String> {
        self.each(entries, access, stop, |client, path, bytes| {
            client.put(path, bytes)
        })
    }

    /// Reads them through whatever nodes there are now.
    fn verify(&self, access: &Access, stop: &Stop) -> Result<(), String> {
        let entries = access.data_nodes(stop)?;
        self.each(&entries, access, stop, |client, path, bytes| {
            client.get(path, bytes)
        })?;
        if self.count > 0 {
            println!("{} files of 64 MiB were read and are equal", self.count);
        }
        Ok(())
    }

    fn each(
        &self,
        entries: &[String],
        access: &Access,
        stop: &Stop,
        what: impl Fn(&mut Client, &str, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let Some(content) = &self.content else {
            return Ok(());
        };
        for number in 0..self.count {
            let entry = &entries[usize::try_from(number).unwrap_or_default() % entries.len()];
            let mut client = Client::new(entry, Some(&access.token), stop)?;
            let path = format!("{DIRECTORY}/large{number}");
            what(&mut client, &path, content.of(number << 8 | 0xff, LARGE))
                .map_err(|failure| format!("dfs://{path}: {failure}"))?;
        }
        Ok(())
    }
}

/// What was copied during a step, and how long something was.
#[derive(Debug, Default)]
struct Watch {
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    copies: u64,
    bytes: u64,
    busy: Duration,
}

/// Ends a watch when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Looks again and again how repair is. A controller that was started anew counts from zero, and one
    /// that is not there is looked for again.
    fn look(&self, mut controller: Client, stop: &Stop) -> Result<(), String> {
        let mut last: Option<(u64, u64)> = None;
        let mut looked = Instant::now();
        let mut was_over = false;
        while !was_over && !stop.is_wanted() {
            // Once more behind the end: what was copied last counts too.
            was_over = self.over.load(Ordering::SeqCst);
            if let Ok(status) = repair(&mut controller) {
                let count = |name: &str| status[name].as_u64().unwrap_or_default();
                let now = (count("copied"), count("copied_bytes"));
                let (copies, bytes) = last.filter(|last| last.0 <= now.0).unwrap_or_default();
                let under_way = status["copies"].as_array().is_some_and(|it| !it.is_empty());
                let mut seen = lock(&self.seen);
                if last.is_some() {
                    seen.copies += now.0 - copies;
                    seen.bytes += now.1.saturating_sub(bytes);
                    if under_way || now.0 > copies {
                        seen.busy += looked.elapsed();
                    }
                }
                last = Some(now);
            }
            looked = Instant::now();
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// How repair is, and the first chunks that are not as they should be, for whoever has to find out why.
fn what_is_wrong(controller: &mut Client) -> String {
    let status = repair(controller).unwrap_or_else(Value::String);
    let unwell = some_unwell(controller).map_or_else(Value::String, |rows| {
        rows.into_iter().take(3).collect::<Value>()
    });
    let nodes = controller
        .json("/api/v1/nodes")
        .map_or_else(|failure| failure.to_string(), |rows| rows.to_string());
    format!("{status}; {unwell}; {nodes}")
}

/// Whether every chunk is as it should be, and nothing is on its way.
fn is_well(controller: &mut Client) -> Option<()> {
    let now = repair(controller).ok()?;
    let nothing = ["last_copy", "degraded", "misplaced", "leaving"]
        .iter()
        .all(|name| now[name] == 0);
    let idle = nothing && now["copies"].as_array()?.is_empty() && now["surveying"] == false;
    (idle && some_unwell(controller).ok()?.is_empty()).then_some(())
}

fn repair(controller: &mut Client) -> Result<Value, String> {
    controller
        .json("/api/v1/repair")
        .map_err(|failure| format!("the controller does not say how repair is: {failure}"))
}

/// Makes the kernel take a file system for damaged, so that it is read-only from then on.
fn force_read_only(place: &Path) -> Result<(), String> {
    let device = Command::new("findmnt")
        .args(["-n", "-o", "SOURCE", text(place)?])
        .output()
        .map_err(|error| format!("findmnt: {error}"))?;
    let device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
    let device = device.trim_start_matches("/dev/");
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    fs::write(&trigger, "vaquita heal").map_err(|error| format!("{trigger}: {error}"))
}

/// The files of a volume that have chunks, the largest first.
fn chunk_files(place: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(place).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let len = entry.metadata().map_err(failed)?.len();
        if len > 100_000 {
            files.push((len, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

fn flip_a_bit(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(failed)?;
    let at = file.metadata().map_err(failed)?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(failed)?;
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).map_err(failed)?;
    file.sync_all().map_err(failed)
}
