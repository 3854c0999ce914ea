//! Every limit and every period of the protocol, by name, with its default and the reason.
//!
//! One value of [`Limits`] is given to each machine when it is made. Production uses
//! [`Limits::default`]; the simulators make them small, because limits of one and two find more
//! than long runs do.

use core::time::Duration;

/// The bounds and periods that the machines keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest datagram, in bytes. 1,200 passes every path on which IPv6 works at all.
    pub datagram_max: usize,
    /// Longest frame body on a connection, in bytes.
    pub frame_body_max: usize,
    /// Most bytes an unauthenticated peer may have sent.
    pub handshake_bytes_max: usize,
    /// How long a peer may take to prove itself.
    pub handshake_timeout: Duration,
    /// Most connections a machine keeps, the oldest unproven one giving way.
    pub connections_max: usize,
    /// Most rows of the nodes file that are taken up while the controller runs.
    pub members_max: usize,

    /// Time between two heartbeats, spread by [`Limits::heartbeat_jitter_percent`].
    pub heartbeat_period: Duration,
    /// Spread of the heartbeat, so that nodes started together do not stay in step.
    pub heartbeat_jitter_percent: u32,
    /// Silence on UDP, with TCP answering, after which a node beats over TCP.
    pub udp_blocked_after: Duration,
    /// Unanswered datagrams that are needed beside that silence.
    pub udp_blocked_probes: u32,

    /// First wait before a lost session is dialled again; doubles up to
    /// [`Limits::redial_max`].
    pub redial_min: Duration,
    /// Longest wait before a lost session is dialled again.
    pub redial_max: Duration,
    /// Members above which a lost session is dialled again after a random part of
    /// [`Limits::redial_spread`], so that a controller's return is not a stampede.
    pub redial_spread_above: usize,
    /// See [`Limits::redial_spread_above`].
    pub redial_spread: Duration,
    /// How long a dial or an unanswered request on a session may take.
    pub answer_timeout: Duration,
    /// How long clients' questions wait at a data node for a controller that it has just lost: more than
    /// a start of the controller takes.
    pub reconnect_wait: Duration,

    /// A gap between two wake-ups above which the controller doubts itself and not the nodes.
    pub stall_threshold: Duration,
    /// How long the controller takes no node for dead after it lost datagrams itself.
    pub drop_freeze: Duration,
    /// Share of the members, in percent, whose loss within [`Limits::mass_event_window`] makes a
    /// mass event (two at least).
    pub mass_event_percent: usize,
    /// See [`Limits::mass_event_percent`].
    pub mass_event_window: Duration,
    /// Time after which half of a node's flap penalty is forgiven.
    pub flap_half_life: Duration,

    /// First wait before a crashed node is started again; the very first restart waits for nothing.
    pub restart_min: Duration,
    /// Longest wait before a crashed node is started again.
    pub restart_max: Duration,
    /// Running time after which earlier crashes are forgiven.
    pub restart_reset: Duration,
    /// Crashes within [`Limits::crash_loop_window`] that make a crash loop.
    pub crash_loop_exits: usize,
    /// See [`Limits::crash_loop_exits`].
    pub crash_loop_window: Duration,
    /// How long a node may take to end on SIGTERM before SIGKILL.
    pub stop_timeout: Duration,
    /// How long a taken port may delay a start before the node is shown as failed. It is probed on,
    /// so that the node starts by itself once the port is free.
    pub port_wait: Duration,
    /// Time between two such probes.
    pub port_probe_period: Duration,
    /// How long a launched node may take to open its session with the agent.
    pub launch_timeout: Duration,
    /// How long running requests may take after SIGTERM.
    pub drain_timeout: Duration,

    /// Records written with one sync, at most.
    pub group_commit_records: usize,
    /// Length at which a log segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// Records after which a checkpoint is due.
    pub checkpoint_records: u64,

    /// Space that the metadata log sets aside for a full disk, in bytes; zero for none. Never more
    /// than a [twentieth](crate::disk::RESERVE_SHARE) of the file system.
    ///
    /// It has to hold what is written between the moment at which the disk is full and the one at
    /// which somebody has made room: registrations of a few hundred bytes each, and one checkpoint.
    pub reserve_bytes: u64,

    /// Bytes of a chunk of a file; only the last one has fewer.
    pub chunk_bytes: u64,
    /// Chunks a file may have: its commit is one message and one record.
    pub file_chunks_max: usize,
    /// How long an entry asks the controller again before it reports that no answer comes.
    pub dfs_answer_patience: Duration,
    /// How often an entry says that a write goes on.
    pub dfs_renew_period: Duration,
    /// Silence after which the controller gives a write up.
    pub dfs_write_timeout: Duration,
    /// Writes that may be open at once.
    pub dfs_writes_max: usize,
    /// Chunks that are looked at for one page of a list: a cluster in which all is well must not be
    /// searched to its end at one go, while everybody waits.
    pub dfs_chunks_looked_at: usize,
    /// Chunks that are looked at in one go when all of them are surveyed for what they lack.
    pub survey_chunks: usize,
    /// Copies that one node may be the source of, and the target of, at a time.
    pub copies_per_node: usize,
    /// Chunks of which places or replicas that are not needed are given up in one tick of the controller:
    /// there is never a hurry, and the factor may have been lowered by mistake.
    pub surplus_per_tick: usize,
    /// Contents that a node may have to throw away and has not yet, above which it is told of no further
    /// replica too many.
    pub surplus_per_node: usize,
    /// Silence of a replica after which a reader asks another one beside it; doubles up to
    /// [`Limits::dfs_hedge_max`] while nothing comes.
    pub dfs_hedge_min: Duration,
    /// See [`Limits::dfs_hedge_min`].
    pub dfs_hedge_max: Duration,
    /// Silence of all replicas after which a read is given up.
    pub dfs_read_patience: Duration,
    /// Entries in a page of a node's report: fits into a frame.
    pub report_page_entries: usize,
    /// Changes of what a node has that may wait to be acknowledged; with more, the node reports
    /// anew.
    pub news_max: usize,
    /// How long changes of what a node has are gathered before they are sent.
    pub news_delay: Duration,
    /// How long changes may stay unacknowledged before they are sent again.
    pub news_resend: Duration,
    /// Bytes of the log that are sent to a mirror in one message.
    pub mirror_piece: usize,
    /// Bytes of records in a mirror after which it is sent a new checkpoint.
    pub mirror_log_bytes: u64,
    /// How long a step of a mirror may take before the node is left alone for a while.
    pub mirror_patience: Duration,
    /// How long a controller that has just started waits for the nodes that it would choose for
    /// mirrors, and how long one of them may be away before another is chosen.
    pub mirror_wait: Duration,

    /// How often a process measures itself and tells the controller ([`figures`](crate::figures)).
    pub figures_period: Duration,
    /// Time from one point of the controller's charts of figures to the next.
    pub figures_step: Duration,
    /// Points of a chart, after which the oldest gives way: an hour of them. All charts of a process
    /// take 40 kB.
    pub figures_points: usize,
    /// How often a node tells how its volumes are.
    pub volumes_period: Duration,
    /// How long whoever has volumes opened again waits for all of them to be read: less than a request
    /// may take.
    pub rescan_timeout: Duration,
    /// How long after its start a controller gives nothing up that no file has: a write of an
    /// earlier controller may still be committed.
    pub orphan_grace: Duration,
    /// How long a controller waits after its start for nodes to report before it judges what it has
    /// heard.
    pub safe_mode_max: Duration,

    /// Requests that may wait for their record to become durable.
    pub pending_requests: usize,
    /// Log bytes a request may ask for.
    pub log_piece_max: u32,

    /// Longest chunk, in bytes, that shares a segment with others; a longer one gets a file of its
    /// own. A sync costs about as long as writing this much.
    pub packed_max: u64,
    /// Length at which a segment of a volume is sealed, in bytes.
    pub volume_segment_bytes: u64,
    /// Payload bytes written to a segment with one sync, at most, if it is more than one chunk.
    pub volume_batch_bytes: u64,
    /// Bytes that compaction copies in one batch, at most, if it is more than one chunk.
    pub volume_copy_bytes: u64,
    /// Share of a sealed segment, in percent, above which what is dead in it makes copying the rest
    /// worth while.
    pub volume_dead_percent: u64,
    /// How long a released chunk stays readable by its version.
    pub trash_hold: Duration,
    /// Share of a volume's file system in use, in percent, above which new chunks come only where
    /// there is nothing else, and released ones go at once.
    pub volume_high_percent: u64,
    /// Share of a volume's file system in use, in percent, above which it takes no new chunks.
    pub volume_full_percent: u64,
    /// Share of a volume's file system in use, in percent, at which a full one takes chunks again.
    pub volume_room_percent: u64,
    /// Bytes of a volume's file system that new chunks leave free: at least this, 5 % of the file
    /// system and two segments, at most 20 %. Compaction and deletions may use them.
    pub volume_reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            datagram_max: 1200,
            frame_body_max: MIB,
            handshake_bytes_max: 4 * KIB,
            handshake_timeout: Duration::from_secs(5),
            connections_max: 1024,
            members_max: 10_000,

            heartbeat_period: Duration::from_millis(500),
            heartbeat_jitter_percent: 10,
            udp_blocked_after: Duration::from_secs(5),
            udp_blocked_probes: 3,

            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_secs(2),
            redial_spread_above: 20,
            redial_spread: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(3),
            reconnect_wait: Duration::from_millis(800),

            stall_threshold: Duration::from_secs(1),
            drop_freeze: Duration::from_secs(5),
            mass_event_percent: 30,
            mass_event_window: Duration::from_secs(60),
            flap_half_life: Duration::from_secs(600),

            restart_min: Duration::from_secs(1),
            restart_max: Duration::from_secs(60),
            restart_reset: Duration::from_secs(600),
            crash_loop_exits: 5,
            crash_loop_window: Duration::from_secs(300),
            stop_timeout: Duration::from_secs(20),
            port_wait: Duration::from_secs(3),
            port_probe_period: Duration::from_secs(1),
            launch_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),

            group_commit_records: 256,
            segment_bytes: 64 * MIB as u64,
            checkpoint_records: 100_000,
            reserve_bytes: 16 * MIB as u64,

            chunk_bytes: 64 * MIB as u64,
            file_chunks_max: 8192,
            dfs_answer_patience: Duration::from_secs(30),
            dfs_renew_period: Duration::from_secs(60),
            dfs_write_timeout: Duration::from_secs(600),
            dfs_writes_max: 10_000,
            dfs_chunks_looked_at: 10_000,
            survey_chunks: 8192,
            copies_per_node: 4,
            // With five ticks a second: a million chunks take three hours.
            surplus_per_tick: 20,
            surplus_per_node: 100,
            dfs_hedge_min: Duration::from_millis(50),
            dfs_hedge_max: Duration::from_millis(800),
            dfs_read_patience: Duration::from_secs(5),
            report_page_entries: 8192,
            news_max: 65_536,
            news_delay: Duration::from_millis(50),
            news_resend: Duration::from_secs(1),
            mirror_piece: 256 * KIB,
            mirror_log_bytes: 128 * MIB as u64,
            mirror_patience: Duration::from_secs(30),
            mirror_wait: Duration::from_secs(10),
            figures_period: Duration::from_secs(5),
            figures_step: Duration::from_secs(10),
            figures_points: 360,
            volumes_period: Duration::from_secs(5),
            rescan_timeout: Duration::from_secs(20),
            orphan_grace: Duration::from_secs(600),
            safe_mode_max: Duration::from_secs(120),

            pending_requests: 10_000,
            log_piece_max: 256 * KIB as u32,

            packed_max: MIB as u64,
            volume_segment_bytes: 64 * MIB as u64,
            volume_batch_bytes: 8 * MIB as u64,
            volume_copy_bytes: 2 * MIB as u64,
            volume_dead_percent: 50,
            trash_hold: Duration::from_secs(600),
            volume_high_percent: 85,
            volume_full_percent: 95,
            volume_room_percent: 90,
            volume_reserve_bytes: 1024 * MIB as u64,
        }
    }
}
