//! Figures: what a process measures of itself and its host, and what a controller keeps of them.
//!
//! A driver measures every few seconds and tells its machine; the machine sends the
//! [`Figures`] on to the controller. They carry *counters* from the start of the process and not
//! rates, so that one that is lost costs nothing but precision, and all that is divided is divided at
//! one place: rates are differences between two figures of one process, over the time that this
//! process itself says has passed. A counter that has gone back gives no rate.
//!
//! Nothing here is a promise. Figures are not in the log, they prove nothing about whether a node
//! lives, and they are gone when the controller ends.

mod history;
mod ring;
mod rows;
#[cfg(test)]
mod tests;

use core::time::Duration;

use minicbor::{Decode, Encode};
use serde::Serialize;

pub(crate) use history::{History, Rules};
pub(crate) use ring::{NONE, Ring};
pub use rows::{ClusterSeries, FiguresReport, NodeFigures, NodeSeries};

/// The highest value that is kept or told: programs that read numbers of JSON as doubles, browsers
/// before all, know integers exactly up to here.
pub const HIGHEST: u64 = (1 << 53) - 1;

/// The span that figures of the last minute are about.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// What a process has measured of itself and its host.
///
/// All are integers. What is counted is counted from the start of the process. A value that does not
/// exist, such as the chunks of an agent, is zero; what has no meaning for a role is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Figures {
    /// Milliseconds since the process started, when it was measured. Rates are per time of this clock.
    #[n(0)]
    pub uptime_ms: u64,
    /// Memory of the process that is in use (resident set), in bytes.
    #[n(1)]
    pub memory_bytes: u64,
    /// `maxMemSize`, in bytes; zero if it sets no limit.
    #[n(2)]
    pub memory_max_bytes: u64,
    /// Processor time of all threads of the process, counted, in microseconds.
    #[n(3)]
    pub cpu_us: u64,
    /// Load average of the host over one minute, in thousandths.
    #[n(4)]
    pub load_milli: u64,
    /// Connections that others hold to this process, whatever they speak.
    #[n(5)]
    pub connections: u64,
    /// `maxConnections`: how many there may be.
    #[n(6)]
    pub connections_max: u64,
    /// `workerNum`: threads that requests are worked on.
    #[n(7)]
    pub workers: u64,
    /// Threads of the process, all of them.
    #[n(8)]
    pub threads: u64,
    /// Bytes that the process has had read from disks, counted: what came from a cache is not in it.
    #[n(9)]
    pub disk_read_bytes: u64,
    /// Bytes that the process has had written to disks, counted.
    #[n(10)]
    pub disk_written_bytes: u64,
    /// Bytes that the process has sent on its sockets, counted.
    #[n(11)]
    pub sent_bytes: u64,
    /// Bytes that the process has received on its sockets, counted.
    #[n(12)]
    pub received_bytes: u64,
    /// Chunks, or parts of them, that were read from the volumes of this node, counted.
    #[n(13)]
    pub chunks_read: u64,
    /// Chunks that were written to the volumes of this node, counted.
    #[n(14)]
    pub chunks_written: u64,
    /// Files that clients are reading through this node at this moment.
    #[n(15)]
    pub reading: u64,
    /// Files that clients are writing through this node at this moment.
    #[n(16)]
    pub writing: u64,
    /// Median time that the last 10 whole reads and writes of files through this node took, in
    /// nanoseconds; zero before the first.
    #[n(17)]
    pub operation_median_10_ns: u64,
    /// The longest of these 10.
    #[n(18)]
    pub operation_max_10_ns: u64,
    /// As [`Figures::operation_median_10_ns`], of the last 100.
    #[n(19)]
    pub operation_median_100_ns: u64,
    /// The longest of these 100.
    #[n(20)]
    pub operation_max_100_ns: u64,
    /// Nanoseconds from the newest answered heartbeat to its answer; zero on a controller.
    #[n(21)]
    pub beat_latency_ns: u64,
    /// Sum of all of these, counted.
    #[n(22)]
    pub beat_latency_total_ns: u64,
}

impl Figures {
    /// The same with no value above [`HIGHEST`]: whoever sends nonsense is shown with nonsense, and
    /// upsets no sum.
    #[must_use]
    pub fn clamped(self) -> Self {
        let clamp = |value: u64| value.min(HIGHEST);
        Self {
            uptime_ms: clamp(self.uptime_ms),
            memory_bytes: clamp(self.memory_bytes),
            memory_max_bytes: clamp(self.memory_max_bytes),
            cpu_us: clamp(self.cpu_us),
            load_milli: clamp(self.load_milli),
            connections: clamp(self.connections),
            connections_max: clamp(self.connections_max),
            workers: clamp(self.workers),
            threads: clamp(self.threads),
            disk_read_bytes: clamp(self.disk_read_bytes),
            disk_written_bytes: clamp(self.disk_written_bytes),
            sent_bytes: clamp(self.sent_bytes),
            received_bytes: clamp(self.received_bytes),
            chunks_read: clamp(self.chunks_read),
            chunks_written: clamp(self.chunks_written),
            reading: clamp(self.reading),
            writing: clamp(self.writing),
            operation_median_10_ns: clamp(self.operation_median_10_ns),
            operation_max_10_ns: clamp(self.operation_max_10_ns),
            operation_median_100_ns: clamp(self.operation_median_100_ns),
            operation_max_100_ns: clamp(self.operation_max_100_ns),
            beat_latency_ns: clamp(self.beat_latency_ns),
            beat_latency_total_ns: clamp(self.beat_latency_total_ns),
        }
    }
}

/// What `count` in `millis` milliseconds is in a second, times `scale`; `None` if no time has passed.
pub(crate) fn per_second(count: u64, millis: u64, scale: u64) -> Option<u64> {
    let scaled = u128::from(count) * 1000 * u128::from(scale);
    let rate = scaled.checked_div(u128::from(millis))?;
    Some(u64::try_from(rate).unwrap_or(HIGHEST).min(HIGHEST))
}
