//! `vaquita volume`: the disks that chunks lie on.

use clap::{Args, Subcommand};

use super::repair::span;
use crate::cli::client::{Api, RescanView, ServerOption, VolumeView, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal, harmless};

/// Show the volumes of the data nodes, and have them opened again, adopted or forgotten
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita volume list
  vaquita volume list --json | jq -r '.[] | select(.state != \"good\") | .path'
  vaquita volume rescan P1-NODE1              a disk was mounted, or mended
  vaquita volume adopt P2-NODE1 /disk3        the disk was in another server before
  vaquita volume forget P1-NODE1 /disk1       the disk is lost, and a new one is in its place")]
pub(in crate::cli) struct Volume {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the volumes with their states; of each that is not well what is wrong, since when, what is
    /// being done and what to do
    List {
        #[command(flatten)]
        server: ServerOption,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Have data nodes open again each of their volumes that is not in use
    ///
    /// A volume that was missing, foreign or has failed is opened as at a start of the node: its label
    /// is judged, and all that is on it is read. What is there counts at once. A volume that is in use is
    /// left alone.
    #[command(override_usage = "vaquita volume rescan [OPTIONS] <ALIAS>...\n       \
                                vaquita volume rescan [OPTIONS] --all")]
    Rescan {
        #[command(flatten)]
        server: ServerOption,
        /// The data nodes
        #[arg(
            value_name = "ALIAS",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        aliases: Vec<String>,
        /// Every data node of the cluster
        #[arg(long)]
        all: bool,
        /// Print one JSON array: what came of each volume
        #[arg(long)]
        json: bool,
    },
    /// Make a volume the one of the node that has it now: its disk was in another server before
    ///
    /// What is on it counts without being copied. A copy of the disk anywhere else is refused from then
    /// on. Refused for a volume of another cluster, and while it is in use elsewhere.
    Adopt(Named),
    /// Have a node forget which volume was at a directory: its disk is lost
    ///
    /// Nobody misses it any more, and an empty directory in its place becomes a new volume. Nothing is
    /// deleted. Refused while it is in use.
    Forget(Named),
}

/// One volume.
#[derive(Args, Clone, Debug)]
struct Named {
    #[command(flatten)]
    server: ServerOption,
    /// The data node
    #[arg(value_name = "ALIAS")]
    node: String,
    /// The volume's directory there, as in `volumes`
    #[arg(value_name = "PATH")]
    path: String,
    /// Print one JSON array: what came of each volume of the node
    #[arg(long)]
    json: bool,
}

impl Volume {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::List { server, json } => list(&server, json, terminal),
            Action::Rescan {
                server,
                aliases,
                json,
                ..
            } => {
                let mut api = Api::choose(&server)?;
                let rows = block_on(async { Ok(api.rescan(&aliases).await?) })?;
                tell(&rows, None, json, terminal)
            }
            Action::Adopt(named) => named.order("adopt", terminal),
            Action::Forget(named) => named.order("forget", terminal),
        }
    }
}

impl Named {
    fn order(self, order: &str, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        let (node, path) = (&self.node, &self.path);
        let rows = block_on(async { Ok(api.volume_order(order, node, path).await?) })?;
        tell(&rows, Some(path), self.json, terminal)
    }
}

fn list(server: &ServerOption, json: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(server)?;
    let rows = block_on(async { Ok(api.raw("/api/v1/volumes").await?) })?;
    if json {
        return json::array_of(terminal, rows);
    }
    let volumes: Vec<VolumeView> = serde_json::from_value(rows).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the server's answer makes no sense here: {error}"),
        )
    })?;
    if volumes.is_empty() {
        return Ok(terminal
            .note("no data node has told of a volume yet: `vaquita node list` shows which run")?);
    }
    let text = table(&volumes).render(terminal);
    terminal.say(text.trim_end())?;
    for volume in volumes.iter().filter(|it| !it.reason.is_empty()) {
        let (node, path) = (harmless(&volume.node), harmless(&volume.path));
        let (state, long) = (harmless(&volume.state), span(volume.for_ms));
        terminal.say(format!("\n{node} {path}: {state} for {long}"))?;
        terminal.say(format!("  {}", harmless(&volume.reason)))?;
        if !volume.doing.is_empty() {
            terminal.say(format!("  what is done: {}", harmless(&volume.doing)))?;
        }
    }
    Ok(())
}

