//! Bodies for fuzzers: what a person types.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _};
use vaquita_config::keys;

use super::command_line::{CommandLine, with_two_dashes};
use super::server_flags::{FlagErrors, ServerFlags};
use crate::console;

/// Built once: that takes longer than to read a line.
static COMMAND: LazyLock<clap::Command> = LazyLock::new(|| {
    let mut command = CommandLine::command();
    command.build();
    command
});

/// Reads the words that `data` describes as a command of the operator.
///
/// # Panics
/// If a line that is wrong is not explained, or if one that is right reads differently when what was
/// read is written out in full.
pub fn fuzz_command_line(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut words = Vec::new();
    let mut command = &*COMMAND;
    while words.len() < 12
        && let Ok(word) = command_word(&mut input, &mut command)
    {
        words.push(word);
    }
    let words = with_two_dashes(&words);
    let matches = match read(words.iter().map(OsString::from)) {
        Ok(matches) => matches,
        Err(error) => {
            let text = error.render().to_string();
            let is_explained = match error.use_stderr() {
                true => text.contains("error: ") || text.contains("Usage: vaquita"),
                false => text.contains("vaquita"),
            };
            assert!(is_explained, "{words:?}: {text:?}");
            return;
        }
    };
    let line = CommandLine::from_arg_matches(&matches).expect("matches are those of this line");
    let mut written = Vec::new();
    write_out(&COMMAND, &matches, &mut written);
    let again = read(written.iter().cloned())
        .and_then(|matches| CommandLine::from_arg_matches(&matches))
        .unwrap_or_else(|error| panic!("{words:?} was read, and {written:?} is not: {error}"));
    assert_eq!(
        format!("{again:?}"),
        format!("{line:?}"),
        "{words:?} and {written:?} are the same"
    );
}

fn read(words: impl Iterator<Item = OsString>) -> clap::error::Result<ArgMatches> {
    let program = std::iter::once(OsString::from("vaquita"));
    COMMAND.clone().try_get_matches_from(program.chain(words))
}

/// The words of a command line in full: all flags by their long names with `=`, then `--`, then the rest.
fn write_out(command: &clap::Command, matches: &ArgMatches, words: &mut Vec<OsString>) {
    let mut behind = Vec::new();
    let arguments = command.get_arguments().filter(|it| is_typed(it, matches));
    for argument in arguments {
        let id = argument.get_id().as_str();
        let values = || matches.get_raw(id).into_iter().flatten();
        if argument.is_positional() {
            behind.extend(values().map(OsString::from));
            continue;
        }
        let name = match (argument.get_long(), argument.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => unreachable!("a flag has a name"),
        };
        if !argument.get_action().takes_values() {
            let times = match argument.get_action() {
                clap::ArgAction::Count => matches.get_count(id),
                _ => 1,
            };
            words.extend((0..times).map(|_| OsString::from(&name)));
            continue;
        }
        for value in values() {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            words.push(word);
        }
    }
    if let Some((name, matches)) = matches.subcommand() {
        words.push(name.into());
        let command = command.find_subcommand(name).expect("it was read");
        write_out(command, matches, words);
    }
    if !behind.is_empty() {
        words.push("--".into());
        words.extend(behind);
    }
}

fn is_typed(argument: &Arg, matches: &ArgMatches) -> bool {
    let source = matches
        .try_get_raw(argument.get_id().as_str())
        .ok()
        .flatten();
    let source = source.and_then(|_| matches.value_source(argument.get_id().as_str()));
    source == Some(clap::parser::ValueSource::CommandLine)
}

