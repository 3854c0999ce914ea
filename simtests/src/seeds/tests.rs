use super::*;

#[test]
fn one_seed_beats_a_range_and_a_budget() {
    let seeds = Seeds::parse(Some("42"), Some("1..9"), Some("5s"), false, 3).unwrap();
    assert_eq!(
        seeds,
        Seeds::One {
            seed: 42,
            traced: false
        }
    );
    let budget = seeds.budget();
    assert_eq!(
        (seeds.get(0, &budget), seeds.get(1, &budget)),
        (Some(42), None)
    );
}

#[test]
fn a_range_is_walked_to_its_end() {
    let seeds = Seeds::parse(None, Some("7..9"), None, false, 3).unwrap();
    let budget = seeds.budget();
    let walked: Vec<u64> = (0..4).filter_map(|at| seeds.get(at, &budget)).collect();
    assert_eq!(walked, [7, 8]);
}

#[test]
fn the_standard_list_ends_with_the_commits_own_seed() {
    let seeds = Seeds::Standard {
        first: 2,
        fresh: Some(99),
    };
    let budget = seeds.budget();
    let walked: Vec<u64> = (0..5).filter_map(|at| seeds.get(at, &budget)).collect();
    assert_eq!(walked, [0, 1, 99]);
}

#[test]
fn an_empty_budget_begins_nothing() {
    let seeds = Seeds::parse(None, Some("5..6"), Some("0s"), false, 3).unwrap();
    assert_eq!(seeds.get(0, &seeds.budget()), None);
}

#[test]
fn variables_that_make_no_sense_are_refused_by_name() {
    for (one, range, budget, names) in [
        (Some("x"), None, None, "VAQUITA_SEED="),
        (None, Some("5"), None, "VAQUITA_SEEDS"),
        (None, Some("9..3"), None, "VAQUITA_SEEDS"),
        (None, None, Some("60"), "VAQUITA_BUDGET"),
    ] {
        let error = Seeds::parse(one, range, budget, false, 1).unwrap_err();
        assert!(error.contains(names), "{error}");
    }
}
