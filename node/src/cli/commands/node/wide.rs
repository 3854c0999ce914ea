//! Members with what they have measured of themselves.

use crate::cli::client::{FiguresView, NodeView};
use crate::cli::commands::status::duration;
use crate::cli::size::human;
use crate::cli::table::{Cell, Table};

const COLUMNS: [&str; 17] = [
    "ALIAS", "MODE", "STATE", "CPU", "MEMORY", "LOAD", "CONNS", "READ/s", "WRITE/s", "SENT/s",
    "RECV/s", "DISK", "FREE", "READING", "WRITING", "LATENCY", "UPTIME",
];

/// What is not known, or has no meaning for a process.
const NOTHING: &str = "-";

/// Members as a table. A process that is gone, and one that has not told anything, have no figures.
pub(super) fn table(nodes: &[NodeView]) -> Table {
    let heading = Table::new(&COLUMNS);
    let mut table = (3..COLUMNS.len()).fold(heading, Table::right);
    for node in nodes {
        let state = Cell::new(&node.state);
        let state = match node.colour() {
            Some(colour) => state.coloured(colour),
            None => state,
        };
        let figures = node.figures.as_ref().filter(|it| it.age_ms.is_some());
        let figures = figures.map_or_else(|| vec![NOTHING.to_owned(); COLUMNS.len() - 3], cells);
        let first = [Cell::new(&node.alias), Cell::new(&node.mode), state];
        table.row(first.into_iter().chain(figures.into_iter().map(Cell::new)));
    }
    table
}

fn cells(figures: &FiguresView) -> Vec<String> {
    let or_nothing = |value: Option<String>| value.unwrap_or_else(|| NOTHING.to_owned());
    let bytes = |value: Option<u64>| or_nothing(value.map(human));
    let number = |value: Option<u64>| or_nothing(value.map(|it| it.to_string()));
    vec![
        or_nothing(figures.cpu_milli.map(percent)),
        human(figures.memory_bytes),
        hundredths(figures.load_milli / 10),
        format!("{}/{}", figures.connections, figures.connections_max),
        bytes(figures.disk_read_rate),
        bytes(figures.disk_write_rate),
        bytes(figures.send_rate),
        bytes(figures.receive_rate),
        bytes(figures.disk_capacity),
        bytes(figures.disk_free),
        number(figures.reading),
        number(figures.writing),
        or_nothing(figures.last_msg_latency_ns.map(latency)),
        duration(figures.uptime_ms),
    ]
}

/// Thousandths of a core as percent of one.
fn percent(milli: u64) -> String {
    format!("{}.{}%", milli / 10, milli % 10)
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn latency(nanos: u64) -> String {
    match nanos / 1000 {
        micros @ ..1000 => format!("{micros} us"),
        micros => format!("{} ms", hundredths(micros / 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        let figures = FiguresView {
            age_ms: Some(100),
            uptime_ms: 90_000,
            cpu_milli: Some(1005),
            memory_bytes: 24 << 20,
            load_milli: 1259,
            connections: 3,
            connections_max: 512,
            disk_read_rate: Some(2048),
            last_msg_latency_ns: Some(1_234_567),
            reading: Some(7),
            ..FiguresView::default()
        };
        let told = cells(&figures);
        assert_eq!(told.len(), COLUMNS.len() - 3);
        assert_eq!(
            told.join(" | "),
            "100.5% | 24 MiB | 1.25 | 3/512 | 2.0 KiB | - | - | - | - | - | 7 | - | 1.23 ms | 90 s"
        );
        assert_eq!(latency(999_999), "999 us");
    }
}
