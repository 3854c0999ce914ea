use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{MIB, nodes, space};
use crate::dfs::placement::{Candidates, Fitness, ReliabilityLevel, Scarce, Unfit, Wish, place};
use crate::membership::Slot;
use crate::prng::Prng;

/// A node of a random cluster: host, capacity in MiB, percent free, fitness.
type Node = (u8, u64, u64, Fitness);

fn node(hosts: u8) -> impl Strategy<Value = Node> {
    let fitness = prop_oneof![
        6 => Just(Fitness::Fit),
        1 => Just(Fitness::Slow),
        1 => Just(Fitness::Unfit(Unfit::Offline)),
    ];
    (0..hosts, 1_u64..2_000, 0_u64..=100, fitness)
}

fn cluster() -> impl Strategy<Value = Vec<Node>> {
    // Few hosts and few nodes, where rules collide; and many nodes, where not all are looked at.
    prop_oneof![
        3 => (1_u8..6).prop_flat_map(|hosts| vec(node(hosts), 0..10)),
        1 => (1_u8..60).prop_flat_map(|hosts| vec(node(hosts), 10..80)),
    ]
}

fn level() -> impl Strategy<Value = ReliabilityLevel> {
    prop_oneof![
        Just(ReliabilityLevel::MayShare),
        Just(ReliabilityLevel::NeverShare),
        Just(ReliabilityLevel::PreferApart),
    ]
}

fn candidates(cluster: &[Node]) -> Candidates {
    let names: Vec<String> = cluster.iter().map(|node| format!("h{}", node.0)).collect();
    let rows: Vec<_> = cluster
        .iter()
        .zip(&names)
        .map(|(&(_, mib, percent, _), name)| (&**name, mib * MIB, mib * MIB / 100 * percent))
        .collect();
    let mut candidates = nodes(&rows);
    for (slot, &(_, _, _, fitness)) in cluster.iter().enumerate() {
        candidates.set_fitness(slot, fitness);
    }
    candidates
}

/// What may take a replica when nothing is placed yet, found by looking at every node.
fn eligible(candidates: &Candidates, wish: &Wish<'_>) -> Vec<Slot> {
    let strict = wish.level == ReliabilityLevel::NeverShare;
    let host = |slot: Slot| candidates.get(slot).map(|c| c.host);
    candidates
        .iter()
        .filter(|(_, c)| !matches!(c.fitness, Fitness::Unfit(_)))
        .filter(|(_, c)| c.space.room > 0 && c.space.room >= wish.size)
        .filter(|(slot, _)| !wish.beside.contains(slot) && !wish.avoid.contains(slot))
        .filter(|(_, c)| !strict || wish.beside.iter().all(|&b| host(b) != Some(c.host)))
        .map(|(slot, _)| slot)
        .collect()
}

/// How many places there are for a wish.
fn possible(candidates: &Candidates, wish: &Wish<'_>) -> usize {
    let eligible = eligible(candidates, wish);
    if wish.level == ReliabilityLevel::NeverShare {
        let hosts: BTreeSet<_> = eligible
            .iter()
            .filter_map(|&slot| candidates.get(slot).map(|c| c.host))
            .collect();
        hosts.len()
    } else {
        eligible.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Places are found if, and as many as, looking at every node finds; no rule is bent for them.
    #[test]
    fn placement_does_all_that_the_nodes_allow_and_nothing_that_the_rules_forbid(
        cluster in cluster(),
        factor in 0_usize..6,
        min in 0_usize..6,
        level in level(),
        size in 0_u64..400,
        beside in vec(0_usize..12, 0..3),
        avoid in vec(0_usize..12, 0..3),
        prefer in proptest::option::of(0_usize..12),
        seed: u64,
    ) {
        let candidates = candidates(&cluster);
        let wish = Wish {
            factor, min, level, size: size * MIB, beside: &beside, avoid: &avoid, prefer,
        };
        let mut prng = Prng::new(seed);
        let answer = place(&candidates, &wish, &mut || prng.next_u64());

        // The same question with the same draws is answered the same.
        let mut again = Prng::new(seed);
        prop_assert_eq!(&answer, &place(&candidates, &wish, &mut || again.next_u64()));

        let places = possible(&candidates, &wish).min(factor);
        let least = min.max(1).min(factor);
        let placed = match answer {
            Ok(placed) => placed,
            Err(refusal) => {
                prop_assert!(places < least, "refused {} of {least}: {refusal}", places);
                prop_assert_eq!(refusal.need as usize, least);
                prop_assert!(refusal.have < refusal.need, "{}", refusal);
                prop_assert!(level == ReliabilityLevel::NeverShare || refusal.of != Scarce::Hosts);
                return Ok(());
            }
        };
        prop_assert_eq!(placed.slots().len(), places);
        prop_assert!(places >= least);
        prop_assert_eq!(placed.short, places < factor);

        let eligible = eligible(&candidates, &wish);
        let host = |slot: Slot| candidates.get(slot).map(|c| c.host);
        let is_high = |slot: Slot| {
            candidates.get(slot).is_some_and(|c| c.space.is_above_high_water())
        };
        let mut before: Vec<Slot> = beside.clone();
        for &slot in placed.slots() {
            prop_assert!(eligible.contains(&slot), "n{} is not eligible", slot);
            prop_assert!(!before.contains(&slot), "two replicas on n{}", slot);
            let shares = |slot: Slot| before.iter().any(|&b| host(b) == host(slot));
            let left = || eligible.iter().copied().filter(|slot| !before.contains(slot));
            match level {
                ReliabilityLevel::MayShare => {}
                ReliabilityLevel::NeverShare => prop_assert!(!shares(slot), "a host is shared"),
                ReliabilityLevel::PreferApart => prop_assert!(
                    !shares(slot) || left().all(shares),
                    "n{} shares its host, and another was to be had", slot
                ),
            }
            if is_high(slot) {
                let strict = level != ReliabilityLevel::MayShare;
                let better = left().find(|&s| !(is_high(s) || strict && shares(s)));
                prop_assert_eq!(better, None, "n{} is above high water", slot);
            }
            before.push(slot);
        }
        if let (Some(prefer), Some(&first)) = (prefer, placed.slots().first())
            && eligible.contains(&prefer)
            && !is_high(prefer)
            && beside.iter().all(|&b| host(b) != host(prefer))
        {
            prop_assert_eq!(first, prefer);
        }
    }

    /// Keeping the view up to date by single changes gives the view that is made anew.
    #[test]
    fn a_view_that_was_changed_step_by_step_equals_one_made_anew(
        cluster in vec(node(4), 1..12),
        changes in vec((0_usize..12, node(4)), 0..20),
    ) {
        let mut changed = candidates(&cluster);
        let mut cluster = cluster;
        for (at, (_, mib, percent, fitness)) in changes {
            let slot = at % cluster.len();
            changed.set_space(slot, space(mib * MIB, mib * MIB / 100 * percent));
            changed.set_fitness(slot, fitness);
            let host = cluster[slot].0;
            cluster[slot] = (host, mib, percent, fitness);
        }
        prop_assert_eq!(changed, candidates(&cluster));
    }
}
