//! The words about files: questions, answers, and what data connections carry.

use super::*;
use crate::dfs::ask::Who;

// ---- questions about files, and answers ----

/// The name of a question's file. Whoever adds a question is led here by the compiler, and owes an
/// instance below.
const fn ask_name(ask: &Ask) -> &'static str {
    match ask {
        Ask::Stat { .. } => "Stat",
        Ask::List { .. } => "List",
        Ask::Usage { .. } => "Usage",
        Ask::MakeDir { .. } => "MakeDir",
        Ask::Remove { .. } => "Remove",
        Ask::Rename { .. } => "Rename",
        Ask::Lookup { .. } => "Lookup",
        Ask::Allocate { .. } => "Allocate",
        Ask::Replace { .. } => "Replace",
        Ask::Renew { .. } => "Renew",
        Ask::Commit(_) => "Commit",
        Ask::Abort { .. } => "Abort",
        Ask::Outcome { .. } => "Outcome",
        Ask::Chunks { .. } => "Chunks",
        Ask::Chunk { .. } => "Chunk",
        Ask::Volumes => "Volumes",
        Ask::Authorize { .. } => "Authorize",
        Ask::Repairs => "Repairs",
        Ask::SuspendRepair { .. } => "SuspendRepair",
        Ask::Unknown { .. } => "Unknown",
        Ask::History { .. } => "History",
        Ask::SettleLoss => "SettleLoss",
        Ask::WhoAmI => "WhoAmI",
    }
}

fn asks() -> Vec<Ask> {
    vec![
        Ask::Stat {
            path: path("/data"),
        },
        Ask::List {
            path: path("/data"),
            after: Some("a.csv".to_owned()),
            limit: 1000,
        },
        Ask::Usage { path: path("/") },
        Ask::MakeDir {
            op: OP,
            path: path("/data"),
            parents: true,
            unix_ms: 1_767_225_600_000,
        },
        Ask::Remove {
            op: OP,
            path: path("/data"),
            recursive: true,
            expect: Expect::Something,
        },
        Ask::Rename {
            op: OP,
            from: path("/data/a.csv"),
            to: path("/data/b.csv"),
            replace: true,
        },
        Ask::Lookup {
            path: path("/data/a.csv"),
            first_chunk: 1024,
            chunks: 1024,
        },
        Ask::Allocate {
            op: OP,
            path: path("/data/a.csv"),
            expect: Expect::Nothing,
            lens: vec![4096, 300],
            avoid: vec![node()],
        },
        Ask::Replace {
            op: OP,
            chunk: VERSION,
            len: 300,
            failed: vec![NodeId::new(id(0x5b))],
            written: vec![node()],
        },
        Ask::Renew { op: OP },
        Ask::Commit(commit()),
        Ask::Abort {
            op: OP,
            chunks: vec![VERSION],
        },
        Ask::Outcome { op: OP },
        Ask::Chunks {
            after: Some(VERSION.chunk),
            limit: 100,
            unwell_only: true,
            below: Some(path("/data")),
        },
        Ask::Chunk {
            chunk: VERSION.chunk,
        },
        Ask::Volumes,
        Ask::Authorize {
            right: Right::DfsWrite,
        },
        Ask::Repairs,
        Ask::SuspendRepair { suspend: true },
        Ask::Unknown {
            after: Some(VERSION.chunk),
            limit: 100,
        },
        Ask::SettleLoss,
        Ask::History {
            chunk: Some(VERSION.chunk),
            before: Some(17),
            limit: 100,
        },
        Ask::WhoAmI,
    ]
}

#[test]
fn every_question_about_files_has_a_golden_file_that_is_read_and_written() {
    let named = asks().into_iter().map(|ask| (ask_name(&ask), ask));
    assert_read("asks", named.collect());
}

