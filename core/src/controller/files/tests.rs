//! Which replicas a commit takes for good.

use core::time::Duration;

use super::Asker;
use crate::admin::Refusal;
use crate::controller::Controller;
use crate::dfs::ask::{Answer, Ask, Commit, Expect, Holder, VolumeState, WrittenChunk};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, OpId, VolumeSlot};
use crate::dfs::path::DfsPath;
use crate::dfs::placement::Fitness;
use crate::ideal::Ideal;
use crate::ids::{ConnId, ControllerEpoch, NodeEpoch, NodeId, RequestId};
use crate::membership::Slot;
use crate::message::{ReplicaChange, ReplicaEntry, ReplicaNews, Report, VolumeFacts, VolumesNow};
use crate::time::Timestamp;

const OP: OpId = OpId([7; 16]);
const LEN: u64 = 9;
const ASKER: Asker = Asker::Here(RequestId(1_000_000));

/// The data nodes, by slot, identity and registration.
fn data_nodes(controller: &Controller) -> Vec<(Slot, NodeId, NodeEpoch)> {
    let slots: Vec<Slot> = controller.members.data_nodes().collect();
    slots
        .into_iter()
        .map(|slot| {
            let alias = &controller.members.all[slot].member.site.alias;
            let known = controller.state.registry.get(alias).expect("it registered");
            (slot, known.node, known.epoch)
        })
        .collect()
}

fn entry(version: ChunkVersion) -> ReplicaEntry {
    ReplicaEntry {
        version,
        len: LEN,
        digest: Digest::of(b"nine byte"),
        volume: VolumeSlot(0),
    }
}

/// A whole report of a node that has these.
fn report(entries: Vec<ReplicaEntry>) -> Report {
    Report {
        report: 2,
        page: 0,
        pages: 1,
        chunks: entries.len() as u64,
        as_of: 0,
        entries,
        volumes: Vec::new(),
    }
}

fn commit(controller: &Controller, chunks: &[ChunkVersion]) -> Ask {
    let holders: Vec<Holder> = data_nodes(controller)
        .into_iter()
        .map(|(_, node, epoch)| Holder {
            node,
            epoch,
            volume: VolumeSlot(0),
        })
        .collect();
    let written = chunks.iter().map(|version| WrittenChunk {
        version: *version,
        len: LEN,
        digest: Digest::of(b"nine byte"),
        holders: holders.clone(),
    });
    Ask::Commit(Commit {
        op: OP,
        path: DfsPath::parse("/f").unwrap(),
        expect: Expect::Nothing,
        chunks: written.collect(),
        unix_ms: 0,
    })
}

/// Asks for a commit. `None`: it is in the log, and the answer waits for the disk.
fn try_commit(
    controller: &mut Controller,
    now: Timestamp,
    chunks: &[ChunkVersion],
) -> Option<Result<Answer, Refusal>> {
    let ask = commit(controller, chunks);
    controller.ask_files(now, ASKER, ask)
}

fn is_put_off(answer: &Option<Result<Answer, Refusal>>) -> bool {
    matches!(answer, Some(Err(Refusal::Unavailable { .. })))
}

/// Answers that wait for the disk.
fn held(controller: &Controller) -> usize {
    controller.waiting.values().map(Vec::len).sum()
}

/// An open write of one chunk, placed at both data nodes under their present registrations.
fn open_write(cluster: &mut Ideal) -> ChunkVersion {
    let now = cluster.now;
    let controller = cluster.controller();
    let nodes = data_nodes(controller);
    let places = nodes.iter().map(|(_, node, epoch)| (*node, *epoch));
    let writes = &mut controller.files.writes;
    writes.allocate(now, OP, LEN, places.collect()).unwrap()
}

#[test]
fn the_writers_word_counts_for_who_has_said_nothing_since() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let answer = try_commit(cluster.controller(), now, &[chunk]);
    assert!(answer.is_none(), "{answer:?}");
}

