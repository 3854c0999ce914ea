//! A seed of the real machines gives one run: in one process, twice, and in another, whose addresses
//! and hash keys are others.

use std::process::Command;

use simtests::run::{Outcome, run_one};
use simtests::trace::{TraceHash, TraceMode, first_difference};
use simtests::vaquita::swarm::SwarmOfFaults;

const SEEDS: u64 = 12;
const CHILD: &str = "VAQUITA_DETERMINISM_CHILD";
const SWARM: SwarmOfFaults = SwarmOfFaults {
    name: "a_swarm_of_faults",
    target: "world_determinism",
};

/// A run that ends well: two that end early for the same reason are alike too, and there is little in
/// them to compare.
fn outcome(seed: u64, trace: TraceMode) -> Outcome {
    let outcome = run_one(&SWARM, seed, trace);
    assert_eq!(outcome.failure, None, "seed {seed}");
    outcome
}

fn hash(seed: u64) -> TraceHash {
    outcome(seed, TraceMode::Fingerprint).hash
}

/// Where two runs of a seed part, as lines of their traces.
fn explain(seed: u64) -> String {
    let [one, two] = [(); 2].map(|()| outcome(seed, TraceMode::All).lines);
    first_difference(
        one.iter().map(String::as_str),
        two.iter().map(String::as_str),
    )
    .map_or_else(
        || "two further runs do not differ".to_owned(),
        |found| found.to_string(),
    )
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..SEEDS {
        let (one, two) = (hash(seed), hash(seed));
        assert!(
            one.count > 1_000,
            "seed {seed} gave {one}: too little happened to compare"
        );
        assert_eq!(one, two, "seed {seed} gave two runs:\n{}", explain(seed));
    }
}

#[test]
fn a_seed_gives_the_same_run_in_another_process() {
    let program = std::env::current_exe().expect("a test knows its own program");
    let output = Command::new(program)
        .args(["--exact", "prints_its_hashes", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("a test can run its own program");
    let printed = String::from_utf8_lossy(&output.stdout);
    let theirs: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("hash "))
        .collect();
    let ours: Vec<String> = (0..SEEDS)
        .map(|seed| format!("{seed} {}", hash(seed)))
        .collect();
    assert_eq!(
        ours, theirs,
        "a process with other addresses and hash keys runs otherwise"
    );
}

#[test]
fn keeping_lines_does_not_change_the_run() {
    let traced = outcome(0, TraceMode::All);
    assert_eq!(traced.hash, hash(0));
    assert!(traced.lines.len() > 1_000);
}

#[test]
fn different_seeds_give_different_runs() {
    let mut hashes: Vec<TraceHash> = (0..SEEDS).map(hash).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), usize::try_from(SEEDS).unwrap());
}

#[test]
fn prints_its_hashes() {
    if std::env::var_os(CHILD).is_some() {
        println!();
        for seed in 0..SEEDS {
            println!("hash {seed} {}", hash(seed));
        }
    }
}
