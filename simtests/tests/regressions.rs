//! Everything that a campaign ever found, each as a case with its story, played again.

use std::path::Path;

use simtests::campaign::{Case, Play};
use simtests::run::{FailureCard, run_one};
use simtests::trace::TraceMode;

/// The cases in a directory, by the names of their files.
fn kept(directory: &str) -> Vec<(String, Case)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(&directory).expect("there are cases");
    let mut kept: Vec<(String, Case)> = files
        .map(|file| {
            let path = file.expect("it can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let case = text
                .parse()
                .unwrap_or_else(|error| panic!("{name}, {error}"));
            (name.into_owned(), case)
        })
        .collect();
    kept.sort_by(|one, other| one.0.cmp(&other.0));
    kept
}

#[test]
fn what_went_wrong_once_goes_well_and_always_the_same() {
    let kept = kept("regressions");
    assert!(kept.len() >= 5, "{} cases are kept", kept.len());
    for (name, case) in kept {
        let file = format!("simtests/regressions/{name}");
        let play = Play {
            file: Some(&file),
            ..Play::of(&case)
        };
        let outcome = run_one(&play, case.seed, TraceMode::Fingerprint);
        if let Some(failure) = outcome.failure {
            let card = FailureCard::new(&play, case.seed, Some(outcome.hash));
            panic!("{failure}\n{card}");
        }
        let again = run_one(&play, case.seed, TraceMode::Fingerprint);
        assert_eq!(again.hash, outcome.hash, "{name} is not the same twice");
    }
}

#[test]
fn each_has_a_name_and_a_story() {
    for (name, case) in kept("regressions") {
        let known = name.strip_suffix(".plan").is_some_and(|name| {
            name.bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
        });
        assert!(
            known,
            "{name} is no name of a case; write it as what-is-wrong.plan"
        );
        assert!(case.story.len() >= 2, "{name} has no story");
        assert_eq!(case.planted.names().count(), 0, "{name} has a planted bug");
    }
}

/// Cases that show something: they end well as well.
#[test]
fn the_cases_that_are_shown_end_well() {
    for (name, case) in kept("cases") {
        let outcome = run_one(&Play::of(&case), case.seed, TraceMode::Fingerprint);
        assert_eq!(outcome.failure, None, "{name}");
    }
}
