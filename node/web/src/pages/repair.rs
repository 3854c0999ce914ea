use askama::Template;
use vaquita_core::dfs::ask::{HistoryPage, RepairStatus};

use super::overview::Tile;
use crate::{Frame, Tone, format, words};

/// Chunks for which something is to be done.
pub(super) const fn lacking(status: &RepairStatus) -> u64 {
    status.last_copy + status.degraded + status.misplaced
}

pub(super) const fn tone(status: &RepairStatus) -> Tone {
    if status.last_copy > 0 {
        Tone::Bad
    } else if lacking(status) > 0 {
        Tone::Warn
    } else if status.surveying {
        Tone::Busy
    } else {
        Tone::Good
    }
}

/// What chunks lack, and what is done about it.
#[derive(Debug, Template)]
#[template(path = "repair.html")]
pub struct RepairPage {
    f: Frame,
    status: RepairStatus,
    history: HistoryPage,
    tone: Tone,
    summary: String,
    tiles: Vec<Tile>,
    may_operate: bool,
    settle_hint: String,
}

impl RepairPage {
    /// Puts it together.
    #[must_use]
    pub fn new(f: Frame, status: RepairStatus, history: HistoryPage, may_operate: bool) -> Self {
        let t = f.t;
        let lacking = lacking(&status);
        let summary = match (lacking, status.surveying) {
            (0, true) => t.repair_surveying.to_owned(),
            (0, false) => t.repair_well.to_owned(),
            (some, _) => words::fill(t.repair_busy, &[&format::count(some)]),
        };
        let tile = |word, number: u64, tone| Tile {
            word,
            value: format::count(number),
            note: String::new(),
            tone: if number == 0 { Tone::Idle } else { tone },
            href: None,
        };
        let with_bytes = |word, number, bytes, tone| Tile {
            note: format::bytes(bytes),
            ..tile(word, number, tone)
        };
        let mut tiles = vec![
            tile(t.last_copy, status.last_copy, Tone::Bad),
            tile(t.degraded, status.degraded, Tone::Warn),
            tile(t.misplaced, status.misplaced, Tone::Warn),
            tile(t.surplus, status.surplus, Tone::Idle),
            tile(t.leaving, status.leaving, Tone::Busy),
            Tile {
                value: format::bytes(status.bytes_left),
                note: status.left_ms.map(format::span).unwrap_or_default(),
                ..tile(t.bytes_left, status.bytes_left, Tone::Busy)
            },
            with_bytes(t.copied, status.copied, status.copied_bytes, Tone::Idle),
            tile(t.copies_failed, status.failed, Tone::Warn),
        ];
        if status.unknown > 0 {
            let (number, bytes) = (status.unknown, status.unknown_bytes);
            tiles.push(with_bytes(t.unknown_contents, number, bytes, Tone::Warn));
        }
        Self {
            settle_hint: words::fill(t.settle_loss_hint, &[&format::count(status.unknown)]),
            tone: tone(&status),
            summary,
            tiles,
            f,
            status,
            history,
            may_operate,
        }
    }
}
