//! `vaquita dfs stat` and `vaquita dfs du`.

use clap::Args;
use serde_json::json;
use vaquita_core::dfs::path::DfsPath;

use super::{entry_at, entry_sent, nothing_at, path, path_sent};
use crate::cli::client::{Api, ServerOption, UsageView, block_on};
use crate::cli::commands::local_time;
use crate::cli::exit::Outcome;
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Terminal, harmless};

/// Show what there is to know about a file or directory
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs stat dfs://data/a.csv
  vaquita dfs stat dfs://data/a.csv --json | jq -r .digest")]
pub(super) struct Stat {
    #[command(flatten)]
    server: ServerOption,
    /// The file or directory
    #[arg(value_name = "DFS_PATH", value_parser = path)]
    path: DfsPath,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Stat {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let row = match api.raw_stat(&self.path).await {
                Err(error) if error.is_not_found() => return Err(nothing_at(&self.path)),
                other => other?,
            };
            if self.json {
                return json::object(terminal, &row);
            }
            let entry = entry_sent(&row)?;
            let modified = local_time(entry.modified_unix_ms);
            terminal.say(format!("path      {}", harmless(&entry.path)))?;
            terminal.say(format!("kind      {}", harmless(&entry.kind)))?;
            if entry.is_directory() {
                terminal.say(format!("entries   {}", entry.count))?;
                terminal.say(format!("made      {modified}"))?;
            } else {
                let human = size::human(entry.len);
                terminal.say(match entry.len {
                    0..=1023 => format!("size      {human}"),
                    len => format!("size      {human} ({len} bytes)"),
                })?;
                terminal.say(format!("chunks    {}", entry.count))?;
                if let Some(replicas) = entry.replicas {
                    terminal.say(format!("replicas  {replicas}"))?;
                }
                terminal.say(format!("modified  {modified}"))?;
                if let Some(digest) = &entry.digest {
                    terminal.say(format!("digest    {}", harmless(digest)))?;
                }
            }
            Ok(terminal.say(format!("version   {}", entry.version))?)
        })
    }
}

/// Show how much is in directories
#[derive(Args, Clone, Debug)]
#[command(
    disable_help_flag = true,
    after_long_help = "\
Examples:
  vaquita dfs du dfs://data           each thing in the directory, and all of it
  vaquita dfs du -s dfs://data dfs://backup"
)]
pub(super) struct Usage {
    #[command(flatten)]
    server: ServerOption,
    /// The directories or files
    #[arg(value_name = "DFS_PATH", value_parser = path, default_value = "dfs://")]
    paths: Vec<DfsPath>,
    /// Only the sum of each path given
    #[arg(short, long)]
    summarize: bool,
    /// Show sizes for people, which is done anyway
    #[arg(short, long)]
    human_readable: bool,
    /// Show sizes to the byte
    #[arg(long, conflicts_with = "human_readable")]
    bytes: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Usage {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let mut rows = Vec::new();
            for path in &self.paths {
                let entry = entry_at(&mut api, path).await?;
                if entry.is_directory() && !self.summarize {
                    for row in api.list(path).await? {
                        let inner = path_sent(&entry_sent(&row)?.path)?;
                        rows.push((inner.to_string(), api.usage(&inner).await?));
                    }
                }
                rows.push((path.to_string(), api.usage(path).await?));
            }
            if self.json {
                let rows: Vec<_> = rows.iter().map(row_json).collect();
                return json::array(terminal, &rows);
            }
            let mut table = Table::new(&["SIZE", "STORED", "FILES", "CHUNKS", "PATH"])
                .right(0)
                .right(1)
                .right(2)
                .right(3);
            for (path, usage) in &rows {
                table.row([
                    Cell::new(size::text(usage.bytes, self.bytes)),
                    Cell::new(size::text(usage.stored_bytes, self.bytes)),
                    Cell::new(usage.files.to_string()),
                    Cell::new(usage.chunks.to_string()),
                    Cell::new(path),
                ]);
            }
            let text = table.render(terminal);
            Ok(terminal.say(text.trim_end())?)
        })
    }
}

fn row_json((path, usage): &(String, UsageView)) -> serde_json::Value {
    json!({
        "path": path,
        "files": usage.files,
        "directories": usage.directories,
        "bytes": usage.bytes,
        "stored_bytes": usage.stored_bytes,
        "chunks": usage.chunks,
    })
}
