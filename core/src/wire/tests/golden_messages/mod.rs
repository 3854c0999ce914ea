//! The files in `testdata/wire/v1` beside the frames: what messages, questions about files, transfers
//! and log records (`golden_records.rs`) look like as the first release writes them. Every later one must
//! read them.
//!
//! A value has to give exactly the bytes of its file, the bytes exactly the value, and bytes with a
//! field that nobody knows yet the value as well. `VAQUITA_UPDATE_EXPECTED=1 cargo test -p
//! vaquita-core golden_` writes the files anew. Once a release is out that is the wrong thing
//! to do: what a message says more is a new field behind the others, with a default for its absence.

mod files;

use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::admin::{LogPiece, LogRange, Refusal, Right};
use crate::dfs::ask::{
    Allocation, Answer, Ask, AwaitedRow, ChunkGrant, ChunkPage, ChunkPlace, ChunkRow, ChunkState,
    Commit, Committed, CopyRow, Entry, EntryKind, Expect, FileLayout, HistoryPage, HistoryRow,
    Holder, Listing, Outcome, RepairStatus, ReplicaDeed, ReplicaPlace, ReplicaRow, ReplicaState,
    StuckRow, UnknownPage, UnknownRow, Usage, VolumeAdmin, VolumeRow, VolumeState, WrittenChunk,
};
use crate::dfs::digest::Digest;
use crate::dfs::ids::{
    ChunkId, ChunkVersion, CopyId, FileVersion, Generation, InodeId, OpId, VolumeId, VolumeSlot,
};
use crate::dfs::path::DfsPath;
use crate::dfs::token::WriteToken;
use crate::dfs::transfer::{TransferReply, TransferRequest};
use crate::figures::Figures;
use crate::ids::{
    Alias, ClusterId, ControllerEpoch, Endpoint, HostId, Incarnation, LineageId, LogIndex,
    NodeEpoch, NodeId, RequestId, Role, Site,
};
use crate::later_version;
use crate::message::{
    AskChild, Attach, Attached, Beat, BeatAck, ChildAnswered, ChildPhase, ChildStatus, Children,
    CopyEnded, CopyReplica, Desired, DesiredNode, DfsAnswer, DfsAsk, Envelope, ExitNotice, Fenced,
    Fork, Leaving, LogRead, Message, NewsApplied, Ping, Pong, Probe, ProbeReply, ReadLog, Register,
    Registered, RegistrationRefusal, RegistrationRefused, Release, ReplicaChange, ReplicaEntry,
    ReplicaNews, Report, ReportApplied, RescanVolumes, RescannedVolume, RestartPolicy,
    RollbackSeen, VolumeDrain, VolumeFacts, VolumeOrders, VolumeOwner, VolumesNow,
    VolumesRescanned, WantReport, Witness,
};
use crate::metalog::LogPart;
use crate::mirror::words::{
    MirrorBytes, MirrorCopy, MirrorEnd, MirrorHas, MirrorKept, MirrorOpen, MirrorPiece, MirrorRead,
    MirrorSettled, MirrorSurvey, MirrorSurveyed, PartHeld,
};
use crate::process::{ProcessExit, ProcessIdentity};
use crate::store::Label;
use crate::wire::codec;

// ---- the files ----

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/wire/v1")
        .join(name)
}

/// The contents of a folder's files, by their names without `.cbor`.
#[expect(clippy::disallowed_methods, reason = "a test reads its own data")]
pub(super) fn golden(name: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!(path.extension().unwrap(), "cbor", "{name}/{stem}");
            (stem, std::fs::read(&path).unwrap())
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test writes its own data, on demand"
)]
fn update_if_asked(name: &str, written: &BTreeMap<String, Vec<u8>>) {
    if std::env::var("VAQUITA_UPDATE_EXPECTED").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(folder(name)).unwrap();
        for (stem, bytes) in written {
            std::fs::write(folder(name).join(stem).with_extension("cbor"), bytes).unwrap();
        }
    }
}

/// Compares what this build writes with the files of a folder: the same names, the same bytes.
pub(super) fn assert_written(name: &str, written: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let mut all = BTreeMap::new();
    for (stem, bytes) in written {
        assert!(
            all.insert(stem.clone(), bytes).is_none(),
            "two of {name}/{stem}"
        );
    }
    update_if_asked(name, &all);
    let stored = golden(name);
    let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&stored), names(&all), "the files of {name}");
    for (stem, bytes) in all {
        assert_eq!(stored[&stem], bytes, "{name}/{stem}");
    }
}

