//! A content that is on two volumes of a node: which of them is kept.
//!
//! It came by two ways while one of them stood still, a volume was away meanwhile, or it moves from one that
//! is drained.

use super::{Leaving, Shelf, Shelves, entry};
use crate::dfs::ids::{ChunkVersion, VolumeSlot};
use crate::event::Event;
use crate::outbox::Outbox;
use crate::store::volume::Content;
use crate::time::Timestamp;

/// Which replica a node keeps when a content has come to one of its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The one that has come: there is no other that is whole.
    Newcomer,
    /// The one that has come, in the place of the same content on a volume that is drained.
    Moved,
    /// The same content on another volume, or none, since the volume has failed.
    Older,
    /// Another content of the same name, on another volume.
    Unequal,
}

impl Shelves {
    /// A content is on a volume now. A node keeps it once: the older one, unless that is damaged, or is the
    /// same and on a volume that is drained.
    pub(super) fn keep_once(
        &mut self,
        now: Timestamp,
        slot: VolumeSlot,
        version: ChunkVersion,
        out: &mut Outbox,
    ) -> Kept {
        let volume = self.volume(slot);
        if volume.is_none_or(|it| !it.state().is_readable()) {
            // It has failed since, and nothing is given up for what is on it.
            return Kept::Older;
        }
        let mut elsewhere = self.replicas(version).filter(|(other, _)| *other != slot);
        let Some((other, older)) = elsewhere.next() else {
            return Kept::Newcomer;
        };
        drop(elsewhere);
        if self.is_damaged(other, version) {
            self.drop_other(now, other, &older);
            return Kept::Newcomer;
        }
        let newcomer = self.volume(slot).and_then(|it| it.content(version));
        let same = newcomer.is_some_and(|it| is_same(&it, &older));
        if same && self.leaves_first(other, slot) {
            self.drop_other(now, other, &older);
            return Kept::Moved;
        }
        if let Some(volume) = self.volume(slot) {
            volume.trash(version, now);
        }
        if same {
            return Kept::Older;
        }
        self.tell_unequal(slot, other, version, out);
        Kept::Unequal
    }

    /// Two contents of one name cannot both be what was written.
    fn tell_unequal(
        &self,
        slot: VolumeSlot,
        other: VolumeSlot,
        version: ChunkVersion,
        out: &mut Outbox,
    ) {
        let text = format!(
            "another content of chunk {version} came to {} than is on {}: it is not kept",
            self.path(slot),
            self.path(other)
        );
        out.notify(Event::error("volume.unequal", text));
    }

    /// Whether of two volumes with the same content one gives it up for the other: it is drained.
    fn leaves_first(&self, one: VolumeSlot, other: VolumeSlot) -> bool {
        self.is_draining(one) && !self.is_draining(other)
    }

    /// A content has come to a volume while it is being released from another one of which the controller
    /// knows: it need not hear any more that it is gone there. Returns whether that is so.
    pub(super) fn forget_release_elsewhere(
        &mut self,
        slot: VolumeSlot,
        version: ChunkVersion,
    ) -> bool {
        let mut known = false;
        for ((at, of), leaving) in &mut self.leaving {
            if *of == version && *at != slot && !self.corrupt.contains(&(*at, version)) {
                known |= core::mem::take(&mut leaving.told);
            }
        }
        known
    }

    /// A node has a content once: what came to another of its volumes while this one was away is kept
    /// there, unless it was found damaged there.
    pub(super) fn drop_doubles(&mut self, now: Timestamp, slot: VolumeSlot, out: &mut Outbox) {
        let Some(Shelf::Open(shelf)) = self.shelves.get(usize::from(slot.0)) else {
            return;
        };
        let there = |content: Content| {
            let mut others = self.replicas(content.version);
            let (other, at_other) = others.find(|(other, _)| *other != slot)?;
            Some((other, content, at_other))
        };
        let doubles: Vec<(VolumeSlot, Content, Content)> =
            shelf.volume.entries().filter_map(there).collect();
        for (other, here, at_other) in doubles {
            let same = is_same(&here, &at_other);
            let leaves = same && self.leaves_first(other, slot);
            if leaves || self.is_damaged(other, here.version) {
                self.drop_other(now, other, &at_other);
                continue;
            }
            if !same {
                self.tell_unequal(slot, other, here.version, out);
            }
            if let Some(volume) = self.volume(slot) {
                volume.trash(here.version, now);
            }
            self.count_bytes(slot, here.len, u64::wrapping_sub);
        }
    }

