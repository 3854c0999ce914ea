use std::panic;
use std::time::Duration;

use vaquita_core::disk::{DiskBatch, DiskOp, FileName, Lane};
use vaquita_core::event::Event;
use vaquita_core::ids::DiskTicket;
use vaquita_node::env::{Disk, OpenDiskError};

use super::diary::Diary;
use super::disk::TurmoilDisk;
use super::program;
use super::shared::{Shared, lock};
use super::{ALL, CONTROLLER, Cluster, UdpFaults, panics, site};

fn apply(disk: &TurmoilDisk, ops: Vec<DiskOp>) {
    let batch = DiskBatch {
        ticket: DiskTicket(1),
        lane: Lane::Foreground,
        ops,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(disk.apply(batch)).unwrap();
}

fn names(disk: &TurmoilDisk) -> Vec<(String, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let listing = runtime.block_on(disk.list()).unwrap();
    let files = listing.files.into_iter();
    files.map(|(name, len)| (name.to_string(), len)).collect()
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let shared = Shared::new(1);
    let disk = TurmoilDisk::open(shared.store("/d"), "/d".to_owned()).unwrap();
    let file = |name| FileName::new(name).unwrap();
    let append = |name, offset, bytes: &[u8]| DiskOp::Append {
        file: file(name),
        offset,
        bytes: bytes.to_vec(),
    };
    apply(
        &disk,
        vec![
            DiskOp::CreateNew { file: file("kept") },
            append("kept", 0, b"abc"),
            DiskOp::Sync { file: file("kept") },
            DiskOp::SyncDir,
            append("kept", 3, b"def"),
            DiskOp::CreateNew {
                file: file("nameless"),
            },
            append("nameless", 0, b"xyz"),
            DiskOp::Sync {
                file: file("nameless"),
            },
        ],
    );
    assert_eq!(
        names(&disk),
        [("kept".to_owned(), 6), ("nameless".to_owned(), 3)]
    );
    lock(&shared.store("/d")).power_cut();
    assert_eq!(names(&disk), [("kept".to_owned(), 3)]);
}

#[test]
fn a_rename_counts_after_a_power_cut_only_if_the_directory_was_synced() {
    let shared = Shared::new(1);
    let disk = TurmoilDisk::open(shared.store("/d"), "/d".to_owned()).unwrap();
    let file = FileName::new("state").unwrap();
    let mut batch = DiskBatch::replace_file(DiskTicket(1), &file, b"old".to_vec());
    apply(&disk, batch.ops);
    batch = DiskBatch::replace_file(DiskTicket(2), &file, b"newer".to_vec());
    let mut ops = batch.ops;
    assert_eq!(ops.pop(), Some(DiskOp::SyncDir));
    apply(&disk, ops);
    assert_eq!(names(&disk), [("state".to_owned(), 5)]);
    lock(&shared.store("/d")).power_cut();
    assert_eq!(names(&disk), [("state".to_owned(), 3)]);
}

#[test]
fn a_directory_belongs_to_one_process_at_a_time() {
    let shared = Shared::new(1);
    let open = || TurmoilDisk::open(shared.store("/d"), "/d".to_owned());
    let first = open().unwrap();
    let copy = first.clone();
    drop(first);
    assert!(matches!(open(), Err(OpenDiskError::InUse { .. })));
    drop(copy);
    open().unwrap();
}

#[test]
fn datagrams_suffer_as_often_as_asked() {
    let shared = Shared::new(7);
    shared.state().faults = UdpFaults {
        lost: ALL / 4,
        doubled: ALL / 10,
        damaged: ALL / 10,
    };
    let (mut none, mut two, mut wrong) = (0, 0, 0);
    for _ in 0..10_000 {
        let copies = shared.suffer(b"twelve bytes");
        none += u32::from(copies.is_empty());
        two += u32::from(copies.len() == 2);
        wrong += u32::from(copies.first().is_some_and(|copy| copy != b"twelve bytes"));
    }
    assert!((2_300..2_700).contains(&none), "{none} lost");
    assert!((650..850).contains(&two), "{two} doubled");
    assert!((650..850).contains(&wrong), "{wrong} damaged");
}

#[test]
fn the_hash_tells_apart_what_happened_when_and_where() {
    let hash = |entries: &[(u64, &str, &str)]| {
        let mut diary = Diary::default();
        for &(millis, host, message) in entries {
            diary.note(
                Duration::from_millis(millis),
                host,
                &Event::info("name", message),
            );
        }
        diary.hash()
    };
    let base = hash(&[(1, "a", "x"), (2, "b", "y")]);
    assert_eq!(base, hash(&[(1, "a", "x"), (2, "b", "y")]));
    assert_ne!(base, hash(&[(2, "b", "y"), (1, "a", "x")]), "order");
    assert_ne!(base, hash(&[(1, "a", "x"), (3, "b", "y")]), "time");
    assert_ne!(base, hash(&[(1, "a", "x"), (2, "by", "")]), "place");
}

#[test]
fn a_data_node_takes_its_settings_from_what_the_controller_sends() {
    let wrong = site("elsewhere");
    let mut node = program::data_node("P1-NODE1", 1, &wrong, None, &Default::default());
    let text = program::node_cfg(&site(CONTROLLER), &site("P1-agent"), false);
    node.configure(&text).unwrap();
    let facts = node.facts_mut().unwrap();
    assert_eq!(facts.controller_site, site(CONTROLLER));
    assert!(!facts.lan_cluster);
    let error = node.configure("controllerSite=nonsense\n").unwrap_err();
    assert_eq!(error, "`nonsense` is not host:port:alias");
}

#[test]
fn a_panic_that_somebody_catches_is_counted() {
    let before = panics::on_this_thread();
    let caught = panic::catch_unwind(|| panic!("meant to be"));
    assert!(caught.is_err());
    assert_eq!(panics::on_this_thread(), before + 1);
}

#[test]
fn a_scenario_that_waits_in_vain_fails_with_all_that_is_needed_to_repeat_it() {
    let mut cluster = Cluster::of(1).seed(77).build();
    cluster.start(CONTROLLER);
    cluster.run_for(Duration::from_secs(1));
    let report = cluster.failure_report();
    let seed = cluster.seed;
    for part in [
        "start master".to_owned(),
        format!("seed       {seed}\n"),
        format!("trace hash {:016x}\n", cluster.trace_hash()),
        format!("VAQUITA_SEED={seed} cargo test -p simtests"),
        "a_scenario_that_waits_in_vain_fails_with_all_that_is_needed_to_repeat_it".to_owned(),
    ] {
        assert!(report.contains(&part), "{part}\nin\n{report}");
    }
}
