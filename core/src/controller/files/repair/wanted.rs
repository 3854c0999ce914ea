//! The chunks that something is to be done about, the most urgent first.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::Urgency;
use crate::dfs::ids::ChunkId;
use crate::membership::Slot;
use crate::time::Timestamp;

/// First pause after a failure; it doubles with each, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is wanted for one chunk.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) urgency: Urgency,
    pub(super) since: Timestamp,
    /// Why it is not done yet, in words; empty while nothing was tried.
    pub(super) reason: String,
    /// The node that could not be given it the last time.
    pub(super) failed_at: Option<Slot>,
    failures: u32,
    /// How often something had changed when it was taken up the last time.
    begun_after: u64,
    phase: Phase,
}

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It may be taken up.
    Ready,
    /// It is left alone until then.
    Paused(Timestamp),
    /// It is being worked on.
    UnderWay,
}

/// All of them. A chunk that lacks nothing costs nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedChunks {
    all: BTreeMap<ChunkId, Want>,
    ready: BTreeSet<(Urgency, ChunkId)>,
    paused: BTreeSet<(Timestamp, ChunkId)>,
    /// How often something has changed that may help.
    hurries: u64,
    /// How many there are of each urgency.
    counts: [u64; Urgency::ALL.len()],
}

impl WantedChunks {
    pub(super) fn get(&self, chunk: ChunkId) -> Option<&Want> {
        self.all.get(&chunk)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ChunkId, &Want)> {
        self.all.iter().map(|(chunk, want)| (*chunk, want))
    }

    /// Something is to be done about a chunk. What was known of it stays known.
    pub(super) fn want(&mut self, now: Timestamp, chunk: ChunkId, urgency: Urgency) {
        match self.all.get_mut(&chunk) {
            Some(want) if want.urgency == urgency => {}
            Some(want) => {
                let before = (want.urgency, chunk);
                let worse = urgency < want.urgency;
                self.counts[want.urgency as usize] -= 1;
                self.counts[urgency as usize] += 1;
                want.urgency = urgency;
                if self.ready.remove(&before) {
                    self.ready.insert((urgency, chunk));
                }
                if worse && let Phase::Paused(_) = want.phase {
                    want.failures = 0;
                    self.set(chunk, Phase::Ready);
                }
            }
            None => {
                let want = Want {
                    urgency,
                    since: now,
                    reason: String::new(),
                    failed_at: None,
                    failures: 0,
                    begun_after: 0,
                    phase: Phase::Ready,
                };
                self.all.insert(chunk, want);
                self.counts[urgency as usize] += 1;
                self.ready.insert((urgency, chunk));
            }
        }
    }

    /// Nothing is to be done about a chunk any more.
    pub(super) fn forget(&mut self, chunk: ChunkId) {
        if let Some(want) = self.all.remove(&chunk) {
            self.counts[want.urgency as usize] -= 1;
            self.leave(chunk, want.urgency, want.phase);
        }
    }

    /// How many there are of an urgency.
    pub(super) const fn count(&self, urgency: Urgency) -> u64 {
        self.counts[urgency as usize]
    }

    fn leave(&mut self, chunk: ChunkId, urgency: Urgency, phase: Phase) {
        match phase {
            Phase::Ready => drop(self.ready.remove(&(urgency, chunk))),
            Phase::Paused(until) => drop(self.paused.remove(&(until, chunk))),
            Phase::UnderWay => {}
        }
    }

    fn set(&mut self, chunk: ChunkId, phase: Phase) {
        let Some(want) = self.all.get_mut(&chunk) else {
            return;
        };
        let (urgency, before) = (want.urgency, core::mem::replace(&mut want.phase, phase));
        self.leave(chunk, urgency, before);
        match phase {
            Phase::Ready => drop(self.ready.insert((urgency, chunk))),
            Phase::Paused(until) => drop(self.paused.insert((until, chunk))),
            Phase::UnderWay => {}
        }
    }

    /// Somebody works on a chunk.
    pub(super) fn begin(&mut self, chunk: ChunkId) {
        if let Some(want) = self.all.get_mut(&chunk) {
            want.begun_after = self.hurries;
        }
        self.set(chunk, Phase::UnderWay);
    }

