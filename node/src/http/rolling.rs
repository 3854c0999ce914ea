//! Restarting nodes one after the other.
//!
//! Each is ordered to end, waited for, ordered to run, and waited for until it serves; only then comes the
//! next one, so that no two are away at a time by this. What goes wrong ends it: the node in question is
//! ordered to run again, and the rest is not touched. Whoever asked for it may go away meanwhile; their
//! session counts as used as long as it lasts. It lives in this process alone: when the controller ends
//! meanwhile, what was ordered stands, and nothing more is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use vaquita_core::admin::{Caller, NodeRow, NodeState, Refusal, Response, Selection, Verb};
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
    /// All are restarted but these, which somebody has stopped meanwhile.
    Done(Vec<String>),
    Ended(Reason),
}

/// Why it has ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Said(String),
    TooLong(NodeState),
    /// Somebody has ordered the node to stop, while it was about to run again.
    Stopped,
    Bug,
}

impl Rolling {
    /// What there is to tell of it.
    pub(super) fn told(&self, t: &Words) -> Option<Flash> {
        let mut progress = self.lock();
        let is_over = |it: &Progress| matches!(it.stage, Stage::Done(_) | Stage::Ended(_));
        progress.take_if(|it| is_over(it) && it.since.elapsed() >= TOLD_FOR);
        let progress = progress.as_ref()?;
        let all = progress.nodes.len().to_string();
        let nth = (progress.at + 1).to_string();
        let node = progress.nodes.get(progress.at).map_or("", String::as_str);
        let mut lines = Vec::new();
        let (tone, line) = match &progress.stage {
            Stage::Stops => (Tone::Busy, fill(t.rolling_stops, &[&nth, &all, node])),
            Stage::Starts => (Tone::Busy, fill(t.rolling_starts, &[&nth, &all, node])),
            Stage::Done(stopped) => {
                let restarted = (progress.nodes.len() - stopped.len()).to_string();
                if !stopped.is_empty() {
                    lines.push(fill(t.rolling_stopped, &[&stopped.join(", ")]));
                }
                (Tone::Good, fill(t.rolling_done, &[&restarted]))
            }
            Stage::Ended(reason) => {
                let reason = reason.in_words(t);
                (Tone::Bad, fill(t.rolling_ended, &[node, &reason]))
            }
        };
        lines.insert(0, line);
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
            Self::Stopped => t.rolling_stopped_meanwhile.to_owned(),
            Self::Bug => t.rolling_bug.to_owned(),
        }
    }
}

/// Begins to restart these nodes, unless some are being restarted. Those that are meant to be stopped stay
/// so.
pub(super) async fn begin<F: Front>(
    app: &Arc<App<F>>,
    caller: Caller,
    nodes: Vec<String>,
    t: &Words,
) -> Result<Vec<String>, Problem> {
    let rows = rows(app, &caller).await?;
    let stays = |alias: &String| {
        let row = rows.iter().find(|row| row.alias.as_str() == alias);
        row.is_some_and(is_stopped)
    };
    let (stopped, nodes): (Vec<String>, Vec<String>) = nodes.into_iter().partition(stays);
    if nodes.is_empty() {
        return Err(Problem::invalid(fill(
            t.rolling_stopped,
            &[&stopped.join(", ")],
        )));
    }
    let count = nodes.len().to_string();
    let run = Run::begin(app, nodes).ok_or_else(|| {
        Problem::from(Refusal::Conflict {
            reason: t.rolling_under_way.to_owned(),
        })
    })?;
    // The first order shows whether the caller may give it and the node is there. It is given by the task:
    // whoever asks may break off at any time, and must not leave this half begun.
    let (tell, told) = oneshot::channel();
    tokio::spawn(run.all(caller, tell));
    match told.await {
        Ok(Some(refusal)) => Err(refusal.into()),
        Ok(None) | Err(_) => {
            let mut lines = vec![fill(t.rolling_begun, &[&count])];
            if !stopped.is_empty() {
                lines.push(fill(t.rolling_stopped, &[&stopped.join(", ")]));
            }
            Ok(lines)
        }
    }
}

/// The run of one restart. However it ends, the next one may begin.
struct Run<F: Front> {
    app: Arc<App<F>>,
    nodes: Vec<String>,
    at: usize,
    ended: bool,
}

impl<F: Front> Drop for Run<F> {
    fn drop(&mut self) {
        if !self.ended {
            self.app.rolling.step(self.at, Stage::Ended(Reason::Bug));
        }
    }
}

impl<F: Front> Run<F> {
    fn begin(app: &Arc<App<F>>, nodes: Vec<String>) -> Option<Self> {
        let mut progress = app.rolling.lock();
        let under_way = |it: &Progress| matches!(it.stage, Stage::Stops | Stage::Starts);
        if progress.as_ref().is_some_and(under_way) {
            return None;
        }
        *progress = Some(Progress {
            nodes: nodes.clone(),
            at: 0,
            stage: Stage::Stops,
            since: Instant::now(),
        });
        let app = app.clone();
        Some(Self {
            app,
            nodes,
            at: 0,
            ended: false,
        })
    }

    fn step(&self, stage: Stage) {
        self.app.rolling.step(self.at, stage);
    }

