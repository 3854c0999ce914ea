//! What this process and its host use at this moment.

use std::fs;

use rustix::param::page_size;
use rustix::system::sysinfo;
use rustix::time::{ClockId, clock_gettime};

use super::proc;
use super::stream::Traffic;
use crate::env::Usage;

/// Measures: three system calls and two files of `/proc`, which are no files of a disk.
pub(super) fn of_this_process(traffic: &Traffic) -> Usage {
    let (sent_bytes, received_bytes, connections) = traffic.counts();
    let (threads, pages) = fs::read("/proc/self/stat")
        .ok()
        .and_then(|line| proc::parse_size(&String::from_utf8_lossy(&line)))
        .unwrap_or_default();
    let (disk_read_bytes, disk_written_bytes) = fs::read_to_string("/proc/self/io")
        .map(|text| parse_io(&text))
        .unwrap_or_default();
    Usage {
        memory_bytes: pages.saturating_mul(page_size() as u64),
        cpu_us: cpu_us(),
        load_milli: load_milli(),
        threads,
        disk_read_bytes,
        disk_written_bytes,
        sent_bytes,
        received_bytes,
        connections,
    }
}

/// Finer than the clock ticks that `/proc` counts in.
fn cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1000)
}

fn load_milli() -> u64 {
    let [one_minute, ..] = sysinfo().loads;
    // The kernel counts in parts of 2^16.
    u64::try_from((u128::from(one_minute) * 1000) >> 16).unwrap_or(u64::MAX)
}

/// Bytes read from disks and written to them, out of `/proc/self/io`: not those of `rchar` and `wchar`,
/// which count what caches and sockets gave and took as well.
pub(super) fn parse_io(text: &str) -> (u64, u64) {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().and_then(|value| value.trim().parse().ok())
    };
    let of = |name| value(name).unwrap_or(0);
    (of("read_bytes:"), of("write_bytes:"))
}
