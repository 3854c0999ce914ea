//! `vaquita status`: the cluster on one screen.

use std::time::Duration;

use clap::Args;

use super::node;
use crate::cli::client::{Api, LogCopyView, ServerOption, StatusView, block_on};
use crate::cli::exit::Outcome;
use crate::cli::json;
use crate::cli::terminal::{Colour, Terminal, harmless};

/// How often `--watch` looks again.
const PERIOD: Duration = Duration::from_secs(1);

/// Show the state of the cluster on one screen
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita status
  vaquita status --watch        looks again every second, until Ctrl-C
  vaquita status --json | jq -r '.nodes[] | select(.state != \"online\") | .alias'")]
pub(in crate::cli) struct ShowStatus {
    #[command(flatten)]
    server: ServerOption,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Look again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl ShowStatus {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            loop {
                if self.json {
                    let status = api.raw("/api/v1/status").await?;
                    json::object(terminal, &status)?;
                } else {
                    let looked = api.status().await;
                    let text = match looked {
                        Ok(status) => screen(&status, terminal),
                        // A controller that restarts is what one watches for.
                        Err(error) if self.watch => format!("{error}\n"),
                        Err(error) => return Err(error.into()),
                    };
                    if self.watch && terminal.out_is_terminal {
                        // Home, then the screen, then nothing below: no flicker.
                        let cleared = text.replace('\n', "\x1b[K\n");
                        write!(terminal.out, "\x1b[H{cleared}\x1b[J")?;
                        terminal.out.flush()?;
                    } else {
                        terminal.say(text.trim_end())?;
                    }
                }
                if !self.watch {
                    return Ok(());
                }
                tokio::time::sleep(PERIOD).await;
            }
        })
    }
}

/// What there is to know, the worst first.
fn screen(status: &StatusView, terminal: &Terminal) -> String {
    let colour = if !status.alarms.is_empty() {
        Colour::Red
    } else if status.ready {
        Colour::Green
    } else {
        Colour::Yellow
    };
    let mut text = format!(
        "{} {}: {}\n",
        harmless(&status.mode),
        harmless(&status.alias),
        terminal.paint(colour, &harmless(&status.summary))
    );
    let mut facts = vec![format!("up {}", duration(status.uptime_ms))];
    if let Some(ms) = status.all_green_after_ms {
        facts.push(format!("all green {} after its start", duration(ms)));
    }
    if let Some(index) = status.commit_index {
        facts.push(format!("log index {index}"));
    }
    text.push_str(&terminal.paint(Colour::Dim, &facts.join(", ")));
    text.push('\n');
    for copy in &status.log_copies {
        text.push_str(&terminal.paint(Colour::Dim, &log_copy(copy)));
        text.push('\n');
    }
    for alarm in &status.alarms {
        let alarm = format!("  ! {}", harmless(alarm));
        text.push_str(&terminal.paint(Colour::Red, &alarm));
        text.push('\n');
    }
    if !status.nodes.is_empty() {
        text.push('\n');
        text.push_str(&node::table(&status.nodes).render(terminal));
    }
    text
}

/// One line on a copy of the controller's log.
fn log_copy(copy: &LogCopyView) -> String {
    let state = match copy {
        LogCopyView { state, .. } if !state.is_empty() => format!(" ({})", harmless(state)),
        LogCopyView {
            complete: false, ..
        } => " (not complete)".to_owned(),
        _ => String::new(),
    };
    format!(
        "log copied to {} up to {}{state}",
        harmless(&copy.alias),
        copy.upto
    )
}

/// A span of time in the two units that matter.
pub(in crate::cli) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=9 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests;
