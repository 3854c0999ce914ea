//! How a disk behaves: how long things take, and how often they fail.

use std::time::Duration;

use vaquita_core::disk::DiskOp;

use super::{FailedSync, Tear};
use crate::streams::{Draw, Rate};
use crate::time::nanos;

/// A duration with a tail: `least`, and an exponential part of the given mean on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Never less than this.
    pub least: Duration,
    /// Mean of what comes on top.
    pub mean_extra: Duration,
}

impl Latency {
    /// From microseconds.
    #[must_use]
    pub const fn micros(least: u64, mean_extra: u64) -> Self {
        Self {
            least: Duration::from_micros(least),
            mean_extra: Duration::from_micros(mean_extra),
        }
    }

    /// One of its durations, in nanoseconds.
    pub(crate) const fn draw(&self, draw: &mut Draw) -> u64 {
        nanos(self.least).saturating_add(draw.exponential(nanos(self.mean_extra)))
    }
}

/// How a disk behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskProfile {
    /// What a write, creation, renaming or removal takes.
    pub write: Latency,
    /// What a sync takes.
    pub sync: Latency,
    /// By how much everything takes longer.
    pub slow_down: u32,
    /// How often a write, creation, renaming or removal fails.
    pub op_fails: Rate,
    /// How often a sync fails.
    pub sync_fails: Rate,
    /// Whether a sync reports success and does nothing.
    pub lies: bool,
    /// Bytes that all files together may have.
    pub capacity: u64,
    /// What a power cut makes of unsynced writes.
    pub tear: Tear,
    /// What the cache shows after a failed sync.
    pub failed_sync: FailedSync,
}

impl Default for DiskProfile {
    /// A healthy solid-state disk with 64 GiB.
    fn default() -> Self {
        Self {
            write: Latency::micros(5, 10),
            sync: Latency::micros(150, 200),
            slow_down: 1,
            op_fails: Rate::NEVER,
            sync_fails: Rate::NEVER,
            lies: false,
            capacity: 64 << 30,
            tear: Tear::Subset,
            failed_sync: FailedSync::KeepsCache,
        }
    }
}

impl DiskProfile {
    /// How long an operation takes, in nanoseconds.
    pub(crate) fn duration(&self, op: &DiskOp, draw: &mut Draw) -> u64 {
        let (latency, bytes) = match op {
            DiskOp::Sync { .. } | DiskOp::SyncDir => (&self.sync, 0),
            DiskOp::Append { bytes, .. } => (&self.write, bytes.len() as u64),
            DiskOp::CreateNew { .. }
            | DiskOp::CreateOrEmpty { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::Reserve { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Remove { .. } => (&self.write, 0),
        };
        // A gigabyte a second: one nanosecond a byte.
        (latency.draw(draw) + bytes).saturating_mul(u64::from(self.slow_down.max(1)))
    }
}
