//! The names of the files that were put aside.
//!
//! `log/P1-NODE1.log` becomes `log/20231026090131000_P1-NODE1.log`: local time to the second and
//! three digits to tell apart what happens within it. Of two such names the later one is the
//! greater, even across a change of the clock: a stamp is never at or below one that exists.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

/// Fourteen digits of time and three of order.
const DIGITS: usize = 17;

/// A file that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    pub(super) stamp: u64,
    pub(super) path: PathBuf,
}

/// The files that were put aside of the log `file`, newest first.
pub(super) fn rotated(file: &Path) -> io::Result<Vec<Rotated>> {
    let (folder, name) = split(file);
    let mut found: Vec<Rotated> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let stamp = stamp_of(&entry.file_name(), name)?;
            let path = entry.path();
            Some(Rotated { stamp, path })
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    Ok(found)
}

/// The name under which the log is put aside at `now`, given what was put aside before.
pub(super) fn next(file: &Path, now: DateTime, newest: Option<&Rotated>) -> PathBuf {
    let (folder, name) = split(file);
    let field = |number: i16| u64::try_from(number).unwrap_or(0);
    let stamp = [
        (100, i16::from(now.month())),
        (100, i16::from(now.day())),
        (100, i16::from(now.hour())),
        (100, i16::from(now.minute())),
        (100, i16::from(now.second())),
        (1000, 0),
    ]
    .into_iter()
    .fold(field(now.year()), |stamp, (base, number)| {
        stamp * base + field(number)
    });
    let after = newest.map_or(0, |newest| newest.stamp.saturating_add(1));
    let mut rotated = format!("{:0DIGITS$}_", stamp.max(after));
    rotated.push_str(&name.to_string_lossy());
    folder.join(rotated)
}

fn stamp_of(candidate: &OsStr, name: &OsStr) -> Option<u64> {
    let (stamp, rest) = candidate.to_str()?.split_at_checked(DIGITS)?;
    let rest = rest.strip_prefix('_')?;
    let digits = stamp.bytes().all(|byte| byte.is_ascii_digit());
    (digits && rest == name.to_str()?).then(|| stamp.parse().ok())?
}

pub(super) fn split(file: &Path) -> (&Path, &OsStr) {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    (folder, file.file_name().unwrap_or_default())
}
