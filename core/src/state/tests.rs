use super::*;
use crate::ids::NodeId;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each kind of record here as the first release that has it writes it. A log lives for years:
/// what stands here may be added to and never changed.
#[test]
fn records_are_written_as_they_were_and_read_back() {
    let sixteen = |byte: u8| format!("50{}", format!("{byte:02x}").repeat(16));
    let cases = [
        (
            Record::LineageBegun(LineageBegun {
                lineage: LineageId::new([0xcc; 16]),
                accepted: None,
            }),
            6,
            format!("81{}", sixteen(0xcc)),
        ),
        (
            Record::NodeReplaced(NodeReplaced {
                alias: Alias::new("P1-NODE1").unwrap(),
                node: NodeId::new([0x5a; 16]),
            }),
            7,
            format!("8268{}{}", hex(b"P1-NODE1"), sixteen(0x5a)),
        ),
    ];
    for (record, kind, bytes) in cases {
        let (found, encoded) = record.encode();
        assert_eq!((found, hex(&encoded)), (kind, bytes), "{record:?}");
        assert_eq!(Record::decode(kind, &encoded), Ok(record));
    }
}

#[test]
fn a_state_that_was_written_before_there_were_forks_and_replacements_is_read() {
    #[derive(Encode)]
    struct Old {
        #[n(0)]
        cluster: Option<ClusterId>,
        #[n(1)]
        lineage: Option<LineageId>,
        #[n(2)]
        epoch_starts: BTreeMap<ControllerEpoch, LogIndex>,
        #[n(3)]
        registry: OldRegistry,
        #[n(4)]
        orders: BTreeMap<Alias, Order>,
        #[n(5)]
        access: AccessState,
    }
    #[derive(Encode)]
    struct OldRegistry {
        #[n(0)]
        nodes: BTreeMap<Alias, crate::membership::Registration>,
    }
    let old = Old {
        cluster: Some(ClusterId::new([1; 16])),
        lineage: Some(LineageId::new([2; 16])),
        epoch_starts: [(ControllerEpoch(1), LogIndex(2))].into(),
        registry: OldRegistry {
            nodes: BTreeMap::new(),
        },
        orders: BTreeMap::new(),
        access: AccessState::default(),
    };
    let read: ClusterState = codec::decode("checkpoint", &codec::encode(&old)).unwrap();
    assert_eq!(read.lineage, old.lineage);
    assert_eq!(read.fork, None);
}

#[test]
fn a_history_that_leaves_another_remembers_where() {
    let mut state = ClusterState::default();
    let (cluster, first) = (ClusterId::new([1; 16]), LineageId::new([2; 16]));
    let created = ClusterCreated {
        cluster,
        lineage: first,
    };
    state.apply(LogIndex(1), &Record::ClusterCreated(created));
    assert_eq!(state.fork, None);
    for (at, byte) in [(8, 3), (20, 4)] {
        let from = state.lineage.unwrap();
        let lineage = LineageId::new([byte; 16]);
        state.apply(
            LogIndex(at),
            &Record::LineageBegun(LineageBegun {
                lineage,
                accepted: None,
            }),
        );
        assert_eq!(state.lineage, Some(lineage));
        let at = LogIndex(at - 1);
        let accepted = false;
        assert_eq!(state.fork, Some(Fork { from, at, accepted }));
    }
}
