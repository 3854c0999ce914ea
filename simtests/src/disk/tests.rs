use vaquita_core::disk::DiskFaultKind;

use super::*;
use crate::streams::{Rate, Stream, Streams, index};

const TEARS: [Tear; 3] = [Tear::Prefix, Tear::Subset, Tear::Garbage];

fn name(text: &'static str) -> FileName {
    FileName::fixed(text)
}

fn create(file: &'static str) -> DiskOp {
    DiskOp::CreateNew { file: name(file) }
}

fn append(file: &'static str, offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Append {
        file: name(file),
        offset,
        bytes: bytes.to_vec(),
    }
}

fn sync(file: &'static str) -> DiskOp {
    DiskOp::Sync { file: name(file) }
}

fn draw(number: u64) -> Draw {
    Streams::new(11).at(Stream::PowerCut, 0, number)
}

/// Carries out a batch to its end.
fn run(disk: &mut SimDisk, ops: Vec<DiskOp>) -> Result<(), DiskFault> {
    disk.submit(DiskBatch {
        ticket: DiskTicket(7),
        lane: Lane::Foreground,
        ops,
    });
    let mut number = 1_000_000;
    loop {
        number += 1;
        let mut draw = draw(number);
        disk.begin(Lane::Foreground, &mut draw)
            .expect("the lane is idle and has a batch");
        match disk.finish(Lane::Foreground, &mut draw) {
            Some(Progress::Done(ticket, result)) => {
                assert_eq!(ticket, DiskTicket(7));
                return result;
            }
            Some(Progress::More) => {}
            None => panic!("an operation was begun and does not end"),
        }
    }
}

fn disk(tear: Tear) -> SimDisk {
    SimDisk::new(DiskProfile {
        tear,
        ..DiskProfile::default()
    })
}

/// A disk with `log` holding 700 durable bytes of 1, and then 3,000 unsynced ones of 2.
fn half_synced(tear: Tear) -> SimDisk {
    let mut disk = disk(tear);
    let ops = vec![
        create("log"),
        append("log", 0, &[1; 700]),
        sync("log"),
        DiskOp::SyncDir,
    ];
    run(&mut disk, ops).unwrap();
    run(&mut disk, vec![append("log", 700, &[2; 3_000])]).unwrap();
    disk
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for tear in TEARS {
        for number in 0..300 {
            let mut disk = half_synced(tear);
            disk.power_cut(SimTime::ZERO, &mut draw(number));
            let left = disk.read(&name("log")).unwrap();
            assert!(
                left.len() >= 700 && left[..700] == [1; 700],
                "{tear:?} {number}"
            );
            assert_eq!(disk.incidents(), []);
        }
    }
}

#[test]
fn what_was_not_synced_is_lost_kept_or_torn() {
    for tear in TEARS {
        let left: Vec<Vec<u8>> = (0..300)
            .map(|number| {
                let mut disk = half_synced(tear);
                disk.power_cut(SimTime::ZERO, &mut draw(number));
                disk.read(&name("log")).unwrap()[700..].to_vec()
            })
            .collect();
        assert!(
            left.iter().any(Vec::is_empty),
            "{tear:?} never loses everything"
        );
        let whole = |bytes: &&Vec<u8>| bytes.len() == 3_000 && bytes.iter().all(|byte| *byte == 2);
        let kept = left.iter().find(whole);
        assert!(
            kept.is_some() || tear == Tear::Garbage,
            "{tear:?} never keeps everything"
        );
        let torn = |bytes: &&Vec<u8>| bytes.contains(&2) && bytes.contains(&0);
        assert!(
            left.iter().any(|bytes| torn(&bytes)),
            "{tear:?} never tears"
        );
        // New bytes behind old ones show that sectors were written out of order.
        let out_of_order = |bytes: &&Vec<u8>| {
            let first_old = bytes.iter().position(|byte| *byte == 0);
            first_old.is_some_and(|at| bytes[at..].contains(&2))
        };
        assert_eq!(
            left.iter().any(|bytes| out_of_order(&bytes)),
            tear != Tear::Prefix,
            "{tear:?} and the order of sectors"
        );
        let invented = left.iter().flatten().any(|byte| *byte > 2);
        assert_eq!(
            invented,
            tear == Tear::Garbage,
            "{tear:?} and bytes that nobody wrote"
        );
    }
}

