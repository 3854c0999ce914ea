//! `vaquita dfs rm`, `mv` and `mkdir`: changes that move no bytes.

use clap::Args;
use vaquita_core::dfs::path::DfsPath;

use super::{counted, nothing_at, path};
use crate::cli::client::{Api, ApiError, ServerOption, UsageView, block_on, new_key};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::size;
use crate::cli::terminal::{Terminal, harmless};

/// Remove files and directories
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs rm dfs://data/a.csv dfs://data/b.csv
  vaquita dfs rm -r dfs://backup/logs")]
pub(super) struct Remove {
    #[command(flatten)]
    server: ServerOption,
    /// What to remove
    #[arg(value_name = "DFS_PATH", value_parser = path, required = true)]
    paths: Vec<DfsPath>,
    /// Remove directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Do not mind what is not there
    #[arg(short, long)]
    force: bool,
}

impl Remove {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let mut first = None;
            for path in &self.paths {
                let failure = match api.remove(path, self.recursive, &new_key()).await {
                    Ok(usage) => {
                        terminal.say(format!("removed {path}{}", removed(&usage)))?;
                        continue;
                    }
                    Err(error) if error.is_not_found() && self.force => continue,
                    Err(error) if error.is_not_found() => nothing_at(path),
                    Err(error @ ApiError::Refused { .. }) => Failure::from(error),
                    // Nobody is there to refuse the others.
                    Err(error) => return Err(error.into()),
                };
                if self.paths.len() == 1 {
                    return Err(failure);
                }
                terminal.complain(&failure.message);
                first.get_or_insert(failure.status);
            }
            first.map_or(Ok(()), |status| Err(Failure::told(status)))
        })
    }
}

/// What a removal took with it, where that is more than one file.
fn removed(usage: &UsageView) -> String {
    if usage.directories == 0 {
        return format!(" ({})", size::human(usage.bytes));
    }
    format!(
        " ({}, {}, {})",
        counted(usage.directories, "directory", "directories"),
        counted(usage.files, "file", "files"),
        size::human(usage.bytes)
    )
}

/// Rename a file or directory, or move it into a directory
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs mv dfs://data/a.csv dfs://data/b.csv
  vaquita dfs mv dfs://data/a.csv dfs://archive        into the directory, if there is one")]
pub(super) struct Move {
    #[command(flatten)]
    server: ServerOption,
    /// What is moved
    #[arg(value_name = "FROM", value_parser = path)]
    from: DfsPath,
    /// The new path, or a directory that is there
    #[arg(value_name = "TO", value_parser = path)]
    to: DfsPath,
    /// Replace a file that has the new name
    #[arg(short, long)]
    force: bool,
}

impl Move {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let there = api.stat(&self.to).await?;
            let to = match (there, self.from.split_last()) {
                (Some(there), Some((_, name))) if there.is_directory() => self
                    .to
                    .join(name)
                    .map_err(|error| Failure::new(Status::Usage, error.to_string()))?,
                _ => self.to.clone(),
            };
            let moved = api.rename(&self.from, &to, self.force, &new_key()).await;
            match moved {
                Ok(entry) => {
                    Ok(terminal.say(format!("{} is {} now", self.from, harmless(&entry.path)))?)
                }
                Err(error) => {
                    let clash = matches!(
                        &error,
                        ApiError::Refused {
                            status: 409 | 412,
                            ..
                        }
                    );
                    let mut failure = Failure::from(error);
                    if clash && !self.force && api.stat(&to).await?.is_some() {
                        failure.status = Status::Exists;
                        failure.message.push_str("; `--force` replaces a file");
                    }
                    Err(failure)
                }
            }
        })
    }
}

/// Make directories
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs mkdir dfs://data
  vaquita dfs mkdir -p dfs://data/2026/11")]
pub(super) struct Make {
    #[command(flatten)]
    server: ServerOption,
    /// The directories
    #[arg(value_name = "DFS_PATH", value_parser = path, required = true)]
    paths: Vec<DfsPath>,
    /// Make missing directories above too, and do not mind one that is there already
    #[arg(short, long)]
    parents: bool,
}

impl Make {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            for path in &self.paths {
                match api.make_directory(path, self.parents, &new_key()).await {
                    Ok(_) => terminal.say(format!("made {path}"))?,
                    Err(error) => {
                        let help = match &error {
                            ApiError::Refused { status: 404, .. } if !self.parents => {
                                "; `--parents` makes missing directories above too"
                            }
                            _ => "",
                        };
                        let Failure { status, message } = error.into();
                        return Err(Failure::new(status, format!("{message}{help}")));
                    }
                }
            }
            Ok(())
        })
    }
}
