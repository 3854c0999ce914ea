//! A local file that is being filled and has not got its name yet.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use vaquita_core::dfs::digest::Digest;

use crate::cli::exit::{Failure, Status};

/// A file beside the one that is to be, and this command's alone.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Bytes of an earlier command that are kept.
    pub(super) there: u64,
}

impl Part {
    /// Opens the part of a content of `len` bytes, which is to be at `to`. With `continues`, what an
    /// earlier command has left of the same content is kept.
    ///
    /// # Errors
    /// If it cannot be written, or another command is writing it.
    pub(super) fn open(
        to: &Path,
        digest: &str,
        len: u64,
        continues: bool,
    ) -> Result<Self, Failure> {
        let path = part_of(to, digest);
        let cannot = |error: io::Error| unwritable(&path, &error);
        let file = loop {
            // A link that somebody has put there is not followed.
            let how = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::open(&path, how, Mode::from_raw_mode(0o666));
            let file: File = opened.map_err(|error| cannot(error.into()))?.into();
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(Failure::new(
                        Status::Busy,
                        format!(
                            "another command is getting the same content to {} at present",
                            to.display()
                        ),
                    ));
                }
                // Some network file systems cannot lock.
                Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => break file,
                Err(error) => return Err(cannot(error.into())),
            }
            // Who held the lock before may have given the file its name meanwhile.
            let mine = file.metadata().map_err(cannot)?;
            if mine.nlink() > 1 {
                // An earlier command gave it its name and ended before this one was taken from it.
                fs::remove_file(&path).map_err(cannot)?;
                continue;
            }
            match fs::symlink_metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (mine.dev(), mine.ino()) => break file,
                _ => {}
            }
        };
        let present = match continues {
            true => file.metadata().map_err(cannot)?.len(),
            false => 0,
        };
        // The last byte is fetched anew, so that the cluster has a say in any case.
        let there = present.min(len.saturating_sub(1));
        file.set_len(there).map_err(cannot)?;
        Ok(Self { file, path, there })
    }

    /// All bytes are there: makes them durable and gives them their name. What is at `to` by now is
    /// replaced only if that is meant.
    ///
    /// # Errors
    /// If the disk refuses. If something is at `to`, which has the part removed.
    pub(super) fn finish(self, to: &Path, replaces: bool) -> Result<(), Failure> {
        // With a name and without bytes is what a power cut would leave else.
        let synced = self.file.sync_data();
        synced.map_err(|error| unwritable(&self.path, &error))?;
        let named = if replaces {
            fs::rename(&self.path, to)
        } else {
            rename_to_free(&self.path, to)
        };
        match named {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.discard();
                Err(is_there(to))
            }
            other => other.map_err(|error| unwritable(to, &error)),
        }
    }

    /// Throws it away.
    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can; a second name is refused where one is already, too.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        other => return Ok(other?),
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Nor can every file system do that: a look before is the best that is left.
        Err(_) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
    }
}

/// Where a file is written before it has its name: beside it, under a name that says which content
/// it is a part of, so that nothing is ever continued with another one.
fn part_of(to: &Path, digest: &str) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let name = if name.len() > 150 {
        Digest::of(name.as_bytes()).to_string()
    } else {
        name.into_owned()
    };
    to.with_file_name(format!(".{name}.{digest}.part"))
}

pub(super) fn is_there(to: &Path) -> Failure {
    Failure::new(
        Status::Exists,
        format!(
            "{} is there already: `--force` replaces it, `--no-clobber` passes over it",
            to.display()
        ),
    )
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(parent) = parent
        && error.kind() == io::ErrorKind::NotFound
        && !parent.exists()
    {
        return Failure::new(
            Status::Disk,
            format!(
                "there is no directory {} here: make it first",
                parent.display()
            ),
        );
    }
    Failure::new(
        Status::Disk,
        format!("{} cannot be written: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const DIGEST: &str = "00112233445566778899aabbccddeeff";

    fn part(to: &Path, continues: bool) -> Result<Part, Failure> {
        Part::open(to, DIGEST, 9, continues)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_part_belongs_to_one_command_and_then_to_the_next() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("a");
        let first = part(&to, false).unwrap();
        (&first.file).write_all(b"nine byte").unwrap();
        let refused = part(&to, true).err().unwrap();
        assert_eq!(refused.status, Status::Busy);
        drop(first);
        // All but the last byte is kept.
        assert_eq!(part(&to, true).unwrap().there, 8);
        assert_eq!(part(&to, false).unwrap().there, 0);
    }

    #[test]
    fn what_has_come_up_meanwhile_is_replaced_only_if_that_is_meant() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("a");
        for replaces in [false, true] {
            let part = part(&to, false).unwrap();
            (&part.file).write_all(b"new").unwrap();
            fs::write(&to, "somebody's").unwrap();
            let finished = part.finish(&to, replaces);
            if replaces {
                finished.unwrap();
                assert_eq!(fs::read(&to).unwrap(), b"new");
            } else {
                assert_eq!(finished.unwrap_err().status, Status::Exists);
                assert_eq!(fs::read(&to).unwrap(), b"somebody's");
            }
            assert_eq!(names(home.path()), ["a"]);
        }
    }

    #[test]
    fn a_link_that_somebody_has_put_there_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let (to, other) = (home.path().join("a"), home.path().join("other"));
        fs::write(&other, "somebody's").unwrap();
        std::os::unix::fs::symlink(&other, part_of(&to, DIGEST)).unwrap();
        assert!(part(&to, false).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"somebody's");
    }
}
