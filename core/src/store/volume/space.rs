//! How much room there is, and what follows from it.

use super::{StoreEvent, Volume};
use crate::dfs::ask::VolumeState;
use crate::limits::Limits;
use crate::time::Timestamp;

/// What is known of the file system's room.
#[derive(Clone, Debug)]
pub(super) struct Space {
    high_percent: u64,
    full_percent: u64,
    room_percent: u64,
    reserve_bytes: u64,
    segments_bytes: u64,
    capacity: u64,
    free: u64,
    /// Bytes written since `free` was told.
    written: u64,
    level: VolumeState,
    /// A write found no space; until there is room again by what is told.
    exhausted: bool,
    /// The same, until anything is told: not even a release is tried.
    blocked: bool,
}

impl Space {
    pub(super) fn new(limits: &Limits, capacity: u64, free: u64) -> Self {
        let mut space = Self {
            high_percent: limits.volume_high_percent,
            full_percent: limits.volume_full_percent,
            room_percent: limits.volume_room_percent,
            reserve_bytes: limits.volume_reserve_bytes,
            segments_bytes: limits.volume_segment_bytes.saturating_mul(2),
            capacity,
            free,
            written: 0,
            level: VolumeState::Good,
            exhausted: false,
            blocked: false,
        };
        space.judge();
        space
    }

    /// Bytes that new chunks leave free.
    fn reserve(&self) -> u64 {
        let wanted = self.reserve_bytes.max(self.segments_bytes);
        wanted.max(self.capacity / 20).min(self.capacity / 5)
    }

    fn used_percent(&self) -> u64 {
        let used = u128::from(self.capacity.saturating_sub(self.free));
        let share = (used * 100)
            .checked_div(u128::from(self.capacity))
            .unwrap_or(100);
        u64::try_from(share).unwrap_or(100)
    }

    fn judge(&mut self) {
        let used = self.used_percent();
        let was_full = self.level() == VolumeState::Full;
        let mark = if was_full {
            self.room_percent.saturating_sub(1)
        } else {
            self.full_percent
        };
        let full = used > mark || self.free < self.reserve();
        self.exhausted &= full;
        self.level = if full {
            VolumeState::Full
        } else if used > self.high_percent {
            VolumeState::High
        } else {
            VolumeState::Good
        };
    }

    pub(super) const fn level(&self) -> VolumeState {
        if self.exhausted {
            VolumeState::Full
        } else {
            self.level
        }
    }

    pub(super) const fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether released chunks go at once.
    pub(super) const fn is_tight(&self) -> bool {
        matches!(self.level(), VolumeState::High | VolumeState::Full)
    }

    pub(super) fn reason(&self, path: &str) -> String {
        let (free, reserve) = (self.free, self.reserve());
        match self.level() {
            VolumeState::Full if self.exhausted => format!(
                "volume {path} is full: a write found no space, with {free} bytes said to be free. \
                 It takes no new chunks until there is room; free space there, or add a volume"
            ),
            VolumeState::Full => format!(
                "volume {path} is full: {} % of {} bytes are in use, {free} are free and {reserve} \
                 are kept in reserve. It takes no new chunks until fewer than {} % are in use; free \
                 space there, or add a volume",
                self.used_percent(),
                self.capacity,
                self.room_percent
            ),
            VolumeState::High => format!(
                "volume {path} is above its high-water mark: {} % of {} bytes are in use. It takes \
                 new chunks only where there is nothing else; free space there, or add a volume",
                self.used_percent(),
                self.capacity
            ),
            _ => String::new(),
        }
    }
}

impl Volume {
    /// How much room there is on its file system.
    pub fn space(&mut self, capacity: u64, free: u64, now: Timestamp) {
        let before = self.state();
        self.space.capacity = capacity;
        self.space.free = free;
        self.space.written = 0;
        self.space.blocked = false;
        self.space.judge();
        self.compaction.resume();
        if self.state() != before {
            self.events.push_back(StoreEvent::StateChanged);
        }
        self.purge_due(now);
    }

    /// Bytes of the file system, and bytes free there, as they were told last.
    #[must_use]
    pub const fn told_space(&self) -> (u64, u64) {
        (self.space.capacity, self.space.free)
    }

    /// Bytes that are promised to chunks on their way.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.promises.values().map(super::Promise::size).sum()
    }

    /// Bytes for chunks that nothing is promised to.
    #[must_use]
    pub fn room(&self) -> u64 {
        let taken = (self.space.written)
            .saturating_add(self.space.reserve())
            .saturating_add(self.promised());
        self.space.free.saturating_sub(taken)
    }

    /// A write has taken so many bytes.
    pub(super) const fn wrote(&mut self, bytes: u64) {
        self.space.written = self.space.written.saturating_add(bytes);
    }

    /// A write found no space: what waits for some is refused, and released chunks go.
    pub(super) fn exhausted(&mut self, now: Timestamp) {
        let before = self.state();
        self.space.exhausted = true;
        self.space.blocked = true;
        if self.state() != before {
            self.events.push_back(StoreEvent::StateChanged);
        }
        let reason = self.reason();
        let stages: Vec<_> = self.promises.keys().copied().collect();
        for stage in stages {
            if !self.is_under_way(stage) {
                self.fail_promise(stage, &reason);
            }
        }
        self.purge_due(now);
    }
}
