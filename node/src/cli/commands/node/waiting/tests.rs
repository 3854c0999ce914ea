use std::time::Duration;

use super::{Goal, Progress};
use crate::cli::client::NodeView;

fn node(alias: &str, state: &str, reason: &str) -> NodeView {
    NodeView {
        alias: alias.to_owned(),
        mode: "datanode".to_owned(),
        site: String::new(),
        state: state.to_owned(),
        agent: None,
        reason: reason.to_owned(),
        admin: String::new(),
        conditions: Vec::new(),
        pid: None,
    }
}

fn progress(goal: Goal) -> Progress {
    Progress::new(goal, &["A".to_owned(), "B".to_owned()])
}

const SOON: Duration = Duration::from_millis(120);

#[test]
fn each_change_of_a_state_is_told_once() {
    let mut progress = progress(Goal::Online);
    let first = [
        node("A", "starting", ""),
        node("B", "online", ""),
        node("C", "lost", ""),
    ];
    let look = progress.look(&first, SOON);
    assert_eq!(
        look.lines,
        ["A is starting  (120 ms)", "B is online  (120 ms)"]
    );
    assert!(!look.reached);
    assert!(progress.look(&first, SOON).lines.is_empty());
    let look = progress.look(&[node("A", "online", ""), node("B", "online", "")], SOON);
    assert_eq!(look.lines, ["A is online  (120 ms)"]);
    assert!(look.reached);
}

#[test]
fn a_failed_start_ends_the_waiting_and_a_failed_stop_goes_on() {
    let rows = [node("A", "failed", "port taken"), node("B", "online", "")];
    let look = progress(Goal::Online).look(&rows, SOON);
    assert_eq!(look.failed, ["A is failed: port taken"]);
    assert!(progress(Goal::Stopped).look(&rows, SOON).failed.is_empty());
}

#[test]
fn a_node_that_vanished_ends_the_waiting() {
    let look = progress(Goal::Stopped).look(&[node("A", "stopped", "")], SOON);
    assert!(!look.reached);
    assert_eq!(look.failed, ["B is no longer a member of the cluster"]);
}

#[test]
fn what_is_missing_is_told_with_its_reason() {
    let mut progress = progress(Goal::Online);
    progress.look(
        &[
            node("A", "starting", "waiting for its agent"),
            node("B", "online", ""),
        ],
        SOON,
    );
    assert_eq!(progress.missing(), "A is starting: waiting for its agent");
}
