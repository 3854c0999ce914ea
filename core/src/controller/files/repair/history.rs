//! What was done about replicas lately, and why: the answer to "who moved my chunk".
//!
//! It is kept in memory and bounded; the log file of the controller has the same lines for longer.

use core::time::Duration;
use std::collections::VecDeque;

use crate::dfs::ask::{HistoryPage, HistoryRow, ReplicaDeed};
use crate::dfs::ids::{ChunkId, ChunkVersion};
use crate::ids::Alias;
use crate::time::Timestamp;

use super::status::millis;

/// Deeds that are kept. Each takes some 200 bytes.
const KEPT: usize = 4096;

/// Something that was done about one chunk's replicas.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) version: ChunkVersion,
    pub(super) len: u64,
    pub(super) what: ReplicaDeed,
    /// Where bytes came from.
    pub(super) from: Option<Alias>,
    /// Who has it then, or was to have it.
    pub(super) to: Option<Alias>,
    /// Whose replicas count no more.
    pub(super) given_up: Vec<String>,
    pub(super) took: Duration,
    pub(super) why: String,
}

/// The deeds since this controller started, the oldest left out where there are too many.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    deeds: VecDeque<(u64, Timestamp, Deed)>,
    last: u64,
}

impl History {
    pub(super) fn add(&mut self, now: Timestamp, deed: Deed) {
        self.last += 1;
        self.deeds.push_back((self.last, now, deed));
        if self.deeds.len() > KEPT {
            self.deeds.pop_front();
        }
    }

    /// Those before the one with this number, the newest first.
    pub(super) fn page(
        &self,
        now: Timestamp,
        chunk: Option<ChunkId>,
        before: Option<u64>,
        limit: usize,
    ) -> HistoryPage {
        let wanted = |it: &&(u64, Timestamp, Deed)| {
            before.is_none_or(|before| it.0 < before)
                && chunk.is_none_or(|chunk| it.2.version.chunk == chunk)
        };
        let mut found = self.deeds.iter().rev().filter(wanted);
        let rows = found
            .by_ref()
            .take(limit)
            .map(|(number, at, deed)| HistoryRow {
                number: *number,
                ago_ms: millis(now.since(*at)),
                what: deed.what,
                chunk: deed.version.chunk,
                generation: deed.version.generation,
                len: deed.len,
                from: deed.from.clone(),
                to: deed.to.clone(),
                given_up: deed.given_up.clone(),
                took_ms: millis(deed.took),
                reason: deed.why.clone(),
            });
        HistoryPage {
            rows: rows.collect(),
            more: found.next().is_some(),
            forgotten: self.last - self.deeds.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dfs::ids::Generation;

    fn deed(chunk: u64) -> Deed {
        Deed {
            version: ChunkVersion {
                chunk: ChunkId(chunk),
                generation: Generation(1),
            },
            len: 3,
            what: ReplicaDeed::Adopted,
            from: None,
            to: None,
            given_up: Vec::new(),
            took: Duration::ZERO,
            why: format!("because of {chunk}"),
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::ZERO.after(Duration::from_millis(ms))
    }

    #[test]
    fn the_newest_come_first_page_by_page_and_the_oldest_are_forgotten() {
        let mut history = History::default();
        let all = KEPT as u64 + 10;
        for n in 1..=all {
            history.add(at(n), deed(n % 2));
        }
        let page = history.page(at(all + 5), None, None, 3);
        let numbers: Vec<u64> = page.rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [all, all - 1, all - 2]);
        assert_eq!(
            (page.rows[0].ago_ms, page.more, page.forgotten),
            (5, true, 10)
        );
        let page = history.page(at(all), Some(ChunkId(0)), Some(all), 2);
        let numbers: Vec<u64> = page.rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [all - 2, all - 4]);
        let page = history.page(at(all), None, Some(13), 10);
        let numbers: Vec<u64> = page.rows.iter().map(|row| row.number).collect();
        assert_eq!((numbers, page.more), (vec![12, 11], false));
    }
}
