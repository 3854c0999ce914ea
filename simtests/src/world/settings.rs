//! How a World behaves where no fault was planned.

use std::time::Duration;

use crate::disk::{DiskProfile, Latency};
use crate::net::LinkProfile;
use crate::net::tcp::TcpSettings;
use crate::streams::Rate;
use crate::trace::TraceMode;

/// How hosts start and watch processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessSettings {
    /// From an order to its outcome: a probe, an inspection, a signal, a fork.
    pub order: Latency,
    /// From the fork to the moment at which the process has its port and its machine.
    pub startup: Latency,
    /// From the end of a process to the agent's being told.
    pub reaping: Latency,
    /// How long a process whose port is taken tries again, every second, before it gives up.
    pub bind_patience: Duration,
    /// How many process ids there are before the first is given out again.
    pub pid_range: u32,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            order: Latency::micros(300, 700),
            startup: Latency::micros(5_000, 5_000),
            reaping: Latency::micros(100, 200),
            bind_patience: Duration::from_secs(30),
            pid_range: 64,
        }
    }
}

/// How a World behaves where no fault was planned.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What links do that have no profile of their own.
    pub weather: LinkProfile,
    /// How connections behave.
    pub tcp: TcpSettings,
    /// How the disks of new nodes behave.
    pub disk: DiskProfile,
    /// How the volumes of new nodes behave.
    pub volume: DiskProfile,
    /// Whether a process that begins reads its files from the platter and not from the cache, as
    /// far as the cache has nothing to write. It then does not take for durable what a failed sync
    /// left in the cache.
    pub reads_past_cache: bool,
    /// How hosts handle processes.
    pub processes: ProcessSettings,
    /// How much later than asked a timer may fire. Real ones have a grain of a millisecond.
    pub timer_slack: Duration,
    /// How fast or slow the clock of a new host may be.
    pub drift_ppm_max: u32,
    /// How long hashing or comparing a password takes.
    pub password: Latency,
    /// How long building a checkpoint takes.
    pub checkpoint: Latency,
    /// How often a password job is refused because too many wait.
    pub overload: Rate,
    /// Datagrams that wait for a paused process before the next one is dropped.
    pub datagram_buffer: usize,
    /// Longest datagram a machine may send.
    pub datagram_max: usize,
    /// Effects a machine may emit for one input.
    pub effects_per_input: usize,
    /// Whether processes are measured. Most stories are told without: what is measured is sent, and that is
    /// all that comes of it.
    pub measures: bool,
    /// After how many steps each machine's own invariants are checked: 1 checks the machine that
    /// was just told something, after every step.
    pub invariants_every: u32,
    /// What is kept of the trace.
    pub trace: TraceMode,
    /// How many notices, answers and ends are kept before the oldest half is forgotten.
    pub history_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weather: LinkProfile::default(),
            tcp: TcpSettings::default(),
            disk: DiskProfile::default(),
            volume: DiskProfile::default(),
            reads_past_cache: false,
            processes: ProcessSettings::default(),
            timer_slack: Duration::from_millis(1),
            drift_ppm_max: 0,
            password: Latency::micros(50_000, 20_000),
            checkpoint: Latency::micros(100_000, 100_000),
            overload: Rate::NEVER,
            datagram_buffer: 3_000,
            datagram_max: 1_200,
            effects_per_input: 10_000,
            measures: false,
            invariants_every: 1,
            trace: TraceMode::Fingerprint,
            history_max: 100_000,
        }
    }
}
