//! The toys under everything the World can do to them.

use std::time::Duration;

use simtests::run::check;
use simtests::toys::Everything;

#[test]
fn toys_survive_everything() {
    let scenario = Everything {
        name: "toys_survive_everything",
        target: "toys",
        bug: None,
        span: Duration::from_secs(120),
    };
    let summary = check(&scenario, 40);
    eprintln!(
        "{} runs, {} steps, {:?}",
        summary.runs, summary.steps, summary.marks
    );
}
