use proptest::collection::vec;
use proptest::prelude::*;

use crate::dfs::placement::weights::Weights;

proptest! {
    /// A point finds the slot in whose part it lies, whatever was set before in which order.
    #[test]
    fn a_point_finds_the_slot_that_a_walk_over_all_weights_finds(
        changes in vec((0_usize..40, 0_u64..6), 1..80),
    ) {
        let mut weights = Weights::default();
        let mut model = [0_u64; 40];
        for (slot, weight) in changes {
            weights.set(slot, weight);
            model[slot] = weight;
        }
        prop_assert_eq!(weights.total(), model.iter().sum::<u64>());
        prop_assert_eq!(weights.heavy(), model.iter().filter(|w| **w > 0).count());
        let mut expected = Vec::new();
        for (slot, &weight) in model.iter().enumerate() {
            prop_assert_eq!(weights.get(slot), weight);
            expected.extend((0..weight).map(|_| slot));
        }
        let found: Vec<usize> = (0..weights.total()).map(|point| weights.find(point)).collect();
        prop_assert_eq!(found, expected);
    }
}