#[test]
fn sectors_are_torn_at_their_borders() {
    for number in 0..300 {
        let mut disk = half_synced(Tear::Subset);
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        let left = disk.read(&name("log")).unwrap();
        for (at, pair) in left.windows(2).enumerate().skip(700) {
            assert!(
                pair[0] == pair[1] || (at + 1).is_multiple_of(SECTOR),
                "{number}: at {at}"
            );
        }
    }
}

#[test]
fn a_name_is_certain_only_after_a_sync_of_the_directory() {
    let (mut gone, mut kept) = (0, 0);
    for number in 0..100 {
        let mut disk = disk(Tear::Subset);
        run(
            &mut disk,
            vec![create("a"), append("a", 0, b"x"), sync("a")],
        )
        .unwrap();
        assert!(!disk.name_promised(&name("a")));
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        match disk.read(&name("a")) {
            None => gone += 1,
            Some(bytes) => {
                assert_eq!(bytes, b"x", "synced bytes are there if the name is");
                kept += 1;
            }
        }
    }
    assert!(gone > 10 && kept > 10, "{gone} gone, {kept} kept");
    for number in 0..100 {
        let mut disk = disk(Tear::Subset);
        run(&mut disk, vec![create("a"), DiskOp::SyncDir]).unwrap();
        assert!(disk.name_promised(&name("a")));
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        assert!(disk.read(&name("a")).is_some());
    }
}

#[test]
fn replacing_a_file_leaves_the_old_one_or_the_new_one() {
    for tear in TEARS {
        let mut seen = [false; 2];
        for number in 0..100 {
            for stop in 1..5 {
                let mut disk = disk(tear);
                disk.install(name("state"), b"old".to_vec());
                let batch = DiskBatch::replace_file(DiskTicket(7), &name("state"), b"new".to_vec());
                run(&mut disk, batch.ops[..stop].to_vec()).unwrap();
                disk.power_cut(SimTime::ZERO, &mut draw(number));
                let left = disk.read(&name("state")).unwrap();
                assert!(left == b"old" || left == b"new", "{tear:?}: {left:?}");
                seen[usize::from(left == b"new")] = true;
            }
        }
        assert_eq!(seen, [true; 2], "{tear:?}: both happen");
    }
}

#[test]
fn a_failed_sync_is_never_made_good_by_the_next_one() {
    let mut lost = 0;
    for number in 0..100 {
        let mut disk = disk(Tear::Subset);
        disk.install(name("log"), vec![1; 512]);
        disk.profile.failed_sync = FailedSync::KeepsCache;
        run(&mut disk, vec![append("log", 512, &[2; 2_048])]).unwrap();
        disk.fail_next_sync = true;
        let fault = run(&mut disk, vec![sync("log")]).unwrap_err();
        assert_eq!((fault.kind, fault.failed_op), (DiskFaultKind::Io, 0));
        assert_eq!(
            disk.read(&name("log")).unwrap().len(),
            2_560,
            "the cache shows what was written"
        );
        run(&mut disk, vec![sync("log")]).unwrap();
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        if disk.read(&name("log")).unwrap() != [vec![1; 512], vec![2; 2_048]].concat() {
            lost += 1;
            assert!(disk.is_scarred(&name("log")));
            let incident = &disk.incidents()[0];
            assert!(
                matches!(incident.what, IncidentKind::PromisedBytesLost { from } if from >= 512)
            );
        }
    }
    assert!(
        lost > 50,
        "only {lost} of 100 runs lost what the failed sync had not written"
    );
}

