//! One process a directory: an advisory lock on a file in it, with the holder's id inside.
//!
//! The kernel releases the lock when the process ends, however it ends, so that nothing is ever
//! left behind that somebody would have to remove.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::LOCK;
use crate::env::OpenDiskError;
use crate::os_env::proc::describe;

/// A lock on a directory, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `directory`, or tells who has it.
    pub(super) fn take(directory: &OwnedFd, path: &Path) -> Result<Self, OpenDiskError> {
        let at = path.join(LOCK);
        let refused = |action: &'static str, source: io::Error| OpenDiskError::Refused {
            action,
            path: at.display().to_string(),
            directory: path.display().to_string(),
            source,
        };
        let mut file: File = openat(
            directory,
            LOCK,
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
        )
        .map_err(|error| refused("open", error.into()))?
        .into();
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The id is for the message only; what locks is the kernel.
                let _ = file.read_to_string(&mut text);
                return Err(OpenDiskError::InUse {
                    directory: path.display().to_string(),
                    holder: text.trim().parse().ok().map(describe),
                });
            }
            Err(error) => return Err(refused("lock", error.into())),
        }
        // Over what is there: what is cut off first could not be written again where the disk is full.
        let id = format!("{}\n", std::process::id());
        let written = file
            .write_all_at(id.as_bytes(), 0)
            .and_then(|()| file.set_len(id.len() as u64));
        settle(written, &file).map_err(|error| refused("write this process's id to", error))?;
        Ok(Self { _file: file })
    }
}

/// Makes the best of an id that may not have been written. It is for the message only, and whoever has a full disk is
/// to be able to read it: then nobody is named, rather than whoever had the lock before.
fn settle(written: io::Result<()>, file: &File) -> io::Result<()> {
    match written {
        Err(error) if is_full(&error) => {
            // What is left is wrong at most.
            let _ = file.set_len(0);
            Ok(())
        }
        other => other,
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn holder(directory: &OwnedFd, path: &Path) -> Option<String> {
        match Lock::take(directory, path) {
            Err(OpenDiskError::InUse { holder, .. }) => holder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn where_the_id_has_no_room_nobody_is_named_rather_than_who_had_the_lock_before() {
        let room = tempfile::tempdir().unwrap();
        let directory = OwnedFd::from(File::open(room.path()).unwrap());
        let file = room.path().join(LOCK);
        let lock = Lock::take(&directory, room.path()).unwrap();
        let own = std::process::id().to_string();
        assert!(holder(&directory, room.path()).is_some_and(|it| it.contains(&own)));

        // What is there when the write of the next holder fails.
        for full in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            fs::write(&file, "1\n").unwrap();
            let opened = File::options().write(true).open(&file).unwrap();
            assert!(settle(Err(full.into()), &opened).is_ok());
            assert_eq!(holder(&directory, room.path()), None);
        }
        let opened = File::options().write(true).open(&file).unwrap();
        let broken = settle(Err(Errno::IO.into()), &opened);
        assert_eq!(
            broken.unwrap_err().raw_os_error(),
            Some(Errno::IO.raw_os_error())
        );
        drop(lock);
    }
}
