use super::{GIB, MIB, nodes, wish};
use crate::dfs::placement::{Candidates, Fitness, ReliabilityLevel, place};
use crate::prng::Prng;

/// A cluster of `count` empty nodes on `hosts` hosts; the sizes repeat.
fn empty(count: usize, hosts: usize, sizes: &[u64]) -> Candidates {
    let names: Vec<String> = (0..count).map(|n| format!("h{}", n % hosts)).collect();
    let rows: Vec<_> = names
        .iter()
        .enumerate()
        // The sizes are mixed over the hosts.
        .map(|(n, host)| (&**host, sizes[(n / hosts + n) % sizes.len()]))
        .map(|(host, size)| (host, size, size))
        .collect();
    nodes(&rows)
}

/// Places `chunks` chunks of 64 MiB with three replicas while space goes down, and returns the
/// highest fill over the mean fill, both shares of a node's capacity, in basis points.
fn highest_over_mean(mut candidates: Candidates, chunks: usize, level: ReliabilityLevel) -> u128 {
    let wish = wish(3, 3, level);
    let mut prng = Prng::new(7);
    for _ in 0..chunks {
        let placed = place(&candidates, &wish, &mut || prng.next_u64()).expect("there is room");
        for &slot in placed.slots() {
            candidates.took(slot, wish.size);
        }
    }
    let mut used = 0;
    let mut all = 0;
    let mut highest = 0;
    for (_, candidate) in candidates.iter() {
        let capacity = u128::from(candidate.space.capacity);
        let here = capacity - u128::from(candidate.space.free);
        highest = highest.max(here * 1_000_000_000 / capacity);
        used += here;
        all += capacity;
    }
    highest * 10_000 / (used * 1_000_000_000 / all)
}

const LEVELS: [ReliabilityLevel; 3] = [
    ReliabilityLevel::MayShare,
    ReliabilityLevel::NeverShare,
    ReliabilityLevel::PreferApart,
];

#[test]
fn a_thousand_equal_nodes_fill_evenly() {
    for level in LEVELS {
        let nodes = empty(1_000, 250, &[100 * GIB]);
        let ratio = highest_over_mean(nodes, 100_000, level);
        println!("{level:?}: highest over mean {ratio} bp");
        assert!(ratio <= 10_500, "{level:?}: {ratio} bp");
    }
}

#[test]
fn nodes_of_unequal_size_fill_evenly_in_percent() {
    for level in LEVELS {
        // 1 to 8, which a hundred thousand chunks fill to a half.
        let sizes: Vec<u64> = [1, 2, 3, 4, 8].map(|size| size * 100 * GIB).to_vec();
        let nodes = empty(100, 25, &sizes);
        let ratio = highest_over_mean(nodes, 100_000, level);
        println!("{level:?}: highest over mean {ratio} bp");
        assert!(ratio <= 10_500, "{level:?}: {ratio} bp");
    }
}

/// How often a slot comes in `rounds` placements of three replicas while nothing changes.
fn times_chosen(candidates: &Candidates, slot: usize, rounds: usize) -> usize {
    let wish = wish(3, 3, ReliabilityLevel::NeverShare);
    let mut prng = Prng::new(3);
    (0..rounds)
        .filter(|_| {
            let placed = place(candidates, &wish, &mut || prng.next_u64()).expect("there is room");
            placed.slots().contains(&slot)
        })
        .count()
}

#[test]
fn a_node_that_was_just_added_takes_at_most_twice_its_fair_share() {
    let names: Vec<String> = (0..40).map(|n| format!("h{n}")).collect();
    let mut rows: Vec<_> = names.iter().map(|n| (&**n, 100 * GIB, 20 * GIB)).collect();
    rows[39].2 = 100 * GIB;
    let candidates = nodes(&rows);
    let rounds = 40_000;
    let fair = rounds * 3 / 40;
    let chosen = times_chosen(&candidates, 39, rounds);
    assert!(chosen <= 2 * fair, "{chosen} of a fair {fair}");
    assert!(
        chosen >= fair * 18 / 10,
        "it is filled up: {chosen} of {fair}"
    );
}

#[test]
fn a_slow_node_takes_about_a_quarter_of_what_others_take() {
    let names: Vec<String> = (0..40).map(|n| format!("h{n}")).collect();
    let rows: Vec<_> = names.iter().map(|n| (&**n, 100 * GIB, 50 * GIB)).collect();
    let mut candidates = nodes(&rows);
    candidates.set_fitness(39, Fitness::Slow);
    let chosen = times_chosen(&candidates, 39, 40_000);
    let fair = 40_000 * 3 / 40;
    assert!((fair / 5..fair / 3).contains(&chosen), "{chosen} of {fair}");
}

#[test]
fn at_level_0_hosts_are_rarely_shared() {
    let candidates = empty(40, 10, &[100 * GIB]);
    let wish = wish(2, 2, ReliabilityLevel::MayShare);
    let mut prng = Prng::new(5);
    let mut shared = 0;
    for _ in 0..10_000 {
        let placed = place(&candidates, &wish, &mut || prng.next_u64()).expect("there is room");
        let [a, b] = placed.slots() else {
            panic!("two places: {placed:?}")
        };
        shared += u32::from(a % 10 == b % 10);
    }
    // Of 39 others 3 share the host: 7.7 % without the preference.
    assert!((1..100).contains(&shared), "{shared} of 10000 share");
}

#[test]
fn what_was_taken_and_given_back_leaves_the_view_as_it_was() {
    let before = empty(3, 3, &[100 * GIB]);
    let mut after = before.clone();
    after.took(1, 64 * MIB);
    assert_ne!(after, before);
    after.gave_back(1, 64 * MIB);
    assert_eq!(after, before);
}
