//! `vaquita repair`: what chunks lack, and what is being done about it.

use clap::{Args, Subcommand};

use crate::cli::client::{Api, DeedView, RepairView, ServerOption, block_on};
use crate::cli::exit::Outcome;
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::Terminal;

/// Show how replicas are made anew, and have that wait or go on
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
A chunk that has fewer replicas than dfsReplicationFactor gets others by itself, the ones that are
nearest to being lost first: at once where a replica is damaged or missing, and dfsRecoveryWaitTime
after its node has gone. `vaquita chunk list --unwell` names the chunks.

Examples:
  vaquita repair status
  vaquita repair history --chunk 0000020000000011
  vaquita repair suspend              before work on the network or on many hosts
  vaquita repair resume")]
pub(in crate::cli) struct Repair {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Show what chunks lack, what is being copied, and what stands against it
    Status {
        #[command(flatten)]
        server: ServerOption,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show what was done about replicas lately, the newest first, and why
    ///
    /// The controller keeps the last few thousand in memory; its log file has a line of each for longer
    /// (`vaquita node log CONTROLLER`).
    History {
        /// Only what was done about this chunk (`vaquita chunk list`)
        #[arg(long, value_name = "CHUNK")]
        chunk: Option<String>,
        /// How many rows at most
        #[arg(long, value_name = "COUNT", default_value_t = 50,
              value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        server: ServerOption,
        /// Print a JSON array, a line each
        #[arg(long)]
        json: bool,
    },
    /// Have it wait: nothing is copied, and nothing given up, until it is resumed or the controller is
    /// started anew
    Suspend {
        #[command(flatten)]
        server: ServerOption,
    },
    /// Have it go on
    Resume {
        #[command(flatten)]
        server: ServerOption,
    },
    /// Give up chunks that no file has, after the controller's home was rebuilt
    ///
    /// A rebuild may lose the newest records of the log. Chunks that these may have named are kept;
    /// `vaquita chunk list --unknown` lists them. Once nobody misses them any more, this gives them up.
    Settle {
        #[command(flatten)]
        server: ServerOption,
        /// Yes, what these chunks contain is not needed any more
        #[arg(long, required = true)]
        i_accept_loss: bool,
    },
}

impl Repair {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let (server, order, as_json) = match self.action {
            Action::Status { server, json } => (server, None, json),
            Action::History {
                chunk,
                limit,
                server,
                json,
            } => return history(&server, chunk.as_deref(), limit, json, terminal),
            Action::Suspend { server } => (server, Some("suspend"), false),
            Action::Resume { server } => (server, Some("resume"), false),
            Action::Settle { server, .. } => (server, Some("settle"), false),
        };
        let mut api = Api::choose(&server)?;
        block_on(async {
            if as_json {
                let status = api.raw("/api/v1/repair").await?;
                return json::object(terminal, &status);
            }
            let status = api.repair(order).await?;
            Ok(terminal.say(text(&status, terminal).trim_end())?)
        })
    }
}

fn history(
    server: &ServerOption,
    chunk: Option<&str>,
    limit: u32,
    as_json: bool,
    terminal: &mut Terminal,
) -> Outcome {
    let mut api = Api::choose(server)?;
    let page = block_on(async { Ok(api.repair_history(chunk, limit).await?) })?;
    if as_json {
        return json::array(terminal, &page.rows);
    }
    let mut text = match page.rows.is_empty() {
        true => match chunk {
            Some(chunk) => format!("nothing was done about chunk {chunk} lately\n"),
            None => "nothing was done about replicas since the controller started\n".to_owned(),
        },
        false => deeds(&page.rows).render(terminal),
    };
    if page.more {
        text.push_str("there are older ones: --limit shows more\n");
    } else if page.forgotten > 0 {
        text.push_str(&format!(
            "{} older ones are kept in the controller's log file only\n",
            page.forgotten
        ));
    }
    Ok(terminal.say(text.trim_end())?)
}

