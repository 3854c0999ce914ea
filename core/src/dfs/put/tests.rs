use super::*;
use crate::dfs::ask::{Allocation, ChunkGrant, Entry, EntryKind, ReplicaState};
use crate::dfs::ids::{ChunkId, FileVersion, InodeId, VolumeSlot};
use crate::dfs::placement::{NoPlace, Scarce};
use crate::ids::{Alias, ClusterId, ControllerEpoch, Endpoint, NodeEpoch};

fn at(ms: u64) -> Timestamp {
    Timestamp::ZERO.after(Duration::from_millis(ms))
}

fn node(n: u8) -> NodeId {
    NodeId::new([n; 16])
}

fn holder(n: u8) -> Holder {
    Holder {
        node: node(n),
        epoch: NodeEpoch(u64::from(n)),
        volume: VolumeSlot(0),
    }
}

/// A write and what it has asked for so far.
struct Desk {
    put: Put,
    now: Timestamp,
}

impl Desk {
    fn begin() -> Self {
        let order = PutOrder {
            op: OpId([9; 16]),
            path: DfsPath::parse("dfs://a").unwrap(),
            expect: Expect::Anything,
            unix_ms: 17,
        };
        Self {
            put: Put::new(order, &Limits::default(), at(0)),
            now: at(0),
        }
    }

    fn tell(&mut self, input: PutInput) -> Vec<PutEffect> {
        self.put.handle(self.now, input);
        std::iter::from_fn(|| self.put.poll_effect()).collect()
    }

    fn wait(&mut self) -> Vec<PutEffect> {
        self.now = self.put.poll_timeout().expect("it waits for a moment");
        self.tell(PutInput::Deadline)
    }

    /// The chunk is allocated on `nodes`, and its bytes are sent.
    fn write(&mut self, number: usize, nodes: &[u8]) {
        let effects = self.tell(PutInput::ChunkBegins { max_len: 100 });
        assert!(
            matches!(&effects[..], [PutEffect::Ask(Ask::Allocate { .. })]),
            "{effects:?}"
        );
        let effects = self.tell(allocated(number, nodes));
        assert!(
            matches!(&effects[..], [PutEffect::Write { again: false, .. }]),
            "{effects:?}"
        );
        assert_eq!(self.tell(sent(number)), []);
    }
}

fn digest() -> Digest {
    Digest::of(b"bytes")
}

fn sent(number: usize) -> PutInput {
    PutInput::ChunkEnds {
        number,
        len: 5,
        digest: digest(),
    }
}

fn allocated(number: usize, nodes: &[u8]) -> PutInput {
    let replicas = nodes.iter().map(|&n| ReplicaPlace {
        node: node(n),
        alias: Alias::new(&format!("n{n}")).unwrap(),
        endpoint: Endpoint {
            host: "h".to_owned(),
            port: 1,
        },
        epoch: NodeEpoch(u64::from(n)),
        state: ReplicaState::Good,
    });
    let token = WriteToken {
        cluster: ClusterId::new([1; 16]),
        controller_epoch: ControllerEpoch(1),
        op: OpId([9; 16]),
        version: ChunkVersion::first(ChunkId(number as u64)),
        max_len: 100,
        replicas: nodes
            .iter()
            .map(|&n| (node(n), NodeEpoch(u64::from(n))))
            .collect(),
        mac: [0; 16],
    };
    PutInput::Answered(Ok(Answer::Allocated(Allocation {
        grants: vec![ChunkGrant {
            token,
            replicas: replicas.collect(),
        }],
        factor: 2,
        min_write: 2,
        chunk_bytes: 100,
    })))
}

fn prepared(number: usize, n: u8) -> PutInput {
    PutInput::Prepared {
        number,
        holder: holder(n),
        len: 5,
        digest: digest(),
    }
}

fn failed(number: usize, n: u8, bytes_kept: bool) -> PutInput {
    PutInput::Failed {
        number,
        node: node(n),
        reason: "broke".to_owned(),
        no_room: false,
        bytes_kept,
    }
}

