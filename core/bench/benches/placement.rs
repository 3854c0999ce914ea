//! How long it takes to find places for the replicas of a chunk.
//!
//! `cargo bench -p vaquita-bench --features criterion --bench placement`

use core::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vaquita_core::dfs::ask::VolumeState;
use vaquita_core::dfs::ids::VolumeSlot;
use vaquita_core::dfs::placement::{
    Candidate, Candidates, Fitness, ReliabilityLevel, Space, VolumeChoice, VolumeRules, Wish,
    choose_volume, place,
};
use vaquita_core::ids::Alias;
use vaquita_core::prng::Prng;

const GIB: u64 = 1 << 30;

fn volume(slot: u16, gib: u64, free_percent: u64) -> VolumeChoice {
    VolumeChoice {
        slot: VolumeSlot(slot),
        state: VolumeState::Good,
        capacity: gib * GIB,
        free: gib * GIB / 100 * free_percent,
    }
}

/// Nodes of unequal size and fill, four a host.
fn candidates(count: usize) -> Candidates {
    let mut prng = Prng::new(1);
    let mut candidates = Candidates::new();
    for slot in 0..count {
        let host = candidates.host(&format!("host{}", slot / 4));
        let gib = 1000 * (1 + prng.below(8));
        let volume = volume(0, gib, 40 + prng.below(20));
        candidates.set(
            slot,
            Candidate {
                alias: Alias::new(&format!("node{slot}")).expect("a legal alias"),
                host,
                fitness: Fitness::Fit,
                space: Space::of(&[volume], &VolumeRules::default()),
            },
        );
    }
    candidates
}

fn places(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place_3_copies");
    group.throughput(Throughput::Elements(1));
    for level in [
        ReliabilityLevel::MayShare,
        ReliabilityLevel::NeverShare,
        ReliabilityLevel::PreferApart,
    ] {
        for count in [10, 100, 1000] {
            let candidates = candidates(count);
            let wish = Wish {
                factor: 3,
                min: 2,
                level,
                size: 64 << 20,
                ..Wish::default()
            };
            let id = BenchmarkId::new(format!("level_{}", level.number()), count);
            let mut prng = Prng::new(2);
            group.bench_function(id, |bencher| {
                bencher.iter(|| place(black_box(&candidates), &wish, &mut || prng.next_u64()));
            });
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("place_3_copies_and_count_them");
    group.throughput(Throughput::Elements(1));
    let mut candidates = candidates(1000);
    let wish = Wish {
        factor: 3,
        min: 2,
        level: ReliabilityLevel::NeverShare,
        size: 4 << 10,
        ..Wish::default()
    };
    let mut prng = Prng::new(2);
    group.bench_function("level_1/1000", |bencher| {
        bencher.iter(|| {
            let placed = place(&candidates, &wish, &mut || prng.next_u64());
            if let Ok(placed) = &placed {
                for &slot in placed.slots() {
                    candidates.took(slot, wish.size);
                }
            }
            placed
        });
    });
    group.finish();
}

fn volumes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose_volume");
    group.throughput(Throughput::Elements(1));
    for count in [1, 4, 12] {
        let volumes: Vec<_> = (0..count)
            .map(|slot| volume(slot, 1000 * (1 + u64::from(slot) % 3), 50))
            .collect();
        let rules = VolumeRules::default();
        let mut prng = Prng::new(3);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                choose_volume(black_box(&volumes), 64 << 20, &rules, &mut || {
                    prng.next_u64()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, places, volumes);
criterion_main!(benches);
