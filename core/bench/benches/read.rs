//! What it costs to read a chunk that is in the page cache: through the data plane of the node that
//! keeps it, which finds the chunk, reads it and checks it against its checksums; the same across a data
//! connection to another node, which checks it again; a plain read of the same bytes of the same file;
//! and a copy of them in memory. How many times as long each takes as the plain read is measured by
//! turns in the same run.
//!
//! The machine behind the data plane knows one chunk. Everything else is the product's, as it runs in a
//! data node, with the sockets and files of this machine. Only the threads are laid out otherwise: both
//! nodes share a runtime of two workers, which run their machines too, while in a process of the product
//! the machine has a thread of its own.
//!
//! `cargo bench -p vaquita-bench --features criterion --bench read`
#![expect(clippy::print_stdout, reason = "a comparison is printed")]

use core::hint::black_box;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use vaquita_bench::content::Content;
use vaquita_bench::ratio::{self, compare};
use vaquita_core::admin::Refusal;
use vaquita_core::dfs::digest::Summary;
use vaquita_core::dfs::ids::{ChunkId, ChunkVersion, VolumeSlot};
use vaquita_core::disk::FileName;
use vaquita_core::ids::{Alias, ControllerEpoch, Endpoint};
use vaquita_core::io::{Effect, ExitCode, ExitReason, Input, Machine};
use vaquita_core::secret::ClusterSecret;
use vaquita_core::store::{Extent, StoreAnswer, StoreAsk};
use vaquita_core::time::Timestamp;
use vaquita_node::data::{Data, DataLimits, DataSettings, Peer, Wanted, data};
use vaquita_node::driver::{
    DriverLimits, NoHttp, PasswordCost, Terminator, Wiring, bind, front, run, terminator,
};
use vaquita_node::env::Env as _;
use vaquita_node::os_env::OsEnv;

const SIZES: [usize; 3] = [4 << 10, 1 << 20, 64 << 20];
/// The only file of the volume: the bytes of the chunk, then their checksums.
const FILE: &str = "bench.bytes";

/// A machine that has one chunk.
struct Keeper {
    extent: Extent,
    opened: mpsc::UnboundedSender<()>,
    effects: VecDeque<Effect>,
}

