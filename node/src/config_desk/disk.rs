//! Files that are replaced as a whole: whoever reads one, at whatever moment, and after whatever end of
//! this process, finds the old text or the new one.
//!
//! The new text goes into a file of another name in the same directory, is synced and read back, and takes
//! the place of the old one by a rename; then the directory is synced. What a process leaves that ends in
//! between has a name that nothing else has, and is removed by the next one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use vaquita_config::limits;

/// The mode of a file that there was not before.
const MODE: u32 = 0o640;
/// The end of the name of a file that is to take another's place.
const NEW: &str = ".vaquita-new";

/// What is done to the disk, step by step, so that a test can end it at each.
pub(super) trait Hand: Send + Sync + 'static {
    /// Makes a file that must not be there yet.
    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
    }

    /// Writes all bytes.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Has the disk keep a file.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file another's name and place.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Has the disk keep the names of a directory.
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The operating system's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct OsHand;

impl Hand for OsHand {}

/// What went wrong, and whether the new text is in place all the same.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) error: io::Error,
    pub(super) replaced: bool,
}

impl Fault {
    fn before(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{} cannot be {what}", path.display());
        move |error| Self {
            what,
            error,
            replaced: false,
        }
    }
}

/// The bytes of a file, one more than a configuration may have at most; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(limits::FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Gives a file another content, or makes it.
pub(super) fn replace(hand: &dyn Hand, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    // Where a link leads, so that it stays a link.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(Fault::before("found", path)(error)),
    };
    let new = new_name(&target);
    if let Err(fault) = write_new(hand, &target, &new, bytes) {
        // The next start would do it too.
        let _ = hand.remove(&new);
        return Err(fault);
    }
    let directory = target.parent().unwrap_or_else(|| Path::new("/"));
    if let Err(error) = hand.rename(&new, &target) {
        let _ = hand.remove(&new);
        return Err(Fault::before("replaced", &target)(error));
    }
    hand.sync_directory(directory).map_err(|error| Fault {
        replaced: true,
        ..Fault::before("synced", directory)(error)
    })
}

fn write_new(hand: &dyn Hand, target: &Path, new: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let before = match fs::metadata(target) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Fault::before("looked at", target)(error)),
    };
    match hand.remove(new) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Fault::before("removed", new)(error)),
    }
    let mode = before.as_ref().map_or(MODE, |it| it.mode() & 0o777);
    // Nobody reads half a text, and a stricter mode is never a looser one for a moment.
    let mut file = hand
        .create(new, mode & 0o600)
        .map_err(Fault::before("made", new))?;
    if let Some(before) = &before {
        keep_owner(&file, before).map_err(Fault::before(
            "given to the owner of the file that it replaces",
            new,
        ))?;
    }
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(Fault::before("given its mode", new))?;
    hand.write(&mut file, bytes)
        .map_err(Fault::before("written", new))?;
    hand.sync(&file).map_err(Fault::before("synced", new))?;
    let read = read(new).map_err(Fault::before("read back", new))?;
    if read.as_deref() != Some(bytes) {
        let other = io::Error::new(io::ErrorKind::InvalidData, "another text was read back");
        return Err(Fault::before("read back", new)(other));
    }
    Ok(())
}

/// Whoever took a file away from this process by its owner has meant it.
fn keep_owner(file: &File, before: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (before.uid(), before.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()))
}

/// Removes what a process left that ended while it replaced a file.
pub(super) fn clean(hand: &dyn Hand, path: &Path) -> io::Result<bool> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match hand.remove(&new_name(&target)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a name is that of a file that was to take another's place.
pub(super) fn is_new_name(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(NEW)
}

/// Hidden, and with an ending that no configuration has: nobody takes it for the file.
fn new_name(target: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(NEW);
    target.with_file_name(name)
}
