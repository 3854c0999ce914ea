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
        admin_reason: String::new(),
        conditions: Vec::new(),
        pid: None,
        figures: None,
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

fn leaving(admin: &str, left: &str) -> [NodeView; 2] {
    let row = |alias: &str, admin: &str, left: &str| NodeView {
        admin: admin.to_owned(),
        admin_reason: left.to_owned(),
        ..node(alias, "online", "")
    };
    [row("A", admin, left), row("B", "drained", "")]
}

#[test]
fn a_node_that_is_drained_is_told_of_now_and_then_and_at_once_when_it_is_empty() {
    let mut progress = progress(Goal::Drained);
    let at = Duration::from_millis;
    let look = progress.look(&leaving("draining", "9 chunks are left"), at(100));
    let first = "A is draining: 9 chunks are left  (100 ms)";
    assert_eq!(look.lines, [first, "B is drained  (100 ms)"]);
    assert!(!look.reached);
    let look = progress.look(&leaving("draining", "8 chunks are left"), at(200));
    assert!(look.lines.is_empty(), "{look:?}");
    let look = progress.look(&leaving("draining", "5 chunks are left"), at(2200));
    assert_eq!(look.lines, ["A is draining: 5 chunks are left  (2.2 s)"]);
    assert!(progress.missing().contains("5 chunks"));
    let look = progress.look(&leaving("drained", ""), at(2300));
    assert_eq!(look.lines, ["A is drained  (2.3 s)"]);
    assert!(look.reached);
    let look = progress.look(&leaving("none", ""), at(2400));
    assert_eq!(
        look.failed,
        ["A is drained no more: the order was called off"]
    );
}

#[test]
fn a_node_serves_when_it_is_neither_drained_nor_in_maintenance() {
    let mut progress = progress(Goal::Serving);
    let mut rows = leaving("maintenance", "");
    assert!(!progress.look(&rows, SOON).reached);
    rows[0].admin = "none".to_owned();
    rows[1].admin = "none".to_owned();
    assert!(progress.look(&rows, SOON).reached);
}
