//! The nemesis, for as long as a gate can wait: faults of processes, and of links and disks where the machine lets a
//! test have its own. A longer one is run by command (`docs/nemesis.md`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use vaquita_nemesis::ground::alone;
use vaquita_nemesis::{Kind, Options, Outcome, Plant, Rule, Stop, run};

use crate::rig::skip;

fn options(room: &Path, seed: u64, seconds: u64) -> Options {
    let links = Kind::NETWORK.into_iter();
    let kinds = links
        .chain(Kind::PLAIN)
        .chain([Kind::Fill, Kind::Unmount, Kind::ReadOnly]);
    Options {
        vaquita: PathBuf::from(env!("CARGO_BIN_EXE_vaquita")),
        room: room.to_owned(),
        seed,
        time: Duration::from_secs(seconds),
        kinds: kinds.collect(),
        hosts: 4,
        clients: 4,
        heal: Duration::from_secs(120),
        graces: false,
        report: None,
        plant: None,
    }
}

/// Runs a test of this program once more, with a network and mounts of its own, where the machine lets it; else
/// here.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "whoever runs the tests is to know what was left out"
)]
fn alone_if_possible(name: &str, test: fn()) {
    alone::attend();
    if alone::is_alone() {
        return test();
    }
    let words = ["--exact", name, "--nocapture"];
    let mut command = match alone::again(words) {
        Ok(command) => command,
        Err(why) => {
            let why = format!("this machine lets a test have no networks of its own: {why}");
            skip("networks", &why);
            return test();
        }
    };
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{complaint}");
    // A name that no test has would pass for a good end.
    assert!(said.contains("1 passed"), "{said}\n{complaint}");
    // Among it what was left out.
    print!("{said}");
    eprint!("{complaint}");
}

/// Says what this machine could not have done to a cluster.
fn tell_what_was_left_out(outcome: &Outcome) {
    let why = |kinds: &[Kind]| {
        let left_out = outcome
            .left_out
            .iter()
            .find(|(kind, _)| kinds.contains(kind));
        left_out.map(|(kind, why)| format!("no `{kind}`: {why}"))
    };
    if let Some(why) = why(&Kind::NETWORK) {
        skip("tun-interfaces", &why);
    }
    if let Some(why) = why(&[Kind::Fill, Kind::Unmount]) {
        skip("mounts", &why);
    } else if let Some(why) = why(&[Kind::ReadOnly]) {
        // They take an administrator's rights, which a gate may not have.
        skip("loop devices", &why);
    }
}

/// Runs it; what it leaves is kept if it has found what it should not.
fn carry_out(seed: u64, seconds: u64, plant: Option<Plant>, is_good: fn(&Outcome) -> bool) {
    let room = tempfile::tempdir().unwrap();
    let mut options = options(room.path(), seed, seconds);
    options.plant = plant;
    let outcome = run(&options, &Stop::default());
    if !outcome.as_ref().is_ok_and(is_good) {
        let kept = room.keep();
        panic!("seed {seed}, kept in {}: {outcome:?}", kept.display());
    }
    tell_what_was_left_out(&outcome.unwrap());
}

/// A number that is new with every commit, and the same for all who test it.
fn seed_of_the_commit() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "which commit this is")]
    let ran = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let commit = ran.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let digits = commit.ok().and_then(|it| it.get(..8).map(str::to_owned));
    let number = digits.and_then(|it| u64::from_str_radix(&it, 16).ok());
    number.unwrap_or(1)
}

#[test]
fn a_nemesis_of_half_a_minute_finds_nothing_wrong() {
    const NAME: &str = "nemesis::a_nemesis_of_half_a_minute_finds_nothing_wrong";
    alone_if_possible(NAME, || {
        carry_out(seed_of_the_commit(), 20, None, |outcome| {
            let was_idle = outcome.puts == 0 || outcome.gets == 0 || outcome.struck.is_empty();
            outcome.violations.is_empty() && !was_idle && outcome.histories > 0
        });
    });
}

/// The same with a seed that is always the same; and then all replicas of a file are destroyed on the disks.
#[test]
fn a_nemesis_misses_a_file_that_was_destroyed_on_the_disks() {
    const NAME: &str = "nemesis::a_nemesis_misses_a_file_that_was_destroyed_on_the_disks";
    alone_if_possible(NAME, || {
        carry_out(7, 10, Some(Plant::DestroyAFile), |outcome| {
            let mut rules: Vec<Rule> = outcome.violations.iter().map(|it| it.rule).collect();
            rules.sort_unstable();
            rules.dedup();
            rules == [Rule::ReadBack, Rule::OnDisk] && outcome.puts > 0
        });
    });
}
