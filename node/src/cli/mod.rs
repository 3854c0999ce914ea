//! What a person types.
//!
//! A command line that begins with a word is a command of the operator; one that begins with a dash
//! starts a server process and has the form that the tutorial gives it. Results go to standard
//! output, everything else to standard error, and the exit status has one meaning each
//! ([`Status`]).

#![forbid(unsafe_code)]

mod client;
mod command_line;
mod commands;
mod config_files;
mod diagnostics;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod local;
mod progress;
mod prompt;
mod server;
mod server_flags;
pub(crate) mod shell;
mod size;
mod table;
mod terminal;

use std::ffi::OsString;
use std::io::Write as _;

use clap::{CommandFactory as _, FromArgMatches as _};

use self::command_line::{Command, CommandLine, with_two_dashes};
pub use self::exit::{Failure, Outcome, Status};
pub use self::server::{FilePaths, ServerPlan};
pub use self::server_flags::{FlagErrors, ServerFlags};
pub use self::terminal::{Colour, Terminal};

/// Runs a server process until it ends, and returns its exit status.
pub type Serve = fn(ServerPlan, &mut Terminal) -> Result<u8, Failure>;

/// Does what a command line says and returns the exit status. `arguments` begin with the program's
/// name; `serve` runs a server process.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    terminal: &mut Terminal,
    serve: Serve,
) -> u8 {
    let outcome = words(arguments).and_then(|words| match words.first() {
        Some(first) if first.starts_with('-') && !is_about_the_program(first) => {
            start(&words, terminal, serve)
        }
        _ => command(&words, terminal).map(|()| Status::Success.number()),
    });
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            terminal.complain(&failure.message);
            failure.status.number()
        }
    }
}

/// The words behind the program's name.
fn words(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Failure> {
    arguments
        .into_iter()
        .skip(1)
        .map(|word| {
            word.into_string().map_err(|word| {
                Failure::new(
                    Status::Usage,
                    format!("`{}` is not UTF-8", word.to_string_lossy()),
                )
            })
        })
        .collect()
}

fn is_about_the_program(word: &str) -> bool {
    matches!(
        word,
        "-h" | "-help" | "--help" | "-V" | "-version" | "--version"
    )
}

fn start(words: &[String], terminal: &mut Terminal, serve: Serve) -> Result<u8, Failure> {
    let flags = ServerFlags::parse(words).map_err(|FlagErrors(errors)| {
        for error in &errors {
            terminal.complain(error);
        }
        Failure::told(Status::Usage)
    })?;
    let plan = ServerPlan::read(&flags, terminal)?;
    serve(plan, terminal)
}

fn command(words: &[String], terminal: &mut Terminal) -> Outcome {
    let program = std::iter::once("vaquita".to_owned());
    let parsed = CommandLine::command()
        .try_get_matches_from(program.chain(with_two_dashes(words)))
        .and_then(|matches| CommandLine::from_arg_matches(&matches));
    let line = match parsed {
        Ok(line) => line,
        Err(error) => return explain_usage(&error, terminal),
    };
    match line.command {
        Command::Local(it) => it.run(terminal),
        Command::Check(it) => it.run(terminal),
        Command::Config(it) => it.run(terminal),
        Command::Explain(it) => it.run(terminal),
        Command::LogIn(it) => it.run(terminal),
        Command::LogOut(it) => it.run(terminal),
        Command::Node(it) => it.run(terminal),
        Command::Meta(it) => it.run(terminal),
        Command::Dfs(it) => it.run(terminal),
        Command::Chunk(it) => it.run(terminal),
        Command::Volume(it) => it.run(terminal),
        Command::Repair(it) => it.run(terminal),
        Command::Status(it) => it.run(terminal),
        Command::User(it) => it.run(terminal),
        Command::Token(it) => it.run(terminal),
        Command::Audit(it) => it.run(terminal),
        Command::Secret(it) => it.run(terminal),
        Command::Completions(it) => it.run(CommandLine::command(), terminal),
    }
}

/// Help and the version are answers; everything else that clap has to say is an error.
fn explain_usage(error: &clap::Error, terminal: &mut Terminal) -> Outcome {
    let answer = !error.use_stderr();
    let text = error.render();
    let (stream, colours) = if answer {
        (&mut terminal.out, terminal.out_colours)
    } else {
        (&mut terminal.err, terminal.err_colours)
    };
    let written = if colours {
        write!(stream, "{}", text.ansi())
    } else {
        write!(stream, "{text}")
    };
    written.and_then(|()| stream.flush())?;
    if answer {
        Ok(())
    } else {
        Err(Failure::told(Status::Usage))
    }
}

#[cfg(test)]
mod tests;