/// A volume failed between the answer to the writer and the commit: the node reports anew, without
/// the chunk, under the registration that it prepared it under.
#[test]
fn a_replica_that_a_later_report_does_not_have_does_not_count() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    let (slot, ..) = data_nodes(controller)[0];
    controller.report(now, ConnId(0), slot, report(Vec::new()));
    let answer = try_commit(controller, now, &[chunk]);
    assert!(is_put_off(&answer), "{answer:?}");
    // What it prepares after the report it says itself.
    controller.news(
        now,
        ConnId(0),
        slot,
        &ReplicaNews {
            first: 1,
            changes: vec![ReplicaChange::Added(entry(chunk))],
        },
    );
    let answer = try_commit(controller, now, &[chunk]);
    assert!(answer.is_none(), "{answer:?}");
}

#[test]
fn a_replica_that_its_node_has_found_damaged_or_lost_does_not_count() {
    for change in [ReplicaChange::Corrupt, ReplicaChange::Removed] {
        let mut cluster = Ideal::running(2);
        let chunk = open_write(&mut cluster);
        let now = cluster.now;
        let controller = cluster.controller();
        let (slot, ..) = data_nodes(controller)[0];
        let first = controller.files.stocks[slot].applied + 1;
        let changes = vec![ReplicaChange::Added(entry(chunk)), change(entry(chunk))];
        controller.news(now, ConnId(0), slot, &ReplicaNews { first, changes });
        let answer = try_commit(controller, now, &[chunk]);
        assert!(is_put_off(&answer), "{answer:?}");
    }
}

/// A chunk that an earlier controller allocated counts by the word of the nodes, until they are told
/// to throw it away: from then on they may have, and say so later.
#[test]
fn a_replica_that_was_released_does_not_count() {
    for released in [false, true] {
        let mut cluster = Ideal::running(2);
        let now = cluster.now;
        let controller = cluster.controller();
        let earlier = ControllerEpoch(controller.epoch.0 - 1);
        let chunk = ChunkVersion::first(ChunkId::new(earlier, 3).unwrap());
        for (slot, ..) in data_nodes(controller) {
            controller.report(now, ConnId(0), slot, report(vec![entry(chunk)]));
        }
        if released {
            let later = now.after(controller.limits.orphan_grace + Duration::from_secs(1));
            controller.sweep_files(later);
        }
        let answer = try_commit(controller, now, &[chunk]);
        assert_eq!(is_put_off(&answer), released, "{answer:?}");
        assert_eq!(answer.is_none(), !released);
    }
}

#[test]
fn a_chunk_is_in_a_file_once() {
    let mut cluster = Ideal::running(2);
    let chunk = open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    let before = controller.log.appended();
    let answer = try_commit(controller, now, &[chunk, chunk]);
    let refused = matches!(answer, Some(Err(Refusal::Invalid { .. })));
    assert!(refused, "{answer:?}");
    assert_eq!(controller.log.appended(), before);
}

/// `mkdir -p` of a directory that another client has just made, and that a crash would take.
#[test]
fn what_is_there_already_is_told_once_it_is_durable() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let make = |n| Ask::MakeDir {
        op: OpId([n; 16]),
        path: DfsPath::parse("/d").unwrap(),
        parents: true,
        unix_ms: 0,
    };
    let rename = Ask::Rename {
        op: OpId([9; 16]),
        from: DfsPath::parse("/d").unwrap(),
        to: DfsPath::parse("/d").unwrap(),
        replace: true,
    };
    assert!(controller.ask_files(now, ASKER, make(1)).is_none());
    assert!(controller.log.appended() > controller.log.synced());
    let waiting = held(controller);
    let answer = controller.ask_files(now, ASKER, make(2));
    assert!(answer.is_none(), "{answer:?}");
    let answer = controller.ask_files(now, ASKER, rename);
    assert!(answer.is_none(), "{answer:?}");
    assert_eq!(held(controller), waiting + 2, "told at once");
}