#[test]
fn a_failed_sync_can_take_the_bytes_out_of_the_cache() {
    let mut disk = disk(Tear::Prefix);
    disk.profile.failed_sync = FailedSync::DropsCache;
    disk.install(name("log"), vec![1; 512]);
    run(&mut disk, vec![append("log", 512, &[2; 4_096])]).unwrap();
    disk.fail_next_sync = true;
    run(&mut disk, vec![sync("log")]).unwrap_err();
    let read = disk.read(&name("log")).unwrap().to_vec();
    disk.power_cut(SimTime::ZERO, &mut draw(0));
    assert_eq!(
        disk.read(&name("log")).unwrap(),
        read,
        "what is read is what the platter has"
    );
}

#[test]
fn a_cache_that_is_dropped_shows_what_a_failed_sync_left_behind() {
    let mut disk = disk(Tear::Prefix);
    disk.install(name("log"), vec![1; 512]);
    run(&mut disk, vec![append("log", 512, &[2; 4_096])]).unwrap();
    disk.drop_clean_cache();
    assert_eq!(
        disk.read(&name("log")).unwrap().len(),
        4_608,
        "dirty bytes stay"
    );
    disk.fail_next_sync = true;
    run(&mut disk, vec![sync("log")]).unwrap_err();
    disk.drop_clean_cache();
    let read = disk.read(&name("log")).unwrap().to_vec();
    disk.power_cut(SimTime::ZERO, &mut draw(0));
    assert_eq!(disk.read(&name("log")).unwrap(), read);
    assert_eq!(disk.incidents(), []);
}

#[test]
fn a_lying_sync_shows_at_the_next_power_cut() {
    let mut disk = disk(Tear::Prefix);
    disk.profile.lies = true;
    run(
        &mut disk,
        vec![
            create("log"),
            append("log", 0, &[3; 2_000]),
            sync("log"),
            DiskOp::SyncDir,
        ],
    )
    .unwrap();
    assert_eq!(disk.promised(&name("log")), Some([3; 2_000].as_slice()));
    let lost = (0..50).any(|number| {
        let mut disk = half_synced(Tear::Prefix);
        disk.profile.lies = true;
        run(&mut disk, vec![sync("log")]).unwrap();
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        disk.incidents().iter().any(|incident| {
            matches!(incident.what, IncidentKind::PromisedBytesLost { from } if from >= 700)
        })
    });
    assert!(
        lost,
        "a sync that does nothing lost nothing in 50 power cuts"
    );
}

#[test]
fn a_full_disk_takes_a_part_and_says_so() {
    let mut disk = disk(Tear::Subset);
    disk.profile.capacity = 1_000;
    run(&mut disk, vec![create("log"), append("log", 0, &[1; 900])]).unwrap();
    let fault = run(&mut disk, vec![append("log", 900, &[2; 200]), sync("log")]).unwrap_err();
    assert_eq!((fault.kind, fault.failed_op), (DiskFaultKind::NoSpace, 0));
    let len = disk.read(&name("log")).unwrap().len();
    assert!((900..=1_000).contains(&len));
    run(
        &mut disk,
        vec![
            DiskOp::Truncate {
                file: name("log"),
                len: 100,
            },
            append("log", 100, &[3; 900]),
        ],
    )
    .unwrap();
}

