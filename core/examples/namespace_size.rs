//! How much memory a million files take in the namespace, and how long a restart works on them.
//!
//! ```text
//! cargo run --release -p vaquita-core --example namespace_size
//! ```
//!
//! Each file has one chunk with two replicas. Bytes are those that were asked of the allocator;
//! names are what their shared strings take, operations what a full table of them takes. Times are
//! those that the processor worked, where the system tells them, so that what else runs on the
//! machine hardly counts.
#![expect(
    unsafe_code,
    reason = "a counting allocator is one that the program's allocator calls"
)]
#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{ChunkId, ChunkVersion, InodeId, OpId};
use vaquita_core::dfs::namespace::{ChunkRecord, DfsRecord, Namespace, OPS_MAX};
use vaquita_core::ids::{ControllerEpoch, LogIndex, NodeId};
use vaquita_core::state::Record;
use vaquita_core::wire::codec;

/// The system's allocator, with a count of the bytes that are in use.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it is; only sizes are counted beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, which is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, which is passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FILES: u64 = 1_000_000;
const REPLAYED: u64 = 100_000;

/// Seconds that the processor has worked for this process.
fn worked() -> f64 {
    let all = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = all.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// A number that looks drawn at random (the finaliser of SplitMix64: Steele, Lea and Flood, 2014).
const fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn op(number: u64) -> OpId {
    let (high, low) = (scatter(number), scatter(number ^ u64::MAX));
    OpId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

fn node(number: u64) -> NodeId {
    NodeId::new(op(number % 16).0)
}

/// The chunk of write number `write`. Writes end a little out of the order in which they began.
fn chunk(write: u64) -> ChunkRecord {
    let id = ChunkId::new(ControllerEpoch(3), write ^ (scatter(write >> 4) & 15));
    ChunkRecord {
        version: ChunkVersion::first(id.expect("there are not that many writes")),
        len: 4096,
        digest: Digest(op(write).0),
        holders: vec![node(scatter(write)), node(scatter(write) + 1)],
    }
}

/// A log of files, and where they are.
struct Writer {
    state: Namespace,
    index: u64,
    writes: u64,
    name_bytes: usize,
    log: Vec<(u64, u16, Vec<u8>)>,
}

impl Writer {
    fn apply(&mut self, record: DfsRecord) {
        self.index += 1;
        let applied = self.state.apply(LogIndex(self.index), &record);
        assert_eq!(applied.unfit, None, "{record:?}");
    }

    fn put(&mut self, parent: InodeId, name: String) -> DfsRecord {
        self.writes += 1;
        DfsRecord::FilePut {
            op: op(self.index),
            parent,
            name,
            chunks: vec![chunk(self.writes)],
            unix_ms: 1_800_000_000_000 + self.index,
        }
    }

    /// Applies a record, and keeps it as the log has it.
    fn keep(&mut self, record: DfsRecord) {
        let (kind, bytes) = Record::Dfs(record.clone()).encode();
        self.apply(record);
        self.log.push((self.index, kind, bytes));
    }
}

/// Bytes of a shared string: two counts, the text, and what aligns it.
const fn shared(name: &str) -> usize {
    (16 + name.len()).next_multiple_of(8)
}

fn file_name(number: u64, scattered: bool) -> String {
    if scattered {
        format!("part-{:016x}", scatter(number))
    } else {
        format!("part-{number:016}")
    }
}

fn op_table_bytes() -> usize {
    let before = live();
    let mut state = Namespace::default();
    for index in 1..=2 * OPS_MAX as u64 {
        let record = DfsRecord::Removed {
            op: op(index),
            parent: InodeId::ROOT,
            name: String::new(),
        };
        drop(state.apply(LogIndex(index), &record));
    }
    live() - before
}

fn report(what: &str, state_bytes: usize, writer: &Writer, ops: usize) {
    let bare = state_bytes - writer.name_bytes - ops;
    println!(
        "  {what}: {:.1} MB; without names ({:.1} MB) and operations ({:.1} MB): {:.1} bytes a chunk",
        state_bytes as f64 / 1e6,
        writer.name_bytes as f64 / 1e6,
        ops as f64 / 1e6,
        bare as f64 / FILES as f64
    );
}

fn measure(files_per_directory: u64, scattered: bool) {
    let order = if scattered { "scattered" } else { "ascending" };
    println!("{FILES} files, {files_per_directory} a directory, names {order}");
    let ops = op_table_bytes();
    let before = live();
    let mut writer = Writer {
        state: Namespace::default(),
        index: 0,
        writes: 0,
        name_bytes: 0,
        log: Vec::new(),
    };
    let began = worked();
    let mut directory = InodeId::ROOT;
    for number in 0..FILES {
        if number % files_per_directory == 0 {
            let name = format!("d{number}");
            writer.name_bytes += shared(&name);
            let made = DfsRecord::DirMade {
                op: op(writer.index),
                parent: InodeId::ROOT,
                name,
                unix_ms: 1_800_000_000_000,
            };
            writer.apply(made);
            directory = InodeId(writer.index);
        }
        let name = file_name(number, scattered);
        writer.name_bytes += shared(&name);
        let put = writer.put(directory, name);
        writer.apply(put);
    }
    let took = worked() - began;
    println!("  applied in {:.2} s", took);
    report("memory as it grew", live() - before, &writer, ops);

    let began = worked();
    let checkpoint = codec::encode(&writer.state);
    println!(
        "  checkpoint: {:.1} MB, encoded in {:.2} s",
        checkpoint.len() as f64 / 1e6,
        worked() - began
    );
    write_more(&mut writer, directory, files_per_directory, scattered);
    restart(&checkpoint, &writer, ops);
}

/// A log of puts, replacements, renames and removals in the last directory.
fn write_more(writer: &mut Writer, directory: InodeId, files: u64, scattered: bool) {
    for number in 0..REPLAYED {
        let old = || file_name(FILES - 1 - number % files.min(REPLAYED / 10), scattered);
        let record = match number % 10 {
            0..=5 => writer.put(directory, format!("new-{:016x}", scatter(number))),
            6 | 7 => writer.put(directory, old()),
            8 => DfsRecord::Renamed {
                op: op(writer.index),
                from_parent: directory,
                from_name: format!("new-{:016x}", scatter(number - 3)),
                to_parent: InodeId::ROOT,
                to_name: format!("moved-{:016x}", scatter(number)),
            },
            _ => DfsRecord::Removed {
                op: op(writer.index),
                parent: directory,
                name: format!("new-{:016x}", scatter(number - 5)),
            },
        };
        writer.keep(record);
    }
}

fn restart(checkpoint: &[u8], writer: &Writer, ops: usize) {
    let before = live();
    let began = worked();
    let mut state: Namespace = codec::decode("checkpoint", checkpoint).expect("it was encoded");
    let decoded = worked() - began;
    report("memory after a restart", live() - before, writer, ops);
    let began = worked();
    for (index, kind, bytes) in &writer.log {
        match Record::decode(*kind, bytes) {
            Ok(Record::Dfs(record)) => drop(state.apply(LogIndex(*index), &record)),
            other => panic!("a record of the file system was encoded: {other:?}"),
        }
    }
    let replayed = worked() - began;
    assert_eq!(state, writer.state, "a restart leads to the same state");
    println!(
        "  restart: checkpoint {:.2} s, {REPLAYED} records {:.2} s",
        decoded, replayed
    );
}

fn main() {
    measure(1000, false);
    measure(1000, true);
    measure(FILES, true);
}