/// See [`ask_name`].
const fn answer_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done => "Done",
        Answer::Entry(_) => "Entry",
        Answer::Listing(_) => "Listing",
        Answer::Usage(_) => "Usage",
        Answer::Removed(_) => "Removed",
        Answer::File(_) => "File",
        Answer::Allocated(_) => "Allocated",
        Answer::Committed(_) => "Committed",
        Answer::Outcome(_) => "Outcome",
        Answer::Chunks(_) => "Chunks",
        Answer::Volumes(_) => "Volumes",
        Answer::Repairs(_) => "Repairs",
        Answer::Unknown(_) => "Unknown",
        Answer::History(_) => "History",
        Answer::You(_) => "You",
    }
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Done,
        Answer::You(Who {
            user: "olga".to_owned(),
            admin: false,
            rights: vec![Right::Operate, Right::DfsRead],
            must_change_password: true,
        }),
        Answer::Entry(entry()),
        Answer::Listing(Listing {
            path: path("/data"),
            entries: vec![entry()],
            more: true,
        }),
        Answer::Usage(usage()),
        Answer::Removed(usage()),
        Answer::File(FileLayout {
            entry: entry(),
            first_chunk: 0,
            first_offset: 0,
            chunks: vec![ChunkPlace {
                version: VERSION,
                len: 300,
                digest: DIGEST,
                replicas: vec![replica_place()],
            }],
            remark: Some("a remark".to_owned()),
        }),
        Answer::Allocated(Allocation {
            grants: vec![ChunkGrant {
                token: token(),
                replicas: vec![replica_place()],
            }],
            factor: 3,
            min_write: 2,
            chunk_bytes: 64 << 20,
        }),
        Answer::Committed(Committed {
            entry: entry(),
            degraded_chunks: 1,
            created: true,
        }),
        Answer::Outcome(Outcome::Done {
            version: FileVersion(34),
        }),
        Answer::Chunks(ChunkPage {
            rows: vec![ChunkRow {
                chunk: VERSION.chunk,
                generation: VERSION.generation,
                path: Some(path("/data/a.csv")),
                number: 0,
                len: 300,
                digest: DIGEST,
                state: ChunkState::Degraded,
                replicas: vec![ReplicaRow {
                    node: alias("P1-NODE1"),
                    state: ReplicaState::Away,
                    volume: Some(VolumeSlot(1)),
                }],
                reason: "one replica is away".to_owned(),
            }],
            more: false,
            upto: Some(VERSION.chunk),
        }),
        Answer::Volumes(vec![VolumeRow {
            node: alias("P1-NODE1"),
            slot: VolumeSlot(1),
            path: "/disks/b".to_owned(),
            id: Some(VolumeId(id(0x70))),
            state: VolumeState::Full,
            capacity: 1 << 40,
            free: 1 << 30,
            chunks: 12,
            chunk_bytes: 345_678,
            reason: "96 % full".to_owned(),
            for_ms: 65_000,
            doing: "new chunks go elsewhere".to_owned(),
            admin: VolumeAdmin::Draining,
        }]),
        Answer::Repairs(RepairStatus {
            holds: vec!["suspended".to_owned()],
            surveying: true,
            last_copy: 1,
            degraded: 2,
            misplaced: 3,
            leaving: 4,
            surplus: 4,
            bytes_left: 5,
            copies: vec![CopyRow {
                chunk: VERSION.chunk,
                path: Some(path("/data/a.csv")),
                len: 300,
                from: alias("P1-NODE1"),
                to: alias("P2-NODE1"),
                since_ms: 20,
                reason: "1 of 2 replicas are there".to_owned(),
            }],
            stuck: vec![StuckRow {
                chunk: VERSION.chunk,
                since_ms: 30_000,
                reason: "no node has room".to_owned(),
            }],
            copied: 6,
            copied_bytes: 7,
            failed: 8,
            adopted: 9,
            given_up: 10,
            left_ms: Some(11),
            awaited: vec![AwaitedRow {
                node: alias("P3-NODE1"),
                chunks: 12,
                left_ms: Some(13),
            }],
            unknown: 14,
            unknown_bytes: 15,
        }),
        Answer::Unknown(UnknownPage {
            rows: vec![UnknownRow {
                chunk: VERSION.chunk,
                generation: VERSION.generation,
                len: 300,
                digest: DIGEST,
                nodes: vec![alias("P1-NODE1")],
            }],
            more: true,
        }),
        Answer::History(HistoryPage {
            rows: vec![HistoryRow {
                number: 17,
                ago_ms: 1500,
                what: ReplicaDeed::Copied,
                chunk: VERSION.chunk,
                generation: VERSION.generation,
                len: 300,
                from: Some(alias("P1-NODE1")),
                to: Some(alias("P2-NODE1")),
                given_up: vec!["P3-NODE1".to_owned()],
                took_ms: 20,
                reason: "1 of 2 replicas are there: P3-NODE1 is lost".to_owned(),
            }],
            more: false,
            forgotten: 3,
        }),
    ]
}

#[test]
fn every_answer_about_files_has_a_golden_file_that_is_read_and_written() {
    let named = answers()
        .into_iter()
        .map(|answer| (answer_name(&answer), answer));
    assert_read("answers", named.collect());
}

// ---- data connections ----

/// See [`ask_name`].
const fn request_name(request: &TransferRequest) -> &'static str {
    match request {
        TransferRequest::Store { .. } => "Store",
        TransferRequest::Fetch { .. } => "Fetch",
        TransferRequest::Suspect { .. } => "Suspect",
    }
}

#[test]
fn every_request_of_a_data_connection_has_a_golden_file_that_is_read_and_written() {
    let requests = [
        TransferRequest::Store {
            token: token(),
            len: Some(300),
        },
        TransferRequest::Fetch {
            version: VERSION,
            offset: 65_536,
            len: 300,
            even_damaged: true,
        },
        TransferRequest::Suspect { version: VERSION },
    ];
    let named = requests
        .into_iter()
        .map(|request| (request_name(&request), request));
    assert_read("transfer-requests", named.collect());
}

/// See [`ask_name`].
const fn reply_name(reply: &TransferReply) -> &'static str {
    match reply {
        TransferReply::Prepared { .. } => "Prepared",
        TransferReply::Sending { .. } => "Sending",
        TransferReply::Noted => "Noted",
        TransferReply::Refused(_) => "Refused",
    }
}

#[test]
fn every_reply_of_a_data_connection_has_a_golden_file_that_is_read_and_written() {
    let replies = [
        TransferReply::Prepared {
            holder: holder(),
            len: 300,
            digest: DIGEST,
        },
        TransferReply::Sending {
            chunk_len: 70_000,
            digest: DIGEST,
            offset: 65_536,
            len: 4464,
            blocks: vec![0x1234_5678],
        },
        TransferReply::Noted,
        TransferReply::Refused(Refusal::Stale {
            reason: "the write has ended".to_owned(),
        }),
    ];
    let named = replies.into_iter().map(|reply| (reply_name(&reply), reply));
    assert_read("transfer-replies", named.collect());
}
