//! Figures as people and programs are told them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::Alias;

/// The figures of one process as lists show them. All zero where it is gone.
///
/// `None` is what has no meaning for its role, or is not known yet: a rate needs two figures of one
/// process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeFigures {
    /// Milliseconds since the figures came; `None` for a process that is gone.
    pub age_ms: Option<u64>,
    /// Milliseconds that the process had run when they were measured.
    pub uptime_ms: u64,
    /// Processor time of the process, in thousandths of one core.
    pub cpu_milli: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// `maxMemSize` in bytes; zero for no limit.
    pub memory_max_bytes: u64,
    /// Load average of the host over one minute, in thousandths.
    pub load_milli: u64,
    /// Connections that others hold to the process.
    pub connections: u64,
    /// `maxConnections`.
    pub connections_max: u64,
    /// `workerNum`.
    pub workers: u64,
    /// Threads of the process.
    pub threads: u64,
    /// Bytes of the file systems of all its volumes; data nodes only.
    pub disk_capacity: Option<u64>,
    /// Bytes free there; data nodes only.
    pub disk_free: Option<u64>,
    /// Bytes a second that it has read from disks.
    pub disk_read_rate: Option<u64>,
    /// Bytes a second that it has written to disks.
    pub disk_write_rate: Option<u64>,
    /// Bytes that it has read from disks within the last minute.
    pub last_minute_disk_read: Option<u64>,
    /// Bytes that it has written to disks within the last minute.
    pub last_minute_disk_written: Option<u64>,
    /// Bytes a second that it has sent on its sockets.
    pub send_rate: Option<u64>,
    /// Bytes a second that it has received on its sockets.
    pub receive_rate: Option<u64>,
    /// Bytes that it has sent within the last minute.
    pub last_minute_sent: Option<u64>,
    /// Bytes that it has received within the last minute.
    pub last_minute_received: Option<u64>,
    /// Chunks read, in thousandths of one a second; data nodes only.
    pub chunk_reads_milli: Option<u64>,
    /// Chunks written, in thousandths of one a second; data nodes only.
    pub chunk_writes_milli: Option<u64>,
    /// Files that clients are reading through it; data nodes only.
    pub reading: Option<u64>,
    /// Files that clients are writing through it; data nodes only.
    pub writing: Option<u64>,
    /// Median time of the last 10 reads and writes of files through it, in nanoseconds.
    pub operation_median_10_ns: Option<u64>,
    /// The longest of these 10.
    pub operation_max_10_ns: Option<u64>,
    /// Median time of the last 100.
    pub operation_median_100_ns: Option<u64>,
    /// The longest of these 100.
    pub operation_max_100_ns: Option<u64>,
    /// Nanoseconds that the newest heartbeat took to be answered; not for a controller.
    pub last_msg_latency_ns: Option<u64>,
    /// The sum over all heartbeats.
    pub cum_msg_latency_ns: Option<u64>,
}

impl NodeFigures {
    /// What is shown of a process that is gone: zero, where a value has a meaning.
    #[must_use]
    pub fn gone(is_data_node: bool) -> Self {
        let stored = is_data_node.then_some(0);
        let zero = Some(0);
        Self {
            cpu_milli: zero,
            disk_capacity: stored,
            disk_free: stored,
            disk_read_rate: zero,
            disk_write_rate: zero,
            last_minute_disk_read: zero,
            last_minute_disk_written: zero,
            send_rate: zero,
            receive_rate: zero,
            last_minute_sent: zero,
            last_minute_received: zero,
            chunk_reads_milli: stored,
            chunk_writes_milli: stored,
            reading: stored,
            writing: stored,
            operation_median_10_ns: stored,
            operation_max_10_ns: stored,
            operation_median_100_ns: stored,
            operation_max_100_ns: stored,
            last_msg_latency_ns: zero,
            cum_msg_latency_ns: zero,
            ..Self::default()
        }
    }
}

/// Declares the series of a kind, with their names.
macro_rules! series {
    ($(#[$doc:meta])* $kind:ident { $($(#[$of:meta])* $name:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[$of])* $name,)+
        }

        impl $kind {
            /// How many there are.
            pub const COUNT: usize = [$(Self::$name,)+].len();
            /// All of them, in the order in which points have them.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name,)+];
            /// Their names, in the same order.
            pub const NAMES: [&'static str; Self::COUNT] = [$($word,)+];
        }
    };
}

series! {
    /// What there is a chart of for each process.
    NodeSeries {
        /// Thousandths of one core.
        Cpu = "cpu",
        /// Bytes in use.
        Memory = "memory",
        /// Load average of the host over one minute, in thousandths.
        Load = "load",
        /// Connections that others hold to it.
        Connections = "connections",
        /// Bytes a second read from disks.
        DiskRead = "disk_read",
        /// Bytes a second written to disks.
        DiskWrite = "disk_write",
        /// Bytes a second sent.
        Sent = "sent",
        /// Bytes a second received.
        Received = "received",
        /// Chunks read, in thousandths of one a second.
        ChunkReads = "chunk_reads",
        /// Chunks written, in thousandths of one a second.
        ChunkWrites = "chunk_writes",
        /// Files that are being read.
        Reading = "reading",
        /// Files that are being written.
        Writing = "writing",
        /// Nanoseconds that a heartbeat took to be answered.
        Latency = "latency",
        /// Bytes free on its volumes.
        DiskFree = "disk_free",
    }
}

series! {
    /// What there is a chart of for the cluster as a whole.
    ClusterSeries {
        /// Records that became durable, in thousandths of one a second.
        Commits = "commits",
        /// Bytes of the metadata log behind its newest checkpoint.
        LogBytes = "log_bytes",
        /// Files.
        Files = "files",
        /// Chunks.
        Chunks = "chunks",
        /// Chunks with fewer good replicas than they are to have.
        Degraded = "degraded",
        /// Things that an operator should look at.
        Alarms = "alarms",
        /// Data nodes that are online.
        Online = "online",
        /// Thousandths of one core, of all processes of the cluster together.
        Cpu = "cpu",
        /// Bytes in use, of all together.
        Memory = "memory",
        /// Load average of the host that has the highest, over one minute, in thousandths.
        Load = "load",
        /// Bytes a second read from disks, of all together.
        DiskRead = "disk_read",
        /// Bytes a second written to disks, of all together.
        DiskWrite = "disk_write",
        /// Bytes a second sent, of all together.
        Sent = "sent",
        /// Bytes a second received, of all together.
        Received = "received",
    }
}

/// Charts of the last hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FiguresReport {
    /// The process that they are of; `None` for the cluster.
    pub node: Option<Alias>,
    /// Milliseconds from one point to the next.
    pub step_ms: u64,
    /// Milliseconds since the newest point; `None` before the first step of time is over.
    pub newest_age_ms: Option<u64>,
    /// The date of the newest point, in milliseconds since 1970, for who asks over HTTP.
    pub newest_unix_ms: Option<u64>,
    /// The points of each series, oldest first, all to the same times; `null` where a value is not
    /// known, such as while the process was away.
    pub series: BTreeMap<&'static str, Vec<Option<u64>>>,
}