fn committed() -> Committed {
    Committed {
        entry: Entry {
            path: DfsPath::parse("dfs://a").unwrap(),
            kind: EntryKind::File,
            inode: InodeId(4),
            version: FileVersion(4),
            len: 5,
            modified_unix_ms: 17,
            count: 1,
            digest: Some(digest()),
            replicas: Some(2),
        },
        degraded_chunks: 0,
        created: true,
    }
}

fn unavailable() -> PutInput {
    PutInput::Answered(Err(Refusal::Unavailable {
        reason: "the controller is away".to_owned(),
    }))
}

#[test]
fn a_file_is_committed_with_what_each_replica_said() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    assert_eq!(desk.tell(PutInput::BodyEnded), []);
    assert_eq!(desk.tell(prepared(0, 1)), []);
    let effects = desk.tell(prepared(0, 2));
    let [
        PutEffect::Settled { number: 0 },
        PutEffect::Ask(Ask::Commit(commit)),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(commit.chunks.len(), 1);
    assert_eq!(commit.chunks[0].holders, [holder(1), holder(2)]);
    assert_eq!((commit.chunks[0].len, commit.unix_ms), (5, 17));
    let effects = desk.tell(PutInput::Answered(Ok(Answer::Committed(committed()))));
    assert_eq!(effects, [PutEffect::Finished(Ok(committed()))]);
    assert_eq!(desk.put.poll_timeout(), None);
}

#[test]
fn an_empty_file_needs_no_chunk() {
    let mut desk = Desk::begin();
    let effects = desk.tell(PutInput::BodyEnded);
    assert!(
        matches!(&effects[..], [PutEffect::Ask(Ask::Commit(commit))] if commit.chunks.is_empty())
    );
}

#[test]
fn a_replica_that_made_another_digest_is_none() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.tell(prepared(0, 1));
    let effects = desk.tell(PutInput::Prepared {
        number: 0,
        holder: holder(2),
        len: 5,
        digest: Digest::of(b"other"),
    });
    let [.., PutEffect::Finished(Err(refusal))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(refusal.to_string().contains("only 1 of 2"), "{refusal}");
}

#[test]
fn a_failed_replica_is_replaced_while_the_bytes_are_there() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.tell(prepared(0, 1));
    let effects = desk.tell(failed(0, 2, true));
    let [
        PutEffect::Ask(Ask::Replace {
            failed, written, ..
        }),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (&failed[..], &written[..]),
        (&[node(2)][..], &[node(1)][..])
    );
    let effects = desk.tell(allocated(0, &[3]));
    assert!(
        matches!(&effects[..], [PutEffect::Write { again: true, replicas, .. }] if replicas.len() == 1),
        "{effects:?}"
    );
    desk.tell(PutInput::BodyEnded);
    let effects = desk.tell(prepared(0, 3));
    let [_, PutEffect::Ask(Ask::Commit(commit))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(commit.chunks[0].holders, [holder(1), holder(3)]);
}

#[test]
fn without_another_place_there_are_too_few_and_the_write_is_given_up() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.tell(prepared(0, 1));
    desk.tell(failed(0, 2, true));
    let effects = desk.tell(PutInput::Answered(Err(Refusal::NoPlace(NoPlace {
        need: 1,
        have: 0,
        of: Scarce::Nodes,
        left_out: Vec::new(),
    }))));
    assert!(
        matches!(
            &effects[..],
            [
                PutEffect::Ask(Ask::Abort { .. }),
                PutEffect::Finished(Err(Refusal::Unavailable { .. }))
            ]
        ),
        "{effects:?}"
    );
}

