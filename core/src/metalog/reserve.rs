//! Space that is set aside for the day on which the disk is full.
//!
//! On that day the reserve is given up, so that what keeps the cluster together is still written:
//! registrations, ends of things that were begun, and a checkpoint that lets old segments go. It is
//! made again before the log takes new work on: making it shows that there is room for it and for
//! as much again, so that a disk that is barely not full does not go back and forth.
//!
//! ```text
//!          started, or asked again        made
//!  Absent ────────────────────────► Wanted ───► Making ──────────► Kept
//!    ▲                                             │ no space, or    │
//!    │                                             ▼ full meanwhile  │ the disk is full
//!    ├──────────── Removing ◄────── Unwanted ◄─────┘                 │
//!    └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nobody waits for it, nothing relies on its being there after a crash, and so nothing of it is
//! synced: every start asks for it, which changes nothing where it is there.

use super::files;
use crate::disk::{DiskFault, DiskFaultKind, DiskOp};

/// Where the reserve is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Wanted,
    Making,
    Kept,
    /// There may be a part of it, and it has to go.
    Unwanted,
    Removing,
}

/// What the end of a batch of the reserve's means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Made {
        /// Whether it was known to be missing.
        again: bool,
    },
    /// There is no space for it.
    NoSpace {
        /// What to tell; `None` if it was told before.
        news: Option<DiskFault>,
    },
    /// The disk cannot have one: this process does without.
    Unusable(DiskFault),
    /// Nothing to tell.
    Nothing,
}

/// The reserve file.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    /// Its length; zero for a log without one.
    bytes: u64,
    state: State,
    /// Whether it is known to be missing since it was last there.
    missed: bool,
    /// Whether that was told.
    told: bool,
}

impl Reserve {
    /// A reserve that is to be made, unless `bytes` is zero.
    pub(super) const fn new(bytes: u64) -> Self {
        Self {
            bytes,
            state: State::Wanted,
            missed: false,
            told: false,
        }
    }

    /// Whether there should be one and is none.
    pub(super) const fn is_missing(&self) -> bool {
        self.bytes > 0 && !self.is_kept()
    }

    /// Whether it is there for certain.
    pub(super) const fn is_kept(&self) -> bool {
        matches!(self.state, State::Kept)
    }

    /// Whether the background batch on the disk is one of the reserve's.
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.state, State::Making | State::Removing)
    }

    /// Tries again, if it is not there.
    pub(super) fn want(&mut self) {
        if self.state == State::Absent {
            self.state = State::Wanted;
        }
    }

    /// Notes that a batch of the other lane removes it.
    pub(super) fn given_up(&mut self) {
        self.missed = true;
        if matches!(self.state, State::Kept | State::Wanted) {
            self.state = State::Absent;
        }
    }

    /// The next batch, if there is something to do. While the disk is `full` nothing is made.
    pub(super) fn next_ops(&mut self, full: bool) -> Option<Vec<DiskOp>> {
        let file = files::reserve();
        let (op, state) = match self.state {
            State::Wanted if self.bytes > 0 && !full => {
                let len = self.bytes;
                (DiskOp::Reserve { file, len }, State::Making)
            }
            State::Unwanted => (DiskOp::Remove { file }, State::Removing),
            _ => return None,
        };
        self.state = state;
        Some(vec![op])
    }

    /// Takes the outcome of a batch. What was made while the disk became `full` goes again.
    pub(super) fn done(&mut self, result: Result<(), DiskFault>, full: bool) -> Outcome {
        match (self.state, result) {
            (State::Making, Ok(())) if full => {
                self.state = State::Unwanted;
                Outcome::Nothing
            }
            (State::Making, Ok(())) => {
                self.state = State::Kept;
                self.told = false;
                Outcome::Made {
                    again: core::mem::take(&mut self.missed),
                }
            }
            (State::Making, Err(fault)) => {
                self.state = State::Unwanted;
                self.missed = true;
                if fault.kind != DiskFaultKind::NoSpace {
                    self.bytes = 0;
                    return Outcome::Unusable(fault);
                }
                let told = core::mem::replace(&mut self.told, true);
                Outcome::NoSpace {
                    news: (!told).then_some(fault),
                }
            }
            // What cannot be removed is asked for again some time, and found to be there.
            (State::Removing, _) => {
                self.state = State::Absent;
                Outcome::Nothing
            }
            _ => Outcome::Nothing,
        }
    }
}
