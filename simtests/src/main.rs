//! The program `simtests`: campaigns of simulated faults, and what to do with a run that fails.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program speaks"
)]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Parser, Subcommand};
use simtests::campaign::{
    Campaign, Case, Hunted, Plan, Play, campaign, crash_points, disks, hunt, kind_of, report,
    shrink,
};
use simtests::picture::{Head, Recorder, html, transcript};
use simtests::plan::text::parse_duration;
use simtests::run::{FailureCard, run_one};
use simtests::seeds::{commit_seed, parse_range};
use simtests::trace::TraceMode;
use vaquita_core::planted::Planted;

/// Simulated faults: many, one again, and one made small
#[derive(Debug, Parser)]
#[command(name = "simtests", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play many cases, each the function of a seed
    Campaign {
        /// For how long runs are begun, as in 60s or 8h
        #[arg(long, value_parser = parse_duration)]
        budget: Option<Duration>,
        /// Which seeds, as in 0..1000; without it from the commit's own seed on
        #[arg(long, value_parser = parse_range)]
        seeds: Option<Range<u64>>,
        /// Runs at a time [default: one a processor]
        #[arg(long)]
        jobs: Option<usize>,
        /// A bug to plant in each run, to see that it is found
        #[arg(long)]
        plant: Option<String>,
        /// End at the first failure
        #[arg(long)]
        first: bool,
        /// Where the report is written, beside the terminal, and as it goes
        #[arg(long)]
        report: Option<PathBuf>,
    },
    /// Play one case again
    Replay {
        /// Its seed, or a file with the case
        case: String,
        /// A bug to plant
        #[arg(long)]
        plant: Option<String>,
        /// Lines of the trace that are shown; `all` for every one
        #[arg(long, default_value = "200")]
        lines: String,
        /// Show the case, and do not play it
        #[arg(long)]
        show: bool,
        /// Draw the run into this file, a page that needs nothing else
        #[arg(long)]
        html: Option<PathBuf>,
        /// Tell the run into this file, in the order of time
        #[arg(long)]
        transcript: Option<PathBuf>,
    },
    /// Make a failing case small
    Shrink {
        /// Its seed, or a file with the case
        case: String,
        /// A bug to plant
        #[arg(long)]
        plant: Option<String>,
        /// How long to try
        #[arg(long, value_parser = parse_duration)]
        budget: Option<Duration>,
        /// Where the small case is written, beside the terminal
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Have the power fail, and processes killed, at each operation of each disk in a case
    CrashPoints {
        /// Its seed, or a file with the case
        case: String,
        /// Only these disks, as in `P1-NODE1/0`
        disks: Vec<String>,
        /// A bug to plant
        #[arg(long)]
        plant: Option<String>,
    },
    /// Plant each bug there is, and say how soon it is found
    Hunt {
        /// Only these
        bugs: Vec<String>,
        /// How often each is hunted, from another seed on each time
        #[arg(long, default_value_t = 3)]
        hunts: u64,
        /// Seeds that a hunt takes at most
        #[arg(long, default_value_t = 300)]
        within: u64,
        /// How long each is made smaller
        #[arg(long, value_parser = parse_duration, default_value = "20s")]
        shrinking: Duration,
        /// Bugs at a time [default: one a processor]
        #[arg(long)]
        jobs: Option<usize>,
        /// A directory for the small cases
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(what) => {
            eprintln!("simtests: {what}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Campaign {
            budget,
            seeds,
            jobs,
            plant,
            first,
            report,
        } => {
            if budget.is_none() && seeds.is_none() {
                return Err(
                    "a campaign has an end: say --budget 60s, or --seeds 0..1000".to_owned(),
                );
            }
            let plan = Plan {
                seeds: seeds.unwrap_or_else(|| commit_seed().unwrap_or(0) >> 16..u64::MAX),
                budget,
                jobs: jobs.unwrap_or_else(processors).max(1),
                planted: planted(plant.as_deref())?,
                first_only: first,
            };
            play_many(&plan, report.as_deref())
        }
        Command::Replay {
            case,
            plant,
            lines,
            show,
            html,
            transcript,
        } => {
            let file = case.parse::<u64>().is_err().then(|| case.clone());
            let case = case_of(&case, plant.as_deref())?;
            if show {
                print!("{case}");
                return Ok(ExitCode::SUCCESS);
            }
            let trace = match lines.as_str() {
                "all" => TraceMode::All,
                "0" => TraceMode::Fingerprint,
                number => TraceMode::Last(
                    number
                        .parse()
                        .map_err(|_| format!("`{number}` is no number of lines"))?,
                ),
            };
            let pictures = Pictures { html, transcript };
            replay(&case, file.as_deref(), trace, &pictures)
        }
        Command::Shrink {
            case,
            plant,
            budget,
            out,
        } => {
            let case = case_of(&case, plant.as_deref())?;
            make_small(&case, budget, out.as_deref())
        }
        Command::CrashPoints { case, disks, plant } => {
            let case = case_of(&case, plant.as_deref())?;
            crash_everywhere(&case, disks)
        }
        Command::Hunt {
            bugs,
            hunts,
            within,
            shrinking,
            jobs,
            out,
        } => {
            for bug in &bugs {
                planted(Some(bug))?;
            }
            let wanted = |bug: &&&str| bugs.is_empty() || bugs.iter().any(|it| it == **bug);
            let bugs: Vec<&'static str> = Planted::NAMES.iter().filter(wanted).copied().collect();
            let jobs = jobs.unwrap_or_else(processors).max(1);
            hunt_all(
                &bugs,
                jobs,
                |bug| hunt(bug, hunts, within, shrinking),
                out.as_deref(),
            )
        }
    }
}

fn crash_everywhere(case: &Case, mut wanted: Vec<String>) -> Result<ExitCode, String> {
    quiet_panics();
    let all = disks(case);
    if let Some(unknown) = wanted.iter().find(|it| !all.contains(it)) {
        return Err(format!(
            "there is no disk {unknown}; there are {}",
            all.join(", ")
        ));
    }
    if wanted.is_empty() {
        wanted = all;
    }
    println!(
        "{:<14} {:>10} {:>14} {:>7}",
        "disk", "operations", "interruptions", "failed"
    );
    let mut failed = 0;
    for disk in wanted {
        let points = crash_points(case, &disk)?;
        let failures = points.failures.len();
        println!(
            "{disk:<14} {:>10} {:>14} {failures:>7}",
            points.operations, points.runs
        );
        if let Some((case, failure)) = points.failures.first() {
            println!("\n{failure}\n\n{case}");
        }
        failed += failures;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Hunts bugs, several at a time; prints a row for each, and writes its small case, as soon as it is known.
fn hunt_all(
    bugs: &[&'static str],
    jobs: usize,
    hunt: impl Fn(&'static str) -> Hunted + Sync,
    out: Option<&Path>,
) -> Result<ExitCode, String> {
    quiet_panics();
    if let Some(out) = out {
        fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    println!(
        "{:<26} {:>6} {:>8} {:>8} {:>12}  shows as",
        "bug", "found", "seeds", "seconds", "steps"
    );
    let next = AtomicUsize::new(0);
    let found = AtomicUsize::new(0);
    let unwritten = Mutex::new(None);
    let work = || {
        while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let hunted = hunt(bug);
            println!("{}", row(&hunted));
            found.fetch_add(usize::from(!hunted.found.is_empty()), Ordering::Relaxed);
            if let (Some(out), Some(case)) = (out, &hunted.case) {
                let mut case = case.clone();
                case.story = vec![format!("planted: {bug}"), hunted.shows.clone()];
                let file = out.join(format!("{bug}.plan"));
                if let Err(what) = write(&file, &case.to_string()) {
                    *unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    let found = found.into_inner();
    println!("{found} of {} were found", bugs.len());
    match unwritten
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        Some(what) => Err(what),
        None if found == bugs.len() => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

fn row(hunted: &Hunted) -> String {
    let tried = hunted.found.len() as u64 + hunted.missed;
    let found = format!("{} of {tried}", hunted.found.len());
    let Some((seeds, time)) = hunted.median() else {
        return format!("{:<26} {found:>6}", hunted.bug);
    };
    let steps = hunted
        .steps
        .map_or_else(String::new, |(now, before)| format!("{now} of {before}"));
    let shows: String = hunted.shows.chars().take(90).collect();
    format!(
        "{:<26} {found:>6} {seeds:>8} {:>8.1} {steps:>12}  {shows}",
        hunted.bug,
        time.as_secs_f64()
    )
}

fn planted(plant: Option<&str>) -> Result<Planted, String> {
    let nothing = Planted::default();
    plant.map_or(Ok(nothing), |bug| {
        nothing.with(bug).map_err(|it| it.to_string())
    })
}

/// The case of a seed, or of a file.
fn case_of(text: &str, plant: Option<&str>) -> Result<Case, String> {
    let mut case = match text.parse() {
        Ok(seed) => Case::drawn(seed),
        Err(_) => {
            let read = fs::read_to_string(text);
            let read = read.map_err(|error| format!("{text}: {error}"))?;
            read.parse().map_err(|error| format!("{text}, {error}"))?
        }
    };
    if plant.is_some() {
        case.planted = planted(plant)?;
    }
    Ok(case)
}

fn play_many(plan: &Plan, file: Option<&Path>) -> Result<ExitCode, String> {
    eprintln!("from seed {} on, {} at a time", plan.seeds.start, plan.jobs);
    quiet_panics();
    let sum = campaign(plan, |sum: &Campaign| {
        eprintln!(
            "{:>6.0} s  {} runs, {} simulated h, {} failed",
            sum.took.as_secs_f64(),
            sum.runs,
            sum.simulated.as_secs() / 3600,
            sum.failures.values().map(|it| it.runs).sum::<u64>(),
        );
        // One that is ended early has told what it knows; the last report tells if it cannot be written.
        if let Some(file) = file {
            drop(write(file, &report(sum, plan.planted)));
        }
    });
    let report = report(&sum, plan.planted);
    print!("{report}");
    if let Some(file) = file {
        write(file, &report)?;
    }
    Ok(if sum.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a run is drawn and told into.
struct Pictures {
    html: Option<PathBuf>,
    transcript: Option<PathBuf>,
}

fn replay(
    case: &Case,
    file: Option<&str>,
    trace: TraceMode,
    pictures: &Pictures,
) -> Result<ExitCode, String> {
    let recorder = Recorder::default();
    let wanted = pictures.html.is_some() || pictures.transcript.is_some();
    let play = Play {
        recorder: wanted.then_some(&recorder),
        file,
        ..Play::of(case)
    };
    let outcome = run_one(&play, case.seed, trace);
    for line in &outcome.lines {
        println!("{line}");
    }
    let card = FailureCard::new(&play, case.seed, Some(outcome.hash));
    println!("\n{card}");
    println!(
        "ended     {} after {} events",
        outcome.ended_at, outcome.steps
    );
    let head = Head {
        title: case.title(),
        card: card.to_string(),
        plan: case.to_string(),
    };
    let mut recording = recorder.lock();
    recording.ended = outcome.ended_at;
    recording.failure.clone_from(&outcome.failure);
    if let Some(file) = &pictures.html {
        write(file, &html(&head, &recording))?;
    }
    if let Some(file) = &pictures.transcript {
        write(file, &transcript(&head, &recording))?;
    }
    match &outcome.failure {
        Some(failure) => {
            println!("\n{failure}");
            Ok(ExitCode::FAILURE)
        }
        None => {
            println!("\nnothing went wrong");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn make_small(
    case: &Case,
    budget: Option<Duration>,
    out: Option<&Path>,
) -> Result<ExitCode, String> {
    quiet_panics();
    let Some(mut shrunk) = shrink(case, budget) else {
        println!("nothing goes wrong with it");
        return Ok(ExitCode::FAILURE);
    };
    let before = (case.steps.len(), case.setup.get("hosts"));
    let after = (shrunk.case.steps.len(), shrunk.case.setup.get("hosts"));
    eprintln!(
        "{} steps on {} hosts are {} steps on {} hosts after {} runs; it fails so: {}",
        before.0,
        before.1,
        after.0,
        after.1,
        shrunk.runs,
        kind_of(&shrunk.failure)
    );
    if shrunk.case.story.is_empty() {
        shrunk.case.story.push(shrunk.failure.to_string());
    }
    let text = shrunk.case.to_string();
    print!("{text}");
    if let Some(out) = out {
        write(out, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A machine that panics is a failure with its words, and those of a thousand runs are not for the
/// terminal.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
