//! Which volume of a node takes a chunk, and what room the volumes of a node have together.

use thiserror::Error;

use super::{SLOW_BP, WHOLE_BP, below, portion};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeSlot;

/// What is kept free on a volume, and from where on it takes less or nothing. The marks are used
/// bytes in basis points of all bytes of its file system, whoever used them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRules {
    /// Least reserve, in bytes.
    pub reserve_min: u64,
    /// Reserve in basis points of the capacity, where that is more.
    pub reserve_bp: u64,
    /// Most that the reserve takes, in basis points of the capacity: a disk of 2 GiB is not kept
    /// half empty.
    pub reserve_most_bp: u64,
    /// Mark above which chunks come only where there is nothing else.
    pub high_water_bp: u64,
    /// Mark from which on no chunk comes.
    pub full_bp: u64,
}

impl Default for VolumeRules {
    fn default() -> Self {
        Self {
            reserve_min: 1 << 30,
            reserve_bp: 500,
            reserve_most_bp: 2_000,
            high_water_bp: 8_500,
            full_bp: 9_500,
        }
    }
}

impl VolumeRules {
    /// These rules under a `volumeUsageThreshold`, in basis points. One above [`full_bp`] changes
    /// nothing.
    ///
    /// [`full_bp`]: VolumeRules::full_bp
    #[must_use]
    pub fn with_usage_threshold(self, threshold_bp: u64) -> Self {
        let full_bp = self.full_bp.min(threshold_bp);
        Self {
            full_bp,
            high_water_bp: self.high_water_bp.min(full_bp),
            ..self
        }
    }

    /// Bytes that are kept free on a volume of this capacity.
    #[must_use]
    pub fn reserve(&self, capacity: u64) -> u64 {
        self.reserve_min
            .max(portion(capacity, self.reserve_bp))
            .min(portion(capacity, self.reserve_most_bp))
    }

    /// Length of the longest chunk for which a volume has room. Zero if it is full.
    #[must_use]
    pub fn room(&self, capacity: u64, free: u64) -> u64 {
        if free <= portion(capacity, WHOLE_BP.saturating_sub(self.full_bp)) {
            return 0;
        }
        free.saturating_sub(self.reserve(capacity))
    }

    /// Whether a volume with `free` bytes is above its high-water mark.
    #[must_use]
    pub fn is_above_high_water(&self, capacity: u64, free: u64) -> bool {
        free < self.high_mark(capacity)
    }

    /// Free bytes below which a volume is above its high-water mark.
    fn high_mark(&self, capacity: u64) -> u64 {
        portion(capacity, WHOLE_BP.saturating_sub(self.high_water_bp))
    }
}

/// A volume as a place for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeChoice {
    /// Its position among the volumes of its node.
    pub slot: VolumeSlot,
    /// How it is, by its own account: a volume that was full stays so for a while.
    pub state: VolumeState,
    /// Bytes of its file system.
    pub capacity: u64,
    /// Bytes free there, without those that are promised to chunks on their way.
    pub free: u64,
}

impl VolumeChoice {
    /// Length of the longest chunk that it takes; zero if none.
    fn room(&self, rules: &VolumeRules) -> u64 {
        if self.state.is_writable() {
            rules.room(self.capacity, self.free)
        } else {
            0
        }
    }

    fn is_above_high_water(&self, rules: &VolumeRules) -> bool {
        self.state == VolumeState::High || rules.is_above_high_water(self.capacity, self.free)
    }

    /// Weight in a draw: bytes above the reserve, cut if the volume is slow.
    fn weight(&self, rules: &VolumeRules) -> u64 {
        let room = self.room(rules);
        if self.state == VolumeState::Slow {
            portion(room, SLOW_BP).max(1)
        } else {
            room
        }
    }
}

/// Why no volume of a node takes a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no volume has room for a chunk of {size} bytes ({}): free space, add a volume, or bring one back",
    if left_out.is_empty() { "the node has no volume".to_owned() } else { left_out.join("; ") }
)]
pub struct NoVolume {
    /// Length of the chunk.
    pub size: u64,
    /// Why each volume was left out, `volume N: reason`.
    pub left_out: Vec<String>,
}

