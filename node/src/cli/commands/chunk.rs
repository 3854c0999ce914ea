//! `vaquita chunk`: the pieces that files are kept in.

use clap::{Args, Subcommand};
use vaquita_core::dfs::path::DfsPath;

use crate::cli::client::{Api, ChunkView, ServerOption, UnknownView, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal, harmless};

/// Show the pieces that files are kept in, and how they are
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita chunk list --unwell
  vaquita chunk list --below dfs://data --json
  vaquita chunk show 0000010000000001")]
pub(in crate::cli) struct Chunk {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List chunks with their states
    List {
        #[command(flatten)]
        server: ServerOption,
        /// Leave out chunks that are well
        #[arg(long)]
        unwell: bool,
        /// Those that no file has and that are kept after a rebuild of the controller's home, instead
        #[arg(long, conflicts_with_all = ["unwell", "below"])]
        unknown: bool,
        /// Only chunks of files at or below this path
        #[arg(long, value_name = "DFS_PATH", value_parser = path)]
        below: Option<DfsPath>,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one chunk: where it is, and why it is not well
    Show {
        #[command(flatten)]
        server: ServerOption,
        /// The chunk, as the list shows it
        chunk: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

fn path(text: &str) -> Result<DfsPath, String> {
    DfsPath::parse(text).map_err(|error| error.reason)
}

impl Chunk {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::List {
                server,
                unwell,
                unknown,
                below,
                json,
            } => {
                let mut api = Api::choose(&server)?;
                if unknown {
                    return block_on(list_unknown(&mut api, json, terminal));
                }
                block_on(async {
                    let rows = api.chunks(unwell, below.as_ref()).await?;
                    if json {
                        return json::array(terminal, &rows);
                    }
                    if rows.is_empty() {
                        let none = if unwell {
                            "every chunk is well"
                        } else {
                            "there is no chunk"
                        };
                        return Ok(terminal.note(none)?);
                    }
                    let chunks = rows
                        .iter()
                        .map(read)
                        .collect::<Result<Vec<ChunkView>, _>>()?;
                    let text = table(&chunks).render(terminal);
                    Ok(terminal.say(text.trim_end())?)
                })
            }
            Action::Show {
                server,
                chunk,
                json,
            } => {
                let mut api = Api::choose(&server)?;
                block_on(async {
                    let row = api.chunk(&chunk).await?;
                    if json {
                        return json::object(terminal, &row);
                    }
                    let text = details(&read(&row)?, terminal);
                    Ok(terminal.say(text.trim_end())?)
                })
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(row: &serde_json::Value) -> Result<T, Failure> {
    serde_json::from_value(row.clone()).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the server's answer makes no sense here: {error}"),
        )
    })
}

async fn list_unknown(api: &mut Api, as_json: bool, terminal: &mut Terminal) -> Outcome {
    let rows = api.unknown_chunks().await?;
    if as_json {
        return json::array(terminal, &rows);
    }
    if rows.is_empty() {
        return Ok(terminal.note("every chunk that the nodes have told of belongs to a file")?);
    }
    let mut table = Table::new(&["CHUNK", "GENERATION", "SIZE", "DIGEST", "NODES"])
        .right(1)
        .right(2);
    for row in &rows {
        let row: UnknownView = read(row)?;
        table.row([
            Cell::new(&row.chunk),
            Cell::new(row.generation.to_string()),
            Cell::new(size::human(row.len)),
            Cell::new(&row.digest),
            Cell::new(row.nodes.join(",")),
        ]);
    }
    Ok(terminal.say(table.render(terminal).trim_end())?)
}

fn colour(state: &str) -> Option<Colour> {
    match state {
        "healthy" | "good" => Some(Colour::Green),
        "degraded" | "misplaced" | "surplus" | "unconfirmed" | "suspect" => Some(Colour::Yellow),
        "unavailable" | "away" | "missing" | "corrupt" => Some(Colour::Red),
        _ => None,
    }
}

fn coloured(state: &str) -> Cell {
    match colour(state) {
        Some(colour) => Cell::new(state).coloured(colour),
        None => Cell::new(state),
    }
}

fn table(chunks: &[ChunkView]) -> Table {
    let mut table = Table::new(&[
        "CHUNK", "STATE", "SIZE", "REPLICAS", "FILE", "NUMBER", "REASON",
    ])
    .right(2)
    .right(5);
    for chunk in chunks {
        // Those that are not good say so.
        let replicas: Vec<String> = chunk
            .replicas
            .iter()
            .map(|it| match it.state.as_str() {
                "good" => it.node.clone(),
                state => format!("{}({state})", it.node),
            })
            .collect();
        table.row([
            Cell::new(&chunk.chunk),
            coloured(&chunk.state),
            Cell::new(size::human(chunk.len)),
            Cell::new(replicas.join(",")),
            Cell::new(chunk.path.as_deref().unwrap_or("-")),
            Cell::new(chunk.number.to_string()),
            Cell::new(&chunk.reason),
        ]);
    }
    table
}

fn details(chunk: &ChunkView, terminal: &Terminal) -> String {
    let state = harmless(&chunk.state);
    let state = match colour(&state) {
        Some(colour) => terminal.paint(colour, &state),
        None => state,
    };
    let mut text = format!(
        "chunk       {}\nfile        {} (chunk {} of it, from 0)\nsize        {}\n\
         generation  {}\ndigest      {}\nstate       {state}\n",
        harmless(&chunk.chunk),
        harmless(chunk.path.as_deref().unwrap_or("-")),
        chunk.number,
        size::human(chunk.len),
        chunk.generation,
        harmless(&chunk.digest),
    );
    if !chunk.reason.is_empty() {
        text.push_str(&format!("reason      {}\n", harmless(&chunk.reason)));
    }
    text.push('\n');
    let mut table = Table::new(&["REPLICA", "VOLUME", "STATE"]).right(1);
    for replica in &chunk.replicas {
        let volume = replica
            .volume
            .map_or_else(|| "-".to_owned(), |it| it.to_string());
        table.row([
            Cell::new(&replica.node),
            Cell::new(volume),
            coloured(&replica.state),
        ]);
    }
    text.push_str(&table.render(terminal));
    text
}
