//! What is planned, and what is refused with what words.

use super::*;
use crate::admin::Refusal;
use crate::dfs::ask::Expect;
use crate::dfs::ids::FileVersion;

/// /d/e, and the files /d/f and /g.
fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.dir("/d/e");
    tree.put("/d/f", vec![chunk(1, 10, &[1])]);
    tree.put("/g", vec![]);
    tree
}

#[track_caller]
fn assert_refused<T: core::fmt::Debug>(result: Result<T, Refusal>, parts: &[&str]) {
    let text = result.expect_err("it is refused").to_string();
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

fn make_dir(tree: &Tree, text: &str, parents: bool) -> Result<Vec<DfsRecord>, Refusal> {
    tree.state
        .plan_make_dir(tree.next(), op(1), &path(text), parents, 0)
}

#[test]
fn missing_directories_are_made_from_the_outermost_in() {
    let mut tree = tree();
    let records = make_dir(&tree, "/d/x/y", true).unwrap();
    assert_eq!(records.len(), 2);
    for record in records {
        tree.done(record);
    }
    assert!(tree.state.is_directory(tree.id("/d/x/y")));
    assert_eq!(make_dir(&tree, "/d/x/y", true), Ok(vec![]));
    assert_eq!(make_dir(&tree, "/", true), Ok(vec![]));
    let last = tree.log.len() as u64;
    assert_eq!(tree.state.op(op(1)).unwrap().index, LogIndex(last));
}

#[test]
fn a_directory_is_refused_where_it_cannot_be() {
    let tree = tree();
    assert_refused(
        make_dir(&tree, "/d", false),
        &["dfs://d is there already", "a directory"],
    );
    assert_refused(
        make_dir(&tree, "/g", false),
        &["dfs://g is there already", "a file"],
    );
    assert_refused(make_dir(&tree, "/", false), &["there already"]);
    assert_refused(
        make_dir(&tree, "/x/y", false),
        &["dfs://x does not exist", "vaquita dfs mkdir -p dfs://x`"],
    );
    assert_refused(make_dir(&tree, "/g/y", false), &["dfs://g is a file"]);
    assert_refused(
        make_dir(&tree, "/g/y", true),
        &["dfs://g is a file", "remove the file"],
    );
}

#[test]
fn a_removal_is_refused_that_takes_more_than_was_meant() {
    let tree = tree();
    let remove = |text: &str, recursive, expect| {
        tree.state
            .plan_remove(op(1), &path(text), recursive, expect)
    };
    assert_refused(
        remove("/d", false, Expect::Anything),
        &["2 entries", "vaquita dfs rm -r dfs://d"],
    );
    assert_refused(
        remove("/", true, Expect::Anything),
        &["root directory stays"],
    );
    assert_refused(
        remove("/x", true, Expect::Anything),
        &["dfs://x does not exist"],
    );
    assert_refused(
        remove("/d/f", false, Expect::Version(FileVersion(99))),
        &["at version 3", "version 99 was expected"],
    );
    assert_refused(
        remove("/d/e", false, Expect::Version(FileVersion(2))),
        &["is a directory"],
    );
    assert!(remove("/d/e", false, Expect::Anything).is_ok());
    assert!(remove("/d/f", false, Expect::Version(FileVersion(3))).is_ok());
    let (_, usage) = remove("/d", true, Expect::Anything).unwrap();
    assert_eq!((usage.files, usage.directories, usage.bytes), (1, 2, 10));
}

#[test]
fn a_rename_is_refused_that_would_hide_something() {
    let tree = tree();
    let rename = |from: &str, to: &str, replace| {
        tree.state
            .plan_rename(op(1), &path(from), &path(to), replace)
    };
    assert_refused(rename("/d", "/d/e/x", true), &["moved into itself"]);
    assert_refused(rename("/g", "/d", true), &["dfs://d/g", "never replaced"]);
    assert_refused(
        rename("/d", "/g", true),
        &["dfs://g is a file", "remove the file first"],
    );
    assert_refused(rename("/g", "/d/f", false), &["there already", "replace"]);
    assert_refused(
        rename("/g", "/x/y", false),
        &["dfs://x does not exist", "mkdir -p dfs://x`"],
    );
    assert_refused(rename("/x", "/y", false), &["dfs://x does not exist"]);
    assert_refused(rename("/", "/y", false), &["root directory"]);
    assert_refused(rename("/g", "/", false), &["root directory"]);
    assert_eq!(rename("/g", "/g", false), Ok(None));
    assert!(rename("/g", "/d/f", true).unwrap().is_some());
    assert!(rename("/d", "/k", false).unwrap().is_some());
}

#[test]
fn a_rename_is_refused_that_would_make_a_path_too_deep() {
    let mut tree = tree();
    tree.dir(&"/n".repeat(62));
    let plan = tree
        .state
        .plan_rename(op(1), &path("/d"), &path("/n/d"), false);
    assert!(plan.is_ok());
    let deep = format!("{}/d", "/n".repeat(62));
    let plan = tree
        .state
        .plan_rename(op(1), &path("/d"), &path(&deep), false);
    assert!(plan.is_ok());
    tree.dir("/d/e/h");
    let plan = tree
        .state
        .plan_rename(op(1), &path("/d"), &path(&deep), false);
    assert_refused(plan, &["more than 64 names"]);
}

#[test]
fn a_put_meets_what_it_expects_or_is_refused() {
    let tree = tree();
    let put = |text: &str, expect| tree.state.plan_put(&path(text), expect);
    let version = FileVersion(3);
    assert_refused(
        put("/d/f", Expect::Nothing),
        &["there already, as version 3"],
    );
    assert_refused(
        put("/d/x", Expect::Something),
        &["does not exist", "to be replaced"],
    );
    assert_refused(
        put("/d/x", Expect::Version(version)),
        &["does not exist", "version 3"],
    );
    assert_refused(
        put("/d/f", Expect::Version(FileVersion(4))),
        &["at version 3", "version 4"],
    );
    assert_refused(put("/d", Expect::Anything), &["is a directory"]);
    assert_refused(put("/", Expect::Anything), &["root directory"]);
    assert_refused(put("/g/x", Expect::Anything), &["dfs://g is a file"]);
    assert_refused(
        put("/x/y/z", Expect::Anything),
        &["dfs://x does not exist", "vaquita dfs mkdir -p dfs://x/y`"],
    );
    for expect in [
        Expect::Anything,
        Expect::Something,
        Expect::Version(version),
    ] {
        let plan = put("/d/f", expect).unwrap();
        assert_eq!(plan.existing, Some((tree.id("/d/f"), version)));
        assert_eq!((plan.parent, plan.name.as_str()), (tree.id("/d"), "f"));
    }
    assert_eq!(put("/d/x", Expect::Nothing).unwrap().existing, None);
}
