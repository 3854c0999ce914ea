use core::time::Duration;
use std::collections::VecDeque;

use super::*;
use crate::ids::{
    Alias, ClusterId, Endpoint, HostId, Incarnation, LogIndex, NodeEpoch, NodeId, Role, Site,
};
use crate::limits::Limits;
use crate::message::{Register, RegistrationRefusal, Witness};
use crate::process::ProcessIdentity;
use crate::time::Timestamp;

const T: Duration = Duration::from_secs(8);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn detector(members: usize) -> FailureDetector {
    let thresholds = Thresholds::from_timeout(T, Some(Duration::from_secs(300)));
    FailureDetector::new(members, thresholds, &Limits::default(), at(0))
}

/// Ticks from `from` to `to` as the controller does; returns what was concluded, and when.
fn run(detector: &mut FailureDetector, from: u64, to: u64) -> Vec<(u64, Slot, Verdict)> {
    let mut verdicts = Vec::new();
    for ms in (from..=to).step_by(200) {
        verdicts.extend(
            detector
                .tick(at(ms))
                .into_iter()
                .map(|(slot, v)| (ms, slot, v)),
        );
    }
    verdicts
}

#[test]
fn silence_is_suspected_at_three_eighths_and_offline_at_t() {
    let mut detector = detector(1);
    detector.watch(at(0), 0);
    let verdicts = run(&mut detector, 0, 9_000);
    assert_eq!(
        verdicts,
        [(3_000, 0, Verdict::Suspect), (8_000, 0, Verdict::Offline)]
    );
}

#[test]
fn an_answer_just_before_t_keeps_a_node_online() {
    let mut detector = detector(1);
    detector.watch(at(0), 0);
    run(&mut detector, 0, 7_800);
    assert!(detector.heard(at(7_900), 0), "it had been suspected");
    assert_eq!(detector.tick(at(8_000)), []);
    assert_eq!(detector.health(0), Health::Alive);
}

#[test]
fn an_offline_node_does_not_come_back_by_being_heard() {
    let mut detector = detector(1);
    detector.watch(at(0), 0);
    run(&mut detector, 0, 8_000);
    assert!(!detector.heard(at(8_100), 0));
    assert!(matches!(detector.health(0), Health::Offline { .. }));
}

#[test]
fn a_stall_of_the_judge_is_not_the_nodes_silence() {
    let mut detector = detector(2);
    detector.watch(at(0), 0);
    detector.watch(at(0), 1);
    run(&mut detector, 0, 2_000);
    // Sixty seconds in which the controller did not run.
    assert_eq!(detector.tick(at(62_000)), []);
    let verdicts = run(&mut detector, 62_200, 63_200);
    assert_eq!(
        verdicts,
        [(63_000, 0, Verdict::Suspect), (63_000, 1, Verdict::Suspect)]
    );
}

#[test]
fn lost_datagrams_freeze_the_step_to_offline() {
    let mut detector = detector(1);
    detector.watch(at(0), 0);
    run(&mut detector, 0, 7_800);
    detector.lost_datagrams(at(7_900));
    let verdicts = run(&mut detector, 8_000, 14_000);
    assert_eq!(verdicts, [(13_000, 0, Verdict::Offline)]);
}

#[test]
fn a_seen_exit_counts_at_once_and_only_once() {
    let mut detector = detector(1);
    detector.watch(at(0), 0);
    assert!(detector.exited(at(100), 0));
    assert!(!detector.exited(at(200), 0));
    assert!(matches!(detector.health(0), Health::Offline { .. }));
}

#[test]
fn lost_comes_after_the_wait_and_never_without_one() {
    let mut detector = detector(3);
    detector.watch(at(0), 0);
    detector.watch(at(0), 1);
    detector.watch(at(0), 2);
    for ms in (0..320_000).step_by(200) {
        detector.heard(at(ms), 1);
        detector.heard(at(ms), 2);
        let verdicts = detector.tick(at(ms));
        if verdicts.contains(&(0, Verdict::Lost)) {
            assert_eq!(ms, 308_000);
            return;
        }
    }
    panic!("a node that is silent for 300 s after it went offline is lost");
}