/// With fewer replicas needed than wanted, a commit that crosses a report must not throw away what the
/// node has prepared since.
#[test]
fn a_commit_waits_a_moment_for_the_word_of_a_node_that_has_just_reported() {
    for says_so in [true, false] {
        let mut cluster = Ideal::running(2);
        let chunk = open_write(&mut cluster);
        let now = cluster.now;
        let controller = cluster.controller();
        controller.files.config.min_write = 1;
        let (slot, node, _) = data_nodes(controller)[0];
        controller.report(now, ConnId(0), slot, report(Vec::new()));
        let answer = try_commit(controller, now, &[chunk]);
        assert!(is_put_off(&answer), "{answer:?}");
        if says_so {
            let changes = vec![ReplicaChange::Added(entry(chunk))];
            controller.news(now, ConnId(0), slot, &ReplicaNews { first: 1, changes });
        }
        let later = now.after(match says_so {
            true => Duration::from_millis(50),
            false => 2 * controller.limits.news_resend,
        });
        let answer = try_commit(controller, later, &[chunk]);
        assert!(answer.is_none(), "{answer:?}");
        let view = controller.names().chunk_version(chunk).unwrap();
        assert_eq!(view.is_held_by(node), says_so);
    }
}

/// The record that a refusal speaks of may be lost in a crash, like what a look shows.
#[test]
fn a_refusal_that_tells_of_a_path_waits_for_what_it_tells() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let make = |n| Ask::MakeDir {
        op: OpId([n; 16]),
        path: DfsPath::parse("/d").unwrap(),
        parents: false,
        unix_ms: 0,
    };
    assert!(controller.ask_files(now, ASKER, make(1)).is_none());
    let waiting = held(controller);
    assert!(controller.ask_files(now, ASKER, make(2)).is_none());
    assert_eq!(held(controller), waiting + 1);
    cluster.run_for(Duration::from_secs(1));
    let answer = cluster.controller().ask_files(now, ASKER, make(3));
    assert!(
        matches!(answer, Some(Err(Refusal::Conflict { .. }))),
        "{answer:?}"
    );
}

/// A crash has left the outer directories of `mkdir -p` and not the innermost.
#[test]
fn a_path_that_was_made_in_part_is_made_whole_when_it_is_asked_for_again() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let controller = cluster.controller();
    let (op, path) = (OpId([1; 16]), DfsPath::parse("/a/b/c").unwrap());
    let next = controller.log.appended().next();
    let names = controller.names();
    let records = names.plan_make_dir(next, op, &path, true, 0).unwrap();
    assert_eq!(records.len(), 3);
    for record in &records[..2] {
        controller.append_files(now, record);
    }
    let make = || Ask::MakeDir {
        op,
        path: path.clone(),
        parents: true,
        unix_ms: 0,
    };
    assert!(controller.ask_files(now, ASKER, make()).is_none());
    assert!(controller.names().stat(&path).is_ok());
    // Asked for once more it is not done again.
    let before = controller.log.appended();
    assert!(controller.ask_files(now, ASKER, make()).is_none());
    assert_eq!(controller.log.appended(), before);
}

/// A directory whose entries have names and paths so long that a page of a thousand would be longer
/// than a message.
#[test]
fn a_page_is_cut_to_what_fits_into_a_message_and_the_rest_follows() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let long = |letter: &str| letter.repeat(DfsPath::NAME_MAX_LEN);
    let parent = format!("/{}", ["a", "b", "c", "d", "e"].map(long).join("/"));
    let count = 900;
    for n in 0..count {
        let make = Ask::MakeDir {
            op: OpId(u128::from(n as u32 + 1).to_be_bytes()),
            path: DfsPath::parse(&format!("{parent}/{n:0>255}")).unwrap(),
            parents: true,
            unix_ms: 0,
        };
        assert!(cluster.controller().ask_files(now, ASKER, make).is_none());
    }
    cluster.run_for(Duration::from_secs(1));
    let now = cluster.now;
    let controller = cluster.controller();
    let most = controller.limits.frame_body_max;
    let mut after: Option<String> = None;
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let ask = Ask::List {
            path: DfsPath::parse(&parent).unwrap(),
            after: after.clone(),
            limit: 1000,
        };
        let answer = controller.ask_files(now, ASKER, ask);
        let Some(Ok(answer)) = answer else {
            panic!("{answer:?}");
        };
        let len = minicbor::to_vec(&answer).unwrap().len();
        assert!(len < most - 1000, "{len} bytes are too close to {most}");
        assert_eq!(super::fit::encoded_len(&answer), len);
        let Answer::Listing(listing) = answer else {
            panic!("{answer:?}");
        };
        pages += 1;
        let names = listing
            .entries
            .iter()
            .map(|it| it.path.names().next_back().unwrap().to_owned());
        seen.extend(names);
        after = seen.last().cloned();
        if !listing.more {
            break;
        }
    }
    let expected: Vec<String> = (0..count).map(|n| format!("{n:0>255}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(pages, 2);
}

/// Where all is well, a list of what is not has nothing to show for thousands of chunks.
#[test]
fn a_page_without_a_row_says_how_far_it_has_got() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let chunks: Vec<ChunkVersion> = (0..5).map(|_| open_write(&mut cluster)).collect();
    let controller = cluster.controller();
    assert!(try_commit(controller, now, &chunks).is_none());
    controller.limits.dfs_chunks_looked_at = 3;
    let page = |after| controller.chunk_page(after, 10, true, None).unwrap();
    let first = page(None);
    assert_eq!((first.rows.len(), first.more), (0, true));
    assert_eq!(first.upto, Some(chunks[2].chunk));
    let last = page(first.upto);
    assert_eq!((last.rows.len(), last.more), (0, false));
}

