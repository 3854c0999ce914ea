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
    Done,
    Ended(Reason),
}

/// Why it has ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Said(String),
    TooLong(NodeState),
    Bug,
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
    let is_stopped = |alias: &String| {
        let row = rows.iter().find(|row| row.alias.as_str() == alias);
        row.is_some_and(|row| matches!(row.state, NodeState::Stopped | NodeState::Stopping))
    };
    let (stopped, nodes): (Vec<String>, Vec<String>) = nodes.into_iter().partition(is_stopped);
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
        if let Err(Refusal::Busy { .. } | Refusal::Unavailable { .. }) = &first {
            // It may be carried out all the same, when the machine gets to it.
            self.put_back(&caller).await;
        }
        // Nobody may listen any more.
        let _ = tell.send(first.err());
        if refused {
            self.ended = true;
            *self.app.rolling.lock() = None;
            return;
        }
        for at in 0..self.nodes.len() {
            self.at = at;
            // Whom somebody has stopped meanwhile stays so.
            if at > 0 && self.is_stopped(&caller).await {
                continue;
            }
            if let Err(reason) = self.one(&caller).await {
                self.put_back(&caller).await;
                self.ended = true;
                self.step(Stage::Ended(reason));
                return;
            }
        }
        self.ended = true;
        self.step(Stage::Done);
    }

    async fn is_stopped(&self, caller: &Caller) -> bool {
        let node = &self.nodes[self.at];
        let rows = rows(&self.app, caller).await.unwrap_or_default();
        let row = rows.iter().find(|row| row.alias.as_str() == node);
        row.is_some_and(|row| matches!(row.state, NodeState::Stopped | NodeState::Stopping))
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
        let rows = match app.ask(caller.clone(), Verb::ListNodes).await {
            Ok(Response::Nodes(rows)) => rows,
            Ok(_) => continue,
            // Busy for a moment; whoever has lost the right to ask has to be told.
            Err(Refusal::Busy { .. } | Refusal::Unavailable { .. }) => continue,
            Err(refusal) => return Err(Reason::Said(refusal.to_string())),
        };
        match rows.iter().find(|row| row.alias.as_str() == node) {
            Some(row) if row.state == wanted => return Ok(()),
            Some(row) if wanted == NodeState::Online && row.state == NodeState::Failed => {
                return Err(Reason::Said(row.reason.clone()));
            }
            Some(_) => {}
            None => return Err(Reason::Said(format!("{node} is gone from the cluster"))),
        }
    }
    Err(Reason::TooLong(wanted))
}
