//! What holds for all records, states, copies and homes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Files, fuzz_home, fuzz_names, refused, run, says_where, start};
use crate::disk::FileName;
use crate::io::{ExitCode, ExitReason};
use crate::mirror::fuzzing::fuzz_survey;
use crate::state::fuzzing::{fuzz_records, fuzz_state};

/// That many cases, and no file for those that fail: a failure worth keeping becomes a test.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(count)
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_records_leave_a_state_that_fits_together(data in vec(any::<u8>(), 0..400)) {
        fuzz_records(&data);
    }

    #[test]
    fn any_bytes_are_a_state_that_fits_together_or_none(data in vec(any::<u8>(), 0..400)) {
        fuzz_state(&data);
    }

    #[test]
    fn what_a_changed_copy_is_said_to_have_was_written(
        mode: u8,
        changes in vec(any::<[u8; 6]>(), 0..3),
    ) {
        fuzz_survey(&[&[mode], &changes.concat()[..]].concat());
    }

    #[test]
    fn a_name_that_can_be_read_is_written_as_it_reads(
        text in "(dfs:/?/?)?(/?([a-z.]{0,3}|数据|\\PC)){0,6}/?",
    ) {
        fuzz_names(text.as_bytes());
    }

    #[test]
    fn any_home_is_refused_or_can_be_started_from_again(data in vec(any::<u8>(), 0..400)) {
        fuzz_home(&data);
    }
}

fn one(name: &'static str, bytes: &[u8]) -> Files {
    Files::from([(FileName::fixed(name), bytes.to_vec())])
}

/// What is said of a fault must begin with the file that has it, one that is there.
#[test]
fn a_fault_that_does_not_say_where_it_is_does_not_pass() {
    let home = one("cluster.id", b"?");
    assert!(says_where("cluster.id is damaged (too short)", &home));
    assert!(says_where("the home has no log at all, and so on", &home));
    for fault in [
        "node.id is damaged (too short)",
        "cluster.id",
        "something in cluster.id is damaged (too short)",
        "the home cannot be used",
        "the metadata log is damaged",
        "",
    ] {
        assert!(!says_where(fault, &home), "{fault}");
    }
}

/// Only damage, and the home of another process, are reasons not to start.
#[test]
fn a_refusal_of_another_kind_does_not_pass() {
    let home = one("cluster.id", b"?");
    let passes = |code, message: &str| {
        let refusal = ExitReason {
            code,
            message: message.to_owned(),
        };
        std::panic::catch_unwind(|| refused(&refusal, &home)).is_ok()
    };
    let damaged = "cluster.id is damaged (too short)";
    let of_another = "this home belongs to P1-NODE2, not to P1-NODE1";
    assert!(passes(ExitCode::CorruptData, damaged));
    assert!(passes(ExitCode::Usage, of_another));
    assert!(!passes(ExitCode::Usage, damaged));
    assert!(!passes(ExitCode::CorruptData, of_another));
    assert!(!passes(ExitCode::Bug, damaged));
}

/// A rebuild starts on any home, and what it says of a damaged one is looked at.
#[test]
fn what_a_rebuild_finds_is_told() {
    let said = |files: &Files| {
        let Ok(mut machine) = start(3, files) else {
            panic!("a rebuild starts on any home");
        };
        run(&mut *machine, &mut files.clone()).faults
    };
    assert!(said(&Files::new()).is_empty());
    for name in ["cluster.id", "repair.id", "seg-00000000000000000001.log"] {
        let home = one(name, b"nobody wrote that");
        let faults = said(&home);
        let [fault] = &faults[..] else {
            panic!("{name}: {faults:?}");
        };
        assert!(says_where(fault, &home), "{name}: {fault}");
    }
}
