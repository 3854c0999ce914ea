//! What Linux tells about processes under `/proc`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// The random id the kernel drew at this boot.
pub(super) fn boot_id() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// When a process started, in clock ticks since boot, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) start_ticks: u64,
}

/// Reads a process's `stat`; `None` if there is no such process.
pub(super) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => parse_stat(&String::from_utf8_lossy(&line))
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form"))),
        // ESRCH comes from a process that ended between open and read.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Takes the name and the 22nd field out of a line of `stat`.
///
/// The name stands in parentheses and may itself contain blanks and parentheses, so what counts is
/// the last closing one.
pub(super) fn parse_stat(line: &str) -> Option<Stat> {
    let (head, fields) = line.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    // The field after the name is the third.
    let start_ticks = fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    Some(Stat {
        name: name.to_owned(),
        start_ticks,
    })
}

/// Takes the number of threads and of resident pages out of a line of `stat`: the 20th field and the
/// 24th, counted as [`parse_stat`] does.
pub(super) fn parse_size(line: &str) -> Option<(u64, u64)> {
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(20 - 3);
    let threads = fields.next()?.parse().ok()?;
    let pages = fields.nth(24 - 21)?.parse().ok()?;
    Some((threads, pages))
}

/// Device and inode of the program a process runs.
pub(super) fn executable(pid: u32) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(format!("/proc/{pid}/exe"))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A process in words: `pid 4711 (nginx)`.
pub(super) fn describe(pid: u32) -> String {
    match stat(pid) {
        Ok(Some(stat)) => format!("pid {pid} ({})", stat.name.escape_debug()),
        Ok(None) | Err(_) => format!("pid {pid}"),
    }
}

/// The ids of all processes that can be seen.
pub(super) fn pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}
