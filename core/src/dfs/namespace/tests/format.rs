//! The bytes of the log and of checkpoints, as the first release writes them: every later one must
//! read them, and write no others for the same state.

use super::*;
use crate::state::{ClusterState, Record};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// One record of each kind; the second and third make a tree.
fn records() -> Vec<DfsRecord> {
    vec![
        DfsRecord::DirMade {
            op: op(1),
            parent: InodeId::ROOT,
            name: "d".to_owned(),
            unix_ms: 1000,
        },
        DfsRecord::FilePut {
            op: op(2),
            parent: InodeId(1),
            name: "f".to_owned(),
            chunks: vec![ChunkRecord {
                version: ChunkVersion::first(ChunkId(0x0100_0000_0007)),
                len: 300,
                digest: Digest([0xab; 16]),
                holders: vec![node(1), node(2)],
            }],
            unix_ms: 2000,
        },
        DfsRecord::ReplicasChanged {
            chunk: ChunkVersion::first(ChunkId(0x0100_0000_0007)),
            added: vec![node(3)],
            removed: vec![node(1)],
        },
        DfsRecord::Renamed {
            op: op(3),
            from_parent: InodeId(1),
            from_name: "f".to_owned(),
            to_parent: InodeId::ROOT,
            to_name: "g".to_owned(),
        },
        DfsRecord::Removed {
            op: op(4),
            parent: InodeId::ROOT,
            name: "x".to_owned(),
        },
    ]
}

#[test]
fn an_operation_that_was_given_up_has_the_bytes_that_it_always_had() {
    let record = Record::Dfs(DfsRecord::OpGivenUp { op: op(5) });
    let golden = "8205815000000000000000000000000000000005";
    assert_eq!(hex(&record.encode().1), golden);
    assert_eq!(Record::decode(8, &bytes(golden)), Ok(record));
}

const GOLDEN: [&str; 5] = [
    "82008450000000000000000000000000000000010061641903e8",
    "82018550000000000000000000000000000000020161668184821b00000100000000070119012c50abab\
     abababababababababababababab58200101010101010101010101010101010102020202020202020202\
     0202020202021907d0",
    "820483821b00000100000000070150030303030303030303030303030303035001010101010101010101\
     010101010101",
    "8203855000000000000000000000000000000003016166006167",
    "8202835000000000000000000000000000000004006178",
];

const CHECKPOINT: &str = "8383f6500202020202020202020202020202020250030303030303030303030303030303038500006000\
     8285000161641903e8808601026167021907d081851b00000100000000070119012c50ababababababab\
     ababababababababab820102848250000000000000000000000000000000018101825000000000000000\
     000000000000000002810282500000000000000000000000000000000381048250000000000000000000\
     00000000000004820502";

#[test]
fn records_have_the_bytes_that_they_always_had() {
    for (record, golden) in records().into_iter().zip(GOLDEN) {
        let record = Record::Dfs(record);
        let (kind, written) = record.encode();
        assert_eq!((kind, hex(&written).as_str()), (8, golden));
        assert_eq!(Record::decode(kind, &bytes(golden)), Ok(record));
    }
}

#[test]
fn a_checkpoint_has_the_bytes_that_it_always_had() {
    let mut state = Namespace::default();
    for (index, record) in (1..).zip(&records()) {
        drop(state.apply(LogIndex(index), record));
    }
    assert_eq!(hex(&codec::encode(&state)), CHECKPOINT);
    assert_eq!(codec::decode("checkpoint", &bytes(CHECKPOINT)), Ok(state));
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let mut tree = Tree::default();
    tree.put("/f", vec![chunk(1, 2, &[1])]);
    let written = codec::encode(&tree.state);
    // An array of four elements instead of three, the last one unknown.
    assert_eq!(written.first(), Some(&0x83));
    let mut longer = written.clone();
    longer[0] = 0x84;
    longer.extend_from_slice(&[0x61, b'?']);
    assert_eq!(codec::decode("checkpoint", &longer), Ok(tree.state));
}

#[test]
fn a_checkpoint_from_before_there_were_files_or_duties_or_owners_has_none() {
    let empty = ClusterState::default();
    let written = codec::encode(&empty);
    let mut tree = Tree::default();
    tree.dir("/d");
    let full = ClusterState {
        namespace: tree.state,
        ..ClusterState::default()
    };
    assert_eq!(codec::decode("checkpoint", &codec::encode(&full)), Ok(full));
    assert_eq!(written.first(), Some(&0x92));
    // Fields 0 to 5 alone, as the first release wrote them, and with what came one by one.
    for shorter in [0x86, 0x89, 0x8a, 0x8d, 0x8e, 0x90, 0x91] {
        let mut before = written.clone();
        before[0] = shorter;
        let mut decoder = minicbor::Decoder::new(&before);
        let _: ClusterState = decoder.decode().unwrap();
        before.truncate(decoder.position());
        assert_eq!(codec::decode("checkpoint", &before), Ok(empty.clone()));
    }
}
