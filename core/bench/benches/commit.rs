//! What a put costs the controller: the frames of entries are opened, the client's token is looked up,
//! places are chosen and signed, the commit is checked, applied and appended to the log; then the nodes
//! tell that they have the chunk. All by the real machine, from one frame to the next.
//!
//! 64 puts are under way at a time, as of 64 clients: the first commit goes to the disk alone and the
//! others together behind it, so that 64 commits take two syncs.
//!
//! `cargo bench -p vaquita-bench --features criterion --bench commit`

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use vaquita_bench::rig::{Directory, Disk, NoDisk, Puts, Rig};
use vaquita_core::dfs::ask::Answer;
use vaquita_core::io::Input;
use vaquita_core::secret::ClusterSecret;
use vaquita_core::wire::keys::Keyring;

const NODES: u16 = 16;
const CLIENTS: u64 = 64;

/// How long each part of so many rounds of puts took.
#[derive(Clone, Copy, Default)]
struct Parts {
    allocate: Duration,
    commit: Duration,
    news: Duration,
}

struct Load<D> {
    rig: Rig<D>,
    puts: Puts,
}

impl<D: Disk> Load<D> {
    fn new(disk: D) -> Self {
        let secret = ClusterSecret::new(core::array::from_fn(|at| at as u8))
            .expect("bytes that are not all alike are a secret");
        let keyring = Keyring::new(Some(&secret));
        let mut rig = Rig::new(Some(&secret), NODES, disk);
        let nodes = rig.register_all(NODES, &keyring);
        let puts = Puts::new(nodes);
        Self { rig, puts }
    }

    /// One round: as many puts as there are clients.
    fn round(&mut self, clients: u64, parts: &mut Parts) {
        self.puts.make_directories(&mut self.rig, clients);
        let (begun, asks): (Vec<u64>, Vec<Input>) =
            self.puts.allocations(clients).into_iter().unzip();
        parts.allocate += self.tell(asks);
        let open = self.puts.places(&mut self.rig, &begun);
        assert_eq!(open.len() as u64, clients, "every put has places");
        let news = open.clone();
        let commits = self.puts.commits(open);
        parts.commit += self.tell(commits);
        let committed = self.puts.answers(&mut self.rig);
        let right = |answer: &Answer| matches!(answer, Answer::Committed(_));
        assert!(committed.iter().all(right) && committed.len() as u64 == clients);
        let news = self.puts.news(&news);
        parts.news += self.tell(news);
        self.puts.answers(&mut self.rig);
    }

    /// Hands over frames, then lets the disk work; returns how long all of it took.
    fn tell(&mut self, frames: Vec<Input>) -> Duration {
        let began = Instant::now();
        for frame in frames {
            self.rig.tell(frame);
        }
        self.rig.settle();
        began.elapsed()
    }

    fn rounds(&mut self, clients: u64, count: u64) -> Parts {
        let mut parts = Parts::default();
        for _ in 0..count {
            self.round(clients, &mut parts);
        }
        parts
    }
}

/// One of the parts, or several together.
type Part = fn(Parts) -> Duration;

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("puts_of_64_clients_without_a_disk");
    group.throughput(Throughput::Elements(CLIENTS));
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(3));
    let of: [(&str, Part); 4] = [
        ("allocate", |it| it.allocate),
        ("commit", |it| it.commit),
        ("news", |it| it.news),
        ("all", |it| it.allocate + it.commit + it.news),
    ];
    for (name, part) in of {
        // A fresh one each, so that none works on more files than another.
        let mut load = Load::new(NoDisk);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| part(load.rounds(CLIENTS, count)));
        });
    }
    group.finish();
}

fn on_disk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commits_with_a_disk");
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(5));
    for clients in [1, 8, CLIENTS, 256] {
        group.throughput(Throughput::Elements(clients));
        let home = TempDir::new().expect("a directory for temporary files");
        let disk = Directory::open(&home.path().join("meta")).expect("a fresh directory");
        let mut load = Load::new(disk);
        group.bench_function(clients.to_string(), |bencher| {
            bencher.iter_custom(|count| load.rounds(clients, count).commit);
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("append_and_fdatasync");
    let home = TempDir::new().expect("a directory for temporary files");
    let mut file = std::fs::File::create(home.path().join("plain")).expect("a fresh directory");
    for len in [200, 200 * CLIENTS as usize] {
        let bytes = vec![7; len];
        group.bench_function(format!("{len}_bytes"), |bencher| {
            bencher.iter(|| {
                std::io::Write::write_all(&mut file, &bytes).expect("there is room");
                file.sync_data().expect("a disk that works");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parts, on_disk);
criterion_main!(benches);
