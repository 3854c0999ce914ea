//! A simulator that cannot find a planted bug is broken: each mistake of the toys is found within a
//! stated number of seeds, by the right checker, and not without the mistake.

use std::time::Duration;

use simtests::hunt::{Found, hunt};
use simtests::plan::{Plan, minimise};
use simtests::run::Scenario;
use simtests::toys::{Bug, Everything};
use simtests::trace::TraceMode;

const fn scenario(bug: Option<Bug>) -> Everything {
    Everything {
        name: "planted",
        target: "meta",
        bug,
        span: Duration::from_secs(120),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "how soon a mistake is found is worth knowing"
)]
fn found_by(bug: Bug, seeds: u64, words: &str) {
    match hunt(&scenario(Some(bug)), &scenario(None), words, seeds) {
        Ok(Found {
            seed,
            failure,
            otherwise,
        }) => {
            // The toys fail of nothing else: each has one mistake, and one checker that sees it.
            assert_eq!(otherwise, None, "{bug:?}");
            eprintln!("{bug:?} found by seed {seed}: {failure}");
        }
        Err(what) => panic!("{bug:?}: {what}"),
    }
}

#[test]
fn an_answer_before_the_sync_is_found() {
    found_by(Bug::AnswersBeforeSync, 200, "was acknowledged and is gone");
}

#[test]
fn a_forgotten_sync_of_the_directory_is_found() {
    found_by(Bug::ForgetsDirectory, 60, "was acknowledged and is");
}

#[test]
fn trust_in_the_cache_after_a_failed_sync_is_found() {
    found_by(Bug::TrustsCache, 2_000, "was acknowledged and is");
}

#[test]
fn a_torn_tail_cut_too_far_is_found() {
    found_by(Bug::CutsTooMuch, 1_000, "was acknowledged and is gone");
}

#[test]
fn a_copy_that_counts_is_found() {
    found_by(Bug::CountsCopies, 30, "beats count once");
}

#[test]
fn a_checksum_that_nobody_looks_at_is_found() {
    found_by(Bug::IgnoresChecksum, 60, "beats count once");
}

/// A hunt is not satisfied by a failure of something else, nor by one that comes without the bug too.
#[test]
fn only_a_failure_that_the_bug_has_made_is_a_find() {
    let buggy = scenario(Some(Bug::CountsCopies));
    let other = hunt(&buggy, &scenario(None), "was acknowledged and is", 30);
    let other = other.expect_err("another failure was taken for this one");
    assert!(other.contains("beats count once"), "{other}");
    let same = hunt(&buggy, &buggy, "beats count once", 30);
    let same = same.expect_err("a failure that comes without the bug too was taken");
    assert!(same.contains("without the bug too"), "{same}");
}

#[test]
fn a_plan_that_finds_a_mistake_is_reduced_to_what_finds_it() {
    let sound = scenario(None);
    let scenario = scenario(Some(Bug::ForgetsDirectory));
    let seed = hunt(&scenario, &sound, "was acknowledged and is", 60)
        .expect("it is found")
        .seed;
    let fails = |plan: &Plan| {
        let mut world = scenario.build(seed, TraceMode::Fingerprint);
        let failure = scenario.drive_plan(&mut world, plan).err();
        failure.is_some_and(|failure| failure.what.contains("was acknowledged and is"))
    };
    let whole = scenario.plan(&scenario.build(seed, TraceMode::Fingerprint));
    let small = minimise(&whole, fails);
    assert!(fails(&small), "the small plan finds it too");
    assert!(
        small.steps().len() <= 4,
        "{} steps are left:\n{small}",
        small.steps().len()
    );
    // As text it outlives the code that made it.
    let read_back: Plan = small
        .to_string()
        .parse()
        .expect("a plan prints as it is read");
    assert_eq!(read_back, small);
}
