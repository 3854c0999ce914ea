//! Many cases, over all processors.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vaquita_core::planted::Planted;

use super::act::Play;
use super::case::{Case, What};
use super::shrink::kind_of;
use super::states::States;
use crate::run::run_one;
use crate::time::SimTime;
use crate::trace::TraceMode;
use crate::world::Failure;

/// What a campaign plays.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seeds, as far as there is time.
    pub seeds: Range<u64>,
    /// How long further runs are begun, by a real clock.
    pub budget: Option<Duration>,
    /// Runs at a time.
    pub jobs: usize,
    /// Bugs planted in each.
    pub planted: Planted,
    /// Whether to end at the first failure.
    pub first_only: bool,
}

/// A failure and those like it.
#[derive(Clone, Debug)]
pub struct Failing {
    /// The smallest seed that fails so.
    pub seed: u64,
    /// How it failed.
    pub failure: Failure,
    /// How many runs failed so.
    pub runs: u64,
    /// The smallest seeds after that one: what fails alike may have another cause.
    pub others: BTreeSet<u64>,
}

/// Seeds of a kind of failure that are remembered, beside the smallest.
const OTHERS_MAX: usize = 9;

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Campaign {
    /// Runs that came to an end.
    pub runs: u64,
    /// Events in all of them.
    pub steps: u64,
    /// Simulated time in all of them.
    pub simulated: Duration,
    /// Real time.
    pub took: Duration,
    /// How often each kind of notice was given, and what else was counted.
    pub marks: BTreeMap<&'static str, u64>,
    /// Steps of plans by their kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Different states by the number of runs after which there were so many, a row for each doubling.
    pub states: Vec<(u64, usize)>,
    /// Failures by their kind.
    pub failures: BTreeMap<String, Failing>,
}

/// How often it is told how far a campaign is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Plays cases; `tell` is told now and then how far it is.
pub fn campaign(plan: &Plan, tell: impl Fn(&Campaign) + Sync) -> Campaign {
    let begun = now();
    let until = plan.budget.map(|budget| begun + budget);
    let next = AtomicU64::new(plan.seeds.start);
    let states = States::default();
    let done = Mutex::new((Campaign::default(), begun));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= plan.seeds.end || until.is_some_and(|until| now() >= until) {
                return;
            }
            let stop = |done: &Campaign| plan.first_only && !done.failures.is_empty();
            if stop(&done.lock().unwrap_or_else(PoisonError::into_inner).0) {
                return;
            }
            let mut case = Case::drawn(seed);
            case.planted = plan.planted;
            let play = Play {
                states: Some(&states),
                ..Play::of(&case)
            };
            let outcome = run_one(&play, seed, TraceMode::Fingerprint);
            let mut guard = done.lock().unwrap_or_else(PoisonError::into_inner);
            let (sum, told) = &mut *guard;
            sum.runs += 1;
            sum.steps += outcome.steps;
            sum.simulated += outcome.ended_at.since(SimTime::ZERO);
            sum.took = now() - begun;
            for (mark, count) in outcome.marks {
                *sum.marks.entry(mark).or_default() += count;
            }
            for happening in &case.steps {
                if let What::Step(step) = &happening.what {
                    *sum.faults.entry(step.verb()).or_default() += 1;
                }
            }
            if sum.runs.is_power_of_two() {
                sum.states.push((sum.runs, states.len()));
            }
            if let Some(failure) = outcome.failure {
                note(&mut sum.failures, seed, failure);
            }
            if told.elapsed() >= TELL_EVERY {
                *told = now();
                tell(sum);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..plan.jobs {
            scope.spawn(work);
        }
        work();
    });
    let (mut sum, _) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.took = now() - begun;
    if sum.states.last().is_none_or(|(runs, _)| *runs != sum.runs) {
        sum.states.push((sum.runs, states.len()));
    }
    sum
}

fn note(failures: &mut BTreeMap<String, Failing>, seed: u64, failure: Failure) {
    let kind = kind_of(&failure);
    let known = failures.entry(kind).or_insert_with(|| Failing {
        seed,
        failure: failure.clone(),
        runs: 0,
        others: BTreeSet::new(),
    });
    known.runs += 1;
    known.others.insert(seed.max(known.seed));
    if seed < known.seed {
        known.seed = seed;
        known.failure = failure;
    }
    known.others.remove(&known.seed);
    if known.others.len() > OTHERS_MAX {
        known.others.pop_last();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign is limited by real time"
)]
fn now() -> Instant {
    Instant::now()
}
