//! Moving replicas from full nodes to empty ones.
//!
//! A node that joins is empty, and new chunks alone fill it only in time. So while nothing else is to be
//! done, the fullest node gives chunks to the emptiest one, until they are nearly as full: it begins
//! when they are far apart and ends when they are close, so that it does not go back and forth. A move
//! is a copy, verified as any other; the record that names the new replica takes the old one out, and
//! only if enough others are known to be good. No move takes a chunk to fewer hosts than it was on.
//!
//! How full a node is follows from the bytes of chunks that it says it has and from the room beside
//! them, so that what others keep on its disks makes it smaller and not fuller.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

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
/// First pause of a pair of which a move has failed; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// The longest, and that of a pair between which nothing may be moved.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Nodes that may give, and for each of them nodes that may take, among which a pair is chosen: the
/// farthest apart first.
const NODES: usize = 16;
/// Moves that are begun in one tick, pairs that are given up included.
const STEPS: usize = 16;

/// The soft state.
#[derive(Clone, Debug, Default)]
pub(super) struct Balance {
    /// Whether it has begun and not ended.
    active: bool,
    /// The walk over all chunks: for which pair, the last chunk that was looked at, and whether one was
    /// found.
    walk: Option<((Slot, Slot), Option<ChunkId>, bool)>,
    /// Bytes that came to a node, or left it, since it last said how full it is.
    moved: BTreeMap<Slot, i64>,
    /// Bytes that a node has given away and has in its trash still, and until when.
    trash: VecDeque<(Timestamp, Slot, u64)>,
    /// The sums of that.
    in_trash: BTreeMap<Slot, u64>,
    /// Pairs that are left alone, until when, and after how many failures in a row.
    paused: BTreeMap<(Slot, Slot), (Timestamp, u32)>,
}

/// How full a node is.
#[derive(Clone, Copy, Debug)]
struct Fill {
    slot: Slot,
    node: NodeId,
    /// Bytes of chunks.
    bytes: u64,
    /// These, and the free ones.
    room: u64,
    bp: u64,
}

impl Fill {
    fn new(slot: Slot, node: NodeId, bytes: u64, room: u64) -> Option<Self> {
        let bp = (u128::from(bytes) * 10_000).checked_div(u128::from(room))?;
        let bp = u64::try_from(bp).unwrap_or(u64::MAX);
        Some(Self {
            slot,
            node,
            bytes,
            room,
            bp,
        })
    }

    /// With so many bytes more, or fewer.
    fn with(self, bytes: i64) -> u64 {
        let bytes = self.bytes.saturating_add_signed(bytes);
        Self::new(self.slot, self.node, bytes, self.room).map_or(u64::MAX, |it| it.bp)
    }
}

impl Balance {
    /// A node has said how full it is.
    pub(super) fn heard(&mut self, slot: Slot) {
        self.moved.remove(&slot);
    }

    /// So many bytes are on another node, and in the trash of the first until then.
    pub(super) fn moved(&mut self, from: Slot, to: Slot, bytes: u64, until: Timestamp) {
        self.trash.push_back((until, from, bytes));
        let sum = self.in_trash.entry(from).or_default();
        *sum = sum.saturating_add(bytes);
        self.paused.remove(&(from, to));
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = self.moved.entry(from).or_default();
        *left = left.saturating_sub(bytes);
        let came = self.moved.entry(to).or_default();
        *came = came.saturating_add(bytes);
    }

