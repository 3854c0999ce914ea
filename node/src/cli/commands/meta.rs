//! `vaquita meta`: the metadata log of a controller.

mod backup;
mod rebuild;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use vaquita_core::controller::{HomeRepairRefusal, HomeReport, inspect_home, plan_home_repair};
use vaquita_core::disk::{DiskBatch, FileName, Lane};
use vaquita_core::ids::{DiskTicket, LineageId, LogIndex};
use vaquita_core::metalog;

use crate::cli::client::block_on;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::shell;
use crate::cli::terminal::Terminal;
use crate::env::{Disk as _, Env as _, OpenDiskError};
use crate::os_env::{OsDisk, OsEnv};

/// Back up a controller's metadata log, repair one that is damaged, rebuild one that is lost
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita meta backup --home /vaquita/controller --to /backup/vaquita-log
  vaquita meta rebuild --home /vaquita/controller --config controller.cfg
  vaquita meta repair --home /vaquita/controller
  vaquita meta repair --home /vaquita/controller --truncate-at 4711 --i-accept-loss")]
pub(in crate::cli) struct Meta {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Say what is wrong with a log, or give up its end so that a controller takes it again
    ///
    /// Without further flags nothing is changed. A log is damaged when records that were promised
    /// cannot be read any more; first look for a copy of its files. Where there is none,
    /// --truncate-at gives up every record behind the one named. What is taken out of the log is
    /// kept beside it, and the log goes on under a new lineage, by which nodes that were told of
    /// the lost records find out.
    Repair {
        /// The controller's home, as in its `-home`, or the directory in it that the log is in
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Give up every record behind this one
        #[arg(long, value_name = "INDEX", requires = "i_accept_loss")]
        truncate_at: Option<u64>,
        /// Yes, the records behind it are lost
        #[arg(long, requires = "truncate_at")]
        i_accept_loss: bool,
    },
    /// Copy the log of a controller, which may run meanwhile
    ///
    /// The copy is read back before it counts. It is a home of its own: to restore it, stop the
    /// controller and put it in the place of the directory that the log is in. A copy that is older than
    /// what the nodes have seen is followed by no node; `vaquita meta rebuild` brings it up to date from
    /// what they have.
    Backup {
        /// The controller's home, as in its `-home`, or the directory in it that the log is in
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// A directory that does not exist yet, or is empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make a home that is lost, or old, anew from what the nodes keep of its log
    ///
    /// Run it on the controller's host, with the files that the controller is started with and no
    /// controller running; data nodes and agents must run. Without --write nothing is changed: it says
    /// what there is and what would be done.
    Rebuild(rebuild::Rebuild),
}

impl Meta {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let (home, truncate_at) = match self.action {
            Action::Repair {
                home, truncate_at, ..
            } => (home, truncate_at),
            Action::Backup { home, to } => {
                return backup::run(directory_of_log(home)?, &to, terminal);
            }
            Action::Rebuild(rebuild) => return rebuild.run(terminal),
        };
        let home = directory_of_log(home)?;
        block_on(async {
            let disk = open(&home).await?;
            let files = read(&disk, &home).await?;
            match truncate_at {
                None => report(&inspect_home(&files).map_err(refused)?, &home, terminal),
                Some(upto) => repair(&disk, &files, LogIndex(upto), terminal).await,
            }
        })
    }
}

/// The directory that the log is in: the one named, or, below the home that a controller is started
/// with, the one of its alias.
fn directory_of_log(home: PathBuf) -> Result<PathBuf, Failure> {
    if !home.is_dir() {
        let text = format!("there is no directory {}", home.display());
        return Err(Failure::new(Status::No, text));
    }
    if has_log(&home) {
        return Ok(home);
    }
    let below = std::fs::read_dir(&home).map_err(|error| {
        let text = format!("cannot read {}: {error}", home.display());
        Failure::new(Status::Unavailable, text)
    })?;
    let mut found: Vec<PathBuf> = below
        .filter_map(|entry| Some(entry.ok()?.path().join("meta")))
        .filter(|path| has_log(path))
        .collect();
    found.sort();
    match <[PathBuf; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(found) if found.is_empty() => {
            let text = format!(
                "there is no controller's log in {home}, nor in {home}/ALIAS/meta",
                home = home.display()
            );
            Err(Failure::new(Status::No, text))
        }
        Err(found) => {
            let names: Vec<String> = found
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let text = format!("name one of them with --home: {}", names.join(", "));
            Err(Failure::new(Status::No, text))
        }
    }
}

fn has_log(directory: &Path) -> bool {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files
        .filter_map(|entry| FileName::new(&entry.file_name().to_string_lossy()))
        .any(|name| {
            metalog::belongs_to_log(&name) || matches!(name.as_str(), "cluster.id" | "repair.id")
        })
}

