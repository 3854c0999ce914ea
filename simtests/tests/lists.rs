//! The lists of `docs/simulation.md`, `docs/fault-matrix.md`, `docs/security-tests.md` and `docs/lessons.md` name tests, checkers and planted
//! bugs that there are, and the scenarios of the World all stand in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use simtests::vaquita::Cluster;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources below a folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("the sources are there").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    found
}

/// Where the scenarios of the World are, by whose modules they are called.
const WORLD: [&str; 2] = ["simtests/tests/world", "simtests/tests/files"];

/// The names of the functions that stand behind `#[test]` and the like.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let mut behind_attribute = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            behind_attribute = true;
        }
        let (_, name) = line.split_once("fn ")?;
        let (name, _) = name.split_once('(')?;
        std::mem::take(&mut behind_attribute).then_some(name)
    })
}

/// What stands between backticks in the rows of a list: the cells behind the first `skip`.
fn names_in(section: &str, skip: usize) -> Vec<&str> {
    let page = include_str!("../../docs/simulation.md");
    let (_, rest) = page.split_once(section).expect("the page has the section");
    let rows = rest.lines().take_while(|line| !line.starts_with("##"));
    let rows = rows.filter(|line| line.starts_with("| "));
    rows.flat_map(move |row| row.split('|').skip(1 + skip))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

/// The rows of the page of faults: number, what happens, what must hold, tests.
fn faults() -> impl Iterator<Item = [&'static str; 4]> {
    let page = include_str!("../../docs/fault-matrix.md");
    page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, happens, holds, tests, _] = cells[..] else {
            return None;
        };
        let is_row = number.chars().all(|it| it.is_ascii_digit());
        is_row.then_some([number, happens, holds, tests])
    })
}

/// Every fault has its row, and each row a test, or says that there is none yet.
#[test]
fn no_fault_is_left_out() {
    let numbers: Vec<usize> = faults().filter_map(|row| row[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=95).collect::<Vec<_>>());
    for [number, happens, holds, tests] in faults() {
        let shown = tests.contains('`') || [happens, holds, tests].concat().contains("*Not yet");
        assert!(shown, "{number}: {happens}");
    }
}

#[test]
fn every_test_in_the_lists_exists() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for folder in ["config", "core", "node", "simtests"] {
        for (path, text) in sources(&root().join(folder)) {
            let folder = path.parent();
            let of_the_world =
                folder.is_some_and(|it| WORLD.iter().any(|world| it.ends_with(world)));
            let module = path.file_stem().and_then(|it| it.to_str()).unwrap_or("");
            known.extend(tests_in(&text).map(|name| match of_the_world {
                true => format!("{module}::{name}"),
                false => name.to_owned(),
            }));
            // Properties are declared inside a macro, checkers are types.
            let lines = text.lines().map(str::trim);
            known.extend(lines.filter_map(|line| {
                let name = line.strip_prefix("pub struct ")?;
                name.split([' ', ';', '<']).next().map(str::to_owned)
            }));
        }
    }
    known.insert("check_invariants".to_owned());
    let planted = format!("{:?}", Cluster::default().planted);
    let mut missing = Vec::new();
    let lists = [
        ("### Scenarios", 2),
        ("### Invariants", 1),
        ("### Liveness", 2),
        ("### Rules", 1),
    ];
    let lessons = include_str!("../../docs/lessons.md").lines();
    let lessons = lessons.filter(|line| line.starts_with("| "));
    let lessons = lessons.filter_map(|row| row.split('|').nth(3));
    let lessons: Vec<&str> = lessons
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(lessons.len() > 40, "the page of lessons was not read");
    let listed = lists
        .iter()
        .flat_map(|(section, skip)| names_in(section, *skip));
    let faults: Vec<&str> = faults()
        .flat_map(|row| row[3].split('`').skip(1).step_by(2))
        .collect();
    assert!(faults.len() > 150, "the page of faults was not read");
    let attacks = include_str!("../../docs/security-tests.md").lines();
    let attacks = attacks.filter_map(|row| row.split('|').nth(4));
    let attacks = attacks.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let attacks: Vec<&str> = attacks.filter(|name| !name.starts_with('.')).collect();
    assert!(attacks.len() > 60, "the page of attacks was not read");
    for name in listed.chain(lessons).chain(faults).chain(attacks) {
        let is_planted = planted.contains(&format!(" {name}: "));
        if !known.contains(name) && !is_planted {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "nothing is called {missing:?}");
}

