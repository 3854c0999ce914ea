//! A body for fuzzers: a line of the console.

use super::command::{Command, parse};

pub(crate) fn fuzz_line(line: &str) {
    let command = match parse(line) {
        Ok(Some(command)) => command,
        Ok(None) => {
            let said = line.trim().trim_end_matches(';').trim();
            assert!(said.is_empty(), "{line:?} says something");
            return;
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            return;
        }
    };
    let called = |word: &str, names: &[String]| {
        // A name holds at most one of the two kinds of quotes.
        let quoted = names.iter().map(|name| match name.contains('"') {
            true => format!("'{name}'"),
            false => format!("\"{name}\""),
        });
        format!("{word}([{}])", quoted.collect::<Vec<_>>().join(", "))
    };
    let written = match &command {
        Command::Quit => "quit".to_owned(),
        Command::Help => "help()".to_owned(),
        Command::Status => "status ;".to_owned(),
        Command::Start(names) => called("startDataNode", names),
        Command::Stop(names) => called("stopDataNode", names),
    };
    assert_eq!(
        parse(&written),
        Ok(Some(command)),
        "{line:?} and {written:?}"
    );
}
