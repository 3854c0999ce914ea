//! Waiting until nodes are where they were ordered to be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api_rows;
use crate::cli::client::{Api, NodeView};
use crate::cli::commands::status::duration;
use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::{Terminal, harmless};

/// How often the nodes are looked at: often enough that a start of half a second is seen as such.
const PERIOD: Duration = Duration::from_millis(100);

/// Where nodes should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Online,
    Stopped,
    Drained,
    Serving,
}

impl Goal {
    /// The order that leads there.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Online => "start",
            Self::Stopped => "stop",
            Self::Drained => "drain",
            Self::Serving => "serve",
        }
    }

    const fn state(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Stopped => "stopped",
            Self::Drained => "drained",
            Self::Serving => "in service",
        }
    }

    /// Where a node is on its way there, and why.
    fn stage(self, node: &NodeView) -> (String, String) {
        match self {
            Self::Online | Self::Stopped => (node.state.clone(), node.reason.clone()),
            Self::Drained => (node.admin.clone(), node.admin_reason.clone()),
            Self::Serving if node.admin == "none" => (self.state().to_owned(), String::new()),
            Self::Serving => (node.admin.clone(), String::new()),
        }
    }

    /// How long one waits for it, if nothing is said.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Online | Self::Stopped | Self::Serving => Duration::from_secs(120),
            Self::Drained => Duration::from_secs(24 * 3600),
        }
    }

    /// How often a node whose reason alone changes is told of: one is drained chunk by chunk.
    const fn pause(self) -> Duration {
        match self {
            Self::Online | Self::Stopped | Self::Serving => Duration::ZERO,
            Self::Drained => Duration::from_secs(2),
        }
    }
}

/// What there is to tell after a look at the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// A line for each node that changed its state.
    pub(super) lines: Vec<String>,
    /// Whether all are there.
    pub(super) reached: bool,
    /// The nodes that will not come there, with their reasons.
    pub(super) failed: Vec<String>,
}

/// The nodes of an order on their way.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    goal: Goal,
    aliases: Vec<String>,
    /// What was seen of each node, and when it was told of last.
    seen: BTreeMap<String, (String, String, Duration)>,
}

impl Progress {
    pub(super) fn new(goal: Goal, aliases: &[String]) -> Self {
        Self {
            goal,
            aliases: aliases.to_vec(),
            seen: BTreeMap::new(),
        }
    }

    /// Takes in the present states; `elapsed` is the time since the order.
    pub(super) fn look(&mut self, nodes: &[NodeView], elapsed: Duration) -> Look {
        let mut look = Look {
            reached: true,
            ..Look::default()
        };
        for alias in &self.aliases {
            let Some(node) = nodes.iter().find(|node| node.alias == *alias) else {
                look.reached = false;
                look.failed
                    .push(format!("{alias} is no longer a member of the cluster"));
                continue;
            };
            let (stage, reason) = self.goal.stage(node);
            let seen = self.seen.get(alias);
            let is_news = seen.is_none_or(|(before, why, told)| {
                let due = elapsed >= *told + self.goal.pause();
                *before != stage || (*why != reason && due)
            });
            let told = match seen {
                Some((_, _, told)) if !is_news => *told,
                _ => elapsed,
            };
            if is_news {
                look.lines.push(line(alias, &stage, &reason, elapsed));
            }
            if stage != self.goal.state() {
                look.reached = false;
            }
            self.seen.insert(alias.clone(), (stage, reason, told));
            if self.goal == Goal::Drained && !matches!(node.admin.as_str(), "draining" | "drained")
            {
                look.failed.push(format!(
                    "{} is drained no more: the order was called off",
                    harmless(&node.alias)
                ));
            }
            if node.state == "failed" && self.goal == Goal::Online {
                look.failed
                    .push(described(&node.alias, &node.state, &node.reason));
            }
        }
        look
    }

    /// The nodes that are not there yet, with what is known of them.
    fn missing(&self) -> String {
        let missing: Vec<String> = self
            .aliases
            .iter()
            .filter_map(|alias| {
                let (state, reason, _) = self.seen.get(alias)?;
                (state != self.goal.state()).then(|| described(alias, state, reason))
            })
            .collect();
        missing.join("; ")
    }
}

fn line(alias: &str, stage: &str, reason: &str, elapsed: Duration) -> String {
    let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    format!("{}  ({})", described(alias, stage, reason), duration(ms))
}

fn described(alias: &str, state: &str, reason: &str) -> String {
    let text = if reason.is_empty() {
        format!("{alias} is {state}")
    } else {
        format!("{alias} is {state}: {reason}")
    };
    harmless(&text)
}

/// Looks until the nodes are there, one of them failed, or `patience` is over; tells each change.
/// Returns the nodes' last rows as the server sent them, and how it went.
pub(super) async fn wait_for(
    api: &mut Api,
    aliases: &[String],
    goal: Goal,
    patience: Duration,
    terminal: &mut Terminal,
) -> Result<(Value, Outcome), Failure> {
    let started = Instant::now();
    let mut progress = Progress::new(goal, aliases);
    loop {
        let mut rows = api.raw("/api/v1/nodes").await?;
        let nodes = api_rows(&mut rows, &[])?;
        let look = progress.look(&nodes, started.elapsed());
        for line in &look.lines {
            terminal.note(line)?;
        }
        let over = started.elapsed() >= patience;
        let outcome = if look.reached {
            Ok(())
        } else if !look.failed.is_empty() {
            Err(Failure::new(
                Status::No,
                match goal {
                    Goal::Drained => look.failed.join("; "),
                    _ => format!("{}; `vaquita node log` shows why", look.failed.join("; ")),
                },
            ))
        } else if over {
            let seconds = patience.as_secs();
            let missing = progress.missing();
            Err(Failure::new(
                Status::No,
                format!(
                    "not all nodes are {} after {seconds} s: {missing}",
                    goal.state()
                ),
            ))
        } else {
            sleep(PERIOD).await;
            continue;
        };
        let known = |alias: &String| nodes.iter().any(|node| node.alias == *alias);
        let present: Vec<String> = aliases.iter().filter(|it| known(it)).cloned().collect();
        if !present.is_empty() {
            api_rows(&mut rows, &present)?;
        }
        return Ok((rows, outcome));
    }
}

#[cfg(test)]
mod tests;
