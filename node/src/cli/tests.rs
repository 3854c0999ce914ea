use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};

use super::command_line::{CommandLine, with_two_dashes};
use super::terminal::testing::captured;
use super::{Failure, ServerPlan, Status, Terminal, run};

fn nothing(_: ServerPlan, _: &mut Terminal) -> Result<u8, Failure> {
    Ok(42)
}

/// Exit status, standard output and standard error of a command line.
fn vaquita(line: &str) -> (u8, String, String) {
    let (mut terminal, out, err) = captured();
    let words = std::iter::once("vaquita").chain(line.split_whitespace());
    let status = run(words.map(OsString::from), &mut terminal, nothing);
    (status, out.text(), err.text())
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_has_a_help_text_and_the_long_ones_examples() {
    for command in CommandLine::command().get_subcommands() {
        let name = command.get_name();
        let (status, out, _) = vaquita(&format!("{name} --help"));
        assert_eq!(status, 0, "{name}");
        assert!(out.contains("Usage: vaquita "), "{name}: {out}");
        if name != "logout" {
            assert!(out.contains("Examples:"), "{name}: {out}");
        }
    }
}

#[test]
fn help_is_an_answer_and_a_bare_program_name_a_question() {
    for line in ["--help", "-h", "-help"] {
        let (status, out, err) = vaquita(line);
        assert_eq!((status, err.as_str()), (0, ""), "{line}");
        assert!(out.contains("vaquita local"), "{line}: {out}");
        assert!(out.contains("-mode controller"), "{line}: {out}");
    }
    let (status, out, err) = vaquita("");
    assert_eq!((status, out.as_str()), (64, ""));
    assert!(err.contains("Usage: vaquita <COMMAND>"), "{err}");
}

#[test]
fn a_command_line_that_begins_with_a_dash_starts_a_server_process() {
    let line = "-mode agent -localSite 10.1.1.1:8960:A -controllerSite 10.1.1.7:8990:M";
    assert_eq!(vaquita(line).0, 42);
}

#[test]
fn misspelt_commands_and_flags_get_suggestions_and_status_64() {
    for (line, suggestion) in [
        ("chekc", "'check'"),
        ("node lst", "'list'"),
        ("check --jsn", "'--json'"),
        ("-mod agent", "`-mode`"),
        ("-mode agnet", "`agent`"),
        ("user grant u dfs-raed", "'dfs-read'"),
    ] {
        let (status, out, err) = vaquita(line);
        assert_eq!((status, out.as_str()), (64, ""), "{line}: {err}");
        assert!(err.contains(suggestion), "{line}: {err}");
    }
}

#[test]
fn one_dash_does_for_commands_as_well() {
    let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    assert_eq!(
        with_two_dashes(&words("check -json -strict -h -- -x -yz --config -5")),
        words("check --json --strict -h -- -x -yz --config -5")
    );
}

#[test]
fn behind_two_dashes_every_name_may_begin_with_a_dash() {
    let line = "vaquita dfs put --parents -- a.csv -b.csv --c.csv dfs://data/";
    let parsed = CommandLine::try_parse_from(line.split(' '));
    let text = format!("{:?}", parsed.unwrap().command);
    for name in ["a.csv", "-b.csv", "--c.csv", "dfs://data/"] {
        assert!(text.contains(&format!("{name:?}")), "{name} in {text}");
    }
    for (line, help) in [
        ("dfs put", "<LOCAL>... <DFS_PATH>"),
        ("dfs put a.csv", "say last of all where to"),
        ("dfs put dfs://data/ --force", "say last of all where to"),
    ] {
        let (status, _, err) = vaquita(line);
        assert_eq!(status, 64, "{line}: {err}");
        assert!(err.contains(help), "{line}: {err}");
    }
}

#[test]
fn an_order_names_nodes_or_all_of_them() {
    for line in [
        "node start",
        "node stop A --all",
        "node start A --timeout 5",
    ] {
        let (status, _, err) = vaquita(line);
        assert_eq!(status, 64, "{line}: {err}");
    }
    let (_, _, err) = vaquita("node start");
    assert!(err.contains("--all"), "{err}");
    let (_, _, err) = vaquita("explain");
    assert!(err.contains("--key <KEY>"), "{err}");
    for line in ["node log A --lines x", "node start A --wait --timeout soon"] {
        let (status, _, err) = vaquita(line);
        assert_eq!(status, 64, "{line}: {err}");
        assert!(err.contains("a whole number is wanted"), "{line}: {err}");
    }
}

#[test]
fn the_manual_lists_exactly_the_statuses_there_are() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations/exit-codes.md"
    );
    let page = std::fs::read_to_string(path).unwrap();
    let listed: BTreeSet<u8> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    let known: BTreeSet<u8> = Status::ALL.iter().map(|status| status.number()).collect();
    assert_eq!(listed, known);
}
