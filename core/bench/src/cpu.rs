//! What processes have used: processor time and memory, as Linux tells it.

use std::fs;
use std::time::Duration;

/// How long a tick is in `/proc`, whatever the kernel's own are.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of this process so far, as [`of`] tells it.
#[must_use]
pub fn own() -> Duration {
    of(&[std::process::id()])
}

/// Processor time of processes so far, user and system, all their threads together, those that have
/// ended too. Processes that are gone count as nothing. What lies between two looks is exact to two
/// ticks of 10 ms for each process: one of its user time, one of its system time.
#[must_use]
pub fn of(pids: &[u32]) -> Duration {
    pids.iter().filter_map(|&pid| of_one(pid)).sum()
}

fn of_one(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold any character, parentheses too.
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Pages that are in memory.
    pub resident_kib: u64,
    /// Of these, the ones that belong to no file: what the process has put there itself.
    pub anonymous_kib: u64,
    /// All that are in memory, each page divided by the number of processes that have it.
    pub proportional_kib: u64,
    /// The most that was ever resident.
    pub peak_kib: u64,
}

/// Memory of a process; nothing for one that is gone.
#[must_use]
pub fn memory(pid: u32) -> Memory {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Memory {
        resident_kib: field("status", "VmRSS:").unwrap_or_default(),
        anonymous_kib: field("status", "RssAnon:").unwrap_or_default(),
        proportional_kib: field("smaps_rollup", "Pss:").unwrap_or_default(),
        peak_kib: field("status", "VmHWM:").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_time_and_memory() {
        let mut sum = 0_u64;
        while own() < Duration::from_millis(1) {
            sum = sum.wrapping_add(1);
        }
        assert!(sum > 0);
        assert!(memory(std::process::id()).resident_kib > 0);
        assert_eq!(memory(0), Memory::default());
    }
}
