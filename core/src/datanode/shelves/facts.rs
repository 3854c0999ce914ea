//! How the volumes are, for the controller and for people.

use core::time::Duration;
use std::collections::BTreeMap;

use super::{Shelf, Shelves, slots};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeSlot;
use crate::message::VolumeFacts;
use crate::outbox::Outbox;
use crate::time::Timestamp;

/// How often it is noted in the node's home how many chunks its volumes have. Whoever takes a volume
/// out of the configuration is told about how many were on it.
const COUNT_PERIOD: Duration = Duration::from_secs(60);

/// How a volume was when that was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    state: VolumeState,
    since: Timestamp,
}

impl Shelves {
    /// Notes since when each volume is as it is, and now and then what is on it.
    pub(super) fn look_at_states(&mut self, now: Timestamp, out: &mut Outbox) {
        let states: Vec<VolumeState> = self.shelves.iter().map(Shelf::state).collect();
        let fresh = |state| Seen { state, since: now };
        if self.seen.len() != states.len() {
            self.seen = states.iter().copied().map(fresh).collect();
        }
        for ((slot, state), seen) in slots(states.len()).zip(states).zip(&mut self.seen) {
            // What comes out as it was has been so all the time.
            if seen.state != state && !self.again.contains_key(&slot) {
                *seen = fresh(state);
            }
        }
        if now.since(self.counted) >= COUNT_PERIOD {
            self.counted = now;
            let counts: BTreeMap<String, u64> = self
                .in_use()
                .filter(|(_, it)| it.volume.state().is_readable())
                .map(|(slot, it)| (self.path(slot).to_owned(), it.volume.len() as u64))
                .collect();
            self.labels.count(counts, out);
        }
    }

    /// How the volumes are: those of the configuration, and behind them those that are in it no more.
    pub(in crate::datanode) fn facts(&self, now: Timestamp) -> Vec<VolumeFacts> {
        let mut facts: Vec<VolumeFacts> = slots(self.shelves.len())
            .zip(&self.shelves)
            .map(|(slot, shelf)| self.facts_of(now, slot, shelf))
            .collect();
        let removed = self.labels.beside(&self.config.paths);
        for (slot, (path, volume, chunks)) in slots(usize::from(u16::MAX))
            .skip(self.shelves.len())
            .zip(removed)
        {
            let reason = format!(
                "{path} is not in `volumes` of this node any more, and was volume {volume} with about \
                 {chunks} chunks: none of them counts here. Nothing on it was changed. Put it back \
                 into `volumes` and start the node anew if that was not meant; else `vaquita volume \
                 forget {} {path}` ends this message",
                self.alias
            );
            facts.push(VolumeFacts {
                id: Some(volume),
                chunks,
                removed: true,
                ..blank(slot, path, VolumeState::Missing, reason)
            });
        }
        facts
    }

    pub(super) fn facts_of(&self, now: Timestamp, slot: VolumeSlot, shelf: &Shelf) -> VolumeFacts {
        let path = self.path(slot);
        let seen = self.seen.get(usize::from(slot.0));
        let since = seen.map_or(now, |seen| seen.since);
        let for_ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        let facts = match shelf {
            Shelf::Opening | Shelf::Read(_) | Shelf::Labelling { .. } => {
                let reason = match self.again.get(&slot) {
                    Some(again) => format!("it is being read again: {}", again.why()),
                    None => "it is being read".to_owned(),
                };
                blank(slot, path, VolumeState::Opening, reason)
            }
            Shelf::Out {
                state,
                reason,
                label,
            } => VolumeFacts {
                label: label.clone(),
                ..blank(slot, path, *state, reason.clone())
            },
            Shelf::Open(shelf) => VolumeFacts {
                id: Some(shelf.volume.rules().volume),
                capacity: shelf.capacity,
                free: shelf.free,
                promised: shelf.volume.promised(),
                chunks: shelf.volume.len() as u64,
                chunk_bytes: shelf.chunk_bytes,
                label: Some(shelf.label.clone()),
                ..blank(slot, path, shelf.state(), shelf.reason())
            },
        };
        VolumeFacts {
            for_ms,
            draining: self.drain_order(slot),
            ..facts
        }
    }

    /// Whether how the volumes are has changed since this was last asked.
    pub(in crate::datanode) fn take_facts_changed(&mut self) -> bool {
        core::mem::take(&mut self.facts_changed)
    }
}

fn blank(slot: VolumeSlot, path: &str, state: VolumeState, reason: String) -> VolumeFacts {
    VolumeFacts {
        slot,
        path: path.to_owned(),
        id: None,
        state,
        capacity: 0,
        free: 0,
        promised: 0,
        reason,
        chunks: 0,
        chunk_bytes: 0,
        for_ms: 0,
        label: None,
        removed: false,
        draining: None,
    }
}
