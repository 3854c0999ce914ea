//! What the checksums of chunks cost: BLAKE3 of all bytes and a crc32 of each 64 KiB, which writers
//! make of what they send and replicas of what they get; and the crc32 alone, which every read checks.
//! Beside them a copy of the same bytes in memory, and how many times as long each takes, measured by
//! turns in the same run.
//!
//! `cargo bench -p vaquita-bench --features criterion --bench checksum`
#![expect(clippy::print_stdout, reason = "a comparison is printed")]

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vaquita_bench::content::Content;
use vaquita_bench::ratio::{self, compare};
use vaquita_core::dfs::digest::{BLOCK, Digest, Summary};

const SIZES: [usize; 3] = [4 << 10, 1 << 20, 64 << 20];

/// What a reader does with blocks.
fn crcs(bytes: &[u8]) -> u32 {
    bytes
        .chunks(BLOCK)
        .fold(0, |sum, block| sum ^ crc32fast::hash(block))
}

fn each(criterion: &mut Criterion) {
    let content = Content::new(SIZES[2]);
    for size in SIZES {
        let bytes = content.of(1, size);
        let mut copy = vec![0; size];
        let mut group = criterion.benchmark_group("checksum");
        group.throughput(Throughput::Bytes(size as u64));
        group.sample_size(20);
        let id = |name| BenchmarkId::new(name, size);
        group.bench_function(id("memcpy"), |bencher| {
            bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(bytes)));
        });
        group.bench_function(id("crc32"), |bencher| {
            bencher.iter(|| crcs(black_box(bytes)));
        });
        group.bench_function(id("blake3"), |bencher| {
            bencher.iter(|| Digest::of(black_box(bytes)));
        });
        group.bench_function(id("summary"), |bencher| {
            bencher.iter(|| Summary::of(black_box(bytes)));
        });
        group.finish();
    }
}

fn ratios(_: &mut Criterion) {
    if !ratio::is_wanted() {
        return;
    }
    let content = Content::new(SIZES[2]);
    println!("times as long as memcpy, in the same run");
    for size in SIZES {
        let bytes = content.of(1, size);
        let mut copy = vec![0; size];
        let mut against = |name: &str, work: &mut dyn FnMut()| {
            let ratio = compare(work, || {
                black_box(&mut copy).copy_from_slice(black_box(bytes));
            });
            println!(
                "  {name:<8} {size:>9} bytes: {:>6.1} × ({:.2} GB/s; memcpy {:.2} GB/s)",
                ratio.times,
                size as f64 / ratio.subject / 1e9,
                size as f64 / ratio.limit / 1e9,
            );
        };
        against("crc32", &mut || {
            black_box(crcs(black_box(bytes)));
        });
        against("blake3", &mut || {
            black_box(Digest::of(black_box(bytes)));
        });
        against("summary", &mut || {
            black_box(Summary::of(black_box(bytes)));
        });
    }
}

criterion_group!(benches, each, ratios);
criterion_main!(benches);
