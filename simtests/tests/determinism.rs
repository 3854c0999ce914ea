//! A run is a function of its seed: in one process, in another, with every fault there is.

use std::process::Command;
use std::time::Duration;

use simtests::plan::Step;
use simtests::run::{Scenario, run_one};
use simtests::toys::{Bug, Everything};
use simtests::trace::{TraceHash, TraceMode, first_difference};
use simtests::vaquita::files::{Clients, Expected, Order};
use simtests::vaquita::{Cluster, VaquitaFactory, VaquitaWorld, bring_online};
use simtests::world::Failure;

const SEEDS: u64 = 20;
const CHILD: &str = "VAQUITA_DETERMINISM_CHILD";

const fn scenario(bug: Option<Bug>) -> Everything {
    Everything {
        name: "everything",
        target: "determinism",
        bug,
        span: Duration::from_secs(60),
    }
}

/// The fingerprint of a run, which ends well if nothing is wrong with its toys: two that end early for
/// the same reason are alike too, and there is little in them to compare.
fn hash(bug: Option<Bug>, seed: u64) -> TraceHash {
    let outcome = run_one(&scenario(bug), seed, TraceMode::Fingerprint);
    assert!(bug.is_some() || outcome.failure.is_none(), "{outcome:?}");
    outcome.hash
}

/// Where two runs of a seed part, as lines of their traces.
fn explain(seed: u64) -> String {
    let [one, two] = [(); 2].map(|()| run_one(&scenario(None), seed, TraceMode::All).lines);
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
        let (one, two) = (hash(None, seed), hash(None, seed));
        assert!(
            one.count > 1_000,
            "seed {seed} gave {one}: too little happened to compare"
        );
        assert_eq!(one, two, "seed {seed} gave two runs:\n{}", explain(seed));
    }
}

#[test]
fn a_seed_gives_the_same_run_in_another_process() {
    let output = child("prints_its_hashes");
    let theirs: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("hash "))
        .collect();
    let ours: Vec<String> = (0..SEEDS)
        .map(|seed| format!("{seed} {}", hash(None, seed)))
        .collect();
    assert_eq!(
        ours, theirs,
        "a process with other addresses and hash keys runs otherwise"
    );
}

#[test]
fn keeping_lines_does_not_change_the_run() {
    for seed in 0..3 {
        let traced = run_one(&scenario(None), seed, TraceMode::All);
        assert_eq!(traced.hash, hash(None, seed));
        assert!(traced.lines.len() > 1_000);
    }
}

#[test]
fn different_seeds_give_different_runs() {
    let mut hashes: Vec<TraceHash> = (0..SEEDS).map(|seed| hash(None, seed)).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), usize::try_from(SEEDS).unwrap());
}

#[test]
fn a_machine_that_depends_on_hash_order_is_found_within_two_seeds() {
    let bug = Some(Bug::DependsOnHashOrder);
    let differs = (0..2).any(|seed| hash(bug, seed) != hash(bug, seed));
    assert!(differs, "iteration over a hash table did not show");
}

#[test]
fn a_machine_that_depends_on_an_address_is_found_in_another_process() {
    // Several children: one may be given the same addresses by chance.
    let ours = hash(Some(Bug::DependsOnAddress), 0).to_string();
    let differs = (0..4).any(|_| {
        let output = child("prints_a_hash_that_depends_on_an_address");
        let theirs = output.lines().find_map(|line| line.strip_prefix("hash "));
        theirs.expect("the child prints a hash") != ours
    });
    assert!(differs, "an address that got into a run did not show");
}

/// Runs a test of this file in a process of its own and returns what it prints.
fn child(test: &str) -> String {
    let program = std::env::current_exe().expect("a test knows its own program");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("a test can run its own program");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The test harness prints on the same line before the test does.
    String::from_utf8(output.stdout)
        .expect("a test prints text")
        .replace("... hash", "...\nhash")
}

#[test]
fn prints_its_hashes() {
    if std::env::var_os(CHILD).is_some() {
        println!();
        for seed in 0..SEEDS {
            println!("hash {seed} {}", hash(None, seed));
        }
    }
}

#[test]
fn prints_a_hash_that_depends_on_an_address() {
    if std::env::var_os(CHILD).is_some() {
        println!("\nhash {}", hash(Some(Bug::DependsOnAddress), 0));
    }
}

/// A cluster with files, clients and faults.
struct Files;

impl Scenario for Files {
    type Factory = VaquitaFactory;

    fn name(&self) -> &'static str {
        "files"
    }

    fn target(&self) -> &'static str {
        "determinism"
    }

    fn build(&self, seed: u64, trace: TraceMode) -> VaquitaWorld {
        let cluster = Cluster::of(4).with_tiny_limits().with_files();
        cluster.traced(trace).build(seed)
    }

    fn drive(&self, world: &mut VaquitaWorld) -> Result<(), Failure> {
        bring_online(world)?;
        let mut clients = Clients::new(world);
        for number in 1..40_u64 {
            let path = format!("/f{}", number % 5);
            let len = usize::try_from(number * 700).unwrap_or(0);
            let expect = Expected::Anything;
            let put = Order::Put {
                path: path.clone(),
                number,
                len,
                expect,
            };
            clients.begin(world, None, put);
            clients.begin(world, None, Order::Get { path });
            clients.run_for(world, Duration::from_millis(200))?;
            match number % 10 {
                // Another host each time, the controller's among them.
                2 => world.disturb(&Step::PowerCut(format!("h{}", number / 10))),
                4 => world.disturb(&Step::HealAll),
                7 => world.disturb(&Step::Kill(format!("P{}-NODE1", 1 + number % 4))),
                _ => {}
            }
        }
        clients.finish(world)
    }
}

/// The fingerprint of a run that ends well.
fn hash_of_files(seed: u64) -> TraceHash {
    let outcome = run_one(&Files, seed, TraceMode::Fingerprint);
    assert_eq!(outcome.failure, None, "seed {seed}");
    outcome.hash
}

#[test]
fn a_seed_gives_the_same_files_twice_and_in_another_process() {
    let ours: Vec<String> = (0..FILES_SEEDS)
        .map(|seed| format!("{seed} {}", hash_of_files(seed)))
        .collect();
    for seed in 0..FILES_SEEDS {
        let again = hash_of_files(seed);
        assert!(again.count > 10_000, "too little happened to compare");
        assert_eq!(
            format!("{seed} {again}"),
            ours[usize::try_from(seed).unwrap()]
        );
    }
    let output = child("prints_the_hashes_of_files");
    let theirs: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("hash "))
        .collect();
    assert_eq!(ours, theirs, "another process runs otherwise");
}

const FILES_SEEDS: u64 = 4;

#[test]
fn prints_the_hashes_of_files() {
    if std::env::var_os(CHILD).is_some() {
        println!();
        for seed in 0..FILES_SEEDS {
            println!("hash {seed} {}", hash_of_files(seed));
        }
    }
}
