//! Counts of what goes on in a data plane, for those who watch it. Nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vaquita_core::figures::Figures;
use vaquita_core::time::Timestamp;

use super::Data;
use crate::env::Env;

/// Whole reads and writes of files whose times are remembered.
const REMEMBERED: usize = 100;
/// The newest of them, of which there are figures of their own.
const NEWEST: usize = 10;

/// The counts. All are counted from the start of the process, but for what is under way.
#[derive(Debug)]
pub(crate) struct Tally {
    chunks_read: AtomicU64,
    chunks_written: AtomicU64,
    reading: AtomicU64,
    writing: AtomicU64,
    times: Mutex<Times>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            chunks_read: AtomicU64::new(0),
            chunks_written: AtomicU64::new(0),
            reading: AtomicU64::new(0),
            writing: AtomicU64::new(0),
            times: Mutex::new(Times {
                nanos: [0; REMEMBERED],
                count: 0,
                next: 0,
            }),
        }
    }
}

/// How long the last operations took; the oldest gives way.
#[derive(Clone, Debug)]
struct Times {
    nanos: [u64; REMEMBERED],
    count: usize,
    /// Where the next one goes.
    next: usize,
}

impl Times {
    fn note(&mut self, took: Duration) {
        self.nanos[self.next] = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.next = (self.next + 1) % REMEMBERED;
        self.count = (self.count + 1).min(REMEMBERED);
    }

    /// Median and longest of the newest, at most so many; zero where there is none.
    fn of_newest(&self, most: usize) -> (u64, u64) {
        let count = self.count.min(most);
        let mut newest = [0; REMEMBERED];
        for (back, into) in (1..=count).zip(&mut newest) {
            *into = self.nanos[(self.next + REMEMBERED - back) % REMEMBERED];
        }
        let newest = &mut newest[..count];
        newest.sort_unstable();
        let median = newest.get(count.saturating_sub(1) / 2).copied();
        let longest = newest.last().copied();
        (median.unwrap_or(0), longest.unwrap_or(0))
    }
}

impl Tally {
    pub(super) fn chunk_read(&self) {
        self.chunks_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn chunk_written(&self) {
        self.chunks_written.fetch_add(1, Ordering::Relaxed);
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        // A note cannot panic half way.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is counted here to what was measured elsewhere.
    pub(crate) fn tell(&self, figures: Figures) -> Figures {
        let times = self.times().clone();
        let (operation_median_10_ns, operation_max_10_ns) = times.of_newest(NEWEST);
        let (operation_median_100_ns, operation_max_100_ns) = times.of_newest(REMEMBERED);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Figures {
            chunks_read: of(&self.chunks_read),
            chunks_written: of(&self.chunks_written),
            reading: of(&self.reading),
            writing: of(&self.writing),
            operation_median_10_ns,
            operation_max_10_ns,
            operation_median_100_ns,
            operation_max_100_ns,
            ..figures
        }
    }
}

/// What a client does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
}

/// A client's operation on a file, which counts as under way for as long as this lives.
pub(crate) struct UnderWay<E: Env> {
    data: Data<E>,
    operation: Operation,
    begun: Timestamp,
}

impl<E: Env> UnderWay<E> {
    fn count(&self) -> &AtomicU64 {
        let tally = self.data.tally();
        match self.operation {
            Operation::Read => &tally.reading,
            Operation::Write => &tally.writing,
        }
    }

    /// It has come to a good end: how long it took is noted.
    pub(crate) fn finish(self) {
        let took = self.data.shared.env.now().since(self.begun);
        self.data.tally().times().note(took);
    }
}

impl<E: Env> Drop for UnderWay<E> {
    fn drop(&mut self) {
        self.count().fetch_sub(1, Ordering::Relaxed);
    }
}

impl<E: Env> Data<E> {
    pub(crate) fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// A client begins to read or to write a file.
    pub(crate) fn begin(&self, operation: Operation) -> UnderWay<E> {
        let under_way = UnderWay {
            data: self.clone(),
            operation,
            begun: self.shared.env.now(),
        };
        under_way.count().fetch_add(1, Ordering::Relaxed);
        under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tally: &Tally) -> [u64; 4] {
        let told = tally.tell(Figures::default());
        [
            told.operation_median_10_ns,
            told.operation_max_10_ns,
            told.operation_median_100_ns,
            told.operation_max_100_ns,
        ]
    }

    #[test]
    fn times_are_of_the_newest_operations_and_the_oldest_give_way() {
        let tally = Tally::default();
        assert_eq!(told(&tally), [0; 4]);
        let note = |nanos| tally.times().note(Duration::from_nanos(nanos));
        note(700);
        assert_eq!(told(&tally), [700; 4]);
        for nanos in 1..=9 {
            note(nanos);
        }
        assert_eq!(told(&tally), [5, 700, 5, 700]);
        note(10);
        assert_eq!(told(&tally), [5, 10, 6, 700]);
        for nanos in 1..=100 {
            note(nanos);
        }
        assert_eq!(told(&tally), [95, 100, 50, 100]);
    }
}