#[test]
fn every_scenario_of_the_world_stands_in_a_list() {
    let lists = [
        "### Scenarios",
        "### Invariants",
        "### Liveness",
        "### Rules",
    ];
    let listed: BTreeSet<&str> = lists
        .iter()
        .flat_map(|section| names_in(section, 1))
        .collect();
    let mut missing = Vec::new();
    let scenarios = WORLD
        .iter()
        .flat_map(|folder| sources(&root().join(folder)));
    for (path, text) in scenarios {
        let module = path.file_stem().and_then(|it| it.to_str()).unwrap_or("");
        let names = tests_in(&text).map(|name| format!("{module}::{name}"));
        missing.extend(names.filter(|name| module != "story" && !listed.contains(name.as_str())));
    }
    assert!(
        missing.is_empty(),
        "docs/simulation.md does not list {missing:?}"
    );
}

/// Every planted bug stands beside the invariant that it breaks.
#[test]
fn every_planted_bug_stands_beside_an_invariant() {
    let listed: BTreeSet<&str> = names_in("### Invariants", 2).into_iter().collect();
    let planted = format!("{:?}", Cluster::default().planted);
    let all = planted
        .split([' ', ':', '{', '}', ','])
        .filter(|word| word.contains('_'));
    // The first is found on turmoil, and the second is no bug. The others take away one of two
    // locks on the same door: what a node prepared under an old token counts for nothing at the
    // commit, and a node that has seen more does not let an old controller in.
    let others = [
        "never_doubt_itself",
        "speak_later_version",
        "take_old_tokens",
        "obey_old_releases",
    ];
    let missing: Vec<&str> = all
        .filter(|bug| !listed.contains(bug) && !others.contains(bug))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/simulation.md does not list {missing:?}"
    );
}

/// Bugs that have tests of their own: those that show at one operation of a disk only, at each of which
/// crash tests of the core stop, and two in whose stories acknowledged files are lost without them too.
const BY_OWN_TESTS: [(&str, &str, &str); 4] = [
    (
        "reuse_indexes",
        "an_index_that_is_given_again_is_missed",
        "simtests/tests/files/rebuilt.rs",
    ),
    (
        "forget_accepted_loss",
        "what_is_given_up_after_a_loss_is_missed",
        "simtests/tests/files/rebuilt.rs",
    ),
    (
        "remove_checkpoint_early",
        "the_crash_test_notices_an_early_removal_of_a_checkpoint",
        "core/src/metalog/tests/crash.rs",
    ),
    (
        "store_purge_early",
        "the_crash_test_notices_a_purge_before_the_tombstone",
        "core/src/store/tests/crash.rs",
    ),
];

/// The column "planted" names the bugs that are hunted, and those that a test of the same row
/// plants; no others, and all of them.
#[test]
fn what_is_hunted_is_what_the_planted_column_names() {
    let hunts = [
        include_str!("planted.rs"),
        include_str!("files_planted/main.rs"),
        include_str!("files_planted/mirrors.rs"),
        include_str!("files_planted/orphans.rs"),
        include_str!("files_planted/repair.rs"),
        include_str!("files_planted/upkeep.rs"),
        include_str!("files_planted/volumes.rs"),
    ];
    let bug = |line: &'static str| {
        let line = line.trim();
        line.strip_prefix("bug: \"")?.strip_suffix("\",")
    };
    let mut tested: BTreeSet<&str> = hunts
        .iter()
        .flat_map(|it| it.lines())
        .filter_map(bug)
        .collect();
    assert!(
        tested.len() > 25,
        "hunts are found in the sources: {tested:?}"
    );
    tested.extend(BY_OWN_TESTS.iter().map(|(bug, ..)| bug));
    let listed: BTreeSet<&str> = names_in("### Invariants", 2).into_iter().collect();
    assert_eq!(listed, tested, "listed, and hunted");
    let page = include_str!("../../docs/simulation.md");
    for (bug, test, file) in BY_OWN_TESTS {
        let mut rows = page.lines().filter(|line| line.starts_with("| "));
        let row = rows.find(|row| row.contains(&format!("`{bug}`")));
        assert!(row.is_some_and(|row| row.contains(test)), "{bug}: {row:?}");
        let text = fs::read_to_string(root().join(file)).expect("the sources are there");
        let (_, body) = text
            .split_once(&format!("fn {test}()"))
            .expect("the test is there");
        let (body, _) = body.split_once("\n}\n").expect("the test ends");
        let planted = [format!("{bug}: true"), format!("{bug} = true")];
        let plants = planted.iter().any(|words| body.contains(words));
        assert!(plants, "{test} plants it");
    }
}

#[test]
fn cargo_run_means_the_program() {
    let manifest = include_str!("../../Cargo.toml");
    assert!(
        manifest
            .lines()
            .any(|line| line == "default-members = [\"node\"]")
    );
    let gate = fs::read_to_string(root().join(".ci/run")).expect("the gate is there");
    let read_me = fs::read_to_string(root().join("README.md")).expect("there is one");
    let command = "cargo test --workspace";
    assert!(gate.contains(command) && read_me.lines().any(|line| line == command));
}
