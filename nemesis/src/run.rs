//! One run: the load, the faults, what follows, and what is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;
use vaquita_history::Checked;

use crate::api::Api;
use crate::clients::{Load, work};
use crate::cluster::{Cluster, Plan};
use crate::director::Director;
use crate::end;
use crate::fault::{Kind, Strike};
use crate::ground::{Backing, Ground};
use crate::options::{Options, Plant};
use crate::outcome::{NoVerdict, Outcome};
use crate::report::{Log, Rule};
use crate::schedule::{Wanted, schedule};
use crate::stop::Stop;
use crate::watch::Watch;

/// Ten minutes in which the trash and open writes are kept, and time to look through everything twice.
const GRACES: Duration = Duration::from_secs(13 * 60);

/// Runs it.
///
/// # Errors
/// If it does not come to a verdict.
pub fn run(options: &Options, stop: &Stop) -> Result<Outcome, NoVerdict> {
    let log = Log::new(options.report.as_deref()).map_err(NoVerdict::Failed)?;
    let log = Arc::new(log);
    let ended = carry_out(options, &log, stop);
    ended.map_err(|why| {
        if stop.is_wanted() && log.violations().is_empty() {
            NoVerdict::Stopped
        } else {
            NoVerdict::Failed(why)
        }
    })
}