fn deeds(rows: &[DeedView]) -> Table {
    let columns = [
        "AGO", "WHAT", "CHUNK", "SIZE", "FROM", "TO", "GIVEN UP", "TOOK", "WHY",
    ];
    let mut table = Table::new(&columns).right(3).right(7);
    let or_dash = |name: &Option<String>| Cell::new(name.as_deref().unwrap_or("-"));
    for row in rows {
        let given_up = match row.given_up.is_empty() {
            true => "-".to_owned(),
            false => row.given_up.join(", "),
        };
        table.row([
            Cell::new(span(row.ago_ms)),
            Cell::new(row.what.replace('_', " ")),
            Cell::new(&row.chunk),
            Cell::new(size::human(row.len)),
            or_dash(&row.from),
            or_dash(&row.to),
            Cell::new(given_up),
            Cell::new(format!("{} ms", row.took_ms)),
            Cell::new(&row.reason),
        ]);
    }
    table
}

fn text(status: &RepairView, terminal: &Terminal) -> String {
    let mut text = String::new();
    let wanted = [
        status.last_copy,
        status.degraded,
        status.leaving,
        status.misplaced,
        status.surplus,
    ];
    let wanted: u64 = wanted.iter().sum();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    match (wanted, status.surveying) {
        (0, true) => line("all chunks are just being looked through".to_owned()),
        (0, false) if !status.awaited.is_empty() => {}
        (0, false) => line("every chunk has the replicas that it should have".to_owned()),
        _ => {
            for (count, what) in [
                (status.last_copy, "with one good replica left"),
                (status.degraded, "with fewer replicas than they should have"),
                (
                    status.leaving,
                    "with replicas on nodes that are being drained",
                ),
                (
                    status.misplaced,
                    "with replicas on one host that need not be",
                ),
                (status.surplus, "with more than they need"),
            ] {
                if count > 0 {
                    line(format!("{}: {what}", chunks(count)));
                }
            }
            let left = match status.left_ms {
                Some(ms) => format!(", about {} at the pace of the last moments", span(ms)),
                None => String::new(),
            };
            if status.bytes_left > 0 {
                line(format!("{} to copy{left}", size::human(status.bytes_left)));
            }
            if status.surveying {
                line("there may be more: all chunks are just being looked through".to_owned());
            }
        }
    }
    for it in &status.awaited {
        let long = match it.left_ms {
            Some(0) => "as soon as nothing stands against it".to_owned(),
            Some(ms) => format!("in {}", span(ms)),
            None => "only if it is replaced (`vaquita node replace`)".to_owned(),
        };
        let (node, has) = (&it.node, chunks(it.chunks));
        line(format!(
            "{node}, which has {has}, is away; its replicas are made anew elsewhere {long}"
        ));
    }
    if status.unknown > 0 {
        line(format!(
            "{} replicas ({}) of chunks that no file has are kept: records may be lost that named them. \
             `vaquita chunk list --unknown` lists them, `vaquita repair settle` gives them up",
            status.unknown,
            size::human(status.unknown_bytes)
        ));
    }
    for hold in &status.holds {
        line(format!("nothing is begun at present: {hold}"));
    }
    line(format!(
        "since the controller started: {} copied ({}), {} failed, {} found again, {} given up",
        status.copied,
        size::human(status.copied_bytes),
        status.failed,
        status.adopted,
        status.given_up
    ));
    if !status.copies.is_empty() {
        text.push('\n');
        text.push_str(&copies(status).render(terminal));
    }
    if !status.stuck.is_empty() {
        text.push('\n');
        text.push_str(&stuck(status).render(terminal));
    }
    text
}

fn chunks(count: u64) -> String {
    match count {
        1 => "1 chunk".to_owned(),
        _ => format!("{count} chunks"),
    }
}

/// A time for people.
pub(super) fn span(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn copies(status: &RepairView) -> Table {
    let mut table = Table::new(&["COPYING", "SIZE", "FROM", "TO", "FOR", "PATH", "WHY"]).right(1);
    for copy in &status.copies {
        table.row([
            Cell::new(&copy.chunk),
            Cell::new(size::human(copy.len)),
            Cell::new(&copy.from),
            Cell::new(&copy.to),
            Cell::new(span(copy.since_ms)),
            Cell::new(copy.path.as_deref().unwrap_or("-")),
            Cell::new(&copy.reason),
        ]);
    }
    table
}

fn stuck(status: &RepairView) -> Table {
    let mut table = Table::new(&["STUCK", "FOR", "WHY"]);
    for row in &status.stuck {
        table.row([
            Cell::new(&row.chunk),
            Cell::new(span(row.since_ms)),
            Cell::new(&row.reason),
        ]);
    }
    table
}