    /// Restarts them all; tells what came of the first order.
    async fn all(mut self, caller: Caller, tell: oneshot::Sender<Option<Refusal>>) {
        let first = order(&self.app, &caller, &self.nodes[0], false).await;
        let refused = first.is_err();
        let perhaps_done = matches!(
            &first,
            Err(Refusal::Busy { .. } | Refusal::Unavailable { .. })
        );
        // Nobody may listen any more.
        let _ = tell.send(first.err());
        if refused {
            if perhaps_done {
                // The machine may get to it all the same.
                self.put_back(&caller).await;
            }
            self.ended = true;
            *self.app.rolling.lock() = None;
            return;
        }
        let mut stopped = Vec::new();
        for at in 0..self.nodes.len() {
            self.at = at;
            if at > 0 {
                // Nothing was ordered of this one yet: whom somebody has stopped meanwhile stays so.
                match look(&self.app, &caller, &self.nodes[at]).await {
                    Ok(row) if is_stopped(&row) => {
                        stopped.push(self.nodes[at].clone());
                        continue;
                    }
                    Ok(_) => {}
                    Err(reason) => return self.end(Stage::Ended(reason)),
                }
            }
            if let Err(reason) = self.one(&caller).await {
                if reason != Reason::Stopped {
                    self.put_back(&caller).await;
                }
                return self.end(Stage::Ended(reason));
            }
        }
        self.end(Stage::Done(stopped));
    }

    fn end(&mut self, stage: Stage) {
        self.ended = true;
        self.step(stage);
    }

    async fn one(&self, caller: &Caller) -> Result<(), Reason> {
        let node = &self.nodes[self.at];
        self.step(Stage::Stops);
        // Of the first one this is said again, which changes nothing.
        insist(&self.app, caller, node, false).await?;
        wait(&self.app, caller, node, NodeState::Stopped).await?;
        self.step(Stage::Starts);
        insist(&self.app, caller, node, true).await?;
        wait(&self.app, caller, node, NodeState::Online).await
    }

    /// Has the node at hand run again, whatever has become of the rest. It was stopped on the way to being
    /// started, and must not stay so because somebody has logged out meanwhile: then this process itself
    /// takes its own order back.
    async fn put_back(&self, caller: &Caller) {
        let node = &self.nodes[self.at];
        for caller in [caller, &Caller::PROCESS] {
            if insist(&self.app, caller, node, true).await.is_ok() {
                return;
            }
        }
        tracing::warn!("{node} was stopped to be restarted, and could not be ordered to run again");
    }
}

async fn rows<F: Front>(app: &App<F>, caller: &Caller) -> Result<Vec<NodeRow>, Problem> {
    match app.ask(caller.clone(), Verb::ListNodes).await? {
        Response::Nodes(rows) => Ok(rows),
        other => Err(unexpected(&other)),
    }
}

async fn order<F: Front>(
    app: &App<F>,
    caller: &Caller,
    node: &str,
    run: bool,
) -> Result<(), Refusal> {
    let nodes = Selection::Aliases(vec![node.to_owned()]);
    let verb = match run {
        true => Verb::StartNodes(nodes),
        false => Verb::StopNodes(nodes),
    };
    app.ask(caller.clone(), verb).await.map(drop)
}

/// Gives an order, again while the machine is merely busy.
async fn insist<F: Front>(
    app: &App<F>,
    caller: &Caller,
    node: &str,
    run: bool,
) -> Result<(), Reason> {
    let begun = Instant::now();
    loop {
        match order(app, caller, node, run).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Busy { .. } | Refusal::Unavailable { .. })
                if begun.elapsed() < PATIENCE =>
            {
                sleep(PERIOD).await;
            }
            Err(refusal) => return Err(Reason::Said(refusal.to_string())),
        }
    }
}

fn is_stopped(row: &NodeRow) -> bool {
    matches!(row.state, NodeState::Stopped | NodeState::Stopping)
}

/// The row of a node, asked for again while the machine is merely busy.
async fn look<F: Front>(app: &App<F>, caller: &Caller, node: &str) -> Result<NodeRow, Reason> {
    let begun = Instant::now();
    loop {
        let rows = match app.ask(caller.clone(), Verb::ListNodes).await {
            Ok(Response::Nodes(rows)) => rows,
            Ok(other) => return Err(Reason::Said(unexpected(&other).message().to_owned())),
            Err(Refusal::Busy { .. } | Refusal::Unavailable { .. })
                if begun.elapsed() < PATIENCE =>
            {
                sleep(PERIOD).await;
                continue;
            }
            // Whoever has lost the right to ask has to be told.
            Err(refusal) => return Err(Reason::Said(refusal.to_string())),
        };
        let row = rows.into_iter().find(|row| row.alias.as_str() == node);
        return row.ok_or_else(|| Reason::Said(format!("{node} is gone from the cluster")));
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
        if let Caller::Remote {
            token: Some(token), ..
        } = caller
        {
            app.sessions.used(token);
        }
        let row = look(app, caller, node).await?;
        match row.state {
            state if state == wanted => return Ok(()),
            NodeState::Failed if wanted == NodeState::Online => {
                return Err(Reason::Said(row.reason));
            }
            // It was ordered to run, and that counts from the moment of the answer.
            _ if wanted == NodeState::Online && is_stopped(&row) => return Err(Reason::Stopped),
            _ => {}
        }
    }
    Err(Reason::TooLong(wanted))
}
