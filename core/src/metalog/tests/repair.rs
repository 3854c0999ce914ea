//! Giving up the end of a damaged log.

use super::choices::for_all;
use super::disk::{Crash, ModelDisk};
use super::recovery::home;
use super::rig::{CLUSTER, Rig, State, checkpoint_file, segment_file};
use crate::controller::{HomeRepairRefusal, home_with_log, inspect_home, plan_home_repair};
use crate::disk::FileName;
use crate::ids::{LineageId, LogIndex};
use crate::metalog::fuzz::{Files, apply};
use crate::metalog::{Expected, RepairRefusal, plan_repair, recover};

const NEXT: LineageId = LineageId::new([0xcc; 16]);

fn expected(durable: LogIndex) -> Expected {
    Expected {
        cluster: CLUSTER,
        durable: Some(durable),
    }
}

/// The last record behind which `files` can be cut.
fn last_good(files: &Files) -> LogIndex {
    match plan_repair(files, CLUSTER, LogIndex(1000), NEXT) {
        Err(RepairRefusal::NotThatFar { last_good, .. }) => last_good,
        Err(_) => LogIndex(0),
        Ok(_) => panic!("a log of 1000 records"),
    }
}

/// Holds a log to ending at `upto` with the records that were written.
fn assert_ends_at(rig: &Rig, files: &Files, upto: LogIndex) {
    let recovered = recover(files, &expected(upto)).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(recovered.end.last_index(), upto);
    let state = State::replayed(&rig.history, recovered.checkpoint, &recovered.records, upto);
    assert_eq!(state, State::after(&rig.history, upto), "records differ");
}

/// Every way to damage one file of the log that makes it be refused.
fn damaged_homes(rig: &Rig, good: &Files) -> Vec<Files> {
    let mut homes = Vec::new();
    for (name, bytes) in good {
        let mut without = good.clone();
        without.remove(name);
        homes.push(without);
        for at in 0..bytes.len() {
            let mut changed = good.clone();
            changed.get_mut(name).expect("it is there")[at] ^= 0x10;
            homes.push(changed);
        }
        for len in (0..bytes.len()).step_by(17) {
            let mut cut = good.clone();
            cut.get_mut(name).expect("it is there").truncate(len);
            homes.push(cut);
        }
    }
    homes.retain(|files| recover(files, &expected(rig.acked)).is_err());
    homes
}

#[test]
fn a_damaged_log_is_cut_behind_any_record_that_can_be_read_and_nothing_is_thrown_away() {
    let (rig, good) = home();
    let homes = damaged_homes(&rig, &good);
    assert!(homes.len() > 300, "{} ways of damage", homes.len());
    let mut repaired = 0;
    for files in homes {
        let last_good = last_good(&files);
        for upto in 1..=rig.acked.0 {
            let upto = LogIndex(upto);
            let repair = match plan_repair(&files, CLUSTER, upto, NEXT) {
                Ok(repair) => repair,
                Err(refusal) => {
                    let too_early = matches!(refusal, RepairRefusal::TooEarly { .. });
                    assert!(too_early || upto != last_good, "{refusal}");
                    continue;
                }
            };
            assert!(upto <= last_good, "{upto} is behind {last_good}");
            let mut left = files.clone();
            apply(&mut left, &repair.ops);
            assert_ends_at(&rig, &left, upto);
            for lost in &repair.given_up {
                let was = &files[&lost.file][lost.from..];
                assert_eq!(left[&lost.kept_as], was, "kept as it was");
                assert_eq!(was.len(), lost.bytes);
            }
            repaired += 1;
        }
    }
    assert!(repaired > 1000, "{repaired} repairs");
}

