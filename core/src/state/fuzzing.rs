//! Bodies for fuzzers: a log of records that no controller wrote, and a state that none had.
//!
//! What is in a log counts for good, so that whatever can be read of one has to be applied, by every
//! version and on every replay alike.

use arbitrary::{Result, Unstructured};

use super::{ClusterState, Record};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{ChunkId, ChunkVersion, Generation, InodeId, OpId};
use crate::dfs::namespace::{ChunkRecord, DfsRecord};
use crate::ids::{LogIndex, NodeId};
use crate::wire::codec;

/// More make a run slow and no wiser.
const RECORDS_MAX: u64 = 120;

/// Applies the records that `data` describes, and replays them from a checkpoint on the way.
///
/// # Panics
/// If a record does not read as it was written, if the state contradicts itself (what is counted on the
/// way is not what there is), if a record that does not fit changes a name or a chunk, or if two replays
/// do not agree byte for byte.
pub fn fuzz_records(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let checkpoint_at = LogIndex(input.arbitrary::<u8>().unwrap_or_default().into());
    let mut state = ClusterState::default();
    let mut resumed = None;
    for index in (1..=RECORDS_MAX).map(LogIndex) {
        let Ok(record) = record(&mut input, index) else {
            break;
        };
        if let Some(record) = record {
            apply(&mut state, index, &record);
            if let Some(resumed) = &mut resumed {
                apply(resumed, index, &record);
            }
        }
        if index == checkpoint_at {
            resumed = Some(read_back(&state));
        }
    }
    if let Some(resumed) = resumed {
        assert!(
            codec::encode(&resumed) == codec::encode(&state),
            "a replay from a checkpoint comes to the same state"
        );
    }
    read_back(&state);
    state.access.check_invariants();
}

/// Reads `data` as the state of a checkpoint.
///
/// # Panics
/// If a namespace is read that contradicts itself, or if what was read is not what is read again from
/// what is written of it.
pub fn fuzz_state(data: &[u8]) {
    if let Ok(state) = codec::decode::<ClusterState>("checkpoint", data) {
        read_back(&state);
    }
}

/// Looks at all of the state: not after each record, which would make the fuzzer ten times slower.
fn read_back(state: &ClusterState) -> ClusterState {
    state.namespace.check_invariants();
    let bytes = codec::encode(state);
    let read: ClusterState = codec::decode("checkpoint", &bytes).expect("it was written so");
    assert!(read == *state, "a state reads as it was written");
    assert!(codec::encode(&read) == bytes, "and is written as it reads");
    read
}

fn apply(state: &mut ClusterState, index: LogIndex, record: &Record) {
    let (kind, bytes) = record.encode();
    assert_eq!(
        Record::decode(kind, &bytes).as_ref(),
        Ok(record),
        "a record reads as it was written"
    );
    if let Record::Dfs(change) = record {
        let before = state.namespace.clone();
        let applied = state.namespace.apply(index, change);
        if applied.unfit.is_some() {
            assert!(applied.released.is_empty(), "nothing is released");
            assert!(
                state.namespace.is_same_tree(&before),
                "a record that does not fit changes nothing: {change:?}"
            );
        }
    } else {
        let _ = state.apply(index, record);
    }
}

/// A record by its kind and its bytes, or a change of the file system; `None` for bytes that are none.
fn record(input: &mut Unstructured<'_>, next: LogIndex) -> Result<Option<Record>> {
    match input.arbitrary::<u8>()? {
        kind @ 0..32 => {
            let len = input.arbitrary::<u8>()?;
            let bytes = input.bytes(input.len().min(len.into()))?;
            Ok(Record::decode(kind.into(), bytes).ok())
        }
        what => Ok(Some(Record::Dfs(change(what, input, next)?))),
    }
}

/// A change of a file system of a few names, chunks and nodes, so that changes meet.
fn change(what: u8, input: &mut Unstructured<'_>, next: LogIndex) -> Result<DfsRecord> {
    let op = OpId([input.int_in_range(0..=3)?; 16]);
    let unix_ms = input.arbitrary::<u8>()?.into();
    Ok(match what % 6 {
        0 => DfsRecord::DirMade {
            op,
            parent: directory(input, next)?,
            name: name(input)?,
            unix_ms,
        },
        1 => DfsRecord::FilePut {
            op,
            parent: directory(input, next)?,
            name: name(input)?,
            chunks: (0..input.int_in_range(0..=3)?)
                .map(|_| chunk(input))
                .collect::<Result<_>>()?,
            unix_ms,
        },
        2 => DfsRecord::Removed {
            op,
            parent: directory(input, next)?,
            name: name(input)?,
        },
        3 => DfsRecord::Renamed {
            op,
            from_parent: directory(input, next)?,
            from_name: name(input)?,
            to_parent: directory(input, next)?,
            to_name: name(input)?,
        },
        4 => DfsRecord::ReplicasChanged {
            chunk: version(input)?,
            added: nodes(input)?,
            removed: nodes(input)?,
        },
        _ => DfsRecord::OpGivenUp { op },
    })
}

/// The root, or what one of the records before has made.
fn directory(input: &mut Unstructured<'_>, next: LogIndex) -> Result<InodeId> {
    Ok(match input.int_in_range(0..=next.0)? {
        0 => InodeId::ROOT,
        index => InodeId::made_at(LogIndex(index)),
    })
}

fn name(input: &mut Unstructured<'_>) -> Result<String> {
    let long = "n".repeat(255);
    let names = ["a", "b", "c.csv", "数据", "", "..", "a/b", &long];
    Ok((*input.choose(&names)?).to_owned())
}

fn version(input: &mut Unstructured<'_>) -> Result<ChunkVersion> {
    Ok(ChunkVersion {
        chunk: ChunkId(input.int_in_range(1..=8)?),
        generation: Generation(input.int_in_range(0..=1)?),
    })
}

fn nodes(input: &mut Unstructured<'_>) -> Result<Vec<NodeId>> {
    (0..input.int_in_range(0..=3)?)
        .map(|_| Ok(NodeId::new([input.int_in_range(0..=4)?; 16])))
        .collect()
}

fn chunk(input: &mut Unstructured<'_>) -> Result<ChunkRecord> {
    let len = match input.arbitrary()? {
        true => input.arbitrary::<u8>()?.into(),
        false => input.arbitrary::<u64>()?,
    };
    Ok(ChunkRecord {
        version: version(input)?,
        len,
        digest: Digest([input.arbitrary()?; 16]),
        holders: nodes(input)?,
    })
}