    /// A move has failed: the pair is left alone for a while, longer each time.
    pub(super) fn failed(&mut self, now: Timestamp, from: Slot, to: Slot) {
        let (until, failures) = self.paused.entry((from, to)).or_default();
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow((*failures).min(16)));
        *until = now.after(pause.min(PAUSE_MAX));
        *failures = failures.saturating_add(1);
    }

    fn is_paused(&self, now: Timestamp, from: Slot, to: Slot) -> bool {
        let paused = self.paused.get(&(from, to));
        paused.is_some_and(|(until, _)| now < *until)
    }

    /// What was given away long enough ago is in no trash any more, and failures of long ago count for
    /// nothing.
    fn forget_the_past(&mut self, now: Timestamp) {
        self.paused
            .retain(|_, (until, _)| now < until.after(PAUSE_MAX));
        while let Some((until, slot, bytes)) = self.trash.front().copied()
            && now >= until
        {
            self.trash.pop_front();
            if let Some(sum) = self.in_trash.get_mut(&slot) {
                *sum = sum.saturating_sub(bytes);
            }
        }
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
        self.files.balance.forget_the_past(now);
        let mut slice = self.limits.survey_chunks.max(1);
        for _ in 0..STEPS {
            if self.files.repairs.under_way().1 >= most || slice == 0 {
                return;
            }
            let Some((fullest, emptiest)) = self.pair_to_tend(now) else {
                return;
            };
            match self.next_to_move(now, fullest, emptiest, &mut slice) {
                Some(version) => self.begin_move(now, version, fullest, emptiest),
                // The next tick, or another pair, goes on.
                None if slice == 0 => return,
                None => {
                    let until = now.after(PAUSE_MAX);
                    let pair = (fullest.slot, emptiest.slot);
                    self.files.balance.paused.insert(pair, (until, 0));
                }
            }
        }
    }

    /// The two nodes that are to give and to take next: the farthest apart that have hands free, and
    /// between which something may be moved.
    fn pair_to_tend(&mut self, now: Timestamp) -> Option<(Fill, Fill)> {
        let under_way = self.files.repairs.bytes_moved();
        let mut fills: Vec<Fill> = (self.members.data_nodes())
            .filter(|slot| {
                let candidate = self.files.candidates.get(*slot);
                candidate.is_some_and(|it| it.fitness == Fitness::Fit)
            })
            .filter_map(|slot| {
                let coming = under_way.get(&slot).copied().unwrap_or_default();
                self.fill_of(slot, coming)
            })
            .collect();
        fills.sort_unstable_by_key(|it| (it.bp, it.slot));
        let (emptiest, fullest) = (*fills.first()?, *fills.last()?);
        self.note_apart(fullest.bp.saturating_sub(emptiest.bp), fullest, emptiest);
        if !self.files.balance.active {
            return None;
        }
        let streams = self.files.repairs.streams();
        let most = self.limits.copies_per_node.max(1);
        let is_busy = |streams: &BTreeMap<Slot, usize>, slot: Slot| {
            streams.get(&slot).copied().unwrap_or_default() >= most
        };
        let least = match self.planted.endless_balance {
            true => 1,
            false => ENDS_BP,
        };
        let giving = fills.iter().rev();
        let giving = giving.filter(|from| !is_busy(&streams.from, from.slot));
        let mut pairs = giving.take(NODES).flat_map(|from| {
            let apart = move |to: &&Fill| from.bp.saturating_sub(to.bp) >= least;
            let taking = fills.iter().take_while(apart);
            let taking = taking.filter(|to| !is_busy(&streams.to, to.slot));
            taking.take(NODES).map(move |to| (*from, *to))
        });
        pairs.find(|(from, to)| !self.files.balance.is_paused(now, from.slot, to.slot))
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

    fn fill_of(&self, slot: Slot, coming: i64) -> Option<Fill> {
        let volumes = self.files.stocks[slot].volumes.iter();
        let (mut bytes, mut free) = (0_u64, 0_u64);
        for volume in volumes.filter(|it| it.takes_chunks()) {
            bytes = bytes.saturating_add(volume.chunk_bytes);
            free = free.saturating_add(volume.free);
        }
        let balance = &self.files.balance;
        let moved = balance.moved.get(&slot).copied().unwrap_or_default();
        let delta = moved.saturating_add(coming);
        let bytes = bytes.saturating_add_signed(delta);
        // What was given away is free as soon as the trash is emptied; what has come is not.
        let free = free
            .saturating_add(balance.in_trash.get(&slot).copied().unwrap_or_default())
            .saturating_sub(u64::try_from(delta).unwrap_or(0));
        Fill::new(slot, self.node_of(slot)?, bytes, bytes.saturating_add(free))
    }

    /// The next chunk that may go from one node to the other; `None` with something left of the slice if
    /// there is none at all.
    fn next_to_move(
        &mut self,
        now: Timestamp,
        from: Fill,
        to: Fill,
        slice: &mut usize,
    ) -> Option<ChunkVersion> {
        let pair = (from.slot, to.slot);
        let (mut at, mut found_any) = match self.files.balance.walk {
            Some((walked, at, found)) if walked == pair => (at, found),
            _ => (None, false),
        };
        loop {
            let (mut upto, mut found) = (None, None);
            for view in self.names().chunks_after(at).take(*slice) {
                *slice -= 1;
                upto = Some(view.version().chunk);
                if view.is_held_by(from.node) && self.may_move(now, &view, from, to) {
                    found = Some(view.version());
                    break;
                }
            }
            let ended = found.is_none() && *slice > 0;
            found_any |= found.is_some();
            let next = match ended {
                // From the beginning, if there may be any that was passed over before.
                true if found_any => Some((pair, None, false)),
                true => None,
                false => Some((pair, upto.or(at), found_any)),
            };
            self.files.balance.walk = next;
            match next {
                Some((_, None, _)) if ended => (at, found_any) = (None, false),
                _ => return found,
            }
        }
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
        // It has to make them more alike, and not exchange their roles.
        let len = i64::try_from(view.len()).unwrap_or(i64::MAX);
        let narrows = to.with(len) <= from.with(-len);
        settled && fits && narrows && self.keeps_hosts(view, from, to) && self.is_well(now, view)
    }

    /// Whether a chunk is on as many hosts after a move as before.
    fn keeps_hosts(&self, view: &ChunkView<'_>, from: Fill, to: Fill) -> bool {
        let host = |node: NodeId| -> Option<HostId> { self.host_of(node) };
        let shares = |node: NodeId| {
            let mut others = view.holders().filter(|it| *it != from.node);
            others.any(|it| host(it) == host(node))
        };
        let may_share = self.files.config.level == ReliabilityLevel::MayShare;
        !shares(to.node) || (may_share && shares(from.node))
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
        if self.planted.move_without_copies {
            self.change_replicas(now, version, &[], &[from.node]);
        }
    }
}
