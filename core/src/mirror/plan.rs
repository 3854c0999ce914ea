//! What a mirror needs next, from what the log has and the mirror holds.

use std::collections::{BTreeMap, BTreeSet};

use super::words::MirrorCopy;
use crate::ids::LogIndex;
use crate::metalog::{LogFiles, LogPart};

/// What a mirror holds, as the controller knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its parts and their bytes.
    parts: BTreeMap<LogPart, u64>,
    /// Segments that are there to their end.
    whole: BTreeSet<LogIndex>,
    /// A checkpoint that is being sent, and how much of it is there.
    coming: Option<(LogIndex, u64)>,
}

/// What is to be done for a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: it has all that is durable.
    Settled,
    /// Send bytes of a part.
    Send {
        /// The part.
        part: LogPart,
        /// From which byte on.
        offset: u64,
        /// Where the part ends as far as it is durable; `None` for one that changes no more.
        end: Option<u64>,
        /// The last record that is in the mirror when the part is there up to that end.
        upto: LogIndex,
    },
    /// It cannot be continued: another is made.
    Anew,
}

impl Held {
    /// What a node says that it has.
    pub(crate) fn of(copy: &MirrorCopy) -> Self {
        let parts = copy.parts.iter().map(|held| (held.part, held.len));
        Self {
            parts: parts.collect(),
            ..Self::default()
        }
    }

    /// Notes that a part is there up to `len`, and whether that is its end.
    pub(crate) fn note(&mut self, part: LogPart, len: u64, whole: bool) {
        match part {
            LogPart::Segment(first) => {
                self.parts.insert(part, len);
                if whole {
                    self.whole.insert(first);
                }
            }
            LogPart::Checkpoint(last) => self.coming = Some((last, len)),
        }
    }

    /// The last segment, and how much of it is there.
    pub(crate) fn last_segment(&self) -> Option<(LogIndex, u64)> {
        self.parts.iter().rev().find_map(|(part, len)| match part {
            LogPart::Segment(first) => Some((*first, *len)),
            LogPart::Checkpoint(_) => None,
        })
    }

    /// The last record of its newest checkpoint; zero if it has none.
    fn base(&self) -> LogIndex {
        let checkpoints = self.parts.keys().filter_map(|part| match part {
            LogPart::Checkpoint(last) => Some(*last),
            LogPart::Segment(_) => None,
        });
        checkpoints.max().unwrap_or_default()
    }

    /// Bytes of records behind that checkpoint.
    fn bytes_since(&self) -> u64 {
        let base = self.base();
        let behind = self.parts.iter().filter(|(part, _)| match part {
            LogPart::Segment(first) => *first > base,
            LogPart::Checkpoint(_) => false,
        });
        behind.map(|(_, len)| *len).sum()
    }
}

/// What `held` needs to become a mirror of `own`. A new checkpoint is sent when the records behind the
/// mirror's own have more than `log_bytes`: a checkpoint is as large as all that came before, and must
/// not be sent for each few records.
///
/// The log's end comes first: a checkpoint loses nothing by coming later.
pub(crate) fn next_step(own: &LogFiles, held: &Held, log_bytes: u64) -> Step {
    let segment = |first: LogIndex, offset: u64| {
        let open = own.open.filter(|(open, _)| *open == first);
        let next = own.segments.iter().find(|other| **other > first);
        Step::Send {
            part: LogPart::Segment(first),
            offset,
            end: open.map(|(_, len)| len),
            upto: next.map_or(own.synced, |next| LogIndex(next.0.saturating_sub(1))),
        }
    };
    let newest = own.checkpoints.last().copied();
    let checkpoint = |last: LogIndex| Step::Send {
        part: LogPart::Checkpoint(last),
        offset: match held.coming {
            Some((coming, len)) if coming == last => len,
            _ => 0,
        },
        end: None,
        upto: LogIndex(0),
    };
    // One that is being sent is finished, as long as the log has it.
    let coming = (held.coming).filter(|(last, _)| own.checkpoints.contains(last));

    if let Some((last, len)) = held.last_segment() {
        if !own.segments.contains(&last) {
            return Step::Anew;
        }
        let durable = own.open.filter(|(open, _)| *open == last);
        let is_behind = match durable {
            Some((_, durable)) if len > durable => return Step::Anew,
            Some((_, durable)) => len < durable,
            None => !held.whole.contains(&last),
        };
        if is_behind {
            return segment(last, len);
        }
        if let Some(next) = own.segments.iter().find(|other| **other > last) {
            return segment(*next, 0);
        }
        let wanted = newest.filter(|newest| *newest > held.base());
        let due = held.bytes_since() > log_bytes;
        return match (coming, wanted) {
            (Some((last, _)), _) => checkpoint(last),
            (None, Some(newest)) if due => checkpoint(newest),
            _ => Step::Settled,
        };
    }

    let base = held.base();
    if base == LogIndex(0)
        && let Some(newest) = coming.map(|(last, _)| last).or(newest)
    {
        return checkpoint(newest);
    }
    // The segment that has the record behind the checkpoint, which is the one that begins with it.
    let first = own
        .segments
        .iter()
        .rev()
        .find(|first| **first <= base.next());
    match first {
        Some(first) => segment(*first, 0),
        // The first record behind a checkpoint has not been written yet.
        None if own.segments.is_empty() || newest == Some(base) => Step::Settled,
        None => Step::Anew,
    }
}

#[cfg(test)]
mod tests;
