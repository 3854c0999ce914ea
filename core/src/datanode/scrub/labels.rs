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

/// How soon a label is looked at again that could not be read, since too much waited for its disk.
const AGAIN: Duration = Duration::from_secs(60);

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
                // It was looked at when the volume was opened.
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

    /// A look has ended. Returns whether it is one that was waited for: a volume may have been opened
    /// again meanwhile.
    pub(super) fn read(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        ticket: DiskTicket,
        could_be: bool,
        period: Duration,
    ) -> bool {
        let Some(look) = self.looks.get_mut(&slot) else {
            return false;
        };
        if look.under_way != Some(ticket) {
            return false;
        }
        look.under_way = None;
        let pause = match could_be {
            true => period,
            false => period.min(AGAIN),
        };
        look.next = now.after(pause);
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let waiting = self.looks.values().filter(|look| look.under_way.is_none());
        waiting.map(|look| look.next).min()
    }
}
