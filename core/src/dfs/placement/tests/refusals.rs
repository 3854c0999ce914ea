use super::{GIB, MIB, nodes, wish};
use crate::dfs::placement::{
    Fitness, NoPlace, ReliabilityLevel, Scarce, Space, Unfit, Wish, place,
};
use crate::prng::Prng;

fn refusal(candidates: &super::Candidates, wish: &Wish<'_>) -> NoPlace {
    let mut prng = Prng::new(1);
    place(candidates, wish, &mut || prng.next_u64()).expect_err("there is no place")
}

#[test]
fn level_1_refuses_by_the_name_of_hosts_instead_of_sharing_one() {
    let node = |host| (host, 100 * GIB, 50 * GIB);
    let candidates = nodes(&[node("a"), node("a"), node("a"), node("b")]);
    let refused = refusal(&candidates, &wish(3, 3, ReliabilityLevel::NeverShare));
    assert_eq!(
        (refused.need, refused.have, refused.of),
        (3, 2, Scarce::Hosts)
    );
    let mut prng = Prng::new(1);
    let degraded = place(
        &candidates,
        &wish(3, 2, ReliabilityLevel::NeverShare),
        &mut || prng.next_u64(),
    )
    .expect("two hosts are enough to begin");
    assert!(degraded.short);
    assert_eq!(degraded.slots().len(), 2);
}

#[test]
fn a_refusal_says_why_each_node_was_left_out() {
    let node = |host, free| (host, 100 * GIB, free);
    let mut candidates = nodes(&[
        node("a", 50 * GIB),
        node("b", 50 * GIB),
        node("c", 50 * GIB),
        node("d", MIB),
        node("e", 50 * GIB),
        node("f", 50 * GIB),
        node("b", 50 * GIB),
    ]);
    candidates.set_fitness(0, Fitness::Unfit(Unfit::Offline));
    candidates.set_fitness(4, Fitness::Unfit(Unfit::Draining));
    candidates.set_space(5, Space::default());
    let asked = Wish {
        beside: &[1],
        avoid: &[2],
        ..wish(2, 2, ReliabilityLevel::NeverShare)
    };
    let refused = refusal(&candidates, &asked);
    assert_eq!(
        refused.left_out,
        [
            "n0: is not online",
            "n1: has a replica already",
            "n2: was tried already",
            "n3: has room for a chunk of 1048576 bytes, not of 67108864",
            "n4: is being drained",
            "n5: no volume takes chunks",
            "n6: its host b has a replica already",
        ]
    );
    assert_eq!((refused.have, refused.of), (1, Scarce::Space));
}

#[test]
fn a_refusal_of_a_large_cluster_names_some_nodes_and_counts_the_rest() {
    let mut candidates = nodes(&vec![("a", GIB, GIB); 300]);
    for slot in 0..300 {
        candidates.set_fitness(slot, Fitness::Unfit(Unfit::Offline));
    }
    let refused = refusal(&candidates, &wish(1, 1, ReliabilityLevel::MayShare));
    assert_eq!((refused.have, refused.of), (0, Scarce::Nodes));
    assert_eq!(refused.left_out.len(), 17);
    assert_eq!(
        refused.left_out.last().map(String::as_str),
        Some("and 284 more")
    );
}
