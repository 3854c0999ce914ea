//! Small bounds, searched to their end; and planted bugs, each of which has to be found.

use vaquita_core::planted::Planted;
use vaquita_model::bounds::{Bound, Protocol, budget, cluster};
use vaquita_model::search::{Outcome, search};
use vaquita_model::setup::Budget;

fn searched(protocol: Protocol, budget: Budget, bug: Option<&str>) -> Outcome {
    let planted = Planted::default();
    let planted = bug
        .map_or(Ok(planted), |bug| planted.with(bug))
        .expect("there is such a bug");
    search(
        cluster(protocol, budget, planted).expect("everything comes online"),
        None,
    )
}

/// Every state within the small bound is right, and there are as many as there were: a number that
/// changes says that machines have more to decide than before, or less.
fn all_right(protocol: Protocol, states: usize, told: &[&str]) {
    let outcome = searched(protocol, budget(protocol, Bound::Small), None);
    if let Some(violation) = &outcome.violation {
        panic!("{violation}");
    }
    assert!(outcome.exhausted);
    for name in told {
        let marks = &outcome.marks;
        assert!(marks.contains_key(name), "nothing led to {name}: {marks:?}");
    }
    assert_eq!(outcome.states, states, "different states of {protocol:?}");
}

/// A bug is found, by what it does, within so many steps.
fn finds(protocol: Protocol, bug: &str, budget: Budget, symptom: &str, within: usize) {
    let outcome = searched(protocol, budget, Some(bug));
    let violation = outcome.violation.expect("the bug does harm");
    assert!(violation.what.contains(symptom), "{bug}:\n{violation}");
    let steps = violation.path.len();
    assert!(steps <= within, "{bug}, in {steps} steps:\n{violation}");
}

#[test]
fn registration_and_fencing_are_right_in_every_order() {
    let told = ["node.offline", "uplink.self_fenced", "node.registered"];
    all_right(Protocol::Registration, 87_506, &told);
}

#[test]
fn a_write_is_right_in_every_order() {
    let told = ["client.acknowledged", "client.refused", "node.registered"];
    all_right(Protocol::Write, 38_488, &told);
}

#[test]
fn repair_and_trim_are_right_in_every_order() {
    let told = ["node.lost", "repair.copied", "repair.given_up"];
    all_right(Protocol::Repair, 26_117, &told);
}

/// From every state in which processes have ended, or a link is cut, all nodes become registered again by
/// themselves once nothing more goes wrong.
#[test]
fn every_state_leads_back_to_a_registered_node() {
    let calm = Planted::default();
    let crash = Budget {
        node_crashes: 1,
        ..CALM
    };
    let cut = Budget {
        cuts: 1,
        ticks: 1,
        ..CALM
    };
    for budget in [crash, cut] {
        let mut cluster = cluster(Protocol::Registration, budget, calm).expect("it comes online");
        cluster.recovery = true;
        let outcome = search(cluster, None);
        if let Some(violation) = &outcome.violation {
            panic!("{violation}");
        }
        assert!(outcome.exhausted && outcome.states > 1_000, "{outcome:?}");
    }
}

const CALM: Budget = Budget {
    controller_crashes: 0,
    node_crashes: 0,
    breaks: 0,
    copies: 0,
    cuts: 0,
    ticks: 0,
    tries: 0,
};

#[test]
fn bugs_in_registration_and_fencing_are_found() {
    let finds = |bug, budget, symptom, within| {
        finds(Protocol::Registration, bug, budget, symptom, within);
    };
    finds("admit_duplicates", CALM, "both act as P1", 5);
    let crash = Budget {
        node_crashes: 1,
        ..CALM
    };
    finds("ignore_node_epoch", crash, "under a void epoch", 10);
    let crash = Budget {
        controller_crashes: 1,
        ticks: 1,
        ..CALM
    };
    finds("tell_before_synced", crash, "a loss of power", 5);
    finds("ignore_controller_epoch", crash, "under a void epoch", 9);
    let cut = Budget {
        cuts: 1,
        ticks: 3,
        ..CALM
    };
    finds("never_fence", cut, "both act as P1", 8);
    let copy = Budget {
        copies: 1,
        ticks: 2,
        ..CALM
    };
    finds("accept_replays", copy, "a beat seen before", 3);
}

#[test]
fn bugs_in_writes_and_repair_are_found() {
    let write = Budget { tries: 1, ..CALM };
    let finds_w = |bug, symptom, within| finds(Protocol::Write, bug, write, symptom, within);
    finds_w("store_skip_sync", "a loss of power of all hosts", 5);
    finds_w("store_ack_before_sync", "a loss of power of all hosts", 5);
    finds_w("tell_before_synced", "a loss of power", 13);
    finds_w("ack_before_sync", "a loss of power", 14);
    finds_w("release_before_synced", "a loss of power", 13);
    let repair = Budget {
        node_crashes: 1,
        ticks: 7,
        ..CALM
    };
    let finds_r = |bug, symptom, within| finds(Protocol::Repair, bug, repair, symptom, within);
    finds_r("count_copies_ordered", "are needed", 12);
    finds_r("give_up_absent", "are needed", 12);
    finds_r("release_before_synced", "are needed", 28);
}
