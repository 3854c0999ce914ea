use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{GIB, MIB};
use crate::dfs::ask::VolumeState;
use crate::dfs::ids::VolumeSlot;
use crate::dfs::placement::{NoVolume, Space, VolumeChoice, VolumeRules, choose_volume};
use crate::prng::Prng;

fn volume(slot: u16, capacity: u64, free: u64) -> VolumeChoice {
    VolumeChoice {
        slot: VolumeSlot(slot),
        state: VolumeState::Good,
        capacity,
        free,
    }
}

fn choose(volumes: &[VolumeChoice], size: u64, seed: u64) -> Result<VolumeSlot, NoVolume> {
    let mut prng = Prng::new(seed);
    choose_volume(volumes, size, &VolumeRules::default(), &mut || {
        prng.next_u64()
    })
}

#[test]
fn the_reserve_is_a_gibibyte_or_a_twentieth_but_never_more_than_a_fifth() {
    let rules = VolumeRules::default();
    assert_eq!(rules.reserve(2 * GIB), 2 * GIB / 5);
    assert_eq!(rules.reserve(10 * GIB), GIB);
    assert_eq!(rules.reserve(1000 * GIB), 50 * GIB);
}

#[test]
fn a_volume_is_full_at_95_percent_or_at_a_lower_usage_threshold() {
    let rules = VolumeRules::default();
    assert_eq!(rules.room(1000 * GIB, 50 * GIB), 0);
    assert!(rules.room(1000 * GIB, 51 * GIB) > 0);
    let strict = VolumeRules::default().with_usage_threshold(7_000);
    assert_eq!(strict.room(1000 * GIB, 300 * GIB), 0);
    assert_eq!(strict.room(1000 * GIB, 301 * GIB), 251 * GIB);
    assert_eq!(strict.high_water_bp, 7_000);
    assert_eq!(VolumeRules::default().with_usage_threshold(9_700), rules);
}

#[test]
fn a_volume_above_high_water_takes_chunks_only_if_no_other_has_room() {
    let high = volume(0, 1000 * GIB, 140 * GIB);
    let small = volume(1, 10 * GIB, 5 * GIB);
    for seed in 0..100 {
        assert_eq!(choose(&[high, small], MIB, seed), Ok(VolumeSlot(1)));
        assert_eq!(choose(&[high, small], 6 * GIB, seed), Ok(VolumeSlot(0)));
    }
}

#[test]
fn a_refusal_says_why_each_volume_was_left_out() {
    let mut gone = volume(0, 1000 * GIB, 900 * GIB);
    gone.state = VolumeState::Missing;
    let refused = choose(
        &[
            gone,
            volume(1, 1000 * GIB, GIB),
            volume(2, 10 * GIB, 2 * GIB),
        ],
        2 * GIB,
        1,
    );
    let refused = refused.expect_err("no volume has room");
    assert_eq!(
        refused.left_out,
        [
            "volume 0: missing".to_owned(),
            format!(
                "volume 1: full, {GIB} bytes are free and {} are kept free",
                50 * GIB
            ),
            format!(
                "volume 2: {} bytes are free, of which {GIB} are kept free",
                2 * GIB
            ),
        ]
    );
    let none = choose(&[], 1, 1).expect_err("there is no volume");
    assert!(none.to_string().contains("the node has no volume"));
}

#[test]
fn volumes_of_unequal_size_fill_evenly_in_percent() {
    let mut volumes = [100, 200, 400, 800, 50].map(|size| size * GIB);
    volumes.sort_unstable();
    let mut all: Vec<VolumeChoice> = (0..)
        .zip(volumes)
        .map(|(slot, size)| volume(slot, size, size))
        .collect();
    let total: u64 = volumes.iter().sum();
    let rules = VolumeRules::default();
    let mut prng = Prng::new(11);
    let chunks = total / 2 / (16 * MIB);
    for _ in 0..chunks {
        let slot = choose_volume(&all, 16 * MIB, &rules, &mut || prng.next_u64())
            .expect("half of the space is free");
        all[usize::from(slot.0)].free -= 16 * MIB;
    }
    let fill = |v: &VolumeChoice| (v.capacity - v.free) * 10_000 / v.capacity;
    let highest = all.iter().map(fill).max().expect("there are volumes");
    println!("fills {:?}", all.iter().map(fill).collect::<Vec<_>>());
    assert!(highest <= 5_250, "{highest} bp, mean 5000");
}

#[test]
fn the_room_of_a_node_is_that_of_its_volumes_that_take_chunks() {
    let rules = VolumeRules::default();
    let full = volume(0, 1000 * GIB, 10 * GIB);
    let good = volume(1, 100 * GIB, 60 * GIB);
    let space = Space::of(&[full, good], &rules);
    assert_eq!(
        (space.capacity, space.free, space.room, space.volumes),
        (100 * GIB, 60 * GIB, 55 * GIB, 1)
    );
    assert!(!space.is_above_high_water());
    let mut high = good;
    high.state = VolumeState::High;
    assert!(Space::of(&[full, high], &rules).is_above_high_water());
    assert!(!Space::of(&[good, high], &rules).is_above_high_water());
    assert_eq!(Space::of(&[full], &rules), Space::default());
}

fn state() -> impl Strategy<Value = VolumeState> {
    prop_oneof![
        6 => Just(VolumeState::Good),
        1 => Just(VolumeState::High),
        1 => Just(VolumeState::Slow),
        1 => Just(VolumeState::Full),
        1 => Just(VolumeState::Failed),
        1 => Just(VolumeState::Opening),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A volume is found if looking at each finds one, never one that may not be used, one above
    /// high water only if there is no other; and the same question has the same answer.
    #[test]
    fn a_volume_is_chosen_exactly_if_one_has_room(
        rows in vec((1_u64..4096, 0_u64..=100, state()), 0..6),
        size in 0_u64..1024,
        seed: u64,
    ) {
        let size = size * GIB;
        let rules = VolumeRules::default();
        let volumes: Vec<VolumeChoice> = (0..)
            .zip(&rows)
            .map(|(slot, &(gib, percent, state))| VolumeChoice {
                state,
                ..volume(slot, gib * GIB, gib * GIB / 100 * percent)
            })
            .collect();
        let takes: BTreeMap<VolumeSlot, bool> = volumes
            .iter()
            .filter(|v| v.state.is_writable())
            .filter(|v| v.free * 20 > v.capacity)
            .filter(|v| v.free - v.free.min(rules.reserve(v.capacity)) >= size.max(1))
            .map(|v| {
                let high = v.state == VolumeState::High
                    || u128::from(v.free) < u128::from(v.capacity) * 15 / 100;
                (v.slot, high)
            })
            .collect();
        let chosen = choose(&volumes, size, seed);
        prop_assert_eq!(&chosen, &choose(&volumes, size, seed));
        match chosen {
            Ok(slot) => {
                let high = takes.get(&slot);
                prop_assert!(high.is_some(), "volume {} takes nothing", slot);
                prop_assert!(high == Some(&false) || takes.values().all(|high| *high));
            }
            Err(refused) => {
                prop_assert!(takes.is_empty(), "{}", refused);
                prop_assert_eq!(refused.left_out.len(), volumes.len());
            }
        }
    }
}