#[test]
fn too_few_for_want_of_room_alone_is_said_and_not_called_passing() {
    for (also_broke, passes) in [(false, false), (true, true)] {
        let mut desk = Desk::begin();
        desk.write(0, &[1, 2]);
        let no_room = PutInput::Failed {
            number: 0,
            node: node(2),
            reason: "no room".to_owned(),
            no_room: true,
            bytes_kept: false,
        };
        desk.tell(no_room);
        let effects = desk.tell(if also_broke {
            failed(0, 1, false)
        } else {
            prepared(0, 1)
        });
        let [_, PutEffect::Finished(Err(refusal))] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(
            matches!(refusal, Refusal::Unavailable { .. }),
            passes,
            "{refusal}"
        );
        assert_eq!(matches!(refusal, Refusal::NoRoom { .. }), !passes);
    }
}

#[test]
fn who_leaves_amid_the_commit_is_not_told_that_nothing_was_written() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.tell(prepared(0, 1));
    desk.tell(PutInput::BodyEnded);
    desk.tell(prepared(0, 2));
    let effects = desk.tell(PutInput::GivenUp);
    // Nor is the controller told to forget what it may just be writing down.
    let [PutEffect::Finished(Err(Refusal::Unavailable { reason }))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(reason.contains("is not known"), "{reason}");
}

#[test]
fn a_lost_answer_is_asked_for_again_and_the_outcome_is_called_unknown_at_last() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.tell(prepared(0, 1));
    desk.tell(PutInput::BodyEnded);
    desk.tell(prepared(0, 2));
    let mut asked = 1;
    let last = loop {
        let effects = desk.tell(unavailable());
        if let [PutEffect::Finished(result)] = &effects[..] {
            break result.clone();
        }
        assert_eq!(effects, []);
        let effects = desk.wait();
        assert!(matches!(&effects[..], [PutEffect::Ask(Ask::Commit(_))]));
        asked += 1;
        assert!(asked < 10_000);
    };
    let text = last.unwrap_err().to_string();
    assert!(text.contains("is not known"), "{text}");
    assert!(desk.now >= at(30_000), "given up at {:?}", desk.now);
}

#[test]
fn a_write_that_takes_long_is_renewed() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    let effects = desk.wait();
    assert_eq!(desk.now, at(60_000));
    assert!(matches!(&effects[..], [PutEffect::Ask(Ask::Renew { .. })]));
    assert_eq!(desk.tell(PutInput::Answered(Ok(Answer::Done))), []);
    assert_eq!(desk.put.poll_timeout(), Some(at(120_000)));
}

#[test]
fn what_cannot_be_allocated_ends_the_write_with_the_reason() {
    let mut desk = Desk::begin();
    desk.tell(PutInput::ChunkBegins { max_len: 1 });
    let refusal = Refusal::NotFound {
        what: "there is no directory dfs://x".to_owned(),
    };
    let effects = desk.tell(PutInput::Answered(Err(refusal.clone())));
    assert_eq!(effects, [PutEffect::Finished(Err(refusal))]);
    assert_eq!(desk.tell(PutInput::BodyEnded), [], "nothing after the end");
}

#[test]
fn a_client_that_leaves_leaves_nothing() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    let effects = desk.tell(PutInput::GivenUp);
    let [
        PutEffect::Ask(Ask::Abort { chunks, .. }),
        PutEffect::Finished(Err(_)),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(chunks, &[ChunkVersion::first(ChunkId(0))]);
}

#[test]
fn the_next_chunk_is_allocated_while_the_one_before_is_written() {
    let mut desk = Desk::begin();
    desk.write(0, &[1, 2]);
    desk.write(1, &[2, 3]);
    desk.tell(PutInput::BodyEnded);
    desk.tell(prepared(1, 2));
    assert_eq!(
        desk.tell(prepared(1, 3)),
        [PutEffect::Settled { number: 1 }]
    );
    desk.tell(prepared(0, 1));
    let effects = desk.tell(prepared(0, 2));
    let [_, PutEffect::Ask(Ask::Commit(commit))] = &effects[..] else {
        panic!("{effects:?}");
    };
    let chunks: Vec<u64> = commit.chunks.iter().map(|c| c.version.chunk.0).collect();
    assert_eq!(chunks, [0, 1], "in the order of the file");
}
