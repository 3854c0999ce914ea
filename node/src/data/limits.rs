//! The bounds of the data plane, by name, with their defaults and the reasons.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bounds and time-outs of what carries the bytes of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// Data connections that others may hold to this process.
    pub connections_max: usize,
    /// Memory for bytes that come in or go out on behalf of others, from `maxMemSize`.
    pub serve_bytes: usize,
    /// Memory for bytes that this process sends to replicas or fetches from them. Apart from
    /// [`DataLimits::serve_bytes`], so that two nodes that write to each other never wait for each
    /// other's memory.
    pub send_bytes: usize,
    /// How long a transfer waits for memory before it is refused as one too many.
    pub memory_patience: Duration,

    /// Longest chunk that is taken into memory whole before it is admitted; the machine packs those.
    pub packed_max: usize,
    /// Longest piece of raw bytes on a connection.
    pub piece_max: usize,
    /// Bytes that a replica may be behind the fastest one of a write.
    pub window_bytes: usize,

    /// Longest time that a replica may make no progress before a transfer with it is given up.
    pub progress_timeout: Duration,
    /// Longest time that whoever writes to this node, or reads from it, may make no progress. Longer
    /// than [`DataLimits::progress_timeout`]: it may wait for another replica, or for its client.
    pub asker_timeout: Duration,
    /// Longest time that one piece may take however steadily it trickles.
    pub piece_timeout: Duration,
    /// How long a peer may take to prove itself.
    pub handshake_timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long the machine may take to admit or to find a chunk.
    pub answer_timeout: Duration,
    /// How long a replica may take to make bytes durable once all of them are there.
    pub prepare_timeout: Duration,
    /// How often who makes bytes durable says that it is at it.
    pub working_period: Duration,
    /// How long a replica that has all bytes may say nothing: a few [`DataLimits::working_period`]s.
    pub silence_timeout: Duration,
    /// How long a connection is read on after a refusal, so that the network does not take the
    /// refusal back.
    pub linger: Duration,

    /// Connections to one peer at a time, for reading and for writing each.
    pub peer_connections_max: usize,
    /// Of these, unused ones that are kept.
    pub idle_per_peer: usize,
    /// How long an unused connection is kept by the side that opened it.
    pub idle_timeout: Duration,
    /// How long the other side keeps it: longer, so that one seldom meets the other's end.
    pub serve_idle_timeout: Duration,

    /// How long one operation on a volume may take before its disk counts as hung. A batch may take
    /// this long for each of its syncs, and once more for each [`DataLimits::disk_timeout_bytes`],
    /// up to four times in all.
    pub disk_timeout: Duration,
    /// Bytes that the slowest disk that is of any use writes within [`DataLimits::disk_timeout`].
    pub disk_timeout_bytes: usize,
    /// Reads and writes beside the lanes that a volume carries out at a time
    /// (`diskIOConcurrencyLevel`).
    pub disk_concurrency: usize,
    /// Those that may wait on a volume. One more is refused.
    pub disk_waiting_max: usize,
    /// Batches that may wait in one lane of a volume.
    pub disk_batches_max: usize,
    /// Time between two reports of a volume's room.
    pub space_period: Duration,
}

impl Default for DataLimits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            serve_bytes: 128 * MIB,
            send_bytes: 128 * MIB,
            memory_patience: Duration::from_secs(3),

            packed_max: MIB,
            piece_max: MIB,
            window_bytes: 4 * MIB,

            progress_timeout: Duration::from_secs(5),
            asker_timeout: Duration::from_secs(30),
            piece_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(10),
            prepare_timeout: Duration::from_secs(20),
            working_period: Duration::from_secs(1),
            silence_timeout: Duration::from_secs(3),
            linger: Duration::from_secs(1),

            peer_connections_max: 16,
            idle_per_peer: 4,
            idle_timeout: Duration::from_secs(30),
            serve_idle_timeout: Duration::from_secs(60),

            disk_timeout: Duration::from_secs(30),
            disk_timeout_bytes: 32 * MIB,
            disk_concurrency: 2,
            disk_waiting_max: 64,
            disk_batches_max: 1024,
            space_period: Duration::from_secs(5),
        }
    }
}

impl DataLimits {
    /// Splits this much memory between what is served and what is sent.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        /// Room for a few transfers each way: with less, nothing would ever be carried.
        const LEAST: usize = 16 * MIB;
        self.serve_bytes = (bytes / 2).max(LEAST);
        self.send_bytes = (bytes / 2).max(LEAST);
        self
    }
}
