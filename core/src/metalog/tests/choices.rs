//! Going through all ways in which something may turn out, or through some at random.

use crate::prng::Prng;

/// Decides between alternatives, one after the other, so that repeated runs see every combination.
#[derive(Debug)]
pub(crate) struct Choices {
    /// What was decided, and out of how many.
    path: Vec<(usize, usize)>,
    position: usize,
    random: Option<Prng>,
}

impl Choices {
    /// The same answer always: the first alternative.
    pub(crate) fn first() -> Self {
        Self {
            path: Vec::new(),
            position: 0,
            random: None,
        }
    }

    pub(crate) fn random(seed: u64) -> Self {
        Self {
            random: Some(Prng::new(seed)),
            ..Self::first()
        }
    }

    /// One of `0..alternatives`.
    pub(crate) fn pick(&mut self, alternatives: usize) -> usize {
        if let Some(prng) = &mut self.random {
            return prng.below(alternatives as u64) as usize;
        }
        if self.position == self.path.len() {
            self.path.push((0, alternatives));
        }
        let (chosen, of) = self.path[self.position];
        assert_eq!(of, alternatives, "a run depends on its choices only");
        self.position += 1;
        chosen
    }

    /// Goes on to the next combination; false after the last.
    fn advance(&mut self) -> bool {
        self.position = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

/// Calls `run` for every combination of its choices, or, if there are more than `most`, for the
/// first half of `most` in order and as many at random. Returns the number of calls.
pub(crate) fn for_all(most: usize, seed: u64, mut run: impl FnMut(&mut Choices)) -> usize {
    let mut choices = Choices::first();
    for count in 1..=most {
        run(&mut choices);
        if !choices.advance() {
            return count;
        }
        if count * 2 >= most {
            break;
        }
    }
    let mut choices = Choices::random(seed);
    for _ in most / 2..most {
        run(&mut choices);
    }
    most
}

#[test]
fn every_combination_is_seen_once() {
    let mut seen = Vec::new();
    let runs = for_all(100, 0, |choices| {
        let first = choices.pick(2);
        let second = if first == 0 { choices.pick(3) } else { 9 };
        seen.push((first, second));
    });
    assert_eq!(runs, 4);
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 9)]);
}