#[test]
fn a_log_cannot_end_where_it_cannot_be_read() {
    let (_, mut files) = home();
    files.get_mut(&segment_file(9)).expect("it is there")[70] ^= 1;
    let refusal = plan_repair(&files, CLUSTER, LogIndex(10), NEXT).unwrap_err();
    let RepairRefusal::NotThatFar { last_good, .. } = refusal else {
        panic!("{refusal}");
    };
    assert_eq!(last_good, LogIndex(8));
    let text = refusal.to_string();
    assert!(
        text.contains("record 10") && text.contains("is 8"),
        "{text}"
    );
    assert_eq!(
        plan_repair(&files, CLUSTER, LogIndex(0), NEXT).unwrap_err(),
        RepairRefusal::NothingLeft
    );
}

#[test]
fn a_log_of_which_only_a_checkpoint_is_left_goes_on_behind_it() {
    let (rig, mut files) = home();
    files.retain(|name, _| *name == checkpoint_file(LogIndex(8)));
    assert_eq!(last_good(&files), LogIndex(8));
    let repair = plan_repair(&files, CLUSTER, LogIndex(8), NEXT).unwrap();
    assert!(repair.given_up.is_empty());
    apply(&mut files, &repair.ops);
    assert_ends_at(&rig, &files, LogIndex(8));
}

/// What a start of a controller would make of a home: the last record, or nothing.
fn taken(files: &Files) -> Option<LogIndex> {
    let report = inspect_home(files).expect("a home");
    report.verdict.ok().filter(|_| !report.unfinished)
}

#[test]
fn a_home_is_refused_or_repaired_wherever_the_repair_is_cut_short() {
    let (rig, good) = home();
    let mut crashes = 0;
    for (number, files) in damaged_homes(&rig, &good)
        .into_iter()
        .enumerate()
        .step_by(7)
    {
        let files = home_with_log(files, CLUSTER, rig.acked);
        let last_good = last_good(&files);
        let upto = LogIndex(last_good.0.saturating_sub(number as u64 % 3));
        let Ok(repair) = plan_home_repair(&files, upto, NEXT) else {
            continue;
        };
        let mut disk = ModelDisk::of(&files);
        let mut done = false;
        for (at, op) in repair.ops.iter().enumerate() {
            disk.carry_out(op).expect("there is space");
            let mut check = |files: &Files, certain: bool| {
                match taken(files) {
                    Some(last) => assert_eq!(last, upto, "op {at}: {op:?}"),
                    None => {
                        assert!(!certain, "repaired, and refused again at op {at}: {op:?}");
                        // Whoever finds it so runs the repair again.
                        let again = LineageId::new([0xdd; 16]);
                        let repair = plan_home_repair(files, upto, again)
                            .unwrap_or_else(|refusal| panic!("op {at}: {op:?}: {refusal}"));
                        let mut files = files.clone();
                        apply(&mut files, &repair.ops);
                        assert_eq!(taken(&files), Some(upto));
                    }
                }
                crashes += 1;
            };
            check(&disk.contents(), done);
            for_all(4, at as u64, |choices| {
                check(&disk.crash(Crash::OldOrNew, choices).contents(), false);
            });
            done = done || taken(&disk.contents()).is_some();
        }
        assert!(done, "repaired in the end");
        assert_ends_at(&rig, &disk.contents(), upto);
        let left = disk.contents();
        assert!(!left.contains_key(&FileName::fixed("repair.id")));
        let lineage = inspect_home(&left).expect("a home").lineage;
        assert_eq!(lineage, NEXT);
    }
    assert!(crashes > 1000, "{crashes} crashes");
}

#[test]
fn a_home_in_order_is_not_repaired_and_no_home_is_said_to_be_none() {
    let (rig, good) = home();
    let files = home_with_log(good, CLUSTER, rig.acked);
    assert_eq!(
        plan_home_repair(&files, LogIndex(5), NEXT),
        Err(HomeRepairRefusal::InOrder { last: rig.acked })
    );
    assert_eq!(
        inspect_home(&Files::new()).unwrap_err(),
        HomeRepairRefusal::NoHome
    );
}
