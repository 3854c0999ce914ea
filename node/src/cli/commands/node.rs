//! `vaquita node`: the members of the cluster, and orders for them.

mod duty;
mod log;
mod waiting;
mod wide;

use std::time::Duration;

use clap::{Args, Subcommand};

use self::duty::Maintenance;
use self::log::Log;
use self::waiting::{Goal, wait_for};
use crate::cli::client::{Api, NodeView, OrderView, ServerOption, block_on};
use crate::cli::command_line::whole_number;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::json;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal::{Terminal, harmless};

/// List, start, stop, drain, replace and remove data nodes, and read their logs
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita node list
  vaquita node list --wide            with what they have measured of themselves
  vaquita node start --all --wait
  vaquita node stop P1-NODE1 P2-NODE1
  vaquita node drain P1-NODE1 --wait  its replicas go elsewhere; then it may be taken away
  vaquita node maintenance P1-NODE1 --for 30m
  vaquita node serve P1-NODE1         neither drained nor in maintenance any more
  vaquita node replace P1-NODE1       its disk was lost; a new one takes the name
  vaquita node remove P1-NODE1        it is gone for good, and not waited for
  vaquita node log P1-NODE1 --lines 100")]
pub(in crate::cli) struct Node {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the members with their states
    List {
        #[command(flatten)]
        server: ServerOption,
        /// Print one JSON array instead of a table
        #[arg(long)]
        json: bool,
        /// Show what the processes have measured of themselves: CPU, memory, disks, network
        #[arg(long, conflicts_with = "json")]
        wide: bool,
        /// Only these members; all if none is named
        #[arg(value_name = "ALIAS")]
        aliases: Vec<String>,
    },
    /// Have data nodes run
    #[command(override_usage = "vaquita node start [OPTIONS] <ALIAS>...\n       \
                                vaquita node start [OPTIONS] --all")]
    Start(Order),
    /// Have data nodes end, and stay so
    #[command(override_usage = "vaquita node stop [OPTIONS] <ALIAS>...\n       \
                                vaquita node stop [OPTIONS] --all")]
    Stop(Order),
    /// Have data nodes emptied: their replicas are made anew elsewhere
    ///
    /// They take no new replicas, and may run or not. Once a node is `drained`, nothing is lost with
    /// it: stop it, and take its line out of cluster.nodes. Refused where fewer nodes, or hosts, would
    /// be left than each chunk has replicas.
    #[command(override_usage = "vaquita node drain [OPTIONS] <ALIAS>...\n       \
                                vaquita node drain [OPTIONS] --all")]
    Drain(Order),
    /// Have data nodes left in peace for a while: nothing of theirs is made anew elsewhere
    Maintenance(Maintenance),
    /// Have data nodes take new replicas again: end their draining, or their maintenance
    #[command(override_usage = "vaquita node serve [OPTIONS] <ALIAS>...\n       \
                                vaquita node serve [OPTIONS] --all")]
    Serve(Order),
    /// Give the alias of a data node whose disk was lost to the node that registers next
    ///
    /// The identity that had the alias so far is refused from then on, with all that it holds. The
    /// node must not be online.
    Replace {
        #[command(flatten)]
        server: ServerOption,
        /// The data node
        #[arg(value_name = "ALIAS")]
        alias: String,
        /// Print one JSON array: what became of the order
        #[arg(long)]
        json: bool,
    },
    /// Take a data node out of the cluster for good
    ///
    /// Its identity is refused from then on, and what it had is made anew elsewhere at once. It must be
    /// drained, or not be online. Refused where chunks would be left with no good replica. Take its line
    /// out of cluster.nodes afterwards: `vaquita config remove-member`.
    Remove {
        #[command(flatten)]
        server: ServerOption,
        /// The data node
        #[arg(value_name = "ALIAS")]
        alias: String,
        /// What nobody else has a good replica of is lost, and given up: type the alias once more
        #[arg(long, value_name = "ALIAS")]
        i_accept_loss: Option<String>,
        /// Print one JSON array: what became of the order
        #[arg(long)]
        json: bool,
    },
    /// Print the end of a node's log file, whether the node runs or not
    Log(Log),
}

/// Which data nodes an order is for: all if none is named.
#[derive(Args, Clone, Debug)]
struct Chosen {
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
}

#[derive(Args, Clone, Debug)]
struct Order {
    #[command(flatten)]
    chosen: Chosen,
    /// Return only when the nodes are where they should be, and tell how they get there
    #[arg(long)]
    wait: bool,
    /// How long to wait, in seconds [default: 120; for a drain a day]
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = whole_number::<u64>)]
    timeout: Option<u64>,
    /// Print one JSON array: what became of the order, or with --wait the nodes' final states
    #[arg(long)]
    json: bool,
}

impl Node {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        match self.action {
            Action::List {
                server,
                json,
                wide,
                aliases,
            } => list(&server, json, wide, &aliases, terminal),
            Action::Start(order) => order.run(Goal::Online, terminal),
            Action::Stop(order) => order.run(Goal::Stopped, terminal),
            Action::Drain(order) => order.run(Goal::Drained, terminal),
            Action::Maintenance(maintenance) => maintenance.run(terminal),
            Action::Serve(order) => order.run(Goal::Serving, terminal),
            Action::Replace {
                server,
                alias,
                json,
            } => replace(&server, &alias, json, terminal),
            Action::Remove {
                server,
                alias,
                i_accept_loss,
                json,
            } => remove(&server, &alias, i_accept_loss.as_deref(), json, terminal),
            Action::Log(log) => log.run(terminal),
        }
    }
}

