//! `vaquita volume`: the disks that chunks lie on.

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep};

use super::repair::span;
use super::status::duration;
use crate::cli::client::{Api, RescanView, ServerOption, VolumeView, block_on};
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::size;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Colour, Terminal, harmless};

/// Show the volumes of the data nodes, and have them opened again, emptied, adopted or forgotten
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita volume list
  vaquita volume list --json | jq -r '.[] | select(.state != \"good\") | .path'
  vaquita volume rescan P1-NODE1              a disk was mounted, or mended
  vaquita volume adopt P2-NODE1 /disk3        the disk was in another server before
  vaquita volume drain P1-NODE1 /disk1 --wait the disk is to be taken away
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
    /// deleted. Refused while it is in use, unless it is drained: then the node lets go of it, and its disk
    /// can be taken away while the node runs.
    Forget(Named),
    /// Empty a volume, so that its disk can be taken away without a loss
    ///
    /// Nothing new is put there, and each replica on it goes to another volume of the node, or to another
    /// node where there is no room. It is read from meanwhile. Refused where it is the last volume of a
    /// node that cannot be done without.
    Drain {
        #[command(flatten)]
        volume: At,
        /// Return once it is drained
        #[arg(long)]
        wait: bool,
        /// Seconds to wait, at most a day if not said
        #[arg(long, value_name = "SECONDS", requires = "wait")]
        timeout: Option<u64>,
    },
    /// Call off that a volume be emptied: it takes new chunks again
    Serve(At),
}

/// One volume.
#[derive(Args, Clone, Debug)]
struct At {
    #[command(flatten)]
    server: ServerOption,
    /// The data node
    #[arg(value_name = "ALIAS")]
    node: String,
    /// The volume's directory there, as in `volumes`
    #[arg(value_name = "PATH")]
    path: String,
}

/// One volume, about which the node has to say something.
#[derive(Args, Clone, Debug)]
struct Named {
    #[command(flatten)]
    volume: At,
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
                tell(&rows, None, false, json, terminal)
            }
            Action::Adopt(named) => named.order("adopt", terminal),
            Action::Forget(named) => named.order("forget", terminal),
            Action::Drain {
                volume,
                wait,
                timeout,
            } => {
                let (mut api, node) = volume.order("drain", terminal)?;
                if !wait {
                    return Ok(());
                }
                let patience = timeout.map_or(DRAIN_PATIENCE, Duration::from_secs);
                block_on(volume.until_drained(&mut api, &node, patience, terminal))
            }
            Action::Serve(volume) => volume.order("serve", terminal).map(drop),
        }
    }
}

/// How long one waits for a drain, if nothing is said.
const DRAIN_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How often a volume that is drained is looked at, and told of.
const DRAIN_PERIOD: Duration = Duration::from_millis(200);
const TOLD_EVERY: Duration = Duration::from_secs(2);

impl At {
    /// Returns the node's alias as well: it may have been named by its address.
    fn order(&self, order: &str, terminal: &mut Terminal) -> Result<(Api, String), Failure> {
        let mut api = Api::choose(&self.server)?;
        let (node, path) = (&self.node, &self.path);
        let rows = block_on(async { Ok(api.volume_duty(order, node, path).await?) })?;
        let mut alias = node.clone();
        for row in rows {
            terminal.say(format!("{}: {}", harmless(&row.alias), harmless(&row.note)))?;
            alias = row.alias;
        }
        Ok((api, alias))
    }

