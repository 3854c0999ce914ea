//! The points of charts, oldest first, of which the oldest gives way.

use std::collections::VecDeque;

/// A value that was not known. Nothing else is that high: see [`HIGHEST`](super::HIGHEST).
pub(crate) const NONE: u64 = u64::MAX;

/// The last points of `N` series. Its memory is taken with the first point that has a value, all at
/// once, and never grows.
#[derive(Clone, Debug)]
pub(crate) struct Ring<const N: usize> {
    points: VecDeque<[u64; N]>,
    most: usize,
}

impl<const N: usize> Ring<N> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            points: VecDeque::new(),
            most: most.max(1),
        }
    }

    /// Adds a point for a step of time; [`NONE`] where a value is not known.
    pub(crate) fn push(&mut self, point: [u64; N]) {
        if self.points.is_empty() && point == [NONE; N] {
            return;
        }
        if self.points.capacity() == 0 {
            self.points.reserve_exact(self.most);
        }
        while self.points.len() >= self.most {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// One value of the newest point, where it is known.
    pub(crate) fn newest(&self, number: usize) -> Option<u64> {
        let value = *self.points.back()?.get(number)?;
        (value != NONE).then_some(value)
    }

    /// How many points there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Bytes that it has taken.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.points.capacity() * core::mem::size_of::<[u64; N]>()
    }

    /// One of the series, oldest point first.
    pub(crate) fn series(&self, number: usize) -> Vec<Option<u64>> {
        let values = self.points.iter().map(|point| point.get(number).copied());
        values.map(|value| value.filter(|it| *it != NONE)).collect()
    }
}
