//! What the process has measured of itself, for a monitoring system.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use vaquita_core::figures::Figures;

use super::metrics::clamp;

/// A metric: its name, what it says, and where its value comes from.
type Metric = (&'static str, &'static str, fn(&Figures) -> u64);

/// Values of the moment.
const GAUGES: [Metric; 11] = [
    (
        "vaquita_memory_bytes",
        "Memory of the process that is in use",
        |it| it.memory_bytes,
    ),
    (
        "vaquita_memory_max_bytes",
        "maxMemSize; 0 for no limit",
        |it| it.memory_max_bytes,
    ),
    (
        "vaquita_host_load_thousandths",
        "Load average of the host over one minute, in thousandths",
        |it| it.load_milli,
    ),
    (
        "vaquita_connections",
        "Connections that others hold to the process",
        |it| it.connections,
    ),
    ("vaquita_connections_max", "maxConnections", |it| {
        it.connections_max
    }),
    ("vaquita_threads", "Threads of the process", |it| it.threads),
    (
        "vaquita_files_reading",
        "Files that clients are reading through this process",
        |it| it.reading,
    ),
    (
        "vaquita_files_writing",
        "Files that clients are writing through this process",
        |it| it.writing,
    ),
    (
        "vaquita_operation_median_nanoseconds",
        "Median time of the last 100 whole reads and writes of files through this process",
        |it| it.operation_median_100_ns,
    ),
    (
        "vaquita_operation_max_nanoseconds",
        "Longest time of the last 100 whole reads and writes of files through this process",
        |it| it.operation_max_100_ns,
    ),
    (
        "vaquita_beat_latency_nanoseconds",
        "Time from the newest answered heartbeat to its answer",
        |it| it.beat_latency_ns,
    ),
];

/// Values that are counted from the start of the process.
const COUNTERS: [Metric; 7] = [
    (
        "vaquita_cpu_microseconds",
        "Processor time of all threads of the process",
        |it| it.cpu_us,
    ),
    (
        "vaquita_disk_read_bytes",
        "Bytes that the process has had read from disks",
        |it| it.disk_read_bytes,
    ),
    (
        "vaquita_disk_written_bytes",
        "Bytes that the process has had written to disks",
        |it| it.disk_written_bytes,
    ),
    (
        "vaquita_sent_bytes",
        "Bytes that the process has sent on its sockets",
        |it| it.sent_bytes,
    ),
    (
        "vaquita_received_bytes",
        "Bytes that the process has received on its sockets",
        |it| it.received_bytes,
    ),
    (
        "vaquita_chunks_read",
        "Chunks, or parts of them, read from the volumes of this process",
        |it| it.chunks_read,
    ),
    (
        "vaquita_chunks_written",
        "Chunks written to the volumes of this process",
        |it| it.chunks_written,
    ),
];

/// One for each row of the tables.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessMetrics {
    gauges: [Gauge; GAUGES.len()],
    counters: [Counter; COUNTERS.len()],
}

impl ProcessMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for ((name, help, _), gauge) in GAUGES.iter().zip(&self.gauges) {
            registry.register(*name, *help, gauge.clone());
        }
        for ((name, help, _), counter) in COUNTERS.iter().zip(&self.counters) {
            registry.register(*name, *help, counter.clone());
        }
    }

    /// Takes over what was measured.
    pub(super) fn observe(&self, figures: &Figures) {
        for ((.., of), gauge) in GAUGES.iter().zip(&self.gauges) {
            gauge.set(clamp(of(figures)));
        }
        for ((.., of), counter) in COUNTERS.iter().zip(&self.counters) {
            // They are counted elsewhere, and none of a process goes back.
            counter.inner().store(of(figures), Ordering::Relaxed);
        }
    }
}
