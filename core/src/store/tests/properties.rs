//! What holds for all bytes and all histories.

use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::Rig;
use crate::limits::Limits;
use crate::planted::Planted;
use crate::store::fuzz::tiny_limits;
use crate::store::{fuzz_headers, fuzz_label, fuzz_scan};

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
    fn a_scan_survives_any_bytes(data in vec(any::<u8>(), 0..600)) {
        fuzz_scan(&data);
    }

    #[test]
    fn a_scan_of_a_changed_volume_invents_nothing(
        mode in (0_u8..8).prop_map(|mode| mode << 1 | 1),
        changes in vec(any::<[u8; 6]>(), 1..4),
    ) {
        let mut data = vec![mode];
        data.extend(changes.concat());
        fuzz_scan(&data);
    }

    #[test]
    fn a_header_that_was_changed_or_stands_elsewhere_is_refused(
        data in vec(any::<u8>(), 0..200),
    ) {
        fuzz_headers(&data);
    }

    #[test]
    fn a_volume_is_used_by_its_owner_alone(data in vec(any::<u8>(), 0..60)) {
        fuzz_label(&data);
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_was_put_and_not_released_is_what_there_is(
        acts in vec((0_u8..10, 1_usize..1500, any::<prop::sample::Index>()), 1..60),
        group_commit_records in 1_usize..5,
        volume_segment_bytes in 100_u64..3000,
        data_sync in any::<bool>(),
    ) {
        let limits = Limits { group_commit_records, volume_segment_bytes, ..tiny_limits() };
        let mut rig = Rig::new(limits, Planted::default());
        rig.rules.data_sync = data_sync;
        rig.run();
        let mut model = std::collections::BTreeSet::new();
        let mut known = Vec::new();
        for (act, len, which) in acts {
            match act {
                0..5 => {
                    let version = rig.put(len);
                    model.insert(version);
                    known.push(version);
                }
                5..7 if !known.is_empty() => {
                    let version = *which.get(&known);
                    if rig.volume.content(version).is_some() || rig.fates.contains_key(&version) {
                        rig.trash(version);
                        model.remove(&version);
                    }
                }
                7 => rig.outwait(),
                8 => {
                    rig.run();
                    let disk = rig.disk.clone();
                    rig.restart(disk);
                    rig.run();
                }
                _ => rig.run(),
            }
        }
        rig.run();
        rig.outwait();
        rig.run();
        let there: std::collections::BTreeSet<_> =
            rig.volume.entries().map(|content| content.version).collect();
        prop_assert_eq!(&there, &model);
        prop_assert_eq!(rig.volume.len(), model.len());
        let again: std::collections::BTreeSet<_> =
            rig.check(&rig.disk.contents()).entries().map(|content| content.version).collect();
        prop_assert_eq!(&again, &model);
        for version in known {
            prop_assert!(model.contains(&version) || rig.volume.find(version).is_none());
        }
    }
}
