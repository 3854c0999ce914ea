use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::mpsc;
use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::disk::{DiskBatch, DiskFaultKind, DiskOp, FileName, Lane};
use vaquita_core::ids::DiskTicket;
use vaquita_core::io::Input;
use vaquita_core::store::label::LabelCopy;
use vaquita_core::store::scan::LabelFound;
use vaquita_core::store::{Opened, StoreAsk, VolumeTrouble, VolumeTroubleKind};

use super::net::MemoryEnv;
use super::node::{Node, Setup};
use super::transfers::{all, store, wanted};
use super::{MIB, bytes, version};
use crate::data::volumes::{Volumes, time_limit};
use crate::data::{DataLimits, TransferFault};

fn opened(input: &Input) -> Option<&Result<Opened, VolumeTrouble>> {
    match input {
        Input::VolumeOpened { result, .. } => Some(result),
        _ => None,
    }
}

fn space(input: &Input) -> Option<(VolumeSlot, u64)> {
    match input {
        Input::VolumeSpace { slot, free, .. } => Some((*slot, *free)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_room_of_every_volume_is_told_again_and_again() {
    let env = MemoryEnv::new();
    let setup = Setup {
        volumes: 2,
        ..Setup::default()
    };
    let mut node = Node::with(&env, 1, setup).await;
    let mut told = [0; 2];
    let begun = tokio::time::Instant::now();
    while told.iter().any(|&times| times < 4) {
        let input = node.told_of(|input| space(input).is_some()).await;
        let (slot, free) = space(&input).unwrap();
        assert_eq!(free, 1 << 30);
        told[usize::from(slot.0)] += 1;
    }
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_from_the_start_is_told_in_time() {
    let env = MemoryEnv::new();
    let begun = tokio::time::Instant::now();
    let setup = Setup {
        hangs: true,
        ..Setup::default()
    };
    // The setup waits until the machine has been told.
    let node = Node::with(&env, 1, setup).await;
    assert_eq!(begun.elapsed(), node.data.limits().disk_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_begins_to_hang_costs_its_volume_and_nothing_else() {
    let env = MemoryEnv::new();
    let mut setup = Setup {
        volumes: 2,
        ..Setup::default()
    };
    setup.limits.data.prepare_timeout = Duration::from_secs(60);
    let mut node = Node::with(&env, 1, setup).await;
    let content = bytes(100);
    store(&node, &[&node], 1, &content, 100).await;
    node.disk.begin_to_hang();
    let stored = store(&node, &[&node], 2, &content, 100).await;
    let [(_, TransferFault::Refused { refusal, .. })] = &stored.lost[..] else {
        panic!("{stored:?}");
    };
    assert!(refusal.to_string().contains("has not answered for 30 s"));
    let input = node.told_of(|input| opened(input).is_some()).await;
    let Some(Err(trouble)) = opened(&input) else {
        panic!("{input:?}");
    };
    assert_eq!(trouble.kind, VolumeTroubleKind::Hung);
    // From now on it fails at once.
    let begun = tokio::time::Instant::now();
    let fault = node
        .data
        .fetch(&node.peer, wanted(1, &content), 0, 1)
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("has not answered"), "{fault}");
    let stored = store(&node, &[&node], 3, &content, 100).await;
    assert_eq!(stored.lost.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1));
    // The other volume lives on.
    node.told_of(|input| matches!(space(input), Some((VolumeSlot(1), _))))
        .await;
    // It is not read again while what it was given before may still be carried out.
    let volumes = node.data.shared.volumes.clone();
    let again = volumes.open(VolumeSlot(0)).await.unwrap_err();
    assert_eq!(again.kind, VolumeTroubleKind::Hung);
    assert!(again.reason.contains("has not answered"), "{again:?}");
    let life = volumes.life(VolumeSlot(0));
    assert_eq!(life, 1, "it counts as opened, and was not");
    // What was begun under an earlier opening writes nothing under a later one.
    let file = FileName::fixed("file");
    let stale = volumes.append(VolumeSlot(0), life - 1, &file, 0, bytes(1));
    let stale = stale.await.unwrap_err().to_string();
    assert!(stale.contains("was opened again"), "{stale}");
}

#[tokio::test(start_paused = true)]
async fn reads_beyond_what_may_wait_are_refused() {
    let env = MemoryEnv::new();
    let mut setup = Setup::default();
    setup.limits.data.disk_concurrency = 1;
    setup.limits.data.disk_waiting_max = 2;
    let node = Node::with(&env, 1, setup).await;
    node.disk.begin_to_hang();
    let file = FileName::fixed("file");
    let volumes = node.data.shared.volumes.clone();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (volumes, file) = (volumes.clone(), file.clone());
            tokio::spawn(async move { volumes.read_at(VolumeSlot(0), &file, 0, 1).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let refused = volumes.read_at(VolumeSlot(0), &file, 0, 1).await;
    assert!(refused.unwrap_err().to_string().starts_with("too many"));
    for task in waiting {
        assert!(task.await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_fault_beside_the_lanes_is_told_by_its_kind() {
    for kind in [DiskFaultKind::Io, DiskFaultKind::NoSpace] {
        let env = MemoryEnv::new();
        let mut node = Node::start(&env, 1).await;
        let token = super::token(1, 8 * MIB);
        let peers = [node.peer.clone()];
        let mut storing = node.data.store(&token, &peers, None).await.unwrap();
        storing.write(bytes(2 * MIB)).await.unwrap();
        node.asked(|ask| matches!(ask, StoreAsk::Admit { .. }))
            .await;
        node.told_of(|input| matches!(input, Input::VolumeDone { .. }))
            .await;
        node.disk.begin_to_fail(kind);
        while storing.write(bytes(MIB)).await.is_ok() {}
        let is_news = |input: &Input| match kind {
            DiskFaultKind::NoSpace => space(input).is_some(),
            _ => {
                matches!(opened(input), Some(Err(trouble)) if trouble.kind == VolumeTroubleKind::Failed)
            }
        };
        node.told_of(is_news).await;
        node.asked(|ask| matches!(ask, StoreAsk::Cancel { .. }))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn rotten_bytes_leave_no_node_and_are_told() {
    let env = MemoryEnv::new();
    let (one, mut two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let content = bytes(4 * MIB);
    store(&one, &[&two], 1, &content, MIB).await;
    let extent = two.extent(version(1));
    // In the last block of four MiB: the first pieces are good.
    two.disk
        .rot(&extent.file, extent.offset as usize + 4 * MIB - 1);
    let fetching = one
        .data
        .fetch(&two.peer, wanted(1, &content), 0, u64::MAX)
        .await
        .unwrap();
    let fault = all(fetching).await.unwrap_err();
    assert_eq!(
        fault.to_string(),
        format!(
            "node2 refused: block 63 of chunk {} does not fit its checksum; read another replica",
            version(1)
        )
    );
    two.asked(|ask| matches!(ask, StoreAsk::Damaged { .. }))
        .await;
    // A block that is good can still be read, on the same connection.
    let dialled = env.dialled();
    let fetching = one
        .data
        .fetch(&two.peer, wanted(1, &content), 0, 10)
        .await
        .unwrap();
    assert_eq!(all(fetching).await.unwrap(), content[..10]);
    // One that is not is refused before anything is sent.
    let fault = one
        .data
        .fetch(&two.peer, wanted(1, &content), 4 * MIB as u64 - 1, 1)
        .await
        .unwrap_err();
    assert!(matches!(fault, TransferFault::Refused { .. }));
    assert_eq!(env.dialled(), dialled);
}

#[tokio::test(start_paused = true)]
async fn a_rotten_checksum_is_no_better_than_rotten_bytes() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let content = bytes(10);
    store(&node, &[&node], 1, &content, 10).await;
    let extent = node.extent(version(1));
    node.disk.rot(&extent.file, extent.crcs_at as usize);
    let fault = node
        .data
        .fetch(&node.peer, wanted(1, &content), 0, 10)
        .await;
    let fault = match fault {
        Ok(fetching) => all(fetching).await.unwrap_err(),
        Err(fault) => fault,
    };
    assert!(matches!(fault, TransferFault::Refused { .. }), "{fault}");
    node.asked(|ask| matches!(ask, StoreAsk::Damaged { .. }))
        .await;
}

/// A reader whose memory or network is bad: the replica reads the chunk itself, and keeps it.
#[tokio::test(start_paused = true)]
async fn a_suspicion_has_the_chunk_read_and_what_is_found_counts() {
    let env = MemoryEnv::new();
    let (one, mut two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let content = bytes(4 * MIB);
    store(&one, &[&two], 1, &content, MIB).await;
    let is_told = |ask: &StoreAsk| matches!(ask, StoreAsk::Damaged { .. });
    one.data.suspect(&two.peer, version(1)).await.unwrap();
    two.settled().await;
    assert!(!two.was_asked(is_told));
    let extent = two.extent(version(1));
    let last = extent.offset as usize + 4 * MIB - 1;
    two.disk.rot(&extent.file, last);
    for data in [one.data.clone(), two.data.clone()] {
        data.suspect(&two.peer, version(1)).await.unwrap();
        two.settled().await;
        assert!(two.was_asked(is_told), "suspected by {data:?}");
    }
}

/// That the file cannot be opened for a while says nothing of the bytes in it.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_at_present_is_not_taken_for_damaged() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let content = bytes(4 * MIB);
    store(&node, &[&node], 1, &content, MIB).await;
    let damaged = |ask: &StoreAsk| matches!(ask, StoreAsk::Damaged { .. });
    for (errno, is_damage) in [(Errno::MFILE, false), (Errno::IO, true)] {
        node.disk.fail_reads(Some(errno));
        let peer = node.peer.clone();
        let fetching = node.data.fetch(&peer, wanted(1, &content), 0, 10).await;
        let fault = fetching.unwrap_err();
        assert!(matches!(fault, TransferFault::Refused { .. }), "{fault}");
        node.settled().await;
        assert_eq!(node.was_asked(damaged), is_damage, "{errno}");
    }
}

/// A batch of many chunks takes longer than one operation may, and no disk hangs for that.
#[test]
fn a_batch_may_take_as_long_as_its_work() {
    let limits = DataLimits::default();
    let file = FileName::fixed("segment");
    let batch = |appends: usize, syncs: usize| {
        let append = DiskOp::Append {
            file: file.clone(),
            offset: 0,
            bytes: vec![0; MIB],
        };
        let sync = DiskOp::Sync { file: file.clone() };
        let appends = std::iter::repeat_n(append, appends);
        DiskBatch {
            ticket: DiskTicket(1),
            lane: Lane::Foreground,
            ops: appends.chain(std::iter::repeat_n(sync, syncs)).collect(),
        }
    };
    let one = limits.disk_timeout;
    assert_eq!(time_limit(&batch(0, 0), 0, &limits), one);
    assert_eq!(time_limit(&batch(1, 1), 0, &limits), one);
    assert_eq!(time_limit(&batch(1, 3), 0, &limits), 3 * one);
    let copied = limits.disk_timeout_bytes as u64;
    assert_eq!(time_limit(&batch(1, 1), copied, &limits), 2 * one);
    assert_eq!(time_limit(&batch(33, 1), copied, &limits), 3 * one);
    assert_eq!(time_limit(&batch(33, 9), copied, &limits), 4 * one);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_moved_while_it_is_read_is_found_again() {
    let env = MemoryEnv::new();
    let (one, two) = (Node::start(&env, 1).await, Node::start(&env, 2).await);
    let content = bytes(3 * MIB);
    store(&one, &[&two], 1, &content, MIB).await;
    let mut fetching = one
        .data
        .fetch(&two.peer, wanted(1, &content), 0, u64::MAX)
        .await
        .unwrap();
    let mut got = fetching.next().await.unwrap().unwrap().to_vec();
    let moved = FileName::fixed("moved");
    let (_, extent) = &mut two
        .chunks
        .lock()
        .unwrap()
        .get_mut(&version(1))
        .unwrap()
        .clone();
    two.disk.move_file(&extent.file, &moved);
    extent.file = moved;
    two.chunks
        .lock()
        .unwrap()
        .insert(version(1), (VolumeSlot(0), extent.clone()));
    while let Some(piece) = fetching.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == content);
}

/// Both copies are told as they are; one that the disk does not give back costs neither the other nor the
/// volume.
#[tokio::test(start_paused = true)]
async fn both_copies_of_a_label_are_read() {
    let env = MemoryEnv::new();
    let mut node = Node::start(&env, 1).await;
    let slot = VolumeSlot(0);
    let told = |input: &Input| matches!(input, Input::LabelRead { .. });
    let mut hands = node.data.volume_hands();

    hands.read_label(slot, DiskTicket(1));
    let missing = node.told_of(told).await;
    let Input::LabelRead { ticket, result, .. } = missing else {
        unreachable!("it is what was waited for");
    };
    assert_eq!(ticket, DiskTicket(1));
    assert_eq!(result, Ok([LabelCopy::Missing, LabelCopy::Missing]));

    node.disk.touch("vaquita.vol.bak");
    hands.read_label(slot, DiskTicket(2));
    let Input::LabelRead { result, .. } = node.told_of(told).await else {
        unreachable!("it is what was waited for");
    };
    let [first, second] = result.unwrap();
    assert_eq!(first, LabelCopy::Missing);
    let wrong = "the checksum of vaquita.vol.bak is wrong".to_owned();
    assert_eq!(second, LabelCopy::Damaged(wrong));

    node.disk.fail_reads(Some(Errno::IO));
    hands.read_label(slot, DiskTicket(3));
    let Input::LabelRead { result, .. } = node.told_of(told).await else {
        unreachable!("it is what was waited for");
    };
    for copy in result.unwrap() {
        let LabelCopy::Damaged(reason) = copy else {
            panic!("it cannot be read: {copy:?}");
        };
        assert!(reason.starts_with("cannot read vaquita.vol"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_volume_has_no_label_and_nothing_else() {
    let env = MemoryEnv::new();
    let node = Node::start(&env, 1).await;
    let disk = node.disk.clone();
    disk.touch("stray");
    let seen = super::super::scan::look(&disk).unwrap();
    let others = vec!["stray".to_owned()];
    assert_eq!(seen.0, LabelFound::None { others });
}

/// Whoever is done with a directory gives its lock back a moment after it is told so: a volume that was
/// judged to be another node's, and is adopted at once, is not "in use" for that.
#[tokio::test(start_paused = true)]
async fn a_directory_that_this_process_has_just_let_go_of_is_waited_for() {
    let env = MemoryEnv::new();
    let (events, _told) = mpsc::channel(16);
    let directories = vec!["volume0".into()];
    let volumes = Volumes::new(env.clone(), directories, &DataLimits::default(), events);
    let (slot, disk) = (VolumeSlot(0), env.disk("volume0"));
    disk.lock(true);
    // Somebody else has it, for all that this process knows: that is told at once.
    let begun = tokio::time::Instant::now();
    let trouble = volumes.open(slot).await.unwrap_err();
    assert_eq!(trouble.kind, VolumeTroubleKind::InUse);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    disk.lock(false);
    volumes.open(slot).await.unwrap();
    volumes.let_go(slot);
    disk.lock(true);
    let opening = volumes.open(slot);
    tokio::pin!(opening);
    tokio::select! {
        opened = &mut opening => panic!("{opened:?}"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    disk.lock(false);
    opening.await.unwrap();
}