impl Machine for Keeper {
    fn handle(&mut self, _: Timestamp, input: Input) {
        match input {
            Input::VolumeOpened { .. } => drop(self.opened.send(())),
            Input::Store { id, ask } => {
                let reply = match ask {
                    StoreAsk::Find { .. } => Ok(StoreAnswer::Found {
                        volume: VolumeSlot(0),
                        extent: self.extent.clone(),
                    }),
                    _ => Err(Refusal::Invalid {
                        reason: "nothing but reading here".to_owned(),
                    }),
                };
                self.effects.push_back(Effect::StoreReply { id, reply });
            }
            Input::Terminate => self.effects.push_back(Effect::Exit(ExitReason {
                code: ExitCode::Success,
                message: "ended".to_owned(),
            })),
            _ => {}
        }
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn check_invariants(&self) {}
}

/// A node that runs.
struct Node {
    data: Data<OsEnv>,
    peer: Peer,
    terminator: Terminator,
    exit: JoinHandle<ExitReason>,
}

impl Node {
    async fn start(env: &OsEnv, name: &str, home: &Path, extent: &Extent) -> Self {
        let alias = Alias::new(name).expect("a legal alias");
        let secret = ClusterSecret::new(core::array::from_fn(|at| at as u8));
        let settings = DataSettings {
            alias: alias.clone(),
            build: "bench".to_owned(),
            secret: Some(secret.expect("bytes that are not all alike are a secret")),
            volumes: vec![home.join("volume")],
            limits: DataLimits::default(),
        };
        let (data, end) = data(env, settings);
        let limits = DriverLimits::default();
        let (_, questions) = front(&limits);
        let (terminator, termination) = terminator();
        let (opened, mut is_open) = mpsc::unbounded_channel();
        let machine = Keeper {
            extent: extent.clone(),
            opened,
            effects: VecDeque::from([Effect::OpenVolume {
                slot: VolumeSlot(0),
            }]),
        };
        let mut endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let port = bind(env, &endpoint, &limits).await.expect("a free port");
        endpoint.port = port.address().port();
        let wiring = Wiring {
            port,
            limits,
            disk: env
                .open_disk(&home.join("meta"))
                .await
                .expect("a fresh directory"),
            processes: None,
            data: Some(end),
            http: NoHttp,
            tls: vaquita_node::tls::PortTls::default(),
            questions,
            termination,
            password_cost: PasswordCost::default(),
            build_checkpoint: None,
            on_event: None,
        };
        let exit = tokio::spawn(run(env.clone(), machine, wiring));
        is_open.recv().await.expect("the volume is opened");
        Self {
            data,
            peer: Peer { alias, endpoint },
            terminator,
            exit,
        }
    }
}

/// Two nodes, one of which has a chunk of this size.
struct Rig {
    runtime: Runtime,
    keeper: Node,
    other: Node,
    wanted: Wanted,
    plain: File,
    size: usize,
    homes: [TempDir; 2],
}

impl Rig {
    fn new(content: &Content, size: usize) -> Self {
        let bytes = content.of(1, size);
        let summary = Summary::of(bytes);
        let extent = Extent {
            file: FileName::fixed(FILE),
            offset: 0,
            len: summary.len,
            digest: summary.digest,
            crcs_at: summary.len,
        };
        let chunk = ChunkId::new(ControllerEpoch(1), 1).expect("there are not that many chunks");
        let wanted = Wanted {
            version: ChunkVersion::first(chunk),
            len: summary.len,
            digest: summary.digest,
            even_damaged: false,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let home = || TempDir::new().expect("a directory for temporary files");
        let homes = [home(), home()];
        let (keeper, other) = runtime.block_on(async {
            let env = OsEnv::new().expect("a system with /proc");
            let keeper = Node::start(&env, "keeper", homes[0].path(), &extent).await;
            let other = Node::start(&env, "other", homes[1].path(), &extent).await;
            (keeper, other)
        });
        let path = homes[0].path().join("volume").join(FILE);
        let crcs = summary.blocks.iter().flat_map(|crc| crc.to_le_bytes());
        let all: Vec<u8> = bytes.iter().copied().chain(crcs).collect();
        fs::write(&path, all).expect("there is room");
        Self {
            runtime,
            keeper,
            other,
            wanted,
            plain: File::open(&path).expect("it was just written"),
            size,
            homes,
        }
    }

    /// Reads the chunk from its keeper, by the data plane of this node.
    fn fetch(&self, by: &Node) {
        self.runtime.block_on(async {
            let len = self.wanted.len;
            let fetching = by.data.fetch(&self.keeper.peer, self.wanted, 0, len).await;
            let mut fetching = fetching.expect("the chunk is there");
            let mut all = 0;
            while let Some(piece) = fetching.next().await {
                all += black_box(piece.expect("the bytes are right")).len();
            }
            assert_eq!(all, self.size);
        });
    }

    /// Reads the same bytes from the file, as long a piece at a time as the data plane does.
    fn pread(&self, piece: &mut [u8]) {
        let mut at = 0;
        while at < self.size {
            let len = piece.len().min(self.size - at);
            let part = &mut piece[..len];
            self.plain
                .read_exact_at(part, at as u64)
                .expect("the file is there");
            black_box(part);
            at += len;
        }
    }

    fn piece(&self) -> Vec<u8> {
        vec![0; self.size.min(DataLimits::default().piece_max)]
    }

    fn end(self) {
        self.runtime.block_on(async {
            for node in [self.keeper, self.other] {
                node.terminator.terminate();
                node.exit.await.expect("a driver that ends");
            }
        });
        drop(self.homes);
    }
}

fn each(criterion: &mut Criterion) {
    let content = Content::new(SIZES[2]);
    for size in SIZES {
        let rig = Rig::new(&content, size);
        let mut group = criterion.benchmark_group("read");
        group.throughput(Throughput::Bytes(size as u64));
        group.sample_size(20);
        let id = |name| BenchmarkId::new(name, size);
        let (from, mut to) = (content.of(1, size), vec![0; size]);
        group.bench_function(id("memcpy"), |bencher| {
            bencher.iter(|| black_box(&mut to).copy_from_slice(black_box(from)));
        });
        let mut piece = rig.piece();
        group.bench_function(id("pread"), |bencher| {
            bencher.iter(|| rig.pread(&mut piece));
        });
        group.bench_function(id("here"), |bencher| {
            bencher.iter(|| rig.fetch(&rig.keeper));
        });
        group.bench_function(id("from_another_node"), |bencher| {
            bencher.iter(|| rig.fetch(&rig.other));
        });
        group.finish();
        rig.end();
    }
}

fn ratios(_: &mut Criterion) {
    if !ratio::is_wanted() {
        return;
    }
    let content = Content::new(SIZES[2]);
    println!("times as long as a plain read from the page cache, in the same run");
    for size in SIZES {
        let rig = Rig::new(&content, size);
        let mut piece = rig.piece();
        let (from, mut to) = (content.of(1, size), vec![0; size]);
        let mut against = |name: &str, work: &mut dyn FnMut()| {
            let ratio = compare(work, || rig.pread(&mut piece));
            println!(
                "  {name:<18} {size:>9} bytes: {:>6.2} × ({:.2} GB/s; pread {:.2} GB/s)",
                ratio.times,
                size as f64 / ratio.subject / 1e9,
                size as f64 / ratio.limit / 1e9,
            );
        };
        against("memcpy", &mut || {
            black_box(&mut to).copy_from_slice(black_box(from));
        });
        against("here", &mut || rig.fetch(&rig.keeper));
        against("from another node", &mut || rig.fetch(&rig.other));
        rig.end();
    }
}

criterion_group!(benches, each, ratios);
criterion_main!(benches);
