//! A directory that an earlier run has begun to fill and not finished: the disk was full, or the
//! power went.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::LOCK;
use super::files;
use crate::cli::exit::Failure;

/// Every file that is there before `controller.cfg`, which is the last one and makes a directory a
/// cluster.
const BEFORE_THE_LAST: [&str; 7] = [
    "cluster.nodes",
    "cluster.cfg",
    "cluster.secret",
    "agent.cfg",
    "admin.password",
    "bootstrap",
    files::LAST_IN_THE_MAKING,
];

/// The deepest directory that is made, `P1/data`, seen from the top.
const DEPTH: u32 = 2;

/// What is in a directory without a `controller.cfg`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remains {
    /// Nothing, or no more than files of an unfinished run: these. No process has run on them.
    Own(Vec<PathBuf>),
    /// Something else as well, such as this.
    Foreign(PathBuf),
}

/// Looks at a directory, which need not exist.
pub(super) fn look(directory: &Path) -> Result<Remains, Failure> {
    let mut own = Vec::new();
    match collect(directory, DEPTH, &mut own) {
        Ok(None) => {}
        Ok(Some(foreign)) => return Ok(Remains::Foreign(foreign)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(files::failed(directory, "cannot be listed", &error)),
    }
    // The lock is the first file of all: without it, somebody else has put the others there.
    let begun = directory.join(LOCK).exists();
    match own.first() {
        Some(first) if !begun => Ok(Remains::Foreign(first.clone())),
        _ => Ok(Remains::Own(own)),
    }
}

/// Collects the files below a directory; returns the first that is none of ours.
fn collect(directory: &Path, depth: u32, own: &mut Vec<PathBuf>) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            if let Some(foreign) = collect(&path, depth - 1, own)? {
                return Ok(Some(foreign));
            }
        } else if kind.is_file() && BEFORE_THE_LAST.iter().any(|known| name == *known) {
            own.push(path);
        } else if !(kind.is_file() && name == LOCK) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Removes what an unfinished run has left.
pub(super) fn clear(remains: &[PathBuf]) -> Result<(), Failure> {
    for path in remains {
        fs::remove_file(path).map_err(|error| files::failed(path, "cannot be removed", &error))?;
    }
    Ok(())
}
