//! What was measured, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cells::{Cell, Kind, Measured};

/// Prints rows as they come.
pub(super) struct Report {
    json: bool,
    plain: bool,
}

impl Report {
    pub(super) const fn new(json: bool, plain: bool) -> Self {
        Self { json, plain }
    }

    /// Prints what the columns are.
    pub(super) fn head(&self) {
        if self.json {
            return;
        }
        println!(
            "CPU is processor time an operation: of all server processes together, and of the \
             client. MB are 10^6 bytes."
        );
        print!(
            "{:<4} {:>7} {:>7} {:>4} {:>8} {:>8} {:>9} {:>9} {:>9} {:>11} {:>11}",
            "op",
            "size",
            "clients",
            "sync",
            "ops/s",
            "MB/s",
            "p50",
            "p99",
            "max",
            "CPU cluster",
            "CPU client"
        );
        if self.plain {
            print!(
                " | {:>8} {:>8} {:>9} {:>9} {:>9} {:>11} {:>9}",
                "plain/s", "MB/s", "p50", "p99", "max", "CPU plain", "of plain"
            );
        }
        println!("  errors");
    }

    /// Prints a row.
    pub(super) fn row(
        &self,
        cell: &Cell<'_>,
        data_sync: Option<u8>,
        kind: Kind,
        cluster: &Measured,
        plain: Option<&Measured>,
    ) {
        let op = match kind {
            Kind::Put => "put",
            Kind::Get => "get",
        };
        let ratio = plain.map(|plain| cluster.per_second() / plain.per_second());
        if self.json {
            let row = json!({
                "op": op,
                "size": cell.size,
                "clients": cell.clients,
                "data_sync": data_sync,
                "cluster": object(cell, cluster),
                "plain": plain.map(|plain| object(cell, plain)),
                "of_plain": ratio,
            });
            println!("{row}");
            return;
        }
        let sync = data_sync.map_or_else(|| "?".to_owned(), |it| it.to_string());
        print!(
            "{op:<4} {:>7} {:>7} {sync:>4} {:>8} {:>8.1} {:>9} {:>9} {:>9} {:>11} {:>11}",
            bytes(cell.size),
            cell.clients,
            rate(cluster.per_second()),
            megabytes_per_second(cell, cluster),
            time(cluster.quantile(0.5)),
            time(cluster.quantile(0.99)),
            time(cluster.quantile(1.0)),
            cluster
                .server_cpu_each()
                .map_or_else(|| "?".to_owned(), time),
            time(cluster.client_cpu_each()),
        );
        if let (Some(plain), Some(ratio)) = (plain, ratio) {
            print!(
                " | {:>8} {:>8.1} {:>9} {:>9} {:>9} {:>11} {:>8.1}%",
                rate(plain.per_second()),
                megabytes_per_second(cell, plain),
                time(plain.quantile(0.5)),
                time(plain.quantile(0.99)),
                time(plain.quantile(1.0)),
                time(plain.client_cpu_each()),
                ratio * 100.0,
            );
        }
        let failed = cluster.failed() + plain.map_or(0, Measured::failed);
        print!("  {failed}");
        let errors = cluster.errors.iter();
        for (kind, count) in errors.chain(plain.iter().flat_map(|it| &it.errors)) {
            print!("  {count} × {kind}");
        }
        println!();
    }
}

fn object(cell: &Cell<'_>, measured: &Measured) -> Value {
    json!({
        "operations": measured.done(),
        "errors": measured.errors,
        "seconds": measured.wall.as_secs_f64(),
        "ops_per_s": measured.per_second(),
        "mb_per_s": megabytes_per_second(cell, measured),
        "p50_ms": milliseconds(measured.quantile(0.5)),
        "p99_ms": milliseconds(measured.quantile(0.99)),
        "max_ms": milliseconds(measured.quantile(1.0)),
        "server_cpu_ms_per_op": measured.server_cpu_each().map(milliseconds),
        "client_cpu_ms_per_op": milliseconds(measured.client_cpu_each()),
    })
}

fn megabytes_per_second(cell: &Cell<'_>, measured: &Measured) -> f64 {
    measured.per_second() * cell.size as f64 / 1e6
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A rate with three digits that count.
fn rate(per_second: f64) -> String {
    match per_second {
        few if few < 10.0 => format!("{few:.2}"),
        few if few < 100.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}

/// A time with three digits that count.
fn time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        few if few < 100.0 => format!("{few:.1} us"),
        few if few < 1e4 => format!("{:.2} ms", few / 1e3),
        few if few < 1e5 => format!("{:.1} ms", few / 1e3),
        few if few < 1e6 => format!("{:.0} ms", few / 1e3),
        many => format!("{:.2} s", many / 1e6),
    }
}

fn bytes(size: usize) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .iter()
        .find(|(_, bits)| size >= 1 << bits && size.is_multiple_of(1 << bits));
    match unit {
        Some((unit, bits)) => format!("{}{unit}", size >> bits),
        None => format!("{size}B"),
    }
}
