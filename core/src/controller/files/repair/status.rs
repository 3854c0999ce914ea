//! What people are told of it.

use core::time::Duration;

use super::{Pace, Urgency};
use crate::controller::Controller;
use crate::controller::members::Presence;
use crate::dfs::ask::{AwaitedRow, CopyRow, HistoryPage, RepairStatus, StuckRow};
use crate::dfs::ids::ChunkId;
use crate::event::Event;
use crate::membership::Slot;
use crate::time::Timestamp;

/// Rows of each kind that one answer has.
const ROWS_MAX: usize = 50;

impl Controller {
    pub(in crate::controller::files) fn repair_status(&self, now: Timestamp) -> RepairStatus {
        let repairs = &self.files.repairs;
        let mut counts = [0_u64; Urgency::ALL.len()];
        let mut bytes_left = 0_u64;
        let mut stuck = Vec::new();
        for (chunk, want) in repairs.wanted.iter() {
            counts[want.urgency as usize] += 1;
            let len = self.names().chunk(chunk).map_or(0, |view| view.len());
            if want.urgency != Urgency::Surplus {
                bytes_left = bytes_left.saturating_add(len);
            }
            if !want.reason.is_empty() && stuck.len() < ROWS_MAX {
                stuck.push(StuckRow {
                    chunk,
                    since_ms: millis(now.since(want.since)),
                    reason: want.reason.clone(),
                });
            }
        }
        let [last_copy, degraded, leaving, misplaced, surplus] = counts;
        let alias = |slot: Slot| self.members.all[slot].member.site.alias.clone();
        let copies = repairs.copies.values().take(ROWS_MAX).map(|copy| CopyRow {
            chunk: copy.version.chunk,
            path: Some(
                (self.names().chunk_version(copy.version))
                    .and_then(|view| self.names().path(view.file()))
                    .unwrap_or_default(),
            ),
            len: copy.len,
            from: alias(copy.source),
            to: alias(copy.target),
            since_ms: millis(now.since(copy.since)),
            reason: copy.why.clone(),
        });
        let holds = self.holds();
        let (unknown, unknown_bytes) = self.count_unknown();
        RepairStatus {
            unknown,
            unknown_bytes,
            surveying: repairs.survey.at.is_some(),
            last_copy,
            degraded,
            leaving,
            misplaced,
            surplus,
            bytes_left,
            copies: copies.collect(),
            stuck,
            copied: repairs.done.copies,
            copied_bytes: repairs.done.bytes,
            failed: repairs.done.failed,
            adopted: repairs.done.adopted,
            given_up: repairs.done.given_up,
            left_ms: (holds.is_empty() && bytes_left > 0)
                .then(|| repairs.pace.time_for(now, bytes_left))
                .flatten(),
            holds: holds.into_iter().map(str::to_owned).collect(),
            awaited: self.awaited_nodes(now),
        }
    }

    /// What was done about replicas lately; see [`Ask::History`](crate::dfs::ask::Ask::History).
    pub(in crate::controller::files) fn repair_history(
        &self,
        now: Timestamp,
        chunk: Option<ChunkId>,
        before: Option<u64>,
        limit: usize,
    ) -> HistoryPage {
        let mut page = (self.files.repairs.history).page(now, chunk, before, limit);
        page.more |= self.cut_page(&mut page.rows);
        page
    }

    /// The nodes that are away and waited for, and that chunks miss.
    fn awaited_nodes(&self, now: Timestamp) -> Vec<AwaitedRow> {
        let wait = self.detector.thresholds().lost;
        let awaited = self.members.data_nodes().filter_map(|slot| {
            let away = self.members.all[slot].presence == Presence::Away;
            let node = self.node_of(slot)?;
            let chunks = self.names().chunks_on_count(node);
            let counts = away && chunks > 0 && self.is_awaited(now, node, Some(slot));
            counts.then(|| AwaitedRow {
                node: self.members.all[slot].member.site.alias.clone(),
                chunks,
                left_ms: wait.map(|wait| {
                    let left = wait.saturating_sub(now.since(self.away_since(slot)));
                    millis(left.max(self.maintenance_left(now, slot)))
                }),
            })
        });
        awaited.take(ROWS_MAX).collect()
    }

    /// Has repair wait, or go on.
    pub(in crate::controller::files) fn suspend_repair(&mut self, now: Timestamp, suspend: bool) {
        let before = core::mem::replace(&mut self.files.repairs.suspended, suspend);
        if before != suspend {
            let text = match suspend {
                true => "repair waits: nothing is copied and nothing given up until it is resumed",
                false => "repair goes on",
            };
            self.out.notify(Event::info("repair.suspended", text));
        }
        if !suspend {
            self.begin_copies(now);
        }
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Pace {
    /// So much was copied.
    pub(super) fn add(&mut self, now: Timestamp, bytes: u64) {
        self.turn(now);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn turn(&mut self, now: Timestamp) {
        let elapsed = now.since(self.begun);
        if elapsed >= 2 * Self::WHILE {
            *self = Self {
                begun: now,
                ..Self::default()
            };
        } else if elapsed >= Self::WHILE {
            *self = Self {
                begun: self.begun.after(Self::WHILE),
                bytes: 0,
                before: self.bytes,
            };
        }
    }

    /// How long so many bytes take, in milliseconds, at the pace of the last while.
    fn time_for(&self, now: Timestamp, bytes: u64) -> Option<u64> {
        let mut pace = *self;
        pace.turn(now);
        let copied = u128::from(pace.before.saturating_add(pace.bytes));
        let span = now.since(pace.begun)
            + if pace.before > 0 {
                Self::WHILE
            } else {
                Duration::ZERO
            };
        let left = u128::from(bytes) * span.as_millis();
        left.checked_div(copied)
            .map(|left| u64::try_from(left).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done() {
        let at = |ms: u64| Timestamp::ZERO.after(Duration::from_millis(ms));
        let mut pace = Pace::default();
        assert_eq!(pace.time_for(at(0), 100), None);
        pace.add(at(1000), 100);
        assert_eq!(pace.time_for(at(2000), 100), Some(2000));
        pace.add(at(11_000), 900);
        assert_eq!(pace.time_for(at(12_000), 1000), Some(12_000));
        assert_eq!(pace.time_for(at(60_000), 1000), None, "that was long ago");
    }
}
