//! How fast the disk of a volume is.
//!
//! A disk that is about to die, or is shared with somebody who works it hard, answers, and slowly: all
//! that waits for it waits long. It stays in service, since it is not known to be wrong, but new chunks
//! go elsewhere as far as they can. Windows of a minute are judged one after the other: a volume is
//! slow if half of a window's batches were. One of which nothing was asked for a whole window gets a
//! new chance, since nobody would ever know otherwise.

use core::time::Duration;

use crate::ids::DiskTicket;
use crate::time::Timestamp;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a batch may take beside the writing of its bytes. A hard disk that is worked by others
/// syncs within 50 ms, a worn-out one does not within half a second.
const SYNC_MAX: Duration = Duration::from_millis(200);
/// Bytes a second that the slowest disk of any use writes.
const BYTES_PER_SECOND_MIN: u64 = 16 * 1024 * 1024;
/// Fewer batches than this say nothing.
const BATCHES_MIN: u32 = 4;

/// The pace of one volume.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// One in each lane at most. Only batches that somebody waits for count: compaction and purges do
    /// not.
    under_way: Vec<UnderWay>,
    began: Option<Timestamp>,
    batches: u32,
    slow_batches: u32,
    is_slow: bool,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    ticket: DiskTicket,
    /// When it was handed out; `None` until somebody who knows the time has looked.
    since: Option<Timestamp>,
    /// How long it may take.
    patience: Duration,
}

impl Pace {
    /// What a slow volume is told with.
    pub(super) const REASON: &str = "its disk takes more than 200 ms beside the writing itself, again and \
         again: new chunks go to others as far as they can; look at the disk, and at what else uses it";

    /// A batch that makes so many bytes durable is handed to the disk.
    pub(super) fn begin(&mut self, ticket: DiskTicket, bytes: u64) {
        let millis = bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN;
        self.under_way.push(UnderWay {
            ticket,
            since: None,
            patience: SYNC_MAX + Duration::from_millis(millis),
        });
    }

    /// A batch has ended, however it has.
    pub(super) fn end(&mut self, ticket: DiskTicket, now: Timestamp) {
        let Some(at) = self.under_way.iter().position(|it| it.ticket == ticket) else {
            return;
        };
        let batch = self.under_way.swap_remove(at);
        let took = batch.since.map_or(Duration::ZERO, |since| now.since(since));
        self.batches = self.batches.saturating_add(1);
        self.slow_batches += u32::from(took > batch.patience);
    }

    /// Time goes on. Returns whether the volume has become slow, or fast again.
    pub(super) fn tick(&mut self, now: Timestamp) -> bool {
        for batch in &mut self.under_way {
            batch.since.get_or_insert(now);
        }
        let began = *self.began.get_or_insert(now);
        if now.since(began) < WINDOW {
            return false;
        }
        // Half of them make it slow, and a tenth keep it so.
        let most = self.batches.div_ceil(if self.is_slow { 10 } else { 2 });
        let is_slow = self.batches >= BATCHES_MIN && self.slow_batches >= most;
        self.began = Some(now);
        (self.batches, self.slow_batches) = (0, 0);
        core::mem::replace(&mut self.is_slow, is_slow) != is_slow
    }

    /// Whether the volume is slow at present.
    pub(super) const fn is_slow(&self) -> bool {
        self.is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_millis(ms))
    }

    /// A minute of batches of so many bytes, each of which takes so long.
    fn minute(pace: &mut Pace, from: u64, bytes: u64, takes_ms: u64) -> bool {
        let mut changed = false;
        for n in 0..60 {
            let now = from + n * 1000;
            changed |= pace.tick(at(now));
            pace.begin(DiskTicket(now), bytes);
            changed |= pace.tick(at(now));
            pace.end(DiskTicket(now), at(now + takes_ms));
        }
        changed | pace.tick(at(from + 60_000))
    }

    #[test]
    fn a_disk_that_takes_long_for_a_minute_is_slow_until_it_does_not() {
        let mut pace = Pace::default();
        assert!(!minute(&mut pace, 0, 10, 100) && !pace.is_slow());
        assert!(minute(&mut pace, 60_000, 10, 300) && pace.is_slow());
        assert!(!minute(&mut pace, 120_000, 10, 300) && pace.is_slow());
        assert!(minute(&mut pace, 180_000, 10, 100) && !pace.is_slow());
    }

    #[test]
    fn long_batches_may_take_long() {
        let mut pace = Pace::default();
        let mib = 1024 * 1024;
        assert!(!minute(&mut pace, 0, 8 * mib, 650));
        assert!(minute(&mut pace, 60_000, 8 * mib, 750));
    }

    #[test]
    fn of_whom_nothing_was_asked_for_a_minute_gets_a_new_chance() {
        let mut pace = Pace::default();
        minute(&mut pace, 0, 10, 300);
        assert!(pace.is_slow());
        assert!(pace.tick(at(120_000)) && !pace.is_slow());
        // Three batches say nothing.
        for n in 1..=3 {
            pace.begin(DiskTicket(n), 10);
            pace.tick(at(120_000));
            pace.end(DiskTicket(n), at(121_000));
        }
        assert!(!pace.tick(at(180_000)));
    }
}
