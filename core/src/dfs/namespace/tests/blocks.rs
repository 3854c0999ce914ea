//! The ordered map under the namespace.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::blocks::Blocks;

fn entries(blocks: &Blocks<u16, u32>) -> Vec<(u16, u32)> {
    blocks.iter().map(|(key, value)| (*key, *value)).collect()
}

/// The map after these keys were inserted, in their order.
fn inserted(keys: impl IntoIterator<Item = u16>) -> Blocks<u16, u32> {
    let mut blocks = Blocks::default();
    for key in keys {
        blocks.insert(key, u32::from(key));
    }
    blocks.check_invariants();
    blocks
}

proptest! {
    #[test]
    fn it_does_what_a_btreemap_does(
        steps in vec((0_u16..1500, any::<u32>(), 0_u8..8), 0..4000),
    ) {
        let mut blocks = Blocks::default();
        let mut model = BTreeMap::new();
        for (key, value, kind) in steps {
            match kind {
                0..4 => prop_assert_eq!(blocks.insert(key, value), model.insert(key, value)),
                4 | 5 => prop_assert_eq!(blocks.remove(&key), model.remove(&key)),
                6 => prop_assert_eq!(blocks.get(&key), model.get(&key)),
                _ => {
                    let after = blocks.after(Some(&key)).next();
                    let expected = model.range(key..).find(|(there, _)| **there > key);
                    prop_assert_eq!(after, expected);
                }
            }
            prop_assert_eq!(blocks.len(), model.len());
        }
        blocks.check_invariants();
        prop_assert!(blocks.iter().eq(model.iter()));
        prop_assert!(blocks.after(None::<&u16>).eq(model.iter()));
    }
}

#[test]
fn the_order_in_which_entries_came_does_not_show() {
    let up = inserted(0..1000);
    let down = inserted((0..1000).rev());
    assert_eq!(up, down);
    assert_eq!(entries(&up), entries(&down));
}

#[test]
fn only_what_belongs_behind_all_others_is_pushed() {
    let mut blocks = inserted([3, 5]);
    assert!(!blocks.push(5, 0));
    assert!(!blocks.push(4, 0));
    assert!(blocks.push(6, 6));
    blocks.check_invariants();
    assert_eq!(entries(&blocks), [(3, 3), (5, 5), (6, 6)]);
}

#[test]
fn what_is_emptied_from_either_end_is_empty() {
    for order in [(0..1000).collect::<Vec<_>>(), (0..1000).rev().collect()] {
        let mut blocks = inserted(0..1000);
        for key in order {
            assert_eq!(blocks.remove(&key), Some(u32::from(key)));
            blocks.check_invariants();
        }
        assert!(blocks.is_empty());
    }
}
