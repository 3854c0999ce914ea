//! The last operation of a disk: a case in which the power fails, or the process is killed, at each of
//! them in turn.

use super::act::Play;
use super::case::{Case, Happening, What};
use crate::plan::Step;
use crate::run::run_one;
use crate::trace::TraceMode;
use crate::world::{Failure, TRAP_SPRUNG};

/// What became of a case when it was interrupted at each operation of a disk.
#[derive(Clone, Debug, Default)]
pub struct CrashPoints {
    /// Operations of the disk within the case.
    pub operations: u64,
    /// Interruptions: four for each, before and after it, of the power and of the process.
    pub runs: u64,
    /// Those after which something was wrong, each with the case that shows it; the first may be the case
    /// itself, without an interruption.
    pub failures: Vec<(Case, Failure)>,
}

/// Interrupts a case at every operation of a disk, named as in a plan: `P1-NODE1` for a home,
/// `P1-NODE1/0` for a volume. Each must end as well as the case does that is not interrupted.
///
/// Only what a disk does after the cluster is online is interrupted.
///
/// # Errors
/// If the case has interruptions of its own: those would be taken for the ones that are asked about.
pub fn crash_points(case: &Case, disk: &str) -> Result<CrashPoints, String> {
    let has_traps = |it: &Happening| matches!(it.what, What::Step(Step::AtOp { .. }));
    if case.steps.iter().any(has_traps) {
        return Err(
            "the case has `at-op` steps of its own: take them out, each operation gets one"
                .to_owned(),
        );
    }
    let mut points = CrashPoints::default();
    let played = |case: &Case| {
        let outcome = run_one(&Play::of(case), case.seed, TraceMode::Fingerprint);
        let sprung = outcome.marks.contains_key(TRAP_SPRUNG);
        (sprung, outcome.failure)
    };
    if let (_, Some(failure)) = played(case) {
        points.failures.push((case.clone(), failure));
    }
    loop {
        let mut reached = false;
        for (behind, power) in [(false, false), (false, true), (true, false), (true, true)] {
            let interrupted = interrupted(case, disk, points.operations, behind, power);
            let (sprung, failure) = played(&interrupted);
            if !sprung {
                continue;
            }
            reached = true;
            points.runs += 1;
            if let Some(failure) = failure {
                points.failures.push((interrupted, failure));
            }
        }
        if !reached {
            return Ok(points);
        }
        points.operations += 1;
    }
}

fn interrupted(case: &Case, disk: &str, operation: u64, after: bool, power: bool) -> Case {
    let mut steps = case.steps.clone();
    steps.push(Happening {
        at: std::time::Duration::ZERO,
        what: What::Step(Step::AtOp {
            node: disk.to_owned(),
            skip: operation,
            after,
            power,
        }),
    });
    case.with_steps(steps)
}

/// The disks of a case: the homes of its controller, its agents and its data nodes, and their volumes.
#[must_use]
pub fn disks(case: &Case) -> Vec<String> {
    let cluster = case.setup.cluster();
    let mut disks = vec![crate::vaquita::MASTER.to_owned()];
    disks.extend(cluster.agent_names());
    for name in cluster.node_names() {
        disks.extend((0..cluster.volumes).map(|slot| format!("{name}/{slot}")));
        disks.push(name);
    }
    disks
}
