//! What each operation of a batch is in system calls.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use vaquita_core::disk::{DiskBatch, DiskFault, DiskFaultKind, DiskOp, FileName, RESERVE_SHARE};

use super::Directory;

/// Files without unsynced bytes that are kept open.
const IDLE_FILES: usize = 16;
/// Bytes that are written at once to fill a file.
const PIECE: usize = 1024 * 1024;

/// The files that are open for writing.
///
/// A file stays open from its first write until its sync, because the kernel reports a failed
/// write-back only to those who had the file open when it failed.
#[derive(Debug, Default)]
pub(super) struct Files {
    open: Mutex<BTreeMap<FileName, OpenFile>>,
}

#[derive(Clone, Debug)]
struct OpenFile {
    file: Arc<File>,
    /// Whether bytes were written that no sync has covered.
    dirty: bool,
}

impl Files {
    /// Carries out a batch up to its first failure.
    pub(super) fn apply(&self, directory: &Directory, batch: &DiskBatch) -> Result<(), DiskFault> {
        for (at, op) in batch.ops.iter().enumerate() {
            self.carry_out(directory, op).map_err(|error| DiskFault {
                kind: kind(&error),
                failed_op: at,
                op: describe(directory, op),
                message: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Carries out a [`DiskOp::Append`] with bytes that are somebody else's.
    pub(super) fn append(
        &self,
        directory: &Directory,
        file: &FileName,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), DiskFault> {
        self.write(directory, file, offset, bytes)
            .map_err(|error| DiskFault {
                kind: kind(&error),
                failed_op: 0,
                op: describe_append(directory, file, offset, bytes.len()),
                message: error.to_string(),
            })
    }

    fn write(
        &self,
        directory: &Directory,
        file: &FileName,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let open = self.writable(directory, file)?;
        let len = open.metadata()?.len();
        if len != offset {
            return Err(io::Error::other(format!("the file has {len} bytes")));
        }
        open.write_all_at(bytes, offset)
    }

    fn carry_out(&self, directory: &Directory, op: &DiskOp) -> io::Result<()> {
        match op {
            DiskOp::CreateNew { file } => self.create(directory, file, OFlags::EXCL),
            DiskOp::CreateOrEmpty { file } => self.create(directory, file, OFlags::TRUNC),
            DiskOp::Append {
                file,
                offset,
                bytes,
            } => self.write(directory, file, *offset, bytes),
            DiskOp::Truncate { file, len } => self.writable(directory, file)?.set_len(*len),
            DiskOp::Reserve { file, len } => self.reserve(directory, file, *len),
            DiskOp::Sync { file } => {
                self.writable(directory, file)?.sync_data()?;
                self.settle(file);
                Ok(())
            }
            DiskOp::Rename { from, to } => {
                let at = &directory.fd;
                rustix::fs::renameat(at, from.as_str(), at, to.as_str())?;
                // What gets another name has been written. If it has unsynced bytes nobody means to
                // sync them, and it would stay open for ever.
                let mut open = self.lock();
                open.remove(to);
                open.remove(from);
                Ok(())
            }
            DiskOp::Remove { file } => {
                self.lock().remove(file);
                match rustix::fs::unlinkat(&directory.fd, file.as_str(), AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            DiskOp::SyncDir => {
                rustix::io::retry_on_intr(|| rustix::fs::fsync(&directory.fd))?;
                Ok(())
            }
        }
    }

    fn create(&self, directory: &Directory, name: &FileName, how: OFlags) -> io::Result<()> {
        let file = open_for_writing(directory, name, OFlags::CREATE | how)?;
        self.keep(name, Arc::new(file));
        Ok(())
    }

    fn reserve(&self, directory: &Directory, name: &FileName, len: u64) -> io::Result<()> {
        let file = open_for_writing(directory, name, OFlags::CREATE)?;
        let status = rustix::fs::fstatvfs(&file)?;
        let len = len.min(status.f_blocks.saturating_mul(status.f_frsize) / RESERVE_SHARE);
        let has = file.metadata()?;
        // A file with holes is longer than the space it has.
        let allocated = has.blocks().saturating_mul(512);
        if has.len() >= len && allocated >= len {
            return Ok(());
        }
        let free = status.f_bavail.saturating_mul(status.f_frsize);
        if free < (2 * len).saturating_sub(allocated) {
            return Err(Errno::NOSPC.into());
        }
        allocate(&file, len)
    }

    /// The file, open for writing, and from now on taken to have unsynced bytes.
    fn writable(&self, directory: &Directory, name: &FileName) -> io::Result<Arc<File>> {
        if let Some(open) = self.lock().get_mut(name) {
            open.dirty = true;
            return Ok(Arc::clone(&open.file));
        }
        let file = Arc::new(open_for_writing(directory, name, OFlags::empty())?);
        self.keep(name, Arc::clone(&file));
        Ok(file)
    }

    fn keep(&self, name: &FileName, file: Arc<File>) {
        let mut open = self.lock();
        open.insert(name.clone(), OpenFile { file, dirty: true });
        let mut idle = open.values().filter(|file| !file.dirty).count();
        open.retain(|_, file| {
            let close = !file.dirty && idle > IDLE_FILES;
            idle -= usize::from(close);
            !close
        });
    }

    /// All bytes of the file are durable.
    fn settle(&self, name: &FileName) {
        if let Some(open) = self.lock().get_mut(name) {
            open.dirty = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileName, OpenFile>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_for_writing(directory: &Directory, name: &FileName, how: OFlags) -> io::Result<File> {
    let fd = rustix::fs::openat(
        &directory.fd,
        name.as_str(),
        OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | how,
        Mode::from_raw_mode(0o600),
    )?;
    Ok(fd.into())
}

/// Gives the first `len` bytes of a file blocks of their own.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    let flags = FallocateFlags::empty();
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, flags, 0, len)) {
        // Not every file system can. Writing gives blocks everywhere, but takes as long as it takes.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; PIECE];
            let mut at = 0;
            while at < len {
                let piece = usize::try_from(len - at).map_or(PIECE, |rest| rest.min(PIECE));
                file.write_all_at(&zeros[..piece], at)?;
                at += piece as u64;
            }
            // Blocks that a file system gives only when it writes back are not given yet.
            file.sync_data()
        }
        outcome => Ok(outcome?),
    }
}

fn kind(error: &io::Error) -> DiskFaultKind {
    error.raw_os_error().map_or(DiskFaultKind::Io, |errno| {
        kind_of_errno(Errno::from_raw_os_error(errno))
    })
}

/// What kind of fault an error number stands for.
pub(in crate::os_env) fn kind_of_errno(errno: Errno) -> DiskFaultKind {
    match errno {
        Errno::NOSPC | Errno::DQUOT => DiskFaultKind::NoSpace,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => DiskFaultKind::Denied,
        _ => DiskFaultKind::Io,
    }
}

/// An operation in words, with the file's whole path.
fn describe(directory: &Directory, op: &DiskOp) -> String {
    let path = |file: &FileName| directory.path.join(file.as_str()).display().to_string();
    match op {
        DiskOp::CreateNew { file } | DiskOp::CreateOrEmpty { file } => {
            format!("create {}", path(file))
        }
        DiskOp::Append {
            file,
            offset,
            bytes,
        } => describe_append(directory, file, *offset, bytes.len()),
        DiskOp::Truncate { file, len } => format!("cut {} to {len} bytes", path(file)),
        DiskOp::Reserve { file, len } => format!("reserve {len} bytes in {}", path(file)),
        DiskOp::Sync { file } => format!("sync {}", path(file)),
        DiskOp::Rename { from, to } => format!("rename {} to {}", path(from), path(to)),
        DiskOp::Remove { file } => format!("remove {}", path(file)),
        DiskOp::SyncDir => format!("sync the directory {}", directory.path.display()),
    }
}

fn describe_append(directory: &Directory, file: &FileName, offset: u64, len: usize) -> String {
    let path = directory.path.join(file.as_str());
    format!("write {len} bytes at offset {offset} of {}", path.display())
}

#[cfg(test)]
mod tests {
    use vaquita_core::disk::Lane;
    use vaquita_core::ids::DiskTicket;

    use super::*;

    /// Without `dataSync` nobody syncs a large chunk's file.
    #[test]
    fn a_file_that_gets_its_name_unsynced_is_not_kept_open() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::take(home.path()).unwrap();
        let files = Files::default();
        for number in 0..3 {
            let file = FileName::new(&format!("stage-{number}")).unwrap();
            let to = FileName::new(&format!("chunk-{number}")).unwrap();
            let append = DiskOp::Append {
                file: file.clone(),
                offset: 0,
                bytes: b"bytes".to_vec(),
            };
            let ops = vec![
                DiskOp::CreateNew { file: file.clone() },
                append,
                DiskOp::Rename { from: file, to },
            ];
            let batch = DiskBatch {
                ticket: DiskTicket(number),
                lane: Lane::Foreground,
                ops,
            };
            files.apply(&directory, &batch).unwrap();
        }
        assert_eq!(files.lock().len(), 0);
    }
}
