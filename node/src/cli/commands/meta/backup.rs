//! `vaquita meta backup`: a copy of a controller's log, taken while the controller runs or not.
//!
//! Checkpoints and segments that have a successor never change again, so that copying them needs no
//! lock. The last segment only grows: what is half written at its end is cut off, as it is at a start. A
//! checkpoint that comes meanwhile may remove files; then the copy is begun again.
//!
//! What is read comes from the page cache, so that the last records of the copy may not be on the
//! controller's disk yet. If power fails just then, the controller goes on without them, and the copy has
//! records that its log never had. That does no harm, as their answers waited for the sync: where the copy
//! takes the place of a lost home, they are records whose outcome nobody was told; where the controller
//! went on meanwhile, the copy is one of another history, which nodes refuse and a rebuild tells apart as it
//! does any old copy, by the processes of the epochs. It is not cut back to what is known to be durable,
//! for no file says that of the last records, however long ago they were acknowledged; and it does not sync
//! the files itself, since a failure would be told to whoever asks first, and the controller has to be
//! told.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use vaquita_core::controller::{HomeReport, inspect_home};
use vaquita_core::disk::FileName;
use vaquita_core::ids::LogIndex;
use vaquita_core::metalog;

use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::size;
use crate::cli::terminal::Terminal;

/// How often the copy is begun again when files vanish under it.
const ATTEMPTS: usize = 5;

/// The files of a home that make up its log.
type Files = BTreeMap<FileName, Vec<u8>>;

/// Copies the log in `home` to the directory `to`.
pub(super) fn run(home: impl AsRef<Path>, to: &Path, terminal: &mut Terminal) -> Outcome {
    let home = home.as_ref();
    let (files, end) = read(home)?;
    write(to, &files)?;
    // What counts is what is on the disk.
    let again = inspect(&read_all(to).map_err(|error| unreadable(to, &error))?)?;
    if again.verdict != Ok(end) {
        return Err(Failure::new(
            Status::Disk,
            format!(
                "the copy in {} is not what was written: mend the disk",
                to.display()
            ),
        ));
    }
    let bytes: usize = files.values().map(Vec::len).sum();
    terminal.say(format!(
        "{}: {} files, {}, up to record {end}",
        to.display(),
        files.len(),
        size::human(bytes as u64)
    ))?;
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let text = format!("cannot read the log in {}: {error}", path.display());
    Failure::new(Status::Unreadable, text)
}

/// The files of a log, whole, and its last record.
fn read(home: &Path) -> Result<(Files, LogIndex), Failure> {
    let mut attempt = 1;
    loop {
        match read_all(home) {
            Ok(files) => {
                let report = inspect(&files)?;
                match report.verdict {
                    Ok(end) => return Ok((files, end)),
                    // A file may have been replaced between two others; a damaged log stays so.
                    Err(refusal) if attempt == ATTEMPTS => {
                        return Err(Failure::new(Status::Damaged, refusal.to_string()));
                    }
                    Err(_) => {}
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
            Err(error) => return Err(unreadable(home, &error)),
        }
        attempt += 1;
    }
}

fn inspect(files: &Files) -> Result<HomeReport, Failure> {
    inspect_home(files).map_err(|refusal| Failure::new(Status::No, refusal.to_string()))
}

/// Reads the identity first and the log's files in their order: what is durable when the identity is
/// read is in the files that are read behind it.
fn read_all(home: &Path) -> io::Result<Files> {
    let mut names = Vec::new();
    for entry in fs::read_dir(home)? {
        let name = entry?.file_name();
        let name = name.to_str().and_then(FileName::new);
        names.extend(name.filter(|name| {
            let of_log = metalog::belongs_to_log(name) && !name.is_temporary();
            of_log || matches!(name.as_str(), "cluster.id" | "repair.id")
        }));
    }
    names.sort_by_key(|name| (!name.as_str().ends_with(".id"), name.clone()));
    let mut files = Files::new();
    for name in names {
        let bytes = fs::read(home.join(name.as_str()))?;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Writes files into a new directory, for this user alone: the log has what passwords can be guessed
/// with.
fn write(to: &Path, files: &Files) -> Result<(), Failure> {
    let failed = |what: &Path, error: io::Error| {
        let text = format!("cannot write {}: {error}", what.display());
        Failure::new(Status::Disk, text)
    };
    match fs::DirBuilder::new().mode(0o700).create(to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut there = fs::read_dir(to).map_err(|error| failed(to, error))?;
            if there.next().is_some() {
                let text = format!(
                    "{} is not empty: name a directory that does not exist yet",
                    to.display()
                );
                return Err(Failure::new(Status::Exists, text));
            }
        }
        Err(error) => return Err(failed(to, error)),
    }
    for (name, bytes) in files {
        let path = to.join(name.as_str());
        let mut file = fs::OpenOptions::new();
        let written = (file.write(true).create_new(true).mode(0o600).open(&path))
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
        written.map_err(|error| failed(&path, error))?;
    }
    let synced = fs::File::open(to).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed(to, error))
}
