//! What the records of the metadata log look like as the first release writes them (see
//! `golden_messages.rs`).

use std::collections::BTreeSet;

use super::golden_messages::{
    DIGEST, OP, VERSION, alias, assert_written, golden, id, longer_variant, node, site,
};
use crate::access::{AccessRecord, PasswordHash, TokenDigest, TokenId, UserName};
use crate::admin::Right;
use crate::audit::{AuditEntry, AuditTrail, Audited, Means};
use crate::dfs::ids::{InodeId, VolumeId};
use crate::dfs::namespace::{ChunkRecord, DfsRecord};
use crate::ids::{ClusterId, ControllerEpoch, HostId, Incarnation, LineageId, NodeId, Role};
use crate::later_version;
use crate::membership::{NodeRegistered, NodeRemoved, NodeReplaced};
use crate::state::{
    AcceptedLoss, ClusterCreated, ControllerStarted, Duty, LineageBegun, LossSettled, NodeDesired,
    NodeDuty, Record, VolumeDuty, VolumeOwned,
};

/// The name of a record's file. Whoever adds a record is led here by the compiler, and owes an instance
/// below.
const fn record_name(record: &Record) -> &'static str {
    match record {
        Record::ClusterCreated(_) => "ClusterCreated",
        Record::ControllerStarted(_) => "ControllerStarted",
        Record::NodeRegistered(_) => "NodeRegistered",
        Record::NodeDesired(_) => "NodeDesired",
        Record::Access(AccessRecord::UserAdded { .. }) => "Access-UserAdded",
        Record::Access(AccessRecord::UserRemoved { .. }) => "Access-UserRemoved",
        Record::Access(AccessRecord::PasswordSet { .. }) => "Access-PasswordSet",
        Record::Access(AccessRecord::Granted { .. }) => "Access-Granted",
        Record::Access(AccessRecord::Revoked { .. }) => "Access-Revoked",
        Record::Access(AccessRecord::TokenIssued { .. }) => "Access-TokenIssued",
        Record::Access(AccessRecord::TokenRevoked { .. }) => "Access-TokenRevoked",
        Record::LineageBegun(_) => "LineageBegun",
        Record::LossSettled(_) => "LossSettled",
        Record::NodeDuty(NodeDuty { duty, .. }) => match duty {
            Duty::Serve => "NodeDuty-Serve",
            Duty::Drain => "NodeDuty-Drain",
            Duty::Maintenance { .. } => "NodeDuty-Maintenance",
        },
        Record::NodeReplaced(_) => "NodeReplaced",
        Record::VolumeOwned(_) => "VolumeOwned",
        Record::NodeRemoved(_) => "NodeRemoved",
        Record::VolumeDuty(_) => "VolumeDuty",
        Record::Audited(audited) => match &audited.change {
            Some(_) => "Audited-Change",
            None => "Audited-Alone",
        },
        Record::Dfs(DfsRecord::DirMade { .. }) => "Dfs-DirMade",
        Record::Dfs(DfsRecord::FilePut { .. }) => "Dfs-FilePut",
        Record::Dfs(DfsRecord::Removed { .. }) => "Dfs-Removed",
        Record::Dfs(DfsRecord::Renamed { .. }) => "Dfs-Renamed",
        Record::Dfs(DfsRecord::ReplicasChanged { .. }) => "Dfs-ReplicasChanged",
        Record::Dfs(DfsRecord::OpGivenUp { .. }) => "Dfs-OpGivenUp",
    }
}

