//! Comparisons within one run: what a machine does at the moment counts for both sides alike.

use std::time::{Duration, Instant};

/// Rounds of a comparison; odd, so that there is a middle one.
const ROUNDS: usize = 15;
/// How long each side works in a round.
const ROUND: Duration = Duration::from_millis(40);

/// Seconds that each of two pieces of work takes, and how they compare.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// Seconds of the work in question, the middle one of all rounds.
    pub subject: f64,
    /// Seconds of what it is held against, the middle one of all rounds.
    pub limit: f64,
    /// How many times as long the work takes as the limit: the middle one of all rounds, in each of
    /// which both were done.
    pub times: f64,
}

/// Whether comparisons are asked for: not where the command line chooses among the benches or wants
/// profiles of them.
#[must_use]
pub fn is_wanted() -> bool {
    std::env::args().skip(1).all(|word| word.starts_with('-'))
}

/// Does two pieces of work by turns and compares how long they take.
pub fn compare(mut subject: impl FnMut(), mut limit: impl FnMut()) -> Ratio {
    let (mut subjects, mut limits, mut times) = (Vec::new(), Vec::new(), Vec::new());
    // The first round only warms up.
    for round in 0..=ROUNDS {
        let one = seconds(&mut subject);
        let other = seconds(&mut limit);
        if round > 0 {
            subjects.push(one);
            limits.push(other);
            times.push(one / other);
        }
    }
    Ratio {
        subject: middle(subjects),
        limit: middle(limits),
        times: middle(times),
    }
}

/// Seconds that work takes, done again and again for a while. The clock is looked at behind a batch that
/// grows until it takes an eighth of that while: work of nanoseconds would be measured as a look at the
/// clock otherwise.
fn seconds(work: &mut impl FnMut()) -> f64 {
    let begun = Instant::now();
    let (mut done, mut batch) = (0_u64, 1_u64);
    loop {
        let batch_begun = Instant::now();
        for _ in 0..batch {
            work();
        }
        done += batch;
        let elapsed = begun.elapsed();
        if elapsed >= ROUND {
            return elapsed.as_secs_f64() / done as f64;
        }
        if batch_begun.elapsed() < ROUND / 16 {
            batch *= 2;
        }
    }
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_is_not_measured_as_a_look_at_the_clock() {
        let (mut done, begun) = (0_u64, Instant::now());
        let each = seconds(&mut || done = core::hint::black_box(done + 1));
        assert!(begun.elapsed() >= ROUND && done > 1);
        // All of it together is no longer than the round.
        assert!(each * done as f64 <= begun.elapsed().as_secs_f64());
    }

    #[test]
    fn the_middle_of_three_is_neither_the_least_nor_the_most() {
        assert!((middle(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