#[test]
fn a_batch_ends_at_its_first_failure_and_the_next_one_runs() {
    let mut disk = disk(Tear::Subset);
    disk.install(name("a"), b"a".to_vec());
    let fault = run(&mut disk, vec![create("b"), create("a"), create("c")]).unwrap_err();
    assert_eq!((fault.failed_op, fault.op.as_str()), (1, "create a"));
    assert!(disk.read(&name("b")).is_some() && disk.read(&name("c")).is_none());
    run(&mut disk, vec![create("c")]).unwrap();
    for (ops, words) in [
        (vec![append("a", 5, b"x")], "the file has 1 bytes"),
        (vec![append("d", 0, b"x")], "No such file"),
        (vec![sync("d")], "No such file"),
        (
            vec![DiskOp::Rename {
                from: name("d"),
                to: name("e"),
            }],
            "No such file",
        ),
        (
            vec![DiskOp::Truncate {
                file: name("a"),
                len: 9,
            }],
            "the file has 1 bytes",
        ),
    ] {
        let fault = run(&mut disk, ops).unwrap_err();
        assert!(fault.message.contains(words), "{fault}");
    }
    run(&mut disk, vec![DiskOp::Remove { file: name("d") }]).unwrap();
}

#[test]
fn the_lanes_do_not_wait_for_each_other_and_each_keeps_its_order() {
    let mut disk = disk(Tear::Subset);
    let batch = |ticket, lane, file| DiskBatch {
        ticket: DiskTicket(ticket),
        lane,
        ops: vec![create(file)],
    };
    disk.submit(batch(1, Lane::Background, "a"));
    disk.submit(batch(2, Lane::Background, "b"));
    disk.submit(batch(3, Lane::Foreground, "c"));
    assert!(disk.begin(Lane::Background, &mut draw(1)).is_some());
    assert!(
        disk.begin(Lane::Background, &mut draw(2)).is_none(),
        "one at a time"
    );
    assert!(disk.begin(Lane::Foreground, &mut draw(3)).is_some());
    let done = |progress| match progress {
        Some(Progress::Done(ticket, Ok(()))) => ticket.0,
        other => panic!("{other:?}"),
    };
    assert_eq!(done(disk.finish(Lane::Foreground, &mut draw(4))), 3);
    assert_eq!(done(disk.finish(Lane::Background, &mut draw(5))), 1);
    assert!(disk.begin(Lane::Background, &mut draw(6)).is_some());
    assert_eq!(done(disk.finish(Lane::Background, &mut draw(7))), 2);
}

#[test]
fn a_killed_process_loses_only_what_it_had_not_handed_over() {
    let mut outcomes = std::collections::BTreeSet::new();
    for number in 0..60 {
        let mut disk = half_synced(Tear::Prefix);
        disk.submit(DiskBatch {
            ticket: DiskTicket(8),
            lane: Lane::Foreground,
            ops: vec![
                append("log", 3_700, &[3; 100]),
                append("log", 3_800, &[4; 100]),
            ],
        });
        disk.begin(Lane::Foreground, &mut draw(number));
        disk.interrupt(&mut draw(number));
        let read = disk.read(&name("log")).unwrap();
        assert!(
            read.len() >= 3_700,
            "what was written is in the cache, synced or not"
        );
        assert!(
            !read.contains(&4),
            "what had not been begun is not carried out"
        );
        outcomes.insert(match read.len() {
            3_700 => "not at all",
            3_800 => "whole",
            _ => "in part",
        });
        assert_eq!(disk.batches_waiting(), 0);
    }
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
}

#[test]
fn what_a_process_cuts_off_is_no_longer_promised() {
    let mut disk = disk(Tear::Subset);
    disk.install(name("log"), vec![1; 1_000]);
    run(
        &mut disk,
        vec![DiskOp::Truncate {
            file: name("log"),
            len: 300,
        }],
    )
    .unwrap();
    assert_eq!(disk.promised(&name("log")).unwrap().len(), 300);
    for number in 0..50 {
        let mut disk = half_synced(Tear::Garbage);
        let ops = vec![
            DiskOp::Truncate {
                file: name("log"),
                len: 300,
            },
            append("log", 300, &[9; 900]),
        ];
        run(&mut disk, ops).unwrap();
        disk.power_cut(SimTime::ZERO, &mut draw(number));
        assert_eq!(disk.incidents(), [], "the bytes given up may be gone");
        assert_eq!(disk.read(&name("log")).unwrap()[..300], [1; 300]);
    }
}

