//! One run: the load, the faults, what follows, and what is found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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
use crate::fault::Kind;
use crate::ground::Ground;
use crate::report::{Log, Rule, Violation};
use crate::schedule::{Wanted, schedule};
use crate::stop::Stop;
use crate::watch::Watch;

/// How a run is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is tested.
    pub vaquita: PathBuf,
    /// A directory in which nothing is yet; what is left in it is the caller's.
    pub room: PathBuf,
    /// From which the faults follow, and what clients want.
    pub seed: u64,
    /// How long there are faults.
    pub time: Duration,
    /// The kinds that there may be; those that the machine cannot have are left out, and told.
    pub kinds: Vec<Kind>,
    /// Hosts with an agent and a data node, beside the controller's.
    pub hosts: usize,
    /// Clients at once.
    pub clients: u64,
    /// How long all may take to be well again.
    pub heal: Duration,
    /// Whether what is of no use is waited for until it has to be gone.
    pub graces: bool,
    /// Where what is said is written to as well.
    pub report: Option<PathBuf>,
    /// Harm that has to be found.
    pub plant: Option<Plant>,
}

/// Harm that no cluster survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// All replicas of one file are overwritten on the disks.
    DestroyAFile,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be.
    pub violations: Vec<Violation>,
    /// Operations of clients.
    pub operations: u64,
    /// Faults by kind.
    pub struck: BTreeMap<Kind, u64>,
    /// Files whose histories were checked.
    pub histories: usize,
}

/// Ten minutes in which the trash and open writes are kept, and time to look through everything twice.
const GRACES: Duration = Duration::from_secs(13 * 60);

/// Runs it.
///
/// # Errors
/// If it does not come to a verdict: the cluster does not start, or somebody has it stop.
pub fn run(options: &Options, stop: &Stop) -> Result<Outcome, String> {
    let log = Arc::new(Log::new(options.report.as_deref())?);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(Run { options, log, stop }.whole());
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

struct Run<'a> {
    options: &'a Options,
    log: Arc<Log>,
    stop: &'a Stop,
}

impl Run<'_> {
    async fn whole(&self) -> Result<Outcome, String> {
        let ground = Ground::look(&self.options.room, self.options.hosts + 1);
        let kinds = self.kinds(&ground);
        let wanted = Wanted {
            seed: self.options.seed,
            time: self.options.time,
            kinds: kinds.clone(),
            hosts: self.options.hosts,
        };
        let strikes = schedule(&wanted);
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
        let mut api = Api::of(cluster.deployment.controller());
        end::begin(&cluster, &mut api).await?;
        self.log.say("all members are online");

        let entries = cluster.deployment.entries();
        let load = Arc::new(Load::new(
            self.options.seed,
            entries.clone(),
            self.log.begun(),
        ));
        let over = Arc::new(AtomicBool::new(false));
        let watch = {
            let (log, over) = (Arc::clone(&self.log), Arc::clone(&over));
            let api = Api::of(cluster.deployment.controller());
            tokio::spawn(async move { Watch::default().look(api, &log, &over).await })
        };
        let mut clients = JoinSet::new();
        for number in 0..self.options.clients {
            let load = Arc::clone(&load);
            clients.spawn(async move { work(&load, number).await });
        }
        let controller = cluster.deployment.controller();
        let mut director = Director {
            cluster: &mut cluster,
            api: Api::of(controller),
            log: &self.log,
            struck: BTreeMap::new(),
            missed: 0,
        };
        director
            .carry_out(&strikes, self.options.time, self.stop)
            .await;
        director.look_for_ends();
        let (struck, missed) = (director.struck, director.missed);
        load.end();
        while clients.join_next().await.is_some() {}
        self.log
            .say("the faults are over, and the clients have ended");
        let healed = self.heal(&mut cluster, &mut api).await;
        if self.stop.is_wanted() {
            return Err("stopped before there was a verdict".to_owned());
        }
        let since = Instant::now();
        if self.options.graces && healed {
            self.wait_for_graces(&mut cluster, &mut api).await?;
        }
        if let Some(Plant::DestroyAFile) = self.options.plant {
            let what = end::destroy_a_file(&cluster, &mut api).await?;
            self.log.say(format_args!("planted: destroyed {what}"));
        }
        let chunks = end::placed(&mut api, &self.log).await;
        let chunks = chunks.unwrap_or_else(|why| {
            self.log.violated(Rule::Placed, why);
            0
        });
        self.log
            .say(format_args!("the controller tells of {chunks} chunks"));
        let reads = end::read_back(&load, &entries, &self.log).await;
        self.log.say(format_args!(
            "{reads} reads of files that should be there, or not: through every data node"
        ));
        over.store(true, Ordering::SeqCst);
        let watch = watch.await.map_err(|error| format!("the watch: {error}"))?;

        self.stop_all(&mut cluster, &mut api).await;
        let graces_over = self.options.graces && healed && since.elapsed() > GRACES;
        match end::look(&cluster.deployment, &self.log, graces_over) {
            Ok(remains) => self.log.say(format_args!("on the disks: {remains}")),
            Err(why) => self.log.violated(Rule::OnDisk, why),
        }
        for line in panics(&self.options.room) {
            self.log.violated(Rule::Running, line);
        }
        let checked = self.judge(&load);
        let outcome = Outcome {
            violations: self.log.violations(),
            operations: load.tallies().sum(),
            struck,
            histories: checked.searches,
        };
        self.sum_up(&outcome, missed, &load, checked, &watch, cluster.packets());
        Ok(outcome)
    }

    /// The kinds of faults that can be had; tells of the others.
    fn kinds(&self, ground: &Ground) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for kind in &self.options.kinds {
            match ground.lacks(*kind) {
                None => kinds.push(*kind),
                Some(why) => self.log.print(format_args!("no `{kind}` here: {why}")),
            }
        }
        kinds
    }

    async fn heal(&self, cluster: &mut Cluster, api: &mut Api) -> bool {
        let healed = end::heal(cluster, api, &self.log, self.options.heal, self.stop).await;
        match healed {
            Ok(took) => {
                let secs = took.as_secs_f64();
                self.log.say(format_args!(
                    "every member is online and every chunk well, {secs:.1} s later"
                ));
                true
            }
            Err(what) => {
                self.log.violated(Rule::Healed, what);
                false
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
                return Err("stopped before there was a verdict".to_owned());
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.heal(cluster, api).await;
        Ok(())
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
        let history = load.history();
        let file = self.options.room.join("history");
        if let Err(error) = fs::write(&file, history.to_string()) {
            self.log.say(format_args!("{}: {error}", file.display()));
        }
        match history.check() {
            Ok(checked) => checked,
            Err(wrongs) => {
                for wrong in wrongs {
                    self.log.violated(Rule::Linearizable, wrong.to_string());
                }
                Checked::default()
            }
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