/// Compares what this build reads of the files of a folder, as they are and with a field more.
fn assert_read<T>(name: &str, values: Vec<(&'static str, T)>)
where
    T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug,
{
    let encoded = |(stem, value): &(&'static str, T)| ((*stem).to_owned(), codec::encode(value));
    assert_written(name, values.iter().map(encoded));
    let stored = golden(name);
    for (stem, value) in values {
        let bytes = &stored[stem];
        let read: T = codec::decode("golden", bytes).unwrap();
        assert_eq!(read, value, "{name}/{stem}");
        let read: T = codec::decode("golden", &longer_variant(bytes)).unwrap();
        assert_eq!(read, value, "{name}/{stem} with a field more");
    }
}

/// A variant of an enumeration, its number in front of its fields, with a field more.
pub(super) fn longer_variant(bytes: &[u8]) -> Vec<u8> {
    let mut parts = minicbor::Decoder::new(bytes);
    assert_eq!(parts.array().unwrap(), Some(2));
    parts.skip().unwrap();
    let fields_at = parts.position();
    let mut longer = bytes[..fields_at].to_vec();
    longer.extend(later_version::longer(&bytes[fields_at..]).unwrap());
    longer
}

// ---- values to fill in ----

pub(super) fn id(byte: u8) -> [u8; 16] {
    [byte; 16]
}

pub(super) fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

pub(super) fn site(host: &str, name: &str) -> Site {
    Site {
        endpoint: endpoint(host),
        alias: alias(name),
    }
}

fn endpoint(host: &str) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port: 8990,
    }
}

fn process() -> ProcessIdentity {
    ProcessIdentity {
        pid: 4711,
        start_ticks: 123_456,
        boot_id: "8c1e".to_owned(),
        executable: (64_769, 1_234),
    }
}

fn witness() -> Witness {
    Witness {
        lineage: Some(LineageId::new(id(3))),
        epoch: ControllerEpoch(2),
        instance: Some(Incarnation::new(id(4))),
        index: LogIndex(77),
    }
}

fn path(text: &str) -> DfsPath {
    DfsPath::parse(text).unwrap()
}

pub(super) const OP: OpId = OpId([0x0b; 16]);
pub(super) const DIGEST: Digest = Digest([0xab; 16]);
pub(super) const VERSION: ChunkVersion = ChunkVersion {
    chunk: ChunkId(0x0200_0000_0007),
    generation: Generation::FIRST,
};

pub(super) fn node() -> NodeId {
    NodeId::new(id(0x5a))
}

fn replica_entry() -> ReplicaEntry {
    ReplicaEntry {
        version: VERSION,
        len: 300,
        digest: DIGEST,
        volume: VolumeSlot(1),
    }
}

fn volume_facts() -> VolumeFacts {
    VolumeFacts {
        slot: VolumeSlot(1),
        path: "/disks/b".to_owned(),
        id: Some(VolumeId(id(0x70))),
        state: VolumeState::High,
        capacity: 1 << 40,
        free: 1 << 30,
        promised: 4096,
        reason: "86 % full".to_owned(),
        chunks: 12,
        chunk_bytes: 345_678,
        for_ms: 65_000,
        label: Some(Label {
            cluster: ClusterId::new(id(1)),
            volume: VolumeId(id(0x70)),
            owner: node(),
            alias: alias("P1-NODE1"),
            epoch: LogIndex(41),
        }),
        removed: true,
        draining: Some(LogIndex(42)),
    }
}

fn volume_drain() -> VolumeDrain {
    VolumeDrain {
        volume: VolumeId(id(0x70)),
        order: LogIndex(42),
    }
}

fn volume_owner() -> VolumeOwner {
    VolumeOwner {
        volume: VolumeId(id(0x70)),
        node: node(),
        epoch: LogIndex(41),
        path: "/disks/b".to_owned(),
        alias: alias("P1-NODE1"),
    }
}

fn token() -> WriteToken {
    WriteToken {
        cluster: ClusterId::new(id(1)),
        controller_epoch: ControllerEpoch(2),
        op: OP,
        version: VERSION,
        max_len: 4096,
        replicas: vec![(node(), NodeEpoch(9))],
        mac: id(0x33),
    }
}

fn replica_place() -> ReplicaPlace {
    ReplicaPlace {
        node: node(),
        alias: alias("P1-NODE1"),
        endpoint: endpoint("10.1.1.1"),
        epoch: NodeEpoch(9),
        state: ReplicaState::Unconfirmed,
    }
}

fn holder() -> Holder {
    Holder {
        node: node(),
        epoch: NodeEpoch(9),
        volume: VolumeSlot(1),
    }
}

fn entry() -> Entry {
    Entry {
        path: path("/data/a.csv"),
        kind: EntryKind::File,
        inode: InodeId(12),
        version: FileVersion(34),
        len: 300,
        modified_unix_ms: 1_767_225_600_000,
        count: 1,
        digest: Some(DIGEST),
        replicas: Some(2),
    }
}

fn usage() -> Usage {
    Usage {
        files: 1,
        directories: 2,
        bytes: 300,
        stored_bytes: 600,
        chunks: 1,
    }
}

fn commit() -> Commit {
    Commit {
        op: OP,
        path: path("/data/a.csv"),
        expect: Expect::Version(FileVersion(33)),
        chunks: vec![WrittenChunk {
            version: VERSION,
            len: 300,
            digest: DIGEST,
            holders: vec![holder()],
        }],
        unix_ms: 1_767_225_600_000,
    }
}

// ---- messages ----

fn envelope() -> Envelope {
    Envelope {
        cluster: Some(ClusterId::new(id(1))),
        controller_epoch: ControllerEpoch(2),
        node: Some(node()),
        node_epoch: NodeEpoch(9),
    }
}

/// One message of each kind.
fn messages() -> Vec<Message> {
    vec![
        Message::Register(Register {
            role: Role::DataNode,
            site: site("10.1.1.1", "P1-NODE1"),
            incarnation: Incarnation::new(id(6)),
            attempt: 3,
            host: HostId::new(id(7)),
            controller_site: site("10.1.1.7", "master"),
            lan_cluster: true,
            build: "0.1.0".to_owned(),
            process: process(),
            witness: witness(),
        }),
        Message::Registered(Registered {
            incarnation: Incarnation::new(id(6)),
            attempt: 3,
            node_epoch: NodeEpoch(9),
            cluster: ClusterId::new(id(1)),
            lineage: LineageId::new(id(3)),
            instance: Incarnation::new(id(4)),
            controller: alias("master"),
            timeout_ms: 8000,
            lan_cluster: true,
            commit_index: LogIndex(77),
            epoch_starts: vec![
                (ControllerEpoch(1), LogIndex(2)),
                (ControllerEpoch(2), LogIndex(50)),
            ],
            members: 5,
            remarks: vec!["`lanCluster` differs".to_owned()],
            fork: Some(Fork {
                from: LineageId::new(id(8)),
                at: LogIndex(40),
                accepted: true,
            }),
            earlier_forks: vec![Fork {
                from: LineageId::new(id(2)),
                at: LogIndex(7),
                accepted: false,
            }],
            owners: vec![volume_owner()],
            instances: vec![(ControllerEpoch(2), Incarnation::new(id(4)))],
            left_lineages: vec![LineageId::new(id(11))],
            draining: vec![volume_drain()],
        }),
        Message::RegistrationRefused(RegistrationRefused {
            incarnation: Incarnation::new(id(6)),
            attempt: 3,
            refusal: RegistrationRefusal::DuplicateAlias,
            text: "another process has the alias".to_owned(),
            retry_after_ms: 500,
        }),
        Message::Report(Report {
            chunks: 1,
            as_of: 5,
            entries: vec![replica_entry()],
            volumes: vec![volume_facts()],
            damaged: vec![VERSION],
            ..Report::page_of(2, 0, 1)
        }),
        Message::ReportApplied(ReportApplied { report: 2 }),
        Message::Beat(Beat {
            seq: 42,
            acked: 41,
            udp_blocked: false,
            self_fenced: true,
            lag_ms: 3,
            seen_index: LogIndex(77),
            inventory: u64::MAX,
            news: 5,
        }),
        Message::BeatAck(BeatAck {
            seq: 42,
            commit_index: LogIndex(77),
        }),
        Message::Ping(Ping { nonce: 17 }),
        Message::Pong(Pong { nonce: 17 }),
        Message::Fenced(Fenced {
            reason: "a newer registration".to_owned(),
        }),
        Message::Leaving(Leaving {
            reason: "SIGTERM".to_owned(),
        }),
        Message::RollbackSeen(RollbackSeen {
            witness: witness(),
            text: "the node has seen record 77".to_owned(),
        }),
        Message::Probe(Probe {
            controller: site("10.1.1.7", "master"),
            expected: site("10.1.1.1", "P1-NODE1"),
        }),
        Message::ProbeReply(ProbeReply {
            site: site("10.1.1.1", "P1-NODE1"),
            controller_site: site("10.1.1.8", "master"),
            lan_cluster: false,
            state: "connects".to_owned(),
        }),
        Message::Desired(Desired {
            as_of: LogIndex(77),
            restart: RestartPolicy::After(1500),
            nodes: vec![DesiredNode {
                alias: alias("P1-NODE1"),
                version: LogIndex(60),
                run: true,
                endpoint: endpoint("10.1.1.1"),
                node_cfg: "volumes=/disks/b\n".to_owned(),
            }],
        }),
        Message::Children(Children {
            seq: 4,
            table: vec![ChildStatus {
                alias: alias("P1-NODE1"),
                phase: ChildPhase::Waiting,
                version: LogIndex(60),
                process: Some(process()),
                last_exit: Some(ExitNotice {
                    process: process(),
                    exit: ProcessExit::Signal(9),
                }),
                crashes: 2,
                crash_loop: false,
                reason: "crashed".to_owned(),
                log_tail: vec!["the last line".to_owned()],
                config: Some(Digest([7; 16])),
            }],
        }),
        Message::AskChild(AskChild {
            alias: alias("P1-NODE1"),
        }),
        Message::ChildAnswered(ChildAnswered {
            alias: alias("P1-NODE1"),
            node: node(),
            node_epoch: NodeEpoch(9),
        }),
        Message::ReadLog(ReadLog {
            id: RequestId(5),
            alias: alias("P1-NODE1"),
            generation: 1,
            range: LogRange::Tail { len: 4096 },
        }),
        Message::LogRead(LogRead {
            id: RequestId(5),
            piece: Some(LogPiece {
                offset: 10,
                file_len: 14,
                bytes: b"text".to_vec(),
            }),
            error: String::new(),
        }),
        Message::Attach(Attach {
            alias: alias("P1-NODE1"),
            incarnation: Incarnation::new(id(6)),
            process: process(),
        }),
        Message::Attached(Attached {
            incarnation: Incarnation::new(id(6)),
        }),
        Message::DfsAsk(DfsAsk {
            id: RequestId(5),
            token: Some("vqt_7_07".to_owned()),
            address: "10.1.1.9".to_owned(),
            unix_ms: 1_767_225_600_000,
            ask: Ask::Stat {
                path: path("/data"),
            },
        }),
        Message::DfsAnswer(DfsAnswer {
            id: RequestId(5),
            answer: None,
            refusal: Some(Refusal::Busy {
                reason: "too many".to_owned(),
                retry_after: Duration::from_millis(1500),
            }),
        }),
        Message::ReplicaNews(ReplicaNews {
            first: 3,
            changes: vec![
                ReplicaChange::Added(replica_entry()),
                ReplicaChange::Removed(replica_entry()),
                ReplicaChange::Corrupt(replica_entry()),
                ReplicaChange::Moved(replica_entry()),
                ReplicaChange::Cleared(replica_entry()),
            ],
        }),
        Message::NewsApplied(NewsApplied { upto: 5 }),
        Message::Release(Release {
            as_of: LogIndex(77),
            versions: vec![VERSION],
        }),
        Message::WantReport(WantReport {
            reason: "the sums differ".to_owned(),
        }),
        Message::VolumesNow(VolumesNow {
            volumes: vec![volume_facts()],
        }),
        Message::CopyReplica(CopyReplica {
            copy: CopyId(5),
            token: token(),
            len: 300,
            digest: DIGEST,
            sources: vec![replica_place()],
            salvage: true,
        }),
        Message::CopyEnded(CopyEnded {
            copy: CopyId(5),
            epoch: ControllerEpoch(3),
            version: VERSION,
            holder: Some(Holder {
                node: node(),
                epoch: NodeEpoch(9),
                volume: VolumeSlot(1),
            }),
            reason: "none".to_owned(),
        }),
        Message::RescanVolumes(RescanVolumes {
            id: RequestId(6),
            owners: vec![volume_owner()],
            forget: Some("/disks/b".to_owned()),
            draining: vec![volume_drain()],
            named: Some("/disks/b".to_owned()),
        }),
        Message::VolumesRescanned(VolumesRescanned {
            id: RequestId(6),
            volumes: vec![RescannedVolume {
                was: VolumeState::Missing,
                opened: true,
                now: volume_facts(),
            }],
            refused: "it is in use".to_owned(),
        }),
        Message::VolumeOrders(VolumeOrders {
            owners: vec![volume_owner()],
            draining: vec![volume_drain()],
        }),
        Message::Figures(figures()),
    ]
    .into_iter()
    .chain(mirror_messages())
    .collect()
}

fn mirror_messages() -> Vec<Message> {
    let part = LogPart::Segment(LogIndex(21));
    let copy = MirrorCopy {
        parts: vec![
            PartHeld {
                part: LogPart::Checkpoint(LogIndex(20)),
                len: 900,
            },
            PartHeld { part, len: 64 },
        ],
        end: Some(MirrorEnd {
            lineage: LineageId::new(id(8)),
            index: LogIndex(25),
            epoch: ControllerEpoch(3),
            instances: vec![(ControllerEpoch(3), Incarnation::new(id(4)))],
            starts: vec![(ControllerEpoch(3), LogIndex(22))],
        }),
        last_sum: 0x1234_5678,
        fault: "none".to_owned(),
    };
    vec![
        Message::MirrorOpen(MirrorOpen {
            session: 4,
            keep: true,
        }),
        Message::MirrorHas(MirrorHas {
            session: 4,
            copy: copy.clone(),
        }),
        Message::MirrorPiece(MirrorPiece {
            session: 4,
            part,
            offset: 64,
            bytes: b"bytes of a log".to_vec(),
            upto: LogIndex(26),
            anew: true,
            complete: true,
        }),
        Message::MirrorKept(MirrorKept {
            session: 4,
            part,
            len: 78,
            fault: "none".to_owned(),
        }),
        Message::MirrorSettled(MirrorSettled { session: 4 }),
        Message::MirrorSurvey(MirrorSurvey { nonce: 9 }),
        Message::MirrorSurveyed(MirrorSurveyed {
            nonce: 9,
            witness: witness(),
            present: copy.clone(),
            aside: copy,
            hears_controller: true,
        }),
        Message::MirrorRead(MirrorRead {
            nonce: 10,
            aside: true,
            part,
            offset: 64,
            len: 14,
        }),
        Message::MirrorBytes(MirrorBytes {
            nonce: 10,
            bytes: b"bytes of a log".to_vec(),
            fault: "none".to_owned(),
        }),
    ]
}

/// Each value is another one, so that two that are mistaken for each other are noticed.
fn figures() -> Figures {
    Figures {
        uptime_ms: 1,
        memory_bytes: 2,
        memory_max_bytes: 3,
        cpu_us: 4,
        load_milli: 5,
        connections: 6,
        connections_max: 7,
        workers: 8,
        threads: 9,
        disk_read_bytes: 10,
        disk_written_bytes: 11,
        sent_bytes: 12,
        received_bytes: 13,
        chunks_read: 14,
        chunks_written: 15,
        reading: 16,
        writing: 17,
        operation_median_10_ns: 18,
        operation_max_10_ns: 19,
        operation_median_100_ns: 20,
        operation_max_100_ns: 21,
        beat_latency_ns: 22,
        beat_latency_total_ns: u64::MAX,
    }
}

#[test]
fn every_kind_of_message_has_a_golden_file_that_is_read_and_written() {
    let told: BTreeSet<(u16, &str)> = messages().iter().map(|it| (it.kind(), it.name())).collect();
    assert_eq!(told, Message::KINDS.iter().copied().collect());
    let encoded = |message: Message| (message.name().to_owned(), message.encode(envelope()));
    assert_written("messages", messages().into_iter().map(encoded));

    let stored = golden("messages");
    for message in messages() {
        let (kind, name) = (message.kind(), message.name());
        let expected = Ok(Some((envelope(), message)));
        let bytes = &stored[name];
        assert_eq!(Message::decode(kind, bytes), expected, "{name}");
        let longer = later_version::longer_letter(bytes).unwrap();
        assert_ne!(&longer, bytes);
        assert_eq!(
            Message::decode(kind, &longer),
            expected,
            "{name} with fields more"
        );
    }
}
