//! Moving replicas from full nodes to empty ones.
//!
//! A node that joins is empty, and new chunks alone fill it only in time. So while nothing else is to be
//! done, the fullest node gives chunks to the emptiest one, until they are nearly as full: it begins
//! when they are far apart and ends when they are close, so that it does not go back and forth. A move
//! is a copy, verified as any other; the record that names the new replica takes the old one out, and
//! only if enough others are known to be good. Placement is kept to: a chunk goes to no host that has it
//! already, unless its replicas may share hosts.
//!
//! How full a node is follows from the bytes of chunks that it says it has and from the room beside
//! them, so that what others keep on its disks makes it smaller and not fuller.

use std::collections::BTreeMap;

use super::Controller;
use super::repair::Copy;
use crate::dfs::ids::{ChunkId, ChunkVersion};
use crate::dfs::namespace::ChunkView;
use crate::dfs::placement::{Fitness, ReliabilityLevel};
use crate::event::Event;
use crate::ids::{HostId, NodeId};
use crate::membership::Slot;
use crate::time::Timestamp;

/// How far apart the fullest and the emptiest node are when it begins, in basis points of their room.
const BEGINS_BP: u64 = 1_000;
/// How far apart they are when it ends.
const ENDS_BP: u64 = 300;

/// The soft state.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Whether it has begun and not ended.
    active: bool,
    /// The last chunk that was looked at.
    at: Option<ChunkId>,
    /// Bytes that came to a node, or left it, since it last said how full it is.
    moved: BTreeMap<Slot, i64>,
}

/// How full a node is.
#[derive(Clone, Copy, Debug)]
struct Fill {
    slot: Slot,
    node: NodeId,
    bp: u64,
}

impl Balance {
    /// A node has said how full it is.
    pub(super) fn heard(&mut self, slot: Slot) {
        self.moved.remove(&slot);
    }

    /// So many bytes are on another node.
    pub(super) fn moved(&mut self, from: Slot, to: Slot, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = self.moved.entry(from).or_default();
        *left = left.saturating_sub(bytes);
        let came = self.moved.entry(to).or_default();
        *came = came.saturating_add(bytes);
    }
}

impl Controller {
    /// Goes on with balance, if there is time for it.
    pub(in crate::controller) fn tend_balance(&mut self, now: Timestamp) {
        let most = self.files.config.rebalance_concurrency;
        if most == 0
            || !self.files.repairs.is_quiet()
            || !self.holds().is_empty()
            || self.may_change_files().is_err()
        {
            return;
        }
        let mut slice = self.limits.survey_chunks.max(1);
        while self.files.repairs.under_way().1 < most {
            let Some((fullest, emptiest)) = self.farthest_apart() else {
                return;
            };
            let apart = fullest.bp.saturating_sub(emptiest.bp);
            self.note_apart(apart, fullest, emptiest);
            if !self.files.balance.active {
                return;
            }
            let streams = self.files.repairs.streams();
            let is_busy = |streams: &BTreeMap<Slot, usize>, slot: Slot| {
                streams.get(&slot).copied().unwrap_or_default()
                    >= self.limits.copies_per_node.max(1)
            };
            if is_busy(&streams.from, fullest.slot) || is_busy(&streams.to, emptiest.slot) {
                return;
            }
            let Some(version) = self.next_to_move(now, fullest, emptiest, &mut slice) else {
                return;
            };
            self.begin_move(now, version, fullest, emptiest);
        }
    }

    fn note_apart(&mut self, apart: u64, fullest: Fill, emptiest: Fill) {
        let before = self.files.balance.active;
        let active = match before {
            _ if self.planted.endless_balance => apart > 0,
            true => apart >= ENDS_BP,
            false => apart >= BEGINS_BP,
        };
        self.files.balance.active = active;
        if active == before {
            return;
        }
        let name = |fill: Fill| &self.members.all[fill.slot].member.site.alias;
        let text = format!(
            "{}: {} is {} % full with chunks, {} {} %",
            match active {
                true => "replicas are moved to emptier nodes",
                false => "nodes are about as full as each other again",
            },
            name(fullest),
            fullest.bp / 100,
            name(emptiest),
            emptiest.bp / 100
        );
        self.out.notify(Event::info("balance.changed", text));
    }