fn carry_out(options: &Options, log: &Arc<Log>, stop: &Stop) -> Result<Outcome, String> {
    // The kernel tells of mounts by such paths.
    let room = &options.room;
    let options = &Options {
        room: room
            .canonicalize()
            .map_err(|error| format!("{}: {error}", room.display()))?,
        ..options.clone()
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let log = Arc::clone(log);
    let outcome = runtime.block_on(Run { options, log, stop }.whole());
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

struct Run<'a> {
    options: &'a Options,
    log: Arc<Log>,
    stop: &'a Stop,
}

/// Why there is no verdict when somebody has it stop.
const STOPPED: &str = "stopped before there was a verdict";

impl Run<'_> {
    async fn whole(&self) -> Result<Outcome, String> {
        let ground = Ground::look(&self.options.room, self.options.hosts + 1);
        let (kinds, left_out) = self.kinds(&ground);
        // The same faults at the same times whatever the machine lacks, but for those that it lacks.
        let mut strikes = schedule(&Wanted {
            seed: self.options.seed,
            time: self.options.time,
            kinds: self.options.kinds.clone(),
            hosts: self.options.hosts,
        });
        strikes.retain(|strike| kinds.contains(&strike.deed.kind()));
        self.log.print(format_args!(
            "seed {}: {} faults in {} s, on {} hosts; {ground}",
            self.options.seed,
            strikes.len(),
            self.options.time.as_secs(),
            self.options.hosts,
        ));
        let plan = Plan {
            vaquita: self.options.vaquita.clone(),
            room: self.options.room.clone(),
            hosts: self.options.hosts,
            seed: self.options.seed,
            kinds,
        };
        let mut cluster = Cluster::start(&plan, &ground)?;
        let mut api = Api::of(cluster.deployment.controller(), self.stop);
        end::begin(&cluster, &mut api, self.stop).await?;
        self.log.say("all members are online");

        let (seed, entries) = (self.options.seed, cluster.deployment.entries());
        let load = Arc::new(Load::new(seed, entries, self.log.begun()));
        let outcome = self.judged(&mut cluster, &mut api, &load, &strikes).await;
        self.write_history(&load);
        let is_good = outcome.as_ref().is_ok_and(|it| it.violations.is_empty());
        if !is_good && ground.disks == Ok(Backing::Memory) {
            self.keep_volumes();
        }
        Ok(Outcome {
            left_out,
            ..outcome?
        })
    }

    async fn judged(
        &self,
        cluster: &mut Cluster,
        api: &mut Api,
        load: &Arc<Load>,
        strikes: &[Strike],
    ) -> Result<Outcome, String> {
        let over = Arc::new(AtomicBool::new(false));
        let watch = {
            let (log, over) = (Arc::clone(&self.log), Arc::clone(&over));
            let api = Api::of(cluster.deployment.controller(), self.stop);
            tokio::spawn(async move { Watch::default().look(api, &log, &over).await })
        };
        let (struck, missed) = self.under_load(cluster, load, strikes).await?;
        let healed = self.heal(cluster, api).await?;
        let since = Instant::now();
        if self.options.graces && healed {
            self.wait_for_graces(cluster, api).await?;
        }
        // Before there is harm that the cluster itself may notice.
        let chunks = end::placed(api, &self.log).await;
        let chunks = chunks.unwrap_or_else(|why| {
            self.log.violated(Rule::Placed, why);
            0
        });
        self.log
            .say(format_args!("the controller tells of {chunks} chunks"));
        if let Some(Plant::DestroyAFile) = self.options.plant {
            let what = end::destroy_a_file(cluster, api).await?;
            self.log.say(format_args!("planted: destroyed {what}"));
        }
        let entries = cluster.deployment.entries();
        let reads = end::read_back(load, &entries, &self.log).await?;
        self.log.say(format_args!(
            "{reads} reads of files that should be there, or not: through every data node"
        ));
        over.store(true, Ordering::SeqCst);
        let watch = watch.await.map_err(|error| format!("the watch: {error}"))?;
        if self.stop.is_wanted() {
            return Err(STOPPED.to_owned());
        }

        self.stop_all(cluster, api).await;
        let graces_over = self.options.graces && healed && since.elapsed() > GRACES;
        match end::look(&cluster.deployment, &self.log, graces_over) {
            Ok(remains) => self.log.say(format_args!("on the disks: {remains}")),
            Err(why) => self.log.violated(Rule::OnDisk, why),
        }
        for line in panics(&self.options.room) {
            self.log.violated(Rule::Running, line);
        }
        let checked = self.judge(load);
        let tallies = load.tallies();
        let outcome = Outcome {
            violations: self.log.violations(),
            operations: tallies.sum(),
            puts: tallies.done("put"),
            gets: tallies.done("get"),
            struck,
            left_out: Vec::new(),
            histories: checked.searches,
        };
        self.sum_up(&outcome, missed, load, checked, &watch, cluster.packets());
        Ok(outcome)
    }

    /// Lets the faults come over the cluster while clients use it. Returns how many of each kind there were, and how
    /// many could not be done.
    async fn under_load(
        &self,
        cluster: &mut Cluster,
        load: &Arc<Load>,
        strikes: &[Strike],
    ) -> Result<(BTreeMap<Kind, u64>, u64), String> {
        let mut clients = JoinSet::new();
        for number in 0..self.options.clients {
            let load = Arc::clone(load);
            clients.spawn(async move { work(&load, number).await });
        }
        let controller = cluster.deployment.controller();
        let mut director = Director {
            cluster,
            api: Api::of(controller, self.stop),
            log: &self.log,
            struck: BTreeMap::new(),
            missed: 0,
        };
        director
            .carry_out(strikes, self.options.time, self.stop)
            .await;
        director.look_for_ends();
        let (struck, missed) = (director.struck, director.missed);
        load.end();
        while let Some(ended) = clients.join_next().await {
            ended.map_err(|error| format!("a client has not ended well: {error}"))?;
        }
        self.log
            .say("the faults are over, and the clients have ended");
        Ok((struck, missed))
    }

    /// The kinds of faults that can be had, and why others cannot; tells of those.
    fn kinds(&self, ground: &Ground) -> (Vec<Kind>, Vec<(Kind, String)>) {
        let (mut kinds, mut left_out) = (Vec::new(), Vec::new());
        for kind in &self.options.kinds {
            match ground.lacks(*kind) {
                None => kinds.push(*kind),
                Some(why) => {
                    self.log.print(format_args!("no `{kind}` here: {why}"));
                    left_out.push((*kind, why));
                }
            }
        }
        (kinds, left_out)
    }

    /// Whether all is well again; that it is not is told.
    async fn heal(&self, cluster: &mut Cluster, api: &mut Api) -> Result<bool, String> {
        let healed = end::heal(cluster, api, &self.log, self.options.heal, self.stop).await;
        match healed {
            // What was cut short is no violation.
            _ if self.stop.is_wanted() => Err(STOPPED.to_owned()),
            Ok(took) => {
                let secs = took.as_secs_f64();
                self.log.say(format_args!(
                    "every member is online and every chunk well, {secs:.1} s later"
                ));
                Ok(true)
            }
            Err(what) => {
                self.log.violated(Rule::Healed, what);
                Ok(false)
            }
        }
    }

    async fn wait_for_graces(&self, cluster: &mut Cluster, api: &mut Api) -> Result<(), String> {
        self.log.say(format_args!(
            "waiting {} s until nothing may be left beside",
            GRACES.as_secs()
        ));
        let begun = Instant::now();
        while begun.elapsed() < GRACES + Duration::from_secs(1) {
            if self.stop.is_wanted() {
                return Err(STOPPED.to_owned());
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.heal(cluster, api).await.map(drop)
    }

    async fn stop_all(&self, cluster: &mut Cluster, api: &mut Api) {
        if let Err(why) = end::wait_until_stopped(cluster, api).await {
            self.log.violated(Rule::Running, why);
        }
        for it in cluster.unexpected() {
            let story = format!("the server of {} ended by itself, {}", it.host, it.how);
            self.log.violated(Rule::Running, story);
        }
        match cluster.stop() {
            Ok(()) => self.log.say("everything has stopped"),
            Err(why) => self.log.violated(Rule::Running, why),
        }
    }

    fn judge(&self, load: &Load) -> Checked {
        for wrong in load.wrong() {
            self.log.violated(Rule::RightAnswers, wrong);
        }
        let (checked, wrongs) = load.history().examine();
        for wrong in wrongs {
            self.log.violated(Rule::Linearizable, wrong.to_string());
        }
        checked
    }

    fn write_history(&self, load: &Load) {
        let file = self.options.room.join("history");
        if let Err(error) = fs::write(&file, load.history().to_string()) {
            self.log.say(format_args!("{}: {error}", file.display()));
        }
    }

    /// Copies what is on disks that are gone with this process.
    fn keep_volumes(&self) {
        let (volumes, kept) = (
            self.options.room.join("volumes"),
            self.options.room.join("volumes-at-the-end"),
        );
        match copy(&volumes, &kept) {
            Ok(()) => self.log.say(format_args!(
                "the disks are memory: what is on them is copied to {}",
                kept.display()
            )),
            Err(error) => self.log.say(format_args!(
                "{} cannot be copied to {}: {error}",
                volumes.display(),
                kept.display()
            )),
        }
    }

    fn sum_up(
        &self,
        outcome: &Outcome,
        missed: u64,
        load: &Load,
        checked: Checked,
        watch: &Watch,
        packets: Option<(u64, u64)>,
    ) {
        let log = &self.log;
        log.print(format_args!("\noperations\n{}", load.tallies()));
        log.print("\nfaults");
        for (kind, count) in &outcome.struck {
            log.print(format_args!("  {:<10}{count:>6}", kind.to_string()));
        }
        if missed > 0 {
            log.print(format_args!(
                "  {missed} could not be done when their time came"
            ));
        }
        if let Some((passed, stopped)) = packets {
            log.print(format_args!(
                "  packets: {passed} passed, {stopped} did not"
            ));
        }
        log.print(format_args!(
            "\nhistories: {} checked, of {} operations, the longest of {}",
            checked.searches, checked.deeds, checked.most
        ));
        log.print(format_args!(
            "the API was looked at {} times; {} registrations followed another one",
            watch.looks, watch.registered_anew
        ));
        if outcome.violations.is_empty() {
            log.print("nothing was violated");
            return;
        }
        let count = outcome.violations.len();
        log.print(format_args!(
            "\n{count} violations, with seed {}:",
            self.options.seed
        ));
        for violation in &outcome.violations {
            log.print(format_args!("\n{violation}"));
        }
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Panics that a process has written down, each with its file.
fn panics(room: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for host in fs::read_dir(room).into_iter().flatten().flatten() {
        let logs = host.path().join("log");
        for file in fs::read_dir(logs).into_iter().flatten().flatten() {
            let bytes = fs::read(file.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines = text.lines().filter(|line| line.contains("panicked"));
            let path = file.path();
            found.extend(lines.map(|line| format!("{}: {line}", path.display())));
        }
    }
    found
}
