//! What holds for all bytes and all histories.

use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::{Rig, tiny_limits};
use crate::limits::Limits;
use crate::metalog::{fuzz_checkpoint, fuzz_recovery};
use crate::planted::Planted;

/// That many cases, and no file for those that fail: a failure worth keeping becomes a test.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(count)
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn recovery_survives_any_bytes(data in vec(any::<u8>(), 0..600)) {
        fuzz_recovery(&data);
    }

    #[test]
    fn recovery_of_a_changed_log_is_a_prefix_or_refused(
        mode in (0_u8..8).prop_map(|mode| mode << 1 | 1),
        changes in vec(any::<[u8; 6]>(), 1..4),
    ) {
        let mut data = vec![mode];
        data.extend(changes.concat());
        fuzz_recovery(&data);
    }

    #[test]
    fn a_checkpoint_that_was_changed_is_refused(data in vec(any::<u8>(), 0..200)) {
        fuzz_checkpoint(&data);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn what_was_appended_is_recovered_for_all_limits(
        lens in vec((0_usize..300, 0_u8..6), 1..60),
        group_commit_records in 1_usize..5,
        segment_bytes in 0_u64..1000,
    ) {
        let limits = Limits { group_commit_records, segment_bytes, ..tiny_limits() };
        let mut rig = Rig::new(limits, Planted::default());
        for (len, then) in lens {
            rig.append(len);
            match then {
                0 => {}
                1 => {
                    let _ = rig.begin_checkpoint() && rig.build_checkpoint();
                }
                _ => rig.run(),
            }
        }
        rig.run();
        prop_assert_eq!(rig.acked.0, rig.history.len() as u64);
        let files = rig.disk.contents();
        let recovered = rig.check_recovery(&files).expect("in order");
        prop_assert_eq!(recovered.end.last_index(), rig.acked);
        prop_assert!(recovered.repairs().is_empty());
    }
}