/// Opens and locks the home.
async fn open(home: &Path) -> Result<OsDisk, Failure> {
    environment()?.open_disk(home).await.map_err(|error| {
        let status = match error {
            OpenDiskError::InUse { .. } => Status::Exists,
            OpenDiskError::Refused { .. } => Status::Unavailable,
        };
        Failure::new(status, error.to_string())
    })
}

fn environment() -> Result<OsEnv, Failure> {
    OsEnv::new().map_err(|error| Failure::new(Status::Unavailable, error.to_string()))
}

/// The files that a repair has to do with.
async fn read(disk: &OsDisk, home: &Path) -> Result<BTreeMap<FileName, Vec<u8>>, Failure> {
    let unreadable = |what: &str, error: std::io::Error| {
        let text = format!(
            "cannot read {what} in {}: {error}; nothing was changed",
            home.display()
        );
        Failure::new(Status::Disk, text)
    };
    let listing = (disk.list().await).map_err(|error| unreadable("the list of files", error))?;
    let wanted = |name: &FileName| metalog::belongs_to_log(name) || name.as_str().ends_with(".id");
    let mut files = BTreeMap::new();
    for name in listing.files.into_keys().filter(wanted) {
        let bytes = (disk.read(&name).await).map_err(|error| unreadable(name.as_str(), error))?;
        files.insert(name, bytes);
    }
    Ok(files)
}

fn refused(refusal: HomeRepairRefusal) -> Failure {
    let status = match refusal {
        HomeRepairRefusal::DamagedIdentity(_) => Status::Damaged,
        _ => Status::No,
    };
    Failure::new(status, refusal.to_string())
}

/// Says what there is. Damage is no success: a script has to notice.
fn report(report: &HomeReport, home: &Path, terminal: &mut Terminal) -> Outcome {
    terminal.say(format!(
        "cluster {}, lineage {}",
        report.cluster, report.lineage
    ))?;
    for (file, bytes) in &report.files {
        terminal.say(format!("  {file}  {bytes} bytes"))?;
    }
    if report.unfinished {
        terminal.say("a repair of this home was begun and not finished: run it again")?;
    }
    let refusal = match &report.verdict {
        Ok(last) if !report.unfinished => {
            return Ok(terminal.say(format!("in order; the last record is {last}"))?);
        }
        Ok(last) => format!("the log ends with record {last}"),
        Err(refusal) => refusal.to_string(),
    };
    let HomeReport {
        last_good, durable, ..
    } = report;
    terminal.say(format!("last good record: {last_good}"))?;
    if durable > last_good {
        terminal.say(format!(
            "known to have been durable: records up to {durable} at least; a repair would lose those \
             behind {last_good}, and those that came later"
        ))?;
    }
    if !report.would_lose.is_empty() {
        terminal.say("a repair behind the last good record would take out of the log:")?;
        for lost in &report.would_lose {
            let what = match lost.from {
                0 => format!("  {} ({} bytes)", lost.file, lost.bytes),
                from => format!(
                    "  {} bytes of {} from byte {from} on",
                    lost.bytes, lost.file
                ),
            };
            terminal.say(what)?;
        }
    }
    if *last_good > LogIndex(0) {
        terminal.note(format!(
            "if there is no copy of the log: vaquita meta repair --home {} --truncate-at \
             {last_good} --i-accept-loss",
            shell::word(home)
        ))?;
    }
    Err(Failure::new(Status::Damaged, refusal))
}

async fn repair(
    disk: &OsDisk,
    files: &BTreeMap<FileName, Vec<u8>>,
    upto: LogIndex,
    terminal: &mut Terminal,
) -> Outcome {
    let lineage = new_lineage()?;
    let repair = plan_home_repair(files, upto, lineage).map_err(refused)?;
    let batch = DiskBatch {
        ticket: DiskTicket(1),
        lane: Lane::Foreground,
        ops: repair.ops,
    };
    disk.apply(batch).await.map_err(|fault| {
        let text = format!(
            "the repair was not finished: {fault}. Nothing is lost that was not given up: mend the \
             disk, then run the same command again; no controller takes the home before that"
        );
        Failure::new(Status::Disk, text)
    })?;
    terminal.say(format!(
        "the log ends with record {upto} now and goes on under lineage {lineage}"
    ))?;
    for lost in &repair.log.given_up {
        terminal.say(format!("given up: {lost}"))?;
    }
    terminal.note(
        "start the controller. Nodes that were told of a lost record refuse it and say so in \
         `vaquita status`",
    )?;
    Ok(())
}

/// A lineage that no home has had.
fn new_lineage() -> Result<LineageId, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = format!("the operating system gives no randomness: {error}");
        Failure::new(Status::Unavailable, text)
    })?;
    Ok(LineageId::new(bytes))
}