#[test]
fn many_losses_at_once_hold_back_the_verdict_lost() {
    let mut detector = detector(4);
    for slot in 0..4 {
        detector.watch(at(0), slot);
    }
    let verdicts = run(&mut detector, 0, 320_000);
    assert!(detector.mass_event(at(320_000)));
    assert!(
        !verdicts
            .iter()
            .any(|(_, _, verdict)| *verdict == Verdict::Lost),
        "{verdicts:?}"
    );
    let later = run(&mut detector, 320_200, 2_000_000);
    assert!(
        later
            .iter()
            .any(|(_, _, verdict)| *verdict == Verdict::Lost)
    );
}

#[test]
fn losses_far_apart_are_no_mass_event() {
    let mut detector = detector(4);
    for slot in 0..4 {
        detector.watch(at(0), slot);
    }
    assert!(detector.exited(at(0), 0));
    assert!(detector.exited(at(61_000), 1));
    assert!(!detector.mass_event(at(61_000)));
    assert!(detector.exited(at(62_000), 2));
    assert!(detector.mass_event(at(62_000)), "two within a minute");
}

#[test]
fn flapping_is_quarantined_for_longer_each_time() {
    let half_life = Duration::from_secs(600);
    let mut damper = FlapDamper::default();
    assert!(!damper.departed(at(0), half_life));
    assert!(!damper.departed(at(15_000), half_life));
    assert!(damper.departed(at(30_000), half_life));
    assert!(damper.is_quarantined(at(89_000)));
    assert!(!damper.is_quarantined(at(91_000)));
    assert!(damper.departed(at(100_000), half_life));
    assert!(damper.is_quarantined(at(219_000)), "twice as long");
    assert!(!damper.is_quarantined(at(221_000)));
}

#[test]
fn a_steady_node_is_forgiven() {
    let half_life = Duration::from_secs(600);
    let mut damper = FlapDamper::default();
    for hour in 0..20 {
        assert!(
            !damper.departed(at(hour * 3_600_000), half_life),
            "hour {hour}"
        );
    }
}

// ---- registration ----

const CLUSTER: ClusterId = ClusterId::new([7; 16]);
const NODE: NodeId = NodeId::new([1; 16]);

fn site(alias: &str) -> Site {
    Site {
        endpoint: Endpoint {
            host: "10.1.1.1".to_owned(),
            port: 8961,
        },
        alias: Alias::new(alias).unwrap(),
    }
}

fn ask(incarnation: u8, attempt: u64) -> Register {
    Register {
        role: Role::DataNode,
        site: site("P1-NODE1"),
        incarnation: Incarnation::new([incarnation; 16]),
        attempt,
        host: HostId::new([9; 16]),
        controller_site: site("master"),
        lan_cluster: true,
        build: "test".to_owned(),
        process: ProcessIdentity {
            pid: 100 + u32::from(incarnation),
            start_ticks: 1,
            boot_id: "boot".to_owned(),
            executable: (1, 1),
        },
        witness: Witness::default(),
    }
}

/// Judges with nothing known against the asker.
fn judge(registry: &Registry, ask: &Register, holder_lives: bool) -> Admission {
    judge_as(registry, ask, NODE, holder_lives, 0)
}

fn judge_as(
    registry: &Registry,
    ask: &Register,
    node: NodeId,
    holder_lives: bool,
    holder_chunks: u64,
) -> Admission {
    let member = site("P1-NODE1");
    let around = Circumstances {
        cluster: CLUSTER,
        claimed_cluster: Some(CLUSTER),
        node,
        member: Some((&member, Role::DataNode)),
        aliases: &[],
        holder_lives,
        holder_chunks,
        orphaned: false,
    };
    registry.judge(ask, &around)
}

fn granted(registry: &mut Registry, index: u64, ask: &Register) -> NodeEpoch {
    let Admission::Grant(record) = judge(registry, ask, false) else {
        panic!("{ask:?} should be granted");
    };
    registry.apply(LogIndex(index), &record, 16);
    registry.get(&ask.site.alias).unwrap().epoch
}

fn refusal(admission: &Admission) -> Option<RegistrationRefusal> {
    match admission {
        Admission::Refuse(refusal, _) => Some(*refusal),
        Admission::Known(_) | Admission::Grant(_) => None,
    }
}

#[test]
fn the_same_pair_gets_the_same_epoch_and_a_higher_attempt_a_new_one() {
    let mut registry = Registry::default();
    let first = granted(&mut registry, 5, &ask(1, 1));
    assert_eq!(judge(&registry, &ask(1, 1), true), Admission::Known(first));
    let second = granted(&mut registry, 6, &ask(1, 2));
    assert!(second > first);
    let late = judge(&registry, &ask(1, 1), false);
    assert_eq!(refusal(&late), Some(RegistrationRefusal::StaleAttempt));
}

