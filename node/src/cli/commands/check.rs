//! `vaquita check`: what is wrong with the files, before anything is started.

use std::path::PathBuf;

use clap::Args;
use vaquita_config::CheckOptions;

use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::{Colour, Terminal};
use crate::cli::{config_files, diagnostics, json};

/// Say what is wrong with configuration files, before anything is started
///
/// Looks for controller.cfg, cluster.nodes, cluster.cfg and agent.cfg, and shows every problem with
/// its file, line and column. The files are checked together: leaving one out leaves out what only
/// it could show.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita check                          the files here, in ./config and in a directory a host
  vaquita check /etc/vaquita --strict    an unknown key is an error
  vaquita check cluster.nodes cluster.cfg
  vaquita check --json | jq '.[].code'

Exit status: 0 clean or warnings only, 1 errors, 2 a file cannot be read.")]
pub(in crate::cli) struct Check {
    /// Directories and files; the directory one is in, if none is given
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
    /// Make errors of unknown, misplaced, retired and renamed keys
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let paths = if self.paths.is_empty() {
            vec![PathBuf::from(".")]
        } else {
            self.paths
        };
        let found = config_files::read(&paths)?;
        let options = CheckOptions {
            strict: self.strict,
            host: None,
        };
        let report = vaquita_config::check(&found.files, &options);
        if self.json {
            json::array(terminal, &report.diagnostics)?;
        } else {
            for diagnostic in &report.diagnostics {
                let colours = terminal.out_colours;
                let text = diagnostics::render(diagnostic, &found.files, colours);
                terminal.say(text)?;
                terminal.say("")?;
            }
            let summary = summary(report.errors(), report.warnings(), found.count);
            let colour = match (report.errors(), report.warnings()) {
                (0, 0) => Colour::Green,
                (0, _) => Colour::Yellow,
                _ => Colour::Red,
            };
            let summary = terminal.paint(colour, &summary);
            terminal.say(summary)?;
        }
        if report.errors() > 0 {
            return Err(Failure::told(Status::No));
        }
        Ok(())
    }
}

fn summary(errors: usize, warnings: usize, files: usize) -> String {
    let files = counted(files, "file");
    match (errors, warnings) {
        (0, 0) => format!("{files} checked: nothing is wrong"),
        (0, warnings) => format!("{files} checked: {}", counted(warnings, "warning")),
        (errors, 0) => format!("{files} checked: {}", counted(errors, "error")),
        (errors, warnings) => format!(
            "{files} checked: {}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    }
}

pub(in crate::cli) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
