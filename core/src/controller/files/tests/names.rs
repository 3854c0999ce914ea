//! What is told of names, and when.

use super::*;

/// `mkdir -p` of a directory that another client has just made, and that a crash would take.
#[test]
fn what_is_there_already_is_told_once_it_is_durable() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let make = |n| make_dir(OpId([n; 16]), "/d", true);
    let rename = Ask::Rename {
        op: OpId([9; 16]),
        from: DfsPath::parse("/d").unwrap(),
        to: DfsPath::parse("/d").unwrap(),
        replace: true,
    };
    assert!(controller.ask_files(now, ASKER, make(1)).is_none());
    assert!(controller.log.appended() > controller.log.synced());
    let waiting = held(controller);
    let answer = controller.ask_files(now, ASKER, make(2));
    assert!(answer.is_none(), "{answer:?}");
    let answer = controller.ask_files(now, ASKER, rename);
    assert!(answer.is_none(), "{answer:?}");
    assert_eq!(held(controller), waiting + 2, "told at once");
}

/// The record that a refusal speaks of may be lost in a crash, like what a look shows.
#[test]
fn a_refusal_that_tells_of_a_path_waits_for_what_it_tells() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let make = |n| make_dir(OpId([n; 16]), "/d", false);
    assert!(controller.ask_files(now, ASKER, make(1)).is_none());
    let waiting = held(controller);
    assert!(controller.ask_files(now, ASKER, make(2)).is_none());
    assert_eq!(held(controller), waiting + 1);
    cluster.run_for(Duration::from_secs(1));
    let answer = cluster.controller().ask_files(now, ASKER, make(3));
    assert!(
        matches!(answer, Some(Err(Refusal::Conflict { .. }))),
        "{answer:?}"
    );
}

/// A crash has left the outer directories of `mkdir -p` and not the innermost.
#[test]
fn a_path_that_was_made_in_part_is_made_whole_when_it_is_asked_for_again() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let (op, path) = (OpId([1; 16]), DfsPath::parse("/a/b/c").unwrap());
    let next = controller.log.appended().next();
    let names = controller.names();
    let records = names.plan_make_dir(next, op, &path, true, 0).unwrap();
    assert_eq!(records.len(), 3);
    for record in &records[..2] {
        controller.append_files(now, record);
    }
    let make = || make_dir(op, "/a/b/c", true);
    assert!(controller.ask_files(now, ASKER, make()).is_none());
    assert!(controller.names().stat(&path).is_ok());
    // Asked for once more it is not done again.
    let before = controller.log.appended();
    assert!(controller.ask_files(now, ASKER, make()).is_none());
    assert_eq!(controller.log.appended(), before);
}