    /// The fullest node, and the emptiest one that takes replicas.
    fn farthest_apart(&self) -> Option<(Fill, Fill)> {
        let fills: Vec<Fill> = (self.members.data_nodes())
            .filter(|slot| {
                let candidate = self.files.candidates.get(*slot);
                candidate.is_some_and(|it| it.fitness == Fitness::Fit)
            })
            .filter_map(|slot| self.fill_of(slot))
            .collect();
        let fullest = fills.iter().max_by_key(|it| (it.bp, it.slot))?;
        let emptiest = fills.iter().min_by_key(|it| (it.bp, it.slot))?;
        (fullest.slot != emptiest.slot).then_some((*fullest, *emptiest))
    }

    fn fill_of(&self, slot: Slot) -> Option<Fill> {
        let volumes = self.files.stocks[slot].volumes.iter();
        let (mut bytes, mut free) = (0_u64, 0_u64);
        for volume in volumes.filter(|it| it.state.is_writable()) {
            bytes = bytes.saturating_add(volume.chunk_bytes);
            free = free.saturating_add(volume.free);
        }
        let under_way = self.files.repairs.moves_at(slot);
        let moved = self.files.balance.moved.get(&slot).copied().unwrap_or(0);
        let bytes = bytes.saturating_add_signed(moved.saturating_add(under_way));
        let room = u128::from(bytes) + u128::from(free);
        let bp = (u128::from(bytes) * 10_000).checked_div(room)?;
        Some(Fill {
            slot,
            node: self.node_of(slot)?,
            bp: u64::try_from(bp).unwrap_or(u64::MAX),
        })
    }

    /// The next chunk that may go from one node to the other, of the chunks behind the last one that was
    /// looked at.
    fn next_to_move(
        &mut self,
        now: Timestamp,
        from: Fill,
        to: Fill,
        slice: &mut usize,
    ) -> Option<ChunkVersion> {
        // Behind the last one that was looked at, and then from the beginning.
        for _ in 0..2 {
            let (mut upto, mut found) = (None, None);
            for view in self
                .names()
                .chunks_after(self.files.balance.at)
                .take(*slice)
            {
                *slice -= 1;
                upto = Some(view.version().chunk);
                if view.is_held_by(from.node) && self.may_move(now, &view, from, to) {
                    found = Some(view.version());
                    break;
                }
            }
            self.files.balance.at = upto;
            if found.is_some() || *slice == 0 {
                return found;
            }
        }
        None
    }

    fn may_move(&self, now: Timestamp, view: &ChunkView<'_>, from: Fill, to: Fill) -> bool {
        let version = view.version();
        let settled = !self.files.repairs.is_wanted(version.chunk)
            && !self.files.repairs.is_copied(version)
            && !self.files.giving_up.contains_key(&version)
            && !view.is_held_by(to.node)
            && !view.is_empty();
        let fits = self.files.candidates.get(to.slot);
        let fits = fits.is_some_and(|it| it.takes(view.len()));
        if !settled || !fits || !self.is_well(now, view) {
            return false;
        }
        let hosts = |node: NodeId| -> Option<HostId> { self.host_of(node) };
        let mut others = view.holders().filter(|node| *node != from.node);
        self.files.config.level == ReliabilityLevel::MayShare
            || others.all(|node| hosts(node) != hosts(to.node))
    }

    fn begin_move(&mut self, now: Timestamp, version: ChunkVersion, from: Fill, to: Fill) {
        let Some(view) = self.names().chunk_version(version) else {
            return;
        };
        let (len, digest) = (view.len(), view.digest());
        // The node that gives it is asked first, and any other that has it if it fails.
        let mut sources = vec![from.node];
        sources.extend(view.holders().filter(|node| *node != from.node));
        let name = |slot: Slot| &self.members.all[slot].member.site.alias;
        let why = format!(
            "it is moved for balance: {} is {} % full with chunks, {} {} %",
            name(from.slot),
            from.bp / 100,
            name(to.slot),
            to.bp / 100
        );
        let copy = Copy {
            version,
            len,
            source: from.slot,
            target: to.slot,
            moved_from: Some(from.node),
            since: now,
            why,
        };
        self.order_copy(copy, digest, &sources, false);
    }
}
