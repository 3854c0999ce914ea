//! `vaquita dfs ls`.

use clap::Args;
use serde_json::Value;
use vaquita_core::dfs::path::DfsPath;

use super::{counted, entry_at, entry_sent, path, path_sent};
use crate::cli::client::{Api, EntryView, ServerOption, block_on};
use crate::cli::commands::local_time;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal, harmless};

/// List a directory
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita dfs ls
  vaquita dfs ls -l dfs://data
  vaquita dfs ls -R --json dfs://data | jq -r '.[] | select(.len > 1000000) | .path'")]
pub(super) struct List {
    #[command(flatten)]
    server: ServerOption,
    /// The directory, or a file
    #[arg(value_name = "DFS_PATH", value_parser = path, default_value = "dfs://")]
    path: DfsPath,
    /// Show sizes, replicas and dates
    #[arg(short, long)]
    long: bool,
    /// List what is in the directories too, and so on
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Show sizes to the byte
    #[arg(long)]
    bytes: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// An entry with the name that it is shown under.
struct Shown {
    name: String,
    entry: EntryView,
    row: Value,
}

impl List {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let row = api.raw_stat(&self.path).await;
            let row = match row {
                Err(error) if error.is_not_found() => {
                    return Err(super::nothing_at(&self.path));
                }
                other => other?,
            };
            let entry = entry_sent(&row)?;
            let mut shown = Vec::new();
            if entry.is_directory() {
                walk(&mut api, &self.path, self.recursive, &mut shown).await?;
            } else {
                let name = entry.name().to_owned();
                shown.push(Shown { name, entry, row });
            }
            if self.json {
                let rows: Vec<Value> = shown.into_iter().map(|it| it.row).collect();
                return json::array(terminal, &rows);
            }
            if self.long {
                let text = table(&shown, self.bytes).render(terminal);
                terminal.say(text.trim_end())?;
                let files = shown.iter().filter(|it| !it.entry.is_directory());
                let bytes = files.clone().map(|it| it.entry.len).sum();
                let total = format!(
                    "{}, {}",
                    counted(files.count() as u64, "file", "files"),
                    size::human(bytes)
                );
                if terminal.out_is_terminal {
                    terminal.say(terminal.paint(Colour::Dim, &total))?;
                }
                return Ok(());
            }
            let mut text = String::new();
            for it in &shown {
                let name = harmless(&it.name);
                if it.entry.is_directory() {
                    text.push_str(&terminal.paint(Colour::Bold, &format!("{name}/")));
                } else {
                    text.push_str(&name);
                }
                text.push('\n');
            }
            terminal.out.write_all(text.as_bytes())?;
            Ok(terminal.out.flush()?)
        })
    }
}

/// Everything in a directory, and if `deep` below it: each directory before what is in it.
async fn walk(
    api: &mut Api,
    top: &DfsPath,
    deep: bool,
    shown: &mut Vec<Shown>,
) -> Result<(), Failure> {
    let mut directories = vec![top.clone()];
    while let Some(directory) = directories.pop() {
        let mut inner = Vec::new();
        let at = shown
            .iter()
            .position(|it| it.entry.path == directory.to_string());
        let mut here = Vec::new();
        for row in api.list(&directory).await? {
            let entry = entry_sent(&row)?;
            let entry_path = path_sent(&entry.path)?;
            if deep && entry.is_directory() {
                inner.push(entry_path.clone());
            }
            let name = below(top, &entry_path);
            here.push(Shown { name, entry, row });
        }
        let place = at.map_or(shown.len(), |at| at + 1);
        shown.splice(place..place, here);
        // The first of them is the next to be looked at.
        directories.extend(inner.into_iter().rev());
    }
    Ok(())
}

/// A path as it is called from a directory above it.
fn below(top: &DfsPath, path: &DfsPath) -> String {
    let rest = path.as_str().strip_prefix(top.as_str()).unwrap_or_default();
    rest.trim_start_matches('/').to_owned()
}

fn table(shown: &[Shown], exactly: bool) -> Table {
    let mut table = Table::new(&["TYPE", "SIZE", "CHUNKS", "REPLICAS", "MODIFIED", "NAME"])
        .right(1)
        .right(2)
        .right(3);
    for Shown { name, entry, .. } in shown {
        let replicas = match entry.replicas {
            Some(0) => Cell::new("0").coloured(Colour::Red),
            Some(replicas) => Cell::new(replicas.to_string()),
            None => Cell::new("-"),
        };
        let modified = local_time(entry.modified_unix_ms);
        table.row(if entry.is_directory() {
            [
                Cell::new("dir"),
                Cell::new("-"),
                Cell::new("-"),
                Cell::new("-"),
                Cell::new(modified),
                Cell::new(format!("{name}/")).coloured(Colour::Bold),
            ]
        } else {
            [
                Cell::new("file"),
                Cell::new(size::text(entry.len, exactly)),
                Cell::new(entry.count.to_string()),
                replicas,
                Cell::new(modified),
                Cell::new(name),
            ]
        });
    }
    table
}

/// Every file below a directory, and every directory, each before what is in it.
pub(super) async fn tree(
    api: &mut Api,
    top: &DfsPath,
) -> Result<Vec<(String, EntryView)>, Failure> {
    entry_at(api, top).await?;
    let mut shown = Vec::new();
    walk(api, top, true, &mut shown).await?;
    Ok(shown.into_iter().map(|it| (it.name, it.entry)).collect())
}
