//! The reading of one chunk, or a part of it, from whichever replica delivers.
//!
//! A [`Fetch`] decides whom to ask and when to ask another. The driver opens the streams, verifies
//! the blocks and says what arrives. A replica that stands still is not waited for: after a while
//! that begins small and doubles, the next one is asked *beside* it, from where the reading is, and
//! whoever delivers first goes on alone. (Dean and Barroso, "The tail at scale", CACM 56(2), 2013,
//! call it a hedged request.)

use core::time::Duration;
use std::collections::VecDeque;

use crate::limits::Limits;
use crate::time::Timestamp;

/// What a [`Fetch`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchInput {
    /// A stream delivered verified bytes.
    Arrived {
        /// The attempt.
        attempt: usize,
        /// How many bytes, from where the reading was.
        bytes: u64,
    },
    /// A stream failed, or what it delivered did not fit its checksum.
    Failed {
        /// The attempt.
        attempt: usize,
        /// Why, in words.
        reason: String,
    },
    /// The moment of [`Fetch::poll_timeout`] has come.
    Deadline,
}

/// What a [`Fetch`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchEffect {
    /// Ask a replica for the bytes from `offset` on.
    Start {
        /// The attempt, counted from 0.
        attempt: usize,
        /// Which of the replicas.
        replica: usize,
        /// Offset of the first byte still missing, counted from the beginning of what is read.
        offset: u64,
    },
    /// Drop a stream; what else it delivers is passed over.
    Stop {
        /// The attempt.
        attempt: usize,
    },
    /// All bytes have arrived.
    Finished,
    /// No replica is left to ask: why each one failed.
    GaveUp(Vec<(usize, String)>),
}

/// The reading of one chunk. See the [module](self).
#[derive(Clone, Debug)]
pub struct Fetch {
    len: u64,
    done: u64,
    replicas: usize,
    /// Which replica each attempt asks, and whether it still runs.
    attempts: Vec<Attempt>,
    /// The attempt whose bytes count; `None` until one has delivered.
    leader: Option<usize>,
    failures: Vec<(usize, String)>,
    hedge_min: Duration,
    hedge_max: Duration,
    hedge: Duration,
    patience: Duration,
    /// When something last arrived, or the reading began.
    moved: Timestamp,
    hedged: Timestamp,
    ended: bool,
    effects: VecDeque<FetchEffect>,
}

#[derive(Clone, Debug)]
struct Attempt {
    replica: usize,
    running: bool,
}

impl Fetch {
    /// Begins to read `len` bytes, of which `replicas` replicas are there in the order in which they
    /// are to be asked. The first that failed is asked once more at the end.
    #[must_use]
    pub fn new(len: u64, replicas: usize, limits: &Limits, now: Timestamp) -> Self {
        let mut fetch = Self {
            len,
            done: 0,
            replicas,
            attempts: Vec::new(),
            leader: None,
            failures: Vec::new(),
            hedge_min: limits.dfs_hedge_min,
            hedge_max: limits.dfs_hedge_max,
            hedge: limits.dfs_hedge_min,
            patience: limits.dfs_read_patience,
            moved: now,
            hedged: now,
            ended: false,
            effects: VecDeque::new(),
        };
        if len == 0 {
            fetch.end(FetchEffect::Finished);
        } else {
            fetch.start_next(now);
        }
        fetch
    }

    /// Takes an input. What comes from an attempt that was stopped is passed over.
    pub fn handle(&mut self, now: Timestamp, input: FetchInput) {
        if self.ended {
            return;
        }
        match input {
            FetchInput::Arrived { attempt, bytes } => self.arrived(now, attempt, bytes),
            FetchInput::Failed { attempt, reason } => self.failed(now, attempt, reason),
            FetchInput::Deadline => {}
        }
        self.look_at_the_clock(now);
    }