    async fn until_drained(
        &self,
        api: &mut Api,
        node: &str,
        patience: Duration,
        terminal: &mut Terminal,
    ) -> Outcome {
        let begun = Instant::now();
        let mut told: Option<(u64, Duration)> = None;
        let path = self.path.trim_end_matches('/');
        loop {
            let volumes: Vec<VolumeView> = volumes_in(api.raw("/api/v1/volumes").await?)?;
            let elapsed = begun.elapsed();
            let is_it = |it: &&VolumeView| it.node == node && it.path == path;
            // One that its node does not tell of just now, or does not use, is waited for.
            if let Some(volume) = volumes.iter().find(is_it) {
                let chunks = volume.chunks;
                match volume.admin.as_str() {
                    "drained" => {
                        let after = duration(millis(elapsed));
                        return Ok(terminal.say(format!("{path} is drained  ({after})"))?);
                    }
                    "draining" => {}
                    _ if !is_in_use(&volume.state) => {}
                    _ => {
                        let text = format!("{path} is drained no more: the order was called off");
                        return Err(Failure::new(Status::No, text));
                    }
                }
                let is_news =
                    told.is_none_or(|(before, at)| before != chunks && elapsed >= at + TOLD_EVERY);
                if is_news {
                    told = Some((chunks, elapsed));
                    let after = duration(millis(elapsed));
                    let doing = harmless(&volume.doing);
                    terminal.say(format!("{path}: {doing}  ({after})"))?;
                }
            }
            if elapsed >= patience {
                let text = format!(
                    "{path} is not drained after {}; that goes on, and `vaquita volume list` shows how far \
                     it is",
                    duration(millis(elapsed))
                );
                return Err(Failure::new(Status::No, text));
            }
            sleep(DRAIN_PERIOD).await;
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn volumes_in(rows: serde_json::Value) -> Result<Vec<VolumeView>, Failure> {
    serde_json::from_value(rows).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the server's answer makes no sense here: {error}"),
        )
    })
}

impl Named {
    fn order(self, order: &str, terminal: &mut Terminal) -> Outcome {
        let At { server, node, path } = &self.volume;
        let mut api = Api::choose(server)?;
        let rows = block_on(async { Ok(api.volume_order(order, node, path).await?) })?;
        tell(&rows, Some(path), order == "forget", self.json, terminal)
    }
}

fn list(server: &ServerOption, json: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(server)?;
    let rows = block_on(async { Ok(api.raw("/api/v1/volumes").await?) })?;
    if json {
        return json::array_of(terminal, rows);
    }
    let volumes = volumes_in(rows)?;
    if volumes.is_empty() {
        return Ok(terminal
            .note("no data node has told of a volume yet: `vaquita node list` shows which run")?);
    }
    let text = table(&volumes).render(terminal);
    terminal.say(text.trim_end())?;
    let to_tell = |it: &&VolumeView| !it.reason.is_empty() || !it.doing.is_empty();
    for volume in volumes.iter().filter(to_tell) {
        let (node, path) = (harmless(&volume.node), harmless(&volume.path));
        let (state, long) = (harmless(&volume.state), span(volume.for_ms));
        terminal.say(format!("\n{node} {path}: {state} for {long}"))?;
        if !volume.reason.is_empty() {
            terminal.say(format!("  {}", harmless(&volume.reason)))?;
        }
        if !volume.doing.is_empty() {
            terminal.say(format!("  what is done: {}", harmless(&volume.doing)))?;
        }
    }
    Ok(())
}

/// Tells what came of opening volumes again. It is no success if one of them is not in use; where only
/// one is meant, that one. But one that was in use `may_go`: it was drained.
fn tell(
    rows: &[RescanView],
    only: Option<&str>,
    may_go: bool,
    json: bool,
    terminal: &mut Terminal,
) -> Outcome {
    let in_use = |state: &Option<String>| state.as_deref().is_some_and(is_in_use);
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
            let gone = in_use(&row.was) && !in_use(&row.now);
            let what = match (row.path.is_empty(), row.opened) {
                (true, _) => "not asked, or no answer",
                (false, true) => "opened again",
                (false, false) if gone => "let go of",
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
    let unused = |row: &&RescanView| !(in_use(&row.now) || may_go && in_use(&row.was));
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
        let state = Cell::new(match volume.admin.as_str() {
            "" | "none" => volume.state.clone(),
            admin => format!("{} [{admin}]", volume.state),
        });
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
