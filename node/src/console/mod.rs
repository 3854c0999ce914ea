//! Commands typed at a process that runs in the foreground (`-console 1`).
//!
//! The end of the input is no reason to end the process: many are started with no terminal at all.

mod command;
mod fuzzing;
mod render;

#[cfg(test)]
mod tests;

use tokio::sync::mpsc;
use vaquita_core::admin::{Caller, Request, Selection, Verb};

use crate::driver::{Front, Terminator};
use command::{Command, parse};
pub(crate) use fuzzing::fuzz_line;
use render::{HELP, render};

/// Carries out the commands in `lines` until they end, `quit` is typed or the process ends.
///
/// Answers go to `out`, a text of whole lines each.
pub async fn run(
    front: Front,
    mut lines: mpsc::Receiver<String>,
    out: mpsc::Sender<String>,
    terminator: Terminator,
) {
    let conversation = async {
        while let Some(line) = lines.recv().await {
            let answer = match parse(&line) {
                Ok(None) => continue,
                Ok(Some(Command::Quit)) => {
                    terminator.terminate();
                    return;
                }
                Ok(Some(Command::Help)) => HELP.to_owned(),
                Ok(Some(Command::Status)) => render(&ask(&front, Verb::Status).await),
                Ok(Some(Command::Start(aliases))) => {
                    let nodes = Selection::Aliases(aliases);
                    render(&ask(&front, Verb::StartNodes(nodes)).await)
                }
                Ok(Some(Command::Stop(aliases))) => {
                    let nodes = Selection::Aliases(aliases);
                    render(&ask(&front, Verb::StopNodes(nodes)).await)
                }
                Err(problem) => format!("{problem}\n"),
            };
            if out.send(answer).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = terminator.ended() => {}
        () = conversation => {}
    }
}

async fn ask(front: &Front, verb: Verb) -> vaquita_core::admin::Reply {
    let caller = Caller::CONSOLE;
    front.ask(Request { caller, verb }).await
}
