//! What fits into a message.

use super::*;
use crate::controller::files::fit::encoded_len;
use crate::dfs::ask::{VolumeAdmin, VolumeRow};
use crate::io::Effect;

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
        let op = OpId(u128::from(n as u32 + 1).to_be_bytes());
        let make = make_dir(op, &format!("{parent}/{n:0>255}"), true);
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
        assert_eq!(encoded_len(&answer), len);
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

/// A commit names every chunk with its holders, and must fit into a message.
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
        let len = encoded_len(&chunk);
        assert!(len <= WrittenChunk::encoded_len_max(factor), "{factor}");
        let commit = Ask::Commit(Commit {
            op: OP,
            path: DfsPath::parse(&format!("/{}", "a".repeat(255))).unwrap(),
            expect: Expect::Nothing,
            chunks: vec![chunk; controller.file_chunks_max()],
            unix_ms: u64::MAX,
        });
        let len = encoded_len(&commit);
        assert!(len < controller.limits.frame_body_max, "{factor}: {len}");
    }
    assert!(controller.file_chunks_max() > 1000);
}

#[test]
fn places_for_more_chunks_than_a_file_can_have_are_refused() {
    let mut cluster = Ideal::running(2);
    open_write(&mut cluster);
    open_write(&mut cluster);
    let now = cluster.now;
    let controller = cluster.controller();
    let each = WrittenChunk::encoded_len_max(controller.files.config.factor);
    let one_more = |controller: &mut Controller| {
        let ask = Ask::Allocate {
            op: OP,
            path: DfsPath::parse("/f").unwrap(),
            expect: Expect::Nothing,
            lens: vec![1],
            avoid: Vec::new(),
        };
        controller.ask_files(now, ASKER, ask)
    };
    let is_refused = |answer: &Option<_>| matches!(answer, Some(Err(Refusal::Invalid { .. })));
    // By the bound itself, or by the length of the message.
    let beside = controller.limits.frame_body_max - controller.page_bytes_max();
    for most in [2, 3] {
        controller.limits.file_chunks_max = most;
        let answer = one_more(controller);
        assert_eq!(is_refused(&answer), most == 2, "{answer:?}");
    }
    controller.limits.file_chunks_max = 8192;
    for most in [2, 3] {
        controller.limits.frame_body_max = beside + most * each;
        let answer = one_more(controller);
        assert_eq!(is_refused(&answer), most == 2, "{answer:?}");
    }
}

/// Nobody waits in vain for what cannot be sent.
#[test]
fn an_answer_that_does_not_fit_is_refused_in_its_place() {
    let mut cluster = Ideal::running(2);
    let controller = cluster.controller();
    let (slot, ..) = data_nodes(controller)[0];
    let conn = controller.members.all[slot].session.unwrap();
    let asker = Asker::Node {
        conn,
        slot,
        id: RequestId(1),
    };
    let row = |path: String| VolumeRow {
        for_ms: u64::MAX,
        doing: String::new(),
        admin: VolumeAdmin::None,
        node: controller.members.all[slot].member.site.alias.clone(),
        slot: VolumeSlot(0),
        path,
        id: None,
        state: VolumeState::Good,
        capacity: 0,
        free: 0,
        chunks: 0,
        chunk_bytes: 0,
        reason: String::new(),
    };
    let most = controller.limits.frame_body_max;
    let rows = [row("/disk".to_owned()), row("x".repeat(most))];
    for (row, is_long) in rows.into_iter().zip([false, true]) {
        controller.answer_files(asker, Ok(Answer::Volumes(vec![row])));
        let (mut sent, mut told) = (0, 0);
        while let Some(effect) = controller.out.pop() {
            match effect {
                Effect::Send { conn: to, .. } if to == conn => sent += 1,
                Effect::Notify(event) if event.name == "wire.too_long" => told += 1,
                _ => {}
            }
        }
        assert_eq!((sent, told), (1, usize::from(is_long)));
    }
}
