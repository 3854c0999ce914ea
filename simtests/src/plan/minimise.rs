//! Making a failing plan smaller.

use super::{Plan, Timed};

/// The smallest plan found that still fails: steps are left out by halves, then by quarters, and so
/// on (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002).
///
/// `fails` runs the plan and says whether it fails in the way that matters.
pub fn minimise(plan: &Plan, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut steps: Vec<Timed> = plan.steps().to_vec();
    let mut parts = 2;
    while !steps.is_empty() {
        let size = steps.len().div_ceil(parts);
        let smaller = (0..steps.len()).step_by(size).find_map(|from| {
            let to = (from + size).min(steps.len());
            let left: Vec<Timed> = [&steps[..from], &steps[to..]].concat();
            fails(&Plan::new(left.clone())).then_some(left)
        });
        match smaller {
            Some(left) => {
                steps = left;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(steps.len()),
        }
    }
    Plan::new(steps)
}
