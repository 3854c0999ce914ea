//! The bounds a driver keeps to, by name, with their defaults and the reasons.

use std::time::Duration;

use vaquita_core::limits::Limits;

use crate::data::DataLimits;

/// Bounds and time-outs of a driver.
///
/// Production takes most of [`DriverLimits::default`] and sets `connections_max` from the key
/// `maxConnections`; tests make the numbers small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverLimits {
    /// Connections others may hold to this process, whatever they speak (`maxConnections`).
    pub connections_max: usize,
    /// The files that the process may have open, if that is why these are fewer than `maxConnections` says.
    pub open_files: Option<usize>,
    /// Of these connections, those that speak the node protocol.
    pub node_connections_max: usize,
    /// Of these, connections that speak HTTP. Their number must not take the others' room.
    pub http_connections_max: usize,
    /// Of these, those from one address. Addresses of this very host are exempt: a proxy on the
    /// same host carries many people.
    pub http_connections_per_address: usize,
    /// Connections whose protocol is not known yet. One more, and the oldest of them gives way.
    pub sniffing_max: usize,
    /// Connections beyond `connections_max` that are kept for members of the cluster, so that replicas reach each
    /// other whatever clients do; and as many again that are looked at for what they are. Who is no member is told
    /// why it is closed, and still more are closed without a word.
    pub beyond_max: usize,
    /// How long a new connection may take to show which protocol it speaks.
    pub sniff_timeout: Duration,
    /// How long one beyond `connections_max` may take to do so, and to take its refusal.
    pub refusal_timeout: Duration,
    /// How long a TLS handshake may take from its first byte on.
    pub tls_timeout: Duration,

    /// How long opening a connection may take, the look-up of its host included.
    pub connect_timeout: Duration,
    /// How long looking up a host for datagrams may take.
    pub resolve_timeout: Duration,
    /// Age at which a looked-up address is looked up again. It is used meanwhile.
    pub address_max_age: Duration,
    /// Shortest time between two look-ups of one host.
    pub resolve_pause: Duration,
    /// Hosts whose addresses are remembered.
    pub addresses_max: usize,
    /// Datagrams to one host that wait for its first look-up. The oldest gives way.
    pub unresolved_datagrams: usize,

    /// Bytes waiting to be sent on one connection. A peer that reads slower than that is closed,
    /// not waited for.
    pub send_queue_bytes: usize,
    /// Pieces waiting to be sent on one connection; see [`DriverLimits::send_queue_bytes`].
    pub send_queue_pieces: usize,
    /// How long one write may take.
    pub write_timeout: Duration,
    /// Bytes read from a connection at once.
    pub read_bytes: usize,
    /// How long a closed connection is read on, so that the network does not take back the last
    /// bytes the peer has not read yet.
    pub linger: Duration,

    /// Datagrams, and pieces from connections, that wait for the machine. Whoever brings one more
    /// waits.
    pub inputs_max: usize,
    /// Batches that may wait for one lane of the disk. The machines keep a handful.
    pub disk_batches_max: usize,
    /// Orders about processes that may wait.
    pub orders_max: usize,
    /// Requests that may wait for the machine.
    pub requests_max: usize,
    /// Requests the machine has taken and not answered.
    pub replies_max: usize,
    /// How long [`Front::ask`](super::Front::ask) waits for an answer.
    pub request_timeout: Duration,

    /// How often a bind is tried again while another process, perhaps one that is just ending,
    /// holds the port.
    pub bind_retry: Duration,
    /// For how long it is.
    pub bind_patience: Duration,
    /// How long a process that keeps files lets running HTTP requests finish before its machine is
    /// told to end. Together with the machine's own time and the farewell it stays below what an
    /// agent waits before it kills.
    pub drain: Duration,
    /// How long the connections may take to end after the machine has.
    pub farewell: Duration,
    /// Time between two reports of dropped datagrams.
    pub drop_report_period: Duration,
    /// How often the process is measured.
    pub measure_period: Duration,
    /// `workerNum`, which is shown beside what is measured.
    pub workers: usize,
    /// `maxMemSize` in bytes, which is as well; zero for no limit.
    pub memory_max: u64,
    /// Effects of one input above which the machine is taken to be in a loop.
    pub effects_per_input: usize,
    /// Bounds of what carries the bytes of chunks.
    pub data: DataLimits,
}

impl Default for DriverLimits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            connections_max: 512,
            open_files: None,
            node_connections_max: 1024,
            http_connections_max: 128,
            http_connections_per_address: 32,
            sniffing_max: 64,
            beyond_max: 64,
            sniff_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(5),
            refusal_timeout: Duration::from_secs(1),

            connect_timeout: Duration::from_secs(3),
            resolve_timeout: Duration::from_secs(5),
            address_max_age: Duration::from_secs(60),
            resolve_pause: Duration::from_secs(1),
            addresses_max: 4096,
            unresolved_datagrams: 4,

            send_queue_bytes: 8 * MIB,
            send_queue_pieces: 1024,
            write_timeout: Duration::from_secs(10),
            read_bytes: 16 * KIB,
            linger: Duration::from_secs(1),

            inputs_max: 256,
            disk_batches_max: 1024,
            orders_max: 4096,
            requests_max: 256,
            replies_max: 10_000,
            request_timeout: Duration::from_secs(30),

            bind_retry: Duration::from_secs(1),
            bind_patience: Duration::from_secs(30),
            drain: Duration::from_secs(6),
            farewell: Duration::from_secs(2),
            drop_report_period: Duration::from_secs(1),
            measure_period: Limits::default().figures_period,
            workers: 1,
            memory_max: 0,
            effects_per_input: 1_000_000,
            data: DataLimits::default(),
        }
    }
}

impl DriverLimits {
    /// The same for a process that may have so many files open, sockets among them: half of them are for the
    /// connections of others, whatever those do, so that there are always some for the way to the controller,
    /// disks, and what is passed on. A disk that cannot be opened for want of them would be taken for a bad one.
    #[must_use]
    pub fn with_open_files(mut self, open_files: usize) -> Self {
        let most = (open_files / 8 * 3).max(1);
        if most < self.connections_max {
            self.open_files = Some(open_files);
        }
        self.beyond_max = self.beyond_max.min(open_files / 16);
        for max in [&mut self.connections_max, &mut self.http_connections_max] {
            *max = (*max).min(most);
        }
        let members = most + self.beyond_max;
        for max in [
            &mut self.node_connections_max,
            &mut self.data.connections_max,
        ] {
            *max = (*max).min(members);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_that_may_be_open_are_for_the_process_itself() {
        let limits = DriverLimits::default().with_open_files(96);
        assert_eq!((limits.connections_max, limits.beyond_max), (36, 6));
        assert_eq!(limits.data.connections_max, 42);
        assert_eq!(limits.open_files, Some(96));
        let limits = DriverLimits::default().with_open_files(1 << 20);
        assert_eq!(limits, DriverLimits::default());
        assert_eq!(limits.with_open_files(1).connections_max, 1);
    }
}
