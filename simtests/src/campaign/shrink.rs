//! Making a failing case small enough to be told.

use std::time::{Duration, Instant};

use vaquita_core::planted::Planted;

use super::act::Play;
use super::case::{Case, Happening, Noise};
use crate::plan::minimise_list;
use crate::run::run_one;
use crate::trace::TraceMode;
use crate::world::Failure;

/// What kind of failure it is: its words without whatever has a number or a name in it, so that the same
/// failure of another node at another time is the same kind.
#[must_use]
pub fn kind_of(failure: &Failure) -> String {
    const WORDS: usize = 12;
    let telling = failure.what.split_whitespace().filter(|word| {
        !word
            .chars()
            .any(|it| it.is_ascii_digit() || "/{}[]()\"`_".contains(it))
    });
    let words: Vec<&str> = telling.take(WORDS).collect();
    words.join(" ")
}

/// A case that was made smaller.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest that was found.
    pub case: Case,
    /// How it fails.
    pub failure: Failure,
    /// Runs that it took.
    pub runs: u64,
}

/// Makes a failing case smaller, as long as it fails in the same way: steps are left out, then hosts and
/// whatever else the cluster has that is unusual, then noise, until nothing can be taken away, or `budget`
/// of real time is over. Returns `None` if it does not fail.
#[must_use]
pub fn shrink(case: &Case, budget: Option<Duration>) -> Option<Shrunk> {
    let mut shrinker = Shrinker {
        kind: String::new(),
        until: budget.map(|budget| now() + budget),
        runs: 0,
        failure: None,
    };
    let failure = shrinker.failure_of(case)?;
    shrinker.kind = kind_of(&failure);
    shrinker.failure = Some(failure);
    let mut case = case.clone();
    loop {
        let before = case.clone();
        case = shrinker.shorter(case);
        case = shrinker.fewer_steps(case);
        case = shrinker.without_breakage(case);
        case = shrinker.simpler_cluster(case);
        case = shrinker.calmer(case);
        case = shrinker.rounder(case);
        if case == before {
            break;
        }
    }
    Some(Shrunk {
        case,
        failure: shrinker.failure?,
        runs: shrinker.runs,
    })
}

struct Shrinker {
    kind: String,
    until: Option<Instant>,
    runs: u64,
    /// How the smallest so far fails.
    failure: Option<Failure>,
}

impl Shrinker {
    fn failure_of(&mut self, case: &Case) -> Option<Failure> {
        self.runs += 1;
        run_one(&Play::of(case), case.seed, TraceMode::Fingerprint).failure
    }

    fn fails(&mut self, case: &Case) -> bool {
        if self.until.is_some_and(|until| now() >= until) {
            return false;
        }
        let failure = self.failure_of(case);
        let same = failure.filter(|failure| kind_of(failure) == self.kind);
        // What is wrong without the planted bug too says nothing about it.
        let same = same.filter(|_| {
            let clean = Case {
                planted: Planted::default(),
                ..case.clone()
            };
            case.planted == Planted::default() || self.failure_of(&clean).is_none()
        });
        let fails = same.is_some();
        self.failure = same.or(self.failure.take());
        fails
    }

    fn fewer_steps(&mut self, case: Case) -> Case {
        let steps = minimise_list(&case.steps, |steps: &[Happening]| {
            self.fails(&case.with_steps(steps.to_vec()))
        });
        case.with_steps(steps)
    }

    fn without_breakage(&mut self, case: Case) -> Case {
        if case.broken.is_none() {
            return case;
        }
        let without = Case {
            broken: None,
            ..case.clone()
        };
        if self.fails(&without) { without } else { case }
    }

    fn simpler_cluster(&mut self, mut case: Case) -> Case {
        let mut tried = std::collections::BTreeSet::new();
        loop {
            let simpler = case.setup.simpler().into_iter().find_map(|setup| {
                let smaller = Case {
                    setup,
                    ..case.clone()
                };
                let smaller = smaller.fitting();
                let untried = tried.insert(smaller.to_string());
                (untried && self.fails(&smaller)).then_some(smaller)
            });
            match simpler {
                Some(simpler) => case = simpler,
                None => return case,
            }
        }
    }

    fn calmer(&mut self, mut case: Case) -> Case {
        for (_, noise) in Noise::ALL {
            let mut calmer = case.clone();
            if calmer.calm.insert(noise) && self.fails(&calmer) {
                case = calmer;
            }
        }
        case
    }

    /// No longer than it takes, and less than that.
    fn shorter(&mut self, case: Case) -> Case {
        let last = case.steps.iter().map(|it| it.at).max().unwrap_or_default();
        let spans = [Duration::ZERO, last + Duration::from_secs(1)];
        let shorter = spans
            .into_iter()
            .filter(|span| *span < case.span)
            .find_map(|span| {
                let shorter = Case {
                    span,
                    ..case.clone()
                };
                self.fails(&shorter).then_some(shorter)
            });
        shorter.unwrap_or(case)
    }

    /// Whole seconds are easier to tell.
    fn rounder(&mut self, mut case: Case) -> Case {
        for at in 0..case.steps.len() {
            let mut rounder = case.clone();
            let step = &mut rounder.steps[at];
            let whole = Duration::from_secs(step.at.as_secs());
            if whole != step.at {
                step.at = whole;
                let rounder = rounder.in_order();
                if self.fails(&rounder) {
                    case = rounder;
                }
            }
        }
        case
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "shrinking is limited by real time"
)]
fn now() -> Instant {
    Instant::now()
}
