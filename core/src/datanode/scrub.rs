//! Reading what nobody reads.
//!
//! A disk changes bytes without a word, and a replica that is never read is found damaged when it is
//! needed. So every chunk of a volume is read and verified once in `scrubPeriod`, one at a time of each
//! volume and followed by a pause in proportion to its length: a pass takes as long whatever a volume holds, and
//! costs in proportion to it. What is found damaged goes the way of what a reader finds, and repair
//! makes it anew. The labels of volumes are looked at as often ([`labels`]).
//!
//! Nothing of it is durable. A pass begins at a chunk that is drawn, so that a node that is restarted
//! every day does not read the same chunks every day.

mod labels;

use core::time::Duration;
use std::collections::BTreeMap;

use labels::Labels;

use super::shelves::Shelves;
use crate::dfs::ids::{ChunkVersion, VolumeSlot};
use crate::event::Event;
use crate::ids::DiskTicket;
use crate::io::Effect;
use crate::outbox::Outbox;
use crate::planted::Planted;
use crate::prng::Prng;
use crate::store::volume::{Content, Volume};
use crate::time::Timestamp;

/// The shortest pause between two chunks of a volume: what is short costs a turn of the disk as well.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest one: a volume may fill up meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How soon volumes that come, and their first chunks, are noticed.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How far the volumes of a node are read through.
#[derive(Clone, Debug)]
pub(super) struct Scrub {
    passes: BTreeMap<VolumeSlot, Pass>,
    /// What is being read: one chunk of each volume at a time.
    under_way: BTreeMap<VolumeSlot, UnderWay>,
    labels: Labels,
    /// When there may be something to do: the machine is told of much in between.
    next_look: Timestamp,
    draws: Prng,
}

/// One reading of all that a volume has.
#[derive(Clone, Debug)]
struct Pass {
    /// When the next chunk is due.
    next: Timestamp,
    begun: Timestamp,
    /// The first chunk of it, and the last one that was read; `None` before the first.
    read: Option<(ChunkVersion, ChunkVersion)>,
    /// The newest content when it began. What has come since is the next pass's: it would never end
    /// where chunks come as fast as they are read.
    newest: Option<ChunkVersion>,
    /// Whether that was passed, so that what is left is in front of the first.
    wrapped: bool,
    chunks: u64,
    bytes: u64,
    /// Chunks that could not be verified: damaged, gone meanwhile, or out of reach.
    failed: u64,
}

/// A chunk that is being read.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    version: ChunkVersion,
    len: u64,
    since: Timestamp,
}

impl Pass {
    const fn new(now: Timestamp, next: Timestamp) -> Self {
        Self {
            next,
            begun: now,
            read: None,
            newest: None,
            wrapped: false,
            chunks: 0,
            bytes: 0,
            failed: 0,
        }
    }

    /// The chunk to read next; `None` once all were.
    fn choose(&mut self, volume: &Volume, draws: &mut Prng) -> Option<Content> {
        let Some((first, last)) = self.read else {
            let nth = draws.below(volume.len().max(1) as u64);
            let nth = usize::try_from(nth).unwrap_or_default();
            self.newest = volume.newest_content();
            return volume.entries().nth(nth);
        };
        let mut next = volume.content_after(Some(last));
        let is_new = |it: &Content| self.newest.is_none_or(|newest| it.version > newest);
        if !self.wrapped && next.as_ref().is_none_or(is_new) {
            self.wrapped = true;
            next = volume.content_after(None);
        }
        next.filter(|content| !self.wrapped || content.version < first)
    }
}

impl Scrub {
    pub(super) fn new(draws: Prng) -> Self {
        Self {
            passes: BTreeMap::new(),
            under_way: BTreeMap::new(),
            labels: Labels::default(),
            next_look: Timestamp::ZERO,
            draws,
        }
    }