    /// Whoever reads was elsewhere until now: that nothing was taken in says nothing about the
    /// replicas.
    pub fn reader_returned(&mut self, now: Timestamp) {
        self.moved = self.moved.max(now);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<FetchEffect> {
        self.effects.pop_front()
    }

    /// When to tell it [`FetchInput::Deadline`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.ended {
            return None;
        }
        let hedge = self
            .has_next()
            .then(|| self.moved.max(self.hedged).after(self.hedge));
        let end = self.moved.after(self.patience);
        Some(hedge.map_or(end, |hedge| hedge.min(end)))
    }

    /// Whether an attempt's bytes count: nobody else has delivered in its place.
    #[must_use]
    pub fn leads(&self, attempt: usize) -> bool {
        let running = self.attempts.get(attempt).is_some_and(|it| it.running);
        running && self.leader.is_none_or(|leader| leader == attempt)
    }

    /// Bytes that have arrived.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    fn arrived(&mut self, now: Timestamp, attempt: usize, bytes: u64) {
        if !self.attempts.get(attempt).is_some_and(|it| it.running) || bytes == 0 {
            return;
        }
        // One that was asked from an earlier offset than the reading has reached is of no use, and
        // was stopped when the leader moved on; so this one is where the reading is.
        self.leader = Some(attempt);
        for other in 0..self.attempts.len() {
            if other != attempt && self.attempts[other].running {
                self.attempts[other].running = false;
                self.effects.push_back(FetchEffect::Stop { attempt: other });
            }
        }
        self.done += bytes;
        self.moved = now;
        self.hedge = self.hedge_min;
        if self.done >= self.len {
            self.end(FetchEffect::Finished);
        }
    }

    fn failed(&mut self, now: Timestamp, attempt: usize, reason: String) {
        let Some(it) = self.attempts.get_mut(attempt).filter(|it| it.running) else {
            return;
        };
        it.running = false;
        let replica = it.replica;
        self.failures.push((replica, reason));
        if self.leader == Some(attempt) {
            self.leader = None;
        }
        if self.attempts.iter().any(|it| it.running) {
            return;
        }
        if self.has_next() {
            self.start_next(now);
        } else {
            self.give_up();
        }
    }

    fn look_at_the_clock(&mut self, now: Timestamp) {
        if self.ended {
            return;
        }
        if now.since(self.moved) >= self.patience {
            for it in self.attempts.iter().filter(|it| it.running) {
                let reason = format!("nothing came for {} ms", self.patience.as_millis());
                self.failures.push((it.replica, reason));
            }
            self.give_up();
            return;
        }
        if now.since(self.moved.max(self.hedged)) >= self.hedge && self.has_next() {
            self.hedge = (self.hedge * 2).min(self.hedge_max);
            // From here on whoever delivers first leads.
            self.leader = None;
            self.start_next(now);
        }
    }

    /// Whether anybody is left to ask: each replica once, and the first that failed once more.
    fn has_next(&self) -> bool {
        self.attempts.len() < self.replicas
            || (self.attempts.len() == self.replicas && !self.failures.is_empty())
    }

    fn start_next(&mut self, now: Timestamp) {
        let attempt = self.attempts.len();
        let replica = if attempt < self.replicas {
            attempt
        } else {
            match self.failures.first() {
                Some((replica, _)) => *replica,
                None => return self.give_up(),
            }
        };
        self.attempts.push(Attempt {
            replica,
            running: true,
        });
        self.hedged = now;
        self.effects.push_back(FetchEffect::Start {
            attempt,
            replica,
            offset: self.done,
        });
    }

    fn give_up(&mut self) {
        let failures = core::mem::take(&mut self.failures);
        self.end(FetchEffect::GaveUp(failures));
    }

    fn end(&mut self, last: FetchEffect) {
        self.ended = true;
        for attempt in 0..self.attempts.len() {
            if core::mem::take(&mut self.attempts[attempt].running) && last != FetchEffect::Finished
            {
                self.effects.push_back(FetchEffect::Stop { attempt });
            }
        }
        self.effects.push_back(last);
    }
}

#[cfg(test)]
mod tests;
