//! What has changed on a node since its report, on its way to the controller.
//!
//! Changes are numbered without a gap and sent again until the controller has
//! acknowledged them all up to a number. What both sides compare in every heartbeat is a sum over
//! what the node has, so that a change that got lost by a bug shows within seconds.

use std::collections::VecDeque;

use crate::limits::Limits;
use crate::message::{ReplicaChange, ReplicaNews};
use crate::time::Timestamp;

/// The changes since the last report.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// Changes that are not acknowledged, oldest first.
    waiting: VecDeque<ReplicaChange>,
    /// Number of the newest acknowledged change.
    acknowledged: u64,
    /// How many of those that wait have been sent.
    sent: usize,
    /// When the oldest that was not sent was made, and when something was last sent.
    made: Option<Timestamp>,
    sent_at: Option<Timestamp>,
    sum: u64,
    overflowed: bool,
}

impl News {
    /// A report is being made that tells everything up to here. `sum` is that of what it tells.
    /// Returns the number up to which changes are old news; numbers go on from there, so that a late
    /// acknowledgement of an earlier change takes none of those to come for known.
    pub(super) fn begin(&mut self, sum: u64) -> u64 {
        let acknowledged = self.newest() + u64::from(self.overflowed);
        *self = Self {
            sum,
            acknowledged,
            ..Self::default()
        };
        acknowledged
    }

    /// Takes a change.
    pub(super) fn add(&mut self, now: Timestamp, change: ReplicaChange, limits: &Limits) {
        match &change {
            ReplicaChange::Added(entry) => self.sum = self.sum.wrapping_add(entry.fingerprint()),
            ReplicaChange::Removed(entry) | ReplicaChange::Corrupt(entry) => {
                self.sum = self.sum.wrapping_sub(entry.fingerprint());
            }
            // Where it lies is no part of the sum; nor is what is damaged.
            ReplicaChange::Moved(_) | ReplicaChange::Cleared(_) => {}
        }
        if self.waiting.len() >= limits.news_max {
            // Too much to tell one by one: the whole is told again.
            self.overflowed = true;
            return;
        }
        self.waiting.push_back(change);
        self.made.get_or_insert(now);
    }

    /// Number of the newest change.
    pub(super) fn newest(&self) -> u64 {
        self.acknowledged + self.waiting.len() as u64
    }

    /// Sum of the fingerprints of what the node has.
    pub(super) const fn sum(&self) -> u64 {
        self.sum
    }

    /// Whether a full report has to say what is not among the changes any more.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// The controller has applied the changes up to this one.
    pub(super) fn applied(&mut self, upto: u64) {
        let done = upto.saturating_sub(self.acknowledged);
        let done = usize::try_from(done)
            .unwrap_or(usize::MAX)
            .min(self.waiting.len());
        self.waiting.drain(..done);
        self.acknowledged += done as u64;
        self.sent = self.sent.saturating_sub(done);
    }

    /// What is to be sent now, if anything is.
    pub(super) fn poll(&mut self, now: Timestamp, limits: &Limits) -> Option<ReplicaNews> {
        if self.next_deadline(limits).is_none_or(|due| now < due) {
            return None;
        }
        let again = self
            .sent_at
            .is_some_and(|at| now >= at.after(limits.news_resend));
        let from = if again { 0 } else { self.sent };
        let changes: Vec<_> = self
            .waiting
            .iter()
            .skip(from)
            .take(limits.report_page_entries)
            .copied()
            .collect();
        let first = self.acknowledged + 1 + from as u64;
        self.sent = from + changes.len();
        self.sent_at = Some(now);
        self.made = (self.sent < self.waiting.len()).then_some(now);
        Some(ReplicaNews { first, changes })
    }

    /// When [`News::poll`] has something.
    pub(super) fn next_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        if self.waiting.is_empty() {
            return None;
        }
        let fresh = (self.sent < self.waiting.len())
            .then(|| self.made.map(|made| made.after(limits.news_delay)))
            .flatten();
        let again = (self.sent > 0)
            .then(|| self.sent_at.map(|at| at.after(limits.news_resend)))
            .flatten();
        [fresh, again].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::dfs::digest::Digest;
    use crate::dfs::ids::{ChunkId, ChunkVersion, VolumeSlot};
    use crate::message::ReplicaEntry;

    fn at(ms: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_millis(ms))
    }

    fn entry(n: u64) -> ReplicaEntry {
        ReplicaEntry {
            version: ChunkVersion::first(ChunkId(n)),
            len: n,
            digest: Digest::of(&n.to_le_bytes()),
            volume: VolumeSlot(0),
        }
    }

    fn numbers(news: &ReplicaNews) -> Vec<u64> {
        (0..news.changes.len() as u64)
            .map(|n| news.first + n)
            .collect()
    }

    #[test]
    fn changes_are_gathered_sent_once_and_sent_again_until_acknowledged() {
        let limits = Limits::default();
        let mut news = News::default();
        assert_eq!(news.next_deadline(&limits), None);
        news.add(at(0), ReplicaChange::Added(entry(1)), &limits);
        news.add(at(20), ReplicaChange::Added(entry(2)), &limits);
        assert!(news.poll(at(49), &limits).is_none());
        let first = news.poll(at(50), &limits).expect("they are due");
        assert_eq!(numbers(&first), [1, 2]);
        assert!(news.poll(at(51), &limits).is_none());
        news.add(at(60), ReplicaChange::Removed(entry(1)), &limits);
        let second = news.poll(at(110), &limits).expect("it is due");
        assert_eq!(numbers(&second), [3]);
        news.applied(1);
        let again = news.poll(at(1110), &limits).expect("no answer came");
        assert_eq!(numbers(&again), [2, 3]);
        news.applied(3);
        news.applied(2);
        assert_eq!(news.next_deadline(&limits), None);
        assert_eq!(news.newest(), 3);
    }

    #[test]
    fn the_sum_is_that_of_what_is_there_whatever_the_order() {
        let limits = Limits::default();
        let (mut one, mut other) = (News::default(), News::default());
        for n in 1..9 {
            one.add(at(0), ReplicaChange::Added(entry(n)), &limits);
            other.add(at(0), ReplicaChange::Added(entry(9 - n)), &limits);
        }
        assert_eq!(one.sum(), other.sum());
        one.add(at(0), ReplicaChange::Removed(entry(4)), &limits);
        assert_ne!(one.sum(), other.sum());
        other.add(at(0), ReplicaChange::Corrupt(entry(4)), &limits);
        assert_eq!(one.sum(), other.sum());
    }

    #[test]
    fn a_flood_of_changes_is_told_as_a_whole() {
        let limits = Limits {
            news_max: 2,
            ..Limits::default()
        };
        let mut news = News::default();
        for n in 0..3 {
            assert!(!news.has_overflowed());
            news.add(at(0), ReplicaChange::Added(entry(n)), &limits);
        }
        assert!(news.has_overflowed());
        assert_eq!(news.begin(news.sum()), 3);
        assert!(!news.has_overflowed());
        news.add(at(0), ReplicaChange::Added(entry(7)), &limits);
        news.applied(2);
        assert_eq!(news.newest(), 4, "a late acknowledgement drops nothing new");
        let next = news.poll(at(50), &limits).expect("it is due");
        assert_eq!(numbers(&next), [4]);
    }
}
