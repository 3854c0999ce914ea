//! Decides from silence who is alive.
//!
//! Fixed thresholds over an unbiased sample beat learnt ones here: an accrual detector (Hayashibara
//! et al., "The φ accrual failure detector", SRDS 2004) learns short gaps on a quiet network and
//! accuses in the first burst of loss, and its bound drifts with what it has learnt. What is taken
//! from Lifeguard (Dadgar, Phillips and Currey, DSN-W 2018) is that the judge doubts itself first:
//! a controller that stalled, or whose own socket overflowed, has heard nobody, and that is not the
//! nodes' fault.
//!
//! The detector knows members only by their slot and has no effects; it never decides anything that
//! safety rests on. A node that is wrongly taken for dead loses availability, and comes back by
//! itself.

use core::time::Duration;
use std::collections::VecDeque;

use crate::limits::Limits;
use crate::time::Timestamp;

/// Position of a member in the controller's table.
pub type Slot = usize;

/// How long a silence may last before something is concluded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Silence after which a node is asked over TCP, and through its agent.
    pub suspect: Duration,
    /// Silence after which a node fences itself. Earlier than `offline`, so that the node stops
    /// first and an asymmetric cut turns into a symmetric one.
    pub self_fence: Duration,
    /// Silence after which a node counts as offline.
    pub offline: Duration,
    /// Time offline after which a node counts as lost; `None` waits for an operator.
    pub lost: Option<Duration>,
}

impl Thresholds {
    /// The thresholds that follow from T, the time-out of the configuration: 3/8, 4/5 and all of it.
    #[must_use]
    pub fn from_timeout(timeout: Duration, lost: Option<Duration>) -> Self {
        Self {
            suspect: timeout * 3 / 8,
            self_fence: timeout * 4 / 5,
            offline: timeout,
            lost,
        }
    }
}

/// What the detector thinks of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not registered since this controller started: nothing is concluded from silence.
    Unwatched,
    /// Heard within the last 3/8 T.
    Alive,
    /// Silent for 3/8 T; being asked.
    Suspect,
    /// Silent for T, or its process is known to have ended.
    Offline {
        /// Since when.
        since: Timestamp,
    },
    /// Offline for so long that nobody waits any more.
    Lost {
        /// Offline since when.
        since: Timestamp,
    },
}

/// A change of mind, to be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ask it over TCP and through its agent.
    Suspect,
    /// Void its registration.
    Offline,
    /// Make its replicas anew elsewhere.
    Lost,
}

/// The silence of all members of a cluster.
#[derive(Clone, Debug)]
pub struct FailureDetector {
    thresholds: Thresholds,
    watches: Vec<Watch>,
    doubts_itself: bool,
    frozen_until: Timestamp,
    drop_freeze: Duration,
    stall_threshold: Duration,
    mass_percent: usize,
    mass_window: Duration,
    /// When members went offline by silence or by attestation, newest last.
    departures: VecDeque<Timestamp>,
    last_tick: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    health: Health,
    last_heard: Timestamp,
}

/// How long a mass event holds back the verdict *lost* at most.
const MASS_EVENT_MAX: Duration = Duration::from_secs(30 * 60);

