//! What holds for all records, states, copies and homes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{fuzz_home, fuzz_names};
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