    /// What was tried has not helped: the chunk is left alone for a while, longer each time; unless
    /// something has changed since it was begun, which may help the next one.
    pub(super) fn failed(
        &mut self,
        now: Timestamp,
        chunk: ChunkId,
        reason: String,
        at: Option<Slot>,
    ) {
        let Some(want) = self.all.get_mut(&chunk) else {
            return;
        };
        let factor = 2_u32.saturating_pow(want.failures.min(16));
        want.failures = want.failures.saturating_add(1);
        want.reason = reason;
        want.failed_at = at;
        let pause = PAUSE_MIN.saturating_mul(factor).min(PAUSE_MAX);
        let phase = match want.begun_after == self.hurries {
            true => Phase::Paused(now.after(pause)),
            false => Phase::Ready,
        };
        self.set(chunk, phase);
    }

    /// A chunk is left alone for a moment: what was done about it is soon heard.
    pub(super) fn wait(&mut self, now: Timestamp, chunk: ChunkId) {
        self.set(chunk, Phase::Paused(now.after(PAUSE_MIN)));
    }

    /// A chunk may be taken up again.
    pub(super) fn again(&mut self, chunk: ChunkId) {
        self.set(chunk, Phase::Ready);
    }

    /// Lets those be taken up again whose pause is over.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some((until, chunk)) = self.paused.first().copied()
            && now >= until
        {
            self.set(chunk, Phase::Ready);
        }
    }

    /// Something has changed that may help those that were left alone: all may be taken up, and what is
    /// under way and fails for what was before, once more.
    pub(super) fn hurry(&mut self) {
        self.hurries += 1;
        while let Some((_, chunk)) = self.paused.first().copied() {
            self.set(chunk, Phase::Ready);
        }
    }

    /// The most urgent ones that may be taken up.
    pub(super) fn ready(&self, at_most: usize) -> Vec<ChunkId> {
        let ready = self.ready.iter().take(at_most);
        ready.map(|(_, chunk)| *chunk).collect()
    }

    pub(super) fn check_invariants(&self) {
        let mut counts = [0; Urgency::ALL.len()];
        for (chunk, want) in &self.all {
            counts[want.urgency as usize] += 1;
            let ready = self.ready.contains(&(want.urgency, *chunk));
            assert_eq!(
                ready,
                want.phase == Phase::Ready,
                "chunk {chunk} is among those that may be taken up if it may"
            );
        }
        assert_eq!(self.counts, counts, "chunks were counted wrong");
        let paused = (self.all.values()).filter(|want| matches!(want.phase, Phase::Paused(_)));
        assert_eq!(
            self.paused.len(),
            paused.count(),
            "pauses were counted wrong"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn who_fails_while_something_changes_is_not_left_alone() {
        let mut wanted = WantedChunks::default();
        wanted.want(at(0), ChunkId(1), Urgency::LastCopy);
        let fail = |wanted: &mut WantedChunks, changes: bool| {
            wanted.begin(ChunkId(1));
            if changes {
                wanted.hurry();
            }
            wanted.failed(at(1), ChunkId(1), "no source".to_owned(), None);
            wanted.check_invariants();
            wanted.ready(9)
        };
        assert_eq!(fail(&mut wanted, true), [ChunkId(1)]);
        // What has changed before it was begun was known to it.
        assert_eq!(fail(&mut wanted, false), []);
    }

    #[test]
    fn the_most_urgent_come_first_and_pauses_grow() {
        let mut wanted = WantedChunks::default();
        wanted.want(at(0), ChunkId(1), Urgency::Degraded);
        wanted.want(at(0), ChunkId(2), Urgency::LastCopy);
        wanted.want(at(0), ChunkId(3), Urgency::Degraded);
        assert_eq!(wanted.ready(2), [ChunkId(2), ChunkId(1)]);
        wanted.begin(ChunkId(2));
        assert_eq!(wanted.ready(9), [ChunkId(1), ChunkId(3)]);
        wanted.want(at(1), ChunkId(3), Urgency::LastCopy);
        assert_eq!(wanted.ready(9), [ChunkId(3), ChunkId(1)]);
        for (begun, pause) in [(10, 5), (20, 10), (40, 20), (100, 40)] {
            wanted.failed(at(begun), ChunkId(2), "no".to_owned(), None);
            wanted.tick(at(begun + pause - 1));
            assert_eq!(wanted.ready(1), [ChunkId(3)]);
            wanted.tick(at(begun + pause));
            assert_eq!(wanted.ready(1), [ChunkId(2)]);
            wanted.check_invariants();
        }
        wanted.failed(at(200), ChunkId(2), "no".to_owned(), None);
        wanted.hurry();
        assert_eq!(wanted.ready(1), [ChunkId(2)]);
        wanted.forget(ChunkId(2));
        wanted.forget(ChunkId(3));
        assert_eq!(wanted.ready(9), [ChunkId(1)]);
        assert_eq!(wanted.iter().count(), 1);
        wanted.check_invariants();
    }
}