    /// Gives up a replica that the content on another volume takes the place of. The controller need not
    /// be told: it knows that this one was damaged, or hears that it has moved.
    fn drop_other(&mut self, now: Timestamp, slot: VolumeSlot, content: &Content) {
        let (entry, told) = (entry(slot, content), false);
        let leaving = Leaving { entry, told };
        self.leaving.insert((slot, content.version), leaving);
        if let Some(volume) = self.volume(slot) {
            volume.trash(content.version, now);
        }
    }
}

fn is_same(one: &Content, other: &Content) -> bool {
    (one.len, one.digest) == (other.len, other.digest)
}

#[cfg(test)]
mod tests {
    use super::super::{InUse, Pace, VolumesConfig};
    use super::*;
    use crate::datanode::labels::Labels;
    use crate::dfs::ids::{ChunkId, VolumeSlot};
    use crate::ids::{Alias, NodeId};
    use crate::io::Effect;
    use crate::prng::SecretPrng;
    use crate::prng::Seed;
    use crate::store::tests::rig::{Rig, good_label};

    const NOW: Timestamp = Timestamp::ZERO;

    fn version() -> ChunkVersion {
        ChunkVersion::first(ChunkId(1 << 40 | 1))
    }

    /// A node with two volumes, with so many bytes of one chunk on each; other lengths are other contents.
    fn shelves(lens: [usize; 2]) -> Shelves {
        let config = VolumesConfig {
            paths: vec!["/first".to_owned(), "/second".to_owned()],
            ..VolumesConfig::default()
        };
        let labels = Labels::new(None, SecretPrng::new(Seed::new([7; 32])));
        let alias = Alias::new("P1-NODE1").unwrap();
        let node = NodeId::new([7; 16]);
        let out = &mut Outbox::default();
        let mut shelves = Shelves::new(config, labels, node, alias, None, 7, out);
        shelves.shelves = lens.map(on_a_shelf).into();
        shelves
    }

    fn on_a_shelf(len: usize) -> Shelf {
        let mut rig = Rig::tiny();
        rig.put_version(version(), len);
        rig.run();
        Shelf::Open(Box::new(InUse {
            volume: rig.volume,
            label: good_label(),
            round: 0,
            capacity: 1 << 40,
            free: 1 << 39,
            chunk_bytes: len as u64,
            pace: Pace::default(),
        }))
    }

    /// On which volumes the chunk is.
    fn places(shelves: &Shelves) -> Vec<u16> {
        shelves.replicas(version()).map(|(it, _)| it.0).collect()
    }

    fn told(mut out: Outbox) -> Vec<&'static str> {
        let effects = core::iter::from_fn(|| out.pop());
        let names = effects.filter_map(|effect| match effect {
            Effect::Notify(event) => Some(event.name),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn another_content_that_comes_to_a_second_volume_is_not_kept_and_told_of() {
        let mut shelves = shelves([100, 50]);
        let mut out = Outbox::default();
        let kept = shelves.keep_once(NOW, VolumeSlot(1), version(), &mut out);
        assert_eq!(kept, Kept::Unequal);
        assert_eq!(places(&shelves), [0]);
        assert_eq!(told(out), ["volume.unequal"]);
    }

    #[test]
    fn the_same_content_that_comes_to_a_second_volume_is_not_told_of() {
        let mut shelves = shelves([100, 100]);
        let mut out = Outbox::default();
        let kept = shelves.keep_once(NOW, VolumeSlot(1), version(), &mut out);
        assert_eq!(kept, Kept::Older);
        assert_eq!(places(&shelves), [0]);
        assert!(told(out).is_empty());
    }

    #[test]
    fn another_content_takes_the_place_of_one_that_was_found_damaged() {
        let mut shelves = shelves([100, 50]);
        shelves.corrupt.insert((VolumeSlot(0), version()));
        let mut out = Outbox::default();
        let kept = shelves.keep_once(NOW, VolumeSlot(1), version(), &mut out);
        assert_eq!(kept, Kept::Newcomer);
        assert_eq!(places(&shelves), [1]);
        assert!(told(out).is_empty());
    }

    #[test]
    fn a_volume_that_comes_back_with_another_content_is_told_of() {
        for (lens, expected) in [([100, 50], &["volume.unequal"][..]), ([100, 100], &[])] {
            let mut shelves = shelves(lens);
            let mut out = Outbox::default();
            shelves.drop_doubles(NOW, VolumeSlot(1), &mut out);
            assert_eq!(places(&shelves), [0]);
            assert_eq!(told(out), expected);
        }
    }
}
