//! Bugs that are planted, and how soon campaigns find them.

use std::time::{Duration, Instant};

use vaquita_core::planted::Planted;

use super::act::Play;
use super::case::Case;
use super::shrink::shrink;
use crate::run::run_one;
use crate::trace::TraceMode;

/// How a planted bug was hunted.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// The bug.
    pub bug: &'static str,
    /// Seeds and real time until it was found, for each hunt in which it was.
    pub found: Vec<(u64, Duration)>,
    /// Hunts in which it was not.
    pub missed: u64,
    /// Steps of the smallest case it was shrunk to, and of the one in which it was found.
    pub steps: Option<(usize, usize)>,
    /// That case.
    pub case: Option<Case>,
    /// How it shows.
    pub shows: String,
}

impl Hunted {
    /// The median of the seeds and of the time that it took, where it was found.
    #[must_use]
    pub fn median(&self) -> Option<(u64, Duration)> {
        let mut seeds: Vec<u64> = self.found.iter().map(|(seeds, _)| *seeds).collect();
        let mut times: Vec<Duration> = self.found.iter().map(|(_, time)| *time).collect();
        seeds.sort_unstable();
        times.sort_unstable();
        Some((*seeds.get(seeds.len() / 2)?, *times.get(times.len() / 2)?))
    }
}

/// Hunts a planted bug several times, each time from another seed on and for so many at most, and makes
/// the first case in which it is found small.
///
/// Only a case that fails with the bug and ends well without it counts.
///
/// # Panics
/// If nothing is called so.
#[must_use]
pub fn hunt(bug: &'static str, hunts: u64, within: u64, shrinking: Duration) -> Hunted {
    let planted = Planted::default().with(bug).expect("it is in the list");
    let mut hunted = Hunted {
        bug,
        found: Vec::new(),
        missed: 0,
        steps: None,
        case: None,
        shows: String::new(),
    };
    for nth in 0..hunts {
        let begun = now();
        let first = nth * 1_000_000;
        let found = (first..first + within).find_map(|seed| {
            let clean = Case::drawn(seed);
            let case = Case {
                planted,
                ..clean.clone()
            };
            fails(&case)?;
            fails(&clean).is_none().then_some((seed - first + 1, case))
        });
        let Some((seeds, case)) = found else {
            hunted.missed += 1;
            continue;
        };
        hunted.found.push((seeds, now() - begun));
        if hunted.case.is_none()
            && let Some(shrunk) = shrink(&case, Some(shrinking))
        {
            hunted.steps = Some((shrunk.case.steps.len(), case.steps.len()));
            hunted.shows = shrunk.failure.what.clone();
            hunted.case = Some(shrunk.case);
        }
    }
    hunted
}

fn fails(case: &Case) -> Option<()> {
    let outcome = run_one(&Play::of(case), case.seed, TraceMode::Fingerprint);
    outcome.failure.map(|_| ())
}

#[expect(clippy::disallowed_methods, reason = "hunts are told in real time")]
fn now() -> Instant {
    Instant::now()
}