/// The volume that takes a chunk of `size` bytes: of two that are drawn by the bytes above their
/// reserve, the emptier. Volumes above their high-water mark are drawn from only if no other has
/// room.
///
/// The same arguments and draws give the same answer. Costs time in proportion to the number of
/// volumes.
///
/// # Errors
/// If no volume has room; the refusal says why of each.
pub fn choose_volume(
    volumes: &[VolumeChoice],
    size: u64,
    rules: &VolumeRules,
    draw: &mut impl FnMut() -> u64,
) -> Result<VolumeSlot, NoVolume> {
    let fits = |volume: &&VolumeChoice| {
        let room = volume.room(rules);
        room > 0 && room >= size
    };
    let high = volumes
        .iter()
        .filter(fits)
        .all(|volume| volume.is_above_high_water(rules));
    let choices = || {
        volumes
            .iter()
            .filter(fits)
            .filter(move |volume| high || !volume.is_above_high_water(rules))
    };
    let total: u128 = choices().map(|v| u128::from(v.weight(rules))).sum();
    // Half of a draw's bits are more than the sum of what disks hold has; the shift keeps the
    // product within bounds for any sum.
    let shift = (128 - total.leading_zeros()).saturating_sub(64);
    let scaled = u64::try_from(total >> shift).unwrap_or(u64::MAX);
    let mut pick = || {
        let mut point = u128::from(below(draw, scaled)) << shift;
        choices().find(|volume| {
            let weight = u128::from(volume.weight(rules));
            let here = point < weight;
            point = point.saturating_sub(weight);
            here
        })
    };
    let (Some(first), Some(second)) = (pick(), pick()) else {
        return Err(NoVolume {
            size,
            left_out: volumes.iter().map(|v| left_out(v, rules)).collect(),
        });
    };
    let share = |of: &VolumeChoice, other: &VolumeChoice| {
        u128::from(of.free.saturating_sub(size)) * u128::from(other.capacity)
    };
    Ok(if share(second, first) > share(first, second) {
        second.slot
    } else {
        first.slot
    })
}

fn left_out(volume: &VolumeChoice, rules: &VolumeRules) -> String {
    let VolumeChoice {
        slot, state, free, ..
    } = volume;
    let reserve = rules.reserve(volume.capacity);
    if !state.is_writable() {
        format!("volume {slot}: {}", state.as_str())
    } else if volume.room(rules) == 0 {
        format!("volume {slot}: full, {free} bytes are free and {reserve} are kept free")
    } else {
        format!("volume {slot}: {free} bytes are free, of which {reserve} are kept free")
    }
}

/// What room the volumes of a node have together. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes of all volumes that take chunks.
    pub capacity: u64,
    /// Bytes free on them.
    pub free: u64,
    /// Length of the longest chunk that one of them takes.
    pub room: u64,
    /// Free bytes below which the node is above its high-water mark.
    pub high_mark: u64,
    /// How many volumes take chunks.
    pub volumes: u32,
}

impl Space {
    /// The room of a node with these volumes. Volumes that take no chunks count for nothing, so that
    /// a node is not spared because one of its volumes is full.
    #[must_use]
    pub fn of(volumes: &[VolumeChoice], rules: &VolumeRules) -> Self {
        let mut sum = Self::default();
        for volume in volumes {
            let room = volume.room(rules);
            if room == 0 {
                continue;
            }
            sum.capacity = sum.capacity.saturating_add(volume.capacity);
            sum.free = sum.free.saturating_add(volume.free);
            sum.room = sum.room.max(room);
            sum.high_mark = sum
                .high_mark
                .saturating_add(rules.high_mark(volume.capacity));
            sum.volumes += 1;
        }
        let mut takers = volumes.iter().filter(|volume| volume.room(rules) > 0);
        if sum.volumes > 0 && takers.all(|volume| volume.is_above_high_water(rules)) {
            // A volume stays above its mark by its own account until it is well below.
            sum.high_mark = sum.high_mark.max(sum.free.saturating_add(1));
        }
        sum
    }

    /// How full it is, in basis points.
    #[must_use]
    pub fn used_bp(&self) -> u64 {
        let used = u128::from(self.capacity.saturating_sub(self.free)) * u128::from(WHOLE_BP);
        let used = used.checked_div(u128::from(self.capacity));
        used.map_or(WHOLE_BP, |used| u64::try_from(used).unwrap_or(WHOLE_BP))
    }

    /// Whether chunks should come here only if there is nothing else.
    #[must_use]
    pub const fn is_above_high_water(&self) -> bool {
        self.free < self.high_mark
    }

    /// Counts bytes as used. On which volume they will come is the node's choice: each is taken to
    /// get its part.
    pub(super) fn take(&mut self, size: u64) {
        self.free = self.free.saturating_sub(size);
        let part = size.div_ceil(u64::from(self.volumes.max(1)));
        self.room = self.room.saturating_sub(part).min(self.free);
    }

    /// The opposite of [`Space::take`].
    pub(super) fn give_back(&mut self, size: u64) {
        if self.volumes == 0 {
            return;
        }
        self.free = self.free.saturating_add(size).min(self.capacity);
        let part = size.div_ceil(u64::from(self.volumes));
        self.room = self.room.saturating_add(part).min(self.free);
    }
}
