//! What a record costs on its way into the log, and how fast a log is read back.
//!
//! No disk takes part: batches are built as for a disk and answered at once, so that the figures
//! are those of the code. `cargo bench -p vaquita-bench --features criterion --bench metalog`

use std::collections::BTreeMap;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vaquita_core::disk::FileName;
use vaquita_core::ids::{ClusterId, ControllerEpoch, DiskTicket, LineageId, LogIndex};
use vaquita_core::limits::Limits;
use vaquita_core::metalog::{Expected, MetaLog, recover};
use vaquita_core::planted::Planted;

const CLUSTER: ClusterId = ClusterId::new([1; 16]);
const LINEAGE: LineageId = LineageId::new([2; 16]);
const EXPECTED: Expected = Expected {
    cluster: CLUSTER,
    durable: None,
};

type Files = BTreeMap<FileName, Vec<u8>>;

fn new_log() -> MetaLog {
    let files = Files::new();
    let recovered = recover(&files, &EXPECTED).expect("an empty home is a new log");
    MetaLog::resume(
        recovered.end,
        LINEAGE,
        &Limits::default(),
        Planted::default(),
    )
}

/// Carries out all batches of the log at once, keeping what they write if somebody wants it.
fn write_all(log: &mut MetaLog, ticket: &mut DiskTicket, mut files: Option<&mut Files>) {
    let mut next = || {
        *ticket = ticket.next();
        *ticket
    };
    while let Some(batch) = log.poll_batch(&mut next) {
        if let Some(files) = files.as_deref_mut() {
            batch.ops.iter().for_each(|op| op.apply_in_memory(files));
        }
        log.disk_done(batch.ticket, Ok(()));
    }
}

/// Records appended between two batches, as when that many clients wait for each sync.
const RECORDS_TOGETHER: u64 = 64;

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append_and_encode_64_records");
    group.throughput(Throughput::Elements(RECORDS_TOGETHER));
    for len in [64, 256, 1024] {
        let payload = vec![7; len];
        let mut log = new_log();
        let mut ticket = DiskTicket(0);
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                for _ in 0..RECORDS_TOGETHER {
                    log.append(ControllerEpoch(1), 9, &payload);
                }
                write_all(&mut log, &mut ticket, None);
                assert_eq!(log.synced(), log.appended(), "all batches are answered");
            });
        });
    }
    group.finish();
}

fn written(records: u64, len: usize) -> Files {
    let mut files = Files::new();
    let mut log = new_log();
    let mut ticket = DiskTicket(0);
    let payload = vec![7; len];
    while log.appended() < LogIndex(records) {
        for _ in 0..RECORDS_TOGETHER {
            log.append(ControllerEpoch(1), 9, &payload);
        }
        write_all(&mut log, &mut ticket, Some(&mut files));
    }
    files
}

fn recovery(criterion: &mut Criterion) {
    const RECORDS: u64 = 64 * 1600;
    for len in [64, 256, 1024] {
        let files = written(RECORDS, len);
        let bytes: usize = files.values().map(Vec::len).sum();
        for (name, throughput) in [
            ("recover_bytes", Throughput::Bytes(bytes as u64)),
            ("recover_records", Throughput::Elements(RECORDS)),
        ] {
            let mut group = criterion.benchmark_group(name);
            group.sample_size(10);
            group.throughput(throughput);
            group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
                bencher.iter(|| {
                    let recovered = recover(&files, &EXPECTED).expect("nothing is damaged");
                    assert_eq!(recovered.records.len() as u64, RECORDS);
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, append, recovery);
criterion_main!(benches);
