//! Running scenarios under many seeds, and saying what it takes to see a failure again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::seeds::{Budget, Seeds, commit};
use crate::time::SimTime;
use crate::trace::{TraceHash, TraceMode};
use crate::world::{Factory, Failure, World};

/// A World and what happens in it, as a function of the seed.
pub trait Scenario: Sync {
    /// What makes its machines.
    type Factory: Factory;

    /// The test's name, as `cargo test` knows it.
    fn name(&self) -> &'static str;

    /// The file under `tests/` that the test is in; `lib` if it is in the library.
    fn target(&self) -> &'static str;

    /// Makes the World.
    fn build(&self, seed: u64, trace: TraceMode) -> World<Self::Factory>;

    /// Lets it happen.
    ///
    /// # Errors
    /// If something went wrong.
    fn drive(&self, world: &mut World<Self::Factory>) -> Result<(), Failure>;

    /// The command that runs a seed again.
    fn replay(&self, seed: u64) -> String {
        let target = match self.target() {
            "lib" => "--lib".to_owned(),
            file => format!("--test {file}"),
        };
        let name = self.name();
        format!("VAQUITA_SEED={seed} cargo test -p simtests {target} {name} -- --exact --nocapture")
    }

    /// How long a run may stand still by a real clock: no event is handled in that time. A run
    /// that goes on may take as long as it takes, days of simulated time on a busy machine too.
    fn watchdog(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// How far a run has come, for the watchdog.
#[derive(Debug, Default)]
pub struct Progress {
    now: AtomicU64,
    steps: AtomicU64,
}

impl Progress {
    pub(crate) fn report(&self, now: SimTime, steps: u64) {
        self.now.store(now.as_nanos(), Ordering::Relaxed);
        self.steps.store(steps, Ordering::Relaxed);
    }
}

/// What became of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Its fingerprint.
    pub hash: TraceHash,
    /// What went wrong, if something did.
    pub failure: Option<Failure>,
    /// The lines of the trace that were kept.
    pub lines: Vec<String>,
    /// How often each kind of notice was given.
    pub marks: BTreeMap<&'static str, u64>,
    /// Simulated time at the end.
    pub ended_at: SimTime,
    /// Events handled.
    pub steps: u64,
}

/// Runs one seed.
pub fn run_one<S: Scenario>(scenario: &S, seed: u64, trace: TraceMode) -> Outcome {
    let progress = Arc::new(Progress::default());
    guarded(scenario, seed, &progress, || {
        let mut world = scenario.build(seed, trace);
        world.watch(Arc::clone(&progress));
        let driven = catch_unwind(AssertUnwindSafe(|| scenario.drive(&mut world)));
        let failure = match driven {
            Ok(Ok(())) => world.failure().cloned(),
            Ok(Err(failure)) => Some(failure),
            Err(panic) => Some(Failure {
                at: world.now(),
                node: None,
                what: format!(
                    "the scenario panicked: {}",
                    crate::world::words(panic.as_ref())
                ),
            }),
        };
        Outcome {
            seed,
            hash: world.trace_hash(),
            failure,
            lines: world.trace().lines().map(str::to_owned).collect(),
            marks: world.marks().clone(),
            ended_at: world.now(),
            steps: world.steps(),
        }
    })
}

/// Runs `work`, and ends the process if it stands still for too long: a machine that never returns
/// cannot be stopped in any other way.
fn guarded<S: Scenario, T>(
    scenario: &S,
    seed: u64,
    progress: &Progress,
    work: impl FnOnce() -> T,
) -> T {
    let (done, watched) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let limit = scenario.watchdog();
            let mut before = None;
            while watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let now = SimTime::from_nanos(progress.now.load(Ordering::Relaxed));
                let steps = progress.steps.load(Ordering::Relaxed);
                if before.replace(steps) != Some(steps) {
                    continue;
                }
                let card = FailureCard::new(scenario, seed, None);
                say(&format!(
                    "{card}\nthe run has stood still for {} s of real time; it is at {now} after \
                     {steps} steps",
                    limit.as_secs()
                ));
                std::process::exit(101);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// The five lines by which a failure can be seen again.
#[derive(Clone, Debug)]
pub struct FailureCard {
    seed: u64,
    scenario: &'static str,
    replay: String,
    hash: Option<TraceHash>,
}

impl FailureCard {
    /// The card of a run, with its fingerprint if it has come to an end.
    pub fn new<S: Scenario>(scenario: &S, seed: u64, hash: Option<TraceHash>) -> Self {
        Self {
            seed,
            scenario: scenario.name(),
            replay: scenario.replay(seed),
            hash,
        }
    }
}

impl std::fmt::Display for FailureCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed      {}", self.seed)?;
        writeln!(f, "commit    {}", commit())?;
        writeln!(f, "scenario  {}", self.scenario)?;
        match self.hash {
            Some(hash) => writeln!(f, "trace     {hash}")?,
            None => writeln!(f, "trace     not finished")?,
        }
        write!(f, "replay    {}", self.replay)
    }
}

