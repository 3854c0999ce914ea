//! Weights that change one at a time and are drawn from in proportion.

/// Highest weight of one slot: eight thousand of them can be added up.
pub(super) const WEIGHT_MAX: u64 = 1 << 50;

/// A weight for each slot, with the sums that make a draw and a change cost the logarithm of their
/// number (Fenwick, "A new data structure for cumulative frequency tables", Software: Practice and
/// Experience 24(3), 1994).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weights {
    each: Vec<u64>,
    /// `sums[i]` is the sum of the `lowest set bit of i + 1` weights that end with slot `i`. The
    /// length is a power of two, so that a descent needs no bounds but this one.
    sums: Vec<u64>,
    total: u64,
    heavy: usize,
}

impl Weights {
    /// The sum of all weights.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// How many slots have a weight above zero.
    pub(super) const fn heavy(&self) -> usize {
        self.heavy
    }

    /// The weight of a slot; zero for one that was never set.
    pub(super) fn get(&self, slot: usize) -> u64 {
        self.each.get(slot).copied().unwrap_or(0)
    }

    /// Every slot with a weight above zero, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        let all = self.each.iter().copied().enumerate();
        all.filter(|(_, weight)| *weight > 0)
    }

    /// Changes the weight of a slot; above [`WEIGHT_MAX`] it counts as that.
    ///
    /// # Panics
    /// If the sum of all weights exceeds 2^64, which takes over sixteen thousand of the highest.
    pub(super) fn set(&mut self, slot: usize, weight: u64) {
        if slot >= self.each.len() {
            self.grow(slot + 1);
        }
        let weight = weight.min(WEIGHT_MAX);
        let before = core::mem::replace(&mut self.each[slot], weight);
        if before == weight {
            return;
        }
        self.heavy = self.heavy + usize::from(weight > 0) - usize::from(before > 0);
        self.total = (self.total - before)
            .checked_add(weight)
            .expect("fewer nodes than the sum of the highest weights allows");
        let mut at = slot + 1;
        while at <= self.sums.len() {
            // The sum before is one that `before` is part of.
            self.sums[at - 1] = self.sums[at - 1] - before + weight;
            at += at & at.wrapping_neg();
        }
    }

    fn grow(&mut self, len: usize) {
        self.each.resize(len, 0);
        let len = len.next_power_of_two();
        if len <= self.sums.len() {
            return;
        }
        self.sums.clear();
        self.sums.extend_from_slice(&self.each);
        self.sums.resize(len, 0);
        for at in 1..=len {
            let above = at + (at & at.wrapping_neg());
            if above <= len {
                self.sums[above - 1] += self.sums[at - 1];
            }
        }
    }

    /// The slot in whose part of `0..total` the number `point` lies.
    ///
    /// `point` must be below [`Weights::total`].
    pub(super) fn find(&self, mut point: u64) -> usize {
        debug_assert!(point < self.total, "{point} of {}", self.total);
        let mut at = 0;
        let mut step = self.sums.len() / 2;
        while step > 0 {
            let sum = self.sums[at + step - 1];
            if sum <= point {
                point -= sum;
                at += step;
            }
            step /= 2;
        }
        at
    }
}
