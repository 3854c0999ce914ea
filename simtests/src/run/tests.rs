use super::*;
use crate::toys::{Bug, Everything, ToyFactory};

const fn everything(bug: Option<Bug>) -> Everything {
    Everything {
        name: "run::tests::it",
        target: "lib",
        bug,
        span: Duration::from_secs(30),
    }
}

#[test]
fn a_report_says_what_it_takes_to_see_the_failure_again() {
    let scenario = everything(Some(Bug::IgnoresChecksum));
    let failing = (0..100).find(|seed| {
        run_one(&scenario, *seed, TraceMode::Fingerprint)
            .failure
            .is_some()
    });
    let seed = failing.expect("one of 100 seeds finds the planted bug");
    let text = report(&scenario, seed);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("seed      {seed}"));
    assert!(lines[1].starts_with("commit    "), "{text}");
    assert_eq!(lines[2], "scenario  run::tests::it");
    assert!(
        lines[3].starts_with("trace     ") && lines[3].contains('-'),
        "{text}"
    );
    assert_eq!(
        lines[4],
        format!(
            "replay    VAQUITA_SEED={seed} cargo test -p simtests --lib run::tests::it -- --exact \
             --nocapture"
        )
    );
    assert!(text.contains("beats count once"), "{text}");
    assert!(text.contains("the last 200 lines:"), "{text}");
}

struct Breaks;

impl Scenario for Breaks {
    type Factory = ToyFactory;

    fn name(&self) -> &'static str {
        "breaks"
    }

    fn target(&self) -> &'static str {
        "lib"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> World<ToyFactory> {
        everything(None).build(seed, trace)
    }

    fn drive(&self, world: &mut World<ToyFactory>) -> Result<(), Failure> {
        world.run_for(Duration::from_secs(1))?;
        assert_eq!(world.seed(), 99, "the scenario has a mistake of its own");
        Ok(())
    }
}

#[test]
fn a_scenario_that_panics_is_a_failure_with_its_words() {
    assert_eq!(run_one(&Breaks, 99, TraceMode::Fingerprint).failure, None);
    let failure = run_one(&Breaks, 1, TraceMode::Fingerprint).failure.unwrap();
    assert!(failure.what.contains("a mistake of its own"), "{failure}");
    assert_eq!(failure.at, SimTime::from_secs(1));
}

#[test]
fn runs_are_summed_up() {
    let seeds = Seeds::Range(0..4);
    let (summary, failed) = (Mutex::new(Summary::default()), Mutex::new(None));
    let next = AtomicU64::new(0);
    worker(
        &everything(None),
        &seeds,
        &seeds.budget(),
        &next,
        &summary,
        &failed,
    );
    let summary = summary.into_inner().unwrap();
    assert_eq!((summary.runs, failed.into_inner().unwrap()), (4, None));
    assert!(summary.steps > 10_000 && summary.simulated > Duration::from_secs(120));
}
