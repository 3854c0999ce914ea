//! The nemesis as a command.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "whoever runs it is to see"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use vaquita_nemesis::ground::{Guard, alone, on_signals};
use vaquita_nemesis::{Kind, NoVerdict, Options, Plant, Stop, Wanted, run, schedule};

/// Let faults come over a cluster of real processes, and see whether it keeps what it promises
#[derive(Clone, Debug, Parser)]
struct Words {
    /// How long there are faults
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: u64,
    /// From which the faults follow [default: drawn, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Kinds of faults, with commas between them [default: all that the machine can have]
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Kind>,
    /// Print the schedule, and do nothing
    #[arg(long)]
    plan: bool,
    /// Hosts with an agent and a data node, beside the controller's
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=20))]
    hosts: u8,
    /// Clients at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=48))]
    clients: u64,
    /// Seconds within which all has to be well again
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    heal: u64,
    /// Wait for another thirteen minutes at the end, and see that nothing is left beside the files
    #[arg(long)]
    graces: bool,
    /// Stay in this machine's network and mounts: loopback addresses, no faults of links and disks
    #[arg(long)]
    loopback: bool,
    /// Write what is printed to a file as well
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where everything is written; kept if there is anything but a good end [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep what was written in any case
    #[arg(long)]
    keep: bool,
    /// The program [default: the one beside this one]
    #[arg(long, value_name = "FILE")]
    vaquita: Option<PathBuf>,
    /// Do harm that has to be found, to see that it is
    #[arg(long, value_name = "WHAT")]
    plant: Option<Harm>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Harm {
    /// Overwrite all replicas of one file
    DestroyAFile,
}

fn main() -> ExitCode {
    alone::attend();
    let words = Words::parse();
    match told(&words) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn told(words: &Words) -> Result<ExitCode, String> {
    let seed = words.seed.unwrap_or_else(drawn);
    let kinds = match words.faults.as_slice() {
        [] => Kind::ALL.to_vec(),
        some => some.to_vec(),
    };
    let time = Duration::from_secs(words.seconds);
    if words.plan {
        let hosts = usize::from(words.hosts);
        let wanted = Wanted {
            seed,
            time,
            kinds,
            hosts,
        };
        for strike in schedule(&wanted) {
            println!("{strike}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !words.loopback && !alone::is_alone() {
        let mut again: Vec<OsString> = std::env::args_os().skip(1).collect();
        if words.seed.is_none() {
            again.extend(["--seed".into(), seed.to_string().into()]);
        }
        match alone::again(again) {
            // Becomes it, unless that fails.
            Ok(mut command) => return Err(format!("unshare: {}", command.exec())),
            Err(why) => eprintln!(
                "this machine gives no namespaces ({why}): links and disks are not struck; run it as root, or \
                 with --loopback if that is meant"
            ),
        }
    }
    let stop = stop_by_signals()?;
    let base = words.dir.clone().unwrap_or_else(std::env::temp_dir);
    let base = base
        .canonicalize()
        .map_err(|error| format!("{}: {error}", base.display()))?;
    let room = tempfile::Builder::new()
        .prefix("vaquita-nemesis-")
        .tempdir_in(&base)
        .map_err(|error| format!("{}: {error}", base.display()))?;
    let options = Options {
        vaquita: program(words)?,
        room: room.path().to_owned(),
        seed,
        time,
        kinds,
        hosts: usize::from(words.hosts),
        clients: words.clients,
        heal: Duration::from_secs(words.heal),
        graces: words.graces,
        report: words.report.clone(),
        plant: words.plant.map(|Harm::DestroyAFile| Plant::DestroyAFile),
    };
    let guard = if alone::has_own_processes() {
        None
    } else {
        Some(Guard::start(Some(room.path()))?)
    };
    let outcome = run(&options, &stop);
    if let Some(guard) = guard {
        guard.ended();
    }
    let is_idle = outcome
        .as_ref()
        .is_ok_and(|it| it.puts == 0 || it.gets == 0);
    if is_idle {
        println!("no put, or no get, was acknowledged: that nothing was violated says nothing");
    }
    let is_good = outcome.as_ref().is_ok_and(|it| it.violations.is_empty()) && !is_idle;
    // Who ends it by hand has seen what there is to be seen.
    let is_stopped = outcome.as_ref().is_err_and(|it| *it == NoVerdict::Stopped);
    if words.keep || !(is_good || is_stopped) {
        let kept = room.keep();
        println!("everything is kept in {}", kept.display());
    }
    outcome.map_err(|it| it.to_string())?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A seed that nobody has chosen.
fn drawn() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |it| it.as_secs()) % 1_000_000
}

/// The program that was named, or the one beside this one.
fn program(words: &Words) -> Result<PathBuf, String> {
    if let Some(path) = &words.vaquita {
        return path
            .canonicalize()
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    let own = std::env::current_exe()
        .map_err(|error| format!("the path of this program is not known: {error}"))?;
    let beside = own.with_file_name("vaquita");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(format!(
        "there is no {}: build it with `cargo build --release`, or name another with --vaquita",
        beside.display()
    ))
}

/// Ctrl-C, and what else asks a program to end, has everything put right first.
fn stop_by_signals() -> Result<Stop, String> {
    let stop = Stop::default();
    let theirs = stop.clone();
    on_signals(move |_| theirs.stop())?;
    Ok(stop)
}