/// One record of each kind, with its number in the log.
fn records() -> Vec<(u16, Record)> {
    let mut records = vec![
        (
            1,
            Record::ClusterCreated(ClusterCreated {
                cluster: ClusterId::new(id(1)),
                lineage: LineageId::new(id(3)),
            }),
        ),
        (
            2,
            Record::ControllerStarted(ControllerStarted {
                epoch: ControllerEpoch(2),
                instance: Incarnation::new(id(4)),
            }),
        ),
        (
            3,
            Record::NodeRegistered(NodeRegistered {
                role: Role::Agent,
                node: node(),
                incarnation: Incarnation::new(id(6)),
                attempt: 3,
                host: HostId::new(id(7)),
                site: site("10.1.1.1", "P1-agent"),
                pid: 4711,
            }),
        ),
        (
            4,
            Record::NodeDesired(NodeDesired {
                alias: alias("P1-NODE1"),
                run: true,
            }),
        ),
        (
            6,
            Record::LineageBegun(LineageBegun {
                lineage: LineageId::new(id(8)),
                accepted: Some(AcceptedLoss {
                    epochs: ControllerEpoch(1007),
                    left: vec![LineageId::new(id(7))],
                }),
            }),
        ),
        (
            10,
            Record::LossSettled(LossSettled {
                epochs: ControllerEpoch(1007),
            }),
        ),
        (
            7,
            Record::NodeReplaced(NodeReplaced {
                alias: alias("P1-NODE1"),
                node: node(),
            }),
        ),
        (
            13,
            Record::VolumeDuty(VolumeDuty {
                volume: VolumeId(id(0x70)),
                drain: true,
                alias: alias("P1-NODE1"),
                path: "/disks/b".to_owned(),
                by: "alice".to_owned(),
            }),
        ),
        (
            12,
            Record::NodeRemoved(NodeRemoved {
                alias: alias("P1-NODE1"),
                node: node(),
                by: "alice".to_owned(),
                lost: 3,
            }),
        ),
        (
            11,
            Record::VolumeOwned(VolumeOwned {
                volume: VolumeId(id(0x70)),
                node: node(),
                alias: alias("P1-NODE1"),
                path: "/disks/b".to_owned(),
                before: NodeId::new(id(0x5b)),
                by: "alice".to_owned(),
            }),
        ),
    ];
    let duties = [
        Duty::Serve,
        Duty::Drain,
        Duty::Maintenance { for_ms: 900_000 },
    ];
    records.extend(duties.map(|duty| {
        let alias = alias("P1-NODE1");
        (9, Record::NodeDuty(NodeDuty { alias, duty }))
    }));
    let entry = AuditEntry {
        unix_ms: 1_800_000_000_000,
        actor: "alice".to_owned(),
        means: Means::Token(TokenId::new(5)),
        address: Some("10.1.1.9".to_owned()),
        action: "node.start".to_owned(),
        object: "P1-NODE1".to_owned(),
        detail: "by hand".to_owned(),
        refused: String::new(),
        count: 1,
        ordered: false,
    };
    let change = Record::NodeDesired(NodeDesired {
        alias: alias("P1-NODE1"),
        run: true,
    });
    records.extend([Some(change), None].map(|change| {
        let entry = entry.clone();
        let before = Some(AuditTrail::default().head());
        let audited = Audited {
            entry,
            change,
            before,
        };
        (14, Record::Audited(Box::new(audited)))
    }));
    records.extend(access_records().map(|record| (5, Record::Access(record))));
    records.extend(dfs_records().map(|record| (8, Record::Dfs(record))));
    records
}

fn access_records() -> impl Iterator<Item = AccessRecord> {
    let user = || UserName::new("bob").unwrap();
    let hash = || PasswordHash::new("$h".to_owned());
    [
        AccessRecord::UserAdded {
            user: user(),
            hash: hash(),
            admin: true,
            rights: BTreeSet::from([Right::DfsRead, Right::LogRead]),
            must_change: false,
            well_known: true,
        },
        AccessRecord::UserRemoved { user: user() },
        AccessRecord::PasswordSet {
            user: user(),
            hash: hash(),
            must_change: true,
        },
        AccessRecord::Granted {
            user: user(),
            right: Right::DfsWrite,
        },
        AccessRecord::Revoked {
            user: user(),
            right: Right::DfsWrite,
        },
        AccessRecord::TokenIssued {
            token: TokenId::new(5),
            digest: TokenDigest::new([0xab; 32]),
            user: user(),
            issued_unix_ms: 1,
            expires_unix_ms: 2,
            scope: None,
        },
        AccessRecord::TokenRevoked {
            token: TokenId::new(5),
        },
    ]
    .into_iter()
}

fn dfs_records() -> impl Iterator<Item = DfsRecord> {
    [
        DfsRecord::DirMade {
            op: OP,
            parent: InodeId::ROOT,
            name: "data".to_owned(),
            unix_ms: 1000,
        },
        DfsRecord::FilePut {
            op: OP,
            parent: InodeId(12),
            name: "a.csv".to_owned(),
            chunks: vec![ChunkRecord {
                version: VERSION,
                len: 300,
                digest: DIGEST,
                holders: vec![node(), NodeId::new(id(0x5b))],
            }],
            unix_ms: 2000,
        },
        DfsRecord::Removed {
            op: OP,
            parent: InodeId(12),
            name: "a.csv".to_owned(),
        },
        DfsRecord::Renamed {
            op: OP,
            from_parent: InodeId(12),
            from_name: "a.csv".to_owned(),
            to_parent: InodeId::ROOT,
            to_name: "b.csv".to_owned(),
        },
        DfsRecord::ReplicasChanged {
            chunk: VERSION,
            added: vec![NodeId::new(id(0x5c))],
            removed: vec![node()],
        },
        DfsRecord::OpGivenUp { op: OP },
    ]
    .into_iter()
}

#[test]
fn every_kind_of_record_has_a_golden_file_that_is_read_and_written() {
    let encoded = |(_, record): (u16, Record)| {
        let (_, bytes) = record.encode();
        (record_name(&record).to_owned(), bytes)
    };
    assert_written("records", records().into_iter().map(encoded));
    let stored = golden("records");
    for (kind, record) in records() {
        let name = record_name(&record);
        let bytes = &stored[name];
        assert_eq!(record.encode().0, kind, "{name}");
        let longer = match record {
            Record::Access(_) | Record::Dfs(_) => longer_variant(bytes),
            _ => later_version::longer(bytes).unwrap(),
        };
        assert_eq!(Record::decode(kind, bytes).as_ref(), Ok(&record), "{name}");
        assert_eq!(
            Record::decode(kind, &longer),
            Ok(record),
            "{name} with a field more"
        );
    }
}