/// A subcommand of where the words have got to, one of its flags, or what may be a value.
fn command_word(
    input: &mut Unstructured<'_>,
    command: &mut &'static clap::Command,
) -> Result<String> {
    const VALUES: [&str; 22] = [
        "P1-NODE1",
        "admin",
        "dfs-read",
        "60",
        "0",
        "-1",
        "dfs://data/a.csv",
        "/data",
        "-",
        "--",
        "P4:8990",
        "cluster.cfg",
        "a b",
        "数据",
        "",
        "bash",
        "volumes",
        "-lR",
        "1h",
        "99999999999999999999",
        "--help",
        "-V",
    ];
    match input.int_in_range(0..=7)? {
        0..=2 if command.has_subcommands() => {
            let all: Vec<&clap::Command> = command.get_subcommands().collect();
            let next = *input.choose(&all)?;
            *command = next;
            Ok(next.get_name().to_owned())
        }
        0..=4 => {
            let flags: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
            let dashes = *input.choose(&["--", "--", "-"])?;
            let flag = match flags.is_empty() {
                true => "server",
                false => *input.choose(&flags)?,
            };
            Ok(match input.arbitrary()? {
                true => format!("{dashes}{flag}"),
                false => format!("{dashes}{flag}={}", input.choose(&VALUES)?),
            })
        }
        5 => text(input),
        _ => Ok((*input.choose(&VALUES)?).to_owned()),
    }
}

/// Some characters.
fn text(input: &mut Unstructured<'_>) -> Result<String> {
    let len = input.int_in_range(0..=20)?;
    Ok(String::from_utf8_lossy(input.bytes(len)?).into_owned())
}

/// Reads the words that `data` describes as the flags of a server process.
///
/// # Panics
/// If a line that is wrong is not explained, or if one that is right reads differently when what was
/// read is written out in full.
pub fn fuzz_flags(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut words = Vec::new();
    while words.len() < 12
        && let Ok(more) = flag_words(&mut input)
    {
        words.extend(more);
    }
    let flags = match ServerFlags::parse(&words) {
        Ok(flags) => flags,
        Err(FlagErrors(errors)) => {
            assert!(!errors.is_empty(), "{words:?}");
            assert!(errors.iter().all(|error| !error.is_empty()), "{words:?}");
            assert!(
                errors.len() <= words.len(),
                "one complaint a word: {errors:?}"
            );
            return;
        }
    };
    for dashes in ["-", "--"] {
        let written: Vec<String> = (flags.settings.iter())
            .map(|(name, value)| format!("{dashes}{name}={value}"))
            .collect();
        assert_eq!(
            ServerFlags::parse(&written).as_ref(),
            Ok(&flags),
            "{words:?} and {written:?} are the same"
        );
    }
}

fn flag_words(input: &mut Unstructured<'_>) -> Result<Vec<String>> {
    const VALUES: [&str; 18] = [
        "agent",
        "controller",
        "0",
        "1",
        "-1",
        "true",
        "P1-NODE1",
        "10.1.1.1:8960:P1-agent",
        "[fd00::1]:8990:master",
        "/noconfig",
        "data",
        "-dash",
        "--",
        "-home",
        "4",
        "16",
        "/VOL1/<ALIAS>",
        "",
    ];
    let value = |input: &mut Unstructured<'_>| match input.ratio(3, 4)? {
        true => Ok((*input.choose(&VALUES)?).to_owned()),
        false => text(input),
    };
    if input.ratio(1, 8)? {
        return Ok(vec![value(input)?]);
    }
    let key = input.choose(keys::TABLE)?.name;
    let key = match input.int_in_range(0..=7)? {
        0 => key.to_uppercase(),
        1 => format!("{key}s"),
        _ => key.to_owned(),
    };
    let dashes = *input.choose(&["-", "--"])?;
    Ok(match input.int_in_range(0..=4)? {
        0 => vec![format!("{dashes}{key}")],
        1 => vec![format!("{dashes}{key}={}", value(input)?)],
        _ => vec![format!("{dashes}{key}"), value(input)?],
    })
}

/// Reads `data` as a line of the console.
///
/// # Panics
/// If a line that is wrong is not explained, or if one that is right reads differently when what was
/// read is written out in full.
pub fn fuzz_console(data: &[u8]) {
    console::fuzz_line(&String::from_utf8_lossy(data));
}