/// A file whose commit would not fit into a message is refused when places for it are asked for.
#[test]
fn a_file_has_no_more_chunks_than_its_commit_can_name() {
    let mut cluster = Ideal::running(2);
    let controller = cluster.controller();
    for factor in [1, 2, 3, 8] {
        controller.files.config.factor = factor;
        let holder = Holder {
            node: NodeId::new([0xff; 16]),
            epoch: NodeEpoch(u64::MAX),
            volume: VolumeSlot(u16::MAX),
        };
        let chunk = WrittenChunk {
            version: ChunkVersion {
                chunk: ChunkId(u64::MAX),
                generation: Generation(u32::MAX),
            },
            len: u64::MAX,
            digest: Digest::of(b""),
            holders: vec![holder; factor],
        };
        let len = super::fit::encoded_len(&chunk);
        assert!(len <= WrittenChunk::encoded_len_max(factor), "{factor}");
        let commit = Ask::Commit(Commit {
            op: OP,
            path: DfsPath::parse(&format!("/{}", "a".repeat(255))).unwrap(),
            expect: Expect::Nothing,
            chunks: vec![chunk; controller.file_chunks_max()],
            unix_ms: u64::MAX,
        });
        let len = super::fit::encoded_len(&commit);
        assert!(len < controller.limits.frame_body_max, "{factor}: {len}");
    }
    assert!(controller.file_chunks_max() > 1000);
}

/// New chunks go elsewhere as far as they can, and readers ask the others first.
#[test]
fn a_node_whose_disks_are_slow_is_asked_last() {
    let mut cluster = Ideal::running(2);
    let now = cluster.now;
    let chunk = open_write(&mut cluster);
    let controller = cluster.controller();
    assert!(try_commit(controller, now, &[chunk]).is_none());
    let nodes = data_nodes(controller);
    for (slow, ..) in &nodes {
        for (slot, ..) in &nodes {
            let volumes = vec![VolumeFacts {
                slot: VolumeSlot(0),
                path: "/disk".to_owned(),
                id: None,
                state: match slot == slow {
                    true => VolumeState::Slow,
                    false => VolumeState::Good,
                },
                capacity: 1 << 40,
                free: 1 << 39,
                promised: 0,
                reason: String::new(),
                chunks: 1,
                chunk_bytes: LEN,
            }];
            controller.volumes_now(now, *slot, VolumesNow { volumes });
        }
        for (slot, ..) in &nodes {
            let fitness = controller.files.candidates.get(*slot).unwrap().fitness;
            let expected = match slot == slow {
                true => Fitness::Slow,
                false => Fitness::Fit,
            };
            assert_eq!(fitness, expected);
        }
        let view = controller.names().chunk_version(chunk).unwrap();
        for turn in 0..4 {
            let place = controller.place_of(&view, turn);
            assert_eq!(place.replicas.len(), 2);
            let last = controller.slot_of(place.replicas[1].node);
            assert_eq!(last, Some(*slow), "turn {turn}");
        }
    }
}
