//! Output for programs.

use serde::Serialize;

use super::exit::{Failure, Status};
use super::terminal::Terminal;

/// Writes one array, an element a line: a program reads it whole, and `grep` and `diff` work too.
pub(super) fn array<T: Serialize>(terminal: &mut Terminal, rows: &[T]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(terminal.say("[]")?);
    }
    let mut lines = String::from("[");
    for (index, row) in rows.iter().enumerate() {
        lines.push_str(if index == 0 { "\n  " } else { ",\n  " });
        lines.push_str(&text(row)?);
    }
    lines.push_str("\n]");
    Ok(terminal.say(lines)?)
}

/// Writes one object on one line.
pub(super) fn object<T: Serialize>(terminal: &mut Terminal, value: &T) -> Result<(), Failure> {
    let line = text(value)?;
    Ok(terminal.say(line)?)
}

fn text<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| {
        Failure::new(
            Status::Bug,
            format!("the answer cannot be written as JSON: {error}"),
        )
    })
}

/// Writes an array that a server sent, with whatever fields it has.
pub(super) fn array_of(terminal: &mut Terminal, value: serde_json::Value) -> Result<(), Failure> {
    match value {
        serde_json::Value::Array(rows) => array(terminal, &rows),
        other => object(terminal, &other),
    }
}
