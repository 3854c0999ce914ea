//! Many files at a time.

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::interval;

use crate::cli::client::{Carrier, Entries};
use crate::cli::exit::{Failure, Status};
use crate::cli::progress::{PERIOD, Progress, Tally};
use crate::cli::terminal::{Terminal, harmless};

/// How much at once, and how much is told about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) jobs: usize,
    pub(super) verbose: bool,
}

/// What became of many files.
#[derive(Debug)]
pub(super) struct Results<R> {
    pub(super) done: Vec<R>,
    /// How many failed; each was complained about.
    failed: usize,
    /// The most serious status of them.
    status: Option<Status>,
    only: Option<Failure>,
}

impl<R> Results<R> {
    /// The failure of the whole, if a part of it failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        if let Some(only) = &self.only {
            return Some(only.clone());
        }
        let all = self.done.len() + self.failed;
        self.status
            .map(|status| Failure::new(status, format!("{} of {all} files failed", self.failed)))
    }
}

/// Has `work` done for each of the files, several at a time, and shows how far it is.
///
/// A file that fails does not keep the others from being carried, unless it failed for want of a
/// cluster or of a login: then they all would.
pub(super) async fn run<J, R, F>(
    files: Vec<J>,
    entries: Entries,
    tally: &Arc<Tally>,
    manner: Manner,
    progress: &mut Progress,
    terminal: &mut Terminal,
    work: impl Fn(Carrier, J) -> F,
) -> Results<R>
where
    R: Send + 'static,
    F: Future<Output = (Carrier, Result<R, Failure>)> + Send + 'static,
{
    let entries = Arc::new(entries);
    let one = files.len() == 1;
    let mut waiting = files.into_iter();
    let mut running = JoinSet::new();
    for (nth, file) in waiting.by_ref().take(manner.jobs.max(1)).enumerate() {
        let carrier = Carrier::new(entries.clone(), tally.clone(), nth);
        running.spawn(work(carrier, file));
    }
    let mut results = Results {
        done: Vec::new(),
        failed: 0,
        status: None,
        only: None,
    };
    let mut ticks = interval(PERIOD);
    loop {
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            _ = ticks.tick() => {
                tell_notes(tally, manner, progress, terminal);
                progress.draw(terminal, results.done.len(), tally.bytes());
                continue;
            }
        };
        tell_notes(tally, manner, progress, terminal);
        let (carrier, result) = match ended {
            None => break,
            Some(Ok(ended)) => ended,
            Some(Err(error)) => {
                let words = format!("a part of the command ended in the middle: {error}");
                results.only = Some(Failure::new(Status::Bug, words));
                break;
            }
        };
        match result {
            Ok(done) => results.done.push(done),
            Err(failure) if one => results.only = Some(failure),
            Err(failure) => {
                results.failed += 1;
                let status = failure.status;
                let before = results.status.replace(status);
                results.status = before.into_iter().chain([status]).max_by_key(weight);
                progress.clear(terminal);
                terminal.complain(&harmless(&failure.message));
                if matches!(status, Status::Unavailable | Status::Denied | Status::Bug) {
                    results.failed += running.len() + waiting.len();
                    break;
                }
            }
        }
        if let Some(file) = waiting.next() {
            running.spawn(work(carrier, file));
        }
    }
    progress.clear(terminal);
    results
}

/// What an exit status says of several failures: the one that most wants to be looked at.
fn weight(status: &Status) -> usize {
    const GROWING: [Status; 7] = [
        Status::Unreadable,
        Status::Busy,
        Status::Unavailable,
        Status::Denied,
        Status::Disk,
        Status::Damaged,
        Status::Bug,
    ];
    let at = GROWING.iter().position(|it| it == status);
    at.map_or(0, |at| at + 1)
}

fn tell_notes(tally: &Tally, manner: Manner, progress: &mut Progress, terminal: &mut Terminal) {
    for note in tally.notes() {
        if manner.verbose {
            progress.note(terminal, &note);
        }
    }
}
