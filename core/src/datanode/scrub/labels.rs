//! When the labels of volumes in use are looked at: once in `scrubPeriod`, as the chunks are, and on
//! volumes that have none as well.

use core::time::Duration;
use std::collections::BTreeMap;

use super::super::shelves::Shelves;
use crate::dfs::ids::VolumeSlot;
use crate::ids::DiskTicket;
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::prng::Prng;
use crate::time::Timestamp;

/// How soon a label is looked at again that was not good, or could not be read at present.
const AGAIN: Duration = Duration::from_secs(60);
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// When the label of each volume is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    looks: BTreeMap<VolumeSlot, Look>,
}

/// The next look at a label.
#[derive(Clone, Copy, Debug)]
struct Look {
    next: Timestamp,
    /// By which its answer is known, while it is under way.
    under_way: Option<DiskTicket>,
}

impl Labels {
    /// Begins what is due on volumes that can be read.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        shelves: &Shelves,
        draws: &mut Prng,
        out: &mut Outbox,
    ) {
        let period = shelves.scrub_period();
        let is_there = |slot: &VolumeSlot| shelves.readable().any(|(it, ..)| it == *slot);
        self.looks.retain(|slot, _| is_there(slot));
        for (slot, ..) in shelves.readable() {
            let look = self.looks.entry(slot).or_insert_with(|| {
                // Both copies were read when the volume was opened.
                let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
                let first = Duration::from_nanos(draws.below(nanos.max(1)));
                Look {
                    next: now.after(first),
                    under_way: None,
                }
            });
            if look.under_way.is_none() && now >= look.next {
                let ticket = out.ticket();
                look.under_way = Some(ticket);
                out.push(Effect::ReadLabel { slot, ticket });
            }
        }
    }

    /// Whether this look is under way.
    pub(super) fn awaits(&self, slot: VolumeSlot, ticket: DiskTicket) -> bool {
        let look = self.looks.get(&slot);
        look.is_some_and(|look| look.under_way == Some(ticket))
    }

    /// A look has ended. Returns when the next one begins.
    pub(super) fn read(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        soon: bool,
        period: Duration,
    ) -> Timestamp {
        let pause = match soon {
            true => period.min(AGAIN),
            false => period,
        };
        let next = now.after(pause.max(PAUSE_MIN));
        let under_way = None;
        self.looks.insert(slot, Look { next, under_way });
        next
    }

    pub(super) fn forget(&mut self, slot: VolumeSlot) {
        self.looks.remove(&slot);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let waiting = self.looks.values().filter(|look| look.under_way.is_none());
        waiting.map(|look| look.next).min()
    }
}
