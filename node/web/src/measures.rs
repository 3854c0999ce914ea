//! What processes measure, as columns and facts: one table.

use vaquita_core::figures::NodeFigures;

use crate::format;
use crate::words::Words;

/// Something that processes measure.
pub(crate) struct Measure {
    /// Its name in addresses and cookies.
    pub(crate) key: &'static str,
    /// Its word.
    pub(crate) word: fn(&Words) -> &'static str,
    /// Its value, where there is one.
    pub(crate) of: fn(&NodeFigures) -> Option<u64>,
    /// How that is written.
    pub(crate) written: fn(u64) -> String,
}

const fn measure(
    key: &'static str,
    word: fn(&Words) -> &'static str,
    of: fn(&NodeFigures) -> Option<u64>,
    written: fn(u64) -> String,
) -> Measure {
    Measure {
        key,
        word,
        of,
        written,
    }
}

/// A limit that may be none.
fn limit(bytes: u64) -> Option<u64> {
    (bytes > 0).then_some(bytes)
}

fn free_share(it: &NodeFigures) -> Option<u64> {
    let capacity = it.disk_capacity?;
    (capacity > 0).then(|| format::percent(it.disk_free.unwrap_or(0), capacity) * 10)
}

/// All there are.
#[rustfmt::skip]
pub(crate) static MEASURES: [Measure; 30] = [
    measure("cpu",       |t| t.cpu,                |it| it.cpu_milli,               format::share),
    measure("memory",    |t| t.memory,             |it| Some(it.memory_bytes),      format::bytes),
    measure("memmax",    |t| t.memory_limit,       |it| limit(it.memory_max_bytes), format::bytes),
    measure("load",      |t| t.load,               |it| Some(it.load_milli),        format::thousandths),
    measure("conns",     |t| t.connections,        |it| Some(it.connections),       format::count),
    measure("connmax",   |t| t.connections_limit,  |it| Some(it.connections_max),   format::count),
    measure("workers",   |t| t.workers,            |it| Some(it.workers),           format::count),
    measure("threads",   |t| t.threads,            |it| Some(it.threads),           format::count),
    measure("capacity",  |t| t.disk_capacity,      |it| it.disk_capacity,           format::bytes),
    measure("free",      |t| t.disk_free,          |it| it.disk_free,               format::bytes),
    measure("freeshare", |t| t.disk_free_share,    free_share,                      format::share),
    measure("diskread",  |t| t.disk_read_rate,     |it| it.disk_read_rate,          format::rate),
    measure("diskwrite", |t| t.disk_write_rate,    |it| it.disk_write_rate,         format::rate),
    measure("minread",   |t| t.last_minute_disk_read, |it| it.last_minute_disk_read, format::bytes),
    measure("minwrite",  |t| t.last_minute_disk_written, |it| it.last_minute_disk_written, format::bytes),
    measure("netout",    |t| t.send_rate,          |it| it.send_rate,               format::rate),
    measure("netin",     |t| t.receive_rate,       |it| it.receive_rate,            format::rate),
    measure("minsent",   |t| t.last_minute_sent,   |it| it.last_minute_sent,        format::bytes),
    measure("minrecv",   |t| t.last_minute_received, |it| it.last_minute_received,  format::bytes),
    measure("chunkreads", |t| t.chunk_reads,       |it| it.chunk_reads_milli,       format::per_second),
    measure("chunkwrites", |t| t.chunk_writes,     |it| it.chunk_writes_milli,      format::per_second),
    measure("reading",   |t| t.reading,            |it| it.reading,                 format::count),
    measure("writing",   |t| t.writing,            |it| it.writing,                 format::count),
    measure("med10",     |t| t.median_10,          |it| it.operation_median_10_ns,  format::nanoseconds),
    measure("max10",     |t| t.max_10,             |it| it.operation_max_10_ns,     format::nanoseconds),
    measure("med100",    |t| t.median_100,         |it| it.operation_median_100_ns, format::nanoseconds),
    measure("max100",    |t| t.max_100,            |it| it.operation_max_100_ns,    format::nanoseconds),
    measure("latency",   |t| t.latency,            |it| it.last_msg_latency_ns,     format::nanoseconds),
    measure("latencysum", |t| t.latency_sum,       |it| it.cum_msg_latency_ns,      format::nanoseconds),
    measure("uptime",    |t| t.process_uptime,     |it| Some(it.uptime_ms),         format::span),
];
