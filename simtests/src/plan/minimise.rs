//! Making a failing plan smaller.

use super::{Plan, Timed};

/// The smallest plan found that still fails; see [`minimise_list`].
///
/// `fails` runs the plan and says whether it fails in the way that matters.
pub fn minimise(plan: &Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let steps = minimise_list(plan.steps(), |steps: &[Timed]| {
        fails(&Plan::new(steps.to_vec()))
    });
    Plan::new(steps)
}

/// The shortest list found that still fails: elements are left out by halves, then by quarters, and so
/// on (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002).
///
/// `fails` says whether a list fails in the way that matters; it is not asked about the whole one.
pub fn minimise_list<T: Clone>(list: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut list: Vec<T> = list.to_vec();
    let mut parts = 2;
    while !list.is_empty() {
        let size = list.len().div_ceil(parts);
        let shorter = (0..list.len()).step_by(size).find_map(|from| {
            let to = (from + size).min(list.len());
            let left = [&list[..from], &list[to..]].concat();
            fails(&left).then_some(left)
        });
        match shorter {
            Some(left) => {
                list = left;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(list.len()),
        }
    }
    list
}