impl FailureDetector {
    /// A detector for `members` members, none of them watched yet.
    #[must_use]
    pub fn new(members: usize, thresholds: Thresholds, limits: &Limits, now: Timestamp) -> Self {
        let idle = Watch {
            health: Health::Unwatched,
            last_heard: now,
        };
        Self {
            thresholds,
            watches: vec![idle; members],
            doubts_itself: true,
            frozen_until: Timestamp::ZERO,
            drop_freeze: limits.drop_freeze,
            stall_threshold: limits.stall_threshold,
            mass_percent: limits.mass_event_percent,
            mass_window: limits.mass_event_window,
            departures: VecDeque::new(),
            last_tick: now,
        }
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// There is one more member, in the next slot; it is not watched yet.
    pub fn add(&mut self, now: Timestamp) {
        self.watches.push(Watch {
            health: Health::Unwatched,
            last_heard: now,
        });
    }

    /// After how long a member that is offline counts as lost, from now on. Those that count as lost
    /// stay so until they are back.
    pub const fn wait_for_lost(&mut self, lost: Option<Duration>) {
        self.thresholds.lost = lost;
    }

    /// The thresholds in force.
    #[must_use]
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// What the detector thinks of a member.
    #[must_use]
    pub fn health(&self, slot: Slot) -> Health {
        self.watches[slot].health
    }

    /// How long ago a member was heard; `None` while it is not watched.
    #[must_use]
    pub fn silence(&self, slot: Slot, now: Timestamp) -> Option<Duration> {
        let watch = &self.watches[slot];
        (watch.health != Health::Unwatched).then(|| now.since(watch.last_heard))
    }

    /// A member registered: it is alive, and watched from now on.
    pub fn watch(&mut self, now: Timestamp, slot: Slot) {
        self.watches[slot] = Watch {
            health: Health::Alive,
            last_heard: now,
        };
    }

    /// A member left in good order: nothing is concluded from its silence.
    pub fn unwatch(&mut self, slot: Slot) {
        self.watches[slot].health = Health::Unwatched;
    }

    /// An authenticated frame of a member's current epoch arrived. Returns whether it had been
    /// suspected.
    ///
    /// Changes nothing for a member that is offline: its registration is void, and it has to
    /// register anew.
    pub fn heard(&mut self, now: Timestamp, slot: Slot) -> bool {
        let watch = &mut self.watches[slot];
        match watch.health {
            Health::Alive => {
                watch.last_heard = now;
                false
            }
            Health::Suspect => {
                *watch = Watch {
                    health: Health::Alive,
                    last_heard: now,
                };
                true
            }
            Health::Unwatched | Health::Offline { .. } | Health::Lost { .. } => false,
        }
    }

    /// A member's process is known to have ended. Returns whether that is news.
    pub fn exited(&mut self, now: Timestamp, slot: Slot) -> bool {
        match self.watches[slot].health {
            Health::Alive | Health::Suspect => {
                self.depart(now, slot);
                true
            }
            Health::Unwatched | Health::Offline { .. } | Health::Lost { .. } => false,
        }
    }

    /// The operating system dropped datagrams of ours: silence proves nothing for a while.
    pub fn lost_datagrams(&mut self, now: Timestamp) {
        self.frozen_until = now.after(self.drop_freeze);
    }

    /// Judges everybody. To be called every [`FailureDetector::TICK`].
    ///
    /// If the call comes late, the controller itself stood still, and what it missed meanwhile is
    /// forgiven.
    pub fn tick(&mut self, now: Timestamp) -> Vec<(Slot, Verdict)> {
        let gap = now.since(self.last_tick);
        self.last_tick = now;
        if self.doubts_itself && gap > self.stall_threshold {
            self.forgive(now, gap);
        }
        let mass_event = self.mass_event(now);
        let frozen = now < self.frozen_until;
        let mut verdicts = Vec::new();
        for slot in 0..self.watches.len() {
            let Watch { health, last_heard } = self.watches[slot];
            let silence = now.since(last_heard);
            match health {
                Health::Alive if silence >= self.thresholds.suspect => {
                    self.watches[slot].health = Health::Suspect;
                    verdicts.push((slot, Verdict::Suspect));
                }
                Health::Suspect if silence >= self.thresholds.offline && !frozen => {
                    self.depart(now, slot);
                    verdicts.push((slot, Verdict::Offline));
                }
                Health::Offline { since } => {
                    let held_back = mass_event && now.since(since) < MASS_EVENT_MAX;
                    if self
                        .thresholds
                        .lost
                        .is_some_and(|wait| now.since(since) >= wait)
                        && !held_back
                    {
                        self.watches[slot].health = Health::Lost { since };
                        verdicts.push((slot, Verdict::Lost));
                    }
                }
                Health::Unwatched | Health::Alive | Health::Suspect | Health::Lost { .. } => {}
            }
        }
        verdicts
    }

    /// Time between two calls of [`FailureDetector::tick`]: with it an offline verdict comes within
    /// T + 250 ms.
    pub const TICK: Duration = Duration::from_millis(200);

    /// Whether so many members went offline within a short time that the cause is likely not theirs.
    #[must_use]
    pub fn mass_event(&self, now: Timestamp) -> bool {
        let watched = self
            .watches
            .iter()
            .filter(|watch| watch.health != Health::Unwatched)
            .count();
        let still_away = self
            .watches
            .iter()
            .filter(|w| matches!(w.health, Health::Offline { .. } | Health::Lost { .. }))
            .count();
        let threshold = (watched * self.mass_percent).div_ceil(100).max(2);
        let recent = self
            .departures
            .iter()
            .filter(|&&at| now.since(at) < MASS_EVENT_MAX)
            .count();
        still_away >= threshold && recent >= threshold && self.departed_together(threshold)
    }

    /// Whether `count` of the noted departures fell into one window.
    fn departed_together(&self, count: usize) -> bool {
        (count..=self.departures.len()).any(|end| {
            self.departures[end - 1].since(self.departures[end - count]) <= self.mass_window
        })
    }

    /// Leaves out the rule above, for the simulators' check of themselves.
    #[doc(hidden)]
    pub const fn plant_certainty(&mut self) {
        self.doubts_itself = false;
    }

    fn forgive(&mut self, now: Timestamp, gap: Duration) {
        for watch in &mut self.watches {
            if matches!(watch.health, Health::Alive | Health::Suspect) {
                watch.last_heard = watch.last_heard.after(gap).min(now);
            }
        }
    }

    fn depart(&mut self, now: Timestamp, slot: Slot) {
        self.watches[slot].health = Health::Offline { since: now };
        self.departures.push_back(now);
        while self.departures.len() > self.watches.len().max(16) {
            self.departures.pop_front();
        }
    }
}
