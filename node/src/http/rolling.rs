//! Restarting nodes one after the other.
//!
//! Each is ordered to end, waited for, ordered to run, and waited for until it serves; only then comes the
//! next one, so that no two are away at a time by this. What goes wrong ends it, and the rest is not
//! touched. It lives in this process alone: when the controller ends meanwhile, what was ordered stands, and
//! nothing more is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vaquita_core::admin::{Caller, NodeState, Refusal, Response, Selection, Verb};
use vaquita_web::words::{Words, fill, node_state};
use vaquita_web::{Flash, Tone};

use super::app::App;
use super::front::Front;
use super::gate::unexpected;
use super::problem::Problem;

/// How long a node may take to end, and to serve again: what it has under way is finished first, and what
/// is on its volumes is read.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often is looked.
const PERIOD: Duration = Duration::from_millis(300);
/// How long the end of it is told.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// A restart of nodes, under way or just over.
#[derive(Default)]
pub(super) struct Rolling(Mutex<Option<Progress>>);

struct Progress {
    nodes: Vec<String>,
    /// Which of them is at it.
    at: usize,
    stage: Stage,
    since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Stops,
    Starts,
    Done,
    Ended(Reason),
}

/// Why it has ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Said(String),
    TooLong(NodeState),
}

impl Rolling {
    /// What there is to tell of it.
    pub(super) fn told(&self, t: &Words) -> Option<Flash> {
        let mut progress = self.lock();
        let is_over = |it: &Progress| matches!(it.stage, Stage::Done | Stage::Ended(_));
        progress.take_if(|it| is_over(it) && it.since.elapsed() >= TOLD_FOR);
        let progress = progress.as_ref()?;
        let all = progress.nodes.len().to_string();
        let nth = (progress.at + 1).to_string();
        let node = progress.nodes.get(progress.at).map_or("", String::as_str);
        let (tone, line) = match &progress.stage {
            Stage::Stops => (Tone::Busy, fill(t.rolling_stops, &[&nth, &all, node])),
            Stage::Starts => (Tone::Busy, fill(t.rolling_starts, &[&nth, &all, node])),
            Stage::Done => (Tone::Good, fill(t.rolling_done, &[&all])),
            Stage::Ended(reason) => {
                let reason = reason.in_words(t);
                (Tone::Bad, fill(t.rolling_ended, &[node, &reason]))
            }
        };
        let lines = vec![line];
        Some(Flash { tone, lines })
    }

    fn step(&self, at: usize, stage: Stage) {
        if let Some(progress) = &mut *self.lock() {
            progress.at = at;
            progress.stage = stage;
            progress.since = Instant::now();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Progress>> {
        // Nothing that holds it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reason {
    fn in_words(&self, t: &Words) -> String {
        match self {
            Self::Said(words) => words.clone(),
            Self::TooLong(state) => {
                let patience = PATIENCE.as_secs().to_string();
                fill(t.rolling_too_long, &[node_state(t, *state), &patience])
            }
        }
    }
}

/// Begins to restart these nodes, unless some are being restarted.
pub(super) async fn begin<F: Front>(
    app: &Arc<App<F>>,
    caller: Caller,
    nodes: Vec<String>,
    t: &Words,
) -> Result<Vec<String>, Problem> {
    let count = nodes.len().to_string();
    {
        let mut progress = app.rolling.lock();
        let under_way = |it: &Progress| matches!(it.stage, Stage::Stops | Stage::Starts);
        if progress.as_ref().is_some_and(under_way) {
            let reason = t.rolling_under_way.to_owned();
            return Err(Refusal::Conflict { reason }.into());
        }
        *progress = Some(Progress {
            nodes: nodes.clone(),
            at: 0,
            stage: Stage::Stops,
            since: Instant::now(),
        });
    }
    // The first order shows whether the caller may give it and the node is there.
    if let Err(problem) = order(app, &caller, &nodes[0], false).await {
        *app.rolling.lock() = None;
        return Err(problem);
    }
    let app = app.clone();
    tokio::spawn(async move {
        let outcome = all(&app, &caller, &nodes).await;
        if let Err((at, reason)) = outcome {
            app.rolling.step(at, Stage::Ended(reason));
        } else {
            app.rolling.step(nodes.len().saturating_sub(1), Stage::Done);
        }
    });
    Ok(vec![fill(t.rolling_begun, &[&count])])
}

async fn all<F: Front>(
    app: &App<F>,
    caller: &Caller,
    nodes: &[String],
) -> Result<(), (usize, Reason)> {
    for (at, node) in nodes.iter().enumerate() {
        let said = |problem: Problem| (at, Reason::Said(problem.message().to_owned()));
        app.rolling.step(at, Stage::Stops);
        order(app, caller, node, false).await.map_err(said)?;
        wait(app, caller, node, NodeState::Stopped)
            .await
            .map_err(|reason| (at, reason))?;
        app.rolling.step(at, Stage::Starts);
        order(app, caller, node, true).await.map_err(said)?;
        wait(app, caller, node, NodeState::Online)
            .await
            .map_err(|reason| (at, reason))?;
    }
    Ok(())
}

async fn order<F: Front>(
    app: &App<F>,
    caller: &Caller,
    node: &str,
    run: bool,
) -> Result<(), Problem> {
    let nodes = Selection::Aliases(vec![node.to_owned()]);
    let verb = match run {
        true => Verb::StartNodes(nodes),
        false => Verb::StopNodes(nodes),
    };
    match app.ask(caller.clone(), verb).await? {
        Response::Ordered(_) => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Waits until a node is as it was ordered.
async fn wait<F: Front>(
    app: &App<F>,
    caller: &Caller,
    node: &str,
    wanted: NodeState,
) -> Result<(), Reason> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        sleep(PERIOD).await;
        let rows = match app.ask(caller.clone(), Verb::ListNodes).await {
            Ok(Response::Nodes(rows)) => rows,
            Ok(_) => continue,
            // Busy for a moment; whoever has lost the right to ask has to be told.
            Err(Refusal::Busy { .. } | Refusal::Unavailable { .. }) => continue,
            Err(refusal) => return Err(Reason::Said(refusal.to_string())),
        };
        let row = rows.iter().find(|row| row.alias.as_str() == node);
        match row {
            // One that is drained serves as well as it did before.
            Some(row) if row.state == wanted => return Ok(()),
            Some(row)
                if wanted == NodeState::Online
                    && matches!(row.state, NodeState::Draining | NodeState::Failed) =>
            {
                return match row.state {
                    NodeState::Draining => Ok(()),
                    _ => Err(Reason::Said(row.reason.clone())),
                };
            }
            Some(_) => {}
            None => return Err(Reason::Said(format!("{node} is gone from the cluster"))),
        }
    }
    Err(Reason::TooLong(wanted))
}
