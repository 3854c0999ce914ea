//! An ordered map that wastes next to nothing.

use core::borrow::Borrow;
use core::fmt;

/// Entries of a full block.
const BLOCK: usize = 128;

/// An ordered map for keys that mostly come in ascending order.
///
/// It is a list of sorted blocks of up to 128 entries: a B-tree of two levels. A `BTreeMap` that
/// grows in ascending order leaves its nodes half empty, which at a million chunks is as much memory
/// as the chunks; here the last block is filled before the next is begun, and a full block in between
/// gives an entry to the next before it is split. What an insertion moves is two blocks at most, and
/// once in 64 or more insertions the list of blocks: 24 bytes for each 128 entries.
///
/// How the entries lie in blocks depends on the order in which they came. Nothing that is compared
/// or encoded shows it.
#[derive(Clone)]
pub(super) struct Blocks<K, V> {
    /// None is empty.
    blocks: Vec<Vec<(K, V)>>,
    len: usize,
}

impl<K: Ord, V> Blocks<K, V> {
    /// How many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let block = self.blocks.get(self.block_for(key))?;
        let at = find(block, key).ok()?;
        block.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let number = self.block_for(key);
        let block = self.blocks.get_mut(number)?;
        let at = find(block, key).ok()?;
        block.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of a key, and returns the one that it had.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = self.block_for(&key);
        let Some(block) = self.blocks.get_mut(number) else {
            self.blocks.push(vec![(key, value)]);
            self.len += 1;
            return None;
        };
        let at = match find(block, &key) {
            Ok(at) => {
                return block
                    .get_mut(at)
                    .map(|(_, there)| core::mem::replace(there, value));
            }
            Err(at) => at,
        };
        self.len += 1;
        if block.len() < BLOCK {
            block.insert(at, (key, value));
            return None;
        }
        if let Ok([block, next]) = self.blocks.get_disjoint_mut([number, number + 1])
            && next.len() < BLOCK
        {
            let mut entry = (key, value);
            for there in block.iter_mut().skip(at) {
                core::mem::swap(there, &mut entry);
            }
            next.insert(0, entry);
        } else {
            self.split(number, at, (key, value));
        }
        None
    }

    /// Makes two of a full block, with a new entry at `at`.
    fn split(&mut self, number: usize, at: usize, entry: (K, V)) {
        let last = number + 1 == self.blocks.len();
        let Some(block) = self.blocks.get_mut(number) else {
            return;
        };
        // What comes behind the last block, or nearly, is followed by more: the block stays full.
        let cut = if last { at.max(BLOCK / 2) } else { BLOCK / 2 };
        let mut upper = block.split_off(cut);
        upper.reserve_exact(BLOCK - upper.len());
        if at < cut {
            block.insert(at, entry);
        } else {
            upper.insert(at - cut, entry);
        }
        self.blocks.insert(number + 1, upper);
    }

    /// Adds an entry behind all others. Returns whether it belongs there; if not, nothing changes.
    pub(super) fn push(&mut self, key: K, value: V) -> bool {
        let newest = self.blocks.last().and_then(|block| block.last());
        if newest.is_some_and(|(newest, _)| *newest >= key) {
            return false;
        }
        self.len += 1;
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push((key, value)),
            _ => self.blocks.push(vec![(key, value)]),
        }
        true
    }

    /// Takes a key out, and returns its value.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let number = self.block_for(key);
        let block = self.blocks.get_mut(number)?;
        let at = find(block, key).ok()?;
        let (_, value) = block.remove(at);
        self.len -= 1;
        self.mend(number);
        Some(value)
    }

    /// All entries behind `after`, in order; all there are for `None`.
    pub(super) fn after<'a, Q: Ord + ?Sized>(
        &'a self,
        after: Option<&Q>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        let (number, at) = after.map_or((0, 0), |key| {
            let number = self.block_for(key);
            let at = self.blocks.get(number).map_or(0, |block| {
                block.partition_point(|(there, _)| there.borrow() <= key)
            });
            (number, at)
        });
        let first = self.blocks.get(number).and_then(|block| block.get(at..));
        first
            .unwrap_or_default()
            .iter()
            .chain(self.blocks.iter().skip(number + 1).flatten())
            .map(|(key, value)| (key, value))
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.blocks
            .iter()
            .flatten()
            .map(|(key, value)| (key, value))
    }

    /// The block that has the key, if any has.
    fn block_for<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begins_before = |block: &Vec<(K, V)>| {
            block
                .first()
                .is_some_and(|(first, _)| first.borrow() <= key)
        };
        self.blocks.partition_point(begins_before).saturating_sub(1)
    }

    /// Drops a block that has become empty, and joins one that has become small to the next.
    fn mend(&mut self, number: usize) {
        let len_of = |number: usize| self.blocks.get(number).map(Vec::len);
        match (len_of(number), len_of(number + 1)) {
            (Some(0), _) => {
                self.blocks.remove(number);
            }
            (Some(this), Some(next)) if this < BLOCK / 4 && this + next <= BLOCK / 2 => {
                let next = self.blocks.remove(number + 1);
                if let Some(block) = self.blocks.get_mut(number) {
                    block.extend(next);
                }
            }
            _ => {}
        }
    }

    /// Panics with a sentence if the structure contradicts itself.
    pub(super) fn check_invariants(&self) {
        let mut count = 0;
        for block in &self.blocks {
            assert!(!block.is_empty(), "a block is empty");
            assert!(block.len() <= BLOCK, "a block has {} entries", block.len());
            count += block.len();
        }
        assert_eq!(count, self.len, "entries were counted wrong");
        assert!(
            self.iter().is_sorted_by(|(a, _), (b, _)| a < b),
            "keys are not in order"
        );
    }
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(block: &[(K, V)], key: &Q) -> Result<usize, usize> {
    block.binary_search_by(|(there, _)| there.borrow().cmp(key))
}

impl<K, V> Default for Blocks<K, V> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Blocks<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Blocks<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