#[test]
fn a_late_copy_of_an_old_registration_never_wins() {
    let mut registry = Registry::default();
    granted(&mut registry, 5, &ask(1, 1));
    granted(&mut registry, 6, &ask(2, 1));
    // Even when the newer process is dead, the older one's bytes must not bring it back.
    let late = judge(&registry, &ask(1, 7), false);
    assert_eq!(refusal(&late), Some(RegistrationRefusal::StaleIncarnation));
}

#[test]
fn the_first_holder_keeps_the_alias_while_it_lives() {
    let mut registry = Registry::default();
    granted(&mut registry, 5, &ask(1, 1));
    let second = judge(&registry, &ask(2, 1), true);
    assert_eq!(refusal(&second), Some(RegistrationRefusal::DuplicateAlias));
}

#[test]
fn an_alias_with_chunks_is_not_given_to_another_disk() {
    let mut registry = Registry::default();
    granted(&mut registry, 5, &ask(1, 1));
    let stranger = NodeId::new([2; 16]);
    let with_chunks = judge_as(&registry, &ask(2, 1), stranger, false, 812);
    assert_eq!(
        refusal(&with_chunks),
        Some(RegistrationRefusal::IdentityMismatch)
    );
    let without = judge_as(&registry, &ask(2, 1), stranger, false, 0);
    assert!(matches!(without, Admission::Grant(_)));
}

#[test]
fn a_replaced_identity_is_refused_for_ever_and_the_next_one_has_the_alias() {
    let mut registry = Registry::default();
    granted(&mut registry, 5, &ask(1, 1));
    let alias = site("P1-NODE1").alias;
    assert!(!registry.is_vacant(&alias));
    let stranger = NodeId::new([2; 16]);
    let replaced = |node| NodeReplaced {
        alias: alias.clone(),
        node,
    };
    registry.replace(LogIndex(7), &replaced(stranger));
    assert!(
        !registry.is_vacant(&alias),
        "it is not the stranger's to give"
    );
    registry.replace(LogIndex(8), &replaced(NODE));
    assert!(registry.is_vacant(&alias));

    // The same process once more, a retry, and a later process with the old home.
    for ask in [ask(1, 1), ask(1, 2), ask(3, 1)] {
        let back = judge(&registry, &ask, false);
        let Admission::Refuse(RegistrationRefusal::IdentityMismatch, text) = back else {
            panic!("{back:?}");
        };
        assert!(
            text.contains("replaced") && text.contains("since log index 8"),
            "{text}"
        );
    }
    // Neither chunks nor a process that seems to live stand in the way any more.
    let Admission::Grant(record) = judge_as(&registry, &ask(2, 1), stranger, true, 812) else {
        panic!("the next one has the alias");
    };
    registry.apply(LogIndex(9), &record, 16);
    assert!(!registry.is_vacant(&alias));
    let third = judge_as(&registry, &ask(4, 1), NodeId::new([4; 16]), false, 3);
    assert_eq!(refusal(&third), Some(RegistrationRefusal::IdentityMismatch));
    registry.replace(LogIndex(10), &replaced(NODE));
    let old = judge(&registry, &ask(1, 1), false);
    let Admission::Refuse(_, text) = old else {
        panic!("{old:?}");
    };
    assert!(
        text.contains("since log index 8"),
        "the first time counts: {text}"
    );

    let bytes = crate::wire::codec::encode(&registry);
    let read: Registry = crate::wire::codec::decode("Registry", &bytes).unwrap();
    assert_eq!(read, registry, "a checkpoint keeps it");
}

#[test]
fn a_misspelt_alias_is_named_with_the_nearest_one() {
    let registry = Registry::default();
    let mut ask = ask(1, 1);
    ask.site = site("p1-NODE1");
    let around = Circumstances {
        cluster: CLUSTER,
        claimed_cluster: None,
        node: NODE,
        member: None,
        aliases: &[Alias::new("P1-NODE1").unwrap()],
        holder_lives: false,
        holder_chunks: 0,
        orphaned: false,
    };
    let Admission::Refuse(RegistrationRefusal::UnknownAlias, text) = registry.judge(&ask, &around)
    else {
        panic!("an alias that is not in the nodes file is refused");
    };
    assert!(text.contains("did you mean `P1-NODE1`?"), "{text}");
}

