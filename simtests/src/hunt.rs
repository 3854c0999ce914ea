//! Hunting bugs that were planted.

use vaquita_core::planted::Planted;

use crate::run::{Scenario, run_one};
use crate::trace::TraceMode;
use crate::world::Failure;

/// A planted bug that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Under this seed.
    pub seed: u64,
    /// By this.
    pub failure: Failure,
    /// What another seed before it has failed of, if one has.
    pub otherwise: Option<(u64, Failure)>,
}

/// Looks for a planted bug under the first `within` seeds.
///
/// It is found where a run fails with `shows` among the words of its failure, and its clean twin, the
/// same story under the same seed without the bug, ends well. What fails without the bug too, or
/// fails of something else, says nothing about it.
///
/// # Errors
/// What happened instead.
///
/// # Panics
/// If `shows` is empty: any failure would do.
pub fn hunt<S: Scenario>(
    planted: &S,
    clean: &S,
    shows: &str,
    within: u64,
) -> Result<Found, String> {
    assert!(!shows.is_empty(), "a hunt has to know what it looks for");
    let name = planted.name();
    let mut otherwise = None;
    for seed in 0..within {
        let Some(failure) = run_one(planted, seed, TraceMode::Fingerprint).failure else {
            continue;
        };
        if !failure.to_string().contains(shows) {
            otherwise.get_or_insert((seed, failure));
            continue;
        }
        return match run_one(clean, seed, TraceMode::Fingerprint).failure {
            None => Ok(Found {
                seed,
                failure,
                otherwise,
            }),
            Some(same) => Err(format!(
                "{name} under seed {seed} fails without the bug too: {same}"
            )),
        };
    }
    Err(match otherwise {
        None => format!("{name} is not found within {within} seeds"),
        Some((seed, failure)) => format!(
            "{name} is not found within {within} seeds: none says `{shows}`, and seed {seed} says: \
             {failure}"
        ),
    })
}

/// A hunt plants the one bug that it is called by.
///
/// # Panics
/// If not.
pub fn assert_plants(bug: &str, plant: fn(&mut Planted)) {
    let mut planted = Planted::default();
    plant(&mut planted);
    let planted = format!("{planted:?}");
    assert_eq!(planted.matches(": true").count(), 1, "{planted}");
    let named = planted.contains(&format!(" {bug}: true"));
    assert!(named, "{bug}: {planted}");
}
