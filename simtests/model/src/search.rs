//! Searching, and telling what was found.

use core::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::action;
use crate::model::{Cluster, Marks, NOTHING_WRONG};

/// What a search has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Steps that were made.
    pub steps: usize,
    /// Different states.
    pub states: usize,
    /// Steps from the first state to the farthest.
    pub depth: usize,
    /// Whether every state within the bounds was reached.
    pub exhausted: bool,
    /// How long it took.
    pub took: Duration,
    /// How often operators were told what.
    pub marks: Marks,
    /// The shortest way to a state in which something is wrong.
    pub violation: Option<Violation>,
}

/// The shortest way to a state in which something is wrong.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// Each step, with what operators were told in it.
    pub path: Vec<(String, Vec<String>)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (step, told)) in self.path.iter().enumerate() {
            writeln!(f, "  {:3}. {step}", at + 1)?;
            for words in told {
                writeln!(f, "         {words}")?;
            }
        }
        write!(f, "  wrong: {}", self.what)
    }
}

/// The real time, for how long a search takes and nothing else.
#[expect(
    clippy::disallowed_methods,
    reason = "a search is told how long it took"
)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Goes through all states, the nearest first, until all are known, one of them is wrong, or the time
/// is over.
#[must_use]
pub fn search(mut cluster: Cluster, patience: Option<Duration>) -> Outcome {
    let began = clock();
    cluster.until = patience.map(|patience| began + patience);
    let checker = cluster
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let took = began.elapsed();
    let cluster = checker.model();
    let marks = cluster.marks();
    let violation = checker.discovery(NOTHING_WRONG).map(|path| {
        let mut site = cluster.init_states().remove(0);
        let mut steps = Vec::new();
        for step in path.into_actions() {
            let words = action::tell(&cluster.setup, &site, step);
            let (after, told) = cluster.step(&site, step);
            steps.push((words, told));
            site = after;
        }
        let what = match (&site.wrong, crate::scenes::recovers(&cluster.setup, &site)) {
            (Some(what), _) => what.clone(),
            (None, Err(what)) => what,
            (None, Ok(())) => "nothing, the second time".to_owned(),
        };
        Violation { what, path: steps }
    });
    Outcome {
        steps: checker.state_count(),
        states: checker.unique_state_count(),
        depth: checker.max_depth().saturating_sub(1),
        exhausted: violation.is_none() && !cluster.has_given_up(),
        took,
        marks,
        violation,
    }
}