#[test]
fn another_cluster_or_another_site_is_refused() {
    let registry = Registry::default();
    let member = site("P1-NODE1");
    let around = Circumstances {
        cluster: CLUSTER,
        claimed_cluster: Some(ClusterId::new([8; 16])),
        node: NODE,
        member: Some((&member, Role::DataNode)),
        aliases: &[],
        holder_lives: false,
        holder_chunks: 0,
        orphaned: false,
    };
    let foreign = registry.judge(&ask(1, 1), &around);
    assert_eq!(refusal(&foreign), Some(RegistrationRefusal::WrongCluster));
    let as_agent = Circumstances {
        claimed_cluster: None,
        member: Some((&member, Role::Agent)),
        ..around
    };
    let other_mode = registry.judge(&ask(1, 1), &as_agent);
    assert_eq!(refusal(&other_mode), Some(RegistrationRefusal::WrongSite));
}

#[test]
fn only_so_many_retired_incarnations_are_kept_newest_first() {
    let mut registry = Registry::default();
    for n in 0..40 {
        granted(&mut registry, 5 + u64::from(n), &ask(n, 1));
    }
    let retired: &VecDeque<Incarnation> = &registry.get(&site("P1-NODE1").alias).unwrap().retired;
    assert_eq!(retired.len(), 16);
    assert_eq!(retired.back(), Some(&Incarnation::new([38; 16])));
}

#[test]
fn a_node_that_was_removed_is_refused_and_its_name_is_free() {
    let (old, new) = (NodeId::new([1; 16]), NodeId::new([2; 16]));
    let mut registry = Registry::default();
    let Admission::Grant(record) = judge_as(&registry, &ask(1, 1), old, false, 0) else {
        panic!("the first one is let in");
    };
    registry.apply(LogIndex(5), &record, 16);
    let alias = Alias::new("P1-NODE1").unwrap();
    let removed = |node| NodeRemoved {
        alias: alias.clone(),
        node,
        by: "alice".to_owned(),
        lost: 0,
    };
    registry.remove(LogIndex(6), &removed(new));
    assert_eq!(registry.removed_by(&alias), None, "that was another");
    registry.remove(LogIndex(7), &removed(old));
    assert!(registry.get(&alias).is_none() && registry.iter().count() == 0);
    assert_eq!(registry.removed_by(&alias), Some(LogIndex(7)));
    assert_eq!(registry.former_alias(old), Some(&alias));
    let refused = judge_as(&registry, &ask(1, 2), old, false, 0);
    let Admission::Refuse(RegistrationRefusal::IdentityMismatch, text) = &refused else {
        panic!("it is let in: {refused:?}");
    };
    assert!(
        text.contains("removed by an operator, since log index 7"),
        "{text}"
    );
    let Admission::Grant(record) = judge_as(&registry, &ask(2, 1), new, false, 0) else {
        panic!("a new node is not let in");
    };
    registry.apply(LogIndex(8), &record, 16);
    assert_eq!(registry.removed_by(&alias), None, "it is another's now");
    let refused = judge_as(&registry, &ask(1, 3), old, false, 0);
    assert_eq!(
        refusal(&refused),
        Some(RegistrationRefusal::IdentityMismatch)
    );
}

#[test]
fn the_name_of_an_orphan_is_given_to_nobody_else() {
    let mut registry = Registry::default();
    let old = NodeId::new([1; 16]);
    let Admission::Grant(record) = judge_as(&registry, &ask(1, 1), old, false, 0) else {
        panic!("the first one is let in");
    };
    registry.apply(LogIndex(5), &record, 16);
    let member = site("P1-NODE1");
    let around = |node| Circumstances {
        cluster: ClusterId::new([9; 16]),
        claimed_cluster: None,
        node,
        member: Some((&member, Role::DataNode)),
        aliases: &[],
        holder_lives: false,
        holder_chunks: 0,
        orphaned: true,
    };
    let new = registry.judge(&ask(2, 1), &around(NodeId::new([2; 16])));
    assert_eq!(refusal(&new), Some(RegistrationRefusal::UnknownAlias));
    let same = registry.judge(&ask(2, 1), &around(old));
    assert!(matches!(same, Admission::Grant(_)), "{same:?}");
}