/// What became of all runs of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many there were.
    pub runs: u64,
    /// Events in all of them.
    pub steps: u64,
    /// Simulated time in all of them.
    pub simulated: Duration,
    /// How often each kind of notice was given. One that is never given says that the scenarios
    /// have lost their teeth.
    pub marks: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// How often something was counted in all runs.
    #[must_use]
    pub fn count(&self, mark: &str) -> u64 {
        self.marks.get(mark).copied().unwrap_or(0)
    }

    /// Tells whoever runs the tests how much was simulated, and what was seen.
    pub fn say(&self) {
        let seconds = self.simulated.as_secs();
        say(&format!("{} runs, {seconds} simulated s", self.runs));
        for (mark, count) in &self.marks {
            say(&format!("{count:>8}  {mark}"));
        }
    }
}

/// How many lines of the trace follow the report of a failure.
const LINES: usize = 200;

/// Runs a scenario under the seeds that the environment asks for, else under the first `default`
/// ones and one that follows from the commit.
///
/// | variable | meaning |
/// |---|---|
/// | `VAQUITA_SEED=n` | this seed alone; with `VAQUITA_TRACE=all` every line is printed |
/// | `VAQUITA_SEEDS=a..b` | these seeds, over all processors |
/// | `VAQUITA_BUDGET=60s` | as many seeds as fit into this time, over all processors |
///
/// # Panics
/// With the five lines of the first failure, if there is one.
pub fn check<S: Scenario>(scenario: &S, default: u64) -> Summary {
    let seeds = match Seeds::from_environment(default) {
        Ok(seeds) => seeds,
        Err(what) => panic!("{what}"),
    };
    say(&format!("{}: {seeds}", scenario.name()));
    let summary = Mutex::new(Summary::default());
    let failed = Mutex::new(None);
    let budget = seeds.budget();
    let next = AtomicU64::new(0);
    let work = || worker(scenario, &seeds, &budget, &next, &summary, &failed);
    std::thread::scope(|scope| {
        for _ in 1..seeds.threads() {
            scope.spawn(work);
        }
        work();
    });
    if let Some(seed) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        panic!("{}", report(scenario, seed));
    }
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn worker<S: Scenario>(
    scenario: &S,
    seeds: &Seeds,
    budget: &Budget,
    next: &AtomicU64,
    summary: &Mutex<Summary>,
    failed: &Mutex<Option<u64>>,
) {
    let trace = if seeds.traced() {
        TraceMode::All
    } else {
        TraceMode::Fingerprint
    };
    loop {
        let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed), budget) else {
            return;
        };
        if failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
        {
            return;
        }
        let outcome = run_one(scenario, seed, trace);
        for line in outcome.lines.iter().filter(|_| seeds.traced()) {
            say(line);
        }
        if outcome.failure.is_some() {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            let first: &mut Option<u64> = &mut failed;
            *first = Some(first.map_or(seed, |other| other.min(seed)));
            return;
        }
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.runs += 1;
        summary.steps += outcome.steps;
        summary.simulated += outcome.ended_at.since(SimTime::ZERO);
        for (mark, count) in outcome.marks {
            *summary.marks.entry(mark).or_default() += count;
        }
    }
}

/// Runs a failing seed again with its trace kept, and says everything that is known.
pub fn report<S: Scenario>(scenario: &S, seed: u64) -> String {
    let outcome = run_one(scenario, seed, TraceMode::Last(LINES));
    let card = FailureCard::new(scenario, seed, Some(outcome.hash));
    let what = match &outcome.failure {
        Some(failure) => failure.to_string(),
        None => "the run failed before and does not fail again: it is not a function of its seed"
            .to_owned(),
    };
    let lines = outcome.lines.join("\n");
    format!(
        "{card}\n\n{what}\n\nthe last {} lines:\n{lines}\n",
        outcome.lines.len()
    )
}

#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests is to see seeds and failures"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests;
