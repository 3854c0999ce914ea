//! Answers as people read them.

use std::fmt::Write;

use vaquita_core::admin::{NodeRow, OrderRow, Reply, Response, StatusReport};

pub(super) const HELP: &str = "\
quit                                        end this process in good order
status                                      how this process and its cluster are
startDataNode([\"P1-NODE1\", \"P2-NODE1\"])     have these data nodes run
stopDataNode([\"P1-NODE1\", \"P2-NODE1\"])      have these data nodes end, and stay so
help                                        this list
";

/// A reply in whole lines.
pub(super) fn render(reply: &Reply) -> String {
    match reply {
        Ok(Response::Status(report)) => status(report),
        Ok(Response::Nodes(rows)) => nodes(rows),
        Ok(Response::Ordered(rows)) => orders(rows),
        // The console asks nothing that is answered otherwise.
        Ok(_) => "done\n".to_owned(),
        Err(refusal) => format!("{refusal}\n"),
    }
}

fn status(report: &StatusReport) -> String {
    let mut text = format!(
        "{} ({}), up for {}: {}\n",
        report.alias,
        report.mode,
        duration(report.uptime_ms),
        report.summary
    );
    for alarm in &report.alarms {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "! {alarm}");
    }
    text.push_str(&nodes(&report.nodes));
    text
}

fn nodes(rows: &[NodeRow]) -> String {
    let cells = rows.iter().map(|row| {
        [
            row.alias.to_string(),
            row.mode.to_string(),
            format!("{}:{}", row.host, row.port),
            row.state.as_str().to_owned(),
            row.reason.clone(),
        ]
    });
    table(cells.collect())
}

fn orders(rows: &[OrderRow]) -> String {
    let cells = rows
        .iter()
        .map(|row| [row.alias.to_string(), row.note.clone()]);
    table(cells.collect())
}

/// Columns as wide as their widest cell; the last one has no end.
fn table<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) -> String {
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Milliseconds as people say them.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