/// Tells what came of opening volumes again. It is no success if one of them is not in use; where only
/// one is meant, that one.
fn tell(rows: &[RescanView], only: Option<&str>, json: bool, terminal: &mut Terminal) -> Outcome {
    if json {
        json::array(terminal, rows)?;
    } else if rows.is_empty() {
        terminal.say("the cluster has no data node")?;
    } else {
        let mut table = Table::new(&["NODE", "WAS", "NOW", "CHUNKS", "PATH", "WHAT"]).right(3);
        for row in rows {
            let state = |state: &Option<String>| match state {
                Some(state) => match colour(state) {
                    Some(colour) => Cell::new(state).coloured(colour),
                    None => Cell::new(state),
                },
                None => Cell::new("-"),
            };
            let what = match (row.path.is_empty(), row.opened) {
                (true, _) => "not asked, or no answer",
                (false, true) => "opened again",
                (false, false) => "left alone",
            };
            table.row([
                Cell::new(&row.node),
                state(&row.was),
                state(&row.now),
                Cell::new(row.chunks.to_string()),
                Cell::new(&row.path),
                Cell::new(what),
            ]);
        }
        terminal.say(table.render(terminal).trim_end())?;
        for row in rows.iter().filter(|row| !row.reason.is_empty()) {
            let (node, path) = (harmless(&row.node), harmless(&row.path));
            let what = format!("\n{} {}", node, path);
            terminal.say(format!("{}: {}", what.trim_end(), harmless(&row.reason)))?;
        }
    }
    let meant = |row: &&RescanView| only.is_none_or(|path| row.path == path.trim_end_matches('/'));
    let unused = |row: &&RescanView| !row.now.as_deref().is_some_and(is_in_use);
    match rows.iter().filter(meant).filter(unused).count() {
        0 => Ok(()),
        1 => Err(Failure::new(Status::No, "one of them is not in use")),
        count => {
            let text = format!("{count} of them are not in use");
            Err(Failure::new(Status::No, text))
        }
    }
}

fn is_in_use(state: &str) -> bool {
    matches!(state, "good" | "high" | "full" | "slow")
}

fn colour(state: &str) -> Option<Colour> {
    match state {
        "good" => Some(Colour::Green),
        "opening" | "high" | "slow" => Some(Colour::Yellow),
        "full" | "missing" | "foreign" | "failed" => Some(Colour::Red),
        _ => None,
    }
}

fn table(volumes: &[VolumeView]) -> Table {
    let mut table = Table::new(&[
        "NODE", "SLOT", "STATE", "USED", "FREE", "CAPACITY", "CHUNKS", "DATA", "PATH",
    ]);
    for column in [1, 3, 4, 5, 6, 7] {
        table = table.right(column);
    }
    for volume in volumes {
        let used = volume.capacity.saturating_sub(volume.free);
        let used = match volume.capacity {
            0 => "-".to_owned(),
            capacity => format!("{} %", u128::from(used) * 100 / u128::from(capacity)),
        };
        let state = Cell::new(&volume.state);
        table.row([
            Cell::new(&volume.node),
            Cell::new(volume.slot.to_string()),
            match colour(&volume.state) {
                Some(colour) => state.coloured(colour),
                None => state,
            },
            Cell::new(used),
            Cell::new(size::human(volume.free)),
            Cell::new(size::human(volume.capacity)),
            Cell::new(volume.chunks.to_string()),
            Cell::new(size::human(volume.chunk_bytes)),
            Cell::new(&volume.path),
        ]);
    }
    table
}