#[test]
fn a_promise_names_the_file_under_its_last_name() {
    let mut disk = disk(Tear::Subset);
    let batch = DiskBatch::replace_file(DiskTicket(7), &name("state"), b"abc".to_vec());
    run(&mut disk, batch.ops).unwrap();
    let promise = disk.last_promise().unwrap();
    assert_eq!(promise.files, [(name("state"), 3)]);
    assert!(promise.names);
    run(&mut disk, vec![create("x")]).unwrap();
    assert!(!disk.last_promise().unwrap().names);
}

#[test]
fn rot_flips_one_bit_and_is_remembered() {
    let mut disk = disk(Tear::Subset);
    disk.install(name("log"), vec![0; 5_000]);
    let (file, at) = disk.rot(SimTime::ZERO, None, &mut draw(1)).unwrap();
    assert_eq!(file, name("log"));
    let read = disk.read(&file).unwrap();
    assert_eq!(read[at].count_ones(), 1);
    assert_eq!(read.iter().filter(|byte| **byte != 0).count(), 1);
    assert!(disk.is_scarred(&file));
    assert_eq!(disk.incidents()[0].what, IncidentKind::Rotted { at });
}

#[test]
fn failures_come_at_their_rate() {
    let mut disk = disk(Tear::Subset);
    disk.install(name("log"), vec![]);
    disk.profile.sync_fails = Rate::percent(20);
    let failed = (0..500)
        .filter(|number| {
            disk.submit(DiskBatch {
                ticket: DiskTicket(*number),
                lane: Lane::Foreground,
                ops: vec![sync("log")],
            });
            let mut draw = draw(*number);
            disk.begin(Lane::Foreground, &mut draw);
            matches!(
                disk.finish(Lane::Foreground, &mut draw),
                Some(Progress::Done(_, Err(_)))
            )
        })
        .count();
    assert!((60..140).contains(&failed), "{failed} of 500 at 20%");
}

/// Random operations against a model that knows only what must hold: after a power cut a file
/// begins with its promised bytes, and a promised name is there.
#[test]
fn promises_hold_through_random_operations_and_power_cuts() {
    for seed in 0..400 {
        let streams = Streams::new(seed);
        let tear = TEARS[index(seed % 3)];
        let mut disk = disk(tear);
        let names = ["a", "b", "c"];
        for step in 0..60 {
            let mut draw = streams.at(Stream::Workload, 0, step);
            let file = names[index(draw.below(3))];
            let len = disk.read(&name(file)).map_or(0, <[u8]>::len) as u64;
            let op = match draw.below(8) {
                0 => create(file),
                1 | 2 => append(
                    file,
                    len,
                    &vec![draw.bits().to_le_bytes()[0]; index(draw.below(1_500))],
                ),
                3 => DiskOp::Truncate {
                    file: name(file),
                    len: draw.below(len + 1),
                },
                4 => sync(file),
                5 => DiskOp::Rename {
                    from: name(file),
                    to: name(names[index(draw.below(3))]),
                },
                6 => DiskOp::Remove { file: name(file) },
                _ => DiskOp::SyncDir,
            };
            let _ = run(&mut disk, vec![op]);
            if draw.below(8) == 0 {
                let promised: Vec<(FileName, Vec<u8>)> = names
                    .iter()
                    .filter(|file| disk.name_promised(&name(file)))
                    .filter_map(|file| Some((name(file), disk.promised(&name(file))?.to_vec())))
                    .collect();
                disk.power_cut(SimTime::ZERO, &mut draw);
                assert_eq!(disk.incidents(), [], "seed {seed}, step {step}");
                for (file, _) in promised {
                    assert!(
                        disk.read(&file).is_some(),
                        "seed {seed}, step {step}: {file} is gone"
                    );
                }
            }
        }
    }
}
