//! `vaquita volume`: the disks that chunks lie on.

use clap::{Args, Subcommand};

use crate::cli::client::{Api, ServerOption, VolumeView, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal};

/// Show the volumes of the data nodes, and how they are
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita volume list
  vaquita volume list --json | jq -r '.[] | select(.state != \"good\") | .path'")]
pub(in crate::cli) struct Volume {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the volumes with their states
    List {
        #[command(flatten)]
        server: ServerOption,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
}

impl Volume {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let Action::List { server, json } = self.action;
        let mut api = Api::choose(&server)?;
        block_on(async {
            let rows = api.raw("/api/v1/volumes").await?;
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
                return Ok(terminal.note(
                    "no data node has told of a volume yet: `vaquita node list` shows which run",
                )?);
            }
            let text = table(&volumes).render(terminal);
            Ok(terminal.say(text.trim_end())?)
        })
    }
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
        "NODE", "SLOT", "STATE", "USED", "FREE", "CAPACITY", "CHUNKS", "DATA", "PATH", "REASON",
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
            Cell::new(&volume.reason),
        ]);
    }
    table
}
