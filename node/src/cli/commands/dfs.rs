//! `vaquita dfs`: the files of the cluster.

mod change;
mod get;
mod jobs;
mod list;
mod part;
mod put;
mod show;

use clap::{Args, Subcommand};
use vaquita_core::dfs::path::DfsPath;

use self::change::{Make, Move, Remove};
use self::get::Get;
use self::list::List;
use self::put::Put;
use self::show::{Stat, Usage};
use crate::cli::client::{Api, EntryView};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::Terminal;

/// The flags of one letter, which may be bundled: `-lR`.
pub(in crate::cli) const LETTERS: &str = "lRrpshvfq";

/// List, read, write and remove files under dfs://
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs ls -l dfs://data
  vaquita dfs put *.csv dfs://data/              several files into a directory
  vaquita dfs put -r logs dfs://backup/          a directory with all that is in it
  tar c logs | vaquita dfs put - dfs://backup/logs.tar
  vaquita dfs get dfs://data/a.csv .
  vaquita dfs get --continue dfs://backup/logs.tar logs.tar
  vaquita dfs get dfs://backup/logs.tar - | tar t
  vaquita dfs rm -r dfs://backup/logs

A path is written dfs://data/a.csv or /data/a.csv.")]
pub(in crate::cli) struct Dfs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    Ls(List),
    Put(Put),
    Get(Get),
    Rm(Remove),
    Mv(Move),
    Mkdir(Make),
    Stat(Stat),
    Du(Usage),
}

impl Dfs {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::Ls(it) => it.run(terminal),
            Action::Put(it) => it.run(terminal),
            Action::Get(it) => it.run(terminal),
            Action::Rm(it) => it.run(terminal),
            Action::Mv(it) => it.run(terminal),
            Action::Mkdir(it) => it.run(terminal),
            Action::Stat(it) => it.run(terminal),
            Action::Du(it) => it.run(terminal),
        }
    }
}

/// A path of the command line.
fn path(text: &str) -> Result<DfsPath, String> {
    DfsPath::parse(text).map_err(|error| error.reason)
}

/// A path that a server has sent.
fn path_sent(text: &str) -> Result<DfsPath, Failure> {
    DfsPath::parse(text).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the server's answer makes no sense here: {error}"),
        )
    })
}

/// A row that a server has sent.
fn entry_sent(row: &serde_json::Value) -> Result<EntryView, Failure> {
    serde_json::from_value(row.clone()).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the server's answer makes no sense here: {error}"),
        )
    })
}

fn nothing_at(path: &DfsPath) -> Failure {
    let help = match path.split_last() {
        Some((parent, _)) => format!("; `vaquita dfs ls {parent}` shows what there is"),
        None => String::new(),
    };
    Failure::new(Status::No, format!("there is nothing at {path}{help}"))
}

/// What is at a path, which has to be there.
async fn entry_at(api: &mut Api, path: &DfsPath) -> Result<EntryView, Failure> {
    api.stat(path).await?.ok_or_else(|| nothing_at(path))
}

/// `1 file`, `2 files`.
fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}