    /// Begins what is due.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        shelves: &Shelves,
        planted: &Planted,
        out: &mut Outbox,
    ) {
        let period = shelves.scrub_period();
        if period.is_zero() || now < self.next_look {
            return;
        }
        let is_there = |slot: &VolumeSlot| shelves.readable().any(|(it, ..)| it == *slot);
        self.passes.retain(|slot, _| is_there(slot));
        self.under_way.retain(|slot, _| is_there(slot));
        for (slot, volume, chunk_bytes) in shelves.readable() {
            if volume.is_empty() {
                // Another one begins with its first chunk.
                self.passes.remove(&slot);
                continue;
            }
            if !self.passes.contains_key(&slot) {
                // Not all nodes of a cluster that is started begin at once.
                let len = chunk_bytes / volume.len() as u64;
                let pause = pause(period, len, chunk_bytes);
                let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
                let first = Duration::from_nanos(self.draws.below(nanos));
                self.passes.insert(slot, Pass::new(now, now.after(first)));
            }
            if !self.under_way.contains_key(&slot) {
                self.begin(now, slot, volume, shelves, planted, out);
            }
        }
        if !planted.leave_labels {
            self.labels.tick(now, shelves, &mut self.draws, out);
        }
        let later = now.after(LOOK_PERIOD);
        self.next_look = self.next_deadline().map_or(later, |next| next.min(later));
    }

    fn begin(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        volume: &Volume,
        shelves: &Shelves,
        planted: &Planted,
        out: &mut Outbox,
    ) {
        let Some(pass) = self.passes.get_mut(&slot).filter(|pass| now >= pass.next) else {
            return;
        };
        let Some(content) = pass.choose(volume, &mut self.draws) else {
            out.notify(pass_ended(now, shelves.path(slot), pass));
            // One that was short, since chunks went, does not make the next one sooner.
            let next = pass.begun.after(shelves.scrub_period()).max(now);
            *pass = Pass::new(now, next);
            return;
        };
        let (version, len) = (content.version, content.len);
        let first = pass.read.map_or(version, |(first, _)| first);
        pass.read = Some((first, version));
        if planted.scrub_nothing || shelves.is_damaged(slot, version) {
            // What is known to be damaged is being seen to.
            pass.next = now.after(PAUSE_MIN);
            return;
        }
        let since = now;
        self.under_way.insert(
            slot,
            UnderWay {
                version,
                len,
                since,
            },
        );
        out.push(Effect::Scrub { version });
    }

    /// A chunk was read, or could not be.
    pub(super) fn scrubbed(
        &mut self,
        now: Timestamp,
        version: ChunkVersion,
        result: &Result<(), String>,
        shelves: &Shelves,
    ) {
        let mut reading = self.under_way.iter();
        let Some((&slot, &done)) = reading.find(|(_, it)| it.version == version) else {
            return;
        };
        self.under_way.remove(&slot);
        let Some(pass) = self.passes.get_mut(&slot) else {
            return;
        };
        match result {
            Ok(()) => {
                pass.chunks += 1;
                pass.bytes = pass.bytes.saturating_add(done.len);
            }
            Err(_) => pass.failed += 1,
        }
        let mut volumes = shelves.readable();
        let all = volumes.find(|(it, ..)| *it == slot);
        let all = all.map_or(done.len, |(_, _, chunk_bytes)| chunk_bytes);
        // The reading is a part of the time that the chunk has.
        let pause = pause(shelves.scrub_period(), done.len, all);
        let left = pause.saturating_sub(now.since(done.since));
        pass.next = now.after(left.max(PAUSE_MIN));
        self.next_look = self.next_look.min(pass.next);
    }

    /// Whether this is the answer that tells how the label of a volume is.
    pub(super) fn label_awaited(&self, slot: VolumeSlot, ticket: DiskTicket) -> bool {
        self.labels.awaits(slot, ticket)
    }

    /// A label was looked at; `soon` if that has to be done again before its time.
    pub(super) fn label_read(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        soon: bool,
        shelves: &Shelves,
    ) {
        let next = self.labels.read(now, slot, soon, shelves.scrub_period());
        self.next_look = self.next_look.min(next);
    }

    /// A volume was opened, or has failed: what was asked of it before tells nothing of it now.
    pub(super) fn volume_opened(&mut self, slot: VolumeSlot) {
        self.labels.forget(slot);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let idle = self.passes.iter();
        let idle = idle.filter(|(slot, _)| !self.under_way.contains_key(slot));
        let chunks = idle.map(|(_, pass)| pass.next).min();
        [chunks, self.labels.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The pause behind a chunk of so many bytes, so that all of them take `period`.
fn pause(period: Duration, len: u64, all: u64) -> Duration {
    // An empty chunk is one as well.
    let (len, all) = (u128::from(len.max(1)), u128::from(all.max(1)));
    let nanos = period.as_nanos().saturating_mul(len.min(all)) / all;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).clamp(PAUSE_MIN, PAUSE_MAX)
}

fn pass_ended(now: Timestamp, path: &str, pass: &Pass) -> Event {
    let Pass {
        chunks,
        bytes,
        failed,
        ..
    } = pass;
    let took = now.since(pass.begun).as_secs();
    let text = format!(
        "all of {path} was read through in {took} s: {chunks} chunks with {bytes} bytes are whole, \
         {failed} could not be verified"
    );
    match failed {
        0 => Event::info("scrub.pass", text),
        _ => Event::warning("scrub.pass", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_chunks_together_take_the_period() {
        let week = Duration::from_secs(7 * 24 * 3600);
        assert_eq!(pause(week, 1 << 20, 1 << 30), week / 1024);
        assert_eq!(pause(week, 1 << 30, 1 << 30), PAUSE_MAX);
        // Nothing is read without a pause.
        assert_eq!(pause(week, 1, u64::MAX), PAUSE_MIN);
        assert_eq!(pause(week, 0, 0), PAUSE_MAX);
        assert_eq!(pause(Duration::from_secs(1), 0, 1 << 40), PAUSE_MIN);
    }
}
