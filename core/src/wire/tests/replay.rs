use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::wire::replay::{ReplayWindow, Verdict};

#[test]
fn the_first_number_is_fresh_whatever_it_is() {
    for seq in [0, 1, 127, 128, u64::MAX] {
        let mut window = ReplayWindow::default();
        assert_eq!(window.accept(seq), Verdict::Fresh);
        assert_eq!(window.accept(seq), Verdict::Duplicate);
    }
}

#[test]
fn numbers_may_come_in_any_order_within_the_window() {
    let mut window = ReplayWindow::default();
    assert_eq!(window.accept(1000), Verdict::Fresh);
    assert_eq!(window.accept(1000 - 127), Verdict::Fresh);
    assert_eq!(window.accept(1000 - 127), Verdict::Duplicate);
    assert_eq!(window.accept(1000 - 128), Verdict::TooOld);
    assert_eq!(window.accept(999), Verdict::Fresh);
    assert_eq!(window.accept(1001), Verdict::Fresh);
    assert_eq!(window.accept(1000), Verdict::Duplicate);
    assert_eq!(window.accept(1001 - 127), Verdict::Fresh);
    assert_eq!(
        window.accept(1000 - 127),
        Verdict::TooOld,
        "the window has moved on"
    );
}

#[test]
fn a_leap_forgets_what_was_seen_and_still_takes_nothing_twice() {
    for leap in [127, 128, 129, 1 << 32, (1 << 32) + 1, u64::MAX - 5] {
        let mut window = ReplayWindow::default();
        assert_eq!(window.accept(5), Verdict::Fresh);
        assert_eq!(window.accept(5 + leap), Verdict::Fresh);
        assert_ne!(window.accept(5), Verdict::Fresh, "leap of {leap}");
        assert_eq!(window.accept(5 + leap), Verdict::Duplicate);
    }
}

proptest! {
    /// Against a set that remembers everything.
    #[test]
    fn no_number_is_fresh_twice_and_none_in_the_window_is_lost(
        start in prop_oneof![0_u64..300, u64::MAX - 300..u64::MAX],
        steps in proptest::collection::vec((0_u64..300, any::<bool>()), 1..200),
    ) {
        let mut window = ReplayWindow::default();
        let mut seen = BTreeSet::new();
        let mut seq = start;
        for (step, forward) in steps {
            seq = if forward { seq.saturating_add(step) } else { seq.saturating_sub(step) };
            let in_window = seen.last().is_none_or(|&highest: &u64| {
                seq > highest || highest - seq < ReplayWindow::WIDTH
            });
            let expected = match (in_window, seen.contains(&seq)) {
                (false, _) => Verdict::TooOld,
                (true, true) => Verdict::Duplicate,
                (true, false) => Verdict::Fresh,
            };
            prop_assert_eq!(window.accept(seq), expected);
            seen.insert(seq);
        }
    }
}