fn list(
    server: &ServerOption,
    json: bool,
    wide: bool,
    aliases: &[String],
    terminal: &mut Terminal,
) -> Outcome {
    let mut api = Api::choose(server)?;
    block_on(async {
        let mut rows = api.raw("/api/v1/nodes").await?;
        let nodes = api_rows(&mut rows, aliases)?;
        if json {
            return json::array_of(terminal, rows);
        }
        let table = if wide { wide::table } else { table };
        let text = table(&nodes).render(terminal);
        Ok(terminal.say(text.trim_end())?)
    })
}

/// The rows of these aliases, as the server sent them and as commands see them.
fn api_rows(rows: &mut serde_json::Value, aliases: &[String]) -> Result<Vec<NodeView>, Failure> {
    let read = |rows: &serde_json::Value| {
        serde_json::from_value::<Vec<NodeView>>(rows.clone()).map_err(|error| {
            Failure::new(
                Status::Bug,
                format!("the list of nodes makes no sense here: {error}"),
            )
        })
    };
    let nodes = read(rows)?;
    if aliases.is_empty() {
        return Ok(nodes);
    }
    if let Some(unknown) = aliases
        .iter()
        .find(|alias| !nodes.iter().any(|node| node.alias == **alias))
    {
        return Err(unknown_node(unknown, &nodes));
    }
    if let Some(rows) = rows.as_array_mut() {
        rows.retain(|row| {
            let alias = row.get("alias").and_then(serde_json::Value::as_str);
            aliases.iter().any(|wanted| Some(wanted.as_str()) == alias)
        });
    }
    read(rows)
}

fn unknown_node(alias: &str, nodes: &[NodeView]) -> Failure {
    let typed = alias.to_ascii_lowercase();
    let near = nodes
        .iter()
        .map(|node| {
            let known = node.alias.to_ascii_lowercase();
            (strsim::osa_distance(&known, &typed), &node.alias)
        })
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let help = match near {
        Some((_, near)) => format!("; did you mean `{near}`?"),
        None => "; `vaquita node list` shows what there is".to_owned(),
    };
    Failure::new(
        Status::No,
        format!("the cluster has no node `{alias}`{help}"),
    )
}

/// Members as a table, their state in the colour it has.
pub(super) fn table(nodes: &[NodeView]) -> Table {
    let mut table = Table::new(&["ALIAS", "MODE", "SITE", "STATE", "AGENT", "REASON"]);
    for node in nodes {
        let state = Cell::new(&node.state);
        let state = match node.colour() {
            Some(colour) => state.coloured(colour),
            None => state,
        };
        let mut reason = vec![node.reason.clone()];
        let admin = match (node.admin.as_str(), node.admin_reason.as_str()) {
            ("" | "none", _) => None,
            (admin, "") => Some(admin.to_owned()),
            (admin, why) => Some(format!("{admin}: {why}")),
        };
        let conditions = admin.into_iter().chain(node.conditions.iter().cloned());
        reason.extend(conditions.map(|condition| format!("[{condition}]")));
        reason.retain(|part| !part.is_empty());
        table.row([
            Cell::new(&node.alias),
            Cell::new(&node.mode),
            Cell::new(&node.site),
            state,
            Cell::new(node.agent.as_deref().unwrap_or_default()),
            Cell::new(reason.join(" ")),
        ]);
    }
    table
}

impl Order {
    fn run(self, goal: Goal, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.chosen.server)?;
        block_on(async {
            let verb = goal.verb();
            let rows = api.order(verb, &self.chosen.aliases).await?;
            let chosen: Vec<String> = rows.iter().map(|row| row.alias.clone()).collect();
            if !self.wait {
                return if self.json {
                    let rows: Vec<_> = rows.iter().map(order_json).collect();
                    json::array(terminal, &rows)
                } else {
                    tell(&rows, terminal)
                };
            }
            let patience = self.timeout.map_or(goal.patience(), Duration::from_secs);
            let (nodes, outcome) = wait_for(&mut api, &chosen, goal, patience, terminal).await?;
            if self.json {
                json::array_of(terminal, nodes)?;
            }
            outcome
        })
    }
}

fn replace(server: &ServerOption, alias: &str, json: bool, terminal: &mut Terminal) -> Outcome {
    let mut api = Api::choose(server)?;
    block_on(async {
        let rows = api.replace(alias).await?;
        if json {
            let rows: Vec<_> = rows.iter().map(order_json).collect();
            return json::array(terminal, &rows);
        }
        tell(&rows, terminal)
    })
}

fn remove(
    server: &ServerOption,
    alias: &str,
    accept_loss_of: Option<&str>,
    json: bool,
    terminal: &mut Terminal,
) -> Outcome {
    let mut api = Api::choose(server)?;
    block_on(async {
        let rows = api.remove_node(alias, accept_loss_of).await?;
        if json {
            let rows: Vec<_> = rows.iter().map(order_json).collect();
            return json::array(terminal, &rows);
        }
        tell(&rows, terminal)
    })
}

fn tell(rows: &[OrderView], terminal: &mut Terminal) -> Outcome {
    if rows.is_empty() {
        terminal.say("the cluster has no data node")?;
    }
    for row in rows {
        let note = harmless(&row.note);
        let note = match (note.is_empty(), row.changed) {
            (false, _) => note,
            (true, true) => "ordered".to_owned(),
            (true, false) => "nothing to do".to_owned(),
        };
        terminal.say(format!("{}: {note}", harmless(&row.alias)))?;
    }
    Ok(())
}

fn order_json(row: &OrderView) -> serde_json::Value {
    serde_json::json!({ "alias": row.alias, "changed": row.changed, "note": row.note })
}
